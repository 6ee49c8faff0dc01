/* SPDX-License-Identifier: MIT */
/*
 * find.c - which provider serves all the clients, and why the others do not.
 */
#include <stdlib.h>
#include <string.h>

#include "app.h"

#define FEW_REFUSED 8

/* One provider seen from all clients. */
struct candidate {
	struct p2pdma_device *provider;
	enum p2pdma_answer answer;     /* the worst of all clients */
	enum p2pdma_answer kernel;     /* whether the kernel maps it for all clients */
	struct p2pdma_device *refuser; /* the first client with the worst of what counts */
	bool is_direct;                /* for all clients and all ops asked */
	long distance;                 /* sum; -1 when some is not known */
	struct p2pdma_bdf bdf;
};

static enum p2pdma_answer kernel_answer(struct p2pdma_route route)
{
	switch (route.map_type) {
	case P2PDMA_MAP_BUS_ADDR:
	case P2PDMA_MAP_THRU_HOST_BRIDGE:
		return P2PDMA_ANSWER_YES;
	case P2PDMA_MAP_NOT_SUPPORTED:
		return P2PDMA_ANSWER_NO;
	default:
		return P2PDMA_ANSWER_UNKNOWN;
	}
}

static void judge(const struct app *app, const struct selection *clients,
                  struct candidate *candidate)
{
	candidate->answer = candidate->kernel = P2PDMA_ANSWER_YES;
	candidate->is_direct = true;
	for (size_t i = 0; i < clients->count; i++) {
		struct p2pdma_route route =
			p2pdma_routes_pair(app->routes, candidate->provider, clients->devices[i]);
		enum p2pdma_answer answer = p2pdma_route_answer(route, app->op);
		enum p2pdma_answer kernel = kernel_answer(route);

		if (app->for_kernel ? kernel > candidate->kernel : answer > candidate->answer)
			candidate->refuser = clients->devices[i];
		if (answer > candidate->answer)
			candidate->answer = answer;
		if (kernel > candidate->kernel)
			candidate->kernel = kernel;
		if ((app->op & P2PDMA_OP_WRITE && route.write != P2PDMA_DIRECT) ||
		    (app->op & P2PDMA_OP_READ && route.read != P2PDMA_DIRECT))
			candidate->is_direct = false;
		if (route.distance < 0 || candidate->distance < 0)
			candidate->distance = -1;
		else
			candidate->distance += route.distance;
	}
}

/* What counts: the kernel's answer under --for kernel, else the wire's. */
static enum p2pdma_answer verdict_on(const struct app *app, const struct candidate *candidate)
{
	return app->for_kernel ? candidate->kernel : candidate->answer;
}

static bool is_accepted(const struct app *app, const struct candidate *candidate)
{
	return verdict_on(app, candidate) == P2PDMA_ANSWER_YES;
}

static int compare_bdf(struct p2pdma_bdf a, struct p2pdma_bdf b)
{
	if (a.domain != b.domain)
		return a.domain < b.domain ? -1 : 1;
	return (a.bus << 8 | a.devfn) - (b.bus << 8 | b.devfn);
}

static int compare_distance(const struct candidate *a, const struct candidate *b)
{
	if (a->distance != b->distance) /* not known: last */
		return (unsigned long)a->distance < (unsigned long)b->distance ? -1 : 1;
	return compare_bdf(a->bdf, b->bdf);
}

static int compare_for_kernel(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;

	if (a->kernel != b->kernel)
		return a->kernel < b->kernel ? -1 : 1;
	return compare_distance(a, b);
}

static int compare_for_wire(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;

	if (a->answer != b->answer)
		return a->answer < b->answer ? -1 : 1;
	if (a->is_direct != b->is_direct)
		return a->is_direct ? -1 : 1;
	return compare_distance(a, b);
}

/* The largest memory BAR, for people to choose by. */
static uint64_t largest_bar(const struct p2pdma_device *device)
{
	uint64_t largest = 0;
	struct p2pdma_bar bar;

	for (int i = 0; i < 6; i++)
		if (!p2pdma_device_bar(device, i, &bar) && bar.is_memory && bar.size > largest)
			largest = bar.size;
	return largest;
}

static bool has_memory_bar(const struct p2pdma_device *device)
{
	struct p2pdma_bar bar;

	for (int i = 0; i < 6; i++)
		if (!p2pdma_device_bar(device, i, &bar) && bar.is_memory)
			return true;
	return false;
}

static char *stop_sentence(const struct p2pdma_explanation *explanation, enum p2pdma_op op)
{
	for (size_t i = 0; i < explanation->hazard_count; i++)
		if (explanation->hazards[i].severity == P2PDMA_STOPS &&
		    explanation->hazards[i].ops & op)
			return hazard_sentence(&explanation->hazards[i]);
	return NULL;
}

static char *refusal(const struct app *app, const struct candidate *candidate)
{
	struct p2pdma_explanation *explanation;
	const struct p2pdma_why *why;
	char *text = NULL;

	if (!candidate->refuser || p2pdma_routes_explain(app->routes, candidate->provider,
	                                                 candidate->refuser, &explanation))
		return NULL;
	why = app->op == P2PDMA_OP_WRITE || (app->op == P2PDMA_OP_BOTH &&
	                                     explanation->route.write >= explanation->route.read)
	              ? &explanation->write
	              : &explanation->read;
	if (app->for_kernel)
		text = why_sentence(&explanation->kernel);
	else if (explanation->route.stops & app->op)
		text = stop_sentence(explanation, app->op);
	else
		text = why_sentence(why);
	p2pdma_explanation_free(explanation);
	return text;
}

