/* SPDX-License-Identifier: MIT */
/*
 * sim/observe.h - what happened on a simulated fabric: bytes per link, totals, errors, every TLP.
 *
 * Looking changes nothing.
 */
#ifndef P2PDMA_SIM_OBSERVE_H
#define P2PDMA_SIM_OBSERVE_H

#include <p2pdma/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct p2pdma_sim;

/**
 * struct p2pdma_sim_root - a root complex, and what it forwards between functions below it
 * @size: set by the caller to sizeof(struct p2pdma_sim_root); the struct grows at its end
 * @bus: its root bus, devfn 0
 * @socket: CPU socket
 * @platform: what its policy is called, the fabric's
 * @same_port: mask of enum p2pdma_op: between functions below one root port
 * @across_ports: between its root ports
 * @across_sockets: to a root complex of another socket
 */
struct p2pdma_sim_root {
	size_t size;
	struct p2pdma_bdf bus;
	int socket;
	const char *platform;
	unsigned int same_port;
	unsigned int across_ports;
	unsigned int across_sockets;
};

/**
 * p2pdma_sim_root() - one root complex
 * @sim: the fabric
 * @index: 0, 1, ... in the order of addresses
 * @ret_root: filled up to ret_root->size, which the caller sets
 *
 * Context: Any thread.
 * Return: 0; -ENOENT past the last; -EINVAL: ret_root->size is too small.
 */
int p2pdma_sim_root(struct p2pdma_sim *sim, size_t index, struct p2pdma_sim_root *ret_root);

/**
 * struct p2pdma_sim_wire - one direction of a link
 * @bytes: with headers and framing
 * @payload: without
 * @tlps: count
 * @busy: nanoseconds it was sending
 */
struct p2pdma_sim_wire {
	uint64_t bytes;
	uint64_t payload;
	uint64_t tlps;
	uint64_t busy;
};

/**
 * struct p2pdma_sim_link - one link, or conventional bus
 * @size: set by the caller to sizeof(struct p2pdma_sim_link); the struct grows at its end
 * @port: the bridge above it
 * @is_up: whether it is
 * @down: from the port to what is below
 * @up: back
 */
struct p2pdma_sim_link {
	size_t size;
	struct p2pdma_bdf port;
	bool is_up;
	struct p2pdma_sim_wire down;
	struct p2pdma_sim_wire up;
};

/**
 * p2pdma_sim_link() - one link and what it carried since the machine was opened
 * @sim: the fabric
 * @index: 0, 1, ... in the order of addresses
 * @ret_link: filled up to ret_link->size, which the caller sets
 *
 * Context: Any thread.
 * Return: 0; -ENOENT past the last; -EINVAL: ret_link->size is too small.
 */
int p2pdma_sim_link(struct p2pdma_sim *sim, size_t index, struct p2pdma_sim_link *ret_link);

/**
 * struct p2pdma_sim_totals - the fabric as a whole, since the machine was opened
 * @size: set by the caller to sizeof(struct p2pdma_sim_totals); the struct grows at its end
 * @tlp_hops: TLPs received, over all hops
 * @dram_read_bytes: read from host memory by devices
 * @dram_write_bytes: written to it by them
 * @root_bytes: payload that root complexes forwarded between devices
 * @mmio_reads: loads of the CPU from BARs
 * @mmio_writes: stores
 * @iommu_mapped: addresses the IOMMUs translated
 * @iommu_faults: that they refused
 */
struct p2pdma_sim_totals {
	size_t size;
	uint64_t tlp_hops;
	uint64_t dram_read_bytes;
	uint64_t dram_write_bytes;
	uint64_t root_bytes;
	uint64_t mmio_reads;
	uint64_t mmio_writes;
	uint64_t iommu_mapped;
	uint64_t iommu_faults;
};

/**
 * p2pdma_sim_get_totals() - the fabric as a whole
 * @sim: the fabric
 * @ret_totals: filled up to ret_totals->size, which the caller sets
 *
 * Context: Any thread.
 * Return: 0, or -EINVAL: ret_totals->size is too small.
 */
int p2pdma_sim_get_totals(struct p2pdma_sim *sim, struct p2pdma_sim_totals *ret_totals);

/**
 * enum p2pdma_sim_fate - what became of a request
 * @P2PDMA_SIM_ARRIVED: all bytes, at @at
 * @P2PDMA_SIM_NOT_SENT: the requester may not: bus mastering off, not in D0, gone
 * @P2PDMA_SIM_UR: refused as Unsupported Request by @at (a write: dropped there)
 * @P2PDMA_SIM_CA: Completer Abort by @at
 * @P2PDMA_SIM_ACS: ACS violation at @at
 * @P2PDMA_SIM_MALFORMED: more payload than @at takes
 * @P2PDMA_SIM_IOMMU: the IOMMU refused it
 * @P2PDMA_SIM_ROOT: the root complex @at does not forward it
 * @P2PDMA_SIM_LOST: no completion: dropped at @at
 * @P2PDMA_SIM_POISONED: it arrived marked as bad
 */
