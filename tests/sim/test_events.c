/* SPDX-License-Identifier: MIT */
/*
 * test_events.c - what comes and goes on a simulated machine, and how a driver is told.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "driver.h"
#include "lab.h"
#include <p2pdma/sim.h>

#define PAGE 4096u
#define MS   1000000ull

static const char machine[] =
	"{\"format\":\"p2pdma-fabric\",\"version\":1,\"iommu\":\"translated\",\"roots\":[{\"below\":["
	"{\"type\":\"switch\",\"below\":["
	"{\"model\":\"mem\",\"size\":\"64K\",\"name\":\"card\"},"
	"{\"model\":\"dma\",\"name\":\"engine\"}]}]}]}";

static struct lab lab;

static int open_lab(void **state)
{
	(void)state;
	return lab_open(&lab, machine, NULL);
}

static int close_lab(void **state)
{
	(void)state;
	lab_close(&lab);
	return 0;
}

static void start(struct driver *driver)
{
	assert_int_equal(driver_start(driver, lab.machine, lab_device(&lab, "engine")), 0);
}

static void fault(uint64_t when, const char *what, struct p2pdma_bdf bdf)
{
	struct p2pdma_error err;
	char json[200];

	snprintf(json, sizeof(json), "{\"at_ns\":%" PRIu64 ",\"do\":\"%s\",\"device\":\"%s\"}",
	         when, what, lab_text(bdf));
	if (p2pdma_sim_fault(lab.sim, json, &err))
		fail_msg("%s", err.text);
}

static void a_hung_device_comes_back_by_its_link(void **state)
{
	struct driver driver;

	(void)state;
	start(&driver);
	fault(0, "hang", lab_bdf(driver.device));
	lab_run(&lab, MS);
	assert_int_equal(driver_get(&driver, DRIVER_REG_MAGIC), UINT32_MAX);
	assert_int_equal(p2pdma_device_reset(driver.device, NULL), 0);
	assert_int_equal(driver_get(&driver, DRIVER_REG_MAGIC), DRIVER_MAGIC);
	assert_int_equal(driver_start_ring(&driver), 0);
	driver_stop(&driver);
}

static void expect_event(enum p2pdma_event_kind kind, struct p2pdma_bdf bdf)
{
	struct p2pdma_event event;

	assert_int_equal(p2pdma_machine_event(lab.machine, &event), 0);
	assert_int_equal(event.kind, kind);
	assert_true(lab_same(event.bdf, bdf));
	assert_in_range(event.time, 1, p2pdma_machine_now(lab.machine));
}

static bool has(struct p2pdma_machine *picture, struct p2pdma_bdf bdf)
{
	struct p2pdma_device *device;

	return !p2pdma_machine_find(picture, bdf, &device);
}

static void an_idle_machine_can_be_waited_for(void **state)
{
	struct p2pdma_bdf engine = lab_bdf(lab_device(&lab, "engine"));
	uint64_t now;

	(void)state;
	lab_run(&lab, 10);
	now = p2pdma_machine_now(lab.machine);
	assert_int_equal(p2pdma_machine_progress(lab.machine, UINT64_MAX), 0);
	assert_int_equal(p2pdma_machine_now(lab.machine), now);
	fault(now + MS, "remove", engine);
	assert_int_equal(p2pdma_machine_progress(lab.machine, UINT64_MAX), 1);
	assert_int_equal(p2pdma_machine_now(lab.machine), now + MS);
	assert_true(lab_logged(&lab, P2PDMA_SIM_EVENT_REMOVED, engine));
}

static void a_pulled_device_is_gone(void **state)
{
	struct p2pdma_event event;
	struct p2pdma_dma address = { 1 };
	struct p2pdma_bar_map *again;
	struct p2pdma_bdf bdf;
	uint8_t *memory = aligned_alloc(PAGE, PAGE), byte;
	struct driver driver;

	(void)state;
	start(&driver);
	bdf = lab_bdf(driver.device);
	assert_int_equal(p2pdma_machine_event(lab.machine, &event), -EAGAIN);
	fault(MS, "remove", bdf);
	fault(200 * MS, "add", bdf);
	while (p2pdma_machine_event(lab.machine, &event) == -EAGAIN)
		assert_int_equal(p2pdma_machine_progress(lab.machine, 3 * MS), 1);
	while (event.kind != P2PDMA_EVENT_REMOVED)
		assert_int_equal(p2pdma_machine_event(lab.machine, &event), 0);
	assert_true(lab_same(event.bdf, bdf));
	assert_int_equal(event.time, MS);
	while (!p2pdma_machine_event(lab.machine, &event))
		;
	assert_int_equal(p2pdma_device_config_read(driver.device, 0, 1, &byte), -ENODEV);
	assert_int_equal(p2pdma_device_config_write(driver.device, 4, 2, 0), -ENODEV);
	assert_int_equal(driver_get(&driver, DRIVER_REG_MAGIC), UINT32_MAX);
	assert_int_equal(p2pdma_dma_map(driver.device, memory, PAGE, P2PDMA_OP_READ, &address),
	                 -ENODEV);
	assert_int_equal(p2pdma_bar_map(driver.device, 0, NULL, &again), -ENODEV);
	assert_int_equal(p2pdma_device_irq(driver.device, 0, driver.fd), -ENODEV);
	assert_int_equal(p2pdma_device_reset(driver.device, NULL), -ENODEV);
	lab_refresh(&lab);
	assert_false(has(lab.fresh, bdf));
	assert_true(has(lab.machine, bdf)); /* what was opened before stays */
	driver_stop(&driver);
	assert_int_equal(p2pdma_device_open(lab_device(&lab, "engine"), NULL), -ENODEV);

	while (p2pdma_machine_now(lab.machine) < 200 * MS)
		p2pdma_machine_progress(lab.machine, 300 * MS);
	assert_int_equal(p2pdma_machine_now(lab.machine), 200 * MS);
	while (!p2pdma_machine_event(lab.machine, &event) && event.kind != P2PDMA_EVENT_ADDED)
		;
	assert_int_equal(event.kind, P2PDMA_EVENT_ADDED);
	assert_true(lab_same(event.bdf, bdf));
	lab_refresh(&lab);
	assert_true(has(lab.fresh, bdf));
	lab_run(&lab, 100 * MS);
	start(&driver);
	driver_stop(&driver);
	free(memory);
}

