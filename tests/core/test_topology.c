/* SPDX-License-Identifier: MIT */
#include "bytes.h"
#include "topology.h"

static void preorder_and_depth(void **state)
{
	struct p2pdma_machine *machine = finish(make_switch());
	static const uint16_t depths[] = { 1, 1, 2, 3, 4, 3, 4 };

	(void)state;
	assert_int_equal(p2pdma_machine_device_count(machine), 7);
	for (size_t i = 0; i < 7; i++) {
		const struct p2pdma_device *device = p2pdma_machine_device(machine, i);

		assert_int_equal(device->index, i);
		assert_int_equal(device->depth, depths[i]);
	}
	assert_null(p2pdma_machine_device(machine, 7));
	assert_ptr_equal(p2pdma_device_parent(at(machine, bdf(0, 4, 0, 0))),
	                 at(machine, bdf(0, 2, 1, 0)));
	assert_null(p2pdma_device_parent(at(machine, bdf(0, 0, 1, 0))));
	assert_int_equal(machine->root_count, 1);
	p2pdma_machine_close(machine);
}

/* Bus numbers must grow on the way down, or a capture could describe a ring. */
static void a_ring_of_bridges_is_cut(void **state)
{
	struct snapshot *snapshot = snapshot_new();
	struct p2pdma_machine *machine;

	(void)state;
	add_bridge(snapshot, bdf(0, 1, 0, 0), 4, 2, 2);
	add_bridge(snapshot, bdf(0, 2, 0, 0), 4, 1, 2);
	add_bridge(snapshot, bdf(0, 3, 0, 0), 4, 3, 3);
	machine = finish(snapshot);
	assert_null(p2pdma_device_parent(at(machine, bdf(0, 1, 0, 0))));
	assert_ptr_equal(p2pdma_device_parent(at(machine, bdf(0, 2, 0, 0))),
	                 at(machine, bdf(0, 1, 0, 0)));
	assert_null(p2pdma_device_parent(at(machine, bdf(0, 3, 0, 0))));
	p2pdma_machine_close(machine);
}

static void the_longest_chain_is_256_deep(void **state)
{
	struct snapshot *snapshot = snapshot_new();
	struct p2pdma_machine *machine;

	(void)state;
	for (int bus = 0; bus < 255; bus++)
		add_bridge(snapshot, bdf(0, (uint8_t)bus, 0, 0), 4, (uint8_t)(bus + 1), 255);
	add_pcie(snapshot, bdf(0, 255, 0, 0), 0, 0);
	machine = finish(snapshot);
	assert_int_equal(at(machine, bdf(0, 255, 0, 0))->depth, 256);
	p2pdma_machine_close(machine);
}

static struct snapshot *make_sriov(uint16_t control)
{
	struct snapshot *snapshot = snapshot_new();
	uint8_t *config;

	add_bridge(snapshot, bdf(0, 0, 1, 0), 4, 1, 2);
	config = add_pcie(snapshot, bdf(0, 1, 0, 0), 0, 0);
	put32(config, 0x100, 0x00010010);
	put16(config, 0x108, control);
	put16(config, 0x110, 2);
	put16(config, 0x114, 0x100);
	put16(config, 0x116, 2);
	put16(config, 0x11a, 0xabcd);
	put32(config, 0x124, 0xe100000c);
	config = add_pcie(snapshot, bdf(0, 2, 0, 0), 0, 0);
	put32(config, 0x00, 0xffffffff);
	put32(config, 0x10, 0);
	config = add_pcie(snapshot, bdf(0, 2, 0, 2), 0, 0);
	put32(config, 0x00, 0xffffffff);
	put32(config, 0x10, 0);
	return snapshot;
}

