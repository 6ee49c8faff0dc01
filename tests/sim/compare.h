/* SPDX-License-Identifier: MIT */
/* compare.h - what the verdict says of a pair, held against what the fabric does. */
#ifndef COMPARE_H
#define COMPARE_H

#include "generate.h"

#define VERDICTS 4
#define TURNS    5
#define HAZARDS  (P2PDMA_HAZARD_IOVA_ALIAS + 1)
#define CAUSES   (P2PDMA_REASON_ADDRESS_CLAIMED_TWICE + 1)

/* What was seen; of pairs unless told otherwise. */
struct tally {
	size_t fabrics, pairs;
	size_t write[VERDICTS], read[VERDICTS];
	size_t request[TURNS], completion[TURNS];
	size_t hazards[HAZARDS]; /* each once a pair */
	size_t unknown;          /* write or read */
	size_t causes[CAUSES];   /* of ops that are unknown */
	/* Of DMAs. */
	size_t dmas, translated, arrived, forwarded, refused, blocked, stopped, unclaimed;
	size_t logged, aer; /* refusals that were found in the log, and in AER */
	size_t beyond;      /* stopped, but for a root complex that splits */
	size_t mismatches;
};

struct comparison {
	struct lab *lab;
	const struct fabric_plan *plan;
	struct p2pdma_routes *routes;
	struct random *random;
	struct tally *tally;
	uint64_t seed;
	bool has_overlaps; /* what misses the provider may end at somebody else */
};

/* Both of lab->fresh. */
void compare_pair(struct comparison *c, struct p2pdma_device *provider,
                  struct p2pdma_device *client);

#endif
