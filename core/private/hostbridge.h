/* SPDX-License-Identifier: MIT */
/*
 * hostbridge.h - what is known of root complexes, as data.
 *
 * Two tables: Linux's allowlist, a row a fact, with the version each row came with; and root
 * complexes that were seen to refuse peer reads.  Everything else is unknown: configuration space
 * does not tell.
 *
 * May use include/p2pdma/.
 */
#ifndef HOSTBRIDGE_H
#define HOSTBRIDGE_H

#include <p2pdma/evidence.h>

/* The newest kernel whose rows are known. */
#define HOSTBRIDGE_NEWEST ((struct p2pdma_profile){ 7, 4 })

struct hostbridge_row {
	uint16_t vendor;
	uint16_t device; /* HOSTBRIDGE_ANY: every device of the vendor */
	bool same_only;  /* trusted only when provider and client share the host bridge */
	struct p2pdma_trust trust;
};

#define HOSTBRIDGE_ANY 0xffff

/* The first row that matches and is not newer than the profile, as the kernel looks it up; or NULL.
 */
const struct hostbridge_row *hostbridge_find(uint16_t vendor, uint16_t device,
                                             struct p2pdma_profile profile);

/* The row that says this root complex refuses peer reads; or NULL. */
const struct hostbridge_row *hostbridge_refuses_reads(uint16_t vendor, uint16_t device);

#endif
