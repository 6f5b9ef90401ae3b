#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Who may include whom (CONVENTIONS 1.1): the layer table, cycles, paths, system headers."""
import os
import re
import sys

import tree

ALLOWED = {
    "base": "", "core": "base", "isa": "base", "fw": "base isa", "dev": "base core",
    "board": "base core isa fw dev", "engine": "base core isa", "accel": "base core isa",
    "metal": "base core isa fw dev board", "host": "base core", "debug": "base core isa",
    "manage": "base core fw debug host",
    "app": "base core isa fw dev board engine accel host debug manage",
}
COMPILER_HEADERS = {"stdint.h", "stddef.h", "stdbool.h", "stdarg.h", "stdatomic.h", "limits.h"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def layer_of(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def resolve(name):
    """The path in the tree that an include names, or None for a system header."""
    for start in ("src", "include"):
        path = "%s/%s" % (start, name)
        if os.path.exists(os.path.join(tree.ROOT, path)):
            return path
    return None


def check_one(report, path, quote, name, line):
    mine = layer_of(path)
    target = resolve(name)
    if ".." in name.split("/"):
        report.add(path, line, "1.1", "%s: includes are written from src/, never ../" % name)
    elif quote == '"' and target is None:
        here = os.path.join(tree.ROOT, os.path.dirname(path), name)
        hint = " (written from src/)" if os.path.exists(here) else ""
        report.add(path, line, "1.1", "%s is not in src/ or include/%s" % (name, hint))
    elif target is None:
        if (mine in tree.FREESTANDING or path.startswith("include/")) and name not in COMPILER_HEADERS:
            report.add(path, line, "1.1", "<%s>: freestanding code has only the compiler's headers" % name)
    elif path.startswith("include/") and not target.startswith("include/"):
        report.add(path, line, "1.1", "the public API cannot include %s" % name)
    elif target.startswith("src/"):
        theirs = layer_of(target)
        if theirs != mine and theirs not in ALLOWED[mine].split():
            report.add(path, line, "1.1", "layer %s may not include layer %s (%s)" % (mine, theirs, name))
        elif mine == theirs == "dev" and path.endswith(".c") and device(name) and device(name) != device(path):
            report.add(path, line, "1.1", "device %s includes device %s" % (path, name))


def device(path):
    """The kind and name of the device that a header below dev/KIND/ belongs to."""
    m = re.match(r"(?:src/)?dev/(\w+)/(\w+)\.[ch]$", path)
    if not m:
        return None
    owner = "src/dev/%s/%s.c" % (m[1], m[2])
    if not os.path.exists(os.path.join(tree.ROOT, owner)) or "HULL_DEVICE(" not in tree.read(owner):
        return None
    return m[1] + "/" + m[2]


def cycles(graph):
    """One path for each include cycle that a depth-first walk meets."""
    state, found = {}, []

    def visit(node, trail):
        state[node] = 1
        for other in graph.get(node, []):
            if state.get(other) == 1:
                found.append(trail[trail.index(other):] + [other])
            elif other not in state:
                visit(other, trail + [other])
        state[node] = 2

    for node in sorted(graph):
        if node not in state:
            visit(node, [node])
    return found


def main():
    report, graph = tree.Report(), {}
    for path in tree.files((".c", ".h", ".def"), "src", "include"):
        text = tree.read(path)
        if layer_of(path) not in ALLOWED and path.startswith("src/"):
            report.add(path, 1, "1.1", "not in a layer of the table in tools/check_layers.py")
            continue
        for m in INCLUDE.finditer(text):
            check_one(report, path, m[1], m[2], tree.line_of(text, m.start()))
            target = resolve(m[2])
            if target and path.endswith(".h"):
                graph.setdefault(path, []).append(target)
    for cycle in cycles(graph):
        report.add(cycle[0], 1, "1.1", "include cycle: " + " -> ".join(cycle))
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
