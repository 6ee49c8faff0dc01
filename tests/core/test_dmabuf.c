/* SPDX-License-Identifier: MIT */
/*
 * test_dmabuf.c - every error of dmabuf.h and importer.h, in one thread; dmabuf_all.c has the
 * sequences, test_dmabuf_threads.c what needs two.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "lender.h"

#define PAGE 4096u
#define EXPORT(ranges_, ret_)                                                                   \
	p2pdma_dmabuf_export(&lender.provider, ranges_, sizeof(ranges_) / sizeof((ranges_)[0]), \
	                     &err, NULL, ret_)

static struct p2pdma_error err;
static struct p2pdma_dmabuf *dmabuf;
static int told, restores;
static unsigned int unmap_flags;

static void lets_go(struct p2pdma_attachment *attachment, void *arg)
{
	(void)arg;
	told++;
	p2pdma_dmabuf_unmap(attachment, unmap_flags);
}

static void hangs(struct p2pdma_attachment *attachment, void *arg)
{
	(void)attachment, (void)arg;
	told++;
}

static void is_restored(struct p2pdma_attachment *attachment, void *arg)
{
	(void)attachment, (void)arg;
	restores++;
}

static const struct p2pdma_importer dynamic = { sizeof(dynamic), true, false, lets_go,
	                                        is_restored };
static const struct p2pdma_importer pinned = { sizeof(pinned), true, true, lets_go, is_restored };
static const struct p2pdma_importer stubborn = { sizeof(stubborn), true, false, hangs, NULL };

static struct p2pdma_attachment *attach(unsigned int client, const struct p2pdma_importer *importer)
{
	struct p2pdma_attachment *attachment;

	assert_int_equal(p2pdma_dmabuf_attach(dmabuf, &lender.clients[client], importer, NULL, &err,
	                                      &attachment),
	                 0);
	return attachment;
}

static int map(struct p2pdma_attachment *attachment, enum p2pdma_op op)
{
	const struct p2pdma_dma_segment *segments;
	size_t count;

	return p2pdma_dmabuf_map(attachment, op, 0, &err, &count, &segments);
}

static int setup(void **state)
{
	(void)state;
	lender_start();
	told = restores = 0;
	unmap_flags = 0;
	err.text[0] = '\0';
	dmabuf = lender_export();
	return !dmabuf;
}

static int teardown(void **state)
{
	(void)state;
	p2pdma_dmabuf_release(dmabuf, 0, NULL);
	return lender.references || lender.provider.dmabufs;
}

static void export_takes_whole_pages_of_one_chunk(void **state)
{
	static const struct p2pdma_range bad[] = {
		{ 0, 0 },
		{ 0, 100 },
		{ 100, PAGE },
		{ CHUNK_SIZE - PAGE, 2 * PAGE },
		{ ODD_START, PAGE },
		{ LONG_START + LONG_LENGTH, PAGE },
	};
	static const struct p2pdma_range overlap[] = { { PAGE, PAGE }, { 0, 2 * PAGE } };
	static const struct p2pdma_range last[] = { { CHUNK_SIZE - PAGE, PAGE } };
	static const struct p2pdma_range too_long[] = { { LONG_START, LONG_LENGTH },
		                                        { LONG_START, LONG_LENGTH },
		                                        { LONG_START, LONG_LENGTH },
		                                        { LONG_START, LONG_LENGTH } };
	struct p2pdma_dmabuf *other = NULL;
	enum p2pdma_promise promise = P2PDMA_PROMISE_NONE;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.text[0] = '\0';
		assert_int_equal(p2pdma_dmabuf_export(&lender.provider, &bad[i], 1, &err, &promise,
		                                      &other),
		                 -EINVAL);
		assert_non_null(strstr(err.text, "range 0"));
	}
	assert_int_equal(EXPORT(too_long, &other), -EINVAL);
	assert_int_equal(p2pdma_dmabuf_export(&lender.provider, overlap, 0, &err, &promise, &other),
	                 -EINVAL);
	assert_null(other);
	assert_int_equal(promise, P2PDMA_PROMISE_NONE);

	assert_int_equal(EXPORT(last, &other), 0);
	p2pdma_dmabuf_release(other, 0, NULL);
	assert_int_equal(p2pdma_dmabuf_export(&lender.provider, overlap, 2, &err, &promise, &other),
	                 0);
	assert_int_equal(promise, P2PDMA_PROMISE_OWN);
	assert_int_equal(p2pdma_dmabuf_state(other), P2PDMA_DMABUF_LIVE);
	assert_int_equal(p2pdma_dmabuf_release(other, 0, NULL), 0);
	assert_int_equal(p2pdma_dmabuf_release(NULL, 0, NULL), 0);
}

static void export_begins_as_the_provider_is(void **state)
{
	static const struct p2pdma_range page[] = { { 0, PAGE } };
	struct p2pdma_dmabuf *other;

	(void)state;
	lender.provider.state = P2PDMA_PROVIDER_REVOKED;
	assert_int_equal(EXPORT(page, &other), 0);
	assert_int_equal(p2pdma_dmabuf_state(other), P2PDMA_DMABUF_REVOKED);
	assert_int_equal(p2pdma_dmabuf_restore(other, NULL, 0, &err), -ENODEV);
	/* Somebody has revoked the provider again before this one came. */
	dmabufs_restore(&lender.provider);
	assert_int_equal(p2pdma_dmabuf_state(other), P2PDMA_DMABUF_REVOKED);
	lender.provider.state = P2PDMA_PROVIDER_LIVE;
	dmabufs_restore(&lender.provider);
	assert_int_equal(p2pdma_dmabuf_state(other), P2PDMA_DMABUF_LIVE);
	p2pdma_dmabuf_release(other, 0, NULL);

	lender.provider.state = P2PDMA_PROVIDER_DEAD;
	assert_int_equal(EXPORT(page, &other), -ENODEV);
}

