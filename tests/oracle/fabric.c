/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "fabric.h"

/* Device/Port types of the PCIe capability; a conventional function has none. */
#define ENDPOINT     0
#define LEGACY       1
#define ROOT_PORT    4
#define UPSTREAM     5
#define DOWNSTREAM   6
#define PCIE_TO_PCI  7
#define PCI_TO_PCIE  8
#define RC_ENDPOINT  9
#define CONVENTIONAL 16
#define PCI_BRIDGE   17
#define NO_PARENT    18 /* the root bus */

#define PM_AT    0x40
#define EA_AT    0x60
#define EXP_AT   0x70
#define ACS_AT   0x100
#define SRIOV_AT 0x140
#define ATS_AT   0x180
#define ARI_AT   0x1c0

#define MAX_DEPTH 7

struct window {
	uint64_t base, size; /* of the prefetchable range */
	uint32_t low, low_size;
};

/* How the parts of one machine turn out. */
struct fabric {
	struct snapshot *snapshot;
	struct random random;
	size_t budget; /* functions still to come */
	uint32_t domain;
	unsigned int root_bus, last_bus;
	bool records_roots, records_resources, has_ats, has_oddities;
	bool shares_low;     /* all bridges have the same window below 4 GiB */
	size_t short_config; /* 0: all 4096 bytes; else where configuration spaces may end */
};

uint32_t random_below(struct random *random, uint32_t limit)
{
	/* xorshift64* (Vigna, 2016) */
	random->state ^= random->state >> 12;
	random->state ^= random->state << 25;
	random->state ^= random->state >> 27;
	return (uint32_t)((random->state * 0x2545f4914f6cdd1dull >> 32) % limit);
}

static uint32_t below(struct fabric *fabric, uint32_t limit)
{
	return random_below(&fabric->random, limit);
}

static bool chance(struct fabric *fabric, uint32_t percent)
{
	return below(fabric, 100) < percent;
}

static void put(uint8_t *config, size_t at, size_t bytes, uint64_t value)
{
	for (size_t i = 0; i < bytes; i++)
		config[at + i] = (uint8_t)(value >> 8 * i);
}

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* NULL when the address is taken or the machine is full. */
static struct snapshot_function *add(struct fabric *fabric, unsigned int bus, unsigned int devfn)
{
	struct p2pdma_bdf bdf = { fabric->domain, (uint8_t)bus, (uint8_t)devfn };
	struct snapshot_function *function;
	bool is_new;

	if (!fabric->budget || bus > 255)
		return NULL;
	if (snapshot_add(fabric->snapshot, bdf, &is_new, &function))
		abort();
	if (!is_new)
		return NULL;
	fabric->budget--;
	function->config = must(calloc(1, SNAPSHOT_CONFIG_SIZE));
	function->config_len = SNAPSHOT_CONFIG_SIZE;
	if (fabric->short_config && chance(fabric, 60))
		function->config_len = fabric->short_config;
	if (fabric->has_oddities && chance(fabric, 2))
		function->config_len = below(fabric, chance(fabric, 50) ? 64 : 0x1e0);
	if (fabric->records_roots) {
		function->has_root_bus = true;
		function->root_bus =
			(struct p2pdma_bdf){ fabric->domain, (uint8_t)fabric->root_bus, 0 };
	}
	function->iommu = (enum p2pdma_iommu)below(fabric, 4);
	function->dma_mask_bits = (const int[]){ 0, 0, 32, 39, 46, 64 }[below(fabric, 6)];
	return function;
}

static uint16_t random_control(struct fabric *fabric)
{
	switch (below(fabric, 6)) {
	case 0:
		return 0;
	case 1:
		return 0x1d; /* as Linux sets it under an IOMMU */
	case 2:
		return 0x1f; /* the same where translated requests are not trusted */
	case 3:
		return 0x30; /* EgressCtrl without ReqRedir */
	case 4:
		return (uint16_t)(1u << below(fabric, 7));
	default:
		return (uint16_t)below(fabric, 128);
	}
}

static void put_acs(struct fabric *fabric, uint8_t *config, bool is_pch)
{
	uint16_t capability = chance(fabric, 60) ? 0x7f : (uint16_t)below(fabric, 128);
	uint16_t size = (const uint8_t[]){ 0, 4, 8, 32, 33, 64 }[below(fabric, 6)];

	put(config, ACS_AT + 4, 2, capability | (unsigned int)size << 8);
	put(config, ACS_AT + 6, 2, random_control(fabric));
	if (is_pch)
		put(config, ACS_AT + 8, 4, random_control(fabric));
	for (size_t i = 0; i < 32 && !is_pch; i++)
		config[ACS_AT + 8 + i] = (uint8_t)below(fabric, 256);
}

