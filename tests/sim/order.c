/* SPDX-License-Identifier: MIT */
/*
 * order.c - posted writes: when they land, what pushes them ahead, and what goes wrong for those
 * who do not wait (design 4.10 a and b).
 *
 * Machine: a switch with s (the one that sends), p and q (memory), r (a reader).  A store to a
 * register BAR makes the device behind it do something.
 */
#include "stage.h"

#define TRIES  100
#define LENGTH 512

/* @landing: how late posted writes may land, ns. */
#define MACHINE(landing)                                                                                                        \
	FABRIC("\"landing_ns\":" #landing ",",                                                                                  \
	       "{" OPEN_ROOT                                                                                                    \
	       ",\"below\":[{\"type\":\"switch\",\"below\":[" PROBE("s", 1, ",\"bar\":\"registers\"") "," PROBE(                \
		       "p", 2,                                                                                                  \
		       "") "," PROBE("q", 3,                                                                                    \
	                             "") "," PROBE("r", 4,                                                                      \
	                                           ",\"bar\":\"registers\"") "," PROBE("x", 5,                                  \
	                                                                               ",\"bar\":\"registers\"") "," PROBE("y", \
	                                                                                                                   6,   \
	                                                                                                                   ",\"bar\":\"registers\"") "]}]}")

struct scene {
	struct stage stage;
	struct p2pdma_bar_map *s, *p, *r; /* for the CPU */
	struct probe *sender, *memory, *other, *reader;
	uint64_t p_at, q_at, x_at, y_at;
	uint8_t *host; /* a page that s may write */
	uint64_t host_at;
	uint8_t data[LENGTH];
	uint8_t seen[LENGTH]; /* what a device read */
	bool reads_back;
	unsigned int first_of_two[2]; /* which of two targets was written first, how often */
	unsigned int landed;
	uint8_t round;
};

static struct scene scene;

static void open_scene(const char *json)
{
	struct p2pdma_dma dma;

	memset(&scene, 0, sizeof(scene));
	open_stage(&scene.stage, json);
	scene.s = lab_map(named(&scene.stage, "s"));
	scene.p = lab_map(named(&scene.stage, "p"));
	scene.r = lab_map(named(&scene.stage, "r"));
	scene.sender = probe_of(&scene.stage, "s");
	scene.memory = probe_of(&scene.stage, "p");
	scene.other = probe_of(&scene.stage, "q");
	scene.reader = probe_of(&scene.stage, "r");
	scene.p_at = bar_of(&scene.stage, "p");
	scene.q_at = bar_of(&scene.stage, "q");
	scene.x_at = bar_of(&scene.stage, "x");
	scene.y_at = bar_of(&scene.stage, "y");
	scene.host = aligned_alloc(PAGE, PAGE);
	assert_non_null(scene.host);
	memset(scene.host, 0, PAGE);
	assert_int_equal(p2pdma_dma_map(named(&scene.stage, "s"), scene.host, PAGE, P2PDMA_OP_BOTH,
	                                &dma),
	                 0);
	scene.host_at = dma.addr;
}

static void close_scene(void)
{
	p2pdma_bar_unmap(scene.s);
	p2pdma_bar_unmap(scene.p);
	p2pdma_bar_unmap(scene.r);
	close_stage(&scene.stage);
	free(scene.host);
}

/* New data, which is nowhere yet. */
static void next_round(void)
{
	scene.round++;
	for (size_t i = 0; i < LENGTH; i++)
		scene.data[i] = (uint8_t)(i + 3 * scene.round);
	scene.data[0] = scene.data[LENGTH - 1] = scene.round;
	memset(scene.seen, 0, LENGTH);
	scene.reader->is_done = scene.sender->is_done = false;
}

static void ring(struct p2pdma_bar_map *map)
{
	assert_int_equal(p2pdma_bar_write(map, 0, 8, "ring it!"), 0);
}

/* Till the host page says that the round is over. */
static void wait_for_flag(void)
{
	uint64_t deadline = p2pdma_machine_now(scene.stage.lab.machine) + 1000000000;

	while (scene.host[0] != scene.round)
		assert_int_equal(p2pdma_machine_progress(scene.stage.lab.machine, deadline), 1);
}

static void wait_for(const struct probe *probe)
{
	for (int i = 0; i < 100000 && !probe->is_done; i++)
		lab_run(&scene.stage.lab, 100);
	assert_true(probe->is_done);
	assert_int_equal(probe->status, P2PDMA_DMA_OK);
}

static void settle(void)
{
	lab_run(&scene.stage.lab, 1000000);
}

/* ---- (a) data to a peer, then a flag to host memory ---- */

static void raise_flag(struct probe *probe)
{
	p2pdma_model_write(probe->function, scene.host_at, 1, &scene.round);
}

static void raise_flag_when_read(struct probe *probe, enum p2pdma_dma_status status)
{
	assert_int_equal(status, P2PDMA_DMA_OK);
	raise_flag(probe);
}

static void send_data(struct probe *probe, uint64_t offset)
{
	(void)offset;
	p2pdma_model_write(probe->function, scene.p_at, LENGTH, scene.data);
	if (scene.reads_back)
		p2pdma_model_read(probe->function, scene.p_at + LENGTH - 8, 8, scene.seen, 0);
	else
		raise_flag(probe);
}

static void read_data(struct probe *probe, uint64_t offset)
{
	(void)offset;
	p2pdma_model_read(probe->function, scene.p_at, LENGTH, scene.seen, 0);
}

