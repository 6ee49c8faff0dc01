/* SPDX-License-Identifier: MIT */
/*
 * route.c - where a TLP goes: address windows and BARs, IDs, ACS, command registers.
 *
 * Up: from a function to its link, to the port above, inside its switch to a peer port or on up.
 * Down: by what claims the address, or by the bus number.  Each receiver checks for itself.
 */
#include "fabric.h"
#include "rule.h"

/* IDs have no domain on the wire: a root complex tells its hierarchies apart. */
static bool is_completion(const struct packet *packet)
{
	return packet->type == TLP_COMPLETION;
}

/* Translation requests are for the root complex, whatever their address (PCIe Base 10.2.2). */
static bool has_peers(const struct packet *packet)
{
	return packet->address_type != AT_TRANSLATION_REQUEST;
}

static bool has_acs(const struct p2pdma_function *port)
{
	return port->kind == P2PDMA_KIND_ROOT_PORT || port->kind == P2PDMA_KIND_DOWNSTREAM_PORT;
}

static enum p2pdma_sim_fate fate_of(enum p2pdma_sim_event_kind why)
{
	switch (why) {
	case P2PDMA_SIM_EVENT_UR:
		return P2PDMA_SIM_UR;
	case P2PDMA_SIM_EVENT_CA:
		return P2PDMA_SIM_CA;
	case P2PDMA_SIM_EVENT_ACS:
		return P2PDMA_SIM_ACS;
	case P2PDMA_SIM_EVENT_MALFORMED:
		return P2PDMA_SIM_MALFORMED;
	case P2PDMA_SIM_EVENT_IOMMU:
		return P2PDMA_SIM_IOMMU;
	case P2PDMA_SIM_EVENT_ROOT:
		return P2PDMA_SIM_ROOT;
	default:
		return P2PDMA_SIM_LOST;
	}
}

static enum aer aer_of(enum p2pdma_sim_event_kind why)
{
	switch (why) {
	case P2PDMA_SIM_EVENT_CA:
		return AER_CA;
	case P2PDMA_SIM_EVENT_ACS:
		return AER_ACS;
	case P2PDMA_SIM_EVENT_MALFORMED:
		return AER_MALFORMED;
	case P2PDMA_SIM_EVENT_UNEXPECTED:
		return AER_UNEXPECTED;
	default:
		return AER_UR;
	}
}

static void deliver_down(struct packet *packet);

/* A completion without data goes back the way the request came. */
static void answer(struct packet *request, struct p2pdma_function *at, struct root *root,
                   enum p2pdma_dma_status status)
{
	struct packet *packet = packet_new(request->fabric, TLP_COMPLETION, 0);

	if (!packet)
		return; /* the requester's timeout will tell it */
	packet->status = status;
	packet->requester = request->requester;
	packet->request = request->request;
	packet->request_id = request->request_id;
	packet->payload = 4;
	packet->length = request->length;
	packet->source = at;
	packet->serial = request->serial;
	packet->segment = request->segment;
	if (!at) {
		route_down(root, packet);
	} else if (!request->goes_down && request->segment == at->below) {
		packet->goes_down = true;
		packet->from = at;
		if (at->below->kind == SEGMENT_INTERNAL)
			deliver_down(packet);
		else
			wire_send(packet);
	} else {
		route_leave(packet, at);
	}
}

void route_refuse(struct packet *packet, struct p2pdma_function *at, struct root *root,
                  enum p2pdma_sim_event_kind why, enum p2pdma_dma_status status)
{
	struct p2pdma_bdf bdf = at ? at->bdf : root->bus;

	observe_event(packet->fabric, why, bdf, packet->requester, packet->address);
	if (at)
		config_log_error(at, aer_of(why), packet);
	if (packet->type == TLP_READ && status != P2PDMA_DMA_OK)
		answer(packet, at, root, status);
	packet_end(packet, fate_of(why), bdf);
}

