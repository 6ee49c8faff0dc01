/* SPDX-License-Identifier: MIT */
/*
 * truth.c - ACS on the fabric: the truth table that Linux's "route by TLP class" series comes with
 * (request by the client's port, completion by the provider's), then each control by itself.
 */
#include "stage.h"

#define SV P2PDMA_ACS_SRC_VALID
#define TB P2PDMA_ACS_TRANS_BLK
#define RR P2PDMA_ACS_REQ_REDIR
#define CR P2PDMA_ACS_CMPLT_REDIR
#define UF P2PDMA_ACS_UPSTREAM_FWD
#define EC P2PDMA_ACS_EGRESS_CTRL
#define DT P2PDMA_ACS_DIRECT_TRANS

#define P_NUMBER 9

/* Root port - switch - ports of c, p and q, and of a nested switch with d. */
static const char machine[] = FABRIC(
	"",
	"{" OPEN_ROOT ",\"below\":[{\"type\":\"switch\",\"below\":["
	"{\"type\":\"port\",\"port_number\":3,\"below\":[" PROBE(
		"c", 1,
		",\"ats\":true") "]},"
				 "{\"type\":\"port\",\"port_number\":9,\"below\":[" PROBE(
					 "p", 2,
					 "") "]},"
					     "{\"type\":\"port\",\"port_number\":40,\"below\":[" PROBE(
						     "q", 3,
						     "") "]},"
							 "{\"type\":\"switch\",\"below\":[" PROBE(
								 "d", 4, "") "]}]}]}");

static int set_up(void **state)
{
	struct stage *stage = calloc(1, sizeof(*stage));

	assert_non_null(stage);
	open_stage(stage, machine);
	lab_ats(named(stage, "c"), true);
	lab_acs(named(stage, "^^^c"), UF);
	*state = stage;
	return 0;
}

static int tear_down(void **state)
{
	close_stage(*state);
	free(*state);
	return 0;
}

static void egress(struct stage *stage, const char *port, unsigned int number)
{
	lab_egress(named(stage, port), number, true);
}

/* ---- the truth table ---- */

enum turn {
	DIRECT,
	REDIRECT,
	BLOCKED,
};

static const struct {
	uint16_t control; /* of the client's port */
	bool is_translated;
	enum turn turn;
} requests[] = {
	{ 0, false, DIRECT },       { CR, false, DIRECT },           { RR, false, REDIRECT },
	{ DT, false, DIRECT },      { DT | RR, false, REDIRECT },    { 0, true, DIRECT },
	{ RR, true, REDIRECT },     { DT | RR, true, DIRECT },       { TB, true, BLOCKED },
	{ TB | DT, true, BLOCKED }, { TB, false, DIRECT },           { TB | RR, false, REDIRECT },
	{ EC, false, BLOCKED },     { EC | RR, false, REDIRECT },    { EC, true, BLOCKED },
	{ EC | DT, true, DIRECT },  { TB | DT | RR, true, BLOCKED }, { EC | DT, false, BLOCKED },
};

static void requests_obey_the_clients_port(void **state)
{
	struct stage *stage = *state;

	egress(stage, "^c", P_NUMBER);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		for (int op = P2PDMA_OP_WRITE; op <= P2PDMA_OP_READ; op++) {
			print_message("# control %#x%s, op %d\n", requests[i].control,
			              requests[i].is_translated ? " translated" : "", op);
			lab_acs(named(stage, "^c"), requests[i].control);
			memset(probe_of(stage, "p")->memory, 0x55, PAGE);
			dma_at(stage, "c", (enum p2pdma_op)op, bar_of(stage, "p"), PAGE,
			       requests[i].is_translated);
			if (requests[i].turn == BLOCKED) {
				ended(stage, "^c", P2PDMA_SIM_ACS,
				      op == P2PDMA_OP_READ ? P2PDMA_DMA_CA : P2PDMA_DMA_OK,
				      P2PDMA_SIM_EVENT_ACS, AER_BIT_ACS);
				requested(stage, "^c ");
				continue;
			}
			arrived(stage, "p");
			requested(stage, requests[i].turn == DIRECT
			                         ? "^c ^p p "
			                         : "^c ^^c ^^^c root ^^^c ^^c ^p p ");
			if (op == P2PDMA_OP_READ)
				completed(stage, "^p ^c c ");
		}
	}
}

