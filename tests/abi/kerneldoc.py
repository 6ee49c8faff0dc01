#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every public function, struct and enum has a doc comment that is whole and not stale.

kerneldoc.py SOURCE_ROOT
"""
import re
import sys

from cheaders import declarations, public_headers


def complaints(declaration):
    if declaration.doc is None:
        yield 'has no doc comment right above it'
        return
    lines = [re.sub(r'^\s*\*? ?', '', line) for line in declaration.doc.strip().splitlines()]
    is_function = declaration.kind == 'function'
    title = f'{declaration.name}()' if is_function else f'{declaration.kind} {declaration.name}'
    if not lines[0].startswith(title + ' - '):
        yield f"doc comment starts with '{lines[0]}', not with '{title} - '"
    named = [match[1] for match in (re.match(r'@(\w+): \S', line) for line in lines) if match]
    for member in declaration.members:
        if member not in named:
            yield f'@{member} is not described'
    for name in named:
        if name not in declaration.members:
            yield f'@{name} is described and does not exist'
        if named.count(name) > 1:
            yield f'@{name} is described twice'
    if is_function:
        returns = any(line.startswith('Return:') for line in lines)
        if returns == declaration.is_void:
            yield 'returns nothing and has a Return:' if returns else 'has no Return:'


def main(root):
    found = [d for header in public_headers(root) for d in declarations(header)]
    wrong = [f'{d}: {complaint}' for d in found for complaint in complaints(d)]
    print('\n'.join(wrong + [f'{len(found)} declarations, {len(wrong)} complaints']))
    return 1 if wrong or not found else 0


sys.exit(main(*sys.argv[1:]))
