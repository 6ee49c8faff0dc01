/* SPDX-License-Identifier: MIT */
/*
 * test_sim.c - the ops of a simulated machine, on the fabric: what a driver is promised by access.h
 * and progress.h, in each mode of the IOMMU.
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

/*
 * Behind a switch a card of memory and two engines, behind another port a device of two functions,
 * and one inside of the root complex.
 */
#define MACHINE(iommu)                                                                            \
	"{\"format\":\"p2pdma-fabric\",\"version\":1,\"iommu\":\"" iommu "\",\"roots\":["         \
	"{\"platform\":{\"same_port\":\"rw\",\"across_ports\":\"rw\",\"across_sockets\":\"rw\"}," \
	"\"below\":[{\"type\":\"switch\",\"below\":["                                             \
	"{\"model\":\"mem\",\"size\":\"64K\",\"name\":\"card\"},"                                 \
	"{\"model\":\"dma\",\"name\":\"engine\"},"                                                \
	"{\"model\":\"dma\",\"name\":\"other\",\"flr\":false}]},"                                 \
	"{\"type\":\"device\",\"functions\":["                                                    \
	"{\"model\":\"mem\",\"size\":\"4K\",\"name\":\"left\",\"flr\":false},"                    \
	"{\"model\":\"mem\",\"size\":\"4K\",\"name\":\"right\",\"flr\":false}]},"                 \
	"{\"type\":\"integrated\",\"model\":\"mem\",\"size\":\"4K\",\"name\":\"inside\","         \
	"\"flr\":false}]}]}"

static struct lab lab;

static int open_none(void **state)
{
	(void)state;
	return lab_open(&lab, MACHINE("none"), NULL);
}

static int open_passthrough(void **state)
{
	(void)state;
	return lab_open(&lab, MACHINE("passthrough"), NULL);
}

static int open_translated(void **state)
{
	(void)state;
	return lab_open(&lab, MACHINE("translated"), NULL);
}

static int close_lab(void **state)
{
	(void)state;
	lab_close(&lab);
	return 0;
}

static uint8_t *pages(size_t count)
{
	uint8_t *memory = aligned_alloc(PAGE, count * PAGE);

	assert_non_null(memory);
	for (size_t i = 0; i < count * PAGE; i++)
		memory[i] = (uint8_t)(i * 31 + i / PAGE);
	return memory;
}

static void start(struct driver *driver, const char *name)
{
	int r = driver_start(driver, lab.machine, lab_device(&lab, name));

	if (r)
		fail_msg("%s: %s", name, strerror(-r));
}

static uint64_t map(const struct driver *driver, void *memory, size_t length, enum p2pdma_op op)
{
	struct p2pdma_dma address;

	assert_int_equal(p2pdma_dma_map(driver->device, memory, length, op, &address), 0);
	return address.addr;
}

static void unmap(const struct driver *driver, uint64_t address, size_t length)
{
	assert_int_equal(p2pdma_dma_unmap(driver->device, (struct p2pdma_dma){ address }, length),
	                 0);
}

static struct p2pdma_sim_totals totals(void)
{
	struct p2pdma_sim_totals all = { .size = sizeof(all) };

	assert_int_equal(p2pdma_sim_get_totals(lab.sim, &all), 0);
	return all;
}

/* What becomes of a write to what is mapped no more: there is memory yet, but nobody's. */
static enum p2pdma_sim_fate arrives_or_faults(void)
{
	return p2pdma_machine_caps(lab.machine) & P2PDMA_CAP_IOMMU ? P2PDMA_SIM_IOMMU
	                                                           : P2PDMA_SIM_ARRIVED;
}

static void it_says_what_it_can(void **state)
{
	unsigned int caps = p2pdma_machine_caps(lab.machine);

	(void)state;
	assert_int_equal(caps & ~(unsigned int)P2PDMA_CAP_IOMMU,
	                 P2PDMA_CAP_CONFIG | P2PDMA_CAP_EXT_CONFIG | P2PDMA_CAP_BAR_MAP |
	                         P2PDMA_CAP_DMA | P2PDMA_CAP_HOTPLUG | P2PDMA_CAP_TIME);
	assert_false(caps & P2PDMA_CAP_IOMMU);
	close_lab(NULL);
	open_translated(NULL);
	assert_true(p2pdma_machine_caps(lab.machine) & P2PDMA_CAP_IOMMU);
}

