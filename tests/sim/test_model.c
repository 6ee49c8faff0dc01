/* SPDX-License-Identifier: MIT */
/*
 * test_model.c - what models may ask for and are promised, MSI-X, and the memory card.
 */
#include "desk.h"

/* ---- MSI-X ---- */

static uint32_t vector_get(struct p2pdma_bar_map *table, uint64_t offset)
{
	uint32_t value;

	assert_int_equal(p2pdma_bar_read(table, offset, 4, &value), 0);
	return value;
}

static void vector_set(struct p2pdma_bar_map *table, uint64_t offset, uint32_t value)
{
	assert_int_equal(p2pdma_bar_write(table, offset, 4, &value), 0);
}

static void masked_vectors_stay_pending(void **state)
{
	struct desk *desk = *state;
	struct engine *engine = &desk->engine;
	size_t msix = lab_cap(engine->device, 0x11);
	struct p2pdma_bar_map *table;
	uint32_t bar = lab_get(engine->device, msix + 4, 4);
	uint32_t pending = lab_get(engine->device, msix + 8, 4) & ~7u, low, high;

	assert_int_equal(lab_get(engine->device, msix + 2, 2), 0x8001); /* two, and on */
	assert_int_equal(bar, 4);
	assert_int_equal(pending, p2pdma_bar_map(engine->device, 4, NULL, &table) ? 0 : 2048);
	assert_int_equal(vector_get(table, 12), 0);
	assert_int_equal(vector_get(table, 16 + 12), 1);

	vector_set(table, 12, 0xffffffff);
	assert_int_equal(engine_copy(engine, desk->data, desk->card, 4, COPY_IRQ), COPY_OK);
	assert_int_equal(vector_get(table, 12), 1); /* reserved bits stay 0 */
	assert_int_equal(vector_get(table, pending), 1);
	vector_set(table, pending, 0); /* read-only */
	assert_int_equal(vector_get(table, pending), 1);
	assert_int_equal(engine_interrupts(engine), 0);
	vector_set(table, 12, 0);
	assert_int_equal(vector_get(table, pending), 0);
	lab_run(&desk->lab, 10000);
	assert_int_equal(engine_interrupts(engine), 1);

	lab_change(engine->device, msix + 2, 0, 0x4000); /* all of the function */
	assert_int_equal(engine_copy(engine, desk->data, desk->card, 4, COPY_IRQ), COPY_OK);
	assert_int_equal(vector_get(table, pending), 1);
	lab_change(engine->device, msix + 2, 0x4000, 0);
	lab_run(&desk->lab, 10000);
	assert_int_equal(engine_interrupts(engine), 1);

	lab_change(engine->device, msix + 2, 0x8000, 0); /* off: lost */
	assert_int_equal(engine_copy(engine, desk->data, desk->card, 4, COPY_IRQ), COPY_OK);
	lab_change(engine->device, msix + 2, 0, 0x8000);
	lab_run(&desk->lab, 10000);
	assert_int_equal(engine_interrupts(engine), 0);

	/* Level reset without an OS that restores the table. */
	low = lab_get(engine->device, 0x20, 4);
	high = lab_get(engine->device, 0x24, 4);
	lab_change(engine->device, lab_cap(engine->device, CAP_EXP) + 8, 0, 0x8000);
	lab_set(engine->device, 0x20, 4, low);
	lab_set(engine->device, 0x24, 4, high);
	lab_change(engine->device, COMMAND, 0, COMMAND_MEMORY);
	assert_int_equal(vector_get(table, 12), 1);
	assert_int_equal(vector_get(table, 8), 0);
	p2pdma_bar_unmap(table);
}

