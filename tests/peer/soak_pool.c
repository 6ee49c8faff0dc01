/* SPDX-License-Identifier: MIT */
/*
 * soak_pool.c - providers, buffers, caches, and the CPU's ways to them.
 */
#include "soak.h"

/* ---- picking ---- */

struct source *random_source(bool is_alive)
{
	unsigned int first = below(SOURCES);

	for (unsigned int i = 0; i < SOURCES; i++) {
		struct source *source = &soak.sources[(first + i) % SOURCES];

		if (source->provider && !(is_alive && source->is_dead))
			return source;
	}
	return NULL;
}

struct buffer *random_buffer(bool is_unused)
{
	unsigned int first = below(BUFFERS);

	for (unsigned int i = 0; i < BUFFERS; i++) {
		struct buffer *buffer = &soak.buffers[(first + i) % BUFFERS];

		if (buffer->source && !(is_unused && buffer->users))
			return buffer;
	}
	return NULL;
}

struct place place_of(struct source *source, uint64_t offset, uint64_t length)
{
	for (unsigned int i = 0; i < source->chunk_count; i++)
		if (offset - source->chunks[i].start < source->chunks[i].size)
			return (struct place){
				.unit = source->unit,
				.offset =
					offset - source->chunks[i].start + source->chunks[i].offset,
				.length = length,
				.source = source,
			};
	broken("%#" PRIx64 " is in no chunk", offset);
}

static unsigned int number(const struct source *source)
{
	return (unsigned int)(source - soak.sources);
}

/* ---- providers ---- */

void source_died(struct source *source)
{
	source->is_dead = true;
	if (source->unit->source == source)
		source->unit->source = NULL;
}

void source_put(struct source *source)
{
	if (p2pdma_provider_put(source->provider))
		broken("p2pdma_provider_put() gives something");
	*source = (struct source){ 0 };
}

static bool overlaps(const struct source *source, uint64_t offset, uint64_t size)
{
	for (unsigned int i = 0; i < source->chunk_count; i++)
		if (offset < source->chunks[i].offset + source->chunks[i].size &&
		    source->chunks[i].offset < offset + size)
			return true;
	return false;
}

static struct source *new_source(void)
{
	for (unsigned int i = 0; i < SOURCES; i++)
		if (!soak.sources[i].provider)
			return &soak.sources[i];
	return NULL;
}

static void add_chunk(struct source *source, struct unit *unit, uint64_t offset, uint64_t size,
                      const struct p2pdma_resource_opts *opts)
{
	if (!source->chunk_count) {
		source->unit = unit;
		source->granule = opts->granule ? opts->granule : PAGE;
		source->is_naked = opts->is_naked;
		unit->source = source;
	}
	source->chunks[source->chunk_count].start = source->total;
	source->chunks[source->chunk_count].size = size;
	source->chunks[source->chunk_count++].offset = offset;
	source->total += size;
}

void op_add(void)
{
	static const uint64_t granules[] = { 0, 0, 4096, 64, 256, 8192 };
	struct p2pdma_resource_opts opts = { .size = sizeof(opts) };
	struct unit *unit = random_unit();
	struct p2pdma_provider *provider = NULL;
	struct source *source = unit->source;
	uint64_t offset, size;
	int r;

	if (unit->bar < 0)
		return;
	opts.granule = source && chance(90) ? source->granule : granules[below(6)];
	opts.is_naked = source && chance(90) ? source->is_naked : chance(8);
	offset = below((uint32_t)(unit->bytes / PAGE)) * (uint64_t)PAGE;
	size = (1 + below((uint32_t)((unit->bytes - offset) / PAGE))) * (uint64_t)PAGE;
	r = p2pdma_add_resource(unit->device, unit->bar, size, offset, &opts, NULL, &provider);
	result("add", r, -EINVAL, -EPERM, -ENODEV, -ENOSPC, -EBUSY, 1);
	did("add unit %u +%#" PRIx64 " %#" PRIx64 " granule %" PRIu64 "%s: %d",
	    (unsigned int)(unit - soak.units), offset, size, opts.granule,
	    opts.is_naked ? " naked" : "", r);
	if (r)
		return;
	if (!unit->is_open || (source && overlaps(source, offset, size)))
		broken("it cannot be added");
	if (source && source->provider != provider)
		broken("another provider of the same function");
	if (source)
		p2pdma_provider_put(provider);
	else
		source = new_source();
	if (!source)
		broken("more providers than there can be");
	source->provider = provider;
	add_chunk(source, unit, offset, size, &opts);
	if (!source->is_naked && chance(70))
		result("publish", p2pmem_publish(provider, true), 1);
}

