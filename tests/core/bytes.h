/* SPDX-License-Identifier: MIT */
/*
 * bytes.h - configuration space written by hand, and machines made of it.
 */
#ifndef TESTS_BYTES_H
#define TESTS_BYTES_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "snapshot.h"

static inline void put16(uint8_t *config, size_t offset, uint16_t value)
{
	config[offset] = (uint8_t)value;
	config[offset + 1] = (uint8_t)(value >> 8);
}

static inline void put32(uint8_t *config, size_t offset, uint32_t value)
{
	put16(config, offset, (uint16_t)value);
	put16(config, offset + 2, (uint16_t)(value >> 16));
}

static inline struct p2pdma_bdf bdf(uint32_t domain, uint8_t bus, uint8_t device, uint8_t function)
{
	return (struct p2pdma_bdf){ domain, bus, (uint8_t)(device << 3 | function) };
}

/*
 * Adds a PCIe function with 4 KiB of configuration space: Device/Port Type @type, the capability at
 * 0x40, memory decode and bus mastering on, one 64-bit prefetchable BAR for header type 0.  The
 * pointer is good until the next call.
 */
static inline uint8_t *add_pcie(struct snapshot *snapshot, struct p2pdma_bdf address,
                                uint8_t header_type, uint8_t type)
{
	struct snapshot_function *function;
	bool is_new;

	assert_int_equal(snapshot_add(snapshot, address, &is_new, &function), 0);
	assert_true(is_new);
	function->config = calloc(1, SNAPSHOT_CONFIG_SIZE);
	assert_non_null(function->config);
	function->config_len = SNAPSHOT_CONFIG_SIZE;
	put16(function->config, 0x00, 0x8086);
	put16(function->config, 0x02, 0x1234);
	put16(function->config, 0x04, 0x0006);
	put16(function->config, 0x06, 0x0010);
	function->config[0x0e] = header_type;
	function->config[0x34] = 0x40;
	put16(function->config, 0x40, 0x0010);
	put16(function->config, 0x42, (uint16_t)(2 | type << 4));
	if (header_type == 0) {
		put32(function->config, 0x10, 0xe000000c);
	} else {
		put16(function->config, 0x20, 0xe000);
		put16(function->config, 0x22, 0xeff0);
	}
	return function->config;
}

static inline uint8_t *add_bridge(struct snapshot *snapshot, struct p2pdma_bdf address,
                                  uint8_t type, uint8_t secondary, uint8_t subordinate)
{
	uint8_t *config = add_pcie(snapshot, address, 1, type);

	config[0x18] = address.bus;
	config[0x19] = secondary;
	config[0x1a] = subordinate;
	return config;
}

/* An ACS capability at 0x100. */
static inline void put_acs(uint8_t *config, uint16_t capability, uint16_t control)
{
	put32(config, 0x100, 0x0001000d);
	put16(config, 0x104, capability);
	put16(config, 0x106, control);
}

static inline struct p2pdma_machine *finish(struct snapshot *snapshot)
{
	struct p2pdma_machine *machine = NULL;

	snapshot_finish(snapshot);
	assert_int_equal(machine_from_snapshot(snapshot, "test:", &machine), 0);
	return machine;
}

static inline struct p2pdma_device *at(struct p2pdma_machine *machine, struct p2pdma_bdf address)
{
	struct p2pdma_device *device = NULL;

	assert_int_equal(p2pdma_machine_find(machine, address, &device), 0);
	return device;
}

/* Root port 00:01.0, upstream port 01:00.0, downstream ports 02:00.0 and 02:01.0, endpoints 03 and
 * 04. */
static inline struct snapshot *make_switch(void)
{
	struct snapshot *snapshot = snapshot_new();

	assert_non_null(snapshot);
	put32(add_pcie(snapshot, bdf(0, 0, 0, 0), 0, 9), 0x10, 0xd000000c);
	add_bridge(snapshot, bdf(0, 0, 1, 0), 4, 1, 4);
	add_bridge(snapshot, bdf(0, 1, 0, 0), 5, 2, 4);
	put16(add_bridge(snapshot, bdf(0, 2, 0, 0), 6, 3, 3), 0x22, 0xe7f0);
	put16(add_bridge(snapshot, bdf(0, 2, 1, 0), 6, 4, 4), 0x20, 0xe800);
	add_pcie(snapshot, bdf(0, 3, 0, 0), 0, 0);
	put32(add_pcie(snapshot, bdf(0, 4, 0, 0), 0, 0), 0x10, 0xe800000c);
	return snapshot;
}

#endif
