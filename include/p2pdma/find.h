/* SPDX-License-Identifier: MIT */
/*
 * find.h - which provider serves all of these clients?
 *
 * Clients are functions; whatever lies below one (a namespace, a network interface) is named by
 * p2pdma_machine_resolve(), which climbs as the kernel's pci_p2pdma_distance_many() does.
 */
#ifndef P2PDMA_FIND_H
#define P2PDMA_FIND_H

#include <p2pdma/provider.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct p2pdma_reach - one function's memory, as several clients see it
 * @size: set by the caller to sizeof(struct p2pdma_reach); the struct grows at its end
 * @answer: the worst of them
 * @is_direct: all requests and completions of the ops asked stay below the root complex
 * @distance: sum of the kernel's distances; -1 when one is not known
 * @worst: index of the first client with the worst answer
 * @route: that one's
 */
struct p2pdma_reach {
	size_t size;
	enum p2pdma_answer answer;
	bool is_direct;
	int distance;
	size_t worst;
	struct p2pdma_route route;
};

/**
 * p2pdma_distance_many() - how far is a function's memory from several clients?
 * @provider: a function, registered or not
 * @clients: array of @count functions of the same machine
 * @count: at least 1
 * @op: what they do to it
 * @ret_reach: filled up to ret_reach->size, which the caller sets
 *
 * Context: Any thread; may block while the machine is looked at again.
 * Return:
 * * 0       - judged; the answer may still be no
 * * -EINVAL - no client, unknown op, another machine's function, or ret_reach->size is too small
 * * -ENODEV - one of the functions is gone
 * * -ENOMEM - out of memory
 */
int p2pdma_distance_many(struct p2pdma_device *provider, struct p2pdma_device *const *clients,
                         size_t count, enum p2pdma_op op, struct p2pdma_reach *ret_reach);

/**
 * enum p2pmem_tie - which of several equally near providers is taken
 * @P2PMEM_TIE_RANDOM: any, by opts->seed (the kernel's rule, which has no seed)
 * @P2PMEM_TIE_FIRST: the one at the lowest address
 * @P2PMEM_TIE_MOST_FREE: the one with the most free memory; then the lowest
 */
enum p2pmem_tie {
	P2PMEM_TIE_RANDOM,
	P2PMEM_TIE_FIRST,
	P2PMEM_TIE_MOST_FREE,
};

/**
 * enum p2pmem_refusal_cause - why a published provider was not taken
 * @P2PMEM_REFUSED_BY_ROUTE: the answer is not yes for some client
 * @P2PMEM_REFUSED_FREE: too little memory is free
 * @P2PMEM_REFUSED_STATE: it is revoked
 * @P2PMEM_REFUSED_FARTHER: another one is nearer, or won the tie
 */
enum p2pmem_refusal_cause {
	P2PMEM_REFUSED_BY_ROUTE,
	P2PMEM_REFUSED_FREE,
	P2PMEM_REFUSED_STATE,
	P2PMEM_REFUSED_FARTHER,
};

/**
 * struct p2pmem_refusal - one provider that was not taken
 * @provider: whose memory
 * @cause: why
 * @client: by @P2PMEM_REFUSED_BY_ROUTE, index of the client with the worst answer
 * @route: that one's; p2pdma_routes_explain() has the evidence
 */
struct p2pmem_refusal {
	struct p2pdma_bdf provider;
	enum p2pmem_refusal_cause cause;
	size_t client;
	struct p2pdma_route route;
};

/**
 * struct p2pmem_find_opts - what p2pmem_find_many() looks for
 * @size: set by the caller to sizeof(struct p2pmem_find_opts); the struct grows at its end
 * @free: bytes that have to be free, those in caches not counted
 * @tie: which of equals
 * @seed: of P2PMEM_TIE_RANDOM: the same seed and machine give the same provider
 * @refused: called with each provider that was not taken, before the call returns; may be NULL.
 *	It calls nothing of this library.
 * @arg: given to @refused
 */
struct p2pmem_find_opts {
	size_t size;
	uint64_t free;
	enum p2pmem_tie tie;
	uint64_t seed;
	void (*refused)(void *arg, const struct p2pmem_refusal *refusal);
	void *arg;
};

/**
 * p2pmem_find_many() - the best published provider for all clients
 * @clients: array of @count functions of one machine
 * @count: at least 1
 * @op: what they will do to it
 * @opts: or NULL: nothing need be free, the first of equals
 * @err: filled in on failure; may be NULL
 * @ret_provider: a reference; p2pdma_provider_put() gives it back
 *
 * Those that every client reaches by the answer yes; direct ones before those through a root
 * complex, then by the sum of distances (Linux: pci_p2pmem_find_many(), which knows only the sum).
 *
 * Context: Any thread; may block while the machine is looked at again.
 * Return:
 * * 0       - found
 * * -ENODEV - none serves all of them, or a client is gone; @err says which came nearest
 * * -EINVAL - no client, unknown op or tie, several machines, or opts->size is too small
 * * -ENOMEM - out of memory
 */
int p2pmem_find_many(struct p2pdma_device *const *clients, size_t count, enum p2pdma_op op,
                     const struct p2pmem_find_opts *opts, struct p2pdma_error *err,
                     struct p2pdma_provider **ret_provider);

#ifdef __cplusplus
}
#endif

#endif
