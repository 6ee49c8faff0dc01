/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "pcicap.h"

#define CONFIG_SIZE         4096
#define STATUS              0x06
#define STATUS_CAP_LIST     0x10
#define HEADER_TYPE         0x0e
#define HEADER_CARDBUS      2
#define CARDBUS_CAP_POINTER 0x14
#define CAP_POINTER         0x34
#define EXT_BASE            0x100
#define ACS_CAPABILITY      0x04
#define ACS_CONTROL         0x06
#define ACS_VECTOR          0x08
#define ACS_PCH_CONTROL     0x08
#define ARI_CONTROL         0x06
#define ARI_ACS_GROUPS      0x0002
#define ATS_CONTROL         0x06
#define ATS_ENABLE          0x8000

/* Every capability takes at least 4 bytes (8 for an extended one with content), so a longer walk
 * loops. */
#define MAX_CAPS     48
#define MAX_EXT_CAPS ((CONFIG_SIZE - EXT_BASE) / 8)

int pcicap_read8(struct pcicap_config cfg, size_t offset, uint8_t *ret_value)
{
	if (offset >= cfg.len)
		return -ENODATA;
	*ret_value = cfg.bytes[offset];
	return 0;
}

int pcicap_read16(struct pcicap_config cfg, size_t offset, uint16_t *ret_value)
{
	if (cfg.len < 2 || offset > cfg.len - 2)
		return -ENODATA;
	*ret_value = (uint16_t)(cfg.bytes[offset] | cfg.bytes[offset + 1] << 8);
	return 0;
}

int pcicap_read32(struct pcicap_config cfg, size_t offset, uint32_t *ret_value)
{
	uint16_t low, high;

	if (pcicap_read16(cfg, offset, &low) || pcicap_read16(cfg, offset + 2, &high))
		return -ENODATA;
	*ret_value = (uint32_t)high << 16 | low;
	return 0;
}

int pcicap_find(struct pcicap_config cfg, uint8_t id)
{
	uint16_t status, entry;
	uint8_t offset, header;
	int r;

	r = pcicap_read16(cfg, STATUS, &status);
	if (r)
		return r;
	if (!(status & STATUS_CAP_LIST))
		return -ENOENT;
	if (pcicap_read8(cfg, HEADER_TYPE, &header))
		return -ENODATA;
	r = pcicap_read8(cfg, (header & 0x7f) == HEADER_CARDBUS ? CARDBUS_CAP_POINTER : CAP_POINTER,
	                 &offset);
	if (r)
		return r;
	for (int i = 0; i < MAX_CAPS; i++) {
		offset &= ~3;
		if (offset < 0x40)
			return -ENOENT;
		r = pcicap_read16(cfg, offset, &entry);
		if (r)
			return r;
		if ((entry & 0xff) == 0xff)
			return -EIO;
		if ((entry & 0xff) == id)
			return offset;
		offset = entry >> 8;
	}
	return -EIO;
}

int pcicap_find_ext(struct pcicap_config cfg, uint16_t id)
{
	uint16_t offset = EXT_BASE;
	uint32_t header;
	int r;

	for (size_t i = 0; i < MAX_EXT_CAPS; i++) {
		r = pcicap_read32(cfg, offset, &header);
		if (r)
			return r;
		if (header == 0xffffffff)
			return -EIO;
		/* All zero at the start is an empty list. */
		if (i == 0 && header == 0)
			return -ENOENT;
		if ((header & 0xffff) == id)
			return offset;
		offset = header >> 20 & ~3;
		if (offset < EXT_BASE)
			return -ENOENT;
	}
	return -EIO;
}

static bool is_conventional(enum p2pdma_kind kind)
{
	return kind == P2PDMA_KIND_PCI || kind == P2PDMA_KIND_PCI_BRIDGE;
}

/* Intel 100/200-series PCH root ports (Linux: pci_quirk_intel_spt_pch_acs_match()). */
static bool has_pch_layout(struct pcicap_config cfg, enum p2pdma_kind kind)
{
	static const struct {
		uint16_t first, last;
	} ranges[] = {
		{ 0xa110, 0xa11f }, { 0xa167, 0xa16a }, { 0xa290, 0xa29f },
		{ 0xa2e7, 0xa2ee }, { 0x9d10, 0x9d1b },
	};
	uint16_t vendor, device;

	if (kind != P2PDMA_KIND_ROOT_PORT || pcicap_read16(cfg, 0, &vendor) ||
	    pcicap_read16(cfg, 2, &device) || vendor != 0x8086)
		return false;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (device >= ranges[i].first && device <= ranges[i].last)
			return true;
	return false;
}

