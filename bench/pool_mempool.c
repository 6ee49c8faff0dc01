/* SPDX-License-Identifier: MIT */
/*
 * DPDK's pool of objects of one size, where DPDK is installed.
 */
#include "contender.h"

#ifdef HAVE_DPDK

#include <sched.h>

#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_mempool.h>

#define OBJECTS 4095u
#define CACHED  256u

#define ITEM                     void *
#define HOLDER                   struct rte_mempool
#define TAKE(holder, size, item) rte_mempool_get(holder, item)
#define GIVE(holder, item)       rte_mempool_put(holder, *(item))
#include "pool_work.h"

/* Binds this thread to a processor, which is undone: others are to run beside it. */
static bool begin(void)
{
	static char *arguments[] = {
		"bench-pool", "--no-huge",   "--no-pci", "--no-shconf",   "-m", "64", "-l",
		"0",          "--log-level", "1",        "--no-telemetry"
	};
	cpu_set_t processors;

	if (sched_getaffinity(0, sizeof(processors), &processors) ||
	    rte_eal_init(sizeof(arguments) / sizeof(arguments[0]), arguments) < 0)
		return false;
	return !sched_setaffinity(0, sizeof(processors), &processors);
}

static struct rte_mempool *create(const char *name, unsigned int cached)
{
	static int is_there = -1;

	if (is_there < 0)
		is_there = begin();
	if (!is_there)
		return NULL;
	return rte_mempool_create(name, OBJECTS, PAGE, cached, 0, NULL, NULL, NULL, NULL,
	                          SOCKET_ID_ANY, 0);
}

/* Its cost does not depend on how many there are: they are never more than these. */
static void *start_plain(uint64_t size)
{
	(void)size;
	return create("plain", 0);
}

static void *start_cached(uint64_t size)
{
	(void)size;
	return create("cached", CACHED);
}

static void stop(void *pool)
{
	rte_mempool_free(pool);
}

static double run(void *pool, struct job *job)
{
	bool is_new = rte_lcore_id() == LCORE_ID_ANY;
	double result;

	/* A thread has a cache once DPDK knows it. */
	if (is_new)
		work_must(rte_thread_register());
	result = work_run(pool, job);
	if (is_new)
		rte_thread_unregister();
	return result;
}

#define FIXED (1u << WORK_PAIR | 1u << WORK_BATCH | 1u << WORK_REPLACE)

const struct contender mempool_plain = { "rte_mempool", FIXED, start_plain, stop, run, NULL };
const struct contender mempool_cached = {
	"rte_mempool, cache", FIXED, start_cached, stop, run, NULL
};

#else

static void *start(uint64_t size)
{
	(void)size;
	return NULL;
}

const struct contender mempool_plain = { "rte_mempool", 0, start, NULL, NULL, NULL };
const struct contender mempool_cached = { "rte_mempool, cache", 0, start, NULL, NULL, NULL };

#endif
