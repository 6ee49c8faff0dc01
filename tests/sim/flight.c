/* SPDX-License-Identifier: MIT */
/*
 * flight.c - what becomes of TLPs that are under way when something happens to those who sent them,
 * to their link, or to one of them.
 *
 * Machine: a switch with s (sends, on a slow link), p (memory), r (registers); i is integrated.
 */
#include <unistd.h>
#include <sys/eventfd.h>

#include "stage.h"

#define MIB 0x100000u

static const char machine[] = FABRIC(
	"\"landing_ns\":0,",
	"{" OPEN_ROOT
	",\"below\":[{\"type\":\"switch\",\"below\":[" PROBE("s", 1, ",\"link\":\"gen1 x1\"") "," PROBE(
		"p", 2,
		"") "," PROBE("r", 3,
                              ",\"bar\":\"registers\"") "]},"
							"{\"type\":\"integrated\",\"name\":\"i\",\"model\":\"probe\",\"id\":4}]}");

static struct stage stage;
static uint8_t *host; /* a MiB that s may write */
static uint64_t host_at;

static int set_up(void **state)
{
	struct p2pdma_dma dma;

	(void)state;
	open_stage(&stage, machine);
	host = aligned_alloc(4096, MIB);
	assert_non_null(host);
	memset(host, 0, MIB);
	assert_int_equal(p2pdma_device_open(named(&stage, "s"), NULL), 0);
	assert_int_equal(p2pdma_dma_map(named(&stage, "s"), host, MIB, P2PDMA_OP_BOTH, &dma), 0);
	host_at = dma.addr;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close_stage(&stage);
	free(host);
	return 0;
}

static void script(const char *format, const char *name)
{
	char text[256];

	snprintf(text, sizeof(text), format, lab_text(bdf_of(&stage, name)));
	assert_int_equal(p2pdma_sim_fault(stage.lab.sim, text, NULL), 0);
}

/* s writes 1 MiB to the host, which takes 4.7 ms; how much of it arrives. */
static uint64_t arrive_of_a_mib(void)
{
	uint8_t *bytes = malloc(MIB);
	struct p2pdma_sim_outcome outcome;

	assert_non_null(bytes);
	memset(bytes, 0x5a, MIB);
	outcome = lab_dma(&stage.lab, bdf_of(&stage, "s"), P2PDMA_OP_WRITE, host_at, MIB, bytes);
	free(bytes);
	assert_int_not_equal(outcome.fate, P2PDMA_SIM_ARRIVED);
	return outcome.bytes;
}

static void a_link_that_goes_down_loses_what_is_on_it(void **state)
{
	(void)state;
	script("{\"at_ns\":10000,\"do\":\"retrain\",\"device\":\"%s\"}", "^s");
	assert_in_range(arrive_of_a_mib(), 0, 16384);
	assert_in_range(p2pdma_machine_now(stage.lab.machine), 10000, 100000);
}

static void a_pulled_device_sends_no_more(void **state)
{
	(void)state;
	script("{\"at_ns\":10000,\"do\":\"remove\",\"device\":\"%s\"}", "s");
	script("{\"at_ns\":20000,\"do\":\"add\",\"device\":\"%s\"}", "s");
	assert_in_range(arrive_of_a_mib(), 0, 16384);
}

static void a_hung_device_sends_no_more(void **state)
{
	(void)state;
	script("{\"at_ns\":10000,\"do\":\"hang\",\"device\":\"%s\"}", "s");
	assert_in_range(arrive_of_a_mib(), 0, 16384);
}

static void a_reset_device_sends_no_more(void **state)
{
	(void)state;
	script("{\"at_ns\":10000,\"do\":\"reset\",\"device\":\"%s\"}", "s");
	assert_in_range(arrive_of_a_mib(), 0, 16384);
}

static void a_hung_device_completes_no_more(void **state)
{
	static uint8_t bytes[PROBE_BYTES];
	struct p2pdma_sim_outcome outcome;

	(void)state;
	script("{\"at_ns\":10000,\"do\":\"hang\",\"device\":\"%s\"}", "s");
	outcome = lab_dma(&stage.lab, bdf_of(&stage, "p"), P2PDMA_OP_READ, bar_of(&stage, "s"),
	                  sizeof(bytes), bytes);
	assert_int_equal(outcome.status, P2PDMA_DMA_TIMEOUT);
	assert_in_range(outcome.bytes, 0, PROBE_BYTES / 2);
}

static void the_link_is_free_for_what_comes_after(void **state)
{
	uint8_t bytes[64] = { 0 };

	(void)state;
	script("{\"at_ns\":10000,\"do\":\"reset\",\"device\":\"%s\"}", "s");
	arrive_of_a_mib();
	lab_set(named(&stage, "s"), COMMAND, 2, COMMAND_MEMORY | COMMAND_MASTER);
	assert_in_range(lab_dma(&stage.lab, bdf_of(&stage, "s"), P2PDMA_OP_WRITE, host_at, 64,
	                        bytes)
	                        .latency,
	                1, 20000);
}

