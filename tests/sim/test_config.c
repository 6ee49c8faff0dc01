/* SPDX-License-Identifier: MIT */
/* test_config.c - which bits of configuration space can be written, and what they mean. */
#include "registers.h"

/* ---- layout ---- */

static void test_capabilities(void **state)
{
	static const uint8_t types[FUNCTIONS] = { 4, 0, 0, 0, 0, 4, 5, 6, 0, 6 };

	(void)state;
	for (int who = 0; who < FUNCTIONS; who++) {
		bool is_bridge = lab.functions[who].header_type;

		assert_true(AT(who, pm) && AT(who, exp) && AT(who, aer) && AT(who, acs));
		assert_int_equal(!!AT(who, msix), who == PF || who == FAR);
		assert_int_equal(!!AT(who, sriov), who == PF);
		assert_true(AT(who, ats));
		assert_int_equal(read_at(who, AT(who, exp) + 2, 1) >> 4, types[who]);
		assert_int_equal(read_at(who, PCI_HEADER_TYPE, 1), is_bridge);
	}
	assert_int_equal(read_at(VF0, 0, 4), 0xffffffff); /* PCIe Base 9.3.4.1.1 */
	assert_int_equal(read_at(PF, 0, 4), 0x01011209);
	assert_int_equal(function_port_number(&lab.functions[DOWN]), 10 + DOWN);
	assert_int_equal(function_payload(&lab.functions[PF]), 256);
	assert_int_equal(function_read_request(&lab.functions[PF]), 512);
	assert_int_equal(function_tags(&lab.functions[PF]), 256);
	assert_int_equal(read_at(LEFT, AT(LEFT, exp) + PCI_EXP_LNKSTA, 2) & 0x3ff, 0x083);
}

static void test_conventional(void **state)
{
	struct p2pdma_function *function = &lab.functions[SECOND];
	struct config_plan plan = plan_of(SECOND);

	(void)state;
	function->kind = P2PDMA_KIND_PCI;
	config_build(function, &plan);
	assert_true(function->at.pm && !function->at.exp && !function->at.aer && !function->at.acs);
	for (size_t i = 256; i < CONFIG_SIZE; i++)
		assert_int_equal(function->config[i], 0);
	assert_int_equal(function_payload(function), 128);
	assert_int_equal(function_acs(function), 0);
}

/* What a model has set (p2pdma_model_set_id()) outranks the plan. */
static void test_model_ids(void **state)
{
	struct config_plan plan = plan_of(SECOND);
	uint8_t *config = lab.functions[SECOND].config;

	(void)state;
	put32(config, 0x00101b36);
	put32(config + PCI_CLASS_REVISION, 0x01080200);
	config_build(&lab.functions[SECOND], &plan);
	assert_int_equal(read_at(SECOND, 0, 4), 0x00101b36);
	assert_int_equal(read_at(SECOND, PCI_CLASS_REVISION, 4), 0x01080200);
}

static void test_hostile_lists(void **state)
{
	struct p2pdma_function *function = &lab.functions[SECOND];
	uint8_t *config = function->config;

	(void)state;
	/* A capability that is its own successor, twice. */
	memset(config, 0, CONFIG_SIZE);
	config[PCI_STATUS] = PCI_STATUS_CAP_LIST;
	config[PCI_CAPABILITY_LIST] = 0x43;
	put16(config + 0x40, 0x4009);
	config_locate(function);
	assert_int_equal(function->at.exp, 0);
	/* A PCIe capability at the end, and an extended list that loops. */
	put16(config + 0x40, 0xfc09);
	config[0xfc] = PCI_CAP_ID_EXP;
	put32(config + 0x100, 0x10010002);
	config_locate(function);
	assert_int_equal(function->at.exp, 0xfc);
	assert_int_equal(function->at.acs, 0);
	/* One that would end beyond the space, and one that just fits. */
	put32(config + 0x100, 0xffc10002);
	put32(config + 0xffc, 0x0001000d);
	config_locate(function);
	assert_int_equal(function->at.acs, 0);
	put32(config + 0x100, 0xff810002);
	put32(config + 0xff8, 0x0001000d);
	put32(config + 0xffc, 0x007f007f);
	config_locate(function);
	assert_int_equal(function->at.acs, 0xff8);
	assert_int_equal(function_acs(function), 0x7f);
	assert_false(function_egress_bit(function, 3));
	/* Without the status bit there is no list. */
	config[PCI_STATUS] = 0;
	config_locate(function);
	assert_int_equal(function->at.exp | function->at.acs, 0);
	memset(config, 0xff, CONFIG_SIZE);
	config_locate(function);
	assert_int_equal(function->at.exp | function->at.pm, 0);
}

