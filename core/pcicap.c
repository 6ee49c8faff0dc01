/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "pcicap.h"

#define CONFIG_SIZE     4096
#define STATUS          0x06
#define STATUS_CAP_LIST 0x10
#define CAP_POINTER     0x34
#define EXT_BASE        0x100

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
	uint8_t offset;
	int r;

	r = pcicap_read16(cfg, STATUS, &status);
	if (r)
		return r;
	if (!(status & STATUS_CAP_LIST))
		return -ENOENT;
	r = pcicap_read8(cfg, CAP_POINTER, &offset);
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
			return -ENOENT;
		if ((entry & 0xff) == id)
			return offset;
		offset = entry >> 8;
	}
	return -ENOENT;
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
		/* All zero at the start: an empty list.  All ones: nothing answers there. */
		if (header == 0xffffffff || (i == 0 && header == 0))
			return -ENOENT;
		if ((header & 0xffff) == id)
			return offset;
		offset = header >> 20 & ~3;
		if (offset < EXT_BASE)
			return -ENOENT;
	}
	return -ENOENT;
}
