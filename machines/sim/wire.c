/* SPDX-License-Identifier: MIT */
/*
 * wire.c - links: how long a packet takes, and that nothing overtakes.
 *
 * The closed form of Neugebauer et al., SIGCOMM 2018: rate, encoding, headers, and a share for
 * acknowledgements, flow control and SKIP.
 */
#include "fabric.h"
#include "rule.h"

#define EXP_LINK_STATUS 0x12
#define EXP_DEV_CONTROL 0x08
/* On the wire, with 8 bytes of framing, sequence number and LCRC (PCIe Base 2.2, 3.5.1, 4.2). */
#define HEADER_64       24
#define HEADER_32       20
#define HEADER_COMPLETE 20
#define DLLP_BYTES      8.0
#define SKIP_SHARE      (4.0 / 1538)
/* 32 bits at 33 MHz */
#define CONVENTIONAL_PS 7518.8

/* Gb/s of one lane after encoding, by Link Speed code. */
static const double lane_rates[] = {
	0,
	2.5 * 8 / 10,
	5.0 * 8 / 10,
	8.0 * 128 / 130,
	16.0 * 128 / 130,
	32.0 * 128 / 130,
	64.0 * 242 / 256,
};

/* Bytes for which one acknowledgement is due, for widths 1 to 16 and MPS 128, 256, 512. */
static double acknowledge_limit(unsigned int width, unsigned int payload)
{
	static const uint16_t limits[5][3] = {
		{ 333, 512, 655 }, { 224, 313, 385 }, { 169, 214, 250 },
		{ 163, 203, 182 }, { 144, 168, 182 },
	};
	int row = width >= 16 ? 4 : width >= 8 ? 3 : width >= 4 ? 2 : width >= 2 ? 1 : 0;

	return limits[row][payload >= 512 ? 2 : payload >= 256 ? 1 : 0];
}

void wire_train(struct segment *segment)
{
	const struct p2pdma_function *port = segment->owner;
	unsigned int speed = 0, width = 0;
	uint16_t status;
	double gbps;

	segment->ps_per_byte = segment->kind == SEGMENT_BUS ? CONVENTIONAL_PS : 0;
	if (segment->kind != SEGMENT_LINK || !port)
		return;
	if (port->at.exp) {
		status = get16(port->config + port->at.exp + EXP_LINK_STATUS);
		speed = status & 0xf;
		width = status >> 4 & 0x3f;
	}
	/* A capture may not say, or was taken while the link was down. */
	if (!speed || speed >= sizeof(lane_rates) / sizeof(lane_rates[0]))
		speed = 1;
	if (!width)
		width = 1;
	gbps = lane_rates[speed] * width *
	       (1 - 2 * DLLP_BYTES / acknowledge_limit(width, function_payload(port)) - SKIP_SHARE);
	segment->ps_per_byte = 8000 / gbps;
}

unsigned int packet_tlps(const struct packet *packet)
{
	if (packet->type == TLP_COMPLETION && packet->status != P2PDMA_DMA_OK)
		return 1;
	return packet->length > packet->payload
	               ? (packet->length + packet->payload - 1) / packet->payload
	               : 1;
}

static unsigned int header_bytes(const struct packet *packet)
{
	if (packet->type == TLP_COMPLETION)
		return HEADER_COMPLETE;
	return packet->address >> 32 ? HEADER_64 : HEADER_32;
}

static bool has_payload(const struct packet *packet)
{
	return packet->type == TLP_WRITE ||
	       (packet->type == TLP_COMPLETION && packet->status == P2PDMA_DMA_OK);
}

static struct wire *wire_of(const struct packet *packet)
{
	return packet->goes_down ? &packet->segment->down : &packet->segment->up;
}

static void take_first(struct fabric *fabric, void *arg);

/* Nothing overtakes on a wire, so the clock need not know of more than its first packet. */
static void await_first(struct fabric *fabric, struct wire *wire)
{
	struct packet *packet;

	while ((packet = wire->first) && clock_at(fabric, packet->head, take_first, wire)) {
		wire->first = packet->next;
		route_lose(packet, packet->segment->owner);
	}
	if (!packet)
		wire->last = NULL;
}

