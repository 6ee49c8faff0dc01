/* SPDX-License-Identifier: MIT */
/* The provider's memory, and what on the path stops an op. */
#include "naive.h"

#define BAR_COUNT(node) ((node)->is_bridge ? 2 : 6)

#define RESOURCE_MEM 0x200

struct memory {
	bool captured, found;
	uint64_t base, size; /* size 0: not known */
};

/* A range of one BAR; false when there is none or it is I/O. */
struct bar {
	bool is_memory, is_64bit, is_prefetchable;
	uint64_t base, size;
};

static uint64_t recorded_size(const struct node *node, int bar)
{
	const struct snapshot_resource *r;

	if ((size_t)bar >= node->f->resource_count)
		return 0;
	r = &node->f->resources[bar];
	if (!(r->flags & RESOURCE_MEM) || r->end <= r->start)
		return 0;
	return r->end - r->start + 1;
}

/* Reads BAR @bar of @node (a VF: out of its PF's VF BARs); false: the registers are not captured.
 */
static bool read_bar(const struct node *node, int bar, struct bar *ret)
{
	const struct node *holder = node->pf ? node->pf : node;
	size_t at = (node->pf ? (size_t)holder->sriov + 0x24 : 0x10) + 4 * (size_t)bar;
	int64_t low = node_read(holder, at, 4), high = 0;

	*ret = (struct bar){ .size = recorded_size(node, bar) };
	if (low == UNKNOWN)
		return false;
	if (low == 0 && ret->size) {
		ret->is_memory = true;
		return true;
	}
	ret->is_memory = low != 0 && !(low & 1);
	if (!ret->is_memory)
		return true;
	ret->is_64bit = (low & 6) == 4;
	ret->is_prefetchable = low & 8;
	if (ret->is_64bit && bar + 1 < BAR_COUNT(node)) {
		high = node_read(holder, at + 4, 4);
		if (high == UNKNOWN)
			return false;
	}
	ret->base = (uint64_t)high << 32 | (low & 0xfffffff0);
	if (ret->base && node->pf && node->vf_index > 0)
		ret->base += (uint64_t)node->vf_index * ret->size;
	return true;
}

static struct memory read_memory(const struct node *node)
{
	struct memory first = { .captured = true }, wide = first, largest = first;
	int64_t header = node_read(node, 0x0e, 1);

	if (node->is_dead || (node->is_vf ? !node->pf || node->pf->sriov <= 0 : header == UNKNOWN))
		return (struct memory){ 0 };
	if (header != UNKNOWN && (header & 0x7f) > 1)
		return first;
	for (int i = 0; i < BAR_COUNT(node); i++) {
		struct bar bar;
		struct memory this = { .captured = true, .found = true };

		if (!read_bar(node, i, &bar)) {
			first.captured = false;
			break;
		}
		this.base = bar.base;
		this.size = bar.size;
		if (bar.is_memory) {
			if (!first.found)
				first = this;
			if (!wide.found && bar.is_64bit && bar.is_prefetchable)
				wide = this;
			if (bar.size > largest.size)
				largest = this;
		}
		i += bar.is_64bit;
	}
	if (largest.found)
		return largest;
	return wide.found ? wide : first;
}

static struct memory judged_memory(const struct node *node)
{
	struct memory m = read_memory(node);

	/* Enhanced Allocation keeps addresses elsewhere, a VF's in its PF. */
	if (!m.base && node_capability(node->pf ? node->pf : node, 0x14) > 0)
		return (struct memory){ 0 };
	return m;
}

bool naive_memory_unknown(const struct node *provider)
{
	struct memory m = judged_memory(provider);

	return !m.captured && !m.found;
}

static bool in_range(struct memory m, uint64_t base, uint64_t limit)
{
	uint64_t last = m.base + (m.size ? m.size - 1 : 0);

	return last >= m.base && m.base >= base && last <= limit;
}

static bool outside_windows(const struct node *bridge, struct memory m)
{
	int64_t base = node_read(bridge, 0x20, 2), limit = node_read(bridge, 0x22, 2);
	int64_t pbase = node_read(bridge, 0x24, 2), plimit = node_read(bridge, 0x26, 2);
	int64_t high = node_read(bridge, 0x28, 4), phigh = node_read(bridge, 0x2c, 4);
	uint64_t from, to;

	if (phigh == UNKNOWN || bridge->is_cardbus)
		return false;
	from = (uint64_t)(base & 0xfff0) << 16;
	to = (uint64_t)(limit & 0xfff0) << 16 | 0xfffff;
	if (in_range(m, from, to))
		return false;
	if ((pbase & 0xf) != 1)
		high = phigh = 0;
	from = (uint64_t)high << 32 | (uint64_t)(pbase & 0xfff0) << 16;
	to = (uint64_t)phigh << 32 | (uint64_t)(plimit & 0xfff0) << 16 | 0xfffff;
	return !in_range(m, from, to);
}

