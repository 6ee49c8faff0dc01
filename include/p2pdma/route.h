/* SPDX-License-Identifier: MIT */
/*
 * route.h - can a client reach a provider's memory, and if not, what stops it?
 *
 * Concepts:
 * - provider: the function that owns the BAR memory; client: the function that masters the DMA.
 * - kernel verdict: what Linux's p2pdma.c of one version (the profile) computes.  It decides only
 *   for the kernel's own paths.
 * - wire verdict: what the TLPs do, worst case, writes and reads apart.
 * - hazards: what else stops, slows or deserves a note on the path.
 * - answer: the worst of the ops asked.  Unknown is an answer; it moves toward yes only with new
 *   evidence.
 *
 * AtomicOps, TPH, IDE and CXL.mem are not judged.
 */
#ifndef P2PDMA_ROUTE_H
#define P2PDMA_ROUTE_H

#include <p2pdma/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum p2pdma_map_type - the kernel's enum pci_p2pdma_map_type
 * @P2PDMA_MAP_UNKNOWN: not computable: the capture lacks what the kernel would have read
 * @P2PDMA_MAP_NONE: not P2PDMA memory; never a verdict
 * @P2PDMA_MAP_NOT_SUPPORTED: crosses a host bridge that is not trusted; mapping fails
 * @P2PDMA_MAP_BUS_ADDR: stays below a common bridge: program the PCI bus address
 * @P2PDMA_MAP_THRU_HOST_BRIDGE: through a trusted root complex: map like host memory
 */
enum p2pdma_map_type {
	P2PDMA_MAP_UNKNOWN,
	P2PDMA_MAP_NONE,
	P2PDMA_MAP_NOT_SUPPORTED,
	P2PDMA_MAP_BUS_ADDR,
	P2PDMA_MAP_THRU_HOST_BRIDGE,
};

/**
 * enum p2pdma_verdict - what becomes of one op on the wire, best first
 * @P2PDMA_DIRECT: TLPs stay below the root complex, or inside the function
 * @P2PDMA_ROOT_COMPLEX: through a root complex trusted to forward this op
 * @P2PDMA_VERDICT_UNKNOWN: no evidence either way
 * @P2PDMA_BLOCKED: a port or the root complex refuses it
 */
enum p2pdma_verdict {
	P2PDMA_DIRECT,
	P2PDMA_ROOT_COMPLEX,
	P2PDMA_VERDICT_UNKNOWN,
	P2PDMA_BLOCKED,
};

/**
 * enum p2pdma_turn - where a request or a completion goes at the divergence port, best first
 * @P2PDMA_TURN_DIRECT: straight to the peer
 * @P2PDMA_TURN_REDIRECT: up to the root complex, by an ACS bit or for want of internal routing
 * @P2PDMA_TURN_ROOT: there is no common upstream node: the root complex is the way
 * @P2PDMA_TURN_UNKNOWN: the registers that decide were not captured, or do not tell
 * @P2PDMA_TURN_BLOCKED: an ACS violation
 */
enum p2pdma_turn {
	P2PDMA_TURN_DIRECT,
	P2PDMA_TURN_REDIRECT,
	P2PDMA_TURN_ROOT,
	P2PDMA_TURN_UNKNOWN,
	P2PDMA_TURN_BLOCKED,
};

/** enum p2pdma_answer - the headline */
enum p2pdma_answer {
	P2PDMA_ANSWER_YES,
	P2PDMA_ANSWER_UNKNOWN,
	P2PDMA_ANSWER_NO,
};

/**
 * enum p2pdma_cpu - the CPU rule of Linux (x86: AMD family 17h and later accept everything)
 * @P2PDMA_CPU_AUTO: as the machine records it; an Intel root complex implies "other"
 * @P2PDMA_CPU_AMD_ZEN: AMD, family 17h or later
 * @P2PDMA_CPU_OTHER: anything else
 */
enum p2pdma_cpu {
	P2PDMA_CPU_AUTO,
	P2PDMA_CPU_AMD_ZEN,
	P2PDMA_CPU_OTHER,
};