static void put_extended(struct fabric *fabric, uint8_t *config, int type, bool has_sriov,
                         bool is_pch)
{
	bool is_bridge = type >= ROOT_PORT && type <= PCI_TO_PCIE;
	size_t at[4], count = 0;

	if (chance(fabric, is_bridge ? 75 : 40)) {
		put(config, ACS_AT, 4, 0x1000d);
		put_acs(fabric, config, is_pch);
		at[count++] = ACS_AT;
	}
	if (has_sriov) {
		put(config, SRIOV_AT, 4, 0x10010);
		at[count++] = SRIOV_AT;
	}
	if (fabric->has_ats && !is_bridge && chance(fabric, 60)) {
		put(config, ATS_AT, 4, 0x1000f);
		put(config, ATS_AT + 6, 2, chance(fabric, 70) ? 0x8000 : 0);
		at[count++] = ATS_AT;
	}
	if (!is_bridge && chance(fabric, 25)) {
		put(config, ARI_AT, 4, 0x1000e);
		put(config, ARI_AT + 6, 2, below(fabric, 4));
		at[count++] = ARI_AT;
	}
	if (count && at[0] != 0x100)
		put(config, 0x100, 4, 0x10001 | at[0] << 20);
	for (size_t i = 0; i + 1 < count; i++)
		config[at[i] + 2] |= (uint8_t)(at[i + 1] << 4), config[at[i] + 3] |= at[i + 1] >> 4;
	if (!fabric->has_oddities || !chance(fabric, 6))
		return;
	/* A list that loops, leads outside of extended space or into ones; a space of ones. */
	if (count && chance(fabric, 75))
		put(config, at[count - 1] + 2, 2,
		    (const uint16_t[]){ 0x1001, 0x0801, 0xf001 }[below(fabric, 3)]);
	else
		memset(config + 0x100, 0xff, SNAPSHOT_CONFIG_SIZE - 0x100);
	put(config, 0xf00, 4, 0xffffffff);
}

static void put_capabilities(struct fabric *fabric, uint8_t *config, int type)
{
	size_t link = 0x34;

	if (chance(fabric, 90)) {
		config[link] = PM_AT;
		put(config, PM_AT, 2, 0x01);
		put(config, PM_AT + 4, 2, chance(fabric, 5) ? below(fabric, 4) : 0);
		link = PM_AT + 1;
	}
	if (type < CONVENTIONAL) {
		config[link] = EXP_AT;
		put(config, EXP_AT, 2, 0x10);
		put(config, EXP_AT + 2, 2, (unsigned int)type << 4 | 2);
		put(config, EXP_AT + 8, 2, (chance(fabric, 90) ? 1 : below(fabric, 8)) << 5);
		put(config, EXP_AT + 12, 4, (uint64_t)below(fabric, 40) << 24 | 0x83);
		link = EXP_AT + 1;
	}
	if (chance(fabric, 8)) {
		config[link] = EA_AT;
		config[EA_AT] = 0x14;
		link = EA_AT + 1;
	}
	if (link != 0x34)
		put(config, 0x06, 2, 0x10);
	if (link == 0x34 || !fabric->has_oddities || !chance(fabric, 4))
		return;
	/* A list that loops, and one that ends in an entry of ones. */
	config[link] = chance(fabric, 50) ? (uint8_t)(link - 1) : 0xf0;
	config[0xf0] = 0xff;
}

static void put_ids(struct fabric *fabric, uint8_t *config)
{
	static const uint32_t ids[] = { 0x10de1db6, 0x144da822, 0x15b31017, 0x80860953,
		                        0x1b360010, 0x1af41041, 0x12341111, 0x10b59797 };
	uint32_t id = ids[below(fabric, 8)];

	put(config, 0x00, 2, id >> 16);
	put(config, 0x02, 2, id);
	put(config, 0x04, 2, 6u & ~(chance(fabric, 3) ? 2u : 0) & ~(chance(fabric, 3) ? 4u : 0));
}

static void put_range(struct fabric *fabric, struct snapshot_function *function, int bar,
                      uint64_t base, uint64_t size, uint64_t flags)
{
	struct snapshot_resource *resource;

	if (!fabric->records_resources)
		return;
	if (!function->resources) {
		function->resources = must(calloc(SNAPSHOT_RESOURCES, sizeof(*resource)));
		function->resource_count = SNAPSHOT_RESOURCES;
	}
	resource = &function->resources[bar];
	*resource = (struct snapshot_resource){ base, base + size - 1, flags };
}

