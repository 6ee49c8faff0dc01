/* SPDX-License-Identifier: MIT */
/*
 * segment.c - the wire verdict of all clients below one divergence port.
 *
 * Example: provider P under one downstream port, client C under another of the same switch:
 *
 *	root port - upstream port A -+- downstream port p - P
 *				     `- downstream port c - C
 *
 * The distance is 4: P-p, p-A, C-c, c-A.  A request from C is steered by c's ACS control, the
 * completion from P by p's.  The kernel looks at all of P, p, A, C and c.
 */
#include <errno.h>

#include "routes.h"
#include "rule.h"

/* Whether a root complex is trusted by a row; unknown where what decides was not captured. */
static enum p2pdma_known trusts(const struct root_trust *root, const struct hostbridge_row *row,
                                bool is_same)
{
	if (root->is_unknown)
		return P2PDMA_UNKNOWN;
	return row && (is_same || !row->same_only) ? P2PDMA_YES : P2PDMA_NO;
}

/* Both have to be trusted: one no is a no. */
static enum p2pdma_known both(enum p2pdma_known a, enum p2pdma_known b)
{
	if (a == P2PDMA_NO || b == P2PDMA_NO)
		return P2PDMA_NO;
	return a == P2PDMA_YES && b == P2PDMA_YES ? P2PDMA_YES : P2PDMA_UNKNOWN;
}

/* Linux: host_bridge_whitelist() and cpu_supports_p2pdma(). */
struct far_side routes_far_side(const struct p2pdma_routes *routes, uint32_t provider_root,
                                uint32_t client_root)
{
	const struct root_trust *a = &routes->roots[provider_root];
	const struct root_trust *b = &routes->roots[client_root];
	bool is_same = provider_root == client_root;
	bool is_zen = routes->info.cpu == P2PDMA_CPU_AMD_ZEN && RULE(CPU_AMD_ZEN);
	enum p2pdma_known kernel =
		both(trusts(a, a->kernel_row, is_same), trusts(b, b->kernel_row, is_same));
	enum p2pdma_known wire =
		both(trusts(a, a->wire_row, is_same), trusts(b, b->wire_row, is_same));
	struct far_side far;

	if (is_zen || kernel == P2PDMA_YES)
		far.map_type = P2PDMA_MAP_THRU_HOST_BRIDGE;
	else if (kernel == P2PDMA_UNKNOWN || routes->info.cpu == P2PDMA_CPU_AUTO)
		far.map_type = P2PDMA_MAP_UNKNOWN;
	else
		far.map_type = P2PDMA_MAP_NOT_SUPPORTED;

	far.write = far.read = P2PDMA_VERDICT_UNKNOWN;
	/* Where the tree's top was not captured, the path may not meet a root complex at all. */
	if (a->is_missing || b->is_missing)
		return far;
	if (is_zen || wire == P2PDMA_YES)
		far.write = far.read = P2PDMA_ROOT_COMPLEX;
	if ((a->refuses_reads || b->refuses_reads) && RULE(REFUSES_READS))
		far.read = P2PDMA_BLOCKED;
	return far;
}

static enum p2pdma_turn explain(struct p2pdma_reason *reason, enum p2pdma_turn turn,
                                enum p2pdma_reason_code code, const struct p2pdma_device *device,
                                uint32_t arg)
{
	*reason = (struct p2pdma_reason){ code, device, arg };
	return turn;
}

/* The number a switch port goes by in its siblings' egress vectors: LnkCap 31:24. */
static int port_number(const struct p2pdma_device *port)
{
	int offset = pcicap_find(port->config, PCICAP_ID_EXP);
	uint32_t link;

	if (offset < 0 || pcicap_read32(port->config, (size_t)offset + 0x0c, &link))
		return -ENODATA;
	return (int)(link >> 24);
}

/* Whether egress vectors on a function's bus may count function groups instead of functions. */
static bool may_count_groups(const struct p2pdma_device *function)
{
	struct p2pdma_bdf first = function->function->bdf;
	const struct p2pdma_device *zero;

	first.devfn = 0;
	zero = topology_find(function->machine, first);
	return pcicap_function_groups(function->config, function->kind) != P2PDMA_NO ||
	       (zero && pcicap_function_groups(zero->config, zero->kind) != P2PDMA_NO);
}

