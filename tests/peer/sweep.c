/* SPDX-License-Identifier: MIT */
/*
 * sweep.c - the n-th op of the machine, or the n-th allocation, fails, for every n: the whole life
 * of a provider's memory tells of it by what is documented, leaks nothing and leaves nothing
 * mapped.
 *
 * sweep FILE: a fabric with a "dma" engine that has no memory and a "mem" card.
 */
#include <stdio.h>

#include "driver.h"
#include <p2pdma/cpu.h>
#include <p2pdma/find.h>
#include <p2pdma/importer.h>
#include <p2pdma/map.h>
#include <p2pdma/p2pmem.h>
#include <p2pdma/sim.h>

#define PAGE   4096u
#define MOST   3000u
#define QUIET  150 /* scenarios in a row without a failure: a lost store may do no harm */
#define SECOND 1000000000ull

/* ---- allocations ---- */

static long countdown = -1; /* until the one that fails; negative: none does */
static bool has_failed;
static long blocks; /* not freed */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
char *__real_strdup(const char *text);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);
char *__wrap_strdup(const char *text);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static bool fails(void)
{
	if (countdown < 0 || (countdown && countdown--))
		return false;
	countdown = -1;
	has_failed = true;
	errno = ENOMEM;
	return true;
}

static void *counted(void *block)
{
	blocks += block != NULL;
	return block;
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : counted(__real_strdup(text));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : counted(__real_aligned_alloc(alignment, size));
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *block, size_t size)
{
	void *larger = fails() ? NULL : __real_realloc(block, size);

	return block ? larger : counted(larger);
}

void __wrap_free(void *block)
{
	blocks -= block != NULL;
	__real_free(block);
}

/* ---- the scenario ---- */

struct world {
	struct p2pdma_machine *machine;
	struct p2pdma_device *engine, *card;
	struct driver driver;
	bool is_card_open;
	struct p2pdma_provider *provider;
	struct p2pmem_buf buf;
	bool has_buf;
	struct p2pdma_mapping *mapping;
	struct p2pdma_dmabuf *dmabuf;
	struct p2pdma_attachment *attachment;
	void *view;
	uint8_t *host;
	uint64_t address, host_address; /* for the engine */
	uint64_t lent;                  /* and the same memory when it was lent */
	const char *step;
};

static void never(struct p2pdma_attachment *attachment, void *arg)
{
	(void)attachment;
	(void)arg;
}

static const struct p2pdma_importer stuck = {
	.size = sizeof(struct p2pdma_importer),
	.allows_peer = true,
	.invalidate = never,
};

static struct p2pdma_device *find_device(struct p2pdma_machine *machine, uint16_t id)
{
	for (size_t i = 0; i < p2pdma_machine_device_count(machine); i++) {
		struct p2pdma_device *device = p2pdma_machine_device(machine, i);
		struct p2pdma_device_info info = { .size = sizeof(info) };

		if (!p2pdma_device_get_info(device, &info) && info.vendor == 0x1209 &&
		    info.device == id)
			return device;
	}
	return NULL;
}

static uint64_t deadline(const struct world *world)
{
	return p2pdma_machine_now(world->machine) + SECOND / 100;
}

static int map_both(struct world *world)
{
	const struct p2pdma_dma_segment *segments;
	struct p2pdma_sg sgl[2] = { p2pdma_sg_buf(world->buf),
		                    { .memory = world->host, .length = PAGE } };
	size_t count;
	int r = p2pdma_map_sg(world->engine, sgl, 2, P2PDMA_OP_BOTH, 0, NULL, &world->mapping);

	if (r)
		return r;
	segments = p2pdma_mapping_segments(world->mapping, &count);
	world->address = segments[0].address.addr;
	world->host_address = segments[count - 1].address.addr;
	return 0;
}

/* Host memory to the card, and looked at there. */
static int copy(struct world *world, uint64_t target)
{
	uint8_t back[64];
	int r;

	for (unsigned int i = 0; i < PAGE; i++)
		world->host[i] = (uint8_t)(i * 7 + i / 256);
	r = driver_copy(&world->driver, world->host_address, target, PAGE, DRIVER_FLUSH);
	if (!r)
		r = p2pmem_copy_from(world->buf, 0, sizeof(back), back);
	return r ? r : memcmp(back, world->host, sizeof(back)) ? -EBADMSG : 0;
}

static int look_through(struct world *world)
{
	int r = p2pmem_mmap(world->buf, &world->view);

	if (r)
		return r;
	return memcmp(world->view, world->host, PAGE) ? -EBADMSG : 0;
}

