/* SPDX-License-Identifier: MIT */
/*
 * machine.h - how the rest of core and the tests see a machine.
 *
 * A machine owns its snapshot and the topology made of it.  Tests build machines straight from
 * snapshots; programs go through p2pdma_machine_open().
 */
#ifndef CORE_MACHINE_H
#define CORE_MACHINE_H

#include <p2pdma/route.h>

struct backend;
struct snapshot;

/* Takes @snapshot over on success; on failure it stays the caller's.  -ENODEV when it is empty. */
int machine_from_snapshot(struct snapshot *snapshot, const char *source,
                          struct p2pdma_machine **ret_machine);

/* One more picture, for the backend's own use: it holds no reference to it. */
int machine_picture(struct backend *backend, struct p2pdma_machine **ret_machine);
void machine_free_picture(struct p2pdma_machine *machine);

/* The routes of one picture, made when first asked for; under peers->lock. */
int machine_routes(const struct p2pdma_machine *machine, const struct p2pdma_routes **ret_routes);

#endif
