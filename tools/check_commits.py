#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Commit subjects (CONVENTIONS 5): "area: imperative" within 72 columns, no full stop.

Looks at the commits that main does not have, and at the last 30 where there are none.
"""
import re
import sys

import tree

LIMIT = 72


def commits():
    span = ["main..HEAD"] if tree.git("rev-parse", "-q", "--verify", "main") else []
    for choice in (span, ["-n30"]):
        lines = tree.git("log", "--no-merges", "--format=%h %s", *choice).splitlines() if choice else []
        if lines:
            return [line.split(" ", 1) for line in lines]
    return []


def main():
    report = tree.Report()
    for commit, subject in commits():
        if len(subject) > LIMIT:
            report.add("commit " + commit, 1, "5", "%d columns: %s" % (len(subject), subject))
        elif not re.match(r"[\w./+-]+(, [\w./+-]+)*: \S", subject):
            report.add("commit " + commit, 1, "5", 'not "area: imperative": ' + subject)
        elif subject.endswith("."):
            report.add("commit " + commit, 1, "5", "full stop at the end: " + subject)
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
