#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The library never prints, never exits, touches no signal and has no writable global.

manners.py STATIC_LIBRARY...
"""
import re
import subprocess
import sys

FORBIDDEN = {
    'it ends the program': r'_?exit|_Exit|quick_exit|abort|__assert\w*|v?errx?|__stack_chk_abort',
    'it prints': r'(__)?v?printf(_chk)?|puts|putchar|perror|psignal|v?warnx?|error(_at_line)?'
                 r'|v?syslog|setlocale|stdout|stderr|std(out|err)@\w+',
    'it touches signals': r'signal|sigaction|sigprocmask|pthread_sigmask|raise|kill',
}
WRITABLE = re.compile(r'\.(data|bss|tdata|tbss)(?!\.rel\.ro)|\*COM\*')


def symbols(library):
    """(object, name, section) of each symbol: nm's System V format has the section last."""
    text = subprocess.run(['nm', '-f', 'sysv', library], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    current = library
    for line in text.splitlines():
        heading = re.match(r'(Symbols|Undefined symbols) from .*\[(.*)\]:', line)
        fields = [field.strip() for field in line.split('|')]
        if heading:
            current = heading[2]
        elif len(fields) == 7 and fields[0] != 'Name':
            yield current, fields[0], fields[6]


def complaints(library):
    for where, name, section in symbols(library):
        if section == '*UND*':
            for what, pattern in FORBIDDEN.items():
                if re.fullmatch(pattern, name):
                    yield f'{where} uses {name}: {what}'
        elif WRITABLE.match(section):
            yield f'{where} has a writable global: {name} in {section}'


def main(*libraries):
    assert libraries and all(any(symbols(library)) for library in libraries)
    wrong = [complaint for library in libraries for complaint in complaints(library)]
    print('\n'.join(wrong + [f'{len(libraries)} libraries, {len(wrong)} complaints']))
    return 1 if wrong else 0


sys.exit(main(*sys.argv[1:]))
