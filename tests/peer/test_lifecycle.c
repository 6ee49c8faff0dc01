/* SPDX-License-Identifier: MIT */
/*
 * test_lifecycle.c - what registers do to a provider's memory and its clients, and that nothing
 * gets by.
 */
#include "scene.h"
#include "topology.h"
#include "view.h"
#include "way.h"
#include <p2pdma/importer.h>

#define CARD(extra) "{\"model\":\"mem\",\"size\":\"1M\",\"name\":\"card\"" extra "}"
#define PAIR(extra) "{\"model\":\"probe\",\"id\":0,\"name\":\"client\"}," CARD(extra)
#define TRANSLATED  "\"iommu\":\"translated\","
#define REFUSES(below)                                            \
	"{\"format\":\"p2pdma-fabric\",\"version\":1,\"roots\":[" \
	"{\"platform\":\"refuses\",\"below\":[{\"type\":\"switch\",\"below\":[" below "]}]}]}"

struct scene {
	struct lab lab;
	struct p2pdma_device *client, *card;
	struct p2pdma_provider *provider;
	struct p2pdma_dmabuf *dmabuf;
	struct p2pdma_attachment *attachment;
	uint64_t address; /* what the client was told */
	bool hangs;
	unsigned int restored;
	void (*in_invalidate)(struct scene *scene);
	int result;
	enum p2pdma_provider_state state;
};

static void map_it(struct scene *scene)
{
	const struct p2pdma_dma_segment *segments;
	size_t count;

	assert_int_equal(p2pdma_dmabuf_map(scene->attachment, P2PDMA_OP_WRITE, 0, NULL, &count,
	                                   &segments),
	                 0);
	assert_int_equal(count, 1);
	scene->address = segments[0].address.addr;
}

static void invalidate(struct p2pdma_attachment *attachment, void *arg)
{
	struct scene *scene = arg;

	if (!scene->hangs)
		p2pdma_dmabuf_unmap(attachment, 0);
	if (scene->in_invalidate)
		scene->in_invalidate(scene);
}

static void restored(struct p2pdma_attachment *attachment, void *arg)
{
	struct scene *scene = arg;

	(void)attachment;
	scene->restored++;
}

static void lend(struct scene *scene, struct p2pdma_provider *provider)
{
	static const struct p2pdma_importer importer = { sizeof(importer), true, false, invalidate,
		                                         restored };
	const struct p2pdma_range range = { 0, PAGE };

	assert_int_equal(p2pdma_dmabuf_export(provider, &range, 1, NULL, NULL, &scene->dmabuf), 0);
	assert_int_equal(p2pdma_dmabuf_attach(scene->dmabuf, scene->client, &importer, scene, NULL,
	                                      &scene->attachment),
	                 0);
}

static void open_scene(struct scene *scene, const char *json)
{
	memset(scene, 0, sizeof(*scene));
	lab_open(&scene->lab, json, NULL);
	scene->client = open_device(&scene->lab, "client");
	scene->card = open_device(&scene->lab, "card");
	scene->provider = add_all(scene->card);
	lend(scene, scene->provider);
}

static void close_scene(struct scene *scene)
{
	scene->in_invalidate = NULL;
	p2pdma_dmabuf_detach(scene->attachment);
	p2pdma_dmabuf_release(scene->dmabuf, UINT64_MAX, NULL);
	p2pdma_provider_put(scene->provider);
	lab_close(&scene->lab);
}

static enum p2pdma_sim_fate write_to(struct scene *scene, uint64_t address)
{
	uint64_t value = 0x1122334455667788;

	return lab_dma(&scene->lab, lab_bdf(scene->client), P2PDMA_OP_WRITE, address, sizeof(value),
	               &value)
	        .fate;
}

/* ---- revocation ---- */

/* What an importer's requests go past is looked at when it is cut: ports were told otherwise. */
static void who_goes_past_the_iommu_since_is_switched_off(void **state)
{
	struct p2pdma_device *port;
	struct scene scene;

	(void)state;
	open_scene(&scene, SWITCH(TRANSLATED, PAIR("")));
	port = lab_device(&scene.lab, lab_text(lab_bdf(p2pdma_device_parent(scene.client))));
	lab_acs(port, P2PDMA_ACS_REQ_REDIR | P2PDMA_ACS_UPSTREAM_FWD);
	map_it(&scene);
	lab_acs(port, 0);
	scene.hangs = true;
	assert_int_equal(p2pdma_dmabuf_revoke(scene.dmabuf, p2pdma_machine_now(scene.lab.machine),
	                                      NULL),
	                 -ETIMEDOUT);
	assert_int_not_equal(write_to(&scene, scene.address), P2PDMA_SIM_ARRIVED);
	close_scene(&scene);
}

