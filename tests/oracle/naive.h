/* SPDX-License-Identifier: MIT */
/*
 * naive.h - the judge of core/'s verdicts: the same rules, written apart and without cleverness.
 *
 * Concepts:
 * - It reads a snapshot's bytes itself (nodes.c) and walks both chains in two nested loops for
 * every pair, the way Linux does (naive.c).  Nothing of core/ is used.
 * - Where it and core/ differ, one of them is wrong; the rules are design.md 4.2 and the kernel's.
 */
#ifndef NAIVE_H
#define NAIVE_H

#include <p2pdma/route.h>

#include "snapshot.h"

#define UNKNOWN (-1) /* of every int below: not captured */
#define BROKEN  (-2) /* of an extended capability: its list loops or reads all ones */

/* ACS Capability and Control bits. */
#define RR 0x04
#define TB 0x02
#define CR 0x08
#define UF 0x10
#define EC 0x20
#define DT 0x40

/* Addresses that a function answers to; @bar 7: those of a bridge's window, or not captured. */
struct claim {
	uint64_t base, limit;
	int bar;
	bool is_off; /* by Memory Space Enable, which is for what comes from above */
};

struct bus {
	uint32_t domain;
	uint8_t number;
	bool missing;             /* the bridges above it were not captured */
	const struct node *first; /* its lowest function that is no VF */
};

struct acs {
	int known; /* enum p2pdma_known */
	uint16_t capability;
	uint16_t control;
	int vector; /* offset of the Egress Control Vector, 0 when there is none */
};

/* A function, decoded. */
struct node {
	const struct snapshot_function *f;
	struct node *parent;
	struct node *pf; /* of a VF */
	struct bus *root;
	bool root_missing; /* the top of its chain was not captured */
	int vf_index;      /* UNKNOWN when its routing ID fits none */
	bool is_vf;
	bool is_bridge;  /* PCI-to-PCI or CardBus: both have a bus below */
	bool is_cardbus; /* its windows lie elsewhere and are not judged */
	enum p2pdma_kind kind;
	bool is_dead; /* its configuration space reads all ones */
	int64_t vendor, device;
	int64_t subsystem; /* device << 16 | vendor; 0 when the header has none */
	int secondary;
	int command;
	int power; /* D-state; UNKNOWN also without the capability */
	int mps;   /* code of Device Control 7:5; UNKNOWN also without the capability */
	int port_number;
	int ats;        /* enum p2pdma_known */
	int sriov;      /* offset of the SR-IOV capability, 0 none, BROKEN */
	int kernel_acs; /* the word at +6, 0 when there is no capability */
	struct acs acs; /* as the wire obeys it */
	int claim_count;
	struct claim claims[9];
};

struct naive {
	size_t count;
	struct node *nodes; /* in the snapshot's order */
	size_t bus_count;
	struct bus *buses;
	struct p2pdma_profile profile; /* {0, 0}: older than 6.0, rules not known */
	enum p2pdma_cpu cpu;           /* AUTO: not known */
	int virtual_machine;           /* 0 no, 1 yes, 2 QEMU */
};

/* nodes.c */
int64_t node_read(const struct node *node, size_t offset, size_t bytes); /* UNKNOWN or the value */
int node_capability(const struct node *node, int id);
int node_extended(const struct node *node, int id); /* offset, 0 none, UNKNOWN or BROKEN */
struct naive *naive_new(const struct snapshot *snapshot, const struct p2pdma_routes_opts *opts);
void naive_free(struct naive *naive);

/*
 * trust.c: does the allowlist of a kernel version accept a path from one root bus to another, and
 * does a root complex refuse peer reads?
 */
enum p2pdma_known naive_listed(const struct bus *a, const struct bus *b,
                               struct p2pdma_profile profile);
bool naive_refuses_reads(const struct bus *bus);

/* memory.c: the BAR that is judged, and what stops the ops: a mask of enum p2pdma_op */
int naive_stops(const struct node *provider, const struct node *client, const struct node *common,
                struct p2pdma_route route);
bool naive_memory_unknown(const struct node *provider);
void naive_claim(struct node *node);
/*
 * Does somebody beside the way claim the provider's BAR, or may?  Requests do not go beyond @end
 * (NULL: they do go to the root complex); @common of both.
 */
bool naive_claimed_twice(const struct naive *naive, const struct node *provider,
                         const struct node *client, const struct node *common,
                         const struct node *end);

/* naive.c: indices are those of the snapshot */
struct p2pdma_route naive_pair(const struct naive *naive, size_t provider, size_t client);

/* reach.c: the rarer rules, those that @route brings up as a mask */
enum reach {
	REACH_BUS_UNRECORDED,
	REACH_BUS_CONTESTED,
	REACH_LIST_BROKEN,
	REACH_EXTENDED_BROKEN,
	REACH_CARDBUS,
	REACH_VF_ORPHAN,
	REACH_TRANSBLK_ABOVE,
	REACH_PF_POWER,
	REACH_COMMON_POWER,
	REACH_FUNCTION_GROUPS,
	REACH_ROOT_EGRESS,
	REACH_BRIDGE_BAR,
	REACH_QEMU,
	REACH_COMMAND_UNKNOWN,
	REACH_ENHANCED_ALLOCATION,
	REACH_WIDTH_TRANSLATED,
	REACH_HALF_LISTED,
	REACH_CLAIMED_TWICE,
	REACH_CLAIMED_ON_CLIENT_LEG,
	REACH_COUNT
};
extern const char *const reach_names[REACH_COUNT];
unsigned int naive_reach(const struct naive *naive, size_t provider, size_t client,
                         struct p2pdma_route route);

#endif
