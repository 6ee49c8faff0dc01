/* SPDX-License-Identifier: MIT */
/*
 * test_lspci.c - lspci text in the shapes it comes in: every option, every mail client.
 */
#include "readers.h"

#include <stdio.h>
#include <time.h>

#define ROW(offset) offset ": 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff\n"

static struct snapshot *read_ok(const char *text)
{
	struct snapshot *snapshot = NULL;
	struct p2pdma_error err = { "" };
	int r = snapshot_read_lspci(text, strlen(text), "FILE", &err, &snapshot);

	if (r)
		fail_msg("%d: %s", r, err.text);
	return snapshot;
}

static void refuse(const char *text, size_t length)
{
	struct snapshot *snapshot = NULL;
	struct p2pdma_error err = { "" };

	assert_int_equal(snapshot_read_lspci(text, length, "FILE", &err, &snapshot), -EPROTO);
	assert_contains(err.text, "FILE: line 1");
	assert_contains(err.text, "lspci -xxxx");
	assert_contains(err.text, "p2pdma dump");
	assert_null(snapshot);
}

/* Reads a text of one function 00:00.0, which must have @length bytes as ROW() has them. */
static void expect_rows(const char *text, size_t length)
{
	struct snapshot *snapshot = read_ok(text);

	assert_int_equal(snapshot->function_count, 1);
	assert_int_equal(snapshot->functions[0].config_len, length);
	for (size_t i = 0; i < length; i++)
		assert_int_equal(snapshot->functions[0].config[i], 0x11 * (i % 16));
	snapshot_free(snapshot);
}

/* A heading and rows up to @length behind @text's first @at bytes; returns how many it has then. */
static size_t print_function(char *text, size_t at, const char *address, size_t length)
{
	FILE *stream = fmemopen(text + at, 64 + 4 * length, "w");

	assert_non_null(stream);
	fprintf(stream, "%s Class: name\n", address);
	for (size_t i = 0; i < length; i += 16)
		fprintf(stream, "%02zx: 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff\n", i);
	fputc('\n', stream);
	at += (size_t)ftell(stream);
	fclose(stream);
	return at;
}

static void lengths_mix(void **state)
{
	char *text = allocate(64 * 1024);
	struct snapshot *snapshot;
	size_t length;

	(void)state;
	length = print_function(text, 0, "00:1f.7", 4096);
	length = print_function(text, length, "00:00.0", 64);
	print_function(text, length, "00:02.0", 256);
	snapshot = read_ok(text);
	assert_int_equal(snapshot->function_count, 3);
	assert_int_equal(snapshot->functions[0].config_len, 64);
	assert_int_equal(snapshot->functions[1].config_len, 256);
	assert_int_equal(snapshot->functions[2].config_len, 4096);
	assert_int_equal(snapshot->functions[2].bdf.devfn, 0xff);
	assert_int_equal(snapshot->functions[2].config[0xfff], 0xff);
	assert_int_equal(snapshot->functions[0].iommu_group, -1);
	assert_null(snapshot->hypervisor);
	snapshot_free(snapshot);
	free(text);
}

static void addresses_have_a_domain_or_none(void **state)
{
	struct snapshot *snapshot = read_ok("10000:e1:00.0 A\n" ROW(
		"00") "\n"
	              "0001:02:03.4 B\n" ROW(
			      "00") "\n"
	                            "02:03.4 C\n" ROW("00") "\n"
	                                                    "FFFFFFFF:ff:1f.7\n" ROW(
								    "00") "\n"
	                                                                  "0000:FE:00.1\tD\n" ROW(
										  "00"));

	(void)state;
	assert_int_equal(snapshot->function_count, 5);
	assert_non_null(at(snapshot, bdf(0x10000, 0xe1, 0, 0)));
	assert_non_null(at(snapshot, bdf(1, 2, 3, 4)));
	assert_non_null(at(snapshot, bdf(0, 2, 3, 4)));
	assert_non_null(at(snapshot, bdf(0xffffffff, 0xff, 0x1f, 7)));
	assert_non_null(at(snapshot, bdf(0, 0xfe, 0, 1)));
	snapshot_free(snapshot);
}

