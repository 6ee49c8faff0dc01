#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the verbs print, word by word, with the exit code.

    goldens.py           compare with tests/cli/golden/*.txt, exit 1 and show the differences
    goldens.py --update  rewrite them; read the diff before committing
"""

import difflib
import sys

import cli

S, D = cli.SERVER, cli.DESKTOP
DRIVES = "tests/cli/fabric/two-drives.json"


def hazard(name):
    return f"capture:tests/data/hazards/{name}.json"


ROOTS = [("zen", "01:00.0", "02:00.0"), ("cpu-unknown", "01:00.0", "02:00.0"),
         ("transblk", "01:00.0", "02:00.0"), ("missing", "07:00.0", "08:00.0"),
         ("missing", "07:00.0", "40:01.0"), ("64-bytes", "03:00.0", "04:00.0"),
         ("256-bytes", "03:00.0", "04:00.0"), ("guest", "03:00.0", "04:00.0"),
         ("guest-blocked", "03:00.0", "04:00.0"), ("qemu-untranslated", "03:00.0", "04:00.0"),
         ("qemu-translated", "03:00.0", "04:00.0"), ("qemu-passed-through", "03:00.0", "04:00.0")]
LINKS = ["link-no-peer-control", "link-peer-control-direct", "link-client-rr",
         "link-egress-blocked", "link-transblk", "link-no-upstream-fwd"]

# file -> the commands whose output it holds
GOLDENS = {
    "check-yes": [("check", "-M", S, "88:00.0", "89:00.0"), ("check", "-M", S, "eth0", "eth2")],
    "check-no": [("check", "-M", S, "b1:00.0", "b4:00.0"), ("check", "-M", S, "40:00.0", "eth1")],
    "check-unknown": [("check", "-M", D, "03:00.0", "04:00.0"),
                      ("check", "-M", S, "3d:00.0", "nvme2n1")],
    "check-several": [("check", "-M", S, "b1:00.0", "b2:00.0", "b4:00.0", "eth3"),
                      ("check", "-M", S, "88:00.0", "1de5:", "::0300", "85:")],
    "check-verbose": [("check", "-v", "-M", D, "03:00.0", "04:00.0"),
                      ("check", "-v", "-M", S, "b1:00.0", "b4:00.0"),
                      ("check", "-v", "-M", S, "88:00.0", "1a:00.0"),
                      ("check", "-v", "-M", S, "1a:00.0", "1a:00.0")],
    "check-op": [("check", "--op", "read", "-M", D, "03:00.0", "04:00.0"),
                 ("check", "--op", "write", "-M", D, "03:00.0", "04:00.0"),
                 ("check", "--op", "write", "-M", "capture:tests/data/roots/refuses-reads.json",
                  "01:00.0", "02:00.0"),
                 ("check", "--op", "read", "-M", "capture:tests/data/roots/refuses-reads.json",
                  "01:00.0", "02:00.0")],
    "check-profile": [("check", "--profile", "linux-6.0", "-M", S, "1a:00.0", "88:00.0"),
                      ("check", "--cpu", "amd-zen", "-M", D, "03:00.0", "04:00.0"),
                      ("check", "-M", "capture:tests/data/roots/kernel-too-old.json",
                       "01:00.0", "02:00.0")],
    "check-roots": [("check", "-M", f"capture:tests/data/roots/{name}.json", *pair)
                    for name, *pair in ROOTS],
    "check-turns": [("check", "-M", f"capture:tests/data/turns/{name}.json", "03:00.0", "04:00.0")
                    for name in ("egress-e1-r0-set", "egress-e1-r1-set", "request-at-tb",
                                 "egress-vector-not-captured", "completion-cr",
                                 "no-upstream-fwd", "root-port-acs-unknown")],
    "check-links": [("check", "-M", f"capture:tests/data/turns/{name}.json", "01:00.0", "01:00.1")
                    for name in LINKS],
    "check-hazards": [("check", "-M", hazard(name), "03:00.0", "04:00.0") for name in (
        "address-width", "bar-outside-window", "bar-unassigned", "bridge-bus-master-off",
        "bridge-memory-off", "bus-master-off", "link-trained-down", "memory-decode-off",
        "mps-client", "mps-provider", "no-answer", "no-bar", "not-d0-client")],
    "matrix": [("matrix", "-M", S), ("matrix", "-M", D)],
    "matrix-narrowed": [("matrix", "-M", S, "10de:*", "eth2", "b4:"),
                        ("matrix", "-M", S, "--op", "read", "::0200"),
                        ("matrix", "-M", S, "17:00.0")],
    "find": [("find", "-M", S, "89:00.0"), ("find", "-M", S, "eth0", "eth2", "-v"),
             ("find", "-M", D, "03:00.0"), ("find", "-M", S, "40:00.0")],
    "find-for-kernel": [("find", "--for", "kernel", "-M", S, "89:00.0", "8a:00.0"),
                        ("find", "--for", "kernel", "-M", D, "04:00.0")],
    "tree": [("tree", "-M", S), ("tree", "-M", D)],
    "sim-check": [("sim", "check", "data/sim/ten-lines.json"),
                  ("sim", "check", "tests/cli/fabric/two-ports.json")],
    "sim-run": [("sim", "run", DRIVES, "--flow", "from=nvme1n1,to=nvme0n1,op=write",
                 "--flow", "from=nvme0n1,to=dram,op=read,size=64K,depth=4"),
                ("sim", "run", "tests/cli/fabric/two-ports.json", "--flow",
                 "from=nvme0n1,to=gpu,op=read,depth=16", "--bytes", "1M")],
}

def transcript(commands):
    parts = []
    for command in commands:
        result = cli.run(*command)
        parts.append(f"$ p2pdma {' '.join(command)}\n{result.stdout}{result.stderr}"
                     f"exit code {result.returncode}\n")
    return "\n".join(parts)


def main(args):
    folder = cli.ROOT / "tests/cli/golden"
    wrong = 0
    for name, commands in GOLDENS.items():
        path = folder / f"{name}.txt"
        text = transcript(commands)
        if args == ["--update"]:
            path.write_text(text)
            continue
        old = path.read_text() if path.exists() else ""
        if text != old:
            wrong += 1
            sys.stdout.writelines(difflib.unified_diff(
                old.splitlines(True), text.splitlines(True), f"golden/{name}.txt", "printed now"))
    stale = {path.stem for path in folder.glob("*.txt")} - set(GOLDENS)
    for name in sorted(stale):
        print(f"golden/{name}.txt: no command of goldens.py writes it")
    return 1 if wrong or stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
