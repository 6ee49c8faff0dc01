# SPDX-License-Identifier: MIT
"""A fabric.Machine as text: `lspci -D -n -xxxx`, or a JSON capture (docs/formats.md)."""

import json

import config


def lspci(machine, size=None):
    """size: bytes of each function, as -x (64), -xxx (256) and -xxxx (4096) print."""
    out = []
    for f in machine.functions:
        out.append(f"{f.bdf} {f.class_code >> 8:04x}: {f.vendor:04x}:{f.device:04x}")
        length = size or (256 if f.type is None else 4096)
        if f.config_len is not None:
            length = min(length, f.config_len)
        space = config.config(f)[:length]
        for at in range(0, length, 16):
            out.append(f"{at:02x}: " + " ".join(f"{b:02x}" for b in space[at:at + 16]))
        out.append("")
    return "\n".join(out) + "\n"


def resources(f):
    """The 13 lines of sysfs `resource`: BARs 0-5, ROM, SR-IOV BARs."""
    lines = [(0, 0, 0)] * 13

    def fill(slot, bars, offset, count):
        for bar in bars:
            if bar and bar.is_sized:
                base = bar.base + offset * bar.size
                lines[slot] = (base, base + bar.size * count - 1, bar.resource_flags)
            slot += 2 if bar and bar.wide else 1
    if f.pf:
        fill(0, f.pf.sriov.bars, f.pf.vfs.index(f), 1)
    else:
        fill(0, f.bars, 0, 1)
        if f.sriov:
            fill(7, f.sriov.bars, 0, f.sriov.total)
    return lines


def capture(machine):
    """The JSON text, byte for byte as `p2pdma dump` writes it."""
    about = {key: getattr(machine, key) for key in ("kernel", "kernel_p2pdma", "arch", "cpu_vendor",
                                                    "cpu_family", "hypervisor")}
    rows = ",\n".join("  " + compact(function(f)) for f in machine.functions)
    return (f'{{"format":"p2pdma-capture","version":1,\n "machine":{compact(recorded(about))},\n'
            f' "functions":[\n{rows}\n ]}}\n')


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def recorded(about):
    return {key: value for key, value in about.items() if value not in (None, -1, [])}


def function(f):
    space = config.captured(f)
    lines = [[f"0x{v:x}" for v in line] for line in resources(f)]
    return recorded({
        "bdf": f.bdf,
        "config": space.rstrip(b"\0").hex(),
        "config_len": len(space),
        "resources": lines if any(line[1] != "0x0" for line in lines) else [],
        "physfn": f.physfn or (f.pf.bdf if f.pf else None),
        "root_bus": f"{f.bus.domain:04x}:{f.bus.number:02x}" if f.bus.recorded else None,
        "iommu_group": f.iommu_group,
        "iommu": f.iommu,
        "numa_node": f.numa_node,
        "dma_mask_bits": f.dma_mask_bits,
        "driver": f.driver,
        "names": f.names,
    })
