/* SPDX-License-Identifier: MIT */
/*
 * test_pool.c - pools: sizes, alignment, joining, what fits best, and what is refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "callocs.h"
#include "pool.h"

#define PAGE  4096u
#define LEFT  0xdeadu /* in outputs that are not to be touched */
#define COUNT 600u

static struct pool *new (uint64_t base, uint64_t size, uint64_t granule)
{
	struct pool *pool = NULL;

	assert_int_equal(pool_new(base, size, granule, &pool), 0);
	return pool;
}

static uint64_t take(struct pool *pool, uint64_t size, uint64_t align)
{
	uint64_t offset = LEFT;
	int r = pool_take(pool, size, align, &offset);

	if (r) {
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(offset, LEFT);
		return UINT64_MAX;
	}
	return offset;
}

/* All is free, and one run. */
static void end(struct pool *pool, uint64_t size)
{
	assert_int_equal(pool->free, size);
	assert_int_equal(pool_largest(pool), size);
	assert_int_equal(take(pool, size, 0), 0);
	assert_null(pool_free(pool));
}

static void what_is_no_pool_is_refused(void **state)
{
	static const struct {
		uint64_t base, size, granule;
		int result;
	} rows[] = {
		{ 0, PAGE, 32, -EINVAL },
		{ 0, PAGE, 0, -EINVAL },
		{ 0, PAGE, 96, -EINVAL },
		{ 0, 4u << 20, 4u << 20, -EINVAL },
		{ 0, 0, PAGE, -EINVAL },
		{ 0, PAGE + 64, PAGE, -EINVAL },
		{ 64, PAGE, PAGE, -EINVAL },
		{ 0, 64ull << POOL_LENGTH_BITS, 64, -E2BIG },
		{ 0, UINT64_MAX << 21, 2u << 20, -E2BIG },
	};
	struct pool *pool = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(pool_new(rows[i].base, rows[i].size, rows[i].granule, &pool),
		                 rows[i].result);
	for (int i = 0; i < 2; i++) {
		callocs_left = i;
		assert_int_equal(pool_new(0, PAGE, PAGE, &pool), -ENOMEM);
	}
	callocs_left = -1;
	assert_null(pool);
	assert_null(pool_free(NULL));
}

static void sizes_and_alignments_that_make_no_sense_are_refused(void **state)
{
	struct pool *pool = new (PAGE, 16 * PAGE, PAGE);
	uint64_t offset = LEFT, size = LEFT;

	(void)state;
	assert_int_equal(pool_take(pool, 0, 0, &offset), -EINVAL);
	assert_int_equal(pool_take(pool, 1, 3, &offset), -EINVAL);
	assert_int_equal(pool_take(pool, 1, UINT64_MAX, &offset), -EINVAL);
	assert_int_equal(pool_take_piece(pool, 0, 0, &offset, &size), -EINVAL);
	assert_int_equal(pool_take_piece(pool, 1, 6, &offset, &size), -EINVAL);
	assert_int_equal(pool_take(pool, 16 * PAGE + 1, 0, &offset), -ENOMEM);
	assert_int_equal(pool_take(pool, UINT64_MAX, 0, &offset), -ENOMEM);
	assert_int_equal(pool_take(pool, PAGE, 1ull << 63, &offset), -ENOMEM);
	assert_int_equal(pool_take_piece(pool, PAGE, 1ull << 63, &offset, &size), -ENOMEM);
	assert_int_equal(offset, LEFT);
	assert_int_equal(size, LEFT);
	end(pool, 16 * PAGE);
}

