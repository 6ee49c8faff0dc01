/* SPDX-License-Identifier: MIT */
/*
 * orchestrator.c - moves data from one device to another through a third one's memory.
 *
 *	orchestrator sim:data/sim/peer-memory.json nvme0n1 nvme1n1
 *
 * The two ends are DMA engines (model "dma", docs/simulator-models.md) that stand for drives: each
 * has memory of its own for a medium.  The memory card is found, not named.  Buffers and the
 * engines' rings are allocated in it, so that host memory has no part in it at all; the last lines
 * show that.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <p2pdma/access.h>
#include <p2pdma/cpu.h>
#include <p2pdma/find.h>
#include <p2pdma/map.h>
#include <p2pdma/progress.h>
#include <p2pdma/sim.h>

#define TOTAL    (64ull << 20)
#define BUFFER   (1ull << 20)
#define BUFFERS  4 /* in flight: one fills while another drains */
#define ENTRIES  64u
#define RING     4096u
#define PATIENCE 100000000ull /* ns */

/* The engine's registers and descriptors. */
#define REG_MAGIC     0x000
#define REG_BASE      0x100
#define REG_SIZE      0x110
#define REG_CONTROL   0x114
#define REG_DOORBELL  0x118
#define MAGIC         0x414d4432u
#define FLUSH         0x04 /* read back what was written before it is done */
#define LOCAL_SOURCE  0x08
#define LOCAL_TARGET  0x10
#define STATUS_OFFSET 0x18

struct engine {
	struct p2pdma_machine *machine;
	struct p2pdma_device *device;
	struct p2pdma_bar_map *registers;
	struct p2pdma_provider *medium; /* its own memory */
	struct p2pmem_buf ring;
	struct p2pdma_mapping *ring_map, *buffers_map;
	uint64_t buffers; /* as this engine addresses them */
	uint32_t tail;
};

static int complain(const char *what, int r, const struct p2pdma_error *err)
{
	fprintf(stderr, "%s: %s\n", what, err && err->text[0] ? err->text : strerror(-r));
	return r;
}

/* A function for this process, answering to its BARs and allowed to master the bus. */
static int take(struct p2pdma_machine *machine, const char *name, struct p2pdma_device **ret_device,
                struct p2pdma_error *err)
{
	int r = p2pdma_machine_resolve(machine, name, err, ret_device);

	if (!r)
		r = p2pdma_device_open(*ret_device, err);
	return r ? r : p2pdma_device_config_write(*ret_device, 4, 1, 0x06);
}

/* Every memory card of this machine becomes a provider: class 0500 (RAM). */
static int publish_cards(struct p2pdma_machine *machine, struct p2pdma_error *err)
{
	for (size_t i = 0; i < p2pdma_machine_device_count(machine); i++) {
		struct p2pdma_device *device = p2pdma_machine_device(machine, i);
		struct p2pdma_device_info info = { .size = sizeof(info) };
		struct p2pdma_provider *provider;
		int r;

		p2pdma_device_get_info(device, &info);
		if (info.class_code >> 8 != 0x0500)
			continue;
		r = p2pdma_device_open(device, err);
		if (!r)
			r = p2pdma_device_config_write(device, 4, 1, 0x02);
		if (!r)
			r = p2pdma_add_resource(device, 0, 0, 0, NULL, err, &provider);
		if (r)
			return r;
		p2pmem_publish(provider, true);
		p2pdma_provider_put(provider);
	}
	return 0;
}

static int map(struct p2pdma_device *client, struct p2pmem_buf buf, enum p2pdma_op op,
               struct p2pdma_error *err, struct p2pdma_mapping **ret_mapping, uint64_t *ret_address)
{
	struct p2pdma_sg sg = p2pdma_sg_buf(buf);
	size_t count;
	int r = p2pdma_map_sg(client, &sg, 1, op, 0, err, ret_mapping);

	if (!r)
		*ret_address = p2pdma_mapping_segments(*ret_mapping, &count)[0].address.addr;
	return r;
}

/* @op: what this engine does to the buffers. */
static int engine_start(struct engine *engine, struct p2pdma_provider *provider,
                        struct p2pmem_buf buffers, enum p2pdma_op op, struct p2pdma_error *err)
{
	const uint32_t size = ENTRIES, run = 1;
	uint64_t base;
	uint32_t magic = 0;
	int r = p2pdma_bar_map(engine->device, 0, err, &engine->registers);