static int lend(struct world *world)
{
	struct p2pdma_range range = { world->buf.offset, 2 * PAGE };
	const struct p2pdma_dma_segment *segments;
	enum p2pdma_promise promise;
	size_t count;
	int r = p2pdma_dmabuf_export(world->provider, &range, 1, NULL, &promise, &world->dmabuf);

	if (!r)
		r = p2pdma_dmabuf_attach(world->dmabuf, world->engine, &stuck, NULL, NULL,
		                         &world->attachment);
	if (!r)
		r = p2pdma_dmabuf_map(world->attachment, P2PDMA_OP_BOTH, 0, NULL, &count,
		                      &segments);
	if (!r)
		world->lent = segments[0].address.addr;
	return r;
}

/* The importer is stuck, and cut off. */
static int take_back(struct world *world)
{
	int r = p2pdma_dmabuf_revoke(world->dmabuf, deadline(world), NULL);

	if (r != -ETIMEDOUT)
		return r ? r : -EBADMSG;
	r = p2pdma_dmabuf_state(world->dmabuf) == P2PDMA_DMABUF_REVOKED ? 0 : -EBADMSG;
	return r ? r : p2pdma_dmabuf_restore(world->dmabuf, NULL, 0, NULL);
}

static int reset(struct world *world)
{
	int r = p2pdma_device_reset(world->card, NULL);

	return r ? r : driver_enable(world->card);
}

#define STEP(call)                           \
	do {                                 \
		if (!r) {                    \
			world->step = #call; \
			r = call;            \
		}                            \
	} while (0)

static int run(struct world *world)
{
	struct p2pdma_provider *found = NULL;
	int r = 0;

	STEP(driver_start(&world->driver, world->machine, world->engine));
	STEP(p2pdma_device_open(world->card, NULL));
	world->is_card_open = !r;
	STEP(driver_enable(world->card));
	STEP(p2pdma_add_resource(world->card, 0, 0, 0, NULL, NULL, &world->provider));
	STEP(p2pmem_publish(world->provider, true));
	STEP(p2pmem_find_many(&world->engine, 1, P2PDMA_OP_BOTH, NULL, NULL, &found));
	p2pdma_provider_put(found);
	STEP(p2pmem_alloc(world->provider, 2 * PAGE, PAGE, &world->buf));
	world->has_buf = !r;
	STEP(map_both(world));
	STEP(copy(world, world->address));
	STEP(look_through(world));
	STEP(reset(world));
	STEP(copy(world, world->address));
	STEP(lend(world));
	STEP(take_back(world));
	return r;
}

/* Undoes what was done, however far that was; what is wrong, or NULL. */
static const char *undo(struct world *world)
{
	struct p2pdma_provider_info info = { .size = sizeof(info) };
	const char *wrong = NULL;
	int r;

	p2pdma_dmabuf_detach(world->attachment);
	r = p2pdma_dmabuf_release(world->dmabuf, deadline(world), NULL);
	if (r && r != -ETIMEDOUT)
		wrong = "release";
	if (world->view && p2pmem_munmap(world->buf, world->view))
		wrong = "munmap";
	p2pdma_unmap_sg(world->mapping);
	if (world->has_buf && p2pmem_free(world->buf))
		wrong = "free";
	if (world->provider) {
		r = p2pdma_provider_remove(world->provider, deadline(world), NULL);
		if (r && r != -ETIMEDOUT)
			wrong = "remove";
		p2pdma_provider_get_info(world->provider, &info);
		if (info.buffers || info.mappings || info.free != info.total)
			wrong = "buffers or mappings are left";
	}
	p2pdma_provider_put(world->provider);
	/* It may have been switched off, and the next is to find it as it was; this op may fail. */
	if (world->driver.is_open && p2pdma_device_reset(world->engine, NULL))
		p2pdma_device_reset(world->engine, NULL);
	if (world->is_card_open)
		p2pdma_device_close(world->card);
	driver_stop(&world->driver);
	return wrong;
}

/* With bus mastering on again it does not get there. */
static bool is_unmapped(struct world *world, uint64_t address)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };
	struct p2pdma_sim_outcome outcome = { .size = sizeof(outcome) };
	uint8_t bytes[16];
	struct p2pdma_sim_dma dma = {
		.op = P2PDMA_OP_READ,
		.address = { address },
		.length = sizeof(bytes),
		.bytes = bytes,
	};
	struct p2pdma_sim *sim;

	if (!address)
		return true;
	/* This may be the op that fails. */
	if ((p2pdma_machine_sim(world->machine, &sim) &&
	     p2pdma_machine_sim(world->machine, &sim)) ||
	    (driver_enable(world->engine) && driver_enable(world->engine)) ||
	    p2pdma_device_get_info(world->engine, &info))
		return false;
	dma.client = info.bdf;
	return !p2pdma_sim_dma(sim, &dma, &outcome) && outcome.fate == P2PDMA_SIM_IOMMU;
}

static const int documented[] = { -EIO,    -ENOMEM, -ENODEV,    -EPERM,  -EREMOTEIO,
	                          -EINVAL, -EBUSY,  -ETIMEDOUT, -ENOTTY, -EBADMSG };

