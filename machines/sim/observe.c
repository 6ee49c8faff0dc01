/* SPDX-License-Identifier: MIT */
/*
 * observe.c - what happened: the log of events, totals, links, the trace.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "info.h"
#include "sim_private.h"

#define LOG_SIZE  65536
#define LINE_SIZE 320
#define BDF_SIZE  24

struct observer {
	struct p2pdma_sim_event *events; /* a ring once it has LOG_SIZE */
	size_t room;
	uint64_t count;
	void (*line)(void *arg, const char *text);
	void *arg;
};

int observe_new(struct fabric *fabric)
{
	fabric->observer = calloc(1, sizeof(*fabric->observer));
	return fabric->observer ? 0 : -ENOMEM;
}

void observe_free(struct fabric *fabric)
{
	if (fabric->observer)
		free(fabric->observer->events);
	free(fabric->observer);
	fabric->observer = NULL;
}

static const char *const event_texts[] = {
	"ur",   "ca",   "acs",   "malformed", "unexpected", "timeout",   "poisoned", "iommu",
	"root", "lost", "reset", "removed",   "added",      "link-down", "link-up",  "stray",
};
static const char *const fate_texts[] = {
	"arrived", "not-sent", "ur", "ca", "acs", "malformed", "iommu", "root", "lost", "poisoned",
};

const char *p2pdma_sim_event_text(enum p2pdma_sim_event_kind kind)
{
	return (size_t)kind < sizeof(event_texts) / sizeof(event_texts[0]) ? event_texts[kind]
	                                                                   : "?";
}

const char *p2pdma_sim_fate_text(enum p2pdma_sim_fate fate)
{
	return (size_t)fate < sizeof(fate_texts) / sizeof(fate_texts[0]) ? fate_texts[fate] : "?";
}

static const char *bdf_text(struct p2pdma_bdf bdf, char text[BDF_SIZE])
{
	snprintf(text, BDF_SIZE, "%04" PRIx32 ":%02x:%02x.%x", bdf.domain, bdf.bus, bdf.devfn >> 3u,
	         bdf.devfn & 7u);
	return text;
}

static void trace_event(struct fabric *fabric, const struct p2pdma_sim_event *event)
{
	struct observer *observer = fabric->observer;
	char line[LINE_SIZE], at[BDF_SIZE], requester[BDF_SIZE];

	snprintf(line, sizeof(line),
	         "{\"t\":%" PRIu64 ".%03u,\"event\":\"%s\",\"at\":\"%s\",\"requester\":\"%s\","
	         "\"address\":\"0x%" PRIx64 "\"}",
	         event->time, (unsigned int)(fabric->now % PS_PER_NS),
	         p2pdma_sim_event_text(event->kind), bdf_text(event->at, at),
	         bdf_text(event->requester, requester), event->address);
	observer->line(observer->arg, line);
}

/* Makes room for one more; false: out of memory, the log keeps what it has room for. */
static bool grow(struct observer *observer)
{
	size_t room = observer->room ? 4 * observer->room : 64;
	struct p2pdma_sim_event *events;

	if (observer->count < observer->room || observer->room == LOG_SIZE)
		return true;
	events = realloc(observer->events, room * sizeof(*events));
	if (!events)
		return false;
	observer->events = events;
	observer->room = room;
	return true;
}

void observe_event(struct fabric *fabric, enum p2pdma_sim_event_kind kind, struct p2pdma_bdf at,
                   struct p2pdma_bdf requester, uint64_t address)
{
	struct observer *observer = fabric->observer;
	struct p2pdma_sim_event event = { fabric->now / PS_PER_NS, kind, at, requester, address };

	if (observer->line)
		trace_event(fabric, &event);
	if (!grow(observer))
		return;
	observer->events[observer->count++ % observer->room] = event;
}

