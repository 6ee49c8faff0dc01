/* SPDX-License-Identifier: MIT */
/*
 * fabric.c - a fabric's parts, from the first to the last, and its picture as a snapshot.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/pci_regs.h>

#include "fabric.h"
#include "report.h"
#include "snapshot.h"

#define TIMEOUT      (50000000 * PS_PER_NS) /* PCIe Base 7.5.3.16: 50 us to 50 ms by default */
#define LANDING      (200 * PS_PER_NS)
#define IOVA_BITS    48
#define ROOT_LATENCY (150 * PS_PER_NS)
#define LINK_HOP     (80 * PS_PER_NS)
#define FIRST_ROOM   8
#define VF_BARS      7 /* lines of sysfs `resource`: BARs, ROM, VF BARs */
/* Linux include/linux/ioport.h */
#define RESOURCE_IO        0x00000100
#define RESOURCE_MEM       0x00000200
#define RESOURCE_PREFETCH  0x00002000
#define RESOURCE_SIZEALIGN 0x00040000
#define RESOURCE_MEM_64    0x00100000

/* ---- made ---- */

struct fabric *fabric_new(void)
{
	struct fabric *fabric = calloc(1, sizeof(*fabric));

	if (!fabric)
		return NULL;
	fabric->completion_timeout = TIMEOUT;
	fabric->landing = LANDING;
	fabric->random = 1;
	fabric->iommu = P2PDMA_IOMMU_NONE;
	fabric->iova_bits = IOVA_BITS;
	if (pthread_mutex_init(&fabric->lock, NULL)) {
		free(fabric);
		return NULL;
	}
	if (clock_new(fabric) || packets_new(fabric) || requester_new(fabric) || dram_new(fabric) ||
	    iommu_new(fabric) || observe_new(fabric) || !(fabric->said = snapshot_new()))
		return fabric_free(fabric);
	return fabric;
}

bool fabric_grow(void *array, size_t count, size_t size)
{
	void *old, *larger;

	if (count && (count < FIRST_ROOM || count & (count - 1)))
		return true;
	memcpy(&old, array, sizeof(old));
	larger = realloc(old, (count ? 2 * count : FIRST_ROOM) * size);
	if (!larger)
		return false;
	memcpy(array, &larger, sizeof(larger));
	return true;
}

struct segment *fabric_add_segment(struct fabric *fabric, enum segment_kind kind,
                                   struct p2pdma_function *owner, struct root *root)
{
	struct segment *segment;

	if (!fabric_grow(&fabric->segments, fabric->segment_count, sizeof(struct segment *)))
		return NULL;
	segment = calloc(1, sizeof(*segment));
	if (!segment)
		return NULL;
	segment->kind = kind;
	segment->owner = owner;
	segment->root = root;
	segment->is_stale = true;
	segment->hop_latency = kind == SEGMENT_LINK ? LINK_HOP : 0;
	if (owner)
		owner->below = segment;
	else
		root->segment = segment;
	fabric->segments[fabric->segment_count++] = segment;
	return segment;
}

/* By hand, since segments point into it. */
static bool grow_roots(struct fabric *fabric)
{
	size_t count = fabric->root_count;
	struct root *roots;

	if (count && (count < FIRST_ROOM || count & (count - 1)))
		return true;
	roots = calloc(count ? 2 * count : FIRST_ROOM, sizeof(*roots));
	if (!roots)
		return false;
	if (count)
		memcpy(roots, fabric->roots, count * sizeof(*roots));
	for (size_t i = 0; i < fabric->segment_count; i++)
		fabric->segments[i]->root = &roots[fabric->segments[i]->root - fabric->roots];
	free(fabric->roots);
	fabric->roots = roots;
	return true;
}

struct root *fabric_add_root(struct fabric *fabric, struct p2pdma_bdf bus)
{
	struct root *root;

	if (!grow_roots(fabric))
		return NULL;
	root = &fabric->roots[fabric->root_count];
	*root = (struct root){ .bus = bus, .latency = ROOT_LATENCY };
	root->policy = *policy_find("refuses");
	if (!fabric_add_segment(fabric, SEGMENT_ROOT, NULL, root))
		return NULL;
	fabric->root_count++;
	return root;
}

int fabric_place(struct p2pdma_function *function, struct segment *home)
{
	if (!fabric_grow(&home->members, home->member_count, sizeof(struct p2pdma_function *)))
		return -ENOMEM;
	home->members[home->member_count++] = function;
	function->home = home;
	return 0;
}

struct p2pdma_function *fabric_add(struct fabric *fabric, struct segment *home)
{
	struct p2pdma_function *function;

