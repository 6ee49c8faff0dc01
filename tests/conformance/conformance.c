/* SPDX-License-Identifier: MIT */
/*
 * conformance.c - what every machine promises, whatever its kind: one program, run on each.
 *
 * conformance SPEC: what p2pdma_machine_open() takes; "live" is a made-up /sys and /proc.  What a
 * machine cannot do it must refuse, in the documented way; what it can do it must do.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "topology.h"
#include "tree.h"
#include <p2pdma/access.h>
#include <p2pdma/map.h>
#include <p2pdma/progress.h>
#include <p2pdma/sim.h>

#define PAGE           4096
#define COMMAND        0x04
#define COMMAND_MASTER 0x0004
#define MS             1000000ull

static const char *spec;

struct subject {
	struct p2pdma_machine *machine;
	unsigned int caps;
	struct p2pdma_device *device; /* one to drive: with a memory BAR, if any has one */
	int bar;                      /* of it; -1: none */
	uint64_t bar_size;
};

static int open_subject(void **state)
{
	struct subject *subject = calloc(1, sizeof(*subject));
	struct p2pdma_error err = { "" };

	assert_non_null(subject);
	if (p2pdma_machine_open(spec, &err, &subject->machine))
		fail_msg("%s", err.text);
	subject->caps = p2pdma_machine_caps(subject->machine);
	subject->bar = -1;
	for (size_t i = 0; i < p2pdma_machine_device_count(subject->machine); i++) {
		struct p2pdma_device *device = p2pdma_machine_device(subject->machine, i);
		struct p2pdma_device_info info = { .size = sizeof(info) };

		assert_int_equal(p2pdma_device_get_info(device, &info), 0);
		if (!subject->device)
			subject->device = device;
		for (int bar = 0; bar < 6 && subject->bar < 0 && info.header_type == 0; bar++) {
			struct p2pdma_bar range;

			if (p2pdma_device_bar(device, bar, &range) || !range.is_memory ||
			    !range.size || !range.bus.addr)
				continue;
			subject->device = device;
			subject->bar = bar;
			subject->bar_size = range.size;
		}
	}
	*state = subject;
	return 0;
}

static int close_subject(void **state)
{
	struct subject *subject = *state;

	p2pdma_machine_close(subject->machine);
	free(subject);
	return 0;
}

static bool can(const struct subject *subject, unsigned int cap)
{
	return subject->caps & cap;
}

static struct p2pdma_bdf bdf_of(const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };

	assert_int_equal(p2pdma_device_get_info(device, &info), 0);
	return info.bdf;
}

static void functions_are_found_again(void **state)
{
	struct subject *subject = *state;
	size_t count = p2pdma_machine_device_count(subject->machine);

	assert_true(count > 0);
	assert_null(p2pdma_machine_device(subject->machine, count));
	for (size_t i = 0; i < count; i++) {
		struct p2pdma_device *device = p2pdma_machine_device(subject->machine, i), *found;
		struct p2pdma_device_info info = { .size = sizeof(info) };
		char name[32];

		assert_int_equal(p2pdma_device_get_info(device, &info), 0);
		assert_int_equal(info.index, i);
		assert_int_equal(p2pdma_machine_find(subject->machine, info.bdf, &found), 0);
		assert_ptr_equal(found, device);
		snprintf(name, sizeof(name), "%04x:%02x:%02x.%x", info.bdf.domain, info.bdf.bus,
		         info.bdf.devfn >> 3, info.bdf.devfn & 7);
		assert_int_equal(p2pdma_machine_resolve(subject->machine, name, NULL, &found), 0);
		assert_ptr_equal(found, device);
	}
	assert_int_equal(p2pdma_machine_find(subject->machine,
	                                     (struct p2pdma_bdf){ 0xfffffff0, 0xff, 0xff }, NULL),
	                 -ENODEV);
}

