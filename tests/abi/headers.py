#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each public header compiles alone, in C99 and in C++17, and includes nobody else's.

headers.py SOURCE_ROOT CC CXX
"""
import re
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / 'man'))
from cheaders import public_headers  # noqa: E402

ALLOWED = {'stdbool.h', 'stddef.h', 'stdint.h'}
FLAGS = ['-Wall', '-Wextra', '-Werror', '-pedantic', '-fsyntax-only', '-x']


def compiles(compiler, language, standard, root, name):
    source = f'#include <p2pdma/{name}>\n#include <p2pdma/{name}>\nint main(void) {{ return 0; }}\n'
    run = subprocess.run([compiler, *FLAGS, language, f'-std={standard}', '-I', f'{root}/include', '-'],
                         input=source, text=True, stderr=subprocess.PIPE)
    if run.returncode:
        print(run.stderr)
    return run.returncode == 0


def main(root, cc, cxx):
    wrong = []
    for header in public_headers(root):
        name = header.relative_to(Path(root, 'include', 'p2pdma'))
        if not compiles(cc, 'c', 'c99', root, name):
            wrong.append(f'{name}: does not compile alone in C99')
        if not compiles(cxx, 'c++', 'c++17', root, name):
            wrong.append(f'{name}: does not compile alone in C++17')
        for include in re.findall(r'#include [<"](.*?)[>"]', header.read_text()):
            if include not in ALLOWED and not include.startswith('p2pdma/'):
                wrong.append(f'{name}: includes {include}')
    print('\n'.join(wrong + [f'{len(wrong)} complaints']))
    return 1 if wrong else 0


sys.exit(main(*sys.argv[1:]))