static void vectors_wait_for_bus_mastering(void **state)
{
	struct desk *desk = *state;
	struct engine *engine = &desk->engine;
	struct p2pdma_bar_map *table;

	assert_int_equal(p2pdma_bar_map(engine->device, 4, NULL, &table), 0);
	vector_set(table, 12, 1);
	assert_int_equal(engine_copy(engine, desk->data, desk->card, 4, COPY_IRQ), COPY_OK);
	lab_change(engine->device, COMMAND, COMMAND_MASTER, 0);
	vector_set(table, 12, 0);
	assert_int_equal(vector_get(table, 2048), 1);
	lab_change(engine->device, COMMAND, 0, COMMAND_MASTER);
	assert_int_equal(vector_get(table, 2048), 0);
	lab_run(&desk->lab, 10000);
	assert_int_equal(engine_interrupts(engine), 1);
	p2pdma_bar_unmap(table);
}

static void messages_are_writes(void **state)
{
	struct desk *desk = *state;
	struct engine *engine = &desk->engine;
	struct p2pdma_bar_map *table;
	struct p2pdma_bdf own = lab_bdf(engine->device);
	uint32_t word;

	assert_int_equal(p2pdma_device_irq(engine->device, 2, engine->irq), -EINVAL);
	assert_int_equal(p2pdma_bar_map(engine->device, 4, NULL, &table), 0);
	/* To a peer's memory instead of the interrupt controller. */
	vector_set(table, 0, (uint32_t)desk->probe | 3);
	vector_set(table, 4, (uint32_t)(desk->probe >> 32));
	vector_set(table, 8, 0x12345678);
	assert_int_equal(engine_copy(engine, desk->data, desk->card, 4, COPY_IRQ), COPY_OK);
	lab_run(&desk->lab, 10000);
	memcpy(&word, lab_probe(0)->memory, 4);
	assert_int_equal(word, 0x12345678);
	assert_int_equal(engine_interrupts(engine), 0);
	/* Messages that nobody has asked for are logged. */
	lab_skip_events(&desk->lab);
	lab_dma(&desk->lab, own, P2PDMA_OP_WRITE, 0xfee00000, 4, &word);
	lab_run(&desk->lab, 10000);
	assert_true(lab_logged(&desk->lab, P2PDMA_SIM_EVENT_UR, own));
	assert_int_equal(engine_interrupts(engine), 0);
	/* -1: no more. */
	assert_int_equal(p2pdma_device_irq(engine->device, 0, engine->irq), 0);
	assert_int_equal(p2pdma_device_irq(engine->device, 0, -1), 0);
	assert_int_equal(engine_copy(engine, desk->data, desk->card, 4, COPY_IRQ), COPY_OK);
	lab_run(&desk->lab, 10000);
	assert_int_equal(engine_interrupts(engine), 0);
	p2pdma_bar_unmap(table);
}

/* ---- what the interface promises ---- */

static unsigned int timer_cookies;

static void count_timer(struct probe *probe, uint64_t cookie)
{
	(void)probe;
	timer_cookies = timer_cookies * 10 + (unsigned int)cookie;
}

static void begin_both(struct probe *probe, uint64_t offset)
{
	p2pdma_model_timer(probe->function, 500, 2);
	p2pdma_model_timer(probe->function, 100, 1);
	p2pdma_model_read(probe->function, offset ? NOWHERE : 0x1000, 4, probe->memory + 1024, 0);
}

