/* SPDX-License-Identifier: MIT */
/*
 * dmabuf.h - memory lent to others, and taken back: the contract of Linux's dma-buf.
 *
 * Concepts:
 * - An exporter lends ranges of a provider's memory.  An importer attaches a client, maps, lets the
 *   client work, unmaps.  The exporter may take all mappings back at any time: revoke.
 * - States: live -> revoking -> revoked -> (restored) live; dead for good.
 * - An importer is dynamic (maps again once restored) or pinned (what it loses it has lost for
 * good). One that cannot be told to let go is refused.
 * - Callbacks run without any lock held, on the thread that revokes or restores: that may be one
 * that calls p2pdma_dmabuf_*(), p2pdma_provider_remove(), p2pdma_device_reset(), _close(),
 *   _config_write(), p2pdma_machine_progress() or _event().  They may call everything but what
 *   revokes, restores or releases; so unmap, map (-ENODEV while revoking), detach, let the machine
 *   progress, wait for their device.
 * - Triggers: p2pdma_device_reset(); an FLR, memory decode off, D3hot, a BAR that is moved, a bus reset
 *   or link disable above, by registers written through this library; and a link that goes down revoke,
 *   and restore when the memory is back; removal,
 *   surprise removal and p2pdma_device_close() revoke for good (Linux: vfio_pci_dma_buf_move() and
 *   _cleanup()).  A bridge above that is switched off or moved refuses new maps; exports stay as they
 *   are.
 */
#ifndef P2PDMA_DMABUF_H
#define P2PDMA_DMABUF_H

#include <p2pdma/map.h>