static void no_address_no_function(void **state)
{
	static const char *const headings[] = {
		"00:20.0 A",           "00:00.8 A",  "000:00.0 A", "00:0.0 A",
		"00.00.0 A",           "00:00:0 A",  "00:00.0A",   "000:00:00.0",
		"123456789:00:00.0 A", " 00:00.0 A",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++) {
		char text[256];

		snprintf(text, sizeof(text), "%s\n" ROW("00"), headings[i]);
		refuse(text, strlen(text));
	}
}

static void line_ends_do_not_matter(void **state)
{
	(void)state;
	expect_rows("00:00.0 A\r\n"
	            "00: 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff\r\n"
	            "10: 00 11 22 33 44 55 66 77 88 99 AA BB CC DD EE FF\r\n",
	            32);
	expect_rows("00:00.0 A\n" ROW("00") "10: 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff",
	            32);
	expect_rows("00:00.0 A\n00: 00 11 22\n", 3);
	expect_rows("00:00.0 A\n00: 00 11 22   \n", 3);
}

static void prose_is_skipped(void **state)
{
	(void)state;
	expect_rows("$ sudo lspci -nn -vvv -xxxx\n"
	            "00:00.0 Host bridge [0600]: Intel Corporation [8086:2020] (rev 07)\n"
	            "\tSubsystem: Dell [1028:0001]\n"
	            "\tControl: I/O- Mem+ BusMaster+\n"
	            "\tCapabilities: [100 v1] Access Control Services\n"
	            "\t\tACSCtl:\tSrcValid+\n"
	            "\tKernel driver in use: pcieport\n" ROW("00") ROW("10") "\nbye\n",
	            32);
}

static void stray_text_does_not_end_a_row(void **state)
{
	(void)state;
	/* A kernel message cut into a row, its rest on the next line. */
	expect_rows("00:00.0 A\n" ROW("00") "10: 00 11 22 33 44 [  12.3] usb 1-1: new device\n"
	                                    "55 66 77 88 99 aa bb cc dd ee ff\n" ROW("20"),
	            48);
	/* The same with another message between. */
	expect_rows("00:00.0 A\n" ROW("00") "10: 00 11 22 33 44 [  12.3] one\n"
	                                    "[  12.4] two\n"
	                                    "55 66 77 88 99 aa bb cc dd ee ff\n" ROW("20"),
	            48);
	/* The rest never comes: what follows the gap is unknown. */
	expect_rows("00:00.0 A\n" ROW("00") "10: 00 11 22 33 44 [  12.3] usb\n" ROW("20"), 21);
	/* Too few or too many bytes are not the rest. */
	expect_rows("00:00.0 A\n00: 00 11 22 33 44 [  12.3] usb\n55 66\n" ROW("10"), 5);
	expect_rows("00:00.0 A\n00: 00 11 22 33 44 [  12.3] usb\n"
	            "55 66 77 88 99 aa bb cc dd ee ff 00\n" ROW("10"),
	            5);
	/* A row that simply is short is owed nothing. */
	expect_rows("00:00.0 A\n00: 00 11 22 33 44\n55 66 77 88 99 aa bb cc dd ee ff\n", 5);
	/* Whole lines between rows. */
	expect_rows("00:00.0 A\n" ROW("00") "[  12.3] usb 1-1: new device\n" ROW(
			    "10") "dead beef\n" ROW("20"),
	            48);
}

static void duplicates_longest_then_latest(void **state)
{
	struct snapshot *snapshot = read_ok("00:00.0 A\n00: 01 02 03 04\n\n"
	                                    "00:00.0 A\n00: 05 06\n\n"
	                                    "00:00.0 A\n00: 07 08 09 0a\n\n"
	                                    "00:00.0 no rows\n");
	static const uint8_t expected[] = { 7, 8, 9, 10 };

	(void)state;
	assert_int_equal(snapshot->function_count, 1);
	assert_int_equal(snapshot->functions[0].config_len, 4);
	assert_memory_equal(snapshot->functions[0].config, expected, 4);
	snapshot_free(snapshot);
}

static void behind_a_gap_all_is_unknown(void **state)
{
	(void)state;
	expect_rows("00:00.0 A\n" ROW("00") ROW("20") ROW("30"), 16);
	expect_rows("00:00.0 A\n" ROW("00") ROW("00") ROW("10"), 32);
	refuse("00:00.0 A\n" ROW("10"), strlen("00:00.0 A\n" ROW("10")));
}

