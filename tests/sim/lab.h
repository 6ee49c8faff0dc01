/* SPDX-License-Identifier: MIT */
/*
 * lab.h - a simulated machine for tests: made of text, its memory in the test's hands.
 *
 * Functions with "model": "probe" and "id": N have their BAR's bytes in lab_probe(N)->memory, which
 * the test reads and writes without any TLP.  All helpers abort on what cannot be in a test.
 */
#ifndef LAB_H
#define LAB_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <p2pdma/access.h>
#include <p2pdma/evidence.h>
#include <p2pdma/progress.h>
#include <p2pdma/sim.h>

#define PROBES      256
#define PROBE_BYTES 0x4000

#define COMMAND        0x04
#define COMMAND_MEMORY 0x2
#define COMMAND_MASTER 0x4
#define CAP_PM         0x01
#define CAP_EXP        0x10
#define EXT_AER        0x01
#define EXT_ACS        0x0d
#define EXT_ATS        0x0f
#define EXT_SRIOV      0x10

#define AER_BIT_TIMEOUT   (1u << 14)
#define AER_BIT_CA        (1u << 15)
#define AER_BIT_MALFORMED (1u << 18)
#define AER_BIT_UR        (1u << 20)
#define AER_BIT_ACS       (1u << 21)

/*
 * One probe: a function with one BAR of PROBE_BYTES ("bar": "memory", the default, "registers" or
 * "none").
 */
struct probe {
	struct p2pdma_function *function; /* NULL: no such probe in the machine */
	uint8_t memory[PROBE_BYTES];
	size_t reads, writes; /* by callback: "registers" only */
	/* The end of the last p2pdma_model_read(). */
	bool is_done;
	enum p2pdma_dma_status status;
	size_t resets;
	enum p2pdma_model_reset last_reset;
	/* Called from the model's callbacks; let a test make a device react. */
	void (*on_write)(struct probe *probe, uint64_t offset);
	void (*on_timer)(struct probe *probe, uint64_t cookie);
	void (*on_read)(struct probe *probe, enum p2pdma_dma_status status);
};

struct probe *lab_probe(unsigned int id);

struct lab {
	struct p2pdma_machine *machine;
	struct p2pdma_sim *sim;
	struct p2pdma_machine *fresh; /* lab_refresh() */
	uint64_t event;               /* the next one to look at */
};

/* Opens a fabric given as text; @err, if not NULL, takes the failure, else it aborts. */
int lab_open(struct lab *lab, const char *json, struct p2pdma_error *err);
void lab_close(struct lab *lab);

/* The function by what p2pdma_machine_resolve() knows; aborts when there is none. */
struct p2pdma_device *lab_device(const struct lab *lab, const char *name);
struct p2pdma_bdf lab_bdf(const struct p2pdma_device *device);
bool lab_same(struct p2pdma_bdf a, struct p2pdma_bdf b);
/* "0000:03:00.0", in one of a few buffers. */
const char *lab_text(struct p2pdma_bdf bdf);

/* Offset of a capability, 0 when there is none; the second of extended ones. */
size_t lab_cap(const struct p2pdma_device *device, uint8_t id);
size_t lab_ext(const struct p2pdma_device *device, uint16_t id);
/* All ones when it does not answer. */
uint32_t lab_get(const struct p2pdma_device *device, size_t offset, size_t length);
void lab_set(struct p2pdma_device *device, size_t offset, size_t length, uint32_t value);
/* Clears @clear, then sets @set, in 16 bits. */
void lab_change(struct p2pdma_device *device, size_t offset, uint16_t clear, uint16_t set);
/* ACS Control; does nothing where there is no ACS. */
void lab_acs(struct p2pdma_device *device, uint16_t control);
void lab_egress(struct p2pdma_device *device, unsigned int bit, bool is_set);
void lab_power(struct p2pdma_device *device, unsigned int state);
void lab_payload(struct p2pdma_device *device, unsigned int bytes);
void lab_ats(struct p2pdma_device *device, bool is_on);
/* AER's uncorrectable errors since the last call; 0 without AER. */
uint32_t lab_errors(struct p2pdma_device *device);
/* The address in the first BAR; as it was at first where it cannot be read now. */
uint64_t lab_bar(const struct p2pdma_device *device);

/* One DMA, and the outcome. */
struct p2pdma_sim_outcome lab_dma(struct lab *lab, struct p2pdma_bdf client, enum p2pdma_op op,
                                  uint64_t address, size_t length, void *bytes);
struct p2pdma_sim_outcome lab_dma_translated(struct lab *lab, struct p2pdma_bdf client,
                                             enum p2pdma_op op, uint64_t address, size_t length,
                                             void *bytes);
/* The next event of the log; false: no more. */
bool lab_event(struct lab *lab, struct p2pdma_sim_event *ret_event);
/* Skips what the log holds. */
void lab_skip_events(struct lab *lab);
/* Whether, since the last skip, this was logged there. */
bool lab_logged(struct lab *lab, enum p2pdma_sim_event_kind kind, struct p2pdma_bdf at);
/* Opens the function and maps its first BAR. */
struct p2pdma_bar_map *lab_map(struct p2pdma_device *device);
/* Runs @ns of virtual time, whatever happens. */
void lab_run(struct lab *lab, uint64_t ns);
/* Opens lab->fresh anew. */
void lab_refresh(struct lab *lab);

#endif
