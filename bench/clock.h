/* SPDX-License-Identifier: MIT */
/* clock.h - seconds, and the median of several runs. */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdlib.h>
#include <time.h>

static inline double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline int compare_seconds(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static inline double median(double *runs, size_t count)
{
	qsort(runs, count, sizeof(*runs), compare_seconds);
	return runs[count / 2];
}

#endif
