/* SPDX-License-Identifier: MIT */
/*
 * test_provider.c - registering BAR memory, publishing it, its numbers, its end.
 */
#include "scene.h"

#define MACHINE                                                                  \
	SWITCH("", "{\"model\":\"mem\",\"size\":\"1M\",\"name\":\"card\"},"      \
	           "{\"model\":\"dma\",\"memory\":\"64K\",\"name\":\"engine\"}," \
	           "{\"model\":\"mem\",\"size\":\"4K\",\"name\":\"small\"}")

static int add(struct p2pdma_device *device, int bar, uint64_t size, uint64_t offset,
               uint64_t granule, bool is_naked)
{
	struct p2pdma_resource_opts opts = { sizeof(opts), granule, is_naked };
	struct p2pdma_provider *provider = (void *)&opts;
	struct p2pdma_error err = { "" };
	int r = p2pdma_add_resource(device, bar, size, offset, &opts, &err, &provider);

	if (r) {
		assert_ptr_equal(provider, &opts);
		assert_string_not_equal(err.text, "");
	} else {
		p2pdma_provider_put(provider);
	}
	return r;
}

static void a_range_has_to_be_there_and_free(void **state)
{
	struct p2pdma_device *card, *engine;
	struct lab lab;

	(void)state;
	lab_open(&lab, MACHINE, NULL);
	card = lab_device(&lab, "card");
	assert_int_equal(add(card, 0, 0, 0, 0, false), -EPERM);
	card = open_device(&lab, "card");
	engine = open_device(&lab, "engine");
	assert_int_equal(add(card, -1, 0, 0, 0, false), -EINVAL);
	assert_int_equal(add(card, 6, 0, 0, 0, false), -EINVAL);
	assert_int_equal(add(card, 1, 0, 0, 0, false), -EINVAL); /* the upper half */
	assert_int_equal(add(card, 2, 0, 0, 0, false), -EINVAL);
	assert_int_equal(add(card, 0, 2 * MIB, 0, 0, false), -EINVAL);
	assert_int_equal(add(card, 0, MIB, PAGE, 0, false), -EINVAL);
	assert_int_equal(add(card, 0, 0, MIB, 0, false), -EINVAL);
	assert_int_equal(add(card, 0, UINT64_MAX - PAGE + 1, PAGE, 0, false), -EINVAL);
	assert_int_equal(add(card, 0, PAGE, 64, 0, false), -EINVAL);
	assert_int_equal(add(card, 0, PAGE + 64, 0, 0, false), -EINVAL);
	assert_int_equal(add(card, 0, 0, 0, 32, false), -EINVAL);
	assert_int_equal(add(card, 0, 0, 0, 4 * MIB, false), -EINVAL);
	assert_int_equal(add(card, 0, 0, 0, 96, false), -EINVAL);
	assert_int_equal(add(card, 0, 0, 0, 2 * MIB, false), -EINVAL); /* above the BAR */
	/* MSI-X: table and pending bits are in BAR 4. */
	assert_int_equal(add(engine, 4, 0, 0, 64, false), -EINVAL);
	assert_int_equal(add(engine, 4, 64, 0, 64, false), -EINVAL);
	assert_int_equal(add(engine, 2, 0, 0, 0, false), 0);
	/* Chunks: as many as 8, apart, all alike. */
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(add(card, 0, 2 * PAGE, 4 * PAGE * i, 0, false), 0);
	assert_int_equal(add(card, 0, PAGE, PAGE, 0, false), -EINVAL);
	assert_int_equal(add(card, 0, 3 * PAGE, 2 * PAGE, 0, false), -EINVAL);
	assert_int_equal(add(card, 0, PAGE, 2 * PAGE, 64, false), -EINVAL);
	assert_int_equal(add(card, 0, PAGE, 2 * PAGE, 0, true), -EINVAL);
	assert_int_equal(add(card, 0, PAGE, 2 * PAGE, 0, false), -ENOSPC);
	lab_close(&lab);
}

/* An IOMMU lets through whole pages. */
static void ranges_share_no_page(void **state)
{
	struct p2pdma_device *card;
	struct lab lab;

	(void)state;
	lab_open(&lab, MACHINE, NULL);
	card = open_device(&lab, "card");
	assert_int_equal(add(card, 0, 2048, 0, 64, false), 0);
	assert_int_equal(add(card, 0, 64, 2048, 64, false), -EINVAL);
	assert_int_equal(add(card, 0, PAGE, PAGE - 64, 64, false), -EINVAL);
	assert_int_equal(add(card, 0, 64, PAGE, 64, false), 0);
	lab_close(&lab);
}

