/* SPDX-License-Identifier: MIT */
/*
 * access.c - the arguments of access.h and progress.h, checked; what is asked of a machine, the
 * machine answers.
 */
#include <errno.h>
#include <stdlib.h>

#include "peers.h"
#include "report.h"

#define PAGE     4096u
#define BAR_MOST 5
#define WIDEST   8 /* bytes of one load or store */

struct p2pdma_bar_map {
	struct backend *backend;
	void *private;
	uint64_t size;
};

static struct backend *backend_of(const struct p2pdma_device *device)
{
	return device->machine->backend;
}

static struct p2pdma_bdf bdf_of(const struct p2pdma_device *device)
{
	return device->function->bdf;
}

int bar_map(struct backend *backend, struct p2pdma_bdf bdf, int bar, struct p2pdma_error *err,
            struct p2pdma_bar_map **ret_map)
{
	struct p2pdma_bar_map *map;
	int r;

	if (bar < 0 || bar > BAR_MOST)
		return report(err, -EINVAL, "BAR %d: a function has BARs 0 to %d", bar, BAR_MOST);
	map = calloc(1, sizeof(*map));
	if (!map)
		return report(err, -ENOMEM, "BAR %d: out of memory", bar);
	map->backend = backend;
	r = backend->ops.bar_map(backend->private, bdf, bar, err, &map->private, &map->size);
	if (r) {
		free(map);
		return r;
	}
	*ret_map = map;
	return 0;
}

int p2pdma_bar_map(struct p2pdma_device *device, int bar, struct p2pdma_error *err,
                   struct p2pdma_bar_map **ret_map)
{
	return bar_map(backend_of(device), bdf_of(device), bar, err, ret_map);
}

struct p2pdma_bar_map *p2pdma_bar_unmap(struct p2pdma_bar_map *map)
{
	free(map);
	return NULL;
}

uint64_t p2pdma_bar_size(const struct p2pdma_bar_map *map)
{
	return map->size;
}

static bool is_inside(const struct p2pdma_bar_map *map, uint64_t offset, size_t length)
{
	return offset <= map->size && length <= map->size - offset;
}

/* The widest access that @offset is a multiple of and that @left bytes have room for. */
static size_t next_width(uint64_t offset, size_t left)
{
	size_t width = WIDEST;

	while (offset % width || width > left)
		width /= 2;
	return width;
}

int p2pdma_bar_read(struct p2pdma_bar_map *map, uint64_t offset, size_t length, void *ret_bytes)
{
	char *bytes = ret_bytes;

	if (!is_inside(map, offset, length))
		return -EINVAL;
	while (length) {
		size_t width = next_width(offset, length);

		map->backend->ops.mmio_read(map->backend->private, map->private, offset, width,
		                            bytes);
		offset += width;
		bytes += width;
		length -= width;
	}
	return 0;
}

int p2pdma_bar_write(struct p2pdma_bar_map *map, uint64_t offset, size_t length, const void *bytes)
{
	const char *from = bytes;

	if (!is_inside(map, offset, length))
		return -EINVAL;
	while (length) {
		size_t width = next_width(offset, length);

		map->backend->ops.mmio_write(map->backend->private, map->private, offset, width,
		                             from);
		offset += width;
		from += width;
		length -= width;
	}
	return 0;
}

int p2pdma_dma_map(struct p2pdma_device *device, void *memory, size_t length, enum p2pdma_op op,
                   struct p2pdma_dma *ret_address)
{
	struct backend *backend = backend_of(device);
	struct machine_dma dma = { .cpu = memory, .length = length, .op = op };

	if (!memory || (uintptr_t)memory % PAGE || !length || length % PAGE || !op ||
	    op & ~(unsigned int)P2PDMA_OP_BOTH)
		return -EINVAL;
	return backend->ops.dma_map(backend->private, bdf_of(device), &dma, ret_address);
}

int p2pdma_dma_unmap(struct p2pdma_device *device, struct p2pdma_dma address, size_t length)
{
	struct backend *backend = backend_of(device);

	return backend->ops.dma_unmap(backend->private, bdf_of(device), address, length);
}

int p2pdma_device_irq(struct p2pdma_device *device, unsigned int vector, int fd)
{
	struct backend *backend = backend_of(device);

	return backend->ops.irq(backend->private, bdf_of(device), vector, fd < 0 ? -1 : fd);
}

uint64_t p2pdma_machine_now(const struct p2pdma_machine *machine)
{
	return machine->backend->ops.now(machine->backend->private);
}

int p2pdma_machine_progress(struct p2pdma_machine *machine, uint64_t until)
{
	int r = machine->backend->ops.progress(machine->backend->private, until);

	if (r > 0)
		peers_pump(machine->backend->peers);
	return r;
}

int p2pdma_machine_event(struct p2pdma_machine *machine, struct p2pdma_event *ret_event)
{
	int r = peers_pump(machine->backend->peers);

	return peers_next_event(machine->backend->peers, ret_event) ? 0 : r;
}
