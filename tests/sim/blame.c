/* SPDX-License-Identifier: MIT */
/* blame.c - who logged that a TLP was refused, held against whom the evidence names. */
#include "trial.h"

static bool is_on_path(const struct trial *t, struct p2pdma_bdf bdf)
{
	const struct p2pdma_device *at;

	for (at = t->client; at; at = p2pdma_device_parent(at))
		if (lab_same(lab_bdf(at), bdf))
			return true;
	for (at = t->provider; at; at = p2pdma_device_parent(at))
		if (lab_same(lab_bdf(at), bdf))
			return true;
	return false;
}

static bool is_root(const struct trial *t, struct p2pdma_bdf bdf)
{
	return lab_same(bdf, p2pdma_device_root_bus(t->client)) ||
	       lab_same(bdf, p2pdma_device_root_bus(t->provider));
}

/* Nobody on a conventional bus but its master notices that nobody answers: its bridge stands in. */
static bool is_conventional(const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };

	if (p2pdma_device_get_info(device, &info))
		abort();
	return info.kind == P2PDMA_KIND_PCI || info.kind == P2PDMA_KIND_PCI_BRIDGE;
}

/*
 * Whether an event is what a hazard leads to.  Where nobody claims the address the TLP goes another
 * way than the evidence lists, and whoever has it last notices, or trips over something else first.
 */
static bool is_due_to(const struct trial *t, const struct p2pdma_hazard *hazard,
                      const struct p2pdma_sim_event *event)
{
	bool is_there = lab_same(event->at, lab_bdf(hazard->device));
	bool is_near = is_on_path(t, event->at) || is_root(t, event->at);
	/* A device speaks for all of its functions, where it does not know which is meant. */
	bool is_lost = is_near || (event->at.domain == t->provider_bdf.domain &&
	                           event->at.bus == t->provider_bdf.bus);

	switch (hazard->code) {
	case P2PDMA_HAZARD_BAR_UNASSIGNED:
	case P2PDMA_HAZARD_BAR_OUTSIDE_WINDOW:
		return is_lost;
	case P2PDMA_HAZARD_MEMORY_DECODE_OFF:
		if (is_conventional(hazard->device) && is_near)
			return true;
		/* Nor does it know itself by that address. */
		if (t->provider == t->client && is_near)
			return true;
		/* fall through */
	case P2PDMA_HAZARD_BRIDGE_MEMORY_OFF:
	case P2PDMA_HAZARD_BUS_MASTER_OFF:
	case P2PDMA_HAZARD_NOT_D0:
		return (event->kind == P2PDMA_SIM_EVENT_UR ||
		        event->kind == P2PDMA_SIM_EVENT_UNEXPECTED ||
		        event->kind == P2PDMA_SIM_EVENT_LOST) &&
		       (is_there || (is_near && is_conventional(hazard->device)));
	case P2PDMA_HAZARD_NO_ANSWER:
		/* Where its BAR is nobody can tell, so what was aimed at may be nobody's. */
		return (event->kind == P2PDMA_SIM_EVENT_LOST && is_there) ||
		       (hazard->device == t->provider && is_lost);
	case P2PDMA_HAZARD_MPS:
		/* The smallest is named; the first that is too small notices. */
		return event->kind == P2PDMA_SIM_EVENT_MALFORMED && is_on_path(t, event->at);
	default:
		return false;
	}
}

/* A port that redirected TLPs meet, and that may not turn them round. */
static bool keeps_down(const struct trial *t, struct p2pdma_bdf bdf)
{
	struct p2pdma_device *device;

	return is_on_path(t, bdf) && !p2pdma_machine_find(t->c->lab->fresh, bdf, &device) &&
	       !(p2pdma_device_acs(device).control & P2PDMA_ACS_UPSTREAM_FWD);
}

