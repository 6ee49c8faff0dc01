/* SPDX-License-Identifier: MIT */
/*
 * dmabuf_all.c - dmabuf.c and importer.c through every sequence of events, up to a length, for
 * every pair of two importers' manners.  A small model of its own says what each call returns, and
 * what must hold after it.
 *
 * dmabuf_all LENGTH
 *
 * An event that changes nothing (most are errors) is tried wherever it can be, but nothing follows
 * it that would not follow without it.  Importer A writes and its requests bypass the IOMMU; B
 * reads, behind it.  There are 778,554 sequences of up to 5 events, and 11,859,891 of up to 7.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lender.h"
#include "one_thread.h"

enum manner {
	OBEDIENT,    /* unmaps in invalidate, maps again in restored */
	LATER,       /* unmaps once the machine goes on */
	REMAPS,      /* tries to map, pin and attach anew in invalidate */
	LEAVES,      /* detaches itself in invalidate */
	EVICTS,      /* detaches the other in invalidate */
	HANGS,       /* never lets go */
	PULLS,       /* has the machine tell in invalidate that the provider was pulled */
	PULLS_LATER, /* the same in restored, after mapping; only if dynamic */
	MANNERS,
};
static const char *const manner_names[] = { "obedient", "later", "remaps", "leaves",
	                                    "evicts",   "hangs", "pulls",  "pulls-later" };

enum event {
	MAP_A,
	MAP_B,
	UNMAP_A,
	UNMAP_A_LANDED,
	UNMAP_B,
	REVOKE,
	RESTORE,
	MOVE,
	SUSPEND,
	RESUME,
	DIE,
	INVALIDATE,
	DETACH_A,
	RELEASE,
	EVENTS,
};
static const char *const event_names[] = { "map-a",    "map-b",  "unmap-a", "unmap-a-landed",
	                                   "unmap-b",  "revoke", "restore", "move",
	                                   "suspend",  "resume", "die",     "invalidate",
	                                   "detach-a", "release" };

#define PATIENCE 1000
#define LONGEST  16

/* One importer: how it is, and what is true of it by the model. */
struct importer {
	struct p2pdma_importer ops;
	struct p2pdma_attachment *attachment;
	enum manner manner;
	bool is_attached, is_mapped, is_lost, is_off;
	bool wants;                  /* to map again */
	bool is_later;               /* it unmaps when the machine goes on */
	unsigned int told, restored; /* in this call */
};

static struct importer importers[2];
static struct p2pdma_dmabuf *dmabuf; /* NULL: released */
static struct {
	bool is_explicit, is_invalid, is_suspended, is_final; /* reasons not to be live */
	uint64_t offset, landing_until;
} model;
static enum event sequence[LONGEST];
static int length, longest, waits;
static unsigned long sequences, refusals;

static _Noreturn void fail(const char *what, int line)
{
	fprintf(stderr, "line %d: %s\n", line, what);
	for (int i = 0; i < 2; i++)
		fprintf(stderr, "%c: %s, %s\n", 'A' + i,
		        importers[i].ops.is_pinned ? "pinned" : "dynamic",
		        manner_names[importers[i].manner]);
	for (int i = 0; i < length; i++)
		fprintf(stderr, "%s%s", i ? ", " : "events: ", event_names[sequence[i]]);
	fprintf(stderr, "\n");
	abort();
}
#define CHECK(what) ((what) ? (void)0 : fail(#what, __LINE__))

void lock_failed(const char *what)
{
	fail(what, __LINE__);
}

static void check_unlocked(void)
{
	CHECK(!locks);
}

static bool is_live(void)
{
	return !model.is_explicit && !model.is_invalid && !model.is_suspended && !model.is_final;
}

static bool is_pinned(void)
{
	for (int i = 0; i < 2; i++)
		if (importers[i].ops.is_pinned && importers[i].is_mapped)
			return true;
	return false;
}

/* Nobody reaches the memory, and nothing is on the way. */
static void check_clear(void)
{
	for (int i = 0; i < 2; i++) {
		CHECK(!lender.mappings[i]);
		CHECK(!importers[i].is_mapped);
	}
	CHECK(lender.now >= model.landing_until);
}

static int expect_map(const struct importer *importer)
{
	if (importer->is_lost || !is_live())
		return -ENODEV;
	if (importer->is_mapped)
		return -EBUSY;
	return importer->is_off ? -EPERM : 0;
}

