/* SPDX-License-Identifier: MIT */
/*
 * Pools, buffers and caches against a bitmap.
 *
 *     pool_oracle [ROUNDS [SEED]]
 *
 * Each round has a provider of its own, of random chunks, and does OPERATIONS random things to it.
 * Without a seed (or P2PDMA_SEED in the environment) the first is 1; a mismatch prints the seed
 * that replays it: `pool_oracle 1 SEED`.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bare.h"

#define OPERATIONS    10000
#define MOST_GRANULES 4096u /* of a chunk */
#define MOST_LIVE     4096u
#define MOST_CACHES   3
#define PIECES        8

#define CHECK(condition, ...)                                                                   \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			printf("seed %" PRIu64 ", operation %u: %s: ", round->seed, round->now, \
			       #condition);                                                     \
			printf(__VA_ARGS__);                                                    \
			printf("\n");                                                           \
			exit(1);                                                                \
		}                                                                               \
	} while (0)

struct run {
	uint32_t at, length;
};

/* What is known of a cache without looking into it. */
struct kind {
	struct p2pmem_cache *cache;
	uint64_t size, align;
	unsigned int most;
};

struct round {
	uint64_t seed, random;
	unsigned int now;
	uint64_t granule;
	unsigned int chunk_count;
	struct bare_chunk chunks[MOST_CHUNKS + 1];
	struct p2pdma_provider *provider;
	struct kind kinds[MOST_CACHES];
	unsigned int kind_count;
	uint32_t longest; /* granules asked for */
	bool is_full;     /* rather allocates than frees */

	struct p2pmem_buf live[MOST_LIVE], gone; /* gone: freed last */
	size_t live_count;
	uint64_t bytes;                               /* of what is live, in whole granules */
	bool bitmap[MOST_CHUNKS][MOST_GRANULES];      /* live */
	bool with_caches[MOST_CHUNKS][MOST_GRANULES]; /* and what they hold */
	struct run runs[MOST_CHUNKS * MOST_GRANULES]; /* free, by with_caches */
	uint64_t done, refused, unclaimed;
};

static uint64_t draw(struct round *round, uint64_t below)
{
	round->random ^= round->random << 13;
	round->random ^= round->random >> 7;
	round->random ^= round->random << 17;
	return (round->random * 0x2545f4914f6cdd1d >> 16) % below;
}

static uint64_t granules_of(const struct round *round, uint64_t size)
{
	return (size + round->granule - 1) / round->granule;
}

static unsigned int chunk_of(struct round *round, uint64_t *offset)
{
	unsigned int i = 0;

	while (i < round->chunk_count && *offset >= round->chunks[i].size)
		*offset -= round->chunks[i++].size;
	CHECK(i < round->chunk_count, "beyond the last chunk");
	return i;
}

/* ---- the bitmap ---- */

static void set(struct round *round, struct p2pmem_buf buf, bool is_used)
{
	uint64_t offset = buf.offset, length = granules_of(round, buf.size);
	unsigned int chunk = chunk_of(round, &offset);
	uint64_t at = offset / round->granule;

	CHECK(offset % round->granule == 0, "offset %" PRIx64, buf.offset);
	CHECK(offset + length * round->granule <= round->chunks[chunk].size, "spans two chunks");
	for (uint64_t i = 0; i < length; i++) {
		CHECK(round->bitmap[chunk][at + i] != is_used, "granule %" PRIu64 " twice", at + i);
		round->bitmap[chunk][at + i] = is_used;
	}
	round->bytes += is_used ? length * round->granule : -(length * round->granule);
}

static void add(struct round *round, struct p2pmem_buf buf, uint64_t align)
{
	CHECK(buf.provider == round->provider, "somebody else's");
	CHECK(!align || p2pmem_bus(buf).addr % align == 0, "address %" PRIx64,
	      p2pmem_bus(buf).addr);
	set(round, buf, true);
	round->live[round->live_count++] = buf;
}

static struct p2pmem_buf drop(struct round *round, size_t i)
{
	struct p2pmem_buf buf = round->live[i];

	round->live[i] = round->live[--round->live_count];
	set(round, buf, false);
	return buf;
}

