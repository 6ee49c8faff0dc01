/* SPDX-License-Identifier: MIT */
/*
 * config_write.c - registers that can be written, what follows from it, and what resets leave.
 *
 * A table says which bits of which dword are read-write or write-1-to-clear; all others, and all of
 * capabilities that are not in it, are read-only.
 */
#include <string.h>

#include <linux/pci_regs.h>

#include "fabric.h"

/* Whose register it is. */
enum {
	IS_NORMAL = 1 << 0, /* header 0, no VF */
	IS_BRIDGE = 1 << 1,
	IS_CARDBUS = 1 << 2,
	IS_VF = 1 << 3,
	HAS_LINK = 1 << 4,
	IS_PORT = 1 << 5, /* a link below */
	IS_ROOT = 1 << 6,
	IS_OWN = IS_NORMAL | IS_BRIDGE | IS_CARDBUS,
	IS_ANY = IS_OWN | IS_VF,
};

/* What follows from a write to it. */
enum effect {
	NOTHING,
	DECODE,
	BUS_RESET,
	POWER,
	VECTORS,
	FLR,
	LINK,
	SRIOV,
};

struct row {
	uint8_t cap;    /* offset in struct capabilities; HEADER: the header */
	uint8_t offset; /* of a dword */
	uint8_t count;  /* of such dwords */
	uint8_t who;
	enum effect effect;
	uint32_t rw;
	uint32_t w1c;
	uint32_t sticky; /* no reset changes them (PCIe Base 7.4) */
	uint32_t by_flr; /* nor does FLR these (6.6.2) */
	uint32_t reset;  /* their values after a reset */
	uint8_t need_at,
		need; /* of the same capability: a byte, and bits of which one makes it rw */
	uint32_t (*limit)(const struct p2pdma_function *function, unsigned int index);
};

#define HEADER     0xff
#define CAP(name)  offsetof(struct capabilities, name)
#define STATUS_W1C 0xf9000000
#define AER_UNCOR  0x07fff030
#define AER_COR    0x0000f1c1
#define BRIDGE_SBR ((uint32_t)PCI_BRIDGE_CTL_BUS_RESET << 16)
/* ASPM, RCB, common clock, extended synch, clock PM, autonomous width */
#define LINK_CTL 0x03cb
#define ALL      UINT32_MAX

/* What sizing reads back (PCIe Base 7.5.1.2.1). */
static uint32_t size_mask(const struct bar *bars, unsigned int index)
{
	const struct bar *bar = &bars[index];

	if (bar->kind != BAR_NONE)
		return (uint32_t) ~(bar->size - 1) & (bar->kind == BAR_IO ? ~0x3u : ~0xfu);
	if (!index || bar[-1].kind == BAR_NONE || !bar[-1].is_64bit)
		return 0;
	return (uint32_t)(~(bar[-1].size - 1) >> 32);
}

static uint32_t bar_limit(const struct p2pdma_function *function, unsigned int index)
{
	return size_mask(function->bars, index);
}

/* VF BARs size one VF (PCIe Base 9.3.3.14). */
static uint32_t vf_bar_limit(const struct p2pdma_function *pf, unsigned int index)
{
	for (size_t i = 0; i < pf->home->member_count; i++)
		if (pf->home->members[i]->physfn == pf)
			return size_mask(pf->home->members[i]->bars, index);
	return 0;
}

/* Controls exist where the capability register has their bits (PCIe Base 7.7.11.3). */
static uint32_t acs_limit(const struct p2pdma_function *function, unsigned int index)
{
	(void)index;
	if (function_has_wide_acs(function))
		return 0;
	return (uint32_t)function_acs_capability(function) << 16;
}

/* The egress control vector; the PCH's control. */
static uint32_t egress_limit(const struct p2pdma_function *function, unsigned int index)
{
	unsigned int size = function_egress_size(function);

	if (function_has_wide_acs(function))
		return index ? 0 : function_acs_capability(function) & 0x7f;
	if (!(function_acs_capability(function) & P2PDMA_ACS_EGRESS_CTRL) || size <= 32 * index)
		return 0;
	return size >= 32 * index + 32 ? ALL : (1u << size % 32) - 1;
}

