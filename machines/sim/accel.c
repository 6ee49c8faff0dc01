/* SPDX-License-Identifier: MIT */
/*
 * accel.c - model "accel": an accelerator whose allocations move (docs/simulator-models.md).
 *
 * A move takes time, piece by piece: what is written to a piece that has gone is lost, as it is on
 * an accelerator whose driver moves memory that others still have mapped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fabric.h"
#include "report.h"

#define MEMORY    (256ull << 20)
#define RATE      (64ull << 30) /* bytes a second */
#define MOST_RATE (1ull << 40)
#define PIECE     65536u
#define LEFT      0xa5 /* what is then in the place that was moved from */

enum reg {
	REG_MAGIC = 0x00,
	REG_MEMORY = 0x08,
	REG_SOURCE = 0x10,
	REG_TARGET = 0x18,
	REG_LENGTH = 0x20,
	REG_COMMAND = 0x28,
	REG_STATUS = 0x2c,
};
#define MAGIC        0x4c434341u /* "ACCL" */
#define COMMAND_MOVE 1u

enum status {
	STATUS_BUSY = 1 << 0,
	STATUS_DONE = 1 << 1,
	STATUS_BAD = 1 << 2,
};

struct accel {
	struct p2pdma_function *function;
	int memory_bar;
	uint64_t memory_size, rate;
	bool has_vector;
	uint32_t regs[(REG_COMMAND - REG_SOURCE) / 4]; /* SOURCE to LENGTH, as written */
	enum status status;
	uint64_t source, target, length; /* of the move under way */
	uint64_t moved;
};

static void end(struct accel *accel, enum status status)
{
	accel->status = status;
	accel->function->fabric->has_changed = true; /* for who polls */
	if (accel->has_vector)
		p2pdma_model_interrupt(accel->function, 0);
}

static uint64_t piece_of(const struct accel *accel)
{
	uint64_t left = accel->length - accel->moved;

	return left < PIECE ? left : PIECE;
}

static void move_next(struct accel *accel)
{
	uint64_t ns = (piece_of(accel) * 1000000000 + accel->rate - 1) / accel->rate;

	p2pdma_model_timer(accel->function, ns, 0);
}

static void accel_timer(void *state, uint64_t cookie)
{
	struct accel *accel = state;
	uint8_t *memory = bar_memory(accel->function, accel->memory_bar);
	uint64_t length = piece_of(accel);

	(void)cookie;
	if (!memory) {
		end(accel, STATUS_BAD);
		return;
	}
	memcpy(memory + accel->target + accel->moved, memory + accel->source + accel->moved,
	       length);
	memset(memory + accel->source + accel->moved, LEFT, length);
	accel->moved += length;
	if (accel->moved < accel->length)
		move_next(accel);
	else
		end(accel, STATUS_DONE);
}

/* ---- registers ---- */

static uint64_t reg64(const struct accel *accel, enum reg reg)
{
	const uint32_t *at = &accel->regs[(reg - REG_SOURCE) / 4];

	return at[0] | (uint64_t)at[1] << 32;
}

static bool fits(const struct accel *accel, uint64_t offset, uint64_t length)
{
	return offset <= accel->memory_size && length <= accel->memory_size - offset;
}

static void command(struct accel *accel, uint32_t value)
{
	uint64_t source = reg64(accel, REG_SOURCE), target = reg64(accel, REG_TARGET);
	uint64_t length = reg64(accel, REG_LENGTH);

	if (accel->status == STATUS_BUSY)
		return;
	if (value != COMMAND_MOVE || !length || !fits(accel, source, length) ||
	    !fits(accel, target, length) ||
	    (source < target ? target - source : source - target) < length) {
		end(accel, STATUS_BAD);
		return;
	}
	accel->status = STATUS_BUSY;
	accel->source = source;
	accel->target = target;
	accel->length = length;
	accel->moved = 0;
	move_next(accel);
}

static uint32_t reg_read(const struct accel *accel, uint64_t offset)
{
	if (offset >= REG_SOURCE && offset < REG_COMMAND)
		return accel->regs[(offset - REG_SOURCE) / 4];
	if ((offset & ~4ull) == REG_MEMORY)
		return (uint32_t)(accel->memory_size >> 8 * (offset - REG_MEMORY));
	return offset == REG_MAGIC ? MAGIC : offset == REG_STATUS ? accel->status : 0;
}

