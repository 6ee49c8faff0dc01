/* SPDX-License-Identifier: MIT */
/*
 * pool.c - runs of granules, free and in use.
 *
 * Concepts:
 * - A table beside the memory has an entry a granule.  The first granule of a run has its state and
 *   length, all others 0; the last one of a free run leads back to the first.  So neighbours are
 *   found in one step, and joined when they are free.
 * - Free runs are in lists by length, two levels of them (Masmano et al., TLSF, 2004): exact below
 *   STEPS granules, then STEPS to each power of two.  Any run of the next list up is long enough.
 * - Short runs that come back first lie in quick lists, one a length, unjoined, for the next who
 * asks for as much.  They are joined when that would help, and never more than QUICK_MOST.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "pool.h"

#define STEP_BITS  POOL_STEP_BITS
#define STEPS      POOL_STEPS
#define LEVELS     POOL_LEVELS
#define MOST_LOOKS 1024 /* runs looked at, where a list does not tell */
#define NONE       UINT32_MAX

static enum pool_state state_of(const struct pool *pool, uint32_t at)
{
	return (enum pool_state)(pool_load(&pool->entries[at]) >> POOL_LENGTH_BITS);
}

static uint32_t length_of(const struct pool *pool, uint32_t at)
{
	return pool_load(&pool->entries[at]) & ((1u << POOL_LENGTH_BITS) - 1);
}

static void mark(struct pool *pool, uint32_t at, enum pool_state state, uint32_t length)
{
	pool_store(&pool->entries[at], pool_word(state, length));
}

/* ---- lists of free runs ---- */

/* The list of runs of @length. */
static void place(uint32_t length, unsigned int *ret_level, unsigned int *ret_step)
{
	unsigned int bit = 31 - (unsigned int)__builtin_clz(length);

	*ret_level = bit < STEP_BITS ? 0 : bit - STEP_BITS + 1;
	*ret_step = bit < STEP_BITS ? length : length >> (bit - STEP_BITS) & (STEPS - 1);
}

static void list_add(struct pool *pool, uint32_t at, uint32_t length)
{
	struct pool_entry *entry = &pool->entries[at];
	unsigned int level, step;
	uint32_t *first;

	place(length, &level, &step);
	first = &pool->lists[level][step];
	mark(pool, at, POOL_FREE, length);
	pool->entries[at + length - 1].first = at;
	entry->next = *first;
	entry->before = NONE;
	if (*first != NONE)
		pool->entries[*first].before = at;
	*first = at;
	pool->steps[level] |= (uint16_t)(1u << step);
	pool->levels |= 1u << level;
}

static void list_remove(struct pool *pool, uint32_t at)
{
	struct pool_entry *entry = &pool->entries[at];
	unsigned int level, step;

	if (entry->next != NONE)
		pool->entries[entry->next].before = entry->before;
	if (entry->before != NONE) {
		pool->entries[entry->before].next = entry->next;
		return;
	}
	place(length_of(pool, at), &level, &step);
	pool->lists[level][step] = entry->next;
	if (entry->next != NONE)
		return;
	pool->steps[level] &= (uint16_t) ~(1u << step);
	if (!pool->steps[level])
		pool->levels &= ~(1u << level);
}

/* The first run of the first list that has one, from the given list on; NONE. */
static uint32_t list_from(const struct pool *pool, unsigned int *level, unsigned int *step)
{
	uint32_t steps, levels;

	if (*level >= LEVELS)
		return NONE;
	steps = *step < STEPS ? pool->steps[*level] & (~0u << *step) : 0;
	if (!steps) {
		levels = *level + 1 < LEVELS ? pool->levels & (~0u << (*level + 1)) : 0;
		if (!levels)
			return NONE;
		*level = (unsigned int)__builtin_ctz(levels);
		steps = pool->steps[*level];
	}
	*step = (unsigned int)__builtin_ctz(steps);
	return pool->lists[*level][*step];
}

/* ---- runs ---- */

