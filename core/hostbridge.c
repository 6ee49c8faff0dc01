/* SPDX-License-Identifier: MIT */
#include "hostbridge.h"

#define ROW(v, d, same, name, major, minor, uncertain, where)      \
	{                                                          \
		.vendor = (v), .device = (d), .same_only = (same), \
		.trust = {                                         \
			.vendor = (v),                             \
			.device = (d),                             \
			.label = (name),                           \
			.since = { (major), (minor) },             \
			.since_uncertain = (uncertain),            \
			.source = (where),                         \
		},                                                 \
	}

/*
 * Linux drivers/pci/p2pdma.c, pci_p2pdma_whitelist[], in its order.  "same" is its
 * REQ_SAME_HOST_BRIDGE. A version is uncertain where only the commit was seen, not the release it
 * went into.
 */
static const struct hostbridge_row allowlist[] = {
	ROW(0x8086, 0x3c00, true, "Intel Sandy Bridge-E", 5, 4, false, "494d63b0d5d0"),
	ROW(0x8086, 0x3c01, true, "Intel Sandy Bridge-E", 5, 4, false, "494d63b0d5d0"),
	ROW(0x8086, 0x2f00, true, "Intel Haswell-E", 5, 4, false, "494d63b0d5d0"),
	ROW(0x8086, 0x2f01, true, "Intel Haswell-E", 5, 4, false, "494d63b0d5d0"),
	ROW(0x8086, 0x2030, false, "Intel Skylake-E", 5, 7, true, "bc123a515cb7"),
	ROW(0x8086, 0x2031, false, "Intel Skylake-E", 5, 8, false, "7b94b53db34f"),
	ROW(0x8086, 0x2032, false, "Intel Skylake-E", 5, 8, false, "7b94b53db34f"),
	ROW(0x8086, 0x2033, false, "Intel Skylake-E", 5, 8, false, "7b94b53db34f"),
	ROW(0x8086, 0x2020, false, "Intel Skylake-E DMI", 5, 8, true, "bc123a515cb7"),
	ROW(0x8086, 0x09a2, false, "Intel Ice Lake-SP and later", 5, 19, true, "feaea1fe8b36"),
	ROW(0x8086, 0x0b25, false, "Intel DSA (Sapphire Rapids)", 7, 2, true, "0ba76b19fd4c"),
	ROW(0x8086, 0x0cfe, false, "Intel IAA (Sapphire Rapids)", 7, 2, true, "0ba76b19fd4c"),
	ROW(0x8086, 0x11fb, false, "Intel DSA (Granite Rapids-D)", 7, 2, true, "0ba76b19fd4c"),
	ROW(0x8086, 0x1212, false, "Intel DSA (Diamond Rapids)", 7, 2, true, "0ba76b19fd4c"),
	ROW(0x8086, 0x1216, false, "Intel IAA (Diamond Rapids)", 7, 2, true, "0ba76b19fd4c"),
	ROW(0x8086, 0x4940, false, "Intel QAT 4xxx", 7, 2, true, "0ba76b19fd4c"),
	ROW(0x8086, 0x4942, false, "Intel QAT 401xx", 7, 2, true, "0ba76b19fd4c"),
	ROW(0x8086, 0x4944, false, "Intel QAT 402xx", 7, 2, true, "0ba76b19fd4c"),
	ROW(0x8086, 0x4946, false, "Intel QAT 420xx", 7, 2, true, "0ba76b19fd4c"),
	ROW(0x8086, 0x4948, false, "Intel QAT 6xxx", 7, 2, true, "0ba76b19fd4c"),
	ROW(0x8086, 0x6f00, true, "Intel Broadwell-E", 7, 4, true, "e7b44579a6b4 (queued)"),
	ROW(0x8086, 0x0c08, true, "Intel Haswell client", 7, 4, true, "e7b44579a6b4 (queued)"),
	ROW(0x1ae0, HOSTBRIDGE_ANY, false, "Google", 7, 1, false, "1a1f96e3e2a8"),
	ROW(0x10de, 0x2f95, false, "NVIDIA Vera Rubin", 7, 3, false, "894a78088fc3"),
	ROW(0x10de, 0x2f96, false, "NVIDIA Vera Rubin", 7, 3, false, "894a78088fc3"),
	ROW(0x10de, 0x2f97, false, "NVIDIA Vera Rubin", 7, 3, false, "894a78088fc3"),
	ROW(0x10de, 0x2f98, false, "NVIDIA Vera Rubin", 7, 3, false, "894a78088fc3"),
	ROW(0x1d17, 0x1003, true, "Zhaoxin", 7, 4, true, "f7c2204 (queued)"),
	ROW(0x1d17, 0x1005, true, "Zhaoxin", 7, 4, true, "f7c2204 (queued)"),
	ROW(0x1d17, 0x1006, true, "Zhaoxin", 7, 4, true, "f7c2204 (queued)"),
	ROW(0x1d17, 0x1007, true, "Zhaoxin", 7, 4, true, "f7c2204 (queued)"),
	ROW(0x1d17, 0x1008, false, "Zhaoxin", 7, 4, true, "f7c2204 (queued)"),
	ROW(0x1ded, 0x8000, false, "Alibaba Yitian 710", 7, 4, true, "6a0b9a75b986 (queued)"),
};

/*
 * Arrow Lake-S: writes between root ports pass at full rate, reads fail without any error logged
 * (measured on 7d1a); the vendor of the GPU says of Intel's client CPUs that they pass peer writes
 * only.  The other two are the same die family.
 */
#define ARROW_LAKE_SOURCE "github.com/NVIDIA/open-gpu-kernel-modules/issues/1253"
static const struct hostbridge_row refuses_reads[] = {
	ROW(0x8086, 0x7d1a, false, "Intel Arrow Lake-S", 0, 0, false, ARROW_LAKE_SOURCE),
	ROW(0x8086, 0x7d1b, false, "Intel Arrow Lake-S", 0, 0, false, ARROW_LAKE_SOURCE),
	ROW(0x8086, 0x7d2a, false, "Intel Arrow Lake-S", 0, 0, false, ARROW_LAKE_SOURCE),
};

static bool is_newer(struct p2pdma_profile a, struct p2pdma_profile b)
{
	return a.major != b.major ? a.major > b.major : a.minor > b.minor;
}

const struct hostbridge_row *hostbridge_find(uint16_t vendor, uint16_t device,
                                             struct p2pdma_profile profile)
{
	for (size_t i = 0; i < sizeof(allowlist) / sizeof(allowlist[0]); i++) {
		const struct hostbridge_row *row = &allowlist[i];

		if (row->vendor == vendor &&
		    (row->device == device || row->device == HOSTBRIDGE_ANY) &&
		    !is_newer(row->trust.since, profile))
			return row;
	}
	return NULL;
}

const struct hostbridge_row *hostbridge_refuses_reads(uint16_t vendor, uint16_t device)
{
	for (size_t i = 0; i < sizeof(refuses_reads) / sizeof(refuses_reads[0]); i++)
		if (refuses_reads[i].vendor == vendor && refuses_reads[i].device == device)
			return &refuses_reads[i];
	return NULL;
}
