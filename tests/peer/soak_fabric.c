/* SPDX-License-Identifier: MIT */
/*
 * soak_fabric.c - machines out of a seed, and what their workers do.
 */
#include "soak.h"

#define DEEPEST 2
#define WORKERS 48
#define MOST    512u /* bytes of one write */

/* A function with memory that writes wherever its streams say. */
struct worker {
	struct p2pdma_function *function;
	unsigned int kicks; /* writes to its configuration space */
};

static struct worker workers[WORKERS];
static unsigned int worker_count;

/* ---- the model ---- */

static int worker_create(struct p2pdma_function *function, struct p2pdma_error *err,
                         void **ret_state)
{
	uint64_t size = p2pdma_model_param(function, "size", 0x4000);

	(void)err;
	if (worker_count == WORKERS)
		return -ENOMEM;
	workers[worker_count] = (struct worker){ .function = function };
	*ret_state = &workers[worker_count++];
	p2pdma_model_set_id(function, 0x1209, 0x1100, 0x058000);
	return p2pdma_model_add_memory(function, 0, size, NULL);
}

uint64_t stamp(unsigned int who)
{
	return 0x5aull << 56 | (uint64_t)who << 48 | (++soak.serial & 0xffffffffffff);
}

unsigned int stamp_owner(uint64_t word)
{
	return word >> 56 == 0x5a ? word >> 48 & 0xff : UINT32_MAX;
}

/* Up to MOST bytes somewhere in a segment, and the time until the next. */
static void worker_timer(void *state, uint64_t cookie)
{
	struct worker *worker = state;
	struct stream *stream = &soak.streams[cookie];
	const struct p2pdma_dma_segment *segment;
	uint64_t words[MOST / 8], at, length;

	if (!stream->left || stream->unit->worker != worker)
		return;
	stream->left--;
	segment = &stream->segments[below(stream->count)];
	length = segment->length / 8 < MOST / 8 ? segment->length / 8 : MOST / 8;
	if (length) {
		length = 1 + below((uint32_t)length);
		at = below((uint32_t)(segment->length / 8 - length) + 1) * 8ull;
		for (uint64_t i = 0; i < length; i++)
			words[i] = stamp((unsigned int)(stream->unit - soak.units));
		stream->last = segment->address.addr + at + 8 * (length - 1);
		p2pdma_model_write(worker->function, segment->address.addr + at, 8 * length, words);
	}
	if (stream->left)
		p2pdma_model_timer(worker->function, stream->pause, cookie);
}

static void worker_reset(void *state, enum p2pdma_model_reset why)
{
	(void)why;
	for (unsigned int i = 0; i < STREAMS; i++)
		if (soak.streams[i].left && soak.streams[i].unit->worker == state)
			soak.streams[i].left = 0;
}

static void worker_config_written(void *state, size_t offset, size_t length)
{
	struct worker *worker = state;

	(void)offset;
	(void)length;
	worker->kicks++;
}

static const struct p2pdma_model worker_model = {
	.size = sizeof(struct p2pdma_model),
	.name = "worker",
	.create = worker_create,
	.timer = worker_timer,
	.reset = worker_reset,
	.config_written = worker_config_written,
};

struct stream *stream_start(const struct grant *grant, unsigned int count, uint64_t pause)
{
	struct stream *stream = soak.streams;

	while (stream < soak.streams + STREAMS && stream->left)
		stream++;
	if (stream == soak.streams + STREAMS || !grant->client->worker || !grant->segment_count)
		return NULL;
	/* Whoever had this one has come to its end. */
	for (unsigned int i = 0; i < LEASES; i++)
		if (soak.leases[i].grant.stream == stream)
			soak.leases[i].grant.stream = NULL;
	for (unsigned int i = 0; i < GUESTS; i++)
		if (soak.guests[i].grant.stream == stream)
			soak.guests[i].grant.stream = NULL;
	*stream = (struct stream){
		.left = count,
		.count = (unsigned int)grant->segment_count,
		.unit = grant->client,
		.pause = pause,
	};
	memcpy(stream->segments, grant->segments, sizeof(stream->segments));
	p2pdma_model_timer(grant->client->worker->function, 10, (uint64_t)(stream - soak.streams));
	return stream;
}

void stream_stop(struct grant *grant)
{
	if (grant->stream && grant->stream->unit == grant->client)
		grant->stream->left = 0;
	grant->stream = NULL;
}

/* ---- the fabric file ---- */

struct writer {
	FILE *out;
	unsigned int budget;
	bool is_translated;
};

