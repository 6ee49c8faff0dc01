/* SPDX-License-Identifier: MIT */
/*
 * soak_lend.c - exports, and importers that let go at once, late, or never.
 */
#include "soak.h"

static unsigned int number(const struct loan *loan)
{
	return (unsigned int)(loan - soak.loans);
}

static uint64_t random_deadline(void)
{
	static const uint64_t patience[] = { 0, 10000, 1000000, 20000000 };

	return now() + patience[below(4)];
}

/* ---- what a revocation has to leave behind ---- */

static bool has_master(const struct unit *unit)
{
	uint32_t command = lab_get(unit->device, COMMAND, 2);

	return command != 0xffff && command & COMMAND_MASTER;
}

/* Who was asked and has not let go was cut. */
static void loan_is_revoked(struct loan *loan, int r, const char *what)
{
	for (unsigned int i = 0; i < GUESTS; i++) {
		struct guest *guest = &soak.guests[i];

		if (!guest->attachment || guest->loan != loan || !guest->is_asked)
			continue;
		if (!r && guest->grant.is_on)
			broken("%s: it says 0, and guest %u has not let go", what, i);
		if (guest->grant.is_on) {
			did("%s: guest %u was cut off", what, i);
			stir();
			guest->grant.client->is_cut_off |= !soak.is_shaken && guest->had_master &&
			                                   !has_master(guest->grant.client);
			/* Its stream goes on: nobody has told the device. */
			guest->grant.stream = NULL;
			grant_end(&guest->grant);
		}
		guest->is_asked = false;
		guest->due = 0;
	}
}

static void check_loan(struct loan *loan, int r, const char *what)
{
	struct place places[3];

	loan_is_revoked(loan, r, what);
	for (unsigned int i = 0; i < loan->range_count; i++)
		places[i] = place_of(loan->source, loan->ranges[i].offset, loan->ranges[i].length);
	check_landing(places, loan->range_count, what);
}

void loans_were_revoked(const struct source *source, int r, const char *what)
{
	/* Whoever was revoked with it was cut in the same call, too. */
	for (unsigned int i = 0; i < LOANS; i++)
		if (soak.loans[i].dmabuf && soak.loans[i].source == source)
			loan_is_revoked(&soak.loans[i], r == 0 ? 1 : r, what);
	for (unsigned int i = 0; i < LOANS; i++)
		if (soak.loans[i].dmabuf && soak.loans[i].source == source)
			check_loan(&soak.loans[i], r, what);
}

/* ---- guests ---- */

static void guest_forget(struct guest *guest)
{
	struct loan *loan = guest->loan;
	bool is_last = true;

	guest->attachment = NULL;
	for (unsigned int i = 0; i < GUESTS; i++)
		is_last &= !soak.guests[i].attachment || soak.guests[i].loan != loan;
	if (loan->is_released && is_last)
		*loan = (struct loan){ 0 };
}

/* Whether the device itself has read back what it wrote last: then all before has landed. */
static bool has_landed(const struct guest *guest)
{
	const struct stream *stream = guest->grant.stream;
	uint64_t word, address = stream ? stream->last : 0;

	if (guest->grant.op != P2PDMA_OP_BOTH || !address || stream->count > 1)
		return false;
	return lab_dma(&soak.lab, guest->grant.client->bdf, P2PDMA_OP_READ, address, 8, &word)
	               .fate == P2PDMA_SIM_ARRIVED;
}

static void guest_let_go(struct guest *guest, bool may_have_landed)
{
	unsigned int flags = 0;
	int r;

	if (guest->grant.stream)
		guest->grant.stream->left = 0;
	if (may_have_landed && chance(50) && has_landed(guest))
		flags = P2PDMA_UNMAP_LANDED;
	guest->grant.stream = NULL;
	r = p2pdma_dmabuf_unmap(guest->attachment, flags);
	did("guest %u lets go%s: %d", (unsigned int)(guest - soak.guests), flags ? ", landed" : "",
	    r);
	if (result("guest_unmap", r, -EINVAL, 1) && !guest->due)
		broken("what is mapped cannot be unmapped");
	guest->due = 0;
	if (!r) {
		guest->is_asked = false;
		grant_end(&guest->grant);
	}
}

bool guests_let_go(void)
{
	bool did_one = false;

	for (unsigned int i = 0; i < GUESTS; i++) {
		struct guest *guest = &soak.guests[i];

		if (!guest->attachment || !guest->due || guest->due > now())
			continue;
		guest_let_go(guest, false);
		did_one = true;
	}
	return did_one;
}

uint64_t guests_next(void)
{
	uint64_t next = UINT64_MAX;

	for (unsigned int i = 0; i < GUESTS; i++)
		if (soak.guests[i].attachment && soak.guests[i].due && soak.guests[i].due < next)
			next = soak.guests[i].due;
	return next;
}

