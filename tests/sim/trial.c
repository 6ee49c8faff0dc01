/* SPDX-License-Identifier: MIT */
/* trial.c - a claim, and the DMA that shows whether it is kept. */
#include "trial.h"

#define MAX_REPORTS 20

static const char *const claim_names[] = { "no claim", "arrives", "never arrives", "by policy" };

const struct p2pdma_why *trial_why(const struct trial *t)
{
	return t->op == P2PDMA_OP_WRITE ? &t->e->write : &t->e->read;
}

const struct p2pdma_reason *trial_reason(const struct trial *t, enum p2pdma_reason_code code)
{
	const struct p2pdma_why *why = trial_why(t);

	for (size_t i = 0; i < why->count; i++)
		if (why->reasons[i].code == code)
			return &why->reasons[i];
	return NULL;
}

/* ---- the claim ---- */

/* Direct Translated P2P lets translated requests past redirect and egress control (6.12.3). */
static bool goes_past(const struct trial *t)
{
	const struct p2pdma_reason *reason = &t->e->write.reasons[0];

	return t->is_translated &&
	       (reason->code == P2PDMA_REASON_REQ_REDIR || reason->code == P2PDMA_REASON_EGRESS) &&
	       (t->e->route.request == P2PDMA_TURN_REDIRECT ||
	        t->e->route.request == P2PDMA_TURN_BLOCKED) &&
	       p2pdma_device_acs(reason->device).control & P2PDMA_ACS_DIRECT_TRANS;
}

static void make_claim(struct trial *t)
{
	const struct p2pdma_route *route = &t->e->route;

	t->verdict = t->op == P2PDMA_OP_WRITE ? route->write : route->read;
	t->request = route->request;
	t->claim = NO_CLAIM;
	/* These two speak of translated requests only, for the pair's sake. */
	if (t->e->write.reasons[0].code == P2PDMA_REASON_TRANS_BLK) {
		t->claim = t->is_translated && t->verdict == P2PDMA_BLOCKED ? NEVER : NO_CLAIM;
	} else if (goes_past(t)) {
		t->request = P2PDMA_TURN_DIRECT;
		if (route->stops & t->op || t->verdict == P2PDMA_VERDICT_UNKNOWN)
			return;
		if (t->op == P2PDMA_OP_WRITE || route->completion == P2PDMA_TURN_DIRECT)
			t->claim = ARRIVES;
		else if (t->verdict == P2PDMA_ROOT_COMPLEX)
			t->claim = BY_POLICY;
	} else if (t->e->write.reasons[0].code == P2PDMA_REASON_BRIDGE_TARGET) {
		return; /* nor are its hazards judged */
	} else if (route->stops & t->op) {
		t->claim = NEVER;
	} else if (t->verdict == P2PDMA_DIRECT) {
		t->claim = ARRIVES;
	} else if (t->verdict == P2PDMA_BLOCKED) {
		t->claim = NEVER;
	} else if (t->verdict == P2PDMA_ROOT_COMPLEX) {
		t->claim = BY_POLICY;
	}
}

/* ---- doing it ---- */

static void fill(const struct trial *t, uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i += 8) {
		uint64_t value = random_next(t->c->random);

		memcpy(bytes + i, &value, length - i < 8 ? length - i : 8);
	}
}

/* The provider's memory is looked at behind the fabric's back. */
static void run(struct trial *t)
{
	static uint8_t before[PROBE_BYTES], expected[DMA_BYTES];
	struct lab *lab = t->c->lab;
	uint8_t *there = t->memory ? t->memory->memory + t->address % PROBE_BYTES : NULL;

	fill(t, t->bytes, t->length);
	if (there) {
		fill(t, there, t->length);
		memcpy(before, t->memory->memory, sizeof(before));
		memcpy(expected, t->op == P2PDMA_OP_WRITE ? t->bytes : there, t->length);
	}
	lab_skip_events(lab);
	t->outcome =
		(t->is_translated ? lab_dma_translated : lab_dma)(lab, t->client_bdf, t->op,
	                                                          t->address, t->length, t->bytes);
	t->c->tally->dmas++;
	t->c->tally->translated += t->is_translated;
	if (!there)
		t->has_same_bytes = t->outcome.fate == P2PDMA_SIM_ARRIVED;
	else if (t->op == P2PDMA_OP_WRITE)
		t->has_same_bytes = !memcmp(there, expected, t->length);
	else
		t->has_same_bytes = !memcmp(t->bytes, expected, t->length);
	/* Not a byte where none may go. */
	if (t->claim == NEVER && there && memcmp(before, t->memory->memory, sizeof(before)) != 0)
		t->has_same_bytes = true;
}

/* A write ends at the provider, a read back at the client. */
static bool has_arrived(const struct trial *t)
{
	struct p2pdma_bdf end = t->op == P2PDMA_OP_WRITE ? t->provider_bdf : t->client_bdf;

	return t->outcome.fate == P2PDMA_SIM_ARRIVED && lab_same(t->outcome.at, end) &&
	       t->outcome.bytes == t->length && t->has_same_bytes;
}

