/* SPDX-License-Identifier: MIT */
/* test_lifecycle.c - VFs, resets, links, removal, and errors logged. */
#include "registers.h"

/* ---- SR-IOV (PCIe Base 9.3.3) ---- */

static void test_vfs(void **state)
{
	size_t at = AT(PF, sriov);
	uint32_t epoch = lab.functions[VF1].epoch;

	(void)state;
	assert_int_equal(function_bar_base(&lab.functions[VF0], 0), 0x800000);
	assert_int_equal(function_bar_base(&lab.functions[VF1], 0), 0x800000 + BAR_SIZE);
	assert_int_equal(lab.functions[VF1].bars[2].kind, BAR_NONE);
	write_at(PF, at + PCI_SRIOV_BAR, 4, UINT32_MAX);
	assert_int_equal(read_at(PF, at + PCI_SRIOV_BAR, 4), 0xffff000c);
	/* VF MSE is for all of them; the VFs' own Memory Space Enable is nothing. */
	assert_true(function_decodes(&lab.functions[VF0]));
	write_at(PF, PCI_COMMAND, 2, 0);
	assert_true(function_decodes(&lab.functions[VF0]));
	write_at(PF, at + PCI_SRIOV_CTRL, 2, PCI_SRIOV_CTRL_VFE);
	assert_false(function_decodes(&lab.functions[VF0]));
	assert_true(lab.functions[VF0].is_present && function_masters(&lab.functions[VF0]));
	/* They go with VF Enable, and come back reset, as many as NumVFs says. */
	write_at(PF, at + PCI_SRIOV_CTRL, 2, 0);
	assert_false(lab.functions[VF0].is_present || lab.functions[VF1].is_present);
	assert_int_equal(read_at(VF1, 0x34, 4), UINT32_MAX);
	assert_int_equal(lab.model_resets[VF1][P2PDMA_RESET_REMOVED], 1);
	assert_int_not_equal(lab.functions[VF1].epoch, epoch);
	assert_int_equal(count_log(100 + P2PDMA_EVENT_REMOVED, VF1), 0); /* the OS did it */
	write_at(PF, at + PCI_SRIOV_NUM_VF, 2, 1);
	write_at(PF, at + PCI_SRIOV_CTRL, 2, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE);
	assert_true(lab.functions[VF0].is_present && !lab.functions[VF1].is_present);
	assert_false(function_masters(&lab.functions[VF0]));
	assert_int_equal(lab.model_resets[VF0][P2PDMA_RESET_ADDED], 1);
}

