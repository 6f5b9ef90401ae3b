#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Calls that Hull does without (CONVENTIONS 7): some everywhere, some in certain layers."""
import re
import sys

import tree

EVERYWHERE = ("strcpy strcat sprintf vsprintf atoi atol atof alloca strtok gets rand srand time "
              "gettimeofday")
# Freestanding code has no heap, no output and no way to give up; the public API is no code at all.
HOSTED_ONLY = "malloc calloc realloc free printf fprintf vprintf puts putchar abort exit _exit"
SCOPE = {"src", "include", "tests", "bench"}


def pattern(names):
    return re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(names.split()))


def hosted_only(path):
    """Does the shorter list hold for this file too?"""
    parts = path.split("/")
    return parts[0] == "include" or parts[0] == "src" and parts[1] in tree.FREESTANDING + ("metal",)


def main():
    report = tree.Report()
    always, layered = pattern(EVERYWHERE), pattern(HOSTED_ONLY)
    for path in tree.files((".c", ".h", ".def"), *sorted(SCOPE)):
        text = tree.bare(tree.read(path))
        for m in always.finditer(text):
            report.add(path, tree.line_of(text, m.start()), "7", m[1] + "() is banned")
        if hosted_only(path):
            for m in layered.finditer(text):
                report.add(path, tree.line_of(text, m.start()), "7",
                           m[1] + "() is banned in freestanding code")
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
