/* SPDX-License-Identifier: MIT */
/*
 * matrix.c - all pairs: providers down, clients across.
 */
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"

/* Side by side: more does not fit a screen, and a table of it not into memory. */
#define GRID_MOST 512

/* The functions a matrix is about: header type 0, and no bridge by class. */
static bool is_function(const struct p2pdma_device_info *info)
{
	return info->header_type == 0 && info->class_code >> 16 != 0x06;
}

/* What people connect: storage, network, display, memory, co-processors, accelerators, FPGAs. */
static bool is_likely(const struct p2pdma_device_info *info, const struct p2pdma_device *device)
{
	static const uint8_t classes[] = { 0x01, 0x02, 0x03, 0x05, 0x0b, 0x12, 0xff };
	struct p2pdma_bar bar;

	if (!memchr(classes, (int)(info->class_code >> 16), sizeof(classes)))
		return false;
	for (int i = 0; i < 6; i++)
		if (!p2pdma_device_bar(device, i, &bar) && bar.is_memory)
			return true;
	return info->is_vf;
}

/* Keeps what belongs into the matrix; returns how many functions were only unlikely. */
static size_t narrow(const struct app *app, struct selection *selection)
{
	bool only_likely = !app->is_all && !app->is_json && !app->argument_count;
	size_t kept = 0, left_out = 0;

	for (size_t i = 0; i < selection->count; i++) {
		struct p2pdma_device_info info = { .size = sizeof(info) };

		p2pdma_device_get_info(selection->devices[i], &info);
		if (!is_function(&info))
			continue;
		if (only_likely && !is_likely(&info, selection->devices[i])) {
			left_out++;
			continue;
		}
		selection->devices[kept++] = selection->devices[i];
	}
	selection->count = kept;
	return left_out;
}

static const char *op_cell(struct p2pdma_route route, enum p2pdma_op op)
{
	static const char *const words[] = { "D", "RC", "?", "no" };
	uint8_t verdict = op == P2PDMA_OP_WRITE ? route.write : route.read;

	return route.stops & op && verdict != P2PDMA_BLOCKED ? "off" : words[verdict & 3];
}

static void cell(struct p2pdma_route route, enum p2pdma_op op, bool is_same, char text[16])
{
	const char *write = op_cell(route, P2PDMA_OP_WRITE), *read = op_cell(route, P2PDMA_OP_READ);

	if (is_same)
		snprintf(text, 16, "X");
	else if (op == P2PDMA_OP_WRITE || (op == P2PDMA_OP_BOTH && !strcmp(write, read)))
		snprintf(text, 16, "%s", write);
	else if (op == P2PDMA_OP_READ)
		snprintf(text, 16, "%s", read);
	else
		snprintf(text, 16, "%s/%s", write, read);
}

/* What people call it: the name of its disk or interface, else its class. */
static char *label(const struct p2pdma_device *device, size_t number)
{
	char bdf[BDF_TEXT], *text, *class = class_name(device);
	const char *name = p2pdma_device_name(device, 0);

	if (asprintf(&text, "#%zu %s %.24s", number, short_bdf_text(device, bdf),
	             name    ? name
	             : class ? class
	                     : "") < 0)
		text = NULL;
	free(class);
	return text;
}

static int fill_line(const struct app *app, const struct selection *selection, size_t row,
                     const uint32_t *codes, struct libscols_line *line)
{
	static const char *const colors[] = { "green", "yellow", "red" };
	char *name = label(selection->devices[row], row);
	int r = name ? scols_line_refer_data(line, 0, name) : -1;

	for (size_t i = 0; !r && i < selection->count; i++) {
		struct p2pdma_device_info info = { .size = sizeof(info) };
		struct p2pdma_route route;
		char text[16];

		p2pdma_device_get_info(selection->devices[i], &info);
		route = p2pdma_route_decode(codes[info.index]);
		cell(route, app->op, i == row, text);
		r = scols_line_set_data(line, i + 1, text);
		if (!r && i != row)
			r = scols_cell_set_color(scols_line_get_cell(line, i + 1),
			                         colors[p2pdma_route_answer(route, app->op)]);
	}
	return r;
}

