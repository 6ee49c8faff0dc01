/* SPDX-License-Identifier: MIT */
/*
 * test_find.c - which provider serves all clients, and why the others do not.
 */
#include "scene.h"

/* Two switches of one socket; the far card is on the other one. */
#define MACHINE                                                                      \
	"{\"format\":\"p2pdma-fabric\",\"version\":1,\"roots\":["                    \
	"{\"platform\":\"intel-skylake-sp\",\"below\":["                             \
	"{\"type\":\"switch\",\"below\":["                                           \
	"{\"model\":\"dma\",\"name\":\"one\"},{\"model\":\"dma\",\"name\":\"two\"}," \
	"{\"model\":\"mem\",\"size\":\"1M\",\"name\":\"near\"},"                     \
	"{\"model\":\"mem\",\"size\":\"2M\",\"name\":\"twin\"},"                     \
	"{\"type\":\"switch\",\"below\":["                                           \
	"{\"model\":\"mem\",\"size\":\"4M\",\"name\":\"deep\"}]}]},"                 \
	"{\"type\":\"switch\",\"below\":["                                           \
	"{\"model\":\"mem\",\"size\":\"8M\",\"name\":\"far\"}]}]}]}"

#define CARDS 4
static const char *const cards[CARDS] = { "near", "twin", "deep", "far" };

struct scene {
	struct lab lab;
	struct p2pdma_device *clients[2];
	struct p2pdma_provider *providers[CARDS];
	struct p2pmem_refusal refusals[CARDS];
	size_t refused;
};

static struct scene open_scene(void)
{
	struct scene scene = { .refused = 0 };

	lab_open(&scene.lab, MACHINE, NULL);
	scene.clients[0] = open_device(&scene.lab, "one");
	scene.clients[1] = open_device(&scene.lab, "two");
	for (size_t i = 0; i < CARDS; i++)
		scene.providers[i] = add_all(open_device(&scene.lab, cards[i]));
	return scene;
}

static void close_scene(struct scene *scene)
{
	for (size_t i = 0; i < CARDS; i++)
		p2pdma_provider_put(scene->providers[i]);
	lab_close(&scene->lab);
}

static void publish(struct scene *scene, const char *which)
{
	for (size_t i = 0; i < CARDS; i++)
		assert_int_equal(
			p2pmem_publish(scene->providers[i], strstr(which, cards[i]) != NULL), 0);
}

static void keep_refusal(void *arg, const struct p2pmem_refusal *refusal)
{
	struct scene *scene = arg;

	assert_in_range(scene->refused, 0, CARDS - 1);
	scene->refusals[scene->refused++] = *refusal;
}

/* The name of the card that was found; NULL: none. */
static const char *find(struct scene *scene, enum p2pmem_tie tie, uint64_t seed, uint64_t free)
{
	const struct p2pmem_find_opts opts = { sizeof(opts), free, tie, seed, keep_refusal, scene };
	struct p2pdma_provider *provider = NULL;
	struct p2pdma_error err = { "" };
	const char *name = NULL;
	int r;

	scene->refused = 0;
	r = p2pmem_find_many(scene->clients, 2, P2PDMA_OP_BOTH, &opts, &err, &provider);
	assert_int_equal(!r, provider != NULL);
	if (r) {
		assert_int_equal(r, -ENODEV);
		assert_string_not_equal(err.text, "");
	}
	for (size_t i = 0; i < CARDS; i++)
		if (scene->providers[i] == provider)
			name = cards[i];
	p2pdma_provider_put(provider);
	return name;
}

static enum p2pmem_refusal_cause cause_of(const struct scene *scene, size_t card)
{
	for (size_t i = 0; i < scene->refused; i++)
		if (lab_same(scene->refusals[i].provider, info_of(scene->providers[card]).bdf))
			return scene->refusals[i].cause;
	fail_msg("%s was not refused", cards[card]);
	return 0;
}