static void attach_refuses_who_could_not_be_revoked(void **state)
{
	const struct p2pdma_importer old = { sizeof(old) - 1, true, false, lets_go, NULL };
	const struct p2pdma_importer far_only = { sizeof(old), false, false, lets_go, NULL };
	const struct p2pdma_importer deaf = { sizeof(old), true, true, NULL, NULL };
	struct p2pdma_device *client = &lender.clients[0];
	struct p2pdma_attachment *a = NULL;
	struct backend other_backend = { .private = NULL };

	(void)state;
	assert_int_equal(p2pdma_dmabuf_attach(dmabuf, client, &old, NULL, &err, &a), -EINVAL);
	assert_int_equal(p2pdma_dmabuf_attach(dmabuf, client, &far_only, NULL, &err, &a),
	                 -EOPNOTSUPP);
	assert_int_equal(p2pdma_dmabuf_attach(dmabuf, client, &deaf, NULL, &err, &a), -EOPNOTSUPP);

	lender.machine.backend = &other_backend;
	assert_int_equal(p2pdma_dmabuf_attach(dmabuf, client, &dynamic, NULL, &err, &a), -EINVAL);
	lender.machine.backend = &lender.backend;

	lender.opened[0].is_cut_off = true;
	assert_int_equal(p2pdma_dmabuf_attach(dmabuf, client, &dynamic, NULL, &err, &a), -EPERM);
	lender.opened[0].is_cut_off = false;
	lender.opened[0].is_gone = true;
	assert_int_equal(p2pdma_dmabuf_attach(dmabuf, client, &dynamic, NULL, &err, &a), -ENODEV);
	assert_non_null(strstr(err.text, "0000:03:00.0"));
	lender.peers.opened = NULL;
	assert_int_equal(p2pdma_dmabuf_attach(dmabuf, client, &dynamic, NULL, &err, &a), -EPERM);
	assert_null(a);
}

