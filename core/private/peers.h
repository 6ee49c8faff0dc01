/* SPDX-License-Identifier: MIT */
/*
 * peers.h - what all pictures of a machine share about its functions: who is open, who is a
 * provider, and the routes between them as they are now.
 *
 * Concepts:
 * - Functions go by address here: a device belongs to one picture, and pictures come and go.
 * - Routes are judged on a picture of the peers' own, taken anew when something has changed
 * (epoch). A machine that cannot be looked at twice is judged by the picture the caller came with.
 * - lock is taken before any provider's.  It is never held while the machine goes on or a callback
 *   runs; while something is mapped or looked at it is.
 *
 * May use include/p2pdma/, base/ and topology.h.
 */
#ifndef PEERS_H
#define PEERS_H

#include <p2pdma/route.h>

#include "lock.h"
#include "topology.h"

struct p2pdma_provider;
struct view;

/* A function that is open. */
struct opened {
	struct opened *next;
	struct p2pdma_bdf bdf;
	uint64_t serial; /* of this opening: mappings of an earlier one ended with it */
	uint64_t since;  /* machine time: what happened before is not its business */
	bool is_gone;    /* unplugged since */
	bool is_cut_off; /* its bus mastering was taken from it; until a function reset */
};

/* Something is being done to a function; on the stack of who does it. */
struct hold {
	struct hold *next;
	const struct p2pdma_bdf *bdf; /* NULL: to any */
};

struct peers {
	struct backend *backend; /* NULL once the machine is closed */
	atomic_uint references;  /* the backend's, and each provider's */
	atomic_uint epoch;       /* what was judged before it changed is void */

	struct mutex lock;
	uint64_t serial; /* of the last opening */
	struct opened *opened;
	struct opened *off; /* cut off when they were closed, and not reset since */
	struct hold *holds;
	struct p2pdma_provider *providers; /* dead ones too, until they are freed */
	_Atomic(struct view *) views;      /* view.c */
	struct p2pdma_machine *picture; /* of picture_epoch; it holds no reference to the backend */
	unsigned int picture_epoch;
	struct p2pdma_routes *routes; /* of the picture */
	size_t event_first, event_count, event_room;
	struct p2pdma_event *events; /* a ring: not yet told */
};

int peers_new(struct backend *backend, struct peers **ret_peers);
/* The machine is being closed: every provider is dead from now on. */
void peers_close(struct peers *peers);
struct peers *peers_get(struct peers *peers);
void peers_put(struct peers *peers);

/* Under the lock.  NULL: it is not open. */
struct opened *peers_find_open(struct peers *peers, struct p2pdma_bdf bdf);
/* Whether its bus mastering was taken from it, open or not. */
bool peers_is_cut_off(struct peers *peers, struct p2pdma_bdf bdf);
/* It was reset, or unplugged: what it had under way is gone. */
void peers_forgive(struct peers *peers, struct p2pdma_bdf bdf);

/*
 * From peers_hold() to peers_let_go() no provider that @bdf is, or enables, comes back: who lets go
 * has to call provider_resume().  Without any lock.
 */
void peers_hold(struct peers *peers, struct hold *hold, const struct p2pdma_bdf *bdf);
void peers_let_go(struct peers *peers, struct hold *hold);
/* Under the lock. */
bool peers_is_held(const struct peers *peers, const struct p2pdma_provider *provider);

/* Something was written, reset, plugged, opened. */
static inline void peers_stir(struct peers *peers)
{
	atomic_fetch_add_explicit(&peers->epoch, 1, memory_order_release);
}

/*
 * Under the lock.  The routes as they are now; peers_now() has the functions of their picture.
 * @device is of any picture.  -ENOMEM, or what looking at the machine says.
 */
int peers_routes(struct peers *peers, const struct p2pdma_device *device,
                 const struct p2pdma_routes **ret_routes);
/* NULL: it is not there any more. */
struct p2pdma_device *peers_now(const struct p2pdma_routes *routes, struct p2pdma_bdf bdf);

/* As provider_next(), of those below a bridge. */
struct p2pdma_provider *peers_next_below(struct peers *peers, struct p2pdma_bdf bridge,
                                         struct p2pdma_provider *before);

/*
 * Hands on what the machine has to tell: providers that were pulled end.  Without any lock. Returns
 * what the machine said last: -EAGAIN: it has told all.
 */
int peers_pump(struct peers *peers);
/* The oldest event that was handed on and not told; false: none. */
bool peers_next_event(struct peers *peers, struct p2pdma_event *ret_event);

static inline uint64_t peers_time(const struct peers *peers)
{
	return peers->backend->ops.now(peers->backend->private);
}
/* Lets the machine go on until @until; true: until something has changed, look again.  No lock. */
bool peers_wait(struct peers *peers, uint64_t until);
/* Until then, whatever changes. */
void peers_sleep(struct peers *peers, uint64_t until);

/*
 * lifecycle.c: takes a client's bus mastering and waits until nothing of it is on the way any more:
 * until TransactionsPending is 0, P2PDMA_REVOKE_PATIENCE at most, then P2PDMA_DRAIN_TIME.  It stays
 * off until the function is reset.  -ETIMEDOUT: transactions are still pending.  -EIO: it could not be switched
 * off.  Without any lock.
 */
int peers_cut_off(struct peers *peers, struct p2pdma_bdf client);

/* access.c: p2pdma_bar_map() by address. */
int bar_map(struct backend *backend, struct p2pdma_bdf bdf, int bar, struct p2pdma_error *err,
            struct p2pdma_bar_map **ret_map);

/* lifecycle.c: whether it answers to its BARs now.  @decoder: a VF's PF, else itself. */
bool memory_is_enabled(struct backend *backend, struct p2pdma_bdf bdf, struct p2pdma_bdf decoder);

static inline bool is_same_bdf(struct p2pdma_bdf a, struct p2pdma_bdf b)
{
	return a.domain == b.domain && a.bus == b.bus && a.devfn == b.devfn;
}

#endif
