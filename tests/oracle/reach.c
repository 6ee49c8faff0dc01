/* SPDX-License-Identifier: MIT */
/* Which of the rarer rules a pair brings up, so that machines which never do are noticed. */
#include "naive.h"

const char *const reach_names[REACH_COUNT] = {
	[REACH_BUS_UNRECORDED] = "bus-unrecorded",
	[REACH_BUS_CONTESTED] = "bus-contested",
	[REACH_LIST_BROKEN] = "list-broken",
	[REACH_EXTENDED_BROKEN] = "extended-broken",
	[REACH_CARDBUS] = "cardbus",
	[REACH_VF_ORPHAN] = "vf-orphan",
	[REACH_TRANSBLK_ABOVE] = "transblk-above",
	[REACH_PF_POWER] = "pf-power",
	[REACH_COMMON_POWER] = "common-power",
	[REACH_FUNCTION_GROUPS] = "function-groups",
	[REACH_ROOT_EGRESS] = "root-egress",
	[REACH_BRIDGE_BAR] = "bridge-bar",
	[REACH_QEMU] = "qemu",
	[REACH_COMMAND_UNKNOWN] = "command-unknown",
	[REACH_ENHANCED_ALLOCATION] = "enhanced-allocation",
	[REACH_WIDTH_TRANSLATED] = "width-translated",
	[REACH_HALF_LISTED] = "half-listed",
	[REACH_CLAIMED_TWICE] = "claimed-twice",
	[REACH_CLAIMED_ON_CLIENT_LEG] = "claimed-on-client-leg",
};

static bool is_whole(const struct node *node)
{
	return !node->is_dead && node->f->config_len == SNAPSHOT_CONFIG_SIZE;
}

static bool is_contested(const struct naive *naive, const struct node *top)
{
	int claims = 0;

	for (size_t i = 0; i < naive->count; i++) {
		const struct node *bridge = &naive->nodes[i];

		claims += bridge->is_bridge && !bridge->is_vf && bridge->secondary > 0 &&
		          bridge->secondary == top->f->bdf.bus &&
		          bridge->secondary > bridge->f->bdf.bus &&
		          bridge->f->bdf.domain == top->f->bdf.domain;
	}
	return claims > 1 && !top->parent;
}

static bool blocks_above(const struct node *client, const struct node *common)
{
	for (const struct node *n = common; n && client->ats == P2PDMA_YES; n = n->parent) {
		if (n->acs.known == P2PDMA_YES && n->acs.control & TB)
			return true;
	}
	return false;
}

static unsigned int of_client(const struct naive *naive, const struct node *client)
{
	const struct node *top = client;
	unsigned int mask = 0;

	while (top->parent)
		top = top->parent;
	if (client->root->number && client->root->first && !client->root->first->f->has_root_bus)
		mask |= 1u << REACH_BUS_UNRECORDED;
	if (is_contested(naive, top))
		mask |= 1u << REACH_BUS_CONTESTED;
	if (is_whole(client) && node_capability(client, 0x10) == UNKNOWN)
		mask |= 1u << REACH_LIST_BROKEN;
	if (node_extended(client, 0x0d) == BROKEN)
		mask |= 1u << REACH_EXTENDED_BROKEN;
	if (client->parent && client->parent->is_cardbus && node_capability(client->parent, 1) > 0)
		mask |= 1u << REACH_CARDBUS;
	if (client->f->has_physfn && !client->pf)
		mask |= 1u << REACH_VF_ORPHAN;
	if (client->pf && client->pf->power > 0 && client->power <= 0)
		mask |= 1u << REACH_PF_POWER;
	if (client->command == UNKNOWN && !client->is_dead)
		mask |= 1u << REACH_COMMAND_UNKNOWN;
	return mask;
}

static unsigned int of_path(const struct node *provider, const struct node *client,
                            const struct node *common, struct p2pdma_route route)
{
	const struct node *top = client, *c = client;
	bool is_direct = route.request == P2PDMA_TURN_DIRECT;
	unsigned int mask = 0;

	while (top->parent)
		top = top->parent;
	while (c->parent && c->parent != common)
		c = c->parent;
	if (route.request == P2PDMA_TURN_BLOCKED && c->acs.control & RR &&
	    blocks_above(client, common))
		mask |= 1u << REACH_TRANSBLK_ABOVE;
	if (is_direct && common && common->power > 0)
		mask |= 1u << REACH_COMMON_POWER;
	if (common && c->acs.control & EC && node_extended(c, 0x0e) > 0 &&
	    route.request == P2PDMA_TURN_UNKNOWN)
		mask |= 1u << REACH_FUNCTION_GROUPS;
	if (!common && top->kind == P2PDMA_KIND_ROOT_PORT && (top->acs.control & (EC | RR)) == EC)
		mask |= 1u << REACH_ROOT_EGRESS;
	if ((provider->is_bridge || client->is_bridge) && !naive_memory_unknown(provider))
		mask |= 1u << REACH_BRIDGE_BAR;
	if (client->f->iommu == P2PDMA_IOMMU_TRANSLATED && client->f->dma_mask_bits == 32 &&
	    !is_direct && !route.stops)
		mask |= 1u << REACH_WIDTH_TRANSLATED;
	return mask;
}

unsigned int naive_reach(const struct naive *naive, size_t provider_index, size_t client_index,
                         struct p2pdma_route route)
{
	const struct node *provider = &naive->nodes[provider_index];
	const struct node *client = &naive->nodes[client_index], *common = NULL;
	unsigned int mask;

	if (provider == client)
		return 0;
	for (const struct node *a = client; a && !common; a = a->parent) {
		for (const struct node *b = provider; b && !common; b = b->parent)
			common = a == b ? a : NULL;
	}
	mask = of_client(naive, client) | of_path(provider, client, common, route);
	if (naive->virtual_machine == 2 && provider->subsystem == 0x11001af4 &&
	    route.write < P2PDMA_VERDICT_UNKNOWN)
		mask |= 1u << REACH_QEMU;
	if (route.write == P2PDMA_VERDICT_UNKNOWN && route.request == P2PDMA_TURN_DIRECT &&
	    !naive->virtual_machine) {
		/* Beside the provider, or only on the client's leg. */
		if (naive_claimed_twice(naive, provider, provider, common, common))
			mask |= 1u << REACH_CLAIMED_TWICE;
		else if (naive_claimed_twice(naive, provider, client, common, common))
			mask |= 1u << REACH_CLAIMED_ON_CLIENT_LEG;
	}
	if (node_capability(provider, 0x14) > 0 && naive_memory_unknown(provider))
		mask |= 1u << REACH_ENHANCED_ALLOCATION;
	if (!common && route.map_type == P2PDMA_MAP_NOT_SUPPORTED &&
	    provider->root != client->root &&
	    (provider->root->first->device < 0 || client->root->first->device < 0))
		mask |= 1u << REACH_HALF_LISTED;
	return mask;
}
