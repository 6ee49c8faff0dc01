/* SPDX-License-Identifier: MIT */
/*
 * system.c - what a Linux machine says of its kernel, CPU and hypervisor.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "sysfs.h"

#define MOST_SYMBOLS (1 << 22) /* lines of kallsyms: some ten times what a kernel has */

static int take(char **where, const char *text)
{
	*where = strdup(text);
	return *where ? 0 : -ENOMEM;
}

/* The value of "key : value" when @line is of that key; cut at the end of the line. */
static bool is_key(const char *line, const char *key, char *value, size_t size)
{
	size_t length = strlen(key);

	if (strncmp(line, key, length) != 0)
		return false;
	line += length;
	line += strspn(line, " \t");
	if (*line++ != ':')
		return false;
	line += strspn(line, " \t");
	snprintf(value, size, "%.*s", (int)strcspn(line, "\n"), line);
	return true;
}

int sysfs_parse_cpuinfo(const char *text, struct snapshot *snapshot,
                        enum p2pdma_known *ret_is_guest)
{
	char value[8192];

	*ret_is_guest = P2PDMA_UNKNOWN;
	for (; *text && *text != '\n'; text += strcspn(text, "\n"), text += *text == '\n') {
		char *end;

		if (!snapshot->cpu_vendor && is_key(text, "vendor_id", value, sizeof(value)) &&
		    *value && strlen(value) < 64) {
			if (take(&snapshot->cpu_vendor, value))
				return -ENOMEM;
		} else if (is_key(text, "cpu family", value, sizeof(value))) {
			long family = strtol(value, &end, 10);

			if (end != value && !*end && family >= 0 && family < INT_MAX)
				snapshot->cpu_family = (int)family;
		} else if (is_key(text, "flags", value, sizeof(value))) {
			*ret_is_guest = P2PDMA_NO;
			for (char *flag = strtok_r(value, " ", &end); flag;
			     flag = strtok_r(NULL, " ", &end))
				if (!strcmp(flag, "hypervisor"))
					*ret_is_guest = P2PDMA_YES;
		}
	}
	return 0;
}

/* Which hypervisor, by what the firmware calls the machine; NULL when that says nothing. */
static const char *name_hypervisor(const char *root)
{
	static const struct {
		const char *file, *part, *name;
	} marks[] = {
		{ "sys_vendor", "QEMU", "qemu" },
		{ "product_name", "QEMU", "qemu" },
		{ "product_name", "KVM", "kvm" },
		{ "product_name", "Standard PC", "qemu" },
		{ "sys_vendor", "VMware", "vmware" },
		{ "product_name", "VirtualBox", "virtualbox" },
		{ "sys_vendor", "Xen", "xen" },
		{ "sys_vendor", "Microsoft", "hyperv" },
		{ "sys_vendor", "Amazon EC2", "amazon" },
		{ "sys_vendor", "Google", "google" },
	};
	char text[256];

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (sysfs_read_line(root, "/sys/class/dmi/id", marks[i].file, text, sizeof(text)) &&
		    strstr(text, marks[i].part))
			return marks[i].name;
	return NULL;
}

static int read_hypervisor(const char *root, enum p2pdma_known is_guest, struct snapshot *snapshot)
{
	char text[256];
	const char *name;

	/* Xen's first domain owns the hardware, whatever its CPU flags say. */
	if (sysfs_read_line(root, "/proc/xen", "capabilities", text, sizeof(text)) &&
	    strstr(text, "control_d"))
		return take(&snapshot->hypervisor, "none");
	if (is_guest == P2PDMA_NO)
		return take(&snapshot->hypervisor, "none");
	name = name_hypervisor(root);
	/* Only x86 has the flag; elsewhere a vendor's name alone also stands on bare metal. */
	if (is_guest == P2PDMA_UNKNOWN && (!name || strcmp(name, "qemu") != 0))
		return 0;
	return take(&snapshot->hypervisor, name ? name : "other");
}

/* Whether the running kernel has the P2PDMA code: its symbols say so even where no config is kept.
 */
static enum p2pdma_known find_p2pdma_symbol(const char *root)
{
	char path[PATH_MAX], line[512];
	bool is_symbol_list = false, found = false;
	int lines = 0, fd;
	FILE *file;

	if (snprintf(path, sizeof(path), "%s/proc/kallsyms", root) >= (int)sizeof(path))
		return P2PDMA_UNKNOWN;
	/* In a copy it may be anything: a pipe nobody writes, or a file without end. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return P2PDMA_UNKNOWN;
	file = fdopen(fd, "r");
	if (!file) {
		close(fd);
		return P2PDMA_UNKNOWN;
	}
	while (!found && lines < MOST_SYMBOLS && fgets(line, sizeof(line), file)) {
		lines++;
		found = strstr(line, " pci_p2pdma_add_resource") != NULL;
		is_symbol_list |= strstr(line, " pci_enable_device\n") != NULL;
	}
	fclose(file);
	if (found)
		return P2PDMA_YES;
	return is_symbol_list && lines < MOST_SYMBOLS ? P2PDMA_NO : P2PDMA_UNKNOWN;
}

static int read_arch(const char *root, struct snapshot *snapshot)
{
	struct utsname names;
	char text[64];

	if (!*root && !uname(&names))
		return take(&snapshot->arch, names.machine);
	if (sysfs_read_line(root, "/proc/sys/kernel", "arch", text, sizeof(text)))
		return take(&snapshot->arch, text);
	return 0;
}

int sysfs_read_system(const char *root, struct snapshot *snapshot)
{
	enum p2pdma_known is_guest = P2PDMA_UNKNOWN;
	char text[16384];
	ssize_t length;
	int r;

	if (sysfs_read_line(root, "/proc/sys/kernel", "osrelease", text, 256)) {
		r = take(&snapshot->kernel, text);
		if (r)
			return r;
	}
	length = sysfs_read_file(root, "/proc", "cpuinfo", text, sizeof(text) - 1);
	if (length > 0) {
		text[length] = '\0';
		r = sysfs_parse_cpuinfo(text, snapshot, &is_guest);
		if (r)
			return r;
	}
	r = read_arch(root, snapshot);
	if (!r)
		r = read_hypervisor(root, is_guest, snapshot);
	if (!r && snapshot->kernel)
		snapshot->kernel_p2pdma = find_p2pdma_symbol(root);
	return r;
}
