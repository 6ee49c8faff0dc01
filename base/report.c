/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>

#include "report.h"

int report(struct p2pdma_error *err, int code, const char *format, ...)
{
	va_list args;

	if (!err)
		return code;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return code;
}
