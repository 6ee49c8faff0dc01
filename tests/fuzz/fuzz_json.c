/* SPDX-License-Identifier: MIT */
/*
 * fuzz_json.c - any bytes as a JSON capture: no crash, an error names its input, and what was read
 * is kept.
 */
#include <stdint.h>

#include "reread.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct p2pdma_error err = { "" };
	struct snapshot *snapshot = NULL;

	if (!snapshot_read_json((const char *)data, size, "FILE", &err, &snapshot))
		reread(snapshot);
	else if (snapshot || !strstr(err.text, "FILE"))
		abort();
	return 0;
}
