/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "topology.h"

#define HEADER_TYPE        0x0e
#define CLASS_AND_REVISION 0x08
#define CLASS_HOST_BRIDGE  0x0600
#define SECONDARY_BUS      0x19
#define SUBORDINATE_BUS    0x1a
#define SRIOV_CONTROL      0x08
#define SRIOV_NUM_VFS      0x10
#define SRIOV_FIRST_OFFSET 0x14
#define SRIOV_STRIDE       0x16
#define SRIOV_VF_DEVICE    0x1a
#define SRIOV_CONTROL_VFE  0x01

/* No machine has more VFs than routing IDs; a capture that claims more is lying. */
#define MAX_VF_LOOKUPS (4 * SNAPSHOT_MAX_FUNCTIONS)

/* Scratch state of one build, in snapshot order until the preorder is known. */
struct build {
	struct p2pdma_machine *machine;
	struct p2pdma_device *nodes;
	size_t count;
	struct bus_owner *owners;
	size_t owner_count;
	uint32_t *next_sibling;
	uint32_t *first_child;
	uint32_t *first_of_root;
	uint32_t *root_of; /* for functions without a parent */
	uint32_t appended;
};

struct bus_owner {
	uint32_t domain;
	uint8_t bus;
	uint32_t node;
};

/* Position of an address in the snapshot, NO_INDEX when it has none. */
static uint32_t find_in_snapshot(const struct snapshot *snapshot, struct p2pdma_bdf bdf)
{
	size_t low = 0, high = snapshot->function_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = snapshot_compare(snapshot->functions[middle].bdf, bdf);

		if (!order)
			return (uint32_t)middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NO_INDEX;
}

struct p2pdma_device *topology_find(const struct p2pdma_machine *machine, struct p2pdma_bdf bdf)
{
	uint32_t position = find_in_snapshot(machine->snapshot, bdf);

	return position == NO_INDEX ? NULL : &machine->devices[machine->by_address[position]];
}

/* PCIe Base 7.5.3.2, Device/Port Type. */
static enum p2pdma_kind read_kind(struct pcicap_config config, uint8_t header_type)
{
	static const enum p2pdma_kind kinds[16] = {
		[0x0] = P2PDMA_KIND_ENDPOINT,        [0x1] = P2PDMA_KIND_ENDPOINT,
		[0x4] = P2PDMA_KIND_ROOT_PORT,       [0x5] = P2PDMA_KIND_UPSTREAM_PORT,
		[0x6] = P2PDMA_KIND_DOWNSTREAM_PORT, [0x7] = P2PDMA_KIND_PCIE_TO_PCI,
		[0x8] = P2PDMA_KIND_PCI_TO_PCIE,     [0x9] = P2PDMA_KIND_RC_ENDPOINT,
		[0xa] = P2PDMA_KIND_RC_ENDPOINT,
	};
	int offset = pcicap_find(config, PCICAP_ID_EXP);
	uint16_t flags;

	if (offset == -ENOENT)
		return header_type == 0 ? P2PDMA_KIND_PCI : P2PDMA_KIND_PCI_BRIDGE;
	if (offset < 0 || pcicap_read16(config, (size_t)offset + 2, &flags))
		return P2PDMA_KIND_UNKNOWN;
	return kinds[flags >> 4 & 0xf];
}

