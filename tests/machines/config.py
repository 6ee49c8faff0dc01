# SPDX-License-Identifier: MIT
"""Configuration space of a fabric.Function, byte by byte (PCIe Base 7.5 to 7.9)."""

import struct

import fabric as fb

SIZE = 4096


def config(f):
    """All 4096 bytes, however much of them a capture holds."""
    space = bytearray(SIZE)
    header(space, f)
    chain(space, f)
    extended(space, f)
    for offset, data in f.patches:
        space[offset:offset + len(data)] = data
    return bytes(space)


def captured(f):
    """The bytes a capture holds: a conventional function has 256."""
    default = 256 if f.type is None else SIZE
    return config(f)[:default if f.config_len is None else f.config_len]


def put(space, offset, fmt, *values):
    struct.pack_into("<" + fmt, space, offset, *values)


def header(space, f):
    status = 0x10  # capability list
    put(space, 0x00, "HHHH", f.vendor, f.device, f.command, status)
    put(space, 0x08, "I", f.class_code << 8)
    multifunction = 0x80 if any(s is not f and s.devfn >> 3 == f.devfn >> 3
                                for s in siblings(f)) else 0
    put(space, 0x0e, "B", (1 if f.bridge else 0) | multifunction)
    bars(space, 0x10, f.bars, 2 if f.bridge else 6)
    if f.bridge:
        bridge(space, f)
    else:
        put(space, 0x2c, "HH", *f.subsystem)


def siblings(f):
    if f.pf:
        return ()
    return f.parent.children if f.parent else f.bus.children


def bars(space, offset, wanted, slots):
    slot = 0
    for bar in wanted:
        if bar:
            put(space, offset + 4 * slot, "I", bar.base & 0xfffffff0 | bar.flag_bits)
            if bar.wide:
                slot += 1
                put(space, offset + 4 * slot, "I", bar.base >> 32)
        slot += 1
    assert slot <= slots, "too many BARs"


def bridge(space, f):
    put(space, 0x18, "BBB", f.bus_number, f.secondary, f.subordinate)
    put(space, 0x1c, "BB", 0xf0, 0x00)  # no I/O behind it: base above limit
    base, limit = f.windows["mem"] or (0xfff00000, 0x000fffff)
    put(space, 0x20, "HH", base >> 16 & 0xfff0, limit >> 16 & 0xfff0)
    base, limit = f.windows["pref"] or (0xfff00000, 0x000fffff)
    put(space, 0x24, "HH", base >> 16 & 0xfff0 | 1, limit >> 16 & 0xfff0 | 1)
    put(space, 0x28, "II", base >> 32, limit >> 32)


def chain(space, f):
    """Capabilities below 256: PM, MSI, PCI Express, in this order."""
    link = 0x34
    if f.pm is not None:
        space[link] = fb.PM_AT
        put(space, fb.PM_AT, "BBHH", 0x01, 0, 0xc803, f.pm)
        link = fb.PM_AT + 1
    space[link] = fb.MSI_AT
    put(space, fb.MSI_AT, "BBH", 0x05, 0, 0x0080)
    if f.type is not None:
        space[fb.MSI_AT + 1] = fb.EXP_AT
        express(space, f)


def express(space, f):
    max_speed, max_width, speed, width = f.link
    at = fb.EXP_AT
    supported, on = f.ext_tags
    put(space, at, "BBH", 0x10, 0, f.type << 4 | 2)
    mps_supported = f.mps if f.mps_supported is None else f.mps_supported
    put(space, at + 4, "I", 0x8000 | mps_supported | (0x20 if supported else 0))
    if f.pf:
        put(space, at + 8, "H", 0)  # a VF obeys its PF's Device Control
    else:
        put(space, at + 8, "H", 0x2810 | f.mps << 5 | (0x100 if on else 0))
    if f.type == fb.RC_ENDPOINT:
        return
    active = 0x2000 if f.type in (fb.ROOT_PORT, fb.DOWNSTREAM) and width else 0
    put(space, at + 12, "I", f.port_number << 24 | max_width << 4 | max_speed |
        (0x100000 if f.type in (fb.ROOT_PORT, fb.DOWNSTREAM) else 0))
    if not f.pf:
        put(space, at + 18, "H", active | width << 4 | speed)
    put(space, at + 0x2c, "I", (2 << max_speed) - 2)


def extended(space, f):
    if f.type is None:
        return
    caps = [(0x0001, 2, fb.AER_AT)]
    if f.acs:
        caps.append((0x000d, 1, fb.ACS_AT))
        put(space, fb.ACS_AT + 4, "HH", f.acs.capability | (f.acs.size & 0xff) << 8, f.acs.control)
        for bit in f.acs.vector or ():
            space[fb.ACS_AT + 8 + bit // 8] |= 1 << bit % 8
    if f.sriov:
        caps.append((0x0010, 1, fb.SRIOV_AT))
        sriov(space, fb.SRIOV_AT, f.sriov)
    if f.ats is not None:
        caps.append((0x000f, 1, fb.ATS_AT))
        put(space, fb.ATS_AT + 4, "HH", 0x20, 0x8000 if f.ats else 0)
    if f.serial is not None:
        caps.append((0x0003, 1, fb.DSN_AT))
        put(space, fb.DSN_AT + 4, "Q", f.serial)
    if f.ari is not None:
        caps.append((0x000e, 1, fb.ARI_AT))
        put(space, fb.ARI_AT + 4, "HH", 0, f.ari)
    for i, (cap, version, at) in enumerate(caps):
        after = caps[i + 1][2] if i + 1 < len(caps) else 0
        put(space, at, "I", cap | version << 16 | after << 20)


def sriov(space, at, s):
    put(space, at + 8, "H", (1 if s.enable else 0) | (8 if s.memory else 0) | 0x10)
    put(space, at + 12, "HHH", s.total, s.total, s.num)
    put(space, at + 0x14, "HH", s.offset, s.stride)
    put(space, at + 0x1a, "H", s.device)
    put(space, at + 0x1c, "II", 0x553, 1)
    bars(space, at + 0x24, s.bars, 6)
