/* SPDX-License-Identifier: MIT */
/*
 * fault.c - scripted physical faults: at a moment, or when the n-th TLP of a kind is received.
 *
 * What a TLP sets off but does not itself suffer happens right after it, as an event of its own.
 */
#include <errno.h>
#include <stdlib.h>

#include "file.h"
#include "sim_private.h"

#define MOST_NS   (1ull << 50)
#define MOST_TLPS (1ull << 50)

enum deed {
	DO_REMOVE,
	DO_ADD,
	DO_LINK_DOWN,
	DO_LINK_UP,
	DO_RETRAIN,
	DO_HANG,
	DO_RESET,
	DO_DROP, /* from here on to the TLP */
	DO_POISON,
	DO_DELAY,
	DO_IOMMU,
};

static const char *const deeds[] = { "remove",  "add",   "link-down",   "link-up",
	                             "retrain", "hang",  "reset",       "drop",
	                             "poison",  "delay", "iommu-fault", NULL };
static const char *const tlps[] = { "write", "read", "completion", NULL };

struct fault {
	struct fault *next, **link; /* in script or scheduled */
	enum deed deed;
	struct p2pdma_function *device; /* NULL: the TLP's */
	uint64_t delay;                 /* ps: of the TLP, or until the link is up again */
	/* When: */
	bool has_tlp, has_requester;
	uint64_t at; /* ps */
	size_t type; /* enum tlp, or ANY_TYPE */
	struct p2pdma_bdf requester;
	bool has_receiver;          /* else wherever it comes first */
	struct p2pdma_bdf receiver; /* a function, or a root complex by its root bus */
	uint64_t nth, seen;
	bool is_half_done; /* a link that comes up again */
};
#define ANY_TYPE SIZE_MAX

static void put(struct fault **list, struct fault *fault)
{
	fault->next = *list;
	fault->link = list;
	if (fault->next)
		fault->next->link = &fault->next;
	*list = fault;
}

static void take(struct fault *fault)
{
	*fault->link = fault->next;
	if (fault->next)
		fault->next->link = fault->link;
}

static void free_list(struct fault *fault)
{
	struct fault *next;

	for (; fault; fault = next) {
		next = fault->next;
		free(fault);
	}
}

void fault_free(struct fabric *fabric)
{
	free_list(fabric->script);
	free_list(fabric->scheduled);
	fabric->script = fabric->scheduled = NULL;
}

/* ---- what happens ---- */

static void happen(struct fabric *fabric, void *arg)
{
	struct fault *fault = arg;
	struct p2pdma_function *device = fault->device;
	bool comes_back = false;

	switch (fault->deed) {
	case DO_REMOVE:
		function_remove(device);
		break;
	case DO_ADD:
		function_add(device);
		break;
	case DO_LINK_DOWN:
	case DO_LINK_UP:
		link_set(device->below, fault->deed == DO_LINK_UP);
		break;
	case DO_RETRAIN:
		link_set(device->below, false);
		fault->deed = DO_LINK_UP;
		fault->is_half_done = true;
		comes_back = !clock_at(fabric, fabric->now + fault->delay, happen, fault);
		break;
	case DO_HANG:
		device->is_hung = device->is_present;
		wire_recall(device, true);
		break;
	case DO_RESET:
		function_reset(device, P2PDMA_RESET_FLR);
		break;
	default: /* TLPs suffer theirs in fault_suffer() */
		break;
	}
	if (comes_back)
		return;
	take(fault);
	free(fault);
}

/* -ENOMEM: it never happens. */
static int schedule(struct fabric *fabric, struct fault *fault)
{
	int r = clock_at(fabric, fault->at, happen, fault);

	if (!r)
		put(&fabric->scheduled, fault);
	return r;
}

static bool has_data(const struct packet *packet)
{
	return packet->type == TLP_WRITE ||
	       (packet->type == TLP_COMPLETION && packet->status == P2PDMA_DMA_OK);
}

static bool matches(const struct fault *fault, const struct packet *packet,
                    const struct p2pdma_function *at, const struct root *root)
{
	if (fault->type != ANY_TYPE && fault->type != packet->type)
		return false;
	/* What it could do nothing to is not counted. */
	if ((fault->deed == DO_POISON && !has_data(packet)) ||
	    (fault->deed == DO_IOMMU && packet->type == TLP_COMPLETION))
		return false;
	if (fault->has_requester && !bdf_is_same(fault->requester, packet->requester))
		return false;
	/* IOMMUs are in root complexes; else a TLP counts where it is received first. */
	if (fault->deed == DO_IOMMU && at)
		return false;
	if (fault->has_receiver)
		return bdf_is_same(fault->receiver, at ? at->bdf : root->bus);
	return fault->deed == DO_IOMMU || !packet->is_counted;
}

