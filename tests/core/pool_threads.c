/* SPDX-License-Identifier: MIT */
/*
 * One provider, several threads: shared allocation, pieces, caches, what is passed from one thread
 * to another.
 *
 *     pool_threads [OPERATIONS]
 *
 * Each stamps every granule of what it has got with its number, and finds it there when it gives it
 * back: two that had the same would see it.  In the end all is free, and one run.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "bare.h"

#define GRANULE 4096u
#define FIRST   512u /* granules of the first chunk */
#define LAST    256u
#define THREADS 4u
#define HELD    48u /* buffers of a thread */
#define PIECES  6u
#define SHELVES 8u

#define CHECK(condition)                                                                \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

static const struct bare_chunk chunks[] = { { GRANULE, FIRST *GRANULE },
	                                    { 1024 * GRANULE, LAST *GRANULE },
	                                    { 0 } };

struct shelf {
	pthread_mutex_t lock;
	struct p2pmem_buf buf; /* no provider: none */
};

static struct p2pdma_provider *provider;
static atomic_uint owners[FIRST + LAST];
static struct shelf shelves[SHELVES];
static unsigned int operations;

struct worker {
	pthread_t thread;
	unsigned int number;
	uint64_t random;
	struct p2pmem_cache *small, *large; /* of one granule, of three */
	struct p2pmem_buf bufs[HELD + PIECES];
	unsigned int count;
};

static unsigned int draw(struct worker *worker, unsigned int below)
{
	worker->random ^= worker->random << 13;
	worker->random ^= worker->random >> 7;
	worker->random ^= worker->random << 17;
	return (unsigned int)(worker->random >> 33) % below;
}

static void stamp(struct p2pmem_buf buf, unsigned int from, unsigned int to)
{
	for (uint64_t at = buf.offset; at < buf.offset + buf.size; at += GRANULE)
		CHECK(atomic_exchange_explicit(&owners[at / GRANULE], to, memory_order_relaxed) ==
		      from);
}

static void hold(struct worker *worker, struct p2pmem_buf buf)
{
	stamp(buf, 0, worker->number);
	worker->bufs[worker->count++] = buf;
}

static void get_one(struct worker *worker)
{
	struct p2pmem_buf bufs[PIECES];
	size_t count = 1;
	int r;

	switch (draw(worker, 8)) {
	case 0:
	case 1:
	case 2:
		r = p2pmem_cache_alloc(worker->small, bufs);
		break;
	case 3:
	case 4:
		r = p2pmem_cache_alloc(worker->large, bufs);
		break;
	case 5:
		r = p2pmem_alloc(provider, GRANULE, 0, bufs);
		break;
	case 6:
		r = p2pmem_alloc(provider, 1 + draw(worker, 16 * GRANULE),
		                 GRANULE << draw(worker, 4), bufs);
		break;
	default:
		r = p2pmem_alloc_sgl(provider, 1 + draw(worker, 64 * GRANULE), 0, PIECES, bufs,
		                     &count);
	}
	CHECK(!r || r == -ENOMEM);
	for (size_t i = 0; !r && i < count; i++)
		hold(worker, bufs[i]);
}

static void put_one(struct worker *worker)
{
	struct p2pmem_buf buf;
	unsigned int i = draw(worker, worker->count);

	buf = worker->bufs[i];
	worker->bufs[i] = worker->bufs[--worker->count];
	stamp(buf, worker->number, 0);
	if (p2pmem_cache_put(worker->small, buf) && p2pmem_cache_put(worker->large, buf))
		CHECK(!p2pmem_free(buf));
}

/* Puts one on a shelf, and takes what was there. */
static void pass_on(struct worker *worker)
{
	struct shelf *shelf = &shelves[draw(worker, SHELVES)];
	struct p2pmem_buf buf = { NULL, 0, 0 }, found;

	if (worker->count) {
		buf = worker->bufs[--worker->count];
		stamp(buf, worker->number, THREADS + 1);
	}
	pthread_mutex_lock(&shelf->lock);
	found = shelf->buf;
	shelf->buf = buf;
	pthread_mutex_unlock(&shelf->lock);
	if (!found.provider)
		return;
	stamp(found, THREADS + 1, worker->number);
	worker->bufs[worker->count++] = found;
}

static void *work(void *argument)
{
	struct worker *worker = argument;

	CHECK(!p2pmem_cache_new(provider, GRANULE, 0, 16, &worker->small));
	CHECK(!p2pmem_cache_new(provider, 3 * GRANULE - 7, 2 * GRANULE, 8, &worker->large));
	for (unsigned int i = 0; i < operations; i++) {
		unsigned int what = draw(worker, 100);

		if (what < 2)
			bare_info(provider);
		else if (what < 3)
			p2pmem_cache_flush(worker->small);
		else if (what < 12)
			pass_on(worker);
		else if (what < 58 && worker->count < HELD)
			get_one(worker);
		else if (worker->count)
			put_one(worker);
	}
	while (worker->count)
		put_one(worker);
	p2pmem_cache_free(worker->small);
	p2pmem_cache_free(worker->large);
	return NULL;
}

static void run(unsigned int threads)
{
	struct worker *workers = calloc(threads, sizeof(*workers));
	struct p2pdma_provider_info info;

	provider = bare_new(GRANULE, chunks, false);
	CHECK(workers && provider);
	for (unsigned int i = 0; i < threads; i++) {
		workers[i].number = i + 1;
		workers[i].random = 0x5eed + i;
		CHECK(!pthread_create(&workers[i].thread, NULL, work, &workers[i]));
	}
	for (unsigned int i = 0; i < threads; i++)
		CHECK(!pthread_join(workers[i].thread, NULL));
	free(workers);
	for (unsigned int i = 0; i < SHELVES; i++) {
		struct p2pmem_buf buf = shelves[i].buf;

		if (!buf.provider)
			continue;
		stamp(buf, THREADS + 1, 0);
		CHECK(!p2pmem_free(buf));
		shelves[i].buf.provider = NULL;
	}
	info = bare_info(provider);
	CHECK(!info.buffers && !info.cached && info.free == info.total);
	for (unsigned int i = 0; i < 2; i++)
		CHECK(pool_largest(provider->chunks[i].pool) == chunks[i].size);
	p2pdma_provider_put(provider);
	CHECK(bare_freed == 1);
	bare_freed = 0;
}

int main(int argc, char **argv)
{
	operations = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 0) : 100000;
	for (unsigned int i = 0; i < SHELVES; i++)
		CHECK(!pthread_mutex_init(&shelves[i].lock, NULL));
	for (unsigned int threads = 1; threads <= THREADS; threads *= 2)
		run(threads);
	printf("1, 2 and %u threads, %u operations each\n", THREADS, operations);
	return 0;
}
