/* SPDX-License-Identifier: MIT */
/*
 * test_access.c - access.h and progress.h: what core checks and does itself, before a made-up
 * machine that writes down what it is asked.
 */
#include "bytes.h"
#include "topology.h"
#include <p2pdma/sim.h>

#define PAGE 4096

/* What the made-up machine was asked. */
struct asked {
	int calls;
	size_t widths[16];
	uint64_t offsets[16];
	uint8_t bar[64];
	int closes;
	struct machine_dma dma;
	int fd;
	uint32_t value;
	int config_result;
	bool is_empty; /* its snapshots hold no function */
};

static int fake_device_open(void *private, struct p2pdma_bdf bdf, struct p2pdma_error *err)
{
	struct asked *asked = private;

	(void)bdf, (void)err;
	asked->calls++;
	return 0;
}

static void fake_device_close(void *private, struct p2pdma_bdf bdf)
{
	struct asked *asked = private;

	(void)bdf;
	asked->calls++;
}

static void fake_close(void *private)
{
	struct asked *asked = private;

	asked->closes++;
}

static int fake_snapshot(void *private, struct p2pdma_error *err, struct snapshot **ret_snapshot)
{
	struct asked *asked = private;

	(void)err;
	*ret_snapshot = asked->is_empty ? snapshot_new() : make_switch();
	snapshot_finish(*ret_snapshot);
	return 0;
}

static int fake_config_read(void *private, struct p2pdma_bdf bdf, size_t offset, size_t length,
                            void *ret_bytes)
{
	struct asked *asked = private;

	(void)bdf, (void)offset;
	if (!asked->config_result)
		memset(ret_bytes, 0x5a, length);
	return asked->config_result;
}

static int fake_config_write(void *private, struct p2pdma_bdf bdf, size_t offset, size_t length,
                             uint32_t value)
{
	struct asked *asked = private;

	(void)bdf;
	asked->widths[asked->calls] = length;
	asked->offsets[asked->calls++] = offset;
	asked->value = value;
	return 0;
}

static int fake_bar_map(void *private, struct p2pdma_bdf bdf, int bar, struct p2pdma_error *err,
                        void **ret_map, uint64_t *ret_size)
{
	struct asked *asked = private;

	(void)bdf, (void)err;
	if (bar)
		return -EINVAL;
	*ret_map = asked->bar;
	*ret_size = sizeof(asked->bar);
	return 0;
}

static void fake_mmio_read(void *private, void *map, uint64_t offset, size_t length,
                           void *ret_bytes)
{
	struct asked *asked = private;
	const uint8_t *bar = map;

	asked->widths[asked->calls] = length;
	asked->offsets[asked->calls++] = offset;
	memcpy(ret_bytes, bar + offset, length);
}

static void fake_mmio_write(void *private, void *map, uint64_t offset, size_t length,
                            const void *bytes)
{
	struct asked *asked = private;
	uint8_t *bar = map;

	asked->widths[asked->calls] = length;
	asked->offsets[asked->calls++] = offset;
	memcpy(bar + offset, bytes, length);
}

static int fake_dma_map(void *private, struct p2pdma_bdf bdf, const struct machine_dma *dma,
                        struct p2pdma_dma *ret_address)
{
	struct asked *asked = private;

	(void)bdf;
	asked->calls++;
	asked->dma = *dma;
	ret_address->addr = 0x1000;
	return 0;
}

static int fake_irq(void *private, struct p2pdma_bdf bdf, unsigned int vector, int fd)
{
	struct asked *asked = private;

	(void)bdf, (void)vector;
	asked->fd = fd;
	return 0;
}

static const struct machine_ops fake_ops = {
	.kind = "fake",
	.close = fake_close,
	.snapshot = fake_snapshot,
	.device_open = fake_device_open,
	.device_close = fake_device_close,
	.config_read = fake_config_read,
	.config_write = fake_config_write,
	.bar_map = fake_bar_map,
	.mmio_read = fake_mmio_read,
	.mmio_write = fake_mmio_write,
	.dma_map = fake_dma_map,
	.irq = fake_irq,
};

