/* SPDX-License-Identifier: MIT */
/*
 * cache.c - buffers of one size, parked for one owner.
 *
 * What a cache holds is in use as far as the pool is concerned.  The owner takes no lock until it
 * has none left, or too many.
 */
#include <stdlib.h>

#include "provider.h"
#include <p2pdma/p2pmem.h>

#define MOST 65536u
/* Out of the way of what is done for each buffer. */
#define SLOW __attribute__((noinline, cold))

struct p2pmem_cache {
	struct p2pdma_provider *provider;
	uint64_t size;
	unsigned int most;
	unsigned int pressure; /* the provider's, when it was last looked at */
	atomic_uint count;     /* others may look at it */

	/* The chunk whose buffers are the most, and how its table has them. */
	uint64_t start, length; /* among the provider's offsets */
	struct pool_entry *entries;
	unsigned int shift; /* of the granule */
	uint64_t mask;
	uint32_t used, parked, spare; /* words of an entry; bytes not asked for */
	uint64_t align;               /* 0: any; else of the bus address less @offset */
	uint64_t bus;

	struct p2pmem_cache *next; /* of the provider, under its lock */
	struct p2pmem_buf bufs[];
};

uint64_t caches_bytes(struct p2pdma_provider *provider)
{
	uint64_t bytes = 0;

	for (const struct p2pmem_cache *cache = provider->caches; cache; cache = cache->next)
		bytes += cache->size * atomic_load_explicit(&cache->count, memory_order_relaxed);
	return bytes;
}

static unsigned int count_of(const struct p2pmem_cache *cache)
{
	return atomic_load_explicit(&cache->count, memory_order_relaxed);
}

static void set_count(struct p2pmem_cache *cache, unsigned int count)
{
	atomic_store_explicit(&cache->count, count, memory_order_relaxed);
}

/* The entry of the buffer at @offset; NULL: that is no place for one. */
static struct pool_entry *entry_of(struct p2pmem_cache *cache, uint64_t offset)
{
	uint64_t at = offset - cache->start;

	if (at >= cache->length || at & cache->mask)
		return NULL;
	return &cache->entries[at >> cache->shift];
}

/* Has the entries of that chunk at hand; false: there is none. */
static bool look_at(struct p2pmem_cache *cache, uint64_t offset)
{
	const struct chunk *chunk = provider_chunk(cache->provider, offset, 1);

	if (!chunk)
		return false;
	cache->start = chunk->start;
	cache->length = chunk->size;
	cache->entries = chunk->pool->entries;
	cache->bus = chunk->bus.addr - chunk->start;
	return true;
}

/* ---- with the pool, under the provider's lock ---- */

/* Up to @wanted more; stops where there are no more. */
static int fill(struct p2pmem_cache *cache, unsigned int wanted)
{
	struct p2pdma_provider *provider = cache->provider;
	unsigned int chunks = atomic_load_explicit(&provider->chunk_count, memory_order_acquire);
	unsigned int count = count_of(cache), before = count;

	for (unsigned int i = 0; i < chunks; i++) {
		const struct chunk *chunk = &provider->chunks[i];
		uint64_t offset;

		for (; wanted && !pool_take(chunk->pool, cache->size, cache->align, &offset);
		     wanted--) {
			pool_store(&chunk->pool->entries[offset >> cache->shift], cache->parked);
			cache->bufs[count++] =
				(struct p2pmem_buf){ provider, chunk->start + offset, cache->size };
		}
	}
	provider->taken += count - before;
	set_count(cache, count);
	return count ? 0 : -ENOMEM;
}

/* The oldest @surplus, which are the coldest. */
static void drain(struct p2pmem_cache *cache, unsigned int surplus)
{
	unsigned int count = count_of(cache);

	for (unsigned int i = 0; i < surplus; i++) {
		uint64_t offset = cache->bufs[i].offset;
		const struct chunk *chunk = provider_chunk(cache->provider, offset, 1);

		offset -= chunk->start;
		pool_store(&chunk->pool->entries[offset >> cache->shift], cache->used);
		pool_give(chunk->pool, offset, cache->size);
	}
	for (unsigned int i = surplus; i < count; i++)
		cache->bufs[i - surplus] = cache->bufs[i];
	cache->provider->taken -= surplus;
	set_count(cache, count - surplus);
}

/* ---- for the owner ---- */