	if (!fabric_grow(&fabric->functions, fabric->function_count,
	                 sizeof(struct p2pdma_function *)))
		return NULL;
	function = calloc(1, sizeof(*function));
	if (!function)
		return NULL;
	fabric->functions[fabric->function_count++] = function;
	function->fabric = fabric;
	function->kind = P2PDMA_KIND_UNKNOWN;
	function->is_present = true;
	function->known_config = CONFIG_SIZE;
	function->numa_node = -1;
	function->iommu = fabric->iommu;
	function->config = calloc(1, CONFIG_SIZE);
	return function->config && (!home || !fabric_place(function, home)) ? function : NULL;
}

/* ---- freed ---- */

static void free_function(struct p2pdma_function *function)
{
	for (int i = 0; i < BAR_COUNT; i++)
		if (function->bars[i].is_mapped)
			munmap(function->bars[i].memory, function->bars[i].size);
	json_decref(function->params);
	json_decref(function->params_used);
	free(function->name);
	free(function->boot_config);
	free(function->config);
	free(function);
}

static void free_segment(struct segment *segment)
{
	free(segment->members);
	free(segment->claims);
	free(segment->by_id);
	free(segment);
}

struct fabric *fabric_free(struct fabric *fabric)
{
	if (!fabric)
		return NULL;
	for (size_t i = 0; i < fabric->function_count; i++)
		model_detach(fabric->functions[i]);
	fault_free(fabric);
	mailbox_free(fabric);
	clock_free(fabric);
	requester_free(fabric);
	packets_free(fabric);
	iommu_free(fabric);
	dram_free(fabric);
	observe_free(fabric);
	for (size_t i = 0; i < fabric->function_count; i++)
		free_function(fabric->functions[i]);
	for (size_t i = 0; i < fabric->segment_count; i++)
		free_segment(fabric->segments[i]);
	free(fabric->functions);
	free(fabric->segments);
	free(fabric->roots);
	snapshot_free(fabric->said);
	pthread_mutex_destroy(&fabric->lock);
	free(fabric);
	return NULL;
}

/* ---- booted ---- */

static int compare_functions(const void *left, const void *right)
{
	const struct p2pdma_function *a = *(struct p2pdma_function *const *)left;
	const struct p2pdma_function *b = *(struct p2pdma_function *const *)right;

	return snapshot_compare(a->bdf, b->bdf);
}

/* VFs come right behind their PFs, whatever their own numbers. */
static int compare_members(const void *left, const void *right)
{
	const struct p2pdma_function *a = *(struct p2pdma_function *const *)left;
	const struct p2pdma_function *b = *(struct p2pdma_function *const *)right;
	int order = snapshot_compare(a->physfn ? a->physfn->bdf : a->bdf,
	                             b->physfn ? b->physfn->bdf : b->bdf);

	if (order)
		return order;
	if (!a->physfn != !b->physfn)
		return a->physfn ? 1 : -1;
	return (a->vf_number > b->vf_number) - (a->vf_number < b->vf_number);
}

int fabric_boot(struct fabric *fabric, struct p2pdma_error *err)
{
	struct p2pdma_function **functions = fabric->functions;

	if (!fabric->function_count)
		return report(err, -ENODEV, "the machine has no PCI function");
	qsort(functions, fabric->function_count, sizeof(*functions), compare_functions);
	for (size_t i = 1; i < fabric->function_count; i++)
		if (!compare_functions(&functions[i - 1], &functions[i]))
			return report(err, -EPROTO,
			              "%04x:%02x:%02x.%x: two functions have this address",
			              functions[i]->bdf.domain, functions[i]->bdf.bus,
			              functions[i]->bdf.devfn >> 3, functions[i]->bdf.devfn & 7);
	for (size_t i = 0; i < fabric->function_count; i++)
		config_locate(functions[i]);
	for (size_t i = 0; i < fabric->segment_count; i++) {
		struct segment *segment = fabric->segments[i];

		if (segment->member_count)
			qsort(segment->members, segment->member_count,
			      sizeof(struct p2pdma_function *), compare_members);
		decode_stale(segment);
		link_boot(segment);
	}
	for (size_t i = 0; i < fabric->function_count; i++) {
		functions[i]->boot_config = malloc(CONFIG_SIZE);
		if (!functions[i]->boot_config)
			return report(err, -ENOMEM, "out of memory");
		memcpy(functions[i]->boot_config, functions[i]->config, CONFIG_SIZE);
	}
	return iommu_boot(fabric) ? report(err, -ENOMEM, "out of memory") : 0;
}

struct p2pdma_function *fabric_function(const struct fabric *fabric, struct p2pdma_bdf bdf)
{
	const struct p2pdma_function key = { .bdf = bdf }, *wanted = &key;
	struct p2pdma_function **found =
		bsearch(&wanted, fabric->functions, fabric->function_count,
	                sizeof(struct p2pdma_function *), compare_functions);

	return found ? *found : NULL;
}

/* ---- seen ---- */