static void attach_needs_a_live_export(void **state)
{
	struct p2pdma_attachment *a = NULL;

	(void)state;
	assert_int_equal(p2pdma_dmabuf_revoke(dmabuf, 0, &err), 0);
	assert_int_equal(p2pdma_dmabuf_attach(dmabuf, &lender.clients[0], &dynamic, NULL, &err, &a),
	                 -ENODEV);
	lender.provider.state = P2PDMA_PROVIDER_DEAD;
	assert_int_equal(dmabufs_revoke(&lender.provider, true, 0, &err), 0);
	assert_int_equal(p2pdma_dmabuf_attach(dmabuf, &lender.clients[0], &dynamic, NULL, &err, &a),
	                 -ENODEV);
	assert_null(a);
}

static void map_asks_the_gate_and_unmap_gives_back(void **state)
{
	const struct p2pdma_dma_segment *segments = NULL;
	struct p2pdma_attachment *a = attach(0, &dynamic);
	size_t count = 0;

	(void)state;
	lender.map_result = -EREMOTEIO;
	assert_int_equal(map(a, P2PDMA_OP_WRITE), -EREMOTEIO);
	lender.map_result = 0;
	assert_int_equal(p2pdma_dmabuf_unmap(a, 0), -EINVAL);
	assert_int_equal(p2pdma_dmabuf_map(a, P2PDMA_OP_BOTH, 0, &err, &count, &segments), 0);
	assert_int_equal(count, 1);
	assert_int_equal(segments[0].address.addr, 0x10000000);
	assert_int_equal(segments[0].length, PAGE);
	assert_int_equal(map(a, P2PDMA_OP_WRITE), -EBUSY);
	assert_int_equal(p2pdma_dmabuf_unmap(a, 2), -EINVAL);
	assert_int_equal(p2pdma_dmabuf_unmap(a, P2PDMA_UNMAP_LANDED), 0);
	assert_int_equal(p2pdma_dmabuf_unmap(a, 0), -EINVAL);
	assert_int_equal(lender.mappings[0], 0);

	/* Closed, and opened again by somebody else. */
	lender.opened[0].serial++;
	assert_int_equal(map(a, P2PDMA_OP_WRITE), -EPERM);
	lender.peers.opened = NULL;
	assert_int_equal(map(a, P2PDMA_OP_WRITE), -EPERM);
	p2pdma_dmabuf_detach(a);
	assert_null(p2pdma_dmabuf_detach(NULL));
}

static void map_fails_once_revoked(void **state)
{
	struct p2pdma_attachment *a = attach(0, &dynamic);

	(void)state;
	assert_int_equal(p2pdma_dmabuf_revoke(dmabuf, 0, &err), 0);
	assert_int_equal(map(a, P2PDMA_OP_WRITE), -ENODEV);
	assert_int_equal(p2pdma_dmabuf_pin(a, 0), -ENODEV);
	assert_int_equal(p2pdma_dmabuf_release(dmabuf, 0, &err), 0);
	assert_int_equal(map(a, P2PDMA_OP_WRITE), -ENODEV);
	assert_int_equal(p2pdma_dmabuf_pin(a, 0), -ENODEV);
	p2pdma_dmabuf_detach(a);
	dmabuf = NULL;
}

