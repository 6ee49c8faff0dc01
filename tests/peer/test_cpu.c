/* SPDX-License-Identifier: MIT */
/*
 * test_cpu.c - the CPU's loads, stores and maps of a provider's memory, and what becomes of them
 * when it goes.
 */
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "scene.h"

#define MACHINE                                                             \
	SWITCH("", "{\"model\":\"mem\",\"size\":\"1M\",\"name\":\"card\"}," \
	           "{\"model\":\"probe\",\"id\":0,\"bar\":\"registers\",\"name\":\"probe\"}")

struct scene {
	struct lab lab;
	struct p2pdma_device *card;
	struct p2pdma_provider *provider;
	struct p2pmem_buf buf;
};

static struct scene open_scene(const char *json, const char *name)
{
	struct scene scene;

	lab_open(&scene.lab, json, NULL);
	scene.card = open_device(&scene.lab, name);
	scene.provider = add_all(scene.card);
	scene.buf = alloc(scene.provider, 2 * PAGE);
	return scene;
}

static void close_scene(struct scene *scene)
{
	assert_int_equal(p2pmem_free(scene->buf), 0);
	p2pdma_provider_put(scene->provider);
	lab_close(&scene->lab);
}

static void values_are_little_endian_and_aligned(void **state)
{
	struct scene scene = open_scene(MACHINE, "card");
	uint64_t value = 0;
	uint8_t bytes[8];

	(void)state;
	assert_int_equal(p2pmem_write(scene.buf, 8, 8, 0x1122334455667788ull), 0);
	assert_int_equal(p2pmem_copy_from(scene.buf, 8, 8, bytes), 0);
	assert_int_equal(bytes[0], 0x88);
	assert_int_equal(p2pmem_read(scene.buf, 10, 2, &value), 0);
	assert_int_equal(value, 0x5566);
	assert_int_equal(p2pmem_read(scene.buf, 15, 1, &value), 0);
	assert_int_equal(value, 0x11);
	assert_int_equal(p2pmem_read(scene.buf, 10, 4, &value), -EINVAL);
	assert_int_equal(p2pmem_read(scene.buf, 0, 3, &value), -EINVAL);
	assert_int_equal(p2pmem_write(scene.buf, 0, 16, 0), -EINVAL);
	assert_int_equal(p2pmem_read(scene.buf, 2 * PAGE, 1, &value), -EINVAL);
	assert_int_equal(p2pmem_read(scene.buf, 2 * PAGE - 8, 8, &value), 0);
	assert_int_equal(p2pmem_write(scene.buf, UINT64_MAX, 1, 0), -EINVAL);
	assert_int_equal(p2pmem_copy_to(scene.buf, PAGE, bytes, PAGE + 1), -EINVAL);
	assert_int_equal(p2pmem_set(scene.buf, 1, 2 * PAGE, 0), -EINVAL);
	assert_int_equal(p2pmem_flush((struct p2pmem_buf){ NULL, 0, 1 }), -EINVAL);
	assert_int_equal(p2pmem_flush((struct p2pmem_buf){ scene.provider, MIB, 1 }), -EINVAL);
	close_scene(&scene);
}

/* The model counts: the widest there are, none outside. */
static void copies_use_the_widest_stores(void **state)
{
	struct scene scene = open_scene(MACHINE, "probe");
	struct probe *probe = lab_probe(0);
	uint8_t bytes[100], back[100];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i + 1);
	assert_int_equal(p2pmem_copy_to(scene.buf, 1, bytes, sizeof(bytes)), 0);
	assert_int_equal(p2pmem_flush(scene.buf), 0);
	/* 1 + 2 + 4 up to 8, eleven of 8, 4 + 1 */
	assert_int_equal(probe->writes, 3 + 11 + 2);
	assert_memory_equal(probe->memory + 1, bytes, sizeof(bytes));
	assert_int_equal(probe->memory[0], 0);
	assert_int_equal(probe->memory[101], 0);
	probe->reads = 0;
	assert_int_equal(p2pmem_copy_from(scene.buf, 1, sizeof(back), back), 0);
	assert_int_equal(probe->reads, 3 + 11 + 2);
	assert_memory_equal(back, bytes, sizeof(bytes));
	probe->writes = 0;
	assert_int_equal(p2pmem_set(scene.buf, 4, 1000, 0xaa), 0);
	assert_int_equal(p2pmem_flush(scene.buf), 0);
	assert_int_equal(probe->writes, 1 + 124 + 1);
	assert_int_equal(probe->memory[3], 3);
	assert_int_equal(probe->memory[4], 0xaa);
	assert_int_equal(probe->memory[1003], 0xaa);
	assert_int_equal(probe->memory[1004], 0);
	close_scene(&scene);
}

