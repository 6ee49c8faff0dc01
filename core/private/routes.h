/* SPDX-License-Identifier: MIT */
/*
 * routes.h - a machine prepared for questions.
 *
 * Concepts:
 * - The verdict of (provider, client) depends on their common node A, the two children of A on the
 *   paths (the divergence ports), and on what lies on each leg below A.  All clients below one
 *   child of A share the first part: a segment.
 * - "Does a bad node lie on the leg strictly below A?" is one comparison: each function knows the
 *   depth of the deepest bad node at or above it (0: none); the answer is whether that is deeper
 *   than A.  Depth is 1 on a root bus, so 0 stands for no common node.
 *
 * May use include/p2pdma/ and the rest of core/private/.
 */
#ifndef ROUTES_H
#define ROUTES_H

#include "hazard.h"
#include "hostbridge.h"
#include "topology.h"

/* Fields of a packed code (p2pdma_route_decode()). */
#define CODE_MAP_TYPE   0
#define CODE_WRITE      3
#define CODE_READ       5
#define CODE_REQUEST    7
#define CODE_COMPLETION 10
#define CODE_STOPS      13
#define CODE_DISTANCE   16
/* Both verdicts and both turns. */
#define CODE_JUDGED \
	(0x3 << CODE_WRITE | 0x3 << CODE_READ | 0x7 << CODE_REQUEST | 0x7 << CODE_COMPLETION)

#define MPS_CODES 8 /* Max_Payload_Size encodings; 7 stands for not known */

/* What is known of one root complex. */
struct root_trust {
	const struct p2pdma_device *device; /* what the kernel looks up; NULL when it has none */
	const struct hostbridge_row *kernel_row;
	const struct hostbridge_row *wire_row; /* of the newest kernel: evidence does not age */
	const struct hostbridge_row *refuses_reads;
	bool is_unknown; /* what decides was not captured */
	bool is_missing;
};

/* What becomes of TLPs that reach the root complex between two host bridges. */
struct far_side {
	enum p2pdma_map_type map_type;
	enum p2pdma_verdict write;
	enum p2pdma_verdict read;
};

/* Addresses that a function on a bus answers to. */
struct claim {
	uint64_t base;
	uint64_t limit;
	uint32_t bus; /* the bridge above; NO_INDEX: root buses, which share the CPU's addresses */
	uint32_t owner;    /* CLAIM_OWNER() */
	uint32_t farthest; /* the claim with the largest limit on the bus, from the lowest to this
	                      one */
	uint32_t other;    /* the same among those of other owners; NO_INDEX: none */
};
#define CLAIM_WINDOW             7          /* for the number of a BAR */
#define CLAIM_BACK               (1u << 31) /* with a bus: closed, but maybe not to what comes up */
#define CLAIM_UNSEEN             UINT64_MAX /* the limit where a claim was not captured */
#define CLAIM_OWNER(device, bar) ((device)->index * 8 + (uint32_t)(bar))

struct p2pdma_routes {
	const struct p2pdma_machine *machine;
	struct p2pdma_routes_info info;
	bool is_qemu;
	size_t count;
	struct root_trust *roots;
	struct hazard_facts *facts;
	struct claim *claims; /* by bus and base */
	size_t claim_count;

	/* One entry a function: what the loop over a row reads. */
	uint16_t *columns; /* the one allocation behind the following */
	uint16_t *depth;
	uint16_t *kernel_redirects; /* deepest node the kernel takes for redirecting */
	uint16_t *kernel_unknown;   /* deepest node whose ACS the kernel would read and we cannot */
	uint16_t *asleep;           /* deepest node that is not in D0 */
	uint16_t *client_trouble;   /* that, or one that cannot master the bus */
	uint16_t *write_trouble;    /* that, or a receiver of less payload than this client sends */
	uint16_t *provider_trouble; /* deepest node that would not pass requests down to the BAR */
	uint16_t *payload;          /* MPS code sent, 0 when not known */
	uint16_t *address_bits;     /* of a client that programs a bus address */
	uint16_t *far_address_bits; /* of one that programs an IOVA where it has to */
	uint16_t *bridge_mask;      /* the fields of a code that a bridge as client makes unknown */
	uint16_t *small[MPS_CODES]; /* deepest node whose MPS code is below the index */
	uint16_t *trans_blocked;    /* deepest port that blocks this client's translated requests */
	uint16_t *trans_unknown;    /* deepest port that may */
	uint16_t *unseen;           /* deepest node whose capabilities were not captured */
	uint16_t *no_forward;       /* deepest port that may not turn a redirected TLP round */
	uint16_t *claimed;          /* deepest node whose bus has another claim on this one's BAR */
	uint16_t *stray; /* deepest whose bus has claims that the bridge above does not hold */

