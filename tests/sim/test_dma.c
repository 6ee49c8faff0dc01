/* SPDX-License-Identifier: MIT */
/*
 * test_dma.c - the DMA engine: copies, their order and status, bad rings, resets.
 */
#include "desk.h"

/* ---- the engine ---- */

static void engine_copies_between_host_peer_and_itself(void **state)
{
	struct desk *desk = *state;
	struct engine *engine = &desk->engine;
	uint8_t *host = engine->host + ENGINE_DATA;
	const unsigned int length = 50000; /* no multiple of anything */

	fill(host, length, 1);
	assert_int_equal(engine_copy(engine, desk->data, desk->card + 12345, length, 0), COPY_OK);
	assert_int_equal(engine_copy(engine, desk->card + 12345, 7, length, COPY_LOCAL_TARGET),
	                 COPY_OK);
	assert_int_equal(engine_copy(engine, 7, 1, 1000, COPY_LOCAL_SOURCE | COPY_LOCAL_TARGET),
	                 COPY_OK);
	assert_int_equal(engine_copy(engine, 1, desk->probe, 1000, COPY_LOCAL_SOURCE | COPY_FLUSH),
	                 COPY_OK);
	assert_memory_equal(lab_probe(0)->memory, host, 1000);
	/* Local memory is what others see in its BAR. */
	assert_int_equal(engine_copy(engine, bar_of(engine->device, 2) + 1007, desk->data + MIB,
	                             length - 1000, 0),
	                 COPY_OK);
	assert_memory_equal(host + MIB, host + 1000, length - 1000);
	assert_int_equal(engine_interrupts(engine), 0);
}

static void engine_streams(void **state)
{
	struct desk *desk = *state;
	struct engine *engine = &desk->engine;
	uint8_t *host = engine->host + ENGINE_DATA;
	uint64_t began = p2pdma_machine_now(desk->lab.machine), took;

	fill(host, MIB, 2);
	assert_int_equal(engine_copy(engine, desk->data, desk->card + 100, MIB, COPY_FLUSH),
	                 COPY_OK);
	took = p2pdma_machine_now(desk->lab.machine) - began;
	/* gen4 x4 carries a MiB in 150 us at the least. */
	assert_true(took > 120000 && took < 220000);
	assert_int_equal(engine_copy(engine, desk->card + 100, desk->data + MIB, MIB, 0), COPY_OK);
	assert_memory_equal(host, host + MIB, MIB);
}

static void engine_takes_more_than_its_ring_holds(void **state)
{
	struct desk *desk = *state;
	struct engine *engine = &desk->engine;
	uint32_t *host = (void *)(engine->host + ENGINE_DATA);

	for (uint32_t i = 0; i < 1000; i++)
		host[i] = i * 7919;
	for (uint32_t i = 0; i < 1000;) {
		for (unsigned int n = 0; n < ENGINE_ENTRIES - 1 && i < 1000; n++, i++)
			engine_put(engine, desk->data + 4ull * i, desk->card + 4ull * (999 - i), 4,
			           0);
		engine_ring(engine);
		assert_true(engine_wait(engine));
	}
	assert_int_equal(engine_copy(engine, desk->card, desk->data + MIB, 4000, 0), COPY_OK);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(host[MIB / 4 + 999 - i], host[i]);
}

static struct p2pdma_sim_link link_of(const struct lab *lab, const char *name)
{
	struct p2pdma_sim_link link = { .size = sizeof(link) };
	struct p2pdma_bdf port = lab_bdf(p2pdma_device_parent(lab_device(lab, name)));

	for (size_t i = 0; !p2pdma_sim_link(lab->sim, i, &link); i++)
		if (lab_same(link.port, port))
			return link;
	fail();
	return link;
}

/* A GiB for a card that is 250 times as slow. */
static void writes_do_not_pile_up(void **state)
{
	struct engine engine;
	struct lab lab;
	uint64_t landed;

	(void)state;
	lab_open(&lab,
	         FABRIC("", "{\"model\":\"dma\",\"name\":\"engine\",\"memory\":\"1G\","
	                    "\"link\":\"gen5 x16\"},{\"model\":\"mem\",\"name\":\"card\","
	                    "\"size\":\"1G\",\"link\":\"gen1 x1\"}"),
	         NULL);
	engine_open(&engine, &lab, lab_device(&lab, "engine"), 0);
	engine_put(&engine, 0, lab_bar(lab_device(&lab, "card")), 1u << 30, COPY_LOCAL_SOURCE);
	engine_ring(&engine);
	lab_run(&lab, 20000000);
	landed = link_of(&lab, "card").down.payload;
	assert_in_range(landed, 3 * MIB, 5 * MIB);
	assert_in_range(link_of(&lab, "engine").up.payload, landed, landed + MIB);
	engine_close(&engine);
	lab_close(&lab);
}

