/* SPDX-License-Identifier: MIT */
/*
 * threads.c - one provider and several threads: buffers, mappings and exports while it is there,
 * and when it is taken away.
 *
 * For thread sanitizers above all.  The clock is virtual: whoever waits makes it run.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "lab.h"
#include <errno.h>
#include <p2pdma/cpu.h>
#include <p2pdma/find.h>
#include <p2pdma/importer.h>
#include <p2pdma/map.h>
#include <p2pdma/p2pmem.h>

#define PAGE    4096u
#define THREADS 4
#define ROUNDS  1500u /* before the provider is removed */
#define LENDS   60u
#define FAR     (UINT64_MAX / 2)

#define CHECK(condition)                                                                \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

static const char machine[] =
	"{\"format\":\"p2pdma-fabric\",\"version\":1,\"roots\":[{\"platform\":\"intel-skylake-sp\","
	"\"below\":[{\"type\":\"switch\",\"below\":["
	"{\"model\":\"probe\",\"id\":0,\"name\":\"c0\"},{\"model\":\"probe\",\"id\":1,\"name\":\"c1\"},"
	"{\"model\":\"mem\",\"size\":\"1M\",\"name\":\"card\"}]}]}]}";
static const char translated[] =
	"{\"format\":\"p2pdma-fabric\",\"version\":1,\"iommu\":\"translated\",\"roots\":[{"
	"\"platform\":\"intel-skylake-sp\",\"below\":[{\"type\":\"switch\",\"below\":["
	"{\"model\":\"probe\",\"id\":0,\"name\":\"c0\"},{\"model\":\"probe\",\"id\":1,\"name\":\"c1\"},"
	"{\"model\":\"mem\",\"size\":\"1M\",\"name\":\"card\"}]}]}]}";

static struct lab lab;
static struct p2pdma_device *clients[2], *card;
static struct p2pdma_provider *provider;
static atomic_uint rounds, started;

struct worker {
	pthread_t thread;
	unsigned int number;
	uint64_t random;
	struct p2pmem_cache *cache;
	struct p2pmem_buf bufs[8];
	unsigned int count;
	bool is_over; /* it has seen that the provider is dead */
};

static uint32_t below(struct worker *worker, uint32_t limit)
{
	worker->random = worker->random * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((worker->random >> 32) * limit >> 32);
}

static void open_machine(const char *json)
{
	lab_open(&lab, json, NULL);
	clients[0] = lab_device(&lab, "c0");
	clients[1] = lab_device(&lab, "c1");
	card = lab_device(&lab, "card");
	CHECK(!p2pdma_device_open(clients[0], NULL) && !p2pdma_device_open(clients[1], NULL) &&
	      !p2pdma_device_open(card, NULL));
	for (int i = 0; i < 2; i++)
		lab_change(clients[i], COMMAND, 0, COMMAND_MASTER);
	CHECK(!p2pdma_add_resource(card, 0, 0x80000, 0, NULL, NULL, &provider));
	p2pdma_provider_put(provider);
	CHECK(!p2pdma_add_resource(card, 0, 0, 0x80000, NULL, NULL, &provider));
	CHECK(!p2pmem_publish(provider, true));
	rounds = started = 0;
}

/* Nothing is left, and the numbers add up. */
static void close_machine(void)
{
	struct p2pdma_provider_info info = { .size = sizeof(info) };

	CHECK(!p2pdma_provider_get_info(provider, &info));
	CHECK(info.state == P2PDMA_PROVIDER_DEAD && !info.buffers && !info.mappings &&
	      !info.cached && info.free == info.total);
	p2pdma_provider_put(provider);
	p2pdma_device_close(card);
	p2pdma_device_close(clients[0]);
	p2pdma_device_close(clients[1]);
	lab_close(&lab);
}

/* ---- buffers and mappings ---- */

static void take(struct worker *worker)
{
	struct p2pmem_buf *buf = &worker->bufs[worker->count];
	int r;

	if (worker->count == 8)
		return;
	if (below(worker, 2))
		r = p2pmem_alloc(provider, PAGE * (1 + below(worker, 3)), 0, buf);
	else
		r = p2pmem_cache_alloc(worker->cache, buf);
	CHECK(!r || r == -ENOMEM || r == -ENODEV);
	worker->count += !r;
	worker->is_over = r == -ENODEV;
}

static void give(struct worker *worker)
{
	struct p2pmem_buf buf;

	if (!worker->count)
		return;
	buf = worker->bufs[--worker->count];
	CHECK(!(buf.size == PAGE && below(worker, 2) ? p2pmem_cache_put(worker->cache, buf)
	                                             : p2pmem_free(buf)));
}

