/* SPDX-License-Identifier: MIT */
/*
 * calls.h - what each file of the fabric does for the others.  Included by fabric.h, which has the
 * data.
 */
#ifndef SIM_CALLS_H
#define SIM_CALLS_H

#include "fabric.h"

/* ---- clock.c: what happens when ---- */

typedef void (*clock_fn)(struct fabric *fabric, void *arg);

/* -ENOMEM.  Equal times run in the order they were asked for. */
int clock_at(struct fabric *fabric, uint64_t when, clock_fn fn, void *arg);
#define LAST_MOMENT (UINT64_MAX / 2) /* ps; beyond, sums would wrap */
/*
 * Runs the next one; false: there is none at or before @until, and it is @until now, unless that is
 * LAST_MOMENT or later.
 */
bool clock_step(struct fabric *fabric, uint64_t until);
/* For teardown: calls @drop for each that is left. */
void clock_drop(struct fabric *fabric, void (*drop)(clock_fn fn, void *arg));
int clock_new(struct fabric *fabric);
void clock_free(struct fabric *fabric);
/* splitmix64 of the fabric's seed. */
uint64_t fabric_random(struct fabric *fabric);

/* ---- config.c: registers ---- */

static inline uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) | (uint32_t)get16(at + 2) << 16;
}

static inline void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

static inline void put32(uint8_t *at, uint32_t value)
{
	put16(at, (uint16_t)value);
	put16(at + 2, (uint16_t)(value >> 16));
}

/* What to put into the configuration space of a hand-written function. */
struct config_plan {
	uint16_t vendor, device;
	uint32_t class_code;
	bool has_class; /* by the file: whatever the model says */
	uint8_t link_speed, link_width; /* capability, as struct p2pdma_link */
	uint8_t trained_speed, trained_width; /* 0: as the capability */
	uint16_t payload, max_payload;  /* bytes in force and possible */
	uint16_t read_request;          /* bytes */
	bool has_extended_tags;
	bool has_acs;
	uint16_t acs_capability, acs_control;
	uint8_t egress_vector_size; /* bits; 0: no vector */
	uint32_t egress_vector[8];
	uint8_t port_number;
	bool has_ats;
	bool has_flr;
	bool has_ari;
	unsigned int vf_count; /* 0: no SR-IOV */
	uint16_t vf_offset, vf_stride;
};

/* Fills in function->config (kind, header_type, bars and vector_count are set), then config_locate(). */
void config_build(struct p2pdma_function *function, const struct config_plan *plan);
/* Finds the capabilities, bounded whatever the bytes say. */
void config_locate(struct p2pdma_function *function);
/*
 * A write of 1, 2 or 4 bytes, aligned, as the register's bits allow (read-only, write-1-to-clear, BAR
 * sizing), and what follows from it: stale segments, FLR, secondary bus reset, power states, VFs.
 * Vanishes where config_reaches() says no.
 */
void config_write(struct p2pdma_function *function, size_t offset, size_t length, uint32_t value);
/* All ones when it is not there; reading has no side effects. */
void config_read(const struct p2pdma_function *function, size_t offset, size_t length,
                 void *ret_bytes);
/* Whether a configuration request gets there: it answers, and all bridges above it, in D0. */
bool config_reaches(const struct p2pdma_function *function);
/* Registers back to their reset values: what FLR, hot reset and D3hot do. */
void config_reset(struct p2pdma_function *function, enum p2pdma_model_reset why);

/* True while it may answer memory requests: present, out of reset, D0, memory decode on. */
bool function_decodes(const struct p2pdma_function *function);
/* True while it may send requests of its own or forward those from below: D0, bus master on. */
bool function_masters(const struct p2pdma_function *function);
/* Present, not hung, not in reset, its link up. */
bool function_answers(const struct p2pdma_function *function);
bool function_is_d0(const struct p2pdma_function *function);
uint16_t function_acs(const struct p2pdma_function *function);            /* ACS Control, 0 none */
uint16_t function_acs_capability(const struct p2pdma_function *function); /* 0 none */
bool function_has_wide_acs(const struct p2pdma_function *function); /* Intel PCH: dwords */
unsigned int function_egress_size(const struct p2pdma_function *function); /* bits, 0 none */
bool function_egress_bit(const struct p2pdma_function *function, unsigned int index);
/* MPS, bytes: what it sends at most; 128 without PCI Express capability. */
unsigned int function_payload(const struct p2pdma_function *function);
unsigned int function_read_request(const struct p2pdma_function *function); /* MRRS, bytes */
unsigned int function_tags(const struct p2pdma_function *function);
unsigned int function_port_number(const struct p2pdma_function *function);
bool function_ats_is_on(const struct p2pdma_function *function);
/* The PF's VF Enable and NumVFs cover it. */
bool function_vf_is_enabled(const struct p2pdma_function *vf);
unsigned int function_bar_slots(const struct p2pdma_function *function); /* of its header */
/* Address in a BAR register (a VF's: of its slice); 0 when unassigned. */
uint64_t function_bar_base(const struct p2pdma_function *function, int bar);