static void timers_and_reads_end_unless_reset(void **state)
{
	struct desk *desk = *state;
	struct probe *probe = lab_probe(1);
	struct p2pdma_device *device = lab_device(&desk->lab, "doorbell");
	struct p2pdma_bar_map *map = lab_map(device);
	uint32_t word = 0;

	probe->on_write = begin_both;
	probe->on_timer = count_timer;
	timer_cookies = 0;
	assert_int_equal(p2pdma_bar_write(map, 0, 4, &word), 0);
	lab_run(&desk->lab, 100000);
	assert_int_equal(timer_cookies, 12);
	assert_true(probe->is_done);
	assert_int_equal(probe->status, P2PDMA_DMA_OK);
	probe->is_done = false;
	assert_int_equal(p2pdma_bar_write(map, 8, 4, &word), 0);
	lab_run(&desk->lab, 100000);
	assert_true(probe->is_done);
	assert_int_equal(probe->status, P2PDMA_DMA_UR);

	timer_cookies = 0;
	probe->is_done = false;
	assert_int_equal(p2pdma_bar_write(map, 0, 4, &word), 0);
	assert_int_equal(p2pdma_bar_read(map, 16, 4, &word), 0); /* it is there */
	probe->resets = 0;
	assert_int_equal(p2pdma_device_reset(device, NULL), 0);
	assert_int_equal(probe->resets, 1);
	assert_int_equal(probe->last_reset, P2PDMA_RESET_FLR);
	lab_run(&desk->lab, 100000);
	assert_true(timer_cookies < 2);
	assert_false(probe->is_done);

	/* Without bus mastering it is told so. */
	lab_change(device, COMMAND, COMMAND_MASTER, 0);
	assert_int_equal(p2pdma_bar_write(map, 0, 4, &word), 0);
	lab_run(&desk->lab, 100000);
	assert_true(probe->is_done);
	assert_int_equal(probe->status, P2PDMA_DMA_OFF);
	p2pdma_bar_unmap(map);
	p2pdma_device_close(device);
}

static unsigned int depth, deepest, echoes;

static void echo(struct probe *probe, uint64_t offset)
{
	depth++;
	deepest = depth > deepest ? depth : deepest;
	if (++echoes < 1000)
		p2pdma_model_write(probe->function, *(uint64_t *)(void *)probe->memory, 8,
		                   probe->memory + offset);
	depth--;
}

/* A device that writes to itself is called back after the call, not inside of it. */
static void callbacks_do_not_nest(void **state)
{
	struct desk *desk = *state;
	struct p2pdma_bar_map *map = lab_map(lab_device(&desk->lab, "doorbell"));

	depth = deepest = echoes = 0;
	lab_probe(1)->on_write = echo;
	p2pdma_bar_write(map, 0, 8, &desk->doorbell);
	lab_run(&desk->lab, 1000000);
	assert_int_equal(echoes, 1000);
	assert_int_equal(deepest, 1);
	p2pdma_bar_unmap(map);
}

static int picky_create(struct p2pdma_function *function, struct p2pdma_error *err,
                        void **ret_state)
{
	(void)err;
	p2pdma_model_set_id(function, 0x1209, 0x4321, 0x123456);
	assert_int_equal(p2pdma_model_param(function, "plain", 1), 4096);
	assert_int_equal(p2pdma_model_param(function, "text", 1), 1ull << 40);
	assert_int_equal(p2pdma_model_param(function, "none", 77), 77);
	assert_string_equal(p2pdma_model_param_text(function, "word"), "yes");
	assert_null(p2pdma_model_param_text(function, "none"));
	assert_int_equal(p2pdma_model_now(function), 0);
	assert_int_equal(p2pdma_model_backlog(function), 0);
	assert_non_null(p2pdma_model_config(function));
	assert_int_equal(p2pdma_model_add_memory(function, -1, 4096, NULL), -EINVAL);
	assert_int_equal(p2pdma_model_add_memory(function, 5, 4096, NULL), -EINVAL);
	assert_int_equal(p2pdma_model_add_memory(function, 0, 2048, NULL), -EINVAL);
	assert_int_equal(p2pdma_model_add_memory(function, 0, 4097, NULL), -EINVAL);
	assert_int_equal(p2pdma_model_add_memory(function, 0, 0, NULL), -EINVAL);
	assert_int_equal(p2pdma_model_add_memory(function, 0, 1ull << 63, NULL), -EINVAL);
	assert_int_equal(p2pdma_model_add_memory(function, 1, 4096, NULL), 0);
	assert_int_equal(p2pdma_model_add_registers(function, 0, 4096), -EINVAL); /* takes two */
	assert_int_equal(p2pdma_model_add_registers(function, 1, 4096), -EINVAL);
	assert_int_equal(p2pdma_model_add_registers(function, 2, 4096), -EINVAL);
	assert_int_equal(p2pdma_model_add_vectors(function, 0, 3), -EINVAL);
	assert_int_equal(p2pdma_model_add_vectors(function, 2049, 3), -EINVAL);
	assert_int_equal(p2pdma_model_add_vectors(function, 1, 2), -EINVAL);
	assert_int_equal(p2pdma_model_add_vectors(function, 2048, 3), 0);
	assert_int_equal(p2pdma_model_add_vectors(function, 1, 3), -EINVAL);
	*ret_state = NULL;
	return 0;
}

