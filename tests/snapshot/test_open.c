/* SPDX-License-Identifier: MIT */
/*
 * test_open.c - machines by their description, and their devices by the names people type.
 */
#include "readers.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "tree.h"
#include <p2pdma/device.h>

static void refuse(const char *spec, int code, const char *part)
{
	struct p2pdma_machine *machine = NULL;
	struct p2pdma_error err = { "" };

	assert_int_equal(p2pdma_machine_open(spec, &err, &machine), code);
	assert_contains(err.text, part);
	assert_null(machine);
}

static void descriptions_are_checked(void **state)
{
	(void)state;
	refuse("live:bogus", -EINVAL, "root=DIR");
	refuse("live:bogus", -EINVAL, "live:bogus");
	refuse("live:root=", -EINVAL, "root=DIR");
	refuse("live:root=/nonexistent", -ENODEV, "/nonexistent/sys/bus/pci/devices");
	refuse("capture:", -EINVAL, "capture:FILE");
	refuse("capture:/tmp", -EISDIR, "live:root=DIR");
	refuse("capture:/nonexistent/file", -ENOENT, "/nonexistent/file: No such file");
	refuse("capture:/dev/null", -EPROTO, "/dev/null: line 1");
	refuse("capture", -EINVAL, "capture:FILE");
	refuse(":", -EINVAL, "live:root=DIR");
}

static struct p2pdma_machine *open_tree(const char *root)
{
	struct p2pdma_machine *machine;
	struct p2pdma_error err;
	char spec[PATH_MAX];

	snprintf(spec, sizeof(spec), "live:root=%s", root);
	if (p2pdma_machine_open(spec, &err, &machine))
		fail_msg("%s", err.text);
	return machine;
}

static void names_resolve_through_links(void **state)
{
	static const struct {
		const char *name;
		struct p2pdma_bdf expected;
	} cases[] = {
		{ "/dev/nvme0n1", { 0, 1, 0 } },
		{ "/dev/nvme0n1p1", { 0, 1, 0 } },
		{ "nvme0n1p1", { 0, 1, 0 } },
		{ "/dev/nvme0", { 0, 1, 0 } },
		{ "nvme0", { 0, 1, 0 } },
		{ "eth0", { 0, 1, 1 } },
		{ "/sys/class/net/eth0", { 0, 1, 1 } },
		{ "/sys/class/block/nvme0n1/nvme0n1p1", { 0, 1, 0 } },
		{ "/sys/bus/pci/devices/0000:01:00.0/", { 0, 1, 0 } },
		{ "/sys/devices/pci0000:00/0000:00:0e.0/pci10000:00", { 0, 0, 0x70 } },
		{ "/sys/bus/pci/devices/10000:00:00.0/nvme", { 0x10000, 0, 0 } },
		/* Not in /sys/class here, but recorded: by name. */
		{ "/dev/nvme1n1", { 0x10000, 0, 0 } },
		{ "nvme1n1p12", { 0x10000, 0, 0 } },
		{ "10000:00:00.0", { 0x10000, 0, 0 } },
	};
	char *root = tree_machine();
	struct p2pdma_machine *machine = open_tree(root);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct p2pdma_device *device = NULL, *expected = NULL;
		struct p2pdma_error err = { "" };

		if (p2pdma_machine_resolve(machine, cases[i].name, &err, &device))
			fail_msg("%s", err.text);
		assert_int_equal(p2pdma_machine_find(machine, cases[i].expected, &expected), 0);
		if (device != expected)
			fail_msg("%s is another function", cases[i].name);
	}
	p2pdma_machine_close(machine);
	tree_free(root);
}

static void names_of_nothing_are_refused(void **state)
{
	static const char *const names[] = { "/dev/loop0",       "loop0",        "/dev/none",
		                             "/dev/mapper/root", "/dev/../etc",  "/sys/class/net",
		                             "/sys/nonexistent", "0000:07:00.0", "nvme0n1x" };
	char *root = tree_machine();
	struct p2pdma_machine *machine = open_tree(root);

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct p2pdma_device *device = NULL;
		struct p2pdma_error err = { "" };

		assert_int_equal(p2pdma_machine_resolve(machine, names[i], &err, &device), -ENODEV);
		assert_contains(err.text, names[i]);
		assert_null(device);
	}
	p2pdma_machine_close(machine);
	tree_free(root);
}

static void a_dump_reads_back_the_same(void **state)
{
	char *root = tree_machine(), *text, *again, spec[PATH_MAX];
	struct p2pdma_machine *machine = open_tree(root), *copy;
	struct p2pdma_error err;

	(void)state;
	assert_int_equal(p2pdma_machine_dump(machine, 2, &text), -EINVAL);
	assert_int_equal(p2pdma_machine_dump(machine, 0, &text), 0);
	tree_text(root, "/dump.json", text);
	snprintf(spec, sizeof(spec), "capture:%s/dump.json", root);
	if (p2pdma_machine_open(spec, &err, &copy))
		fail_msg("%s", err.text);
	assert_int_equal(p2pdma_machine_dump(copy, 0, &again), 0);
	assert_string_equal(again, text);
	free(again);
	free(text);
	p2pdma_machine_close(copy);
	p2pdma_machine_close(machine);
	tree_free(root);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptions_are_checked),
		cmocka_unit_test(names_resolve_through_links),
		cmocka_unit_test(names_of_nothing_are_refused),
		cmocka_unit_test(a_dump_reads_back_the_same),
	};

	return cmocka_run_group_tests_name("open", tests, NULL, NULL);
}
