/* SPDX-License-Identifier: MIT */
/*
 * sim_report.c - what came of flows: each of them, links, host memory, errors.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "sim.h"

#define FEW_EVENTS 10

static const char *end_text(const struct p2pdma_sim_flow *flow, char text[BDF_TEXT])
{
	return flow->is_dram ? "dram" : address_text(flow->provider, text);
}

static const char *op_text(const struct p2pdma_sim_flow *flow)
{
	return flow->op == P2PDMA_OP_READ ? "read" : "write";
}

static uint64_t speed_of(const struct p2pdma_sim_flow_result *result)
{
	double seconds = (double)result->duration * 1e-9;

	return result->duration ? (uint64_t)((double)result->bytes / seconds + 0.5) : 0;
}

static bool has_speed(const struct p2pdma_sim_flow_result *result)
{
	return result->bytes && result->duration;
}

/* Whether any DMA has ended well: else no latency was measured. */
static bool has_latency(const struct p2pdma_sim_flow_result *result)
{
	return result->has_arrived || result->latency_p99;
}

/* Of the time until the last arrival; what fails or is acknowledged after it is on its way, too. */
static double utilisation(const struct sim_run *run, const struct p2pdma_sim_wire *wire)
{
	return wire->busy < run->elapsed ? (double)wire->busy / (double)run->elapsed : 1;
}

/* The event at @index or the next that is kept; false: there is none. */
static bool next_event(const struct sim_run *run, uint64_t *index, struct p2pdma_sim_event *event)
{
	int r = -ENOENT;

	while (r == -ENOENT)
		r = p2pdma_sim_event(run->sim, (*index)++, event);
	return !r;
}

#define ARRIVED_TEXT 80

static const char *arrived_text(const struct sim_run *run, size_t i, char text[ARRIVED_TEXT])
{
	const struct p2pdma_sim_flow_result *result = &run->results[i];
	char all[SIZE_TEXT], at[BDF_TEXT];

	size_text(run->flows[i].bytes, all);
	if (result->has_arrived)
		snprintf(text, ARRIVED_TEXT, "all of %s", all);
	else
		snprintf(text, ARRIVED_TEXT, "%" PRIu64 " of %s, %s at %s", result->bytes, all,
		         p2pdma_sim_fate_text(result->fate), address_text(result->at, at));
	return text;
}

static void print_flow(const struct sim_run *run, size_t i, int width)
{
	const struct p2pdma_sim_flow *flow = &run->flows[i];
	const struct p2pdma_sim_flow_result *result = &run->results[i];
	char from[BDF_TEXT], to[BDF_TEXT], size[SIZE_TEXT], arrived[ARRIVED_TEXT];

	printf("%s -> %-12s  %-5s  %5s  %5u  %-*s", address_text(flow->client, from),
	       end_text(flow, to), op_text(flow), size_text(flow->length, size), flow->depth, width,
	       arrived_text(run, i, arrived));
	if (has_speed(result))
		printf("  %7.3f", (double)speed_of(result) * 1e-9);
	else
		printf("  %7s", "-");
	if (has_latency(result))
		printf("  %8" PRIu64 "  %8" PRIu64 "  %8" PRIu64 "\n", result->latency_min,
		       result->latency_p50, result->latency_p99);
	else
		printf("  %8s  %8s  %8s\n", "-", "-", "-");
}

static void print_wire(const struct sim_run *run, struct p2pdma_bdf port, const char *direction,
                       const struct p2pdma_sim_wire *wire)
{
	char bdf[BDF_TEXT];

	if (!wire->bytes)
		return;
	printf("%s  %-9s  %15" PRIu64 "  ", address_text(port, bdf), direction, wire->bytes);
	if (run->elapsed)
		printf("%5.1f %%\n", 100 * utilisation(run, wire));
	else
		printf("%7s\n", "-");
}

static void print_event(const struct p2pdma_sim_event *event)
{
	char at[BDF_TEXT], requester[BDF_TEXT];

	printf("%12" PRIu64 " ns  %-10s at %s", event->time, p2pdma_sim_event_text(event->kind),
	       address_text(event->at, at));
	if (strcmp(at, address_text(event->requester, requester)) != 0)
		printf(", request of %s", requester);
	if (event->address)
		printf(", address 0x%" PRIx64, event->address);
	printf("\n");
}

