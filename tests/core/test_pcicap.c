/* SPDX-License-Identifier: MIT */
#include "bytes.h"
#include "pcicap.h"

static uint8_t bytes[4096];

static struct pcicap_config view(size_t length)
{
	return (struct pcicap_config){ bytes, length };
}

static int clear(void **state)
{
	(void)state;
	memset(bytes, 0, sizeof(bytes));
	put16(bytes, 0x06, 0x0010);
	return 0;
}

static void reads_stop_at_the_last_byte(void **state)
{
	uint8_t u8 = 7;
	uint16_t u16 = 7;
	uint32_t u32 = 7;

	(void)state;
	put32(bytes, 60, 0x11223344);
	assert_int_equal(pcicap_read32(view(64), 60, &u32), 0);
	assert_int_equal(u32, 0x11223344);
	assert_int_equal(pcicap_read16(view(64), 62, &u16), 0);
	assert_int_equal(u16, 0x1122);
	assert_int_equal(pcicap_read8(view(64), 64, &u8), -ENODATA);
	assert_int_equal(pcicap_read16(view(64), 63, &u16), -ENODATA);
	assert_int_equal(pcicap_read32(view(64), 61, &u32), -ENODATA);
	assert_int_equal(pcicap_read16(view(1), 0, &u16), -ENODATA);
	assert_int_equal(pcicap_read16(view(0), SIZE_MAX, &u16), -ENODATA);
	assert_int_equal(u8, 7);
	assert_int_equal(u16, 0x1122);
	assert_int_equal(u32, 0x11223344);
}

static void finds_a_capability_behind_another(void **state)
{
	(void)state;
	bytes[0x34] = 0x50;
	put16(bytes, 0x50, 0x6001);
	put16(bytes, 0x60, 0x0010);
	assert_int_equal(pcicap_find(view(256), PCICAP_ID_EXP), 0x60);
	assert_int_equal(pcicap_find(view(256), PCICAP_ID_PM), 0x50);
	assert_int_equal(pcicap_find(view(256), 0x05), -ENOENT);
}

static void no_list_bit_means_no_capability(void **state)
{
	(void)state;
	put16(bytes, 0x06, 0);
	bytes[0x34] = 0x50;
	put16(bytes, 0x50, 0x0010);
	assert_int_equal(pcicap_find(view(256), PCICAP_ID_EXP), -ENOENT);
}

static void a_list_that_leaves_the_bytes_is_unknown(void **state)
{
	(void)state;
	bytes[0x34] = 0x50;
	assert_int_equal(pcicap_find(view(64), PCICAP_ID_EXP), -ENODATA);
	assert_int_equal(pcicap_find(view(0), PCICAP_ID_EXP), -ENODATA);
	assert_int_equal(pcicap_find_ext(view(256), PCICAP_EXT_ACS), -ENODATA);
	put32(bytes, 0x100, 0x20010001);
	assert_int_equal(pcicap_find_ext(view(0x200), PCICAP_EXT_ACS), -ENODATA);
}

/* Broken is not absent: a port whose list loops may have ACS all the same. */
static void a_broken_list_is_neither_there_nor_absent(void **state)
{
	(void)state;
	bytes[0x34] = 0x50;
	put16(bytes, 0x50, 0x5001);
	assert_int_equal(pcicap_find(view(256), PCICAP_ID_EXP), -EIO);
	put16(bytes, 0x50, 0xffff);
	assert_int_equal(pcicap_find(view(256), PCICAP_ID_EXP), -EIO);
	put32(bytes, 0x100, 0x10010001);
	assert_int_equal(pcicap_find_ext(view(4096), PCICAP_EXT_ACS), -EIO);
	put32(bytes, 0x100, 0xffffffff);
	assert_int_equal(pcicap_find_ext(view(4096), PCICAP_EXT_ACS), -EIO);
}