static void opening_names_what_is_wrong(void **state)
{
	static const struct p2pdma_model mem = { .size = sizeof(mem), .name = "mem" };
	static const struct p2pdma_model own = { .size = sizeof(own), .name = "own" };
	const struct p2pdma_model *const taken[] = { &mem }, *const twice[] = { &own, &own };
	struct p2pdma_machine *machine = NULL;
	struct p2pdma_error err = { "" };

	(void)state;
	assert_int_equal(p2pdma_machine_open("sim:", &err, &machine), -EINVAL);
	assert_non_null(strstr(err.text, "sim:FILE"));
	assert_int_equal(p2pdma_machine_open("sim:/nonexistent", &err, &machine), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent"));
	assert_int_equal(p2pdma_sim_open("/nonexistent", taken, 1, &err, &machine), -EEXIST);
	assert_non_null(strstr(err.text, "mem"));
	assert_int_equal(p2pdma_sim_open("/nonexistent", twice, 2, &err, &machine), -EEXIST);
	assert_non_null(strstr(err.text, "own"));
	assert_int_equal(p2pdma_sim_open("/nonexistent", twice, 1, &err, &machine), -ENOENT);
	assert_null(machine);
}

static void a_bar_is_memory_to_the_cpu(void **state)
{
	struct p2pdma_device *card = lab_device(&lab, "card");
	struct p2pdma_sim_totals before, after;
	struct p2pdma_bar_map *bar;
	uint8_t bytes[64], back[64];
	uint64_t start_time = p2pdma_machine_now(lab.machine);

	(void)state;
	memset(bytes, 0xa5, sizeof(bytes));
	assert_int_equal(p2pdma_device_open(card, NULL), 0);
	assert_int_equal(p2pdma_bar_map(card, 0, NULL, &bar), 0);
	assert_int_equal(p2pdma_bar_size(bar), 0x10000);
	before = totals();
	assert_int_equal(p2pdma_bar_write(bar, 0xffc0, sizeof(bytes), bytes), 0);
	assert_int_equal(p2pdma_bar_read(bar, 0xffc0, sizeof(back), back), 0);
	after = totals();
	assert_memory_equal(bytes, back, sizeof(bytes));
	assert_int_equal(after.mmio_writes - before.mmio_writes, 8);
	assert_int_equal(after.mmio_reads - before.mmio_reads, 8);
	assert_true(p2pdma_machine_now(lab.machine) > start_time);      /* a load takes its way */
	assert_int_equal(p2pdma_bar_map(card, 1, NULL, &bar), -EINVAL); /* the upper half */
	assert_int_equal(p2pdma_bar_map(card, 5, NULL, &bar), -EINVAL);
	p2pdma_bar_unmap(bar);
	p2pdma_device_close(card);
}

static void nobody_answers_what_is_switched_off(void **state)
{
	struct p2pdma_device *card = lab_device(&lab, "card");
	struct p2pdma_bar_map *bar;
	uint32_t value = 0x12345678, back = 0;

	(void)state;
	assert_int_equal(p2pdma_device_open(card, NULL), 0);
	assert_int_equal(p2pdma_bar_map(card, 0, NULL, &bar), 0);
	p2pdma_bar_write(bar, 0, 4, &value);
	p2pdma_bar_read(bar, 0, 4, &back); /* stores are posted */
	lab_change(card, COMMAND, COMMAND_MEMORY, 0);
	assert_int_equal(p2pdma_bar_read(bar, 0, 4, &back), 0);
	assert_int_equal(back, UINT32_MAX);
	lab_change(card, COMMAND, 0, COMMAND_MEMORY);
	assert_int_equal(p2pdma_bar_read(bar, 0, 4, &back), 0);
	assert_int_equal(back, value);
	p2pdma_bar_unmap(bar);
	p2pdma_device_close(card);
}

/* The CPU's page tables do not know that somebody writes a BAR register. */
static void a_map_stays_where_the_bar_was(void **state)
{
	struct p2pdma_device *card = lab_device(&lab, "card");
	uint64_t base = lab_bar(card);
	struct p2pdma_bar_map *old, *new;
	uint32_t value = 0x12345678, back = 0;

	(void)state;
	assert_int_equal(p2pdma_device_open(card, NULL), 0);
	assert_int_equal(p2pdma_bar_map(card, 0, NULL, &old), 0);
	p2pdma_bar_write(old, 0, 4, &value);
	p2pdma_bar_read(old, 0, 4, &back);                /* stores are posted */
	lab_set(card, 0x10, 4, (uint32_t)base + 0x20000); /* within the window of its port */
	assert_int_equal(p2pdma_bar_read(old, 0, 4, &back), 0);
	assert_int_equal(back, UINT32_MAX);
	assert_int_equal(p2pdma_bar_map(card, 0, NULL, &new), 0);
	assert_int_equal(p2pdma_bar_read(new, 0, 4, &back), 0);
	assert_int_equal(back, value);
	p2pdma_bar_unmap(old);
	p2pdma_bar_unmap(new);
	p2pdma_device_close(card);
}

static void host_memory_is_copied(void **state)
{
	uint8_t *memory = pages(4);
	uint64_t from, to;
	struct driver driver;

	(void)state;
	start(&driver, "engine");
	from = map(&driver, memory, 2 * PAGE, P2PDMA_OP_READ);
	to = map(&driver, memory + 2 * PAGE, 2 * PAGE, P2PDMA_OP_BOTH); /* the flush reads */
	memset(memory + 2 * PAGE, 0, 2 * PAGE);
	assert_int_equal(driver_copy(&driver, from, to, 2 * PAGE, DRIVER_FLUSH), 0);
	assert_memory_equal(memory, memory + 2 * PAGE, 2 * PAGE);
	unmap(&driver, from, 2 * PAGE);
	unmap(&driver, to, 2 * PAGE);
	driver_stop(&driver);
	free(memory);
}

/* What is not mapped any more is not touched, whatever the device still believes. */
static void an_unmapped_page_is_safe(void **state)
{
	uint8_t *memory = pages(2), was[PAGE];
	uint64_t from, to;
	struct p2pdma_sim_outcome outcome;
	struct driver driver;

	(void)state;
	start(&driver, "engine");
	from = map(&driver, memory, PAGE, P2PDMA_OP_READ);
	to = map(&driver, memory + PAGE, PAGE, P2PDMA_OP_WRITE);
	memcpy(was, memory + PAGE, PAGE);
	unmap(&driver, to, PAGE);
	driver_copy(&driver, from, to, PAGE, DRIVER_FLUSH);
	assert_memory_equal(memory + PAGE, was, PAGE);
	outcome = lab_dma(&lab, lab_bdf(driver.device), P2PDMA_OP_WRITE, to, PAGE, was);
	assert_int_equal(outcome.fate, arrives_or_faults());
	driver_stop(&driver);
	free(memory);
}

static void a_page_has_one_address(void **state)
{
	uint8_t *memory = pages(2);
	uint64_t first, second;
	struct driver driver;

	(void)state;
	start(&driver, "engine");
	first = map(&driver, memory, 2 * PAGE, P2PDMA_OP_BOTH);
	second = map(&driver, memory, 2 * PAGE, P2PDMA_OP_BOTH);
	assert_int_equal(first, second);
	unmap(&driver, first, 2 * PAGE);
	assert_int_equal(driver_copy(&driver, first, first + PAGE, PAGE, DRIVER_FLUSH), 0);
	assert_memory_equal(memory, memory + PAGE, PAGE);
	unmap(&driver, first, 2 * PAGE);
	memory[0] ^= 0xff;
	driver_copy(&driver, first, first + PAGE, PAGE, DRIVER_FLUSH);
	assert_true(memory[0] != memory[PAGE]);
	driver_stop(&driver);
	free(memory);
}

static void the_iommu_holds_to_the_direction(void **state)
{
	uint8_t *memory = pages(2), was[PAGE];
	uint64_t read_only, write_only;
	struct driver driver;

	(void)state;
	start(&driver, "engine");
	read_only = map(&driver, memory, PAGE, P2PDMA_OP_READ);
	write_only = map(&driver, memory + PAGE, PAGE, P2PDMA_OP_WRITE);
	memcpy(was, memory, PAGE);
	assert_int_equal(driver_copy(&driver, write_only, read_only, PAGE, 0), -EIO);
	assert_int_equal(driver.status, 0x10 + P2PDMA_DMA_UR);
	assert_true(totals().iommu_faults > 0);
	driver_copy(&driver, read_only, read_only, PAGE, 0); /* its writes are lost */
	lab_run(&lab, MS);
	assert_memory_equal(memory, was, PAGE);
	driver_stop(&driver);
	free(memory);
}

static void each_requester_has_its_own_addresses(void **state)
{
	uint8_t *memory = pages(2);
	struct driver driver, other;
	uint64_t address;

	(void)state;
	start(&driver, "engine");
	start(&other, "other");
	assert_int_equal(driver.address.addr, other.address.addr); /* another domain each */
	address = map(&driver, memory, 2 * PAGE, P2PDMA_OP_BOTH);
	assert_int_equal(driver_copy(&other, address, address + PAGE, PAGE, DRIVER_FLUSH), -EIO);
	assert_int_equal(driver_copy(&driver, address, address + PAGE, PAGE, DRIVER_FLUSH), 0);
	driver_stop(&other);
	assert_int_equal(driver_copy(&driver, address, address + PAGE, PAGE, DRIVER_FLUSH), 0);
	driver_stop(&driver);
	free(memory);
}

/* A switch would take them for a peer's (or the interrupt controller's) before any IOMMU does. */
static void no_address_of_memory_is_a_peers(void **state)
{
	const size_t length = 512ull << 20, count = 12; /* beyond 4 GiB */
	uint8_t *memory = pages(1);
	struct driver driver;

	(void)state;
	start(&driver, "engine");
	for (size_t i = 0; i < count; i++) {
		uint64_t address = map(&driver, memory, length, P2PDMA_OP_READ);

		assert_int_equal(address % (2u << 20), 0); /* in large pages */
		assert_true(address + length <= 0xfee00000 || address >= 0xfef00000);
		for (size_t j = 0; j < p2pdma_machine_device_count(lab.machine); j++) {
			struct p2pdma_device *device = p2pdma_machine_device(lab.machine, j);
			struct p2pdma_bar bar;

			for (int k = 0; k < 6; k++)
				if (!p2pdma_device_bar(device, k, &bar) && bar.size)
					assert_true(address + length <= bar.bus.addr ||
					            address >= bar.bus.addr + bar.size);
		}
	}
	driver_stop(&driver);
	free(memory);
}

static void time_stops_where_it_should(void **state)
{
	uint64_t now = p2pdma_machine_now(lab.machine);

	(void)state;
	assert_int_equal(p2pdma_machine_progress(lab.machine, now + MS), 0);
	assert_int_equal(p2pdma_machine_now(lab.machine), now + MS);
	assert_int_equal(p2pdma_machine_progress(lab.machine, now), 0);
	assert_int_equal(p2pdma_machine_now(lab.machine), now + MS);
	/* The end of time comes, once. */
	assert_int_equal(p2pdma_machine_progress(lab.machine, UINT64_MAX), 0);
	now = p2pdma_machine_now(lab.machine);
	assert_int_equal(p2pdma_machine_progress(lab.machine, UINT64_MAX), 0);
	assert_int_equal(p2pdma_machine_now(lab.machine), now);
}

static void progress_returns_for_what_one_can_see(void **state)
{
	uint8_t *memory = pages(2);
	struct driver driver;
	uint64_t from, begin;

	(void)state;
	start(&driver, "engine");
	from = map(&driver, memory, 2 * PAGE, P2PDMA_OP_BOTH);
	while (p2pdma_machine_progress(lab.machine, p2pdma_machine_now(lab.machine)) > 0)
		;
	begin = p2pdma_machine_now(lab.machine);
	assert_int_equal(driver_copy(&driver, from, from + PAGE, PAGE, 0), 0);
	assert_true(p2pdma_machine_now(lab.machine) < begin + MS / 10);
	driver_stop(&driver);
	free(memory);
}

static void interrupts_come_by_eventfd(void **state)
{
	uint8_t *memory = pages(2);
	struct driver driver;
	uint64_t from, count;
	int fd;

	(void)state;
	start(&driver, "engine");
	from = map(&driver, memory, 2 * PAGE, P2PDMA_OP_BOTH);
	for (int i = 0; i < 3; i++)
		assert_int_equal(driver_copy(&driver, from, from + PAGE, PAGE, DRIVER_IRQ), 0);
	assert_int_equal(driver_interrupts(&driver, 3), 0);
	assert_int_equal(p2pdma_device_irq(driver.device, 1, driver.fd), -EINVAL);
	assert_int_equal(p2pdma_device_irq(driver.device, 0, -1), 0);
	assert_int_equal(driver_copy(&driver, from, from + PAGE, PAGE, DRIVER_IRQ), 0);
	lab_run(&lab, MS);
	assert_int_equal(driver_interrupts(&driver, 0), 0);
	/* None after close. */
	assert_int_equal(p2pdma_device_irq(driver.device, 0, driver.fd), 0);
	assert_int_equal(driver_interrupts(&driver, 1), 0); /* it was pending */
	fd = dup(driver.fd);
	driver_stop(&driver);
	lab_run(&lab, MS);
	assert_int_equal(read(fd, &count, sizeof(count)), -1);
	close(fd);
	free(memory);
}

static void closing_takes_everything_back(void **state)
{
	uint8_t *memory = pages(1), was[PAGE], bytes[64] = { 0 };
	struct p2pdma_sim_outcome outcome;
	struct driver driver;
	uint64_t address;

	(void)state;
	memcpy(was, memory, PAGE);
	start(&driver, "engine");
	address = map(&driver, memory, PAGE, P2PDMA_OP_BOTH);
	outcome = lab_dma(&lab, lab_bdf(driver.device), P2PDMA_OP_READ, address, 64, bytes);
	assert_int_equal(outcome.fate, P2PDMA_SIM_ARRIVED);
	assert_memory_equal(bytes, memory, 64);
	driver_stop(&driver);
	driver.device = lab_device(&lab, "engine");
	outcome = lab_dma(&lab, lab_bdf(driver.device), P2PDMA_OP_WRITE, address, 64, bytes);
	assert_int_equal(outcome.fate, P2PDMA_SIM_NOT_SENT); /* bus mastering is off */
	lab_change(driver.device, COMMAND, 0, COMMAND_MASTER);
	memset(bytes, 0, sizeof(bytes));
	outcome = lab_dma(&lab, lab_bdf(driver.device), P2PDMA_OP_WRITE, address, 64, bytes);
	assert_int_equal(outcome.fate, arrives_or_faults());
	assert_memory_equal(memory, was, PAGE);
	free(memory);
}

/* By the function itself, and by its link where it is alone on that. */
static void a_reset_gives_back_a_working_device(void **state)
{
	static const char *const names[] = { "engine", "other" };
	uint8_t *memory = pages(2);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		uint8_t before[PAGE], after[PAGE];
		struct driver driver;
		uint64_t from, begin;

		start(&driver, names[i]);
		from = map(&driver, memory, 2 * PAGE, P2PDMA_OP_BOTH);
		lab_set(driver.device, 0x3c, 1, 0x2a); /* a register that resets change */
		p2pdma_device_config_read(driver.device, 0, PAGE, before);
		begin = p2pdma_machine_now(lab.machine);
		assert_int_equal(p2pdma_device_reset(driver.device, NULL), 0);
		assert_in_range(p2pdma_machine_now(lab.machine) - begin, 100 * MS, 110 * MS);
		p2pdma_device_config_read(driver.device, 0, PAGE, after);
		assert_memory_equal(before, after, PAGE);
		assert_int_equal(driver_get(&driver, DRIVER_REG_STATUS), 0); /* its ring is gone */
		assert_int_equal(driver_start_ring(&driver), 0);
		assert_int_equal(driver_copy(&driver, from, from + PAGE, PAGE, DRIVER_IRQ), 0);
		assert_int_equal(driver_interrupts(&driver, 1), 0);
		driver_stop(&driver);
	}
	free(memory);
}