static struct p2pdma_machine *fake_machine(struct asked *asked)
{
	struct p2pdma_machine *machine = finish(make_switch());

	*asked = (struct asked){ .fd = -2 };
	machine->backend->ops = machine_with_defaults(&fake_ops);
	machine->backend->private = asked;
	machine->backend->caps = P2PDMA_CAP_DMA;
	return machine;
}

static void a_picture_answers_not_supported(void **state)
{
	struct p2pdma_machine *machine = finish(make_switch()), *again = NULL;
	struct p2pdma_device *device = at(machine, bdf(0, 3, 0, 0));
	struct p2pdma_error err = { "" };
	struct p2pdma_bar_map *map = NULL;
	struct p2pdma_sim *sim = NULL;
	struct p2pdma_dma address = { 7 };
	struct p2pdma_event event;
	void *memory = aligned_alloc(PAGE, PAGE);

	(void)state;
	assert_non_null(memory);
	assert_int_equal(p2pdma_device_open(device, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "picture only"));
	p2pdma_device_close(device);
	p2pdma_device_close(NULL);
	assert_int_equal(p2pdma_device_config_write(device, 4, 2, 0), -EOPNOTSUPP);
	assert_int_equal(p2pdma_bar_map(device, 0, NULL, &map), -EOPNOTSUPP);
	assert_null(map);
	assert_int_equal(p2pdma_dma_map(device, memory, PAGE, P2PDMA_OP_READ, &address),
	                 -EOPNOTSUPP);
	assert_int_equal(address.addr, 7);
	assert_int_equal(p2pdma_dma_unmap(device, address, PAGE), -EOPNOTSUPP);
	assert_int_equal(p2pdma_device_irq(device, 0, -1), -EOPNOTSUPP);
	assert_int_equal(p2pdma_device_reset(device, NULL), -EOPNOTSUPP);
	assert_int_equal(p2pdma_machine_now(machine), 0);
	assert_int_equal(p2pdma_machine_progress(machine, UINT64_MAX), -EOPNOTSUPP);
	assert_int_equal(p2pdma_machine_event(machine, &event), -EOPNOTSUPP);
	assert_int_equal(p2pdma_machine_refresh(machine, &err, &again), -EOPNOTSUPP);
	assert_null(again);
	assert_int_equal(p2pdma_machine_sim(machine, &sim), -EOPNOTSUPP);
	assert_int_equal(p2pdma_machine_caps(machine), P2PDMA_CAP_CONFIG | P2PDMA_CAP_EXT_CONFIG);
	free(memory);
	p2pdma_machine_close(machine);
}

static void an_unset_op_answers_for_itself(void **state)
{
	const struct machine_ops none = { .kind = "none" };
	struct machine_ops ops = machine_with_defaults(&none);
	struct machine_opened opened = { NULL };
	uint32_t ones = 0;

	(void)state;
	assert_int_equal(ops.open("", NULL, NULL, &opened), -EOPNOTSUPP);
	ops.close(NULL);
	ops.mmio_read(NULL, NULL, 0, sizeof(ones), &ones);
	assert_int_equal(ones, UINT32_MAX);
	ops.mmio_write(NULL, NULL, 0, sizeof(ones), &ones);
}

static void registers_are_written_whole_and_inside(void **state)
{
	static const struct {
		size_t offset, length;
	} bad[] = { { 0, 0 }, { 0, 3 },    { 1, 2 },    { 2, 4 },
		    { 0, 8 }, { 4096, 1 }, { 4096, 4 }, { SIZE_MAX - 3, 4 } };
	struct asked asked;
	struct p2pdma_machine *machine = fake_machine(&asked);
	struct p2pdma_device *device = at(machine, bdf(0, 3, 0, 0));

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(p2pdma_device_config_write(device, bad[i].offset, bad[i].length,
		                                            0),
		                 -EINVAL);
	assert_int_equal(asked.calls, 0);
	assert_int_equal(p2pdma_device_config_write(device, 4092, 4, 0x12345678), 0);
	assert_int_equal(asked.offsets[0], 4092);
	assert_int_equal(asked.value, 0x12345678);
	assert_int_equal(p2pdma_device_config_write(device, 4095, 1, 1), 0);
	p2pdma_machine_close(machine);
	assert_int_equal(asked.closes, 1);
}