/* The number of a function in its siblings' egress vectors; with ARI all 8 bits count. */
static int function_number(const struct p2pdma_device *function, const struct p2pdma_device *peer)
{
	uint8_t devfn = function->function->bdf.devfn;

	if (function->function->bdf.bus != peer->function->bdf.bus || may_count_groups(peer))
		return -ENODATA;
	return (devfn | peer->function->bdf.devfn) & 0xf8 ? devfn : devfn & 0x7;
}

/* PCIe Base 6.12.3: P2P Egress Control decides per peer, P2P Request Redirect for all. */
static enum p2pdma_turn turn_by_control(const struct p2pdma_device *port,
                                        const struct p2pdma_device *peer, bool shares_link,
                                        struct p2pdma_reason *reason)
{
	bool redirects = port->acs.control & P2PDMA_ACS_REQ_REDIR && RULE(REQ_REDIR);
	int egress_index, bit;

	if (!(port->acs.control & P2PDMA_ACS_EGRESS_CTRL) || !RULE(EGRESS))
		return redirects ? explain(reason, P2PDMA_TURN_REDIRECT, P2PDMA_REASON_REQ_REDIR,
		                           port, 0)
		                 : explain(reason, P2PDMA_TURN_DIRECT, P2PDMA_REASON_NO_REDIRECT,
		                           port, 0);
	egress_index = shares_link ? function_number(peer, port) : port_number(peer);
	bit = egress_index < 0
	              ? egress_index
	              : pcicap_egress_bit(port->config, port->kind, (unsigned int)egress_index);
	if (bit < 0)
		return explain(reason, P2PDMA_TURN_UNKNOWN, P2PDMA_REASON_EGRESS_UNKNOWN, port, 0);
	if (!bit)
		return explain(reason, P2PDMA_TURN_DIRECT, P2PDMA_REASON_NO_REDIRECT, port, 0);
	return explain(reason, redirects ? P2PDMA_TURN_REDIRECT : P2PDMA_TURN_BLOCKED,
	               P2PDMA_REASON_EGRESS, port, (uint32_t)egress_index);
}

/* Between two downstream ports of a switch. */
static void turns_in_switch(struct segment *segment)
{
	const struct p2pdma_device *c = segment->client_port, *p = segment->provider_port;

	if (c->acs.known == P2PDMA_UNKNOWN)
		segment->request = explain(&segment->request_reason, P2PDMA_TURN_UNKNOWN,
		                           P2PDMA_REASON_ACS_UNKNOWN, c, 0);
	else
		segment->request = turn_by_control(c, p, false, &segment->request_reason);
	if (p->acs.known == P2PDMA_UNKNOWN)
		segment->completion = explain(&segment->completion_reason, P2PDMA_TURN_UNKNOWN,
		                              P2PDMA_REASON_ACS_UNKNOWN, p, 0);
	else if (p->acs.control & P2PDMA_ACS_CMPLT_REDIR && RULE(CMPLT_REDIR))
		segment->completion = explain(&segment->completion_reason, P2PDMA_TURN_REDIRECT,
		                              P2PDMA_REASON_CMPLT_REDIR, p, 0);
	else
		segment->completion = explain(&segment->completion_reason, P2PDMA_TURN_DIRECT,
		                              P2PDMA_REASON_NO_REDIRECT, p, 0);
}

/*
 * Between two functions of one device.  PCIe Base 6.12.1.2: a function that routes to its siblings
 * has to declare the controls for it; one that declares none sends everything up the link.
 */
