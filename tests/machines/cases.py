# SPDX-License-Identifier: MIT
"""Small machines, one a rule (more in oddities.py).  What must come out of each is in tests/data/expected.tsv.

Three layouts carry most of them (Linux 7.2 on an Intel CPU, bare metal, unless said otherwise):

  siblings()   00:01.0 root port > 01:00.0 switch > 02:00.0 (port 4) > 03:00.0 provider
                                                  > 02:01.0 (port 8) > 04:00.0 client
  functions()  00:01.0 root port > 01:00.0 and 01:00.1
  ports()      00:01.0 root port > 01:00.0, 00:02.0 root port > 02:00.0
"""

import fabric as fb
from fabric import Acs, Bar, Sriov, CR, DT, EC, GIB, MASTER, MEMORY, MIB, RR, SV, TB, UF

LISTED, SAME_ONLY, UNLISTED = (0x8086, 0x2020), (0x8086, 0x2f00), (0x8086, 0x4c43)
PCH_PORT = (0x8086, 0xa110)
CASES = {}


def case(name, build):
    assert name not in CASES
    CASES[name] = build


def machine(**kw):
    return fb.Machine(**{"kernel": "7.2.12", "cpu_vendor": "GenuineIntel", "cpu_family": 6,
                         "hypervisor": "none", **kw})


def drive(**kw):
    kw.setdefault("bars", [Bar(256 * MIB, True)])
    return fb.endpoint(**kw)


def root(m, host=LISTED, number=0, **kw):
    bus = m.root_bus(number, **kw)
    bus.add(fb.host_bridge(*host))
    return bus


def port(bus, acs=UF, **kw):
    return bus.add(fb.root_port(acs=acs if acs is None or isinstance(acs, Acs) else Acs(acs), **kw))


def switch(above, acs=(0, 0), **kw):
    """A switch with two downstream ports; acs: their ACS controls, Acs or None."""
    usp = above.add(fb.upstream(**kw))
    return [usp.add(fb.downstream(port_number=4 + 4 * i, acs=a if a is None or isinstance(a, Acs)
                                  else Acs(a))) for i, a in enumerate(acs)]


def siblings(host=LISTED, rp=UF, provider=0, client=0, p={}, c={}, usp={}, edit=None, **kw):
    """provider, client: ACS of the two downstream ports; p, c: attributes of the endpoints."""
    m = machine(**kw)
    above = port(root(m, host), rp)
    ports_ = switch(above, (provider, client), **usp)
    a, b = ports_[0].add(drive(**p)), ports_[1].add(drive(**c))
    m.assign()
    if edit:
        edit(above, *ports_, a, b)
    return m


def functions(host=LISTED, rp=UF, first=None, second=None, p={}, c={}, fn=1, dev=0):
    """first, second: ACS of the two functions."""
    m = machine()
    above = port(root(m, host), rp)
    above.add(drive(acs=first, **p), dev=0)
    above.add(drive(acs=second, **c), dev=dev, fn=fn)
    return m.assign()


def ports(host=LISTED, rp=UF, client_rp=None, c={}, **kw):
    m = machine(**kw)
    bus = root(m, host)
    port(bus, rp).add(drive())
    port(bus, rp if client_rp is None else client_rp).add(drive(**c))
    return m.assign()


def sockets(first, second, **kw):
    """One root port and endpoint on each of two root buses: 01:00.0 and 81:00.0."""
    m = machine(**kw)
    for number, host in ((0, first), (0x80, second)):
        port(root(m, host, number)).add(drive())
    return m.assign()


def virtual_functions(pf={}, edit=None, **sriov):
    """A PF 01:00.0 with two VFs of 16 MiB below a root port."""
    m = machine()
    above = port(root(m))
    acs = sriov.pop("acs", None)
    owner = above.add(drive(acs=acs, sriov=Sriov(2, bars=[Bar(16 * MIB, True)], **sriov), **pf))
    owner.add_vfs(acs=acs)
    m.assign()
    if edit:
        edit(*owner.vfs)
    return m


# linux-p2pdma.md 1.4, row by row.

