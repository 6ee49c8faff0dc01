/* SPDX-License-Identifier: MIT */
/*
 * sim.c - simulated machines: what a file describes, and streams of DMA on it.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <p2pdma/access.h>

#include "sim.h"

#define DEFAULT_SIZE  4096
#define DEFAULT_DEPTH 32
#define DEFAULT_BYTES (16ull << 20)

static int open_sim(const struct app *app, struct p2pdma_sim **ret_sim)
{
	int r = p2pdma_machine_sim(app->machine, ret_sim);

	return r ? complain(EXIT_INPUT, "%s: %s", app->machine_spec, strerror(-r)) : 0;
}

/* ---- check ---- */

/* As a platform of the file is written. */
static const char *forwards_text(unsigned int ops)
{
	static const char *const words[] = { "none", "w", "r", "rw" };

	return words[ops & P2PDMA_OP_BOTH];
}

static void print_root(const struct p2pdma_sim_root *root)
{
	printf("%04x:%02x  root complex     %s, socket %d; forwards for peers: same port %s, "
	       "across ports %s, across sockets %s\n",
	       root->bus.domain, root->bus.bus, root->platform, root->socket,
	       forwards_text(root->same_port), forwards_text(root->across_ports),
	       forwards_text(root->across_sockets));
}

static void put_link(const struct p2pdma_device *device, char *text, size_t size)
{
	struct p2pdma_link link;

	if (p2pdma_device_link(device, &link))
		snprintf(text, size, "%s", "");
	else if (link.width && link.speed)
		snprintf(text, size, "%sGT/s x%u", speed_text(link.speed), link.width);
	else
		snprintf(text, size, "down");
}

static void print_function(struct p2pdma_sim *sim, const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };
	char bdf[BDF_TEXT], size[SIZE_TEXT], name[64], link[32];
	struct p2pdma_bar bar;
	const char *model;

	p2pdma_device_get_info(device, &info);
	put_link(device, link, sizeof(link));
	model = p2pdma_sim_model_name(sim, info.bdf);
	if (info.header_type)
		printf(*link ? "  %s  %-15s  %s" : "  %s  %s%s", bdf_text(device, bdf),
		       kind_text(info.kind), link);
	else
		printf("  %s  %-15s  %-10s  %s", bdf_text(device, bdf), kind_text(info.kind), link,
		       model ? model : "no model");
	for (int i = 0; i < 6; i++)
		if (!p2pdma_device_bar(device, i, &bar) && bar.is_memory)
			printf("  BAR%d %s", i, bar.size ? size_text(bar.size, size) : "?");
	for (size_t i = 0; p2pdma_device_name(device, i); i++) {
		snprintf(name, sizeof(name), "%s", p2pdma_device_name(device, i));
		printf("  %s", disarm(name));
	}
	printf("\n");
}

int verb_sim_check(struct app *app)
{
	struct p2pdma_sim_root root = { .size = sizeof(root) };
	size_t count = p2pdma_machine_device_count(app->machine);
	struct p2pdma_sim *sim;
	int r = open_sim(app, &sim);

	if (r)
		return r;
	printf("%s   %zu functions, IOMMU %s\n", app->info.source, count, machine_iommu(app));
	for (size_t i = 0; !p2pdma_sim_root(sim, i, &root); i++) {
		print_root(&root);
		for (size_t j = 0; j < count; j++) {
			const struct p2pdma_device *device = p2pdma_machine_device(app->machine, j);
			struct p2pdma_bdf bus = p2pdma_device_root_bus(device);

			if (bus.domain == root.bus.domain && bus.bus == root.bus.bus)
				print_function(sim, device);
		}
	}
	return EXIT_YES;
}

/* ---- run: what is asked ---- */

/* "4096", "4K", "1M", "2G"; false: no such number, or more than @most. */
static bool parse_size(const char *text, uint64_t most, uint64_t *ret_value)
{
	static const char units[] = "KMG";
	uint64_t value, unit = 1;
	const char *found;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	found = *end ? strchr(units, *end) : NULL;
	if (found) {
		unit = 1024ull << 10 * (found - units);
		end++;
	}
	if (errno || *end || value > most / unit)
		return false;
	*ret_value = value * unit;
	return true;
}

/* One function by any of its names; @text is what @option said. */
static int parse_device(struct app *app, const char *option, const char *text, const char *name,
                        struct p2pdma_device **ret_device)
{
	struct p2pdma_error err;

