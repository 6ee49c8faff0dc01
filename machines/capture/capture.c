/* SPDX-License-Identifier: MIT */
/*
 * capture.c - a machine in a file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"
#include "report.h"
#include "snapshot.h"

#define FIRST_SIZE (1u << 20)

/* All of a file or pipe, up to the limit. */
static int read_all(int fd, const char *name, struct p2pdma_error *err, char **ret_text,
                    size_t *ret_length)
{
	size_t size = FIRST_SIZE, length = 0;
	char *text = malloc(size), *larger;
	int r = text ? 0 : -ENOMEM;

	while (!r) {
		ssize_t n = read(fd, text + length, size - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = -errno;
		if (n <= 0)
			break;
		length += (size_t)n;
		if (length < size)
			continue;
		larger = size < SNAPSHOT_MAX_INPUT ? realloc(text, 2 * size) : NULL;
		if (!larger)
			r = size < SNAPSHOT_MAX_INPUT ? -ENOMEM : -E2BIG;
		else
			text = larger;
		size *= 2;
	}
	if (r) {
		free(text);
		return report(err, r, "%.200s: %s", name,
		              r == -E2BIG ? "larger than 512 MiB: no capture of one machine"
		                          : strerror(-r));
	}
	*ret_text = text;
	*ret_length = length;
	return 0;
}

static int capture_open(const char *args, struct p2pdma_error *err, void **ret_private,
                        struct snapshot **ret_snapshot)
{
	bool is_stdin = !strcmp(args, "-");
	const char *name = is_stdin ? "standard input" : args;
	struct stat stat;
	size_t length = 0;
	char *text = NULL;
	int fd, r;

	(void)ret_private;
	if (!*args)
		return report(
			err, -EINVAL,
			"capture: names no file; use capture:FILE, or capture:- for standard input");
	fd = is_stdin ? STDIN_FILENO : open(args, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		r = -errno;
		return report(err, r, "%.200s: %s", name, strerror(-r));
	}
	if (!fstat(fd, &stat) && S_ISDIR(stat.st_mode))
		r = report(err, -EISDIR,
		           "%.200s: is a directory; a copy of /sys is opened with live:root=DIR",
		           name);
	else
		r = read_all(fd, name, err, &text, &length);
	if (!is_stdin)
		close(fd);
	if (r)
		return r;
	r = snapshot_read_text(text, length, name, err, ret_snapshot);
	free(text);
	return r;
}

const struct machine_ops capture_ops = {
	.kind = "capture",
	.open = capture_open,
};