static bool is_named(const struct trial *t, const struct p2pdma_sim_event *event)
{
	const struct p2pdma_why *why = trial_why(t);

	if (!lab_same(event->requester, t->client_bdf))
		return false;
	for (size_t i = 0; i < t->e->hazard_count; i++)
		if (t->e->hazards[i].severity == P2PDMA_STOPS && t->e->hazards[i].ops & t->op &&
		    is_due_to(t, &t->e->hazards[i], event))
			return true;
	if (event->kind == P2PDMA_SIM_EVENT_ROOT && is_root(t, event->at))
		return t->e->route.request == P2PDMA_TURN_ROOT ||
		       t->e->route.request == P2PDMA_TURN_REDIRECT ||
		       t->e->route.completion == P2PDMA_TURN_REDIRECT;
	/* On the way up to the port that blocks translated requests. */
	if (trial_reason(t, P2PDMA_REASON_TRANS_BLK) && event->kind == P2PDMA_SIM_EVENT_UR &&
	    keeps_down(t, event->at))
		return true;
	/* An ACS violation, or a port that may not turn it round: among the reasons. */
	for (size_t i = 0; i < why->count; i++)
		if (why->reasons[i].device &&
		    (event->kind == P2PDMA_SIM_EVENT_ACS ||
		     ((event->kind == P2PDMA_SIM_EVENT_UR ||
		       event->kind == P2PDMA_SIM_EVENT_UNEXPECTED) &&
		      why->reasons[i].code == P2PDMA_REASON_NO_UPSTREAM_FWD)) &&
		    lab_same(event->at, lab_bdf(why->reasons[i].device)))
			return true;
	return false;
}

static uint32_t aer_bit(enum p2pdma_sim_event_kind kind)
{
	switch (kind) {
	case P2PDMA_SIM_EVENT_UR:
		return AER_BIT_UR;
	case P2PDMA_SIM_EVENT_ACS:
		return AER_BIT_ACS;
	case P2PDMA_SIM_EVENT_MALFORMED:
		return AER_BIT_MALFORMED;
	default:
		return 0;
	}
}

/* AER of the function that logged an event has its bit set, if it has AER and can be read. */
static bool agrees_aer(const struct trial *t, const struct p2pdma_sim_event *event)
{
	struct p2pdma_device *device;
	uint32_t bit = aer_bit(event->kind), errors;

	if (!bit || p2pdma_machine_find(t->c->lab->machine, event->at, &device))
		return true;
	if (!lab_ext(device, EXT_AER))
		return true;
	errors = lab_errors(device);
	if (errors == 0xffffffff)
		return true;
	t->c->tally->aer++;
	return errors & bit;
}

bool blame_client(const struct trial *t)
{
	for (size_t i = 0; i < t->e->hazard_count; i++) {
		const struct p2pdma_hazard *hazard = &t->e->hazards[i];

		if (hazard->device == t->client && (hazard->code == P2PDMA_HAZARD_BUS_MASTER_OFF ||
		                                    hazard->code == P2PDMA_HAZARD_NOT_D0 ||
		                                    hazard->code == P2PDMA_HAZARD_NO_ANSWER))
			return true;
	}
	return false;
}

/* The log since the DMA began; @ret_aer: AER says the same. */
bool blame_is_as_named(const struct trial *t, bool *ret_aer)
{
	struct p2pdma_sim_event event;
	bool is_found = false;

	*ret_aer = true;
	while (lab_event(t->c->lab, &event)) {
		bool agrees = agrees_aer(t, &event);

		if (!is_named(t, &event))
			continue;
		is_found = true;
		*ret_aer = *ret_aer && agrees;
	}
	return is_found;
}

bool blame_nobody(const struct trial *t)
{
	struct p2pdma_sim_event event;
	bool is_clean = true;

	while (lab_event(t->c->lab, &event))
		is_clean = is_clean && !lab_same(event.requester, t->client_bdf);
	return is_clean;
}

bool blame_root(const struct trial *t)
{
	struct p2pdma_sim_event event;

	while (lab_event(t->c->lab, &event))
		if (event.kind == P2PDMA_SIM_EVENT_ROOT && is_root(t, event.at))
			return true;
	return false;
}