/* AER (PCIe Base 7.8.4): sets the bit and, the first time, the header log. */
enum aer {
	AER_SURPRISE_DOWN = 1 << 5,
	AER_POISONED = 1 << 12,
	AER_TIMEOUT = 1 << 14,
	AER_CA = 1 << 15,
	AER_UNEXPECTED = 1 << 16,
	AER_MALFORMED = 1 << 18,
	AER_UR = 1 << 20,
	AER_ACS = 1 << 21,
};
void config_log_error(struct p2pdma_function *function, enum aer bit, const struct packet *packet);

/* ---- decode.c: who claims an address or an ID on a segment ---- */

/* The enabled claim on @address, or NULL. */
const struct claim *decode_address(struct segment *segment, uint64_t address);
/* One that would, if it were enabled: who refuses it. */
const struct claim *decode_disabled(struct segment *segment, uint64_t address);
/* The window of a bridge, decode on or not. */
bool decode_in_window(const struct p2pdma_function *bridge, uint64_t address);
/* All that it answers to, or would if it were plugged in and switched on: BARs and windows. */
#define MOST_RANGES (BAR_COUNT + 2)
size_t decode_ranges(const struct p2pdma_function *function,
                     struct address_range ret_ranges[MOST_RANGES]);
/* Whether @bus lies below the bridge, by its bus number registers. */
bool decode_leads_to(const struct p2pdma_function *bridge, uint8_t bus);
/* The function, or the bridge that leads there; NULL: nobody. */
struct p2pdma_function *decode_id(struct segment *segment, struct p2pdma_bdf id);
/* Registers that routing is made of have changed. */
void decode_stale(struct segment *segment);
/* The function a configuration request for @bdf reaches; NULL: nobody. */
struct p2pdma_function *fabric_find(struct fabric *fabric, struct p2pdma_bdf bdf);

/* ---- wire.c: links ---- */

/* Reads speed and width of the link; sets ps_per_byte. */
void wire_train(struct segment *segment);
/* Sends @packet over packet->segment's wire; it arrives at the other end later. */
void wire_send(struct packet *packet);
/* Back onto the wire it has just come by: it and all behind it come @delay later. */
void wire_stall(struct packet *packet, uint64_t delay);
/* All that is under way on a link or bus is lost. */
void wire_drop(struct segment *segment);
/*
 * What a function has not yet begun to send is not sent: its requests when bus mastering goes off,
 * its completions too when it hangs or is reset.
 */
void wire_recall(struct p2pdma_function *function, bool with_completions);

/* ---- route.c: a packet has arrived somewhere ---- */

/* @function puts a packet on its segment: its own, or one that it passes on upwards. */
void route_leave(struct packet *packet, struct p2pdma_function *function);
void route_arrived(struct fabric *fabric, void *packet);
/* Down from a root complex. */
void route_down(struct root *root, struct packet *packet);
/* Logs, answers a read unless @status is OK, drops.  @at NULL: the root complex @root noticed. */
void route_refuse(struct packet *packet, struct p2pdma_function *at, struct root *root,
                  enum p2pdma_sim_event_kind why, enum p2pdma_dma_status status);
/* Drops without an answer, at @at (NULL: nowhere in particular). */
void route_lose(struct packet *packet, struct p2pdma_function *at);
/* Ends at @function once its last byte is there; @bar and @offset of a request. */
void route_target(struct packet *packet, struct p2pdma_function *function, int bar,
                  uint64_t offset);