static void registers_are_read_from_the_machine(void **state)
{
	struct asked asked;
	struct p2pdma_machine *machine = fake_machine(&asked);
	struct p2pdma_device *device = at(machine, bdf(0, 3, 0, 0));
	uint16_t id = 0;

	(void)state;
	assert_int_equal(p2pdma_device_config_read(device, 0, 2, &id), 0);
	assert_int_equal(id, 0x5a5a);
	assert_int_equal(p2pdma_device_config_read(device, 4095, 2, &id), -EINVAL);
	asked.config_result = -ENODEV;
	assert_int_equal(p2pdma_device_config_read(device, 0, 2, &id), -ENODEV);
	asked.config_result = -EOPNOTSUPP; /* the snapshot knows */
	assert_int_equal(p2pdma_device_config_read(device, 0, 2, &id), 0);
	assert_int_equal(id, 0x8086);
	p2pdma_machine_close(machine);
}

static void accesses_have_natural_widths(void **state)
{
	static const size_t widths[] = { 1, 2, 4, 8, 4, 1 };
	struct asked asked;
	struct p2pdma_machine *machine = fake_machine(&asked);
	struct p2pdma_device *device = at(machine, bdf(0, 3, 0, 0));
	struct p2pdma_bar_map *map = NULL;
	uint8_t bytes[64], back[64] = { 0 };
	uint64_t offset = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i + 1);
	assert_int_equal(p2pdma_bar_map(device, 0, NULL, &map), 0);
	assert_int_equal(p2pdma_bar_size(map), 64);
	assert_int_equal(p2pdma_bar_write(map, 1, 20, bytes), 0);
	assert_int_equal(asked.calls, 6);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(asked.widths[i], widths[i]);
		assert_int_equal(asked.offsets[i], offset);
		offset += widths[i];
	}
	assert_memory_equal(asked.bar + 1, bytes, 20);
	asked.calls = 0;
	assert_int_equal(p2pdma_bar_read(map, 0, 64, back), 0);
	assert_int_equal(asked.calls, 8);
	assert_memory_equal(back, asked.bar, 64);
	asked.calls = 0;
	assert_int_equal(p2pdma_bar_read(map, 56, 8, back), 0);
	assert_int_equal(p2pdma_bar_read(map, 60, 4, back), 0);
	assert_int_equal(asked.calls, 2);
	assert_int_equal(p2pdma_bar_read(map, 64, 0, back), 0);
	assert_int_equal(p2pdma_bar_read(map, 61, 4, back), -EINVAL);
	assert_int_equal(p2pdma_bar_read(map, UINT64_MAX, 2, back), -EINVAL);
	assert_int_equal(p2pdma_bar_write(map, 65, 0, bytes), -EINVAL);
	assert_int_equal(p2pdma_bar_write(map, 8, SIZE_MAX, bytes), -EINVAL);
	assert_int_equal(asked.calls, 2);
	assert_null(p2pdma_bar_unmap(map));
	assert_null(p2pdma_bar_unmap(NULL));
	p2pdma_machine_close(machine);
}

static void bars_are_named_right(void **state)
{
	struct asked asked;
	struct p2pdma_machine *machine = fake_machine(&asked);
	struct p2pdma_device *device = at(machine, bdf(0, 3, 0, 0));
	struct p2pdma_bar_map *map = NULL;
	struct p2pdma_error err = { "" };

	(void)state;
	assert_int_equal(p2pdma_bar_map(device, -1, &err, &map), -EINVAL);
	assert_int_equal(p2pdma_bar_map(device, 6, &err, &map), -EINVAL);
	assert_non_null(strstr(err.text, "BAR 6"));
	assert_int_equal(p2pdma_bar_map(device, 1, NULL, &map), -EINVAL);
	assert_null(map);
	p2pdma_machine_close(machine);
}

