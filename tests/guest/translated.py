#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Guests of a few instructions that are hard on generated code: they end, in bounded memory, and
as the interpreter says."""
# timeout: 600
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

OFF = """
off:
	li a0, 0
	li a1, 0
	li a6, 0
	li a7, 0x53525354
	ecall
	j off
"""

PROGRAMS = {
    # Blocks of one instruction each, more than the cache has room for, again and again.
    "full of short blocks": """
	li s0, 4
1:	.rept 30000
	j . + 4
	addi a0, a0, 3
	.endr
	addi s0, s0, -1
	bnez s0, 1b
""",
    # The same place is other code each time.
    "new code all the time": """
	la s0, hole
	li s1, 3000
	li s2, 0x00050513
1:	li t0, 0x100000
	add s2, s2, t0
	sw s2, 0(s0)
	fence.i
	li s3, 12
2:	call hole
	addi s3, s3, -1
	bnez s3, 2b
	addi s1, s1, -1
	bnez s1, 1b
	j off
.balign 4
hole:	nop
	ret
""",
    # Code in one page, data in the same one: stores are no reason to translate again.
    "data among the code": """
	la s0, datum
	li s1, 100000
1:	ld t0, 0(s0)
	addi t0, t0, 1
	sd t0, 0(s0)
	addi s1, s1, -1
	bnez s1, 1b
	j off
.balign 8
datum:	.dword 0
""",
    # A handler that faults, whose handler faults, and so on, each with other registers.
    "faults in handlers": """
	li s1, 20000
	la t0, first
	csrw stvec, t0
	.word 0
back:	addi s1, s1, -1
	beqz s1, off
	la t0, first
	csrw stvec, t0
	ld t1, 0(zero)
	j back
.balign 4
first:	la t0, second
	csrw stvec, t0
	addi s2, s2, 1
	sd s2, 1(zero)
	j off
.balign 4
second:	la t0, third
	csrw stvec, t0
	fadd.d f1, f2, f3
	jr zero
.balign 4
third:	la t0, back
	csrw sepc, t0
	li t0, 0x100
	csrs sstatus, t0
	li t0, 0x6000
	csrc sstatus, t0
	sret
""",
    # The timer interrupts generated code; its handler counts.
    "timers": """
	la t0, tick
	csrw stvec, t0
	rdtime t0
	addi t0, t0, 100
	csrw 0x14d, t0
	li t0, 0x20
	csrw sie, t0
	csrsi sstatus, 2
	li s1, 300
1:	addi a0, a0, 1
	mul a1, a0, a0
	sd a1, 0(sp)
	ld a2, 0(sp)
	bgtz s1, 1b
	j off
.balign 4
tick:	rdtime t0
	andi t1, a0, 255
	add t0, t0, t1
	addi t0, t0, 17
	csrw 0x14d, t0
	addi s1, s1, -1
	sret
""",
}

START = "\tli sp, 0x80800000\n"


def stats(m):
    line = [t for t in m.err.splitlines() if "hull.engine-stats/1" in t]
    return json.loads(line[0]) if line else {}


def peak(stat, name):
    """A counter, wherever the report has it."""
    if isinstance(stat, dict):
        if isinstance(stat.get(name), int):
            return stat[name]
        found = [peak(v, name) for v in stat.values()]
        return max([f for f in found if f is not None], default=None)
    if isinstance(stat, list):
        found = [peak(v, name) for v in stat]
        return max([f for f in found if f is not None], default=None)
    return None


def bounded(tap, name, program):
    m = vm.Vm("--kernel", program, "--memory", "16M", "--engine", "jit", "--code-cache-size", "1M",
              "--jit-min-threshold", "1", "--engine-stats", "--json", stdin=subprocess.DEVNULL)
    code = m.end(120)
    if code == 13:
        tap.skip(name, "no engine jit")
        return
    used = peak(stats(m), "cache_bytes_peak")
    good = code == 0 and not m.crashed() and used is not None and used <= 1 << 20
    if name.startswith("full"):
        good = good and peak(stats(m), "cache_evictions") > 1000
    tap.check(good, "%s: ends, in 1 MiB" % name, "%s\n%s" % (used, m.story()))


def agrees(tap, name, program, engine, *args):
    m = vm.Vm("--kernel", program, "--memory", "16M", "--engine", engine, "--lockstep", "interp",
              "--jit-min-threshold", "1", "--lockstep-slice", "1009", *args, stdin=subprocess.DEVNULL)
    code = m.end(120)
    if code == 13:
        tap.skip(name, "no engine " + engine)
        return
    tap.check(code == 0 and "agree" in m.text("err"),
              "%s: %s as the interpreter %s" % (name, engine, " ".join(args)), m.story())


def stops(tap, program):
    """A signal ends generated code that never leaves by itself."""
    m = vm.Vm("--kernel", program, "--memory", "16M", "--engine", "jit", "--jit-min-threshold", "1",
              stdin=subprocess.DEVNULL)
    time.sleep(1)
    m.signal(signal.SIGINT)
    begun = time.monotonic()
    code = m.end(30)
    took = time.monotonic() - begun
    if code == 13:
        tap.skip("SIGINT", "no engine jit")
        return
    # Sanitized programs look for leaks first.
    tap.check(code == 128 + signal.SIGINT and took < 5, "SIGINT ends a tight loop (%.0f ms)" % (took * 1000),
              m.story())


def main():
    vm.need("riscv64-linux-gnu-as", "riscv64-linux-gnu-ld")
    tap = vm.Tap()
    with tempfile.TemporaryDirectory() as folder:
        for name, source in PROGRAMS.items():
            program = vm.assemble(folder, name.replace(" ", "-"), START + source + OFF)
            bounded(tap, name, program)
            agrees(tap, name, program, "jit")
            agrees(tap, name, program, "opt", "--jit-max-threshold", "5")
            agrees(tap, name, program, "jit", "--cpus", "2", "--code-cache-size", "2M")
        stops(tap, vm.assemble(folder, "loop", "1: addi a0, a0, 1\n\tj 1b\n"))
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
