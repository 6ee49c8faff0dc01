/* SPDX-License-Identifier: MIT */
/*
 * test_dmabuf_threads.c - dmabuf.c and importer.c with several threads inside.
 *
 * What has to be so for ever (a thread that waits) is looked at for as long as NAPS naps.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lender.h"

#define NAPS   100
#define MILLI  1000000ull
#define ROUNDS 300

/* One importer, and a door in its callbacks. */
struct importer {
	struct p2pdma_attachment *attachment;
	pthread_mutex_t lock;  /* as docs/driver-guide.md has it */
	atomic_bool is_closed; /* callbacks wait while it is */
	atomic_int inside, told, restored;
	bool is_mapped; /* by lock */
};

static struct p2pdma_dmabuf *dmabuf;
static struct importer a, b;

static void nap(void)
{
	nanosleep(&(struct timespec){ 0, 50000 }, NULL);
}

/* The machine's time goes on by a millisecond each time somebody waits for it. */
static bool wait_until(uint64_t until)
{
	nap();
	lender.now += MILLI;
	return lender.now < until;
}

static void pass_door(struct importer *importer)
{
	importer->inside++;
	while (importer->is_closed)
		nap();
	importer->inside--;
}

static int map(struct importer *importer)
{
	const struct p2pdma_dma_segment *segments;
	size_t count;
	int r;

	pthread_mutex_lock(&importer->lock);
	r = p2pdma_dmabuf_map(importer->attachment, P2PDMA_OP_WRITE, 0, NULL, &count, &segments);
	if (!r) {
		if (count != 1 || segments->length != 4096)
			abort();
		importer->is_mapped = true;
	}
	pthread_mutex_unlock(&importer->lock);
	return r;
}

static void unmap(struct importer *importer)
{
	pthread_mutex_lock(&importer->lock);
	if (importer->is_mapped)
		p2pdma_dmabuf_unmap(importer->attachment, P2PDMA_UNMAP_LANDED);
	importer->is_mapped = false;
	pthread_mutex_unlock(&importer->lock);
}

static void lets_go(struct p2pdma_attachment *attachment, void *arg)
{
	struct importer *importer = arg;

	(void)attachment;
	importer->told++;
	pass_door(importer);
	unmap(importer);
}

static void comes_back(struct p2pdma_attachment *attachment, void *arg)
{
	struct importer *importer = arg;

	(void)attachment;
	importer->restored++;
	map(importer);
	pass_door(importer);
}

/* Somebody else unmaps. */
static void waits_for_others(struct p2pdma_attachment *attachment, void *arg)
{
	struct importer *importer = arg;

	(void)attachment;
	importer->told++;
}

static const struct p2pdma_importer good = { sizeof(good), true, false, lets_go, comes_back };
static const struct p2pdma_importer deferring = { sizeof(deferring), true, false, waits_for_others,
	                                          NULL };

static void attach(struct importer *importer, unsigned int client,
                   const struct p2pdma_importer *ops)
{
	assert_int_equal(p2pdma_dmabuf_attach(dmabuf, &lender.clients[client], ops, importer, NULL,
	                                      &importer->attachment),
	                 0);
}

static int setup(void **state)
{
	(void)state;
	lender_start();
	lender.wait = wait_until;
	dmabuf = lender_export();
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	pthread_mutex_init(&a.lock, NULL);
	pthread_mutex_init(&b.lock, NULL);
	return !dmabuf;
}

static int teardown(void **state)
{
	(void)state;
	p2pdma_dmabuf_detach(a.attachment);
	p2pdma_dmabuf_detach(b.attachment);
	p2pdma_dmabuf_release(dmabuf, 0, NULL);
	return lender.references || lender.provider.dmabufs;
}

/* A call on a thread of its own. */
struct call {
	pthread_t thread;
	int (*function)(void);
	atomic_bool is_done;
	int result;
};

static void *run(void *arg)
{
	struct call *call = arg;

	call->result = call->function();
	call->is_done = true;
	return NULL;
}

static void begin(struct call *call, int (*function)(void))
{
	call->function = function;
	call->is_done = false;
	assert_int_equal(pthread_create(&call->thread, NULL, run, call), 0);
}

