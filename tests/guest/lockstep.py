#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""--lockstep: the engines agree, register for register, from the first instruction of Linux to its last."""
# timeout: 1200
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "bench"))
import vm  # noqa: E402
from benchlib import build  # noqa: E402

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
    ("opt", 1, "--engine-chaos", "7", "--jit-min-threshold", "1", "--jit-max-threshold", "20",
     "--lockstep-insns", "40000000"),
    ("eval", 1, "--lockstep-insns", "40000000"),
]

# Of bench/guest: a few milliseconds of each.
PROGRAMS = ("int/dhry int/core int/sha256 int/lz int/sort int/crc32 int/muldiv ctl/fib ctl/vm ctl/vcall ctl/branch "
            "ctl/bigcode ctl/smc fp/linpack fp/nbody fp/fft fp/matf32 fp/mandel fp/poly fp/fconv mem/chase512k "
            "mem/memcpy_off mem/stream_off mem/atomic sys/syscall sys/ctxsw sys/pgfault sys/signal sys/clock")


def programs(tap):
    if not shutil.which(build.COMPILERS[build.ARCH]):
        tap.skip("programs that measure", "no " + build.COMPILERS[build.ARCH])
        return
    pieces = build.guest.paths(build.ARCH, None)
    initrd = build.initramfs(build.programs()[build.ARCH], pieces)
    words = "bench.run=%s bench.seconds=0.003" % ",".join(PROGRAMS.split())
    for engine, *more in (("jit",), ("opt", "--jit-min-threshold", "2", "--jit-max-threshold", "30")):
        m = vm.Vm("--kernel", pieces["KERNEL"], "--initrd", initrd, "--append", "console=ttyS0 quiet panic=-1 " + words,
                  "--engine", engine, "--lockstep", "interp", "--memory", "256M", "--lockstep-slice", "20011", *more,
                  stdin=subprocess.DEVNULL)
        code = m.end(600)
        name = "%s and interp agree about programs that measure" % engine
        if code == 13:
            tap.skip(name, "this build or host has no engine " + engine)
            continue
        tap.check(code == 0 and "agree" in m.text("err") and "hull-bench: status 0" in m.text(), name, m.story())


def main():
    vm.need()
    tap = vm.Tap()
    with tempfile.TemporaryDirectory() as folder:
        args = vm.linux(folder, SCRIPT)
        for engine, cpus, *more in RUNS:
            m = vm.Vm(*args, *vm.cmdline(), "--engine", engine, "--lockstep", "interp", "--cpus", str(cpus),
                      "--memory", "128M", *more, stdin=subprocess.DEVNULL)
            code = m.end(600)
            chaos = " in chaos" if "--engine-chaos" in more else ""
            name = "%s and interp agree with %d CPU%s%s" % (engine, cpus, "s" * (cpus > 1), chaos)
            if code == 13:
                tap.skip(name, "this build or host has no engine " + engine)
                continue
            done = "--lockstep-insns" in more or "sum " in m.text() and "hull: done" in m.text()
            tap.check(code == 0 and "agree" in m.text("err") and done, name, m.story())
        programs(tap)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
