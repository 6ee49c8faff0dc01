/* SPDX-License-Identifier: MIT */
/*
 * hazard_list.c - the hazards of one pair, one by one.
 *
 * The stops of a code (route.c) and the stopping hazards listed here are two readings of the same
 * facts; the tests hold one against the other.
 */
#include <errno.h>
#include <stdlib.h>

#include "routes.h"

struct path {
	const struct p2pdma_routes *routes;
	const struct p2pdma_device *provider;
	const struct p2pdma_device *client;
	struct segment segment;
	bool is_same;
	/* A node at a depth above these is on the way of requests, completions, either. */
	int request_top;
	int completion_top;
	int read_top;
	struct p2pdma_hazard *hazards;
	size_t count;
	size_t most;
};

static const struct hazard_facts *facts_of(const struct path *path,
                                           const struct p2pdma_device *device)
{
	return &path->routes->facts[device->index];
}

/* The next node up a leg, NULL once no op goes there. */
static const struct p2pdma_device *next_up(const struct path *path,
                                           const struct p2pdma_device *device)
{
	device = topology_at(path->routes->machine, device->parent);
	return device && device->depth > path->read_top ? device : NULL;
}

static enum p2pdma_op ops_at(const struct path *path, const struct p2pdma_device *device)
{
	return (device->depth > path->request_top ? P2PDMA_OP_WRITE : 0) |
	       (device->depth > path->read_top ? P2PDMA_OP_READ : 0);
}

/* Windows and the Command register concern requests only (PCIe Base 7.5.1.1.3). */
static bool takes_requests(const struct path *path, const struct p2pdma_device *device)
{
	return device->depth > path->request_top;
}

static void add(struct path *path, enum p2pdma_severity severity, enum p2pdma_hazard_code code,
                enum p2pdma_op ops, const struct p2pdma_device *device, uint64_t value,
                uint64_t limit)
{
	if (path->count == path->most)
		return;
	path->hazards[path->count++] =
		(struct p2pdma_hazard){ code, severity, ops, device, value, limit };
}

static void stop(struct path *path, enum p2pdma_hazard_code code, enum p2pdma_op ops,
                 const struct p2pdma_device *device)
{
	add(path, P2PDMA_STOPS, code, ops, device, 0, 0);
}

static void check_power(struct path *path, const struct p2pdma_device *device)
{
	if (device->is_dead)
		stop(path, P2PDMA_HAZARD_NO_ANSWER, ops_at(path, device), device);
	else if (facts_of(path, device)->not_d0)
		stop(path, P2PDMA_HAZARD_NOT_D0, ops_at(path, device), device);
}

static void check_provider_leg(struct path *path)
{
	const struct p2pdma_device *provider = path->provider;
	const struct hazard_facts *facts = facts_of(path, provider);

	if (facts->bar < 0 && !facts->bar_unknown)
		stop(path, P2PDMA_HAZARD_NO_BAR, P2PDMA_OP_BOTH, provider);
	else if (facts->bar >= 0 && !facts->range.bus.addr)
		stop(path, P2PDMA_HAZARD_BAR_UNASSIGNED, P2PDMA_OP_BOTH, provider);
	if (facts->memory_off)
		stop(path, P2PDMA_HAZARD_MEMORY_DECODE_OFF, P2PDMA_OP_BOTH, provider);
	check_power(path, provider);
	for (const struct p2pdma_device *at = next_up(path, provider); at; at = next_up(path, at)) {
		if (at->secondary && facts_of(path, at)->memory_off && takes_requests(path, at))
			stop(path, P2PDMA_HAZARD_BRIDGE_MEMORY_OFF, P2PDMA_OP_BOTH, at);
		if (facts->bar >= 0 && facts->range.bus.addr && takes_requests(path, at) &&
		    hazard_in_window(at, &facts->range) == P2PDMA_NO)
			stop(path, P2PDMA_HAZARD_BAR_OUTSIDE_WINDOW, P2PDMA_OP_BOTH, at);
		check_power(path, at);
	}
}

