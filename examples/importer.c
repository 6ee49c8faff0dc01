/* SPDX-License-Identifier: MIT */
/*
 * importer.c - memory that is lent, moved under its borrower, and pulled out of the machine.
 *
 *	importer sim:data/sim/peer-memory.json nvme0n1
 *
 * An accelerator (model "accel", docs/simulator-models.md) lends part of its memory to a drive
 * (model "dma"), which writes a file there, page by page.  Half-way the accelerator's driver moves
 * the memory: the drive is told to let go, and goes on at the new place.  Later somebody pulls the
 * accelerator while the drive writes.
 *
 * One thread does it all, so there are no locks: docs/driver-guide.md has an importer with them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <p2pdma/access.h>
#include <p2pdma/cpu.h>
#include <p2pdma/importer.h>
#include <p2pdma/progress.h>
#include <p2pdma/sim.h>

#define PAGE     4096u
#define PAGES    16u
#define BYTES    (PAGES * PAGE)
#define ENTRIES  64u
#define PATIENCE 200000000u /* ns; a read that nobody answers ends after 50 ms */

/* The drive's registers and descriptors. */
#define DMA_BASE       0x100
#define DMA_COMPLETION 0x108
#define DMA_SIZE       0x110
#define DMA_CONTROL    0x114
#define DMA_DOORBELL   0x118
#define FLUSH          0x04 /* read back what was written before it is done */
#define LOCAL_SOURCE   0x08
#define STATUS_OK      1

/* The accelerator's. */
#define ACCEL_CLASS   0x1200
#define ACCEL_SOURCE  0x10
#define ACCEL_TARGET  0x18
#define ACCEL_LENGTH  0x20
#define ACCEL_COMMAND 0x28
#define ACCEL_STATUS  0x2c
#define ACCEL_MOVE    1
#define ACCEL_BUSY    1
#define ACCEL_DONE    2

struct ring {
	struct {
		uint64_t source, target;
		uint32_t length, flags, status, reserved;
	} entries[ENTRIES];
	uint32_t index; /* behind the last one completed, as the drive tells it */
};

struct lender {
	struct p2pdma_device *device;
	struct p2pdma_bar_map *registers;
	struct p2pdma_provider *provider;
	struct p2pmem_buf places[2]; /* the memory is at one of them */
	struct p2pdma_dmabuf *dmabuf;
};

struct borrower {
	struct p2pdma_machine *machine;
	struct p2pdma_device *device;
	struct p2pdma_bar_map *registers;
	struct p2pdma_provider *medium; /* its own memory, where the file is */
	void *file;
	struct ring *ring;
	struct p2pdma_attachment *attachment;
	uint64_t address;          /* of what is lent, for the drive; 0: not mapped */
	uint32_t tail;             /* of the ring */
	uint32_t seen;             /* where in the ring what is not known to be done begins */
	unsigned int done, failed; /* pages */
	unsigned int stops, starts;
};

static const char *text(const struct p2pdma_device *device, char *buffer, size_t size)
{
	struct p2pdma_device_info info = { .size = sizeof(info) };

	p2pdma_device_get_info(device, &info);
	snprintf(buffer, size, "%04x:%02x:%02x.%x", (unsigned int)info.bdf.domain, info.bdf.bus,
	         info.bdf.devfn >> 3, info.bdf.devfn & 7);
	return buffer;
}

static int wrong(struct p2pdma_error *err, const char *what)
{
	snprintf(err->text, sizeof(err->text), "%s", what);
	return -EPROTO;
}

/* ---- the drive ---- */

/* Has it write pages of its file to what is lent. */
static void write_pages(struct borrower *drive, unsigned int first, unsigned int count)
{
	for (unsigned int i = first; i < first + count; i++) {
		struct ring *ring = drive->ring;

		ring->entries[drive->tail].source = i * PAGE;
		ring->entries[drive->tail].target = drive->address + i * PAGE;
		ring->entries[drive->tail].length = PAGE;
		ring->entries[drive->tail].flags = LOCAL_SOURCE | FLUSH;
		ring->entries[drive->tail].status = 0;
		drive->tail = (drive->tail + 1) % ENTRIES;
	}
	p2pdma_bar_write(drive->registers, DMA_DOORBELL, 4, &drive->tail);
}

