#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The terminal: what hull does to it while it runs, and that it gives it back; streams that are
closed, full, slow or gone; the last output of a guest."""
# timeout: 300
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

LIMIT_S = 60

PUT = """
# Prints the character in a0 through the serial port.
put:
	li t0, 0x10000000
1:	lbu t1, 5(t0)
	andi t1, t1, 0x20
	beqz t1, 1b
	sb a0, 0(t0)
	ret
off:
	li a0, 0
	li a1, 0
	li a6, 0
	li a7, 0x53525354
	ecall
"""

# Says "ready", then sends back what is typed, each byte one higher; 'q' switches off.
ECHO = """
	la s0, text
1:	lbu a0, 0(s0)
	beqz a0, 2f
	call put
	addi s0, s0, 1
	j 1b
2:	li t0, 0x10000000
	lbu t1, 5(t0)
	andi t1, t1, 1
	beqz t1, 2b
	lbu a0, 0(t0)
	li t1, 'q'
	beq a0, t1, off
	addi a0, a0, 1
	call put
	j 2b
""" + PUT + 'text: .asciz "ready\\n"\n'

# 200000 lines' worth of output, then off at once.
FLOOD = """
	li s0, 20000
1:	la s1, text
2:	lbu a0, 0(s1)
	beqz a0, 3f
	call put
	addi s1, s1, 1
	j 2b
3:	addi s0, s0, -1
	bnez s0, 1b
	li a0, 'E'
	call put
	j off
""" + PUT + 'text: .asciz "123456789\\n"\n'

BY_CALL = """
	li a0, 50
	la a1, text
	li a2, 0
	li a6, 0
	li a7, 0x4442434e
	ecall
	j off
""" + PUT + 'text: .ascii "0123456789012345678901234567890123456789012345678\\n"\n'

SPIN = """
1:	li t0, 0x10000000
	lbu t1, 5(t0)
	j 1b