static void only_what_is_published_is_found(void **state)
{
	struct scene scene = open_scene();

	(void)state;
	assert_null(find(&scene, P2PMEM_TIE_FIRST, 0, 0));
	assert_int_equal(scene.refused, 0);
	publish(&scene, "deep");
	assert_string_equal(find(&scene, P2PMEM_TIE_FIRST, 0, 0), "deep");
	publish(&scene, "");
	assert_null(find(&scene, P2PMEM_TIE_FIRST, 0, 0));
	close_scene(&scene);
}

static void the_nearest_direct_one_is_best(void **state)
{
	struct scene scene = open_scene();

	(void)state;
	publish(&scene, "far deep");
	assert_string_equal(find(&scene, P2PMEM_TIE_FIRST, 0, 0), "deep");
	assert_int_equal(cause_of(&scene, 3), P2PMEM_REFUSED_FARTHER);
	publish(&scene, "far deep twin");
	assert_string_equal(find(&scene, P2PMEM_TIE_FIRST, 0, 0), "twin");
	assert_int_equal(cause_of(&scene, 2), P2PMEM_REFUSED_FARTHER);
	/* Redirected, a near one is no better than its way: the direct one wins by more hops. */
	lab_acs(p2pdma_device_parent(lab_device(&scene.lab, "twin")), P2PDMA_ACS_CMPLT_REDIR);
	lab_acs(p2pdma_device_parent(
			p2pdma_device_parent(p2pdma_device_parent(lab_device(&scene.lab, "twin")))),
	        P2PDMA_ACS_UPSTREAM_FWD);
	assert_string_equal(find(&scene, P2PMEM_TIE_FIRST, 0, 0), "deep");
	publish(&scene, "far");
	assert_string_equal(find(&scene, P2PMEM_TIE_FIRST, 0, 0), "far");
	close_scene(&scene);
}

static void ties_go_by_rule(void **state)
{
	struct scene scene = open_scene();
	size_t hits[2] = { 0, 0 };

	(void)state;
	publish(&scene, "near twin deep far");
	assert_string_equal(find(&scene, P2PMEM_TIE_FIRST, 0, 0), "near");
	assert_string_equal(find(&scene, P2PMEM_TIE_MOST_FREE, 0, 0), "twin");
	for (uint64_t seed = 0; seed < 100; seed++) {
		const char *name = find(&scene, P2PMEM_TIE_RANDOM, seed, 0);

		assert_string_equal(name, find(&scene, P2PMEM_TIE_RANDOM, seed, 0));
		hits[!strcmp(name, "twin")]++;
	}
	assert_in_range(hits[0], 25, 75);
	assert_int_equal(hits[0] + hits[1], 100);
	close_scene(&scene);
}

static void enough_has_to_be_free(void **state)
{
	struct scene scene = open_scene();
	struct p2pmem_buf buf;

	(void)state;
	publish(&scene, "near twin");
	assert_string_equal(find(&scene, P2PMEM_TIE_FIRST, 0, MIB + 1), "twin");
	assert_int_equal(cause_of(&scene, 0), P2PMEM_REFUSED_FREE);
	buf = alloc(scene.providers[1], MIB);
	assert_null(find(&scene, P2PMEM_TIE_FIRST, 0, MIB + 1));
	assert_int_equal(p2pmem_free(buf), 0);
	close_scene(&scene);
}

