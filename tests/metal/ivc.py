#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Channels between VMs on bare metal: two guests exchange messages, each told by a doorbell, and
try what makes no sense; on one CPU and on two."""
# timeout: 200
import sys
import tempfile

import _guest

DEVICE = '[[device]]\ntype = "ivc"\nname = "chan"\ngpa = 0xa100000\nirq = 50\nsize = "64K"\n'

tap = _guest.Cases()
with tempfile.TemporaryDirectory() as work:
    kernel = _guest.kernel("ivc", work)
    vms = [{"name": name, "kernel": kernel, "more": DEVICE} for name in "ab"]
    for cpus in (1, 2):
        text = _guest.run(vms, work, cpus=cpus)
        said = [_guest.said(text, name) for name in "ab"]
        roles = sorted(part.split("\n")[1] for part in said if part.count("\n") > 1)
        tap.case("on %d CPUs: one publishes, one subscribes" % cpus, roles == ["publisher", "subscriber"], text)
        for name, part in zip("ab", said):
            tap.case("on %d CPUs: VM %s" % (cpus, name),
                     part.count("\nok ") == 6 and "not ok" not in part, text)
        tap.case("on %d CPUs: everything is given back" % cpus, "hull: done, 0 bytes are not back" in text, text)
sys.exit(tap.end())
