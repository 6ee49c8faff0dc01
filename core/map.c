/* SPDX-License-Identifier: MIT */
/*
 * map.c - the gate: whether a client may have a list of memory, and at which addresses.
 *
 * An untranslated client's way that was judged already takes no lock but the provider's, and no
 * question to the machine.
 */
#include <stdlib.h>
#include <string.h>

#include "mapping.h"
#include "provider.h"
#include "refusal.h"
#include "report.h"
#include "routes.h"
#include "rule.h"
#include "way.h"

#define PAGE 4096u

/* One entry of the list, as it was mapped. */
struct part {
	struct p2pdma_provider *provider; /* held; NULL: host memory */
	struct way *way;
	uint64_t bus, length;   /* of a provider's memory */
	struct p2pdma_dma host; /* of host memory */
	bool has_pieces;
};

struct p2pdma_mapping {
	struct peers *peers; /* its providers hold it; with host memory a reference */
	bool holds_peers;
	bool bypasses_iommu;
	struct p2pdma_bdf client;
	uint64_t serial; /* of the client's opening */
	size_t part_count, segment_count, segment_room;
	struct p2pdma_dma_segment *segments; /* behind the parts, or grown */
	struct p2pdma_dma_segment *grown;    /* NULL: they had room there */
	struct part parts[];
};

/* A request, while it is looked at. */
struct asked {
	struct p2pdma_device *client;
	enum p2pdma_op op;
	unsigned int flags;
	struct p2pdma_error *err;
};

static const char revoked[] = "its memory is revoked, or gone";

static int refuse(const struct asked *asked, int code, const struct p2pdma_provider *provider,
                  const char *why)
{
	struct p2pdma_bdf client = asked->client->function->bdf;

	return provider ? report(asked->err, code, BDF_FORMAT " (client) -> " BDF_FORMAT ": %s",
	                         BDF_ARGS(client), BDF_ARGS(provider->bdf), why)
	                : report(asked->err, code, BDF_FORMAT " (client): %s", BDF_ARGS(client),
	                         why);
}

/* ---- segments ---- */

/* Neighbours that follow each other become one. */
static int add_segment(struct p2pdma_mapping *mapping, uint64_t address, uint64_t length)
{
	struct p2pdma_dma_segment *last =
		mapping->segment_count ? &mapping->segments[mapping->segment_count - 1] : NULL;

	if (last && last->address.addr + last->length == address) {
		last->length += length;
		return 0;
	}
	if (mapping->segment_count == mapping->segment_room) {
		size_t room = 2 * mapping->segment_room;
		struct p2pdma_dma_segment *segments = malloc(room * sizeof(*segments));

		if (!segments)
			return -ENOMEM;
		memcpy(segments, mapping->segments, mapping->segment_count * sizeof(*segments));
		free(mapping->grown);
		mapping->segments = mapping->grown = segments;
		mapping->segment_room = room;
	}
	mapping->segments[mapping->segment_count++] =
		(struct p2pdma_dma_segment){ { address }, length };
	return 0;
}

/* ---- the gate ---- */

static const char *verdict_word(uint8_t verdict)
{
	return verdict == P2PDMA_BLOCKED           ? "blocked"
	       : verdict == P2PDMA_VERDICT_UNKNOWN ? "unknown"
	                                           : "yes";
}

/* In words, why the route is no good.  Under peers->lock. */
static int explain(const struct asked *asked, const struct p2pdma_provider *provider,
                   struct p2pdma_route route, enum p2pdma_answer answer)
{
	const struct p2pdma_device *to, *from;
	const struct p2pdma_routes *routes;
	char why[REFUSAL_TEXT] = "";

