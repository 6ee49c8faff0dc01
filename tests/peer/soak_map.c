/* SPDX-License-Identifier: MIT */
/*
 * soak_map.c - mappings by map.h, DMA by way of them, and finding.
 */
#include "soak.h"

struct unit *random_unit(void)
{
	return &soak.units[below(soak.unit_count)];
}

/* Mostly one that is open and a worker. */
struct unit *random_client(void)
{
	struct unit *unit = random_unit();

	for (int i = 0; i < 6 && !(unit->is_open && unit->worker); i++)
		unit = random_unit();
	return unit;
}

static unsigned int number(const struct unit *unit)
{
	return (unsigned int)(unit - soak.units);
}

/* All that it has sent has landed, and nothing more comes. */
static void quiesce(struct grant *grant)
{
	stream_stop(grant);
	/* One that has ended by itself may have its last write on the way. */
	lab_run(&soak.lab, 2000000);
}

void lease_end(struct lease *lease)
{
	struct grant *grant = &lease->grant;

	quiesce(grant);
	/* Before the shadow takes the grant back: what has landed by now was right. */
	check_memory("before unmap");
	for (unsigned int i = 0; i < grant->place_count; i++)
		if (!grant->places[i].source)
			soak.host_used &= ~(((1u << grant->places[i].length / PAGE) - 1)
			                    << grant->places[i].offset / PAGE);
	if (p2pdma_unmap_sg(lease->mapping))
		broken("p2pdma_unmap_sg() gives something");
	lease->mapping = NULL;
	grant_end(grant);
}

/* Host memory that nobody else has mapped: the shadow tells writers apart by pages. */
static bool host_place(struct place *ret_place)
{
	unsigned int count = 1 + below(2), first = below(PAGES - count);
	unsigned int mask = ((1u << count) - 1) << first;

	if (soak.host_used & mask)
		return false;
	soak.host_used |= mask;
	*ret_place = (struct place){ &soak.units[HOST], (uint64_t)first * PAGE,
		                     (uint64_t)count * PAGE, NULL, NULL };
	return true;
}

static unsigned int make_list(struct grant *grant, struct p2pdma_sg *sgl)
{
	unsigned int wanted = chance(60) ? 1 : 2 + below(4), count = 0;

	while (count < wanted) {
		struct buffer *buffer = random_buffer(false);
		struct place *place = &grant->places[count];

		if (!buffer || chance(12)) {
			if (!host_place(place))
				break;
			sgl[count++] = (struct p2pdma_sg){
				.memory = place->unit->memory + place->offset,
				.length = place->length,
			};
			continue;
		}
		*place = place_of(buffer->source, buffer->buf.offset, buffer->buf.size);
		place->buffer = buffer;
		sgl[count++] = p2pdma_sg_buf(buffer->buf);
	}
	return count;
}

static bool uses_dead(const struct grant *grant)
{
	for (unsigned int i = 0; i < grant->place_count; i++)
		if (grant->places[i].source && grant->places[i].source->is_dead)
			return true;
	return false;
}

static void forget_list(const struct grant *grant)
{
	for (unsigned int i = 0; i < grant->place_count; i++)
		if (!grant->places[i].source)
			soak.host_used &= ~(((1u << grant->places[i].length / PAGE) - 1)
			                    << grant->places[i].offset / PAGE);
}

static void take_segments(struct lease *lease)
{
	struct grant *grant = &lease->grant;
	const struct p2pdma_dma_segment *segments =
		p2pdma_mapping_segments(lease->mapping, &grant->segment_count);

	if (grant->segment_count > SEGMENTS)
		broken("%zu segments", grant->segment_count);
	memcpy(grant->segments, segments, grant->segment_count * sizeof(*segments));
}

/* A mapping's first moments, in which nothing has changed yet. */
static void use(struct grant *grant)
{
	if (chance(70))
		grant_dma(grant, "just mapped");
	if (grant->op & P2PDMA_OP_WRITE && chance(50))
		grant->stream = stream_start(grant, 10 + below(60), 200ull << below(9));
}

