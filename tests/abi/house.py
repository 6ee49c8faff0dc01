#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The rules of the house that a compiler cannot hold.

house.py SOURCE_ROOT CC LIBRARY
"""
import re
import subprocess
import sys
from pathlib import Path

# What a library must not call: it returns reasons, the program prints and exits.
FORBIDDEN = {'exit', '_exit', 'abort', '__assert_fail', 'printf', '__printf_chk', 'puts', 'putchar',
             'perror', 'signal', 'sigaction', 'stdout', 'stderr', 'setlocale'}
# A module, and an include that its room does not have.
TRESPASSES = [('base', 'snapshot.h'), ('snapshot', 'topology.h'), ('snapshot', 'machine_ops.h'),
              ('machines', 'topology.h'), ('machines', 'routes.h'), ('core', 'capture/capture.h'),
              ('core', 'jansson.h'), ('core', 'sysfs.h')]
ROOMS = {'base': ['include'], 'snapshot': ['include', 'base', 'snapshot'],
         'machines': ['include', 'base', 'snapshot', 'core'],
         'core': ['include', 'base', 'snapshot', 'core', 'core/private']}
OS_HEADERS = re.compile(r'#include <(unistd|fcntl|sys/\w+|time|dirent|signal|pthread)\.h>')


def includes(cc, root, room, header):
    source = f'#include "{header}"\n'
    flags = [flag for path in ROOMS[room] for flag in ('-I', f'{root}/{path}')]
    if header == 'jansson.h':  # installed for all, so ask the sources
        return any('jansson.h' in path.read_text() for path in Path(root, room).rglob('*.[ch]'))
    if header == 'sysfs.h':  # in snapshot's room, for snapshot only
        return any('"sysfs.h"' in path.read_text() for path in Path(root, room).rglob('*.[ch]'))
    return subprocess.run([cc, '-fsyntax-only', '-x', 'c', *flags, '-'], input=source, text=True,
                          stderr=subprocess.DEVNULL).returncode == 0


def main(root, cc, library):
    wrong = [f'{room}/ can include {header}' for room, header in TRESPASSES
             if includes(cc, root, room, header)]
    for path in Path(root, 'core').rglob('*.[ch]'):
        match = OS_HEADERS.search(path.read_text())
        if match:
            wrong.append(f'{path.relative_to(root)}: core knows no operating system: {match[0]}')
    undefined = subprocess.run(['nm', '-D', '--undefined-only', library], check=True, text=True,
                               stdout=subprocess.PIPE).stdout
    called = {line.split()[-1].split('@')[0] for line in undefined.splitlines()}
    wrong += [f'the library calls {name}' for name in sorted(called & FORBIDDEN)]
    # Constants with pointers in them lie in .data.rel.ro; what can change lies in .data and .bss.
    data = subprocess.run(['objdump', '-t', library], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    own = re.findall(r' O \.(?:data|bss)\s+[0-9a-f]+ +(?:\.hidden )?(\S+)$', data, re.M)
    wrong += [f'a global that changes: {name}' for name in own
              if name not in ('completed.0', '__dso_handle', '__TMC_END__')]
    for path in sorted(Path(root).glob('*/**/*.[ch]')):
        relative = path.relative_to(root)
        if relative.parts[0].startswith('build'):
            continue
        lines = path.read_text().count('\n')
        limit = 250 if relative.parts[0] == 'include' else 600
        if lines > limit:
            wrong.append(f'{relative}: {lines} lines, {limit} at most')
        if not path.read_text().startswith('/* SPDX-License-Identifier: MIT */'):
            wrong.append(f'{relative}: does not begin with its licence')
    readme = Path(root, 'README.md').read_text().count('\n')
    if readme > 120:
        wrong.append(f'README.md: {readme} lines, 120 at most')
    print('\n'.join(wrong + [f'{len(wrong)} complaints']))
    return 1 if wrong else 0


sys.exit(main(*sys.argv[1:]))
