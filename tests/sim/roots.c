/* SPDX-License-Identifier: MIT */
/*
 * roots.c - root complexes: what the policy forwards, how the rest is refused, splitting, and the
 * IOMMU.
 */
#include "stage.h"

#define UF P2PDMA_ACS_UPSTREAM_FWD
#define RR P2PDMA_ACS_REQ_REDIR
#define CR P2PDMA_ACS_CMPLT_REDIR

/*
 * a and s behind the switch of one port, b behind another, i on the root bus, o behind another root
 * complex of the socket, f behind one of the other socket.
 */
#define ROOTS(near_policy, other_policy, far_policy)                                                            \
	"{" near_policy                                                                                         \
	",\"below\":[{\"type\":\"switch\",\"below\":[" PROBE("a", 1, "") "," PROBE(                             \
		"s", 2,                                                                                         \
		"") "]}," PROBE("b", 3,                                                                         \
	                        "") ",{\"type\":\"integrated\",\"name\":\"i\",\"model\":\"probe\",\"id\":4}]}," \
				    "{" other_policy ",\"below\":[" PROBE(                                      \
					    "o", 5, "") "]},"                                                   \
							"{" far_policy                                          \
							",\"socket\":1,\"below\":[" PROBE("f", 6,               \
	                                                                                  "") "]}"

static void open_roots(struct stage *stage, const char *json)
{
	open_stage(stage, json);
	lab_acs(named(stage, "^a"), RR);
	lab_acs(named(stage, "^^^a"), UF);
}

/* Writes vanish, reads end as unsupported, and the root complex says so. */
static void goes(struct stage *stage, const char *client, const char *provider, unsigned int ops)
{
	char root[16];

	snprintf(root, sizeof(root), "root %s", client);
	writes(stage, client, provider);
	if (ops & P2PDMA_OP_WRITE)
		arrived(stage, provider);
	else
		ended(stage, root, P2PDMA_SIM_ROOT, P2PDMA_DMA_OK, P2PDMA_SIM_EVENT_ROOT, 0);
	assert_true(has_bytes(stage, provider) == !!(ops & P2PDMA_OP_WRITE));
	reads(stage, client, provider);
	if (ops & P2PDMA_OP_READ)
		arrived(stage, provider);
	else
		ended(stage, root, P2PDMA_SIM_ROOT, P2PDMA_DMA_UR, P2PDMA_SIM_EVENT_ROOT, 0);
}

/* ---- policies ---- */

static void check_policy(const char *json, unsigned int same, unsigned int ports,
                         unsigned int sockets)
{
	struct stage stage;

	open_roots(&stage, json);
	goes(&stage, "a", "s", same);
	requested(&stage,
	          same & P2PDMA_OP_READ ? "^a ^^a ^^^a root ^^^a ^^a ^s s " : "^a ^^a ^^^a root ");
	goes(&stage, "a", "b", ports);
	goes(&stage, "b", "a", ports);
	goes(&stage, "b", "i", ports);
	goes(&stage, "i", "b", ports);
	goes(&stage, "a", "o", ports);
	goes(&stage, "b", "f", sockets);
	goes(&stage, "f", "o", sockets);
	/* Below one switch nobody asks the root complex. */
	goes(&stage, "s", "a", P2PDMA_OP_BOTH);
	close_stage(&stage);
}

static void policies_by_ports_and_sockets(void **state)
{
#define ALIKE(same, ports, sockets)                                                          \
	FABRIC("", ROOTS(POLICY(same, ports, sockets, ""), POLICY(same, ports, sockets, ""), \
	                 POLICY(same, ports, sockets, "")))
	(void)state;
	check_policy(ALIKE("rw", "rw", "rw"), 3, 3, 3);
	check_policy(ALIKE("rw", "none", "none"), 3, 0, 0);
	check_policy(ALIKE("none", "rw", "w"), 0, 3, 1);
	check_policy(ALIKE("w", "r", "none"), 1, 2, 0);
	check_policy(ALIKE("r", "w", "rw"), 2, 1, 3);
}

/* What one would pass on the other may not take. */
static void both_root_complexes_take_part(void **state)
{
	struct stage stage;

	(void)state;
	open_roots(&stage,
	           FABRIC("", ROOTS(POLICY("rw", "rw", "rw", ""), POLICY("rw", "w", "rw", ""),
	                            POLICY("rw", "rw", "r", ""))));
	goes(&stage, "a", "b", P2PDMA_OP_BOTH);
	goes(&stage, "a", "o", P2PDMA_OP_WRITE);
	goes(&stage, "o", "a", P2PDMA_OP_WRITE);
	goes(&stage, "a", "f", P2PDMA_OP_READ);
	goes(&stage, "f", "a", P2PDMA_OP_READ);
	close_stage(&stage);
}

