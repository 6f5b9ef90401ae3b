#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The test runner counts right, and no failure looks like success."""
import sys
import time

import run_tests

# output, exit code -> passed, failed, skipped
JUDGED = [
    ("", 0, (1, 0, 0)),
    ("anything\n", 1, (0, 1, 0)),
    ("no such device\n", 77, (0, 0, 1)),
    ("ok 1 - without a plan\n", 0, (1, 0, 0)),
    ("1..2\nok 1 - a\nok 2 - b\n", 0, (2, 0, 0)),
    ("1..2\nok 1 - a\nnot ok 2 - b\n", 1, (1, 1, 0)),
    ("1..2\nok 1 - a\nnot ok 2 - b\n", 0, (1, 1, 0)),
    ("1..2\nok 1 - a\nok 2 - b\n", 1, (2, 1, 0)),
    ("1..3\nok 1 - a\nok 2 - b\n", 0, (2, 1, 0)),
    ("1..3\nok 1 - a\nok 2 - b\n", -11, (2, 1, 0)),
    ("1..1\nok 1 - a\nok 2 - b\n", 0, (2, 1, 0)),
    ("ok 1 - a\nok 2 - b # SKIP no disk\n1..2\n", 0, (1, 0, 1)),
    ("1..2\nok 1 - a\nnot ok 2 # SKIP b\n", 0, (1, 0, 1)),
    ("1..0 # no device\n", 0, (0, 0, 1)),
    ("1..0 # no device\n", 1, (0, 1, 0)),
    ("1..1\n# not ok 1 is only said\nok 1 - a\nnotice: okay\n", 0, (1, 0, 0)),
    ("1..2\nguest said 1..1\nok 1\nok 2\n", 0, (2, 0, 0)),
]


def python(text, timeout):
    return run_tests.run(run_tests.Test("t", [sys.executable, "-c", text], {}, timeout))


def main():
    cases = []
    for output, status, expected in JUDGED:
        cases.append(("%r, exit code %d" % (output, status),
                      run_tests.judge(output, status)[:3] == expected))
    cases.append(("a crash fails", python("import os; os.abort()", 20).failed == 1))
    start = time.monotonic()
    # The grandchild holds the pipe open: it must be ended too, or the runner would wait for it.
    late = python("import subprocess as s; print('1..1\\nok 1', flush=True); s.call(['sleep', '60'])", 1)
    cases.append(("what runs too long is stopped with its children, and fails",
                  late.failed == 1 and time.monotonic() - start < 20))
    cases.append(("standard input is empty", python("import sys; sys.exit(len(sys.stdin.read()))", 20).passed == 1))
    print("1..%d" % len(cases))
    for number, (name, good) in enumerate(cases, 1):
        print("%s %d - %s" % ("ok" if good else "not ok", number, name.replace("#", "")))
    return 0 if all(good for _, good in cases) else 1


if __name__ == "__main__":
    sys.exit(main())
