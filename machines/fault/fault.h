/* SPDX-License-Identifier: MIT */
#ifndef FAULT_H
#define FAULT_H

#include "machine_ops.h"

extern const struct machine_ops fault_ops;

#endif
