# SPDX-License-Identifier: MIT
"""The bundled machines of data/: a two-socket server and a desktop."""

import fabric as fb
from fabric import Acs, Bar, GIB, MIB, CR, EC, RR, SV, UF

REDIRECT = SV | RR | CR | UF  # what Linux turns on when the IOMMU translates


def two_socket():
    """Two Xeons, two switches each; a GPU, a NIC and two NVMe drives below every switch.

    Socket 0 as Linux leaves it with the IOMMU translating: redirect on in switches A and B, but
    firmware has kept UpstreamFwd off on the root port of B.  Socket 1 with redirect off (C and D)
    and an egress vector in D that keeps its last drive from its GPU.
    """
    m = fb.Machine(kernel="6.12.41", kernel_p2pdma=True, cpu_vendor="GenuineIntel", cpu_family=6,
                   hypervisor="none")
    platform = m.root_bus(0x00, node=0)
    platform.add(fb.host_bridge(0x8086, 0x2020, numa_node=0))
    bmc = platform.add(fb.root_port(0x8086, 0xa193, numa_node=0, acs=Acs(REDIRECT),
                                    link=(3, 1, 2, 1), driver="pcieport"), dev=0x1c)
    bridge = bmc.add(fb.pcie_to_pci(numa_node=0, link=(2, 1, 2, 1)))
    bridge.add(fb.pci_function(numa_node=0, driver="ast", iommu_group=1, iommu="translated",
                               subsystem=(0x15d9, 0x1b95)))
    # root bus, NUMA node, ACS of root port, ACS of downstream ports
    switches = [(0x17, 0, REDIRECT, REDIRECT), (0x3a, 0, REDIRECT & ~UF, REDIRECT),
                (0x85, 1, SV, SV), (0xae, 1, SV, SV)]
    for number, plan in enumerate(switches):
        server_switch(m, number, *plan)
    return m.assign()


def server_switch(m, number, bus, node, port_acs, downstream_acs):
    root = m.root_bus(bus, node=node)
    translated = "translated" if node == 0 else "passthrough"
    common = {"numa_node": node}
    rp = root.add(fb.root_port(link=(3, 16, 3, 16), port_number=1, acs=Acs(port_acs),
                               driver="pcieport", **common))
    usp = rp.add(fb.upstream(link=(3, 16, 3, 16), driver="pcieport", **common))

    def slot(dev, lanes, function, **acs):
        port = usp.add(fb.downstream(link=(3, lanes, *function.link[2:]), port_number=dev,
                                     acs=Acs(**{"control": downstream_acs, **acs}),
                                     driver="pcieport", **common), dev=dev)
        function.iommu, function.iommu_group = translated, 16 * number + dev
        function.numa_node = node
        port.add(function)

    trained = (3, 16, 3, 8) if number == 2 else (3, 16, 3, 16)
    slot(0, 16, fb.endpoint(0x10de, 0x1db6, 0x030200, link=trained, driver="nvidia",
                            subsystem=(0x10de, 0x124a), dma_mask_bits=47,
                            bars=[Bar(16 * MIB), Bar(32 * GIB, True), Bar(32 * MIB, True)]))
    slot(8, 16, fb.endpoint(0x15b3, 0x1017, 0x020000, link=(3, 16, 3, 16), driver="mlx5_core",
                            subsystem=(0x15b3, 0x0020), dma_mask_bits=64, names=[f"eth{number}"],
                            serial=0x506b4b0300c0de00 + number, bars=[Bar(32 * MIB, True)]))
    for i in range(2):
        drive = 2 * number + i
        nvme = fb.endpoint(0x144d, 0xa822, link=(3, 4, 3, 4), driver="nvme", dma_mask_bits=64,
                           subsystem=(0x144d, 0xa801), names=[f"nvme{drive}n1"])
        if drive == 0:  # a drive with a Controller Memory Buffer in BAR 4
            nvme.vendor, nvme.device, nvme.subsystem = 0x1de5, 0x1000, (0x1de5, 0x1000)
            nvme.bars = [Bar(16 << 10, wide=True), None, None, Bar(512 * MIB, True)]
        if drive == 3:  # handed to nobody: no driver, memory decode off
            nvme.command, nvme.driver, nvme.names = 0, None, []
        vector = {"vector": {0}, "control": downstream_acs | EC} if drive == 7 else {}
        slot(0xc + 4 * i, 4, nvme, **vector)


def desktop():
    """The desktop of intel/compute-runtime#935, reduced to one switch: both GPUs redirected."""
    m = fb.Machine(kernel="6.12.41", kernel_p2pdma=True, cpu_vendor="GenuineIntel",
                   cpu_family=6, hypervisor="none")
    root = m.root_bus(0)
    root.add(fb.host_bridge(0x8086, 0x4c43))
    rp = root.add(fb.root_port(0x8086, 0x4c01, link=(4, 16, 4, 16), port_number=2,
                               acs=Acs(REDIRECT), driver="pcieport"))
    usp = rp.add(fb.upstream(0x1000, 0xc012, link=(4, 16, 4, 16), driver="pcieport"))
    for n in range(2):
        port = usp.add(fb.downstream(0x1000, 0xc012, link=(4, 16, 4, 16), port_number=n,
                                     acs=Acs(REDIRECT), driver="pcieport"))
        port.add(fb.endpoint(0x8086, 0xe223, 0x030000, link=(4, 16, 4, 16), driver="xe",
                             subsystem=(0x8086, 0x1701), iommu="translated", iommu_group=16 + n,
                             dma_mask_bits=46,
                             bars=[Bar(16 * MIB, wide=True), Bar(32 * GIB, True)]))
    return m.assign()
