/* SPDX-License-Identifier: MIT */
/*
 * view.c - buffers shown as memory of this process.
 *
 * Views are never freed while the machine lives, only used again: a signal handler may be looking
 * at them.  Who holds none has length 0.
 */
#include <stdlib.h>

#include "view.h"
#include <p2pdma/cpu.h>

#define PAGE 4096u

struct view {
	struct view *next;                /* set before it is in the list */
	struct p2pdma_provider *provider; /* a reference; by peers->lock, as the next three */
	struct p2pmem_buf buf;
	int bar;
	uint64_t offset; /* in the BAR */
	_Atomic(char *) memory;
	atomic_size_t length; /* 0: not in use */
};

static int act(struct peers *peers, struct view *view, enum machine_view what)
{
	struct backend *backend = peers->backend;
	void *memory = view->memory;

	return backend->ops.bar_view(backend->private, view->provider->bdf, view->bar, view->offset,
	                             view->length, what, &memory);
}

static void views_act(struct peers *peers, const struct p2pdma_provider *provider,
                      enum machine_view what)
{
	mutex_lock(&peers->lock);
	for (struct view *view = peers->views; view; view = view->next)
		/* Who shows it may come after the next revocation: that one counts. */
		if (view->length && view->provider == provider &&
		    (what != VIEW_SHOW || provider->state == P2PDMA_PROVIDER_LIVE))
			act(peers, view, what);
	mutex_unlock(&peers->lock);
}

void views_revoke(struct p2pdma_provider *provider)
{
	views_act(provider->peers, provider, VIEW_BLANK);
}

void views_restore(struct p2pdma_provider *provider)
{
	views_act(provider->peers, provider, VIEW_SHOW);
}

/* A view that is not in use.  Under peers->lock. */
static struct view *unused_view(struct peers *peers)
{
	struct view *view = peers->views;

	while (view && view->length)
		view = view->next;
	if (view)
		return view;
	view = calloc(1, sizeof(*view));
	if (!view)
		return NULL;
	view->next = peers->views;
	atomic_store(&peers->views, view);
	return view;
}

/* Under peers->lock. */
static int make_view(struct p2pmem_buf buf, const struct chunk *chunk, void **ret_memory)
{
	struct peers *peers = buf.provider->peers;
	struct backend *backend = peers->backend;
	struct view *view = unused_view(peers);
	void *memory;
	int r;

	if (!view)
		return -ENOMEM;
	r = provider_check(buf.provider);
	if (r)
		return r;
	view->provider = buf.provider;
	view->buf = buf;
	view->bar = chunk->bar;
	view->offset = chunk->bar_offset + (buf.offset - chunk->start);
	r = backend->ops.bar_view(backend->private, buf.provider->bdf, view->bar, view->offset,
	                          buf.size, VIEW_NEW, &memory);
	if (r)
		return r;
	view->memory = memory;
	view->length = buf.size;
	p2pdma_provider_get(buf.provider);
	*ret_memory = memory;
	return 0;
}

int p2pmem_mmap(struct p2pmem_buf buf, void **ret_memory)
{
	const struct chunk *chunk;
	struct peers *peers;
	int r;

	if (!buf.provider || !buf.size || buf.size % PAGE || p2pmem_bus(buf).addr % PAGE)
		return -EINVAL;
	chunk = provider_chunk(buf.provider, buf.offset, buf.size);
	if (!chunk)
		return -EINVAL;
	peers = buf.provider->peers;
	r = provider_check(buf.provider);
	if (r)
		return r;
	mutex_lock(&peers->lock);
	r = peers_find_open(peers, buf.provider->bdf) ? make_view(buf, chunk, ret_memory) : -EPERM;
	mutex_unlock(&peers->lock);
	return r;
}

/* Under peers->lock.  The reference to the provider passes to the caller. */
static struct p2pdma_provider *end_view(struct peers *peers, struct view *view)
{
	act(peers, view, VIEW_END);
	view->length = 0;
	view->memory = NULL;
	return view->provider;
}

int p2pmem_munmap(struct p2pmem_buf buf, void *memory)
{
	struct p2pdma_provider *provider = NULL;
	struct peers *peers;
	struct view *view;

	if (!buf.provider)
		return -EINVAL;
	peers = buf.provider->peers;
	mutex_lock(&peers->lock);
	for (view = peers->views; view; view = view->next)
		if (view->length && view->memory == memory && view->buf.provider == buf.provider &&
		    view->buf.offset == buf.offset && view->buf.size == buf.size)
			break;
	if (view)
		provider = end_view(peers, view);
	mutex_unlock(&peers->lock);
	p2pdma_provider_put(provider);
	return provider ? 0 : -EINVAL;
}

void views_end(struct peers *peers)
{
	for (struct view *view = peers->views; view; view = view->next) {
		struct p2pdma_provider *provider = NULL;

		mutex_lock(&peers->lock);
		if (view->length)
			provider = end_view(peers, view);
		mutex_unlock(&peers->lock);
		p2pdma_provider_put(provider);
	}
}

void views_free(struct peers *peers)
{
	struct view *view;

	while ((view = peers->views)) {
		peers->views = view->next;
		free(view);
	}
}

/* No lock: this may be a signal handler.  What a view is of does not matter to VIEW_BLANK. */
bool p2pdma_sigbus(struct p2pdma_machine *machine, const void *address)
{
	struct backend *backend = machine->backend;
	struct view *view;

	for (view = atomic_load(&backend->peers->views); view; view = view->next) {
		size_t length = atomic_load(&view->length);
		void *memory = atomic_load(&view->memory);

		/* Another thread may just be using the view for something else. */
		if (!memory || atomic_load(&view->length) != length ||
		    atomic_load(&view->memory) != memory ||
		    (uintptr_t)address - (uintptr_t)memory >= length)
			continue;
		return !backend->ops.bar_view(backend->private, (struct p2pdma_bdf){ 0 }, 0, 0,
		                              length, VIEW_BLANK, &memory);
	}
	return false;
}
