/* SPDX-License-Identifier: MIT */
/*
 * topology.h - the tree of functions, made of a snapshot.
 *
 * Invariants once built:
 * - devices[] is in preorder: a bridge, then all below it; siblings by address; trees by root bus.
 *   What lies below devices[i] is devices[i + 1] to devices[i].end - 1.
 * - A bridge owns the bus in its secondary bus number register if that is above its own bus, so the
 *   tree has no cycle and no path has more than 256 nodes, whatever the registers say.
 * - A VF hangs beside its PF, never below it, as in Linux's pci_upstream_bridge().
 *
 * May use include/p2pdma/, base/ and snapshot/.
 */
#ifndef TOPOLOGY_H
#define TOPOLOGY_H

#include <stdatomic.h>

#include "machine_ops.h"
#include "pcicap.h"
#include "snapshot.h"

struct p2pdma_routes;
struct peers;

#define NO_INDEX UINT32_MAX

/* An address in an error text. */
#define BDF_FORMAT    "%04x:%02x:%02x.%x"
#define BDF_ARGS(bdf) (unsigned int)(bdf).domain, (bdf).bus, (bdf).devfn >> 3, (bdf).devfn & 7

struct p2pdma_device {
	const struct p2pdma_machine *machine;
	const struct snapshot_function *function;
	struct pcicap_config config; /* empty when it reads all ones */
	uint32_t index;
	uint32_t parent; /* NO_INDEX on a root bus */
	uint32_t physfn; /* NO_INDEX unless a VF whose PF is here */
	uint32_t vf_number;
	uint32_t end;
	uint32_t root;  /* of machine->roots */
	uint16_t depth; /* 1 on a root bus */
	uint16_t vendor;
	uint16_t device;
	enum p2pdma_kind kind;
	uint8_t header_type; /* without the multifunction bit */
	uint8_t secondary;   /* 0 when it is no bridge */
	uint8_t subordinate;
	bool is_vf;
	bool is_dead; /* configuration space reads all ones: nothing answers */
	struct p2pdma_acs acs;
	enum p2pdma_known kernel_redirects; /* by the kernel's reading of the same bytes */
	uint16_t kernel_control;            /* which */
};

/* A root bus, which is a host bridge. */
struct topology_root {
	struct p2pdma_bdf bus;
	uint32_t first;
	uint32_t end;
	uint32_t root_device; /* the first function on the bus that is no VF, or NO_INDEX */
	bool is_missing;      /* the top of the tree was not captured: the true root is elsewhere */
};

/* A machine itself, shared by all pictures of it. */
struct backend {
	struct machine_ops ops; /* all set */
	void *private;
	unsigned int caps; /* beside those that the snapshot tells */
	atomic_uint references;
	const struct p2pdma_model **models; /* the caller's, for as long as it runs; or NULL */
	struct peers *peers;                /* what the pictures share about the functions */
};

/* One picture of a machine. */
struct p2pdma_machine {
	struct snapshot *snapshot;
	char *source;
	struct backend *backend;
	size_t device_count;
	struct p2pdma_device *devices;
	uint32_t *by_address; /* snapshot order to index */
	size_t root_count;
	struct topology_root *roots;
	struct p2pdma_routes *routes; /* machine_routes() */
};

/* Fills devices, by_address and roots from machine->snapshot; on failure leaves them unset. */
int topology_build(struct p2pdma_machine *machine);
void topology_done(struct p2pdma_machine *machine);

/* NULL when there is no such function. */
struct p2pdma_device *topology_find(const struct p2pdma_machine *machine, struct p2pdma_bdf bdf);

static inline struct p2pdma_device *topology_at(const struct p2pdma_machine *machine,
                                                uint32_t index)
{
	return index == NO_INDEX ? NULL : &machine->devices[index];
}

/* A port whose secondary side is a link, so that everything on its bus is one device. */
static inline bool topology_is_link(const struct p2pdma_device *bridge)
{
	return bridge->kind == P2PDMA_KIND_ROOT_PORT ||
	       bridge->kind == P2PDMA_KIND_DOWNSTREAM_PORT ||
	       bridge->kind == P2PDMA_KIND_PCI_TO_PCIE;
}

static inline bool topology_is_down_port(const struct p2pdma_device *device)
{
	return device->kind == P2PDMA_KIND_ROOT_PORT || device->kind == P2PDMA_KIND_DOWNSTREAM_PORT;
}

#endif
