/* SPDX-License-Identifier: MIT */
/*
 * policy.c - what known root complexes do with peer traffic, each with its source.
 *
 * A row of Linux's allowlist (drivers/pci/p2pdma.c, pci_p2pdma_whitelist[]; cited by commit) is
 * taken to forward both ops below one root port and between ports, which the kernel tells no more
 * apart than reads from writes.  It speaks of any two host bridges, so of those of two sockets,
 * too, but for REQ_SAME_HOST_BRIDGE.  None says how a read is refused, so by the spec's UR (PCIe
 * Base 2.3.1).  What a source does not speak of is not forwarded.
 */
#include <string.h>

#include "fabric.h"

#define ANY_DEVICE 0xffff
#define MOST_MORE  10

#define ROW(platform, bridge, where, ...)                                             \
	{                                                                             \
		.name = platform, .host_bridge = bridge, .source = where, __VA_ARGS__ \
	}
#define NOTHING .splits = false
#define WRITES  .writes_across_ports = true
#define ONE_SOCKET \
	WRITES, .reads_across_ports = true, .writes_same_port = true, .reads_same_port = true
#define EVERYWHERE ONE_SOCKET, .writes_across_sockets = true, .reads_across_sockets = true

/* clang-format off */
static const struct policy policies[] = {
	ROW("refuses", 0, "PCIe Base 1.3.1: none need forward between its ports", NOTHING),
	ROW("forwards", 0, "no machine: what PCIe Base 1.3.1 allows, in full", EVERYWHERE),
	ROW("intel-sandy-bridge-e", 0x80863c00, "Linux 494d63b0d5d0 (same host bridge)", ONE_SOCKET),
	ROW("intel-haswell-e", 0x80862f00, "Linux 494d63b0d5d0 (same host bridge)", ONE_SOCKET),
	ROW("intel-broadwell-e", 0x80866f00, "Linux e7b44579a6b4 (same host bridge; queued)",
	    ONE_SOCKET),
	ROW("intel-haswell-client", 0x80860c08,
	    "Linux e7b44579a6b4 (same host bridge; queued); but see intel-client", ONE_SOCKET),
	ROW("intel-skylake-sp", 0x80862020,
	    "Linux bc123a515cb7, 7b94b53db34f: any two host bridges", EVERYWHERE),
	ROW("intel-icelake-sp", 0x808609a2,
	    "Linux feaea1fe8b36; 0ba76b19fd4c: accelerators first on their root bus; any two host "
	    "bridges", EVERYWHERE),
	ROW("intel-arrow-lake", 0x80867d1a,
	    "NVIDIA/open-gpu-kernel-modules#1253: writes between root ports pass at full rate, "
	    "reads fail with no error logged anywhere, which leaves ones (UR and timeout are "
	    "logged); one port and sockets not spoken of", WRITES, .refusal = REFUSE_ONES),
	ROW("intel-client", 0x80864c43,
	    "NVIDIA/open-gpu-kernel-modules#1253, the GPU's vendor: Intel client CPUs are known to "
	    "support peer writes only; how reads end and one port not spoken of; 4c43 (Rocket "
	    "Lake) stands for the class", WRITES),
	ROW("intel-64-byte", 0,
	    "NCCL src/graph/topo.h, INTEL_P2P_OVERHEAD: Intel CPUs turn peer traffic into 64-byte "
	    "TLPs; which ones and sockets not spoken of, so it has no ID", ONE_SOCKET,
	    .splits = true),
	ROW("amd-zen", 0x10221450,
	    "Linux 0f97da831026, 7d5b10fcb81e, dea286bb71ba: every Zen or newer, whatever host "
	    "bridge or socket; AMD (linux-pci, 2020-07-23): reads and writes", EVERYWHERE),
	ROW("google", 0, "Linux 70cf146a674c, 1a1f96e3e2a8: any two host bridges", EVERYWHERE),
	ROW("nvidia-vera-rubin", 0x10de2f95, "Linux 894a78088fc3: any two host bridges",
	    EVERYWHERE),
	ROW("zhaoxin", 0x1d171003, "Linux f7c2204 (same host bridge; queued)", ONE_SOCKET),
	ROW("zhaoxin-1008", 0x1d171008, "Linux f7c2204 (queued): any two host bridges",
	    EVERYWHERE),
	ROW("alibaba-yitian-710", 0x1ded8000,
	    "Linux 6a0b9a75b986 (queued): any two host bridges", EVERYWHERE),
};

/* Further IDs, by the same sources. */
static const struct {
	const char *name;
	uint32_t bridges[MOST_MORE];
} more[] = {
	{ "intel-sandy-bridge-e", { 0x80863c01 } },
	{ "intel-haswell-e", { 0x80862f01 } },
	{ "intel-skylake-sp", { 0x80862030, 0x80862031, 0x80862032, 0x80862033 } },
	{ "intel-icelake-sp", { 0x80860b25, 0x80860cfe, 0x808611fb, 0x80861212, 0x80861216,
	                        0x80864940, 0x80864942, 0x80864944, 0x80864946, 0x80864948 } },
	{ "intel-arrow-lake", { 0x80867d1b, 0x80867d2a } },
	{ "amd-zen", { 0x10221480, 0x102215d0, 0x10221630 } },
	{ "google", { 0x1ae00000 | ANY_DEVICE } },
	{ "nvidia-vera-rubin", { 0x10de2f96, 0x10de2f97, 0x10de2f98 } },
	{ "zhaoxin", { 0x1d171005, 0x1d171006, 0x1d171007 } },
};
/* clang-format on */

const struct policy *policy_at(size_t index)
{
	return index < sizeof(policies) / sizeof(policies[0]) ? &policies[index] : NULL;
}

const struct policy *policy_find(const char *name)
{
	const struct policy *policy;

	for (size_t i = 0; (policy = policy_at(i)); i++)
		if (!strcmp(policy->name, name))
			return policy;
	return NULL;
}

const struct policy *policy_of_bridge(uint32_t host_bridge)
{
	const struct policy *policy;

	for (size_t i = 0; host_bridge && (policy = policy_at(i)); i++)
		if (policy->host_bridge == host_bridge)
			return policy;
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
		for (size_t j = 0; j < MOST_MORE && more[i].bridges[j]; j++)
			if (more[i].bridges[j] == host_bridge ||
			    more[i].bridges[j] == (host_bridge | ANY_DEVICE))
				return policy_find(more[i].name);
	return NULL;
}
