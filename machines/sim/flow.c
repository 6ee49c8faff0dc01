/* SPDX-License-Identifier: MIT */
/*
 * flow.c - streams of DMA, with data that proves that they arrive.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "demand.h"
#include "report.h"
#include "sim_private.h"

#define DEPTH_MOST 4096
/* A flow walks through no more than this, again and again. */
#define AREA_MOST (64ull << 20)
/* What a DMA carries begins at one of these places of its flow's pattern. */
#define SHIFTS     512
#define SHIFT_UNIT 8

#define BDF_FORMAT      "%04x:%02x:%02x.%x"
#define BDF_VALUES(bdf) (bdf).domain, (bdf).bus, (bdf).devfn >> 3, (bdf).devfn & 7

/* ---- latencies: exact below 512 ns, then within 1/256 ---- */

#define FINE_BITS 8
#define BUCKETS   ((65 - FINE_BITS) << FINE_BITS)

struct histogram {
	uint64_t count;
	uint64_t least;
	uint64_t buckets[BUCKETS];
};

static void histogram_add(struct histogram *histogram, uint64_t value)
{
	int shift = value >> FINE_BITS ? 63 - FINE_BITS - __builtin_clzll(value) : 0;

	if (!histogram->count++ || value < histogram->least)
		histogram->least = value;
	histogram->buckets[((uint64_t)shift << FINE_BITS) + (value >> shift)]++;
}

/* The least value that @percent of all do not exceed. */
static uint64_t histogram_at(const struct histogram *histogram, unsigned int percent)
{
	uint64_t above = histogram->count * (100 - percent) / 100, seen = 0, value;
	unsigned int bucket = 0, shift;

	while (bucket < BUCKETS - 1 &&
	       (seen += histogram->buckets[bucket]) + above < histogram->count)
		bucket++;
	shift = bucket >> FINE_BITS ? (bucket >> FINE_BITS) - 1 : 0;
	value = (uint64_t)(bucket - (shift << FINE_BITS)) << shift;
	return value > histogram->least ? value : histogram->least;
}

/* ---- flows ---- */

/* One DMA under way, and then the next. */
struct slot {
	struct dma dma;
	struct flow *flow;
	uint64_t number; /* of the DMA in its flow */
	uint8_t *buffer; /* of a read */
};

struct flow {
	struct run *run;
	const struct p2pdma_sim_flow *plan;
	struct p2pdma_function *client;
	struct p2pdma_function *provider; /* NULL: host memory */
	uint64_t address;                 /* of the area that it walks through */
	uint64_t area;                    /* bytes, a multiple of the plan's length */
	uint8_t *memory;                  /* what lies there; NULL: a function without memory */
	uint8_t *host;                    /* host memory of ours, or NULL */
	uint64_t mapped_at, mapped;       /* by the IOMMU; bytes */
	struct atc atc;
	uint8_t *pattern;
	uint8_t *buffers;
	struct slot *slots;
	unsigned int depth;
	uint64_t issued, arrived;  /* bytes */
	uint64_t arrived_at;       /* the last of those that did */
	enum p2pdma_sim_fate fate; /* of the first DMA that failed, at: */
	struct p2pdma_bdf at;
	struct histogram latency;
};

struct run {
	struct fabric *fabric;
	size_t flow_count;
	struct flow *flows;
	size_t under_way;
	uint64_t began;
	int error;
};

/* What a DMA carries: not what its neighbours do, nor what lay there before. */
static const uint8_t *pattern_of(const struct flow *flow, uint64_t number)
{
	uint64_t places = flow->area / flow->plan->length;

	if (flow->plan->op == P2PDMA_OP_READ)
		number %= places; /* what was put there once */
	return flow->pattern + (number + number / places) % SHIFTS * SHIFT_UNIT;
}

static void slot_retire(struct slot *slot, int error)
{
	slot->flow->run->under_way--;
	if (error && !slot->flow->run->error)
		slot->flow->run->error = error;
}

static void slot_begin(struct slot *slot);

/* A flow ends with the first DMA that fails: more of them would tell nothing new. */
static void flow_failed(struct flow *flow, const struct dma *dma)
{
	if (flow->fate != P2PDMA_SIM_ARRIVED)
		return;
	flow->fate = dma->fate;
	flow->at = dma->at;
}

