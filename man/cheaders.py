# SPDX-License-Identifier: MIT
"""What the public headers declare, and the comments there.  For the manual pages and tests/abi."""
import re
from pathlib import Path

TOKEN = re.compile(r'/\*.*?\*/|^[ \t]*#(?:\\\n|[^\n])*|\n|[{};]|[^/#{};\n]+|.', re.S | re.M)
FUNCTION = re.compile(r'(?P<result>[\w\s*]+?)\b(?P<name>p2p(?:dma|mem)_\w+)\((?P<params>.*)\)$', re.S)
CALLBACK = re.compile(r'\(\*(?P<name>\w+)\)\([^()]*\)')
RECORD = re.compile(r'(?P<kind>struct|union|enum) (?P<name>p2p(?:dma|mem)_\w+)\s*\{(?P<body>.*)\}$', re.S)
DEFINE = re.compile(r'#define (\w+)\s+\S')
SECTION = re.compile(r'(Context|Return):\s*(.*)')
ARGUMENT = re.compile(r'@(\w+): (\S.*)')
ITEM = re.compile(r'\s?[*-] (.*)')


class Block:
    """One block of a comment: kind is text, item (of a list), argument (with its name) or code."""

    def __init__(self, kind, text, name=None):
        self.kind = kind
        self.text = text
        self.name = name


class Doc:
    """A comment taken apart: `title - summary`, then blocks; those of Context: and Return: apart."""

    def __init__(self, comment):
        text = re.sub(r'^/\*+|\*/$', '', comment).strip()
        self.blocks, self.context, self.returns = [], [], []
        self._read([re.sub(r'^\s*\*? ?', '', line) for line in text.splitlines()])
        first = self.blocks.pop(0).text if self.blocks else ''
        self.title, _, self.summary = first.partition(' - ')

    def _read(self, lines):
        blocks, current = self.blocks, None
        for line in lines:
            section, argument, item = (r.match(line) for r in (SECTION, ARGUMENT, ITEM))
            if section:
                blocks = self.context if section[1] == 'Context' else self.returns
                line = section[2]
                current = None
            if not line.strip():
                current = current if current and current.kind == 'code' else None
            elif argument:
                current = Block('argument', argument[2], argument[1])
                blocks.append(current)
            elif item:
                current = Block('item', item[1])
                blocks.append(current)
            elif line.startswith('\t') and (not current or current.kind == 'code'):
                if not current:
                    current = Block('code', '')
                    blocks.append(current)
                current.text += line[1:].expandtabs(8).rstrip() + '\n'
            elif current and current.kind != 'code':
                current.text += ('  ' if current.text.endswith('.') else ' ') + line.strip()
            else:
                current = Block('text', line.strip())
                blocks.append(current)

    def arguments(self):
        return [block.name for block in self.blocks if block.kind == 'argument']


class Declaration:
    """One function, struct or enum: kind, name, members or parameters, code, its Doc or None."""

    def __init__(self, path, kind, name, members, is_void, code, doc):
        self.path = path
        self.kind = kind
        self.name = name
        self.members = members
        self.is_void = is_void
        self.code = code
        self.doc = doc

    def __str__(self):
        return f'{self.path.name}: {self.name}'


class Other:
    """What is no declaration: kind is opaque (struct), define (names) or remark (between them)."""

    def __init__(self, kind, names, code, comment):
        self.kind = kind
        self.names = names
        self.code = code
        self.comment = comment


def public_headers(root):
    headers = sorted(Path(root, 'include', 'p2pdma').rglob('*.h'))
    assert headers, f'no headers below {root}/include/p2pdma'
    return headers


def last_word(declarator):
    """`const char *argv[4]` declares argv."""
    return re.findall(r'\w+', re.sub(r'\[.*?\]|:\s*\d+$', '', declarator))[-1]


def statements(text):
    """Split at the semicolons outside braces."""
    depth, start = 0, 0
    for i, c in enumerate(text):
        depth += (c == '{') - (c == '}')
        if c == ';' and depth == 0:
            yield text[start:i].strip()
            start = i + 1


def pieces(text):
    """Comments, directives and statements outside of braces, in order: (text, is_on_same_line)."""
    text = re.sub(r'#ifdef __cplusplus\n.*?#endif\n', '', text, flags=re.S)
    depth, code = 0, '\n'
    for token in TOKEN.findall(text):
        if token.startswith('/*') or token.lstrip().startswith('#'):
            if not code.strip():
                yield token.strip(), '\n' not in code
                code = '\n'
        elif token == ';' and depth == 0:
            yield code.strip(), False
            code = ''
        else:
            depth += (token == '{') - (token == '}')
            code += token


def declare(path, code, comment):
    """The Declaration that is code, or None: it only names a struct."""
    bare = re.sub(r'__attribute__\s*\(\(.*?\)\)(?!\))', '', code, flags=re.S).strip()
    bare = CALLBACK.sub(r'\g<name>', bare)  # `int (*read)(void *state, int bar)` declares read
    doc = Doc(comment) if comment and comment.startswith('/**') else None
    match = RECORD.match(bare)
    if match:
        body = match['body']
        if match['kind'] == 'enum':
            members = re.findall(r'(\w+)\s*(?:=[^,]*)?(?:,|$)', body.strip())
        else:
            members = [last_word(part) for line in statements(body) for part in line.split(',')]
        return Declaration(path, match['kind'], match['name'], members, False, code, doc)
    match = FUNCTION.match(bare)
    if match:
        params = [p for p in match['params'].split(',') if p.strip() != 'void']
        is_void = match['result'].strip() == 'void'
        return Declaration(path, 'function', match['name'], [last_word(p) for p in params],
                           is_void, code, doc)
    assert re.fullmatch(r'((struct|union|enum) \w+)?', bare), f'{path.name}: not understood: {bare}'
    return None


def contents(path):
    """The comment about the header as a whole, and every Declaration and Other in it, in order."""
    found, head, comment = [], None, None

    def remark():
        if comment:
            found.append(Other('remark', [], '', comment))

    for text, is_on_same_line in pieces(path.read_text()):
        if text.startswith('/* SPDX'):
            continue
        if text.startswith('/*'):
            if is_on_same_line and isinstance(found[-1], Other) and found[-1].kind == 'opaque':
                found[-1].comment = text
            elif not head:
                head = Doc(text)
            else:
                remark()
                comment = text
            continue
        define = DEFINE.match(text)
        if define:
            last = found[-1] if found else None
            if not comment and isinstance(last, Other) and last.kind == 'define' and last.comment:
                last.names.append(define[1])
                last.code += '\n' + text
            else:
                found.append(Other('define', [define[1]], text, comment))
        elif not text.startswith('#'):
            found.append(declare(path, text, comment) or
                         Other('opaque', text.split()[-1:], text, comment))
        comment = None
    remark()
    return head, found


def declarations(path):
    """Every declaration of a header, in order, each with the doc comment right above it or None."""
    return [item for item in contents(path)[1] if isinstance(item, Declaration)]