static void print_accepted(const struct app *app, const struct candidate *candidate, bool is_tie)
{
	char bdf[BDF_TEXT], size[SIZE_TEXT], *name = device_name(candidate->provider);
	uint64_t bar = largest_bar(candidate->provider);

	printf("%s  %-12s distance %-3ld %6s  %s%s\n", bdf_text(candidate->provider, bdf),
	       app->for_kernel        ? "mappable"
	       : candidate->is_direct ? "direct"
	                              : "root-complex",
	       candidate->distance, bar ? size_text(bar, size) : "?", name ? name : "",
	       is_tie ? "  (tie)" : "");
	free(name);
}

static void print_refused(const struct app *app, const struct candidate *candidate)
{
	char provider[BDF_TEXT], client[BDF_TEXT], *why = refusal(app, candidate);
	const char *word = answer_text(verdict_on(app, candidate));

	printf("%s  %-7s for %s: %s\n", bdf_text(candidate->provider, provider), word,
	       candidate->refuser ? short_bdf_text(candidate->refuser, client) : "?",
	       why ? why : "");
	free(why);
}

static void print_text(const struct app *app, const struct candidate *candidates, size_t count)
{
	size_t accepted = 0, shown = 0;

	print_heading(app);
	for (; accepted < count && is_accepted(app, &candidates[accepted]); accepted++) {
		/* Among the nearest the kernel picks at random. */
		bool is_tie = app->for_kernel && count > 1 &&
		              candidates[accepted].distance == candidates[0].distance &&
		              candidates[1].distance == candidates[0].distance &&
		              is_accepted(app, &candidates[1]);

		print_accepted(app, &candidates[accepted], is_tie);
	}
	if (!accepted)
		printf("no provider serves all these clients\n");
	if (accepted < count)
		printf("\nnot these:\n");
	for (size_t i = accepted; i < count && (app->is_verbose || shown < FEW_REFUSED);
	     i++, shown++)
		print_refused(app, &candidates[i]);
	if (accepted + shown < count)
		printf("... and %zu more (-v)\n", count - accepted - shown);
}

static int print_json(const struct app *app, const struct candidate *candidates, size_t count)
{
	json_t *top = json_heading(app, "p2pdma-find"), *array = json_array();

	for (size_t i = 0; i < count; i++) {
		const struct candidate *candidate = &candidates[i];
		bool accepted = is_accepted(app, candidate);
		char *why = accepted ? NULL : refusal(app, candidate);

		json_array_append_new(
			array,
			json_pack("{s:o, s:b, s:s, s:b, s:s, s:o, s:o, s:s?}", "provider",
		                  json_bdf(candidate->provider), "accepted", accepted, "answer",
		                  answer_text(candidate->answer), "direct", candidate->is_direct,
		                  "kernel", answer_text(candidate->kernel), "distance",
		                  candidate->distance < 0 ? json_null()
		                                          : json_integer(candidate->distance),
		                  "refused_by",
		                  candidate->refuser && !accepted ? json_bdf(candidate->refuser)
		                                                  : json_null(),
		                  "why", why));
		free(why);
	}
	json_object_set_new(top, "for", json_string(app->for_kernel ? "kernel" : "wire"));
	json_object_set_new(top, "providers", array);
	return json_print(top);
}

/* Every function with a memory BAR may be a provider, bridges excepted. */
static int collect(struct app *app, const struct selection *clients,
                   struct candidate **ret_candidates, size_t *ret_count)
{
	size_t count = p2pdma_machine_device_count(app->machine), kept = 0;
	struct candidate *candidates = calloc(count, sizeof(*candidates));

	if (!candidates)
		return complain(EXIT_INPUT, "out of memory");
	for (size_t i = 0; i < count; i++) {
		struct p2pdma_device *device = p2pdma_machine_device(app->machine, i);
		struct p2pdma_device_info info = { .size = sizeof(info) };

		p2pdma_device_get_info(device, &info);
		if (info.header_type != 0 || info.class_code >> 16 == 0x06 ||
		    !has_memory_bar(device))
			continue;
		candidates[kept].provider = device;
		candidates[kept].bdf = info.bdf;
		judge(app, clients, &candidates[kept++]);
	}
	*ret_candidates = candidates;
	*ret_count = kept;
	return 0;
}

/* 0: found; 2: none, but some may; 1: none. */
static int exit_code(const struct app *app, const struct candidate *candidates, size_t count)
{
	int code = EXIT_NO;

	for (size_t i = 0; i < count; i++) {
		if (is_accepted(app, &candidates[i]))
			return EXIT_YES;
		if (verdict_on(app, &candidates[i]) != P2PDMA_ANSWER_NO)
			code = EXIT_UNKNOWN;
	}
	return code;
}

int verb_find(struct app *app)
{
	struct selection clients = { 0 };
	struct candidate *candidates = NULL;
	size_t count = 0;
	int r = 0;

	for (int i = 0; !r && i < app->argument_count; i++)
		r = select_argument(app, app->arguments[i], &clients);
	if (!r)
		r = collect(app, &clients, &candidates, &count);
	if (!r) {
		qsort(candidates, count, sizeof(*candidates),
		      app->for_kernel ? compare_for_kernel : compare_for_wire);
		if (app->is_json)
			r = print_json(app, candidates, count);
		else
			print_text(app, candidates, count);
	}
	if (!r)
		r = exit_code(app, candidates, count);
	free(candidates);
	select_done(&clients);
	return r;
}
