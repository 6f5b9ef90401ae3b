#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""A Linux guest and programs of the host talk through vsock, both ways, megabytes of it."""
# timeout: 400
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

TOTAL = 4 << 20
CC = "riscv64-linux-gnu-gcc"

SCRIPT = """
chmod 755 /vsock_peer
/vsock_peer cid
/vsock_peer call 1234 %d
/vsock_peer call 1235 1 | sed 's/called/wrongly called/'
/vsock_peer serve 52
/vsock_peer serve 53
read -r line
""" % TOTAL


def echo(listener, seen):
    peer, _ = listener.accept()
    with peer:
        while True:
            data = peer.recv(65536)
            if not data:
                break
            seen.append(len(data))
            peer.sendall(data)


def call(path, port, data):
    """(the greeting, what came back) of a program that sends `data` to the guest."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(path)
    s.sendall(b"CONNECT %d\n" % port)
    file = s.makefile("rb")
    hello = file.readline()
    if not hello:
        return hello, b""
    sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
    sender.start()
    back = file.read(len(data))
    sender.join()
    s.close()
    return hello, back


def main():
    vm.need(CC)
    tap = vm.Tap()
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "vsock_peer")
        subprocess.run([CC, "-static", "-O2", "-Wall", "-Werror", "-o", program,
                        os.path.join(vm.ROOT, "tests", "guest", "vsock_peer.c")], check=True)
        path = os.path.join(folder, "vm.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path + "_1234")
        listener.listen()
        seen = []
        threading.Thread(target=echo, args=(listener, seen), daemon=True).start()
        common = vm.linux(folder, SCRIPT, modules=["vmw_vsock_virtio_transport"],
                          files=[program + ":/vsock_peer"])
        m = vm.Vm(*common, *vm.cmdline(), "--memory", "256M", "--vsock", path, "--vsock-cid", "77",
                  "--exit-on", "panic")
        tap.check(m.expect("^hull: cid 77$"), "the guest knows its number", m.story())
        tap.check(m.expect("^hull: called %d$" % TOTAL) and sum(seen) == TOTAL,
                  "the guest calls a program, %d bytes there and back" % TOTAL, m.story())
        tap.check(m.expect("^hull: connect: Connection reset"), "where nobody listens it is refused", m.story())
        tap.check(m.expect("hull: serving"), "the guest listens", m.story())
        tap.check(call(path, 99, b"x")[0] == b"", "a port where the guest does not listen: hung up")
        data = os.urandom(TOTAL)
        hello, back = call(path, 52, data)
        tap.check(hello.startswith(b"OK ") and back == data, "a program calls the guest", hello)
        tap.check(m.expect("^hull: served %d$" % TOTAL), "and the guest saw its end", m.story())
        tap.check(stat.S_ISSOCK(os.stat(path).st_mode), "the socket is there while the VM runs")
        m.expect("(?s)hull: serving.*hull: serving")
        m.stop()
        time.sleep(0.1)
        m = vm.Vm(*common, *vm.cmdline(), "--vsock", path, "--exit-on", "hull: cid 3")
        tap.check(m.end() == 0, "one that a killed VM left is replaced", m.story())
        tap.check(not os.path.exists(path), "and removed at the end")
        m = vm.Vm(*common, "--vsock", path, "--deterministic")
        tap.check(m.end() == 2 and "E0542" in m.err, "not in a repeatable run", m.story())
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