def nested(together):
    m = machine()
    outer = switch(port(root(m, UNLISTED)))
    inner = switch(outer[1])
    (inner[0] if together else outer[0]).add(drive())
    inner[1].add(drive())
    return m.assign()


def beside_switch(rp):
    m = machine()
    above = port(root(m, UNLISTED), rp)
    switch(above)[0].add(drive())
    above.add(drive(), dev=0, fn=1)
    return m.assign()


def two_trees(first_switch, second_switch):
    m = machine()
    bus = root(m, UNLISTED)
    for has_switch in (first_switch, second_switch):
        above = port(bus)
        (switch(above)[0] if has_switch else above).add(drive())
    return m.assign()


def bridge_bar(has_switch):
    m = machine()
    above = port(root(m, UNLISTED), 0)
    above.bars = [Bar(MIB)]
    if has_switch:
        dsp = switch(above, bars=[Bar(MIB)])[0]
        dsp.add(drive())
    else:
        above.add(drive())
    return m.assign()


def integrated(with_port):
    m = machine()
    bus = root(m, UNLISTED)
    bus.add(fb.rc_endpoint())
    if with_port:
        port(bus).add(drive())
    else:
        bus.add(fb.rc_endpoint())
    return m.assign()


def conventional_bus():
    m = machine()
    bridge = port(root(m, UNLISTED)).add(fb.pcie_to_pci())
    bridge.add(fb.pci_function())
    bridge.add(fb.pci_function())
    return m.assign()


case("rows/01-same-function", lambda: functions(UNLISTED))
case("rows/01-same-function-own-redirect", lambda: functions(UNLISTED, first=Acs(RR)))
case("rows/02-one-device", lambda: functions(UNLISTED))
case("rows/02-pf-vf", virtual_functions)
case("rows/03-two-integrated", lambda: integrated(False))
case("rows/04-conventional-bus", conventional_bus)
case("rows/05-siblings", lambda: siblings(UNLISTED))
case("rows/06-nested-switch", lambda: nested(False))
case("rows/07-both-in-nested-switch", lambda: nested(True))
case("rows/08-beside-upstream-port", lambda: beside_switch(0))
case("rows/08-beside-upstream-port-redirect", lambda: beside_switch(RR))
case("rows/09-upstream-port-bar", lambda: bridge_bar(True))
case("rows/10-root-port-bar", lambda: bridge_bar(False))
case("rows/11-two-root-ports", lambda: ports(UNLISTED))
case("rows/12-two-switches", lambda: two_trees(True, True))
case("rows/13-switch-and-port", lambda: two_trees(True, False))
case("rows/14-integrated-and-port", lambda: integrated(True))
case("rows/15-redirect-provider-port", lambda: siblings(UNLISTED, provider=RR))
case("rows/15-redirect-client-port", lambda: siblings(UNLISTED, client=RR))
case("rows/15-redirect-client-port-listed", lambda: siblings(client=RR))
case("rows/15-redirect-root-port", lambda: siblings(UNLISTED, rp=RR | UF))

# linux-p2pdma.md 1.12: the request, decided at the client's port, and the completion.

AT = {"ats": True}
case("turns/request-cr", lambda: siblings(client=CR))
case("turns/request-rr", lambda: siblings(client=RR))
case("turns/request-dt", lambda: siblings(client=DT))
case("turns/request-dt-rr", lambda: siblings(client=DT | RR))
case("turns/request-at", lambda: siblings(c=AT))
case("turns/request-at-rr", lambda: siblings(client=RR, c=AT))
case("turns/request-at-dt-rr", lambda: siblings(client=DT | RR, c=AT))
case("turns/request-at-tb", lambda: siblings(client=TB, c=AT))
case("turns/request-at-tb-dt", lambda: siblings(client=TB | DT, c=AT))
case("turns/request-tb-ats-off", lambda: siblings(client=TB, c={"ats": False}))
case("turns/request-tb-ats-unknown", lambda: siblings(client=TB, c={"config_len": 256}))
case("turns/request-tb-provider-port", lambda: siblings(provider=TB, c=AT))
case("turns/completion-cr", lambda: siblings(provider=CR))
case("turns/completion-rr", lambda: siblings(provider=RR))
case("turns/completion-ec", lambda: siblings(provider=Acs(EC, vector={8})))
case("turns/crossed", lambda: siblings(provider=Acs(RR | EC, vector=set()), client=CR))


