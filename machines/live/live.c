/* SPDX-License-Identifier: MIT */
/*
 * live.c - this machine, or a copy of its /sys and /proc below a directory.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "live.h"
#include "report.h"
#include "snapshot.h"

/* "", "root=DIR" */
static int parse_args(const char *args, struct p2pdma_error *err, const char **ret_root)
{
	*ret_root = "";
	if (!*args)
		return 0;
	if (strncmp(args, "root=", 5) != 0 || !args[5])
		return report(err, -EINVAL, "live:%.200s: unknown option; the only one is root=DIR",
		              args);
	*ret_root = args + 5;
	return 0;
}

static int live_open(const char *args, const struct p2pdma_model *const *models,
                     struct p2pdma_error *err, struct machine_opened *ret_opened)
{
	const char *root;
	char *own_root;
	int r = parse_args(args, err, &root);

	(void)models;
	if (r)
		return r;
	own_root = strdup(root);
	if (!own_root)
		return report(err, -ENOMEM, "live: out of memory");
	r = snapshot_read_sysfs(root, err, &ret_opened->snapshot);
	if (r) {
		free(own_root);
		return r;
	}
	ret_opened->private = own_root;
	return 0;
}

static void live_close(void *private)
{
	free(private);
}

/* The last component of a real path that is the address of a PCI function. */
static bool climb(const char *path, struct p2pdma_bdf *ret_bdf)
{
	bool found = false;

	for (const char *part = strchr(path, '/'); part; part = strchr(part + 1, '/')) {
		unsigned int domain, bus, device, function;
		int end = -1;

		sscanf(part, "/%8x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &end);
		if (end < 0 || (part[end] && part[end] != '/') || device > 31 || function > 7)
			continue;
		*ret_bdf = (struct p2pdma_bdf){ domain, (uint8_t)bus,
			                        (uint8_t)(device << 3 | function) };
		found = true;
	}
	return found;
}

static bool climb_real(const char *root, const char *directory, const char *name,
                       struct p2pdma_bdf *ret_bdf)
{
	char path[PATH_MAX], real[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s%s%s", root, directory, name) >= (int)sizeof(path) ||
	    !realpath(path, real))
		return false;
	return climb(real, ret_bdf);
}

/* Paths below /sys, device nodes and bare names, by the links that sysfs has for them. */
static int live_resolve(void *private, const char *path, struct p2pdma_bdf *ret_bdf)
{
	const char *root = private, *name = path;

	if (!strncmp(path, "/sys/", 5))
		return climb_real(root, path, "", ret_bdf) ? 0 : -ENODEV;
	if (!strncmp(path, "/dev/", 5))
		name = path + 5;
	if (!*name || strchr(name, '/') || name[0] == '.')
		return -ENODEV;
	return climb_real(root, "/sys/class/block/", name, ret_bdf) ||
	                       climb_real(root, "/sys/class/net/", name, ret_bdf) ||
	                       climb_real(root, "/sys/class/nvme/", name, ret_bdf) ||
	                       climb_real(root, "/sys/class/infiniband/", name, ret_bdf)
	               ? 0
	               : -ENODEV;
}

const struct machine_ops live_ops = {
	.kind = "live",
	.open = live_open,
	.close = live_close,
	.resolve = live_resolve,
};
