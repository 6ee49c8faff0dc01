/* SPDX-License-Identifier: MIT */
/*
 * test_platform.c - root complexes and what a fabric file says beside its capture.
 */
#include "capture.h"
#include "hostbridge.h"

#include <p2pdma/device.h>
#include <p2pdma/sim.h>

static struct fabric *read_file(const char *path)
{
	struct p2pdma_error err = { "" };
	struct fabric *fabric;

	if (fabric_read(path, NULL, &err, &fabric))
		fail_msg("%s", err.text);
	return fabric;
}

/* ---- root complexes ---- */

static void test_policies(void **state)
{
	const struct policy *policy, *same;

	(void)state;
	for (size_t i = 0; (policy = policy_at(i)); i++) {
		assert_ptr_equal(policy_find(policy->name), policy);
		assert_true(strlen(policy->source) > 10);
		same = policy_of_bridge(policy->host_bridge);
		assert_ptr_equal(same, policy->host_bridge ? policy : NULL);
		/* Nothing in the table passes reads where it does not pass writes. */
		assert_true(policy->writes_same_port >= policy->reads_same_port);
		assert_true(policy->writes_across_ports >= policy->reads_across_ports);
		assert_true(policy->writes_across_sockets >= policy->reads_across_sockets);
	}
	assert_null(policy_find("no such platform"));
	assert_string_equal(policy_of_bridge(0x80862031)->name, "intel-skylake-sp");
	assert_string_equal(policy_of_bridge(0x80864948)->name, "intel-icelake-sp");
	assert_string_equal(policy_of_bridge(0x80867d2a)->name, "intel-arrow-lake");
	assert_string_equal(policy_of_bridge(0x1ae01234)->name, "google");
	assert_null(policy_of_bridge(0x80861234));
	assert_false(policy_find("refuses")->writes_across_ports);
	assert_true(policy_find("forwards")->reads_across_sockets);
	assert_true(policy_find("intel-64-byte")->splits);
	assert_int_equal(policy_find("intel-arrow-lake")->refusal, REFUSE_ONES);
}

/* Held against the table of the verdict: whom it trusts between sockets forwards there. */
static void test_allowlist(void **state)
{
	static const uint16_t vendors[] = { 0x8086, 0x1ae0, 0x10de, 0x1d17, 0x1ded };
	const struct p2pdma_profile newest = { 99, 0 };
	size_t rows = 0;

	(void)state;
	for (uint32_t i = 0; i < 5 * 0x10000; i++) {
		uint16_t vendor = vendors[i >> 16], device = (uint16_t)i;
		const struct policy *policy = policy_of_bridge((uint32_t)vendor << 16 | device);
		const struct hostbridge_row *row = hostbridge_find(vendor, device, newest);

		if (!row)
			continue;
		rows++;
		assert_non_null(policy);
		assert_true(policy->reads_same_port && policy->reads_across_ports);
		assert_int_equal(policy->reads_across_sockets, !row->same_only);
		assert_int_equal(policy->writes_across_sockets, !row->same_only);
	}
	assert_true(rows > 0x10000);
}

static void test_host_bridges(void **state)
{
	struct fabric *fabric;

	(void)state;
	put32(add(bdf(0, 0, 0), 0, CONVENTIONAL), 0x2f008086);
	put32(add(bdf(0x20, 1, 0), 0, CONVENTIONAL), 0x2f008086); /* not 00.0 */
	put32(bridge(bdf(0x40, 1, 0), PCI_EXP_TYPE_ROOT_PORT, 0x41, 0x41), 0x20318086);
	add(bdf(0x60, 0, 0), 0, CONVENTIONAL);
	function_at(bdf(0x40, 1, 0))->numa_node = 1;
	machine->cpu_family = 6;
	fabric = boot();
	assert_int_equal(fabric->root_count, 4);
	assert_string_equal(fabric->roots[0].policy.name, "intel-haswell-e");
	assert_string_equal(fabric->roots[1].policy.name, "refuses");
	assert_string_equal(fabric->roots[2].policy.name, "intel-skylake-sp");
	assert_string_equal(fabric->roots[3].policy.name, "refuses");
	assert_int_equal(fabric->roots[0].socket, 0);
	assert_int_equal(fabric->roots[2].socket, 1);
	fabric_free(fabric);
}

