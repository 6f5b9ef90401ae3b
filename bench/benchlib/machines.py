# SPDX-License-Identifier: MIT OR Apache-2.0
"""Who runs the programs: this machine itself, Hull with one of its engines, QEMU."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

LINE = re.compile(r"^(\w+/\w+) ([0-9.e+-]+) ([0-9.e+-]+) (\d+) ([0-9a-f]{16})$", re.M)
END = re.compile(r"^# end ([0-9.]+)$", re.M)
MEMORY_MIB = 512
CLOCK_ERROR = 0.05  # of a guest's clock; beyond it no time of the guest means anything


class Missing(Exception):
    """A machine that is not there; the text says what to do."""


class Run:
    """What one run gave: samples {program: (median s, best s, units, check)}, seconds to init."""

    def __init__(self):
        self.samples, self.boot, self.problem = {}, None, None
        self.clock = None  # guest seconds a host second

    def read(self, console):
        for name, median, best, units, check in LINE.findall(console):
            self.samples[name] = (float(median), float(best), int(units), check)

    def judge_clock(self, guest_s, host_s):
        if host_s < 0.2:
            return  # what the console delays would count
        self.clock = guest_s / host_s
        if abs(self.clock - 1) > CLOCK_ERROR:
            self.problem = "the guest's clock counts %.3f s a second" % self.clock


class Native:
    name = "native"
    boots = False

    def __init__(self, program):
        self.program = program

    def version(self):
        return "this machine"

    def measure(self, words, seconds, limit):
        """Pinned to one CPU, as a guest has only one."""
        result = Run()
        cpu = max(os.sched_getaffinity(0))
        try:
            done = subprocess.run([self.program, "-t", str(seconds), *words], capture_output=True,
                                  text=True, timeout=limit, check=False,
                                  preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
        except subprocess.TimeoutExpired:
            result.problem = "stopped after %d s" % limit
            return result
        result.read(done.stdout)
        if done.returncode:
            result.problem = "exit code %d: %s" % (done.returncode, done.stderr.strip())
        return result


class Machine:
    """A virtual machine monitor, as a process."""
    boots = True
    cannot_count = ()  # kinds of benchlib/count.py

    def __init__(self, name, path, pieces):
        self.name, self.path, self.pieces = name, path, pieces

    def measure(self, words, seconds, limit):
        append = "console=ttyS0 quiet mitigations=off panic=-1 bench.seconds=%g" % seconds
        if words:
            append += " bench.run=" + ",".join(words)
        command = self.command(self.pieces["kernel"], self.pieces["initrd"], append)
        result, console = Run(), b""
        begin = end = None
        with tempfile.TemporaryFile() as errors:
            start = time.monotonic()
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=errors)
            timer = threading.Timer(limit, process.kill)
            timer.start()
            while True:
                part = os.read(process.stdout.fileno(), 65536)
                if not part:
                    break
                now, console = time.monotonic(), console + part
                if result.boot is None and b"hull-bench: init" in console:
                    result.boot = now - start
                begin = begin or b"\n# begin" in console and now
                end = end or b"\n# end" in console and now
            process.stdout.close()
            status = process.wait()
            timer.cancel()
            errors.seek(0)
            told = errors.read().decode("utf-8", "replace").strip()
        console = console.decode("utf-8", "replace").replace("\r", "")
        result.read(console)
        if status == -signal.SIGKILL:
            result.problem = "stopped after %d s" % limit
        elif status or "hull-bench: done" not in console:
            tail = (console[-300:] + "\n" + told[-300:]).strip()
            result.problem = "ended with exit code %d before the guest was done:\n%s" % (status, tail)
        elif words and "hull-bench: status 0" not in console:
            result.problem = "the program in the guest failed"
        elif words:
            result.judge_clock(float(END.search(console)[1]), end - begin)
        return result


class Qemu(Machine):
    cannot_count = ("hypercall",)  # with this kernel in place of its firmware, nobody answers

    def version(self):
        line = subprocess.run([self.path, "--version"], capture_output=True, text=True,
                              check=False).stdout
        return line.split("\n")[0].replace("QEMU emulator version ", "QEMU ")

    def base(self, memory=MEMORY_MIB):
        return [self.path, "-M", "virt", "-accel", "tcg", "-smp", "1", "-m", str(memory)]

    def command(self, kernel, initrd, append):
        return self.base() + ["-nographic", "-no-reboot", "-kernel", kernel, "-initrd", initrd,
                              "-append", append]

    def tiny_command(self, path, memory):
        return self.base(memory) + ["-nodefaults", "-display", "none", "-bios", path]


class Hull(Machine):
    def engine(self):
        _, _, engine = self.name.partition("-")
        return ["--engine", engine] if engine else []

    def version(self):
        line = subprocess.run([self.path, "--version"], capture_output=True, text=True,
                              check=False).stdout
        return (line.split("\n")[0] or "Hull") + " ".join([""] + self.engine())

    def base(self, kernel, memory=MEMORY_MIB):
        return [self.path, "run", "--kernel", kernel, "--cpus", "1", "--memory", "%dM" % memory,
                "--exit-on", "poweroff", *self.engine()]

    def command(self, kernel, initrd, append):
        return self.base(kernel) + ["--initrd", initrd, "--append", append]

    def tiny_command(self, path, memory):
        return self.base(path, memory)


def make(word, hull, native, pieces):
    """The machine that a word NAME or NAME=PATH stands for."""
    name, _, path = word.partition("=")
    if name == "native":
        return Native(native)
    if name.split("-")[0] == "hull":
        path = path or hull
        if not os.access(path, os.X_OK):
            raise Missing("%s: there is no program %s; ./do build makes it" % (name, path))
        return Hull(name, os.path.abspath(path), pieces)
    if name.split("-")[0] == "qemu":
        path = shutil.which(path or "qemu-system-riscv64")
        if not path:
            raise Missing("%s: qemu-system-riscv64 is not installed (package qemu-system-misc)" % name)
        return Qemu(name, path, pieces)
    raise Missing("%s: not native, hull, hull-ENGINE or qemu" % name)
