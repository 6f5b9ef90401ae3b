# SPDX-License-Identifier: MIT OR Apache-2.0
"""Host instructions a guest instruction, counted by valgrind: nearly the same in every run.

A kernel runs a loop, then the same with more rounds; start and end of the machine cancel out.
"""
import os
import re
import subprocess

from . import build, goals

MEMORY_MIB = 16
FEW, MANY = 1000, 401000  # rounds; QEMU's own start may differ by a million instructions
LIMIT_S = 600
# What count.S repeats, and how many guest instructions a round are, but the LOOP's own.  Without
# floating point: valgrind has no exception flags, so Hull takes another way than it does outside.
KINDS = {
    "nothing": 0, "alu": 16, "memory": 16, "pages": 3 + 16 * 4, "call": 16, "branch": 18, "muldiv": 4,
    "atomic": 4, "csr": 4, "time": 1, "mmio": 1, "hypercall": 3,
}
LOOP = 2
SLOW = ("call", "csr", "time", "mmio", "hypercall")  # a tenth of the rounds


def kernel(folder, kind, times):
    path = os.path.join(folder, "count-%s-%d.bin" % (kind, times))
    source = os.path.join(build.SOURCE, "count.S")
    if build.older(path, [source]):
        build.run([[build.COMPILERS[build.ARCH], "-nostdlib", "-static", "-march=rv64gc",
                    "-Wl,--build-id=none,--no-relax,-Ttext=0", "-D%s" % kind.upper(),
                    "-DTIMES=%d" % times, source, "-o", path + ".elf"]])
        build.run([["riscv64-linux-gnu-objcopy", "-O", "binary", path + ".elf", path]])
    return path


def instructions(command, changes):
    """What valgrind counts for a process and its threads, or a text that says what went wrong."""
    try:
        done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                               "--smc-check=" + changes, *command], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=LIMIT_S, check=False)
    except FileNotFoundError:
        return "valgrind is not installed"
    except subprocess.TimeoutExpired:
        return "stopped after %d s" % LIMIT_S
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        return "exit code %d: %s" % (done.returncode, done.stderr.strip()[-300:])
    return int(found[1])


def measure(chosen, folder, say):
    """{kind: {machine: {"round": host instructions a round, "each": a guest instruction}}}."""
    result = {kind: {} for kind in KINDS}
    failed = {}
    for machine in chosen:
        for kind, number in KINDS.items():
            if machine.name in failed or kind in machine.cannot_count:
                continue
            say("count: %s %s" % (machine.name, kind))
            # Hull's translators write code in one mapping and run it in another, of a file.
            changes = "all" if goals.judged(machine.name) else "all-non-file"
            many = MANY // 10 if kind in SLOW else MANY
            totals = [instructions(machine.tiny_command(kernel(folder, kind, times), MEMORY_MIB), changes)
                      for times in (FEW, many)]
            wrong = [t for t in totals if isinstance(t, str)]
            if wrong:
                failed[machine.name] = "count of %s: %s" % (kind, wrong[0])
                continue
            a_round = (totals[1] - totals[0]) / (many - FEW)
            result[kind][machine.name] = {"round": a_round, "each": a_round / (number + LOOP)}
    return result, failed