def nested_leaf(control):
    m = machine()
    outer = switch(port(root(m)))
    switch(outer[0], (control, 0))[0].add(drive())
    switch(outer[1], (control, 0))[0].add(drive())
    return m.assign()


case("turns/redirect-on-leaves-only", lambda: nested_leaf(RR | CR))
case("turns/blocked-on-leaf", lambda: blocked_on_leaf())


def blocked_on_leaf():
    """TransBlk counts at every port of the client's leg."""
    m = machine()
    outer = switch(port(root(m)))
    outer[0].add(drive())
    switch(outer[1], (TB, 0))[0].add(drive(ats=True))
    return m.assign()


# Egress control: E, R and the vector bit of the provider's port (4).
case("turns/egress-e1-r0-clear", lambda: siblings(client=Acs(EC, vector={8})))
case("turns/egress-e1-r1-clear", lambda: siblings(client=Acs(EC | RR, vector={8})))
case("turns/egress-e1-r0-set", lambda: siblings(client=Acs(EC, vector={4})))
case("turns/egress-e1-r1-set", lambda: siblings(client=Acs(EC | RR, vector={4})))
case("turns/egress-e0-r0-set", lambda: siblings(client=Acs(0, vector={4})))
case("turns/egress-e0-r1-clear", lambda: siblings(client=Acs(RR, vector=set())))
case("turns/egress-beyond-vector", lambda: siblings(client=Acs(EC, vector=set(), size=4)))
case("turns/egress-vector-not-captured", lambda: siblings(
    client=Acs(EC, vector={8}), edit=lambda rp, p, c, *_: setattr(c, "config_len", 0x150)))

# UpstreamFwd where a redirected TLP must turn round.
case("turns/no-upstream-fwd", lambda: siblings(rp=0, client=RR))
case("turns/no-acs-on-root-port", lambda: siblings(rp=None, client=RR))
case("turns/root-port-acs-unknown", lambda: siblings(
    client=RR, edit=lambda rp, *_: setattr(rp, "config_len", 256)))


def redirect_in_inner_switch(outer_acs):
    m = machine()
    outer = switch(port(root(m)), (outer_acs, 0))
    inner = switch(outer[0], (0, RR))
    inner[0].add(drive())
    inner[1].add(drive())
    return m.assign()


case("turns/upstream-fwd-all-the-way", lambda: redirect_in_inner_switch(UF))
case("turns/no-upstream-fwd-in-the-middle", lambda: redirect_in_inner_switch(0))

# Functions that share a link.
PEER = SV | RR | CR | EC | UF | DT
case("turns/link-no-peer-control", lambda: functions(first=Acs(0, TB), second=Acs(0, TB)))
case("turns/link-peer-control-direct", lambda: functions(first=Acs(0), second=Acs(0)))
case("turns/link-client-rr", lambda: functions(first=Acs(0), second=Acs(RR)))
case("turns/link-provider-cr", lambda: functions(first=Acs(CR), second=Acs(0)))
case("turns/link-one-undeclared", lambda: functions(first=None, second=Acs(0)))
case("turns/link-egress-blocked", lambda: functions(
    first=Acs(0), second=Acs(EC, PEER, vector={0})))
case("turns/link-egress-clear", lambda: functions(first=Acs(0), second=Acs(EC, PEER, vector={1})))
case("turns/link-ari-egress", lambda: functions(
    first=Acs(EC, PEER, vector={0x0a}), second=Acs(EC, PEER, vector={0}), dev=1, fn=2))
case("turns/link-transblk", lambda: functions(
    first=Acs(0), second=Acs(TB, capability=PEER | TB), c=AT))
