/* SPDX-License-Identifier: MIT */
/*
 * pages.c - the bytes of a BAR as pages: the fabric's own, and as much of them as is shown to the
 * process.
 *
 * Memory is shared even where it has no file: such a mapping can be mapped a second time, at less
 * cost than a file descriptor a BAR (a machine has more BARs than a process has descriptors), and
 * what is shown stays good when the fabric has gone.  Touching pages costs what private ones cost
 * (bench/bench_sim.c), but for one thing: reading what was never written takes a page too.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "fabric.h"

uint8_t *bar_memory(struct p2pdma_function *function, int bar)
{
	struct bar *range = &function->bars[bar];
	void *memory;

	if (range->memory)
		return range->memory;
	if (range->path)
		return mem_make_file(range);
	memory = mmap(NULL, range->size, PROT_READ | PROT_WRITE,
	              MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	range->memory = memory;
	range->is_mapped = true;
	return memory;
}

int pages_show(struct p2pdma_function *function, int bar, uint64_t offset, size_t length,
               void **memory)
{
	struct bar *range = &function->bars[bar];
	int flags = MREMAP_MAYMOVE | (*memory ? MREMAP_FIXED : 0);
	uint8_t *bytes;
	void *view;

	if (range->kind != BAR_MEMORY || (range->memory && !range->is_mapped))
		return -EOPNOTSUPP;
	if (offset > range->size || length > range->size - offset)
		return -EINVAL;
	bytes = bar_memory(function, bar);
	if (!bytes)
		return -ENOMEM;
	/* An old size of 0 maps shared pages once more (mremap(2)). */
	view = mremap(bytes + offset, 0, length, flags, *memory);
	if (view != MAP_FAILED) {
		*memory = view;
		return 0;
	}
	/* What lay there may be unmapped by now: nobody's access is to end in SIGSEGV. */
	if (*memory)
		pages_blank(*memory, length);
	return -ENOMEM;
}

/*
 * Made elsewhere and moved there at once, so that another thread finds the device's bytes or ones,
 * and never what is not yet filled in.
 */
int pages_blank(void *memory, size_t length)
{
	void *ones = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (ones == MAP_FAILED)
		return -ENOMEM;
	memset(ones, 0xff, length);
	if (mremap(ones, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, memory) != MAP_FAILED)
		return 0;
	munmap(ones, length);
	return -ENOMEM;
}