static void cut_off(struct scene *scene)
{
	map_it(scene);
	scene->hangs = true;
	assert_int_equal(p2pdma_dmabuf_revoke(scene->dmabuf, p2pdma_machine_now(scene->lab.machine),
	                                      NULL),
	                 -ETIMEDOUT);
}

static int switch_on(struct scene *scene)
{
	return p2pdma_device_config_write(scene->client, COMMAND, 2,
	                                  COMMAND_MEMORY | COMMAND_MASTER);
}

static void who_is_cut_off_stays_so_when_opened_anew(void **state)
{
	struct scene scene;

	(void)state;
	open_scene(&scene, SWITCH("", PAIR("")));
	cut_off(&scene);
	assert_int_equal(switch_on(&scene), -EPERM);
	p2pdma_device_close(scene.client);
	assert_int_equal(switch_on(&scene), -EPERM);
	assert_int_equal(p2pdma_device_open(scene.client, NULL), 0);
	assert_int_equal(switch_on(&scene), -EPERM);
	assert_int_not_equal(write_to(&scene, scene.address), P2PDMA_SIM_ARRIVED);
	assert_int_equal(p2pdma_device_reset(scene.client, NULL), 0);
	assert_int_equal(switch_on(&scene), 0);
	close_scene(&scene);
}

static void only_a_reset_that_happens_forgives(void **state)
{
	struct scene scene;
	size_t exp;

	(void)state;
	for (int can = 0; can < 2; can++) {
		open_scene(&scene, can ? SWITCH("", PAIR(""))
		                       : SWITCH("", "{\"model\":\"probe\",\"id\":0,\"flr\":false,"
		                                    "\"name\":\"client\"}," CARD("")));
		cut_off(&scene);
		exp = lab_cap(scene.client, CAP_EXP);
		lab_change(scene.client, exp + 8, 0, 0x8000);
		assert_int_equal(switch_on(&scene), can ? 0 : -EPERM);
		close_scene(&scene);
	}
}

/* ---- suspended ---- */

static void write_another_register(struct scene *scene)
{
	scene->result = p2pdma_device_config_write(scene->card, 0x0c, 1, 0);
	scene->state = info_of(scene->provider).state;
}

static void an_unrelated_write_ends_no_suspension(void **state)
{
	struct scene scene;

	(void)state;
	open_scene(&scene, SWITCH("", PAIR("")));
	map_it(&scene);
	scene.in_invalidate = write_another_register;
	assert_int_equal(p2pdma_device_reset(scene.card, NULL), 0);
	assert_int_equal(scene.result, 0);
	assert_int_equal(scene.state, P2PDMA_PROVIDER_REVOKED);
	assert_int_equal(scene.restored, 1);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_LIVE);
	close_scene(&scene);
}

static void add_again(struct scene *scene)
{
	struct p2pdma_provider *provider = NULL;

	scene->result = p2pdma_add_resource(scene->card, 0, 0, 0, NULL, NULL, &provider);
	if (!scene->result)
		p2pdma_provider_put(provider);
}

static void memory_that_is_being_removed_is_not_lent_anew(void **state)
{
	struct scene scene;

	(void)state;
	open_scene(&scene, SWITCH("", PAIR("")));
	map_it(&scene);
	scene.in_invalidate = add_again;
	assert_int_equal(p2pdma_provider_remove(scene.provider, UINT64_MAX, NULL), 0);
	assert_int_equal(scene.result, -EBUSY);
	add_again(&scene);
	assert_int_equal(scene.result, 0);
	close_scene(&scene);
}

/* ---- judged ---- */

