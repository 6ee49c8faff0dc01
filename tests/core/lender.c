/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lender.h"

struct lender lender;

static uint64_t now(void *private)
{
	(void)private;
	return lender.now;
}

static void check_unlocked(void)
{
	if (lender.unlocked)
		lender.unlocked();
}

static unsigned int index_of(struct p2pdma_bdf bdf)
{
	return bdf.devfn >> 3;
}

struct opened *peers_find_open(struct peers *peers, struct p2pdma_bdf bdf)
{
	struct opened *opened = peers->opened;

	while (opened && !is_same_bdf(opened->bdf, bdf))
		opened = opened->next;
	return opened;
}

int peers_cut_off(struct peers *peers, struct p2pdma_bdf client)
{
	check_unlocked();
	lender.cuts[index_of(client)]++;
	mutex_lock(&peers->lock);
	peers_find_open(peers, client)->is_cut_off = true;
	mutex_unlock(&peers->lock);
	lender.now += P2PDMA_DRAIN_TIME;
	return lender.cut_result;
}

bool peers_wait(struct peers *peers, uint64_t until)
{
	(void)peers;
	check_unlocked();
	if (lender.wait)
		return lender.wait(until);
	lender.now = until;
	return false;
}

struct p2pdma_provider *p2pdma_provider_get(struct p2pdma_provider *provider)
{
	lender.references++;
	return provider;
}

struct p2pdma_provider *p2pdma_provider_put(struct p2pdma_provider *provider)
{
	(void)provider;
	check_unlocked();
	lender.references--;
	return NULL;
}

int p2pdma_map_sg(struct p2pdma_device *client, const struct p2pdma_sg *sgl, size_t count,
                  enum p2pdma_op op, unsigned int flags, struct p2pdma_error *err,
                  struct p2pdma_mapping **ret_mapping)
{
	unsigned int index = (unsigned int)(client - lender.clients);
	struct p2pdma_mapping *mapping;
	bool is_off;

	(void)count, (void)op, (void)flags, (void)err;
	check_unlocked();
	if (lender.map_result)
		return lender.map_result;
	mutex_lock(&lender.peers.lock);
	is_off = lender.opened[index].is_cut_off;
	mutex_unlock(&lender.peers.lock);
	if (is_off)
		return -EPERM;
	mapping = malloc(sizeof(*mapping));
	if (!mapping)
		return -ENOMEM;
	mapping->client = index;
	mapping->segment.address.addr = lender.provider.chunks[0].bus.addr + sgl->offset;
	mapping->segment.length = sgl->length;
	lender.offset = sgl->offset;
	lender.mappings[index]++;
	if (lender.in_map)
		lender.in_map();
	*ret_mapping = mapping;
	return 0;
}

const struct p2pdma_dma_segment *p2pdma_mapping_segments(const struct p2pdma_mapping *mapping,
                                                         size_t *ret_count)
{
	*ret_count = 1;
	return &mapping->segment;
}

struct p2pdma_mapping *p2pdma_unmap_sg(struct p2pdma_mapping *mapping)
{
	check_unlocked();
	if (mapping)
		lender.mappings[mapping->client]--;
	free(mapping);
	return NULL;
}

bool mapping_bypasses_iommu(const struct p2pdma_mapping *mapping)
{
	return lender.bypasses[mapping->client];
}

void lender_start(void)
{
	static const struct chunk chunks[] = {
		{ .size = CHUNK_SIZE, .bus = { 0x10000000 } },
		{ .start = ODD_START, .size = CHUNK_SIZE, .bus = { 0x20000800 } },
		{ .start = LONG_START, .size = LONG_LENGTH, .bus = { 1ull << 62 } },
	};

	memset(&lender, 0, sizeof(lender));
	lender.backend.ops.now = now;
	lender.peers.backend = &lender.backend;
	mutex_init(&lender.peers.lock);
	lender.machine.backend = &lender.backend;
	lender.provider.peers = &lender.peers;
	memcpy(lender.provider.chunks, chunks, sizeof(chunks));
	lender.provider.chunk_count = 3;
	lender.now = 1000;
	for (unsigned int i = 0; i < CLIENTS; i++) {
		lender.functions[i].bdf = (struct p2pdma_bdf){ 0, 3, (uint8_t)(i << 3) };
		lender.clients[i].machine = &lender.machine;
		lender.clients[i].function = &lender.functions[i];
		lender.opened[i].bdf = lender.functions[i].bdf;
		lender.opened[i].serial = i + 1;
		lender.opened[i].next = lender.peers.opened;
		lender.peers.opened = &lender.opened[i];
	}
}

struct p2pdma_dmabuf *lender_export(void)
{
	struct p2pdma_range range = { 0, 4096 };
	struct p2pdma_dmabuf *dmabuf;

	return p2pdma_dmabuf_export(&lender.provider, &range, 1, NULL, NULL, &dmabuf) ? NULL
	                                                                              : dmabuf;
}
