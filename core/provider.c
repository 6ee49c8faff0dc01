/* SPDX-License-Identifier: MIT */
/*
 * provider.c - BAR memory registered for others, from the first chunk to the last reference.
 */
#include <stdlib.h>
#include <string.h>

#include "info.h"
#include "machine.h"
#include "report.h"
#include "routes.h"
#include "view.h"
#include <p2pdma/access.h>
#include <p2pdma/progress.h>

#define DEFAULT_GRANULE 4096u
#define PAGE            4096u
#define MSIX_CONTROL    0x02
#define MSIX_TABLE      0x04
#define MSIX_PENDING    0x08
#define MSIX_BAR        0x7u
#define MOST_FAILURES   16
#define LOOK_AGAIN      1000000 /* ns: others free without the machine's noticing */

/* ---- references ---- */

struct p2pdma_provider *p2pdma_provider_get(struct p2pdma_provider *provider)
{
	spin_lock(&provider->lock);
	provider->references++;
	spin_unlock(&provider->lock);
	return provider;
}

struct p2pdma_provider *p2pdma_provider_put(struct p2pdma_provider *provider)
{
	bool is_idle;

	if (!provider)
		return NULL;
	spin_lock(&provider->lock);
	provider->references--;
	is_idle = provider_is_idle(provider);
	spin_unlock(&provider->lock);
	if (is_idle)
		provider_free(provider);
	return NULL;
}

void provider_free(struct p2pdma_provider *provider)
{
	struct peers *peers = provider->peers;
	struct p2pdma_provider **at;

	mutex_lock(&peers->lock);
	for (at = &peers->providers; *at != provider; at = &(*at)->next)
		;
	*at = provider->next;
	mutex_unlock(&peers->lock);
	for (unsigned int i = 0; i < provider->chunk_count; i++) {
		pool_free(provider->chunks[i].pool);
		p2pdma_bar_unmap(provider->chunks[i].map);
	}
	ways_free(provider);
	free(provider);
	peers_put(peers);
}

struct p2pdma_provider *provider_next(struct peers *peers, const struct p2pdma_bdf *bdf,
                                      struct p2pdma_provider *before)
{
	struct p2pdma_provider *next;

	mutex_lock(&peers->lock);
	for (next = before ? before->next : peers->providers; next; next = next->next)
		if (next->state != P2PDMA_PROVIDER_DEAD &&
		    (!bdf || is_same_bdf(next->bdf, *bdf) || is_same_bdf(next->decoder, *bdf)))
			break;
	if (next)
		p2pdma_provider_get(next);
	mutex_unlock(&peers->lock);
	p2pdma_provider_put(before);
	return next;
}

/* ---- registration ---- */

struct request {
	struct p2pdma_device *device;
	int bar;
	uint64_t size, offset, granule;
	bool is_naked;
	struct p2pdma_bar range;
};

static int refuse(struct p2pdma_error *err, int code, const struct request *request,
                  const char *why)
{
	struct p2pdma_bdf bdf = request->device->function->bdf;

	return report(err, code, BDF_FORMAT " BAR%d: %s", BDF_ARGS(bdf), request->bar, why);
}

