/* SPDX-License-Identifier: MIT */
/*
 * hazard.h - what a function's registers say beside ACS that stops or slows a path.
 *
 * May use include/p2pdma/ and topology.h.
 */
#ifndef HAZARD_H
#define HAZARD_H

#include "topology.h"

#define MPS_UNKNOWN          7
#define ADDRESS_BITS_UNKNOWN 64

struct hazard_facts {
	bool command_unknown; /* the Command register was not captured */
	bool bus_master_off;
	bool memory_off; /* as a bridge: its window is closed; as a provider: its BARs are */
	bool not_d0;
	uint8_t payload;      /* MPS code in force, or MPS_UNKNOWN */
	uint8_t max_payload;  /* MPS code supported, or MPS_UNKNOWN */
	bool tags_off;        /* extended tags supported and off */
	uint8_t address_bits; /* what its driver told the kernel */
	int8_t bar;           /* the memory BAR judged when it is the provider; -1 none */
	bool bar_unknown;     /* some BAR was not captured, or is in no BAR register */
	bool has_strays; /* as a bridge: something below it claims what its windows do not hold */
	struct p2pdma_bar range;
};

struct hazard_range {
	uint64_t base;
	uint64_t limit; /* inclusive */
};

struct hazard_facts hazard_read(const struct p2pdma_device *device);

/* A bridge's open memory windows: how many, or -ENODATA when not captured. */
int hazard_windows(const struct p2pdma_device *bridge, struct hazard_range ret_windows[2]);

/* Whether a bridge's memory windows hold the range; P2PDMA_UNKNOWN when not captured. */
enum p2pdma_known hazard_in_window(const struct p2pdma_device *bridge,
                                   const struct p2pdma_bar *range);

/* The range's last address; its first where no size is known. */
uint64_t hazard_last_address(const struct p2pdma_bar *range);

/* Bits needed to address the range. */
uint8_t hazard_bits_needed(const struct p2pdma_bar *range);

/* Whether there may be a memory BAR that the capture does not show. */
static inline bool hazard_bar_unseen(const struct hazard_facts *facts)
{
	return facts->bar < 0 && facts->bar_unknown;
}

/* No BAR, no address, or decode off: nobody reaches this provider. */
static inline bool hazard_closed(const struct hazard_facts *facts)
{
	return facts->memory_off || (facts->bar < 0 && !hazard_bar_unseen(facts)) ||
	       (facts->bar >= 0 && !facts->range.bus.addr);
}

#endif