	if (!peers_routes(provider->peers, asked->client, &routes) &&
	    (to = peers_now(routes, provider->bdf)) &&
	    (from = peers_now(routes, asked->client->function->bdf)))
		refusal_text(routes, to, from, asked->op, why);
	return report(asked->err, -EREMOTEIO,
	              BDF_FORMAT " (client) -> " BDF_FORMAT ": writes %s, reads %s%s%s%s%s",
	              BDF_ARGS(asked->client->function->bdf), BDF_ARGS(provider->bdf),
	              route.stops & P2PDMA_OP_WRITE ? "stopped" : verdict_word(route.write),
	              route.stops & P2PDMA_OP_READ ? "stopped" : verdict_word(route.read),
	              why[0] ? " (" : "", why, why[0] ? ")" : "",
	              answer == P2PDMA_ANSWER_UNKNOWN
	                      ? "; P2PDMA_SG_UNKNOWN_IS_YES takes unknown for yes"
	                      : "");
}

/* -EREMOTEIO unless the route is good for all ops asked.  Under peers->lock. */
static int judge(const struct asked *asked, const struct p2pdma_provider *provider,
                 struct p2pdma_route route)
{
	enum p2pdma_answer answer = p2pdma_route_answer(route, asked->op);

	if (answer == P2PDMA_ANSWER_YES || !RULE(MAP_GATE) ||
	    (answer == P2PDMA_ANSWER_UNKNOWN && asked->flags & P2PDMA_SG_UNKNOWN_IS_YES))
		return 0;
	return explain(asked, provider, route, answer);
}

/* What is wrong with the client's being a client now; under peers->lock. */
static int check_client(const struct asked *asked, struct peers *peers,
                        const struct opened **ret_opened)
{
	const struct opened *opened = peers_find_open(peers, asked->client->function->bdf);

	if (!opened)
		return refuse(asked, -EPERM, NULL, "not open; use p2pdma_device_open()");
	if (opened->is_gone)
		return refuse(asked, -ENODEV, NULL, "the client is gone");
	if (opened->is_cut_off)
		return refuse(asked, -EPERM, NULL,
		              "cut off by a revocation; use p2pdma_device_reset()");
	*ret_opened = opened;
	return 0;
}

/* Whether the client's address width, where its driver told it, is enough. */
static bool can_name(const struct asked *asked, uint64_t address, uint64_t length)
{
	int bits = asked->client->function->dma_mask_bits;

	return bits <= 0 || bits >= 64 || (address + length - 1) >> bits == 0;
}

/* ---- one entry ---- */

/* What was asked of one entry that is a provider's. */
struct peer {
	struct p2pdma_provider *provider;
	const struct chunk *chunk;
	uint64_t bus, length;
};

static int find_peer(const struct asked *asked, const struct p2pdma_sg *sg, struct peer *ret_peer)
{
	struct p2pdma_provider *provider = sg->provider;
	const struct chunk *chunk = provider_chunk(provider, sg->offset, sg->length);

	if (provider->peers != asked->client->machine->backend->peers)
		return refuse(asked, -EINVAL, provider, "functions of two machines");
	if (!chunk)
		return refuse(asked, -EINVAL, provider, "the range is in no chunk of it");
	if (provider_check(provider))
		return refuse(asked, -ENODEV, provider, revoked);
	*ret_peer = (struct peer){ provider, chunk, chunk->bus.addr + (sg->offset - chunk->start),
		                   sg->length };
	return 0;
}

static uint64_t address_of(const struct peer *peer, const struct way *way)
{
	return way->is_far ? peer->bus - peer->chunk->bus.addr + peer->chunk->phys.addr : peer->bus;
}

/*
 * Holds the provider and notes the way's part: under the provider's lock, which the caller has.
 * -ENODEV: its memory is revoked, or gone.
 */
static int take(struct p2pdma_mapping *mapping, const struct peer *peer, struct way *way)
{
	if (provider_check(peer->provider))
		return -ENODEV;
	peer->provider->mappings++;
	mapping->serial = way->serial;
	mapping->bypasses_iommu |= way_bypasses(way);
	mapping->parts[mapping->part_count++] = (struct part){
		.provider = peer->provider,
		.way = way,
		.bus = peer->bus,
		.length = peer->length,
	};
	return 0;
}

