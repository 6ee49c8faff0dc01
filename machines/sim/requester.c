/* SPDX-License-Identifier: MIT */
/*
 * requester.c - reads and writes of functions and of the CPU, and the packets they are made of.
 *
 * A transfer is what was asked for.  A request is one packet of it that waits for its completion,
 * and holds tags until then.  All are pooled: nothing is allocated once a run is under way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fabric.h"
#include "rule.h"

#define SLAB_THINGS 64
#define CPU_PAYLOAD 64
#define MOST_STORES 64 /* under way */

struct transfer {
	struct p2pdma_function *function; /* NULL: the CPU */
	uint64_t address;
	uint8_t *buffer;
	size_t length;
	size_t sent;
	unsigned int in_flight;
	bool is_over;
	enum p2pdma_dma_status status;
	enum address_type type;
	struct watch *watch;
	read_done_fn done;
	void *arg;
	uint64_t cookie;
	struct transfer *next; /* waiting, or free */
};

struct request {
	uint64_t id; /* 0: not in use */
	struct transfer *transfer;
	size_t offset;
	uint32_t length;
	unsigned int tags;
	bool is_ended; /* the watch knows */
	uint64_t deadline;
	struct request *previous, *next; /* by deadline; next of a free one */
};

struct requests {
	struct transfer *free_transfers;
	struct request *free_requests;
	uint64_t next_id;
	struct request *first, *last; /* waiting, the oldest first */
	bool is_watching;             /* the timeout's call is due */
};

int requester_new(struct fabric *fabric)
{
	fabric->requests = calloc(1, sizeof(*fabric->requests));
	if (!fabric->requests)
		return -ENOMEM;
	fabric->requests->next_id = 1;
	return 0;
}

void requester_free(struct fabric *fabric)
{
	free(fabric->requests);
	fabric->requests = NULL;
}

/* The request it belongs to, if that has not been given up. */
static struct request *request_of(const struct packet *packet)
{
	return packet->request && packet->request->id == packet->request_id ? packet->request
	                                                                    : NULL;
}

bool request_is_of_cpu(const struct packet *packet)
{
	struct request *request = request_of(packet);

	return request && !request->transfer->function;
}

struct watch *packet_watch(const struct packet *packet)
{
	struct request *request = request_of(packet);

	if (packet->type == TLP_WRITE)
		return packet->watch;
	return request ? request->transfer->watch : NULL;
}

void packet_end(struct packet *packet, enum p2pdma_sim_fate fate, struct p2pdma_bdf at)
{
	struct request *request = request_of(packet);
	struct watch *watch = packet_watch(packet);
	/* What becomes of a refusal's completion is nobody's concern: the request ended before. */
	bool is_told = (request && request->is_ended) ||
	               (packet->type == TLP_COMPLETION &&
	                (packet->status != P2PDMA_DMA_OK || packet->is_made_up));

	if (watch && !is_told)
		watch->ended(watch, packet, fate, at);
	if (request && !is_told)
		request->is_ended = true;
	packet_free(packet);
}

static struct transfer *transfer_new(struct fabric *fabric)
{
	struct requests *requests = fabric->requests;
	struct transfer *transfer = requests->free_transfers;

	if (!transfer) {
		transfer = packets_take(fabric, SLAB_THINGS, sizeof(*transfer));
		if (!transfer)
			return NULL;
		for (size_t i = 0; i + 1 < SLAB_THINGS; i++)
			transfer[i].next = &transfer[i + 1];
		transfer[SLAB_THINGS - 1].next = NULL;
	}
	requests->free_transfers = transfer->next;
	return transfer;
}

static struct request *request_new(struct fabric *fabric)
{
	struct requests *requests = fabric->requests;
	struct request *request = requests->free_requests;

	if (!request) {
		request = packets_take(fabric, SLAB_THINGS, sizeof(*request));
		if (!request)
			return NULL;
		for (size_t i = 0; i < SLAB_THINGS; i++) {
			request[i].id = 0;
			request[i].next = i + 1 < SLAB_THINGS ? &request[i + 1] : NULL;
		}
	}
	requests->free_requests = request->next;
	return request;
}

static void transfer_done(struct fabric *fabric, void *arg)
{
	struct transfer transfer = *(struct transfer *)arg;

	((struct transfer *)arg)->next = fabric->requests->free_transfers;
	fabric->requests->free_transfers = arg;
	transfer.done(fabric, transfer.arg, transfer.cookie, transfer.status);
}

