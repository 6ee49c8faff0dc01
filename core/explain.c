/* SPDX-License-Identifier: MIT */
/*
 * explain.c - the evidence behind a verdict: reasons, hops, hazards, the address to program.
 */
#include <errno.h>
#include <stdlib.h>

#include "routes.h"

struct build {
	const struct p2pdma_routes *routes;
	const struct p2pdma_device *provider;
	const struct p2pdma_device *client;
	struct segment segment;
	struct p2pdma_explanation *result;
};

static void because(struct p2pdma_why *why, struct p2pdma_reason reason)
{
	if (why->count < sizeof(why->reasons) / sizeof(why->reasons[0]))
		why->reasons[why->count++] = reason;
}

static uint32_t ids_of(const struct p2pdma_device *device)
{
	return device ? (uint32_t)device->vendor << 16 | device->device : 0;
}

/* The topmost function of a chain. */
static const struct p2pdma_device *top_of(const struct build *build,
                                          const struct p2pdma_device *device)
{
	return routes_at_depth(build->routes, device, 1);
}

/* Which of the two root complexes decides against (or for) the pair: the one not trusted, if any.
 */
static const struct root_trust *deciding_root(const struct build *build, bool by_kernel)
{
	const struct root_trust *provider = &build->routes->roots[build->provider->root];
	const struct root_trust *client = &build->routes->roots[build->client->root];
	bool is_same = provider == client;
	const struct hostbridge_row *row = by_kernel ? client->kernel_row : client->wire_row;

	if (is_same || (row && !row->same_only))
		return provider;
	return client;
}

/* What the root complex does, as the reasons of the wire and of the kernel name it. */
static struct p2pdma_reason root_reason(const struct build *build, bool by_kernel, bool is_trusted)
{
	const struct p2pdma_routes *routes = build->routes;
	const struct root_trust *provider = &routes->roots[build->provider->root];
	const struct root_trust *client = &routes->roots[build->client->root];
	const struct root_trust *root = deciding_root(build, by_kernel);

	if ((provider->is_missing || client->is_missing) && !is_trusted)
		return (struct p2pdma_reason){
			P2PDMA_REASON_ROOT_MISSING,
			top_of(build, provider->is_missing ? build->provider : build->client), 0
		};
	if (is_trusted && routes->info.cpu == P2PDMA_CPU_AMD_ZEN)
		return (struct p2pdma_reason){ P2PDMA_REASON_ROOT_CPU, NULL, 0 };
	if (is_trusted)
		return (struct p2pdma_reason){ P2PDMA_REASON_ROOT_TRUSTED, root->device,
			                       ids_of(root->device) };
	if (by_kernel && !root->is_unknown && routes->info.cpu == P2PDMA_CPU_AUTO)
		return (struct p2pdma_reason){ P2PDMA_REASON_CPU_UNKNOWN, NULL, 0 };
	return (struct p2pdma_reason){ P2PDMA_REASON_ROOT_UNKNOWN, root->device,
		                       ids_of(root->device) };
}

/* What follows once a TLP is on its way up: a port that will not forward it, or the root complex.
 */
static void because_far(struct build *build, struct p2pdma_why *why, enum p2pdma_turn turn,
                        enum p2pdma_verdict far)
{
	uint16_t depth = segment_no_forward(build->routes, &build->segment);
	const struct root_trust *provider = &build->routes->roots[build->provider->root];
	const struct root_trust *client = &build->routes->roots[build->client->root];

	if (turn == P2PDMA_TURN_REDIRECT && depth)
		because(why,
		        (struct p2pdma_reason){
				P2PDMA_REASON_NO_UPSTREAM_FWD,
				routes_at_depth(build->routes, build->segment.common, depth), 0 });
	else if (far == P2PDMA_BLOCKED)
		because(why, (struct p2pdma_reason){
				     P2PDMA_REASON_ROOT_REFUSES_READS,
				     provider->refuses_reads ? provider->device : client->device,
				     ids_of(provider->refuses_reads ? provider->device
		                                                    : client->device) });
	else if (turn == P2PDMA_TURN_REDIRECT || turn == P2PDMA_TURN_ROOT)
		because(why, root_reason(build, false, far == P2PDMA_ROOT_COMPLEX));
}

