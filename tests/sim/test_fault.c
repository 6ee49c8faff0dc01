/* SPDX-License-Identifier: MIT */
/*
 * test_fault.c - scripted physical faults: when they strike, what they do, what a bad script is
 * told.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine.h"

#define MACHINE(faults)                                                              \
	"{\"format\":\"p2pdma-fabric\",\"version\":1,\"completion_timeout_us\":100," \
	"\"iommu\":\"passthrough\","                                                 \
	"\"roots\":[{\"platform\":{\"same_port\":\"rw\",\"across_ports\":\"rw\"},"   \
	"\"below\":[{\"type\":\"switch\",\"link\":\"gen4 x16\",\"below\":["          \
	"{\"model\":\"dma\",\"name\":\"engine\"},"                                   \
	"{\"model\":\"mem\",\"name\":\"card\",\"size\":\"2M\"},"                     \
	"{\"model\":\"probe\",\"name\":\"a\",\"id\":0},"                             \
	"{\"model\":\"probe\",\"name\":\"b\",\"id\":1}]}]}]" faults "}"

#define PAYLOAD 256 /* bytes of a TLP on this machine */
#define BYTES   1024

struct desk {
	struct lab lab;
	struct p2pdma_device *a, *b, *card;
	struct p2pdma_bar_map *map; /* of b */
	uint64_t b_bar, card_bar;   /* addresses, as long as they are there to ask */
	char a_text[24], b_text[24], card_text[24], port_text[24];
	uint8_t bytes[BYTES];
};

static int set_up(void **state)
{
	struct desk *desk = calloc(1, sizeof(*desk));

	assert_non_null(desk);
	lab_open(&desk->lab, MACHINE(""), NULL);
	desk->a = lab_device(&desk->lab, "a");
	desk->b = lab_device(&desk->lab, "b");
	desk->card = lab_device(&desk->lab, "card");
	strcpy(desk->a_text, lab_text(lab_bdf(desk->a)));
	strcpy(desk->b_text, lab_text(lab_bdf(desk->b)));
	strcpy(desk->card_text, lab_text(lab_bdf(desk->card)));
	strcpy(desk->port_text, lab_text(lab_bdf(p2pdma_device_parent(desk->b))));
	memset(desk->bytes, 0x55, BYTES);
	desk->map = lab_map(desk->b);
	desk->b_bar = lab_bar(desk->b);
	desk->card_bar = lab_bar(desk->card);
	*state = desk;
	return 0;
}

static int tear_down(void **state)
{
	struct desk *desk = *state;

	p2pdma_bar_unmap(desk->map);
	lab_close(&desk->lab);
	free(desk);
	return 0;
}

/* A script; $ stands for @device. */
static void script(struct desk *desk, const char *json, const char *device)
{
	char text[1024];
	struct p2pdma_error err = { "" };
	size_t at = 0;

	for (; *json; json++)
		at += (size_t)(*json == '$' ? snprintf(text + at, sizeof(text) - at, "%s", device)
		                            : snprintf(text + at, sizeof(text) - at, "%c", *json));
	if (p2pdma_sim_fault(desk->lab.sim, text, &err))
		fail_msg("%s: %s", text, err.text);
	lab_skip_events(&desk->lab);
}

static struct p2pdma_sim_outcome write_b(struct desk *desk)
{
	memset(lab_probe(1)->memory, 0, BYTES);
	return lab_dma(&desk->lab, lab_bdf(desk->a), P2PDMA_OP_WRITE, desk->b_bar, BYTES,
	               desk->bytes);
}

static struct p2pdma_sim_outcome read_b(struct desk *desk)
{
	return lab_dma(&desk->lab, lab_bdf(desk->a), P2PDMA_OP_READ, desk->b_bar, BYTES,
	               desk->bytes);
}

/* Which of the TLPs of write_b() have arrived, bit 0 the first. */
static unsigned int landed(void)
{
	unsigned int mask = 0;

	for (unsigned int i = 0; i < BYTES / PAYLOAD; i++)
		mask |= (unsigned int)(lab_probe(1)->memory[i * PAYLOAD] == 0x55) << i;
	return mask;
}

static uint32_t load_b(struct desk *desk)
{
	uint32_t word = 0;

	assert_int_equal(p2pdma_bar_read(desk->map, 0, 4, &word), 0);
	return word;
}

/* ---- TLPs ---- */

