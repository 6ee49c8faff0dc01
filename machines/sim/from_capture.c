/* SPDX-License-Identifier: MIT */
/*
 * from_capture.c - a fabric of what a capture says: its registers, as they were.
 *
 * The tree is that of the bridges' bus number registers: of two that claim one bus the first has
 * it, and functions on a bus that nobody leads to are on a root bus.  What was not captured is
 * absent: unknown registers read zero, so a bridge known by 64 bytes is a conventional one.  Where
 * no size of a BAR was recorded its model says it; else it is as large as the alignment of its
 * address allows, up to 64 KiB (so it does not leave its bridge's window) and not into the next
 * BAR; a VF's 4 KiB. Registers may say anything.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "file.h"
#include "snapshot.h"

#define MOST_SIZE  (1ull << 44)
#define GUESS_MOST (64ull << 10)
#define GUESS_VF   4096
#define GUESS_IO   4
#define VF_BARS    7 /* lines of sysfs `resource`: BARs, ROM, VF BARs */
#define FAMILY_ZEN 0x17
/* There are no more VFs than routing IDs; a capture that has more PFs than it can is lying. */
#define MOST_LOOKUPS (4 * SNAPSHOT_MAX_FUNCTIONS)

struct reader {
	const struct source *source;
	struct fabric *fabric;
	const struct snapshot *snapshot;
	struct p2pdma_function **made; /* by position in the snapshot */
	uint64_t *starts;              /* of memory BARs, in order */
	size_t start_count;
};

static struct p2pdma_function *made_of(const struct reader *reader,
                                       const struct snapshot_function *from)
{
	return from ? reader->made[from - reader->snapshot->functions] : NULL;
}

/* ---- functions ---- */

/* PCIe Base 7.5.3.2 */
static enum p2pdma_kind kind_of(const struct p2pdma_function *function)
{
	static const enum p2pdma_kind kinds[16] = {
		[PCI_EXP_TYPE_ENDPOINT] = P2PDMA_KIND_ENDPOINT,
		[PCI_EXP_TYPE_LEG_END] = P2PDMA_KIND_ENDPOINT,
		[PCI_EXP_TYPE_ROOT_PORT] = P2PDMA_KIND_ROOT_PORT,
		[PCI_EXP_TYPE_UPSTREAM] = P2PDMA_KIND_UPSTREAM_PORT,
		[PCI_EXP_TYPE_DOWNSTREAM] = P2PDMA_KIND_DOWNSTREAM_PORT,
		[PCI_EXP_TYPE_PCI_BRIDGE] = P2PDMA_KIND_PCIE_TO_PCI,
		[PCI_EXP_TYPE_PCIE_BRIDGE] = P2PDMA_KIND_PCI_TO_PCIE,
		[PCI_EXP_TYPE_RC_END] = P2PDMA_KIND_RC_ENDPOINT,
		[PCI_EXP_TYPE_RC_EC] = P2PDMA_KIND_RC_ENDPOINT,
	};

	if (function->header_type > PCI_HEADER_TYPE_CARDBUS)
		return P2PDMA_KIND_UNKNOWN;
	if (!function->at.exp)
		return function->header_type ? P2PDMA_KIND_PCI_BRIDGE : P2PDMA_KIND_PCI;
	return kinds[get16(function->config + function->at.exp + PCI_EXP_FLAGS) >> 4 & 0xf];
}

/* The file's IOMMU mode is all functions'; else each has its own, and what is not known is none. */
static int make_all(struct reader *reader)
{
	bool is_common = json_object_get(reader->source->root, "iommu");
	enum p2pdma_iommu common = reader->fabric->iommu;

	for (size_t i = 0; i < reader->snapshot->function_count; i++) {
		const struct snapshot_function *from = &reader->snapshot->functions[i];
		struct p2pdma_function *function = fabric_add(reader->fabric, NULL);

		if (!function)
			return -ENOMEM;
		reader->made[i] = function;
		function->bdf = from->bdf;
		function->is_captured = true;
		function->known_config = from->config_len;
		if (from->config_len)
			memcpy(function->config, from->config, from->config_len);
		function->header_type = function->config[PCI_HEADER_TYPE] & 0x7f;
		config_locate(function);
		function->kind = kind_of(function);
		function->numa_node = from->numa_node;
		if (!is_common && from->iommu != P2PDMA_IOMMU_UNKNOWN)
			function->iommu = from->iommu;
		else
			function->iommu = common;
		if (function->iommu > reader->fabric->iommu)
			reader->fabric->iommu = function->iommu;
	}
	return 0;
}

