/* SPDX-License-Identifier: MIT */
/*
 * The exporter's side of a dma-buf.
 *
 * Invariants:
 * - It is live if and only if it has been settled: no reason against it and no revoker left.  What
 *   is not live gets no new attachment, mapping or pin.  REASON_FINAL is never taken back.
 * - A revocation begins when it stops being live, and lasts until the last revoker has left,
 * whoever joined meanwhile.  In it each attachment hears invalidate() once, but for those that have
 * lost their mapping in an earlier one; it does not matter which revoker tells it.
 * - A revoker leaves when no mapping is left, none is being made or ended by another thread, and
 *   landing_until has passed.  Past its deadline it cuts the mappings that are left itself.  It
 * waits for landing_until and for other threads in map_sg and unmap_sg past the deadline too: these
 * are not the importer's to delay, and nobody may be told that it is over before it is.
 * - Who makes it live tells those who are owed restored().  A revocation that begins before one was
 *   told takes that back: it hears of the next restoration.
 * - A thread that comes again while it tells or waits (its provider was pulled, and a callback let
 * the machine go on) leaves its reason and goes: further down its stack the work is under way.
 */
#include <errno.h>
#include <stdlib.h>

#include "dmabuf.h"
#include "report.h"

#define PAGE 4096u

/* The time, or when all is over: the machine was closed. */
static uint64_t time_now(const struct p2pdma_dmabuf *dmabuf)
{
	const struct peers *peers = dmabuf->provider->peers;

	return peers->backend ? peers_time(peers) : UINT64_MAX;
}

static bool has_mover(const struct p2pdma_dmabuf *dmabuf, bool is_other)
{
	const struct p2pdma_attachment *a;

	for (a = dmabuf->attachments; a; a = a->next)
		if (is_other ? visited_by_others(a->movers) : a->movers != NULL)
			return true;
	return false;
}

static struct p2pdma_attachment *find_mapped(const struct p2pdma_dmabuf *dmabuf)
{
	struct p2pdma_attachment *a = dmabuf->attachments;

	while (a && !a->mapping)
		a = a->next;
	return a;
}

/* Somebody has it mapped, or is about to, or revokes it. */
static bool is_busy(const struct p2pdma_dmabuf *dmabuf)
{
	return dmabuf->revokers || find_mapped(dmabuf) || has_mover(dmabuf, false);
}

static bool is_dead(const struct p2pdma_dmabuf *dmabuf)
{
	return dmabuf->reasons & REASON_FINAL && !is_busy(dmabuf);
}

/* Pins of who has lost its mapping hold nothing any more. */
static bool has_pin(const struct p2pdma_dmabuf *dmabuf)
{
	const struct p2pdma_attachment *a;

	for (a = dmabuf->attachments; a; a = a->next)
		if (a->pins && !a->is_lost)
			return true;
	return false;
}

static void destroy(struct p2pdma_dmabuf *dmabuf)
{
	p2pdma_provider_put(dmabuf->provider);
	condition_done(&dmabuf->changed);
	free(dmabuf->sgl);
	free(dmabuf);
}

void dmabuf_put_and_unlock(struct p2pdma_dmabuf *dmabuf)
{
	bool is_last = !--dmabuf->references;

	if (is_last) {
		struct p2pdma_dmabuf **link = &dmabuf->provider->dmabufs;

		while (*link != dmabuf)
			link = &(*link)->next;
		*link = dmabuf->next;
	}
	dmabuf_unlock(dmabuf);
	if (is_last)
		destroy(dmabuf);
}

void dmabuf_expect_landing(struct p2pdma_dmabuf *dmabuf)
{
	uint64_t now = time_now(dmabuf);
	uint64_t until = now > UINT64_MAX - P2PDMA_DRAIN_TIME ? 0 : now + P2PDMA_DRAIN_TIME;

	if (until > dmabuf->landing_until)
		dmabuf->landing_until = until;
}