static void registers_can_be_read(void **state)
{
	struct subject *subject = *state;
	size_t count = p2pdma_machine_device_count(subject->machine);

	for (size_t i = 0; i < count; i++) {
		struct p2pdma_device *device = p2pdma_machine_device(subject->machine, i);
		struct p2pdma_device_info info = { .size = sizeof(info) };
		uint8_t all[PAGE], id[2] = { 0xa5, 0xa5 };

		assert_int_equal(p2pdma_device_get_info(device, &info), 0);
		assert_int_equal(p2pdma_device_config_read(device, 4095, 2, id), -EINVAL);
		assert_int_equal(p2pdma_device_config_read(device, SIZE_MAX, 1, id), -EINVAL);
		if (info.config_len < PAGE)
			assert_int_equal(p2pdma_device_config_read(device, info.config_len, 1, id),
			                 -ENODATA);
		assert_int_equal(id[0], 0xa5);
		if (info.config_len < 2)
			continue;
		assert_int_equal(p2pdma_device_config_read(device, 0, info.config_len, all), 0);
		assert_int_equal(p2pdma_device_config_read(device, 0, 2, id), 0);
		assert_memory_equal(all, id, 2);
		if (!info.is_vf)
			assert_int_equal(id[0] | id[1] << 8, info.vendor);
	}
}

/* What is written is read back, but not known by what was opened before. */
static void registers_can_be_written(void **state)
{
	struct subject *subject = *state;
	uint8_t before[2], after[2];
	int r;

	assert_int_equal(p2pdma_device_config_write(subject->device, 1, 2, 0), -EINVAL);
	assert_int_equal(p2pdma_device_config_write(subject->device, PAGE, 1, 0), -EINVAL);
	if (!can(subject, P2PDMA_CAP_BAR_MAP)) {
		assert_int_equal(p2pdma_device_config_write(subject->device, COMMAND, 2, 0),
		                 -EOPNOTSUPP);
		return;
	}
	assert_int_equal(p2pdma_device_config_read(subject->device, COMMAND, 2, before), 0);
	r = p2pdma_device_config_write(subject->device, COMMAND, 1, before[0] ^ COMMAND_MASTER);
	assert_int_equal(r, 0);
	assert_int_equal(p2pdma_device_config_read(subject->device, COMMAND, 2, after), 0);
	assert_int_equal(after[0], before[0] ^ COMMAND_MASTER);
	r = p2pdma_device_config_write(subject->device, COMMAND, 1, before[0]);
	assert_int_equal(r, 0);
}

static void a_function_is_opened_once(void **state)
{
	struct subject *subject = *state;
	struct p2pdma_device *device = subject->device;
	struct p2pdma_error err = { "" };
	uint8_t command = 0;

	p2pdma_device_close(NULL);
	p2pdma_device_close(device); /* not open: nothing happens */
	if (!can(subject, P2PDMA_CAP_BAR_MAP)) {
		assert_int_equal(p2pdma_device_open(device, &err), -EOPNOTSUPP);
		assert_true(err.text[0]);
		return;
	}
	for (int i = 0; i < 3; i++) {
		err.text[0] = '\0';
		assert_int_equal(p2pdma_device_open(device, &err), 0);
		assert_false(err.text[0]);
		assert_int_equal(p2pdma_device_open(device, &err), -EBUSY);
		assert_true(err.text[0]);
		assert_int_equal(p2pdma_device_open(device, NULL), -EBUSY);
		p2pdma_device_close(device);
	}
	assert_int_equal(p2pdma_device_config_read(device, COMMAND, 1, &command), 0);
	assert_false(command & COMMAND_MASTER);
}

static void what_wants_it_open_says_so(void **state)
{
	struct subject *subject = *state;
	void *memory = aligned_alloc(PAGE, PAGE);
	struct p2pdma_dma address = { 1 };
	struct p2pdma_bar_map *map = NULL;
	struct p2pdma_error err = { "" };
	int closed = can(subject, P2PDMA_CAP_BAR_MAP) ? -EPERM : -EOPNOTSUPP;

	assert_non_null(memory);
	assert_int_equal(p2pdma_bar_map(subject->device, 0, &err, &map), closed);
	assert_true(err.text[0]);
	assert_int_equal(p2pdma_device_reset(subject->device, NULL), closed);
	closed = can(subject, P2PDMA_CAP_DMA) ? -EPERM : -EOPNOTSUPP;
	assert_int_equal(p2pdma_dma_map(subject->device, memory, PAGE, P2PDMA_OP_BOTH, &address),
	                 closed);
	assert_int_equal(p2pdma_device_irq(subject->device, 0, -1), closed);
	assert_int_equal(address.addr, 1);
	assert_null(map);
	free(memory);
}

