/* SPDX-License-Identifier: MIT */
/*
 * test_capture.c - fabrics of captures: the tree, VFs, BARs, and registers that say anything.
 */
#include "capture.h"

#define SRIOV_AT 0x100
#define HOSTILE  500

/* ---- the tree ---- */

static void test_tree(void **state)
{
	struct fabric *fabric;
	struct p2pdma_function *found;

	(void)state;
	add(bdf(0, 0, 0), 0, CONVENTIONAL);
	bridge(bdf(0, 1, 0), PCI_EXP_TYPE_ROOT_PORT, 1, 4);
	bridge(bdf(1, 0, 0), PCI_EXP_TYPE_UPSTREAM, 2, 4);
	bridge(bdf(2, 0, 0), PCI_EXP_TYPE_DOWNSTREAM, 3, 3);
	bridge(bdf(2, 1, 0), PCI_EXP_TYPE_DOWNSTREAM, 4, 4);
	endpoint(bdf(3, 0, 0));
	bridge(bdf(4, 0, 0), PCI_EXP_TYPE_PCI_BRIDGE, 5, 5);
	add(bdf(5, 3, 0), 0, CONVENTIONAL);
	bridge(bdf(0, 2, 0), PCI_EXP_TYPE_ROOT_PORT, 6, 6);
	add(bdf(0, 3, 0), 0, PCI_EXP_TYPE_RC_END);
	endpoint(bdf(9, 0, 0));
	fabric = boot();

	assert_int_equal(fabric->root_count, 2);
	assert_int_equal(fabric->roots[1].bus.bus, 9);
	assert_int_equal(fabric->segment_count, 2 + 6);
	found = at(fabric, bdf(3, 0, 0));
	assert_int_equal(found->home->kind, SEGMENT_LINK);
	assert_true(found->home->is_up);
	assert_ptr_equal(found->home->owner, at(fabric, bdf(2, 0, 0)));
	assert_int_equal(found->home->owner->home->kind, SEGMENT_INTERNAL);
	assert_ptr_equal(found->home->owner->home->owner, at(fabric, bdf(1, 0, 0)));
	assert_ptr_equal(found->home->root, &fabric->roots[0]);
	assert_int_equal(at(fabric, bdf(5, 3, 0))->home->kind, SEGMENT_BUS);
	assert_int_equal(at(fabric, bdf(5, 3, 0))->kind, P2PDMA_KIND_PCI);
	assert_int_equal(at(fabric, bdf(0, 3, 0))->kind, P2PDMA_KIND_RC_ENDPOINT);
	assert_int_equal(at(fabric, bdf(0, 3, 0))->home->kind, SEGMENT_ROOT);
	assert_int_equal(at(fabric, bdf(9, 0, 0))->home->kind, SEGMENT_ROOT);
	assert_false(at(fabric, bdf(0, 2, 0))->below->is_up);
	for (size_t i = 0; i < fabric->function_count; i++)
		assert_int_equal(memcmp(fabric->functions[i]->config,
		                        fabric->functions[i]->boot_config, CONFIG_SIZE),
		                 0);
	fabric_free(fabric);
}

