/* SPDX-License-Identifier: MIT */
/*
 * info.h - filling in a caller's sized struct.
 *
 * base/ may be used by all code in the tree and may use nothing outside itself.
 */
#ifndef BASE_INFO_H
#define BASE_INFO_H

#include <errno.h>
#include <stddef.h>
#include <string.h>

/*
 * Copies @own (of @own_size, its first member a size_t size) over @theirs up to the size the caller
 * compiled against, which it keeps.  -EINVAL when that is below the first published struct.
 */
static inline int copy_info(void *theirs, const void *own, size_t own_size)
{
	size_t size;

	memcpy(&size, theirs, sizeof(size));
	if (size < own_size)
		return -EINVAL;
	memcpy((char *)theirs + sizeof(size), (const char *)own + sizeof(size),
	       own_size - sizeof(size));
	return 0;
}

#endif
