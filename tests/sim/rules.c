/* SPDX-License-Identifier: MIT */
/*
 * rules.c - routing by windows and BARs, IDs, command registers, power states, payload sizes and
 * resets: one case for each rule of the fabric, with the function that has to notice.
 */
#include "stage.h"

#define BRIDGE_CONTROL 0x3e
#define BRIDGE_RESET   0x40
#define UF             P2PDMA_ACS_UPSTREAM_FWD
#define RR             P2PDMA_ACS_REQ_REDIR

/* Root port - switch - ports of c, p and of a nested switch with d. */
static const char machine[] = FABRIC(
	"",
	"{" OPEN_ROOT
	",\"below\":[{\"type\":\"switch\",\"below\":[" PROBE("c", 1, "") "," PROBE("p", 2, "") ",{\"type\":\"switch\",\"below\":[" PROBE(
		"d", 3,
		"") "]}]},"
		    "{\"type\":\"integrated\",\"name\":\"i\",\"model\":\"probe\",\"id\":4}]}");

static int set_up(void **state)
{
	struct stage *stage = calloc(1, sizeof(*stage));

	assert_non_null(stage);
	open_stage(stage, machine);
	*state = stage;
	return 0;
}

static int tear_down(void **state)
{
	close_stage(*state);
	free(*state);
	return 0;
}

static void close_windows(struct p2pdma_device *bridge)
{
	lab_set(bridge, 0x20, 4, 0x0000fff0);
	lab_set(bridge, 0x24, 4, 0x0000fff0);
	lab_set(bridge, 0x28, 4, 0xffffffff);
	lab_set(bridge, 0x2c, 4, 0);
}

/* ---- addresses ---- */

static void memory_goes_by_windows_and_bars(void **state)
{
	struct stage *stage = *state;
	uint64_t bar;

	reads(stage, "c", "p");
	arrived(stage, "p");
	requested(stage, "^c ^p p ");
	completed(stage, "^p ^c c ");
	reads(stage, "i", "d");
	arrived(stage, "d");
	requested(stage, "root ^^^^^d ^^^^d ^^^d ^^d ^d d ");
	completed(stage, "^d ^^d ^^^d ^^^^d ^^^^^d root i ");
	reads(stage, "d", "i");
	arrived(stage, "i");
	requested(stage, "^d ^^d ^^^d ^^^^d ^^^^^d root i ");
	/* Where its BAR goes, it answers: the next page of the same window. */
	bar = bar_of(stage, "p");
	lab_set(named(stage, "p"), 0x10, 4, (uint32_t)bar + PROBE_BYTES);
	writes(stage, "c", "p");
	arrived(stage, "p");
	dma_at(stage, "c", P2PDMA_OP_WRITE, bar, PAGE, false);
	ended(stage, "p", P2PDMA_SIM_UR, P2PDMA_DMA_OK, P2PDMA_SIM_EVENT_UR, AER_BIT_UR);
}

/* Nobody behind the common upstream port has it: that one holds it, and does not send it up. */
static void closed_window_of_a_port(void **state)
{
	struct stage *stage = *state;

	close_windows(named(stage, "^p"));
	both_unsupported(stage, "c", "p", "^^p");
	both_unsupported(stage, "i", "p", "^^p");
	/* Not held by that one either, it goes to the root complex, which finds nobody. */
	close_windows(named(stage, "^^p"));
	close_windows(named(stage, "^^^p"));
	both_unsupported(stage, "c", "p", "root p");
	both_unsupported(stage, "i", "p", "root p");
}

/* Completions know no addresses. */
static void completions_go_by_id(void **state)
{
	struct stage *stage = *state;
	struct p2pdma_bdf c = bdf_of(stage, "c"), port = bdf_of(stage, "^c");
	uint64_t address = bar_of(stage, "p");

	close_windows(named(stage, "^c"));
	lab_change(named(stage, "^c"), COMMAND, COMMAND_MEMORY, 0);
	lab_change(named(stage, "c"), COMMAND, COMMAND_MEMORY, 0);
	reads(stage, "c", "p");
	arrived(stage, "p");
	completed(stage, "^p ^c c ");
	/* Nor Bus Master Enable, which is of requests. */
	lab_change(named(stage, "p"), COMMAND, COMMAND_MASTER, 0);
	lab_change(named(stage, "^p"), COMMAND, COMMAND_MASTER, 0);
	reads(stage, "c", "p");
	arrived(stage, "p");
	/* With its bus number led elsewhere, the requester is not found. */
	lab_set(named(stage, "^c"), 0x18, 4, (uint32_t)port.bus | 0xf0 << 8 | 0xf0 << 16);
	lab_skip_events(&stage->lab);
	stage->last = lab_dma(&stage->lab, c, P2PDMA_OP_READ, address, PAGE, stage->bytes);
	assert_int_equal(stage->last.status, P2PDMA_DMA_TIMEOUT);
	assert_true(lab_logged(&stage->lab, P2PDMA_SIM_EVENT_TIMEOUT, c));
}