static void a_link_that_goes_down_is_told(void **state)
{
	struct p2pdma_bdf port = lab_bdf(p2pdma_device_parent(lab_device(&lab, "card")));
	struct p2pdma_event event;

	(void)state;
	fault(1000, "link-down", port);
	fault(2000, "link-up", port);
	assert_int_equal(p2pdma_machine_progress(lab.machine, MS), 1);
	expect_event(P2PDMA_EVENT_LINK_DOWN, port);
	assert_int_equal(p2pdma_machine_progress(lab.machine, MS), 1);
	expect_event(P2PDMA_EVENT_LINK_UP, port);
	assert_int_equal(p2pdma_machine_event(lab.machine, &event), -EAGAIN);
}

/* Nobody picks them up: the first ones stay, and memory is bounded. */
static void unread_events_are_kept(void **state)
{
	struct p2pdma_bdf port = lab_bdf(p2pdma_device_parent(lab_device(&lab, "card")));
	struct p2pdma_event event;

	(void)state;
	for (uint64_t i = 1; i < 200; i += 2) {
		fault(1000 * i, "link-down", port);
		fault(1000 * (i + 1), "link-up", port);
	}
	lab_run(&lab, MS);
	for (unsigned int i = 0; i < 200; i++) {
		assert_int_equal(p2pdma_machine_event(lab.machine, &event), 0);
		assert_int_equal(event.kind, i % 2 ? P2PDMA_EVENT_LINK_UP : P2PDMA_EVENT_LINK_DOWN);
		assert_int_equal(event.time, 1000 * (i + 1));
	}
	assert_int_equal(p2pdma_machine_event(lab.machine, &event), -EAGAIN);
}

#define ON_A_MACHINE(name) cmocka_unit_test_setup_teardown(name, open_lab, close_lab)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_A_MACHINE(a_hung_device_comes_back_by_its_link),
		ON_A_MACHINE(an_idle_machine_can_be_waited_for),
		ON_A_MACHINE(a_pulled_device_is_gone),
		ON_A_MACHINE(a_link_that_goes_down_is_told),
		ON_A_MACHINE(unread_events_are_kept),
	};

	return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
