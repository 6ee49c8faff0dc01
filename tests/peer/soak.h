/* SPDX-License-Identifier: MIT */
/*
 * soak.h - random operations on random simulated machines, held against a shadow of what has to be.
 *
 * Concepts:
 * - A unit is a function that is no bridge.  Its memory, if it has any, is looked at past the
 *   fabric, and held against what is expected there, all of it, after each step.
 * - Whatever is written carries a stamp that says who wrote it.  A word may change only into the
 *   stamp of somebody who has its page mapped for writing: has a grant.
 * - A stream is a worker's own traffic, which goes on while other things happen.
 * - What the shadow knows it knows from what it asked for, never from the library's own state.
 *
 * soak_fabric.c makes machines, soak_shadow.c checks, soak_pool.c, soak_map.c, soak_lend.c and
 * soak_event.c do things, soak.c runs them.
 */
#ifndef SOAK_H
#define SOAK_H

#include <errno.h>

#include "generate.h"
#include "topology.h"
#include <p2pdma/cpu.h>
#include <p2pdma/find.h>
#include <p2pdma/importer.h>
#include <p2pdma/map.h>
#include <p2pdma/p2pmem.h>

#define PAGE       4096u
#define UNITS      24
#define MOST_BYTES 0x10000u
#define PAGES      (MOST_BYTES / PAGE)
#define HOST       UNITS /* the pseudo unit of host memory */
#define CPU        63    /* who writes, in a stamp */

#define SOURCES  96
#define BUFFERS  64
#define LEASES   20
#define LOANS    12
#define GUESTS   24
#define CACHES   6
#define VIEWS    6
#define STREAMS  (LEASES + GUESTS)
#define SEGMENTS 16

enum unit_kind { UNIT_WORKER, UNIT_MEM, UNIT_DMA, UNIT_ACCEL };

struct worker;

struct unit {
	struct p2pdma_device *device; /* NULL: HOST */
	struct p2pdma_bdf bdf;
	enum unit_kind kind;
	int bar; /* of its memory; -1: none */
	size_t bytes;
	uint64_t bus;            /* of the BAR, at first */
	uint8_t *memory;         /* the memory itself */
	uint8_t *expected;       /* what has to be in it */
	uint64_t granted[PAGES]; /* who may write a page: a mask of units and CPU, since the last
	                            look */
	struct worker *worker;
	struct source *source; /* the provider it is now */
	bool is_open, is_cut_off, is_gone;
	unsigned int opening;
};

/* A provider. */
struct source {
	struct p2pdma_provider *provider; /* a reference; NULL: not in use */
	struct unit *unit;
	unsigned int chunk_count;
	struct {
		uint64_t start, size, offset;
	} chunks[8];
	uint64_t granule, total, taken; /* bytes in buffers, rounded up */
	unsigned int buffers;
	bool is_naked, is_dead;
};

struct buffer {
	struct source *source; /* NULL: not in use */
	struct p2pmem_buf buf;
	unsigned int users; /* leases, loans and views of it */
};

/* Where a part of a mapping is: @offset in a unit's memory. */
struct place {
	struct unit *unit;
	uint64_t offset, length;
	struct source *source; /* NULL: host memory */
	struct buffer *buffer; /* NULL: of none */
};

/* What somebody writes to: addresses as he was told. */
struct stream {
	unsigned int left; /* writes still to come; 0: not in use */
	unsigned int count;
	struct unit *unit;
	struct p2pdma_dma_segment segments[SEGMENTS];
	uint64_t last;  /* address of what was written last */
	uint64_t pause; /* ns */
};

/* A mapping by map.h, or one of an attachment: who may do what, where. */
struct grant {
	bool is_on;
	struct unit *client;
	enum p2pdma_op op;
	unsigned int flags, place_count;
	struct place places[SEGMENTS];
	size_t segment_count;
	struct p2pdma_dma_segment segments[SEGMENTS];
	unsigned int changes;  /* of the machine, when it was made */
	unsigned int opening;  /* of the client: it ends with that */
	struct stream *stream; /* NULL: none */
};

struct lease {
	struct p2pdma_mapping *mapping; /* NULL: not in use */
	struct grant grant;
};

/* An export. */
struct loan {
	struct p2pdma_dmabuf *dmabuf; /* NULL: not in use */
	struct source *source;
	unsigned int range_count;
	struct p2pdma_range ranges[3];
	struct buffer *buffers[3];
	bool is_released; /* but attachments are left */
};

enum manner { GUEST_OBEDIENT, GUEST_LATE, GUEST_STUCK };

/* An attachment. */
struct guest {
	struct p2pdma_attachment *attachment; /* NULL: not in use */
	struct loan *loan;
	struct p2pdma_importer importer;
	enum manner manner;
	struct grant grant;
	uint64_t due; /* when a late one lets go; 0: not asked */
	bool is_lost, had_master;
	bool is_asked; /* to let go, and has not */
	unsigned int opening, pins;
};

struct shelf {
	struct p2pmem_cache *cache; /* NULL: not in use */
	struct source *source;
	uint64_t size, align;
};

