#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every hex file of captures: function count, tree, ACS bits and links.

    captures.py DESCRIBE golden      against INDEX.md and the stored readings of lspci
    captures.py DESCRIBE installed   against the lspci of this machine
    captures.py DESCRIBE own         likewise, the machines of tests/machines as text
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import lspci
import shared

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "machines"))

import emit      # noqa: E402
import generate  # noqa: E402

# Intel 100-series PCH root ports: lspci reads the upper half of their ACS Capability dword as the
# control (INDEX.md), so only the capability is compared there.
PCH_LAYOUT = {
    ("h310-desktop.nnvvvxxxx.txt", "0000:00:1c.0"),
    ("tests-data-turns-pch-upstream-fwd.lspci", "0000:00:01.0"),
    ("tests-data-turns-pch-no-upstream-fwd.lspci", "0000:00:01.0"),
}

# Two bridges claim bus 1: lspci takes the one it read last, we say that nobody knows.
CONTESTED = {
    ("tests-data-roots-contested-bus.lspci", "0000:01:00.0"),
    ("tests-data-roots-contested-bus.lspci", "0000:01:00.1"),
}

failures = 0


def complain(path, what):
    global failures
    failures += 1
    print(f"not ok - {path.name}: {what}")


def describe(helper, path):
    """{function: (parent, is_vf, acs, link)}"""
    run = subprocess.run([helper, path], capture_output=True, text=True)
    if run.returncode:
        complain(path, run.stderr.strip() or f"exit {run.returncode}")
        return None
    found = {}
    for line in run.stdout.splitlines():
        address, parent, vf, acs, link = line.split("\t")
        found[address] = (None if parent == "-" else parent, vf == "vf", acs, link)
    return found


def compare(path, ours, what, theirs):
    for address, value in sorted(theirs.items()):
        if address not in ours:
            complain(path, f"{what} of {address}: we have no such function")
        elif ours[address] != value:
            complain(path, f"{what} of {address}: lspci {value}, we {ours[address]}")


def compare_tree(path, ours, text):
    # lspci knows no VFs: it leaves them where their bus number puts them.
    theirs = {a: p for a, p in lspci.tree(text).items() if a not in ours or not ours[a][1]}
    for address in theirs:
        if (path.name, address) in CONTESTED:
            theirs[address] = None
    if set(theirs) | {a for a in ours if ours[a][1]} != set(ours):
        complain(path, f"tree: lspci lists {len(theirs)} functions, we {len(ours)}")
    compare(path, {a: f[0] for a, f in ours.items()}, "parent", theirs)
    return len(theirs)


def compare_acs(path, ours, text):
    theirs = lspci.acs(text)
    mine = {a: tuple(int(v, 16) for v in f[2].split())
            for a, f in ours.items() if f[2] not in ("none", "unknown")}
    for address in theirs:
        if (path.name, address) in PCH_LAYOUT:
            theirs[address] = (theirs[address][0], mine[address][1])
    compare(path, mine, "ACS", theirs)
    if set(mine) - set(theirs):
        complain(path, f"ACS: lspci sees none at {', '.join(sorted(set(mine) - set(theirs)))}")
    return len(theirs)


def compare_links(path, ours, text):
    theirs = lspci.links(text)
    compare(path, {a: tuple(int(v) for v in f[3].split()) for a, f in ours.items()
                   if f[3] != "-"}, "link", theirs)
    return len(theirs)


def golden(helper, folder):
    files = trees = registers = 0
    unused = {p.name for p in (folder / "lspci-F").glob("*.tree.txt")}
    for row in re.findall(r"^\| (hex/\S+) \| hex[^:]*: (\d+)/", (folder / "INDEX.md").read_text(),
                          re.M):
        path = folder / row[0]
        ours = describe(helper, path)
        if ours is None:
            continue
        files += 1
        if len(ours) != int(row[1]):
            complain(path, f"{len(ours)} functions, INDEX.md says {row[1]}")
        stem = folder / "lspci-F" / path.name.removesuffix(".txt")
        stored = stem.with_name(stem.name + ".tree.txt")
        if stored.exists():
            unused.remove(stored.name)
            trees += compare_tree(path, ours, stored.read_text())
            stored = stem.with_name(stem.name + ".acs.txt")
            registers += compare_acs(path, ours, stored.read_text() if stored.exists() else "")
    if unused:
        complain(folder / "lspci-F", f"INDEX.md has no hex file for {', '.join(sorted(unused))}")
    print(f"{files} files, {trees} functions placed, {registers} ACS capabilities")
    return files and trees and registers


def installed(helper, folder):
    if not shutil.which("lspci"):
        shared.skip("no lspci here (apt-get install pciutils)")
    files = trees = registers = linked = 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        run = [subprocess.run(["lspci", "-F", path, "-D", *args], capture_output=True, text=True)
               for args in (["-t"], ["-vvv"])]
        if any(r.returncode for r in run):
            print(f"# {path.name}: not accepted by lspci: {run[0].stderr.strip().splitlines()[-1]}")
            continue
        ours = describe(helper, path)
        if ours is None:
            continue
        files += 1
        trees += compare_tree(path, ours, run[0].stdout)
        registers += compare_acs(path, ours, run[1].stdout)
        linked += compare_links(path, ours, run[1].stdout)
    print(f"{files} files, {trees} functions placed, {registers} ACS capabilities, {linked} links")
    return files and trees and registers and linked


def own(helper):
    with tempfile.TemporaryDirectory() as folder:
        for name, build in generate.bundle():
            path = pathlib.Path(folder) / name.replace("/", "-").replace(".json", ".lspci")
            path.write_text(emit.lspci(build()))
        return installed(helper, pathlib.Path(folder))


def main(helper, mode):
    if mode == "own":
        compared = own(helper)
    elif mode == "golden":
        compared = golden(helper, shared.folder("captures"))
    else:
        compared = installed(helper, shared.folder("captures") / "hex")
    return 1 if failures or not compared else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
