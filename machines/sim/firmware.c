/* SPDX-License-Identifier: MIT */
/*
 * firmware.c - what firmware does to a machine when it is switched on: bus numbers, BARs, the
 * windows of bridges, command registers.
 *
 * A bridge has one window for 64-bit prefetchable BARs, anywhere, and one for all others, below 4
 * GiB (PCI-to-PCI Bridge 1.2, 3.2.5.8 and 3.2.5.9).  What lies below a segment is laid out from its
 * base on, the most aligned first, so that nothing but the rounding of windows is lost.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <linux/pci_regs.h>

#include "file.h"

#define MIB        ((uint64_t)1 << 20)
#define TIB        ((uint64_t)1 << 40)
#define LOW_BASE   ((uint64_t)0x80000000)
#define LOW_LIMIT  ((uint64_t)0xfec00000) /* I/O APICs and what follows */
#define HIGH_BASE  (56 * TIB)
#define HIGH_LIMIT ((uint64_t)1 << 52)
#define BUSES      256

/* What wants an address: a BAR, all slices of a VF BAR, or a bridge's window. */
struct item {
	struct p2pdma_function *function;
	int bar;              /* -1: a window */
	struct layout *below; /* of a window */
	uint64_t size, align;
	size_t order;
};

struct layout {
	struct item *items;
	size_t count;
	uint64_t size, align;
};

static int no_room(const struct p2pdma_function *function, struct p2pdma_error *err,
                   const char *what)
{
	const struct p2pdma_bdf bdf = function->bdf;

	return report(err, -EPROTO, "%04x:%02x:%02x.%x%s%.64s%s: %s", bdf.domain, bdf.bus,
	              bdf.devfn >> 3, bdf.devfn & 7, function->name ? " (" : "",
	              function->name ? function->name : "", function->name ? ")" : "", what);
}

/* ---- bus numbers ---- */

/* From @bus on; *last is the highest number in use. */
static int number(struct segment *segment, unsigned int bus, unsigned int *last,
                  struct p2pdma_error *err)
{
	struct p2pdma_function *member;
	int r;

	*last = bus;
	for (size_t i = 0; i < segment->member_count; i++) {
		member = segment->members[i];
		/* A VF's is relative to its PF's. */
		if (bus + member->bdf.bus >= BUSES)
			return no_room(member->physfn ? member->physfn : member, err,
			               "no bus numbers are left for it");
		if (bus + member->bdf.bus > *last)
			*last = bus + member->bdf.bus;
		member->bdf.bus = (uint8_t)(bus + member->bdf.bus);
	}
	for (size_t i = 0; i < segment->member_count; i++) {
		unsigned int secondary = *last + 1;

		member = segment->members[i];
		if (!member->below)
			continue;
		if (secondary >= BUSES)
			return no_room(member, err, "no bus numbers are left for what is below it");
		r = number(member->below, secondary, last, err);
		if (r)
			return r;
		member->config[PCI_PRIMARY_BUS] = (uint8_t)bus;
		member->config[PCI_SECONDARY_BUS] = (uint8_t)secondary;
		member->config[PCI_SUBORDINATE_BUS] = (uint8_t)*last;
	}
	return 0;
}

int firmware_number(struct fabric *fabric, struct p2pdma_error *err)
{
	unsigned int *next = calloc(fabric->root_count, sizeof(*next)), last;
	int r = 0;

	if (!next)
		return report(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < fabric->root_count && !r; i++) {
		struct root *root = &fabric->roots[i];
		unsigned int bus = 0;

		/* Root complexes of a domain share its buses. */
		for (size_t j = i; j-- && !bus;)
			if (fabric->roots[j].bus.domain == root->bus.domain)
				bus = next[j];
		if (bus >= BUSES) {
			r = report(err, -EPROTO, "roots[%zu]: domain %04x has no bus left", i,
			           root->bus.domain);
			break;
		}
		root->bus.bus = (uint8_t)bus;
		r = number(root->segment, bus, &last, err);
		next[i] = last + 1;
	}
	free(next);
	return r;
}

/* ---- sizes, from below ---- */

static struct layout *free_layout(struct layout *layout)
{
	for (size_t i = 0; layout && i < layout->count; i++)
		free_layout(layout->items[i].below);
	if (layout)
		free(layout->items);
	free(layout);
	return NULL;
}

static uint64_t round_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

static int compare_items(const void *left, const void *right)
{
	const struct item *a = left, *b = right;

	if (a->align != b->align)
		return a->align > b->align ? -1 : 1;
	if (a->size != b->size)
		return a->size > b->size ? -1 : 1;
	return (a->order > b->order) - (a->order < b->order);
}

static void add_bars(struct layout *layout, struct p2pdma_function *function, bool is_high)
{
	struct p2pdma_function *pf = function->physfn;
	uint64_t slices = 1;

	if (pf)
		slices = pf->at.sriov ? get16(pf->config + pf->at.sriov + PCI_SRIOV_TOTAL_VF) : 0;
	/* The first VF stands for all: their slices follow each other. */
	for (int i = 0; i < BAR_COUNT && slices && !(pf && function->vf_number); i++) {
		const struct bar *bar = &function->bars[i];

		if (bar->kind == BAR_NONE || bar->kind == BAR_IO ||
		    (bar->is_64bit && bar->is_prefetchable) != is_high)
			continue;
		layout->items[layout->count] = (struct item){
			.function = function,
			.bar = i,
			.size = slices * bar->size,
			.align = bar->size < 4096 ? 4096 : bar->size,
			.order = layout->count,
		};
		layout->count++;
	}
}