static void rings_are_apart(void **state)
{
	struct desk *desk = *state;
	struct engine second;

	/* Both rings of one device: the second's driver is the same process. */
	engine_open(&second, &desk->lab, desk->engine.device, 1);
	fill(second.host + ENGINE_DATA, 5000, 3);
	engine_put(&second, second.host_address + ENGINE_DATA, desk->card, 5000, COPY_IRQ);
	engine_put(&desk->engine, NOWHERE, desk->data, 4, COPY_IRQ);
	engine_ring(&desk->engine);
	engine_ring(&second);
	assert_true(engine_wait(&second));
	assert_true(engine_wait(&desk->engine));
	assert_int_equal(engine_status(&second, 0), COPY_OK);
	assert_int_equal(engine_status(&desk->engine, 0), COPY_DMA + P2PDMA_DMA_UR);
	lab_run(&desk->lab, 100000);
	assert_int_equal(engine_interrupts(&second), 1);
	assert_int_equal(engine_interrupts(&desk->engine), 1);
	p2pdma_bar_unmap(second.registers);
	close(second.irq);
	/* Its mapping ends with the device's. */
	engine_close(&desk->engine);
	free(second.host);
	desk->engine.host = NULL;
}

static void each_copy_has_its_status(void **state)
{
	struct desk *desk = *state;
	struct engine *engine = &desk->engine;
	unsigned int first = engine->tail;
	const uint32_t expected[] = { COPY_OK,      COPY_DMA + P2PDMA_DMA_UR,
		                      COPY_INVALID, COPY_INVALID,
		                      COPY_INVALID, COPY_INVALID,
		                      COPY_INVALID, COPY_DMA + P2PDMA_DMA_UR,
		                      COPY_OK };

	engine_put(engine, desk->data, desk->card, 100, 0);
	engine_put(engine, NOWHERE, desk->card, 100000, 0);
	engine_put(engine, desk->data, desk->card, 0, 0);
	engine_put(engine, desk->data, desk->card, 4, 0x20);
	engine_put(engine, UINT64_MAX - 2, desk->card, 4, 0);
	engine_put(engine, 0xfffd, desk->card, 4, COPY_LOCAL_SOURCE);
	engine_put(engine, desk->data, UINT64_MAX, 4, COPY_LOCAL_TARGET);
	engine_put(engine, desk->data, NOWHERE, 4, COPY_FLUSH);
	engine_put(engine, desk->data, NOWHERE, 4, 0); /* a posted write: nobody tells */
	engine_ring(engine);
	assert_true(engine_wait(engine));
	for (unsigned int i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_int_equal(engine_status(engine, first + i), expected[i]);
	assert_int_equal(engine_get(engine, RING_STATUS), RING_RUNS);
	assert_int_equal(engine_get(engine, RING_HEAD), engine->tail);
}

static void fences_order_copies(void **state)
{
	struct desk *desk = *state;
	struct engine *engine = &desk->engine;
	uint8_t *host = engine->host + ENGINE_DATA;

	/* The second reads what the first writes, far enough behind to overtake it. */
	fill(host, MIB, 4);
	memset(host + 2 * MIB, 0, 64);
	engine_put(engine, desk->data, desk->card, MIB, 0);
	engine_put(engine, desk->card + MIB - 64, desk->data + 2 * MIB, 64, 0);
	engine_ring(engine);
	assert_true(engine_wait(engine));
	assert_memory_not_equal(host + 2 * MIB, host + MIB - 64, 64);
	fill(host, MIB, 5);
	engine_put(engine, desk->data, desk->card, MIB, 0);
	engine_put(engine, desk->card + MIB - 64, desk->data + 2 * MIB, 64, COPY_FENCE);
	engine_ring(engine);
	assert_true(engine_wait(engine));
	assert_memory_equal(host + 2 * MIB, host + MIB - 64, 64);
}

/* design.md 4.10: a completion in host memory does not prove that data arrived at a peer. */
static void flush_waits_until_data_has_landed(void **state)
{
	struct desk *desk = *state;
	uint8_t *memory = lab_probe(0)->memory;
	unsigned int early = 0;

	engine_close(&desk->engine);
	lab_close(&desk->lab);
	open_desk(desk, FABRIC("\"landing_ns\":1000000,", ENGINE "," CARD "," PROBE "," ENTRY));
	for (unsigned int i = 1; i <= 20; i++) {
		memset(desk->engine.host + ENGINE_DATA, (int)i, 256);
		assert_int_equal(engine_copy(&desk->engine, desk->data, desk->probe, 256, 0),
		                 COPY_OK);
		early += memory[255] != i;
		memset(desk->engine.host + ENGINE_DATA, (int)i + 100, 256);
		assert_int_equal(engine_copy(&desk->engine, desk->data, desk->probe, 256,
		                             COPY_FLUSH),
		                 COPY_OK);
		assert_int_equal(memory[255], i + 100);
	}
	assert_true(early > 10);
}

/* Its own memory is faster than any link: what it makes of it must not pile up. */
static void engine_waits_for_its_link(void **state)
{
	struct desk *desk = *state;
	struct engine *engine = &desk->engine;
	struct p2pdma_bdf port = lab_bdf(p2pdma_device_parent(engine->device));
	struct p2pdma_sim_link link = { .size = sizeof(link) };
	uint64_t began = p2pdma_machine_now(desk->lab.machine);
	size_t index = 0;

	for (int i = 0; i < 40; i++)
		engine_put(engine, 0, desk->card, 65536, COPY_LOCAL_SOURCE);
	engine_ring(engine);
	lab_run(&desk->lab, 20000);
	do {
		assert_int_equal(p2pdma_sim_link(desk->lab.sim, index++, &link), 0);
	} while (!lab_same(link.port, port));
	assert_in_range(link.up.payload, 100000, 350000);
	assert_true(engine_wait(engine));
	/* 2.5 MiB; the status comes behind the data on the link. */
	assert_true(p2pdma_machine_now(desk->lab.machine) - began > 300000);
}

static uint64_t next_random(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	return *random ^= *random << 17;
}

static void hostile_driver_is_borne(void **state)
{
	struct desk *desk = *state;
	struct engine *engine = &desk->engine;
	uint64_t random = 88172645463325252u;
	const uint64_t places[] = { desk->data,
		                    desk->card,
		                    NOWHERE,
		                    0,
		                    lab_bar(engine->device),
		                    UINT64_MAX,
		                    engine->host_address,
		                    0xfee00000ull,
		                    lab_bar(engine->device) + RING_AT(0) };

	for (int i = 0; i < 3000; i++) {
		unsigned int reg = (unsigned int)(next_random(&random) % 0x40);
		uint64_t value = places[next_random(&random) % 9];

		if (next_random(&random) % 2)
			value += next_random(&random) % 70000;
		for (int j = 0; j < 4; j++)
			engine_put(engine, places[next_random(&random) % 9] + i,
			           places[next_random(&random) % 9] + j,
			           (uint32_t)(next_random(&random) % 20000),
			           (uint32_t)(next_random(&random) % 64));
		p2pdma_bar_write(engine->registers, RING_AT(0) + reg, 1 + value % 8, &value);
		engine_set(engine, (reg & 3) ? RING_DOORBELL : RING_CONTROL,
		           (uint32_t)next_random(&random) % (ENGINE_ENTRIES + 1));
		if (i % 16 == 0) {
			engine_set(engine, RING_CONTROL, 0);
			lab_run(&desk->lab, 2000000);
			engine_start(engine);
		} else if (i % 4 == 0) {
			lab_run(&desk->lab, 3000);
		}
	}
	assert_int_equal(p2pdma_device_reset(engine->device, NULL), 0);
	assert_int_equal(engine_get(engine, RING_STATUS), 0);
	engine_start(engine);
	fill(engine->host + ENGINE_DATA, 100, 6);
	assert_int_equal(engine_copy(engine, desk->data, desk->card, 100, 0), COPY_OK);
}

static void bad_rings_do_not_start(void **state)
{
	struct desk *desk = *state;
	struct engine *engine = &desk->engine;
	const struct {
		unsigned int reg;
		uint64_t value;
	} wrong[] = { { RING_SIZE, 1 }, { RING_SIZE, 65537 },           { RING_SIZE, 0xffffffff },
		      { RING_BASE, 8 }, { RING_BASE, UINT64_MAX - 31 }, { RING_COMPLETION, 2 } };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		engine_set(engine, RING_CONTROL, 0);
		engine_start(engine);
		assert_int_equal(engine_get(engine, RING_STATUS), RING_RUNS);
		engine_set(engine, RING_CONTROL, 0);
		if (wrong[i].reg == RING_SIZE)
			engine_set(engine, RING_SIZE, (uint32_t)wrong[i].value);
		else
			engine_set64(engine, wrong[i].reg, wrong[i].value);
		engine_set(engine, RING_CONTROL, 1);
		assert_int_equal(engine_get(engine, RING_STATUS), 1 << 8);
	}
	engine_start(engine);
	engine_set(engine, RING_DOORBELL, ENGINE_ENTRIES);
	assert_int_equal(engine_get(engine, RING_STATUS), 2 << 8);
	/* Descriptors that cannot be read: an interrupt says so. */
	engine_start(engine);
	engine_set(engine, RING_CONTROL, 0);
	engine_set64(engine, RING_BASE, NOWHERE);
	engine_set(engine, RING_CONTROL, 1);
	lab_run(&desk->lab, 100000);
	engine_interrupts(engine);
	engine_set(engine, RING_DOORBELL, 1);
	lab_run(&desk->lab, 100000);
	assert_int_equal(engine_get(engine, RING_STATUS), 3 << 8);
	assert_int_equal(engine_interrupts(engine), 1);
}

