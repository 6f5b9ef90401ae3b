#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Debian's own programs at work in a Linux guest: fio that verifies what it wrote, mkfs and unpacked packages,
iperf3 and curl against the host.  The host's e2fsck, qemu-img and sha256sum judge."""
# timeout: 1200
import hashlib
import http.server
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

DISK = 96 << 20
KINDS = ("raw", "qcow2")
MODULES = ["ext4", "virtio_net", "af_packet"]
# The tools are on the second disk, read-only; what they share with the guest is bound into them.
ENTER = """
for n in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vdb ] && break; usleep 100000; done
mkdir /tools && mount -t ext4 -o ro /dev/vdb /tools || echo "hull: no tools"
for d in dev proc sys tmp; do mount -o bind /$d /tools/$d; done
tool() { chroot /tools "$@"; } # with its path: busybox would take an applet of that name
"""

FIO = ENTER + """
tool /usr/bin/fio --name=v --filename=/dev/vda --direct=1 --ioengine=%s --rw=%s --bs=4k-64k --bsrange=4k-64k --iodepth=16 \\
	--size=24M --verify=crc32c --verify_fatal=1 --do_verify=1 --fsync=%d --randseed=7 --minimal >/tmp/fio 2>&1
echo "hull: fio $?"
tail -n 3 /tmp/fio | cut -c1-300
sync
"""

FILES = ENTER + """
tool /usr/sbin/mkfs.ext4 -q -F /dev/vda && echo "hull: mkfs"
mount -t ext4 /dev/vda /tools/mnt
mkdir /tools/mnt/root /tools/mnt/copy
cp -r /tools/usr/lib/python3* /tools/mnt/copy 2>/dev/null
(cd /tools/usr/lib && find python3* -type f | sort | xargs sha256sum) >/tmp/want
sync
echo 3 >/proc/sys/vm/drop_caches
(cd /tools/mnt/copy && sha256sum -cs /tmp/want) && echo "hull: $(wc -l </tmp/want) files same"
mkdir -p /tools/mnt/p/DEBIAN && cp -r /tools/usr/share/perl5 /tools/usr/share/debconf /tools/mnt/p/ 2>/dev/null
printf 'Package: hull-test\\nVersion: 1\\nArchitecture: all\\nMaintainer: nobody\\nDescription: none\\n' >/tools/mnt/p/DEBIAN/control
tool /usr/bin/dpkg-deb --build /mnt/p /mnt/x.deb && tool /usr/bin/dpkg-deb -x /mnt/x.deb /mnt/root && echo "hull: unpacked"
(cd /tools/mnt/p && find . -type f -not -path './DEBIAN/*' | sort | xargs sha256sum) >/tmp/want2
(cd /tools/mnt/root && sha256sum -cs /tmp/want2) && echo "hull: package same"
umount /tools/mnt && echo "hull: unmounted"
"""

NETWORK = ENTER + """
ip link set lo up; ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2
echo "hull: curl $(tool /usr/bin/curl -s http://10.0.2.2:%(http)d/file | sha256sum)"
for way in "" -R; do
	tool /usr/bin/iperf3 -c 10.0.2.2 -p %(iperf)d -n 24M $way --connect-timeout 20000 >/tmp/iperf 2>&1
	echo "hull: iperf3 $? $(grep -c receiver /tmp/iperf)"
done
mkdir /tmp/www && dd if=/dev/urandom of=/tmp/www/back bs=64k count=40 2>/dev/null
httpd -h /tmp/www -p 80
echo "hull: back $(sha256sum </tmp/www/back)"
read -r line
"""


def boot(folder, script, disk, *more):
    tools = vm.guest.tools(vm.ARCH)
    return vm.Vm(*vm.linux(folder, script, modules=MODULES), *vm.cmdline(), "--memory", "512M", "--disk", disk,
                 "--disk", tools + ",ro,format=raw", *more)


def new_disk(folder, kind):
    path = os.path.join(folder, "disk." + kind)
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, path, str(DISK)], check=True)
    return path, path + ",format=" + kind


def sound(path, kind):
    return kind == "raw" or subprocess.run(["qemu-img", "check", "-q", path], check=False).returncode == 0


def fio(tap, folder, kind):
    path, arg = new_disk(folder, kind)
    for engine, way, fsync in (("libaio", "randwrite", 0), ("psync", "write", 8)):
        m = boot(folder, FIO % (engine, way, fsync), arg)
        code = m.end(400)
        tap.check(code == 0 and "hull: fio 0" in m.out, "fio %s %s verifies on %s" % (engine, way, kind), m.story())
    tap.check(sound(path, kind), "the %s image is sound" % kind)


def files(tap, folder, kind):
    path, arg = new_disk(folder, kind)
    m = boot(folder, FILES, arg)
    code = m.end(400)
    told = re.search(r"hull: (\d+) files same", m.out)
    tap.check(code == 0 and "hull: mkfs" in m.out and told and int(told[1]) > 100,
              "a file system made and filled in the guest on %s" % kind, m.story())
    tap.check("hull: package same" in m.out and "hull: unmounted" in m.out, "a package built and unpacked on it", m.story())
    raw = path
    if kind != "raw":
        raw = os.path.join(folder, "plain")
        subprocess.run(["qemu-img", "convert", "-O", "raw", path, raw], check=True)
    judge = subprocess.run(["e2fsck", "-fn", raw], capture_output=True, check=False)
    tap.check(judge.returncode == 0 and sound(path, kind), "which the host finds clean", judge.stdout.decode())


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):  # noqa: A002
        pass


def network(tap, folder):
    site = os.path.join(folder, "site")
    data = random.Random(5).randbytes(5 << 20)
    vm.guest.write_whole(os.path.join(site, "file"), data)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Quiet(*a, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ports = {"http": server.server_port, "iperf": free_port()}
    peer = subprocess.Popen(["iperf3", "-s", "-B", "127.0.0.1", "-p", str(ports["iperf"])], stdout=subprocess.DEVNULL)
    back = free_port()
    _, arg = new_disk(folder, "raw")
    try:
        m = boot(folder, NETWORK % ports, arg, "--net", "user", "--publish", "127.0.0.1:%d:80" % back)
        told = m.expect(r"hull: back (\w{64})")
        tap.check("hull: curl " + hashlib.sha256(data).hexdigest() in m.out, "curl in the guest gets the host's file", m.story())
        tap.check(m.out.count("hull: iperf3 0 1") == 2, "iperf3 runs both ways", m.story())
        got = subprocess.run(["curl", "-sS", "-m", "60", "http://127.0.0.1:%d/back" % back], capture_output=True, check=False)
        tap.check(told and hashlib.sha256(got.stdout).hexdigest() == told[1], "curl on the host gets the guest's file",
                  "%d bytes, %s\n%s" % (len(got.stdout), got.stderr.decode(), m.story()))
        m.send("\n")
        tap.check(m.end() == 0, "the guest ends", m.story())
    finally:
        peer.terminate()
        peer.wait()
        server.shutdown()


def main():
    vm.need("qemu-img", "e2fsck", "curl", "iperf3")
    tap = vm.Tap()
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            fio(tap, folder, kind)
            files(tap, folder, kind)
        network(tap, folder)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