static void find(struct worker *worker)
{
	struct p2pdma_provider *found = NULL;
	int r = p2pmem_find_many(clients, 1 + below(worker, 2), P2PDMA_OP_BOTH, NULL, NULL, &found);

	CHECK(!r || r == -ENODEV);
	CHECK(r || found == provider);
	p2pdma_provider_put(found);
}

static void map(struct worker *worker)
{
	struct p2pdma_mapping *mapping = NULL;
	struct p2pdma_sg sgl[8];
	int r;

	if (!worker->count)
		return;
	for (unsigned int i = 0; i < worker->count; i++)
		sgl[i] = p2pdma_sg_buf(worker->bufs[i]);
	r = p2pdma_map_sg(clients[below(worker, 2)], sgl, worker->count, P2PDMA_OP_BOTH, 0, NULL,
	                  &mapping);
	CHECK(!r || r == -ENODEV);
	worker->is_over |= r == -ENODEV;
	p2pdma_unmap_sg(mapping);
}

/* Nobody else writes to what is ours. */
static void use(struct worker *worker)
{
	uint64_t value = worker->random, back = 0;
	int r;

	if (!worker->count)
		return;
	r = p2pmem_write(worker->bufs[0], 8 * below(worker, 4), 8, value);
	if (!r)
		r = p2pmem_write(worker->bufs[0], 0, 8, value);
	if (!r)
		r = p2pmem_read(worker->bufs[0], 0, 8, &back);
	CHECK(r || back == value);
	CHECK(!r || r == -ENODEV);
}

static void look(struct worker *worker)
{
	struct p2pdma_provider_info info = { .size = sizeof(info) };

	(void)worker;
	CHECK(!p2pdma_provider_get_info(provider, &info));
	CHECK(info.largest <= info.free && info.free + info.cached <= info.total);
}

static void publish(struct worker *worker)
{
	int r = p2pmem_publish(provider, below(worker, 4));

	CHECK(!r || r == -ENODEV);
}

static void let_go(struct worker *worker)
{
	while (worker->count)
		CHECK(!p2pmem_free(worker->bufs[--worker->count]));
	p2pmem_cache_free(worker->cache);
}

static void *work(void *arg)
{
	static void (*const steps[])(struct worker * worker) = { take, take, take,   give,
		                                                 give, find, map,    map,
		                                                 use,  look, publish };
	struct worker *worker = arg;

	CHECK(!p2pmem_cache_new(provider, PAGE, 0, 4 + worker->number, &worker->cache));
	started++;
	while (!worker->is_over) {
		steps[below(worker, sizeof(steps) / sizeof(steps[0]))](worker);
		rounds++;
	}
	let_go(worker);
	return NULL;
}

static void buffers(const char *json)
{
	struct worker workers[THREADS] = { 0 };

	open_machine(json);
	for (unsigned int i = 0; i < THREADS - 1; i++) {
		workers[i].number = i;
		workers[i].random = i;
		CHECK(!pthread_create(&workers[i].thread, NULL, work, &workers[i]));
	}
	while (rounds < ROUNDS || started < THREADS - 1)
		lab_run(&lab, 1000);
	/* Waits until the others have noticed. */
	CHECK(!p2pdma_provider_remove(provider, FAR, NULL));
	for (unsigned int i = 0; i < THREADS - 1; i++)
		CHECK(!pthread_join(workers[i].thread, NULL));
	close_machine();
}

/* ---- exports ---- */

/* As docs/driver-guide.md has it: one lock between its own thread and callbacks. */
struct borrower {
	pthread_t thread;
	pthread_mutex_t lock;
	struct p2pdma_device *client;
	struct p2pdma_attachment *attachment;
	bool is_mapped; /* by lock */
	bool is_late;   /* its own thread lets go, not the callback */
	atomic_bool is_asked;
	atomic_uint maps;
};

static struct p2pdma_dmabuf *dmabuf;
static atomic_bool is_removed;

static void unmap(struct borrower *borrower)
{
	pthread_mutex_lock(&borrower->lock);
	if (borrower->is_mapped) {
		int r = p2pdma_dmabuf_unmap(borrower->attachment, P2PDMA_UNMAP_LANDED);

		/* Cut: whoever waits has the clock run, and his deadline come at once. */
		CHECK(!r || r == -EINVAL);
	}
	borrower->is_mapped = false;
	pthread_mutex_unlock(&borrower->lock);
}

