#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The unit tests of KVM, on emulated hosts of the other architectures."""
# timeout: 2000
import os
import re
import sys

import _host

PROGRAM = "test_kvm_host"


def check(tap, arch):
    hull = _host.hull(arch) or ""
    program = os.path.join(os.path.dirname(hull), "tests", PROGRAM)
    why = _host.missing(arch)
    if not why and not os.access(program, os.X_OK):
        why = "%s is not built for %s" % (PROGRAM, arch)
    if why:
        tap.skip(arch, why)
        return
    files = [(path, data, 0o755) for path, data in _host.nested.needs(program, arch).items()]
    result = _host.run(arch, "CMOCKA_MESSAGE_OUTPUT=TAP /tests/" + PROGRAM,
                       files=[program + ":/tests/" + PROGRAM, *files])
    told = _host.nested.text_of(result)
    for verdict, name in re.findall(r"^(ok|not ok) \d+ - (\w+)", told, re.M):
        tap.check(verdict == "ok", "%s: %s" % (arch, name), _host.story(result))
    tap.check(result.status == 0 and re.search(r"^1\.\.\d", told, re.M) and "SKIP" not in told,
              arch + ": all of them", _host.story(result))


if __name__ == "__main__":
    results = _host.Tap()
    for name in ("aarch64", "riscv64"):
        check(results, name)
    sys.exit(results.end())
