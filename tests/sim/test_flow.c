/* SPDX-License-Identifier: MIT */
/* Flows and single DMAs: what they refuse, what they prove, and that they end. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <p2pdma/access.h>
#include <p2pdma/progress.h>
#include <p2pdma/sim.h>

#define COMMAND 0x04
#define MASTER  0x0004
#define MIB     (1u << 20)

/* Two cards below one switch: 03:00.0 with 1 MiB, 04:00.0 with 64 KiB and ATS. */
#define FABRIC(settings)                                                                    \
	"{\"format\":\"p2pdma-fabric\",\"version\":1," settings                             \
	"\"roots\":[{\"platform\":\"forwards\",\"below\":[{\"type\":\"switch\",\"below\":[" \
	"{\"model\":\"mem\",\"size\":\"1M\"},{\"model\":\"mem\",\"size\":\"64K\",\"ats\":true}]}]}]}"

static const struct p2pdma_bdf port = { 0, 0, 8 }, large = { 0, 3, 0 }, small = { 0, 4, 0 },
			       nobody = { 0, 9, 0 };

struct bench {
	struct p2pdma_machine *machine;
	struct p2pdma_sim *sim;
};

static struct bench open_bench(const char *json)
{
	char path[] = "/tmp/test-flow-XXXXXX", spec[64];
	FILE *file = fdopen(mkstemp(path), "w");
	struct p2pdma_error err = { "" };
	struct bench bench;

	assert_non_null(file);
	fputs(json, file);
	assert_int_equal(fclose(file), 0);
	snprintf(spec, sizeof(spec), "sim:%s", path);
	if (p2pdma_machine_open(spec, &err, &bench.machine))
		fail_msg("%s", err.text);
	unlink(path);
	assert_int_equal(p2pdma_machine_sim(bench.machine, &bench.sim), 0);
	return bench;
}

static uint64_t bar_of(const struct bench *bench, struct p2pdma_bdf bdf)
{
	struct p2pdma_device *device;
	struct p2pdma_bar bar;

	assert_int_equal(p2pdma_machine_find(bench->machine, bdf, &device), 0);
	assert_int_equal(p2pdma_device_bar(device, 0, &bar), 0);
	return bar.bus.addr;
}

static void set_master(const struct bench *bench, struct p2pdma_bdf bdf, bool is_on)
{
	struct p2pdma_device *device;
	uint16_t command;

	assert_int_equal(p2pdma_machine_find(bench->machine, bdf, &device), 0);
	assert_int_equal(p2pdma_device_config_read(device, COMMAND, 2, &command), 0);
	command = (uint16_t)(is_on ? command | MASTER : command & ~MASTER);
	assert_int_equal(p2pdma_device_config_write(device, COMMAND, 2, command), 0);
}

static const struct p2pdma_sim_flow usual = {
	.client = { 0, 4, 0 },
	.provider = { 0, 3, 0 },
	.op = P2PDMA_OP_WRITE,
	.length = 4096,
	.depth = 8,
	.bytes = 4 * MIB,
};

static struct p2pdma_sim_flow_result run(const struct bench *bench, struct p2pdma_sim_flow flow)
{
	struct p2pdma_sim_flow_result result;
	struct p2pdma_error err = { "" };

	if (p2pdma_sim_run(bench->sim, &flow, 1, &err, &result))
		fail_msg("%s", err.text);
	return result;
}