static void unclaimed_address(void **state)
{
	struct stage *stage = *state;

	dma_at(stage, "c", P2PDMA_OP_WRITE, 0x700000000000, PAGE, false);
	ended(stage, "root c", P2PDMA_SIM_UR, P2PDMA_DMA_OK, P2PDMA_SIM_EVENT_UR, 0);
	dma_at(stage, "c", P2PDMA_OP_READ, 0x700000000000, PAGE, false);
	ended(stage, "root c", P2PDMA_SIM_UR, P2PDMA_DMA_UR, P2PDMA_SIM_EVENT_UR, 0);
	requested(stage, "^c ^^c ^^^c root ");
	completed(stage, "^^^c ^^c ^c c ");
}

/* ---- command registers (PCIe Base 7.5.1.1.3) ---- */

static void memory_space_enable(void **state)
{
	struct stage *stage = *state;

	lab_change(named(stage, "p"), COMMAND, COMMAND_MEMORY, 0);
	both_unsupported(stage, "c", "p", "p");
	both_unsupported(stage, "d", "p", "p");
	lab_change(named(stage, "p"), COMMAND, 0, COMMAND_MEMORY);
	reads(stage, "c", "p");
	arrived(stage, "p");
	lab_change(named(stage, "i"), COMMAND, COMMAND_MEMORY, 0);
	both_unsupported(stage, "c", "i", "i");
}

static void memory_space_enable_of_bridges(void **state)
{
	struct stage *stage = *state;

	lab_change(named(stage, "^d"), COMMAND, COMMAND_MEMORY, 0);
	both_unsupported(stage, "c", "d", "^d");
	lab_change(named(stage, "^^^d"), COMMAND, COMMAND_MEMORY, 0);
	both_unsupported(stage, "c", "d", "^^^d");
	/* What goes up is not its concern. */
	writes(stage, "d", "p");
	arrived(stage, "p");
	lab_change(named(stage, "^^^c"), COMMAND, COMMAND_MEMORY, 0);
	both_unsupported(stage, "i", "p", "^^^c");
	writes(stage, "p", "i");
	arrived(stage, "i");
}

static void bus_master_enable(void **state)
{
	struct stage *stage = *state;

	lab_change(named(stage, "c"), COMMAND, COMMAND_MASTER, 0);
	writes(stage, "c", "p");
	assert_int_equal(stage->last.fate, P2PDMA_SIM_NOT_SENT);
	assert_int_equal(stage->last.status, P2PDMA_DMA_OFF);
	assert_int_equal(stage->last.hop_count, 0);
	reads(stage, "c", "p");
	assert_int_equal(stage->last.status, P2PDMA_DMA_OFF);
	reads(stage, "p", "c");
	arrived(stage, "c");
}

static void bus_master_enable_of_bridges(void **state)
{
	struct stage *stage = *state;

	lab_change(named(stage, "^c"), COMMAND, COMMAND_MASTER, 0);
	both_unsupported(stage, "c", "p", "^c");
	reads(stage, "p", "c");
	arrived(stage, "c");
	/* The upstream port's: only of what leaves the switch. */
	lab_change(named(stage, "^^p"), COMMAND, COMMAND_MASTER, 0);
	reads(stage, "p", "c");
	arrived(stage, "c");
	both_unsupported(stage, "p", "i", "^^p");
	lab_change(named(stage, "^^p"), COMMAND, 0, COMMAND_MASTER);
	lab_change(named(stage, "^^^p"), COMMAND, COMMAND_MASTER, 0);
	both_unsupported(stage, "p", "i", "^^^p");
}

