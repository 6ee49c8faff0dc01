# SPDX-License-Identifier: MIT
"""Machines as configuration space: a tree of functions, laid out as firmware would.

Build a tree (Machine, root_bus(), add()), call Machine.assign() once, then read config bytes:

    m = Machine(kernel="6.12.41", cpu_vendor="GenuineIntel", cpu_family=6)
    bus = m.root_bus(0)
    bus.add(host_bridge(0x8086, 0x2020))
    rp = bus.add(root_port(0x8086, 0x2030), dev=1)
    rp.add(endpoint(0x144d, 0xa824, 0x010802, bars=[Bar(16 << 10)]))
    m.assign()

assign() numbers buses depth first, lowest device first, and places BARs and bridge windows.
Everything stays a plain attribute: set one before assign(), or patch() bytes afterwards.
"""

# Device/Port types of the PCIe capability (PCIe Base 7.5.3.2).
ENDPOINT, LEGACY, ROOT_PORT, UPSTREAM, DOWNSTREAM, PCIE_TO_PCI, PCI_TO_PCIE, RC_ENDPOINT = \
    0, 1, 4, 5, 6, 7, 8, 9

# ACS bits (PCIe Base 7.7.11).
SV, TB, RR, CR, UF, EC, DT = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40

# COMMAND bits.
MEMORY, MASTER = 0x2, 0x4

# Where capabilities lie.
PM_AT, MSI_AT, EXP_AT = 0x40, 0x50, 0x70
AER_AT, ACS_AT, SRIOV_AT, ATS_AT, DSN_AT, ARI_AT = 0x100, 0x148, 0x180, 0x1c0, 0x1c8, 0x1d8

MIB, GIB = 1 << 20, 1 << 30


class Bar:
    """A memory BAR.  assigned=False leaves its address at zero; is_sized: the OS recorded its size."""

    def __init__(self, size, prefetch=False, wide=None, assigned=True):
        self.size, self.prefetch, self.assigned = size, prefetch, assigned
        self.wide = prefetch if wide is None else wide
        self.base = 0
        self.is_sized = True

    @property
    def flag_bits(self):
        return (4 if self.wide else 0) | (8 if self.prefetch else 0)

    @property
    def resource_flags(self):
        """IORESOURCE_* as sysfs prints them."""
        return (0x40200 | self.flag_bits | (0x2000 if self.prefetch else 0) |
                (0x100000 if self.wide else 0))


class Acs:
    """ACS capability: what is supported, what is on, the egress vector as a set of port numbers."""

    def __init__(self, control=0, capability=SV | TB | RR | CR | UF | DT, vector=None, size=0):
        self.control, self.capability, self.size = control, capability, size
        self.vector = vector
        if vector is not None:
            self.capability |= EC
            self.size = size or 32


class Sriov:
    def __init__(self, total, num=None, offset=1, stride=1, device=0, bars=(), enable=True,
                 memory=True):
        self.total, self.num = total, total if num is None else num
        self.offset, self.stride, self.device = offset, stride, device
        self.bars, self.enable, self.memory = list(bars), enable, memory


class Function:
    """One function.  type is a PCIe port type, or None for a conventional function."""

    def __init__(self, vendor, device, class_code, type=None, bridge=False, **kw):
        self.vendor, self.device, self.class_code = vendor, device, class_code
        self.type, self.bridge = type, bridge
        self.subsystem = (0, 0)
        self.command = MEMORY | MASTER
        self.bars = []            # up to 6 (2 for a bridge); a wide one takes two slots
        self.acs = None           # Acs
        self.ats = None           # None: no capability; True/False: on, off
        self.ari = None           # None: no capability; else its control register
        self.sriov = None
        self.pm = 0               # D-state; None: no capability
        self.mps = 1              # 128 << mps bytes
        self.mps_supported = None  # default: as mps
        self.link = (3, 8, 3, 8)  # max speed, max width, speed, width
        self.port_number = 0
        self.ext_tags = (True, True)  # supported, on
        self.serial = None
        self.config_len = None    # bytes captured; default: all there are
        self.patches = []
        # What the operating system says beside the bytes.
        self.driver = self.iommu = self.dma_mask_bits = None
        self.iommu_group = self.numa_node = -1
        self.names = []
        self.physfn = None        # of a VF: default its pf
        self.pf = self.parent = self.bus = None
        self.children, self.vfs = [], []
        self.first_bus = 0        # of a bridge: the lowest number its secondary bus may get
        self.secondary = self.subordinate = 0
        self.windows = {"mem": None, "pref": None}  # (base, limit)
        for key, value in kw.items():
            if not hasattr(self, key):
                raise TypeError(f"no such attribute: {key}")
            setattr(self, key, value)

    def add(self, child, dev=None, fn=0):
        """Puts a function on the bus below this bridge: the next free device unless dev is given."""
        assert self.bridge, "only bridges have a bus below"
        place(self.children, child, dev, fn)
        child.parent = self
        return child

    def patch(self, offset, data):
        self.patches.append((offset, bytes(data)))
        return self

    @property
    def bdf(self):
        return f"{self.bus.domain:04x}:{self.bus_number:02x}:{self.devfn >> 3:02x}.{self.devfn & 7}"

    def add_vfs(self, **kw):
        """Creates the VFs the SR-IOV capability enables; call after everything else is built."""
        for _ in range(self.sriov.num):
            vf = Function(0xffff, 0xffff, self.class_code, type=ENDPOINT, **{
                "command": MASTER, "pm": None, "numa_node": self.numa_node, **kw})
            vf.pf, vf.bus = self, self.bus
            self.vfs.append(vf)
        return self.vfs


