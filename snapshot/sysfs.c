/* SPDX-License-Identifier: MIT */
/*
 * sysfs.c - reads the PCI functions of a Linux machine, or of a copy of its /sys and /proc.
 *
 * Every path is @root with something behind it.  Links are read, not followed, where a copy's
 * absolute links would lead out of it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"
#include "snapshot.h"
#include "sysfs.h"

#define DEVICES     "/sys/bus/pci/devices"
#define MOST_DEPTH  10   /* directories below a function searched for its devices */
#define MOST_VISITS 4096 /* directory entries looked at per function */
#define MOST_NAMES  64

static bool join(char *path, const char *root, const char *first, const char *second)
{
	int length = snprintf(path, PATH_MAX, "%s%s%s%s", root, first, *second ? "/" : "", second);

	return length > 0 && length < PATH_MAX;
}

ssize_t sysfs_read_file(const char *root, const char *directory, const char *name, void *buffer,
                        size_t size)
{
	char path[PATH_MAX];
	size_t length = 0;
	ssize_t n = 1;
	int fd;

	if (!join(path, root, directory, name))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	while (length < size && n > 0) {
		n = read(fd, (char *)buffer + length, size - length);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			length += (size_t)n;
	}
	/* A file that ends in an error (config space of a sleeping device) still gave what it gave.
	 */
	if (n < 0 && !length) {
		int error = errno;

		close(fd);
		return -error;
	}
	close(fd);
	return (ssize_t)length;
}

bool sysfs_read_line(const char *root, const char *directory, const char *name, char *text,
                     size_t size)
{
	ssize_t length = sysfs_read_file(root, directory, name, text, size - 1);

	if (length <= 0)
		return false;
	text[length] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return *text;
}

/* The target of a link, and where its last component begins. */
static const char *read_link(const char *root, const char *directory, const char *name,
                             char target[PATH_MAX])
{
	char path[PATH_MAX];
	const char *slash;
	ssize_t length;

	if (!join(path, root, directory, name))
		return NULL;
	length = readlink(path, target, PATH_MAX - 1);
	if (length <= 0)
		return NULL;
	target[length] = '\0';
	slash = strrchr(target, '/');
	return slash ? slash + 1 : target;
}