#ifdef __cplusplus
extern "C" {
#endif

struct p2pdma_dmabuf;
struct p2pdma_attachment;

/* Machine time, in ns, for importers to let go where no call names a deadline: the triggers. */
#define P2PDMA_REVOKE_PATIENCE 1000000000ull
/*
 * Machine time, in ns, after which posted writes of a client that has stopped are taken to have
 * landed: as long as software waits after an FLR (PCIe Base 6.6.2).
 */
#define P2PDMA_DRAIN_TIME 100000000ull

/**
 * struct p2pdma_range - part of a provider's memory
 * @offset: bytes from the start of the provider's memory, a multiple of 4096
 * @length: bytes, a multiple of 4096, not 0
 */
struct p2pdma_range {
	uint64_t offset;
	uint64_t length;
};

/**
 * enum p2pdma_promise - what revoking an export promises
 * @P2PDMA_PROMISE_OWN: importers are this process's: when p2pdma_dmabuf_revoke() returns 0 none
 *	holds a mapping and none of its TLPs is on the way
 * @P2PDMA_PROMISE_DEVICE: importers elsewhere let go before the device is reset, without a deadline
 *	(Linux 7.1 and later)
 * @P2PDMA_PROMISE_NOT_DRAINED: they are told, and not waited for (Linux 6.19 and 7.0)
 * @P2PDMA_PROMISE_NONE: nobody can take it back
 */
enum p2pdma_promise {
	P2PDMA_PROMISE_OWN,
	P2PDMA_PROMISE_DEVICE,
	P2PDMA_PROMISE_NOT_DRAINED,
	P2PDMA_PROMISE_NONE,
};

/**
 * p2pdma_dmabuf_export() - lend ranges of a provider's memory
 * @provider: whose; a naked one too
 * @ranges: array of @count; they may overlap, and are mapped in this order
 * @count: at least 1
 * @err: filled in on failure; may be NULL
 * @ret_promise: what revoking it will promise; may be NULL.  This library exports to importers of
 *	this process only: P2PDMA_PROMISE_OWN.
 * @ret_dmabuf: the export, a reference; p2pdma_dmabuf_release() ends it
 *
 * Buffers in the ranges stay the caller's, and allocated until after the release.  Exported while
 * the provider is revoked, it begins revoked.
 *
 * Context: Any thread; does not block.
 * Return:
 * * 0       - exported
 * * -EINVAL - no range, no length, no multiple of 4096, not in one chunk, or too long in all
 * * -ENODEV - the provider is dead
 * * -ENOMEM - out of memory
 */
int p2pdma_dmabuf_export(struct p2pdma_provider *provider, const struct p2pdma_range *ranges,
                         size_t count, struct p2pdma_error *err, enum p2pdma_promise *ret_promise,
                         struct p2pdma_dmabuf **ret_dmabuf);

/**
 * p2pdma_dmabuf_release() - end an export
 * @dmabuf: an export, or NULL
 * @deadline: machine time until which importers may take to let go
 * @err: on -ETIMEDOUT who did not; may be NULL
 *
 * Revokes it for good.  Attachments stay valid, for p2pdma_dmabuf_detach() alone.
 *
 * Context: As p2pdma_dmabuf_revoke().
 * Return: 0, or -ETIMEDOUT as p2pdma_dmabuf_revoke(); ended in any case.
 */
int p2pdma_dmabuf_release(struct p2pdma_dmabuf *dmabuf, uint64_t deadline,
                          struct p2pdma_error *err);

/**
 * enum p2pdma_dmabuf_state - how far an export's life is
 * @P2PDMA_DMABUF_LIVE: it can be mapped
 * @P2PDMA_DMABUF_REVOKING: importers are letting go
 * @P2PDMA_DMABUF_REVOKED: nobody has it mapped
 * @P2PDMA_DMABUF_DEAD: and nobody will
 */
enum p2pdma_dmabuf_state {
	P2PDMA_DMABUF_LIVE,
	P2PDMA_DMABUF_REVOKING,
	P2PDMA_DMABUF_REVOKED,
	P2PDMA_DMABUF_DEAD,
};

/**
 * p2pdma_dmabuf_state() - how far its life is
 * @dmabuf: an export
 *
 * Context: Any thread.
 * Return: the state, which may be another one by then.
 */
enum p2pdma_dmabuf_state p2pdma_dmabuf_state(struct p2pdma_dmabuf *dmabuf);

/**
 * p2pdma_dmabuf_revoke() - take all mappings back
 * @dmabuf: an export
 * @deadline: machine time until which importers may take to let go
 * @err: on -ETIMEDOUT who did not, and what was done; may be NULL
 *
 * New maps fail at once.  Each importer is told once, then all are waited for, and then
 * %P2PDMA_DRAIN_TIME for those that did not say that their writes have landed.  What an importer
 * still has by @deadline is cut: its IOMMU entries, and where its requests go past the IOMMU
 * (directly to the peer, untranslated, or by ATS), or another of its mappings keeps the entries, its
 * bus mastering; then its pending transactions and the drain time are waited for, and it stays off
 * until its function is reset.
 *
 * Two may revoke at one time: both wait, and either one cuts at its own deadline.
 * The drain time is waited for past @deadline too.  A simulated machine's time runs as fast as nothing
 * happens: whatever the deadline, it comes at once when nothing is left to happen there.
 *
 * Context: Any thread; blocks.  Not from a callback.
 * Return:
 * * 0          - nobody has it mapped, and nothing is on the way
 * * -ETIMEDOUT - the same, but by force; or (@err says so) a client still answers that transactions
 *	are pending, or its bus mastering could not be switched off
 * * -ENODEV    - it is dead
 */
int p2pdma_dmabuf_revoke(struct p2pdma_dmabuf *dmabuf, uint64_t deadline, struct p2pdma_error *err);

/**
 * p2pdma_dmabuf_restore() - lend it again
 * @dmabuf: a revoked export
 * @ranges: where it is now, as for p2pdma_dmabuf_export(); NULL: where it was
 * @count: how many
 * @err: filled in on failure; may be NULL
 *
 * Dynamic importers are told once, and map again.  While the provider is revoked this revocation
 * alone ends (and @ranges are taken): it is live once the provider is back.
 *
 * Context: Any thread; callbacks run.  Not from a callback.
 * Return:
 * * 0       - live; or it is so already and @ranges is NULL
 * * -EINVAL - bad ranges, or another length than before
 * * -EBUSY  - it is live or pinned and @ranges is not NULL, or somebody is still revoking it
 * * -ENODEV - it is dead; or its provider is still revoked
 * * -ENOMEM - out of memory
 */
int p2pdma_dmabuf_restore(struct p2pdma_dmabuf *dmabuf, const struct p2pdma_range *ranges,
                          size_t count, struct p2pdma_error *err);

/**
 * p2pdma_dmabuf_invalidate() - have all importers map anew
 * @dmabuf: a live export
 * @deadline: as p2pdma_dmabuf_revoke()
 * @err: as p2pdma_dmabuf_revoke()
 *
 * Revokes and restores (Linux: dma_buf_invalidate_mappings()).  For after the routes were changed.
 *
 * Context: As p2pdma_dmabuf_revoke().
 * Return: as p2pdma_dmabuf_revoke(); -EBUSY: it is pinned, or not live.
 */
int p2pdma_dmabuf_invalidate(struct p2pdma_dmabuf *dmabuf, uint64_t deadline,
                             struct p2pdma_error *err);

#ifdef __cplusplus
}
#endif

#endif
