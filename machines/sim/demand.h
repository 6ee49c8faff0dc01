/* SPDX-License-Identifier: MIT */
/* demand.h - one DMA of a function, whatever its model. */
#ifndef SIM_DEMAND_H
#define SIM_DEMAND_H

#include "fabric.h"

#define DMA_MOST (1u << 20)
#define DMA_PAGE 4096u

/* What the IOMMU has answered a function that asks it (PCIe Base 10.2): each page once. */
struct atc {
	uint64_t first;   /* address of the first page */
	uint64_t *places; /* where each leads, plus 1; 0: not asked yet */
};

struct dma {
	struct watch watch;
	struct p2pdma_function *client;
	enum p2pdma_op op;
	bool is_translated;
	struct atc *atc; /* NULL: asks each time */
	uint64_t address;
	size_t length;
	uint8_t *bytes;
	/* NULL, or: whether what has landed is what was sent; what to do at the end. */
	bool (*is_proven)(const struct dma *dma, const struct packet *packet, struct p2pdma_bdf at);
	void (*over)(struct dma *dma);

	size_t left; /* bytes that have neither arrived nor failed */
	uint64_t began, ended_at;
	uint64_t arrived;
	enum p2pdma_sim_fate fate; /* the first failure tells most */
	enum p2pdma_dma_status status;
	struct p2pdma_bdf at;
};

/* -EIO, -ENOMEM: not sent, or not all: while dma->left, what was is under way. */
int dma_begin(struct dma *dma);

#endif