void route_lose(struct packet *packet, struct p2pdma_function *at)
{
	struct p2pdma_bdf bdf = at ? at->bdf : packet->requester;

	observe_event(packet->fabric, P2PDMA_SIM_EVENT_LOST, bdf, packet->requester,
	              packet->address);
	packet_end(packet, P2PDMA_SIM_LOST, bdf);
}

static void refuse(struct packet *packet, struct p2pdma_function *at)
{
	if (is_completion(packet))
		route_refuse(packet, at, NULL, P2PDMA_SIM_EVENT_UNEXPECTED, P2PDMA_DMA_OK);
	else
		route_refuse(packet, at, NULL, P2PDMA_SIM_EVENT_UR, P2PDMA_DMA_UR);
}

static void violate(struct packet *packet, struct p2pdma_function *at)
{
	route_refuse(packet, at, NULL, P2PDMA_SIM_EVENT_ACS, P2PDMA_DMA_CA);
}

/* A scripted fault that waits for this TLP.  False: the packet is dealt with. */
static bool suffer(struct packet *packet, struct p2pdma_function *function)
{
	uint64_t delay = 0;

	if (!fault_suffer(packet, function, NULL, &delay)) {
		route_lose(packet, function);
		return false;
	}
	/* Nothing may pass a write that came by a wire. */
	if (delay && packet->type == TLP_WRITE && packet->is_off_wire) {
		packet->is_stalled = true;
		wire_stall(packet, delay);
		return false;
	}
	packet->delay += delay;
	return true;
}

/* A conventional bus has bursts, which end where either side likes: no largest payload. */
static bool limits_payload(const struct p2pdma_function *function)
{
	return function->at.exp || function->physfn;
}

/* What every receiver does first.  False: it ended here. */
static bool receive(struct packet *packet, struct p2pdma_function *function)
{
	bool is_again = packet->is_stalled;

	packet->is_stalled = false;
	if (!is_again)
		observe_hop(packet, function->bdf, false);
	if (!function_answers(function)) {
		route_lose(packet, function);
		return false;
	}
	if (limits_payload(function) && packet->payload > function_payload(function) &&
	    packet->type != TLP_READ && packet->length > function_payload(function) &&
	    packet->status == P2PDMA_DMA_OK && RULE(SIM_PAYLOAD)) {
		route_refuse(packet, function, NULL, P2PDMA_SIM_EVENT_MALFORMED, P2PDMA_DMA_OK);
		return false;
	}
	if (fault_is_armed(packet->fabric) && !is_again && !suffer(packet, function))
		return false;
	packet->is_off_wire = false;
	return true;
}

static void finish(struct fabric *fabric, void *arg)
{
	struct packet *packet = arg;
	struct p2pdma_function *function = packet->target;

	(void)fabric;
	if (function && !function_answers(function))
		route_lose(packet, function);
	else if (is_completion(packet))
		requester_completed(packet, function);
	else
		complete_request(packet, function, packet->target_bar, packet->target_offset);
}

void route_target(struct packet *packet, struct p2pdma_function *function, int bar, uint64_t offset)
{
	packet->target = function;
	packet->target_bar = bar;
	packet->target_offset = offset;
	if (packet->delay && packet->tail < packet->fabric->now + packet->delay)
		packet->tail = packet->fabric->now + packet->delay;
	/* What never was on a wire comes later too: callbacks of models do not nest. */
	if (packet->tail && packet->tail <= packet->fabric->now)
		finish(packet->fabric, packet);
	else if (clock_at(packet->fabric, packet->tail, finish, packet))
		route_lose(packet, function);
}

/* Through @bridge to its other side.  True: it is on the bus inside of a switch, and goes on. */
static bool pass_down(struct packet *packet, struct p2pdma_function *bridge)
{
	packet->segment = bridge->below;
	packet->from = bridge;
	packet->goes_down = true;
	if (bridge->below->kind == SEGMENT_INTERNAL) {
		packet->ingress = bridge;
		return true;
	}
	if (bridge->below->is_up)
		wire_send(packet);
	else if (packet->type == TLP_READ) /* PCIe Base 2.9.1 */
		refuse(packet, bridge);
	else
		route_lose(packet, bridge);
	return false;
}

