#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What several harts see of each other's stores (RVWMO): outcomes that no order allows must not be
seen, whichever engine runs the harts; atomics and reservations lose no update.

Each test is a list of instances in memory of their own, through which the harts go as fast as they
can, so that they meet by chance, in code that is translated long since.  Store buffers show only
where two harts meet closely: these tests wait for each other in each instance, and go on until the
same code without its barriers has shown what they exclude often enough.
"""
# timeout: 600
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

INSTANCES, BATCHES, HARTS = 256, 20, 4
ENOUGH, MOST = 20, 4000  # of what code without barriers shows, and batches at most until then

# What each hart does: x is at 0(s1), y at 64(s1), a hart's results are a0 and a1, s2 is 1; and when
# it is wrong: results of hart n are a<2n> and a<2n+1>, final x and y t0 and t1; t2 = not 0 then.
TESTS = {
    "message passing, fences": (
        ["sw s2, 0(s1)\n fence w, w\n sw s2, 64(s1)", "lw a0, 64(s1)\n fence r, r\n lw a1, 0(s1)"],
        "xori t3, a3, 1\n and t2, a2, t3"),
    "message passing, release and acquire": (
        ["sw s2, 0(s1)\n addi t0, s1, 64\n amoswap.w.rl zero, s2, (t0)",
         "addi t0, s1, 64\n amoor.w.aq a0, zero, (t0)\n lw a1, 0(s1)"],
        "xori t3, a3, 1\n and t2, a2, t3"),
    "two loads of one place": (
        ["sw s2, 0(s1)", "lw a0, 0(s1)\n lw a1, 0(s1)"],
        "xori t3, a3, 1\n and t2, a2, t3"),
    "independent reads of independent writes": (
        ["sw s2, 0(s1)", "sw s2, 64(s1)", "lw a0, 0(s1)\n fence r, r\n lw a1, 64(s1)",
         "lw a0, 64(s1)\n fence r, r\n lw a1, 0(s1)"],
        "xori t3, a5, 1\n and t2, a4, t3\n xori t3, a7, 1\n and t2, t2, t3\n and t2, t2, a6"),
    "a sum by AMOs": (["amoadd.w a0, s2, (s1)"] * 4, "xori t2, t0, 4"),
    "a sum by LR and SC": (
        ["7: lr.w a0, (s1)\n addi a0, a0, 1\n sc.w t0, a0, (s1)\n bnez t0, 7b"] * 4, "xori t2, t0, 4"),
}

# The same, and what both harts do without their barriers.
BUFFERS = "or t2, a0, a2\n seqz t2, t2"
PAIRS = {
    "store buffers, fences": (
        ["sw s2, 0(s1)\n fence rw, rw\n lw a0, 64(s1)", "sw s2, 64(s1)\n fence rw, rw\n lw a0, 0(s1)"], BUFFERS,
        ["sw s2, 0(s1)\n lw a0, 64(s1)", "sw s2, 64(s1)\n lw a0, 0(s1)"]),
    "store buffers, atomics": (
        ["amoswap.w.aqrl zero, s2, (s1)\n addi t0, s1, 64\n amoor.w.aqrl a0, zero, (t0)",
         "addi t0, s1, 64\n amoswap.w.aqrl zero, s2, (t0)\n amoor.w.aqrl a0, zero, (s1)"], BUFFERS,
        ["sw s2, 0(s1)\n lw a0, 64(s1)", "sw s2, 64(s1)\n lw a0, 0(s1)"]),
}

# Each tells the other one that it is there, waits for that, and a little longer: 0 to 15 turns.
MEET = [
    "sw s2, 32(s1)\n23: lw t0, 96(s1)\n beqz t0, 23b\n andi t0, s7, 15\n24: addi t0, t0, -1\n bgez t0, 24b\n",
    "sw s2, 96(s1)\n23: lw t0, 32(s1)\n beqz t0, 23b\n srli t0, s7, 4\n24: addi t0, t0, -1\n bgez t0, 24b\n",
]

START = """
	mv s0, a0
	li s3, 1
1:	li t0, %(harts)d
	beq s3, t0, 2f
	mv a0, s3
	la a1, enter
	li a6, 0
	li a7, 0x48534d		# HSM: hart_start
	ecall
	addi s3, s3, 1
	j 1b
2:	mv a0, s0
enter:	mv s0, a0		# hart
	la s4, waiting
	li s5, 0		# harts that have come to all barriers so far
	li s2, 1
"""

BARRIER = """
	addi s5, s5, %(harts)d
	amoadd.w.aqrl zero, s2, (s4)
1:	lw t0, 0(s4)
	fence rw, rw
	blt t0, s5, 1b
"""

END = """
	bnez s0, 3f
	li a0, 10
	li a7, 1
	ecall
	li a0, 0
	li a1, 0
	li a6, 0
	li a7, 0x53525354
	ecall