/* Looks into the tables for what the caches hold. */
static void add_cached(struct round *round)
{
	uint64_t cached = 0;

	memcpy(round->with_caches, round->bitmap, sizeof(round->bitmap));
	for (unsigned int chunk = 0; chunk < round->chunk_count; chunk++) {
		const struct pool *pool = round->provider->chunks[chunk].pool;

		for (uint32_t i = 0; i < pool->count; i++) {
			uint64_t head = pool_load(&pool->entries[i]);
			uint32_t length = head & ((1u << POOL_LENGTH_BITS) - 1);

			if ((uint32_t)head >> POOL_LENGTH_BITS != POOL_PARKED)
				continue;
			cached += length * round->granule - (head >> 32);
			for (uint32_t j = i; j < i + length; j++) {
				CHECK(!round->with_caches[chunk][j], "granule %u in use", j);
				round->with_caches[chunk][j] = true;
			}
		}
	}
	CHECK(cached == caches_bytes(round->provider), "caches hold %" PRIu64, cached);
}

/* The free runs of a chunk. */
static size_t find_runs(struct round *round, unsigned int chunk, struct run *runs)
{
	uint32_t count = (uint32_t)(round->chunks[chunk].size / round->granule), length;
	const bool *bitmap = round->with_caches[chunk];
	size_t found = 0;

	for (uint32_t at = 0; at < count; at += length + 1) {
		for (length = 0; at + length < count && !bitmap[at + length];)
			length++;
		if (length)
			runs[found++] = (struct run){ at, length };
	}
	return found;
}

enum claim { MUST, MAY, MUST_NOT };

/* Whether there is a run; MAY: one that the pool need not look at. */
static enum claim judge(struct round *round, uint64_t size, uint64_t align)
{
	uint64_t length = granules_of(round, size);
	enum claim claim = MUST_NOT;

	align = align > round->granule ? align : round->granule;
	for (unsigned int chunk = 0; chunk < round->chunk_count; chunk++) {
		size_t count = find_runs(round, chunk, round->runs), long_enough = 0;
		bool fits = false;

		for (size_t i = 0; i < count; i++) {
			const struct run *run = &round->runs[i];
			uint64_t bus = round->chunks[chunk].bus + run->at * round->granule;
			uint64_t skip = (-bus & (align - 1)) / round->granule;

			long_enough += run->length >= length;
			fits |= skip + length <= run->length;
		}
		if (fits && (align == round->granule || long_enough <= POOL_LOOKS))
			return MUST;
		if (fits)
			claim = MAY;
	}
	return claim;
}

static int compare_runs(const void *left, const void *right)
{
	const struct run *a = left, *b = right;

	return (a->length < b->length) - (a->length > b->length);
}

/* Whether the longest runs make up the size, at the least alignment. */
static bool adds_up(struct round *round, uint64_t size, size_t most)
{
	uint64_t length = granules_of(round, size), sum = 0;
	size_t count = 0;

	for (unsigned int chunk = 0; chunk < round->chunk_count; chunk++)
		count += find_runs(round, chunk, round->runs + count);
	qsort(round->runs, count, sizeof(round->runs[0]), compare_runs);
	for (size_t i = 0; i < count && i < most; i++)
		sum += round->runs[i].length;
	return sum >= length;
}

static void check_sums(struct round *round)
{
	struct p2pdma_provider_info info = bare_info(round->provider);
	uint64_t free = 0;
	uint32_t longest = 0;

	add_cached(round);
	for (unsigned int chunk = 0; chunk < round->chunk_count; chunk++) {
		size_t count = find_runs(round, chunk, round->runs);

		for (size_t i = 0; i < count; i++) {
			free += round->runs[i].length * round->granule;
			if (round->runs[i].length > longest)
				longest = round->runs[i].length;
		}
	}
	CHECK(info.free == free, "%" PRIu64 " free, not %" PRIu64, free, info.free);
	CHECK(info.largest == longest * round->granule, "%u granules", longest);
	/* Those in caches are of few sizes; their sum was looked at. */
	CHECK(info.buffers >= round->live_count, "%" PRIu64 " buffers", info.buffers);
	CHECK(info.cached || info.buffers == round->live_count, "%" PRIu64 " buffers",
	      info.buffers);
}

/* ---- operations ---- */

static uint64_t draw_size(struct round *round)
{
	uint64_t length =
		1 + draw(round, draw(round, 4) ? 1 + round->longest / 16 : round->longest);

	return length * round->granule - (draw(round, 2) ? draw(round, round->granule) : 0);
}

