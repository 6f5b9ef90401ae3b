#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Named channels, the size of a terminal, and memory that comes back, with a Linux guest."""
# timeout: 400
import fcntl
import os
import re
import socket
import struct
import sys
import tempfile
import termios
import time

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

CHANNELS = """
port() {
	for p in /sys/class/virtio-ports/*; do
		[ "$(cat "$p/name" 2>/dev/null)" = "$1" ] && echo "/dev/${p##*/}"
	done
}
agent=$(port org.hull.agent)
log=$(port org.hull.log)
echo "hull: ports $agent $log"
exec 3<>"$agent"
echo "hello from the guest" >&3
read -r line <&3
echo "hull: heard $line"
seq 1 20000 >"$log"
echo "hull: logged"
read -r line
exec 4</dev/hvc0
n=0
while [ $n -lt 300 ] && ! stty size <&4 2>/dev/null | grep -q "33 101"; do
	usleep 100000
	n=$((n + 1))
done
stty size <&4 | sed 's/^/hull: size /'
"""

# Fills memory with something, frees it, and keeps a part whose contents must survive.
MEMORY = """
mount -t tmpfs -o size=300m none /mnt
dd if=/dev/urandom of=/mnt/kept bs=1M count=20 2>/dev/null
sum=$(sha256sum </mnt/kept)
dd if=/dev/zero bs=1M count=200 2>/dev/null | tr '\\0' x >/mnt/large
echo "hull: full"
read -r line
rm /mnt/large
echo "hull: freed"
read -r line
[ "$sum" = "$(sha256sum </mnt/kept)" ] && echo "hull: kept"
dd if=/dev/zero bs=1M count=200 2>/dev/null | tr '\\0' y >/mnt/large
tr -d y </mnt/large | wc -c | sed 's/^/hull: wrong bytes /'
"""

TARGET = """
n=0
while [ $n -lt 100 ] && [ "$(awk '/MemFree/ {print $2}' /proc/meminfo)" -gt 160000 ]; do
	usleep 100000
	n=$((n + 1))
done
echo "hull: free $(awk '/MemFree/ {print $2}' /proc/meminfo)"
"""


def resident(m):
    with open("/proc/%d/status" % m.process.pid, encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) >> 10


def channels(tap, folder):
    path, log = os.path.join(folder, "agent.sock"), os.path.join(folder, "log")
    m = vm.Vm(*vm.linux(folder, CHANNELS), *vm.cmdline(), "--memory", "256M", "--console", "pty",
              "--channel", "org.hull.agent,to=socket:" + path, "--channel", "org.hull.log,to=file:" + log)
    tap.check(m.expect(r"hull: ports /dev/vport\w+ /dev/vport\w+$"), "the guest finds both by name", m.story())
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(path)
    s.sendall(b"hello from the host\n")
    tap.check(m.expect("hull: heard hello from the host"), "it hears the host", m.story())
    tap.check(m.expect("hull: logged"), "it writes to the other", m.story())
    pty = m.expect(r"(/dev/pts/\d+)", name="err")
    if tap.check(pty, "the console has a terminal", m.story()):
        fd = os.open(pty.group(1), os.O_RDWR | os.O_NOCTTY)
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
        m.send("\n")
        tap.check(m.expect("hull: size 33 101"), "a new size of the terminal is seen", m.story())
        os.close(fd)
    m.send("\n")
    m.end()
    for wrong, number in (("a", "E0901"), ("a,to=stdio", "E0006"), ("a,to=nowhere", "E0006")):
        m = vm.Vm(*vm.linux(folder, ""), "--channel", wrong)
        tap.check(m.end() == 2 and number in m.err, "no channel: " + wrong, m.story())
    with open(log, encoding="ascii") as f:
        tap.check(f.read().split() == [str(n) for n in range(1, 20001)], "the log is complete")


def reporting(tap, folder):
    m = vm.Vm(*vm.linux(folder, MEMORY, modules=["virtio_balloon"]), *vm.cmdline(), "--memory", "512M", "--balloon")
    m.expect("hull: full")
    full = resident(m)
    m.send("\n")
    m.expect("hull: freed")
    low = full
    for _ in range(60):
        time.sleep(0.5)
        low = min(low, resident(m))
        if low < full - 150:
            break
    tap.check(low < full - 150, "the host gets 200 MiB back: %d, then %d" % (full, low), m.story())
    m.send("\n")
    tap.check(m.expect("hull: kept"), "other data are as they were", m.story())
    tap.check(m.expect("hull: wrong bytes 0$"), "and the memory can be used again", m.story())
    m.stop()


def target(tap, folder):
    m = vm.Vm(*vm.linux(folder, TARGET, modules=["virtio_balloon"]), *vm.cmdline(), "--memory", "384M",
              "--balloon", "--balloon-size", "192M")
    found = m.expect(r"hull: free (\d+)")
    tap.check(found and int(found.group(1)) < 160000, "a guest can be started with less than it sees", m.story())
    tap.check(m.end() == 0, "and ends as usual", m.story())


def main():
    vm.need()
    tap = vm.Tap()
    with tempfile.TemporaryDirectory() as folder:
        channels(tap, folder)
        reporting(tap, folder)
        target(tap, folder)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
