/* SPDX-License-Identifier: MIT */
/*
 * What Linux answered, beside what core/ and the naive judge answer.
 *
 * Standard input, for each machine: a line "NAME CPU TEXT-BYTES JSON-BYTES" (CPU as p2pdma --cpu
 * spells it), then the `lspci -xxxx` text and the kernel's answers.  kernel_answers.py writes it.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "naive.h"

#define MAX_REPORTS 20

static const char *const map_types[] = { "UNKNOWN", "NONE", "NOT_SUPPORTED", "BUS_ADDR",
	                                 "THRU_HOST_BRIDGE" };

struct machine {
	const char *name, *cpu;
	const struct snapshot *snapshot;
	struct p2pdma_machine *machine;
	struct p2pdma_routes *routes;
	struct naive *naive;
};

static size_t pairs, wrong;

static struct p2pdma_device *find(const struct machine *m, const char *name, size_t *ret_position)
{
	struct p2pdma_device *device;
	struct p2pdma_device_info info = { .size = sizeof(info) };

	if (p2pdma_machine_resolve(m->machine, name, NULL, &device)) {
		printf("%s: no function %s\n", m->name, name);
		exit(1);
	}
	p2pdma_device_get_info(device, &info);
	for (size_t i = 0; i < m->snapshot->function_count; i++) {
		struct p2pdma_bdf bdf = m->snapshot->functions[i].bdf;

		if (bdf.domain == info.bdf.domain && bdf.bus == info.bdf.bus &&
		    bdf.devfn == info.bdf.devfn)
			*ret_position = i;
	}
	return device;
}

static void check_pair(const struct machine *m, const json_t *pair)
{
	const char *names[2], *map_type;
	size_t provider, client;
	const struct p2pdma_device *devices[2];
	struct p2pdma_route ours, judge;
	int distance;

	if (json_unpack((json_t *)pair, "{s:s, s:s, s:s, s:i}", "provider", &names[0], "client",
	                &names[1], "map_type", &map_type, "distance", &distance)) {
		printf("%s: a pair without provider, client, map_type and distance\n", m->name);
		exit(1);
	}
	devices[0] = find(m, names[0], &provider);
	devices[1] = find(m, names[1], &client);
	ours = p2pdma_routes_pair(m->routes, devices[0], devices[1]);
	judge = naive_pair(m->naive, provider, client);
	pairs++;
	if (!strcmp(map_types[ours.map_type], map_type) && ours.distance == distance &&
	    judge.map_type == ours.map_type && judge.distance == ours.distance)
		return;
	if (wrong++ < MAX_REPORTS)
		printf("%s, %s, %s to %s: Linux %s %d, core %s %d, naive judge %s %d\n", m->name,
		       m->cpu, names[1], names[0], map_type, distance, map_types[ours.map_type],
		       ours.distance, map_types[judge.map_type], judge.distance);
}

/* Linux was asked for all pairs of functions that are neither bridges nor class 06. */
static size_t expected_pairs(const struct p2pdma_machine *machine)
{
	size_t count = 0;

	for (size_t i = 0; i < p2pdma_machine_device_count(machine); i++) {
		struct p2pdma_device_info info = { .size = sizeof(info) };

		p2pdma_device_get_info(p2pdma_machine_device(machine, i), &info);
		count += info.header_type == 0 && info.class_code >> 16 != 0x06;
	}
	return count * count;
}

static void check_machine(struct machine *m, const char *text, size_t text_length,
                          const char *answers, size_t answers_length)
{
	struct p2pdma_routes_opts opts = {
		.size = sizeof(opts),
		.profile = { 7, 2 },
		.cpu = strcmp(m->cpu, "amd-zen") ? P2PDMA_CPU_OTHER : P2PDMA_CPU_AMD_ZEN,
	};
	struct p2pdma_error error = { "" };
	struct snapshot *snapshot;
	json_t *root = json_loadb(answers, answers_length, 0, NULL), *pair;
	size_t i;

	if (!root || snapshot_read_lspci(text, text_length, m->name, &error, &snapshot) ||
	    machine_from_snapshot(snapshot, m->name, &m->machine) ||
	    p2pdma_routes_new(m->machine, &opts, &m->routes)) {
		printf("%s: not read: %s\n", m->name, error.text);
		exit(1);
	}
	m->snapshot = snapshot;
	m->naive = naive_new(snapshot, &opts);
	json_array_foreach(json_object_get(root, "pairs"), i, pair) check_pair(m, pair);
	json_array_foreach(json_object_get(root, "bridge_pairs"), i, pair) check_pair(m, pair);
	if (json_array_size(json_object_get(root, "pairs")) != expected_pairs(m->machine)) {
		printf("%s: Linux was asked for %zu pairs, we list %zu\n", m->name,
		       json_array_size(json_object_get(root, "pairs")), expected_pairs(m->machine));
		wrong++;
	}
	naive_free(m->naive);
	p2pdma_routes_free(m->routes);
	p2pdma_machine_close(m->machine);
	json_decref(root);
}

static char *read_block(size_t length)
{
	char *block = malloc(length + 1);

	if (!block || fread(block, 1, length, stdin) != length) {
		fprintf(stderr, "standard input ends within a machine\n");
		exit(1);
	}
	block[length] = '\0';
	return block;
}

int main(void)
{
	char line[512], name[256], cpu[16];
	size_t machines = 0, text_length, answers_length;

	while (fgets(line, sizeof(line), stdin)) {
		struct machine m = { .name = name, .cpu = cpu };
		char *text, *answers;

		if (sscanf(line, "%255s %15s %zu %zu", name, cpu, &text_length, &answers_length) !=
		    4) {
			fprintf(stderr, "expected \"NAME CPU BYTES BYTES\", got: %s", line);
			return 1;
		}
		text = read_block(text_length);
		answers = read_block(answers_length);
		check_machine(&m, text, text_length, answers, answers_length);
		free(answers);
		free(text);
		machines++;
	}
	printf("%zu machines, %zu pairs, %zu wrong\n", machines, pairs, wrong);
	return wrong || !pairs ? 1 : 0;
}
