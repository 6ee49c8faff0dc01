/* SPDX-License-Identifier: MIT */
/*
 * The simulated fabric: bytes against memcpy of the same bytes, TLPs a second, boot, and what a TLP
 * costs as the way gets longer and the machine wider.
 */
#include <p2pdma/device.h>
#include <p2pdma/sim.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

#define RUNS     7
#define TRANSFER (1u << 20)
#define TARGET   (64u << 20)
#define DOMAINS  9

#define DRIVE "{\"model\":\"mem\",\"size\":\"64M\",\"link\":\"gen4 x4\"}"

/* ---- fabric files ---- */

static FILE *file_new(char path[32])
{
	FILE *file;

	strcpy(path, "/tmp/bench-sim-XXXXXX");
	file = fdopen(mkstemp(path), "w");
	if (!file)
		abort();
	fputs("{\"format\":\"p2pdma-fabric\",\"version\":1,\"roots\":[", file);
	return file;
}

static struct p2pdma_machine *file_open(FILE *file, char path[32])
{
	struct p2pdma_machine *machine;
	struct p2pdma_error err;
	char spec[64];

	fputs("]}\n", file);
	if (fclose(file))
		abort();
	snprintf(spec, sizeof(spec), "sim:%s", path);
	if (p2pdma_machine_open(spec, &err, &machine)) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	unlink(path);
	return machine;
}

/* A drive beside @depth - 1 switches, one below the other, with a drive below the last. */
static void put_chain(FILE *file, int depth)
{
	fputs("{\"type\":\"switch\",\"link\":\"gen4 x16\",\"below\":[" DRIVE ",", file);
	if (depth > 1)
		put_chain(file, depth - 1);
	else
		fputs(DRIVE, file);
	fputs("]}", file);
}

/* A switch with @ports devices of @functions functions. */
static void put_switch(FILE *file, int ports, int functions)
{
	fputs("{\"type\":\"switch\",\"link\":\"gen4 x16\",\"below\":[", file);
	for (int i = 0; i < ports; i++) {
		fprintf(file, "%s{\"type\":\"device\",\"link\":\"gen4 x4\",\"functions\":[",
		        i ? "," : "");
		for (int j = 0; j < functions; j++)
			fprintf(file, "%s{\"model\":\"mem\",\"size\":\"64K\"}", j ? "," : "");
		fputs("]}", file);
	}
	fputs("]}", file);
}

static struct p2pdma_machine *chain(int depth)
{
	char path[32];
	FILE *file = file_new(path);

	fputs("{\"platform\":\"forwards\",\"below\":[", file);
	put_chain(file, depth);
	fputs("]}", file);
	return file_open(file, path);
}

/* Root complexes, one a domain, of @switches switches with @ports devices of @functions each. */
static struct p2pdma_machine *forest(int domains, int switches, int ports, int functions)
{
	char path[32];
	FILE *file = file_new(path);

	for (int i = 0; i < domains; i++) {
		fprintf(file, "%s{\"platform\":\"forwards\",\"domain\":%d,\"below\":[",
		        i ? "," : "", i);
		for (int j = 0; j < switches; j++) {
			fputs(j ? "," : "", file);
			put_switch(file, ports, functions);
		}
		fputs("]}", file);
	}
	return file_open(file, path);
}

/* ---- flows ---- */

/* From the last function with a model, or one on the next bus, to the first. */
static struct p2pdma_sim_flow flow_of(struct p2pdma_machine *machine, struct p2pdma_sim *sim,
                                      bool is_near)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };
	struct p2pdma_sim_flow flow = { .op = P2PDMA_OP_WRITE, .depth = 4 };
	bool has_first = false;

	for (size_t i = 0; i < p2pdma_machine_device_count(machine); i++) {
		p2pdma_device_get_info(p2pdma_machine_device(machine, i), &info);
		if (!p2pdma_sim_model_name(sim, info.bdf))
			continue;
		if (!has_first)
			flow.provider = info.bdf;
		has_first = true;
		flow.client = info.bdf;
		if (is_near && flow.client.bus != flow.provider.bus)
			break;
	}
	return flow;
}

static struct p2pdma_sim *sim_of(struct p2pdma_machine *machine)
{
	struct p2pdma_sim *sim;

	if (p2pdma_machine_sim(machine, &sim))
		abort();
	return sim;
}

struct cost {
	double seconds;
	double hops; /* TLPs received, over all hops */
};

static struct cost run_flow(struct p2pdma_sim *sim, const struct p2pdma_sim_flow *flow)
{
	struct p2pdma_sim_totals before = { .size = sizeof(before) }, after = before;
	struct p2pdma_sim_flow_result result;
	struct p2pdma_error err;
	struct cost cost;

	p2pdma_sim_get_totals(sim, &before);
	cost.seconds = seconds();
	if (p2pdma_sim_run(sim, flow, 1, &err, &result) || !result.has_arrived) {
		fprintf(stderr, "a flow did not arrive\n");
		abort();
	}
	cost.seconds = seconds() - cost.seconds;
	p2pdma_sim_get_totals(sim, &after);
	cost.hops = (double)(after.tlp_hops - before.tlp_hops);
	return cost;
}

/* The median of several. */
static struct cost run_flows(struct p2pdma_sim *sim, const struct p2pdma_sim_flow *flow)
{
	struct cost cost = run_flow(sim, flow);
	double runs[RUNS];

	for (int i = 0; i < RUNS; i++)
		runs[i] = run_flow(sim, flow).seconds;
	cost.seconds = median(runs, RUNS);
	return cost;
}