/* clang-format off */
static const struct row rows[] = {
	/* Header (PCIe Base 7.5.1; 9.3.4.1) */
	{ HEADER, 0x04, 1, IS_OWN, DECODE, 0x0547, STATUS_W1C },
	{ HEADER, 0x04, 1, IS_VF, DECODE, 0x0004, STATUS_W1C },
	{ HEADER, 0x0c, 1, IS_OWN, NOTHING, 0x00ff },
	{ HEADER, 0x10, 6, IS_NORMAL, DECODE, ALL, .limit = bar_limit },
	{ HEADER, 0x10, 2, IS_BRIDGE, DECODE, ALL, .limit = bar_limit },
	{ HEADER, 0x18, 1, IS_BRIDGE | IS_CARDBUS, DECODE, 0x00ffffff },
	{ HEADER, 0x1c, 1, IS_BRIDGE, NOTHING, 0, STATUS_W1C },
	{ HEADER, 0x20, 2, IS_BRIDGE, DECODE, 0xfff0fff0 },
	{ HEADER, 0x28, 2, IS_BRIDGE, DECODE, ALL, .need_at = 0x24, .need = 0x01 },
	{ HEADER, 0x3c, 1, IS_NORMAL, NOTHING, 0x00ff },
	{ HEADER, 0x3c, 1, IS_BRIDGE | IS_CARDBUS, BUS_RESET, 0x005f00ff },
	/* Power management (7.5.2) and MSI-X (7.7.2) */
	{ CAP(pm), 0x04, 1, IS_ANY, POWER, 0x0103, 0x8000, .sticky = 0x8100 },
	{ CAP(msix), 0x00, 1, IS_ANY, VECTORS, 0xc0000000 },
	/* PCI Express (7.5.3); Device Control of a VF is its PF's but for FLR (9.3.5.4) */
	{ CAP(exp), 0x08, 1, IS_OWN, NOTHING, 0x78ff, .by_flr = 0xe0, .reset = 0x2810 },
	{ CAP(exp), 0x08, 1, IS_ANY, NOTHING, 0, 0x000f0000 },
	{ CAP(exp), 0x08, 1, IS_OWN, NOTHING, 0x0100, .need_at = 0x04, .need = 0x20 },
	{ CAP(exp), 0x08, 1, IS_NORMAL | IS_VF, FLR, 0x8000, .need_at = 0x07, .need = 0x10 },
	{ CAP(exp), 0x10, 1, HAS_LINK, NOTHING, LINK_CTL, .by_flr = LINK_CTL },
	{ CAP(exp), 0x10, 1, IS_PORT, LINK, 0x0c30, 0xc0000000 },
	{ CAP(exp), 0x18, 1, IS_PORT, NOTHING, 0x1fff, 0x011f0000, .need_at = 0x03, .need = 0x01 },
	{ CAP(exp), 0x1c, 1, IS_ROOT, NOTHING, 0x001f },
	{ CAP(exp), 0x20, 1, IS_ROOT, NOTHING, 0, 0x00010000 },
	{ CAP(exp), 0x28, 1, IS_PORT, NOTHING, 0x0020, .need_at = 0x02, .need = 0x0e },
	/* AER (7.8.4; masks and severities are the PF's: 9.4.2) */
	{ CAP(aer), 0x04, 1, IS_ANY, NOTHING, 0, AER_UNCOR, .sticky = AER_UNCOR },
	{ CAP(aer), 0x08, 2, IS_OWN, NOTHING, AER_UNCOR, .sticky = AER_UNCOR },
	{ CAP(aer), 0x10, 1, IS_ANY, NOTHING, 0, AER_COR, .sticky = AER_COR },
	{ CAP(aer), 0x14, 1, IS_OWN, NOTHING, AER_COR, .sticky = AER_COR },
	/* ACS (7.7.11) */
	{ CAP(acs), 0x04, 1, IS_ANY, NOTHING, 0x007f0000, .limit = acs_limit },
	{ CAP(acs), 0x08, 8, IS_ANY, NOTHING, ALL, .limit = egress_limit },
	/* SR-IOV (9.3.3) */
	{ CAP(sriov), 0x08, 1, IS_NORMAL, SRIOV, 0x0019 },
	{ CAP(sriov), 0x10, 1, IS_NORMAL, NOTHING, 0xffff },
	{ CAP(sriov), 0x24, 6, IS_NORMAL, DECODE, ALL, .limit = vf_bar_limit },
	/* ATS (10.5.1; a VF's Smallest Translation Unit is its PF's) */
	{ CAP(ats), 0x04, 1, IS_OWN, NOTHING, 0x801f0000 },
	{ CAP(ats), 0x04, 1, IS_VF, NOTHING, 0x80000000 },
};
/* clang-format on */
#define ROWS_END (rows + sizeof(rows) / sizeof(rows[0]))