static void slot_ended(struct fabric *fabric, void *arg)
{
	struct slot *slot = arg;
	struct flow *flow = slot->flow;
	struct dma *dma = &slot->dma;

	if (dma->op == P2PDMA_OP_READ && flow->memory &&
	    memcmp(slot->buffer, pattern_of(flow, slot->number), dma->length)) {
		if (dma->fate == P2PDMA_SIM_ARRIVED)
			dma->fate = P2PDMA_SIM_LOST;
	} else {
		flow->arrived += dma->arrived;
	}
	if (dma->fate == P2PDMA_SIM_ARRIVED) {
		histogram_add(&flow->latency, (fabric->now - dma->began) / PS_PER_NS);
		flow->arrived_at = fabric->now;
	}
	flow_failed(flow, dma);
	slot_begin(slot);
}

/* The next one begins when the last byte of this one is there. */
static void slot_over(struct dma *dma)
{
	if (clock_at(dma->client->fabric, dma->ended_at, slot_ended, dma))
		slot_retire((struct slot *)dma, -ENOMEM);
}

/* A packet of a write is at its target, and what lies there is what it carried. */
static bool slot_is_proven(const struct dma *dma, const struct packet *packet, struct p2pdma_bdf at)
{
	const struct slot *slot = (const struct slot *)dma;
	const struct flow *flow = slot->flow;
	uint64_t offset = packet->address - dma->address;

	if (packet->type != TLP_WRITE)
		return true;
	return (!flow->provider || bdf_is_same(at, flow->provider->bdf)) &&
	       (!flow->memory || (offset < dma->length && packet->length <= dma->length - offset &&
	                          !memcmp(flow->memory + (packet->address - flow->address),
	                                  dma->bytes + offset, packet->length)));
}

static void slot_begin(struct slot *slot)
{
	struct flow *flow = slot->flow;
	const struct p2pdma_sim_flow *plan = flow->plan;
	uint64_t rest = plan->bytes - flow->issued;
	struct dma *dma = &slot->dma;
	int r;

	if (!rest || flow->fate != P2PDMA_SIM_ARRIVED || flow->run->error) {
		slot_retire(slot, 0);
		return;
	}
	slot->number = flow->issued / plan->length;
	dma->address = flow->address + slot->number * plan->length % flow->area;
	dma->length = rest < plan->length ? rest : plan->length;
	dma->bytes =
		slot->buffer ? slot->buffer : (uint8_t *)(uintptr_t)pattern_of(flow, slot->number);
	flow->issued += dma->length;
	r = dma_begin(dma);
	if (!r)
		return;
	flow_failed(flow, dma);
	if (r != -EIO)
		flow->run->error = r;
	if (!dma->left)
		slot_retire(slot, 0);
}

/* As core/hazard.c chooses it for the same registers. */
static int largest_bar(const struct p2pdma_function *function)
{
	int best = -1;

	for (int i = 0; i < BAR_COUNT; i++) {
		const struct bar *bar = &function->bars[i];

		if (bar->kind != BAR_NONE && bar->kind != BAR_IO && bar->size &&
		    (best < 0 || bar->size > function->bars[best].size))
			best = i;
	}
	return best;
}

/* Flows to one memory get a part of it each, so that none spoils another's. */
static uint64_t part_of(const struct flow *flow, uint64_t size, uint64_t *ret_offset)
{
	const struct run *run = flow->run;
	uint64_t sharers = 0, before = 0, part;

	for (size_t i = 0; i < run->flow_count; i++) {
		if (run->flows[i].plan->is_dram ||
		    !bdf_is_same(run->flows[i].plan->provider, flow->plan->provider))
			continue;
		before += &run->flows[i] < flow;
		sharers++;
	}
	part = size / sharers;
	part -= part >= DMA_PAGE ? part % DMA_PAGE : 0;
	*ret_offset = before * part;
	return part;
}

/* Of @room bytes, those that it has a use for. */
static uint64_t area_of(const struct p2pdma_sim_flow *plan, uint64_t room)
{
	uint64_t most = plan->bytes < AREA_MOST ? plan->bytes + plan->length - 1 : AREA_MOST;

	room = room < most ? room : most;
	return room - room % plan->length;
}

