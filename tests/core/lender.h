/* SPDX-License-Identifier: MIT */
/*
 * lender.h - what dmabuf.c and importer.c stand on, made up: one provider, some open clients, an
 * IOMMU that only counts, and a clock.
 */
#ifndef TESTS_LENDER_H
#define TESTS_LENDER_H

#include "dmabuf.h"
#include "mapping.h"

#define CLIENTS 3
#define MIB     (1u << 20)

/*
 * The provider's chunks: an ordinary one, one whose bus address is no multiple of a page, and one
 * so long that four times it is too long.
 */
#define CHUNK_SIZE  MIB
#define ODD_START   CHUNK_SIZE
#define LONG_START  (2ull * CHUNK_SIZE)
#define LONG_LENGTH (1ull << 62)

struct p2pdma_mapping {
	unsigned int client;
	struct p2pdma_dma_segment segment;
};

struct lender {
	struct backend backend;
	struct peers peers;
	struct p2pdma_provider provider;
	struct opened opened[CLIENTS];
	struct p2pdma_machine machine;
	struct snapshot_function functions[CLIENTS];
	struct p2pdma_device clients[CLIENTS];

	_Atomic uint64_t now;
	atomic_int mappings[CLIENTS]; /* in the IOMMU */
	atomic_int cuts[CLIENTS];
	atomic_int references; /* to the provider */
	bool bypasses[CLIENTS];
	int map_result;
	int cut_result;
	_Atomic uint64_t offset; /* of the first entry mapped last */

	/* Each may be NULL. */
	void (*unlocked)(void); /* called wherever no lock may be held */
	void (*in_map)(void);   /* called while a mapping exists that nobody knows of */
	bool (*wait)(uint64_t until);
};

extern struct lender lender;

void lender_start(void);
/* An export of the first page of the provider. */
struct p2pdma_dmabuf *lender_export(void);

#endif