static void nothing_beyond_4096(void **state)
{
	char *text = allocate(32 * 1024);

	(void)state;
	print_function(text, 0, "00:00.0", 4096 + 64);
	expect_rows(text, 4096);
	/* A row at an odd offset would lie across the end; the rest it is owed would too. */
	print_function(text, 0, "00:00.0", 4080);
	strcat(text, "ff0: 00 11\nff2: 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff\n");
	expect_rows(text, 4082);
	print_function(text, 0, "00:00.0", 4080);
	strcat(text, "ff0: 00 11\nff2: 00 zz\n00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee\n");
	expect_rows(text, 4082);
	free(text);
}

static void no_rows_is_an_error_that_helps(void **state)
{
	static const char prose[] = "00:00.0 Host bridge: Intel\n\tFlags: bus master\n";
	static const char nul[] = "00:00.0 A\0\n00: 0\0 11\n";
	static const char only_rows[] = ROW("00") ROW("10");

	(void)state;
	refuse(prose, sizeof(prose) - 1);
	refuse(only_rows, sizeof(only_rows) - 1);
	refuse(nul, sizeof(nul) - 1);
	refuse("\0\0\0\0", 4);
	refuse("\n\r\n", 3);
	refuse("", 0);
}

static void nul_bytes_are_stray_text(void **state)
{
	static const char text[] = "\0\n00:00.0 A\0B\n00: 00 11 22\0\n\0\n";
	struct snapshot *snapshot = NULL;

	(void)state;
	assert_int_equal(snapshot_read_lspci(text, sizeof(text) - 1, "FILE", NULL, &snapshot), 0);
	assert_int_equal(snapshot->functions[0].config_len, 2);
	snapshot_free(snapshot);
}

static void qemu_host_bridge_means_guest(void **state)
{
	static const char bridge[] = "%s Host bridge\n" ROW("00")
		ROW("10") "20: 00 00 00 00 00 00 00 00 00 00 00 00 f4 1a 00 11\n";
	struct snapshot *snapshot;
	char text[512];

	(void)state;
	snprintf(text, sizeof(text), bridge, "00:00.0");
	snapshot = read_ok(text);
	assert_string_equal(snapshot->hypervisor, "qemu");
	snapshot_free(snapshot);
	/* A virtio device carries the same IDs, also where it is passed on. */
	snprintf(text, sizeof(text), bridge, "00:01.0");
	snapshot = read_ok(text);
	assert_null(snapshot->hypervisor);
	snapshot_free(snapshot);
}

static void five_hundred_functions_take_no_time(void **state)
{
	char *text = allocate(500 * 14000);
	struct timespec start, stop;
	struct snapshot *snapshot;
	size_t length = 0;
	double seconds;

	(void)state;
	for (unsigned int i = 0; i < 500; i++) {
		char address[16];

		snprintf(address, sizeof(address), "%02x:%02x.%x", i >> 8, i >> 3 & 31, i & 7);
		length = print_function(text, length, address, 4096);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	snapshot = read_ok(text);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &stop);
	seconds =
		(double)(stop.tv_sec - start.tv_sec) + (double)(stop.tv_nsec - start.tv_nsec) / 1e9;
	print_message("# 500 functions of 4 KiB: %.1f ms\n", seconds * 1e3);
	assert_int_equal(snapshot->function_count, 500);
	/* 10 ms is usual; a quadratic reader takes minutes, sanitizers a few times longer. */
	assert_true(seconds < 0.5);
	snapshot_free(snapshot);
	free(text);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths_mix),
		cmocka_unit_test(addresses_have_a_domain_or_none),
		cmocka_unit_test(no_address_no_function),
		cmocka_unit_test(line_ends_do_not_matter),
		cmocka_unit_test(prose_is_skipped),
		cmocka_unit_test(stray_text_does_not_end_a_row),
		cmocka_unit_test(duplicates_longest_then_latest),
		cmocka_unit_test(behind_a_gap_all_is_unknown),
		cmocka_unit_test(nothing_beyond_4096),
		cmocka_unit_test(no_rows_is_an_error_that_helps),
		cmocka_unit_test(nul_bytes_are_stray_text),
		cmocka_unit_test(qemu_host_bridge_means_guest),
		cmocka_unit_test(five_hundred_functions_take_no_time),
	};

	return cmocka_run_group_tests_name("lspci", tests, NULL, NULL);
}
