#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every machine of kernel-answers, both CPUs, through the helper given as argument."""

import gzip
import subprocess
import sys

import shared


def main(helper):
    folder = shared.folder("kernel-answers")
    machines = sorted(folder.rglob("*.lspci.gz"))
    if len(machines) < 671:
        print(f"{folder}: {len(machines)} machines, expected 671")
        return 1
    with subprocess.Popen([helper], stdin=subprocess.PIPE) as process:
        for path in machines:
            text = gzip.decompress(path.read_bytes())
            name = path.name.removesuffix(".lspci.gz")
            for cpu in ("other", "amd-zen"):
                answers = gzip.decompress((path.parent / f"{name}.{cpu}.json.gz").read_bytes())
                process.stdin.write(f"{name} {cpu} {len(text)} {len(answers)}\n".encode())
                process.stdin.write(text + answers)
        process.stdin.close()
        return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