/* Completions that ACS redirects need it to pass reads on, too. */
static void redirected_completions(void **state)
{
	struct stage stage;

	(void)state;
	open_stage(&stage, FABRIC("", ROOTS(POLICY("w", "rw", "rw", ""), OPEN_ROOT, OPEN_ROOT)));
	lab_acs(named(&stage, "^^^a"), UF);
	lab_acs(named(&stage, "^s"), CR);
	writes(&stage, "a", "s");
	arrived(&stage, "s");
	reads(&stage, "a", "s");
	assert_int_equal(stage.last.fate, P2PDMA_SIM_ROOT);
	assert_int_equal(stage.last.status, P2PDMA_DMA_TIMEOUT);
	assert_true(lab_logged(&stage.lab, P2PDMA_SIM_EVENT_ROOT, place(&stage, "root a")));
	requested(&stage, "^a ^s s ");
	completed(&stage, "^s ^^s ^^^s root ");
	close_stage(&stage);
}

/* ---- the three ways to refuse a read ---- */

#define REFUSES(how)                                                                     \
	FABRIC("", ROOTS(POLICY("rw", "none", "none", ",\"refused_reads\":\"" how "\""), \
	                 OPEN_ROOT, OPEN_ROOT))

static void refused_reads_end_as_unsupported(void **state)
{
	struct stage stage;

	(void)state;
	open_stage(&stage, REFUSES("ur"));
	goes(&stage, "a", "b", 0);
	completed(&stage, "^^^a ^^a ^a a ");
	close_stage(&stage);
}

static void refused_reads_end_in_ones(void **state)
{
	struct stage stage;

	(void)state;
	open_stage(&stage, REFUSES("ones"));
	reads(&stage, "a", "b");
	ended(&stage, "root a", P2PDMA_SIM_ROOT, P2PDMA_DMA_OK, P2PDMA_SIM_EVENT_ROOT, 0);
	for (size_t i = 0; i < PAGE; i++)
		assert_int_equal(stage.bytes[i], 0xff);
	close_stage(&stage);
}

static void refused_reads_end_in_a_timeout(void **state)
{
	uint8_t before[PAGE];
	struct stage stage;
	uint64_t now;

	(void)state;
	open_stage(&stage, REFUSES("timeout"));
	now = p2pdma_machine_now(stage.lab.machine);
	reads(&stage, "a", "b");
	ended(&stage, "root a", P2PDMA_SIM_ROOT, P2PDMA_DMA_TIMEOUT, P2PDMA_SIM_EVENT_ROOT, 0);
	assert_true(lab_logged(&stage.lab, P2PDMA_SIM_EVENT_TIMEOUT, bdf_of(&stage, "a")));
	assert_int_equal(lab_errors(named(&stage, "a")), AER_BIT_TIMEOUT);
	assert_true(p2pdma_machine_now(stage.lab.machine) - now >= 50000000);
	memset(before, 0xff, sizeof(before));
	assert_memory_not_equal(stage.bytes, before, PAGE);
	close_stage(&stage);
}

/* ---- splitting (PCIe Base 1.3.1) ---- */

static uint64_t tlps_down(struct stage *stage, const char *port)
{
	struct p2pdma_sim_link link = { .size = sizeof(link) };

	for (size_t i = 0; !p2pdma_sim_link(stage->lab.sim, i, &link); i++)
		if (lab_same(link.port, bdf_of(stage, port)))
			return link.down.tlps;
	fail_msg("no link below %s", port);
	return 0;
}

static void splits_to_64_bytes(void **state)
{
	struct stage stage;

	(void)state;
	for (int splits = 0; splits < 2; splits++) {
		open_stage(&stage,
		           splits ? FABRIC("", ROOTS(POLICY("rw", "rw", "rw", ",\"splits\":true"),
		                                     OPEN_ROOT, OPEN_ROOT))
		                  : FABRIC("", ROOTS(OPEN_ROOT, OPEN_ROOT, OPEN_ROOT)));
		writes(&stage, "a", "b");
		arrived(&stage, "b");
		assert_int_equal(tlps_down(&stage, "^b"), splits ? PAGE / 64 : PAGE / 256);
		writes(&stage, "a", "s");
		arrived(&stage, "s");
		assert_int_equal(tlps_down(&stage, "^s"), PAGE / 256);
		close_stage(&stage);
	}
}

