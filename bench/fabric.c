/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "fabric.h"

#define ROOTS_PER_DOMAIN 15
#define VFS              8

#define ENDPOINT   0
#define ROOT_PORT  4
#define UPSTREAM   5
#define DOWNSTREAM 6

#define EXP_AT   0x70
#define ACS_AT   0x100
#define BAR_SIZE (1 << 24)
#define SRIOV_AT 0x140

/* SrcValid, ReqRedir, CmpltRedir, UpstreamFwd: as Linux sets them under an IOMMU. */
#define ISOLATED 0x1d

struct builder {
	struct snapshot *snapshot;
	uint32_t domain;
	unsigned int last_bus;
	uint64_t next_bar;
};

static void put(uint8_t *config, size_t at, size_t bytes, uint64_t value)
{
	for (size_t i = 0; i < bytes; i++)
		config[at + i] = (uint8_t)(value >> 8 * i);
}

static uint8_t *add(struct builder *builder, unsigned int bus, unsigned int devfn, uint32_t ids)
{
	struct p2pdma_bdf bdf = { builder->domain, (uint8_t)bus, (uint8_t)devfn };
	struct snapshot_function *function;
	bool is_new;

	if (snapshot_add(builder->snapshot, bdf, &is_new, &function) || !is_new)
		abort();
	function->config = calloc(1, SNAPSHOT_CONFIG_SIZE);
	if (!function->config)
		abort();
	function->config_len = SNAPSHOT_CONFIG_SIZE;
	function->iommu = P2PDMA_IOMMU_TRANSLATED;
	put(function->config, 0x00, 4, ids);
	put(function->config, 0x04, 4, 0x00100006);
	return function->config;
}

static uint8_t *add_pcie(struct builder *builder, unsigned int bus, unsigned int devfn,
                         uint32_t ids, unsigned int type)
{
	uint8_t *config = add(builder, bus, devfn, ids);

	config[0x34] = EXP_AT;
	put(config, EXP_AT, 4, 0x10 | (type << 4 | 2) << 16);
	put(config, EXP_AT + 0x08, 2, 1 << 5);
	put(config, EXP_AT + 0x0c, 4, 0x103 | (uint64_t)(devfn >> 3) << 24);
	put(config, EXP_AT + 0x12, 2, 0x103);
	return config;
}

/* With a window for the next @endpoints.  Returns the bus below. */
static unsigned int add_bridge(struct builder *builder, unsigned int bus, unsigned int device,
                               unsigned int type, unsigned int acs, unsigned int endpoints)
{
	uint8_t *config = add_pcie(builder, bus, device << 3, 0x979710b5, type);
	uint64_t base = builder->next_bar, limit = base + (uint64_t)endpoints * BAR_SIZE - 1;

	config[0x0e] = 1;
	config[0x18] = (uint8_t)bus;
	config[0x19] = (uint8_t)++builder->last_bus;
	put(config, 0x20, 4, 0x0000fff0);
	put(config, 0x24, 2, (base >> 16 & 0xfff0) | 1);
	put(config, 0x26, 2, (limit >> 16 & 0xfff0) | 1);
	put(config, 0x28, 4, base >> 32);
	put(config, 0x2c, 4, limit >> 32);
	put(config, ACS_AT, 4, 0x1000d);
	put(config, ACS_AT + 4, 4, 0x5f | (uint64_t)acs << 16);
	return builder->last_bus;
}

static uint8_t *add_endpoint(struct builder *builder, unsigned int bus, unsigned int devfn,
                             uint32_t ids)
{
	uint8_t *config = add_pcie(builder, bus, devfn, ids, ENDPOINT);

	put(config, 0x10, 8, builder->next_bar | 0xc);
	builder->next_bar += BAR_SIZE;
	return config;
}

static void add_nic(struct builder *builder, unsigned int bus)
{
	uint8_t *config = add_endpoint(builder, bus, 0, 0x101715b3);

	put(config, ACS_AT, 4, 0x1000d | (uint64_t)SRIOV_AT << 20);
	put(config, ACS_AT + 4, 4, 0);
	put(config, SRIOV_AT, 4, 0x10010);
	put(config, SRIOV_AT + 0x08, 2, 0x9);
	put(config, SRIOV_AT + 0x10, 2, VFS);
	put(config, SRIOV_AT + 0x14, 4, 0x10001);
	for (unsigned int i = 1; i <= VFS; i++)
		add_pcie(builder, bus, i, 0xffffffff, ENDPOINT);
}

static void add_root(struct builder *builder, unsigned int bus, unsigned int acs)
{
	unsigned int below, inner;

	builder->last_bus = bus;
	add(builder, bus, 0, 0x20208086);
	below = add_bridge(builder, bus, 1, ROOT_PORT, ISOLATED, 10);
	below = add_bridge(builder, below, 0, UPSTREAM, 0, 10);
	for (unsigned int i = 0; i < 2; i++)
		add_nic(builder, add_bridge(builder, below, i, DOWNSTREAM, acs, 1));
	for (unsigned int i = 2; i < 4; i++) {
		inner = add_bridge(builder, below, i, DOWNSTREAM, acs, 4);
		inner = add_bridge(builder, inner, 0, UPSTREAM, 0, 4);
		for (unsigned int j = 0; j < 4; j++)
			add_endpoint(builder, add_bridge(builder, inner, j, DOWNSTREAM, 0, 1), 0,
			             0xa822144d);
	}
}

struct snapshot *bench_fabric(size_t count)
{
	struct builder builder = { snapshot_new(), 0, 0, 0x200000000000 };

	if (!builder.snapshot)
		abort();
	for (unsigned int n = 0; builder.snapshot->function_count < count; n++) {
		if (n % ROOTS_PER_DOMAIN == 0) {
			builder.domain = n / ROOTS_PER_DOMAIN;
			builder.last_bus = 0;
		}
		add_root(&builder, builder.last_bus ? builder.last_bus + 1 : 0,
		         n % 2 ? ISOLATED : 0);
	}
	snapshot_finish(builder.snapshot);
	return builder.snapshot;
}
