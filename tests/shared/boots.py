#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Real captures, and the machines of kernel-answers, as simulated machines.

    boots.py BOOTS
"""

import gzip
import pathlib
import subprocess
import sys
import tempfile

import shared


def main(boots):
    paths = sorted(p for p in (shared.folder("captures") / "hex").rglob("*") if p.is_file())
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(shared.folder("kernel-answers").rglob("*.lspci.gz")):
            text = pathlib.Path(folder, path.name.removesuffix(".gz"))
            text.write_bytes(gzip.decompress(path.read_bytes()))
            paths.append(text)
        return subprocess.run([boots, *paths]).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
