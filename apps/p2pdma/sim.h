/* SPDX-License-Identifier: MIT */
/* sim.h - a run of flows on a simulated machine, and how it is told. */
#ifndef APP_SIM_H
#define APP_SIM_H

#include <p2pdma/progress.h>
#include <p2pdma/sim.h>

#include "app.h"

struct sim_run {
	struct p2pdma_sim *sim;
	size_t count;
	struct p2pdma_sim_flow *flows;
	struct p2pdma_sim_flow_result *results;
	uint64_t elapsed; /* virtual nanoseconds until the last arrival, 0: nothing arrived */
};

/* sim_report.c */
void sim_print_text(const struct sim_run *run);
int sim_print_json(const struct sim_run *run); /* exit code */

#endif
