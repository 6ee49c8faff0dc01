/* SPDX-License-Identifier: MIT */
/* written.h - fabrics written as text, for tests; they run in the source's root. */
#ifndef WRITTEN_H
#define WRITTEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

#define HEAD "{\"format\":\"p2pdma-fabric\",\"version\":1,"
#define ROOT HEAD "\"roots\":[{\"below\":["
#define TAIL "]}]}"
#define MEM  "\"model\":\"mem\",\"size\":\"64K\""

static inline int read_text_of(const char *text, size_t length, struct p2pdma_error *err,
                               struct fabric **ret_fabric)
{
	char path[] = "/tmp/p2pdma-file-XXXXXX";
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, length), length);
	close(fd);
	r = fabric_read(path, NULL, err, ret_fabric);
	unlink(path);
	/* The name is not the same twice. */
	if (!strncmp(err->text, path, strlen(path)))
		memmove(err->text, err->text + strlen(path), strlen(err->text + strlen(path)) + 1);
	return r;
}

static inline struct fabric *read_ok(const char *text)
{
	struct p2pdma_error err = { "" };
	struct fabric *fabric = NULL;
	int r = read_text_of(text, strlen(text), &err, &fabric);

	if (r)
		fail_msg("%d: %s", r, err.text);
	return fabric;
}

static inline struct p2pdma_function *at(struct fabric *fabric, const char *text)
{
	struct p2pdma_bdf bdf;

	assert_true(parse_bdf(text, false, &bdf));
	for (size_t i = 0; i < fabric->function_count; i++) {
		const struct p2pdma_bdf *own = &fabric->functions[i]->bdf;

		if (own->domain == bdf.domain && own->bus == bdf.bus && own->devfn == bdf.devfn)
			return fabric->functions[i];
	}
	fail_msg("no %s", text);
	return NULL;
}

/* @head, @count times @element with commas between, @tail. */
static inline char *repeat(const char *head, const char *element, size_t count, const char *tail)
{
	size_t room = strlen(head) + count * (strlen(element) + 1) + strlen(tail) + 1;
	char *text = malloc(room), *end = text;

	assert_non_null(text);
	end = stpcpy(end, head);
	for (size_t i = 0; i < count; i++) {
		end = stpcpy(end, element);
		if (i + 1 < count)
			*end++ = ',';
	}
	strcpy(end, tail);
	return text;
}

/* cmocka's main(): @argv[1] is the root of the source. */
#define RUN_IN_SOURCE(tests) \
	(argc == 2 && !chdir(argv[1]) ? cmocka_run_group_tests(tests, NULL, NULL) : 2)

#endif
