/* SPDX-License-Identifier: MIT */
/*
 * reach.c - which provider serves all of these clients?
 */
#include <stdlib.h>
#include <string.h>

#include "info.h"
#include "provider.h"
#include "refusal.h"
#include "report.h"
#include "routes.h"

/* ---- one BAR, one client ---- */

/* Whether some bridge above does not pass the range down; unknown where that was not captured. */
static enum p2pdma_known is_in_windows(const struct p2pdma_routes *routes,
                                       const struct p2pdma_device *provider,
                                       const struct p2pdma_bar *range)
{
	enum p2pdma_known worst = P2PDMA_YES;
	const struct p2pdma_device *bridge = topology_at(routes->machine, provider->parent);

	for (; bridge; bridge = topology_at(routes->machine, bridge->parent)) {
		enum p2pdma_known one = hazard_in_window(bridge, range);

		if (one == P2PDMA_NO)
			return one;
		if (one == P2PDMA_UNKNOWN)
			worst = one;
	}
	return worst;
}

/* Whether somebody else answers to it too on the way from the client, or may. */
static bool is_claimed_twice(const struct p2pdma_routes *routes,
                             const struct p2pdma_device *provider, int bar,
                             const struct p2pdma_bar *range, const struct p2pdma_device *client)
{
	const struct p2pdma_device *at;

	for (at = provider; at; at = topology_at(routes->machine, at->parent))
		if (claims_find(routes, at->parent,
		                CLAIM_OWNER(at, at == provider ? bar : CLAIM_WINDOW), range))
			return true;
	for (at = topology_at(routes->machine, client->parent);
	     at && (provider->index < at->index || provider->index >= at->end);
	     at = topology_at(routes->machine, at->parent))
		if (claims_find(routes, at->index, NO_INDEX, range) ||
		    claims_find(routes, at->index | CLAIM_BACK, NO_INDEX, range))
			return true;
	return false;
}

struct p2pdma_route reach_bar(const struct p2pdma_routes *routes,
                              const struct p2pdma_device *provider, int bar,
                              const struct p2pdma_device *client)
{
	struct p2pdma_route route = p2pdma_routes_pair(routes, provider, client);
	enum p2pdma_known in_windows;
	struct p2pdma_bar range;

	/* The verdict is about the function's largest BAR; another can only be worse off. */
	if (bar == routes->facts[provider->index].bar)
		return route;
	if (p2pdma_device_bar(provider, bar, &range) || !range.bus.addr) {
		route.stops = P2PDMA_OP_BOTH;
		return route;
	}
	in_windows = is_in_windows(routes, provider, &range);
	if (in_windows == P2PDMA_NO ||
	    hazard_bits_needed(&range) > routes->address_bits[client->index])
		route.stops = P2PDMA_OP_BOTH;
	if (in_windows == P2PDMA_YES && !is_claimed_twice(routes, provider, bar, &range, client))
		return route;
	if (route.write < P2PDMA_VERDICT_UNKNOWN)
		route.write = P2PDMA_VERDICT_UNKNOWN;
	if (route.read < P2PDMA_VERDICT_UNKNOWN)
		route.read = P2PDMA_VERDICT_UNKNOWN;
	return route;
}

/* ---- several clients ---- */

static bool is_direct(struct p2pdma_route route, enum p2pdma_op op)
{
	return (!(op & P2PDMA_OP_WRITE) || route.write == P2PDMA_DIRECT) &&
	       (!(op & P2PDMA_OP_READ) || route.read == P2PDMA_DIRECT);
}

/* Adds one client's route to what is known of all. */
static void reach_add(struct p2pdma_reach *reach, size_t client, struct p2pdma_route route,
                      enum p2pdma_op op)
{
	enum p2pdma_answer answer = p2pdma_route_answer(route, op);

	if (!client || answer > reach->answer) {
		reach->answer = answer;
		reach->worst = client;
		reach->route = route;
	}
	reach->is_direct = reach->is_direct && is_direct(route, op);
}

/* Every BAR of @bars has to be reached by each client. */
static int reach_of(const struct p2pdma_routes *routes, struct p2pdma_bdf provider, const int *bars,
                    size_t bar_count, struct p2pdma_device *const *clients, size_t count,
                    enum p2pdma_op op, struct p2pdma_reach *ret_reach)
{
	const struct p2pdma_device *device = peers_now(routes, provider);
	struct p2pdma_reach reach = { .size = sizeof(reach), .is_direct = true };

	if (!device)
		return -ENODEV;
	for (size_t i = 0; i < count; i++) {
		const struct p2pdma_device *client = peers_now(routes, clients[i]->function->bdf);
		struct p2pdma_route route = { .distance = -1 };

		if (!client)
			return -ENODEV;
		for (size_t j = 0; j < bar_count; j++) {
			route = reach_bar(routes, device, bars[j], client);
			reach_add(&reach, i, route, op);
		}
		reach.distance = reach.distance < 0 || route.distance < 0
		                         ? -1
		                         : reach.distance + route.distance;
	}
	*ret_reach = reach;
	return 0;
}

