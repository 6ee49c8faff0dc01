/* SPDX-License-Identifier: MIT */
/*
 * test_accel.c - the accelerator: moves, and what becomes of writes by those who do not know of
 * one.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine.h"

#define MIB  (1u << 20)
#define LEFT 0xa5

#define REG_MAGIC    0x00
#define REG_MEMORY   0x08
#define REG_SOURCE   0x10
#define REG_TARGET   0x18
#define REG_LENGTH   0x20
#define REG_COMMAND  0x28
#define REG_STATUS   0x2c
#define COMMAND_MOVE 1
#define STATUS_BUSY  1
#define STATUS_DONE  2
#define STATUS_BAD   4

#define MACHINE(parameters)                                                                        \
	"{\"format\":\"p2pdma-fabric\",\"version\":1,\"roots\":[{\"below\":[{\"type\":\"switch\"," \
	"\"below\":[{\"model\":\"dma\",\"name\":\"engine\"},"                                      \
	"{\"model\":\"accel\",\"name\":\"accel\"" parameters "}]}]}]}"

/* 1 GiB a second: a MiB takes nearly a millisecond, a piece of it 61 us. */
struct bench {
	struct lab lab;
	struct engine engine;
	struct p2pdma_device *accel;
	struct p2pdma_bar_map *registers;
	uint64_t memory; /* address of its BAR */
	uint64_t data;   /* of the engine's host memory */
	uint8_t *host;
	int irq;
};

static int set_up(void **state)
{
	struct bench *bench = malloc(sizeof(*bench));
	struct p2pdma_bar bar;

	assert_non_null(bench);
	*bench = (struct bench){ 0 };
	lab_open(&bench->lab, MACHINE(",\"rate\":\"1G\",\"memory\":\"64M\""), NULL);
	engine_open(&bench->engine, &bench->lab, lab_device(&bench->lab, "engine"), 0);
	bench->data = bench->engine.host_address + ENGINE_DATA;
	bench->host = bench->engine.host + ENGINE_DATA;
	bench->accel = lab_device(&bench->lab, "accel");
	bench->registers = lab_map(bench->accel);
	assert_int_equal(p2pdma_device_bar(bench->accel, 2, &bar), 0);
	assert_int_equal(bar.size, 64 * MIB);
	bench->memory = bar.bus.addr;
	bench->irq = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_int_equal(p2pdma_device_irq(bench->accel, 0, bench->irq), 0);
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	p2pdma_bar_unmap(bench->registers);
	p2pdma_device_close(bench->accel);
	close(bench->irq);
	engine_close(&bench->engine);
	lab_close(&bench->lab);
	free(bench);
	return 0;
}

static uint32_t get(const struct bench *bench, uint64_t reg)
{
	uint32_t value = 0;

	assert_int_equal(p2pdma_bar_read(bench->registers, reg, 4, &value), 0);
	return value;
}

static void set64(const struct bench *bench, uint64_t reg, uint64_t value)
{
	assert_int_equal(p2pdma_bar_write(bench->registers, reg, 8, &value), 0);
}

static void order(const struct bench *bench, uint32_t command)
{
	assert_int_equal(p2pdma_bar_write(bench->registers, REG_COMMAND, 4, &command), 0);
}

/* Its status as soon as it has the command. */
static uint32_t begin(const struct bench *bench, uint64_t source, uint64_t target, uint64_t length)
{
	set64(bench, REG_SOURCE, source);
	set64(bench, REG_TARGET, target);
	set64(bench, REG_LENGTH, length);
	order(bench, COMMAND_MOVE);
	return get(bench, REG_STATUS);
}

static uint32_t wait_for(struct bench *bench)
{
	for (int i = 0; i < 1000 && get(bench, REG_STATUS) == STATUS_BUSY; i++)
		lab_run(&bench->lab, 10000);
	lab_run(&bench->lab, 1000); /* the interrupt is a write of its own */
	return get(bench, REG_STATUS);
}

static uint64_t interrupts(const struct bench *bench)
{
	uint64_t count = 0;

	return read(bench->irq, &count, sizeof(count)) == (ssize_t)sizeof(count) ? count : 0;
}