bool sysfs_parse_bdf(const char *text, struct p2pdma_bdf *ret_bdf)
{
	unsigned int domain, bus, device, function;
	int end = -1;

	if (strlen(text) > 16 || strpbrk(text, " \t+-x"))
		return false;
	sscanf(text, "%8x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &end);
	if (end < 0 || text[end] || device > 31 || function > 7)
		return false;
	*ret_bdf = (struct p2pdma_bdf){ domain, (uint8_t)bus, (uint8_t)(device << 3 | function) };
	return true;
}

/* The last "pciDDDD:BB" of a device's path: a VMD's domain hangs below a function of another. */
static void parse_root_bus(const char *path, struct snapshot_function *function)
{
	for (const char *part = strstr(path, "/pci"); part; part = strstr(part + 1, "/pci")) {
		unsigned int domain, bus;
		int end = -1;

		sscanf(part, "/pci%8x:%2x%n", &domain, &bus, &end);
		if (end < 0 || (part[end] && part[end] != '/'))
			continue;
		function->has_root_bus = true;
		function->root_bus = (struct p2pdma_bdf){ domain, (uint8_t)bus, 0 };
	}
}

size_t sysfs_parse_resources(const char *text, struct snapshot_resource *resources)
{
	size_t count = 0;

	while (count < SNAPSHOT_RESOURCES && *text) {
		struct snapshot_resource *resource = &resources[count];

		if (sscanf(text, "%" SCNx64 " %" SCNx64 " %" SCNx64, &resource->start,
		           &resource->end, &resource->flags) != 3)
			break;
		count++;
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	return count;
}

static int read_config(const char *root, const char *directory, struct snapshot_function *function)
{
	uint8_t bytes[SNAPSHOT_CONFIG_SIZE];
	ssize_t length = sysfs_read_file(root, directory, "config", bytes, sizeof(bytes));

	if (length <= 0)
		return 0;
	function->config = malloc((size_t)length);
	if (!function->config)
		return -ENOMEM;
	memcpy(function->config, bytes, (size_t)length);
	function->config_len = (size_t)length;
	return 0;
}

static int read_resources(const char *root, const char *directory,
                          struct snapshot_function *function)
{
	char text[4096];
	ssize_t length = sysfs_read_file(root, directory, "resource", text, sizeof(text) - 1);

	if (length <= 0)
		return 0;
	text[length] = '\0';
	function->resources = calloc(SNAPSHOT_RESOURCES, sizeof(*function->resources));
	if (!function->resources)
		return -ENOMEM;
	function->resource_count = sysfs_parse_resources(text, function->resources);
	return 0;
}

/* An IOMMU is in the path when there is a group; its type says what it does. */
static void read_iommu(const char *root, const char *directory, enum p2pdma_known has_iommu,
                       struct snapshot_function *function)
{
	char target[PATH_MAX], group_directory[64], type[64];
	const char *group = read_link(root, directory, "iommu_group", target);
	char *end;
	long number;

	if (!group) {
		function->iommu = has_iommu == P2PDMA_NO ? P2PDMA_IOMMU_NONE : P2PDMA_IOMMU_UNKNOWN;
		return;
	}
	number = strtol(group, &end, 10);
	if (end == group || *end || number < 0 || number > INT_MAX)
		return;
	function->iommu_group = (int)number;
	snprintf(group_directory, sizeof(group_directory), "/sys/kernel/iommu_groups/%ld", number);
	if (!sysfs_read_line(root, group_directory, "type", type, sizeof(type)))
		return;
	if (!strcmp(type, "identity"))
		function->iommu = P2PDMA_IOMMU_PASSTHROUGH;
	else if (!strncmp(type, "DMA", 3))
		function->iommu = P2PDMA_IOMMU_TRANSLATED;
}

/* A number of 0 to @most; @missing when there is none. */
static int read_number(const char *root, const char *directory, const char *name, int most,
                       int missing)
{
	char text[32], *end;
	long number;

	if (!sysfs_read_line(root, directory, name, text, sizeof(text)))
		return missing;
	number = strtol(text, &end, 10);
	return end == text || *end || number < 0 || number > most ? missing : (int)number;
}

static int add_name(struct snapshot_function *function, const char *name)
{
	char **names;

	if (function->name_count == MOST_NAMES)
		return 0;
	names = realloc(function->names, (function->name_count + 1) * sizeof(*names));
	if (!names)
		return -ENOMEM;
	function->names = names;
	names[function->name_count] = strdup(name);
	if (!names[function->name_count])
		return -ENOMEM;
	function->name_count++;
	return 0;
}

/* With multipath the namespace below the controller is nvme0c1n1; people use its head, nvme0n1. */
static int add_block_name(struct snapshot_function *function, const char *name)
{
	unsigned int subsystem, controller, namespace;
	char head[32];
	int end = -1;

	sscanf(name, "nvme%uc%un%u%n", &subsystem, &controller, &namespace, &end);
	if (end < 0 || name[end])
		return add_name(function, name);
	snprintf(head, sizeof(head), "nvme%un%u", subsystem, namespace);
	return add_name(function, head);
}

/*
 * Collects block and network devices below a directory: those whose "subsystem" link says so. Never
 * enters another PCI function, a device found, or a link.
 */
static int find_names(const char *root, const char *directory, int depth, int *visits,
                      struct snapshot_function *function)
{
	char path[PATH_MAX], target[PATH_MAX];
	struct p2pdma_bdf bdf;
	struct dirent *entry;
	const char *subsystem;
	DIR *stream;
	int r = 0;

	if (depth > MOST_DEPTH || !join(path, root, directory, ""))
		return 0;
	stream = opendir(path);
	if (!stream)
		return 0;
	while (!r && *visits > 0 && (entry = readdir(stream))) {
		char below[PATH_MAX];

		--*visits;
		if (entry->d_name[0] == '.' || sysfs_parse_bdf(entry->d_name, &bdf) ||
		    (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) ||
		    !join(below, directory, "", entry->d_name))
			continue;
		subsystem = read_link(root, below, "subsystem", target);
		if (subsystem && !strcmp(subsystem, "block"))
			r = add_block_name(function, entry->d_name);
		else if (subsystem && !strcmp(subsystem, "net"))
			r = add_name(function, entry->d_name);
		else
			r = find_names(root, below, depth + 1, visits, function);
	}
	closedir(stream);
	return r;
}

static int compare_names(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

static int read_function(const char *root, const char *name, enum p2pdma_known has_iommu,
                         struct snapshot_function *function)
{
	char directory[PATH_MAX], target[PATH_MAX];
	int visits = MOST_VISITS, r;
	const char *base;

	if (!join(directory, "", DEVICES, name))
		return -ENAMETOOLONG;
	r = read_config(root, directory, function);
	if (!r)
		r = read_resources(root, directory, function);
	if (r)
		return r;
	if (read_link(root, DEVICES, name, target))
		parse_root_bus(target, function);
	base = read_link(root, directory, "physfn", target);
	function->has_physfn = base && sysfs_parse_bdf(base, &function->physfn);
	read_iommu(root, directory, has_iommu, function);
	function->numa_node = read_number(root, directory, "numa_node", INT_MAX, -1);
	function->dma_mask_bits = read_number(root, directory, "dma_mask_bits", 64, 0);
	base = read_link(root, directory, "driver", target);
	/* No driver's name is longer than a file's; a made-up link's end may be, or be empty. */
	if (base && *base && strlen(base) <= NAME_MAX && !(function->driver = strdup(base)))
		return -ENOMEM;
	r = find_names(root, directory, 0, &visits, function);
	if (function->name_count)
		qsort(function->names, function->name_count, sizeof(*function->names),
		      compare_names);
	return r;
}

/* A machine without the class has no IOMMU; a copy of one may only lack the copy. */
static enum p2pdma_known find_iommu(const char *root)
{
	enum p2pdma_known known = P2PDMA_NO;
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *stream;

	if (!join(path, root, "/sys/class/iommu", ""))
		return P2PDMA_UNKNOWN;
	stream = opendir(path);
	if (!stream)
		return *root || errno != ENOENT ? P2PDMA_UNKNOWN : P2PDMA_NO;
	while (known == P2PDMA_NO && (entry = readdir(stream)))
		if (entry->d_name[0] != '.')
			known = P2PDMA_YES;
	closedir(stream);
	return known;
}

static int read_functions(const char *root, struct snapshot *snapshot)
{
	enum p2pdma_known has_iommu = find_iommu(root);
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *stream;
	int r = 0;

	if (!join(path, root, DEVICES, ""))
		return -ENAMETOOLONG;
	stream = opendir(path);
	if (!stream)
		return errno == ENOENT || errno == ENOTDIR ? -ENODEV : -errno;
	while (!r && (entry = readdir(stream))) {
		struct snapshot_function *function;
		struct p2pdma_bdf bdf;
		bool is_new;

		if (!sysfs_parse_bdf(entry->d_name, &bdf))
			continue;
		r = snapshot_add(snapshot, bdf, &is_new, &function);
		if (!r && is_new)
			r = read_function(root, entry->d_name, has_iommu, function);
	}
	closedir(stream);
	if (!r && !snapshot->function_count)
		r = -ENODEV;
	return r;
}

/* An unprivileged reader gets the first 64 bytes of every function. */
static void judge_privilege(const char *root, struct snapshot *snapshot)
{
	size_t cut = 0;

	for (size_t i = 0; i < snapshot->function_count; i++)
		cut += snapshot->functions[i].config_len <= 64;
	/* The bytes first: in a container, root need not have the privilege. */
	if (cut == snapshot->function_count)
		snapshot->privileged = P2PDMA_NO;
	else if (!*root && !geteuid())
		snapshot->privileged = P2PDMA_YES;
}

int snapshot_read_sysfs(const char *root, struct p2pdma_error *err, struct snapshot **ret_snapshot)
{
	struct snapshot *snapshot = snapshot_new();
	int r = -ENOMEM;

	if (!strcmp(root, "/"))
		root = "";
	if (snapshot)
		r = read_functions(root, snapshot);
	if (!r)
		r = sysfs_read_system(root, snapshot);
	if (r == -ENODEV)
		report(err, r,
		       "%.200s" DEVICES
		       ": this machine has no PCI functions; load a capture with -M capture:FILE",
		       root);
	else if (r)
		report(err, r, "%.200s" DEVICES ": %s", root, strerror(-r));
	if (r) {
		snapshot_free(snapshot);
		return r;
	}
	judge_privilege(root, snapshot);
	snapshot_finish(snapshot);
	*ret_snapshot = snapshot;
	return 0;
}
