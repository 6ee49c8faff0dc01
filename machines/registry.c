/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "capture/capture.h"
#include "fault/fault.h"
#include "live/live.h"
#include "machine_ops.h"
#include "sim/sim.h"

static const struct machine_ops *const machines[] = { &live_ops, &capture_ops, &sim_ops,
	                                              &fault_ops };

bool machine_find(const char *spec, struct machine_ops *ret_ops, const char **ret_args)
{
	size_t length = strcspn(spec, ":");

	for (size_t i = 0; spec[length] && i < sizeof(machines) / sizeof(machines[0]); i++) {
		if (strlen(machines[i]->kind) != length ||
		    strncmp(machines[i]->kind, spec, length) != 0)
			continue;
		*ret_ops = machine_with_defaults(machines[i]);
		*ret_args = spec + length + 1;
		return true;
	}
	return false;
}
