# SPDX-License-Identifier: MIT
"""Where the shared material lies: $P2PDMA_SHARED, else ../shared beside the repository."""

import os
import pathlib
import sys


def folder(name):
    root = pathlib.Path(os.environ.get("P2PDMA_SHARED") or
                        pathlib.Path(__file__).resolve().parents[3] / "shared")
    path = root / name
    if not path.exists():
        print(f"SKIP: no {path} (set P2PDMA_SHARED to the folder that holds {name})")
        sys.exit(77)
    return path


def skip(reason):
    print(f"SKIP: {reason}")
    sys.exit(77)