/* Loops, bridges that claim one bus, a bus behind itself, one that the OS calls a root bus. */
static void test_contradictions(void **state)
{
	struct snapshot_function *function;
	struct fabric *fabric;

	(void)state;
	bridge(bdf(0, 1, 0), PCI_EXP_TYPE_ROOT_PORT, 1, 1);
	bridge(bdf(0, 2, 0), PCI_EXP_TYPE_ROOT_PORT, 1, 1);
	bridge(bdf(0, 3, 0), PCI_EXP_TYPE_ROOT_PORT, 0, 255);
	bridge(bdf(1, 0, 0), PCI_EXP_TYPE_UPSTREAM, 1, 1);
	bridge(bdf(1, 1, 0), PCI_EXP_TYPE_UPSTREAM, 2, 1);
	bridge(bdf(2, 0, 0), PCI_EXP_TYPE_DOWNSTREAM, 1, 2);
	bridge(bdf(2, 1, 0), PCI_EXP_TYPE_DOWNSTREAM, 7, 7);
	endpoint(bdf(7, 0, 0));
	function = function_at(bdf(7, 0, 0));
	function->has_root_bus = true;
	function->root_bus = bdf(7, 0, 0);
	memset(endpoint(bdf(7, 1, 0)), 0xff, CONFIG_SIZE);
	memset(add(bdf(7, 2, 0), 0, CONVENTIONAL), 0, CONFIG_SIZE);
	fabric = boot();
	assert_int_equal(fabric->root_count, 2);
	assert_ptr_equal(at(fabric, bdf(1, 0, 0))->home->owner, at(fabric, bdf(0, 1, 0)));
	assert_int_equal(at(fabric, bdf(0, 2, 0))->below->member_count, 0);
	assert_ptr_equal(at(fabric, bdf(2, 0, 0))->home->owner, at(fabric, bdf(1, 1, 0)));
	assert_null(at(fabric, bdf(7, 0, 0))->home->owner);
	assert_ptr_equal(at(fabric, bdf(7, 1, 0))->home->owner, at(fabric, bdf(2, 1, 0)));
	assert_false(function_answers(at(fabric, bdf(7, 1, 0))));
	fabric_free(fabric);
}

/* What was not captured is absent. */
static void test_cut_short(void **state)
{
	struct snapshot *seen;
	struct fabric *fabric;

	(void)state;
	bridge(bdf(0, 1, 0), PCI_EXP_TYPE_ROOT_PORT, 1, 1);
	function_at(bdf(0, 1, 0))->config_len = 64;
	endpoint(bdf(1, 0, 0));
	function_at(bdf(1, 0, 0))->config_len = 0;
	fabric = boot();
	assert_int_equal(at(fabric, bdf(0, 1, 0))->kind, P2PDMA_KIND_PCI_BRIDGE);
	assert_int_equal(at(fabric, bdf(1, 0, 0))->home->kind, SEGMENT_BUS);
	assert_int_equal(get32(at(fabric, bdf(1, 0, 0))->config), 0);
	seen = fabric_snapshot(fabric);
	assert_non_null(seen);
	assert_int_equal(seen->functions[0].config_len, 64);
	assert_int_equal(seen->functions[1].config_len, 0);
	assert_string_equal(seen->hypervisor, "none");
	snapshot_free(seen);
	fabric_free(fabric);
}

/* ---- VFs ---- */

static uint8_t *add_pf(void)
{
	uint8_t *config = endpoint(bdf(1, 0, 0)), *sriov = config + SRIOV_AT;

	put32(sriov, PCI_EXT_CAP_ID_SRIOV | 1 << 16);
	put16(sriov + PCI_SRIOV_CTRL, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE);
	put16(sriov + PCI_SRIOV_TOTAL_VF, 8);
	put16(sriov + PCI_SRIOV_NUM_VF, 3);
	put16(sriov + PCI_SRIOV_VF_OFFSET, 0x80);
	put16(sriov + PCI_SRIOV_VF_STRIDE, 2);
	put32(sriov + PCI_SRIOV_BAR, 0xe0100000 | PCI_BASE_ADDRESS_MEM_TYPE_64);
	return config;
}

/* What the OS says is a VF of what the registers say is a VF: only one of them is. */
static void test_vf_of_a_vf(void **state)
{
	struct snapshot_function *function;
	struct fabric *fabric;

	(void)state;
	add_pf();
	endpoint(bdf(1, 0x10, 0));
	endpoint(bdf(1, 1, 0));
	function = function_at(bdf(1, 1, 0));
	function->has_physfn = true;
	function->physfn = bdf(1, 0x10, 0);
	fabric = boot();
	assert_ptr_equal(at(fabric, bdf(1, 0x10, 0))->physfn, at(fabric, bdf(1, 0, 0)));
	assert_null(at(fabric, bdf(1, 1, 0))->physfn);
	assert_ptr_equal(at(fabric, bdf(1, 1, 0))->home, at(fabric, bdf(1, 0, 0))->home);
	fabric_free(fabric);
}

