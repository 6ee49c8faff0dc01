/* SPDX-License-Identifier: MIT */
/*
 * tree.h - a copy of /sys and /proc below a directory, of a machine made up for the tests.
 *
 * 0000:00:01.0 root port -> 0000:01:00.0 NVMe (PF, identity) and 0000:01:00.1 (its VF, DMA-FQ,
 * eth0) 0000:00:0e.0 VMD -> root bus 10000:00 -> 10000:00:00.0 NVMe (no group)
 */
#ifndef TESTS_TREE_H
#define TESTS_TREE_H

#include <stddef.h>

/* Both put and link make the directories above; they fail the test when they cannot. */
void tree_put(const char *root, const char *path, const void *bytes, size_t length);
void tree_text(const char *root, const char *path, const char *text);
void tree_link(const char *root, const char *path, const char *target);

/* An empty directory, and its end with all below it. */
char *tree_new(void);
void tree_free(char *root);

/* The machine above. */
char *tree_machine(void);

#endif
