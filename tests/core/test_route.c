/* SPDX-License-Identifier: MIT */
/*
 * test_route.c - the worked example of route.c, and that the three ways to a verdict agree.
 */
#include "bytes.h"
#include <p2pdma/evidence.h>

static const uint64_t seeds = 3000;

static struct p2pdma_routes *prepare(struct p2pdma_machine *machine, enum p2pdma_cpu cpu)
{
	struct p2pdma_routes_opts opts = { .size = sizeof(opts), .profile = { 7, 2 }, .cpu = cpu };
	struct p2pdma_routes *routes = NULL;

	assert_int_equal(p2pdma_routes_new(machine, &opts, &routes), 0);
	return routes;
}

static void siblings_below_a_switch(void **state)
{
	struct p2pdma_machine *machine = finish(make_switch());
	struct p2pdma_routes *routes = prepare(machine, P2PDMA_CPU_OTHER);
	struct p2pdma_route route = p2pdma_routes_pair(routes, at(machine, bdf(0, 3, 0, 0)),
	                                               at(machine, bdf(0, 4, 0, 0)));

	(void)state;
	assert_int_equal(route.distance, 4);
	assert_int_equal(route.map_type, P2PDMA_MAP_BUS_ADDR);
	assert_int_equal(route.write, P2PDMA_DIRECT);
	assert_int_equal(route.read, P2PDMA_DIRECT);
	assert_int_equal(route.stops, 0);
	assert_int_equal(p2pdma_route_answer(route, P2PDMA_OP_BOTH), P2PDMA_ANSWER_YES);
	p2pdma_routes_free(routes);
	p2pdma_machine_close(machine);
}

static void the_answer_is_the_worst_of_the_ops_asked(void **state)
{
	struct p2pdma_route route = { .write = P2PDMA_DIRECT, .read = P2PDMA_BLOCKED };

	(void)state;
	assert_int_equal(p2pdma_route_answer(route, P2PDMA_OP_WRITE), P2PDMA_ANSWER_YES);
	assert_int_equal(p2pdma_route_answer(route, P2PDMA_OP_READ), P2PDMA_ANSWER_NO);
	assert_int_equal(p2pdma_route_answer(route, P2PDMA_OP_BOTH), P2PDMA_ANSWER_NO);
	route.read = P2PDMA_VERDICT_UNKNOWN;
	assert_int_equal(p2pdma_route_answer(route, P2PDMA_OP_BOTH), P2PDMA_ANSWER_UNKNOWN);
	route.write = P2PDMA_ROOT_COMPLEX;
	assert_int_equal(p2pdma_route_answer(route, P2PDMA_OP_WRITE), P2PDMA_ANSWER_YES);
	route.stops = P2PDMA_OP_WRITE;
	assert_int_equal(p2pdma_route_answer(route, P2PDMA_OP_WRITE), P2PDMA_ANSWER_NO);
	assert_int_equal(p2pdma_route_answer(route, P2PDMA_OP_READ), P2PDMA_ANSWER_UNKNOWN);
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Spoils the registers that verdicts are made of. */
static void spoil(struct snapshot *snapshot, uint64_t *seed)
{
	static const uint16_t offsets[] = { 0x04, 0x0e,  0x10,  0x18,  0x19,  0x1a,  0x20,
		                            0x22, 0x24,  0x34,  0x40,  0x42,  0x44,  0x48,
		                            0x4f, 0x100, 0x104, 0x105, 0x106, 0x108, 0x10c };

	for (size_t i = 0; i < snapshot->function_count; i++) {
		struct snapshot_function *function = &snapshot->functions[i];

		if (next_random(seed) % 3)
			put_acs(function->config, (uint16_t)(next_random(seed) & 0x7f),
			        (uint16_t)(next_random(seed) & 0x7f));
		for (uint64_t n = next_random(seed) % 3; n; n--)
			function->config[offsets[next_random(seed) %
			                         (sizeof(offsets) / sizeof(offsets[0]))]] =
				(uint8_t)next_random(seed);
		if (!(next_random(seed) % 8))
			function->config_len = next_random(seed) % 2 ? 64 : 256;
		function->iommu = next_random(seed) % 4;
	}
	if (!(next_random(seed) % 8))
		snapshot->hypervisor = strdup(next_random(seed) % 2 ? "qemu" : "kvm");
}

static void agree_on_pair(const struct p2pdma_routes *routes, struct p2pdma_device *provider,
                          struct p2pdma_device *client, uint32_t code)
{
	struct p2pdma_route pair = p2pdma_routes_pair(routes, provider, client);
	struct p2pdma_route row = p2pdma_route_decode(code);
	struct p2pdma_explanation *explanation = NULL;
	unsigned int stops = 0;

	assert_memory_equal(&pair, &row, sizeof(pair));
	assert_int_equal(p2pdma_routes_explain(routes, provider, client, &explanation), 0);
	assert_memory_equal(&explanation->route, &pair, sizeof(pair));
	for (size_t i = 0; i < explanation->hazard_count; i++) {
		if (explanation->hazards[i].severity == P2PDMA_STOPS)
			stops |= explanation->hazards[i].ops;
		assert_non_null(explanation->hazards[i].device);
		assert_int_not_equal(explanation->hazards[i].ops, 0);
	}
	assert_int_equal(stops, pair.stops);
	assert_ptr_equal(explanation->hops[0].device, client);
	assert_true(explanation->write.count > 0 && explanation->read.count > 0 &&
	            explanation->kernel.count > 0);
	p2pdma_explanation_free(explanation);
}

static void pair_row_and_explanation_agree(void **state)
{
	(void)state;
	for (uint64_t n = 1; n <= seeds; n++) {
		uint64_t seed = n * 0x9e3779b97f4a7c15;
		struct snapshot *snapshot = make_switch();
		struct p2pdma_machine *machine;
		struct p2pdma_routes *routes;
		uint32_t codes[7];

		snapshot_finish(snapshot);
		spoil(snapshot, &seed);
		machine = finish(snapshot);
		routes = prepare(machine, next_random(&seed) % 3);
		for (size_t i = 0; i < 7; i++) {
			struct p2pdma_device *provider = p2pdma_machine_device(machine, i);

			p2pdma_routes_row(routes, provider, codes);
			for (size_t j = 0; j < 7; j++)
				agree_on_pair(routes, provider, p2pdma_machine_device(machine, j),
				              codes[j]);
		}
		p2pdma_routes_free(routes);
		p2pdma_machine_close(machine);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siblings_below_a_switch),
		cmocka_unit_test(the_answer_is_the_worst_of_the_ops_asked),
		cmocka_unit_test(pair_row_and_explanation_agree),
	};

	return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
