/* SPDX-License-Identifier: MIT */
/*
 * bare.h - a provider without a machine, for what only needs its pools.
 */
#ifndef TESTS_BARE_H
#define TESTS_BARE_H

#include <p2pdma/p2pmem.h>

#include "provider.h"

/* Memory at a bus address; a size of 0 ends a list of them. */
struct bare_chunk {
	uint64_t bus;
	uint64_t size;
};

/* With one reference.  NULL: out of memory. */
struct p2pdma_provider *bare_new(uint64_t granule, const struct bare_chunk *chunks, bool is_naked);

/* Providers that were freed so far. */
extern unsigned int bare_freed;

struct p2pdma_provider_info bare_info(struct p2pdma_provider *provider);

#endif