case("turns/link-no-upstream-fwd", lambda: functions(rp=0, first=Acs(0), second=Acs(RR)))
case("turns/vf-next-bus-egress", lambda: virtual_functions(
    offset=256, acs=Acs(EC, PEER, vector={0})))
case("turns/vf-direct", lambda: virtual_functions(acs=Acs(0)))


# Intel's 100/200-series PCH root ports keep ACS in two dwords.

def pch(control):
    m = machine()
    above = root(m).add(fb.root_port(*PCH_PORT, acs=Acs(0)))
    above.patch(0x148 + 4, (0x1f).to_bytes(4, "little") + control.to_bytes(4, "little"))
    ports_ = switch(above, (0, RR))
    ports_[0].add(drive())
    ports_[1].add(drive())
    return m.assign()


case("turns/pch-upstream-fwd", lambda: pch(SV | RR | CR | UF))
case("turns/pch-no-upstream-fwd", lambda: pch(SV | RR | CR))

# Root complexes, kernels and CPUs.

MISSING = {"config_len": 64}


def headless():
    """A switch whose root port was not captured."""
    m = machine()
    bus = m.root_bus(5)
    usp = bus.add(fb.upstream())
    for i in range(2):
        usp.add(fb.downstream(acs=Acs(RR * i))).add(drive())
    root(m, number=0x40).add(fb.rc_endpoint())
    m.assign()
    bus.number = 0  # what the OS said: below 0000:00, which is not here
    return m


def short(length):
    m = siblings()
    for f in m.functions:
        f.config_len = length
    return m


def amd(**kw):
    return {"cpu_vendor": "AuthenticAMD", "cpu_family": 0x19, **kw}


QEMU = {"hypervisor": "qemu"}
MODEL = {"vendor": 0x1b36, "device": 0x0010}
case("roots/listed", ports)
case("roots/same-only", lambda: ports(SAME_ONLY))
case("roots/same-only-two-sockets", lambda: sockets(SAME_ONLY, SAME_ONLY))
case("roots/two-listed-vendors", lambda: sockets(LISTED, (0x1ae0, 0x0042)))
case("roots/one-unlisted", lambda: sockets(LISTED, UNLISTED))
case("roots/zen", lambda: ports((0x1022, 0x1480), **amd()))
case("roots/cpu-unknown", lambda: ports((0x1022, 0x1480), cpu_vendor=None, cpu_family=-1))
case("roots/cpu-implied-by-intel-root", lambda: ports(UNLISTED, cpu_vendor=None, cpu_family=-1))
case("roots/refuses-reads", lambda: ports((0x8086, 0x7d1a)))
case("roots/refuses-reads-zen", lambda: ports((0x8086, 0x7d1a), **amd()))
case("roots/newer-row", lambda: ports((0x8086, 0x0b25), kernel="7.1.3"))
case("roots/kernel-too-old", lambda: ports(kernel="5.14.21"))
case("roots/transblk", lambda: ports(client_rp=TB | UF, c=AT))
case("roots/missing", headless)
case("roots/64-bytes", lambda: short(64))
case("roots/256-bytes", lambda: short(256))
case("roots/guest", lambda: siblings(hypervisor="kvm"))
case("roots/guest-blocked", lambda: siblings(hypervisor="kvm", client=Acs(EC, vector={4})))
case("roots/qemu-untranslated", lambda: siblings(
    p=MODEL, c={**MODEL, "iommu": "none"}, client=RR, **QEMU))
case("roots/qemu-translated", lambda: siblings(p=MODEL, c={**MODEL, "iommu": "translated"}, **QEMU))
case("roots/qemu-passed-through", lambda: siblings(p=MODEL, c={"iommu": "none"}, **QEMU))


# Hazards: what stops a path that the fabric would carry.

def bars_moved(rp, dsp, *_):
    dsp.windows["pref"] = (0x300000000000, 0x30000fffffff)


def shut(which, command):
    return lambda *nodes: setattr(nodes[which], "command", command)


def dead(rp, p, c, provider, client):
    provider.patch(0, b"\xff" * 4096)


