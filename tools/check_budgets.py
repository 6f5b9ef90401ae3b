#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Sizes of functions and files, nesting, parameters (CONVENTIONS 1.9).

A hard limit may be passed by a file that says why in a comment with "budget: reason"; all such
notes are printed.  Passing a soft limit is only counted.
"""
import collections
import re
import sys

import tree

FUNCTION = (40, 70)
FILE = (600, 1200)
HEADER = (250, 1200)
NESTING = 4
PARAMETERS = 6
LITERAL = re.compile(r"\((?:const )?(?:(?:struct|union) [^()]*|\w+ ?\[\w*\])\)$")
NOTE = re.compile(r"budget:\s*(\S[^\n*]*)")

Function = collections.namedtuple("Function", "name line lines nesting parameters")


def functions(text):
    """The functions of a file in kernel style: their braces stand alone in the first column."""
    lines = tree.bare(text).split("\n")
    at = 0
    while at < len(lines):
        if lines[at] != "{":
            at += 1
            continue
        first = at
        while first > 0 and lines[first - 1].strip() and not re.search(r"^#|[;}]\s*$", lines[first - 1]):
            first -= 1
        end = at
        while end < len(lines) - 1 and not lines[end].startswith("}"):
            end += 1
        head = " ".join(lines[first:at])
        size = end - first + 1 - table_lines("\n".join(lines[at:end]))
        yield Function(name_of(head), first + 1, size, nesting(lines[at:end]), parameters(head))
        at = end + 1


def name_of(head):
    names = [n for n in re.findall(r"(\w+)\s*\(", head) if not n.startswith("__attribute")]
    return names[0] if names else "?"


def parameters(head):
    """Commas at the top level of the last parameter list, plus one."""
    m = re.search(r"\b%s\s*\(" % re.escape(name_of(head)), head)
    if not m:
        return 0
    depth, count, inside = 0, 0, ""
    for c in head[m.end() - 1:]:
        depth += (c in "([") - (c in ")]")
        if depth == 0:
            break
        count += c == "," and depth == 1
        inside += c
    return 0 if inside.strip("( ") in ("", "void") else count + 1


def table_lines(body):
    """Lines inside initializers of tables, which are data and not counted."""
    return sum(m[0].count("\n") - 1 for m in re.finditer(r"\[\w*\] = \{\n.*?\n\t\};\n", body, re.S))


def nesting(lines):
    """The deepest block inside a function; the braces of initializers are no blocks."""
    deepest, stack = 0, []
    text = "\n".join(lines)
    for m in re.finditer(r"[{}]", text):
        if m[0] == "{":
            before = text[: m.start()].rstrip()
            value = stack and (before.endswith(("=", ",", "(")) or stack[-1] == 0 or LITERAL.search(before))
            stack.append(0 if value else 1)
            deepest = max(deepest, sum(stack) - 1)
        elif stack:
            stack.pop()
    return deepest


def main():
    report, soft, notes = tree.Report(), 0, []
    for path in tree.files((".c", ".h"), "src", "include", "tests", "bench"):
        text = tree.read(path)
        found = []
        size, limit = text.count("\n"), HEADER if path.endswith(".h") else FILE
        soft += size > limit[0]
        if size > limit[1]:
            found.append((1, "the file has %d lines, more than %d" % (size, limit[1])))
        for f in functions(text):
            soft += f.lines > FUNCTION[0]
            for value, most, what in ((f.lines, FUNCTION[1], "lines"), (f.nesting, NESTING, "levels"),
                                      (f.parameters, PARAMETERS, "parameters")):
                if value > most:
                    found.append((f.line, "%s has %d %s, more than %d" % (f.name, value, what, most)))
        note = NOTE.search(text)
        if note:
            notes.append("excused: %s:%d: %s" % (path, tree.line_of(text, note.start()), note[1].strip()))
        else:
            for line, what in found:
                report.add(path, line, "1.9", what)
    print("\n".join(notes + ["%d soft limits passed" % soft]))
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
