/* SPDX-License-Identifier: MIT */
/*
 * test_map.c - the gate and the addresses: what a client may have, and that it gets there.
 */
#include "scene.h"
#include "topology.h"

#define PAIR                                                  \
	"{\"model\":\"probe\",\"id\":0,\"name\":\"client\"}," \
	"{\"model\":\"mem\",\"size\":\"1M\",\"name\":\"card\"}"
#define TRANSLATED "\"iommu\":\"translated\","
#define REFUSES(extra)                                                     \
	"{\"format\":\"p2pdma-fabric\",\"version\":1," extra "\"roots\":[" \
	"{\"platform\":\"refuses\",\"below\":[{\"type\":\"switch\",\"below\":[" PAIR "]}]}]}"
#define TWO_PORTS(extra)                                                   \
	"{\"format\":\"p2pdma-fabric\",\"version\":1," extra "\"roots\":[" \
	"{\"platform\":\"intel-skylake-sp\",\"below\":["                   \
	"{\"model\":\"probe\",\"id\":0,\"name\":\"client\"}]},"            \
	"{\"platform\":\"intel-skylake-sp\",\"below\":["                   \
	"{\"model\":\"mem\",\"size\":\"1M\",\"name\":\"card\"}]}]}"

#define REQ_REDIR    P2PDMA_ACS_REQ_REDIR
#define CMPLT_REDIR  P2PDMA_ACS_CMPLT_REDIR
#define UPSTREAM_FWD P2PDMA_ACS_UPSTREAM_FWD

struct scene {
	struct lab lab;
	struct p2pdma_device *client, *card;
	struct p2pdma_provider *provider;
	struct p2pmem_buf buf;
};

static struct scene open_scene(const char *json)
{
	struct scene scene;

	lab_open(&scene.lab, json, NULL);
	scene.client = open_device(&scene.lab, "client");
	scene.card = open_device(&scene.lab, "card");
	scene.provider = add_all(scene.card);
	scene.buf = alloc(scene.provider, 4 * PAGE);
	return scene;
}

static void close_scene(struct scene *scene)
{
	assert_int_equal(info_of(scene->provider).mappings, 0);
	assert_int_equal(p2pmem_free(scene->buf), 0);
	p2pdma_provider_put(scene->provider);
	lab_close(&scene->lab);
}

static int try_map(const struct scene *scene, enum p2pdma_op op, unsigned int flags,
                   struct p2pdma_error *err)
{
	struct p2pdma_sg sg = p2pdma_sg_buf(scene->buf);
	struct p2pdma_mapping *mapping = NULL;
	int r = p2pdma_map_sg(scene->client, &sg, 1, op, flags, err, &mapping);

	assert_true(!r == !!mapping);
	p2pdma_unmap_sg(mapping);
	return r;
}

/* Writes through the client, and looks through the CPU whether it is there. */
static enum p2pdma_sim_fate write_at(struct scene *scene, struct p2pmem_buf buf, uint64_t address)
{
	static uint64_t serial = 1;
	struct p2pdma_sim_outcome outcome;
	uint64_t value = ++serial * 0x0101010101010101ull, back = 0;

	outcome = lab_dma(&scene->lab, lab_bdf(scene->client), P2PDMA_OP_WRITE, address,
	                  sizeof(value), &value);
	assert_int_equal(p2pmem_read(buf, 0, sizeof(back), &back), 0);
	assert_int_equal(back == value, outcome.fate == P2PDMA_SIM_ARRIVED);
	return outcome.fate;
}

static uint64_t root_bytes(const struct scene *scene)
{
	struct p2pdma_sim_totals totals = { .size = sizeof(totals) };

	assert_int_equal(p2pdma_sim_get_totals(scene->lab.sim, &totals), 0);
	return totals.root_bytes;
}