static void who_has_not_mapped_loses_nothing(void **state)
{
	struct p2pdma_attachment *idle = attach(0, &pinned), *busy = attach(1, &pinned);

	(void)state;
	assert_int_equal(map(busy, P2PDMA_OP_READ), 0);
	assert_int_equal(p2pdma_dmabuf_revoke(dmabuf, UINT64_MAX, &err), 0);
	assert_int_equal(told, 2);
	assert_int_equal(p2pdma_dmabuf_restore(dmabuf, NULL, 0, &err), 0);
	assert_int_equal(restores, 0);
	assert_int_equal(map(idle, P2PDMA_OP_READ), 0);
	assert_int_equal(map(busy, P2PDMA_OP_READ), -ENODEV);
	assert_int_equal(p2pdma_dmabuf_pin(busy, 0), -ENODEV);
	/* It has nothing left to hear of. */
	assert_int_equal(p2pdma_dmabuf_revoke(dmabuf, UINT64_MAX, &err), 0);
	assert_int_equal(told, 3);
	p2pdma_dmabuf_detach(idle);
	p2pdma_dmabuf_detach(busy);
}

/* How long it takes to revoke after @op and an unmap with @flags. */
static uint64_t time_to_revoke(enum p2pdma_op op, unsigned int flags, uint64_t later)
{
	struct p2pdma_attachment *a = attach(0, &dynamic);
	uint64_t then;

	assert_int_equal(map(a, op), 0);
	assert_int_equal(p2pdma_dmabuf_unmap(a, flags), 0);
	lender.now += later;
	then = lender.now;
	assert_int_equal(p2pdma_dmabuf_revoke(dmabuf, then, &err), 0);
	then = lender.now - then;
	assert_int_equal(p2pdma_dmabuf_restore(dmabuf, NULL, 0, &err), 0);
	p2pdma_dmabuf_detach(a);
	return then;
}

static void writes_have_time_to_land(void **state)
{
	(void)state;
	assert_int_equal(time_to_revoke(P2PDMA_OP_WRITE, P2PDMA_UNMAP_LANDED, 0), 0);
	assert_int_equal(time_to_revoke(P2PDMA_OP_READ, 0, 0), 0);
	assert_int_equal(time_to_revoke(P2PDMA_OP_WRITE, 0, 0), P2PDMA_DRAIN_TIME);
	assert_int_equal(time_to_revoke(P2PDMA_OP_BOTH, 0, 30), P2PDMA_DRAIN_TIME - 30);
	assert_int_equal(time_to_revoke(P2PDMA_OP_BOTH, 0, P2PDMA_DRAIN_TIME), 0);
}

static void detaching_counts_as_unmapping(void **state)
{
	struct p2pdma_attachment *a = attach(0, &dynamic);
	uint64_t then = lender.now;

	(void)state;
	assert_int_equal(map(a, P2PDMA_OP_WRITE), 0);
	p2pdma_dmabuf_detach(a);
	assert_int_equal(lender.mappings[0], 0);
	assert_int_equal(p2pdma_dmabuf_revoke(dmabuf, then, &err), 0);
	assert_int_equal(lender.now, then + P2PDMA_DRAIN_TIME);
}

static void who_overruns_is_cut(void **state)
{
	const struct p2pdma_dma_segment *segments;
	struct p2pdma_attachment *behind = attach(0, &stubborn), *past = attach(1, &stubborn);
	size_t count;

	(void)state;
	lender.bypasses[1] = true;
	assert_int_equal(map(behind, P2PDMA_OP_READ), 0);
	assert_int_equal(p2pdma_dmabuf_map(past, P2PDMA_OP_WRITE, 0, &err, &count, &segments), 0);
	assert_int_equal(p2pdma_dmabuf_revoke(dmabuf, lender.now + 10, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "0000:03:00.0 did not let go: its IOMMU entries"));
	assert_non_null(strstr(err.text, "0000:03:01.0 did not let go: it was switched off until"));
	assert_int_equal(lender.now, 1000 + 10 + 2 * P2PDMA_DRAIN_TIME);
	assert_int_equal(lender.mappings[0] + lender.mappings[1], 0);
	assert_int_equal(lender.cuts[0], 0);
	assert_int_equal(lender.cuts[1], 1);
	assert_int_equal(p2pdma_dmabuf_unmap(behind, 0), -EINVAL);
	/* It was not told that it ended; what it was given is still there to be read. */
	assert_int_equal(segments[0].length, PAGE);

	/* By then it is as good as if all had obeyed. */
	assert_int_equal(p2pdma_dmabuf_revoke(dmabuf, 0, &err), 0);
	assert_int_equal(p2pdma_dmabuf_restore(dmabuf, NULL, 0, &err), 0);
	assert_int_equal(map(past, P2PDMA_OP_READ), -EPERM);
	lender.opened[1].is_cut_off = false;
	assert_int_equal(map(past, P2PDMA_OP_READ), 0);
	lender.cut_result = -ETIMEDOUT;
	assert_int_equal(p2pdma_dmabuf_release(dmabuf, 0, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "transactions are pending"));
	assert_null(strstr(err.text, "03:00.0"));
	p2pdma_dmabuf_detach(behind);
	p2pdma_dmabuf_detach(past);
	dmabuf = NULL;
}