static void memory_enable_of_virtual_functions(void **state)
{
	static const char json[] =
		FABRIC("", "{" OPEN_ROOT ",\"below\":[{\"type\":\"switch\",\"below\":[" PROBE(
				   "c", 1, "") "," PROBE("pf", 2, ",\"vfs\":2") "]}]}");
	struct p2pdma_device *pf, *vf;
	struct p2pdma_bar range;
	struct p2pdma_bdf bdf;
	struct stage stage;
	size_t sriov;

	(void)state;
	open_stage(&stage, json);
	pf = named(&stage, "pf");
	sriov = lab_ext(pf, EXT_SRIOV);
	bdf = lab_bdf(pf);
	bdf.devfn += (uint8_t)(lab_get(pf, sriov + 0x14, 2) + lab_get(pf, sriov + 0x16, 2));
	assert_int_equal(p2pdma_machine_find(stage.lab.machine, bdf, &vf), 0);
	assert_ptr_equal(p2pdma_device_physfn(vf), pf);
	assert_int_equal(p2pdma_device_bar(vf, 0, &range), 0);
	dma_at(&stage, "c", P2PDMA_OP_WRITE, range.bus.addr, PAGE, false);
	assert_int_equal(stage.last.fate, P2PDMA_SIM_ARRIVED);
	assert_true(lab_same(stage.last.at, bdf));
	lab_change(pf, sriov + 8, 0x8, 0);
	dma_at(&stage, "c", P2PDMA_OP_READ, range.bus.addr, PAGE, false);
	assert_int_equal(stage.last.fate, P2PDMA_SIM_UR);
	assert_int_equal(stage.last.status, P2PDMA_DMA_UR);
	assert_true(lab_same(stage.last.at, bdf));
	writes(&stage, "c", "pf");
	arrived(&stage, "pf");
	close_stage(&stage);
}

/* ---- power states (PCIe Base 5.3.1) ---- */

static void power_state_of_ends(void **state)
{
	struct stage *stage = *state;

	lab_power(named(stage, "p"), 3);
	both_unsupported(stage, "c", "p", "p");
	writes(stage, "p", "c");
	assert_int_equal(stage->last.fate, P2PDMA_SIM_NOT_SENT);
	lab_power(named(stage, "c"), 3);
	writes(stage, "c", "d");
	assert_int_equal(stage->last.fate, P2PDMA_SIM_NOT_SENT);
	assert_int_equal(stage->last.status, P2PDMA_DMA_OFF);
}

static void power_state_of_bridges(void **state)
{
	struct stage *stage = *state;

	lab_power(named(stage, "^p"), 3);
	both_unsupported(stage, "c", "p", "^p");
	both_unsupported(stage, "p", "c", "^p");
}

/* On the bus below a bridge that sleeps nothing moves. */
static void power_state_of_what_is_above(void **state)
{
	struct stage *stage = *state;

	lab_power(named(stage, "^^p"), 3);
	both_unsupported(stage, "c", "p", "^^p");
}

/* ---- payload (PCIe Base 2.2.2) ---- */

static void payload_above_the_receivers(void **state)
{
	struct stage *stage = *state;

	lab_payload(named(stage, "c"), 512);
	writes(stage, "c", "p");
	ended(stage, "^c", P2PDMA_SIM_MALFORMED, P2PDMA_DMA_OK, P2PDMA_SIM_EVENT_MALFORMED,
	      AER_BIT_MALFORMED);
	assert_false(has_bytes(stage, "p"));
	/* Read requests have no payload, and the completions are p's. */
	reads(stage, "c", "p");
	arrived(stage, "p");
	lab_payload(named(stage, "^c"), 512);
	lab_payload(named(stage, "^p"), 512);
	writes(stage, "c", "p");
	ended(stage, "p", P2PDMA_SIM_MALFORMED, P2PDMA_DMA_OK, P2PDMA_SIM_EVENT_MALFORMED,
	      AER_BIT_MALFORMED);
	/* Small ones fit. */
	dma_at(stage, "c", P2PDMA_OP_WRITE, bar_of(stage, "p"), 256, false);
	assert_int_equal(stage->last.fate, P2PDMA_SIM_ARRIVED);
	lab_payload(named(stage, "p"), 512);
	writes(stage, "c", "p");
	arrived(stage, "p");
	lab_payload(named(stage, "^c"), 128);
	reads(stage, "c", "p");
	assert_int_equal(stage->last.fate, P2PDMA_SIM_MALFORMED);
	assert_int_equal(stage->last.status, P2PDMA_DMA_TIMEOUT);
	assert_true(lab_logged(&stage->lab, P2PDMA_SIM_EVENT_MALFORMED, bdf_of(stage, "^c")));
}

