/* SPDX-License-Identifier: MIT */
/*
 * test_peer.c - the seam's dma_map for the BAR of a peer, and why map.c asks for the addresses it
 * does.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "lab.h"
#include "topology.h"

#define PAGE 4096u
#define MACHINE(iommu, bits)                                                                      \
	"{\"format\":\"p2pdma-fabric\",\"version\":1,\"iommu\":\"" iommu "\",\"iova_bits\":" bits \
	",\"roots\":[{\"platform\":{\"same_port\":\"rw\",\"across_ports\":\"rw\","                \
	"\"across_sockets\":\"rw\"},\"below\":[{\"type\":\"switch\",\"below\":["                  \
	"{\"model\":\"probe\",\"id\":0,\"name\":\"client\"},"                                     \
	"{\"model\":\"probe\",\"id\":1,\"name\":\"provider\"}]}]}]}"

struct scene {
	struct lab lab;
	struct backend *backend;
	struct p2pdma_bdf client;
	uint64_t bar;
};

static struct scene open_scene(const char *json)
{
	struct scene scene;
	struct p2pdma_device *client;

	lab_open(&scene.lab, json, NULL);
	client = lab_device(&scene.lab, "client");
	scene.backend = scene.lab.machine->backend;
	scene.client = lab_bdf(client);
	scene.bar = lab_bar(lab_device(&scene.lab, "provider"));
	assert_int_equal(p2pdma_device_open(client, NULL), 0);
	return scene;
}

static int map_peer(const struct scene *scene, bool is_fixed, uint64_t address,
                    struct p2pdma_dma *ret_address)
{
	const struct machine_dma dma = {
		.phys = { scene->bar },
		.length = PAGE,
		.op = P2PDMA_OP_WRITE,
		.is_fixed = is_fixed,
		.address = { address },
	};

	return scene->backend->ops.dma_map(scene->backend->private, scene->client, &dma,
	                                   ret_address);
}

static int unmap_peer(const struct scene *scene, struct p2pdma_dma address)
{
	return scene->backend->ops.dma_unmap(scene->backend->private, scene->client, address, PAGE);
}

static enum p2pdma_sim_fate write_at(struct scene *scene, uint64_t address)
{
	uint8_t bytes[64];

	memset(bytes, 0x5a, sizeof(bytes));
	memset(lab_probe(1)->memory, 0, sizeof(bytes));
	return lab_dma(&scene->lab, scene->client, P2PDMA_OP_WRITE, address, sizeof(bytes), bytes)
	        .fate;
}

/* With redirecting ports all goes through the IOMMU. */
static void a_peer_is_mapped_where_it_is_or_elsewhere(void **state)
{
	struct scene scene = open_scene(MACHINE("translated", "48"));
	struct p2pdma_dma fixed = { 0 }, free = { 0 };

	(void)state;
	assert_int_equal(write_at(&scene, scene.bar), P2PDMA_SIM_IOMMU);
	assert_int_equal(map_peer(&scene, true, scene.bar, &fixed), 0);
	assert_int_equal(fixed.addr, scene.bar);
	assert_int_equal(write_at(&scene, fixed.addr), P2PDMA_SIM_ARRIVED);
	assert_int_equal(lab_probe(1)->memory[63], 0x5a);
	assert_int_equal(map_peer(&scene, true, scene.bar, &free), -EEXIST);
	assert_int_equal(map_peer(&scene, true, 0xfee00000, &free), -ERANGE);
	assert_int_equal(map_peer(&scene, true, 0xfeeff000, &free), -ERANGE);
	assert_int_equal(map_peer(&scene, true, 1ull << 48, &free), -ERANGE);
	assert_int_equal(map_peer(&scene, true, UINT64_MAX - PAGE + 1, &free), -ERANGE);
	assert_int_equal(free.addr, 0);
	assert_int_equal(map_peer(&scene, false, 0, &free), 0);
	assert_true(free.addr != scene.bar);
	assert_int_equal(write_at(&scene, free.addr), P2PDMA_SIM_ARRIVED);
	assert_int_equal(lab_probe(1)->memory[0], 0x5a);
	assert_int_equal(unmap_peer(&scene, fixed), 0);
	assert_int_equal(write_at(&scene, scene.bar), P2PDMA_SIM_IOMMU);
	assert_int_equal(unmap_peer(&scene, fixed), -EINVAL);
	assert_int_equal(unmap_peer(&scene, free), 0);
	lab_close(&scene.lab);
}

