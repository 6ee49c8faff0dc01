/* SPDX-License-Identifier: MIT */
/*
 * sysfs.h - what the two readers of a Linux machine share: sysfs.c (functions) and system.c (the
 * rest).
 *
 * May use base/ and snapshot.h.
 */
#ifndef SYSFS_H
#define SYSFS_H

#include <sys/types.h>

#include "snapshot.h"

/* Up to @size bytes of a file; returns how many, or a negative errno. */
ssize_t sysfs_read_file(const char *root, const char *directory, const char *name, void *buffer,
                        size_t size);

/* The first line of a small text file; false when it cannot be read or is empty. */
bool sysfs_read_line(const char *root, const char *directory, const char *name, char *text,
                     size_t size);

/* "0000:03:00.0", domain included, nothing behind it. */
bool sysfs_parse_bdf(const char *text, struct p2pdma_bdf *ret_bdf);

/* Lines of a `resource` file; @resources has room for SNAPSHOT_RESOURCES.  Returns how many. */
size_t sysfs_parse_resources(const char *text, struct snapshot_resource *resources);

/* Kernel, CPU and hypervisor.  0 or -ENOMEM. */
int sysfs_read_system(const char *root, struct snapshot *snapshot);

/* What /proc/cpuinfo says of the first processor.  0 or -ENOMEM. */
int sysfs_parse_cpuinfo(const char *text, struct snapshot *snapshot,
                        enum p2pdma_known *ret_is_guest);

#endif
