#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The library exports exactly what the headers declare, and the map says so, sorted.

symbols.py SOURCE_ROOT LIBRARY
"""
import re
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / 'man'))
from cheaders import declarations, public_headers  # noqa: E402


def exported(library):
    lines = subprocess.run(['nm', '-D', '--defined-only', library], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.splitlines()
    # Type A is the version node itself.
    return {line.split()[-1].split('@')[0] for line in lines if line.split()[-2] != 'A'}


def main(root, library):
    declared = {d.name for header in public_headers(root) for d in declarations(header)
                if d.kind == 'function'}
    mapped = re.findall(r'^\t(\w+);$', Path(root, 'libp2pdma.map').read_text(), re.M)
    symbols = exported(library)
    wrong = [f'{name}: declared in a header, not exported' for name in sorted(declared - symbols)]
    wrong += [f'{name}: exported, in no public header' for name in sorted(symbols - declared)]
    wrong += [f'{name}: declared, not in libp2pdma.map' for name in sorted(declared - set(mapped))]
    wrong += [f'{name}: in libp2pdma.map, not declared' for name in sorted(set(mapped) - declared)]
    if mapped != sorted(set(mapped)):
        wrong.append('libp2pdma.map is not sorted, or names a function twice')
    print('\n'.join(wrong + [f'{len(symbols)} symbols, {len(wrong)} complaints']))
    return 1 if wrong or not symbols else 0


sys.exit(main(*sys.argv[1:]))