static void below_a_switch_it_is_the_bus_address(void **state)
{
	struct scene scene = open_scene(SWITCH("", PAIR));
	struct p2pdma_mapping *mapping;
	uint64_t address;

	(void)state;
	mapping = map_buf(scene.client, scene.buf, P2PDMA_OP_BOTH, &address);
	assert_int_equal(address, p2pmem_bus(scene.buf).addr);
	assert_int_equal(info_of(scene.provider).mappings, 1);
	assert_int_equal(write_at(&scene, scene.buf, address), P2PDMA_SIM_ARRIVED);
	assert_int_equal(root_bytes(&scene), 0);
	assert_null(p2pdma_unmap_sg(mapping));
	assert_null(p2pdma_unmap_sg(NULL));
	close_scene(&scene);
}

/*
 * The rule of design 4.4: at the bus address a TLP gets there whether the switch short-cuts it or
 * not. At any other IOVA this one would go up, and vanish in a root complex that forwards nothing.
 */
static void a_short_cut_needs_the_bus_address(void **state)
{
	struct scene scene = open_scene(REFUSES(TRANSLATED));
	struct p2pdma_mapping *mapping;
	uint64_t address;

	(void)state;
	lab_acs(p2pdma_device_parent(scene.client), 0);
	lab_acs(p2pdma_device_parent(scene.card), 0);
	mapping = map_buf(scene.client, scene.buf, P2PDMA_OP_BOTH, &address);
	assert_int_equal(address, p2pmem_bus(scene.buf).addr);
	assert_int_equal(write_at(&scene, scene.buf, address), P2PDMA_SIM_ARRIVED);
	p2pdma_unmap_sg(mapping);
	close_scene(&scene);
}

static void redirected_it_goes_by_the_iommu(void **state)
{
	struct scene scene = open_scene(SWITCH(TRANSLATED, PAIR));
	struct p2pdma_mapping *mapping;
	uint64_t address;

	(void)state;
	assert_int_equal(write_at(&scene, scene.buf, p2pmem_bus(scene.buf).addr), P2PDMA_SIM_IOMMU);
	mapping = map_buf(scene.client, scene.buf, P2PDMA_OP_BOTH, &address);
	assert_int_equal(address, p2pmem_bus(scene.buf).addr);
	assert_int_equal(write_at(&scene, scene.buf, address), P2PDMA_SIM_ARRIVED);
	assert_true(root_bytes(&scene) > 0);
	p2pdma_unmap_sg(mapping);
	assert_int_equal(write_at(&scene, scene.buf, address), P2PDMA_SIM_IOMMU);
	close_scene(&scene);
}

static void no_and_unknown_are_refused(void **state)
{
	struct scene scene = open_scene(SWITCH("", PAIR));
	struct p2pdma_device *port = p2pdma_device_parent(scene.client);
	struct p2pdma_device *root = p2pdma_device_parent(p2pdma_device_parent(port));
	struct p2pdma_error err = { "" };

	(void)state;
	assert_int_equal(try_map(&scene, P2PDMA_OP_BOTH, 0, NULL), 0);
	/* Redirected, and no port is known to turn it round: judged anew, since we wrote it. */
	lab_acs(port, REQ_REDIR);
	assert_int_equal(try_map(&scene, P2PDMA_OP_WRITE, 0, &err), -EREMOTEIO);
	assert_non_null(strstr(err.text, "writes unknown"));
	assert_non_null(strstr(err.text, "P2PDMA_SG_UNKNOWN_IS_YES"));
	assert_non_null(strstr(err.text, lab_text(lab_bdf(scene.client))));
	assert_non_null(strstr(err.text, "ReqRedir+ at "));
	assert_non_null(strstr(err.text, lab_text(lab_bdf(port))));
	assert_int_equal(try_map(&scene, P2PDMA_OP_WRITE, P2PDMA_SG_UNKNOWN_IS_YES, &err), 0);
	lab_acs(root, UPSTREAM_FWD);
	assert_int_equal(try_map(&scene, P2PDMA_OP_BOTH, 0, NULL), 0);
	/* Blocked: no word makes it a yes. */
	lab_acs(port, P2PDMA_ACS_EGRESS_CTRL);
	for (unsigned int bit = 0; bit < 8; bit++)
		lab_egress(port, bit, true);
	assert_int_equal(try_map(&scene, P2PDMA_OP_WRITE, 0, &err), -EREMOTEIO);
	assert_non_null(strstr(err.text, "writes blocked"));
	assert_int_equal(try_map(&scene, P2PDMA_OP_WRITE, P2PDMA_SG_UNKNOWN_IS_YES, &err),
	                 -EREMOTEIO);
	lab_acs(port, 0);
	/* A register that stops it. */
	lab_change(p2pdma_device_parent(port), COMMAND, COMMAND_MASTER, 0);
	lab_acs(port, REQ_REDIR);
	assert_int_equal(try_map(&scene, P2PDMA_OP_WRITE, 0, &err), -EREMOTEIO);
	assert_non_null(strstr(err.text, "writes stopped"));
	assert_non_null(strstr(err.text, "Bus Master Enable off at"));
	close_scene(&scene);
}

