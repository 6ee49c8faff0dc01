/* SPDX-License-Identifier: MIT */
/*
 * stage.h - one hand-made machine and what happened on it, as assertions.
 *
 * Names: "p" is the function that the file calls so, "^p" the port above it, "^^p" the one above
 * that; "root" a root complex.
 */
#ifndef STAGE_H
#define STAGE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "lab.h"

#define PAGE 4096

struct stage {
	struct lab lab;
	uint8_t bytes[PAGE]; /* of the last DMA */
	struct p2pdma_sim_outcome last;
};

/* What begins and ends every file here. */
#define FABRIC(settings, roots) \
	"{\"format\":\"p2pdma-fabric\",\"version\":1," settings "\"roots\":[" roots "]}"
#define POLICY(same, ports, sockets, more)                                   \
	"\"platform\":{\"same_port\":\"" same "\",\"across_ports\":\"" ports \
	"\",\"across_sockets\":\"" sockets "\"" more "}"
#define OPEN_ROOT POLICY("rw", "rw", "rw", "")
#define PROBE(name, id, more) \
	"{\"type\":\"endpoint\",\"name\":\"" name "\",\"model\":\"probe\",\"id\":" #id more "}"

static inline void open_stage(struct stage *stage, const char *json)
{
	*stage = (struct stage){ 0 };
	lab_open(&stage->lab, json, NULL);
}

static inline void close_stage(struct stage *stage)
{
	lab_close(&stage->lab);
}

static inline struct p2pdma_device *named(const struct stage *stage, const char *name)
{
	struct p2pdma_device *device = lab_device(&stage->lab, name + strspn(name, "^"));

	for (; *name == '^'; name++)
		device = p2pdma_device_parent(device);
	assert_non_null(device);
	return device;
}

static inline struct p2pdma_bdf bdf_of(const struct stage *stage, const char *name)
{
	return lab_bdf(named(stage, name));
}

static inline uint64_t bar_of(const struct stage *stage, const char *name)
{
	return lab_bar(named(stage, name));
}

static inline struct probe *probe_of(const struct stage *stage, const char *name)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };

	assert_int_equal(p2pdma_device_get_info(named(stage, name), &info), 0);
	return lab_probe(info.device - 0x1000u);
}

/* A whole page to or from @address; what is written, and what lay there, differs each time. */
static inline void dma_at(struct stage *stage, const char *client, enum p2pdma_op op,
                          uint64_t address, size_t length, bool is_translated)
{
	static uint8_t seed;

	for (size_t i = 0; i < PAGE; i++)
		stage->bytes[i] = (uint8_t)(i * 7 + i / 256 + seed);
	seed += 13;
	lab_skip_events(&stage->lab);
	stage->last =
		(is_translated ? lab_dma_translated : lab_dma)(&stage->lab, bdf_of(stage, client),
	                                                       op, address, length, stage->bytes);
}

static inline void dma(struct stage *stage, const char *client, enum p2pdma_op op,
                       const char *provider)
{
	struct probe *probe = probe_of(stage, provider);

	memset(probe->memory, probe->memory[0] + 1, PAGE);
	dma_at(stage, client, op, bar_of(stage, provider), PAGE, false);
}

static inline void writes(struct stage *stage, const char *client, const char *provider)
{
	dma(stage, client, P2PDMA_OP_WRITE, provider);
}

static inline void reads(struct stage *stage, const char *client, const char *provider)
{
	dma(stage, client, P2PDMA_OP_READ, provider);
}

static inline bool has_bytes(const struct stage *stage, const char *provider)
{
	return !memcmp(probe_of(stage, provider)->memory, stage->bytes, PAGE);
}

/* It arrived, with its bytes, and nobody complained. */
static inline void arrived(struct stage *stage, const char *provider)
{
	struct p2pdma_sim_event event;

	assert_int_equal(stage->last.fate, P2PDMA_SIM_ARRIVED);
	assert_int_equal(stage->last.status, P2PDMA_DMA_OK);
	assert_int_equal(stage->last.bytes, PAGE);
	assert_true(has_bytes(stage, provider));
	assert_false(lab_event(&stage->lab, &event));
}

static inline struct p2pdma_bdf place(const struct stage *stage, const char *at)
{
	const char *space = strchr(at, ' ');

	return space ? p2pdma_device_root_bus(named(stage, space + 1)) : bdf_of(stage, at);
}

/* It ended @at ("root p": at p's root complex), which logged @kind and, if @aer, has that bit set.
 */
static inline void ended(struct stage *stage, const char *at, enum p2pdma_sim_fate fate,
                         enum p2pdma_dma_status status, enum p2pdma_sim_event_kind kind,
                         uint32_t aer)
{
	if (stage->last.fate != fate || !lab_same(stage->last.at, place(stage, at)))
		fail_msg("fate %d at %s, expected %d at %s", stage->last.fate,
		         lab_text(stage->last.at), fate, at);
	assert_int_equal(stage->last.status, status);
	assert_int_equal(stage->last.bytes, 0);
	assert_true(lab_same(stage->last.at, place(stage, at)));
	assert_true(lab_logged(&stage->lab, kind, place(stage, at)));
	if (aer)
		assert_int_equal(lab_errors(named(stage, at)), aer);
}

/* Both of @client to @provider are refused as unsupported by @at. */
static inline void both_unsupported(struct stage *stage, const char *client, const char *provider,
                                    const char *at)
{
	uint32_t aer = strncmp(at, "root ", 5) ? AER_BIT_UR : 0;

	writes(stage, client, provider);
	ended(stage, at, P2PDMA_SIM_UR, P2PDMA_DMA_OK, P2PDMA_SIM_EVENT_UR, aer);
	assert_false(has_bytes(stage, provider));
	reads(stage, client, provider);
	ended(stage, at, P2PDMA_SIM_UR, P2PDMA_DMA_UR, P2PDMA_SIM_EVENT_UR, aer);
}

/* @way: names in the order of the hops, each with a blank behind. */
static inline void went(const struct stage *stage, bool is_completion, const char *way)
{
	const struct p2pdma_sim_outcome *last = &stage->last;
	size_t at = 0;

	for (; *way; way += strcspn(way, " ") + 1) {
		char name[32];

		while (at < last->hop_count && last->hops[at].is_completion != is_completion)
			at++;
		assert_true(at < last->hop_count);
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(way, " "), way);
		if (!strcmp(name, "root"))
			assert_true(last->hops[at].is_root);
		else if (last->hops[at].is_root ||
		         !lab_same(last->hops[at].port, bdf_of(stage, name)))
			fail_msg("hop %zu is %s, expected %s", at,
			         last->hops[at].is_root ? "root" : lab_text(last->hops[at].port),
			         name);
		at++;
	}
	while (at < last->hop_count && last->hops[at].is_completion != is_completion)
		at++;
	assert_int_equal(at, last->hop_count);
}

static inline void requested(const struct stage *stage, const char *way)
{
	went(stage, false, way);
}

static inline void completed(const struct stage *stage, const char *way)
{
	went(stage, true, way);
}

#endif
