/* SPDX-License-Identifier: MIT */
/*
 * json_read.c - reads the captures that json_write.c writes (docs/formats.md).
 *
 * Strict in what it knows: a wrong type or value is an error that names the key.  Unknown keys are
 * skipped, so that an older reader takes a newer capture; what is missing or null is unknown.
 */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "snapshot.h"

#define MOST_NAMES 256
#define MOST_TEXT  255 /* bytes of any string but config */

/* A full function has 66 values.  jansson takes up to 240 bytes for a value of two or three. */
#define MOST_VALUES (128u * SNAPSHOT_MAX_FUNCTIONS)

/* Where we are, for error texts. */
struct place {
	const char *file;
	struct p2pdma_error *err;
	size_t function; /* index, SIZE_MAX outside of functions */
};

static int wrong(const struct place *place, const char *key, const char *expected)
{
	if (place->function == SIZE_MAX)
		return report(place->err, -EPROTO, "%.200s: %s: expected %s", place->file, key,
		              expected);
	return report(place->err, -EPROTO, "%.200s: functions[%zu].%s: expected %s", place->file,
	              place->function, key, expected);
}

static int out_of_memory(const struct place *place)
{
	return report(place->err, -ENOMEM, "%.200s: out of memory", place->file);
}

/* A key that is there and not null. */
static const json_t *get(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_null(value) ? NULL : value;
}

/* What may be printed to a terminal: 1 to 255 bytes, no control characters. */
static bool is_plain_text(const json_t *value)
{
	const char *text = json_string_value(value);
	size_t length = json_string_length(value);

	if (!text || !length || length > MOST_TEXT)
		return false;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return true;
}

static int get_text(const struct place *place, const json_t *object, const char *key,
                    char **ret_text)
{
	const json_t *value = get(object, key);
	char *text;

	if (!value)
		return 0;
	if (!is_plain_text(value))
		return wrong(place, key, "1 to 255 bytes of text without control characters");
	text = strdup(json_string_value(value));
	if (!text)
		return out_of_memory(place);
	*ret_text = text;
	return 0;
}

static int get_int(const struct place *place, const json_t *object, const char *key, int most,
                   int *ret_value)
{
	const json_t *value = get(object, key);

	if (!value)
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    json_integer_value(value) > most)
		return wrong(place, key, "a whole number in range");
	*ret_value = (int)json_integer_value(value);
	return 0;
}

static int get_known(const struct place *place, const json_t *object, const char *key,
                     enum p2pdma_known *ret_known)
{
	const json_t *value = get(object, key);

	if (!value)
		return 0;
	if (!json_is_boolean(value))
		return wrong(place, key, "true or false");
	*ret_known = json_is_true(value) ? P2PDMA_YES : P2PDMA_NO;
	return 0;
}