static void what_is_gone_is_told(void **state)
{
	struct scene scene = open_scene(MACHINE, "card");
	uint64_t value = 0;

	(void)state;
	/* All ones are data as long as somebody is there. */
	assert_int_equal(p2pmem_write(scene.buf, 0, 8, UINT64_MAX), 0);
	assert_int_equal(p2pmem_read(scene.buf, 0, 8, &value), 0);
	assert_true(value == UINT64_MAX);
	/* Pulled, and nobody has asked the machine yet. */
	assert_int_equal(
		p2pdma_sim_fault(scene.lab.sim,
	                         "{\"at_ns\":0,\"do\":\"remove\",\"device\":\"0000:03:00.0\"}",
	                         NULL),
		0);
	assert_int_equal(p2pmem_write(scene.buf, 0, 8, 1), 0);
	assert_int_equal(p2pmem_read(scene.buf, 0, 8, &value), -ENODEV);
	assert_int_equal(p2pmem_flush(scene.buf), -ENODEV);
	lab_run(&scene.lab, 1000);
	assert_int_equal(p2pmem_write(scene.buf, 0, 8, 1), -ENODEV);
	close_scene(&scene);
}

/* After a reset: its BAR has no address, nor does it answer. */
static void switch_on(struct p2pdma_device *card, uint32_t low, uint32_t high)
{
	lab_set(card, 0x10, 4, low);
	lab_set(card, 0x14, 4, high);
	lab_change(card, COMMAND, 0, COMMAND_MEMORY);
}

static void without_decode_there_is_nothing(void **state)
{
	struct scene scene = open_scene(MACHINE, "card");
	struct p2pdma_device *port = p2pdma_device_parent(scene.card);
	const uint32_t low = lab_get(scene.card, 0x10, 4), high = lab_get(scene.card, 0x14, 4);
	uint64_t value = 0;

	(void)state;
	assert_int_equal(p2pmem_write(scene.buf, 0, 4, 77), 0);
	lab_change(scene.card, COMMAND, COMMAND_MEMORY, 0);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_REVOKED);
	assert_int_equal(p2pmem_read(scene.buf, 0, 4, &value), -ENODEV);
	assert_int_equal(p2pmem_write(scene.buf, 0, 4, 0), -ENODEV);
	lab_change(scene.card, COMMAND, 0, COMMAND_MEMORY);
	assert_int_equal(p2pmem_read(scene.buf, 0, 4, &value), 0);
	assert_int_equal(value, 77);
	assert_int_equal(info_of(scene.provider).generation, 0);
	/* Asleep and awake again, it may have forgotten. */
	lab_power(scene.card, 3);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_REVOKED);
	lab_power(scene.card, 0);
	switch_on(scene.card, low, high);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_LIVE);
	assert_int_equal(info_of(scene.provider).generation, 1);
	assert_int_equal(p2pdma_device_reset(scene.card, NULL), 0);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_LIVE);
	assert_int_equal(info_of(scene.provider).generation, 2);
	assert_int_equal(p2pmem_read(scene.buf, 0, 4, &value), 0);
	/* By its own register: it comes back as after any reset, switched off. */
	lab_change(scene.card, lab_cap(scene.card, CAP_EXP) + 8, 0, 0x8000);
	assert_int_equal(info_of(scene.provider).generation, 3);
	switch_on(scene.card, low, high);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_LIVE);
	/* By the port above: a secondary bus reset, then a link that is switched off. */
	lab_change(port, 0x3e, 0, 0x40);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_REVOKED);
	assert_in_range(info_of(scene.provider).generation, 4, 5);
	lab_change(port, 0x3e, 0x40, 0);
	lab_run(&scene.lab, 200000000);
	switch_on(scene.card, low, high);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_LIVE);
	lab_change(port, lab_cap(port, CAP_EXP) + 0x10, 0, 0x10);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_REVOKED);
	close_scene(&scene);
}