static void every_client_has_to_reach_it(void **state)
{
	struct scene scene = open_scene();
	struct p2pdma_device *port;

	(void)state;
	publish(&scene, "near");
	port = p2pdma_device_parent(scene.clients[1]);
	lab_acs(port, P2PDMA_ACS_EGRESS_CTRL);
	for (unsigned int bit = 0; bit < 8; bit++)
		lab_egress(port, bit, true);
	assert_null(find(&scene, P2PMEM_TIE_FIRST, 0, 0));
	assert_int_equal(cause_of(&scene, 0), P2PMEM_REFUSED_BY_ROUTE);
	assert_int_equal(scene.refusals[0].client, 1);
	assert_int_equal(scene.refusals[0].route.write, P2PDMA_BLOCKED);
	lab_acs(port, 0);
	/* Its memory decode is off: no way there, and it is revoked. */
	lab_change(lab_device(&scene.lab, "near"), COMMAND, COMMAND_MEMORY, 0);
	assert_null(find(&scene, P2PMEM_TIE_FIRST, 0, 0));
	assert_int_equal(cause_of(&scene, 0), P2PMEM_REFUSED_STATE);
	lab_change(lab_device(&scene.lab, "near"), COMMAND, 0, COMMAND_MEMORY);
	assert_string_equal(find(&scene, P2PMEM_TIE_FIRST, 0, 0), "near");
	close_scene(&scene);
}

static void distance_is_the_kernels(void **state)
{
	struct scene scene = open_scene();
	struct p2pdma_reach reach = { .size = sizeof(reach) };
	struct p2pdma_device *deep = lab_device(&scene.lab, "deep");
	struct p2pdma_device *far = lab_device(&scene.lab, "far");

	(void)state;
	assert_int_equal(p2pdma_distance_many(deep, scene.clients, 2, P2PDMA_OP_BOTH, &reach), 0);
	assert_int_equal(reach.answer, P2PDMA_ANSWER_YES);
	assert_true(reach.is_direct);
	assert_int_equal(reach.distance, 6 + 6);
	assert_int_equal(p2pdma_distance_many(far, scene.clients, 2, P2PDMA_OP_BOTH, &reach), 0);
	assert_int_equal(reach.answer, P2PDMA_ANSWER_YES);
	assert_false(reach.is_direct);
	assert_int_equal(reach.distance, 8 + 8);
	close_scene(&scene);
}

static void distance_works_on_a_capture(void **state)
{
	struct p2pdma_reach reach = { .size = sizeof(reach) };
	struct p2pdma_device *provider, *client;
	struct p2pdma_machine *machine = NULL;

	(void)state;
	assert_int_equal(
		p2pdma_machine_open("capture:" CAPTURES "/two-socket.json", NULL, &machine), 0);
	assert_int_equal(p2pdma_machine_resolve(machine, "1c:00.0", NULL, &provider), 0);
	assert_int_equal(p2pdma_machine_resolve(machine, "nvme1n1", NULL, &client), 0);
	assert_int_equal(p2pdma_distance_many(provider, &client, 1, P2PDMA_OP_BOTH, &reach), 0);
	assert_int_equal(reach.answer, P2PDMA_ANSWER_YES);
	p2pdma_machine_rescan(machine);
	assert_int_equal(p2pdma_distance_many(provider, &client, 1, P2PDMA_OP_BOTH, &reach), 0);
	p2pdma_machine_close(machine);
}

/* The verdict is about a function's largest BAR; a chunk of another one is judged for itself. */
static void a_smaller_bar_is_judged_for_itself(void **state)
{
	struct lab lab;
	struct p2pdma_resource_opts opts = { sizeof(opts), 0, true };
	struct p2pdma_provider *provider;
	struct p2pdma_device *one, *two, *port;
	struct p2pdma_mapping *mapping = NULL;
	struct p2pdma_sg sg;

	(void)state;
	lab_open(&lab,
	         SWITCH("", "{\"model\":\"dma\",\"name\":\"one\"},"
	                    "{\"model\":\"dma\",\"memory\":\"1M\",\"name\":\"two\"}"),
	         NULL);
	one = open_device(&lab, "one");
	two = open_device(&lab, "two");
	assert_int_equal(p2pdma_add_resource(two, 0, 0, 0, &opts, NULL, &provider), 0);
	sg = (struct p2pdma_sg){ provider, 0, NULL, PAGE };
	assert_int_equal(p2pdma_map_sg(one, &sg, 1, P2PDMA_OP_WRITE, 0, NULL, &mapping), 0);
	p2pdma_unmap_sg(mapping);
	/* The registers are in the window that is not prefetchable: shut, they are out of reach. */
	port = p2pdma_device_parent(two);
	lab_set(port, 0x20, 4, 0x0000fff0);
	mapping = NULL;
	assert_int_equal(p2pdma_map_sg(one, &sg, 1, P2PDMA_OP_WRITE, 0, NULL, &mapping),
	                 -EREMOTEIO);
	assert_null(mapping);
	p2pdma_provider_put(provider);
	lab_close(&lab);
}