/* How often r, told by the CPU once the flag is up, reads something else than the data. */
static unsigned int stale_after_flag(bool reads_back)
{
	unsigned int stale = 0;

	scene.reads_back = reads_back;
	scene.sender->on_write = send_data;
	scene.sender->on_read = reads_back ? raise_flag_when_read : NULL;
	scene.reader->on_write = read_data;
	for (int i = 0; i < TRIES; i++) {
		next_round();
		ring(scene.s);
		wait_for_flag();
		ring(scene.r);
		wait_for(scene.reader);
		stale += memcmp(scene.seen, scene.data, LENGTH) != 0;
		settle();
		assert_memory_equal(scene.memory->memory, scene.data, LENGTH);
	}
	return stale;
}

static void a_flag_does_not_prove_that_data_arrived(void **state)
{
	(void)state;
	open_scene(MACHINE(20000));
	assert_true(stale_after_flag(false) > TRIES / 10);
	close_scene();
}

static void reading_back_does(void **state)
{
	(void)state;
	open_scene(MACHINE(20000));
	assert_int_equal(stale_after_flag(true), 0);
	close_scene();
}

/* ---- (b) stores of the CPU, then another device is told ---- */

static unsigned int stale_after_store(bool reads_back)
{
	unsigned int stale = 0;
	uint8_t last[8];

	scene.reader->on_write = read_data;
	for (int i = 0; i < TRIES; i++) {
		next_round();
		assert_int_equal(p2pdma_bar_write(scene.p, 0, LENGTH, scene.data), 0);
		if (reads_back)
			assert_int_equal(p2pdma_bar_read(scene.p, LENGTH - 8, 8, last), 0);
		ring(scene.r);
		wait_for(scene.reader);
		stale += memcmp(scene.seen, scene.data, LENGTH) != 0;
		settle();
		assert_memory_equal(scene.memory->memory, scene.data, LENGTH);
	}
	return stale;
}

static void a_store_is_not_there_when_the_next_is_told(void **state)
{
	(void)state;
	open_scene(MACHINE(20000));
	assert_true(stale_after_store(false) > TRIES / 10);
	close_scene();
}

static void reading_back_pushes_stores(void **state)
{
	(void)state;
	open_scene(MACHINE(20000));
	assert_int_equal(stale_after_store(true), 0);
	close_scene();
}

/* ---- order ---- */

static void note_landing(struct probe *probe, uint64_t offset)
{
	bool is_second = probe == probe_of(&scene.stage, "y");

	(void)offset;
	if (scene.landed++ % 2 == 0)
		scene.first_of_two[is_second]++;
}

static void send_two(struct probe *probe, uint64_t offset)
{
	(void)offset;
	p2pdma_model_write(probe->function, scene.x_at, 8, "to x ...");
	p2pdma_model_write(probe->function, scene.y_at, 8, "to y ...");
}

static void count_firsts(const char *json)
{
	open_scene(json);
	scene.sender->on_write = send_two;
	probe_of(&scene.stage, "x")->on_write = note_landing;
	probe_of(&scene.stage, "y")->on_write = note_landing;
	for (int i = 0; i < TRIES; i++) {
		ring(scene.s);
		settle();
	}
	assert_int_equal(scene.landed, 2 * TRIES);
	close_scene();
}

static void writes_to_different_targets_are_not_ordered(void **state)
{
	(void)state;
	count_firsts(MACHINE(20000));
	assert_true(scene.first_of_two[0] > TRIES / 10);
	assert_true(scene.first_of_two[1] > TRIES / 10);
	/* Late is what makes it so. */
	count_firsts(MACHINE(0));
	assert_int_equal(scene.first_of_two[0], TRIES);
}

static uint8_t expected_byte;

static void check_sequence(struct probe *probe, uint64_t offset)
{
	assert_int_equal(probe->memory[offset], expected_byte++);
}

static void send_sequence(struct probe *probe, uint64_t offset)
{
	(void)offset;
	for (int i = 0; i < 64; i++) {
		uint8_t bytes[8] = { (uint8_t)i };

		p2pdma_model_write(probe->function, scene.x_at + 8 * (unsigned int)(i % 4), 8,
		                   bytes);
	}
}

/* PCIe Base 2.4.1: nothing posted passes what was posted before it. */
static void writes_to_one_target_are(void **state)
{
	(void)state;
	open_scene(MACHINE(20000));
	scene.sender->on_write = send_sequence;
	probe_of(&scene.stage, "x")->on_write = check_sequence;
	for (int i = 0; i < TRIES; i++) {
		expected_byte = 0;
		ring(scene.s);
		settle();
		assert_int_equal(expected_byte, 64);
	}
	close_scene();
}

static void send_and_read(struct probe *probe, uint64_t offset)
{
	(void)offset;
	p2pdma_model_write(probe->function, scene.p_at, LENGTH, scene.data);
	p2pdma_model_read(probe->function, scene.p_at, LENGTH, scene.seen, 0);
}

/* Nor does a read. */
static void a_read_pushes_the_writes_before_it(void **state)
{
	(void)state;
	open_scene(MACHINE(20000));
	scene.sender->on_write = send_and_read;
	for (int i = 0; i < TRIES; i++) {
		next_round();
		ring(scene.s);
		wait_for(scene.sender);
		assert_memory_equal(scene.seen, scene.data, LENGTH);
		assert_memory_equal(scene.memory->memory, scene.data, LENGTH);
	}
	close_scene();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flag_does_not_prove_that_data_arrived),
		cmocka_unit_test(reading_back_does),
		cmocka_unit_test(a_store_is_not_there_when_the_next_is_told),
		cmocka_unit_test(reading_back_pushes_stores),
		cmocka_unit_test(writes_to_different_targets_are_not_ordered),
		cmocka_unit_test(writes_to_one_target_are),
		cmocka_unit_test(a_read_pushes_the_writes_before_it),
	};

	return cmocka_run_group_tests_name("sim-order", tests, NULL, NULL);
}
