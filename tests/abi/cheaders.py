# SPDX-License-Identifier: MIT
"""What the public headers declare, and the comments above it."""
import re
from pathlib import Path

DOC = re.compile(r'/\*\*\n?(?P<doc>.*?)\*/\s*', re.S)
COMMENT = re.compile(r'/\*.*?\*/', re.S)
FUNCTION = re.compile(r'(?P<result>[\w\s*]+?)\b(?P<name>p2p(?:dma|mem)_\w+)\((?P<params>.*)\)$', re.S)
CALLBACK = re.compile(r'\(\*(?P<name>\w+)\)\([^()]*\)')
RECORD = re.compile(r'(?P<kind>struct|union|enum) (?P<name>p2p(?:dma|mem)_\w+)\s*\{(?P<body>.*)\}$', re.S)


class Declaration:
    """One function, struct or enum: kind, name, members or parameters, its doc comment."""

    def __init__(self, path, kind, name, members, is_void, doc):
        self.path = path
        self.kind = kind
        self.name = name
        self.members = members
        self.is_void = is_void
        self.doc = doc

    def __str__(self):
        return f'{self.path.name}: {self.name}'


def public_headers(root):
    headers = sorted(Path(root, 'include', 'p2pdma').rglob('*.h'))
    assert headers, f'no headers below {root}/include/p2pdma'
    return headers


def last_word(declarator):
    """`const char *argv[4]` declares argv."""
    return re.findall(r'\w+', re.sub(r'\[.*?\]|:\s*\d+$', '', declarator))[-1]


def strip(text):
    """Code without comments, directives and the extern "C" brackets."""
    text = COMMENT.sub('', text)
    text = re.sub(r'#ifdef __cplusplus\n.*?#endif\n', '', text, flags=re.S)
    return re.sub(r'^\s*#.*(?:\\\n.*)*$', '', text, flags=re.M)


def statements(text):
    """Split at the semicolons outside braces."""
    depth, start = 0, 0
    for i, c in enumerate(text):
        depth += (c == '{') - (c == '}')
        if c == ';' and depth == 0:
            yield text[start:i].strip()
            start = i + 1


def declare(path, code, doc):
    code = re.sub(r'__attribute__\s*\(\(.*?\)\)(?!\))', '', code, flags=re.S).strip()
    code = CALLBACK.sub(r'\g<name>', code)  # `int (*read)(void *state, int bar)` declares read
    match = RECORD.match(code)
    if match:
        body = match['body']
        if match['kind'] == 'enum':
            members = re.findall(r'(\w+)\s*(?:=[^,]*)?(?:,|$)', body.strip())
        else:
            members = [last_word(part) for line in statements(body) for part in line.split(',')]
        return Declaration(path, match['kind'], match['name'], members, False, doc)
    match = FUNCTION.match(code)
    if match:
        params = [p for p in match['params'].split(',') if p.strip() != 'void']
        is_void = match['result'].strip() == 'void'
        return Declaration(path, 'function', match['name'], [last_word(p) for p in params],
                           is_void, doc)
    assert re.fullmatch(r'((struct|union|enum) \w+)?', code), f'{path.name}: not understood: {code}'
    return None


def declarations(path):
    """Every declaration of a header, in order, each with the doc comment right above it or None."""
    text = path.read_text()
    found, position, doc = [], 0, None
    for match in list(DOC.finditer(text)) + [None]:
        chunk = strip(text[position:match.start() if match else len(text)])
        for i, code in enumerate(statements(chunk)):
            declaration = declare(path, code, doc if i == 0 else None)
            if declaration:
                found.append(declaration)
        if match:
            position, doc = match.end(), match['doc']
    return found