static void refuses(void **state)
{
	struct bench bench = open_bench(FABRIC(""));
	struct p2pdma_sim_flow flows[] = { usual, usual, usual, usual, usual, usual,
		                           usual, usual, usual, usual, usual };
	static const int codes[] = { -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL,
		                     -EINVAL, -EINVAL, -ENODEV, -ENODEV, -EINVAL };
	struct p2pdma_sim_flow_result result, before;

	(void)state;
	flows[0].op = P2PDMA_OP_BOTH;
	flows[1].op = (enum p2pdma_op)0;
	flows[2].length = 0;
	flows[3].length = MIB + 1;
	flows[4].depth = 0;
	flows[5].depth = 4097;
	flows[6].bytes = 0;
	flows[7].provider = port; /* no memory */
	flows[8].client = nobody;
	flows[9].provider = nobody;
	flows[10].provider = small;
	flows[10].length = MIB; /* more than it has */
	memset(&result, 0x5a, sizeof(result));
	before = result;
	for (size_t i = 0; i < sizeof(flows) / sizeof(flows[0]); i++) {
		struct p2pdma_sim_flow both[] = { usual, flows[i] };
		struct p2pdma_error err = { "" };

		assert_int_equal(p2pdma_sim_run(bench.sim, &flows[i], 1, &err, &result), codes[i]);
		assert_non_null(strstr(err.text, "flow 1"));
		assert_int_equal(p2pdma_sim_run(bench.sim, both, 2, &err, &result), codes[i]);
		assert_non_null(strstr(err.text, "flow 2"));
		assert_int_equal(p2pdma_sim_run(bench.sim, &flows[i], 1, NULL, &result), codes[i]);
		assert_memory_equal(&result, &before, sizeof(result));
	}
	assert_int_equal(p2pdma_sim_run(bench.sim, NULL, 0, NULL, NULL), 0);
	p2pdma_machine_close(bench.machine);
}

static void arrives(void **state)
{
	struct bench bench = open_bench(FABRIC(""));
	static const size_t lengths[] = { 1, 64, 4096, 5000, 65536, MIB };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct p2pdma_sim_flow_result result;
		struct p2pdma_sim_flow flow = usual;

		flow.op = i & 1 ? P2PDMA_OP_READ : P2PDMA_OP_WRITE;
		flow.length = lengths[i / 2];
		flow.bytes = 100 * flow.length + flow.length / 2; /* the last one is short */
		result = run(&bench, flow);
		assert_true(result.has_arrived);
		assert_int_equal(result.bytes, flow.bytes);
		assert_true(result.latency_min > 0);
		assert_true(result.latency_min <= result.latency_p50);
		assert_true(result.latency_p50 <= result.latency_p99);
		assert_true(result.latency_p99 <= result.duration);
		flow.is_dram = true;
		assert_true(run(&bench, flow).has_arrived);
	}
	p2pdma_machine_close(bench.machine);
}

/* One at a time: the duration is the sum of the latencies. */
static void latency(void **state)
{
	struct bench bench = open_bench(FABRIC("\"landing_ns\":0,"));
	struct p2pdma_sim_flow flow = usual;
	struct p2pdma_sim_flow_result result;
	uint64_t now = p2pdma_machine_now(bench.machine);

	(void)state;
	flow.depth = 1;
	flow.bytes = 1000 * flow.length;
	result = run(&bench, flow);
	assert_true(result.has_arrived);
	assert_int_equal(p2pdma_machine_now(bench.machine) - now, result.duration);
	assert_true(result.latency_p50 <= result.duration / 1000);
	assert_true(result.latency_p50 + result.latency_p50 / 250 + 1 >= result.duration / 1000);
	p2pdma_machine_close(bench.machine);
}

/* All of one memory, each its part, reads and writes at once. */
static void side_by_side(void **state)
{
	struct bench bench = open_bench(FABRIC(""));
	struct p2pdma_sim_flow flows[16];
	struct p2pdma_sim_flow_result results[16];

	(void)state;
	for (size_t i = 0; i < 16; i++) {
		flows[i] = usual;
		flows[i].op = i & 1 ? P2PDMA_OP_READ : P2PDMA_OP_WRITE;
		flows[i].client = i & 2 ? large : small;
		flows[i].provider = i & 4 ? small : large;
		flows[i].is_dram = i > 12;
		flows[i].depth = (unsigned int)i * 37 + 1;
	}
	assert_int_equal(p2pdma_sim_run(bench.sim, flows, 16, NULL, results), 0);
	for (size_t i = 0; i < 16; i++) {
		assert_true(results[i].has_arrived);
		assert_int_equal(results[i].bytes, flows[i].bytes);
	}
	p2pdma_machine_close(bench.machine);
}

