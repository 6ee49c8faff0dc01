/* SPDX-License-Identifier: MIT */
/* callocs.h - the linker has calloc() come here: --wrap=calloc. */
#ifndef TESTS_CALLOCS_H
#define TESTS_CALLOCS_H

/* The one after so many fails; less than 0: none. */
extern int callocs_left;
/* Called in the next one, if not NULL. */
extern void (*in_calloc)(void);

#endif