enum p2pdma_sim_fate {
	P2PDMA_SIM_ARRIVED,
	P2PDMA_SIM_NOT_SENT,
	P2PDMA_SIM_UR,
	P2PDMA_SIM_CA,
	P2PDMA_SIM_ACS,
	P2PDMA_SIM_MALFORMED,
	P2PDMA_SIM_IOMMU,
	P2PDMA_SIM_ROOT,
	P2PDMA_SIM_LOST,
	P2PDMA_SIM_POISONED,
};

/**
 * p2pdma_sim_fate_text() - a fate's name, as the command prints it
 * @fate: the fate
 *
 * Return: "arrived", "not-sent", "acs", ...; "?" for no fate.
 */
const char *p2pdma_sim_fate_text(enum p2pdma_sim_fate fate);

/**
 * enum p2pdma_sim_event_kind - what is worth a line in a log
 * @P2PDMA_SIM_EVENT_UR: a request nobody took, or that was refused
 * @P2PDMA_SIM_EVENT_CA: Completer Abort
 * @P2PDMA_SIM_EVENT_ACS: ACS violation
 * @P2PDMA_SIM_EVENT_MALFORMED: more payload than the receiver takes
 * @P2PDMA_SIM_EVENT_UNEXPECTED: a completion nobody waits for
 * @P2PDMA_SIM_EVENT_TIMEOUT: a completion that did not come
 * @P2PDMA_SIM_EVENT_POISONED: data marked as bad was received
 * @P2PDMA_SIM_EVENT_IOMMU: an IOMMU fault
 * @P2PDMA_SIM_EVENT_ROOT: a root complex does not forward this
 * @P2PDMA_SIM_EVENT_LOST: dropped on the way: link down, receiver gone or hung, or a fault's doing
 * @P2PDMA_SIM_EVENT_RESET: a function was reset
 * @P2PDMA_SIM_EVENT_REMOVED: a function was pulled
 * @P2PDMA_SIM_EVENT_ADDED: a function was plugged in
 * @P2PDMA_SIM_EVENT_LINK_DOWN: a link went down
 * @P2PDMA_SIM_EVENT_LINK_UP: and came up
 * @P2PDMA_SIM_EVENT_STRAY: DMA to host memory that no program has mapped
 */
enum p2pdma_sim_event_kind {
	P2PDMA_SIM_EVENT_UR,
	P2PDMA_SIM_EVENT_CA,
	P2PDMA_SIM_EVENT_ACS,
	P2PDMA_SIM_EVENT_MALFORMED,
	P2PDMA_SIM_EVENT_UNEXPECTED,
	P2PDMA_SIM_EVENT_TIMEOUT,
	P2PDMA_SIM_EVENT_POISONED,
	P2PDMA_SIM_EVENT_IOMMU,
	P2PDMA_SIM_EVENT_ROOT,
	P2PDMA_SIM_EVENT_LOST,
	P2PDMA_SIM_EVENT_RESET,
	P2PDMA_SIM_EVENT_REMOVED,
	P2PDMA_SIM_EVENT_ADDED,
	P2PDMA_SIM_EVENT_LINK_DOWN,
	P2PDMA_SIM_EVENT_LINK_UP,
	P2PDMA_SIM_EVENT_STRAY,
};

/**
 * struct p2pdma_sim_event - one line of the log
 * @time: virtual nanoseconds
 * @kind: what
 * @at: where: the function that noticed; for a root complex its root bus, devfn 0
 * @requester: whose TLP it was; @at where it was none
 * @address: of the TLP, 0 where it has none
 */
struct p2pdma_sim_event {
	uint64_t time;
	enum p2pdma_sim_event_kind kind;
	struct p2pdma_bdf at;
	struct p2pdma_bdf requester;
	uint64_t address;
};

/**
 * p2pdma_sim_event_text() - a kind's name, as the trace and the command print it
 * @kind: the kind
 *
 * Return: "ur", "acs", ...; "?" for no kind.
 */
const char *p2pdma_sim_event_text(enum p2pdma_sim_event_kind kind);

/**
 * p2pdma_sim_event() - one event of the log
 * @sim: the fabric
 * @index: 0, 1, ... since the machine was opened; the log keeps the last 65,536
 * @ret_event: the event
 *
 * Context: Any thread.
 * Return: 0; -EAGAIN: not yet happened; -ENOENT: no longer kept.
 */
int p2pdma_sim_event(struct p2pdma_sim *sim, uint64_t index, struct p2pdma_sim_event *ret_event);

/**
 * p2pdma_sim_trace() - have every TLP told, a JSON object a line (docs/simulator.md)
 * @sim: the fabric
 * @line: called with each line, without its newline, with the machine locked; NULL: no more
 * @arg: given to @line
 *
 * Context: Any thread.
 */
void p2pdma_sim_trace(struct p2pdma_sim *sim, void (*line)(void *arg, const char *text), void *arg);

#ifdef __cplusplus
}
#endif

#endif
