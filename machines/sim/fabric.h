/* SPDX-License-Identifier: MIT */
/*
 * fabric.h - a PCIe machine in memory: functions, the segments between them, root complexes.
 *
 * Concepts:
 * - A function is its configuration space.  What it does with a TLP is read from there each time.
 * - A segment is what lies below a bridge or a root complex: a link, the bus inside a switch, a
 *   conventional bus, a root bus.  TLPs go from segment to segment; the wires of a link take time.
 * - A packet is one TLP or a train of equal ones, back to back, that share one fate: so that a
 *   megabyte costs a few decisions.  It is cut where something could tell its TLPs apart.
 * - Time is in picoseconds here, in nanoseconds outside.
 * - Everything happens under fabric->lock, on the thread that drives the machine.
 *
 * May use include/p2pdma/, base/ and snapshot/.  Knows nothing of core's verdict: tests hold the
 * one against the other.
 */
#ifndef SIM_FABRIC_H
#define SIM_FABRIC_H

#include <jansson.h>
#include <pthread.h>

#include <p2pdma/access.h>
#include <p2pdma/progress.h>
#include <p2pdma/sim.h>

#define CONFIG_SIZE 4096
#define PS_PER_NS   ((uint64_t)1000)
#define NEVER       UINT64_MAX

struct fabric;
struct segment;
struct packet;
struct request;
struct snapshot;
struct transfer;
struct watch;

static inline bool bdf_is_same(struct p2pdma_bdf a, struct p2pdma_bdf b)
{
	return a.domain == b.domain && a.bus == b.bus && a.devfn == b.devfn;
}

/* ---- functions ---- */

enum bar_kind {
	BAR_NONE,
	BAR_MEMORY,    /* plain bytes */
	BAR_REGISTERS, /* the model's read and write */
	BAR_VECTORS,   /* MSI-X table and pending bits, at half of its size unless captured */
	BAR_IO,        /* decodes nothing here */
};

struct bar {
	enum bar_kind kind;
	bool is_64bit;
	bool is_prefetchable;
	bool is_mapped;   /* memory is ours, to be unmapped */
	uint64_t size;    /* 0 while a capture does not tell and its model may */
	uint8_t *memory;  /* BAR_MEMORY: NULL until first touched */
	const char *path; /* of the file that is then made for it, or NULL; its model's */
	bool is_models;   /* its model has added it */
	enum bar_kind
		beside; /* BAR_VECTORS of a capture: what lies beside table and pending bits */
};

/* Offsets of capabilities in configuration space; 0: the function has none. */
struct capabilities {
	uint16_t pm, msix, exp;
	uint16_t aer, acs, sriov, ats, ari;
};

#define EXPANSION_BAR 6 /* of bars[]: 0 to 5 are BARs; VF BARs are in struct function of the VF */
#define BAR_COUNT     6

struct p2pdma_function {
	struct fabric *fabric;
	struct p2pdma_bdf bdf;
	enum p2pdma_kind kind;
	uint8_t header_type;  /* 0, 1 or 2 */
	bool is_captured;     /* its configuration space came from a capture */
	bool is_present;      /* plugged in */
	bool is_hung;         /* answers nothing and sends nothing */
	bool is_in_reset;     /* held by a secondary bus reset */
	uint8_t *config;      /* 4096 bytes */
	uint8_t *boot_config; /* as it was when booted: what hot-add and reset restore */
	size_t known_config;  /* bytes a capture knew; 4096 for a hand-written one */
	struct capabilities at;
	struct bar bars[BAR_COUNT];
	struct segment *home;           /* where it sits */
	struct segment *below;          /* a bridge's other side, or NULL */
	struct p2pdma_function *physfn; /* a VF's PF, or NULL */
	unsigned int vf_number;

