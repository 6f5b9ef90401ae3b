# SPDX-License-Identifier: MIT OR Apache-2.0
"""What tests of the program share: TAP, a running VM to talk to, guests to run.

A test imports it after
    sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

ROOT = os.environ["HULL_SOURCE"]
HULL = os.environ["HULL"]
sys.path.insert(0, os.path.join(ROOT, "tools"))
import guest  # noqa: E402

ARCH = "riscv64"
PATIENCE_S = 240  # for a boot on a machine that has other work
CRASHES = re.compile(r"Sanitizer|runtime error:|assertion|E9901|core dumped", re.I)


def skip(why):
    print(why)
    sys.exit(77)


def need(*tools):
    """Skip the whole test unless the program is built and the tools are there."""
    if not os.access(HULL, os.X_OK):
        skip("hull is not built")
    for tool in tools:
        if not shutil.which(tool):
            skip(tool + " is not installed")


class Tap:
    """Results; checks may come from several threads."""

    def __init__(self):
        self.count = self.failed = 0
        self.lock = threading.Lock()

    def check(self, good, text, detail=""):
        lines = [] if good else ["# " + line for line in str(detail).splitlines()[-40:]]
        with self.lock:
            self.count += 1
            self.failed += not good
            lines.insert(0, "%s %d - %s" % ("ok" if good else "not ok", self.count, text.replace("#", "")))
            sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()
        return good

    def skip(self, text, why):
        self.count += 1
        print("ok %d - %s # SKIP %s" % (self.count, text, why), flush=True)

    def end(self):
        print("1..%d" % self.count, flush=True)
        return 1 if self.failed else 0


class Vm:
    """A process of hull; what it prints is collected all the time."""

    def __init__(self, *args, **how):
        program = how.pop("hull", HULL)
        command = [program, "run", *args] if how.pop("run", True) else [program, *args]
        how.setdefault("stdin", subprocess.PIPE)
        how.setdefault("stdout", subprocess.PIPE)
        how.setdefault("stderr", subprocess.PIPE)
        self.command = command
        self.changed = threading.Condition()
        self.bytes = {"out": b"", "err": b""}
        self.process = subprocess.Popen(command, **how)
        self.readers = []
        for name, pipe in (("out", self.process.stdout), ("err", self.process.stderr)):
            if pipe:
                self.readers.append(threading.Thread(target=self._read, args=(name, pipe), daemon=True))
                self.readers[-1].start()

    def _read(self, name, pipe):
        while True:
            data = os.read(pipe.fileno(), 65536)
            with self.changed:
                self.bytes[name] += data
                self.changed.notify_all()
            if not data:
                return

    def text(self, name="out"):
        with self.changed:
            return self.bytes[name].decode("utf-8", "replace").replace("\r", "")

    @property
    def out(self):
        return self.text("out")

    @property
    def err(self):
        return self.text("err")

    def expect(self, pattern, within=PATIENCE_S, name="out"):
        """The match of the pattern in what was printed so far or comes in time, or None."""
        end = time.monotonic() + within
        while True:
            found = re.search(pattern, self.text(name), re.M)
            if found:
                return found
            with self.changed:
                left = end - time.monotonic()
                if left <= 0 or not any(r.is_alive() for r in self.readers):
                    return re.search(pattern, self.bytes[name].decode("utf-8", "replace")
                                     .replace("\r", ""), re.M)
                self.changed.wait(min(left, 0.5))

    def send(self, text):
        try:
            self.process.stdin.write(text.encode())
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            pass

    def signal(self, number):
        self.process.send_signal(number)

    def end(self, within=PATIENCE_S):
        """The exit code; a process that does not end in time is killed, and the code is None."""
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = None
        for reader in self.readers:
            reader.join(5)
        return code

    def stop(self):
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.end()

    def crashed(self):
        """Did the process die of its own mistake?"""
        code = self.process.returncode
        return bool(CRASHES.search(self.err)) or (code is not None and code < 0
                                                  and code not in (-signal.SIGKILL,))

    def story(self):
        return "%s\nexit code %s\n%s\n%s" % (" ".join(map(str, self.command)), self.process.returncode,
                                             "\n".join(self.out.splitlines()[-25:]), self.err)


def linux(folder, script, modules=(), files=()):
    """[--kernel ...] that boots Linux, runs the script (busybox sh) and switches off.

    Files are "HOST-PATH:/GUEST-PATH"."""
    pieces = guest.paths(ARCH, None)
    path, initrd = os.path.join(folder, "script"), os.path.join(folder, "script.gz")
    guest.write_whole(path, script.encode())
    guest.write_whole(initrd, guest.make_initramfs(ARCH, modules=modules, files=[path + ":/script", *files]))
    return ["--kernel", pieces["KERNEL"], "--initrd", initrd]


def cmdline(extra=""):
    return ["--append", "console=ttyS0 quiet panic=-1 hull.run=script " + extra]


def assemble(folder, name, source, at=0x80200000):
    """The path of an ELF that holds the assembly text, entered at _start."""
    stem = os.path.join(folder, name)
    with open(stem + ".s", "w", encoding="utf-8") as f:
        f.write(".option norvc\n.option norelax\n.globl _start\n_start:\n" + source + "\n")
    for command in (["as", "-march=rv64gc_zicsr_zifencei", "-o", stem + ".o", stem + ".s"],
                    ["ld", "-N", "--no-relax", "-Ttext=%#x" % at, "-o", stem, stem + ".o"]):
        done = subprocess.run(["riscv64-linux-gnu-" + command[0], *command[1:]], capture_output=True,
                              text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
    return stem