static void fill(struct bench *bench, size_t length, unsigned int seed)
{
	for (size_t i = 0; i < length; i++)
		bench->host[i] = (uint8_t)(seed = seed * 1103515245 + 12345 + (seed >> 16));
}

/* Host memory to @offset of the accelerator's; and back, behind the first MiB of it. */
static void put(struct bench *bench, uint64_t offset, uint32_t length)
{
	assert_int_equal(engine_copy(&bench->engine, bench->data, bench->memory + offset, length,
	                             COPY_FLUSH),
	                 COPY_OK);
}

static const uint8_t *fetch(struct bench *bench, uint64_t offset, uint32_t length)
{
	assert_int_equal(engine_copy(&bench->engine, bench->memory + offset, bench->data + MIB,
	                             length, 0),
	                 COPY_OK);
	return bench->host + MIB;
}

static bool is_left(const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (bytes[i] != LEFT)
			return false;
	return true;
}

static void registers_say_what_it_is(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(lab_get(bench->accel, 0, 4), 0x00101209);
	assert_int_equal(lab_get(bench->accel, 8, 4) >> 8, 0x120000);
	assert_int_equal(get(bench, REG_MAGIC), 0x4c434341);
	assert_int_equal(get(bench, REG_MEMORY), 64 * MIB);
	assert_int_equal(get(bench, REG_MEMORY + 4), 0);
	assert_int_equal(get(bench, REG_STATUS), 0);
	assert_int_equal(get(bench, REG_COMMAND), 0);
	assert_int_equal(get(bench, 0x30), 0);
	set64(bench, REG_TARGET, 0x123456789abcdefull);
	assert_int_equal(get(bench, REG_TARGET), 0x89abcdef);
	assert_int_equal(get(bench, REG_TARGET + 4), 0x1234567);
	assert_int_equal(get(bench, REG_SOURCE), 0);
	set64(bench, REG_MEMORY, 1); /* read-only */
	assert_int_equal(get(bench, REG_MEMORY), 64 * MIB);
}

static void a_move_takes_what_is_there(void **state)
{
	struct bench *bench = *state;
	const uint32_t length = MIB - 4321; /* no multiple of anything */
	uint64_t start;

	fill(bench, MIB, 1);
	put(bench, 0, MIB);
	start = p2pdma_machine_now(bench->lab.machine);
	assert_int_equal(begin(bench, 1111, 32 * MIB + 7, length), STATUS_BUSY);
	assert_int_equal(interrupts(bench), 0);
	assert_int_equal(wait_for(bench), STATUS_DONE);
	assert_int_equal(interrupts(bench), 1);
	assert_in_range(p2pdma_machine_now(bench->lab.machine) - start, 950000, 1050000);
	assert_memory_equal(fetch(bench, 32 * MIB + 7, length), bench->host + 1111, length);
	assert_memory_equal(fetch(bench, 0, 1111), bench->host, 1111);
	assert_true(is_left(fetch(bench, 1111, length), length));
	assert_memory_equal(fetch(bench, 1111 + length, 100), bench->host + 1111 + length, 100);
	/* And back. */
	assert_int_equal(begin(bench, 32 * MIB + 7, 1111, length), STATUS_BUSY);
	assert_int_equal(wait_for(bench), STATUS_DONE);
	assert_memory_equal(fetch(bench, 0, MIB), bench->host, MIB);
}

static void a_bad_move_is_none(void **state)
{
	struct bench *bench = *state;
	static const struct {
		uint64_t source, target, length;
	} bad[] = {
		{ 0, MIB, 0 },        { 0, 64 * MIB - 1, 2 }, { 64 * MIB, 0, 1 },
		{ UINT64_MAX, 0, 2 }, { 0, UINT64_MAX, 2 },   { 0, MIB, UINT64_MAX },
		{ 0, 4096, 4097 },    { 4096, 0, 4097 },      { 4096, 4096, 1 },
	};

	fill(bench, MIB, 2);
	put(bench, 0, MIB);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(begin(bench, bad[i].source, bad[i].target, bad[i].length),
		                 STATUS_BAD);
		assert_int_equal(wait_for(bench), STATUS_BAD);
		assert_int_equal(interrupts(bench), 1);
	}
	begin(bench, 0, MIB, 4096);
	assert_int_equal(wait_for(bench), STATUS_DONE);
	order(bench, 2);
	assert_int_equal(get(bench, REG_STATUS), STATUS_BAD);
	assert_memory_equal(fetch(bench, MIB, 4096), bench->host, 4096);
	assert_memory_equal(fetch(bench, 4096, MIB - 4096), bench->host + 4096, MIB - 4096);
}