static void nth_write_is_dropped(void **state)
{
	struct desk *desk = *state;

	script(desk, "{\"tlp\":{\"type\":\"write\",\"at\":\"$\",\"nth\":3},\"do\":\"drop\"}",
	       desk->b_text);
	assert_int_equal(write_b(desk).fate, P2PDMA_SIM_LOST);
	assert_int_equal(landed(), 0xb);
	assert_true(lab_logged(&desk->lab, P2PDMA_SIM_EVENT_LOST, lab_bdf(desk->b)));
	assert_int_equal(write_b(desk).fate, P2PDMA_SIM_ARRIVED); /* once only */
	assert_int_equal(landed(), 0xf);
}

/* Without "at" a TLP counts once, not at each hop; and no two are one. */
static void tlps_count_once(void **state)
{
	struct desk *desk = *state;

	script(desk,
	       "[{\"tlp\":{\"nth\":2},\"do\":\"drop\"},"
	       "{\"tlp\":{\"type\":\"write\",\"requester\":\"$\",\"nth\":6},\"do\":\"drop\"}]",
	       desk->a_text);
	assert_int_equal(write_b(desk).fate, P2PDMA_SIM_LOST);
	assert_int_equal(landed(), 0xd);
	assert_int_equal(write_b(desk).fate, P2PDMA_SIM_LOST);
	assert_int_equal(landed(), 0xd);
	assert_int_equal(write_b(desk).fate, P2PDMA_SIM_ARRIVED);
}

static void others_tlps_do_not_count(void **state)
{
	struct desk *desk = *state;

	script(desk,
	       "[{\"tlp\":{\"requester\":\"$\"},\"do\":\"drop\"},"
	       "{\"tlp\":{\"type\":\"read\",\"requester\":\"0000:7f:00.0\"},\"do\":\"drop\"}]",
	       desk->card_text);
	assert_int_equal(write_b(desk).fate, P2PDMA_SIM_ARRIVED);
	assert_int_equal(read_b(desk).fate, P2PDMA_SIM_ARRIVED);
}

static void two_faults_strike_one_after_the_other(void **state)
{
	struct desk *desk = *state;
	struct p2pdma_sim_event event;

	script(desk,
	       "[{\"tlp\":{\"type\":\"write\",\"at\":\"$\"},\"do\":\"drop\"},"
	       "{\"tlp\":{\"type\":\"write\",\"at\":\"$\"},\"do\":\"poison\"}]",
	       desk->b_text);
	write_b(desk);
	assert_int_equal(landed(), 0xc);
	assert_true(lab_event(&desk->lab, &event));
	assert_int_equal(event.kind, P2PDMA_SIM_EVENT_LOST);
	assert_true(lab_event(&desk->lab, &event));
	assert_int_equal(event.kind, P2PDMA_SIM_EVENT_POISONED);
	assert_int_equal(event.address, desk->b_bar + PAYLOAD);
	assert_true(lab_same(event.at, lab_bdf(desk->b)));
}

static void lost_completion_is_a_timeout(void **state)
{
	struct desk *desk = *state;
	struct p2pdma_sim_outcome outcome;

	script(desk, "{\"tlp\":{\"type\":\"completion\"},\"do\":\"drop\"}", "");
	lab_errors(desk->a);
	outcome = read_b(desk);
	assert_int_equal(outcome.status, P2PDMA_DMA_TIMEOUT);
	assert_true(lab_errors(desk->a) & AER_BIT_TIMEOUT);
	assert_true(lab_logged(&desk->lab, P2PDMA_SIM_EVENT_TIMEOUT, lab_bdf(desk->a)));
	assert_int_equal(read_b(desk).status, P2PDMA_DMA_OK);
}

static void poison_is_noticed_where_it_arrives(void **state)
{
	struct desk *desk = *state;

	script(desk, "{\"tlp\":{\"type\":\"write\",\"nth\":4},\"do\":\"poison\"}", "");
	lab_errors(desk->b);
	assert_int_equal(write_b(desk).fate, P2PDMA_SIM_POISONED);
	assert_int_equal(landed(), 0x7);
	assert_true(lab_errors(desk->b) & 1u << 12);
	/* A read request has no data to poison. */
	script(desk, "{\"tlp\":{\"requester\":\"$\"},\"do\":\"poison\"}", desk->a_text);
	lab_errors(desk->a);
	assert_int_equal(read_b(desk).status, P2PDMA_DMA_POISONED);
	assert_true(lab_errors(desk->a) & 1u << 12);
}

