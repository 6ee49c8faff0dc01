/* SPDX-License-Identifier: MIT */
/*
 * completer.c - a request has reached the BAR it was for.
 */
#include <string.h>

#include "fabric.h"

static bool store(struct p2pdma_function *function, int bar, uint64_t offset,
                  const struct packet *packet)
{
	uint8_t *memory;

	switch (function->bars[bar].kind) {
	case BAR_MEMORY:
		memory = bar_memory(function, bar);
		if (!memory)
			return false;
		memcpy(memory + offset, packet->data, packet->length);
		return true;
	case BAR_VECTORS:
		vectors_write(function, bar, offset, packet->length, packet->data);
		return true;
	default:
		if (function->model && function->model->write && function->bars[bar].is_models)
			function->model->write(function->state, bar, offset, packet->length,
			                       packet->data);
		return true;
	}
}

/* Nonzero: the device answers with Completer Abort. */
static int load(struct p2pdma_function *function, int bar, uint64_t offset, size_t length,
                uint8_t *bytes)
{
	const struct bar *range = &function->bars[bar];
	const uint8_t *memory = range->path ? bar_memory(function, bar) : range->memory;

	switch (function->bars[bar].kind) {
	case BAR_MEMORY:
		if (memory)
			memcpy(bytes, memory + offset, length);
		else
			memset(bytes, 0, length);
		return 0;
	case BAR_VECTORS:
		vectors_read(function, bar, offset, length, bytes);
		return 0;
	default:
		memset(bytes, 0, length);
		return function->model && function->model->read && function->bars[bar].is_models
		               ? function->model->read(function->state, bar, offset, length, bytes)
		               : 0;
	}
}

void complete_request(struct packet *packet, struct p2pdma_function *function, int bar,
                      uint64_t offset)
{
	uint64_t size = function->bars[bar].size;
	struct packet *back;

	if (offset > size || packet->length > size - offset) {
		route_refuse(packet, function, NULL, P2PDMA_SIM_EVENT_UR, P2PDMA_DMA_UR);
		return;
	}
	if (packet->type == TLP_WRITE && packet->is_poisoned) {
		observe_event(packet->fabric, P2PDMA_SIM_EVENT_POISONED, function->bdf,
		              packet->requester, packet->address);
		config_log_error(function, AER_POISONED, packet);
		packet_end(packet, P2PDMA_SIM_POISONED, function->bdf);
		return;
	}
	if (packet->type == TLP_WRITE) {
		packet_end(packet,
		           store(function, bar, offset, packet) ? P2PDMA_SIM_ARRIVED
		                                                : P2PDMA_SIM_LOST,
		           function->bdf);
		return;
	}
	back = packet_new(packet->fabric, TLP_COMPLETION, packet->length);
	if (!back) {
		route_lose(packet, function);
		return;
	}
	if (load(function, bar, offset, packet->length, back->data)) {
		packet_free(back);
		route_refuse(packet, function, NULL, P2PDMA_SIM_EVENT_CA, P2PDMA_DMA_CA);
		return;
	}
	back->requester = packet->requester;
	back->request = packet->request;
	back->request_id = packet->request_id;
	back->serial = packet->serial;
	back->payload = (uint16_t)function_payload(function);
	back->source = function;
	packet_free(packet);
	route_leave(back, function);
}