static enum p2pdma_turn turn_of_function(const struct p2pdma_device *function, uint16_t declares,
                                         struct p2pdma_reason *reason)
{
	if (function->acs.known == P2PDMA_UNKNOWN)
		return explain(reason, P2PDMA_TURN_UNKNOWN, P2PDMA_REASON_ACS_UNKNOWN, function, 0);
	if (function->acs.known == P2PDMA_NO && RULE(SHARED_LINK_NO_ACS))
		return explain(reason, P2PDMA_TURN_UNKNOWN, P2PDMA_REASON_SHARED_LINK_NO_ACS,
		               function, 0);
	if (!(function->acs.capability & declares) && RULE(SHARED_LINK_TURN))
		return explain(reason, P2PDMA_TURN_REDIRECT, P2PDMA_REASON_SHARED_LINK_TURN,
		               function, 0);
	return explain(reason, P2PDMA_TURN_DIRECT, P2PDMA_REASON_INTERNAL, function, 0);
}

static void turns_on_link(struct segment *segment)
{
	const uint16_t peer_control = P2PDMA_ACS_REQ_REDIR | P2PDMA_ACS_EGRESS_CTRL;
	const struct p2pdma_device *c = segment->client_port, *p = segment->provider_port;

	segment->request = turn_of_function(c, peer_control, &segment->request_reason);
	if (segment->request == P2PDMA_TURN_DIRECT) {
		struct p2pdma_reason reason;
		enum p2pdma_turn turn = turn_by_control(c, p, true, &reason);

		if (turn != P2PDMA_TURN_DIRECT) {
			segment->request = turn;
			segment->request_reason = reason;
		}
	}
	segment->completion = turn_of_function(p, peer_control | P2PDMA_ACS_CMPLT_REDIR,
	                                       &segment->completion_reason);
	if (segment->completion == P2PDMA_TURN_DIRECT && p->acs.control & P2PDMA_ACS_CMPLT_REDIR &&
	    RULE(CMPLT_REDIR))
		segment->completion = explain(&segment->completion_reason, P2PDMA_TURN_REDIRECT,
		                              P2PDMA_REASON_CMPLT_REDIR, p, 0);
}

static void both_turns(struct segment *segment, enum p2pdma_turn turn, enum p2pdma_reason_code code,
                       const struct p2pdma_device *device)
{
	segment->request = segment->completion =
		explain(&segment->request_reason, turn, code, device, 0);
	segment->completion_reason = segment->request_reason;
}

/* A PCIe function below a bridge that shows no PCIe capability: then it is no conventional bridge.
 */
static bool fits_conventional_bus(const struct p2pdma_device *device)
{
	return device->kind == P2PDMA_KIND_PCI || device->kind == P2PDMA_KIND_PCI_BRIDGE ||
	       device->kind == P2PDMA_KIND_PCI_TO_PCIE || device->kind == P2PDMA_KIND_UNKNOWN;
}

static void decide_turns(struct segment *segment)
{
	const struct p2pdma_device *common = segment->common;

	if (segment->is_same)
		both_turns(segment, P2PDMA_TURN_DIRECT, P2PDMA_REASON_SAME_FUNCTION, common);
	else if (!common)
		both_turns(segment, P2PDMA_TURN_ROOT, P2PDMA_REASON_NO_COMMON_NODE, NULL);
	else if (!segment->is_judged)
		both_turns(segment, P2PDMA_TURN_UNKNOWN, P2PDMA_REASON_BRIDGE_TARGET, common);
	else if (topology_is_link(common))
		turns_on_link(segment);
	else if (common->kind == P2PDMA_KIND_UPSTREAM_PORT &&
	         segment->client_port->kind == P2PDMA_KIND_DOWNSTREAM_PORT &&
	         segment->provider_port->kind == P2PDMA_KIND_DOWNSTREAM_PORT)
		turns_in_switch(segment);
	else if ((common->kind == P2PDMA_KIND_PCIE_TO_PCI ||
	          common->kind == P2PDMA_KIND_PCI_BRIDGE) &&
	         fits_conventional_bus(segment->client_port) &&
	         fits_conventional_bus(segment->provider_port))
		both_turns(segment, P2PDMA_TURN_DIRECT, P2PDMA_REASON_CONVENTIONAL_BUS, common);
	else
		both_turns(segment, P2PDMA_TURN_UNKNOWN, P2PDMA_REASON_NOT_A_PORT,
		           common->kind == P2PDMA_KIND_UPSTREAM_PORT ? segment->client_port
		                                                     : common);
}