static void write_acs(struct writer *w)
{
	static const char *const names[] = { "SrcValid",   "TransBlk",    "ReqRedir",
		                             "CmpltRedir", "UpstreamFwd", "DirectTrans" };
	const char *comma = "";

	if (chance(50))
		return;
	if (chance(40)) {
		fprintf(w->out, ",\"acs\":\"none\"");
		return;
	}
	fprintf(w->out, ",\"acs\":{\"capability\":\"all\",\"control\":[");
	for (unsigned int i = 0; i < 6; i++)
		if (chance(i == 4 ? 70 : 35)) {
			fprintf(w->out, "%s\"%s\"", comma, names[i]);
			comma = ",";
		}
	fprintf(w->out, "]}");
}

static void write_endpoint(struct writer *w)
{
	uint32_t kind = below(100);
	unsigned int kib = 16u << below(3);

	w->budget -= w->budget > 0;
	fprintf(w->out, "{\"type\":\"endpoint\"");
	if (kind < 60)
		fprintf(w->out, ",\"model\":\"worker\",\"size\":\"%uK\"", kib);
	else if (kind < 75)
		fprintf(w->out, ",\"model\":\"mem\",\"size\":\"%uK\"", kib);
	else if (kind < 90)
		fprintf(w->out, ",\"model\":\"dma\",\"memory\":\"%uK\"", kib);
	else
		fprintf(w->out, ",\"model\":\"accel\",\"memory\":\"%uK\"", kib);
	if (chance(20))
		fprintf(w->out, ",\"ats\":true");
	if (chance(10))
		fprintf(w->out, ",\"flr\":false");
	if (kind < 60 && chance(15)) {
		fprintf(w->out, ",\"vfs\":1");
		if (chance(60))
			fprintf(w->out, ",\"acs\":{\"capability\":[\"ReqRedir\",\"CmpltRedir\","
			                "\"EgressCtrl\",\"DirectTrans\"]}");
	}
	fputc('}', w->out);
}

static void write_port(struct writer *w, int depth)
{
	unsigned int count = 2 + below(3);

	fprintf(w->out, "{\"type\":\"port\"");
	write_acs(w);
	fprintf(w->out, ",\"below\":[");
	if (depth < DEEPEST && w->budget > 2 && chance(depth ? 25 : 75)) {
		fprintf(w->out, "{\"type\":\"switch\",\"below\":[");
		for (unsigned int i = 0; i < count && (!i || w->budget); i++) {
			fprintf(w->out, i ? "," : "");
			write_port(w, depth + 1);
		}
		fprintf(w->out, "]}");
	} else {
		write_endpoint(w);
	}
	fprintf(w->out, "]}");
}

/* Of each kind: trusted by the verdict, and not. */
static const char *const platforms[] = { "intel-skylake-sp",     "intel-icelake-sp", "amd-zen",
	                                 "intel-sandy-bridge-e", "zhaoxin-1008",     "google",
	                                 "intel-skylake-sp",     "refuses",          "forwards",
	                                 "intel-arrow-lake" };

static char *write_fabric(void)
{
	static const char *const iommus[] = { "none", "passthrough", "translated", "translated" };
	static const unsigned int landings[] = { 0, 200, 2000, 20000 };
	struct writer w = { .budget = 4 + below(6) };
	unsigned int iommu = below(4), roots = 1 + chance(30), platform = below(10);
	char *json;
	size_t size;

	w.out = open_memstream(&json, &size);
	if (!w.out)
		abort();
	w.is_translated = iommu >= 2;
	fprintf(w.out,
	        "{\"format\":\"p2pdma-fabric\",\"version\":1,\"seed\":%u,\"landing_ns\":%u,"
	        "\"completion_timeout_us\":200,\"iommu\":\"%s\",\"iova_bits\":%u,\"roots\":[",
	        1 + below(1000), landings[below(4)], iommus[iommu], chance(15) ? 39 : 48);
	for (unsigned int i = 0; i < roots; i++) {
		unsigned int ports = 1 + below(3);

		fprintf(w.out, "%s{\"platform\":\"%s\",\"socket\":%u,\"below\":[", i ? "," : "",
		        platforms[chance(80) ? platform : below(10)], i && chance(50));
		for (unsigned int j = 0; j < ports && (!j || w.budget); j++) {
			fprintf(w.out, j ? "," : "");
			write_port(&w, 0);
		}
		fprintf(w.out, "]}");
	}
	fprintf(w.out, "]}\n");
	if (fclose(w.out))
		abort();
	return json;
}

/* ---- the machine ---- */

/* The worker that hears of a write to a register that takes none. */
static struct worker *find_worker(struct p2pdma_bdf bdf)
{
	struct backend *backend = soak.lab.machine->backend;

	for (unsigned int i = 0; i < worker_count; i++)
		workers[i].kicks = 0;
	backend->ops.config_write(backend->private, bdf, 0, 2, 0);
	for (unsigned int i = 0; i < worker_count; i++)
		if (workers[i].kicks)
			return &workers[i];
	abort();
}

