#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Guests of a few instructions that do what no guest should: hull stays alive, says what
is the matter, and ends when it is told to.  HULL_SEED changes what is random in them."""
# timeout: 900
import concurrent.futures
import os
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

DOCTOR_S = 60  # it speaks after 5 s of silence; the rest is patience with a busy machine
STOP_S = 2

# Prints the text at `message` and switches off.  Traps in S-mode go to `skip`.
LIBRARY = """
say_and_off:
	la a1, message
	li a0, 5
	li a2, 0
	li a6, 0
	li a7, 0x4442434e
	ecall
off:
	li a0, 0
	li a1, 0
	li a6, 0
	li a7, 0x53525354
	ecall
	j off
.balign 4
skip:
	csrr t6, sepc
	addi t6, t6, 4
	csrw sepc, t6
	sret
message: .ascii "done\\n"
.balign 8
"""

# xorshift64 in s11; the result in s11.
RANDOM = """
	slli t0, s11, 13
	xor s11, s11, t0
	srli t0, s11, 7
	xor s11, s11, t0
	slli t0, s11, 17
	xor s11, s11, t0
"""

# Nothing will ever happen again: the boot doctor says why and gives up.
DEAD = {
    "jump to address 0": "jr zero",
    "jump to the last address": "li t0, -4\njr t0",
    "illegal instruction, vector at itself": "la t0, 1f\ncsrw stvec, t0\n.balign 4\n1: .word 0",
    "wait with all interrupts masked": "csrw sie, zero\n1: wfi\nj 1b",
    "every hart stopped": "li a7, 0x48534d\nli a6, 1\necall\n1: j 1b",
    "instructions from a device": "li t0, 0x10000000\njr t0",
    "tables that point at themselves": """
	la t0, table
	srli t1, t0, 12
	slli t2, t1, 10
	ori t2, t2, 1
	li t3, 512
1:	sd t2, 0(t0)
	addi t0, t0, 8
	addi t3, t3, -1
	bnez t3, 1b
	li t2, 8 << 60
	or t1, t1, t2
	sfence.vma
	csrw satp, t1
	sfence.vma
	nop
1:	j 1b
.balign 4096
table: .space 4096""",
    "tables in a device": "li t1, (8 << 60) | 0x10000\ncsrw satp, t1\nsfence.vma\n1: j 1b",
    "tables where there is nothing": "li t1, (8 << 60) | 0xfffffffffff\ncsrw satp, t1\nsfence.vma\n1: j 1b",
    "half an instruction at the end of memory": """
	li t0, 0x84000000 - 2
	li t1, 0x13
	sh t1, 0(t0)
	fence.i
	jr t0""",
}

# These print "done" and switch off.
FINISH = {
    "nonsense in every register of every device": """
	la t0, skip
	csrw stvec, t0
	li s11, 0x%(seed)x
	la s0, ranges
1:	ld s1, 0(s0)
	beqz s1, say_and_off
	ld s2, 8(s0)
	ld s3, 16(s0)
	addi s0, s0, 24
2:""" + RANDOM + """
	sb s11, 0(s1)
	lb t1, 0(s1)
	sh s11, 0(s1)
	lh t1, 0(s1)
	sw s11, 0(s1)
	lw t1, 0(s1)
	sd s11, 0(s1)
	ld t1, 0(s1)
	add s1, s1, s3
	bltu s1, s2, 2b
	j 1b
.balign 8
ranges:
	.dword 0x101000, 0x101100, 1
	.dword 0x2000000, 0x2010000, 5
	.dword 0x2f00000, 0x2f00100, 1
	.dword 0xc000000, 0xc000400, 2
	.dword 0xc001000, 0xc001100, 1
	.dword 0xc002000, 0xc004000, 3
	.dword 0xc200000, 0xc204000, 3
	.dword 0x10000000, 0x10000010, 1
	.dword 0x10001000, 0x10001200, 1
	.dword 0x10002000, 0x10002200, 1
	.dword 0x10001000, 0x10009000, 3
	.dword 0x10008000, 0x10010000, 7
	.dword 0x30000000, 0x30001000, 7
	.dword 0, 0, 0
""",
    "queues of disk and random numbers in nonsense": """
	la t0, skip
	csrw stvec, t0
	li s11, 0x%(seed)x
	li s4, 2000
1:	li s0, 0x10001000
	li s1, 8
2:	li t1, 15
	sw zero, 0x70(s0)
	sw t1, 0x70(s0)
	li t1, 1
	sw t1, 0x24(s0)
	sw t1, 0x20(s0)
	li t1, 15
	sw t1, 0x70(s0)
	sw zero, 0x30(s0)
	li t1, 8
	sw t1, 0x38(s0)
	li s5, 6
	la s6, offsets
