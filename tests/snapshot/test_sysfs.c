/* SPDX-License-Identifier: MIT */
/*
 * test_sysfs.c - every file of /sys and /proc that is read, present, absent and broken.
 */
#include "readers.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sysfs.h"
#include "tree.h"

static struct snapshot *read_ok(const char *root)
{
	struct snapshot *snapshot = NULL;
	struct p2pdma_error err = { "" };
	int r = snapshot_read_sysfs(root, &err, &snapshot);

	if (r)
		fail_msg("%d: %s", r, err.text);
	return snapshot;
}

static void every_field_is_read(void **state)
{
	char *root = tree_machine();
	struct snapshot *snapshot = read_ok(root);
	const struct snapshot_function *nvme = at(snapshot, bdf(0, 1, 0, 0));

	(void)state;
	assert_int_equal(snapshot->function_count, 5);
	assert_non_null(nvme);
	assert_int_equal(nvme->config_len, 4096);
	assert_int_equal(nvme->config[0xfff], (uint8_t)(0xfff * 7));
	assert_int_equal(nvme->resource_count, 3);
	assert_int_equal(nvme->resources[0].start, 0xf0000000);
	assert_true(nvme->resources[2].end == 0x4fffffffff);
	assert_int_equal(nvme->resources[2].flags, 0x14220c);
	assert_false(nvme->has_physfn);
	assert_true(nvme->has_root_bus);
	assert_int_equal(nvme->root_bus.domain, 0);
	assert_int_equal(nvme->iommu_group, 7);
	assert_int_equal(nvme->iommu, P2PDMA_IOMMU_PASSTHROUGH);
	assert_int_equal(nvme->numa_node, 1);
	assert_int_equal(nvme->dma_mask_bits, 64);
	assert_string_equal(nvme->driver, "nvme");
	assert_int_equal(nvme->name_count, 2);
	assert_string_equal(nvme->names[0], "nvme0n1");
	assert_string_equal(nvme->names[1], "nvme2n5");
	snapshot_free(snapshot);
	tree_free(root);
}

static void the_others_are_told_apart(void **state)
{
	char *root = tree_machine();
	struct snapshot *snapshot = read_ok(root);
	const struct snapshot_function *port = at(snapshot, bdf(0, 0, 1, 0));
	const struct snapshot_function *vf = at(snapshot, bdf(0, 1, 0, 1));
	const struct snapshot_function *vmd = at(snapshot, bdf(0, 0, 0x0e, 0));
	const struct snapshot_function *disk = at(snapshot, bdf(0x10000, 0, 0, 0));

	(void)state;
	assert_true(port && vf && vmd && disk);
	/* What is below a port's children, or a VMD's, is theirs. */
	assert_int_equal(port->name_count + vmd->name_count, 0);
	assert_int_equal(port->numa_node, -1);
	assert_int_equal(port->dma_mask_bits, 0);
	assert_int_equal(port->resource_count, 0);
	assert_string_equal(port->driver, "pcieport");
	assert_int_equal(port->iommu_group, -1);
	assert_int_equal(port->iommu, P2PDMA_IOMMU_UNKNOWN); /* there is an IOMMU, but no group */
	assert_int_equal(vf->config_len, 64);
	assert_true(vf->has_physfn);
	assert_int_equal(vf->physfn.bus, 1);
	assert_int_equal(vf->physfn.devfn, 0);
	assert_int_equal(vf->iommu, P2PDMA_IOMMU_TRANSLATED);
	assert_null(vf->driver);
	assert_int_equal(vf->name_count, 1);
	assert_string_equal(vf->names[0], "eth0");
	assert_int_equal(disk->root_bus.domain, 0x10000);
	assert_int_equal(vmd->root_bus.domain, 0);
	assert_int_equal(disk->name_count, 1);
	assert_string_equal(disk->names[0], "nvme1n1");
	snapshot_free(snapshot);
	tree_free(root);
}