static int make_sgl(struct p2pdma_provider *provider, const struct p2pdma_range *ranges,
                    size_t count, struct p2pdma_error *err, struct p2pdma_sg **ret_sgl,
                    uint64_t *ret_length)
{
	uint64_t length = 0;
	struct p2pdma_sg *sgl;

	if (!count)
		return report(err, -EINVAL, "no range: there is nothing to lend");
	for (size_t i = 0; i < count; i++) {
		struct p2pdma_range range = ranges[i];
		struct chunk *chunk;

		if (!range.length || range.offset % PAGE || range.length % PAGE)
			return report(err, -EINVAL,
			              "range %zu: offset 0x%llx and length 0x%llx have to be "
			              "multiples of 4096, the length not 0",
			              i, (unsigned long long)range.offset,
			              (unsigned long long)range.length);
		chunk = provider_chunk(provider, range.offset, range.length);
		if (!chunk)
			return report(err, -EINVAL,
			              "range %zu: 0x%llx bytes from 0x%llx on are not in one chunk "
			              "of the provider's memory",
			              i, (unsigned long long)range.length,
			              (unsigned long long)range.offset);
		if ((chunk->bus.addr + (range.offset - chunk->start)) % PAGE)
			return report(
				err, -EINVAL,
				"range %zu: its bus address is no multiple of 4096: the chunk "
				"was registered with a smaller offset",
				i);
		if (__builtin_add_overflow(length, range.length, &length))
			return report(err, -EINVAL, "range %zu: too long in all", i);
	}
	sgl = calloc(count, sizeof(*sgl));
	if (!sgl)
		return report(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++)
		sgl[i] = (struct p2pdma_sg){ provider, ranges[i].offset, NULL, ranges[i].length };
	*ret_sgl = sgl;
	*ret_length = length;
	return 0;
}

int p2pdma_dmabuf_export(struct p2pdma_provider *provider, const struct p2pdma_range *ranges,
                         size_t count, struct p2pdma_error *err, enum p2pdma_promise *ret_promise,
                         struct p2pdma_dmabuf **ret_dmabuf)
{
	struct p2pdma_dmabuf *dmabuf;
	struct p2pdma_sg *sgl;
	uint64_t length;
	int state, r;

	r = make_sgl(provider, ranges, count, err, &sgl, &length);
	if (r)
		return r;
	dmabuf = calloc(1, sizeof(*dmabuf));
	if (!dmabuf || condition_init(&dmabuf->changed)) {
		free(dmabuf);
		free(sgl);
		return report(err, -ENOMEM, "out of memory");
	}
	dmabuf->provider = p2pdma_provider_get(provider);
	dmabuf->references = 1;
	dmabuf->sgl = sgl;
	dmabuf->count = count;
	dmabuf->length = length;

	/* Whoever changes the state afterwards finds it in the list. */
	dmabuf_lock(dmabuf);
	state = atomic_load(&provider->state);
	if (state == P2PDMA_PROVIDER_DEAD) {
		dmabuf_unlock(dmabuf);
		destroy(dmabuf);
		return report(err, -ENODEV, "the provider is dead");
	}
	dmabuf->is_live = state == P2PDMA_PROVIDER_LIVE;
	dmabuf->reasons = dmabuf->is_live ? 0 : REASON_PROVIDER;
	dmabuf->next = provider->dmabufs;
	provider->dmabufs = dmabuf;
	dmabuf_unlock(dmabuf);
	if (ret_promise)
		*ret_promise = P2PDMA_PROMISE_OWN;
	*ret_dmabuf = dmabuf;
	return 0;
}

enum p2pdma_dmabuf_state p2pdma_dmabuf_state(struct p2pdma_dmabuf *dmabuf)
{
	enum p2pdma_dmabuf_state state;

	dmabuf_lock(dmabuf);
	if (dmabuf->is_live)
		state = P2PDMA_DMABUF_LIVE;
	else if (is_busy(dmabuf))
		state = P2PDMA_DMABUF_REVOKING;
	else
		state = is_dead(dmabuf) ? P2PDMA_DMABUF_DEAD : P2PDMA_DMABUF_REVOKED;
	dmabuf_unlock(dmabuf);
	return state;
}

/* One more revoker, with a reference. */
static void begin(struct p2pdma_dmabuf *dmabuf, enum reason reason)
{
	struct p2pdma_attachment *a;

	dmabuf->references++;
	dmabuf->revokers++;
	dmabuf->reasons |= reason;
	if (!dmabuf->is_live)
		return;
	dmabuf->is_live = false;
	dmabuf->revocation++;
	for (a = dmabuf->attachments; a; a = a->next) {
		a->is_owed = false;
		a->is_untold = !a->is_lost;
		if (a->importer->is_pinned && a->mapping)
			a->is_lost = true;
	}
}