/* Conventional functions have no extended configuration space; of others it takes one to know one.
 */
static int find_ext_of(struct pcicap_config cfg, enum p2pdma_kind kind, uint16_t id)
{
	if (kind == P2PDMA_KIND_UNKNOWN)
		return -ENODATA;
	return is_conventional(kind) ? -ENOENT : pcicap_find_ext(cfg, id);
}

void pcicap_read_acs(struct pcicap_config cfg, enum p2pdma_kind kind, struct p2pdma_acs *ret_acs,
                     enum p2pdma_known *ret_kernel_redirects, uint16_t *ret_kernel_control)
{
	const uint16_t redirecting =
		P2PDMA_ACS_REQ_REDIR | P2PDMA_ACS_CMPLT_REDIR | P2PDMA_ACS_EGRESS_CTRL;
	int offset = find_ext_of(cfg, kind, PCICAP_EXT_ACS);
	size_t control_offset = ACS_CONTROL;
	struct p2pdma_acs acs = { .known = P2PDMA_YES };

	*ret_acs = (struct p2pdma_acs){ .known = P2PDMA_UNKNOWN };
	*ret_kernel_redirects = P2PDMA_UNKNOWN;
	*ret_kernel_control = 0;
	if (offset == -ENOENT)
		ret_acs->known = P2PDMA_NO;
	/* Where a list is broken, Linux finds nothing; what the port does is another matter. */
	if (offset == -ENOENT || offset == -EIO)
		*ret_kernel_redirects = P2PDMA_NO;
	if (offset < 0)
		return;
	if (!pcicap_read16(cfg, (size_t)offset + ACS_CONTROL, ret_kernel_control))
		*ret_kernel_redirects = *ret_kernel_control & redirecting ? P2PDMA_YES : P2PDMA_NO;
	if (has_pch_layout(cfg, kind))
		control_offset = ACS_PCH_CONTROL;
	if (!pcicap_read16(cfg, (size_t)offset + ACS_CAPABILITY, &acs.capability) &&
	    !pcicap_read16(cfg, (size_t)offset + control_offset, &acs.control))
		*ret_acs = acs;
}

int pcicap_egress_bit(struct pcicap_config cfg, enum p2pdma_kind kind, unsigned int index)
{
	int offset = find_ext_of(cfg, kind, PCICAP_EXT_ACS);
	uint16_t capability;
	uint32_t vector;
	unsigned int size;

	if (offset < 0 || has_pch_layout(cfg, kind) ||
	    pcicap_read16(cfg, (size_t)offset + ACS_CAPABILITY, &capability))
		return -ENODATA;
	size = capability >> 8 ? capability >> 8 : 256;
	if (index >= size ||
	    pcicap_read32(cfg, (size_t)offset + ACS_VECTOR + index / 32 * 4, &vector))
		return -ENODATA;
	return vector >> index % 32 & 1;
}

enum p2pdma_known pcicap_function_groups(struct pcicap_config cfg, enum p2pdma_kind kind)
{
	int offset = find_ext_of(cfg, kind, PCICAP_EXT_ARI);
	uint16_t control;

	if (offset == -ENOENT)
		return P2PDMA_NO;
	if (offset < 0 || pcicap_read16(cfg, (size_t)offset + ARI_CONTROL, &control))
		return P2PDMA_UNKNOWN;
	return control & ARI_ACS_GROUPS ? P2PDMA_YES : P2PDMA_NO;
}

enum p2pdma_known pcicap_ats_enabled(struct pcicap_config cfg, enum p2pdma_kind kind)
{
	int offset = find_ext_of(cfg, kind, PCICAP_EXT_ATS);
	uint16_t control;

	if (offset == -ENOENT)
		return P2PDMA_NO;
	if (offset < 0 || pcicap_read16(cfg, (size_t)offset + ATS_CONTROL, &control))
		return P2PDMA_UNKNOWN;
	return control & ATS_ENABLE ? P2PDMA_YES : P2PDMA_NO;
}
