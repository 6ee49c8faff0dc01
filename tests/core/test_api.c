/* SPDX-License-Identifier: MIT */
/*
 * test_api.c - the documented errors of machine.h, device.h and route.h.
 */
#include "bytes.h"
#include <p2pdma/route.h>

static void opening_names_what_is_wrong(void **state)
{
	struct p2pdma_machine *machine = NULL;
	struct p2pdma_error err = { "" };

	(void)state;
	assert_int_equal(p2pdma_machine_open("nonsense:x", &err, &machine), -EINVAL);
	assert_non_null(strstr(err.text, "nonsense:x"));
	assert_non_null(strstr(err.text, "capture:FILE"));
	assert_int_equal(p2pdma_machine_open("live", NULL, &machine), -EINVAL);
	assert_int_equal(p2pdma_machine_open("", &err, &machine), -EINVAL);
	assert_int_equal(p2pdma_machine_open("capture:/nonexistent/file", &err, &machine), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/file"));
	assert_null(machine);
	assert_null(p2pdma_machine_close(NULL));
}

static void sized_structs_refuse_too_small(void **state)
{
	struct p2pdma_machine *machine = finish(make_switch());
	struct p2pdma_device *device = p2pdma_machine_device(machine, 0);
	struct p2pdma_machine_info machine_info = { .size = sizeof(machine_info) - 1 };
	struct p2pdma_device_info device_info = { .size = sizeof(device_info) - 1 };
	struct p2pdma_routes_info routes_info = { .size = sizeof(routes_info) - 1 };
	struct p2pdma_routes_opts opts = { .size = sizeof(opts) - 1 };
	struct p2pdma_routes *routes;

	(void)state;
	assert_int_equal(p2pdma_machine_get_info(machine, &machine_info), -EINVAL);
	assert_int_equal(p2pdma_device_get_info(device, &device_info), -EINVAL);
	assert_int_equal(p2pdma_routes_new(machine, &opts, &routes), -EINVAL);
	assert_int_equal(p2pdma_routes_new(machine, NULL, &routes), 0);
	assert_int_equal(p2pdma_routes_get_info(routes, &routes_info), -EINVAL);
	machine_info.size = sizeof(machine_info) + 100; /* a program from the future */
	assert_int_equal(p2pdma_machine_get_info(machine, &machine_info), 0);
	assert_string_equal(machine_info.source, "test:");
	assert_int_equal(machine_info.size, sizeof(machine_info) + 100);
	p2pdma_routes_free(routes);
	p2pdma_machine_close(machine);
}

static void options_are_checked(void **state)
{
	struct p2pdma_machine *machine = finish(make_switch());
	struct p2pdma_routes_opts opts = { .size = sizeof(opts), .profile = { 5, 15 } };
	struct p2pdma_routes *routes = NULL;

	(void)state;
	assert_int_equal(p2pdma_routes_new(machine, &opts, &routes), -ERANGE);
	opts.profile = (struct p2pdma_profile){ 6, 0 };
	opts.cpu = 17;
	assert_int_equal(p2pdma_routes_new(machine, &opts, &routes), -EINVAL);
	assert_null(routes);
	assert_null(p2pdma_routes_free(NULL));
	p2pdma_machine_close(machine);
}

static void profiles_parse(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint16_t major, minor;
	} cases[] = {
		{ "linux-7.2", 0, 7, 2 },
		{ "7.2", 0, 7, 2 },
		{ "6.12.41+deb13-amd64", 0, 6, 12 },
		{ "linux-6.0", 0, 6, 0 },
		{ "7.3-rc1", 0, 7, 3 },
		{ "linux-5.19", -ERANGE, 0, 0 },
		{ "linux-", -EINVAL, 0, 0 },
		{ "linux-7", -EINVAL, 0, 0 },
		{ "7.", -EINVAL, 0, 0 },
		{ "7.2x", -EINVAL, 0, 0 },
		{ "99999.1", -EINVAL, 0, 0 },
		{ "-7.2", -EINVAL, 0, 0 },
		{ "", -EINVAL, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct p2pdma_profile profile = { 0, 0 };

		assert_int_equal(p2pdma_profile_parse(cases[i].text, &profile), cases[i].result);
		assert_int_equal(profile.major, cases[i].major);
		assert_int_equal(profile.minor, cases[i].minor);
	}
}

static void names_resolve_or_say_why(void **state)
{
	struct snapshot *snapshot = make_switch();
	struct p2pdma_device *device = NULL, *nvme;
	struct p2pdma_machine *machine;
	struct p2pdma_error err;

	(void)state;
	snapshot_finish(snapshot);
	for (size_t i = 5; i < 7; i++) {
		snapshot->functions[i].names = calloc(2, sizeof(char *));
		snapshot->functions[i].names[0] = strdup(i == 5 ? "nvme0n1" : "eth0");
		snapshot->functions[i].names[1] = strdup("twice");
		snapshot->functions[i].name_count = 2;
	}
	machine = finish(snapshot);
	nvme = at(machine, bdf(0, 3, 0, 0));

	static const char *const good[] = { "0000:03:00.0",
		                            "03:00.0",
		                            "3:0.0",
		                            "/dev/nvme0n1",
		                            "nvme0n1",
		                            "nvme0n1p3",
		                            "/dev/nvme0n1p1",
		                            "00000000:03:00.0",
		                            "/sys/bus/pci/devices/0000:03:00.0/nvme/nvme0",
		                            ("/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/"
		                             "0000:02:00.0/0000:03:00.0/net/x") };
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		device = NULL;
		assert_int_equal(p2pdma_machine_resolve(machine, good[i], &err, &device), 0);
		assert_ptr_equal(device, nvme);
	}

	static const struct {
		const char *name;
		int result;
	} bad[] = {
		{ "", -EINVAL },
		{ "0000:09:00.0", -ENODEV },
		{ "twice", -ENOTUNIQ },
		{ "nvme0n1p", -ENODEV },
		{ "nvme0n11", -ENODEV },
		{ "eth0p1x", -ENODEV },
		{ "03:00", -EINVAL },
		{ "03:20.0", -EINVAL },
		{ "03:00.8", -EINVAL },
		{ "123456789:03:00.0", -EINVAL },
		{ "/dev/", -EINVAL },
		{ "nobody", -ENODEV },
		{ "/sys/bus/pci/devices/0000:77:00.0", -EINVAL },
	};
	device = NULL;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.text[0] = '\0';
		assert_int_equal(p2pdma_machine_resolve(machine, bad[i].name, &err, &device),
		                 bad[i].result);
		assert_null(device);
		assert_true(err.text[0]);
		assert_int_equal(p2pdma_machine_resolve(machine, bad[i].name, NULL, &device),
		                 bad[i].result);
	}
	p2pdma_machine_close(machine);
}

