/* SPDX-License-Identifier: MIT */
#ifndef SIM_H
#define SIM_H

#include "machine_ops.h"

extern const struct machine_ops sim_ops;

#endif
