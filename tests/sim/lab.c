/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <unistd.h>

#include "lab.h"

static struct probe probes[PROBES];

struct probe *lab_probe(unsigned int id)
{
	if (id >= PROBES)
		abort();
	return &probes[id];
}

/* ---- the probe ---- */

static int probe_create(struct p2pdma_function *function, struct p2pdma_error *err,
                        void **ret_state)
{
	unsigned int id = (unsigned int)p2pdma_model_param(function, "id", PROBES);
	const char *bar = p2pdma_model_param_text(function, "bar");
	struct probe *probe;
	int r = 0;

	(void)err;
	if (id >= PROBES)
		return -EINVAL;
	probe = &probes[id];
	memset(probe, 0, sizeof(*probe));
	probe->function = function;
	/* A vendor for test hardware (pid.codes), and nobody's memory controller. */
	p2pdma_model_set_id(function, 0x1209, (uint16_t)(0x1000 + id), 0x058000);
	if (!bar || !strcmp(bar, "memory"))
		r = p2pdma_model_add_memory(function, 0, PROBE_BYTES, probe->memory);
	else if (!strcmp(bar, "registers"))
		r = p2pdma_model_add_registers(function, 0, PROBE_BYTES);
	*ret_state = probe;
	return r;
}

static void probe_destroy(void *state)
{
	struct probe *probe = state;

	probe->function = NULL;
}

static int probe_read(void *state, int bar, uint64_t offset, size_t length, void *bytes)
{
	struct probe *probe = state;

	(void)bar;
	if (offset > PROBE_BYTES || length > PROBE_BYTES - offset)
		abort();
	probe->reads++;
	memcpy(bytes, probe->memory + offset, length);
	return 0;
}

static void probe_write(void *state, int bar, uint64_t offset, size_t length, const void *bytes)
{
	struct probe *probe = state;

	(void)bar;
	if (offset > PROBE_BYTES || length > PROBE_BYTES - offset)
		abort();
	probe->writes++;
	memcpy(probe->memory + offset, bytes, length);
	if (probe->on_write)
		probe->on_write(probe, offset);
}

static void probe_read_done(void *state, uint64_t cookie, enum p2pdma_dma_status status)
{
	struct probe *probe = state;

	(void)cookie;
	probe->is_done = true;
	probe->status = status;
	if (probe->on_read)
		probe->on_read(probe, status);
}

static void probe_timer(void *state, uint64_t cookie)
{
	struct probe *probe = state;

	if (probe->on_timer)
		probe->on_timer(probe, cookie);
}

static void probe_reset(void *state, enum p2pdma_model_reset why)
{
	struct probe *probe = state;

	probe->resets++;
	probe->last_reset = why;
}

static const struct p2pdma_model probe_model = {
	.size = sizeof(struct p2pdma_model),
	.name = "probe",
	.create = probe_create,
	.destroy = probe_destroy,
	.read = probe_read,
	.write = probe_write,
	.read_done = probe_read_done,
	.timer = probe_timer,
	.reset = probe_reset,
};

/* ---- machines ---- */

/* So that errors of reads are in AER in full (PCIe Base 6.2.3.2.4). */
static void unmask_advisories(const struct lab *lab)
{
	for (size_t i = 0; i < p2pdma_machine_device_count(lab->machine); i++) {
		struct p2pdma_device *device = p2pdma_machine_device(lab->machine, i);
		size_t aer = lab_ext(device, EXT_AER);

		if (aer)
			lab_set(device, aer + 0x14, 4, lab_get(device, aer + 0x14, 4) & ~0x2000u);
	}
}

static int open_file(struct lab *lab, const char *path, struct p2pdma_error *err)
{
	static const struct p2pdma_model *const models[] = { &probe_model };
	int r = p2pdma_sim_open(path, models, 1, err, &lab->machine);

	if (!r && p2pdma_machine_sim(lab->machine, &lab->sim))
		abort();
	if (!r)
		unmask_advisories(lab);
	return r;
}

