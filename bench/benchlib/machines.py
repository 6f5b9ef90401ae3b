# SPDX-License-Identifier: MIT OR Apache-2.0
"""Who runs the programs: this machine itself, Hull with one of its engines, QEMU."""
import collections
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

LINE = re.compile(r"^(\w+/\w+) ([0-9.e+-]+) ([0-9.e+-]+) (\d+) ([0-9a-f]{16})$", re.M)
BEGUN = re.compile(r"^# run (\w+/\w+)$", re.M)
END = re.compile(r"^# end ([0-9.]+)$", re.M)
MEMORY_MIB = 512
CLOCK_ERROR = 0.05, 0.05  # of a guest's clock: a part and seconds; beyond it its times mean nothing
TAIL = 600  # characters of what a machine said first and last
MOST_TEXT = 1 << 20  # bytes
GRACE_S = 0.5  # for the rest of a message
ASK_S = 20  # for a question that a program answers at once

# What a run is to do: programs by name, seconds each, seconds at most for all and without a sign of
# life, and how many workers on as many CPUs; no workers: each program by itself on one CPU.
Work = collections.namedtuple("Work", "programs seconds limit silence workers", defaults=[0])


class Missing(Exception):
    """A machine that is not there; the text says what to do."""


class Run:
    """What one run gave: samples {program: (median s, best s, units, check)}, seconds to init."""

    def __init__(self):
        self.samples, self.boot, self.problem = {}, None, None
        self.clock = None  # guest seconds a host second
        self.broken = {}  # {program: text} of those that did not end well
        self.at = None  # the program that had begun and not ended

    def read(self, console):
        for name, median, best, units, check in LINE.findall(console):
            self.samples[name] = (float(median), float(best), int(units), check)
        begun = BEGUN.findall(console)
        self.at = begun[-1] if begun and begun[-1] not in self.samples else None

    def judge_clock(self, guest_s, host_s):
        if host_s < 0.2:
            return  # what the console delays would count
        self.clock = guest_s / host_s
        if abs(guest_s - host_s) > host_s * CLOCK_ERROR[0] + CLOCK_ERROR[1]:
            self.problem = "the guest's clock counts %.3f s a second" % self.clock

    def check(self, expected):
        """Moves samples with another check value to what is broken."""
        for name, (_, _, _, value) in list(self.samples.items()):
            if value != expected.get(name, value):
                self.broken[name] = "check value %s, natively %s" % (value, expected[name])
                del self.samples[name]

    def add(self, later):
        """What another start of the machine gave for the programs that were left."""
        self.samples.update(later.samples)
        self.boot = self.boot or later.boot
        self.clock = self.clock or later.clock


def all_programs(machine, work):
    """A Run of machine.once(); what comes after a program that fails, in a new start."""
    whole, left, end = Run(), list(work.programs), time.monotonic() + work.limit
    while True:
        rest = max(1, end - time.monotonic())
        run = machine.once(work._replace(programs=left, limit=rest))
        whole.add(run)
        if not run.problem or run.at not in left:
            whole.problem = run.problem
            return whole
        whole.broken[run.at] = run.problem
        left = left[left.index(run.at) + 1:]
        if not left:
            return whole


def words(work):
    return ["-t", "%g" % work.seconds, "-w", str(work.workers), *work.programs]


class Native:
    name = "native"
    boots = False

    def __init__(self, program):
        self.program = program

    def version(self):
        return "this machine"

    def measure(self, work):
        return all_programs(self, work)

    def once(self, work):
        """Pinned to one CPU, as a guest has only one; workers pin themselves."""
        result = Run()
        cpus = os.sched_getaffinity(0) if work.workers else {max(os.sched_getaffinity(0))}
        with tempfile.TemporaryFile() as output:
            try:
                done = subprocess.run([self.program, *words(work)], stdout=output, text=True,
                                      stderr=subprocess.PIPE, timeout=work.limit, check=False,
                                      preexec_fn=lambda: os.sched_setaffinity(0, cpus))
                if done.returncode:
                    result.problem = "exit code %d: %s" % (done.returncode, done.stderr.strip())
            except subprocess.TimeoutExpired:
                result.problem = "stopped after %.0f s" % work.limit
            output.seek(0)
            result.read(output.read().decode())
        return result


def expected(native, names, limit):
    """{program: check value} as this machine gives them, in as short a time as they can."""
    run = native.measure(Work(names, 0, limit, limit)) if names else Run()
    return {name: sample[3] for name, sample in run.samples.items()}


def tail_of(console):
    """Begin and end of what came since the last program began; it may be anything."""
    text = console[max([0] + [m.end() for m in BEGUN.finditer(console)]):].strip()
    text = re.sub(r"[^\n -~]", "?", text)
    return text if len(text) <= 2 * TAIL else text[:TAIL] + "\n...\n" + text[-TAIL:]


