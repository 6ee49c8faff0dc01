/* SPDX-License-Identifier: MIT */
/*
 * evidence.h - why a verdict is what it is: reasons, hops, hazards, the address to program.
 */
#ifndef P2PDMA_EVIDENCE_H
#define P2PDMA_EVIDENCE_H

#include <p2pdma/hazard.h>
#include <p2pdma/route.h>

#ifdef __cplusplus
extern "C" {
#endif

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
 * @P2PDMA_REASON_BAR_UNSEEN: the provider's BARs were not captured, or are in no BAR register; at:
 *	it
 * @P2PDMA_REASON_NODE_UNSEEN: its capabilities were not captured: what might stop TLPs there; or,
 *	beside the way, what addresses it claims; at: it
 * @P2PDMA_REASON_COMMAND_UNSEEN: the client's Command register was not captured; at: it
 * @P2PDMA_REASON_COMMON_NODE: (kernel) below a common node, no ACS redirect on the way; at: the
 *	node
 * @P2PDMA_REASON_KERNEL_REDIRECT: (kernel) the first node it takes for redirecting; at: it, arg:
 *	ACSCtl
 * @P2PDMA_REASON_CPU_UNKNOWN: the CPU rule decides and the CPU was not recorded
 * @P2PDMA_REASON_ADDRESS_CLAIMED_TWICE: a window or BAR of another function on the way holds the
 *	provider's BAR, too; at: that function
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
	P2PDMA_REASON_BAR_UNSEEN,
	P2PDMA_REASON_NODE_UNSEEN,
	P2PDMA_REASON_COMMAND_UNSEEN,
	P2PDMA_REASON_COMMON_NODE,
	P2PDMA_REASON_KERNEL_REDIRECT,
	P2PDMA_REASON_CPU_UNKNOWN,
	P2PDMA_REASON_ADDRESS_CLAIMED_TWICE,
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

/**
 * struct p2pdma_why - the reasons of one verdict
 * @count: number of reasons
 * @reasons: first the turn, then what follows from it
 */
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