static uint32_t routing_id(const struct p2pdma_function *function)
{
	return (uint32_t)function->bdf.bus << 8 | function->bdf.devfn;
}

/* By the PF's registers (PCIe Base 9.2.1.2). */
static void find_vfs(const struct reader *reader, struct p2pdma_function *pf, size_t *lookups)
{
	const uint8_t *sriov = pf->config + pf->at.sriov;
	uint32_t id = routing_id(pf) + get16(sriov + PCI_SRIOV_VF_OFFSET);

	if (pf->physfn || !pf->at.sriov || !(get16(sriov + PCI_SRIOV_CTRL) & PCI_SRIOV_CTRL_VFE))
		return;
	for (unsigned int i = get16(sriov + PCI_SRIOV_NUM_VF); i && id <= UINT16_MAX && *lookups;
	     i--, --*lookups, id += get16(sriov + PCI_SRIOV_VF_STRIDE)) {
		const struct snapshot_function *from = snapshot_find(
			reader->snapshot,
			(struct p2pdma_bdf){ pf->bdf.domain, (uint8_t)(id >> 8), (uint8_t)id });
		struct p2pdma_function *vf = made_of(reader, from);

		if (vf && vf != pf && !from->has_physfn && !vf->physfn && !vf->header_type &&
		    !vf->at.sriov)
			vf->physfn = pf;
	}
}

/* What the OS said goes before what registers imply.  A VF has no VFs. */
static void find_all_vfs(const struct reader *reader)
{
	const struct snapshot *snapshot = reader->snapshot;
	size_t lookups = MOST_LOOKUPS;

	for (size_t i = 0; i < snapshot->function_count; i++) {
		const struct snapshot_function *from = &snapshot->functions[i], *pf;

		pf = from->has_physfn ? snapshot_find(snapshot, from->physfn) : NULL;
		if (pf && !pf->has_physfn && !reader->made[i]->header_type)
			reader->made[i]->physfn = made_of(reader, pf);
	}
	for (size_t i = 0; i < snapshot->function_count; i++)
		find_vfs(reader, reader->made[i], &lookups);
	for (size_t i = 0; i < snapshot->function_count; i++) {
		struct p2pdma_function *vf = reader->made[i], *pf = vf->physfn;
		const uint8_t *sriov = pf ? pf->config + pf->at.sriov : NULL;
		uint32_t distance;

		if (pf && pf->physfn)
			vf->physfn = pf = NULL;
		if (!pf || !pf->at.sriov || !get16(sriov + PCI_SRIOV_VF_STRIDE))
			continue;
		distance = routing_id(vf) - routing_id(pf) - get16(sriov + PCI_SRIOV_VF_OFFSET);
		if (distance <= UINT16_MAX)
			vf->vf_number = distance / get16(sriov + PCI_SRIOV_VF_STRIDE);
	}
}

/* ---- the tree ---- */

static struct segment *add_below(struct fabric *fabric, struct p2pdma_function *bridge)
{
	bool leads_to_link = bridge->kind == P2PDMA_KIND_ROOT_PORT ||
	                     bridge->kind == P2PDMA_KIND_DOWNSTREAM_PORT ||
	                     bridge->kind == P2PDMA_KIND_PCI_TO_PCIE;

	return fabric_add_segment(fabric,
	                          leads_to_link                               ? SEGMENT_LINK
	                          : bridge->kind == P2PDMA_KIND_UPSTREAM_PORT ? SEGMENT_INTERNAL
	                                                                      : SEGMENT_BUS,
	                          bridge, bridge->home->root);
}

/* Functions come by address, so that the last root bus is theirs if any is. */
static struct segment *root_bus_of(struct fabric *fabric, struct p2pdma_bdf bdf)
{
	struct root *root = fabric->root_count ? &fabric->roots[fabric->root_count - 1] : NULL;

	bdf.devfn = 0;
	if (!root || snapshot_compare(root->bus, bdf))
		root = fabric_add_root(fabric, bdf);
	return root ? root->segment : NULL;
}

/* Bus numbers grow on the way down, so that a bridge comes before what it leads to, and no loop is.
 */