static void decode(struct build *build, uint32_t position)
{
	struct p2pdma_device *node = &build->nodes[position];
	const struct snapshot_function *function = &build->machine->snapshot->functions[position];
	uint8_t header = 0;

	node->machine = build->machine;
	node->function = function;
	node->parent = node->physfn = NO_INDEX;
	node->config = (struct pcicap_config){ function->config, function->config_len };
	if (!pcicap_read8(node->config, HEADER_TYPE, &header) && header == 0xff) {
		node->is_dead = true;
		node->config.len = 0;
		header = 0;
	}
	node->header_type = header & 0x7f;
	pcicap_read16(node->config, 0, &node->vendor);
	pcicap_read16(node->config, 2, &node->device);
	node->kind = read_kind(node->config, node->header_type);
	/* Header types 1 (PCI-to-PCI bridge) and 2 (CardBus bridge) keep bus numbers in one place.
	 */
	if (node->header_type == 1 || node->header_type == 2) {
		pcicap_read8(node->config, SECONDARY_BUS, &node->secondary);
		pcicap_read8(node->config, SUBORDINATE_BUS, &node->subordinate);
	}
	pcicap_read_acs(node->config, node->kind, &node->acs, &node->kernel_redirects,
	                &node->kernel_control);
	if (!node->is_dead && node->vendor == 0xffff && node->config.len)
		node->is_vf = true;
}

/* Marks the VFs of one PF (PCIe Base 9.2.1.2: routing IDs by First VF Offset and VF Stride). */
static void mark_vfs(struct build *build, uint32_t position, size_t *lookups)
{
	struct p2pdma_device *pf = &build->nodes[position];
	const struct snapshot *snapshot = build->machine->snapshot;
	int sriov = pcicap_find_ext(pf->config, PCICAP_EXT_SRIOV);
	uint16_t control, count, offset, stride, vf_device = 0;
	struct p2pdma_bdf bdf = pf->function->bdf;

	if (pf->is_vf || sriov < 0 ||
	    pcicap_read16(pf->config, (size_t)sriov + SRIOV_CONTROL, &control) ||
	    pcicap_read16(pf->config, (size_t)sriov + SRIOV_NUM_VFS, &count) ||
	    pcicap_read16(pf->config, (size_t)sriov + SRIOV_FIRST_OFFSET, &offset) ||
	    pcicap_read16(pf->config, (size_t)sriov + SRIOV_STRIDE, &stride) ||
	    !(control & SRIOV_CONTROL_VFE) || !offset)
		return;
	pcicap_read16(pf->config, (size_t)sriov + SRIOV_VF_DEVICE, &vf_device);
	for (uint32_t i = 0; i < count && (i == 0 || stride) && *lookups; i++, --*lookups) {
		uint32_t id = ((uint32_t)bdf.bus << 8 | bdf.devfn) + offset + i * stride;
		struct p2pdma_device *vf;
		uint32_t at;

		if (id > 0xffff)
			return;
		at = find_in_snapshot(snapshot, (struct p2pdma_bdf){ bdf.domain, (uint8_t)(id >> 8),
		                                                     (uint8_t)id });
		if (at == NO_INDEX || build->nodes[at].physfn != NO_INDEX ||
		    build->nodes[at].header_type || snapshot->functions[at].has_physfn)
			continue;
		vf = &build->nodes[at];
		vf->is_vf = true;
		vf->physfn = position;
		vf->vf_number = i;
		vf->vendor = pf->vendor;
		vf->device = vf_device;
	}
}

/* What the OS said goes before what the registers imply. */
static void link_physfn(struct build *build, uint32_t position)
{
	struct p2pdma_device *vf = &build->nodes[position];
	const struct snapshot *snapshot = build->machine->snapshot;
	const struct p2pdma_device *pf;
	uint32_t at, distance;
	uint16_t offset, stride;
	int sriov;

	if (!vf->function->has_physfn)
		return;
	vf->is_vf = true;
	at = find_in_snapshot(snapshot, vf->function->physfn);
	if (at == NO_INDEX || at == position || build->nodes[at].is_vf ||
	    snapshot->functions[at].has_physfn)
		return;
	pf = &build->nodes[at];
	vf->physfn = at;
	vf->vendor = pf->vendor;
	sriov = pcicap_find_ext(pf->config, PCICAP_EXT_SRIOV);
	if (sriov < 0)
		return;
	pcicap_read16(pf->config, (size_t)sriov + SRIOV_VF_DEVICE, &vf->device);
	if (pcicap_read16(pf->config, (size_t)sriov + SRIOV_FIRST_OFFSET, &offset) ||
	    pcicap_read16(pf->config, (size_t)sriov + SRIOV_STRIDE, &stride))
		return;
	distance = (uint32_t)((vf->function->bdf.bus << 8 | vf->function->bdf.devfn) -
	                      (pf->function->bdf.bus << 8 | pf->function->bdf.devfn)) -
	           offset;
	/* The OS knows whose VF it is; that its number makes no sense here only costs its address.
	 */
	vf->vf_number = stride && distance <= UINT16_MAX ? distance / stride : 0;
}