/* A doorbell that rings itself comes as a write of its own, after the one that caused it. */
static void engine_may_write_to_itself(void **state)
{
	struct desk *desk = *state;
	struct engine *engine = &desk->engine;
	uint64_t own = lab_bar(engine->device) + RING_AT(0) + RING_DOORBELL;
	uint32_t *words = (void *)(engine->host + ENGINE_DATA);

	for (uint32_t i = 0; i < 60; i++) {
		words[i] = i + 2;
		engine_put(engine, desk->data + 4ull * i, own, 4, 0);
	}
	words[59] = 60;
	engine_set(engine, RING_DOORBELL, 1);
	assert_true(engine_wait(engine));
	assert_int_equal(engine_get(engine, RING_STATUS), RING_RUNS);
}

static void reset_ends_what_is_under_way(void **state)
{
	struct desk *desk = *state;
	struct engine *engine = &desk->engine;
	uint64_t bytes;
	struct p2pdma_sim_totals totals = { .size = sizeof(totals) };

	fill(engine->host + ENGINE_DATA, MIB, 7);
	engine_put(engine, desk->data, desk->card, MIB, COPY_IRQ);
	engine_ring(engine);
	lab_run(&desk->lab, 20000);
	assert_int_equal(engine_get(engine, RING_STATUS), RING_RUNS | RING_IS_BUSY);
	assert_int_equal(p2pdma_device_reset(engine->device, NULL), 0);
	assert_int_equal(engine_get(engine, RING_STATUS), 0);
	assert_int_equal(engine_get(engine, RING_SIZE), 0);
	assert_int_equal(p2pdma_sim_get_totals(desk->lab.sim, &totals), 0);
	bytes = totals.dram_read_bytes;
	lab_run(&desk->lab, 1000000);
	assert_int_equal(engine_status(engine, 0), 0);
	assert_int_equal(engine_interrupts(engine), 0);
	p2pdma_sim_get_totals(desk->lab.sim, &totals);
	assert_int_equal(totals.dram_read_bytes, bytes);
	/* Registers are as they were: interrupts too. */
	engine_start(engine);
	assert_int_equal(engine_copy(engine, desk->data, desk->card, 5000, COPY_IRQ), COPY_OK);
	lab_run(&desk->lab, 10000);
	assert_int_equal(engine_interrupts(engine), 1);
}