static void delay_delays(void **state)
{
	struct desk *desk = *state;
	uint64_t usual = read_b(desk).latency, late;

	script(desk, "{\"tlp\":{\"type\":\"completion\"},\"do\":\"delay\",\"delay_ns\":7000}", "");
	late = read_b(desk).latency;
	assert_true(late > usual + 6000 && late < usual + 8000);
	/* Longer than the requester waits: then nobody waits for it any more. */
	script(desk, "{\"tlp\":{\"type\":\"completion\"},\"do\":\"delay\",\"delay_ns\":200000}",
	       "");
	assert_int_equal(read_b(desk).status, P2PDMA_DMA_TIMEOUT);
	lab_run(&desk->lab, 300000);
	assert_true(lab_logged(&desk->lab, P2PDMA_SIM_EVENT_UNEXPECTED, lab_bdf(desk->a)));
}

static void iommu_faults_where_iommus_are(void **state)
{
	struct desk *desk = *state;
	struct p2pdma_sim_totals totals = { .size = sizeof(totals) };
	struct p2pdma_sim_outcome outcome;

	script(desk, "{\"tlp\":{},\"do\":\"iommu-fault\"}", "");
	assert_int_equal(write_b(desk).fate, P2PDMA_SIM_ARRIVED); /* past the root complex */
	outcome = lab_dma(&desk->lab, lab_bdf(desk->a), P2PDMA_OP_READ, 0x100000, 64, desk->bytes);
	assert_int_equal(outcome.fate, P2PDMA_SIM_IOMMU);
	assert_int_equal(outcome.status, P2PDMA_DMA_UR);
	assert_int_equal(p2pdma_sim_get_totals(desk->lab.sim, &totals), 0);
	assert_int_equal(totals.iommu_faults, 1);
	outcome = lab_dma(&desk->lab, lab_bdf(desk->a), P2PDMA_OP_READ, 0x100000, 64, desk->bytes);
	assert_int_equal(outcome.fate, P2PDMA_SIM_ARRIVED);
}

/* Named as events and the trace name it. */
static void root_complexes_receive_too(void **state)
{
	struct desk *desk = *state;
	struct p2pdma_bdf a = lab_bdf(desk->a);

	script(desk, "{\"tlp\":{\"at\":\"0000:00:00.0\",\"nth\":2},\"do\":\"drop\"}", "");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(write_b(desk).fate, P2PDMA_SIM_ARRIVED); /* past it */
		assert_int_equal(
			lab_dma(&desk->lab, a, P2PDMA_OP_READ, 0x100000, 64, desk->bytes).fate,
			i ? P2PDMA_SIM_LOST : P2PDMA_SIM_ARRIVED);
	}
}

static void what_has_not_happened_is_counted(void **state)
{
	struct desk *desk = *state;

	assert_int_equal(p2pdma_sim_faults_pending(desk->lab.sim), 0);
	script(desk,
	       "[{\"at_ns\":1000,\"do\":\"retrain\",\"device\":\"$\"},"
	       "{\"at_ns\":100000,\"do\":\"link-down\",\"device\":\"$\"},"
	       "{\"tlp\":{\"type\":\"write\"},\"do\":\"drop\"}]",
	       desk->port_text);
	assert_int_equal(p2pdma_sim_faults_pending(desk->lab.sim), 3);
	lab_run(&desk->lab, 2000);
	assert_int_equal(p2pdma_sim_faults_pending(desk->lab.sim), 2); /* down: it has happened */
	lab_run(&desk->lab, 50000);
	assert_int_equal(write_b(desk).fate, P2PDMA_SIM_LOST);
	assert_int_equal(p2pdma_sim_faults_pending(desk->lab.sim), 1);
	lab_run(&desk->lab, 100000);
	assert_int_equal(p2pdma_sim_faults_pending(desk->lab.sim), 0);
}

/* ---- functions and links ---- */

