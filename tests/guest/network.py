#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Linux on the network: DHCP, both directions through user mode, a reset under load, switches."""
# timeout: 600
import hashlib
import http.server
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402
from vm import Tap, Vm, guest, need  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = random.Random(7).randbytes(6 << 20)
SUM = hashlib.sha256(DATA).hexdigest()
UP = """
ip link set lo up
ip link set eth0 up
cat >/tmp/bound <<'EOF'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add $ip/$mask dev $interface
ip route add default via $router
echo "nameserver $dns" >/etc/resolv.conf
echo "net: address $ip router $router dns $dns name $hostname"
EOF
chmod +x /tmp/bound
mkdir -p /etc /www
"""
USER = UP + """
udhcpc -i eth0 -s /tmp/bound -q -n -t 10
ping -c 2 -W 5 10.0.2.2 >/dev/null && echo "net: ping"
ping -c 1 -W 5 -s 4000 10.0.2.2 >/dev/null && echo "net: large ping"
for n in 1 2 3 4 5 6 7 8 9; do ip -6 addr show dev eth0 | grep -q fec0 && break; sleep 1; done
ping6 -c 1 -W 5 fec0::2 >/dev/null && echo "net: ping6"
wget -q -O /www/data http://10.0.2.2:%(port)d/data && echo "net: got $(sha256sum </www/data)"
wget -q -O - "http://[fec0::2]:%(port6)d/data" | sha256sum | sed 's/^/net: got6 /'
httpd -p 80 -h /www
/netpeer udp 7 &
echo "net: serving"
read -r word
wget -q -O /dev/null http://10.0.2.2:%(port)d/data &
load=$!
cd /sys/bus/virtio/drivers/virtio_net
for d in virtio*; do echo $d >unbind; echo $d >bind; done
cd /
kill $load
ip link set eth0 up
udhcpc -i eth0 -s /tmp/bound -q -n -t 10
wget -q -O - http://10.0.2.2:%(port)d/data | sha256sum | sed 's/^/net: again /'
"""
MEMBER = UP + """
ip addr add 192.168.9.%(number)d/24 dev eth0
for peer in %(peers)s; do
	for n in $(seq 1 60); do
		ping -c 1 -W 1 192.168.9.$peer >/dev/null && echo "net: reached $peer" && break
	done
done
echo "net: met"
read -r word
"""


class Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        try:
            self.wfile.write(DATA)
        except OSError:
            pass  # the guest was reset in the middle

    def log_message(self, *_):
        pass


class Server6(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


def serve(kind, address):
    server = kind((address, 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def peer(folder):
    """The path of netpeer for the guest."""
    path = os.path.join(folder, "netpeer")
    subprocess.run(["riscv64-linux-gnu-gcc", "-O2", "-static", "-o", path,
                    os.path.join(HERE, "netpeer.c")], check=True)
    return path


def linux(folder, name, script, files=()):
    """[--kernel ...] that boots Linux with a network driver and runs the script."""
    path, initrd = os.path.join(folder, name), os.path.join(folder, name + ".gz")
    guest.write_whole(path, script.encode())
    guest.write_whole(initrd, guest.make_initramfs(vm.ARCH, files=[path + ":/script", *files]))
    return ["--kernel", guest.paths(vm.ARCH, None)["KERNEL"], "--initrd", initrd, "--memory", "256M",
            *vm.cmdline()]


def ask(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return hashlib.sha256(answer.read()).hexdigest()


def echoed(port):
    message = random.Random(3).randbytes(3000)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        for _ in range(5):
            s.sendto(message, ("127.0.0.1", port))
            try:
                return s.recv(65536) == message
            except TimeoutError:
                pass
    return False


def user(tap, folder):
    """One guest in user mode."""
    port = serve(http.server.ThreadingHTTPServer, "127.0.0.1")
    port6 = serve(Server6, "::1")
    capture = os.path.join(folder, "user.pcapng")
    script = USER % {"port": port, "port6": port6}
    g = Vm(*linux(folder, "user", script, [peer(folder) + ":/netpeer"]),
           "--net", "user,ip.host_name=web1", "-P", "auto:80", "-P", "auto:7/udp", "--capture", capture)
    try:
        talk(tap, g)
        tap.check(g.end() == 0 and not g.crashed(), "the run ends well", g.story())
    finally:
        g.stop()
    if shutil.which("tcpdump"):
        read = subprocess.run(["tcpdump", "-nr", capture], capture_output=True, text=True, check=False)
        tap.check(read.returncode == 0 and "BOOTP/DHCP, Request" in read.stdout
                  and "BOOTP/DHCP, Reply" in read.stdout, "tcpdump reads the capture and sees DHCP",
                  read.stdout[:2000] + read.stderr)
    else:
        tap.skip("tcpdump reads the capture", "no tcpdump")


def talk(tap, g):
    tap.check(g.expect(r"^net: serving"), "the guest comes up", g.story())
    for text, pattern in (("DHCP gives address, router, name server and host name",
                           "net: address 10.0.2.15 router 10.0.2.2 dns 10.0.2.3 name web1"),
                          ("the gateway answers a ping", "net: ping$"),
                          ("and one of 4000 bytes", "net: large ping"),
                          ("and one of IPv6", "net: ping6"),
                          ("a file of the host arrives whole", "net: got " + SUM),
                          ("and over IPv6", "net: got6 " + SUM)):
        tap.check(re.search("^" + pattern, g.out, re.M), text, g.story())
    tcp = g.expect(r"port 127\.0\.0\.1:(\d+) -> 80/tcp", 5, "err")
    udp = g.expect(r"port 127\.0\.0\.1:(\d+) -> 7/udp", 5, "err")
    if tap.check(tcp and udp, "Hull prints the ports that it chose", g.err):
        tap.check(ask("http://127.0.0.1:%s/data" % tcp[1]) == SUM, "a file of the guest, too")
        tap.check(echoed(int(udp[1])), "a datagram of 3000 bytes comes back")
    g.send("go\n")
    tap.check(g.expect(r"^net: again " + SUM), "after a reset under load all is as before", g.story())


def switch(tap, folder):
    """Three guests of three processes on one switch."""
    env = dict(os.environ, XDG_RUNTIME_DIR=folder)
    vms = []
    try:
        for number in (1, 2, 3):
            peers = " ".join(str(n) for n in (1, 2, 3) if n != number)
            script = MEMBER % {"number": number, "peers": peers}
            vms.append(Vm(*linux(folder, "member%d" % number, script), "--net", "switch:lan", env=env))
        for number, g in enumerate(vms, 1):
            met = g.expect(r"^net: met")
            tap.check(met and len(re.findall(r"^net: reached", g.out, re.M)) == 2,
                      "guest %d reaches the two others" % number, g.story())
        for g in vms:
            g.send("end\n")
        tap.check([g.end() for g in vms] == [0, 0, 0], "all three end well",
                  "\n".join(g.story() for g in vms))
    finally:
        for g in vms:
            g.stop()


def main():
    need("riscv64-linux-gnu-gcc")
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        user(tap, folder)
        switch(tap, folder)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
