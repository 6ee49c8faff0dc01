/* SPDX-License-Identifier: MIT */
/*
 * model.c - a device model of one's own, and a driver for it: a counter with a doorbell.
 *
 *	cc -o model model.c $(pkg-config --cflags --libs libp2pdma) && ./model model.json
 *
 * Registers in BAR 0: 0x00 where the count goes to (64 bits), 0x08 the count (64 bits, read-only),
 * 0x10 the doorbell (32 bits): the number written is added, times "step", the count written to
 * where it goes, and vector 0 raised, "think_ns" later.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <p2pdma/access.h>
#include <p2pdma/progress.h>
#include <p2pdma/sim.h>

#define VENDOR   0x1209
#define DEVICE   0xc0de
#define TARGET   0x00
#define COUNT    0x08
#define DOORBELL 0x10

/* ---- the device ---- */

struct counter {
	struct p2pdma_function *function;
	uint64_t step, think, target, count;
};

static int counter_create(struct p2pdma_function *function, struct p2pdma_error *err,
                          void **ret_state)
{
	struct counter *counter = calloc(1, sizeof(*counter));

	if (!counter || p2pdma_model_add_registers(function, 0, 4096) ||
	    p2pdma_model_add_vectors(function, 1, 2)) {
		free(counter);
		snprintf(err->text, sizeof(err->text), "no room for BARs 0 and 2");
		return -EINVAL;
	}
	p2pdma_model_set_id(function, VENDOR, DEVICE, 0xff0000);
	counter->function = function;
	counter->step = p2pdma_model_param(function, "step", 1);
	counter->think = p2pdma_model_param(function, "think_ns", 100);
	*ret_state = counter;
	return 0;
}

static int counter_read(void *state, int bar, uint64_t offset, size_t length, void *bytes)
{
	const struct counter *counter = state;

	(void)bar;
	memset(bytes, 0, length);
	if (offset == COUNT && length <= 8)
		memcpy(bytes, &counter->count, length);
	return 0;
}

static void counter_write(void *state, int bar, uint64_t offset, size_t length, const void *bytes)
{
	struct counter *counter = state;
	uint32_t number;

	(void)bar;
	if (offset == TARGET && length == 8)
		memcpy(&counter->target, bytes, 8);
	if (offset != DOORBELL || length != 4)
		return;
	memcpy(&number, bytes, 4);
	p2pdma_model_timer(counter->function, counter->think, number);
}

static void counter_timer(void *state, uint64_t cookie)
{
	struct counter *counter = state;

	counter->count += cookie * counter->step;
	p2pdma_model_write(counter->function, counter->target, 8, &counter->count);
	p2pdma_model_interrupt(counter->function, 0);
}

static void counter_reset(void *state, enum p2pdma_model_reset why)
{
	struct counter *counter = state;

	(void)why;
	counter->target = counter->count = 0;
}

static const struct p2pdma_model counter_model = {
	.size = sizeof(struct p2pdma_model),
	.name = "counter",
	.create = counter_create,
	.destroy = free,
	.read = counter_read,
	.write = counter_write,
	.timer = counter_timer,
	.reset = counter_reset,
};

/* ---- its driver: nothing below knows that the machine is simulated ---- */

static struct p2pdma_device *find(struct p2pdma_machine *machine)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };

	for (size_t i = 0; i < p2pdma_machine_device_count(machine); i++) {
		struct p2pdma_device *device = p2pdma_machine_device(machine, i);

		if (!p2pdma_device_get_info(device, &info) && info.vendor == VENDOR &&
		    info.device == DEVICE)
			return device;
	}
	return NULL;
}

static int drive(struct p2pdma_machine *machine, struct p2pdma_device *device, uint64_t *memory)
{
	uint64_t start = p2pdma_machine_now(machine), interrupts;
	int fd = eventfd(0, EFD_NONBLOCK);
	struct p2pdma_bar_map *map;
	struct p2pdma_error err;
	struct p2pdma_dma address;

	if (p2pdma_device_open(device, &err) || p2pdma_bar_map(device, 0, &err, &map)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	if (fd < 0 || p2pdma_device_irq(device, 0, fd) ||
	    p2pdma_dma_map(device, memory, 4096, P2PDMA_OP_WRITE, &address))
		return 1;
	p2pdma_bar_write(map, TARGET, 8, &address.addr);
	for (uint32_t number = 1; number <= 3; number++) {
		p2pdma_bar_write(map, DOORBELL, 4, &number);
		while (read(fd, &interrupts, 8) != 8)
			if (p2pdma_machine_progress(machine, start + 1000000) == 0)
				return 1; /* a millisecond and no interrupt */
		printf("%llu\n", (unsigned long long)memory[0]);
	}
	p2pdma_bar_unmap(map);
	p2pdma_device_close(device);
	close(fd);
	return memory[0] == 0;
}

int main(int argc, char **argv)
{
	const struct p2pdma_model *const models[] = { &counter_model };
	struct p2pdma_machine *machine;
	struct p2pdma_device *device;
	struct p2pdma_error err;
	uint64_t *memory = aligned_alloc(4096, 4096);
	int r;

	if (argc != 2 || !memory || p2pdma_sim_open(argv[1], models, 1, &err, &machine)) {
		fprintf(stderr, "%s\n", argc == 2 ? err.text : "usage: model FABRIC");
		return 2;
	}
	device = find(machine);
	r = device ? drive(machine, device, memset(memory, 0, 4096)) : 1;
	p2pdma_machine_close(machine);
	free(memory);
	return r;
}
