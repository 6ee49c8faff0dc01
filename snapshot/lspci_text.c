/* SPDX-License-Identifier: MIT */
/*
 * lspci_text.c - reads the hex rows of `lspci -x`, `-xxx` and `-xxxx`, whatever prose stands
 * around.
 *
 * A heading ("[domain:]bus:device.function ...") names the function whose rows ("offset: xx xx
 * ...") follow.  Rows count only where they continue the bytes read so far: behind a gap all is
 * unknown. What is neither is prose, and skipped; a stray line in the middle of a row does not end
 * the row.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "snapshot.h"

#define ROW_BYTES 16

struct reader {
	struct snapshot *snapshot;
	uint8_t config[SNAPSHOT_CONFIG_SIZE];
	struct p2pdma_bdf bdf;
	size_t length; /* bytes of config read */
	bool is_open;  /* a heading was seen */
	size_t owed;   /* bytes of the last row that a stray line may have cut off */
};

/* Value of a hex digit, or -1. */
static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Up to @most hex digits at @text, before @end; returns how many. */
static size_t read_hex(const char *text, const char *end, size_t most, uint32_t *ret_value)
{
	uint32_t value = 0;
	size_t count = 0;

	while (count < most && text + count < end && digit(text[count]) >= 0)
		value = value << 4 | (uint32_t)digit(text[count++]);
	*ret_value = value;
	return count;
}

static bool is_at(const char *text, const char *end, char c)
{
	return text < end && *text == c;
}

/* "[domain:]bus:device.function" followed by a blank or the end of the line. */
static bool read_heading(const char *text, const char *end, struct p2pdma_bdf *ret_bdf)
{
	uint32_t domain = 0, bus, device, function;
	size_t count = read_hex(text, end, 8, &bus);

	if (count >= 4 && is_at(text + count, end, ':')) {
		domain = bus;
		text += count + 1;
		count = read_hex(text, end, 2, &bus);
	}
	if (count != 2 || !is_at(text + 2, end, ':') || read_hex(text + 3, end, 2, &device) != 2 ||
	    !is_at(text + 5, end, '.') || read_hex(text + 6, end, 1, &function) != 1 ||
	    device > 31 || function > 7)
		return false;
	text += 7;
	if (text < end && *text != ' ' && *text != '\t')
		return false;
	*ret_bdf = (struct p2pdma_bdf){ domain, (uint8_t)bus, (uint8_t)(device << 3 | function) };
	return true;
}

/* Hex pairs, each followed by a blank or the end, at most @most; returns how many, and where they
 * end. */
static size_t read_pairs(const char *text, const char *end, size_t most, uint8_t *bytes,
                         const char **ret_rest)
{
	size_t count = 0;

	while (count < most && end - text >= 2) {
		int high = digit(text[0]), low = digit(text[1]);

		if (high < 0 || low < 0 || (end - text > 2 && text[2] != ' '))
			break;
		bytes[count++] = (uint8_t)(high << 4 | low);
		text += end - text > 2 ? 3 : 2;
	}
	*ret_rest = text;
	return count;
}

static bool is_blank(const char *text, const char *end)
{
	while (text < end && (*text == ' ' || *text == '\t'))
		text++;
	return text == end;
}

/* "offset: xx xx ..."; false when the line is no hex row at all. */
static bool read_row(struct reader *reader, const char *text, const char *end)
{
	uint8_t bytes[ROW_BYTES];
	uint32_t offset;
	size_t digits = read_hex(text, end, 3, &offset), count;
	const char *rest;

	if (digits < 2 || !is_at(text + digits, end, ':') || !is_at(text + digits + 1, end, ' '))
		return false;
	count = read_pairs(text + digits + 2, end, ROW_BYTES, bytes, &rest);
	if (!count)
		return false;
	reader->owed = 0;
	/* Rows are of 16 bytes, so an offset between them is somebody else's line. */
	if (offset != reader->length || offset % ROW_BYTES ||
	    offset + ROW_BYTES > SNAPSHOT_CONFIG_SIZE)
		return true;
	memcpy(reader->config + offset, bytes, count);
	reader->length += count;
	if (count < ROW_BYTES && !is_blank(rest, end))
		reader->owed = ROW_BYTES - count;
	return true;
}

