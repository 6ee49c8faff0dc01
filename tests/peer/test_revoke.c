/* SPDX-License-Identifier: MIT */
/*
 * test_revoke.c - revocation on a fabric: an importer that never lets go, and what it may reach
 * afterwards.
 */
#include "scene.h"
#include "topology.h"
#include <p2pdma/importer.h>

#define PAIR                                                  \
	"{\"model\":\"probe\",\"id\":0,\"name\":\"client\"}," \
	"{\"model\":\"mem\",\"size\":\"1M\",\"name\":\"card\"}"

struct scene {
	struct lab lab;
	struct p2pdma_device *client, *card;
	struct p2pdma_provider *provider;
	struct p2pmem_buf buf;
	struct p2pdma_dmabuf *dmabuf;
	struct p2pdma_attachment *attachment;
};

static void never(struct p2pdma_attachment *attachment, void *arg)
{
	(void)attachment;
	(void)arg;
}

static const struct p2pdma_importer stuck = {
	.size = sizeof(struct p2pdma_importer),
	.allows_peer = true,
	.invalidate = never,
};

/* Lends a buffer of @lender to @borrower. */
static struct scene open_scene(const char *json, const char *lender, const char *borrower)
{
	const struct p2pdma_dma_segment *segments;
	struct p2pdma_range range;
	struct scene scene;
	size_t count;

	lab_open(&scene.lab, json, NULL);
	scene.card = open_device(&scene.lab, lender);
	scene.client = strcmp(lender, borrower) ? open_device(&scene.lab, borrower) : scene.card;
	scene.provider = add_all(scene.card);
	scene.buf = alloc(scene.provider, PAGE);
	range = (struct p2pdma_range){ scene.buf.offset, PAGE };
	assert_int_equal(p2pdma_dmabuf_export(scene.provider, &range, 1, NULL, NULL, &scene.dmabuf),
	                 0);
	assert_int_equal(p2pdma_dmabuf_attach(scene.dmabuf, scene.client, &stuck, NULL, NULL,
	                                      &scene.attachment),
	                 0);
	assert_int_equal(p2pdma_dmabuf_map(scene.attachment, P2PDMA_OP_WRITE, 0, NULL, &count,
	                                   &segments),
	                 0);
	return scene;
}

static void close_scene(struct scene *scene)
{
	p2pdma_dmabuf_detach(scene->attachment);
	p2pdma_dmabuf_release(scene->dmabuf, 0, NULL);
	p2pmem_free(scene->buf);
	p2pdma_provider_put(scene->provider);
	lab_close(&scene->lab);
}

static int revoke(struct scene *scene)
{
	return p2pdma_dmabuf_revoke(scene->dmabuf, p2pdma_machine_now(scene->lab.machine), NULL);
}

static int set_command(struct p2pdma_device *device, uint32_t value)
{
	return p2pdma_device_config_write(device, COMMAND, 2, value);
}

static void plugged_in_anew_it_may(void **state)
{
	struct scene scene = open_scene(SWITCH("", PAIR), "card", "client");

	(void)state;
	assert_int_equal(revoke(&scene), -ETIMEDOUT);
	p2pdma_device_close(scene.client);
	pull(&scene.lab, scene.client, "remove");
	pull(&scene.lab, scene.client, "add");
	assert_int_equal(p2pdma_device_open(scene.client, NULL), 0);
	assert_int_equal(set_command(scene.client, COMMAND_MEMORY | COMMAND_MASTER), 0);
	close_scene(&scene);
}

/* One write that ends its own memory, by which it is cut off, and would let it go on. */
static void the_write_that_ends_it_does_not_start_it(void **state)
{
	struct scene scene = open_scene(SWITCH("", PAIR), "client", "client");

	(void)state;
	assert_int_equal(set_command(scene.client, COMMAND_MASTER), -EPERM);
	assert_int_equal(lab_get(scene.client, COMMAND, 2) & COMMAND_MASTER, 0);
	close_scene(&scene);
}

static void move_bar(struct p2pdma_device *device, uint64_t address)
{
	lab_set(device, 0x10, 4, (uint32_t)address);
	lab_set(device, 0x14, 4, (uint32_t)(address >> 32));
}

/* A link that went down takes the BARs: memory decode alone does not bring the memory back. */
static void a_bar_that_was_lost_is_no_memory(void **state)
{
	struct scene scene = open_scene(SWITCH("", PAIR), "card", "client");
	uint64_t bar = lab_bar(scene.card);
	struct p2pmem_buf buf = scene.buf;
	uint64_t value;

	(void)state;
	pull(&scene.lab, p2pdma_device_parent(scene.card), "retrain");
	lab_run(&scene.lab, 1000000);
	assert_int_equal(set_command(scene.card, COMMAND_MEMORY), 0);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_REVOKED);
	assert_int_equal(p2pmem_read(buf, 0, 8, &value), -ENODEV);
	move_bar(scene.card, bar);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_LIVE);
	assert_int_equal(p2pmem_read(buf, 0, 8, &value), 0);
	close_scene(&scene);
}

/* Reset behind the library's back. */
static void without_an_address_the_cpu_has_nothing(void **state)
{
	struct scene scene = open_scene(SWITCH("", PAIR), "card", "client");
	uint64_t value;

	(void)state;
	pull(&scene.lab, scene.card, "reset");
	assert_int_equal(p2pmem_read(scene.buf, 0, 8, &value), -ENODEV);
	close_scene(&scene);
}

/* The entries of a page are one client's, whichever of its mappings they are for. */
static void another_mapping_does_not_keep_it_going(void **state)
{
	struct scene scene =
		open_scene(SWITCH("\"iommu\":\"translated\",", PAIR), "card", "client");
	struct p2pdma_mapping *mapping;
	uint64_t address, word = 1;

	(void)state;
	mapping = map_buf(scene.client, scene.buf, P2PDMA_OP_READ, &address);
	assert_int_equal(p2pdma_dmabuf_revoke(scene.dmabuf, 0, NULL), -ETIMEDOUT);
	assert_int_not_equal(lab_dma(&scene.lab, lab_bdf(scene.client), P2PDMA_OP_WRITE, address,
	                             sizeof(word), &word)
	                             .fate,
	                     P2PDMA_SIM_ARRIVED);
	p2pdma_unmap_sg(mapping);
	close_scene(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_mapping_does_not_keep_it_going),
		cmocka_unit_test(plugged_in_anew_it_may),
		cmocka_unit_test(the_write_that_ends_it_does_not_start_it),
		cmocka_unit_test(a_bar_that_was_lost_is_no_memory),
		cmocka_unit_test(without_an_address_the_cpu_has_nothing),
	};

	return cmocka_run_group_tests_name("peer-revoke", tests, NULL, NULL);
}
