/* SPDX-License-Identifier: MIT */
/*
 * vectors.c - MSI-X: the table, pending bits, messages, and the interrupt controller that takes
 * them.
 *
 * Where table and pending bits are is read from the capability: a capture may have them among other
 * registers of a BAR.  A message's data names its function and vector for the whole fabric.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "fabric.h"

/* Intel SDM 3A 10.11.1, AMD64 vol. 2 16.11: writes to here are messages to the local APICs. */
#define MESSAGES     0xfee00000ull
#define MESSAGES_END 0xfeefffffull
#define MOST_VECTORS (PCI_MSIX_FLAGS_QSIZE + 1)
#define VECTOR_BITS  11

/* PCIe Base 7.7.2.5 to 7.7.2.8 */
#define ENTRY_SIZE    16
#define ENTRY_DATA    8
#define ENTRY_CONTROL 12

struct vector {
	uint8_t entry[ENTRY_SIZE];
	bool is_pending;
};

struct vectors {
	unsigned int count;
	uint32_t data; /* of the first one's message */
	struct vector vectors[];
};

int vectors_new(struct p2pdma_function *function, unsigned int count)
{
	struct vectors *all = calloc(1, sizeof(*all) + count * sizeof(all->vectors[0]));
	int *fds = calloc(count, sizeof(*fds));

	if (!all || !fds) {
		free(all);
		free(fds);
		return -ENOMEM;
	}
	all->count = count;
	memset(fds, 0xff, count * sizeof(*fds)); /* -1 */
	function->irq_fds = fds;
	function->vectors = all;
	function->vector_count = count;
	vectors_reset(function);
	return 0;
}

void vectors_free(struct p2pdma_function *function)
{
	free(function->vectors);
	free(function->irq_fds);
	function->vectors = NULL;
	function->irq_fds = NULL;
	function->vector_count = 0;
}

void vectors_reset(struct p2pdma_function *function)
{
	struct vectors *all = function->vectors;

	for (unsigned int i = 0; all && i < all->count; i++) {
		memset(all->vectors[i].entry, 0, ENTRY_SIZE);
		all->vectors[i].entry[ENTRY_CONTROL] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
		all->vectors[i].is_pending = false;
	}
}

/* ---- table and pending bits ---- */

/* The byte that a register of 7.7.2.3 or 7.7.2.4 says is at @offset of @bar; SIZE_MAX: another. */
static size_t within(const struct p2pdma_function *function, size_t reg, int bar, uint64_t offset,
                     size_t size)
{
	uint32_t where = get32(function->config + function->at.msix + reg);

	if ((int)(where & PCI_MSIX_TABLE_BIR) != bar)
		return SIZE_MAX;
	offset -= where & PCI_MSIX_TABLE_OFFSET;
	return offset < size ? (size_t)offset : SIZE_MAX;
}

static size_t in_table(const struct p2pdma_function *function, int bar, uint64_t offset)
{
	return within(function, PCI_MSIX_TABLE, bar, offset, function->vectors->count * ENTRY_SIZE);
}

static size_t in_pending(const struct p2pdma_function *function, int bar, uint64_t offset)
{
	return within(function, PCI_MSIX_PBA, bar, offset,
	              (function->vectors->count + 63) / 64 * 8);
}

static uint8_t pending_byte(const struct vectors *all, size_t at)
{
	unsigned int bits = 0;

	for (size_t i = 0; i < 8 && 8 * at + i < all->count; i++)
		bits |= (unsigned int)all->vectors[8 * at + i].is_pending << i;
	return (uint8_t)bits;
}

void vectors_read(struct p2pdma_function *function, int bar, uint64_t offset, size_t length,
                  void *bytes)
{
	const struct bar *range = &function->bars[bar];
	uint8_t *to = bytes;
	size_t at;

	memset(to, 0, length);
	if (range->beside == BAR_MEMORY && range->memory)
		memcpy(to, range->memory + offset, length);
	if (range->beside == BAR_REGISTERS && function->model && function->model->read &&
	    function->model->read(function->state, bar, offset, length, to))
		memset(to, 0xff, length);
	if (!function->vectors || !function->at.msix)
		return;
	for (size_t i = 0; i < length; i++) {
		if ((at = in_table(function, bar, offset + i)) != SIZE_MAX)
			to[i] = function->vectors->vectors[at / ENTRY_SIZE].entry[at % ENTRY_SIZE];
		else if ((at = in_pending(function, bar, offset + i)) != SIZE_MAX)
			to[i] = pending_byte(function->vectors, at);
	}
}

static void put_entry(struct vector *vector, size_t at, uint8_t byte)
{
	if (!at)
		byte &= 0xfc;
	if (at >= ENTRY_CONTROL)
		byte &= at == ENTRY_CONTROL ? PCI_MSIX_ENTRY_CTRL_MASKBIT : 0;
	vector->entry[at] = byte;
}

