/* SPDX-License-Identifier: MIT */
/*
 * trial.h - one op of a pair by one kind of TLP: what the explanation claims, and what a DMA shows.
 *
 * - direct, nothing that stops: arrives, by the ports that the evidence lists.
 * - blocked, or something that stops: never arrives, and the port that the evidence names logs it.
 * - root-complex: reaches a root complex, and arrives exactly when the policies let it.
 * - unknown: no claim.
 */
#ifndef TRIAL_H
#define TRIAL_H

#include "compare.h"

#define DMA_BYTES 4096
#define MAX_STEPS 128

enum claim {
	NO_CLAIM,
	ARRIVES,
	NEVER,
	BY_POLICY,
};

struct trial {
	struct comparison *c;
	const struct p2pdma_explanation *e;
	const struct p2pdma_device *provider, *client;
	struct p2pdma_bdf provider_bdf, client_bdf;
	struct probe *memory; /* the provider's, where the test has it in hand; or NULL */
	enum p2pdma_op op;
	bool is_translated;
	enum p2pdma_verdict verdict;
	enum p2pdma_turn request; /* of this kind of TLP */
	enum claim claim;
	uint64_t address;
	size_t length;
	uint8_t bytes[DMA_BYTES];
	bool has_same_bytes; /* what was written or read is what it should be */
	struct p2pdma_sim_outcome outcome;
};

const struct p2pdma_why *trial_why(const struct trial *t);
/* The reason of that code, or NULL. */
const struct p2pdma_reason *trial_reason(const struct trial *t, enum p2pdma_reason_code code);
/* Makes the claim, does the DMA, holds the one against the other. */
void trial_run(struct trial *t);

/* way.c */

/* Whether it went by the ports that the evidence lists. */
bool way_is_as_listed(const struct trial *t);
bool way_reaches_root(const struct trial *t);
/* What the policies of the fabric file let through, which no register tells. */
bool way_is_allowed(const struct trial *t);
/* Whether a root complex on the way cuts TLPs. */
bool way_splits(const struct trial *t);
void way_print(const struct trial *t);

/* blame.c */

/* Whether a port that the evidence names logged it; @ret_aer: its AER says the same. */
bool blame_is_as_named(const struct trial *t, bool *ret_aer);
/* Whether the client itself may not send, so that nobody can notice. */
bool blame_client(const struct trial *t);
bool blame_nobody(const struct trial *t);
bool blame_root(const struct trial *t);

#endif