/* What lowers a yes to unknown whatever the turns. */
static void because_doubt(const struct build *build, struct p2pdma_why *why)
{
	const struct p2pdma_device *port =
		segment_root_egress(build->routes, &build->segment, build->client);
	const struct p2pdma_device *unseen =
		segment_unseen_node(build->routes, &build->segment, build->client);
	const struct claim *claim =
		segment_other_claim(build->routes, &build->segment, build->client);

	if (port)
		because(why, (struct p2pdma_reason){ port->acs.known == P2PDMA_YES
		                                             ? P2PDMA_REASON_EGRESS_UNKNOWN
		                                             : P2PDMA_REASON_ACS_UNKNOWN,
		                                     port, 0 });
	if (unseen)
		because(why, (struct p2pdma_reason){ P2PDMA_REASON_NODE_UNSEEN, unseen, 0 });
	if (claim)
		because(why,
		        (struct p2pdma_reason){
				claim->limit == CLAIM_UNSEEN ? P2PDMA_REASON_NODE_UNSEEN
							     : P2PDMA_REASON_ADDRESS_CLAIMED_TWICE,
				&build->routes->machine->devices[claim->owner / 8], 0 });
	if (segment_bar_unseen(build->routes, &build->segment))
		because(why,
		        (struct p2pdma_reason){ P2PDMA_REASON_BAR_UNSEEN, build->provider, 0 });
	if (build->routes->facts[build->client->index].command_unknown && !build->segment.is_same &&
	    !build->client->is_dead)
		because(why,
		        (struct p2pdma_reason){ P2PDMA_REASON_COMMAND_UNSEEN, build->client, 0 });
}

static bool is_virtual_verdict(const struct build *build)
{
	return build->routes->info.virtual_machine && !build->segment.is_same &&
	       build->segment.request_reason.code != P2PDMA_REASON_BRIDGE_TARGET;
}

/* What is known of the hypervisor decides for a pair; where nothing is, its topology proves
 * nothing. */
static enum p2pdma_reason_code virtual_reason(const struct build *build)
{
	if (!segment_is_qemu(build->routes, build->provider, build->client))
		return P2PDMA_REASON_VIRTUAL;
	if (build->segment.write != P2PDMA_VERDICT_UNKNOWN)
		return P2PDMA_REASON_QEMU;
	return build->client->function->iommu == P2PDMA_IOMMU_TRANSLATED
	               ? P2PDMA_REASON_QEMU_TRANSLATED
	               : P2PDMA_REASON_VIRTUAL;
}

static void explain_wire(struct build *build)
{
	const struct segment *segment = &build->segment;
	struct p2pdma_why *write = &build->result->write, *read = &build->result->read;
	enum p2pdma_turn worst;

	struct p2pdma_reason virtual = { virtual_reason(build), NULL, 0 };

	/* QEMU's models do not care what the ports say. */
	if (is_virtual_verdict(build) && virtual.code != P2PDMA_REASON_VIRTUAL) {
		because(write, virtual);
		because(read, virtual);
		return;
	}
	because(write, segment->request_reason);
	if (segment->completion <= segment->request)
		because(read, segment->request_reason);
	if (segment->completion >= segment->request && segment->completion != P2PDMA_TURN_ROOT &&
	    segment->is_judged && segment->common)
		because(read, segment->completion_reason);
	worst = segment->completion > segment->request ? segment->completion : segment->request;
	if (is_virtual_verdict(build)) {
		because(write, virtual);
		because(read, virtual);
		return;
	}
	because_far(build, write, segment->request,
	            segment->request == P2PDMA_TURN_DIRECT ? P2PDMA_DIRECT : segment->far.write);
	because_far(build, read, worst,
	            worst == P2PDMA_TURN_DIRECT ? P2PDMA_DIRECT : segment->far.read);
}