void vectors_write(struct p2pdma_function *function, int bar, uint64_t offset, size_t length,
                   const void *bytes)
{
	const struct bar *range = &function->bars[bar];
	const uint8_t *from = bytes;
	size_t others = 0, at;
	uint8_t *memory;

	for (size_t i = 0; i < length; i++) {
		bool has_table = function->vectors && function->at.msix;

		at = has_table ? in_table(function, bar, offset + i) : SIZE_MAX;
		if (at != SIZE_MAX)
			put_entry(&function->vectors->vectors[at / ENTRY_SIZE], at % ENTRY_SIZE,
			          from[i]);
		else
			others += !has_table || in_pending(function, bar, offset + i) == SIZE_MAX;
	}
	if (others < length)
		vectors_flush(function);
	if (!others)
		return;
	if (range->beside == BAR_MEMORY && (memory = bar_memory(function, bar)))
		memcpy(memory + offset, bytes, length);
	if (range->beside == BAR_REGISTERS && function->model && function->model->write)
		function->model->write(function->state, bar, offset, length, bytes);
}

/* ---- messages ---- */

static uint16_t control(const struct p2pdma_function *function)
{
	return function->at.msix ? get16(function->config + function->at.msix + PCI_MSIX_FLAGS) : 0;
}

static bool is_masked(const struct p2pdma_function *function, const struct vector *vector)
{
	return control(function) & PCI_MSIX_FLAGS_MASKALL ||
	       vector->entry[ENTRY_CONTROL] & PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

/* PCIe Base 6.1.4: a posted write like any other; it waits for Bus Master Enable and D0. */
static void send(struct p2pdma_function *function, struct vector *vector)
{
	uint64_t address = get32(vector->entry) | (uint64_t)get32(vector->entry + 4) << 32;

	vector->is_pending = requester_write(function, address, 4, vector->entry + ENTRY_DATA,
	                                     AT_UNTRANSLATED, NULL);
}

void vectors_raise(struct p2pdma_function *function, unsigned int vector)
{
	struct vectors *all = function->vectors;

	if (!all || vector >= all->count || !(control(function) & PCI_MSIX_FLAGS_ENABLE))
		return;
	if (is_masked(function, &all->vectors[vector]))
		all->vectors[vector].is_pending = true;
	else
		send(function, &all->vectors[vector]);
}

void vectors_flush(struct p2pdma_function *function)
{
	struct vectors *all = function->vectors;

	if (!all || !(control(function) & PCI_MSIX_FLAGS_ENABLE))
		return;
	for (unsigned int i = 0; i < all->count; i++)
		if (all->vectors[i].is_pending && !is_masked(function, &all->vectors[i]))
			send(function, &all->vectors[i]);
}

/* ---- the OS and the interrupt controller ---- */

bool vectors_is_message(uint64_t address)
{
	return address >= MESSAGES && address <= MESSAGES_END;
}

/* Whose messages carry @data. */
static const struct p2pdma_function *find_owner(const struct fabric *fabric, uint32_t data)
{
	size_t index = data >> VECTOR_BITS;
	const struct p2pdma_function *function;

	if (!index || index > fabric->function_count)
		return NULL;
	function = fabric->functions[index - 1];
	return function->vectors && function->vectors->data >> VECTOR_BITS == index ? function
	                                                                            : NULL;
}

void vectors_deliver(struct fabric *fabric, struct p2pdma_bdf requester, uint32_t data)
{
	const struct p2pdma_function *function = find_owner(fabric, data);
	unsigned int vector = data & PCI_MSIX_FLAGS_QSIZE;
	const uint64_t one = 1;

	if (!function || vector >= function->vector_count || function->irq_fds[vector] < 0) {
		observe_event(fabric, P2PDMA_SIM_EVENT_UR, requester, requester, MESSAGES);
		return;
	}
	/* An fd that takes nothing is its owner's affair. */
	if (write(function->irq_fds[vector], &one, sizeof(one)) == (ssize_t)sizeof(one))
		fabric->has_changed = true;
}

/* Not 0, which data that a device makes up would be; 0: too many functions. */
static uint32_t data_of(const struct p2pdma_function *function)
{
	const struct fabric *fabric = function->fabric;

	for (size_t i = 0; i < fabric->function_count && i < UINT32_MAX >> VECTOR_BITS; i++)
		if (fabric->functions[i] == function)
			return (uint32_t)(i + 1) << VECTOR_BITS;
	return 0;
}

int vectors_attach(struct p2pdma_function *function, unsigned int vector, int fd)
{
	struct vectors *all = function->vectors;
	uint16_t flags = control(function) & (uint16_t)~PCI_MSIX_FLAGS_MASKALL;
	uint8_t *entry;

	if (!all || vector >= all->count || !function->at.msix)
		return -EINVAL;
	if (!all->data)
		all->data = data_of(function);
	function->irq_fds[vector] = fd < 0 ? -1 : fd;
	entry = all->vectors[vector].entry;
	put32(entry, (uint32_t)MESSAGES);
	put32(entry + 4, 0);
	put32(entry + ENTRY_DATA, all->data | vector);
	put32(entry + ENTRY_CONTROL, fd < 0 ? PCI_MSIX_ENTRY_CTRL_MASKBIT : 0);
	if (fd >= 0)
		config_write(function, function->at.msix + PCI_MSIX_FLAGS, 2,
		             flags | PCI_MSIX_FLAGS_ENABLE);
	vectors_flush(function);
	return 0;
}
