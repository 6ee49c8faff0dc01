/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "hazard.h"

#define COMMAND              0x04
#define COMMAND_MEMORY       0x0002
#define COMMAND_MASTER       0x0004
#define MEMORY_BASE          0x20
#define MEMORY_LIMIT         0x22
#define CARDBUS_BASE         0x1c
#define PREFETCH_BASE        0x24
#define PREFETCH_LIMIT       0x26
#define PREFETCH_BASE_UPPER  0x28
#define PREFETCH_LIMIT_UPPER 0x2c
#define PM_CONTROL           0x04
#define PM_STATE_MASK        0x3
#define EXP_DEVICE_CAP       0x04
#define EXP_DEVICE_CONTROL   0x08
#define EXP_CAP_EXT_TAG      0x20
#define EXP_CONTROL_EXT_TAG  0x0100
#define SRIOV_CONTROL        0x08
#define SRIOV_CONTROL_MSE    0x08

/* The largest memory BAR; where no sizes were recorded, the first 64-bit prefetchable, else the
 * first. */
static void choose_bar(const struct p2pdma_device *device, struct hazard_facts *facts)
{
	const struct p2pdma_device *pf = topology_at(device->machine, device->physfn);

	facts->bar = -1;
	for (int i = 0; i < 6; i++) {
		const struct p2pdma_bar *best = &facts->range;
		struct p2pdma_bar range;
		bool is_better;
		int r = p2pdma_device_bar(device, i, &range);

		facts->bar_unknown |= r == -ENODATA;
		if (r || !range.is_memory)
			continue;
		is_better = facts->bar < 0 || range.size > best->size ||
		            (!range.size && !best->size && range.is_64bit &&
		             range.is_prefetchable && !(best->is_64bit && best->is_prefetchable));
		if (!is_better)
			continue;
		facts->bar = (int8_t)i;
		facts->range = range;
	}
	/* Enhanced Allocation keeps ranges in a capability of its own, a VF's in its PF's (PCIe
	 * Base 7.8.5). */
	if (!facts->range.bus.addr &&
	    pcicap_find(pf ? pf->config : device->config, PCICAP_ID_EA) > 0) {
		facts->bar = -1;
		facts->bar_unknown = true;
		facts->range = (struct p2pdma_bar){ 0 };
	}
}

/* PCIe Base 7.5.3.3 and 7.5.3.4; a VF obeys its PF's (9.3.5.4). */
static void read_payload(const struct p2pdma_device *device, struct hazard_facts *facts)
{
	const struct p2pdma_device *owner =
		device->physfn == NO_INDEX ? device : topology_at(device->machine, device->physfn);
	int offset = pcicap_find(owner->config, PCICAP_ID_EXP);
	uint32_t capabilities;
	uint16_t control;

	facts->payload = facts->max_payload = MPS_UNKNOWN;
	if (offset < 0 ||
	    pcicap_read32(owner->config, (size_t)offset + EXP_DEVICE_CAP, &capabilities) ||
	    pcicap_read16(owner->config, (size_t)offset + EXP_DEVICE_CONTROL, &control))
		return;
	facts->payload = control >> 5 & 0x7;
	facts->max_payload = capabilities & 0x7;
	facts->tags_off = capabilities & EXP_CAP_EXT_TAG && !(control & EXP_CONTROL_EXT_TAG);
}

/* A VF's memory decode is its PF's VF MSE (PCIe Base 9.3.3.3.4). */
static bool vf_memory_off(const struct p2pdma_device *vf)
{
	const struct p2pdma_device *pf = topology_at(vf->machine, vf->physfn);
	int offset = pf ? pcicap_find_ext(pf->config, PCICAP_EXT_SRIOV) : -ENODATA;
	uint16_t control;

	return offset >= 0 &&
	       !pcicap_read16(pf->config, (size_t)offset + SRIOV_CONTROL, &control) &&
	       !(control & SRIOV_CONTROL_MSE);
}

static bool is_asleep(const struct p2pdma_device *device)
{
	int offset = pcicap_find(device->config, PCICAP_ID_PM);
	uint16_t control;

	return device->is_dead ||
	       (offset >= 0 &&
	        !pcicap_read16(device->config, (size_t)offset + PM_CONTROL, &control) &&
	        control & PM_STATE_MASK);
}

struct hazard_facts hazard_read(const struct p2pdma_device *device)
{
	const struct p2pdma_device *pf = topology_at(device->machine, device->physfn);
	struct hazard_facts facts = { .address_bits = ADDRESS_BITS_UNKNOWN };
	int mask_bits = device->function->dma_mask_bits;
	uint16_t command;

