/* SPDX-License-Identifier: MIT */
/*
 * test_memory.c - every allocation fails once, and for good: -ENOMEM, a text that says so, nothing
 * lost.
 *
 * The linker sends this program's allocations, and those of the code under test, through here
 * (--wrap); jansson is told to.  What is allocated and not freed is counted, so that a leak shows
 * without a sanitizer.
 */
#include "readers.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>

#include "tree.h"
#include <p2pdma/access.h>
#include <p2pdma/evidence.h>
#include <p2pdma/progress.h>

static long countdown = -1; /* allocations until the one that fails; negative: none does */
static bool keeps_failing;  /* and so do all behind it */
static bool has_failed;
static bool is_lenient; /* a step may do without some of its allocations */
static long blocks; /* that were not freed */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *block);
FILE *__real_open_memstream(char **bytes, size_t *length);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *block);
FILE *__wrap_open_memstream(char **bytes, size_t *length);

static bool fails(void)
{
	if (countdown < 0 || (countdown && countdown--))
		return false;
	if (!keeps_failing)
		countdown = -1;
	has_failed = true;
	errno = ENOMEM;
	return true;
}

static void *counted(void *block)
{
	blocks += block != NULL;
	return block;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *block, size_t size)
{
	void *larger = fails() ? NULL : __real_realloc(block, size);

	return block ? larger : counted(larger);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : counted(__real_strdup(text));
}

void __wrap_free(void *block)
{
	blocks -= block != NULL;
	__real_free(block);
}

/* Its text comes from libc, and goes through free() above. */
FILE *__wrap_open_memstream(char **bytes, size_t *length)
{
	FILE *stream = fails() ? NULL : __real_open_memstream(bytes, length);

	blocks += stream != NULL;
	return stream;
}

/*
 * jansson 2.14 overruns its token buffer when that cannot grow, and no caller can help it: those
 * allocations, known by their sizes, never fail here.  All others of jansson's do.
 */
static void *malloc_for_jansson(size_t size)
{
	if (size >= 32 && !(size & (size - 1)))
		return counted(__real_malloc(size));
	return __wrap_malloc(size);
}

/* What a step does: 0 or a negative errno, everything freed again in either case. */
typedef int (*step)(const void *input, struct p2pdma_error *err);

/* Fails the @n-th allocation of @run; returns whether there was one. */
static bool fail_one(long n, step run, const void *input, const char *part)
{
	struct p2pdma_error err = { "" };
	long before = blocks;
	int r;

	countdown = n;
	has_failed = false;
	r = run(input, &err);
	countdown = -1;
	if (r != (has_failed ? -ENOMEM : 0) && !(is_lenient && !r))
		fail_msg("allocation %ld: %d: %s", n, r, err.text);
	if (blocks != before)
		fail_msg("allocation %ld: %ld blocks lost", n, blocks - before);
	if (has_failed && part)
		assert_contains(err.text, part);
	return has_failed;
}

/* Fails each allocation of @run in turn, alone and with all behind it; returns how many there are.
 */
static long sweep(step run, const void *input, const char *part)
{
	long n;

	for (int i = 0; i < 2; i++) {
		keeps_failing = i;
		for (n = 0; fail_one(n, run, input, part);)
			n++;
	}
	return n;
}

static int read_text(const void *input, struct p2pdma_error *err)
{
	struct snapshot *snapshot;
	int r = snapshot_read_text(input, strlen(input), "FILE", err, &snapshot);

	if (!r)
		snapshot_free(snapshot);
	return r;
}

static int read_sysfs(const void *input, struct p2pdma_error *err)
{
	struct snapshot *snapshot;
	int r = snapshot_read_sysfs(input, err, &snapshot);

	if (!r)
		snapshot_free(snapshot);
	return r;
}

static int write_json(const void *input, struct p2pdma_error *err)
{
	char *text;
	int r = snapshot_write_json(input, P2PDMA_DUMP_REDACT, &text);

	(void)err;
	if (!r)
		free(text);
	return r;
}

static int open_machine(const void *input, struct p2pdma_error *err)
{
	struct p2pdma_machine *machine;
	int r = p2pdma_machine_open(input, err, &machine);

	if (!r)
		p2pdma_machine_close(machine);
	return r;
}

/* What a driver does that may need memory; on a machine of its own, which keeps some until it ends.
 */
static int drive_machine(const void *input, struct p2pdma_error *err)
{
	struct p2pdma_machine *machine, *again = NULL;
	struct p2pdma_device *device = NULL;
	struct p2pdma_dma address[9];
	struct p2pdma_bar_map *map = NULL;
	static char memory[9 * 4096] __attribute__((aligned(4096)));
	int r = p2pdma_machine_open(input, err, &machine);

	if (r)
		return r;
	for (size_t i = 0; i < p2pdma_machine_device_count(machine); i++)
		if (p2pdma_device_name(p2pdma_machine_device(machine, i), 0))
			device = p2pdma_machine_device(machine, i);
	assert_non_null(device);
	r = p2pdma_device_open(device, err);
	if (!r)
		r = p2pdma_bar_map(device, 0, err, &map);
	for (size_t i = 0; i < 9 && !r; i++)
		r = p2pdma_dma_map(device, memory + i * 4096, 4096, P2PDMA_OP_BOTH, &address[i]);
	if (!r)
		r = p2pdma_device_reset(device, err);
	if (!r)
		r = p2pdma_machine_refresh(machine, err, &again);
	p2pdma_machine_close(again);
	p2pdma_bar_unmap(map);
	p2pdma_device_close(device);
	p2pdma_machine_close(machine);
	return r;
}