static void mistakes_are_told(void **state)
{
	struct scene scene = open_scene(), other = open_scene();
	struct p2pdma_device *mixed[2] = { scene.clients[0], other.clients[0] };
	struct p2pmem_find_opts opts = { .size = sizeof(opts) };
	size_t *smallest = malloc(sizeof(*smallest)); /* a sanitizer sees who reads on */
	struct p2pdma_provider *provider = NULL;
	struct p2pdma_reach reach = { .size = sizeof(reach) };

	(void)state;
	publish(&scene, "near");
	assert_int_equal(p2pmem_find_many(NULL, 0, P2PDMA_OP_BOTH, NULL, NULL, &provider), -EINVAL);
	assert_int_equal(p2pmem_find_many(mixed, 2, P2PDMA_OP_BOTH, NULL, NULL, &provider),
	                 -EINVAL);
	assert_int_equal(p2pmem_find_many(mixed, 1, 0, NULL, NULL, &provider), -EINVAL);
	assert_int_equal(p2pmem_find_many(mixed, 1, 4, NULL, NULL, &provider), -EINVAL);
	opts.tie = 3;
	assert_int_equal(p2pmem_find_many(mixed, 1, 1, &opts, NULL, &provider), -EINVAL);
	opts.tie = 0;
	opts.size--;
	assert_int_equal(p2pmem_find_many(mixed, 1, 1, &opts, NULL, &provider), -EINVAL);
	*smallest = sizeof(*smallest);
	assert_int_equal(p2pmem_find_many(mixed, 1, 1, (void *)smallest, NULL, &provider), -EINVAL);
	free(smallest);
	assert_null(provider);
	assert_int_equal(p2pdma_distance_many(mixed[0], mixed, 2, 1, &reach), -EINVAL);
	assert_int_equal(p2pdma_distance_many(mixed[0], mixed, 0, 1, &reach), -EINVAL);
	assert_int_equal(p2pdma_distance_many(mixed[0], mixed, 1, 8, &reach), -EINVAL);
	reach.size--;
	assert_int_equal(p2pdma_distance_many(mixed[0], mixed, 1, 1, &reach), -EINVAL);
	pull(&scene.lab, scene.clients[0], "remove");
	assert_int_equal(p2pmem_find_many(mixed, 1, 1, NULL, NULL, &provider), -ENODEV);
	reach.size++;
	assert_int_equal(p2pdma_distance_many(lab_device(&scene.lab, "near"), mixed, 1, 1, &reach),
	                 -ENODEV);
	close_scene(&other);
	close_scene(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_is_published_is_found),
		cmocka_unit_test(the_nearest_direct_one_is_best),
		cmocka_unit_test(ties_go_by_rule),
		cmocka_unit_test(enough_has_to_be_free),
		cmocka_unit_test(every_client_has_to_reach_it),
		cmocka_unit_test(distance_is_the_kernels),
		cmocka_unit_test(distance_works_on_a_capture),
		cmocka_unit_test(a_smaller_bar_is_judged_for_itself),
		cmocka_unit_test(mistakes_are_told),
	};

	return cmocka_run_group_tests_name("find", tests, NULL, NULL);
}
