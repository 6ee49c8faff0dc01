/* SPDX-License-Identifier: MIT */
/*
 * text.c - one word for each value of the library's enums.
 */
#include <inttypes.h>
#include <string.h>

#include "app.h"

#define WORD(words, value) \
	((size_t)(value) < sizeof(words) / sizeof((words)[0]) ? (words)[value] : "?")

static struct p2pdma_bdf bdf_of(const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };

	p2pdma_device_get_info(device, &info);
	return info.bdf;
}

const char *address_text(struct p2pdma_bdf bdf, char text[BDF_TEXT])
{
	snprintf(text, BDF_TEXT, "%04x:%02x:%02x.%x", bdf.domain, bdf.bus, bdf.devfn >> 3,
	         bdf.devfn & 7);
	return text;
}

const char *bdf_text(const struct p2pdma_device *device, char text[BDF_TEXT])
{
	return address_text(bdf_of(device), text);
}

const char *short_bdf_text(const struct p2pdma_device *device, char text[BDF_TEXT])
{
	struct p2pdma_bdf bdf = bdf_of(device);

	bdf_text(device, text);
	return bdf.domain ? text : text + 5;
}

const char *answer_text(enum p2pdma_answer answer)
{
	static const char *const words[] = { "yes", "unknown", "no" };

	return WORD(words, answer);
}

const char *verdict_text(enum p2pdma_verdict verdict)
{
	static const char *const words[] = { "direct", "root-complex", "unknown", "blocked" };

	return WORD(words, verdict);
}

const char *turn_text(enum p2pdma_turn turn)
{
	static const char *const words[] = { "direct", "redirect", "root", "unknown", "blocked" };

	return WORD(words, turn);
}

const char *map_type_text(enum p2pdma_map_type map_type)
{
	static const char *const words[] = { "UNKNOWN", "NONE", "NOT_SUPPORTED", "BUS_ADDR",
		                             "THRU_HOST_BRIDGE" };

	return WORD(words, map_type);
}

const char *iommu_text(enum p2pdma_iommu iommu)
{
	static const char *const words[] = { "unknown", "none", "passthrough", "translated" };

	return WORD(words, iommu);
}

const char *kind_text(enum p2pdma_kind kind)
{
	static const char *const words[] = {
		"unknown",         "endpoint",    "rc-endpoint", "root-port",  "upstream-port",
		"downstream-port", "pcie-to-pci", "pci-to-pcie", "pci-bridge", "pci",
	};

	return WORD(words, kind);
}

const char *leg_text(enum p2pdma_leg leg)
{
	static const char *const words[] = { "client", "common", "above", "root-complex",
		                             "provider" };

	return WORD(words, leg);
}

const char *space_text(enum p2pdma_space space)
{
	static const char *const words[] = { "none", "bus", "iova", "unknown" };

	return WORD(words, space);
}

const char *reason_text(enum p2pdma_reason_code code)
{
	static const char *const words[] = {
		"same-function",
		"no-redirect",
		"conventional-bus",
		"internal",
		"req-redir",
		"cmplt-redir",
		"egress",
		"trans-blk",
		"acs-unknown",
		"egress-unknown",
		"shared-link-no-acs",
		"shared-link-turn",
		"no-upstream-fwd",
		"no-common-node",
		"root-trusted",
		"root-cpu",
		"root-unknown",
		"root-refuses-reads",
		"root-missing",
		"bridge-target",
		"not-a-port",
		"virtual",
		"qemu-translated",
		"qemu",
		"profile",
		"bar-unseen",
		"node-unseen",
		"command-unseen",
		"common-node",
		"kernel-redirect",
		"cpu-unknown",
		"address-claimed-twice",
	};

	return WORD(words, code);
}

const char *hazard_text(enum p2pdma_hazard_code code)
{
	static const char *const words[] = {
		"no-bar",
		"bar-unassigned",
		"bar-outside-window",
		"memory-decode-off",
		"bridge-memory-off",
		"bus-master-off",
		"not-d0",
		"no-answer",
		"mps",
		"address-width",
		"link-speed",
		"link-width",
		"small-mps",
		"tags",
		"iommu",
		"iova-alias",
	};

	return WORD(words, code);
}

/* PCIe Base 7.5.3.8: Current Link Speed, in GT/s. */
const char *speed_text(uint8_t speed)
{
	static const char *const words[] = { "?", "2.5", "5", "8", "16", "32", "64" };

	return WORD(words, speed);
}

const char *acs_bits_text(uint16_t bits, char text[ACS_TEXT])
{
	static const char *const names[] = { "SrcValid",   "TransBlk",    "ReqRedir",
		                             "CmpltRedir", "UpstreamFwd", "EgressCtrl",
		                             "DirectTrans" };
	size_t length = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		length += (size_t)snprintf(text + length, ACS_TEXT - length, "%s%s%c", i ? " " : "",
		                           names[i], bits >> i & 1 ? '+' : '-');
	return text;
}

const char *size_text(uint64_t size, char text[SIZE_TEXT])
{
	static const char units[] = " KMGTPE";
	size_t unit = 0;

	while (size && !(size % 1024) && units[unit + 1]) {
		size /= 1024;
		unit++;
	}
	snprintf(text, SIZE_TEXT, "%" PRIu64 "%.1s", size, unit ? &units[unit] : "");
	return text;
}

char *disarm(char *text)
{
	for (unsigned char *at = (unsigned char *)text; *at; at++) {
		/* The second set of control characters is c2 80 to c2 9f in UTF-8. */
		bool is_c1 = at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;

		if (*at < 0x20 || *at == 0x7f || is_c1)
			*at = '?';
		if (is_c1)
			*++at = '?';
	}
	return text;
}

const char *color_answer(const struct app *app, enum p2pdma_answer answer, const char *word)
{
	static const char *const colors[] = { "\033[32m", "\033[33m", "\033[31m" };
	static char text[64];

	if (!app->has_color)
		return word;
	snprintf(text, sizeof(text), "%s%s\033[0m", WORD(colors, answer), word);
	return text;
}
