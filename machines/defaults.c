/* SPDX-License-Identifier: MIT */
/*
 * defaults.c - what an unset op answers, so that nobody tests for NULL.
 */
#include <errno.h>
#include <string.h>

#include "machine_ops.h"
#include "report.h"

static int picture_only(struct p2pdma_error *err)
{
	return report(err, -EOPNOTSUPP, "this machine is a picture only; use live: or sim:FILE");
}

static int no_open(const char *args, const struct p2pdma_model *const *models,
                   struct p2pdma_error *err, struct machine_opened *ret_opened)
{
	(void)args, (void)models, (void)ret_opened;
	return picture_only(err);
}

static void no_close(void *private)
{
	(void)private;
}

static int no_snapshot(void *private, struct p2pdma_error *err, struct snapshot **ret_snapshot)
{
	(void)private, (void)ret_snapshot;
	return picture_only(err);
}

static int no_resolve(void *private, const char *path, struct p2pdma_bdf *ret_bdf)
{
	(void)private, (void)path, (void)ret_bdf;
	return -EOPNOTSUPP;
}

static int no_device_open(void *private, struct p2pdma_bdf bdf, struct p2pdma_error *err)
{
	(void)private, (void)bdf;
	return picture_only(err);
}

static void no_device_close(void *private, struct p2pdma_bdf bdf)
{
	(void)private, (void)bdf;
}

static int no_config_read(void *private, struct p2pdma_bdf bdf, size_t offset, size_t length,
                          void *ret_bytes)
{
	(void)private, (void)bdf, (void)offset, (void)length, (void)ret_bytes;
	return -EOPNOTSUPP;
}

static int no_config_write(void *private, struct p2pdma_bdf bdf, size_t offset, size_t length,
                           uint32_t value)
{
	(void)private, (void)bdf, (void)offset, (void)length, (void)value;
	return -EOPNOTSUPP;
}

static int no_bar_map(void *private, struct p2pdma_bdf bdf, int bar, struct p2pdma_error *err,
                      void **ret_map, uint64_t *ret_size)
{
	(void)private, (void)bdf, (void)bar, (void)ret_map, (void)ret_size;
	return picture_only(err);
}

static void no_mmio_read(void *private, void *map, uint64_t offset, size_t length, void *ret_bytes)
{
	(void)private, (void)map, (void)offset;
	memset(ret_bytes, 0xff, length);
}

static void no_mmio_write(void *private, void *map, uint64_t offset, size_t length,
                          const void *bytes)
{
	(void)private, (void)map, (void)offset, (void)length, (void)bytes;
}

static int no_bar_view(void *private, struct p2pdma_bdf bdf, int bar, uint64_t offset,
                       size_t length, enum machine_view what, void **memory)
{
	(void)private, (void)bdf, (void)bar, (void)offset, (void)length, (void)what, (void)memory;
	return -EOPNOTSUPP;
}

static int no_dma_map(void *private, struct p2pdma_bdf bdf, const struct machine_dma *dma,
                      struct p2pdma_dma *ret_address)
{
	(void)private, (void)bdf, (void)dma, (void)ret_address;
	return -EOPNOTSUPP;
}

static int no_dma_unmap(void *private, struct p2pdma_bdf bdf, struct p2pdma_dma address,
                        size_t length)
{
	(void)private, (void)bdf, (void)address, (void)length;
	return -EOPNOTSUPP;
}

static int no_irq(void *private, struct p2pdma_bdf bdf, unsigned int vector, int fd)
{
	(void)private, (void)bdf, (void)vector, (void)fd;
	return -EOPNOTSUPP;
}

static int no_reset(void *private, struct p2pdma_bdf bdf, struct p2pdma_error *err)
{
	(void)private, (void)bdf;
	return picture_only(err);
}

static uint64_t no_now(void *private)
{
	(void)private;
	return 0;
}

static int no_progress(void *private, uint64_t until)
{
	(void)private, (void)until;
	return -EOPNOTSUPP;
}

static int no_event(void *private, struct p2pdma_event *ret_event)
{
	(void)private, (void)ret_event;
	return -EOPNOTSUPP;
}

static int no_simulation(void *private, struct p2pdma_sim **ret_sim)
{
	(void)private, (void)ret_sim;
	return -EOPNOTSUPP;
}

struct machine_ops machine_with_defaults(const struct machine_ops *ops)
{
	struct machine_ops full = *ops;

#define DEFAULT(op) full.op = full.op ? full.op : no_##op
	DEFAULT(open);
	DEFAULT(close);
	DEFAULT(snapshot);
	DEFAULT(resolve);
	DEFAULT(device_open);
	DEFAULT(device_close);
	DEFAULT(config_read);
	DEFAULT(config_write);
	DEFAULT(bar_map);
	DEFAULT(mmio_read);
	DEFAULT(mmio_write);
	DEFAULT(bar_view);
	DEFAULT(dma_map);
	DEFAULT(dma_unmap);
	DEFAULT(irq);
	DEFAULT(reset);
	DEFAULT(now);
	DEFAULT(progress);
	DEFAULT(event);
	DEFAULT(simulation);
#undef DEFAULT
	return full;
}
