/* SPDX-License-Identifier: MIT */
/*
 * demand.c - DMA on demand: one.
 */
#include <errno.h>

#include "demand.h"
#include "info.h"
#include "sim_private.h"

static void dma_failed(struct dma *dma, enum p2pdma_sim_fate fate, struct p2pdma_bdf at)
{
	if (dma->fate != P2PDMA_SIM_ARRIVED)
		return;
	dma->fate = fate;
	dma->at = at;
}

static void dma_less(struct dma *dma, size_t length, uint64_t when)
{
	if (when > dma->ended_at)
		dma->ended_at = when;
	dma->left -= length;
	if (!dma->left && length && dma->over)
		dma->over(dma);
}

static void dma_ended(struct watch *watch, const struct packet *packet, enum p2pdma_sim_fate fate,
                      struct p2pdma_bdf at)
{
	struct dma *dma = (struct dma *)watch;
	uint64_t now = packet->fabric->now;

	if (fate != P2PDMA_SIM_ARRIVED)
		dma_failed(dma, fate, at);
	else if (dma->is_proven && !dma->is_proven(dma, packet, at))
		dma_failed(dma, P2PDMA_SIM_LOST, at);
	else
		dma->arrived += packet->length;
	if (dma->fate == P2PDMA_SIM_ARRIVED)
		dma->at = at;
	/* The last byte may be on its way behind the first TLP. */
	dma_less(dma, packet->type == TLP_WRITE ? packet->length : 0,
	         packet->tail > now ? packet->tail : now);
}

static void dma_read_done(struct fabric *fabric, void *arg, uint64_t length,
                          enum p2pdma_dma_status status)
{
	struct dma *dma = arg;

	if (status != P2PDMA_DMA_OK) {
		dma->status = status;
		dma_failed(dma, status == P2PDMA_DMA_OFF ? P2PDMA_SIM_NOT_SENT : P2PDMA_SIM_LOST,
		           dma->client->bdf);
	}
	dma_less(dma, length, fabric->now);
}

/* Where @address leads, and for how many bytes; -EFAULT. */
static int ask(const struct dma *dma, uint64_t address, uint64_t *ret_place, uint64_t *ret_length)
{
	struct p2pdma_function *client = dma->client;
	enum tlp type = dma->op == P2PDMA_OP_READ ? TLP_READ : TLP_WRITE;
	uint64_t page = address / DMA_PAGE * DMA_PAGE, length, *kept;
	int r;

	if (!dma->atc)
		return iommu_translate(client->fabric, client->bdf, address, type, ret_place,
		                       ret_length);
	kept = &dma->atc->places[(page - dma->atc->first) / DMA_PAGE];
	if (!*kept) {
		r = iommu_translate(client->fabric, client->bdf, page, type, kept, &length);
		if (r)
			return r;
		++*kept;
		client->fabric->totals.iommu_mapped++;
	}
	*ret_place = *kept - 1 + (address - page);
	*ret_length = DMA_PAGE - (address - page);
	return 0;
}

/* Piece by piece as the IOMMU translates it, when the function asks it. */
int dma_begin(struct dma *dma)
{
	struct p2pdma_function *client = dma->client;
	enum address_type type = dma->is_translated ? AT_TRANSLATED : AT_UNTRANSLATED;
	bool is_read = dma->op == P2PDMA_OP_READ;
	uint64_t address = dma->address, length = dma->length;
	int r = dma->is_translated && !function_ats_is_on(client) ? -EIO : 0;
	size_t done;

	dma->watch.ended = dma_ended;
	dma->watch.keeps_bytes = true;
	dma->began = dma->ended_at = client->fabric->now;
	dma->left = dma->length;
	dma->arrived = 0;
	dma->fate = P2PDMA_SIM_ARRIVED;
	dma->status = P2PDMA_DMA_OK;
	for (done = 0; !r && done < dma->length; done += r ? 0 : length) {
		if (dma->is_translated && client->iommu == P2PDMA_IOMMU_TRANSLATED &&
		    ask(dma, dma->address + done, &address, &length)) {
			dma_failed(dma, P2PDMA_SIM_IOMMU, client->bdf);
			r = -EIO;
			break;
		}
		length = length < dma->length - done ? length : dma->length - done;
		r = is_read ? requester_read(client, address, length, dma->bytes + done, type,
		                             &dma->watch, dma_read_done, dma, length)
		            : requester_write(client, address, length, dma->bytes + done, type,
		                              &dma->watch);
	}
	if (r)
		dma->left -= dma->length - done;
	if (r == -EIO) {
		dma->status = P2PDMA_DMA_OFF;
		dma_failed(dma, P2PDMA_SIM_NOT_SENT, client->bdf);
	}
	return r;
}

struct one {
	struct dma dma;
	struct p2pdma_sim_outcome outcome;
	uint64_t serials[2]; /* of the first request and the first completion, 0 none */
};

static void one_hop(struct watch *watch, const struct packet *packet, struct p2pdma_bdf at,
                    bool is_root)
{
	struct one *one = (struct one *)watch;
	struct p2pdma_sim_outcome *outcome = &one->outcome;
	bool is_completion = packet->type == TLP_COMPLETION;
	uint64_t *serial = &one->serials[is_completion];

	if (!*serial)
		*serial = packet->serial;
	if (*serial == packet->serial && outcome->hop_count < P2PDMA_SIM_MAX_HOPS)
		outcome->hops[outcome->hop_count++] =
			(struct p2pdma_sim_hop){ at, is_root, is_completion };
}

int p2pdma_sim_dma(struct p2pdma_sim *sim, const struct p2pdma_sim_dma *dma,
                   struct p2pdma_sim_outcome *ret_outcome)
{
	struct one one = { .dma = {
				   .watch.hop = one_hop,
				   .op = dma->op,
				   .is_translated = dma->is_translated,
				   .address = dma->address.addr,
				   .length = dma->length,
				   .bytes = dma->bytes,
			   } };
	struct fabric *fabric = sim->fabric;
	int r = -ENODEV;

	if ((dma->op != P2PDMA_OP_READ && dma->op != P2PDMA_OP_WRITE) || !dma->length ||
	    dma->length > DMA_MOST || ret_outcome->size < sizeof(one.outcome))
		return -EINVAL;
	pthread_mutex_lock(&fabric->lock);
	one.dma.client = fabric_function(fabric, dma->client);
	if (one.dma.client)
		r = dma_begin(&one.dma);
	while (one.dma.left && clock_step(fabric, NEVER))
		;
	/* To when its last byte is there. */
	while (fabric->now < one.dma.ended_at && clock_step(fabric, one.dma.ended_at))
		;
	pthread_mutex_unlock(&fabric->lock);
	one.outcome.fate = one.dma.fate;
	one.outcome.status = one.dma.status;
	one.outcome.at = one.dma.at;
	one.outcome.bytes = one.dma.arrived;
	one.outcome.latency = (one.dma.ended_at - one.dma.began) / PS_PER_NS;
	return r && r != -EIO ? r : copy_info(ret_outcome, &one.outcome, sizeof(one.outcome));
}