/* The rest of a row that a stray line cut off: exactly the bytes owed, and nothing else. */
static void read_owed(struct reader *reader, const char *text, const char *end)
{
	uint8_t bytes[ROW_BYTES];
	const char *rest;
	size_t count = read_pairs(text, end, reader->owed, bytes, &rest);

	if (count != reader->owed || !is_blank(rest, end))
		return;
	memcpy(reader->config + reader->length, bytes, count);
	reader->length += count;
	reader->owed = 0;
}

/* Files the function read so far.  Of several listings of one function the longest, then the last,
 * counts. */
static int close_function(struct reader *reader)
{
	struct snapshot_function *function;
	uint8_t *config;
	bool is_new;
	int r;

	if (!reader->is_open || !reader->length)
		return 0;
	r = snapshot_add(reader->snapshot, reader->bdf, &is_new, &function);
	if (r)
		return r;
	if (reader->length < function->config_len)
		return 0;
	config = realloc(function->config, reader->length);
	if (!config)
		return -ENOMEM;
	memcpy(config, reader->config, reader->length);
	function->config = config;
	function->config_len = reader->length;
	return 0;
}

static int read_line(struct reader *reader, const char *text, const char *end)
{
	struct p2pdma_bdf bdf;
	int r = 0;

	if (end > text && end[-1] == '\r')
		end--;
	if (text == end || digit(*text) < 0)
		return 0;
	if (read_heading(text, end, &bdf)) {
		r = close_function(reader);
		reader->bdf = bdf;
		reader->length = reader->owed = 0;
		reader->is_open = true;
	} else if (!read_row(reader, text, end) && reader->owed) {
		read_owed(reader, text, end);
	}
	return r;
}

/* QEMU's default host bridge carries Red Hat's subsystem IDs: the machine is QEMU's guest. */
static int recognise_qemu(struct snapshot *snapshot)
{
	static const uint8_t subsystem[] = { 0xf4, 0x1a, 0x00, 0x11 };

	for (size_t i = 0; i < snapshot->function_count; i++) {
		const struct snapshot_function *function = &snapshot->functions[i];

		if (function->bdf.bus || function->bdf.devfn || function->config_len < 0x30 ||
		    memcmp(function->config + 0x2c, subsystem, sizeof(subsystem)))
			continue;
		snapshot->hypervisor = strdup("qemu");
		return snapshot->hypervisor ? 0 : -ENOMEM;
	}
	return 0;
}

int snapshot_read_lspci(const char *text, size_t length, const char *name, struct p2pdma_error *err,
                        struct snapshot **ret_snapshot)
{
	const char *end = text + length;
	struct reader *reader = calloc(1, sizeof(*reader));
	int r = -ENOMEM;

	if (!reader)
		return report(err, r, "%.200s: out of memory", name);
	reader->snapshot = snapshot_new();
	if (!reader->snapshot)
		goto out;
	for (r = 0; text < end && !r;) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *line_end = newline ? newline : end;

		r = read_line(reader, text, line_end);
		text = newline ? newline + 1 : end;
	}
	if (!r)
		r = close_function(reader);
	if (!r && !reader->snapshot->function_count)
		r = -EPROTO;
	if (!r) {
		snapshot_finish(reader->snapshot);
		r = recognise_qemu(reader->snapshot);
	}
out:
	if (r)
		snapshot_free(reader->snapshot);
	else
		*ret_snapshot = reader->snapshot;
	free(reader);
	switch (r) {
	case 0:
		return 0;
	case -EPROTO:
		return report(
			err, r,
			"%.200s: line 1: no function with hex rows in it; expected the output of `lspci -xxxx` or a capture by `p2pdma dump`",
			name);
	case -E2BIG:
		return report(err, r, "%.200s: more than %d functions", name,
		              SNAPSHOT_MAX_FUNCTIONS);
	default:
		return report(err, r, "%.200s: out of memory", name);
	}
}