static void not_sent(void **state)
{
	struct bench bench = open_bench(FABRIC(""));
	struct p2pdma_sim_flow flow = usual;
	struct p2pdma_sim_flow_result result;

	(void)state;
	set_master(&bench, small, false);
	for (int i = 0; i < 2; i++) {
		flow.op = i ? P2PDMA_OP_READ : P2PDMA_OP_WRITE;
		result = run(&bench, flow);
		assert_false(result.has_arrived);
		assert_int_equal(result.bytes, 0);
		assert_int_equal(result.duration, 0);
		assert_int_equal(result.fate, P2PDMA_SIM_NOT_SENT);
		assert_int_equal(result.at.bus, small.bus);
	}
	set_master(&bench, small, true);
	assert_true(run(&bench, usual).has_arrived);
	p2pdma_machine_close(bench.machine);
}

/* Whatever is pulled in the middle, flows end, and the machine goes on. */
static void pulled(void **state)
{
	static const char *const devices[] = { "0000:03:00.0", "0000:04:00.0", "0000:01:00.0" };

	(void)state;
	for (size_t i = 0; i < 10; i++) { /* a hung upstream port does not matter to peers */
		struct bench bench = open_bench(FABRIC(""));
		struct p2pdma_sim_flow flow = usual;
		struct p2pdma_sim_flow_result result;
		char json[160];

		snprintf(json, sizeof(json), "[{\"at_ns\":50000,\"do\":\"%s\",\"device\":\"%s\"}]",
		         i < 6 ? "remove" : "hang", devices[i / 2 % 3]);
		assert_int_equal(p2pdma_sim_fault(bench.sim, json, NULL), 0);
		flow.op = i & 1 ? P2PDMA_OP_READ : P2PDMA_OP_WRITE;
		flow.length = 6000;
		result = run(&bench, flow);
		if (result.has_arrived || !result.bytes || result.bytes >= flow.bytes)
			fail_msg("%s %s: %llu bytes arrived", json, i & 1 ? "read" : "write",
			         (unsigned long long)result.bytes);
		if (result.fate == P2PDMA_SIM_ARRIVED || !result.duration ||
		    result.duration > 100000) /* not until the timeout */
			fail_msg("%s: %s after %llu ns", json, p2pdma_sim_fate_text(result.fate),
			         (unsigned long long)result.duration);
		p2pdma_machine_close(bench.machine);
	}
}

static struct p2pdma_sim_outcome dma(const struct bench *bench, struct p2pdma_sim_dma dma)
{
	struct p2pdma_sim_outcome outcome = { .size = sizeof(outcome) };

	assert_int_equal(p2pdma_sim_dma(bench->sim, &dma, &outcome), 0);
	return outcome;
}

/* The mapping is for the time of the run. */
static void translated(void **state)
{
	struct bench bench = open_bench(FABRIC("\"iommu\":\"translated\","));
	uint8_t byte = 1;
	struct p2pdma_sim_dma write = {
		.client = small, .op = P2PDMA_OP_WRITE, .length = 1, .bytes = &byte
	};

	(void)state;
	write.address.addr = bar_of(&bench, large);
	assert_true(run(&bench, usual).has_arrived);
	assert_int_equal(dma(&bench, write).fate, P2PDMA_SIM_IOMMU);
	assert_true(run(&bench, usual).has_arrived);
	p2pdma_machine_close(bench.machine);
}

static struct p2pdma_sim_totals totals_of(const struct bench *bench)
{
	struct p2pdma_sim_totals totals = { .size = sizeof(totals) };

	assert_int_equal(p2pdma_sim_get_totals(bench->sim, &totals), 0);
	return totals;
}

/* ACS of the client's port (at 150h) lets translated requests through, or not. */
static void set_acs(const struct bench *bench, uint16_t control)
{
	static const struct p2pdma_bdf client_port = { 0, 2, 8 };
	struct p2pdma_device *device;

	assert_int_equal(p2pdma_machine_find(bench->machine, client_port, &device), 0);
	assert_int_equal(p2pdma_device_config_write(device, 0x156, 2, control), 0);
}