static int open_bar(struct flow *flow, size_t index, struct p2pdma_error *err)
{
	const struct p2pdma_bdf bdf = flow->plan->provider;
	int bar = largest_bar(flow->provider);
	uint64_t offset = 0, room;

	if (bar < 0)
		return report(err, -EINVAL, "flow %zu: " BDF_FORMAT " has no memory BAR", index,
		              BDF_VALUES(bdf));
	room = flow->provider->bars[bar].size;
	if (flow->provider->bars[bar].kind == BAR_MEMORY) {
		room = part_of(flow, room, &offset);
		flow->memory = bar_memory(flow->provider, bar);
		if (!flow->memory)
			return -ENOMEM;
		flow->memory += offset;
	}
	flow->address = function_bar_base(flow->provider, bar) + offset;
	flow->area = area_of(flow->plan, room);
	if (!flow->area)
		return report(err, -EINVAL,
		              "flow %zu: %zu bytes at once, but of BAR%d of " BDF_FORMAT
		              " it has %llu",
		              index, flow->plan->length, bar, BDF_VALUES(bdf),
		              (unsigned long long)room);
	return 0;
}

static int open_host(struct flow *flow)
{
	size_t size;
	int r;

	flow->area = area_of(flow->plan, AREA_MOST);
	size = (flow->area + DMA_PAGE - 1) / DMA_PAGE * DMA_PAGE;
	flow->host = aligned_alloc(DMA_PAGE, size);
	if (!flow->host)
		return -ENOMEM;
	r = dram_register(flow->run->fabric, memset(flow->host, 0, size), size, &flow->address);
	if (!r)
		flow->memory = flow->host;
	return r;
}

/* Mapped where it is on the bus.  What the caller has mapped there already stays. */
static int open_iommu(struct flow *flow)
{
	struct fabric *fabric = flow->run->fabric;
	uint64_t first = flow->address / DMA_PAGE * DMA_PAGE;
	uint64_t length = (flow->address + flow->area - first + DMA_PAGE - 1) / DMA_PAGE * DMA_PAGE;
	int r;

	if (flow->plan->is_translated) {
		flow->atc.first = first;
		flow->atc.places = calloc(length / DMA_PAGE, sizeof(*flow->atc.places));
		if (!flow->atc.places)
			return -ENOMEM;
	}
	if (flow->client->iommu != P2PDMA_IOMMU_TRANSLATED)
		return 0;
	flow->mapped_at = first;
	r = iommu_map(fabric, flow->client->bdf, first, length, P2PDMA_OP_BOTH, true,
	              &flow->mapped_at);
	if (!r)
		flow->mapped = length;
	return r == -EEXIST ? 0 : r;
}

static int open_data(struct flow *flow, uint64_t seed)
{
	const struct p2pdma_sim_flow *plan = flow->plan;
	size_t length = plan->length + SHIFTS * SHIFT_UNIT;
	bool is_read = plan->op == P2PDMA_OP_READ;
	uint64_t count = (plan->bytes - 1) / plan->length + 1;
	struct fabric random = { .random = seed };

	flow->depth = count < plan->depth ? (unsigned int)count : plan->depth;
	flow->pattern = malloc(length);
	flow->slots = calloc(flow->depth, sizeof(*flow->slots));
	flow->buffers = is_read ? malloc(flow->depth * plan->length) : NULL;
	if (!flow->pattern || !flow->slots || (is_read && !flow->buffers))
		return -ENOMEM;
	for (size_t i = 0; i < length; i++)
		flow->pattern[i] = (uint8_t)fabric_random(&random);
	for (unsigned int i = 0; i < flow->depth; i++) {
		flow->slots[i].dma.client = flow->client;
		flow->slots[i].dma.op = plan->op;
		flow->slots[i].dma.is_translated = plan->is_translated;
		flow->slots[i].dma.atc = &flow->atc;
		flow->slots[i].dma.is_proven = slot_is_proven;
		flow->slots[i].dma.over = slot_over;
		flow->slots[i].flow = flow;
		flow->slots[i].buffer = is_read ? flow->buffers + i * plan->length : NULL;
	}
	for (uint64_t i = 0; is_read && flow->memory && i < flow->area / plan->length; i++)
		memcpy(flow->memory + i * plan->length, pattern_of(flow, i), plan->length);
	return 0;
}