static void take_first(struct fabric *fabric, void *arg)
{
	struct wire *wire = arg;
	struct packet *packet = wire->first;

	/* The clock may have waited for one that was dropped, or put back. */
	if (!packet || packet->head > fabric->now)
		return;
	wire->first = packet->next;
	if (!wire->first)
		wire->last = NULL;
	packet->is_off_wire = true;
	wire->sent_at = packet->tail;
	/* Before the next: where both are there at the same time, they stay in order. */
	route_arrived(fabric, packet);
	if (wire->first)
		await_first(fabric, wire);
}

void wire_stall(struct packet *packet, uint64_t delay)
{
	struct wire *wire = wire_of(packet);

	packet->head = packet->fabric->now + delay;
	if (packet->tail < packet->head)
		packet->tail = packet->head;
	if (wire->landed_at < packet->tail)
		wire->landed_at = packet->tail;
	packet->next = wire->first;
	wire->first = packet;
	if (!wire->last)
		wire->last = packet;
	await_first(packet->fabric, wire);
}

/* What has not begun to leave was counted for nothing. */
static void forget(struct packet *packet)
{
	struct wire *wire = wire_of(packet);

	if (packet->wire_bytes && packet->start > packet->fabric->now) {
		wire->busy -= packet->took;
		wire->count.bytes -= packet->wire_bytes;
		wire->count.payload -= has_payload(packet) ? packet->length : 0;
		wire->count.tlps -= packet_tlps(packet);
	}
	packet->tail = packet->fabric->now;
}

/* Takes a queue out of the wire before anybody is told, who might put more onto it. */
static void lose_all(struct packet *packet)
{
	struct packet *next;

	for (; packet; packet = next) {
		next = packet->next;
		forget(packet);
		route_lose(packet, packet->segment->owner);
	}
}

static void drop(struct fabric *fabric, struct wire *wire)
{
	struct packet *queues[LANES + 1] = { wire->first };

	wire->first = wire->last = NULL;
	wire->free_at = wire->landed_at = fabric->now;
	for (int i = 0; i < LANES; i++) {
		queues[i + 1] = wire->lanes[i].first;
		wire->lanes[i] = (struct lane){ NULL, NULL };
	}
	for (int i = 0; i <= LANES; i++)
		lose_all(queues[i]);
}

void wire_drop(struct segment *segment)
{
	struct fabric *fabric = segment->owner->fabric;

	drop(fabric, &segment->down);
	drop(fabric, &segment->up);
}

/* The wire is free again once the last that was not recalled has left. */
static void rewind_to(struct wire *wire, uint64_t landed_at, uint64_t hop_latency)
{
	wire->landed_at = landed_at;
	wire->free_at = landed_at > hop_latency ? landed_at - hop_latency : 0;
}

void wire_recall(struct p2pdma_function *function, bool with_completions)
{
	struct wire *wire = &function->home->up;
	struct packet **at = &wire->first, *packet, *recalled = NULL, *last = NULL;

	while ((packet = *at)) {
		if (packet->source == function &&
		    (with_completions || packet->type != TLP_COMPLETION) &&
		    packet->start > function->fabric->now) {
			*at = packet->next;
			packet->next = recalled;
			recalled = packet;
		} else {
			last = packet;
			at = &packet->next;
		}
	}
	wire->last = last;
	if (recalled)
		rewind_to(wire, last ? last->tail : wire->sent_at, function->home->hop_latency);
	for (; recalled; recalled = packet) {
		packet = recalled->next;
		forget(recalled);
		if (recalled->type == TLP_READ)
			requester_unsent(recalled);
		else if (recalled->type == TLP_COMPLETION)
			route_lose(recalled, function);
		else
			packet_end(recalled, P2PDMA_SIM_NOT_SENT, function->bdf);
	}
}

/*
 * The packet's first TLP goes on as soon as it is whole, so that a train does not wait at each hop
 * for its last.
 */
