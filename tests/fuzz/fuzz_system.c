/* SPDX-License-Identifier: MIT */
/*
 * fuzz_system.c - any text as the files of /sys and /proc: no crash, and nothing out of range.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sysfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct snapshot_resource resources[SNAPSHOT_RESOURCES];
	struct snapshot *snapshot = snapshot_new();
	char *text = malloc(size + 1);
	enum p2pdma_known is_guest;
	struct p2pdma_bdf bdf;

	if (!snapshot || !text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	if (sysfs_parse_resources(text, resources) > SNAPSHOT_RESOURCES)
		abort();
	if (sysfs_parse_cpuinfo(text, snapshot, &is_guest) || snapshot->cpu_family < -1)
		abort();
	if (snapshot->cpu_vendor && (!*snapshot->cpu_vendor || strlen(snapshot->cpu_vendor) > 63))
		abort();
	if (sysfs_parse_bdf(text, &bdf) && (strlen(text) < 7 || strlen(text) > 16))
		abort();
	snapshot_free(snapshot);
	free(text);
	return 0;
}