static int print_grid(const struct app *app, const struct selection *selection, uint32_t *codes)
{
	struct libscols_table *table = scols_new_table();
	int r = table ? 0 : -1;

	if (!r && !scols_table_new_column(table, "", 0, 0))
		r = -1;
	if (!r)
		scols_table_enable_colors(table, app->has_color);
	for (size_t i = 0; !r && i < selection->count; i++) {
		char head[24];

		snprintf(head, sizeof(head), "#%zu", i);
		if (!scols_table_new_column(table, head, 0, 0))
			r = -1;
	}
	for (size_t i = 0; !r && i < selection->count; i++) {
		struct libscols_line *line = scols_table_new_line(table, NULL);

		p2pdma_routes_row(app->routes, selection->devices[i], codes);
		r = line ? fill_line(app, selection, i, codes, line) : -1;
	}
	if (!r)
		r = scols_print_table(table);
	scols_unref_table(table);
	return r ? complain(EXIT_INPUT, "cannot draw the table") : 0;
}

static void print_legend(const struct app *app, size_t left_out)
{
	static const char *const ops[] = { "", "writes", "reads", "writes and reads" };

	printf("\nprovider down, client across, %s, on the wire (the kernel's verdict: check, --json)\n"
	       "  X    the function itself\n"
	       "  D    direct: the TLPs stay below the root complex\n"
	       "  RC   through a root complex trusted to forward them\n"
	       "  ?    unknown: nobody has evidence, so try before you trust\n"
	       "  no   blocked by a port or a root complex\n"
	       "  off  something on the path stops it: decode, bus master, power, BAR, window, payload, address width\n",
	       ops[app->op]);
	if (app->op == P2PDMA_OP_BOTH)
		printf("  a/b  a for writes, b for reads\n");
	printf("why: p2pdma check PROVIDER CLIENT\n");
	if (left_out)
		printf("%zu functions of other classes are left out; --all shows them\n", left_out);
}

static int print_pair(const struct app *app, struct p2pdma_device *provider,
                      struct p2pdma_device *client, bool is_first)
{
	struct p2pdma_explanation *explanation;
	json_t *pair;
	int r = p2pdma_routes_explain(app->routes, provider, client, &explanation);

	if (r)
		return complain(EXIT_INPUT, "%s", strerror(-r));
	pair = json_pair(app, provider, client, explanation);
	fputs(is_first ? "" : ",\n", stdout);
	r = json_dumpf(pair, stdout, JSON_COMPACT);
	json_decref(pair);
	p2pdma_explanation_free(explanation);
	return r ? EXIT_INPUT : 0;
}

/* Written as it is computed: a matrix of thousands of functions does not fit into memory as JSON.
 */
static int print_json(const struct app *app, const struct selection *selection)
{
	int r = 0;

	printf("{\"format\":\"p2pdma-matrix\",\"version\":1,\"profile\":\"linux-%u.%u\",\"pairs\":[\n",
	       app->routes_info.profile.major, app->routes_info.profile.minor);
	for (size_t i = 0; !r && i < selection->count; i++)
		for (size_t j = 0; !r && j < selection->count; j++)
			r = print_pair(app, selection->devices[i], selection->devices[j], !i && !j);
	printf("\n]}\n");
	return r;
}

int verb_matrix(struct app *app)
{
	struct selection selection = { 0 };
	size_t left_out = 0;
	uint32_t *codes = NULL;
	int r = 0;

	if (!app->argument_count)
		r = select_all(app, &selection);
	for (int i = 0; !r && i < app->argument_count; i++)
		r = select_argument(app, app->arguments[i], &selection);
	if (r)
		goto out;
	left_out = narrow(app, &selection);
	if (app->is_json) {
		r = print_json(app, &selection);
		goto out;
	}
	if (selection.count > GRID_MOST) {
		r = complain(
			EXIT_USAGE,
			"%zu functions are too many for a grid (%d at most): name some, or use --json",
			selection.count, GRID_MOST);
		goto out;
	}
	print_heading(app);
	if (!selection.count) {
		if (left_out)
			printf("no function here is storage, network, display, memory or an accelerator; --all shows the %zu others\n",
			       left_out);
		else
			printf("nothing but bridges: no pair to judge\n");
		goto out;
	}
	codes = calloc(p2pdma_machine_device_count(app->machine), sizeof(*codes));
	r = codes ? print_grid(app, &selection, codes) : complain(EXIT_INPUT, "out of memory");
	if (!r)
		print_legend(app, left_out);
out:
	free(codes);
	select_done(&selection);
	return r;
}
