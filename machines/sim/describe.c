/* SPDX-License-Identifier: MIT */
/*
 * describe.c - what a fabric is made of, beside what its functions' registers tell.
 */
#include "fabric.h"
#include "info.h"
#include "sim_private.h"

static unsigned int mask_of(bool writes, bool reads)
{
	return (writes ? P2PDMA_OP_WRITE : 0) | (reads ? P2PDMA_OP_READ : 0);
}

int p2pdma_sim_root(struct p2pdma_sim *sim, size_t index, struct p2pdma_sim_root *ret_root)
{
	struct p2pdma_sim_root own = { .size = sizeof(own) };
	const struct policy *policy;

	if (index >= sim->fabric->root_count)
		return -ENOENT;
	policy = &sim->fabric->roots[index].policy;
	own.bus = sim->fabric->roots[index].bus;
	own.socket = sim->fabric->roots[index].socket;
	own.platform = policy->name;
	own.same_port = mask_of(policy->writes_same_port, policy->reads_same_port);
	own.across_ports = mask_of(policy->writes_across_ports, policy->reads_across_ports);
	own.across_sockets = mask_of(policy->writes_across_sockets, policy->reads_across_sockets);
	return copy_info(ret_root, &own, sizeof(own));
}

const char *p2pdma_sim_model_name(struct p2pdma_sim *sim, struct p2pdma_bdf bdf)
{
	const struct p2pdma_function *function = fabric_function(sim->fabric, bdf);

	return function && function->model ? function->model->name : NULL;
}
