/* SPDX-License-Identifier: MIT */
/*
 * route.h - can a client reach a provider's memory, and if not, what stops it?
 *
 * Concepts:
 * - provider: the function that owns the BAR memory; client: the function that masters the DMA.
 * - kernel verdict: what Linux's p2pdma.c of one version (the profile) computes.  It decides only
 *   for the kernel's own paths.
 * - wire verdict: what the TLPs do, worst case, writes and reads apart.
 * - hazards: what else is wrong on the path (hazard.h); evidence: why (evidence.h).
 * - answer: the worst of the ops asked.  Unknown is an answer; it moves toward yes only with new
 *   evidence.
 *
 * AtomicOps, TPH, IDE and CXL.mem are not judged.
 */
#ifndef P2PDMA_ROUTE_H
#define P2PDMA_ROUTE_H

#include <p2pdma/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum p2pdma_map_type - the kernel's enum pci_p2pdma_map_type
 * @P2PDMA_MAP_UNKNOWN: not computable: the capture lacks what the kernel would have read
 * @P2PDMA_MAP_NONE: not P2PDMA memory; never a verdict
 * @P2PDMA_MAP_NOT_SUPPORTED: crosses a host bridge that is not trusted; mapping fails
 * @P2PDMA_MAP_BUS_ADDR: stays below a common bridge: program the PCI bus address
 * @P2PDMA_MAP_THRU_HOST_BRIDGE: through a trusted root complex: map like host memory
 */
enum p2pdma_map_type {
	P2PDMA_MAP_UNKNOWN,
	P2PDMA_MAP_NONE,
	P2PDMA_MAP_NOT_SUPPORTED,
	P2PDMA_MAP_BUS_ADDR,
	P2PDMA_MAP_THRU_HOST_BRIDGE,
};

/**
 * enum p2pdma_verdict - what becomes of one op on the wire, best first
 * @P2PDMA_DIRECT: TLPs stay below the root complex, or inside the function
 * @P2PDMA_ROOT_COMPLEX: through a root complex trusted to forward this op
 * @P2PDMA_VERDICT_UNKNOWN: no evidence either way
 * @P2PDMA_BLOCKED: a port or the root complex refuses it
 */
enum p2pdma_verdict {
	P2PDMA_DIRECT,
	P2PDMA_ROOT_COMPLEX,
	P2PDMA_VERDICT_UNKNOWN,
	P2PDMA_BLOCKED,
};

/**
 * enum p2pdma_turn - where a request or a completion goes at the divergence port, best first
 * @P2PDMA_TURN_DIRECT: straight to the peer
 * @P2PDMA_TURN_REDIRECT: up to the root complex, by an ACS bit or for want of internal routing
 * @P2PDMA_TURN_ROOT: there is no common upstream node: the root complex is the way
 * @P2PDMA_TURN_UNKNOWN: the registers that decide were not captured, or do not tell
 * @P2PDMA_TURN_BLOCKED: an ACS violation
 */
enum p2pdma_turn {
	P2PDMA_TURN_DIRECT,
	P2PDMA_TURN_REDIRECT,
	P2PDMA_TURN_ROOT,
	P2PDMA_TURN_UNKNOWN,
	P2PDMA_TURN_BLOCKED,
};

/**
 * enum p2pdma_answer - the headline
 * @P2PDMA_ANSWER_YES: every op asked works
 * @P2PDMA_ANSWER_UNKNOWN: no evidence either way for one of them at least
 * @P2PDMA_ANSWER_NO: one of them at least does not work
 */
enum p2pdma_answer {
	P2PDMA_ANSWER_YES,
	P2PDMA_ANSWER_UNKNOWN,
	P2PDMA_ANSWER_NO,
};

/**
 * enum p2pdma_cpu - the CPU rule of Linux (x86: AMD family 17h and later accept everything)
 * @P2PDMA_CPU_AUTO: as the machine records it; an Intel root complex implies "other"
 * @P2PDMA_CPU_AMD_ZEN: AMD, family 17h or later
 * @P2PDMA_CPU_OTHER: anything else
 */
enum p2pdma_cpu {
	P2PDMA_CPU_AUTO,
	P2PDMA_CPU_AMD_ZEN,
	P2PDMA_CPU_OTHER,
};

/**
 * struct p2pdma_profile - the rules of one kernel version
 * @major: as in 7.2
 * @minor: as in 7.2
 */
struct p2pdma_profile {
	uint16_t major;
	uint16_t minor;
};

/**
 * p2pdma_profile_parse() - read "linux-7.2", "7.2" or a kernel release
 * @text: "linux-X.Y", "X.Y", or a release as uname prints it ("6.12.41+deb13-amd64")
 * @ret_profile: the profile
 *
 * Return:
 * * 0       - read
 * * -EINVAL - no version there
 * * -ERANGE - older than 6.0: what that kernel does is not known
 */
int p2pdma_profile_parse(const char *text, struct p2pdma_profile *ret_profile);

