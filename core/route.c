/* SPDX-License-Identifier: MIT */
/*
 * route.c - verdicts as codes: one pair, or a provider's whole row.
 */
#include "routes.h"
#include "rule.h"

#define DISTANCE_UNKNOWN 0xffff

/* Verdicts and turns of a bridge. */
#define CODE_UNKNOWN                                                                  \
	(P2PDMA_VERDICT_UNKNOWN << CODE_WRITE | P2PDMA_VERDICT_UNKNOWN << CODE_READ | \
	 P2PDMA_TURN_UNKNOWN << CODE_REQUEST | P2PDMA_TURN_UNKNOWN << CODE_COMPLETION)

#define WORSE(a, b) ((a) > (b) ? (a) : (b))

struct p2pdma_route p2pdma_route_decode(uint32_t code)
{
	uint32_t distance = code >> CODE_DISTANCE;

	return (struct p2pdma_route){
		.map_type = code >> CODE_MAP_TYPE & 0x7,
		.write = code >> CODE_WRITE & 0x3,
		.read = code >> CODE_READ & 0x3,
		.request = code >> CODE_REQUEST & 0x7,
		.completion = code >> CODE_COMPLETION & 0x7,
		.stops = code >> CODE_STOPS & 0x3,
		.distance = distance == DISTANCE_UNKNOWN ? -1 : (int16_t)distance,
	};
}

enum p2pdma_answer p2pdma_route_answer(struct p2pdma_route route, enum p2pdma_op op)
{
	enum p2pdma_verdict worst = P2PDMA_DIRECT;

	if (op & P2PDMA_OP_WRITE)
		worst = WORSE(worst, route.write);
	if (op & P2PDMA_OP_READ)
		worst = WORSE(worst, route.read);
	if (worst == P2PDMA_BLOCKED || route.stops & op)
		return P2PDMA_ANSWER_NO;
	return worst == P2PDMA_VERDICT_UNKNOWN ? P2PDMA_ANSWER_UNKNOWN : P2PDMA_ANSWER_YES;
}

/* The smallest MPS code on the provider's leg below @top; MPS_UNKNOWN when none is known. */
static uint16_t smallest_payload(const struct p2pdma_routes *routes, uint32_t provider,
                                 uint16_t top)
{
	for (uint16_t code = 0; code < MPS_CODES - 1; code++)
		if (routes->small[code + 1][provider] > top)
			return code;
	return MPS_UNKNOWN;
}

