#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Network options: what is refused and how it is said, ports that are taken, captures."""
import os
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
from vm import CRASHES, HULL, Tap, Vm, need  # noqa: E402

SPIN = b"\x6f\0\0\0"  # j . : a kernel for machines that only have to start
REFUSED = (
    ("E0501", ["--net", "carrier-pigeon"]),
    ("E0501", ["--net", "switch"]),
    ("E0505", ["--net", "switch:a/b"]),
    ("E0501", ["--net", "user,mac=53:54:00:12:34:56"]),
    ("E0501", ["-P", "22"]),
    ("E0501", ["-P", "2222:22/sctp"]),
    ("E0501", ["--net", "none", "-P", "2222:22"]),
    ("E0501", ["--net", "user,ip.v4=10.0.2"]),
    ("E0501", ["--net", "user,ip.colour=blue"]),
    ("E0501", ["--net", "user,restrict.outbound=maybe"]),
    ("E0501", ["--net", "user,restrict.deny=10.0.0.0/40"]),
    ("E0501", ["--net", "none,impair.loss=101"]),
    ("E0501", ["--net", "none,impair.delay=1ms,impair.jitter=2ms"]),
    ("E0501", ["--net", "none,limit.rx=1"]),
    ("E0501", ["--net", "none,restrict.outbound=deny"]),
    ("E0504", ["--net", "user,ip.v4=10.0.2.2/24"]),
    ("E0505", ["--net", "link:listen:/nowhere/at/all"]),
    ("E0507", ["--net", "link:connect:/nowhere/at/all"]),
    ("E0509", ["--net", "passt", "-P", "auto:22"]),
    ("E0515", ["--net", "none", "--capture", "/nowhere/at/all"]),
    ("E0516", ["--net", "tap:lo"]),
    ("E0108", ["--net", "user", "--deterministic"]),
    ("E0108", ["-P", "auto:22", "--deterministic"]),
    ("E0101", ["--net", "user,colour=blue"]),
    ("E0005", ["--net", "user,mtu=100"]),
    ("E0109", ["--net", "none"] * 7),
)
FILE = """schema = 1
[vm]
name = "a"
[[net]]
mode = "user"
publish = ["auto:22", "auto:53/udp"]
ip = { v4 = "10.0.9.15/24", dns = ["10.0.9.7"], v6 = false, host_name = "web1" }
restrict = { outbound = "deny", deny = ["10.0.0.0/8", "192.168.0.0/16"] }
"""


def refused(tap, kernel):
    for number, options in REFUSED:
        done = subprocess.run([HULL, "run", *options, kernel], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, check=False)
        told = done.stderr
        ok = "error %s:" % number in told and not CRASHES.search(told) and done.returncode > 0
        without = number in ("E0504",) and ("E1301" in told or "E0506" in told)
        tap.check(ok or without, "%s for %s" % (number, " ".join(options)), told)


def taken(tap, kernel):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
        done = subprocess.run([HULL, "run", "-P", "%d:22" % port, kernel], capture_output=True, text=True,
                              timeout=60, stdin=subprocess.DEVNULL, check=False)
        if "E1301" in done.stderr or "E0506" in done.stderr:
            tap.skip("a port that is taken", "no libslirp")
            return
        tap.check("error E0502: host port %d is used by " % port in done.stderr
                  and "(pid %d)" % os.getpid() in done.stderr and "auto:22" in done.stderr
                  and done.returncode == 4, "a port that is taken: by whom, and what to do", done.stderr)


def show(path):
    return subprocess.run([HULL, "config", "show", "-o", "toml", "--config", path], capture_output=True,
                          text=True, check=False).stdout


def from_file(tap, folder, kernel):
    path = os.path.join(folder, "vm.toml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(FILE)
    shown = show(path)
    tap.check('"deny" = "10.0.0.0/8 192.168.0.0/16"' in shown and '"v6" = 0' in shown,
              "tables of a card are read", shown)
    with open(path, "w", encoding="utf-8") as f:
        f.write(shown)
    again = show(path)
    tap.check(again == shown and again, "what is shown reads back", again)
    g = Vm("--config", path, kernel, "--capture", os.path.join(folder, "a.pcapng"))
    try:
        if g.expect(r"E1301|E0506", 1, "err"):
            tap.skip("ports that Hull chose are printed", "no libslirp")
            return
        tap.check(g.expect(r"port 127\.0\.0\.1:\d+ -> 22/tcp", 20, "err")
                  and g.expect(r"port 127\.0\.0\.1:\d+ -> 53/udp", 20, "err"),
                  "ports that Hull chose are printed", g.story())
        g.signal(15)
        g.end(20)
        with open(os.path.join(folder, "a.pcapng"), "rb") as f:
            tap.check(f.read(4) == b"\x0a\x0d\x0d\x0a" and not g.crashed(), "the capture is there", g.story())
    finally:
        g.stop()


def main():
    need()
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        kernel = os.path.join(folder, "spin")
        with open(kernel, "wb") as f:
            f.write(SPIN)
        refused(tap, kernel)
        taken(tap, kernel)
        from_file(tap, folder, kernel)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