/* What ACS makes of a TLP from @port's side for @peer's (PCIe Base 6.12.3). */
enum turn {
	TURN_DIRECT,
	TURN_REDIRECT,
	TURN_BLOCKED,
};
enum turn route_turn(const struct packet *packet, const struct p2pdma_function *port,
                     unsigned int peer);

/* ---- root.c ---- */

/* From below, by packet->from: a root port, or a function on the root bus. */
void root_arrived(struct root *root, struct packet *packet);
/* A request of the CPU; false when no root complex has the address: the packet is the caller's. */
bool root_from_cpu(struct packet *packet);
/* policy.c: NULL when there is none of that name. */
const struct policy *policy_find(const char *name);
const struct policy *policy_at(size_t index); /* NULL past the last */
/* By vendor << 16 | device of the root bus's function 00.0; NULL: nothing is known of it. */
const struct policy *policy_of_bridge(uint32_t host_bridge);

/* ---- completer.c: it has reached its target ---- */

void complete_request(struct packet *packet, struct p2pdma_function *function, int bar,
                      uint64_t offset);

/* ---- pages.c ---- */

/* Bytes of a BAR_MEMORY; NULL when out of memory, or of space for its file. */
uint8_t *bar_memory(struct p2pdma_function *function, int bar);
/*
 * Maps them for the process, at *@memory unless that is NULL.  -EOPNOTSUPP: no memory, or its
 * model's.  -EINVAL: not inside.  -ENOMEM: what lay at *@memory reads as ones.
 */
int pages_show(struct p2pdma_function *function, int bar, uint64_t offset, size_t length,
               void **memory);
/* Ones instead.  Takes no lock.  -ENOMEM. */
int pages_blank(void *memory, size_t length);

/* ---- requester.c: reads and writes of a function or the CPU ---- */

/* How the one who began it is told.  A watch sees each packet of one DMA. */
struct watch {
	void (*hop)(struct watch *watch, const struct packet *packet, struct p2pdma_bdf at,
	            bool is_root);
	/* A packet has ended: @fate at @at. */
	void (*ended)(struct watch *watch, const struct packet *packet, enum p2pdma_sim_fate fate,
	              struct p2pdma_bdf at);
	bool keeps_bytes; /* of a write, until all has ended: they are not copied on the way */
};

typedef void (*read_done_fn)(struct fabric *fabric, void *arg, uint64_t cookie,
                             enum p2pdma_dma_status status);

/*
 * DMA of a function, cut into packets by its payload and read request sizes and tags.  The read's
 * @done is called once, later; after a reset of the function not at all unless @is_kept.
 */
int requester_read(struct p2pdma_function *function, uint64_t address, size_t length, void *buffer,
                   enum address_type type, struct watch *watch, read_done_fn done, void *arg,
                   uint64_t cookie);
/* -EIO: not sent.  -ENOMEM. */
int requester_write(struct p2pdma_function *function, uint64_t address, size_t length,
                    const void *bytes, enum address_type type, struct watch *watch);
/* Loads and stores of the CPU; the load runs the fabric until it is answered (or gives ones). */
void cpu_read(struct fabric *fabric, uint64_t address, size_t length, void *ret_bytes);
void cpu_write(struct fabric *fabric, uint64_t address, size_t length, const void *bytes);
/* A completion has come back to @function (NULL: the CPU). */
void requester_completed(struct packet *packet, struct p2pdma_function *function);
/* A read request that was taken off its wire ends as OFF. */
void requester_unsent(struct packet *packet);
/* All its reads end as OFF; @done is called where the watch asked for it. */
void requester_reset(struct p2pdma_function *function);
/* Out of memory a deadline may be in nobody's clock: once that is empty, the oldest is due. */
bool requester_rescue(struct fabric *fabric);
int requester_new(struct fabric *fabric);
void requester_free(struct fabric *fabric);
/* Whether a completion is for the CPU. */
bool request_is_of_cpu(const struct packet *packet);
/* Who looks on: NULL when nobody does. */
struct watch *packet_watch(const struct packet *packet);
/* Tells the watch and frees the packet. */
void packet_end(struct packet *packet, enum p2pdma_sim_fate fate, struct p2pdma_bdf at);
unsigned int packet_tlps(const struct packet *packet);

/* ---- pool.c: packets ---- */

