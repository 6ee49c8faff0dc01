/* SPDX-License-Identifier: MIT */
/*
 * check.c - one provider, some clients: the verdict and the evidence for it.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"

static const char *upper(const char *word, char text[32])
{
	size_t i;

	for (i = 0; word[i] && i < 31; i++)
		text[i] = (char)toupper((unsigned char)word[i]);
	text[i] = '\0';
	return text;
}

static void print_sentence(const char *key, const char *word, char *sentence)
{
	printf("  %-6s %s%s%s\n", key, word, sentence && *sentence ? "  " : "",
	       sentence ? sentence : "");
	free(sentence);
}

/* "same, for the request" when the read fails or passes for what the write does. */
static char *read_sentence(const struct p2pdma_explanation *explanation)
{
	const struct p2pdma_why *write = &explanation->write, *read = &explanation->read;
	const struct p2pdma_route route = explanation->route;

	if (route.write == P2PDMA_DIRECT || route.read != route.write ||
	    route.request < route.completion ||
	    !is_same_reason(&write->reasons[0], &read->reasons[0]))
		return why_sentence(read);
	if (route.completion == P2PDMA_TURN_ROOT)
		return strdup("same");
	return strdup("same, for the request");
}

static void print_path(const struct p2pdma_explanation *explanation, bool is_verbose)
{
	char text[BDF_TEXT];
	bool has_common = false;

	for (size_t i = 0; i < explanation->hop_count; i++)
		has_common |= explanation->hops[i].leg == P2PDMA_LEG_COMMON;
	printf("  path   ");
	for (size_t i = 0, printed = 0; i < explanation->hop_count; i++) {
		const struct p2pdma_hop *hop = &explanation->hops[i];

		/* Where a detour goes is told hop by hop only. */
		if (has_common && (hop->leg == P2PDMA_LEG_ABOVE || hop->leg == P2PDMA_LEG_ROOT))
			continue;
		printf("%s", printed++ ? " > " : "");
		if (hop->leg == P2PDMA_LEG_ROOT)
			printf("(root complex)");
		else if (hop->leg == P2PDMA_LEG_COMMON)
			printf("[%s]", short_bdf_text(hop->device, text));
		else
			printf("%s", short_bdf_text(hop->device, text));
	}
	printf("%s\n", is_verbose ? "" : "   (each hop with its bits under -v)");
}

static void print_hop(const struct p2pdma_hop *hop)
{
	const char *decides =
		hop->decides_request
			? hop->decides_completion ? ", decides both" : ", decides the request"
		: hop->decides_completion ? ", decides the completion"
					  : "";
	char bdf[BDF_TEXT], acs[ACS_TEXT];
	char *name;

	if (!hop->device) {
		printf("    %-12s root complex\n", "");
		return;
	}
	name = device_name(hop->device);
	printf("    %-12s %s%s: %s\n", short_bdf_text(hop->device, bdf), leg_text(hop->leg),
	       decides, name ? name : "");
	free(name);
	if (hop->acs.known == P2PDMA_YES)
		printf("    %-12s ACSCtl: %s\n", "", acs_bits_text(hop->acs.control, acs));
	else
		printf("    %-12s %s\n", "",
		       hop->acs.known == P2PDMA_NO ? "no ACS capability"
		                                   : "ACS unknown (not captured)");
}

static void print_address(const struct p2pdma_explanation *explanation)
{
	switch (explanation->space) {
	case P2PDMA_SPACE_NONE:
		printf("  address none: nothing to program\n");
		break;
	case P2PDMA_SPACE_BUS:
		printf("  address 0x%" PRIx64 " (bus address of BAR%d)\n",
		       explanation->range.bus.addr, explanation->bar);
		break;
	case P2PDMA_SPACE_IOVA:
		printf("  address an IOVA that the IOMMU maps to BAR%d at 0x%" PRIx64 "\n",
		       explanation->bar,
		       explanation->range.phys.addr ? explanation->range.phys.addr
		                                    : explanation->range.bus.addr);
		break;
	case P2PDMA_SPACE_UNKNOWN:
		if (!explanation->range.bus.addr) {
			printf("  address not known: where a VF's BAR%d begins takes its size, which was not captured\n",
			       explanation->bar);
			break;
		}
		printf("  address 0x%" PRIx64
		       " of BAR%d, or an IOVA for it: the IOMMU's mode was not recorded\n",
		       explanation->range.bus.addr, explanation->bar);
		break;
	}
}