/* Transfers one after the other, with nothing checked. */
static double run_dmas(struct p2pdma_sim *sim, const struct p2pdma_sim_flow *flow, uint64_t address,
                       uint8_t *bytes)
{
	struct p2pdma_sim_outcome outcome = { .size = sizeof(outcome) };
	struct p2pdma_sim_dma dma = {
		.client = flow->client,
		.op = flow->op,
		.length = TRANSFER,
		.bytes = bytes,
	};
	double start = seconds();

	for (uint64_t at = 0; at < flow->bytes; at += TRANSFER) {
		dma.address.addr = address + at % TARGET;
		if (p2pdma_sim_dma(sim, &dma, &outcome) || outcome.fate != P2PDMA_SIM_ARRIVED)
			abort();
	}
	return seconds() - start;
}

static void bench_bytes(void)
{
	struct p2pdma_machine *machine = chain(1);
	struct p2pdma_sim *sim = sim_of(machine);
	struct p2pdma_sim_flow flow = flow_of(machine, sim, false);
	uint8_t *source = malloc(TRANSFER), *target = malloc(TARGET);
	double copies[RUNS], dmas[RUNS], flows[RUNS], gib;
	struct p2pdma_device *device;
	struct p2pdma_bar bar;

	if (!source || !target || p2pdma_machine_find(machine, flow.provider, &device) ||
	    p2pdma_device_bar(device, 0, &bar))
		abort();
	memset(source, 1, TRANSFER);
	memset(target, 2, TARGET);
	flow.length = TRANSFER;
	flow.bytes = 512u << 20;
	gib = (double)flow.bytes / (1 << 30);
	run_flow(sim, &flow);
	for (int i = 0; i < RUNS; i++) {
		copies[i] = seconds();
		for (uint64_t at = 0; at < flow.bytes; at += TRANSFER) {
			memcpy(target + at % TARGET, source, TRANSFER);
			__asm__ volatile("" ::"r"(target) : "memory");
		}
		copies[i] = seconds() - copies[i];
		dmas[i] = run_dmas(sim, &flow, bar.bus.addr, source);
		flows[i] = run_flow(sim, &flow).seconds;
	}
	copies[0] = median(copies, RUNS);
	dmas[0] = median(dmas, RUNS);
	flows[0] = median(flows, RUNS);
	printf("1 MiB writes to a peer below one switch, GiB/s and share of memcpy; median of %d\n"
	       "  memcpy %6.2f   DMA %6.2f (%.2f)   flow, proven %6.2f (%.2f)\n\n",
	       RUNS, gib / copies[0], gib / dmas[0], copies[0] / dmas[0], gib / flows[0],
	       copies[0] / flows[0]);
	free(source);
	free(target);
	p2pdma_machine_close(machine);
}

static void bench_tlps(void)
{
	struct p2pdma_machine *machine = chain(1);
	struct p2pdma_sim *sim = sim_of(machine);
	struct p2pdma_sim_flow flow = flow_of(machine, sim, false);
	struct cost cost;

	printf("million TLP-hops a second, below one switch\n ");
	for (int i = 0; i < 4; i++) {
		flow.op = i & 1 ? P2PDMA_OP_READ : P2PDMA_OP_WRITE;
		flow.length = i & 2 ? TRANSFER : 64;
		flow.bytes = i & 2 ? 256u << 20 : 8u << 20;
		flow.depth = 32;
		cost = run_flows(sim, &flow);
		printf(" %s of %s %.2f%s", i & 1 ? "reads" : "writes", i & 2 ? "1 MiB" : "64 bytes",
		       cost.hops / cost.seconds * 1e-6, i < 3 ? "," : "\n\n");
	}
	p2pdma_machine_close(machine);
}

static void bench_boot(void)
{
	double start = seconds(), all;
	struct p2pdma_machine *machine = forest(DOMAINS, 15, 8, 8);
	size_t count = p2pdma_machine_device_count(machine);

	all = seconds() - start;
	p2pdma_machine_close(machine);
	printf("boot of %zu functions: %.3f s\n\n", count, all);
}

static void print_tlp_cost(struct p2pdma_machine *machine, bool is_near)
{
	struct p2pdma_sim *sim = sim_of(machine);
	struct p2pdma_sim_flow flow = flow_of(machine, sim, is_near);
	struct cost cost;

	flow.length = 64;
	flow.bytes = 4u << 20;
	cost = run_flows(sim, &flow);
	printf("%8zu %10.1f %10.1f %10.1f\n", p2pdma_machine_device_count(machine),
	       cost.hops / (double)(flow.bytes / flow.length),
	       cost.seconds / (double)(flow.bytes / flow.length) * 1e9,
	       cost.seconds / cost.hops * 1e9);
	p2pdma_machine_close(machine);
}

int main(void)
{
	static const struct {
		int switches, ports, functions;
	} widths[] = { { 1, 2, 1 }, { 1, 8, 1 }, { 1, 8, 8 }, { 1, 28, 8 }, { 4, 28, 8 } };

	bench_bytes();
	bench_tlps();
	bench_boot();
	printf("64-byte writes, nanoseconds; median of %d\n"
	       "functions   hops/TLP     ns/TLP     ns/hop\n",
	       RUNS);
	for (int depth = 1; depth <= 8; depth++)
		print_tlp_cost(chain(depth), false);
	printf("wider\n");
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++)
		print_tlp_cost(forest(1, widths[i].switches, widths[i].ports, widths[i].functions),
		               true);
	return 0;
}
