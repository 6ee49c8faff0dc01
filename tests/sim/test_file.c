/* SPDX-License-Identifier: MIT */
/*
 * test_file.c - hand-written fabrics: what each key does to registers, and how firmware places
 * things.
 */
#include "written.h"

#include "snapshot.h"

#include <linux/pci_regs.h>
#include <time.h>

static uint16_t acs_control(const struct p2pdma_function *function)
{
	assert_true(function->at.acs);
	return get16(function->config + function->at.acs + PCI_ACS_CTRL);
}

static uint16_t link_status(const struct p2pdma_function *function)
{
	return get16(function->config + function->at.exp + PCI_EXP_LNKSTA) & 0x3ff;
}

static uint16_t link_capability(const struct p2pdma_function *function)
{
	return get16(function->config + function->at.exp + PCI_EXP_LNKCAP) & 0x3ff;
}

/* ---- what firmware does ---- */

static int compare_claims(const void *left, const void *right)
{
	const struct claim *a = left, *b = right;

	return (a->base > b->base) - (a->base < b->base);
}

/*
 * What must hold of any machine after boot: bus numbers nest, BARs are aligned, apart from each
 * other, in the windows of all bridges above, and in the right part of memory; windows of siblings
 * are apart as well.
 */
static void check_placed(const struct fabric *fabric)
{
	struct claim *claims = calloc(fabric->function_count * 6 + 1, sizeof(*claims));
	size_t count = 0;

	assert_non_null(claims);
	for (size_t i = 0; i < fabric->function_count; i++) {
		struct p2pdma_function *function = fabric->functions[i];
		const struct p2pdma_function *bridge;

		assert_int_equal(get16(function->config + PCI_COMMAND), function->physfn ? 4 : 6);
		for (int bar = 0; bar < BAR_COUNT; bar++) {
			const struct bar *range = &function->bars[bar];
			uint64_t base = function_bar_base(function, bar);
			bool is_high = range->is_64bit && range->is_prefetchable;

			if (range->kind == BAR_NONE)
				continue;
			assert_true(base && !(base & (range->size - 1)));
			assert_true(is_high ? base >= 0x380000000000
			                    : base >= 0x80000000 &&
			                              base + range->size <= 0xfec00000);
			claims[count++] =
				(struct claim){ .base = base, .limit = base + range->size - 1 };
			for (bridge = function->home->owner; bridge; bridge = bridge->home->owner)
				assert_true(decode_in_window(bridge, base) &&
				            decode_in_window(bridge, base + range->size - 1));
		}
		bridge = function->home->owner;
		for (; bridge; bridge = bridge->home->owner)
			assert_in_range(function->bdf.bus, bridge->config[PCI_SECONDARY_BUS],
			                bridge->config[PCI_SUBORDINATE_BUS]);
		if (function->header_type)
			assert_int_equal(function->config[PCI_PRIMARY_BUS], function->bdf.bus);
		assert_ptr_equal(fabric_find((struct fabric *)(uintptr_t)fabric, function->bdf),
		                 function->is_present ? function : NULL);
	}
	qsort(claims, count, sizeof(*claims), compare_claims);
	for (size_t i = 1; i < count; i++)
		assert_true(claims[i].base > claims[i - 1].limit);
	free(claims);
	for (size_t i = 0; i < fabric->segment_count; i++) {
		decode_address(fabric->segments[i], 0);
		assert_false(fabric->segments[i]->has_overlap);
	}
}