/* Relaxed-ordered completions, which would always go direct, are not simulated. */
static void completions_obey_the_providers_port(void **state)
{
	static const struct {
		uint16_t client, provider;
		enum turn turn;
	} rows[] = {
		{ 0, 0, DIRECT },  { 0, CR, REDIRECT },      { 0, RR, DIRECT },
		{ 0, EC, DIRECT }, { CR, 0, DIRECT },        { CR, RR | EC, DIRECT },
		{ 0, TB, DIRECT }, { 0, DT | CR, REDIRECT },
	};
	struct stage *stage = *state;

	egress(stage, "^p", 3);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("# control %#x and %#x\n", rows[i].client, rows[i].provider);
		lab_acs(named(stage, "^c"), rows[i].client);
		lab_acs(named(stage, "^p"), rows[i].provider);
		writes(stage, "c", "p");
		arrived(stage, "p");
		requested(stage, "^c ^p p ");
		reads(stage, "c", "p");
		arrived(stage, "p");
		requested(stage, "^c ^p p ");
		completed(stage,
		          rows[i].turn == DIRECT ? "^p ^c c " : "^p ^^p ^^^p root ^^^p ^^p ^c c ");
	}
}

/* Controls on ports that neither request nor completion turns at do nothing. */
static void only_the_divergence_ports_decide(void **state)
{
	struct stage *stage = *state;

	lab_acs(named(stage, "^d"), RR | CR | EC);
	egress(stage, "^d", P_NUMBER);
	lab_acs(named(stage, "^^^c"), RR | CR | EC | UF);
	reads(stage, "d", "p");
	arrived(stage, "p");
	requested(stage, "^d ^^d ^^^d ^p p ");
	completed(stage, "^p ^^^d ^^d ^d d ");
	lab_acs(named(stage, "^^^d"), RR);
	reads(stage, "d", "p");
	arrived(stage, "p");
	requested(stage, "^d ^^d ^^^d ^^^^d ^^^^^d root ^^^^^d ^^^^d ^p p ");
	completed(stage, "^p ^^^d ^^d ^d d ");
	/* On its way up it passes the port that blocks translated requests. */
	lab_acs(named(stage, "^^^d"), 0);
	lab_acs(named(stage, "^^^c"), UF | TB);
	dma_at(stage, "c", P2PDMA_OP_WRITE, bar_of(stage, "p"), PAGE, true);
	arrived(stage, "p");
	lab_acs(named(stage, "^c"), RR);
	dma_at(stage, "c", P2PDMA_OP_WRITE, bar_of(stage, "p"), PAGE, true);
	ended(stage, "^^^c", P2PDMA_SIM_ACS, P2PDMA_DMA_OK, P2PDMA_SIM_EVENT_ACS, AER_BIT_ACS);
}

/* ---- each control ---- */

/* PCIe Base 6.12.1.1: the requester's bus number has to be below the port. */
static void source_validation(void **state)
{
	struct stage *stage = *state;
	struct p2pdma_bdf c = bdf_of(stage, "c"), port = bdf_of(stage, "^c");
	uint64_t address = bar_of(stage, "p");

	lab_acs(named(stage, "^c"), SV);
	writes(stage, "c", "p");
	arrived(stage, "p");
	/* Other bus numbers, and the function has not been told. */
	lab_set(named(stage, "^c"), 0x18, 4, (uint32_t)port.bus | 0xf0 << 8 | 0xf0 << 16);
	lab_skip_events(&stage->lab);
	stage->last = lab_dma(&stage->lab, c, P2PDMA_OP_WRITE, address, PAGE, stage->bytes);
	ended(stage, "^c", P2PDMA_SIM_ACS, P2PDMA_DMA_OK, P2PDMA_SIM_EVENT_ACS, AER_BIT_ACS);
	lab_acs(named(stage, "^c"), 0);
	stage->last = lab_dma(&stage->lab, c, P2PDMA_OP_WRITE, address, PAGE, stage->bytes);
	assert_int_equal(stage->last.fate, P2PDMA_SIM_ARRIVED);
}