/* Waits for callbacks. */
static void tell(struct p2pdma_dmabuf *dmabuf)
{
	struct p2pdma_attachment *a;
	struct visit visit;

	visit_begin(&dmabuf->at_work, &visit);
	/* From the start each time: callbacks attach and detach. */
	for (a = dmabuf->attachments; a;) {
		if (a->is_untold && !a->is_detached) {
			a->is_untold = false;
			attachment_call(a, a->importer->invalidate);
			a = dmabuf->attachments;
		} else {
			a = a->next;
		}
	}
	visit_end(dmabuf, &dmabuf->at_work, &visit);
}

/* Lets the machine go on until then; false: it is then. */
static bool wait_until(struct p2pdma_dmabuf *dmabuf, uint64_t until)
{
	bool has_changed;

	if (time_now(dmabuf) >= until)
		return false;
	dmabuf_unlock(dmabuf);
	has_changed = peers_wait(dmabuf->provider->peers, until);
	dmabuf_lock(dmabuf);
	return has_changed;
}

/* Waits until all have let go, and cuts what they have by @deadline. */
static void wait_for_all(struct p2pdma_dmabuf *dmabuf, uint64_t deadline)
{
	struct p2pdma_attachment *a;
	bool is_late = false;
	struct visit visit;

	visit_begin(&dmabuf->at_work, &visit);
	for (;;) {
		uint64_t landing = dmabuf->landing_until;

		a = find_mapped(dmabuf);
		if (a && is_late)
			attachment_cut(a);
		else if (a)
			is_late = !wait_until(dmabuf, deadline);
		else if (has_mover(dmabuf, true))
			condition_wait(&dmabuf->changed, &dmabuf->provider->peers->lock);
		else if (!landing)
			break;
		else if (!wait_until(dmabuf, landing) && dmabuf->landing_until == landing)
			dmabuf->landing_until = 0;
	}
	visit_end(dmabuf, &dmabuf->at_work, &visit);
}

/* Makes it live if nothing is against it, and tells importers.  Waits for them. */
static void settle(struct p2pdma_dmabuf *dmabuf)
{
	struct p2pdma_attachment *a;

	if (dmabuf->is_live || dmabuf->reasons || dmabuf->revokers)
		return;
	dmabuf->is_live = true;
	for (a = dmabuf->attachments; a; a = a->next)
		a->is_owed = !a->importer->is_pinned && a->importer->restored;
	for (a = dmabuf->attachments; a;) {
		if (a->is_owed && !a->is_detached) {
			a->is_owed = false;
			attachment_call(a, a->importer->restored);
			a = dmabuf->attachments;
		} else {
			a = a->next;
		}
	}
}

/* One revoker less.  Its reference stays.  Waits. */
static int end(struct p2pdma_dmabuf *dmabuf, struct p2pdma_error *err)
{
	int r = dmabuf->is_forced ? report(err, -ETIMEDOUT, "%s", dmabuf->cut.text) : 0;

	if (!--dmabuf->revokers) {
		dmabuf->is_forced = false;
		dmabuf->cut.text[0] = '\0';
		settle(dmabuf);
	}
	return r;
}

/* What the caller of one export asks for; takes the lock's place.  A reference is left. */
static int revoke(struct p2pdma_dmabuf *dmabuf, enum reason reason, uint64_t deadline,
                  struct p2pdma_error *err)
{
	begin(dmabuf, reason);
	tell(dmabuf);
	wait_for_all(dmabuf, deadline);
	/* Gone with the revoker in one step: nobody sees it revoked for longer than it is. */
	dmabuf->reasons &= ~(unsigned int)(reason & REASON_INVALID);
	return end(dmabuf, err);
}

int p2pdma_dmabuf_release(struct p2pdma_dmabuf *dmabuf, uint64_t deadline, struct p2pdma_error *err)
{
	int r;

	if (!dmabuf)
		return 0;
	dmabuf_lock(dmabuf);
	r = revoke(dmabuf, REASON_FINAL, deadline, err);
	dmabuf->references--; /* the exporter's */
	dmabuf_put_and_unlock(dmabuf);
	return r;
}

int p2pdma_dmabuf_revoke(struct p2pdma_dmabuf *dmabuf, uint64_t deadline, struct p2pdma_error *err)
{
	int r;

	dmabuf_lock(dmabuf);
	if (is_dead(dmabuf)) {
		dmabuf_unlock(dmabuf);
		return report(err, -ENODEV, "it is dead");
	}
	r = revoke(dmabuf, REASON_EXPLICIT, deadline, err);
	dmabuf_put_and_unlock(dmabuf);
	return r;
}

int p2pdma_dmabuf_invalidate(struct p2pdma_dmabuf *dmabuf, uint64_t deadline,
                             struct p2pdma_error *err)
{
	int r;