static void ten_lines_are_two_drives(void **state)
{
	struct p2pdma_error err = { "" };
	struct fabric *fabric = NULL;

	(void)state;
	assert_int_equal(fabric_read("data/sim/ten-lines.json", NULL, &err, &fabric), 0);
	assert_int_equal(fabric->function_count, 7);
	assert_int_equal(get32(at(fabric, "0000:00:00.0")->config), 0x20208086);
	assert_int_equal(at(fabric, "0000:00:01.0")->kind, P2PDMA_KIND_ROOT_PORT);
	assert_int_equal(at(fabric, "0000:01:00.0")->kind, P2PDMA_KIND_UPSTREAM_PORT);
	assert_int_equal(at(fabric, "0000:02:01.0")->kind, P2PDMA_KIND_DOWNSTREAM_PORT);
	assert_string_equal(at(fabric, "0000:03:00.0")->name, "nvme0n1");
	assert_string_equal(at(fabric, "0000:04:00.0")->model->name, "dma");
	check_placed(fabric);
	fabric_free(fabric);
}

static void a_server_has_memory_for_peers(void **state)
{
	struct p2pdma_error err = { "" };
	struct fabric *fabric = NULL;

	(void)state;
	assert_int_equal(fabric_read("data/sim/peer-memory.json", NULL, &err, &fabric), 0);
	assert_string_equal(at(fabric, "0000:03:00.0")->name, "nvme0n1");
	assert_string_equal(at(fabric, "0000:04:00.0")->model->name, "dma");
	assert_string_equal(at(fabric, "0000:05:00.0")->model->name, "mem");
	assert_string_equal(at(fabric, "0000:06:00.0")->model->name, "accel");
	assert_true(at(fabric, "0000:05:00.0")->bars[0].size == 256u << 20);
	assert_true(at(fabric, "0000:06:00.0")->bars[2].size == 256u << 20);
	/* The way to the CPU is a quarter of what the peers have. */
	assert_int_equal(link_status(at(fabric, "0000:01:00.0")), 4 << 4 | 4);
	assert_int_equal(link_status(at(fabric, "0000:05:00.0")), 16 << 4 | 4);
	check_placed(fabric);
	fabric_free(fabric);
}

static void two_sockets(void **state)
{
	struct p2pdma_error err = { "" };
	struct fabric *fabric = NULL;

	(void)state;
	assert_int_equal(fabric_read("data/sim/two-socket.json", NULL, &err, &fabric), 0);
	assert_int_equal(fabric->root_count, 2);
	assert_int_equal(fabric->roots[1].bus.bus, 0x0b);
	assert_int_equal(fabric->roots[1].socket, 1);
	assert_int_equal(at(fabric, "0000:0c:00.1")->numa_node, 1);
	assert_int_equal(at(fabric, "0000:0b:02.0")->kind, P2PDMA_KIND_RC_ENDPOINT);
	assert_int_equal(at(fabric, "0000:0d:00.0")->kind, P2PDMA_KIND_PCIE_TO_PCI);
	assert_int_equal(at(fabric, "0000:0e:01.0")->kind, P2PDMA_KIND_PCI_BRIDGE);
	assert_int_equal(at(fabric, "0000:0f:00.0")->kind, P2PDMA_KIND_PCI);
	assert_ptr_equal(at(fabric, "0000:09:00.4")->physfn, at(fabric, "0000:09:00.0"));
	/* The largest is first and each socket has a TiB of its own. */
	assert_true(function_bar_base(at(fabric, "0000:0c:00.0"), 0) == 0x390000000000);
	check_placed(fabric);
	fabric_free(fabric);
}