/**
 * struct p2pdma_profile - the rules of one kernel version
 * @major: as in 7.2
 * @minor: as in 7.2
 */
struct p2pdma_profile {
	uint16_t major;
	uint16_t minor;
};

/**
 * p2pdma_profile_parse() - read "linux-7.2", "7.2" or a kernel release
 * @text: "linux-X.Y", "X.Y", or a release as uname prints it ("6.12.41+deb13-amd64")
 * @ret_profile: the profile
 *
 * Return:
 * * 0       - read
 * * -EINVAL - no version there
 * * -ERANGE - older than 6.0: what that kernel does is not known
 */
int p2pdma_profile_parse(const char *text, struct p2pdma_profile *ret_profile);

/**
 * struct p2pdma_routes_opts - what p2pdma_routes_new() should assume
 * @size: set by the caller to sizeof(struct p2pdma_routes_opts); the struct grows at its end
 * @profile: {0, 0}: the machine's own kernel where recorded, else linux-7.2
 * @cpu: the CPU rule
 */
struct p2pdma_routes_opts {
	size_t size;
	struct p2pdma_profile profile;
	enum p2pdma_cpu cpu;
};

/** struct p2pdma_routes - a machine prepared for questions; opaque */
struct p2pdma_routes;

/**
 * p2pdma_routes_new() - prepare a machine for questions
 * @machine: an open machine; must outlive the result
 * @opts: what to assume, or NULL for defaults
 * @ret_routes: release with p2pdma_routes_free()
 *
 * Takes time linear in the number of functions.
 *
 * Context: Any thread; does not block.
 * Return:
 * * 0       - prepared
 * * -EINVAL - opts->size is smaller than the first published struct, or a value is unknown
 * * -ERANGE - opts->profile is older than 6.0
 * * -ENOMEM - out of memory
 */
int p2pdma_routes_new(const struct p2pdma_machine *machine, const struct p2pdma_routes_opts *opts,
                      struct p2pdma_routes **ret_routes);

/**
 * p2pdma_routes_free() - release prepared routes
 * @routes: routes, or NULL
 *
 * Context: No other thread may use @routes during or after the call.
 * Return: NULL.
 */
struct p2pdma_routes *p2pdma_routes_free(struct p2pdma_routes *routes);

/**
 * struct p2pdma_routes_info - what the answers rest on
 * @size: set by the caller to sizeof(struct p2pdma_routes_info); the struct grows at its end
 * @profile: whose kernel verdict is given
 * @profile_source: "asked", "recorded" (the machine's own kernel) or "default"
 * @profile_known: P2PDMA_NO: the recorded kernel is older than 6.0, every kernel verdict is
 *unknown; P2PDMA_UNKNOWN: newer than the newest whose rules are known, judged by those
 * @cpu: the CPU rule in force; P2PDMA_CPU_AUTO when it could not be told
 * @virtual_machine: the topology is a hypervisor's, so no evidence of the wire
 */
struct p2pdma_routes_info {
	size_t size;
	struct p2pdma_profile profile;
	const char *profile_source;
	enum p2pdma_known profile_known;
	enum p2pdma_cpu cpu;
	bool virtual_machine;
};

/**
 * p2pdma_routes_get_info() - what the answers rest on
 * @routes: prepared routes
 * @ret_info: filled up to ret_info->size, which the caller sets
 *
 * Return: 0, or -EINVAL when ret_info->size is smaller than the first published struct.
 */
int p2pdma_routes_get_info(const struct p2pdma_routes *routes, struct p2pdma_routes_info *ret_info);

/**
 * struct p2pdma_route - the verdict for one (provider, client) pair
 * @map_type: kernel verdict (enum p2pdma_map_type)
 * @write: wire verdict for writes (enum p2pdma_verdict)
 * @read: wire verdict for reads
 * @request: the requests of both, at the client-side divergence port (enum p2pdma_turn)
 * @completion: the completions of reads, at the provider-side divergence port
 * @stops: mask of enum p2pdma_op that a stopping hazard prevents
 * @distance: kernel distance: edges from both functions to the common node, or nodes of both
 *	chains; -1 when the top of a chain was not captured
 */
