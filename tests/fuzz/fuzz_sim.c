/* SPDX-License-Identifier: MIT */
/*
 * fuzz_sim.c - any sequence of what a driver and a tester may do to a booted fabric: no crash, and
 * nothing out of bounds.
 *
 * The first byte chooses the machine; then come steps of 8 bytes: what, which function, and 6 bytes
 * of arguments.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <p2pdma/access.h>
#include <p2pdma/evidence.h>
#include <p2pdma/progress.h>
#include <p2pdma/sim.h>

#define MOST_STEPS   400
#define MOST_DEVICES 64
#define PAGE         4096
#define ROOT                                                                                   \
	"\"platform\":{\"same_port\":\"rw\",\"across_ports\":\"rw\",\"across_sockets\":\"w\"," \
	"\"refused_reads\":\"ones\",\"splits\":true,\"host_bridge\":\"8086:2020\"}"
#define PAIR                                                                                 \
	"{\"type\":\"endpoint\",\"model\":\"mem\",\"size\":\"64K\",\"vfs\":2,\"ats\":true}," \
	"{\"type\":\"endpoint\",\"model\":\"dma\"}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const machines[] = {
	"{\"format\":\"p2pdma-fabric\",\"version\":1,\"roots\":[{" ROOT
	",\"below\":[{\"type\":\"switch\",\"below\":[" PAIR "]}]}]}",
	"{\"format\":\"p2pdma-fabric\",\"version\":1,\"iommu\":\"translated\",\"roots\":[{" ROOT
	",\"below\":[{\"type\":\"switch\",\"below\":[" PAIR ",{\"type\":\"switch\",\"below\":[" PAIR
	"]}]}]}]}",
	"{\"format\":\"p2pdma-fabric\",\"version\":1,\"landing_ns\":5000,\"roots\":[{" ROOT
	",\"below\":[" PAIR
	",{\"type\":\"bridge\",\"below\":[{\"type\":\"conventional\",\"model\":\"mem\",\"size\":\"64K\"},"
	"{\"type\":\"conventional\",\"model\":\"dma\"}]},{\"type\":\"integrated\",\"model\":\"dma\"}]},"
	"{\"socket\":1,\"domain\":1," ROOT ",\"below\":[{\"type\":\"device\",\"functions\":["
	"{\"type\":\"endpoint\",\"model\":\"dma\",\"acs\":{\"capability\":\"all\"}},"
	"{\"type\":\"endpoint\",\"model\":\"mem\",\"size\":\"64K\",\"acs\":{\"capability\":\"all\"}}]}]}]}",
	"{\"format\":\"p2pdma-fabric\",\"version\":1,\"roots\":[{" ROOT
	",\"below\":[{\"type\":\"switch\",\"below\":[{\"type\":\"endpoint\",\"model\":\"accel\","
	"\"memory\":\"64K\",\"rate\":\"16M\",\"vfs\":1}," PAIR "]}]}]}",
};

/* What stays between the steps. */
struct run {
	struct p2pdma_machine *machine;
	struct p2pdma_sim *sim;
	size_t count;
	struct p2pdma_bar_map *maps[MOST_DEVICES];
	uint8_t *memory;
	int irq;
};

static struct p2pdma_machine *open_text(const char *text)
{
	struct p2pdma_error err = { "" };
	struct p2pdma_machine *machine;
	int fd = memfd_create("fabric", MFD_CLOEXEC);
	char spec[64];

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
	snprintf(spec, sizeof(spec), "sim:/proc/self/fd/%d", fd);
	if (p2pdma_machine_open(spec, &err, &machine)) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	close(fd);
	return machine;
}

static struct p2pdma_bdf bdf_of(const struct p2pdma_device *device)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };

	if (p2pdma_device_get_info(device, &info))
		abort();
	return info.bdf;
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)(at[0] | at[1] << 8 | at[2] << 16) | (uint32_t)at[3] << 24;
}

/* Registers that matter come up more often than others. */
static size_t config_offset(const uint8_t *arguments)
{
	static const uint16_t often[] = { 0x04, 0x10, 0x14, 0x18, 0x20, 0x24, 0x28, 0x2c,
		                          0x3c, 0x3e, 0x44, 0x48, 0x50, 0x54, 0x70, 0x78 };

	return arguments[0] & 0x80 ? often[arguments[0] & 15] + (arguments[1] & 3u)
	                           : (size_t)(arguments[0] << 8 | arguments[1]) & 0xfff;
}

