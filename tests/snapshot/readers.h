/* SPDX-License-Identifier: MIT */
/*
 * readers.h - what the tests of the readers share.
 */
#ifndef TESTS_READERS_H
#define TESTS_READERS_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot.h"

static inline struct p2pdma_bdf bdf(uint32_t domain, uint8_t bus, uint8_t device, uint8_t function)
{
	return (struct p2pdma_bdf){ domain, bus, (uint8_t)(device << 3 | function) };
}

/* Never NULL, and the compiler knows it. */
static inline char *allocate(size_t size)
{
	char *block = malloc(size);

	if (!block)
		abort();
	return block;
}

/* The function of a finished snapshot at @address, or NULL. */
static inline struct snapshot_function *at(struct snapshot *snapshot, struct p2pdma_bdf address)
{
	for (size_t i = 0; i < snapshot->function_count; i++) {
		struct p2pdma_bdf it = snapshot->functions[i].bdf;

		if (it.domain == address.domain && it.bus == address.bus &&
		    it.devfn == address.devfn)
			return &snapshot->functions[i];
	}
	return NULL;
}

/* cmocka's assertion says only "not equal"; this names the text that lacks @part. */
#define assert_contains(text, part)                                          \
	do {                                                                 \
		if (!strstr(text, part))                                     \
			fail_msg("\"%s\" is not in \"%s\"", (part), (text)); \
	} while (0)

#endif