static uint64_t draw_align(struct round *round)
{
	return draw(round, 4) ? 0 : round->granule / 2 << draw(round, 9);
}

static void do_alloc(struct round *round)
{
	uint64_t size = draw_size(round), align = draw_align(round);
	struct p2pmem_buf buf;
	enum claim claim;
	int r;

	r = p2pmem_alloc(round->provider, size, align, &buf);
	if (!r) {
		CHECK(buf.size == size, "%" PRIu64 " bytes", buf.size);
		add(round, buf, align);
		return;
	}
	CHECK(r == -ENOMEM, "%d", r);
	add_cached(round);
	claim = judge(round, size, align);
	CHECK(claim != MUST, "%" PRIu64 " bytes, align %" PRIx64, size, align);
	round->refused++;
	round->unclaimed += claim == MAY;
}

static void do_alloc_sgl(struct round *round)
{
	uint64_t size = draw_size(round) * (1 + draw(round, 4)), align = draw_align(round), sum = 0;
	size_t most = 1 + draw(round, PIECES), count = 0;
	struct p2pmem_buf bufs[PIECES];
	int r;

	if (round->live_count + PIECES > MOST_LIVE)
		return;
	r = p2pmem_alloc_sgl(round->provider, size, align, most, bufs, &count);
	if (r) {
		CHECK(r == -ENOMEM, "%d", r);
		add_cached(round);
		CHECK(judge(round, size, align) != MUST, "%" PRIu64 " bytes", size);
		CHECK(align > round->granule || !adds_up(round, size, most),
		      "%" PRIu64 " bytes, %zu pieces", size, most);
		round->refused++;
		return;
	}
	CHECK(count && count <= most, "%zu pieces", count);
	for (size_t i = 0; i < count; i++) {
		CHECK(i == count - 1 || bufs[i].size % round->granule == 0, "%" PRIu64 " bytes",
		      bufs[i].size);
		sum += bufs[i].size;
		add(round, bufs[i], align);
	}
	CHECK(sum == size, "%" PRIu64 " bytes, not %" PRIu64, sum, size);
}

static void do_cache_alloc(struct round *round, struct kind *kind)
{
	struct p2pmem_buf buf;
	int r = p2pmem_cache_alloc(kind->cache, &buf);

	if (!r) {
		CHECK(buf.size == kind->size, "%" PRIu64 " bytes", buf.size);
		add(round, buf, kind->align);
		return;
	}
	CHECK(r == -ENOMEM, "%d", r);
	add_cached(round);
	CHECK(judge(round, kind->size, kind->align) != MUST, "%" PRIu64 " bytes", kind->size);
	round->refused++;
}

/* What is no buffer, or is not so any more. */
static void do_wrong_free(struct round *round)
{
	struct p2pmem_buf buf = round->live[draw(round, round->live_count)], wrong = buf;
	struct kind *kind = &round->kinds[draw(round, MOST_CACHES)];

	switch (draw(round, 6)) {
	case 0:
		wrong.size += 1 - 2 * draw(round, 2);
		break;
	case 1:
		wrong.offset += round->granule;
		break;
	case 2:
		wrong.offset ^= 1 + draw(round, round->granule - 1);
		break;
	case 3:
		wrong.size = round->random;
		break;
	case 4:
		wrong.offset = round->random;
		break;
	default:
		wrong = round->gone;
	}
	/* It may be a buffer all the same. */
	for (size_t i = 0; i < round->live_count; i++)
		if (round->live[i].offset == wrong.offset && round->live[i].size == wrong.size)
			return;
	if (kind->cache && draw(round, 2))
		CHECK(p2pmem_cache_put(kind->cache, wrong) == -EINVAL, "%" PRIx64, wrong.offset);
	else
		CHECK(p2pmem_free(wrong) == -EINVAL, "%" PRIx64, wrong.offset);
}

static void do_free(struct round *round)
{
	struct p2pmem_buf buf = drop(round, draw(round, round->live_count));
	struct kind *kind = &round->kinds[draw(round, MOST_CACHES)];
	int r = -EINVAL;

	round->gone = buf;
	if (kind->cache) {
		uint64_t align = kind->align ? kind->align : 1;
		bool fits = buf.size == kind->size && p2pmem_bus(buf).addr % align == 0;

		r = p2pmem_cache_put(kind->cache, buf);
		CHECK(!r == fits, "%d", r);
	}
	CHECK(!r || !p2pmem_free(buf), "%" PRIx64, buf.offset);
}

