/* SPDX-License-Identifier: MIT */
/*
 * test_view.c - the seam's bar_view: whose memory it shows, and for how long.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "lab.h"
#include "topology.h"

#define PAGE 4096u
#define TIB  (1ull << 40)

#define MACHINE(below)                                                                             \
	"{\"format\":\"p2pdma-fabric\",\"version\":1,\"roots\":[{\"below\":[{\"type\":\"switch\"," \
	"\"below\":[" below "]}]}]}"
#define CARD(size) "{\"model\":\"mem\",\"size\":\"" size "\",\"name\":\"card\"}"

#define OTHER "{\"model\":\"dma\",\"name\":\"other\"}"

struct scene {
	struct lab lab;
	struct backend *backend;
	struct p2pdma_device *card;
};

static struct scene open_scene(const char *json)
{
	struct scene scene;

	lab_open(&scene.lab, json, NULL);
	scene.backend = scene.lab.machine->backend;
	scene.card = lab_device(&scene.lab, "card");
	assert_int_equal(p2pdma_device_open(scene.card, NULL), 0);
	return scene;
}

static int view(const struct scene *scene, int bar, uint64_t offset, size_t length,
                enum machine_view what, void *memory)
{
	return scene->backend->ops.bar_view(scene->backend->private, lab_bdf(scene->card), bar,
	                                    offset, length, what, memory);
}

static bool is_ones(const volatile uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (bytes[i] != 0xff)
			return false;
	return true;
}

static void fault(struct scene *scene, const char *what)
{
	char text[100];

	snprintf(text, sizeof(text), "{\"at_ns\":0,\"do\":\"%s\",\"device\":\"%s\"}", what,
	         lab_text(lab_bdf(scene->card)));
	assert_int_equal(p2pdma_sim_fault(scene->lab.sim, text, NULL), 0);
	lab_run(&scene->lab, 1000);
}

static void a_part_is_shown(void **state)
{
	struct scene scene = open_scene(MACHINE(CARD("64K") "," OTHER));
	uint64_t bar = lab_bar(scene.card);
	uint8_t *memory = NULL, *again = NULL, bytes[64];
	struct p2pdma_bdf other = lab_bdf(lab_device(&scene.lab, "other"));

	(void)state;
	memset(bytes, 0x5a, sizeof(bytes));
	assert_int_equal(view(&scene, 0, 0x10000, PAGE, VIEW_NEW, &memory), -EINVAL);
	assert_int_equal(view(&scene, 0, 0xf000, 2 * PAGE, VIEW_NEW, &memory), -EINVAL);
	assert_int_equal(view(&scene, 0, UINT64_MAX - PAGE + 1, PAGE, VIEW_NEW, &memory), -EINVAL);
	assert_int_equal(view(&scene, 1, 0, PAGE, VIEW_NEW, &memory), -EOPNOTSUPP);
	assert_null(memory);
	assert_int_equal(view(&scene, 0, 0x3000, 2 * PAGE, VIEW_NEW, &memory), 0);
	assert_int_equal(view(&scene, 0, 0, 0x10000, VIEW_NEW, &again), 0);
	assert_int_equal(memory[0], 0);
	/* What devices write is seen, and what is stored is what they read. */
	lab_dma(&scene.lab, other, P2PDMA_OP_WRITE, bar + 0x4fc0, 64, bytes);
	assert_memory_equal(memory + 2 * PAGE - 64, bytes, 64);
	assert_memory_equal(again + 0x4fc0, bytes, 64);
	memory[2 * PAGE - 1] = 7;
	lab_dma(&scene.lab, other, P2PDMA_OP_READ, bar + 0x4fc0, 64, bytes);
	assert_int_equal(bytes[63], 7);
	/* One blank view hides nothing from the others. */
	assert_int_equal(view(&scene, 0, 0x3000, 2 * PAGE, VIEW_BLANK, &memory), 0);
	assert_true(is_ones(memory, 2 * PAGE));
	assert_int_equal(again[0x4fff], 7);
	assert_int_equal(view(&scene, 0, 0x3000, 2 * PAGE, VIEW_BLANK, &memory), 0);
	assert_true(is_ones(memory, 2 * PAGE));
	assert_int_equal(view(&scene, 0, 0x3000, 2 * PAGE, VIEW_END, &memory), 0);
	assert_int_equal(again[0x4fff], 7);
	assert_int_equal(view(&scene, 0, 0, 0x10000, VIEW_END, &again), 0);
	lab_close(&scene.lab);
}

