/* SPDX-License-Identifier: MIT */
/* compare.c - one pair, by all kinds of TLPs. */
#include "trial.h"

#include "machine_ops.h"
#include "topology.h"

/* What lowers an op to unknown. */
static void count_cause(struct tally *tally, enum p2pdma_verdict verdict,
                        const struct p2pdma_why *why)
{
	static const enum p2pdma_reason_code causes[] = {
		P2PDMA_REASON_BRIDGE_TARGET,   P2PDMA_REASON_ACS_UNKNOWN,
		P2PDMA_REASON_EGRESS_UNKNOWN,  P2PDMA_REASON_SHARED_LINK_NO_ACS,
		P2PDMA_REASON_NO_UPSTREAM_FWD, P2PDMA_REASON_NOT_A_PORT,
		P2PDMA_REASON_VIRTUAL,         P2PDMA_REASON_BAR_UNSEEN,
		P2PDMA_REASON_NODE_UNSEEN,     P2PDMA_REASON_COMMAND_UNSEEN,
		P2PDMA_REASON_ROOT_MISSING,    P2PDMA_REASON_ADDRESS_CLAIMED_TWICE,
		P2PDMA_REASON_ROOT_UNKNOWN,
	};

	if (verdict != P2PDMA_VERDICT_UNKNOWN)
		return;
	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
		for (size_t j = 0; j < why->count; j++) {
			if (why->reasons[j].code == causes[i]) {
				tally->causes[causes[i]]++;
				return;
			}
		}
	}
	tally->causes[why->count ? why->reasons[0].code : 0]++;
}

static void count_pair(struct tally *tally, const struct p2pdma_explanation *e)
{
	bool seen[HAZARDS] = { false };

	tally->pairs++;
	tally->write[e->route.write]++;
	tally->read[e->route.read]++;
	tally->request[e->route.request]++;
	tally->completion[e->route.completion]++;
	tally->unknown +=
		e->route.write == P2PDMA_VERDICT_UNKNOWN || e->route.read == P2PDMA_VERDICT_UNKNOWN;
	count_cause(tally, e->route.write, &e->write);
	count_cause(tally, e->route.read, &e->read);
	for (size_t i = 0; i < e->hazard_count; i++) {
		tally->hazards[e->hazards[i].code] += !seen[e->hazards[i].code];
		seen[e->hazards[i].code] = true;
	}
}

static struct probe *memory_of(const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };

	if (p2pdma_device_get_info(device, &info))
		abort();
	if (info.is_vf || info.vendor != 0x1209 || info.device < 0x1000 ||
	    info.device >= 0x1000 + PROBES)
		return NULL;
	return lab_probe(info.device - 0x1000u);
}

/*
 * Where the IOMMU translates, what a driver does first: the BAR for the client, at its address on
 * the bus.  Clients are open all the time, since closing one switches its bus mastering off.
 */
static void map(const struct trial *t, bool is_on)
{
	struct backend *backend = t->c->lab->machine->backend;
	struct machine_dma dma = {
		.phys = { t->address & ~0xfffull },
		.length = (t->address % 4096 + t->length + 4095) & ~(size_t)4095,
		.op = P2PDMA_OP_BOTH,
		.is_fixed = true,
		.address = { t->address & ~0xfffull },
	};
	struct p2pdma_dma address = dma.address;
	int r;

	if (is_on)
		r = backend->ops.dma_map(backend->private, t->client_bdf, &dma, &address);
	else
		r = backend->ops.dma_unmap(backend->private, t->client_bdf, address, dma.length);
	if (!r)
		return;
	printf("seed %" PRIu64 ": mapping %#" PRIx64 " for %s: %d\n", t->c->seed, t->address,
	       lab_text(t->client_bdf), r);
	abort();
}

static bool has_ats(const struct trial *t)
{
	size_t at = lab_ext(t->client, EXT_ATS);

	return at && lab_get(t->client, at + 6, 2) != 0xffff &&
	       lab_get(t->client, at + 6, 2) & 0x8000;
}

/* At the BAR that the explanation judged; where that has no address now, at where it was once. */
static void aim(struct trial *t)
{
	struct p2pdma_bar range = t->e->range;
	struct p2pdma_device *once;

	if (p2pdma_machine_find(t->c->lab->machine, t->provider_bdf, &once))
		abort();
	t->memory = memory_of(once);
	if ((t->e->bar < 0 || !range.bus.addr) && p2pdma_device_bar(once, 0, &range))
		return;
	t->address = range.bus.addr;
	t->length = range.size && range.size < DMA_BYTES ? range.size : DMA_BYTES;
}

void compare_pair(struct comparison *c, struct p2pdma_device *provider,
                  struct p2pdma_device *client)
{
	struct trial t = {
		.c = c,
		.provider = provider,
		.client = client,
		.provider_bdf = lab_bdf(provider),
		.client_bdf = lab_bdf(client),
	};
	struct p2pdma_explanation *e;

	if (p2pdma_routes_explain(c->routes, provider, client, &e))
		abort();
	t.e = e;
	count_pair(c->tally, e);
	aim(&t);
	/* Without an address there is nothing to send; nor does the verdict say who else may claim
	 * what a function sends to itself. */
	if (t.address && !(c->has_overlaps && provider == client)) {
		if (c->plan->is_translated)
			map(&t, true);
		for (int i = 0; i < 4; i++) {
			t.op = i & 1 ? P2PDMA_OP_READ : P2PDMA_OP_WRITE;
			t.is_translated = i & 2;
			if (!t.is_translated || has_ats(&t))
				trial_run(&t);
		}
		if (c->plan->is_translated)
			map(&t, false);
	}
	p2pdma_explanation_free(e);
}
