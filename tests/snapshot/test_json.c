/* SPDX-License-Identifier: MIT */
/*
 * test_json.c - the capture format: all of it comes back, and every mistake is named.
 */
#include "readers.h"

#include <stdio.h>

#define HEAD     "{\"format\":\"p2pdma-capture\",\"version\":1,\n"
#define FUNCTION "{\"bdf\":\"0000:00:00.0\",\"config\":\"8680\""

/* Every field there is, as the writer writes it. */
static const char everything[] =
	HEAD " \"machine\":{\"kernel\":\"6.12.41\",\"kernel_p2pdma\":true,\"arch\":\"x86_64\","
	     "\"cpu_vendor\":\"GenuineIntel\",\"cpu_family\":6,\"hypervisor\":\"none\","
	     "\"privileged\":false},\n"
	     " \"functions\":[\n"
	     "  {\"bdf\":\"0000:00:00.0\",\"config\":\"\",\"config_len\":0},\n"
	     "  {\"bdf\":\"0000:03:00.1\",\"config\":\"86802020ff\",\"config_len\":64,"
	     "\"resources\":[[\"0x0\",\"0xffffffffffffffff\",\"0x40200\"],"
	     "[\"0x1\",\"0x2\",\"0x3\"]],\"physfn\":\"0000:03:00.0\",\"root_bus\":\"0000:00\","
	     "\"iommu_group\":0,\"iommu\":\"translated\",\"numa_node\":1,\"dma_mask_bits\":64,"
	     "\"driver\":\"nvme\",\"names\":[\"nvme0n1\",\"a\\\"\\\\\xc3\xa9\"]},\n"
	     "  {\"bdf\":\"ffffffff:ff:1f.7\",\"config\":\"86\",\"config_len\":4096,"
	     "\"root_bus\":\"10000:e0\",\"iommu\":\"none\"}\n"
	     " ]}\n";

static struct snapshot *read_ok(const char *text)
{
	struct snapshot *snapshot = NULL;
	struct p2pdma_error err = { "" };
	int r = snapshot_read_json(text, strlen(text), "FILE", &err, &snapshot);

	if (r)
		fail_msg("%d: %s", r, err.text);
	return snapshot;
}

static char *write_ok(const struct snapshot *snapshot, unsigned int flags)
{
	char *text;

	assert_int_equal(snapshot_write_json(snapshot, flags, &text), 0);
	return text;
}

static void every_field_comes_back(void **state)
{
	struct snapshot *snapshot = read_ok(everything);
	const struct snapshot_function *function = at(snapshot, bdf(0, 3, 0, 1));
	char *text = write_ok(snapshot, 0);

	(void)state;
	assert_string_equal(text, everything);
	assert_string_equal(snapshot->kernel, "6.12.41");
	assert_int_equal(snapshot->kernel_p2pdma, P2PDMA_YES);
	assert_string_equal(snapshot->arch, "x86_64");
	assert_string_equal(snapshot->cpu_vendor, "GenuineIntel");
	assert_int_equal(snapshot->cpu_family, 6);
	assert_string_equal(snapshot->hypervisor, "none");
	assert_int_equal(snapshot->privileged, P2PDMA_NO);
	assert_int_equal(snapshot->function_count, 3);
	assert_int_equal(function->config_len, 64);
	assert_int_equal(function->config[4], 0xff);
	assert_int_equal(function->config[63], 0);
	assert_int_equal(function->resource_count, 2);
	assert_true(function->resources[0].end == UINT64_MAX);
	assert_int_equal(function->resources[0].flags, 0x40200);
	assert_true(function->has_physfn && function->has_root_bus);
	assert_int_equal(function->physfn.bus, 3);
	assert_int_equal(function->physfn.devfn, 0);
	assert_int_equal(function->iommu_group, 0);
	assert_int_equal(function->iommu, P2PDMA_IOMMU_TRANSLATED);
	assert_int_equal(function->numa_node, 1);
	assert_int_equal(function->dma_mask_bits, 64);
	assert_string_equal(function->driver, "nvme");
	assert_int_equal(function->name_count, 2);
	assert_string_equal(function->names[1], "a\"\\\xc3\xa9");
	function = at(snapshot, bdf(0xffffffff, 0xff, 0x1f, 7));
	assert_int_equal(function->root_bus.domain, 0x10000);
	assert_int_equal(function->iommu, P2PDMA_IOMMU_NONE);
	free(text);
	snapshot_free(snapshot);
}