/* PCIe Base 9.2.2.2 and 9.2.2.3 */
static void test_vf_resets(void **state)
{
	(void)state;
	write_at(VF0, AT(VF0, exp) + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	assert_false(function_masters(&lab.functions[VF0]));
	assert_true(function_decodes(&lab.functions[VF0]));
	assert_true(function_masters(&lab.functions[VF1]));
	write_at(PF, AT(PF, exp) + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	assert_false(lab.functions[VF0].is_present || lab.functions[VF1].is_present);
	assert_int_equal(read_at(PF, AT(PF, sriov) + PCI_SRIOV_NUM_VF, 2), 0);
	assert_int_equal(read_at(PF, AT(PF, sriov) + PCI_SRIOV_TOTAL_VF, 2), 2);
}

/* ---- resets ---- */

/* PCIe Base 6.6.2, 7.4 */
static void test_flr(void **state)
{
	struct p2pdma_function *pf = &lab.functions[PF];
	size_t exp = AT(PF, exp), aer = AT(PF, aer);
	uint32_t epoch = pf->epoch;

	(void)state;
	write_at(SECOND, AT(SECOND, exp) + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(lab.model_resets[SECOND][P2PDMA_RESET_FLR], 0); /* has none */
	write_at(PF, AT(PF, msix), 4, 0xc0000000);
	write_at(PF, exp + PCI_EXP_LNKCTL, 2, 0x43);
	write_at(PF, aer + PCI_ERR_UNCOR_MASK, 4, AER_UR);
	config_log_error(pf, AER_CA, NULL);
	write_at(PF, exp + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR | 2 << 5 | 5 << 12);
	assert_int_equal(lab.model_resets[PF][P2PDMA_RESET_FLR], 1);
	assert_int_equal(lab.requester_resets[PF], 1);
	assert_int_equal(count_log(P2PDMA_SIM_EVENT_RESET, PF), 1);
	assert_int_not_equal(pf->epoch, epoch);
	assert_int_equal(read_at(PF, PCI_COMMAND, 2), 0);
	assert_int_equal(function_bar_base(pf, 0), 0);
	assert_int_equal(read_at(PF, PCI_BASE_ADDRESS_0, 4), 0xc);
	assert_int_equal(read_at(PF, AT(PF, msix) + 2, 2), 3);
	/* MPS, link control and sticky bits stay; the rest is as after power-on; FLR reads as 0. */
	assert_int_equal(read_at(PF, exp + PCI_EXP_DEVCTL, 2), 0x2850);
	assert_int_equal(read_at(PF, exp + PCI_EXP_DEVSTA, 2), 0);
	assert_int_equal(read_at(PF, exp + PCI_EXP_LNKCTL, 2), 0x43);
	assert_int_equal(read_at(PF, aer + PCI_ERR_UNCOR_MASK, 4), AER_UR);
	assert_int_equal(read_at(PF, aer + PCI_ERR_UNCOR_STATUS, 4), AER_CA);
	assert_int_equal(read_at(SECOND, PCI_COMMAND, 2), 6);
}

/* PCIe Base 7.5.1.3.13, 6.6.1: all below, for as long as the bit is set. */
static void test_secondary_bus_reset(void **state)
{
	(void)state;
	config_log_error(&lab.functions[FAR], AER_CA, NULL);
	lab.functions[FAR].is_hung = true;
	write_at(RIGHT, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
	for (int who = UP; who < FUNCTIONS; who++) {
		assert_int_equal(lab.model_resets[who][P2PDMA_RESET_HOT], 1);
		assert_int_equal(read_at(who, 0, 4), UINT32_MAX);
		assert_false(function_decodes(&lab.functions[who]));
	}
	assert_false(lab.up_link.is_up || lab.far_link.is_up);
	assert_int_equal(lab.model_resets[PF][P2PDMA_RESET_HOT], 0);
	write_at(FAR, PCI_COMMAND, 2, 6); /* vanishes */
	write_at(RIGHT, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET | PCI_BRIDGE_CTL_SERR);
	assert_int_equal(lab.model_resets[FAR][P2PDMA_RESET_HOT], 1);
	write_at(RIGHT, PCI_BRIDGE_CONTROL, 2, 0);
	assert_true(lab.up_link.is_up && lab.far_link.is_up && !lab.empty_link.is_up);
	assert_int_equal(lab.trained, 2);
	assert_int_equal(read_at(FAR, PCI_COMMAND, 2), 0);
	assert_int_equal(read_at(FAR, AT(FAR, exp) + PCI_EXP_DEVCTL, 2), 0x2810);
	assert_int_equal(read_at(FAR, AT(FAR, aer) + PCI_ERR_UNCOR_STATUS, 4), AER_CA);
	assert_int_equal(read_at(UP, PCI_SECONDARY_BUS, 1), 0);
	assert_int_equal(count_log(100 + P2PDMA_EVENT_LINK_DOWN, RIGHT), 0);
	/* An outer reset ends an inner one. */
	write_at(DOWN, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
	assert_false(function_answers(&lab.functions[FAR]));
	write_at(RIGHT, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
	write_at(RIGHT, PCI_BRIDGE_CONTROL, 2, 0);
	assert_true(function_answers(&lab.functions[FAR]));
}

/* A bridge that comes out of D3hot without No_Soft_Reset lets go of what it held. */
static void test_power_up_of_a_bridge(void **state)
{
	size_t pm = AT(RIGHT, pm) + PCI_PM_CTRL, link = AT(RIGHT, exp) + PCI_EXP_LNKCTL;

	(void)state;
	lab.functions[RIGHT].config[pm] = 0;
	write_at(RIGHT, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
	write_at(RIGHT, pm, 2, 3);
	assert_true(lab.functions[UP].is_in_reset);
	write_at(RIGHT, pm, 2, 0);
	assert_int_equal(read_at(RIGHT, PCI_BRIDGE_CONTROL, 2), 0);
	assert_true(function_answers(&lab.functions[UP]) && function_answers(&lab.functions[FAR]));
	write_at(RIGHT, link, 2, PCI_EXP_LNKCTL_LD);
	assert_false(lab.up_link.is_up);
	write_at(RIGHT, pm, 2, 3);
	write_at(RIGHT, pm, 2, 0);
	assert_int_equal(read_at(RIGHT, link, 2), 0);
	assert_true(lab.up_link.is_up && function_answers(&lab.functions[FAR]));
}

static void test_plugged_into_a_reset(void **state)
{
	(void)state;
	write_at(RIGHT, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
	function_remove(&lab.functions[UP]);
	function_add(&lab.functions[UP]);
	assert_true(lab.functions[UP].is_in_reset && lab.functions[FAR].is_in_reset);
	assert_false(lab.up_link.is_up || lab.far_link.is_up);
	write_at(RIGHT, PCI_BRIDGE_CONTROL, 2, 0);
	assert_true(lab.up_link.is_up && function_answers(&lab.functions[FAR]));
}

/* ---- links ---- */

static uint32_t link_status(int who)
{
	return read_at(who, AT(who, exp) + PCI_EXP_LNKSTA, 2);
}

static uint32_t slot_status(int who)
{
	return read_at(who, AT(who, exp) + PCI_EXP_SLTSTA, 2);
}

/* PCIe Base 7.5.3.7, 7.5.3.8 */
static void test_link_disable(void **state)
{
	size_t at = AT(RIGHT, exp) + PCI_EXP_LNKCTL;

	(void)state;
	assert_true(link_status(RIGHT) & PCI_EXP_LNKSTA_DLLLA);
	assert_int_equal(link_status(EMPTY) & PCI_EXP_LNKSTA_DLLLA, 0);
	write_at(RIGHT, at, 2, PCI_EXP_LNKCTL_LD);
	assert_false(lab.up_link.is_up);
	assert_int_equal(link_status(RIGHT) & PCI_EXP_LNKSTA_DLLLA, 0);
	assert_true(slot_status(RIGHT) & PCI_EXP_SLTSTA_DLLSC);
	assert_int_equal(read_at(RIGHT, AT(RIGHT, aer) + PCI_ERR_UNCOR_STATUS, 4), 0);
	assert_int_equal(lab.model_resets[FAR][P2PDMA_RESET_HOT], 1);
	assert_int_equal(count_log(P2PDMA_SIM_EVENT_LINK_DOWN, RIGHT), 1);
	assert_true(lab.far_link.is_up);
	assert_int_equal(read_at(FAR, 0, 4), UINT32_MAX);
	write_at(RIGHT, at, 2, 0);
	assert_true(lab.up_link.is_up && link_status(RIGHT) & PCI_EXP_LNKSTA_DLLLA);
	assert_int_equal(count_log(100 + P2PDMA_EVENT_LINK_UP, RIGHT), 1);
	assert_int_equal(read_at(FAR, 0, 2), 0x1209);
	/* Only ports have it. */
	expect_rw(PF, AT(PF, exp) + PCI_EXP_LNKCTL, 0x03cb);
	lab.trained = 0;
	write_at(RIGHT, at, 2, PCI_EXP_LNKCTL_RL);
	assert_int_equal(lab.trained, 1);
	assert_int_equal(read_at(RIGHT, at, 2), 0);
	assert_true(link_status(RIGHT) & PCI_EXP_LNKSTA_LBMS);
}

/* PCIe Base 3.2.1 */
static void test_link_cut(void **state)
{
	struct p2pdma_function *port = &lab.functions[LEFT];

	(void)state;
	link_set(&lab.link, false);
	link_set(&lab.link, false);
	assert_int_equal(count_log(100 + P2PDMA_EVENT_LINK_DOWN, LEFT), 1);
	assert_int_equal(lab.model_resets[SECOND][P2PDMA_RESET_HOT], 1);
	assert_int_equal(read_at(LEFT, port->at.aer + PCI_ERR_UNCOR_STATUS, 4), AER_SURPRISE_DOWN);
	assert_int_equal(read_at(LEFT, port->at.exp + PCI_EXP_DEVSTA, 2), PCI_EXP_DEVSTA_FED);
	/* No register brings it back. */
	write_at(LEFT, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
	write_at(LEFT, PCI_BRIDGE_CONTROL, 2, 0);
	assert_false(lab.link.is_up);
	link_set(&lab.link, true);
	assert_true(lab.link.is_up && lab.trained == 1);
	assert_int_equal(count_log(P2PDMA_SIM_EVENT_LINK_UP, LEFT), 1);
	assert_true(function_answers(&lab.functions[SECOND]));
	/* A slot made for surprises is not surprised. */
	put32(port->config + port->at.aer + PCI_ERR_UNCOR_STATUS, 0);
	port->config[port->at.exp + PCI_EXP_SLTCAP] |= PCI_EXP_SLTCAP_HPS;
	link_set(&lab.link, false);
	assert_int_equal(read_at(LEFT, port->at.aer + PCI_ERR_UNCOR_STATUS, 4), 0);
	link_set(&lab.inside, false); /* no link: nothing */
	assert_true(function_answers(&lab.functions[DOWN]));
}

static void test_removal(void **state)
{
	uint32_t epoch = lab.functions[PF].epoch;

	(void)state;
	function_remove(&lab.functions[VF1]); /* all of the device goes */
	for (int who = PF; who <= SECOND; who++) {
		assert_false(lab.functions[who].is_present);
		assert_int_equal(read_at(who, 0, 4), UINT32_MAX);
		assert_int_equal(count_log(P2PDMA_SIM_EVENT_REMOVED, who), 1);
		assert_int_equal(count_log(100 + P2PDMA_EVENT_REMOVED, who), 1);
		assert_int_equal(lab.model_resets[who][P2PDMA_RESET_REMOVED], 1);
		assert_int_equal(lab.model_resets[who][P2PDMA_RESET_HOT], 0);
	}
	assert_int_not_equal(lab.functions[PF].epoch, epoch);
	assert_false(lab.link.is_up);
	assert_int_equal(count_log(P2PDMA_SIM_EVENT_LINK_DOWN, LEFT), 1);
	assert_int_equal(slot_status(LEFT), PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
	assert_int_equal(read_at(LEFT, AT(LEFT, aer) + PCI_ERR_UNCOR_STATUS, 4), AER_SURPRISE_DOWN);
	write_at(LEFT, AT(LEFT, exp) + PCI_EXP_SLTSTA, 2, 0x1ff);
	assert_int_equal(slot_status(LEFT), 0);
	function_remove(&lab.functions[PF]); /* again: nothing */
	assert_int_equal(count_log(100 + P2PDMA_EVENT_REMOVED, PF), 1);
	put16(lab.functions[PF].config + PCI_COMMAND, 0);
	function_add(&lab.functions[LEFT]);
	assert_true(lab.link.is_up && slot_status(LEFT) & PCI_EXP_SLTSTA_PDS);
	for (int who = PF; who <= SECOND; who++) {
		assert_true(function_answers(&lab.functions[who]));
		assert_true(function_masters(&lab.functions[who])); /* as at boot */
		assert_int_equal(count_log(100 + P2PDMA_EVENT_ADDED, who), 1);
	}
	write_at(PF, PCI_COMMAND, 2, 0);
	function_add(&lab.functions[PF]); /* again: nothing */
	assert_int_equal(read_at(PF, PCI_COMMAND, 2), 0);
	/* Who was hung or in reset is a new one; VFs are there if they were at boot. */
	lab.functions[SECOND].is_hung = lab.functions[PF].is_in_reset = true;
	function_remove(&lab.functions[PF]);
	lab.config[PF][1][AT(PF, sriov) + PCI_SRIOV_CTRL] = 0;
	function_add(&lab.functions[PF]);
	assert_true(function_answers(&lab.functions[PF]));
	assert_true(function_answers(&lab.functions[SECOND]));
	assert_false(lab.functions[VF0].is_present || lab.functions[VF1].is_present);
}

static void test_removal_of_a_switch(void **state)
{
	(void)state;
	function_remove(&lab.functions[UP]);
	for (int who = UP; who < FUNCTIONS; who++)
		assert_false(lab.functions[who].is_present);
	assert_false(lab.up_link.is_up || lab.far_link.is_up);
	assert_true(lab.functions[RIGHT].is_present && lab.functions[PF].is_present);
	assert_int_equal(count_log(100 + P2PDMA_EVENT_REMOVED, FAR), 1);
	function_add(&lab.functions[RIGHT]);
	assert_true(lab.far_link.is_up && function_answers(&lab.functions[FAR]));
	/* Of a downstream port: what is below it. */
	function_remove(&lab.functions[DOWN]);
	assert_true(lab.functions[DOWN].is_present && !lab.functions[FAR].is_present);
	function_add(&lab.functions[FAR]);
	assert_true(lab.functions[FAR].is_present);
	/* Without a link, the functions of one device number. */
	function_remove(&lab.functions[EMPTY]);
	assert_true(lab.functions[EMPTY].is_present && lab.functions[DOWN].is_present);
	lab.functions[EMPTY].below = NULL;
	function_remove(&lab.functions[EMPTY]);
	assert_true(!lab.functions[EMPTY].is_present && lab.functions[DOWN].is_present);
	/* VFs go with their PF, whatever their numbers. */
	lab.link.kind = SEGMENT_BUS;
	lab.functions[VF0].bdf.devfn = 0x10;
	lab.functions[VF1].bdf.devfn = 0x18;
	function_remove(&lab.functions[VF1]);
	assert_false(lab.functions[PF].is_present || lab.functions[VF0].is_present);
}

/* ---- errors (PCIe Base 6.2) ---- */

static void test_errors(void **state)
{
	struct p2pdma_function *pf = &lab.functions[PF];
	const struct packet write = {
		.type = TLP_WRITE,
		.length = 4096,
		.payload = 256,
		.address = 0x1122334455667000,
		.requester = { 0, 0x04, 0x08 },
		.is_poisoned = true,
	};
	const struct packet read = { .type = TLP_READ, .length = 4, .payload = 256 };
	size_t aer = AT(PF, aer), status = AT(PF, exp) + PCI_EXP_DEVSTA;

	(void)state;
	config_log_error(pf, AER_UR, &write);
	assert_int_equal(read_at(PF, aer + PCI_ERR_UNCOR_STATUS, 4), AER_UR);
	assert_int_equal(read_at(PF, aer + PCI_ERR_CAP, 4) & 0x1f, 20);
	assert_int_equal(read_at(PF, aer + PCI_ERR_HEADER_LOG, 4), 0x60004040);
	assert_int_equal(read_at(PF, aer + PCI_ERR_HEADER_LOG + 4, 4), 0x040800ff);
	assert_int_equal(read_at(PF, aer + PCI_ERR_HEADER_LOG + 8, 4), 0x11223344);
	assert_int_equal(read_at(PF, aer + PCI_ERR_HEADER_LOG + 12, 4), 0x55667000);
	assert_int_equal(read_at(PF, status, 2), PCI_EXP_DEVSTA_NFED | PCI_EXP_DEVSTA_URD);
	/* The first one stays, until its status is cleared. */
	config_log_error(pf, AER_MALFORMED, NULL);
	assert_int_equal(read_at(PF, aer + PCI_ERR_UNCOR_STATUS, 4), AER_UR | AER_MALFORMED);
	assert_int_equal(read_at(PF, aer + PCI_ERR_CAP, 4) & 0x1f, 20);
	assert_int_equal(read_at(PF, aer + PCI_ERR_HEADER_LOG, 4), 0x60004040);
	assert_true(read_at(PF, status, 2) & PCI_EXP_DEVSTA_FED);
	write_at(PF, aer + PCI_ERR_UNCOR_STATUS, 4, UINT32_MAX);
	/* Masked: the status, and no more. */
	write_at(PF, aer + PCI_ERR_UNCOR_MASK, 4, AER_ACS);
	config_log_error(pf, AER_ACS, &write);
	assert_int_equal(read_at(PF, aer + PCI_ERR_CAP, 4) & 0x1f, 20);
	config_log_error(pf, AER_CA, NULL);
	assert_int_equal(read_at(PF, aer + PCI_ERR_CAP, 4) & 0x1f, 15);
	assert_int_equal(read_at(PF, aer + PCI_ERR_HEADER_LOG, 4), 0);
	/* A VF's masks and severities are its PF's. */
	write_at(PF, aer + PCI_ERR_UNCOR_SEVER, 4, AER_UR);
	config_log_error(&lab.functions[VF0], AER_UR, &write);
	assert_true(read_at(VF0, AT(VF0, exp) + PCI_EXP_DEVSTA, 2) & PCI_EXP_DEVSTA_FED);
	/* What the requester is told of is advisory: correctable, and in full only if unmasked. */
	put16(pf->config + status, 0);
	write_at(PF, aer + PCI_ERR_UNCOR_STATUS, 4, UINT32_MAX);
	write_at(PF, aer + PCI_ERR_UNCOR_SEVER, 4, 0);
	config_log_error(pf, AER_UR, &read);
	assert_int_equal(read_at(PF, status, 2), PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_URD);
	assert_int_equal(read_at(PF, aer + PCI_ERR_COR_STATUS, 4), PCI_ERR_COR_ADV_NFAT);
	assert_int_equal(read_at(PF, aer + PCI_ERR_UNCOR_STATUS, 4), 0);
	write_at(PF, aer + PCI_ERR_COR_MASK, 4, 0);
	config_log_error(&lab.functions[VF0], AER_CA, &read);
	assert_int_equal(read_at(VF0, AT(VF0, aer) + PCI_ERR_UNCOR_STATUS, 4) & AER_CA, AER_CA);
	config_log_error(pf, AER_UNEXPECTED, NULL);
	assert_int_equal(read_at(PF, aer + PCI_ERR_UNCOR_STATUS, 4), AER_UNEXPECTED);
	assert_int_equal(read_at(PF, status, 2), PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_URD);
	config_log_error(pf, AER_UR, &write);
	assert_true(read_at(PF, status, 2) & PCI_EXP_DEVSTA_NFED);
	/* Without capabilities, nowhere. */
	lab.functions[SECOND].at = (struct capabilities){ 0 };
	config_log_error(&lab.functions[SECOND], AER_UR, &write);
	assert_memory_equal(lab.config[SECOND][0], lab.config[SECOND][1], CONFIG_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_vfs),
		TEST(test_vf_resets),
		TEST(test_flr),
		TEST(test_secondary_bus_reset),
		TEST(test_link_disable),
		TEST(test_link_cut),
		TEST(test_removal),
		TEST(test_removal_of_a_switch),
		TEST(test_errors),
		TEST(test_power_up_of_a_bridge),
		TEST(test_plugged_into_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