static void bars_are_mapped_as_large_as_they_are(void **state)
{
	struct subject *subject = *state;
	struct p2pdma_bar_map *map = NULL, *again = NULL;
	uint8_t bytes[16];

	if (!can(subject, P2PDMA_CAP_BAR_MAP) || subject->bar < 0)
		return;
	assert_int_equal(p2pdma_device_open(subject->device, NULL), 0);
	assert_int_equal(p2pdma_bar_map(subject->device, -1, NULL, &map), -EINVAL);
	assert_int_equal(p2pdma_bar_map(subject->device, 6, NULL, &map), -EINVAL);
	assert_int_equal(p2pdma_bar_map(subject->device, subject->bar, NULL, &map), 0);
	assert_int_equal(p2pdma_bar_map(subject->device, subject->bar, NULL, &again), 0);
	assert_int_equal(p2pdma_bar_size(map), subject->bar_size);
	assert_int_equal(p2pdma_bar_size(again), subject->bar_size);
	assert_int_equal(p2pdma_bar_read(map, 0, sizeof(bytes), bytes), 0);
	assert_int_equal(p2pdma_bar_read(map, subject->bar_size - 4, 4, bytes), 0);
	assert_int_equal(p2pdma_bar_read(map, subject->bar_size - 4, 8, bytes), -EINVAL);
	assert_int_equal(p2pdma_bar_write(map, subject->bar_size, 1, bytes), -EINVAL);
	p2pdma_bar_unmap(again);
	assert_int_equal(p2pdma_bar_read(map, 0, 1, bytes), 0);
	p2pdma_bar_unmap(map);
	p2pdma_device_close(subject->device);
}

static int view(const struct subject *subject, uint64_t offset, enum machine_view what,
                void **memory)
{
	const struct backend *backend = subject->machine->backend;

	return backend->ops.bar_view(backend->private, bdf_of(subject->device),
	                             subject->bar < 0 ? 0 : subject->bar, offset, PAGE, what,
	                             memory);
}

/* No public call asks for one BAR's pages alone: p2pmem_mmap() is of a provider. */
static void a_view_is_the_bar_or_ones(void **state)
{
	struct subject *subject = *state;
	bool can_map = can(subject, P2PDMA_CAP_BAR_MAP);
	struct p2pdma_bar_map *map;
	void *memory = NULL;
	uint32_t word = 0x12345678;
	uint8_t ones[PAGE];
	volatile uint32_t *at;
	int r;

	memset(ones, 0xff, sizeof(ones));
	assert_int_equal(view(subject, 0, VIEW_NEW, &memory), can_map ? -EPERM : -EOPNOTSUPP);
	assert_null(memory);
	if (!can_map || subject->bar < 0)
		return;
	assert_int_equal(p2pdma_device_open(subject->device, NULL), 0);
	r = view(subject, 0, VIEW_NEW, &memory);
	if (r) {
		assert_int_equal(r, -EOPNOTSUPP);
		assert_null(memory);
		p2pdma_device_close(subject->device);
		return;
	}
	assert_int_equal((uintptr_t)memory % PAGE, 0);
	assert_int_equal(p2pdma_bar_map(subject->device, subject->bar, NULL, &map), 0);
	at = memory;
	assert_int_equal(p2pdma_bar_write(map, 8, 4, &word), 0);
	assert_int_equal(p2pdma_bar_read(map, 8, 4, &word), 0);
	assert_int_equal(at[2], 0x12345678);
	at[3] = 0x9abcdef0;
	assert_int_equal(p2pdma_bar_read(map, 12, 4, &word), 0);
	assert_int_equal(word, 0x9abcdef0);
	assert_int_equal(view(subject, 0, VIEW_BLANK, &memory), 0);
	assert_ptr_equal(memory, at);
	assert_memory_equal(memory, ones, PAGE);
	at[3] = 1;
	assert_int_equal(p2pdma_bar_read(map, 12, 4, &word), 0);
	assert_int_equal(word, 0x9abcdef0);
	assert_int_equal(view(subject, 0, VIEW_SHOW, &memory), 0);
	assert_ptr_equal(memory, at);
	assert_int_equal(at[3], 0x9abcdef0);
	p2pdma_bar_unmap(map);
	p2pdma_device_close(subject->device);
	assert_int_equal(at[3], 0x9abcdef0);
	assert_int_equal(view(subject, 0, VIEW_BLANK, &memory), 0);
	assert_memory_equal(memory, ones, PAGE);
	assert_int_equal(view(subject, 0, VIEW_SHOW, &memory), -EPERM);
	assert_memory_equal(memory, ones, PAGE);
	assert_int_equal(view(subject, 0, VIEW_END, &memory), 0);
}

