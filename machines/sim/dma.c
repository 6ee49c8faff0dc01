/* SPDX-License-Identifier: MIT */
/*
 * dma.c - model "dma": an engine that copies from anywhere to anywhere (docs/simulator-models.md).
 *
 * A ring has up to JOBS descriptors under way.  Their copies are cut into chunks, SLOTS of which
 * are being read at once; each is written as it comes.  Descriptors complete in order.  The driver
 * is not trusted: whatever it writes ends in a status.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fabric.h"
#include "report.h"

#define MOST_RINGS 16
#define JOBS       32
#define SLOTS      8
#define CHUNK      16384u
#define MOST_SIZE  65536u

#define LOCAL_LATENCY 100  /* ns that the engine's own memory takes */
#define MOST_BACKLOG  2000 /* ns of writes on the link; beyond it no more are read for it */

enum reg {
	REG_MAGIC = 0x00,
	REG_RINGS = 0x04,
	REG_MEMORY = 0x08,
	REG_FIRST_RING = 0x100,
};

/* Of a ring, RING_STRIDE apart. */
enum ring_reg {
	RING_BASE = 0x00,
	RING_COMPLETION = 0x08,
	RING_SIZE = 0x10,
	RING_CONTROL = 0x14,
	RING_DOORBELL = 0x18,
	RING_STATUS = 0x1c,
	RING_HEAD = 0x20,
	RING_STRIDE = 0x40,
};
#define MAGIC          0x414d4432u /* "2DMA" */
#define RING_RUNS      0x1u
#define RING_IS_BUSY   0x2u
#define DESCRIPTOR     32u
#define STATUS_OFFSET  0x18u
#define STATUS_OK      0x1u
#define STATUS_INVALID 0x2u
#define STATUS_DMA     0x10u /* plus enum p2pdma_dma_status */

enum ring_error {
	RING_OK,
	RING_BAD_SETUP,
	RING_BAD_DOORBELL,
	RING_BAD_FETCH,
};

enum descriptor_flag {
	FLAG_IRQ = 1 << 0,
	FLAG_FENCE = 1 << 1,
	FLAG_FLUSH = 1 << 2,
	FLAG_LOCAL_SOURCE = 1 << 3,
	FLAG_LOCAL_TARGET = 1 << 4,
	FLAG_ALL = (1 << 5) - 1,
};

struct job {
	uint64_t source, target;
	uint32_t length, flags;
	uint32_t issued;        /* bytes */
	unsigned int under_way; /* chunks, and the flush */
	bool is_done;
	uint32_t status;
	uint8_t flushed;
};

struct slot {
	bool is_busy;
	unsigned int job;
	uint32_t offset, length;
};

struct ring {
	uint32_t regs[RING_STRIDE / 4]; /* as written */
	uint64_t base, completion;
	uint32_t size, tail;
	bool runs, waits; /* for its link */
	enum ring_error error;
	unsigned int busy; /* reads and timers under way, of its last run too */
	/* Descriptors since it runs: completed <= issued <= fetched. */
	uint64_t fetched, issued, completed;
	uint32_t fetching;
	struct job jobs[JOBS];
	struct slot slots[SLOTS];
	uint8_t raw[JOBS][DESCRIPTOR];
	uint8_t *bytes; /* CHUNK for each slot; NULL until it first runs */
};

struct dma {
	struct p2pdma_function *function;
	unsigned int ring_count, vector_count;
	int memory_bar;
	uint64_t memory_size;
	struct ring rings[];
};

enum cookie_kind {
	COOKIE_FETCH,
	COOKIE_SLOT,
	COOKIE_FLUSH,
	COOKIE_WAIT,
};

static uint64_t cookie_of(const struct dma *dma, const struct ring *ring, enum cookie_kind kind,
                          unsigned int index)
{
	return (uint64_t)(ring - dma->rings) << 16 | (uint64_t)kind << 8 | index;
}

static uint64_t get64(const uint8_t *at)
{
	return get32(at) | (uint64_t)get32(at + 4) << 32;
}

/* ---- descriptors ---- */

