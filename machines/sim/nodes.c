/* SPDX-License-Identifier: MIT */
/*
 * nodes.c - the elements of a hand-written fabric made functions and segments (docs/simulator.md).
 *
 * What a function's registers say depends on its neighbours (links, payload sizes), so all elements
 * are read first; then come numbers, models, configuration spaces and addresses.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "file.h"
#include "snapshot.h"

#define MOST_FUNCTIONS SNAPSHOT_MAX_FUNCTIONS
#define MOST_DEVICES   32
#define DEEPEST        64
#define DEFAULT_SPEED  4
#define DEFAULT_WIDTH  4
#define SWITCH_WIDTH   16
/* A TiB each, from 56 TiB on, in 52 bits of address. */
#define MOST_ROOTS   4000
#define SOME_PAYLOAD 256 /* in force where all can */
#define MOST_PAYLOAD 512

enum type {
	TYPE_PORT = 0x01,
	TYPE_SWITCH = 0x02,
	TYPE_ENDPOINT = 0x04,
	TYPE_DEVICE = 0x08,
	TYPE_INTEGRATED = 0x10,
	TYPE_BRIDGE = 0x20,
	TYPE_CONVENTIONAL = 0x40,
	TYPE_FUNCTION = 0x80,    /* of a device */
	TYPE_PCI_BRIDGE = 0x100, /* a bridge on a conventional bus or root bus */
};
#define TYPES_LINK    (TYPE_PORT | TYPE_SWITCH | TYPE_ENDPOINT | TYPE_DEVICE | TYPE_BRIDGE)
#define TYPES_EXPRESS (TYPE_PORT | TYPE_SWITCH | TYPE_ENDPOINT | TYPE_FUNCTION | TYPE_INTEGRATED)
#define TYPES_MODEL   (TYPE_ENDPOINT | TYPE_FUNCTION | TYPE_INTEGRATED | TYPE_CONVENTIONAL)

static const char *const type_names[] = { "port",       "switch", "endpoint",     "device",
	                                  "integrated", "bridge", "conventional", NULL };

/* Which elements have which keys; others are parameters of the model. */
static const struct {
	const char *key;
	unsigned int types;
} key_types[] = {
	{ "type", 0x1ff },
	{ "name", TYPES_MODEL },
	{ "model", TYPES_MODEL },
	{ "class", TYPES_MODEL },
	{ "numa_node", TYPES_MODEL },
	{ "absent", 0x1ff & ~TYPE_FUNCTION },
	{ "below", TYPE_PORT | TYPE_SWITCH | TYPE_BRIDGE | TYPE_PCI_BRIDGE },
	{ "functions", TYPE_DEVICE },
	{ "link", TYPES_LINK },
	{ "trained", TYPES_LINK },
	{ "max_mps", TYPES_EXPRESS | TYPE_BRIDGE },
	{ "mps", TYPES_EXPRESS | TYPE_BRIDGE },
	{ "mrrs", TYPES_EXPRESS & ~(TYPE_PORT | TYPE_SWITCH) },
	{ "tags", TYPES_EXPRESS & ~(TYPE_PORT | TYPE_SWITCH) },
	{ "acs", TYPES_EXPRESS & ~TYPE_SWITCH },
	{ "port_number", TYPE_PORT },
	{ "latency_ns", TYPE_PORT },
	{ "ats", TYPE_ENDPOINT | TYPE_FUNCTION | TYPE_INTEGRATED },
	{ "flr", TYPE_ENDPOINT | TYPE_FUNCTION | TYPE_INTEGRATED },
	{ "vfs", TYPE_ENDPOINT | TYPE_FUNCTION },
	{ "ari", TYPE_ENDPOINT | TYPE_DEVICE },
};
#define KEY_COUNT (sizeof(key_types) / sizeof(key_types[0]))

/* A function on its way. */
struct node {
	struct node *next;
	struct p2pdma_function *function;
	const json_t *object; /* NULL: not written in the file */
	struct config_plan plan;
};

struct maker {
	const struct source *source;
	struct fabric *fabric;
	struct root *root;
	struct node *first, *last;
	const json_t *current; /* element or root, for errors */
	const char *own_keys[KEY_COUNT + 1];
	size_t depth;
};

/* Where a new element goes. */
struct place {
	struct segment *home;
	struct node *port; /* the one above a link, or NULL */
	unsigned int device;
	bool is_present;
};

/* ---- functions ---- */

/* IDs of test hardware (pid.codes), but for those that a model or a platform has. */
static int add_node(struct maker *maker, const struct place *place, const json_t *object,
                    enum p2pdma_kind kind, struct node **ret_node)
{
	struct p2pdma_function *function;
	struct node *node;

