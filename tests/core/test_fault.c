/* SPDX-License-Identifier: MIT */
/*
 * test_fault.c - fault: which op it lets fail, and how it is told.
 */
#include "bytes.h"
#include "topology.h"

#include <stdio.h>
#include <unistd.h>

#include <p2pdma/access.h>
#include <p2pdma/sim.h>
#include <p2pdma/progress.h>

static char capture[] = "/tmp/p2pdma-fault-XXXXXX";

static int write_capture(void **state)
{
	struct p2pdma_machine *machine = finish(make_switch());
	int fd = mkstemp(capture);
	char *text;
	size_t length;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(p2pdma_machine_dump(machine, 0, &text), 0);
	length = strlen(text);
	assert_int_equal(write(fd, text, length), length);
	close(fd);
	free(text);
	p2pdma_machine_close(machine);
	return 0;
}

static int remove_capture(void **state)
{
	(void)state;
	return unlink(capture);
}

static int open_faulty(const char *options, struct p2pdma_error *err,
                       struct p2pdma_machine **ret_machine)
{
	char spec[200];

	snprintf(spec, sizeof(spec), "fault:%s,capture:%s", options, capture);
	return p2pdma_machine_open(spec, err, ret_machine);
}

static void what_is_not_understood_is_named(void **state)
{
	static const struct {
		const char *options, *part;
	} cases[] = {
		{ "nth=0", "nth=0" },
		{ "nth=", "nth=" },
		{ "nth=1x", "nth=1x" },
		{ "nth=-1", "nth=-1" },
		{ "nth=1234567890", "nth=1234567890" },
		{ "nth=1,op=close", "op=close" },
		{ "nth=1,op=", "op=" },
		{ "nth=1,errno=EWHAT", "errno=EWHAT" },
		{ "errno=EIO", "nth=N" },
		{ "nth=1,every=2", "every=2" },
		{ "nth=1,nonsense:", "nonsense:" },
		{ "", "nth=N" },
	};
	struct p2pdma_machine *machine = NULL;
	struct p2pdma_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		err.text[0] = '\0';
		assert_int_equal(open_faulty(cases[i].options, &err, &machine), -EINVAL);
		if (!strstr(err.text, cases[i].part))
			fail_msg("\"%s\": %s", cases[i].options, err.text);
	}
	assert_int_equal(p2pdma_machine_open("fault:nth=1", NULL, &machine), -EINVAL);
	assert_int_equal(p2pdma_machine_open("fault:nth=9,capture:/nonexistent", &err, &machine),
	                 -ENOENT);
	assert_null(machine);
}

static void the_first_op_is_open(void **state)
{
	struct p2pdma_machine *machine = NULL;
	struct p2pdma_error err = { "" };

	(void)state;
	assert_int_equal(open_faulty("nth=1", &err, &machine), -EIO);
	assert_non_null(strstr(err.text, "open"));
	assert_int_equal(open_faulty("nth=1,errno=ENOMEM", &err, &machine), -ENOMEM);
	assert_int_equal(open_faulty("nth=1,op=open,errno=EACCES", &err, &machine), -EACCES);
	assert_null(machine);
	assert_int_equal(open_faulty("nth=2,op=open", &err, &machine), 0);
	p2pdma_machine_close(machine);
}

static void only_the_nth_fails(void **state)
{
	struct p2pdma_machine *machine = NULL, *again = NULL;
	struct p2pdma_error err = { "" };
	struct p2pdma_device *device;
	uint16_t id;

	(void)state;
	assert_int_equal(open_faulty("nth=3", &err, &machine), 0);
	device = at(machine, bdf(0, 3, 0, 0));
	assert_int_equal(p2pdma_device_config_read(device, 0, 2, &id), 0); /* the second op */
	assert_int_equal(p2pdma_device_config_read(device, 0, 2, &id), -EIO);
	assert_int_equal(p2pdma_device_config_read(device, 0, 2, &id), 0);
	assert_int_equal(id, 0x8086);
	p2pdma_machine_close(machine);

	assert_int_equal(open_faulty("nth=2,op=config_read,errno=ENODEV", &err, &machine), 0);
	device = at(machine, bdf(0, 3, 0, 0));
	assert_int_equal(p2pdma_device_config_read(device, 0, 2, &id), 0);
	assert_int_equal(p2pdma_device_config_write(device, 4, 2, 0), -EOPNOTSUPP);
	assert_int_equal(p2pdma_device_config_read(device, 0, 2, &id), -ENODEV);
	assert_int_equal(p2pdma_machine_refresh(machine, &err, &again), -EOPNOTSUPP);
	p2pdma_machine_close(machine);
}

