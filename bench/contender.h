/* SPDX-License-Identifier: MIT */
/*
 * contender.h - what allocators of bench_pool.c have in common.
 */
#ifndef BENCH_CONTENDER_H
#define BENCH_CONTENDER_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define PAGE       4096u
#define MOST_PAGES 32u /* of a buffer, where sizes are mixed */

enum work {
	WORK_PAIR,    /* take a page, give it back */
	WORK_BATCH,   /* take 64, give them back */
	WORK_REPLACE, /* give one of a window back, at random, and take another */
	WORK_MIXED,   /* the same with 1 to MOST_PAGES pages */
	WORK_CHURN,   /* as mixed, in a pool that is nearly full */
	WORKS,
};

struct job {
	enum work work;
	clockid_t clock;
	uint64_t count; /* of pairs */
	size_t window;
	uint64_t random;
	void *items;         /* those of WORK_CHURN, which last; NULL: none yet */
	uint64_t used, most; /* their bytes, and what they may be */
};

struct contender {
	const char *name;
	unsigned int works; /* a bit each */
	/* NULL: it cannot be had. */
	void *(*start)(uint64_t size);
	void (*stop)(void *pool);
	/* Seconds.  For each thread its own job. */
	double (*run)(void *pool, struct job *job);
	/* What WORK_CHURN holds is given back. */
	void (*clear)(void *pool, struct job *job);
};

extern const struct contender ours_shared, ours_cached, mempool_plain, mempool_cached, bitmap;

#endif
