/* SPDX-License-Identifier: MIT */
#include "generate.h"

#define DEEPEST 4

struct writer {
	struct random random;
	FILE *out;
	struct fabric_plan *plan;
	unsigned int budget; /* endpoints still to come */
	unsigned int next_id;
	bool has_vfs;
};

uint64_t random_next(struct random *random)
{
	/* splitmix64 (Steele, Lea and Flood, 2014) */
	uint64_t z = random->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint32_t random_below(struct random *random, uint32_t limit)
{
	return (uint32_t)((random_next(random) >> 32) * limit >> 32);
}

bool random_chance(struct random *random, uint32_t percent)
{
	return random_below(random, 100) < percent;
}

static uint32_t below(struct writer *w, uint32_t limit)
{
	return random_below(&w->random, limit);
}

static bool chance(struct writer *w, uint32_t percent)
{
	return random_below(&w->random, 100) < percent;
}

static const char *const acs_names[] = { "SrcValid",    "TransBlk",   "ReqRedir",   "CmpltRedir",
	                                 "UpstreamFwd", "EgressCtrl", "DirectTrans" };

static void write_names(struct writer *w, unsigned int mask)
{
	const char *comma = "";

	fputc('[', w->out);
	for (unsigned int i = 0; i < 7; i++) {
		if (!(mask >> i & 1))
			continue;
		fprintf(w->out, "%s\"%s\"", comma, acs_names[i]);
		comma = ",";
	}
	fputc(']', w->out);
}

static void write_port_acs(struct writer *w)
{
	uint32_t kind = below(w, 100);

	if (kind < 5) {
		fprintf(w->out, ",\"acs\":\"none\"");
	} else if (kind < 20) {
		unsigned int capability = below(w, 128) | 0x10;

		fprintf(w->out, ",\"acs\":{\"capability\":");
		write_names(w, capability);
		fprintf(w->out, ",\"control\":");
		write_names(w, capability & below(w, 128) & 0x5f);
		fputc('}', w->out);
	} else if (kind < 40) {
		fprintf(w->out, ",\"acs\":{\"capability\":\"all\",\"egress\":[%u,%u]}", below(w, 4),
		        4 + below(w, 4));
	}
}

/* Functions of one device: peer control declared in full, in part, or not at all. */
static void write_function_acs(struct writer *w)
{
	uint32_t kind = below(w, 100);

	if (kind < 70)
		fprintf(w->out, ",\"acs\":{\"capability\":[\"ReqRedir\",\"CmpltRedir\","
		                "\"EgressCtrl\",\"DirectTrans\"]}");
	else if (kind < 92) {
		fprintf(w->out, ",\"acs\":{\"capability\":");
		write_names(w, below(w, 128) & 0x6c);
		fputc('}', w->out);
	}
}

static void write_link(struct writer *w)
{
	fprintf(w->out, ",\"link\":\"gen%u x%u\"", 3 + below(w, 3), 4u << below(w, 3));
	if (chance(w, 10))
		fprintf(w->out, ",\"trained\":\"gen%u x%u\"", 1 + below(w, 3), 1u << below(w, 3));
}

static void write_payload(struct writer *w)
{
	if (chance(w, 70))
		fprintf(w->out, ",\"max_mps\":%u", 256u << below(w, 3));
	if (chance(w, 20))
		fprintf(w->out, ",\"mrrs\":%u", 128u << below(w, 6));
}

static void write_probe(struct writer *w)
{
	uint32_t kind = below(w, 100);

	w->budget -= w->budget > 0;
	if (w->next_id == PROBES)
		return;
	fprintf(w->out, ",\"model\":\"probe\",\"id\":%u", w->next_id++);
	if (kind < 30)
		fprintf(w->out, ",\"bar\":\"registers\"");
	else if (kind < 35)
		fprintf(w->out, ",\"bar\":\"none\"");
}

static void write_endpoint(struct writer *w, bool has_siblings)
{
	fprintf(w->out, "{\"type\":\"endpoint\"");
	write_probe(w);
	write_payload(w);
	if (chance(w, 10))
		fprintf(w->out, ",\"tags\":%u", chance(w, 50) ? 32 : 256);
	if (chance(w, 30))
		fprintf(w->out, ",\"ats\":true");
	if (has_siblings) {
		write_function_acs(w);
	} else {
		write_link(w);
		if (w->has_vfs && chance(w, 30)) {
			fprintf(w->out, ",\"vfs\":%u", 1 + below(w, 2));
			write_function_acs(w);
		}
	}
	fputc('}', w->out);
}

static void write_device(struct writer *w)
{
	unsigned int count = 2 + below(w, 2);

	fprintf(w->out, "{\"type\":\"device\"");
	write_link(w);
	fprintf(w->out, ",\"functions\":[");
	for (unsigned int i = 0; i < count; i++) {
		if (i)
			fputc(',', w->out);
		write_endpoint(w, true);
	}
	fprintf(w->out, "]}");
}

/* Below a bridge: conventional functions, sometimes another bridge. */
static void write_conventional(struct writer *w, const char *type, int depth)
{
	if (!strcmp(type, "conventional")) {
		fprintf(w->out, "{\"type\":\"conventional\"");
		write_probe(w);
		fputc('}', w->out);
		return;
	}
	fprintf(w->out, "{\"type\":\"bridge\",\"below\":[");
	for (unsigned int i = 1 + below(w, 2); i; i--) {
		bool is_bridge = depth < DEEPEST && chance(w, 15);

		write_conventional(w, is_bridge ? "bridge" : "conventional", depth + 1);
		fprintf(w->out, i > 1 ? "," : "");
	}
	fprintf(w->out, "]}");
}

static void write_switch(struct writer *w, int depth);

/* What sits on a link. */
static void write_on_link(struct writer *w, int depth)
{
	uint32_t kind = below(w, 100);

	if (kind < 28 && depth < DEEPEST)
		write_switch(w, depth + 1);
	else if (kind < 40)
		write_device(w);
	else if (kind < 44)
		write_conventional(w, "bridge", depth + 1);
	else
		write_endpoint(w, false);
}

/* A bridge in a root or switch would be one without a port there: those get explicit ones. */
static void write_port(struct writer *w, int depth)
{
	bool is_explicit = chance(w, 60);

	if (!is_explicit && depth) {
		write_on_link(w, depth);
		return;
	}
	fprintf(w->out, "{\"type\":\"port\"");
	if (is_explicit)
		write_port_acs(w);
	if (chance(w, 15))
		fprintf(w->out, ",\"latency_ns\":%u", 50 + below(w, 200));
	fprintf(w->out, ",\"below\":[");
	write_on_link(w, depth);
	fprintf(w->out, "]}");
}

static void write_switch(struct writer *w, int depth)
{
	unsigned int count = 2 + below(w, 3);

	fprintf(w->out, "{\"type\":\"switch\"");
	write_link(w);
	fprintf(w->out, ",\"below\":[");
	for (unsigned int i = 0; i < count && (i < 1 || w->budget); i++) {
		if (i)
			fputc(',', w->out);
		write_port(w, depth);
	}
	fprintf(w->out, "]}");
}

static const char *op_words(unsigned int ops)
{
	static const char *const words[] = { "none", "w", "r", "rw" };

	return words[ops & P2PDMA_OP_BOTH];
}

/* Host bridges trusted, trusted for one root complex only, seen to refuse reads, and unknown. */
static void write_policy(struct writer *w, struct root_plan *root, uint32_t host)
{
	static const char *const trusted[] = { "8086:2020", "8086:09a2", "1d17:1008", "1ae0:0001" };
	static const char *const refusals[] = { "ur", "ones", "timeout" };
	const char *id = NULL;

	root->same_port = chance(w, 60) ? P2PDMA_OP_BOTH : below(w, 4);
	root->across_ports = chance(w, 60) ? P2PDMA_OP_BOTH : below(w, 4);
	root->across_sockets = chance(w, 40) ? P2PDMA_OP_BOTH : below(w, 4);
	root->splits = chance(w, 30);
	if (host < 86)
		id = trusted[below(w, 4)];
	else if (host < 89)
		id = "8086:2f00";
	else if (host < 97)
		id = "8086:7d1a";
	else if (host < 99)
		id = "8086:1234";
	if (id && !strcmp(id, "8086:7d1a")) {
		root->same_port &= P2PDMA_OP_WRITE;
		root->across_ports &= P2PDMA_OP_WRITE;
		root->across_sockets &= P2PDMA_OP_WRITE;
	}
	fprintf(w->out,
	        "\"platform\":{\"same_port\":\"%s\",\"across_ports\":\"%s\","
	        "\"across_sockets\":\"%s\",\"refused_reads\":\"%s\",\"splits\":%s",
	        op_words(root->same_port), op_words(root->across_ports),
	        op_words(root->across_sockets), refusals[below(w, 3)],
	        root->splits ? "true" : "false");
	if (id)
		fprintf(w->out, ",\"host_bridge\":\"%s\"", id);
	fprintf(w->out, "}");
}

static void write_root(struct writer *w, struct root_plan *root, uint32_t host)
{
	unsigned int count = 2 + below(w, 2);

	fputc('{', w->out);
	write_policy(w, root, host);
	fprintf(w->out, ",\"socket\":%d,\"domain\":%u,\"below\":[", root->socket, root->domain);
	for (unsigned int i = 0; i < count && (i < 1 || w->budget); i++) {
		uint32_t kind = below(w, 100);

		if (i)
			fputc(',', w->out);
		if (kind < 8) {
			fprintf(w->out, "{\"type\":\"integrated\"");
			write_probe(w);
			fputc('}', w->out);
		} else if (kind < 16) {
			write_conventional(w, kind < 12 ? "bridge" : "conventional", 1);
		} else {
			write_port(w, 0);
		}
	}
	fprintf(w->out, "]}");
}

void generate(uint64_t seed, struct fabric_plan *ret_plan)
{
	static const char *const iommus[] = { "none", "passthrough", "translated" };
	struct writer w = { .random = { seed }, .plan = ret_plan };
	unsigned int iommu;
	uint32_t host;
	size_t size;

	*ret_plan = (struct fabric_plan){ 0 };
	w.out = open_memstream(&ret_plan->json, &size);
	if (!w.out)
		abort();
	w.budget = 4 + below(&w, 12);
	w.has_vfs = chance(&w, 30);
	ret_plan->root_count = 1 + below(&w, 3) * chance(&w, 60);
	/* Mostly one vendor: a platform has one kind of root complex. */
	host = below(&w, 100);
	iommu = chance(&w, 60) ? 0 : below(&w, 3);
	ret_plan->is_translated = iommu == 2;
	fprintf(w.out, "{\"format\":\"p2pdma-fabric\",\"version\":1,\"seed\":%u,", below(&w, 1000));
	if (chance(&w, 20))
		fprintf(w.out, "\"landing_ns\":%u,", below(&w, 2000));
	if (chance(&w, 20))
		fprintf(w.out,
		        "\"machine\":{\"kernel\":\"6.12.1\",\"cpu_vendor\":\"AuthenticAMD\","
		        "\"cpu_family\":%u},",
		        chance(&w, 60) ? 25 : 21);
	/* Wide: windows and BARs in them are moved far up, and have to be mapped where they are. */
	fprintf(w.out, "\"iommu\":\"%s\",\"iova_bits\":57,\"roots\":[", iommus[iommu]);
	for (unsigned int i = 0; i < ret_plan->root_count; i++) {
		struct root_plan *root = &ret_plan->roots[i];

		root->socket = (int)below(&w, 2);
		root->domain = i && chance(&w, 20) ? 1 : 0;
		if (i)
			fputc(',', w.out);
		write_root(&w, root, chance(&w, 80) ? host : below(&w, 100));
	}
	fprintf(w.out, "]}\n");
	if (fclose(w.out))
		abort();
	ret_plan->probe_count = w.next_id;
}

void generate_done(struct fabric_plan *plan)
{
	free(plan->json);
	*plan = (struct fabric_plan){ 0 };
}
