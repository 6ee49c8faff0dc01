/* SPDX-License-Identifier: MIT */
/*
 * test_move.c - an accelerator moves memory that it has lent, while the borrower writes a stream
 * into it: nothing that the borrower was told had been written is lost.
 */
#include "scene.h"

#include "engine.h"
#include <p2pdma/importer.h>

#define MACHINE(extra)                                    \
	SWITCH(extra,                                     \
	       "{\"model\":\"dma\",\"name\":\"engine\"}," \
	       "{\"model\":\"accel\",\"name\":\"accel\",\"memory\":\"4M\",\"rate\":\"1G\"}")

#define ACCEL_SOURCE  0x10
#define ACCEL_TARGET  0x18
#define ACCEL_LENGTH  0x20
#define ACCEL_COMMAND 0x28
#define ACCEL_STATUS  0x2c
#define ACCEL_BUSY    1u
#define ACCEL_DONE    2u

#define BYTES  (64 * PAGE) /* lent: as many pages as a ring has entries, less one, and one more */
#define MOVES  10
#define MINUTE 60000000000ull /* ns */

struct scene {
	struct lab lab;
	struct engine engine;
	struct p2pdma_device *accel;
	struct p2pdma_bar_map *registers;
	struct p2pdma_provider *provider;
	struct p2pmem_buf bufs[2]; /* where it is, and where it may go */
	unsigned int at;
	struct p2pdma_dmabuf *dmabuf;
	struct p2pdma_attachment *attachment;
	uint64_t address;        /* of it, for the engine; 0: not mapped */
	unsigned int places[64]; /* in the ring, of the pages put */
	unsigned int put, told;  /* pages; those known to be written */
	unsigned int stops, starts;
};

/* Page @page of the stream is in host memory at the same offset. */
static void put_page(struct scene *scene)
{
	struct engine *engine = &scene->engine;
	unsigned int page = scene->put++;

	scene->places[page] = engine_put(engine, engine->host_address + ENGINE_DATA + page * PAGE,
	                                 scene->address + page * PAGE, PAGE, COPY_FLUSH);
	engine_ring(engine);
}

/* What the engine says is done: FLUSH has read it back. */
static void look(struct scene *scene)
{
	while (scene->told < scene->put &&
	       engine_status(&scene->engine, scene->places[scene->told])) {
		assert_int_equal(engine_status(&scene->engine, scene->places[scene->told]),
		                 COPY_OK);
		scene->told++;
	}
}

static void stop(struct p2pdma_attachment *attachment, void *arg)
{
	struct scene *scene = arg;

	scene->stops++;
	assert_true(engine_wait(&scene->engine));
	look(scene);
	scene->address = 0;
	assert_int_equal(p2pdma_dmabuf_unmap(attachment, P2PDMA_UNMAP_LANDED), 0);
}

static void start(struct p2pdma_attachment *attachment, void *arg)
{
	const struct p2pdma_dma_segment *segments;
	struct scene *scene = arg;
	size_t count;

	scene->starts++;
	assert_int_equal(p2pdma_dmabuf_map(attachment, P2PDMA_OP_BOTH, 0, NULL, &count, &segments),
	                 0);
	assert_int_equal(count, 1);
	scene->address = segments[0].address.addr;
}

static const struct p2pdma_importer importer = {
	.size = sizeof(struct p2pdma_importer),
	.allows_peer = true,
	.invalidate = stop,
	.restored = start,
};

static struct p2pdma_range range_at(const struct scene *scene, unsigned int at)
{
	return (struct p2pdma_range){ scene->bufs[at].offset, BYTES };
}

static void open_scene(struct scene *scene, const char *json)
{
	struct p2pdma_range range;

	*scene = (struct scene){ 0 };
	lab_open(&scene->lab, json, NULL);
	engine_open(&scene->engine, &scene->lab, lab_device(&scene->lab, "engine"), 0);
	for (unsigned int i = 0; i < BYTES / 4; i++)
		memcpy(scene->engine.host + ENGINE_DATA + 4 * i,
		       &(uint32_t){ i * 2654435761u + 12345 }, 4);
	scene->accel = open_device(&scene->lab, "accel");
	assert_int_equal(p2pdma_bar_map(scene->accel, 0, NULL, &scene->registers), 0);
	assert_int_equal(p2pdma_add_resource(scene->accel, 2, 0, 0, NULL, NULL, &scene->provider),
	                 0);
	scene->bufs[0] = alloc(scene->provider, BYTES);
	scene->bufs[1] = alloc(scene->provider, BYTES);
	range = range_at(scene, 0);
	assert_int_equal(
		p2pdma_dmabuf_export(scene->provider, &range, 1, NULL, NULL, &scene->dmabuf), 0);
	assert_int_equal(p2pdma_dmabuf_attach(scene->dmabuf, scene->engine.device, &importer, scene,
	                                      NULL, &scene->attachment),
	                 0);
	start(scene->attachment, scene);
}

static void close_scene(struct scene *scene)
{
	p2pdma_dmabuf_detach(scene->attachment);
	assert_int_equal(p2pdma_dmabuf_release(scene->dmabuf, 0, NULL), 0);
	assert_int_equal(p2pmem_free(scene->bufs[0]), 0);
	assert_int_equal(p2pmem_free(scene->bufs[1]), 0);
	p2pdma_bar_unmap(scene->registers);
	assert_int_equal(p2pdma_provider_remove(scene->provider, 0, NULL), 0);
	p2pdma_provider_put(scene->provider);
	p2pdma_device_close(scene->accel);
	engine_close(&scene->engine);
	lab_close(&scene->lab);
}

