/* SPDX-License-Identifier: MIT */
/* The provider's memory, and what on the path stops an op. */
#include "naive.h"

#define BAR_COUNT(node) ((node)->is_bridge ? 2 : 6)

#define RESOURCE_MEM 0x200

struct memory {
	bool captured, found;
	uint64_t base, size; /* size 0: not known */
	int bar;
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
		this.bar = i;
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

/* The open windows of a bridge; UNKNOWN when its registers are not captured. */
static int read_windows(const struct node *bridge, struct claim *ret)
{
	uint64_t from[2], to[2];
	bool is_there[2];
	int count = 0;

	if (bridge->is_cardbus) {
		for (size_t i = 0; i < 2; i++) {
			int64_t base = node_read(bridge, 0x1c + 8 * i, 4);
			int64_t limit = node_read(bridge, 0x20 + 8 * i, 4);

			if (limit == UNKNOWN)
				return UNKNOWN;
			from[i] = (uint64_t)base / 0x1000 * 0x1000;
			to[i] = (uint64_t)limit / 0x1000 * 0x1000 + 0xfff;
			is_there[i] = limit;
		}
	} else {
		int64_t upper = node_read(bridge, 0x2c, 4), lower = node_read(bridge, 0x28, 4);

		if (upper == UNKNOWN)
			return UNKNOWN;
		for (size_t i = 0; i < 2; i++) {
			from[i] = (uint64_t)node_read(bridge, 0x20 + 4 * i, 2);
			to[i] = (uint64_t)node_read(bridge, 0x22 + 4 * i, 2);
			is_there[i] = !i || from[i] || to[i];
			if (i && (from[i] & 0xf) != 1)
				upper = lower = 0;
			from[i] = from[i] / 16 << 20 | (i ? (uint64_t)lower << 32 : 0);
			to[i] = to[i] / 16 << 20 | 0xfffff | (i ? (uint64_t)upper << 32 : 0);
		}
	}
	for (int i = 0; i < 2; i++)
		if (is_there[i] && from[i] <= to[i])
			ret[count++] = (struct claim){ from[i], to[i], 7 };
	return count;
}

static bool outside_windows(const struct node *bridge, struct memory m)
{
	struct claim windows[2];
	int count = bridge->is_cardbus ? UNKNOWN : read_windows(bridge, windows);

	for (int i = 0; i < count; i++)
		if (in_range(m, windows[i].base, windows[i].limit))
			return false;
	return count != UNKNOWN;
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

void naive_claim(struct node *node)
{
	int64_t header = node_read(node, 0x0e, 1);
	bool is_hidden = header == UNKNOWN && !node->is_vf; /* it may be a bridge */
	bool is_readable = true;
	int windows;

	if (node->is_dead)
		return;
	if (header != UNKNOWN && (header & 0x7f) > 1)
		is_readable = false; /* nor has it any BAR that counts */
	for (int i = 0; is_readable && i < BAR_COUNT(node); i++) {
		struct bar bar = { 0 };

		if ((node->is_vf && (!node->pf || node->pf->sriov <= 0)) ||
		    !read_bar(node, i, &bar)) {
			for (; i < BAR_COUNT(node); i++)
				is_hidden |= recorded_size(node, i) > 0;
			break;
		}
		if (bar.is_memory && bar.base && (bar.size || !node->is_vf)) {
			uint64_t more = bar.size ? bar.size - 1 : 0;

			node->claims[node->claim_count++] = (struct claim){
				bar.base, bar.base + more < bar.base ? UINT64_MAX : bar.base + more,
				i
			};
		}
		i += bar.is_64bit;
	}
	windows = node->is_bridge ? read_windows(node, node->claims + node->claim_count) : 0;
	if ((windows == UNKNOWN || is_hidden) && !decode_off(node))
		node->claims[node->claim_count++] = (struct claim){ 0, UINT64_MAX, 7 };
	else if (windows != UNKNOWN)
		node->claim_count += windows;
	for (int i = 0; i < node->claim_count; i++)
		node->claims[i].is_off = decode_off(node);
}

/* Beside @on, or on it but for BAR @bar; with @bar UNKNOWN whatever comes up from @on. */
static bool is_claimed(const struct naive *naive, const struct node *on, int bar, struct memory m)
{
	uint64_t last = m.base + (m.size ? m.size - 1 : 0);

	last = last < m.base ? UINT64_MAX : last;
	for (size_t i = 0; i < naive->count; i++) {
		const struct node *other = &naive->nodes[i];

		if (other->parent != on->parent)
			continue;
		for (int j = 0; j < other->claim_count; j++) {
			const struct claim *claim = &other->claims[j];

			if (claim->is_off && bar != UNKNOWN)
				continue;
			if (!(other == on && claim->bar == bar) && claim->base <= last &&
			    claim->limit >= m.base)
				return true;
		}
	}
	return false;
}

/* A bridge with Memory Space Enable off may still think that what is in its window is below it. */
static bool is_kept(const struct node *bridge, struct memory m)
{
	uint64_t last = m.base + (m.size ? m.size - 1 : 0);
	struct claim windows[2];
	int count = bridge->is_dead || !is_off(bridge, 2) ? 0 : read_windows(bridge, windows);

	last = last < m.base ? UINT64_MAX : last;
	for (int i = 0; i < count; i++)
		if (windows[i].base <= last && windows[i].limit >= m.base)
			return true;
	return false;
}

bool naive_claimed_twice(const struct naive *naive, const struct node *provider,
                         const struct node *client, const struct node *common,
                         const struct node *end)
{
	struct memory m = judged_memory(provider);

	if (!m.found || !m.base)
		return false;
	for (const struct node *n = provider; n && n != end; n = n->parent)
		if (is_claimed(naive, n, n == provider ? m.bar : 7, m))
			return true;
	/* Beside the divergence port it has been looked for. */
	for (const struct node *n = client; n && n != common && n->parent != common; n = n->parent)
		if (is_claimed(naive, n, UNKNOWN, m) || is_kept(n->parent, m))
			return true;
	return false;
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