/* Every BAR of another size, in every kind of place. */
static void windows_nest_whatever_the_sizes(void **state)
{
	char text[16384];
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 200; round++) {
		size_t length = (size_t)snprintf(text, sizeof(text), HEAD "\"roots\":[");
		int depth = 0;

#define RANDOM(limit) ((seed = seed * 1664525u + 1013904223u) >> 16) % (limit)
#define ADD(...)      (length += (size_t)snprintf(text + length, sizeof(text) - length, __VA_ARGS__))
		for (unsigned int root = 0; root < 1 + (unsigned int)round % 3; root++) {
			ADD("%s{\"domain\":%u,\"below\":[", root ? "," : "", RANDOM(2));
			for (unsigned int i = 0; i < 6; i++) {
				unsigned int kind = RANDOM(6);

				if (i)
					ADD(",");
				if (kind < 2 && depth < 6) {
					ADD("{\"type\":\"switch\",\"below\":[");
					depth++;
				}
				ADD("{\"model\":\"%s\"", kind & 1 ? "mem" : "dma");
				if (kind & 1)
					ADD(",\"size\":%u", 4096u << RANDOM(18));
				if (kind == 3)
					ADD(",\"vfs\":%u", 1 + RANDOM(300));
				ADD("}");
			}
			for (; depth; depth--)
				ADD("]}");
			ADD("]}");
		}
		ADD("]}");
#undef ADD
#undef RANDOM
		struct fabric *fabric = read_ok(text);

		check_placed(fabric);
		fabric_free(fabric);
	}
}

static void roots_of_a_domain_share_its_buses(void **state)
{
	struct fabric *fabric = read_ok(HEAD "\"roots\":[{\"below\":[{" MEM
	                                     "}]},{\"domain\":65536,\"below\":[{" MEM "}]},"
	                                     "{\"below\":[{" MEM "}]}]}");

	(void)state;
	assert_int_equal(fabric->roots[0].bus.bus, 0);
	assert_int_equal(fabric->roots[1].bus.domain, 0x10000);
	assert_int_equal(fabric->roots[1].bus.bus, 0);
	assert_int_equal(fabric->roots[2].bus.bus, 2);
	at(fabric, "10000:01:00.0");
	at(fabric, "0000:03:00.0");
	check_placed(fabric);
	fabric_free(fabric);
}

/* ---- what keys do ---- */

