/* SPDX-License-Identifier: MIT */
/*
 * bench_map.c - a mapping of one entry and its end, against the lookup of its route that the cache
 * saves, and against having the machine looked at again.
 */
#include <stdio.h>
#include <unistd.h>

#include <p2pdma/access.h>
#include <p2pdma/map.h>

#include "clock.h"

#define ROUNDS 15
#define TIMES  200000u
#define FEW    200u

#define MACHINE(iommu)                                                                             \
	"{\"format\":\"p2pdma-fabric\",\"version\":1,\"iommu\":\"" iommu "\",\"roots\":["          \
	"{\"platform\":\"intel-skylake-sp\",\"below\":[{\"type\":\"switch\",\"below\":["           \
	"{\"model\":\"dma\",\"name\":\"client\"},"                                                 \
	"{\"type\":\"switch\",\"below\":[{\"model\":\"mem\",\"size\":\"64M\",\"name\":\"card\"}]}" \
	"]}]}]}"

struct scene {
	struct p2pdma_machine *machine;
	struct p2pdma_device *client, *card;
	struct p2pdma_provider *provider;
	struct p2pdma_routes *routes;
	struct p2pmem_buf buf;
};

static void must(int r)
{
	if (!r)
		return;
	fprintf(stderr, "bench-map: error %d\n", r);
	exit(1);
}

static struct p2pdma_device *open_device(struct p2pdma_machine *machine, const char *name)
{
	struct p2pdma_device *device;

	must(p2pdma_machine_resolve(machine, name, NULL, &device));
	must(p2pdma_device_open(device, NULL));
	must(p2pdma_device_config_write(device, 4, 1, 6));
	return device;
}

static struct scene open_scene(const char *json)
{
	char path[] = "/tmp/p2pdma-bench-XXXXXX", spec[64];
	struct scene scene;
	int fd = mkstemp(path);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	must(!file || fputs(json, file) < 0 || fclose(file));
	snprintf(spec, sizeof(spec), "sim:%s", path);
	must(p2pdma_machine_open(spec, NULL, &scene.machine));
	unlink(path);
	scene.client = open_device(scene.machine, "client");
	scene.card = open_device(scene.machine, "card");
	must(p2pdma_add_resource(scene.card, 0, 0, 0, NULL, NULL, &scene.provider));
	must(p2pmem_alloc(scene.provider, 1 << 20, 0, &scene.buf));
	must(p2pdma_routes_new(scene.machine, NULL, &scene.routes));
	return scene;
}

static void close_scene(struct scene *scene)
{
	p2pdma_routes_free(scene->routes);
	must(p2pmem_free(scene->buf));
	p2pdma_provider_put(scene->provider);
	p2pdma_machine_close(scene->machine);
}

static void map_and_unmap(struct scene *scene)
{
	struct p2pdma_sg sg = p2pdma_sg_buf(scene->buf);
	struct p2pdma_mapping *mapping;

	must(p2pdma_map_sg(scene->client, &sg, 1, P2PDMA_OP_BOTH, 0, NULL, &mapping));
	p2pdma_unmap_sg(mapping);
}

static void look_up(struct scene *scene)
{
	struct p2pdma_route route = p2pdma_routes_pair(scene->routes, scene->card, scene->client);

	must(p2pdma_route_answer(route, P2PDMA_OP_BOTH) != P2PDMA_ANSWER_YES);
}

static void map_after_rescan(struct scene *scene)
{
	p2pdma_machine_rescan(scene->machine);
	map_and_unmap(scene);
}

/* Nanoseconds of one. */
static double time_of(void (*what)(struct scene *scene), struct scene *scene, unsigned int times)
{
	double begin = seconds();

	for (unsigned int i = 0; i < times; i++)
		what(scene);
	return (seconds() - begin) * 1e9 / times;
}

int main(void)
{
	struct scene plain = open_scene(MACHINE("none")),
		     behind = open_scene(MACHINE("translated"));
	double mapped[ROUNDS], translated[ROUNDS], looked[ROUNDS], anew[ROUNDS];
	double base;

	for (int i = 0; i < ROUNDS; i++) {
		looked[i] = time_of(look_up, &plain, TIMES);
		mapped[i] = time_of(map_and_unmap, &plain, TIMES);
		translated[i] = time_of(map_and_unmap, &behind, TIMES);
		anew[i] = time_of(map_after_rescan, &plain, FEW);
	}
	base = median(looked, ROUNDS);
	printf("medians of %d rounds, ns; ratio to the lookup\n", ROUNDS);
	printf("%-52s %10.1f %8.2f\n", "route of one pair, looked up (p2pdma_routes_pair)", base,
	       1.0);
	printf("%-52s %10.1f %8.2f\n", "map and unmap of one entry", median(mapped, ROUNDS),
	       mapped[ROUNDS / 2] / base);
	printf("%-52s %10.1f %8.2f\n", "the same behind an IOMMU that translates",
	       median(translated, ROUNDS), translated[ROUNDS / 2] / base);
	printf("%-52s %10.1f %8.2f\n", "map and unmap, the machine looked at again",
	       median(anew, ROUNDS), anew[ROUNDS / 2] / base);
	close_scene(&plain);
	close_scene(&behind);
	return 0;
}