/* Each page is asked for once; ACS sees what comes of it. */
static void asks_first(void **state)
{
	static const uint16_t redirect = 0x4, direct = 0x44, block = 0x2;
	struct bench bench = open_bench(FABRIC("\"iommu\":\"translated\","));
	struct p2pdma_sim_flow flow = usual;
	struct p2pdma_sim_flow_result result;
	struct p2pdma_error err;
	uint64_t before;

	(void)state;
	flow.is_translated = true;
	flow.length = 10000;
	for (int i = 0; i < 2; i++) {
		uint64_t mapped = totals_of(&bench).iommu_mapped;

		flow.op = i ? P2PDMA_OP_READ : P2PDMA_OP_WRITE;
		set_acs(&bench, 0);
		assert_true(run(&bench, flow).has_arrived);
		/* Of 1 MiB, those of 104 DMAs. */
		assert_int_equal(totals_of(&bench).iommu_mapped - mapped, 254);
	}
	flow.op = P2PDMA_OP_WRITE;
	before = totals_of(&bench).root_bytes; /* the port of the target redirects completions */
	set_acs(&bench, redirect);
	assert_true(run(&bench, flow).has_arrived);
	assert_int_equal(totals_of(&bench).root_bytes - before, flow.bytes);
	set_acs(&bench, direct);
	assert_true(run(&bench, flow).has_arrived);
	assert_int_equal(totals_of(&bench).root_bytes - before, flow.bytes);
	set_acs(&bench, block);
	result = run(&bench, flow);
	assert_int_equal(result.fate, P2PDMA_SIM_ACS);
	assert_int_equal(result.at.devfn, 8);
	flow.is_translated = false;
	assert_true(run(&bench, flow).has_arrived);
	flow.is_translated = true;
	flow.client = large; /* without ATS */
	assert_int_equal(p2pdma_sim_run(bench.sim, &flow, 1, &err, &result), -EINVAL);
	assert_string_equal(err.text, "flow 1: translated, but ATS of 0000:03:00.0 is off");
	p2pdma_machine_close(bench.machine);
}

/* Nothing stops it, but it is told. */
static void stray(void **state)
{
	struct bench bench = open_bench(FABRIC(""));
	struct p2pdma_sim_flow flow = usual;
	struct p2pdma_sim_event event;
	struct p2pdma_device *device;
	struct p2pdma_dma mapped;
	uint8_t *memory = aligned_alloc(4096, 4096), bytes[64] = { 1 };
	struct p2pdma_sim_dma write = { .client = small, .op = P2PDMA_OP_WRITE, .length = 64 };

	(void)state;
	assert_non_null(memory);
	flow.is_dram = true; /* its memory is registered */
	assert_true(run(&bench, flow).has_arrived);
	write.bytes = bytes;
	assert_int_equal(p2pdma_machine_find(bench.machine, small, &device), 0);
	assert_int_equal(p2pdma_device_open(device, NULL), 0);
	set_master(&bench, small, true);
	assert_int_equal(p2pdma_dma_map(device, memory, 4096, P2PDMA_OP_BOTH, &mapped), 0);
	write.address = mapped;
	assert_int_equal(dma(&bench, write).fate, P2PDMA_SIM_ARRIVED);
	assert_int_equal(memory[0], 1);
	assert_int_equal(p2pdma_sim_event(bench.sim, 0, &event), -EAGAIN);
	assert_int_equal(p2pdma_dma_unmap(device, mapped, 4096), 0);
	for (unsigned int i = 0; i < 2; i++) {
		write.op = i ? P2PDMA_OP_READ : P2PDMA_OP_WRITE;
		assert_int_equal(dma(&bench, write).fate, P2PDMA_SIM_ARRIVED);
		assert_int_equal(p2pdma_sim_event(bench.sim, i, &event), 0);
		assert_int_equal(event.kind, P2PDMA_SIM_EVENT_STRAY);
		assert_string_equal(p2pdma_sim_event_text(event.kind), "stray");
		assert_int_equal(event.at.bus | event.at.devfn, 0);
		assert_int_equal(event.requester.bus, small.bus);
		assert_int_equal(event.address, mapped.addr);
		assert_int_equal(p2pdma_sim_event(bench.sim, i + 1, &event), -EAGAIN);
	}
	p2pdma_device_close(device);
	p2pdma_machine_close(bench.machine);
	free(memory);
}

static void fates_have_names(void **state)
{
	(void)state;
	assert_string_equal(p2pdma_sim_fate_text(P2PDMA_SIM_ARRIVED), "arrived");
	assert_string_equal(p2pdma_sim_fate_text(P2PDMA_SIM_POISONED), "poisoned");
	assert_string_equal(p2pdma_sim_fate_text(P2PDMA_SIM_POISONED + 1), "?");
	assert_string_equal(p2pdma_sim_event_text(P2PDMA_SIM_EVENT_STRAY + 1), "?");
}