static void test_zen(void **state)
{
	struct fabric *fabric;

	(void)state;
	put32(add(bdf(0, 0, 0), 0, CONVENTIONAL), 0x14a41022);
	function_at(bdf(0, 0, 0))->iommu = P2PDMA_IOMMU_TRANSLATED;
	machine->cpu_vendor = strdup("AuthenticAMD");
	machine->cpu_family = 0x19;
	fabric = boot();
	assert_string_equal(fabric->roots[0].policy.name, "amd-zen");
	assert_string_equal(fabric->said->cpu_vendor, "AuthenticAMD");
	assert_int_equal(fabric->said->cpu_family, 0x19);
	assert_int_equal(at(fabric, bdf(0, 0, 0))->iommu, P2PDMA_IOMMU_TRANSLATED);
	fabric_free(fabric);
}

static void test_bundled(void **state)
{
	struct fabric *fabric = read_file("data/two-socket.json");

	(void)state;
	assert_string_equal(fabric->roots[0].policy.name, "intel-skylake-sp");
	assert_int_equal(fabric->roots[fabric->root_count - 1].socket, 1);
	fabric_free(fabric);
	fabric = read_file("data/desktop-rocket-lake.json");
	assert_string_equal(fabric->roots[0].policy.name, "intel-client");
	fabric_free(fabric);
}

/* ---- form (b) ---- */

/* A fabric file and its capture, beside each other. */
static int read_beside(const char *more, struct p2pdma_error *err, struct fabric **ret_fabric)
{
	char folder[] = "/tmp/p2pdma-capture-XXXXXX", *path, *text;
	char *capture = written();
	FILE *file;
	int r;

	assert_non_null(mkdtemp(folder));
	assert_true(asprintf(&path, "%s/box.json", folder) > 0);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(capture, file);
	fclose(file);
	assert_true(asprintf(&text, "%s/fabric.json", folder) > 0);
	file = fopen(text, "w");
	assert_non_null(file);
	fprintf(file, "{\"format\":\"p2pdma-fabric\",\"version\":1,\n\"capture\":\"box.json\"%s}\n",
	        more);
	fclose(file);
	r = fabric_read(text, NULL, err, ret_fabric);
	unlink(path);
	unlink(text);
	rmdir(folder);
	free(path);
	free(text);
	free(capture);
	return r;
}

static void small_machine(void)
{
	add(bdf(0, 0, 0), 0, CONVENTIONAL);
	bridge(bdf(0, 1, 0), PCI_EXP_TYPE_ROOT_PORT, 1, 1);
	put32(endpoint(bdf(1, 0, 0)) + 0x10, 0xe0000000);
	function_at(bdf(0, 0, 0))->iommu = P2PDMA_IOMMU_TRANSLATED;
	machine->kernel = strdup("6.1");
	machine->kernel_p2pdma = P2PDMA_NO;
}

static void test_file(void **state)
{
	struct p2pdma_error err = { "" };
	struct fabric *fabric;

	(void)state;
	small_machine();
	if (read_beside(",\"iommu\":\"none\",\"machine\":{\"kernel\":\"6.12\"},"
	                "\"roots\":[{\"bus\":\"0000:00\",\"platform\":\"forwards\",\"socket\":1,"
	                "\"latency_ns\":7}],"
	                "\"models\":{\"01:00.0\":{\"model\":\"mem\",\"bar\":0,"
	                "\"size\":\"1M\"}}",
	                &err, &fabric))
		fail_msg("%s", err.text);
	assert_int_equal(at(fabric, bdf(0, 0, 0))->iommu, P2PDMA_IOMMU_NONE); /* the file's */
	assert_int_equal(fabric->said->kernel_p2pdma, P2PDMA_UNKNOWN);
	assert_string_equal(fabric->said->kernel, "6.12");
	assert_string_equal(fabric->roots[0].policy.name, "forwards");
	assert_int_equal(fabric->roots[0].socket, 1);
	assert_int_equal(fabric->roots[0].latency, 7 * PS_PER_NS);
	assert_string_equal(at(fabric, bdf(1, 0, 0))->model->name, "mem");
	assert_int_equal(at(fabric, bdf(1, 0, 0))->bars[0].size, 1 << 20);
	assert_int_equal(at(fabric, bdf(1, 0, 0))->bars[0].kind, BAR_MEMORY);
	fabric_free(fabric);
}

