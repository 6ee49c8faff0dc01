/* SPDX-License-Identifier: MIT */
/*
 * fault.c - any other machine, one of whose ops fails: for sweeps over the n-th failure.
 *
 * "fault:nth=N[,op=NAME][,errno=NAME],MACHINE": counts the ops from open on, or those of one name,
 * and does not pass on the N-th: it fails with the errno, EIO unless said.  Loads give ones and
 * stores are lost.  Ops that cannot fail are not counted.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "report.h"

struct faulty {
	struct machine_ops inner;
	void *private; /* the inner one's */
	unsigned long nth;
	const char *op; /* NULL: any */
	int error;
	atomic_ulong count;
};

static const char *const op_names[] = { "open",        "snapshot",   "resolve",      "device_open",
	                                "config_read", "bar_map",    "config_write", "dma_map",
	                                "mmio_read",   "mmio_write", "bar_view",     "dma_unmap",
	                                "irq",         "reset",      "progress",     "event",
	                                "simulation" };

static const struct {
	const char *name;
	int error;
} errors[] = {
	{ "EIO", -EIO },       { "ENODEV", -ENODEV }, { "ENOMEM", -ENOMEM },
	{ "EACCES", -EACCES }, { "EBUSY", -EBUSY },   { "EINVAL", -EINVAL },
	{ "ENOSPC", -ENOSPC }, { "EPERM", -EPERM },   { "EOPNOTSUPP", -EOPNOTSUPP },
	{ "EAGAIN", -EAGAIN }, { "ENOTTY", -ENOTTY }, { "ETIMEDOUT", -ETIMEDOUT },
};

static bool is_value(const char *value, size_t length, const char *name)
{
	return strlen(name) == length && !strncmp(value, name, length);
}

static bool parse_op(struct faulty *faulty, const char *value, size_t length)
{
	for (size_t i = 0; i < sizeof(op_names) / sizeof(op_names[0]); i++)
		if (is_value(value, length, op_names[i]))
			faulty->op = op_names[i];
	return faulty->op;
}

static bool parse_errno(struct faulty *faulty, const char *value, size_t length)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (!is_value(value, length, errors[i].name))
			continue;
		faulty->error = errors[i].error;
		return true;
	}
	return false;
}

static bool parse_nth(struct faulty *faulty, const char *value, size_t length)
{
	unsigned long nth = 0;

	for (size_t i = 0; i < length; i++) {
		if (value[i] < '0' || value[i] > '9' || i > 8)
			return false;
		nth = 10 * nth + (unsigned long)(value[i] - '0');
	}
	faulty->nth = nth;
	return nth;
}

/* The options; what follows them is the machine. */
static int parse(struct faulty *faulty, const char *args, struct p2pdma_error *err,
                 const char **ret_spec)
{
	static const struct {
		const char *key;
		bool (*parse)(struct faulty *faulty, const char *value, size_t length);
	} options[] = {
		{ "nth=", parse_nth },
		{ "op=", parse_op },
		{ "errno=", parse_errno },
	};
	const size_t count = sizeof(options) / sizeof(options[0]);
	const char *at = args;
	size_t i;

	do {
		for (i = 0; i < count && strncmp(at, options[i].key, strlen(options[i].key)); i++)
			;
		if (i < count) {
			size_t length;

			at += strlen(options[i].key);
			length = strcspn(at, ",");
			if (!options[i].parse(faulty, at, length) || !at[length])
				return report(err, -EINVAL,
				              "fault:%.200s: %s%.*s is not understood", args,
				              options[i].key, (int)(length < 100 ? length : 100),
				              at);
			at += length + 1;
		}
	} while (i < count);
	if (!faulty->nth)
		return report(err, -EINVAL,
		              "fault:%.200s: which one? "
		              "Use fault:nth=N[,op=NAME][,errno=NAME],MACHINE",
		              args);
	*ret_spec = at;
	return 0;
}

/* Counts an op; true when it is the one to fail. */
static bool fails(struct faulty *faulty, const char *op)
{
	if (faulty->op && strcmp(faulty->op, op) != 0)
		return false;
	return atomic_fetch_add(&faulty->count, 1) + 1 == faulty->nth;
}

static int fault_report(const struct faulty *faulty, const char *op, struct p2pdma_error *err)
{
	return report(err, faulty->error, "fault: %s was asked to fail: %s", op,
	              strerror(-faulty->error));
}

static int fault_open(const char *args, const struct p2pdma_model *const *models,
                      struct p2pdma_error *err, struct machine_opened *ret_opened)
{
	struct faulty *faulty = calloc(1, sizeof(*faulty));
	const char *spec = args, *inner_args;
	int r;

	if (!faulty)
		return report(err, -ENOMEM, "fault:%.200s: out of memory", args);
	faulty->error = -EIO;
	r = parse(faulty, args, err, &spec);
	if (!r && !machine_find(spec, &faulty->inner, &inner_args))
		r = report(err, -EINVAL, "fault:%.200s: %.100s is no machine", args, spec);
	if (!r && fails(faulty, "open"))
		r = fault_report(faulty, "open", err);
	if (!r)
		r = faulty->inner.open(inner_args, models, err, ret_opened);
	if (r) {
		free(faulty);
		return r;
	}
	faulty->private = ret_opened->private;
	ret_opened->private = faulty;
	return 0;
}

static void fault_close(void *private)
{
	struct faulty *faulty = private;

	faulty->inner.close(faulty->private);
	free(faulty);
}

static int fault_snapshot(void *private, struct p2pdma_error *err, struct snapshot **ret_snapshot)
{
	struct faulty *faulty = private;

	if (fails(faulty, "snapshot"))
		return fault_report(faulty, "snapshot", err);
	return faulty->inner.snapshot(faulty->private, err, ret_snapshot);
}