static unsigned int who_is(const struct p2pdma_function *function)
{
	static const uint8_t by_kind[] = {
		[P2PDMA_KIND_ENDPOINT] = HAS_LINK,
		[P2PDMA_KIND_UPSTREAM_PORT] = HAS_LINK,
		[P2PDMA_KIND_PCIE_TO_PCI] = HAS_LINK,
		[P2PDMA_KIND_ROOT_PORT] = HAS_LINK | IS_PORT | IS_ROOT,
		[P2PDMA_KIND_DOWNSTREAM_PORT] = HAS_LINK | IS_PORT,
		[P2PDMA_KIND_PCI] = 0,
	};

	if (function->physfn)
		return IS_VF;
	if (function->header_type > PCI_HEADER_TYPE_CARDBUS)
		return 0;
	return 1u << function->header_type | by_kind[function->kind];
}

/* Where the capability begins; false: nowhere, or the row is not for this function. */
static bool row_start(const struct p2pdma_function *function, const struct row *row,
                      size_t *ret_start)
{
	uint16_t at = 0;

	if (row->cap != HEADER)
		memcpy(&at, (const char *)&function->at + row->cap, sizeof(at));
	*ret_start = at;
	return row->who & who_is(function) && (at || row->cap == HEADER);
}

/* False: the dword at @offset is none of the row's. */
static bool row_bits(const struct p2pdma_function *function, const struct row *row, size_t offset,
                     uint32_t *ret_rw)
{
	size_t start;

	if (!row_start(function, row, &start) || offset < start + row->offset ||
	    offset >= start + row->offset + 4 * (size_t)row->count)
		return false;
	*ret_rw = row->rw;
	if (row->need && !(function->config[start + row->need_at] & row->need))
		*ret_rw = 0;
	if (row->limit)
		*ret_rw &= row->limit(function, (unsigned int)(offset - start - row->offset) / 4);
	return true;
}

static void stale(struct p2pdma_function *function)
{
	decode_stale(function->home);
	if (function->below)
		decode_stale(function->below);
}

/* Interrupts that waited for bus mastering or D0 of it or its PF. */
static void flush(struct p2pdma_function *function)
{
	for (size_t i = 0; i < function->home->member_count; i++) {
		struct p2pdma_function *member = function->home->members[i];

		if (member == function || member->physfn == function)
			vectors_flush(member);
	}
}

/* VFs come with their registers reset, and go (PCIe Base 9.3.3.3.1). */
static void show_vfs(struct p2pdma_function *pf)
{
	for (size_t i = 0; pf->at.sriov && i < pf->home->member_count; i++) {
		struct p2pdma_function *vf = pf->home->members[i];

		if (vf->physfn != pf || vf->is_present == function_vf_is_enabled(vf))
			continue;
		if (!vf->is_present) {
			if (vf->boot_config)
				memcpy(vf->config, vf->boot_config, CONFIG_SIZE);
			config_reset(vf, P2PDMA_RESET_HOT);
		}
		function_show(vf, !vf->is_present);
	}
}

/* PCIe Base 7.5.2.2: a state that is not supported is not entered; 5.3.1.4: leaving D3hot. */
static void change_power(struct p2pdma_function *function, uint32_t old, uint32_t now)
{
	uint8_t *pm = function->config + function->at.pm;
	uint32_t state = now & PCI_PM_CTRL_STATE_MASK, was = old & PCI_PM_CTRL_STATE_MASK;

	/* D1 and D2 are neighbours in the capability, too. */
	if ((state == 1 || state == 2) && !(get16(pm + PCI_PM_PMC) & PCI_PM_CAP_D1 << (state - 1)))
		put32(pm + PCI_PM_CTRL, now - state + was);
	else if (was == 3 && !state && !(now & PCI_PM_CTRL_NO_SOFT_RESET))
		function_reset(function, P2PDMA_RESET_POWER);
	stale(function);
}

/* PCIe Base 7.5.3.7: Retrain Link reads as zero; 7.5.3.8: its end is told. */
static void change_link(struct p2pdma_function *port, uint32_t old, uint32_t now)
{
	uint8_t *exp = port->config + port->at.exp;

	exp[PCI_EXP_LNKCTL] &= (uint8_t)~PCI_EXP_LNKCTL_RL;
	if (!port->below)
		return;
	if (now & PCI_EXP_LNKCTL_RL && port->below->is_up) {
		wire_train(port->below);
		exp[PCI_EXP_LNKSTA + 1] |= PCI_EXP_LNKSTA_LBMS >> 8;
	}
	if ((old ^ now) & PCI_EXP_LNKCTL_LD)
		link_check(port->below);
}

