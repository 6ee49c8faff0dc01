/* SPDX-License-Identifier: MIT */
/*
 * The same by way of a cache, one for each thread.
 */
#include <p2pdma/p2pmem.h>

#include "card.h"
#include "contender.h"

#define CACHED 256u

#define ITEM                     struct p2pmem_buf
#define HOLDER                   struct p2pmem_cache
#define TAKE(holder, size, item) p2pmem_cache_alloc(holder, item)
#define GIVE(holder, item)       work_must(p2pmem_cache_put(holder, *(item)))
#include "pool_work.h"

static void *start(uint64_t size)
{
	return ours_shared.start(size);
}

static void stop(void *pool)
{
	ours_shared.stop(pool);
}

static double run(void *pool, struct job *job)
{
	struct p2pmem_cache *cache;
	double result;

	work_must(p2pmem_cache_new(((struct card *)pool)->provider, PAGE, 0, CACHED, &cache));
	result = work_run(cache, job);
	p2pmem_cache_free(cache);
	return result;
}

const struct contender ours_cached = { "p2pmem_cache_alloc()",
	                               1u << WORK_PAIR | 1u << WORK_BATCH | 1u << WORK_REPLACE,
	                               start,
	                               stop,
	                               run,
	                               NULL };