static void map(struct importer *importer)
{
	const struct p2pdma_dma_segment *segments;
	int expected = expect_map(importer);
	size_t count;

	CHECK(p2pdma_dmabuf_map(importer->attachment,
	                        importer == importers ? P2PDMA_OP_WRITE : P2PDMA_OP_READ, 0, NULL,
	                        &count, &segments) == expected);
	if (expected)
		return;
	CHECK(count == 1 && segments->length == 4096);
	CHECK(lender.offset == model.offset);
	importer->is_mapped = true;
	importer->wants = true;
	/* Who cannot map anew asks not to be moved. */
	if (importer->ops.is_pinned)
		CHECK(!p2pdma_dmabuf_pin(importer->attachment, 0));
}

static void expect_landing(void)
{
	model.landing_until = lender.now + P2PDMA_DRAIN_TIME;
}

static void unmap(struct importer *importer, unsigned int flags)
{
	bool was_mapped = importer->is_mapped;

	CHECK(p2pdma_dmabuf_unmap(importer->attachment, flags) == (was_mapped ? 0 : -EINVAL));
	if (!was_mapped)
		return;
	importer->is_mapped = false;
	if (importer == importers && !(flags & P2PDMA_UNMAP_LANDED))
		expect_landing();
	if (importer->ops.is_pinned)
		CHECK(!p2pdma_dmabuf_unpin(importer->attachment));
}

static void detach(struct importer *importer)
{
	if (importer->is_mapped && importer == importers)
		expect_landing();
	importer->is_attached = importer->is_mapped = importer->is_later = false;
	CHECK(!p2pdma_dmabuf_detach(importer->attachment));
}

static int call(enum event event)
{
	uint64_t deadline = lender.now + PATIENCE;

	switch (event) {
	case REVOKE:
		return p2pdma_dmabuf_revoke(dmabuf, deadline, NULL);
	case INVALIDATE:
		return p2pdma_dmabuf_invalidate(dmabuf, deadline, NULL);
	case RELEASE:
		return p2pdma_dmabuf_release(dmabuf, deadline, NULL);
	default:
		return dmabufs_revoke(&lender.provider, event == DIE, deadline, NULL);
	}
}

/*
 * Calls what revokes, with the reason against its being live in the model already, and holds what
 * happened against what should have.
 */
static void take_back(enum event event, bool was_live)
{
	unsigned int told[2], restored[2];
	bool is_forced = false;
	struct importer before[2];
	int r;

	for (int i = 0; i < 2; i++) {
		told[i] = importers[i].told;
		restored[i] = importers[i].restored;
		importers[i].told = importers[i].restored = 0;
		before[i] = importers[i];
		importers[i].is_lost |= importers[i].ops.is_pinned && importers[i].is_mapped;
	}
	r = call(event);
	for (int i = 0; i < 2; i++) {
		struct importer *importer = &importers[i];

		if (was_live && before[i].is_attached && !before[i].is_lost)
			CHECK(importer->told == 1 || (!importer->told && !importer->is_attached));
		else
			CHECK(!importer->told);
		if (importer->manner == HANGS && before[i].is_mapped && importer->is_attached) {
			is_forced = true;
			CHECK(lender.opened[i].is_cut_off == lender.bypasses[i]);
		} else {
			CHECK(lender.opened[i].is_cut_off == before[i].is_off);
		}
		importer->told = told[i];
		importer->restored += restored[i];
	}
	if (is_forced)
		CHECK(r == -ETIMEDOUT);
	else
		CHECK(r == (event == INVALIDATE && model.is_final ? -ENODEV : 0));
	/* What is live again by now was looked at when it became so. */
	if (event != INVALIDATE || model.is_invalid)
		check_clear();
}

static void pull(void)
{
	bool was_live = is_live();
	uint64_t then = lender.now;
	unsigned int told[2] = { importers[0].told, importers[1].told };

	if (lender.provider.state == P2PDMA_PROVIDER_DEAD)
		return;
	lender.provider.state = P2PDMA_PROVIDER_DEAD;
	model.is_final = true;
	if (was_live) {
		take_back(DIE, true);
		return;
	}
	/* Further down this stack somebody revokes, and will see it through. */
	CHECK(!call(DIE));
	CHECK(lender.now == then);
	for (int i = 0; i < 2; i++)
		CHECK(importers[i].told == told[i]);
}

static void invalidate(struct p2pdma_attachment *attachment, void *arg)
{
	struct importer *importer = arg, *other = &importers[importer == importers];
	struct p2pdma_attachment *another;

	check_unlocked();
	CHECK(attachment == importer->attachment && importer->is_attached);
	CHECK(!importer->told++);
	CHECK(!is_live() && p2pdma_dmabuf_state(dmabuf) == P2PDMA_DMABUF_REVOKING);
	switch (importer->manner) {
	case LATER:
		importer->is_later = true;
		return;
	case HANGS:
		return;
	case LEAVES:
		detach(importer);
		return;
	case EVICTS:
		if (other->is_attached)
			detach(other);
		break;
	case PULLS:
		pull();
		break;
	case REMAPS:
		unmap(importer, 0);
		map(importer);
		CHECK(p2pdma_dmabuf_pin(attachment, 0) == -ENODEV);
		CHECK(p2pdma_dmabuf_attach(dmabuf, &lender.clients[2], &importer->ops, NULL, NULL,
		                           &another) == -ENODEV);
		break;
	default:
		break;
	}
	unmap(importer, 0);
}