/* A memory BAR of each kind a device may have, each there or not. */
static void put_bars(struct fabric *fabric, struct snapshot_function *function, struct window w,
                     int slots)
{
	uint64_t size = w.size >> (4 + below(fabric, 5)), base;

	size = size < 0x1000 ? 0x1000 : size;
	if (chance(fabric, 60)) {
		base = w.low + below(fabric, w.low_size / 0x10000) * 0x10000u;
		base = chance(fabric, 5) ? 0x80000000u + below(fabric, 0x4000) * 0x10000u : base;
		base = chance(fabric, 5) ? 0 : base;
		put(function->config, 0x10, 4, base);
		if (slots < 6 && base && chance(fabric, 30)) {
			put(function->config, 0x10, 4, base | 0xc);
			put(function->config, 0x14, 4, below(fabric, 2) << 5);
		}
		put_range(fabric, function, 0, base, 0x10000, 0x40200);
	} else if (chance(fabric, 30)) {
		put(function->config, 0x10, 4, 0xe001);
		put_range(fabric, function, 0, 0xe000, 0x100, 0x40101);
	}
	if (slots < 6 || chance(fabric, 20))
		return;
	base = w.base + below(fabric, (uint32_t)(w.size / size)) * size;
	if (chance(fabric, 5))
		base = chance(fabric, 50) ? 0 : base ^ 1ull << 43;
	put(function->config, 0x18, 4, (base & 0xfffffff0) | 0xc);
	put(function->config, 0x1c, 4, base >> 32);
	put_range(fabric, function, 2, base, size, 0x14220c);
}

static void put_windows(struct fabric *fabric, uint8_t *config, struct window w)
{
	uint64_t limit = w.base + w.size - 1;

	/* What firmware would not: beyond the window above. */
	if (chance(fabric, 5))
		limit += w.size;
	put(config, 0x20, 2, chance(fabric, 4) ? 0xfff0 : w.low >> 16);
	put(config, 0x22, 2, (w.low + (chance(fabric, 4) ? w.low_size / 2 : w.low_size) - 1) >> 16);
	put(config, 0x24, 2, (w.base >> 16 & 0xfff0) | 1);
	put(config, 0x26, 2, (limit >> 16 & 0xfff0) | 1);
	put(config, 0x28, 4, w.base >> 32);
	put(config, 0x2c, 4, limit >> 32);
}

static struct window slice(struct fabric *fabric, struct window w)
{
	if (w.low_size >= 32 << 20 && !fabric->shares_low) {
		w.low_size /= 4;
		w.low += w.low_size * below(fabric, 4);
	}
	if (w.size < 64 << 20)
		return w;
	w.size /= 8;
	w.base += w.size * below(fabric, 8);
	return w;
}

static void add_vfs(struct fabric *fabric, struct p2pdma_bdf pf, struct window w)
{
	struct snapshot_function *function = NULL, *vf;
	unsigned int rid = pf.bus << 8 | pf.devfn, num = 1 + below(fabric, 3);
	unsigned int offset = chance(fabric, 30) ? 256 : 1 + below(fabric, 9);
	unsigned int stride = 1 + below(fabric, 3);
	bool is_enabled = chance(fabric, 92), is_recorded = chance(fabric, 40), is_new;
	uint64_t size = w.size / 64;

	if (snapshot_add(fabric->snapshot, pf, &is_new, &function) || is_new)
		abort();
	put(function->config, SRIOV_AT + 8, 2, is_enabled | (chance(fabric, 90) ? 8u : 0));
	put(function->config, SRIOV_AT + 0x10, 2, num);
	put(function->config, SRIOV_AT + 0x14, 2, offset);
	put(function->config, SRIOV_AT + 0x16, 2, stride);
	put(function->config, SRIOV_AT + 0x24, 4, (w.base & 0xfffffff0) | 0xc);
	put(function->config, SRIOV_AT + 0x28, 4, w.base >> 32);
	if (offset == 256 && fabric->last_bus == pf.bus)
		fabric->last_bus++;
	for (unsigned int i = 0; i < num; i++) {
		unsigned int at = rid + offset + i * stride;

		vf = add(fabric, at >> 8, at & 0xff);
		if (!vf)
			continue;
		put(vf->config, 0x00, 4, 0xffffffff);
		put(vf->config, 0x04, 2, chance(fabric, 95) ? 4 : 0);
		vf->config[0x0e] = fabric->has_oddities && chance(fabric, 5) ? 1 : 0;
		put_capabilities(fabric, vf->config, ENDPOINT);
		put_extended(fabric, vf->config, ENDPOINT, false, false);
		put_range(fabric, vf, 0, w.base + i * size, size, 0x14220c);
		if (is_recorded) {
			vf->has_physfn = true;
			vf->physfn = pf;
			/* The OS would not, but a capture may name a VF. */
			if (fabric->has_oddities && chance(fabric, 10))
				vf->physfn.devfn += (uint8_t)offset;
		}
	}
}