	if (maker->fabric->function_count >= MOST_FUNCTIONS)
		return wrong_key(maker->source, maker->current, NULL, "more than %d functions",
		                 MOST_FUNCTIONS);
	node = calloc(1, sizeof(*node));
	function = node ? fabric_add(maker->fabric, place->home) : NULL;
	if (!function) {
		free(node);
		return source_out_of_memory(maker->source);
	}
	function->bdf.domain = maker->root->bus.domain;
	function->bdf.devfn = (uint8_t)(place->device << 3);
	function->kind = kind;
	function->header_type = kind >= P2PDMA_KIND_ROOT_PORT && kind <= P2PDMA_KIND_PCI_BRIDGE;
	function->is_present = place->is_present;
	function->numa_node = maker->root->socket;
	node->function = function;
	node->object = object;
	node->plan = (struct config_plan){
		.vendor = 0x1209,
		.device = (uint16_t)kind,
		.class_code = function->header_type ? 0x060400 : 0xff0000,
		.max_payload = MOST_PAYLOAD,
		.read_request = 512,
		.has_extended_tags = true,
		.has_flr = kind == P2PDMA_KIND_ENDPOINT || kind == P2PDMA_KIND_RC_ENDPOINT,
		/* Upstream ports are number 0. */
		.port_number = (uint8_t)(place->device + (kind == P2PDMA_KIND_DOWNSTREAM_PORT)),
	};
	if (maker->last)
		maker->last->next = node;
	else
		maker->first = node;
	maker->last = node;
	*ret_node = node;
	return 0;
}

static int add_function(struct maker *maker, const struct place *place, const json_t *object,
                        enum p2pdma_kind kind, struct node **ret_node)
{
	int r = add_node(maker, place, object, kind, ret_node);

	return r ? r : plan_keys(maker->source, object, (*ret_node)->function, &(*ret_node)->plan);
}

/* The other side of a bridge. */
static int add_below(struct maker *maker, const struct node *node, enum segment_kind kind,
                     struct segment **ret_segment)
{
	*ret_segment = fabric_add_segment(maker->fabric, kind, node->function, maker->root);
	return *ret_segment ? 0 : source_out_of_memory(maker->source);
}

static uint8_t least(uint8_t a, uint8_t b)
{
	return !a || (b && b < a) ? b : a;
}

/*
 * Both ends of a link come up as the weaker can, or as either is said to.  @end is the first of the
 * functions that are there by now, and @width what they have by default.
 */
static void train(struct node *port, struct node *end, uint8_t width)
{
	struct config_plan *a = &port->plan, *b = &end->plan;

	if (!b->link_speed) {
		b->link_speed = a->link_speed ? a->link_speed : DEFAULT_SPEED;
		b->link_width = a->link_speed ? a->link_width : width;
	}
	if (!a->link_speed) {
		a->link_speed = b->link_speed;
		a->link_width = b->link_width;
	}
	a->trained_speed = least(least(a->trained_speed, b->trained_speed),
	                         least(a->link_speed, b->link_speed));
	a->trained_width = least(least(a->trained_width, b->trained_width),
	                         least(a->link_width, b->link_width));
	for (struct node *node = end; node; node = node->next) {
		a->has_ari |= node->plan.has_ari;
		node->plan.link_speed = b->link_speed;
		node->plan.link_width = b->link_width;
		node->plan.trained_speed = a->trained_speed;
		node->plan.trained_width = a->trained_width;
	}
}

/*
 * VFs follow the functions of the device, those of one PF as far apart as there are functions;
 * beyond function 7 by ARI (PCIe Base 9.3.3.8 to 9.3.3.10, 6.13).
 */
static int add_vfs(struct maker *maker, const struct place *place, struct node *pf,
                   unsigned int functions)
{
	unsigned int devfn = pf->function->bdf.devfn, count = pf->plan.vf_count;
	struct node *vf;
	int r;

	if (!count)
		return 0;
	pf->plan.has_ari |= devfn + functions * count > 7;
	pf->plan.vf_offset = pf->plan.vf_stride = (uint16_t)functions;
	for (unsigned int i = 0; i < count; i++) {
		unsigned int id = devfn + functions * (i + 1);

		if (id > UINT16_MAX)
			return wrong_key(maker->source, pf->object, "vfs",
			                 "\"vfs\": no bus numbers for so many");
		r = add_node(maker, place, pf->object, P2PDMA_KIND_ENDPOINT, &vf);
		if (r)
			return r;
		vf->function->bdf.bus = (uint8_t)(id >> 8);
		vf->function->bdf.devfn = (uint8_t)id;
		vf->function->physfn = pf->function;
		vf->function->vf_number = i;
		vf->function->numa_node = pf->function->numa_node;
		vf->plan = pf->plan;
		vf->plan.vf_count = 0;
	}
	return 0;
}