3:	wfi
	j 3b
.balign 64
waiting: .dword 0
.balign 64
enough:	.dword 0
.balign 4096
cells:	.zero %(cells)d
results: .zero %(results)d
"""


def batch(harts, wrong, count="s9"):
    """All instances once; what is wrong is added to that register."""
    text = ["la s1, cells\n la s6, results\n slli t0, s0, 4\n add s6, s6, t0\n li s7, %d" % INSTANCES]
    text += ["li t0, %d\n beq s0, t0, 1%df" % (n, n) for n in range(len(harts))] + ["j 20f"]
    for n, does in enumerate(harts):
        text.append("1%d: %s\n sd a0, 0(s6)\n sd a1, 8(s6)\n addi s1, s1, 128\n addi s6, s6, 64\n"
                    "addi s7, s7, -1\n bnez s7, 1%db\n j 20f" % (n, does, n))
    text.append("20:" + BARRIER + "bnez s0, 22f\n la s1, cells\n la s6, results\n li s7, %d" % INSTANCES)
    text.append("21: " + "\n".join("ld a%d, %d(s6)" % (n, 8 * n) for n in range(8)))
    text.append("lw t0, 0(s1)\n lw t1, 64(s1)\n" + wrong + "\n snez t2, t2\n add %s, %s, t2\n" % (count, count) +
                "sw zero, 0(s1)\n sw zero, 32(s1)\n sw zero, 64(s1)\n sw zero, 96(s1)\n addi s1, s1, 128\n addi s6, s6, 64\n addi s7, s7, -1\n bnez s7, 21b\n22:")
    return "\n".join(text) + BARRIER


def pair(harts, wrong, without):
    """Both ways in turn, until the one without barriers was wrong ENOUGH times; hart 0 says so."""
    return ("\tli s8, %d\n\tli s9, 0\n\tli s10, 0\n\tjal tp, . + 4\n" % MOST +
            batch([m + does for m, does in zip(MEET, harts)], wrong) +
            batch([m + does for m, does in zip(MEET, without)], wrong, "s10") +
            "\tbnez s0, 7f\n\tla t0, enough\n\tslti t1, s10, %d\n\txori t1, t1, 1\n\tsd t1, 0(t0)\n7:\n" % ENOUGH +
            BARRIER + "\taddi s8, s8, -1\n\tbeqz s8, 5f\n\tla t0, enough\n\tld t0, 0(t0)\n\tbnez t0, 5f\n"
            "\tjr tp\n5:\n\tbnez s0, 6f\n\tli a0, '!'\n\tbnez s9, 4f\n\tli a0, '.'\n"
            "\tslti t0, s10, %d\n\tbeqz t0, 4f\n\tli a0, '?'\n4:\tli a7, 1\n\tecall\n6:\n" % ENOUGH)


def program():
    text = [START]
    for harts, wrong in TESTS.values():
        text.append("\tli s8, %d\n\tli s9, 0\n\tjal tp, . + 4\n" % BATCHES + batch(harts, wrong) +
                    "\taddi s8, s8, -1\n\tbeqz s8, 5f\n\tjr tp\n5:\n"
                    "\tbnez s0, 6f\n\tli a0, '.'\n\tbeqz s9, 4f\n\tli a0, '!'\n4:\tli a7, 1\n\tecall\n6:\n")
    text += [pair(*p) for p in PAIRS.values()]
    return ("".join(text) + END) % {"harts": HARTS, "cells": 128 * INSTANCES, "results": 64 * INSTANCES}


def run(tap, path, engine, *args):
    m = vm.Vm("--kernel", path, "--memory", "16M", "--cpus", str(HARTS), "--engine", engine, *args,
              stdin=subprocess.DEVNULL)
    code = m.end(200)
    if code == 13:
        tap.skip("litmus tests", "no engine " + engine)
        return
    seen = m.out.strip()
    names = list(TESTS) + list(PAIRS)
    for n, name in enumerate(names):
        if seen[n:n + 1] == "?":
            tap.skip("%s: %s" % (engine, name), "the harts never met closely enough")
        else:
            tap.check(seen[n:n + 1] == ".", "%s: %s" % (engine, name), m.story())
    tap.check(code == 0 and len(seen) == len(names), "%s: and ends" % engine, m.story())


def main():
    vm.need("riscv64-linux-gnu-as", "riscv64-linux-gnu-ld")
    tap = vm.Tap()
    with tempfile.TemporaryDirectory() as folder:
        path = vm.assemble(folder, "litmus", program())
        run(tap, path, "jit", "--jit-min-threshold", "1")
        run(tap, path, "opt", "--jit-min-threshold", "1", "--jit-max-threshold", "20")
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