/* Into @function of its segment, which claims it.  True: it goes on inside of a switch. */
static bool enter(struct packet *packet, struct p2pdma_function *function,
                  const struct claim *claim)
{
	if (!receive(packet, function))
		return false;
	if (is_completion(packet) ? bdf_is_same(function->bdf, packet->requester)
	                          : claim->bar >= 0) {
		route_target(packet, function, claim ? claim->bar : 0,
		             claim ? packet->address - claim->base : 0);
		return false;
	}
	if (!function_is_d0(function) && RULE(SIM_NOT_D0)) {
		refuse(packet, function);
		return false;
	}
	return pass_down(packet, function);
}

/*
 * Nothing moves on a bus below a bridge that sleeps: what is below it has to sleep as deep (PCIe
 * Base 5.2).
 */
static bool is_asleep(const struct segment *segment)
{
	return segment->owner && !function_is_d0(segment->owner) && RULE(SIM_NOT_D0);
}

/* Who on the segment is meant, beside @from; @ret_claim of a request. */
static struct p2pdma_function *find_target(const struct packet *packet, struct segment *segment,
                                           const struct p2pdma_function *from,
                                           const struct claim **ret_claim)
{
	struct p2pdma_function *function;

	*ret_claim = NULL;
	if (is_completion(packet)) {
		function = decode_id(segment, packet->requester);
	} else {
		*ret_claim = has_peers(packet) ? decode_address(segment, packet->address) : NULL;
		function = *ret_claim ? (*ret_claim)->function : NULL;
	}
	return function == from ? NULL : function;
}

/* Who notices that nobody on the segment takes a packet from above. */
static struct p2pdma_function *who_refuses(const struct packet *packet)
{
	struct segment *segment = packet->segment;
	const struct claim *claim =
		is_completion(packet) ? NULL : decode_disabled(segment, packet->address);

	if (claim)
		return claim->function;
	if (segment->kind == SEGMENT_LINK && segment->member_count &&
	    function_answers(segment->members[0]))
		return segment->members[0];
	return segment->owner;
}

/* Who beside @function on its segment is meant, though its decode may be off. */
static struct p2pdma_function *find_peer(const struct packet *packet,
                                         const struct p2pdma_function *function,
                                         const struct claim **ret_claim)
{
	struct segment *segment = function->home;
	struct p2pdma_function *peer = find_target(packet, segment, function, ret_claim);
	const struct claim *off;

	if (peer || is_completion(packet) || !has_peers(packet) || *ret_claim)
		return peer;
	off = decode_disabled(segment, packet->address);
	if (!off || off->function == function)
		return NULL;
	*ret_claim = off;
	return off->function;
}

static void deliver_down(struct packet *packet)
{
	struct p2pdma_function *function;
	const struct claim *claim;

	do {
		function = find_target(packet, packet->segment, NULL, &claim);
		if (!function) {
			function = who_refuses(packet);
			if (function && function_answers(function))
				refuse(packet, function);
			else if (packet->segment->owner)
				route_lose(packet, packet->segment->owner);
			else
				route_refuse(packet, NULL, packet->segment->root,
				             is_completion(packet) ? P2PDMA_SIM_EVENT_UNEXPECTED
				                                   : P2PDMA_SIM_EVENT_UR,
				             P2PDMA_DMA_UR);
			return;
		}
	} while (enter(packet, function, claim));
}

void route_down(struct root *root, struct packet *packet)
{
	packet->segment = root->segment;
	packet->from = NULL;
	packet->goes_down = true;
	deliver_down(packet);
}

