/* SPDX-License-Identifier: MIT */
/*
 * pcicap.h - reading configuration space.
 *
 * Pure functions of bytes.  Each distinguishes "not there" from "not captured": -ENOENT and
 * -ENODATA. Capability lists are hostile: every walk is bounded.
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
 * list was walked to its end without it; -ENODATA: the list leads beyond the bytes captured.
 */
int pcicap_find(struct pcicap_config cfg, uint8_t id);
int pcicap_find_ext(struct pcicap_config cfg, uint16_t id);

#define PCICAP_ID_PM     0x01
#define PCICAP_ID_PCIX   0x07
#define PCICAP_ID_EXP    0x10
#define PCICAP_ID_EA     0x14
#define PCICAP_EXT_ACS   0x000d
#define PCICAP_EXT_ATS   0x000f
#define PCICAP_EXT_SRIOV 0x0010

#endif