static int check_keys(const struct maker *maker, const json_t *object, enum type type)
{
	bool has_model = json_object_get(object, "model");
	void *iter = json_object_iter((json_t *)(uintptr_t)object);

	for (; iter; iter = json_object_iter_next((json_t *)(uintptr_t)object, iter)) {
		const char *key = json_object_iter_key(iter);
		size_t i = 0;

		while (i < KEY_COUNT && strcmp(key, key_types[i].key) != 0)
			i++;
		if (i < KEY_COUNT ? !(key_types[i].types & type) : !has_model)
			return wrong_key(maker->source, object, key,
			                 i < KEY_COUNT
			                         ? "\"%.64s\": no key of such an element"
			                         : "\"%.64s\": unknown key, and there is no model "
			                           "whose parameter it might be",
			                 key);
	}
	return 0;
}

/* An endpoint, or all functions of a device, on a link. */
static int add_functions(struct maker *maker, const struct place *place, const json_t *object,
                         enum type type, struct node **ret_first)
{
	const json_t *list = json_object_get(object, "functions"), *item = object;
	size_t count = type == TYPE_ENDPOINT ? 1 : json_array_size(list);
	struct node *node;
	bool has_ari = false;
	int r = get_bool(maker->source, object, "ari", &has_ari);

	if (r)
		return r;
	if (!count || count > (has_ari ? 256 : 8))
		return wrong_key(maker->source, object, "functions",
		                 "\"functions\": expected a list of 1 to 8 objects (256 with ARI)");
	for (size_t i = 0; i < count; i++) {
		if (list && !json_is_object(item = json_array_get(list, i)))
			return wrong_item(maker->source, list, i, "expected an object");
		if ((list && (r = check_keys(maker, item, TYPE_FUNCTION))) ||
		    (r = add_function(maker, place, item, P2PDMA_KIND_ENDPOINT, &node)))
			return r;
		node->function->bdf.devfn = (uint8_t)i;
		node->plan.has_ari = has_ari;
		if (!i)
			*ret_first = node;
	}
	/* VFs come behind them. */
	node = *ret_first;
	for (size_t i = 0; i < count && !r; i++, node = node->next)
		r = add_vfs(maker, place, node, (unsigned int)count);
	return r;
}

static int add_element(struct maker *maker, struct place place, const json_t *object);

/* By its number a switch knows a port (PCIe Base 7.5.3.6); those not given may be taken. */
static int check_numbers(const struct source *source, const json_t *list)
{
	bool is_taken[256] = { false };
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		const json_t *number = json_object_get(item, "port_number");
		bool *taken = &is_taken[json_integer_value(number) & 0xff];

		if (number && *taken)
			return wrong_key(source, item, "port_number",
			                 "\"port_number\": another port of the switch has it");
		*taken |= number != NULL;
	}
	return 0;
}

static int add_list(struct maker *maker, const struct place *where, const json_t *object)
{
	const json_t *list = json_object_get(object, "below"), *item;
	bool is_link = where->home->kind == SEGMENT_LINK;
	size_t most = is_link ? 1 : MOST_DEVICES - where->device, i;
	struct place place = *where;
	int r = 0;

	if (list && !json_is_array(list))
		return wrong_key(maker->source, object, "below", "\"below\": expected a list");
	if (json_array_size(list) > most)
		return wrong_key(maker->source, object, "below",
		                 "\"below\": no more than %zu element%s here", most,
		                 is_link ? "" : "s");
	if (++maker->depth > DEEPEST)
		return wrong_key(maker->source, object, "below", "\"below\": more than %d deep",
		                 DEEPEST);
	json_array_foreach(list, i, item)
	{
		if (!json_is_object(item))
			return wrong_item(maker->source, list, i, "expected an object");
		r = add_element(maker, place, item);
		if (r)
			return r;
		place.device++;
	}
	maker->depth--;
	return where->home->kind == SEGMENT_INTERNAL ? check_numbers(maker->source, list) : 0;
}

