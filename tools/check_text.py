#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Every text file: a licence line, clean whitespace (CONVENTIONS 5)."""
import os
import re
import sys

import tree

LICENCE = "SPDX-License-Identifier: MIT OR Apache-2.0"
LICENSED = (".c", ".h", ".def", ".S", ".ld", ".py", ".sh", ".js", ".css", ".html", "meson.build",
            ".api", "/do", "/.ci/run")
TEXT = LICENSED + (".md", ".toml", ".txt", ".dev", ".json", ".yml", ".yaml", ".gitignore",
                   "meson_options.txt")


def check(report, path, text):
    # A script's licence follows its #! line, a page's its document type.
    if ("/" + path).endswith(LICENSED) and LICENCE not in "\n".join(text.split("\n")[:2]):
        report.add(path, 1, "5", "no licence line: " + LICENCE)
    for m in re.finditer(r"[ \t\r]+$", text, re.M):
        report.add(path, tree.line_of(text, m.start()), "1.9", "space at the end of the line")
    if text and not text.endswith("\n"):
        report.add(path, text.count("\n") + 1, "1.9", "no newline at the end of the file")
    if text.endswith("\n\n"):
        report.add(path, text.count("\n"), "1.9", "empty lines at the end of the file")


def main():
    report = tree.Report()
    tracked = set(tree.git("ls-files", "--cached", "--others", "--exclude-standard").split("\n"))
    for path in tree.files(""):
        if tracked != {""} and path not in tracked or not ("/" + path).endswith(TEXT):
            continue
        if os.path.islink(os.path.join(tree.ROOT, path)):
            continue
        check(report, path, tree.read(path))
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