static void who_was_opened_since_is_not_cut(void **state)
{
	struct p2pdma_attachment *a = attach(0, &stubborn);

	(void)state;
	lender.bypasses[0] = true;
	assert_int_equal(map(a, P2PDMA_OP_WRITE), 0);
	lender.opened[0].serial++;
	assert_int_equal(p2pdma_dmabuf_revoke(dmabuf, 0, &err), -ETIMEDOUT);
	assert_int_equal(lender.cuts[0], 0);
	assert_int_equal(lender.mappings[0], 0);
	p2pdma_dmabuf_detach(a);
}

/* There is nothing to switch off, but what it sent before may be on the way. */
static void who_is_gone_is_not_cut(void **state)
{
	struct p2pdma_attachment *a = attach(0, &stubborn);
	uint64_t then = lender.now;

	(void)state;
	lender.bypasses[0] = true;
	assert_int_equal(map(a, P2PDMA_OP_WRITE), 0);
	lender.opened[0].is_gone = true;
	assert_int_equal(p2pdma_dmabuf_revoke(dmabuf, then, &err), -ETIMEDOUT);
	assert_int_equal(lender.cuts[0], 0);
	assert_int_equal(lender.now, then + P2PDMA_DRAIN_TIME);
	p2pdma_dmabuf_detach(a);
}

static void pins_forbid_moves(void **state)
{
	static const struct p2pdma_range there = { PAGE, PAGE };
	struct p2pdma_attachment *a = attach(0, &dynamic);

	(void)state;
	assert_int_equal(p2pdma_dmabuf_pin(a, 8), -EINVAL);
	assert_int_equal(p2pdma_dmabuf_pin(a, P2PDMA_PIN_LONGTERM), -EOPNOTSUPP);
	assert_int_equal(p2pdma_dmabuf_unpin(a), -EINVAL);
	for (int i = 0; i < 65535; i++)
		assert_int_equal(p2pdma_dmabuf_pin(a, 0), 0);
	assert_int_equal(p2pdma_dmabuf_pin(a, 0), -EOVERFLOW);
	for (int i = 1; i < 65535; i++)
		assert_int_equal(p2pdma_dmabuf_unpin(a), 0);

	assert_int_equal(p2pdma_dmabuf_invalidate(dmabuf, 0, &err), -EBUSY);
	assert_int_equal(told, 0);
	assert_int_equal(p2pdma_dmabuf_revoke(dmabuf, 0, &err), 0);
	assert_int_equal(p2pdma_dmabuf_restore(dmabuf, &there, 1, &err), -EBUSY);
	assert_int_equal(p2pdma_dmabuf_restore(dmabuf, NULL, 0, &err), 0);
	assert_int_equal(p2pdma_dmabuf_unpin(a), 0);
	assert_int_equal(p2pdma_dmabuf_unpin(a), -EINVAL);
	assert_int_equal(p2pdma_dmabuf_invalidate(dmabuf, 0, &err), 0);
	assert_int_equal(told, 2);
	assert_int_equal(restores, 2);
	p2pdma_dmabuf_detach(a);
}

