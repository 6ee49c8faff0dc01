/* SPDX-License-Identifier: MIT */
/*
 * boots.c - captures as simulated machines.
 *
 *	boots FILE|DIRECTORY...
 *
 * Each capture boots as sim:, and what the OS of the simulated machine would see is what the
 *capture says: functions, registers, BARs, VFs, the tree.  Where two bridges claim one bus the
 *fabric has to decide, and nothing is compared.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "topology.h"

#define RESOURCE_KIND 0x102300 /* IO, MEM, PREFETCH, MEM_64 */

static size_t files, functions, wrong;

static void complain(const char *path, const struct snapshot_function *function, const char *what)
{
	printf("not ok - %s: %02x:%02x.%x: %s\n", path, function->bdf.bus, function->bdf.devfn >> 3,
	       function->bdf.devfn & 7, what);
	wrong++;
}

static bool same_bars(const struct p2pdma_device *device, const struct snapshot_function *to)
{
	const struct snapshot_function *from = device->function;

	/* Where registers say nothing there is nothing to decode. */
	if (device->is_dead || from->config_len < 64 ||
	    (from->has_physfn && device->physfn == NO_INDEX))
		return true;
	if (to->resource_count != SNAPSHOT_RESOURCES)
		return false;
	for (size_t i = 0; i < 6 && i < from->resource_count; i++) {
		const struct snapshot_resource *a = &from->resources[i], *b = &to->resources[i];

		if (a->end <= a->start)
			continue;
		if (a->end - a->start != b->end - b->start ||
		    (a->flags & RESOURCE_KIND) != (b->flags & RESOURCE_KIND))
			return false;
	}
	return true;
}

static bool same_place(const struct p2pdma_device *from, const struct p2pdma_device *to)
{
	const struct p2pdma_device *above = p2pdma_device_parent(from);
	const struct p2pdma_device *above_to = p2pdma_device_parent(to);

	if (!above)
		return true;
	return above_to && !snapshot_compare(above->function->bdf, above_to->function->bdf) &&
	       !snapshot_compare(to->function->root_bus, p2pdma_device_root_bus(to)) &&
	       from->physfn == to->physfn && from->vf_number == to->vf_number;
}

static void compare(const char *path, const struct p2pdma_machine *capture,
                    const struct p2pdma_machine *sim)
{
	if (capture->device_count != sim->device_count) {
		printf("not ok - %s: %zu functions, %zu simulated\n", path, capture->device_count,
		       sim->device_count);
		wrong++;
		return;
	}
	for (size_t i = 0; i < capture->snapshot->function_count; i++) {
		const struct snapshot_function *from = &capture->snapshot->functions[i];
		const struct snapshot_function *to = &sim->snapshot->functions[i];
		struct p2pdma_device *a, *b;

		functions++;
		if (p2pdma_machine_find(capture, from->bdf, &a) ||
		    p2pdma_machine_find(sim, from->bdf, &b)) {
			complain(path, from, "is not simulated");
			continue;
		}
		if (from->config_len != to->config_len ||
		    (from->config_len && memcmp(from->config, to->config, from->config_len)))
			complain(path, from, "other registers");
		if (!same_bars(a, to))
			complain(path, from, "other BARs");
		if (!same_place(a, b))
			complain(path, from, "elsewhere in the tree");
		if (a->is_vf != b->is_vf || a->kind != b->kind || a->is_dead != b->is_dead ||
		    from->numa_node != to->numa_node)
			complain(path, from, "something else");
	}
}

static void boot(const char *path)
{
	struct p2pdma_machine *capture, *sim;
	struct p2pdma_error err = { "" };
	char *spec;

	if (asprintf(&spec, "capture:%s", path) < 0)
		abort();
	files++;
	if (p2pdma_machine_open(spec, &err, &capture)) {
		printf("# no capture: %s\n", err.text);
		files--;
		free(spec);
		return;
	}
	memcpy(spec + 4, "sim", 3);
	if (p2pdma_machine_open(spec + 4, &err, &sim)) {
		printf("not ok - %s: %s\n", path, err.text);
		wrong++;
	} else {
		compare(path, capture, sim);
		p2pdma_machine_close(sim);
	}
	p2pdma_machine_close(capture);
	free(spec);
}

static bool is_capture(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && (!strcmp(dot, ".json") || !strcmp(dot, ".lspci") || !strcmp(dot, ".txt"));
}

static void walk(const char *path)
{
	struct stat stat_buffer;
	struct dirent *entry;
	DIR *folder;

	if (stat(path, &stat_buffer)) {
		perror(path);
		exit(2);
	}
	if (!S_ISDIR(stat_buffer.st_mode)) {
		boot(path);
		return;
	}
	folder = opendir(path);
	while (folder && (entry = readdir(folder))) {
		char *inner;

		if (*entry->d_name == '.' ||
		    (entry->d_type != DT_DIR && !is_capture(entry->d_name)))
			continue;
		if (asprintf(&inner, "%s/%s", path, entry->d_name) < 0)
			abort();
		walk(inner);
		free(inner);
	}
	if (folder)
		closedir(folder);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		walk(argv[i]);
	printf("%s - %zu captures of %zu functions as simulated machines\n",
	       wrong || !files ? "not ok" : "ok", files, functions);
	return wrong || !files;
}