static bool is_op(enum p2pdma_op op)
{
	return op && !(op & ~(unsigned int)P2PDMA_OP_BOTH);
}

static bool is_one_machine(const struct backend *backend, struct p2pdma_device *const *clients,
                           size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (clients[i]->machine->backend != backend)
			return false;
	return count;
}

int p2pdma_distance_many(struct p2pdma_device *provider, struct p2pdma_device *const *clients,
                         size_t count, enum p2pdma_op op, struct p2pdma_reach *ret_reach)
{
	struct backend *backend = provider->machine->backend;
	struct p2pdma_reach reach;
	const struct p2pdma_routes *routes;
	int r;

	if (!is_op(op) || !is_one_machine(backend, clients, count))
		return -EINVAL;
	mutex_lock(&backend->peers->lock);
	r = peers_routes(backend->peers, provider, &routes);
	if (!r) {
		const struct p2pdma_device *now = peers_now(routes, provider->function->bdf);
		int bar = now ? routes->facts[now->index].bar : 0;

		r = reach_of(routes, provider->function->bdf, &bar, 1, clients, count, op, &reach);
	}
	mutex_unlock(&backend->peers->lock);
	return r ? r : copy_info(ret_reach, &reach, sizeof(reach));
}

/* ---- find ---- */

struct candidate {
	struct p2pdma_provider *provider; /* a reference */
	struct p2pdma_reach reach;
	uint64_t free;
	int refused; /* enum p2pmem_refusal_cause; -1: not */
};

struct search {
	struct p2pdma_device *const *clients;
	size_t count;
	enum p2pdma_op op;
	struct p2pmem_find_opts opts;
	size_t found, room;
	struct candidate *candidates;
};

static int judge(const struct p2pdma_routes *routes, const struct search *search,
                 struct candidate *candidate)
{
	struct p2pdma_provider_info info = { .size = sizeof(info) };
	int bars[MOST_CHUNKS], r;

	p2pdma_provider_get_info(candidate->provider, &info);
	for (unsigned int i = 0; i < info.chunks; i++)
		bars[i] = candidate->provider->chunks[i].bar;
	r = reach_of(routes, info.bdf, bars, info.chunks, search->clients, search->count,
	             search->op, &candidate->reach);
	if (r)
		return r;
	candidate->free = info.free;
	candidate->refused = info.state != P2PDMA_PROVIDER_LIVE ? P2PMEM_REFUSED_STATE
	                     : candidate->reach.answer != P2PDMA_ANSWER_YES
	                             ? P2PMEM_REFUSED_BY_ROUTE
	                     : info.free < search->opts.free ? P2PMEM_REFUSED_FREE
	                                                     : -1;
	return 0;
}

static int add_candidate(const struct p2pdma_routes *routes, struct search *search,
                         struct p2pdma_provider *provider)
{
	struct candidate *candidate;

	if (search->found == search->room) {
		size_t room = search->room ? 2 * search->room : 16;

		candidate = realloc(search->candidates, room * sizeof(*candidate));
		if (!candidate)
			return -ENOMEM;
		search->candidates = candidate;
		search->room = room;
	}
	candidate = &search->candidates[search->found];
	*candidate = (struct candidate){ .provider = provider };
	if (judge(routes, search, candidate))
		return 0; /* pulled, and nobody has noticed yet */
	p2pdma_provider_get(provider);
	search->found++;
	return 0;
}

/* Direct ones first, then the nearest; a distance that is not known is the longest. */
static int compare_reach(const struct candidate *a, const struct candidate *b)
{
	if (a->reach.is_direct != b->reach.is_direct)
		return a->reach.is_direct ? -1 : 1;
	if (a->reach.distance != b->reach.distance)
		return (unsigned int)a->reach.distance < (unsigned int)b->reach.distance ? -1 : 1;
	return 0;
}

static int compare_candidates(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;
	int order = (b->refused < 0) - (a->refused < 0);

	if (!order)
		order = compare_reach(a, b);
	return order ? order : snapshot_compare(a->provider->bdf, b->provider->bdf);
}

/* SplitMix64: every seed, 0 too, gives a number of its own. */
static uint64_t mix(uint64_t seed)
{
	seed += 0x9e3779b97f4a7c15ull;
	seed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9ull;
	seed = (seed ^ seed >> 27) * 0x94d049bb133111ebull;
	return seed ^ seed >> 31;
}

/* Index of the one to take; the best come first. */
static size_t choose(const struct search *search)
{
	const struct candidate *all = search->candidates;
	size_t ties = 1, best = 0;

	while (ties < search->found && all[ties].refused < 0 && !compare_reach(&all[0], &all[ties]))
		ties++;
	if (search->opts.tie == P2PMEM_TIE_RANDOM)
		return (size_t)(mix(search->opts.seed) % ties);
	for (size_t i = 1; search->opts.tie == P2PMEM_TIE_MOST_FREE && i < ties; i++)
		if (all[i].free > all[best].free)
			best = i;
	return best;
}