static void removal_and_return_come_in_time(void **state)
{
	struct desk *desk = *state;
	struct p2pdma_event event;
	struct p2pdma_bdf b = lab_bdf(desk->b);

	script(desk,
	       "[{\"at_ns\":1000000,\"do\":\"add\",\"device\":\"$\"},"
	       "{\"at_ns\":10000,\"do\":\"remove\",\"device\":\"$\"}]",
	       desk->b_text);
	assert_int_equal(load_b(desk), 0);
	lab_run(&desk->lab, 15000);
	assert_int_equal(load_b(desk), 0xffffffff);
	assert_int_equal(lab_get(desk->b, 0, 4), 0xffffffff);
	assert_int_equal(lab_probe(1)->last_reset, P2PDMA_RESET_REMOVED);
	assert_int_equal(p2pdma_machine_event(desk->lab.machine, &event), 0);
	assert_int_equal(event.kind, P2PDMA_EVENT_REMOVED);
	assert_true(lab_same(event.bdf, b) && event.time == 10000);
	assert_true(lab_logged(&desk->lab, P2PDMA_SIM_EVENT_REMOVED, b));
	lab_run(&desk->lab, 1000000);
	assert_int_equal(lab_probe(1)->last_reset, P2PDMA_RESET_ADDED);
	assert_true(lab_logged(&desk->lab, P2PDMA_SIM_EVENT_ADDED, b));
	assert_int_equal(lab_get(desk->b, 0, 2), 0x1209);
}

static void a_tlp_can_pull_a_card(void **state)
{
	struct desk *desk = *state;

	script(desk,
	       "{\"tlp\":{\"type\":\"write\",\"at\":\"$\",\"nth\":2},\"do\":\"remove\","
	       "\"device\":\"$\"}",
	       desk->b_text);
	write_b(desk);
	lab_run(&desk->lab, 10000);
	assert_int_equal(landed() & 0xc, 0);
	assert_true(lab_logged(&desk->lab, P2PDMA_SIM_EVENT_REMOVED, lab_bdf(desk->b)));
}

static void links_go_down_and_up(void **state)
{
	struct desk *desk = *state;

	script(desk, "{\"at_ns\":0,\"do\":\"link-down\",\"device\":\"$\"}", desk->port_text);
	lab_run(&desk->lab, 1000);
	assert_int_equal(load_b(desk), 0xffffffff);
	assert_int_equal(read_b(desk).status, P2PDMA_DMA_UR);
	script(desk, "{\"at_ns\":0,\"do\":\"link-up\",\"device\":\"$\"}", desk->port_text);
	lab_run(&desk->lab, 1000);
	assert_true(lab_logged(&desk->lab, P2PDMA_SIM_EVENT_LINK_UP,
	                       lab_bdf(p2pdma_device_parent(desk->b))));
	assert_int_equal(lab_get(desk->b, 0, 2), 0x1209);
}

static void retrain_ends_by_itself(void **state)
{
	struct desk *desk = *state;
	struct p2pdma_bdf port = lab_bdf(p2pdma_device_parent(desk->b));
	struct p2pdma_sim_event event;
	uint64_t down = 0, up = 0;

	script(desk,
	       "[{\"at_ns\":5000,\"do\":\"retrain\",\"device\":\"$\",\"down_us\":20},"
	       "{\"at_ns\":100000,\"do\":\"retrain\",\"device\":\"$\"}]",
	       desk->port_text);
	lab_run(&desk->lab, 200000);
	while (lab_event(&desk->lab, &event)) {
		if (event.kind == P2PDMA_SIM_EVENT_LINK_DOWN && lab_same(event.at, port))
			down = down * 1000 + event.time / 1000;
		if (event.kind == P2PDMA_SIM_EVENT_LINK_UP && lab_same(event.at, port))
			up = up * 1000 + event.time / 1000;
	}
	assert_int_equal(down, 5100);
	assert_int_equal(up, 25110);
}

static unsigned int ticks;

static void tick(struct probe *probe, uint64_t cookie)
{
	ticks++;
	p2pdma_model_timer(probe->function, 100, cookie);
}

