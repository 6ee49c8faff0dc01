/* SPDX-License-Identifier: MIT */
/*
 * dmabuf.h - exports and attachments as their two sides share them: dmabuf.c, importer.c.
 *
 * Concepts:
 * - peers->lock of the provider's machine guards everything here.  It is given up around whatever
 *   may wait or run an importer's code; a thread that is inside of such leaves a visit.
 * - Who waits for visits to end passes over its own: it is further down the same stack.
 * - An attachment is in its export's list until neither a mapping nor a visit of another thread is
 *   left.
 *
 * May use include/p2pdma/, base/ and the rest of core/private/.
 */
#ifndef CORE_DMABUF_H
#define CORE_DMABUF_H

#include <p2pdma/importer.h>

#include "lock.h"
#include "peers.h"
#include "provider.h"

/* Why an export is not live. */
enum reason {
	REASON_EXPLICIT = 1 << 0, /* p2pdma_dmabuf_revoke() */
	REASON_PROVIDER = 1 << 1, /* its provider is out of reach */
	REASON_INVALID = 1 << 2,  /* p2pdma_dmabuf_invalidate(), as long as it runs */
	REASON_FINAL = 1 << 3,    /* released, or its provider is dead */
};

/* On the stack of a thread that gave the lock up. */
struct visit {
	struct visit *next;
	struct thread thread;
};

struct p2pdma_dmabuf {
	struct p2pdma_dmabuf *next; /* of provider->dmabufs, until it is freed */
	struct p2pdma_provider *provider;
	unsigned int references; /* the exporter's, each attachment's and each thread's at work */
	struct p2pdma_sg *sgl;   /* changes only while nobody has or makes a mapping */
	size_t count;
	uint64_t length;

	bool is_live;
	unsigned int reasons; /* enum reason; maybe none left while it is still being revoked */
	unsigned int revokers;
	uint64_t revocation;     /* counts them */
	struct visit *at_work;   /* threads that tell or wait for importers */
	bool is_forced;          /* something was cut since there are revokers */
	struct p2pdma_error cut; /* what */
	uint64_t landing_until;  /* machine time; writes may be on the way before */

	struct p2pdma_attachment *attachments;
	struct condition changed; /* a visit has ended */
};

struct p2pdma_attachment {
	struct p2pdma_attachment *next; /* of dmabuf->attachments */
	struct p2pdma_dmabuf *dmabuf;   /* a reference */
	unsigned int references;        /* the importer's, and one for each visit that needs it */
	struct p2pdma_device *client;
	struct p2pdma_bdf bdf;
	uint64_t serial; /* of the client's opening */
	const struct p2pdma_importer *importer;
	void *arg;

	bool is_detached;
	bool is_lost; /* a pinned importer's mapping was taken back */
	bool is_untold;
	bool is_owed; /* it is to hear of the restoration */
	unsigned int pins;
	enum p2pdma_op op;
	struct p2pdma_mapping *mapping;
	struct p2pdma_dma_segment *segments; /* of the last mapping */
	struct visit *callbacks;             /* threads in its callbacks */
	struct visit *movers;                /* threads that make or end its mapping */
};

static inline void dmabuf_lock(struct p2pdma_dmabuf *dmabuf)
{
	mutex_lock(&dmabuf->provider->peers->lock);
}

static inline void dmabuf_unlock(struct p2pdma_dmabuf *dmabuf)
{
	mutex_unlock(&dmabuf->provider->peers->lock);
}

/*
 * All of the following under the lock; where it says "waits", the lock is given up meanwhile, and
 * the caller has a reference.
 */

static inline void visit_begin(struct visit **list, struct visit *visit)
{
	visit->thread = thread_self();
	visit->next = *list;
	*list = visit;
}

static inline void visit_end(struct p2pdma_dmabuf *dmabuf, struct visit **list, struct visit *visit)
{
	while (*list != visit)
		list = &(*list)->next;
	*list = visit->next;
	condition_tell(&dmabuf->changed);
}

static inline bool visited_by_self(const struct visit *list)
{
	for (; list; list = list->next)
		if (thread_is_self(list->thread))
			return true;
	return false;
}

static inline bool visited_by_others(const struct visit *list)
{
	for (; list; list = list->next)
		if (!thread_is_self(list->thread))
			return true;
	return false;
}

/* Gives back a reference, the last one too, and the lock. */
void dmabuf_put_and_unlock(struct p2pdma_dmabuf *dmabuf);
/* Writes of a client that has just stopped may be on the way. */
void dmabuf_expect_landing(struct p2pdma_dmabuf *dmabuf);

/* importer.c.  Waits. */
void attachment_call(struct p2pdma_attachment *attachment,
                     void (*callback)(struct p2pdma_attachment *attachment, void *arg));
/* Takes its mapping by force; what was done is added to dmabuf->cut.  Waits. */
void attachment_cut(struct p2pdma_attachment *attachment);

#endif