/* Below a bridge that sleeps nothing need be awake; what goes further up finds it on a leg. */
static void check_common_node(struct path *path)
{
	const struct p2pdma_device *common = path->segment.common;
	int depth = common ? common->depth : 0;
	enum p2pdma_op ops = (path->request_top == depth ? P2PDMA_OP_WRITE : 0) |
	                     (path->read_top == depth ? P2PDMA_OP_READ : 0);

	if (common && !path->is_same && facts_of(path, common)->not_d0)
		stop(path, common->is_dead ? P2PDMA_HAZARD_NO_ANSWER : P2PDMA_HAZARD_NOT_D0, ops,
		     common);
}

static void check_client_leg(struct path *path)
{
	for (const struct p2pdma_device *at = path->client; at; at = next_up(path, at)) {
		if (facts_of(path, at)->bus_master_off && takes_requests(path, at))
			stop(path, P2PDMA_HAZARD_BUS_MASTER_OFF, P2PDMA_OP_BOTH, at);
		if (!path->is_same)
			check_power(path, at);
	}
}

/* PCIe Base 2.2.2: a payload above the receiver's Max_Payload_Size makes a malformed TLP. */
static void check_payload(struct path *path, enum p2pdma_op op, const struct p2pdma_device *sender,
                          int top)
{
	const struct p2pdma_device *legs[] = { path->client, path->provider };
	const struct p2pdma_device *smallest = NULL;
	uint8_t sent = facts_of(path, sender)->payload;

	if (sent == MPS_UNKNOWN)
		return;
	for (int i = 0; i < 2; i++) {
		for (const struct p2pdma_device *at = legs[i]; at && at->depth > top;
		     at = topology_at(path->routes->machine, at->parent)) {
			if (at != sender &&
			    (!smallest ||
			     facts_of(path, at)->payload < facts_of(path, smallest)->payload))
				smallest = at;
		}
	}
	if (smallest && facts_of(path, smallest)->payload < sent)
		add(path, P2PDMA_STOPS, P2PDMA_HAZARD_MPS, op, smallest, 128u << sent,
		    128u << facts_of(path, smallest)->payload);
}

static void check_address_width(struct path *path)
{
	const struct hazard_facts *facts = facts_of(path, path->provider);
	uint8_t needed = facts->bar < 0 ? 0 : hazard_bits_needed(&facts->range);
	uint8_t has = facts_of(path, path->client)->address_bits;
	bool has_iova = path->client->function->iommu == P2PDMA_IOMMU_TRANSLATED &&
	                !path->segment.write_is_near;

	if (needed > has && !has_iova)
		add(path, P2PDMA_STOPS, P2PDMA_HAZARD_ADDRESS_WIDTH, P2PDMA_OP_BOTH, path->client,
		    needed, has);
}

static uint8_t smaller(uint8_t a, uint8_t b)
{
	return a < b ? a : b;
}

/* The link above @device, trained below what both its ends can. */
static void check_link(struct path *path, const struct p2pdma_device *device)
{
	const struct p2pdma_device *above = topology_at(path->routes->machine, device->parent);
	struct p2pdma_link link, peer;

	if (topology_is_down_port(device) || !above || !topology_is_link(above) ||
	    p2pdma_device_link(device, &link) || !link.speed || !link.width)
		return;
	if (p2pdma_device_link(above, &peer))
		peer = link;
	link.max_speed = smaller(link.max_speed, peer.max_speed);
	link.max_width = smaller(link.max_width, peer.max_width);
	if (link.speed < link.max_speed)
		add(path, P2PDMA_SLOWS, P2PDMA_HAZARD_LINK_SPEED, ops_at(path, device), device,
		    link.speed, link.max_speed);
	if (link.width < link.max_width)
		add(path, P2PDMA_SLOWS, P2PDMA_HAZARD_LINK_WIDTH, ops_at(path, device), device,
		    link.width, link.max_width);
}