static void on_invalidate(struct p2pdma_attachment *attachment, void *arg)
{
	struct guest *guest = arg;

	if (guest->attachment != attachment)
		broken("a callback of somebody who has detached");
	if (guest->is_asked || guest->is_lost)
		broken("guest %u is asked twice", (unsigned int)(guest - soak.guests));
	did("guest %u is asked%s", (unsigned int)(guest - soak.guests),
	    guest->grant.is_on ? "" : ", and has nothing");
	guest->is_lost = guest->importer.is_pinned && guest->grant.is_on;
	if (!guest->grant.is_on)
		return;
	guest->is_asked = true;
	guest->had_master = has_master(guest->grant.client);
	if (guest->manner == GUEST_LATE)
		guest->due = now() + 1 + below(3000000);
	if (guest->manner == GUEST_OBEDIENT)
		guest_let_go(guest, true);
}

static void guest_map(struct guest *guest)
{
	struct loan *loan = guest->loan;
	struct unit *client = guest->grant.client;
	struct grant grant = { .client = client };
	const struct p2pdma_dma_segment *segments;
	struct p2pdma_error err = { "" };
	bool was_on = guest->grant.is_on;
	int r;

	grant.op = (enum p2pdma_op)(1 + below(3));
	grant.flags = chance(10) ? P2PDMA_SG_UNKNOWN_IS_YES : 0;
	grant.place_count = loan->range_count;
	r = p2pdma_dmabuf_map(guest->attachment, grant.op, grant.flags, &err, &grant.segment_count,
	                      &segments);
	did("guest %u (unit %u, loan %u) maps, op %d%s: %d %s", (unsigned int)(guest - soak.guests),
	    (unsigned int)(client - soak.units), number(loan), grant.op,
	    grant.flags ? ", forced" : "", r, r ? err.text : "");
	result("guest_map", r, -EINVAL, -EREMOTEIO, -ENODEV, -EPERM, -EBUSY, 1);
	if (r)
		return;
	if (was_on || guest->is_lost || loan->is_released || loan->source->is_dead ||
	    client->is_cut_off || client->is_gone || client->opening != guest->opening)
		broken("guest %u cannot map", (unsigned int)(guest - soak.guests));
	for (unsigned int i = 0; i < loan->range_count; i++) {
		grant.places[i] =
			place_of(loan->source, loan->ranges[i].offset, loan->ranges[i].length);
		grant.places[i].buffer = loan->buffers[i];
	}
	memcpy(grant.segments, segments, grant.segment_count * sizeof(*segments));
	guest->grant = grant;
	grant_begin(&guest->grant);
}

static void guest_work(struct guest *guest)
{
	static const uint64_t pauses[] = { 700, 20000, 1000000, 30000000 };

	if (guest->grant.is_on && grant_is_good(&guest->grant) &&
	    guest->grant.op & P2PDMA_OP_WRITE && !guest->grant.stream)
		guest->grant.stream = stream_start(&guest->grant, 20 + below(50), pauses[below(4)]);
}

/* Tells that the revocation before is over. */
static void on_restored(struct p2pdma_attachment *attachment, void *arg)
{
	struct guest *guest = arg;

	if (guest->attachment != attachment || guest->importer.is_pinned)
		broken("a callback of somebody who is not to hear it");
	loan_is_revoked(guest->loan, 1, "restored");
	did("guest %u hears that it is restored", (unsigned int)(guest - soak.guests));
	if (!chance(60) || guest->grant.is_on)
		return;
	guest_map(guest);
	guest_work(guest);
}

static struct loan *random_loan(void)
{
	unsigned int first = below(LOANS);

	for (unsigned int i = 0; i < LOANS; i++) {
		struct loan *loan = &soak.loans[(first + i) % LOANS];

		if (loan->dmabuf && !loan->is_released)
			return loan;
	}
	return NULL;
}

static struct guest *random_guest(void)
{
	unsigned int first = below(GUESTS);

	for (unsigned int i = 0; i < GUESTS; i++)
		if (soak.guests[(first + i) % GUESTS].attachment)
			return &soak.guests[(first + i) % GUESTS];
	return NULL;
}

