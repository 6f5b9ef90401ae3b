#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The hypervisor starts on machines of several shapes, runs its self-test VM, and gives all memory
back; a machine that it cannot use is refused with the reason."""
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
print("1..%d" % len(cases))
failed = 0
for n, (name, options, want) in enumerate(cases, 1):
    text = _machine.run(**options)
    good = want in text and ("works" not in want or "hull: done, 0 bytes are not back" in text)
    failed += not good
    print("%s %d - %s" % ("ok" if good else "not ok", n, name))
    if not good:
        print("# " + text.replace("\n", "\n# "))
sys.exit(failed > 0)