bool fault_suffer(struct packet *packet, const struct p2pdma_function *at, const struct root *root,
                  uint64_t *ret_delay)
{
	struct fabric *fabric = packet->fabric;
	bool has_suffered = false, is_dropped = false;
	struct fault *next;

	for (struct fault *fault = fabric->script; fault; fault = next) {
		next = fault->next;
		if (!matches(fault, packet, at, root))
			continue;
		fault->seen += packet_tlps(packet);
		/* One TLP suffers one thing; the second waits for the next. */
		if (fault->seen < fault->nth || (fault->deed >= DO_DROP && has_suffered))
			continue;
		take(fault);
		if (fault->deed < DO_DROP) {
			fault->at = fabric->now;
			if (!schedule(fabric, fault))
				continue;
		} else {
			has_suffered = true;
			is_dropped = fault->deed == DO_DROP;
			packet->is_poisoned |= fault->deed == DO_POISON;
			packet->fails_iommu |= fault->deed == DO_IOMMU;
			if (fault->deed == DO_DELAY)
				*ret_delay = fault->delay;
		}
		free(fault);
	}
	packet->is_counted = true;
	return !is_dropped;
}

/* ---- the script ---- */

/* Untouched when the key is not there.  -ENODEV: there is no such function. */
static int get_function(const struct source *source, const json_t *object, const char *key,
                        const struct fabric *fabric, struct p2pdma_function **ret_function)
{
	struct p2pdma_function *function;
	struct p2pdma_bdf bdf;
	bool has = false;
	int r = get_bdf(source, object, key, false, &has, &bdf);

	if (r || !has)
		return r;
	function = fabric_function(fabric, bdf);
	if (!function) {
		wrong_key(source, object, key, "\"%s\": the fabric has no such function", key);
		return -ENODEV;
	}
	*ret_function = function;
	return 0;
}

/* Of "at": a function, or a root complex as events and the trace print it. */
static int get_receiver(const struct source *source, const json_t *tlp, const struct fabric *fabric,
                        struct fault *fault)
{
	int r = get_bdf(source, tlp, "at", false, &fault->has_receiver, &fault->receiver);

	if (r || !fault->has_receiver ||
	    (fault->deed != DO_IOMMU && fabric_function(fabric, fault->receiver)))
		return r;
	for (size_t i = 0; i < fabric->root_count; i++)
		if (bdf_is_same(fabric->roots[i].bus, fault->receiver))
			return 0;
	wrong_key(source, tlp, "at",
	          fault->deed == DO_IOMMU
	                  ? "\"at\": IOMMUs are in root complexes: name a root bus"
	                  : "\"at\": the fabric has no such function or root complex");
	return -ENODEV;
}

static int read_tlp(const struct source *source, const json_t *object, struct fabric *fabric,
                    struct fault *fault)
{
	static const char *const keys[] = { "type", "requester", "at", "nth", NULL };
	const json_t *tlp = json_object_get(object, "tlp");
	int r;

	if (!json_is_object(tlp))
		return wrong_key(source, object, "tlp", "\"tlp\": expected an object");
	if ((r = only_keys(source, tlp, keys)) ||
	    (r = get_word(source, tlp, "type", tlps, &fault->type)) ||
	    (r = get_bdf(source, tlp, "requester", false, &fault->has_requester,
	                 &fault->requester)) ||
	    (r = get_receiver(source, tlp, fabric, fault)) ||
	    (r = get_number(source, tlp, "nth", 1, MOST_TLPS, &fault->nth)))
		return r;
	fault->has_tlp = true;
	if (fault->deed == DO_POISON && fault->type == TLP_READ)
		return wrong_key(source, tlp, "type", "a read request has no data to poison");
	if (fault->deed == DO_IOMMU && fault->type == TLP_COMPLETION)
		return wrong_key(source, tlp, "type", "no IOMMU looks at completions");
	if (fault->deed == DO_IOMMU && fabric->iommu == P2PDMA_IOMMU_NONE)
		return wrong_key(source, object, "do",
		                 "\"iommu-fault\": needs an \"iommu\" that translates or passes "
		                 "through");
	return 0;
}

static int read_device(const struct source *source, const json_t *object, struct fabric *fabric,
                       struct fault *fault)
{
	bool is_port = fault->deed >= DO_LINK_DOWN && fault->deed <= DO_RETRAIN;
	bool is_on_tlp = fault->deed >= DO_DROP;
	int r = get_function(source, object, "device", fabric, &fault->device);

	if (r)
		return r;
	if (is_on_tlp && fault->device)
		return wrong_key(source, object, "device",
		                 "\"device\": only TLPs suffer this; see \"tlp\"");
	if (is_on_tlp && !fault->has_tlp)
		return wrong_key(source, object, "do",
		                 "\"do\": expected a \"tlp\" that suffers it");
	if (!is_on_tlp && !fault->device)
		return wrong_key(source, object, "do", "\"do\": expected a \"device\" to do it to");
	if (is_port && (!fault->device->below || fault->device->below->kind != SEGMENT_LINK))
		return wrong_key(source, object, "device",
		                 "\"device\": expected a root or downstream port");
	return 0;
}