3:""" + RANDOM + """
	ld s7, 0(s6)
	add s7, s7, s0
	li t1, 0x3ffffff
	and t1, t1, s11
	li t2, 0x80000000
	add t1, t1, t2
	sw t1, 0(s7)
	sw zero, 4(s7)
	addi s6, s6, 8
	addi s5, s5, -1
	bnez s5, 3b
	li t1, 1
	sw t1, 0x44(s0)
	sw zero, 0x50(s0)
	li t1, 0x1000
	add s0, s0, t1
	addi s1, s1, -1
	bnez s1, 2b
	addi s4, s4, -1
	bnez s4, 1b
	j say_and_off
.balign 8
offsets: .dword 0x80, 0x90, 0xa0, 0x80, 0x90, 0xa0
""",
    "100000 firmware calls with random arguments": """
	la t0, skip
	csrw stvec, t0
	csrsi sie, 2
	li s11, 0x%(seed)x
	li s1, 100000
1:	csrsi sip, 2
	la t2, extensions""" + RANDOM + """
	andi t1, s11, 7
	slli t1, t1, 3
	add t2, t2, t1
	ld a7, 0(t2)
	srli t1, s11, 3
	andi a6, t1, 7
	srli t1, s11, 6
	andi t1, t1, 7
	bnez t1, 2f
	mv a6, s11
2:	li t1, 0x48534d
	bne a7, t1, 3f
	li t1, 1
	beq a6, t1, 1b
3:	mv a0, s11""" + RANDOM + """
	mv a1, s11
	andi t1, s11, 3
	bnez t1, 4f
	andi a1, a1, 0xff
4:""" + RANDOM + """
	mv a2, s11
	andi t1, s11, 3
	bnez t1, 5f
	andi a0, a0, 0x3f
	li a2, 0
5:""" + RANDOM + """
	mv a3, s11
	mv a4, s11
	mv a5, a0
	li t1, 0x4442434e
	bne a7, t1, 6f
	andi a0, a0, 15
	li t1, 0x83ffffff
	and a1, a1, t1
6:	ecall
	addi s1, s1, -1
	bnez s1, 1b
	j say_and_off
.balign 8
extensions: .dword 0x10, 0x54494d45, 0x735049, 0x52464e43, 0x48534d, 0x4442434e, 7, 0x504d55
""",
    "code that rewrites itself": """
	li s1, 20000
	la s0, 2f
	li s2, 0x00150513
	li s3, 0x00250513
	li a0, 0
1:	sw s2, 0(s0)
	fence.i
2:	nop
	xor s2, s2, s3
	xor s3, s3, s2
	xor s2, s2, s3
	addi s1, s1, -1
	bnez s1, 1b
	li t0, 30000
	beq a0, t0, say_and_off
	j off
""",
    "two harts rewrite each other's code": """
	li a0, 1
	la a1, other
	li a2, 0
	li a6, 0
	li a7, 0x48534d
	ecall
	li s1, 20000
	la s0, victim
	li s2, 0x00150513
	li s3, 0x00250513
1:	sw s2, 0(s0)
	fence.i
	sw s3, 0(s0)
	call victim
	addi s1, s1, -1
	bnez s1, 1b
	j say_and_off
other:
	la s0, victim
	li s2, 0x00350513
1:	sw s2, 0(s0)
	call victim
	fence.i
	j 1b
.balign 4
victim:
	nop
	ret
""",
    "a table that maps itself, with accessed and dirty bits to set": """
	la t0, skip
	csrw stvec, t0
	la t0, table
	srli t1, t0, 12
	slli t2, t1, 10
	ori t3, t2, 1
	sd t3, 0(t0)
	ori t3, t2, 7
	sd t3, 8(t0)
	li t3, (0x80000000 >> 2) | 0xcf
	sd t3, 16(t0)
	li t2, 8 << 60
	or t1, t1, t2
	csrw satp, t1
	sfence.vma
	li s0, 0x1000
	li s1, 5000
1:	ld t0, 0(s0)
	sd s1, 64(s0)
	sd t0, 0(s0)
	li t3, 0x40200000
	ld t0, 0(t3)
	sfence.vma
	addi s1, s1, -1
	bnez s1, 1b
	csrw satp, zero
	sfence.vma
	j say_and_off
.balign 4096
table: .space 4096
""",
}

FIRMWARE = {
    "machine mode waits with everything masked": "csrw mie, zero\n1: wfi\nj 1b",
    "machine mode jumps to address 0": "jr zero",
}

# Machine mode: every register gets a random value, every trap skips its instruction.  Not among
# them: those of memory protection, which may take away the program's own memory for good.
ALL_CSRS = "la t0, trap\ncsrw mtvec, t0\nli s11, 0x%x\n" + "".join(
    RANDOM + "\ncsrrw t1, %d, s11\nla t0, trap\ncsrw mtvec, t0\n" % n
    for n in list(range(0x000, 0x020)) + list(range(0x100, 0x1b0)) + list(range(0x300, 0x3a0)) +
    list(range(0x600, 0x6b0, 3)) + list(range(0x7a0, 0x7c0)) + list(range(0xb00, 0xb20)) +
    list(range(0xc00, 0xc20)) + list(range(0xda0, 0xdc0)) + list(range(0xf10, 0xf16))
    if n not in (0x305, 0x180)) + """
	li t0, 0x100000
	li t1, 0x5555
	sw t1, 0(t0)