/* ---- conventional buses ---- */

static void conventional_buses(void **state)
{
#define CONVENTIONAL(name, id) \
	"{\"type\":\"conventional\",\"name\":\"" name "\",\"model\":\"probe\",\"id\":" #id "}"
	static const char json[] = FABRIC(
		"",
		"{" OPEN_ROOT
		",\"below\":[{\"type\":\"bridge\",\"below\":[" CONVENTIONAL("a", 1) "," CONVENTIONAL("b", 2) ",{\"type\":\"bridge\",\"below\":[" CONVENTIONAL(
			"n",
			3) "]}]}," PROBE("e", 4,
	                                 "") ",{\"type\":\"port\",\"below\":[{\"type\":\"bridge\","
					     "\"below\":[" CONVENTIONAL("f", 5) "]}]}]}");
	struct stage stage;

	(void)state;
	open_stage(&stage, json);
	reads(&stage, "a", "b");
	arrived(&stage, "b");
	requested(&stage, "b ");
	completed(&stage, "a ");
	reads(&stage, "n", "a");
	arrived(&stage, "a");
	requested(&stage, "^n a ");
	completed(&stage, "^n n ");
	reads(&stage, "n", "e");
	arrived(&stage, "e");
	requested(&stage, "^n ^^n root ^e e ");
	completed(&stage, "^e root ^^n ^n n ");
	reads(&stage, "e", "f");
	arrived(&stage, "f");
	requested(&stage, "^e root ^^f ^f f ");
	lab_change(named(&stage, "b"), COMMAND, COMMAND_MEMORY, 0);
	writes(&stage, "a", "b");
	assert_int_equal(stage.last.fate, P2PDMA_SIM_UR);
	lab_change(named(&stage, "^f"), COMMAND, COMMAND_MASTER, 0);
	writes(&stage, "f", "e");
	assert_int_equal(stage.last.fate, P2PDMA_SIM_UR);
	assert_true(lab_same(stage.last.at, bdf_of(&stage, "^f")));
	close_stage(&stage);
}

/* ---- the CPU ---- */

static void only_the_cpu_reads_all_ones(void **state)
{
	struct stage *stage = *state;
	struct p2pdma_bar_map *map = lab_map(named(stage, "p"));
	uint64_t value = 0x1122334455667788;
	struct p2pdma_sim_totals before = { .size = sizeof(before) }, after = before;

	assert_int_equal(p2pdma_sim_get_totals(stage->lab.sim, &before), 0);
	assert_int_equal(p2pdma_bar_write(map, 8, 8, &value), 0);
	value = 0;
	assert_int_equal(p2pdma_bar_read(map, 8, 8, &value), 0);
	assert_int_equal(value, 0x1122334455667788);
	assert_int_equal(p2pdma_sim_get_totals(stage->lab.sim, &after), 0);
	assert_int_equal(after.mmio_writes - before.mmio_writes, 1);
	assert_int_equal(after.mmio_reads - before.mmio_reads, 1);
	lab_change(named(stage, "p"), COMMAND, COMMAND_MEMORY, 0);
	lab_skip_events(&stage->lab);
	assert_int_equal(p2pdma_bar_read(map, 8, 8, &value), 0);
	assert_true(value == UINT64_MAX);
	assert_true(lab_logged(&stage->lab, P2PDMA_SIM_EVENT_UR, bdf_of(stage, "p")));
	memset(stage->bytes, 0x77, PAGE);
	reads(stage, "c", "p");
	assert_int_equal(stage->last.status, P2PDMA_DMA_UR);
	assert_int_not_equal(stage->bytes[100], 0xff);
	p2pdma_bar_unmap(map);
}

/* ---- resets ---- */

static uint64_t where;

static void read_where(struct probe *probe, uint64_t offset)
{
	static uint8_t buffer[PAGE];

	(void)offset;
	probe->is_done = false;
	p2pdma_model_read(probe->function, where, sizeof(buffer), buffer, 0);
}

