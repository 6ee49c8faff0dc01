#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What README.md shows is what happens: its C program, and its two answers.

readme.py SOURCE_ROOT CC LIBRARY COMMAND
"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path


def shown(readme, command):
    """The lines that the README prints below a command, up to the next blank line."""
    start = readme.index(f'$ p2pdma {command}\n')
    return readme[start:].split('```')[0].split('\n\n')[0].splitlines()[1:]


def program_says(readme, root, cc, library):
    source = re.search(r'```c\n(.*?)```', readme, re.S)[1]
    with tempfile.TemporaryDirectory() as directory:
        binary = Path(directory, 'readme')
        subprocess.run([cc, '-Wall', '-Wextra', '-Werror', '-x', 'c', '-', '-x', 'none', library,
                        '-I', f'{root}/include', '-o', binary], input=source, text=True, check=True)
        return subprocess.run([binary], cwd=root, text=True, stdout=subprocess.PIPE,
                              env={**os.environ, 'LD_LIBRARY_PATH': str(Path(library).parent)}).stdout


def main(root, cc, library, command):
    library, command = str(Path(library).resolve()), str(Path(command).resolve())
    readme = Path(root, 'README.md').read_text()
    wrong = []
    if program_says(readme, root, cc, library) != 'yes\n':
        wrong.append('the C program does not say yes')
    for arguments in re.findall(r'^\$ p2pdma (.*)$', readme, re.M):
        printed = subprocess.run([command, *arguments.split()], cwd=root, text=True,
                                 stdout=subprocess.PIPE).stdout.splitlines()
        for line in shown(readme, arguments):
            # Class names come from pci.ids, which need not be installed.
            if line not in printed and not line.startswith('(') and '3D controller' not in line:
                wrong.append(f'{arguments}: does not print: {line}')
    print('\n'.join(wrong + [f'{len(wrong)} complaints']))
    return 1 if wrong else 0


sys.exit(main(*sys.argv[1:]))