enum turn route_turn(const struct packet *packet, const struct p2pdma_function *port,
                     unsigned int peer)
{
	uint16_t control = function_acs(port);
	bool redirects = control & P2PDMA_ACS_REQ_REDIR && RULE(SIM_REQ_REDIR);

	if (is_completion(packet))
		return control & P2PDMA_ACS_CMPLT_REDIR && RULE(SIM_CMPLT_REDIR) ? TURN_REDIRECT
		                                                                 : TURN_DIRECT;
	if (packet->address_type == AT_TRANSLATED && control & P2PDMA_ACS_DIRECT_TRANS &&
	    RULE(SIM_DIRECT_TRANS))
		return TURN_DIRECT;
	if (control & P2PDMA_ACS_EGRESS_CTRL && RULE(SIM_EGRESS)) {
		if (!function_egress_bit(port, peer))
			return TURN_DIRECT;
		return redirects ? TURN_REDIRECT : TURN_BLOCKED;
	}
	return redirects ? TURN_REDIRECT : TURN_DIRECT;
}

/*
 * Between functions of one device: only where the ACS capability declares it, since a function
 * without one may have no such way (PCIe Base 6.12.1.2).  True: it went that way, or ended.
 */
static bool goes_inside(struct packet *packet, struct p2pdma_function *function)
{
	const uint16_t for_requests = P2PDMA_ACS_REQ_REDIR | P2PDMA_ACS_EGRESS_CTRL;
	const uint16_t declares =
		is_completion(packet) ? for_requests | P2PDMA_ACS_CMPLT_REDIR : for_requests;
	const struct claim *claim;
	struct p2pdma_function *peer = find_peer(packet, function, &claim);

	if (!peer || (!(function_acs_capability(function) & declares) && RULE(SIM_INSIDE)))
		return false;
	switch (route_turn(packet, function, peer->bdf.devfn)) {
	case TURN_REDIRECT:
		return false;
	case TURN_BLOCKED:
		violate(packet, function);
		return true;
	case TURN_DIRECT:
		break;
	}
	if (is_asleep(function->home))
		refuse(packet, function->home->owner);
	else if (claim && !claim->is_enabled)
		refuse(packet, peer);
	else if (enter(packet, peer, claim))
		deliver_down(packet);
	return true;
}

/* To the function itself. */
static bool is_own(const struct packet *packet, struct p2pdma_function *function,
                   const struct claim **ret_claim)
{
	*ret_claim = NULL;
	if (is_completion(packet))
		return bdf_is_same(function->bdf, packet->requester);
	if (!has_peers(packet))
		return false;
	*ret_claim = decode_address(function->home, packet->address);
	return *ret_claim && (*ret_claim)->function == function && (*ret_claim)->bar >= 0;
}

/* From @port of a switch to a peer port or out of the upstream port; @is_back: it only goes up. */
static void cross_switch(struct packet *packet, struct p2pdma_function *port, bool is_back)
{
	struct segment *inside = port->home;
	struct p2pdma_function *upstream = inside->owner;
	const struct claim *claim = NULL;
	struct p2pdma_function *peer = is_back ? NULL : find_peer(packet, port, &claim);
	bool goes_up = is_back || !has_peers(packet);

	if (peer) {
		switch (route_turn(packet, port, function_port_number(peer))) {
		case TURN_BLOCKED:
			violate(packet, port);
			return;
		case TURN_REDIRECT:
			goes_up = true;
			break;
		case TURN_DIRECT:
			packet->segment = inside;
			packet->goes_down = !is_asleep(inside);
			packet->ingress = port;
			if (!packet->goes_down)
				refuse(packet, upstream);
			else if (claim && !claim->is_enabled)
				refuse(packet, peer);
			else if (enter(packet, peer, claim))
				deliver_down(packet);
			return;
		}
	}
	packet->segment = inside;
	packet->goes_down = false;
	if (!receive(packet, upstream))
		return;
	if (is_own(packet, upstream, &claim)) {
		route_target(packet, upstream, claim ? claim->bar : 0,
		             claim ? packet->address - claim->base : 0);
		return;
	}
	if (!is_completion(packet) &&
	    ((!function_masters(upstream) && RULE(SIM_BUS_MASTER)) ||
	     (!goes_up && decode_in_window(upstream, packet->address) && RULE(SIM_WINDOW_BACK)))) {
		refuse(packet, upstream);
		return;
	}
	route_leave(packet, upstream);
}

