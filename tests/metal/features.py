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
    for test in ("access", "gic", "psci", "sweep", "timers"):
        cpus = int(_micro.cpus(test, _guest.OWN))
        for cpu in CPUS:
            text = _guest.run([{"name": test, "cpus": cpus, "kernel": _guest.kernel(test, work)}], work, cpu=cpu, cpus=cpus)
            cases.case("%s on %s" % (test, cpu), _micro.complete(_guest.said(text)) and "done, 0 bytes" in text, text)
    # Four vCPUs of two VMs on one CPU: what one has in its registers no other sees.
    two = [{"name": name, "cpus": 2, "kernel": _micro.build("aarch64", "poison", sub, _guest.OWN, ["-DSEED=" + seed])}
           for name, seed, sub in (("a", "0x1234567", tempfile.mkdtemp(dir=work)), ("b", "0x7654321", tempfile.mkdtemp(dir=work)))]
    for cpu in CPUS:
        text = _guest.run(two, work, cpu=cpu, seconds=120)
        good = all(_micro.complete(_guest.said(text, name)) for name in "ab")
        cases.case("poison, four vCPUs on one %s" % cpu, good and "done, 0 bytes" in text, text)
    # Fails when el2_s2_ops.flush() leaves out TLBI VMALLE1IS (seen so); QEMU keeps nothing that TLBI IPAS2E1IS alone drops.
    hypervisor = _guest.os.environ["HULL_METAL"].replace("hull-metal.img", "hull-metal-test.img")
    text = _guest.run([{"name": "tlb", "cpus": 2, "kernel": _guest.kernel("tlb", work)}], work, hypervisor, cpus=2)
    cases.case("stage 2 changes under another CPU", _micro.complete(_guest.said(text.replace("test: ", "hull: "))), text)
sys.exit(cases.end())