/* Completions alone are redirected: writes are fine, reads are not known to come back. */
static void writes_and_reads_are_judged_apart(void **state)
{
	struct scene scene = open_scene(SWITCH("", PAIR));

	(void)state;
	lab_acs(p2pdma_device_parent(scene.card), CMPLT_REDIR);
	assert_int_equal(try_map(&scene, P2PDMA_OP_WRITE, 0, NULL), 0);
	assert_int_equal(try_map(&scene, P2PDMA_OP_READ, 0, NULL), -EREMOTEIO);
	assert_int_equal(try_map(&scene, P2PDMA_OP_BOTH, 0, NULL), -EREMOTEIO);
	close_scene(&scene);
}

/* What others write is not seen before they say so. */
static void a_route_is_kept_until_a_rescan(void **state)
{
	struct scene scene = open_scene(SWITCH("", PAIR));
	struct p2pdma_device *port = p2pdma_device_parent(scene.client);
	struct backend *backend = scene.lab.machine->backend;
	size_t acs = lab_ext(port, EXT_ACS) + 6;

	(void)state;
	assert_int_equal(try_map(&scene, P2PDMA_OP_WRITE, 0, NULL), 0);
	assert_int_equal(
		backend->ops.config_write(backend->private, lab_bdf(port), acs, 2, REQ_REDIR), 0);
	assert_int_equal(try_map(&scene, P2PDMA_OP_WRITE, 0, NULL), 0);
	p2pdma_machine_rescan(scene.lab.machine);
	assert_int_equal(try_map(&scene, P2PDMA_OP_WRITE, 0, NULL), -EREMOTEIO);
	close_scene(&scene);
}

static void across_host_bridges_any_iova_will_do(void **state)
{
	struct scene scene = open_scene(TWO_PORTS(TRANSLATED));
	struct p2pdma_mapping *mapping;
	uint64_t address;

	(void)state;
	mapping = map_buf(scene.client, scene.buf, P2PDMA_OP_BOTH, &address);
	assert_int_not_equal(address, p2pmem_bus(scene.buf).addr);
	assert_int_equal(write_at(&scene, scene.buf, address), P2PDMA_SIM_ARRIVED);
	p2pdma_unmap_sg(mapping);
	close_scene(&scene);
}

static void untranslated_it_is_the_cpus_address(void **state)
{
	struct scene scene = open_scene(TWO_PORTS(""));
	struct p2pdma_mapping *mapping;
	uint64_t address;

	(void)state;
	mapping = map_buf(scene.client, scene.buf, P2PDMA_OP_BOTH, &address);
	assert_int_equal(write_at(&scene, scene.buf, address), P2PDMA_SIM_ARRIVED);
	p2pdma_unmap_sg(mapping);
	close_scene(&scene);
}