static void print_verbose(const struct p2pdma_explanation *explanation)
{
	const struct p2pdma_trust *trust = &explanation->trust;
	char text[BDF_TEXT];

	for (size_t i = 0; i < explanation->hop_count; i++)
		print_hop(&explanation->hops[i]);
	print_address(explanation);
	if (trust->label) {
		printf("  trust  %s", trust->label);
		if (trust->since.major)
			printf(", since Linux %u.%u%s", trust->since.major, trust->since.minor,
			       trust->since_uncertain ? " (version not verified)" : "");
		printf(", %s\n", trust->source);
	}
	if (explanation->redirect_count) {
		printf("  the kernel counts as redirecting: ");
		for (size_t i = 0; i < explanation->redirect_count; i++)
			printf("%s%s", i ? ";" : "", bdf_text(explanation->redirects[i], text));
		printf("\n");
	}
	printf("  not judged: AtomicOps, TPH, IDE, CXL.mem\n");
}

static void print_hazards(const struct app *app, const struct p2pdma_explanation *explanation)
{
	static const char *const words[] = { "stops", "slows", "note" };

	for (size_t i = 0; i < explanation->hazard_count; i++) {
		const struct p2pdma_hazard *hazard = &explanation->hazards[i];
		char *sentence;

		/* The heading says what the IOMMU does. */
		if (hazard->code == P2PDMA_HAZARD_IOMMU ||
		    (hazard->severity == P2PDMA_NOTED && !app->is_verbose))
			continue;
		sentence = hazard_sentence(hazard);
		printf("  %-6s %s\n", words[hazard->severity], sentence ? sentence : "");
		free(sentence);
	}
}

static void print_kernel(const struct app *app, const struct p2pdma_explanation *explanation)
{
	const struct p2pdma_route route = explanation->route;
	const struct p2pdma_why *why = &explanation->kernel;
	char *sentence;

	printf("  kernel %s, distance ", map_type_text(route.map_type));
	if (route.distance < 0)
		printf("not known\n");
	else
		printf("%d\n", route.distance);
	if (!app->is_verbose || !why->count)
		return;
	sentence = why_sentence(why);
	printf("         %s\n", sentence ? sentence : "");
	free(sentence);
}

static void print_text(const struct app *app, struct p2pdma_device *provider,
                       struct p2pdma_device *client, const struct p2pdma_explanation *explanation,
                       bool is_first)
{
	static const char *const iommu_words[] = { "IOMMU not recorded", "no IOMMU",
		                                   "IOMMU passthrough", "IOMMU translated" };
	enum p2pdma_answer answer = p2pdma_route_answer(explanation->route, app->op);
	struct p2pdma_device_info info = { .size = sizeof(info) };
	const struct p2pdma_profile profile = app->routes_info.profile;
	char provider_bdf[BDF_TEXT], client_bdf[BDF_TEXT], bar[16] = "", word[32];

	p2pdma_device_get_info(client, &info);
	if (explanation->bar >= 0)
		snprintf(bar, sizeof(bar), " BAR%d", explanation->bar);
	printf("%s%s (client) -> %s%s (provider)   Linux %u.%u%s, %s\n", is_first ? "" : "\n",
	       bdf_text(client, client_bdf), bdf_text(provider, provider_bdf), bar, profile.major,
	       profile.minor,
	       strcmp(app->routes_info.profile_source, "default") != 0 ? "" : " (default)",
	       iommu_words[info.iommu]);
	printf("  answer %s\n", color_answer(app, answer, upper(answer_text(answer), word)));
	if (app->op & P2PDMA_OP_WRITE)
		print_sentence("write", upper(verdict_text(explanation->route.write), word),
		               why_sentence(&explanation->write));
	if (app->op & P2PDMA_OP_READ)
		print_sentence("read", upper(verdict_text(explanation->route.read), word),
		               app->op & P2PDMA_OP_WRITE ? read_sentence(explanation)
		                                         : why_sentence(&explanation->read));
	print_kernel(app, explanation);
	print_hazards(app, explanation);
	print_path(explanation, app->is_verbose);
	if (app->is_verbose)
		print_verbose(explanation);
}