/* Joins a run, in no list, with its free neighbours, and lists what comes of it. */
static void join(struct pool *pool, uint32_t at, uint32_t length)
{
	uint32_t after = at + length, before;

	if (after < pool->count && state_of(pool, after) == POOL_FREE) {
		list_remove(pool, after);
		length += length_of(pool, after);
		mark(pool, after, POOL_INSIDE, 0);
	}
	before = at ? pool->entries[at - 1].first : NONE;
	if (at && before < at && state_of(pool, before) == POOL_FREE &&
	    before + length_of(pool, before) == at) {
		list_remove(pool, before);
		mark(pool, at, POOL_INSIDE, 0);
		length += at - before;
		at = before;
	}
	list_add(pool, at, length);
}

static void join_quick(struct pool *pool)
{
	for (uint32_t length = 1; length <= POOL_QUICK; length++)
		while (pool->quick_count[length])
			join(pool, pool->quick[length][--pool->quick_count[length]], length);
}

/* Granules to leave out at the front of a run, so that it is aligned. */
static uint64_t skip_of(const struct pool *pool, uint32_t at, uint64_t align)
{
	return (-(pool->base + ((uint64_t)at << pool->shift)) & (align - 1)) >> pool->shift;
}

/* Takes @length granules of a listed run, @skip behind its start. */
static uint32_t carve(struct pool *pool, uint32_t at, uint32_t skip, uint32_t length)
{
	uint32_t left = length_of(pool, at) - skip - length;

	list_remove(pool, at);
	if (skip)
		list_add(pool, at, skip);
	if (left)
		list_add(pool, at + skip + length, left);
	return at + skip;
}

/* A run by the lists alone: long enough wherever it lies. */
static bool take_sure(struct pool *pool, uint32_t length, uint64_t align, uint32_t *ret_at)
{
	uint64_t need = (uint64_t)length + (align >> pool->shift) - 1;
	unsigned int level, step, bit;
	uint32_t at;

	if (need > pool->count)
		return false;
	/* Up to where the next list begins. */
	bit = 31 - (unsigned int)__builtin_clz((uint32_t)need);
	if (bit > STEP_BITS)
		need += (1u << (bit - STEP_BITS)) - 1;
	if (need >= 1u << POOL_LENGTH_BITS)
		return false;
	place((uint32_t)need, &level, &step);
	at = list_from(pool, &level, &step);
	if (at == NONE)
		return false;
	*ret_at = carve(pool, at, (uint32_t)skip_of(pool, at, align), length);
	return true;
}

/* A run that happens to do, among those that may. */
static bool take_looking(struct pool *pool, uint32_t length, uint64_t align, uint32_t *ret_at)
{
	unsigned int level, step;
	int looks = MOST_LOOKS;
	uint32_t at;

	place(length, &level, &step);
	for (; looks && (at = list_from(pool, &level, &step)) != NONE; step++)
		for (; looks && at != NONE; at = pool->entries[at].next, looks--) {
			uint64_t skip = skip_of(pool, at, align);

			if (skip + length > length_of(pool, at))
				continue;
			*ret_at = carve(pool, at, (uint32_t)skip, length);
			return true;
		}
	return false;
}

/* ---- from outside ---- */

int pool_new(uint64_t base, uint64_t size, uint64_t granule, struct pool **ret_pool)
{
	struct pool *pool;

	if (granule < POOL_GRANULE_LEAST || granule > POOL_GRANULE_MOST ||
	    granule & (granule - 1) || !size || size % granule || base % granule)
		return -EINVAL;
	if (size / granule >= 1u << POOL_LENGTH_BITS)
		return -E2BIG;
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	pool->base = base;
	pool->shift = (unsigned int)__builtin_ctzll(granule);
	pool->count = (uint32_t)(size / granule);
	pool->free = size;
	/* Nothing of it is touched until it is used. */
	pool->entries = calloc(pool->count, sizeof(*pool->entries));
	if (!pool->entries) {
		free(pool);
		return -ENOMEM;
	}
	for (unsigned int level = 0; level < LEVELS; level++)
		for (unsigned int step = 0; step < STEPS; step++)
			pool->lists[level][step] = NONE;
	list_add(pool, 0, pool->count);
	*ret_pool = pool;
	return 0;
}

struct pool *pool_free(struct pool *pool)
{
	if (pool)
		free(pool->entries);
	free(pool);
	return NULL;
}

/* Notes that @length granules from @at on, in no list, are in use. */
static void use(struct pool *pool, uint32_t at, uint32_t length, uint64_t size)
{
	uint64_t bytes = (uint64_t)length << pool->shift;

	mark(pool, at, POOL_USED, length);
	pool->entries[at].next = (uint32_t)(bytes - size);
	pool->free -= bytes;
}