struct p2pdma_route {
	uint8_t map_type;
	uint8_t write;
	uint8_t read;
	uint8_t request;
	uint8_t completion;
	uint8_t stops;
	int16_t distance;
};

/**
 * p2pdma_route_answer() - the headline for the ops asked
 * @route: a verdict
 * @op: ops asked
 *
 * Return: the worst of the ops: a blocked op or a stopping hazard is no; direct or a trusted root
 * complex is yes; else unknown.
 */
enum p2pdma_answer p2pdma_route_answer(struct p2pdma_route route, enum p2pdma_op op);

/**
 * p2pdma_routes_pair() - the verdict for one pair
 * @routes: prepared routes
 * @provider: the function that owns the memory
 * @client: the function that masters the DMA
 *
 * Takes constant time: bounded by the 256 buses a path can have, not by the machine's size.
 *
 * Context: Any thread; does not block.
 * Return: the verdict.
 */
struct p2pdma_route p2pdma_routes_pair(const struct p2pdma_routes *routes,
                                       const struct p2pdma_device *provider,
                                       const struct p2pdma_device *client);

/**
 * p2pdma_routes_row() - the verdicts of one provider and every client
 * @routes: prepared routes
 * @provider: the function that owns the memory
 * @ret_codes: p2pdma_machine_device_count() codes, indexed as p2pdma_machine_device(); read them
 *	with p2pdma_route_decode()
 *
 * Context: Any thread; does not block.
 */
void p2pdma_routes_row(const struct p2pdma_routes *routes, const struct p2pdma_device *provider,
                       uint32_t *ret_codes);

/**
 * p2pdma_route_decode() - unpack a code of p2pdma_routes_row()
 * @code: the code
 *
 * Return: the verdict.
 */
struct p2pdma_route p2pdma_route_decode(uint32_t code);

/**
 * enum p2pdma_reason_code - why a verdict is what it is
 *
 * "at" is struct p2pdma_reason's @device, "arg" its @arg.
 *
 * @P2PDMA_REASON_SAME_FUNCTION: provider and client are one function; inside it
 * @P2PDMA_REASON_NO_REDIRECT: the switch routes it; at: the divergence port
 * @P2PDMA_REASON_CONVENTIONAL_BUS: both sit on one conventional bus; at: the bridge above it
 * @P2PDMA_REASON_INTERNAL: the device declares peer control and leaves it direct; at: the function
 * @P2PDMA_REASON_REQ_REDIR: ReqRedir+; at: the port
 * @P2PDMA_REASON_CMPLT_REDIR: CmpltRedir+; at: the port
 * @P2PDMA_REASON_EGRESS: EgressCtrl+ and the vector bit is set; at: the port, arg: bit index
 * @P2PDMA_REASON_TRANS_BLK: TransBlk+ and the client's ATS is on; at: the port
 * @P2PDMA_REASON_ACS_UNKNOWN: the registers were not captured; at: the port
 * @P2PDMA_REASON_EGRESS_UNKNOWN: the vector or its index was not captured; at: the port
 * @P2PDMA_REASON_SHARED_LINK_NO_ACS: functions of one device without an ACS capability: internal
 *	routing is not declared; at: the function
 * @P2PDMA_REASON_SHARED_LINK_TURN: functions of one device that turn round at the shared port; at:
 *	the function
 * @P2PDMA_REASON_NO_UPSTREAM_FWD: a redirected TLP must turn round here and UpstreamFwd is off or
 *	absent; at: the port
 * @P2PDMA_REASON_NO_COMMON_NODE: no common upstream node; arg: host bridge vendor << 16 | device
 * @P2PDMA_REASON_ROOT_TRUSTED: allowlist row; at: the root device that matched
 * @P2PDMA_REASON_ROOT_CPU: AMD Zen rule
 * @P2PDMA_REASON_ROOT_UNKNOWN: not known to forward; arg: root device's vendor << 16 | device
 * @P2PDMA_REASON_ROOT_REFUSES_READS: known to refuse peer reads; arg: as above
 * @P2PDMA_REASON_ROOT_MISSING: the capture lacks the top of the tree; at: the topmost function
 * @P2PDMA_REASON_BRIDGE_TARGET: one of the two is a bridge on the other's path; not judged
 * @P2PDMA_REASON_NOT_A_PORT: the divergence is no port that routes by a rule we know; at: it
 * @P2PDMA_REASON_VIRTUAL: a virtual topology is no evidence
 * @P2PDMA_REASON_QEMU_TRANSLATED: QEMU under a translating virtual IOMMU: raw bus addresses fault
 * @P2PDMA_REASON_QEMU: both functions are QEMU's own models, which reach each other
 * @P2PDMA_REASON_PROFILE: the kernel's rules are not known (older than 6.0)
 * @P2PDMA_REASON_CPU_UNKNOWN: the CPU rule decides and the CPU was not recorded
 */