static const struct p2pdma_model picky = {
	.size = sizeof(struct p2pdma_model),
	.name = "picky",
	.create = picky_create,
};

static const char *write_file(const char *text)
{
	static char path[] = "/tmp/p2pdma-model-XXXXXX";
	FILE *file;
	int fd;

	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = mkstemp(path);
	file = fdopen(fd, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	return path;
}

static void own_models_come_first(void **state)
{
	const struct p2pdma_model *models[] = { &picky, &picky };
	struct p2pdma_model old = { .size = sizeof(old) - 8, .name = "picky" };
	const struct p2pdma_model *const olds[] = { &old };
	struct p2pdma_error err = { "" };
	struct p2pdma_machine *machine;
	struct p2pdma_device *device = NULL;
	struct p2pdma_device_info info = { .size = sizeof(info) };
	const char *path = write_file(FABRIC(
		"", "{\"model\":\"picky\",\"plain\":4096,\"text\":\"1T\",\"word\":\"yes\"}"));

	(void)state;
	assert_int_equal(p2pdma_sim_open(path, models, 2, &err, &machine), -EEXIST);
	assert_int_equal(p2pdma_sim_open(path, olds, 1, &err, &machine), -EINVAL);
	assert_non_null(strstr(err.text, "version"));
	assert_int_equal(p2pdma_sim_open(path, models, 1, &err, &machine), 0);
	unlink(path);
	for (size_t i = 0; i < p2pdma_machine_device_count(machine); i++) {
		device = p2pdma_machine_device(machine, i);
		assert_int_equal(p2pdma_device_get_info(device, &info), 0);
		if (info.device == 0x4321)
			break;
	}
	assert_int_equal(info.device, 0x4321);
	assert_int_equal(lab_get(device, 8, 4) >> 8, 0x123456);
	assert_int_equal(lab_get(device, lab_cap(device, 0x11) + 2, 2) & 0x7ff, 2047);
	assert_int_equal(lab_get(device, lab_cap(device, 0x11) + 8, 4), 32768 | 3);
	p2pdma_machine_close(machine);
}

static void wrong_parameters_are_named(void **state)
{
	static const struct {
		const char *node, *place, *words;
	} cases[] = {
		{ "{\"model\":\"mem\",\n \"size\":\"1M\",\n  \"sise\":1}", ":3:3:", "\"sise\"" },
		{ "{\"model\":\"mem\",\"size\":\"3M\"}", ":1:", "\"size\"" },
		{ "{\"model\":\"mem\",\"size\":\"1X\"}", ":1:", "\"size\"" },
		{ "{\"model\":\"mem\",\"size\":-4096}", ":1:", "is not what it takes" },
		{ "{\"model\":\"mem\",\"size\":\"99999999999T\"}", ":1:", "\"size\"" },
		{ "{\"model\":\"mem\",\"size\":4096,\"file\":7}", ":1:", "\"file\"" },
		{ "{\"model\":\"mem\"}", ":1:", "\"size\"" },
		{ "{\"model\":\"mem\",\"size\":4096,\"bar\":5}", ":1:", "\"bar\"" },
		{ "{\"model\":\"mem\",\"size\":4096,\"bar\":4294967296}", ":1:", "\"bar\"" },
		{ "{\"model\":\"dma\",\"rings\":0}", ":1:", "\"rings\"" },
		{ "{\"model\":\"dma\",\"rings\":17}", ":1:", "\"rings\"" },
		{ "{\"model\":\"dma\",\"vectors\":2}", ":1:", "\"vectors\"" },
		{ "{\"model\":\"dma\",\"bar\":4}", ":1:", "\"vectors_bar\"" },
		{ "{\"model\":\"dma\",\"memory\":5}", ":1:", "\"memory\"" },
		{ "{\"model\":\"dma\",\"memory\":4096,\"memory_bar\":1}", ":1:", "\"memory_bar\"" },
		{ "{\"model\":\"disk\"}", ":1:", "\"disk\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char json[600];
		struct p2pdma_error err = { "" };
		struct lab lab;

		snprintf(json, sizeof(json), FABRIC("", "%s"), cases[i].node);
		assert_int_equal(lab_open(&lab, json, &err), -EPROTO);
		if (!strstr(err.text, cases[i].place) || !strstr(err.text, cases[i].words))
			fail_msg("%s: %s", cases[i].node, err.text);
	}
}

static void polled_engine_has_no_vectors(void **state)
{
	struct lab lab;
	struct p2pdma_device *device;

	(void)state;
	lab_open(&lab, FABRIC("", "{\"model\":\"dma\",\"name\":\"e\",\"vectors\":0}"), NULL);
	device = lab_device(&lab, "e");
	assert_int_equal(lab_cap(device, 0x11), 0);
	assert_int_equal(p2pdma_device_open(device, NULL), 0);
	assert_int_equal(p2pdma_device_irq(device, 0, -1), -EINVAL);
	lab_close(&lab);
}

/* ---- the memory card ---- */

static void file_keeps_what_was_written(void **state)
{
	char path[] = "/tmp/p2pdma-card-XXXXXX", json[600];
	uint8_t bytes[8] = "content", back[8] = "";
	struct p2pdma_error err = { "" };
	struct lab lab;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	unlink(path);
	snprintf(json, sizeof(json),
	         FABRIC("", "{\"model\":\"mem\",\"name\":\"c\",\"size\":\"64K\",\"file\":\"%s\"}"),
	         path);
	for (int i = 0; i < 2; i++) {
		struct p2pdma_bar_map *map;

		lab_open(&lab, json, NULL);
		assert_int_equal(access(path, F_OK), i - 1); /* looking makes none */
		map = lab_map(lab_device(&lab, "c"));
		if (i == 0)
			p2pdma_bar_write(map, 65528, 8, bytes);
		p2pdma_bar_read(map, 65528, 8, back);
		assert_memory_equal(back, bytes, 8);
		p2pdma_bar_unmap(map);
		lab_close(&lab);
	}
	assert_int_equal(truncate(path, 4096), 0);
	assert_int_equal(lab_open(&lab, json, &err), -EPROTO);
	assert_non_null(strstr(err.text, "4096 bytes"));
	unlink(path);
	snprintf(json, sizeof(json),
	         FABRIC("", "{\"model\":\"mem\",\"size\":\"64K\",\"file\":\"/nowhere/at/all\"}"));
	assert_int_equal(lab_open(&lab, json, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nowhere/at/all"));
	close(fd);
}

/* ---- captures ---- */

static const char capture[] = CAPTURES "/qemu-switch.json";

static int open_capture(struct lab *lab, const char *models, struct p2pdma_error *err)
{
	char json[1200];

	snprintf(json, sizeof(json),
	         "{\"format\":\"p2pdma-fabric\",\"version\":1,\"capture\":\"%s\",\"models\":{%s}}",
	         capture, models);
	return lab_open(lab, json, err);
}

/* QEMU's NVMe has its MSI-X table and pending bits in the middle of its registers. */
static void captured_bars_and_vectors_stay(void **state)
{
	struct desk *desk = *state;
	struct engine *engine = &desk->engine;
	struct p2pdma_error err = { "" };
	uint32_t word = 0x11223344;

	if (open_capture(&desk->lab,
	                 "\"0000:03:00.0\":{\"model\":\"dma\",\"memory_bar\":2,\"rings\":2},"
	                 "\"0000:04:00.0\":{\"model\":\"mem\",\"bar\":4}",
	                 &err))
		fail_msg("%s", err.text);
	engine_open(engine, &desk->lab, lab_device(&desk->lab, "0000:03:00.0"), 1);
	desk->data = engine->host_address + ENGINE_DATA;
	assert_int_equal(lab_get(engine->device, 0, 4), 0x00101b36); /* as captured */
	assert_int_equal(p2pdma_bar_size(engine->registers), 16384);
	fill(engine->host + ENGINE_DATA, 10000, 8);
	assert_int_equal(engine_copy(engine, desk->data, (64 << 20) - 10000, 10000,
	                             COPY_LOCAL_TARGET | COPY_IRQ),
	                 COPY_OK);
	assert_int_equal(engine_copy(engine, (64 << 20) - 10000, desk->data + MIB, 10000,
	                             COPY_LOCAL_SOURCE | COPY_IRQ),
	                 COPY_OK);
	assert_memory_equal(engine->host + ENGINE_DATA, engine->host + ENGINE_DATA + MIB, 10000);
	lab_run(&desk->lab, 10000);
	assert_int_equal(engine_interrupts(engine), 2);
	/* The second vector's entry, right there. */
	p2pdma_bar_read(engine->registers, 0x2000 + 16 + 12, 4, &word);
	assert_int_equal(word, 0);
	p2pdma_bar_read(engine->registers, 0x2000 + 32 + 12, 4, &word);
	assert_int_equal(word, 1);
	p2pdma_bar_read(engine->registers, RING_AT(1) + RING_SIZE, 4, &word);
	assert_int_equal(word, ENGINE_ENTRIES);
}

static void what_a_capture_has_not_is_refused(void **state)
{
	static const struct {
		const char *models, *words;
	} cases[] = {
		{ "\"0000:03:00.0\":{\"model\":\"mem\",\"bar\":2,\"size\":\"1M\"}", "captured" },
		{ "\"0000:03:00.0\":{\"model\":\"mem\",\"bar\":4,\"size\":\"1M\"}", "captured" },
		{ "\"0000:03:00.0\":{\"model\":\"mem\",\"bar\":4}", "captured" },
		{ "\"0000:03:00.0\":{\"model\":\"dma\",\"memory_bar\":0}", "memory_bar" },
		{ "\"0000:03:00.0\":{\"model\":\"dma\",\"bar\":5}", "\"bar\"" },
		{ "\"0000:40:00.0\":{\"model\":\"dma\",\"rings\":2}", "MSI-X" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct p2pdma_error err = { "" };
		struct lab lab;

		assert_int_equal(open_capture(&lab, cases[i].models, &err), -EPROTO);
		if (!strstr(err.text, cases[i].words))
			fail_msg("%s: %s", cases[i].models, err.text);
	}
}

static int set_up_nothing(void **state)
{
	*state = calloc(1, sizeof(struct desk));
	return *state ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_DESK(masked_vectors_stay_pending),
		ON_DESK(vectors_wait_for_bus_mastering),
		ON_DESK(messages_are_writes),
		ON_DESK(timers_and_reads_end_unless_reset),
		ON_DESK(callbacks_do_not_nest),
		cmocka_unit_test(own_models_come_first),
		cmocka_unit_test(wrong_parameters_are_named),
		cmocka_unit_test(polled_engine_has_no_vectors),
		cmocka_unit_test(file_keeps_what_was_written),
		cmocka_unit_test_setup_teardown(captured_bars_and_vectors_stay, set_up_nothing,
		                                tear_down),
		cmocka_unit_test(what_a_capture_has_not_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
