/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "snapshot.h"

struct snapshot *snapshot_new(void)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (!snapshot)
		return NULL;
	snapshot->kernel_p2pdma = P2PDMA_UNKNOWN;
	snapshot->cpu_family = -1;
	snapshot->privileged = P2PDMA_UNKNOWN;
	return snapshot;
}
