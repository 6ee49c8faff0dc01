/* SPDX-License-Identifier: MIT */
/*
 * resolve.c - from a name a person would type to a function.
 *
 * The kernel climbs from whatever it is given to the first PCI device (linux:
 * find_parent_pci_dev()). A live machine follows its links; elsewhere the path itself and the names
 * recorded must do.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "topology.h"

/* At most @digits hex digits up to @stop; returns what follows @stop, or NULL. */
static const char *read_hex(const char *text, int digits, char stop, uint32_t *ret_value)
{
	uint32_t value = 0;
	int count = 0;

	for (; count < digits && isxdigit((unsigned char)*text); text++, count++) {
		int c = tolower((unsigned char)*text);

		value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	if (!count || *text != stop)
		return NULL;
	*ret_value = value;
	return stop ? text + 1 : text;
}

/* "[domain:]bus:device.function", the whole of @text. */
static bool parse_bdf(const char *text, struct p2pdma_bdf *ret_bdf)
{
	uint32_t domain = 0, bus, device, function;
	const char *first_colon = strchr(text, ':');
	const char *at = text;

	if (first_colon && strchr(first_colon + 1, ':'))
		at = read_hex(at, 8, ':', &domain);
	if (!at || !(at = read_hex(at, 2, ':', &bus)) || !(at = read_hex(at, 2, '.', &device)) ||
	    !read_hex(at, 1, '\0', &function) || device > 31 || function > 7)
		return false;
	*ret_bdf = (struct p2pdma_bdf){ domain, (uint8_t)bus, (uint8_t)(device << 3 | function) };
	return true;
}

/* The last component of a path that is the address of a function here. */
static struct p2pdma_device *climb_path(const struct p2pdma_machine *machine, const char *path)
{
	struct p2pdma_device *found = NULL;

	while (*path) {
		size_t length = strcspn(path, "/");
		struct p2pdma_bdf bdf;
		char part[32];

		if (length < sizeof(part)) {
			memcpy(part, path, length);
			part[length] = '\0';
			if (parse_bdf(part, &bdf) && topology_find(machine, bdf))
				found = topology_find(machine, bdf);
		}
		path += length;
		path += strspn(path, "/");
	}
	return found;
}

/* Whether @name is @recorded or a partition of it: nvme0n1p2, sda1. */
static bool is_name_or_partition(const char *name, const char *recorded)
{
	size_t length = strlen(recorded);
	const char *rest = name + length;

	if (!length || strncmp(name, recorded, length))
		return false;
	if (!*rest)
		return true;
	if (isdigit((unsigned char)recorded[length - 1]) && *rest++ != 'p')
		return false;
	return *rest && strspn(rest, "0123456789") == strlen(rest);
}

static int find_by_name(const struct p2pdma_machine *machine, const char *name,
                        struct p2pdma_device **ret_device)
{
	struct p2pdma_device *found = NULL;

	for (size_t i = 0; i < machine->device_count; i++) {
		const struct snapshot_function *function = machine->devices[i].function;

		for (size_t j = 0; j < function->name_count; j++) {
			if (!is_name_or_partition(name, function->names[j]))
				continue;
			if (found && found != &machine->devices[i])
				return -ENOTUNIQ;
			found = &machine->devices[i];
		}
	}
	if (!found)
		return -ENODEV;
	*ret_device = found;
	return 0;
}

int p2pdma_machine_resolve(const struct p2pdma_machine *machine, const char *name,
                           struct p2pdma_error *err, struct p2pdma_device **ret_device)
{
	struct p2pdma_device *device = NULL;
	const char *base;
	struct p2pdma_bdf bdf;
	int r;

	if (!*name)
		return report(err, -EINVAL, "an empty name is no device");
	if (parse_bdf(name, &bdf)) {
		device = topology_find(machine, bdf);
		if (!device)
			return report(err, -ENODEV, "%s: this machine has no such function", name);
		*ret_device = device;
		return 0;
	}
	if (!machine->backend->ops.resolve(machine->backend->private, name, &bdf))
		device = topology_find(machine, bdf);
	if (!device && *name == '/')
		device = climb_path(machine, name);
	if (device) {
		*ret_device = device;
		return 0;
	}
	base = strrchr(name, '/');
	base = base ? base + 1 : name;
	if (strchr(base, ':') || !*base)
		return report(err, -EINVAL, "%.200s: neither an address nor the name of a device",
		              name);
	r = find_by_name(machine, base, ret_device);
	if (r == -ENOTUNIQ)
		return report(err, r,
		              "%.200s: more than one function goes by that name; give its address",
		              name);
	if (r)
		return report(err, r, "%.200s: no function of this machine goes by that name",
		              name);
	return 0;
}
