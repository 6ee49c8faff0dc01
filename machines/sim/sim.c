/* SPDX-License-Identifier: MIT */
/*
 * sim.c - the ops of a simulated machine: what an operating system does for a driver, on the
 * fabric.
 *
 * Each op takes the one lock.  What is taken for the process is kept by the address it was taken
 * at.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "report.h"
#include "sim.h"
#include "sim_private.h"
#include "snapshot.h"

#define COMMAND        0x04
#define COMMAND_MASTER 0x0004
#define MAILBOX_SIZE   65536

struct bar_view {
	struct bar_view *next;
	int bar;
	uint64_t address, size; /* as it was when it was mapped */
};

struct own_mapping {
	uint64_t address, length, phys;
	bool is_dram;
};

/* A function that is open. */
struct taken {
	struct taken *next;
	struct p2pdma_bdf bdf;
	struct p2pdma_function *function;
	struct bar_view *views;
	size_t count;
	struct own_mapping *mappings;
};

/* A ring; what comes while it is full is not told. */
struct mailbox {
	size_t first, count;
	struct p2pdma_event events[MAILBOX_SIZE];
};

static struct fabric *enter(void *private)
{
	struct p2pdma_sim *sim = private;

	pthread_mutex_lock(&sim->fabric->lock);
	return sim->fabric;
}

static int leave(struct fabric *fabric, int r)
{
	pthread_mutex_unlock(&fabric->lock);
	return r;
}

/* ---- the machine ---- */

void mailbox_put(struct fabric *fabric, enum p2pdma_event_kind kind, struct p2pdma_bdf bdf)
{
	struct mailbox *box = fabric->mailbox;

	fabric->has_changed = true;
	if (!box)
		box = fabric->mailbox = calloc(1, sizeof(*box));
	if (!box)
		return;
	if (box->count < MAILBOX_SIZE)
		box->events[(box->first + box->count++) % MAILBOX_SIZE] =
			(struct p2pdma_event){ kind, bdf, fabric->now / PS_PER_NS };
}

void mailbox_free(struct fabric *fabric)
{
	free(fabric->mailbox);
	fabric->mailbox = NULL;
}

static int check_names(const struct p2pdma_model *const *models, struct p2pdma_error *err)
{
	const struct p2pdma_model *model, *other;

	for (size_t i = 0; (model = model_at(models, i)); i++)
		for (size_t j = 0; j < i && (other = model_at(models, j)); j++)
			if (!strcmp(model->name, other->name))
				return report(err, -EEXIST, "sim: two models go by the name %.100s",
				              model->name);
	return 0;
}

static void release(struct p2pdma_sim *sim, struct taken *taken)
{
	struct fabric *fabric = sim->fabric;
	struct bar_view *view;

	for (size_t i = 0; i < taken->count; i++)
		if (taken->mappings[i].is_dram)
			dram_unregister(fabric, taken->mappings[i].phys);
	while ((view = taken->views)) {
		taken->views = view->next;
		free(view);
	}
	free(taken->mappings);
	free(taken);
}

static void sim_close(void *private)
{
	struct p2pdma_sim *sim = private;
	struct taken *taken;

	while ((taken = sim->taken)) {
		sim->taken = taken->next;
		release(sim, taken);
	}
	fabric_free(sim->fabric);
	free(sim);
}

static int sim_open(const char *args, const struct p2pdma_model *const *models,
                    struct p2pdma_error *err, struct machine_opened *ret_opened)
{
	struct p2pdma_sim *sim;
	int r;

	if (!*args)
		return report(err, -EINVAL, "sim: names no file; use sim:FILE");
	r = check_names(models, err);
	if (r)
		return r;
	sim = calloc(1, sizeof(*sim));
	if (!sim)
		return report(err, -ENOMEM, "%.200s: out of memory", args);
	r = fabric_read(args, models, err, &sim->fabric);
	if (r) {
		free(sim);
		return r;
	}
	/* Host memory ends where it does now, wherever BARs are moved later. */
	if (dram_holds(sim->fabric, 0))
		ret_opened->snapshot = fabric_snapshot(sim->fabric);
	if (!ret_opened->snapshot) {
		sim_close(sim);
		return report(err, -ENOMEM, "%.200s: out of memory", args);
	}
	ret_opened->private = sim;
	ret_opened->caps =
		P2PDMA_CAP_BAR_MAP | P2PDMA_CAP_DMA | P2PDMA_CAP_HOTPLUG | P2PDMA_CAP_TIME;
	if (sim->fabric->iommu == P2PDMA_IOMMU_TRANSLATED)
		ret_opened->caps |= P2PDMA_CAP_IOMMU;
	return 0;
}