static void a_cardbus_bridge_keeps_its_pointer_elsewhere(void **state)
{
	(void)state;
	bytes[0x0e] = 0x82;
	bytes[0x14] = 0xa0;
	put16(bytes, 0xa0, 0x0001);
	assert_int_equal(pcicap_find(view(256), PCICAP_ID_PM), 0xa0);
}

static void a_null_entry_first_is_walked_over(void **state)
{
	(void)state;
	put32(bytes, 0x100, 0x15000000);
	put32(bytes, 0x150, 0x0001000d);
	assert_int_equal(pcicap_find_ext(view(4096), PCICAP_EXT_ACS), 0x150);
}

static void an_unlinked_capability_is_not_found(void **state)
{
	(void)state;
	put32(bytes, 0x148, 0x0001000d);
	assert_int_equal(pcicap_find_ext(view(4096), PCICAP_EXT_ACS), -ENOENT);
}

static void acs_distinguishes_absent_from_unknown(void **state)
{
	enum p2pdma_known redirects;
	struct p2pdma_acs acs;
	uint16_t control;

	(void)state;
	pcicap_read_acs(view(4096), P2PDMA_KIND_DOWNSTREAM_PORT, &acs, &redirects, &control);
	assert_int_equal(acs.known, P2PDMA_NO);
	assert_int_equal(redirects, P2PDMA_NO);
	pcicap_read_acs(view(256), P2PDMA_KIND_DOWNSTREAM_PORT, &acs, &redirects, &control);
	assert_int_equal(acs.known, P2PDMA_UNKNOWN);
	assert_int_equal(redirects, P2PDMA_UNKNOWN);
	pcicap_read_acs(view(256), P2PDMA_KIND_PCI, &acs, &redirects, &control);
	assert_int_equal(acs.known, P2PDMA_NO);
	put_acs(bytes, 0x7f, P2PDMA_ACS_CMPLT_REDIR);
	pcicap_read_acs(view(4096), P2PDMA_KIND_DOWNSTREAM_PORT, &acs, &redirects, &control);
	assert_int_equal(acs.known, P2PDMA_YES);
	assert_int_equal(acs.capability, 0x7f);
	assert_int_equal(acs.control, P2PDMA_ACS_CMPLT_REDIR);
	assert_int_equal(redirects, P2PDMA_YES);
	assert_int_equal(control, P2PDMA_ACS_CMPLT_REDIR);
	pcicap_read_acs(view(0x106), P2PDMA_KIND_DOWNSTREAM_PORT, &acs, &redirects, &control);
	assert_int_equal(acs.known, P2PDMA_UNKNOWN);
	assert_int_equal(redirects, P2PDMA_UNKNOWN);
}

/* Linux finds nothing in a broken list; the wire is another matter. */
static void a_broken_list_is_no_redirect_to_the_kernel(void **state)
{
	enum p2pdma_known redirects;
	struct p2pdma_acs acs;
	uint16_t control;

	(void)state;
	put32(bytes, 0x100, 0xffffffff);
	pcicap_read_acs(view(4096), P2PDMA_KIND_DOWNSTREAM_PORT, &acs, &redirects, &control);
	assert_int_equal(acs.known, P2PDMA_UNKNOWN);
	assert_int_equal(redirects, P2PDMA_NO);
}

/* The wire obeys dwords, the kernel's p2pdma reads words: 100-series PCH, root port a110. */
static void pch_root_ports_have_dword_registers(void **state)
{
	enum p2pdma_known redirects;
	struct p2pdma_acs acs;
	uint16_t control;

	(void)state;
	put16(bytes, 0, 0x8086);
	put16(bytes, 2, 0xa110);
	put32(bytes, 0x100, 0x0001000d);
	put32(bytes, 0x104, 0x0000000f);
	put32(bytes, 0x108, 0x0000000d);
	pcicap_read_acs(view(4096), P2PDMA_KIND_ROOT_PORT, &acs, &redirects, &control);
	assert_int_equal(acs.capability, 0x0f);
	assert_int_equal(acs.control, 0x0d);
	assert_int_equal(redirects, P2PDMA_NO);
	assert_int_equal(pcicap_egress_bit(view(4096), P2PDMA_KIND_ROOT_PORT, 0), -ENODATA);
	put16(bytes, 2, 0xa120);
	pcicap_read_acs(view(4096), P2PDMA_KIND_ROOT_PORT, &acs, &redirects, &control);
	assert_int_equal(acs.control, 0);
}

