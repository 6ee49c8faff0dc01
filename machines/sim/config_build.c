/* SPDX-License-Identifier: MIT */
/*
 * config_build.c - the configuration space of a function that no capture describes.
 *
 * Conventional functions have a header, PM and MSI-X.  VFs leave to their PF what PCIe Base 9.3
 * leaves to it; the VF BARs are those of the VFs' model, or the PF's memory BARs once more.
 */
#include <string.h>

#include <linux/pci_regs.h>

#include "fabric.h"

#define PM_AT    0x40
#define EXP_AT   0x50
#define MSIX_AT  0x90
#define AER_AT   0x100
#define ACS_AT   0x150
#define SRIOV_AT 0x180
#define ATS_AT   0x1c0
#define ARI_AT   0x1d0

/* PCIe Base 7.8.4.4: what is fatal unless told otherwise. */
#define AER_FATAL 0x00062030

struct chain {
	uint8_t *config;
	uint8_t *next; /* the pointer that the next capability goes into */
	uint16_t last_ext;
};

static uint8_t *add(struct chain *chain, uint8_t id, uint8_t at)
{
	*chain->next = at;
	chain->config[at] = id;
	chain->next = chain->config + at + PCI_CAP_LIST_NEXT;
	return chain->config + at;
}

static uint8_t *add_ext(struct chain *chain, uint16_t id, uint8_t version, uint16_t at)
{
	uint8_t *last = chain->config + chain->last_ext;

	if (chain->last_ext)
		put32(last, get32(last) | (uint32_t)at << 20);
	put32(chain->config + at, (uint32_t)version << 16 | id);
	chain->last_ext = at;
	return chain->config + at;
}

static bool is_conventional(const struct p2pdma_function *function)
{
	return function->kind == P2PDMA_KIND_PCI || function->kind == P2PDMA_KIND_PCI_BRIDGE;
}

static bool is_port(const struct p2pdma_function *function)
{
	return function->kind == P2PDMA_KIND_ROOT_PORT ||
	       function->kind == P2PDMA_KIND_DOWNSTREAM_PORT;
}

/* Device/Port Type (PCIe Base 7.5.3.2) by kind. */
static const uint8_t port_types[] = { 0, 0, 9, 4, 5, 6, 7, 8, 0, 0 };

/* Codes of 128, 256, ... 4096 bytes (PCIe Base 7.5.3.4) */
static uint16_t code_of_size(uint16_t bytes)
{
	uint16_t code = 0;

	while (code < 5 && 128u << code < bytes)
		code++;
	return code;
}

static uint32_t bar_flags(const struct bar *bar)
{
	if (bar->kind == BAR_IO)
		return PCI_BASE_ADDRESS_SPACE_IO;
	return (bar->is_64bit ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) |
	       (bar->is_prefetchable ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0);
}

static void put_bars(uint8_t *at, const struct bar *bars, unsigned int slots)
{
	for (unsigned int i = 0; i < slots; i++)
		if (bars[i].kind != BAR_NONE)
			put32(at + 4 * (size_t)i, bar_flags(&bars[i]));
}

static void build_header(struct p2pdma_function *function, const struct config_plan *plan)
{
	uint8_t *config = function->config;
	const struct p2pdma_function *pf = function->physfn;

	/* A VF's IDs are in its PF (PCIe Base 9.3.4.1.1). */
	put16(config + PCI_VENDOR_ID, pf ? 0xffff : plan->vendor);
	put16(config + PCI_DEVICE_ID, pf ? 0xffff : plan->device);
	put16(config + PCI_STATUS, PCI_STATUS_CAP_LIST);
	put32(config + PCI_CLASS_REVISION, plan->class_code << 8);
	config[PCI_HEADER_TYPE] = function->header_type;
	if (!pf)
		put_bars(config + PCI_BASE_ADDRESS_0, function->bars, function_bar_slots(function));
	if (function->header_type == PCI_HEADER_TYPE_NORMAL) {
		put16(config + PCI_SUBSYSTEM_VENDOR_ID, plan->vendor);
		put16(config + PCI_SUBSYSTEM_ID, plan->device);
		return;
	}
	/* Windows closed: base above limit. */
	config[PCI_IO_BASE] = 0xf0;
	put16(config + PCI_MEMORY_BASE, 0xfff0);
	put16(config + PCI_PREF_MEMORY_BASE, 0xfff0 | PCI_PREF_RANGE_TYPE_64);
	put16(config + PCI_PREF_MEMORY_LIMIT, PCI_PREF_RANGE_TYPE_64);
}

