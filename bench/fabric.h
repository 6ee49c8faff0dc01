/* SPDX-License-Identifier: MIT */
/* fabric.h - a large machine for benchmarks. */
#ifndef BENCH_FABRIC_H
#define BENCH_FABRIC_H

#include "snapshot.h"

/*
 * @count functions or a few more: PCI domains of 15 root ports, each with a switch, two NICs of
 * eight virtual functions and two nested switches of four drives.  Redirect is on in every other
 * outer switch.  Aborts when out of memory.
 */
struct snapshot *bench_fabric(size_t count);

#endif