static void add_vf(unsigned int number)
{
	put32(endpoint(bdf(1, (uint8_t)(16 + number / 4), (uint8_t)(number % 4 * 2))), UINT32_MAX);
}

static void test_vfs(void **state)
{
	struct snapshot_function *pf;
	struct p2pdma_function *vf;
	struct snapshot *seen;
	struct fabric *fabric;

	(void)state;
	bridge(bdf(0, 1, 0), PCI_EXP_TYPE_ROOT_PORT, 1, 1);
	add_pf();
	for (unsigned int i = 0; i < 4; i++)
		add_vf(i); /* the last is not enabled: an endpoint like others */
	pf = function_at(bdf(1, 0, 0));
	pf->resource_count = SNAPSHOT_RESOURCES;
	pf->resources = calloc(SNAPSHOT_RESOURCES, sizeof(*pf->resources));
	assert_non_null(pf->resources);
	pf->resources[7] = (struct snapshot_resource){ 0xe0100000, 0xe010ffff, 0x140204 };
	fabric = boot();
	assert_ptr_equal(fabric->roots[0].segment->members[0]->below->members[0],
	                 at(fabric, bdf(1, 0, 0)));
	for (unsigned int i = 0; i < 3; i++) {
		vf = at(fabric, bdf(1, 16, (uint8_t)(2 * i)));
		assert_ptr_equal(vf->physfn, at(fabric, bdf(1, 0, 0)));
		assert_int_equal(vf->vf_number, i);
		assert_ptr_equal(vf->home->members[1 + i], vf);
		assert_int_equal(vf->bars[0].size, 8192);
		assert_int_equal(function_bar_base(vf, 0), 0xe0100000 + i * 8192);
	}
	assert_null(at(fabric, bdf(1, 16, 6))->physfn);
	seen = fabric_snapshot(fabric);
	assert_non_null(seen);
	assert_int_equal(seen->functions[1].resources[7].end, 0xe010ffff);
	assert_int_equal(seen->functions[1].resources[7].flags, 0x140204);
	assert_true(seen->functions[4].has_physfn);
	assert_int_equal(seen->functions[4].resources[0].start, 0xe0104000);
	snapshot_free(seen);
	fabric_free(fabric);
}

/* Said by the OS, on a bus that no bridge leads to; and of a VF, which has none. */
static void test_vfs_recorded(void **state)
{
	struct snapshot_function *function;
	struct fabric *fabric;

	(void)state;
	bridge(bdf(0, 1, 0), PCI_EXP_TYPE_ROOT_PORT, 1, 1);
	add_pf();
	for (uint8_t i = 0; i < 2; i++) {
		endpoint(bdf(2, i, 0));
		function = function_at(bdf(2, i, 0));
		function->has_physfn = true;
		function->physfn = i ? bdf(2, 0, 0) : bdf(1, 0, 0);
	}
	fabric = boot();
	assert_ptr_equal(at(fabric, bdf(2, 0, 0))->physfn, at(fabric, bdf(1, 0, 0)));
	assert_ptr_equal(at(fabric, bdf(2, 0, 0))->home, at(fabric, bdf(1, 0, 0))->home);
	assert_int_equal(at(fabric, bdf(2, 0, 0))->vf_number, 0x40);
	assert_int_equal(at(fabric, bdf(2, 0, 0))->bars[0].size, 4096);
	assert_null(at(fabric, bdf(2, 1, 0))->physfn);
	assert_int_equal(fabric->root_count, 2);
	fabric_free(fabric);
}