static bool only_payload_stops(const struct trial *t)
{
	for (size_t i = 0; i < t->e->hazard_count; i++)
		if (t->e->hazards[i].severity == P2PDMA_STOPS && t->e->hazards[i].ops & t->op &&
		    t->e->hazards[i].code != P2PDMA_HAZARD_MPS)
			return false;
	return true;
}

/* Where addresses overlap somebody else may have taken it. */
static bool has_reached_provider(const struct trial *t)
{
	if (t->outcome.fate != P2PDMA_SIM_ARRIVED)
		return false;
	if (t->op == P2PDMA_OP_WRITE)
		return lab_same(t->outcome.at, t->provider_bdf);
	return !t->c->has_overlaps || (t->memory && t->has_same_bytes);
}

static const char *check_never(struct trial *t)
{
	bool agrees = true, is_found = false;

	/* Where addresses overlap it may come by a root complex that the evidence does not list. */
	if (t->verdict != P2PDMA_BLOCKED && (way_splits(t) || t->c->has_overlaps) &&
	    only_payload_stops(t)) {
		t->c->tally->beyond++;
		return NULL;
	}
	if (has_reached_provider(t))
		return "arrived";
	if (t->has_same_bytes && (t->memory || !t->c->has_overlaps))
		return "left bytes behind";
	if (t->e->route.stops & t->op)
		t->c->tally->stopped++;
	else
		t->c->tally->blocked++;
	if (t->c->has_overlaps)
		return NULL;
	if (t->outcome.fate == P2PDMA_SIM_NOT_SENT)
		return blame_client(t) ? NULL : "was not sent";
	if (t->e->route.request == P2PDMA_TURN_UNKNOWN ||
	    t->e->route.completion == P2PDMA_TURN_UNKNOWN)
		return NULL;
	is_found = blame_is_as_named(t, &agrees);
	t->c->tally->logged += is_found;
	if (!is_found)
		return "was not logged where the evidence says";
	return agrees ? NULL : "is not in AER";
}

static const char *check_policy(struct trial *t)
{
	if (!way_reaches_root(t))
		return "did not reach a root complex";
	if (way_is_allowed(t)) {
		t->c->tally->forwarded++;
		if (!has_arrived(t))
			return "did not arrive, though the policy forwards it";
		return way_is_as_listed(t) ? NULL : "took another way";
	}
	t->c->tally->refused++;
	if (has_arrived(t) || t->has_same_bytes)
		return "arrived, though the policy refuses it";
	if (blame_root(t))
		return NULL;
	return "was not logged by the root complex";
}

static const char *check_arrives(struct trial *t)
{
	t->c->tally->arrived++;
	if (!has_arrived(t))
		return "did not arrive";
	if (!blame_nobody(t))
		return "arrived, but the log tells of trouble";
	return way_is_as_listed(t) ? NULL : "took another way";
}

static void print_trial(const struct trial *t, const char *wrong)
{
	const struct p2pdma_route *r = &t->e->route;
	struct p2pdma_sim_event event;
	struct lab *lab = t->c->lab;

	printf("seed %" PRIu64 ": %s%s %s -> %s %#" PRIx64 ": %s, but it %s\n", t->c->seed,
	       t->is_translated ? "translated " : "", t->op == P2PDMA_OP_WRITE ? "write" : "read",
	       lab_text(t->client_bdf), lab_text(t->provider_bdf), t->address,
	       claim_names[t->claim], wrong);
	printf("    verdict: write %d read %d request %d completion %d stops %d\n", r->write,
	       r->read, r->request, r->completion, r->stops);
	for (size_t i = 0; i < trial_why(t)->count; i++)
		printf("    reason %d at %s\n", trial_why(t)->reasons[i].code,
		       trial_why(t)->reasons[i].device
		               ? lab_text(lab_bdf(trial_why(t)->reasons[i].device))
		               : "-");
	for (size_t i = 0; i < t->e->hazard_count; i++)
		if (t->e->hazards[i].severity == P2PDMA_STOPS)
			printf("    hazard %d ops %d at %s\n", t->e->hazards[i].code,
			       t->e->hazards[i].ops, lab_text(lab_bdf(t->e->hazards[i].device)));
	printf("    outcome: fate %d status %d at %s, %" PRIu64 " of %zu bytes%s\n",
	       t->outcome.fate, t->outcome.status, lab_text(t->outcome.at), t->outcome.bytes,
	       t->length, t->has_same_bytes ? ", the right ones" : "");
	way_print(t);
	for (uint64_t i = lab->event > 6 ? lab->event - 6 : 0;
	     !p2pdma_sim_event(lab->sim, i, &event); i++)
		printf("    event %s at %s requester %s %#" PRIx64 "\n",
		       p2pdma_sim_event_text(event.kind), lab_text(event.at),
		       lab_text(event.requester), event.address);
}

void trial_run(struct trial *t)
{
	const char *wrong = NULL;

	make_claim(t);
	run(t);
	switch (t->claim) {
	case NO_CLAIM:
		t->c->tally->unclaimed++;
		break;
	case ARRIVES:
		wrong = check_arrives(t);
		break;
	case NEVER:
		wrong = check_never(t);
		break;
	case BY_POLICY:
		wrong = check_policy(t);
		break;
	}
	lab_skip_events(t->c->lab);
	if (wrong && t->c->tally->mismatches++ < MAX_REPORTS)
		print_trial(t, wrong);
}
