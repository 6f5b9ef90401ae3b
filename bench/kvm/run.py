#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""./do bench kvm: exits, start, memory, many lives of machines on this host's KVM.

  run.py --build DIR [--quick] [--lives N]

Prints one line per figure with its bar; exits with 1 if a bar is missed. "floor": what the fewest
calls to this host's KVM take (floor.c).
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
RAM_KIB = 48 << 10
# figure: (bar, what it is)
BARS = {
    "port_more": (3, "% more than a minimal KVM loop, port exits"),
    "memory_more": (3, "% more than a minimal KVM loop, memory exits"),
    "start_median": (2000, "us from exec to the guest's first instruction"),
    "private": (3 << 10, "KiB private beyond the guest's memory"),
    "halted_each": (1536, "KiB private for each of 32 halted machines beyond the first"),
    "descriptors_grown": (0, "descriptors more after all lives"),
    "threads_grown": (0, "threads more after all lives"),
    "memory_grown": (256, "KiB more after all lives"),
}
missed = []


def figures(*command):
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {line.split()[0]: float(line.split()[1]) for line in text.splitlines() if line}


def show(name, value, note=""):
    bar = BARS.get(name)
    late = bar and value > bar[0]
    if late:
        missed.append(name)
    print("%-22s %12.1f  %s%s%s" % (name, value, note or (bar[1] if bar else ""),
                                    ", bar %g" % bar[0] if bar else "", "  MISSED" if late else ""))


def private_kib(pid):
    """Private pages of a process without the guest's memory, which is one mapping, or two: 2 MiB and the rest."""
    total, size, before, first = 0, 0, 0, 0
    with open("/proc/%d/smaps" % pid, encoding="utf-8") as f:
        for line in f:
            field, _, rest = line.partition(":")
            if field == "Size":
                before, size = size, int(rest.split()[0])
                if (before, size) == (2048, RAM_KIB - 2048):
                    total -= first
                first = 0 if size == 2048 else first
            elif field in ("Private_Clean", "Private_Dirty"):
                kib = int(rest.split()[0])
                first += kib if size == 2048 else 0
                total += 0 if size == RAM_KIB or (before, size) == (2048, RAM_KIB - 2048) else kib
    return total


def halted(command):
    """The first machine, and each of 31 more, all at once."""
    machines = []
    try:
        for _ in range(32):
            machines.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                             stderr=subprocess.DEVNULL))
        for m in machines:
            if m.stdout.read(1) != b"x":
                raise RuntimeError("a machine printed nothing")
        sizes = [private_kib(m.pid) for m in machines]
        show("halted_first", sizes[0], "KiB private")
        show("halted_each", sum(sizes[1:]) / 31)
    finally:
        for m in machines:
            m.kill()
            m.wait()


def start(args, work):
    first = os.path.join(work, "first")
    tool = os.path.join(work, "start")
    subprocess.run(["gcc", "-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0x101000", "-Wl,--section-start=.note.pvh=0x102000", "-Wl,--build-id=none", "-o", first,
                    os.path.join(HERE, "first.S")], check=True)
    subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", "-o", tool, os.path.join(HERE, "start.c")], check=True)
    runs = "11" if args.quick else "41"
    floor = os.path.join(work, "floor")
    subprocess.run(["gcc", "-O2", "-D_GNU_SOURCE", "-o", floor, os.path.join(HERE, "floor.c")], check=True)
    for name, value in figures(tool, runs, str(RAM_KIB), floor).items():
        show("floor_" + name, value, "a process with the fewest calls to KVM")
    show("floor_life", figures(floor, "lives", "20")["life"], "us to create, run and destroy a machine so")
    hull = [os.path.join(args.build, "hull"), "run", first, "--memory", "%dK" % RAM_KIB, "--no-input", "--net", "none"]
    for name, value in figures(tool, runs, str(RAM_KIB), *hull, "--accel", "kvm").items():
        show(name, value)
    halted(hull + ["--accel", "kvm"])
    qemu = shutil.which("qemu-system-x86_64")
    if not qemu:
        print("# no qemu-system-x86_64 here to compare with")
        return
    peer = [qemu, "-M", "microvm,rtc=off", "-accel", "kvm", "-m", str(RAM_KIB >> 10), "-nodefaults", "-no-user-config",
            "-display", "none", "-serial", "stdio", "-kernel", first]
    for name, value in figures(tool, "11", str(RAM_KIB), *peer).items():
        show("qemu_" + name, value, "QEMU's microvm beside it")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--lives", type=int, help="machines created, booted, run and destroyed (100 or 1000)")
    args = parser.parse_args()
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("# no /dev/kvm here: nothing to measure")
        return 0
    bench = os.path.join(args.build, "bench-kvm")
    for name, value in figures(bench, "exits").items():
        show(name, value, "" if name in BARS else "ns per exit")
    grown = figures(bench, "lives", str(args.lives or (100 if args.quick else 1000)))
    show("life", grown["life"], "us to create, boot, run and destroy a machine")
    for name in ("descriptors", "threads", "memory"):
        show(name + "_grown", grown[name + "_more"])
    with tempfile.TemporaryDirectory() as work:
        start(args, work)
    return 1 if missed else 0


sys.exit(main())
