#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""C files are formatted as .clang-format says (CONVENTIONS 1.9).

--fix formats those that differ from main.
"""
import hashlib
import os
import re
import subprocess
import sys

import tree

TOOL = "clang-format-19"


def changed():
    """C files that differ from main."""
    fork = tree.git("merge-base", "main", "HEAD").strip() or "HEAD"
    names = tree.git("diff", "--name-only", "--diff-filter=d", fork).split()
    names += tree.git("ls-files", "--others", "--exclude-standard").split()
    return [p for p in tree.files((".c", ".h")) if p in set(names)]


def fingerprint(path, style):
    return hashlib.sha256((style + tree.read(path)).encode()).hexdigest()


def main():
    os.chdir(tree.ROOT)
    if "--fix" in sys.argv:
        paths = changed()
        # Twice: the first pass over nested macros is not always the last word.
        return any([subprocess.call([TOOL, "-i", *paths]) for _ in range(2)]) if paths else 0
    # What was found well formatted before is not looked at again.
    store = os.path.join("build-check", "formatted")
    known = set(tree.read(store).split()) if os.path.exists(store) else set()
    style = tree.read(".clang-format")
    prints = {p: fingerprint(p, style) for p in tree.files((".c", ".h"))}
    paths = [p for p in prints if prints[p] not in known]
    bad = set()
    if paths:
        done = subprocess.run([TOOL, "--dry-run", *paths], capture_output=True, text=True, check=False)
        for path, line in re.findall(r"^([^:\n]+):(\d+):\d+: .*-Wclang-format", done.stderr, re.M):
            if path not in bad:
                print("%s:%s: 1.9: not formatted; ./do format mends it" % (path, line))
            bad.add(path)
        if done.returncode:
            print("%s:1: 1.9: %s" % (paths[0], done.stderr.strip()))
            return 1
    os.makedirs("build-check", exist_ok=True)
    with open(store, "w", encoding="utf-8") as f:
        f.write("\n".join(sorted(prints[p] for p in prints if p not in bad)))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
