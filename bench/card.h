/* SPDX-License-Identifier: MIT */
/* card.h - what ours_shared.start() gives. */
#ifndef BENCH_CARD_H
#define BENCH_CARD_H

struct card {
	struct p2pdma_machine *machine;
	struct p2pdma_device *device;
	struct p2pdma_provider *provider;
};

#endif
