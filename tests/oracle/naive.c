/* SPDX-License-Identifier: MIT */
/* Both verdicts of one pair, by nested walks. */
#include "naive.h"

static const struct p2pdma_profile newest = { 7, 4 };

/* The deepest node that lies on both chains, and the steps to it from either side. */
static const struct node *common_node(const struct node *provider, const struct node *client,
                                      int *ret_distance)
{
	int up = 0, down = 0;

	for (const struct node *a = provider; a; a = a->parent, up++) {
		down = 0;
		for (const struct node *b = client; b; b = b->parent, down++) {
			if (a == b) {
				*ret_distance = up + down;
				return a;
			}
		}
	}
	*ret_distance = up + down;
	return NULL;
}

static enum p2pdma_map_type through_host_bridge(const struct naive *naive,
                                                const struct node *provider,
                                                const struct node *client)
{
	enum p2pdma_known known = P2PDMA_UNKNOWN;

	if (naive->cpu == P2PDMA_CPU_AMD_ZEN)
		return P2PDMA_MAP_THRU_HOST_BRIDGE;
	if (!provider->root_missing && !client->root_missing)
		known = naive_listed(provider->root, client->root, naive->profile);
	if (known == P2PDMA_YES)
		return P2PDMA_MAP_THRU_HOST_BRIDGE;
	if (known == P2PDMA_UNKNOWN || naive->cpu != P2PDMA_CPU_OTHER)
		return P2PDMA_MAP_UNKNOWN;
	return P2PDMA_MAP_NOT_SUPPORTED;
}

static void kernel_verdict(const struct naive *naive, const struct node *provider,
                           const struct node *client, struct p2pdma_route *route)
{
	int distance, redirects = 0, unknown = 0;
	const struct node *common = common_node(provider, client, &distance);
	bool no_top = provider->root_missing || client->root_missing;

	route->distance = (int16_t)(!common && no_top ? -1 : distance);
	route->map_type = P2PDMA_MAP_UNKNOWN;
	if (!naive->profile.major || route->distance < 0)
		return;
	if (!common) {
		route->map_type = through_host_bridge(naive, provider, client);
		return;
	}
	for (int leg = 0; leg < 2; leg++) {
		for (const struct node *n = leg ? client : provider; n; n = n->parent) {
			if (leg && n == common)
				break;
			if (n->kernel_acs == UNKNOWN)
				unknown++;
			else if (n->kernel_acs & (RR | CR | EC))
				redirects++;
			if (n == common)
				break;
		}
	}
	if (redirects)
		route->map_type = through_host_bridge(naive, provider, client);
	else if (!unknown)
		route->map_type = P2PDMA_MAP_BUS_ADDR;
}

static const struct node *child_of(const struct node *common, const struct node *node)
{
	while (node->parent != common)
		node = node->parent;
	return node;
}

static bool is_port(const struct node *node)
{
	return node->kind == P2PDMA_KIND_ROOT_PORT || node->kind == P2PDMA_KIND_DOWNSTREAM_PORT;
}

/* A link below a port, with several functions at its far end. */
static bool is_link(const struct node *node)
{
	return is_port(node) || node->kind == P2PDMA_KIND_PCI_TO_PCIE;
}

/* Egress control at @c toward @index, which is UNKNOWN when it was not captured. */
static int egress(const struct node *c, int index)
{
	bool redirect = c->acs.control & RR;
	int size = c->acs.capability >> 8;
	int64_t bits;

	if (!(c->acs.control & EC))
		return redirect ? P2PDMA_TURN_REDIRECT : P2PDMA_TURN_DIRECT;
	size = size ? size : 256;
	if (index == UNKNOWN || index >= size || !c->acs.vector)
		return P2PDMA_TURN_UNKNOWN;
	bits = node_read(c, (size_t)c->acs.vector + (size_t)index / 32 * 4, 4);
	if (bits == UNKNOWN)
		return P2PDMA_TURN_UNKNOWN;
	if (!(bits >> index % 32 & 1))
		return P2PDMA_TURN_DIRECT;
	return redirect ? P2PDMA_TURN_REDIRECT : P2PDMA_TURN_BLOCKED;
}

