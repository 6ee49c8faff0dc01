/* SPDX-License-Identifier: MIT */
/*
 * pool.c - runs of granules, free and in use.
 *
 * Concepts:
 * - A table beside the memory has an entry a granule.  The first granule of a run has its state and
 *   length, all others 0; the last one of a free run leads back to the first.  So neighbours are
 *   found in one step, and joined when they are free.
 * - Free runs are in lists by length, two levels of them (Masmano et al., TLSF, 2004): exact below
 *   LONG granules, then STEPS to each power of two.
 * - Where a list is not exact, the runs of each length are a list of their own, and those are in a
 *   tree by the bits of the length that the list leaves open (a bitwise digital tree, as in Lea's
 *   malloc): what fits best is found in as many steps as a length has bits.
 * - Short runs that come back first lie in quick lists, one a length, unjoined, for the next who
 *   asks for as much.  They are joined when that would help, and never more than POOL_QUICK_MOST.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "pool.h"

#define STEP_BITS POOL_STEP_BITS
#define STEPS     POOL_STEPS
#define LEVELS    POOL_LEVELS
#define LONG      (2 * STEPS) /* granules from which on lists are not exact */
#define NONE      UINT32_MAX

static enum pool_state state_of(const struct pool *pool, uint32_t at)
{
	return (enum pool_state)((uint32_t)pool_load(&pool->entries[at]) >> POOL_LENGTH_BITS);
}

static uint32_t length_of(const struct pool *pool, uint32_t at)
{
	return pool_load(&pool->entries[at]) & ((1u << POOL_LENGTH_BITS) - 1);
}

static uint32_t next_of(const struct pool *pool, uint32_t at)
{
	return (uint32_t)(pool_load(&pool->entries[at]) >> 32);
}

static void mark(struct pool *pool, uint32_t at, enum pool_state state, uint32_t length,
                 uint32_t more)
{
	pool_store(&pool->entries[at], pool_head(state, length, more));
}

static unsigned int bit_of(uint32_t length)
{
	return 31 - (unsigned int)__builtin_clz(length);
}

/* ---- trees of lists: links are in the second and third granule of the first run of each ---- */

static uint32_t *child_of(struct pool *pool, uint32_t at, uint32_t which)
{
	struct pool_entry *entry = &pool->entries[at + 1];

	return which ? &entry->first : &entry->before;
}

static uint32_t *parent_of(struct pool *pool, uint32_t at)
{
	return &pool->entries[at + 2].before;
}

/* The first bit of @length that its list leaves open, as a mask; 0: none. */
static uint32_t open_bits(uint32_t length)
{
	return 1u << bit_of(length) >> (STEP_BITS + 1);
}

/* What leads to @at in the tree. */
static uint32_t *link_to(struct pool *pool, uint32_t *root, uint32_t at)
{
	uint32_t parent = *parent_of(pool, at);

	if (parent == NONE)
		return root;
	return child_of(pool, parent, *child_of(pool, parent, 1) == at);
}

/* @at takes the place of @old, and its children; NONE: there is nothing to take it. */
static void tree_replace(struct pool *pool, uint32_t *root, uint32_t old, uint32_t at)
{
	*link_to(pool, root, old) = at;
	if (at == NONE)
		return;
	*parent_of(pool, at) = *parent_of(pool, old);
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t child = *child_of(pool, old, i);

		*child_of(pool, at, i) = child;
		if (child != NONE)
			*parent_of(pool, child) = at;
	}
}

/* The list of that length, or where it is to be put. */
static uint32_t *tree_find(struct pool *pool, uint32_t *root, uint32_t length, uint32_t *ret_parent)
{
	uint32_t bit = open_bits(length), *link = root;

	for (*ret_parent = NONE; *link != NONE && length_of(pool, *link) != length; bit >>= 1) {
		*ret_parent = *link;
		link = child_of(pool, *link, (length & bit) != 0);
	}
	return link;
}

static void tree_add(struct pool *pool, uint32_t *link, uint32_t parent, uint32_t at)
{
	*link = at;
	*parent_of(pool, at) = parent;
	*child_of(pool, at, 0) = NONE;
	*child_of(pool, at, 1) = NONE;
}

/* Takes the only run of its length out: any leaf below may have its place. */
static void tree_remove(struct pool *pool, uint32_t *root, uint32_t at)
{
	uint32_t leaf = at, below;

	while ((below = *child_of(pool, leaf, 1)) != NONE ||
	       (below = *child_of(pool, leaf, 0)) != NONE)
		leaf = below;
	*link_to(pool, root, leaf) = NONE;
	if (leaf != at)
		tree_replace(pool, root, at, leaf);
}