static void memory_is_mapped_and_unmapped_whole(void **state)
{
	struct subject *subject = *state;
	char *memory = aligned_alloc(PAGE, 4 * PAGE);
	struct p2pdma_dma address[2] = { { 0 }, { 0 } };
	struct p2pdma_device *device = subject->device;

	assert_non_null(memory);
	assert_int_equal(p2pdma_dma_map(device, memory + 8, PAGE, P2PDMA_OP_BOTH, &address[0]),
	                 -EINVAL);
	if (!can(subject, P2PDMA_CAP_DMA)) {
		assert_int_equal(p2pdma_dma_unmap(device, address[0], PAGE), -EOPNOTSUPP);
		free(memory);
		return;
	}
	assert_int_equal(p2pdma_dma_unmap(device, address[0], PAGE), -EINVAL);
	assert_int_equal(p2pdma_device_open(device, NULL), 0);
	assert_int_equal(p2pdma_dma_map(device, memory, 2 * PAGE, P2PDMA_OP_BOTH, &address[0]), 0);
	assert_int_equal(p2pdma_dma_map(device, memory + 2 * PAGE, 2 * PAGE, P2PDMA_OP_READ,
	                                &address[1]),
	                 0);
	assert_int_equal(address[0].addr % PAGE, 0);
	assert_true(address[0].addr + 2 * PAGE <= address[1].addr ||
	            address[1].addr + 2 * PAGE <= address[0].addr);
	assert_int_equal(p2pdma_dma_unmap(device, address[0], PAGE), -EINVAL);
	address[0].addr += PAGE;
	assert_int_equal(p2pdma_dma_unmap(device, address[0], PAGE), -EINVAL);
	address[0].addr -= PAGE;
	assert_int_equal(p2pdma_dma_unmap(device, address[0], 2 * PAGE), 0);
	assert_int_equal(p2pdma_dma_unmap(device, address[0], 2 * PAGE), -EINVAL);
	p2pdma_device_close(device); /* ends the other one */
	assert_int_equal(p2pdma_dma_unmap(device, address[1], 2 * PAGE), -EINVAL);
	free(memory);
}

/* Registered, allocated, mapped for itself, given back; or refused in the documented way. */
static void peer_memory_has_a_life(void **state)
{
	struct subject *subject = *state;
	struct p2pdma_provider_info info = { .size = sizeof(info) };
	struct p2pdma_provider *provider = NULL;
	struct p2pdma_mapping *mapping = NULL;
	struct p2pdma_error err = { "" };
	struct p2pmem_buf buf;
	struct p2pdma_sg sg;
	int r;

	r = p2pdma_add_resource(subject->device, subject->bar, PAGE, 0, NULL, &err, &provider);
	assert_int_equal(r, can(subject, P2PDMA_CAP_BAR_MAP) ? -EPERM : -EOPNOTSUPP);
	assert_true(err.text[0]);
	if (!can(subject, P2PDMA_CAP_BAR_MAP) || subject->bar < 0 || subject->bar_size < PAGE)
		return;
	assert_int_equal(p2pdma_device_open(subject->device, NULL), 0);
	assert_int_equal(p2pdma_device_config_write(subject->device, COMMAND, 1, 0x06), 0);
	assert_int_equal(p2pdma_add_resource(subject->device, subject->bar, PAGE, 0, NULL, NULL,
	                                     &provider),
	                 0);
	assert_int_equal(p2pmem_publish(provider, true), 0);
	assert_int_equal(p2pmem_alloc(provider, 100, 0, &buf), 0);
	assert_int_equal(p2pmem_bus(buf).addr % PAGE, 0);
	sg = p2pdma_sg_buf(buf);
	r = p2pdma_map_sg(subject->device, &sg, 1, P2PDMA_OP_BOTH, P2PDMA_SG_UNKNOWN_IS_YES, &err,
	                  &mapping);
	assert_true(!r || r == -EREMOTEIO);
	p2pdma_unmap_sg(mapping);
	assert_int_equal(p2pmem_free(buf), 0);
	assert_int_equal(p2pmem_free(buf), -EINVAL);
	assert_int_equal(p2pdma_provider_get_info(provider, &info), 0);
	assert_int_equal(info.state, P2PDMA_PROVIDER_LIVE);
	assert_int_equal(info.free, PAGE);
	assert_int_equal(p2pdma_provider_remove(provider, 0, NULL), 0);
	assert_int_equal(p2pmem_alloc(provider, 100, 0, &buf), -ENODEV);
	p2pdma_provider_put(provider);
	p2pdma_device_close(subject->device);
}