RP, DSP_P, DSP_C = 0, 1, 2
case("hazards/no-bar", lambda: siblings(p={"bars": []}))
case("hazards/bar-unassigned", lambda: siblings(p={"bars": [Bar(MIB, True, assigned=False)]}))
case("hazards/bar-outside-window", lambda: siblings(edit=bars_moved))
case("hazards/memory-decode-off", lambda: siblings(p={"command": MASTER}))
case("hazards/vf-memory-off", lambda: virtual_functions(memory=False, acs=Acs(0)))
case("hazards/bridge-memory-off", lambda: siblings(edit=shut(DSP_P, MASTER)))
case("hazards/bridge-memory-off-above", lambda: siblings(edit=shut(RP, MASTER)))
case("hazards/bridge-memory-off-above-redirected",
     lambda: siblings(client=RR, edit=shut(RP, MASTER)))
case("hazards/bridge-memory-off-above-completion",
     lambda: siblings(provider=CR, edit=shut(RP, MASTER)))
case("hazards/bus-master-off", lambda: siblings(c={"command": MEMORY}))
case("hazards/bridge-bus-master-off", lambda: siblings(edit=shut(DSP_C, MEMORY)))
case("hazards/not-d0-provider", lambda: siblings(p={"pm": 3}))
case("hazards/not-d0-client", lambda: siblings(c={"pm": 3}))
case("hazards/no-answer", lambda: siblings(edit=dead))
case("hazards/mps-client", lambda: siblings(c={"mps": 2}))
case("hazards/mps-provider", lambda: siblings(p={"mps": 2}))
case("hazards/mps-small-port", lambda: siblings(edit=lambda rp, p, *_: setattr(p, "mps", 0)))
case("hazards/address-width", lambda: siblings(c={"dma_mask_bits": 32}))
case("hazards/address-width-enough", lambda: siblings(c={"dma_mask_bits": 46}))
case("hazards/link-trained-down", lambda: siblings(p={"link": (4, 16, 1, 1)}))


# Addresses that two claim.

def covers(which, over, kind="pref"):
    """The window of one node begins where that of another does."""
    def edit(*nodes):
        end = max(nodes[n].windows[kind][1] for n in (which, over))
        nodes[which].windows[kind] = (nodes[over].windows[kind][0], end)
    return edit


def shut_and_covering(*nodes):
    covers(DSP_C, DSP_P)(*nodes)
    nodes[DSP_C].command = MASTER


def same_bar_unsized(*nodes):
    provider, client = (node.bars[0] for node in nodes[3:])
    provider.is_sized = client.is_sized = False
    client.base = provider.base


def edited(m, edit, *path):
    """Edits the functions found at these places: root bus, then children."""
    def find(place):
        children = m.roots[place[0]].children
        for i in place[1:]:
            found, children = children[i], children[i].children
        return found
    edit(*map(find, path))
    return m


def third_port_off():
    m = machine()
    bus = root(m)
    for _ in range(3):
        port(bus).add(drive())
    m.assign()
    covers(2, 0)(*bus.children[1:])
    bus.children[3].command = MASTER
    return m


def bar_cut_off():
    """The OS tells that an integrated endpoint has a BAR, but not where."""
    m = machine()
    bus = root(m)
    for _ in range(2):
        port(bus).add(drive())
    bus.add(fb.rc_endpoint(config_len=0x10))
    return m.assign()


case("claims/sibling-window", lambda: siblings(edit=covers(DSP_C, DSP_P)))
case("claims/sibling-memory-off", lambda: siblings(edit=shut_and_covering))
case("claims/third-port-memory-off", third_port_off)
case("claims/client-leg", lambda: edited(
    nested(False), covers(1, 0), (0, 1, 0, 0), (0, 1, 0, 1, 0, 1)))
case("claims/root-port", lambda: edited(ports(), covers(1, 0), (0, 1), (0, 2)))
case("claims/other-root-bus", lambda: edited(
    sockets(LISTED, LISTED), covers(1, 0), (0, 1), (1, 1)))
case("claims/bar-cut-off", bar_cut_off)
case("claims/same-bar-unsized", lambda: siblings(edit=same_bar_unsized))
