/* SPDX-License-Identifier: MIT */
/* fabric.h - random machines: plausible trees with everything that can be odd about them. */
#ifndef FABRIC_H
#define FABRIC_H

#include "snapshot.h"

struct random {
	uint64_t state;
};

/* A number below @limit, which is not 0. */
uint32_t random_below(struct random *random, uint32_t limit);

/* The machine of a seed: the same one every time.  Release with snapshot_free(). */
struct snapshot *random_fabric(uint64_t seed);

#endif
