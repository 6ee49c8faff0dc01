/* SPDX-License-Identifier: MIT */
/*
 * pool.c - packets, and memory for what is as short-lived: taken in slabs, given back with the
 * fabric, so that nothing is allocated once a run is under way.
 */
#include <errno.h>
#include <stdlib.h>

#include "fabric.h"

#define SLAB_PACKETS 64
#define SMALL_PACKET 64

struct slab {
	struct slab *next;
};

struct pool {
	struct packet *free_packets[3]; /* without data, small, whole */
	struct slab *slabs;
};

static const uint32_t packet_rooms[] = { 0, SMALL_PACKET, PACKET_MAX };

int packets_new(struct fabric *fabric)
{
	fabric->pool = calloc(1, sizeof(*fabric->pool));
	return fabric->pool ? 0 : -ENOMEM;
}

void packets_free(struct fabric *fabric)
{
	struct slab *slab = fabric->pool ? fabric->pool->slabs : NULL, *next;

	for (; slab; slab = next) {
		next = slab->next;
		free(slab);
	}
	free(fabric->pool);
	fabric->pool = NULL;
}

void *packets_take(struct fabric *fabric, size_t count, size_t size)
{
	const size_t header = 64;
	struct slab *slab = malloc(header + count * size);

	if (!slab)
		return NULL;
	slab->next = fabric->pool->slabs;
	fabric->pool->slabs = slab;
	return (char *)slab + header;
}

struct packet *packet_new(struct fabric *fabric, enum tlp type, uint32_t length)
{
	int class = type == TLP_READ || !length ? 0 : length <= SMALL_PACKET ? 1 : 2;
	struct packet **first = &fabric->pool->free_packets[class], *packet;

	if (!*first) {
		size_t size = (sizeof(*packet) + packet_rooms[class] + 63) & ~(size_t)63;
		char *memory = packets_take(fabric, SLAB_PACKETS, size);

		for (size_t i = 0; memory && i < SLAB_PACKETS; i++) {
			packet = (struct packet *)(void *)(memory + i * size);
			packet->room = packet_rooms[class];
			packet->next = *first;
			*first = packet;
		}
	}
	packet = *first;
	if (!packet)
		return NULL;
	*first = packet->next;
	*packet = (struct packet){
		.fabric = fabric,
		.type = type,
		.length = length,
		.room = packet_rooms[class],
		.data = (uint8_t *)(packet + 1),
	};
	return packet;
}

void packet_free(struct packet *packet)
{
	int class = !packet->room ? 0 : packet->room == SMALL_PACKET ? 1 : 2;
	struct packet **first = &packet->fabric->pool->free_packets[class];

	if (packet->type == TLP_WRITE && packet->source)
		packet->source->posted -= packet->length;
	else if (packet->type == TLP_WRITE && packet->is_store)
		packet->fabric->stores--;
	packet->next = *first;
	*first = packet;
}