/* PCIe Base 6.12.1.1: without it a port refuses what would have to turn round there. */
static void upstream_forwarding(void **state)
{
	struct stage *stage = *state;

	lab_acs(named(stage, "^c"), RR);
	reads(stage, "c", "p");
	arrived(stage, "p");
	lab_acs(named(stage, "^^^c"), 0);
	both_unsupported(stage, "c", "p", "^^^c");
	/* Completions too: nobody waits for one there. */
	lab_acs(named(stage, "^c"), 0);
	lab_acs(named(stage, "^p"), CR);
	writes(stage, "c", "p");
	arrived(stage, "p");
	reads(stage, "c", "p");
	assert_int_equal(stage->last.status, P2PDMA_DMA_TIMEOUT);
	assert_int_equal(stage->last.bytes, 0);
	assert_true(lab_logged(&stage->lab, P2PDMA_SIM_EVENT_UNEXPECTED, bdf_of(stage, "^^^c")));
	assert_true(lab_logged(&stage->lab, P2PDMA_SIM_EVENT_TIMEOUT, bdf_of(stage, "c")));
}

/* PCIe Base 6.12.3, 7.7.11.4: by the Port Number of the peer, bit by bit. */
static void egress_control_by_vector(void **state)
{
	struct stage *stage = *state;

	lab_acs(named(stage, "^c"), EC);
	writes(stage, "c", "p");
	arrived(stage, "p");
	egress(stage, "^c", P_NUMBER);
	writes(stage, "c", "p");
	ended(stage, "^c", P2PDMA_SIM_ACS, P2PDMA_DMA_OK, P2PDMA_SIM_EVENT_ACS, AER_BIT_ACS);
	writes(stage, "c", "q");
	arrived(stage, "q");
	lab_egress(named(stage, "^c"), P_NUMBER, false);
	egress(stage, "^c", 40);
	writes(stage, "c", "p");
	arrived(stage, "p");
	reads(stage, "c", "q");
	ended(stage, "^c", P2PDMA_SIM_ACS, P2PDMA_DMA_CA, P2PDMA_SIM_EVENT_ACS, AER_BIT_ACS);
	/* A clear bit lets requests past Request Redirect. */
	lab_acs(named(stage, "^c"), EC | RR);
	reads(stage, "c", "p");
	arrived(stage, "p");
	requested(stage, "^c ^p p ");
	reads(stage, "c", "q");
	arrived(stage, "q");
	requested(stage, "^c ^^c ^^^c root ^^^c ^^c ^q q ");
	/* Requests the other way are q's business. */
	lab_acs(named(stage, "^c"), EC);
	writes(stage, "q", "c");
	arrived(stage, "c");
}

/* ---- functions that share a link (PCIe Base 6.12.1.2) ---- */

#define FUNCTION(name, id, acs) PROBE(name, id, ",\"acs\":" acs)
#define DECLARED                "{\"capability\":[\"ReqRedir\",\"CmpltRedir\",\"EgressCtrl\",\"DirectTrans\"]}"

static const char functions[] = FABRIC(
	"",
	"{" OPEN_ROOT
	",\"below\":[{\"type\":\"device\",\"functions\":[" FUNCTION("a", 1, DECLARED) "," FUNCTION(
		"b", 2,
		DECLARED) "," FUNCTION("n", 3,
                                       "\"none\"") "," FUNCTION("r", 4,
                                                                "{\"capability\":[\"DirectTrans\"]}") "]}]}");