/* Whoever switched a link off himself need not hear of it, least of all when it is on again. */
static void a_late_event_revokes_nothing(void **state)
{
	struct scene scene = open_scene(MACHINE, "card");
	struct p2pdma_device *port = p2pdma_device_parent(scene.card);
	const uint32_t low = lab_get(scene.card, 0x10, 4), high = lab_get(scene.card, 0x14, 4);
	size_t control = lab_cap(port, CAP_EXP) + 0x10;
	struct p2pdma_event event;

	(void)state;
	lab_change(port, control, 0, 0x10);
	lab_change(port, control, 0x10, 0);
	lab_set(scene.card, 0x10, 4, low);
	lab_set(scene.card, 0x14, 4, high);
	lab_change(scene.card, COMMAND, 0, COMMAND_MEMORY);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_LIVE);
	assert_int_equal(p2pdma_machine_event(scene.lab.machine, &event), 0);
	assert_int_equal(event.kind, P2PDMA_EVENT_LINK_DOWN);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_LIVE);
	assert_int_equal(info_of(scene.provider).generation, 1);
	close_scene(&scene);
}

/* ---- maps ---- */

static void a_map_is_the_memory(void **state)
{
	struct scene scene = open_scene(MACHINE, "card");
	struct p2pmem_buf odd = { scene.provider, scene.buf.offset, 100 };
	uint64_t value = 0;
	void *memory;
	char *bytes;

	(void)state;
	assert_int_equal(p2pmem_write(scene.buf, PAGE, 4, 0x01020304), 0);
	assert_int_equal(p2pmem_flush(scene.buf), 0);
	assert_int_equal(p2pmem_mmap(odd, &memory), -EINVAL);
	assert_int_equal(p2pmem_mmap((struct p2pmem_buf){ NULL, 0, PAGE }, &memory), -EINVAL);
	assert_int_equal(p2pmem_mmap((struct p2pmem_buf){ scene.provider, 0, 2 * MIB }, &memory),
	                 -EINVAL);
	assert_int_equal(p2pmem_mmap(scene.buf, &memory), 0);
	bytes = memory;
	assert_int_equal(bytes[PAGE], 4);
	bytes[8] = 42;
	assert_int_equal(p2pmem_read(scene.buf, 8, 1, &value), 0);
	assert_int_equal(value, 42);
	assert_int_equal(p2pmem_munmap(odd, memory), -EINVAL);
	assert_int_equal(p2pmem_munmap(scene.buf, bytes + PAGE), -EINVAL);
	assert_int_equal(p2pmem_munmap(scene.buf, memory), 0);
	assert_int_equal(p2pmem_munmap(scene.buf, memory), -EINVAL);
	close_scene(&scene);
}

