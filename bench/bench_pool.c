/* SPDX-License-Identifier: MIT */
/*
 * Allocators: nanoseconds for a buffer taken and given back, for pools of several sizes, by one
 * thread and by two.  All take turns in one process; medians.  One thread's time is that of its
 * processor, since others may want it; of two, waiting for each other counts.
 */
#include <pthread.h>
#include <stdio.h>

#include "clock.h"
#include "contender.h"

#define ROUNDS      9
#define MOST_THREAD 2u
#define WINDOW      1024u /* buffers */
#define FEW         10    /* as many times as few pairs with the bitmap, which is slow */

static const struct contender *const contenders[] = {
	&ours_cached, &mempool_cached, &ours_shared, &mempool_plain, &bitmap,
};

#define CONTENDERS (sizeof(contenders) / sizeof(contenders[0]))

/* Nanoseconds a pair; 0: it does not do that. */
typedef double results[CONTENDERS][WORKS];

struct thread {
	pthread_t id;
	const struct contender *contender;
	void *pool;
	pthread_barrier_t *barrier;
	struct job job;
	double seconds;
};

static void *run_thread(void *argument)
{
	struct thread *thread = argument;

	pthread_barrier_wait(thread->barrier);
	thread->seconds = thread->contender->run(thread->pool, &thread->job);
	return NULL;
}

/* A pair's share of the time of the thread that does it. */
static double run(const struct contender *contender, void *pool, const struct job *job,
                  unsigned int threads)
{
	struct thread jobs[MOST_THREAD];
	pthread_barrier_t barrier;
	double sum = 0;

	if (threads == 1) {
		struct job copy = *job;

		return contender->run(pool, &copy) / (double)job->count * 1e9;
	}
	pthread_barrier_init(&barrier, NULL, threads);
	for (unsigned int i = 0; i < threads; i++) {
		jobs[i] = (struct thread){ 0, contender, pool, &barrier, *job, 0 };
		jobs[i].job.random += i;
		if (pthread_create(&jobs[i].id, NULL, run_thread, &jobs[i]))
			abort();
	}
	for (unsigned int i = 0; i < threads; i++) {
		pthread_join(jobs[i].id, NULL);
		sum += jobs[i].seconds;
	}
	pthread_barrier_destroy(&barrier);
	return sum / threads / (double)job->count * 1e9;
}

static void measure(void *const *pools, uint64_t size, unsigned int threads, results ret)
{
	static double runs[CONTENDERS][WORKS][ROUNDS];
	const size_t fit = size / (2 * threads * MOST_PAGES * PAGE);

	for (unsigned int round = 0; round < ROUNDS; round++)
		for (unsigned int work = 0; work < WORK_CHURN; work++)
			for (size_t i = 0; i < CONTENDERS; i++) {
				struct job job = {
					.work = work,
					.clock = threads == 1 ? CLOCK_THREAD_CPUTIME_ID
					                      : CLOCK_MONOTONIC,
					.count = 500000 / threads,
					.window = work == WORK_MIXED && fit < WINDOW ? fit : WINDOW,
					.random = round,
				};

				runs[i][work][round] = 0;
				if (!pools[i] || !(contenders[i]->works & 1u << work))
					continue;
				if (contenders[i] == &bitmap)
					job.count /= FEW;
				runs[i][work][round] = run(contenders[i], pools[i], &job, threads);
			}
	for (size_t i = 0; i < CONTENDERS; i++)
		for (unsigned int work = 0; work < WORK_CHURN; work++)
			ret[i][work] = median(runs[i][work], ROUNDS);
}

/* Full to 95 parts of 100, then buffers are replaced. */
static void churn(void *const *pools, uint64_t size, results ret)
{
	static double runs[CONTENDERS][ROUNDS];
	struct job jobs[CONTENDERS];

	for (size_t i = 0; i < CONTENDERS; i++)
		/* The window has room for more than may be in use. */
		jobs[i] = (struct job){
			.work = WORK_CHURN,
			.clock = CLOCK_THREAD_CPUTIME_ID,
			.count = 20000,
			.window = size / PAGE * 2 / (MOST_PAGES + 1),
			.most = size / 100 * 95,
		};
	for (unsigned int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < CONTENDERS; i++) {
			runs[i][round] = 0;
			if (!pools[i] || !(contenders[i]->works & 1u << WORK_CHURN))
				continue;
			/* To fill a large one alone would take it hours. */
			if (contenders[i] == &bitmap && size > 1ull << 30)
				continue;
			runs[i][round] = contenders[i]->run(pools[i], &jobs[i]) /
			                 (double)jobs[i].count * 1e9;
		}
	for (size_t i = 0; i < CONTENDERS; i++) {
		if (jobs[i].items) {
			printf("  %s at %.1f %%\n", contenders[i]->name,
			       100.0 * (double)jobs[i].used / (double)size);
			contenders[i]->clear(pools[i], &jobs[i]);
		}
		ret[i][WORK_CHURN] = median(runs[i], ROUNDS);
	}
}

static size_t index_of(const struct contender *contender)
{
	size_t i = 0;

	while (contenders[i] != contender)
		i++;
	return i;
}

static void print_ratio(const char *what, results ns, const struct contender *over,
                        const struct contender *under)
{
	printf("  %-22s", what);
	for (unsigned int work = 0; work < WORKS; work++) {
		double a = ns[index_of(over)][work], b = ns[index_of(under)][work];

		if (a > 0 && b > 0)
			printf(" %9.2f", a / b);
		else
			printf(" %9s", "-");
	}
	printf("\n");
}

static void print(results ns)
{
	printf("  %-22s %9s %9s %9s %9s %9s\n", "", "pair", "batch", "replace", "mixed", "churn");
	for (size_t i = 0; i < CONTENDERS; i++) {
		printf("  %-22s", contenders[i]->name);
		for (unsigned int work = 0; work < WORKS; work++)
			if (ns[i][work] > 0)
				printf(" %9.1f", ns[i][work]);
			else
				printf(" %9s", "-");
		printf("\n");
	}
	print_ratio("cache / mempool, cache", ns, &ours_cached, &mempool_cached);
	print_ratio("alloc / mempool", ns, &ours_shared, &mempool_plain);
	print_ratio("bitmap / alloc", ns, &bitmap, &ours_shared);
}

static void bench(uint64_t size)
{
	void *pools[CONTENDERS];

	for (size_t i = 0; i < CONTENDERS; i++)
		pools[i] = contenders[i]->start(size);
	for (unsigned int threads = 1; threads <= MOST_THREAD; threads++) {
		results ns = { { 0 } };

		printf("\n%llu MiB, %u thread%s\n", (unsigned long long)size >> 20, threads,
		       threads > 1 ? "s" : "");
		measure(pools, size, threads, ns);
		if (threads == 1)
			churn(pools, size, ns);
		print(ns);
		fflush(stdout);
	}
	for (size_t i = 0; i < CONTENDERS; i++)
		if (pools[i])
			contenders[i]->stop(pools[i]);
}

int main(void)
{
	printf("Buffers of 4 KiB (mixed, churn: 4 to 128 KiB) taken and given back, nanoseconds a\n"
	       "pair in a thread, median of %d rounds.\n",
	       ROUNDS);
	bench(64ull << 20);
	bench(1ull << 30);
	bench(64ull << 30);
	return 0;
}