/**
 * struct p2pdma_routes_opts - what p2pdma_routes_new() should assume
 * @size: set by the caller to sizeof(struct p2pdma_routes_opts); the struct grows at its end
 * @profile: {0, 0}: the machine's own kernel where recorded, else linux-7.2
 * @cpu: the CPU rule
 */
struct p2pdma_routes_opts {
	size_t size;
	struct p2pdma_profile profile;
	enum p2pdma_cpu cpu;
};

struct p2pdma_routes; /* a machine prepared for questions */

/**
 * p2pdma_routes_new() - prepare a machine for questions
 * @machine: an open machine; must outlive the result
 * @opts: what to assume, or NULL for defaults
 * @ret_routes: release with p2pdma_routes_free()
 *
 * Context: Any thread; does not block.  Takes time linear in the number of functions.
 * Return:
 * * 0       - prepared
 * * -EINVAL - opts->size is smaller than the first published struct, or a value is unknown
 * * -ERANGE - opts->profile is older than 6.0
 * * -ENOMEM - out of memory
 */
int p2pdma_routes_new(const struct p2pdma_machine *machine, const struct p2pdma_routes_opts *opts,
                      struct p2pdma_routes **ret_routes);

/**
 * p2pdma_routes_free() - release prepared routes
 * @routes: routes, or NULL
 * Context: No other thread may use @routes during or after the call.
 * Return: NULL.
 */
struct p2pdma_routes *p2pdma_routes_free(struct p2pdma_routes *routes);

/**
 * struct p2pdma_routes_info - what the answers rest on
 * @size: set by the caller to sizeof(struct p2pdma_routes_info); the struct grows at its end
 * @profile: whose kernel verdict is given
 * @profile_source: "asked", "recorded" (the machine's own kernel) or "default"
 * @profile_known: P2PDMA_NO: the recorded kernel is older than 6.0, every kernel verdict is
 *	unknown; P2PDMA_UNKNOWN: newer than the newest whose rules are known, judged by those
 * @cpu: the CPU rule in force; P2PDMA_CPU_AUTO when it could not be told
 * @virtual_machine: the topology is a hypervisor's, so no evidence of the wire
 */
struct p2pdma_routes_info {
	size_t size;
	struct p2pdma_profile profile;
	const char *profile_source;
	enum p2pdma_known profile_known;
	enum p2pdma_cpu cpu;
	bool virtual_machine;
};

/**
 * p2pdma_routes_get_info() - what the answers rest on
 * @routes: prepared routes
 * @ret_info: filled up to ret_info->size, which the caller sets
 * Return: 0, or -EINVAL when ret_info->size is smaller than the first published struct.
 */
int p2pdma_routes_get_info(const struct p2pdma_routes *routes, struct p2pdma_routes_info *ret_info);

/**
 * struct p2pdma_route - the verdict for one (provider, client) pair
 * @map_type: kernel verdict (enum p2pdma_map_type)
 * @write: wire verdict for writes (enum p2pdma_verdict)
 * @read: wire verdict for reads
 * @request: the requests of both, at the client-side divergence port (enum p2pdma_turn)
 * @completion: the completions of reads, at the provider-side divergence port
 * @stops: mask of enum p2pdma_op that a stopping hazard prevents
 * @distance: kernel distance: edges from both functions to the common node, or nodes of both
 *	chains; -1 when the top of a chain was not captured
 */
struct p2pdma_route {
	uint8_t map_type;
	uint8_t write;
	uint8_t read;
	uint8_t request;
	uint8_t completion;
	uint8_t stops;
	int16_t distance;
};

/**
 * p2pdma_route_answer() - the headline for the ops asked
 * @route: a verdict
 * @op: ops asked
 *
 * Return: the worst of the ops: a blocked op or a stopping hazard is no; direct or a trusted root
 * complex is yes; else unknown.
 */
enum p2pdma_answer p2pdma_route_answer(struct p2pdma_route route, enum p2pdma_op op);

/**
 * p2pdma_routes_pair() - the verdict for one pair
 * @routes: prepared routes
 * @provider: the function that owns the memory
 * @client: the function that masters the DMA
 *
 * Context: Any thread; does not block.  Takes constant time: bounded by the 256 buses a path can
 * have, not by the machine's size.
 * Return: the verdict.
 */
struct p2pdma_route p2pdma_routes_pair(const struct p2pdma_routes *routes,
                                       const struct p2pdma_device *provider,
                                       const struct p2pdma_device *client);

/**
 * p2pdma_routes_row() - the verdicts of one provider and every client
 * @routes: prepared routes
 * @provider: the function that owns the memory
 * @ret_codes: p2pdma_machine_device_count() codes, indexed as p2pdma_machine_device(); read them
 *	with p2pdma_route_decode()
 *
 * Context: Any thread; does not block.
 */
void p2pdma_routes_row(const struct p2pdma_routes *routes, const struct p2pdma_device *provider,
                       uint32_t *ret_codes);

/**
 * p2pdma_route_decode() - unpack a code of p2pdma_routes_row()
 * @code: the code
 * Return: the verdict.
 */
struct p2pdma_route p2pdma_route_decode(uint32_t code);

#ifdef __cplusplus
}
#endif

#endif
