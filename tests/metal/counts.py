#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Instructions that the hypervisor spends, counted exactly: -icount shift=0, and the PMU at EL2.  What a row has measured
once may grow by 3 %, and not beyond its goal where it has reached that."""
# timeout: 200
import re
import sys
import tempfile

import _guest

TEST = _guest.os.environ["HULL_METAL"].replace("hull-metal.img", "hull-metal-test.img")
# name: (measured, goal)
ROWS = {
    "hypercall": (77, 80),
    "device": (390, 450),
    "sgi": (202, 300),
    "timer": (197, 200),
    "wake": (261, 300),
    "switch": (822, 600),
}
BOOT = {"boot": (22170000, 2000000)}  # to the first instruction of a guest with 256 MiB, zeroed, and cleaned out of the caches
COUNT = ["-icount", "shift=0,sleep=off"]
cases = _guest.Cases()


def judge(text, rows):
    found = {m[1]: int(m[2]) for m in re.finditer(r"^count (\w+) (\d+)$", _guest.said(text), re.M)}
    for name, (measured, goal) in rows.items():
        limit = measured * 1.03 if measured > goal else min(measured * 1.03, goal)
        got = found.get(name)
        cases.case("%s: %s instructions, at most %d, goal %d" % (name, got, limit, goal),
                   got is not None and got <= limit, text)


with tempfile.TemporaryDirectory() as work:
    vm = {"name": "counts", "cpus": 2, "kernel": _guest.kernel("counts", work)}
    judge(_guest.run([vm], work, TEST, more=COUNT), ROWS)
    vm = {"name": "boot", "memory": "256M", "kernel": _guest.kernel("boot", work)}
    judge(_guest.run([vm], work, TEST, more=COUNT), BOOT)
sys.exit(cases.end())
