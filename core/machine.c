/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "info.h"
#include "machine.h"
#include "report.h"
#include "topology.h"

static int default_open(const char *args, struct p2pdma_error *err, void **ret_private,
                        struct snapshot **ret_snapshot)
{
	(void)args, (void)ret_private, (void)ret_snapshot;
	return report(err, -EOPNOTSUPP, "this kind of machine cannot be opened");
}

static void default_close(void *private)
{
	(void)private;
}

static int default_resolve(void *private, const char *path, struct p2pdma_bdf *ret_bdf)
{
	(void)private, (void)path, (void)ret_bdf;
	return -EOPNOTSUPP;
}

/* What an unset op answers, so that nobody tests for NULL. */
static struct machine_ops with_defaults(const struct machine_ops *ops)
{
	struct machine_ops full = *ops;

	full.open = ops->open ? ops->open : default_open;
	full.close = ops->close ? ops->close : default_close;
	full.resolve = ops->resolve ? ops->resolve : default_resolve;
	return full;
}

static const struct machine_ops no_ops;

int machine_from_snapshot(struct snapshot *snapshot, const char *source,
                          struct p2pdma_machine **ret_machine)
{
	struct p2pdma_machine *machine;
	int r = -ENOMEM;

	if (!snapshot->function_count)
		return -ENODEV;
	machine = calloc(1, sizeof(*machine));
	if (!machine)
		return -ENOMEM;
	machine->ops = with_defaults(&no_ops);
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

static const struct machine_ops *find_kind(const char *spec, size_t length)
{
	for (size_t i = 0; machine_registry[i]; i++)
		if (strlen(machine_registry[i]->kind) == length &&
		    !strncmp(machine_registry[i]->kind, spec, length))
			return machine_registry[i];
	return NULL;
}

int p2pdma_machine_open(const char *spec, struct p2pdma_error *err,
                        struct p2pdma_machine **ret_machine)
{
	size_t length = strcspn(spec, ":");
	const struct machine_ops *row = find_kind(spec, length);
	struct p2pdma_machine *machine;
	struct snapshot *snapshot;
	struct machine_ops ops;
	void *private = NULL;
	int r;

	if (!row || spec[length] != ':')
		return report(err, -EINVAL,
		              "%.200s: no such machine; use live:, live:root=DIR or capture:FILE",
		              spec);
	ops = with_defaults(row);
	r = ops.open(spec + length + 1, err, &private, &snapshot);
	if (r)
		return r;
	r = machine_from_snapshot(snapshot, spec, &machine);
	if (r) {
		snapshot_free(snapshot);
		ops.close(private);
		return report(err, r, "%.200s: %s", spec,
		              r == -ENODEV ? "the machine has no PCI function" : strerror(-r));
	}
	machine->ops = ops;
	machine->ops_private = private;
	*ret_machine = machine;
	return 0;
}

struct p2pdma_machine *p2pdma_machine_close(struct p2pdma_machine *machine)
{
	if (!machine)
		return NULL;
	machine->ops.close(machine->ops_private);
	topology_done(machine);
	snapshot_free(machine->snapshot);
	free(machine->source);
	free(machine);
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
	return caps;
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
