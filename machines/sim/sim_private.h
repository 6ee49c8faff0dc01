/* SPDX-License-Identifier: MIT */
/*
 * sim_private.h - what the ops of a simulated machine keep beside its fabric.
 *
 * May use fabric.h.
 */
#ifndef SIM_PRIVATE_H
#define SIM_PRIVATE_H

#include "fabric.h"

struct taken;

struct p2pdma_sim {
	struct fabric *fabric;
	struct taken *taken; /* functions that are open */
};

/*
 * A function level reset, or its link's where it is alone on that; 100 ms go by, and its registers
 * are as before.  -ENOTTY: neither can be.  -ENODEV: it did not come back.  -ENOMEM.
 */
int reset_and_restore(struct p2pdma_function *function);

#endif