static void config_reads_stay_inside(void **state)
{
	struct snapshot *snapshot = make_switch();
	struct p2pdma_machine *machine;
	struct p2pdma_device *device;
	uint8_t bytes[8] = { 1 };

	(void)state;
	snapshot_finish(snapshot);
	snapshot->functions[6].config_len = 64;
	machine = finish(snapshot);
	device = at(machine, bdf(0, 4, 0, 0));
	assert_int_equal(p2pdma_device_config_read(device, 60, 4, bytes), 0);
	assert_int_equal(p2pdma_device_config_read(device, 60, 5, bytes), -ENODATA);
	assert_int_equal(p2pdma_device_config_read(device, 4096, 0, bytes), -ENODATA);
	assert_int_equal(p2pdma_device_config_read(device, 4095, 2, bytes), -EINVAL);
	assert_int_equal(p2pdma_device_config_read(device, SIZE_MAX, 2, bytes), -EINVAL);
	assert_true(p2pdma_machine_caps(machine) & P2PDMA_CAP_EXT_CONFIG);
	p2pdma_machine_close(machine);
}

static void an_empty_machine_is_refused(void **state)
{
	struct snapshot *snapshot = snapshot_new();
	struct p2pdma_machine *machine = NULL;

	(void)state;
	assert_int_equal(machine_from_snapshot(snapshot, "test:", &machine), -ENODEV);
	assert_null(machine);
	snapshot_free(snapshot);
}

static void dump_refuses_unknown_flags(void **state)
{
	struct p2pdma_machine *machine = finish(make_switch());
	char *text = NULL;

	(void)state;
	assert_int_equal(p2pdma_machine_dump(machine, 0x80, &text), -EINVAL);
	assert_null(text);
	assert_int_equal(p2pdma_machine_dump(machine, P2PDMA_DUMP_REDACT, &text), 0);
	free(text);
	p2pdma_machine_close(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opening_names_what_is_wrong),
		cmocka_unit_test(sized_structs_refuse_too_small),
		cmocka_unit_test(options_are_checked),
		cmocka_unit_test(profiles_parse),
		cmocka_unit_test(names_resolve_or_say_why),
		cmocka_unit_test(config_reads_stay_inside),
		cmocka_unit_test(an_empty_machine_is_refused),
		cmocka_unit_test(dump_refuses_unknown_flags),
	};

	return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
