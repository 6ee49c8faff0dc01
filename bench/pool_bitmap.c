/* SPDX-License-Identifier: MIT */
/*
 * A mutex and a bitmap that is searched for the first run that is long enough: what Linux's
 * gen_pool, and with it pci_alloc_p2pmem(), does.
 */
#include <pthread.h>
#include <stdbool.h>

#include "contender.h"

#define WORD 64u

struct map {
	pthread_mutex_t lock;
	uint64_t count;
	uint64_t *words;
};

struct piece {
	uint64_t at, length;
};

/* The first bit from @at on, before @end, that is set; with all bits in @flip: that is not. */
static uint64_t find(const struct map *map, uint64_t at, uint64_t end, uint64_t flip)
{
	while (at < end) {
		uint64_t word = (map->words[at / WORD] ^ flip) >> at % WORD;

		if (word) {
			at += (uint64_t)__builtin_ctzll(word);
			return at < end ? at : end;
		}
		at = (at / WORD + 1) * WORD;
	}
	return end;
}

static void set(struct map *map, uint64_t at, uint64_t length, bool is_set)
{
	for (uint64_t end = at + length, step; at < end; at += step) {
		uint64_t bits;

		step = WORD - at % WORD < end - at ? WORD - at % WORD : end - at;
		bits = ~0ull >> (WORD - step) << at % WORD;
		if (is_set)
			map->words[at / WORD] |= bits;
		else
			map->words[at / WORD] &= ~bits;
	}
}

static int take(struct map *map, uint64_t size, struct piece *ret_piece)
{
	uint64_t length = (size + PAGE - 1) / PAGE, at, end = 0;
	bool is_there;

	pthread_mutex_lock(&map->lock);
	do {
		at = find(map, end, map->count, ~0ull);
		is_there = length <= map->count - at;
		end = is_there ? find(map, at, at + length, 0) : at;
	} while (is_there && end < at + length);
	if (is_there)
		set(map, at, length, true);
	pthread_mutex_unlock(&map->lock);
	*ret_piece = (struct piece){ at, length };
	return !is_there;
}

static void give(struct map *map, struct piece piece)
{
	pthread_mutex_lock(&map->lock);
	set(map, piece.at, piece.length, false);
	pthread_mutex_unlock(&map->lock);
}

#define ITEM                     struct piece
#define HOLDER                   struct map
#define TAKE(holder, size, item) take(holder, size, item)
#define GIVE(holder, item)       give(holder, *(item))
#include "pool_work.h"

static void *start(uint64_t size)
{
	struct map *map = calloc(1, sizeof(*map));

	work_must(!map || pthread_mutex_init(&map->lock, NULL));
	map->count = size / PAGE;
	map->words = calloc(map->count / WORD + 1, sizeof(*map->words));
	work_must(!map->words);
	return map;
}

static void stop(void *pool)
{
	struct map *map = pool;

	pthread_mutex_destroy(&map->lock);
	free(map->words);
	free(map);
}

static double run(void *pool, struct job *job)
{
	return work_run(pool, job);
}

static void clear(void *pool, struct job *job)
{
	work_clear(pool, job);
}

const struct contender bitmap = { "mutex + bitmap", ~0u, start, stop, run, clear };