static void trace_hop(const struct packet *packet, struct p2pdma_bdf at, bool is_root)
{
	struct observer *observer = packet->fabric->observer;
	const char *type = packet->type == TLP_WRITE         ? "MWr"
	                   : packet->type == TLP_READ        ? "MRd"
	                   : packet->status == P2PDMA_DMA_OK ? "CplD"
	                                                     : "Cpl";
	char line[LINE_SIZE], place[BDF_SIZE], from[BDF_SIZE];

	snprintf(line, sizeof(line),
	         "{\"t\":%" PRIu64 ".%03u,\"id\":%" PRIu64 ",\"tlp\":\"%s\",\"requester\":\"%s\","
	         "\"at\":\"%s\",\"root\":%s,\"address\":\"0x%" PRIx64
	         "\",\"length\":%u,\"tlps\":%u}",
	         packet->fabric->now / PS_PER_NS, (unsigned int)(packet->fabric->now % PS_PER_NS),
	         packet->serial, type, bdf_text(packet->requester, from), bdf_text(at, place),
	         is_root ? "true" : "false", packet->address, packet->length, packet_tlps(packet));
	observer->line(observer->arg, line);
}

void observe_hop(struct packet *packet, struct p2pdma_bdf at, bool is_root)
{
	struct watch *watch = packet_watch(packet);

	packet->fabric->totals.tlp_hops += packet_tlps(packet);
	if (watch && watch->hop)
		watch->hop(watch, packet, at, is_root);
	if (packet->fabric->observer->line)
		trace_hop(packet, at, is_root);
}

int p2pdma_sim_event(struct p2pdma_sim *sim, uint64_t index, struct p2pdma_sim_event *ret_event)
{
	struct observer *observer = sim->fabric->observer;
	int r = 0;

	pthread_mutex_lock(&sim->fabric->lock);
	if (index >= observer->count)
		r = -EAGAIN;
	else if (observer->count - index > observer->room)
		r = -ENOENT;
	else
		*ret_event = observer->events[index % observer->room];
	pthread_mutex_unlock(&sim->fabric->lock);
	return r;
}

void p2pdma_sim_trace(struct p2pdma_sim *sim, void (*line)(void *arg, const char *text), void *arg)
{
	pthread_mutex_lock(&sim->fabric->lock);
	sim->fabric->observer->line = line;
	sim->fabric->observer->arg = arg;
	pthread_mutex_unlock(&sim->fabric->lock);
}

int p2pdma_sim_get_totals(struct p2pdma_sim *sim, struct p2pdma_sim_totals *ret_totals)
{
	int r;

	pthread_mutex_lock(&sim->fabric->lock);
	r = copy_info(ret_totals, &sim->fabric->totals, sizeof(sim->fabric->totals));
	pthread_mutex_unlock(&sim->fabric->lock);
	return r;
}

static bool has_wire(const struct segment *segment)
{
	return segment->owner && (segment->kind == SEGMENT_LINK || segment->kind == SEGMENT_BUS);
}

static struct p2pdma_sim_wire wire_count(const struct wire *wire)
{
	struct p2pdma_sim_wire count = wire->count;

	count.busy = wire->busy / PS_PER_NS;
	return count;
}

int p2pdma_sim_link(struct p2pdma_sim *sim, size_t index, struct p2pdma_sim_link *ret_link)
{
	struct fabric *fabric = sim->fabric;
	struct p2pdma_sim_link link = { .size = sizeof(link) };
	int r = -ENOENT;

	pthread_mutex_lock(&fabric->lock);
	for (size_t i = 0; i < fabric->function_count; i++) {
		const struct segment *segment = fabric->functions[i]->below;

		if (!segment || !has_wire(segment) || index--)
			continue;
		link.port = segment->owner->bdf;
		link.is_up = segment->is_up;
		link.down = wire_count(&segment->down);
		link.up = wire_count(&segment->up);
		r = copy_info(ret_link, &link, sizeof(link));
		break;
	}
	pthread_mutex_unlock(&fabric->lock);
	return r;
}