static void populate(struct fabric *fabric, unsigned int bus, int above, struct window w,
                     int depth);

static void add_one(struct fabric *fabric, unsigned int bus, unsigned int devfn, int type,
                    struct window w, int depth)
{
	bool is_bridge = (type >= ROOT_PORT && type <= PCI_TO_PCIE) || type == PCI_BRIDGE;
	bool has_sriov = type == ENDPOINT && chance(fabric, 12);
	struct snapshot_function *function = add(fabric, bus, devfn);
	struct p2pdma_bdf bdf;
	bool is_pch;
	unsigned int below_it;

	if (!function)
		return;
	bdf = function->bdf;
	if (fabric->has_oddities && chance(fabric, 1)) {
		memset(function->config, 0xff, SNAPSHOT_CONFIG_SIZE);
		return;
	}
	is_pch = type == ROOT_PORT && chance(fabric, 10);
	put_ids(fabric, function->config);
	if (is_pch)
		put(function->config, 0, 4, 0xa1108086);
	put_capabilities(fabric, function->config, type);
	if (type < CONVENTIONAL)
		put_extended(fabric, function->config, type, has_sriov, is_pch);
	put_bars(fabric, function, w, is_bridge ? 2 : 6);
	if (!is_bridge) {
		put(function->config, 0x2c, 4,
		    (const uint32_t[]){ 0x11001af4, 0x00011af4, 0x11001028 }[below(fabric, 3)]);
		if (has_sriov)
			add_vfs(fabric, bdf, w);
		return;
	}
	if (depth == MAX_DEPTH || fabric->last_bus >= 250)
		return;
	w = slice(fabric, w);
	below_it = ++fabric->last_bus;
	function->config[0x0e] = type == PCI_BRIDGE && chance(fabric, 20) ? 2 : 1;
	if (function->config[0x0e] == 2) {
		put(function->config, 0x14, 4, function->config[0x34]);
		function->config[0x34] = chance(fabric, 50) ? 0 : EXP_AT;
	}
	function->config[0x18] = (uint8_t)bus;
	put_windows(fabric, function->config, w);
	function->config[0x19] = (uint8_t)below_it;
	if (fabric->has_oddities && chance(fabric, 5))
		function->config[0x19] = (uint8_t)below(fabric, below_it + 1);
	else if (fabric->has_oddities && chance(fabric, 5))
		function->config[0x19] = (uint8_t)(below_it - 1);
	populate(fabric, below_it, type, w, depth + 1);
}

static int child_type(struct fabric *fabric, int above)
{
	static const int any[] = { ENDPOINT,
		                   LEGACY,
		                   ROOT_PORT,
		                   UPSTREAM,
		                   DOWNSTREAM,
		                   PCIE_TO_PCI,
		                   PCI_TO_PCIE,
		                   RC_ENDPOINT,
		                   CONVENTIONAL,
		                   PCI_BRIDGE,
		                   3 /* no such type */ };

	if (fabric->has_oddities && chance(fabric, 6))
		return any[below(fabric, 11)];
	switch (above) {
	case NO_PARENT:
		return (const int[]){ ROOT_PORT,   ROOT_PORT,  ROOT_PORT,
			              RC_ENDPOINT, PCI_BRIDGE, CONVENTIONAL }[below(fabric, 6)];
	case UPSTREAM:
		return DOWNSTREAM;
	case PCIE_TO_PCI:
	case PCI_BRIDGE:
		return (const int[]){ CONVENTIONAL, CONVENTIONAL, PCI_BRIDGE,
			              PCI_TO_PCIE }[below(fabric, 4)];
	default:
		return (const int[]){ UPSTREAM, UPSTREAM, ENDPOINT,   ENDPOINT,
			              ENDPOINT, LEGACY,   PCIE_TO_PCI }[below(fabric, 7)];
	}
}

