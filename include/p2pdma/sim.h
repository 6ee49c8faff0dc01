/* SPDX-License-Identifier: MIT */
/*
 * sim.h - what only a simulated machine has: its own models, DMA on demand, flows, counters, events,
 * the trace, and faults.
 *
 * Opened by p2pdma_machine_open("sim:FILE") (docs/simulator.md), driven as any machine by access.h and
 * progress.h.  All calls take the machine's one lock; a run is the same every time only when one
 * thread drives it.
 */
#ifndef P2PDMA_SIM_H
#define P2PDMA_SIM_H

#include <p2pdma/machine.h>
#include <p2pdma/sim/model.h>
#include <p2pdma/sim/observe.h>

#ifdef __cplusplus
extern "C" {
#endif

struct p2pdma_sim; /* the fabric of a simulated machine; lives as long as the machine */

/**
 * p2pdma_sim_open() - open a simulated machine that has models of the caller's own
 * @file: a fabric file or a capture
 * @models: array of @count models, beside those built in; must outlive the machine
 * @count: how many
 * @err: filled in on failure; may be NULL
 * @ret_machine: the machine; release with p2pdma_machine_close()
 *
 * Context: Any thread; reads the file.
 * Return: as p2pdma_machine_open(); -EEXIST: two models go by one name.
 */
int p2pdma_sim_open(const char *file, const struct p2pdma_model *const *models, size_t count,
                    struct p2pdma_error *err, struct p2pdma_machine **ret_machine);

/**
 * p2pdma_machine_sim() - the fabric of a simulated machine
 * @machine: an open machine
 * @ret_sim: the fabric, the machine's
 *
 * Context: Any thread.
 * Return: 0, or -EOPNOTSUPP: the machine is not simulated.
 */
int p2pdma_machine_sim(const struct p2pdma_machine *machine, struct p2pdma_sim **ret_sim);

/**
 * p2pdma_sim_model_name() - what stands behind a function
 * @sim: the fabric
 * @bdf: the function
 *
 * Context: Any thread.
 * Return: the name of its model; NULL: it has none, or there is no such function.
 */
const char *p2pdma_sim_model_name(struct p2pdma_sim *sim, struct p2pdma_bdf bdf);

/**
 * struct p2pdma_sim_dma - one DMA of a function, whatever its model
 * @client: requester
 * @op: read or write
 * @address: where, as the function would put it into the TLP
 * @length: bytes, 1 to 1 MiB
 * @is_translated: after asking the IOMMU for a translation (ATS must be on)
 * @bytes: what is written, or where it is read to; the caller's
 */
struct p2pdma_sim_dma {
	struct p2pdma_bdf client;
	enum p2pdma_op op;
	struct p2pdma_dma address;
	size_t length;
	bool is_translated;
	void *bytes;
};

#define P2PDMA_SIM_MAX_HOPS 64

/**
 * struct p2pdma_sim_hop - one passage of a request's or its completion's first TLP
 * @port: the function that received it; for a root complex its root bus, devfn 0
 * @is_root: it is a root complex
 * @is_completion: a completion
 */
struct p2pdma_sim_hop {
	struct p2pdma_bdf port;
	bool is_root;
	bool is_completion;
};

/**
 * struct p2pdma_sim_outcome - what became of it
 * @size: set by the caller to sizeof(struct p2pdma_sim_outcome); the struct grows at its end
 * @fate: what; the worst of its TLPs
 * @status: what the requester was told: a read's status; a write's is always OK but for OFF
 * @at: where it ended
 * @bytes: that arrived at the completer (write) or back at the requester (read)
 * @latency: nanoseconds until then
 * @hop_count: number of @hops
 * @hops: the way of its first TLPs, requester and internal steps left out
 */
struct p2pdma_sim_outcome {
	size_t size;
	enum p2pdma_sim_fate fate;
	enum p2pdma_dma_status status;
	struct p2pdma_bdf at;
	uint64_t bytes;
	uint64_t latency;
	size_t hop_count;
	struct p2pdma_sim_hop hops[P2PDMA_SIM_MAX_HOPS];
};

/**
 * p2pdma_sim_dma() - have a function do one DMA and see what becomes of it
 * @sim: the fabric
 * @dma: what
 * @ret_outcome: filled up to ret_outcome->size, which the caller sets
 *
 * Runs the machine until the DMA has ended.  It maps nothing: where the IOMMU translates, the
 * address is one that p2pdma_dma_map() gave, or the DMA is refused.
 *
 * Context: Any thread.
 * Return:
 * * 0       - see @ret_outcome
 * * -EINVAL - no such op, a length out of range, or ret_outcome->size too small
 * * -ENODEV - no such function
 * * -ENOMEM - out of memory
 */
int p2pdma_sim_dma(struct p2pdma_sim *sim, const struct p2pdma_sim_dma *dma,
                   struct p2pdma_sim_outcome *ret_outcome);

/**
 * struct p2pdma_sim_flow - a stream of equal DMAs
 * @client: who masters it
 * @is_dram: the other end is host memory, not @provider
 * @provider: whose largest memory BAR is the other end
 * @op: read or write
 * @length: bytes of one DMA, 1 to 1 MiB
 * @depth: DMAs under way at once, 1 to 4096
 * @bytes: in all
 * @is_translated: asks the IOMMU for each page once, keeps the answers (ATS must be on)
 */
struct p2pdma_sim_flow {
	struct p2pdma_bdf client;
	bool is_dram;
	struct p2pdma_bdf provider;
	enum p2pdma_op op;
	size_t length;
	unsigned int depth;
	uint64_t bytes;
	bool is_translated;
};

/**
 * struct p2pdma_sim_flow_result - what came of it
 * @bytes: that arrived, and were what was sent
 * @has_arrived: all of them
 * @fate: what became of the first of its DMAs that failed, or ARRIVED
 * @at: where that one ended
 * @duration: virtual nanoseconds until the last DMA that arrived; 0: none did
 * @latency_min: of one DMA that arrived, nanoseconds; of a write, until its last byte has landed
 * @latency_p50: median; exact to 511, above within 1/256
 * @latency_p99: 99th percentile, likewise
 */
struct p2pdma_sim_flow_result {
	uint64_t bytes;
	bool has_arrived;
	enum p2pdma_sim_fate fate;
	struct p2pdma_bdf at;
	uint64_t duration;
	uint64_t latency_min;
	uint64_t latency_p50;
	uint64_t latency_p99;
};

/**
 * p2pdma_sim_run() - run flows side by side until all have ended
 * @sim: the fabric
 * @flows: array of @count
 * @count: how many
 * @err: filled in on failure; may be NULL
 * @ret_results: array of @count
 *
 * Addresses walk through at most 64 MiB of the target, again and again; flows to one target get
 * equal parts of it.  What lay there is overwritten, by reads too, which are compared with it; writes
 * are compared where they land.  A function without memory only has to take them.  A flow ends with
 * the first of its DMAs that fails.
 *
 * Where the IOMMU translates, each client is given a mapping of its target for the time of the run,
 * at the address that the target has on the bus.
 *
 * Context: Any thread.
 * Return:
 * * 0       - ended; see @ret_results
 * * -EINVAL - a value out of range, a provider without memory BAR, or a translated flow of a
 *	client whose ATS is off; @err says which
 * * -ENODEV - no such function
 * * -ENOMEM - out of memory
 */
int p2pdma_sim_run(struct p2pdma_sim *sim, const struct p2pdma_sim_flow *flows, size_t count,
                   struct p2pdma_error *err, struct p2pdma_sim_flow_result *ret_results);

/**
 * p2pdma_sim_fault() - script physical faults
 * @sim: the fabric
 * @json: one object, or an array of them, as in the "faults" of a fabric file (docs/simulator.md)
 * @err: filled in on failure; may be NULL
 *
 * Context: Any thread.
 * Return: 0; -EPROTO: broken, @err says where; -ENODEV: no such function; -ENOMEM.
 */
int p2pdma_sim_fault(struct p2pdma_sim *sim, const char *json, struct p2pdma_error *err);

/**
 * p2pdma_sim_faults_pending() - scripted faults that have not happened
 * @sim: the fabric
 *
 * Context: Any thread.
 * Return: how many; a retrain under way is none.
 */
size_t p2pdma_sim_faults_pending(struct p2pdma_sim *sim);

#ifdef __cplusplus
}
#endif

#endif
