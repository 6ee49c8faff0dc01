/* SPDX-License-Identifier: MIT */
/*
 * snapshot.h - the one description of a machine, its readers and its one writer.
 *
 * Concepts:
 * - A snapshot holds what was read, undecoded: raw configuration bytes and what the OS said beside
 *   them.  What it means is core's business.
 * - What was not recorded is unknown (-1, NULL, 0 where stated), never absent.
 * - Readers take hostile input: every count is bounded by the input's size and by the limits below.
 *
 * May use base/ and include/p2pdma/types.h.  May not use core/ or machines/.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <p2pdma/machine.h>

#define SNAPSHOT_CONFIG_SIZE   4096
#define SNAPSHOT_MAX_FUNCTIONS 65536
#define SNAPSHOT_MAX_INPUT     (512u << 20) /* bytes of one capture file */
#define SNAPSHOT_RESOURCES     13 /* BARs 0-5, ROM, SR-IOV BARs: lines of sysfs `resource` */

/* One line of sysfs `resource`: CPU physical addresses; end < start, or all zero, when unused. */
struct snapshot_resource {
	uint64_t start;
	uint64_t end;
	uint64_t flags; /* IORESOURCE_*: MEM 0x200, IO 0x100, PREFETCH 0x2000, MEM_64 0x100000 */
};

struct snapshot_function {
	struct p2pdma_bdf bdf;

	uint8_t *config;   /* config_len bytes from offset 0 */
	size_t config_len; /* 0 to 4096: beyond is unknown */

	size_t resource_count; /* 0 when not recorded */
	struct snapshot_resource *resources;

	bool has_physfn; /* it is a VF and physfn its PF */
	struct p2pdma_bdf physfn;

	bool has_root_bus; /* the OS said which root bus it lies below */
	struct p2pdma_bdf root_bus;

	int iommu_group;         /* -1 none or not recorded */
	enum p2pdma_iommu iommu; /* mode of that group */
	int numa_node;           /* -1 none or not recorded */
	int dma_mask_bits;       /* of its driver; 0 not recorded */
	char *driver;            /* NULL none or not recorded */
	size_t name_count;
	char **names; /* block and network devices below it */
};

struct snapshot {
	size_t function_count;
	struct snapshot_function *functions; /* sorted by domain, bus, devfn; addresses unique */

	/* While functions are added: their positions in the order of addresses. */
	uint32_t *order;
	size_t room; /* of both arrays */

	char *kernel;                    /* NULL not recorded */
	enum p2pdma_known kernel_p2pdma; /* built with CONFIG_PCI_P2PDMA */
	char *arch;                      /* NULL not recorded */
	char *cpu_vendor;                /* NULL not recorded */
	int cpu_family;                  /* -1 not recorded */
	char *hypervisor;                /* "none" on bare metal; NULL not recorded */
	enum p2pdma_known privileged;    /* NO: config space cut short for lack of privilege */
};

/* The order of functions: by domain, bus, devfn. */
int snapshot_compare(struct p2pdma_bdf a, struct p2pdma_bdf b);

/* The empty snapshot: everything unknown.  NULL when out of memory. */
struct snapshot *snapshot_new(void);
struct snapshot *snapshot_free(struct snapshot *snapshot);

/*
 * Adds a function with everything unknown, or returns the one that is there (*ret_new false).
 * The pointer is good until the next add.  -E2BIG beyond SNAPSHOT_MAX_FUNCTIONS, -ENOMEM.  Not
 * after snapshot_finish().
 */
int snapshot_add(struct snapshot *snapshot, struct p2pdma_bdf bdf, bool *ret_new,
                 struct snapshot_function **ret_function);

/* Sorts the functions once all are added.  Every reader ends with it. */
void snapshot_finish(struct snapshot *snapshot);

/* After snapshot_finish(); NULL: it has no such function. */
const struct snapshot_function *snapshot_find(const struct snapshot *snapshot,
                                              struct p2pdma_bdf bdf);

/*
 * Readers.  @name is what error texts call the input ("FILE" or "standard input").  Each returns 0,
 * -EPROTO (not this format, or broken; err says line and expectation), -ENODEV (no function in it),
 * -E2BIG, -ENOMEM or the errno of a failed read.
 */
int snapshot_read_lspci(const char *text, size_t length, const char *name, struct p2pdma_error *err,
                        struct snapshot **ret_snapshot);
int snapshot_read_json(const char *text, size_t length, const char *name, struct p2pdma_error *err,
                       struct snapshot **ret_snapshot);
/* Tells the two apart by content and calls one of them. */
int snapshot_read_text(const char *text, size_t length, const char *name, struct p2pdma_error *err,
                       struct snapshot **ret_snapshot);
int snapshot_read_sysfs(const char *root, struct p2pdma_error *err, struct snapshot **ret_snapshot);

/* What capture: and sim: share.  All of a file or pipe, with a NUL behind it; -E2BIG, -ENOMEM. */
int snapshot_read_input(int fd, const char *name, struct p2pdma_error *err, char **ret_text,
                        size_t *ret_length);
/* The two halves of snapshot_read_json(); @expected is what the first one's error asks for. */
struct json_t;
int snapshot_parse_json(const char *text, size_t length, const char *name, const char *expected,
                        struct p2pdma_error *err, struct json_t **ret_root);
int snapshot_from_json(const struct json_t *root, const char *name, struct p2pdma_error *err,
                       struct snapshot **ret_snapshot);

/* The writer: one JSON text, reproducible.  flags: enum p2pdma_dump_flags. */
int snapshot_write_json(const struct snapshot *snapshot, unsigned int flags, char **ret_text);

#endif
