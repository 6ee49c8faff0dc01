#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The rules of the house that are visible in the text; ARCHITECTURE.md says why.

house.py SOURCE_ROOT
"""
import re
import sys
from pathlib import Path

ROOMS = ('apps', 'base', 'bench', 'core', 'include', 'machines', 'snapshot', 'tests')
MAX_LINES = 600
MAX_PUBLIC_HEADER_LINES = 250
MAX_README_LINES = 120
MAX_OPS = 20
# core knows no operating system and no file format.
NOT_IN_CORE = re.compile(r'(unistd|fcntl|sys/\w+|time|dirent|signal|pthread|jansson)\.h')
# The build opens all of snapshot/ to those above it; this header is its own.
SNAPSHOT_ONLY = 'sysfs.h'


def complaints(name, text):
    room = name.split('/')[0]
    lines = text.count('\n')
    limit = MAX_PUBLIC_HEADER_LINES if room == 'include' else MAX_LINES
    if lines > limit:
        yield f'{lines} lines, {limit} at most'
    if not text.startswith('/* SPDX-License-Identifier: MIT */\n'):
        yield 'does not begin with its licence'
    for include in re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', text, re.M):
        # The build's include paths say who may use whom (include_paths.py); this goes round them.
        if '..' in include:
            yield f'includes {include}, a path out of its module'
        if room == 'core' and NOT_IN_CORE.fullmatch(include):
            yield f'includes {include}: core knows no operating system'
        if room not in ('snapshot', 'tests') and include == SNAPSHOT_ONLY:
            yield f'includes {include}, which is snapshot/ alone'


def seam_complaints(root):
    """Each op is a row of ARCHITECTURE.md's table, in the same order."""
    ops = re.search(r'^struct machine_ops \{(.*?)^\};', (root / 'core/machine_ops.h').read_text(),
                    re.S | re.M)
    ops = re.findall(r'\(\*(\w+)\)\(', ops[1])
    seam = re.search(r'^## The seam.*?(?=^## )', (root / 'ARCHITECTURE.md').read_text(), re.S | re.M)
    rows = re.findall(r'^\| (\w+) \|', seam[0], re.M)[1:]
    if rows != ops:
        yield f'ARCHITECTURE.md lists the ops {rows}, core/machine_ops.h has {ops}'
    if len(ops) > MAX_OPS:
        yield f'core/machine_ops.h: {len(ops)} ops, {MAX_OPS} at most'


def main(root):
    root = Path(root)
    files = sorted(path for room in ROOMS for path in (root / room).rglob('*.[ch]'))
    wrong = [f'{path.relative_to(root)}: {complaint}' for path in files
             for complaint in complaints(str(path.relative_to(root)), path.read_text())]
    wrong += seam_complaints(root)
    readme = Path(root, 'README.md').read_text().count('\n')
    if readme > MAX_README_LINES:
        wrong.append(f'README.md: {readme} lines, {MAX_README_LINES} at most')
    print('\n'.join(wrong + [f'{len(files)} files, {len(wrong)} complaints']))
    return 1 if wrong or not files else 0


sys.exit(main(*sys.argv[1:]))
