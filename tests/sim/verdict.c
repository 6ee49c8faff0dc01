/* SPDX-License-Identifier: MIT */
/*
 * The wire verdict held against the fabric, on random machines with random registers.
 *
 *     verdict [COUNT|SECONDSs [SEED]]
 *
 * Two implementations of the same rules: core/ reads a picture of the registers, machines/sim/
 * sends TLPs through them.  Without a seed (or P2PDMA_SEED in the environment) the first is 1; a
 * mismatch prints the seed that replays it: `verdict 1 SEED`.
 */
#include <errno.h>
#include <time.h>

#include "compare.h"

#define MOST_PAIRS 40  /* of one machine */
#define ENOUGH     200 /* machines, before shares are judged */

/* ---- one machine ---- */

/* Bridges as ends are not judged: seldom. */
static struct p2pdma_device *random_device(struct comparison *c)
{
	struct p2pdma_machine *machine = c->lab->fresh;
	size_t count = p2pdma_machine_device_count(machine);
	bool may_be_bridge = random_chance(c->random, 2);
	struct p2pdma_device_info info;
	struct p2pdma_device *device;

	do {
		device = p2pdma_machine_device(machine, random_below(c->random, (uint32_t)count));
		info = (struct p2pdma_device_info){ .size = sizeof(info) };
		if (p2pdma_device_get_info(device, &info))
			abort();
	} while (!may_be_bridge && (info.header_type == 1 || info.class_code >> 8 == 0x0600));
	return device;
}

static const struct p2pdma_device *top_of(const struct p2pdma_device *device)
{
	const struct p2pdma_device *parent;

	while ((parent = p2pdma_device_parent(device)))
		device = parent;
	return device;
}

/* Every other pair within one port of a root complex, where switches have a say. */
static void compare_some(struct comparison *c)
{
	size_t count = p2pdma_machine_device_count(c->lab->fresh);
	size_t pairs = count * count < MOST_PAIRS ? count * count : MOST_PAIRS;

	for (size_t i = 0; i < pairs; i++) {
		struct p2pdma_device *client = random_device(c), *provider = random_device(c);

		for (int j = 0; j < 20 && i & 1 && top_of(provider) != top_of(client); j++)
			provider = random_device(c);
		for (int j = 0; j < 3 && provider == client; j++)
			provider = random_device(c);
		compare_pair(c, provider, client);
	}
}

static void compare_seed(struct tally *tally, uint64_t seed)
{
	struct random random = { seed ^ 0x5deece66d };
	struct fabric_plan plan;
	struct lab lab;
	struct comparison c = {
		.lab = &lab, .plan = &plan, .random = &random, .tally = tally, .seed = seed
	};

	generate(seed, &plan);
	lab_open(&lab, plan.json, NULL);
	for (size_t i = 0; i < p2pdma_machine_device_count(lab.machine); i++)
		if (p2pdma_device_open(p2pdma_machine_device(lab.machine, i), NULL))
			abort();
	c.has_overlaps = vary(&lab, &random);
	lab_refresh(&lab);
	if (p2pdma_routes_new(lab.fresh, NULL, &c.routes))
		abort();
	compare_some(&c);
	p2pdma_routes_free(c.routes);
	lab_close(&lab);
	generate_done(&plan);
	tally->fabrics++;
}

/* ---- what was seen ---- */

static const char *const verdict_names[] = { "direct", "root-complex", "unknown", "blocked" };
static const char *const turn_names[] = { "direct", "redirect", "root", "unknown", "blocked" };
static const char *const hazard_names[] = {
	"no-bar",
	"bar-unassigned",
	"bar-outside-window",
	"memory-decode-off",
	"bridge-memory-off",
	"bus-master-off",
	"not-d0",
	"no-answer",
	"mps",
	"address-width",
	"link-speed",
	"link-width",
	"small-mps",
	"tags",
	"iommu",
	"iova-alias",
};
static const char *const cause_names[] = {
	[P2PDMA_REASON_ACS_UNKNOWN] = "acs-unknown",
	[P2PDMA_REASON_EGRESS_UNKNOWN] = "egress-unknown",
	[P2PDMA_REASON_SHARED_LINK_NO_ACS] = "shared-link-no-acs",
	[P2PDMA_REASON_NO_UPSTREAM_FWD] = "no-upstream-fwd",
	[P2PDMA_REASON_ROOT_UNKNOWN] = "root-unknown",
	[P2PDMA_REASON_ROOT_MISSING] = "root-missing",
	[P2PDMA_REASON_BRIDGE_TARGET] = "bridge-target",
	[P2PDMA_REASON_NOT_A_PORT] = "not-a-port",
	[P2PDMA_REASON_BAR_UNSEEN] = "bar-unseen",
	[P2PDMA_REASON_NODE_UNSEEN] = "node-unseen",
	[P2PDMA_REASON_COMMAND_UNSEEN] = "command-unseen",
	[P2PDMA_REASON_ADDRESS_CLAIMED_TWICE] = "address-claimed-twice",
};

