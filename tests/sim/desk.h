/* SPDX-License-Identifier: MIT */
/*
 * desk.h - a machine with an engine, a card and two probes, for tests of models.
 */
#ifndef DESK_H
#define DESK_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine.h"

#define FABRIC(settings, below)                                                             \
	"{\"format\":\"p2pdma-fabric\",\"version\":1," settings "\"roots\":[{\"platform\":" \
	"{\"same_port\":\"rw\",\"across_ports\":\"rw\",\"across_sockets\":\"rw\"},"         \
	"\"below\":[{\"type\":\"switch\",\"link\":\"gen4 x16\",\"below\":[" below "]}]}]}"
#define ENGINE "{\"model\":\"dma\",\"name\":\"engine\",\"memory\":\"64K\",\"rings\":2}"
#define CARD   "{\"model\":\"mem\",\"name\":\"card\",\"size\":\"2M\"}"
#define PROBE  "{\"model\":\"probe\",\"name\":\"probe\",\"id\":0}"
#define ENTRY  "{\"model\":\"probe\",\"name\":\"doorbell\",\"id\":1,\"bar\":\"registers\"}"

#define NOWHERE 0x7f0000000000ull
#define MIB     (1u << 20)

struct desk {
	struct lab lab;
	struct engine engine;
	struct p2pdma_device *card_device;
	uint64_t card, probe, doorbell; /* addresses of their BARs */
	uint64_t data;                  /* of the engine's host memory */
};

static inline uint64_t bar_of(const struct p2pdma_device *device, unsigned int bar)
{
	uint64_t low = lab_get(device, 0x10 + 4 * bar, 4),
		 high = lab_get(device, 0x14 + 4 * bar, 4);

	return high << 32 | (low & ~0xfull);
}

static inline void open_desk(struct desk *desk, const char *json)
{
	*desk = (struct desk){ 0 };
	lab_open(&desk->lab, json, NULL);
	desk->card_device = lab_device(&desk->lab, "card");
	desk->card = lab_bar(desk->card_device);
	desk->probe = lab_bar(lab_device(&desk->lab, "probe"));
	desk->doorbell = lab_bar(lab_device(&desk->lab, "doorbell"));
	engine_open(&desk->engine, &desk->lab, lab_device(&desk->lab, "engine"), 0);
	desk->data = desk->engine.host_address + ENGINE_DATA;
}

static inline int set_up(void **state)
{
	*state = malloc(sizeof(struct desk));
	assert_non_null(*state);
	open_desk(*state, FABRIC("", ENGINE "," CARD "," PROBE "," ENTRY));
	return 0;
}

static inline int tear_down(void **state)
{
	struct desk *desk = *state;

	if (desk->engine.host)
		engine_close(&desk->engine);
	lab_close(&desk->lab);
	free(desk);
	return 0;
}

static inline void fill(uint8_t *bytes, size_t length, unsigned int seed)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)(seed = seed * 1103515245 + 12345 + (seed >> 16));
}

#define ON_DESK(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
