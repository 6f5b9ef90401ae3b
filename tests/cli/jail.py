#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The sandbox of hull run: each level as the kernel shows it, inherited descriptors, a call that is
not listed, and the file that the process could read before."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "cli"))
import _tiny  # noqa: E402
from vm import Tap, Vm, need  # noqa: E402

CONTROL = "hull"


def threads(pid):
    """name -> the fields of /proc/PID/task/TID/status"""
    found = {}
    for tid in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, tid), encoding="ascii") as f:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        found[fields["Name"]] = fields
    return found


def start(folder, *options, **how):
    kernel = os.path.join(folder, "kernel")
    with open(kernel, "wb") as f:
        f.write(_tiny.say("hello\n") + _tiny.spin())
    vm = Vm("--arch", "riscv64", "-v", *options, kernel, **how)
    return vm, vm.expect("^hello", 60) and vm.expect("jail", 60, "err")


def levels(tap, folder):
    for level, filtered in (("off", "0"), ("basic", "0"), ("strict", "2")):
        vm, up = start(folder, "--jail", level)
        told = bool(re.search("jail %s" % level, vm.err))
        tap.check(up and told, "--jail %s is said" % level, vm.err)
        for name, status in sorted(threads(vm.process.pid).items()):
            seen = status["NoNewPrivs"], status["Seccomp"]
            want = "0" if level == "off" else "1", filtered
            if name == CONTROL and "own namespaces" in vm.err and seen[1] == "0":
                continue  # a build with a leak checker, which needs the rest
            tap.check(seen == want, "%s: %s" % (level, name), "%s, not %s" % (seen, want))
            if level != "off":
                tap.check(int(status["CapEff"], 16) == 0 == int(status["CapPrm"], 16),
                          "%s: %s has no capabilities" % (level, name), status["CapEff"])
        vm.stop()


def descriptors(tap, folder):
    secret = os.open("/etc/passwd", os.O_RDONLY)
    vm, up = start(folder, "--jail", "basic", pass_fds=(secret,))
    held = [os.readlink("/proc/%d/fd/%s" % (vm.process.pid, n)) for n in os.listdir("/proc/%d/fd" % vm.process.pid)]
    tap.check(up and "/etc/passwd" not in held, "inherited descriptors are closed", held)
    vm.stop()
    os.close(secret)


def inject(vm, thread, call):
    """Make that thread of the running VM call something, by way of a debugger."""
    script = ["-ex", "set confirm off", "-ex", "handle SIGSYS nostop noprint pass",
              "-ex", "handle SIG38 nostop noprint pass", "-ex", "thread find %s" % thread]
    listed = subprocess.run(["gdb", "-q", "-batch", "-p", str(vm.process.pid), *script],
                            capture_output=True, text=True, timeout=120, check=False).stdout
    number = re.search(r"^Thread (\d+) has (?:target )?name '%s'" % thread, listed, re.M)
    if not number:
        return
    subprocess.run(["gdb", "-q", "-batch", "-p", str(vm.process.pid), *script[:6], "-ex",
                    "thread %s" % number[1], "-ex", "print (int)%s" % call],
                   capture_output=True, timeout=120, check=False)


def violations(tap, folder):
    if not shutil.which("gdb"):
        tap.skip("a call that is not listed", "gdb is not installed")
        return
    for thread, role in (("hull-vcpu0", "vcpu"), ("hull-timers", "timer"), ("hull-serial", "serial")):
        vm, _ = start(folder, "--jail", "strict")
        inject(vm, thread, "chdir(0)")
        code = vm.end(60)
        tap.check(code == 5 and "E1401" in vm.err and "a %s thread made the system call chdir" % role in vm.err,
                  "%s: it is told, and the VM ends" % role, "%s\n%s" % (code, vm.err))
        vm.stop()


def main():
    need()
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        levels(tap, folder)
        descriptors(tap, folder)
        violations(tap, folder)
    return tap.end()


sys.exit(main())