/* A register that is written while a way is judged: what is kept is not taken for what is now. */
static void what_changes_meanwhile_is_judged_anew(void **state)
{
	const struct p2pdma_routes *routes;
	struct p2pdma_sg sg = { .length = PAGE };
	struct p2pdma_mapping *mapping = NULL;
	struct p2pdma_device *port;
	struct scene scene;
	struct peers *peers;
	struct way *way;

	(void)state;
	open_scene(&scene, REFUSES(PAIR("")));
	sg.provider = scene.provider;
	port = lab_device(&scene.lab, lab_text(lab_bdf(p2pdma_device_parent(scene.client))));
	peers = scene.provider->peers;
	mutex_lock(&peers->lock);
	assert_int_equal(peers_routes(peers, scene.client, &routes), 0);
	mutex_unlock(&peers->lock);
	lab_acs(port, P2PDMA_ACS_REQ_REDIR | P2PDMA_ACS_UPSTREAM_FWD);
	mutex_lock(&peers->lock);
	assert_int_equal(way_judge(scene.provider, lab_bdf(scene.client),
	                           &scene.provider->chunks[0],
	                           peers_find_open(peers, lab_bdf(scene.client)), routes, &way),
	                 0);
	mutex_unlock(&peers->lock);
	assert_int_equal(p2pdma_map_sg(scene.client, &sg, 1, P2PDMA_OP_WRITE, 0, NULL, &mapping),
	                 -EREMOTEIO);
	close_scene(&scene);
}

/* Whoever restores views may come after the next revocation. */
static void views_of_what_is_revoked_stay_blank(void **state)
{
	struct p2pmem_buf buf;
	struct scene scene;
	uint64_t *memory;

	(void)state;
	open_scene(&scene, SWITCH("", PAIR("")));
	buf = alloc(scene.provider, PAGE);
	assert_int_equal(p2pmem_mmap(buf, (void **)&memory), 0);
	lab_change(scene.card, COMMAND, COMMAND_MEMORY, 0);
	assert_int_equal(*memory, UINT64_MAX);
	views_restore(scene.provider);
	assert_int_equal(*memory, UINT64_MAX);
	lab_change(scene.card, COMMAND, 0, COMMAND_MEMORY);
	assert_int_equal(*memory, 0);
	assert_int_equal(p2pmem_munmap(buf, memory), 0);
	assert_int_equal(p2pmem_free(buf), 0);
	close_scene(&scene);
}

/* ---- BARs ---- */

static void a_bar_that_was_moved_is_out_of_reach(void **state)
{
	struct p2pdma_sg sg = { .length = PAGE };
	struct p2pdma_mapping *mapping = NULL;
	struct scene scene;
	uint32_t bar;

	(void)state;
	open_scene(&scene, SWITCH("", "{\"model\":\"probe\",\"id\":0,\"name\":\"client\"},"
	                              "{\"model\":\"mem\",\"size\":\"64K\",\"name\":\"card\"}"));
	sg.provider = scene.provider;
	map_it(&scene);
	bar = lab_get(scene.card, 0x10, 4);
	lab_set(scene.card, 0x10, 4, bar + 0x10000);
	assert_int_equal(p2pdma_map_sg(scene.client, &sg, 1, P2PDMA_OP_WRITE, 0, NULL, &mapping),
	                 -ENODEV);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_REVOKED);
	assert_int_equal(p2pdma_dmabuf_state(scene.dmabuf), P2PDMA_DMABUF_REVOKED);
	lab_change(scene.card, COMMAND, COMMAND_MEMORY, 0);
	lab_change(scene.card, COMMAND, 0, COMMAND_MEMORY);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_REVOKED);
	lab_set(scene.card, 0x10, 4, bar);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_LIVE);
	map_it(&scene);
	close_scene(&scene);
}

/* ---- VFs ---- */

#define SRIOV_CONTROL 0x08
#define SRIOV_ENABLE  0x1
#define SRIOV_MEMORY  0x8

