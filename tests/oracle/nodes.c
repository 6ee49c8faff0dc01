/* SPDX-License-Identifier: MIT */
/* What the naive judge knows of each function, read from the snapshot's bytes. */
#include <stdlib.h>
#include <string.h>

#include "naive.h"

int64_t node_read(const struct node *node, size_t offset, size_t bytes)
{
	int64_t value = 0;

	for (size_t i = bytes; i-- > 0;) {
		if (node->is_dead || offset + i >= node->f->config_len)
			return UNKNOWN;
		value = value << 8 | node->f->config[offset + i];
	}
	return value;
}

/*
 * Offset of a capability, 0 when the list ends without it, UNKNOWN when it leaves the capture,
 * loops or meets an entry of ones before.
 */
int node_capability(const struct node *node, int id)
{
	int64_t status = node_read(node, 6, 2), at, entry;

	if (status == UNKNOWN)
		return UNKNOWN;
	if (!(status & 0x10))
		return 0;
	at = node_read(node, node->is_cardbus ? 0x14 : 0x34, 1);
	for (int i = 0; i <= 48; i++) {
		if (at == UNKNOWN)
			return UNKNOWN;
		at &= 0xfc;
		if (at < 0x40)
			return 0;
		entry = node_read(node, at, 2);
		if (entry == UNKNOWN)
			return UNKNOWN;
		if ((entry & 0xff) == 0xff)
			return UNKNOWN;
		if ((entry & 0xff) == id)
			return (int)at;
		at = entry >> 8;
	}
	return UNKNOWN;
}

int node_extended(const struct node *node, int id)
{
	int express = node_capability(node, 0x10), at = 0x100;

	/* A conventional function has no extended space, and what has no known kind may be one. */
	if (express <= 0)
		return express;
	if (node->kind == P2PDMA_KIND_UNKNOWN)
		return UNKNOWN;
	for (int i = 0; i < 480; i++) {
		int64_t entry = node_read(node, at, 4);

		if (entry == UNKNOWN)
			return UNKNOWN;
		if (entry == 0xffffffff)
			return BROKEN;
		if (entry == 0 && at == 0x100)
			return 0;
		if ((entry & 0xffff) == id)
			return at;
		at = entry >> 20 & 0xffc;
		if (at < 0x100)
			return 0;
	}
	return BROKEN;
}

static enum p2pdma_kind port_kind(const struct node *node, int express)
{
	int64_t flags;

	if (express == UNKNOWN)
		return P2PDMA_KIND_UNKNOWN;
	if (express == 0)
		return node->is_bridge ? P2PDMA_KIND_PCI_BRIDGE : P2PDMA_KIND_PCI;
	flags = node_read(node, express + 2, 2);
	switch (flags == UNKNOWN ? UNKNOWN : flags >> 4 & 0xf) {
	case 0:
	case 1:
		return P2PDMA_KIND_ENDPOINT;
	case 4:
		return P2PDMA_KIND_ROOT_PORT;
	case 5:
		return P2PDMA_KIND_UPSTREAM_PORT;
	case 6:
		return P2PDMA_KIND_DOWNSTREAM_PORT;
	case 7:
		return P2PDMA_KIND_PCIE_TO_PCI;
	case 8:
		return P2PDMA_KIND_PCI_TO_PCIE;
	case 9:
	case 10:
		return P2PDMA_KIND_RC_ENDPOINT;
	default:
		return P2PDMA_KIND_UNKNOWN;
	}
}

static bool is_quirky_pch(const struct node *node)
{
	int64_t d = node->device;

	return node->vendor == 0x8086 && node->kind == P2PDMA_KIND_ROOT_PORT &&
	       ((d >= 0xa110 && d <= 0xa11f) || (d >= 0xa167 && d <= 0xa16a) ||
	        (d >= 0xa290 && d <= 0xa29f) || (d >= 0xa2e7 && d <= 0xa2ee) ||
	        (d >= 0x9d10 && d <= 0x9d1b));
}

