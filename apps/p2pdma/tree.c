/* SPDX-License-Identifier: MIT */
/*
 * tree.c - the fabric as `lspci -t` draws it, with what matters to peers beside it.
 */
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"

enum column { FUNCTION, LINK, ACS, GROUP, BARS, NAME, COLUMNS };

static struct p2pdma_device_info info_of(const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };

	p2pdma_device_get_info(device, &info);
	return info;
}

static void put_link(FILE *out, const struct p2pdma_device *device)
{
	struct p2pdma_link link;

	if (p2pdma_device_link(device, &link))
		return;
	if (!link.width || !link.speed) {
		fputs("down", out);
		return;
	}
	fprintf(out, "%sGT/s x%u", speed_text(link.speed), link.width);
	if (link.speed < link.max_speed || link.width < link.max_width)
		fprintf(out, " of %s x%u", speed_text(link.max_speed), link.max_width);
}

/* The bits that are set, in lspci's words: a row of minus signs tells nothing. */
static void put_acs(FILE *out, const struct p2pdma_device *device)
{
	struct p2pdma_acs acs = p2pdma_device_acs(device);
	char text[ACS_TEXT], *rest;
	bool is_first = true;

	if (acs.known == P2PDMA_UNKNOWN)
		fputc('?', out);
	if (acs.known != P2PDMA_YES)
		return;
	acs_bits_text(acs.control, text);
	for (char *bit = strtok_r(text, " ", &rest); bit; bit = strtok_r(NULL, " ", &rest)) {
		if (bit[strlen(bit) - 1] != '+')
			continue;
		fprintf(out, "%s%s", is_first ? "" : " ", bit);
		is_first = false;
	}
	if (is_first)
		fputs("all off", out);
}

static void put_bars(FILE *out, const struct p2pdma_device *device)
{
	struct p2pdma_bar bar;
	char size[SIZE_TEXT];
	bool is_first = true;

	for (int i = 0; i < 6; i++) {
		if (p2pdma_device_bar(device, i, &bar) || !bar.is_memory)
			continue;
		fprintf(out, "%s%d:%s%s%s", is_first ? "" : " ", i,
		        bar.size ? size_text(bar.size, size) : "?",
		        bar.is_prefetchable ? " pref" : "", bar.bus.addr ? "" : " unassigned");
		is_first = false;
	}
}

static void put_name(FILE *out, const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = info_of(device);
	char *class = class_name(device), *name = device_name(device);

	fprintf(out, "%s: %s%s", class ? class : "", name ? name : "", info.is_vf ? " (VF)" : "");
	if (info.driver)
		fprintf(out, " [%s]", info.driver);
	for (size_t i = 0; p2pdma_device_name(device, i); i++)
		fprintf(out, " %s", p2pdma_device_name(device, i));
	free(class);
	free(name);
}

static void put_function(FILE *out, const struct p2pdma_device *device)
{
	char text[BDF_TEXT];
	uint8_t secondary, subordinate;

	bdf_text(device, text);
	/* Below the root bus line the domain is known. */
	fputs(strchr(text, ':') + 1, out);
	if (!p2pdma_device_bus_range(device, &secondary, &subordinate) && secondary) {
		fprintf(out, " [%02x", secondary);
		if (subordinate != secondary)
			fprintf(out, "-%02x", subordinate);
		fputc(']', out);
	}
}

static void put_group(FILE *out, const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = info_of(device);

	if (info.iommu_group >= 0)
		fprintf(out, "%d", info.iommu_group);
}

/* One cell; the memory goes to the line. */
static int set_cell(struct libscols_line *line, enum column column,
                    void (*put)(FILE *out, const struct p2pdma_device *device),
                    const struct p2pdma_device *device)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return -1;
	put(out, device);
	fclose(out);
	if (!text)
		return -1;
	return scols_line_refer_data(line, column, text);
}

static int add_function(struct libscols_table *table, const struct p2pdma_device *device,
                        struct libscols_line *parent, struct libscols_line **ret_line)
{
	struct libscols_line *line = scols_table_new_line(table, parent);

	if (!line || set_cell(line, FUNCTION, put_function, device) ||
	    set_cell(line, LINK, put_link, device) || set_cell(line, ACS, put_acs, device) ||
	    set_cell(line, GROUP, put_group, device) || set_cell(line, BARS, put_bars, device) ||
	    set_cell(line, NAME, put_name, device))
		return -1;
	*ret_line = line;
	return 0;
}

static struct libscols_line *add_root(struct libscols_table *table, struct p2pdma_bdf bus)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	char text[32];

	snprintf(text, sizeof(text), "[%04x:%02x]", bus.domain, bus.bus);
	return line && !scols_line_set_data(line, FUNCTION, text) ? line : NULL;
}

static struct libscols_table *new_table(const struct app *app)
{
	static const struct {
		const char *name;
		int flags;
	} columns[COLUMNS] = {
		[FUNCTION] = { "FUNCTION", SCOLS_FL_TREE },
		[LINK] = { "LINK", 0 },
		[ACS] = { "ACS", 0 },
		[GROUP] = { "GROUP", SCOLS_FL_RIGHT },
		[BARS] = { "BARS", 0 },
		[NAME] = { "NAME", 0 },
	};
	struct libscols_table *table = scols_new_table();