enum p2pdma_reason_code {
	P2PDMA_REASON_SAME_FUNCTION,
	P2PDMA_REASON_NO_REDIRECT,
	P2PDMA_REASON_CONVENTIONAL_BUS,
	P2PDMA_REASON_INTERNAL,
	P2PDMA_REASON_REQ_REDIR,
	P2PDMA_REASON_CMPLT_REDIR,
	P2PDMA_REASON_EGRESS,
	P2PDMA_REASON_TRANS_BLK,
	P2PDMA_REASON_ACS_UNKNOWN,
	P2PDMA_REASON_EGRESS_UNKNOWN,
	P2PDMA_REASON_SHARED_LINK_NO_ACS,
	P2PDMA_REASON_SHARED_LINK_TURN,
	P2PDMA_REASON_NO_UPSTREAM_FWD,
	P2PDMA_REASON_NO_COMMON_NODE,
	P2PDMA_REASON_ROOT_TRUSTED,
	P2PDMA_REASON_ROOT_CPU,
	P2PDMA_REASON_ROOT_UNKNOWN,
	P2PDMA_REASON_ROOT_REFUSES_READS,
	P2PDMA_REASON_ROOT_MISSING,
	P2PDMA_REASON_BRIDGE_TARGET,
	P2PDMA_REASON_NOT_A_PORT,
	P2PDMA_REASON_VIRTUAL,
	P2PDMA_REASON_QEMU_TRANSLATED,
	P2PDMA_REASON_QEMU,
	P2PDMA_REASON_PROFILE,
	P2PDMA_REASON_CPU_UNKNOWN,
};

/**
 * struct p2pdma_reason - one step of an explanation
 * @code: what
 * @device: where, or NULL
 * @arg: see enum p2pdma_reason_code
 */
struct p2pdma_reason {
	enum p2pdma_reason_code code;
	const struct p2pdma_device *device;
	uint32_t arg;
};

/** struct p2pdma_why - the reasons of one verdict: first the turn, then what follows from it */
struct p2pdma_why {
	size_t count;
	struct p2pdma_reason reasons[4];
};

/**
 * enum p2pdma_leg - on which part of the path a hop lies
 * @P2PDMA_LEG_CLIENT: the client, and ports between it and the common node
 * @P2PDMA_LEG_COMMON: the common upstream node
 * @P2PDMA_LEG_ABOVE: a port above the common node; visited only by redirected TLPs
 * @P2PDMA_LEG_ROOT: the root complex (no device)
 * @P2PDMA_LEG_PROVIDER: ports between the common node and the provider, and the provider
 */
enum p2pdma_leg {
	P2PDMA_LEG_CLIENT,
	P2PDMA_LEG_COMMON,
	P2PDMA_LEG_ABOVE,
	P2PDMA_LEG_ROOT,
	P2PDMA_LEG_PROVIDER,
};