/* Never from inside the call that began it. */
static void finish_if_over(struct fabric *fabric, struct transfer *transfer)
{
	if (transfer->is_over || transfer->in_flight || transfer->sent < transfer->length)
		return;
	transfer->is_over = true;
	if (clock_at(fabric, fabric->now, transfer_done, transfer))
		transfer_done(fabric, transfer);
}

static void release(struct fabric *fabric, struct request *request)
{
	struct requests *requests = fabric->requests;
	struct transfer *transfer = request->transfer;
	struct p2pdma_function *function = transfer->function;

	if (request->previous)
		request->previous->next = request->next;
	else
		requests->first = request->next;
	if (request->next)
		request->next->previous = request->previous;
	else
		requests->last = request->previous;
	if (function) {
		function->tags_used -= request->tags;
		/* Transactions Pending falls: who has switched it off waits for that. */
		if (!function->tags_used && !function_masters(function))
			fabric->has_changed = true;
	}
	transfer->in_flight--;
	request->id = 0;
	request->next = requests->free_requests;
	requests->free_requests = request;
}

/* One that is left at its deadline.  All wait equally long, so the oldest is the first due. */
static void expire(struct fabric *fabric, void *arg);

static void watch_deadline(struct fabric *fabric)
{
	struct requests *requests = fabric->requests;

	if (!requests->is_watching && requests->first)
		requests->is_watching = !clock_at(fabric, requests->first->deadline, expire, NULL);
}

static void pump(struct p2pdma_function *function);

static void give_up(struct fabric *fabric, struct request *request, enum p2pdma_dma_status status,
                    enum p2pdma_sim_fate fate)
{
	struct transfer *transfer = request->transfer;
	struct p2pdma_function *function = transfer->function;
	struct packet packet = {
		.fabric = fabric,
		.type = TLP_READ,
		.length = request->length,
		.address = transfer->address + request->offset,
		.requester = function ? function->bdf : fabric->roots[0].bus,
	};

	if (status == P2PDMA_DMA_TIMEOUT) {
		observe_event(fabric, P2PDMA_SIM_EVENT_TIMEOUT, packet.requester, packet.requester,
		              packet.address);
		if (function)
			config_log_error(function, AER_TIMEOUT, &packet);
	}
	if (transfer->watch && !request->is_ended)
		transfer->watch->ended(transfer->watch, &packet, fate, packet.requester);
	transfer->status = status;
	release(fabric, request);
	finish_if_over(fabric, transfer); /* what is not yet sent never will be: pump() */
}

bool requester_rescue(struct fabric *fabric)
{
	struct requests *requests = fabric->requests;

	if (!requests->first)
		return false;
	if (fabric->now < requests->first->deadline)
		fabric->now = requests->first->deadline;
	expire(fabric, NULL);
	return true;
}

static void expire(struct fabric *fabric, void *arg)
{
	struct requests *requests = fabric->requests;

	(void)arg;
	requests->is_watching = false;
	while (requests->first && requests->first->deadline <= fabric->now) {
		struct p2pdma_function *function = requests->first->transfer->function;

		give_up(fabric, requests->first, P2PDMA_DMA_TIMEOUT, P2PDMA_SIM_LOST);
		if (function)
			pump(function);
	}
	watch_deadline(fabric);
}

/* False: out of memory. */
static bool send_read(struct fabric *fabric, struct transfer *transfer, uint32_t length,
                      unsigned int tags, uint16_t size)
{
	struct requests *requests = fabric->requests;
	struct p2pdma_function *function = transfer->function;
	struct packet *packet = packet_new(fabric, TLP_READ, length);
	struct request *request = packet ? request_new(fabric) : NULL;

	if (!request) {
		if (packet)
			packet_free(packet);
		return false;
	}
	*request = (struct request){
		.id = requests->next_id++,
		.transfer = transfer,
		.offset = transfer->sent,
		.length = length,
		.tags = tags,
		.deadline = fabric->now + fabric->completion_timeout,
		.previous = requests->last,
	};
	if (requests->last)
		requests->last->next = request;
	else
		requests->first = request;
	requests->last = request;
	watch_deadline(fabric);
	packet->address = transfer->address + transfer->sent;
	packet->address_type = transfer->type;
	packet->payload = size;
	packet->source = function;
	packet->request = request;
	packet->serial = packet->request_id = request->id;
	transfer->sent += length;
	transfer->in_flight++;
	if (function) {
		function->tags_used += tags;
		packet->requester = function->bdf;
		route_leave(packet, function);
	} else if (!root_from_cpu(packet)) {
		packet_free(packet);
		give_up(fabric, request, P2PDMA_DMA_UR, P2PDMA_SIM_UR);
	}
	return true;
}