/* False: it needs more than this. */
static bool map_at_once(const struct asked *asked, struct p2pdma_mapping *mapping,
                        const struct peer *peer, int *ret_r)
{
	struct p2pdma_provider *provider = peer->provider;
	uint64_t address = 0;
	bool is_good;
	struct way *way;

	spin_lock(&provider->lock);
	way = way_find(provider, asked->client->function->bdf, peer->chunk);
	is_good =
		way && !way->is_translated && !way->is_too_high &&
		way->epoch == atomic_load_explicit(&provider->peers->epoch, memory_order_acquire) &&
		p2pdma_route_answer(way->route, asked->op) == P2PDMA_ANSWER_YES &&
		!take(mapping, peer, way);
	if (is_good)
		address = address_of(peer, way);
	spin_unlock(&provider->lock);
	if (is_good)
		*ret_r = add_segment(mapping, address, peer->length);
	return is_good;
}

/* A way that is good for the present.  Under peers->lock. */
static int find_way(const struct asked *asked, const struct peer *peer, const struct opened *opened,
                    struct way **ret_way)
{
	struct p2pdma_provider *provider = peer->provider;
	struct p2pdma_bdf client = asked->client->function->bdf;
	const struct p2pdma_routes *routes;
	struct way *way = way_find(provider, client, peer->chunk);
	int r;

	if (!way || way->serial != opened->serial ||
	    way->epoch != atomic_load_explicit(&provider->peers->epoch, memory_order_acquire)) {
		r = peers_routes(provider->peers, asked->client, &routes);
		if (!r)
			r = way_judge(provider, client, peer->chunk, opened, routes, &way);
		if (r)
			return refuse(asked, r, provider,
			              r == -ENODEV ? "one of them is gone, or its BAR was moved"
			                           : strerror(-r));
	}
	if (way->is_too_high)
		return refuse(asked, -EOVERFLOW, provider,
		              "it lies above what the client can address");
	*ret_way = way;
	return judge(asked, provider, way->route);
}

/* Under peers->lock. */
static int map_pieces(const struct asked *asked, struct p2pdma_mapping *mapping,
                      const struct peer *peer, struct part *part)
{
	uint64_t first = peer->bus & ~(uint64_t)(PAGE - 1), end = peer->bus + peer->length, stop;
	int r;

	if (peer->chunk->bar_size < PAGE)
		return refuse(asked, -EINVAL, peer->provider,
		              "a BAR below 4096 bytes shares its page with others");
	r = way_map(part->way, mapping->peers->backend, first,
	            (end + PAGE - 1) & ~(uint64_t)(PAGE - 1), asked->op);
	if (r)
		return refuse(asked, r, peer->provider,
		              r == -EREMOTEIO ? "its bus address can be no IOVA here, and requests "
		                                "need not pass the IOMMU"
		              : r == -EBUSY   ? "a page of it is mapped for less"
		                              : strerror(-r));
	part->has_pieces = true;
	for (uint64_t at = peer->bus; !r && at < end; at = stop) {
		const struct piece *piece = way_piece(part->way, at);

		stop = piece->start + piece->length < end ? piece->start + piece->length : end;
		if (!can_name(asked, piece->iova + (at - piece->start), stop - at))
			return refuse(asked, -EOVERFLOW, peer->provider,
			              "its IOVA lies above what the client can address");
		r = add_segment(mapping, piece->iova + (at - piece->start), stop - at);
	}
	return r;
}

/* Under peers->lock. */
static int map_peer(const struct asked *asked, struct p2pdma_mapping *mapping,
                    const struct peer *peer, const struct opened *opened)
{
	struct way *way = NULL;
	int r = find_way(asked, peer, opened, &way);

	if (r)
		return r;
	spin_lock(&peer->provider->lock);
	r = take(mapping, peer, way);
	spin_unlock(&peer->provider->lock);
	if (r)
		return refuse(asked, r, peer->provider, revoked);
	if (way->is_translated)
		return map_pieces(asked, mapping, peer, &mapping->parts[mapping->part_count - 1]);
	return add_segment(mapping, address_of(peer, way), peer->length);
}