static void hung_device_answers_after_a_reset(void **state)
{
	struct desk *desk = *state;

	lab_probe(1)->on_timer = tick;
	p2pdma_model_timer(lab_probe(1)->function, 100, 0);
	lab_run(&desk->lab, 1000);
	assert_true(ticks >= 9);
	script(desk, "{\"at_ns\":0,\"do\":\"hang\",\"device\":\"$\"}", desk->b_text);
	lab_run(&desk->lab, 1000);
	ticks = 0;
	assert_int_equal(read_b(desk).status, P2PDMA_DMA_TIMEOUT);
	assert_int_equal(load_b(desk), 0xffffffff);
	assert_int_equal(ticks, 0);
	script(desk, "{\"at_ns\":0,\"do\":\"reset\",\"device\":\"$\"}", desk->b_text);
	lab_run(&desk->lab, 1000);
	assert_true(lab_logged(&desk->lab, P2PDMA_SIM_EVENT_RESET, lab_bdf(desk->b)));
	assert_int_equal(lab_probe(1)->last_reset, P2PDMA_RESET_FLR);
	assert_int_equal(lab_get(desk->b, 0, 2), 0x1209);
	lab_set(desk->b, 0x10, 4, (uint32_t)desk->b_bar);
	lab_set(desk->b, 0x14, 4, (uint32_t)(desk->b_bar >> 32));
	lab_change(desk->b, COMMAND, 0, COMMAND_MEMORY);
	assert_int_equal(read_b(desk).status, P2PDMA_DMA_OK);
}

/* ---- an engine at work ---- */

static void provider_is_pulled_while_it_is_written(void **state)
{
	struct desk *desk = *state;
	struct engine engine;
	unsigned int first, second;

	engine_open(&engine, &desk->lab, lab_device(&desk->lab, "engine"), 0);
	script(desk,
	       "{\"tlp\":{\"type\":\"write\",\"at\":\"$\",\"nth\":1000},\"do\":\"remove\","
	       "\"device\":\"$\"}",
	       desk->card_text);
	first = engine_put(&engine, engine.host_address + ENGINE_DATA, desk->card_bar, 1 << 20,
	                   COPY_FLUSH);
	second = engine_put(&engine, desk->card_bar, engine.host_address + ENGINE_DATA, 1 << 20,
	                    COPY_FENCE);
	engine_ring(&engine);
	assert_true(engine_wait(&engine));
	assert_true(lab_logged(&desk->lab, P2PDMA_SIM_EVENT_REMOVED, lab_bdf(desk->card)));
	assert_true(engine_status(&engine, first) > COPY_DMA);
	assert_true(engine_status(&engine, second) > COPY_DMA);
	assert_int_equal(engine_copy(&engine, engine.host_address + ENGINE_DATA, desk->b_bar, 4096,
	                             COPY_FLUSH),
	                 COPY_OK);
	engine_close(&engine);
}

static void engine_is_pulled_and_comes_back(void **state)
{
	struct desk *desk = *state;
	struct engine engine;
	struct p2pdma_bdf bdf;
	uint8_t *data;
	char text[24];

	engine_open(&engine, &desk->lab, lab_device(&desk->lab, "engine"), 0);
	bdf = lab_bdf(engine.device);
	strcpy(text, lab_text(bdf));
	script(desk,
	       "[{\"at_ns\":50000,\"do\":\"remove\",\"device\":\"$\"},"
	       "{\"at_ns\":400000,\"do\":\"add\",\"device\":\"$\"}]",
	       text);
	data = engine.host + ENGINE_DATA;
	memset(lab_probe(1)->memory, 0x77, 4096);
	engine_put(&engine, desk->card_bar, engine.host_address + ENGINE_DATA, 1 << 20, COPY_IRQ);
	engine_ring(&engine);
	lab_run(&desk->lab, 100000);
	memset(data, 0xee, 1 << 20);
	lab_run(&desk->lab, 200000);
	assert_int_equal(engine_status(&engine, 0), 0);
	assert_int_equal(engine_interrupts(&engine), 0);
	for (size_t i = 0; i < 1 << 20; i += 64)
		assert_int_equal(data[i], 0xee); /* nothing comes after it is gone */
	assert_int_equal(engine_get(&engine, RING_STATUS), 0xffffffff);
	lab_run(&desk->lab, 300000);
	engine_close(&engine);
	engine_open(&engine, &desk->lab, lab_device(&desk->lab, "engine"), 0);
	assert_int_equal(engine_copy(&engine, desk->b_bar, engine.host_address + ENGINE_DATA, 4096,
	                             COPY_IRQ),
	                 COPY_OK);
	assert_int_equal(engine.host[ENGINE_DATA + 4095], 0x77);
	lab_run(&desk->lab, 10000);
	assert_int_equal(engine_interrupts(&engine), 1);
	engine_close(&engine);
}

/* ---- scripts ---- */

