/* SPDX-License-Identifier: MIT */
/*
 * peers.c - the functions of a machine, as all its pictures share them.
 */
#include <errno.h>
#include <stdlib.h>

#include "machine.h"
#include "peers.h"
#include "provider.h"
#include "routes.h"
#include "view.h"

#define MOST_EVENTS 65536
#define PATIENCE    16 /* failures of the machine's progress in a row */

int peers_new(struct backend *backend, struct peers **ret_peers)
{
	struct peers *peers = calloc(1, sizeof(*peers));
	int r = peers ? mutex_init(&peers->lock) : -ENOMEM;

	if (r) {
		free(peers);
		return r;
	}
	peers->backend = backend;
	peers->references = 1;
	*ret_peers = peers;
	return 0;
}

struct peers *peers_get(struct peers *peers)
{
	atomic_fetch_add(&peers->references, 1);
	return peers;
}

void peers_put(struct peers *peers)
{
	if (atomic_fetch_sub(&peers->references, 1) > 1)
		return;
	views_free(peers);
	mutex_done(&peers->lock);
	free(peers->events);
	free(peers);
}

static void forget_picture(struct peers *peers)
{
	p2pdma_routes_free(peers->routes);
	machine_free_picture(peers->picture);
	peers->routes = NULL;
	peers->picture = NULL;
}

void peers_close(struct peers *peers)
{
	struct p2pdma_provider *provider;
	struct opened *opened;

	while ((provider = provider_next(peers, NULL, NULL))) {
		provider_end(provider, 0, NULL);
		p2pdma_provider_put(provider);
	}
	views_end(peers);
	mutex_lock(&peers->lock);
	forget_picture(peers);
	while ((opened = peers->opened)) {
		peers->opened = opened->next;
		free(opened);
	}
	while ((opened = peers->off)) {
		peers->off = opened->next;
		free(opened);
	}
	peers->backend = NULL;
	mutex_unlock(&peers->lock);
	peers_put(peers);
}

struct opened *peers_find_open(struct peers *peers, struct p2pdma_bdf bdf)
{
	struct opened *opened = peers->opened;

	while (opened && !is_same_bdf(opened->bdf, bdf))
		opened = opened->next;
	return opened;
}

static struct opened **find_off(struct peers *peers, struct p2pdma_bdf bdf)
{
	struct opened **at = &peers->off;

	while (*at && !is_same_bdf((*at)->bdf, bdf))
		at = &(*at)->next;
	return at;
}

bool peers_is_cut_off(struct peers *peers, struct p2pdma_bdf bdf)
{
	const struct opened *opened = peers_find_open(peers, bdf);

	return (opened && opened->is_cut_off) || *find_off(peers, bdf);
}

void peers_forgive(struct peers *peers, struct p2pdma_bdf bdf)
{
	struct opened *opened = peers_find_open(peers, bdf), **at = find_off(peers, bdf);

	if (opened)
		opened->is_cut_off = false;
	opened = *at;
	if (opened)
		*at = opened->next;
	free(opened);
}

void peers_hold(struct peers *peers, struct hold *hold, const struct p2pdma_bdf *bdf)
{
	mutex_lock(&peers->lock);
	*hold = (struct hold){ peers->holds, bdf };
	peers->holds = hold;
	mutex_unlock(&peers->lock);
}

void peers_let_go(struct peers *peers, struct hold *hold)
{
	struct hold **at;

	mutex_lock(&peers->lock);
	for (at = &peers->holds; *at != hold; at = &(*at)->next)
		;
	*at = hold->next;
	mutex_unlock(&peers->lock);
}

bool peers_is_held(const struct peers *peers, const struct p2pdma_provider *provider)
{
	const struct hold *hold = peers->holds;

	while (hold && hold->bdf && !is_same_bdf(*hold->bdf, provider->bdf) &&
	       !is_same_bdf(*hold->bdf, provider->decoder))
		hold = hold->next;
	return hold;
}

/* ---- routes ---- */

/* A picture of its own; -EOPNOTSUPP: the machine cannot be looked at twice. */
static int look(struct peers *peers)
{
	unsigned int epoch = atomic_load_explicit(&peers->epoch, memory_order_acquire);
	struct p2pdma_machine *picture;
	struct p2pdma_routes *routes;
	int r;

	if (peers->picture && peers->picture_epoch == epoch)
		return 0;
	r = machine_picture(peers->backend, &picture);
	if (r)
		return r;
	r = p2pdma_routes_new(picture, NULL, &routes);
	if (r) {
		machine_free_picture(picture);
		return r;
	}
	forget_picture(peers);
	peers->picture = picture;
	peers->picture_epoch = epoch;
	peers->routes = routes;
	return 0;
}

int peers_routes(struct peers *peers, const struct p2pdma_device *device,
                 const struct p2pdma_routes **ret_routes)
{
	int r = look(peers);

	if (r == -EOPNOTSUPP && device)
		return machine_routes(device->machine, ret_routes);
	if (!r)
		*ret_routes = peers->routes;
	return r;
}