/* Codes of the clients first to end - 1 of a segment. */
static void fill(const struct p2pdma_routes *routes, const struct segment *segment, uint32_t first,
                 uint32_t end, uint32_t *restrict codes)
{
	const struct p2pdma_device *provider = segment->provider;
	const struct hazard_facts *facts = &routes->facts[provider->index];
	const uint32_t pi = provider->index;
	const uint16_t top = segment->common ? segment->common->depth : 0;
	/*
	 * A TLP that leaves the direct way goes all the way up and down.  Windows and the Command
	 * register concern requests only: completions go by ID (PCIe Base 7.5.1.1.3).
	 */
	const uint16_t near_top = segment->is_same ? (uint16_t)(top - 1) : top;
	const uint16_t request_top = segment->request_may_stay ? near_top : 0;
	const uint16_t completion_top = segment->completion_may_stay ? near_top : 0;
	const uint16_t read_top = request_top < completion_top ? request_top : completion_top;
	const uint16_t write_payload = smallest_payload(routes, pi, request_top);
	const uint16_t *small = routes->small[routes->payload[pi]];
	const uint16_t bits_needed =
		segment->is_same || facts->bar < 0 ? 0 : hazard_bits_needed(&facts->range);
	const bool is_root_missing =
		routes->roots[provider->root].is_missing ||
		(segment->client_port && routes->roots[segment->client_port->root].is_missing);
	uint16_t near, far = segment->far.map_type, unknown, base, to_far, to_unknown;
	uint16_t distance_base, no_distance = 0;
	bool stop_write, stop_read;

	if ((!top && is_root_missing) || routes->info.profile_known == P2PDMA_NO)
		near = far = P2PDMA_MAP_UNKNOWN;
	else if (!top || routes->kernel_redirects[pi] >= top)
		near = far;
	else
		near = routes->kernel_unknown[pi] >= top ? P2PDMA_MAP_UNKNOWN : P2PDMA_MAP_BUS_ADDR;
	unknown = near == P2PDMA_MAP_BUS_ADDR ? P2PDMA_MAP_UNKNOWN : near;

	stop_write = stop_read = hazard_closed(facts) && RULE(PROVIDER_CLOSED);
	stop_write |= routes->provider_trouble[pi] > request_top;
	stop_read |= routes->provider_trouble[pi] > request_top || routes->asleep[pi] > read_top;
	/* Below a bridge that sleeps nothing need be awake. */
	if (segment->common && routes->facts[segment->common->index].not_d0 && RULE(NOT_D0))
		stop_write = stop_read = true;
	/* Completions are the provider's to send; its own leg receives them too. */
	stop_read |= small[pi] > completion_top && RULE(PAYLOAD);

	base = (uint16_t)((uint16_t)near << CODE_MAP_TYPE | segment->write << CODE_WRITE |
	                  segment->read << CODE_READ | segment->request << CODE_REQUEST |
	                  segment->completion << CODE_COMPLETION | stop_write << CODE_STOPS |
	                  stop_read << (CODE_STOPS + 1));
	to_far = (uint16_t)((near ^ far) << CODE_MAP_TYPE);
	to_unknown = (uint16_t)((near ^ unknown) << CODE_MAP_TYPE);
	distance_base = (uint16_t)(provider->depth - 2 * top);
	if (!top && is_root_missing)
		no_distance = DISTANCE_UNKNOWN;

	const uint16_t *restrict depth = routes->depth;
	const uint16_t *restrict redirects = routes->kernel_redirects;
	const uint16_t *restrict kernel_unknown = routes->kernel_unknown;
	const uint16_t *restrict write_trouble = routes->write_trouble;
	const uint16_t *restrict client_trouble = routes->client_trouble;
	const uint16_t *restrict asleep = routes->asleep;
	const uint16_t *restrict payload = routes->payload;
	const uint16_t *restrict bits =
		segment->write_is_near ? routes->address_bits : routes->far_address_bits;
	const uint16_t *restrict bridge_mask = routes->bridge_mask;
	const uint16_t masked = segment->is_same ? 0 : 0xffff;

	/* No branch in here, and 16 bits throughout: compilers make vectors of it. */
	for (uint32_t i = first; i < end; i++) {
		const uint16_t redirected = redirects[i] > top ? 0xffff : 0;
		const uint16_t unread = (kernel_unknown[i] > top ? 0xffff : 0) & ~redirected;
		const uint16_t narrow = bits_needed > bits[i];
		const uint16_t no_write =
			(write_trouble[i] > request_top) | (payload[i] > write_payload) | narrow;
		const uint16_t no_read = (client_trouble[i] > request_top) |
		                         (asleep[i] > read_top) | (small[i] > completion_top) |
		                         narrow;
		const uint16_t mask = bridge_mask[i] & masked;
		const uint16_t low =
			(uint16_t)((base ^ (redirected & to_far) ^ (unread & to_unknown)) |
		                   no_write << CODE_STOPS | no_read << (CODE_STOPS + 1));
		const uint16_t distance = (uint16_t)(depth[i] + distance_base) | no_distance;

		codes[i - first] = (uint16_t)((low & ~mask) | (CODE_UNKNOWN & mask)) |
		                   (uint32_t)distance << CODE_DISTANCE;
	}
}

