/* SPDX-License-Identifier: MIT */
/*
 * What the library makes of a capture, for the python tests beside it.
 *
 *     describe FILE                   one line a function: address, parent, VF, ACS, link
 *     describe FILE PROVIDER CLIENT   map type, distance, and the nodes Linux would name
 */
#include <inttypes.h>
#include <stdio.h>

#include <p2pdma/evidence.h>

static const char *const map_types[] = { "UNKNOWN", "NONE", "NOT_SUPPORTED", "BUS_ADDR",
	                                 "THRU_HOST_BRIDGE" };

static void print_bdf(const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };

	if (!device) {
		printf("-");
		return;
	}
	p2pdma_device_get_info(device, &info);
	printf("%04" PRIx32 ":%02x:%02x.%x", info.bdf.domain, info.bdf.bus, info.bdf.devfn >> 3u,
	       info.bdf.devfn & 7u);
}

static void print_function(const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };
	struct p2pdma_acs acs = p2pdma_device_acs(device);
	struct p2pdma_link link;

	p2pdma_device_get_info(device, &info);
	print_bdf(device);
	printf("\t");
	print_bdf(p2pdma_device_parent(device));
	printf("\t%s\t", info.is_vf ? "vf" : "-");
	if (acs.known == P2PDMA_YES)
		printf("%#x %#x\t", acs.capability & 0x7fu, acs.control & 0x7fu);
	else
		printf("%s\t", acs.known == P2PDMA_NO ? "none" : "unknown");
	if (p2pdma_device_link(device, &link))
		printf("-\n");
	else
		printf("%u %u %u %u\n", link.max_speed, link.max_width, link.speed, link.width);
}

static int explain(struct p2pdma_machine *machine, const char *provider_name,
                   const char *client_name)
{
	struct p2pdma_device *provider, *client;
	struct p2pdma_routes *routes = NULL;
	struct p2pdma_explanation *explanation = NULL;
	struct p2pdma_error error = { "" };
	int r;

	if (p2pdma_machine_resolve(machine, provider_name, &error, &provider) ||
	    p2pdma_machine_resolve(machine, client_name, &error, &client)) {
		fprintf(stderr, "%s\n", error.text);
		return 1;
	}
	r = p2pdma_routes_new(machine, NULL, &routes);
	if (!r)
		r = p2pdma_routes_explain(routes, provider, client, &explanation);
	if (r) {
		fprintf(stderr, "no explanation: %d\n", r);
		return 1;
	}
	printf("%s %d\n", map_types[explanation->route.map_type], explanation->route.distance);
	for (size_t i = 0; i < explanation->redirect_count; i++) {
		print_bdf(explanation->redirects[i]);
		printf("\n");
	}
	p2pdma_explanation_free(explanation);
	p2pdma_routes_free(routes);
	return 0;
}

int main(int argc, char **argv)
{
	struct p2pdma_error error = { "" };
	struct p2pdma_machine *machine = NULL;
	char spec[4096];
	int status = 0;

	if (argc != 2 && argc != 4) {
		fprintf(stderr, "usage: %s FILE [PROVIDER CLIENT]\n", argv[0]);
		return 2;
	}
	snprintf(spec, sizeof(spec), "capture:%s", argv[1]);
	if (p2pdma_machine_open(spec, &error, &machine)) {
		fprintf(stderr, "%s\n", error.text);
		return 4;
	}
	for (size_t i = 0; argc == 2 && i < p2pdma_machine_device_count(machine); i++)
		print_function(p2pdma_machine_device(machine, i));
	if (argc == 4)
		status = explain(machine, argv[2], argv[3]);
	p2pdma_machine_close(machine);
	return status;
}