static int read_fault(const struct source *source, const json_t *object, struct fabric *fabric,
                      struct fault *fault)
{
	static const char *const keys[] = { "at_ns",    "tlp",     "do", "device",
		                            "delay_ns", "down_us", NULL };
	size_t deed = SIZE_MAX;
	uint64_t delay_ns = 0, down_us = 10, at_ns = 0;
	int r;

	if ((r = only_keys(source, object, keys)) ||
	    (r = get_word(source, object, "do", deeds, &deed)) ||
	    (r = get_number(source, object, "at_ns", 0, MOST_NS, &at_ns)) ||
	    (r = get_number(source, object, "delay_ns", 1, MOST_NS, &delay_ns)) ||
	    (r = get_number(source, object, "down_us", 1, MOST_NS / 1000, &down_us)))
		return r;
	if (deed == SIZE_MAX)
		return wrong_key(source, object, NULL, "expected a \"do\"");
	if (!json_object_get(object, "at_ns") == !json_object_get(object, "tlp"))
		return wrong_key(source, object, NULL, "expected either \"at_ns\" or \"tlp\"");
	fault->deed = (enum deed)deed;
	if (!json_object_get(object, "delay_ns") != (fault->deed != DO_DELAY))
		return wrong_key(source, object, "delay_ns",
		                 "\"delay\" needs \"delay_ns\", and nothing else does");
	if (json_object_get(object, "down_us") && fault->deed != DO_RETRAIN)
		return wrong_key(source, object, "down_us", "\"down_us\": only of \"retrain\"");
	fault->at = at_ns * PS_PER_NS;
	fault->delay = (fault->deed == DO_DELAY ? delay_ns : down_us * 1000) * PS_PER_NS;
	if (json_object_get(object, "tlp"))
		r = read_tlp(source, object, fabric, fault);
	return r ? r : read_device(source, object, fabric, fault);
}

/* Reads one into a list's end. */
static int add_fault(const struct source *source, const json_t *object, struct fabric *fabric,
                     struct fault ***tail)
{
	struct fault *fault = calloc(1, sizeof(*fault));

	if (!fault)
		return source_out_of_memory(source);
	fault->type = ANY_TYPE;
	fault->nth = 1;
	put(*tail, fault);
	*tail = &fault->next;
	return read_fault(source, object, fabric, fault);
}

static int read_all(const struct source *source, const json_t *faults, struct fabric *fabric,
                    struct fault **tail)
{
	const json_t *object;
	size_t i;
	int r = 0;

	if (json_is_object(faults))
		return add_fault(source, faults, fabric, &tail);
	if (!json_is_array(faults))
		return wrong_key(source, faults, NULL, "expected a fault or an array of them");
	json_array_foreach(faults, i, object)
	{
		r = json_is_object(object)
		            ? add_fault(source, object, fabric, &tail)
		            : wrong_item(source, faults, i, "expected a fault: an object");
		if (r)
			break;
	}
	return r;
}

/* All or nothing, but for memory that runs out at the end. */
int fault_load(struct fabric *fabric, json_t *faults, const char *text, const char *name,
               struct p2pdma_error *err)
{
	const struct source source = { name, text, faults, "faults", err };
	struct fault *list = NULL, *fault, **script = &fabric->script;
	int r = read_all(&source, faults, fabric, &list);

	while (*script)
		script = &(*script)->next;
	while (!r && (fault = list)) {
		take(fault);
		if (fault->has_tlp) {
			put(script, fault);
			script = &fault->next;
		} else if (schedule(fabric, fault)) {
			free(fault);
			r = source_out_of_memory(&source);
		}
	}
	free_list(list);
	return r;
}

int p2pdma_sim_fault(struct p2pdma_sim *sim, const char *json, struct p2pdma_error *err)
{
	int saved = errno, r;
	json_error_t error;
	json_t *faults;

	errno = 0; /* jansson takes a failed allocation for a syntax error: only errno tells */
	faults = json_loads(json, JSON_REJECT_DUPLICATES, &error);
	r = faults ? 0 : errno == ENOMEM ? -ENOMEM : -EPROTO;
	errno = saved;
	if (r)
		return report(err, r, "faults:%d:%d: %.160s", error.line, error.column, error.text);
	pthread_mutex_lock(&sim->fabric->lock);
	r = fault_load(sim->fabric, faults, json, "faults", err);
	pthread_mutex_unlock(&sim->fabric->lock);
	json_decref(faults);
	return r;
}

size_t p2pdma_sim_faults_pending(struct p2pdma_sim *sim)
{
	size_t count = 0;

	pthread_mutex_lock(&sim->fabric->lock);
	for (const struct fault *fault = sim->fabric->script; fault; fault = fault->next)
		count++;
	for (const struct fault *fault = sim->fabric->scheduled; fault; fault = fault->next)
		count += !fault->is_half_done;
	pthread_mutex_unlock(&sim->fabric->lock);
	return count;
}
