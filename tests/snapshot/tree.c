/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "readers.h"

#define PORT "/sys/devices/pci0000:00/0000:00:01.0"
#define NVME PORT "/0000:01:00.0"
#define VF   PORT "/0000:01:00.1"
#define VMD  "/sys/devices/pci0000:00/0000:00:0e.0"
#define DISK VMD "/pci10000:00/10000:00:00.0"

static void make_path(const char *root, const char *path, char full[PATH_MAX])
{
	assert_true(snprintf(full, PATH_MAX, "%s%s", root, path) < PATH_MAX);
	for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		if (mkdir(full, 0755) && errno != EEXIST)
			fail_msg("%s: %s", full, strerror(errno));
	}
}

void tree_put(const char *root, const char *path, const void *bytes, size_t length)
{
	char full[PATH_MAX];
	FILE *file;

	make_path(root, path, full);
	file = fopen(full, "we");
	if (!file || fwrite(bytes, 1, length, file) != length || fclose(file))
		fail_msg("%s: %s", full, strerror(errno));
}

void tree_text(const char *root, const char *path, const char *text)
{
	tree_put(root, path, text, strlen(text));
}

void tree_link(const char *root, const char *path, const char *target)
{
	char full[PATH_MAX];

	make_path(root, path, full);
	if (symlink(target, full))
		fail_msg("%s: %s", full, strerror(errno));
}

char *tree_new(void)
{
	char *root = strdup("/tmp/p2pdma-tree-XXXXXX");

	assert_non_null(root);
	assert_non_null(mkdtemp(root));
	return root;
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
	(void)stat, (void)type, (void)ftw;
	return remove(path);
}

void tree_free(char *root)
{
	assert_int_equal(nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(root);
}

/* A function's directory and the link to it by which it is found. */
static void add_function(const char *root, const char *directory, size_t config_length)
{
	uint8_t config[SNAPSHOT_CONFIG_SIZE];
	char path[PATH_MAX], target[PATH_MAX];

	for (size_t i = 0; i < sizeof(config); i++)
		config[i] = (uint8_t)(i * 7);
	config[0x0e] = 0; /* header type: no bridge, so that the tree needs no bus numbers */
	snprintf(path, sizeof(path), "%s/config", directory);
	tree_put(root, path, config, config_length);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices%s", strrchr(directory, '/'));
	snprintf(target, sizeof(target), "../../..%s", directory + strlen("/sys"));
	tree_link(root, path, target);
}

static void add_nvme(const char *root)
{
	add_function(root, NVME, 4096);
	tree_text(root, NVME "/resource",
	          "0x00000000f0000000 0x00000000f0003fff 0x0000000000140204\n"
	          "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
	          "0x0000004000000000 0x0000004fffffffff 0x000000000014220c\n");
	tree_link(root, NVME "/driver", "../../../../bus/pci/drivers/nvme");
	tree_link(root, NVME "/iommu_group", "../../../../kernel/iommu_groups/7");
	tree_text(root, NVME "/numa_node", "1\n");
	tree_text(root, NVME "/dma_mask_bits", "64\n");
	tree_link(root, NVME "/nvme/nvme0/subsystem", "../../../../../../../class/nvme");
	tree_link(root, NVME "/nvme/nvme0/nvme0n1/subsystem",
	          "../../../../../../../../class/block");
	tree_link(root, NVME "/nvme/nvme0/nvme0n1/nvme0n1p1/subsystem",
	          "../../../../../../../../../class/block");
	/* A path of a multipath device: its head is the one people know. */
	tree_link(root, NVME "/nvme/nvme0/nvme2c0n5/subsystem",
	          "../../../../../../../../class/block");
	tree_link(root, NVME "/nvme/nvme0/device", "../..");
}

char *tree_machine(void)
{
	char *root = tree_new();

	add_function(root, PORT, 256);
	tree_link(root, PORT "/driver", "../../../bus/pci/drivers/pcieport");
	tree_text(root, PORT "/numa_node", "-1\n");
	tree_text(root, PORT "/dma_mask_bits", "none\n");
	add_nvme(root);
	add_function(root, VF, 64);
	tree_link(root, VF "/physfn", "../0000:01:00.0");
	tree_link(root, VF "/iommu_group", "../../../../kernel/iommu_groups/8");
	tree_link(root, VF "/net/eth0/subsystem", "../../../../../../../class/net");
	add_function(root, VMD, 256);
	add_function(root, DISK, 4096);
	tree_link(root, DISK "/nvme/nvme1/nvme1n1/subsystem",
	          "../../../../../../../../class/block");

	tree_text(root, "/sys/kernel/iommu_groups/7/type", "identity\n");
	tree_text(root, "/sys/kernel/iommu_groups/8/type", "DMA-FQ\n");
	tree_text(root, "/sys/class/iommu/dmar0/intel-iommu/version", "1:0\n");
	tree_link(root, "/sys/class/block/nvme0n1",
	          "../../devices/pci0000:00/0000:00:01.0/0000:01:00.0/nvme/nvme0/nvme0n1");
	tree_link(
		root, "/sys/class/block/nvme0n1p1",
		"../../devices/pci0000:00/0000:00:01.0/0000:01:00.0/nvme/nvme0/nvme0n1/nvme0n1p1");
	tree_link(root, "/sys/class/net/eth0",
	          "../../devices/pci0000:00/0000:00:01.0/0000:01:00.1/net/eth0");
	tree_link(root, "/sys/class/nvme/nvme0",
	          "../../devices/pci0000:00/0000:00:01.0/0000:01:00.0/nvme/nvme0");
	tree_link(root, "/sys/class/block/loop0", "../../devices/virtual/block/loop0");
	tree_text(root, "/sys/devices/virtual/block/loop0/size", "0\n");

	tree_text(root, "/proc/sys/kernel/osrelease", "6.12.41+deb13-amd64\n");
	tree_text(root, "/proc/sys/kernel/arch", "x86_64\n");
	tree_text(root, "/proc/cpuinfo",
	          "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\n"
	          "flags\t\t: fpu vme sse2\n\nprocessor\t: 1\nvendor_id\t: Other\n");
	tree_text(root, "/proc/kallsyms",
	          "0000000000000000 T pci_enable_device\n"
	          "0000000000000000 T pci_p2pdma_add_resource\n");
	return root;
}
