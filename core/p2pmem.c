/* SPDX-License-Identifier: MIT */
/*
 * p2pmem.c - buffers out of a provider's chunks: the pools, under one lock.
 */
#include "provider.h"
#include <p2pdma/p2pmem.h>

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

/* Caches are to give back what they hold. */
static void ask_caches(struct p2pdma_provider *provider)
{
	atomic_fetch_add_explicit(&provider->pressure, 1, memory_order_relaxed);
}

int p2pmem_alloc(struct p2pdma_provider *provider, uint64_t size, uint64_t align,
                 struct p2pmem_buf *ret_buf)
{
	struct chunk *chunk = &provider->chunks[0];
	uint64_t length = (size + provider->granule - 1) >> provider->shift, offset;
	int r;

	if (provider->is_naked)
		return -EINVAL;
	spin_lock(&provider->lock);
	if (align <= provider->granule && !(align & (align - 1)) && size && !is_dead(provider) &&
	    pool_take_quick(chunk->pool, length, size, &offset)) {
		provider->taken++;
		spin_unlock(&provider->lock);
		buf_set(ret_buf, provider, offset, size);
		return 0;
	}
	r = is_dead(provider) ? -ENODEV : take(provider, size, align, ret_buf);
	spin_unlock(&provider->lock);
	if (r == -ENOMEM)
		ask_caches(provider);
	return r;
}

int p2pmem_free(struct p2pmem_buf buf)
{
	struct p2pdma_provider *provider = buf.provider;
	uint64_t length;
	bool is_idle;
	int r = 0;

	if (!provider || provider->is_naked)
		return -EINVAL;
	length = (buf.size + provider->granule - 1) >> provider->shift;
	spin_lock(&provider->lock);
	if (buf.offset < provider->chunks[0].size &&
	    pool_give_quick(provider->chunks[0].pool, buf.offset, length, buf.size))
		provider->taken--;
	else
		r = give(buf);
	is_idle = !r && provider_is_idle(provider);
	spin_unlock(&provider->lock);
	if (is_idle)
		provider_free(provider);
	return r;
}

/* The longest piece that any chunk has.  Under the lock. */
static int take_piece(struct p2pdma_provider *provider, uint64_t most, uint64_t align,
                      struct p2pmem_buf *ret_buf)
{
	const struct chunk *best = NULL;
	uint64_t longest = 0, offset;
	int r = -ENOMEM;

	for (unsigned int i = 0; i < provider->chunk_count; i++) {
		uint64_t largest = pool_largest(provider->chunks[i].pool);

		if (largest > longest)
			best = &provider->chunks[i];
		if (largest > longest)
			longest = largest;
	}
	if (best)
		r = pool_take_piece(best->pool, most, align, &offset, &ret_buf->size);
	if (r)
		return r;
	ret_buf->provider = provider;
	ret_buf->offset = best->start + offset;
	provider->taken++;
	return 0;
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
	spin_unlock(&provider->lock);
	if (r == -ENOMEM)
		ask_caches(provider);
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
