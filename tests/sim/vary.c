/* SPDX-License-Identifier: MIT */
#include "generate.h"

#define HEADER_TYPE   0x0e
#define BAR0          0x10
#define MEMORY_BASE   0x20
#define MEMORY_LIMIT  0x22
#define PREFETCH_BASE 0x24
#define EXP_CAPS      0x04
#define EXP_CONTROL   0x08
#define EXT_TAGS      0x100
#define SRIOV_CONTROL 0x08
#define SRIOV_MSE     0x08

/* How one machine's software behaves. */
struct style {
	struct lab *lab;
	struct random *random;
	uint32_t spoilt;      /* percent of functions that a kind of trouble befalls */
	uint32_t controlled;  /* percent of ports whose ACS control is written */
	bool forwards_upward; /* ports that redirect can turn round, as Linux sets them */
	bool overlaps;        /* windows and BARs may hold what others do */
};

static bool chance(const struct style *style, uint32_t percent)
{
	return random_chance(style->random, percent);
}

static bool is_bridge(const struct p2pdma_device *device)
{
	return (lab_get(device, HEADER_TYPE, 1) & 0x7f) == 1;
}

static uint16_t random_control(const struct style *style)
{
	uint32_t kind = random_below(style->random, 100);

	if (kind < 15)
		return 0;
	if (kind < 40)
		return 0x1d; /* as Linux sets it under an IOMMU */
	if (kind < 45)
		return 0x1f; /* the same where translated requests are not trusted */
	if (kind < 54)
		return 0x5d; /* and where they may go straight */
	if (kind < 61)
		return P2PDMA_ACS_TRANS_BLK;
	if (kind < 80)
		return P2PDMA_ACS_EGRESS_CTRL | P2PDMA_ACS_UPSTREAM_FWD;
	return (uint16_t)random_below(style->random, 128);
}

static void vary_acs(const struct style *style, struct p2pdma_device *device)
{
	struct p2pdma_acs acs = p2pdma_device_acs(device);
	uint16_t control = acs.control;

	if (acs.known != P2PDMA_YES)
		return;
	if (chance(style, style->controlled))
		control = random_control(style);
	/* Endpoints' functions: mostly left alone. */
	if (!is_bridge(device) && chance(style, 60))
		control = 0;
	/* What a root port's vector does to other root ports is not judged. */
	if (!p2pdma_device_parent(device) && chance(style, 80))
		control &= (uint16_t)~P2PDMA_ACS_EGRESS_CTRL;
	if (style->forwards_upward && is_bridge(device))
		control |= P2PDMA_ACS_UPSTREAM_FWD;
	lab_acs(device, control);
	if (!(acs.capability & P2PDMA_ACS_EGRESS_CTRL) || !(control & P2PDMA_ACS_EGRESS_CTRL))
		return;
	for (unsigned int bit = 0; bit < 32; bit += 1 + random_below(style->random, 3))
		lab_egress(device, bit, true);
}

static void vary_payload(const struct style *style, struct p2pdma_device *device)
{
	size_t at = lab_cap(device, CAP_EXP);
	uint32_t most;

	if (!at)
		return;
	most = lab_get(device, at + EXP_CAPS, 4) & 7;
	if (chance(style, style->spoilt))
		lab_payload(device, 128u << random_below(style->random, most + 1));
	if (!is_bridge(device) && chance(style, 5))
		lab_change(device, at + EXP_CONTROL, EXT_TAGS, 0);
}

/* Another function nearby. */
static struct p2pdma_device *neighbour(const struct style *style, size_t i)
{
	size_t count = p2pdma_machine_device_count(style->lab->machine);
	size_t step = 1 + random_below(style->random, count < 8 ? (uint32_t)count : 8);

	return p2pdma_machine_device(style->lab->machine,
	                             (i + (chance(style, 50) ? step : count - step)) % count);
}

/* Twice as large, or over a BAR of somebody else. */
static void overlap_window(const struct style *style, struct p2pdma_device *device, size_t i)
{
	const struct p2pdma_device *other = neighbour(style, i);
	uint64_t base = lab_get(device, PREFETCH_BASE, 2) >> 4 << 20;
	uint64_t limit = lab_get(device, PREFETCH_BASE + 2, 2) >> 4 << 20;
	uint64_t low = lab_get(device, MEMORY_BASE, 2), high = lab_get(device, MEMORY_LIMIT, 2);
	struct p2pdma_bar range;

	base |= (uint64_t)lab_get(device, PREFETCH_BASE + 4, 4) << 32;
	limit |= (uint64_t)lab_get(device, PREFETCH_BASE + 8, 4) << 32;
	if (chance(style, 50)) {
		limit += base <= limit ? limit - base + 0x100000 : 0;
		high = high < low ? high : 2 * high - low + 0x10;
	} else if (!p2pdma_device_bar(other, 0, &range) && range.bus.addr >> 32 && range.size) {
		base = base <= limit && base < range.bus.addr ? base : range.bus.addr;
		limit = limit > range.bus.addr ? limit : range.bus.addr + range.size - 1;
	}
	lab_set(device, MEMORY_LIMIT, 2, high > 0xfff0 ? 0xfff0 : (uint32_t)high);
	lab_set(device, PREFETCH_BASE, 2, base >> 16 & 0xfff0);
	lab_set(device, PREFETCH_BASE + 2, 2, limit >> 16 & 0xfff0);
	lab_set(device, PREFETCH_BASE + 4, 4, (uint32_t)(base >> 32));
	lab_set(device, PREFETCH_BASE + 8, 4, (uint32_t)(limit >> 32));
}

