#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""C files that differ from main are formatted as .clang-format says (CONVENTIONS 1.9).

  check_format.py [--fix] [--all]
"""
import os
import re
import subprocess
import sys

import tree

TOOL = "clang-format-19"


def changed():
    """C files with changes that main does not have; all of them where main is unknown."""
    for base in ("main", "origin/main"):
        if tree.git("rev-parse", "-q", "--verify", base):
            fork = tree.git("merge-base", base, "HEAD").strip()
            names = tree.git("diff", "--name-only", "--diff-filter=d", fork).split()
            names += tree.git("ls-files", "--others", "--exclude-standard").split()
            return set(names)
    return None


def main():
    only = None if "--all" in sys.argv else changed()
    paths = [p for p in tree.files((".c", ".h")) if only is None or p in only]
    if not paths:
        return 0
    os.chdir(tree.ROOT)
    if "--fix" in sys.argv:
        return subprocess.call([TOOL, "-i", *paths])
    done = subprocess.run([TOOL, "--dry-run", "--ferror-limit=1", *paths], capture_output=True,
                          text=True, check=False)
    found = re.findall(r"^([^:\n]+:\d+):\d+: (?:warning|error): .*-Wclang-format", done.stderr, re.M)
    for place in found:
        print("%s: 1.9: not formatted; ./do format mends it" % place)
    return 1 if found or done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