	facts.command_unknown = pcicap_read16(device->config, COMMAND, &command) != 0;
	if (!facts.command_unknown) {
		facts.bus_master_off = !(command & COMMAND_MASTER);
		facts.memory_off = !(command & COMMAND_MEMORY);
	}
	if (device->is_vf)
		facts.memory_off = vf_memory_off(device);
	/* A VF sleeps with its PF (PCIe Base 9.6.2). */
	facts.not_d0 = is_asleep(device) || (pf && is_asleep(pf));
	if (mask_bits > 0 && mask_bits < ADDRESS_BITS_UNKNOWN)
		facts.address_bits = (uint8_t)mask_bits;
	read_payload(device, &facts);
	choose_bar(device, &facts);
	return facts;
}

uint64_t hazard_last_address(const struct p2pdma_bar *range)
{
	uint64_t last = range->bus.addr + (range->size ? range->size - 1 : 0);

	return last < range->bus.addr ? UINT64_MAX : last;
}

uint8_t hazard_bits_needed(const struct p2pdma_bar *range)
{
	uint64_t last = hazard_last_address(range);

	return last ? (uint8_t)(64 - __builtin_clzll(last)) : 0;
}

static int open_window(struct hazard_range *windows, int count, uint64_t base, uint64_t limit)
{
	windows[count] = (struct hazard_range){ base, limit };
	return base <= limit ? count + 1 : count;
}

/* PC Card 8.0, vol. 2, 4.5.3: pages of 4 KiB; a limit of zero is a window not used. */
static int cardbus_windows(const struct p2pdma_device *bridge, struct hazard_range *windows)
{
	int count = 0;

	for (size_t at = CARDBUS_BASE; at < CARDBUS_BASE + 16; at += 8) {
		uint32_t base, limit;

		if (pcicap_read32(bridge->config, at, &base) ||
		    pcicap_read32(bridge->config, at + 4, &limit))
			return -ENODATA;
		if (limit)
			count = open_window(windows, count, base & ~0xfffu, limit | 0xfff);
	}
	return count;
}

/* PCI-to-PCI Bridge 3.2.5.8 and 3.2.5.9: base and limit in units of 1 MiB, the limit inclusive. */
int hazard_windows(const struct p2pdma_device *bridge, struct hazard_range ret_windows[2])
{
	uint16_t base, limit, pref_base, pref_limit;
	uint32_t base_upper, limit_upper;
	uint64_t first, last;
	int count;

	if (bridge->header_type == 2)
		return cardbus_windows(bridge, ret_windows);
	if (bridge->header_type != 1)
		return 0;
	if (pcicap_read16(bridge->config, MEMORY_BASE, &base) ||
	    pcicap_read16(bridge->config, MEMORY_LIMIT, &limit) ||
	    pcicap_read16(bridge->config, PREFETCH_BASE, &pref_base) ||
	    pcicap_read16(bridge->config, PREFETCH_LIMIT, &pref_limit) ||
	    pcicap_read32(bridge->config, PREFETCH_BASE_UPPER, &base_upper) ||
	    pcicap_read32(bridge->config, PREFETCH_LIMIT_UPPER, &limit_upper))
		return -ENODATA;
	count = open_window(ret_windows, 0, (uint64_t)(base & 0xfff0) << 16,
	                    (uint64_t)(limit & 0xfff0) << 16 | 0xfffff);
	first = (uint64_t)(pref_base & 0xfff0) << 16;
	last = (uint64_t)(pref_limit & 0xfff0) << 16 | 0xfffff;
	if ((pref_base & 0xf) == 1) {
		first |= (uint64_t)base_upper << 32;
		last |= (uint64_t)limit_upper << 32;
	}
	/* All zero is a window that is not implemented. */
	return pref_base || pref_limit ? open_window(ret_windows, count, first, last) : count;
}

enum p2pdma_known hazard_in_window(const struct p2pdma_device *bridge,
                                   const struct p2pdma_bar *range)
{
	struct hazard_range windows[2];
	int count = bridge->header_type == 1 ? hazard_windows(bridge, windows) : -ENODATA;

	for (int i = 0; i < count; i++)
		if (range->bus.addr >= windows[i].base &&
		    hazard_last_address(range) <= windows[i].limit)
			return P2PDMA_YES;
	return count < 0 ? P2PDMA_UNKNOWN : P2PDMA_NO;
}