static void missing_and_null_are_unknown(void **state)
{
	struct snapshot *snapshot = read_ok(
		HEAD "\"machine\":{\"kernel\":null,\"kernel_p2pdma\":null,"
		     "\"cpu_family\":null},\"future\":{\"a\":[1,2.5]},\"functions\":[" FUNCTION
		     ",\"numa_node\":null,\"iommu\":null,\"resources\":null,\"names\":null,"
		     "\"physfn\":null,\"config_len\":null,\"colour\":\"red\"}]}");
	const struct snapshot_function *function = snapshot->functions;

	(void)state;
	assert_null(snapshot->kernel);
	assert_null(snapshot->hypervisor);
	assert_int_equal(snapshot->kernel_p2pdma, P2PDMA_UNKNOWN);
	assert_int_equal(snapshot->privileged, P2PDMA_UNKNOWN);
	assert_int_equal(snapshot->cpu_family, -1);
	assert_int_equal(function->config_len, 2);
	assert_int_equal(function->iommu_group, -1);
	assert_int_equal(function->iommu, P2PDMA_IOMMU_UNKNOWN);
	assert_int_equal(function->numa_node, -1);
	assert_int_equal(function->dma_mask_bits, 0);
	assert_int_equal(function->resource_count, 0);
	assert_int_equal(function->name_count, 0);
	assert_null(function->driver);
	assert_false(function->has_physfn || function->has_root_bus);
	snapshot_free(snapshot);
	snapshot_free(read_ok(HEAD "\"functions\":[" FUNCTION "}]}")); /* no "machine" */
}

/* @text is refused with @code, and the error says @part. */
static void refuse_with(int code, const char *text, const char *part)
{
	struct snapshot *snapshot = NULL;
	struct p2pdma_error err = { "" };

	assert_int_equal(snapshot_read_json(text, strlen(text), "FILE", &err, &snapshot), code);
	assert_contains(err.text, "FILE");
	assert_contains(err.text, part);
	assert_null(snapshot);
}

