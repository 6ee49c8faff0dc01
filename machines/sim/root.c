/* SPDX-License-Identifier: MIT */
/*
 * root.c - root complexes: IOMMU, host memory, interrupts, and the policy for what is meant for
 * peers.
 *
 * Nothing in configuration space tells the policy (PCIe Base 1.3.1 leaves peer forwarding open), so
 * the verdict cannot know it: it is the fabric's own.
 */
#include <stdlib.h>
#include <string.h>

#include "fabric.h"
#include "rule.h"

#define SPLIT_BYTES 64

/* One of the roots has it below itself: claims, or would. */
static const struct claim *find_claim(struct fabric *fabric, struct root *first, uint64_t address,
                                      struct root **ret_root)
{
	const struct claim *claim = first ? decode_address(first->segment, address) : NULL;

	*ret_root = first;
	for (size_t i = 0; i < fabric->root_count && !claim; i++) {
		*ret_root = &fabric->roots[i];
		claim = decode_address(fabric->roots[i].segment, address);
	}
	for (size_t i = 0; i < fabric->root_count && !claim; i++) {
		*ret_root = &fabric->roots[i];
		claim = decode_disabled(fabric->roots[i].segment, address);
	}
	return claim;
}

static bool allows(const struct policy *policy, bool is_read, bool is_same_port,
                   bool is_same_socket)
{
	if (!is_same_socket && RULE(SIM_SOCKETS))
		return is_read ? policy->reads_across_sockets : policy->writes_across_sockets;
	if (is_same_port && RULE(SIM_SAME_PORT))
		return is_read ? policy->reads_same_port : policy->writes_same_port;
	return is_read ? policy->reads_across_ports : policy->writes_across_ports;
}

/* Both ends have to take part. */
static bool forwards(const struct packet *packet, const struct root *from, const struct root *to,
                     const struct p2pdma_function *target)
{
	bool is_read = packet->type != TLP_WRITE;
	bool is_same_port = packet->from == target;
	bool is_same_socket = from->socket == to->socket;

	return !RULE(SIM_ROOT_POLICY) ||
	       (allows(&from->policy, is_read, is_same_port, is_same_socket) &&
	        (allows(&to->policy, is_read, is_same_port, is_same_socket) ||
	         !RULE(SIM_BOTH_ENDS)));
}

static void go_down(struct fabric *fabric, void *arg)
{
	struct packet *packet = arg;

	(void)fabric;
	route_down(packet->segment->root, packet);
}

/* Down through @root after the time the root complex takes. */
static void turn_down(struct packet *packet, struct root *root)
{
	struct fabric *fabric = packet->fabric;

	packet->segment = root->segment;
	packet->tail += root->latency;
	if (packet->tail < fabric->now + root->latency)
		packet->tail = fabric->now + root->latency;
	if (clock_at(fabric, fabric->now + root->latency, go_down, packet))
		route_lose(packet, NULL);
}

/* Success, though nobody was asked: all ones. */
static void answer_ones(struct packet *request, struct root *root)
{
	struct packet *packet = packet_new(request->fabric, TLP_COMPLETION, request->length);

	if (!packet)
		return;
	memset(packet->data, 0xff, packet->length);
	packet->requester = request->requester;
	packet->request = request->request;
	packet->request_id = request->request_id;
	packet->payload = SPLIT_BYTES;
	packet->serial = request->serial;
	packet->is_made_up = true;
	turn_down(packet, root);
}

static void refuse_peer(struct packet *packet, struct root *root)
{
	enum p2pdma_dma_status answer = P2PDMA_DMA_OK;

	if (packet->type == TLP_READ && (root->policy.refusal == REFUSE_UR || !RULE(SIM_REFUSAL)))
		answer = P2PDMA_DMA_UR;
	if (packet->type == TLP_READ && root->policy.refusal == REFUSE_ONES && RULE(SIM_REFUSAL))
		answer_ones(packet, root);
	route_refuse(packet, NULL, root, P2PDMA_SIM_EVENT_ROOT, answer);
}

static void refuse_iommu(struct packet *packet, struct root *root)
{
	packet->fabric->totals.iommu_faults += packet_tlps(packet);
	route_refuse(packet, NULL, root, P2PDMA_SIM_EVENT_IOMMU, P2PDMA_DMA_UR);
}