static void follow(struct p2pdma_function *function, enum effect effect, uint32_t old, uint32_t now)
{
	switch (effect) {
	case NOTHING:
		return;
	case SRIOV:
		show_vfs(function);
		/* fall through */
	case DECODE:
		stale(function);
		if (!function_masters(function))
			wire_recall(function, false);
		flush(function);
		return;
	case BUS_RESET: /* PCIe Base 7.5.1.3.13 */
		if ((old ^ now) & BRIDGE_SBR && function->below)
			segment_reset(function->below, now & BRIDGE_SBR);
		return;
	case POWER:
		change_power(function, old, now);
		if (!function_masters(function))
			wire_recall(function, false);
		flush(function);
		return;
	case VECTORS:
		vectors_flush(function);
		return;
	case FLR: /* reads as zero (PCIe Base 7.5.3.4) */
		if (now & PCI_EXP_DEVCTL_BCR_FLR) {
			function->config[function->at.exp + PCI_EXP_DEVCTL + 1] &= 0x7f;
			function_reset(function, P2PDMA_RESET_FLR);
		}
		return;
	case LINK:
		change_link(function, old, now);
		return;
	}
}

/* All that a function takes while it hangs (PCIe Base 6.6.2: FLR gets out of any state). */
static bool is_flr(const struct p2pdma_function *function, size_t offset, size_t length,
                   uint32_t value)
{
	size_t exp = function->at.exp;

	return exp && offset == exp + PCI_EXP_DEVCTL && length >= 2 &&
	       value & PCI_EXP_DEVCTL_BCR_FLR &&
	       get32(function->config + exp + PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_FLR;
}

static bool takes(struct p2pdma_function *function, bool even_when_hung)
{
	bool was_hung = function->is_hung, takes_it;

	function->is_hung &= !even_when_hung;
	takes_it = config_reaches(function);
	function->is_hung = was_hung;
	return takes_it;
}

void config_write(struct p2pdma_function *function, size_t offset, size_t length, uint32_t value)
{
	size_t at = offset & ~(size_t)3;
	unsigned int shift = 8 * (offset & 3);
	uint32_t lanes, old, now, bits, rw = 0, w1c = 0;

	if ((length != 1 && length != 2 && length != 4) || offset % length ||
	    offset >= CONFIG_SIZE || !takes(function, is_flr(function, offset, length, value)))
		return;
	lanes = (uint32_t)((1ull << 8 * length) - 1) << shift;
	value <<= shift;
	for (const struct row *row = rows; row < ROWS_END; row++)
		if (row_bits(function, row, at, &bits)) {
			rw |= lanes & bits;
			w1c |= lanes & row->w1c;
		}
	old = get32(function->config + at);
	now = ((old & ~rw) | (value & rw)) & ~(value & w1c);
	put32(function->config + at, now);
	for (const struct row *row = rows; row < ROWS_END; row++)
		if (row->effect && row_bits(function, row, at, &bits) && bits & lanes)
			follow(function, row->effect, old, now);
	if (function->model && function->model->config_written)
		function->model->config_written(function->state, offset, length);
}

/* What was held by registers that are reset now; of a hot reset all below is in it as well. */
static void let_go(struct p2pdma_function *bridge, bool was_held)
{
	if (was_held)
		segment_reset(bridge->below, false);
	link_check(bridge->below);
}

void config_reset(struct p2pdma_function *function, enum p2pdma_model_reset why)
{
	bool was_held = function->config[PCI_BRIDGE_CONTROL] & PCI_BRIDGE_CTL_BUS_RESET;

	for (const struct row *row = rows; row < ROWS_END; row++) {
		uint32_t keep = row->sticky | (why == P2PDMA_RESET_HOT ? 0 : row->by_flr);
		size_t start, at;
		uint32_t bits;

		if (!row_start(function, row, &start))
			continue;
		at = start + row->offset;
		for (int i = 0; i < row->count && at < CONFIG_SIZE; i++, at += 4) {
			if (!row_bits(function, row, at, &bits))
				continue;
			bits = (bits | row->w1c) & ~keep;
			put32(function->config + at,
			      (get32(function->config + at) & ~bits) | (row->reset & bits));
		}
	}
	stale(function);
	show_vfs(function);
	if (function->below && why != P2PDMA_RESET_HOT)
		let_go(function, was_held);
}