static void defaults_are_of_a_running_machine(void **state)
{
	struct fabric *fabric = read_ok(ROOT "{" MEM "}" TAIL);
	struct p2pdma_function *port = at(fabric, "0000:00:01.0");
	struct p2pdma_function *drive = at(fabric, "0000:01:00.0");

	(void)state;
	assert_true(fabric->landing == 200 * PS_PER_NS);
	assert_true(fabric->completion_timeout == 50000000 * PS_PER_NS);
	assert_int_equal(fabric->iommu, P2PDMA_IOMMU_NONE);
	assert_int_equal(fabric->iova_bits, 48);
	assert_true(fabric->random == 1);
	assert_string_equal(fabric->roots[0].policy.name, "refuses");
	assert_int_equal(fabric->function_count, 2); /* no host bridge */
	assert_int_equal(function_payload(port), 256);
	assert_int_equal(function_payload(drive), 256);
	assert_int_equal(function_read_request(drive), 512);
	assert_int_equal(function_tags(drive), 256);
	assert_int_equal(link_status(port), 4 << 4 | 4);
	assert_int_equal(link_status(drive), 4 << 4 | 4);
	assert_int_equal(function_port_number(port), 1);
	assert_int_equal(function_acs_capability(port), 0x7f);
	assert_int_equal(acs_control(port), 0);
	assert_int_equal(drive->at.acs | drive->at.ats | drive->at.sriov | drive->at.ari, 0);
	assert_true(get32(drive->config + drive->at.exp + PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_FLR);
	fabric_free(fabric);
}

static void the_top_says_what_holds_everywhere(void **state)
{
	struct fabric *fabric = read_ok(
		HEAD "\"seed\":7,\"landing_ns\":1000,\"completion_timeout_us\":50,"
		     "\"iommu\":\"translated\",\"iova_bits\":39,\"machine\":{\"kernel\":\"6.12.1\","
		     "\"cpu_vendor\":\"AuthenticAMD\",\"cpu_family\":25},\"roots\":[{"
		     "\"socket\":3,\"latency_ns\":400,\"below\":[{\"ats\":true," MEM "}]}]}");
	struct p2pdma_function *drive = at(fabric, "0000:01:00.0");

	(void)state;
	assert_true(fabric->random == 7);
	assert_true(fabric->landing == 1000 * PS_PER_NS);
	assert_true(fabric->completion_timeout == 50000 * PS_PER_NS);
	assert_int_equal(fabric->iommu, P2PDMA_IOMMU_TRANSLATED);
	assert_int_equal(fabric->iova_bits, 39);
	assert_string_equal(fabric->said->kernel, "6.12.1");
	assert_string_equal(fabric->said->cpu_vendor, "AuthenticAMD");
	assert_int_equal(fabric->said->cpu_family, 25);
	assert_int_equal(drive->iommu, P2PDMA_IOMMU_TRANSLATED);
	assert_int_equal(fabric->roots[0].socket, 3);
	assert_true(fabric->roots[0].latency == 400 * PS_PER_NS);
	/* As Linux sets it where requests are translated. */
	assert_int_equal(acs_control(at(fabric, "0000:00:01.0")), 0x1d);
	assert_int_equal(drive->numa_node, 3);
	assert_true(function_ats_is_on(drive));
	fabric_free(fabric);
}

static void links_train_as_the_weaker_end_can(void **state)
{
	struct fabric *fabric = read_ok(
		ROOT "{\"type\":\"port\",\"link\":\"gen5 x16\",\"below\":[{\"link\":"
		     "\"gen4 x4\"," MEM "}]},{\"link\":\"gen3 x8\",\"trained\":\"gen1 x1\"," MEM
		     "},{\"type\":\"port\",\"trained\":\"gen2 x16\",\"below\":[{\"link\":"
		     "\"gen6 x32\"," MEM "}]},{\"type\":\"port\",\"link\":\"gen2 x12\"},"
		     "{\"type\":\"port\",\"link\":\"gen3 x2\",\"below\":[{\"type\":"
		     "\"device\",\"functions\":[{" MEM "},{" MEM "}]}]}" TAIL);

	(void)state;
	assert_int_equal(link_capability(at(fabric, "0000:00:01.0")), 16 << 4 | 5);
	assert_int_equal(link_capability(at(fabric, "0000:01:00.0")), 4 << 4 | 4);
	assert_int_equal(link_status(at(fabric, "0000:00:01.0")), 4 << 4 | 4);
	assert_int_equal(link_status(at(fabric, "0000:01:00.0")), 4 << 4 | 4);
	assert_int_equal(link_capability(at(fabric, "0000:00:02.0")), 8 << 4 | 3);
	assert_int_equal(link_status(at(fabric, "0000:00:02.0")), 1 << 4 | 1);
	assert_int_equal(link_status(at(fabric, "0000:02:00.0")), 1 << 4 | 1);
	assert_int_equal(link_capability(at(fabric, "0000:00:03.0")), 32 << 4 | 6);
	assert_int_equal(link_status(at(fabric, "0000:03:00.0")), 16 << 4 | 2);
	assert_int_equal(link_capability(at(fabric, "0000:00:04.0")), 12 << 4 | 2);
	assert_int_equal(link_status(at(fabric, "0000:05:00.1")), 2 << 4 | 3);
	fabric_free(fabric);
}

static void payload_is_what_all_below_a_root_port_take(void **state)
{
	struct fabric *fabric = read_ok(
		ROOT "{\"type\":\"switch\",\"below\":[{\"max_mps\":128," MEM "},{" MEM "}]},"
		     "{\"max_mps\":4096,\"mps\":1024,\"mrrs\":4096,\"tags\":32," MEM "}" TAIL);

	(void)state;
	assert_int_equal(function_payload(at(fabric, "0000:00:01.0")), 128);
	assert_int_equal(function_payload(at(fabric, "0000:02:01.0")), 128);
	assert_int_equal(function_payload(at(fabric, "0000:04:00.0")), 128);
	assert_int_equal(function_payload(at(fabric, "0000:00:02.0")), 256);
	assert_int_equal(function_payload(at(fabric, "0000:05:00.0")), 1024);
	assert_int_equal(function_read_request(at(fabric, "0000:05:00.0")), 4096);
	assert_int_equal(function_tags(at(fabric, "0000:05:00.0")), 32);
	fabric_free(fabric);
}

static void acs_is_as_written(void **state)
{
	struct fabric *fabric = read_ok(
		ROOT "{\"type\":\"port\",\"acs\":\"none\"},{\"type\":\"port\",\"port_number\":9,"
		     "\"acs\":{\"capability\":[\"SrcValid\",\"ReqRedir\",\"EgressCtrl\"],"
		     "\"control\":\"all\",\"egress\":[0,9,33]}},{\"type\":\"port\",\"acs\":{"
		     "\"control\":[\"DirectTrans\"]}},{\"type\":\"device\",\"functions\":["
		     "{\"acs\":{}," MEM "},{\"acs\":{\"capability\":[]}," MEM "}]}" TAIL);
	struct p2pdma_function *port = at(fabric, "0000:00:02.0");

	(void)state;
	assert_int_equal(at(fabric, "0000:00:01.0")->at.acs, 0);
	assert_int_equal(function_acs_capability(port), 0x25);
	assert_int_equal(acs_control(port), 0x25);
	assert_int_equal(function_port_number(port), 9);
	assert_true(function_egress_bit(port, 0) && function_egress_bit(port, 9));
	assert_true(function_egress_bit(port, 33));
	assert_false(function_egress_bit(port, 1) || function_egress_bit(port, 32));
	assert_int_equal(function_acs_capability(at(fabric, "0000:00:03.0")), 0x7f);
	assert_int_equal(acs_control(at(fabric, "0000:00:03.0")), 0x40);
	assert_int_equal(function_acs_capability(at(fabric, "0000:04:00.0")), 0x6c);
	assert_int_equal(function_acs_capability(at(fabric, "0000:04:00.1")), 0);
	assert_true(at(fabric, "0000:04:00.1")->at.acs);
	fabric_free(fabric);
}

static void vfs_follow_their_device(void **state)
{
	struct fabric *fabric =
		read_ok(ROOT "{\"type\":\"device\",\"functions\":[{\"vfs\":3," MEM
	                     "},{\"vfs\":2," MEM "}]},{\"vfs\":300," MEM "},{" MEM "}" TAIL);
	struct p2pdma_function *pf = at(fabric, "0000:01:00.0");
	struct p2pdma_function *many = at(fabric, "0000:02:00.0");
	uint64_t base = function_bar_base(at(fabric, "0000:01:00.2"), 0);

	(void)state;
	assert_ptr_equal(at(fabric, "0000:01:00.2")->physfn, pf);
	assert_ptr_equal(at(fabric, "0000:01:00.4")->physfn, pf);
	assert_ptr_equal(at(fabric, "0000:01:00.6")->physfn, pf);
	assert_int_equal(at(fabric, "0000:01:00.6")->vf_number, 2);
	assert_ptr_equal(at(fabric, "0000:01:00.5")->physfn, at(fabric, "0000:01:00.1"));
	assert_true(function_bar_base(at(fabric, "0000:01:00.4"), 0) == base + 0x10000);
	assert_int_equal(get16(pf->config + pf->at.sriov + PCI_SRIOV_VF_OFFSET), 2);
	assert_int_equal(get16(pf->config + pf->at.sriov + PCI_SRIOV_NUM_VF), 3);
	assert_int_equal(pf->at.ari, 0);
	/* Beyond function 7, and beyond the bus. */
	assert_true(many->at.ari && at(fabric, "0000:03:05.4")->at.ari);
	assert_ptr_equal(at(fabric, "0000:03:05.4")->physfn, many);
	assert_int_equal(at(fabric, "0000:00:02.0")->config[PCI_SUBORDINATE_BUS], 3);
	assert_true(get16(at(fabric, "0000:00:02.0")->config + 0x50 + PCI_EXP_DEVCTL2) &
	            PCI_EXP_DEVCTL2_ARI);
	at(fabric, "0000:04:00.0");
	check_placed(fabric);
	fabric_free(fabric);
}

static void with_ari_a_device_has_256_functions(void **state)
{
	char text[16384] = ROOT "{\"type\":\"device\",\"ari\":true,\"functions\":[{}";
	struct fabric *fabric;

	(void)state;
	for (int i = 1; i < 256; i++)
		strcat(text, ",{}");
	strcat(text, "]}" TAIL);
	fabric = read_ok(text);
	assert_true(at(fabric, "0000:01:1f.7")->at.ari);
	check_placed(fabric);
	fabric_free(fabric);
}

static void absent_ones_are_placed_all_the_same(void **state)
{
	struct fabric *fabric = read_ok(
		ROOT
		"{\"type\":\"port\",\"below\":[{\"type\":\"switch\",\"absent\":true,\"below\":["
		"{" MEM "}]}]},{\"absent\":true,\"numa_node\":5,\"flr\":false," MEM "}" TAIL);
	struct p2pdma_function *drive = at(fabric, "0000:04:00.0");

	(void)state;
	assert_true(at(fabric, "0000:00:01.0")->is_present);
	assert_false(at(fabric, "0000:01:00.0")->is_present);
	assert_false(at(fabric, "0000:02:00.0")->is_present);
	assert_false(at(fabric, "0000:03:00.0")->is_present);
	assert_true(at(fabric, "0000:00:02.0")->is_present);
	assert_false(drive->is_present);
	assert_int_equal(drive->numa_node, 5);
	assert_false(get32(drive->config + drive->at.exp + PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_FLR);
	assert_true(function_bar_base(drive, 0));
	check_placed(fabric);
	fabric_free(fabric);
}

static void latencies_are_of_ports(void **state)
{
	struct fabric *fabric = read_ok(ROOT "{\"type\":\"port\",\"latency_ns\":7,\"below\":[{" MEM
	                                     "}]},{" MEM "}" TAIL);

	(void)state;
	assert_true(at(fabric, "0000:00:01.0")->below->hop_latency == 7 * PS_PER_NS);
	assert_true(at(fabric, "0000:00:02.0")->below->hop_latency > 0);
	fabric_free(fabric);
}

/* Whatever the model says, and of its VFs, too. */
static void a_class_is_as_written(void **state)
{
	struct fabric *fabric =
		read_ok(ROOT "{\"class\":\"01080F\",\"vfs\":1," MEM
	                     "},{\"type\":\"endpoint\",\"class\":\"000000\"},{" MEM "}" TAIL);

	(void)state;
	assert_int_equal(get32(at(fabric, "01:00.0")->config + PCI_CLASS_REVISION), 0x01080f00);
	assert_int_equal(get32(at(fabric, "01:00.1")->config + PCI_CLASS_REVISION), 0x01080f00);
	assert_int_equal(get32(at(fabric, "02:00.0")->config + PCI_CLASS_REVISION), 0);
	assert_int_equal(get32(at(fabric, "03:00.0")->config + PCI_CLASS_REVISION), 0x05000000);
	fabric_free(fabric);
}

static void a_platform_may_be_made_up(void **state)
{
	struct fabric *fabric = read_ok(
		HEAD "\"roots\":[{\"platform\":{\"same_port\":\"w\",\"across_ports\":\"r\","
		     "\"across_sockets\":\"rw\",\"refused_reads\":\"timeout\",\"splits\":true,"
		     "\"host_bridge\":\"1d17:1008\"},\"below\":[]},{\"platform\":{}}]}");
	const struct policy *policy = &fabric->roots[0].policy;

	(void)state;
	assert_string_equal(policy->name, "custom");
	assert_true(policy->writes_same_port && !policy->reads_same_port);
	assert_true(!policy->writes_across_ports && policy->reads_across_ports);
	assert_true(policy->writes_across_sockets && policy->reads_across_sockets);
	assert_int_equal(policy->refusal, REFUSE_TIMEOUT);
	assert_true(policy->splits);
	assert_int_equal(get32(at(fabric, "0000:00:00.0")->config), 0x10081d17);
	policy = &fabric->roots[1].policy;
	assert_false(policy->writes_same_port || policy->reads_across_sockets || policy->splits);
	assert_int_equal(policy->refusal, REFUSE_UR);
	fabric_free(fabric);
}

static void every_platform_is_documented(void **state)
{
	struct p2pdma_error err;
	char *text, row[80];
	size_t length;

	(void)state;
	assert_int_equal(read_text("docs/simulator.md", &err, &text, &length), 0);
	for (size_t i = 0; policy_at(i); i++) {
		snprintf(row, sizeof(row), "\n| `%s` |", policy_at(i)->name);
		if (!strstr(text, row))
			fail_msg("%s", policy_at(i)->name);
	}
	free(text);
}

static void a_capture_is_taken_too(void **state)
{
	struct p2pdma_error err = { "" };
	struct fabric *fabric = NULL;

	(void)state;
	if (fabric_read("data/two-socket.json", NULL, &err, &fabric))
		fail_msg("%s", err.text);
	assert_true(fabric->functions[0]->is_captured);
	fabric_free(fabric);
	if (fabric_read("data/qemu-switch.lspci", NULL, &err, &fabric))
		fail_msg("%s", err.text);
	fabric_free(fabric);
}

static void ten_thousand_functions_boot_in_no_time(void **state)
{
	struct timespec start, end;
	char *below = repeat("{\"domain\":%d,\"below\":[",
	                     "{\"functions\":[{" MEM "},{" MEM "},{" MEM "},{" MEM "}]}", 31, "]}");
	char *text = malloc(80 * (strlen(below) + 8)), *to = text;
	struct fabric *fabric;
	double seconds;

	(void)state;
	assert_non_null(text);
	to = stpcpy(to, HEAD "\"roots\":[");
	for (int i = 0; i < 65; i++) {
		if (i)
			*to++ = ',';
		to += sprintf(to, "{\"domain\":%d,%s", i, strchr(below, ',') + 1);
	}
	strcpy(to, "]}");
	clock_gettime(CLOCK_MONOTONIC, &start);
	fabric = read_ok(text);
	clock_gettime(CLOCK_MONOTONIC, &end);
	seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	print_message("# %zu functions in %.3f s\n", fabric->function_count, seconds);
	assert_true(fabric->function_count > 10000);
	check_placed(fabric);
	fabric_free(fabric);
	free(below);
	free(text);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_lines_are_two_drives),
		cmocka_unit_test(a_server_has_memory_for_peers),
		cmocka_unit_test(two_sockets),
		cmocka_unit_test(windows_nest_whatever_the_sizes),
		cmocka_unit_test(roots_of_a_domain_share_its_buses),
		cmocka_unit_test(defaults_are_of_a_running_machine),
		cmocka_unit_test(the_top_says_what_holds_everywhere),
		cmocka_unit_test(links_train_as_the_weaker_end_can),
		cmocka_unit_test(payload_is_what_all_below_a_root_port_take),
		cmocka_unit_test(acs_is_as_written),
		cmocka_unit_test(vfs_follow_their_device),
		cmocka_unit_test(with_ari_a_device_has_256_functions),
		cmocka_unit_test(absent_ones_are_placed_all_the_same),
		cmocka_unit_test(latencies_are_of_ports),
		cmocka_unit_test(a_class_is_as_written),
		cmocka_unit_test(a_platform_may_be_made_up),
		cmocka_unit_test(every_platform_is_documented),
		cmocka_unit_test(a_capture_is_taken_too),
		cmocka_unit_test(ten_thousand_functions_boot_in_no_time),
	};

	return RUN_IN_SOURCE(tests);
}
