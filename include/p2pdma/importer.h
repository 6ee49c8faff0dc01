/* SPDX-License-Identifier: MIT */
/*
 * importer.h - the other side of dmabuf.h: a client that uses memory somebody else lends.
 */
#ifndef P2PDMA_IMPORTER_H
#define P2PDMA_IMPORTER_H

#include <p2pdma/dmabuf.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct p2pdma_importer - what an importer can do, and is told
 * @size: sizeof(struct p2pdma_importer); the struct grows at its end
 * @allows_peer: its client can reach memory that is a peer's BAR (Linux: allow_peer2peer)
 * @is_pinned: a mapping that was taken back is gone for good: the attachment hears and maps nothing
 *	more.  Who had none may map once the export is live.  Else it is dynamic and maps again.
 * @invalidate: let go: stop the client, see its writes landed, unmap.  It may do so before it
 *	returns, or later on any thread.  NULL: it cannot; such an importer is refused.
 * @restored: the memory is there again, a dynamic importer may map; may be NULL.  Both may run at
 *	one time, on two threads.
 *
 * docs/driver-guide.md has one whole.
 */
struct p2pdma_importer {
	size_t size;
	bool allows_peer;
	bool is_pinned;
	void (*invalidate)(struct p2pdma_attachment *attachment, void *arg);
	void (*restored)(struct p2pdma_attachment *attachment, void *arg);
};

/**
 * p2pdma_dmabuf_attach() - bring a client
 * @dmabuf: an export
 * @client: an open function of the same machine; the picture it is of has to stay open until detach
 * @importer: what it can do; must outlive the attachment
 * @arg: given to its callbacks
 * @err: filled in on failure; may be NULL
 * @ret_attachment: the attachment; p2pdma_dmabuf_detach() ends it
 *
 * Context: Any thread; does not block.
 * Return:
 * * 0           - attached
 * * -EINVAL     - importer->size is too small, or the client is another machine's
 * * -EPERM      - the client is not open: it may be a kernel driver's, and could not be switched
 * off
 * * -EOPNOTSUPP - the importer cannot reach peers, or cannot be told to let go
 * * -ENODEV     - the export is revoked or dead, or the client gone
 * * -ENOMEM     - out of memory
 */
int p2pdma_dmabuf_attach(struct p2pdma_dmabuf *dmabuf, struct p2pdma_device *client,
                         const struct p2pdma_importer *importer, void *arg,
                         struct p2pdma_error *err, struct p2pdma_attachment **ret_attachment);

/**
 * p2pdma_dmabuf_detach() - end an attachment
 * @attachment: an attachment, or NULL
 *
 * Unmaps and unpins it.  No callback begins afterwards.
 *
 * Context: Any thread, in its own callbacks too; else waits until a callback that is running has
 * returned.
 * Return: NULL.
 */
struct p2pdma_attachment *p2pdma_dmabuf_detach(struct p2pdma_attachment *attachment);

/**
 * p2pdma_dmabuf_map() - have the client reach it
 * @attachment: an attachment without a mapping
 * @op: what the client will do
 * @flags: mask of enum p2pdma_sg_flags
 * @err: filled in on failure; may be NULL
 * @ret_count: how many segments
 * @ret_segments: what to tell the client; the attachment's, until the next map or detach
 *
 * Context: Any thread; may block.
 * Return: as p2pdma_map_sg(), and
 * * -ENODEV - revoked, dead, or a pinned importer has lost it
 * * -EBUSY  - it is mapped already
 * * -EPERM  - the client was closed since it was attached
 */
int p2pdma_dmabuf_map(struct p2pdma_attachment *attachment, enum p2pdma_op op, unsigned int flags,
                      struct p2pdma_error *err, size_t *ret_count,
                      const struct p2pdma_dma_segment **ret_segments);

/**
 * enum p2pdma_unmap_flags - what the importer knows of its client
 * @P2PDMA_UNMAP_LANDED: its last writes have landed: it has read its own last bytes back, or it
 *	only read; revoking then waits for nothing more
 */
enum p2pdma_unmap_flags {
	P2PDMA_UNMAP_LANDED = 1 << 0,
};

/**
 * p2pdma_dmabuf_unmap() - the client has stopped
 * @attachment: an attachment
 * @flags: mask of enum p2pdma_unmap_flags
 *
 * Context: Any thread, in callbacks too; may block.
 * Return: 0; -EINVAL: it is not mapped (any more), or an unknown flag.
 */
int p2pdma_dmabuf_unmap(struct p2pdma_attachment *attachment, unsigned int flags);

/**
 * enum p2pdma_pin_flags - how long a pin is to last
 * @P2PDMA_PIN_LONGTERM: for ever: refused for memory that can be revoked, as the kernel refuses
 *	FOLL_LONGTERM on P2PDMA pages
 */
enum p2pdma_pin_flags {
	P2PDMA_PIN_LONGTERM = 1 << 0,
};

/**
 * p2pdma_dmabuf_pin() - have it stay where it is
 * @attachment: an attachment
 * @flags: mask of enum p2pdma_pin_flags
 *
 * Pinned, it is not invalidated or moved; it can still be revoked.  Pins count, 65535 at most.
 *
 * Context: Any thread; does not block.
 * Return: 0; -EOPNOTSUPP: a long-term pin; -ENODEV: revoked, dead or lost; -EINVAL: unknown flag;
 * -EOVERFLOW: too many.
 */
int p2pdma_dmabuf_pin(struct p2pdma_attachment *attachment, unsigned int flags);

/**
 * p2pdma_dmabuf_unpin() - end a pin
 * @attachment: an attachment
 *
 * Context: Any thread; does not block.
 * Return: 0; -EINVAL: it is not pinned.
 */
int p2pdma_dmabuf_unpin(struct p2pdma_attachment *attachment);

#ifdef __cplusplus
}
#endif

#endif
