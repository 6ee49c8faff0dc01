/* SPDX-License-Identifier: MIT */
/*
 * soak_shadow.c - what has to be: who may have written what, and how the numbers add up.
 */
#include "soak.h"

#define GROUND 0x37

/* ---- memory ---- */

static void look_at_word(struct unit *unit, uint64_t at, const char *when)
{
	unsigned int index = (unsigned int)(unit - soak.units), who;
	uint64_t word, before;

	memcpy(&word, unit->memory + at, 8);
	memcpy(&before, unit->expected + at, 8);
	who = stamp_owner(word);
	if (who < 64 && unit->granted[at / PAGE] >> who & 1)
		return;
	broken("%s: unit %u (%s) has %#" PRIx64 " at %#" PRIx64 " in place of %#" PRIx64
	       ": %s %u has no grant",
	       when, index, index == HOST ? "host" : lab_text(unit->bdf), word, at, before,
	       who < 64 ? "unit" : "nobody's;", who);
}

static void look_at_unit(struct unit *unit, const char *when)
{
	if (!unit->memory || !memcmp(unit->memory, unit->expected, unit->bytes))
		return;
	for (uint64_t at = 0; at < unit->bytes; at += 8)
		if (memcmp(unit->memory + at, unit->expected + at, 8) != 0)
			look_at_word(unit, at, when);
	memcpy(unit->expected, unit->memory, unit->bytes);
}

static struct grant *next_grant(unsigned int *index)
{
	struct grant *grant;

	while (*index < LEASES + GUESTS) {
		unsigned int i = (*index)++;

		grant = i < LEASES ? &soak.leases[i].grant : &soak.guests[i - LEASES].grant;
		if (grant->is_on)
			return grant;
	}
	return NULL;
}

bool grant_is_good(const struct grant *grant)
{
	return grant->client->is_open && grant->client->opening == grant->opening;
}

static void mark(const struct grant *grant)
{
	if (!(grant->op & P2PDMA_OP_WRITE) || !grant_is_good(grant))
		return;
	for (unsigned int i = 0; i < grant->place_count; i++) {
		const struct place *place = &grant->places[i];

		for (uint64_t page = place->offset / PAGE;
		     page <= (place->offset + place->length - 1) / PAGE; page++)
			place->unit->granted[page] |= 1ull << (grant->client - soak.units);
	}
}

void check_memory(const char *when)
{
	unsigned int index = 0;
	struct grant *grant;

	for (unsigned int i = 0; i <= UNITS; i++) {
		look_at_unit(&soak.units[i], when);
		memset(soak.units[i].granted, 0, sizeof(soak.units[i].granted));
	}
	while ((grant = next_grant(&index)))
		mark(grant);
}

void check_landing(const struct place *places, unsigned int count, const char *what)
{
	check_memory(what);
	for (unsigned int i = 0; i < count; i++) {
		const struct place *place = &places[i];

		/* Others may have it still. */
		for (uint64_t at = place->offset; at < place->offset + place->length; at += PAGE) {
			if (place->unit->granted[at / PAGE])
				continue;
			memset(place->unit->memory + at, GROUND, PAGE);
			memset(place->unit->expected + at, GROUND, PAGE);
		}
	}
	if (chance(70))
		lab_run(&soak.lab, 1000ull << below(10));
	check_memory(what);
}

/* ---- grants ---- */

void grant_begin(struct grant *grant)
{
	uint64_t length = 0;

	grant->is_on = true;
	grant->changes = soak.changes;
	grant->opening = grant->client->opening;
	grant->stream = NULL;
	for (size_t i = 0; i < grant->segment_count; i++)
		length += grant->segments[i].length;
	if (length != grant_length(grant))
		broken("segments of %#" PRIx64 " bytes for %#" PRIx64, length, grant_length(grant));
	for (unsigned int i = 0; i < grant->place_count; i++)
		if (grant->places[i].buffer)
			grant->places[i].buffer->users++;
	mark(grant);
}

void grant_end(struct grant *grant)
{
	for (unsigned int i = 0; i < grant->place_count; i++)
		if (grant->places[i].buffer)
			grant->places[i].buffer->users--;
	grant->is_on = false;
}

bool grant_is_fresh(const struct grant *grant)
{
	return grant->changes == soak.changes && !grant->flags && !soak.is_shaken &&
	       !p2pdma_sim_faults_pending(soak.lab.sim);
}

uint64_t grant_length(const struct grant *grant)
{
	uint64_t length = 0;

	for (unsigned int i = 0; i < grant->place_count; i++)
		length += grant->places[i].length;
	return length;
}

const struct place *grant_place(const struct grant *grant, uint64_t at, uint64_t *ret_offset)
{
	const struct place *place = grant->places;

	for (; at >= place->length; place++)
		at -= place->length;
	*ret_offset = at;
	return place;
}

uint64_t grant_address(const struct grant *grant, uint64_t at)
{
	const struct p2pdma_dma_segment *segment = grant->segments;

	for (; at >= segment->length; segment++)
		at -= segment->length;
	return segment->address.addr + at;
}

static bool is_translated(const struct unit *unit)
{
	size_t ats = lab_ext(unit->device, EXT_ATS);

	return ats && lab_get(unit->device, ats + 6, 2) & 0x8000 && chance(50);
}

