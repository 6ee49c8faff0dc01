#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who may include whom: what the build allows is what ARCHITECTURE.md's map allows, both ways.

For each module, a file that includes one header is compiled with the module's own command.

include_paths.py SOURCE_ROOT BUILD_ROOT
"""
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

# A header that stands for each module, and the modules that may include it.
OWNERS = {
    'p2pdma/machine.h': {'base', 'snapshot', 'core', 'machines', 'apps'},
    'report.h': {'base', 'snapshot', 'core', 'machines'},
    'snapshot.h': {'snapshot', 'core', 'machines'},
    'machine_ops.h': {'core', 'machines'},
    'pcicap.h': {'core'},
    'live/live.h': set(),
}


def commands(source, build):
    """One compile command per module that has a source in this build."""
    found = {}
    for entry in json.loads(Path(build, 'compile_commands.json').read_text()):
        path = Path(entry['directory'], entry['file']).resolve()
        if path.is_relative_to(Path(source).resolve()):
            module = path.relative_to(Path(source).resolve()).parts[0]
            found.setdefault(module, entry)
    return found


def compiles(entry, header, scratch):
    probe = Path(scratch, 'probe.c')
    probe.write_text(f'#include "{header}"\ntypedef int probe;\n')
    command = shlex.split(entry['command'])
    command[command.index(entry['file'])] = str(probe)
    for option in ('-o', '-MF', '-MQ'):
        command[command.index(option) + 1] = str(Path(scratch, 'probe' + option))
    return subprocess.run(command, cwd=entry['directory'], check=False,
                          stderr=subprocess.DEVNULL).returncode == 0


def main(source, build):
    modules = commands(source, build)
    wrong, tried = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        for header, users in OWNERS.items():
            for module in sorted(users | set().union(*OWNERS.values())):
                if module not in modules:
                    wrong.append(f'{module}: no source file of it in the build')
                    continue
                tried += 1
                if compiles(modules[module], header, scratch) != (module in users):
                    verb = 'cannot' if module in users else 'can'
                    wrong.append(f'{module}/ {verb} include {header}')
    print('\n'.join(wrong + [f'{tried} includes tried, {len(wrong)} complaints']))
    return 1 if wrong or not tried else 0


sys.exit(main(*sys.argv[1:]))
