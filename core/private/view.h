/* SPDX-License-Identifier: MIT */
/*
 * view.h - buffers shown as memory of this process (p2pmem_mmap()).
 *
 * May use include/p2pdma/ and provider.h.
 */
#ifndef VIEW_H
#define VIEW_H

#include "provider.h"

/* All ones instead of the device, and back.  Without any lock. */
void views_revoke(struct p2pdma_provider *provider);
void views_restore(struct p2pdma_provider *provider);
/* The machine is being closed: unmapped. */
void views_end(struct peers *peers);
void views_free(struct peers *peers);

#endif