"""


class Terminal:
    """hull on a pseudo-terminal of its own, which we look at from outside."""

    def __init__(self, *args):
        self.master, slave = pty.openpty()
        self.slave = slave
        self.before = termios.tcgetattr(slave)
        self.text = b""
        self.process = subprocess.Popen([vm.HULL, "run", *args], stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True, preexec_fn=self.own)

    @staticmethod
    def own():
        import fcntl
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def expect(self, pattern, within=LIMIT_S):
        end = time.monotonic() + within
        while not re.search(pattern, self.text.decode("utf-8", "replace")):
            if time.monotonic() > end or not select.select([self.master], [], [], max(end - time.monotonic(), 0))[0]:
                return False
            self.text += os.read(self.master, 65536)
        return True

    def type(self, data):
        os.write(self.master, data)

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def end(self):
        try:
            code = self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = None
        while select.select([self.master], [], [], 0)[0]:
            self.text += os.read(self.master, 65536)
        return code

    def restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


def on_terminal(tap, name, args, act, want):
    t = Terminal(*args)
    ready = t.expect("ready")
    raw = t.is_raw()
    act(t)
    code = t.end()
    good = ready and raw and code == want and t.restored()
    tap.check(good, name, "ready %s, raw %s, exit code %s, restored %s\n%s" % (
        ready, raw, code, t.restored(), t.text.decode("utf-8", "replace")))
    text = t.text.decode("utf-8", "replace")
    t.close()
    return text


def terminals(tap, folder):
    echo = ["--kernel", vm.assemble(folder, "echo", ECHO), "--memory", "64M"]
    text = on_terminal(tap, "Ctrl-] leaves", echo, lambda t: t.type(b"ab\x1dc"), 0)
    tap.check(text.count("Ctrl-]") == 1, "and is explained once", text)
    text = on_terminal(tap, "keys reach the guest, control characters too", echo,
                       lambda t: (t.type(b"a\x03\x1a\x04"), t.expect("\x05"), t.type(b"q")), 0)
    tap.check("b\x04\x1b\x05" in text, "and come back as the guest sends them", repr(text))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        on_terminal(tap, "%s ends the run" % signal.Signals(number).name, echo,
                    lambda t, n=number: t.process.send_signal(n), 128 + number)
    on_terminal(tap, "SIGSEGV from outside gives the terminal back", echo,
                lambda t: t.process.send_signal(signal.SIGABRT), -signal.SIGABRT)
    t = Terminal(*echo)
    ready = t.expect("ready")
    os.kill(t.process.pid, signal.SIGTSTP)
    time.sleep(1)
    stopped, given_back = os.waitpid(t.process.pid, os.WUNTRACED | os.WNOHANG)[0], t.restored()
    os.kill(t.process.pid, signal.SIGCONT)
    time.sleep(1)
    raw = t.is_raw()
    t.type(b"q")
    code = t.end()
    tap.check(ready and (not stopped or given_back) and raw and code == 0 and t.restored(),
              "SIGTSTP and SIGCONT", "ready %s, stopped %s, given back %s, raw again %s, exit code %s" % (
                  ready, stopped, given_back, raw, code))
    t.close()
    t = Terminal(*echo)
    t.expect("ready")
    os.close(t.master)
    t.master = os.dup(t.slave)
    code = t.process.wait(LIMIT_S)
    tap.check(code in (0, 129), "the terminal's window is closed", code)
    t.close()
    t = Terminal("--kernel", vm.assemble(folder, "spin", SPIN), "--memory", "64M", "--cpus", "0")
    code = t.end()
    tap.check(code == 2 and t.restored(), "an error before the start leaves the terminal alone")
    t.close()


def streams(tap, folder):
    echo = ["--kernel", os.path.join(folder, "echo"), "--memory", "64M"]
    flood = ["--kernel", vm.assemble(folder, "flood", FLOOD), "--memory", "64M"]
    whole = b"123456789\n" * 20000 + b"E"
    m = vm.Vm(*flood, stdin=subprocess.DEVNULL)
    tap.check(m.end(LIMIT_S) == 0 and m.bytes["out"] == whole, "all output comes through a pipe",
              "%d bytes" % len(m.bytes["out"]))
    path = os.path.join(folder, "out")
    with open(path, "wb") as f:
        m = vm.Vm(*flood, stdin=subprocess.DEVNULL, stdout=f)
        code = m.end(LIMIT_S)
    with open(path, "rb") as f:
        tap.check(code == 0 and f.read() == whole, "into a file")
    m = vm.Vm("--kernel", vm.assemble(folder, "by-call", BY_CALL), "--memory", "64M", stdin=subprocess.DEVNULL)
    tap.check(m.end(LIMIT_S) == 0 and len(m.out) == 50, "through a firmware call", m.story())

    read, write = os.pipe()
    m = vm.Vm(*flood, stdin=subprocess.DEVNULL, stdout=write)
    os.close(write)
    got = b""
    while True:
        data = os.read(read, 8192)
        got += data
        if not data:
            break
        time.sleep(0.02)
    os.close(read)
    tap.check(m.end(LIMIT_S) == 0 and got == whole, "to a slow reader", "%d bytes" % len(got))

    read, write = os.pipe()
    m = vm.Vm(*flood, stdin=subprocess.DEVNULL, stdout=write)
    os.close(write)
    os.read(read, 100)
    os.close(read)
    code = m.end(LIMIT_S)
    tap.check(code is not None and code >= 0 and not m.crashed(), "the reader goes away", m.story())

    m = vm.Vm(*echo)
    m.expect("ready")
    m.process.stdin.close()
    time.sleep(1)
    alive = m.process.poll() is None
    m.signal(signal.SIGTERM)
    tap.check(m.end(LIMIT_S) == 143 and alive, "end of input does not end the guest", m.story())

    for text, closed in (("input", "0<&-"), ("output", "1>&-"), ("messages", "2>&-"), ("all", "0<&- 1>&- 2>&-")):
        command = 'exec "$0" run --kernel "$1" --memory 64M --disk "$2" ' + closed
        disk = os.path.join(folder, "disk")
        with open(disk, "wb") as f:
            f.truncate(1 << 20)
        code = subprocess.run(["sh", "-c", command, vm.HULL, os.path.join(folder, "flood"), disk], timeout=LIMIT_S,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode
        with open(disk, "rb") as f:
            tap.check(code == 0 and not any(f.read()), "%s closed at the start: nothing lands elsewhere" % text, code)
    with open("/dev/full", "wb") as f:
        m = vm.Vm(*flood, stdin=subprocess.DEVNULL, stdout=f)
        tap.check(m.end(LIMIT_S) is not None and not m.crashed(), "the file system is full", m.story())
    for what in ("help", "version", "doctor"):
        with open("/dev/full", "wb") as f:
            m = vm.Vm(what, run=False, stdin=subprocess.DEVNULL, stdout=f)
            tap.check(m.end(LIMIT_S) not in (0, None) and not m.crashed(), what + " onto a full file system fails",
                      m.story())


def main():
    vm.need("riscv64-linux-gnu-as", "riscv64-linux-gnu-ld")
    tap = vm.Tap()
    with tempfile.TemporaryDirectory() as folder:
        terminals(tap, folder)
        streams(tap, folder)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