void route_leave(struct packet *packet, struct p2pdma_function *function)
{
	struct segment *segment = function->home;
	const struct claim *claim;

	packet->from = function;
	packet->segment = segment;
	packet->goes_down = false;
	if (packet->source == function && is_own(packet, function, &claim)) {
		route_target(packet, function, claim ? claim->bar : 0,
		             claim ? packet->address - claim->base : 0);
		return;
	}
	switch (segment->kind) {
	case SEGMENT_LINK:
		if (goes_inside(packet, function))
			return;
		/* fall through */
	case SEGMENT_BUS:
		if (segment->is_up)
			wire_send(packet);
		else
			route_lose(packet, function);
		return;
	case SEGMENT_INTERNAL:
		cross_switch(packet, function, false);
		return;
	case SEGMENT_ROOT:
		root_arrived(segment->root, packet);
		return;
	}
}

/* PCIe Base 6.12.1.1, at the port that receives it from below.  False: a violation. */
static bool is_allowed(const struct packet *packet, const struct p2pdma_function *port)
{
	uint16_t control = function_acs(port);

	if (is_completion(packet) || !has_acs(port))
		return true;
	if (control & P2PDMA_ACS_SRC_VALID && !decode_leads_to(port, packet->requester.bus) &&
	    RULE(SIM_SRC_VALID))
		return false;
	return !(control & P2PDMA_ACS_TRANS_BLK) || packet->address_type == AT_UNTRANSLATED ||
	       !RULE(SIM_TRANS_BLK);
}

/* From the segment below @port, for something that is not on it. */
static void arrive_up(struct packet *packet, struct p2pdma_function *port)
{
	bool is_back;

	if (!receive(packet, port))
		return;
	if ((!function_is_d0(port) && RULE(SIM_NOT_D0)) ||
	    (!is_completion(packet) && !function_masters(port) && RULE(SIM_BUS_MASTER))) {
		refuse(packet, port);
		return;
	}
	if (!is_allowed(packet, port)) {
		violate(packet, port);
		return;
	}
	/* For where it came from: a component below sent it up to be redirected. */
	is_back = is_completion(packet)
	                  ? port->bdf.domain == packet->requester.domain &&
	                            decode_leads_to(port, packet->requester.bus)
	                  : has_peers(packet) && decode_in_window(port, packet->address);
	if (is_back && !(has_acs(port) && function_acs(port) & P2PDMA_ACS_UPSTREAM_FWD) &&
	    RULE(SIM_UPSTREAM_FWD)) {
		refuse(packet, port);
		return;
	}
	if (port->home->kind == SEGMENT_INTERNAL)
		cross_switch(packet, port, is_back);
	else
		route_leave(packet, port);
}

void route_arrived(struct fabric *fabric, void *arg)
{
	struct packet *packet = arg;
	struct segment *segment = packet->segment;
	const struct claim *claim = NULL;
	struct p2pdma_function *peer;

	(void)fabric;
	if (!segment->is_up) {
		route_lose(packet, segment->owner);
		return;
	}
	if (packet->goes_down) {
		deliver_down(packet);
		return;
	}
	/* Everybody on a conventional bus sees it. */
	peer = segment->kind == SEGMENT_BUS && RULE(SIM_CONVENTIONAL)
	               ? find_target(packet, segment, packet->from, &claim)
	               : NULL;
	if (!peer)
		arrive_up(packet, segment->owner);
	else if (is_asleep(segment))
		refuse(packet, segment->owner);
	else if (enter(packet, peer, claim))
		deliver_down(packet);
}