void op_attach(void)
{
	struct guest *guest = &soak.guests[below(GUESTS)];
	struct loan *loan = random_loan();
	struct unit *client = random_client();
	int r;

	if (guest->attachment || !loan)
		return;
	*guest = (struct guest){
		.loan = loan,
		.importer = { sizeof(guest->importer), true, chance(25), on_invalidate,
		              chance(85) ? on_restored : NULL },
		.manner = chance(50)   ? GUEST_OBEDIENT
		          : chance(50) ? GUEST_LATE
		                       : GUEST_STUCK,
		.grant = { .client = client },
		.opening = client->opening,
	};
	r = p2pdma_dmabuf_attach(loan->dmabuf, client->device, &guest->importer, guest, NULL,
	                         &guest->attachment);
	did("attach guest %u, manner %d%s, unit %u to loan %u: %d",
	    (unsigned int)(guest - soak.guests), guest->manner,
	    guest->importer.is_pinned ? ", pinned" : "", (unsigned int)(client - soak.units),
	    number(loan), r);
	result("attach", r, -EPERM, -ENODEV, 1);
	if (!r &&
	    (!client->is_open || client->is_gone || client->is_cut_off || loan->source->is_dead))
		broken("it cannot attach");
	if (r)
		guest->attachment = NULL;
	else
		guest_map(guest);
	if (!r && guest->grant.is_on && chance(60))
		grant_dma(&guest->grant, "guest");
	if (!r)
		guest_work(guest);
}

void op_guest_map(void)
{
	struct guest *guest = random_guest();

	if (!guest)
		return;
	guest_map(guest);
	guest_work(guest);
}

void op_guest_dma(void)
{
	struct guest *guest = random_guest();

	if (guest && guest->grant.is_on)
		grant_dma(&guest->grant, "guest");
}

/* What it has written has landed when the shadow takes the grant back. */
static void quiesce(struct guest *guest)
{
	stream_stop(&guest->grant);
	lab_run(&soak.lab, 2000000);
}

static void revoke(struct loan *loan)
{
	uint64_t deadline = random_deadline();
	int r;

	did("revoke loan %u", number(loan));
	r = p2pdma_dmabuf_revoke(loan->dmabuf, deadline, NULL);
	did("revoke loan %u: %d", number(loan), r);
	result("revoke", r, -ETIMEDOUT, -ENODEV, 1);
	if (r != -ENODEV && p2pdma_dmabuf_state(loan->dmabuf) < P2PDMA_DMABUF_REVOKED)
		broken("revoked, and in state %d", p2pdma_dmabuf_state(loan->dmabuf));
	if (r == -ENODEV && p2pdma_dmabuf_state(loan->dmabuf) != P2PDMA_DMABUF_DEAD)
		broken("dead, and in state %d", p2pdma_dmabuf_state(loan->dmabuf));
	check_loan(loan, r, "revoke");
}

void op_guest_unmap(void)
{
	struct guest *guest = random_guest();
	bool is_at_once = chance(50);

	if (!guest || !guest->grant.is_on)
		return;
	if (is_at_once && guest->loan->is_released)
		return;
	if (!is_at_once)
		quiesce(guest);
	/* Something may have happened meanwhile. */
	if (!guest->grant.is_on || guest->is_asked)
		return;
	guest_let_go(guest, is_at_once);
	/* Its writes are under way: it is the revocation that waits for them. */
	if (is_at_once)
		revoke(guest->loan);
}

static void detach(struct guest *guest)
{
	bool was_on;

	quiesce(guest);
	check_memory("before detach");
	was_on = guest->grant.is_on;
	did("detach guest %u", (unsigned int)(guest - soak.guests));
	if (p2pdma_dmabuf_detach(guest->attachment))
		broken("p2pdma_dmabuf_detach() gives something");
	if (was_on && guest->grant.is_on)
		grant_end(&guest->grant);
	guest_forget(guest);
}

void op_detach(void)
{
	struct guest *guest = random_guest();

	if (guest)
		detach(guest);
}

void op_pin(void)
{
	struct guest *guest = random_guest();
	int r;

	if (!guest)
		return;
	if (chance(50)) {
		r = result("pin", p2pdma_dmabuf_pin(guest->attachment, 0), -ENODEV, 1);
		guest->pins += !r;
	} else {
		r = result("unpin", p2pdma_dmabuf_unpin(guest->attachment), -EINVAL, 1);
		if (!r != !!guest->pins)
			broken("%u pins, and unpin: %d", guest->pins, r);
		guest->pins -= !r;
	}
}

/* ---- exports ---- */

static unsigned int random_ranges(struct source *source, struct p2pdma_range *ranges,
                                  struct buffer **buffers)
{
	unsigned int wanted = 1 + below(3), count = 0;

	for (unsigned int i = 0; i < BUFFERS && count < wanted && !source->is_naked; i++) {
		struct buffer *buffer = &soak.buffers[(i + soak.step) % BUFFERS];

		if (buffer->source != source || buffer->buf.size % PAGE ||
		    buffer->buf.offset % PAGE || p2pmem_bus(buffer->buf).addr % PAGE)
			continue;
		ranges[count] = (struct p2pdma_range){ buffer->buf.offset, buffer->buf.size };
		buffers[count++] = buffer;
	}
	for (; count < wanted && source->is_naked; count++) {
		uint64_t size = source->chunks[0].size;

		buffers[count] = NULL;
		ranges[count].offset = PAGE * (uint64_t)below((uint32_t)(size / PAGE));
		ranges[count].length = PAGE;
	}
	return count;
}

