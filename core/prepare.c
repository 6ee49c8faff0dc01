/* SPDX-License-Identifier: MIT */
/*
 * prepare.c - one pass over a machine, so that every pair afterwards is a few comparisons.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "info.h"
#include "routes.h"
#include "rule.h"

static const struct p2pdma_profile default_profile = { 7, 2 };
static const struct p2pdma_profile oldest_profile = { 6, 0 };

static bool is_older(struct p2pdma_profile a, struct p2pdma_profile b)
{
	return a.major != b.major ? a.major < b.major : a.minor < b.minor;
}

static const char *read_number(const char *text, uint16_t *ret_number)
{
	unsigned int number = 0;

	if (*text < '0' || *text > '9')
		return NULL;
	for (; *text >= '0' && *text <= '9'; text++) {
		number = number * 10 + (unsigned int)(*text - '0');
		if (number > UINT16_MAX)
			return NULL;
	}
	*ret_number = (uint16_t)number;
	return text;
}

static int read_version(const char *text, struct p2pdma_profile *ret_profile)
{
	struct p2pdma_profile profile;

	if (!strncmp(text, "linux-", 6))
		text += 6;
	text = read_number(text, &profile.major);
	if (!text || *text != '.' || !(text = read_number(text + 1, &profile.minor)) ||
	    (*text && !strchr(".-+~_", *text)))
		return -EINVAL;
	*ret_profile = profile;
	return 0;
}

int p2pdma_profile_parse(const char *text, struct p2pdma_profile *ret_profile)
{
	struct p2pdma_profile profile;
	int r = read_version(text, &profile);

	if (r)
		return r;
	if (is_older(profile, oldest_profile))
		return -ERANGE;
	*ret_profile = profile;
	return 0;
}

static void choose_profile(struct p2pdma_routes *routes, struct p2pdma_profile asked)
{
	const char *kernel = routes->machine->snapshot->kernel;
	struct p2pdma_routes_info *info = &routes->info;

	if (asked.major) {
		info->profile = asked;
		info->profile_source = "asked";
	} else if (kernel && !read_version(kernel, &info->profile)) {
		info->profile_source = "recorded";
	} else {
		info->profile = default_profile;
		info->profile_source = "default";
	}
	info->profile_known = P2PDMA_YES;
	if (is_older(info->profile, oldest_profile))
		info->profile_known = P2PDMA_NO;
	else if (is_older(HOSTBRIDGE_NEWEST, info->profile))
		info->profile_known = P2PDMA_UNKNOWN;
}

/*
 * The function whose IDs stand for a host bridge (Linux: pci_host_bridge_dev()): the first on the
 * root bus, if it is 00.0 or a root port.
 */
static void read_root(const struct p2pdma_routes *routes, const struct topology_root *root,
                      struct root_trust *trust)
{
	const struct p2pdma_device *first = topology_at(routes->machine, root->root_device);

	trust->is_missing = root->is_missing;
	trust->is_unknown = root->is_missing || first->config.len < 4 ||
	                    (first->function->bdf.devfn && first->kind == P2PDMA_KIND_UNKNOWN);
	if (trust->is_unknown ||
	    (first->function->bdf.devfn && first->kind != P2PDMA_KIND_ROOT_PORT))
		return;
	trust->device = first;
	trust->kernel_row = hostbridge_find(first->vendor, first->device, routes->info.profile);
	trust->wire_row = hostbridge_find(first->vendor, first->device, HOSTBRIDGE_NEWEST);
	trust->refuses_reads = hostbridge_refuses_reads(first->vendor, first->device);
}

/* Linux: cpu_supports_p2pdma().  Not recorded, an Intel root complex still tells that it is no AMD.
 */
static void choose_cpu(struct p2pdma_routes *routes, enum p2pdma_cpu asked)
{
	const struct p2pdma_machine *machine = routes->machine;
	const struct snapshot *snapshot = machine->snapshot;

	routes->info.cpu = asked;
	if (asked != P2PDMA_CPU_AUTO)
		return;
	if (snapshot->cpu_vendor) {
		bool is_zen = !strcmp(snapshot->cpu_vendor, "AuthenticAMD") &&
		              snapshot->cpu_family >= 0x17;

		routes->info.cpu = is_zen ? P2PDMA_CPU_AMD_ZEN : P2PDMA_CPU_OTHER;
		return;
	}
	for (size_t i = 0; i < machine->root_count; i++) {
		const struct p2pdma_device *first =
			topology_at(machine, machine->roots[i].root_device);

		if (!first || machine->roots[i].is_missing || first->vendor != 0x8086)
			return;
	}
	routes->info.cpu = P2PDMA_CPU_OTHER;
}