static int flow_open(struct flow *flow, struct p2pdma_error *err)
{
	const struct p2pdma_sim_flow *plan = flow->plan;
	const struct fabric *fabric = flow->run->fabric;
	size_t index = (size_t)(flow - flow->run->flows) + 1;
	int r;

	if ((plan->op != P2PDMA_OP_READ && plan->op != P2PDMA_OP_WRITE) || !plan->bytes ||
	    !plan->length || plan->length > DMA_MOST || !plan->depth || plan->depth > DEPTH_MOST)
		return report(err, -EINVAL,
		              "flow %zu: expected a read or write of 1 to %u bytes, 1 to %u at "
		              "once, and some bytes in all",
		              index, DMA_MOST, DEPTH_MOST);
	flow->client = fabric_function(fabric, plan->client);
	flow->provider = plan->is_dram ? NULL : fabric_function(fabric, plan->provider);
	if (!flow->client || (!flow->provider && !plan->is_dram))
		return report(err, -ENODEV, "flow %zu: no function " BDF_FORMAT, index,
		              BDF_VALUES(flow->client ? plan->provider : plan->client));
	if (plan->is_translated && !function_ats_is_on(flow->client))
		return report(err, -EINVAL,
		              "flow %zu: translated, but ATS of " BDF_FORMAT " is off", index,
		              BDF_VALUES(plan->client));
	r = plan->is_dram ? open_host(flow) : open_bar(flow, index, err);
	r = r ? r : open_data(flow, index);
	r = r ? r : open_iommu(flow);
	return r == -ENOMEM || r == -ENOSPC ? report(err, -ENOMEM, "out of memory") : r;
}

static struct p2pdma_sim_flow_result result_of(const struct flow *flow)
{
	uint64_t began = flow->run->began;

	return (struct p2pdma_sim_flow_result){
		.bytes = flow->arrived,
		.has_arrived = flow->arrived == flow->plan->bytes,
		.fate = flow->fate,
		.at = flow->at,
		.duration = flow->arrived_at ? (flow->arrived_at - began) / PS_PER_NS : 0,
		.latency_min = flow->latency.least,
		.latency_p50 = histogram_at(&flow->latency, 50),
		.latency_p99 = histogram_at(&flow->latency, 99),
	};
}

static void flow_close(struct flow *flow)
{
	struct fabric *fabric = flow->run->fabric;
	uint64_t phys;

	if (flow->mapped)
		iommu_unmap(fabric, flow->client->bdf, flow->mapped_at, flow->mapped, &phys);
	if (flow->host && flow->memory)
		dram_unregister(fabric, flow->address);
	free(flow->host);
	free(flow->pattern);
	free(flow->buffers);
	free(flow->slots);
	free(flow->atc.places);
}

int p2pdma_sim_run(struct p2pdma_sim *sim, const struct p2pdma_sim_flow *flows, size_t count,
                   struct p2pdma_error *err, struct p2pdma_sim_flow_result *ret_results)
{
	struct run run = { .fabric = sim->fabric, .flow_count = count };
	int r = 0;

	run.flows = calloc(count + 1, sizeof(*run.flows));
	if (!run.flows)
		return report(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++) {
		run.flows[i].run = &run;
		run.flows[i].plan = &flows[i];
	}
	pthread_mutex_lock(&sim->fabric->lock);
	for (size_t i = 0; !r && i < count; i++)
		r = flow_open(&run.flows[i], err);
	run.began = sim->fabric->now;
	for (unsigned int i = 0; !r && i < DEPTH_MOST; i++) { /* in turns */
		for (size_t j = 0; j < count; j++) {
			if (i >= run.flows[j].depth)
				continue;
			run.under_way++;
			slot_begin(&run.flows[j].slots[i]);
		}
	}
	while (run.under_way && clock_step(sim->fabric, NEVER))
		;
	if (run.error)
		r = report(err, run.error, "out of memory");
	for (size_t i = 0; i < count; i++) {
		if (!r)
			ret_results[i] = result_of(&run.flows[i]);
		flow_close(&run.flows[i]);
	}
	pthread_mutex_unlock(&sim->fabric->lock);
	free(run.flows);
	return r;
}