static void populate(struct fabric *fabric, unsigned int bus, int above, struct window w, int depth)
{
	bool is_link = above == ROOT_PORT || above == DOWNSTREAM || above == PCI_TO_PCIE;
	unsigned int count = 1 + below(fabric, is_link ? 2 : 4);

	for (unsigned int i = 0; i < count; i++) {
		unsigned int devfn = i << 3;

		/* One device on a link: functions, or beyond 7 with ARI. */
		if (is_link)
			devfn = chance(fabric, 10) ? below(fabric, 256) : i;
		add_one(fabric, bus, devfn, child_type(fabric, above), w, depth);
	}
}

static void add_root(struct fabric *fabric, unsigned int bus, unsigned int n)
{
	static const uint32_t ids[] = { 0x80862020, 0x808609a2, 0x80862f00, 0x80864c43,
		                        0x80867d1a, 0x80860b25, 0x80866f00, 0x1ae00042,
		                        0x10de2f95, 0x1d171003, 0x1d171008, 0x10221480 };
	struct window w = { 0x200000000000ull + ((uint64_t)n << 40), 1ull << 40, 0x80000000u,
		            0x40000000 };
	uint32_t id = ids[below(fabric, 12)];

	if (!fabric->shares_low) {
		w.low_size /= 4;
		w.low += n % 4 * w.low_size;
	}
	fabric->root_bus = fabric->last_bus = bus;
	if (chance(fabric, 60)) {
		unsigned int devfn = chance(fabric, 85) ? 0 : below(fabric, 16);
		int type = (const int[]){ CONVENTIONAL, CONVENTIONAL, RC_ENDPOINT,
			                  ROOT_PORT }[below(fabric, 4)];
		size_t index = fabric->snapshot->function_count;

		add_one(fabric, bus, devfn, type, w, 1);
		if (fabric->snapshot->function_count > index) {
			uint8_t *config = fabric->snapshot->functions[index].config;

			put(config, 0, 2, id >> 16);
			put(config, 2, 2, id);
			if (type == CONVENTIONAL && chance(fabric, 85))
				put(config, 0x0a, 2, 0x0600);
		}
	}
	/* A subtree whose top was not captured. */
	if (fabric->has_oddities && chance(fabric, 10))
		add_one(fabric, bus, 0, UPSTREAM, w, 1);
	/* Or only what lies below one. */
	populate(fabric, bus, chance(fabric, 6) ? (int)below(fabric, NO_PARENT) : NO_PARENT, w, 1);
}

static char *copy(const char *text)
{
	return text ? must(strdup(text)) : NULL;
}

static void describe(struct fabric *fabric)
{
	struct snapshot *snapshot = fabric->snapshot;

	snapshot->kernel = copy((const char *[]){ NULL, "5.14.21", "6.1.0-9-amd64", "6.12.41",
	                                          "7.1.3", "7.4.0-rc1" }[below(fabric, 6)]);
	snapshot->cpu_vendor = copy(
		(const char *[]){ NULL, NULL, "GenuineIntel", "AuthenticAMD" }[below(fabric, 4)]);
	if (snapshot->cpu_vendor)
		snapshot->cpu_family = chance(fabric, 50) ? 0x19 : 0x15;
	if (chance(fabric, 15))
		snapshot->hypervisor =
			copy((const char *[]){ "none", "qemu", "kvm" }[below(fabric, 3)]);
}

struct snapshot *random_fabric(uint64_t seed)
{
	struct fabric fabric = {
		.snapshot = must(snapshot_new()),
		.random = { seed * 2 + 1 },
	};
	unsigned int roots;

	for (int i = 0; i < 8; i++)
		below(&fabric, 2);
	fabric.budget = 2 + below(&fabric, 59);
	fabric.records_roots = chance(&fabric, 30);
	fabric.records_resources = chance(&fabric, 50);
	fabric.has_ats = chance(&fabric, 40);
	fabric.has_oddities = chance(&fabric, 50);
	fabric.shares_low = chance(&fabric, 25);
	fabric.short_config = (const size_t[]){ 0, 0, 0, 0, 0, 64, 256, 0x108 }[below(&fabric, 8)];
	describe(&fabric);
	roots = 1 + below(&fabric, 4);
	for (unsigned int n = 0; n < roots || fabric.snapshot->function_count < 2; n++) {
		if (n && chance(&fabric, 25)) {
			fabric.domain = chance(&fabric, 50) ? fabric.domain + 1 : 0x10000 + n;
			fabric.last_bus = 0;
		}
		if (fabric.last_bus > 200)
			break;
		add_root(&fabric, n ? fabric.last_bus + 1 + below(&fabric, 3) : 0, n);
	}
	snapshot_finish(fabric.snapshot);
	return fabric.snapshot;
}
