/* SPDX-License-Identifier: MIT */
/*
 * The importer's side of a dma-buf: dmabuf.c says what holds between the two.
 *
 * Invariants:
 * - A mapping has one owner at a time: the attachment, or the thread that took it out to end it,
 *   which leaves a visit in movers meanwhile.  So unmap, detach and a cut never end it twice.
 * - A mapping made while the export stopped being live is undone, and nobody has heard of it.
 * - An attachment belongs to one opening of its client: what was opened later under the same
 * address is somebody else, who is neither mapped nor switched off for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dmabuf.h"
#include "mapping.h"
#include "report.h"

#define MOST_PINS 65535

/* The caller has a reference to the export. */
static void attachment_put(struct p2pdma_attachment *a)
{
	if (--a->references)
		return;
	a->dmabuf->references--;
	free(a->segments);
	free(a);
}

void attachment_call(struct p2pdma_attachment *a,
                     void (*callback)(struct p2pdma_attachment *attachment, void *arg))
{
	struct p2pdma_dmabuf *dmabuf = a->dmabuf;
	struct visit visit;

	a->references++;
	visit_begin(&a->callbacks, &visit);
	dmabuf_unlock(dmabuf);
	callback(a, a->arg);
	dmabuf_lock(dmabuf);
	visit_end(dmabuf, &a->callbacks, &visit);
	attachment_put(a);
}

void attachment_cut(struct p2pdma_attachment *a)
{
	struct p2pdma_dmabuf *dmabuf = a->dmabuf;
	struct peers *peers = dmabuf->provider->peers;
	const struct opened *opened = peers_find_open(peers, a->bdf);
	bool is_there = opened && opened->serial == a->serial && !opened->is_gone;
	struct p2pdma_mapping *mapping = a->mapping;
	struct p2pdma_error before = dmabuf->cut;
	const char *what = "its IOMMU entries were removed";
	bool is_off = false;
	struct visit visit;
	int r;

	a->mapping = NULL;
	a->references++;
	visit_begin(&a->movers, &visit);
	dmabuf_unlock(dmabuf);
	/* Off before the mapping lets go of the provider: until then TLPs may be on the way. */
	if (is_there && mapping_bypasses_iommu(mapping)) {
		is_off = true;
		r = peers_cut_off(peers, a->bdf);
		what = r == -EIO ? "its bus mastering could not be switched off: it may go on"
		       : r == -ETIMEDOUT ? "it was switched off, and still answers that "
		                           "transactions are pending"
		                         : "it was switched off until its function is reset";
	}
	p2pdma_unmap_sg(mapping);
	dmabuf_lock(dmabuf);
	/* Reads too: what was asked for is still on the way.  Who was switched off was waited for.
	 */
	if (!is_off)
		dmabuf_expect_landing(dmabuf);
	dmabuf->is_forced = true;
	report(&dmabuf->cut, 0, "%s%s" BDF_FORMAT " did not let go: %s", before.text,
	       before.text[0] ? "; " : "", BDF_ARGS(a->bdf), what);
	visit_end(dmabuf, &a->movers, &visit);
	attachment_put(a);
}

/* 0, or why this client cannot come; under the lock. */
static int check_attach(const struct p2pdma_dmabuf *dmabuf, const struct p2pdma_device *client,
                        struct p2pdma_error *err, uint64_t *ret_serial)
{
	struct peers *peers = dmabuf->provider->peers;
	struct p2pdma_bdf bdf = client->function->bdf;
	const struct opened *opened;

	if (!dmabuf->is_live)
		return report(err, -ENODEV, "the export is revoked or dead");
	if (client->machine->backend != peers->backend)
		return report(err, -EINVAL, BDF_FORMAT " is another machine's", BDF_ARGS(bdf));
	opened = peers_find_open(peers, bdf);
	if (!opened)
		return report(err, -EPERM,
		              BDF_FORMAT " is not open: who is a kernel driver's could not be "
		                         "switched off",
		              BDF_ARGS(bdf));
	if (opened->is_gone)
		return report(err, -ENODEV, BDF_FORMAT " is gone", BDF_ARGS(bdf));
	if (opened->is_cut_off)
		return report(err, -EPERM,
		              BDF_FORMAT " was switched off by a revocation: reset it first",
		              BDF_ARGS(bdf));
	*ret_serial = opened->serial;
	return 0;
}

