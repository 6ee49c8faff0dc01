/* SPDX-License-Identifier: MIT */
/*
 * config.c - configuration space as others see it: capabilities, reads, what routing asks of the
 * registers, errors logged.
 */
#include <string.h>

#include <linux/pci_regs.h>

#include "fabric.h"
#include "rule.h"

#define EXT_BASE 0x100
/* A capability takes 4 bytes at least, an extended one with content 8: a longer walk loops. */
#define MAX_CAPS     48
#define MAX_EXT_CAPS ((CONFIG_SIZE - EXT_BASE) / 8)

static uint16_t find(const uint8_t *config, uint8_t id)
{
	uint8_t at;

	if (!(get16(config + PCI_STATUS) & PCI_STATUS_CAP_LIST))
		return 0;
	at = config[(config[PCI_HEADER_TYPE] & 0x7f) == PCI_HEADER_TYPE_CARDBUS
	                    ? PCI_CB_CAPABILITY_LIST
	                    : PCI_CAPABILITY_LIST];
	for (int i = 0; i < MAX_CAPS; i++) {
		at &= 0xfc;
		if (at < PCI_STD_HEADER_SIZEOF || config[at] == 0xff)
			return 0;
		if (config[at] == id)
			return at;
		at = config[at + PCI_CAP_LIST_NEXT];
	}
	return 0;
}

/* @size: bytes of it that must be inside of the space. */
static uint16_t find_ext(const uint8_t *config, uint16_t id, uint16_t size)
{
	uint16_t at = EXT_BASE;

	for (int i = 0; i < MAX_EXT_CAPS; i++) {
		uint32_t header = get32(config + at);

		if (header == UINT32_MAX || (!header && !i))
			return 0;
		if (PCI_EXT_CAP_ID(header) == id)
			return at + size <= CONFIG_SIZE ? at : 0;
		at = PCI_EXT_CAP_NEXT(header);
		if (at < EXT_BASE)
			return 0;
	}
	return 0;
}

void config_locate(struct p2pdma_function *function)
{
	const uint8_t *config = function->config;
	struct capabilities *at = &function->at;

	*at = (struct capabilities){
		.pm = find(config, PCI_CAP_ID_PM),
		.msix = find(config, PCI_CAP_ID_MSIX),
		.exp = find(config, PCI_CAP_ID_EXP),
	};
	/* Beyond 256 bytes only PCIe functions have registers (PCIe Base 7.2). */
	if (!at->exp)
		return;
	at->aer = find_ext(config, PCI_EXT_CAP_ID_ERR, PCI_ERR_ROOT_COMMAND);
	at->acs = find_ext(config, PCI_EXT_CAP_ID_ACS, PCI_ACS_EGRESS_CTL_V);
	at->sriov = find_ext(config, PCI_EXT_CAP_ID_SRIOV, PCI_EXT_CAP_SRIOV_SIZEOF);
	at->ats = find_ext(config, PCI_EXT_CAP_ID_ATS, PCI_EXT_CAP_ATS_SIZEOF);
	at->ari = find_ext(config, PCI_EXT_CAP_ID_ARI, 8);
}

/* ---- what it is able to do now ---- */

/* One whose header was captured as all ones had been pulled, or was in D3cold. */
static bool is_there(const struct p2pdma_function *function)
{
	return function->is_present && !function->is_in_reset &&
	       function->header_type <= PCI_HEADER_TYPE_CARDBUS;
}

/* A VF is run by its PF's firmware. */
static bool is_hung(const struct p2pdma_function *function)
{
	return function->is_hung || (function->physfn && function->physfn->is_hung);
}

bool function_answers(const struct p2pdma_function *function)
{
	return is_there(function) && !is_hung(function) &&
	       (function->home->kind != SEGMENT_LINK || function->home->is_up);
}

bool config_reaches(const struct p2pdma_function *function)
{
	const struct p2pdma_function *bridge = function->home->owner;

	/* A bridge passes configuration requests in D0 only (PCIe Base 5.3.1). */
	for (; bridge && function_answers(function); bridge = bridge->home->owner) {
		if (!function_is_d0(bridge))
			return false;
		function = bridge;
	}
	return function_answers(function);
}