static void the_system_is_read(void **state)
{
	char *root = tree_machine();
	struct snapshot *snapshot = read_ok(root);

	(void)state;
	assert_string_equal(snapshot->kernel, "6.12.41+deb13-amd64");
	assert_int_equal(snapshot->kernel_p2pdma, P2PDMA_YES);
	assert_string_equal(snapshot->arch, "x86_64");
	assert_string_equal(snapshot->cpu_vendor, "GenuineIntel");
	assert_int_equal(snapshot->cpu_family, 6);
	assert_string_equal(snapshot->hypervisor, "none");
	assert_int_equal(snapshot->privileged, P2PDMA_UNKNOWN);
	snapshot_free(snapshot);
	tree_free(root);
}

/* The least there is to read: one function's directory with nothing in it. */
static char *make_bare(void)
{
	char *root = tree_new();

	tree_text(root, "/sys/bus/pci/devices/0000:00:00.0/uevent", "");
	return root;
}

/* Its class is there and empty: the machine has none. */
static void an_empty_class_means_no_iommu(void **state)
{
	char *root = make_bare();
	struct snapshot *snapshot;

	(void)state;
	tree_text(root, "/sys/class/iommu/.keep", "");
	snapshot = read_ok(root);
	assert_int_equal(snapshot->functions->iommu, P2PDMA_IOMMU_NONE);
	snapshot_free(snapshot);
	tree_free(root);
}

static void what_is_absent_is_unknown(void **state)
{
	char *root = make_bare();
	struct snapshot *snapshot = read_ok(root);
	const struct snapshot_function *function = snapshot->functions;

	(void)state;
	assert_int_equal(snapshot->function_count, 1);
	assert_int_equal(function->config_len, 0);
	assert_int_equal(function->resource_count, 0);
	assert_false(function->has_root_bus || function->has_physfn);
	assert_int_equal(function->iommu_group, -1);
	assert_int_equal(function->iommu, P2PDMA_IOMMU_UNKNOWN); /* the copy may only lack it */
	assert_int_equal(function->numa_node, -1);
	assert_int_equal(function->dma_mask_bits, 0);
	assert_null(function->driver);
	assert_null(snapshot->kernel);
	assert_null(snapshot->arch);
	assert_null(snapshot->cpu_vendor);
	assert_null(snapshot->hypervisor);
	assert_int_equal(snapshot->cpu_family, -1);
	assert_int_equal(snapshot->kernel_p2pdma, P2PDMA_UNKNOWN);
	assert_int_equal(snapshot->privileged, P2PDMA_NO); /* 64 bytes or fewer of everything */
	snapshot_free(snapshot);
	tree_free(root);
}