static bool overlaps(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

/* PCIe Base 7.7.2: a table entry has 16 bytes, 64 pending bits have 8. */
static bool is_over_msix(const struct p2pdma_device *device, const struct request *request)
{
	int at = pcicap_find(device->config, PCICAP_ID_MSIX);
	uint32_t table, pending;
	uint16_t control;
	uint64_t count;

	if (at < 0 || pcicap_read16(device->config, (size_t)at + MSIX_CONTROL, &control) ||
	    pcicap_read32(device->config, (size_t)at + MSIX_TABLE, &table) ||
	    pcicap_read32(device->config, (size_t)at + MSIX_PENDING, &pending))
		return false;
	count = (control & 0x7ff) + 1u;
	return (request->bar == (int)(table & MSIX_BAR) &&
	        overlaps(request->offset, request->size, table & ~MSIX_BAR, 16 * count)) ||
	       (request->bar == (int)(pending & MSIX_BAR) &&
	        overlaps(request->offset, request->size, pending & ~MSIX_BAR,
	                 (count + 63) / 64 * 8));
}

/* @device is the function as it is now. */
static int check_range(struct request *request, const struct p2pdma_device *device,
                       struct p2pdma_error *err)
{
	uint64_t granule = request->granule;

	if (p2pdma_device_bar(device, request->bar, &request->range) || !request->range.is_memory)
		return refuse(err, -EINVAL, request, "the function has none, or it is no memory");
	if (!request->range.size || !request->range.bus.addr)
		return refuse(err, -EINVAL, request, "it has no address or its size is not known");
	if (request->offset >= request->range.size)
		return refuse(err, -EINVAL, request, "it ends before the offset");
	if (!request->size)
		request->size = request->range.size - request->offset;
	if (request->size > request->range.size - request->offset)
		return refuse(err, -EINVAL, request, "it ends before the range");
	if (granule < POOL_GRANULE_LEAST || granule > POOL_GRANULE_MOST || granule & (granule - 1))
		return refuse(err, -EINVAL, request,
		              "the granule must be a power of two from 64 to 2 MiB");
	if (request->offset % granule || request->size % granule ||
	    request->range.bus.addr % granule)
		return refuse(err, -EINVAL, request,
		              "offset, size and address must be multiples of the granule");
	if (is_over_msix(device, request))
		return refuse(err, -EINVAL, request,
		              "the MSI-X table or its pending bits are in the range");
	return 0;
}

/* The IOMMU's pages: what is in one cannot be let through in part. */
static uint64_t page_of(uint64_t offset)
{
	return offset & ~(uint64_t)(PAGE - 1);
}

static uint64_t page_end(uint64_t offset)
{
	return page_of(offset + PAGE - 1);
}

static int check_chunks(const struct p2pdma_provider *provider, const struct request *request,
                        struct p2pdma_error *err)
{
	if (provider->granule != request->granule || provider->is_naked != request->is_naked)
		return refuse(err, -EINVAL, request,
		              "granule and kind are those of the function's first range");
	for (unsigned int i = 0; i < provider->chunk_count; i++)
		if (provider->chunks[i].bar == request->bar &&
		    overlaps(page_of(request->offset),
		             page_end(request->offset + request->size) - page_of(request->offset),
		             provider->chunks[i].bar_offset, provider->chunks[i].size))
			return refuse(
				err, -EINVAL, request,
				"it overlaps a range registered before, or shares a page of 4096 "
				"bytes with it");
	if (provider->chunk_count == MOST_CHUNKS)
		return refuse(err, -ENOSPC, request, "the function has 8 ranges already");
	return 0;
}

/* Under peers->lock. */
static int add_chunk(struct p2pdma_provider *provider, const struct request *request)
{
	unsigned int count = provider->chunk_count;
	const struct chunk *last = count ? &provider->chunks[count - 1] : NULL;
	struct chunk *chunk = &provider->chunks[count];

	*chunk = (struct chunk){
		.bar = request->bar,
		.bar_offset = request->offset,
		.bar_size = request->range.size,
		.start = last ? last->start + last->size : 0,
		.size = request->size,
		.bus = { request->range.bus.addr + request->offset },
		.phys = { request->range.phys.addr + request->offset },
	};
	if (!request->is_naked) {
		int r = pool_new(chunk->bus.addr, chunk->size, request->granule, &chunk->pool);

		if (r)
			return r;
	}
	atomic_store_explicit(&provider->chunk_count, count + 1, memory_order_release);
	return 0;
}

/* A reference for the registration, none for the caller.  Under peers->lock. */
static struct p2pdma_provider *provider_new(struct peers *peers, const struct request *request)
{
	struct p2pdma_provider *provider = calloc(1, sizeof(*provider));
	const struct p2pdma_device *pf = p2pdma_device_physfn(request->device);

	if (!provider)
		return NULL;
	provider->peers = peers_get(peers);
	provider->bdf = request->device->function->bdf;
	provider->decoder = pf ? pf->function->bdf : provider->bdf;
	provider->granule = request->granule;
	provider->shift = (unsigned int)__builtin_ctzll(request->granule);
	provider->is_naked = request->is_naked;
	provider->references = 1;
	if (peers_is_held(peers, provider) ||
	    !memory_is_enabled(peers->backend, provider->bdf, provider->decoder))
		provider->state = P2PDMA_PROVIDER_REVOKED;
	provider->next = peers->providers;
	peers->providers = provider;
	return provider;
}

/* The function's provider; -EBUSY: it is being removed.  Under peers->lock. */
static int find_provider(struct peers *peers, struct p2pdma_bdf bdf,
                         struct p2pdma_provider **ret_provider)
{
	struct p2pdma_provider *at;

	*ret_provider = NULL;
	for (at = peers->providers; at; at = at->next) {
		bool is_held;

		if (!is_same_bdf(at->bdf, bdf))
			continue;
		if (at->state != P2PDMA_PROVIDER_DEAD) {
			*ret_provider = at;
			return 0;
		}
		spin_lock(&at->lock);
		is_held = at->is_ending || at->taken || at->mappings;
		spin_unlock(&at->lock);
		if (is_held)
			return -EBUSY;
	}
	return 0;
}

/* Under peers->lock. */
static int add(struct peers *peers, struct request *request, struct p2pdma_error *err,
               struct p2pdma_provider **ret_provider, bool *ret_is_new)
{
	struct p2pdma_bdf bdf = request->device->function->bdf;
	const struct opened *opened = peers_find_open(peers, bdf);
	const struct p2pdma_routes *routes;
	const struct p2pdma_device *device;
	struct p2pdma_provider *provider;
	int r;

	if (!opened)
		return refuse(err, -EPERM, request, "not open; use p2pdma_device_open()");
	r = peers_routes(peers, request->device, &routes);
	if (r)
		return refuse(err, r, request, strerror(-r));
	device = peers_now(routes, bdf);
	if (!device || opened->is_gone)
		return refuse(err, -ENODEV, request, "the function is gone");
	r = check_range(request, device, err);
	if (r)
		return r;
	r = find_provider(peers, bdf, &provider);
	if (r)
		return refuse(err, r, request,
		              "it is being removed, and importers, buffers or mappings are "
		              "still out");
	if (provider) {
		r = check_chunks(provider, request, err);
		if (r)
			return r;
	} else {
		*ret_is_new = true;
		provider = provider_new(peers, request);
	}
	if (!provider) {
		*ret_is_new = false;
		return refuse(err, -ENOMEM, request, strerror(ENOMEM));
	}
	*ret_provider = p2pdma_provider_get(provider);
	r = add_chunk(provider, request);
	if (r && *ret_is_new)
		provider->state = P2PDMA_PROVIDER_DEAD;
	return r ? refuse(err, r, request,
	                  r == -E2BIG ? "too many granules; use larger ones" : strerror(-r))
	         : 0;
}

int p2pdma_add_resource(struct p2pdma_device *device, int bar, uint64_t size, uint64_t offset,
                        const struct p2pdma_resource_opts *opts, struct p2pdma_error *err,
                        struct p2pdma_provider **ret_provider)
{
	struct peers *peers = device->machine->backend->peers;
	struct request request = {
		.device = device,
		.bar = bar,
		.size = size,
		.offset = offset,
		.granule = DEFAULT_GRANULE,
	};
	struct p2pdma_provider *provider = NULL;
	bool is_new = false;
	int r;

	if (opts && opts->size < sizeof(*opts))
		return refuse(err, -EINVAL, &request, "opts->size is too small");
	if (opts && opts->granule)
		request.granule = opts->granule;
	request.is_naked = opts && opts->is_naked;
	if (!(p2pdma_machine_caps(device->machine) & P2PDMA_CAP_BAR_MAP))
		return refuse(err, -EOPNOTSUPP, &request, "this machine is a picture only");
	mutex_lock(&peers->lock);
	r = add(peers, &request, err, &provider, &is_new);
	mutex_unlock(&peers->lock);
	if (!r) {
		*ret_provider = provider;
		return 0;
	}
	if (is_new)
		p2pdma_provider_put(provider);
	p2pdma_provider_put(provider);
	return r == -E2BIG ? -EINVAL : r;
}

/* ---- what is told of it ---- */

int p2pdma_provider_get_info(struct p2pdma_provider *provider,
                             struct p2pdma_provider_info *ret_info)
{
	struct p2pdma_provider_info info = {
		.size = sizeof(info),
		.bdf = provider->bdf,
		.state = (enum p2pdma_provider_state)atomic_load(&provider->state),
		.is_published = provider->is_published,
		.is_naked = provider->is_naked,
		.granule = provider->granule,
		.chunks = provider->chunk_count,
		.generation = provider->generation,
	};

	spin_lock(&provider->lock);
	for (unsigned int i = 0; i < info.chunks; i++) {
		struct pool *pool = provider->chunks[i].pool;
		uint64_t largest = pool ? pool_largest(pool) : 0;

		info.total += provider->chunks[i].size;
		info.free += pool ? pool->free : 0;
		if (largest > info.largest)
			info.largest = largest;
	}
	info.cached = caches_bytes(provider);
	info.buffers = provider->taken;
	info.mappings = provider->mappings;
	spin_unlock(&provider->lock);
	return copy_info(ret_info, &info, sizeof(info));
}

int p2pmem_publish(struct p2pdma_provider *provider, bool is_published)
{
	if (provider->is_naked)
		return -EINVAL;
	if (provider->state == P2PDMA_PROVIDER_DEAD)
		return -ENODEV;
	provider->is_published = is_published;
	return 0;
}

void p2pdma_machine_rescan(struct p2pdma_machine *machine)
{
	peers_stir(machine->backend->peers);
}

/* ---- its end ---- */

bool chunk_is_in_place(const struct chunk *chunk, const struct p2pdma_device *now)
{
	struct p2pdma_bar range;

	return !p2pdma_device_bar(now, chunk->bar, &range) &&
	       range.bus.addr + chunk->bar_offset == chunk->bus.addr;
}

/* What cannot be looked at is not taken for good.  Under peers->lock. */
static bool is_in_place(const struct p2pdma_provider *provider)
{
	const struct p2pdma_routes *routes;
	const struct p2pdma_device *now = peers_routes(provider->peers, NULL, &routes)
	                                          ? NULL
	                                          : peers_now(routes, provider->bdf);

	for (unsigned int i = 0; now && i < provider->chunk_count; i++)
		if (!chunk_is_in_place(&provider->chunks[i], now))
			return false;
	return now;
}

void provider_suspend(struct p2pdma_provider *provider)
{
	int live = P2PDMA_PROVIDER_LIVE;

	atomic_compare_exchange_strong(&provider->state, &live, P2PDMA_PROVIDER_REVOKED);
	views_revoke(provider);
	/* What triggers it has nobody to tell whom it cut off. */
	dmabufs_revoke(provider, false, peers_time(provider->peers) + P2PDMA_REVOKE_PATIENCE, NULL);
}

void provider_resume(struct p2pdma_provider *provider)
{
	struct peers *peers = provider->peers;
	int revoked = P2PDMA_PROVIDER_REVOKED;
	bool is_back;

	mutex_lock(&peers->lock);
	is_back = provider->state == P2PDMA_PROVIDER_REVOKED && !peers_is_held(peers, provider) &&
	          memory_is_enabled(peers->backend, provider->bdf, provider->decoder) &&
	          is_in_place(provider) &&
	          atomic_compare_exchange_strong(&provider->state, &revoked, P2PDMA_PROVIDER_LIVE);
	mutex_unlock(&peers->lock);
	if (!is_back)
		return;
	views_restore(provider);
	dmabufs_restore(provider);
}

int provider_end(struct p2pdma_provider *provider, uint64_t deadline, struct p2pdma_error *err)
{
	struct peers *peers = provider->peers;
	int was, r;

	/* Who looks for a provider under the lock finds it with its registration's reference. */
	mutex_lock(&peers->lock);
	was = atomic_exchange(&provider->state, P2PDMA_PROVIDER_DEAD);
	if (was != P2PDMA_PROVIDER_DEAD)
		provider->is_ending = true;
	mutex_unlock(&peers->lock);
	provider->is_published = false;
	if (was == P2PDMA_PROVIDER_DEAD)
		return 0;
	spin_lock(&provider->lock);
	caches_ask(provider);
	spin_unlock(&provider->lock);
	views_revoke(provider);
	r = dmabufs_revoke(provider, true, deadline, err);
	mutex_lock(&peers->lock);
	provider->is_ending = false;
	mutex_unlock(&peers->lock);
	p2pdma_provider_put(provider);
	return r;
}

/* What is out goes behind what @cut says. */
static bool is_held(struct p2pdma_provider *provider, const struct p2pdma_error *cut,
                    struct p2pdma_error *err)
{
	unsigned long long taken, cached;
	unsigned int mappings;

	spin_lock(&provider->lock);
	taken = provider->taken;
	cached = caches_bytes(provider);
	mappings = provider->mappings;
	spin_unlock(&provider->lock);
	if (!taken && !mappings)
		return false;
	report(err, -ETIMEDOUT,
	       "%s%s" BDF_FORMAT ": still out: %llu buffer%s (%llu bytes of them in caches), "
	       "%u mapped entr%s",
	       cut->text, cut->text[0] ? "; " : "", BDF_ARGS(provider->bdf), taken,
	       taken == 1 ? "" : "s", cached, mappings, mappings == 1 ? "y" : "ies");
	return true;
}

int p2pdma_provider_remove(struct p2pdma_provider *provider, uint64_t deadline,
                           struct p2pdma_error *err)
{
	struct p2pdma_error cut = { "" };
	int r = provider_end(provider, deadline, &cut), failures = 0;
	uint64_t now;

	if (r)
		report(err, r, "%s", cut.text);
	while (is_held(provider, &cut, err)) {
		/* A machine that was closed, or has no clock, goes on no more. */
		now = provider->peers->backend ? peers_time(provider->peers) : deadline;
		if (now >= deadline || failures > MOST_FAILURES)
			return -ETIMEDOUT;
		if (peers_wait(provider->peers,
		               deadline - now < LOOK_AGAIN ? deadline : now + LOOK_AGAIN) ||
		    peers_time(provider->peers) != now)
			failures = 0;
		else
			failures++;
	}
	return r;
}
