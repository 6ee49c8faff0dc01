/* SPDX-License-Identifier: MIT */
#include "registers.h"

struct registers lab;

/* ---- what the engine would do ---- */

void decode_stale(struct segment *segment)
{
	segment->is_stale = true;
	lab.stale++;
}

void wire_train(struct segment *segment)
{
	if (segment->kind == SEGMENT_LINK)
		lab.trained++;
}

void wire_drop(struct segment *segment)
{
	(void)segment;
}

void wire_recall(struct p2pdma_function *function, bool with_completions)
{
	(void)function, (void)with_completions;
}

void vectors_flush(struct p2pdma_function *function)
{
	lab.flushed += function->is_present;
}

void requester_reset(struct p2pdma_function *function)
{
	lab.requester_resets[function - lab.functions]++;
}

void model_reset(struct p2pdma_function *function, enum p2pdma_model_reset why)
{
	lab.model_resets[function - lab.functions][why]++;
}

static void log_one(int kind, struct p2pdma_bdf at)
{
	if (lab.logged < MOST_LOGS) {
		lab.log[lab.logged].kind = kind;
		lab.log[lab.logged++].at = at;
	}
}

void observe_event(struct fabric *fabric, enum p2pdma_sim_event_kind kind, struct p2pdma_bdf at,
                   struct p2pdma_bdf requester, uint64_t address)
{
	(void)fabric, (void)requester, (void)address;
	log_one((int)kind, at);
}

void mailbox_put(struct fabric *fabric, enum p2pdma_event_kind kind, struct p2pdma_bdf bdf)
{
	(void)fabric;
	log_one((int)kind + 100, bdf);
}

unsigned int count_log(int kind, int who)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < lab.logged; i++)
		count += lab.log[i].kind == kind &&
		         lab.log[i].at.bus == lab.functions[who].bdf.bus &&
		         lab.log[i].at.devfn == lab.functions[who].bdf.devfn;
	return count;
}

/* ---- the lab ---- */

static struct p2pdma_function *place(int who, struct segment *home, enum p2pdma_kind kind,
                                     uint8_t bus, uint8_t devfn)
{
	struct p2pdma_function *function = &lab.functions[who];

	function->fabric = &lab.fabric;
	function->bdf = (struct p2pdma_bdf){ 0, bus, devfn };
	function->kind = kind;
	function->header_type = kind >= P2PDMA_KIND_ROOT_PORT;
	function->is_present = true;
	function->config = lab.config[who][0];
	function->boot_config = lab.config[who][1];
	function->home = home;
	home->members = realloc(home->members, (home->member_count + 1) * sizeof(function));
	assert_non_null(home->members);
	home->members[home->member_count++] = function;
	return function;
}

static void connect(struct segment *segment, enum segment_kind kind, int owner)
{
	segment->kind = kind;
	segment->root = &lab.root;
	segment->owner = &lab.functions[owner];
	lab.functions[owner].below = segment;
}

struct config_plan plan_of(int who)
{
	return (struct config_plan){
		.vendor = 0x1209,
		.device = (uint16_t)(0x100 + who),
		.class_code = 0x010802,
		.link_speed = 4,
		.link_width = 16,
		.trained_speed = 3,
		.trained_width = 8,
		.payload = 256,
		.max_payload = 512,
		.read_request = 512,
		.has_extended_tags = true,
		.has_acs = true,
		.acs_capability = 0x7d,
		.egress_vector_size = 40,
		.port_number = (uint8_t)(10 + who),
		.has_ats = true,
		.has_flr = who != SECOND,
		.vf_count = who == PF ? 2 : 0,
	};
}

int set_up(void **state)
{
	(void)state;
	memset(&lab, 0, sizeof(lab));
	lab.root.segment = &lab.root_bus;
	lab.root_bus.root = &lab.root;
	place(LEFT, &lab.root_bus, P2PDMA_KIND_ROOT_PORT, 0, 0x08);
	place(RIGHT, &lab.root_bus, P2PDMA_KIND_ROOT_PORT, 0, 0x10);
	connect(&lab.link, SEGMENT_LINK, LEFT);
	place(PF, &lab.link, P2PDMA_KIND_ENDPOINT, 1, 0);
	for (int i = 0; i < 2; i++) {
		struct p2pdma_function *vf =
			place(VF0 + i, &lab.link, P2PDMA_KIND_ENDPOINT, 1, (uint8_t)(i + 2));

		vf->physfn = &lab.functions[PF];
		vf->vf_number = (unsigned int)i;
	}
	place(SECOND, &lab.link, P2PDMA_KIND_ENDPOINT, 1, 1);
	connect(&lab.up_link, SEGMENT_LINK, RIGHT);
	place(UP, &lab.up_link, P2PDMA_KIND_UPSTREAM_PORT, 2, 0);
	connect(&lab.inside, SEGMENT_INTERNAL, UP);
	place(DOWN, &lab.inside, P2PDMA_KIND_DOWNSTREAM_PORT, 3, 0x00);
	place(EMPTY, &lab.inside, P2PDMA_KIND_DOWNSTREAM_PORT, 3, 0x08);
	connect(&lab.far_link, SEGMENT_LINK, DOWN);
	connect(&lab.empty_link, SEGMENT_LINK, EMPTY);
	place(FAR, &lab.far_link, P2PDMA_KIND_ENDPOINT, 4, 0);
	for (int who = 0; who < FUNCTIONS; who++) {
		struct p2pdma_function *function = &lab.functions[who];
		struct config_plan plan = plan_of(who);

		if (who == PF || who == FAR) {
			function->bars[0] =
				(struct bar){ BAR_MEMORY, true, true, .size = BAR_SIZE };
			function->bars[2] = (struct bar){ BAR_VECTORS, .size = 4096 };
			function->vector_count = 4;
		}
		config_build(function, &plan);
		put16(function->config + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	}
	put32(lab.functions[PF].config + PCI_BASE_ADDRESS_0 + 4, BAR_BASE >> 32);
	lab.functions[PF].config[lab.functions[PF].at.sriov + PCI_SRIOV_BAR + 2] = 0x80;
	link_boot(&lab.link);
	link_boot(&lab.up_link);
	link_boot(&lab.far_link);
	link_boot(&lab.empty_link);
	for (int who = 0; who < FUNCTIONS; who++)
		memcpy(lab.config[who][1], lab.config[who][0], CONFIG_SIZE);
	lab.trained = lab.stale = 0;
	return 0;
}

int tear_down(void **state)
{
	(void)state;
	for (int who = 0; who < FUNCTIONS; who++) {
		free(lab.functions[who].home->members);
		lab.functions[who].home->members = NULL;
	}
	return 0;
}

uint32_t read_at(int who, size_t offset, size_t length)
{
	uint8_t bytes[4] = { 0 };

	config_read(&lab.functions[who], offset, length, bytes);
	return get32(bytes);
}

void write_at(int who, size_t offset, size_t length, uint32_t value)
{
	config_write(&lab.functions[who], offset, length, value);
}

void expect_rw(int who, size_t offset, uint32_t mask)
{
	uint32_t old = read_at(who, offset, 4);

	write_at(who, offset, 4, ~old);
	assert_int_equal(read_at(who, offset, 4), old ^ mask);
	write_at(who, offset, 4, old);
	assert_int_equal(read_at(who, offset, 4), old);
}