/* To where somebody else's is. */
static void overlap_bar(const struct style *style, struct p2pdma_device *device, size_t i)
{
	const struct p2pdma_device *other = neighbour(style, i);
	uint32_t kind = lab_get(device, BAR0, 4) & 7;

	if (is_bridge(other) || (lab_get(other, BAR0, 4) & 7) != kind)
		return;
	if (kind == 4)
		lab_set(device, BAR0 + 4, 4, lab_get(other, BAR0 + 4, 4));
	lab_set(device, BAR0, 4, lab_get(other, BAR0, 4) & ~0xfu);
}

/* Closed, or cut to its upper half. */
static void vary_window(const struct style *style, struct p2pdma_device *device)
{
	uint32_t base, limit;

	if (chance(style, 50)) {
		lab_set(device, MEMORY_BASE, 4, 0x0000fff0);
		lab_set(device, PREFETCH_BASE, 4, 0x0000fff0);
		return;
	}
	base = lab_get(device, MEMORY_BASE, 2);
	limit = lab_get(device, MEMORY_LIMIT, 2);
	if (limit > base)
		lab_set(device, MEMORY_BASE, 2, (base + (limit - base) / 2 + 0x10) & 0xfff0);
	base = lab_get(device, PREFETCH_BASE, 2) & 0xfff0;
	limit = lab_get(device, PREFETCH_BASE + 2, 2) & 0xfff0;
	if (limit > base)
		lab_set(device, PREFETCH_BASE, 2, (base + (limit - base) / 2 + 0x10) & 0xfff0);
}

static void vary_bridge(const struct style *style, struct p2pdma_device *device)
{
	if (chance(style, style->spoilt))
		lab_change(device, COMMAND, COMMAND_MEMORY, 0);
	if (chance(style, style->spoilt))
		lab_change(device, COMMAND, COMMAND_MASTER, 0);
	if (chance(style, style->spoilt))
		vary_window(style, device);
}

/* To where nobody else's is: memory beyond what firmware gives away, a place for each. */
static void move_bar(struct p2pdma_device *device, unsigned int place)
{
	if ((lab_get(device, BAR0, 4) & 6) == 4) {
		lab_set(device, BAR0, 4, 0);
		lab_set(device, BAR0 + 4, 4, 0x00700000 + place);
	} else {
		lab_set(device, BAR0, 4, 0);
	}
}

static void vary_endpoint(const struct style *style, struct p2pdma_device *device,
                          unsigned int place)
{
	size_t sriov = lab_ext(device, EXT_SRIOV);

	if (chance(style, style->spoilt))
		lab_change(device, COMMAND, COMMAND_MEMORY, 0);
	if (chance(style, style->spoilt))
		lab_change(device, COMMAND, COMMAND_MASTER, 0);
	if (chance(style, style->spoilt)) {
		lab_set(device, BAR0, 4, 0);
		if ((lab_get(device, BAR0, 4) & 6) == 4)
			lab_set(device, BAR0 + 4, 4, 0);
	} else if (chance(style, style->spoilt)) {
		move_bar(device, place);
	}
	if (sriov && chance(style, style->spoilt))
		lab_change(device, sriov + SRIOV_CONTROL, SRIOV_MSE, 0);
	lab_ats(device, chance(style, 40));
}

static void hang(struct lab *lab, const struct p2pdma_device *device)
{
	struct p2pdma_error err = { "" };
	char json[128];

	snprintf(json, sizeof(json), "{\"at_ns\":%" PRIu64 ",\"do\":\"hang\",\"device\":\"%s\"}",
	         p2pdma_machine_now(lab->machine) + 1, lab_text(lab_bdf(device)));
	if (p2pdma_sim_fault(lab->sim, json, &err)) {
		fprintf(stderr, "%s: %s\n", json, err.text);
		abort();
	}
}

bool vary(struct lab *lab, struct random *random)
{
	struct style style = {
		.lab = lab,
		.random = random,
		.spoilt = (const uint32_t[]){ 0, 2, 5, 9 }[random_below(random, 4)],
		.controlled = (const uint32_t[]){ 0, 30, 80 }[random_below(random, 3)],
		.forwards_upward = random_chance(random, 85),
		.overlaps = random_chance(random, 25),
	};
	size_t count = p2pdma_machine_device_count(lab->machine);

	for (size_t i = 0; i < count; i++) {
		struct p2pdma_device *device = p2pdma_machine_device(lab->machine, i);

		vary_acs(&style, device);
		vary_payload(&style, device);
		if (is_bridge(device))
			vary_bridge(&style, device);
		else
			vary_endpoint(&style, device, (unsigned int)i);
		if (style.overlaps && chance(&style, 12))
			(is_bridge(device) ? overlap_window : overlap_bar)(&style, device, i);
	}
	/* What sleeps or hangs takes no more registers; children before their bridges.  What hangs
	 * hides the addresses that it claims. */
	for (size_t i = count; i--;) {
		struct p2pdma_device *device = p2pdma_machine_device(lab->machine, i);

		if (chance(&style, style.spoilt / 2))
			lab_power(device, 3);
		else if (!is_bridge(device) && chance(&style, style.spoilt) && !style.overlaps)
			hang(lab, device);
	}
	lab_run(lab, 1000);
	return style.overlaps;
}