/* The answer to a translation request: where the address leads, as 8 bytes (PCIe Base 10.2.3). */
static void answer_translation(struct packet *request, struct root *root, uint64_t address)
{
	struct packet *packet = packet_new(request->fabric, TLP_COMPLETION, request->length);

	if (packet) {
		memset(packet->data, 0, packet->length);
		memcpy(packet->data, &address, packet->length < 8 ? packet->length : 8);
		packet->requester = request->requester;
		packet->request = request->request;
		packet->request_id = request->request_id;
		packet->payload = SPLIT_BYTES;
		packet->serial = request->serial;
		turn_down(packet, root);
	}
	packet_free(request);
}

/* False: it ended.  packet->address is where it goes. */
static bool translate(struct packet *packet, struct root *root)
{
	struct fabric *fabric = packet->fabric;
	bool is_request = packet->address_type == AT_TRANSLATION_REQUEST;
	uint64_t address = packet->address, length = packet->length;

	if (packet->fails_iommu) {
		refuse_iommu(packet, root);
		return false;
	}
	if (packet->source && packet->source->iommu == P2PDMA_IOMMU_TRANSLATED &&
	    (packet->address_type != AT_TRANSLATED || !RULE(SIM_TRANSLATED)) && RULE(SIM_IOMMU)) {
		if (iommu_translate(fabric, packet->requester, packet->address,
		                    is_request ? TLP_READ : packet->type, &address, &length) ||
		    (!is_request && length < packet->length)) {
			refuse_iommu(packet, root);
			return false;
		}
		fabric->totals.iommu_mapped += packet_tlps(packet);
	}
	if (is_request) {
		answer_translation(packet, root, address);
		return false;
	}
	packet->address = address;
	return true;
}

/* No error to the hardware, but somebody's driver is wrong. */
static void stray(const struct packet *packet, const struct root *root)
{
	observe_event(packet->fabric, P2PDMA_SIM_EVENT_STRAY, root->bus, packet->requester,
	              packet->address);
}

static void drop_poisoned(struct packet *packet, struct root *root)
{
	observe_event(packet->fabric, P2PDMA_SIM_EVENT_POISONED, root->bus, packet->requester,
	              packet->address);
	packet_end(packet, P2PDMA_SIM_POISONED, root->bus);
}

static void reach_dram(struct fabric *fabric, void *arg)
{
	struct packet *packet = arg, *back;
	struct root *root = packet->segment->root;

	if (packet->type == TLP_WRITE) {
		fabric->totals.dram_write_bytes += packet->length;
		if (packet->is_poisoned) {
			drop_poisoned(packet, root);
			return;
		}
		if (!dram_write(fabric, packet->address, packet->length, packet->data))
			stray(packet, root);
		packet_end(packet, P2PDMA_SIM_ARRIVED, root->bus);
		return;
	}
	fabric->totals.dram_read_bytes += packet->length;
	back = packet_new(fabric, TLP_COMPLETION, packet->length);
	if (back) {
		if (!dram_read(fabric, packet->address, packet->length, back->data))
			stray(packet, root);
		back->requester = packet->requester;
		back->request = packet->request;
		back->request_id = packet->request_id;
		back->serial = packet->serial;
		back->payload = (uint16_t)(packet->from->below ? function_payload(packet->from)
		                                               : packet->payload);
		route_down(root, back);
	}
	packet_free(packet);
}

/* To memory or the interrupt controller, in order: an interrupt says that its data is there. */
static void to_host(struct packet *packet, struct root *root, clock_fn arrive)
{
	struct fabric *fabric = packet->fabric;
	uint64_t when = (packet->tail > fabric->now ? packet->tail : fabric->now) + packet->delay +
	                root->latency;

	if (when < root->landed_at)
		when = root->landed_at;
	if (packet->type == TLP_WRITE)
		root->landed_at = when;
	packet->segment = root->segment;
	if (clock_at(fabric, when, arrive, packet))
		route_lose(packet, NULL);
}

