/* SPDX-License-Identifier: MIT */
/*
 * heading.c - what the answers rest on.
 */
#include <string.h>

#include "app.h"

const char *profile_text(const struct app *app, char *text, size_t size)
{
	const struct p2pdma_routes_info *info = &app->routes_info;
	const char *note = "";

	if (info->profile_known == P2PDMA_NO)
		note = ", rules not known";
	else if (info->profile_known == P2PDMA_UNKNOWN)
		note = ", by the rules of 7.4";
	snprintf(text, size, "Linux %u.%u (%s%s)", info->profile.major, info->profile.minor,
	         info->profile_source, note);
	return text;
}

static const char *cpu_rule(const struct app *app)
{
	static const char *const words[] = { "CPU not recorded (--cpu)", "CPU AMD Zen or later",
		                             "CPU not AMD Zen" };

	return words[app->routes_info.cpu];
}

const char *machine_iommu(const struct app *app)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };
	enum p2pdma_iommu first = P2PDMA_IOMMU_UNKNOWN;
	size_t count = p2pdma_machine_device_count(app->machine);
	bool is_first = true;

	for (size_t i = 0; i < count; i++) {
		p2pdma_device_get_info(p2pdma_machine_device(app->machine, i), &info);
		if (info.iommu == P2PDMA_IOMMU_UNKNOWN)
			continue;
		if (!is_first && info.iommu != first)
			return "mixed";
		first = info.iommu;
		is_first = false;
	}
	return iommu_text(first);
}

/* Whether some PCIe function's extended space, where ACS is, was not captured. */
static bool lacks_extended_space(const struct app *app)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };

	for (size_t i = 0; i < p2pdma_machine_device_count(app->machine); i++) {
		p2pdma_device_get_info(p2pdma_machine_device(app->machine, i), &info);
		if (info.kind != P2PDMA_KIND_PCI && info.kind != P2PDMA_KIND_PCI_BRIDGE)
			return true;
	}
	return false;
}

const char *privilege_hint(const struct app *app)
{
	if (app->info.privileged == P2PDMA_NO)
		return "ACS was out of reach: run as root or load a capture";
	if (!(p2pdma_machine_caps(app->machine) & P2PDMA_CAP_EXT_CONFIG) &&
	    lacks_extended_space(app))
		return "ACS is not in this capture: take it as root with `lspci -xxxx` or `p2pdma dump`";
	return NULL;
}

/* A string of the machine's, cut to fit and safe for a terminal. */
static const char *recorded_text(const char *recorded, char *text, size_t size)
{
	snprintf(text, size, "%s", recorded ? recorded : "not recorded");
	return disarm(text);
}

void print_kernel_note(const struct app *app)
{
	char kernel[128];

	if (app->info.kernel_p2pdma == P2PDMA_NO)
		printf("kernel %s is built without CONFIG_PCI_P2PDMA: its own paths are closed, whatever the map type\n",
		       recorded_text(app->info.kernel, kernel, sizeof(kernel)));
}

void print_heading(const struct app *app)
{
	char profile[96], hypervisor[64];

	printf("%s   %zu functions, %s, %s, IOMMU %s\n", app->info.source,
	       p2pdma_machine_device_count(app->machine),
	       profile_text(app, profile, sizeof(profile)), cpu_rule(app), machine_iommu(app));
	print_kernel_note(app);
	if (app->routes_info.virtual_machine)
		printf("guest of a hypervisor (%s): the topology is virtual, no evidence of the wire\n",
		       recorded_text(app->info.hypervisor, hypervisor, sizeof(hypervisor)));
	if (privilege_hint(app))
		printf("%s\n", privilege_hint(app));
}