/**
 * struct p2pdma_hop - one node of the path, in the order a write travels
 * @device: the node; NULL for a root complex
 * @leg: where on the path
 * @decides_request: the request's turn is decided here
 * @decides_completion: the completion's turn is decided here
 * @acs: its ACS registers
 */
struct p2pdma_hop {
	const struct p2pdma_device *device;
	enum p2pdma_leg leg;
	bool decides_request;
	bool decides_completion;
	struct p2pdma_acs acs;
};

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
 * @P2PDMA_HAZARD_SMALL_MPS: payload set below what both ends can; value, limit: bytes
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

/** enum p2pdma_severity - what a hazard does to the answer */
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

/**
 * enum p2pdma_space - which address the client puts into its TLPs
 * @P2PDMA_SPACE_NONE: none: the path is blocked, or the BAR has no address
 * @P2PDMA_SPACE_BUS: the PCI bus address
 * @P2PDMA_SPACE_IOVA: an IOVA that the IOMMU translates to the BAR
 * @P2PDMA_SPACE_UNKNOWN: bus address or IOVA: the IOMMU's mode was not recorded
 */
enum p2pdma_space {
	P2PDMA_SPACE_NONE,
	P2PDMA_SPACE_BUS,
	P2PDMA_SPACE_IOVA,
	P2PDMA_SPACE_UNKNOWN,
};

/**
 * struct p2pdma_trust - what is known of a root complex
 * @vendor: vendor of the row that decided, 0 when none
 * @device: device of the row
 * @label: hardware, as a person would say it
 * @since: kernel version the row came with; {0, 0} for rows that are not the kernel's
 * @since_uncertain: that version is not verified
 * @source: commit or thread
 */
struct p2pdma_trust {
	uint16_t vendor;
	uint16_t device;
	const char *label;
	struct p2pdma_profile since;
	bool since_uncertain;
	const char *source;
};

/**
 * struct p2pdma_explanation - the evidence for one pair
 * @route: the same verdict that p2pdma_routes_pair() gives
 * @kernel: why the map type
 * @write: why the write verdict
 * @read: why the read verdict
 * @hop_count: number of hops
 * @hops: the path, client first
 * @hazard_count: number of hazards
 * @hazards: worst first
 * @redirect_count: number of @redirects
 * @redirects: the nodes whose ACS the kernel counts, in the order of its dmesg line (provider side
 *	from the device upwards, then client side)
 * @bar: the provider's BAR judged, -1 when it has none
 * @range: that BAR
 * @space: which address to program
 * @trust: what decided about the root complex; label NULL when none did
 */
struct p2pdma_explanation {
	struct p2pdma_route route;
	struct p2pdma_why kernel;
	struct p2pdma_why write;
	struct p2pdma_why read;
	size_t hop_count;
	struct p2pdma_hop *hops;
	size_t hazard_count;
	struct p2pdma_hazard *hazards;
	size_t redirect_count;
	const struct p2pdma_device **redirects;
	int bar;
	struct p2pdma_bar range;
	enum p2pdma_space space;
	struct p2pdma_trust trust;
};

/**
 * p2pdma_routes_explain() - the evidence for one pair
 * @routes: prepared routes; must outlive the result
 * @provider: the function that owns the memory
 * @client: the function that masters the DMA
 * @ret_explanation: release with p2pdma_explanation_free()
 *
 * Context: Any thread; does not block.
 * Return:
 * * 0       - explained
 * * -ENOMEM - out of memory
 */
int p2pdma_routes_explain(const struct p2pdma_routes *routes, const struct p2pdma_device *provider,
                          const struct p2pdma_device *client,
                          struct p2pdma_explanation **ret_explanation);

/**
 * p2pdma_explanation_free() - release an explanation
 * @explanation: explanation, or NULL
 *
 * Return: NULL.
 */
struct p2pdma_explanation *p2pdma_explanation_free(struct p2pdma_explanation *explanation);

#ifdef __cplusplus
}
#endif

#endif