/* An IOMMU too narrow for where the BAR is. */
#define NARROW TRANSLATED "\"iova_bits\":39,"

static void out_of_the_aperture_only_what_goes_up_anyway(void **state)
{
	struct scene scene = open_scene(SWITCH(NARROW, PAIR));
	struct p2pdma_error err = { "" };
	struct p2pdma_mapping *mapping;
	uint64_t address;

	(void)state;
	mapping = map_buf(scene.client, scene.buf, P2PDMA_OP_BOTH, &address);
	assert_true(address < 1ull << 39);
	assert_int_equal(write_at(&scene, scene.buf, address), P2PDMA_SIM_ARRIVED);
	p2pdma_unmap_sg(mapping);
	lab_acs(p2pdma_device_parent(scene.client), 0);
	lab_acs(p2pdma_device_parent(scene.card), 0);
	assert_int_equal(try_map(&scene, P2PDMA_OP_BOTH, 0, &err), -EREMOTEIO);
	assert_non_null(strstr(err.text, "can be no IOVA"));
	close_scene(&scene);
}

static void a_list_is_mixed_and_merged(void **state)
{
	struct scene scene = open_scene(SWITCH(TRANSLATED, PAIR));
	uint8_t *memory = aligned_alloc(PAGE, 2 * PAGE), bytes[64];
	struct p2pdma_sg sgl[5] = {
		{ scene.provider, scene.buf.offset, NULL, 100 },
		{ scene.provider, scene.buf.offset + 100, NULL, 2 * PAGE - 100 },
		{ NULL, 0, memory, 2 * PAGE },
		{ scene.provider, scene.buf.offset + PAGE, NULL, PAGE },
		{ scene.provider, scene.buf.offset + 3 * PAGE, NULL, 64 },
	};
	const struct p2pdma_dma_segment *segments;
	struct p2pdma_mapping *mapping = NULL;
	uint64_t bus = p2pmem_bus(scene.buf).addr;
	size_t count;

	(void)state;
	assert_non_null(memory);
	assert_int_equal(p2pdma_map_sg(scene.client, sgl, 5, P2PDMA_OP_BOTH, 0, NULL, &mapping), 0);
	segments = p2pdma_mapping_segments(mapping, &count);
	assert_int_equal(count, 4);
	assert_int_equal(segments[0].address.addr, bus);
	assert_int_equal(segments[0].length, 2 * PAGE);
	assert_int_equal(segments[1].length, 2 * PAGE);
	assert_int_equal(segments[2].address.addr, bus + PAGE);
	assert_int_equal(segments[3].address.addr, bus + 3 * PAGE);
	assert_int_equal(segments[3].length, 64);
	assert_int_equal(write_at(&scene, scene.buf, segments[0].address.addr), P2PDMA_SIM_ARRIVED);
	memset(bytes, 0x77, sizeof(bytes));
	assert_int_equal(lab_dma(&scene.lab, lab_bdf(scene.client), P2PDMA_OP_WRITE,
	                         segments[1].address.addr, sizeof(bytes), bytes)
	                         .fate,
	                 P2PDMA_SIM_ARRIVED);
	assert_memory_equal(memory, bytes, sizeof(bytes));
	p2pdma_unmap_sg(mapping);
	free(memory);
	close_scene(&scene);
}

/* The IOMMU as well: what came before the entry that failed is undone. */
static void it_is_all_or_nothing(void **state)
{
	struct scene scene = open_scene(SWITCH(TRANSLATED, PAIR));
	uint8_t *memory = aligned_alloc(PAGE, PAGE);
	struct p2pdma_sg sgl[3] = {
		{ NULL, 0, memory, PAGE },
		{ scene.provider, scene.buf.offset, NULL, PAGE },
		{ scene.provider, MIB, NULL, PAGE },
	};
	struct p2pdma_mapping *mapping = (void *)sgl;

	(void)state;
	assert_int_equal(p2pdma_map_sg(scene.client, sgl, 3, P2PDMA_OP_BOTH, 0, NULL, &mapping),
	                 -EINVAL);
	assert_ptr_equal(mapping, (void *)sgl);
	assert_int_equal(write_at(&scene, scene.buf, p2pmem_bus(scene.buf).addr), P2PDMA_SIM_IOMMU);
	free(memory);
	close_scene(&scene);
}

