/* SPDX-License-Identifier: MIT */
/*
 * test_p2pmem.c - buffers and caches of a provider without a machine.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "bare.h"
#include "callocs.h"

#define PAGE  4096u
#define FIRST 16u /* pages of the first chunk */
#define LAST  5u  /* and of the second */

static const struct bare_chunk chunks[] = { { PAGE, FIRST *PAGE },
	                                    { 7 * PAGE, LAST *PAGE },
	                                    { 0 } };
static const struct bare_chunk pages[] = { { 0, 64 * PAGE }, { 0 } };
static const struct p2pmem_buf untouched = { (void *)&chunks, 1, 2 };

static struct p2pdma_provider *provider;

static int set_up(void **state)
{
	(void)state;
	provider = bare_new(PAGE, chunks, false);
	bare_freed = 0;
	return provider ? 0 : -1;
}

/* Everything was given back, so the last reference ends it. */
static int tear_down(void **state)
{
	(void)state;
	p2pdma_provider_put(provider);
	return bare_freed == 1 ? 0 : -1;
}

static void set_state(enum p2pdma_provider_state state)
{
	spin_lock(&provider->lock);
	atomic_store(&provider->state, state);
	caches_ask(provider);
	spin_unlock(&provider->lock);
}

static int try(uint64_t size, uint64_t align, struct p2pmem_buf *ret_buf)
{
	struct p2pmem_buf buf = untouched;
	int r = p2pmem_alloc(provider, size, align, &buf);

	if (r) {
		assert_memory_equal(&buf, &untouched, sizeof(buf));
		return r;
	}
	assert_ptr_equal(buf.provider, provider);
	*ret_buf = buf;
	return 0;
}

static struct p2pmem_buf take(uint64_t size, uint64_t align)
{
	struct p2pmem_buf buf = untouched;

	assert_int_equal(try(size, align, &buf), 0);
	assert_int_equal(buf.size, size);
	if (align)
		assert_int_equal(p2pmem_bus(buf).addr % align, 0);
	return buf;
}

static void give(struct p2pmem_buf buf)
{
	assert_int_equal(p2pmem_free(buf), 0);
}

static struct p2pmem_buf moved(struct p2pmem_buf buf, uint64_t offset, uint64_t size)
{
	return (struct p2pmem_buf){ buf.provider, buf.offset + offset, buf.size + size };
}

static struct p2pmem_cache *cache_of(uint64_t size, uint64_t align, unsigned int most)
{
	struct p2pmem_cache *cache = NULL;

	assert_int_equal(p2pmem_cache_new(provider, size, align, most, &cache), 0);
	return cache;
}

static struct p2pmem_buf cache_take(struct p2pmem_cache *cache)
{
	struct p2pmem_buf buf;

	assert_int_equal(p2pmem_cache_alloc(cache, &buf), 0);
	return buf;
}

/* ---- buffers ---- */

static void nonsense_is_not_allocated(void **state)
{
	struct p2pmem_buf buf;

	(void)state;
	assert_int_equal(try(0, 0, &buf), -EINVAL);
	assert_int_equal(try(PAGE, 3, &buf), -EINVAL);
	assert_int_equal(try(PAGE, PAGE + 1, &buf), -EINVAL);
	assert_int_equal(try(17 * PAGE, 0, &buf), -ENOMEM);
	assert_int_equal(try(UINT64_MAX, 0, &buf), -ENOMEM);
	assert_int_equal(try(PAGE, 1ull << 63, &buf), -ENOMEM);
	give(take(1, 1));
	give(take(1, PAGE)); /* from a quick list */
	give(take(1, 64));
	assert_int_equal(try(0, 0, &buf), -EINVAL);
	assert_int_equal(try(UINT64_MAX - 100, 0, &buf), -ENOMEM);
}