void config_read(const struct p2pdma_function *function, size_t offset, size_t length,
                 void *ret_bytes)
{
	size_t status = (size_t)function->at.exp + PCI_EXP_DEVSTA;

	if (offset > CONFIG_SIZE || length > CONFIG_SIZE - offset || !config_reaches(function)) {
		memset(ret_bytes, 0xff, length);
		return;
	}
	memcpy(ret_bytes, function->config + offset, length);
	/* PCIe Base 7.5.3.5: Transactions Pending */
	if (function->at.exp && status >= offset && status - offset < length) {
		uint8_t *byte = (uint8_t *)ret_bytes + (status - offset);

		*byte = (uint8_t)((*byte & ~PCI_EXP_DEVSTA_TRPND) |
		                  (function->tags_used ? PCI_EXP_DEVSTA_TRPND : 0));
	}
}

static bool is_awake(const struct p2pdma_function *function)
{
	return !function->at.pm ||
	       !(function->config[function->at.pm + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK);
}

/* A VF sleeps with its PF (PCIe Base 9.6.2). */
bool function_is_d0(const struct p2pdma_function *function)
{
	return is_awake(function) && (!function->physfn || is_awake(function->physfn));
}

/* PCIe Base 9.3.3.3.4: the PF's VF MSE, for all of its VFs. */
static bool vf_memory_is_on(const struct p2pdma_function *pf)
{
	return pf->at.sriov &&
	       get16(pf->config + pf->at.sriov + PCI_SRIOV_CTRL) & PCI_SRIOV_CTRL_MSE;
}

/* PCIe Base 7.5.1.1.3 */
static bool memory_is_on(const struct p2pdma_function *function)
{
	return get16(function->config + PCI_COMMAND) & PCI_COMMAND_MEMORY;
}

bool function_decodes(const struct p2pdma_function *function)
{
	const struct p2pdma_function *pf = function->physfn;

	return is_there(function) && function_is_d0(function) &&
	       (pf ? is_there(pf) && (vf_memory_is_on(pf) || !RULE(SIM_VF_MEMORY))
	           : memory_is_on(function));
}

/* PCIe Base 7.5.1.1.3; a VF has a Bus Master Enable of its own (9.3.4.1.3). */
bool function_masters(const struct p2pdma_function *function)
{
	return is_there(function) && !is_hung(function) && function_is_d0(function) &&
	       get16(function->config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

/* PCIe Base 9.3.3.3.1 and 9.3.3.7 */
bool function_vf_is_enabled(const struct p2pdma_function *vf)
{
	const struct p2pdma_function *pf = vf->physfn;
	const uint8_t *sriov = pf->config + pf->at.sriov;

	/* Of a capture that does not say. */
	if (!pf->at.sriov)
		return pf->is_present;
	return pf->is_present && get16(sriov + PCI_SRIOV_CTRL) & PCI_SRIOV_CTRL_VFE &&
	       vf->vf_number < get16(sriov + PCI_SRIOV_NUM_VF);
}

/* ---- addresses ---- */

unsigned int function_bar_slots(const struct p2pdma_function *function)
{
	static const uint8_t slots[] = { BAR_COUNT, 2, 1 };

	return function->header_type < sizeof(slots) ? slots[function->header_type] : 0;
}

/* A VF's is a slice of its PF's VF BAR (PCIe Base 9.3.3.14). */
uint64_t function_bar_base(const struct p2pdma_function *function, int bar)
{
	const struct p2pdma_function *pf = function->physfn;
	unsigned int slots = function_bar_slots(function);
	const uint8_t *at = function->config + PCI_BASE_ADDRESS_0;
	uint64_t base;

	if (bar < 0 || (unsigned int)bar >= slots || function->bars[bar].kind == BAR_NONE ||
	    (pf && !pf->at.sriov))
		return 0;
	if (pf)
		at = pf->config + pf->at.sriov + PCI_SRIOV_BAR;
	at += 4 * bar;
	if (function->bars[bar].kind == BAR_IO)
		return get32(at) & PCI_BASE_ADDRESS_IO_MASK;
	base = get32(at) & 0xfffffff0;
	if (function->bars[bar].is_64bit && (unsigned int)bar + 1 < slots)
		base |= (uint64_t)get32(at + 4) << 32;
	return pf && base ? base + function->vf_number * function->bars[bar].size : base;
}

/* ---- ACS (PCIe Base 7.7.11) ---- */

/*
 * The root ports of Intel's 100 and 200 series PCHs have both registers as dwords, the control at 8
 * (Intel 332691-002, 332692-002; Linux pci_quirk_intel_spt_pch_acs_match()).
 */
bool function_has_wide_acs(const struct p2pdma_function *function)
{
	static const uint16_t ranges[][2] = {
		{ 0xa110, 0xa11f }, { 0xa167, 0xa16a }, { 0xa290, 0xa29f },
		{ 0xa2e7, 0xa2ee }, { 0x9d10, 0x9d1b },
	};
	uint16_t device = get16(function->config + PCI_DEVICE_ID);

	if (!function->at.acs || function->kind != P2PDMA_KIND_ROOT_PORT ||
	    get16(function->config + PCI_VENDOR_ID) != 0x8086)
		return false;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (device >= ranges[i][0] && device <= ranges[i][1])
			return true;
	return false;
}

uint16_t function_acs_capability(const struct p2pdma_function *function)
{
	return function->at.acs ? function->config[function->at.acs + PCI_ACS_CAP] : 0;
}

uint16_t function_acs(const struct p2pdma_function *function)
{
	size_t offset = function_has_wide_acs(function) ? 8 : PCI_ACS_CTRL;

	if (!function->at.acs || function->at.acs + offset + 2 > CONFIG_SIZE)
		return 0;
	return get16(function->config + function->at.acs + offset) & 0x7f;
}

/* PCIe Base 7.7.11.2: the size of the vector in bits, 0 for 256. */
unsigned int function_egress_size(const struct p2pdma_function *function)
{
	unsigned int size;

	if (!function->at.acs || function_has_wide_acs(function))
		return 0;
	size = function->config[function->at.acs + PCI_ACS_EGRESS_BITS];
	return size ? size : 256;
}

bool function_egress_bit(const struct p2pdma_function *function, unsigned int index)
{
	size_t offset = function->at.acs + PCI_ACS_EGRESS_CTL_V + index / 8;

	return index < function_egress_size(function) && offset < CONFIG_SIZE &&
	       function->config[offset] >> index % 8 & 1;
}

/* ---- PCI Express capability (PCIe Base 7.5.3) ---- */

/* A VF obeys its PF's Device Control (PCIe Base 9.3.5.4). */
static uint16_t device_control(const struct p2pdma_function *function)
{
	const struct p2pdma_function *owner = function->physfn ? function->physfn : function;

	return owner->at.exp ? get16(owner->config + owner->at.exp + PCI_EXP_DEVCTL) : 0;
}

static unsigned int size_of_code(unsigned int code)
{
	return code <= 5 ? 128u << code : 128;
}

unsigned int function_payload(const struct p2pdma_function *function)
{
	return size_of_code(device_control(function) >> 5 & 0x7);
}

unsigned int function_read_request(const struct p2pdma_function *function)
{
	return size_of_code(device_control(function) >> 12 & 0x7);
}

unsigned int function_tags(const struct p2pdma_function *function)
{
	return device_control(function) & PCI_EXP_DEVCTL_EXT_TAG ? 256 : 32;
}

unsigned int function_port_number(const struct p2pdma_function *function)
{
	return function->at.exp ? get32(function->config + function->at.exp + PCI_EXP_LNKCAP) >> 24
	                        : 0;
}

bool function_ats_is_on(const struct p2pdma_function *function)
{
	return function->at.ats &&
	       get16(function->config + function->at.ats + PCI_ATS_CTRL) & PCI_ATS_CTRL_ENABLE;
}

/* ---- errors ---- */

/* The header of a request's first TLP (PCIe Base 2.2.4 and 2.2.5); of a completion none is kept. */
static void make_header(const struct packet *packet, uint32_t ret_words[4])
{
	bool is_wide = packet->address > UINT32_MAX;
	uint32_t bytes = packet->length < packet->payload ? packet->length : packet->payload;

	ret_words[0] = (packet->type == TLP_WRITE ? 0x40000000u : 0) | (uint32_t)is_wide << 29 |
	               (uint32_t)packet->is_poisoned << 14 | (uint32_t)packet->address_type << 10 |
	               ((bytes + 3) / 4 & 0x3ff);
	ret_words[1] = (uint32_t)packet->requester.bus << 24 |
	               (uint32_t)packet->requester.devfn << 16 | (bytes > 4 ? 0xff : 0x0f);
	ret_words[2] = (uint32_t)(packet->address >> (is_wide ? 32 : 0));
	ret_words[3] = is_wide ? (uint32_t)packet->address : 0;
}

/* PCIe Base 6.2.3.2.2 and 6.2.4.2: nothing masked is logged; the first stays until it is cleared.
 */
static void log_header(struct p2pdma_function *function, uint32_t bit, const struct packet *packet)
{
	uint8_t *aer = function->config + function->at.aer;
	uint8_t first = aer[PCI_ERR_CAP] & 0x1f;
	uint32_t words[4] = { 0 };

	if (get32(aer + PCI_ERR_UNCOR_STATUS) >> first & 1)
		return;
	aer[PCI_ERR_CAP] = (uint8_t)((aer[PCI_ERR_CAP] & ~0x1f) | __builtin_ctz(bit));
	if (packet && packet->type != TLP_COMPLETION)
		make_header(packet, words);
	for (int i = 0; i < 4; i++)
		put32(aer + PCI_ERR_HEADER_LOG + 4 * i, words[i]);
}

/*
 * PCIe Base 6.2.3.2.4 and figure 6-2: what the requester is told of, or nobody waits for, is
 * advisory where errors are reported by role: a correctable error, and in full only if unmasked.
 * False: that was all.
 */
static bool log_advisory(struct p2pdma_function *function, const struct p2pdma_function *owner,
                         enum aer bit)
{
	uint8_t *status = function->config + function->at.aer + PCI_ERR_COR_STATUS;

	function->config[function->at.exp + PCI_EXP_DEVSTA] |=
		PCI_EXP_DEVSTA_CED | (bit == AER_UR ? PCI_EXP_DEVSTA_URD : 0);
	if (function->at.aer)
		put32(status, get32(status) | PCI_ERR_COR_ADV_NFAT);
	return owner->at.aer &&
	       !(get32(owner->config + owner->at.aer + PCI_ERR_COR_MASK) & PCI_ERR_COR_ADV_NFAT);
}

static bool is_advisory(const struct p2pdma_function *function, enum aer bit,
                        const struct packet *packet)
{
	bool is_answered = packet && packet->type == TLP_READ && bit & (AER_UR | AER_CA | AER_ACS);

	return function->at.exp && (is_answered || bit == AER_UNEXPECTED) &&
	       get32(function->config + function->at.exp + PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_RBER;
}

void config_log_error(struct p2pdma_function *function, enum aer bit, const struct packet *packet)
{
	/* A VF's masks and severities are its PF's (PCIe Base 9.4.2). */
	const struct p2pdma_function *owner = function->physfn ? function->physfn : function;
	uint8_t *aer = function->config + function->at.aer;
	bool is_fatal = bit & (AER_MALFORMED | AER_SURPRISE_DOWN), advises;
	uint32_t mask = 0;

	if (owner->at.aer) {
		is_fatal = get32(owner->config + owner->at.aer + PCI_ERR_UNCOR_SEVER) & bit;
		mask = get32(owner->config + owner->at.aer + PCI_ERR_UNCOR_MASK);
	}
	advises = !is_fatal && is_advisory(function, bit, packet);
	if (advises && !log_advisory(function, owner, bit))
		return;
	if (function->at.aer) {
		if (!(mask & bit))
			log_header(function, bit, packet);
		put32(aer + PCI_ERR_UNCOR_STATUS, get32(aer + PCI_ERR_UNCOR_STATUS) | bit);
	}
	/* PCIe Base 7.5.3.5: whether enabled to be reported or not. */
	if (function->at.exp && !advises)
		function->config[function->at.exp + PCI_EXP_DEVSTA] |=
			(is_fatal ? PCI_EXP_DEVSTA_FED : PCI_EXP_DEVSTA_NFED) |
			(bit == AER_UR ? PCI_EXP_DEVSTA_URD : 0);
}