static int compare_owner(const void *left, const void *right)
{
	const struct bus_owner *a = left, *b = right;

	if (a->domain != b->domain)
		return a->domain < b->domain ? -1 : 1;
	if (a->bus != b->bus)
		return a->bus < b->bus ? -1 : 1;
	return (a->node > b->node) - (a->node < b->node);
}

static void collect_owners(struct build *build)
{
	for (uint32_t i = 0; i < build->count; i++) {
		const struct p2pdma_device *node = &build->nodes[i];

		if (node->is_vf || node->secondary <= node->function->bdf.bus)
			continue;
		build->owners[build->owner_count++] =
			(struct bus_owner){ node->function->bdf.domain, node->secondary, i };
	}
	if (build->owner_count)
		qsort(build->owners, build->owner_count, sizeof(*build->owners), compare_owner);
}

/* How many bridges claim a bus, and one of them. */
static size_t claims_on(const struct build *build, uint32_t domain, uint8_t bus,
                        uint32_t *ret_owner)
{
	size_t low = 0, high = build->owner_count, count = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct bus_owner *owner = &build->owners[middle];

		if (owner->domain < domain || (owner->domain == domain && owner->bus < bus))
			low = middle + 1;
		else
			high = middle;
	}
	*ret_owner = NO_INDEX;
	for (; low + count < build->owner_count && build->owners[low + count].domain == domain &&
	       build->owners[low + count].bus == bus;
	     count++)
		*ret_owner = build->owners[low + count].node;
	return count;
}

/* The bridge that owns a bus; none when several claim it, for then nobody knows whose it is. */
static uint32_t owner_of(const struct build *build, uint32_t domain, uint8_t bus)
{
	uint32_t owner;

	return claims_on(build, domain, bus, &owner) == 1 ? owner : NO_INDEX;
}

/* What the functions on a bus without an owner say about it. */
enum evidence {
	EVIDENCE_NONE = 0,
	EVIDENCE_ROOT = 1,  /* something that only a root bus has */
	EVIDENCE_INNER = 2, /* something that only sits behind a bridge */
	EVIDENCE_DOUBT = 4, /* a bridge that may be such a thing */
};

static enum evidence evidence_of(const struct p2pdma_device *node)
{
	uint32_t class_and_revision;
	uint8_t header;

	switch (node->kind) {
	case P2PDMA_KIND_UPSTREAM_PORT:
	case P2PDMA_KIND_DOWNSTREAM_PORT:
		return EVIDENCE_INNER;
	case P2PDMA_KIND_ROOT_PORT:
	case P2PDMA_KIND_RC_ENDPOINT:
		return EVIDENCE_ROOT;
	default:
		if (node->kind == P2PDMA_KIND_UNKNOWN && node->header_type == 1)
			return EVIDENCE_DOUBT;
		if (!pcicap_read32(node->config, CLASS_AND_REVISION, &class_and_revision) &&
		    class_and_revision >> 16 == CLASS_HOST_BRIDGE &&
		    !pcicap_read8(node->config, HEADER_TYPE, &header) && !(header & 0x7f))
			return EVIDENCE_ROOT;
		return EVIDENCE_NONE;
	}
}