/* What a turn comes to, given what the root complex does with this op. */
static enum p2pdma_verdict verdict_of(const struct p2pdma_routes *routes,
                                      const struct segment *segment, enum p2pdma_turn turn,
                                      enum p2pdma_verdict far)
{
	switch (turn) {
	case P2PDMA_TURN_DIRECT:
		return P2PDMA_DIRECT;
	case P2PDMA_TURN_REDIRECT:
		/* PCIe Base 6.12.1.1: without Upstream Forwarding a port need not send it on up. */
		if (segment_no_forward(routes, segment) && RULE(UPSTREAM_FWD))
			return P2PDMA_VERDICT_UNKNOWN;
		return far;
	case P2PDMA_TURN_ROOT:
		return far;
	case P2PDMA_TURN_BLOCKED:
		return P2PDMA_BLOCKED;
	default:
		return P2PDMA_VERDICT_UNKNOWN;
	}
}

static bool may_stay(const struct segment *segment, enum p2pdma_turn turn)
{
	return turn == P2PDMA_TURN_DIRECT || (turn == P2PDMA_TURN_UNKNOWN && segment->is_judged);
}

static void decide_verdicts(const struct p2pdma_routes *routes, struct segment *segment)
{
	enum p2pdma_verdict request, completion;

	request = verdict_of(routes, segment, segment->request, segment->far.read);
	completion = verdict_of(routes, segment, segment->completion, segment->far.read);
	segment->write = verdict_of(routes, segment, segment->request, segment->far.write);
	segment->read = request > completion ? request : completion;
	segment->write_is_near = segment->request == P2PDMA_TURN_DIRECT;
	segment->read_is_near = segment->write_is_near && segment->completion == P2PDMA_TURN_DIRECT;
	segment->request_may_stay = may_stay(segment, segment->request);
	segment->completion_may_stay = may_stay(segment, segment->completion);
}

/* Ports have rules of their own for their own memory (ACS Enhanced Capability), which are not
 * judged. */
static void judge_bridge(struct segment *segment, const struct p2pdma_device *device)
{
	if (!device->header_type || segment->is_same)
		return;
	both_turns(segment, P2PDMA_TURN_UNKNOWN, P2PDMA_REASON_BRIDGE_TARGET, device);
	segment->write = segment->read = P2PDMA_VERDICT_UNKNOWN;
}

bool segment_bar_unseen(const struct p2pdma_routes *routes, const struct segment *segment)
{
	const struct hazard_facts *facts = &routes->facts[segment->provider->index];
	bool is_unseen =
		hazard_bar_unseen(facts) || (facts->command_unknown && !segment->provider->is_vf);

	/* A dead provider stops everything anyway. */
	return is_unseen && !segment->is_same && !segment->provider->is_dead;
}

/*
 * Where two claim an address on a bus that requests for it pass, nobody can say who takes them: on
 * the provider's leg, and on the client's below the divergence port, which is beside the
 * provider's.
 */
const struct claim *segment_other_claim(const struct p2pdma_routes *routes,
                                        const struct segment *segment,
                                        const struct p2pdma_device *client)
{
	const struct p2pdma_device *provider = segment->provider;
	const uint16_t depth = segment->common ? segment->common->depth : 0;
	const uint16_t top = segment->write_is_near ? depth : 0;
	const uint16_t claimed = routes->claimed[provider->index];
	const struct p2pdma_bar *range = &routes->facts[provider->index].range;
	const struct claim *claim = NULL;

	if (segment->is_same)
		return NULL;
	if (claimed > top)
		return claims_on_bar(routes, provider, routes_at_depth(routes, provider, claimed));
	if (!client || routes->stray[client->index] < depth + 2)
		return NULL;
	for (; client->depth > depth + 1 && !claim;
	     client = topology_at(routes->machine, client->parent)) {
		claim = claims_find(routes, client->parent, NO_INDEX, range);
		if (!claim)
			claim = claims_find(routes, client->parent | CLAIM_BACK, NO_INDEX, range);
	}
	return claim;
}

