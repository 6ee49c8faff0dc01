#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Real captures of $P2PDMA_SHARED, else ../shared: dumped and read again, the answers stay."""

import os
import pathlib
import sys

import cli


def main():
    folder = pathlib.Path(os.environ.get("P2PDMA_SHARED") or cli.ROOT.parent / "shared",
                          "captures/hex")
    files = [path for path in sorted(folder.glob("**/*")) if path.is_file()]
    if not files:
        cli.skip(f"no captures in {folder} (set P2PDMA_SHARED to the folder that holds captures)")
    wrong = {path: cli.differs_after_dump(path) for path in files}
    wrong = {path: what for path, what in wrong.items() if what}
    for path, what in wrong.items():
        print(f"{path}: differs: {what}")
    print(f"{len(files) - len(wrong)} of {len(files)} captures answer the same after a dump")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