	if (!table)
		return NULL;
	scols_table_enable_colors(table, app->has_color);
	scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
	scols_table_enable_minout(table, 1);
	for (int i = 0; i < COLUMNS; i++) {
		if (!scols_table_new_column(table, columns[i].name, 0, columns[i].flags)) {
			scols_unref_table(table);
			return NULL;
		}
	}
	return table;
}

/* Indices are in preorder, so a parent's line is always there before its children's. */
static int print_text(const struct app *app)
{
	size_t count = p2pdma_machine_device_count(app->machine);
	struct libscols_line **lines = calloc(count, sizeof(struct libscols_line *));
	struct libscols_table *table = new_table(app);
	struct libscols_line *root = NULL;
	struct p2pdma_bdf bus = { 0 };
	int r = lines && table ? 0 : -1;

	for (size_t i = 0; !r && i < count; i++) {
		const struct p2pdma_device *device = p2pdma_machine_device(app->machine, i);
		const struct p2pdma_device *parent = p2pdma_device_parent(device);
		struct p2pdma_bdf own = p2pdma_device_root_bus(device);

		if (!root || own.domain != bus.domain || own.bus != bus.bus) {
			bus = own;
			root = add_root(table, bus);
		}
		r = root ? add_function(table, device, parent ? lines[info_of(parent).index] : root,
		                        &lines[i])
		         : -1;
	}
	if (!r)
		r = scols_print_table(table);
	scols_unref_table(table);
	free(lines);
	return r ? complain(EXIT_INPUT, "cannot draw the tree") : 0;
}

static json_t *json_acs(const struct p2pdma_device *device)
{
	struct p2pdma_acs acs = p2pdma_device_acs(device);

	if (acs.known == P2PDMA_YES)
		return json_pack("{s:i, s:i}", "capability", acs.capability, "control",
		                 acs.control);
	return json_string(acs.known == P2PDMA_NO ? "absent" : "unknown");
}

static json_t *json_link(const struct p2pdma_device *device)
{
	struct p2pdma_link link;

	if (p2pdma_device_link(device, &link))
		return json_null();
	return json_pack("{s:s, s:i, s:s, s:i}", "speed", speed_text(link.speed), "width",
	                 link.width, "max_speed", speed_text(link.max_speed), "max_width",
	                 link.max_width);
}

static json_t *json_bars(const struct p2pdma_device *device)
{
	json_t *array = json_array();
	struct p2pdma_bar bar;
	char bus[24], size[24];

	for (int i = 0; i < 6; i++) {
		if (p2pdma_device_bar(device, i, &bar) || !bar.is_memory)
			continue;
		snprintf(bus, sizeof(bus), "0x%" PRIx64, bar.bus.addr);
		snprintf(size, sizeof(size), "0x%" PRIx64, bar.size);
		json_array_append_new(
			array, json_pack("{s:i, s:s, s:o, s:b, s:b}", "bar", i, "bus", bus, "size",
		                         bar.size ? json_string(size) : json_null(), "is_64bit",
		                         bar.is_64bit, "is_prefetchable", bar.is_prefetchable));
	}
	return array;
}

static json_t *json_function(const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = info_of(device);
	const struct p2pdma_device *parent = p2pdma_device_parent(device);
	const struct p2pdma_device *physfn = p2pdma_device_physfn(device);
	struct p2pdma_bdf root = p2pdma_device_root_bus(device);
	json_t *names = json_array();
	char root_bus[16], ids[16], class_code[8];

	snprintf(root_bus, sizeof(root_bus), "%04x:%02x", root.domain, root.bus);
	snprintf(ids, sizeof(ids), "%04x:%04x", info.vendor, info.device);
	snprintf(class_code, sizeof(class_code), "%06x", info.class_code);
	for (size_t i = 0; p2pdma_device_name(device, i); i++)
		json_array_append_new(names, json_string(p2pdma_device_name(device, i)));
	return json_pack(
		"{s:o, s:o, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:i}",
		"bdf", json_bdf(device), "parent", parent ? json_bdf(parent) : json_null(),
		"root_bus", root_bus, "kind", kind_text(info.kind), "ids", ids, "class", class_code,
		"physfn", physfn ? json_bdf(physfn) : json_null(), "link", json_link(device), "acs",
		json_acs(device), "bars", json_bars(device), "iommu_group",
		info.iommu_group < 0 ? json_null() : json_integer(info.iommu_group), "iommu",
		iommu_text(info.iommu), "driver",
		info.driver ? json_string(info.driver) : json_null(), "names", names, "config_len",
		(int)info.config_len);
}

static int print_json(const struct app *app)
{
	json_t *functions = json_array();

	for (size_t i = 0; i < p2pdma_machine_device_count(app->machine); i++)
		json_array_append_new(functions,
		                      json_function(p2pdma_machine_device(app->machine, i)));
	return json_print(json_pack("{s:s, s:i, s:o}", "format", "p2pdma-tree", "version", 1,
	                            "functions", functions));
}

int verb_tree(struct app *app)
{
	int r;

	if (app->is_json)
		return print_json(app);
	r = print_text(app);
	if (!r && privilege_hint(app))
		printf("%s\n", privilege_hint(app));
	return r;
}