static void turns_in_switch(const struct node *c, const struct node *p, struct p2pdma_route *route)
{
	route->request = route->completion = P2PDMA_TURN_UNKNOWN;
	if (c->kind != P2PDMA_KIND_DOWNSTREAM_PORT || p->kind != P2PDMA_KIND_DOWNSTREAM_PORT)
		return;
	if (c->acs.known == P2PDMA_NO)
		route->request = P2PDMA_TURN_DIRECT;
	else if (c->acs.known == P2PDMA_YES)
		route->request = egress(c, p->port_number);
	if (p->acs.known == P2PDMA_NO)
		route->completion = P2PDMA_TURN_DIRECT;
	else if (p->acs.known == P2PDMA_YES)
		route->completion = p->acs.control & CR ? P2PDMA_TURN_REDIRECT : P2PDMA_TURN_DIRECT;
}

/* Does, or may, the function's ARI capability number functions by groups? */
static bool has_function_groups(const struct node *node)
{
	int ari = node_extended(node, 0x0e);
	int64_t control = ari > 0 ? node_read(node, (size_t)ari + 6, 2) : 0;

	return ari < 0 || control == UNKNOWN || control & 2;
}

static bool index_is_group(const struct naive *naive, const struct node *c)
{
	for (size_t i = 0; i < naive->count; i++) {
		const struct node *node = &naive->nodes[i];
		struct p2pdma_bdf bdf = node->f->bdf;
		bool is_first = bdf.domain == c->f->bdf.domain && bdf.bus == c->f->bdf.bus &&
		                bdf.devfn == 0;

		if ((node == c || is_first) && has_function_groups(node))
			return true;
	}
	return false;
}

static void turns_on_link(const struct naive *naive, const struct node *c, const struct node *p,
                          struct p2pdma_route *route)
{
	struct p2pdma_bdf from = c->f->bdf, to = p->f->bdf;
	int function = UNKNOWN;

	route->request = route->completion = P2PDMA_TURN_UNKNOWN;
	if (from.bus == to.bus && !index_is_group(naive, c))
		function = from.devfn > 7 || to.devfn > 7 ? to.devfn : to.devfn & 7;
	if (c->acs.known == P2PDMA_YES)
		route->request =
			c->acs.capability & (RR | EC) ? egress(c, function) : P2PDMA_TURN_REDIRECT;
	if (p->acs.known != P2PDMA_YES)
		return;
	if (!(p->acs.capability & (RR | CR | EC)) || p->acs.control & CR)
		route->completion = P2PDMA_TURN_REDIRECT;
	else
		route->completion = P2PDMA_TURN_DIRECT;
}

/* Translated requests: a port with TransBlk blocks them. */
static int translated(const struct node *common, const struct node *client, int request)
{
	const struct node *c = common ? child_of(common, client) : NULL;
	/* DirectTrans counts where the controls decide: not where nobody declared any. */
	bool is_controlled = c && c->acs.known == P2PDMA_YES &&
	                     (!is_link(common) || c->acs.capability & (RR | EC));
	bool is_direct = is_controlled && c->acs.control & DT;
	const struct node *end = request == P2PDMA_TURN_REDIRECT && !is_direct ? NULL : common;
	int worst = P2PDMA_TURN_DIRECT;

	if (client->ats == P2PDMA_NO)
		return worst;
	for (const struct node *n = client; n && n != end; n = n->parent) {
		int here = P2PDMA_TURN_DIRECT;

		/* A bridge of unknown kind may be a port. */
		if (!is_port(n) && !(n->kind == P2PDMA_KIND_UNKNOWN && n->is_bridge))
			continue;
		if (n->acs.known == P2PDMA_UNKNOWN)
			here = P2PDMA_TURN_UNKNOWN;
		else if (n->acs.known == P2PDMA_YES && n->acs.control & TB)
			here = client->ats == P2PDMA_YES ? P2PDMA_TURN_BLOCKED
			                                 : P2PDMA_TURN_UNKNOWN;
		worst = here > worst ? here : worst;
	}
	return worst;
}

