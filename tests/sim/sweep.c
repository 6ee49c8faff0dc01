/* SPDX-License-Identifier: MIT */
/*
 * sweep.c - the n-th op of a scenario fails, for every n: it is told, nothing leaks, and nothing
 * stays mapped or open.
 *
 * sweep FILE: a fabric with two "dma" engines.  The scenario copies through one, host memory to the
 * BAR of the other and back.  After each failure the same machine, whose ops work again, must run
 * the scenario whole.
 */
#include <stdio.h>

#include "driver.h"
#include <p2pdma/sim.h>

#define BYTES 8192u
#define MOST  500

struct world {
	struct p2pdma_machine *machine;
	struct p2pdma_device *engine, *peer;
	uint8_t *memory; /* BYTES to send, BYTES to come back */
	struct p2pdma_dma address;
};

static struct p2pdma_device *find_engine(struct p2pdma_machine *machine, unsigned int number)
{
	for (size_t i = 0; i < p2pdma_machine_device_count(machine); i++) {
		struct p2pdma_device *device = p2pdma_machine_device(machine, i);
		struct p2pdma_device_info info = { .size = sizeof(info) };

		if (!p2pdma_device_get_info(device, &info) && info.vendor == 0x1209 &&
		    info.device == 0x0002 && !number--)
			return device;
	}
	return NULL;
}

/* Through the memory of the peer's BAR 2, there and back. */
static int there_and_back(struct world *world, struct driver *driver, uint64_t address)
{
	struct p2pdma_bar peer;
	int r = p2pdma_device_bar(world->peer, 2, &peer);

	for (uint32_t i = 0; i < BYTES; i++)
		world->memory[i] = (uint8_t)(i * 7 + i / 256);
	memset(world->memory + BYTES, 0, BYTES);
	if (!r)
		r = driver_copy(driver, address, peer.bus.addr, BYTES, DRIVER_FLUSH | DRIVER_IRQ);
	if (!r)
		r = driver_copy(driver, peer.bus.addr, address + BYTES, BYTES,
		                DRIVER_FLUSH | DRIVER_IRQ);
	if (!r && memcmp(world->memory, world->memory + BYTES, BYTES) != 0)
		r = -EBADMSG;
	return r ? r : driver_interrupts(driver, 2);
}

static int run(struct world *world)
{
	struct driver driver;
	bool is_mapped = false;
	int r = driver_start(&driver, world->machine, world->engine);

	if (!r) {
		r = p2pdma_dma_map(world->engine, world->memory, 2 * BYTES, P2PDMA_OP_BOTH,
		                   &world->address);
		is_mapped = !r;
	}
	if (!r)
		r = there_and_back(world, &driver, world->address.addr);
	if (!r)
		r = p2pdma_device_reset(world->engine, NULL);
	if (is_mapped) {
		int unmapped = p2pdma_dma_unmap(world->engine, world->address, 2 * BYTES);

		r = r ? r : unmapped;
	}
	driver_stop(&driver);
	return r;
}

/* Not open; and with bus mastering on again it does not reach what was mapped last. */
static bool is_clean(struct world *world)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };
	struct p2pdma_sim_outcome outcome = { .size = sizeof(outcome) };
	uint8_t bytes[16];
	struct p2pdma_sim_dma dma = {
		.op = P2PDMA_OP_READ,
		.address = world->address,
		.length = sizeof(bytes),
		.bytes = bytes,
	};
	struct p2pdma_sim *sim;

	if (p2pdma_dma_unmap(world->engine, world->address, 2 * BYTES) != -EINVAL ||
	    p2pdma_device_reset(world->engine, NULL) != -EPERM || driver_enable(world->engine) ||
	    p2pdma_machine_sim(world->machine, &sim) ||
	    p2pdma_device_get_info(world->engine, &info))
		return false;
	dma.client = info.bdf;
	return !p2pdma_sim_dma(sim, &dma, &outcome) && outcome.fate == P2PDMA_SIM_IOMMU;
}

/* 1: the n-th op failed and was told; 0: there are fewer; negative: what is wrong. */
static int fail_one(const char *file, unsigned int n, uint8_t *memory)
{
	struct p2pdma_error err = { "" };
	struct world world = { .memory = memory };
	char spec[4200];
	bool is_good = false;
	int r, again = 0;

	snprintf(spec, sizeof(spec), "fault:nth=%u,errno=ENOTTY,sim:%s", n, file);
	r = p2pdma_machine_open(spec, &err, &world.machine);
	if (r)
		return r == -ENOTTY && n == 1 ? 1 : r;
	world.engine = find_engine(world.machine, 0);
	world.peer = find_engine(world.machine, 1);
	if (!world.engine || !world.peer) {
		fprintf(stderr, "%s: two engines are wanted\n", file);
	} else {
		r = run(&world);
		is_good = is_clean(&world) || is_clean(&world); /* the n-th may be one of these */
		again = r ? run(&world) : 0;
		if (!is_good)
			fprintf(stderr, "op %u: something stays open or mapped\n", n);
		if (again)
			fprintf(stderr, "op %u failed (%d), and the next run: %s\n", n, r,
			        strerror(-again));
		is_good = is_good && !again;
	}
	r = !is_good ? -EINVAL : r ? 1 : 0;
	p2pdma_machine_close(world.machine);
	return r;
}

int main(int argc, char **argv)
{
	uint8_t *memory = aligned_alloc(DRIVER_PAGE, 2 * BYTES);
	unsigned int n = 1, failed = 0, quiet = 0;
	int r = 0;

	if (argc != 2 || !memory)
		return 2;
	/* A lost store may do no harm, so that one run that works is not yet the end. */
	for (; quiet < 8 && n < MOST && r >= 0; n++) {
		r = fail_one(argv[1], n, memory);
		failed += r == 1;
		quiet = r == 0 ? quiet + 1 : 0;
	}
	free(memory);
	printf("%u ops, %u failures told\n", n - 1, failed);
	return r < 0 || n == MOST || failed < 20;
}