static void the_egress_vector_has_a_size(void **state)
{
	(void)state;
	put_acs(bytes, 0x2000 | 0x7f, P2PDMA_ACS_EGRESS_CTRL);
	put32(bytes, 0x108, 0x80000001);
	assert_int_equal(pcicap_egress_bit(view(4096), P2PDMA_KIND_DOWNSTREAM_PORT, 0), 1);
	assert_int_equal(pcicap_egress_bit(view(4096), P2PDMA_KIND_DOWNSTREAM_PORT, 1), 0);
	assert_int_equal(pcicap_egress_bit(view(4096), P2PDMA_KIND_DOWNSTREAM_PORT, 31), 1);
	assert_int_equal(pcicap_egress_bit(view(4096), P2PDMA_KIND_DOWNSTREAM_PORT, 32), -ENODATA);
	put_acs(bytes, 0x7f, P2PDMA_ACS_EGRESS_CTRL);
	put32(bytes, 0x108 + 28, 0x80000000);
	assert_int_equal(pcicap_egress_bit(view(4096), P2PDMA_KIND_DOWNSTREAM_PORT, 255), 1);
	assert_int_equal(pcicap_egress_bit(view(0x120), P2PDMA_KIND_DOWNSTREAM_PORT, 255),
	                 -ENODATA);
}

static void ats_is_off_on_or_unknown(void **state)
{
	(void)state;
	assert_int_equal(pcicap_ats_enabled(view(4096), P2PDMA_KIND_ENDPOINT), P2PDMA_NO);
	assert_int_equal(pcicap_ats_enabled(view(256), P2PDMA_KIND_ENDPOINT), P2PDMA_UNKNOWN);
	assert_int_equal(pcicap_ats_enabled(view(256), P2PDMA_KIND_PCI), P2PDMA_NO);
	put32(bytes, 0x100, 0x0001000f);
	assert_int_equal(pcicap_ats_enabled(view(4096), P2PDMA_KIND_ENDPOINT), P2PDMA_NO);
	put16(bytes, 0x106, 0x8000);
	assert_int_equal(pcicap_ats_enabled(view(4096), P2PDMA_KIND_ENDPOINT), P2PDMA_YES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_stop_at_the_last_byte, clear),
		cmocka_unit_test_setup(finds_a_capability_behind_another, clear),
		cmocka_unit_test_setup(no_list_bit_means_no_capability, clear),
		cmocka_unit_test_setup(a_list_that_leaves_the_bytes_is_unknown, clear),
		cmocka_unit_test_setup(a_broken_list_is_neither_there_nor_absent, clear),
		cmocka_unit_test_setup(a_cardbus_bridge_keeps_its_pointer_elsewhere, clear),
		cmocka_unit_test_setup(a_null_entry_first_is_walked_over, clear),
		cmocka_unit_test_setup(an_unlinked_capability_is_not_found, clear),
		cmocka_unit_test_setup(acs_distinguishes_absent_from_unknown, clear),
		cmocka_unit_test_setup(a_broken_list_is_no_redirect_to_the_kernel, clear),
		cmocka_unit_test_setup(pch_root_ports_have_dword_registers, clear),
		cmocka_unit_test_setup(the_egress_vector_has_a_size, clear),
		cmocka_unit_test_setup(ats_is_off_on_or_unknown, clear),
	};

	return cmocka_run_group_tests_name("pcicap", tests, NULL, NULL);
}