static void interrupt(struct dma *dma, const struct ring *ring)
{
	unsigned int index = (unsigned int)(ring - dma->rings);

	if (index < dma->vector_count)
		p2pdma_model_interrupt(dma->function, index);
}

static void fail(struct dma *dma, struct ring *ring, enum ring_error error)
{
	ring->runs = false;
	ring->error = error;
	interrupt(dma, ring);
}

static bool fits(const struct dma *dma, uint64_t address, uint32_t length, bool is_local)
{
	uint64_t end = is_local ? dma->memory_size : UINT64_MAX;

	return address <= end && length <= end - address;
}

static struct job parse(const struct dma *dma, const uint8_t *raw)
{
	struct job job = {
		.source = get64(raw),
		.target = get64(raw + 8),
		.length = get32(raw + 16),
		.flags = get32(raw + 20),
	};

	if (!job.length || job.flags & ~(uint32_t)FLAG_ALL ||
	    !fits(dma, job.source, job.length, job.flags & FLAG_LOCAL_SOURCE) ||
	    !fits(dma, job.target, job.length, job.flags & FLAG_LOCAL_TARGET)) {
		job.status = STATUS_INVALID;
		job.is_done = true;
	}
	return job;
}

/* As many as there are, room is for, and lie in one piece. */
static void fetch(struct dma *dma, struct ring *ring)
{
	uint32_t at = (uint32_t)(ring->fetched % ring->size);
	uint32_t count = (ring->tail + ring->size - at) % ring->size;
	uint32_t room = JOBS - (uint32_t)(ring->fetched - ring->completed);
	uint32_t first = (uint32_t)(ring->fetched % JOBS);

	if (ring->fetching || !count || (room < count && room < JOBS / 4))
		return;
	count = count < room ? count : room;
	count = count < ring->size - at ? count : ring->size - at;
	count = count < JOBS - first ? count : JOBS - first;
	ring->fetching = count;
	ring->busy++;
	p2pdma_model_read(dma->function, ring->base + (uint64_t)at * DESCRIPTOR,
	                  (size_t)count * DESCRIPTOR, ring->raw[first],
	                  cookie_of(dma, ring, COOKIE_FETCH, 0));
}

static void begin_chunk(struct dma *dma, struct ring *ring, struct job *job, unsigned int index)
{
	uint32_t left = job->length - job->issued;
	uint64_t cookie = cookie_of(dma, ring, COOKIE_SLOT, index);
	struct slot *slot = &ring->slots[index];

	*slot = (struct slot){
		.is_busy = true,
		.job = (unsigned int)(job - ring->jobs),
		.offset = job->issued,
		.length = left < CHUNK ? left : CHUNK,
	};
	job->issued += slot->length;
	job->under_way++;
	ring->busy++;
	if (job->flags & FLAG_LOCAL_SOURCE)
		p2pdma_model_timer(dma->function, LOCAL_LATENCY, cookie);
	else
		p2pdma_model_read(dma->function, job->source + slot->offset, slot->length,
		                  ring->bytes + (size_t)index * CHUNK, cookie);
}

/* True: nothing goes out until its link has caught up. */
static bool must_wait(struct dma *dma, struct ring *ring, const struct job *job)
{
	uint64_t backlog = p2pdma_model_backlog(dma->function);

	if (job->flags & FLAG_LOCAL_TARGET || backlog <= MOST_BACKLOG)
		return false;
	if (!ring->waits) {
		ring->busy++;
		p2pdma_model_timer(dma->function, backlog - MOST_BACKLOG / 2,
		                   cookie_of(dma, ring, COOKIE_WAIT, 0));
	}
	ring->waits = true;
	return true;
}

static bool issue(struct dma *dma, struct ring *ring)
{
	uint64_t before = ring->issued;

	while (ring->issued < ring->fetched) {
		struct job *job = &ring->jobs[ring->issued % JOBS];
		unsigned int index = 0;

		if (job->flags & FLAG_FENCE && ring->completed < ring->issued)
			break;
		if (job->status || job->issued == job->length) {
			ring->issued++;
			continue;
		}
		while (index < SLOTS && ring->slots[index].is_busy)
			index++;
		if (index == SLOTS || must_wait(dma, ring, job))
			break;
		begin_chunk(dma, ring, job, index);
	}
	return ring->issued > before;
}

