/* SPDX-License-Identifier: MIT */
/*
 * clock.c - what happens when: a heap of calls, four children a node.
 */
#include <errno.h>
#include <stdlib.h>

#include "fabric.h"

#define CHILDREN 4

struct call {
	uint64_t when;
	uint64_t order;
	clock_fn fn;
	void *arg;
};

struct clock {
	struct call *calls;
	size_t count;
	size_t room;
	uint64_t next_order;
};

int clock_new(struct fabric *fabric)
{
	fabric->clock = calloc(1, sizeof(*fabric->clock));
	return fabric->clock ? 0 : -ENOMEM;
}

void clock_free(struct fabric *fabric)
{
	if (fabric->clock)
		free(fabric->clock->calls);
	free(fabric->clock);
	fabric->clock = NULL;
}

static bool is_before(const struct call *a, const struct call *b)
{
	return a->when != b->when ? a->when < b->when : a->order < b->order;
}

int clock_at(struct fabric *fabric, uint64_t when, clock_fn fn, void *arg)
{
	struct clock *clock = fabric->clock;
	struct call call = { when < fabric->now ? fabric->now : when, clock->next_order, fn, arg };
	size_t at = clock->count, parent;

	if (clock->count == clock->room) {
		size_t room = clock->room ? 2 * clock->room : 256;
		struct call *calls = realloc(clock->calls, room * sizeof(*calls));

		if (!calls)
			return -ENOMEM;
		clock->calls = calls;
		clock->room = room;
	}
	for (; at; at = parent) {
		parent = (at - 1) / CHILDREN;
		if (!is_before(&call, &clock->calls[parent]))
			break;
		clock->calls[at] = clock->calls[parent];
	}
	clock->calls[at] = call;
	clock->count++;
	clock->next_order++;
	return 0;
}

static struct call take_first(struct clock *clock)
{
	struct call first = clock->calls[0], last = clock->calls[--clock->count];
	size_t at = 0;

	for (;;) {
		size_t child = at * CHILDREN + 1, best = child;

		if (child >= clock->count)
			break;
		for (size_t i = child + 1; i < child + CHILDREN && i < clock->count; i++)
			if (is_before(&clock->calls[i], &clock->calls[best]))
				best = i;
		if (!is_before(&clock->calls[best], &last))
			break;
		clock->calls[at] = clock->calls[best];
		at = best;
	}
	if (clock->count)
		clock->calls[at] = last;
	return first;
}

bool clock_step(struct fabric *fabric, uint64_t until)
{
	struct clock *clock = fabric->clock;
	struct call call;

	if (!clock->count && until == NEVER && requester_rescue(fabric))
		return true;
	if (!clock->count || clock->calls[0].when > until) {
		if (until < LAST_MOMENT && until > fabric->now)
			fabric->now = until;
		return false;
	}
	call = take_first(clock);
	fabric->now = call.when;
	call.fn(fabric, call.arg);
	return true;
}

void clock_drop(struct fabric *fabric, void (*drop)(clock_fn fn, void *arg))
{
	if (!fabric->clock)
		return;
	for (size_t i = 0; i < fabric->clock->count; i++)
		drop(fabric->clock->calls[i].fn, fabric->clock->calls[i].arg);
	fabric->clock->count = 0;
}

/* splitmix64 (Steele, Lea, Flood 2014). */
uint64_t fabric_random(struct fabric *fabric)
{
	uint64_t z = fabric->random += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}