/* Two mappings of the same pages: the last one to go takes them along. */
static void mappings_share_pages(void **state)
{
	struct scene scene = open_scene(SWITCH(TRANSLATED, PAIR));
	struct p2pmem_buf part = { scene.provider, scene.buf.offset + PAGE, 2 * PAGE };
	struct p2pmem_buf whole = scene.buf, tail = { scene.provider, part.offset + PAGE, PAGE };
	struct p2pdma_mapping *first, *second, *third;
	uint64_t address, all, last;

	(void)state;
	first = map_buf(scene.client, part, P2PDMA_OP_BOTH, &address);
	second = map_buf(scene.client, whole, P2PDMA_OP_BOTH, &all);
	third = map_buf(scene.client, tail, P2PDMA_OP_BOTH, &last);
	assert_int_equal(all + PAGE, address);
	p2pdma_unmap_sg(first);
	assert_int_equal(write_at(&scene, part, address), P2PDMA_SIM_ARRIVED);
	assert_int_equal(write_at(&scene, whole, all), P2PDMA_SIM_ARRIVED);
	p2pdma_unmap_sg(second);
	assert_int_equal(write_at(&scene, whole, all), P2PDMA_SIM_IOMMU);
	assert_int_equal(write_at(&scene, tail, last), P2PDMA_SIM_ARRIVED);
	p2pdma_unmap_sg(third);
	assert_int_equal(write_at(&scene, tail, last), P2PDMA_SIM_IOMMU);
	assert_int_equal(write_at(&scene, part, address), P2PDMA_SIM_IOMMU);
	close_scene(&scene);
}

/* Only of what is no yes the IOMMU lets through less than both. */
static void a_page_may_be_mapped_for_less(void **state)
{
	struct scene scene = open_scene(SWITCH(TRANSLATED, PAIR));
	struct p2pdma_sg sg = p2pdma_sg_buf(scene.buf);
	struct p2pdma_mapping *mapping = NULL;
	uint64_t address = p2pmem_bus(scene.buf).addr;
	uint8_t bytes[8];

	(void)state;
	lab_acs(p2pdma_device_parent(p2pdma_device_parent(p2pdma_device_parent(scene.client))), 0);
	assert_int_equal(p2pdma_map_sg(scene.client, &sg, 1, P2PDMA_OP_WRITE,
	                               P2PDMA_SG_UNKNOWN_IS_YES, NULL, &mapping),
	                 0);
	assert_int_equal(lab_dma(&scene.lab, lab_bdf(scene.client), P2PDMA_OP_READ, address,
	                         sizeof(bytes), bytes)
	                                 .fate == P2PDMA_SIM_ARRIVED,
	                 false);
	assert_int_equal(try_map(&scene, P2PDMA_OP_READ, P2PDMA_SG_UNKNOWN_IS_YES, NULL), -EBUSY);
	p2pdma_unmap_sg(mapping);
	assert_int_equal(try_map(&scene, P2PDMA_OP_READ, P2PDMA_SG_UNKNOWN_IS_YES, NULL), 0);
	close_scene(&scene);
}

static int map_one(const struct scene *scene, struct p2pdma_sg sg, enum p2pdma_op op,
                   unsigned int flags)
{
	struct p2pdma_mapping *mapping = NULL;
	struct p2pdma_error err = { "" };
	int r = p2pdma_map_sg(scene->client, &sg, 1, op, flags, &err, &mapping);

	assert_int_equal(!r, err.text[0] == 0);
	p2pdma_unmap_sg(mapping);
	return r;
}