static int accel_read(void *state, int bar, uint64_t offset, size_t length, void *bytes)
{
	uint8_t *to = bytes;

	(void)bar;
	for (size_t i = 0; i < length; i++, offset++)
		to[i] = (uint8_t)(reg_read(state, offset & ~3ull) >> 8 * (offset & 3));
	return 0;
}

static void accel_write(void *state, int bar, uint64_t offset, size_t length, const void *bytes)
{
	struct accel *accel = state;
	const uint8_t *from = bytes;

	(void)bar;
	if (offset & 3)
		return;
	for (; length >= 4; length -= 4, offset += 4, from += 4) {
		if (offset >= REG_SOURCE && offset < REG_COMMAND)
			accel->regs[(offset - REG_SOURCE) / 4] = get32(from);
		else if (offset == REG_COMMAND)
			command(accel, get32(from));
	}
}

/* Its timer has gone with it: what was being moved stays half moved. */
static void accel_reset(void *state, enum p2pdma_model_reset why)
{
	struct accel *accel = state;

	(void)why;
	memset(accel->regs, 0, sizeof(accel->regs));
	accel->status = 0;
}

/* ---- made ---- */

static int add_bars(struct accel *accel, struct p2pdma_error *err)
{
	struct p2pdma_function *function = accel->function;
	uint64_t bar = p2pdma_model_param(function, "bar", 0);
	uint64_t size = p2pdma_model_param(function, "memory", function->is_captured ? 0 : MEMORY);
	uint64_t memory_bar = p2pdma_model_param(function, "memory_bar", 2);

	if (bar >= BAR_COUNT ||
	    p2pdma_model_add_registers(function, (int)bar, function->is_captured ? 0 : 4096))
		return report(err, -EINVAL, "\"bar\": no room for 64-bit registers there");
	if (memory_bar >= BAR_COUNT ||
	    p2pdma_model_add_memory(function, (int)memory_bar, size, NULL))
		return report(err, -EINVAL,
		              "\"memory\" must be a power of two from 4K to 16T%s, and "
		              "\"memory_bar\" free",
		              function->is_captured ? ", that of the captured BAR" : "");
	accel->memory_bar = (int)memory_bar;
	accel->memory_size = function->bars[memory_bar].size;
	return 0;
}

static int add(struct accel *accel, struct p2pdma_error *err)
{
	struct p2pdma_function *function = accel->function;
	uint64_t vectors = p2pdma_model_param(function, "vectors", 1);
	uint64_t vectors_bar = p2pdma_model_param(function, "vectors_bar", 4);
	int r = add_bars(accel, err);

	accel->rate = p2pdma_model_param(function, "rate", RATE);
	if (r)
		return r;
	if (!accel->rate || accel->rate > MOST_RATE)
		return report(err, -EINVAL, "\"rate\": 1 to 1T bytes a second");
	if (vectors > 1)
		return report(err, -EINVAL, "\"vectors\": 1, or 0 for none");
	accel->has_vector = vectors;
	if (vectors)
		r = vectors_bar < BAR_COUNT
		            ? p2pdma_model_add_vectors(function, 1, (int)vectors_bar)
		            : -EINVAL;
	if (r == -EINVAL)
		return report(err, r, "%s; \"vectors\": 0 does without",
		              function->is_captured ? "the capture has no MSI-X"
		                                    : "\"vectors_bar\" is not free");
	return r;
}

static int accel_create(struct p2pdma_function *function, struct p2pdma_error *err,
                        void **ret_state)
{
	struct accel *accel = calloc(1, sizeof(*accel));
	int r;

	if (!accel)
		return -ENOMEM;
	accel->function = function;
	p2pdma_model_set_id(function, 0x1209, 0x0010, 0x120000);
	r = add(accel, err);
	if (r) {
		free(accel);
		return r;
	}
	*ret_state = accel;
	return 0;
}

const struct p2pdma_model accel_model = {
	.size = sizeof(struct p2pdma_model),
	.name = "accel",
	.create = accel_create,
	.destroy = free,
	.read = accel_read,
	.write = accel_write,
	.timer = accel_timer,
	.reset = accel_reset,
};
