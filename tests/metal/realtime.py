#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""A guest with something to do every 20 milliseconds: alone, and on one CPU with a Linux that starts and
works.  Time counts instructions: how late it was is printed in them."""
# timeout: 600
import os
import re
import sys
import tempfile

import _guest
import _machine

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tools"))
import guest  # noqa: E402

TOML = """[vm]
name = "{name}"
[machine]
arch = "aarch64"
[memory]
size = "{memory}"
[boot]
kernel = "{kernel}"
{more}
"""
ICOUNT = ("-icount", "shift=0,sleep=off")

tap = _guest.Cases()
got = guest.paths("aarch64", None)
with tempfile.TemporaryDirectory() as work:
    rt = ("rt", {"memory": "64M", "kernel": _guest.kernel("periodic", work), "more": ""})
    linux = ("linux", {"memory": "192M", "kernel": got["KERNEL"],
                       "more": 'initrd = "%s"\ncmdline = "console=ttyAMA0 quiet hull.run=smp"\n' % got["INITRD"]})
    # Alone it is always late by the same; a vCPU's turn is 5 ms.
    for name, vms, limit in (("alone", [rt], 4000), ("beside a Linux", [rt, linux], 6000000)):
        text = _machine.run(_machine.image(work, vms, TOML), cpus=1, mib=1024, seconds=400, more=ICOUNT)
        late = re.search(r"late: least (\d+) mean (\d+) worst (\d+) ticks of (\d+)", text)
        tap.case(name + ": every period was served in time", late and text.count("ok ") >= 2 and "not ok" not in text,
                 text)
        if late:
            insns = [int(n) * 1000000000 // int(late[4]) for n in late.groups()[:3]]
            tap.case(name + ": late by no more than a turn of the other", insns[2] <= limit, str(insns))
            print("# late by %d to %d instructions, %d on average" % (insns[0], insns[2], insns[1]))
        tap.case(name + ": everything is given back", "0 bytes are not back" in text, text)
sys.exit(tap.end())