/* Each function has its own; what is not known is none. */
static void test_iommu(void **state)
{
	static const enum p2pdma_iommu modes[] = { P2PDMA_IOMMU_TRANSLATED,
		                                   P2PDMA_IOMMU_PASSTHROUGH, P2PDMA_IOMMU_NONE,
		                                   P2PDMA_IOMMU_UNKNOWN };
	struct p2pdma_sim_outcome outcome = { .size = sizeof(outcome) };
	uint8_t bytes[64] = { 0 };
	struct p2pdma_error err = { "" };
	struct p2pdma_machine *sim_machine;
	struct p2pdma_sim *sim;
	char path[] = "sim:/tmp/p2pdma-mixed-XXXXXX", *text;
	int fd = mkstemp(path + 4);

	(void)state;
	assert_true(fd >= 0);
	for (uint8_t i = 0; i < 4; i++) {
		bridge(bdf(0, (uint8_t)(i + 1), 0), PCI_EXP_TYPE_ROOT_PORT, i + 1, i + 1);
		endpoint(bdf((uint8_t)(i + 1), 0, 0));
		function_at(bdf((uint8_t)(i + 1), 0, 0))->iommu = modes[i];
	}
	text = written();
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	if (p2pdma_machine_open(path, &err, &sim_machine))
		fail_msg("%s", err.text);
	unlink(path + 4);
	assert_true(p2pdma_machine_caps(sim_machine) & P2PDMA_CAP_IOMMU);
	assert_int_equal(p2pdma_machine_sim(sim_machine, &sim), 0);
	for (uint8_t i = 0; i < 4; i++) {
		struct p2pdma_sim_dma dma = { bdf((uint8_t)(i + 1), 0, 0),
			                      P2PDMA_OP_WRITE,
			                      { 0x100000 },
			                      sizeof(bytes),
			                      false,
			                      bytes };
		struct p2pdma_device_info info = { .size = sizeof(info) };
		struct p2pdma_device *device;
		char name[16];

		assert_int_equal(p2pdma_sim_dma(sim, &dma, &outcome), 0);
		assert_int_equal(outcome.fate == P2PDMA_SIM_IOMMU, !i);
		snprintf(name, sizeof(name), "%02x:00.0", i + 1);
		assert_int_equal(p2pdma_machine_resolve(sim_machine, name, &err, &device), 0);
		assert_int_equal(p2pdma_device_get_info(device, &info), 0);
		assert_int_equal(info.iommu, i < 3 ? modes[i] : P2PDMA_IOMMU_NONE);
	}
	p2pdma_machine_close(sim_machine);
	free(text);
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *more, *expected;
	} cases[] = {
		{ ",\n\"roots\":{}", ":3:1: \"roots\": expected an array" },
		{ ",\n\"roots\":[3]", ":3:10: expected an object" },
		{ ",\n\"roots\":[{\"bus\":\"0000:09\"}]", ":3:11: \"bus\": expected a root bus" },
		{ ",\n\"roots\":[{\"socket\":1}]", ":3:10: \"bus\": expected a root bus" },
		{ ",\n\"roots\":[{\"bus\":\"0000:00\",\"colour\":1}]",
		  ":3:27: \"colour\": unknown" },
		{ ",\n\"models\":[]", ":3:1: \"models\": expected an object" },
		{ ",\n\"models\":{\"0000:09:00.0\":{\"model\":\"mem\"}}",
		  ":3:11: \"0000:09:00.0\": the capture has no such function" },
		{ ",\n\"models\":{\"x\":{\"model\":\"mem\"}}", ":3:11: \"x\": the capture has no" },
		{ ",\n\"models\":{\"0000:01:00.0\":{}}", ":3:11: \"0000:01:00.0\": expected one" },
		{ ",\n\"models\":{\"0000:01:00.0\":{\"model\":\"mem\",\"size\":\"4K\"},"
		  "\"0:1:0.0\":{\"model\":\"mem\"}}",
		  ": \"0:1:0.0\": expected one" },
		{ ",\n\"models\":{\"0000:01:00.0\":{\"model\":\"mem\",\"size\":\"1G\"}}",
		  ":3:27: " },
	};

	(void)state;
	small_machine();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct p2pdma_error err = { "" };
		struct fabric *fabric = NULL;

		assert_int_equal(read_beside(cases[i].more, &err, &fabric), -EPROTO);
		if (!strstr(err.text, cases[i].expected))
			fail_msg("\"%s\" is not \"%s\"", err.text, cases[i].expected);
		assert_null(fabric);
	}
}

static void test_no_capture(void **state)
{
	struct p2pdma_error err = { "" };
	struct fabric *fabric;

	(void)state;
	assert_int_equal(try_boot("nothing", &err, &fabric), -EPROTO);
	assert_int_equal(try_boot("{\"format\":\"p2pdma-capture\",\"version\":1,\"functions\":[]}",
	                          &err, &fabric),
	                 -ENODEV);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { TEST(test_policies),     TEST(test_allowlist),
		                            TEST(test_host_bridges), TEST(test_zen),
		                            TEST(test_bundled),      TEST(test_file),
		                            TEST(test_iommu),        TEST(test_mistakes),
		                            TEST(test_no_capture) };

	if (argc > 1 && chdir(argv[1])) {
		perror(argv[1]);
		return 2;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