/* As Linux decodes a BAR: IORESOURCE_*, with the register's own bits below. */
static uint64_t resource_flags(const struct bar *bar)
{
	if (bar->kind == BAR_IO)
		return RESOURCE_IO | RESOURCE_SIZEALIGN | PCI_BASE_ADDRESS_SPACE_IO;
	return RESOURCE_MEM | RESOURCE_SIZEALIGN |
	       (bar->is_prefetchable ? RESOURCE_PREFETCH | PCI_BASE_ADDRESS_MEM_PREFETCH : 0) |
	       (bar->is_64bit ? RESOURCE_MEM_64 | PCI_BASE_ADDRESS_MEM_TYPE_64 : 0);
}

/* The BARs of @function, @count slices of each. */
static void add_resources(const struct p2pdma_function *function, uint64_t count,
                          struct snapshot_resource *resources)
{
	for (int i = 0; i < BAR_COUNT; i++) {
		const struct bar *bar = &function->bars[i];
		uint64_t base = function_bar_base(function, i);

		if (bar->kind == BAR_NONE || !bar->size || !count)
			continue;
		resources[i] = (struct snapshot_resource){ base, base + bar->size * count - 1,
			                                   resource_flags(bar) };
	}
}

/* NULL is not known, and stays so. */
static int copy_text(const char *text, char **ret_text)
{
	return text && !(*ret_text = strdup(text)) ? -ENOMEM : 0;
}

static const struct p2pdma_function *first_vf(const struct p2pdma_function *pf)
{
	for (size_t i = 0; pf->at.sriov && i < pf->home->member_count; i++)
		if (pf->home->members[i]->physfn == pf)
			return pf->home->members[i];
	return NULL;
}

/*
 * A bridge that sleeps does not hide what is below: Linux wakes it before it reads there, and that
 * a TLP finds it asleep is for the verdict to say.
 */
static bool can_be_read(const struct p2pdma_function *function)
{
	while (function && function_answers(function))
		function = function->home->owner;
	return !function;
}

/* @said: by the capture; NULL: there is none. */
static int copy_said(const struct p2pdma_function *function, const struct snapshot_function *said,
                     struct snapshot_function *ret)
{
	char *const *names = said ? said->names : &function->name;
	size_t count = said ? said->name_count : !!function->name;

	ret->names = calloc(count + 1, sizeof(*ret->names));
	if (!ret->names)
		return -ENOMEM;
	for (; ret->name_count < count; ret->name_count++)
		if (!(ret->names[ret->name_count] = strdup(names[ret->name_count])))
			return -ENOMEM;
	if (!said)
		return 0;
	ret->iommu_group = said->iommu_group;
	ret->dma_mask_bits = said->dma_mask_bits;
	return copy_text(said->driver, &ret->driver);
}

static int describe(const struct fabric *fabric, const struct p2pdma_function *function,
                    struct snapshot *snapshot)
{
	const struct p2pdma_function *vf = first_vf(function);
	struct snapshot_function *ret;
	bool is_new;
	int r = snapshot_add(snapshot, function->bdf, &is_new, &ret);

	if (r)
		return r;
	ret->config = malloc(function->known_config + 1);
	ret->resources = calloc(SNAPSHOT_RESOURCES, sizeof(*ret->resources));
	if (!ret->config || !ret->resources)
		return -ENOMEM;
	if (can_be_read(function))
		memcpy(ret->config, function->config, function->known_config);
	else
		memset(ret->config, 0xff, function->known_config);
	ret->config_len = function->known_config;
	ret->resource_count = SNAPSHOT_RESOURCES;
	add_resources(function, 1, ret->resources);
	if (vf)
		add_resources(vf, get16(function->config + function->at.sriov + PCI_SRIOV_TOTAL_VF),
		              ret->resources + VF_BARS);
	ret->has_physfn = function->physfn;
	if (function->physfn)
		ret->physfn = function->physfn->bdf;
	ret->has_root_bus = true;
	ret->root_bus = function->home->root->bus;
	ret->iommu = function->iommu;
	ret->numa_node = function->numa_node;
	return copy_said(function, snapshot_find(fabric->said, function->bdf), ret);
}

struct snapshot *fabric_snapshot(struct fabric *fabric)
{
	const struct snapshot *said = fabric->said;
	struct snapshot *snapshot = snapshot_new();
	int r = snapshot ? 0 : -ENOMEM;

	for (size_t i = 0; i < fabric->function_count && !r; i++)
		if (fabric->functions[i]->is_present)
			r = describe(fabric, fabric->functions[i], snapshot);
	/* Whatever ran the captured machine, the tree is what TLPs go by here. */
	if (r || copy_text("none", &snapshot->hypervisor) ||
	    copy_text(said->kernel, &snapshot->kernel) || copy_text(said->arch, &snapshot->arch) ||
	    copy_text(said->cpu_vendor, &snapshot->cpu_vendor))
		return snapshot_free(snapshot);
	snapshot->kernel_p2pdma = said->kernel_p2pdma;
	snapshot->cpu_family = said->cpu_family;
	snapshot->privileged = said->privileged;
	snapshot_finish(snapshot);
	return snapshot;
}