static int sim_snapshot(void *private, struct p2pdma_error *err, struct snapshot **ret_snapshot)
{
	struct fabric *fabric = enter(private);
	struct snapshot *snapshot = fabric_snapshot(fabric);

	leave(fabric, 0);
	if (!snapshot)
		return report(err, -ENOMEM, "sim: out of memory");
	*ret_snapshot = snapshot;
	return 0;
}

static uint64_t sim_now(void *private)
{
	struct fabric *fabric = enter(private);
	uint64_t now = fabric->now / PS_PER_NS;

	leave(fabric, 0);
	return now;
}

static int sim_progress(void *private, uint64_t until)
{
	struct fabric *fabric = enter(private);
	bool has_changed;

	until = until > LAST_MOMENT / PS_PER_NS ? LAST_MOMENT : until * PS_PER_NS;
	while (!fabric->has_changed && clock_step(fabric, until))
		;
	has_changed = fabric->has_changed;
	fabric->has_changed = false;
	return leave(fabric, has_changed);
}

static int sim_event(void *private, struct p2pdma_event *ret_event)
{
	struct fabric *fabric = enter(private);
	struct mailbox *box = fabric->mailbox;

	if (!box || !box->count)
		return leave(fabric, -EAGAIN);
	*ret_event = box->events[box->first];
	box->first = (box->first + 1) % MAILBOX_SIZE;
	box->count--;
	return leave(fabric, 0);
}

static int sim_simulation(void *private, struct p2pdma_sim **ret_sim)
{
	*ret_sim = private;
	return 0;
}

/* ---- functions ---- */

static struct p2pdma_function *find_present(struct fabric *fabric, struct p2pdma_bdf bdf)
{
	struct p2pdma_function *function = fabric_find(fabric, bdf);

	return function && function->is_present ? function : NULL;
}

/* Where the pointer to the one that is open stands; *that is NULL when it is not. */
static struct taken **find_taken(void *private, struct p2pdma_bdf bdf)
{
	struct p2pdma_sim *sim = private;
	struct taken **at = &sim->taken;

	while (*at && ((*at)->bdf.domain != bdf.domain || (*at)->bdf.bus != bdf.bus ||
	               (*at)->bdf.devfn != bdf.devfn))
		at = &(*at)->next;
	return at;
}

/* -EPERM: it is not open.  -ENODEV: it is gone. */
static int find_open(void *private, struct p2pdma_bdf bdf, struct taken **ret_taken)
{
	*ret_taken = *find_taken(private, bdf);
	return !*ret_taken ? -EPERM : !(*ret_taken)->function->is_present ? -ENODEV : 0;
}

/* In words, what find_open() and find_present() answer. */
static int explain(struct p2pdma_error *err, int r, struct p2pdma_bdf bdf)
{
	return report(err, r, "%04x:%02x:%02x.%x: %s", (unsigned int)bdf.domain, bdf.bus,
	              bdf.devfn >> 3, bdf.devfn & 7,
	              r == -EPERM    ? "not open; use p2pdma_device_open()"
	              : r == -EBUSY  ? "already open"
	              : r == -ENODEV ? "the function is gone"
	                             : strerror(-r));
}

static int sim_device_open(void *private, struct p2pdma_bdf bdf, struct p2pdma_error *err)
{
	struct fabric *fabric = enter(private);
	struct p2pdma_function *function = find_present(fabric, bdf);
	struct taken **at = find_taken(private, bdf);
	int r = *at ? -EBUSY : !function ? -ENODEV : 0;

	if (!r) {
		*at = calloc(1, sizeof(**at));
		r = *at ? 0 : -ENOMEM;
	}
	if (!r) {
		(*at)->bdf = bdf;
		(*at)->function = function;
	}
	leave(fabric, 0);
	return r ? explain(err, r, bdf) : 0;
}