void op_publish(void)
{
	struct source *source = random_source(false);
	int r;

	if (!source)
		return;
	r = p2pmem_publish(source->provider, chance(75));
	did("publish %u: %d", number(source), r);
	result("publish", r, -EINVAL, -ENODEV, 1);
	if ((r == -EINVAL) != source->is_naked || (!r && source->is_dead))
		broken("publish: %d", r);
}

void op_remove(void)
{
	struct source *source = random_source(!chance(20));
	uint64_t deadline;
	int r;

	if (!source || !chance(40))
		return;
	for (unsigned int i = 0; i < LEASES; i++) {
		struct lease *lease = &soak.leases[i];

		if (lease->mapping && lease->grant.places[0].source == source && chance(60))
			lease_end(lease);
	}
	stir();
	deadline = now() + below(3) * 500000ull;
	did("remove %u", number(source));
	r = p2pdma_provider_remove(source->provider, deadline, NULL);
	did("remove %u: %d", number(source), r);
	result("remove", r, -ETIMEDOUT, 1);
	source_died(source);
	loans_were_revoked(source, r, "remove");
	if (!r && (source->buffers || source_mappings(source)))
		broken("removed with buffers or mappings out");
}

/* ---- buffers ---- */

static uint64_t rounded(const struct source *source, uint64_t size)
{
	return (size + source->granule - 1) / source->granule * source->granule;
}

struct buffer *buffer_keep(struct source *source, struct p2pmem_buf buf)
{
	struct buffer *keep = NULL;
	uint64_t size = rounded(source, buf.size);

	if (buf.provider != source->provider)
		broken("a buffer of another provider");
	if (place_of(source, buf.offset, 1).offset + size !=
	    place_of(source, buf.offset + size - 1, 1).offset + 1)
		broken("a buffer across chunks");
	for (unsigned int i = 0; i < BUFFERS; i++) {
		const struct p2pmem_buf *other = &soak.buffers[i].buf;

		if (!soak.buffers[i].source)
			keep = &soak.buffers[i];
		else if (soak.buffers[i].source == source &&
		         buf.offset < other->offset + rounded(source, other->size) &&
		         other->offset < buf.offset + size)
			broken("buffers at %#" PRIx64 " and %#" PRIx64 " overlap", buf.offset,
			       other->offset);
	}
	if (!keep) {
		p2pmem_free(buf);
		return NULL;
	}
	*keep = (struct buffer){ source, buf, 0 };
	source->taken += size;
	source->buffers++;
	return keep;
}

static void forget(struct buffer *buffer)
{
	buffer->source->taken -= rounded(buffer->source, buffer->buf.size);
	buffer->source->buffers--;
	buffer->source = NULL;
}

void buffer_free(struct buffer *buffer)
{
	struct p2pmem_buf buf = buffer->buf, wrong = buf;
	bool is_dead = buffer->source->is_dead;

	wrong.size += 1 + below(5000);
	if (p2pmem_free(wrong) != -EINVAL)
		broken("a buffer of another size was freed");
	if (result("free", p2pmem_free(buf), 1))
		broken("a buffer cannot be freed");
	/* Its provider may have gone with the last one, but for the shadow's reference. */
	if (!is_dead && chance(20) && p2pmem_free(buf) != -EINVAL)
		broken("a buffer was freed twice");
	forget(buffer);
}

static uint64_t random_size(const struct source *source)
{
	return chance(70) ? (1 + below(3)) * (uint64_t)PAGE
	                  : 8 + below((uint32_t)(source->granule * 3)) / 8 * 8ull;
}

static void check_align(struct p2pmem_buf buf, uint64_t align)
{
	if (align && p2pmem_bus(buf).addr & (align - 1))
		broken("a buffer at bus address %#" PRIx64 " for %#" PRIx64, p2pmem_bus(buf).addr,
		       align);
}

void op_alloc(void)
{
	struct source *source = random_source(!chance(10));
	uint64_t size, align;
	struct p2pmem_buf buf;
	int r;

	if (!source)
		return;
	size = random_size(source);
	align = size % PAGE == 0 ? PAGE : chance(30) ? 1ull << below(14) : 0;
	r = p2pmem_alloc(source->provider, size, align, &buf);
	did("alloc %#" PRIx64 " of %u: %d", size, number(source), r);
	result("alloc", r, -ENOMEM, -ENODEV, -EINVAL, 1);
	if ((r == -EINVAL) != source->is_naked || (r == -ENODEV && !source->is_dead) ||
	    (!r && source->is_dead))
		broken("alloc: %d", r);
	if (r)
		return;
	check_align(buf, align);
	buffer_keep(source, buf);
}