static void an_io_bar_is_refused(void **state)
{
	struct p2pdma_provider *provider = NULL;
	struct p2pdma_machine *machine = NULL;
	struct p2pdma_error err = { "" };
	struct p2pdma_device *device;

	(void)state;
	assert_int_equal(p2pdma_machine_open("sim:" CAPTURES "/qemu-switch.json", &err, &machine),
	                 0);
	assert_int_equal(p2pdma_machine_resolve(machine, "00:1f.2", NULL, &device), 0);
	assert_int_equal(p2pdma_device_open(device, &err), 0);
	assert_int_equal(p2pdma_add_resource(device, 4, 0, 0, NULL, &err, &provider), -EINVAL);
	assert_non_null(strstr(err.text, "no memory"));
	p2pdma_machine_close(machine);
}

static void a_picture_has_no_providers(void **state)
{
	struct p2pdma_provider *provider = NULL;
	struct p2pdma_machine *machine = NULL;

	(void)state;
	assert_int_equal(
		p2pdma_machine_open("capture:" CAPTURES "/qemu-switch.json", NULL, &machine), 0);
	assert_int_equal(p2pdma_add_resource(p2pdma_machine_device(machine, 0), 0, 0, 0, NULL, NULL,
	                                     &provider),
	                 -EOPNOTSUPP);
	assert_null(provider);
	p2pdma_machine_close(machine);
}

static void opts_have_a_size(void **state)
{
	struct p2pdma_resource_opts opts = { .size = sizeof(opts) - 1 };
	size_t *smallest = malloc(sizeof(*smallest)); /* a sanitizer sees who reads on */
	struct p2pdma_provider *provider = NULL;
	struct lab lab;

	(void)state;
	lab_open(&lab, MACHINE, NULL);
	assert_int_equal(p2pdma_add_resource(open_device(&lab, "card"), 0, 0, 0, &opts, NULL,
	                                     &provider),
	                 -EINVAL);
	*smallest = sizeof(*smallest);
	assert_int_equal(p2pdma_add_resource(lab_device(&lab, "card"), 0, 0, 0, (void *)smallest,
	                                     NULL, &provider),
	                 -EINVAL);
	assert_null(provider);
	free(smallest);
	lab_close(&lab);
}

static void a_function_is_one_provider(void **state)
{
	struct p2pdma_provider *first, *second = NULL;
	struct p2pdma_provider_info info = { .size = sizeof(info) - 1 };
	struct p2pdma_device *engine;
	struct p2pmem_buf buf;
	struct lab lab;

	(void)state;
	lab_open(&lab, MACHINE, NULL);
	engine = open_device(&lab, "engine");
	assert_int_equal(p2pdma_add_resource(engine, 2, 2 * PAGE, 0, NULL, NULL, &first), 0);
	assert_int_equal(p2pdma_add_resource(engine, 2, 2 * PAGE, 2 * PAGE, NULL, NULL, &second),
	                 0);
	assert_ptr_equal(first, second);
	assert_int_equal(p2pdma_provider_get_info(first, &info), -EINVAL);
	info = info_of(first);
	assert_true(lab_same(info.bdf, lab_bdf(engine)));
	assert_int_equal(info.state, P2PDMA_PROVIDER_LIVE);
	assert_false(info.is_published);
	assert_false(info.is_naked);
	assert_int_equal(info.granule, PAGE);
	assert_int_equal(info.chunks, 2);
	assert_int_equal(info.total, 4 * PAGE);
	assert_int_equal(info.free, 4 * PAGE);
	/* Neighbours, and yet nothing spans both. */
	assert_int_equal(info.largest, 2 * PAGE);
	assert_int_equal(p2pmem_alloc(first, 3 * PAGE, 0, &buf), -ENOMEM);
	buf = alloc(first, 2 * PAGE);
	info = info_of(first);
	assert_int_equal(info.free, 2 * PAGE);
	assert_int_equal(info.buffers, 1);
	assert_int_equal(p2pmem_free(buf), 0);
	p2pdma_provider_put(first);
	p2pdma_provider_put(second);
	lab_close(&lab);
}

static void a_naked_one_is_for_exporters(void **state)
{
	struct p2pdma_resource_opts opts = { sizeof(opts), 0, true };
	struct p2pdma_provider *provider;
	struct p2pmem_buf buf;
	struct lab lab;

	(void)state;
	lab_open(&lab, MACHINE, NULL);
	assert_int_equal(p2pdma_add_resource(open_device(&lab, "engine"), 0, 0, 0, &opts, NULL,
	                                     &provider),
	                 0);
	assert_true(info_of(provider).is_naked);
	assert_int_equal(info_of(provider).free, 0);
	assert_int_equal(p2pmem_publish(provider, true), -EINVAL);
	assert_int_equal(p2pmem_alloc(provider, PAGE, 0, &buf), -EINVAL);
	p2pdma_provider_put(provider);
	lab_close(&lab);
}

