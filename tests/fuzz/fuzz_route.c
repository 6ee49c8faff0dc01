/* SPDX-License-Identifier: MIT */
/*
 * fuzz_route.c - any bytes as configuration space: no crash, and the three ways to a verdict agree.
 *
 * The input is a list of functions: bus, devfn, number of patches, then patches of offset (16 bits)
 * and value (32 bits) onto an empty configuration space.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "snapshot.h"
#include <p2pdma/evidence.h>

#define MOST_FUNCTIONS 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct snapshot *read_functions(const uint8_t *data, size_t size)
{
	struct snapshot *snapshot = snapshot_new();

	if (!snapshot)
		abort();
	while (size >= 4 && snapshot->function_count < MOST_FUNCTIONS) {
		struct p2pdma_bdf bdf = { data[2] >> 7, data[0], data[1] };
		size_t patches = data[2] & 0x1f;
		struct snapshot_function *function;
		bool is_new;

		if (snapshot_add(snapshot, bdf, &is_new, &function))
			abort();
		if (is_new) {
			function->config_len = data[2] & 0x40 ? 64 : data[2] & 0x20 ? 256 : 4096;
			function->config = calloc(1, 4096);
			if (!function->config)
				abort();
		}
		function->iommu = data[3] & 3;
		function->dma_mask_bits = data[3] >> 2;
		data += 4;
		size -= 4;
		for (; patches && size >= 6; patches--, data += 6, size -= 6)
			memcpy(function->config + ((data[0] | data[1] << 8) & 0xffc), data + 2, 4);
	}
	if (size && *data & 1)
		snapshot->hypervisor = strdup(*data & 2 ? "qemu" : "kvm");
	return snapshot;
}

static void agree(const struct p2pdma_routes *routes, struct p2pdma_device *provider,
                  struct p2pdma_device *client, uint32_t code)
{
	struct p2pdma_route pair = p2pdma_routes_pair(routes, provider, client);
	struct p2pdma_route row = p2pdma_route_decode(code);
	struct p2pdma_explanation *explanation;
	unsigned int stops = 0;

	if (memcmp(&pair, &row, sizeof(pair)) ||
	    p2pdma_routes_explain(routes, provider, client, &explanation))
		abort();
	for (size_t i = 0; i < explanation->hazard_count; i++)
		if (explanation->hazards[i].severity == P2PDMA_STOPS)
			stops |= explanation->hazards[i].ops;
	if (stops != pair.stops)
		abort();
	p2pdma_explanation_free(explanation);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct snapshot *snapshot = read_functions(data, size);
	struct p2pdma_machine *machine;
	struct p2pdma_routes *routes;
	uint32_t codes[MOST_FUNCTIONS];
	size_t count;

	snapshot_finish(snapshot);
	if (machine_from_snapshot(snapshot, "fuzz:", &machine)) {
		snapshot_free(snapshot);
		return 0;
	}
	if (p2pdma_routes_new(machine, NULL, &routes))
		abort();
	count = p2pdma_machine_device_count(machine);
	for (size_t i = 0; i < count; i++) {
		struct p2pdma_device *provider = p2pdma_machine_device(machine, i);

		p2pdma_routes_row(routes, provider, codes);
		for (size_t j = 0; j < count; j++)
			agree(routes, provider, p2pdma_machine_device(machine, j), codes[j]);
	}
	p2pdma_routes_free(routes);
	p2pdma_machine_close(machine);
	return 0;
}