#define PACKET_MAX 4096 /* bytes; packets never cross a multiple of it, as TLPs do not (2.2.7) */
int packets_new(struct fabric *fabric);
void packets_free(struct fabric *fabric);
/* Room for @count things of @size, which goes with the fabric; NULL when out of memory. */
void *packets_take(struct fabric *fabric, size_t count, size_t size);
/* NULL when out of memory; @length bytes of data for a write or completion. */
struct packet *packet_new(struct fabric *fabric, enum tlp type, uint32_t length);
void packet_free(struct packet *packet);

/* ---- dram.c, iommu.c ---- */

int dram_new(struct fabric *fabric);
void dram_free(struct fabric *fabric);
/* True when it is host memory rather than somebody's window. */
bool dram_holds(const struct fabric *fabric, uint64_t phys);
/* Bytes that no program mapped read as zeros, and swallow writes; false: there were such. */
bool dram_read(struct fabric *fabric, uint64_t phys, size_t length, void *ret_bytes);
bool dram_write(struct fabric *fabric, uint64_t phys, size_t length, const void *bytes);
/* Gives process memory an address; the same memory again gives the same. */
int dram_register(struct fabric *fabric, void *cpu, size_t length, uint64_t *ret_phys);
void dram_unregister(struct fabric *fabric, uint64_t phys);

int iommu_new(struct fabric *fabric);
void iommu_free(struct fabric *fabric);
/* What lies in a window now is never given to memory, whatever becomes of its registers.  -ENOMEM. */
int iommu_boot(struct fabric *fabric);
/*
 * -ENOSPC, -ENOMEM.  Of a fixed address: -ERANGE: none that an IOVA can have; -EEXIST: taken.
 */
int iommu_map(struct fabric *fabric, struct p2pdma_bdf requester, uint64_t phys, size_t length,
              enum p2pdma_op op, bool is_fixed, uint64_t *address);
int iommu_unmap(struct fabric *fabric, struct p2pdma_bdf requester, uint64_t iova, size_t length,
                uint64_t *ret_phys);
void iommu_unmap_all(struct fabric *fabric, struct p2pdma_bdf requester);
/*
 * Where a request goes.  -EFAULT: it is a fault, to be recorded by the caller.  @ret_length: bytes
 * from there on that are translated alike.
 */
int iommu_translate(struct fabric *fabric, struct p2pdma_bdf requester, uint64_t iova, enum tlp type,
                    uint64_t *ret_phys, uint64_t *ret_length);

/* ---- model.c ---- */

const struct p2pdma_model *model_find(const struct fabric *fabric, const char *name);
/* Those built in, then @own (NULL-terminated, or NULL); NULL past the last. */
const struct p2pdma_model *model_at(const struct p2pdma_model *const *own, size_t index);
/* Calls create; err names the function and a parameter that nobody asked for. */
int model_attach(struct p2pdma_function *function, const struct p2pdma_model *model,
                 struct p2pdma_error *err);
void model_detach(struct p2pdma_function *function);
void model_reset(struct p2pdma_function *function, enum p2pdma_model_reset why);
/* mem.c: of a BAR with a path */
uint8_t *mem_make_file(struct bar *bar);
extern const struct p2pdma_model mem_model, dma_model, accel_model; /* model_at() has them */

/* ---- vectors.c: MSI-X ---- */

/* @count of them; -ENOMEM. */
int vectors_new(struct p2pdma_function *function, unsigned int count);
void vectors_free(struct p2pdma_function *function);
/* As after a reset: masked, nothing pending (PCIe Base 7.7.2); irq_fds stay. */
void vectors_reset(struct p2pdma_function *function);
void vectors_raise(struct p2pdma_function *function, unsigned int vector);
/* Accesses to a BAR_VECTORS. */
void vectors_read(struct p2pdma_function *function, int bar, uint64_t offset, size_t length,
                  void *bytes);
void vectors_write(struct p2pdma_function *function, int bar, uint64_t offset, size_t length,
                   const void *bytes);
/* Sends what was pending and is not masked any more. */
void vectors_flush(struct p2pdma_function *function);
/* A message has reached the interrupt controller. */
bool vectors_is_message(uint64_t address);
void vectors_deliver(struct fabric *fabric, struct p2pdma_bdf requester, uint32_t data);
/* For the OS's part of p2pdma_device_irq(): -EINVAL: no such vector. */
int vectors_attach(struct p2pdma_function *function, unsigned int vector, int fd);