static void invalidate(struct p2pdma_attachment *attachment, void *arg)
{
	struct borrower *borrower = arg;

	CHECK(attachment == borrower->attachment);
	if (borrower->is_late)
		borrower->is_asked = true;
	else
		unmap(borrower);
}

static void restored(struct p2pdma_attachment *attachment, void *arg)
{
	struct borrower *borrower = arg;

	CHECK(attachment == borrower->attachment);
}

static const struct p2pdma_importer importer = {
	.size = sizeof(struct p2pdma_importer),
	.allows_peer = true,
	.invalidate = invalidate,
	.restored = restored,
};

/* It was cut, and switched off: until a reset, and then until its driver says so. */
static void switch_on(struct p2pdma_device *client)
{
	int r = p2pdma_device_reset(client, NULL);

	CHECK(!r);
	r = p2pdma_device_config_write(client, COMMAND, 2, COMMAND_MEMORY | COMMAND_MASTER);
	CHECK(!r || r == -EPERM); /* cut again */
}

static void *borrow(void *arg)
{
	const struct p2pdma_dma_segment *segments;
	struct borrower *borrower = arg;
	size_t count;
	int r;

	while (!is_removed) {
		pthread_mutex_lock(&borrower->lock);
		r = p2pdma_dmabuf_map(borrower->attachment, P2PDMA_OP_BOTH, 0, NULL, &count,
		                      &segments);
		borrower->is_mapped |= !r;
		borrower->maps += !r;
		pthread_mutex_unlock(&borrower->lock);
		CHECK(!r || r == -ENODEV || r == -EBUSY || r == -EPERM || r == -EREMOTEIO);
		if (r == -EPERM || r == -EREMOTEIO)
			switch_on(borrower->client);
		if (!borrower->is_late || borrower->is_asked) {
			borrower->is_asked = false;
			unmap(borrower);
		}
	}
	unmap(borrower);
	return NULL;
}

static void *revoke(void *arg)
{
	unsigned int *seen = arg;

	for (unsigned int i = 0; i < LENDS; i++) {
		int r = p2pdma_dmabuf_revoke(dmabuf, p2pdma_machine_now(lab.machine) + 1000000,
		                             NULL);

		CHECK(!r || r == -ETIMEDOUT || r == -ENODEV);
		*seen += !r || r == -ETIMEDOUT;
		r = p2pdma_dmabuf_restore(dmabuf, NULL, 0, NULL);
		CHECK(!r || r == -EBUSY || r == -ENODEV);
	}
	return NULL;
}

static void exports(const char *json)
{
	struct borrower borrowers[2] = {
		{ .lock = PTHREAD_MUTEX_INITIALIZER },
		{ .lock = PTHREAD_MUTEX_INITIALIZER, .is_late = true },
	};
	unsigned int revoked = 0, others = 0;
	struct p2pmem_buf buf;
	struct p2pdma_range range;
	pthread_t other;
	int r;

	open_machine(json);
	is_removed = false;
	CHECK(!p2pmem_alloc(provider, 2 * PAGE, PAGE, &buf));
	range = (struct p2pdma_range){ buf.offset, buf.size };
	CHECK(!p2pdma_dmabuf_export(provider, &range, 1, NULL, NULL, &dmabuf));
	for (int i = 0; i < 2; i++) {
		borrowers[i].client = clients[i];
		CHECK(!p2pdma_dmabuf_attach(dmabuf, clients[i], &importer, &borrowers[i], NULL,
		                            &borrowers[i].attachment));
		CHECK(!pthread_create(&borrowers[i].thread, NULL, borrow, &borrowers[i]));
	}
	CHECK(!pthread_create(&other, NULL, revoke, &others));
	revoke(&revoked);
	CHECK(!pthread_join(other, NULL));
	CHECK(revoked == LENDS && others == LENDS);
	r = p2pdma_provider_remove(provider, p2pdma_machine_now(lab.machine) + 1000000, NULL);
	CHECK(r == -ETIMEDOUT); /* the buffer is out */
	is_removed = true;
	for (int i = 0; i < 2; i++) {
		CHECK(!pthread_join(borrowers[i].thread, NULL));
		p2pdma_dmabuf_detach(borrowers[i].attachment);
	}
	r = p2pdma_dmabuf_release(dmabuf, FAR, NULL);
	CHECK(!r);
	CHECK(!p2pmem_free(buf));
	CHECK(!p2pdma_provider_remove(provider, FAR, NULL));
	close_machine();
}

int main(void)
{
	buffers(machine);
	buffers(translated);
	exports(machine);
	exports(translated);
	return 0;
}
