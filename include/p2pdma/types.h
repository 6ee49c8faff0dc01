/* SPDX-License-Identifier: MIT */
/*
 * types.h - the words every other header uses.
 *
 * Errors: functions return 0 or a negative errno; they never set errno.  Outputs come last, are
 * named ret_*, and are untouched on failure.  The library never prints and never exits.
 */
#ifndef P2PDMA_TYPES_H
#define P2PDMA_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct p2pdma_bdf - the address of a PCI function
 * @domain: PCI segment; 32 bits, since VMD and some Arm firmware number beyond 0xffff
 * @bus: bus number
 * @devfn: device number (bits 7:3) and function number (bits 2:0)
 */
struct p2pdma_bdf {
	uint32_t domain;
	uint8_t bus;
	uint8_t devfn;
};

/*
 * The three address spaces.  One-member structs, so that the compiler refuses to mix them up;
 * a conversion is always a named function.
 */

/**
 * struct p2pdma_phys - an address as the CPU sees it (what sysfs `resource` prints)
 * @addr: the address
 */
struct p2pdma_phys {
	uint64_t addr;
};

/**
 * struct p2pdma_bus - an address as it travels on the PCI bus (what a BAR register holds)
 * @addr: the address
 */
struct p2pdma_bus {
	uint64_t addr;
};

/**
 * struct p2pdma_dma - an address as a device puts it into a TLP: a bus address, or an IOVA
 * @addr: the address
 */
struct p2pdma_dma {
	uint64_t addr;
};

/**
 * enum p2pdma_op - what the client does to the provider's memory
 * @P2PDMA_OP_WRITE: memory write requests from client to provider
 * @P2PDMA_OP_READ: memory read requests from client to provider, completions back
 * @P2PDMA_OP_BOTH: both
 */
enum p2pdma_op {
	P2PDMA_OP_WRITE = 1,
	P2PDMA_OP_READ = 2,
	P2PDMA_OP_BOTH = 3,
};

/**
 * enum p2pdma_known - an answer that may be missing
 * @P2PDMA_UNKNOWN: not recorded
 * @P2PDMA_NO: no
 * @P2PDMA_YES: yes
 */
enum p2pdma_known {
	P2PDMA_UNKNOWN = -1,
	P2PDMA_NO = 0,
	P2PDMA_YES = 1,
};

/**
 * struct p2pdma_error - why a call failed, in words
 * @text: one line without a newline: the thing, the cause, the way out; file and line where there
 *	is one.  Always NUL-terminated after a failure.
 *
 * The caller owns it; a function that takes one accepts NULL and writes to it only on failure.
 */
struct p2pdma_error {
	char text[512];
};

#ifdef __cplusplus
}
#endif

#endif