/* Closing switches bus mastering off: nothing comes after the last that was on its way. */
static void a_closed_device_sends_no_more(void **state)
{
	static uint8_t bytes[65536];
	struct probe *probe = probe_of(&stage, "s");
	uint8_t *target = probe_of(&stage, "p")->memory;
	size_t landed = 0;

	(void)state;
	memset(bytes, 0x5a, sizeof(bytes));
	for (size_t i = 0; i < PROBE_BYTES; i += 256)
		p2pdma_model_write(probe->function, bar_of(&stage, "p") + i, 256, bytes);
	p2pdma_device_close(named(&stage, "s"));
	lab_run(&stage.lab, 10000000);
	for (size_t i = 0; i < PROBE_BYTES; i++)
		landed += target[i] == 0x5a;
	assert_in_range(landed, 0, 1024);
}

static void a_read_does_not_pass_a_delayed_store(void **state)
{
	struct p2pdma_bar_map *map = lab_map(named(&stage, "p"));
	uint32_t value = 0x1234, back = 0;

	(void)state;
	script("{\"tlp\":{\"type\":\"write\",\"at\":\"%s\"},\"do\":\"delay\",\"delay_ns\":100000}",
	       "p");
	assert_int_equal(p2pdma_bar_write(map, 0, 4, &value), 0);
	assert_int_equal(p2pdma_bar_read(map, 0, 4, &back), 0);
	assert_int_equal(back, value);
	assert_true(p2pdma_machine_now(stage.lab.machine) >= 100000);
	p2pdma_bar_unmap(map);
}

static void a_delay_does_not_change_the_way(void **state)
{
	uint64_t latency[2];

	(void)state;
	for (int delayed = 0; delayed < 2; delayed++) {
		lab_acs(named(&stage, "^s"), P2PDMA_ACS_REQ_REDIR);
		lab_acs(named(&stage, "^^^s"), P2PDMA_ACS_UPSTREAM_FWD);
		if (delayed)
			script("{\"tlp\":{\"type\":\"write\",\"at\":\"%s\",\"nth\":31},"
			       "\"do\":\"delay\",\"delay_ns\":5000}",
			       "^^s");
		writes(&stage, "s", "p");
		arrived(&stage, "p");
		requested(&stage, "^s ^^s ^^^s root ^^^s ^^s ^p p ");
		latency[delayed] = stage.last.latency;
	}
	assert_in_range(latency[1] - latency[0], 5000, 6000);
}

/* Without a wire on the way, too: an interrupt says that the data is there. */
static void the_interrupt_of_an_integrated_device_comes_last(void **state)
{
	struct probe *probe = probe_of(&stage, "i");
	uint8_t bytes[64];
	uint64_t count;
	struct p2pdma_dma dma;
	int fd = eventfd(0, EFD_NONBLOCK);

	(void)state;
	memset(bytes, 0x5a, sizeof(bytes));
	assert_int_equal(p2pdma_device_open(named(&stage, "i"), NULL), 0);
	assert_int_equal(p2pdma_dma_map(named(&stage, "i"), host, MIB, P2PDMA_OP_WRITE, &dma), 0);
	/* The MSI-X message itself, as vectors.c sends it, is a write of 4 bytes there. */
	p2pdma_model_write(probe->function, dma.addr, sizeof(bytes), bytes);
	p2pdma_model_write(probe->function, 0xfee00000, 4, bytes);
	while (!host[0])
		assert_int_equal(p2pdma_machine_progress(stage.lab.machine, 1000000), 1);
	assert_int_equal(host[63], 0x5a);
	assert_int_equal(read(fd, &count, sizeof(count)), -1);
	close(fd);
}

static void stores_take_time_once_many_are_under_way(void **state)
{
	struct p2pdma_bar_map *map = lab_map(named(&stage, "r"));
	uint64_t value = 1;

	(void)state;
	for (int i = 0; i < 10000; i++)
		assert_int_equal(p2pdma_bar_write(map, 0, 8, &value), 0);
	assert_true(p2pdma_machine_now(stage.lab.machine) > 10000);
	lab_run(&stage.lab, 1000000);
	assert_int_equal(probe_of(&stage, "r")->writes, 10000);
	p2pdma_bar_unmap(map);
}

static void there_is_nothing_beyond_the_last_address(void **state)
{
	uint8_t bytes[256] = { 0 };
	struct p2pdma_sim_outcome outcome;

	(void)state;
	outcome = lab_dma(&stage.lab, bdf_of(&stage, "s"), P2PDMA_OP_WRITE, UINT64_MAX - 99, 256,
	                  bytes);
	assert_int_not_equal(outcome.fate, P2PDMA_SIM_ARRIVED);
	assert_int_equal(outcome.bytes, 0);
	outcome = lab_dma(&stage.lab, bdf_of(&stage, "s"), P2PDMA_OP_READ, UINT64_MAX - 99, 256,
	                  bytes);
	assert_int_equal(outcome.status, P2PDMA_DMA_UR);
	assert_int_equal(outcome.bytes, 0);
}

