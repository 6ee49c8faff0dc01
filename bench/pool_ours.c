/* SPDX-License-Identifier: MIT */
/*
 * A simulated card's memory, by the shared library, as a program has it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <p2pdma/access.h>
#include <p2pdma/p2pmem.h>

#include "card.h"
#include "contender.h"

#define MACHINE                                                                              \
	"{\"format\":\"p2pdma-fabric\",\"version\":1,\"roots\":[{\"platform\":\"forwards\"," \
	"\"below\":[{\"model\":\"mem\",\"size\":\"%lluM\",\"name\":\"card\"}]}]}\n"

static void must(int r)
{
	if (!r)
		return;
	fprintf(stderr, "bench-pool: error %d\n", r);
	_exit(1);
}

static void *start(uint64_t size)
{
	struct card *card = calloc(1, sizeof(*card));
	char path[] = "/tmp/bench-pool-XXXXXX", spec[64];
	int fd = mkstemp(path);

	must(!card || fd < 0);
	dprintf(fd, MACHINE, (unsigned long long)size >> 20);
	close(fd);
	snprintf(spec, sizeof(spec), "sim:%s", path);
	must(p2pdma_machine_open(spec, NULL, &card->machine));
	unlink(path);
	must(p2pdma_machine_resolve(card->machine, "card", NULL, &card->device));
	must(p2pdma_device_open(card->device, NULL));
	must(p2pdma_add_resource(card->device, 0, 0, 0, NULL, NULL, &card->provider));
	return card;
}

static void stop(void *pool)
{
	struct card *card = pool;

	p2pdma_provider_put(card->provider);
	p2pdma_device_close(card->device);
	p2pdma_machine_close(card->machine);
	free(card);
}

#define ITEM                     struct p2pmem_buf
#define HOLDER                   struct p2pdma_provider
#define TAKE(holder, size, item) p2pmem_alloc(holder, size, 0, item)
#define GIVE(holder, item)       ((void)(holder), work_must(p2pmem_free(*(item))))
#include "pool_work.h"

static double run(void *pool, struct job *job)
{
	return work_run(((struct card *)pool)->provider, job);
}

static void clear(void *pool, struct job *job)
{
	work_clear(((struct card *)pool)->provider, job);
}

const struct contender ours_shared = { "p2pmem_alloc()", ~0u, start, stop, run, clear };