/* The next packet of a transfer; false: it must wait for tags, or for memory. */
static bool send_next(struct p2pdma_function *function, struct transfer *transfer)
{
	struct fabric *fabric = function->fabric;
	unsigned int size = function_read_request(function), tags = function_tags(function);
	uint64_t address = transfer->address + transfer->sent;
	size_t length = transfer->length - transfer->sent;

	if (tags <= function->tags_used)
		return false;
	tags -= function->tags_used;
	if (length > PACKET_MAX - address % PACKET_MAX)
		length = PACKET_MAX - address % PACKET_MAX;
	if (fault_is_armed(fabric) && length > size)
		length = size;
	if (length > (size_t)tags * size)
		length = (size_t)tags * size;
	tags = (unsigned int)((length + size - 1) / size);
	return send_read(fabric, transfer, (uint32_t)length, tags, (uint16_t)size);
}

/* Sends what waits, in its order, as far as tags go. */
static void pump(struct p2pdma_function *function)
{
	struct transfer *transfer;

	if (function->is_pumping)
		return;
	function->is_pumping = true;
	while ((transfer = function->waiting_first)) {
		if (transfer->status == P2PDMA_DMA_OK &&
		    ((!function_masters(function) && RULE(SIM_BUS_MASTER)) ||
		     !function_answers(function)))
			transfer->status = P2PDMA_DMA_OFF;
		if (transfer->sent && !(transfer->address + transfer->sent))
			transfer->status =
				P2PDMA_DMA_UR; /* beyond the last address there is none */
		if (transfer->status != P2PDMA_DMA_OK)
			transfer->sent = transfer->length;
		else if (!send_next(function, transfer)) {
			if (function->tags_used)
				break;
			transfer->status =
				P2PDMA_DMA_OFF; /* no memory, and nothing that pumps again */
			continue;
		}
		if (transfer->sent < transfer->length)
			continue;
		function->waiting_first = transfer->next;
		if (!function->waiting_first)
			function->waiting_last = NULL;
		finish_if_over(function->fabric, transfer);
	}
	function->is_pumping = false;
}

static struct transfer *begin(struct fabric *fabric, uint64_t address, size_t length, void *buffer,
                              read_done_fn done, void *arg)
{
	struct transfer *transfer = transfer_new(fabric);

	if (transfer)
		*transfer = (struct transfer){
			.address = address,
			.buffer = buffer,
			.length = length,
			.done = done,
			.arg = arg,
		};
	return transfer;
}

int requester_read(struct p2pdma_function *function, uint64_t address, size_t length, void *buffer,
                   enum address_type type, struct watch *watch, read_done_fn done, void *arg,
                   uint64_t cookie)
{
	struct transfer *transfer = begin(function->fabric, address, length, buffer, done, arg);

	if (!transfer)
		return -ENOMEM;
	transfer->function = function;
	transfer->type = type;
	transfer->watch = watch;
	transfer->cookie = cookie;
	if (function->waiting_last)
		function->waiting_last->next = transfer;
	else
		function->waiting_first = transfer;
	function->waiting_last = transfer;
	pump(function);
	return 0;
}

void requester_completed(struct packet *packet, struct p2pdma_function *function)
{
	struct fabric *fabric = packet->fabric;
	struct request *request = request_of(packet);
	struct transfer *transfer = request ? request->transfer : NULL;
	struct p2pdma_bdf at = function ? function->bdf : packet->requester;

	if (!request || transfer->function != function || packet->length != request->length) {
		observe_event(fabric, P2PDMA_SIM_EVENT_UNEXPECTED, at, packet->requester, 0);
		if (function)
			config_log_error(function, AER_UNEXPECTED, packet);
		packet_end(packet, P2PDMA_SIM_LOST, at);
		return;
	}
	if (packet->status != P2PDMA_DMA_OK) {
		transfer->status = packet->status;
		packet_end(packet, P2PDMA_SIM_LOST, at);
	} else if (packet->is_poisoned) {
		observe_event(fabric, P2PDMA_SIM_EVENT_POISONED, at, packet->requester, 0);
		if (function)
			config_log_error(function, AER_POISONED, packet);
		transfer->status = P2PDMA_DMA_POISONED;
		packet_end(packet, P2PDMA_SIM_POISONED, at);
	} else {
		memcpy(transfer->buffer + request->offset, packet->data, packet->length);
		packet_end(packet, P2PDMA_SIM_ARRIVED, at);
	}
	release(fabric, request);
	finish_if_over(fabric, transfer);
	if (function)
		pump(function);
}

