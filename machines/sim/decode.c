/* SPDX-License-Identifier: MIT */
/*
 * decode.c - who on a segment answers to an address or an ID.
 *
 * BARs and bridge windows of a segment's members are kept sorted and made anew after a register of
 * theirs was written, so that a decision costs the logarithm of the siblings' number at most.
 */
#include <stdlib.h>
#include <string.h>

#include "fabric.h"
#include "rule.h"

#define FEW_MEMBERS   8
#define SECONDARY_BUS 0x19
#define SUBORDINATE   0x1a
#define MEMORY_BASE   0x20
#define PREFETCH_BASE 0x24
#define PREFETCH_HIGH 0x28
#define RANGE_64      0x1
#define CARDBUS_BASE  0x1c /* two pairs of base and limit, pages of 4 KiB */
#define CARDBUS_PAGE  0xfffu
#define MIB           0x100000ull

/* PC Card 8.0, vol. 2, 4.5.3 */
static int read_cardbus_windows(const uint8_t *config, struct address_range ret_ranges[2])
{
	int count = 0;

	for (size_t i = 0; i < 2; i++) {
		const uint8_t *at = config + CARDBUS_BASE + 8 * i;
		struct address_range range = { get32(at) & ~CARDBUS_PAGE,
			                       get32(at + 4) | CARDBUS_PAGE };

		/* Both zero is a window not used. */
		if (range.limit > range.base && get32(at + 4))
			ret_ranges[count++] = range;
	}
	return count;
}

/* PCI-to-PCI Bridge 1.2, 3.2.5.8 and 3.2.5.9: limits below their bases are closed windows. */
static int read_windows(const struct p2pdma_function *bridge, struct address_range ret_ranges[2])
{
	const uint8_t *config = RULE(SIM_WINDOW) ? bridge->config : bridge->boot_config;
	uint16_t base = get16(config + MEMORY_BASE), limit = get16(config + MEMORY_BASE + 2);
	struct address_range range;
	int count = 0;

	if (bridge->header_type == 2)
		return read_cardbus_windows(config, ret_ranges);
	range.base = (uint64_t)(base & 0xfff0) << 16;
	range.limit = ((uint64_t)(limit & 0xfff0) << 16) | (MIB - 1);
	if (range.limit > range.base)
		ret_ranges[count++] = range;
	base = get16(config + PREFETCH_BASE);
	limit = get16(config + PREFETCH_BASE + 2);
	range.base = (uint64_t)(base & 0xfff0) << 16;
	range.limit = ((uint64_t)(limit & 0xfff0) << 16) | (MIB - 1);
	if (base & RANGE_64) {
		range.base |= (uint64_t)get32(config + PREFETCH_HIGH) << 32;
		range.limit |= (uint64_t)get32(config + PREFETCH_HIGH + 4) << 32;
	}
	/* All zero is a register that is not implemented. */
	if (range.limit > range.base && (base || limit))
		ret_ranges[count++] = range;
	return count;
}

bool decode_in_window(const struct p2pdma_function *bridge, uint64_t address)
{
	struct address_range ranges[2];
	int count = read_windows(bridge, ranges);

	for (int i = 0; i < count; i++)
		if (address >= ranges[i].base && address <= ranges[i].limit)
			return true;
	return false;
}

static bool add_claim(struct segment *segment, struct claim claim)
{
	if (segment->claim_count == segment->claim_room) {
		size_t room = segment->claim_room ? 2 * segment->claim_room : 8;
		struct claim *claims = realloc(segment->claims, room * sizeof(*claims));

		if (!claims)
			return false;
		segment->claims = claims;
		segment->claim_room = room;
	}
	segment->claims[segment->claim_count++] = claim;
	return true;
}

static bool add_claims(struct segment *segment, struct p2pdma_function *function)
{
	struct claim claim = {
		.function = function,
		.is_enabled = function_decodes(function) || !RULE(SIM_MEMORY_ENABLE),
	};
	struct address_range ranges[2];
	int count;

	for (int bar = 0; bar < BAR_COUNT; bar++) {
		if (function->bars[bar].kind == BAR_NONE || function->bars[bar].kind == BAR_IO)
			continue;
		claim.bar = (int8_t)bar;
		claim.base = function_bar_base(function, bar);
		claim.limit = claim.base + function->bars[bar].size - 1;
		if (claim.base && claim.limit > claim.base && !add_claim(segment, claim))
			return false;
	}
	if (!function->below)
		return true;
	count = read_windows(function, ranges);
	claim.bar = -1;
	for (int i = 0; i < count; i++) {
		claim.base = ranges[i].base;
		claim.limit = ranges[i].limit;
		if (!add_claim(segment, claim))
			return false;
	}
	return true;
}

size_t decode_ranges(const struct p2pdma_function *function,
                     struct address_range ret_ranges[MOST_RANGES])
{
	size_t count = function->below ? (size_t)read_windows(function, ret_ranges) : 0;

	for (int bar = 0; bar < BAR_COUNT; bar++) {
		const struct bar *range = &function->bars[bar];
		uint64_t base = function_bar_base(function, bar);

		if (range->kind != BAR_NONE && range->kind != BAR_IO && base && range->size)
			ret_ranges[count++] =
				(struct address_range){ base, base + range->size - 1 };
	}
	return count;
}

