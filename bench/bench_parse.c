/* SPDX-License-Identifier: MIT */
/* Reading `lspci -xxxx` text: 500 functions of 4 KiB. */
#include <stdio.h>

#include "clock.h"
#include "fabric.h"

#define FUNCTIONS 500
#define RUNS      15

static void write_function(FILE *out, const struct snapshot_function *function)
{
	struct p2pdma_bdf bdf = function->bdf;

	fprintf(out, "%04x:%02x:%02x.%x 0108: 144d:a822\n", bdf.domain, bdf.bus, bdf.devfn >> 3u,
	        bdf.devfn & 7u);
	for (size_t at = 0; at < function->config_len; at += 16) {
		fprintf(out, "%02zx:", at);
		for (size_t i = 0; i < 16; i++)
			fprintf(out, " %02x", function->config[at + i]);
		fputc('\n', out);
	}
	fputc('\n', out);
}

int main(void)
{
	struct snapshot *snapshot = bench_fabric(FUNCTIONS);
	struct p2pdma_error error = { "" };
	double runs[RUNS];
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return 1;
	for (size_t i = 0; i < FUNCTIONS; i++)
		write_function(out, &snapshot->functions[i]);
	if (fclose(out))
		return 1;
	snapshot_free(snapshot);
	for (int i = 0; i < RUNS; i++) {
		double start = seconds();

		if (snapshot_read_lspci(text, length, "bench", &error, &snapshot)) {
			fprintf(stderr, "%s\n", error.text);
			return 1;
		}
		runs[i] = seconds() - start;
		if (snapshot->function_count != FUNCTIONS)
			return 1;
		snapshot_free(snapshot);
	}
	runs[0] = median(runs, RUNS);
	printf("lspci -xxxx, %d functions, %.1f MB: %.1f ms, %.0f MB/s (median of %d runs)\n",
	       FUNCTIONS, (double)length * 1e-6, runs[0] * 1e3, (double)length * 1e-6 / runs[0],
	       RUNS);
	free(text);
	return 0;
}
