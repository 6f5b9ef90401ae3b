# SPDX-License-Identifier: MIT OR Apache-2.0
"""The tree that the checks read.  HULL_CHECK_ROOT points them at another one (their self-test)."""
import os
import re
import subprocess

ROOT = os.path.abspath(os.environ.get("HULL_CHECK_ROOT")
                       or os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

FREESTANDING = ("base", "core", "isa", "fw", "dev", "board")
SKIP = re.compile(r"^(build[^/]*|\.git|__pycache__|node_modules)$")


def files(suffixes, *below):
    """Paths relative to the root of the files below the folders (all if none), sorted."""
    found = []
    for start in below or ("",):
        for folder, folders, names in os.walk(os.path.join(ROOT, start)):
            folders[:] = sorted(d for d in folders if not SKIP.match(d))
            found += [os.path.relpath(os.path.join(folder, n), ROOT) for n in sorted(names)
                      if n.endswith(suffixes)]
    return found


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def git(*args):
    """What git prints; empty if it fails."""
    return subprocess.run(["git", "-C", ROOT, *args], capture_output=True, text=True,
                          check=False).stdout


def bare(text):
    """C text with comments and the contents of strings blanked out, lines kept."""
    def blank(m):
        part = m[0]
        if part[0] in "\"'":
            return part[0] + " " * (len(part) - 2) + part[-1]
        return re.sub(r"[^\n]", " ", part)
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text,
                  flags=re.S)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


class Report:
    """Collects violations; prints them as file:line: section: text."""

    def __init__(self):
        self.count = 0

    def add(self, path, line, section, text):
        self.count += 1
        print("%s:%d: %s: %s" % (path, line, section, text))

    def status(self):
        return 1 if self.count else 0