static void sim_device_close(void *private, struct p2pdma_bdf bdf)
{
	struct fabric *fabric = enter(private);
	struct taken **at = find_taken(private, bdf), *taken = *at;
	struct p2pdma_function *function = taken ? taken->function : NULL;

	if (function) {
		*at = taken->next;
		config_write(function, COMMAND, 2,
		             get16(function->config + COMMAND) & ~(uint32_t)COMMAND_MASTER);
		iommu_unmap_all(fabric, bdf);
		for (unsigned int i = 0; i < function->vector_count; i++)
			vectors_attach(function, i, -1);
		release(private, taken);
	}
	leave(fabric, 0);
}

static int sim_config_read(void *private, struct p2pdma_bdf bdf, size_t offset, size_t length,
                           void *ret_bytes)
{
	struct fabric *fabric = enter(private);
	const struct p2pdma_function *function = find_present(fabric, bdf);

	if (!function)
		return leave(fabric, -ENODEV);
	if (offset + length > function->known_config)
		return leave(fabric, -ENODATA);
	config_read(function, offset, length, ret_bytes);
	return leave(fabric, 0);
}

static int sim_config_write(void *private, struct p2pdma_bdf bdf, size_t offset, size_t length,
                            uint32_t value)
{
	struct fabric *fabric = enter(private);
	struct p2pdma_function *function = find_present(fabric, bdf);

	if (!function)
		return leave(fabric, -ENODEV);
	config_write(function, offset, length, value);
	return leave(fabric, 0);
}

static struct bar_view *view_bar(struct taken *taken, int bar, int *ret_r)
{
	const struct bar *range = &taken->function->bars[bar];
	uint64_t address = function_bar_base(taken->function, bar);
	struct bar_view *view;

	*ret_r = -EINVAL;
	if (range->kind == BAR_NONE || range->kind == BAR_IO || !address)
		return NULL;
	for (view = taken->views; view; view = view->next)
		if (view->bar == bar && view->address == address)
			return view;
	view = calloc(1, sizeof(*view));
	*ret_r = -ENOMEM;
	if (!view)
		return NULL;
	*view = (struct bar_view){ taken->views, bar, address, range->size };
	taken->views = view;
	return view;
}

static int sim_bar_map(void *private, struct p2pdma_bdf bdf, int bar, struct p2pdma_error *err,
                       void **ret_map, uint64_t *ret_size)
{
	struct fabric *fabric = enter(private);
	struct bar_view *view = NULL;
	struct taken *taken;
	int r = find_open(private, bdf, &taken);

	if (r) {
		leave(fabric, 0);
		return explain(err, r, bdf);
	}
	view = view_bar(taken, bar, &r);
	if (view) {
		*ret_map = view;
		*ret_size = view->size;
		return leave(fabric, 0);
	}
	leave(fabric, 0);
	return report(err, r, "BAR %d: %s", bar,
	              r == -EINVAL ? "the function has none, or it is no memory" : strerror(-r));
}

/* Like any CPU mapping a view stays where the BAR was when it was made. */
static void sim_mmio_read(void *private, void *map, uint64_t offset, size_t length, void *ret_bytes)
{
	struct fabric *fabric = enter(private);
	const struct bar_view *view = map;

	cpu_read(fabric, view->address + offset, length, ret_bytes);
	leave(fabric, 0);
}

static void sim_mmio_write(void *private, void *map, uint64_t offset, size_t length,
                           const void *bytes)
{
	struct fabric *fabric = enter(private);
	const struct bar_view *view = map;

	cpu_write(fabric, view->address + offset, length, bytes);
	leave(fabric, 0);
}

/* What takes no lock must look at nothing that others change. */
static int sim_bar_view(void *private, struct p2pdma_bdf bdf, int bar, uint64_t offset,
                        size_t length, enum machine_view what, void **memory)
{
	struct fabric *fabric;
	struct taken *taken;
	void *at = what == VIEW_NEW ? NULL : *memory;
	int r;

	if (what == VIEW_BLANK)
		return pages_blank(at, length);
	if (what == VIEW_END)
		return munmap(at, length) ? -EINVAL : 0;
	fabric = enter(private);
	r = find_open(private, bdf, &taken);
	if (!r)
		r = pages_show(taken->function, bar, offset, length, &at);
	if (!r)
		*memory = at;
	return leave(fabric, r);
}