void op_map(void)
{
	struct lease *lease = &soak.leases[below(LEASES)];
	struct unit *client = random_client();
	struct p2pdma_sg sgl[SEGMENTS];
	struct p2pdma_error err = { "" };
	struct grant *grant = &lease->grant;
	int r;

	if (lease->mapping)
		return;
	*grant = (struct grant){
		.client = client,
		.op = (enum p2pdma_op)(1 + below(3)),
		.flags = chance(10) ? P2PDMA_SG_UNKNOWN_IS_YES : 0,
	};
	grant->place_count = make_list(grant, sgl);
	r = p2pdma_map_sg(client->device, sgl, grant->place_count, grant->op, grant->flags, &err,
	                  &lease->mapping);
	did("map %u entries (unit %u+%#" PRIx64 ") for unit %u, op %d%s: %d %s", grant->place_count,
	    grant->place_count ? number(grant->places[0].unit) : 0,
	    grant->place_count ? grant->places[0].offset : 0, number(client), grant->op,
	    grant->flags ? ", forced" : "", r, r ? err.text : "");
	result("map", r, -EINVAL, -EREMOTEIO, -ENODEV, -EPERM, -EBUSY, 1);
	if (!r && (uses_dead(grant) || !client->is_open || client->is_cut_off || client->is_gone))
		broken("it cannot be mapped");
	if (r) {
		forget_list(grant);
		lease->mapping = NULL;
		return;
	}
	take_segments(lease);
	grant_begin(grant);
	use(grant);
}

void op_unmap(void)
{
	struct lease *lease = &soak.leases[below(LEASES)];

	if (!lease->mapping)
		return;
	did("unmap of unit %u", number(lease->grant.client));
	lease_end(lease);
}

void op_dma(void)
{
	struct lease *lease = &soak.leases[below(LEASES)];

	if (lease->mapping)
		grant_dma(&lease->grant, "mapped");
}

void op_run(void)
{
	lab_run(&soak.lab, 100ull << below(14));
}

/* ---- find ---- */

struct refusals {
	unsigned int count;
};

static void refused(void *arg, const struct p2pmem_refusal *refusal)
{
	struct refusals *refusals = arg;

	(void)refusal;
	refusals->count++;
}

static struct source *source_of(const struct p2pdma_provider *provider)
{
	for (unsigned int i = 0; i < SOURCES; i++)
		if (soak.sources[i].provider == provider)
			return &soak.sources[i];
	broken("a provider that nobody registered");
}

/* What was found has to be had. */
static void try_found(struct source *source, struct unit *const *clients, unsigned int count,
                      enum p2pdma_op op)
{
	struct p2pdma_mapping *mapping;
	struct p2pdma_error err = { "" };
	struct p2pmem_buf buf;
	struct p2pdma_sg sg;
	int r = p2pmem_alloc(source->provider, PAGE, PAGE, &buf);

	if (r == -ENOMEM)
		return;
	if (r)
		broken("alloc of what was found: %d", r);
	sg = p2pdma_sg_buf(buf);
	for (unsigned int i = 0; i < count; i++) {
		if (!clients[i]->is_open || clients[i]->is_cut_off || clients[i]->is_gone)
			continue;
		r = p2pdma_map_sg(clients[i]->device, &sg, 1, op, 0, &err, &mapping);
		/* A page is mapped for less by others; an IOMMU too narrow for the address. */
		if (r && r != -EBUSY && !(r == -EREMOTEIO && strstr(err.text, "can be no IOVA")))
			broken("found, and not mapped: %d %s", r, err.text);
		if (!r)
			p2pdma_unmap_sg(mapping);
	}
	if (p2pmem_free(buf))
		broken("it cannot be freed");
}

void op_find(void)
{
	struct refusals refusals = { 0 };
	struct p2pmem_find_opts opts = {
		.size = sizeof(opts),
		.free = chance(30) ? PAGE * (1ull + below(4)) : 0,
		.tie = (enum p2pmem_tie)below(3),
		.seed = below(100),
		.refused = refused,
		.arg = &refusals,
	};
	enum p2pdma_op op = (enum p2pdma_op)(1 + below(3));
	struct p2pdma_provider *provider = NULL;
	struct p2pdma_device *devices[3];
	struct unit *clients[3];
	unsigned int count = 1 + below(3);
	struct source *source;
	int r;

	for (unsigned int i = 0; i < count; i++) {
		clients[i] = random_client();
		devices[i] = clients[i]->device;
	}
	/* What has happened is known only once it was asked for. */
	lab_run(&soak.lab, 10);
	r = p2pmem_find_many(devices, count, op, &opts, NULL, &provider);
	result("find", r, -ENODEV, 1);
	source = r ? NULL : source_of(provider);
	did("find for %u clients, unit %u first: %d, %u refused", count, number(clients[0]), r,
	    refusals.count);
	if (r)
		return;
	if (source->is_dead || source->is_naked)
		broken("found what is dead or naked");
	if (!soak.is_shaken && !p2pdma_sim_faults_pending(soak.lab.sim))
		try_found(source, clients, count, op);
	p2pdma_provider_put(provider);
}

void map_clear(void)
{
	for (unsigned int i = 0; i < LEASES; i++)
		if (soak.leases[i].mapping)
			lease_end(&soak.leases[i]);
}