static void vectors_are_counted(void **state)
{
	struct subject *subject = *state;
	int fd = eventfd(0, EFD_NONBLOCK);

	if (can(subject, P2PDMA_CAP_DMA)) {
		assert_int_equal(p2pdma_device_open(subject->device, NULL), 0);
		assert_int_equal(p2pdma_device_irq(subject->device, 2048, fd), -EINVAL);
		p2pdma_device_close(subject->device);
	} else {
		assert_int_equal(p2pdma_device_irq(subject->device, 0, fd), -EOPNOTSUPP);
	}
	close(fd);
}

static void a_reset_leaves_the_registers(void **state)
{
	struct subject *subject = *state;
	struct p2pdma_device_info info = { .size = sizeof(info) };
	uint8_t before[PAGE], after[PAGE];
	uint64_t start = p2pdma_machine_now(subject->machine);
	int r;

	if (!can(subject, P2PDMA_CAP_BAR_MAP))
		return;
	assert_int_equal(p2pdma_device_get_info(subject->device, &info), 0);
	assert_int_equal(p2pdma_device_open(subject->device, NULL), 0);
	r = p2pdma_device_config_read(subject->device, 0, info.config_len, before);
	assert_int_equal(r, 0);
	r = p2pdma_device_reset(subject->device, NULL);
	assert_true(r == 0 || r == -ENOTTY);
	if (!r && can(subject, P2PDMA_CAP_TIME))
		assert_true(p2pdma_machine_now(subject->machine) >= start + 100 * MS);
	r = p2pdma_device_config_read(subject->device, 0, info.config_len, after);
	assert_int_equal(r, 0);
	assert_memory_equal(before, after, info.config_len);
	p2pdma_device_close(subject->device);
}

static void time_goes_on(void **state)
{
	struct subject *subject = *state;
	uint64_t start = p2pdma_machine_now(subject->machine);
	int r = p2pdma_machine_progress(subject->machine, start);

	if (!can(subject, P2PDMA_CAP_DMA)) {
		assert_int_equal(r, -EOPNOTSUPP);
		return;
	}
	for (int i = 0; i < 100 && r > 0; i++)
		r = p2pdma_machine_progress(subject->machine, start + MS);
	if (!r)
		r = p2pdma_machine_progress(subject->machine, start + MS);
	assert_int_equal(r, 0);
	assert_true(p2pdma_machine_now(subject->machine) >= start + MS);
	assert_int_equal(p2pdma_machine_progress(subject->machine, start), 0); /* long past */
	assert_true(p2pdma_machine_now(subject->machine) >= start + MS);
}

static void nothing_has_come_or_gone(void **state)
{
	struct subject *subject = *state;
	struct p2pdma_event event;

	assert_int_equal(p2pdma_machine_event(subject->machine, &event),
	                 can(subject, P2PDMA_CAP_HOTPLUG) ? -EAGAIN : -EOPNOTSUPP);
}

