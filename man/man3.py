#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the manual page of a public header, as scdoc text, from the comments in it.

man3.py HEADER.h NAME...

The first NAME is the header's as it is included, without .h ("sim/model"); the others are those of the
headers to refer to.
"""
import os
import re
import sys
import textwrap
from pathlib import Path

from cheaders import Declaration, Doc, contents

# Of 80 columns, those that a literal block leaves.
CODE_COLUMNS = 68
# What kernel-doc marks, and what is code without a mark.
MARKUP = re.compile(r'`(?P<literal>[^`]+)`|%(?P<constant>\w+)|@(?P<argument>\w+)'
                    r'|(?P<call>\b_?[a-z]\w*\(\))|(?P<plain>-E[A-Z0-9]+\b|\bP2P(?:DMA|MEM)_[A-Z0-9_]+\b)')
TAGGED = re.compile(r'(-?\w+)\s+- (.*)')


def page_name(name):
    return 'p2pdma-' + name.replace('/', '-')


def escape(text):
    return re.sub(r'([\\*_+`~^])', r'\\\1', text)


def inline(text):
    """A line of text: nothing in it is scdoc's markup but what stands for kernel-doc's."""
    done, out = 0, ''
    for match in MARKUP.finditer(text):
        what = next(group for group in match.groups() if group)
        mark = '_' if match['argument'] and what.islower() else '*'
        out += escape(text[done:match.start()]) + mark + escape(what) + mark
        done = match.end()
    out += escape(text[done:])
    # At its start a line may be a heading, list, table or comment; a dot is lost, or even roff's.
    out = re.sub(r'^([-#;|\[\]])', r'\\\1', out)
    return re.sub(r'^\.', '*.*', out)


def sentence(text):
    """A summary as a paragraph of its own."""
    text = re.sub(r'^[a-z]+(?=[ ,])', lambda word: word[0].capitalize(), text)
    return inline(text if text[-1:] in '.?!' else text + '.') + '\n\n'


def literal(code, tabs=''):
    lines = ['```', *re.sub(r'([\\`])', r'\\\1', code).rstrip('\n').split('\n'), '```', '']
    return ''.join((tabs + line).rstrip() + '\n' for line in lines)


def tagged(tag, text, tabs):
    return f'{tabs}*{escape(tag)}*\n{tabs}\t{inline(text)}\n'


def paragraphs(blocks, tabs=''):
    """Blocks as scdoc text, each run of arguments or items without blank lines in between."""
    out, last = '', None
    for block in blocks:
        tag = block.kind == 'item' and TAGGED.fullmatch(block.text)
        if last and block.kind != last:
            out += '\n'
        if block.kind == 'code':
            out += literal(block.text, tabs).rstrip('\n') + '\n'
        elif block.kind == 'argument' and block.name.islower():
            out += f'{tabs}_{escape(block.name)}_\n{tabs}\t{inline(block.text)}\n'
        elif block.kind == 'argument':
            out += tagged(block.name, block.text, tabs)
        elif tag:
            out += tagged(tag[1], tag[2], tabs)
        elif block.kind == 'item':
            out += f'{tabs}- {inline(block.text)}\n'
        else:
            out += ('\n' if last == 'text' else '') + f'{tabs}{inline(block.text)}\n'
        last = block.kind
    return out + '\n' if out else ''


def labelled(label, blocks):
    """A label, and what it stands before: on the same line where that is all, else below it."""
    if not blocks:
        return ''
    if blocks[0].kind != 'text':
        return f'*{label}:*\n' + paragraphs(blocks, '\t')
    rest = paragraphs(blocks[1:], '\t')
    return f'*{label}:* {inline(blocks[0].text)}\n' + (rest or '\n')


def folded(line):
    """A line of code folded behind commas, so that it fits."""
    indent = ' ' * (len(line) - len(line.lstrip()))
    # No break is made at the blanks within an argument; before the first one if need be.
    joined = re.sub(r'(?<!,) ', '\0', line.strip())
    for joined in (joined, joined.replace('(', '( ', 1)):
        lines = textwrap.wrap(joined, CODE_COLUMNS, initial_indent=indent,
                              subsequent_indent=indent + 8 * ' ', break_long_words=False,
                              break_on_hyphens=False)
        if max(len(line) for line in lines) <= CODE_COLUMNS:
            break
    return '\n'.join(lines).replace('( ', '(').replace('\0', ' ')


def synopsis(name, items):
    """What the header declares, as C, without comments; prototypes stand together."""
    out, last = f'#include <p2pdma/{name}.h>\n', 'include'
    for item in items:
        if not item.code:
            continue
        if item.kind != last or item.kind not in ('function', 'opaque', 'define'):
            out += '\n'
        if item.kind == 'function':
            out += folded(' '.join(item.code.split())) + ';\n'
        elif item.kind == 'define':
            out += item.code + '\n'
        else:
            out += '\n'.join(folded(line) for line in item.code.expandtabs(4).split('\n')) + ';\n'
        last = item.kind
    return literal(out)


def section(item):
    """What one declaration's comment says."""
    if isinstance(item, Declaration):
        if item.doc is None:
            return ''
        doc = item.doc
        return (f'## {doc.title}\n\n' + sentence(doc.summary) + paragraphs(doc.blocks) +
                labelled('Context', doc.context) + labelled('Return value', doc.returns))
    if not item.comment:
        return ''
    text = ' '.join(re.sub(r'^\s*/?\*+/?|\*/$', '', line).strip()
                    for line in item.comment.splitlines()).strip()
    if item.kind == 'remark':
        heading, _, text = text.partition('. ')
    elif item.kind == 'opaque':
        heading = f'struct {item.names[0]}'
    else:
        heading = os.path.commonprefix(item.names) + ('*' if len(item.names) > 1 else '')
    return f'## {heading.rstrip(".")}\n\n' + (sentence(text.strip()) if text else '')


def page(header, name, others):
    head, items = contents(header)
    others = ''.join(f', *{page_name(other)}*(3)' for other in others if other != name)
    return (f'{page_name(name)}(3) "libp2pdma"\n\n'
            f'# NAME\n\n{page_name(name)} - {inline(head.summary.rstrip("."))}\n\n'
            f'# SYNOPSIS\n\n{synopsis(name, items)}'
            f'# DESCRIPTION\n\n{paragraphs(head.blocks)}'
            '# FUNCTIONS AND TYPES\n\n' + ''.join(section(item) for item in items) +
            f'# SEE ALSO\n\n*p2pdma*(1){others}\n\n'
            'docs/driver-guide.md in the source: a driver from end to end\n')


def main(header, *names):
    sys.stdout.reconfigure(encoding='utf-8')
    sys.stdout.write(page(Path(header), names[0], names))


if __name__ == '__main__':
    main(*sys.argv[1:])