static int map_memory(struct fabric *fabric, struct taken *taken, const struct machine_dma *dma,
                      struct own_mapping *mapping)
{
	int r = 0;

	if (!fabric_grow(&taken->mappings, taken->count, sizeof(*mapping)))
		return -ENOMEM;
	if (mapping->is_dram)
		r = dram_register(fabric, dma->cpu, dma->length, &mapping->phys);
	if (r)
		return r;
	if (taken->function->iommu == P2PDMA_IOMMU_TRANSLATED)
		r = iommu_map(fabric, taken->bdf, mapping->phys, dma->length, dma->op,
		              dma->is_fixed, &mapping->address);
	else if (dma->is_fixed && mapping->address != mapping->phys)
		r = -EEXIST;
	else
		mapping->address = mapping->phys;
	if (r && mapping->is_dram)
		dram_unregister(fabric, mapping->phys);
	if (!r)
		taken->mappings[taken->count++] = *mapping;
	return r;
}

static int sim_dma_map(void *private, struct p2pdma_bdf bdf, const struct machine_dma *dma,
                       struct p2pdma_dma *ret_address)
{
	struct fabric *fabric = enter(private);
	struct own_mapping mapping = {
		.address = dma->address.addr,
		.length = dma->length,
		.phys = dma->phys.addr,
		.is_dram = dma->cpu,
	};
	struct taken *taken;
	int r = find_open(private, bdf, &taken);

	if (!r)
		r = map_memory(fabric, taken, dma, &mapping);
	if (!r)
		ret_address->addr = mapping.address;
	return leave(fabric, r);
}

static int sim_dma_unmap(void *private, struct p2pdma_bdf bdf, struct p2pdma_dma address,
                         size_t length)
{
	struct fabric *fabric = enter(private);
	struct taken *taken = *find_taken(private, bdf);
	struct own_mapping *mapping;
	uint64_t phys;
	size_t at = taken ? taken->count : 0;

	while (at && (taken->mappings[at - 1].address != address.addr ||
	              taken->mappings[at - 1].length != length))
		at--;
	if (!at)
		return leave(fabric, -EINVAL);
	mapping = &taken->mappings[at - 1];
	iommu_unmap(fabric, bdf, address.addr, length, &phys);
	if (mapping->is_dram)
		dram_unregister(fabric, mapping->phys);
	*mapping = taken->mappings[--taken->count];
	return leave(fabric, 0);
}

static int sim_irq(void *private, struct p2pdma_bdf bdf, unsigned int vector, int fd)
{
	struct fabric *fabric = enter(private);
	struct taken *taken;
	int r = find_open(private, bdf, &taken);

	return leave(fabric, r ? r : vectors_attach(taken->function, vector, fd));
}

static int sim_reset(void *private, struct p2pdma_bdf bdf, struct p2pdma_error *err)
{
	struct fabric *fabric = enter(private);
	struct taken *taken;
	int r = find_open(private, bdf, &taken);

	if (!r)
		r = reset_and_restore(taken->function);
	if (r == -ENOTTY)
		report(err, r, "no function level reset, and %s: it cannot be reset alone",
		       taken->function->home->kind != SEGMENT_LINK ? "no link of its own"
		       : taken->function->below                    ? "others are below it"
		                                                   : "others share the link");
	else if (r == -ENODEV && taken->function->is_present)
		report(err, r, "it does not answer after the reset");
	else if (r)
		explain(err, r, bdf);
	return leave(fabric, r);
}

const struct machine_ops sim_ops = {
	.kind = "sim",
	.open = sim_open,
	.close = sim_close,
	.snapshot = sim_snapshot,
	.device_open = sim_device_open,
	.device_close = sim_device_close,
	.config_read = sim_config_read,
	.config_write = sim_config_write,
	.bar_map = sim_bar_map,
	.mmio_read = sim_mmio_read,
	.mmio_write = sim_mmio_write,
	.bar_view = sim_bar_view,
	.dma_map = sim_dma_map,
	.dma_unmap = sim_dma_unmap,
	.irq = sim_irq,
	.reset = sim_reset,
	.now = sim_now,
	.progress = sim_progress,
	.event = sim_event,
	.simulation = sim_simulation,
};