static json_t *json_why(const struct p2pdma_why *why)
{
	json_t *array = json_array();

	for (size_t i = 0; i < why->count; i++) {
		const struct p2pdma_reason *reason = &why->reasons[i];

		json_array_append_new(
			array, json_pack("{s:s, s:o, s:I}", "code", reason_text(reason->code), "at",
		                         reason->device ? json_bdf(reason->device) : json_null(),
		                         "arg", (json_int_t)reason->arg));
	}
	return array;
}

static json_t *json_hops(const struct p2pdma_explanation *explanation)
{
	json_t *array = json_array();

	for (size_t i = 0; i < explanation->hop_count; i++) {
		const struct p2pdma_hop *hop = &explanation->hops[i];
		json_t *acs = json_null();

		if (hop->device && hop->acs.known == P2PDMA_YES)
			acs = json_pack("{s:i, s:i}", "capability", hop->acs.capability, "control",
			                hop->acs.control);
		else if (hop->device)
			acs = json_string(hop->acs.known == P2PDMA_NO ? "absent" : "unknown");
		json_array_append_new(array,
		                      json_pack("{s:o, s:s, s:b, s:b, s:o}", "device",
		                                hop->device ? json_bdf(hop->device) : json_null(),
		                                "leg", leg_text(hop->leg), "decides_request",
		                                hop->decides_request, "decides_completion",
		                                hop->decides_completion, "acs", acs));
	}
	return array;
}

static json_t *json_all_hazards(const struct p2pdma_explanation *explanation)
{
	static const char *const severities[] = { "stops", "slows", "noted" };
	json_t *array = json_array();

	for (size_t i = 0; i < explanation->hazard_count; i++) {
		const struct p2pdma_hazard *hazard = &explanation->hazards[i];

		json_array_append_new(array, json_pack("{s:s, s:s, s:o, s:b, s:b, s:I, s:I}",
		                                       "code", hazard_text(hazard->code),
		                                       "severity", severities[hazard->severity],
		                                       "at", json_bdf(hazard->device), "write",
		                                       !!(hazard->ops & P2PDMA_OP_WRITE), "read",
		                                       !!(hazard->ops & P2PDMA_OP_READ), "value",
		                                       (json_int_t)hazard->value, "limit",
		                                       (json_int_t)hazard->limit));
	}
	return array;
}

static json_t *json_hex(uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	return json_string(text);
}

static json_t *json_trust(const struct p2pdma_trust *trust)
{
	char since[16];

	if (!trust->label)
		return json_null();
	snprintf(since, sizeof(since), "%u.%u", trust->since.major, trust->since.minor);
	return json_pack("{s:s, s:o, s:b, s:s}", "label", trust->label, "since",
	                 trust->since.major ? json_string(since) : json_null(), "since_uncertain",
	                 trust->since_uncertain, "source", trust->source);
}

