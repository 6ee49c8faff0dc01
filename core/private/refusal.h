/* SPDX-License-Identifier: MIT */
/*
 * refusal.h - in a few words for an error text, what stops a client: which port, which bit.
 *
 * May use include/p2pdma/ and routes.h.
 */
#ifndef REFUSAL_H
#define REFUSAL_H

#include "routes.h"

#define REFUSAL_TEXT 160

/*
 * "ReqRedir+ at 0000:02:00.0, UpstreamFwd- at 0000:00:01.0": what keeps @op from being a yes; empty
 * when that is not known.  Devices of the routes' picture.
 */
void refusal_text(const struct p2pdma_routes *routes, const struct p2pdma_device *provider,
                  const struct p2pdma_device *client, enum p2pdma_op op, char text[REFUSAL_TEXT]);

#endif
