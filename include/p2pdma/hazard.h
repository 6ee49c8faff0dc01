/* SPDX-License-Identifier: MIT */
/*
 * hazard.h - what beside the route stops, slows or deserves a note on a path.
 */
#ifndef P2PDMA_HAZARD_H
#define P2PDMA_HAZARD_H

#include <p2pdma/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum p2pdma_hazard_code - what else is wrong on a path
 *
 * Stopping:
 * @P2PDMA_HAZARD_NO_BAR: the provider has no memory BAR
 * @P2PDMA_HAZARD_BAR_UNASSIGNED: its BAR holds no address
 * @P2PDMA_HAZARD_BAR_OUTSIDE_WINDOW: its BAR lies outside the window of a bridge above it
 * @P2PDMA_HAZARD_MEMORY_DECODE_OFF: the provider's memory decode is off (a VF's: its PF's VF MSE)
 * @P2PDMA_HAZARD_BRIDGE_MEMORY_OFF: Memory Space Enable is off on a bridge of the provider leg
 * @P2PDMA_HAZARD_BUS_MASTER_OFF: Bus Master Enable is off on the client or a bridge of its leg
 * @P2PDMA_HAZARD_NOT_D0: a function on the path is not in D0
 * @P2PDMA_HAZARD_NO_ANSWER: a function's configuration space reads all ones
 * @P2PDMA_HAZARD_MPS: the sender's Max Payload Size is above a receiver's; value: sender, limit:
 *	receiver, bytes
 * @P2PDMA_HAZARD_ADDRESS_WIDTH: the BAR lies above what the client can address; value: bits needed,
 *	limit: bits it has
 *
 * Slowing:
 * @P2PDMA_HAZARD_LINK_SPEED: trained below capability; value: trained, limit: possible (as struct
 *	p2pdma_link)
 * @P2PDMA_HAZARD_LINK_WIDTH: likewise, lanes
 * @P2PDMA_HAZARD_SMALL_MPS: payload set below what the whole path can; value, limit: bytes
 * @P2PDMA_HAZARD_TAGS: extended tags are supported by the client and off: 32 reads in flight
 *
 * Noted:
 * @P2PDMA_HAZARD_IOMMU: value: enum p2pdma_iommu of the client
 * @P2PDMA_HAZARD_IOVA_ALIAS: requests are translated and the path below the root complex is direct:
 *	an IOVA inside the window of this bridge goes to a peer, not to memory
 */
enum p2pdma_hazard_code {
	P2PDMA_HAZARD_NO_BAR,
	P2PDMA_HAZARD_BAR_UNASSIGNED,
	P2PDMA_HAZARD_BAR_OUTSIDE_WINDOW,
	P2PDMA_HAZARD_MEMORY_DECODE_OFF,
	P2PDMA_HAZARD_BRIDGE_MEMORY_OFF,
	P2PDMA_HAZARD_BUS_MASTER_OFF,
	P2PDMA_HAZARD_NOT_D0,
	P2PDMA_HAZARD_NO_ANSWER,
	P2PDMA_HAZARD_MPS,
	P2PDMA_HAZARD_ADDRESS_WIDTH,
	P2PDMA_HAZARD_LINK_SPEED,
	P2PDMA_HAZARD_LINK_WIDTH,
	P2PDMA_HAZARD_SMALL_MPS,
	P2PDMA_HAZARD_TAGS,
	P2PDMA_HAZARD_IOMMU,
	P2PDMA_HAZARD_IOVA_ALIAS,
};

/**
 * enum p2pdma_severity - what a hazard does to the answer
 * @P2PDMA_STOPS: makes it no
 * @P2PDMA_SLOWS: nothing, but the transfer will be slower than the hardware could
 * @P2PDMA_NOTED: nothing
 */
enum p2pdma_severity {
	P2PDMA_STOPS,
	P2PDMA_SLOWS,
	P2PDMA_NOTED,
};

/**
 * struct p2pdma_hazard - one hazard
 * @code: what
 * @severity: stops, slows or is noted
 * @ops: mask of enum p2pdma_op it concerns
 * @device: where
 * @value: see enum p2pdma_hazard_code
 * @limit: see enum p2pdma_hazard_code
 */
struct p2pdma_hazard {
	enum p2pdma_hazard_code code;
	enum p2pdma_severity severity;
	enum p2pdma_op ops;
	const struct p2pdma_device *device;
	uint64_t value;
	uint64_t limit;
};

#ifdef __cplusplus
}
#endif

#endif
