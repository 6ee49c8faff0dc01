/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "bare.h"

unsigned int bare_freed;

struct p2pdma_provider *bare_new(uint64_t granule, const struct bare_chunk *chunks, bool is_naked)
{
	struct p2pdma_provider *provider = calloc(1, sizeof(*provider));
	uint64_t start = 0;

	if (!provider)
		return NULL;
	provider->granule = granule;
	provider->shift = (unsigned int)__builtin_ctzll(granule);
	provider->is_naked = is_naked;
	provider->references = 1;
	for (; chunks->size; start += chunks++->size) {
		struct chunk *chunk = &provider->chunks[provider->chunk_count];

		chunk->start = start;
		chunk->size = chunks->size;
		chunk->bus.addr = chunks->bus;
		if (!is_naked && pool_new(chunks->bus, chunks->size, granule, &chunk->pool)) {
			provider_free(provider);
			return NULL;
		}
		provider->chunk_count++;
	}
	return provider;
}

void provider_free(struct p2pdma_provider *provider)
{
	bare_freed++;
	for (unsigned int i = 0; i < provider->chunk_count; i++)
		pool_free(provider->chunks[i].pool);
	free(provider);
}

struct p2pdma_provider *p2pdma_provider_get(struct p2pdma_provider *provider)
{
	spin_lock(&provider->lock);
	provider->references++;
	spin_unlock(&provider->lock);
	return provider;
}

struct p2pdma_provider *p2pdma_provider_put(struct p2pdma_provider *provider)
{
	bool is_idle;

	spin_lock(&provider->lock);
	provider->references--;
	is_idle = provider_is_idle(provider);
	spin_unlock(&provider->lock);
	if (is_idle)
		provider_free(provider);
	return NULL;
}

struct p2pdma_provider_info bare_info(struct p2pdma_provider *provider)
{
	struct p2pdma_provider_info info = { .size = sizeof(info) };

	spin_lock(&provider->lock);
	for (unsigned int i = 0; i < provider->chunk_count; i++) {
		struct pool *pool = provider->chunks[i].pool;
		uint64_t largest = pool_largest(pool);

		info.total += provider->chunks[i].size;
		info.free += pool->free;
		if (largest > info.largest)
			info.largest = largest;
	}
	info.cached = caches_bytes(provider);
	info.buffers = provider->taken;
	spin_unlock(&provider->lock);
	return info;
}
