/* SPDX-License-Identifier: MIT */
/*
 * model.c - what models call: parameters, BARs, DMA, timers.
 *
 * A model whose call finds no memory left hangs, as a device does whose firmware has run out of it:
 * its driver's timeouts and a reset are the way out.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fabric.h"
#include "report.h"

#define LEAST_BAR 4096
#define MOST_BAR  (1ull << 44)
/* Bytes of a function's writes that links and switches hold before they push back. */
#define POSTED_CREDITS (256u << 10)
#define PS_PER_BYTE    16 /* of the fastest link it may be stuck behind, gen5 x16 */

/* A timer, or a read under way; it ends silently when the function was reset since. */
struct pending {
	struct pending *next, **link;
	struct p2pdma_function *function;
	uint32_t epoch;
	uint64_t cookie;
};

const struct p2pdma_model *model_at(const struct p2pdma_model *const *own, size_t index)
{
	static const struct p2pdma_model *const built_in[] = { &mem_model, &dma_model,
		                                               &accel_model };
	const size_t count = sizeof(built_in) / sizeof(built_in[0]);

	if (index < count)
		return built_in[index];
	if (!own)
		return NULL;
	for (index -= count; index && *own; index--)
		own++;
	return *own;
}

const struct p2pdma_model *model_find(const struct fabric *fabric, const char *name)
{
	const struct p2pdma_model *model = NULL;

	for (size_t i = 0; (model = model_at(fabric->own_models, i)); i++)
		if (!strcmp(model->name, name))
			break;
	return model;
}

/* ---- parameters ---- */

/* Remembers that it was asked for; NULL: the file does not have it. */
static const json_t *ask(struct p2pdma_function *function, const char *name)
{
	const json_t *value = json_object_get(function->params, name);

	if (value && json_object_set_new(function->params_used, name, json_true())) {
		json_decref(function->params_used);
		function->params_used = NULL; /* out of memory, as check_params() will find */
	}
	return value;
}

/* 5, "5" or "64M" */
static bool is_number(const json_t *value, uint64_t *ret_number)
{
	static const char units[] = "KMGT";
	const char *text = json_string_value(value), *unit;
	uint64_t number = 0;
	char *end;

	if (json_is_integer(value)) {
		*ret_number = (uint64_t)json_integer_value(value);
		return json_integer_value(value) >= 0;
	}
	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (errno || (*end && (!unit || end[1])))
		return false;
	for (const char *u = units; unit && u <= unit; u++)
		if (__builtin_mul_overflow(number, 1024, &number))
			return false;
	*ret_number = number;
	return true;
}

uint64_t p2pdma_model_param(struct p2pdma_function *function, const char *name, uint64_t fallback)
{
	const json_t *value = ask(function, name);
	uint64_t number = fallback;

	if (value && !is_number(value, &number))
		function->bad_param = name;
	return number;
}

const char *p2pdma_model_param_text(struct p2pdma_function *function, const char *name)
{
	const json_t *value = ask(function, name);

	if (value && !json_is_string(value))
		function->bad_param = name;
	return json_string_value(value);
}

/* ---- making one ---- */

void p2pdma_model_set_id(struct p2pdma_function *function, uint16_t vendor, uint16_t device,
                         uint32_t class_code)
{
	if (function->is_captured)
		return;
	put16(function->config + 0x00, vendor);
	put16(function->config + 0x02, device);
	function->config[0x09] = (uint8_t)class_code;
	put16(function->config + 0x0a, (uint16_t)(class_code >> 8));
}

/* What the capture says of the BAR holds; what it does not know is the model's to say. */
static int fit_captured(struct p2pdma_function *function, int bar, uint64_t *size)
{
	struct bar *range = &function->bars[bar];

	if (range->kind == BAR_NONE || range->kind == BAR_IO || range->is_models)
		return -EINVAL;
	if (!*size)
		*size = range->size;
	if ((range->size && range->size != *size) || function_bar_base(function, bar) & (*size - 1))
		return -EINVAL;
	return 0;
}

static int fit_new(const struct p2pdma_function *function, int bar)
{
	const struct bar *bars = function->bars;

	if (bar + 1 >= BAR_COUNT || bars[bar].kind != BAR_NONE || bars[bar + 1].kind != BAR_NONE ||
	    (bar && bars[bar - 1].kind != BAR_NONE && bars[bar - 1].is_64bit))
		return -EINVAL;
	return 0;
}