/* What can sit on a conventional bus; a PCIe port there means that the bridge above is no such
 * bridge. */
static bool sits_on_pci(const struct node *node)
{
	return node->kind == P2PDMA_KIND_PCI || node->kind == P2PDMA_KIND_PCI_BRIDGE ||
	       node->kind == P2PDMA_KIND_PCI_TO_PCIE || node->kind == P2PDMA_KIND_UNKNOWN;
}

static void turns(const struct naive *naive, const struct node *common, const struct node *provider,
                  const struct node *client, struct p2pdma_route *route)
{
	int other;

	if (provider == client) {
		route->request = route->completion = P2PDMA_TURN_DIRECT;
		return;
	}
	if (common == provider || common == client) {
		route->request = route->completion = P2PDMA_TURN_UNKNOWN;
		return;
	}
	if (!common)
		route->request = route->completion = P2PDMA_TURN_ROOT;
	else if (common->kind == P2PDMA_KIND_UPSTREAM_PORT)
		turns_in_switch(child_of(common, client), child_of(common, provider), route);
	else if (is_link(common))
		turns_on_link(naive, child_of(common, client), child_of(common, provider), route);
	else if ((common->kind == P2PDMA_KIND_PCIE_TO_PCI ||
	          common->kind == P2PDMA_KIND_PCI_BRIDGE) &&
	         sits_on_pci(child_of(common, client)) && sits_on_pci(child_of(common, provider)))
		route->request = route->completion = P2PDMA_TURN_DIRECT;
	else
		route->request = route->completion = P2PDMA_TURN_UNKNOWN;
	other = translated(common, client, route->request);
	if (other > route->request)
		route->request = (uint8_t)other;
}

/* Every port from the common node up must turn a redirected TLP round. */
static bool turns_round(const struct node *common)
{
	for (const struct node *n = common; n; n = n->parent) {
		if (n->kind == P2PDMA_KIND_UPSTREAM_PORT)
			continue;
		if (!is_port(n) || n->acs.known != P2PDMA_YES || !(n->acs.control & UF))
			return false;
	}
	return true;
}

static int root_complex(const struct naive *naive, const struct node *provider,
                        const struct node *client, bool is_read)
{
	if (provider->root_missing || client->root_missing)
		return P2PDMA_VERDICT_UNKNOWN;
	if (is_read && (naive_refuses_reads(provider->root) || naive_refuses_reads(client->root)))
		return P2PDMA_BLOCKED;
	if (naive->cpu == P2PDMA_CPU_AMD_ZEN ||
	    naive_listed(provider->root, client->root, newest) == P2PDMA_YES)
		return P2PDMA_ROOT_COMPLEX;
	return P2PDMA_VERDICT_UNKNOWN;
}

/* Is the top of the chain a root port that picks by egress vector between root ports, or may? */
static bool leaves_by_egress(const struct node *client)
{
	const struct node *top = client;

	while (top->parent)
		top = top->parent;
	return top->kind == P2PDMA_KIND_ROOT_PORT &&
	       (top->acs.known == P2PDMA_UNKNOWN ||
	        (top->acs.known == P2PDMA_YES && (top->acs.control & (EC | RR)) == EC));
}

static int verdict_of(const struct naive *naive, int turn, const struct node *common,
                      const struct node *provider, const struct node *client, bool is_read)
{
	int verdict;

	switch (turn) {
	case P2PDMA_TURN_DIRECT:
		return P2PDMA_DIRECT;
	case P2PDMA_TURN_REDIRECT:
		if (!turns_round(common))
			return P2PDMA_VERDICT_UNKNOWN;
		return root_complex(naive, provider, client, is_read);
	case P2PDMA_TURN_ROOT:
		verdict = root_complex(naive, provider, client, is_read);
		if (verdict < P2PDMA_VERDICT_UNKNOWN && leaves_by_egress(client))
			return P2PDMA_VERDICT_UNKNOWN;
		return verdict;
	case P2PDMA_TURN_BLOCKED:
		return P2PDMA_BLOCKED;
	default:
		return P2PDMA_VERDICT_UNKNOWN;
	}
}