static int prepare_routes(const void *input, struct p2pdma_error *err)
{
	struct p2pdma_routes *routes;
	int r = p2pdma_routes_new(input, NULL, &routes);

	(void)err;
	if (!r)
		p2pdma_routes_free(routes);
	return r;
}

static int explain_pairs(const void *input, struct p2pdma_error *err)
{
	const struct p2pdma_machine *machine = input;
	size_t count = p2pdma_machine_device_count(machine);
	struct p2pdma_routes *routes;
	int r = p2pdma_routes_new(machine, NULL, &routes);

	(void)err;
	if (r)
		return r;
	for (size_t i = 0; i < count * count && !r; i++) {
		struct p2pdma_explanation *explanation;

		r = p2pdma_routes_explain(routes, p2pdma_machine_device(machine, i / count),
		                          p2pdma_machine_device(machine, i % count), &explanation);
		if (!r)
			p2pdma_explanation_free(explanation);
	}
	p2pdma_routes_free(routes);
	return r;
}

static void reading_lspci(void **state)
{
	static const char row[] = "00: 86 80\n";
	static const char qemu[] = "00:00.0 A\n"
				   "00: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
				   "10: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
				   "20: 00 00 00 00 00 00 00 00 00 00 00 00 f4 1a 00 11\n";
	char text[4096], *end = stpcpy(text, qemu);

	(void)state;
	/* Enough functions for the table to grow. */
	for (unsigned int i = 1; i < 100; i++)
		end += sprintf(end, "00:%02x.%x A\n%s", i >> 3, i & 7, row);
	assert_true(sweep(read_text, text, "FILE: out of memory") > 100);
}

static const char capture[] =
	"{\"format\":\"p2pdma-capture\",\"version\":1,\"machine\":{\"kernel\":\"6.12\","
	"\"arch\":\"x86_64\",\"cpu_vendor\":\"GenuineIntel\",\"hypervisor\":\"none\"},"
	"\"functions\":[{\"bdf\":\"0000:00:00.0\",\"config\":\"8680\",\"config_len\":64,"
	"\"resources\":[[\"0x0\",\"0xfff\",\"0x200\"]],\"driver\":\"nvme\","
	"\"names\":[\"nvme0n1\",\"eth0\"]},"
	"{\"bdf\":\"0000:01:00.0\",\"config\":\"8680\",\"config_len\":64}]}";

static void reading_json(void **state)
{
	(void)state;
	assert_true(sweep(read_text, capture, "FILE: out of memory") > 10);
}

static void reading_sysfs(void **state)
{
	char *root = tree_machine();

	(void)state;
	assert_true(sweep(read_sysfs, root, "Cannot allocate memory") > 20);
	tree_free(root);
}

static void writing_json(void **state)
{
	struct snapshot *snapshot;

	(void)state;
	assert_int_equal(snapshot_read_json(capture, strlen(capture), "FILE", NULL, &snapshot), 0);
	assert_int_equal(sweep(write_json, snapshot, NULL), 1);
	snapshot_free(snapshot);
}

static void opening_and_asking(void **state)
{
	char *root = tree_machine(), spec[PATH_MAX];
	struct p2pdma_machine *machine;

	(void)state;
	tree_text(root, "/capture.json", capture);
	snprintf(spec, sizeof(spec), "capture:%s/capture.json", root);
	assert_true(sweep(open_machine, spec, "emory") > 10);
	snprintf(spec, sizeof(spec), "live:root=%s", root);
	assert_true(sweep(open_machine, spec, "emory") > 20);
	assert_int_equal(p2pdma_machine_open(spec, NULL, &machine), 0);
	assert_true(sweep(prepare_routes, machine, NULL) > 1);
	assert_true(sweep(explain_pairs, machine, NULL) > 25);
	p2pdma_machine_close(machine);
	tree_free(root);
}

/* An endpoint alone on its link, without function level reset. */
static const char fabric[] =
	"{\"format\":\"p2pdma-fabric\",\"version\":1,\"iommu\":\"translated\",\"roots\":[{"
	"\"platform\":\"intel-skylake-sp\",\"below\":[{\"type\":\"switch\",\"below\":["
	"{\"model\":\"mem\",\"size\":\"4K\",\"name\":\"nvme0n1\",\"flr\":false},"
	"{\"model\":\"dma\",\"vfs\":2}]}]}]}";

static void simulating(void **state)
{
	char *root = tree_new(), spec[PATH_MAX];

	(void)state;
	tree_text(root, "/capture.json", capture);
	tree_text(root, "/fabric.json", fabric);
	snprintf(spec, sizeof(spec), "sim:%s/capture.json", root);
	assert_true(sweep(open_machine, spec, "emory") > 20);
	snprintf(spec, sizeof(spec), "sim:%s/fabric.json", root);
	assert_true(sweep(open_machine, spec, "emory") > 50);
	is_lenient = true; /* a fabric goes on where it can */
	assert_true(sweep(drive_machine, spec, NULL) > 60);
	is_lenient = false;
	tree_free(root);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_lspci),      cmocka_unit_test(reading_json),
		cmocka_unit_test(reading_sysfs),      cmocka_unit_test(writing_json),
		cmocka_unit_test(opening_and_asking), cmocka_unit_test(simulating),
	};

	json_set_alloc_funcs(malloc_for_jansson, __wrap_free);
	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