/* The BAR lies at 2^45 and above. */
static void a_narrow_iommu_has_no_address_for_a_peer(void **state)
{
	struct scene scene = open_scene(MACHINE("translated", "39"));
	struct p2pdma_dma address = { 0 };

	(void)state;
	assert_int_equal(map_peer(&scene, true, scene.bar, &address), -ERANGE);
	assert_int_equal(map_peer(&scene, true, 1ull << 39, &address), -ERANGE);
	assert_int_equal(map_peer(&scene, true, (1ull << 39) - PAGE, &address), 0);
	assert_int_equal(unmap_peer(&scene, address), 0);
	assert_int_equal(map_peer(&scene, false, 0, &address), 0);
	assert_true(address.addr < 1ull << 39);
	assert_int_equal(write_at(&scene, address.addr), P2PDMA_SIM_ARRIVED);
	lab_close(&scene.lab);
}

static int map_memory(const struct scene *scene, void *memory, size_t length,
                      struct p2pdma_dma *ret_address)
{
	return p2pdma_dma_map(lab_device(&scene->lab, "client"), memory, length, P2PDMA_OP_BOTH,
	                      ret_address);
}

/*
 * Whatever of a root complex is off, not there or moved away for a while: an IOMMU of 32 bits, with
 * registers from 2 GiB on, gives out all of the rest.
 */
static void memory_is_in_nobodys_window(void **state)
{
	struct scene scene =
		open_scene("{\"format\":\"p2pdma-fabric\",\"version\":1,\"iommu\":\"translated\","
	                   "\"iova_bits\":32,\"roots\":[{\"below\":["
	                   "{\"model\":\"probe\",\"id\":0,\"name\":\"client\"},"
	                   "{\"model\":\"probe\",\"id\":1,\"name\":\"provider\"},"
	                   "{\"model\":\"dma\",\"name\":\"engine\"},"
	                   "{\"type\":\"integrated\",\"model\":\"dma\",\"name\":\"off\"},"
	                   "{\"type\":\"integrated\",\"model\":\"dma\",\"name\":\"moved\"},"
	                   "{\"type\":\"integrated\",\"model\":\"dma\",\"absent\":true}]}]}");
	struct p2pdma_device *off = lab_device(&scene.lab, "off");
	struct p2pdma_device *moved = lab_device(&scene.lab, "moved");
	const size_t length = 1u << 20;
	uint64_t bars[] = { lab_bar(off), lab_bar(moved), lab_bar(moved) + 0x2000 };
	uint8_t *memory = aligned_alloc(PAGE, length);
	struct p2pdma_dma address;
	size_t count = 0;
	int r;

	(void)state;
	assert_non_null(memory);
	assert_int_equal(bars[1] - bars[0], 0x2000);
	lab_change(off, COMMAND, COMMAND_MEMORY, 0);
	lab_set(moved, 0x10, 4, 0);
	while (!(r = map_memory(&scene, memory, length, &address))) {
		for (size_t i = 0; i < sizeof(bars) / sizeof(bars[0]); i++)
			assert_true(bars[i] < address.addr || bars[i] >= address.addr + length);
		assert_true(address.addr + length <= 0xfee00000 || address.addr >= 0xfef00000);
		count++;
	}
	assert_int_equal(r, -ENOSPC);
	assert_in_range(count, 4096 - 8, 4096 - 4); /* of all that there is */
	free(memory);
	lab_close(&scene.lab);
}

static void without_iommu_a_peer_is_where_it_is(void **state)
{
	struct scene scene = open_scene(MACHINE("none", "48"));
	struct p2pdma_dma address = { 0 };

	(void)state;
	assert_int_equal(map_peer(&scene, true, scene.bar + PAGE, &address), -EEXIST);
	assert_int_equal(map_peer(&scene, false, 0, &address), 0);
	assert_int_equal(address.addr, scene.bar);
	assert_int_equal(write_at(&scene, address.addr), P2PDMA_SIM_ARRIVED);
	assert_int_equal(unmap_peer(&scene, address), 0);
	lab_close(&scene.lab);
}