void grant_dma(struct grant *grant, const char *what)
{
	uint64_t length = grant_length(grant), at, offset, words[64];
	struct unit *client = grant->client;
	const struct place *place;
	struct p2pdma_sim_outcome outcome = { .size = sizeof(outcome) };
	struct p2pdma_sim_dma dma = { .client = client->bdf, .bytes = words };
	bool is_fresh = grant_is_fresh(grant);
	int r;

	if (!grant_is_good(grant))
		return;
	at = (uint64_t)below((uint32_t)(length / 8)) * 8;
	place = grant_place(grant, at, &offset);
	dma.length = 8 * (1 + below(64));
	if (dma.length > place->length - offset)
		dma.length = (place->length - offset) & ~7ull;
	if (!dma.length)
		return;
	dma.op = grant->op == P2PDMA_OP_BOTH ? chance(70) ? P2PDMA_OP_WRITE : P2PDMA_OP_READ
	                                     : grant->op;
	dma.address.addr = grant_address(grant, at);
	dma.is_translated = is_translated(client);
	for (uint64_t i = 0; i < dma.length / 8; i++)
		words[i] =
			dma.op == P2PDMA_OP_WRITE ? stamp((unsigned int)(client - soak.units)) : 0;
	r = p2pdma_sim_dma(soak.lab.sim, &dma, &outcome);
	did("%s: DMA %s%s of %u at %#" PRIx64 ", %zu bytes to unit %u+%#" PRIx64 ": %d %s%s", what,
	    dma.is_translated ? "translated " : "", dma.op == P2PDMA_OP_WRITE ? "write" : "read",
	    (unsigned int)(client - soak.units), dma.address.addr, dma.length,
	    (unsigned int)(place->unit - soak.units), place->offset + offset, r,
	    p2pdma_sim_fate_text(outcome.fate), is_fresh ? ", fresh" : "");
	if (r && r != -EINVAL)
		broken("p2pdma_sim_dma(): %d", r);
	/* Host memory is mapped without asking how to get there. */
	if (!is_fresh || !place->source)
		return;
	if (outcome.fate != P2PDMA_SIM_ARRIVED)
		broken("%s: said yes, and it ended as %s at %s", what,
		       p2pdma_sim_fate_text(outcome.fate), lab_text(outcome.at));
	if (dma.op == P2PDMA_OP_WRITE && !lab_same(outcome.at, place->unit->bdf))
		broken("%s: it arrived at %s", what, lab_text(outcome.at));
	/* Others may write there too. */
	for (uint64_t i = 0; i < dma.length / 8; i++) {
		uint64_t word;

		memcpy(&word, place->unit->memory + place->offset + offset + 8 * i, 8);
		if (word != words[i] &&
		    (stamp_owner(word) > CPU || stamp_owner(word) == stamp_owner(words[i])) &&
		    !(dma.op == P2PDMA_OP_READ && stamp_owner(word) <= CPU))
			broken("%s: word %u is %#" PRIx64 " and not %#" PRIx64, what,
			       (unsigned int)i, word, words[i]);
	}
}

/* ---- numbers ---- */

static uint64_t cached_bytes(const struct source *source, uint64_t cached)
{
	uint64_t granule = source->granule, bytes = 0;

	/* What a cache holds is told as asked for, and taken in granules. */
	for (unsigned int i = 0; i < CACHES; i++)
		if (soak.shelves[i].cache && soak.shelves[i].source == source)
			bytes = soak.shelves[i].size;
	if (!bytes)
		return cached;
	return cached / bytes * ((bytes + granule - 1) / granule * granule);
}

static void check_source(const struct source *source)
{
	struct p2pdma_provider_info info = { .size = sizeof(info) };
	unsigned int number = (unsigned int)(source - soak.sources);
	uint64_t cached;

	if (p2pdma_provider_get_info(source->provider, &info))
		broken("no info");
	cached = cached_bytes(source, info.cached);
	if (info.total != source->total || info.chunks != source->chunk_count ||
	    info.granule != source->granule || info.is_naked != source->is_naked)
		broken("source %u: another size, granule or kind", number);
	if (!source->is_naked && info.free + source->taken + cached != info.total)
		broken("source %u: %" PRIu64 " free + %" PRIu64 " taken + %" PRIu64
		       " cached are not %" PRIu64,
		       number, info.free, source->taken, cached, info.total);
	if (info.largest > info.free || (info.free && !info.largest))
		broken("source %u: the longest of %" PRIu64 " bytes is %" PRIu64, number, info.free,
		       info.largest);
	if (info.buffers < source->buffers || (!cached && info.buffers != source->buffers))
		broken("source %u: %" PRIu64 " buffers in place of %u", number, info.buffers,
		       source->buffers);
	if (info.mappings != source_mappings(source))
		broken("source %u: %" PRIu64 " mappings in place of %u", number, info.mappings,
		       source_mappings(source));
	if ((info.state == P2PDMA_PROVIDER_DEAD) != source->is_dead)
		broken("source %u: dead or not: %d", number, info.state);
	if (info.is_published && source->is_dead)
		broken("source %u: dead and published", number);
}

unsigned int source_mappings(const struct source *source)
{
	unsigned int mappings = 0, index = 0;
	struct grant *grant;

	while ((grant = next_grant(&index)))
		for (unsigned int i = 0; i < grant->place_count; i++)
			mappings += grant->places[i].source == source;
	return mappings;
}

void check_sources(void)
{
	for (unsigned int i = 0; i < SOURCES; i++)
		if (soak.sources[i].provider)
			check_source(&soak.sources[i]);
}