static void do_config(struct p2pdma_device *device, const uint8_t *arguments)
{
	size_t length = (size_t)1 << arguments[0] / 32 % 3, offset = config_offset(arguments);
	uint8_t bytes[4];

	offset &= ~(length - 1);
	p2pdma_device_config_write(device, offset, length, get32(arguments + 2));
	if (p2pdma_device_config_read(device, offset, length, bytes) == -EINVAL)
		abort();
}

static uint64_t some_address(const struct run *run, const uint8_t *arguments)
{
	struct p2pdma_device *device =
		p2pdma_machine_device(run->machine, arguments[0] % run->count);
	struct p2pdma_bar range = { .size = 0 };

	if (arguments[0] == 0xff)
		return (uint64_t)get32(arguments + 1) << arguments[5] % 32;
	for (int bar = arguments[1] % 6; bar >= 0; bar--)
		if (!p2pdma_device_bar(device, bar, &range))
			break;
	return range.bus.addr + (uint64_t)(arguments[2] << 4);
}

static void do_dma(const struct run *run, struct p2pdma_device *device, const uint8_t *arguments)
{
	static uint8_t bytes[3 * PAGE];
	struct p2pdma_sim_outcome outcome = { .size = sizeof(outcome) };
	struct p2pdma_sim_dma dma = {
		.client = bdf_of(device),
		.op = arguments[3] & 1 ? P2PDMA_OP_READ : P2PDMA_OP_WRITE,
		.address.addr = some_address(run, arguments),
		.length = 1 + (arguments[4] | arguments[5] << 8) % sizeof(bytes),
		.is_translated = arguments[3] & 2,
		.bytes = bytes,
	};
	int r = p2pdma_sim_dma(run->sim, &dma, &outcome);

	if ((r && r != -ENODEV) ||
	    (!r && (outcome.bytes > dma.length || outcome.hop_count > P2PDMA_SIM_MAX_HOPS)))
		abort();
}

static void do_mmio(struct run *run, size_t index, struct p2pdma_device *device,
                    const uint8_t *arguments)
{
	struct p2pdma_bar_map **map = &run->maps[index];
	uint8_t bytes[32] = { arguments[2], arguments[3], arguments[4] };
	uint64_t offset = (uint64_t)(arguments[1] << 2);

	if (!*map && p2pdma_bar_map(device, arguments[0] % 6, NULL, map)) {
		*map = NULL;
		return;
	}
	if (arguments[5] & 1)
		p2pdma_bar_read(*map, offset, arguments[4] % 32, bytes);
	else
		p2pdma_bar_write(*map, offset, 1 + arguments[4] % 32, bytes);
}

static void do_map(const struct run *run, struct p2pdma_device *device, const uint8_t *arguments)
{
	struct p2pdma_dma address = { PAGE * (uint64_t)(arguments[1] | arguments[2] << 8) };

	if (arguments[0] & 1)
		p2pdma_dma_map(device, run->memory, PAGE * (1 + arguments[3] % 4u),
		               1 + arguments[0] / 2 % 3, &address);
	else
		p2pdma_dma_unmap(device, address, PAGE);
}

static void do_fault(const struct run *run, struct p2pdma_device *device, const uint8_t *arguments)
{
	static const char *const deeds[] = { "remove", "add",   "link-down", "link-up",
		                             "hang",   "reset", "retrain",   "hang" };
	static const char *const tlp_deeds[] = { "drop", "poison", "delay", "iommu-fault" };
	struct p2pdma_bdf bdf = bdf_of(device);
	char json[256];

	if (arguments[0] & 8)
		snprintf(json, sizeof(json), "{\"tlp\":{\"nth\":%u},\"do\":\"%s\"%s}",
		         1 + arguments[1] % 20, tlp_deeds[arguments[0] & 3],
		         (arguments[0] & 3) == 2 ? ",\"delay_ns\":900" : "");
	else
		snprintf(json, sizeof(json),
		         "{\"at_ns\":%llu,\"do\":\"%s\",\"device\":\"%04x:%02x:%02x.%x\"}",
		         (unsigned long long)p2pdma_machine_now(run->machine) + arguments[1],
		         deeds[arguments[0] & 7], (unsigned int)bdf.domain, bdf.bus,
		         bdf.devfn >> 3u, bdf.devfn & 7u);
	p2pdma_sim_fault(run->sim, json, NULL);
}