static void one_dma(void **state)
{
	struct bench bench = open_bench(FABRIC(""));
	struct p2pdma_sim_outcome outcome = { .size = sizeof(outcome) };
	uint8_t *sent = malloc(MIB), *back = calloc(1, MIB);
	struct p2pdma_sim_dma whole = { .client = small,
		                        .op = P2PDMA_OP_WRITE,
		                        .length = MIB,
		                        .bytes = sent },
			      wrong;
	uint64_t before = p2pdma_machine_now(bench.machine);

	(void)state;
	assert_true(sent && back);
	for (size_t i = 0; i < MIB; i++)
		sent[i] = (uint8_t)(i * 31 + (i >> 8));
	whole.address.addr = bar_of(&bench, large);
	outcome = dma(&bench, whole);
	assert_int_equal(outcome.fate, P2PDMA_SIM_ARRIVED);
	assert_int_equal(outcome.bytes, MIB);
	assert_memory_equal(&outcome.at, &large, sizeof(large));
	assert_int_equal(outcome.latency, p2pdma_machine_now(bench.machine) - before);
	assert_int_equal(outcome.hop_count, 3); /* port, port, card */
	assert_memory_equal(&outcome.hops[2].port, &large, sizeof(large));
	whole.op = P2PDMA_OP_READ;
	whole.bytes = back;
	outcome = dma(&bench, whole);
	assert_int_equal(outcome.status, P2PDMA_DMA_OK);
	assert_memory_equal(sent, back, MIB);
	assert_int_equal(outcome.hop_count, 6);
	assert_true(outcome.hops[3].is_completion);

	whole.is_translated = true; /* ATS is off */
	assert_int_equal(dma(&bench, whole).fate, P2PDMA_SIM_NOT_SENT);
	whole.is_translated = false;
	outcome.size--;
	assert_int_equal(p2pdma_sim_dma(bench.sim, &whole, &outcome), -EINVAL);
	outcome.size++;
	wrong = whole;
	wrong.length = 0;
	assert_int_equal(p2pdma_sim_dma(bench.sim, &wrong, &outcome), -EINVAL);
	wrong.length = MIB + 1;
	assert_int_equal(p2pdma_sim_dma(bench.sim, &wrong, &outcome), -EINVAL);
	wrong = whole;
	wrong.op = P2PDMA_OP_BOTH;
	assert_int_equal(p2pdma_sim_dma(bench.sim, &wrong, &outcome), -EINVAL);
	wrong = whole;
	wrong.client = nobody;
	assert_int_equal(p2pdma_sim_dma(bench.sim, &wrong, &outcome), -ENODEV);
	p2pdma_machine_close(bench.machine);
	free(sent);
	free(back);
}

static void described(void **state)
{
	struct bench bench = open_bench(FABRIC(""));
	struct p2pdma_sim_root root = { .size = sizeof(root) };

	(void)state;
	assert_int_equal(p2pdma_sim_root(bench.sim, 0, &root), 0);
	assert_string_equal(root.platform, "forwards");
	assert_int_equal(root.across_sockets, P2PDMA_OP_BOTH);
	assert_int_equal(p2pdma_sim_root(bench.sim, 1, &root), -ENOENT);
	root.size--;
	assert_int_equal(p2pdma_sim_root(bench.sim, 0, &root), -EINVAL);
	assert_string_equal(p2pdma_sim_model_name(bench.sim, large), "mem");
	assert_null(p2pdma_sim_model_name(bench.sim, port));
	assert_null(p2pdma_sim_model_name(bench.sim, nobody));
	p2pdma_machine_close(bench.machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses),    cmocka_unit_test(arrives),
		cmocka_unit_test(latency),    cmocka_unit_test(side_by_side),
		cmocka_unit_test(not_sent),   cmocka_unit_test(pulled),
		cmocka_unit_test(translated), cmocka_unit_test(one_dma),
		cmocka_unit_test(described),  cmocka_unit_test(asks_first),
		cmocka_unit_test(stray),      cmocka_unit_test(fates_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