	if (!r)
		r = p2pdma_bar_read(engine->registers, REG_MAGIC, 4, &magic);
	if (!r && magic != MAGIC)
		r = -1;
	if (!r)
		r = p2pdma_add_resource(engine->device, 2, 0, 0, NULL, err, &engine->medium);
	if (!r)
		r = p2pmem_alloc(provider, RING, 0, &engine->ring);
	if (!r)
		r = p2pmem_set(engine->ring, 0, RING, 0);
	if (!r)
		r = map(engine->device, engine->ring, P2PDMA_OP_BOTH, err, &engine->ring_map,
		        &base);
	if (!r)
		r = map(engine->device, buffers, op, err, &engine->buffers_map, &engine->buffers);
	if (r)
		return r;
	p2pdma_bar_write(engine->registers, REG_BASE, 8, &base);
	p2pdma_bar_write(engine->registers, REG_SIZE, 4, &size);
	return p2pdma_bar_write(engine->registers, REG_CONTROL, 4, &run);
}

static void engine_stop(struct engine *engine)
{
	const uint32_t stop = 0;

	if (engine->registers)
		p2pdma_bar_write(engine->registers, REG_CONTROL, 4, &stop);
	p2pdma_unmap_sg(engine->buffers_map);
	p2pdma_unmap_sg(engine->ring_map);
	if (engine->ring.provider)
		p2pmem_free(engine->ring);
	p2pdma_provider_put(engine->medium);
	p2pdma_bar_unmap(engine->registers);
	p2pdma_device_close(engine->device);
}

/* Has the engine copy; *ret_place is what engine_wait() waits for. */
static int engine_copy(struct engine *engine, uint64_t source, uint64_t target, uint32_t flags,
                       uint32_t *ret_place)
{
	const uint32_t length = BUFFER;
	uint8_t descriptor[32] = { 0 };
	int r;

	memcpy(descriptor, &source, 8);
	memcpy(descriptor + 8, &target, 8);
	memcpy(descriptor + 16, &length, 4);
	memcpy(descriptor + 20, &flags, 4);
	r = p2pmem_copy_to(engine->ring, engine->tail * 32, descriptor, sizeof(descriptor));
	/* The descriptor has to be there before the engine is told of it. */
	if (!r)
		r = p2pmem_flush(engine->ring);
	*ret_place = engine->tail;
	engine->tail = (engine->tail + 1) % ENTRIES;
	return r ? r : p2pdma_bar_write(engine->registers, REG_DOORBELL, 4, &engine->tail);
}

static int engine_wait(struct engine *engine, uint32_t place)
{
	uint64_t deadline = p2pdma_machine_now(engine->machine) + PATIENCE, status = 0;

	while (p2pdma_machine_now(engine->machine) < deadline) {
		int r = p2pmem_read(engine->ring, place * 32 + STATUS_OFFSET, 4, &status);

		if (r || status)
			return r ? r : status == 1 ? 0 : -1;
		/* Its status is in the card, which tells nobody: look again soon. */
		p2pdma_machine_progress(engine->machine,
		                        p2pdma_machine_now(engine->machine) + 1000);
	}
	return -1;
}

/* Each buffer goes to the second engine only when the first has read its last bytes back. */
static int move(struct engine *from, struct engine *to)
{
	uint32_t filled[BUFFERS], drained[BUFFERS];
	const uint64_t count = TOTAL / BUFFER;
	int r = 0;

	for (uint64_t i = 0; !r && i < count + 1; i++) {
		uint64_t slot = i % BUFFERS, last = (i - 1) % BUFFERS;

		if (!r && i >= BUFFERS && i < count)
			r = engine_wait(to, drained[slot]);
		if (!r && i < count)
			r = engine_copy(from, i * BUFFER, from->buffers + slot * BUFFER,
			                LOCAL_SOURCE | FLUSH, &filled[slot]);
		if (!r && i)
			r = engine_wait(from, filled[last]);
		if (!r && i)
			r = engine_copy(to, to->buffers + last * BUFFER, (i - 1) * BUFFER,
			                LOCAL_TARGET, &drained[last]);
	}
	for (uint64_t i = count - BUFFERS; !r && i < count; i++)
		r = engine_wait(to, drained[i % BUFFERS]);
	return r;
}