static void do_one(struct round *round)
{
	unsigned int what = (unsigned int)draw(round, 100);
	bool is_full = round->live_count == MOST_LIVE;
	struct kind *kind = &round->kinds[draw(round, MOST_CACHES)];

	if (what < 4) {
		check_sums(round);
	} else if (what < 8 && round->live_count) {
		do_wrong_free(round);
	} else if (what < 10 && kind->cache) {
		p2pmem_cache_flush(kind->cache);
	} else if (what < (round->is_full ? 60 : 54) && !is_full) {
		if (kind->cache && draw(round, 2))
			do_cache_alloc(round, kind);
		else if (draw(round, 8))
			do_alloc(round);
		else
			do_alloc_sgl(round);
	} else if (round->live_count) {
		do_free(round);
	}
}

/* ---- rounds ---- */

static void start(struct round *round)
{
	uint32_t most = 16u << draw(round, 9);

	round->granule = POOL_GRANULE_LEAST << draw(round, 16);
	round->longest = 1u << draw(round, 1 + (unsigned int)__builtin_ctz(most));
	round->is_full = draw(round, 2);
	round->chunk_count = 1 + (unsigned int)(draw(round, 2) ? draw(round, MOST_CHUNKS) : 0);
	for (unsigned int i = 0; i < round->chunk_count; i++) {
		round->chunks[i].bus = draw(round, 1 << 20) * round->granule;
		round->chunks[i].size = (1 + draw(round, most)) * round->granule;
	}
	round->provider = bare_new(round->granule, round->chunks, false);
	CHECK(round->provider, "out of memory");
	round->kind_count = (unsigned int)draw(round, MOST_CACHES + 1);
	for (unsigned int i = 0; i < round->kind_count; i++) {
		struct kind *kind = &round->kinds[i];

		kind->size = draw_size(round);
		kind->align = draw_align(round);
		kind->most = 2 + (unsigned int)draw(round, 20);
		CHECK(!p2pmem_cache_new(round->provider, kind->size, kind->align, kind->most,
		                        &kind->cache),
		      "out of memory");
	}
}

static void end(struct round *round)
{
	unsigned int freed = bare_freed;
	struct p2pdma_provider_info info;

	while (round->live_count)
		do_free(round);
	for (unsigned int i = 0; i < round->kind_count; i++)
		p2pmem_cache_free(round->kinds[i].cache);
	info = bare_info(round->provider);
	CHECK(!info.buffers && info.free == info.total, "%" PRIu64 " buffers", info.buffers);
	for (unsigned int i = 0; i < round->chunk_count; i++)
		CHECK(pool_largest(round->provider->chunks[i].pool) == round->chunks[i].size,
		      "chunk %u is not one run", i);
	p2pdma_provider_put(round->provider);
	CHECK(bare_freed == freed + 1, "the provider was not freed");
}

int main(int argc, char **argv)
{
	const char *environment = getenv("P2PDMA_SEED");
	const char *seed = argc > 2 ? argv[2] : environment ? environment : "1";
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 0) : 30,
		 first = strtoull(seed, NULL, 0);
	struct round *round = malloc(sizeof(*round));
	uint64_t refused = 0, unclaimed = 0;

	if (!round || !count) {
		fprintf(stderr, "usage: %s [ROUNDS [SEED]]; P2PDMA_SEED is a number\n", argv[0]);
		return 2;
	}
	printf("%" PRIu64 " operations from seed %" PRIu64 "\n", count * OPERATIONS, first);
	fflush(stdout);
	for (uint64_t i = 0; i < count; i++) {
		memset(round, 0, sizeof(*round));
		round->seed = first + i;
		round->random = (first + i) * 0x9e3779b97f4a7c15 | 1;
		start(round);
		for (; round->now < OPERATIONS; round->now++)
			do_one(round);
		end(round);
		refused += round->refused;
		unclaimed += round->unclaimed;
	}
	printf("%" PRIu64 " refused, %" PRIu64 " of them though a run was there\n", refused,
	       unclaimed);
	free(round);
	return 0;
}
