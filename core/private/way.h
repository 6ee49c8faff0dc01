/* SPDX-License-Identifier: MIT */
/*
 * way.h - one client's way to one chunk of a provider: what was judged, and what the IOMMU lets
 * through.
 *
 * Concepts:
 * - What was judged is good for one epoch of the peers and one opening of the client.
 * - Pieces are whole pages of the chunk that the IOMMU maps; they never overlap.  Mappings that
 * share one count on it.  Between two pieces new ones fill the gaps, so that the pieces a range
 * counted on are found again by its addresses.
 * - Found and changed under the provider's lock; pieces, and what they follow from, under
 *   peers->lock.
 *
 * May use include/p2pdma/ and the rest of core/private/.
 */
#ifndef WAY_H
#define WAY_H

#include "provider.h"

struct piece {
	uint64_t start, length; /* bus addresses */
	uint64_t iova;
	enum p2pdma_op op; /* what the IOMMU lets through */
	unsigned int count;
};

struct way {
	struct way *next;
	struct p2pdma_bdf client;
	const struct chunk *chunk;
	uint64_t serial;    /* of the client's opening */
	unsigned int epoch; /* of the peers */
	struct p2pdma_route route;
	bool is_translated; /* the client's requests are */
	bool is_far;        /* another host bridge is between */
	bool is_too_high;   /* the client cannot name the chunk's addresses */
	bool has_ats;       /* it keeps translations, or may */

	size_t piece_count, piece_room;
	struct piece *pieces; /* by start */
};

static inline struct way **way_list(struct p2pdma_provider *provider, struct p2pdma_bdf client)
{
	return &provider->ways[(client.devfn ^ client.devfn >> 3 ^ client.bus * 7u) % WAYS];
}

/* Under the provider's lock.  NULL: there was none. */
static inline struct way *way_find(struct p2pdma_provider *provider, struct p2pdma_bdf client,
                                   const struct chunk *chunk)
{
	struct way *way = *way_list(provider, client);

	while (way && (!is_same_bdf(way->client, client) || way->chunk != chunk))
		way = way->next;
	return way;
}

/*
 * Judges it anew.  Under peers->lock; not the provider's.  -ENODEV: one of the two is gone.
 * -ENOMEM.
 */
int way_judge(struct p2pdma_provider *provider, struct p2pdma_bdf client, const struct chunk *chunk,
              const struct opened *opened, const struct p2pdma_routes *routes,
              struct way **ret_way);

/* Whether requests may get there without what the IOMMU holds now. */
bool way_bypasses(const struct way *way);

/*
 * Has the IOMMU let @op through to [@first, @end), whole pages by bus address.  Under peers->lock.
 * -EREMOTEIO: at an IOVA that is not the bus address, which the requests would not go by.  -EBUSY:
 * mapped for less.  -ENOMEM, -ENODEV.
 */
int way_map(struct way *way, struct backend *backend, uint64_t first, uint64_t end,
            enum p2pdma_op op);
void way_unmap(struct way *way, struct backend *backend, uint64_t first, uint64_t end);
/* Whether another mapping too counts on a piece of [@first, @end).  Under peers->lock. */
bool way_is_shared(const struct way *way, uint64_t first, uint64_t end);
/* The piece that holds @bus, which is mapped. */
const struct piece *way_piece(const struct way *way, uint64_t bus);

#endif