static void nothing_spans_two_chunks(void **state)
{
	struct p2pmem_buf first = take(FIRST * PAGE, 0), last = take((LAST - 1) * PAGE, 4 * PAGE),
			  buf;

	(void)state;
	assert_int_equal(first.offset, 0);
	assert_int_equal(last.offset, (FIRST + 1) * PAGE);
	assert_int_equal(try(2 * PAGE, 0, &buf), -ENOMEM);
	give(first);
	give(last);
	for (unsigned int i = 0; i < FIRST; i++)
		assert_int_equal(take(PAGE, 0).offset, i * PAGE);
	buf = take(PAGE, 0);
	assert_int_equal(buf.offset, FIRST * PAGE);
	/* It would reach from one into the other. */
	assert_int_equal(p2pmem_free(moved(buf, -(uint64_t)PAGE, PAGE)), -EINVAL);
	give(buf);
	for (unsigned int i = 0; i < FIRST; i++)
		give((struct p2pmem_buf){ provider, i * PAGE, PAGE });
}

static void only_buffers_are_freed(void **state)
{
	(void)state;
	assert_int_equal(p2pmem_free((struct p2pmem_buf){ NULL, 0, 0 }), -EINVAL);
	for (int i = 0; i < 2; i++) {
		struct p2pmem_buf buf = take(i ? PAGE - 1 : 13 * PAGE + 1, 0);

		assert_int_equal(p2pmem_free(moved(buf, 0, 1)), -EINVAL);
		assert_int_equal(p2pmem_free(moved(buf, 0, -(uint64_t)1)), -EINVAL);
		assert_int_equal(p2pmem_free(moved(buf, 0, -buf.size)), -EINVAL);
		assert_int_equal(p2pmem_free(moved(buf, PAGE, 0)), -EINVAL);
		assert_int_equal(p2pmem_free(moved(buf, 64, 0)), -EINVAL);
		assert_int_equal(p2pmem_free(moved(buf, (FIRST + LAST) * PAGE, 0)), -EINVAL);
		assert_int_equal(p2pmem_free(moved(buf, UINT64_MAX, 0)), -EINVAL);
		assert_int_equal(bare_info(provider).buffers, 1);
		give(buf);
		assert_int_equal(p2pmem_free(buf), -EINVAL);
		assert_int_equal(bare_info(provider).buffers, 0);
		assert_int_equal(p2pmem_free(buf), -EINVAL);
	}
}

static void a_dead_provider_takes_back_only(void **state)
{
	struct p2pmem_buf buf = take(PAGE, 0), other = take(13 * PAGE, 0), one;
	size_t count = 7;

	(void)state;
	set_state(P2PDMA_PROVIDER_REVOKED);
	give(take(PAGE, 0));
	set_state(P2PDMA_PROVIDER_DEAD);
	assert_int_equal(try(PAGE, 0, &one), -ENODEV);
	assert_int_equal(try(3 * PAGE, 4 * PAGE, &one), -ENODEV);
	assert_int_equal(p2pmem_alloc_sgl(provider, PAGE, 0, 1, &one, &count), -ENODEV);
	assert_int_equal(count, 7);
	give(buf);
	give(other);
}

static void a_naked_provider_has_no_buffers(void **state)
{
	struct p2pdma_provider *naked = bare_new(PAGE, chunks, true);
	struct p2pmem_buf buf = { naked, 0, PAGE };
	struct p2pmem_cache *cache;
	size_t count;

	(void)state;
	assert_int_equal(p2pmem_alloc(naked, PAGE, 0, &buf), -EINVAL);
	assert_int_equal(p2pmem_alloc_sgl(naked, PAGE, 0, 1, &buf, &count), -EINVAL);
	assert_int_equal(p2pmem_free(buf), -EINVAL);
	assert_int_equal(p2pmem_free_sgl(&buf, 1), -EINVAL);
	assert_int_equal(p2pmem_cache_new(naked, PAGE, 0, 2, &cache), -EINVAL);
	p2pdma_provider_put(naked);
	bare_freed--;
}