static void look_at_memory(struct unit *unit)
{
	struct backend *backend = soak.lab.machine->backend;
	struct p2pdma_bar bar;
	void *memory;

	if (p2pdma_device_bar(unit->device, unit->bar, &bar) || !bar.size) {
		unit->bar = -1;
		return;
	}
	unit->bytes = bar.size;
	unit->bus = bar.bus.addr;
	if (backend->ops.device_open(backend->private, unit->bdf, NULL) ||
	    backend->ops.bar_view(backend->private, unit->bdf, unit->bar, 0, bar.size, VIEW_NEW,
	                          &memory))
		abort();
	backend->ops.device_close(backend->private, unit->bdf);
	unit->memory = memory;
	unit->expected = malloc(bar.size);
	if (!unit->expected)
		abort();
	/* Each word another one. */
	for (uint64_t i = 0; i < bar.size; i += 8) {
		uint64_t word = 0xc3ull << 56 | (uint64_t)(unit - soak.units) << 48 | i;

		memcpy(unit->memory + i, &word, 8);
	}
	memcpy(unit->expected, unit->memory, bar.size);
}

static void add_unit(struct p2pdma_device *device)
{
	struct unit *unit = &soak.units[soak.unit_count];
	const char *model = p2pdma_sim_model_name(soak.lab.sim, lab_bdf(device));

	if (!model || soak.unit_count == UNITS)
		return;
	*unit = (struct unit){ .device = device, .bdf = lab_bdf(device) };
	soak.unit_count++;
	if (!strcmp(model, "worker")) {
		unit->worker = find_worker(unit->bdf);
	} else {
		unit->kind = strcmp(model, "mem") == 0   ? UNIT_MEM
		             : strcmp(model, "dma") == 0 ? UNIT_DMA
		                                         : UNIT_ACCEL;
		unit->bar = unit->kind == UNIT_MEM ? 0 : 2;
	}
	look_at_memory(unit);
}

/* Those who were told to let go later do so while the machine goes on: as another thread would. */
static int go_on(void *private, uint64_t until)
{
	uint64_t next = guests_next();
	int r;

	if (soak.is_in_progress || next == UINT64_MAX)
		return soak.progress(private, until);
	soak.is_in_progress = true;
	r = soak.progress(private, next < until ? next : until);
	r = guests_let_go() || r || next < until;
	soak.is_in_progress = false;
	return r;
}

static void open_host(void)
{
	struct unit *host = &soak.units[HOST];

	*host = (struct unit){ .bar = -1, .bytes = MOST_BYTES };
	host->memory = aligned_alloc(PAGE, MOST_BYTES);
	host->expected = malloc(MOST_BYTES);
	if (!host->memory || !host->expected)
		abort();
	memset(host->memory, 0xee, MOST_BYTES);
	memset(host->expected, 0xee, MOST_BYTES);
}

void fabric_open(void)
{
	static const struct p2pdma_model *const models[] = { &worker_model };
	char path[] = "/tmp/p2pdma-soak-XXXXXX", *json = write_fabric();
	struct p2pdma_error err = { "" };
	int fd = mkstemp(path);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (!file || fputs(json, file) < 0 || fclose(file))
		abort();
	if (soak.is_loud)
		printf("%s", json);
	worker_count = 0;
	if (p2pdma_sim_open(path, models, 1, &err, &soak.lab.machine) ||
	    p2pdma_machine_sim(soak.lab.machine, &soak.lab.sim))
		broken("the fabric does not open: %s\n%s", err.text, json);
	remove(path);
	free(json);
	for (size_t i = 0; i < p2pdma_machine_device_count(soak.lab.machine); i++) {
		struct p2pdma_device *device = p2pdma_machine_device(soak.lab.machine, i);

		if (device->secondary && soak.bridge_count < 96) {
			soak.bridge_windows[soak.bridge_count] = lab_get(device, 0x24, 4);
			soak.bridges[soak.bridge_count++] = device;
		} else {
			add_unit(device);
		}
	}
	open_host();
	soak.progress = soak.lab.machine->backend->ops.progress;
	soak.lab.machine->backend->ops.progress = go_on;
}

void fabric_close(void)
{
	struct backend *backend = soak.lab.machine->backend;

	for (unsigned int i = 0; i < soak.unit_count; i++) {
		void *memory = soak.units[i].memory;

		if (memory)
			backend->ops.bar_view(backend->private, soak.units[i].bdf,
			                      soak.units[i].bar, 0, soak.units[i].bytes, VIEW_END,
			                      &memory);
		free(soak.units[i].expected);
	}
	free(soak.units[HOST].memory);
	free(soak.units[HOST].expected);
	lab_close(&soak.lab);
}
