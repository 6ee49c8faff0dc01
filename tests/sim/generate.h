/* SPDX-License-Identifier: MIT */
/* generate.h - random fabric files, and random register writes to the machine made of one. */
#ifndef GENERATE_H
#define GENERATE_H

#include "lab.h"

#define MAX_ROOTS 4

struct random {
	uint64_t state;
};

uint64_t random_next(struct random *random);
/* A number below @limit, which is not 0. */
uint32_t random_below(struct random *random, uint32_t limit);
bool random_chance(struct random *random, uint32_t percent);

/* What the file says of one root complex, as masks of enum p2pdma_op. */
struct root_plan {
	uint32_t domain;
	int socket;
	unsigned int same_port, across_ports, across_sockets;
	bool splits;
};

struct fabric_plan {
	char *json;
	unsigned int root_count;
	struct root_plan roots[MAX_ROOTS]; /* in the file's order: of their buses in a domain */
	unsigned int probe_count;
	bool is_translated;
};

/* The fabric of a seed: the same one every time.  Release with generate_done(). */
void generate(uint64_t seed, struct fabric_plan *ret_plan);
void generate_done(struct fabric_plan *plan);

/*
 * Writes registers at random: what software, good or bad, may have done since boot.  True: with
 * windows and BARs that may overlap.
 */
bool vary(struct lab *lab, struct random *random);

#endif