static void post(struct dma *dma, uint64_t address, uint32_t value)
{
	uint8_t bytes[4];

	put32(bytes, value);
	p2pdma_model_write(dma->function, address, sizeof(bytes), bytes);
}

static bool complete(struct dma *dma, struct ring *ring)
{
	uint64_t before = ring->completed;
	bool is_told = false;

	while (ring->completed < ring->issued) {
		const struct job *job = &ring->jobs[ring->completed % JOBS];
		uint64_t at = ring->completed % ring->size;

		if (!job->is_done)
			break;
		post(dma, ring->base + at * DESCRIPTOR + STATUS_OFFSET,
		     job->status ? job->status : STATUS_OK);
		ring->completed++;
		is_told = is_told || job->flags & FLAG_IRQ;
	}
	if (ring->completed == before)
		return false;
	if (ring->completion)
		post(dma, ring->completion, (uint32_t)(ring->completed % ring->size));
	if (is_told)
		interrupt(dma, ring);
	return true;
}

static void run(struct dma *dma, struct ring *ring)
{
	bool goes_on = ring->runs;

	while (goes_on) {
		goes_on = issue(dma, ring);
		goes_on = complete(dma, ring) || goes_on;
		fetch(dma, ring);
	}
}

/* ---- what comes back ---- */

static void fetched(struct dma *dma, struct ring *ring, enum p2pdma_dma_status status)
{
	uint32_t count = ring->fetching;

	ring->fetching = 0;
	if (!ring->runs)
		return;
	if (status != P2PDMA_DMA_OK) {
		fail(dma, ring, RING_BAD_FETCH);
		return;
	}
	for (uint32_t i = 0; i < count; i++, ring->fetched++) {
		unsigned int index = (unsigned int)(ring->fetched % JOBS);

		ring->jobs[index] = parse(dma, ring->raw[index]);
	}
}

static void end_job(struct dma *dma, struct ring *ring, struct job *job)
{
	if (job->under_way || (job->issued < job->length && !job->status))
		return;
	job->is_done = job->status || (job->flags & (FLAG_FLUSH | FLAG_LOCAL_TARGET)) != FLAG_FLUSH;
	if (job->is_done)
		return;
	/* A read pushes the writes ahead of it: once it is answered, they have landed. */
	job->under_way++;
	ring->busy++;
	p2pdma_model_read(dma->function, job->target + job->length - 1, 1, &job->flushed,
	                  cookie_of(dma, ring, COOKIE_FLUSH, (unsigned int)(job - ring->jobs)));
}

static void flushed(struct ring *ring, unsigned int index, enum p2pdma_dma_status status)
{
	struct job *job = &ring->jobs[index];

	job->under_way--;
	job->is_done = true;
	if (status != P2PDMA_DMA_OK)
		job->status = STATUS_DMA + (uint32_t)status;
}

static void chunk_done(struct dma *dma, struct ring *ring, unsigned int index,
                       enum p2pdma_dma_status status)
{
	struct slot *slot = &ring->slots[index];
	struct job *job = &ring->jobs[slot->job];
	uint8_t *bytes = ring->bytes + (size_t)index * CHUNK, *memory = NULL;

	slot->is_busy = false;
	if (!ring->runs)
		return;
	job->under_way--;
	if (job->flags & (FLAG_LOCAL_SOURCE | FLAG_LOCAL_TARGET)) {
		memory = bar_memory(dma->function, dma->memory_bar);
		if (!memory)
			status = P2PDMA_DMA_CA;
		else if (job->flags & FLAG_LOCAL_SOURCE)
			memcpy(bytes, memory + job->source + slot->offset, slot->length);
	}
	if (status != P2PDMA_DMA_OK && !job->status)
		job->status = STATUS_DMA + (uint32_t)status;
	if (!job->status && job->flags & FLAG_LOCAL_TARGET)
		memcpy(memory + job->target + slot->offset, bytes, slot->length);
	else if (!job->status)
		p2pdma_model_write(dma->function, job->target + slot->offset, slot->length, bytes);
	end_job(dma, ring, job);
}