/* PCIe Base 7.7.2: table and pending bits share a BAR. */
static void build_msix(const struct p2pdma_function *function, struct chain *chain)
{
	for (unsigned int i = 0; function->vector_count && i < BAR_COUNT; i++) {
		uint8_t *msix;

		if (function->bars[i].kind != BAR_VECTORS)
			continue;
		msix = add(chain, PCI_CAP_ID_MSIX, MSIX_AT);
		put16(msix + PCI_MSIX_FLAGS, (uint16_t)(function->vector_count - 1));
		put32(msix + PCI_MSIX_TABLE, i);
		put32(msix + PCI_MSIX_PBA, (uint32_t)(function->bars[i].size / 2) | i);
		return;
	}
}

static void build_link(const struct p2pdma_function *function, const struct config_plan *plan,
                       uint8_t *exp)
{
	uint8_t speed = plan->trained_speed ? plan->trained_speed : plan->link_speed;
	uint8_t width = plan->trained_width ? plan->trained_width : plan->link_width;

	put32(exp + PCI_EXP_LNKCAP,
	      (uint32_t)plan->port_number << 24 | plan->link_width << 4 | plan->link_speed |
	              (is_port(function) ? PCI_EXP_LNKCAP_SDERC | PCI_EXP_LNKCAP_DLLLARC : 0));
	if (!function->physfn)
		put16(exp + PCI_EXP_LNKSTA, (uint16_t)(width << 4 | speed));
}

static void build_express(const struct p2pdma_function *function, const struct config_plan *plan,
                          struct chain *chain)
{
	uint8_t *exp = add(chain, PCI_CAP_ID_EXP, EXP_AT);
	bool has_flr = (plan->has_flr || function->physfn) && !function->header_type;

	put16(exp + PCI_EXP_FLAGS, (uint16_t)(2 | port_types[function->kind] << 4 |
	                                      (is_port(function) ? PCI_EXP_FLAGS_SLOT : 0)));
	put32(exp + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_RBER | code_of_size(plan->max_payload) |
	                                    (plan->has_extended_tags ? PCI_EXP_DEVCAP_EXT_TAG : 0) |
	                                    (has_flr ? PCI_EXP_DEVCAP_FLR : 0));
	if (!function->physfn)
		put16(exp + PCI_EXP_DEVCTL,
		      (uint16_t)(PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN |
		                 code_of_size(plan->payload) << 5 |
		                 code_of_size(plan->read_request) << 12 |
		                 (plan->has_extended_tags ? PCI_EXP_DEVCTL_EXT_TAG : 0)));
	/* Of a function of the root complex they are zeros (PCIe Base 7.5.3.6). */
	if (function->kind != P2PDMA_KIND_RC_ENDPOINT)
		build_link(function, plan, exp);
	if (is_port(function)) {
		put32(exp + PCI_EXP_SLTCAP,
		      PCI_EXP_SLTCAP_HPC | PCI_EXP_SLTCAP_NCCS | (uint32_t)plan->port_number << 19);
		put16(exp + PCI_EXP_DEVCTL2, plan->has_ari ? PCI_EXP_DEVCTL2_ARI : 0);
	}
	/* No ranges of completion timeouts: the fabric has one for all. */
	put32(exp + PCI_EXP_DEVCAP2, is_port(function) ? PCI_EXP_DEVCAP2_ARI : 0);
}

static void build_acs(const struct config_plan *plan, struct chain *chain)
{
	uint8_t *acs = add_ext(chain, PCI_EXT_CAP_ID_ACS, 1, ACS_AT);

	put16(acs + PCI_ACS_CAP,
	      (uint16_t)((plan->acs_capability & 0x7f) | plan->egress_vector_size << 8));
	put16(acs + PCI_ACS_CTRL, plan->acs_control & plan->acs_capability & 0x7f);
	for (size_t i = 0; i < sizeof(plan->egress_vector) / sizeof(plan->egress_vector[0]); i++)
		put32(acs + PCI_ACS_EGRESS_CTL_V + 4 * i, plan->egress_vector[i]);
}

/* Those of a model of its own, else slices like the PF's memory BARs. */
static void choose_vf_bars(struct p2pdma_function *vf)
{
	for (int i = 0; i < BAR_COUNT; i++)
		if (vf->bars[i].kind != BAR_NONE)
			return;
	for (int i = 0; i < BAR_COUNT; i++) {
		const struct bar *bar = &vf->physfn->bars[i];

		if (bar->kind == BAR_MEMORY)
			vf->bars[i] = (struct bar){
				.kind = BAR_MEMORY,
				.is_64bit = bar->is_64bit,
				.is_prefetchable = bar->is_prefetchable,
				.size = bar->size,
			};
	}
}