static void tell_refused(const struct search *search, size_t taken)
{
	for (size_t i = 0; search->opts.refused && i < search->found; i++) {
		const struct candidate *candidate = &search->candidates[i];
		const struct p2pmem_refusal refusal = {
			.provider = candidate->provider->bdf,
			.cause = candidate->refused < 0
			                 ? P2PMEM_REFUSED_FARTHER
			                 : (enum p2pmem_refusal_cause)candidate->refused,
			.client = candidate->reach.worst,
			.route = candidate->reach.route,
		};

		if (i != taken)
			search->opts.refused(search->opts.arg, &refusal);
	}
}

/* In words, why the best one is no good. */
static int nobody(const struct search *search, struct p2pdma_error *err)
{
	const struct candidate *best = search->candidates;
	struct p2pdma_bdf provider, client;
	char why[REFUSAL_TEXT] = "";
	const struct p2pdma_routes *routes;
	struct peers *peers;

	if (!search->found)
		return report(err, -ENODEV, "no provider is published; see p2pmem_publish()");
	provider = best->provider->bdf;
	if (best->refused != P2PMEM_REFUSED_BY_ROUTE)
		return report(err, -ENODEV, "none of %zu published providers: " BDF_FORMAT " %s",
		              search->found, BDF_ARGS(provider),
		              best->refused == P2PMEM_REFUSED_FREE ? "has too little memory free"
		                                                   : "is revoked");
	client = search->clients[best->reach.worst]->function->bdf;
	peers = best->provider->peers;
	mutex_lock(&peers->lock);
	if (!peers_routes(peers, search->clients[0], &routes)) {
		const struct p2pdma_device *to = peers_now(routes, provider);
		const struct p2pdma_device *from = peers_now(routes, client);

		if (to && from)
			refusal_text(routes, to, from, search->op, why);
	}
	mutex_unlock(&peers->lock);
	return report(err, -ENODEV,
	              "none of %zu published providers: " BDF_FORMAT " is %s for " BDF_FORMAT
	              " (%s)",
	              search->found, BDF_ARGS(provider),
	              best->reach.answer == P2PDMA_ANSWER_NO ? "out of reach"
	                                                     : "not known to be within reach",
	              BDF_ARGS(client), why[0] ? why : "see p2pdma_routes_explain()");
}

static int collect(struct peers *peers, struct search *search)
{
	const struct p2pdma_routes *routes;
	struct p2pdma_provider *provider;
	int r;

	mutex_lock(&peers->lock);
	r = peers_routes(peers, search->clients[0], &routes);
	for (size_t i = 0; !r && i < search->count; i++)
		if (!peers_now(routes, search->clients[i]->function->bdf))
			r = -ENODEV;
	for (provider = peers->providers; !r && provider; provider = provider->next)
		if (provider->is_published && provider->state != P2PDMA_PROVIDER_DEAD)
			r = add_candidate(routes, search, provider);
	mutex_unlock(&peers->lock);
	return r;
}

int p2pmem_find_many(struct p2pdma_device *const *clients, size_t count, enum p2pdma_op op,
                     const struct p2pmem_find_opts *opts, struct p2pdma_error *err,
                     struct p2pdma_provider **ret_provider)
{
	struct search search = { clients, count, op, { .tie = P2PMEM_TIE_FIRST }, 0, 0, NULL };
	struct p2pdma_provider *taken = NULL;
	size_t i;
	int r;

	if (!count || !is_op(op))
		return report(err, -EINVAL, "find: %s", count ? "no such op" : "no client");
	if (!is_one_machine(clients[0]->machine->backend, clients, count))
		return report(err, -EINVAL, "find: clients of two machines");
	if (opts && (opts->size < sizeof(*opts) || (unsigned int)opts->tie > P2PMEM_TIE_MOST_FREE))
		return report(err, -EINVAL, "find: opts->size is too small, or no such tie");
	if (opts)
		search.opts = *opts;
	r = collect(clients[0]->machine->backend->peers, &search);
	if (r)
		report(err, r, "find: %s", r == -ENODEV ? "a client is gone" : strerror(-r));
	if (!r && search.found) {
		qsort(search.candidates, search.found, sizeof(*search.candidates),
		      compare_candidates);
		i = search.candidates[0].refused < 0 ? choose(&search) : search.found;
		if (i < search.found)
			taken = search.candidates[i].provider;
		tell_refused(&search, i);
	}
	if (!r && !taken)
		r = nobody(&search, err);
	for (i = 0; i < search.found; i++)
		if (search.candidates[i].provider != taken)
			p2pdma_provider_put(search.candidates[i].provider);
	free(search.candidates);
	if (!r)
		*ret_provider = taken;
	return r;
}