static bool is_off(const struct node *node, int bit)
{
	return node->command != UNKNOWN && !(node->command & bit);
}

static bool decode_off(const struct node *provider)
{
	int64_t control;

	if (!provider->is_vf)
		return is_off(provider, 2);
	if (!provider->pf || provider->pf->sriov <= 0)
		return false;
	control = node_read(provider->pf, (size_t)provider->pf->sriov + 8, 2);
	return control != UNKNOWN && !(control & 8);
}

/* Dead or not in D0; a VF with its PF. */
static bool is_dead(const struct node *node)
{
	if (node->pf && (node->pf->is_dead || node->pf->power > 0))
		return true;
	return node->is_dead || node->power > 0;
}

static int max_payload(const struct node *node)
{
	return node->pf ? node->pf->mps : node->mps;
}

/* Is anything on a leg unable to take payloads of @sent? */
static bool too_large(const struct node *node, const struct node *end, int sent)
{
	for (; node && node != end; node = node->parent) {
		if (max_payload(node) != UNKNOWN && sent > max_payload(node))
			return true;
	}
	return false;
}

static int bits_of(uint64_t value)
{
	int bits = 0;

	for (; value; value >>= 1)
		bits++;
	return bits;
}

/* Ways end, on both legs, below @end (NULL: they go to the top). */
static bool request_stops(const struct node *provider, const struct node *client,
                          const struct node *end, struct memory m)
{
	for (const struct node *n = client; n && n != end; n = n->parent) {
		if (is_dead(n) || is_off(n, 4))
			return true;
	}
	for (const struct node *n = provider; n && n != end; n = n->parent) {
		if (is_dead(n))
			return true;
		if (n == provider)
			continue;
		if (is_off(n, 2) || (m.base && outside_windows(n, m)))
			return true;
	}
	return false;
}

/* Completions go by ID: whoever is awake passes them on. */
static bool completion_stops(const struct node *provider, const struct node *client,
                             const struct node *end)
{
	for (const struct node *n = client; n && n != end; n = n->parent) {
		if (is_dead(n))
			return true;
	}
	for (const struct node *n = provider; n && n != end; n = n->parent) {
		if (is_dead(n))
			return true;
	}
	return false;
}

static bool payload_stops(const struct node *provider, const struct node *client,
                          const struct node *end, int sent)
{
	return sent != UNKNOWN && (too_large(client, end, sent) || too_large(provider, end, sent));
}

/* Where nobody knows how it turns, only what it meets either way stops it for certain. */
static bool ends_below(int turn, bool is_on_way)
{
	return turn == P2PDMA_TURN_DIRECT || (turn == P2PDMA_TURN_UNKNOWN && !is_on_way);
}

int naive_stops(const struct node *provider, const struct node *client, const struct node *common,
                struct p2pdma_route route)
{
	struct memory m = judged_memory(provider);
	bool is_on_way = common == provider || common == client;
	bool write_direct = route.request == P2PDMA_TURN_DIRECT;
	bool request_near = ends_below(route.request, is_on_way);
	bool completion_near = ends_below(route.completion, is_on_way);
	const struct node *request_end = request_near ? common : NULL;
	const struct node *completion_end = completion_near ? common : NULL;
	int bits = client->f->dma_mask_bits, stops = 0;
	bool is_translated;

	if (m.captured && (!m.found || !m.base))
		return P2PDMA_OP_BOTH;
	if (decode_off(provider))
		return P2PDMA_OP_BOTH;
	if (provider == client)
		return is_dead(client) || is_off(client, 4) ? P2PDMA_OP_BOTH : 0;
	is_translated = client->f->iommu == P2PDMA_IOMMU_TRANSLATED && !write_direct;
	if (!is_translated && m.base && bits > 0 && bits < 64 &&
	    bits_of(m.base + (m.size ? m.size - 1 : 0)) > bits)
		return P2PDMA_OP_BOTH;
	if (common && is_dead(common)) {
		stops |= request_near ? P2PDMA_OP_WRITE : 0;
		stops |= request_near && completion_near ? P2PDMA_OP_READ : 0;
	}
	if (request_stops(provider, client, request_end, m))
		return P2PDMA_OP_BOTH;
	if (payload_stops(provider, client, request_end, max_payload(client)))
		stops |= P2PDMA_OP_WRITE;
	if (completion_stops(provider, client, completion_end) ||
	    payload_stops(provider, client, completion_end, max_payload(provider)))
		stops |= P2PDMA_OP_READ;
	return stops;
}
