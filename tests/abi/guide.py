#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The fragments of C in docs/driver-guide.md, one behind the other, are one file that compiles.

guide.py SOURCE_ROOT CC
"""
import re
import subprocess
import sys
from pathlib import Path


def main(root, cc):
    fragments = re.findall(r'^```c\n(.*?)^```', Path(root, 'docs/driver-guide.md').read_text(),
                           re.S | re.M)
    run = subprocess.run([cc, '-std=gnu11', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-x', 'c',
                          '-I', f'{root}/include', '-'], input='\n'.join(fragments), text=True)
    print(f'{len(fragments)} fragments')
    return run.returncode or not fragments


sys.exit(main(*sys.argv[1:]))