static void one_move_at_a_time(void **state)
{
	struct bench *bench = *state;

	fill(bench, MIB, 3);
	put(bench, 0, MIB);
	assert_int_equal(begin(bench, 0, MIB, MIB), STATUS_BUSY);
	assert_int_equal(begin(bench, MIB, 4 * MIB, 4096), STATUS_BUSY);
	assert_int_equal(wait_for(bench), STATUS_DONE);
	lab_run(&bench->lab, 10000000);
	assert_int_equal(interrupts(bench), 1);
	assert_memory_equal(fetch(bench, MIB, MIB), bench->host, MIB);
}

/*
 * What revocation is for.  An importer that goes on writing through a move writes part of its data
 * to where the allocation was: lost.  One that was stopped, and told the new place, loses nothing.
 */
static void who_writes_during_a_move_loses_data(void **state)
{
	struct bench *bench = *state;
	struct engine *engine = &bench->engine;
	const uint8_t *bytes;
	size_t moved = 0;

	fill(bench, MIB, 4);
	assert_int_equal(begin(bench, 0, 32 * MIB, MIB), STATUS_BUSY);
	lab_run(&bench->lab, 300000);
	engine_put(engine, bench->data, bench->memory, MIB, COPY_FLUSH);
	engine_ring(engine);
	assert_int_equal(wait_for(bench), STATUS_DONE);
	assert_true(engine_wait(engine));
	assert_int_equal(engine_status(engine, 0), COPY_OK); /* nobody told it */
	bytes = fetch(bench, 32 * MIB, MIB);
	for (size_t i = 0; i < MIB; i++)
		moved += bytes[i] == bench->host[i];
	assert_in_range(moved, MIB / 2, MIB - 65536);

	/* Revoked first: its writes have landed before anything moves. */
	put(bench, 0, MIB);
	assert_int_equal(begin(bench, 0, 32 * MIB, MIB), STATUS_BUSY);
	assert_int_equal(wait_for(bench), STATUS_DONE);
	assert_memory_equal(fetch(bench, 32 * MIB, MIB), bench->host, MIB);
	put(bench, 32 * MIB, MIB);
}

static void a_reset_stops_a_move(void **state)
{
	struct bench *bench = *state;
	const uint8_t *bytes;
	size_t half;

	fill(bench, MIB, 5);
	put(bench, 0, MIB);
	assert_int_equal(begin(bench, 0, 32 * MIB, MIB), STATUS_BUSY);
	lab_run(&bench->lab, 500000);
	assert_int_equal(p2pdma_device_reset(bench->accel, NULL), 0);
	assert_int_equal(get(bench, REG_STATUS), 0);
	assert_int_equal(get(bench, REG_LENGTH), 0);
	lab_run(&bench->lab, 10000000);
	assert_int_equal(interrupts(bench), 0);
	/* Half here, half there: in pieces of 64 KiB. */
	bytes = fetch(bench, 0, MIB);
	for (half = 0; half < MIB && is_left(bytes + half, 65536); half += 65536)
		;
	assert_in_range(half, 65536, MIB - 65536);
	assert_memory_equal(bytes + half, bench->host + half, MIB - half);
	assert_memory_equal(fetch(bench, 32 * MIB, (uint32_t)half), bench->host, half);
	assert_int_equal(begin(bench, half, 32 * MIB + half, MIB - half), STATUS_BUSY);
	assert_int_equal(wait_for(bench), STATUS_DONE);
	assert_int_equal(interrupts(bench), 1);
	assert_memory_equal(fetch(bench, 32 * MIB, MIB), bench->host, MIB);
}