static void put(struct packet *packet)
{
	struct segment *segment = packet->segment;
	struct fabric *fabric = packet->fabric;
	struct wire *wire = wire_of(packet);
	unsigned int tlps = packet_tlps(packet);
	uint64_t payload = has_payload(packet) ? packet->length : 0;
	uint64_t bytes = payload + (uint64_t)tlps * header_bytes(packet);
	uint64_t took = (uint64_t)((double)bytes * segment->ps_per_byte);
	uint64_t start = wire->free_at > fabric->now ? wire->free_at : fabric->now;
	uint64_t head = start + took / tlps + segment->hop_latency;

	packet->start = start;
	wire->free_at = start + took > packet->tail ? start + took : packet->tail;
	packet->tail = wire->free_at + segment->hop_latency;
	if (head < wire->landed_at)
		head = wire->landed_at;
	if (packet->tail < head)
		packet->tail = head;
	wire->landed_at = packet->tail;
	wire->busy += took;
	wire->count.bytes += bytes;
	wire->count.payload += payload;
	wire->count.tlps += tlps;
	packet->wire_bytes = bytes;
	packet->took = took;
	packet->head = head;
	packet->next = NULL;
	if (wire->last)
		wire->last->next = packet;
	else
		wire->first = packet;
	wire->last = packet;
	if (wire->first == packet)
		await_first(fabric, wire);
}

/* Always the same one for an ingress port: those that share it wait for each other, no harm done.
 */
static struct lane *lane_of(struct wire *wire, const struct p2pdma_function *ingress)
{
	bool is_first = !ingress || !RULE(SIM_LANES);

	return &wire->lanes[is_first ? 0 : (ingress->bdf.devfn ^ ingress->bdf.devfn >> 3) % LANES];
}

static void put_late(struct fabric *fabric, void *arg)
{
	(void)fabric;
	put(arg);
}

static void leave_lane(struct fabric *fabric, void *arg)
{
	struct lane *lane = arg;
	struct packet *packet = lane->first;

	if (!packet || packet->head > fabric->now)
		return; /* it waited for one that was dropped */
	lane->first = packet->next;
	/* Out of memory they go at once, in their order. */
	while (put(packet),
	       (packet = lane->first) && clock_at(fabric, packet->head, leave_lane, lane))
		lane->first = packet->next;
}

static void hold(struct wire *wire, uint64_t now, uint64_t delay)
{
	wire->free_at = (wire->free_at > now ? wire->free_at : now) + delay;
}

/*
 * A posted write may wait at the egress port that leads down, so that it lands late: a write to
 * another target, or a completion to the host, comes first.  What came by the same ingress port
 * waits behind it; what came by another goes ahead, since switches order nothing else (PCIe
 * Base 2.4.1).
 */
void wire_send(struct packet *packet)
{
	struct fabric *fabric = packet->fabric;
	struct wire *wire = wire_of(packet);
	struct lane *lane;
	uint64_t late = packet->delay;

	packet->delay = 0;
	packet->wire_bytes = 0;
	/* Behind a delayed write all waits; a delayed read or completion waits alone. */
	if (late && packet->type != TLP_WRITE &&
	    !clock_at(fabric, fabric->now + late, put_late, packet))
		return;
	if (!packet->goes_down || !fabric->landing || !RULE(SIM_LANDS_LATE)) {
		if (late)
			hold(wire, fabric->now, late);
		put(packet);
		return;
	}
	if (packet->type == TLP_WRITE)
		late += fabric_random(fabric) % fabric->landing;
	packet->head = fabric->now + late;
	packet->next = NULL;
	if (!RULE(SIM_POSTED_ORDER)) {
		if (clock_at(fabric, packet->head, put_late, packet))
			put(packet);
		return;
	}
	lane = lane_of(wire, packet->ingress);
	if (lane->first) {
		if (packet->head < lane->last->head)
			packet->head = lane->last->head;
		lane->last->next = packet;
		lane->last = packet;
	} else if (late && !clock_at(fabric, packet->head, leave_lane, lane)) {
		lane->first = lane->last = packet;
	} else {
		put(packet);
	}
}
