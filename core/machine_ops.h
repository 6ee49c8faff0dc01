/* SPDX-License-Identifier: MIT */
/*
 * machine_ops.h - the one seam between core and the outside world.
 *
 * A kind of machine is one row: a table of ops.  At most 20 of them, each listed in
 * ARCHITECTURE.md. Unset ops are answered from one default table with -EOPNOTSUPP, so callers never
 * test for NULL.
 *
 * May use include/p2pdma/, base/ and snapshot/.  May not use the rest of core/.
 */
#ifndef MACHINE_OPS_H
#define MACHINE_OPS_H

#include <p2pdma/access.h>
#include <p2pdma/progress.h>

struct p2pdma_model;
struct p2pdma_sim;
struct snapshot;

/* What open gives. */
struct machine_opened {
	void *private;             /* the kind's own state, given back to the other ops */
	struct snapshot *snapshot; /* the caller's */
	unsigned int caps;         /* enum p2pdma_cap, of what the snapshot does not tell itself */
};

/* What a function is to reach: memory of this process, or (cpu NULL) a BAR at a CPU address. */
struct machine_dma {
	void *cpu;
	struct p2pdma_phys phys;
	size_t length;
	enum p2pdma_op op; /* what the device may do */
	bool is_fixed;     /* map it at @address and nowhere else */
	struct p2pdma_dma address;
};

/* What bar_view does with memory that shows part of a BAR. */
enum machine_view {
	VIEW_NEW,   /* maps it somewhere: *memory out, the caller's until VIEW_END */
	VIEW_BLANK, /* puts ordinary memory that reads as all ones in its place */
	VIEW_SHOW,  /* puts the BAR's back there */
	VIEW_END,   /* unmaps it */
};

struct machine_ops {
	const char *kind; /* what stands before the colon of a machine's description */

	/*
	 * Opens the machine described by @args (what stands after the colon).  @models are more
	 * models for a simulated one, NULL-terminated, or NULL.
	 */
	int (*open)(const char *args, const struct p2pdma_model *const *models,
	            struct p2pdma_error *err, struct machine_opened *ret_opened);
	void (*close)(void *private);
	/* The machine as it is now. */
	int (*snapshot)(void *private, struct p2pdma_error *err, struct snapshot **ret_snapshot);

	/* The function behind a path below /sys or /dev.  -EOPNOTSUPP: resolve it from the
	 * snapshot. */
	int (*resolve)(void *private, const char *path, struct p2pdma_bdf *ret_bdf);

	/*
	 * A function taken for this process, whatever picture of the machine it was taken in, and
	 * given back: bus mastering off, its mappings end.  What says "open" below answers -EPERM
	 * otherwise.
	 */
	int (*device_open)(void *private, struct p2pdma_bdf bdf, struct p2pdma_error *err);
	void (*device_close)(void *private, struct p2pdma_bdf bdf);

	/* Both bounded to 4096 bytes by the caller.  -EOPNOTSUPP: read the snapshot. */
	int (*config_read)(void *private, struct p2pdma_bdf bdf, size_t offset, size_t length,
	                   void *ret_bytes);
	/* @length 1, 2 or 4, aligned. */
	int (*config_write)(void *private, struct p2pdma_bdf bdf, size_t offset, size_t length,
	                    uint32_t value);

	/* Open.  A BAR for CPU accesses until device_close; @ret_map is what the next two take. */
	int (*bar_map)(void *private, struct p2pdma_bdf bdf, int bar, struct p2pdma_error *err,
	               void **ret_map, uint64_t *ret_size);
	/*
	 * CPU loads and stores of 1, 2, 4 or 8 bytes, aligned; the caller has checked the range.
	 * Reads of what is gone give ones.
	 */
	void (*mmio_read)(void *private, void *map, uint64_t offset, size_t length,
	                  void *ret_bytes);
	void (*mmio_write)(void *private, void *map, uint64_t offset, size_t length,
	                   const void *bytes);
	/*
	 * Part of a BAR as memory of this process; @offset and @length are multiples of 4096.
	 * Nothing but the caller ends a view: it outlives device_close and the function.  The pages
	 * are the memory's own, whatever the function's registers say: blanking them in time is the
	 * caller's.
	 *
	 * VIEW_NEW, VIEW_SHOW: open.  -ENODEV: gone.  -EOPNOTSUPP: the BAR has no pages to show.
	 * -EINVAL: not inside of it.  -ENOMEM; of VIEW_SHOW: *@memory is blank.
	 * VIEW_BLANK, VIEW_END: in any state, in a signal handler too: they take no lock.  What is
	 * stored into blank pages is lost when they go.  VIEW_BLANK: -ENOMEM, all is as it was.
	 */
	int (*bar_view)(void *private, struct p2pdma_bdf bdf, int bar, uint64_t offset,
	                size_t length, enum machine_view what, void **memory);

	/*
	 * Open.  -ENOSPC: no IOVA is left.  -ENOMEM.  Of a fixed address: -ERANGE: it is none that
	 * an IOVA can have: beyond what the IOMMU translates, or where interrupts are; -EEXIST: it
	 * is taken, or nothing is translated and it is not where the memory is. dma_unmap takes
	 * whole mappings only: -EINVAL.
	 */
	int (*dma_map)(void *private, struct p2pdma_bdf bdf, const struct machine_dma *dma,
	               struct p2pdma_dma *ret_address);
	int (*dma_unmap)(void *private, struct p2pdma_bdf bdf, struct p2pdma_dma address,
	                 size_t length);

	/* Open.  @fd: an eventfd that each interrupt of the vector adds 1 to; -1: no more. */
	int (*irq)(void *private, struct p2pdma_bdf bdf, unsigned int vector, int fd);
	/* Open. */
	int (*reset)(void *private, struct p2pdma_bdf bdf, struct p2pdma_error *err);

	uint64_t (*now)(void *private);
	/* 1: something the caller can see has changed; 0: @until has come. */
	int (*progress)(void *private, uint64_t until);
	/* -EAGAIN: none is left. */
	int (*event)(void *private, struct p2pdma_event *ret_event);

	/* What only a simulated machine has: the handle of sim.h. */
	int (*simulation)(void *private, struct p2pdma_sim **ret_sim);
};

/*
 * machines/registry.c: the only file that names machines.  Finds the kind that @spec begins with,
 * and what stands after the colon.
 */
bool machine_find(const char *spec, struct machine_ops *ret_ops, const char **ret_args);

/* machines/defaults.c: @ops with the unset ones set. */
struct machine_ops machine_with_defaults(const struct machine_ops *ops);

#endif
