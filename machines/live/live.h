/* SPDX-License-Identifier: MIT */
#ifndef LIVE_H
#define LIVE_H

#include "machine_ops.h"

extern const struct machine_ops live_ops;

#endif