static int finish(struct call *call)
{
	pthread_join(call->thread, NULL);
	return call->result;
}

static void assert_waits(const struct call *call)
{
	for (int i = 0; i < NAPS; i++) {
		assert_false(call->is_done);
		nap();
	}
}

static void await(const atomic_int *inside)
{
	while (!*inside)
		nap();
}

static int revoke_patiently(void)
{
	return p2pdma_dmabuf_revoke(dmabuf, UINT64_MAX, NULL);
}

static int suspend(void)
{
	return dmabufs_revoke(&lender.provider, false, UINT64_MAX, NULL);
}

static int restore(void)
{
	return p2pdma_dmabuf_restore(dmabuf, NULL, 0, NULL);
}

static int detach_a(void)
{
	a.attachment = p2pdma_dmabuf_detach(a.attachment);
	return 0;
}

static int map_a(void)
{
	return map(&a);
}

static void unmaps_on_another_thread(void **state)
{
	struct call call;

	(void)state;
	attach(&a, 0, &deferring);
	assert_int_equal(map(&a), 0);
	begin(&call, revoke_patiently);
	await(&a.told);
	assert_waits(&call);
	assert_int_equal(p2pdma_dmabuf_state(dmabuf), P2PDMA_DMABUF_REVOKING);
	unmap(&a);
	assert_int_equal(finish(&call), 0);
	assert_int_equal(a.told, 1);
}

static void detach_waits_for_a_running_callback(void **state)
{
	struct call revokes, detaches;

	(void)state;
	attach(&a, 0, &good);
	a.is_closed = true;
	begin(&revokes, revoke_patiently);
	await(&a.inside);
	begin(&detaches, detach_a);
	assert_waits(&detaches);
	a.is_closed = false;
	assert_int_equal(finish(&detaches), 0);
	assert_int_equal(finish(&revokes), 0);
}

/* Nothing begins once it is being detached, though a callback is still running. */
static void who_is_being_detached_is_left_alone(void **state)
{
	const struct p2pdma_dma_segment *segments;
	struct p2pdma_attachment *attachment;
	struct call restores, detaches;
	size_t count;
	int r;

	(void)state;
	attach(&a, 0, &good);
	attachment = a.attachment;
	assert_int_equal(revoke_patiently(), 0);
	a.is_closed = true;
	begin(&restores, restore);
	await(&a.inside);
	assert_int_equal(lender.mappings[0], 1);
	begin(&detaches, detach_a);
	while (lender.mappings[0])
		nap();
	/* -EBUSY while that thread is still on its way out of the unmap. */
	do
		r = p2pdma_dmabuf_map(attachment, P2PDMA_OP_READ, 0, NULL, &count, &segments);
	while (r == -EBUSY);
	assert_int_equal(r, -ENODEV);
	assert_int_equal(lender.mappings[0], 0);
	assert_int_equal(revoke_patiently(), 0);
	assert_int_equal(a.told, 1);
	a.is_closed = false;
	finish(&restores);
	finish(&detaches);
}

/* One revoker hangs in a callback; the other has a deadline, and cuts that attachment too. */
static void a_callback_that_hangs_is_cut(void **state)
{
	struct p2pdma_error err = { "" };
	struct call hangs;
	uint64_t then;

	(void)state;
	attach(&b, 1, &good);
	attach(&a, 0, &good); /* the newest is told first */
	lender.bypasses[0] = true;
	assert_int_equal(map(&a), 0);
	assert_int_equal(map(&b), 0);
	a.is_closed = true;
	begin(&hangs, revoke_patiently);
	await(&a.inside);
	assert_int_equal(b.told, 0);

	then = lender.now;
	assert_int_equal(p2pdma_dmabuf_revoke(dmabuf, then + 20 * MILLI, &err), -ETIMEDOUT);
	assert_true(lender.now >= then + 20 * MILLI);
	assert_non_null(strstr(err.text, "03:00.0"));
	assert_null(strstr(err.text, "03:01.0"));
	assert_int_equal(lender.mappings[0] + lender.mappings[1], 0);
	assert_int_equal(lender.cuts[0], 1);
	assert_int_equal(b.told, 1);
	assert_int_equal(a.inside, 1);
	/* Whoever hangs in there would be told of it while he is still being told the opposite. */
	assert_int_equal(p2pdma_dmabuf_state(dmabuf), P2PDMA_DMABUF_REVOKING);
	assert_int_equal(restore(), -EBUSY);

	a.is_closed = false;
	assert_int_equal(finish(&hangs), -ETIMEDOUT);
	assert_int_equal(p2pdma_dmabuf_state(dmabuf), P2PDMA_DMABUF_REVOKED);
	assert_int_equal(a.told, 1);
	assert_int_equal(b.told, 1);
	assert_int_equal(restore(), 0);
	assert_int_equal(a.restored, 1);
	assert_int_equal(b.restored, 1);
}

