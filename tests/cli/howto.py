#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""docs/howto/*.md, followed to the letter in a copy of the tree.

`Create FILE:` and `In FILE, before LINE:` stand above what is to be written; sh blocks are run;
each line of a text block must be in what the sh block above it printed.
"""
# timeout: 900
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.environ["HULL_SOURCE"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
CREATE = re.compile(r"Create `([^`]+)`:\s*\Z")
SKIP = "it has no blocks to run"
INSERT = re.compile(r"In `([^`]+)`, before `([^`]+)`:\s*\Z")


def insert(path, line, text):
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    at = [i for i, t in enumerate(lines) if t.strip() == line]
    if len(at) != 1:
        return "%s has the line %s %d times" % (path, line, len(at))
    lines[at[0]:at[0]] = text.rstrip("\n").split("\n")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(lines))
    return None


def follow(page, tree):
    """None, or what did not work."""
    with open(page, encoding="utf-8") as f:
        text = f.read()
    printed, did = "", 0
    for m in BLOCK.finditer(text):
        kind, body, above = m[1], m[2], text[:m.start()]
        create, into = CREATE.search(above), INSERT.search(above)
        did += 1
        if create:
            path = os.path.join(tree, create[1])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "x", encoding="utf-8") as f:
                f.write(body)
        elif into:
            wrong = insert(os.path.join(tree, into[1]), into[2], body)
            if wrong:
                return wrong
        elif kind == "sh":
            p = subprocess.run(["sh", "-eu", "-c", body], cwd=tree, env=dict(os.environ, HULL_SOURCE=tree), stdin=subprocess.DEVNULL, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            printed = p.stdout
            if p.returncode:
                return "exit code %d\n%s" % (p.returncode, printed[-1500:])
        elif kind == "text":
            missing = [t for t in body.splitlines() if t not in printed]
            if missing:
                return "not printed: %s\n%s" % (missing, printed[-1500:])
        else:
            return "nobody knows what to do with the block %d" % did
    return None if did else SKIP


def main():
    failed = 0
    pages = sorted(glob.glob(os.path.join(SOURCE, "docs", "howto", "*.md")))
    with tempfile.TemporaryDirectory() as folder:
        tree = os.path.join(folder, "hull")
        for part in ("include", "src", "tests", "tools", "examples", "bench"):
            shutil.copytree(os.path.join(SOURCE, part), os.path.join(tree, part), ignore=shutil.ignore_patterns("__pycache__"))
        for part in ("meson.build", "meson_options.txt"):
            shutil.copy(os.path.join(SOURCE, part), tree)
        for i, page in enumerate(pages):
            wrong = follow(page, tree)
            if wrong == SKIP:
                print("ok %d - %s # SKIP %s" % (i + 1, os.path.basename(page), SKIP), flush=True)
                continue
            failed += wrong is not None
            print("%sok %d - %s" % ("not " if wrong else "", i + 1, os.path.basename(page)), flush=True)
            if wrong:
                print("# " + wrong.replace("\n", "\n# "))
    print("1..%d" % len(pages))
    return 1 if failed or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