/* The largest payload that every node on the way can take. */
static uint8_t largest_payload(const struct path *path)
{
	const struct p2pdma_device *legs[] = { path->client, path->provider };
	uint8_t possible = MPS_UNKNOWN;

	for (int i = 0; i < 2; i++)
		for (const struct p2pdma_device *at = legs[i]; at; at = next_up(path, at))
			possible = smaller(possible, facts_of(path, at)->max_payload);
	return possible;
}

static void check_slow(struct path *path)
{
	const struct hazard_facts *provider = facts_of(path, path->provider);
	const struct hazard_facts *client = facts_of(path, path->client);
	const struct p2pdma_device *at;
	uint8_t possible;

	if (path->is_same)
		return;
	for (at = path->client; at; at = next_up(path, at))
		check_link(path, at);
	for (at = path->provider; at; at = next_up(path, at))
		check_link(path, at);
	possible = largest_payload(path);
	if (possible != MPS_UNKNOWN && client->payload < possible)
		add(path, P2PDMA_SLOWS, P2PDMA_HAZARD_SMALL_MPS, P2PDMA_OP_WRITE, path->client,
		    128u << client->payload, 128u << possible);
	if (possible != MPS_UNKNOWN && provider->payload < possible)
		add(path, P2PDMA_SLOWS, P2PDMA_HAZARD_SMALL_MPS, P2PDMA_OP_READ, path->provider,
		    128u << provider->payload, 128u << possible);
	if (client->tags_off)
		add(path, P2PDMA_SLOWS, P2PDMA_HAZARD_TAGS, P2PDMA_OP_READ, path->client, 0, 0);
}

static void check_notes(struct path *path)
{
	enum p2pdma_iommu iommu = path->client->function->iommu;

	if (iommu != P2PDMA_IOMMU_UNKNOWN)
		add(path, P2PDMA_NOTED, P2PDMA_HAZARD_IOMMU, P2PDMA_OP_BOTH, path->client, iommu,
		    0);
	if (iommu == P2PDMA_IOMMU_TRANSLATED && !path->is_same && path->segment.common &&
	    path->segment.request == P2PDMA_TURN_DIRECT)
		add(path, P2PDMA_NOTED, P2PDMA_HAZARD_IOVA_ALIAS, P2PDMA_OP_BOTH,
		    path->segment.common, 0, 0);
}

int hazard_list(const struct p2pdma_routes *routes, const struct p2pdma_device *provider,
                const struct p2pdma_device *client, struct p2pdma_explanation *result)
{
	struct path path = {
		.routes = routes,
		.provider = provider,
		.client = client,
		.segment = segment_of_pair(routes, provider, client),
		.is_same = provider == client,
	};
	/* At most five a node (memory, window, power, link speed and width), and twelve of the
	 * pair. */
	size_t most = 5 * ((size_t)provider->depth + client->depth + 1) + 12;
	int top = path.segment.common ? path.segment.common->depth : 0;

	if (path.is_same)
		top--;
	path.hazards = calloc(most, sizeof(*path.hazards));
	if (!path.hazards)
		return -ENOMEM;
	path.request_top = path.segment.request_may_stay ? top : 0;
	path.completion_top = path.segment.completion_may_stay ? top : 0;
	path.read_top =
		path.request_top < path.completion_top ? path.request_top : path.completion_top;
	path.most = most;
	check_provider_leg(&path);
	check_common_node(&path);
	check_client_leg(&path);
	if (!path.is_same) {
		check_payload(&path, P2PDMA_OP_WRITE, client, path.request_top);
		check_payload(&path, P2PDMA_OP_READ, provider, path.completion_top);
		check_address_width(&path);
	}
	check_slow(&path);
	check_notes(&path);
	result->hazards = path.hazards;
	result->hazard_count = path.count;
	return 0;
}