int p2pdma_dmabuf_attach(struct p2pdma_dmabuf *dmabuf, struct p2pdma_device *client,
                         const struct p2pdma_importer *importer, void *arg,
                         struct p2pdma_error *err, struct p2pdma_attachment **ret_attachment)
{
	struct p2pdma_attachment *a;
	int r;

	if (importer->size < sizeof(*importer))
		return report(err, -EINVAL, "struct p2pdma_importer of %zu bytes: %zu at least",
		              importer->size, sizeof(*importer));
	if (!importer->invalidate)
		return report(err, -EOPNOTSUPP,
		              "an importer that cannot be told to let go (invalidate) could not be "
		              "revoked");
	if (!importer->allows_peer)
		return report(err, -EOPNOTSUPP,
		              "the memory is a peer's, which the importer does not allow");
	a = calloc(1, sizeof(*a));
	if (!a)
		return report(err, -ENOMEM, "out of memory");
	a->references = 1;
	a->client = client;
	a->bdf = client->function->bdf;
	a->importer = importer;
	a->arg = arg;
	a->dmabuf = dmabuf;

	dmabuf_lock(dmabuf);
	r = check_attach(dmabuf, client, err, &a->serial);
	if (!r) {
		dmabuf->references++;
		a->next = dmabuf->attachments;
		dmabuf->attachments = a;
		*ret_attachment = a;
	}
	dmabuf_unlock(dmabuf);
	if (r)
		free(a);
	return r;
}

/* Waits. */
static void end_mapping(struct p2pdma_attachment *a, unsigned int flags)
{
	struct p2pdma_dmabuf *dmabuf = a->dmabuf;
	struct p2pdma_mapping *mapping = a->mapping;
	struct visit visit;

	a->mapping = NULL;
	visit_begin(&a->movers, &visit);
	dmabuf_unlock(dmabuf);
	p2pdma_unmap_sg(mapping);
	dmabuf_lock(dmabuf);
	if (a->op & P2PDMA_OP_WRITE && !(flags & P2PDMA_UNMAP_LANDED))
		dmabuf_expect_landing(dmabuf);
	visit_end(dmabuf, &a->movers, &visit);
}

struct p2pdma_attachment *p2pdma_dmabuf_detach(struct p2pdma_attachment *a)
{
	struct p2pdma_attachment **link;
	struct p2pdma_dmabuf *dmabuf;

	if (!a)
		return NULL;
	dmabuf = a->dmabuf;
	dmabuf_lock(dmabuf);
	dmabuf->references++;
	a->is_detached = true;
	if (a->mapping)
		end_mapping(a, 0);
	while (visited_by_others(a->callbacks) || visited_by_others(a->movers))
		condition_wait(&dmabuf->changed, &dmabuf->provider->peers->lock);
	link = &dmabuf->attachments;
	while (*link != a)
		link = &(*link)->next;
	*link = a->next;
	attachment_put(a);
	dmabuf_put_and_unlock(dmabuf);
	return NULL;
}

static int check_usable(const struct p2pdma_attachment *a, struct p2pdma_error *err)
{
	if (a->is_lost)
		return report(err, -ENODEV,
		              "a pinned importer has lost it when it was revoked: attach anew");
	if (!a->dmabuf->is_live)
		return report(err, -ENODEV, "the export is revoked or dead");
	return 0;
}

static int check_map(const struct p2pdma_attachment *a, struct p2pdma_error *err)
{
	const struct opened *opened;
	int r = check_usable(a, err);

	if (r)
		return r;
	if (a->mapping || a->movers)
		return report(err, -EBUSY, "it is mapped already");
	opened = peers_find_open(a->dmabuf->provider->peers, a->bdf);
	if (!opened || opened->serial != a->serial)
		return report(err, -EPERM, BDF_FORMAT " was closed since it was attached",
		              BDF_ARGS(a->bdf));
	return 0;
}