struct p2pdma_route p2pdma_routes_pair(const struct p2pdma_routes *routes,
                                       const struct p2pdma_device *provider,
                                       const struct p2pdma_device *client)
{
	struct segment segment = segment_of_pair(routes, provider, client);
	uint32_t code;

	fill(routes, &segment, client->index, client->index + 1, &code);
	return p2pdma_route_decode(code);
}

/* Position in special[] of the first that is not below @index. */
static size_t special_from(const struct p2pdma_routes *routes, uint32_t index)
{
	size_t low = 0, high = routes->special_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (routes->special[middle] < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* One segment of a row: all at once, then again the few clients that differ from their neighbours.
 */
static void fill_segment(const struct p2pdma_routes *routes, const struct segment *segment,
                         uint32_t first, uint32_t end, uint32_t *codes)
{
	if (first == end)
		return;
	fill(routes, segment, first, end, codes + first);
	if (!routes->special_count)
		return;
	for (size_t i = special_from(routes, first);
	     i < routes->special_count && routes->special[i] < end; i++) {
		uint32_t client = routes->special[i];
		struct segment narrow = *segment;

		segment_narrow(routes, &narrow, &routes->machine->devices[client]);
		fill(routes, &narrow, client, client + 1, codes + client);
	}
}

/* Whether clients below two root buses get the same of this provider's root complex. */
static bool is_alike(const struct p2pdma_routes *routes, uint32_t provider_root,
                     struct far_side far, size_t a, size_t b)
{
	struct far_side other = routes_far_side(routes, provider_root, (uint32_t)b);

	return far.map_type == other.map_type && far.write == other.write &&
	       far.read == other.read && routes->roots[a].is_missing == routes->roots[b].is_missing;
}

void p2pdma_routes_row(const struct p2pdma_routes *routes, const struct p2pdma_device *provider,
                       uint32_t *ret_codes)
{
	const struct p2pdma_machine *machine = routes->machine;
	const struct p2pdma_device *devices = machine->devices;
	const struct p2pdma_device *p = provider, *common;
	struct segment segment;
	size_t next;

	/* The provider itself, and what is below it. */
	segment = segment_of(routes, provider, provider, NULL, NULL);
	fill_segment(routes, &segment, provider->index, provider->index + 1, ret_codes);
	if (provider->end > provider->index + 1) {
		segment =
			segment_of(routes, provider, provider, NULL, &devices[provider->index + 1]);
		fill_segment(routes, &segment, provider->index + 1, provider->end, ret_codes);
	}
	/* Up the chain: each common node, and what is below its other children. */
	for (; (common = topology_at(machine, p->parent)); p = common) {
		segment = segment_of(routes, provider, common, p, NULL);
		fill_segment(routes, &segment, common->index, common->index + 1, ret_codes);
		for (uint32_t c = common->index + 1; c < common->end; c = devices[c].end) {
			if (c == p->index)
				continue;
			segment = segment_of(routes, provider, common, p, &devices[c]);
			fill_segment(routes, &segment, c, devices[c].end, ret_codes);
		}
	}
	/* No common node: @p is now on the root bus.  Root buses that fare alike are one segment.
	 */
	for (size_t i = 0; i < machine->root_count; i = next) {
		struct far_side far = routes_far_side(routes, provider->root, (uint32_t)i);

		for (next = i + 1; next < machine->root_count; next++)
			if (i == provider->root || next == provider->root ||
			    !is_alike(routes, provider->root, far, i, next))
				break;
		segment = segment_of(routes, provider, NULL, provider,
		                     &devices[machine->roots[i].first]);
		if (i == provider->root) {
			fill_segment(routes, &segment, machine->roots[i].first, p->index,
			             ret_codes);
			fill_segment(routes, &segment, p->end, machine->roots[i].end, ret_codes);
		} else {
			fill_segment(routes, &segment, machine->roots[i].first,
			             machine->roots[next - 1].end, ret_codes);
		}
	}
}
