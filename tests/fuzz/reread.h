/* SPDX-License-Identifier: MIT */
/*
 * reread.h - what every reader owes: a capture written and read again writes the same text.
 */
#ifndef REREAD_H
#define REREAD_H

#include <stdlib.h>
#include <string.h>

#include "snapshot.h"

static inline void write_or_abort(const struct snapshot *snapshot, unsigned int flags, char **text)
{
	if (snapshot_write_json(snapshot, flags, text))
		abort();
}

/* Writes, reads and writes @snapshot, also redacted; frees it. */
static inline void reread(struct snapshot *snapshot)
{
	char *first, *second;

	for (unsigned int flags = 0; flags <= P2PDMA_DUMP_REDACT; flags += P2PDMA_DUMP_REDACT) {
		struct snapshot *again;

		write_or_abort(snapshot, flags, &first);
		if (snapshot_read_text(first, strlen(first), "again", NULL, &again))
			abort();
		write_or_abort(again, flags, &second);
		if (strcmp(first, second) != 0)
			abort();
		free(first);
		free(second);
		snapshot_free(again);
	}
	snapshot_free(snapshot);
}

#endif