/* The provider is back while a callback still runs: importers hear of it from that revoker. */
static void no_restoration_is_lost(void **state)
{
	struct call hangs;

	(void)state;
	attach(&a, 0, &good);
	assert_int_equal(map(&a), 0);
	a.is_closed = true;
	lender.provider.state = P2PDMA_PROVIDER_REVOKED;
	begin(&hangs, suspend);
	await(&a.inside);
	lender.provider.state = P2PDMA_PROVIDER_LIVE;
	dmabufs_restore(&lender.provider);
	assert_int_equal(p2pdma_dmabuf_state(dmabuf), P2PDMA_DMABUF_REVOKING);
	assert_int_equal(a.restored, 0);
	a.is_closed = false;
	assert_int_equal(finish(&hangs), 0);
	assert_int_equal(a.restored, 1);
	assert_int_equal(p2pdma_dmabuf_state(dmabuf), P2PDMA_DMABUF_LIVE);
	assert_int_equal(lender.mappings[0], 1);
}

static void two_revokers_wait_for_the_same(void **state)
{
	struct call first, second;

	(void)state;
	attach(&a, 0, &deferring);
	assert_int_equal(map(&a), 0);
	begin(&first, revoke_patiently);
	begin(&second, suspend);
	await(&a.told);
	assert_waits(&first);
	assert_waits(&second);
	unmap(&a);
	assert_int_equal(finish(&first), 0);
	assert_int_equal(finish(&second), 0);
	assert_int_equal(a.told, 1);
	/* Two reasons, both have to go. */
	assert_int_equal(restore(), -ENODEV);
	dmabufs_restore(&lender.provider);
	assert_int_equal(p2pdma_dmabuf_state(dmabuf), P2PDMA_DMABUF_LIVE);
}

static void is_revoked_while_being_restored(void **state)
{
	struct call restores;

	(void)state;
	attach(&b, 1, &good);
	attach(&a, 0, &good);
	assert_int_equal(revoke_patiently(), 0);
	a.is_closed = true;
	begin(&restores, restore);
	await(&a.inside);
	/* a is told on this thread; b never heard that it was there again. */
	a.is_closed = false;
	assert_int_equal(revoke_patiently(), 0);
	assert_int_equal(lender.mappings[0], 0);
	assert_int_equal(finish(&restores), 0);
	assert_int_equal(a.told, 2);
	assert_int_equal(b.told, 2);
	assert_true(b.restored <= 1);
	assert_int_equal(restore(), 0);
	assert_int_equal(a.restored, 2);
	assert_true(b.restored >= 1 && b.restored <= 2);
	assert_int_equal(lender.mappings[1], 1);
}

static atomic_int in_map;
static atomic_bool is_map_closed;

static void linger(void)
{
	in_map++;
	while (is_map_closed)
		nap();
	in_map--;
}

/* Past its deadline too: nobody can cut what is not made yet. */
static void a_map_under_way_is_waited_for(void **state)
{
	struct call maps, revokes;

	(void)state;
	attach(&a, 0, &deferring);
	is_map_closed = true;
	lender.in_map = linger;
	begin(&maps, map_a);
	await(&in_map);
	begin(&revokes, revoke_patiently);
	assert_waits(&revokes);
	assert_int_equal(p2pdma_dmabuf_state(dmabuf), P2PDMA_DMABUF_REVOKING);
	is_map_closed = false;
	assert_int_equal(finish(&revokes), 0);
	assert_int_equal(lender.mappings[0], 0);
	assert_int_equal(finish(&maps), -ENODEV);
}