static void interrupt(struct fabric *fabric, void *arg)
{
	struct packet *packet = arg;
	struct root *root = packet->segment->root;
	struct p2pdma_bdf requester = packet->requester;
	uint32_t data;

	if (packet->length != 4) { /* a message is one dword (PCI 6.8.1.5) */
		route_refuse(packet, NULL, root, P2PDMA_SIM_EVENT_UR, P2PDMA_DMA_UR);
	} else if (packet->is_poisoned) {
		drop_poisoned(packet, root);
	} else {
		data = get32(packet->data);
		packet_end(packet, P2PDMA_SIM_ARRIVED, root->bus);
		vectors_deliver(fabric, requester, data);
	}
}

/* For another root port EgressCtrl of the one it came by decides (PCIe Base 6.12.3). */
static bool is_blocked(const struct packet *packet, const struct p2pdma_function *peer)
{
	const struct p2pdma_function *port = packet->from;

	return port->kind == P2PDMA_KIND_ROOT_PORT && peer->kind == P2PDMA_KIND_ROOT_PORT &&
	       peer != port && RULE(SIM_ROOT_EGRESS) &&
	       route_turn(packet, port, function_port_number(peer)) == TURN_BLOCKED;
}

static void request_arrived(struct root *root, struct packet *packet)
{
	struct fabric *fabric = packet->fabric;
	const struct claim *claim;
	struct root *other;

	if (packet->type == TLP_WRITE && packet->address_type == AT_UNTRANSLATED &&
	    vectors_is_message(packet->address) && !packet->fails_iommu) {
		to_host(packet, root, interrupt);
		return;
	}
	if (!translate(packet, root))
		return;
	if (dram_holds(fabric, packet->address)) {
		to_host(packet, root, reach_dram);
		return;
	}
	claim = find_claim(fabric, root, packet->address, &other);
	if (!claim) {
		route_refuse(packet, NULL, root, P2PDMA_SIM_EVENT_UR, P2PDMA_DMA_UR);
	} else if (is_blocked(packet, claim->function)) {
		route_refuse(packet, packet->from, NULL, P2PDMA_SIM_EVENT_ACS, P2PDMA_DMA_CA);
	} else if (!forwards(packet, root, other, claim->function)) {
		refuse_peer(packet, root);
	} else {
		if (root->policy.splits && packet->payload > SPLIT_BYTES && RULE(SIM_SPLITS))
			packet->payload = SPLIT_BYTES;
		if (packet->type == TLP_WRITE)
			fabric->totals.root_bytes += packet->length;
		turn_down(packet, other);
	}
}

static void completion_arrived(struct root *root, struct packet *packet)
{
	struct fabric *fabric = packet->fabric;
	struct p2pdma_function *target = NULL;
	struct root *other = NULL;

	if (request_is_of_cpu(packet)) {
		route_target(packet, NULL, 0, 0);
		return;
	}
	for (size_t i = 0; i < fabric->root_count && !target; i++) {
		other = &fabric->roots[i];
		if (other->bus.domain == packet->requester.domain)
			target = decode_id(other->segment, packet->requester);
	}
	if (!target) {
		route_refuse(packet, NULL, root, P2PDMA_SIM_EVENT_UNEXPECTED, P2PDMA_DMA_OK);
	} else if (packet->status == P2PDMA_DMA_OK && !forwards(packet, root, other, target) &&
	           RULE(SIM_COMPLETION_POLICY)) {
		route_refuse(packet, NULL, root, P2PDMA_SIM_EVENT_ROOT, P2PDMA_DMA_OK);
	} else {
		if (packet->status == P2PDMA_DMA_OK)
			fabric->totals.root_bytes += packet->length;
		turn_down(packet, other);
	}
}

void root_arrived(struct root *root, struct packet *packet)
{
	uint64_t delay = 0;

	observe_hop(packet, root->bus, true);
	packet->ingress = packet->from;
	if (fault_is_armed(packet->fabric) && !fault_suffer(packet, NULL, root, &delay)) {
		route_lose(packet, NULL);
		return;
	}
	packet->delay += delay;
	if (packet->type == TLP_COMPLETION)
		completion_arrived(root, packet);
	else
		request_arrived(root, packet);
}

bool root_from_cpu(struct packet *packet)
{
	struct root *root;

	if (!find_claim(packet->fabric, NULL, packet->address, &root))
		return false;
	packet->requester = root->bus;
	turn_down(packet, root);
	return true;
}
