/* SPDX-License-Identifier: MIT */
/*
 * engine.h - a driver for the model "dma" (docs/simulator-models.md), as small as tests need it.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include "lab.h"

#define ENGINE_ID 0x0002
#define CARD_ID   0x0001
#define PROBE_ID  0x1000

#define RING_BASE       0x00
#define RING_COMPLETION 0x08
#define RING_SIZE       0x10
#define RING_CONTROL    0x14
#define RING_DOORBELL   0x18
#define RING_STATUS     0x1c
#define RING_HEAD       0x20
#define RING_RUNS       0x1
#define RING_IS_BUSY    0x2
#define RING_AT(ring)   (0x100u + 0x40u * (ring))

#define COPY_IRQ          0x01
#define COPY_FENCE        0x02
#define COPY_FLUSH        0x04
#define COPY_LOCAL_SOURCE 0x08
#define COPY_LOCAL_TARGET 0x10
#define COPY_OK           0x01
#define COPY_INVALID      0x02
#define COPY_DMA          0x10 /* plus enum p2pdma_dma_status */

#define ENGINE_ENTRIES 64
#define ENGINE_BYTES   (4u << 20)
#define ENGINE_DATA    0x4000u /* offset of what is the test's */

/* One ring, and ENGINE_BYTES of host memory with it at 0 and its completion index at 0x1000. */
struct engine {
	struct lab *lab;
	struct p2pdma_device *device;
	struct p2pdma_bar_map *registers;
	unsigned int ring;
	uint8_t *host;
	uint64_t host_address; /* of it, for the device */
	uint32_t tail;
	int irq; /* an eventfd for the ring's vector */
};

/* The n-th function of 1209:@id, from 0; NULL: there is none. */
struct p2pdma_device *engine_find(const struct lab *lab, uint16_t id, unsigned int n);

/* Takes the device, sets up ring @ring and starts it. */
void engine_open(struct engine *engine, struct lab *lab, struct p2pdma_device *device,
                 unsigned int ring);
void engine_close(struct engine *engine);

uint32_t engine_get(const struct engine *engine, unsigned int reg);
void engine_set(const struct engine *engine, unsigned int reg, uint32_t value);
void engine_set64(const struct engine *engine, unsigned int reg, uint64_t value);
/* Writes the ring's registers and starts it, after a reset too. */
void engine_start(struct engine *engine);

/* Puts a copy into the ring; returns its place. */
unsigned int engine_put(struct engine *engine, uint64_t source, uint64_t target, uint32_t length,
                        uint32_t flags);
void engine_ring(const struct engine *engine);
/* Until all that was put is done; false: it is not after 100 ms of the machine's time. */
bool engine_wait(struct engine *engine);
/* Of a copy; 0: it is not done. */
uint32_t engine_status(const struct engine *engine, unsigned int place);
/* Puts, rings, waits; its status. */
uint32_t engine_copy(struct engine *engine, uint64_t source, uint64_t target, uint32_t length,
                     uint32_t flags);
/* Interrupts since the last call. */
uint64_t engine_interrupts(const struct engine *engine);

#endif