int lab_open(struct lab *lab, const char *json, struct p2pdma_error *err)
{
	char path[] = "/tmp/p2pdma-lab-XXXXXX";
	struct p2pdma_error own = { "" };
	size_t length = strlen(json);
	int fd = mkstemp(path), r;

	*lab = (struct lab){ 0 };
	if (fd < 0 || write(fd, json, length) != (ssize_t)length || close(fd))
		abort();
	r = open_file(lab, path, err ? err : &own);
	unlink(path);
	if (r && !err) {
		fprintf(stderr, "%s\n%s\n", own.text, json);
		abort();
	}
	return r;
}

void lab_close(struct lab *lab)
{
	p2pdma_machine_close(lab->fresh);
	p2pdma_machine_close(lab->machine);
	*lab = (struct lab){ 0 };
}

void lab_refresh(struct lab *lab)
{
	struct p2pdma_error err = { "" };

	lab->fresh = p2pdma_machine_close(lab->fresh);
	if (p2pdma_machine_refresh(lab->machine, &err, &lab->fresh)) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
}

struct p2pdma_device *lab_device(const struct lab *lab, const char *name)
{
	struct p2pdma_error err = { "" };
	struct p2pdma_device *device;

	if (p2pdma_machine_resolve(lab->machine, name, &err, &device)) {
		fprintf(stderr, "%s: %s\n", name, err.text);
		abort();
	}
	return device;
}

struct p2pdma_bdf lab_bdf(const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };

	if (p2pdma_device_get_info(device, &info))
		abort();
	return info.bdf;
}

bool lab_same(struct p2pdma_bdf a, struct p2pdma_bdf b)
{
	return a.domain == b.domain && a.bus == b.bus && a.devfn == b.devfn;
}

const char *lab_text(struct p2pdma_bdf bdf)
{
	static char texts[8][24];
	static unsigned int next;
	char *text = texts[next++ % 8];

	snprintf(text, sizeof(texts[0]), "%04" PRIx32 ":%02x:%02x.%x", bdf.domain, bdf.bus,
	         bdf.devfn >> 3u, bdf.devfn & 7u);
	return text;
}

/* ---- registers ---- */

uint32_t lab_get(const struct p2pdma_device *device, size_t offset, size_t length)
{
	uint8_t bytes[4] = { 0xff, 0xff, 0xff, 0xff };
	uint32_t value = 0;

	if (length > 4 || p2pdma_device_config_read(device, offset, length, bytes))
		return 0xffffffffu >> 8 * (4 - length);
	for (size_t i = 0; i < length; i++)
		value |= (uint32_t)bytes[i] << 8 * i;
	return value;
}

void lab_set(struct p2pdma_device *device, size_t offset, size_t length, uint32_t value)
{
	int r = p2pdma_device_config_write(device, offset, length, value);

	if (r && r != -ENODEV) {
		fprintf(stderr, "config write at %#zx: %d\n", offset, r);
		abort();
	}
}

void lab_change(struct p2pdma_device *device, size_t offset, uint16_t clear, uint16_t set)
{
	uint32_t value = lab_get(device, offset, 2);

	lab_set(device, offset, 2, (value & ~(uint32_t)clear) | set);
}

size_t lab_cap(const struct p2pdma_device *device, uint8_t id)
{
	size_t at = lab_get(device, 0x34, 1) & 0xfc;

	for (int i = 0; i < 48 && at >= 0x40 && at != 0xfc; i++) {
		if (lab_get(device, at, 1) == id)
			return at;
		at = lab_get(device, at + 1, 1) & 0xfc;
	}
	return 0;
}

size_t lab_ext(const struct p2pdma_device *device, uint16_t id)
{
	size_t at = 0x100;

	for (int i = 0; i < 256 && at >= 0x100 && at <= 0xffc; i++) {
		uint32_t header = lab_get(device, at, 4);

		if (header == 0xffffffff || !header)
			return 0;
		if ((header & 0xffff) == id)
			return at;
		at = header >> 20;
	}
	return 0;
}

void lab_acs(struct p2pdma_device *device, uint16_t control)
{
	size_t at = lab_ext(device, EXT_ACS);

	if (at)
		lab_set(device, at + 6, 2, control);
}

void lab_egress(struct p2pdma_device *device, unsigned int bit, bool is_set)
{
	size_t at = lab_ext(device, EXT_ACS) + 8 + bit / 32 * 4;
	uint32_t old = lab_get(device, at, 4), mask = 1u << bit % 32;

	lab_set(device, at, 4, is_set ? old | mask : old & ~mask);
}