static void dma_read_done(void *state, uint64_t cookie, enum p2pdma_dma_status status)
{
	struct dma *dma = state;
	struct ring *ring = &dma->rings[cookie >> 16];
	unsigned int index = cookie & 0xff;

	ring->busy--;
	switch ((enum cookie_kind)(cookie >> 8 & 0xff)) {
	case COOKIE_FETCH:
		fetched(dma, ring, status);
		break;
	case COOKIE_SLOT:
		chunk_done(dma, ring, index, status);
		break;
	case COOKIE_FLUSH:
		flushed(ring, index, status);
		break;
	case COOKIE_WAIT:
		ring->waits = false;
		break;
	}
	run(dma, ring);
}

static void dma_timer(void *state, uint64_t cookie)
{
	dma_read_done(state, cookie, P2PDMA_DMA_OK);
}

/* ---- registers ---- */

static uint64_t reg64(const struct ring *ring, enum ring_reg reg)
{
	return ring->regs[reg / 4] | (uint64_t)ring->regs[reg / 4 + 1] << 32;
}

/* What is under way goes on into the ring's buffers, so a busy ring cannot start. */
static void start(struct dma *dma, struct ring *ring)
{
	if (!ring->bytes)
		ring->bytes = malloc((size_t)SLOTS * CHUNK);
	ring->base = reg64(ring, RING_BASE);
	ring->completion = reg64(ring, RING_COMPLETION);
	ring->size = ring->regs[RING_SIZE / 4];
	if (!ring->bytes || ring->size < 2 || ring->size > MOST_SIZE || ring->base % DESCRIPTOR ||
	    ring->base > UINT64_MAX - (uint64_t)ring->size * DESCRIPTOR || ring->completion % 4) {
		fail(dma, ring, RING_BAD_SETUP);
		return;
	}
	ring->error = RING_OK;
	ring->runs = true;
	ring->tail = 0;
	ring->fetched = ring->issued = ring->completed = 0;
}

static void ring_write(struct dma *dma, struct ring *ring, uint32_t reg, uint32_t value)
{
	ring->regs[reg / 4] = value;
	if (reg == RING_CONTROL && !(value & 1)) {
		ring->runs = false;
	} else if (reg == RING_CONTROL && !ring->runs && !ring->busy) {
		start(dma, ring);
	} else if (reg == RING_DOORBELL && ring->runs && value >= ring->size) {
		fail(dma, ring, RING_BAD_DOORBELL);
	} else if (reg == RING_DOORBELL && ring->runs) {
		ring->tail = value;
		run(dma, ring);
	}
}

static uint32_t ring_read(const struct ring *ring, uint32_t reg)
{
	if (reg == RING_STATUS)
		return (ring->runs ? RING_RUNS : 0) | (ring->busy ? RING_IS_BUSY : 0) |
		       (uint32_t)ring->error << 8;
	if (reg == RING_HEAD)
		return ring->size ? (uint32_t)(ring->completed % ring->size) : 0;
	return ring->regs[reg / 4];
}

/* The ring a register belongs to, or NULL. */
static struct ring *ring_at(struct dma *dma, uint64_t offset)
{
	uint64_t index = (offset - REG_FIRST_RING) / RING_STRIDE;

	return offset >= REG_FIRST_RING && index < dma->ring_count ? &dma->rings[index] : NULL;
}

static uint32_t reg_read(struct dma *dma, uint64_t offset)
{
	const struct ring *ring = ring_at(dma, offset);

	if (ring)
		return ring_read(ring, offset % RING_STRIDE);
	if (offset == REG_RINGS)
		return dma->ring_count;
	if ((offset & ~4ull) == REG_MEMORY)
		return (uint32_t)(dma->memory_size >> 8 * (offset - REG_MEMORY));
	return offset == REG_MAGIC ? MAGIC : 0;
}

static int dma_read(void *state, int bar, uint64_t offset, size_t length, void *bytes)
{
	uint8_t *to = bytes;

	(void)bar;
	for (size_t i = 0; i < length; i++, offset++)
		to[i] = (uint8_t)(reg_read(state, offset & ~3ull) >> 8 * (offset & 3));
	return 0;
}