/*
 * Whether the capture lacks what is above a bus without an owner.  What the OS said decides.
 * Otherwise bus 0 is a root bus (hypervisors put endpoints there), and any other needs evidence:
 * `lspci -s` gives fragments.
 */
static bool is_top_missing(const struct build *build, uint32_t first, unsigned int evidence)
{
	const struct snapshot_function *function = build->nodes[first].function;
	struct p2pdma_bdf bus = { function->bdf.domain, function->bdf.bus, 0 };
	uint32_t owner;

	if (function->has_root_bus)
		return snapshot_compare(function->root_bus, bus) != 0;
	if (claims_on(build, bus.domain, bus.bus, &owner))
		return true;
	if (evidence & EVIDENCE_INNER)
		return true;
	return bus.bus && (evidence & (EVIDENCE_ROOT | EVIDENCE_DOUBT)) != EVIDENCE_ROOT;
}

/* Gives every function on a bus without an owner its root bus, and finds roots that are not. */
static void collect_roots(struct build *build)
{
	struct p2pdma_machine *machine = build->machine;
	struct topology_root *root = NULL;
	unsigned int evidence = 0;

	for (uint32_t i = 0; i < build->count; i++) {
		const struct p2pdma_device *node = &build->nodes[i];
		const struct snapshot_function *function = node->function;
		struct p2pdma_bdf bus = { function->bdf.domain, function->bdf.bus, 0 };

		build->root_of[i] = NO_INDEX;
		if (node->parent != NO_INDEX || (node->is_vf && node->physfn != NO_INDEX))
			continue;
		if (node->is_vf) {
			/* Its place is beside its PF, which is not here: it stands alone. */
			build->root_of[i] = (uint32_t)machine->root_count;
			machine->roots[machine->root_count++] = (struct topology_root){
				.bus = bus, .root_device = NO_INDEX, .is_missing = true
			};
			continue;
		}
		if (!root || snapshot_compare(root->bus, bus)) {
			root = &machine->roots[machine->root_count++];
			*root = (struct topology_root){ .bus = bus, .root_device = i };
			evidence = 0;
		}
		evidence |= evidence_of(node);
		root->is_missing = is_top_missing(build, root->root_device, evidence);
		build->root_of[i] = (uint32_t)(root - machine->roots);
	}
	/* A VF's root bus is its PF's; its own bus number may be nobody's. */
	for (uint32_t i = 0; i < build->count; i++) {
		const struct p2pdma_device *node = &build->nodes[i];

		if (node->parent == NO_INDEX && node->physfn != NO_INDEX)
			build->root_of[i] = build->root_of[node->physfn];
	}
}

static bool is_recorded_root(const struct snapshot_function *function)
{
	struct p2pdma_bdf bus = { function->bdf.domain, function->bdf.bus, 0 };

	return function->has_root_bus && !snapshot_compare(function->root_bus, bus);
}

static void link_parents(struct build *build)
{
	for (uint32_t i = 0; i < build->count; i++) {
		struct p2pdma_device *node = &build->nodes[i];

		/* What the OS calls a root bus has no bridge above, whatever some register says. */
		if (!node->is_vf && !is_recorded_root(node->function))
			node->parent = owner_of(build, node->function->bdf.domain,
			                        node->function->bdf.bus);
	}
	for (uint32_t i = 0; i < build->count; i++) {
		struct p2pdma_device *node = &build->nodes[i];

		if (node->physfn != NO_INDEX)
			node->parent = build->nodes[node->physfn].parent;
	}
}

/*
 * Appends a function and all below it.  Recursion is as deep as the tree: at most 256, since bus
 * numbers grow on the way down.
 */