/* "domain:bus" when @devfn is NULL, else "domain:bus:device.function", and nothing behind it. */
static bool parse_address(const char *text, struct p2pdma_bdf *ret_bdf, bool has_devfn)
{
	unsigned int domain, bus, device = 0, function = 0;
	int end = -1;

	if (!isxdigit((unsigned char)*text) || strlen(text) > 16 || strpbrk(text, " \t+-x"))
		return false;
	if (has_devfn)
		sscanf(text, "%8x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &end);
	else
		sscanf(text, "%8x:%2x%n", &domain, &bus, &end);
	if (end < 0 || text[end] || device > 31 || function > 7)
		return false;
	*ret_bdf = (struct p2pdma_bdf){ domain, (uint8_t)bus, (uint8_t)(device << 3 | function) };
	return true;
}

static int get_address(const struct place *place, const json_t *object, const char *key,
                       bool has_devfn, bool *ret_has, struct p2pdma_bdf *ret_bdf)
{
	const json_t *value = get(object, key);

	if (!value)
		return 0;
	if (!json_is_string(value) || !parse_address(json_string_value(value), ret_bdf, has_devfn))
		return wrong(place, key,
		             has_devfn ? "an address such as \"0000:03:00.0\""
		                       : "a root bus such as \"0000:00\"");
	*ret_has = true;
	return 0;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* "config" without its trailing zero bytes, and "config_len" to put them back. */
static int get_config(const struct place *place, const json_t *object,
                      struct snapshot_function *function)
{
	static const char expected[] = "up to 4096 bytes as pairs of lower-case hex digits";
	const json_t *value = get(object, "config");
	size_t digits = json_string_length(value);
	const char *text = json_string_value(value);
	int length = (int)(digits / 2), r;

	if (!json_is_string(value) || digits % 2 || digits > 2 * SNAPSHOT_CONFIG_SIZE)
		return wrong(place, "config", expected);
	r = get_int(place, object, "config_len", SNAPSHOT_CONFIG_SIZE, &length);
	if (r)
		return r;
	if ((size_t)length < digits / 2)
		return wrong(place, "config_len", "at least the bytes that config has");
	function->config = calloc(1, (size_t)length + 1);
	if (!function->config)
		return out_of_memory(place);
	function->config_len = (size_t)length;
	for (size_t i = 0; i < digits / 2; i++) {
		int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return wrong(place, "config", expected);
		function->config[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

static bool parse_u64(const json_t *value, uint64_t *ret_value)
{
	const char *text = json_string_value(value);
	char *end;

	if (!text || text[0] != '0' || text[1] != 'x' || !isxdigit((unsigned char)text[2]))
		return false;
	errno = 0;
	*ret_value = strtoull(text + 2, &end, 16);
	return !errno && !*end;
}

static int get_resources(const struct place *place, const json_t *object,
                         struct snapshot_function *function)
{
	static const char expected[] = "up to 13 triples [\"0xstart\", \"0xend\", \"0xflags\"]";
	const json_t *value = get(object, "resources"), *line;
	size_t i;

	if (!value)
		return 0;
	if (!json_is_array(value) || json_array_size(value) > SNAPSHOT_RESOURCES)
		return wrong(place, "resources", expected);
	function->resources = calloc(SNAPSHOT_RESOURCES, sizeof(*function->resources));
	if (!function->resources)
		return out_of_memory(place);
	json_array_foreach(value, i, line)
	{
		struct snapshot_resource *resource = &function->resources[i];

		if (json_array_size(line) != 3 ||
		    !parse_u64(json_array_get(line, 0), &resource->start) ||
		    !parse_u64(json_array_get(line, 1), &resource->end) ||
		    !parse_u64(json_array_get(line, 2), &resource->flags))
			return wrong(place, "resources", expected);
	}
	function->resource_count = json_array_size(value);
	return 0;
}

static int get_names(const struct place *place, const json_t *object,
                     struct snapshot_function *function)
{
	static const char expected[] =
		"up to 256 times 1 to 255 bytes of text without control characters";
	const json_t *value = get(object, "names"), *name;
	size_t i;

	if (!value)
		return 0;
	if (!json_is_array(value) || json_array_size(value) > MOST_NAMES)
		return wrong(place, "names", expected);
	function->names = calloc(json_array_size(value) + 1, sizeof(*function->names));
	if (!function->names)
		return out_of_memory(place);
	json_array_foreach(value, i, name)
	{
		if (!is_plain_text(name))
			return wrong(place, "names", expected);
		function->names[i] = strdup(json_string_value(name));
		if (!function->names[i])
			return out_of_memory(place);
		function->name_count++;
	}
	return 0;
}

static int get_iommu(const struct place *place, const json_t *object, enum p2pdma_iommu *ret_iommu)
{
	const char *text = json_string_value(get(object, "iommu"));

	if (!get(object, "iommu"))
		return 0;
	if (text && !strcmp(text, "none"))
		*ret_iommu = P2PDMA_IOMMU_NONE;
	else if (text && !strcmp(text, "passthrough"))
		*ret_iommu = P2PDMA_IOMMU_PASSTHROUGH;
	else if (text && !strcmp(text, "translated"))
		*ret_iommu = P2PDMA_IOMMU_TRANSLATED;
	else
		return wrong(place, "iommu", "\"none\", \"passthrough\" or \"translated\"");
	return 0;
}

static int read_function(const struct place *place, const json_t *object, struct snapshot *snapshot)
{
	struct snapshot_function *function;
	bool has_bdf = false, is_new;
	struct p2pdma_bdf bdf;
	int r;

	if (!json_is_object(object))
		return report(place->err, -EPROTO, "%.200s: functions[%zu]: expected an object",
		              place->file, place->function);
	r = get_address(place, object, "bdf", true, &has_bdf, &bdf);
	if (r)
		return r;
	if (!has_bdf)
		return wrong(place, "bdf", "an address such as \"0000:03:00.0\"");
	r = snapshot_add(snapshot, bdf, &is_new, &function);
	if (r)
		return report(place->err, r, "%.200s: %s", place->file,
		              r == -E2BIG ? "too many functions" : "out of memory");
	if (!is_new)
		return wrong(place, "bdf", "an address that no other function has");
	if ((r = get_config(place, object, function)) ||
	    (r = get_resources(place, object, function)) ||
	    (r = get_address(place, object, "physfn", true, &function->has_physfn,
	                     &function->physfn)) ||
	    (r = get_address(place, object, "root_bus", false, &function->has_root_bus,
	                     &function->root_bus)) ||
	    (r = get_int(place, object, "iommu_group", INT32_MAX, &function->iommu_group)) ||
	    (r = get_iommu(place, object, &function->iommu)) ||
	    (r = get_int(place, object, "numa_node", INT32_MAX, &function->numa_node)) ||
	    (r = get_int(place, object, "dma_mask_bits", 64, &function->dma_mask_bits)) ||
	    (r = get_text(place, object, "driver", &function->driver)))
		return r;
	return get_names(place, object, function);
}

static int read_machine(const struct place *place, const json_t *root, struct snapshot *snapshot)
{
	const json_t *machine = get(root, "machine");
	int r;

	if (!machine)
		return 0;
	if (!json_is_object(machine))
		return wrong(place, "machine", "an object");
	if ((r = get_text(place, machine, "kernel", &snapshot->kernel)) ||
	    (r = get_known(place, machine, "kernel_p2pdma", &snapshot->kernel_p2pdma)) ||
	    (r = get_text(place, machine, "arch", &snapshot->arch)) ||
	    (r = get_text(place, machine, "cpu_vendor", &snapshot->cpu_vendor)) ||
	    (r = get_int(place, machine, "cpu_family", INT32_MAX, &snapshot->cpu_family)) ||
	    (r = get_text(place, machine, "hypervisor", &snapshot->hypervisor)))
		return r;
	return get_known(place, machine, "privileged", &snapshot->privileged);
}

static int read_root(struct place *place, const json_t *root, struct snapshot *snapshot)
{
	const json_t *version = json_object_get(root, "version");
	const json_t *functions = json_object_get(root, "functions"), *function;
	const char *format = json_string_value(json_object_get(root, "format"));
	size_t i;
	int r;

	if (!format || strcmp(format, "p2pdma-capture") != 0)
		return wrong(place, "format", "\"p2pdma-capture\"");
	if (!json_is_integer(version) || json_integer_value(version) != 1)
		return wrong(place, "version", "1, the only one this library reads");
	r = read_machine(place, root, snapshot);
	if (r)
		return r;
	if (!json_is_array(functions))
		return wrong(place, "functions", "an array");
	json_array_foreach(functions, i, function)
	{
		place->function = i;
		r = read_function(place, function, snapshot);
		if (r)
			return r;
	}
	if (!snapshot->function_count)
		return report(place->err, -ENODEV, "%.200s: functions: there is none", place->file);
	snapshot_finish(snapshot);
	return 0;
}

/* At least as many as jansson would make of the text, strings' commas included. */
static size_t count_values(const char *text, size_t length)
{
	size_t count = 0;

	for (size_t i = 0; i < length; i++)
		count += text[i] == '[' || text[i] == '{' || text[i] == ',';
	return count;
}

/*
 * Parses; an empty error text means out of memory.  jansson takes a failed allocation for a syntax
 * error: only errno tells the two apart.
 */
static json_t *load(const char *text, size_t length, json_error_t *ret_error)
{
	int saved = errno;
	json_t *root;

	errno = 0;
	root = json_loadb(text, length, JSON_REJECT_DUPLICATES, ret_error);
	if (errno == ENOMEM) {
		json_decref(root);
		root = NULL;
		*ret_error->text = '\0';
	}
	errno = saved;
	return root;
}

int snapshot_parse_json(const char *text, size_t length, const char *name, const char *expected,
                        struct p2pdma_error *err, struct json_t **ret_root)
{
	json_error_t error;
	json_t *root;

	if (count_values(text, length) > MOST_VALUES)
		return report(err, -E2BIG, "%.200s: more than %u values: no machine", name,
		              MOST_VALUES);
	root = load(text, length, &error);
	if (!root && !*error.text)
		return report(err, -ENOMEM, "%.200s: out of memory", name);
	if (!root)
		return report(err, -EPROTO, "%.200s:%d:%d: %.160s; expected %s", name, error.line,
		              error.column, error.text, expected);
	*ret_root = root;
	return 0;
}

int snapshot_from_json(const struct json_t *root, const char *name, struct p2pdma_error *err,
                       struct snapshot **ret_snapshot)
{
	struct place place = { .file = name, .err = err, .function = SIZE_MAX };
	struct snapshot *snapshot = snapshot_new();
	int r = snapshot ? read_root(&place, root, snapshot) : out_of_memory(&place);

	if (r) {
		snapshot_free(snapshot);
		return r;
	}
	*ret_snapshot = snapshot;
	return 0;
}

int snapshot_read_json(const char *text, size_t length, const char *name, struct p2pdma_error *err,
                       struct snapshot **ret_snapshot)
{
	json_t *root;
	int r = snapshot_parse_json(text, length, name, "a JSON capture by `p2pdma dump`", err,
	                            &root);

	if (r)
		return r;
	r = snapshot_from_json(root, name, err, ret_snapshot);
	json_decref(root);
	return r;
}

int snapshot_read_text(const char *text, size_t length, const char *name, struct p2pdma_error *err,
                       struct snapshot **ret_snapshot)
{
	size_t at = 0;

	while (at < length && strchr(" \t\r\n", text[at]) && text[at])
		at++;
	if (at < length && text[at] == '{')
		return snapshot_read_json(text, length, name, err, ret_snapshot);
	return snapshot_read_lspci(text, length, name, err, ret_snapshot);
}