int p2pmem_cache_new(struct p2pdma_provider *provider, uint64_t size, uint64_t align,
                     unsigned int most, struct p2pmem_cache **ret_cache)
{
	uint64_t granules = provider->granule ? (size - 1) / provider->granule + 1 : 0;
	struct p2pmem_cache *cache;

	if (!size || align & (align - 1) || most < 2 || most > MOST || provider->is_naked ||
	    granules >> POOL_LENGTH_BITS)
		return -EINVAL;
	if (atomic_load(&provider->state) == P2PDMA_PROVIDER_DEAD)
		return -ENODEV;
	cache = calloc(1, sizeof(*cache) + most * sizeof(cache->bufs[0]));
	if (!cache)
		return -ENOMEM;
	cache->provider = p2pdma_provider_get(provider);
	cache->size = size;
	cache->align = align > provider->granule ? align : 0;
	cache->most = most;
	cache->shift = provider->shift;
	cache->mask = provider->granule - 1;
	cache->used = pool_word(POOL_USED, (uint32_t)granules);
	cache->parked = pool_word(POOL_PARKED, (uint32_t)granules);
	cache->spare = (uint32_t)((granules << provider->shift) - size);
	spin_lock(&provider->lock);
	cache->pressure = provider->pressure;
	cache->next = provider->caches;
	provider->caches = cache;
	spin_unlock(&provider->lock);
	*ret_cache = cache;
	return 0;
}

void p2pmem_cache_flush(struct p2pmem_cache *cache)
{
	cache->pressure = atomic_load_explicit(&cache->provider->pressure, memory_order_relaxed);
	spin_lock(&cache->provider->lock);
	drain(cache, count_of(cache));
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

/* Whether somebody has found too little since this was last asked, or the provider is dead. */
static bool is_disturbed(const struct p2pmem_cache *cache)
{
	return atomic_load_explicit(&cache->provider->pressure, memory_order_relaxed) !=
	       cache->pressure;
}

/* What is to be done before a buffer is taken: the slow way. */
static SLOW int settle(struct p2pmem_cache *cache)
{
	struct p2pdma_provider *provider = cache->provider;
	int r = 0;

	if (is_disturbed(cache))
		p2pmem_cache_flush(cache);
	spin_lock(&provider->lock);
	if (atomic_load(&provider->state) == P2PDMA_PROVIDER_DEAD)
		r = -ENODEV;
	else if (!count_of(cache))
		r = fill(cache, cache->most / 2);
	spin_unlock(&provider->lock);
	/* The others are asked; this one has nothing to give. */
	if (r == -ENOMEM)
		cache->pressure = atomic_fetch_add(&provider->pressure, 1) + 1;
	return r ? r : look_at(cache, cache->bufs[count_of(cache) - 1].offset) ? 0 : -ENOMEM;
}

int p2pmem_cache_alloc(struct p2pmem_cache *cache, struct p2pmem_buf *ret_buf)
{
	unsigned int count = count_of(cache);
	struct pool_entry *entry = count ? entry_of(cache, cache->bufs[count - 1].offset) : NULL;

	if (!entry || is_disturbed(cache)) {
		int r = settle(cache);

		if (r)
			return r;
		count = count_of(cache);
		entry = entry_of(cache, cache->bufs[count - 1].offset);
	}
	set_count(cache, count - 1);
	pool_store(entry, cache->used);
	*ret_buf = cache->bufs[count - 1];
	return 0;
}

/* The slow way: the cache is full, disturbed, or had another chunk at hand. */
static SLOW int put_slowly(struct p2pmem_cache *cache, struct p2pmem_buf buf)
{
	struct pool_entry *entry;

	if (buf.provider != cache->provider || buf.size != cache->size ||
	    !look_at(cache, buf.offset))
		return -EINVAL;
	entry = entry_of(cache, buf.offset);
	if (!entry || pool_load(entry) != cache->used || entry->next != cache->spare ||
	    (cache->align && (cache->bus + buf.offset) & (cache->align - 1)))
		return -EINVAL;
	if (is_disturbed(cache)) {
		p2pmem_cache_flush(cache);
		return p2pmem_free(buf);
	}
	if (count_of(cache) == cache->most) {
		spin_lock(&cache->provider->lock);
		drain(cache, cache->most / 2);
		spin_unlock(&cache->provider->lock);
	}
	pool_store(entry, cache->parked);
	cache->bufs[count_of(cache)] = buf;
	set_count(cache, count_of(cache) + 1);
	return 0;
}

int p2pmem_cache_put(struct p2pmem_cache *cache, struct p2pmem_buf buf)
{
	struct pool_entry *entry = entry_of(cache, buf.offset);
	unsigned int count = count_of(cache);

	if (!entry || pool_load(entry) != cache->used || entry->next != cache->spare ||
	    buf.provider != cache->provider || buf.size != cache->size || cache->align ||
	    count == cache->most || is_disturbed(cache))
		return put_slowly(cache, buf);
	pool_store(entry, cache->parked);
	cache->bufs[count] = buf;
	set_count(cache, count + 1);
	return 0;
}
