/* SPDX-License-Identifier: MIT */
/*
 * test_trigger.c - whatever takes memory away takes it from those it was lent to, in the same way.
 *
 * Each trigger of dmabuf.h hits an export with a dynamic and a pinned importer, with and without an
 * IOMMU.  Both obey.  Their DMA is the fabric's, so that it does what the registers allow, not what
 * they would do.
 */
#include "scene.h"
#include <p2pdma/importer.h>

/* The card is a probe: the test sees its memory without a TLP. */
#define MACHINE(extra)                                                                            \
	SWITCH(extra, "{\"model\":\"dma\",\"vectors\":0,\"name\":\"dynamic\"},"                   \
	              "{\"model\":\"probe\",\"id\":0,\"bar\":\"registers\",\"name\":\"pinned\"}," \
	              "{\"model\":\"probe\",\"id\":1,\"name\":\"card\"}")

#define BAR0           0x10
#define BRIDGE_CONTROL 0x3e
#define BRIDGE_RESET   0x40
#define EXP_CONTROL    0x08
#define EXP_FLR        0x8000
#define EXP_LINK       0x10
#define EXP_LINK_OFF   0x10
#define PM_CONTROL     0x04
#define PM_STATE       0x3
#define PATIENCE       1000000u /* ns */

struct scene;

struct guest {
	struct scene *scene;
	struct p2pdma_device *client;
	struct p2pdma_attachment *attachment;
	uint64_t address; /* what it was told last */
	unsigned int stops, starts;
};

struct trigger {
	const char *name, *name_iommu;
	void (*off)(struct scene *scene);
	void (*on)(struct scene *scene); /* NULL: off did it already */
	bool is_final;
	bool is_out;             /* between the two the card takes nothing, even without an IOMMU */
	unsigned int generation; /* what it counts */
};

struct scene {
	const struct trigger *trigger;
	bool is_translated;
	struct lab lab;
	struct p2pdma_device *card, *port;
	uint64_t bar;
	uint32_t control; /* of its PCI Express capability, as at boot */
	struct p2pdma_provider *provider;
	struct p2pmem_buf buf;
	struct p2pdma_dmabuf *dmabuf;
	struct guest dynamic, pinned;
	uint64_t value; /* the next that is written */
};

/* ---- DMA ---- */

static uint64_t *memory(const struct scene *scene)
{
	return (uint64_t *)(void *)(lab_probe(1)->memory + scene->buf.offset);
}

static enum p2pdma_sim_fate write_to(struct guest *guest)
{
	struct scene *scene = guest->scene;
	enum p2pdma_sim_fate fate;

	scene->value++;
	fate = lab_dma(&scene->lab, lab_bdf(guest->client), P2PDMA_OP_WRITE, guest->address,
	               sizeof(scene->value), &scene->value)
	               .fate;
	lab_run(&scene->lab, 10000);
	return fate;
}

static void arrives(struct guest *guest)
{
	assert_int_equal(write_to(guest), P2PDMA_SIM_ARRIVED);
	assert_int_equal(*memory(guest->scene), guest->scene->value);
}

/* Who does not obey after all. */
static void changes_nothing(struct guest *guest)
{
	uint64_t before[PAGE / 8];
	enum p2pdma_sim_fate fate;

	memcpy(before, memory(guest->scene), PAGE);
	fate = write_to(guest);
	assert_int_not_equal(fate, P2PDMA_SIM_ARRIVED);
	if (guest->scene->is_translated)
		assert_int_equal(fate, P2PDMA_SIM_IOMMU);
	assert_memory_equal(before, memory(guest->scene), PAGE);
}

/* ---- importers ---- */

static int map_it(struct guest *guest)
{
	const struct p2pdma_dma_segment *segments;
	struct p2pdma_error err = { "" };
	size_t count;
	int r = p2pdma_dmabuf_map(guest->attachment, P2PDMA_OP_WRITE, 0, &err, &count, &segments);

	if (r && r != -ENODEV)
		fail_msg("%s", err.text);
	if (r)
		return r;
	assert_int_equal(count, 1);
	guest->address = segments[0].address.addr;
	return 0;
}

static void stop(struct p2pdma_attachment *attachment, void *arg)
{
	struct guest *guest = arg;
	struct scene *scene = guest->scene;

	guest->stops++;
	assert_int_equal(p2pdma_dmabuf_state(scene->dmabuf), P2PDMA_DMABUF_REVOKING);
	assert_int_equal(info_of(scene->provider).state,
	                 scene->trigger->is_final ? P2PDMA_PROVIDER_DEAD : P2PDMA_PROVIDER_REVOKED);
	assert_int_equal(p2pdma_dmabuf_unmap(attachment, P2PDMA_UNMAP_LANDED), 0);
	assert_int_equal(map_it(guest), -ENODEV);
	assert_int_equal(p2pdma_dmabuf_pin(attachment, 0), -ENODEV);
	/* The other one may have it still, and its entries are its own. */
	if (scene->is_translated)
		changes_nothing(guest);
}