/* Both media as memory of this process: for this the simulated machine moves nothing. */
static int show_media(struct engine *engines, uint64_t **memory)
{
	for (int i = 0; i < 2; i++) {
		struct p2pmem_buf all = { engines[i].medium, 0, TOTAL };
		void *pages;
		int r = p2pmem_mmap(all, &pages);

		if (r)
			return r;
		memory[i] = pages;
	}
	return 0;
}

static void report(struct p2pdma_machine *machine, uint64_t started)
{
	struct p2pdma_sim_totals totals = { .size = sizeof(totals) };
	struct p2pdma_sim_link link = { .size = sizeof(link) };
	double seconds = (double)(p2pdma_machine_now(machine) - started) * 1e-9;
	struct p2pdma_sim *sim;

	if (p2pdma_machine_sim(machine, &sim))
		return;
	p2pdma_sim_get_totals(sim, &totals);
	printf("%llu MiB arrived and compared, %.2f GB/s of virtual time\n\n", TOTAL >> 20,
	       (double)TOTAL / seconds * 1e-9);
	printf("LINK BELOW             BYTES DOWN         BYTES UP\n");
	for (size_t i = 0; !p2pdma_sim_link(sim, i, &link); i++)
		printf("%04x:%02x:%02x.%x  %15" PRIu64 "  %15" PRIu64 "\n",
		       (unsigned int)link.port.domain, link.port.bus, link.port.devfn >> 3,
		       link.port.devfn & 7, link.down.bytes, link.up.bytes);
	printf("\ndram: %" PRIu64 " bytes read, %" PRIu64 " written\n", totals.dram_read_bytes,
	       totals.dram_write_bytes);
}

static int run(struct p2pdma_machine *machine, char **names)
{
	struct engine engines[2] = { { .machine = machine }, { .machine = machine } };
	struct p2pdma_device *clients[2];
	struct p2pdma_provider *provider = NULL;
	struct p2pdma_provider_info info = { .size = sizeof(info) };
	struct p2pmem_buf buffers = { NULL, 0, 0 };
	struct p2pdma_error err = { "" };
	uint64_t *memory[2], started;
	int r = publish_cards(machine, &err);

	for (int i = 0; !r && i < 2; i++) {
		r = take(machine, names[i], &engines[i].device, &err);
		clients[i] = engines[i].device;
	}
	if (!r)
		r = p2pmem_find_many(clients, 2, P2PDMA_OP_BOTH, NULL, &err, &provider);
	if (!r)
		r = p2pmem_alloc(provider, BUFFERS * BUFFER, 0, &buffers);
	if (!r)
		r = engine_start(&engines[0], provider, buffers, P2PDMA_OP_BOTH, &err);
	if (!r)
		r = engine_start(&engines[1], provider, buffers, P2PDMA_OP_READ, &err);
	if (!r)
		r = show_media(engines, memory);
	if (!r) {
		p2pdma_provider_get_info(provider, &info);
		printf("%s -> %04x:%02x:%02x.%x (found: both reach it directly) -> %s\n", names[0],
		       (unsigned int)info.bdf.domain, info.bdf.bus, info.bdf.devfn >> 3,
		       info.bdf.devfn & 7, names[1]);
		for (size_t i = 0; i < TOTAL / 8; i++)
			memory[0][i] = i * 0x9e3779b97f4a7c15ull;
		started = p2pdma_machine_now(machine);
		r = move(&engines[0], &engines[1]);
		if (!r && memcmp(memory[0], memory[1], TOTAL) != 0)
			r = -1;
		if (!r)
			report(machine, started);
	}
	if (r)
		complain("orchestrator", r, &err);
	for (int i = 0; i < 2; i++)
		engine_stop(&engines[i]);
	if (buffers.provider)
		p2pmem_free(buffers);
	p2pdma_provider_put(provider);
	return r;
}

int main(int argc, char **argv)
{
	struct p2pdma_machine *machine;
	struct p2pdma_error err;
	int r;

	if (argc != 4) {
		fprintf(stderr, "usage: orchestrator MACHINE FROM TO\n");
		return 2;
	}
	r = p2pdma_machine_open(argv[1], &err, &machine);
	if (r)
		return complain(argv[1], r, &err) ? 2 : 0;
	r = run(machine, argv + 2);
	p2pdma_machine_close(machine);
	return r != 0;
}