	if (p2pdma_machine_resolve(app->machine, name, &err, ret_device))
		return complain(EXIT_USAGE, "%s %s: %s; `p2pdma sim check` lists the devices",
		                option, text, err.text);
	return 0;
}

static int parse_end(struct app *app, const char *flow, const char *name,
                     struct p2pdma_bdf *ret_bdf)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };
	struct p2pdma_device *device;
	int r = parse_device(app, "--flow", flow, name, &device);

	if (r)
		return r;
	p2pdma_device_get_info(device, &info);
	*ret_bdf = info.bdf;
	return 0;
}

/* Nothing but hexadecimal digits before @end, of at most @most; 0x may stand before. */
static bool parse_hex(const char *text, const char *end, uint64_t most, uint64_t *ret_value)
{
	char *stop;

	if (!isxdigit((unsigned char)*text))
		return false;
	errno = 0;
	*ret_value = strtoull(text, &stop, 16);
	return !errno && stop == end && *ret_value <= most;
}

/* "0000:02:01.0,156.w=4"; @parts is @text, to be cut. */
static int set_register(struct app *app, const char *text, char *parts)
{
	static const char letters[] = "bw l"; /* 1, 2 and 4 bytes, as setpci has them */
	char *comma = strchr(parts, ','), *dot = comma ? strchr(comma, '.') : NULL;
	const char *width = dot && dot[1] && dot[1] != ' ' ? strchr(letters, dot[1]) : NULL;
	size_t length = width ? (size_t)(width - letters) + 1 : 0;
	struct p2pdma_device *device;
	uint64_t offset, value;
	int r;

	if (!width || dot[2] != '=' || !parse_hex(comma + 1, dot, 4096 - length, &offset) ||
	    !parse_hex(dot + 3, dot + strlen(dot), UINT32_MAX >> (32 - 8 * length), &value))
		return complain(EXIT_USAGE,
		                "--set %s: expected DEVICE,OFFSET.WIDTH=VALUE, in hexadecimal and "
		                "WIDTH b, w or l: such as 02:00.0,156.w=4",
		                text);
	*comma = '\0';
	r = parse_device(app, "--set", text, parts, &device);
	if (r)
		return r;
	r = p2pdma_device_config_write(device, (size_t)offset, length, (uint32_t)value);
	if (r == -EINVAL)
		return complain(EXIT_USAGE, "--set %s: the offset is no multiple of %zu", text,
		                length);
	return r ? complain(EXIT_USAGE, "--set %s: %s", text, strerror(-r)) : 0;
}

static int set_registers(struct app *app)
{
	int r = 0;

	for (size_t i = 0; !r && i < app->set_count; i++) {
		char *parts = strdup(app->sets[i]);

		r = parts ? set_register(app, app->sets[i], parts)
		          : complain(EXIT_INPUT, "out of memory");
		free(parts);
	}
	return r;
}

enum key { FROM, TO, OP, SIZE, DEPTH, TRANSLATED, KEYS };

static int set_key(struct app *app, const char *text, enum key key, const char *value,
                   struct p2pdma_sim_flow *flow)
{
	uint64_t number;

	switch (key) {
	case FROM:
		return parse_end(app, text, value, &flow->client);
	case TO:
		flow->is_dram = !strcmp(value, "dram");
		return flow->is_dram ? 0 : parse_end(app, text, value, &flow->provider);
	case OP:
		flow->op = !strcmp(value, "write") ? P2PDMA_OP_WRITE : P2PDMA_OP_READ;
		if (flow->op == P2PDMA_OP_READ && strcmp(value, "read") != 0)
			return complain(EXIT_USAGE, "--flow %s: op=%s: expected read or write",
			                text, value);
		return 0;
	case SIZE:
		if (!parse_size(value, 1 << 20, &number) || !number)
			return complain(EXIT_USAGE, "--flow %s: size=%s: expected 1 to 1M", text,
			                value);
		flow->length = (size_t)number;
		return 0;
	case TRANSLATED:
		flow->is_translated = !strcmp(value, "yes");
		if (!flow->is_translated && strcmp(value, "no") != 0)
			return complain(EXIT_USAGE, "--flow %s: translated=%s: expected yes or no",
			                text, value);
		return 0;
	default:
		if (!parse_size(value, 4096, &number) || !number)
			return complain(EXIT_USAGE, "--flow %s: depth=%s: expected 1 to 4096", text,
			                value);
		flow->depth = (unsigned int)number;
		return 0;
	}
}