static void what_is_wrong_outside_functions_is_named(void **state)
{
	static const struct {
		const char *text, *part;
	} cases[] = {
		{ "", "FILE:1:0:" },
		{ "{", "FILE:1:1:" },
		{ HEAD "\"functions\":[}", "FILE:2:14:" },
		{ HEAD "\"version\":1}", "FILE:2:9:" }, /* a key twice */
		{ "{} x", "p2pdma dump" },
		{ "[]", "format: expected \"p2pdma-capture\"" },
		{ "{}", "format: expected \"p2pdma-capture\"" },
		{ "{\"format\":7}", "format: expected" },
		{ "{\"format\":\"p2pdma\"}", "format: expected" },
		{ "{\"format\":\"p2pdma-capture\"}", "version: expected 1" },
		{ "{\"format\":\"p2pdma-capture\",\"version\":2}", "version: expected 1" },
		{ "{\"format\":\"p2pdma-capture\",\"version\":\"1\"}", "version: expected 1" },
		{ HEAD "\"machine\":[]}", "machine: expected an object" },
		{ HEAD "\"machine\":{\"kernel\":6}}", "kernel: expected 1 to 255 bytes" },
		{ HEAD "\"machine\":{\"kernel\":\"6.1\\u001b[2J\"}}",
		  "without control characters" },
		{ HEAD "\"machine\":{\"arch\":\"\"}}", "arch: expected 1 to 255 bytes" },
		{ HEAD "\"machine\":{\"kernel_p2pdma\":1}}", "kernel_p2pdma: expected true" },
		{ HEAD "\"machine\":{\"privileged\":\"no\"}}", "privileged: expected true" },
		{ HEAD "\"machine\":{\"cpu_vendor\":[]}}", "cpu_vendor: expected" },
		{ HEAD "\"machine\":{\"cpu_family\":-1}}", "cpu_family: expected" },
		{ HEAD "\"machine\":{\"cpu_family\":6.5}}", "cpu_family: expected" },
		{ HEAD "\"machine\":{\"cpu_family\":2147483648}}", "cpu_family: expected" },
		{ HEAD "\"machine\":{\"hypervisor\":false}}", "hypervisor: expected" },
		{ HEAD "\"machine\":{}}", "functions: expected an array" },
		{ HEAD "\"functions\":{}}", "functions: expected an array" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refuse_with(-EPROTO, cases[i].text, cases[i].part);
	refuse_with(-ENODEV, HEAD "\"functions\":[]}", "functions: there is none");
}

static void what_is_wrong_in_a_function_is_named(void **state)
{
	static const struct {
		const char *function, *part;
	} cases[] = {
		{ "7", "functions[1]: expected an object" },
		{ "{\"config\":\"\"}", "functions[1].bdf: expected an address" },
		{ "{\"bdf\":3}", "functions[1].bdf: expected an address" },
		{ "{\"bdf\":\"00:01.0\"}", "functions[1].bdf: expected an address" },
		{ "{\"bdf\":\"0000:00:20.0\"}", "functions[1].bdf: expected" },
		{ "{\"bdf\":\"0000:00:01.8\"}", "functions[1].bdf: expected" },
		{ "{\"bdf\":\"0000:00:01.0 \"}", "functions[1].bdf: expected" },
		{ "{\"bdf\":\"0000:00:01.00\"}", "functions[1].bdf: expected" },
		{ "{\"bdf\":\"100000000:00:01.0\"}", "functions[1].bdf: expected" },
		{ "{\"bdf\":\"\"}", "functions[1].bdf: expected" },
		{ FUNCTION "}", "functions[1].bdf: expected an address that no other" },
#define OTHER "{\"bdf\":\"0000:00:01.0\",\"config\":"
		{ "{\"bdf\":\"0000:00:01.0\"}", "functions[1].config: expected" },
		{ OTHER "7}", "functions[1].config: expected" },
		{ OTHER "\"868\"}", "functions[1].config: expected" },
		{ OTHER "\"8G\"}", "functions[1].config: expected" },
		{ OTHER "\"8A\"}", "lower-case" },
		{ OTHER "\"86\",\"config_len\":0}", "functions[1].config_len: expected at least" },
		{ OTHER "\"86\",\"config_len\":4097}", "functions[1].config_len: expected" },
		{ OTHER "\"86\",\"config_len\":\"64\"}", "functions[1].config_len: expected" },
#undef OTHER
#define OTHER "{\"bdf\":\"0000:00:01.0\",\"config\":\"86\","
		{ OTHER "\"resources\":{}}", "functions[1].resources: expected up to 13" },
		{ OTHER "\"resources\":[7]}", "functions[1].resources: expected" },
		{ OTHER "\"resources\":[[\"0x1\",\"0x2\"]]}", "functions[1].resources: expected" },
		{ OTHER "\"resources\":[[\"0x1\",\"0x2\",3]]}",
		  "functions[1].resources: expected" },
		{ OTHER "\"resources\":[[\"0x1\",\"2\",\"0x3\"]]}", "functions[1].resources: " },
		{ OTHER "\"resources\":[[\"0x1\",\"0x\",\"0x3\"]]}", "functions[1].resources: " },
		{ OTHER "\"resources\":[[\"0x1\",\"0x-2\",\"0x3\"]]}", "functions[1].resources: " },
		{ OTHER "\"resources\":[[\"0x1\",\"0x2g\",\"0x3\"]]}", "functions[1].resources: " },
		{ OTHER "\"resources\":[[\"0x1\",\"0x10000000000000000\",\"0x3\"]]}",
		  "functions[1].resources: " },
		{ OTHER "\"resources\":[[],[],[],[],[],[],[],[],[],[],[],[],[],[]]}",
		  "functions[1].resources: expected up to 13" },
		{ OTHER "\"physfn\":\"0000:00\"}", "functions[1].physfn: expected an address" },
		{ OTHER "\"root_bus\":\"0000:00:00.0\"}",
		  "functions[1].root_bus: expected a root" },
		{ OTHER "\"root_bus\":true}", "functions[1].root_bus: expected a root" },
		{ OTHER "\"iommu_group\":-1}", "functions[1].iommu_group: expected" },
		{ OTHER "\"iommu\":\"off\"}", "functions[1].iommu: expected \"none\"" },
		{ OTHER "\"iommu\":1}", "functions[1].iommu: expected \"none\"" },
		{ OTHER "\"numa_node\":\"0\"}", "functions[1].numa_node: expected" },
		{ OTHER "\"dma_mask_bits\":65}", "functions[1].dma_mask_bits: expected" },
		{ OTHER "\"driver\":[]}", "functions[1].driver: expected" },
		{ OTHER "\"names\":\"eth0\"}", "functions[1].names: expected up to 256" },
		{ OTHER "\"names\":[7]}", "functions[1].names: expected" },
		{ OTHER "\"names\":[\"\"]}", "functions[1].names: expected" },
#undef OTHER
	};
	char text[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), HEAD "\"functions\":[" FUNCTION "},%s]}",
		         cases[i].function);
		refuse_with(-EPROTO, text, cases[i].part);
	}
}

