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

static int capture_open(const char *args, const struct p2pdma_model *const *models,
                        struct p2pdma_error *err, struct machine_opened *ret_opened)
{
	bool is_stdin = !strcmp(args, "-");
	const char *name = is_stdin ? "standard input" : args;
	struct stat stat;
	size_t length = 0;
	char *text = NULL;
	int fd, r;

	(void)models;
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
		r = snapshot_read_input(fd, name, err, &text, &length);
	if (!is_stdin)
		close(fd);
	if (r)
		return r;
	r = snapshot_read_text(text, length, name, err, &ret_opened->snapshot);
	free(text);
	return r;
}

const struct machine_ops capture_ops = {
	.kind = "capture",
	.open = capture_open,
};
