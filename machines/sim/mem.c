/* SPDX-License-Identifier: MIT */
/*
 * mem.c - model "mem": a BAR of memory, that of a file if it names one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

/* New, or as long as the BAR: nobody's file is cut or grown. */
static int size_file(int fd, uint64_t size, bool makes, const char *path, struct p2pdma_error *err)
{
	struct stat stat;

	if (fstat(fd, &stat))
		return report(err, -errno, "%.200s: %s", path, strerror(errno));
	if (!S_ISREG(stat.st_mode))
		return report(err, -EINVAL, "%.200s: no regular file", path);
	if (stat.st_size && (uint64_t)stat.st_size != size)
		return report(err, -EINVAL, "%.200s: %lld bytes, but the BAR has %llu", path,
		              (long long)stat.st_size, (unsigned long long)size);
	if (!stat.st_size && !makes)
		return -ENOENT;
	if (!stat.st_size && ftruncate(fd, (off_t)size))
		return report(err, -errno, "%.200s: %s", path, strerror(errno));
	return 0;
}

/* @makes: it, if there is none; else -ENOENT. */
static int map_file(struct bar *bar, const char *path, bool makes, struct p2pdma_error *err)
{
	int flags = O_RDWR | O_CLOEXEC | O_NONBLOCK | (makes ? O_CREAT : 0);
	int fd = open(path, flags, 0666), r;
	void *memory;

	if (fd < 0)
		return report(err, -errno, "%.200s: %s", path, strerror(errno));
	r = size_file(fd, bar->size, makes, path, err);
	if (!r) {
		memory = mmap(NULL, bar->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (memory == MAP_FAILED)
			r = report(err, -errno, "%.200s: %s", path, strerror(errno));
		else
			bar->memory = memory;
	}
	close(fd);
	bar->is_mapped = !r;
	return r;
}

static bool has_directory(char *path)
{
	char *slash = strrchr(path, '/');
	bool has;

	if (!slash || slash == path)
		return true;
	*slash = 0;
	has = !access(path, W_OK | X_OK);
	*slash = '/';
	return has;
}

/* At the first access: who only looks at a machine makes no files. */
uint8_t *mem_make_file(struct bar *bar)
{
	return map_file(bar, bar->path, true, NULL) ? NULL : bar->memory;
}

/* @ret_path: of its file, which is the state; NULL: the fabric's memory. */
static int add(struct p2pdma_function *function, struct p2pdma_error *err, char **ret_path)
{
	uint64_t bar = p2pdma_model_param(function, "bar", 0);
	uint64_t size = p2pdma_model_param(function, "size", 0);
	const char *name = p2pdma_model_param_text(function, "file");
	struct bar *range;
	char *path;
	int r;

	if (bar < BAR_COUNT && !json_object_get(function->params, "size") &&
	    (!function->is_captured ||
	     (function->bars[bar].kind == BAR_REGISTERS && !function->bars[bar].size)))
		return report(err, -EINVAL, "\"size\" is missing%s",
		              function->is_captured ? ": the capture does not tell it" : "");
	if (bar >= BAR_COUNT || p2pdma_model_add_memory(function, (int)bar, size, NULL))
		return report(err, -EINVAL, "\"size\" must be a power of two from 4K to 16T%s",
		              function->is_captured
		                      ? ", that of the captured BAR, and \"bar\" a memory BAR"
		                      : ", and \"bar\" 0 to 4");
	if (!name)
		return 0;
	path = path_beside(function->fabric->path, name);
	if (!path)
		return -ENOMEM;
	range = &function->bars[bar];
	r = map_file(range, path, false, err);
	if (r && (r != -ENOENT || !has_directory(path))) {
		free(path);
		return r;
	}
	range->path = *ret_path = path;
	return 0;
}

static int mem_create(struct p2pdma_function *function, struct p2pdma_error *err, void **ret_state)
{
	char *path = NULL;
	int r;

	p2pdma_model_set_id(function, 0x1209, 0x0001, 0x050000);
	r = add(function, err, &path);
	if (!r)
		*ret_state = path;
	return r;
}

const struct p2pdma_model mem_model = {
	.size = sizeof(struct p2pdma_model),
	.name = "mem",
	.create = mem_create,
	.destroy = free,
};
