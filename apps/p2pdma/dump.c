/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app.h"

static int write_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		length -= (size_t)n;
	}
	return fsync(fd) && errno != EINVAL ? -errno : 0;
}

/* A device or pipe is written to, never replaced. */
static int write_special(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = write_all(fd, text, strlen(text));
	if (close(fd) && !r)
		r = -errno;
	return r;
}

/* Beside the file and then in its place, so that nobody ever reads half a capture. */
static int replace_file(const char *path, mode_t mode, const char *text)
{
	char *temporary;
	int fd, r;

	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return -ENOMEM;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		r = -errno;
		free(temporary);
		return r;
	}
	r = write_all(fd, text, strlen(text));
	if (!r && fchmod(fd, mode))
		r = -errno;
	if (close(fd) && !r)
		r = -errno;
	if (!r && rename(temporary, path))
		r = -errno;
	if (r)
		unlink(temporary);
	free(temporary);
	return r;
}

static int write_file(const char *path, const char *text)
{
	mode_t mask = umask(0);
	struct stat status;
	char *real;
	int r;

	umask(mask);
	if (stat(path, &status))
		return replace_file(path, 0666 & ~mask, text);
	if (!S_ISREG(status.st_mode))
		return write_special(path, text);
	real = realpath(path, NULL); /* a link stays a link */
	if (!real)
		return -errno;
	r = replace_file(real, status.st_mode & 0777, text);
	free(real);
	return r;
}

int verb_dump(struct app *app)
{
	char *text;
	int r = p2pdma_machine_dump(app->machine, app->is_redacted ? P2PDMA_DUMP_REDACT : 0, &text);

	if (r)
		return complain(EXIT_INPUT, "%s", strerror(-r));
	if (!app->output || !strcmp(app->output, "-"))
		fputs(text, stdout);
	else
		r = write_file(app->output, text);
	free(text);
	if (r)
		return complain(EXIT_INPUT, "%s: %s", app->output, strerror(-r));
	if (app->info.privileged == P2PDMA_NO)
		complain(
			0,
			"only the first 64 bytes of each function could be read: run as root for ACS");
	return 0;
}