def place(siblings, child, dev, fn):
    if dev is None:
        dev = max((c.devfn >> 3 for c in siblings), default=-1) + 1
    child.devfn = dev << 3 | fn
    assert all(c.devfn != child.devfn for c in siblings), "devfn taken"
    siblings.append(child)
    siblings.sort(key=lambda c: c.devfn)


class RootBus:
    """A host bridge: its bus, and the address ranges it decodes."""

    def __init__(self, number, domain, mem, pref, node):
        self.number, self.domain, self.mem, self.pref = number, domain, mem, pref
        self.node, self.children = node, []
        self.recorded = True      # the OS says which functions lie below it

    def add(self, child, dev=None, fn=0):
        place(self.children, child, dev, fn)
        return child


class Machine:
    def __init__(self, kernel=None, kernel_p2pdma=None, arch="x86_64", cpu_vendor=None,
                 cpu_family=-1, hypervisor=None):
        self.kernel, self.kernel_p2pdma, self.arch = kernel, kernel_p2pdma, arch
        self.cpu_vendor, self.cpu_family, self.hypervisor = cpu_vendor, cpu_family, hypervisor
        self.roots = []

    def root_bus(self, number, domain=0, node=-1):
        n = len(self.roots)
        root = RootBus(number, domain, 0x80000000 + n * 0x08000000, 0x200000000000 + (n << 40),
                       node)
        self.roots.append(root)
        return root

    @property
    def functions(self):
        """All functions, by address."""
        found = []

        def walk(children):
            for f in children:
                found.append(f)
                found.extend(f.vfs)
                walk(f.children)
        for root in self.roots:
            walk(root.children)
        return sorted(found, key=lambda f: (f.bus.domain, f.bus_number, f.devfn))

    def assign(self):
        for root in self.roots:
            self._number(root, root.children, root.number)
            for kind, base in (("mem", root.mem), ("pref", root.pref)):
                size, _, put = pack(root.children, kind)
                if size:
                    put(base)
        return self

    def _number(self, root, children, number):
        """Numbers the functions of one bus and all below; returns the highest bus used."""
        last = number
        for f in children:
            f.bus, f.bus_number = root, number
            for i in range(f.sriov.num if f.sriov and f.vfs else 0):
                rid = (number << 8 | f.devfn) + f.sriov.offset + i * f.sriov.stride
                vf = f.vfs[i]
                vf.bus, vf.bus_number, vf.devfn = root, rid >> 8, rid & 0xff
                last = max(last, vf.bus_number)
        for f in children:
            if f.bridge:
                f.secondary = max(last + 1, f.first_bus)
                last = f.subordinate = self._number(root, f.children, f.secondary)
        return last


def pack(children, kind):
    """Size and alignment of what one bus needs, and a function that puts it at a base."""
    items = []
    for f in children:
        for bar in f.bars:
            if bar and bar.assigned and ("pref" if bar.prefetch else "mem") == kind:
                items.append((bar.size, max(bar.size, 4096), bar, None))
        for bar in f.sriov.bars if f.sriov else ():
            if bar and ("pref" if bar.prefetch else "mem") == kind:
                items.append((bar.size * f.sriov.total, max(bar.size, 4096), bar, None))
        if f.bridge:
            size, align, put = pack(f.children, kind)
            if size:
                size, align = up(size, MIB), max(align, MIB)
                items.append((size, align, f, put))
    items.sort(key=lambda i: -i[1])
    offsets, end = [], 0
    for size, align, _, _ in items:
        end = up(end, align)
        offsets.append(end)
        end += size

    def put(base):
        for (size, _, what, below), offset in zip(items, offsets):
            if below:
                what.windows[kind] = (base + offset, base + offset + size - 1)
                below(base + offset)
            else:
                what.base = base + offset
    return end, max((i[1] for i in items), default=1), put


def up(value, align):
    return (value + align - 1) // align * align


# Shorthands.  Keywords are attributes of Function.

def host_bridge(vendor, device, **kw):
    return Function(vendor, device, 0x060000, pm=None, **kw)


def root_port(vendor=0x8086, device=0x2030, **kw):
    return Function(vendor, device, 0x060400, type=ROOT_PORT, bridge=True, **kw)


def upstream(vendor=0x10b5, device=0x9797, **kw):
    return Function(vendor, device, 0x060400, type=UPSTREAM, bridge=True, **kw)


def downstream(vendor=0x10b5, device=0x9797, **kw):
    return Function(vendor, device, 0x060400, type=DOWNSTREAM, bridge=True, **kw)


def pcie_to_pci(vendor=0x1a03, device=0x1150, **kw):
    return Function(vendor, device, 0x060400, type=PCIE_TO_PCI, bridge=True, **kw)


def pci_bridge(vendor=0x8086, device=0x244e, **kw):
    return Function(vendor, device, 0x060401, bridge=True, **kw)


def endpoint(vendor=0x144d, device=0xa822, class_code=0x010802, **kw):
    kw.setdefault("bars", [Bar(16 << 10, wide=True)])
    return Function(vendor, device, class_code, type=ENDPOINT, **kw)


def rc_endpoint(vendor=0x8086, device=0x0b25, class_code=0x088000, **kw):
    kw.setdefault("bars", [Bar(64 << 10, prefetch=True)])
    return Function(vendor, device, class_code, type=RC_ENDPOINT, **kw)


def pci_function(vendor=0x1a03, device=0x2000, class_code=0x030000, **kw):
    kw.setdefault("bars", [Bar(16 * MIB)])
    return Function(vendor, device, class_code, **kw)