static json_t *json_evidence(const struct app *app, struct p2pdma_device *provider,
                             struct p2pdma_device *client,
                             const struct p2pdma_explanation *explanation)
{
	json_t *pair = json_pair(app, provider, client, explanation);
	json_t *redirects = json_array();

	for (size_t i = 0; i < explanation->redirect_count; i++)
		json_array_append_new(redirects, json_bdf(explanation->redirects[i]));
	json_object_set_new(pair, "why",
	                    json_pack("{s:o, s:o, s:o}", "kernel", json_why(&explanation->kernel),
	                              "write", json_why(&explanation->write), "read",
	                              json_why(&explanation->read)));
	json_object_set_new(pair, "hops", json_hops(explanation));
	json_object_set_new(pair, "hazards", json_all_hazards(explanation));
	json_object_set_new(pair, "redirects", redirects);
	json_object_set_new(pair, "bar",
	                    explanation->bar < 0 ? json_null() : json_integer(explanation->bar));
	json_object_set_new(pair, "address",
	                    json_pack("{s:s, s:o, s:o}", "space", space_text(explanation->space),
	                              "bus", json_hex(explanation->range.bus.addr), "size",
	                              json_hex(explanation->range.size)));
	json_object_set_new(pair, "trust", json_trust(&explanation->trust));
	return pair;
}

static bool lacks_acs(const struct p2pdma_explanation *explanation)
{
	for (size_t i = 0; i < explanation->hop_count; i++)
		if (explanation->hops[i].device && explanation->hops[i].acs.known == P2PDMA_UNKNOWN)
			return true;
	return false;
}

/* What holds for all pairs, said once. */
static void print_notes(const struct app *app, enum p2pdma_answer worst, bool is_acs_unknown)
{
	if (worst == P2PDMA_ANSWER_UNKNOWN && app->routes_info.cpu == P2PDMA_CPU_AUTO &&
	    !app->routes_info.virtual_machine)
		printf("the CPU was not recorded; an AMD Zen or later would be trusted: --cpu tells\n");
	if (is_acs_unknown && privilege_hint(app))
		printf("%s\n", privilege_hint(app));
	print_kernel_note(app);
	if (app->routes_info.profile_known == P2PDMA_NO)
		printf("kernel verdicts before Linux 6.0 are not known: --profile linux-7.2 asks for another\n");
}

int verb_check(struct app *app)
{
	struct selection providers = { 0 }, clients = { 0 };
	enum p2pdma_answer worst = P2PDMA_ANSWER_YES;
	bool is_acs_unknown = false;
	json_t *pairs = NULL;
	int r = select_argument(app, app->arguments[0], &providers);

	if (!r && providers.count != 1)
		r = complain(EXIT_USAGE, "%s: names %zu functions; the provider must be one",
		             app->arguments[0], providers.count);
	for (int i = 1; !r && i < app->argument_count; i++)
		r = select_argument(app, app->arguments[i], &clients);
	if (app->is_json)
		pairs = json_array();
	for (size_t i = 0; !r && i < clients.count; i++) {
		struct p2pdma_device *provider = providers.devices[0], *client = clients.devices[i];
		struct p2pdma_explanation *explanation;
		enum p2pdma_answer answer;

		r = p2pdma_routes_explain(app->routes, provider, client, &explanation);
		if (r) {
			r = complain(EXIT_INPUT, "%s", strerror(-r));
			break;
		}
		answer = p2pdma_route_answer(explanation->route, app->op);
		worst = answer > worst ? answer : worst;
		is_acs_unknown |= lacks_acs(explanation);
		if (pairs)
			json_array_append_new(pairs,
			                      json_evidence(app, provider, client, explanation));
		else
			print_text(app, provider, client, explanation, !i);
		p2pdma_explanation_free(explanation);
	}
	select_done(&providers);
	select_done(&clients);
	if (!r && pairs) {
		json_t *top = json_heading(app, "p2pdma-check");

		json_object_set(top, "pairs", pairs);
		r = json_print(top);
	} else if (!r) {
		print_notes(app, worst, is_acs_unknown);
	}
	json_decref(pairs);
	if (r)
		return r;
	return worst == P2PDMA_ANSWER_YES  ? EXIT_YES
	       : worst == P2PDMA_ANSWER_NO ? EXIT_NO
	                                   : EXIT_UNKNOWN;
}
