#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The hypervisor starts on machines of several shapes, runs its self-test VM, and gives all memory
back; a machine that it cannot use is refused with the reason.  It is as small as it has to be."""
import glob
import os
import sys

import _machine

sys.stdout.reconfigure(line_buffering=True)
cases = [
    ("cortex-a72", dict(cpu="cortex-a72"), "el2 works"),
    ("max", dict(cpu="max,pauth-impdef=on"), "el2 works"),
    ("four CPUs, 3 GiB", dict(cpus=4, mib=3072), "el2 works"),
    ("64 MiB", dict(mib=64), "el2 works"),
    ("GICv2", dict(more=["-M", "gic-version=2"]), "names no GICv3"),
]
print("1..%d" % (len(cases) + 2))
failed = 0
for n, (name, options, want) in enumerate(cases, 1):
    text = _machine.run(**options)
    good = want in text and ("works" not in want or "hull: done, 0 bytes are not back" in text)
    failed += not good
    print("%s %d - %s" % ("ok" if good else "not ok", n, name))
    if not good:
        print("# " + text.replace("\n", "\n# "))
# Without guests; assembly and headers count.
image = os.path.getsize(os.environ["HULL_METAL"])
lines = 0
for path in glob.glob(os.path.join(os.environ["HULL_SOURCE"], "src/metal/**/*.[chS]"), recursive=True):
    with open(path, encoding="utf-8") as f:
        lines += len(f.readlines())
for n, (what, value, most) in enumerate((("bytes of the image", image, 256 << 10), ("lines", lines, 8000)), n + 1):
    failed += value > most
    print("%s %d - %d %s, %d at most" % ("not ok" if value > most else "ok", n, value, what, most))
sys.exit(failed > 0)