static void restored(struct p2pdma_attachment *attachment, void *arg)
{
	struct importer *importer = arg;

	check_unlocked();
	CHECK(attachment == importer->attachment && importer->is_attached);
	CHECK(!importer->ops.is_pinned);
	CHECK(!importer->restored++);
	if (model.is_invalid) {
		check_clear();
		model.is_invalid = false;
	}
	CHECK(is_live() && p2pdma_dmabuf_state(dmabuf) == P2PDMA_DMABUF_LIVE);
	if (importer->wants)
		map(importer);
	if (importer->manner == PULLS_LATER)
		pull();
}

/* The machine goes on: something else happens first, or it is then. */
static bool wait_until(uint64_t until)
{
	CHECK(++waits < 100 && until > lender.now);
	for (int i = 0; i < 2; i++) {
		if (!importers[i].is_later)
			continue;
		importers[i].is_later = false;
		unmap(&importers[i], 0);
		return true;
	}
	/* Who has not let go by the deadline is cut by the next look. */
	for (int i = 0; i < 2 && until - lender.now <= PATIENCE; i++) {
		if (!importers[i].is_mapped)
			continue;
		CHECK(importers[i].manner == HANGS);
		importers[i].is_mapped = false;
		importers[i].is_off |= lender.bypasses[i];
		if (!lender.bypasses[i])
			model.landing_until = until + P2PDMA_DRAIN_TIME;
	}
	lender.now = until;
	return false;
}

static void do_invalidate(void)
{
	if (model.is_final) {
		CHECK(call(INVALIDATE) == -ENODEV);
	} else if (!is_live() || is_pinned()) {
		CHECK(call(INVALIDATE) == -EBUSY);
	} else {
		model.is_invalid = true;
		take_back(INVALIDATE, true);
		model.is_invalid = false;
	}
}

static void do_restore(bool moves)
{
	struct p2pdma_range range = { model.offset ^ 4096, 4096 };
	int expected = 0;

	if (model.is_final) {
		expected = -ENODEV;
	} else if (is_live() || (moves && is_pinned())) {
		expected = moves ? -EBUSY : 0;
	} else {
		model.is_explicit = false;
		if (moves)
			model.offset = range.offset;
		if (model.is_suspended)
			expected = -ENODEV;
	}
	CHECK(p2pdma_dmabuf_restore(dmabuf, moves ? &range : NULL, moves, NULL) == expected);
}

/* Whether there is something to do it to. */
static bool is_possible(enum event event)
{
	if (event == MAP_B || event == UNMAP_B)
		return importers[1].is_attached;
	if (event <= UNMAP_B || event == DETACH_A)
		return importers[0].is_attached;
	return dmabuf != NULL;
}

static bool changes_something(enum event event)
{
	switch (event) {
	case MAP_A:
	case MAP_B:
		return !expect_map(&importers[event == MAP_B]);
	case UNMAP_A:
	case UNMAP_A_LANDED:
	case UNMAP_B:
		return importers[event == UNMAP_B].is_mapped;
	case REVOKE:
		return !model.is_explicit && !model.is_final;
	case RESTORE:
		return model.is_explicit && !model.is_final;
	case MOVE:
		return !is_live() && !model.is_final;
	case SUSPEND:
		return lender.provider.state == P2PDMA_PROVIDER_LIVE;
	case RESUME:
		return lender.provider.state == P2PDMA_PROVIDER_REVOKED;
	case INVALIDATE:
		return is_live() && !is_pinned();
	case DIE:
		return lender.provider.state != P2PDMA_PROVIDER_DEAD;
	default:
		return true;
	}
}