1:	j 1b
.balign 4
trap:
	csrr t6, mepc
	addi t6, t6, 4
	csrw mepc, t6
	li t6, 0x1800
	csrs mstatus, t6
	mret
"""

# Jumps to a place that depends on the time when the program counter is lost.
RANDOM_CODE = """
	la t0, trap
	csrw {mode}tvec, t0
	li sp, 0x80400000
	li gp, 0x10001000
	li tp, 0x80300000
	j 1f
.balign 4
trap:
	csrr t0, {mode}epc
	addi t0, t0, 4
	la t1, 1f
	sub t2, t0, t1
	srli t2, t2, 16
	beqz t2, 2f
	csrr t0, time
	andi t0, t0, 0x7fc
	add t0, t0, t1
2:	csrw {mode}epc, t0
	la t0, trap
	csrw {mode}tvec, t0
	{mode}ret
1:	.incbin "{file}"
3:	j 1b
"""


def run(folder, name, source, *args, firmware=False):
    stem = re.sub(r"\W", "-", name)
    program = vm.assemble(folder, stem, source, 0x80000000 if firmware else 0x80200000)
    return vm.Vm("--firmware" if firmware else "--kernel", program, "--memory", "64M", *args,
                 stdin=subprocess.DEVNULL)


def dead(tap, folder, name, source, firmware=False):
    m = run(folder, name, source, firmware=firmware)
    begun = time.monotonic()
    told = m.expect("Likely: .*", DOCTOR_S, "err")
    took = time.monotonic() - begun
    code = m.end(30)
    tap.check(told and code == 11 and "E0762" in m.err and not m.crashed(),
              "%s: the boot doctor gives up (%.0f s)" % (name, took), m.story())


def finish(tap, folder, name, source, *args, firmware=False, text=b"done\n"):
    m = run(folder, name, source, *args, firmware=firmware)
    code = m.end(120)
    tap.check(code == 0 and text in m.bytes["out"][-5:] and not m.crashed(), name, m.story()[-3000:])


def stop_at_once(tap, folder, name, source, number):
    """The guest never ends; a signal does."""
    m = run(folder, name + str(number), source, "--cpus", "2")
    time.sleep(2)
    m.signal(number)
    begun = time.monotonic()
    code = m.end(30)
    took = time.monotonic() - begun
    # The sanitized program may look for leaks for a while.
    tap.check(code == 128 + number and "signal %d" % number in m.err and took < STOP_S * 4,
              "%s: signal %d ends it (%.1f s)" % (name, number, took), m.story())


def random_code(tap, folder, seed, firmware):
    """Memory full of random instructions; each trap goes on behind the one that trapped."""
    chance = random.Random(seed)
    name = os.path.join(folder, "random-%d" % seed)
    with open(name, "wb") as f:
        f.write(struct.pack("<16384I", *(chance.getrandbits(32) for _ in range(16384))))
    m = run(folder, name, RANDOM_CODE.format(mode="m" if firmware else "s", file=name), "--cpus", "2",
            firmware=firmware)
    time.sleep(4)
    if m.process.poll() is None:
        m.signal(signal.SIGTERM)
    code = m.end(30)
    tap.check(code in (0, 11, 128 + signal.SIGTERM) and not m.crashed(),
              "random code, seed %d, %s" % (seed, "machine mode" if firmware else "supervisor mode"), m.story())


def main():
    vm.need("riscv64-linux-gnu-as", "riscv64-linux-gnu-ld")
    tap = vm.Tap()
    seed = int(os.environ.get("HULL_SEED", "1"))
    print("# seed %d" % seed)
    with tempfile.TemporaryDirectory() as folder:
        disk = os.path.join(folder, "disk.img")
        with open(disk, "wb") as f:
            f.truncate(1 << 20)
        jobs = [(dead, n, s + "\n") for n, s in DEAD.items()]
        jobs += [(dead, n, s, True) for n, s in FIRMWARE.items()]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            done = [pool.submit(job[0], tap, folder, *job[1:]) for job in jobs]
            for name, source in FINISH.items():
                text = source % {"seed": seed} if "%(seed)" in source else source
                finish(tap, folder, name, text + LIBRARY, "--cpus", "2", "--disk", disk)
            finish(tap, folder, "random values in every CSR of machine mode", ALL_CSRS % seed,
                   firmware=True, text=b"")
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                stop_at_once(tap, folder, "endless loop", "1: j 1b", number)
            for i in range(4):
                random_code(tap, folder, seed + i, i % 2 == 1)
            for d in done:
                d.result()
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