	/* Its model, or NULL: reads give zeros, writes vanish. */
	const struct p2pdma_model *model;
	void *state;
	json_t *params;          /* object, or NULL */
	json_t *params_used;     /* object: keys asked for */
	const char *bad_param;   /* one that is not what the model asked for, or NULL */
	struct pending *pending; /* model.c: its timers and reads */
	unsigned int vector_count;
	struct vectors *vectors; /* vectors.c */
	int *irq_fds;            /* vector_count of them, -1 none */

	/* As a requester. */
	struct transfer *waiting_first, *waiting_last; /* reads that no tag is left for */
	unsigned int tags_used;
	uint64_t posted; /* bytes of writes that have not ended */
	bool is_pumping;
	uint32_t epoch; /* counts resets: what was sent before ends silently */

	/* Beside configuration space; fabric->said has what the fabric has no use for. */
	char *name; /* of a block or network device, or NULL */
	int numa_node;
	enum p2pdma_iommu iommu; /* what becomes of its requests; never unknown */
};

/* ---- segments ---- */

enum segment_kind {
	SEGMENT_ROOT,     /* a root bus */
	SEGMENT_INTERNAL, /* between the ports of a switch */
	SEGMENT_LINK,     /* below a root or downstream port */
	SEGMENT_BUS,      /* conventional */
};

/* What came by some ports of a switch or root complex, and waits to go out by another. */
struct lane {
	struct packet *first, *last;
};
#define LANES 4

/* One direction of a link or bus. */
struct wire {
	struct lane lanes[LANES];
	uint64_t free_at;   /* when the last packet has left */
	uint64_t landed_at; /* when it has arrived: nothing overtakes */
	uint64_t sent_at;   /* when the last that was taken off it has arrived */
	uint64_t busy;      /* picoseconds of sending */
	struct packet *first, *last;
	struct p2pdma_sim_wire count;
};

struct address_range {
	uint64_t base, limit; /* inclusive */
};

/* A range of addresses that someone on a segment answers to. */
struct claim {
	uint64_t base;
	uint64_t limit; /* inclusive */
	struct p2pdma_function *function;
	int8_t bar; /* -1: the window of a bridge */
	bool is_enabled;
};

struct segment {
	enum segment_kind kind;
	struct p2pdma_function *owner; /* the bridge above; NULL for a root bus */
	struct root *root;             /* the root complex it belongs to in the end */
	size_t member_count;
	struct p2pdma_function **members; /* by devfn; VFs behind their PFs */

	bool is_up;
	bool is_cut;          /* by link_set(): stays down whatever the registers say */
	uint64_t hop_latency; /* picoseconds a TLP takes to be received and decided on */
	double ps_per_byte;   /* of a link or bus; 0: takes no time */
	struct wire down, up;

	/* Made of the members' registers when is_stale. */
	bool is_stale;
	bool has_overlap; /* claims overlap: the lowest device wins, by looking at all */
	size_t claim_count;
	size_t claim_room;
	struct claim *claims; /* enabled ones first, by base */
	size_t enabled_count;
	size_t last_claim;              /* the one that was hit last */
	struct p2pdma_function **by_id; /* 256 by bus, 256 by devfn; NULL where members are few */
};

/* ---- root complexes ---- */

enum refusal {
	REFUSE_UR,      /* completion with UR status */
	REFUSE_ONES,    /* success, all ones */
	REFUSE_TIMEOUT, /* nothing */
};

/* What a root complex does with requests from below for functions below. */
struct policy {
	const char *name;
	bool writes_same_port, reads_same_port;
	bool writes_across_ports, reads_across_ports;
	bool writes_across_sockets, reads_across_sockets;
	enum refusal refusal; /* of reads; refused writes vanish */
	bool splits;          /* into 64-byte TLPs */
	uint32_t host_bridge; /* vendor << 16 | device of function 00.0, 0 none */
	const char *source;
};

struct root {
	struct p2pdma_bdf bus; /* devfn 0 */
	int socket;
	struct policy policy;
	struct segment *segment;
	uint64_t latency;   /* picoseconds through it */
	uint64_t landed_at; /* of the last write to memory: nothing overtakes */
};

/* ---- TLPs ---- */

