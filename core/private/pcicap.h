/* SPDX-License-Identifier: MIT */
/*
 * pcicap.h - reading configuration space.
 *
 * Pure functions of bytes.  Each distinguishes "not there" (-ENOENT) from "not captured" (-ENODATA)
 * and from "broken" (-EIO: a list that loops or reads all ones).  Input is hostile: every walk is
 * bounded.
 *
 * May use include/p2pdma/ and base/.
 */
#ifndef PCICAP_H
#define PCICAP_H

#include <p2pdma/device.h>

/* A view of configuration space: what lies beyond @len is unknown. */
struct pcicap_config {
	const uint8_t *bytes;
	size_t len;
};

/* Little-endian reads; -ENODATA beyond the bytes captured. */
int pcicap_read8(struct pcicap_config cfg, size_t offset, uint8_t *ret_value);
int pcicap_read16(struct pcicap_config cfg, size_t offset, uint16_t *ret_value);
int pcicap_read32(struct pcicap_config cfg, size_t offset, uint32_t *ret_value);

/*
 * Offset of a capability (id < 0x100, PCI 6.7) or extended capability (PCIe 7.6.3).  -ENOENT: the
 * list was walked to its end without it; -ENODATA: it leads beyond the bytes captured; -EIO: it is
 * broken.
 */
int pcicap_find(struct pcicap_config cfg, uint8_t id);
int pcicap_find_ext(struct pcicap_config cfg, uint16_t id);

/*
 * The ACS registers of a function of kind @kind: as the wire obeys them, and whether Linux's p2pdma
 * takes the function for a redirecting one, by which control bits.  The two differ on Intel
 * 100/200-series PCH root ports, whose registers are dwords (Linux:
 * pci_quirk_enable_intel_spt_pch_acs()).
 */
void pcicap_read_acs(struct pcicap_config cfg, enum p2pdma_kind kind, struct p2pdma_acs *ret_acs,
                     enum p2pdma_known *ret_kernel_redirects, uint16_t *ret_kernel_control);

/* One bit of the ACS Egress Control Vector (PCIe Base 7.7.11.4).  -ENODATA: not told. */
int pcicap_egress_bit(struct pcicap_config cfg, enum p2pdma_kind kind, unsigned int index);

/* Whether ARI's ACS Function Groups are enabled, so that egress vectors count groups (7.8.8.3). */
enum p2pdma_known pcicap_function_groups(struct pcicap_config cfg, enum p2pdma_kind kind);

/* Whether Address Translation Services are enabled (PCIe Base 10.5.1.3). */
enum p2pdma_known pcicap_ats_enabled(struct pcicap_config cfg, enum p2pdma_kind kind);

#define PCICAP_ID_PM     0x01
#define PCICAP_ID_EXP    0x10
#define PCICAP_ID_EA     0x14
#define PCICAP_ID_MSIX   0x11
#define PCICAP_EXT_ARI   0x000e
#define PCICAP_EXT_ACS   0x000d
#define PCICAP_EXT_ATS   0x000f
#define PCICAP_EXT_SRIOV 0x0010

#endif
