/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "routes.h"
#include "rule.h"
#include "way.h"

void ways_free(struct p2pdma_provider *provider)
{
	for (size_t i = 0; i < WAYS; i++) {
		struct way *way;

		while ((way = provider->ways[i])) {
			provider->ways[i] = way->next;
			free(way->pieces);
			free(way);
		}
	}
}

static bool can_name(const struct p2pdma_routes *routes, const struct p2pdma_device *client,
                     const struct chunk *chunk)
{
	unsigned int bits = routes->facts[client->index].address_bits;

	return bits >= 64 || ((chunk->bus.addr + chunk->size - 1) >> bits == 0 &&
	                      (chunk->phys.addr + chunk->size - 1) >> bits == 0);
}

int way_judge(struct p2pdma_provider *provider, struct p2pdma_bdf client, const struct chunk *chunk,
              const struct opened *opened, const struct p2pdma_routes *routes, struct way **ret_way)
{
	const struct peers *peers = provider->peers;
	/* Of the picture: it may have changed since that was taken. */
	unsigned int epoch = routes == peers->routes
	                             ? peers->picture_epoch
	                             : atomic_load_explicit(&peers->epoch, memory_order_acquire);
	const struct p2pdma_device *from = peers_now(routes, client);
	const struct p2pdma_device *to = peers_now(routes, provider->bdf);
	struct way *way, **list = way_list(provider, client), judged;

	if (!from || !to || !chunk_is_in_place(chunk, to))
		return -ENODEV;
	way = way_find(provider, client, chunk);
	judged = way ? *way : (struct way){ .client = client, .chunk = chunk };
	/* What an earlier opening had mapped ended with it. */
	if (judged.serial != opened->serial)
		judged.piece_count = 0;
	judged.serial = opened->serial;
	judged.epoch = epoch;
	judged.route = reach_bar(routes, to, chunk->bar, from);
	judged.is_translated = from->function->iommu != P2PDMA_IOMMU_NONE &&
	                       from->function->iommu != P2PDMA_IOMMU_PASSTHROUGH;
	judged.is_far = from->root != to->root;
	judged.is_too_high = !can_name(routes, from, chunk);
	judged.has_ats = pcicap_ats_enabled(from->config, from->kind) != P2PDMA_NO;
	if (!way) {
		way = malloc(sizeof(*way));
		if (!way)
			return -ENOMEM;
		judged.next = *list;
		spin_lock(&provider->lock);
		*way = judged;
		*list = way;
	} else {
		spin_lock(&provider->lock);
		*way = judged;
	}
	spin_unlock(&provider->lock);
	*ret_way = way;
	return 0;
}

/* Requests that go up to the root complex whatever happens below. */
static bool goes_up(const struct way *way)
{
	return way->route.request == P2PDMA_TURN_REDIRECT || way->route.request == P2PDMA_TURN_ROOT;
}

bool way_bypasses(const struct way *way)
{
	return !way->is_translated || !goes_up(way) || way->has_ats;
}

/* ---- pieces ---- */

/* The first piece that ends behind @bus, or the count. */
static size_t piece_at(const struct way *way, uint64_t bus)
{
	size_t low = 0, high = way->piece_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (way->pieces[middle].start + way->pieces[middle].length <= bus)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct piece *way_piece(const struct way *way, uint64_t bus)
{
	return &way->pieces[piece_at(way, bus)];
}

bool way_is_shared(const struct way *way, uint64_t first, uint64_t end)
{
	for (size_t i = piece_at(way, first); i < way->piece_count && way->pieces[i].start < end;
	     i++)
		if (way->pieces[i].count > 1)
			return true;
	return false;
}

static bool grow(struct way *way)
{
	size_t room = way->piece_room ? 2 * way->piece_room : 8;
	struct piece *pieces;

	if (way->piece_count < way->piece_room)
		return true;
	pieces = realloc(way->pieces, room * sizeof(*pieces));
	if (!pieces)
		return false;
	way->pieces = pieces;
	way->piece_room = room;
	return true;
}

/*
 * Below one host bridge at the bus address, where a switch's short cut leads too; elsewhere only
 * for requests that all go up to a root complex that is trusted.
 */
static int map_piece(const struct way *way, struct backend *backend, struct piece *piece)
{
	struct machine_dma dma = {
		.phys = { piece->start - way->chunk->bus.addr + way->chunk->phys.addr },
		.length = piece->length,
		.op = piece->op,
		.is_fixed = !way->is_far && RULE(MAP_IDENTITY),
		.address = { piece->start },
	};
	struct p2pdma_dma address;
	int r;

	r = backend->ops.dma_map(backend->private, way->client, &dma, &address);
	if (dma.is_fixed && (r == -EEXIST || r == -ERANGE)) {
		if (!goes_up(way) && RULE(MAP_ELSEWHERE))
			return -EREMOTEIO;
		dma.is_fixed = false;
		r = backend->ops.dma_map(backend->private, way->client, &dma, &address);
	}
	if (!r)
		piece->iova = address.addr;
	return r == -ENOSPC ? -ENOMEM : r;
}

/* All that the verdict allows: one piece serves whoever comes next. */
static enum p2pdma_op allowed(const struct way *way, enum p2pdma_op op)
{
	unsigned int all = op;

	if (p2pdma_route_answer(way->route, P2PDMA_OP_WRITE) == P2PDMA_ANSWER_YES)
		all |= P2PDMA_OP_WRITE;
	if (p2pdma_route_answer(way->route, P2PDMA_OP_READ) == P2PDMA_ANSWER_YES)
		all |= P2PDMA_OP_READ;
	return (enum p2pdma_op)all;
}

int way_map(struct way *way, struct backend *backend, uint64_t first, uint64_t end,
            enum p2pdma_op op)
{
	uint64_t at = first;
	int r = 0;

	while (!r && at < end) {
		size_t i = piece_at(way, at);
		struct piece *next = i < way->piece_count ? &way->pieces[i] : NULL;
		struct piece made = { .start = at, .op = allowed(way, op), .count = 1 };

		if (next && next->start <= at) {
			if (op & ~(unsigned int)next->op) {
				r = -EBUSY;
				break;
			}
			next->count++;
			at = next->start + next->length;
			continue;
		}
		made.length = (next && next->start < end ? next->start : end) - at;
		r = grow(way) ? map_piece(way, backend, &made) : -ENOMEM;
		if (r)
			break;
		memmove(way->pieces + i + 1, way->pieces + i,
		        (way->piece_count++ - i) * sizeof(*way->pieces));
		way->pieces[i] = made;
		at += made.length;
	}
	if (r && at > first)
		way_unmap(way, backend, first, at);
	return r;
}

void way_unmap(struct way *way, struct backend *backend, uint64_t first, uint64_t end)
{
	size_t i = piece_at(way, first);

	while (i < way->piece_count && way->pieces[i].start < end) {
		const struct piece *piece = &way->pieces[i];
		struct p2pdma_dma address = { piece->iova };

		if (--way->pieces[i].count) {
			i++;
			continue;
		}
		backend->ops.dma_unmap(backend->private, way->client, address, piece->length);
		memmove(way->pieces + i, way->pieces + i + 1,
		        (--way->piece_count - i) * sizeof(*way->pieces));
	}
}