static int place_all(struct reader *reader)
{
	struct segment *by_bus[256] = { NULL }, *home;
	uint32_t domain = 0;

	for (size_t i = 0; i < reader->snapshot->function_count; i++) {
		const struct snapshot_function *from = &reader->snapshot->functions[i];
		struct p2pdma_function *function = reader->made[i];
		uint8_t secondary = function->config[PCI_SECONDARY_BUS];

		if (function->physfn)
			continue;
		if (from->bdf.domain != domain)
			memset(by_bus, 0, sizeof(by_bus));
		domain = from->bdf.domain;
		home = by_bus[from->bdf.bus];
		/* What the OS calls a root bus has no bridge above. */
		if (!home || (from->has_root_bus && from->root_bus.domain == domain &&
		              from->root_bus.bus == from->bdf.bus))
			home = root_bus_of(reader->fabric, from->bdf);
		if (!home || fabric_place(function, home))
			return -ENOMEM;
		if (!function->header_type || function->header_type > PCI_HEADER_TYPE_CARDBUS)
			continue;
		if (!add_below(reader->fabric, function))
			return -ENOMEM;
		if (secondary > from->bdf.bus && !by_bus[secondary])
			by_bus[secondary] = function->below;
	}
	for (size_t i = 0; i < reader->snapshot->function_count; i++)
		if (reader->made[i]->physfn &&
		    fabric_place(reader->made[i], reader->made[i]->physfn->home))
			return -ENOMEM;
	return 0;
}

/* ---- BARs ---- */

static uint64_t recorded_size(const struct snapshot_function *from, size_t line)
{
	const struct snapshot_resource *resource =
		line < from->resource_count ? &from->resources[line] : NULL;
	uint64_t size = resource && resource->end > resource->start
	                        ? resource->end - resource->start + 1
	                        : 0;

	return size <= MOST_SIZE ? size : 0;
}

static uint64_t recorded_slice(const struct reader *reader, const struct p2pdma_function *pf,
                               size_t bar)
{
	uint16_t total = get16(pf->config + pf->at.sriov + PCI_SRIOV_TOTAL_VF);
	uint64_t size =
		total ? recorded_size(snapshot_find(reader->snapshot, pf->bdf), VF_BARS + bar) /
				total
		      : 0;

	return size ? size : GUESS_VF;
}