static void buffers_keep_their_provider(void **state)
{
	struct p2pdma_provider *mine = bare_new(PAGE, pages, false);
	struct p2pmem_buf bufs[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(p2pmem_alloc(mine, PAGE << 3 * i, 0, &bufs[i]), 0);
	mine->mappings++;
	p2pdma_provider_put(mine);
	give(bufs[0]);
	give(bufs[1]);
	assert_int_equal(bare_freed, 0);
	assert_int_equal(p2pmem_alloc(mine, PAGE, 0, &bufs[0]), 0);
	mine->mappings--;
	assert_int_equal(p2pmem_free(moved(bufs[0], PAGE, 0)), -EINVAL);
	assert_int_equal(bare_freed, 0);
	give(bufs[0]);
	assert_int_equal(bare_freed, 1);
	bare_freed = 0;
}

static void a_buffer_has_a_bus_address(void **state)
{
	struct p2pmem_buf buf = { provider, 3 * PAGE, PAGE };

	(void)state;
	assert_int_equal(p2pmem_bus(buf).addr, 4 * PAGE);
	assert_int_equal(p2pmem_bus(moved(buf, FIRST * PAGE, 0)).addr, 10 * PAGE);
	assert_int_equal(p2pmem_bus(moved(buf, 0, FIRST * PAGE)).addr, 0);
	assert_int_equal(p2pmem_bus(moved(buf, FIRST * PAGE, 2 * PAGE)).addr, 0);
	assert_int_equal(p2pmem_bus(moved(buf, 64 * PAGE, 0)).addr, 0);
	buf.provider = NULL;
	assert_int_equal(p2pmem_bus(buf).addr, 0);
}

/* ---- in pieces ---- */

static int try_sgl(uint64_t size, uint64_t align, size_t most, struct p2pmem_buf *ret_bufs,
                   size_t *ret_count)
{
	uint64_t sum = 0, free = bare_info(provider).free, taken = provider->taken;
	int r;

	*ret_count = 99;
	ret_bufs[0] = untouched;
	r = p2pmem_alloc_sgl(provider, size, align, most, ret_bufs, ret_count);
	if (r) {
		assert_int_equal(*ret_count, 99);
		assert_memory_equal(ret_bufs, &untouched, sizeof(untouched));
		assert_int_equal(bare_info(provider).free, free);
		assert_int_equal(provider->taken, taken);
		return r;
	}
	for (size_t i = 0; i < *ret_count; i++) {
		if (i + 1 < *ret_count)
			assert_int_equal(ret_bufs[i].size % PAGE, 0);
		if (align)
			assert_int_equal(p2pmem_bus(ret_bufs[i]).addr % align, 0);
		sum += ret_bufs[i].size;
	}
	assert_int_equal(sum, size);
	return 0;
}

static void memory_comes_in_pieces_where_it_must(void **state)
{
	struct p2pmem_buf bufs[8], holes[2];
	size_t count;

	(void)state;
	assert_int_equal(try_sgl(PAGE, 0, 0, bufs, &count), -EINVAL);
	assert_int_equal(try_sgl(0, 0, 8, bufs, &count), -EINVAL);
	assert_int_equal(try_sgl(PAGE, 12, 8, bufs, &count), -EINVAL);
	assert_int_equal(try_sgl(FIRST * PAGE - 5, 0, 8, bufs, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(p2pmem_free_sgl(bufs, count), 0);
	/* Both chunks, to the last byte. */
	assert_int_equal(try_sgl((FIRST + LAST) * PAGE - 5, 0, 1, bufs, &count), -ENOMEM);
	assert_int_equal(try_sgl((FIRST + LAST) * PAGE + 1, 0, 8, bufs, &count), -ENOMEM);
	assert_int_equal(try_sgl((FIRST + LAST) * PAGE - 5, 0, 2, bufs, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(bufs[0].size, FIRST * PAGE);
	assert_int_equal(p2pmem_free_sgl(bufs, count), 0);
	/* Free: 0-2, 4-8, 10-15, 16-20; the longest first. */
	for (unsigned int i = 0; i < FIRST; i++)
		take(PAGE, 0);
	holes[0] = (struct p2pmem_buf){ provider, 3 * PAGE, PAGE };
	holes[1] = (struct p2pmem_buf){ provider, 9 * PAGE, PAGE };
	for (unsigned int i = 0; i < FIRST; i++)
		if (i != 3 && i != 9)
			give((struct p2pmem_buf){ provider, i * PAGE, PAGE });
	assert_int_equal(try_sgl(17 * PAGE, 0, 3, bufs, &count), -ENOMEM);
	assert_int_equal(try_sgl(17 * PAGE, 0, 4, bufs, &count), 0);
	assert_int_equal(count, 4);
	assert_int_equal(bufs[0].offset, 10 * PAGE);
	assert_int_equal(bufs[0].size, 6 * PAGE);
	assert_int_equal(bufs[3].size, PAGE);
	/* One of them is wrong: the others are given back. */
	bufs[1].size++;
	assert_int_equal(p2pmem_free_sgl(bufs, count), -EINVAL);
	assert_int_equal(provider->taken, 3);
	bufs[1].size--;
	assert_int_equal(p2pmem_free_sgl(&bufs[1], 1), 0);
	assert_int_equal(p2pmem_free_sgl(holes, 2), 0);
	assert_int_equal(p2pmem_free_sgl(holes, 0), 0);
	/* Bus addresses 1-16 and 7-11: of each an 8th, in the chunk with the shorter run too. */
	assert_int_equal(try_sgl(13 * PAGE, 8 * PAGE, 3, bufs, &count), 0);
	assert_int_equal(bufs[0].size, 9 * PAGE);
	assert_int_equal(bufs[1].size, 4 * PAGE);
	assert_int_equal(count, 2);
	assert_int_equal(p2pmem_free_sgl(bufs, count), 0);
	assert_int_equal(try_sgl(17 * PAGE, 8 * PAGE, 8, bufs, &count), -ENOMEM);
}

static void pieces_are_limited(void **state)
{
	static const struct bare_chunk many[] = { { 0, 2 * (P2PMEM_SGL_MOST + 1) * 64 }, { 0 } };
	static struct p2pmem_buf bufs[P2PMEM_SGL_MOST + 1], all[2 * (P2PMEM_SGL_MOST + 1)];
	struct p2pdma_provider *mine = bare_new(64, many, false);
	size_t count, length = sizeof(all) / sizeof(all[0]);

	(void)state;
	for (size_t i = 0; i < length; i++)
		assert_int_equal(p2pmem_alloc(mine, 64, 0, &all[i]), 0);
	for (size_t i = 0; i < length; i += 2)
		give(all[i]);
	assert_int_equal(p2pmem_alloc_sgl(mine, (P2PMEM_SGL_MOST + 1) * 64, 0, P2PMEM_SGL_MOST + 1,
	                                  bufs, &count),
	                 -ENOMEM);
	assert_int_equal(p2pmem_alloc_sgl(mine, P2PMEM_SGL_MOST * 64, 0, P2PMEM_SGL_MOST + 1, bufs,
	                                  &count),
	                 0);
	assert_int_equal(count, P2PMEM_SGL_MOST);
	assert_int_equal(p2pmem_free_sgl(bufs, count), 0);
	for (size_t i = 1; i < length; i += 2)
		give(all[i]);
	p2pdma_provider_put(mine);
	assert_int_equal(bare_freed, 1);
	bare_freed = 0;
}

/* ---- caches ---- */

static void what_is_no_cache_is_refused(void **state)
{
	static const struct {
		uint64_t size, align;
		unsigned int most;
	} rows[] = {
		{ 0, 0, 2 },          { PAGE, 3, 2 },
		{ PAGE, 0, 1 },       { PAGE, 0, 0 },
		{ PAGE, 0, 65537 },   { (uint64_t)PAGE << POOL_LENGTH_BITS, 0, 2 },
		{ UINT64_MAX, 0, 2 },
	};
	struct p2pmem_cache *cache = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(p2pmem_cache_new(provider, rows[i].size, rows[i].align,
		                                  rows[i].most, &cache),
		                 -EINVAL);
	callocs_left = 0;
	assert_int_equal(p2pmem_cache_new(provider, PAGE, 0, 2, &cache), -ENOMEM);
	set_state(P2PDMA_PROVIDER_DEAD);
	assert_int_equal(p2pmem_cache_new(provider, PAGE, 0, 2, &cache), -ENODEV);
	assert_null(cache);
	assert_null(p2pmem_cache_free(NULL));
	set_state(P2PDMA_PROVIDER_LIVE);
	p2pmem_cache_free(cache_of(PAGE, 0, 65536));
}

static void a_cache_takes_and_gives_half(void **state)
{
	struct p2pmem_cache *cache = cache_of(PAGE - 1, 0, 8);
	struct p2pmem_buf bufs[10];

	(void)state;
	bufs[0] = cache_take(cache);
	assert_int_equal(bufs[0].size, PAGE - 1);
	assert_int_equal(provider->taken, 4);
	assert_int_equal(bare_info(provider).cached, 3 * (PAGE - 1));
	for (int i = 1; i < 10; i++)
		bufs[i] = i < 4 ? cache_take(cache) : take(PAGE - 1, 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(p2pmem_cache_put(cache, bufs[i]), 0);
	assert_int_equal(provider->taken, 10);
	assert_int_equal(p2pmem_cache_put(cache, bufs[8]), 0);
	assert_int_equal(provider->taken, 6);
	assert_int_equal(bare_info(provider).cached, 5 * (PAGE - 1));
	/* The last one in is the first one out. */
	assert_int_equal(cache_take(cache).offset, bufs[8].offset);
	assert_int_equal(cache_take(cache).offset, bufs[7].offset);
	assert_int_equal(p2pmem_free_sgl(&bufs[7], 3), 0);
	p2pmem_cache_flush(cache);
	assert_int_equal(provider->taken, 0);
	bufs[0] = cache_take(cache);
	p2pmem_cache_free(cache);
	give(bufs[0]);
}

static void a_cache_refuses_what_is_not_its_kind(void **state)
{
	struct p2pmem_cache *cache = cache_of(2 * PAGE - 1, 2 * PAGE, 8);
	struct p2pmem_cache *other = cache_of(2 * PAGE - 1, 0, 8);
	struct p2pdma_provider *mine = bare_new(PAGE, pages, false);
	struct p2pmem_buf buf = cache_take(cache), odd = take(PAGE, 0), same, foreign;

	(void)state;
	assert_int_equal(p2pmem_bus(buf).addr % (2 * PAGE), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(p2pmem_cache_put(cache, moved(buf, 0, 1)), -EINVAL);
		assert_int_equal(p2pmem_cache_put(cache, moved(buf, 0, -(uint64_t)1)), -EINVAL);
		assert_int_equal(p2pmem_cache_put(cache, moved(buf, PAGE, 0)), -EINVAL);
		assert_int_equal(p2pmem_cache_put(cache, moved(buf, 64, 0)), -EINVAL);
		assert_int_equal(p2pmem_cache_put(cache, moved(buf, 1ull << 40, 0)), -EINVAL);
		assert_int_equal(p2pmem_cache_put(cache, odd), -EINVAL);
		/* Where it lies, but not as many bytes: what the caller says, and what is so. */
		assert_int_equal(p2pmem_cache_put(other, moved(odd, 0, PAGE - 1)), -EINVAL);
		same = take(2 * PAGE - 2, 2 * PAGE);
		assert_int_equal(p2pmem_cache_put(cache, same), -EINVAL);
		assert_int_equal(p2pmem_cache_put(cache, moved(same, 0, 1)), -EINVAL);
		give(same);
		/* Of another provider, at the same offset. */
		assert_int_equal(p2pmem_alloc(mine, 2 * PAGE - 1, 0, &foreign), 0);
		foreign.offset = buf.offset;
		assert_int_equal(p2pmem_cache_put(cache, foreign), -EINVAL);
		foreign.offset = 0;
		give(foreign);
		foreign.provider = NULL;
		assert_int_equal(p2pmem_cache_put(cache, foreign), -EINVAL);
		/* The second time with the chunk at hand. */
		assert_int_equal(p2pmem_cache_put(cache, buf), 0);
		assert_int_equal(p2pmem_cache_put(cache, buf), -EINVAL);
		assert_int_equal(p2pmem_cache_put(other, buf), -EINVAL);
		assert_int_equal(p2pmem_free(buf), -EINVAL);
		assert_int_equal(cache_take(cache).offset, buf.offset);
	}
	give(buf);
	assert_int_equal(p2pmem_cache_put(cache, buf), -EINVAL);
	give(odd);
	/* Of the right size, but at an odd address. */
	p2pmem_cache_flush(cache);
	for (unsigned int i = 0; i < FIRST; i++)
		take(PAGE, 0);
	give((struct p2pmem_buf){ provider, 2 * PAGE, PAGE });
	give((struct p2pmem_buf){ provider, 3 * PAGE, PAGE });
	odd = take(2 * PAGE - 1, 0);
	assert_int_equal(odd.offset, 2 * PAGE);
	assert_int_equal(p2pmem_cache_put(cache, odd), -EINVAL);
	assert_int_equal(p2pmem_cache_put(other, odd), 0);
	for (unsigned int i = 0; i < FIRST; i++)
		if (i != 2 && i != 3)
			give((struct p2pmem_buf){ provider, i * PAGE, PAGE });
	p2pmem_cache_free(cache);
	p2pmem_cache_free(other);
	p2pdma_provider_put(mine);
	bare_freed--;
}

static void a_cache_has_buffers_of_all_chunks(void **state)
{
	struct p2pmem_cache *cache = cache_of(2 * PAGE, 2 * PAGE, 64);
	struct p2pmem_buf bufs[16], buf = untouched;
	unsigned int count = 0;

	(void)state;
	/* Bus addresses 1-16 and 7-11 hold 7 and 2 that are even. */
	while (count < 9)
		bufs[count++] = cache_take(cache);
	assert_int_equal(p2pmem_cache_alloc(cache, &buf), -ENOMEM);
	assert_memory_equal(&buf, &untouched, sizeof(buf));
	for (int i = 0; i < 3; i++)
		for (unsigned int j = 0; j < count; j++) {
			buf = bufs[(j * 5 + 4) % count];
			assert_int_equal(p2pmem_cache_put(cache, buf), 0);
			assert_int_equal(p2pmem_cache_put(cache, buf), -EINVAL);
			assert_int_equal(cache_take(cache).offset, buf.offset);
		}
	while (count)
		assert_int_equal(p2pmem_cache_put(cache, bufs[--count]), 0);
	p2pmem_cache_free(cache);
}

static void who_finds_too_little_is_given_what_caches_hold(void **state)
{
	struct p2pmem_cache *a = cache_of(PAGE, 0, 64), *b = cache_of(FIRST * PAGE, 0, 2);
	struct p2pmem_buf buf = cache_take(a), whole, bufs[4];
	size_t count;

	(void)state;
	assert_int_equal(bare_info(provider).free, 0);
	/* At its next alloc, and it refills. */
	assert_int_equal(try(FIRST * PAGE, 0, &whole), -ENOMEM);
	assert_int_equal(bare_info(provider).free, 0);
	give(buf);
	buf = cache_take(a);
	/* At its next put. */
	assert_int_equal(try(FIRST * PAGE, 0, &whole), -ENOMEM);
	assert_int_equal(p2pmem_cache_put(a, buf), 0);
	assert_int_equal(bare_info(provider).cached, 0);
	give(take(FIRST * PAGE, 0));
	/* By another cache, and by pieces. */
	buf = cache_take(a);
	assert_int_equal(p2pmem_cache_alloc(b, &whole), -ENOMEM);
	assert_int_equal(p2pmem_cache_put(a, buf), 0);
	whole = cache_take(b);
	assert_int_equal(p2pmem_cache_put(b, whole), 0);
	assert_int_equal(try_sgl((FIRST + LAST) * PAGE, 0, 4, bufs, &count), -ENOMEM);
	p2pmem_cache_flush(b);
	assert_int_equal(try_sgl((FIRST + LAST) * PAGE, 0, 4, bufs, &count), 0);
	assert_int_equal(p2pmem_free_sgl(bufs, count), 0);
	/* Once only. */
	assert_int_equal(p2pmem_cache_put(a, cache_take(a)), 0);
	assert_int_equal(bare_info(provider).free, 0);
	p2pmem_cache_free(a);
	p2pmem_cache_free(b);
}

static void a_cache_of_a_dead_provider_keeps_nothing(void **state)
{
	struct p2pmem_cache *cache = cache_of(PAGE, 0, 8);
	struct p2pmem_buf bufs[6], buf = untouched;

	(void)state;
	for (int i = 0; i < 6; i++)
		bufs[i] = cache_take(cache);
	set_state(P2PDMA_PROVIDER_REVOKED);
	assert_int_equal(p2pmem_cache_put(cache, cache_take(cache)), 0);
	set_state(P2PDMA_PROVIDER_DEAD);
	assert_int_equal(p2pmem_cache_alloc(cache, &buf), -ENODEV);
	assert_memory_equal(&buf, &untouched, sizeof(buf));
	assert_int_equal(provider->taken, 6);
	for (int i = 0; i < 6; i++)
		assert_int_equal(p2pmem_cache_put(cache, bufs[i]), 0);
	assert_int_equal(provider->taken, 0);
	assert_int_equal(p2pmem_cache_put(cache, bufs[0]), -EINVAL);
	p2pmem_cache_free(cache);
}

static void die(void)
{
	set_state(P2PDMA_PROVIDER_DEAD);
}

static void nor_does_one_that_it_died_under(void **state)
{
	struct p2pmem_buf buf = take(PAGE, 0);
	struct p2pmem_cache *cache;

	(void)state;
	in_calloc = die;
	cache = cache_of(PAGE, 0, 8);
	assert_int_equal(p2pmem_cache_put(cache, buf), 0);
	assert_int_equal(provider->taken, 0);
	p2pmem_cache_free(cache);
}

static void a_cache_keeps_its_provider(void **state)
{
	struct p2pdma_provider *mine = bare_new(PAGE, pages, false);
	struct p2pmem_cache *cache;
	struct p2pmem_buf buf;

	(void)state;
	assert_int_equal(p2pmem_cache_new(mine, PAGE, 0, 8, &cache), 0);
	assert_int_equal(p2pmem_cache_alloc(cache, &buf), 0);
	p2pdma_provider_put(mine);
	assert_null(p2pmem_cache_free(cache));
	assert_int_equal(bare_freed, 0);
	give(buf);
	assert_int_equal(bare_freed, 1);
	bare_freed = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nonsense_is_not_allocated),
		TEST(nothing_spans_two_chunks),
		TEST(only_buffers_are_freed),
		TEST(a_dead_provider_takes_back_only),
		TEST(a_naked_provider_has_no_buffers),
		TEST(buffers_keep_their_provider),
		TEST(a_buffer_has_a_bus_address),
		TEST(memory_comes_in_pieces_where_it_must),
		TEST(pieces_are_limited),
		TEST(what_is_no_cache_is_refused),
		TEST(a_cache_takes_and_gives_half),
		TEST(a_cache_refuses_what_is_not_its_kind),
		TEST(a_cache_has_buffers_of_all_chunks),
		TEST(who_finds_too_little_is_given_what_caches_hold),
		TEST(a_cache_of_a_dead_provider_keeps_nothing),
		TEST(nor_does_one_that_it_died_under),
		TEST(a_cache_keeps_its_provider),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
