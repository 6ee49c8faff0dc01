/* SPDX-License-Identifier: MIT */
/*
 * capture.h - captures written register by register, and fabrics of them.
 */
#ifndef SIM_CAPTURE_H
#define SIM_CAPTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "file.h"
#include "snapshot.h"

#define EXP_AT       0x40
#define CONVENTIONAL 0xff /* no PCIe type */

static struct snapshot *machine;

static inline struct p2pdma_bdf bdf(uint8_t bus, uint8_t device, uint8_t function)
{
	return (struct p2pdma_bdf){ 0, bus, (uint8_t)(device << 3 | function) };
}

static inline int begin(void **state)
{
	(void)state;
	machine = snapshot_new();
	return machine ? 0 : -1;
}

static inline int end(void **state)
{
	(void)state;
	machine = snapshot_free(machine);
	return 0;
}

static inline struct snapshot_function *function_at(struct p2pdma_bdf at)
{
	struct snapshot_function *function;
	bool is_new;

	assert_int_equal(snapshot_add(machine, at, &is_new, &function), 0);
	return function;
}

/* A function of the capture; the pointer is good until the next one. */
static inline uint8_t *add(struct p2pdma_bdf at, uint8_t header, uint8_t type)
{
	struct snapshot_function *function = function_at(at);

	assert_null(function->config);
	function->config = calloc(1, CONFIG_SIZE);
	function->config_len = CONFIG_SIZE;
	assert_non_null(function->config);
	put32(function->config, 0x12341209);
	put16(function->config + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	function->config[PCI_HEADER_TYPE] = header;
	if (type == CONVENTIONAL)
		return function->config;
	put16(function->config + PCI_STATUS, PCI_STATUS_CAP_LIST);
	function->config[PCI_CAPABILITY_LIST] = EXP_AT;
	function->config[EXP_AT] = PCI_CAP_ID_EXP;
	put16(function->config + EXP_AT + PCI_EXP_FLAGS, (uint16_t)(type << 4 | 2));
	return function->config;
}

static inline uint8_t *bridge(struct p2pdma_bdf at, uint8_t type, uint8_t secondary,
                              uint8_t subordinate)
{
	uint8_t *config = add(at, PCI_HEADER_TYPE_BRIDGE, type);

	config[PCI_PRIMARY_BUS] = at.bus;
	config[PCI_SECONDARY_BUS] = secondary;
	config[PCI_SUBORDINATE_BUS] = subordinate;
	put16(config + PCI_MEMORY_BASE, 0xe000);
	put16(config + PCI_MEMORY_LIMIT, 0xeff0);
	return config;
}

static inline uint8_t *endpoint(struct p2pdma_bdf at)
{
	return add(at, PCI_HEADER_TYPE_NORMAL, PCI_EXP_TYPE_ENDPOINT);
}

/* The capture's JSON. */
static inline char *written(void)
{
	char *text;

	snapshot_finish(machine);
	assert_int_equal(snapshot_write_json(machine, 0, &text), 0);
	return text;
}

static inline int try_boot(const char *text, struct p2pdma_error *err, struct fabric **ret_fabric)
{
	struct source source = { .name = "FILE", .text = text, .err = err };
	struct fabric *fabric = fabric_new();
	struct snapshot *capture;
	int r = snapshot_read_text(text, strlen(text), "FILE", err, &capture);

	assert_non_null(fabric);
	if (!r) {
		snapshot_free(fabric->said);
		fabric->said = capture;
		r = fabric_from_capture(&source, fabric);
	}
	if (!r)
		r = fabric_boot(fabric, err);
	if (r)
		fabric = fabric_free(fabric);
	*ret_fabric = fabric;
	return r;
}

static inline struct fabric *boot(void)
{
	struct p2pdma_error err = { "" };
	struct fabric *fabric;
	char *text = written();

	if (try_boot(text, &err, &fabric))
		fail_msg("%s", err.text);
	free(text);
	return fabric;
}

static inline struct p2pdma_function *at(const struct fabric *fabric, struct p2pdma_bdf where)
{
	struct p2pdma_function *function = fabric_function(fabric, where);

	if (!function)
		fail_msg("no function on bus %02x", where.bus);
	return function;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

#endif