static void dma_write(void *state, int bar, uint64_t offset, size_t length, const void *bytes)
{
	struct dma *dma = state;
	const uint8_t *from = bytes;
	struct ring *ring;

	(void)bar;
	if (offset & 3)
		return;
	for (; length >= 4; length -= 4, offset += 4, from += 4) {
		ring = ring_at(dma, offset);
		if (ring)
			ring_write(dma, ring, offset % RING_STRIDE, get32(from));
	}
}

/* Nothing that was under way comes back. */
static void dma_reset(void *state, enum p2pdma_model_reset why)
{
	struct dma *dma = state;

	(void)why;
	for (unsigned int i = 0; i < dma->ring_count; i++) {
		uint8_t *bytes = dma->rings[i].bytes;

		memset(&dma->rings[i], 0, sizeof(dma->rings[i]));
		dma->rings[i].bytes = bytes;
	}
}

/* ---- made ---- */

static int add(struct dma *dma, struct p2pdma_error *err)
{
	struct p2pdma_function *function = dma->function;
	uint64_t bar = p2pdma_model_param(function, "bar", 0);
	uint64_t size = p2pdma_model_param(function, "memory", 0);
	uint64_t memory_bar = p2pdma_model_param(function, "memory_bar", size ? 2 : BAR_COUNT);
	uint64_t vectors = p2pdma_model_param(function, "vectors", dma->ring_count);
	uint64_t vectors_bar = p2pdma_model_param(function, "vectors_bar", 4);
	int r = 0;

	if (bar >= BAR_COUNT ||
	    p2pdma_model_add_registers(function, (int)bar, function->is_captured ? 0 : 4096))
		return report(err, -EINVAL, "\"bar\": no room for 64-bit registers there");
	if (memory_bar < BAR_COUNT) {
		if (p2pdma_model_add_memory(function, (int)memory_bar, size, NULL))
			return report(err, -EINVAL,
			              "\"memory\" must be a power of two from 4K to 16T%s, and "
			              "\"memory_bar\" free",
			              function->is_captured ? ", that of the captured BAR" : "");
		dma->memory_bar = (int)memory_bar;
		dma->memory_size = function->bars[memory_bar].size;
	}
	if (vectors > dma->ring_count)
		return report(err, -EINVAL, "\"vectors\": one for a ring, or 0 for none");
	dma->vector_count = (unsigned int)vectors;
	if (vectors)
		r = vectors_bar < BAR_COUNT ? p2pdma_model_add_vectors(function, dma->vector_count,
		                                                       (int)vectors_bar)
		                            : -EINVAL;
	if (r == -EINVAL)
		return report(err, r, "%s; \"vectors\": 0 does without",
		              function->is_captured ? "the capture has not as many MSI-X vectors"
		                                    : "\"vectors_bar\" is not free");
	return r;
}

static void dma_destroy(void *state)
{
	struct dma *dma = state;

	for (unsigned int i = 0; i < dma->ring_count; i++)
		free(dma->rings[i].bytes);
	free(dma);
}

static int dma_create(struct p2pdma_function *function, struct p2pdma_error *err, void **ret_state)
{
	uint64_t count = p2pdma_model_param(function, "rings", 1);
	struct dma *dma;
	int r;

	if (!count || count > MOST_RINGS)
		return report(err, -EINVAL, "\"rings\" must be 1 to %d", MOST_RINGS);
	dma = calloc(1, sizeof(*dma) + count * sizeof(dma->rings[0]));
	if (!dma)
		return -ENOMEM;
	dma->function = function;
	dma->ring_count = (unsigned int)count;
	p2pdma_model_set_id(function, 0x1209, 0x0002, 0x088000);
	r = add(dma, err);
	if (r) {
		dma_destroy(dma);
		return r;
	}
	*ret_state = dma;
	return 0;
}

const struct p2pdma_model dma_model = {
	.size = sizeof(struct p2pdma_model),
	.name = "dma",
	.create = dma_create,
	.destroy = dma_destroy,
	.read = dma_read,
	.write = dma_write,
	.read_done = dma_read_done,
	.timer = dma_timer,
	.reset = dma_reset,
};