static void memory_is_mapped_by_the_page(void **state)
{
	struct asked asked;
	struct p2pdma_machine *machine = fake_machine(&asked);
	struct p2pdma_device *device = at(machine, bdf(0, 3, 0, 0));
	struct p2pdma_dma address = { 0 };
	char *memory = aligned_alloc(PAGE, 2 * PAGE);
	const struct {
		void *memory;
		size_t length;
		unsigned int op;
	} bad[] = {
		{ memory, 0, 1 },    { memory, 100, 1 },      { memory + 1, PAGE, 1 },
		{ memory, PAGE, 0 }, { memory, PAGE, 4 },     { memory, PAGE, 7 },
		{ NULL, PAGE, 1 },   { memory, PAGE + 1, 3 },
	};

	(void)state;
	assert_non_null(memory);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(p2pdma_dma_map(device, bad[i].memory, bad[i].length,
		                                (enum p2pdma_op)bad[i].op, &address),
		                 -EINVAL);
	assert_int_equal(asked.calls, 0);
	assert_int_equal(address.addr, 0);
	assert_int_equal(p2pdma_dma_map(device, memory, 2 * PAGE, P2PDMA_OP_BOTH, &address), 0);
	assert_int_equal(address.addr, 0x1000);
	assert_ptr_equal(asked.dma.cpu, memory);
	assert_int_equal(asked.dma.length, 2 * PAGE);
	assert_int_equal(asked.dma.op, P2PDMA_OP_BOTH);
	assert_false(asked.dma.is_fixed);
	free(memory);
	p2pdma_machine_close(machine);
}

static void any_bad_fd_means_none(void **state)
{
	struct asked asked;
	struct p2pdma_machine *machine = fake_machine(&asked);
	struct p2pdma_device *device = at(machine, bdf(0, 3, 0, 0));

	(void)state;
	assert_int_equal(p2pdma_device_irq(device, 0, -100), 0);
	assert_int_equal(asked.fd, -1);
	assert_int_equal(p2pdma_device_irq(device, 0, 5), 0);
	assert_int_equal(asked.fd, 5);
	p2pdma_machine_close(machine);
}

static void pictures_share_the_machine(void **state)
{
	struct p2pdma_machine *pictures[3];
	struct asked asked;

	(void)state;
	for (int first = 0; first < 3; first++) {
		pictures[0] = fake_machine(&asked);
		assert_int_equal(p2pdma_machine_refresh(pictures[0], NULL, &pictures[1]), 0);
		assert_int_equal(p2pdma_machine_refresh(pictures[1], NULL, &pictures[2]), 0);
		assert_int_equal(p2pdma_machine_device_count(pictures[2]), 7);
		assert_true(p2pdma_machine_caps(pictures[2]) & P2PDMA_CAP_DMA);
		for (int i = 0; i < 3; i++) {
			struct p2pdma_machine *machine = pictures[(first + i) % 3];

			assert_int_equal(asked.closes, 0);
			assert_int_equal(p2pdma_device_open(at(machine, bdf(0, 3, 0, 0)), NULL), 0);
			p2pdma_machine_close(machine);
		}
		assert_int_equal(asked.calls, 3);
		assert_int_equal(asked.closes, 1);
	}
}

static void an_empty_machine_gives_no_picture(void **state)
{
	struct asked asked;
	struct p2pdma_machine *machine = fake_machine(&asked), *again = NULL;
	struct p2pdma_error err = { "" };

	(void)state;
	asked.is_empty = true;
	assert_int_equal(p2pdma_machine_refresh(machine, &err, &again), -ENODEV);
	assert_non_null(strstr(err.text, "no PCI function"));
	assert_null(again);
	assert_int_equal(asked.closes, 0);
	p2pdma_machine_close(machine);
	assert_int_equal(asked.closes, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_picture_answers_not_supported),
		cmocka_unit_test(an_unset_op_answers_for_itself),
		cmocka_unit_test(registers_are_written_whole_and_inside),
		cmocka_unit_test(registers_are_read_from_the_machine),
		cmocka_unit_test(accesses_have_natural_widths),
		cmocka_unit_test(bars_are_named_right),
		cmocka_unit_test(memory_is_mapped_by_the_page),
		cmocka_unit_test(any_bad_fd_means_none),
		cmocka_unit_test(pictures_share_the_machine),
		cmocka_unit_test(an_empty_machine_gives_no_picture),
	};

	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
