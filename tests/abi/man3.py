#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each public header is a manual page that declares all that it declares and says all that it says.

man3.py SOURCE_ROOT PAGE...
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(sys.argv[1])
sys.path.append(str(ROOT / 'man'))
from cheaders import declarations, public_headers  # noqa: E402

# What scdoc or roff might take for their own.
HOSTILE = r'''/* SPDX-License-Identifier: MIT */
/*
 * hostile.h - words_with_underscores, *stars*, "quotes" and a back\slash.
 *
 * .TH of roff begins here, and _this_ is no underline, **nor** this bold: a++
 * next line, C++.
 *
 * 'so is this
 *
 * # no heading
 *
 * | no | table
 *
 * ; no comment
 *
 * Concepts:
 * - an item of two
 *   lines, with `code_in_quotes` and \fBno font\fR
 * - .dot first
 *
 *	code_block(*p, "x\n");
 *	.dot
 *		deeper ```
 */
/**
 * p2pdma_hostile() - read "a_b", `c_d` or ~^
 * @first_one: 'quoted', see @second and %P2PDMA_HOSTILE_; _x
 * @second: .5 or -1
 *	and # more
 *
 * - told -EINVAL by p2pdma_*(), or _close()
 *
 * Context: *Any* thread.
 * Return:
 * * 0       - done!
 * * -EINVAL - [out] of
 *range
 * * other_one - ++
 */
int p2pdma_hostile(const char *first_one, int (*second)(void *a, int b));
'''


def shown(page):
    """The page as text, without page breaks and hyphenation."""
    environment = dict(os.environ, LC_ALL='C.UTF-8', MANWIDTH='400')
    run = subprocess.run(['man', '--warnings', '-P', 'cat', '-l', page], env=environment, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    assert not run.stderr, f'{page}: {run.stderr}'
    return re.sub('[\u2018\u2019]', "'", re.sub('[\u2010\u2212]', '-', run.stdout))


def words(text):
    """As one string, without kernel-doc's marks, case, and what the page has other signs for."""
    text = re.sub(r'[@%`]', '', re.sub(r'^Return:', 'Return value:', text, flags=re.M))
    found = (word.lower().rstrip('.:') for word in text.split())
    return ' ' + ' '.join(word for word in found if word not in ('', '-', '*', '•')) + ' '


def sayings(header):
    """Each comment of a header; of the first one, what makes the name and what the description."""
    for comment in re.findall(r'/\*+(.*?)\*/', header.read_text(), re.S)[1:]:
        lines = [re.sub(r'^ \*', '', line) for line in comment.strip('\n').split('\n')]
        text = '\n'.join(line.strip() for line in lines)
        if text.startswith(header.name + ' - ') or text.startswith('sim/' + header.name + ' - '):
            name, _, text = text.partition('\n\n')
            yield name.partition(' - ')[2]
        if text:
            yield text


def complaints(header, page):
    text = shown(page)
    said = words(text)
    for saying in sayings(header):
        if words(saying) not in said:
            yield f'does not say as the header does: {saying}'
    synopsis = re.search(r'^SYNOPSIS$(.*?)^\S', text, re.M | re.S)[1]
    for declaration in declarations(header):
        name = declaration.name
        pattern = rf'\b{name}\(' if declaration.kind == 'function' else rf'{declaration.kind} {name} '
        if not re.search(pattern, synopsis):
            yield f'{name} is not in the synopsis'
        for member in declaration.members:
            if not re.search(rf'\b{member}\b', synopsis):
                yield f'{name}: {member} is not in the synopsis'


def hostile(directory):
    """Complaints about a page whose comments are full of what must be escaped."""
    header, page = Path(directory, 'hostile.h'), Path(directory, 'hostile.3')
    header.write_text(HOSTILE)
    source = subprocess.run([sys.executable, ROOT / 'man/man3.py', header, 'hostile'], check=True,
                            stdout=subprocess.PIPE).stdout
    page.write_bytes(subprocess.run([ROOT / 'man/roff.sh', 'scdoc'], check=True, input=source,
                                    stdout=subprocess.PIPE).stdout)
    return complaints(header, page)


def main(pages):
    if not pages or not shutil.which('man') or not shutil.which('scdoc'):
        print('no scdoc or no man (apt-get install scdoc man-db)')
        return 77
    pages = {Path(page).name: page for page in pages}
    headers = {'p2pdma-' + '-'.join(header.relative_to(ROOT / 'include/p2pdma').with_suffix('').parts)
               + '.3': header for header in public_headers(ROOT)}
    wrong = [f'{name}: a header without a page: man/meson.build' for name in headers.keys() - pages]
    wrong += [f'{name}: a page without a header' for name in pages.keys() - headers]
    wrong += [f'{name}: {complaint}' for name in sorted(headers.keys() & pages)
              for complaint in complaints(headers[name], pages[name])]
    with tempfile.TemporaryDirectory() as directory:
        wrong += [f'hostile.h: {complaint}' for complaint in hostile(directory)]
    print('\n'.join(wrong + [f'{len(pages)} pages, {len(wrong)} complaints']))
    return 1 if wrong else 0


sys.exit(main(sys.argv[2:]))