static void invalidate_needs_a_live_export(void **state)
{
	(void)state;
	assert_int_equal(p2pdma_dmabuf_revoke(dmabuf, 0, &err), 0);
	assert_int_equal(p2pdma_dmabuf_invalidate(dmabuf, 0, &err), -EBUSY);
	lender.provider.state = P2PDMA_PROVIDER_DEAD;
	assert_int_equal(dmabufs_revoke(&lender.provider, true, 0, &err), 0);
	assert_int_equal(p2pdma_dmabuf_invalidate(dmabuf, 0, &err), -ENODEV);
	assert_int_equal(p2pdma_dmabuf_revoke(dmabuf, 0, &err), -ENODEV);
	assert_int_equal(p2pdma_dmabuf_restore(dmabuf, NULL, 0, &err), -ENODEV);
	assert_int_equal(p2pdma_dmabuf_state(dmabuf), P2PDMA_DMABUF_DEAD);
}

static void restore_may_move_it(void **state)
{
	static const struct p2pdma_range there = { PAGE, PAGE };
	static const struct p2pdma_range longer = { PAGE, 2 * PAGE };
	static const struct p2pdma_range odd = { 1, PAGE };
	struct p2pdma_attachment *a = attach(0, &dynamic);

	(void)state;
	assert_int_equal(p2pdma_dmabuf_restore(dmabuf, NULL, 0, &err), 0);
	assert_int_equal(restores, 0);
	assert_int_equal(p2pdma_dmabuf_restore(dmabuf, &there, 1, &err), -EBUSY);
	assert_int_equal(p2pdma_dmabuf_revoke(dmabuf, 0, &err), 0);
	assert_int_equal(p2pdma_dmabuf_restore(dmabuf, &longer, 1, &err), -EINVAL);
	assert_int_equal(p2pdma_dmabuf_restore(dmabuf, &odd, 1, &err), -EINVAL);
	assert_int_equal(p2pdma_dmabuf_restore(dmabuf, &there, 0, &err), -EINVAL);
	assert_int_equal(p2pdma_dmabuf_state(dmabuf), P2PDMA_DMABUF_REVOKED);

	/* Both reasons have to go; the ranges are taken by the first call. */
	lender.provider.state = P2PDMA_PROVIDER_REVOKED;
	assert_int_equal(dmabufs_revoke(&lender.provider, false, 0, &err), 0);
	assert_int_equal(p2pdma_dmabuf_restore(dmabuf, &there, 1, &err), -ENODEV);
	assert_int_equal(restores, 0);
	lender.provider.state = P2PDMA_PROVIDER_LIVE;
	dmabufs_restore(&lender.provider);
	assert_int_equal(restores, 1);
	assert_int_equal(map(a, P2PDMA_OP_READ), 0);
	assert_int_equal(lender.offset, PAGE);
	p2pdma_dmabuf_detach(a);
}

static void revoke_now(void)
{
	lender.in_map = NULL;
	assert_int_equal(dmabufs_revoke(&lender.provider, true, 0, &err), 0);
	assert_int_equal(told, 1);
}

static void revoke_and_restore_now(void)
{
	lender.in_map = NULL;
	assert_int_equal(p2pdma_dmabuf_revoke(dmabuf, 0, &err), 0);
	assert_int_equal(p2pdma_dmabuf_restore(dmabuf, NULL, 0, &err), -EBUSY);
}

static void invalidate_now(void)
{
	lender.in_map = NULL;
	assert_int_equal(p2pdma_dmabuf_invalidate(dmabuf, 0, &err), 0);
}

