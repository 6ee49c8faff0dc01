/* SPDX-License-Identifier: MIT */
/*
 * p2pmem.h - buffers in a provider's memory.
 *
 * Concepts:
 * - A buffer is a value: copy it, compare it, keep it where you like.  It is nobody's pointer: the
 *   CPU reaches it by cpu.h, devices by map.h.
 * - The bookkeeping is in ordinary memory.  Contents are whatever was there before: p2pmem_set()
 *   (cpu.h) clears.
 * - Any thread may allocate and free.  A thread or queue that does so all the time holds a cache,
 * an object of its own: it takes no lock and no atomic operation as long as it has buffers.
 * - Give a buffer back only when no device can touch it any more: unmapped, its last writes landed.
 */
#ifndef P2PDMA_P2PMEM_H
#define P2PDMA_P2PMEM_H

#include <p2pdma/provider.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct p2pmem_buf - a piece of a provider's memory
 * @provider: whose; it stays allocated with the buffer, the caller need hold no reference
 * @offset: bytes from the start of the provider's memory
 * @size: bytes, as asked for
 */
struct p2pmem_buf {
	struct p2pdma_provider *provider;
	uint64_t offset;
	uint64_t size;
};

/**
 * p2pmem_alloc() - allocate contiguous memory
 * @provider: whose
 * @size: bytes, not 0; what is taken is a multiple of the granule
 * @align: of the bus address, a power of two; 0: the granule
 * @ret_buf: the buffer; p2pmem_free() gives it back
 *
 * Takes the shortest run that will do, in time that depends neither on the size of the pool nor on
 * what is in use.  Of runs that are long enough only as far as they are aligned, an @align above the
 * granule may leave some unseen where there are more than 128.
 *
 * Context: Any thread; does not block.
 * Return:
 * * 0       - allocated
 * * -ENOMEM - no free run is long enough.  Caches give back what they hold at their next use.
 * * -ENODEV - the provider is dead
 * * -EINVAL - no size, no power of two, or a naked provider
 */
int p2pmem_alloc(struct p2pdma_provider *provider, uint64_t size, uint64_t align,
                 struct p2pmem_buf *ret_buf);

/**
 * p2pmem_free() - give a buffer back
 * @buf: what p2pmem_alloc() or p2pmem_alloc_sgl() gave
 *
 * Context: Any thread; does not block.  Works on a dead provider too: one without references ends with
 * its last buffer, and then nobody is left to refuse a second free.
 * Return: 0; -EINVAL, and nothing has changed: it is no buffer of this provider, has another size,
 * or was given back already.
 */
int p2pmem_free(struct p2pmem_buf buf);

#define P2PMEM_SGL_MOST 256

/**
 * p2pmem_alloc_sgl() - allocate memory that need not be contiguous
 * @provider: whose
 * @size: bytes in all, not 0
 * @align: of the bus address of each piece, as p2pmem_alloc()
 * @most: pieces at most, the length of @ret_bufs; above %P2PMEM_SGL_MOST counts as that
 * @ret_bufs: the pieces, in the order of the data; untouched on failure
 * @ret_count: how many
 *
 * One piece if there is a run that long, else the longest runs (Linux's pci_p2pmem_alloc_sgl()
 * knows one piece only).  Every piece but the last is a multiple of the granule.
 *
 * Context: Any thread; does not block.
 * Return: as p2pmem_alloc(); -EINVAL also when @most is 0.
 */
int p2pmem_alloc_sgl(struct p2pdma_provider *provider, uint64_t size, uint64_t align, size_t most,
                     struct p2pmem_buf *ret_bufs, size_t *ret_count);

/**
 * p2pmem_free_sgl() - give pieces back
 * @bufs: array of @count buffers
 * @count: how many
 *
 * Context: Any thread; does not block.
 * Return: 0; -EINVAL: as p2pmem_free() for one of them; the others are given back.
 */
int p2pmem_free_sgl(const struct p2pmem_buf *bufs, size_t count);

/**
 * p2pmem_bus() - the bus address of a buffer
 * @buf: a buffer
 *
 * What a device may put into a TLP is what map.h gives, which need not be this.
 *
 * Context: Any thread; does not block.
 * Return: the address (Linux: pci_p2pmem_virt_to_bus()); {0} for what no provider has.
 */
struct p2pdma_bus p2pmem_bus(struct p2pmem_buf buf);

struct p2pmem_cache; /* buffers of one size, held ready for one owner */

/**
 * p2pmem_cache_new() - hold buffers of one size ready
 * @provider: whose; the cache holds a reference
 * @size: bytes of each buffer
 * @align: as p2pmem_alloc()
 * @most: how many it keeps at most, 2 to 65536; it takes and gives back half of that at once
 * @ret_cache: the cache; p2pmem_cache_free() ends it
 *
 * Context: Any thread.  Afterwards one owner at a time: whoever holds it is the only one to call
 * the functions below on it.
 * Return: 0; -EINVAL: out of range, or as p2pmem_alloc(); -ENODEV; -ENOMEM: out of memory.
 */
int p2pmem_cache_new(struct p2pdma_provider *provider, uint64_t size, uint64_t align,
                     unsigned int most, struct p2pmem_cache **ret_cache);

/**
 * p2pmem_cache_free() - end a cache; what it holds is given back
 * @cache: a cache, or NULL
 *
 * Buffers got from it stay, and are given back by p2pmem_free() or another cache.
 *
 * Context: The owner.
 * Return: NULL.
 */
struct p2pmem_cache *p2pmem_cache_free(struct p2pmem_cache *cache);

/**
 * p2pmem_cache_alloc() - a buffer of the cache's size
 * @cache: a cache
 * @ret_buf: the buffer
 *
 * Context: The owner; does not block.
 * Return: 0; -ENOMEM: neither the cache nor the pool has one; -ENODEV: the provider is dead.
 */
int p2pmem_cache_alloc(struct p2pmem_cache *cache, struct p2pmem_buf *ret_buf);

/**
 * p2pmem_cache_put() - give a buffer back by way of a cache
 * @cache: a cache
 * @buf: a buffer of the same provider, size and alignment, from any cache or none
 *
 * Context: The owner; does not block.  Two threads that give the same buffer back at one moment are
 * not told apart.
 * Return: 0; -EINVAL, and nothing has changed: as p2pmem_free(), or not this cache's size.
 */
int p2pmem_cache_put(struct p2pmem_cache *cache, struct p2pmem_buf buf);

/**
 * p2pmem_cache_flush() - give back all that a cache holds
 * @cache: a cache
 *
 * Done by itself at the next use after somebody's p2pmem_alloc() found too little.
 *
 * Context: The owner; does not block.
 */
void p2pmem_cache_flush(struct p2pmem_cache *cache);

#ifdef __cplusplus
}
#endif

#endif