static void removal_waits_and_says_what_is_out(void **state)
{
	struct p2pdma_provider *provider, *again = NULL;
	struct p2pdma_error err = { "" };
	struct p2pdma_device *card;
	struct p2pmem_buf buf, other;
	struct lab lab;

	(void)state;
	lab_open(&lab, MACHINE, NULL);
	card = open_device(&lab, "card");
	provider = add_all(card);
	assert_int_equal(p2pmem_publish(provider, true), 0);
	buf = alloc(provider, PAGE);
	assert_int_equal(p2pdma_provider_remove(provider, p2pdma_machine_now(lab.machine) + 5000000,
	                                        &err),
	                 -ETIMEDOUT);
	assert_non_null(strstr(err.text, "still out: 1 buffer ("));
	assert_int_equal(info_of(provider).state, P2PDMA_PROVIDER_DEAD);
	assert_int_equal(p2pmem_publish(provider, true), -ENODEV);
	assert_int_equal(p2pmem_alloc(provider, PAGE, 0, &other), -ENODEV);
	/* Its memory is not handed out a second time before. */
	assert_int_equal(add(card, 0, 0, 0, 0, false), -EBUSY);
	assert_int_equal(p2pmem_free(buf), 0);
	assert_int_equal(p2pdma_provider_remove(provider, 0, &err), 0);
	again = add_all(card);
	assert_ptr_not_equal(again, provider);
	p2pdma_provider_put(provider);
	p2pdma_provider_put(again);
	lab_close(&lab);
}

/* A reference keeps the numbers, not the memory; a buffer keeps them too. */
static void a_provider_outlives_its_machine(void **state)
{
	struct p2pdma_provider *provider;
	struct p2pmem_buf buf, other;
	struct lab lab;
	uint64_t value;

	(void)state;
	lab_open(&lab, MACHINE, NULL);
	provider = add_all(open_device(&lab, "card"));
	buf = alloc(provider, PAGE);
	p2pdma_provider_put(provider);
	lab_close(&lab);
	assert_int_equal(p2pmem_alloc(provider, PAGE, 0, &other), -ENODEV);
	assert_int_equal(p2pmem_read(buf, 0, 8, &value), -ENODEV);
	assert_int_equal(p2pdma_provider_remove(provider, UINT64_MAX, NULL), -ETIMEDOUT);
	assert_int_equal(p2pmem_free(buf), 0);
}

static void what_was_pulled_is_dead(void **state)
{
	struct p2pdma_provider *provider;
	struct p2pdma_device *card;
	struct p2pdma_event event;
	struct p2pmem_buf buf;
	struct lab lab;

	(void)state;
	lab_open(&lab, MACHINE, NULL);
	card = open_device(&lab, "card");
	provider = add_all(card);
	buf = alloc(provider, PAGE);
	pull(&lab, card, "remove");
	assert_int_equal(info_of(provider).state, P2PDMA_PROVIDER_DEAD);
	/* Somebody else is told as well. */
	assert_int_equal(p2pdma_machine_event(lab.machine, &event), 0);
	assert_int_equal(add(card, 0, 0, 0, 0, false), -ENODEV);
	assert_int_equal(p2pmem_free(buf), 0);
	pull(&lab, card, "add");
	/* Opened before it was pulled: that was another one. */
	assert_int_equal(add(card, 0, 0, 0, 0, false), -ENODEV);
	p2pdma_device_close(card);
	card = open_device(&lab, "card");
	assert_int_equal(add(card, 0, 0, 0, 0, false), 0);
	p2pdma_provider_put(provider);
	lab_close(&lab);
}

static void closing_ends_it(void **state)
{
	struct p2pdma_provider *provider;
	struct p2pdma_device *card;
	struct lab lab;

	(void)state;
	lab_open(&lab, MACHINE, NULL);
	card = open_device(&lab, "card");
	provider = add_all(card);
	p2pdma_device_close(card);
	assert_int_equal(info_of(provider).state, P2PDMA_PROVIDER_DEAD);
	p2pdma_provider_put(provider);
	lab_close(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_has_to_be_there_and_free),
		cmocka_unit_test(ranges_share_no_page),
		cmocka_unit_test(an_io_bar_is_refused),
		cmocka_unit_test(a_picture_has_no_providers),
		cmocka_unit_test(opts_have_a_size),
		cmocka_unit_test(a_function_is_one_provider),
		cmocka_unit_test(a_naked_one_is_for_exporters),
		cmocka_unit_test(removal_waits_and_says_what_is_out),
		cmocka_unit_test(a_provider_outlives_its_machine),
		cmocka_unit_test(what_was_pulled_is_dead),
		cmocka_unit_test(closing_ends_it),
	};

	return cmocka_run_group_tests_name("provider", tests, NULL, NULL);
}
