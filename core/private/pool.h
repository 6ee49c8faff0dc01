/* SPDX-License-Identifier: MIT */
/*
 * pool.h - which parts of a range of BAR memory are in use: bookkeeping beside it, never in it.
 *
 * Values in, values out: offsets from the start of the range.  Knows no device and no lock: the
 * caller holds one (struct p2pdma_provider).  What a call costs does not depend on the pool's size.
 *
 * May use base/ and include/p2pdma/types.h.
 */
#ifndef POOL_H
#define POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_GRANULE_LEAST 64u
#define POOL_GRANULE_MOST  (2u << 20)

#define POOL_STEP_BITS   4
#define POOL_STEPS       (1u << POOL_STEP_BITS)
#define POOL_LENGTH_BITS 29
#define POOL_LEVELS      (POOL_LENGTH_BITS - POOL_STEP_BITS + 1)
#define POOL_QUICK       32u /* granules of the longest run in a quick list */
#define POOL_QUICK_MOST  64u /* runs in each */
#define POOL_LOOKS       128 /* runs looked at for one that is aligned */

enum pool_state {
	POOL_INSIDE, /* no first granule */
	POOL_FREE,
	POOL_LYING, /* free, in a quick list */
	POOL_USED,
	POOL_PARKED, /* in use by a cache */
};

/* A granule. */
struct pool_entry {
	_Atomic uint64_t head; /* of the run it begins: see pool_head() */
	uint32_t before;       /* in its list */
	uint32_t first;        /* of the last granule of a free run: its first */
};

/* Its members are for pool.c, and for the ways in a hurry below. */
struct pool {
	struct pool_entry *entries;
	uint64_t base;
	uint64_t free;      /* bytes */
	unsigned int shift; /* of the granule */
	uint32_t count;     /* granules */
	uint8_t quick_count[POOL_QUICK + 1];
	uint32_t quick[POOL_QUICK + 1][POOL_QUICK_MOST];
	uint32_t levels; /* bit n: some list of level n has runs */
	uint16_t steps[POOL_LEVELS];
	uint32_t lists[POOL_LEVELS][POOL_STEPS];
};

/*
 * @base: the bus address of the first byte, for alignment; a multiple of @granule, as is @size.
 * @granule: a power of two from POOL_GRANULE_LEAST to POOL_GRANULE_MOST.
 * -EINVAL; -E2BIG: more granules than can be counted; -ENOMEM.
 */
int pool_new(uint64_t base, uint64_t size, uint64_t granule, struct pool **ret_pool);
struct pool *pool_free(struct pool *pool);

/*
 * @size bytes, not 0, whose bus address is a multiple of @align (a power of two, or 0: the
 * granule).  -ENOMEM: no run is long enough.  -EINVAL.
 *
 * The shortest run that will do.  With an @align above the granule only POOL_LOOKS of the runs that
 * are long enough, but perhaps not where they are aligned, are looked at, the shortest first.
 */
int pool_take(struct pool *pool, uint64_t size, uint64_t align, uint64_t *ret_offset);
/*
 * The longest free run, @most bytes of it at most; for who gathers pieces.  With an @align above
 * the granule one half as long may come, and POOL_LOOKS counts as above.  -ENOMEM: none.  -EINVAL.
 */
int pool_take_piece(struct pool *pool, uint64_t most, uint64_t align, uint64_t *ret_offset,
                    uint64_t *ret_size);
/* -EINVAL, and nothing changed: not what pool_take() gave, or given back already. */
int pool_give(struct pool *pool, uint64_t offset, uint64_t size);

/* Bytes of the longest free run. */
uint64_t pool_largest(struct pool *pool);

/* ---- in a hurry ---- */

/*
 * State and length of a run, and the next of its list (free) or the bytes not asked for (in use):
 * all that a hurry compares or sets, in one word.  Caches change it without the lock.
 */
static inline uint64_t pool_head(enum pool_state state, uint64_t length, uint64_t more)
{
	return more << 32 | (uint64_t)state << POOL_LENGTH_BITS | length;
}

static inline uint64_t pool_load(const struct pool_entry *entry)
{
	return atomic_load_explicit(&entry->head, memory_order_relaxed);
}

static inline void pool_store(struct pool_entry *entry, uint64_t head)
{
	atomic_store_explicit(&entry->head, head, memory_order_relaxed);
}

/* @offset in units of 1 << @shift; beyond any count if it is no multiple. */
static inline uint64_t pool_index(uint64_t offset, unsigned int shift)
{
	return offset >> shift | offset << (64 - shift);
}

/*
 * pool_take() of what came back just now: @length granules for @size bytes, at the least alignment.
 */
static inline bool pool_take_quick(struct pool *pool, uint64_t length, uint64_t size,
                                   uint64_t *ret_offset)
{
	uint64_t bytes = length << pool->shift;
	uint32_t at;

	if (length > POOL_QUICK || !pool->quick_count[length])
		return false;
	at = pool->quick[length][--pool->quick_count[length]];
	pool_store(&pool->entries[at], pool_head(POOL_USED, length, bytes - size));
	pool->free -= bytes;
	*ret_offset = (uint64_t)at << pool->shift;
	return true;
}

/* pool_give() of @length granules, in so far as nothing need be joined. */
static inline bool pool_give_quick(struct pool *pool, uint64_t offset, uint64_t length,
                                   uint64_t size)
{
	uint64_t at = pool_index(offset, pool->shift), bytes = length << pool->shift;

	if (length - 1 >= POOL_QUICK || pool->quick_count[length] == POOL_QUICK_MOST ||
	    at >= pool->count ||
	    pool_load(&pool->entries[at]) != pool_head(POOL_USED, length, bytes - size))
		return false;
	pool_store(&pool->entries[at], pool_head(POOL_LYING, length, 0));
	pool->quick[length][pool->quick_count[length]++] = (uint32_t)at;
	pool->free += bytes;
	return true;
}

#endif
