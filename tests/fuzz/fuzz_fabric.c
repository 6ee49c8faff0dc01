/* SPDX-License-Identifier: MIT */
/*
 * fuzz_fabric.c - any bytes as a fabric file: no crash, an error in words; what boots can be
 * driven, and is judged.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <p2pdma/access.h>
#include <p2pdma/evidence.h>
#include <p2pdma/progress.h>
#include <p2pdma/sim.h>

#define MOST_DEVICES 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A machine of a file that exists in memory only. */
static int open_bytes(const uint8_t *data, size_t size, struct p2pdma_error *err,
                      struct p2pdma_machine **ret_machine)
{
	char spec[64];
	int fd = memfd_create("fabric", MFD_CLOEXEC), r;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(spec, sizeof(spec), "sim:/proc/self/fd/%d", fd);
	r = p2pdma_machine_open(spec, err, ret_machine);
	close(fd);
	return r;
}

static struct p2pdma_bdf bdf_of(const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };

	if (p2pdma_device_get_info(device, &info))
		abort();
	return info.bdf;
}

static void send(struct p2pdma_sim *sim, const struct p2pdma_device *client,
                 const struct p2pdma_device *provider, enum p2pdma_op op)
{
	struct p2pdma_sim_outcome outcome = { .size = sizeof(outcome) };
	struct p2pdma_bar range = { .size = 0 };
	uint8_t bytes[300] = { 0 };
	struct p2pdma_sim_dma dma = {
		.client = bdf_of(client), .op = op, .length = sizeof(bytes), .bytes = bytes
	};
	int r;

	for (int bar = 0; bar < 6 && !range.size; bar++)
		p2pdma_device_bar(provider, bar, &range);
	dma.address.addr = range.bus.addr;
	r = p2pdma_sim_dma(sim, &dma, &outcome);
	if ((r && r != -ENODEV) || outcome.bytes > sizeof(bytes) ||
	    outcome.hop_count > P2PDMA_SIM_MAX_HOPS)
		abort();
}

static void drive(struct p2pdma_machine *machine, struct p2pdma_device *device)
{
	struct p2pdma_bar_map *map = NULL;
	uint8_t bytes[64] = { 1 };

	if (p2pdma_device_open(device, NULL))
		return;
	for (int bar = 0; bar < 6 && !map; bar++) {
		if (p2pdma_bar_map(device, bar, NULL, &map))
			continue;
		p2pdma_bar_write(map, 0, sizeof(bytes), bytes);
		p2pdma_bar_read(map, p2pdma_bar_size(map) - sizeof(bytes), sizeof(bytes), bytes);
	}
	p2pdma_machine_progress(machine, p2pdma_machine_now(machine) + 10000);
	p2pdma_bar_unmap(map);
	p2pdma_device_reset(device, NULL);
	p2pdma_device_close(device);
}

static void judge(const struct p2pdma_machine *machine)
{
	struct p2pdma_machine *fresh;
	struct p2pdma_routes *routes;
	size_t count;

	if (p2pdma_machine_refresh(machine, NULL, &fresh))
		return;
	if (p2pdma_routes_new(fresh, NULL, &routes))
		abort();
	count = p2pdma_machine_device_count(fresh);
	for (size_t i = 0; i < count && i < MOST_DEVICES; i++)
		for (size_t j = 0; j < count && j < MOST_DEVICES; j++)
			p2pdma_routes_pair(routes, p2pdma_machine_device(fresh, count - 1 - i),
			                   p2pdma_machine_device(fresh, count - 1 - j));
	p2pdma_routes_free(routes);
	p2pdma_machine_close(fresh);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t registers[] = { 0x04, 0x10, 0x18, 0x20, 0x24, 0x44, 0x48, 0x104 };
	struct p2pdma_error err = { "" };
	struct p2pdma_machine *machine = NULL;
	struct p2pdma_sim *sim;
	size_t count;

	if (open_bytes(data, size, &err, &machine)) {
		if (machine || !*err.text)
			abort();
		return 0;
	}
	if (p2pdma_machine_sim(machine, &sim))
		abort();
	count = p2pdma_machine_device_count(machine);
	/* The last ones: what lies deepest. */
	for (size_t i = 0; i < count && i < MOST_DEVICES; i++) {
		struct p2pdma_device *client = p2pdma_machine_device(machine, count - 1 - i);

		drive(machine, client);
		p2pdma_device_config_write(client, 0x04, 2, 6);
		for (size_t j = 0; j < count && j < MOST_DEVICES; j++)
			send(sim, client, p2pdma_machine_device(machine, count - 1 - j),
			     j & 1 ? P2PDMA_OP_READ : P2PDMA_OP_WRITE);
		p2pdma_device_config_write(client, registers[(i + size) % 8], 4, 0xffffffff);
	}
	judge(machine);
	p2pdma_machine_close(machine);
	return 0;
}
