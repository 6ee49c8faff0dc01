/* SPDX-License-Identifier: MIT */
/*
 * json_write.c - the one writer: a function a line, so that two captures compare well.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot.h"

#define EXT_BASE   0x100
#define EXT_DSN    0x0003
#define DSN_LENGTH 8

/* A growing text; once something failed, further writes do nothing. */
struct text {
	FILE *stream;
	char *bytes;
	size_t length;
};

/* Length of the UTF-8 character at @text, 0 when it is none (RFC 3629). */
static size_t measure_character(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;
	size_t length = c[0] < 0x80 ? 1 : c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;

	if (c[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++)
		if (c[i] >> 6 != 2)
			return 0;
	/* Overlong forms, surrogates and what lies beyond U+10FFFF. */
	if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
	    (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f))
		return 0;
	return length;
}

/* A JSON string of any bytes a sysfs file may hold; what is no UTF-8, or no text, becomes '?'. */
static void put_string(struct text *text, const char *value)
{
	fputc('"', text->stream);
	while (*value) {
		size_t length = measure_character(value);

		if (!length || (length == 1 && ((unsigned char)*value < 0x20 || *value == 0x7f)))
			fputc('?', text->stream);
		else if (*value == '"' || *value == '\\')
			fprintf(text->stream, "\\%c", *value);
		else
			fwrite(value, 1, length, text->stream);
		value += length ? length : 1;
	}
	fputc('"', text->stream);
}

static void put_text(struct text *text, const char **separator, const char *key, const char *value)
{
	if (!value)
		return;
	fprintf(text->stream, "%s\"%s\":", *separator, key);
	put_string(text, value);
	*separator = ",";
}

static void put_int(struct text *text, const char **separator, const char *key, int value)
{
	fprintf(text->stream, "%s\"%s\":%d", *separator, key, value);
	*separator = ",";
}

static void put_known(struct text *text, const char **separator, const char *key,
                      enum p2pdma_known value)
{
	if (value == P2PDMA_UNKNOWN)
		return;
	fprintf(text->stream, "%s\"%s\":%s", *separator, key,
	        value == P2PDMA_YES ? "true" : "false");
	*separator = ",";
}

/* The Device Serial Number's offset (PCIe Base 7.9.3), 0 when it has none. */
static size_t find_serial(const struct snapshot_function *function)
{
	size_t offset = EXT_BASE;

	for (int i = 0; i < 480 && offset >= EXT_BASE; i++) {
		const uint8_t *header;

		if (offset + 4 + DSN_LENGTH > function->config_len)
			return 0;
		header = function->config + offset;
		if ((header[0] | header[1] << 8) == EXT_DSN)
			return offset + 4;
		offset = (size_t)(header[2] >> 4 | header[3] << 4) & ~(size_t)3;
	}
	return 0;
}

/* A byte of configuration space as it is written: @serial is find_serial()'s, 0 to hide nothing. */
static uint8_t shown(const struct snapshot_function *function, size_t serial, size_t i)
{
	return serial && i >= serial && i < serial + DSN_LENGTH ? 0 : function->config[i];
}

static void put_config(struct text *text, const struct snapshot_function *function,
                       unsigned int flags)
{
	size_t serial = flags & P2PDMA_DUMP_REDACT ? find_serial(function) : 0;
	size_t length = function->config_len;

	while (length && !shown(function, serial, length - 1))
		length--;
	fputs(",\"config\":\"", text->stream);
	for (size_t i = 0; i < length; i++)
		fprintf(text->stream, "%02x", shown(function, serial, i));
	fprintf(text->stream, "\",\"config_len\":%zu", function->config_len);
}

static void put_resources(struct text *text, const struct snapshot_function *function)
{
	if (!function->resource_count)
		return;
	fputs(",\"resources\":[", text->stream);
	for (size_t i = 0; i < function->resource_count; i++) {
		const struct snapshot_resource *resource = &function->resources[i];

		fprintf(text->stream, "%s[\"0x%" PRIx64 "\",\"0x%" PRIx64 "\",\"0x%" PRIx64 "\"]",
		        i ? "," : "", resource->start, resource->end, resource->flags);
	}
	fputc(']', text->stream);
}

