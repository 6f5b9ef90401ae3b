#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Each header compiles alone, and its guard is its path (CONVENTIONS 1.3)."""
import re
import sys

import tree

FLAGS = "-std=gnu17 -D_GNU_SOURCE -Werror -x c -I%s/include -I%s/src" % (tree.ROOT, tree.ROOT)
RULES = {
    "hosted": "gcc " + FLAGS,
    "freestanding": "gcc -ffreestanding " + FLAGS.replace("-D_GNU_SOURCE ", ""),
    "public": "gcc -ffreestanding -I%s/include -std=c17 -Werror -x c" % tree.ROOT,
    "aarch64": "aarch64-linux-gnu-gcc -ffreestanding " + FLAGS,
    "riscv64": "riscv64-linux-gnu-gcc -ffreestanding " + FLAGS,
}


def rule_of(path):
    """How a header is compiled; None for one that only another OS or a hook can compile."""
    parts = path.split("/")
    if parts[0] == "include":
        return "public"
    if parts[1] in tree.FREESTANDING:
        return "freestanding"
    if parts[1] == "metal" and parts[2] in ("aarch64", "riscv64"):
        return parts[2]
    if {"macos", "windows"} & set(parts):
        return None
    return "freestanding" if parts[1] == "metal" else "hosted"


def guard_of(path):
    inner = re.sub(r"^(src|include/hull)/", "", path)
    return "HULL_" + re.sub(r"\W", "_", inner).upper()


def main():
    report = tree.Report()
    headers = tree.files((".h",), "src", "include")
    for path in headers:
        text = tree.read(path)
        m = re.search(r"^#ifndef (\w+)\n#define (\w+)", text, re.M)
        if not m or m[1] != m[2] or m[1] != guard_of(path):
            line = tree.line_of(text, m.start()) if m else 1
            report.add(path, line, "1.3", "the guard must be %s" % guard_of(path))
    steps = [(path + ".o", rule_of(path), path) for path in headers if rule_of(path)]
    tree.compile_all("headers", RULES, steps, report, "1.3")
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
