/* SPDX-License-Identifier: MIT */
#ifndef CAPTURE_H
#define CAPTURE_H

#include "machine_ops.h"

extern const struct machine_ops capture_ops;

#endif
