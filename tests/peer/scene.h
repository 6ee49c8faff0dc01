/* SPDX-License-Identifier: MIT */
/*
 * scene.h - machines for the tests of peer memory, and what most of them do first.
 */
#ifndef SCENE_H
#define SCENE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "lab.h"
#include <p2pdma/cpu.h>
#include <p2pdma/find.h>
#include <p2pdma/map.h>
#include <p2pdma/p2pmem.h>

#define PAGE 4096u
#define MIB  (1u << 20)

/* One root complex that forwards everything, a switch, and what is below it. */
#define SWITCH(extra, below)                                               \
	"{\"format\":\"p2pdma-fabric\",\"version\":1," extra "\"roots\":[" \
	"{\"platform\":\"intel-skylake-sp\",\"below\":["                   \
	"{\"type\":\"switch\",\"below\":[" below "]}]}]}"

static inline struct p2pdma_device *open_device(const struct lab *lab, const char *name)
{
	struct p2pdma_device *device = lab_device(lab, name);

	assert_int_equal(p2pdma_device_open(device, NULL), 0);
	lab_change(device, COMMAND, 0, COMMAND_MEMORY | COMMAND_MASTER);
	return device;
}

static inline struct p2pdma_provider *add_all(struct p2pdma_device *device)
{
	struct p2pdma_provider *provider = NULL;

	assert_int_equal(p2pdma_add_resource(device, 0, 0, 0, NULL, NULL, &provider), 0);
	return provider;
}

static inline struct p2pdma_provider_info info_of(struct p2pdma_provider *provider)
{
	struct p2pdma_provider_info info = { .size = sizeof(info) };

	assert_int_equal(p2pdma_provider_get_info(provider, &info), 0);
	return info;
}

static inline struct p2pmem_buf alloc(struct p2pdma_provider *provider, uint64_t size)
{
	struct p2pmem_buf buf;

	assert_int_equal(p2pmem_alloc(provider, size, 0, &buf), 0);
	return buf;
}

/* Maps one buffer; aborts where that is refused. */
static inline struct p2pdma_mapping *map_buf(struct p2pdma_device *client, struct p2pmem_buf buf,
                                             enum p2pdma_op op, uint64_t *ret_address)
{
	struct p2pdma_sg sg = p2pdma_sg_buf(buf);
	const struct p2pdma_dma_segment *segments;
	struct p2pdma_mapping *mapping = NULL;
	struct p2pdma_error err = { "" };
	size_t count;

	if (p2pdma_map_sg(client, &sg, 1, op, 0, &err, &mapping))
		fail_msg("%s", err.text);
	segments = p2pdma_mapping_segments(mapping, &count);
	assert_int_equal(count, 1);
	assert_int_equal(segments[0].length, buf.size);
	*ret_address = segments[0].address.addr;
	return mapping;
}

static inline void pull(struct lab *lab, const struct p2pdma_device *device, const char *what)
{
	char json[128];

	snprintf(json, sizeof(json), "{\"at_ns\":0,\"do\":\"%s\",\"device\":\"%s\"}", what,
	         lab_text(lab_bdf(device)));
	assert_int_equal(p2pdma_sim_fault(lab->sim, json, NULL), 0);
	lab_run(lab, 1000);
}

#endif
