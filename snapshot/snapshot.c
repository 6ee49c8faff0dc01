/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot.h"

struct snapshot *snapshot_new(void)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (!snapshot)
		return NULL;
	snapshot->kernel_p2pdma = P2PDMA_UNKNOWN;
	snapshot->cpu_family = -1;
	snapshot->privileged = P2PDMA_UNKNOWN;
	return snapshot;
}

struct snapshot *snapshot_free(struct snapshot *snapshot)
{
	if (!snapshot)
		return NULL;
	for (size_t i = 0; i < snapshot->function_count; i++) {
		struct snapshot_function *function = &snapshot->functions[i];

		for (size_t j = 0; j < function->name_count; j++)
			free(function->names[j]);
		free(function->names);
		free(function->driver);
		free(function->resources);
		free(function->config);
	}
	free(snapshot->functions);
	free(snapshot->slots);
	free(snapshot->kernel);
	free(snapshot->arch);
	free(snapshot->cpu_vendor);
	free(snapshot->hypervisor);
	free(snapshot);
	return NULL;
}

static int compare(struct p2pdma_bdf a, struct p2pdma_bdf b)
{
	if (a.domain != b.domain)
		return a.domain < b.domain ? -1 : 1;
	if (a.bus != b.bus)
		return a.bus < b.bus ? -1 : 1;
	return (a.devfn > b.devfn) - (a.devfn < b.devfn);
}

/* The slot that holds @bdf, or the free one where it belongs. */
static size_t find_slot(const struct snapshot *snapshot, struct p2pdma_bdf bdf)
{
	uint64_t key = (uint64_t)bdf.domain << 16 | (uint64_t)bdf.bus << 8 | bdf.devfn;
	size_t slot = (size_t)(key * 0x9e3779b97f4a7c15 >> 32) & (snapshot->slot_count - 1);

	while (snapshot->slots[slot] &&
	       compare(snapshot->functions[snapshot->slots[slot] - 1].bdf, bdf))
		slot = (slot + 1) & (snapshot->slot_count - 1);
	return slot;
}

/* Doubles the room for functions and for their slots. */
static int grow(struct snapshot *snapshot)
{
	size_t room = snapshot->slot_count ? snapshot->slot_count : 64;
	struct snapshot_function *functions;
	uint32_t *slots;

	functions = realloc(snapshot->functions, room * sizeof(*functions));
	if (!functions)
		return -ENOMEM;
	snapshot->functions = functions;
	slots = calloc(2 * room, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(snapshot->slots);
	snapshot->slots = slots;
	snapshot->slot_count = 2 * room;
	for (size_t i = 0; i < snapshot->function_count; i++)
		slots[find_slot(snapshot, functions[i].bdf)] = (uint32_t)i + 1;
	return 0;
}

int snapshot_add(struct snapshot *snapshot, struct p2pdma_bdf bdf, bool *ret_new,
                 struct snapshot_function **ret_function)
{
	size_t count = snapshot->function_count, slot;
	bool is_new;
	int r;

	if (2 * count == snapshot->slot_count) {
		r = grow(snapshot);
		if (r)
			return r;
	}
	slot = find_slot(snapshot, bdf);
	is_new = !snapshot->slots[slot];
	if (is_new) {
		if (count == SNAPSHOT_MAX_FUNCTIONS)
			return -E2BIG;
		snapshot->functions[count] = (struct snapshot_function){ .bdf = bdf,
			                                                 .iommu_group = -1,
			                                                 .numa_node = -1 };
		snapshot->slots[slot] = (uint32_t)++snapshot->function_count;
	}
	*ret_new = is_new;
	*ret_function = &snapshot->functions[snapshot->slots[slot] - 1];
	return 0;
}

static int compare_functions(const void *left, const void *right)
{
	const struct snapshot_function *a = left, *b = right;

	return compare(a->bdf, b->bdf);
}

void snapshot_finish(struct snapshot *snapshot)
{
	free(snapshot->slots);
	snapshot->slots = NULL;
	snapshot->slot_count = 0;
	if (snapshot->function_count)
		qsort(snapshot->functions, snapshot->function_count, sizeof(*snapshot->functions),
		      compare_functions);
}