static void one_wraps_another(void **state)
{
	struct p2pdma_machine *machine = NULL;
	struct p2pdma_device *device;
	char options[100];
	uint16_t id;

	(void)state;
	snprintf(options, sizeof(options), "nth=1,op=config_read,fault:nth=1,op=config_read");
	assert_int_equal(open_faulty(options, NULL, &machine), 0);
	device = at(machine, bdf(0, 3, 0, 0));
	assert_int_equal(p2pdma_device_config_read(device, 0, 2, &id), -EIO);
	assert_int_equal(p2pdma_device_config_read(device, 0, 2, &id), -EIO);
	assert_int_equal(p2pdma_device_config_read(device, 0, 2, &id), 0);
	p2pdma_machine_close(machine);
}

static int view(struct p2pdma_device *device, enum machine_view what, void **memory)
{
	const struct backend *backend = device->machine->backend;

	return backend->ops.bar_view(backend->private, bdf(0, 3, 0, 0), 0, 0, 4096, what, memory);
}

/* Each op that can fail does, also one that the machine below does not have. */
static void every_op_fails(void **state)
{
	static const char *const names[] = {
		"snapshot",  "device_open", "config_write", "bar_map",  "bar_view", "dma_map",
		"dma_unmap", "irq",         "reset",        "progress", "event",    "simulation"
	};
	void *memory = aligned_alloc(4096, 4096);

	(void)state;
	assert_non_null(memory);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct p2pdma_machine *machine = NULL, *again;
		struct p2pdma_device *device;
		struct p2pdma_bar_map *map;
		struct p2pdma_dma address = { 0 };
		struct p2pdma_event event;
		struct p2pdma_sim *sim;
		char options[64];
		int failed = 0;

		snprintf(options, sizeof(options), "nth=1,op=%s", names[i]);
		assert_int_equal(open_faulty(options, NULL, &machine), 0);
		device = at(machine, bdf(0, 3, 0, 0));
		failed += p2pdma_machine_refresh(machine, NULL, &again) == -EIO;
		failed += p2pdma_device_open(device, NULL) == -EIO;
		failed += p2pdma_device_config_write(device, 4, 2, 0) == -EIO;
		failed += p2pdma_bar_map(device, 0, NULL, &map) == -EIO;
		failed += view(device, VIEW_END, &memory) == -EIO; /* is not counted */
		failed += view(device, VIEW_BLANK, &memory) == -EIO;
		failed += p2pdma_dma_map(device, memory, 4096, P2PDMA_OP_READ, &address) == -EIO;
		failed += p2pdma_dma_unmap(device, address, 4096) == -EIO;
		failed += p2pdma_device_irq(device, 0, -1) == -EIO;
		failed += p2pdma_device_reset(device, NULL) == -EIO;
		failed += p2pdma_machine_progress(machine, 0) == -EIO;
		failed += p2pdma_machine_event(machine, &event) == -EIO;
		failed += p2pdma_machine_sim(machine, &sim) == -EIO;
		p2pdma_device_close(device);
		assert_int_equal(p2pdma_machine_now(machine), 0);
		if (failed != 1)
			fail_msg("%s: %d ops failed", names[i], failed);
		p2pdma_machine_close(machine);
	}
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_understood_is_named),
		cmocka_unit_test(the_first_op_is_open),
		cmocka_unit_test(only_the_nth_fails),
		cmocka_unit_test(one_wraps_another),
		cmocka_unit_test(every_op_fails),
	};

	return cmocka_run_group_tests_name("fault", tests, write_capture, remove_capture);
}
