#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the bundled captures: data/*.json and tests/data/*/*.json, but for those that
scripts/capture-qemu writes.

    generate.py [ROOT]          write them
    generate.py --check [ROOT]  exit 1 and name the files that differ
"""

import pathlib
import sys

import cases
import emit
import oddities
import servers


def bundle():
    yield "data/two-socket.json", servers.two_socket
    yield "data/desktop-rocket-lake.json", servers.desktop
    for name, build in {**cases.CASES, **oddities.CASES}.items():
        yield f"tests/data/{name}.json", build


def main(args):
    check = args[:1] == ["--check"]
    args = args[1:] if check else args
    root = pathlib.Path(args[0] if args else pathlib.Path(__file__).parents[2])
    wrong = 0
    wanted = dict(bundle())
    for name, build in wanted.items():
        text = emit.capture(build())
        path = root / name
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            print(f"{name}: differs from what tests/machines/generate.py writes")
            wrong += 1
    if check:
        stale = {str(p.relative_to(root)) for d in ("data", "tests/data")
                 for p in (root / d).rglob("*.json")} - set(wanted)
        stale -= {str(p.relative_to(root)) for pattern in ("data/qemu-*.json", "data/sim/*.json")
                  for p in root.glob(pattern)}
        for name in sorted(stale):
            print(f"{name}: nothing generates it")
        wrong += len(stale)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
