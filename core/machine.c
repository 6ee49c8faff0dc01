/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "info.h"
#include "machine.h"
#include "peers.h"
#include "report.h"
#include "topology.h"
#include <p2pdma/sim.h>

static struct backend *backend_new(void)
{
	struct backend *backend = calloc(1, sizeof(*backend));

	if (!backend)
		return NULL;
	backend->references = 1;
	if (!peers_new(backend, &backend->peers))
		return backend;
	free(backend);
	return NULL;
}

static void backend_put(struct backend *backend)
{
	if (atomic_fetch_sub(&backend->references, 1) > 1)
		return;
	peers_close(backend->peers);
	backend->ops.close(backend->private);
	free(backend->models);
	free(backend);
}

/* Takes over @snapshot and a reference to @backend; on failure they stay the caller's. */
static int machine_new(struct backend *backend, struct snapshot *snapshot, const char *source,
                       struct p2pdma_machine **ret_machine)
{
	struct p2pdma_machine *machine;
	int r = -ENOMEM;

	if (!snapshot->function_count)
		return -ENODEV;
	machine = calloc(1, sizeof(*machine));
	if (!machine)
		return -ENOMEM;
	machine->backend = backend;
	machine->snapshot = snapshot;
	machine->source = strdup(source);
	if (machine->source)
		r = topology_build(machine);
	if (r) {
		free(machine->source);
		free(machine);
		return r;
	}
	*ret_machine = machine;
	return 0;
}

void machine_free_picture(struct p2pdma_machine *machine)
{
	if (!machine)
		return;
	p2pdma_routes_free(machine->routes);
	topology_done(machine);
	snapshot_free(machine->snapshot);
	free(machine->source);
	free(machine);
}

int machine_picture(struct backend *backend, struct p2pdma_machine **ret_machine)
{
	struct snapshot *snapshot;
	int r = backend->ops.snapshot(backend->private, NULL, &snapshot);

	if (r)
		return r;
	r = machine_new(backend, snapshot, "", ret_machine);
	if (r)
		snapshot_free(snapshot);
	return r;
}

int machine_routes(const struct p2pdma_machine *machine, const struct p2pdma_routes **ret_routes)
{
	/* A cache: what it holds follows from the rest, which does not change. */
	struct p2pdma_machine *own = (struct p2pdma_machine *)machine;
	int r = own->routes ? 0 : p2pdma_routes_new(machine, NULL, &own->routes);

	if (!r)
		*ret_routes = own->routes;
	return r;
}

int machine_from_snapshot(struct snapshot *snapshot, const char *source,
                          struct p2pdma_machine **ret_machine)
{
	static const struct machine_ops no_ops;
	struct backend *backend = backend_new();
	int r;

	if (!backend)
		return -ENOMEM;
	backend->ops = machine_with_defaults(&no_ops);
	r = machine_new(backend, snapshot, source, ret_machine);
	if (r)
		backend_put(backend);
	return r;
}

/* As machine_new(), but both are released on failure. */
static int finish_open(struct backend *backend, struct snapshot *snapshot, const char *source,
                       struct p2pdma_error *err, struct p2pdma_machine **ret_machine)
{
	int r = machine_new(backend, snapshot, source, ret_machine);

	if (!r)
		return 0;
	snapshot_free(snapshot);
	backend_put(backend);
	return report(err, r, "%.200s: %s", source,
	              r == -ENODEV ? "the machine has no PCI function" : strerror(-r));
}

/* Takes over @models, NULL-terminated or NULL. */
static int open_spec(const char *spec, const struct p2pdma_model **models, struct p2pdma_error *err,
                     struct p2pdma_machine **ret_machine)
{
	struct backend *backend = backend_new();
	struct machine_opened opened = { .private = NULL };
	const char *args;
	int r;

	if (!backend)
		r = report(err, -ENOMEM, "%.200s: %s", spec, strerror(ENOMEM));
	else if (!machine_find(spec, &backend->ops, &args))
		r = report(err, -EINVAL,
		           "%.200s: no such machine; use live:, live:root=DIR, capture:FILE, "
		           "sim:FILE or fault:SPEC,MACHINE",
		           spec);
	else
		r = backend->ops.open(args, models, err, &opened);
	if (r) {
		if (backend)
			peers_close(backend->peers);
		free(backend);
		free(models);
		return r;
	}
	backend->private = opened.private;
	backend->caps = opened.caps;
	backend->models = models;
	return finish_open(backend, opened.snapshot, spec, err, ret_machine);
}