/* The shortest of at least @length granules. */
static uint32_t tree_at_least(struct pool *pool, uint32_t root, uint32_t length)
{
	uint32_t at = root, longer = NONE, best = NONE, best_length = NONE;

	/* Along its bits, noting where the way branched off to what is longer last. */
	for (uint32_t bit = open_bits(length); at != NONE; bit >>= 1) {
		uint32_t found = length_of(pool, at), above = *child_of(pool, at, 1);

		if (found >= length && found < best_length) {
			best = at;
			best_length = found;
		}
		at = length & bit ? above : *child_of(pool, at, 0);
		if (above != NONE && above != at)
			longer = above;
	}
	/* There, all is long enough. */
	for (at = longer; at != NONE;) {
		uint32_t found = length_of(pool, at), below = *child_of(pool, at, 0);

		if (found < best_length) {
			best = at;
			best_length = found;
		}
		at = below != NONE ? below : *child_of(pool, at, 1);
	}
	return best;
}

static uint32_t tree_longest(struct pool *pool, uint32_t root)
{
	uint32_t longest = length_of(pool, root), at = root;

	while (at != NONE) {
		uint32_t above = *child_of(pool, at, 1);

		longest = length_of(pool, at) > longest ? length_of(pool, at) : longest;
		at = above != NONE ? above : *child_of(pool, at, 0);
	}
	return longest;
}

/* ---- lists of free runs ---- */

/* The list of runs of @length. */
static void place(uint32_t length, unsigned int *ret_level, unsigned int *ret_step)
{
	unsigned int bit = bit_of(length);

	*ret_level = bit < STEP_BITS ? 0 : bit - STEP_BITS + 1;
	*ret_step = bit < STEP_BITS ? length : length >> (bit - STEP_BITS) & (STEPS - 1);
}

static void list_add(struct pool *pool, uint32_t at, uint32_t length)
{
	unsigned int level, step;
	uint32_t *first, parent = NONE, next;

	place(length, &level, &step);
	first = &pool->lists[level][step];
	if (length >= LONG)
		first = tree_find(pool, first, length, &parent);
	next = *first;
	mark(pool, at, POOL_FREE, length, next);
	pool->entries[at + length - 1].first = at;
	pool->entries[at].before = NONE;
	if (next != NONE)
		pool->entries[next].before = at;
	if (length >= LONG && next != NONE)
		tree_replace(pool, first, next, at);
	else if (length >= LONG)
		tree_add(pool, first, parent, at);
	*first = at;
	pool->steps[level] |= (uint16_t)(1u << step);
	pool->levels |= 1u << level;
}

static void list_remove(struct pool *pool, uint32_t at)
{
	uint32_t before = pool->entries[at].before, next = next_of(pool, at), *first,
		 length = length_of(pool, at);
	unsigned int level, step;

	if (next != NONE)
		pool->entries[next].before = before;
	if (before != NONE) {
		mark(pool, before, POOL_FREE, length, next);
		return;
	}
	place(length, &level, &step);
	first = &pool->lists[level][step];
	if (length < LONG)
		*first = next;
	else if (next != NONE)
		tree_replace(pool, first, at, next);
	else
		tree_remove(pool, first, at);
	if (*first != NONE)
		return;
	pool->steps[level] &= (uint16_t) ~(1u << step);
	if (!pool->steps[level])
		pool->levels &= ~(1u << level);
}

/* The first list that has runs, from the given one on. */
static bool list_from(const struct pool *pool, unsigned int *level, unsigned int *step)
{
	uint32_t steps = *step < STEPS ? pool->steps[*level] & (~0u << *step) : 0;

	if (!steps) {
		uint32_t levels = pool->levels & (~0u << *level << 1);

		if (!levels)
			return false;
		*level = (unsigned int)__builtin_ctz(levels);
		steps = pool->steps[*level];
	}
	*step = (unsigned int)__builtin_ctz(steps);
	return true;
}

/* The first of the shortest runs of at least @length granules; NONE. */
static uint32_t at_least(struct pool *pool, uint32_t length)
{
	unsigned int level, step, first_level, first_step;
	uint32_t at;

	place(length, &first_level, &first_step);
	level = first_level;
	step = first_step;
	if (!list_from(pool, &level, &step))
		return NONE;
	at = pool->lists[level][step];
	if (level < 2)
		return at;
	if (level == first_level && step == first_step) {
		at = tree_at_least(pool, at, length);
		if (at != NONE)
			return at;
		step++;
		if (!list_from(pool, &level, &step))
			return NONE;
	}
	return tree_at_least(pool, pool->lists[level][step],
	                     (STEPS | step) << (level - 1)); /* the least of that list */
}

static uint32_t longest(struct pool *pool)
{
	unsigned int level, step;

	if (!pool->levels)
		return 0;
	level = bit_of(pool->levels);
	step = bit_of(pool->steps[level]);
	if (level < 2)
		return length_of(pool, pool->lists[level][step]);
	return tree_longest(pool, pool->lists[level][step]);
}