static void decode_acs(struct node *node)
{
	int at = node_extended(node, 0x0d);
	size_t width = is_quirky_pch(node) ? 4 : 2;
	int64_t capability, control;

	/* Linux finds nothing in a broken list. */
	node->kernel_acs = at == UNKNOWN ? UNKNOWN : 0;
	if (at > 0)
		node->kernel_acs = (int)node_read(node, at + 6, 2);
	node->acs.known = at < 0 ? P2PDMA_UNKNOWN : P2PDMA_NO;
	if (at <= 0)
		return;
	capability = node_read(node, at + 4, 2);
	control = node_read(node, at + 4 + width, 2);
	node->acs.known = capability == UNKNOWN || control == UNKNOWN ? P2PDMA_UNKNOWN : P2PDMA_YES;
	if (node->acs.known != P2PDMA_YES)
		return;
	node->acs.capability = (uint16_t)capability;
	node->acs.control = (uint16_t)control;
	node->acs.vector = width == 2 ? at + 8 : 0;
}

static void decode(struct node *node)
{
	int express = 0, pm, ats;
	int64_t header = node_read(node, 0x0e, 1), value;

	/* What answers nothing tells nothing. */
	node->is_dead = header == 0xff;
	header = node->is_dead ? UNKNOWN : header;
	node->is_cardbus = header != UNKNOWN && (header & 0x7f) == 2;
	node->is_bridge = node->is_cardbus || (header != UNKNOWN && (header & 0x7f) == 1);
	node->vendor = node_read(node, 0, 2);
	node->device = node_read(node, 2, 2);
	node->subsystem = header != UNKNOWN && !(header & 0x7f) ? node_read(node, 0x2c, 4) : 0;
	node->command = (int)node_read(node, 4, 2);
	node->secondary = node->is_bridge ? (int)node_read(node, 0x19, 1) : UNKNOWN;
	express = node_capability(node, 0x10);
	node->kind = port_kind(node, express);
	node->mps = node->port_number = node->power = UNKNOWN;
	if (express > 0) {
		value = node_read(node, express + 8, 2);
		node->mps = value == UNKNOWN || (value >> 5 & 7) == 7 ? UNKNOWN : value >> 5 & 7;
		value = node_read(node, express + 12, 4);
		node->port_number = value == UNKNOWN ? UNKNOWN : (int)(value >> 24);
	}
	pm = node_capability(node, 0x01);
	value = pm > 0 ? node_read(node, pm + 4, 2) : UNKNOWN;
	node->power = value == UNKNOWN ? UNKNOWN : value & 3;
	node->sriov = node_extended(node, 0x10);
	ats = node_extended(node, 0x0f);
	value = ats > 0 ? node_read(node, ats + 6, 2) : ats;
	node->ats = value < 0 ? P2PDMA_UNKNOWN : value >> 15 & 1;
	decode_acs(node);
}

static bool same_address(struct p2pdma_bdf a, struct p2pdma_bdf b)
{
	return a.domain == b.domain && a.bus == b.bus && a.devfn == b.devfn;
}

/*
 * The number of the VF of @pf that answers at @bdf, or UNKNOWN.  Where the OS said whose VF it is,
 * the PF may have been captured with its VFs switched off.
 */
static int vf_number(const struct node *pf, struct p2pdma_bdf bdf, bool is_recorded)
{
	int64_t control, num, offset, stride, rid = pf->f->bdf.bus << 8 | pf->f->bdf.devfn;

	if (pf->sriov <= 0 || pf->f->bdf.domain != bdf.domain)
		return UNKNOWN;
	control = node_read(pf, pf->sriov + 0x08, 2);
	num = node_read(pf, pf->sriov + 0x10, 2);
	offset = node_read(pf, pf->sriov + 0x14, 2);
	stride = node_read(pf, pf->sriov + 0x16, 2);
	if (control < 0 || num < 0 || offset <= 0 || stride < 0 || (!is_recorded && !(control & 1)))
		return UNKNOWN;
	for (int i = 0; i < num; i++) {
		if (rid + offset + i * stride == (bdf.bus << 8 | bdf.devfn))
			return i;
	}
	return UNKNOWN;
}

/*
 * The SR-IOV registers that lead to @node.  Called by ascending address, so that what could be the
 * PF is itself decided.
 */