static void wrong_scripts_are_refused_whole(void **state)
{
	static const struct {
		const char *json;
		int r;
		const char *place, *words;
	} cases[] = {
		{ "", -EPROTO, "faults:1:", "" },
		{ "{\"at_ns\":1,\n\"do\":\"hang\",}", -EPROTO, "faults:2:", "" },
		{ "7", -EPROTO, "", "" },
		{ "[7]", -EPROTO, "faults:1:2", "object" },
		{ "[\"x\"]", -EPROTO, "faults:1:2", "object" },
		{ "{}", -EPROTO, "faults:1:1", "\"do\"" },
		{ "{\"do\":\"explode\",\"at_ns\":1}", -EPROTO, "faults:1:2", "retrain" },
		{ "{\"do\":7,\"at_ns\":1}", -EPROTO, "faults:1:2", "\"do\"" },
		{ "{\"do\":\"hang\",\"at_ns\":1}", -EPROTO, "faults:1:2", "\"device\"" },
		{ "{\"do\":\"hang\",\"device\":\"0000:00:00.0\"}", -EPROTO, "faults:1:1",
		  "\"at_ns\"" },
		{ "{\"do\":\"drop\",\"at_ns\":1}", -EPROTO, "faults:1:2", "\"tlp\"" },
		{ "{\"do\":\"drop\",\"at_ns\":1,\"tlp\":{}}", -EPROTO, "faults:1:1", "either" },
		{ "{\"do\":\"drop\",\n  \"tlp\":{\"kind\":1}}", -EPROTO, "faults:2:10",
		  "\"kind\"" },
		{ "{\"do\":\"drop\",\"tlp\":7}", -EPROTO, "faults:1:14", "\"tlp\"" },
		{ "{\"do\":\"drop\",\"tlp\":{\"nth\":0}}", -EPROTO, "faults:1:21", "\"nth\"" },
		{ "{\"do\":\"drop\",\"tlp\":{\"nth\":-1}}", -EPROTO, "faults:1:21", "\"nth\"" },
		{ "{\"do\":\"drop\",\"tlp\":{\"at\":\"x\"}}", -EPROTO, "faults:1:21", "\"at\"" },
		{ "{\"do\":\"drop\",\"tlp\":{\"at\":\"0000:7f:00.0\"}}", -ENODEV, "faults:1:21",
		  "\"at\"" },
		{ "{\"do\":\"drop\",\"tlp\":{},\"device\":\"$\"}", -EPROTO, "faults:1:23",
		  "\"device\"" },
		{ "{\"do\":\"poison\",\"tlp\":{\"type\":\"read\"}}", -EPROTO, "faults:1:23",
		  "poison" },
		{ "{\"do\":\"iommu-fault\",\"tlp\":{\"type\":\"completion\"}}", -EPROTO,
		  "faults:1:28", "IOMMU" },
		{ "{\"do\":\"iommu-fault\",\"tlp\":{\"at\":\"$\"}}", -ENODEV, "faults:1:28",
		  "root bus" },
		{ "{\"do\":\"delay\",\"tlp\":{}}", -EPROTO, "faults:1:1", "\"delay_ns\"" },
		{ "{\"do\":\"drop\",\"tlp\":{},\"delay_ns\":5}", -EPROTO, "faults:1:23",
		  "\"delay_ns\"" },
		{ "{\"do\":\"hang\",\"at_ns\":1,\"device\":\"$\",\"down_us\":5}", -EPROTO,
		  "faults:1:", "\"down_us\"" },
		{ "{\"do\":\"retrain\",\"at_ns\":1,\"device\":\"$\"}", -EPROTO, "faults:1:27",
		  "port" },
		{ "{\"do\":\"link-up\",\"at_ns\":1,\"device\":\"0000:01:00.0\"}", -EPROTO,
		  "faults:1:27", "port" },
		{ "{\"do\":\"hang\",\"at_ns\":1,\"device\":\"0000:7f:00.0\"}", -ENODEV,
		  "faults:1:24", "no such function" },
		{ "{\"do\":\"hang\",\"at_ns\":1,\"device\":\"$\",\"when\":5}", -EPROTO,
		  "faults:1:", "\"when\"" },
		{ "{\"do\":\"hang\",\"at_ns\":1e3,\"device\":\"$\"}", -EPROTO, "faults:1:14",
		  "\"at_ns\"" },
		{ "{\"do\":\"hang\",\"at_ns\":9223372036854775807,\"device\":\"$\"}", -EPROTO,
		  "faults:1:14", "\"at_ns\"" },
		/* The first of two is not armed either. */
		{ "[{\"do\":\"remove\",\"at_ns\":1,\"device\":\"$\"},{\"do\":\"drop\",\"tlp\":{}},\n"
		  "{\"do\":\"drop\"}]",
		  -EPROTO, "faults:2:1", "either" },
	};
	struct desk *desk = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct p2pdma_error err = { "" };
		const char *mark = strchr(cases[i].json, '$');
		char json[300];

		snprintf(json, sizeof(json), "%.*s%s%s",
		         mark ? (int)(mark - cases[i].json) : (int)strlen(cases[i].json),
		         cases[i].json, mark ? desk->b_text : "", mark ? mark + 1 : "");
		if (p2pdma_sim_fault(desk->lab.sim, json, &err) != cases[i].r ||
		    strncmp(err.text, cases[i].place, strlen(cases[i].place)) != 0 ||
		    !strstr(err.text, cases[i].words))
			fail_msg("%s: %s", json, err.text);
		assert_int_equal(p2pdma_sim_fault(desk->lab.sim, json, NULL), cases[i].r);
	}
	assert_int_equal(write_b(desk).fate, P2PDMA_SIM_ARRIVED);
	assert_int_equal(load_b(desk), 0x55555555);
}

