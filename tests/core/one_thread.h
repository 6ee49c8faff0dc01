/* SPDX-License-Identifier: MIT */
/*
 * one_thread.h - base/lock.c of a world with one thread: a lock that is taken twice, and a wait for
 * another thread, are errors.
 */
#ifndef TESTS_ONE_THREAD_H
#define TESTS_ONE_THREAD_H

#include "lock.h"

extern int locks; /* taken now */

/* The test's: says what is wrong, and ends it. */
_Noreturn void lock_failed(const char *what);

#endif
