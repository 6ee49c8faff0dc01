/* SPDX-License-Identifier: MIT */
/*
 * pool_work.h - the loops that are timed, for one contender: what it gives out, and how, is
 * inlined.
 *
 * Before: ITEM, a type; HOLDER, a type; TAKE(holder, size, item), 0 or not; GIVE(holder, item).
 */
#include <stdlib.h>

#include "contender.h"

struct work_item {
	ITEM item;
	uint64_t size; /* 0: nothing */
};

static inline double work_time(const struct job *job)
{
	struct timespec now;

	clock_gettime(job->clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline uint32_t work_draw(struct job *job)
{
	job->random = job->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(job->random >> 33);
}

static inline uint64_t work_size(struct job *job)
{
	return job->work == WORK_REPLACE ? PAGE : PAGE * (1 + work_draw(job) % MOST_PAGES);
}

static inline void work_must(int failed)
{
	if (failed)
		abort();
}

static inline double work_pairs(HOLDER *holder, struct job *job)
{
	double start = work_time(job);
	ITEM item;

	for (uint64_t i = 0; i < job->count; i++) {
		work_must(TAKE(holder, PAGE, &item));
		GIVE(holder, &item);
	}
	return work_time(job) - start;
}

static inline double work_batches(HOLDER *holder, struct job *job)
{
	double start = work_time(job);
	ITEM items[64];

	for (uint64_t i = 0; i < job->count / 64; i++) {
		for (int j = 0; j < 64; j++)
			work_must(TAKE(holder, PAGE, &items[j]));
		for (int j = 0; j < 64; j++)
			GIVE(holder, &items[j]);
	}
	return work_time(job) - start;
}

static inline double work_window(HOLDER *holder, struct job *job)
{
	ITEM *items = malloc(job->window * sizeof(*items));
	double start;

	work_must(!items);
	for (size_t i = 0; i < job->window; i++)
		work_must(TAKE(holder, work_size(job), &items[i]));
	start = work_time(job);
	for (uint64_t i = 0; i < job->count; i++) {
		size_t j = work_draw(job) % (uint32_t)job->window;

		GIVE(holder, &items[j]);
		work_must(TAKE(holder, work_size(job), &items[j]));
	}
	start = work_time(job) - start;
	for (size_t i = 0; i < job->window; i++)
		GIVE(holder, &items[i]);
	free(items);
	return start;
}

static inline void work_retake(HOLDER *holder, struct job *job, struct work_item *item)
{
	uint64_t size = work_size(job);

	item->size = 0;
	if (job->used + size > job->most || TAKE(holder, size, &item->item))
		return;
	item->size = size;
	job->used += size;
}

static inline double work_churn(HOLDER *holder, struct job *job)
{
	struct work_item *items = job->items;
	double start;

	if (!items) {
		job->items = items = calloc(job->window, sizeof(*items));
		work_must(!items);
		for (size_t i = 0; i < job->window; i++)
			work_retake(holder, job, &items[i]);
	}
	start = work_time(job);
	for (uint64_t i = 0; i < job->count; i++) {
		struct work_item *item = &items[work_draw(job) % (uint32_t)job->window];

		if (item->size) {
			GIVE(holder, &item->item);
			job->used -= item->size;
		}
		work_retake(holder, job, item);
	}
	return work_time(job) - start;
}

static inline double work_run(HOLDER *holder, struct job *job)
{
	switch (job->work) {
	case WORK_PAIR:
		return work_pairs(holder, job);
	case WORK_BATCH:
		return work_batches(holder, job);
	case WORK_CHURN:
		return work_churn(holder, job);
	default:
		return work_window(holder, job);
	}
}

static inline void work_clear(HOLDER *holder, struct job *job)
{
	struct work_item *items = job->items;

	for (size_t i = 0; items && i < job->window; i++)
		if (items[i].size)
			GIVE(holder, &items[i].item);
	free(items);
	job->items = NULL;
}