/* Until it has done all it was told, well or not; false: it does not stop. */
static bool wait_for_drive(struct borrower *drive)
{
	uint64_t deadline = p2pdma_machine_now(drive->machine) + PATIENCE;
	const volatile struct ring *ring = drive->ring; /* the drive writes there */

	for (;;) {
		for (; drive->seen != ring->index; drive->seen = (drive->seen + 1) % ENTRIES) {
			if (ring->entries[drive->seen].status == STATUS_OK)
				drive->done++;
			else
				drive->failed++;
		}
		if (drive->seen == drive->tail)
			return true;
		if (p2pdma_machine_progress(drive->machine, deadline) != 1)
			return false;
	}
}

/* ---- the importer ---- */

static int map(struct borrower *drive, struct p2pdma_error *err)
{
	const struct p2pdma_dma_segment *segments;
	size_t count;
	/* FLUSH reads. */
	int r = p2pdma_dmabuf_map(drive->attachment, P2PDMA_OP_BOTH, 0, err, &count, &segments);

	if (r)
		return r;
	drive->address = segments[0].address.addr; /* one range, so one segment */
	return 0;
}

/* The exporter wants it back.  What was told before is done first: FLUSH has read it back. */
static void let_go(struct p2pdma_attachment *attachment, void *arg)
{
	struct borrower *drive = arg;

	drive->stops++;
	/* One that does not stop keeps its mapping: at the deadline it is cut. */
	if (!wait_for_drive(drive))
		return;
	drive->address = 0;
	p2pdma_dmabuf_unmap(attachment, drive->failed ? 0 : P2PDMA_UNMAP_LANDED);
}

static void restored(struct p2pdma_attachment *attachment, void *arg)
{
	struct borrower *drive = arg;

	(void)attachment;
	drive->starts++;
	if (!map(drive, NULL))
		printf("restored: mapped again at 0x%" PRIx64 "\n", drive->address);
}

static const struct p2pdma_importer importer = {
	.size = sizeof(struct p2pdma_importer),
	.allows_peer = true,
	.invalidate = let_go,
	.restored = restored,
};

/* ---- both are set up ---- */

static int open_drive(struct borrower *drive, const char *name, struct p2pdma_error *err)
{
	const uint32_t size = ENTRIES, run = 1;
	struct p2pdma_dma ring;
	uint64_t completion;
	int r = p2pdma_machine_resolve(drive->machine, name, err, &drive->device);

	if (!r)
		r = p2pdma_device_open(drive->device, err);
	if (!r)
		r = p2pdma_device_config_write(drive->device, 4, 1, 0x06);
	if (!r)
		r = p2pdma_bar_map(drive->device, 0, err, &drive->registers);
	if (!r)
		r = p2pdma_add_resource(drive->device, 2, 0, 0, NULL, err, &drive->medium);
	if (!r)
		r = p2pmem_mmap((struct p2pmem_buf){ drive->medium, 0, BYTES }, &drive->file);
	if (r)
		return r;
	for (uint64_t i = 0; i < BYTES / 8; i++)
		((uint64_t *)drive->file)[i] = i * 0x9e3779b97f4a7c15ull;
	/* The ring is in host memory: it is there whoever is pulled. */
	drive->ring = aligned_alloc(PAGE, PAGE);
	if (!drive->ring)
		return -ENOMEM;
	memset(drive->ring, 0, PAGE);
	r = p2pdma_dma_map(drive->device, drive->ring, PAGE, P2PDMA_OP_BOTH, &ring);
	if (r)
		return r;
	completion = ring.addr + offsetof(struct ring, index);
	p2pdma_bar_write(drive->registers, DMA_BASE, 8, &ring.addr);
	p2pdma_bar_write(drive->registers, DMA_COMPLETION, 8, &completion);
	p2pdma_bar_write(drive->registers, DMA_SIZE, 4, &size);
	return p2pdma_bar_write(drive->registers, DMA_CONTROL, 4, &run);
}

