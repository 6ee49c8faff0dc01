/* SPDX-License-Identifier: MIT */
/*
 * provider.h - a function whose BAR memory others reach, and all that hangs on it.
 *
 * Concepts:
 * - A provider's memory is one line of offsets: its chunks, one behind the other in the order they
 *   were added.  A chunk is part of one BAR.  Nothing spans two.
 * - It lives while it has references, buffers are out or mappings hold it; the function's memory
 * may be gone by then.  One reference is the registration's, until it is dead.
 * - lock guards the pools, what it is held by, caches and ways; it is a spin, nothing blocks under
 * it.
 *
 * May use include/p2pdma/, base/ and the rest of core/private/.
 */
#ifndef PROVIDER_H
#define PROVIDER_H

#include <errno.h>

#include <p2pdma/dmabuf.h>
#include <p2pdma/find.h>
#include <p2pdma/p2pmem.h>

#include "lock.h"
#include "peers.h"
#include "pool.h"

#define MOST_CHUNKS 8
#define WAYS        64 /* lists */

struct p2pmem_cache;
struct way;

struct chunk {
	int bar;
	uint64_t bar_offset; /* of its first byte */
	uint64_t bar_size;
	uint64_t start; /* of its first byte among the provider's offsets */
	uint64_t size;
	struct p2pdma_bus bus;
	struct p2pdma_phys phys;
	struct pool *pool;                    /* NULL: naked */
	_Atomic(struct p2pdma_bar_map *) map; /* of the whole BAR, made at the first CPU access */
};

struct p2pdma_provider {
	struct peers *peers; /* of its machine; a reference */
	struct p2pdma_bdf bdf;
	struct p2pdma_bdf decoder; /* whose register enables its memory: a VF's PF, else itself */
	uint64_t granule;
	unsigned int shift; /* of it */
	bool is_naked;

	struct spin lock;
	unsigned int references;
	uint64_t taken;        /* buffers out; those held by caches too */
	unsigned int mappings; /* that hold it */
	atomic_int state;      /* enum p2pdma_provider_state */
	atomic_bool is_published;
	_Atomic uint64_t told_until; /* machine time: resets from above before it were ours */
	atomic_uint generation;      /* counts resets: what was written before may be lost */
	atomic_uint chunk_count;
	struct chunk chunks[MOST_CHUNKS];
	struct p2pmem_cache *caches;
	struct way *ways[WAYS]; /* map.c: of each client that mapped it */
	bool is_ending; /* its exports are being revoked for good; by peers->lock, as the next */
	struct p2pdma_dmabuf *dmabufs; /* dmabuf.c, by peers->lock */
	struct p2pdma_provider *next;  /* of peers->providers, by peers->lock */
};

/* The chunk that holds @size bytes from @offset on, or NULL. */
static inline struct chunk *provider_chunk(struct p2pdma_provider *provider, uint64_t offset,
                                           uint64_t size)
{
	unsigned int count = atomic_load_explicit(&provider->chunk_count, memory_order_acquire);

	for (unsigned int i = 0; i < count; i++) {
		struct chunk *chunk = &provider->chunks[i];

		if (offset - chunk->start < chunk->size)
			return size <= chunk->size - (offset - chunk->start) ? chunk : NULL;
	}
	return NULL;
}

/* Whether its BAR is still where it was when it was registered.  @now: the function as it is. */
bool chunk_is_in_place(const struct chunk *chunk, const struct p2pdma_device *now);

/*
 * A buffer is passed on by value, 16 bytes at a time: both words of these are written at once,
 * since a load across two stores has to wait until they are in the cache.
 */
static inline void buf_set(struct p2pmem_buf *buf, struct p2pdma_provider *provider,
                           uint64_t offset, uint64_t size)
{
	typedef uint64_t words __attribute__((vector_size(16), aligned(8), may_alias));
	_Static_assert(offsetof(struct p2pmem_buf, offset) == 8, "two words");

	*(words *)buf = (words){ (uintptr_t)provider, offset };
	buf->size = size;
}

/* Whether nothing refers to it any more; under the lock.  Who sees it calls provider_free(). */
static inline bool provider_is_idle(const struct p2pdma_provider *provider)
{
	return !provider->references && !provider->taken && !provider->mappings;
}
void provider_free(struct p2pdma_provider *provider);

/* Whether its memory can be used now: -ENODEV: revoked or dead. */
static inline int provider_check(struct p2pdma_provider *provider)
{
	return atomic_load_explicit(&provider->state, memory_order_acquire) == P2PDMA_PROVIDER_LIVE
	               ? 0
	               : -ENODEV;
}

/*
 * The one behind @before (NULL: the first) that is not dead, and is @bdf or enabled by it (NULL:
 * any).  Takes a reference, gives the one to @before back.  Without any lock.
 */
struct p2pdma_provider *provider_next(struct peers *peers, const struct p2pdma_bdf *bdf,
                                      struct p2pdma_provider *before);

/*
 * Its memory goes out of reach, is within reach again if its registers say so, is gone for good.
 * Without any lock: importers are told.  -ETIMEDOUT of the last: somebody was cut off; @err says who.
 */
void provider_suspend(struct p2pdma_provider *provider);
void provider_resume(struct p2pdma_provider *provider);
int provider_end(struct p2pdma_provider *provider, uint64_t deadline, struct p2pdma_error *err);

/* cache.c, under the lock.  Bytes that caches hold. */
uint64_t caches_bytes(struct p2pdma_provider *provider);
/* Has them give back what they hold at their next use. */
void caches_ask(struct p2pdma_provider *provider);

/* map.c */
void ways_free(struct p2pdma_provider *provider);

/* dmabuf.c: what happens to a provider as a whole.  As the three above. */
int dmabufs_revoke(struct p2pdma_provider *provider, bool is_final, uint64_t deadline,
                   struct p2pdma_error *err);
void dmabufs_restore(struct p2pdma_provider *provider);

/* reach.c: the route to one BAR of it.  Under peers->lock; devices of the routes' picture. */
struct p2pdma_route reach_bar(const struct p2pdma_routes *routes,
                              const struct p2pdma_device *provider, int bar,
                              const struct p2pdma_device *client);

#endif