struct p2pdma_device *peers_now(const struct p2pdma_routes *routes, struct p2pdma_bdf bdf)
{
	return topology_find(routes->machine, bdf);
}

/* ---- events ---- */

/* What finds no room is not told. */
static void keep_event(struct peers *peers, const struct p2pdma_event *event)
{
	if (peers->event_count == peers->event_room && peers->event_room < MOST_EVENTS) {
		size_t room = peers->event_room ? 2 * peers->event_room : 64;
		struct p2pdma_event *events = malloc(room * sizeof(*events));

		if (!events)
			return;
		for (size_t i = 0; i < peers->event_count; i++)
			events[i] = peers->events[(peers->event_first + i) % peers->event_room];
		free(peers->events);
		peers->events = events;
		peers->event_first = 0;
		peers->event_room = room;
	}
	if (peers->event_count < peers->event_room)
		peers->events[(peers->event_first + peers->event_count++) % peers->event_room] =
			*event;
}

bool peers_next_event(struct peers *peers, struct p2pdma_event *ret_event)
{
	bool has;

	mutex_lock(&peers->lock);
	has = peers->event_count;
	if (has) {
		*ret_event = peers->events[peers->event_first];
		peers->event_first = (peers->event_first + 1) % peers->event_room;
		peers->event_count--;
	}
	mutex_unlock(&peers->lock);
	return has;
}

static bool is_below(const struct p2pdma_device *device, struct p2pdma_bdf bridge)
{
	for (; device; device = p2pdma_device_parent(device))
		if (is_same_bdf(device->function->bdf, bridge))
			return true;
	return false;
}

struct p2pdma_provider *peers_next_below(struct peers *peers, struct p2pdma_bdf bridge,
                                         struct p2pdma_provider *before)
{
	struct p2pdma_provider *provider = before;
	bool is_hit = false;

	while (!is_hit && (provider = provider_next(peers, NULL, provider))) {
		const struct p2pdma_routes *routes;

		mutex_lock(&peers->lock);
		/* Who cannot be looked at may be. */
		is_hit = peers_routes(peers, NULL, &routes) ||
		         is_below(peers_now(routes, provider->bdf), bridge);
		mutex_unlock(&peers->lock);
	}
	return provider;
}

/*
 * A link that goes down resets all that is below (PCIe Base 6.6.1).  Of one that we switched off
 * ourselves they have heard already, and may be back since.
 */
static void link_is_down(struct peers *peers, struct p2pdma_bdf port, uint64_t time)
{
	struct p2pdma_provider *provider = NULL;
	struct hold hold;

	while ((provider = peers_next_below(peers, port, provider))) {
		if (time < provider->told_until)
			continue;
		peers_hold(peers, &hold, &provider->bdf);
		provider_suspend(provider);
		atomic_fetch_add(&provider->generation, 1);
		peers_let_go(peers, &hold);
		provider_resume(provider);
	}
}

static void function_is_gone(struct peers *peers, struct p2pdma_bdf bdf)
{
	struct p2pdma_provider *provider = NULL;

	while ((provider = provider_next(peers, &bdf, provider)))
		provider_end(provider, peers_time(peers) + P2PDMA_REVOKE_PATIENCE, NULL);
}

static void take_event(struct peers *peers, const struct p2pdma_event *event)
{
	struct opened *opened;
	bool is_gone;

	mutex_lock(&peers->lock);
	keep_event(peers, event);
	opened = peers_find_open(peers, event->bdf);
	/* Told late: who was pulled before was plugged in again, and opened. */
	is_gone = event->kind == P2PDMA_EVENT_REMOVED && (!opened || event->time >= opened->since);
	if (is_gone && opened)
		opened->is_gone = true;
	if (is_gone)
		peers_forgive(peers, event->bdf);
	mutex_unlock(&peers->lock);
	peers_stir(peers);
	if (is_gone)
		function_is_gone(peers, event->bdf);
	else if (event->kind == P2PDMA_EVENT_LINK_DOWN)
		link_is_down(peers, event->bdf, event->time);
}

int peers_pump(struct peers *peers)
{
	struct p2pdma_event event;
	int r;

	while (!(r = peers->backend->ops.event(peers->backend->private, &event)))
		take_event(peers, &event);
	return r;
}

/* ---- time ---- */

bool peers_wait(struct peers *peers, uint64_t until)
{
	int r = peers->backend->ops.progress(peers->backend->private, until);

	if (r > 0)
		peers_pump(peers);
	return r > 0;
}

void peers_sleep(struct peers *peers, uint64_t until)
{
	for (int failures = 0; failures < PATIENCE && peers_time(peers) < until;)
		failures = peers_wait(peers, until) ? 0 : failures + 1;
}
