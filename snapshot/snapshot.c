/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report.h"
#include "snapshot.h"

#define FIRST_SIZE (1u << 20)

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
	free(snapshot->order);
	free(snapshot->kernel);
	free(snapshot->arch);
	free(snapshot->cpu_vendor);
	free(snapshot->hypervisor);
	free(snapshot);
	return NULL;
}

int snapshot_compare(struct p2pdma_bdf a, struct p2pdma_bdf b)
{
	if (a.domain != b.domain)
		return a.domain < b.domain ? -1 : 1;
	if (a.bus != b.bus)
		return a.bus < b.bus ? -1 : 1;
	return (a.devfn > b.devfn) - (a.devfn < b.devfn);
}

/* Where in the order @bdf stands, or would stand. */
static size_t find_place(const struct snapshot *snapshot, struct p2pdma_bdf bdf)
{
	size_t low = 0, high = snapshot->function_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (snapshot_compare(snapshot->functions[snapshot->order[middle]].bdf, bdf) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Doubles the room for functions and for their order. */
static int grow(struct snapshot *snapshot)
{
	size_t room = snapshot->room ? 2 * snapshot->room : 64;
	struct snapshot_function *functions;
	uint32_t *order;

	functions = realloc(snapshot->functions, room * sizeof(*functions));
	if (!functions)
		return -ENOMEM;
	snapshot->functions = functions;
	order = realloc(snapshot->order, room * sizeof(*order));
	if (!order)
		return -ENOMEM;
	snapshot->order = order;
	snapshot->room = room;
	return 0;
}

/*
 * The order of addresses is kept in an array of its own: searching it takes the same few steps for
 * any input, where a hash of addresses that a hostile capture chooses would not.
 */
int snapshot_add(struct snapshot *snapshot, struct p2pdma_bdf bdf, bool *ret_new,
                 struct snapshot_function **ret_function)
{
	size_t count = snapshot->function_count, place = find_place(snapshot, bdf);
	int r;

	if (place < count &&
	    !snapshot_compare(snapshot->functions[snapshot->order[place]].bdf, bdf)) {
		*ret_new = false;
		*ret_function = &snapshot->functions[snapshot->order[place]];
		return 0;
	}
	if (count == SNAPSHOT_MAX_FUNCTIONS)
		return -E2BIG;
	if (count == snapshot->room) {
		r = grow(snapshot);
		if (r)
			return r;
	}
	memmove(&snapshot->order[place + 1], &snapshot->order[place],
	        (count - place) * sizeof(*snapshot->order));
	snapshot->order[place] = (uint32_t)count;
	snapshot->functions[count] =
		(struct snapshot_function){ .bdf = bdf, .iommu_group = -1, .numa_node = -1 };
	snapshot->function_count++;
	*ret_new = true;
	*ret_function = &snapshot->functions[count];
	return 0;
}

static int compare_functions(const void *left, const void *right)
{
	const struct snapshot_function *a = left, *b = right;

	return snapshot_compare(a->bdf, b->bdf);
}

void snapshot_finish(struct snapshot *snapshot)
{
	free(snapshot->order);
	snapshot->order = NULL;
	snapshot->room = 0;
	if (snapshot->function_count)
		qsort(snapshot->functions, snapshot->function_count, sizeof(*snapshot->functions),
		      compare_functions);
}

const struct snapshot_function *snapshot_find(const struct snapshot *snapshot,
                                              struct p2pdma_bdf bdf)
{
	const struct snapshot_function key = { .bdf = bdf };

	return snapshot->function_count
	               ? bsearch(&key, snapshot->functions, snapshot->function_count, sizeof(key),
	                         compare_functions)
	               : NULL;
}

int snapshot_read_input(int fd, const char *name, struct p2pdma_error *err, char **ret_text,
                        size_t *ret_length)
{
	size_t size = FIRST_SIZE, length = 0;
	char *text = malloc(size + 1), *larger;
	int r = text ? 0 : -ENOMEM;

	while (!r) {
		ssize_t n = read(fd, text + length, size - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = -errno;
		if (n <= 0)
			break;
		length += (size_t)n;
		if (length < size)
			continue;
		larger = size < SNAPSHOT_MAX_INPUT ? realloc(text, 2 * size + 1) : NULL;
		if (!larger)
			r = size < SNAPSHOT_MAX_INPUT ? -ENOMEM : -E2BIG;
		else
			text = larger;
		size *= 2;
	}
	if (r) {
		free(text);
		return report(err, r, "%.200s: %s", name,
		              r == -E2BIG ? "larger than 512 MiB: no machine" : strerror(-r));
	}
	text[length] = '\0';
	*ret_text = text;
	*ret_length = length;
	return 0;
}