static void only_what_was_taken_is_given_back(void **state)
{
	struct pool *pool = new (0, 64 * PAGE, PAGE);
	const uint64_t sizes[] = { 3 * PAGE - 100, 40 * PAGE - 1 }; /* quick lists have no 40 */

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		uint64_t size = sizes[i], at = take(pool, size, 0), free = pool->free;
		const struct {
			uint64_t offset, size;
		} wrong[] = {
			{ at, size + 1 },    { at, size - 1 },
			{ at, size + 99 },   { at, size + PAGE },
			{ at, 0 },           { at, UINT64_MAX },
			{ at + PAGE, size }, { at + PAGE, PAGE },
			{ at + 64, size },   { at + 1, size },
			{ 64 * PAGE, PAGE }, { 60 * PAGE, PAGE },
			{ UINT64_MAX, 1 },   { 1ull << 63, PAGE },
			{ at - PAGE, PAGE },
		};

		for (size_t j = 0; j < sizeof(wrong) / sizeof(wrong[0]); j++)
			assert_int_equal(pool_give(pool, wrong[j].offset, wrong[j].size), -EINVAL);
		assert_int_equal(pool->free, free);
		assert_int_equal(pool_give(pool, at, size), 0);
		assert_int_equal(pool_give(pool, at, size), -EINVAL);
		assert_int_equal(pool_largest(pool), 64 * PAGE);
		assert_int_equal(pool_give(pool, at, size), -EINVAL);
	}
	end(pool, 64 * PAGE);
}

static void alignment_is_of_the_bus_address(void **state)
{
	const uint64_t base = 5 * PAGE;
	struct pool *pool = new (base, 1024 * PAGE, PAGE);

	(void)state;
	for (uint64_t align = 1; align <= 512 * PAGE; align *= 2) {
		uint64_t at = take(pool, 2 * PAGE, align);

		assert_int_not_equal(at, UINT64_MAX);
		assert_int_equal((base + at) % align, 0);
		assert_int_equal(pool_give(pool, at, 2 * PAGE), 0);
	}
	/* 4 MiB is in it, 8 MiB is not. */
	assert_int_equal(take(pool, PAGE, 1024 * PAGE), 1019 * PAGE);
	assert_int_equal(take(pool, PAGE, 2048 * PAGE), UINT64_MAX);
	assert_int_equal(pool_give(pool, 1019 * PAGE, PAGE), 0);
	/* What just fits, and one granule more. */
	assert_int_equal(take(pool, 1013 * PAGE, 16 * PAGE), 11 * PAGE);
	assert_int_equal(pool_give(pool, 11 * PAGE, 1013 * PAGE), 0);
	assert_int_equal(take(pool, 1014 * PAGE, 16 * PAGE), UINT64_MAX);
	end(pool, 1024 * PAGE);
}

static void all_comes_together_again(void **state)
{
	(void)state;
	for (uint64_t granule = POOL_GRANULE_LEAST; granule <= POOL_GRANULE_MOST; granule *= 2) {
		struct pool *pool = new (granule, COUNT * granule, granule);

		/* From the front, from behind, and each second first. */
		for (unsigned int order = 0; order < 3; order++) {
			for (unsigned int i = 0; i < COUNT; i++)
				assert_int_equal(take(pool, granule, 0), i * granule);
			assert_int_equal(take(pool, 1, 0), UINT64_MAX);
			assert_int_equal(pool->free, 0);
			assert_int_equal(pool_largest(pool), 0);
			for (unsigned int i = 0; i < COUNT; i++) {
				uint64_t at = order == 0   ? i
				              : order == 1 ? COUNT - 1 - i
				                           : i * 2 % COUNT + (i * 2 >= COUNT);

				assert_int_equal(pool_give(pool, at * granule, granule), 0);
				assert_int_equal(pool->free, (i + 1) * granule);
			}
			assert_int_equal(pool_largest(pool), COUNT * granule);
		}
		end(pool, COUNT * granule);
	}
}