/* What configuration space does not tell is told again, but for who showed the tree. */
static void test_said(void **state)
{
	struct snapshot_function *function;
	struct fabric *fabric;
	struct snapshot *seen;

	(void)state;
	endpoint(bdf(0, 1, 0));
	function = function_at(bdf(0, 1, 0));
	function->iommu_group = 7;
	function->dma_mask_bits = 40;
	function->driver = strdup("nvme");
	function->name_count = 2;
	function->names = calloc(2, sizeof(*function->names));
	function->names[0] = strdup("nvme0n1");
	function->names[1] = strdup("nvme0n2");
	endpoint(bdf(0, 2, 0));
	machine->arch = strdup("x86_64");
	machine->kernel_p2pdma = P2PDMA_NO;
	machine->privileged = P2PDMA_YES;
	machine->hypervisor = strdup("kvm");
	fabric = boot();
	seen = fabric_snapshot(fabric);
	assert_non_null(seen);
	function = &seen->functions[0];
	assert_int_equal(function->iommu_group, 7);
	assert_int_equal(function->dma_mask_bits, 40);
	assert_string_equal(function->driver, "nvme");
	assert_int_equal(function->name_count, 2);
	assert_string_equal(function->names[1], "nvme0n2");
	assert_int_equal(seen->functions[1].iommu_group, -1);
	assert_null(seen->functions[1].driver);
	assert_string_equal(seen->arch, "x86_64");
	assert_int_equal(seen->kernel_p2pdma, P2PDMA_NO);
	assert_int_equal(seen->privileged, P2PDMA_YES);
	assert_string_equal(seen->hypervisor, "none");
	snapshot_free(seen);
	fabric_free(fabric);
}

/* ---- BARs ---- */

static void test_sizes(void **state)
{
	struct snapshot_function *function;
	struct p2pdma_function *found;
	struct fabric *fabric;
	uint8_t *config;

	(void)state;
	bridge(bdf(0, 1, 0), PCI_EXP_TYPE_ROOT_PORT, 1, 1);
	config = endpoint(bdf(1, 0, 0));
	put32(config + 0x10, 0xe0000000);
	put32(config + 0x14, 0xe0001000);
	put32(config + 0x18, 0xe0100000 | PCI_BASE_ADDRESS_MEM_TYPE_64);
	put32(config + 0x1c, 0x1);
	put32(config + 0x20, 0x3001);
	put32(config + 0x24, PCI_BASE_ADDRESS_MEM_PREFETCH);
	config = endpoint(bdf(1, 0, 1));
	put32(config + 0x10, 0xe0008000 | PCI_BASE_ADDRESS_MEM_PREFETCH);
	put32(config + 0x14, 0xe1000000);
	function = function_at(bdf(1, 0, 1));
	function->resource_count = 3;
	function->resources = calloc(SNAPSHOT_RESOURCES, sizeof(*function->resources));
	assert_non_null(function->resources);
	function->resources[0] = (struct snapshot_resource){ 0xe0008000, 0xe000bfff, 0 };
	function->resources[1] = (struct snapshot_resource){ 0, UINT64_MAX, 0 };
	function->resources[2] = (struct snapshot_resource){ 0, 0xffff, 0x40200 };
	fabric = boot();
	found = at(fabric, bdf(1, 0, 0));
	assert_int_equal(found->bars[0].size, 0x1000);  /* up to the next */
	assert_int_equal(found->bars[1].size, 0x1000);  /* by alignment */
	assert_int_equal(found->bars[2].size, 0x10000); /* no more than this */
	assert_true(found->bars[2].is_64bit);
	assert_int_equal(function_bar_base(found, 2), 0x1e0100000);
	assert_int_equal(found->bars[3].kind, BAR_NONE);
	assert_int_equal(found->bars[4].kind, BAR_IO);
	assert_int_equal(found->bars[4].size, 4);
	assert_int_equal(found->bars[5].size, 0x10000); /* without an address */
	assert_true(found->bars[5].is_prefetchable);
	found = at(fabric, bdf(1, 0, 1));
	assert_int_equal(found->bars[0].size, 0x4000);
	assert_int_equal(found->bars[1].size, 0x10000);
	assert_int_equal(found->bars[2].size, 0x10000);
	assert_int_equal(found->bars[2].kind, BAR_REGISTERS);
	fabric_free(fabric);
}