void op_alloc_sgl(void)
{
	struct source *source = random_source(true);
	struct p2pmem_buf bufs[6];
	uint64_t size, total = 0;
	size_t count = 0, most = 1 + below(6);
	int r;

	if (!source)
		return;
	size = (1 + below(6)) * (uint64_t)PAGE;
	r = p2pmem_alloc_sgl(source->provider, size, 0, most, bufs, &count);
	did("alloc_sgl %#" PRIx64 " of %u in %zu: %d, %zu", size, number(source), most, r, count);
	result("alloc_sgl", r, -ENOMEM, -EINVAL, 1);
	if ((r == -EINVAL) != source->is_naked)
		broken("alloc_sgl: %d", r);
	if (r)
		return;
	if (!count || count > most)
		broken("%zu pieces", count);
	for (size_t i = 0; i < count; i++) {
		total += bufs[i].size;
		buffer_keep(source, bufs[i]);
	}
	if (total != size)
		broken("%#" PRIx64 " bytes in place of %#" PRIx64, total, size);
}

void op_free(void)
{
	struct buffer *buffer = random_buffer(true);

	if (!buffer)
		return;
	did("free %#" PRIx64 " of %u", buffer->buf.offset, number(buffer->source));
	buffer_free(buffer);
}

/* ---- caches ---- */

static void cache_new(struct shelf *shelf)
{
	struct source *source = random_source(true);
	int r;

	if (!source)
		return;
	for (unsigned int i = 0; i < CACHES; i++)
		if (soak.shelves[i].cache && soak.shelves[i].source == source)
			return;
	*shelf = (struct shelf){ .source = source, .size = random_size(source) };
	r = p2pmem_cache_new(source->provider, shelf->size, 0, 2 + below(4), &shelf->cache);
	did("cache of %#" PRIx64 " of %u: %d", shelf->size, number(source), r);
	result("cache_new", r, -EINVAL, 1);
	if ((r == -EINVAL) != source->is_naked)
		broken("cache_new: %d", r);
	if (r)
		shelf->cache = NULL;
}

static void cache_alloc(struct shelf *shelf)
{
	struct p2pmem_buf buf;
	int r = p2pmem_cache_alloc(shelf->cache, &buf);

	did("cache_alloc of %u: %d", number(shelf->source), r);
	result("cache_alloc", r, -ENOMEM, -ENODEV, 1);
	if ((r == -ENODEV) != shelf->source->is_dead)
		broken("cache_alloc: %d", r);
	if (r)
		return;
	if (buf.size != shelf->size)
		broken("a cache of %#" PRIx64 " gives %#" PRIx64, shelf->size, buf.size);
	buffer_keep(shelf->source, buf);
}

static void cache_put(struct shelf *shelf)
{
	for (unsigned int i = 0; i < BUFFERS; i++) {
		struct buffer *buffer = &soak.buffers[i];

		if (buffer->source != shelf->source || buffer->users ||
		    buffer->buf.size != shelf->size)
			continue;
		did("cache_put %#" PRIx64 " of %u", buffer->buf.offset, number(shelf->source));
		if (result("cache_put", p2pmem_cache_put(shelf->cache, buffer->buf), 1))
			broken("cache_put fails");
		forget(buffer);
		return;
	}
}

void op_cache(void)
{
	struct shelf *shelf = &soak.shelves[below(CACHES)];
	uint32_t what = below(10);

	if (!shelf->cache) {
		cache_new(shelf);
	} else if (what < 4) {
		cache_alloc(shelf);
	} else if (what < 7) {
		cache_put(shelf);
	} else if (what < 8 || shelf->source->is_dead) {
		p2pmem_cache_flush(shelf->cache);
	} else if (what < 9) {
		did("cache of %u ends", number(shelf->source));
		if (p2pmem_cache_free(shelf->cache))
			broken("p2pmem_cache_free() gives something");
		*shelf = (struct shelf){ 0 };
	}
}

/* ---- the CPU ---- */

