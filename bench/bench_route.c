/* SPDX-License-Identifier: MIT */
/*
 * All pairs of large machines: kernel, write and read verdict and stops, as codes.
 *
 * Beside it in the same run, over a sample of the pairs where there are many: the kernel's nested
 * walk with parents and ACS decoded beforehand, which gives the kernel verdict only; and the whole
 * verdict as the naive judge of tests/oracle computes it.
 */
#include <stdio.h>

#include "clock.h"
#include "fabric.h"
#include "machine.h"
#include "naive.h"

#define RUNS         7
#define MOST_SAMPLED 1000000.0 /* pairs of a walk */

struct walk {
	int distance;
	int redirects;
};

/* Linux: calc_map_type_and_dist(), as far as a common node and the ACS count. */
static struct walk nested_walk(const struct node *provider, const struct node *client)
{
	struct walk walk = { 0, 0 };
	int up = 0, down = 0;

	for (const struct node *a = provider; a; a = a->parent, up++) {
		walk.redirects += (a->kernel_acs & (RR | CR | EC)) != 0;
		down = 0;
		for (const struct node *b = client; b; b = b->parent, down++) {
			if (a != b)
				continue;
			for (b = client; b != a; b = b->parent)
				walk.redirects += (b->kernel_acs & (RR | CR | EC)) != 0;
			walk.distance = up + down;
			return walk;
		}
	}
	walk.distance = up + down;
	return walk;
}

static double time_walk(const struct naive *naive, size_t step, uint64_t *sum)
{
	double start = seconds();
	size_t pairs = 0;

	for (size_t p = 0; p < naive->count; p += step) {
		for (size_t c = 0; c < naive->count; c++, pairs++) {
			struct walk walk = nested_walk(&naive->nodes[p], &naive->nodes[c]);

			*sum += (uint64_t)(walk.distance + walk.redirects);
		}
	}
	return (seconds() - start) / (double)pairs;
}

static double time_judge(const struct naive *naive, size_t step, uint64_t *sum)
{
	double start = seconds();
	size_t pairs = 0;

	for (size_t p = 0; p < naive->count; p += step) {
		for (size_t c = 0; c < naive->count; c++, pairs++)
			*sum += naive_pair(naive, p, c).map_type;
	}
	return (seconds() - start) / (double)pairs;
}

static double time_rows(const struct p2pdma_machine *machine, const struct p2pdma_routes *routes,
                        uint32_t *codes, uint64_t *sum)
{
	size_t count = p2pdma_machine_device_count(machine);
	double start = seconds();

	for (size_t p = 0; p < count; p++) {
		p2pdma_routes_row(routes, p2pdma_machine_device(machine, p), codes);
		*sum += codes[p / 2];
	}
	return (seconds() - start) / ((double)count * (double)count);
}

static void bench(size_t wanted)
{
	struct snapshot *snapshot = bench_fabric(wanted);
	struct naive *naive = naive_new(snapshot, NULL);
	size_t count = snapshot->function_count;
	size_t step = 1 + (size_t)((double)count * (double)count / MOST_SAMPLED);
	struct p2pdma_machine *machine;
	struct p2pdma_routes *routes;
	uint32_t *codes = calloc(count, sizeof(*codes));
	double rows[RUNS], walks[RUNS], judges[RUNS], start = seconds(), prepared;
	uint64_t sum = 0;

	if (!codes || machine_from_snapshot(snapshot, "bench", &machine) ||
	    p2pdma_routes_new(machine, NULL, &routes))
		abort();
	prepared = seconds() - start;
	for (int i = 0; i < RUNS; i++) {
		rows[i] = time_rows(machine, routes, codes, &sum);
		walks[i] = time_walk(naive, step, &sum);
		judges[i] = time_judge(naive, step * 8, &sum);
	}
	rows[0] = median(rows, RUNS);
	walks[0] = median(walks, RUNS);
	judges[0] = median(judges, RUNS);
	printf("%9zu %10.2f %11.1f %6.0fx %11.1f %6.0fx %11.2f   %08x\n", count, rows[0] * 1e9,
	       walks[0] * 1e9, walks[0] / rows[0], judges[0] * 1e9, judges[0] / rows[0],
	       prepared * 1e3, (unsigned int)sum);
	free(codes);
	p2pdma_routes_free(routes);
	p2pdma_machine_close(machine);
	naive_free(naive);
}

int main(void)
{
	printf("All pairs; nanoseconds a pair, median of %d runs.\n", RUNS);
	printf("                kernel+write+  kernel only:       all, naive:      preparation\n");
	printf("functions  read codes  nested walk  ratio nested walk  ratio          ms   (sum)\n");
	bench(512);
	bench(4096);
	bench(8192);
	return 0;
}