static void what_is_not_alone_is_not_reset(void **state)
{
	static const char *const names[] = { "left", "right", "inside" };
	struct p2pdma_error err;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct p2pdma_device *device = lab_device(&lab, names[i]);
		uint32_t command = lab_get(device, COMMAND, 2);

		assert_int_equal(p2pdma_device_open(device, NULL), 0);
		assert_int_equal(p2pdma_device_reset(device, &err), -ENOTTY);
		assert_non_null(strstr(err.text, i < 2 ? "others share the link: it cannot be reset"
		                                       : "no link of its own: it cannot be reset"));
		assert_int_equal(lab_get(device, COMMAND, 2), command);
		p2pdma_device_close(device);
	}
}

/* All ones, which a VF's vendor ID and whatever hangs give, tell nothing of what it can. */
static void its_own_registers_say_how_it_is_reset(void **state)
{
	static const struct {
		const char *hangs, *device;
		int r;
		const char *words;
	} cases[] = {
		{ "01:00.0", "01:00.0", 0, "" }, /* a PF; its VFs share the link */
		{ "01:00.1", "01:00.1", 0, "" }, /* a VF */
		{ "01:00.0", "01:00.1", -ENODEV, "does not answer" },
		{ "02:00.0", "01:00.1", 0, "" },
		{ "02:00.0", "02:00.0", 0, "" }, /* one of two functions */
		{ "02:00.1", "02:00.1", -ENOTTY, "others share the link" },
		{ "03:00.0", "03:00.0", 0, "" }, /* by its link */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct p2pdma_error err = { "" };
		struct p2pdma_device *device;
		uint32_t command;
		char fault[80];

		close_lab(NULL);
		lab_open(&lab,
		         "{\"format\":\"p2pdma-fabric\",\"version\":1,\"roots\":[{\"below\":["
		         "{\"model\":\"mem\",\"size\":\"4K\",\"vfs\":2},{\"functions\":["
		         "{\"model\":\"mem\",\"size\":\"4K\"},{\"flr\":false}]},"
		         "{\"model\":\"mem\",\"size\":\"4K\",\"flr\":false}]}]}",
		         NULL);
		device = lab_device(&lab, cases[i].device);
		command = lab_get(device, COMMAND, 2);
		snprintf(fault, sizeof(fault), "{\"at_ns\":1,\"do\":\"hang\",\"device\":\"%s\"}",
		         cases[i].hangs);
		assert_int_equal(p2pdma_sim_fault(lab.sim, fault, NULL), 0);
		lab_run(&lab, 10);
		assert_int_equal(p2pdma_device_open(device, NULL), 0);
		assert_int_equal(p2pdma_device_reset(device, &err), cases[i].r);
		assert_non_null(strstr(err.text, cases[i].words));
		assert_int_equal(lab_get(device, COMMAND, 2), cases[i].r ? 0xffff : command);
	}
}

