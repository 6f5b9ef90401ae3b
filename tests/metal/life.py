#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The life of VMs: a thousand restarts, every allocation failing once, all changes in random order on four CPUs; nothing
is lost."""
# timeout: 400
import sys
import tempfile

import _guest

TEST = _guest.os.environ["HULL_METAL"].replace("hull-metal.img", "hull-metal-test.img")
cases = _guest.Cases()


def vm(name, guest, cpus=1, memory="4M"):
    return {"name": name, "cpus": cpus, "memory": memory, "kernel": _guest.kernel(guest, work)}


with tempfile.TemporaryDirectory() as work:
    text = _guest.run([vm("restarts", "restarts")], work, TEST, cpus=2, mib=64, seconds=120)
    cases.case("a thousand restarts", "test: 1000 restarts, nothing is missing" in text, text)
    text = _guest.run([vm("restarts", "restarts")], work, TEST, cpus=1, mib=64, seconds=120)
    cases.case("on one CPU", "test: 1000 restarts, nothing is missing" in text, text)
    text = _guest.run([vm("failures", "chaos", cpus=4)], work, TEST, cpus=4, mib=64, seconds=60)
    cases.case("each allocation fails once", " failures, 0 wrong" in text and "test: 0 failures" not in text, text)
    print("# " + "".join(line for line in text.splitlines() if "failures" in line))
    text = _guest.run([vm("chaos", "chaos", cpus=4, memory="8M"), vm("b", "chaos", cpus=2, memory="8M"),
                       vm("c", "restarts")], work, TEST, cpus=4, mib=128, seconds=120)
    cases.case("chaos on four CPUs", "nothing is missing" in text and "test: end" in text, text)
    print("# " + "".join(line for line in text.splitlines() if "chaos" in line))
sys.exit(cases.end())
