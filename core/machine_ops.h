/* SPDX-License-Identifier: MIT */
/*
 * machine_ops.h - the one seam between core and the outside world.
 *
 * A kind of machine is one row: a table of ops.  At most 20 of them, each listed in
 * ARCHITECTURE.md. Unset ops are answered from one default table with -EOPNOTSUPP, so callers never
 * test for NULL.
 *
 * May use include/p2pdma/, base/ and snapshot/.  May not use the rest of core/.
 */
#ifndef MACHINE_OPS_H
#define MACHINE_OPS_H

#include <p2pdma/machine.h>

struct snapshot;

struct machine_ops {
	const char *kind; /* what stands before the colon of a machine's description */

	/*
	 * Reads the machine described by @args (what stands after the colon).  @ret_private is the
	 * kind's own state, given back to the other ops; ret_snapshot is the caller's.
	 */
	int (*open)(const char *args, struct p2pdma_error *err, void **ret_private,
	            struct snapshot **ret_snapshot);
	void (*close)(void *private);

	/* The function behind a path below /sys or /dev.  -EOPNOTSUPP: resolve it from the
	 * snapshot. */
	int (*resolve)(void *private, const char *path, struct p2pdma_bdf *ret_bdf);
};

/* machines/registry.c: the only file that names machines.  NULL-terminated. */
extern const struct machine_ops *const machine_registry[];

#endif