/* A port of a root or switch; @is_own: @object is it, else what will be below. */
static int add_port(struct maker *maker, struct place *place, const json_t *object, bool is_own)
{
	bool is_root = place->home->kind == SEGMENT_ROOT;
	struct node *node = NULL; /* gcc -O3 asks for it */
	uint64_t latency;
	int r = add_function(maker, place, is_own ? object : NULL,
	                     is_root ? P2PDMA_KIND_ROOT_PORT : P2PDMA_KIND_DOWNSTREAM_PORT, &node);

	if (r || (r = add_below(maker, node, SEGMENT_LINK, &place->home)) ||
	    (r = plan_link(maker->source, node->object, &node->plan)))
		return r;
	latency = place->home->hop_latency / PS_PER_NS;
	r = get_number(maker->source, node->object, "latency_ns", 0, 1000000, &latency);
	if (r)
		return r;
	place->home->hop_latency = latency * PS_PER_NS;
	place->device = 0;
	place->port = node;
	r = is_own ? add_list(maker, place, object) : 0;
	if (is_own && !node->plan.link_speed) {
		node->plan.link_speed = DEFAULT_SPEED;
		node->plan.link_width = DEFAULT_WIDTH;
	}
	return r;
}

/* A bridge with one function, and what is below it. */
static int add_bridge(struct maker *maker, struct place *place, const json_t *object,
                      enum p2pdma_kind kind, struct node **ret_node)
{
	int r = add_function(maker, place, object, kind, ret_node);

	if (r)
		return r;
	place->port = NULL;
	place->device = 0;
	return add_below(maker, *ret_node,
	                 kind == P2PDMA_KIND_UPSTREAM_PORT ? SEGMENT_INTERNAL : SEGMENT_BUS,
	                 &place->home);
}

static int read_type(const struct maker *maker, const struct place *place, const json_t *object,
                     enum type *ret_type)
{
	static const unsigned int allowed[] = {
		[SEGMENT_ROOT] = 0x17f & ~TYPE_BRIDGE,
		[SEGMENT_INTERNAL] = TYPES_LINK,
		[SEGMENT_LINK] = TYPES_LINK & ~TYPE_PORT,
		[SEGMENT_BUS] = TYPE_PCI_BRIDGE | TYPE_CONVENTIONAL,
	};
	static const char *const expected[] = {
		[SEGMENT_ROOT] = "",
		[SEGMENT_INTERNAL] = "a switch has ports below it, or what ports lead to",
		[SEGMENT_LINK] = "a port has a switch, endpoint, device or bridge below it",
		[SEGMENT_BUS] = "a bridge has bridges and conventional functions below it",
	};
	enum segment_kind home = place->home->kind;
	size_t index = json_object_get(object, "functions") ? 3 : 2;
	int r = get_word(maker->source, object, "type", type_names, &index);

	if (r)
		return r;
	*ret_type = 1 << index;
	if (*ret_type == TYPE_BRIDGE && (home == SEGMENT_ROOT || home == SEGMENT_BUS))
		*ret_type = TYPE_PCI_BRIDGE;
	if (*ret_type == TYPE_ENDPOINT && !json_object_get(object, "type") &&
	    !json_object_get(object, "model"))
		return wrong_key(maker->source, object, NULL, "expected a \"type\" or a \"model\"");
	if (!(allowed[home] & *ret_type))
		return wrong_key(maker->source, object, "type", "%s", expected[home]);
	return check_keys(maker, object, *ret_type);
}

static int add_element(struct maker *maker, struct place place, const json_t *object)
{
	struct node *node = NULL, *port;
	bool is_absent = false;
	enum type type;
	int r;

	maker->current = object;
	r = read_type(maker, &place, object, &type);
	if (r || (r = get_bool(maker->source, object, "absent", &is_absent)))
		return r;
	if (place.home->kind != SEGMENT_LINK && type & TYPES_LINK && type != TYPE_PORT) {
		r = add_port(maker, &place, object, false);
		if (r)
			return r;
	}
	place.is_present &= !is_absent;
	port = place.port;
	if (type == TYPE_PORT)
		return add_port(maker, &place, object, true);
	if (type == TYPE_ENDPOINT || type == TYPE_DEVICE)
		r = add_functions(maker, &place, object, type, &node);
	else if (type == TYPE_SWITCH)
		r = add_bridge(maker, &place, object, P2PDMA_KIND_UPSTREAM_PORT, &node);
	else if (type == TYPE_BRIDGE)
		r = add_bridge(maker, &place, object, P2PDMA_KIND_PCIE_TO_PCI, &node);
	else if (type == TYPE_PCI_BRIDGE)
		r = add_bridge(maker, &place, object, P2PDMA_KIND_PCI_BRIDGE, &node);
	else if (type == TYPE_INTEGRATED)
		r = add_function(maker, &place, object, P2PDMA_KIND_RC_ENDPOINT, &node);
	else
		r = add_function(maker, &place, object, P2PDMA_KIND_PCI, &node);
	if (!r && port)
		r = plan_link(maker->source, object, &node->plan);
	if (r)
		return r;
	if (port)
		train(port, node, type == TYPE_SWITCH ? SWITCH_WIDTH : DEFAULT_WIDTH);
	return json_object_get(object, "below") ? add_list(maker, &place, object) : 0;
}