/* Of a write that has begun the watch is told of the rest: it counts bytes until all have ended. */
static int cannot_send(struct p2pdma_function *function, size_t rest, bool has_begun,
                       struct watch *watch, int why)
{
	struct packet packet = {
		.fabric = function->fabric,
		.type = TLP_WRITE,
		.length = (uint32_t)rest,
		.requester = function->bdf,
	};

	if (has_begun && watch)
		watch->ended(watch, &packet, P2PDMA_SIM_NOT_SENT, function->bdf);
	return has_begun ? 0 : why;
}

int requester_write(struct p2pdma_function *function, uint64_t address, size_t length,
                    const void *bytes, enum address_type type, struct watch *watch)
{
	struct fabric *fabric = function->fabric;
	bool is_kept = watch && watch->keeps_bytes;
	const uint8_t *from = bytes;
	struct packet *packet;
	size_t part;

	for (; length; length -= part, from += part, address += part) {
		if (!address && from != bytes) /* beyond the last address there is none */
			return cannot_send(function, length, true, watch, -EINVAL);
		if ((!function_masters(function) && RULE(SIM_BUS_MASTER)) ||
		    !function_answers(function))
			return cannot_send(function, length, from != bytes, watch, -EIO);
		part = PACKET_MAX - address % PACKET_MAX;
		if (fault_is_armed(fabric) && part > function_payload(function))
			part = function_payload(function);
		if (part > length)
			part = length;
		packet = packet_new(fabric, TLP_WRITE, is_kept ? 0 : (uint32_t)part);
		if (!packet)
			return cannot_send(function, length, from != bytes, watch, -ENOMEM);
		if (is_kept)
			packet->data = (uint8_t *)(uintptr_t)from;
		else
			memcpy(packet->data, from, part);
		packet->length = (uint32_t)part;
		packet->address = address;
		packet->address_type = type;
		packet->payload = (uint16_t)function_payload(function);
		packet->requester = function->bdf;
		packet->source = function;
		function->posted += part;
		packet->watch = watch;
		packet->serial = fabric->requests->next_id++;
		route_leave(packet, function);
	}
	return 0;
}

void requester_unsent(struct packet *packet)
{
	struct request *request = request_of(packet);
	struct p2pdma_function *function = packet->source;

	packet_free(packet);
	if (!request)
		return;
	give_up(function->fabric, request, P2PDMA_DMA_OFF, P2PDMA_SIM_NOT_SENT);
	pump(function);
}

void requester_reset(struct p2pdma_function *function)
{
	struct fabric *fabric = function->fabric;
	struct request *request = fabric->requests->first, *next;

	for (struct transfer *t = function->waiting_first; t; t = t->next)
		t->status = P2PDMA_DMA_OFF;
	for (; request; request = next) {
		next = request->next;
		if (request->transfer->function == function)
			give_up(fabric, request, P2PDMA_DMA_OFF, P2PDMA_SIM_LOST);
	}
	pump(function);
}

/* ---- the CPU ---- */

struct load {
	bool is_done;
	enum p2pdma_dma_status status;
};

static void load_done(struct fabric *fabric, void *arg, uint64_t cookie,
                      enum p2pdma_dma_status status)
{
	struct load *load = arg;

	(void)fabric, (void)cookie;
	load->is_done = true;
	load->status = status;
}

/* Only here an error becomes all ones: the CPU has no other way to be told. */
void cpu_read(struct fabric *fabric, uint64_t address, size_t length, void *ret_bytes)
{
	struct load load = { .status = P2PDMA_DMA_UR };
	struct transfer *transfer = begin(fabric, address, length, ret_bytes, load_done, &load);

	fabric->totals.mmio_reads++;
	if (transfer && send_read(fabric, transfer, (uint32_t)length, 0, CPU_PAYLOAD))
		while (!load.is_done && clock_step(fabric, NEVER))
			;
	if (load.status != P2PDMA_DMA_OK)
		memset(ret_bytes, 0xff, length);
}

void cpu_write(struct fabric *fabric, uint64_t address, size_t length, const void *bytes)
{
	struct packet *packet = packet_new(fabric, TLP_WRITE, (uint32_t)length);

	fabric->totals.mmio_writes++;
	if (!packet)
		return;
	memcpy(packet->data, bytes, length);
	packet->is_store = true;
	fabric->stores++;
	packet->address = address;
	packet->payload = CPU_PAYLOAD;
	packet->serial = fabric->requests->next_id++;
	if (!root_from_cpu(packet))
		packet_free(packet);
	/* A CPU stalls when its posted credits are used up. */
	while (fabric->stores > MOST_STORES && clock_step(fabric, NEVER))
		;
}
