# SPDX-License-Identifier: MIT
"""What lspci prints, read back: the tree of -t, ACS and link lines of -vvv."""

import re

TOKEN = re.compile(r"(?P<connector>[+\\](?=-))"
                   r"|\[(?P<domain>[0-9a-f]{4,8}):(?P<root>[0-9a-f]{2})(?:-[0-9a-f]{2})?\]"
                   r"|-\[(?P<bus>[0-9a-f]{2})(?:-[0-9a-f]{2})?\]"
                   r"|(?P<dev>[0-9a-f]{2})\.(?P<fn>[0-7])")
ACS_BITS = ["SrcValid", "TransBlk", "ReqRedir", "CmpltRedir", "UpstreamFwd", "EgressCtrl",
            "DirectTrans"]
SPEEDS = {"2.5GT/s": 1, "5GT/s": 2, "8GT/s": 3, "16GT/s": 4, "32GT/s": 5, "64GT/s": 6}


def tree(text):
    """{function: its parent, or None on a root bus} of `lspci -t`.

    A bus is continued below the column of its first connector (+ or \\)."""
    parents, buses = {}, {}
    domain = None
    for line in text.splitlines():
        bus, device = None, None  # of what is to the left on this line
        for token in TOKEN.finditer(line):
            if token["connector"]:
                if bus is None:
                    bus = buses.get(token.start(), bus)
                else:
                    buses[token.start()] = bus
            elif token["root"]:
                # Below a bridge: one of several buses that its range holds.
                domain, bus = token["domain"], (token["root"], bus and bus[1])
            elif token["bus"]:
                bus = (token["bus"], device)
            else:
                device = f"{domain}:{bus[0]}:{token['dev']}.{token['fn']}"
                parents[device] = bus[1]
    return parents


def acs(text):
    """{function: (capability, control)} of `lspci -D -vvv`, or of its ACS lines with addresses."""
    found, device = {}, None
    for line in text.splitlines():
        heading = re.match(r"([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\b", line)
        device = heading[1] if heading else device
        register = re.search(r"ACS(Cap|Ctl):\t(.*)", line)
        if register:
            bits = sum(1 << i for i, name in enumerate(ACS_BITS) if f"{name}+" in register[2])
            found.setdefault(device, {})[register[1]] = bits
    return {device: (bits["Cap"], bits["Ctl"]) for device, bits in found.items()}


def links(text):
    """{function: (max speed, max width, speed, width)} of `lspci -D -vvv`, where all are known."""
    found, device = {}, None
    for line in text.splitlines():
        heading = re.match(r"([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) ", line)
        device = heading[1] if heading else device
        link = re.search(r"Lnk(Cap|Sta):\t.*Speed (\S+?)(?: \(\w+\))?, Width x(\d+)", line)
        if link and link[2] in SPEEDS:
            found.setdefault(device, {})[link[1]] = (SPEEDS[link[2]], int(link[3]))
    return {device: at["Cap"] + at["Sta"] for device, at in found.items() if len(at) == 2}
