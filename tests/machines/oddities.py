# SPDX-License-Identifier: MIT
"""Machines that are odd or of which little was captured.  Layouts and lines as in cases.py."""

import cases
import fabric as fb
from cases import (AT, DSP_C, LISTED, MODEL, QEMU, RP, SAME_ONLY, UNLISTED, drive, functions,
                   machine, port, ports, root, siblings, sockets, virtual_functions)
from fabric import Acs, Bar, Sriov, DT, EC, MIB, RR, TB, UF

CASES = {}


def case(name, build):
    assert name not in CASES and name not in cases.CASES
    CASES[name] = build


# Root buses of which the OS said nothing: what lies on them proves them, or not.

def unrecorded(number, *devices):
    m = machine()
    bus = m.root_bus(number)
    bus.recorded = False
    for device in devices:
        bus.add(device)
    return m.assign()


def two(*devices):
    return (*devices, fb.pci_function(), fb.pci_function())


case("roots/unrecorded-host-bridge", lambda: unrecorded(0x40, *two(fb.host_bridge(*LISTED))))
case("roots/unrecorded-no-proof", lambda: unrecorded(0x40, *two()))
case("roots/unrecorded-bus-0", lambda: unrecorded(0, *two()))
case("roots/unrecorded-root-port-last", lambda: unrecorded(0x40, *two(), fb.root_port()))
case("roots/unrecorded-integrated-last", lambda: unrecorded(0x40, *two(), fb.rc_endpoint()))
case("roots/unrecorded-downstream-last", lambda: unrecorded(
    0x40, *two(fb.host_bridge(*LISTED)), fb.downstream()))


def contested():
    """Two root ports that both claim bus 1."""
    m = machine()
    bus = root(m)
    first = port(bus)
    for fn in range(2):
        first.add(drive(acs=Acs(0)), dev=0, fn=fn)
    port(bus).patch(0x19, b"\x01")
    return m.assign()


case("roots/contested-bus", contested)


# Capability lists that loop or end in ones.

def patched(which, offset, data):
    return lambda *nodes: nodes[which].patch(offset, data)


def list_of_ones(*nodes):
    nodes[DSP_C].patch(fb.MSI_AT + 1, b"\xf0").patch(0xf0, b"\xff\xff")


def cardbus():
    """A CardBus bridge in D3: its capabilities start at 14h."""
    m = machine()
    bridge = port(root(m)).add(fb.pcie_to_pci(pm=3))
    bridge.patch(0x0e, b"\x02").patch(0x14, bytes([fb.PM_AT])).patch(0x34, b"\0")
    bridge.add(fb.pci_function())
    bridge.add(fb.pci_function())
    return m.assign()


case("roots/list-loops", lambda: siblings(
    client=RR, edit=patched(DSP_C, fb.MSI_AT + 1, bytes([fb.PM_AT]))))
case("roots/list-of-ones", lambda: siblings(client=RR, edit=list_of_ones))
case("turns/extended-list-loops", lambda: siblings(
    client=RR, edit=patched(DSP_C, 0x100, b"\x01\x00\x02\x10")))
case("turns/extended-space-of-ones", lambda: siblings(
    client=RR, edit=patched(DSP_C, 0x100, b"\xff" * 0xf00)))
case("hazards/cardbus-not-d0", cardbus)


# Who is a VF.

def bridge_in_vf_range():
    """The SR-IOV registers of 01:00.0 lead to a bridge."""
    m = machine()
    above = port(root(m))
    above.add(drive(sriov=Sriov(1, bars=[Bar(16 * MIB, True)])), dev=0)
    bridge = above.add(fb.pcie_to_pci(), dev=0, fn=1)
    bridge.add(fb.pci_function())
    bridge.add(fb.pci_function())
    return m.assign()


def physfn_is_vf(first, second):
    second.physfn = first.bdf


case("roots/bridge-in-vf-range", bridge_in_vf_range)
case("roots/physfn-is-vf", lambda: virtual_functions(
    pf={"mps": 0}, acs=Acs(0), edit=physfn_is_vf))