/* A mapping under way when it is revoked is undone, and was nobody's. */
static void map_that_comes_too_late_is_undone(void **state)
{
	struct p2pdma_attachment *a = attach(0, &dynamic);

	(void)state;
	lender.in_map = revoke_and_restore_now;
	assert_int_equal(map(a, P2PDMA_OP_WRITE), -ENODEV);
	assert_int_equal(lender.mappings[0], 0);
	assert_int_equal(p2pdma_dmabuf_restore(dmabuf, NULL, 0, &err), 0);
	lender.in_map = invalidate_now;
	assert_int_equal(map(a, P2PDMA_OP_WRITE), -ENODEV);
	assert_int_equal(lender.mappings[0], 0);
	assert_int_equal(p2pdma_dmabuf_state(dmabuf), P2PDMA_DMABUF_LIVE);
	told = 0;
	lender.in_map = revoke_now;
	assert_int_equal(map(a, P2PDMA_OP_WRITE), -ENODEV);
	assert_int_equal(lender.mappings[0], 0);
	p2pdma_dmabuf_detach(a);
}

/* All importers of a provider are told before any of them is waited for. */
static void a_provider_has_several_exports(void **state)
{
	struct p2pdma_dmabuf *first = dmabuf, *second = lender_export();
	struct p2pdma_attachment *a = attach(0, &stubborn), *b;

	(void)state;
	dmabuf = second;
	b = attach(1, &stubborn);
	dmabuf = first;
	assert_int_equal(map(a, P2PDMA_OP_READ), 0);
	assert_int_equal(map(b, P2PDMA_OP_READ), 0);
	lender.provider.state = P2PDMA_PROVIDER_REVOKED;
	assert_int_equal(dmabufs_revoke(&lender.provider, false, 2000, &err), -ETIMEDOUT);
	assert_int_equal(told, 2);
	/* The newest comes first, and both had until the same deadline. */
	assert_non_null(strstr(err.text, "03:01.0"));
	assert_int_equal(lender.now, 2000 + 2 * P2PDMA_DRAIN_TIME);
	lender.provider.state = P2PDMA_PROVIDER_LIVE;
	dmabufs_restore(&lender.provider);
	assert_int_equal(p2pdma_dmabuf_state(first), P2PDMA_DMABUF_LIVE);
	assert_int_equal(p2pdma_dmabuf_state(second), P2PDMA_DMABUF_LIVE);
	p2pdma_dmabuf_detach(a);
	p2pdma_dmabuf_detach(b);
	p2pdma_dmabuf_release(second, 0, NULL);
}

/* After the machine was closed there is nobody to ask for the time. */
static void outlives_its_machine(void **state)
{
	struct p2pdma_attachment *a = attach(0, &dynamic);

	(void)state;
	assert_int_equal(map(a, P2PDMA_OP_WRITE), 0);
	assert_int_equal(p2pdma_dmabuf_unmap(a, 0), 0);
	assert_int_equal(map(a, P2PDMA_OP_WRITE), 0);
	lender.peers.backend = NULL;
	lender.peers.opened = NULL;
	assert_int_equal(dmabufs_revoke(&lender.provider, true, 0, &err), 0);
	p2pdma_dmabuf_detach(a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(export_takes_whole_pages_of_one_chunk),
		TEST(export_begins_as_the_provider_is),
		TEST(attach_refuses_who_could_not_be_revoked),
		TEST(attach_needs_a_live_export),
		TEST(map_asks_the_gate_and_unmap_gives_back),
		TEST(map_fails_once_revoked),
		TEST(who_has_not_mapped_loses_nothing),
		TEST(writes_have_time_to_land),
		TEST(detaching_counts_as_unmapping),
		TEST(who_overruns_is_cut),
		TEST(who_was_opened_since_is_not_cut),
		TEST(who_is_gone_is_not_cut),
		TEST(pins_forbid_moves),
		TEST(invalidate_needs_a_live_export),
		TEST(restore_may_move_it),
		TEST(map_that_comes_too_late_is_undone),
		TEST(a_provider_has_several_exports),
		TEST(outlives_its_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