int p2pdma_machine_open(const char *spec, struct p2pdma_error *err,
                        struct p2pdma_machine **ret_machine)
{
	return open_spec(spec, NULL, err, ret_machine);
}

int p2pdma_sim_open(const char *file, const struct p2pdma_model *const *models, size_t count,
                    struct p2pdma_error *err, struct p2pdma_machine **ret_machine)
{
	static const char kind[] = "sim:";
	size_t length = strlen(file) + 1;
	char *spec = malloc(sizeof(kind) - 1 + length);
	const struct p2pdma_model **own = calloc(count + 1, sizeof(*own));
	int r;

	if (!spec || !own) {
		free(spec);
		free(own);
		return report(err, -ENOMEM, "sim:%.200s: %s", file, strerror(ENOMEM));
	}
	memcpy(spec, kind, sizeof(kind) - 1);
	memcpy(spec + sizeof(kind) - 1, file, length);
	if (count)
		memcpy(own, models, count * sizeof(*own));
	r = open_spec(spec, own, err, ret_machine);
	free(spec);
	return r;
}

int p2pdma_machine_refresh(const struct p2pdma_machine *machine, struct p2pdma_error *err,
                           struct p2pdma_machine **ret_machine)
{
	struct backend *backend = machine->backend;
	struct snapshot *snapshot;
	int r = backend->ops.snapshot(backend->private, err, &snapshot);

	if (r)
		return r;
	atomic_fetch_add(&backend->references, 1);
	return finish_open(backend, snapshot, machine->source, err, ret_machine);
}

int p2pdma_machine_sim(const struct p2pdma_machine *machine, struct p2pdma_sim **ret_sim)
{
	return machine->backend->ops.simulation(machine->backend->private, ret_sim);
}

struct p2pdma_machine *p2pdma_machine_close(struct p2pdma_machine *machine)
{
	if (!machine)
		return NULL;
	backend_put(machine->backend);
	machine_free_picture(machine);
	return NULL;
}

unsigned int p2pdma_machine_caps(const struct p2pdma_machine *machine)
{
	unsigned int caps = P2PDMA_CAP_CONFIG;

	for (size_t i = 0; i < machine->device_count; i++) {
		if (machine->devices[i].function->config_len < 64)
			caps &= ~(unsigned int)P2PDMA_CAP_CONFIG;
		if (machine->devices[i].function->config_len > 256)
			caps |= P2PDMA_CAP_EXT_CONFIG;
	}
	return caps | machine->backend->caps;
}

int p2pdma_machine_get_info(const struct p2pdma_machine *machine,
                            struct p2pdma_machine_info *ret_info)
{
	const struct snapshot *snapshot = machine->snapshot;
	struct p2pdma_machine_info info = {
		.size = sizeof(info),
		.source = machine->source,
		.kernel = snapshot->kernel,
		.kernel_p2pdma = snapshot->kernel_p2pdma,
		.arch = snapshot->arch,
		.cpu_vendor = snapshot->cpu_vendor,
		.cpu_family = snapshot->cpu_family,
		.hypervisor = snapshot->hypervisor,
		.privileged = snapshot->privileged,
	};

	return copy_info(ret_info, &info, sizeof(info));
}

size_t p2pdma_machine_device_count(const struct p2pdma_machine *machine)
{
	return machine->device_count;
}

struct p2pdma_device *p2pdma_machine_device(const struct p2pdma_machine *machine, size_t index)
{
	return index < machine->device_count ? &machine->devices[index] : NULL;
}

int p2pdma_machine_find(const struct p2pdma_machine *machine, struct p2pdma_bdf bdf,
                        struct p2pdma_device **ret_device)
{
	struct p2pdma_device *device = topology_find(machine, bdf);

	if (!device)
		return -ENODEV;
	*ret_device = device;
	return 0;
}

int p2pdma_machine_dump(const struct p2pdma_machine *machine, unsigned int flags, char **ret_text)
{
	if (flags & ~(unsigned int)P2PDMA_DUMP_REDACT)
		return -EINVAL;
	return snapshot_write_json(machine->snapshot, flags, ret_text);
}