	dmabuf_lock(dmabuf);
	if (is_dead(dmabuf))
		r = report(err, -ENODEV, "it is dead");
	else if (!dmabuf->is_live)
		r = report(err, -EBUSY, "it is not live: restoring it has importers map anew");
	else if (has_pin(dmabuf))
		r = report(err, -EBUSY, "an importer has pinned it");
	else
		r = 0;
	if (r) {
		dmabuf_unlock(dmabuf);
		return r;
	}
	r = revoke(dmabuf, REASON_INVALID, deadline, err);
	if (!r && dmabuf->reasons & REASON_FINAL)
		r = report(err, -ENODEV, "it died meanwhile");
	dmabuf_put_and_unlock(dmabuf);
	return r;
}

/* @r: what was wrong with new ranges. */
static int check_restore(const struct p2pdma_dmabuf *dmabuf, bool has_ranges, uint64_t length,
                         int r, struct p2pdma_error *err)
{
	if (is_dead(dmabuf))
		return report(err, -ENODEV, "it is dead");
	if (dmabuf->is_live)
		return has_ranges ? report(err, -EBUSY, "it is live: revoke it first") : 0;
	if (is_busy(dmabuf))
		return report(err, -EBUSY, "somebody is still revoking it");
	if (has_ranges && has_pin(dmabuf))
		return report(err, -EBUSY, "an importer has pinned it where it is");
	if (!r && has_ranges && length != dmabuf->length)
		return report(err, -EINVAL, "0x%llx bytes in place of 0x%llx",
		              (unsigned long long)length, (unsigned long long)dmabuf->length);
	return r;
}

int p2pdma_dmabuf_restore(struct p2pdma_dmabuf *dmabuf, const struct p2pdma_range *ranges,
                          size_t count, struct p2pdma_error *err)
{
	struct p2pdma_sg *sgl = NULL, *old = NULL;
	uint64_t length = 0;
	int r = 0;

	if (ranges)
		r = make_sgl(dmabuf->provider, ranges, count, err, &sgl, &length);
	dmabuf_lock(dmabuf);
	r = check_restore(dmabuf, ranges, length, r, err);
	if (r || dmabuf->is_live) {
		dmabuf_unlock(dmabuf);
		free(sgl);
		return r;
	}
	if (sgl) {
		old = dmabuf->sgl;
		dmabuf->sgl = sgl;
		dmabuf->count = count;
	}
	dmabuf->reasons &= ~(unsigned int)REASON_EXPLICIT;
	if (dmabuf->reasons)
		r = report(err, -ENODEV, "its provider is revoked; it is live when that is back");
	dmabuf->references++;
	settle(dmabuf);
	dmabuf_put_and_unlock(dmabuf);
	free(old);
	return r;
}

int dmabufs_revoke(struct p2pdma_provider *provider, bool is_final, uint64_t deadline,
                   struct p2pdma_error *err)
{
	struct mutex *lock = &provider->peers->lock;
	struct p2pdma_dmabuf *first, *next, *d;
	int r = 0;

	/*
	 * All are closed, then all are told, then all are waited for.  New exports come in front of
	 * the first, and a reference keeps the rest in the list.
	 */
	mutex_lock(lock);
	first = provider->dmabufs;
	for (d = first; d; d = d->next)
		begin(d, is_final ? REASON_FINAL : REASON_PROVIDER);
	for (d = first; d; d = d->next)
		if (!visited_by_self(d->at_work))
			tell(d);
	for (d = first; d; d = next) {
		int one;

		next = d->next;
		if (!visited_by_self(d->at_work))
			wait_for_all(d, deadline);
		one = end(d, r ? NULL : err);
		r = r ? r : one;
		dmabuf_put_and_unlock(d);
		mutex_lock(lock);
	}
	mutex_unlock(lock);
	return r;
}

void dmabufs_restore(struct p2pdma_provider *provider)
{
	struct mutex *lock = &provider->peers->lock;
	struct p2pdma_dmabuf *first, *next, *d;

	mutex_lock(lock);
	/* Revoked again before we came: then that revoker's restoration is the one that counts. */
	first = provider_check(provider) ? NULL : provider->dmabufs;
	for (d = first; d; d = d->next) {
		d->references++;
		d->reasons &= ~(unsigned int)REASON_PROVIDER;
	}
	for (d = first; d; d = next) {
		next = d->next;
		settle(d);
		dmabuf_put_and_unlock(d);
		mutex_lock(lock);
	}
	mutex_unlock(lock);
}
