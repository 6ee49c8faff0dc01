/* SPDX-License-Identifier: MIT */
/* way.c - the way of a TLP: as the evidence lists it, and as it was. */
#include "trial.h"

/* A root complex is a step of its own. */
struct step {
	struct p2pdma_bdf bdf;
	bool is_root;
};

static const struct p2pdma_device *top_of(const struct p2pdma_device *device)
{
	const struct p2pdma_device *parent;

	while ((parent = p2pdma_device_parent(device)))
		device = parent;
	return device;
}

/* The plan of a function's root complex: roots of a domain have buses in the file's order. */
static const struct root_plan *plan_of(const struct trial *t, const struct p2pdma_device *device)
{
	struct p2pdma_bdf bus = p2pdma_device_root_bus(device);
	size_t count = p2pdma_machine_device_count(t->c->lab->fresh);
	unsigned int before = 0;
	int last = -1;

	for (size_t i = 0; i < count; i++) {
		struct p2pdma_bdf other =
			p2pdma_device_root_bus(p2pdma_machine_device(t->c->lab->fresh, i));

		if (other.domain == bus.domain && other.bus < bus.bus && other.bus != last) {
			last = other.bus;
			before++;
		}
	}
	for (unsigned int i = 0; i < t->c->plan->root_count; i++)
		if (t->c->plan->roots[i].domain == bus.domain && !before--)
			return &t->c->plan->roots[i];
	abort();
}

/* What the fabric's owner decided, and no register tells. */
bool way_is_allowed(const struct trial *t)
{
	const struct root_plan *from = plan_of(t, t->client), *to = plan_of(t, t->provider);

	if (from->socket != to->socket)
		return from->across_sockets & to->across_sockets & t->op;
	if (top_of(t->client) == top_of(t->provider))
		return from->same_port & t->op;
	return from->across_ports & to->across_ports & t->op;
}

static size_t add_leg(const struct trial *t, struct step *steps, size_t count, enum p2pdma_leg leg,
                      bool is_reversed)
{
	for (size_t i = 0; i < t->e->hop_count; i++) {
		const struct p2pdma_hop *hop =
			&t->e->hops[is_reversed ? t->e->hop_count - 1 - i : i];

		if (hop->leg != leg || count == MAX_STEPS)
			continue;
		steps[count].is_root = !hop->device;
		if (hop->device)
			steps[count].bdf = lab_bdf(hop->device);
		count++;
	}
	return count;
}

/* As the evidence lists it for a write: a completion goes the other way. */
static size_t expected_steps(const struct trial *t, enum p2pdma_turn turn, bool is_completion,
                             struct step *steps)
{
	enum p2pdma_leg first = is_completion ? P2PDMA_LEG_PROVIDER : P2PDMA_LEG_CLIENT;
	enum p2pdma_leg last = is_completion ? P2PDMA_LEG_CLIENT : P2PDMA_LEG_PROVIDER;
	size_t count = add_leg(t, steps, 0, first, is_completion);

	if (turn != P2PDMA_TURN_DIRECT) {
		count = add_leg(t, steps, count, P2PDMA_LEG_COMMON, false);
		count = add_leg(t, steps, count, P2PDMA_LEG_ABOVE, false);
		count = add_leg(t, steps, count, P2PDMA_LEG_ROOT, false);
		count = add_leg(t, steps, count, P2PDMA_LEG_ABOVE, true);
		count = add_leg(t, steps, count, P2PDMA_LEG_COMMON, false);
	}
	return add_leg(t, steps, count, last, is_completion);
}

/* The client is on no list of hops: it sends, or is sent to.  Nor is who completes a read. */
static size_t without_ends(const struct trial *t, struct step *steps, size_t count,
                           bool is_completion)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (steps[i].is_root ||
		    (!lab_same(steps[i].bdf, t->client_bdf) &&
		     !(is_completion && lab_same(steps[i].bdf, t->provider_bdf))))
			steps[kept++] = steps[i];
	return kept;
}

static size_t real_steps(const struct trial *t, bool is_completion, struct step *steps)
{
	size_t count = 0;

	for (size_t i = 0; i < t->outcome.hop_count; i++) {
		const struct p2pdma_sim_hop *hop = &t->outcome.hops[i];

		if (hop->is_completion == is_completion)
			steps[count++] = (struct step){ hop->port, hop->is_root };
	}
	return count;
}

static bool took_the_way(const struct trial *t, enum p2pdma_turn turn, bool is_completion)
{
	struct step expected[MAX_STEPS], real[MAX_STEPS];
	size_t count = expected_steps(t, turn, is_completion, expected), other;

	count = without_ends(t, expected, count, is_completion);
	other = without_ends(t, real, real_steps(t, is_completion, real), is_completion);
	if (count != other)
		return false;
	for (size_t i = 0; i < count; i++)
		if (expected[i].is_root != real[i].is_root ||
		    (!real[i].is_root && !lab_same(expected[i].bdf, real[i].bdf)))
			return false;
	return true;
}

bool way_is_as_listed(const struct trial *t)
{
	return took_the_way(t, t->request, false) &&
	       (t->op == P2PDMA_OP_WRITE ||
	        took_the_way(t, (enum p2pdma_turn)t->e->route.completion, true));
}

bool way_reaches_root(const struct trial *t)
{
	for (size_t i = 0; i < t->outcome.hop_count; i++)
		if (t->outcome.hops[i].is_root)
			return true;
	return false;
}

/* Past a root complex that splits, TLPs are smaller than the sender made them (PCIe Base 1.3.1). */
bool way_splits(const struct trial *t)
{
	return (t->request != P2PDMA_TURN_DIRECT ||
	        (t->op == P2PDMA_OP_READ && t->e->route.completion != P2PDMA_TURN_DIRECT)) &&
	       (plan_of(t, t->client)->splits || plan_of(t, t->provider)->splits);
}

static void print_steps(const char *what, const struct step *steps, size_t count)
{
	printf("    %s:", what);
	for (size_t i = 0; i < count; i++)
		printf(" %s", steps[i].is_root ? "root" : lab_text(steps[i].bdf));
	printf("\n");
}

void way_print(const struct trial *t)
{
	struct step steps[MAX_STEPS];

	for (int i = 0; i < (t->op == P2PDMA_OP_READ ? 2 : 1); i++) {
		enum p2pdma_turn turn = i ? (enum p2pdma_turn)t->e->route.completion : t->request;

		print_steps(i ? "completion, expected" : "request, expected", steps,
		            expected_steps(t, turn, i, steps));
		print_steps(i ? "completion, real" : "request, real", steps,
		            real_steps(t, i, steps));
	}
}