static void vfs_are_computed_from_their_pf(void **state)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };
	struct snapshot *snapshot = make_sriov(0x09);
	struct p2pdma_machine *machine;
	struct p2pdma_device *vf;
	struct p2pdma_bar bar;

	(void)state;
	snapshot_finish(snapshot);
	snapshot->functions[3].resource_count = 1;
	snapshot->functions[3].resources = calloc(1, sizeof(*snapshot->functions[3].resources));
	snapshot->functions[3].resources[0] =
		(struct snapshot_resource){ 0xe1004000, 0xe1007fff, 0x14220c };
	machine = finish(snapshot);
	vf = at(machine, bdf(0, 2, 0, 2));
	assert_ptr_equal(p2pdma_device_physfn(vf), at(machine, bdf(0, 1, 0, 0)));
	assert_ptr_equal(p2pdma_device_parent(vf), at(machine, bdf(0, 0, 1, 0)));
	assert_int_equal(p2pdma_device_get_info(vf, &info), 0);
	assert_true(info.is_vf);
	assert_int_equal(info.vendor, 0x8086);
	assert_int_equal(info.device, 0xabcd);
	assert_int_equal(p2pdma_device_bar(vf, 0, &bar), 0);
	assert_int_equal(bar.bus.addr, 0xe1000000 + 0x4000);
	assert_int_equal(bar.size, 0x4000);
	assert_true(bar.is_64bit && bar.is_prefetchable && bar.is_memory);
	assert_int_equal(p2pdma_device_bar(vf, 1, &bar), -ENOENT);
	assert_int_equal(machine->root_count, 1);
	p2pdma_machine_close(machine);
}

/* With VF Enable off the offsets mean nothing: IDs that read ffff are somebody's lost VFs. */
static void vfs_without_a_pf_stand_alone(void **state)
{
	struct p2pdma_machine *machine = finish(make_sriov(0x00));
	struct p2pdma_device *vf = at(machine, bdf(0, 2, 0, 0));

	(void)state;
	assert_null(p2pdma_device_physfn(vf));
	assert_null(p2pdma_device_parent(vf));
	assert_true(machine->roots[vf->root].is_missing);
	p2pdma_machine_close(machine);
}

/* A PF that claims 65,535 VFs, many times over, must not take for ever. */
static void claimed_vfs_are_bounded(void **state)
{
	struct snapshot *snapshot = snapshot_new();

	(void)state;
	for (int bus = 0; bus < 32; bus++) {
		for (int devfn = 0; devfn < 256; devfn++) {
			uint8_t *config =
				add_pcie(snapshot,
			                 (struct p2pdma_bdf){ 0, (uint8_t)bus, (uint8_t)devfn }, 0,
			                 9);

			put32(config, 0x100, 0x00010010);
			put16(config, 0x108, 0x09);
			put16(config, 0x110, 0xffff);
			put16(config, 0x114, 1);
			put16(config, 0x116, 1);
		}
	}
	p2pdma_machine_close(finish(snapshot));
}

static void a_physfn_that_is_no_pf_is_ignored(void **state)
{
	struct snapshot *snapshot = make_sriov(0x09);

	(void)state;
	snapshot_finish(snapshot);
	for (size_t i = 2; i < 4; i++) {
		snapshot->functions[i].has_physfn = true;
		snapshot->functions[i].physfn = snapshot->functions[5 - i].bdf;
	}
	p2pdma_machine_close(finish(snapshot));
}

static void roots_are_missing_when_something_needs_a_link(void **state)
{
	struct snapshot *snapshot = snapshot_new();
	struct p2pdma_machine *machine;

	(void)state;
	add_pcie(snapshot, bdf(0, 0, 1, 0), 0, 0); /* hypervisors do this */
	add_pcie(snapshot, bdf(0, 5, 0, 0), 0, 0);
	add_bridge(snapshot, bdf(1, 0, 0, 0), 5, 1, 1);
	add_bridge(snapshot, bdf(2, 0x80, 0, 0), 4, 0x81, 0x81);
	machine = finish(snapshot);
	assert_false(machine->roots[at(machine, bdf(0, 0, 1, 0))->root].is_missing);
	assert_true(machine->roots[at(machine, bdf(0, 5, 0, 0))->root].is_missing);
	assert_true(machine->roots[at(machine, bdf(1, 0, 0, 0))->root].is_missing);
	assert_false(machine->roots[at(machine, bdf(2, 0x80, 0, 0))->root].is_missing);
	p2pdma_machine_close(machine);
}