static void do_flow(const struct run *run, struct p2pdma_device *device, const uint8_t *arguments)
{
	struct p2pdma_device *other =
		p2pdma_machine_device(run->machine, arguments[0] % run->count);
	struct p2pdma_sim_flow flow = {
		.client = bdf_of(device),
		.is_dram = arguments[1] & 1,
		.provider = bdf_of(other),
		.op = arguments[1] & 2 ? P2PDMA_OP_READ : P2PDMA_OP_WRITE,
		.length = 1 + arguments[2] * 8u,
		.depth = 1 + arguments[3] % 8u,
		.bytes = 1 + arguments[4] * 64u,
		.is_translated = arguments[1] & 4,
	};
	struct p2pdma_sim_flow_result result;

	if (!p2pdma_sim_run(run->sim, &flow, 1, NULL, &result) &&
	    (result.bytes > flow.bytes ||
	     result.has_arrived != (result.fate == P2PDMA_SIM_ARRIVED)))
		abort();
}

static void judge(const struct run *run)
{
	struct p2pdma_machine *fresh;
	struct p2pdma_routes *routes;
	size_t count;

	if (p2pdma_machine_refresh(run->machine, NULL, &fresh))
		return;
	if (p2pdma_routes_new(fresh, NULL, &routes))
		abort();
	count = p2pdma_machine_device_count(fresh);
	for (size_t i = 0; i < count * count; i++)
		p2pdma_routes_pair(routes, p2pdma_machine_device(fresh, i % count),
		                   p2pdma_machine_device(fresh, i / count));
	p2pdma_routes_free(routes);
	p2pdma_machine_close(fresh);
}

static void step(struct run *run, const uint8_t *bytes)
{
	size_t index = bytes[1] % run->count;
	struct p2pdma_device *device = p2pdma_machine_device(run->machine, index);
	const uint8_t *arguments = bytes + 2;
	struct p2pdma_event event;

	switch (bytes[0] % 16) {
	case 0:
	case 1:
	case 2:
	case 3:
		do_config(device, arguments);
		break;
	case 4:
	case 5:
	case 6:
		do_dma(run, device, arguments);
		break;
	case 7:
	case 8:
		do_mmio(run, index, device, arguments);
		break;
	case 9:
		p2pdma_machine_progress(run->machine, p2pdma_machine_now(run->machine) +
		                                              (uint64_t)(arguments[0] << 6));
		p2pdma_machine_event(run->machine, &event);
		break;
	case 10:
		p2pdma_device_open(device, NULL);
		break;
	case 11:
		run->maps[index] = p2pdma_bar_unmap(run->maps[index]);
		p2pdma_device_close(device);
		break;
	case 12:
		do_map(run, device, arguments);
		break;
	case 13:
		if (arguments[0] & 1)
			p2pdma_device_reset(device, NULL);
		else
			p2pdma_device_irq(device, arguments[1], arguments[2] & 1 ? run->irq : -1);
		break;
	case 14:
		do_fault(run, device, arguments);
		break;
	case 15:
		if (arguments[5] & 3)
			do_flow(run, device, arguments);
		else
			judge(run);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run run = { .irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };

	run.memory = aligned_alloc(PAGE, 4 * PAGE);
	run.machine = open_text(machines[!size ? 0 : data[0] / 32 == 6 ? 3 : data[0] % 3]);
	run.count = p2pdma_machine_device_count(run.machine);
	if (!run.memory || run.irq < 0 || run.count > MOST_DEVICES ||
	    p2pdma_machine_sim(run.machine, &run.sim))
		abort();
	memset(run.memory, 0, 4 * PAGE);
	for (size_t at = 1; at + 8 <= size && at < 8 * MOST_STEPS; at += 8)
		step(&run, data + at);
	judge(&run);
	for (size_t i = 0; i < run.count; i++)
		p2pdma_bar_unmap(run.maps[i]);
	p2pdma_machine_close(run.machine);
	close(run.irq);
	free(run.memory);
	return 0;
}