/* Under peers->lock. */
static int map_host(const struct asked *asked, struct p2pdma_mapping *mapping,
                    const struct p2pdma_sg *sg, const struct opened *opened)
{
	struct backend *backend = mapping->peers->backend;
	const struct machine_dma dma = { .cpu = sg->memory, .length = sg->length, .op = asked->op };
	struct part *part = &mapping->parts[mapping->part_count];
	int r;

	*part = (struct part){ .length = sg->length };
	r = backend->ops.dma_map(backend->private, mapping->client, &dma, &part->host);
	if (r)
		return refuse(asked, r == -ENOSPC ? -ENOMEM : r, NULL,
		              r == -ENOSPC ? "no IOVA is left for host memory" : strerror(-r));
	mapping->serial = opened->serial;
	mapping->part_count++;
	if (!can_name(asked, part->host.addr, part->length))
		return refuse(asked, -EOVERFLOW, NULL,
		              "host memory lies above what it can address");
	if (!mapping->holds_peers)
		peers_get(mapping->peers);
	mapping->holds_peers = true;
	return add_segment(mapping, part->host.addr, sg->length);
}

static int map_entry(const struct asked *asked, struct p2pdma_mapping *mapping,
                     const struct p2pdma_sg *sg)
{
	const struct opened *opened = NULL;
	struct peer peer = { NULL };
	int r = sg->provider ? find_peer(asked, sg, &peer) : 0;

	if (r || (sg->provider && map_at_once(asked, mapping, &peer, &r)))
		return r;
	mutex_lock(&mapping->peers->lock);
	r = check_client(asked, mapping->peers, &opened);
	if (!r)
		r = sg->provider ? map_peer(asked, mapping, &peer, opened)
		                 : map_host(asked, mapping, sg, opened);
	mutex_unlock(&mapping->peers->lock);
	return r;
}

static void let_go(struct p2pdma_provider *provider)
{
	bool is_idle;

	spin_lock(&provider->lock);
	provider->mappings--;
	is_idle = provider_is_idle(provider);
	spin_unlock(&provider->lock);
	if (is_idle)
		provider_free(provider);
}

/* ---- the list ---- */

static int check_list(const struct p2pdma_sg *sgl, size_t count, const struct asked *asked)
{
	uint64_t total = 0;

	if (!count || !asked->op || asked->op & ~(unsigned int)P2PDMA_OP_BOTH ||
	    asked->flags & ~(unsigned int)P2PDMA_SG_UNKNOWN_IS_YES)
		return refuse(asked, -EINVAL, NULL, "no entry, or no such op or flag");
	for (size_t i = 0; i < count; i++) {
		const struct p2pdma_sg *sg = &sgl[i];

		if (!sg->length || (sg->provider && sg->memory) ||
		    (!sg->provider && (!sg->memory || (uintptr_t)sg->memory % PAGE ||
		                       sg->length % PAGE || sg->length > SIZE_MAX)))
			return refuse(asked, -EINVAL, sg->provider,
			              "an entry without a length, or memory that is no multiple "
			              "of 4096");
		if (__builtin_add_overflow(total, sg->length, &total))
			return refuse(asked, -EOVERFLOW, sg->provider, "too long in all");
	}
	return 0;
}

static struct p2pdma_mapping *mapping_new(const struct asked *asked, size_t count)
{
	struct p2pdma_mapping *mapping;
	size_t size;

	if (__builtin_mul_overflow(count, sizeof(mapping->parts[0]) + sizeof(*mapping->segments),
	                           &size) ||
	    __builtin_add_overflow(size, sizeof(*mapping), &size))
		return NULL;
	mapping = malloc(size);
	if (!mapping)
		return NULL;
	*mapping = (struct p2pdma_mapping){
		.peers = asked->client->machine->backend->peers,
		.client = asked->client->function->bdf,
		.segment_room = count,
		.segments = (struct p2pdma_dma_segment *)(void *)&mapping->parts[count],
	};
	return mapping;
}

static void unmap_part(struct p2pdma_mapping *mapping, const struct part *part)
{
	struct peers *peers = mapping->peers;
	const struct opened *opened = peers_find_open(peers, mapping->client);
	struct backend *backend = peers->backend;

	/* An earlier opening's mappings ended with it. */
	if (!opened || opened->serial != mapping->serial || !backend)
		return;
	if (part->has_pieces)
		way_unmap(part->way, backend, part->bus, part->bus + part->length);
	else if (!part->provider)
		backend->ops.dma_unmap(backend->private, mapping->client, part->host, part->length);
}

