#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the command answers on the captures that scripts/capture-qemu made in a real Linux.

    qemu.py P2PDMA DATA
"""

import json
import re
import subprocess
import sys

CMB, PMR, PLAIN, OTHER, FAR = ("0000:03:00.0", "0000:04:00.0", "0000:05:00.0", "0000:06:00.0",
                               "0000:41:00.0")
EDU, SHARED_MEMORY = "0000:07:00.0", "0000:08:00.0"
BELOW_SWITCH = (CMB, PMR, PLAIN)
DRIVES = (*BELOW_SWITCH, OTHER, FAR)
ROOT_PORTS = ("0000:00:02.0", "0000:00:03.0", "0000:00:04.0", "0000:00:05.0", "0000:40:00.0")
SWITCH_PORTS = ("0000:01:00.0", "0000:02:00.0", "0000:02:01.0", "0000:02:02.0")
# Linux enables SrcValid, ReqRedir, CmpltRedir and UpstreamFwd once its IOMMU is on.
ACS_OF_LINUX = 0x1d

NO_IOMMU, TRANSLATED, TEXT = "qemu-switch.json", "qemu-intel-iommu.json", "qemu-switch.lspci"


class Run:
    def __init__(self, command, data):
        self.command, self.data = command, data
        self.passed = self.failed = 0

    def equal(self, what, got, wanted):
        if got == wanted:
            self.passed += 1
            return
        self.failed += 1
        print(f"{what}: got {got!r}, wanted {wanted!r}")

    def p2pdma(self, capture, verb, *args):
        done = subprocess.run([self.command, verb, "-M", f"capture:{self.data}/{capture}", *args],
                              capture_output=True, text=True, check=False)
        if done.stderr:
            sys.exit(f"p2pdma {verb} {' '.join(args)} on {capture}: {done.stderr}")
        return done.stdout

    def functions(self, capture):
        tree = json.loads(self.p2pdma(capture, "tree", "--json"))
        return {function["bdf"]: function for function in tree["functions"]}

    def pairs(self, capture, *args):
        matrix = json.loads(self.p2pdma(capture, "matrix", "--json", *args))
        return {(p["provider"], p["client"]): p for p in matrix["pairs"]}


def wire(pair):
    return pair["answer"], pair["write"]["verdict"], pair["read"]["verdict"]


def kernel(pair):
    return pair["kernel"]["map_type"], pair["kernel"]["distance"]


def drive_pairs():
    """Ordered pairs of two drives, and whether both lie below the switch."""
    for provider in DRIVES:
        for client in DRIVES:
            if provider != client:
                yield provider, client, provider in BELOW_SWITCH and client in BELOW_SWITCH


def check_machine(run):
    """What was read of the machine itself."""
    for capture in (NO_IOMMU, TRANSLATED):
        with open(f"{run.data}/{capture}", encoding="ascii") as file:
            machine = json.load(file)["machine"]
        run.equal(f"{capture}: hypervisor", machine["hypervisor"], "qemu")
        run.equal(f"{capture}: CONFIG_PCI_P2PDMA", machine["kernel_p2pdma"], False)
        run.equal(f"{capture}: release", bool(re.match(r"6\.1\.", machine["kernel"])), True)
        run.equal(f"{capture}: as root", machine["privileged"], True)
        heading = run.p2pdma(capture, "matrix")
        for words in ("Linux 6.1 (recorded)", "CPU not AMD Zen",
                      "is built without CONFIG_PCI_P2PDMA", "guest of a hypervisor (qemu)"):
            run.equal(f"{capture}: heading has {words!r}", words in heading, True)
    run.equal("lspci text: guest of QEMU",
              "guest of a hypervisor (qemu)" in run.p2pdma(TEXT, "matrix"), True)


def check_functions(run):
    """The tree that the script asked QEMU for, with the names Linux gave."""
    for capture, iommu, control in ((NO_IOMMU, "none", 0),
                                    (TRANSLATED, "translated", ACS_OF_LINUX)):
        functions = run.functions(capture)
        run.equal(f"{capture}: functions", len(functions), 21)
        for port in ROOT_PORTS:
            run.equal(f"{capture}: ACS of {port}", functions[port]["acs"]["control"], control)
        for port in SWITCH_PORTS:
            run.equal(f"{capture}: ACS of {port}", functions[port]["acs"], "absent")
        run.equal(f"{capture}: drives", [functions[f]["names"] for f in DRIVES],
                  [[f"nvme{n}n1"] for n in range(len(DRIVES))])
        run.equal(f"{capture}: IOMMU", {functions[f]["iommu"] for f in DRIVES}, {iommu})
        run.equal(f"{capture}: root buses", {f["root_bus"] for f in functions.values()},
                  {"0000:00", "0000:40"})
        groups = [functions[f]["iommu_group"] for f in DRIVES]
        run.equal(f"{capture}: groups", [group is not None for group in groups],
                  [iommu != "none"] * len(DRIVES))
        run.equal(f"{capture}: sizes of the memories",
                  [max(int(b["size"], 16) for b in functions[f]["bars"]) >> 20
                   for f in (CMB, PMR, OTHER, SHARED_MEMORY)], [64, 16, 16, 32])


def check_answers(run):
    """The verdicts, for both machines, with the recorded kernel and CPU."""
    plain, translated = run.pairs(NO_IOMMU), run.pairs(TRANSLATED)
    for provider, client, same_switch in drive_pairs():
        what = f"{client} -> {provider}"
        verdict = "direct" if same_switch else "root-complex"
        run.equal(f"{what}, no IOMMU", wire(plain[provider, client]), ("yes", verdict, verdict))
        run.equal(f"{what}, translated", wire(translated[provider, client]),
                  ("unknown", "unknown", "unknown"))
        distance = 4 if same_switch else 6 if {provider, client} & set(BELOW_SWITCH) else 4
        wanted = "BUS_ADDR" if same_switch else "NOT_SUPPORTED", distance
        for pairs in (plain, translated):
            run.equal(f"{what}, kernel", kernel(pairs[provider, client]), wanted)
    # Linux has no driver for these two here, so nothing switched bus mastering on.
    plain = run.pairs(NO_IOMMU, CMB, EDU, SHARED_MEMORY)
    for client in (EDU, SHARED_MEMORY):
        run.equal(f"{client}: stops", plain[CMB, client]["stops"],
                  [{"code": "bus-master-off", "at": client}])
        run.equal(f"{client}: as provider", plain[client, CMB]["answer"], "yes")
    for pair in run.pairs(NO_IOMMU, "--cpu", "amd-zen", CMB, OTHER).values():
        if pair["provider"] != pair["client"]:
            run.equal("across root ports, AMD Zen", kernel(pair), ("THRU_HOST_BRIDGE", 6))


def check_reasons(run):
    for capture, words in ((NO_IOMMU, "QEMU's own device models reach each other"),
                           (TRANSLATED, "QEMU's virtual IOMMU translates"),
                           (TEXT, "in a virtual machine the topology is no evidence")):
        for client in (PMR, OTHER):
            text = run.p2pdma(capture, "check", CMB, client)
            run.equal(f"{capture}, {client}: says {words!r}", words in text, True)


def check_text(run):
    """lspci and our own dump saw the same machine."""
    ours, theirs = run.functions(NO_IOMMU), run.functions(TEXT)
    run.equal("lspci text: functions", sorted(theirs), sorted(ours))
    for bdf in sorted(set(ours) & set(theirs)):
        for key in ("parent", "root_bus", "kind", "ids", "class", "link", "acs", "config_len"):
            run.equal(f"lspci text: {key} of {bdf}", theirs[bdf][key], ours[bdf][key])
    ours, theirs = run.pairs(NO_IOMMU, "--cpu", "other"), run.pairs(
        TEXT, "--profile", "linux-6.1", "--cpu", "other")
    for pair in sorted(ours):
        run.equal(f"lspci text: kernel of {pair}", kernel(theirs[pair]), kernel(ours[pair]))
        if pair[0] != pair[1]:  # whether an IOMMU translates is in no register
            run.equal(f"lspci text: {pair} is no yes", theirs[pair]["answer"] != "yes", True)


def main(command, data):
    run = Run(command, data)
    for check in (check_machine, check_functions, check_answers, check_reasons, check_text):
        check(run)
    print(f"{run.passed} passed, {run.failed} failed")
    return run.failed != 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
