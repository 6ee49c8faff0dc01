/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "callocs.h"

int callocs_left = -1;
void (*in_calloc)(void);

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
	void (*call)(void) = in_calloc;

	in_calloc = NULL;
	if (call)
		call();
	if (callocs_left >= 0 && callocs_left-- == 0)
		return NULL;
	return __real_calloc(count, size);
}