static int add_bar(struct p2pdma_function *function, int bar, uint64_t size, enum bar_kind kind,
                   bool is_prefetchable)
{
	struct bar *range;
	int r;

	if (bar < 0 || bar >= BAR_COUNT)
		return -EINVAL;
	range = &function->bars[bar];
	r = function->is_captured ? fit_captured(function, bar, &size) : fit_new(function, bar);
	if (r || size < LEAST_BAR || size > MOST_BAR || size & (size - 1))
		return -EINVAL;
	if (!function->is_captured) {
		range->is_64bit = true;
		range->is_prefetchable = is_prefetchable;
	}
	if (range->kind == BAR_VECTORS)
		range->beside = kind; /* a captured one, which add_vectors has found */
	else
		range->kind = kind;
	range->size = size;
	range->is_models = true;
	return 0;
}

int p2pdma_model_add_memory(struct p2pdma_function *function, int bar, uint64_t size, void *memory)
{
	int r = add_bar(function, bar, size, BAR_MEMORY, true);

	if (!r && memory)
		function->bars[bar].memory = memory;
	return r;
}

int p2pdma_model_add_registers(struct p2pdma_function *function, int bar, uint64_t size)
{
	return add_bar(function, bar, size, BAR_REGISTERS, false);
}

/* Table and pending bits stay where they are (PCIe Base 7.7.2), maybe in a BAR the model has. */
static int add_captured_vectors(struct p2pdma_function *function, unsigned int count)
{
	const uint8_t *msix = function->config + function->at.msix;
	unsigned int size = (get16(msix + 2) & 0x7ffu) + 1;
	int bars[] = { get32(msix + 4) & 0x7, get32(msix + 8) & 0x7 };

	if (!function->at.msix || count > size)
		return -EINVAL;
	for (int i = 0; i < 2; i++)
		if (bars[i] >= BAR_COUNT || function->bars[bars[i]].kind == BAR_NONE ||
		    function->bars[bars[i]].kind == BAR_IO)
			return -EINVAL;
	for (int i = 0; i < 2; i++) {
		struct bar *range = &function->bars[bars[i]];

		if (range->kind == BAR_VECTORS)
			continue;
		range->beside = range->is_models ? range->kind : BAR_NONE;
		range->kind = BAR_VECTORS;
	}
	return vectors_new(function, size);
}

int p2pdma_model_add_vectors(struct p2pdma_function *function, unsigned int count, int bar)
{
	uint64_t size = LEAST_BAR;
	int r;

	if (!count || count > 2048 || function->vectors)
		return -EINVAL;
	if (function->is_captured)
		return add_captured_vectors(function, count);
	while (size < 2 * 16ull * count)
		size *= 2;
	r = add_bar(function, bar, size, BAR_VECTORS, false);
	return r ? r : vectors_new(function, count);
}

/* The first parameter that nobody asked for, or NULL. */
static const char *unused_param(const struct p2pdma_function *function)
{
	const char *key;
	json_t *value;

	json_object_foreach(function->params, key, value)
	{
		if (!json_object_get(function->params_used, key))
			return key;
	}
	return NULL;
}

/* After create: none is left, and none was not what was asked for. */
static int check_params(const struct p2pdma_function *function, const char *name,
                        struct p2pdma_error *err)
{
	const char *key = unused_param(function);

	if (!function->params_used)
		return report(err, -ENOMEM, "out of memory");
	if (function->bad_param)
		return report(err, -EPROTO,
		              "model \"%.64s\": \"%.64s\" is not what it takes; a number may be "
		              "written 65536 or \"64K\"",
		              name, function->bad_param);
	return key ? report(err, -EPROTO, "model \"%.64s\" has no parameter \"%.64s\"", name, key)
	           : 0;
}

int model_attach(struct p2pdma_function *function, const struct p2pdma_model *model,
                 struct p2pdma_error *err)
{
	struct p2pdma_error own = { "" };
	const char *key;
	int r;

	if (model->size < sizeof(*model) || !model->create)
		return report(err, -EINVAL,
		              "model \"%.64s\" is of another version, or cannot create",
		              model->name);
	json_decref(function->params_used);
	function->params_used = json_object();
	if (!function->params_used)
		return report(err, -ENOMEM, "out of memory");
	function->model = model;
	r = model->create(function, &own, &function->state);
	if (r)
		function->model = NULL; /* nothing to destroy */
	if (r == -ENOMEM)
		return report(err, r, "out of memory");
	key = unused_param(function);
	if (r && !function->bad_param)
		return report(err, r == -EINVAL ? -EPROTO : r, "model \"%.64s\": %.300s%s%.64s%s",
		              model->name, own.text[0] ? own.text : strerror(-r),
		              key ? "; it did not ask for \"" : "", key ? key : "",
		              key ? "\"" : "");
	return check_params(function, model->name, err);
}