static void the_os_knows_its_root_buses(void **state)
{
	struct snapshot *snapshot = snapshot_new();
	struct p2pdma_machine *machine;

	(void)state;
	add_pcie(snapshot, bdf(0, 5, 0, 0), 0, 0);
	add_pcie(snapshot, bdf(0, 6, 0, 0), 0, 9);
	snapshot_finish(snapshot);
	for (size_t i = 0; i < 2; i++) {
		snapshot->functions[i].has_root_bus = true;
		snapshot->functions[i].root_bus = bdf(0, 5, 0, 0);
	}
	machine = finish(snapshot);
	assert_false(machine->roots[at(machine, bdf(0, 5, 0, 0))->root].is_missing);
	assert_true(machine->roots[at(machine, bdf(0, 6, 0, 0))->root].is_missing);
	p2pdma_machine_close(machine);
}

static void a_dead_function_is_unknown_not_absent(void **state)
{
	struct snapshot *snapshot = make_switch();
	struct p2pdma_device_info info = { .size = sizeof(info) };
	struct p2pdma_machine *machine;
	struct p2pdma_device *dead;
	struct p2pdma_bar bar;

	(void)state;
	snapshot_finish(snapshot);
	memset(snapshot->functions[6].config, 0xff, SNAPSHOT_CONFIG_SIZE);
	machine = finish(snapshot);
	dead = at(machine, bdf(0, 4, 0, 0));
	assert_false(dead->is_vf);
	assert_int_equal(p2pdma_device_acs(dead).known, P2PDMA_UNKNOWN);
	assert_int_equal(p2pdma_device_bar(dead, 0, &bar), -ENODATA);
	assert_int_equal(p2pdma_device_get_info(dead, &info), 0);
	assert_int_equal(info.header_type, 0x7f);
	p2pdma_machine_close(machine);
}

static void bars_by_register_and_resource(void **state)
{
	struct snapshot *snapshot = snapshot_new();
	uint8_t *config = add_pcie(snapshot, bdf(0, 0, 0, 0), 0, 9);
	struct p2pdma_machine *machine;
	struct p2pdma_device *device;
	struct p2pdma_bar bar;

	(void)state;
	put32(config, 0x10, 0xd000000c); /* 64-bit prefetchable, upper half in BAR1 */
	put32(config, 0x14, 0x00000012);
	put32(config, 0x18, 0x0000e001); /* I/O */
	put32(config, 0x1c, 0xfe000000); /* 32-bit */
	put32(config, 0x24, 0x0000000c); /* 64-bit in the last register: has no upper half */
	machine = finish(snapshot);
	device = at(machine, bdf(0, 0, 0, 0));
	assert_int_equal(p2pdma_device_bar(device, 0, &bar), 0);
	assert_true(bar.bus.addr == 0x12d0000000 && bar.is_64bit && bar.is_prefetchable);
	assert_int_equal(p2pdma_device_bar(device, 1, &bar), -ENOENT);
	assert_int_equal(p2pdma_device_bar(device, 2, &bar), 0);
	assert_true(bar.bus.addr == 0xe000 && !bar.is_memory);
	assert_int_equal(p2pdma_device_bar(device, 3, &bar), 0);
	assert_true(bar.bus.addr == 0xfe000000 && !bar.is_64bit && !bar.size);
	assert_int_equal(p2pdma_device_bar(device, 4, &bar), -ENOENT);
	assert_int_equal(p2pdma_device_bar(device, 5, &bar), 0);
	assert_false(bar.is_64bit);
	assert_int_equal(p2pdma_device_bar(device, 6, &bar), -EINVAL);
	assert_int_equal(p2pdma_device_bar(device, -1, &bar), -EINVAL);
	p2pdma_machine_close(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(preorder_and_depth),
		cmocka_unit_test(a_ring_of_bridges_is_cut),
		cmocka_unit_test(the_longest_chain_is_256_deep),
		cmocka_unit_test(vfs_are_computed_from_their_pf),
		cmocka_unit_test(vfs_without_a_pf_stand_alone),
		cmocka_unit_test(claimed_vfs_are_bounded),
		cmocka_unit_test(a_physfn_that_is_no_pf_is_ignored),
		cmocka_unit_test(roots_are_missing_when_something_needs_a_link),
		cmocka_unit_test(the_os_knows_its_root_buses),
		cmocka_unit_test(a_dead_function_is_unknown_not_absent),
		cmocka_unit_test(bars_by_register_and_resource),
	};

	return cmocka_run_group_tests_name("topology", tests, NULL, NULL);
}
