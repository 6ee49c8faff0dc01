/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine.h"

#define COMPLETION_AT 0x1000u

struct p2pdma_device *engine_find(const struct lab *lab, uint16_t id, unsigned int n)
{
	size_t count = p2pdma_machine_device_count(lab->machine);

	for (size_t i = 0; i < count; i++) {
		struct p2pdma_device *device = p2pdma_machine_device(lab->machine, i);

		if (lab_get(device, 0, 4) == ((uint32_t)id << 16 | 0x1209) && !n--)
			return device;
	}
	return NULL;
}

uint32_t engine_get(const struct engine *engine, unsigned int reg)
{
	uint32_t value;

	if (p2pdma_bar_read(engine->registers, RING_AT(engine->ring) + reg, 4, &value))
		abort();
	return value;
}

void engine_set(const struct engine *engine, unsigned int reg, uint32_t value)
{
	if (p2pdma_bar_write(engine->registers, RING_AT(engine->ring) + reg, 4, &value))
		abort();
}

void engine_set64(const struct engine *engine, unsigned int reg, uint64_t value)
{
	if (p2pdma_bar_write(engine->registers, RING_AT(engine->ring) + reg, 8, &value))
		abort();
}

void engine_start(struct engine *engine)
{
	memset(engine->host, 0, ENGINE_DATA);
	engine->tail = 0;
	engine_set64(engine, RING_BASE, engine->host_address);
	engine_set64(engine, RING_COMPLETION, engine->host_address + COMPLETION_AT);
	engine_set(engine, RING_SIZE, ENGINE_ENTRIES);
	engine_set(engine, RING_CONTROL, 1);
}

void engine_open(struct engine *engine, struct lab *lab, struct p2pdma_device *device,
                 unsigned int ring)
{
	struct p2pdma_error err = { "" };
	struct p2pdma_dma address;
	int r;

	*engine = (struct engine){ .lab = lab, .device = device, .ring = ring };
	r = p2pdma_device_open(device, &err);
	lab_change(device, COMMAND, 0, COMMAND_MEMORY | COMMAND_MASTER);
	engine->irq = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	engine->host = aligned_alloc(4096, ENGINE_BYTES);
	if ((r && r != -EBUSY) || engine->irq < 0 || !engine->host ||
	    p2pdma_bar_map(device, 0, &err, &engine->registers) ||
	    p2pdma_dma_map(device, engine->host, ENGINE_BYTES, P2PDMA_OP_BOTH, &address)) {
		fprintf(stderr, "engine: %d %s\n", r, err.text);
		abort();
	}
	memset(engine->host, 0, ENGINE_BYTES);
	engine->host_address = address.addr;
	p2pdma_device_irq(device, ring, engine->irq);
	engine_start(engine);
}

void engine_close(struct engine *engine)
{
	p2pdma_bar_unmap(engine->registers);
	p2pdma_device_close(engine->device);
	close(engine->irq);
	free(engine->host);
}

unsigned int engine_put(struct engine *engine, uint64_t source, uint64_t target, uint32_t length,
                        uint32_t flags)
{
	uint8_t *descriptor = engine->host + 32 * engine->tail;
	unsigned int place = engine->tail;

	memcpy(descriptor, &source, 8);
	memcpy(descriptor + 8, &target, 8);
	memcpy(descriptor + 16, &length, 4);
	memcpy(descriptor + 20, &flags, 4);
	memset(descriptor + 24, 0, 8);
	engine->tail = (engine->tail + 1) % ENGINE_ENTRIES;
	return place;
}

void engine_ring(const struct engine *engine)
{
	engine_set(engine, RING_DOORBELL, engine->tail);
}

bool engine_wait(struct engine *engine)
{
	uint64_t deadline = p2pdma_machine_now(engine->lab->machine) + 100000000;
	uint32_t done;

	do {
		memcpy(&done, engine->host + COMPLETION_AT, 4);
		if (done == engine->tail)
			return true;
	} while (p2pdma_machine_progress(engine->lab->machine, deadline) == 1);
	return false;
}

uint32_t engine_status(const struct engine *engine, unsigned int place)
{
	uint32_t status;

	memcpy(&status, engine->host + 32 * place + 24, 4);
	return status;
}

uint32_t engine_copy(struct engine *engine, uint64_t source, uint64_t target, uint32_t length,
                     uint32_t flags)
{
	unsigned int place = engine_put(engine, source, target, length, flags);

	engine_ring(engine);
	return engine_wait(engine) ? engine_status(engine, place) : 0;
}

uint64_t engine_interrupts(const struct engine *engine)
{
	uint64_t count = 0;

	return read(engine->irq, &count, sizeof(count)) == (ssize_t)sizeof(count) ? count : 0;
}