static bool is_documented(int r)
{
	for (size_t i = 0; i < sizeof(documented) / sizeof(documented[0]); i++)
		if (r == documented[i])
			return true;
	return false;
}

/* The scenario once, on @world->machine; whether all is as it has to be afterwards. */
static bool run_and_look(struct world *world, uint8_t *host, int *ret_r)
{
	struct p2pdma_machine *machine = world->machine;
	const char *wrong;

	*world = (struct world){ .machine = machine, .host = host, .driver = { .fd = -1 } };
	world->engine = find_device(machine, 0x0002);
	world->card = find_device(machine, 0x0001);
	if (!world->engine || !world->card)
		return false;
	*ret_r = run(world);
	wrong = undo(world);
	if (!wrong && *ret_r && !is_documented(*ret_r))
		wrong = "an error that is not documented";
	if (!wrong && (!is_unmapped(world, world->address) || !is_unmapped(world, world->lent)))
		wrong = "it is still mapped";
	if (wrong)
		fprintf(stderr, "%s: %d, then: %s\n", world->step, *ret_r, wrong);
	return !wrong;
}

/* 1: the n-th op failed, and was told; 0: none did; negative: something is wrong. */
static int fail_op(const char *file, unsigned int n, uint8_t *host)
{
	struct p2pdma_error err = { "" };
	struct world world = { NULL };
	char spec[4200];
	bool is_good;
	int r, first = 0, again = 0;

	snprintf(spec, sizeof(spec), "fault:nth=%u,errno=EIO,sim:%s", n, file);
	r = p2pdma_machine_open(spec, &err, &world.machine);
	if (r)
		return r == -EIO ? 1 : r;
	is_good = run_and_look(&world, host, &first);
	/* The same machine, whose ops work again. */
	if (is_good && first)
		is_good = run_and_look(&world, host, &again) && !again;
	if (!is_good)
		fprintf(stderr, "op %u: %d, and again %d at %s\n", n, first, again, world.step);
	p2pdma_machine_close(world.machine);
	return !is_good ? -EINVAL : first ? 1 : 0;
}

/* A simulated function hangs when host memory runs out: it is pulled, and plugged in again. */
static bool revive(const struct world *world)
{
	static const char *const what[] = { "remove", "add" };
	struct p2pdma_device_info info = { .size = sizeof(info) };
	struct p2pdma_sim *sim;
	char json[128];
	uint64_t until;

	if (p2pdma_machine_sim(world->machine, &sim) ||
	    p2pdma_device_get_info(world->engine, &info))
		return false;
	for (unsigned int i = 0; i < 2; i++) {
		snprintf(json, sizeof(json),
		         "{\"at_ns\":0,\"do\":\"%s\",\"device\":\"%04x:%02x:%02x.%x\"}", what[i],
		         (unsigned int)info.bdf.domain, info.bdf.bus, info.bdf.devfn >> 3,
		         info.bdf.devfn & 7);
		if (p2pdma_sim_fault(sim, json, NULL))
			return false;
		until = p2pdma_machine_now(world->machine) + 1000;
		while (p2pdma_machine_progress(world->machine, until) > 0)
			;
	}
	return true;
}

/* The same of allocations, from the first of the scenario on. */
static int fail_allocation(const char *file, unsigned int n, uint8_t *host)
{
	struct world world = { NULL };
	char spec[4200];
	bool is_good;
	long before = blocks;
	int r, first = 0, again = 0;

	snprintf(spec, sizeof(spec), "sim:%s", file);
	r = p2pdma_machine_open(spec, NULL, &world.machine);
	if (r)
		return r;
	has_failed = false;
	countdown = n - 1;
	is_good = run_and_look(&world, host, &first);
	countdown = -1;
	if (is_good && (!first || revive(&world)))
		is_good = run_and_look(&world, host, &again) && !again;
	p2pdma_machine_close(world.machine);
	if (!is_good || blocks != before) {
		fprintf(stderr, "allocation %u: %d, and again %d at %s; %ld blocks are left\n", n,
		        first, again, world.step, blocks - before);
		return -EINVAL;
	}
	return has_failed;
}

static int sweep(const char *what, const char *file, uint8_t *host,
                 int (*fail)(const char *file, unsigned int n, uint8_t *host))
{
	unsigned int n = 1, failed = 0, quiet = 0;
	int r = 0;

	for (; quiet < QUIET && n < MOST && r >= 0; n++) {
		r = fail(file, n, host);
		failed += r == 1;
		quiet = r == 0 ? quiet + 1 : 0;
	}
	printf("%u %s, %u failures\n", n - 1, what, failed);
	return r < 0 || n == MOST || failed < 20;
}

int main(int argc, char **argv)
{
	uint8_t *host = aligned_alloc(PAGE, PAGE);
	int r;

	if (argc != 2 || !host)
		return 2;
	r = sweep("ops", argv[1], host, fail_op);
	r |= sweep("allocations", argv[1], host, fail_allocation);
	free(host);
	return r;
}
