/* SPDX-License-Identifier: MIT */
/*
 * claims.c - who claims which addresses on each bus.
 *
 * One search tells whether anybody but a given owner claims a range: among the claims that begin
 * before its end, the one that reaches farthest decides, or where that is the owner's, the one that
 * reaches farthest of the others.
 *
 * A claim that the windows of the bridge above hold too shows on that bridge's own bus.  On the
 * client's leg only what strays outside of them need be looked for.
 */
#include <errno.h>
#include <stdlib.h>

#include "routes.h"
#include "rule.h"

#define HEADER_TYPE 0x0e
#define MOST_CLAIMS 10 /* of a function: six BARs, two windows on both sides */

static void add_on(struct p2pdma_routes *routes, uint32_t bus, uint32_t owner, uint64_t base,
                   uint64_t limit)
{
	routes->claims[routes->claim_count++] = (struct claim){ base, limit, bus, owner, 0, 0 };
}

/*
 * What Memory Space Enable closes to requests from above may still keep what comes up from below
 * (PCI-to-PCI Bridge 3.2.5.3), on a bridge's far side too.
 */
static void add(struct p2pdma_routes *routes, const struct p2pdma_device *device, int bar,
                uint64_t base, uint64_t limit)
{
	const struct p2pdma_device *above = topology_at(routes->machine, device->parent);
	const uint32_t back = routes->facts[device->index].memory_off ? CLAIM_BACK : 0;
	const uint32_t owner = CLAIM_OWNER(device, bar);
	struct p2pdma_bar range = { .bus = { base }, .size = limit - base + 1 };

	if (above && (routes->facts[above->index].memory_off || limit == CLAIM_UNSEEN ||
	              hazard_in_window(above, &range) != P2PDMA_YES))
		routes->facts[above->index].has_strays = true;
	if (above || !back)
		add_on(routes, device->parent | back, owner, base, limit);
	if (back && bar == CLAIM_WINDOW) {
		routes->facts[device->index].has_strays = true;
		add_on(routes, device->index | back, owner, base, limit);
	}
}

/* What was not captured may claim anything: a bridge's windows, a BAR known to have a size. */
static void add_all(struct p2pdma_routes *routes, const struct p2pdma_device *device)
{
	const struct snapshot_function *function = device->function;
	const bool is_off = routes->facts[device->index].memory_off;
	bool is_unseen = !device->is_vf && device->config.len <= HEADER_TYPE;
	struct hazard_range windows[2];
	struct p2pdma_bar range;
	int count, r;

	if (device->is_dead)
		return;
	for (int i = 0; i < 6; i++) {
		r = p2pdma_device_bar(device, i, &range);
		/* Of a BAR without a size the first byte is certain; a VF's is its PF's then. */
		if (!r && range.is_memory && range.bus.addr && (range.size || !device->is_vf))
			add(routes, device, i, range.bus.addr, hazard_last_address(&range));
		is_unseen |= r == -ENODATA && (size_t)i < function->resource_count &&
		             function->resources[i].end > function->resources[i].start;
	}
	count = hazard_windows(device, windows);
	for (int i = 0; i < count; i++)
		add(routes, device, CLAIM_WINDOW, windows[i].base, windows[i].limit);
	if (!is_off && (is_unseen || count < 0))
		add(routes, device, CLAIM_WINDOW, 0, CLAIM_UNSEEN);
}

static int compare_claims(const void *left, const void *right)
{
	const struct claim *a = left, *b = right;

	if (a->bus != b->bus)
		return a->bus < b->bus ? -1 : 1;
	if (a->base != b->base)
		return a->base < b->base ? -1 : 1;
	return (a->owner > b->owner) - (a->owner < b->owner);
}

static void find_farthest(struct claim *claims, uint32_t i)
{
	const struct claim *before = i ? &claims[i - 1] : NULL;
	struct claim *claim = &claims[i];
	bool is_farthest;

	claim->farthest = i;
	claim->other = NO_INDEX;
	if (!before || before->bus != claim->bus)
		return;
	is_farthest = claim->limit > claims[before->farthest].limit;
	claim->other = before->other;
	if (!is_farthest)
		claim->farthest = before->farthest;
	if (claims[before->farthest].owner == claim->owner)
		return;
	if (is_farthest)
		claim->other = before->farthest;
	else if (before->other == NO_INDEX || claim->limit > claims[before->other].limit)
		claim->other = i;
}

const struct claim *claims_find(const struct p2pdma_routes *routes, uint32_t bus, uint32_t owner,
                                const struct p2pdma_bar *range)
{
	const struct claim *claims = routes->claims, *found;
	size_t low = 0, high = routes->claim_count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		const struct claim *at = &claims[middle];

		if (at->bus < bus || (at->bus == bus && at->base <= hazard_last_address(range)))
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || claims[low - 1].bus != bus || !range->bus.addr || !RULE(CLAIMED_TWICE))
		return NULL;
	found = &claims[claims[low - 1].farthest];
	if (found->owner == owner)
		found = claims[low - 1].other == NO_INDEX ? NULL : &claims[claims[low - 1].other];
	return found && found->limit >= range->bus.addr ? found : NULL;
}

const struct claim *claims_on_bar(const struct p2pdma_routes *routes,
                                  const struct p2pdma_device *provider,
                                  const struct p2pdma_device *node)
{
	const struct hazard_facts *facts = &routes->facts[provider->index];
	int bar = node == provider ? facts->bar : CLAIM_WINDOW;

	return claims_find(routes, node->parent, CLAIM_OWNER(node, bar), &facts->range);
}

int claims_prepare(struct p2pdma_routes *routes)
{
	const struct p2pdma_device *devices = routes->machine->devices, *at;

	routes->claims = malloc((routes->count * MOST_CLAIMS + 1) * sizeof(*routes->claims));
	if (!routes->claims)
		return -ENOMEM;
	for (size_t i = 0; i < routes->count; i++)
		add_all(routes, &devices[i]);
	qsort(routes->claims, routes->claim_count, sizeof(*routes->claims), compare_claims);
	for (uint32_t i = 0; i < routes->claim_count; i++)
		find_farthest(routes->claims, i);
	for (size_t i = 0; i < routes->count; i++) {
		const uint32_t parent = devices[i].parent;

		if (parent != NO_INDEX)
			routes->stray[i] = routes->facts[parent].has_strays ? devices[i].depth
			                                                    : routes->stray[parent];
		for (at = &devices[i]; at && !claims_on_bar(routes, &devices[i], at);)
			at = topology_at(routes->machine, at->parent);
		routes->claimed[i] = at ? at->depth : 0;
	}
	return 0;
}