static void a_map_under_way_is_detached(void **state)
{
	const struct p2pdma_dma_segment *segments;
	struct call maps, detaches;
	size_t count;

	(void)state;
	attach(&a, 0, &deferring);
	is_map_closed = true;
	lender.in_map = linger;
	begin(&maps, map_a);
	await(&in_map);
	assert_int_equal(p2pdma_dmabuf_map(a.attachment, P2PDMA_OP_READ, 0, NULL, &count,
	                                   &segments),
	                 -EBUSY);
	begin(&detaches, detach_a);
	assert_waits(&detaches);
	is_map_closed = false;
	finish(&detaches);
	assert_int_equal(finish(&maps), -ENODEV);
	assert_int_equal(lender.mappings[0], 0);
}

static atomic_bool is_over;

static void *use(void *arg)
{
	struct importer *importer = arg;

	while (!is_over) {
		map(importer);
		if (!p2pdma_dmabuf_pin(importer->attachment, 0))
			p2pdma_dmabuf_unpin(importer->attachment);
		unmap(importer);
	}
	return NULL;
}

static void *come_and_go(void *arg)
{
	struct importer visitor = { .lock = PTHREAD_MUTEX_INITIALIZER };

	(void)arg;
	while (!is_over) {
		if (p2pdma_dmabuf_attach(dmabuf, &lender.clients[2], &good, &visitor, NULL,
		                         &visitor.attachment))
			continue;
		map(&visitor);
		p2pdma_dmabuf_detach(visitor.attachment);
		visitor.is_mapped = false;
	}
	return NULL;
}

static void *suspend_and_resume(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		lender.provider.state = P2PDMA_PROVIDER_REVOKED;
		if (dmabufs_revoke(&lender.provider, false, UINT64_MAX, NULL))
			abort();
		if (lender.mappings[0] || lender.mappings[1] || lender.mappings[2])
			abort();
		lender.provider.state = P2PDMA_PROVIDER_LIVE;
		dmabufs_restore(&lender.provider);
	}
	return NULL;
}

/* Everybody at once; what must hold is that it ends, and what was promised at each return. */
static void all_at_once(void **state)
{
	void *(*const functions[])(void *) = { use, use, come_and_go, suspend_and_resume };
	void *const args[] = { &a, &b, NULL, NULL };
	pthread_t threads[4];

	(void)state;
	is_over = false;
	attach(&a, 0, &good);
	attach(&b, 1, &good);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, functions[i], args[i]), 0);
	for (int i = 0; i < ROUNDS; i++) {
		int r = i % 3 ? p2pdma_dmabuf_revoke(dmabuf, UINT64_MAX, NULL)
		              : p2pdma_dmabuf_invalidate(dmabuf, UINT64_MAX, NULL);

		if (i % 3) {
			assert_int_equal(r, 0);
			assert_int_equal(
				lender.mappings[0] + lender.mappings[1] + lender.mappings[2], 0);
		} else {
			assert_true(!r || r == -EBUSY);
		}
		r = restore();
		assert_true(!r || r == -EBUSY || r == -ENODEV);
		while (i % 3 && restore() == -EBUSY)
			nap();
	}
	pthread_join(threads[3], NULL);
	is_over = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(restore(), 0);
	assert_int_equal(p2pdma_dmabuf_state(dmabuf), P2PDMA_DMABUF_LIVE);
	assert_true(a.told > 0 && a.restored > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(unmaps_on_another_thread),
		TEST(detach_waits_for_a_running_callback),
		TEST(who_is_being_detached_is_left_alone),
		TEST(a_callback_that_hangs_is_cut),
		TEST(no_restoration_is_lost),
		TEST(two_revokers_wait_for_the_same),
		TEST(is_revoked_while_being_restored),
		TEST(a_map_under_way_is_waited_for),
		TEST(a_map_under_way_is_detached),
		TEST(all_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