static void put_names(struct text *text, const struct snapshot_function *function,
                      unsigned int flags, size_t *redacted)
{
	if (!function->name_count)
		return;
	fputs(",\"names\":[", text->stream);
	for (size_t i = 0; i < function->name_count; i++) {
		char neutral[32];

		snprintf(neutral, sizeof(neutral), "name%zu", (*redacted)++);
		fputs(i ? "," : "", text->stream);
		put_string(text, flags & P2PDMA_DUMP_REDACT ? neutral : function->names[i]);
	}
	fputc(']', text->stream);
}

static void put_address(struct text *text, const char *key, struct p2pdma_bdf bdf)
{
	fprintf(text->stream, "\"%s\":\"%04x:%02x:%02x.%x\"", key, bdf.domain, bdf.bus,
	        bdf.devfn >> 3, bdf.devfn & 7);
}

static void put_function(struct text *text, const struct snapshot_function *function,
                         unsigned int flags, size_t *redacted)
{
	static const char *const modes[] = { NULL, "none", "passthrough", "translated" };
	const char *separator = ",";

	fputs("  {", text->stream);
	put_address(text, "bdf", function->bdf);
	put_config(text, function, flags);
	put_resources(text, function);
	if (function->has_physfn) {
		fputc(',', text->stream);
		put_address(text, "physfn", function->physfn);
	}
	if (function->has_root_bus)
		fprintf(text->stream, ",\"root_bus\":\"%04x:%02x\"", function->root_bus.domain,
		        function->root_bus.bus);
	if (function->iommu_group >= 0)
		put_int(text, &separator, "iommu_group", function->iommu_group);
	put_text(text, &separator, "iommu", modes[function->iommu]);
	if (function->numa_node >= 0)
		put_int(text, &separator, "numa_node", function->numa_node);
	if (function->dma_mask_bits)
		put_int(text, &separator, "dma_mask_bits", function->dma_mask_bits);
	put_text(text, &separator, "driver", function->driver);
	put_names(text, function, flags, redacted);
	fputc('}', text->stream);
}

static void put_machine(struct text *text, const struct snapshot *snapshot)
{
	const char *separator = "";

	fputs(" \"machine\":{", text->stream);
	put_text(text, &separator, "kernel", snapshot->kernel);
	put_known(text, &separator, "kernel_p2pdma", snapshot->kernel_p2pdma);
	put_text(text, &separator, "arch", snapshot->arch);
	put_text(text, &separator, "cpu_vendor", snapshot->cpu_vendor);
	if (snapshot->cpu_family >= 0)
		put_int(text, &separator, "cpu_family", snapshot->cpu_family);
	put_text(text, &separator, "hypervisor", snapshot->hypervisor);
	put_known(text, &separator, "privileged", snapshot->privileged);
	fputs("},\n", text->stream);
}

int snapshot_write_json(const struct snapshot *snapshot, unsigned int flags, char **ret_text)
{
	struct text text = { NULL };
	size_t redacted = 0;
	bool failed;

	text.stream = open_memstream(&text.bytes, &text.length);
	if (!text.stream)
		return -ENOMEM;
	fputs("{\"format\":\"p2pdma-capture\",\"version\":1,\n", text.stream);
	put_machine(&text, snapshot);
	fputs(" \"functions\":[\n", text.stream);
	for (size_t i = 0; i < snapshot->function_count; i++) {
		put_function(&text, &snapshot->functions[i], flags, &redacted);
		fputs(i + 1 < snapshot->function_count ? ",\n" : "\n", text.stream);
	}
	fputs(" ]}\n", text.stream);
	failed = ferror(text.stream);
	failed |= fclose(text.stream) != 0;
	if (failed) {
		free(text.bytes);
		return -ENOMEM;
	}
	*ret_text = text.bytes;
	return 0;
}