static void mistakes_are_told(void **state)
{
	struct scene scene = open_scene(SWITCH(TRANSLATED, PAIR));
	struct p2pdma_sg sg = p2pdma_sg_buf(scene.buf), two[2];
	uint8_t *memory = aligned_alloc(PAGE, 2 * PAGE);
	struct p2pdma_mapping *mapping = NULL;
	struct scene other;

	(void)state;
	assert_int_equal(p2pdma_map_sg(scene.client, &sg, 0, P2PDMA_OP_BOTH, 0, NULL, &mapping),
	                 -EINVAL);
	assert_int_equal(map_one(&scene, sg, 0, 0), -EINVAL);
	assert_int_equal(map_one(&scene, sg, 4, 0), -EINVAL);
	assert_int_equal(map_one(&scene, sg, P2PDMA_OP_BOTH, 2), -EINVAL);
	sg.length = 0;
	assert_int_equal(map_one(&scene, sg, P2PDMA_OP_BOTH, 0), -EINVAL);
	sg.length = MIB + 1;
	assert_int_equal(map_one(&scene, sg, P2PDMA_OP_BOTH, 0), -EINVAL);
	sg.length = UINT64_MAX;
	assert_int_equal(map_one(&scene, sg, P2PDMA_OP_BOTH, 0), -EINVAL);
	two[0] = two[1] = sg;
	assert_int_equal(p2pdma_map_sg(scene.client, two, 2, P2PDMA_OP_BOTH, 0, NULL, &mapping),
	                 -EOVERFLOW);
	sg = p2pdma_sg_buf(scene.buf);
	sg.memory = memory;
	assert_int_equal(map_one(&scene, sg, P2PDMA_OP_BOTH, 0), -EINVAL);
	sg = (struct p2pdma_sg){ .length = PAGE };
	assert_int_equal(map_one(&scene, sg, P2PDMA_OP_BOTH, 0), -EINVAL);
	sg = (struct p2pdma_sg){ .memory = memory + 64, .length = PAGE };
	assert_int_equal(map_one(&scene, sg, P2PDMA_OP_BOTH, 0), -EINVAL);
	sg = (struct p2pdma_sg){ .memory = memory, .length = 100 };
	assert_int_equal(map_one(&scene, sg, P2PDMA_OP_BOTH, 0), -EINVAL);
	/* Of another machine. */
	other = open_scene(SWITCH("", PAIR));
	sg = p2pdma_sg_buf(other.buf);
	assert_int_equal(map_one(&scene, sg, P2PDMA_OP_BOTH, 0), -EINVAL);
	close_scene(&other);
	/* The provider is revoked; the client is closed, then pulled. */
	sg = p2pdma_sg_buf(scene.buf);
	lab_change(scene.card, COMMAND, COMMAND_MEMORY, 0);
	assert_int_equal(map_one(&scene, sg, P2PDMA_OP_BOTH, 0), -ENODEV);
	lab_change(scene.card, COMMAND, 0, COMMAND_MEMORY);
	assert_int_equal(map_one(&scene, sg, P2PDMA_OP_BOTH, 0), 0);
	p2pdma_device_close(scene.client);
	assert_int_equal(map_one(&scene, sg, P2PDMA_OP_BOTH, 0), -EPERM);
	scene.client = open_device(&scene.lab, "client");
	assert_int_equal(map_one(&scene, sg, P2PDMA_OP_BOTH, 0), 0);
	pull(&scene.lab, scene.client, "remove");
	assert_int_equal(map_one(&scene, sg, P2PDMA_OP_BOTH, 0), -ENODEV);
	free(memory);
	close_scene(&scene);
}