# TransBlk above the common node.
case("turns/request-at-tb-above", lambda: siblings(rp=TB | UF, c=AT))
case("turns/request-at-rr-tb-above", lambda: siblings(rp=TB | UF, client=RR, c=AT))
case("turns/request-at-dt-rr-tb-above", lambda: siblings(
    rp=TB | UF, client=DT | RR, c=AT))
case("turns/request-rr-tb-above-ats-unknown", lambda: siblings(
    rp=TB | UF, client=RR, c={"config_len": 256}))
case("turns/request-at-rr-acs-above-unknown", lambda: siblings(
    client=RR, c=AT, edit=lambda *nodes: setattr(nodes[RP], "config_len", 256)))

# Power of a PF and of the node where a path turns.
case("hazards/not-d0-pf", lambda: virtual_functions(pf={"pm": 3}, acs=Acs(0)))
case("hazards/not-d0-common-node", lambda: siblings(usp={"pm": 3}))

# Function groups make the egress index one of a group.
GROUPS, OTHER_GROUPS = {"ari": 2}, {"ari": 1}
BLOCKED = {"first": Acs(0), "second": Acs(EC, cases.PEER, vector={0})}
case("turns/link-function-groups", lambda: functions(c=GROUPS, **BLOCKED))
case("turns/link-function-groups-first", lambda: functions(p=GROUPS, **BLOCKED))
case("turns/link-no-acs-function-groups", lambda: functions(
    p=OTHER_GROUPS, c=OTHER_GROUPS, **BLOCKED))
case("turns/link-function-groups-unknown", lambda: functions(p={"config_len": 256}, **BLOCKED))

# Egress control between root ports.
case("roots/egress-at-root-port", lambda: ports(client_rp=Acs(EC | UF, vector=set())))
case("roots/egress-at-root-port-redirect", lambda: ports(
    client_rp=Acs(EC | RR | UF, vector=set())))


def root_port_bar():
    m = machine()
    bus = root(m)
    port(bus).add(drive())
    port(bus, bars=[Bar(MIB)])
    return m.assign()


case("rows/16-other-root-port-bar", root_port_bar)

# Which functions are QEMU's own.
SUBSYSTEM, VIRTIO = {"subsystem": (0x1af4, 0x1100)}, {"vendor": 0x1af4, "device": 0x1041}
case("roots/qemu-subsystem", lambda: siblings(
    p=SUBSYSTEM, c={**SUBSYSTEM, "iommu": "none"}, **QEMU))
case("roots/qemu-other-subsystem", lambda: siblings(
    p={"subsystem": (0x1af4, 0x0001)}, c={**MODEL, "iommu": "none"}, **QEMU))
case("roots/qemu-virtio-vendor", lambda: siblings(p=VIRTIO, c={**MODEL, "iommu": "none"}, **QEMU))


# What was not captured is no yes.

def enhanced_allocation(rp, p, c, provider, client):
    provider.patch(fb.MSI_AT + 1, b"\x60").patch(0x60, bytes([0x14, fb.EXP_AT]))


case("hazards/command-unknown", lambda: siblings(c={"config_len": 4}))
case("hazards/enhanced-allocation", lambda: siblings(
    p={"bars": []}, edit=enhanced_allocation))
case("hazards/enhanced-allocation-unassigned", lambda: siblings(
    p={"bars": [Bar(MIB, True, assigned=False)]}, edit=enhanced_allocation))

# The address width, where the IOMMU gives the address.
NARROW = {"dma_mask_bits": 32, "iommu": "translated"}
case("hazards/address-width-translated", lambda: siblings(client=RR, c=NARROW))
case("hazards/address-width-translated-direct", lambda: siblings(c=NARROW))
case("hazards/address-width-passthrough", lambda: siblings(
    client=RR, c={**NARROW, "iommu": "passthrough"}))


def half_known(host):
    """Two sockets, of the second of which the host bridge's identity was not captured."""
    m = sockets(host, LISTED)
    m.roots[1].children[0].config_len = 2
    return m


case("roots/unlisted-and-unknown", lambda: half_known(UNLISTED))
case("roots/same-only-and-unknown", lambda: half_known(SAME_ONLY))
case("roots/listed-and-unknown", lambda: half_known(LISTED))