/* ---- the whole ---- */

static const struct p2pdma_function *top_of(const struct node *node)
{
	const struct p2pdma_function *function = node->function;

	while (function->home->owner)
		function = function->home->owner;
	return function;
}

/* As firmware does: 256 bytes below a root port, or less where somebody there takes less. */
static void settle_payload(struct node *node)
{
	while (node) {
		const struct p2pdma_function *top = top_of(node);
		uint16_t payload = SOME_PAYLOAD;
		struct node *end = node;

		for (; end && top_of(end) == top; end = end->next)
			if (end->plan.max_payload < payload)
				payload = end->plan.max_payload;
		for (; node != end; node = node->next)
			if (!node->plan.payload)
				node->plan.payload = payload;
	}
}

static int read_one_root(struct maker *maker, const json_t *object)
{
	static const char *const keys[] = { "platform",   "socket", "domain",
		                            "latency_ns", "below",  NULL };
	struct node *last = maker->last, *host;
	struct root *root = fabric_add_root(maker->fabric, (struct p2pdma_bdf){ 0 });
	struct place place = { .device = 1, .is_present = true };
	uint64_t domain = 0;
	int r;

	if (!root)
		return source_out_of_memory(maker->source);
	maker->root = root;
	maker->current = object;
	place.home = root->segment;
	if ((r = only_keys(maker->source, object, keys)) ||
	    (r = get_number(maker->source, object, "domain", 0, UINT32_MAX, &domain)) ||
	    (r = read_root(maker->source, object, root)))
		return r;
	root->bus.domain = (uint32_t)domain;
	if (root->policy.host_bridge) {
		struct place at_0 = { .home = place.home, .is_present = true };

		r = add_node(maker, &at_0, NULL, P2PDMA_KIND_PCI, &host);
		if (r)
			return r;
		host->plan.vendor = (uint16_t)(root->policy.host_bridge >> 16);
		host->plan.device = (uint16_t)root->policy.host_bridge;
		host->plan.class_code = 0x060000;
	}
	r = add_list(maker, &place, object);
	if (!r)
		settle_payload(last ? last->next : maker->first);
	return r;
}

/* What firmware_number() has put into the header stays; the model's IDs do by config_build(). */
static void build(struct node *node)
{
	uint8_t *config = node->function->config, buses[3];

	memcpy(buses, config + PCI_PRIMARY_BUS, sizeof(buses));
	config_build(node->function, &node->plan);
	if (node->function->header_type)
		memcpy(config + PCI_PRIMARY_BUS, buses, sizeof(buses));
}

/* Models, then registers: a PF's tell what BARs its VFs have. */
static int finish(struct maker *maker)
{
	struct p2pdma_error err = { "" };
	struct node *node;
	int r = firmware_number(maker->fabric, &err);

	for (node = maker->first; node && !r; node = node->next) {
		r = attach_model(maker->source, node->object, maker->own_keys, node->function);
		if (r)
			return r;
	}
	for (node = maker->first; node && !r; node = node->next)
		build(node);
	if (!r)
		r = firmware_assign(maker->fabric, &err);
	return r ? source_failed(maker->source, r, &err) : 0;
}

int read_nodes(const struct source *source, json_t *root, struct fabric *fabric)
{
	struct maker maker = { .source = source, .fabric = fabric };
	const json_t *list = json_object_get(root, "roots"), *item;
	struct node *next;
	size_t i;
	int r = 0;

	if (!json_array_size(list) || json_array_size(list) > MOST_ROOTS)
		return wrong_key(source, root, "roots",
		                 "\"roots\": expected a list of 1 to %d objects", MOST_ROOTS);
	for (i = 0; i < KEY_COUNT; i++)
		maker.own_keys[i] = key_types[i].key;
	json_array_foreach(list, i, item)
	{
		r = json_is_object(item) ? read_one_root(&maker, item)
		                         : wrong_item(source, list, i, "expected an object");
		if (r)
			break;
	}
	if (!r)
		r = finish(&maker);
	for (; maker.first; maker.first = next) {
		next = maker.first->next;
		free(maker.first);
	}
	return r;
}