static void mark_by_registers(struct naive *naive, struct node *node)
{
	int64_t header = node_read(node, 0x0e, 1);

	node->vf_index = UNKNOWN;
	node->is_vf = node->f->has_physfn || node->vendor == 0xffff;
	if (node->f->has_physfn || (header != UNKNOWN && header & 0x7f))
		return;
	for (size_t i = 0; i < naive->count && !node->pf; i++) {
		struct node *pf = &naive->nodes[i];

		/* A VF has no VFs. */
		if (pf == node || pf->is_vf || pf->f->has_physfn || pf->vendor == 0xffff)
			continue;
		node->vf_index = vf_number(pf, node->f->bdf, false);
		if (node->vf_index != UNKNOWN) {
			node->pf = pf;
			node->is_vf = true;
		}
	}
}

/* Once all registers are read: the PF that the OS named, unless that is a VF. */
static void mark_by_record(struct naive *naive, struct node *node)
{
	for (size_t i = 0; i < naive->count; i++) {
		struct node *pf = &naive->nodes[i];

		if (!same_address(pf->f->bdf, node->f->physfn) || pf->is_vf)
			continue;
		node->pf = pf;
		node->vf_index = vf_number(pf, node->f->bdf, true);
	}
}

static uint8_t bus_of(const struct node *node)
{
	return node->pf ? node->pf->f->bdf.bus : node->f->bdf.bus;
}

/* How many bridges claim the bus of @node, and the last of them. */
static int count_owners(struct naive *naive, const struct node *node, struct node **ret_owner)
{
	int count = 0;

	*ret_owner = NULL;
	for (size_t i = 0; i < naive->count; i++) {
		struct node *bridge = &naive->nodes[i];

		if (bridge->is_bridge && !bridge->is_vf &&
		    bridge->f->bdf.domain == node->f->bdf.domain &&
		    bridge->secondary == bus_of(node) && bridge->secondary > bridge->f->bdf.bus) {
			*ret_owner = bridge;
			count++;
		}
	}
	return count;
}

static struct node *find_owner(struct naive *naive, const struct node *node)
{
	const struct node *own = node->pf ? node->pf : node;
	struct node *owner;

	if (node->is_vf && !node->pf)
		return NULL; /* it belongs beside a PF that was not captured */
	if (own->f->has_root_bus && own->f->root_bus.domain == own->f->bdf.domain &&
	    own->f->root_bus.bus == own->f->bdf.bus)
		return NULL; /* the OS calls its bus a root bus */
	return count_owners(naive, node, &owner) == 1 ? owner : NULL;
}

static bool is_host_bridge(const struct node *node)
{
	return node_read(node, 0x0a, 2) == 0x0600 && (node_read(node, 0x0e, 1) & 0x7f) == 0;
}

/* Is what is above an ownerless bus missing from the capture? */
static bool top_is_missing(struct naive *naive, const struct node *top, const struct bus *bus)
{
	bool proves_root = bus->number == 0;
	struct node *owner;

	if (bus->first && bus->first->f->has_root_bus)
		return bus->first->f->root_bus.domain != bus->domain ||
		       bus->first->f->root_bus.bus != bus->number;
	if (count_owners(naive, top, &owner) > 1)
		return true;
	for (size_t i = 0; i < naive->count; i++) {
		const struct node *node = &naive->nodes[i];

		if (node->is_vf || node->f->bdf.domain != bus->domain ||
		    node->f->bdf.bus != bus->number)
			continue;
		if (node->kind == P2PDMA_KIND_UPSTREAM_PORT ||
		    node->kind == P2PDMA_KIND_DOWNSTREAM_PORT)
			return true;
		/* It may be one of those, too. */
		if (bus->number && node->kind == P2PDMA_KIND_UNKNOWN && node->is_bridge &&
		    !node->is_cardbus)
			return true;
		if (node->kind == P2PDMA_KIND_ROOT_PORT || node->kind == P2PDMA_KIND_RC_ENDPOINT ||
		    is_host_bridge(node))
			proves_root = true;
	}
	return !proves_root;
}

static struct bus *find_bus(struct naive *naive, const struct node *top)
{
	struct bus *bus;

