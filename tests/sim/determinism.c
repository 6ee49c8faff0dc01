/* SPDX-License-Identifier: MIT */
/*
 * determinism.c - the same file, seed and calls give the same trace to the byte; another seed does
 * not.
 */
#include "stage.h"

#include "generate.h"

#define BURST 600

struct log {
	char *text;
	size_t size;
	FILE *out;
	size_t lines;
};

static void note(void *arg, const char *line)
{
	struct log *log = arg;

	assert_null(strchr(line, '\n'));
	fprintf(log->out, "%s\n", line);
	log->lines++;
}

/* Late posted writes, timers, reads that time out, a reset and a removal, MMIO and DMA at once. */
static const char machine[] =
	"{\"format\":\"p2pdma-fabric\",\"version\":1,\"seed\":%d,\"landing_ns\":3000,"
	"\"completion_timeout_us\":100,\"roots\":[{" POLICY("rw", "rw", "rw", ",\"splits\":true") ",\"below\":[{\"type\":\"switch\",\"below\":[" PROBE(
		"s", 1,
		",\"bar\":\"registers\"") "," PROBE("p", 2,
                                                    "") "," PROBE("q", 3,
                                                                  "") "," PROBE("t", 4,
                                                                                ",\"bar\":\"registers\"") "," PROBE("u",
                                                                                                                    5,
                                                                                                                    "") "]}," PROBE("v",
                                                                                                                                    6,
                                                                                                                                    "") ",{\"type\":\"integrated\",\"name\":\"i\",\"model\":\"probe\",\"id\":7}]}],"
																	"\"faults\":[{\"at_ns\":40000,\"do\":\"remove\",\"device\":\"%s\"},"
																	"{\"tlp\":{\"type\":\"completion\",\"nth\":20},\"do\":\"drop\"},"
																	"{\"tlp\":{\"type\":\"write\",\"nth\":30},\"do\":\"delay\",\"delay_ns\":700}]}";

static uint64_t targets[4];
static uint8_t buffer[BURST];

static void work(struct probe *probe, uint64_t cookie)
{
	static const uint8_t bytes[BURST] = { 1, 2, 3 };

	if (!cookie)
		return;
	p2pdma_model_write(probe->function, targets[cookie % 4], BURST, bytes);
	p2pdma_model_write(probe->function, targets[(cookie + 1) % 4] + 1024, 100, bytes);
	p2pdma_model_read(probe->function, targets[cookie % 3] + 64, BURST, buffer, cookie);
	p2pdma_model_timer(probe->function, 700, cookie - 1);
}

static void start(struct probe *probe, uint64_t offset)
{
	(void)offset;
	work(probe, 25);
}

static char *record(int seed)
{
	struct log log = { 0 };
	struct p2pdma_bar_map *s, *t, *p;
	struct stage stage;
	uint8_t page[512] = { 7 };
	char json[4096];

	/* Where the one that will be pulled sits is known once the machine was there. */
	snprintf(json, sizeof(json), machine, seed, "0000:00:00.0");
	*strstr(json, ",\"faults\"") = '}', *(strstr(json, "}\"faults\"") + 1) = '\0';
	open_stage(&stage, json);
	snprintf(json, sizeof(json), machine, seed, lab_text(bdf_of(&stage, "u")));
	close_stage(&stage);

	open_stage(&stage, json);
	log.out = open_memstream(&log.text, &log.size);
	assert_non_null(log.out);
	p2pdma_sim_trace(stage.lab.sim, note, &log);
	targets[0] = bar_of(&stage, "p");
	targets[1] = bar_of(&stage, "q");
	targets[2] = bar_of(&stage, "v");
	targets[3] = bar_of(&stage, "u");
	probe_of(&stage, "s")->on_write = start;
	probe_of(&stage, "s")->on_timer = work;
	probe_of(&stage, "t")->on_write = start;
	probe_of(&stage, "t")->on_timer = work;
	s = lab_map(named(&stage, "s"));
	t = lab_map(named(&stage, "t"));
	p = lab_map(named(&stage, "p"));
	assert_int_equal(p2pdma_bar_write(s, 0, 8, "go go go"), 0);
	assert_int_equal(p2pdma_bar_write(t, 0, 8, "go go go"), 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(p2pdma_bar_write(p, 2048, sizeof(page), page), 0);
		assert_int_equal(p2pdma_bar_read(p, 2048, 64, page), 0);
		lab_run(&stage.lab, 300);
		dma_at(&stage, "i", P2PDMA_OP_READ, targets[2], PAGE, false);
	}
	lab_change(named(&stage, "t"), lab_cap(named(&stage, "t"), CAP_EXP) + 8, 0, 0x8000);
	lab_run(&stage.lab, 1000000);
	p2pdma_sim_trace(stage.lab.sim, NULL, NULL);
	p2pdma_bar_unmap(s);
	p2pdma_bar_unmap(t);
	p2pdma_bar_unmap(p);
	close_stage(&stage);
	assert_int_equal(fclose(log.out), 0);
	assert_true(log.lines > 1000);
	return log.text;
}

static void the_same_seed_gives_the_same_trace(void **state)
{
	char *first = record(1), *second = record(1);

	(void)state;
	assert_string_equal(first, second);
	free(first);
	free(second);
}

static void another_seed_gives_another(void **state)
{
	char *first = record(1), *second = record(2);

	(void)state;
	assert_string_not_equal(first, second);
	free(first);
	free(second);
}

/* Random machines, with random registers, and a DMA of each function to each. */
static char *record_random(uint64_t seed)
{
	struct log log = { 0 };
	struct random random = { seed };
	struct fabric_plan plan;
	struct lab lab;
	size_t count;

	generate(seed, &plan);
	lab_open(&lab, plan.json, NULL);
	log.out = open_memstream(&log.text, &log.size);
	assert_non_null(log.out);
	p2pdma_sim_trace(lab.sim, note, &log);
	vary(&lab, &random);
	count = p2pdma_machine_device_count(lab.machine);
	for (size_t i = 0; i < count * count && i < 200; i++) {
		struct p2pdma_device *client = p2pdma_machine_device(lab.machine, i % count);
		struct p2pdma_device *provider = p2pdma_machine_device(lab.machine, i / count);
		uint8_t bytes[256] = { 0 };

		lab_dma(&lab, lab_bdf(client), i & 1 ? P2PDMA_OP_READ : P2PDMA_OP_WRITE,
		        lab_bar(provider), sizeof(bytes), bytes);
	}
	p2pdma_sim_trace(lab.sim, NULL, NULL);
	lab_close(&lab);
	generate_done(&plan);
	assert_int_equal(fclose(log.out), 0);
	return log.text;
}

static void random_machines_too(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 30; seed++) {
		char *first = record_random(seed), *second = record_random(seed);

		assert_string_equal(first, second);
		free(first);
		free(second);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_seed_gives_the_same_trace),
		cmocka_unit_test(another_seed_gives_another),
		cmocka_unit_test(random_machines_too),
	};

	return cmocka_run_group_tests_name("sim-determinism", tests, NULL, NULL);
}
