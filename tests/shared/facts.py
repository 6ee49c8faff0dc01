#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The cases of captures/facts.json, rebuilt as topologies: map type, distance, redirect list.

    facts.py DESCRIBE
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import shared

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "machines"))

import emit           # noqa: E402
import fabric as fb   # noqa: E402
from fabric import Acs, Bar, CR, RR, UF  # noqa: E402

INTEL = {"cpu_vendor": "GenuineIntel", "cpu_family": 6, "kernel": "7.2.12"}
GPU = {"vendor": 0x8086, "device": 0xe223, "class_code": 0x030000,
       "bars": [Bar(256 << 20, True)]}


def number(text, last=False):
    """Bus number of an address; devfn instead when last."""
    _, bus, slot = text.split(":")
    device, function = slot.split(".")
    return int(device, 16) << 3 | int(function) if last else int(bus, 16)


class Tree:
    """A machine built downward from its root bus by the addresses of the source."""

    def __init__(self, host, **about):
        self.machine = fb.Machine(**about)
        self.roots = {}
        self.host = host

    def root(self, bus=0):
        if bus not in self.roots:
            self.roots[bus] = self.machine.root_bus(bus)
            self.roots[bus].add(fb.host_bridge(*self.host))
        return self.roots[bus]

    def put(self, above, address, function):
        devfn = number(address, last=True)
        for there in above.children:
            if there.devfn == devfn:
                return there
        if isinstance(above, fb.Function) and not above.children:
            above.first_bus = number(address)
        return above.add(function, dev=devfn >> 3, fn=devfn & 7)


def routes(helper, tree, provider, client):
    """(map type, distance, redirect list) as the library gives them."""
    placed = {f.bdf for f in tree.machine.functions}
    for address in (provider, client):
        assert address in placed, f"{address} came out elsewhere: {sorted(placed)}"
    with tempfile.NamedTemporaryFile("w", suffix=".json") as capture:
        capture.write(emit.capture(tree.machine))
        capture.flush()
        run = subprocess.run([helper, capture.name, provider, client], capture_output=True,
                             text=True, check=True)
    head, *redirects = run.stdout.splitlines()
    map_type, distance = head.split()
    return map_type, int(distance), redirects


def chain(tree, above, addresses, acs):
    """Bridges from a root port down; every second one (from the first) an upstream port."""
    for i, address in enumerate(addresses):
        kind = fb.upstream() if i % 2 == 0 else fb.downstream(acs=Acs(acs), port_number=number(
            address, last=True) >> 3)
        above = tree.put(above, address, kind)
    return above


def b70_same_switch(helper, case):
    paths = [case["inferred"]["gpu_a_path"], case["inferred"]["gpu_b_path"]]
    for acs, wanted in ((RR | CR, case["verdict_redirect_on"]), (0, case["verdict_redirect_off"])):
        tree = Tree((0x8086, 0x4c43), **INTEL)
        port = tree.root().add(fb.root_port(acs=Acs(UF)))
        for path in paths:
            tree.put(chain(tree, port, path[:0:-1], acs), path[0], fb.endpoint(**GPU))
        tree.machine.assign()
        map_type, distance, redirects = routes(helper, tree, paths[0][0], paths[1][0])
        assert map_type == wanted["map_type"], map_type
        assert distance == wanted.get("hops", wanted["distance"]), distance
        assert set(redirects) == set(case["ports_with_acs_redirect"] if acs else ()), redirects


def b70_four_gpus(helper, case):
    """Switch 09:00.0; below each of its ports a card bridge, whose upstream ports are not named."""
    tree = Tree((0x8086, 0x4c43), **INTEL)
    port = tree.root().add(fb.root_port(acs=Acs(UF)))
    top = tree.put(port, "0000:09:00.0", fb.upstream())
    for gpu, path in case["paths"].items():
        above = top
        for address in reversed(path):
            if above is not top:
                above = tree.put(above, f"0000:{number(address) - 1:02x}:00.0", fb.upstream())
            above = tree.put(above, address, fb.downstream(acs=Acs(0)))
        tree.put(above, gpu, fb.endpoint(**GPU))
    tree.machine.assign()
    for provider in case["paths"]:
        for client in case["paths"]:
            answer = routes(helper, tree, provider, client)
            assert answer[0] == "BUS_ADDR" and not answer[2], answer


def amd_two_gpus(helper, case):
    wanted = case["kernel_says"].split("order: ")[1].split(";")
    tree = Tree((0x1022, 0x1480), kernel="7.2.12", cpu_vendor="AuthenticAMD", cpu_family=0x19)
    port = tree.root().add(fb.root_port(vendor=0x1022, acs=Acs(UF)))
    provider_port, outer_p, client_port, outer_c = wanted
    for outer, inner, gpu in ((outer_p, provider_port, case["provider"]),
                              (outer_c, client_port, case["client"])):
        bus = number(outer)
        path = [f"0000:{bus - 1:02x}:00.0", outer, f"0000:{number(inner) - 1:02x}:00.0", inner]
        tree.put(chain(tree, port, path, RR | CR), gpu, fb.endpoint(**GPU))
    tree.machine.assign()
    map_type, _, redirects = routes(helper, tree, case["provider"], case["client"])
    assert map_type == "THRU_HOST_BRIDGE", map_type
    assert redirects == wanted, redirects


def two_ports(host, **about):
    """Provider and client each below a root port of its own, on the root buses named or on 00."""
    def run(helper, case):
        tree = Tree(host, **about)
        buses = [int(b.split(":")[1], 16) for b in case.get("root_buses", ["0000:00"] * 2)]
        ends = sorted([case["provider"], case["client"]], key=number)
        for bus, address in zip(buses, ends):
            port = tree.root(bus).add(fb.root_port(acs=Acs(UF)))
            tree.put(port, address, fb.endpoint(**{**GPU, "bars": [Bar(256 << 20, True)]}))
        tree.machine.assign()
        wanted = case["verdict"].split()[0]
        # What a kernel before 6.0 says is not ours to know; the next says no, or has it listed.
        if about["kernel"].startswith("5."):
            wanted = "UNKNOWN"
        map_type, _, redirects = routes(helper, tree, case["provider"], case["client"])
        assert map_type == wanted and not redirects, (map_type, redirects)
    return run


CASES = {
    "b70-pex880xx-same-switch": b70_same_switch,
    "b70-two-root-ports": two_ports((0x8086, 0x4c43), **INTEL),
    "b70-four-gpus": b70_four_gpus,
    "amd-two-gpus-acs": amd_two_gpus,
    "icelake-09a2": two_ports((0x8086, 0x09a2), **{**INTEL, "kernel": "5.14.21"}),
    "kgpe-d16-rx460": two_ports((0x1002, 0x5a10), kernel="7.2.12", cpu_vendor="AuthenticAMD",
                                cpu_family=0x15),
    "b580-b50": two_ports((0x8086, 0x4c43), **INTEL),
}


def main(helper):
    facts = json.loads((shared.folder("captures") / "facts.json").read_text())["cases"]
    if {case["id"] for case in facts} != set(CASES):
        print(f"facts.json has other cases than ours: {[case['id'] for case in facts]}")
        return 1
    failed = 0
    for case in facts:
        try:
            CASES[case["id"]](helper, case)
            print(f"ok - {case['id']}")
        except AssertionError as error:
            failed += 1
            print(f"not ok - {case['id']}: {error}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