/* The nodes whose ACS the kernel consults, in its order; calls back for each. */
static void explain_kernel(struct build *build)
{
	const struct p2pdma_machine *machine = build->routes->machine;
	const struct p2pdma_device *common = build->segment.common;
	struct p2pdma_explanation *result = build->result;
	const struct p2pdma_device *unknown = NULL;
	struct p2pdma_why *why = &result->kernel;
	enum p2pdma_map_type map_type = result->route.map_type;

	if (build->routes->info.profile_known == P2PDMA_NO) {
		because(why, (struct p2pdma_reason){ P2PDMA_REASON_PROFILE, NULL, 0 });
		return;
	}
	if (!common) {
		because(why, (struct p2pdma_reason){ P2PDMA_REASON_NO_COMMON_NODE, NULL, 0 });
	} else {
		const struct p2pdma_device *starts[] = { build->provider, build->client };

		for (int leg = 0; leg < 2; leg++) {
			/* The common node counts on the provider's leg only. */
			int end = leg ? common->depth + 1 : common->depth;

			for (const struct p2pdma_device *at = starts[leg]; at && at->depth >= end;
			     at = topology_at(machine, at->parent)) {
				if (at->kernel_redirects == P2PDMA_YES)
					result->redirects[result->redirect_count++] = at;
				else if (at->kernel_redirects == P2PDMA_UNKNOWN && !unknown)
					unknown = at;
			}
		}
		if (map_type == P2PDMA_MAP_BUS_ADDR) {
			because(why, (struct p2pdma_reason){ build->segment.is_same
			                                             ? P2PDMA_REASON_SAME_FUNCTION
			                                             : P2PDMA_REASON_COMMON_NODE,
			                                     common, 0 });
			return;
		}
		if (!result->redirect_count) {
			because(why,
			        (struct p2pdma_reason){ P2PDMA_REASON_ACS_UNKNOWN, unknown, 0 });
			return;
		}
		because(why,
		        (struct p2pdma_reason){ P2PDMA_REASON_KERNEL_REDIRECT, result->redirects[0],
		                                result->redirects[0]->kernel_control });
	}
	because(why, root_reason(build, true, map_type == P2PDMA_MAP_THRU_HOST_BRIDGE));
}

static void add_hop(struct build *build, const struct p2pdma_device *device, enum p2pdma_leg leg)
{
	const struct segment *segment = &build->segment;
	struct p2pdma_hop hop = { .device = device, .leg = leg };
	bool is_decided = segment->common && segment->is_judged &&
	                  segment->request_reason.code != P2PDMA_REASON_BRIDGE_TARGET;

	if (device) {
		hop.acs = device->acs;
		hop.decides_request = is_decided && device == segment->request_reason.device;
		hop.decides_completion = is_decided && device == segment->completion_reason.device;
	}
	build->result->hops[build->result->hop_count++] = hop;
}

/* The way a write travels: up the client's leg, maybe to the root complex, down the provider's. */
static void explain_hops(struct build *build)
{
	const struct p2pdma_machine *machine = build->routes->machine;
	const struct segment *segment = &build->segment;
	const struct p2pdma_device *common = segment->common, *at;
	int top = common ? common->depth : 0;
	bool goes_up = !common || segment->request == P2PDMA_TURN_REDIRECT ||
	               segment->completion == P2PDMA_TURN_REDIRECT;

	for (at = build->client; at && at->depth > top; at = topology_at(machine, at->parent))
		add_hop(build, at, P2PDMA_LEG_CLIENT);
	if (common)
		add_hop(build, common, P2PDMA_LEG_COMMON);
	if (common && goes_up)
		for (at = topology_at(machine, common->parent); at;
		     at = topology_at(machine, at->parent))
			add_hop(build, at, P2PDMA_LEG_ABOVE);
	if (goes_up)
		add_hop(build, NULL, P2PDMA_LEG_ROOT);
	for (int depth = top + 1; depth <= build->provider->depth; depth++)
		add_hop(build, routes_at_depth(build->routes, build->provider, (uint16_t)depth),
		        P2PDMA_LEG_PROVIDER);
}