void model_detach(struct p2pdma_function *function)
{
	struct pending *pending;

	if (function->model && function->model->destroy)
		function->model->destroy(function->state);
	function->model = NULL;
	function->state = NULL;
	for (int i = 0; i < BAR_COUNT; i++)
		if (!function->bars[i].is_mapped)
			function->bars[i].memory = NULL; /* it was the model's */
	while ((pending = function->pending)) {
		function->pending = pending->next;
		free(pending);
	}
	vectors_free(function);
	json_decref(function->params_used);
	function->params_used = NULL;
}

void model_reset(struct p2pdma_function *function, enum p2pdma_model_reset why)
{
	vectors_reset(function);
	if (function->model && function->model->reset)
		function->model->reset(function->state, why);
}

/* ---- what a model does ---- */

static struct pending *pending_new(struct p2pdma_function *function, uint64_t cookie)
{
	struct pending *pending = malloc(sizeof(*pending));

	if (!pending) {
		function->is_hung = true;
		return NULL;
	}
	*pending = (struct pending){
		.next = function->pending,
		.link = &function->pending,
		.function = function,
		.epoch = function->epoch,
		.cookie = cookie,
	};
	if (pending->next)
		pending->next->link = &pending->next;
	function->pending = pending;
	return pending;
}

/* NULL: it is not to be told. */
static struct p2pdma_function *pending_end(struct pending *pending, uint64_t *ret_cookie)
{
	struct p2pdma_function *function = pending->function;
	bool is_told = pending->epoch == function->epoch && !function->is_hung;

	*ret_cookie = pending->cookie;
	*pending->link = pending->next;
	if (pending->next)
		pending->next->link = pending->link;
	free(pending);
	return is_told ? function : NULL;
}

static void read_done(struct fabric *fabric, void *arg, uint64_t cookie,
                      enum p2pdma_dma_status status)
{
	struct p2pdma_function *function = pending_end(arg, &cookie);

	(void)fabric;
	if (function && function->model->read_done)
		function->model->read_done(function->state, cookie, status);
}

void p2pdma_model_read(struct p2pdma_function *function, uint64_t address, size_t length,
                       void *buffer, uint64_t cookie)
{
	struct pending *pending = pending_new(function, cookie);

	if (pending && requester_read(function, address, length, buffer, AT_UNTRANSLATED, NULL,
	                              read_done, pending, 0)) {
		pending_end(pending, &cookie);
		function->is_hung = true;
	}
}

void p2pdma_model_write(struct p2pdma_function *function, uint64_t address, size_t length,
                        const void *bytes)
{
	if (requester_write(function, address, length, bytes, AT_UNTRANSLATED, NULL) == -ENOMEM)
		function->is_hung = true;
}

uint64_t p2pdma_model_backlog(const struct p2pdma_function *function)
{
	uint64_t now = function->fabric->now, free_at = function->home->up.free_at;
	uint64_t behind = free_at > now ? free_at - now : 0, stuck = 0;

	/* The link may be faster than what is behind it. */
	if (function->posted > POSTED_CREDITS)
		stuck = (function->posted - POSTED_CREDITS) * PS_PER_BYTE;
	return ((behind > stuck ? behind : stuck) + PS_PER_NS - 1) / PS_PER_NS;
}

void p2pdma_model_interrupt(struct p2pdma_function *function, unsigned int vector)
{
	vectors_raise(function, vector);
}

static void timer_ends(struct fabric *fabric, void *arg)
{
	uint64_t cookie;
	struct p2pdma_function *function = pending_end(arg, &cookie);

	(void)fabric;
	if (function && function->model->timer)
		function->model->timer(function->state, cookie);
}

void p2pdma_model_timer(struct p2pdma_function *function, uint64_t delay, uint64_t cookie)
{
	const struct fabric *fabric = function->fabric;
	struct pending *pending = pending_new(function, cookie);
	uint64_t when;

	if (!pending)
		return;
	if (__builtin_mul_overflow(delay, PS_PER_NS, &when) ||
	    __builtin_add_overflow(when, fabric->now, &when))
		when = NEVER - 1;
	if (clock_at(function->fabric, when, timer_ends, pending)) {
		pending_end(pending, &cookie);
		function->is_hung = true;
	}
}

uint64_t p2pdma_model_now(const struct p2pdma_function *function)
{
	return function->fabric->now / PS_PER_NS;
}

const uint8_t *p2pdma_model_config(const struct p2pdma_function *function)
{
	return function->config;
}