/* BARs are at most 16 TiB (model.c) and functions 65536: sums of sizes stay in 64 bits. */
static struct layout *lay_out(struct segment *segment, bool is_high)
{
	struct layout *layout = calloc(1, sizeof(*layout)), *below;
	struct item *item;

	if (!layout)
		return NULL;
	layout->items = calloc(segment->member_count + 1, (BAR_COUNT + 1) * sizeof(*item));
	if (!layout->items)
		return free_layout(layout);
	for (size_t i = 0; i < segment->member_count; i++) {
		add_bars(layout, segment->members[i], is_high);
		if (!segment->members[i]->below)
			continue;
		below = lay_out(segment->members[i]->below, is_high);
		if (!below)
			return free_layout(layout);
		item = &layout->items[layout->count];
		*item = (struct item){
			segment->members[i],
			-1,
			below,
			round_up(below->size, MIB),
			round_up(below->align, MIB),
			layout->count,
		};
		if (below->count)
			layout->count++;
		else
			item->below = free_layout(below);
	}
	qsort(layout->items, layout->count, sizeof(*layout->items), compare_items);
	for (size_t i = 0; i < layout->count; i++)
		layout->size =
			round_up(layout->size, layout->items[i].align) + layout->items[i].size;
	layout->align = layout->count ? layout->items[0].align : 1;
	return layout;
}

/* ---- addresses, from above ---- */

static void put_bar(struct p2pdma_function *function, int bar, uint64_t base)
{
	struct p2pdma_function *pf = function->physfn;
	uint8_t *at = pf ? pf->config + pf->at.sriov + PCI_SRIOV_BAR
	                 : function->config + PCI_BASE_ADDRESS_0;

	at += 4 * bar;
	put32(at, (uint32_t)base | (get32(at) & 0xf));
	if (function->bars[bar].is_64bit)
		put32(at + 4, (uint32_t)(base >> 32));
}

static void put_window(uint8_t *config, uint64_t base, uint64_t limit, bool is_high)
{
	uint8_t *at = config + (is_high ? PCI_PREF_MEMORY_BASE : PCI_MEMORY_BASE);

	put16(at, (uint16_t)((base >> 16 & 0xfff0) | is_high));
	put16(at + 2, (uint16_t)((limit >> 16 & 0xfff0) | is_high));
	if (!is_high)
		return;
	put32(config + PCI_PREF_BASE_UPPER32, (uint32_t)(base >> 32));
	put32(config + PCI_PREF_LIMIT_UPPER32, (uint32_t)(limit >> 32));
}

static void place(const struct layout *layout, uint64_t at, bool is_high)
{
	for (size_t i = 0; i < layout->count; i++) {
		const struct item *item = &layout->items[i];

		at = round_up(at, item->align);
		if (item->bar >= 0) {
			put_bar(item->function, item->bar, at);
		} else {
			put_window(item->function->config, at, at + item->size - 1, is_high);
			place(item->below, at, is_high);
		}
		at += item->size;
	}
}

/* The largest BAR of what did not fit. */
static int blame(const struct layout *layout, bool is_high, struct p2pdma_error *err)
{
	const struct item *item = NULL;
	char what[160];

	while (layout) {
		item = &layout->items[0];
		for (size_t i = 1; i < layout->count; i++)
			if (layout->items[i].size > item->size)
				item = &layout->items[i];
		layout = item->below;
	}
	snprintf(what, sizeof(what), "no addresses %s are left: %s%d has %llu KiB, the largest",
	         is_high ? "in 52 bits" : "below 4 GiB",
	         item->function->physfn ? "VF BAR " : "BAR ", item->bar,
	         (unsigned long long)(item->size >> 10));
	return no_room(item->function->physfn ? item->function->physfn : item->function, err, what);
}

static int assign(struct root *root, bool is_high, uint64_t *at, struct p2pdma_error *err)
{
	struct layout *layout = lay_out(root->segment, is_high);
	uint64_t base, end;
	int r = 0;

	if (!layout)
		return report(err, -ENOMEM, "out of memory");
	base = round_up(*at, is_high && layout->align < TIB ? TIB : layout->align);
	end = base + layout->size;
	if (base < *at || end < base || end > (is_high ? HIGH_LIMIT : LOW_LIMIT)) {
		r = blame(layout, is_high, err);
	} else {
		place(layout, base, is_high);
		*at = end;
	}
	free_layout(layout);
	return r;
}

int firmware_assign(struct fabric *fabric, struct p2pdma_error *err)
{
	uint64_t low = LOW_BASE, high = HIGH_BASE;
	int r;

	for (size_t i = 0; i < fabric->root_count; i++) {
		if ((r = assign(&fabric->roots[i], false, &low, err)) ||
		    (r = assign(&fabric->roots[i], true, &high, err)))
			return r;
	}
	for (size_t i = 0; i < fabric->function_count; i++) {
		struct p2pdma_function *function = fabric->functions[i];

		/* VFs decode by their PF's VF MSE (PCIe Base 9.3.4.1.3). */
		put16(function->config + PCI_COMMAND,
		      function->physfn ? PCI_COMMAND_MASTER
		                       : PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	}
	return 0;
}
