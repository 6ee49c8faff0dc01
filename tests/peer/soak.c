/* SPDX-License-Identifier: MIT */
/*
 * soak.c - deterministic simulation: random operations and faults from a seed, everything checked
 * after each.
 *
 * soak COUNT: seeds from 1 on.  soak SECONDSs: for so long.  --from SEED: from there on.
 * P2PDMA_SEED=N: that one, aloud.
 */
#include <stdarg.h>
#include <time.h>

#include "soak.h"

#define STEPS 250

struct soak soak;

static const struct {
	void (*run)(void);
	unsigned int weight;
} ops[] = {
	{ op_open, 4 },      { op_close, 1 },       { op_add, 8 },    { op_publish, 2 },
	{ op_alloc, 12 },    { op_alloc_sgl, 3 },   { op_free, 6 },   { op_cache, 6 },
	{ op_cpu, 4 },       { op_view, 4 },        { op_remove, 1 }, { op_map, 12 },
	{ op_unmap, 6 },     { op_dma, 8 },         { op_find, 5 },   { op_run, 5 },
	{ op_export, 5 },    { op_attach, 9 },      { op_detach, 2 }, { op_guest_map, 7 },
	{ op_guest_dma, 5 }, { op_guest_unmap, 3 }, { op_pin, 2 },    { op_revoke, 6 },
	{ op_restore, 8 },   { op_release, 1 },     { op_reset, 2 },  { op_decode, 4 },
	{ op_master, 3 },    { op_sleep, 2 },       { op_acs, 3 },    { op_ats, 2 },
	{ op_fault, 4 },     { op_heal, 4 },
};

static void show_log(void)
{
	unsigned int count = soak.logged < 24 ? soak.logged : 24;

	for (unsigned int i = soak.logged - count; i < soak.logged; i++)
		fprintf(stderr, "  %s\n", soak.log[i % 24]);
}

void broken(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "seed %" PRIu64 ", step %u: ", soak.seed, soak.step);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nwhat was done last (P2PDMA_SEED=%" PRIu64 " shows all):\n", soak.seed);
	show_log();
	/* What is still allocated does not matter now. */
	_Exit(1);
}

void did(const char *format, ...)
{
	char *line = soak.log[soak.logged++ % 24];
	va_list args;
	int length = snprintf(line, sizeof(soak.log[0]), "%u: ", soak.step);

	va_start(args, format);
	vsnprintf(line + length, sizeof(soak.log[0]) - (size_t)length, format, args);
	va_end(args);
	if (soak.is_loud)
		printf("%s\n", line);
}

static void mix(uint64_t value)
{
	soak.hash = (soak.hash ^ value) * 0x100000001b3;
}

int result(const char *call, int r, ...)
{
	bool is_known = !r;
	va_list args;
	int one;

	va_start(args, r);
	while ((one = va_arg(args, int)) != 1)
		is_known |= r == one;
	va_end(args);
	if (!is_known)
		broken("%s: %d is not documented here", call, r);
	mix((uint64_t)(unsigned int)r << 8 | (uint8_t)call[0]);
	return r;
}

void stir(void)
{
	soak.changes++;
}

static void run_step(void)
{
	unsigned int all = 0, i;
	uint32_t at;

	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		all += ops[i].weight;
	at = below(all);
	for (i = 0; at >= ops[i].weight; i++)
		at -= ops[i].weight;
	ops[i].run();
	take_events();
	check_memory("after the step");
	check_sources();
	mix(now());
}

static void check_empty(struct source *source)
{
	struct p2pdma_provider_info info = { .size = sizeof(info) };
	int r = p2pdma_provider_remove(source->provider, now(), NULL);

	if (r || p2pdma_provider_get_info(source->provider, &info))
		broken("what is empty is not removed: %d", r);
	if (info.buffers || info.mappings || info.cached ||
	    (!info.is_naked && info.free != info.total) || info.state != P2PDMA_PROVIDER_DEAD)
		broken("something is left: %" PRIu64 " buffers, %" PRIu64 " mappings", info.buffers,
		       info.mappings);
	source_died(source);
	source_put(source);
}

/* The hash of what came out. */
static uint64_t run(uint64_t seed)
{
	memset(&soak, 0, sizeof(soak));
	soak.seed = seed;
	soak.random.state = seed;
	soak.hash = 0xcbf29ce484222325;
	soak.is_loud = getenv("P2PDMA_SEED");
	fabric_open();
	for (unsigned int i = 0; i < soak.unit_count; i++)
		if (chance(85))
			op_open();
	for (soak.step = 1; soak.step <= STEPS; soak.step++)
		run_step();
	lend_clear();
	take_events();
	map_clear();
	pool_clear();
	take_events();
	check_memory("at the end");
	check_sources();
	for (unsigned int i = 0; i < SOURCES; i++)
		if (soak.sources[i].provider)
			check_empty(&soak.sources[i]);
	event_clear();
	check_memory("closed");
	fabric_close();
	return soak.hash;
}

static void run_and_compare(uint64_t seed)
{
	uint64_t hash = run(seed);

	if (seed % 8 == 0 && run(seed) != hash)
		broken("the same seed gives another run");
}

int main(int argc, char **argv)
{
	const char *only = getenv("P2PDMA_SEED");
	uint64_t first = 1, done = 0, limit;
	time_t start = time(NULL);
	char *end;

	if (only) {
		run(strtoull(only, NULL, 10));
		return 0;
	}
	if (argc != 2 && (argc != 4 || strcmp(argv[2], "--from") != 0)) {
		fprintf(stderr, "usage: soak COUNT|SECONDSs [--from SEED]\n");
		return 2;
	}
	if (argc == 4)
		first = strtoull(argv[3], NULL, 10);
	limit = strtoull(argv[1], &end, 10);
	while (*end == 's' ? (uint64_t)(time(NULL) - start) < limit : done < limit)
		run_and_compare(first + done++);
	printf("%" PRIu64 " seeds from %" PRIu64 " in %ld s\n", done, first,
	       (long)(time(NULL) - start));
	return 0;
}