/* Has the client write to memory of this process; true: it is there. */
static bool reaches_memory(struct scene *scene, uint8_t *memory, uint64_t address)
{
	uint8_t bytes[64];

	memset(bytes, 0x3c, sizeof(bytes));
	memset(memory, 0, sizeof(bytes));
	lab_dma(&scene->lab, scene->client, P2PDMA_OP_WRITE, address, sizeof(bytes), bytes);
	return !memcmp(memory, bytes, sizeof(bytes));
}

/*
 * The naive rule: any free IOVA will do for memory.  One in a peer's BAR is taken by the switch,
 * and what was meant for memory overwrites the peer, with success all along.
 */
static void memory_at_a_peers_address_corrupts_the_peer(void **state)
{
	struct scene scene = open_scene(MACHINE("translated", "48"));
	struct p2pdma_device *client = lab_device(&scene.lab, "client");
	uint8_t *memory = aligned_alloc(PAGE, PAGE);
	struct machine_dma dma = {
		.cpu = memory,
		.length = PAGE,
		.op = P2PDMA_OP_BOTH,
		.is_fixed = true,
		.address = { scene.bar },
	};
	struct p2pdma_dma naive, ours;

	(void)state;
	assert_non_null(memory);
	lab_acs(p2pdma_device_parent(client), 0);
	assert_int_equal(
		scene.backend->ops.dma_map(scene.backend->private, scene.client, &dma, &naive), 0);
	memset(lab_probe(1)->memory, 0, 64);
	assert_false(reaches_memory(&scene, memory, naive.addr));
	assert_int_equal(lab_probe(1)->memory[0], 0x3c);
	assert_int_equal(p2pdma_dma_unmap(client, naive, PAGE), 0);
	/* Ours lies in nobody's window. */
	assert_int_equal(p2pdma_dma_map(client, memory, PAGE, P2PDMA_OP_BOTH, &ours), 0);
	memset(lab_probe(1)->memory, 0, 64);
	assert_true(reaches_memory(&scene, memory, ours.addr));
	assert_int_equal(lab_probe(1)->memory[0], 0);
	free(memory);
	lab_close(&scene.lab);
}

/* And for a peer: at any other IOVA than its bus address the short cut is missed, and the data
 * lost. */
static void a_peer_at_another_address_loses_the_data(void **state)
{
	struct scene scene = open_scene(
		"{\"format\":\"p2pdma-fabric\",\"version\":1,\"iommu\":\"translated\",\"roots\":["
		"{\"platform\":\"refuses\",\"below\":[{\"type\":\"switch\",\"below\":["
		"{\"model\":\"probe\",\"id\":0,\"name\":\"client\"},"
		"{\"model\":\"probe\",\"id\":1,\"name\":\"provider\"}]}]}]}");
	struct p2pdma_dma naive, ours;

	(void)state;
	lab_acs(p2pdma_device_parent(lab_device(&scene.lab, "client")), 0);
	assert_int_equal(map_peer(&scene, false, 0, &naive), 0);
	assert_int_equal(write_at(&scene, naive.addr), P2PDMA_SIM_ROOT);
	assert_int_equal(lab_probe(1)->memory[0], 0);
	assert_int_equal(unmap_peer(&scene, naive), 0);
	assert_int_equal(map_peer(&scene, true, scene.bar, &ours), 0);
	assert_int_equal(write_at(&scene, ours.addr), P2PDMA_SIM_ARRIVED);
	assert_int_equal(lab_probe(1)->memory[0], 0x5a);
	lab_close(&scene.lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_peer_is_mapped_where_it_is_or_elsewhere),
		cmocka_unit_test(a_narrow_iommu_has_no_address_for_a_peer),
		cmocka_unit_test(memory_is_in_nobodys_window),
		cmocka_unit_test(without_iommu_a_peer_is_where_it_is),
		cmocka_unit_test(memory_at_a_peers_address_corrupts_the_peer),
		cmocka_unit_test(a_peer_at_another_address_loses_the_data),
	};

	return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