static int open_accel(struct lender *accel, struct borrower *drive, struct p2pdma_error *err)
{
	struct p2pdma_machine *machine = drive->machine;
	struct p2pdma_device_info info = { .size = sizeof(info) };
	int r;

	for (size_t i = 0; info.class_code >> 8 != ACCEL_CLASS; i++) {
		if (i == p2pdma_machine_device_count(machine))
			return wrong(err, "no accelerator");
		accel->device = p2pdma_machine_device(machine, i);
		p2pdma_device_get_info(accel->device, &info);
	}
	r = p2pdma_device_open(accel->device, err);
	if (!r)
		r = p2pdma_device_config_write(accel->device, 4, 1, 0x02);
	if (!r)
		r = p2pdma_bar_map(accel->device, 0, err, &accel->registers);
	if (!r)
		r = p2pdma_add_resource(accel->device, 2, 0, 0, NULL, err, &accel->provider);
	for (int i = 0; !r && i < 2; i++)
		r = p2pmem_alloc(accel->provider, BYTES, 0, &accel->places[i]);
	return r;
}

/* ---- what happens ---- */

static int lend(struct lender *accel, struct borrower *drive, struct p2pdma_error *err)
{
	const struct p2pdma_range range = { accel->places[0].offset, BYTES };
	char from[16], to[16];
	int r = p2pdma_dmabuf_export(accel->provider, &range, 1, err, NULL, &accel->dmabuf);

	if (!r)
		r = p2pdma_dmabuf_attach(accel->dmabuf, drive->device, &importer, drive, err,
		                         &drive->attachment);
	if (!r)
		r = map(drive, err);
	if (!r)
		printf("lent %s +0x%" PRIx64 " %u KiB to %s\n",
		       text(accel->device, from, sizeof(from)), range.offset, BYTES >> 10,
		       text(drive->device, to, sizeof(to)));
	return r;
}

/* By the accelerator itself, from the first place to the second. */
static int move(struct lender *accel, struct p2pdma_machine *machine, struct p2pdma_error *err)
{
	const uint64_t source = accel->places[0].offset, target = accel->places[1].offset;
	const uint64_t length = BYTES, deadline = p2pdma_machine_now(machine) + PATIENCE;
	uint32_t command = ACCEL_MOVE, status = 0;

	p2pdma_bar_write(accel->registers, ACCEL_SOURCE, 8, &source);
	p2pdma_bar_write(accel->registers, ACCEL_TARGET, 8, &target);
	p2pdma_bar_write(accel->registers, ACCEL_LENGTH, 8, &length);
	p2pdma_bar_write(accel->registers, ACCEL_COMMAND, 4, &command);
	do
		p2pdma_bar_read(accel->registers, ACCEL_STATUS, 4, &status);
	while (status == ACCEL_BUSY && p2pdma_machine_progress(machine, deadline) == 1);
	if (status != ACCEL_DONE)
		return wrong(err, "the accelerator did not move it");
	printf("moved to +0x%" PRIx64 "\n", target);
	return 0;
}

static int move_under_it(struct lender *accel, struct borrower *drive, struct p2pdma_error *err)
{
	const struct p2pdma_range range = { accel->places[1].offset, BYTES };
	uint64_t began;
	int r;

	write_pages(drive, 0, PAGES / 2);
	began = p2pdma_machine_now(drive->machine);
	r = p2pdma_dmabuf_revoke(accel->dmabuf, began + PATIENCE, err);
	if (r)
		return r;
	if (drive->stops != 1 || drive->address || drive->done != PAGES / 2)
		return wrong(err, "the drive was not told, or has lost something");
	printf("revoked: let go in %.1f us of virtual time\n",
	       (double)(p2pdma_machine_now(drive->machine) - began) * 1e-3);
	r = move(accel, drive->machine, err);
	if (!r)
		r = p2pdma_dmabuf_restore(accel->dmabuf, &range, 1, err);
	if (!r && (drive->starts != 1 || !drive->address))
		r = wrong(err, "the drive has not mapped it again");
	return r;
}