/* A captured GPU keeps its BARs and IDs: registers in 16 MiB, 32 GiB of memory in BAR 1. */
static void a_captured_gpu_is_one(void **state)
{
	struct bench bench = { 0 };
	uint8_t before[64], after[64];
	uint64_t memory;

	(void)state;
	lab_open(&bench.lab,
	         "{\"format\":\"p2pdma-fabric\",\"version\":1,\"capture\":\"" CAPTURES
	         "/two-socket.json\",\"iommu\":\"none\",\"models\":{\"0000:1a:00.0\":"
	         "{\"model\":\"accel\",\"memory_bar\":1,\"vectors\":0,\"rate\":\"1T\"}}}",
	         NULL);
	bench.accel = lab_device(&bench.lab, "1a:00.0");
	assert_int_not_equal(lab_get(bench.accel, 0, 2), 0x1209);
	bench.registers = lab_map(bench.accel);
	assert_int_equal(get(&bench, REG_MAGIC), 0x4c434341);
	assert_int_equal(get(&bench, REG_MEMORY + 4), 8);
	memory = (uint64_t)lab_get(bench.accel, 0x18, 4) << 32 |
	         (lab_get(bench.accel, 0x14, 4) & ~0xfu);
	memset(before, 0x5a, sizeof(before));
	assert_int_equal(lab_dma(&bench.lab, lab_bdf(lab_device(&bench.lab, "1c:00.0")),
	                         P2PDMA_OP_WRITE, memory, 64, before)
	                         .fate,
	                 P2PDMA_SIM_ARRIVED);
	while (p2pdma_machine_progress(bench.lab.machine, 0))
		;
	begin(&bench, 0, (32ull << 30) - 64 * MIB, 64 * MIB);
	assert_int_equal(p2pdma_machine_progress(bench.lab.machine, UINT64_MAX), 1);
	assert_int_equal(get(&bench, REG_STATUS), STATUS_DONE);
	lab_dma(&bench.lab, lab_bdf(lab_device(&bench.lab, "1c:00.0")), P2PDMA_OP_READ,
	        memory + (32ull << 30) - 64 * MIB, 64, after);
	assert_memory_equal(before, after, 64);
	p2pdma_bar_unmap(bench.registers);
	lab_close(&bench.lab);
}

static void parameters_are_checked(void **state)
{
	static const struct {
		const char *json, *words;
	} wrong[] = {
		{ MACHINE(",\"rate\":0"), "\"rate\": 1 to 1T" },
		{ MACHINE(",\"rate\":\"2T\""), "\"rate\": 1 to 1T" },
		{ MACHINE(",\"vectors\":2"), "\"vectors\": 1, or 0" },
		{ MACHINE(",\"vectors_bar\":2"), "\"vectors_bar\" is not free" },
		{ MACHINE(",\"memory\":5000"), "power of two" },
		{ MACHINE(",\"memory_bar\":1"), "\"memory_bar\" free" },
		{ MACHINE(",\"bar\":5"), "no room for 64-bit registers" },
	};
	struct lab lab;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct p2pdma_error err = { "" };

		assert_int_equal(lab_open(&lab, wrong[i].json, &err), -EPROTO);
		assert_non_null(strstr(err.text, wrong[i].words));
	}
	assert_int_equal(lab_open(&lab, MACHINE(",\"vectors\":0,\"bar\":2,\"memory_bar\":0"), NULL),
	                 0);
	assert_int_equal(lab_cap(lab_device(&lab, "accel"), 0x11), 0);
	lab_close(&lab);
}

#define ON_BENCH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BENCH(registers_say_what_it_is),
		ON_BENCH(a_move_takes_what_is_there),
		ON_BENCH(a_bad_move_is_none),
		ON_BENCH(one_move_at_a_time),
		ON_BENCH(who_writes_during_a_move_loses_data),
		ON_BENCH(a_reset_stops_a_move),
		cmocka_unit_test(a_captured_gpu_is_one),
		cmocka_unit_test(parameters_are_checked),
	};

	return cmocka_run_group_tests_name("accel", tests, NULL, NULL);
}