static void set(struct scene *scene, uint64_t reg, uint64_t value)
{
	assert_int_equal(p2pdma_bar_write(scene->registers, reg, 8, &value), 0);
}

static uint32_t status(struct scene *scene)
{
	uint32_t value = 0;

	assert_int_equal(p2pdma_bar_read(scene->registers, ACCEL_STATUS, 4, &value), 0);
	return value;
}

/* Tells the accelerator to move it to where it is not. */
static void begin_move(struct scene *scene)
{
	uint32_t command = 1;

	set(scene, ACCEL_SOURCE, scene->bufs[scene->at].offset);
	set(scene, ACCEL_TARGET, scene->bufs[!scene->at].offset);
	set(scene, ACCEL_LENGTH, BYTES);
	assert_int_equal(p2pdma_bar_write(scene->registers, ACCEL_COMMAND, 4, &command), 0);
	assert_int_equal(status(scene), ACCEL_BUSY);
}

static void end_move(struct scene *scene)
{
	while (status(scene) == ACCEL_BUSY)
		lab_run(&scene->lab, 10000);
	assert_int_equal(status(scene), ACCEL_DONE);
	scene->at = !scene->at;
}

/* Pages of those told that are not where the memory is now. */
static unsigned int lost(struct scene *scene)
{
	uint8_t bytes[PAGE];
	unsigned int count = 0;

	for (unsigned int i = 0; i < scene->told; i++) {
		assert_int_equal(p2pmem_copy_from(scene->bufs[scene->at], (uint64_t)i * PAGE, PAGE,
		                                  bytes),
		                 0);
		count += memcmp(bytes, scene->engine.host + ENGINE_DATA + i * PAGE, PAGE) != 0;
	}
	return count;
}

static void move_ten_times(const char *json)
{
	struct scene scene;

	open_scene(&scene, json);
	for (unsigned int i = 0; i < MOVES; i++) {
		struct p2pdma_range range;

		for (unsigned int j = 0; j < 6; j++)
			put_page(&scene);
		/* Some are done, some are on their way, and some not begun. */
		lab_run(&scene.lab, 700 * i);
		look(&scene);
		assert_int_equal(p2pdma_dmabuf_revoke(scene.dmabuf, MINUTE, NULL), 0);
		assert_int_equal(scene.stops, i + 1);
		begin_move(&scene);
		end_move(&scene);
		range = range_at(&scene, scene.at);
		assert_int_equal(p2pdma_dmabuf_restore(scene.dmabuf, &range, 1, NULL), 0);
		assert_int_equal(scene.starts, i + 2);
		assert_int_equal(lost(&scene), 0);
	}
	while (scene.put < 63)
		put_page(&scene);
	assert_true(engine_wait(&scene.engine));
	look(&scene);
	assert_int_equal(scene.told, 63);
	assert_int_equal(lost(&scene), 0);
	close_scene(&scene);
}

static void what_was_told_is_where_it_went(void **state)
{
	(void)state;
	move_ten_times(MACHINE(""));
	move_ten_times(MACHINE("\"landing_ns\":20000,"));
}

static void behind_an_iommu_too(void **state)
{
	(void)state;
	move_ten_times(MACHINE("\"iommu\":\"translated\","));
}

/* The counter-proof: who is not told writes to where it was, and is told that it is done. */
static void without_a_revocation_it_is_lost(void **state)
{
	struct scene scene;

	(void)state;
	open_scene(&scene, MACHINE(""));
	begin_move(&scene);
	lab_run(&scene.lab, 150000); /* the first 128 KiB have gone */
	for (unsigned int i = 0; i < 20; i++)
		put_page(&scene);
	assert_true(engine_wait(&scene.engine));
	look(&scene);
	end_move(&scene);
	assert_int_equal(scene.told, 20);
	assert_int_equal(lost(&scene), 20);
	close_scene(&scene);
}

/* Who has pinned it keeps it where it is: the exporter is told before it moves anything. */
static void pinned_it_does_not_move(void **state)
{
	struct p2pdma_error err = { "" };
	struct p2pdma_range range;
	struct scene scene;

	(void)state;
	open_scene(&scene, MACHINE(""));
	range = range_at(&scene, 1);
	assert_int_equal(p2pdma_dmabuf_pin(scene.attachment, 0), 0);
	assert_int_equal(p2pdma_dmabuf_invalidate(scene.dmabuf, MINUTE, &err), -EBUSY);
	assert_non_null(strstr(err.text, "pinned"));
	assert_int_equal(scene.stops, 0);
	/* It can be revoked, and comes back where it was. */
	assert_int_equal(p2pdma_dmabuf_revoke(scene.dmabuf, MINUTE, NULL), 0);
	assert_int_equal(p2pdma_dmabuf_restore(scene.dmabuf, &range, 1, &err), -EBUSY);
	assert_int_equal(p2pdma_dmabuf_restore(scene.dmabuf, NULL, 0, NULL), 0);
	assert_int_equal(scene.starts, 2);
	assert_int_equal(p2pdma_dmabuf_unpin(scene.attachment), 0);
	assert_int_equal(p2pdma_dmabuf_revoke(scene.dmabuf, MINUTE, NULL), 0);
	assert_int_equal(p2pdma_dmabuf_restore(scene.dmabuf, &range, 1, NULL), 0);
	close_scene(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_told_is_where_it_went),
		cmocka_unit_test(behind_an_iommu_too),
		cmocka_unit_test(without_a_revocation_it_is_lost),
		cmocka_unit_test(pinned_it_does_not_move),
	};

	return cmocka_run_group_tests_name("peer-move", tests, NULL, NULL);
}