static void keep_ranges(struct loan *loan, unsigned int count, const struct p2pdma_range *ranges,
                        struct buffer *const *buffers)
{
	for (unsigned int i = 0; i < loan->range_count; i++)
		if (loan->buffers[i])
			loan->buffers[i]->users--;
	loan->range_count = count;
	for (unsigned int i = 0; i < count; i++) {
		loan->ranges[i] = ranges[i];
		loan->buffers[i] = buffers[i];
		if (buffers[i])
			buffers[i]->users++;
	}
}

void op_export(void)
{
	struct loan *loan = &soak.loans[below(LOANS)];
	struct source *source = random_source(!chance(10));
	struct p2pdma_range ranges[3];
	struct buffer *buffers[3];
	enum p2pdma_promise promise;
	unsigned int count;
	int r;

	if (loan->dmabuf || !source)
		return;
	count = random_ranges(source, ranges, buffers);
	*loan = (struct loan){ .source = source };
	r = p2pdma_dmabuf_export(source->provider, ranges, count, NULL, &promise, &loan->dmabuf);
	did("export %u ranges of %u as loan %u: %d", count, (unsigned int)(source - soak.sources),
	    number(loan), r);
	result("export", r, -EINVAL, -ENODEV, 1);
	if ((r == -EINVAL) != !count || (!r && source->is_dead))
		broken("export: %d", r);
	if (r) {
		*loan = (struct loan){ 0 };
		return;
	}
	keep_ranges(loan, count, ranges, buffers);
}

void op_revoke(void)
{
	struct loan *loan = random_loan();
	int r;

	if (!loan)
		return;
	if (chance(70)) {
		revoke(loan);
		return;
	}
	did("invalidate loan %u", number(loan));
	r = p2pdma_dmabuf_invalidate(loan->dmabuf, random_deadline(), NULL);
	did("invalidate loan %u: %d", number(loan), r);
	result("invalidate", r, -EBUSY, -ENODEV, -ETIMEDOUT, 1);
	if (r != -EBUSY)
		check_loan(loan, r, "invalidate");
}

/* Where it was, or somewhere else. */
void op_restore(void)
{
	struct loan *loan = random_loan();
	struct p2pdma_range ranges[3];
	struct buffer *buffers[3];
	unsigned int count = 0;
	int r;

	if (!loan)
		return;
	if (chance(40))
		count = random_ranges(loan->source, ranges, buffers);
	did("restore loan %u, %u new ranges", number(loan), count);
	/* Callbacks look at the ranges: they hold already when those run. */
	if (count) {
		struct loan before = *loan;
		uint64_t length = 0;

		for (unsigned int i = 0; i < loan->range_count; i++)
			length += loan->ranges[i].length;
		for (unsigned int i = 0; i < count; i++)
			length -= ranges[i].length;
		keep_ranges(loan, count, ranges, buffers);
		r = p2pdma_dmabuf_restore(loan->dmabuf, ranges, count, NULL);
		if (!r && length)
			broken("restored with another length");
		if (r && (r != -ENODEV || p2pdma_dmabuf_state(loan->dmabuf) == P2PDMA_DMABUF_DEAD))
			keep_ranges(loan, before.range_count, before.ranges, before.buffers);
	} else {
		r = p2pdma_dmabuf_restore(loan->dmabuf, NULL, 0, NULL);
	}
	did("restore loan %u: %d", number(loan), r);
	result("restore", r, -EINVAL, -EBUSY, -ENODEV, 1);
	if (!r && loan->source->is_dead)
		broken("restored, and its provider is dead");
}

static void release(struct loan *loan, uint64_t deadline)
{
	int r;

	take_events();
	did("release loan %u", number(loan));
	r = p2pdma_dmabuf_release(loan->dmabuf, deadline, NULL);
	did("release loan %u: %d", number(loan), r);
	result("release", r, -ETIMEDOUT, 1);
	check_loan(loan, r, "release");
	keep_ranges(loan, 0, NULL, NULL);
	loan->is_released = true;
	for (unsigned int i = 0; i < GUESTS; i++)
		if (soak.guests[i].attachment && soak.guests[i].loan == loan)
			return;
	*loan = (struct loan){ 0 };
}

void op_release(void)
{
	struct loan *loan = random_loan();

	if (loan)
		release(loan, random_deadline());
}

void lend_clear(void)
{
	for (unsigned int i = 0; i < LOANS; i++)
		if (soak.loans[i].dmabuf && !soak.loans[i].is_released)
			release(&soak.loans[i], now());
	for (unsigned int i = 0; i < GUESTS; i++)
		if (soak.guests[i].attachment)
			detach(&soak.guests[i]);
}
