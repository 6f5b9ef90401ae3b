#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""--lockstep: the engines agree, register for register, from the first instruction of Linux to its last."""
# timeout: 1200
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

# Short processes, new code all the time, floating point, the kernel's own work.
SCRIPT = """
for i in 1 2 3 4 5 6; do sh -c "echo $i | md5sum; true $i"; done
dd if=/dev/zero bs=64k count=4 2>/dev/null | gzip | gunzip | sha256sum
awk 'BEGIN { for (i = 1; i < 2000; i++) s += 1.7 / i - i * 0.3 + (i * i) / 7; printf "sum %.12f\\n", s }'
find / -xdev | sort | head -300 | md5sum
"""

# engine, CPUs, more options; small slices and thresholds of their own find other mistakes.
RUNS = [
    ("jit", 1, "--jit-min-threshold", "1", "--lockstep-slice", "5003"),
    ("jit", 2, "--lockstep-slice", "20011", "--code-cache-size", "2M"),
    ("opt", 1, "--jit-min-threshold", "1", "--jit-max-threshold", "20", "--lockstep-slice", "50021"),
    ("eval", 1, "--lockstep-insns", "40000000"),
]


def main():
    vm.need()
    tap = vm.Tap()
    with tempfile.TemporaryDirectory() as folder:
        args = vm.linux(folder, SCRIPT)
        for engine, cpus, *more in RUNS:
            m = vm.Vm(*args, *vm.cmdline(), "--engine", engine, "--lockstep", "interp", "--cpus", str(cpus),
                      "--memory", "128M", *more, stdin=subprocess.DEVNULL)
            code = m.end(600)
            name = "%s and interp agree with %d CPU%s" % (engine, cpus, "s" * (cpus > 1))
            if code == 13:
                tap.skip(name, "this build or host has no engine " + engine)
                continue
            done = "--lockstep-insns" in more or "sum " in m.text() and "hull: done" in m.text()
            tap.check(code == 0 and "agree" in m.text("err") and done, name, m.story())
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
