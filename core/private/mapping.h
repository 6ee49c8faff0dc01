/* SPDX-License-Identifier: MIT */
/*
 * mapping.h - what revocation asks of a mapping beside map.h.
 *
 * May use include/p2pdma/ and the rest of core/private/.
 */
#ifndef MAPPING_H
#define MAPPING_H

#include <p2pdma/map.h>

/*
 * Whether the client could still reach the memory after its IOMMU entries are gone: untranslated,
 * by a switch's short cut, or by translations it keeps (ATS); when it was mapped, or as registers
 * are now; or another mapping of its keeps the entries.  Without any lock.
 */
bool mapping_bypasses_iommu(const struct p2pdma_mapping *mapping);

#endif