static void explain_address(struct build *build)
{
	const struct hazard_facts *facts = &build->routes->facts[build->provider->index];
	struct p2pdma_explanation *result = build->result;
	enum p2pdma_iommu iommu = build->client->function->iommu;

	result->bar = facts->bar;
	result->range = facts->range;
	result->space = P2PDMA_SPACE_NONE;
	if (facts->bar < 0 || !facts->range.bus.addr || result->route.write == P2PDMA_BLOCKED)
		return;
	/* The start of a VF BAR is the first VF's; where the next begins takes its size. */
	if (build->provider->vf_number && !facts->range.size) {
		result->range.bus.addr = 0;
		result->space = P2PDMA_SPACE_UNKNOWN;
		return;
	}
	/* Below a common switch the raw bus address is what the switch routes by. */
	if (build->segment.request == P2PDMA_TURN_DIRECT)
		result->space = P2PDMA_SPACE_BUS;
	else if (iommu == P2PDMA_IOMMU_TRANSLATED)
		result->space = P2PDMA_SPACE_IOVA;
	else if (iommu == P2PDMA_IOMMU_UNKNOWN)
		result->space = P2PDMA_SPACE_UNKNOWN;
	else
		result->space = P2PDMA_SPACE_BUS;
}

/* The row that speaks for or against the root complex, where the TLPs get there. */
static void explain_trust(struct build *build)
{
	const struct segment *segment = &build->segment;
	const struct root_trust *provider = &build->routes->roots[build->provider->root];
	const struct root_trust *client = &build->routes->roots[build->client->root];
	const struct root_trust *root = deciding_root(build, false);
	bool is_redirected = segment->request == P2PDMA_TURN_REDIRECT ||
	                     segment->completion == P2PDMA_TURN_REDIRECT;

	if ((segment->common && (!is_redirected || segment_no_forward(build->routes, segment))) ||
	    segment->request == P2PDMA_TURN_BLOCKED)
		return;
	if (segment->far.read == P2PDMA_BLOCKED)
		build->result->trust = provider->refuses_reads ? provider->refuses_reads->trust
		                                               : client->refuses_reads->trust;
	else if (segment->far.write != P2PDMA_ROOT_COMPLEX)
		return;
	else if (build->routes->info.cpu == P2PDMA_CPU_AMD_ZEN)
		build->result->trust = (struct p2pdma_trust){ .label = "AMD Zen or later",
			                                      .since = { 5, 9 },
			                                      .source = "dea286bb71ba" };
	else if (root->wire_row)
		build->result->trust = root->wire_row->trust;
}

int p2pdma_routes_explain(const struct p2pdma_routes *routes, const struct p2pdma_device *provider,
                          const struct p2pdma_device *client,
                          struct p2pdma_explanation **ret_explanation)
{
	/* Every node of both chains and the root complex, at most once each. */
	size_t nodes = (size_t)provider->depth + client->depth + 1;
	struct build build = { .routes = routes, .provider = provider, .client = client };

	build.result = calloc(1, sizeof(*build.result));
	if (!build.result)
		return -ENOMEM;
	build.result->hops = calloc(nodes, sizeof(*build.result->hops));
	build.result->redirects = calloc(nodes, sizeof(*build.result->redirects));
	if (!build.result->hops || !build.result->redirects ||
	    hazard_list(routes, provider, client, build.result)) {
		p2pdma_explanation_free(build.result);
		return -ENOMEM;
	}
	build.segment = segment_of_pair(routes, provider, client);
	build.result->route = p2pdma_routes_pair(routes, provider, client);
	explain_wire(&build);
	because_doubt(&build, &build.result->write);
	because_doubt(&build, &build.result->read);
	explain_kernel(&build);
	explain_hops(&build);
	explain_address(&build);
	explain_trust(&build);
	*ret_explanation = build.result;
	return 0;
}

struct p2pdma_explanation *p2pdma_explanation_free(struct p2pdma_explanation *explanation)
{
	if (!explanation)
		return NULL;
	free(explanation->hops);
	free(explanation->hazards);
	free(explanation->redirects);
	free(explanation);
	return NULL;
}