/* ---- IOMMU ---- */

#define TRANSLATED                                                                        \
	FABRIC("\"iommu\":\"translated\",",                                               \
	       "{" OPEN_ROOT ",\"below\":[{\"type\":\"switch\",\"below\":[" PROBE(        \
		       "a", 1, ",\"ats\":true") "," PROBE("s", 2, "") "]}," PROBE("b", 3, \
	                                                                          "") "]}")

static uint64_t faults(struct stage *stage)
{
	struct p2pdma_sim_totals totals = { .size = sizeof(totals) };

	assert_int_equal(p2pdma_sim_get_totals(stage->lab.sim, &totals), 0);
	return totals.iommu_faults;
}

static void *map_page(struct stage *stage, const char *name, enum p2pdma_op op, uint64_t *address)
{
	struct p2pdma_dma dma;
	void *page = aligned_alloc(PAGE, PAGE);

	assert_non_null(page);
	memset(page, 0x5a, PAGE);
	p2pdma_device_open(named(stage, name), NULL);
	assert_int_equal(p2pdma_dma_map(named(stage, name), page, PAGE, op, &dma), 0);
	*address = dma.addr;
	return page;
}

static void faulted(struct stage *stage, const char *client, enum p2pdma_op op, uint64_t address)
{
	uint64_t before = faults(stage);

	dma_at(stage, client, op, address, PAGE, false);
	assert_int_equal(stage->last.fate, P2PDMA_SIM_IOMMU);
	assert_int_equal(stage->last.bytes, 0);
	assert_int_equal(stage->last.status, op == P2PDMA_OP_READ ? P2PDMA_DMA_UR : P2PDMA_DMA_OK);
	assert_true(lab_logged(&stage->lab, P2PDMA_SIM_EVENT_IOMMU,
	                       p2pdma_device_root_bus(named(stage, client))));
	assert_true(faults(stage) > before);
}

/* Its own mappings, for what they are for, as long as they are there. */
static void host_memory_by_domain(void **state)
{
	struct p2pdma_dma dma;
	struct stage stage;
	uint64_t to, from;
	void *read, *written;

	(void)state;
	open_stage(&stage, TRANSLATED);
	written = map_page(&stage, "a", P2PDMA_OP_WRITE, &to);
	read = map_page(&stage, "a", P2PDMA_OP_READ, &from);
	dma_at(&stage, "a", P2PDMA_OP_WRITE, to, PAGE, false);
	assert_int_equal(stage.last.fate, P2PDMA_SIM_ARRIVED);
	assert_memory_equal(written, stage.bytes, PAGE);
	dma_at(&stage, "a", P2PDMA_OP_READ, from, PAGE, false);
	assert_int_equal(stage.last.status, P2PDMA_DMA_OK);
	assert_memory_equal(read, stage.bytes, PAGE);
	assert_int_equal(faults(&stage), 0);
	faulted(&stage, "a", P2PDMA_OP_READ, to);
	faulted(&stage, "a", P2PDMA_OP_WRITE, from);
	faulted(&stage, "s", P2PDMA_OP_WRITE, to);
	dma.addr = to;
	assert_int_equal(p2pdma_dma_unmap(named(&stage, "a"), dma, PAGE), 0);
	faulted(&stage, "a", P2PDMA_OP_WRITE, to);
	close_stage(&stage);
	free(read);
	free(written);
}

/* As Linux sets ACS up, what goes to a peer's address is the IOMMU's business. */
static void peers_by_domain(void **state)
{
	struct stage stage;

	(void)state;
	open_stage(&stage, TRANSLATED);
	assert_int_equal(p2pdma_device_acs(named(&stage, "^a")).control, 0x1d);
	faulted(&stage, "a", P2PDMA_OP_WRITE, bar_of(&stage, "s"));
	faulted(&stage, "a", P2PDMA_OP_READ, bar_of(&stage, "s"));
	faulted(&stage, "a", P2PDMA_OP_WRITE, bar_of(&stage, "b"));
	requested(&stage, "^a ^^a ^^^a root ");
	/* Not redirected, the switch has its own way, with no IOMMU on it. */
	lab_acs(named(&stage, "^a"), 0);
	lab_acs(named(&stage, "^s"), 0);
	reads(&stage, "a", "s");
	arrived(&stage, "s");
	requested(&stage, "^a ^s s ");
	close_stage(&stage);
}