static void happen(enum event event)
{
	bool was_live = is_live();

	switch (event) {
	case MAP_A:
	case MAP_B:
		map(&importers[event == MAP_B]);
		break;
	case UNMAP_A:
	case UNMAP_A_LANDED:
	case UNMAP_B:
		unmap(&importers[event == UNMAP_B],
		      event == UNMAP_A_LANDED ? P2PDMA_UNMAP_LANDED : 0);
		importers[event == UNMAP_B].wants = false;
		break;
	case REVOKE:
		if (model.is_final) {
			CHECK(call(REVOKE) == -ENODEV);
			break;
		}
		model.is_explicit = true;
		take_back(REVOKE, was_live);
		break;
	case RESTORE:
	case MOVE:
		do_restore(event == MOVE);
		break;
	case SUSPEND:
		if (changes_something(SUSPEND))
			lender.provider.state = P2PDMA_PROVIDER_REVOKED;
		model.is_suspended = true;
		take_back(SUSPEND, was_live);
		break;
	case RESUME:
		if (changes_something(RESUME))
			lender.provider.state = P2PDMA_PROVIDER_LIVE;
		model.is_suspended = false;
		dmabufs_restore(&lender.provider);
		break;
	case DIE:
		lender.provider.state = P2PDMA_PROVIDER_DEAD;
		model.is_final = true;
		take_back(DIE, was_live);
		break;
	case INVALIDATE:
		do_invalidate();
		break;
	case DETACH_A:
		detach(&importers[0]);
		break;
	default:
		model.is_final = true;
		take_back(RELEASE, was_live);
		dmabuf = NULL;
		break;
	}
}

/* What must hold whenever nobody is inside.  @is_restored: this event made it live. */
static void check_state(bool is_restored, bool may_restore)
{
	CHECK(!locks);
	for (int i = 0; i < 2; i++) {
		const struct importer *importer = &importers[i];

		CHECK(lender.mappings[i] == importer->is_mapped);
		if (is_restored && importer->is_attached && !importer->ops.is_pinned)
			CHECK(importer->restored == 1);
		else
			CHECK(!importer->restored || may_restore);
	}
	if (!dmabuf)
		return;
	CHECK(p2pdma_dmabuf_state(dmabuf) == (is_live()        ? P2PDMA_DMABUF_LIVE
	                                      : model.is_final ? P2PDMA_DMABUF_DEAD
	                                                       : P2PDMA_DMABUF_REVOKED));
}

static void run(enum event event)
{
	bool was_live = is_live();
	bool may_restore = changes_something(event) && (event == INVALIDATE || !was_live);

	waits = 0;
	for (int i = 0; i < 2; i++)
		importers[i].told = importers[i].restored = 0;
	happen(event);
	check_state(may_restore && is_live(), may_restore);
}

static void start(void)
{
	lender_start();
	lender.unlocked = check_unlocked;
	lender.wait = wait_until;
	lender.bypasses[0] = true;
	memset(&model, 0, sizeof(model));
	dmabuf = lender_export();
	CHECK(dmabuf);
	for (int i = 0; i < 2; i++) {
		struct importer *importer = &importers[i];

		*importer = (struct importer){ importer->ops, .manner = importer->manner };
		CHECK(!p2pdma_dmabuf_attach(dmabuf, &lender.clients[i], &importer->ops, importer,
		                            NULL, &importer->attachment));
		importer->is_attached = true;
	}
}

/* Whatever happened, nothing is left; in both orders, by turns. */
static void finish(void)
{
	if (dmabuf && sequences % 2)
		run(RELEASE);
	for (int i = 0; i < 2; i++)
		if (importers[i].is_attached)
			detach(&importers[i]);
	if (dmabuf)
		run(RELEASE);
	CHECK(!lender.mappings[0] && !lender.mappings[1]);
	CHECK(!lender.references && !lender.provider.dmabufs);
}

/* All that can follow the first @length events, which have happened. */
static void explore(void)
{
	bool is_here = true;

	sequences++;
	for (enum event event = 0; event < EVENTS && length < longest; event++) {
		if (!is_possible(event) || changes_something(event))
			continue;
		refusals++;
		sequence[length++] = event;
		run(event);
		length--;
	}
	for (enum event event = 0; event < EVENTS && length < longest; event++) {
		if (!is_here) {
			start();
			for (int i = 0; i < length; i++)
				run(sequence[i]);
			is_here = true;
		}
		if (!is_possible(event) || !changes_something(event))
			continue;
		sequence[length++] = event;
		run(event);
		explore();
		length--;
		is_here = false;
	}
	if (is_here)
		finish();
}

/* The n-th way an importer can be; false: there are no more. */
static bool choose(struct importer *importer, unsigned int n)
{
	if (n == 2 * MANNERS - 1)
		return false;
	importer->ops = (struct p2pdma_importer){ sizeof(importer->ops), true, n >= MANNERS,
		                                  invalidate, restored };
	importer->manner = n % MANNERS;
	return true;
}

int main(int argc, char **argv)
{
	longest = argc == 2 ? atoi(argv[1]) : 0;
	if (longest < 1 || longest > LONGEST)
		return 1;
	for (unsigned int a = 0; choose(&importers[0], a); a++)
		for (unsigned int b = 0; choose(&importers[1], b); b++) {
			start();
			explore();
		}
	printf("%lu sequences of up to %d events, %lu more events that change nothing\n", sequences,
	       longest, refusals);
	return 0;
}
