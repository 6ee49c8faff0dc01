/* SPDX-License-Identifier: MIT */
/*
 * dram.c - host memory: what is not somebody's window, below 4 GiB and above.
 *
 * As on a real machine firmware decides once where it ends (the TOLUD and TOUUD of x86).  Memory of
 * the process gets an address in it while it is mapped; the rest reads as zeros.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fabric.h"

#define PAGE       4096u
#define LARGE_PAGE (2ull << 20)
#define LOW_BASE   (1ull << 20) /* below are the ranges of the PC */
#define LOW_MOST   (3ull << 30)
#define HIGH_BASE  (4ull << 30)
#define HIGH_MOST  (1ull << 46)

struct dram {
	uint64_t low_end, high_end; /* 0: not yet known */
	size_t count, room;
	struct dram_range *ranges; /* by phys */
	size_t last;               /* the one that was hit last */
};

int dram_new(struct fabric *fabric)
{
	fabric->dram = calloc(1, sizeof(*fabric->dram));
	return fabric->dram ? 0 : -ENOMEM;
}

void dram_free(struct fabric *fabric)
{
	if (fabric->dram)
		free(fabric->dram->ranges);
	free(fabric->dram);
	fabric->dram = NULL;
}

/* Host memory ends where the first window begins.  Out of memory, not to be known yet. */
static void find_ends(const struct fabric *fabric)
{
	uint64_t low = LOW_MOST, high = HIGH_MOST;

	for (size_t i = 0; i < fabric->root_count; i++) {
		struct segment *segment = fabric->roots[i].segment;

		decode_address(segment, 0); /* brings the claims up to date */
		if (segment->is_stale)
			return;
		for (size_t j = 0; j < segment->claim_count; j++) {
			const struct claim *claim = &segment->claims[j];

			if (claim->base >= LOW_BASE && claim->base < low)
				low = claim->base;
			if (claim->limit >= HIGH_BASE && claim->base < high)
				high = claim->base > HIGH_BASE ? claim->base : HIGH_BASE;
		}
	}
	fabric->dram->low_end = low;
	fabric->dram->high_end = high;
}

bool dram_holds(const struct fabric *fabric, uint64_t phys)
{
	if (!fabric->dram->high_end)
		find_ends(fabric);
	return phys < fabric->dram->low_end || (phys >= HIGH_BASE && phys < fabric->dram->high_end);
}

/* The first range that ends above @phys, or count. */
static size_t find_range(struct dram *dram, uint64_t phys)
{
	size_t low = 0, high = dram->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (dram->ranges[middle].phys + dram->ranges[middle].length <= phys)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Bytes from @phys on that are alike; @ret_cpu NULL: nobody mapped them. */
static size_t find_bytes(struct dram *dram, uint64_t phys, size_t length, uint8_t **ret_cpu)
{
	const struct dram_range *range;
	uint64_t left;

	*ret_cpu = NULL;
	if (dram->last >= dram->count || phys < dram->ranges[dram->last].phys ||
	    phys - dram->ranges[dram->last].phys >= dram->ranges[dram->last].length)
		dram->last = find_range(dram, phys);
	if (dram->last == dram->count)
		return length;
	range = &dram->ranges[dram->last];
	if (phys < range->phys)
		return length < range->phys - phys ? length : range->phys - phys;
	*ret_cpu = range->cpu + (phys - range->phys);
	left = range->length - (phys - range->phys);
	return length < left ? length : left;
}

bool dram_read(struct fabric *fabric, uint64_t phys, size_t length, void *ret_bytes)
{
	uint8_t *to = ret_bytes, *cpu;
	bool is_mapped = true;
	size_t part;

	for (; length; length -= part, phys += part, to += part) {
		part = find_bytes(fabric->dram, phys, length, &cpu);
		is_mapped = is_mapped && cpu;
		if (cpu)
			memcpy(to, cpu, part);
		else
			memset(to, 0, part);
	}
	return is_mapped;
}

bool dram_write(struct fabric *fabric, uint64_t phys, size_t length, const void *bytes)
{
	const uint8_t *from = bytes;
	bool is_mapped = true;
	uint8_t *cpu;
	size_t part;

	for (; length; length -= part, phys += part, from += part) {
		part = find_bytes(fabric->dram, phys, length, &cpu);
		is_mapped = is_mapped && cpu;
		if (!cpu)
			continue;
		memcpy(cpu, from, part);
		fabric->has_changed = true;
	}
	return is_mapped;
}

/* The lowest free place within the two bounds. */
static bool find_gap(const struct dram *dram, uint64_t base, uint64_t end, uint64_t length,
                     uint64_t *ret_phys)
{
	uint64_t align = length < LARGE_PAGE ? PAGE : LARGE_PAGE, at = base;

	for (size_t i = 0; i < dram->count; i++) {
		const struct dram_range *range = &dram->ranges[i];

		if (range->phys + range->length <= at)
			continue;
		if (range->phys >= at && range->phys - at >= length)
			break;
		at = (range->phys + range->length + align - 1) & ~(align - 1);
	}
	*ret_phys = at;
	return at <= end && length <= end - at;
}

int dram_register(struct fabric *fabric, void *cpu, size_t length, uint64_t *ret_phys)
{
	struct dram *dram = fabric->dram;
	struct dram_range range = { .length = length, .cpu = cpu, .references = 1 };
	size_t at;

	for (at = 0; at < dram->count; at++) {
		if (dram->ranges[at].cpu != range.cpu || dram->ranges[at].length != length)
			continue;
		dram->ranges[at].references++;
		*ret_phys = dram->ranges[at].phys;
		return 0;
	}
	if (!dram_holds(fabric, 0))
		return -ENOMEM;
	if (!find_gap(dram, HIGH_BASE, dram->high_end, length, &range.phys) &&
	    !find_gap(dram, LOW_BASE, dram->low_end, length, &range.phys))
		return -ENOSPC;
	if (dram->count == dram->room) {
		size_t room = dram->room ? 2 * dram->room : 16;
		struct dram_range *ranges = realloc(dram->ranges, room * sizeof(*ranges));

		if (!ranges)
			return -ENOMEM;
		dram->ranges = ranges;
		dram->room = room;
	}
	at = find_range(dram, range.phys);
	memmove(dram->ranges + at + 1, dram->ranges + at,
	        (dram->count++ - at) * sizeof(*dram->ranges));
	dram->ranges[at] = range;
	*ret_phys = range.phys;
	return 0;
}

void dram_unregister(struct fabric *fabric, uint64_t phys)
{
	struct dram *dram = fabric->dram;
	size_t at = find_range(dram, phys);

	if (at == dram->count || dram->ranges[at].phys > phys || --dram->ranges[at].references)
		return;
	memmove(dram->ranges + at, dram->ranges + at + 1,
	        (--dram->count - at) * sizeof(*dram->ranges));
}