static void start(struct p2pdma_attachment *attachment, void *arg)
{
	struct guest *guest = arg;

	(void)attachment;
	guest->starts++;
	assert_int_equal(p2pdma_dmabuf_state(guest->scene->dmabuf), P2PDMA_DMABUF_LIVE);
	assert_int_equal(info_of(guest->scene->provider).state, P2PDMA_PROVIDER_LIVE);
	assert_int_equal(map_it(guest), 0);
}

static const struct p2pdma_importer dynamic = { sizeof(dynamic), true, false, stop, start };
static const struct p2pdma_importer pinned = { sizeof(pinned), true, true, stop, start };

static int attach(struct guest *guest, const struct p2pdma_importer *importer)
{
	return p2pdma_dmabuf_attach(guest->scene->dmabuf, guest->client, importer, guest, NULL,
	                            &guest->attachment);
}

/* ---- triggers ---- */

/* As its driver does after a reset that took the registers too. */
static void bring_back(struct scene *scene)
{
	/* A hot reset takes Max_Payload_Size too: others' writes would be too long for it. */
	lab_set(scene->card, lab_cap(scene->card, CAP_EXP) + EXP_CONTROL, 2, scene->control);
	lab_set(scene->card, BAR0, 4, (uint32_t)scene->bar);
	lab_set(scene->card, BAR0 + 4, 4, (uint32_t)(scene->bar >> 32));
	lab_change(scene->card, COMMAND, 0, COMMAND_MEMORY);
}

static void reset(struct scene *scene)
{
	assert_int_equal(p2pdma_device_reset(scene->card, NULL), 0);
}

static void flr(struct scene *scene)
{
	lab_change(scene->card, lab_cap(scene->card, CAP_EXP) + EXP_CONTROL, 0, EXP_FLR);
	lab_run(&scene->lab, P2PDMA_DRAIN_TIME);
}

static void decode_off(struct scene *scene)
{
	lab_change(scene->card, COMMAND, COMMAND_MEMORY, 0);
}

static void decode_on(struct scene *scene)
{
	lab_change(scene->card, COMMAND, 0, COMMAND_MEMORY);
}

static void set_power(struct scene *scene, uint16_t state)
{
	lab_change(scene->card, lab_cap(scene->card, CAP_PM) + PM_CONTROL, PM_STATE, state);
}

static void sleep_it(struct scene *scene)
{
	set_power(scene, 3);
}

static void wake(struct scene *scene)
{
	set_power(scene, 0);
	bring_back(scene);
}

static void bus_reset(struct scene *scene)
{
	lab_change(scene->port, BRIDGE_CONTROL, 0, BRIDGE_RESET);
}

static void bus_reset_over(struct scene *scene)
{
	lab_change(scene->port, BRIDGE_CONTROL, BRIDGE_RESET, 0);
	lab_run(&scene->lab, P2PDMA_DRAIN_TIME);
	bring_back(scene);
}

static void set_link(struct scene *scene, bool is_on)
{
	lab_change(scene->port, lab_cap(scene->port, CAP_EXP) + EXP_LINK, is_on ? EXP_LINK_OFF : 0,
	           is_on ? 0 : EXP_LINK_OFF);
}

static void link_off(struct scene *scene)
{
	set_link(scene, false);
}

static void link_on(struct scene *scene)
{
	set_link(scene, true);
	lab_run(&scene->lab, P2PDMA_DRAIN_TIME);
	bring_back(scene);
}

static void link_breaks(struct scene *scene)
{
	pull(&scene->lab, scene->port, "link-down");
}

static void link_mended(struct scene *scene)
{
	pull(&scene->lab, scene->port, "link-up");
	lab_run(&scene->lab, P2PDMA_DRAIN_TIME);
	bring_back(scene);
}

static void retrain(struct scene *scene)
{
	pull(&scene->lab, scene->port, "retrain");
	lab_run(&scene->lab, P2PDMA_DRAIN_TIME);
}

static void move_away(struct scene *scene)
{
	lab_set(scene->card, BAR0, 4, (uint32_t)scene->bar + PROBE_BYTES);
}

static void move_back(struct scene *scene)
{
	lab_set(scene->card, BAR0, 4, (uint32_t)scene->bar);
}

static void surprise(struct scene *scene)
{
	pull(&scene->lab, scene->card, "remove");
}

static void close_it(struct scene *scene)
{
	p2pdma_device_close(scene->card);
}

/* Its buffer is out. */
static void remove_it(struct scene *scene)
{
	uint64_t deadline = p2pdma_machine_now(scene->lab.machine) + PATIENCE;

	assert_int_equal(p2pdma_provider_remove(scene->provider, deadline, NULL), -ETIMEDOUT);
}

