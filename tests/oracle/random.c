/* SPDX-License-Identifier: MIT */
/*
 * Every pair of many random machines, judged by core/ and by the naive walk.
 *
 *     random [COUNT [FIRST-SEED]]
 *
 * Without a first seed (or P2PDMA_SEED in the environment) the clock gives one; a mismatch prints
 * the seed that replays it: `random 1 SEED`.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabric.h"
#include "machine.h"
#include "naive.h"

#define MAX_REPORTS 10

static const struct p2pdma_profile profiles[] = { { 6, 0 }, { 6, 12 }, { 7, 1 }, { 7, 2 },
	                                          { 7, 3 }, { 7, 4 },  { 9, 0 } };

static void print_route(const char *who, struct p2pdma_route r)
{
	printf("    %-6s map_type %d distance %d write %d read %d request %d completion %d stops "
	       "%d\n",
	       who, r.map_type, r.distance, r.write, r.read, r.request, r.completion, r.stops);
}

static bool same_route(struct p2pdma_route a, struct p2pdma_route b)
{
	return a.map_type == b.map_type && a.write == b.write && a.read == b.read &&
	       a.request == b.request && a.completion == b.completion && a.stops == b.stops &&
	       a.distance == b.distance;
}

static void print_bdf(const char *role, struct p2pdma_bdf b)
{
	printf(" %s %04" PRIx32 ":%02x:%02x.%x", role, b.domain, b.bus, b.devfn >> 3u,
	       b.devfn & 7u);
}

struct comparison {
	const struct snapshot *snapshot;
	struct p2pdma_machine *machine;
	struct p2pdma_device **devices; /* in the snapshot's order */
	uint64_t seed;
	size_t pairs, mismatches;
	size_t reached[REACH_COUNT];
	unsigned int map_types, writes, reads, requests, completions, stops; /* seen, as masks */
};

static void tally(struct comparison *c, struct p2pdma_route r, unsigned int reached)
{
	for (int i = 0; i < REACH_COUNT; i++)
		c->reached[i] += reached >> i & 1;
	c->pairs++;
	c->map_types |= 1u << r.map_type;
	c->writes |= 1u << r.write;
	c->reads |= 1u << r.read;
	c->requests |= 1u << r.request;
	c->completions |= 1u << r.completion;
	c->stops |= 1u << r.stops;
}

/* Machines that never show a verdict prove nothing of it.  A completion is never blocked. */
static bool saw_everything(const struct comparison *c)
{
	return c->map_types == 0x1d && c->writes == 0xf && c->reads == 0xf && c->requests == 0x1f &&
	       c->completions == 0xf && c->stops == 0xf;
}

/* Prints how often each of the rarer rules came up; false when one never did. */
static bool print_reached(const struct comparison *c)
{
	bool is_complete = true;

	for (int i = 0; i < REACH_COUNT; i++) {
		printf("  %-20s %zu\n", reach_names[i], c->reached[i]);
		is_complete = is_complete && c->reached[i];
	}
	return is_complete;
}

static void compare_pair(struct comparison *c, const struct naive *naive,
                         const struct p2pdma_routes *routes, const uint32_t *row,
                         const struct p2pdma_routes_opts *opts, size_t provider, size_t client)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };
	struct p2pdma_route judge = naive_pair(naive, provider, client), pair, in_row;

	if (p2pdma_device_get_info(c->devices[client], &info))
		abort();
	pair = p2pdma_routes_pair(routes, c->devices[provider], c->devices[client]);
	in_row = p2pdma_route_decode(row[info.index]);
	tally(c, judge, naive_reach(naive, provider, client, judge));
	if (same_route(judge, pair) && same_route(judge, in_row))
		return;
	if (c->mismatches++ >= MAX_REPORTS)
		return;
	printf("seed %" PRIu64 ", profile %u.%u, cpu %d:", c->seed, opts->profile.major,
	       opts->profile.minor, opts->cpu);
	print_bdf("provider", c->snapshot->functions[provider].bdf);
	print_bdf("client", c->snapshot->functions[client].bdf);
	printf("\n");
	print_route("naive", judge);
	print_route("pair", pair);
	print_route("row", in_row);
}

static void compare_machine(struct comparison *c, const struct p2pdma_routes_opts *opts)
{
	size_t count = c->snapshot->function_count;
	struct naive *naive = naive_new(c->snapshot, opts);
	uint32_t *row = calloc(count, sizeof(*row));
	struct p2pdma_routes *routes;

	if (!row || p2pdma_routes_new(c->machine, opts, &routes))
		abort();
	for (size_t provider = 0; provider < count; provider++) {
		p2pdma_routes_row(routes, c->devices[provider], row);
		for (size_t client = 0; client < count; client++)
			compare_pair(c, naive, routes, row, opts, provider, client);
	}
	p2pdma_routes_free(routes);
	free(row);
	naive_free(naive);
}

static void compare_seed(struct comparison *c)
{
	struct snapshot *snapshot = random_fabric(c->seed);
	struct random random = { c->seed + 1 };
	struct p2pdma_routes_opts opts = { .size = sizeof(opts) };

	c->snapshot = snapshot;
	if (machine_from_snapshot(snapshot, "random", &c->machine))
		abort();
	c->devices = calloc(snapshot->function_count, sizeof(struct p2pdma_device *));
	if (!c->devices)
		abort();
	for (size_t i = 0; i < snapshot->function_count; i++) {
		if (p2pdma_machine_find(c->machine, snapshot->functions[i].bdf, &c->devices[i]))
			abort();
	}
	for (int cpu = P2PDMA_CPU_AUTO; cpu <= P2PDMA_CPU_OTHER; cpu++) {
		opts.cpu = (enum p2pdma_cpu)cpu;
		compare_machine(c, &opts);
		opts.profile = profiles[random_below(&random, 7)];
	}
	free(c->devices);
	p2pdma_machine_close(c->machine);
}

/* A number of an argument or the environment; false when it is none. */
static bool read_number(const char *text, uint64_t *ret_value)
{
	char *end;

	errno = 0;
	*ret_value = strtoull(text, &end, 0);
	return *text && !*end && !errno;
}

int main(int argc, char **argv)
{
	struct comparison c = { 0 };
	const char *environment = getenv("P2PDMA_SEED");
	uint64_t count = 500, first = 1;

	if (argc > 3 || (argc > 1 && !read_number(argv[1], &count)) ||
	    (argc > 2 && !read_number(argv[2], &first)) ||
	    (argc <= 2 && environment && !read_number(environment, &first))) {
		fprintf(stderr, "usage: %s [COUNT [FIRST-SEED]]; P2PDMA_SEED is a number\n",
		        argv[0]);
		return 2;
	}
	printf("%" PRIu64 " machines from seed %" PRIu64 "\n", count, first);
	fflush(stdout);
	for (uint64_t i = 0; i < count; i++) {
		c.seed = first + i;
		compare_seed(&c);
	}
	printf("%zu pairs, %zu mismatches\n", c.pairs, c.mismatches);
	if (!print_reached(&c) && count >= 10000) {
		printf("some rule never came up\n");
		return 1;
	}
	if (count >= 100 && !saw_everything(&c)) {
		printf("some verdict never came up: map types %#x writes %#x reads %#x requests "
		       "%#x completions %#x stops %#x\n",
		       c.map_types, c.writes, c.reads, c.requests, c.completions, c.stops);
		return 1;
	}
	return c.mismatches ? 1 : 0;
}
