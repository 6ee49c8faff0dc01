/* SPDX-License-Identifier: MIT */
/*
 * cpu.c - loads and stores to a provider's memory.
 */
#include <stdatomic.h>
#include <string.h>

#include "provider.h"
#include "topology.h"
#include <p2pdma/access.h>
#include <p2pdma/cpu.h>

#define COMMAND_STATUS 0x04
#define FILL           256 /* bytes stored in one go by p2pmem_set() */

struct place {
	struct p2pdma_provider *provider;
	struct p2pdma_bar_map *map;
	uint64_t offset; /* in the BAR */
};

/* The map of the chunk's BAR; two threads may make it at once, one is kept. */
static int map_chunk(struct p2pdma_provider *provider, struct chunk *chunk,
                     struct p2pdma_bar_map **ret_map)
{
	struct p2pdma_bar_map *map = atomic_load_explicit(&chunk->map, memory_order_acquire);
	struct p2pdma_bar_map *none = NULL;
	int r;

	if (!map) {
		r = bar_map(provider->peers->backend, provider->bdf, chunk->bar, NULL, &map);
		/* It had an address when it was registered, and has lost it since. */
		if (r)
			return r == -EINVAL ? -ENODEV : r;
		if (!atomic_compare_exchange_strong(&chunk->map, &none, map)) {
			p2pdma_bar_unmap(map);
			map = none;
		}
	}
	*ret_map = map;
	return 0;
}

static int find_place(struct p2pmem_buf buf, uint64_t offset, uint64_t length,
                      struct place *ret_place)
{
	struct chunk *chunk;
	int r;

	if (!buf.provider || offset > buf.size || length > buf.size - offset)
		return -EINVAL;
	chunk = provider_chunk(buf.provider, buf.offset, buf.size);
	if (!chunk)
		return -EINVAL;
	r = provider_check(buf.provider);
	if (r)
		return r;
	ret_place->provider = buf.provider;
	ret_place->offset = chunk->bar_offset + (buf.offset - chunk->start) + offset;
	return map_chunk(buf.provider, chunk, &ret_place->map);
}

/* Command and Status have bits that are always 0, a VF's too; its Vendor ID is all ones (9.3.4.1).
 */
static bool is_gone(const struct p2pdma_provider *provider)
{
	struct backend *backend = provider->peers->backend;
	uint32_t value = UINT32_MAX;
	int r = backend->ops.config_read(backend->private, provider->bdf, COMMAND_STATUS,
	                                 sizeof(value), &value);

	return r == -ENODEV || value == UINT32_MAX;
}

static bool is_ones(const void *bytes, size_t length)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < length; i++)
		if (at[i] != 0xff)
			return false;
	return length;
}

/* What was read last is all ones where nobody answered, and maybe where somebody did. */
static int check_read(const struct place *place, const void *bytes, size_t length)
{
	size_t tail = length < sizeof(uint64_t) ? length : sizeof(uint64_t);

	return is_ones((const char *)bytes + (length - tail), tail) && is_gone(place->provider)
	               ? -ENODEV
	               : 0;
}

static bool is_width(size_t width, uint64_t offset)
{
	return (width == 1 || width == 2 || width == 4 || width == 8) && offset % width == 0;
}

int p2pmem_read(struct p2pmem_buf buf, uint64_t offset, size_t width, uint64_t *ret_value)
{
	uint8_t bytes[8];
	uint64_t value = 0;
	int r;

	if (!is_width(width, offset))
		return -EINVAL;
	r = p2pmem_copy_from(buf, offset, width, bytes);
	if (r)
		return r;
	for (size_t i = 0; i < width; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	*ret_value = value;
	return 0;
}

int p2pmem_write(struct p2pmem_buf buf, uint64_t offset, size_t width, uint64_t value)
{
	uint8_t bytes[8];

	if (!is_width(width, offset))
		return -EINVAL;
	for (size_t i = 0; i < width; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	return p2pmem_copy_to(buf, offset, bytes, width);
}

int p2pmem_copy_to(struct p2pmem_buf buf, uint64_t offset, const void *bytes, size_t length)
{
	struct place place;
	int r = find_place(buf, offset, length, &place);

	return r ? r : p2pdma_bar_write(place.map, place.offset, length, bytes);
}

int p2pmem_copy_from(struct p2pmem_buf buf, uint64_t offset, size_t length, void *ret_bytes)
{
	struct place place;
	int r = find_place(buf, offset, length, &place);

	if (!r)
		r = p2pdma_bar_read(place.map, place.offset, length, ret_bytes);
	return r ? r : check_read(&place, ret_bytes, length);
}

int p2pmem_set(struct p2pmem_buf buf, uint64_t offset, uint64_t length, uint8_t byte)
{
	uint8_t bytes[FILL];
	struct place place;
	int r = find_place(buf, offset, length, &place);

	memset(bytes, byte, sizeof(bytes));
	while (!r && length) {
		/* Up to a multiple first, so that what follows is aligned. */
		uint64_t part = FILL - place.offset % FILL;

		if (part > length)
			part = length;
		r = p2pdma_bar_write(place.map, place.offset, part, bytes);
		place.offset += part;
		length -= part;
	}
	return r;
}

int p2pmem_flush(struct p2pmem_buf buf)
{
	uint8_t byte;

	/* Drains write-combining buffers as well. */
	atomic_thread_fence(memory_order_seq_cst);
	return p2pmem_copy_from(buf, 0, sizeof(byte), &byte);
}