static int go_on(struct lender *accel, struct borrower *drive, struct p2pdma_error *err)
{
	static uint8_t bytes[BYTES];
	int r;

	write_pages(drive, PAGES / 2, PAGES / 2);
	if (!wait_for_drive(drive) || drive->failed)
		return wrong(err, "the drive did not write it all");
	r = p2pmem_copy_from(accel->places[1], 0, BYTES, bytes);
	if (r)
		return r;
	if (memcmp(bytes, drive->file, BYTES) != 0)
		return wrong(err, "it is not what was written");
	printf("%u KiB compared\n", BYTES >> 10);
	return 0;
}

static int pull(struct lender *accel, struct borrower *drive, struct p2pdma_error *err)
{
	uint64_t now = p2pdma_machine_now(drive->machine), value;
	char json[128], name[16];
	struct p2pdma_sim *sim;
	int r = p2pdma_machine_sim(drive->machine, &sim);

	snprintf(json, sizeof(json), "{\"at_ns\":%" PRIu64 ",\"do\":\"remove\",\"device\":\"%s\"}",
	         now + 5000, text(accel->device, name, sizeof(name)));
	if (!r)
		r = p2pdma_sim_fault(sim, json, err);
	if (r)
		return r;
	drive->done = 0;
	write_pages(drive, 0, PAGES);
	/* The library learns of it in here, and calls let_go(). */
	if (!wait_for_drive(drive) || !drive->failed)
		return wrong(err, "the drive did not notice");
	if (drive->stops != 2 || drive->starts != 1 ||
	    p2pdma_dmabuf_state(accel->dmabuf) != P2PDMA_DMABUF_DEAD)
		return wrong(err, "it was not revoked for good");
	if (map(drive, NULL) != -ENODEV || p2pmem_read(accel->places[1], 0, 8, &value) != -ENODEV)
		return wrong(err, "what was pulled is still to be had");
	printf("pulled after %u of %u pages: revoked for good; map says -ENODEV\n", drive->done,
	       PAGES);
	return 0;
}

/* As ever: it does not matter that the accelerator is gone. */
static int give_back(struct lender *accel, struct borrower *drive, struct p2pdma_error *err)
{
	int r, first;

	p2pdma_dmabuf_detach(drive->attachment);
	first = p2pdma_dmabuf_release(accel->dmabuf, 0, err);
	for (int i = 0; i < 2; i++)
		if (accel->places[i].provider && (r = p2pmem_free(accel->places[i])) && !first)
			first = r;
	if (accel->provider && (r = p2pdma_provider_remove(accel->provider, 0, err)) && !first)
		first = r;
	p2pdma_provider_put(accel->provider);
	p2pdma_bar_unmap(accel->registers);
	p2pdma_device_close(accel->device);
	if (drive->file)
		p2pmem_munmap((struct p2pmem_buf){ drive->medium, 0, BYTES }, drive->file);
	p2pdma_provider_put(drive->medium);
	p2pdma_bar_unmap(drive->registers);
	p2pdma_device_close(drive->device); /* it masters the bus no more: the ring is ours */
	free(drive->ring);
	return first;
}

int main(int argc, char **argv)
{
	static int (*const steps[])(struct lender * accel, struct borrower * drive,
	                            struct p2pdma_error * err) = { open_accel, lend, move_under_it,
		                                                   go_on, pull };
	struct borrower drive = { NULL };
	struct lender accel = { NULL };
	struct p2pdma_error err = { "" };
	int r, last;

	if (argc != 3) {
		fprintf(stderr, "usage: importer MACHINE DRIVE\n");
		return 2;
	}
	r = p2pdma_machine_open(argv[1], &err, &drive.machine);
	if (r) {
		fprintf(stderr, "%s: %s\n", argv[1], err.text);
		return 2;
	}
	r = open_drive(&drive, argv[2], &err);
	for (size_t i = 0; !r && i < sizeof(steps) / sizeof(steps[0]); i++)
		r = steps[i](&accel, &drive, &err);
	last = give_back(&accel, &drive, r ? NULL : &err);
	if (!r && !last)
		printf("all was given back\n");
	r = r ? r : last;
	if (r)
		fprintf(stderr, "importer: %s\n", err.text[0] ? err.text : strerror(-r));
	p2pdma_machine_close(drive.machine);
	return r != 0;
}