static void what_is_done_to_a_pf_and_its_vf_is_told_apart(void **state)
{
	struct p2pdma_provider *provider;
	struct p2pdma_device *vf;
	struct scene scene;
	size_t control;

	(void)state;
	open_scene(&scene, SWITCH("", PAIR(",\"vfs\":1")));
	control = lab_ext(scene.card, EXT_SRIOV) + SRIOV_CONTROL;
	vf = lab_device(&scene.lab, "0000:04:00.1");
	assert_int_equal(p2pdma_device_open(vf, NULL), 0);
	provider = add_all(vf);
	assert_int_equal(info_of(provider).state, P2PDMA_PROVIDER_LIVE);
	p2pdma_dmabuf_detach(scene.attachment);
	p2pdma_dmabuf_release(scene.dmabuf, UINT64_MAX, NULL);
	lend(&scene, provider);
	/* Its command register has no memory decode, and enabling others takes nothing away. */
	lab_change(vf, COMMAND, 0, COMMAND_MASTER);
	lab_change(scene.card, COMMAND, COMMAND_MEMORY, 0);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_REVOKED);
	assert_int_equal(info_of(provider).state, P2PDMA_PROVIDER_LIVE);
	lab_change(scene.card, COMMAND, 0, COMMAND_MEMORY);
	assert_int_equal(scene.restored, 0);
	lab_change(scene.card, control, SRIOV_MEMORY, 0);
	assert_int_equal(info_of(provider).state, P2PDMA_PROVIDER_REVOKED);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_LIVE);
	lab_change(scene.card, control, 0, SRIOV_MEMORY);
	assert_int_equal(info_of(provider).state, P2PDMA_PROVIDER_LIVE);
	assert_int_equal(info_of(provider).generation, 0);
	/* VF Enable off: it is not there. */
	lab_change(scene.card, control, SRIOV_ENABLE, 0);
	assert_int_equal(info_of(provider).state, P2PDMA_PROVIDER_REVOKED);
	lab_change(scene.card, control, 0, SRIOV_ENABLE);
	assert_int_equal(info_of(provider).state, P2PDMA_PROVIDER_LIVE);
	assert_int_equal(info_of(provider).generation, 1);
	assert_int_equal(info_of(scene.provider).generation, 0);
	p2pdma_provider_put(provider);
	close_scene(&scene);
}

/* ---- a machine that fails ---- */

static struct machine_ops inner;
static unsigned int failures;

static int fail_write(void *private, struct p2pdma_bdf bdf, size_t offset, size_t length,
                      uint32_t value)
{
	return failures && failures-- ? -EIO
	                              : inner.config_write(private, bdf, offset, length, value);
}

static void who_cannot_be_switched_off_is_named(void **state)
{
	struct p2pdma_error err = { "" };
	struct machine_ops *ops;
	struct scene scene;

	(void)state;
	for (int is_for_good = 0; is_for_good < 2; is_for_good++) {
		open_scene(&scene, SWITCH("", PAIR("")));
		map_it(&scene);
		scene.hangs = true;
		ops = &scene.lab.machine->backend->ops;
		inner = *ops;
		ops->config_write = fail_write;
		failures = is_for_good ? UINT32_MAX : 1;
		assert_int_equal(p2pdma_dmabuf_revoke(scene.dmabuf,
		                                      p2pdma_machine_now(scene.lab.machine), &err),
		                 -ETIMEDOUT);
		assert_int_equal(!!strstr(err.text, "could not be switched off"), is_for_good);
		assert_int_equal(write_to(&scene, scene.address) == P2PDMA_SIM_ARRIVED,
		                 is_for_good);
		*ops = inner;
		close_scene(&scene);
	}
}

static int fail_snapshot(void *private, struct p2pdma_error *err, struct snapshot **ret_snapshot)
{
	(void)private, (void)err, (void)ret_snapshot;
	return -ENOMEM;
}

static void what_may_be_below_is_revoked(void **state)
{
	struct p2pdma_device *port;
	struct machine_ops *ops;
	struct scene scene;

	(void)state;
	open_scene(&scene, SWITCH("", PAIR("")));
	map_it(&scene);
	port = lab_device(&scene.lab, lab_text(lab_bdf(p2pdma_device_parent(scene.card))));
	p2pdma_machine_rescan(scene.lab.machine);
	ops = &scene.lab.machine->backend->ops;
	inner = *ops;
	ops->snapshot = fail_snapshot;
	lab_change(port, 0x3e, 0, 0x40);
	assert_int_equal(info_of(scene.provider).state, P2PDMA_PROVIDER_REVOKED);
	assert_true(info_of(scene.provider).generation);
	assert_int_equal(p2pdma_dmabuf_state(scene.dmabuf), P2PDMA_DMABUF_REVOKED);
	*ops = inner;
	close_scene(&scene);
}

/* ---- pieces ---- */