/* PCIe Base 10.2: asked beforehand, the IOMMU is not asked again. */
static void translated_requests(void **state)
{
	struct p2pdma_sim_totals before = { .size = sizeof(before) }, after = before;
	struct stage stage;
	uint64_t address;
	void *page;

	(void)state;
	open_stage(&stage, TRANSLATED);
	page = map_page(&stage, "a", P2PDMA_OP_WRITE, &address);
	lab_ats(named(&stage, "a"), false);
	dma_at(&stage, "a", P2PDMA_OP_WRITE, address, PAGE, true);
	assert_int_equal(stage.last.fate, P2PDMA_SIM_NOT_SENT);
	lab_ats(named(&stage, "a"), true);
	assert_int_equal(p2pdma_sim_get_totals(stage.lab.sim, &before), 0);
	dma_at(&stage, "a", P2PDMA_OP_WRITE, address, PAGE, true);
	assert_int_equal(stage.last.fate, P2PDMA_SIM_ARRIVED);
	assert_memory_equal(page, stage.bytes, PAGE);
	assert_int_equal(p2pdma_sim_get_totals(stage.lab.sim, &after), 0);
	assert_int_equal(after.iommu_mapped, before.iommu_mapped);
	dma_at(&stage, "a", P2PDMA_OP_WRITE, bar_of(&stage, "s"), PAGE, true);
	assert_int_equal(stage.last.fate, P2PDMA_SIM_IOMMU);
	close_stage(&stage);
	free(page);
}

static void passthrough_is_open_to_all(void **state)
{
	struct stage stage;
	uint64_t address;
	void *page;

	(void)state;
	open_stage(&stage,
	           FABRIC("\"iommu\":\"passthrough\",", ROOTS(OPEN_ROOT, OPEN_ROOT, OPEN_ROOT)));
	page = map_page(&stage, "a", P2PDMA_OP_READ, &address);
	dma_at(&stage, "f", P2PDMA_OP_WRITE, address, PAGE, false);
	assert_int_equal(stage.last.fate, P2PDMA_SIM_ARRIVED);
	assert_memory_equal(page, stage.bytes, PAGE);
	goes(&stage, "a", "b", P2PDMA_OP_BOTH);
	assert_int_equal(faults(&stage), 0);
	close_stage(&stage);
	free(page);
}

/* ---- accounts ---- */

static void bytes_are_counted(void **state)
{
	struct p2pdma_sim_totals totals = { .size = sizeof(totals) };
	struct stage stage;
	uint64_t address;
	void *page;

	(void)state;
	open_stage(&stage, FABRIC("", ROOTS(OPEN_ROOT, OPEN_ROOT, OPEN_ROOT)));
	page = map_page(&stage, "a", P2PDMA_OP_BOTH, &address);
	dma_at(&stage, "a", P2PDMA_OP_WRITE, address, PAGE, false);
	dma_at(&stage, "a", P2PDMA_OP_READ, address, PAGE / 2, false);
	writes(&stage, "a", "b");
	reads(&stage, "a", "b");
	writes(&stage, "a", "s");
	assert_int_equal(p2pdma_sim_get_totals(stage.lab.sim, &totals), 0);
	assert_int_equal(totals.dram_write_bytes, PAGE);
	assert_int_equal(totals.dram_read_bytes, PAGE / 2);
	assert_int_equal(totals.root_bytes, 2 * PAGE);
	close_stage(&stage);
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(policies_by_ports_and_sockets),
		cmocka_unit_test(both_root_complexes_take_part),
		cmocka_unit_test(redirected_completions),
		cmocka_unit_test(refused_reads_end_as_unsupported),
		cmocka_unit_test(refused_reads_end_in_ones),
		cmocka_unit_test(refused_reads_end_in_a_timeout),
		cmocka_unit_test(splits_to_64_bytes),
		cmocka_unit_test(host_memory_by_domain),
		cmocka_unit_test(peers_by_domain),
		cmocka_unit_test(translated_requests),
		cmocka_unit_test(passthrough_is_open_to_all),
		cmocka_unit_test(bytes_are_counted),
	};

	return cmocka_run_group_tests_name("sim-roots", tests, NULL, NULL);
}
