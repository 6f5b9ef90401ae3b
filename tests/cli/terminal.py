#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""hull run on a terminal: raw while the guest runs, given back in every way out."""
import fcntl
import os
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import _tiny as tiny  # noqa: E402

HULL = os.environ["HULL"]
LIMIT_S = 60
LOCAL = termios.ICANON | termios.ECHO | termios.ISIG
results = []


def case(name, good, detail=""):
    results.append(good)
    print("%s %d - %s" % ("ok" if good else "not ok", len(results), name))
    if not good and detail:
        print("# " + repr(detail))


class Terminal:
    """A guest on a terminal of its own, as a shell would start it."""

    def __init__(self, *arguments):
        self.master, self.slave = os.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen([HULL, "run", *arguments], stdin=self.slave,
                                        stdout=self.slave, stderr=self.slave,
                                        preexec_fn=own_terminal)

    def read_until(self, text):
        end = time.monotonic() + LIMIT_S
        while text not in self.seen and time.monotonic() < end:
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 65536)
            elif self.process.poll() is not None:
                break
        return text in self.seen

    def type(self, data):
        os.write(self.master, data)

    def modes(self):
        return termios.tcgetattr(self.slave)

    def is_raw(self):
        return not self.modes()[3] & LOCAL

    def becomes(self, test):
        end = time.monotonic() + LIMIT_S
        while not test() and time.monotonic() < end:
            time.sleep(0.02)
        return test()

    def is_restored(self):
        return self.modes() == self.before

    def wait(self):
        end = time.monotonic() + LIMIT_S
        while self.process.poll() is None and time.monotonic() < end:
            if select.select([self.master], [], [], 0.05)[0]:
                self.seen += os.read(self.master, 65536)
        return self.process.poll()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 65536)
        os.close(self.master)
        os.close(self.slave)


def escape(kernel):
    t = Terminal(kernel)
    case("the way out is shown", t.read_until(b"Ctrl-]"), t.seen)
    case("the guest runs", t.read_until(b"up"), t.seen)
    case("the terminal is raw", t.becomes(t.is_raw))
    t.type(b"a\x03\x1ab\x11\x13c")
    case("control characters are the guest's", t.read_until(b"a\x03\x1ab\x11\x13c"), t.seen)
    t.type(b"\x1d")
    case("Ctrl-] ends it well", t.wait() == 0, t.seen)
    case("and gives the terminal back", t.is_restored())
    t.close()
    case("with a word", b"left the guest" in t.seen, t.seen)


def no_input(kernel):
    t = Terminal("--no-input", kernel)
    case("--no-input: the guest runs, its terminal is not raw", t.read_until(b"up") and not t.is_raw(), t.seen)
    t.type(b"\x03")
    case("and Ctrl-C is the host's", t.wait() == 130 and t.is_restored() and b"Ctrl-]" not in t.seen, t.seen)
    t.close()


def other_escape(kernel):
    t = Terminal("--escape", "^a", kernel)
    t.read_until(b"up")
    t.becomes(t.is_raw)
    t.type(b"\x1d.")
    case("another key: Ctrl-] is the guest's", t.read_until(b"\x1d."), t.seen)
    t.type(b"\x01")
    case("another key ends it well", t.wait() == 0 and t.is_restored(), t.seen)
    t.close()
    t = Terminal("--escape", "a", kernel)
    case("no such key", t.wait() == 2, t.seen)
    t.close()


def power_off(kernel):
    t = Terminal(kernel)
    case("power-off ends it well", t.wait() == 0, t.seen)
    case("and gives the terminal back after it", t.is_restored())
    t.close()


def failures(kernel):
    t = Terminal("--memory", "12Q", kernel)
    case("an error does not touch the terminal", t.wait() == 2 and t.is_restored(), t.seen)
    t.close()


def signals(kernel):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        t = Terminal(kernel)
        t.read_until(b"up")
        t.becomes(t.is_raw)
        t.process.send_signal(number)
        case("%s: exit code" % number.name, t.wait() == 128 + number, t.seen)
        case("%s: the terminal is back" % number.name, t.is_restored())
        t.close()
    for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS):
        t = Terminal(kernel)
        t.read_until(b"up")
        t.becomes(t.is_raw)
        t.process.send_signal(number)
        case("%s: ends" % number.name, t.wait() not in (0, None), t.seen)
        case("%s: the terminal is back" % number.name, t.is_restored())
        t.close()


def is_stopped(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as f:
        return f.read().rpartition(")")[2].split()[0] == "T"


def suspend(kernel):
    t = Terminal(kernel)
    t.read_until(b"up")
    t.becomes(t.is_raw)
    t.process.send_signal(signal.SIGTSTP)
    case("stops", t.becomes(lambda: is_stopped(t.process.pid)))
    case("the terminal is the shell's meanwhile", t.is_restored())
    t.process.send_signal(signal.SIGCONT)
    case("raw again when continued", t.becomes(t.is_raw))
    t.type(b"xyz")
    case("and the guest goes on", t.read_until(b"xyz"), t.seen)
    t.type(b"\x1d")
    case("to a good end", t.wait() == 0 and t.is_restored(), t.seen)
    t.close()


def pseudo_terminal(kernel):
    p = subprocess.Popen([HULL, "run", "--serial", "pty", kernel], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    line = p.stderr.readline().decode()
    path = line.split()[-1]
    case("a pty is announced", path.startswith("/dev/pts/"), line)
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    os.write(fd, b"ping")
    seen = b""
    while b"ping" not in seen and select.select([fd], [], [], LIMIT_S)[0]:
        seen += os.read(fd, 4096)
    case("and carries both directions", b"up" in seen and b"ping" in seen, seen)
    os.close(fd)
    p.terminate()
    case("ends", p.wait(LIMIT_S) == 143)
    p.stdout.close()
    p.stderr.close()


def main():
    with tempfile.TemporaryDirectory() as work:
        echo, off = os.path.join(work, "echo"), os.path.join(work, "off")
        with open(echo, "wb") as f:
            f.write(tiny.say("up\n") + tiny.echo())
        with open(off, "wb") as f:
            f.write(tiny.say("up\n") + tiny.off())
        escape(echo)
        no_input(echo)
        other_escape(echo)
        power_off(off)
        failures(off)
        signals(echo)
        suspend(echo)
        pseudo_terminal(echo)
    print("1..%d" % len(results))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
