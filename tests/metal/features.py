#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Guests of our own for what the hypervisor does itself: tests/metal/guest, each judges itself."""
# timeout: 300
import sys
import tempfile

import _guest
from _guest import _micro

CPUS = ("cortex-a72", "max,pauth-impdef=on")
cases = _guest.Cases()
with tempfile.TemporaryDirectory() as work:
    for test in ("access",):
        cpus = int(_micro.cpus(test, _guest.OWN))
        for cpu in CPUS:
            text = _guest.run([{"name": test, "cpus": cpus, "kernel": _guest.kernel(test, work)}], work, cpu=cpu, cpus=cpus)
            cases.case("%s on %s" % (test, cpu), _micro.complete(_guest.said(text)) and "done, 0 bytes" in text, text)
sys.exit(cases.end())