void sim_print_text(const struct sim_run *run)
{
	struct p2pdma_sim_totals totals = { .size = sizeof(totals) };
	struct p2pdma_sim_link link = { .size = sizeof(link) };
	struct p2pdma_sim_event event;
	uint64_t index = 0, count = 0;
	char text[ARRIVED_TEXT];
	size_t width = 12, pending;

	for (size_t i = 0; i < run->count; i++)
		if (strlen(arrived_text(run, i, text)) > width)
			width = strlen(text);
	printf("%-28s  %-5s  %5s  %5s  %-*s  %7s  %8s  %8s  %8s\n", "FLOW", "OP", "SIZE", "DEPTH",
	       (int)width, "ARRIVED", "GB/s", "MIN ns", "P50 ns", "P99 ns");
	for (size_t i = 0; i < run->count; i++)
		print_flow(run, i, (int)width);
	printf("\n%-12s  %-9s  %15s  %7s\n", "LINK BELOW", "DIRECTION", "BYTES", "BUSY");
	for (size_t i = 0; !p2pdma_sim_link(run->sim, i, &link); i++) {
		print_wire(run, link.port, "down", &link.down);
		print_wire(run, link.port, "up", &link.up);
	}
	p2pdma_sim_get_totals(run->sim, &totals);
	printf("\ndram: %" PRIu64 " bytes read, %" PRIu64 " written\n", totals.dram_read_bytes,
	       totals.dram_write_bytes);
	for (; next_event(run, &index, &event); count++) {
		if (!count)
			printf("\nevents:\n");
		if (count < FEW_EVENTS)
			print_event(&event);
	}
	if (count > FEW_EVENTS)
		printf("... and %" PRIu64 " more (--json)\n", count - FEW_EVENTS);
	pending = p2pdma_sim_faults_pending(run->sim);
	if (pending)
		printf("\nscripted faults that did not happen: %zu\n", pending);
}

static json_t *json_address(struct p2pdma_bdf bdf)
{
	char text[BDF_TEXT];

	return json_string(address_text(bdf, text));
}

/* What was not measured is null, never 0. */
static json_t *json_measured(bool is_measured, uint64_t value)
{
	return is_measured ? json_integer((json_int_t)value) : json_null();
}

static json_t *json_stopped(const struct p2pdma_sim_flow_result *result)
{
	return result->has_arrived
	               ? json_null()
	               : json_pack("{s:s, s:o}", "fate", p2pdma_sim_fate_text(result->fate), "at",
	                           json_address(result->at));
}

static json_t *json_flow(const struct p2pdma_sim_flow *flow,
                         const struct p2pdma_sim_flow_result *result)
{
	bool has = has_latency(result);

	return json_pack("{s:o, s:o, s:s, s:I, s:b, s:I, s:b, s:o, s:o, s:{s:o, s:o, s:o}}", "from",
	                 json_address(flow->client), "to",
	                 flow->is_dram ? json_string("dram") : json_address(flow->provider), "op",
	                 op_text(flow), "size", (json_int_t)flow->length, "translated",
	                 flow->is_translated, "bytes", (json_int_t)result->bytes, "arrived",
	                 result->has_arrived, "stopped", json_stopped(result), "bytes_per_second",
	                 json_measured(has_speed(result), speed_of(result)), "latency_ns", "min",
	                 json_measured(has, result->latency_min), "p50",
	                 json_measured(has, result->latency_p50), "p99",
	                 json_measured(has, result->latency_p99));
}

static void add_wire(const struct sim_run *run, json_t *links, struct p2pdma_bdf port,
                     const char *direction, const struct p2pdma_sim_wire *wire)
{
	if (wire->bytes)
		json_array_append_new(
			links,
			json_pack("{s:o, s:s, s:I, s:o}", "port", json_address(port), "direction",
		                  direction, "bytes", (json_int_t)wire->bytes, "utilisation",
		                  run->elapsed ? json_real(utilisation(run, wire)) : json_null()));
}

static json_t *json_event(const struct p2pdma_sim_event *event)
{
	char address[24];

	snprintf(address, sizeof(address), "0x%" PRIx64, event->address);
	return json_pack("{s:I, s:s, s:o, s:o, s:o}", "time_ns", (json_int_t)event->time, "kind",
	                 p2pdma_sim_event_text(event->kind), "at", json_address(event->at),
	                 "requester", json_address(event->requester), "address",
	                 event->address ? json_string(address) : json_null());
}

int sim_print_json(const struct sim_run *run)
{
	json_t *flows = json_array(), *links = json_array(), *events = json_array();
	struct p2pdma_sim_totals totals = { .size = sizeof(totals) };
	struct p2pdma_sim_link link = { .size = sizeof(link) };
	struct p2pdma_sim_event event;

	for (size_t i = 0; i < run->count; i++)
		json_array_append_new(flows, json_flow(&run->flows[i], &run->results[i]));
	for (size_t i = 0; !p2pdma_sim_link(run->sim, i, &link); i++) {
		add_wire(run, links, link.port, "down", &link.down);
		add_wire(run, links, link.port, "up", &link.up);
	}
	p2pdma_sim_get_totals(run->sim, &totals);
	for (uint64_t index = 0; next_event(run, &index, &event);)
		json_array_append_new(events, json_event(&event));
	return json_print(json_pack("{s:s, s:i, s:o, s:o, s:{s:I, s:I}, s:o, s:I}", "format",
	                            "p2pdma-sim", "version", 1, "flows", flows, "links", links,
	                            "dram", "read_bytes", (json_int_t)totals.dram_read_bytes,
	                            "write_bytes", (json_int_t)totals.dram_write_bytes, "events",
	                            events, "faults_pending",
	                            (json_int_t)p2pdma_sim_faults_pending(run->sim)));
}