/* A copy, since a cut ends the mapping while its importer may still be reading. */
static int copy_segments(const struct p2pdma_mapping *mapping, struct p2pdma_error *err,
                         size_t *ret_count, struct p2pdma_dma_segment **ret_segments)
{
	size_t count;
	const struct p2pdma_dma_segment *segments = p2pdma_mapping_segments(mapping, &count);
	struct p2pdma_dma_segment *copy = calloc(count, sizeof(*copy));

	if (!copy)
		return report(err, -ENOMEM, "out of memory");
	memcpy(copy, segments, count * sizeof(*copy));
	*ret_count = count;
	*ret_segments = copy;
	return 0;
}

int p2pdma_dmabuf_map(struct p2pdma_attachment *a, enum p2pdma_op op, unsigned int flags,
                      struct p2pdma_error *err, size_t *ret_count,
                      const struct p2pdma_dma_segment **ret_segments)
{
	struct p2pdma_dmabuf *dmabuf = a->dmabuf;
	struct p2pdma_dma_segment *segments = NULL;
	struct p2pdma_mapping *mapping = NULL;
	uint64_t revocation;
	struct visit visit;
	size_t count = 0;
	int r;

	dmabuf_lock(dmabuf);
	r = check_map(a, err);
	if (r) {
		dmabuf_unlock(dmabuf);
		return r;
	}
	revocation = dmabuf->revocation;
	visit_begin(&a->movers, &visit);
	dmabuf_unlock(dmabuf);

	r = p2pdma_map_sg(a->client, dmabuf->sgl, dmabuf->count, op, flags, err, &mapping);
	if (!r)
		r = copy_segments(mapping, err, &count, &segments);

	dmabuf_lock(dmabuf);
	if (!r && (!dmabuf->is_live || dmabuf->revocation != revocation || a->is_detached))
		r = report(err, -ENODEV, "the export was revoked meanwhile");
	if (!r) {
		free(a->segments);
		a->segments = segments;
		a->mapping = mapping;
		a->op = op;
		*ret_count = count;
		*ret_segments = segments;
	} else if (mapping) {
		dmabuf_unlock(dmabuf);
		p2pdma_unmap_sg(mapping);
		free(segments);
		dmabuf_lock(dmabuf);
	}
	visit_end(dmabuf, &a->movers, &visit);
	dmabuf_unlock(dmabuf);
	return r;
}

int p2pdma_dmabuf_unmap(struct p2pdma_attachment *a, unsigned int flags)
{
	struct p2pdma_dmabuf *dmabuf = a->dmabuf;
	int r = -EINVAL;

	if (flags & ~(unsigned int)P2PDMA_UNMAP_LANDED)
		return -EINVAL;
	dmabuf_lock(dmabuf);
	if (a->mapping) {
		end_mapping(a, flags);
		r = 0;
	}
	dmabuf_unlock(dmabuf);
	return r;
}

int p2pdma_dmabuf_pin(struct p2pdma_attachment *a, unsigned int flags)
{
	int r;

	if (flags & ~(unsigned int)P2PDMA_PIN_LONGTERM)
		return -EINVAL;
	if (flags & P2PDMA_PIN_LONGTERM)
		return -EOPNOTSUPP;
	dmabuf_lock(a->dmabuf);
	r = check_usable(a, NULL);
	if (!r && a->pins == MOST_PINS)
		r = -EOVERFLOW;
	if (!r)
		a->pins++;
	dmabuf_unlock(a->dmabuf);
	return r;
}

int p2pdma_dmabuf_unpin(struct p2pdma_attachment *a)
{
	int r = -EINVAL;

	dmabuf_lock(a->dmabuf);
	if (a->pins) {
		a->pins--;
		r = 0;
	}
	dmabuf_unlock(a->dmabuf);
	return r;
}