/* PCIe Base 9.3.3; VFs are on, as an OS leaves them. */
static void build_sriov(struct p2pdma_function *pf, const struct config_plan *plan,
                        struct chain *chain)
{
	uint8_t *sriov = add_ext(chain, PCI_EXT_CAP_ID_SRIOV, 1, SRIOV_AT);
	uint16_t count = (uint16_t)plan->vf_count;

	put16(sriov + PCI_SRIOV_CTRL, (uint16_t)(PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE |
	                                         (plan->has_ari ? PCI_SRIOV_CTRL_ARI : 0)));
	put16(sriov + PCI_SRIOV_INITIAL_VF, count);
	put16(sriov + PCI_SRIOV_TOTAL_VF, count);
	put16(sriov + PCI_SRIOV_NUM_VF, count);
	put16(sriov + PCI_SRIOV_VF_OFFSET, plan->vf_offset);
	put16(sriov + PCI_SRIOV_VF_STRIDE, plan->vf_stride);
	put16(sriov + PCI_SRIOV_VF_DID, plan->device);
	put32(sriov + PCI_SRIOV_SUP_PGSIZE, 0x553); /* the sizes that each must have (9.3.3.12) */
	put32(sriov + PCI_SRIOV_SYS_PGSIZE, 1);
	for (size_t i = 0; i < pf->home->member_count; i++) {
		struct p2pdma_function *vf = pf->home->members[i];

		if (vf->physfn != pf)
			continue;
		choose_vf_bars(vf);
		put_bars(sriov + PCI_SRIOV_BAR, vf->bars, BAR_COUNT);
		return;
	}
}

static void build_extended(struct p2pdma_function *function, const struct config_plan *plan,
                           struct chain *chain)
{
	uint8_t *aer = add_ext(chain, PCI_EXT_CAP_ID_ERR, 2, AER_AT);

	if (!function->physfn) {
		put32(aer + PCI_ERR_UNCOR_SEVER, AER_FATAL);
		put32(aer + PCI_ERR_COR_MASK, PCI_ERR_COR_ADV_NFAT);
	}
	if (plan->has_acs)
		build_acs(plan, chain);
	if (plan->vf_count && !function->physfn)
		build_sriov(function, plan, chain);
	if (plan->has_ats) {
		uint8_t *ats = add_ext(chain, PCI_EXT_CAP_ID_ATS, 1, ATS_AT);

		/* Page aligned requests; on where an OS has use for it. */
		put16(ats + PCI_ATS_CAP, 0x20);
		if (function->iommu == P2PDMA_IOMMU_TRANSLATED)
			put16(ats + PCI_ATS_CTRL, PCI_ATS_CTRL_ENABLE);
	}
	if (plan->has_ari && !function->header_type)
		add_ext(chain, PCI_EXT_CAP_ID_ARI, 1, ARI_AT);
}

void config_build(struct p2pdma_function *function, const struct config_plan *plan)
{
	struct chain chain = { function->config, function->config + PCI_CAPABILITY_LIST, 0 };
	struct config_plan own = *plan;
	uint8_t *pm;

	/* What the model has set by then (p2pdma_model_set_id()). */
	if (get16(function->config + PCI_VENDOR_ID)) {
		own.vendor = get16(function->config + PCI_VENDOR_ID);
		own.device = get16(function->config + PCI_DEVICE_ID);
		if (!plan->has_class)
			own.class_code = get32(function->config + PCI_CLASS_REVISION) >> 8;
	}
	memset(function->config, 0, CONFIG_SIZE);
	if (function->physfn)
		choose_vf_bars(function);
	build_header(function, &own);
	pm = add(&chain, PCI_CAP_ID_PM, PM_AT);
	put16(pm + PCI_PM_PMC, 3);
	/* Bridges keep what they know over D3hot; others lose it, as they may (PCIe Base 5.3.1.4).
	 */
	put16(pm + PCI_PM_CTRL, function->header_type ? PCI_PM_CTRL_NO_SOFT_RESET : 0);
	if (!is_conventional(function))
		build_express(function, &own, &chain);
	build_msix(function, &chain);
	if (!is_conventional(function))
		build_extended(function, &own, &chain);
	config_locate(function);
}