/* Two pictures of one machine: open in one is open in the other, in either order of closing. */
static void another_picture_is_the_same_machine(void **state)
{
	struct subject *subject = *state;
	struct p2pdma_machine *again = NULL, *first;
	struct p2pdma_device *device;
	struct p2pdma_error err = { "" };
	int r = p2pdma_machine_refresh(subject->machine, &err, &again);

	if (r == -EOPNOTSUPP) {
		assert_false(can(subject, P2PDMA_CAP_BAR_MAP));
		assert_true(err.text[0]);
		assert_null(again);
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(p2pdma_machine_device_count(again),
	                 p2pdma_machine_device_count(subject->machine));
	assert_int_equal(p2pdma_machine_caps(again), subject->caps);
	r = p2pdma_machine_find(again, bdf_of(subject->device), &device);
	assert_int_equal(r, 0);
	assert_ptr_not_equal(device, subject->device);
	if (can(subject, P2PDMA_CAP_BAR_MAP)) {
		assert_int_equal(p2pdma_device_open(device, NULL), 0);
		assert_int_equal(p2pdma_device_open(subject->device, NULL), -EBUSY);
		p2pdma_device_close(subject->device);
		assert_int_equal(p2pdma_device_open(device, NULL), 0);
	}
	first = subject->machine;
	subject->machine = again;
	p2pdma_machine_close(first);
	p2pdma_device_close(device);
	assert_int_equal(p2pdma_machine_refresh(again, NULL, &first), 0);
	p2pdma_machine_close(first);
}

static void a_dump_is_the_machine(void **state)
{
	struct subject *subject = *state;
	struct p2pdma_machine *copy = NULL;
	char path[] = "/tmp/p2pdma-conformance-XXXXXX", capture[64];
	int fd = mkstemp(path);
	char *text = NULL;

	assert_true(fd >= 0);
	assert_int_equal(p2pdma_machine_dump(subject->machine, 0, &text), 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	snprintf(capture, sizeof(capture), "capture:%s", path);
	assert_int_equal(p2pdma_machine_open(capture, NULL, &copy), 0);
	assert_int_equal(p2pdma_machine_device_count(copy),
	                 p2pdma_machine_device_count(subject->machine));
	p2pdma_machine_close(copy);
	free(text);
	close(fd);
	unlink(path);
}

static void simulated_or_not(void **state)
{
	struct subject *subject = *state;
	struct p2pdma_sim *sim = NULL;

	if (can(subject, P2PDMA_CAP_TIME)) {
		assert_int_equal(p2pdma_machine_sim(subject->machine, &sim), 0);
		assert_non_null(sim);
	} else {
		assert_int_equal(p2pdma_machine_sim(subject->machine, &sim), -EOPNOTSUPP);
		assert_null(sim);
	}
}

#define ON_A_MACHINE(name) cmocka_unit_test_setup_teardown(name, open_subject, close_subject)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		ON_A_MACHINE(functions_are_found_again),
		ON_A_MACHINE(registers_can_be_read),
		ON_A_MACHINE(registers_can_be_written),
		ON_A_MACHINE(a_function_is_opened_once),
		ON_A_MACHINE(what_wants_it_open_says_so),
		ON_A_MACHINE(bars_are_mapped_as_large_as_they_are),
		ON_A_MACHINE(a_view_is_the_bar_or_ones),
		ON_A_MACHINE(memory_is_mapped_and_unmapped_whole),
		ON_A_MACHINE(peer_memory_has_a_life),
		ON_A_MACHINE(vectors_are_counted),
		ON_A_MACHINE(a_reset_leaves_the_registers),
		ON_A_MACHINE(time_goes_on),
		ON_A_MACHINE(nothing_has_come_or_gone),
		ON_A_MACHINE(another_picture_is_the_same_machine),
		ON_A_MACHINE(a_dump_is_the_machine),
		ON_A_MACHINE(simulated_or_not),
	};
	char *root = NULL, live[4200];
	int failed;

	if (argc != 2)
		return 2;
	spec = argv[1];
	if (!strcmp(spec, "live")) {
		root = tree_machine();
		snprintf(live, sizeof(live), "live:root=%s", root);
		spec = live;
	}
	failed = cmocka_run_group_tests_name("conformance", tests, NULL, NULL);
	if (root)
		tree_free(root);
	return failed;
}
