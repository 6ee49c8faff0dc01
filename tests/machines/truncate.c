/* SPDX-License-Identifier: MIT */
/*
 * truncate.c - less evidence never makes a yes.
 *
 *	truncate DIRECTORY...
 *
 * Every capture in the directories and below (but not of fabrics, in sim/), with one function after the other cut to 256, 64 and
 * 40 bytes of configuration space, and with all of them cut: no pair whose answer was not yes becomes one.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "machine.h"
#include "snapshot.h"
#include <p2pdma/route.h>

#define ALL SIZE_MAX

static size_t comparisons, failures;

static struct snapshot *read_capture(const char *path)
{
	struct snapshot *snapshot;
	struct p2pdma_error err;
	struct stat stat_buffer;
	FILE *file = fopen(path, "r");
	char *text;

	if (!file || fstat(fileno(file), &stat_buffer))
		abort();
	text = malloc((size_t)stat_buffer.st_size + 1);
	if (!text ||
	    fread(text, 1, (size_t)stat_buffer.st_size, file) != (size_t)stat_buffer.st_size)
		abort();
	fclose(file);
	if (snapshot_read_json(text, (size_t)stat_buffer.st_size, path, &err, &snapshot)) {
		printf("%s\n", err.text);
		abort();
	}
	free(text);
	return snapshot;
}

/* Answers of all pairs by address order, with function @victim (or ALL) cut to @length bytes. */
static enum p2pdma_answer *judge(const char *path, size_t victim, size_t length, size_t *ret_count)
{
	struct p2pdma_routes_opts opts = { .size = sizeof(opts), .cpu = P2PDMA_CPU_AMD_ZEN };
	struct snapshot *snapshot = read_capture(path);
	size_t count = snapshot->function_count;
	enum p2pdma_answer *answers = calloc(count * count, sizeof(*answers));
	struct p2pdma_device **devices = calloc(count, sizeof(struct p2pdma_device *));
	struct p2pdma_machine *machine;
	struct p2pdma_routes *routes;

	for (size_t i = 0; i < count; i++)
		if ((i == victim || victim == ALL) && snapshot->functions[i].config_len > length)
			snapshot->functions[i].config_len = length;
	if (!answers || !devices || machine_from_snapshot(snapshot, path, &machine) ||
	    p2pdma_routes_new(machine, &opts, &routes))
		abort();
	for (size_t i = 0; i < count; i++)
		if (p2pdma_machine_find(machine, snapshot->functions[i].bdf, &devices[i]))
			abort();
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < count; j++)
			answers[i * count + j] = p2pdma_route_answer(
				p2pdma_routes_pair(routes, devices[i], devices[j]), P2PDMA_OP_BOTH);
	free(devices);
	p2pdma_routes_free(routes);
	p2pdma_machine_close(machine);
	*ret_count = count;
	return answers;
}

static void compare(const char *path, const enum p2pdma_answer *full, size_t count, size_t victim,
                    size_t length)
{
	enum p2pdma_answer *cut = judge(path, victim, length, &count);

	for (size_t i = 0; i < count * count; i++) {
		comparisons++;
		if (i / count == i % count || cut[i] != P2PDMA_ANSWER_YES ||
		    full[i] == P2PDMA_ANSWER_YES)
			continue;
		failures++;
		printf("%s: function %zd cut to %zu bytes: provider %zu, client %zu become yes\n",
		       path, (ssize_t)victim, length, i / count, i % count);
	}
	free(cut);
}

static void check_file(const char *path)
{
	static const size_t lengths[] = { 256, 64, 40 };
	enum p2pdma_answer *full;
	size_t count;

	full = judge(path, 0, SNAPSHOT_CONFIG_SIZE, &count);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (size_t victim = 0; victim < count; victim++)
			compare(path, full, count, victim, lengths[i]);
		compare(path, full, count, ALL, lengths[i]);
	}
	free(full);
}

static void check_directory(const char *path)
{
	DIR *stream = opendir(path);
	struct dirent *entry;

	if (!stream)
		abort();
	while ((entry = readdir(stream))) {
		char below[4096];
		size_t length = strlen(entry->d_name);

		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		if (length > 5 && !strcmp(entry->d_name + length - 5, ".json"))
			check_file(below);
		else if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
		         strcmp(entry->d_name, "sim") != 0)
			check_directory(below);
	}
	closedir(stream);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		check_directory(argv[i]);
	printf("%zu answers, %zu became yes with less evidence\n", comparisons, failures);
	return failures || !comparisons;
}