void lab_power(struct p2pdma_device *device, unsigned int state)
{
	size_t at = lab_cap(device, CAP_PM);

	if (at)
		lab_change(device, at + 4, 3, (uint16_t)state);
}

void lab_payload(struct p2pdma_device *device, unsigned int bytes)
{
	size_t at = lab_cap(device, CAP_EXP);
	unsigned int code = 0;

	while (128u << code < bytes)
		code++;
	if (at)
		lab_change(device, at + 8, 7 << 5, (uint16_t)(code << 5));
}

void lab_ats(struct p2pdma_device *device, bool is_on)
{
	size_t at = lab_ext(device, EXT_ATS);

	if (at)
		lab_change(device, at + 6, 0x8000, is_on ? 0x8000 : 0);
}

uint32_t lab_errors(struct p2pdma_device *device)
{
	size_t at = lab_ext(device, EXT_AER);
	uint32_t errors = at ? lab_get(device, at + 4, 4) : 0;

	if (errors && errors != 0xffffffff)
		lab_set(device, at + 4, 4, errors); /* write 1 to clear (PCIe Base 7.8.4.2) */
	return errors;
}

uint64_t lab_bar(const struct p2pdma_device *device)
{
	uint32_t low = lab_get(device, 0x10, 4);
	uint64_t high = (low & 6) == 4 ? lab_get(device, 0x14, 4) : 0;
	struct p2pdma_bar first;

	if (low == 0xffffffff)
		return p2pdma_device_bar(device, 0, &first) ? 0 : first.bus.addr;
	return high << 32 | (low & ~0xfu);
}

/* ---- doing and looking ---- */

static struct p2pdma_sim_outcome do_dma(struct lab *lab, const struct p2pdma_sim_dma *dma)
{
	struct p2pdma_sim_outcome outcome = { .size = sizeof(outcome) };
	int r = p2pdma_sim_dma(lab->sim, dma, &outcome);

	if (r) {
		fprintf(stderr, "DMA of %s: %d\n", lab_text(dma->client), r);
		abort();
	}
	return outcome;
}

struct p2pdma_sim_outcome lab_dma(struct lab *lab, struct p2pdma_bdf client, enum p2pdma_op op,
                                  uint64_t address, size_t length, void *bytes)
{
	return do_dma(lab,
	              &(struct p2pdma_sim_dma){ client, op, { address }, length, false, bytes });
}

struct p2pdma_sim_outcome lab_dma_translated(struct lab *lab, struct p2pdma_bdf client,
                                             enum p2pdma_op op, uint64_t address, size_t length,
                                             void *bytes)
{
	return do_dma(lab,
	              &(struct p2pdma_sim_dma){ client, op, { address }, length, true, bytes });
}

bool lab_event(struct lab *lab, struct p2pdma_sim_event *ret_event)
{
	int r;

	while ((r = p2pdma_sim_event(lab->sim, lab->event, ret_event)) == -ENOENT)
		lab->event++;
	if (r)
		return false;
	lab->event++;
	return true;
}

void lab_skip_events(struct lab *lab)
{
	struct p2pdma_sim_event event;

	while (lab_event(lab, &event))
		;
}

bool lab_logged(struct lab *lab, enum p2pdma_sim_event_kind kind, struct p2pdma_bdf at)
{
	struct p2pdma_sim_event event;
	uint64_t first = lab->event;
	bool found = false;

	while (!found && lab_event(lab, &event))
		found = event.kind == kind && lab_same(event.at, at);
	lab->event = first;
	return found;
}

struct p2pdma_bar_map *lab_map(struct p2pdma_device *device)
{
	struct p2pdma_bar_map *map;
	int r = p2pdma_device_open(device, NULL);

	if ((r && r != -EBUSY) || p2pdma_bar_map(device, 0, NULL, &map))
		abort();
	return map;
}

void lab_run(struct lab *lab, uint64_t ns)
{
	uint64_t until = p2pdma_machine_now(lab->machine) + ns;

	while (p2pdma_machine_progress(lab->machine, until) == 1)
		;
}