static void a_revoked_map_reads_as_ones(void **state)
{
	struct scene scene = open_scene(MACHINE, "card");
	volatile uint8_t *bytes;
	uint64_t value = 0;
	void *memory, *second;

	(void)state;
	assert_int_equal(p2pmem_mmap(scene.buf, &memory), 0);
	bytes = memory;
	bytes[5] = 5;
	lab_change(scene.card, COMMAND, COMMAND_MEMORY, 0);
	assert_int_equal(bytes[5], 0xff);
	bytes[5] = 6; /* goes nowhere */
	assert_int_equal(p2pmem_mmap(scene.buf, &second), -ENODEV);
	lab_change(scene.card, COMMAND, 0, COMMAND_MEMORY);
	assert_int_equal(bytes[5], 5);
	assert_int_equal(p2pmem_read(scene.buf, 5, 1, &value), 0);
	assert_int_equal(value, 5);
	pull(&scene.lab, scene.card, "remove");
	assert_int_equal(bytes[5], 0xff);
	assert_int_equal(p2pmem_munmap(scene.buf, memory), 0);
	close_scene(&scene);
}

static void a_map_ends_with_its_machine(void **state)
{
	struct scene scene = open_scene(MACHINE, "card");
	void *memory;

	(void)state;
	assert_int_equal(p2pmem_mmap(scene.buf, &memory), 0);
	p2pdma_device_close(scene.card);
	assert_int_equal(*(volatile uint8_t *)memory, 0xff);
	close_scene(&scene);
	assert_int_equal(msync(memory, PAGE, MS_ASYNC), -1);
	assert_int_equal(errno, ENOMEM);
}

static void what_has_no_pages_cannot_be_mapped(void **state)
{
	struct scene scene = open_scene(MACHINE, "probe");
	void *memory;

	(void)state;
	assert_int_equal(p2pmem_mmap(scene.buf, &memory), -EOPNOTSUPP);
	close_scene(&scene);
}

/* ---- SIGBUS: the program's own handler ---- */

static struct p2pdma_machine *caught_machine;
static volatile sig_atomic_t caught, refused;

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	caught++;
	if (!p2pdma_sigbus(caught_machine, info->si_addr)) {
		refused++;
		_exit(1);
	}
}

/* The file behind the card is cut short: what a BAR does whose decode goes off behind our back. */
static void a_handler_puts_ones_in_place(void **state)
{
	char path[] = "/tmp/p2pdma-sigbus-XXXXXX", json[512];
	const struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };
	struct sigaction before;
	struct scene scene;
	void *memory;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, MIB), 0);
	snprintf(json, sizeof(json),
	         SWITCH("",
	                "{\"model\":\"mem\",\"size\":\"1M\",\"name\":\"card\",\"file\":\"%s\"}"),
	         path);
	scene = open_scene(json, "card");
	caught_machine = scene.lab.machine;
	assert_int_equal(sigaction(SIGBUS, &action, &before), 0);
	assert_int_equal(p2pmem_mmap(scene.buf, &memory), 0);
	*(volatile uint8_t *)memory = 1;
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(*(volatile uint8_t *)memory, 0xff);
	assert_int_equal(((volatile uint8_t *)memory)[2 * PAGE - 1], 0xff);
	assert_int_equal(caught, 1);
	assert_false(p2pdma_sigbus(scene.lab.machine, &fd));
	assert_false(p2pdma_sigbus(scene.lab.machine, (char *)memory + 2 * PAGE));
	assert_int_equal(p2pmem_munmap(scene.buf, memory), 0);
	assert_false(p2pdma_sigbus(scene.lab.machine, memory));
	assert_int_equal(sigaction(SIGBUS, &before, NULL), 0);
	assert_int_equal(ftruncate(fd, MIB), 0);
	close_scene(&scene);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_little_endian_and_aligned),
		cmocka_unit_test(copies_use_the_widest_stores),
		cmocka_unit_test(what_is_gone_is_told),
		cmocka_unit_test(without_decode_there_is_nothing),
		cmocka_unit_test(a_late_event_revokes_nothing),
		cmocka_unit_test(a_map_is_the_memory),
		cmocka_unit_test(a_revoked_map_reads_as_ones),
		cmocka_unit_test(a_map_ends_with_its_machine),
		cmocka_unit_test(what_has_no_pages_cannot_be_mapped),
		cmocka_unit_test(a_handler_puts_ones_in_place),
	};

	return cmocka_run_group_tests_name("cpu", tests, NULL, NULL);
}
