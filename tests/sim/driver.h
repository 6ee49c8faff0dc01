/* SPDX-License-Identifier: MIT */
/*
 * driver.h - a driver for the model "dma" every step of which may fail, as machine ops under fault:
 * do (engine.h has one that must not fail).
 *
 * driver_stop() undoes what was done, however far that was.
 */
#ifndef DRIVER_H
#define DRIVER_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <p2pdma/access.h>
#include <p2pdma/progress.h>

#define DRIVER_PAGE     4096u
#define DRIVER_ENTRIES  64u
#define DRIVER_PATIENCE 200000000ull /* ns: above the completion timeout */
#define DRIVER_MAGIC    0x414d4432u

/* docs/simulator-models.md; the registers are those of ring 0. */
enum driver_register {
	DRIVER_REG_MAGIC = 0x000,
	DRIVER_REG_BASE = 0x100,
	DRIVER_REG_SIZE = 0x110,
	DRIVER_REG_CONTROL = 0x114,
	DRIVER_REG_DOORBELL = 0x118,
	DRIVER_REG_STATUS = 0x11c,
};

enum driver_flag {
	DRIVER_IRQ = 0x1,
	DRIVER_FLUSH = 0x4,
};

struct driver {
	struct p2pdma_machine *machine;
	struct p2pdma_device *device;
	struct p2pdma_bar_map *map;
	bool is_open, has_ring;
	uint8_t *ring; /* a page: descriptors, then nothing */
	struct p2pdma_dma address;
	uint32_t tail;
	uint32_t status; /* of the last descriptor: 1 is good */
	int fd;          /* an eventfd, for vector 0 */
};

static inline void driver_put(struct driver *driver, uint64_t offset, uint32_t value)
{
	p2pdma_bar_write(driver->map, offset, sizeof(value), &value);
}

static inline uint32_t driver_get(struct driver *driver, uint64_t offset)
{
	uint32_t value = UINT32_MAX;

	p2pdma_bar_read(driver->map, offset, sizeof(value), &value);
	return value;
}

/* Memory decode and bus mastering on: a function that was closed has the latter off. */
static inline int driver_enable(struct p2pdma_device *device)
{
	uint8_t command;
	int r = p2pdma_device_config_read(device, 4, 1, &command);

	return r ? r : p2pdma_device_config_write(device, 4, 1, command | 0x6u);
}

/* What somebody left running ends first; a busy ring does not start. */
static inline int driver_start_ring(struct driver *driver)
{
	uint64_t deadline = p2pdma_machine_now(driver->machine) + DRIVER_PATIENCE;

	driver_put(driver, DRIVER_REG_CONTROL, 0);
	while (driver_get(driver, DRIVER_REG_STATUS) & 0x3) {
		int r = p2pdma_machine_progress(driver->machine, deadline);

		/* A register changes unseen: there may be nothing to tell of until the deadline. */
		if (r < 0 || (!r && driver_get(driver, DRIVER_REG_STATUS) & 0x3))
			return r ? r : -ETIMEDOUT;
	}
	memset(driver->ring, 0, DRIVER_PAGE);
	driver->tail = 0;
	driver_put(driver, DRIVER_REG_BASE, (uint32_t)driver->address.addr);
	driver_put(driver, DRIVER_REG_BASE + 4, (uint32_t)(driver->address.addr >> 32));
	driver_put(driver, DRIVER_REG_SIZE, DRIVER_ENTRIES);
	driver_put(driver, DRIVER_REG_CONTROL, 1);
	return driver_get(driver, DRIVER_REG_STATUS) == 1 ? 0 : -EIO;
}

static inline int driver_start(struct driver *driver, struct p2pdma_machine *machine,
                               struct p2pdma_device *device)
{
	int r;

	*driver = (struct driver){ .machine = machine, .device = device, .fd = -1 };
	driver->ring = aligned_alloc(DRIVER_PAGE, DRIVER_PAGE);
	driver->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!driver->ring || driver->fd < 0)
		return -ENOMEM;
	r = p2pdma_device_open(device, NULL);
	if (r)
		return r;
	driver->is_open = true;
	r = driver_enable(device);
	if (!r)
		r = p2pdma_bar_map(device, 0, NULL, &driver->map);
	if (!r && driver_get(driver, DRIVER_REG_MAGIC) != DRIVER_MAGIC)
		r = -ENODEV;
	if (!r)
		r = p2pdma_dma_map(device, driver->ring, DRIVER_PAGE, P2PDMA_OP_BOTH,
		                   &driver->address);
	if (r)
		return r;
	driver->has_ring = true;
	r = p2pdma_device_irq(device, 0, driver->fd);
	return r ? r : driver_start_ring(driver);
}

static inline void driver_stop(struct driver *driver)
{
	if (driver->has_ring)
		p2pdma_dma_unmap(driver->device, driver->address, DRIVER_PAGE);
	p2pdma_bar_unmap(driver->map);
	if (driver->is_open)
		p2pdma_device_close(driver->device);
	if (driver->fd >= 0)
		close(driver->fd);
	free(driver->ring);
	*driver = (struct driver){ .fd = -1 };
}

/* So many interrupts and no more; a message may come later than what it tells of. */
static inline int driver_interrupts(struct driver *driver, uint64_t wanted)
{
	uint64_t deadline = p2pdma_machine_now(driver->machine) + DRIVER_PATIENCE, count, all = 0;
	int r = 1;

	while (r > 0) {
		if (read(driver->fd, &count, sizeof(count)) == (ssize_t)sizeof(count))
			all += count;
		r = all < wanted ? p2pdma_machine_progress(driver->machine, deadline) : 0;
	}
	return r ? r : all == wanted ? 0 : -ENOMSG;
}

/* One copy, and its end: -EIO: see driver->status; -ETIMEDOUT: it did not come. */
static inline int driver_copy(struct driver *driver, uint64_t source, uint64_t target,
                              uint32_t length, uint32_t flags)
{
	uint8_t *descriptor = driver->ring + driver->tail * 32;
	volatile uint32_t *status = (volatile uint32_t *)(void *)(descriptor + 0x18);
	uint64_t deadline = p2pdma_machine_now(driver->machine) + DRIVER_PATIENCE;

	memset(descriptor, 0, 32);
	memcpy(descriptor, &source, 8);
	memcpy(descriptor + 8, &target, 8);
	memcpy(descriptor + 16, &length, 4);
	memcpy(descriptor + 20, &flags, 4);
	driver->tail = (driver->tail + 1) % DRIVER_ENTRIES;
	driver_put(driver, DRIVER_REG_DOORBELL, driver->tail);
	while (!*status) {
		int r = p2pdma_machine_progress(driver->machine, deadline);

		if (r < 0)
			return r;
		if (!r && !*status)
			return -ETIMEDOUT;
	}
	driver->status = *status;
	return driver->status == 1 ? 0 : -EIO;
}

#endif