/* clang-format off */
static const struct trigger triggers[] = {
	{ "device_reset", "device_reset_iommu", reset, NULL, false, false, 1 },
	{ "flr", "flr_iommu", flr, bring_back, false, true, 1 },
	{ "decode", "decode_iommu", decode_off, decode_on, false, true, 0 },
	{ "d3hot", "d3hot_iommu", sleep_it, wake, false, true, 1 },
	{ "bus_reset", "bus_reset_iommu", bus_reset, bus_reset_over, false, true, 1 },
	{ "link_disable", "link_disable_iommu", link_off, link_on, false, true, 1 },
	{ "link_down", "link_down_iommu", link_breaks, link_mended, false, true, 1 },
	{ "retrain", "retrain_iommu", retrain, bring_back, false, true, 1 },
	{ "bar_moved", "bar_moved_iommu", move_away, move_back, false, true, 0 },
	{ "pulled", "pulled_iommu", surprise, NULL, true, true, 0 },
	{ "closed", "closed_iommu", close_it, NULL, true, false, 0 },
	{ "removed", "removed_iommu", remove_it, NULL, true, false, 0 },
};
/* clang-format on */
#define TRIGGERS (sizeof(triggers) / sizeof(triggers[0]))

/* ---- the scene ---- */

static void open_scene(struct scene *scene, const struct trigger *trigger, bool is_translated)
{
	struct p2pdma_range range;

	*scene = (struct scene){ .trigger = trigger, .is_translated = is_translated };
	lab_open(&scene->lab, is_translated ? MACHINE("\"iommu\":\"translated\",") : MACHINE(""),
	         NULL);
	scene->card = open_device(&scene->lab, "card");
	scene->port = lab_device(&scene->lab, lab_text(lab_bdf(p2pdma_device_parent(scene->card))));
	scene->bar = lab_bar(scene->card);
	scene->control = lab_get(scene->card, lab_cap(scene->card, CAP_EXP) + EXP_CONTROL, 2);
	scene->provider = add_all(scene->card);
	scene->buf = alloc(scene->provider, PAGE);
	range = (struct p2pdma_range){ scene->buf.offset, PAGE };
	assert_int_equal(
		p2pdma_dmabuf_export(scene->provider, &range, 1, NULL, NULL, &scene->dmabuf), 0);
	scene->dynamic =
		(struct guest){ scene, open_device(&scene->lab, "dynamic"), NULL, 0, 0, 0 };
	scene->pinned = (struct guest){ scene, open_device(&scene->lab, "pinned"), NULL, 0, 0, 0 };
	assert_int_equal(attach(&scene->dynamic, &dynamic), 0);
	assert_int_equal(attach(&scene->pinned, &pinned), 0);
	assert_int_equal(map_it(&scene->dynamic), 0);
	assert_int_equal(map_it(&scene->pinned), 0);
	assert_int_equal(p2pdma_dmabuf_state(scene->dmabuf), P2PDMA_DMABUF_LIVE);
	arrives(&scene->dynamic);
	arrives(&scene->pinned);
}

/* All can be given back, whatever has happened. */
static void close_scene(struct scene *scene)
{
	p2pdma_dmabuf_detach(scene->dynamic.attachment);
	p2pdma_dmabuf_detach(scene->pinned.attachment);
	assert_int_equal(p2pdma_dmabuf_release(scene->dmabuf, 0, NULL), 0);
	assert_int_equal(p2pmem_free(scene->buf), 0);
	assert_int_equal(p2pdma_provider_remove(scene->provider, 0, NULL), 0);
	assert_int_equal(info_of(scene->provider).buffers, 0);
	assert_int_equal(info_of(scene->provider).mappings, 0);
	p2pdma_provider_put(scene->provider);
	lab_close(&scene->lab);
}

static void is_out_of_reach(struct scene *scene, enum p2pdma_dmabuf_state dmabuf,
                            enum p2pdma_provider_state provider)
{
	struct p2pdma_sg sg = p2pdma_sg_buf(scene->buf);
	struct p2pdma_mapping *mapping = NULL;

	assert_int_equal(p2pdma_dmabuf_state(scene->dmabuf), dmabuf);
	assert_int_equal(info_of(scene->provider).state, provider);
	assert_int_equal(info_of(scene->provider).mappings, 0);
	assert_int_equal(map_it(&scene->dynamic), -ENODEV);
	assert_int_equal(map_it(&scene->pinned), -ENODEV);
	assert_int_equal(p2pdma_map_sg(scene->dynamic.client, &sg, 1, P2PDMA_OP_WRITE, 0, NULL,
	                               &mapping),
	                 -ENODEV);
	assert_int_equal(p2pdma_dmabuf_restore(scene->dmabuf, NULL, 0, NULL), -ENODEV);
	if (!scene->trigger->is_out && !scene->is_translated)
		return;
	changes_nothing(&scene->dynamic);
	changes_nothing(&scene->pinned);
}

