#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`p2pdma check` on the bundled desktop prints what the documentation shows, to the letter.

    sample.py P2PDMA CAPTURE
"""

import difflib
import subprocess
import sys

WANTED = """\
0000:04:00.0 (client) -> 0000:03:00.0 BAR2 (provider)   Linux 6.12, IOMMU translated
  answer UNKNOWN
  write  UNKNOWN  redirected at 02:01.0 (ReqRedir+) to root complex 8086:4c43, not known to forward
  read   UNKNOWN  same, for the request
  kernel NOT_SUPPORTED, distance 4
  path   04:00.0 > 02:01.0 > [01:00.0] > 02:00.0 > 03:00.0   (each hop with its bits under -v)
"""


def main(command, capture):
    run = subprocess.run([command, "check", "-M", f"capture:{capture}", "03:00.0", "04:00.0"],
                         capture_output=True, text=True)
    print("".join(difflib.unified_diff(WANTED.splitlines(True), run.stdout.splitlines(True),
                                       "wanted", "printed")) + run.stderr, end="")
    if run.returncode != 2:
        print(f"exit code {run.returncode}, wanted 2: unknown")
    return run.stdout != WANTED or run.returncode != 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