static void unmap_parts(struct p2pdma_mapping *mapping)
{
	bool is_locked = false;

	for (size_t i = 0; i < mapping->part_count; i++) {
		if (mapping->parts[i].provider && !mapping->parts[i].has_pieces)
			continue;
		if (!is_locked)
			mutex_lock(&mapping->peers->lock);
		is_locked = true;
		unmap_part(mapping, &mapping->parts[i]);
	}
	if (is_locked)
		mutex_unlock(&mapping->peers->lock);
}

struct p2pdma_mapping *p2pdma_unmap_sg(struct p2pdma_mapping *mapping)
{
	struct peers *peers;

	if (!mapping)
		return NULL;
	peers = mapping->holds_peers ? mapping->peers : NULL;
	unmap_parts(mapping);
	for (size_t i = 0; i < mapping->part_count; i++)
		if (mapping->parts[i].provider)
			let_go(mapping->parts[i].provider);
	if (peers)
		peers_put(peers);
	free(mapping->grown);
	free(mapping);
	return NULL;
}

int p2pdma_map_sg(struct p2pdma_device *client, const struct p2pdma_sg *sgl, size_t count,
                  enum p2pdma_op op, unsigned int flags, struct p2pdma_error *err,
                  struct p2pdma_mapping **ret_mapping)
{
	const struct asked asked = { client, op, flags, err };
	struct p2pdma_mapping *mapping;
	int r = check_list(sgl, count, &asked);

	if (r)
		return r;
	if (!(client->machine->backend->caps & P2PDMA_CAP_DMA))
		return refuse(&asked, -EOPNOTSUPP, NULL, "this machine is a picture only");
	mapping = mapping_new(&asked, count);
	if (!mapping)
		return refuse(&asked, -ENOMEM, NULL, strerror(ENOMEM));
	for (size_t i = 0; !r && i < count; i++)
		r = map_entry(&asked, mapping, &sgl[i]);
	if (r) {
		p2pdma_unmap_sg(mapping);
		return r == -ENOMEM ? refuse(&asked, r, NULL, strerror(ENOMEM)) : r;
	}
	*ret_mapping = mapping;
	return 0;
}

struct p2pdma_sg p2pdma_sg_buf(struct p2pmem_buf buf)
{
	return (struct p2pdma_sg){ buf.provider, buf.offset, NULL, buf.size };
}

const struct p2pdma_dma_segment *p2pdma_mapping_segments(const struct p2pdma_mapping *mapping,
                                                         size_t *ret_count)
{
	*ret_count = mapping->segment_count;
	return mapping->segments;
}

/* As ports and the client are now: they may have been told otherwise since.  Under peers->lock. */
static bool bypasses_now(const struct p2pdma_mapping *mapping, const struct part *part)
{
	const struct opened *opened = peers_find_open(mapping->peers, mapping->client);
	const struct p2pdma_routes *routes;
	struct way *way = part->way;

	if (!opened || opened->serial != mapping->serial)
		return false;
	/* Who cannot be judged may do anything. */
	return peers_routes(mapping->peers, NULL, &routes) ||
	       way_judge(part->provider, mapping->client, way->chunk, opened, routes, &way) ||
	       way_bypasses(way) ||
	       /* What another mapping counts on stays, for all that the verdict allows. */
	       (part->has_pieces && way_is_shared(way, part->bus, part->bus + part->length));
}

bool mapping_bypasses_iommu(const struct p2pdma_mapping *mapping)
{
	bool bypasses = mapping->bypasses_iommu;

	mutex_lock(&mapping->peers->lock);
	for (size_t i = 0; !bypasses && i < mapping->part_count; i++)
		bypasses = mapping->parts[i].provider && bypasses_now(mapping, &mapping->parts[i]);
	mutex_unlock(&mapping->peers->lock);
	return bypasses;
}
