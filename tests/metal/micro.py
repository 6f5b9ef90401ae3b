#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The tiny guests of tests/guest/micro print the same on the hypervisor as on the engine."""
# timeout: 300
import os
import subprocess
import sys
import tempfile

import _guest
from _guest import _micro

cases = _guest.Cases()
with tempfile.TemporaryDirectory() as work:
    for test in _micro.names():
        cpus = int(_micro.cpus(test))
        engine = subprocess.run(
            [os.environ["HULL_FAST"], "run", _micro.build("riscv64", test, work), "--memory", "64M", "--cpus", str(cpus),
             "--no-input", "--accel", "none"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=60).stdout.replace("\r", "")
        for cpu in ("cortex-a72", "max,pauth-impdef=on"):
            text = _guest.run([{"name": test, "cpus": cpus, "kernel": _guest.kernel(test, work)}], work, cpu=cpu,
                              cpus=cpus)
            cases.case("%s on %s" % (test, cpu), _micro.complete(_guest.said(text)) and "done, 0 bytes" in text, text)
            cases.case("%s: the same on the engine" % test, _guest.said(text) == engine, engine)
sys.exit(cases.end())