int pool_take(struct pool *pool, uint64_t size, uint64_t align, uint64_t *ret_offset)
{
	uint64_t granule = 1ull << pool->shift,
		 granules = (size >> pool->shift) + (size & (granule - 1) ? 1 : 0);
	uint32_t length = (uint32_t)granules, at;

	if (!size || align & (align - 1))
		return -EINVAL;
	if (granules > pool->count)
		return -ENOMEM;
	if (align < granule)
		align = granule;
	if (align == granule && pool_take_quick(pool, length, size, ret_offset))
		return 0;
	if (!take_sure(pool, length, align, &at)) {
		join_quick(pool);
		if (!take_sure(pool, length, align, &at) && !take_looking(pool, length, align, &at))
			return -ENOMEM;
	}
	use(pool, at, length, size);
	*ret_offset = (uint64_t)at << pool->shift;
	return 0;
}

int pool_take_piece(struct pool *pool, uint64_t most, uint64_t align, uint64_t *ret_offset,
                    uint64_t *ret_size)
{
	uint64_t granule = 1ull << pool->shift, best_length = 0, size;
	uint32_t best = NONE;
	int looks = MOST_LOOKS;

	if (!most || align & (align - 1))
		return -EINVAL;
	if (align < granule)
		align = granule;
	join_quick(pool);
	/* From the longest lists down, until one has something that is aligned. */
	for (uint32_t levels = pool->levels; levels && best == NONE && looks;) {
		unsigned int level = 31 - (unsigned int)__builtin_clz(levels);

		levels &= ~(1u << level);
		for (uint32_t steps = pool->steps[level]; steps && best == NONE && looks;) {
			unsigned int step = 31 - (unsigned int)__builtin_clz(steps);
			uint32_t at = pool->lists[level][step];

			steps &= ~(1u << step);
			for (; at != NONE && looks; at = pool->entries[at].next, looks--) {
				uint64_t skip = skip_of(pool, at, align);
				uint64_t length = length_of(pool, at);

				if (skip >= length || length - skip <= best_length)
					continue;
				best = at;
				best_length = length - skip;
			}
		}
	}
	if (best == NONE)
		return -ENOMEM;
	size = best_length << pool->shift;
	if (size >= most)
		best_length = (most + granule - 1) >> pool->shift;
	size = size < most ? size : most;
	best = carve(pool, best, (uint32_t)skip_of(pool, best, align), (uint32_t)best_length);
	use(pool, best, (uint32_t)best_length, size);
	*ret_offset = (uint64_t)best << pool->shift;
	*ret_size = size;
	return 0;
}

/* The run in use that begins at @offset, for @size bytes; NONE. */
static uint32_t find(const struct pool *pool, uint64_t offset, uint64_t size)
{
	uint64_t at = offset >> pool->shift;
	uint32_t length;

	if (at >= pool->count || offset & ((1ull << pool->shift) - 1) ||
	    state_of(pool, (uint32_t)at) != POOL_USED)
		return NONE;
	length = length_of(pool, (uint32_t)at);
	return ((uint64_t)length << pool->shift) - pool->entries[at].next == size ? (uint32_t)at
	                                                                          : NONE;
}

int pool_give(struct pool *pool, uint64_t offset, uint64_t size)
{
	uint32_t at = find(pool, offset, size), length;

	if (at == NONE)
		return -EINVAL;
	length = length_of(pool, at);
	if (pool_give_quick(pool, offset, length, size))
		return 0;
	pool->free += (uint64_t)length << pool->shift;
	join(pool, at, length);
	return 0;
}

uint64_t pool_largest(struct pool *pool)
{
	unsigned int level, step;
	uint32_t largest = 0, at;

	join_quick(pool);
	if (!pool->levels)
		return 0;
	level = 31 - (unsigned int)__builtin_clz(pool->levels);
	step = 31 - (unsigned int)__builtin_clz((uint32_t)pool->steps[level]);
	for (at = pool->lists[level][step]; at != NONE; at = pool->entries[at].next)
		if (length_of(pool, at) > largest)
			largest = length_of(pool, at);
	return (uint64_t)largest << pool->shift;
}
