/* SPDX-License-Identifier: MIT */
/* The naive judge's own copy of what is known about root complexes. */
#include "naive.h"

#define ANY 0x10000

static const struct row {
	int vendor, device;
	bool same_only;
	int major, minor; /* first kernel with it; all versions before 6.0 count alike */
} rows[] = {
	{ 0x8086, 0x3c00, true, 5, 4 },  { 0x8086, 0x3c01, true, 5, 4 },
	{ 0x8086, 0x2f00, true, 5, 4 },  { 0x8086, 0x2f01, true, 5, 4 },
	{ 0x8086, 0x2030, false, 5, 7 }, { 0x8086, 0x2031, false, 5, 8 },
	{ 0x8086, 0x2032, false, 5, 8 }, { 0x8086, 0x2033, false, 5, 8 },
	{ 0x8086, 0x2020, false, 5, 8 }, { 0x8086, 0x09a2, false, 5, 19 },
	{ 0x8086, 0x0b25, false, 7, 2 }, { 0x8086, 0x0cfe, false, 7, 2 },
	{ 0x8086, 0x11fb, false, 7, 2 }, { 0x8086, 0x1212, false, 7, 2 },
	{ 0x8086, 0x1216, false, 7, 2 }, { 0x8086, 0x4940, false, 7, 2 },
	{ 0x8086, 0x4942, false, 7, 2 }, { 0x8086, 0x4944, false, 7, 2 },
	{ 0x8086, 0x4946, false, 7, 2 }, { 0x8086, 0x4948, false, 7, 2 },
	{ 0x8086, 0x6f00, true, 7, 4 },  { 0x8086, 0x0c08, true, 7, 4 },
	{ 0x1ae0, ANY, false, 7, 1 },    { 0x10de, 0x2f95, false, 7, 3 },
	{ 0x10de, 0x2f96, false, 7, 3 }, { 0x10de, 0x2f97, false, 7, 3 },
	{ 0x10de, 0x2f98, false, 7, 3 }, { 0x1d17, 0x1003, true, 7, 4 },
	{ 0x1d17, 0x1005, true, 7, 4 },  { 0x1d17, 0x1006, true, 7, 4 },
	{ 0x1d17, 0x1007, true, 7, 4 },  { 0x1d17, 0x1008, false, 7, 4 },
	{ 0x1ded, 0x8000, false, 7, 4 },
};

/* Is the first function of the root bus one the kernel would look up? */
static enum p2pdma_known has_root_device(const struct bus *bus)
{
	const struct node *first = bus->first;

	if (!first || first->vendor < 0 || first->device < 0)
		return P2PDMA_UNKNOWN;
	if (first->f->bdf.devfn == 0 || first->kind == P2PDMA_KIND_ROOT_PORT)
		return P2PDMA_YES;
	return first->kind == P2PDMA_KIND_UNKNOWN ? P2PDMA_UNKNOWN : P2PDMA_NO;
}

static enum p2pdma_known listed(const struct bus *bus, bool same, struct p2pdma_profile profile)
{
	enum p2pdma_known known = has_root_device(bus);

	if (known != P2PDMA_YES)
		return known;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];

		if (row->vendor != bus->first->vendor ||
		    (row->device != ANY && row->device != bus->first->device))
			continue;
		if (row->major > profile.major ||
		    (row->major == profile.major && row->minor > profile.minor))
			continue;
		return row->same_only && !same ? P2PDMA_NO : P2PDMA_YES;
	}
	return P2PDMA_NO;
}

enum p2pdma_known naive_listed(const struct bus *a, const struct bus *b,
                               struct p2pdma_profile profile)
{
	enum p2pdma_known first = listed(a, a == b, profile), second = listed(b, a == b, profile);

	/* One that is not listed is enough for a no. */
	if (first == P2PDMA_NO || second == P2PDMA_NO)
		return P2PDMA_NO;
	return first == P2PDMA_YES && second == P2PDMA_YES ? P2PDMA_YES : P2PDMA_UNKNOWN;
}

/* Arrow Lake-S: NVIDIA/open-gpu-kernel-modules#1253. */
bool naive_refuses_reads(const struct bus *bus)
{
	return has_root_device(bus) == P2PDMA_YES && bus->first->vendor == 0x8086 &&
	       (bus->first->device == 0x7d1a || bus->first->device == 0x7d1b ||
	        bus->first->device == 0x7d2a);
}
