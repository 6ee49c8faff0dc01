/* SPDX-License-Identifier: MIT */
/*
 * p2pmem.c - buffers out of a provider's chunks: the pools, under one lock.
 */
#include "provider.h"
#include <p2pdma/p2pmem.h>

/* Out of the way of what is done for each buffer. */
#define SLOW __attribute__((noinline))

/* Under the lock.  From the first chunk that has room. */
static int take(struct p2pdma_provider *provider, uint64_t size, uint64_t align,
                struct p2pmem_buf *ret_buf)
{
	unsigned int count = atomic_load_explicit(&provider->chunk_count, memory_order_acquire);
	int r = -ENOMEM;

	for (unsigned int i = 0; i < count && r == -ENOMEM; i++) {
		const struct chunk *chunk = &provider->chunks[i];
		uint64_t offset;

		r = pool_take(chunk->pool, size, align, &offset);
		if (!r)
			*ret_buf = (struct p2pmem_buf){ provider, chunk->start + offset, size };
	}
	provider->taken += !r;
	return r;
}

/* Under the lock. */
static int give(struct p2pmem_buf buf)
{
	const struct chunk *chunk = provider_chunk(buf.provider, buf.offset, buf.size);
	int r = chunk && chunk->pool ? pool_give(chunk->pool, buf.offset - chunk->start, buf.size)
	                             : -EINVAL;

	buf.provider->taken -= !r;
	return r;
}

static bool is_dead(struct p2pdma_provider *provider)
{
	return atomic_load_explicit(&provider->state, memory_order_relaxed) == P2PDMA_PROVIDER_DEAD;
}

/* The way for all that is not in a hurry.  Gives the lock back. */
static SLOW int alloc_locked(struct p2pdma_provider *provider, uint64_t size, uint64_t align,
                             struct p2pmem_buf *ret_buf)
{
	int r = provider->is_naked  ? -EINVAL
	        : is_dead(provider) ? -ENODEV
	                            : take(provider, size, align, ret_buf);

	if (r == -ENOMEM)
		caches_ask(provider);
	spin_unlock(&provider->lock);
	return r;
}

static SLOW int alloc_waiting(struct p2pdma_provider *provider, uint64_t size, uint64_t align,
                              struct p2pmem_buf *ret_buf)
{
	spin_wait(&provider->lock);
	return alloc_locked(provider, size, align, ret_buf);
}

int p2pmem_alloc(struct p2pdma_provider *provider, uint64_t size, uint64_t align,
                 struct p2pmem_buf *ret_buf)
{
	struct pool *pool = provider->chunks[0].pool;
	uint64_t length = (size + provider->granule - 1) >> provider->shift, offset;

	if (!spin_try(&provider->lock))
		return alloc_waiting(provider, size, align, ret_buf);
	/* The granule, a power of two, has one bit. */
	if (align & ~provider->granule || !pool || is_dead(provider) ||
	    !pool_take_quick(pool, length, size, &offset))
		return alloc_locked(provider, size, align, ret_buf);
	provider->taken++;
	spin_unlock(&provider->lock);
	buf_set(ret_buf, provider, offset, size);
	return 0;
}

/* As above. */
static SLOW int free_locked(struct p2pmem_buf buf)
{
	struct p2pdma_provider *provider = buf.provider;
	int r = give(buf);
	bool is_idle = !r && provider_is_idle(provider);

	spin_unlock(&provider->lock);
	if (is_idle)
		provider_free(provider);
	return r;
}

static SLOW int free_waiting(struct p2pmem_buf buf)
{
	spin_wait(&buf.provider->lock);
	return free_locked(buf);
}

int p2pmem_free(struct p2pmem_buf buf)
{
	struct p2pdma_provider *provider = buf.provider;
	struct pool *pool;
	uint64_t length;

	if (!provider)
		return -EINVAL;
	pool = provider->chunks[0].pool;
	length = (buf.size + provider->granule - 1) >> provider->shift;
	if (!spin_try(&provider->lock))
		return free_waiting(buf);
	/* Without a reference, it may be the last thing that the provider lives for. */
	if (!provider->references || !pool || !pool_give_quick(pool, buf.offset, length, buf.size))
		return free_locked(buf);
	provider->taken--;
	spin_unlock(&provider->lock);
	return 0;
}

/* From the chunk that has the longest run, or else one that has what is aligned.  Under the lock.
 */
static int take_piece(struct p2pdma_provider *provider, uint64_t most, uint64_t align,
                      struct p2pmem_buf *ret_buf)
{
	unsigned int count = provider->chunk_count, best = 0;
	uint64_t longest = 0, offset;
	int r = -ENOMEM;

	for (unsigned int i = 0; i < count; i++) {
		uint64_t largest = pool_largest(provider->chunks[i].pool);

		if (largest > longest) {
			best = i;
			longest = largest;
		}
	}
	for (unsigned int i = 0; i < count && r == -ENOMEM; i++) {
		const struct chunk *chunk = &provider->chunks[(best + i) % count];

		r = pool_take_piece(chunk->pool, most, align, &offset, &ret_buf->size);
		if (r)
			continue;
		ret_buf->provider = provider;
		ret_buf->offset = chunk->start + offset;
		provider->taken++;
	}
	return r;
}

/* Under the lock. */
static int take_all(struct p2pdma_provider *provider, uint64_t size, uint64_t align, size_t most,
                    struct p2pmem_buf *bufs, size_t *ret_count)
{
	size_t count = 1;
	int r = take(provider, size, align, bufs);

	if (r != -ENOMEM) {
		*ret_count = count;
		return r;
	}
	for (count = 0, r = 0; !r && size && count < most; count += !r) {
		r = take_piece(provider, size, align, &bufs[count]);
		size -= r ? 0 : bufs[count].size;
	}
	if (!r && !size) {
		*ret_count = count;
		return 0;
	}
	while (count)
		give(bufs[--count]);
	return r ? r : -ENOMEM;
}

int p2pmem_alloc_sgl(struct p2pdma_provider *provider, uint64_t size, uint64_t align, size_t most,
                     struct p2pmem_buf *ret_bufs, size_t *ret_count)
{
	struct p2pmem_buf bufs[P2PMEM_SGL_MOST];
	size_t count;
	int r;

	if (provider->is_naked || !most)
		return -EINVAL;
	if (most > P2PMEM_SGL_MOST)
		most = P2PMEM_SGL_MOST;
	spin_lock(&provider->lock);
	r = is_dead(provider) ? -ENODEV : take_all(provider, size, align, most, bufs, &count);
	if (r == -ENOMEM)
		caches_ask(provider);
	spin_unlock(&provider->lock);
	if (r)
		return r;
	for (size_t i = 0; i < count; i++)
		ret_bufs[i] = bufs[i];
	*ret_count = count;
	return 0;
}

int p2pmem_free_sgl(const struct p2pmem_buf *bufs, size_t count)
{
	int r = 0, one;

	for (size_t i = 0; i < count; i++) {
		one = p2pmem_free(bufs[i]);
		r = r ? r : one;
	}
	return r;
}

struct p2pdma_bus p2pmem_bus(struct p2pmem_buf buf)
{
	const struct chunk *chunk =
		buf.provider ? provider_chunk(buf.provider, buf.offset, buf.size) : NULL;

	return (struct p2pdma_bus){ chunk ? chunk->bus.addr + (buf.offset - chunk->start) : 0 };
}
