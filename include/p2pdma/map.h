/* SPDX-License-Identifier: MIT */
/*
 * map.h - a client's way to memory: the gate that asks whether it can get there, and the addresses
 * it is then told.
 *
 * Concepts:
 * - The op is what the device does: P2PDMA_OP_WRITE is a device writing into memory.  Writes need
 * the write verdict, reads the read verdict (route.h); unknown is refused, unless the caller says
 * in words that it is to count as yes.  No cannot be overruled.
 * - Where a client's requests are translated, a peer's memory is mapped at the IOVA that is its bus
 *   address: the same number is right whether a switch short-cuts the TLP or the root complex
 *   translates it.  Elsewhere only if all requests go up to a trusted root complex.
 * - The IOMMU then lets through what the verdict allows of both ops, page by page of 4096 bytes.
 * - VFs and what lies below a function are seen through, as by p2pdma_distance_many(); the kernel's
 *   mapping does not (docs/kernel-map.md).
 */
#ifndef P2PDMA_MAP_H
#define P2PDMA_MAP_H

#include <p2pdma/p2pmem.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct p2pdma_sg - one entry of a list of memory: a provider's, or this process's
 * @provider: whose memory; NULL: that at @memory
 * @offset: bytes from the start of the provider's memory
 * @memory: a multiple of 4096, the caller's; it must outlive the mapping
 * @length: bytes, not 0; of @memory a multiple of 4096
 */
struct p2pdma_sg {
	struct p2pdma_provider *provider;
	uint64_t offset;
	void *memory;
	uint64_t length;
};

/**
 * p2pdma_sg_buf() - a buffer as an entry
 * @buf: a buffer
 *
 * Context: Any thread.
 * Return: the entry.
 */
struct p2pdma_sg p2pdma_sg_buf(struct p2pmem_buf buf);

/**
 * enum p2pdma_sg_flags - how p2pdma_map_sg() judges
 * @P2PDMA_SG_UNKNOWN_IS_YES: take the verdict unknown for yes: the caller knows this machine, or
 *	tries it with data that can be spared
 */
enum p2pdma_sg_flags {
	P2PDMA_SG_UNKNOWN_IS_YES = 1 << 0,
};

/**
 * struct p2pdma_dma_segment - memory as the client sees it
 * @address: what to tell the client
 * @length: bytes
 */
struct p2pdma_dma_segment {
	struct p2pdma_dma address;
	uint64_t length;
};

struct p2pdma_mapping;

/**
 * p2pdma_map_sg() - let a client reach a list of memory
 * @client: an open function
 * @sgl: array of @count entries; p2pmem of any providers and host memory may be mixed
 * @count: at least 1
 * @op: what the client does to it
 * @flags: mask of enum p2pdma_sg_flags
 * @err: filled in on failure; may be NULL
 * @ret_mapping: the mapping; p2pdma_unmap_sg() ends it.  It holds its providers, not buffers: they
 *	are to be freed after it.
 *
 * All or nothing.  Neighbours whose addresses follow each other become one segment.
 *
 * Context: Any thread; may block.
 * Return:
 * * 0           - mapped
 * * -EINVAL     - no entry, a bad length, alignment, op or flag, not in a provider's memory, or
 *	functions of two machines
 * * -EREMOTEIO  - the answer is not yes: @err says for whom and why; or the bus address is none
 *	that an IOVA can have, and the way does not lead through the root complex
 * * -ENODEV     - a provider is revoked or dead, or the client is gone
 * * -EPERM      - the client is not open, or cut off by a revocation until it is reset
 * * -EOVERFLOW  - lengths that add up to too much, or an address beyond what the client can name
 * * -EBUSY      - the client has a page of it mapped for an op that was forced, and not for @op
 * * -ENOMEM     - out of memory, or no IOVA is left
 * * -EOPNOTSUPP - this machine cannot
 */
int p2pdma_map_sg(struct p2pdma_device *client, const struct p2pdma_sg *sgl, size_t count,
                  enum p2pdma_op op, unsigned int flags, struct p2pdma_error *err,
                  struct p2pdma_mapping **ret_mapping);

/**
 * p2pdma_mapping_segments() - what to tell the client
 * @mapping: a mapping
 * @ret_count: how many
 *
 * Context: Any thread.
 * Return: the segments in the order of the list, the mapping's.
 */
const struct p2pdma_dma_segment *p2pdma_mapping_segments(const struct p2pdma_mapping *mapping,
                                                         size_t *ret_count);

/**
 * p2pdma_unmap_sg() - end a mapping
 * @mapping: a mapping, or NULL
 *
 * The client must have stopped using it, and its last writes have landed: it has read its own last
 * bytes back (docs/driver-guide.md).  Works after the client or a provider has gone too.
 *
 * Context: Any thread; may block.
 * Return: NULL.
 */
struct p2pdma_mapping *p2pdma_unmap_sg(struct p2pdma_mapping *mapping);

#ifdef __cplusplus
}
#endif

#endif