/* ---- registers that say anything ---- */

/* A capture's bytes, some of them others; it boots, and can be looked at and reset. */
static void test_hostile(void **state)
{
	struct fabric *dice = fabric_new(), *fabric;
	struct p2pdma_error err;
	struct snapshot *seen;
	char *text, *broken, *at_hex;
	size_t booted = 0, length;

	(void)state;
	assert_non_null(dice);
	assert_int_equal(read_text("data/two-socket.json", &err, &text, &length), 0);
	broken = malloc(strlen(text) + 1);
	assert_non_null(broken);
	for (int i = 0; i < HOSTILE; i++) {
		strcpy(broken, text);
		for (uint64_t n = fabric_random(dice) % 60 + 1; n--;) {
			at_hex = broken + fabric_random(dice) % strlen(broken);
			at_hex = strstr(at_hex, "\"config\":\"");
			if (!at_hex)
				continue;
			/* Mostly in the header, where the tree is. */
			at_hex += 10 + fabric_random(dice) % (n % 4 ? 0x80 : 0x400);
			if (at_hex + 2 > broken + strlen(broken))
				continue;
			for (int j = 0; j < 2 && strchr("0123456789abcdef", at_hex[j]); j++)
				at_hex[j] = "0123456789abcdef"[fabric_random(dice) % 16];
		}
		if (try_boot(broken, &err, &fabric))
			continue;
		booted++;
		seen = fabric_snapshot(fabric);
		assert_non_null(seen);
		assert_int_equal(seen->function_count, fabric->function_count);
		snapshot_free(seen);
		for (size_t j = 0; j < fabric->function_count; j++) {
			assert_non_null(fabric->functions[j]->home);
			fabric_find(fabric, fabric->functions[j]->bdf);
		}
		fabric_free(fabric);
	}
	assert_true(booted > HOSTILE / 2);
	free(broken);
	free(text);
	fabric_free(dice);
}

/* Every address of a domain, all of them VFs of each other or bridges to each other. */
static void test_full(void **state)
{
	struct fabric *fabric;

	(void)state;
	for (unsigned int i = 0; i < 65536; i++) {
		struct snapshot_function *function =
			function_at((struct p2pdma_bdf){ 0, (uint8_t)(i >> 8), (uint8_t)i });

		function->config = calloc(1, 64);
		assert_non_null(function->config);
		function->config_len = 64;
		put32(function->config + 0x10, i << 8);
		if (i % 3 == 2) {
			function->has_physfn = true;
			function->physfn = bdf((uint8_t)(i >> 9), 0, 0);
		}
		if (i % 3)
			continue;
		function->config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_BRIDGE;
		function->config[PCI_SECONDARY_BUS] = (uint8_t)((i >> 8) + 1 + i % 7);
		function->config[PCI_SUBORDINATE_BUS] = 0xff;
	}
	fabric = boot();
	assert_int_equal(fabric->function_count, 65536);
	fabric_free(fabric);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_tree),         TEST(test_said),  TEST(test_contradictions),
		TEST(test_cut_short),    TEST(test_vfs),   TEST(test_vf_of_a_vf),
		TEST(test_vfs_recorded), TEST(test_sizes), TEST(test_hostile),
		TEST(test_full)
	};

	if (argc > 1 && chdir(argv[1])) {
		perror(argv[1]);
		return 2;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