/*
 * Prints a class and its share; false below one in a hundred, unless that is as it should be:
 * completions are never blocked, and no simulated machine says how wide its drivers' addresses are.
 */
static bool print_share(const char *what, const char *name, size_t count, size_t of, bool may_lack)
{
	bool is_fine = may_lack || count * 100 >= of;

	printf("  %-11s %-19s %8zu %6.2f %%%s\n", what, name, count,
	       of ? 100.0 * (double)count / (double)of : 0, is_fine ? "" : "  too rare");
	return is_fine;
}

static bool print_classes(const struct tally *t)
{
	bool is_fine = true;

	for (int i = 0; i < VERDICTS; i++)
		is_fine &= print_share("write", verdict_names[i], t->write[i], t->pairs, false);
	for (int i = 0; i < VERDICTS; i++)
		is_fine &= print_share("read", verdict_names[i], t->read[i], t->pairs, false);
	for (int i = 0; i < TURNS; i++)
		is_fine &= print_share("request", turn_names[i], t->request[i], t->pairs, false);
	for (int i = 0; i < TURNS; i++)
		is_fine &= print_share("completion", turn_names[i], t->completion[i], t->pairs,
		                       i == P2PDMA_TURN_BLOCKED);
	for (int i = 0; i < HAZARDS; i++)
		is_fine &= print_share("hazard", hazard_names[i], t->hazards[i], t->pairs,
		                       i == P2PDMA_HAZARD_ADDRESS_WIDTH);
	for (int i = 0; i < CAUSES; i++)
		if (t->causes[i])
			print_share("unknown for", cause_names[i] ? cause_names[i] : "?",
			            t->causes[i], 2 * t->pairs, true);
	if (t->unknown * 5 > t->pairs) {
		printf("more than 20 %% of pairs are unknown\n");
		is_fine = false;
	}
	return is_fine;
}

/* Claims of each kind have been made and kept. */
static bool print_claims(const struct tally *t)
{
	printf("%zu fabrics, %zu pairs (%.1f %% unknown), %zu DMAs (%zu translated):\n"
	       "  %zu direct arrived; %zu forwarded and %zu refused by policy; %zu blocked; "
	       "%zu stopped\n  %zu refusals found in the log, %zu in AER; %zu without a claim, "
	       "%zu stopped but for a root complex that splits\n%zu mismatches\n",
	       t->fabrics, t->pairs, t->pairs ? 100.0 * (double)t->unknown / (double)t->pairs : 0,
	       t->dmas, t->translated, t->arrived, t->forwarded, t->refused, t->blocked, t->stopped,
	       t->logged, t->aer, t->unclaimed, t->beyond, t->mismatches);
	return t->arrived && t->forwarded && t->refused && t->blocked && t->stopped && t->logged &&
	       t->aer;
}

static bool read_number(const char *text, uint64_t *ret_value, bool *ret_is_seconds)
{
	char *end;

	errno = 0;
	*ret_value = strtoull(text, &end, 0);
	*ret_is_seconds = *end == 's';
	return *text && !end[*end == 's'] && !errno;
}

int main(int argc, char **argv)
{
	const char *environment = getenv("P2PDMA_SEED");
	uint64_t count = 500, first = 1;
	bool is_seconds = false, has_all, ignored;
	struct tally tally = { 0 };
	time_t end;

	if (argc > 3 || (argc > 1 && !read_number(argv[1], &count, &is_seconds)) ||
	    (argc > 2 && !read_number(argv[2], &first, &ignored)) ||
	    (argc <= 2 && environment && !read_number(environment, &first, &ignored))) {
		fprintf(stderr, "usage: %s [COUNT|SECONDSs [SEED]]; P2PDMA_SEED is a number\n",
		        argv[0]);
		return 2;
	}
	printf("fabrics from seed %" PRIu64 "\n", first);
	fflush(stdout);
	end = time(NULL) + (time_t)count;
	while (is_seconds ? time(NULL) < end : tally.fabrics < count)
		compare_seed(&tally, first + tally.fabrics);
	has_all = print_classes(&tally);
	has_all = print_claims(&tally) && has_all;
	if (tally.fabrics >= ENOUGH && !has_all)
		return 1;
	if (is_seconds && count >= 60 && tally.fabrics < 2000) {
		printf("fewer than 2,000 fabrics in %" PRIu64 " s\n", count);
		return 1;
	}
	return tally.mismatches ? 1 : 0;
}