static void append_tree(struct build *build, uint32_t at, uint32_t parent, uint32_t root)
{
	struct p2pdma_machine *machine = build->machine;
	uint32_t index = build->appended++;
	struct p2pdma_device *device = &machine->devices[index];

	*device = build->nodes[at];
	device->index = index;
	device->parent = parent;
	device->root = root;
	device->depth = parent == NO_INDEX ? 1 : machine->devices[parent].depth + 1;
	machine->by_address[at] = index;
	for (uint32_t child = build->first_child[at]; child != NO_INDEX;
	     child = build->next_sibling[child])
		append_tree(build, child, index, root);
	device->end = build->appended;
}

/* Puts the functions into preorder and turns snapshot positions into indices. */
static void append_all(struct build *build)
{
	struct p2pdma_machine *machine = build->machine;

	for (uint32_t i = 0; i < build->count; i++)
		build->first_child[i] = build->first_of_root[i] = NO_INDEX;
	/* Backwards, so that each list comes out by address. */
	for (uint32_t i = (uint32_t)build->count; i-- > 0;) {
		uint32_t parent = build->nodes[i].parent;
		uint32_t *head = parent == NO_INDEX ? &build->first_of_root[build->root_of[i]]
		                                    : &build->first_child[parent];

		build->next_sibling[i] = *head;
		*head = i;
	}
	for (uint32_t root = 0; root < machine->root_count; root++) {
		machine->roots[root].first = build->appended;
		for (uint32_t i = build->first_of_root[root]; i != NO_INDEX;
		     i = build->next_sibling[i])
			append_tree(build, i, NO_INDEX, root);
		machine->roots[root].end = build->appended;
	}
	for (uint32_t i = 0; i < build->count; i++)
		if (machine->devices[i].physfn != NO_INDEX)
			machine->devices[i].physfn =
				machine->by_address[machine->devices[i].physfn];
	for (uint32_t root = 0; root < machine->root_count; root++)
		if (machine->roots[root].root_device != NO_INDEX)
			machine->roots[root].root_device =
				machine->by_address[machine->roots[root].root_device];
}

int topology_build(struct p2pdma_machine *machine)
{
	size_t count = machine->snapshot->function_count, lookups = MAX_VF_LOOKUPS;
	struct build build = { .machine = machine, .count = count };
	int r = -ENOMEM;

	build.nodes = calloc(count, sizeof(*build.nodes));
	build.owners = calloc(count, sizeof(*build.owners));
	build.next_sibling = calloc(count, sizeof(*build.next_sibling));
	build.first_child = calloc(count, sizeof(*build.first_child));
	build.first_of_root = calloc(count, sizeof(*build.first_of_root));
	build.root_of = calloc(count, sizeof(*build.root_of));
	machine->devices = calloc(count, sizeof(*machine->devices));
	machine->by_address = calloc(count, sizeof(*machine->by_address));
	machine->roots = calloc(count, sizeof(*machine->roots));
	if (!build.nodes || !build.owners || !build.next_sibling || !build.first_child ||
	    !build.first_of_root || !build.root_of || !machine->devices || !machine->by_address ||
	    !machine->roots)
		goto out;

	for (uint32_t i = 0; i < count; i++)
		decode(&build, i);
	/* In this order: link_physfn() has to know which PFs are somebody's VF. */
	for (uint32_t i = 0; i < count; i++)
		mark_vfs(&build, i, &lookups);
	for (uint32_t i = 0; i < count; i++)
		link_physfn(&build, i);
	collect_owners(&build);
	link_parents(&build);
	collect_roots(&build);
	append_all(&build);
	machine->device_count = count;
	r = 0;
out:
	free(build.nodes);
	free(build.owners);
	free(build.next_sibling);
	free(build.first_child);
	free(build.first_of_root);
	free(build.root_of);
	if (r)
		topology_done(machine);
	return r;
}

void topology_done(struct p2pdma_machine *machine)
{
	free(machine->devices);
	free(machine->by_address);
	free(machine->roots);
	machine->devices = NULL;
	machine->by_address = NULL;
	machine->roots = NULL;
}