/* ---- registers ---- */

static void test_header(void **state)
{
	(void)state;
	expect_rw(PF, 0x00, 0);
	expect_rw(PF, 0x08, 0);
	expect_rw(PF, 0x04, 0x0547);
	expect_rw(VF0, 0x04, PCI_COMMAND_MASTER); /* PCIe Base 9.3.4.1.3 */
	expect_rw(VF0, 0x10, 0);
	expect_rw(PF, 0x2c, 0);
	expect_rw(PF, 0x3c, 0xff);
	/* Bytes and words change only themselves; what is not aligned changes nothing. */
	write_at(PF, PCI_INTERRUPT_LINE, 1, 0x1ff);
	assert_int_equal(read_at(PF, PCI_INTERRUPT_LINE, 4), 0xff);
	write_at(PF, PCI_COMMAND + 1, 2, 0xffff);
	write_at(PF, PCI_COMMAND, 3, 0);
	write_at(PF, CONFIG_SIZE, 4, 0);
	write_at(PF, SIZE_MAX - 3, 4, 0);
	assert_int_equal(read_at(PF, PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

/* PCIe Base 7.5.1.1.4: what is set goes where a one is written, and only there. */
static void test_write_1_to_clear(void **state)
{
	uint8_t *config = lab.functions[PF].config;

	(void)state;
	put16(config + PCI_STATUS, 0xf910);
	write_at(PF, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(read_at(PF, PCI_STATUS, 2), 0xf910);
	write_at(PF, PCI_STATUS, 2, 0x2010);
	assert_int_equal(read_at(PF, PCI_STATUS, 2), 0xd910);
	write_at(PF, PCI_COMMAND, 4, 0xffff0000);
	assert_int_equal(read_at(PF, PCI_STATUS, 2), 0x0010);
	lab.functions[LEFT].config[PCI_SEC_STATUS + 1] = 0xf9;
	write_at(LEFT, PCI_SEC_STATUS, 2, 0x8000);
	assert_int_equal(read_at(LEFT, PCI_SEC_STATUS, 2), 0x7900);
	put16(config + AT(PF, exp) + PCI_EXP_DEVSTA, 0x3f);
	write_at(PF, AT(PF, exp) + PCI_EXP_DEVSTA, 2, 0x3a);
	assert_int_equal(read_at(PF, AT(PF, exp) + PCI_EXP_DEVSTA, 2), 0x15);
	/* Transactions Pending is true. */
	lab.functions[PF].tags_used = 1;
	assert_int_equal(read_at(PF, AT(PF, exp) + PCI_EXP_DEVCTL, 4) >> 16, 0x35);
	assert_int_equal(read_at(PF, AT(PF, exp) + PCI_EXP_DEVSTA, 1), 0x35);
	assert_int_equal(read_at(PF, AT(PF, exp) + PCI_EXP_DEVSTA + 1, 1), 0);
	assert_int_equal(read_at(VF0, AT(VF0, exp) + PCI_EXP_DEVSTA, 2), 0);
	put32(config + AT(PF, aer) + PCI_ERR_UNCOR_STATUS, AER_UR | AER_ACS);
	write_at(PF, AT(PF, aer) + PCI_ERR_UNCOR_STATUS, 4, AER_ACS);
	assert_int_equal(read_at(PF, AT(PF, aer) + PCI_ERR_UNCOR_STATUS, 4), AER_UR);
}

/* PCIe Base 7.5.1.2.1 */
static void test_bar_sizing(void **state)
{
	struct p2pdma_function *pf = &lab.functions[PF];

	(void)state;
	assert_int_equal(function_bar_base(pf, 0), BAR_BASE);
	assert_int_equal(function_bar_base(pf, 2), 0);
	assert_int_equal(function_bar_base(pf, 1), 0);
	lab.link.is_stale = false;
	write_at(PF, PCI_BASE_ADDRESS_0, 4, UINT32_MAX);
	write_at(PF, PCI_BASE_ADDRESS_1, 4, UINT32_MAX);
	assert_true(lab.link.is_stale);
	assert_int_equal(read_at(PF, PCI_BASE_ADDRESS_0, 4), 0xffff000c);
	assert_int_equal(read_at(PF, PCI_BASE_ADDRESS_1, 4), 0xffffffff);
	write_at(PF, PCI_BASE_ADDRESS_0, 4, 0x8001ffff);
	write_at(PF, PCI_BASE_ADDRESS_1, 4, 0x7);
	assert_int_equal(function_bar_base(pf, 0), 0x780010000);
	write_at(PF, PCI_BASE_ADDRESS_2, 4, UINT32_MAX);
	assert_int_equal(read_at(PF, PCI_BASE_ADDRESS_2, 4), 0xfffff000);
	write_at(PF, PCI_BASE_ADDRESS_3, 4, UINT32_MAX);
	assert_int_equal(read_at(PF, PCI_BASE_ADDRESS_3, 4), 0);
	/* Larger than 4 GiB: the lower half has no bit of the address. */
	pf->bars[0].size = 1ull << 36;
	memcpy(pf->config + PCI_BASE_ADDRESS_0, "\x0c\0\0\0\0\0\0", 8);
	write_at(PF, PCI_BASE_ADDRESS_0, 4, UINT32_MAX);
	write_at(PF, PCI_BASE_ADDRESS_1, 4, UINT32_MAX);
	assert_int_equal(function_bar_base(pf, 0), 0xfffffff000000000);
	/* Of a captured function whose sizes nobody recorded. */
	pf->bars[0].size = 0;
	expect_rw(PF, PCI_BASE_ADDRESS_0, 0);
	expect_rw(PF, PCI_BASE_ADDRESS_1, 0);
}

static void test_bridge(void **state)
{
	(void)state;
	expect_rw(DOWN, 0x18, 0x00ffffff);
	expect_rw(DOWN, 0x20, 0xfff0fff0);
	expect_rw(DOWN, 0x24, 0xfff0fff0);
	expect_rw(DOWN, 0x28, 0xffffffff);
	expect_rw(DOWN, 0x2c, 0xffffffff);
	lab.inside.is_stale = false;
	write_at(DOWN, PCI_SECONDARY_BUS, 1, 9);
	assert_true(lab.inside.is_stale);
	/* A prefetchable window of 32 bits has no upper halves (PCI-to-PCI Bridge 3.2.5.10). */
	lab.functions[DOWN].config[PCI_PREF_MEMORY_BASE] &= 0xf0;
	expect_rw(DOWN, 0x28, 0);
	expect_rw(DOWN, 0x2c, 0);
}

/* Registers without a row, and capabilities that only a capture knows. */
static void test_captured(void **state)
{
	struct p2pdma_function *function = &lab.functions[FAR];

	(void)state;
	function->is_captured = true;
	memset(function->config + 0xc0, 0x5a, 0x40);
	for (size_t at = 0xc0; at < 0x100; at += 4)
		expect_rw(FAR, at, 0);
	for (size_t at = 0x200; at < CONFIG_SIZE; at += 4)
		expect_rw(FAR, at, 0);
	expect_rw(FAR, AT(FAR, acs) + 4, 0x007d0000);
	/* The capability's first version has no Device Control 2, nor a slot where none is. */
	lab.functions[DOWN].config[AT(DOWN, exp) + PCI_EXP_FLAGS] = 0x61;
	expect_rw(DOWN, AT(DOWN, exp) + PCI_EXP_DEVCTL2, 0);
}

static void test_reads(void **state)
{
	uint8_t bytes[8];

	(void)state;
	write_at(UP, AT(UP, pm) + PCI_PM_CTRL, 2, 3);
	assert_int_equal(read_at(FAR, 0, 4), UINT32_MAX); /* behind a bridge that sleeps */
	write_at(UP, AT(UP, pm) + PCI_PM_CTRL, 2, 0);
	assert_int_equal(read_at(FAR, 0, 2), 0x1209);
	memset(bytes, 0, sizeof(bytes));
	config_read(&lab.functions[FAR], CONFIG_SIZE - 4, 8, bytes);
	assert_int_equal(bytes[0], 0xff);
	lab.functions[FAR].is_hung = true;
	assert_int_equal(read_at(FAR, 0, 4), UINT32_MAX);
	lab.functions[FAR].is_hung = false;
	lab.functions[FAR].header_type = 0x7f; /* captured as all ones */
	assert_int_equal(read_at(FAR, 0, 4), UINT32_MAX);
	assert_false(function_decodes(&lab.functions[FAR]));
	assert_false(function_masters(&lab.functions[FAR]));
}

/* PCIe Base 7.5.1.1.3 */
static void test_command(void **state)
{
	(void)state;
	assert_true(function_decodes(&lab.functions[PF]) && function_masters(&lab.functions[PF]));
	lab.link.is_stale = false;
	write_at(PF, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_true(lab.link.is_stale);
	assert_true(function_decodes(&lab.functions[PF]) && !function_masters(&lab.functions[PF]));
	write_at(PF, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_true(!function_decodes(&lab.functions[PF]) && function_masters(&lab.functions[PF]));
	lab.functions[PF].is_hung = true;
	assert_false(function_masters(&lab.functions[PF]));
}

/* PCIe Base 5.3.1, 7.5.2.2 */
static void test_power(void **state)
{
	size_t at = AT(PF, pm) + PCI_PM_CTRL;

	(void)state;
	write_at(PF, at, 2, 1); /* D1: not supported */
	write_at(PF, at, 2, 2);
	assert_int_equal(read_at(PF, at, 2), 0);
	lab.functions[PF].config[AT(PF, pm) + PCI_PM_PMC + 1] = PCI_PM_CAP_D1 >> 8;
	write_at(PF, at, 2, 1);
	assert_int_equal(read_at(PF, at, 2), 1);
	assert_false(function_decodes(&lab.functions[PF]));
	write_at(PF, at, 2, 3);
	assert_false(function_masters(&lab.functions[PF]));
	assert_false(function_is_d0(&lab.functions[VF1])); /* PCIe Base 9.6.2 */
	write_at(PF, at, 2, 2);
	assert_int_equal(read_at(PF, at, 2), 3);
	assert_int_equal(lab.model_resets[PF][P2PDMA_RESET_POWER], 0);
	write_at(PF, at, 2, 0);
	assert_int_equal(lab.model_resets[PF][P2PDMA_RESET_POWER], 1);
	assert_int_equal(read_at(PF, PCI_COMMAND, 2), 0);
	/* With No_Soft_Reset nothing is lost. */
	write_at(UP, AT(UP, pm) + PCI_PM_CTRL, 2, 3);
	assert_false(function_decodes(&lab.functions[UP]));
	write_at(UP, AT(UP, pm) + PCI_PM_CTRL, 2, 0);
	assert_true(function_decodes(&lab.functions[UP]));
	assert_int_equal(lab.model_resets[UP][P2PDMA_RESET_POWER], 0);
}

static void test_msix(void **state)
{
	(void)state;
	expect_rw(PF, AT(PF, msix), 0xc0000000);
	assert_int_equal(lab.flushed, 2);
	write_at(PF, AT(PF, msix), 1, 0);
	assert_int_equal(lab.flushed, 2);
}

/* PCIe Base 7.5.3.4 */
static void test_device_control(void **state)
{
	static const unsigned int sizes[] = { 128, 256, 512, 1024, 2048, 4096, 128, 128 };
	size_t at = AT(PF, exp) + PCI_EXP_DEVCTL;

	(void)state;
	for (unsigned int code = 0; code < 8; code++) {
		write_at(PF, at, 2, code << 5 | (7 - code) << 12);
		assert_int_equal(function_payload(&lab.functions[PF]), sizes[code]);
		assert_int_equal(function_payload(&lab.functions[VF0]), sizes[code]);
		assert_int_equal(function_read_request(&lab.functions[PF]), sizes[7 - code]);
	}
	assert_int_equal(function_tags(&lab.functions[PF]), 32);
	assert_int_equal(function_tags(&lab.functions[VF0]), 32);
	write_at(PF, at, 2, PCI_EXP_DEVCTL_EXT_TAG);
	assert_int_equal(function_tags(&lab.functions[PF]), 256);
	lab.functions[PF].config[AT(PF, exp) + PCI_EXP_DEVCAP] &= (uint8_t)~PCI_EXP_DEVCAP_EXT_TAG;
	write_at(PF, at, 2, 0);
	assert_int_equal(function_tags(&lab.functions[PF]), 256);
	/* Nothing obeys a completion timeout of its own. */
	assert_int_equal(read_at(PF, AT(PF, exp) + PCI_EXP_DEVCAP2, 4) & 0x1f, 0);
	expect_rw(PF, AT(PF, exp) + PCI_EXP_DEVCTL2, 0);
	expect_rw(DOWN, AT(DOWN, exp) + PCI_EXP_DEVCTL2, PCI_EXP_DEVCTL2_ARI);
	expect_rw(VF0, AT(VF0, exp) + PCI_EXP_DEVCTL, 0x8000 & 0);    /* PCIe Base 9.3.5.4 */
	assert_int_equal(lab.model_resets[VF0][P2PDMA_RESET_FLR], 1); /* but it was initiated */
}

/* PCIe Base 7.7.11 */
static void test_acs(void **state)
{
	struct p2pdma_function *port = &lab.functions[DOWN];
	size_t at = AT(DOWN, acs);

	(void)state;
	expect_rw(DOWN, at + 4, 0x007d0000);
	write_at(DOWN, at + PCI_ACS_CTRL, 2, 0xffff);
	assert_int_equal(function_acs(port), 0x7d);
	assert_int_equal(function_acs_capability(port), 0x7d);
	expect_rw(DOWN, at + 8, 0xffffffff);
	expect_rw(DOWN, at + 12, 0x000000ff); /* 40 bits */
	expect_rw(DOWN, at + 16, 0);
	write_at(DOWN, at + 12, 4, 0x81);
	assert_true(function_egress_bit(port, 32) && function_egress_bit(port, 39));
	assert_false(function_egress_bit(port, 31) || function_egress_bit(port, 40));
	port->config[at + PCI_ACS_EGRESS_BITS] = 0; /* 256 bits */
	expect_rw(DOWN, at + 8 + 28, 0xffffffff);
	port->config[at + PCI_ACS_CAP] &= (uint8_t)~P2PDMA_ACS_EGRESS_CTRL;
	expect_rw(DOWN, at + 8, 0);
	/* Intel's layout on its PCH's root ports, and nowhere else. */
	put32(lab.functions[LEFT].config, 0xa1108086);
	at = AT(LEFT, acs);
	put16(lab.functions[LEFT].config + at + PCI_ACS_CTRL, 0x15);
	assert_int_equal(function_acs(&lab.functions[LEFT]), 0);
	expect_rw(LEFT, at + 4, 0);
	expect_rw(LEFT, at + 8, 0x7d);
	expect_rw(LEFT, at + 12, 0);
	write_at(LEFT, at + 8, 1, 0x0c);
	assert_int_equal(function_acs(&lab.functions[LEFT]), 0x0c);
	assert_false(function_egress_bit(&lab.functions[LEFT], 2));
}

static void test_ats(void **state)
{
	(void)state;
	assert_false(function_ats_is_on(&lab.functions[PF]));
	expect_rw(PF, AT(PF, ats) + 4, 0x801f0000);
	expect_rw(VF0, AT(VF0, ats) + 4, 0x80000000);
	write_at(VF0, AT(VF0, ats) + PCI_ATS_CTRL, 2, PCI_ATS_CTRL_ENABLE);
	assert_true(function_ats_is_on(&lab.functions[VF0]));
	assert_false(function_ats_is_on(&lab.functions[PF]));
}

static void config_written(void *state, size_t offset, size_t length)
{
	(void)state;
	lab.written = (unsigned int)(offset << 8 | length);
}

static const struct p2pdma_model model = {
	.size = sizeof(model),
	.name = "test",
	.config_written = config_written,
};

static void test_model_is_told(void **state)
{
	(void)state;
	lab.functions[PF].model = &model;
	write_at(PF, PCI_COMMAND, 2, 0);
	assert_int_equal(lab.written, PCI_COMMAND << 8 | 2);
	lab.written = 0;
	write_at(PF, PCI_COMMAND, 3, 0);
	lab.functions[PF].is_in_reset = true;
	write_at(PF, PCI_COMMAND, 2, 0);
	assert_int_equal(lab.written, 0);
}

/* ---- anything ---- */

static uint64_t draw(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Captures of noise, with some lists in it, written to at random: for the sanitizers. */
static void test_noise(void **state)
{
	uint64_t seed = 0x5eed;

	for (int round = 0; round < 300; round++) {
		for (int who = 0; who < FUNCTIONS; who++) {
			uint8_t *config = lab.functions[who].config;

			for (size_t i = 0; i < CONFIG_SIZE; i += 8) {
				put32(config + i, (uint32_t)draw(&seed));
				put32(config + i + 4, (uint32_t)draw(&seed));
			}
			config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
			for (int i = 0; i < 6; i++)
				put16(config + (draw(&seed) & 0xfc),
				      (uint16_t)(draw(&seed) << 8 | "\x01\x10\x11"[i % 3]));
			for (int i = 0; i < 12; i++)
				put32(config + 0x100 + (i ? draw(&seed) % 0xf00 & 0xffc : 0),
				      (uint32_t)(draw(&seed) << 20 |
				                 "\x01\x0d\x10\x0f\x0e"[i % 5]));
			config_locate(&lab.functions[who]);
			for (int i = 0; i < BAR_COUNT; i++)
				lab.functions[who].bars[i].size = draw(&seed);
		}
		for (int i = 0; i < 400; i++) {
			int who = (int)(draw(&seed) % FUNCTIONS);
			size_t length = 1u << draw(&seed) % 3;
			const uint16_t *at = &lab.functions[who].at.pm + draw(&seed) % 8;
			size_t near = (*at + draw(&seed) % 64) & ~(length - 1);

			write_at(who, draw(&seed) % 4 ? near : draw(&seed) % 0x1004, length,
			         (uint32_t)draw(&seed));
			config_log_error(&lab.functions[who], AER_UR, NULL);
			function_egress_bit(&lab.functions[who], (unsigned int)draw(&seed) % 300);
			function_bar_base(&lab.functions[who], (int)(draw(&seed) % 8) - 1);
			if (draw(&seed) % 64 == 0)
				function_remove(&lab.functions[who]);
			if (draw(&seed) % 8 == 0)
				function_add(&lab.functions[who]);
		}
		tear_down(state);
		set_up(state);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_capabilities),  TEST(test_conventional),   TEST(test_model_ids),
		TEST(test_hostile_lists), TEST(test_header),         TEST(test_write_1_to_clear),
		TEST(test_bar_sizing),    TEST(test_bridge),         TEST(test_captured),
		TEST(test_reads),         TEST(test_command),        TEST(test_power),
		TEST(test_msix),          TEST(test_device_control), TEST(test_acs),
		TEST(test_ats),           TEST(test_model_is_told),  TEST(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