/* It may even get past what would block it. */
static void judge_claims(const struct p2pdma_routes *routes, struct segment *segment,
                         const struct p2pdma_device *client)
{
	if (segment_other_claim(routes, segment, client))
		segment->write = segment->read = P2PDMA_VERDICT_UNKNOWN;
}

static void doubt(struct segment *segment)
{
	if (segment->write < P2PDMA_VERDICT_UNKNOWN)
		segment->write = P2PDMA_VERDICT_UNKNOWN;
	if (segment->read < P2PDMA_VERDICT_UNKNOWN)
		segment->read = P2PDMA_VERDICT_UNKNOWN;
}

struct segment segment_of(const struct p2pdma_routes *routes, const struct p2pdma_device *provider,
                          const struct p2pdma_device *common,
                          const struct p2pdma_device *provider_port,
                          const struct p2pdma_device *client_port)
{
	struct segment segment = {
		.provider = provider,
		.common = common,
		.provider_port = provider_port,
		.client_port = client_port,
		.is_judged = provider_port && client_port,
		.is_same = common && common == provider && !client_port,
	};

	segment.far = routes_far_side(routes, provider->root,
	                              client_port ? client_port->root : provider->root);
	decide_turns(&segment);
	decide_verdicts(routes, &segment);
	judge_bridge(&segment, provider);
	if (segment_bar_unseen(routes, &segment) || segment_unseen_node(routes, &segment, NULL))
		doubt(&segment);
	judge_claims(routes, &segment, NULL);
	return segment;
}

/* PCIe Base 6.12.3: Direct Translated P2P overrides what the other controls say of these requests.
 */
static bool translated_go_direct(const struct segment *segment)
{
	return (segment->request_reason.code == P2PDMA_REASON_REQ_REDIR ||
	        segment->request_reason.code == P2PDMA_REASON_EGRESS) &&
	       segment->client_port->acs.control & P2PDMA_ACS_DIRECT_TRANS && RULE(DIRECT_TRANS);
}

/*
 * TransBlk blocks the translated requests of a client whose ATS is on (PCIe Base 6.12.1.1), at
 * every root and downstream port they pass: below the common node, or all the way up when they are
 * redirected.
 */
static void worsen_by_translation(const struct p2pdma_routes *routes, struct segment *segment,
                                  const struct p2pdma_device *client)
{
	bool goes_up = segment->request == P2PDMA_TURN_REDIRECT && !translated_go_direct(segment);
	uint16_t top = segment->common && !goes_up ? segment->common->depth : 0;
	uint16_t blocked = routes->trans_blocked[client->index];
	uint16_t unknown = routes->trans_unknown[client->index];

	if (blocked > top && RULE(TRANS_BLK))
		segment->request = explain(&segment->request_reason, P2PDMA_TURN_BLOCKED,
		                           P2PDMA_REASON_TRANS_BLK,
		                           routes_at_depth(routes, client, blocked), 0);
	else if (unknown > top && segment->request < P2PDMA_TURN_UNKNOWN)
		segment->request = explain(&segment->request_reason, P2PDMA_TURN_UNKNOWN,
		                           P2PDMA_REASON_ACS_UNKNOWN,
		                           routes_at_depth(routes, client, unknown), 0);
}

const struct p2pdma_device *segment_root_egress(const struct p2pdma_routes *routes,
                                                const struct segment *segment,
                                                const struct p2pdma_device *client)
{
	const struct p2pdma_device *port = routes_at_depth(routes, client, 1);
	const uint16_t bits = P2PDMA_ACS_EGRESS_CTRL | P2PDMA_ACS_REQ_REDIR;

	if (segment->common || !RULE(ROOT_EGRESS) || port->kind != P2PDMA_KIND_ROOT_PORT)
		return NULL;
	if (port->acs.known == P2PDMA_UNKNOWN ||
	    (port->acs.known == P2PDMA_YES && (port->acs.control & bits) == P2PDMA_ACS_EGRESS_CTRL))
		return port;
	return NULL;
}

