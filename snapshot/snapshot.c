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

int snapshot_add(struct snapshot *snapshot, struct p2pdma_bdf bdf, bool *ret_new,
                 struct snapshot_function **ret_function)
{
	struct snapshot_function *functions;
	size_t count = snapshot->function_count;

	for (size_t i = count; i-- > 0;) {
		if (compare(snapshot->functions[i].bdf, bdf))
			continue;
		*ret_new = false;
		*ret_function = &snapshot->functions[i];
		return 0;
	}
	if (count == SNAPSHOT_MAX_FUNCTIONS)
		return -E2BIG;
	functions = realloc(snapshot->functions, (count + 1) * sizeof(*functions));
	if (!functions)
		return -ENOMEM;
	snapshot->functions = functions;
	functions[count] =
		(struct snapshot_function){ .bdf = bdf, .iommu_group = -1, .numa_node = -1 };
	snapshot->function_count++;
	*ret_new = true;
	*ret_function = &functions[count];
	return 0;
}

static int compare_functions(const void *left, const void *right)
{
	const struct snapshot_function *a = left, *b = right;

	return compare(a->bdf, b->bdf);
}

void snapshot_finish(struct snapshot *snapshot)
{
	if (snapshot->function_count)
		qsort(snapshot->functions, snapshot->function_count, sizeof(*snapshot->functions),
		      compare_functions);
}