static bool is_live(const struct source *source)
{
	struct p2pdma_provider_info info = { .size = sizeof(info) };

	return !p2pdma_provider_get_info(source->provider, &info) &&
	       info.state == P2PDMA_PROVIDER_LIVE;
}

void op_cpu(void)
{
	struct buffer *buffer = random_buffer(false);
	uint64_t words[32], back[32], offset, length;
	struct place place;
	uint64_t *granted;
	bool is_shared;
	int r;

	if (!buffer || buffer->buf.size < 8)
		return;
	length = 8 * (1 + below(buffer->buf.size / 8 < 32 ? (uint32_t)buffer->buf.size / 8 : 32));
	offset = 8ull * below((uint32_t)((buffer->buf.size - length) / 8 + 1));
	place = place_of(buffer->source, buffer->buf.offset + offset, length);
	granted = &place.unit->granted[place.offset / PAGE];
	is_shared = granted[0] || granted[(place.offset % PAGE + length - 1) / PAGE];
	for (unsigned int i = 0; i < length / 8; i++)
		words[i] = stamp(CPU);
	granted[0] |= 1ull << CPU;
	granted[(place.offset % PAGE + length - 1) / PAGE] |= 1ull << CPU;
	r = p2pmem_copy_to(buffer->buf, offset, words, length);
	result("copy_to", r, -ENODEV, -EPERM, 1);
	if (!r)
		r = result("flush", p2pmem_flush(buffer->buf), -ENODEV, -EPERM, 1);
	if (!r)
		r = result("copy_from", p2pmem_copy_from(buffer->buf, offset, length, back),
		           -ENODEV, -EPERM, 1);
	did("CPU copies %" PRIu64 " bytes to unit %u+%#" PRIx64 ": %d", length,
	    (unsigned int)(place.unit - soak.units), place.offset, r);
	if (!r && buffer->source->is_dead)
		broken("the CPU reaches dead memory");
	if (!r && !is_shared && !soak.is_shaken && memcmp(words, back, length) != 0)
		broken("the CPU reads what it did not write");
	if (r)
		lab_run(&soak.lab, 1000000);
}

static void window_end(struct window *window)
{
	if (result("munmap", p2pmem_munmap(window->buffer->buf, window->memory), 1))
		broken("a view cannot be unmapped");
	window->buffer->users--;
	window->memory = NULL;
}

static void look_through(struct window *window)
{
	struct p2pmem_buf buf = window->buffer->buf;
	struct place place = place_of(window->buffer->source, buf.offset, buf.size);
	uint64_t at = 8ull * below((uint32_t)buf.size / 8), word = stamp(CPU), ones = UINT64_MAX;
	char *memory = window->memory;
	bool has_it = is_live(window->buffer->source);

	if (memcmp(memory + at, has_it ? (void *)(place.unit->memory + place.offset + at) : &ones,
	           8) != 0)
		broken("a view of %s memory shows something else", has_it ? "live" : "revoked");
	if (!has_it)
		return;
	place.unit->granted[(place.offset + at) / PAGE] |= 1ull << CPU;
	memcpy(memory + at, &word, 8);
	if (memcmp(place.unit->memory + place.offset + at, &word, 8) != 0)
		broken("what was stored through a view is not there");
}

void op_view(void)
{
	struct window *window = &soak.windows[below(VIEWS)];
	struct buffer *buffer;
	int r;

	if (window->memory) {
		look_through(window);
		if (chance(30))
			window_end(window);
		return;
	}
	buffer = random_buffer(false);
	if (!buffer)
		return;
	r = p2pmem_mmap(buffer->buf, &window->memory);
	did("mmap %#" PRIx64 " of %u: %d", buffer->buf.offset, number(buffer->source), r);
	result("mmap", r, -EINVAL, -ENODEV, -EPERM, 1);
	if (!r && (buffer->source->is_dead || buffer->buf.size % PAGE))
		broken("it cannot be shown");
	if (r) {
		window->memory = NULL;
		return;
	}
	window->buffer = buffer;
	buffer->users++;
	look_through(window);
}

void pool_clear(void)
{
	for (unsigned int i = 0; i < VIEWS; i++)
		if (soak.windows[i].memory)
			window_end(&soak.windows[i]);
	for (unsigned int i = 0; i < CACHES; i++)
		p2pmem_cache_free(soak.shelves[i].cache);
	memset(soak.shelves, 0, sizeof(soak.shelves));
	for (unsigned int i = 0; i < BUFFERS; i++)
		if (soak.buffers[i].source)
			buffer_free(&soak.buffers[i]);
}