struct window {
	void *memory; /* NULL: not in use */
	struct buffer *buffer;
};

struct soak {
	uint64_t seed;
	unsigned int step;
	bool is_loud;
	struct random random;
	struct lab lab;
	struct p2pdma_device *bridges[96];
	uint32_t bridge_windows[96]; /* at boot */
	unsigned int bridge_count, unit_count;
	struct unit units[UNITS + 1];
	struct source sources[SOURCES];
	struct buffer buffers[BUFFERS];
	struct lease leases[LEASES];
	struct loan loans[LOANS];
	struct guest guests[GUESTS];
	struct shelf shelves[CACHES];
	struct window windows[VIEWS];
	struct stream streams[STREAMS];
	unsigned int changes;   /* of anything that may change where TLPs go */
	uint64_t serial;        /* of the last stamp */
	uint64_t hash;          /* of all results */
	bool is_shaken;         /* something happened that the library cannot know */
	unsigned int host_used; /* a mask: pages of HOST in leases */
	int (*progress)(void *private, uint64_t until);
	bool is_in_progress;
	char log[24][160];
	unsigned int logged;
};

extern struct soak soak;

/* ---- soak.c ---- */

/* Says what is wrong, and where, and ends the program. */
void broken(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Something that was done, for the log. */
void did(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A result: in the hash, and among those documented: 0 and a list ended by 1. */
int result(const char *call, int r, ...);
void stir(void);

static inline uint32_t below(uint32_t limit)
{
	return random_below(&soak.random, limit);
}

static inline bool chance(uint32_t percent)
{
	return random_chance(&soak.random, percent);
}

static inline uint64_t now(void)
{
	return p2pdma_machine_now(soak.lab.machine);
}

/* ---- soak_fabric.c ---- */

void fabric_open(void);
void fabric_close(void);
struct stream *stream_start(const struct grant *grant, unsigned int count, uint64_t pause);
/* Nothing more is sent; what was is on its way. */
void stream_stop(struct grant *grant);
/* Eight bytes that say who wrote them. */
uint64_t stamp(unsigned int who);
unsigned int stamp_owner(uint64_t word);

/* ---- soak_shadow.c ---- */

/* All changes must be somebody's with a grant; afterwards only those who have one now may write. */
void check_memory(const char *when);
void check_sources(void);
unsigned int source_mappings(const struct source *source);
/* After a revocation: nothing of those without a grant may land in these places any more. */
void check_landing(const struct place *places, unsigned int count, const char *what);
void grant_begin(struct grant *grant);
void grant_end(struct grant *grant);
/* Nothing has changed since it was made: what the library said must hold. */
bool grant_is_fresh(const struct grant *grant);
/* The client was not closed since. */
bool grant_is_good(const struct grant *grant);
/* The place of a byte of a grant; its address. */
const struct place *grant_place(const struct grant *grant, uint64_t at, uint64_t *ret_offset);
uint64_t grant_address(const struct grant *grant, uint64_t at);
uint64_t grant_length(const struct grant *grant);
/* One DMA by way of it, and the outcome held against what has to become of it. */
void grant_dma(struct grant *grant, const char *what);

/* ---- soak_pool.c ---- */

/* Any, one that is not dead; NULL: there is none. */
struct source *random_source(bool is_alive);
/* Where that part of a provider's memory is. */
struct place place_of(struct source *source, uint64_t offset, uint64_t length);
struct buffer *random_buffer(bool is_unused);
struct buffer *buffer_keep(struct source *source, struct p2pmem_buf buf);
void buffer_free(struct buffer *buffer);
void source_put(struct source *source);
/* Its provider is dead now. */
void source_died(struct source *source);
void op_add(void);
void op_publish(void);
void op_alloc(void);
void op_alloc_sgl(void);
void op_free(void);
void op_cache(void);
void op_cpu(void);
void op_view(void);
void op_remove(void);
void pool_clear(void);

/* ---- soak_map.c ---- */

struct unit *random_unit(void);
struct unit *random_client(void);
void lease_end(struct lease *lease);
void op_map(void);
void op_unmap(void);
void op_dma(void);
void op_find(void);
void op_run(void);
void map_clear(void);

/* ---- soak_lend.c ---- */

/* Late importers let go when their time has come; true: one did. */
bool guests_let_go(void);
uint64_t guests_next(void);
/* After their provider was revoked or died; @r: 0, or -ETIMEDOUT: somebody was cut off. */
void loans_were_revoked(const struct source *source, int r, const char *what);
void op_export(void);
void op_attach(void);
void op_detach(void);
void op_guest_map(void);
void op_guest_unmap(void);
void op_pin(void);
void op_guest_dma(void);
void op_revoke(void);
void op_restore(void);
void op_release(void);
void lend_clear(void);

/* ---- soak_event.c ---- */

void op_open(void);
void op_close(void);
void op_reset(void);
void op_decode(void);
void op_master(void);
void op_sleep(void);
void op_acs(void);
void op_ats(void);
void op_fault(void);
void op_heal(void);
/* What the machine has to tell. */
void take_events(void);
void event_clear(void);

#endif