static void were_told(struct scene *scene, unsigned int stops, unsigned int starts)
{
	assert_int_equal(scene->dynamic.stops, stops);
	assert_int_equal(scene->dynamic.starts, starts);
	/* What it has lost it loses once. */
	assert_int_equal(scene->pinned.stops, 1);
	assert_int_equal(scene->pinned.starts, 0);
}

/* ---- the tests ---- */

static void comes_back(struct scene *scene)
{
	const struct trigger *trigger = scene->trigger;

	for (unsigned int i = 0; i < 2; i++) {
		trigger->off(scene);
		were_told(scene, i + 1, trigger->on ? i : i + 1);
		if (trigger->on) {
			is_out_of_reach(scene, P2PDMA_DMABUF_REVOKED, P2PDMA_PROVIDER_REVOKED);
			trigger->on(scene);
		}
		/* Nothing comes late. */
		lab_run(&scene->lab, P2PDMA_REVOKE_PATIENCE);
		were_told(scene, i + 1, i + 1);
		assert_int_equal(p2pdma_dmabuf_state(scene->dmabuf), P2PDMA_DMABUF_LIVE);
		assert_int_equal(info_of(scene->provider).state, P2PDMA_PROVIDER_LIVE);
		assert_int_equal(info_of(scene->provider).generation,
		                 (i + 1) * trigger->generation);
		assert_int_equal(info_of(scene->provider).mappings, 1);
		arrives(&scene->dynamic);
		assert_int_equal(map_it(&scene->pinned), -ENODEV);
		if (scene->is_translated)
			changes_nothing(&scene->pinned);
	}
	/* It attaches anew. */
	p2pdma_dmabuf_detach(scene->pinned.attachment);
	assert_int_equal(attach(&scene->pinned, &pinned), 0);
	assert_int_equal(map_it(&scene->pinned), 0);
	arrives(&scene->pinned);
}

static void is_over(struct scene *scene)
{
	struct p2pdma_range range = { scene->buf.offset, PAGE };
	struct guest late = scene->dynamic;
	struct p2pdma_dmabuf *dmabuf = NULL;
	struct p2pmem_buf buf;

	scene->trigger->off(scene);
	for (int i = 0; i < 2; i++) {
		were_told(scene, 1, 0);
		is_out_of_reach(scene, P2PDMA_DMABUF_DEAD, P2PDMA_PROVIDER_DEAD);
		assert_int_equal(p2pdma_dmabuf_pin(scene->dynamic.attachment, 0), -ENODEV);
		assert_int_equal(p2pdma_dmabuf_revoke(scene->dmabuf, 0, NULL), -ENODEV);
		assert_int_equal(p2pdma_dmabuf_invalidate(scene->dmabuf, 0, NULL), -ENODEV);
		assert_int_equal(attach(&late, &dynamic), -ENODEV);
		assert_int_equal(p2pdma_dmabuf_export(scene->provider, &range, 1, NULL, NULL,
		                                      &dmabuf),
		                 -ENODEV);
		assert_int_equal(p2pmem_alloc(scene->provider, PAGE, 0, &buf), -ENODEV);
		assert_int_equal(info_of(scene->provider).generation, scene->trigger->generation);
		/* Neither with time, nor plugged in again. */
		if (scene->trigger->off == surprise)
			pull(&scene->lab, scene->card, "add");
		lab_run(&scene->lab, P2PDMA_REVOKE_PATIENCE);
		if (scene->trigger->off == surprise)
			pull(&scene->lab, scene->card, "remove");
	}
}

static void takes_it_away(const struct trigger *trigger, bool is_translated)
{
	struct scene scene;

	open_scene(&scene, trigger, is_translated);
	if (trigger->is_final)
		is_over(&scene);
	else
		comes_back(&scene);
	close_scene(&scene);
}

static void without_an_iommu(void **state)
{
	takes_it_away(*state, false);
}

static void behind_an_iommu(void **state)
{
	takes_it_away(*state, true);
}

int main(void)
{
	struct CMUnitTest tests[2 * TRIGGERS];

	for (size_t i = 0; i < TRIGGERS; i++) {
		void *trigger = (void *)(uintptr_t)&triggers[i];

		tests[2 * i] = (struct CMUnitTest){ triggers[i].name, without_an_iommu, NULL, NULL,
			                            trigger };
		tests[2 * i + 1] = (struct CMUnitTest){ triggers[i].name_iommu, behind_an_iommu,
			                                NULL, NULL, trigger };
	}
	return cmocka_run_group_tests_name("peer-trigger", tests, NULL, NULL);
}