/* The deepest bridge above @device whose windows do not hold its BAR; 0 when all do. */
static uint16_t window_trouble(const struct p2pdma_routes *routes,
                               const struct p2pdma_device *device)
{
	const struct hazard_facts *facts = &routes->facts[device->index];
	const struct p2pdma_device *bridge = topology_at(routes->machine, device->parent);

	if (facts->bar < 0 || !facts->range.bus.addr)
		return 0;
	for (; bridge; bridge = topology_at(routes->machine, bridge->parent))
		if (hazard_in_window(bridge, &facts->range) == P2PDMA_NO)
			return bridge->depth;
	return 0;
}

/* Whether part of a function's capabilities is out of sight: the list was cut off, or is broken. */
static bool is_unseen(const struct p2pdma_device *device)
{
	int power = pcicap_find(device->config, PCICAP_ID_PM);

	return !device->is_dead &&
	       (device->kind == P2PDMA_KIND_UNKNOWN || power == -ENODATA || power == -EIO);
}

/* Fills entry @i of every column from its parent's: parents come first in preorder. */
static void fill_columns(struct p2pdma_routes *routes, uint32_t i)
{
	const struct p2pdma_device *device = &routes->machine->devices[i];
	const struct hazard_facts *facts = &routes->facts[i];
	const uint32_t parent = device->parent;
	const uint16_t depth = device->depth;
	const bool is_down_port = topology_is_down_port(device);
	bool may_block, forwards;
	uint16_t trouble;

#define INHERIT(column, is_here) \
	(routes->column[i] = (is_here) ? depth : parent == NO_INDEX ? 0 : routes->column[parent])

	routes->depth[i] = depth;
	INHERIT(kernel_redirects, device->kernel_redirects == P2PDMA_YES && RULE(KERNEL_ACS));
	INHERIT(kernel_unknown, device->kernel_redirects == P2PDMA_UNKNOWN && RULE(KERNEL_UNKNOWN));
	INHERIT(asleep, facts->not_d0 && RULE(NOT_D0));
	INHERIT(client_trouble,
	        (facts->bus_master_off && RULE(BUS_MASTER)) || (facts->not_d0 && RULE(NOT_D0)));
	INHERIT(provider_trouble,
	        (device->header_type && facts->memory_off && RULE(BRIDGE_MEMORY)) ||
	                (facts->not_d0 && RULE(NOT_D0)));
	for (int code = 0; code < MPS_CODES; code++)
		INHERIT(small[code], facts->payload < code);

	/* PCIe Base 6.12.1.1: what has to turn redirected TLPs round is a root or downstream port.
	 */
	forwards = device->kind == P2PDMA_KIND_UPSTREAM_PORT ||
	           (is_down_port && device->acs.known == P2PDMA_YES &&
	            device->acs.control & P2PDMA_ACS_UPSTREAM_FWD);
	INHERIT(no_forward, !forwards);

	/* Until the next loop these two speak of all ports, whoever the client. */
	may_block = device->acs.known == P2PDMA_YES && device->acs.control & P2PDMA_ACS_TRANS_BLK;
	INHERIT(trans_blocked, is_down_port && may_block);
	/* A bridge of unknown kind may be such a port. */
	INHERIT(trans_unknown, device->acs.known == P2PDMA_UNKNOWN &&
	                               (is_down_port || (device->header_type &&
	                                                 device->kind == P2PDMA_KIND_UNKNOWN)));
	INHERIT(unseen, is_unseen(device) && RULE(UNSEEN));
#undef INHERIT

	routes->payload[i] = facts->payload == MPS_UNKNOWN ? 0 : facts->payload;
	routes->address_bits[i] = RULE(ADDRESS_WIDTH) ? facts->address_bits : ADDRESS_BITS_UNKNOWN;
	routes->far_address_bits[i] = device->function->iommu == P2PDMA_IOMMU_TRANSLATED
	                                      ? ADDRESS_BITS_UNKNOWN
	                                      : routes->address_bits[i];
	routes->bridge_mask[i] = device->header_type ? CODE_JUDGED : 0;
	trouble = parent == NO_INDEX || !RULE(PAYLOAD) ? 0
	                                               : routes->small[routes->payload[i]][parent];
	routes->write_trouble[i] =
		trouble > routes->client_trouble[i] ? trouble : routes->client_trouble[i];
}

/* Whether what leaves this client's root port for another may be blocked there. */
static bool has_root_egress(const struct p2pdma_routes *routes, const struct p2pdma_device *client)
{
	struct segment elsewhere = { .common = NULL };

	return segment_root_egress(routes, &elsewhere, client) != NULL;
}