#define ON(name, mode)                                                   \
	{                                                                \
#name " (" #mode ")", name, open_##mode, close_lab, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(it_says_what_it_can, none),
		ON(opening_names_what_is_wrong, none),
		ON(a_bar_is_memory_to_the_cpu, none),
		ON(nobody_answers_what_is_switched_off, none),
		ON(a_map_stays_where_the_bar_was, none),
		ON(host_memory_is_copied, none),
		ON(host_memory_is_copied, passthrough),
		ON(host_memory_is_copied, translated),
		ON(an_unmapped_page_is_safe, none),
		ON(an_unmapped_page_is_safe, passthrough),
		ON(an_unmapped_page_is_safe, translated),
		ON(a_page_has_one_address, none),
		ON(the_iommu_holds_to_the_direction, translated),
		ON(each_requester_has_its_own_addresses, translated),
		ON(no_address_of_memory_is_a_peers, none),
		ON(no_address_of_memory_is_a_peers, translated),
		ON(time_stops_where_it_should, none),
		ON(progress_returns_for_what_one_can_see, translated),
		ON(interrupts_come_by_eventfd, none),
		ON(interrupts_come_by_eventfd, translated),
		ON(closing_takes_everything_back, none),
		ON(closing_takes_everything_back, translated),
		ON(a_reset_gives_back_a_working_device, none),
		ON(a_reset_gives_back_a_working_device, translated),
		ON(what_is_not_alone_is_not_reset, none),
		ON(its_own_registers_say_how_it_is_reset, none),
	};

	return cmocka_run_group_tests_name("sim", tests, NULL, NULL);
}
