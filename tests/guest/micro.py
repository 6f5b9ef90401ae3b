#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Tiny guests (tests/guest/micro), one per feature: all that runs them must print the same TAP.

riscv64 ones run on the tiers of the engine, x86_64 ones on this host's KVM with each kind of
interrupt controllers.  What a host cannot do is skipped by name.  tests/nested/micro.py runs those of
aarch64 and riscv64 on emulated hosts with KVM.
"""
# timeout: 600
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

import _micro

HULL = os.environ["HULL"]
LIMIT_S = 60

# name: (architecture, options)
RUNNERS = {
    "engine-interp": ("riscv64", ["--accel", "none", "--engine", "interp"]),
    "engine-jit": ("riscv64", ["--accel", "none", "--engine", "jit"]),
    "engine-opt": ("riscv64", ["--accel", "none", "--engine", "opt"]),
    "kvm-kernel": ("x86_64", ["--accel", "kvm", "--irqchip", "kernel"]),
    "kvm-split": ("x86_64", ["--accel", "kvm", "--irqchip", "split"]),
    "kvm-user": ("x86_64", ["--accel", "kvm", "--irqchip", "user"]),
}
# What a KVM that emulates the guest's kernel does not know (E0810 says so).
EMULATED = re.compile(r"E0810.*cannot emulate an instruction")

cases = []


def case(name, passed, detail="", skip=None):
    cases.append(passed)
    print("%s %d - %s%s" % ("ok" if passed else "not ok", len(cases), name, " # SKIP " + skip if skip else ""))
    if not passed:
        print("".join("# %s\n" % line for line in detail.splitlines()[-40:]), end="")


def run(runner, test, image):
    command = [HULL, "run", image, "--memory", "64M", "--cpus", _micro.cpus(test), "--no-input", *RUNNERS[runner][1],
               *_micro.options(test)]
    try:
        p = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=False)
        return p.returncode, p.stdout.decode("utf-8", "replace"), p.stderr.decode("utf-8", "replace")
    except subprocess.TimeoutExpired as e:
        return 124, (e.stdout or b"").decode("utf-8", "replace"), "no end after %d s" % LIMIT_S


def why_not(arch):
    if arch == "x86_64" and os.uname().machine != "x86_64":
        return "this host is no x86_64"
    if arch == "x86_64" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "no /dev/kvm here"
    text = subprocess.run([HULL, "help", "devices"], capture_output=True, text=True, check=False).stdout
    if arch == "x86_64" and "ioapic" not in text:
        return "this build has no board for x86_64"
    return None


def judge(runner, test, result, reference):
    status, out, err = result
    name = "%s: %s" % (runner, test)
    if status != 0 and EMULATED.search(err):
        case(name, True, skip="KVM of this host emulates kernels, and not this instruction")
        return
    case(name, status == 0 and _micro.complete(out), "exit code %d\n%s%s" % (status, out, err))
    if _micro.complete(out):
        reference.setdefault(test, {})[runner] = out


def main():
    tests = _micro.names(special=True)
    wanted = sys.argv[1:]
    reference = {}
    with tempfile.TemporaryDirectory() as work, concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = []
        for runner, (arch, _) in RUNNERS.items():
            reason = why_not(arch)
            for test in tests:
                if wanted and test not in wanted and runner not in wanted:
                    continue
                if reason:
                    case("%s: %s" % (runner, test), True, skip=reason)
                    continue
                image = os.path.join(work, "%s.%s" % (test, arch))
                if not os.path.exists(image):
                    _micro.build(arch, test, work)
                jobs.append((runner, test, pool.submit(run, runner, test, image)))
        for runner, test, job in jobs:
            judge(runner, test, job.result(), reference)
    for test, outputs in reference.items():
        if len(outputs) > 1:
            case("%s: the same on %s" % (test, ", ".join(outputs)), len(set(outputs.values())) == 1, repr(outputs))
    print("1..%d" % len(cases))
    return 0 if all(cases) else 1


if __name__ == "__main__":
    sys.exit(main())
