/* SPDX-License-Identifier: MIT */
/*
 * cache.c - buffers of one size, parked for one owner.
 *
 * What a cache holds is in use as far as the pool is concerned.  The owner takes no lock until it
 * has none left, or too many, or somebody else found too little: caches_ask() lowers its limit.
 */
#include <stdlib.h>

#include "provider.h"
#include <p2pdma/p2pmem.h>

#define MOST 65536u
/* Out of the way of what is done for each buffer. */
#define SLOW __attribute__((noinline))

/* A buffer it holds. */
struct slot {
	uint64_t offset;
	struct pool_entry *entry;
};

/* The places in a chunk where a buffer of the cache may begin, as multiples of its alignment. */
struct places {
	uint64_t start; /* of the first, among the provider's offsets */
	uint64_t count;
	struct pool_entry *entries; /* of the first */
};

struct p2pmem_cache {
	struct p2pdma_provider *provider;
	uint64_t size;
	atomic_uint limit;     /* of count; 0: asked to give back; under the lock */
	atomic_uint count;     /* others may look at it */
	struct places places;  /* of the chunk that was needed last */
	unsigned int shift;    /* of the alignment */
	uint64_t step;         /* from one place's entry to the next's, bytes */
	uint64_t used, parked; /* heads of a buffer */
	unsigned int most;
	uint64_t align;
	struct p2pmem_cache *next; /* of the provider, under its lock */
	struct slot slots[];
};

static unsigned int count_of(const struct p2pmem_cache *cache)
{
	return atomic_load_explicit(&cache->count, memory_order_relaxed);
}

static void set_count(struct p2pmem_cache *cache, unsigned int count)
{
	atomic_store_explicit(&cache->count, count, memory_order_relaxed);
}

static unsigned int limit_of(const struct p2pmem_cache *cache)
{
	return atomic_load_explicit(&cache->limit, memory_order_relaxed);
}

static void set_limit(struct p2pmem_cache *cache, unsigned int limit)
{
	atomic_store_explicit(&cache->limit, limit, memory_order_relaxed);
}

uint64_t caches_bytes(struct p2pdma_provider *provider)
{
	uint64_t bytes = 0;

	for (const struct p2pmem_cache *cache = provider->caches; cache; cache = cache->next)
		bytes += cache->size * count_of(cache);
	return bytes;
}

void caches_ask(struct p2pdma_provider *provider)
{
	for (struct p2pmem_cache *cache = provider->caches; cache; cache = cache->next)
		if (limit_of(cache))
			set_limit(cache, 0);
}

static bool is_dead(struct p2pdma_provider *provider)
{
	return atomic_load_explicit(&provider->state, memory_order_relaxed) == P2PDMA_PROVIDER_DEAD;
}

/* ---- with the pool, under the provider's lock ---- */

/* Up to @wanted more; stops where there are no more. */
static void fill(struct p2pmem_cache *cache, unsigned int wanted)
{
	struct p2pdma_provider *provider = cache->provider;
	unsigned int chunks = atomic_load_explicit(&provider->chunk_count, memory_order_acquire);
	unsigned int count = count_of(cache), before = count;

	for (unsigned int i = 0; i < chunks; i++) {
		const struct chunk *chunk = &provider->chunks[i];
		struct pool_entry *entry;
		uint64_t offset;

		for (; wanted && !pool_take(chunk->pool, cache->size, cache->align, &offset);
		     wanted--) {
			entry = &chunk->pool->entries[offset >> provider->shift];
			pool_store(entry, cache->parked);
			cache->slots[count++] = (struct slot){ chunk->start + offset, entry };
		}
	}
	provider->taken += count - before;
	set_count(cache, count);
}

/* The oldest @surplus, which are the coldest. */
static void drain(struct p2pmem_cache *cache, unsigned int surplus)
{
	struct p2pdma_provider *provider = cache->provider;
	unsigned int count = count_of(cache);

	for (unsigned int i = 0; i < surplus; i++) {
		const struct slot *slot = &cache->slots[i];
		const struct chunk *chunk = provider_chunk(provider, slot->offset, cache->size);

		pool_store(slot->entry, cache->used);
		pool_give(chunk->pool, slot->offset - chunk->start, cache->size);
	}
	for (unsigned int i = surplus; i < count; i++)
		cache->slots[i - surplus] = cache->slots[i];
	provider->taken -= surplus;
	set_count(cache, count - surplus);
}

/* Gives back all; what a dead provider's cache is given it shall not keep. */
static void comply(struct p2pmem_cache *cache)
{
	drain(cache, count_of(cache));
	set_limit(cache, is_dead(cache->provider) ? 0 : cache->most);
}

/* ---- for the owner ---- */

int p2pmem_cache_new(struct p2pdma_provider *provider, uint64_t size, uint64_t align,
                     unsigned int most, struct p2pmem_cache **ret_cache)
{
	uint64_t granule = provider->granule, length = (size - 1) / granule + 1, spare;
	struct p2pmem_cache *cache;

	if (!size || align & (align - 1) || most < 2 || most > MOST || provider->is_naked ||
	    length >> POOL_LENGTH_BITS)
		return -EINVAL;
	if (is_dead(provider))
		return -ENODEV;
	cache = calloc(1, sizeof(*cache) + most * sizeof(cache->slots[0]));
	if (!cache)
		return -ENOMEM;
	cache->provider = p2pdma_provider_get(provider);
	cache->size = size;
	cache->align = align > granule ? align : granule;
	cache->shift = (unsigned int)__builtin_ctzll(cache->align);
	cache->step = (cache->align >> provider->shift) * sizeof(struct pool_entry);
	cache->most = most;
	spare = length * granule - size;
	cache->used = pool_head(POOL_USED, length, spare);
	cache->parked = pool_head(POOL_PARKED, length, spare);
	spin_lock(&provider->lock);
	comply(cache);
	cache->next = provider->caches;
	provider->caches = cache;
	spin_unlock(&provider->lock);
	*ret_cache = cache;
	return 0;
}

