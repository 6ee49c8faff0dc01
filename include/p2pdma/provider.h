/* SPDX-License-Identifier: MIT */
/*
 * provider.h - functions whose BAR memory others may reach, and which of them serves whom.
 *
 * Concepts:
 * - A provider is an open function with some of its BAR memory registered: its chunks.  Its memory
 * is one line of offsets, the chunks one behind the other as they were added; nothing spans two.
 * - Published, it is found by p2pmem_find_many().  Naked, it has no pool: its memory (doorbells) is
 *   only exported (dmabuf.h).
 * - Routes are judged on the machine as it is: what was judged is kept until a register is written,
 *   a function reset or unplugged through this library, or p2pdma_machine_rescan().  ACS changed by
 *   others (setpci, firmware) is not seen before that.
 */
#ifndef P2PDMA_PROVIDER_H
#define P2PDMA_PROVIDER_H

#include <p2pdma/route.h>

#ifdef __cplusplus
extern "C" {
#endif

struct p2pdma_provider;

/**
 * struct p2pdma_resource_opts - how BAR memory is registered
 * @size: set by the caller to sizeof(struct p2pdma_resource_opts); the struct grows at its end
 * @granule: bytes, the unit of allocation: a power of two from 64 to 2 MiB; 0: 4096.  That of the
 *	first chunk holds for all.
 * @is_naked: no pool, for exporters only; as the first chunk, so all
 */
struct p2pdma_resource_opts {
	size_t size;
	uint64_t granule;
	bool is_naked;
};

/**
 * p2pdma_add_resource() - register BAR memory of a function
 * @device: an open function
 * @bar: 0 to 5
 * @size: bytes, a multiple of the granule; 0: to the end of the BAR
 * @offset: of the first byte in the BAR, a multiple of the granule
 * @opts: or NULL for defaults
 * @err: filled in on failure; may be NULL
 * @ret_provider: the function's provider, the same each time; a reference, which
 *	p2pdma_provider_put() gives back
 *
 * Up to 8 chunks a function.  Nobody finds it before p2pmem_publish().  As Linux's
 * pci_p2pdma_add_resource(); what differs is in docs/kernel-map.md.
 *
 * Context: Any thread; may block.
 * Return:
 * * 0           - registered
 * * -EINVAL     - no such BAR, I/O, without a size or address, out of its range or not a multiple;
 *	overlaps a chunk or shares a page of 4096 bytes with one; the MSI-X table or pending bits
 *	are in it; opts->size is too small; granule or kind differ from the
 *	first's
 * * -EPERM      - the function is not open
 * * -ENODEV     - the function is gone
 * * -ENOSPC     - it has 8 chunks already
 * * -EBUSY      - its memory is being removed
 * * -ENOMEM     - out of memory
 * * -EOPNOTSUPP - this machine is a picture only
 */
int p2pdma_add_resource(struct p2pdma_device *device, int bar, uint64_t size, uint64_t offset,
                        const struct p2pdma_resource_opts *opts, struct p2pdma_error *err,
                        struct p2pdma_provider **ret_provider);

/**
 * p2pdma_provider_get() - one more reference
 * @provider: a provider
 *
 * Context: Any thread; does not block.
 * Return: @provider.
 */
struct p2pdma_provider *p2pdma_provider_get(struct p2pdma_provider *provider);

/**
 * p2pdma_provider_put() - give a reference back
 * @provider: a provider, or NULL
 *
 * It ends nothing: the memory stays registered until p2pdma_provider_remove() or
 * p2pdma_device_close().
 *
 * Context: Any thread; does not block.
 * Return: NULL.
 */
struct p2pdma_provider *p2pdma_provider_put(struct p2pdma_provider *provider);

/**
 * enum p2pdma_provider_state - how far a provider's life is
 * @P2PDMA_PROVIDER_LIVE: in use
 * @P2PDMA_PROVIDER_REVOKED: out of reach until it is back: decode off, a reset, D3hot, a BAR that is
 *	not where it was when it was registered
 * @P2PDMA_PROVIDER_DEAD: removed, closed or unplugged, for good
 */
enum p2pdma_provider_state {
	P2PDMA_PROVIDER_LIVE,
	P2PDMA_PROVIDER_REVOKED,
	P2PDMA_PROVIDER_DEAD,
};

/**
 * struct p2pdma_provider_info - a provider in numbers
 * @size: set by the caller to sizeof(struct p2pdma_provider_info); the struct grows at its end
 * @bdf: the function it is
 * @state: how far its life is
 * @is_published: p2pmem_find_many() sees it
 * @is_naked: it has no pool
 * @granule: bytes
 * @chunks: how many
 * @total: bytes of all chunks
 * @free: bytes in no buffer and no cache
 * @largest: bytes of the longest free run
 * @cached: bytes that caches hold
 * @buffers: allocated, those in caches too
 * @mappings: entries of lists that are mapped (map.h)
 * @generation: resets since it was registered; when it has changed, contents are undefined
 */
struct p2pdma_provider_info {
	size_t size;
	struct p2pdma_bdf bdf;
	enum p2pdma_provider_state state;
	bool is_published;
	bool is_naked;
	uint64_t granule;
	unsigned int chunks;
	uint64_t total;
	uint64_t free;
	uint64_t largest;
	uint64_t cached;
	uint64_t buffers;
	uint64_t mappings;
	unsigned int generation;
};

/**
 * p2pdma_provider_get_info() - a provider in numbers
 * @provider: a provider
 * @ret_info: filled up to ret_info->size, which the caller sets
 *
 * Context: Any thread; does not block.  Others may change them meanwhile.
 * Return: 0, or -EINVAL when ret_info->size is smaller than the first published struct.
 */
int p2pdma_provider_get_info(struct p2pdma_provider *provider,
                             struct p2pdma_provider_info *ret_info);

/**
 * p2pmem_publish() - let p2pmem_find_many() find it, or not
 * @provider: a provider with a pool
 * @is_published: whether
 *
 * What was found before stays usable.
 *
 * Context: Any thread; does not block.
 * Return: 0; -EINVAL: it is naked; -ENODEV: it is dead.
 */
int p2pmem_publish(struct p2pdma_provider *provider, bool is_published);

/**
 * p2pdma_provider_remove() - end a provider: make it dead, drain it, free its memory
 * @provider: a provider; the caller's reference stays his
 * @deadline: machine time until which to wait
 * @err: on -ETIMEDOUT what is out, and who was cut off; may be NULL
 *
 * From the first moment on nothing new is allocated, found, mapped or exported: -ENODEV.  Exports
 * are revoked for good, maps of it for the CPU replaced.  Then waits for buffers and mappings to be
 * given back; caches have to be flushed by their owners.  Call it again to go on waiting; only the
 * first call tells who was cut off.
 *
 * Context: Any thread; blocks until @deadline, and %P2PDMA_DRAIN_TIME behind it (dmabuf.h).  Not from a callback of dmabuf.h.
 * Return: 0; -ETIMEDOUT: something is out (or an importer had to be cut off): it stays dead, and
 * what is out can still be given back.
 */
int p2pdma_provider_remove(struct p2pdma_provider *provider, uint64_t deadline,
                           struct p2pdma_error *err);

/**
 * p2pdma_machine_rescan() - judge routes anew: something was changed behind the library's back
 * @machine: an open machine
 *
 * Mappings that exist are not touched.
 *
 * Context: Any thread; does not block.
 */
void p2pdma_machine_rescan(struct p2pdma_machine *machine);

#ifdef __cplusplus
}
#endif

#endif