static int compare_claims(const void *left, const void *right)
{
	const struct claim *a = left, *b = right;

	if (a->is_enabled != b->is_enabled)
		return a->is_enabled ? -1 : 1;
	if (a->base != b->base)
		return a->base < b->base ? -1 : 1;
	return (a->function->bdf.devfn > b->function->bdf.devfn) -
	       (a->function->bdf.devfn < b->function->bdf.devfn);
}

static const uint8_t *buses(const struct p2pdma_function *bridge)
{
	return RULE(SIM_BUS_NUMBERS) ? bridge->config : bridge->boot_config;
}

bool decode_leads_to(const struct p2pdma_function *bridge, uint8_t bus)
{
	const uint8_t *config = buses(bridge);

	return bridge->below && config[SECONDARY_BUS] && bus >= config[SECONDARY_BUS] &&
	       bus <= config[SUBORDINATE];
}

static void index_ids(struct segment *segment)
{
	if (segment->member_count <= FEW_MEMBERS)
		return;
	if (!segment->by_id)
		segment->by_id = malloc(512 * sizeof(struct p2pdma_function *));
	if (!segment->by_id)
		return;
	memset(segment->by_id, 0, 512 * sizeof(struct p2pdma_function *));
	for (size_t i = segment->member_count; i--;) {
		struct p2pdma_function *function = segment->members[i];

		if (!function->is_present)
			continue;
		segment->by_id[256 + function->bdf.devfn] = function;
		if (!function->below)
			continue;
		for (unsigned int bus = buses(function)[SECONDARY_BUS];
		     bus && bus <= buses(function)[SUBORDINATE]; bus++)
			segment->by_id[bus] = function;
	}
}

static void refresh(struct segment *segment)
{
	bool is_whole = true;

	segment->claim_count = segment->enabled_count = segment->last_claim = 0;
	segment->has_overlap = false;
	for (size_t i = 0; i < segment->member_count && is_whole; i++)
		if (segment->members[i]->is_present)
			is_whole = add_claims(segment, segment->members[i]);
	if (segment->claim_count)
		qsort(segment->claims, segment->claim_count, sizeof(*segment->claims),
		      compare_claims);
	for (size_t i = 0; i < segment->claim_count && segment->claims[i].is_enabled; i++) {
		segment->enabled_count++;
		if (i && segment->claims[i].base <= segment->claims[i - 1].limit)
			segment->has_overlap = true;
	}
	index_ids(segment);
	/* Out of memory: whoever is missing answers to nothing, this time. */
	segment->is_stale = !is_whole;
}

void decode_stale(struct segment *segment)
{
	segment->is_stale = true;
}

static bool holds(const struct claim *claim, uint64_t address)
{
	return address >= claim->base && address <= claim->limit;
}

/* Where ranges overlap two would answer; here the lowest device does. */
static const struct claim *first_of_all(const struct segment *segment, uint64_t address,
                                        size_t from, size_t to)
{
	const struct claim *found = NULL;

	for (size_t i = from; i < to; i++)
		if (holds(&segment->claims[i], address) &&
		    (!found || segment->claims[i].function->bdf.devfn < found->function->bdf.devfn))
			found = &segment->claims[i];
	return found;
}

const struct claim *decode_address(struct segment *segment, uint64_t address)
{
	size_t low = 0, high;

	if (segment->is_stale)
		refresh(segment);
	if (!segment->enabled_count)
		return NULL;
	if (segment->has_overlap)
		return first_of_all(segment, address, 0, segment->enabled_count);
	if (holds(&segment->claims[segment->last_claim], address))
		return &segment->claims[segment->last_claim];
	high = segment->enabled_count;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (segment->claims[middle].base <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || !holds(&segment->claims[low - 1], address))
		return NULL;
	segment->last_claim = low - 1;
	return &segment->claims[low - 1];
}

const struct claim *decode_disabled(struct segment *segment, uint64_t address)
{
	if (segment->is_stale)
		refresh(segment);
	return first_of_all(segment, address, segment->enabled_count, segment->claim_count);
}

static bool is_id(const struct p2pdma_function *function, struct p2pdma_bdf id)
{
	return function->bdf.bus == id.bus && function->bdf.devfn == id.devfn;
}

struct p2pdma_function *decode_id(struct segment *segment, struct p2pdma_bdf id)
{
	if (segment->root->bus.domain != id.domain)
		return NULL;
	if (segment->is_stale)
		refresh(segment);
	if (segment->by_id) {
		struct p2pdma_function *function = segment->by_id[256 + id.devfn];

		if (function && is_id(function, id))
			return function;
		if (segment->by_id[id.bus])
			return segment->by_id[id.bus];
	}
	/* VFs on another bus than their PF's are in no table. */
	for (size_t i = 0; i < segment->member_count; i++)
		if (segment->members[i]->is_present &&
		    (is_id(segment->members[i], id) ||
		     decode_leads_to(segment->members[i], id.bus)))
			return segment->members[i];
	return NULL;
}

struct p2pdma_function *fabric_find(struct fabric *fabric, struct p2pdma_bdf bdf)
{
	for (size_t i = 0; i < fabric->root_count; i++) {
		struct segment *segment = fabric->roots[i].segment;
		struct p2pdma_function *found = NULL;

		if (fabric->roots[i].bus.domain != bdf.domain)
			continue;
		while (segment && (found = decode_id(segment, bdf)) && !is_id(found, bdf))
			segment = found->below;
		if (found && is_id(found, bdf))
			return found;
	}
	return NULL;
}
