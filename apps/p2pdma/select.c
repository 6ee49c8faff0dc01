/* SPDX-License-Identifier: MIT */
/*
 * select.c - from arguments to devices.
 *
 * An argument is the name of one device (p2pdma_machine_resolve()), or a pattern of lspci: its -s
 * form "[[[domain]:]bus]:[device][.function]" or its -d form "[vendor]:[device][:class]", where "*"
 * is as good as nothing.  Four digits tell a -d form: in the class if there are three parts, else
 * in vendor or device.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"

#define ANY UINT32_MAX

struct pattern {
	bool is_id;
	uint32_t domain, bus, slot, function;
	uint32_t vendor, device, class_code;
};

/* Hex digits, or nothing, or "*": the last two match everything. */
static bool parse_part(const char *text, size_t length, size_t most, uint32_t *ret_value)
{
	char digits[9], *end;

	*ret_value = ANY;
	if (!length || (length == 1 && *text == '*'))
		return true;
	if (length > most || length >= sizeof(digits))
		return false;
	memcpy(digits, text, length);
	digits[length] = '\0';
	if (strspn(digits, "0123456789abcdefABCDEF") != length)
		return false;
	*ret_value = (uint32_t)strtoul(digits, &end, 16);
	return true;
}

/* "[vendor]:[device][:class]" */
static bool parse_id(const char *text, struct pattern *pattern)
{
	size_t vendor = strcspn(text, ":"), device;
	const char *rest = text + vendor + 1, *class;

	if (!text[vendor] || strchr(text, '.'))
		return false;
	device = strcspn(rest, ":");
	class = rest[device] ? rest + device + 1 : NULL;
	if (class ? strlen(class) != 4 : vendor != 4 && device != 4)
		return false;
	pattern->is_id = parse_part(text, vendor, 4, &pattern->vendor) &&
	                 parse_part(rest, device, 4, &pattern->device) &&
	                 parse_part(class ? class : "", class ? 4 : 0, 4, &pattern->class_code);
	return pattern->is_id;
}

/* "[[[domain]:]bus]:[device][.function]", "device.function" or ".function" */
static bool parse_slot(const char *text, struct pattern *pattern)
{
	const char *first = strchr(text, ':'), *second = first ? strchr(first + 1, ':') : NULL;
	const char *bus = text, *slot = text;
	size_t device;

	*pattern = (struct pattern){ .domain = ANY, .bus = ANY };
	if (!first && !strchr(text, '.'))
		return false;
	if (second) {
		if (!parse_part(text, (size_t)(first - text), 8, &pattern->domain))
			return false;
		bus = first + 1;
		first = second;
	}
	if (first) {
		if (!parse_part(bus, (size_t)(first - bus), 2, &pattern->bus))
			return false;
		slot = first + 1;
	}
	device = strcspn(slot, ".");
	if (!parse_part(slot, device, 2, &pattern->slot))
		return false;
	if (!slot[device]) {
		pattern->function = ANY;
		return true;
	}
	return parse_part(slot + device + 1, strlen(slot + device + 1), 1, &pattern->function);
}

static bool is_equal(uint32_t wanted, uint32_t value)
{
	return wanted == ANY || wanted == value;
}

static bool matches(const struct pattern *pattern, const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };

	p2pdma_device_get_info(device, &info);
	if (pattern->is_id)
		return is_equal(pattern->vendor, info.vendor) &&
		       is_equal(pattern->device, info.device) &&
		       is_equal(pattern->class_code, info.class_code >> 8);
	return is_equal(pattern->domain, info.bdf.domain) && is_equal(pattern->bus, info.bdf.bus) &&
	       is_equal(pattern->slot, info.bdf.devfn >> 3) &&
	       is_equal(pattern->function, info.bdf.devfn & 7u);
}

static int append(struct selection *selection, struct p2pdma_device *device)
{
	struct p2pdma_device **devices;

	for (size_t i = 0; i < selection->count; i++)
		if (selection->devices[i] == device)
			return 0;
	devices = realloc(selection->devices, (selection->count + 1) * sizeof(*devices));
	if (!devices)
		return complain(EXIT_INPUT, "out of memory");
	selection->devices = devices;
	devices[selection->count++] = device;
	return 0;
}

static int compare_addresses(const void *left, const void *right)
{
	struct p2pdma_device_info a = { .size = sizeof(a) }, b = { .size = sizeof(b) };

	p2pdma_device_get_info(*(struct p2pdma_device *const *)left, &a);
	p2pdma_device_get_info(*(struct p2pdma_device *const *)right, &b);
	if (a.bdf.domain != b.bdf.domain)
		return a.bdf.domain < b.bdf.domain ? -1 : 1;
	return (a.bdf.bus << 8 | a.bdf.devfn) - (b.bdf.bus << 8 | b.bdf.devfn);
}

int select_all(struct app *app, struct selection *selection)
{
	size_t count = p2pdma_machine_device_count(app->machine);

	selection->devices = calloc(count, sizeof(struct p2pdma_device *));
	if (!selection->devices)
		return complain(EXIT_INPUT, "out of memory");
	for (size_t i = 0; i < count; i++)
		selection->devices[i] = p2pdma_machine_device(app->machine, i);
	selection->count = count;
	qsort(selection->devices, count, sizeof(struct p2pdma_device *), compare_addresses);
	return 0;
}

int select_argument(struct app *app, const char *argument, struct selection *selection)
{
	struct selection all = { 0 };
	struct p2pdma_device *device;
	struct p2pdma_error err;
	struct pattern pattern;
	bool has_match = false;
	int r = p2pdma_machine_resolve(app->machine, argument, &err, &device);

	if (!r)
		return append(selection, device);
	if (r == -ENOTUNIQ || (!parse_id(argument, &pattern) && !parse_slot(argument, &pattern)))
		return complain(EXIT_USAGE, "%s; `p2pdma tree` lists the devices", err.text);
	r = select_all(app, &all);
	for (size_t i = 0; !r && i < all.count; i++)
		if (matches(&pattern, all.devices[i])) {
			has_match = true;
			r = append(selection, all.devices[i]);
		}
	select_done(&all);
	if (!r && !has_match)
		return complain(EXIT_USAGE,
		                "%s: matches no function of this machine; `p2pdma tree` lists them",
		                argument);
	return r;
}

void select_done(struct selection *selection)
{
	free(selection->devices);
	*selection = (struct selection){ 0 };
}