enum tlp {
	TLP_WRITE,
	TLP_READ,
	TLP_COMPLETION,
};

/* Address Type (PCIe Base 2.2.4.1.1) */
enum address_type {
	AT_UNTRANSLATED = 0,
	AT_TRANSLATION_REQUEST = 1,
	AT_TRANSLATED = 2,
};

struct packet {
	struct fabric *fabric;
	struct packet *next; /* on the wire behind it, or not in use */
	enum tlp type;
	enum address_type address_type;
	enum p2pdma_dma_status status; /* of a completion */
	bool is_poisoned;
	uint16_t payload; /* largest of one TLP, bytes; of a read: of one request */
	uint32_t length;  /* of all its TLPs */
	uint64_t address; /* after the IOMMU: where it goes */
	struct p2pdma_bdf requester;
	struct p2pdma_function *source; /* who made it; NULL: the CPU or a root complex */
	struct request *request;        /* of a read and its completion */
	uint64_t request_id;            /* the request may be gone by then */
	struct watch *watch;            /* of p2pdma_sim_dma() and flows, or NULL */
	uint64_t serial;                /* names it in the trace */
	/* Where it is. */
	struct segment *segment;
	struct p2pdma_function *from; /* who put it there; the segment's owner when it goes down */
	struct p2pdma_function *ingress; /* by whom it came into the switch or root complex */
	bool goes_down;
	uint64_t wire_bytes;            /* with headers, as its wire has counted them; 0: not yet */
	uint64_t took;                  /* picoseconds of sending */
	uint64_t start;                 /* when it begins to leave */
	uint64_t head;                  /* when its first TLP is there, or has waited */
	uint64_t tail;                  /* and its last byte */
	struct p2pdma_function *target; /* once it is found */
	int target_bar;
	uint64_t target_offset;
	bool is_store;    /* of the CPU */
	bool is_stalled;  /* put back onto its wire by a fault */
	bool is_off_wire; /* it has just come by one */
	uint64_t delay;   /* by a fault, to be had at the next wire */
	bool is_counted;  /* by the faults that take TLPs wherever they are */
	bool fails_iommu; /* by a fault */
	bool is_made_up;  /* a root complex's all ones, instead of data */
	uint8_t *data;    /* of a write or completion: length bytes */
	uint32_t room;    /* behind the struct */
};

/* ---- the whole ---- */

struct dram_range {
	uint64_t phys;
	uint64_t length;
	uint8_t *cpu;
	unsigned int references;
};

struct fabric {
	pthread_mutex_t lock;
	uint64_t now; /* ps */
	uint64_t random;
	uint64_t completion_timeout; /* ps */
	uint64_t landing;            /* ps a posted write may take longer than it must */
	enum p2pdma_iommu iommu;     /* the most that a function has */
	unsigned int iova_bits;      /* of the addresses that it translates */
	struct clock *clock;

	size_t function_count;
	struct p2pdma_function **functions; /* by bdf, present or not */
	size_t root_count;
	struct root *roots;
	size_t segment_count;
	struct segment **segments;

	const struct p2pdma_model *const *own_models; /* the caller's, NULL-terminated, or NULL */

	struct pool *pool;          /* pool.c */
	struct requests *requests;  /* requester.c */
	struct iommu *iommu_tables; /* iommu.c */
	struct dram *dram;          /* dram.c */
	struct fault *script;       /* fault.c: NULL without faults that match TLPs */
	struct fault *scheduled;    /* fault.c: those that wait for their time */
	struct observer *observer;  /* observe.c */
	struct mailbox *mailbox;    /* sim.c: events for p2pdma_machine_event() */
	unsigned int stores;        /* of the CPU, under way */
	bool has_changed;           /* something p2pdma_machine_progress() returns for */
	struct p2pdma_sim_totals totals;

	struct snapshot *said; /* what an OS said: the capture's, or the file's "machine" */
	const char *path;      /* of the file, while it is read */
};

#include "calls.h"

#endif