/* ---- lifecycle.c: resets, removal, links ---- */

void function_reset(struct p2pdma_function *function, enum p2pdma_model_reset why);
/* What sits below the segment, all the way down, loses its state; held until released. */
void segment_reset(struct segment *segment, bool is_held);
/* Pulls what is below a port, or the function's whole device; plugs it in again. */
void function_remove(struct p2pdma_function *function);
void function_add(struct p2pdma_function *function);
void link_set(struct segment *segment, bool is_up);
/* Up or down as its port's registers and what is plugged in say; tells the OS and the log. */
void link_check(struct segment *segment);
/* The same at boot: tells nobody. */
void link_boot(struct segment *segment);
/* One function comes or goes, its registers untouched. */
void function_show(struct p2pdma_function *function, bool is_present);

/* ---- fault.c: scripted physical faults ---- */

int fault_load(struct fabric *fabric, json_t *faults, const char *text, const char *name,
               struct p2pdma_error *err);
/*
 * A packet is received by @at, by @root where that is NULL: marks it as what is scripted wants.  False:
 * it is to be dropped.  @ret_delay in ps, untouched where there is none.
 */
bool fault_suffer(struct packet *packet, const struct p2pdma_function *at, const struct root *root,
                  uint64_t *ret_delay);
/* True while one TLP may have to be told from the next: trains are of one. */
static inline bool fault_is_armed(const struct fabric *fabric)
{
	return fabric->script;
}
void fault_free(struct fabric *fabric);

/* ---- observe.c ---- */

int observe_new(struct fabric *fabric);
void observe_free(struct fabric *fabric);
void observe_event(struct fabric *fabric, enum p2pdma_sim_event_kind kind, struct p2pdma_bdf at,
                   struct p2pdma_bdf requester, uint64_t address);
/* A packet was received: counters, watch and trace. */
void observe_hop(struct packet *packet, struct p2pdma_bdf at, bool is_root);

/* ---- reading: file.c, firmware.c, from_capture.c, where.c ---- */

/* Everything but models' state is made; -EPROTO and err with line and column. */
int fabric_read(const char *path, const struct p2pdma_model *const *own_models,
                struct p2pdma_error *err, struct fabric **ret_fabric);
struct fabric *fabric_new(void);
/*
 * Room for one more behind @count of an array that *@array points to: arrays double, so that their
 * number tells their room.  False: out of memory.
 */
bool fabric_grow(void *array, size_t count, size_t size);
struct fabric *fabric_free(struct fabric *fabric);
/*
 * Adds a root complex ("refuses", socket 0) with its empty root bus.  NULL when out of memory.  The
 * pointer is good until the next one is added; segment->root follows by itself.
 */
struct root *fabric_add_root(struct fabric *fabric, struct p2pdma_bdf bus);
/*
 * Adds an empty function to a segment: present, no kind, 4096 bytes of zeros.  NULL: no memory.
 * @home NULL: fabric_place() says where.
 */
struct p2pdma_function *fabric_add(struct fabric *fabric, struct segment *home);
int fabric_place(struct p2pdma_function *function, struct segment *home);
/* What lies below @owner, or a root bus (NULL); with the latencies that the file may change. */
struct segment *fabric_add_segment(struct fabric *fabric, enum segment_kind kind,
                                   struct p2pdma_function *owner, struct root *root);
/* As firmware: bus numbers, BARs, windows, command registers. */
int firmware_assign(struct fabric *fabric, struct p2pdma_error *err);
/* The last step of both: sorts, locates, trains links, keeps boot_config. */
int fabric_boot(struct fabric *fabric, struct p2pdma_error *err);
/* After fabric_boot(): by its address, within reach (fabric_find()) or not, present or not; or NULL. */
struct p2pdma_function *fabric_function(const struct fabric *fabric, struct p2pdma_bdf bdf);
struct snapshot *fabric_snapshot(struct fabric *fabric);

/* ---- sim.c ---- */

/* Something the OS is told by an interrupt of a port: an event for p2pdma_machine_event(). */
void mailbox_put(struct fabric *fabric, enum p2pdma_event_kind kind, struct p2pdma_bdf bdf);
/* Frees the mailbox; fabric_free() does it too. */
void mailbox_free(struct fabric *fabric);

#endif
