#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The tiny guests of tests/guest/micro with KVM on emulated hosts: they print what they print on the engine.

  micro.py [ARCH]...
"""
# timeout: 2000
import os
import re
import shutil
import sys
import tempfile

import _host

sys.path.insert(0, os.path.join(_host.ROOT, "tests", "guest"))
import _micro  # noqa: E402
import micro  # noqa: E402

LIMIT_S = 120
NOTHING = ["-DMICRO_NOTHING_READS"]


def script(tests):
    lines = []
    for test in tests:
        words = " ".join(_micro.options(test))
        lines += ["echo '== %s'" % test,
                  "timeout %d hull run /micro/%s --accel kvm --memory 64M --cpus %s --no-input %s"
                  % (LIMIT_S, test, _micro.cpus(test), words), "echo \"== %s ended with $?\"" % test]
    return "\n".join(lines) + "\n"


def part(told, test):
    """The TAP of one guest, and hull's exit code."""
    found = re.search(r"^== %s\n(.*)^== %s ended with (\d+)$" % (test, test), told, re.M | re.S)
    return (found[1], int(found[2])) if found else ("", None)


def check(tap, arch, work):
    why = _host.missing(arch) or (None if shutil.which(_micro.ARCHES[arch][0][0]) else "no compiler for " + arch)
    if why:
        tap.skip(arch, why)
        return
    tests = _micro.names(special=True)
    files = []
    for test in tests:
        with open(_micro.build(arch, test, work, more=NOTHING), "rb") as f:
            files.append(("/micro/" + test, f.read(), 0o644))
    result = _host.run(arch, script(tests), files=files)
    told, story = _host.nested.text_of(result), _host.story(result)
    for test in tests:
        out, code = part(told, test)
        tap.check(code == 0 and _micro.complete(out), "%s: %s" % (arch, test), story)
        here = os.path.join(work, "here")
        os.makedirs(here, exist_ok=True)
        reference = micro.run("engine-interp", test, _micro.build("riscv64", test, here))[1]
        tap.check(out.split() == reference.split(), "%s: %s says what it says on the engine" % (arch, test),
                  "%s\n%s" % (out, reference))


if __name__ == "__main__":
    results = _host.Tap()
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or ("aarch64", "riscv64"):
            check(results, name, folder)
    sys.exit(results.end())