static void stopping_a_ring_waits_for_what_is_under_way(void **state)
{
	struct desk *desk = *state;
	struct engine *engine = &desk->engine;

	engine_put(engine, desk->data, desk->card, MIB, 0);
	engine_ring(engine);
	lab_run(&desk->lab, 20000);
	engine_set(engine, RING_CONTROL, 0);
	engine_set(engine, RING_CONTROL, 1); /* too early */
	engine_set(engine, RING_SIZE, 2);
	assert_int_equal(engine_get(engine, RING_STATUS) & RING_RUNS, 0);
	lab_run(&desk->lab, 100000);
	assert_int_equal(engine_get(engine, RING_STATUS), 0);
	engine_start(engine);
	assert_int_equal(engine_copy(engine, desk->data, desk->card, 5000, 0), COPY_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_DESK(engine_copies_between_host_peer_and_itself),
		ON_DESK(engine_streams),
		cmocka_unit_test(writes_do_not_pile_up),
		ON_DESK(engine_takes_more_than_its_ring_holds),
		ON_DESK(rings_are_apart),
		ON_DESK(each_copy_has_its_status),
		ON_DESK(fences_order_copies),
		ON_DESK(flush_waits_until_data_has_landed),
		ON_DESK(engine_waits_for_its_link),
		ON_DESK(hostile_driver_is_borne),
		ON_DESK(bad_rings_do_not_start),
		ON_DESK(engine_may_write_to_itself),
		ON_DESK(reset_ends_what_is_under_way),
		ON_DESK(stopping_a_ring_waits_for_what_is_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