/* PCIe Base 7.5.3.5: Transactions Pending; all ones where nothing answers. */
static uint32_t pending(const char *name)
{
	const struct p2pdma_device *device = named(&stage, name);
	static size_t at;

	if (!at)
		at = lab_cap(device, CAP_EXP) + 10;
	return lab_get(device, at, 2) & 0x8020;
}

static struct probe *begin_reading(const char *provider)
{
	struct probe *probe = probe_of(&stage, "s");

	probe->is_done = false;
	assert_int_equal(pending("s"), 0);
	p2pdma_model_read(probe->function, bar_of(&stage, provider), PROBE_BYTES, probe->memory, 0);
	assert_int_equal(pending("s"), 0x20);
	return probe;
}

static void reads_are_pending_until_they_are_answered(void **state)
{
	struct probe *probe = begin_reading("p");

	(void)state;
	assert_int_equal(pending("p"), 0);
	lab_run(&stage.lab, 10000);
	assert_int_equal(pending("s"), 0x20); /* 16 KiB by a gen1 x1 link: 80 us */
	lab_run(&stage.lab, 1000000);
	assert_true(probe->is_done);
	assert_int_equal(pending("s"), 0);
	/* Writes are nothing that one waits for. */
	p2pdma_model_write(probe->function, bar_of(&stage, "p"), PROBE_BYTES, probe->memory);
	assert_int_equal(pending("s"), 0);
}

/* What a driver waits for that has switched bus mastering off, however many it was. */
static void what_is_pending_drains_without_bus_mastering(void **state)
{
	struct probe *probe = begin_reading("p");
	uint64_t deadline = p2pdma_machine_now(stage.lab.machine) + 10000000;

	(void)state;
	lab_run(&stage.lab, 10000);
	lab_change(named(&stage, "s"), COMMAND, COMMAND_MASTER, 0);
	assert_int_equal(pending("s"), 0x20);
	while (pending("s"))
		assert_int_equal(p2pdma_machine_progress(stage.lab.machine, deadline), 1);
	assert_in_range(p2pdma_machine_now(stage.lab.machine), 10000, 100000);
	lab_run(&stage.lab, 1);
	assert_true(probe->is_done);
}

static void what_is_never_answered_is_pending_until_the_timeout(void **state)
{
	struct probe *probe;

	(void)state;
	script("{\"at_ns\":0,\"do\":\"hang\",\"device\":\"%s\"}", "p");
	lab_run(&stage.lab, 10);
	probe = begin_reading("p");
	lab_change(named(&stage, "s"), COMMAND, COMMAND_MASTER, 0);
	lab_run(&stage.lab, 45000000);
	assert_int_equal(pending("s"), 0x20);
	lab_run(&stage.lab, 10000000);
	assert_int_equal(pending("s"), 0);
	assert_true(probe->is_done);
}

/* Nothing tells whether one that answers nothing has any: all ones. */
static void a_hung_device_looks_busy_until_it_is_reset(void **state)
{
	(void)state;
	begin_reading("p");
	script("{\"at_ns\":0,\"do\":\"hang\",\"device\":\"%s\"}", "s");
	lab_run(&stage.lab, 1000000000);
	assert_int_equal(pending("s"), 0x8020);
	script("{\"at_ns\":1,\"do\":\"reset\",\"device\":\"%s\"}", "s");
	lab_run(&stage.lab, 1000000);
	assert_int_equal(pending("s"), 0);
}

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_STAGE(a_link_that_goes_down_loses_what_is_on_it),
		ON_STAGE(a_pulled_device_sends_no_more),
		ON_STAGE(a_hung_device_sends_no_more),
		ON_STAGE(a_reset_device_sends_no_more),
		ON_STAGE(a_hung_device_completes_no_more),
		ON_STAGE(the_link_is_free_for_what_comes_after),
		ON_STAGE(a_closed_device_sends_no_more),
		ON_STAGE(a_read_does_not_pass_a_delayed_store),
		ON_STAGE(a_delay_does_not_change_the_way),
		ON_STAGE(the_interrupt_of_an_integrated_device_comes_last),
		ON_STAGE(stores_take_time_once_many_are_under_way),
		ON_STAGE(there_is_nothing_beyond_the_last_address),
		ON_STAGE(reads_are_pending_until_they_are_answered),
		ON_STAGE(what_is_pending_drains_without_bus_mastering),
		ON_STAGE(what_is_never_answered_is_pending_until_the_timeout),
		ON_STAGE(a_hung_device_looks_busy_until_it_is_reset),
	};

	return cmocka_run_group_tests_name("flight", tests, NULL, NULL);
}