static void hypervisors_go_by_their_firmware(void **state)
{
	static const struct {
		const char *flags, *file, *text, *expected;
	} cases[] = {
		{ "fpu", "sys_vendor", "QEMU\n", "none" }, /* the CPU knows better */
		{ "fpu hypervisor", "sys_vendor", "QEMU\n", "qemu" },
		{ "fpu hypervisor", "product_name", "Standard PC (Q35 + ICH9, 2009)\n", "qemu" },
		{ "fpu hypervisor", "product_name", "KVM\n", "kvm" },
		{ "fpu hypervisor", "sys_vendor", "VMware, Inc.\n", "vmware" },
		{ "fpu hypervisor", "product_name", "VirtualBox\n", "virtualbox" },
		{ "fpu hypervisor", "sys_vendor", "Xen\n", "xen" },
		{ "fpu hypervisor", "sys_vendor", "Microsoft Corporation\n", "hyperv" },
		{ "fpu hypervisor", "sys_vendor", "Amazon EC2\n", "amazon" },
		{ "fpu hypervisor", "sys_vendor", "Google\n", "google" },
		{ "fpu hypervisor", "sys_vendor", "Somebody\n", "other" },
		{ "myhypervisor", "sys_vendor", "QEMU\n", "none" },
		{ NULL, "sys_vendor", "QEMU\n", "qemu" }, /* arm64 */
		{ NULL, "sys_vendor", "Google\n", NULL }, /* sells bare metal too */
		{ NULL, "chassis", "\n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *root = make_bare(), text[256];
		struct snapshot *snapshot;

		snprintf(text, sizeof(text), "/sys/class/dmi/id/%s", cases[i].file);
		tree_text(root, text, cases[i].text);
		snprintf(text, sizeof(text), "processor\t: 0\n%s%s\n",
		         cases[i].flags ? "flags\t\t: " : "", cases[i].flags ? cases[i].flags : "");
		tree_text(root, "/proc/cpuinfo", text);
		snapshot = read_ok(root);
		if (cases[i].expected)
			assert_string_equal(snapshot->hypervisor, cases[i].expected);
		else
			assert_null(snapshot->hypervisor);
		snapshot_free(snapshot);
		tree_free(root);
	}
}

static void the_first_xen_domain_is_bare_metal(void **state)
{
	char *root = make_bare();
	struct snapshot *snapshot;

	(void)state;
	tree_text(root, "/proc/xen/capabilities", "control_d\n");
	tree_text(root, "/proc/cpuinfo", "flags : fpu hypervisor\n");
	snapshot = read_ok(root);
	assert_string_equal(snapshot->hypervisor, "none");
	snapshot_free(snapshot);
	tree_free(root);
}

static void symbols_say_whether_the_kernel_can(void **state)
{
	static const struct {
		const char *symbols;
		enum p2pdma_known expected;
	} cases[] = {
		{ "0 T pci_enable_device\n0 T pci_p2pdma_add_resource\n", P2PDMA_YES },
		{ "0 T pci_enable_device\n0 t my_pci_p2pdma_add_resource\n", P2PDMA_NO },
		{ "0 T pci_enable_device\n", P2PDMA_NO },
		{ "", P2PDMA_UNKNOWN }, /* hidden, or no list of symbols at all */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *root = make_bare();
		struct snapshot *snapshot;

		tree_text(root, "/proc/sys/kernel/osrelease", "6.12\n");
		tree_text(root, "/proc/kallsyms", cases[i].symbols);
		snapshot = read_ok(root);
		assert_int_equal(snapshot->kernel_p2pdma, cases[i].expected);
		snapshot_free(snapshot);
		tree_free(root);
	}
}

static void broken_files_are_unknown(void **state)
{
	static const char device[] = "/sys/bus/pci/devices/0000:00:00.0";
	static const struct {
		const char *name, *text;
	} files[] = {
		{ "resource", "0x1 0x2\n" },
		{ "numa_node", "99999999999\n" },
		{ "dma_mask_bits", "64x\n" },
	};
	char *root = make_bare(), path[128];
	struct snapshot *snapshot;
	const struct snapshot_function *function;

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", device, files[i].name);
		tree_text(root, path, files[i].text);
	}
	snprintf(path, sizeof(path), "%s/iommu_group", device);
	tree_link(root, path, "../groups/7x");
	snprintf(path, sizeof(path), "%s/physfn", device);
	tree_link(root, path, "../elsewhere");
	tree_text(root, "/sys/bus/pci/devices/0000:00:00.9/config", "no function");
	tree_text(root, "/proc/cpuinfo", "vendor_id:\ncpu family : six\nflags");
	snapshot = read_ok(root);
	function = snapshot->functions;
	assert_int_equal(snapshot->function_count, 1);
	assert_int_equal(function->resource_count, 0);
	assert_int_equal(function->numa_node, -1);
	assert_int_equal(function->dma_mask_bits, 0);
	assert_int_equal(function->iommu_group, -1);
	assert_int_equal(function->iommu, P2PDMA_IOMMU_UNKNOWN);
	assert_false(function->has_physfn);
	assert_null(snapshot->cpu_vendor);
	assert_int_equal(snapshot->cpu_family, -1);
	snapshot_free(snapshot);
	tree_free(root);
}