static int fault_resolve(void *private, const char *path, struct p2pdma_bdf *ret_bdf)
{
	struct faulty *faulty = private;

	if (fails(faulty, "resolve"))
		return faulty->error;
	return faulty->inner.resolve(faulty->private, path, ret_bdf);
}

static int fault_device_open(void *private, struct p2pdma_bdf bdf, struct p2pdma_error *err)
{
	struct faulty *faulty = private;

	if (fails(faulty, "device_open"))
		return fault_report(faulty, "device_open", err);
	return faulty->inner.device_open(faulty->private, bdf, err);
}

static void fault_device_close(void *private, struct p2pdma_bdf bdf)
{
	struct faulty *faulty = private;

	faulty->inner.device_close(faulty->private, bdf);
}

static int fault_config_read(void *private, struct p2pdma_bdf bdf, size_t offset, size_t length,
                             void *ret_bytes)
{
	struct faulty *faulty = private;

	if (fails(faulty, "config_read"))
		return faulty->error;
	return faulty->inner.config_read(faulty->private, bdf, offset, length, ret_bytes);
}

static int fault_config_write(void *private, struct p2pdma_bdf bdf, size_t offset, size_t length,
                              uint32_t value)
{
	struct faulty *faulty = private;

	if (fails(faulty, "config_write"))
		return faulty->error;
	return faulty->inner.config_write(faulty->private, bdf, offset, length, value);
}

static int fault_bar_map(void *private, struct p2pdma_bdf bdf, int bar, struct p2pdma_error *err,
                         void **ret_map, uint64_t *ret_size)
{
	struct faulty *faulty = private;

	if (fails(faulty, "bar_map"))
		return fault_report(faulty, "bar_map", err);
	return faulty->inner.bar_map(faulty->private, bdf, bar, err, ret_map, ret_size);
}

static void fault_mmio_read(void *private, void *map, uint64_t offset, size_t length,
                            void *ret_bytes)
{
	struct faulty *faulty = private;

	if (fails(faulty, "mmio_read"))
		memset(ret_bytes, 0xff, length);
	else
		faulty->inner.mmio_read(faulty->private, map, offset, length, ret_bytes);
}

static void fault_mmio_write(void *private, void *map, uint64_t offset, size_t length,
                             const void *bytes)
{
	struct faulty *faulty = private;

	if (!fails(faulty, "mmio_write"))
		faulty->inner.mmio_write(faulty->private, map, offset, length, bytes);
}

/* VIEW_END cannot fail. */
static int fault_bar_view(void *private, struct p2pdma_bdf bdf, int bar, uint64_t offset,
                          size_t length, enum machine_view what, void **memory)
{
	struct faulty *faulty = private;

	if (what != VIEW_END && fails(faulty, "bar_view"))
		return faulty->error;
	return faulty->inner.bar_view(faulty->private, bdf, bar, offset, length, what, memory);
}

static int fault_dma_map(void *private, struct p2pdma_bdf bdf, const struct machine_dma *dma,
                         struct p2pdma_dma *ret_address)
{
	struct faulty *faulty = private;

	if (fails(faulty, "dma_map"))
		return faulty->error;
	return faulty->inner.dma_map(faulty->private, bdf, dma, ret_address);
}

static int fault_dma_unmap(void *private, struct p2pdma_bdf bdf, struct p2pdma_dma address,
                           size_t length)
{
	struct faulty *faulty = private;

	if (fails(faulty, "dma_unmap"))
		return faulty->error;
	return faulty->inner.dma_unmap(faulty->private, bdf, address, length);
}

static int fault_irq(void *private, struct p2pdma_bdf bdf, unsigned int vector, int fd)
{
	struct faulty *faulty = private;

	if (fails(faulty, "irq"))
		return faulty->error;
	return faulty->inner.irq(faulty->private, bdf, vector, fd);
}

static int fault_reset(void *private, struct p2pdma_bdf bdf, struct p2pdma_error *err)
{
	struct faulty *faulty = private;

	if (fails(faulty, "reset"))
		return fault_report(faulty, "reset", err);
	return faulty->inner.reset(faulty->private, bdf, err);
}

static uint64_t fault_now(void *private)
{
	struct faulty *faulty = private;

	return faulty->inner.now(faulty->private);
}

static int fault_progress(void *private, uint64_t until)
{
	struct faulty *faulty = private;

	if (fails(faulty, "progress"))
		return faulty->error;
	return faulty->inner.progress(faulty->private, until);
}

static int fault_event(void *private, struct p2pdma_event *ret_event)
{
	struct faulty *faulty = private;

	if (fails(faulty, "event"))
		return faulty->error;
	return faulty->inner.event(faulty->private, ret_event);
}

static int fault_simulation(void *private, struct p2pdma_sim **ret_sim)
{
	struct faulty *faulty = private;

	if (fails(faulty, "simulation"))
		return faulty->error;
	return faulty->inner.simulation(faulty->private, ret_sim);
}

const struct machine_ops fault_ops = {
	.kind = "fault",
	.open = fault_open,
	.close = fault_close,
	.snapshot = fault_snapshot,
	.resolve = fault_resolve,
	.device_open = fault_device_open,
	.device_close = fault_device_close,
	.config_read = fault_config_read,
	.config_write = fault_config_write,
	.bar_map = fault_bar_map,
	.mmio_read = fault_mmio_read,
	.mmio_write = fault_mmio_write,
	.bar_view = fault_bar_view,
	.dma_map = fault_dma_map,
	.dma_unmap = fault_dma_unmap,
	.irq = fault_irq,
	.reset = fault_reset,
	.now = fault_now,
	.progress = fault_progress,
	.event = fault_event,
	.simulation = fault_simulation,
};