static bool is_qemu_model(const struct node *node)
{
	int64_t vendor = node->pf ? node->pf->vendor : node->vendor;

	return vendor == 0x1b36 || vendor == 0x1234 || node->subsystem == 0x11001af4;
}

/* QEMU obeys no ACS bit: raw addresses always arrive, unless a virtual IOMMU translates. */
static int virtual_verdict(const struct naive *naive, int verdict, const struct node *provider,
                           const struct node *client)
{
	enum p2pdma_iommu iommu = client->f->iommu;

	if (!naive->virtual_machine || provider == client)
		return verdict;
	if (naive->virtual_machine == 2 && is_qemu_model(provider) && is_qemu_model(client)) {
		if (iommu != P2PDMA_IOMMU_NONE && iommu != P2PDMA_IOMMU_PASSTHROUGH)
			return P2PDMA_VERDICT_UNKNOWN;
		return verdict == P2PDMA_DIRECT ? P2PDMA_DIRECT : P2PDMA_ROOT_COMPLEX;
	}
	return verdict == P2PDMA_BLOCKED ? verdict : P2PDMA_VERDICT_UNKNOWN;
}

/* No yes to memory, or to a Memory Space Enable, that nobody has seen. */
static bool nobody_saw_target(const struct node *provider)
{
	if (provider->is_dead)
		return false;
	return naive_memory_unknown(provider) || (!provider->is_vf && provider->command == UNKNOWN);
}

/* A node below @end whose capabilities nobody saw may stop what comes by. */
static bool hides_something(const struct node *node, const struct node *end)
{
	for (; node && node != end; node = node->parent)
		if (!node->is_dead &&
		    (node->kind == P2PDMA_KIND_UNKNOWN || node_capability(node, 0x01) == UNKNOWN))
			return true;
	return false;
}

struct p2pdma_route naive_pair(const struct naive *naive, size_t provider_index,
                               size_t client_index)
{
	const struct node *provider = &naive->nodes[provider_index];
	const struct node *client = &naive->nodes[client_index];
	struct p2pdma_route route = { 0 };
	int distance, first, second;
	bool is_near, is_near_request;
	const struct node *common = common_node(provider, client, &distance);

	kernel_verdict(naive, provider, client, &route);
	turns(naive, common, provider, client, &route);
	first = verdict_of(naive, route.request, common, provider, client, false);
	route.write = (uint8_t)virtual_verdict(naive, first, provider, client);
	first = verdict_of(naive, route.request, common, provider, client, true);
	second = verdict_of(naive, route.completion, common, provider, client, true);
	first = first > second ? first : second;
	route.read = (uint8_t)virtual_verdict(naive, first, provider, client);
	route.stops = (uint8_t)naive_stops(provider, client, common, route);
	is_near_request = route.request == P2PDMA_TURN_DIRECT;
	is_near = is_near_request && route.completion == P2PDMA_TURN_DIRECT;
	if (provider == client)
		return route;
	if (provider->is_bridge || client->is_bridge) {
		route.request = route.completion = P2PDMA_TURN_UNKNOWN;
		route.write = route.read = P2PDMA_VERDICT_UNKNOWN;
	}
	if (nobody_saw_target(provider) || (client->command == UNKNOWN && !client->is_dead) ||
	    hides_something(provider, is_near ? common : NULL) ||
	    hides_something(client, is_near ? common : NULL)) {
		if (route.write < P2PDMA_VERDICT_UNKNOWN)
			route.write = P2PDMA_VERDICT_UNKNOWN;
		if (route.read < P2PDMA_VERDICT_UNKNOWN)
			route.read = P2PDMA_VERDICT_UNKNOWN;
	}
	if (naive_claimed_twice(naive, provider, client, common, is_near_request ? common : NULL))
		route.write = route.read = P2PDMA_VERDICT_UNKNOWN;
	return route;
}