void p2pmem_cache_flush(struct p2pmem_cache *cache)
{
	spin_lock(&cache->provider->lock);
	comply(cache);
	spin_unlock(&cache->provider->lock);
}

struct p2pmem_cache *p2pmem_cache_free(struct p2pmem_cache *cache)
{
	struct p2pdma_provider *provider;
	struct p2pmem_cache **at;

	if (!cache)
		return NULL;
	provider = cache->provider;
	spin_lock(&provider->lock);
	drain(cache, count_of(cache));
	for (at = &provider->caches; *at != cache; at = &(*at)->next)
		;
	*at = cache->next;
	spin_unlock(&provider->lock);
	free(cache);
	p2pdma_provider_put(provider);
	return NULL;
}

/* The buffer that was put last; there is one. */
static inline void pop(struct p2pmem_cache *cache, unsigned int count, struct p2pmem_buf *ret_buf)
{
	const struct slot *slot = &cache->slots[count - 1];

	set_count(cache, count - 1);
	pool_store(slot->entry, cache->used);
	buf_set(ret_buf, cache->provider, slot->offset, cache->size);
}

/* It is empty, or asked. */
static SLOW int alloc_slowly(struct p2pmem_cache *cache, struct p2pmem_buf *ret_buf)
{
	struct p2pdma_provider *provider = cache->provider;
	int r = 0;

	spin_lock(&provider->lock);
	if (!limit_of(cache))
		comply(cache);
	if (is_dead(provider)) {
		r = -ENODEV;
	} else if (!count_of(cache)) {
		fill(cache, cache->most / 2);
		r = count_of(cache) ? 0 : -ENOMEM;
	}
	if (r == -ENOMEM)
		caches_ask(provider);
	spin_unlock(&provider->lock);
	if (!r)
		pop(cache, count_of(cache), ret_buf);
	return r;
}

int p2pmem_cache_alloc(struct p2pmem_cache *cache, struct p2pmem_buf *ret_buf)
{
	unsigned int count = count_of(cache);

	/* None is more than any limit. */
	if (count - 1 >= limit_of(cache))
		return alloc_slowly(cache, ret_buf);
	pop(cache, count, ret_buf);
	return 0;
}

/* The number of the place at @offset; not below places.count if it is none. */
static inline uint64_t place_at(const struct p2pmem_cache *cache, uint64_t offset)
{
	return pool_index(offset - cache->places.start, cache->shift);
}

static inline struct pool_entry *entry_at(const struct p2pmem_cache *cache, uint64_t place)
{
	return (struct pool_entry *)((char *)cache->places.entries + place * cache->step);
}

/* Whether a buffer is out that is of the cache's kind.  Only the chunk at hand is looked at. */
static inline bool is_mine(const struct p2pmem_cache *cache, const struct p2pmem_buf *buf)
{
	uint64_t place = place_at(cache, buf->offset);

	return place < cache->places.count && pool_load(entry_at(cache, place)) == cache->used &&
	       buf->provider == cache->provider && buf->size == cache->size;
}

static inline void push(struct p2pmem_cache *cache, unsigned int count, uint64_t offset)
{
	struct pool_entry *entry = entry_at(cache, place_at(cache, offset));
	struct slot *slot = &cache->slots[count];

	pool_store(entry, cache->parked);
	/* If it came from there last, who takes it next need not wait for a store. */
	if (slot->entry != entry)
		*slot = (struct slot){ offset, entry };
	set_count(cache, count + 1);
}

/* Has the places of the chunk at @offset at hand; false: there are none. */
static bool look_at(struct p2pmem_cache *cache, uint64_t offset)
{
	const struct chunk *chunk = provider_chunk(cache->provider, offset, cache->size);
	uint64_t skip;

	if (!chunk)
		return false;
	skip = -chunk->bus.addr & (cache->align - 1);
	if (skip >= chunk->size)
		return false;
	cache->places.start = chunk->start + skip;
	cache->places.count = (chunk->size - skip - 1) / cache->align + 1;
	cache->places.entries = &chunk->pool->entries[skip >> cache->provider->shift];
	return true;
}

/* It is full, or asked, or had another chunk at hand, or the buffer is none of its kind. */
static SLOW int put_slowly(struct p2pmem_cache *cache, struct p2pmem_buf buf)
{
	struct p2pdma_provider *provider = cache->provider;

	if (buf.provider != provider || !look_at(cache, buf.offset) || !is_mine(cache, &buf))
		return -EINVAL;
	if (count_of(cache) < limit_of(cache)) {
		push(cache, count_of(cache), buf.offset);
		return 0;
	}
	spin_lock(&provider->lock);
	if (count_of(cache) == cache->most)
		drain(cache, cache->most / 2);
	push(cache, count_of(cache), buf.offset);
	if (!limit_of(cache))
		comply(cache);
	spin_unlock(&provider->lock);
	return 0;
}

int p2pmem_cache_put(struct p2pmem_cache *cache, struct p2pmem_buf buf)
{
	unsigned int count = count_of(cache);

	if (!is_mine(cache, &buf) || count >= limit_of(cache))
		return put_slowly(cache, buf);
	push(cache, count, buf.offset);
	return 0;
}