static void quick_lists_give_way(void **state)
{
	struct pool *pool = new (0, 32 * PAGE, PAGE);

	(void)state;
	for (unsigned int i = 0; i < 32; i++)
		take(pool, PAGE, 0);
	for (unsigned int i = 0; i < 32; i++)
		pool_give(pool, i * PAGE, PAGE);
	/* They lie apart, and yet: */
	assert_int_equal(take(pool, 32 * PAGE, 0), 0);
	assert_int_equal(pool_give(pool, 0, 32 * PAGE), 0);
	end(pool, 32 * PAGE);
}

static uint64_t draw(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random >> 11;
}

/* Many runs too long for quick lists, each by itself: the shortest that does is taken from. */
static void the_run_that_fits_best_is_taken(void **state)
{
	static const uint32_t ranges[] = { 2, 30, 300, 2000 };
	uint64_t random = 0x5eed, total = 0, at;
	uint32_t lengths[COUNT], starts[COUNT];

	(void)state;
	for (size_t range = 0; range < sizeof(ranges) / sizeof(ranges[0]); range++) {
		struct pool *pool = new (0, (uint64_t)COUNT * 2040 * PAGE, PAGE);

		for (unsigned int i = 0; i < COUNT; i++) {
			lengths[i] = 33 + (uint32_t)(draw(&random) % ranges[range]);
			starts[i] = (uint32_t)(take(pool, (uint64_t)lengths[i] * PAGE, 0) / PAGE);
			take(pool, PAGE, 0);
		}
		take(pool, pool_largest(pool), 0);
		for (unsigned int i = 0; i < COUNT; i++)
			assert_int_equal(pool_give(pool, (uint64_t)starts[i] * PAGE,
			                           (uint64_t)lengths[i] * PAGE),
			                 0);
		for (unsigned int step = 0; step < 4 * COUNT; step++) {
			uint32_t wanted = 33 + (uint32_t)(draw(&random) % ranges[range]), best = 0;
			uint32_t longest = 0, i;

			for (i = 0; i < COUNT; i++) {
				if (lengths[i] > longest)
					longest = lengths[i];
				if (lengths[i] >= wanted && (!best || lengths[i] < best))
					best = lengths[i];
			}
			assert_int_equal(pool_largest(pool), (uint64_t)longest * PAGE);
			at = take(pool, (uint64_t)wanted * PAGE, 0);
			if (!best) {
				assert_int_equal(at, UINT64_MAX);
				continue;
			}
			for (i = 0; i < COUNT && starts[i] != at / PAGE; i++)
				;
			assert_in_range(i, 0, COUNT - 1);
			assert_int_equal(lengths[i], best);
			/* Half of them stay away; the others are whole again. */
			if (draw(&random) % 2)
				lengths[i] = 0;
			else
				assert_int_equal(pool_give(pool, at, (uint64_t)wanted * PAGE), 0);
			if (lengths[i])
				continue;
			total += best;
			assert_int_equal(pool_give(pool, at, (uint64_t)wanted * PAGE), 0);
			assert_int_equal(take(pool, (uint64_t)best * PAGE, 0) / PAGE, starts[i]);
		}
		pool_free(pool);
	}
	assert_in_range(total, COUNT, UINT32_MAX);
}

/* Free runs that are long enough but aligned only in the last of them, in the order of looking. */
static void so_many_runs_are_looked_at(void **state)
{
	const unsigned int granules = 4 * (POOL_LOOKS + 8);

	(void)state;
	for (unsigned int runs = POOL_LOOKS - 1; runs <= POOL_LOOKS; runs++) {
		struct pool *pool = new (0, granules * PAGE, PAGE);

		for (unsigned int i = 0; i < granules; i++)
			take(pool, PAGE, 0);
		/* The last given is the first of its list, and one of two is longer than one. */
		pool_give(pool, 4 * (POOL_LOOKS + 4) * PAGE, PAGE);
		pool_give(pool, (4 * (POOL_LOOKS + 4) + 1) * PAGE, PAGE);
		for (unsigned int i = 0; i < runs; i++)
			pool_give(pool, (4 * i + 1) * PAGE, PAGE);
		/* Two granules are sure to have an aligned one. */
		assert_int_equal(take(pool, PAGE, 2 * PAGE), 4 * (POOL_LOOKS + 4) * PAGE);
		pool_give(pool, 4 * (POOL_LOOKS + 4) * PAGE, PAGE);
		/* At 4, they are not, but looked at after the others. */
		assert_int_equal(take(pool, PAGE, 4 * PAGE),
		                 runs < POOL_LOOKS ? 4 * (POOL_LOOKS + 4) * PAGE : UINT64_MAX);
		pool_free(pool);
	}
}