/* Also memory that is larger than any machine's. */
static void large_memory_is_shown(void **state)
{
	struct scene scene = open_scene(MACHINE(CARD("16T") "," OTHER));
	uint8_t *memory = NULL, bytes[4] = { 1, 2, 3, 4 };

	(void)state;
	lab_dma(&scene.lab, lab_bdf(lab_device(&scene.lab, "other")), P2PDMA_OP_WRITE,
	        lab_bar(scene.card) + 16 * TIB - 4, 4, bytes);
	assert_int_equal(view(&scene, 0, 16 * TIB - PAGE, PAGE, VIEW_NEW, &memory), 0);
	assert_memory_equal(memory + PAGE - 4, bytes, 4);
	assert_int_equal(view(&scene, 0, 16 * TIB - PAGE, PAGE, VIEW_END, &memory), 0);
	lab_close(&scene.lab);
}

static void a_file_is_shown(void **state)
{
	char path[] = "/tmp/p2pdma-view-XXXXXX", json[600];
	int fd = mkstemp(path);
	struct scene scene;
	uint8_t *memory, byte = 0;

	(void)state;
	snprintf(json, sizeof(json),
	         MACHINE("{\"model\":\"mem\",\"size\":\"64K\",\"name\":\"card\","
	                 "\"file\":\"%s\"}"),
	         path);
	scene = open_scene(json);
	assert_int_equal(view(&scene, 0, 0x8000, PAGE, VIEW_NEW, &memory), 0);
	memory[1] = 0x77;
	assert_int_equal(pread(fd, &byte, 1, 0x8001), 1);
	assert_int_equal(byte, 0x77);
	assert_int_equal(view(&scene, 0, 0x8000, PAGE, VIEW_BLANK, &memory), 0);
	memory[1] = 0x88;
	assert_int_equal(pread(fd, &byte, 1, 0x8001), 1);
	assert_int_equal(byte, 0x77);
	assert_int_equal(view(&scene, 0, 0x8000, PAGE, VIEW_SHOW, &memory), 0);
	assert_int_equal(memory[1], 0x77);
	assert_int_equal(view(&scene, 0, 0x8000, PAGE, VIEW_END, &memory), 0);
	lab_close(&scene.lab);
	close(fd);
	unlink(path);
}

static void what_is_no_memory_of_the_fabric_is_not(void **state)
{
	struct scene scene;
	void *memory = NULL;

	(void)state;
	scene = open_scene(MACHINE("{\"model\":\"probe\",\"id\":0,\"name\":\"card\"}"));
	assert_int_equal(view(&scene, 0, 0, PAGE, VIEW_NEW, &memory), -EOPNOTSUPP);
	lab_close(&scene.lab);
	scene = open_scene(MACHINE("{\"model\":\"dma\",\"name\":\"card\"}"));
	assert_int_equal(view(&scene, 0, 0, PAGE, VIEW_NEW, &memory), -EOPNOTSUPP);
	assert_int_equal(view(&scene, 4, 0, PAGE, VIEW_NEW, &memory), -EOPNOTSUPP);
	assert_null(memory);
	lab_close(&scene.lab);
}

/* It stays until the caller blanks it, whatever has become of the function. */
static void a_view_outlives_its_function(void **state)
{
	struct scene scene = open_scene(MACHINE(CARD("64K")));
	uint8_t *memory = NULL;
	void *none = NULL;

	(void)state;
	assert_int_equal(view(&scene, 0, 0, PAGE, VIEW_NEW, &memory), 0);
	memory[0] = 42;
	fault(&scene, "remove");
	assert_int_equal(memory[0], 42);
	assert_int_equal(view(&scene, 0, 0, PAGE, VIEW_NEW, &none), -ENODEV);
	assert_int_equal(view(&scene, 0, 0, PAGE, VIEW_BLANK, &memory), 0);
	assert_int_equal(view(&scene, 0, 0, PAGE, VIEW_SHOW, &memory), -ENODEV);
	assert_true(is_ones(memory, PAGE));
	fault(&scene, "add");
	assert_int_equal(view(&scene, 0, 0, PAGE, VIEW_SHOW, &memory), 0);
	assert_int_equal(memory[0], 42);
	p2pdma_device_close(scene.card);
	assert_int_equal(memory[0], 42);
	assert_int_equal(view(&scene, 0, 0, PAGE, VIEW_SHOW, &memory), -EPERM);
	assert_int_equal(memory[0], 42);
	assert_int_equal(view(&scene, 0, 0, PAGE, VIEW_END, &memory), 0);
	assert_null(none);
	lab_close(&scene.lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_part_is_shown),
		cmocka_unit_test(large_memory_is_shown),
		cmocka_unit_test(a_file_is_shown),
		cmocka_unit_test(what_is_no_memory_of_the_fabric_is_not),
		cmocka_unit_test(a_view_outlives_its_function),
	};

	return cmocka_run_group_tests_name("view", tests, NULL, NULL);
}