/* Narrows the translation columns to what concerns each client, and lists the clients concerned. */
static void mark_special(struct p2pdma_routes *routes)
{
	for (uint32_t i = 0; i < routes->count; i++) {
		const struct p2pdma_device *device = &routes->machine->devices[i];
		enum p2pdma_known ats = pcicap_ats_enabled(device->config, device->kind);

		if (ats == P2PDMA_UNKNOWN && routes->trans_blocked[i] > routes->trans_unknown[i])
			routes->trans_unknown[i] = routes->trans_blocked[i];
		if (ats != P2PDMA_YES)
			routes->trans_blocked[i] = 0;
		if (ats == P2PDMA_NO)
			routes->trans_unknown[i] = 0;
		if (ats != P2PDMA_NO || routes->info.virtual_machine ||
		    routes->facts[i].command_unknown || routes->unseen[i] || routes->stray[i] ||
		    has_root_egress(routes, device))
			routes->special[routes->special_count++] = i;
	}
}

static int allocate(struct p2pdma_routes *routes)
{
	uint16_t **const columns[] = {
		&routes->depth,          &routes->kernel_redirects, &routes->kernel_unknown,
		&routes->client_trouble, &routes->write_trouble,    &routes->provider_trouble,
		&routes->payload,        &routes->address_bits,     &routes->far_address_bits,
		&routes->bridge_mask,    &routes->trans_blocked,    &routes->trans_unknown,
		&routes->unseen,         &routes->no_forward,       &routes->small[0],
		&routes->small[1],       &routes->small[2],         &routes->small[3],
		&routes->small[4],       &routes->small[5],         &routes->small[6],
		&routes->small[7],       &routes->asleep,           &routes->claimed,
		&routes->stray,
	};
	const size_t column_count = sizeof(columns) / sizeof(columns[0]);

	routes->roots = calloc(routes->machine->root_count, sizeof(*routes->roots));
	routes->facts = calloc(routes->count, sizeof(*routes->facts));
	routes->special = calloc(routes->count, sizeof(*routes->special));
	routes->columns = calloc(routes->count * column_count, sizeof(*routes->columns));
	if (!routes->roots || !routes->facts || !routes->special || !routes->columns)
		return -ENOMEM;
	for (size_t i = 0; i < column_count; i++)
		*columns[i] = routes->columns + i * routes->count;
	return 0;
}

/* A guest whose hypervisor was not recorded may still show whose it is. */
static bool has_qemu_model(const struct p2pdma_machine *machine)
{
	for (size_t i = 0; i < machine->device_count; i++)
		if (segment_is_qemu_model(&machine->devices[i]))
			return true;
	return false;
}

int p2pdma_routes_new(const struct p2pdma_machine *machine, const struct p2pdma_routes_opts *opts,
                      struct p2pdma_routes **ret_routes)
{
	const char *hypervisor = machine->snapshot->hypervisor;
	struct p2pdma_routes_opts own = { .size = sizeof(own) };
	struct p2pdma_routes *routes;

	if (opts) {
		if (opts->size < sizeof(own) || (unsigned int)opts->cpu > P2PDMA_CPU_OTHER)
			return -EINVAL;
		own = *opts;
	}
	if (own.profile.major && is_older(own.profile, oldest_profile))
		return -ERANGE;
	routes = calloc(1, sizeof(*routes));
	if (!routes)
		return -ENOMEM;
	routes->machine = machine;
	routes->count = machine->device_count;
	if (allocate(routes)) {
		p2pdma_routes_free(routes);
		return -ENOMEM;
	}
	routes->info.size = sizeof(routes->info);
	routes->info.virtual_machine =
		hypervisor ? strcmp(hypervisor, "none") != 0 : has_qemu_model(machine);
	routes->is_qemu = hypervisor && !strcmp(hypervisor, "qemu");
	choose_profile(routes, own.profile);
	choose_cpu(routes, own.cpu);
	for (size_t i = 0; i < machine->root_count; i++)
		read_root(routes, &machine->roots[i], &routes->roots[i]);
	for (uint32_t i = 0; i < routes->count; i++) {
		routes->facts[i] = hazard_read(&machine->devices[i]);
		fill_columns(routes, i);
	}
	/* Now that no child inherits any more: a window concerns one provider's BAR only. */
	for (uint32_t i = 0; i < routes->count; i++) {
		uint16_t window = RULE(WINDOW) ? window_trouble(routes, &machine->devices[i]) : 0;

		if (window > routes->provider_trouble[i])
			routes->provider_trouble[i] = window;
	}
	if (claims_prepare(routes)) {
		p2pdma_routes_free(routes);
		return -ENOMEM;
	}
	mark_special(routes);
	*ret_routes = routes;
	return 0;
}

struct p2pdma_routes *p2pdma_routes_free(struct p2pdma_routes *routes)
{
	if (!routes)
		return NULL;
	free(routes->roots);
	free(routes->facts);
	free(routes->claims);
	free(routes->special);
	free(routes->columns);
	free(routes);
	return NULL;
}

int p2pdma_routes_get_info(const struct p2pdma_routes *routes, struct p2pdma_routes_info *ret_info)
{
	return copy_info(ret_info, &routes->info, sizeof(routes->info));
}