/* What was mapped before it was closed is not what is mapped now. */
static void a_client_that_is_opened_again_starts_anew(void **state)
{
	struct scene scene = open_scene(SWITCH(TRANSLATED, PAIR));
	struct p2pdma_mapping *old, *mapping;
	uint64_t address;

	(void)state;
	old = map_buf(scene.client, scene.buf, P2PDMA_OP_BOTH, &address);
	p2pdma_device_close(scene.client);
	scene.client = open_device(&scene.lab, "client");
	assert_int_equal(write_at(&scene, scene.buf, address), P2PDMA_SIM_IOMMU);
	mapping = map_buf(scene.client, scene.buf, P2PDMA_OP_BOTH, &address);
	p2pdma_unmap_sg(old);
	assert_int_equal(write_at(&scene, scene.buf, address), P2PDMA_SIM_ARRIVED);
	p2pdma_unmap_sg(mapping);
	close_scene(&scene);
}

/* The kernel's mapping knows functions with a driver of their own only; its distance sees through.
 */
static void a_vf_is_seen_through(void **state)
{
	struct scene scene =
		open_scene(SWITCH("", "{\"model\":\"dma\",\"name\":\"client\",\"vfs\":2},"
	                              "{\"model\":\"mem\",\"size\":\"1M\",\"name\":\"card\"}"));
	struct p2pdma_device *vf = NULL;
	struct p2pdma_mapping *mapping;
	uint64_t address;

	(void)state;
	for (size_t i = 0; i < p2pdma_machine_device_count(scene.lab.machine); i++) {
		struct p2pdma_device *device = p2pdma_machine_device(scene.lab.machine, i);

		if (p2pdma_device_physfn(device) == scene.client)
			vf = device;
	}
	assert_non_null(vf);
	assert_int_equal(p2pdma_device_open(vf, NULL), 0);
	lab_change(vf, COMMAND, 0, COMMAND_MASTER);
	scene.client = vf;
	mapping = map_buf(vf, scene.buf, P2PDMA_OP_BOTH, &address);
	assert_int_equal(write_at(&scene, scene.buf, address), P2PDMA_SIM_ARRIVED);
	p2pdma_unmap_sg(mapping);
	close_scene(&scene);
}

static void a_mapping_holds_its_provider(void **state)
{
	struct scene scene = open_scene(SWITCH("", PAIR));
	struct p2pdma_mapping *mapping;
	struct p2pdma_error err = { "" };
	uint64_t address;

	(void)state;
	mapping = map_buf(scene.client, scene.buf, P2PDMA_OP_BOTH, &address);
	assert_int_equal(p2pmem_free(scene.buf), 0);
	assert_int_equal(p2pdma_provider_remove(scene.provider, 0, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "1 mapped entry"));
	p2pdma_provider_put(scene.provider);
	lab_close(&scene.lab);
	p2pdma_unmap_sg(mapping);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(below_a_switch_it_is_the_bus_address),
		cmocka_unit_test(a_short_cut_needs_the_bus_address),
		cmocka_unit_test(redirected_it_goes_by_the_iommu),
		cmocka_unit_test(no_and_unknown_are_refused),
		cmocka_unit_test(writes_and_reads_are_judged_apart),
		cmocka_unit_test(a_route_is_kept_until_a_rescan),
		cmocka_unit_test(across_host_bridges_any_iova_will_do),
		cmocka_unit_test(untranslated_it_is_the_cpus_address),
		cmocka_unit_test(out_of_the_aperture_only_what_goes_up_anyway),
		cmocka_unit_test(a_list_is_mixed_and_merged),
		cmocka_unit_test(it_is_all_or_nothing),
		cmocka_unit_test(mappings_share_pages),
		cmocka_unit_test(a_page_may_be_mapped_for_less),
		cmocka_unit_test(mistakes_are_told),
		cmocka_unit_test(a_client_that_is_opened_again_starts_anew),
		cmocka_unit_test(a_vf_is_seen_through),
		cmocka_unit_test(a_mapping_holds_its_provider),
	};

	return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