/* Kinds by the registers, a VF's in its PF (PCIe Base 9.3.3.14); sizes as recorded. */
static void read_bars(struct reader *reader, size_t position)
{
	const struct snapshot_function *from = &reader->snapshot->functions[position];
	struct p2pdma_function *function = reader->made[position], *pf = function->physfn;
	const uint8_t *at = pf ? pf->config + pf->at.sriov + PCI_SRIOV_BAR
	                       : function->config + PCI_BASE_ADDRESS_0;
	size_t slots = pf && !pf->at.sriov ? 0 : function_bar_slots(function);

	for (size_t i = 0; i < slots; i += function->bars[i].is_64bit ? 2 : 1) {
		struct bar *bar = &function->bars[i];
		uint32_t low = get32(at + 4 * i);

		bar->size = recorded_size(from, i);
		if (!low && !bar->size)
			continue;
		if (pf && !bar->size)
			bar->size = recorded_slice(reader, pf, i);
		bar->kind = low & PCI_BASE_ADDRESS_SPACE_IO ? BAR_IO : BAR_REGISTERS;
		if (bar->kind == BAR_IO)
			continue;
		bar->is_prefetchable = low & PCI_BASE_ADDRESS_MEM_PREFETCH;
		bar->is_64bit =
			(low & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64 &&
			i + 1 < slots;
		reader->starts[reader->start_count++] = function_bar_base(function, (int)i);
	}
}

static int compare_starts(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static uint64_t guess_size(const struct reader *reader, uint64_t base)
{
	uint64_t size = base ? base & -base : GUESS_MOST;
	size_t low = 0, high = reader->start_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (reader->starts[middle] <= base)
			low = middle + 1;
		else
			high = middle;
	}
	if (size > GUESS_MOST)
		size = GUESS_MOST;
	while (base && low < reader->start_count && size > reader->starts[low] - base)
		size /= 2;
	return size;
}

static void guess_sizes(const struct reader *reader)
{
	for (size_t i = 0; i < reader->snapshot->function_count; i++) {
		struct p2pdma_function *function = reader->made[i];

		for (int j = 0; j < BAR_COUNT; j++) {
			struct bar *bar = &function->bars[j];

			if (bar->kind != BAR_NONE && !bar->size)
				bar->size = bar->kind == BAR_IO
				                    ? GUESS_IO
				                    : guess_size(reader,
				                                 function_bar_base(function, j));
		}
	}
}

/* ---- what the fabric file says beside ---- */

static int attach_all(const struct reader *reader)
{
	static const char *const own_keys[] = { "model", NULL };
	const struct source *source = reader->source;
	json_t *models = json_object_get(source->root, "models");
	int r = 0;

	if (models && !json_is_object(models))
		return wrong_key(source, source->root, "models", "\"models\": expected an object");
	for (void *iter = json_object_iter(models); iter && !r;
	     iter = json_object_iter_next(models, iter)) {
		const char *key = json_object_iter_key(iter);
		const json_t *object = json_object_iter_value(iter);
		struct p2pdma_function *function = NULL;
		struct p2pdma_bdf bdf;

		if (parse_bdf(key, false, &bdf))
			function = made_of(reader, snapshot_find(reader->snapshot, bdf));
		if (!function)
			return wrong_key(source, models, key,
			                 "\"%.64s\": the capture has no such function", key);
		if (function->model || !json_object_get(object, "model"))
			return wrong_key(source, models, key, "\"%.64s\": expected one \"model\"",
			                 key);
		r = attach_model(source, object, own_keys, function);
	}
	return r;
}

/* As Linux: known by the first function on the root bus if that is 00.0 or a root port; or the CPU.
 */
static void guess_root(const struct snapshot *snapshot, struct root *root)
{
	const struct segment *segment = root->segment;
	const struct p2pdma_function *first = segment->members[0];
	const struct policy *policy = NULL;

	if (!first->bdf.devfn || first->kind == P2PDMA_KIND_ROOT_PORT)
		policy = policy_of_bridge((uint32_t)get16(first->config) << 16 |
		                          get16(first->config + PCI_DEVICE_ID));
	if (!policy && snapshot->cpu_vendor && !strcmp(snapshot->cpu_vendor, "AuthenticAMD") &&
	    snapshot->cpu_family >= FAMILY_ZEN)
		policy = policy_find("amd-zen");
	if (policy)
		root->policy = *policy;
	for (size_t i = segment->member_count; i--;)
		if (segment->members[i]->numa_node >= 0)
			root->socket = segment->members[i]->numa_node;
}

static int describe_roots(struct fabric *fabric, const struct source *source)
{
	const json_t *roots = json_object_get(source->root, "roots");
	static const char *const keys[] = { "bus", "platform", "socket", "latency_ns", NULL };
	const json_t *object;
	size_t i;
	int r = 0;

	if (roots && !json_is_array(roots))
		return wrong_key(source, source->root, "roots", "\"roots\": expected an array");
	json_array_foreach(roots, i, object)
	{
		struct p2pdma_bdf bus;
		bool has_bus = false;
		size_t at = 0;

		if (!json_is_object(object))
			return wrong_item(source, roots, i, "expected an object");
		if ((r = only_keys(source, object, keys)) ||
		    (r = get_bdf(source, object, "bus", true, &has_bus, &bus)))
			return r;
		while (has_bus && at < fabric->root_count &&
		       snapshot_compare(fabric->roots[at].bus, bus))
			at++;
		if (!has_bus || at == fabric->root_count)
			return wrong_key(source, object, "bus",
			                 "\"bus\": expected a root bus of the capture");
		r = read_root(source, object, &fabric->roots[at]);
		if (r)
			return r;
	}
	return 0;
}

static int build(struct reader *reader)
{
	const struct source *source = reader->source;
	struct fabric *fabric = reader->fabric;
	size_t count = reader->snapshot->function_count;
	int r;

	reader->made = calloc(count, sizeof(struct p2pdma_function *));
	reader->starts = calloc(count, BAR_COUNT * sizeof(*reader->starts));
	if (!reader->made || !reader->starts || make_all(reader))
		return source_out_of_memory(source);
	find_all_vfs(reader);
	if (place_all(reader))
		return source_out_of_memory(source);
	for (size_t i = 0; i < count; i++)
		read_bars(reader, i);
	qsort(reader->starts, reader->start_count, sizeof(*reader->starts), compare_starts);
	for (size_t i = 0; i < fabric->root_count; i++)
		guess_root(reader->snapshot, &fabric->roots[i]);
	if ((r = describe_roots(fabric, source)) || (r = attach_all(reader)))
		return r;
	guess_sizes(reader);
	return 0;
}

int fabric_from_capture(const struct source *source, struct fabric *fabric)
{
	struct reader reader = { .source = source, .fabric = fabric, .snapshot = fabric->said };
	int r = build(&reader);

	free(reader.made);
	free(reader.starts);
	/* The functions have their own. */
	for (size_t i = 0; i < fabric->said->function_count; i++) {
		struct snapshot_function *from = &fabric->said->functions[i];

		free(from->config);
		free(from->resources);
		from->config = NULL;
		from->resources = NULL;
		from->config_len = from->resource_count = 0;
	}
	return r;
}