/* ---- runs ---- */

/* Joins a run, in no list, with its free neighbours, and lists what comes of it. */
static void join(struct pool *pool, uint32_t at, uint32_t length)
{
	uint32_t after = at + length, before;

	if (after < pool->count && state_of(pool, after) == POOL_FREE) {
		list_remove(pool, after);
		length += length_of(pool, after);
		mark(pool, after, POOL_INSIDE, 0, 0);
	}
	/* If nothing free ends there, it says anything, but not the beginning of what does. */
	before = at ? pool->entries[at - 1].first : NONE;
	if (at && before < at && state_of(pool, before) == POOL_FREE &&
	    before + length_of(pool, before) == at) {
		list_remove(pool, before);
		mark(pool, at, POOL_INSIDE, 0, 0);
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

/* A listed run that has @length aligned granules; NONE. */
static uint32_t find_free(struct pool *pool, uint32_t length, uint64_t align)
{
	uint64_t sure = length + ((align - 1) >> pool->shift);
	uint32_t at = sure <= pool->count ? at_least(pool, (uint32_t)sure) : NONE;

	if (at != NONE || sure == length)
		return at;
	at = at_least(pool, length);
	for (int looks = POOL_LOOKS; looks && at != NONE; looks--) {
		uint32_t found = length_of(pool, at), next = next_of(pool, at);

		if (skip_of(pool, at, align) + length <= found)
			return at;
		if (next == NONE && found < pool->count)
			next = at_least(pool, found + 1);
		at = next;
	}
	return NONE;
}

/* Takes @length granules for @size bytes of a listed run, @skip behind its start. */
static uint64_t carve(struct pool *pool, uint32_t at, uint32_t skip, uint32_t length, uint64_t size)
{
	uint32_t left = length_of(pool, at) - skip - length;
	uint64_t bytes = (uint64_t)length << pool->shift;

	list_remove(pool, at);
	if (skip)
		list_add(pool, at, skip);
	at += skip;
	if (left)
		list_add(pool, at + length, left);
	mark(pool, at, POOL_USED, length, (uint32_t)(bytes - size));
	pool->free -= bytes;
	return (uint64_t)at << pool->shift;
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

static uint64_t granules_of(const struct pool *pool, uint64_t size)
{
	return (size >> pool->shift) + (size & ((1ull << pool->shift) - 1) ? 1 : 0);
}

int pool_take(struct pool *pool, uint64_t size, uint64_t align, uint64_t *ret_offset)
{
	uint64_t granule = 1ull << pool->shift, length = granules_of(pool, size);
	uint32_t at;

	if (!size || align & (align - 1))
		return -EINVAL;
	if (length > pool->count)
		return -ENOMEM;
	if (align < granule)
		align = granule;
	if (align == granule && pool_take_quick(pool, length, size, ret_offset))
		return 0;
	at = find_free(pool, (uint32_t)length, align);
	if (at == NONE) {
		join_quick(pool);
		at = find_free(pool, (uint32_t)length, align);
	}
	if (at == NONE)
		return -ENOMEM;
	*ret_offset = carve(pool, at, (uint32_t)skip_of(pool, at, align), (uint32_t)length, size);
	return 0;
}

int pool_take_piece(struct pool *pool, uint64_t most, uint64_t align, uint64_t *ret_offset,
                    uint64_t *ret_size)
{
	uint64_t granule = 1ull << pool->shift, wanted = granules_of(pool, most), length;
	uint32_t at = NONE, skip;

	if (!most || align & (align - 1))
		return -EINVAL;
	if (align < granule)
		align = granule;
	join_quick(pool);
	length = longest(pool);
	for (length = wanted < length ? wanted : length; length; length /= 2) {
		at = find_free(pool, (uint32_t)length, align);
		if (at != NONE)
			break;
	}
	if (at == NONE)
		return -ENOMEM;
	skip = (uint32_t)skip_of(pool, at, align);
	length = length_of(pool, at) - skip;
	if (length < wanted)
		most = length << pool->shift;
	else
		length = wanted;
	*ret_offset = carve(pool, at, skip, (uint32_t)length, most);
	*ret_size = most;
	return 0;
}

int pool_give(struct pool *pool, uint64_t offset, uint64_t size)
{
	uint64_t length = granules_of(pool, size), at = pool_index(offset, pool->shift);

	if (at >= pool->count || !size || length > pool->count ||
	    pool_load(&pool->entries[at]) !=
	            pool_head(POOL_USED, length, (length << pool->shift) - size))
		return -EINVAL;
	if (pool_give_quick(pool, offset, length, size))
		return 0;
	pool->free += length << pool->shift;
	join(pool, (uint32_t)at, (uint32_t)length);
	return 0;
}

uint64_t pool_largest(struct pool *pool)
{
	join_quick(pool);
	return (uint64_t)longest(pool) << pool->shift;
}