/* What a made-up tree holds, a capture can hold: the dump of it must read back. */
static void odd_trees_dump_readable_captures(void **state)
{
	static const char device[] = "/sys/bus/pci/devices/0000:00:00.0";
	char long_name[NAME_MAX + 2], path[128], *text;
	const char *targets[] = { "nowhere/", long_name };

	(void)state;
	memset(long_name, 'd', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		char *root = make_bare();
		struct snapshot *snapshot, *again;

		snprintf(path, sizeof(path), "%s/driver", device);
		tree_link(root, path, targets[i]);
		snprintf(path, sizeof(path), "%s/dma_mask_bits", device);
		tree_text(root, path, "65\n");
		snapshot = read_ok(root);
		assert_null(snapshot->functions->driver);
		assert_int_equal(snapshot->functions->dma_mask_bits, 0);
		assert_int_equal(snapshot_write_json(snapshot, 0, &text), 0);
		assert_int_equal(snapshot_read_json(text, strlen(text), "dump", NULL, &again), 0);
		free(text);
		snapshot_free(again);
		snapshot_free(snapshot);
		tree_free(root);
	}
}

/* The limits end both: a pipe that nobody writes to, and a file that never ends. */
static void endless_symbols_end(void **state)
{
	char *root = make_bare(), path[PATH_MAX];
	struct snapshot *snapshot;

	(void)state;
	tree_text(root, "/proc/sys/kernel/osrelease", "6.12\n");
	snprintf(path, sizeof(path), "%s/proc/kallsyms", root);
	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(30);
	snapshot = read_ok(root);
	assert_int_equal(snapshot->kernel_p2pdma, P2PDMA_UNKNOWN);
	snapshot_free(snapshot);
	assert_int_equal(unlink(path), 0);
	tree_link(root, "/proc/kallsyms", "/dev/zero");
	snapshot = read_ok(root);
	assert_int_equal(snapshot->kernel_p2pdma, P2PDMA_UNKNOWN);
	alarm(0);
	snapshot_free(snapshot);
	tree_free(root);
}

static void no_pci_says_what_to_do(void **state)
{
	char *root = tree_new();
	struct snapshot *snapshot = NULL;
	struct p2pdma_error err = { "" };

	(void)state;
	assert_int_equal(snapshot_read_sysfs(root, &err, &snapshot), -ENODEV);
	assert_contains(err.text, root);
	assert_contains(err.text, "no PCI functions");
	assert_contains(err.text, "capture:FILE");
	tree_text(root, "/sys/bus/pci/devices/not-an-address/config", "");
	memset(&err, 0, sizeof(err));
	assert_int_equal(snapshot_read_sysfs(root, &err, &snapshot), -ENODEV);
	assert_contains(err.text, "no PCI functions");
	assert_null(snapshot);
	tree_free(root);
}

static void addresses_are_whole(void **state)
{
	static const char *const good[] = { "0000:00:00.0", "10000:e1:1f.7", "ffffffff:ff:1f.7" };
	static const char *const bad[] = {
		"",           "00:00.0",       "0000:00:20.0",  "0000:00:00.8",    "0000:00:00.0 ",
		"0000:00:00", "0000:00:00.00", " 0000:00:00.0", "100000000:0:0.0", "0000:+1:00.0",
		"0x00:0:0.0", "0000:00:00.0/", "0000-00:00.0",  "pci0000:00:00.0", "0000:0 0:0.0",
	};
	struct p2pdma_bdf address;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(sysfs_parse_bdf(good[i], &address));
	assert_true(address.domain == 0xffffffff && address.bus == 0xff && address.devfn == 0xff);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (sysfs_parse_bdf(bad[i], &address))
			fail_msg("\"%s\" taken for an address", bad[i]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_is_read),
		cmocka_unit_test(the_others_are_told_apart),
		cmocka_unit_test(the_system_is_read),
		cmocka_unit_test(what_is_absent_is_unknown),
		cmocka_unit_test(an_empty_class_means_no_iommu),
		cmocka_unit_test(hypervisors_go_by_their_firmware),
		cmocka_unit_test(the_first_xen_domain_is_bare_metal),
		cmocka_unit_test(symbols_say_whether_the_kernel_can),
		cmocka_unit_test(broken_files_are_unknown),
		cmocka_unit_test(odd_trees_dump_readable_captures),
		cmocka_unit_test(endless_symbols_end),
		cmocka_unit_test(no_pci_says_what_to_do),
		cmocka_unit_test(addresses_are_whole),
	};

	return cmocka_run_group_tests_name("sysfs", tests, NULL, NULL);
}