static void functions_that_declare_it_are_direct(void **state)
{
	struct stage stage;

	(void)state;
	open_stage(&stage, functions);
	reads(&stage, "a", "b");
	arrived(&stage, "b");
	requested(&stage, "b ");
	completed(&stage, "a ");
	/* Redirected, they turn round at the port, if that may turn them. */
	lab_acs(named(&stage, "a"), RR);
	both_unsupported(&stage, "a", "b", "^a");
	lab_acs(named(&stage, "^a"), UF);
	reads(&stage, "a", "b");
	arrived(&stage, "b");
	requested(&stage, "^a root ^a b ");
	completed(&stage, "a ");
	lab_acs(named(&stage, "b"), CR);
	reads(&stage, "a", "b");
	arrived(&stage, "b");
	completed(&stage, "^a root ^a a ");
	/* By function number. */
	lab_acs(named(&stage, "a"), EC);
	lab_egress(named(&stage, "a"), 1, true);
	writes(&stage, "a", "b");
	ended(&stage, "a", P2PDMA_SIM_ACS, P2PDMA_DMA_OK, P2PDMA_SIM_EVENT_ACS, AER_BIT_ACS);
	lab_egress(named(&stage, "a"), 1, false);
	lab_egress(named(&stage, "a"), 2, true);
	writes(&stage, "a", "b");
	arrived(&stage, "b");
	close_stage(&stage);
}

static void other_functions_turn_at_their_port(void **state)
{
	struct stage stage;

	(void)state;
	open_stage(&stage, functions);
	both_unsupported(&stage, "n", "b", "^n");
	both_unsupported(&stage, "r", "b", "^r");
	lab_acs(named(&stage, "^n"), UF);
	reads(&stage, "n", "b");
	arrived(&stage, "b");
	requested(&stage, "^n root ^n b ");
	completed(&stage, "n ");
	reads(&stage, "b", "r");
	arrived(&stage, "r");
	requested(&stage, "r ");
	completed(&stage, "^n root ^n b ");
	/* Inside of one function there is no way to guard. */
	reads(&stage, "n", "n");
	arrived(&stage, "n");
	requested(&stage, "");
	close_stage(&stage);
}

/* Root ports guard what goes to other root ports (PCIe Base 6.12.1.1). */
static void root_ports_egress_control(void **state)
{
	static const char two_ports[] =
		FABRIC("",
	               "{" OPEN_ROOT ",\"below\":["
	               "{\"type\":\"port\",\"port_number\":1,\"below\":[" PROBE(
			       "c", 1, "") "]},"
	                                   "{\"type\":\"port\",\"port_number\":2,\"below\":[" PROBE(
						   "p", 2, "") "]}]}");
	struct stage stage;

	(void)state;
	open_stage(&stage, two_ports);
	lab_acs(named(&stage, "^c"), EC);
	reads(&stage, "c", "p");
	arrived(&stage, "p");
	requested(&stage, "^c root ^p p ");
	completed(&stage, "^p root ^c c ");
	lab_egress(named(&stage, "^c"), 2, true);
	writes(&stage, "c", "p");
	ended(&stage, "^c", P2PDMA_SIM_ACS, P2PDMA_DMA_OK, P2PDMA_SIM_EVENT_ACS, AER_BIT_ACS);
	writes(&stage, "p", "c");
	arrived(&stage, "c");
	close_stage(&stage);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_obey_the_clients_port),
		TEST(completions_obey_the_providers_port),
		TEST(only_the_divergence_ports_decide),
		TEST(source_validation),
		TEST(upstream_forwarding),
		TEST(egress_control_by_vector),
		cmocka_unit_test(functions_that_declare_it_are_direct),
		cmocka_unit_test(other_functions_turn_at_their_port),
		cmocka_unit_test(root_ports_egress_control),
	};

	return cmocka_run_group_tests_name("sim-truth", tests, NULL, NULL);
}
