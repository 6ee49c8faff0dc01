/* SPDX-License-Identifier: MIT */
/*
 * report.h - filling in a caller's struct p2pdma_error.
 *
 * base/ may be used by all code in the tree and may use nothing outside itself but
 * include/p2pdma/types.h.  No PCI word belongs here.
 */
#ifndef BASE_REPORT_H
#define BASE_REPORT_H

#include <p2pdma/types.h>

/* Writes the text, cut to fit, if @err is not NULL; returns @code, so `return report(...)` reads
 * well. */
int report(struct p2pdma_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