static void files_have_faults_too(void **state)
{
	struct p2pdma_error err = { "" };
	struct lab lab;

	(void)state;
	lab_open(&lab,
	         MACHINE(",\"faults\":[{\"at_ns\":100,\"do\":\"remove\",\"device\":"
	                 "\"0000:00:01.0\"},{\"tlp\":{\"nth\":5},\"do\":\"drop\"}]"),
	         NULL);
	lab_run(&lab, 1000);
	assert_int_equal(lab_get(lab_device(&lab, "b"), 0, 4), 0xffffffff);
	lab_close(&lab);
	assert_int_equal(lab_open(&lab, MACHINE(",\n\"faults\":[{\"at_ns\":100}]"), &err), -EPROTO);
	assert_non_null(strstr(err.text, ":2:11: "));
	assert_int_equal(lab_open(&lab, MACHINE(",\"faults\":{\"at_ns\":100,\"do\":\"hang\"}"),
	                          &err),
	                 -EPROTO);
	assert_int_equal(lab_open(&lab,
	                          "{\"format\":\"p2pdma-fabric\",\"version\":1,"
	                          "\"roots\":[{\"below\":[{\"model\":\"mem\",\"size\":\"4K\"}]}],\n"
	                          "\"faults\":[{\"tlp\":{},\"do\":\"iommu-fault\"}]}",
	                          &err),
	                 -EPROTO);
	assert_non_null(strstr(err.text, "\"iommu-fault\": needs an \"iommu\""));
	/* Faults that never strike are freed. */
	lab_open(&lab,
	         MACHINE(",\"faults\":[{\"at_ns\":100000,\"do\":\"remove\",\"device\":"
	                 "\"0000:00:01.0\"},{\"tlp\":{\"nth\":5},\"do\":\"drop\"}]"),
	         NULL);
	lab_close(&lab);
}

#define ON_DESK(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_DESK(nth_write_is_dropped),
		ON_DESK(tlps_count_once),
		ON_DESK(others_tlps_do_not_count),
		ON_DESK(two_faults_strike_one_after_the_other),
		ON_DESK(lost_completion_is_a_timeout),
		ON_DESK(poison_is_noticed_where_it_arrives),
		ON_DESK(delay_delays),
		ON_DESK(iommu_faults_where_iommus_are),
		ON_DESK(root_complexes_receive_too),
		ON_DESK(what_has_not_happened_is_counted),
		ON_DESK(removal_and_return_come_in_time),
		ON_DESK(a_tlp_can_pull_a_card),
		ON_DESK(links_go_down_and_up),
		ON_DESK(retrain_ends_by_itself),
		ON_DESK(hung_device_answers_after_a_reset),
		ON_DESK(provider_is_pulled_while_it_is_written),
		ON_DESK(engine_is_pulled_and_comes_back),
		ON_DESK(wrong_scripts_are_refused_whole),
		cmocka_unit_test(files_have_faults_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
