#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every public function, struct and enum has a doc comment that is whole and not stale.

kerneldoc.py SOURCE_ROOT
"""
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / 'man'))
from cheaders import declarations, public_headers  # noqa: E402


def complaints(declaration):
    if declaration.doc is None:
        yield 'has no doc comment right above it'
        return
    doc = declaration.doc
    is_function = declaration.kind == 'function'
    title = f'{declaration.name}()' if is_function else f'{declaration.kind} {declaration.name}'
    if doc.title != title or not doc.summary:
        yield f"doc comment starts with '{doc.title} - {doc.summary}', not with '{title} - '"
    named = doc.arguments()
    for member in declaration.members:
        if member not in named:
            yield f'@{member} is not described'
    for name in named:
        if name not in declaration.members:
            yield f'@{name} is described and does not exist'
        if named.count(name) > 1:
            yield f'@{name} is described twice'
    if is_function:
        if bool(doc.returns) == declaration.is_void:
            yield 'returns nothing and has a Return:' if doc.returns else 'has no Return:'


def main(root):
    found = [d for header in public_headers(root) for d in declarations(header)]
    wrong = [f'{d}: {complaint}' for d in found for complaint in complaints(d)]
    print('\n'.join(wrong + [f'{len(found)} declarations, {len(wrong)} complaints']))
    return 1 if wrong or not found else 0


sys.exit(main(*sys.argv[1:]))