static void pieces_come_from_the_longest_run(void **state)
{
	struct pool *pool = new (PAGE, 200 * PAGE, PAGE);
	uint64_t offset, size;

	(void)state;
	/* Free: 0-9, 20-69, 80-119. */
	assert_int_equal(take(pool, 200 * PAGE, 0), 0);
	assert_int_equal(pool_give(pool, 0, 200 * PAGE), 0);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(take(pool, 10 * PAGE, 0), 10 * i * PAGE);
	for (unsigned int i = 0; i < 12; i++)
		if (i != 1 && i != 7)
			pool_give(pool, 10 * i * PAGE, 10 * PAGE);
	assert_int_equal(pool_take_piece(pool, 1000 * PAGE, 0, &offset, &size), 0);
	assert_int_equal(offset, 20 * PAGE);
	assert_int_equal(size, 50 * PAGE);
	assert_int_equal(pool_take_piece(pool, 38 * PAGE + 1, 0, &offset, &size), 0);
	assert_int_equal(offset, 80 * PAGE);
	assert_int_equal(size, 38 * PAGE + 1);
	assert_int_equal(pool_give(pool, offset, size), 0);
	/* What is left of a piece fits best. */
	assert_int_equal(pool_take_piece(pool, 9 * PAGE, 0, &offset, &size), 0);
	assert_int_equal(offset, 0);
	assert_int_equal(pool_give(pool, offset, size), 0);
	/* Aligned: at the bus addresses of 31, 63, 95. */
	assert_int_equal(pool_take_piece(pool, 1000 * PAGE, 32 * PAGE, &offset, &size), 0);
	assert_int_equal(offset, 95 * PAGE);
	assert_int_equal(size, 25 * PAGE);
	assert_int_equal(pool_take_piece(pool, PAGE, 32 * PAGE, &offset, &size), -ENOMEM);
	assert_int_equal(pool_take_piece(pool, PAGE, 4 * PAGE, &offset, &size), 0);
	assert_int_equal((offset + PAGE) % (4 * PAGE), 0);
	while (!pool_take_piece(pool, 7 * PAGE, 0, &offset, &size))
		;
	assert_int_equal(pool->free, 0);
	pool_free(pool);
}

static void a_large_pool_costs_nothing_yet(void **state)
{
	struct pool *pool = new (0, 64ull << 30, PAGE);
	uint64_t at;

	(void)state;
	at = take(pool, 1ull << 30, 1ull << 30);
	assert_int_equal(at % (1ull << 30), 0);
	assert_int_equal(pool_give(pool, at, 1ull << 30), 0);
	end(pool, 64ull << 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_pool_is_refused),
		cmocka_unit_test(sizes_and_alignments_that_make_no_sense_are_refused),
		cmocka_unit_test(only_what_was_taken_is_given_back),
		cmocka_unit_test(alignment_is_of_the_bus_address),
		cmocka_unit_test(all_comes_together_again),
		cmocka_unit_test(quick_lists_give_way),
		cmocka_unit_test(the_run_that_fits_best_is_taken),
		cmocka_unit_test(so_many_runs_are_looked_at),
		cmocka_unit_test(pieces_come_from_the_longest_run),
		cmocka_unit_test(a_large_pool_costs_nothing_yet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
