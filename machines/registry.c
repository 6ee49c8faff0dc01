/* SPDX-License-Identifier: MIT */
#include "machine_ops.h"

const struct machine_ops *const machine_registry[] = { NULL };