static void pieces_come_from_where_they_are_aligned(void **state)
{
	static const struct {
		uint64_t size, offset;
	} chunks[] = { { 15 * PAGE, PAGE }, { 2 * PAGE, 0x20000 }, { 2 * PAGE, 0x40000 } };
	struct p2pdma_provider *provider = NULL;
	struct p2pmem_buf bufs[8];
	struct p2pdma_device *other;
	struct scene scene;
	size_t count = 0;

	(void)state;
	open_scene(&scene, SWITCH("", PAIR("") ",{\"model\":\"mem\",\"size\":\"1M\","
	                                       "\"name\":\"other\"}"));
	other = open_device(&scene.lab, "other");
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(p2pdma_add_resource(other, 0, chunks[i].size, chunks[i].offset,
		                                     NULL, NULL, &provider),
		                 0);
		p2pdma_provider_put(provider);
	}
	/* The longest chunk has no byte at such an address. */
	assert_int_equal(p2pmem_alloc_sgl(provider, 4 * PAGE, 0x10000, 8, bufs, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(p2pmem_free_sgl(bufs, count), 0);
	assert_int_equal(p2pmem_alloc_sgl(provider, 5 * PAGE, 0x10000, 8, bufs, &count), -ENOMEM);
	close_scene(&scene);
}

/* ---- events ---- */

static void a_removal_told_late_ends_nothing_new(void **state)
{
	struct p2pdma_provider *provider = NULL;
	struct p2pmem_buf buf;
	struct scene scene;
	char json[256];
	uint64_t value;

	(void)state;
	open_scene(&scene, SWITCH("", PAIR("")));
	buf = alloc(scene.provider, PAGE);
	p2pdma_device_close(scene.client);
	snprintf(json, sizeof(json),
	         "[{\"at_ns\":0,\"do\":\"remove\",\"device\":\"%s\"},"
	         "{\"at_ns\":0,\"do\":\"add\",\"device\":\"%s\"}]",
	         lab_text(lab_bdf(scene.client)), lab_text(lab_bdf(scene.client)));
	assert_int_equal(p2pdma_sim_fault(scene.lab.sim, json, NULL), 0);
	/* Time goes by, and nobody asks for events. */
	for (int i = 0; i < 2; i++)
		assert_int_equal(p2pmem_read(buf, 0, sizeof(value), &value), 0);
	scene.client = open_device(&scene.lab, "client");
	provider = add_all(scene.client);
	lab_run(&scene.lab, 1000);
	assert_int_equal(info_of(provider).state, P2PDMA_PROVIDER_LIVE);
	/* One that comes later does. */
	pull(&scene.lab, scene.client, "remove");
	assert_int_equal(info_of(provider).state, P2PDMA_PROVIDER_DEAD);
	p2pdma_provider_put(provider);
	assert_int_equal(p2pmem_free(buf), 0);
	close_scene(&scene);
}

static int reset_and_fail(void *private, struct p2pdma_bdf bdf, struct p2pdma_error *err)
{
	int r = inner.reset(private, bdf, err);

	return r ? r : -ENODEV;
}

static void a_reset_that_is_not_answered_is_one(void **state)
{
	struct machine_ops *ops;
	struct scene scene;

	(void)state;
	open_scene(&scene, SWITCH("", PAIR("")));
	ops = &scene.lab.machine->backend->ops;
	inner = *ops;
	ops->reset = reset_and_fail;
	assert_int_equal(p2pdma_device_reset(scene.card, NULL), -ENODEV);
	assert_int_equal(info_of(scene.provider).generation, 1);
	*ops = inner;
	close_scene(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_goes_past_the_iommu_since_is_switched_off),
		cmocka_unit_test(who_is_cut_off_stays_so_when_opened_anew),
		cmocka_unit_test(only_a_reset_that_happens_forgives),
		cmocka_unit_test(an_unrelated_write_ends_no_suspension),
		cmocka_unit_test(memory_that_is_being_removed_is_not_lent_anew),
		cmocka_unit_test(what_changes_meanwhile_is_judged_anew),
		cmocka_unit_test(views_of_what_is_revoked_stay_blank),
		cmocka_unit_test(a_bar_that_was_moved_is_out_of_reach),
		cmocka_unit_test(what_is_done_to_a_pf_and_its_vf_is_told_apart),
		cmocka_unit_test(who_cannot_be_switched_off_is_named),
		cmocka_unit_test(what_may_be_below_is_revoked),
		cmocka_unit_test(pieces_come_from_where_they_are_aligned),
		cmocka_unit_test(a_removal_told_late_ends_nothing_new),
		cmocka_unit_test(a_reset_that_is_not_answered_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