/* PCIe Base 6.6.2: the function alone; what it had under way ends without a word. */
static void function_level_reset(void **state)
{
	static const char json[] =
		FABRIC("", "{" OPEN_ROOT ",\"below\":[{\"type\":\"switch\",\"below\":[" PROBE(
				   "c", 1, ",\"bar\":\"registers\"") "," PROBE("p", 2, "") "]}]}");
	struct p2pdma_bar_map *map;
	struct p2pdma_device *c;
	struct probe *probe;
	struct stage stage;
	size_t exp;

	(void)state;
	open_stage(&stage, json);
	c = named(&stage, "c");
	probe = probe_of(&stage, "c");
	exp = lab_cap(c, CAP_EXP);
	where = bar_of(&stage, "p");
	probe->on_write = read_where;
	map = lab_map(c);
	assert_int_equal(p2pdma_bar_write(map, 0, 8, "go go go"), 0);
	lab_run(&stage.lab, 100000);
	assert_true(probe->is_done);
	assert_int_equal(probe->status, P2PDMA_DMA_OK);
	/* Again, and reset before the answer is there. */
	assert_int_equal(p2pdma_bar_write(map, 0, 8, "go go go"), 0);
	while (probe->is_done)
		lab_run(&stage.lab, 10);
	lab_payload(c, 128);
	lab_change(c, exp + 8, 0, 0x8000);
	assert_int_equal(probe->resets, 1);
	assert_int_equal(probe->last_reset, P2PDMA_RESET_FLR);
	assert_int_equal(lab_get(c, COMMAND, 2) & (COMMAND_MEMORY | COMMAND_MASTER), 0);
	assert_int_equal(lab_get(c, exp + 8, 2) & 0x80e0, 0); /* its MPS stays */
	lab_run(&stage.lab, 100000000);
	assert_false(probe->is_done);
	assert_int_equal(probe_of(&stage, "p")->resets, 0);
	writes(&stage, "c", "p");
	assert_int_equal(stage.last.fate, P2PDMA_SIM_NOT_SENT);
	lab_change(c, COMMAND, 0, COMMAND_MEMORY | COMMAND_MASTER);
	writes(&stage, "c", "p");
	arrived(&stage, "p");
	p2pdma_bar_unmap(map);
	close_stage(&stage);
}

/* PCIe Base 6.6.1, 7.5.1.3.13: all below, held until it is let go. */
static void secondary_bus_reset(void **state)
{
	struct stage *stage = *state;
	uint64_t bar = bar_of(stage, "d");

	lab_change(named(stage, "^^^d"), BRIDGE_CONTROL, 0, BRIDGE_RESET);
	assert_int_equal(probe_of(stage, "d")->resets, 1);
	assert_int_equal(probe_of(stage, "d")->last_reset, P2PDMA_RESET_HOT);
	assert_int_equal(probe_of(stage, "p")->resets, 0);
	dma_at(stage, "c", P2PDMA_OP_READ, bar, PAGE, false);
	assert_int_not_equal(stage->last.status, P2PDMA_DMA_OK);
	assert_int_equal(stage->last.bytes, 0);
	writes(stage, "d", "p");
	assert_int_equal(stage->last.fate, P2PDMA_SIM_NOT_SENT);
	lab_change(named(stage, "^^^d"), BRIDGE_CONTROL, BRIDGE_RESET, 0);
	/* As after power on: nobody has been given addresses. */
	assert_int_equal(lab_get(named(stage, "^^d"), COMMAND, 2) & 0x6, 0);
	dma_at(stage, "c", P2PDMA_OP_WRITE, bar, PAGE, false);
	ended(stage, "^^d", P2PDMA_SIM_UR, P2PDMA_DMA_OK, P2PDMA_SIM_EVENT_UR, AER_BIT_UR);
	writes(stage, "c", "p");
	arrived(stage, "p");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(memory_goes_by_windows_and_bars),
		TEST(closed_window_of_a_port),
		TEST(completions_go_by_id),
		TEST(unclaimed_address),
		TEST(memory_space_enable),
		TEST(memory_space_enable_of_bridges),
		TEST(bus_master_enable),
		TEST(bus_master_enable_of_bridges),
		cmocka_unit_test(memory_enable_of_virtual_functions),
		TEST(power_state_of_ends),
		TEST(power_state_of_bridges),
		TEST(power_state_of_what_is_above),
		TEST(payload_above_the_receivers),
		cmocka_unit_test(conventional_buses),
		TEST(only_the_cpu_reads_all_ones),
		cmocka_unit_test(function_level_reset),
		TEST(secondary_bus_reset),
	};

	return cmocka_run_group_tests_name("sim-rules", tests, NULL, NULL);
}
