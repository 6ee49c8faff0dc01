/* SPDX-License-Identifier: MIT */
/*
 * replay.c - feeds stored inputs to a fuzzer's function, with any compiler.
 *
 * usage: replay FILE|DIRECTORY...
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MOST_BYTES (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Returns how many inputs were fed, or -1. */
static int feed_file(const char *path)
{
	FILE *file = fopen(path, "rbe");
	uint8_t *data = malloc(MOST_BYTES);
	size_t size = 0;
	int count = -1;

	if (file && data) {
		uint8_t *exact;

		size = fread(data, 1, MOST_BYTES, file);
		/* Of its exact size, so that a sanitizer sees a read behind the end. */
		exact = realloc(data, size ? size : 1);
		if (exact && !ferror(file)) {
			data = exact;
			LLVMFuzzerTestOneInput(data, size);
			count = 1;
		}
	}
	if (count < 0)
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
	if (file)
		fclose(file);
	free(data);
	return count;
}

static int feed(const char *path)
{
	struct dirent *entry;
	struct stat stat_of;
	int count = 0;
	DIR *stream;

	if (stat(path, &stat_of) || !S_ISDIR(stat_of.st_mode))
		return feed_file(path);
	stream = opendir(path);
	if (!stream) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	while (count >= 0 && (entry = readdir(stream))) {
		char below[PATH_MAX];

		if (entry->d_name[0] == '.')
			continue;
		if (snprintf(below, sizeof(below), "%s/%s", path, entry->d_name) >=
		            (int)sizeof(below) ||
		    feed_file(below) < 0)
			count = -1;
		else
			count++;
	}
	closedir(stream);
	return count;
}

int main(int argc, char **argv)
{
	int total = 0;

	for (int i = 1; i < argc; i++) {
		int count = feed(argv[i]);

		if (count < 0)
			return 1;
		total += count;
	}
	printf("%d inputs\n", total);
	return total ? 0 : 1;
}