const struct p2pdma_device *segment_unseen_node(const struct p2pdma_routes *routes,
                                                const struct segment *segment,
                                                const struct p2pdma_device *client)
{
	uint16_t top = segment->common && segment->read_is_near ? segment->common->depth : 0;

	if (segment->is_same)
		return NULL;
	if (client && routes->unseen[client->index] > top)
		return routes_at_depth(routes, client, routes->unseen[client->index]);
	if (routes->unseen[segment->provider->index] > top)
		return routes_at_depth(routes, segment->provider,
		                       routes->unseen[segment->provider->index]);
	return NULL;
}

/* QEMU's own models: its vendor IDs, or its default subsystem.  A passed-through virtio card has
 * neither. */
bool segment_is_qemu_model(const struct p2pdma_device *device)
{
	uint32_t subsystem = 0;

	if (device->header_type == 0)
		pcicap_read32(device->config, 0x2c, &subsystem);
	return device->vendor == 0x1b36 || device->vendor == 0x1234 || subsystem == 0x11001af4;
}

bool segment_is_qemu(const struct p2pdma_routes *routes, const struct p2pdma_device *provider,
                     const struct p2pdma_device *client)
{
	return routes->is_qemu && segment_is_qemu_model(provider) && segment_is_qemu_model(client);
}

static enum p2pdma_verdict virtual_verdict(enum p2pdma_verdict verdict)
{
	return verdict == P2PDMA_BLOCKED ? verdict : P2PDMA_VERDICT_UNKNOWN;
}

/*
 * A hypervisor's topology says nothing of the wire.  Measured exception: QEMU's models reach each
 * other by raw address as long as no virtual IOMMU translates.
 */
static void judge_virtual(const struct p2pdma_routes *routes, struct segment *segment,
                          const struct p2pdma_device *client)
{
	bool is_untranslated = client->function->iommu == P2PDMA_IOMMU_NONE ||
	                       client->function->iommu == P2PDMA_IOMMU_PASSTHROUGH;

	if (segment_is_qemu(routes, segment->provider, client)) {
		if (is_untranslated) {
			segment->write = segment->write == P2PDMA_DIRECT ? P2PDMA_DIRECT
			                                                 : P2PDMA_ROOT_COMPLEX;
			segment->read = segment->read == P2PDMA_DIRECT ? P2PDMA_DIRECT
			                                               : P2PDMA_ROOT_COMPLEX;
		} else {
			segment->write = segment->read = P2PDMA_VERDICT_UNKNOWN;
		}
		return;
	}
	segment->write = virtual_verdict(segment->write);
	segment->read = virtual_verdict(segment->read);
}

void segment_narrow(const struct p2pdma_routes *routes, struct segment *segment,
                    const struct p2pdma_device *client)
{
	if (segment->is_same)
		return;
	/* Anew, since a bridge as provider has had its turns overruled. */
	decide_turns(segment);
	worsen_by_translation(routes, segment, client);
	decide_verdicts(routes, segment);
	if (segment_root_egress(routes, segment, client))
		doubt(segment);
	if (routes->info.virtual_machine && RULE(VIRTUAL))
		judge_virtual(routes, segment, client);
	if (routes->facts[client->index].command_unknown && !client->is_dead)
		doubt(segment);
	judge_bridge(segment, segment->provider);
	judge_bridge(segment, client);
	if (segment_bar_unseen(routes, segment) || segment_unseen_node(routes, segment, client))
		doubt(segment);
	judge_claims(routes, segment, client);
}

struct segment segment_of_pair(const struct p2pdma_routes *routes,
                               const struct p2pdma_device *provider,
                               const struct p2pdma_device *client)
{
	const struct p2pdma_machine *machine = routes->machine;
	const struct p2pdma_device *p = provider, *c = client;
	const struct p2pdma_device *below_p = NULL, *below_c = NULL;
	struct segment segment;

	while (p && c && p != c) {
		if (p->depth >= c->depth) {
			below_p = p;
			p = topology_at(machine, p->parent);
		} else {
			below_c = c;
			c = topology_at(machine, c->parent);
		}
	}
	if (!p || !c) /* one chain ended: no common node */
		segment = segment_of(routes, provider, NULL, provider, client);
	else
		segment = segment_of(routes, provider, p, below_p, below_c);
	segment_narrow(routes, &segment, client);
	return segment;
}
