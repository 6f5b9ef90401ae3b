#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Instruction tables (CONVENTIONS 3): complete rows, whole patterns, and no two that overlap.

A row is INSN(name, "pattern", "syntax", meaning).  Fixed-length sets (16 or 32 bits) are checked
for overlap.
"""
import collections
import os
import re
import sys

import tree

Row = collections.namedtuple("Row", "path line name pattern syntax meaning")
START = re.compile(r"^(INSN\w*)\(", re.M)


def arguments(text, start):
    """The top-level arguments of a macro call whose '(' is at start - 1."""
    depth, quoted, parts, begin, at = 1, False, [], start, start
    while at < len(text):
        c = text[at]
        if c == "\\" and quoted:
            at += 1
        elif c == '"':
            quoted = not quoted
        elif not quoted and c in "([{":
            depth += 1
        elif not quoted and c in ")]}":
            depth -= 1
            if depth == 0:
                return parts + [text[begin:at].strip()]
        elif not quoted and c == "," and depth == 1:
            parts.append(text[begin:at].strip())
            begin = at + 1
        at += 1
    return None


def rows(path, report):
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m[0]), tree.read(path), flags=re.S)
    for m in START.finditer(text):
        line, args = tree.line_of(text, m.start()), arguments(text, m.end())
        if args is None or len(args) < 4 or not re.match(r'^".*"$', args[1]) or '"' not in args[2]:
            report.add(path, line, "3", 'a row is INSN(name, "pattern", "syntax", meaning)')
            continue
        meaning = ", ".join(args[3:])
        if not meaning:
            report.add(path, line, "3", "%s has no meaning" % args[0])
        missing = set(re.findall("[a-z]", args[1].lower())) - set(args[2].lower())
        if missing:
            report.add(path, line, "3", "%s: the syntax does not show %s" % (args[0], " ".join(sorted(missing))))
        yield Row(path, line, args[0], args[1][1:-1].replace(" ", ""), args[2], meaning)


def check_pattern(report, row):
    if not re.fullmatch(r"[01a-zA-Z.\-]*", row.pattern):
        report.add(row.path, row.line, "3", "%s: strange characters in the pattern" % row.name)
    elif len(row.pattern) not in (16, 32):
        report.add(row.path, row.line, "3", "%s: the pattern has %d bits" % (row.name, len(row.pattern)))
    else:
        return True
    return False


def fixed(pattern):
    """(mask, value) of the bits that a pattern fixes."""
    mask = int("".join("1" if c in "01" else "0" for c in pattern), 2)
    return mask, int("".join(c if c in "01" else "0" for c in pattern), 2)


def check_overlap(report, table):
    """Of two rows that match the same word one must be a special case of the other, or a third
    row must say what exactly their common words mean."""
    bits = [(row, *fixed(row.pattern)) for row in table]
    exact = {(len(row.pattern), mask, value) for row, mask, value in bits}
    for i, (row, mask, value) in enumerate(bits):
        for other, omask, ovalue in bits[:i]:
            both, size = mask & omask, len(row.pattern)
            if size != len(other.pattern) or (value ^ ovalue) & both:
                continue
            settled = both in (mask, omask) or (size, mask | omask, value | ovalue) in exact
            if mask == omask or not settled:
                report.add(row.path, row.line, "3", "%s overlaps %s (%s:%d)"
                           % (row.name, other.name, other.path, other.line))


def main():
    report = tree.Report()
    per_set = collections.defaultdict(list)
    for path in tree.files((".def",), "src/isa"):
        names = set()
        for row in rows(path, report):
            if row.name in names:
                report.add(path, row.line, "3", "a second row named " + row.name)
            names.add(row.name)
            # x86 rows are keyed by map and opcode, not by a pattern of a fixed length.
            if "/x86_64/" not in path and check_pattern(report, row):
                per_set[os.path.dirname(path)].append(row)
    for table in per_set.values():
        check_overlap(report, table)
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
