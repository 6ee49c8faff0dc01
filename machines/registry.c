/* SPDX-License-Identifier: MIT */
#include "capture/capture.h"
#include "live/live.h"
#include "machine_ops.h"

const struct machine_ops *const machine_registry[] = { &live_ops, &capture_ops, NULL };