/* A capture of one function with @count of @item between @before and @after. */
static char *repeat(const char *before, const char *item, size_t count, const char *after)
{
	char *text = allocate(strlen(before) + strlen(item) * count + strlen(after) + 1);
	char *end = text;

	end = stpcpy(end, before);
	while (count--)
		end = stpcpy(end, item);
	strcpy(end, after);
	return text;
}

static void limits_hold(void **state)
{
	static const struct {
		const char *before, *item;
		size_t most;
		const char *after, *part;
	} cases[] = {
		{ HEAD "\"functions\":[{\"bdf\":\"0:0:0.0\",\"config\":\"", "ff", 4096, "\"}]}",
		  "config" },
		{ HEAD "\"functions\":[" FUNCTION ",\"driver\":\"", "x", 255, "\"}]}", "driver" },
		{ HEAD "\"functions\":[" FUNCTION ",\"names\":[\"", "x", 255, "\"]}]}", "names" },
		{ HEAD "\"functions\":[" FUNCTION ",\"names\":[\"a\"", ",\"b\"", 255, "]}]}",
		  "names" },
		{ HEAD "\"functions\":[" FUNCTION ",\"resources\":[[\"0x0\",\"0x0\",\"0x0\"]",
		  ",[\"0x0\",\"0x0\",\"0x0\"]", 12, "]}]}", "resources" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = repeat(cases[i].before, cases[i].item, cases[i].most, cases[i].after);

		snapshot_free(read_ok(text));
		free(text);
		text = repeat(cases[i].before, cases[i].item, cases[i].most + 1, cases[i].after);
		refuse_with(-EPROTO, text, cases[i].part);
		free(text);
	}
}

static void deep_nesting_is_refused(void **state)
{
	char *text = repeat("", "[", 1000000, "");

	(void)state;
	refuse_with(-EPROTO, text, "FILE:1:");
	free(text);
}

/* 128 for each of 65,536 functions; a value of three bytes takes jansson many more. */
static void values_are_bounded(void **state)
{
	char *text = repeat(HEAD "\"x\":[", "{},", 128 * 65536 / 2, "{}]}");

	(void)state;
	refuse_with(-E2BIG, text, "more than 8388608 values");
	free(text);
}

static void text_that_is_not_utf8_stays_readable(void **state)
{
	static const struct {
		const char *name, *expected;
	} cases[] = {
		{ "plain", "\"plain\"" },
		{ "\xc3\xa9", "\"\xc3\xa9\"" },
		{ "\xe2\x82\xac", "\"\xe2\x82\xac\"" },
		{ "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"" },
		{ "\xff"
		  "a",
		  "\"?a\"" },
		{ "\xc3", "\"?\"" },
		{ "\xc0\x80", "\"??\"" },
		{ "\xe0\x80\x80", "\"???\"" },
		{ "\xed\xa0\x80", "\"???\"" },
		{ "\xf0\x80\x80\x80", "\"????\"" },
		{ "\xf4\x90\x80\x80", "\"????\"" },
		{ "\xf5\x80", "\"??\"" },
		{ "\xe2\x82", "\"??\"" },
		{ "\x01\t\x7f", "\"???\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct snapshot *snapshot = read_ok(everything);
		char *text;

		free(snapshot->kernel);
		snapshot->kernel = strdup(cases[i].name);
		text = write_ok(snapshot, 0);
		assert_contains(text, cases[i].expected);
		snapshot_free(snapshot);
		snapshot_free(read_ok(text));
		free(text);
	}
}

static void redaction_hides_serial_and_names_only(void **state)
{
	struct snapshot *snapshot = read_ok(everything), *redacted;
	struct snapshot_function *function = at(snapshot, bdf(0xffffffff, 0xff, 0x1f, 7));
	static const uint8_t aer[] = { 0x01, 0x00, 0x02, 0x15 }, dsn[] = { 0x03, 0x00, 0x01, 0x20 };
	char *text;

	(void)state;
	memset(function->config, 0xa5, SNAPSHOT_CONFIG_SIZE);
	memcpy(function->config + 0x100, aer, sizeof(aer));
	memcpy(function->config + 0x150, dsn, sizeof(dsn));
	text = write_ok(snapshot, P2PDMA_DUMP_REDACT);
	redacted = read_ok(text);
	for (size_t i = 0; i < SNAPSHOT_CONFIG_SIZE; i++)
		assert_int_equal(at(redacted, function->bdf)->config[i],
		                 i >= 0x154 && i < 0x15c ? 0 : function->config[i]);
	function = at(redacted, bdf(0, 3, 0, 1));
	assert_string_equal(function->names[0], "name0");
	assert_string_equal(function->names[1], "name1");
	assert_string_equal(function->driver, "nvme");
	assert_int_equal(function->config_len, 64);
	assert_null(strstr(text, "nvme0n1"));
	assert_string_equal(redacted->kernel, snapshot->kernel);
	snapshot_free(redacted);
	snapshot_free(snapshot);
	free(text);
}

/* Zeroed bytes at the end are cut off like any zero bytes: reading it back changes nothing. */
static void redacted_end_is_cut_off(void **state)
{
	struct snapshot *snapshot = read_ok(everything);
	struct snapshot_function *function = at(snapshot, bdf(0xffffffff, 0xff, 0x1f, 7));
	char *text, *again;

	(void)state;
	function->config[0x100] = 0x03;
	function->config[0x104] = 0x5e;
	text = write_ok(snapshot, P2PDMA_DUMP_REDACT);
	snapshot_free(snapshot);
	snapshot = read_ok(text);
	again = write_ok(snapshot, P2PDMA_DUMP_REDACT);
	assert_string_equal(again, text);
	assert_contains(text, "00000003\",\"config_len\":4096");
	snapshot_free(snapshot);
	free(again);
	free(text);
}

static void redaction_survives_any_chain(void **state)
{
	/* Loops, ends in the captured half of a serial number, points into itself, all ones. */
	static const struct {
		uint8_t header[4];
		size_t length;
	} cases[] = {
		{ { 0x01, 0, 0x01, 0x10 }, 4096 },  { { 0x03, 0, 0x01, 0x00 }, 0x10b },
		{ { 0x03, 0, 0x01, 0x00 }, 0x100 }, { { 0xff, 0xff, 0xff, 0xff }, 4096 },
		{ { 0, 0, 0, 0 }, 4096 },           { { 0x01, 0, 0xf1, 0xff }, 4096 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct snapshot *snapshot = read_ok(everything);
		struct snapshot_function *function = at(snapshot, bdf(0xffffffff, 0xff, 0x1f, 7));
		char *text, *plain;

		memcpy(function->config + 0x100, cases[i].header, 4);
		function->config_len = cases[i].length;
		at(snapshot, bdf(0, 3, 0, 1))->name_count = 0;
		free(at(snapshot, bdf(0, 3, 0, 1))->names[0]);
		free(at(snapshot, bdf(0, 3, 0, 1))->names[1]);
		text = write_ok(snapshot, P2PDMA_DUMP_REDACT);
		plain = write_ok(snapshot, 0);
		assert_string_equal(text, plain);
		free(plain);
		free(text);
		snapshot_free(snapshot);
	}
}

static void content_tells_the_format(void **state)
{
	static const char lspci[] = "\n 00:00.0 A\n00:00.0 A\n00: 86 80\n";
	struct snapshot *snapshot;
	struct p2pdma_error err;
	char text[sizeof(everything) + 8];

	(void)state;
	snprintf(text, sizeof(text), " \r\n\t%s", everything);
	assert_int_equal(snapshot_read_text(text, strlen(text), "FILE", &err, &snapshot), 0);
	assert_int_equal(snapshot->function_count, 3);
	snapshot_free(snapshot);
	assert_int_equal(snapshot_read_text(lspci, strlen(lspci), "FILE", &err, &snapshot), 0);
	assert_int_equal(snapshot->function_count, 1);
	snapshot_free(snapshot);
	assert_int_equal(snapshot_read_text("", 0, "FILE", &err, &snapshot), -EPROTO);
	assert_int_equal(snapshot_read_text("\0{", 2, "FILE", &err, &snapshot), -EPROTO);
}

static void table_takes_65536_and_no_more(void **state)
{
	struct snapshot *snapshot = snapshot_new();
	struct snapshot_function *function = NULL;
	bool is_new;

	(void)state;
	assert_non_null(snapshot);
	/* Downwards and over many domains, so that the order is not the one wanted. */
	for (uint32_t i = SNAPSHOT_MAX_FUNCTIONS; i--;) {
		struct p2pdma_bdf bdf_i = { (i & 0xff) << 24, (uint8_t)(i >> 8), 0 };

		assert_int_equal(snapshot_add(snapshot, bdf_i, &is_new, &function), 0);
		assert_true(is_new);
	}
	function = NULL;
	assert_int_equal(snapshot_add(snapshot, bdf(0, 0, 1, 0), &is_new, &function), -E2BIG);
	assert_null(function);
	for (uint32_t i = 0; i < SNAPSHOT_MAX_FUNCTIONS; i++) {
		struct p2pdma_bdf bdf_i = { (i & 0xff) << 24, (uint8_t)(i >> 8), 0 };

		assert_int_equal(snapshot_add(snapshot, bdf_i, &is_new, &function), 0);
		assert_false(is_new);
		assert_int_equal(function->bdf.domain, bdf_i.domain);
		assert_int_equal(function->bdf.bus, bdf_i.bus);
	}
	snapshot_finish(snapshot);
	assert_int_equal(snapshot->function_count, SNAPSHOT_MAX_FUNCTIONS);
	for (size_t i = 1; i < SNAPSHOT_MAX_FUNCTIONS; i++) {
		struct p2pdma_bdf a = snapshot->functions[i - 1].bdf,
				  b = snapshot->functions[i].bdf;

		assert_true(a.domain < b.domain || (a.domain == b.domain && a.bus < b.bus));
	}
	snapshot_free(snapshot);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_comes_back),
		cmocka_unit_test(missing_and_null_are_unknown),
		cmocka_unit_test(what_is_wrong_outside_functions_is_named),
		cmocka_unit_test(what_is_wrong_in_a_function_is_named),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(values_are_bounded),
		cmocka_unit_test(text_that_is_not_utf8_stays_readable),
		cmocka_unit_test(redaction_hides_serial_and_names_only),
		cmocka_unit_test(redacted_end_is_cut_off),
		cmocka_unit_test(redaction_survives_any_chain),
		cmocka_unit_test(content_tells_the_format),
		cmocka_unit_test(table_takes_65536_and_no_more),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