	uint32_t *special; /* clients whose verdict the columns alone cannot give: mark_special() */
	size_t special_count;
};

/* The clients below one divergence port, seen from one provider. */
struct segment {
	const struct p2pdma_device *provider;
	const struct p2pdma_device *common; /* NULL: none */
	const struct p2pdma_device *client_port;
	const struct p2pdma_device *provider_port;
	bool is_judged; /* false: provider or client is itself the common node, or the same */
	bool is_same;
	bool write_is_near; /* all requests stay below the common node */
	bool read_is_near;  /* completions too */
	/* They do or, where the turn is unknown, may: what lies above stops them for certain only
	 * if not. */
	bool request_may_stay;
	bool completion_may_stay;
	enum p2pdma_turn request;
	enum p2pdma_turn completion;
	struct p2pdma_reason request_reason;
	struct p2pdma_reason completion_reason;
	struct far_side far;
	enum p2pdma_verdict write;
	enum p2pdma_verdict read;
};

struct segment segment_of(const struct p2pdma_routes *routes, const struct p2pdma_device *provider,
                          const struct p2pdma_device *common,
                          const struct p2pdma_device *provider_port,
                          const struct p2pdma_device *client_port);

/* Narrows a segment to one client of it: translated requests, virtual machines. */
void segment_narrow(const struct p2pdma_routes *routes, struct segment *segment,
                    const struct p2pdma_device *client);

/* The segment of one pair, narrowed. */
struct segment segment_of_pair(const struct p2pdma_routes *routes,
                               const struct p2pdma_device *provider,
                               const struct p2pdma_device *client);

/* Whether a function is a model of QEMU's own, which no real machine has. */
bool segment_is_qemu_model(const struct p2pdma_device *device);

/* Whether both are QEMU's own models in a QEMU guest. */
bool segment_is_qemu(const struct p2pdma_routes *routes, const struct p2pdma_device *provider,
                     const struct p2pdma_device *client);

/* The client's root port, if its egress control blocks other root ports, or may; or NULL. */
const struct p2pdma_device *segment_root_egress(const struct p2pdma_routes *routes,
                                                const struct segment *segment,
                                                const struct p2pdma_device *client);

/* A node on the way whose capabilities were not captured, so that it may stop TLPs; or NULL. */
const struct p2pdma_device *segment_unseen_node(const struct p2pdma_routes *routes,
                                                const struct segment *segment,
                                                const struct p2pdma_device *client);

/* A claim other than the provider's own on its BAR where requests pass; or NULL. */
const struct claim *segment_other_claim(const struct p2pdma_routes *routes,
                                        const struct segment *segment,
                                        const struct p2pdma_device *client);

/* Whether there is no yes because nobody knows where the provider's BAR lies. */
bool segment_bar_unseen(const struct p2pdma_routes *routes, const struct segment *segment);

/* Whether a port above (or at) the common node cannot turn redirected TLPs round; depth or 0. */
static inline uint16_t segment_no_forward(const struct p2pdma_routes *routes,
                                          const struct segment *segment)
{
	return segment->common ? routes->no_forward[segment->common->index] : 0;
}

struct far_side routes_far_side(const struct p2pdma_routes *routes, uint32_t provider_root,
                                uint32_t client_root);

/* Fills claims and the columns that tell of them, given the facts.  0 or -ENOMEM. */
int claims_prepare(struct p2pdma_routes *routes);

/* A claim on the BAR judged of @provider beside @node of its chain; or NULL. */
const struct claim *claims_on_bar(const struct p2pdma_routes *routes,
                                  const struct p2pdma_device *provider,
                                  const struct p2pdma_device *node);

/* A claim on @range by another owner than @owner on @bus; or NULL. */
const struct claim *claims_find(const struct p2pdma_routes *routes, uint32_t bus, uint32_t owner,
                                const struct p2pdma_bar *range);

/* The hazards of a pair, worst first: sets hazards and hazard_count.  0 or -ENOMEM. */
int hazard_list(const struct p2pdma_routes *routes, const struct p2pdma_device *provider,
                const struct p2pdma_device *client, struct p2pdma_explanation *result);

/* The ancestor of @device, or itself, at @depth. */
static inline const struct p2pdma_device *routes_at_depth(const struct p2pdma_routes *routes,
                                                          const struct p2pdma_device *device,
                                                          uint16_t depth)
{
	while (device->depth > depth)
		device = topology_at(routes->machine, device->parent);
	return device;
}

#endif