/* "from=BDF,to=BDF|dram,op=read|write,size=4096,depth=32"; @parts is @text, to be cut. */
static int parse_flow(struct app *app, const char *text, char *parts, struct p2pdma_sim_flow *flow)
{
	static const char *const keys[KEYS] = { "from", "to", "op", "size", "depth", "translated" };
	unsigned int seen = 0;
	char *rest;
	int r;

	flow->length = DEFAULT_SIZE;
	flow->depth = DEFAULT_DEPTH;
	for (char *part = strtok_r(parts, ",", &rest); part; part = strtok_r(NULL, ",", &rest)) {
		char *value = strchr(part, '=');
		int key = 0;

		if (value)
			*value++ = '\0';
		while (key < KEYS && strcmp(part, keys[key]) != 0)
			key++;
		if (key == KEYS || !value)
			return complain(EXIT_USAGE,
			                "--flow %s: %s: expected from=, to=, op=, size=, depth= "
			                "or translated=",
			                text, part);
		if (seen & 1u << key)
			return complain(EXIT_USAGE, "--flow %s: %s= twice", text, part);
		seen |= 1u << key;
		r = set_key(app, text, (enum key)key, value, flow);
		if (r)
			return r;
	}
	for (int key = FROM; key <= OP; key++)
		if (!(seen & 1u << key))
			return complain(EXIT_USAGE, "--flow %s: %s= is missing", text, keys[key]);
	return 0;
}

static int parse_flows(struct app *app, struct p2pdma_sim_flow *flows)
{
	uint64_t bytes = DEFAULT_BYTES;
	int r = 0;

	if (app->bytes && (!parse_size(app->bytes, INT64_MAX, &bytes) || !bytes))
		return complain(EXIT_USAGE, "--bytes %s: expected a number such as 64M",
		                app->bytes);
	for (size_t i = 0; !r && i < app->flow_count; i++) {
		char *parts = strdup(app->flows[i]);

		if (!parts)
			return complain(EXIT_INPUT, "out of memory");
		flows[i].bytes = bytes;
		r = parse_flow(app, app->flows[i], parts, &flows[i]);
		free(parts);
	}
	return r;
}

/* ---- run ---- */

static void write_line(void *arg, const char *text)
{
	fprintf(arg, "%s\n", text);
}

/* 0, or an exit code after complaining. */
static int trace_run(struct app *app, struct sim_run *run)
{
	bool is_stdout = app->trace && !strcmp(app->trace, "-");
	FILE *trace = is_stdout ? stdout : NULL;
	struct p2pdma_error err;
	bool is_lost = false;
	int r;

	if (app->trace && !trace) {
		trace = fopen(app->trace, "we");
		if (!trace)
			return complain(EXIT_INPUT, "--trace %s: %s", app->trace, strerror(errno));
	}
	if (trace)
		p2pdma_sim_trace(run->sim, write_line, trace);
	r = p2pdma_sim_run(run->sim, run->flows, run->count, &err, run->results);
	p2pdma_sim_trace(run->sim, NULL, NULL);
	if (trace && !is_stdout) {
		is_lost = ferror(trace);
		is_lost |= fclose(trace) != 0;
	}
	for (size_t i = 0; !r && i < run->count; i++)
		if (run->results[i].duration > run->elapsed)
			run->elapsed = run->results[i].duration;
	if (r)
		return complain(r == -EINVAL ? EXIT_USAGE : EXIT_INPUT, "%s", err.text);
	return is_lost ? complain(EXIT_INPUT, "--trace %s: not all was written", app->trace) : 0;
}

int verb_sim_run(struct app *app)
{
	struct sim_run run = { .count = app->flow_count };
	int r = open_sim(app, &run.sim);

	if (!r && !run.count)
		r = complain(EXIT_USAGE,
		             "expected --flow from=DEVICE,to=DEVICE|dram,op=read|write");
	run.flows = calloc(run.count + 1, sizeof(*run.flows));
	run.results = calloc(run.count + 1, sizeof(*run.results));
	if (!r && (!run.flows || !run.results))
		r = complain(EXIT_INPUT, "out of memory");
	if (!r)
		r = parse_flows(app, run.flows);
	if (!r)
		r = set_registers(app);
	if (!r)
		r = trace_run(app, &run);
	if (!r && app->is_json)
		r = sim_print_json(&run);
	else if (!r)
		sim_print_text(&run);
	for (size_t i = 0; !r && i < run.count; i++)
		r = run.results[i].has_arrived ? EXIT_YES : EXIT_NO;
	free(run.flows);
	free(run.results);
	return r;
}