class Console:
    """What a machine's process prints, and when the lines that are times came."""

    MARKS = {"init": b"hull-bench: init", "begin": b"\n# begin", "end": b"\n# end"}

    def __init__(self, process, work):
        self.text, self.at, self.stopped = b"", {}, None
        self.start = time.monotonic()
        self.end, self.progress, self.steps = self.start + work.limit, self.start, 0
        while True:
            left = min(self.end, self.progress + work.silence) - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                late = self.end <= time.monotonic()
                self.stopped = self.stopped or ("%g s were not enough" % work.limit if late else
                                                "nothing new for %g s" % work.silence)
                process.kill()
                break
            part = os.read(process.stdout.fileno(), 65536)
            if not part:
                break
            self.text += part
            self.note(time.monotonic())
        self.text = self.text.decode("utf-8", "replace").replace("\r", "")

    def note(self, now):
        for name, mark in self.MARKS.items():
            if name not in self.at and mark in self.text:
                self.at[name] = now - self.start
        # Once the programs run, a kernel's complaints are no progress.
        steps = self.text.count(b"\n# ") if "begin" in self.at else len(self.text)
        if steps != self.steps:
            self.steps, self.progress = steps, now
        if len(self.text) > MOST_TEXT:
            self.stopped, self.end = self.stopped or "it prints without end", now
        # A machine may start such a guest again, for ever.
        if self.stopped:
            return
        if b"Kernel panic" in self.text:
            self.stopped = "the guest's kernel panicked"
            self.end = min(self.end, now + GRACE_S)
        again = self.text.find(self.MARKS["init"], self.text.find(self.MARKS["init"]) + 1)
        if again > 0 and not self.stopped:
            self.text, self.end = self.text[:again], now
            self.stopped = "the guest started again"


class Machine:
    """A virtual machine monitor, as a process."""
    boots = True
    cannot_count = ()  # kinds of benchlib/count.py

    def __init__(self, name, path, pieces):
        self.name, self.path, self.pieces = name, path, pieces

    def measure(self, work):
        return all_programs(self, work)

    def once(self, work, extra=()):
        append = "console=ttyS0 quiet mitigations=off panic=-1 bench.seconds=%g bench.workers=%d" % (
            work.seconds, work.workers)
        if work.programs:
            append += " bench.run=" + ",".join(work.programs)
        command = self.command(max(1, work.workers), append) + list(extra)
        result = Run()
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=errors)
            try:
                console = Console(process, work)
            finally:
                process.stdout.close()
                if sys.exc_info()[0]:
                    process.kill()
                status = process.wait()
            errors.seek(0)
            told = errors.read().decode("utf-8", "replace").strip()
        result.read(console.text)
        result.boot = console.at.get("init")
        tail = "\n".join(filter(None, (tail_of(console.text), told[-TAIL:])))
        if console.stopped:
            result.problem = ("%s\n%s" % (console.stopped, tail)).strip()
        elif status or "hull-bench: done" not in console.text:
            result.problem = "ended with exit code %d before the guest was done\n%s" % (status, tail)
            result.problem = result.problem.strip()
        elif work.programs and "hull-bench: status 0" not in console.text:
            result.problem = "the program in the guest failed\n" + tail
        elif work.programs:
            result.judge_clock(float(END.search(console.text)[1]), console.at["end"] - console.at["begin"])
        return result


class Qemu(Machine):
    cannot_count = ("hypercall",)  # with this kernel in place of its firmware, nobody answers

    def version(self):
        line = subprocess.run([self.path, "--version"], capture_output=True, text=True,
                              check=False).stdout
        return line.split("\n")[0].replace("QEMU emulator version ", "QEMU ")

    def base(self, memory=MEMORY_MIB, cpus=1):
        return [self.path, "-M", "virt", "-accel", "tcg", "-smp", str(cpus), "-m", str(memory)]

    def command(self, cpus, append):
        return self.base(cpus=cpus) + ["-nographic", "-no-reboot", "-kernel", self.pieces["kernel"],
                                       "-initrd", self.pieces["initrd"], "-append", append]

    def tiny_command(self, path, memory):
        return self.base(memory) + ["-nodefaults", "-display", "none", "-bios", path]


class Hull(Machine):
    """hull, hull-ENGINE or hull-ENGINE-WORD, where the word tells two programs apart."""

    def engine(self):
        engine = (self.name.split("-") + [""])[1]
        return ["--engine", engine] if engine else []

    def version(self):
        line = subprocess.run([self.path, "--version"], capture_output=True, text=True,
                              check=False).stdout
        return (line.split("\n")[0] or "Hull") + " ".join([""] + self.engine())

    def base(self, kernel, memory=MEMORY_MIB, cpus=1):
        return [self.path, "run", "--kernel", kernel, "--cpus", str(cpus), "--memory", "%dM" % memory,
                "--exit-on", "poweroff", *self.engine()]

    def command(self, cpus, append):
        return self.base(self.pieces["kernel"], cpus=cpus) + ["--initrd", self.pieces["initrd"],
                                                              "--append", append]

    def tiny_command(self, path, memory):
        return self.base(path, memory)

    def refusal(self, extra=()):
        """Why a build has not this engine or these options, asked with a guest of a few instructions; or None."""
        done = ask(self.tiny_command(self.pieces["tiny"], 16) + list(extra))
        found = re.search(r"error (E1301|E0006|E0001)\b.*", done)
        return found and found[0]


def ask(command):
    """All that a program prints; nothing if it does not end."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=ASK_S, check=False).stdout.decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        return ""


def make(word, hull, native, pieces):
    """The machine that a word NAME or NAME=PATH stands for."""
    name, _, path = word.partition("=")
    if name == "native":
        return Native(native)
    if name.split("-")[0] == "hull":
        path = path or hull
        if not os.access(path, os.X_OK):
            raise Missing("%s: there is no program %s; ./do build makes it" % (name, path))
        machine = Hull(name, os.path.abspath(path), pieces)
        refusal = machine.refusal()
        if refusal:
            raise Missing("%s: %s" % (name, refusal))
        return machine
    if name.split("-")[0] == "qemu":
        path = shutil.which(path or "qemu-system-riscv64")
        if not path:
            raise Missing("%s: qemu-system-riscv64 is not installed (package qemu-system-misc)" % name)
        return Qemu(name, path, pieces)
    raise Missing("%s: not native, hull, hull-ENGINE or qemu" % name)