	for (size_t i = 0; i < naive->bus_count; i++) {
		bus = &naive->buses[i];
		if (bus->domain == top->f->bdf.domain && bus->number == bus_of(top))
			return bus;
	}
	bus = &naive->buses[naive->bus_count++];
	*bus = (struct bus){ .domain = top->f->bdf.domain, .number = bus_of(top) };
	for (size_t i = 0; i < naive->count && !bus->first; i++) {
		const struct node *node = &naive->nodes[i];

		if (!node->is_vf && node->f->bdf.domain == bus->domain &&
		    node->f->bdf.bus == bus->number)
			bus->first = node;
	}
	bus->missing = top_is_missing(naive, top, bus);
	return bus;
}

static enum p2pdma_cpu cpu_rule(const struct naive *naive, const struct snapshot *snapshot)
{
	if (snapshot->cpu_vendor) {
		if (!strcmp(snapshot->cpu_vendor, "AuthenticAMD") && snapshot->cpu_family >= 0x17)
			return P2PDMA_CPU_AMD_ZEN;
		return P2PDMA_CPU_OTHER;
	}
	for (size_t i = 0; i < naive->count; i++) {
		const struct node *node = &naive->nodes[i];

		if (node->root_missing || node->root->first->vendor != 0x8086)
			return P2PDMA_CPU_AUTO;
	}
	return P2PDMA_CPU_OTHER;
}

static struct p2pdma_profile profile_of(const char *kernel)
{
	struct p2pdma_profile profile = { 7, 2 };
	char *end;

	if (!kernel)
		return profile;
	profile.major = (uint16_t)strtoul(kernel, &end, 10);
	profile.minor = *end == '.' ? (uint16_t)strtoul(end + 1, NULL, 10) : 0;
	return profile.major >= 6 ? profile : (struct p2pdma_profile){ 0, 0 };
}

struct naive *naive_new(const struct snapshot *snapshot, const struct p2pdma_routes_opts *opts)
{
	struct naive *naive = calloc(1, sizeof(*naive));

	if (!naive)
		abort();
	naive->count = snapshot->function_count;
	naive->nodes = calloc(naive->count, sizeof(*naive->nodes));
	naive->buses = calloc(naive->count, sizeof(*naive->buses));
	if (!naive->nodes || !naive->buses)
		abort();
	for (size_t i = 0; i < naive->count; i++) {
		naive->nodes[i].f = &snapshot->functions[i];
		decode(&naive->nodes[i]);
	}
	for (size_t i = 0; i < naive->count; i++)
		mark_by_registers(naive, &naive->nodes[i]);
	for (size_t i = 0; i < naive->count; i++) {
		if (naive->nodes[i].f->has_physfn)
			mark_by_record(naive, &naive->nodes[i]);
	}
	for (size_t i = 0; i < naive->count; i++)
		naive->nodes[i].parent = find_owner(naive, &naive->nodes[i]);
	for (size_t i = 0; i < naive->count; i++) {
		struct node *top = &naive->nodes[i];

		while (top->parent)
			top = top->parent;
		naive->nodes[i].root = find_bus(naive, top);
		naive->nodes[i].root_missing =
			naive->nodes[i].root->missing || (top->is_vf && !top->pf);
	}
	for (size_t i = 0; i < naive->count; i++)
		naive_claim(&naive->nodes[i]);
	naive->profile = opts && opts->profile.major ? opts->profile : profile_of(snapshot->kernel);
	naive->cpu = opts ? opts->cpu : P2PDMA_CPU_AUTO;
	if (naive->cpu == P2PDMA_CPU_AUTO)
		naive->cpu = cpu_rule(naive, snapshot);
	if (snapshot->hypervisor && strcmp(snapshot->hypervisor, "none"))
		naive->virtual_machine = strcmp(snapshot->hypervisor, "qemu") ? 1 : 2;
	/* No real machine has QEMU's models. */
	for (size_t i = 0; i < naive->count && !snapshot->hypervisor; i++) {
		const struct node *node = &naive->nodes[i];

		if (node->vendor == 0x1b36 || node->vendor == 0x1234 ||
		    node->subsystem == 0x11001af4)
			naive->virtual_machine = 1;
	}
	return naive;
}

void naive_free(struct naive *naive)
{
	if (naive) {
		free(naive->buses);
		free(naive->nodes);
	}
	free(naive);
}
