#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Two Linux guests with several queues on a cable: all data arrive, whatever is left to Hull."""
# timeout: 400
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

STREAMS = 4
UP = """
ip link set lo up
ip link set eth0 up
ip addr add 10.7.0.%d/24 dev eth0
echo "hull: queues $(ls -d /sys/class/net/eth0/queues/rx-* | wc -l)"
"""
SERVER = UP + """
mkdir -p /www
for n in 1 2 3 4; do
	dd if=/dev/urandom of=/www/$n bs=1M count=2 2>/dev/null
	echo "hull: sum $n $(sha256sum </www/$n)"
done
httpd -p 80 -h /www
echo "hull: serving"
read -r line
"""
CLIENT = UP + """
for n in $(seq 1 60); do
	ping -c 1 -W 1 10.7.0.1 >/dev/null && break
done
ping -c 1 -W 5 -s 20000 10.7.0.1 >/dev/null && echo "hull: fragments"
for n in 1 2 3 4; do
	(echo "hull: sum $n $(wget -q -O - http://10.7.0.1/$n | sha256sum)") &
done
wait
echo "hull: fetched"
"""


def pair(tap, folder, name, *options):
    path = os.path.join(folder, name)
    extra = "".join("," + o for o in options)
    common = ["--memory", "256M", "--cpus", "2"]
    server = vm.Vm(*vm.linux(folder, SERVER % 1), *vm.cmdline(), *common, "--net", "link:listen:%s%s" % (path, extra))
    server.expect("hull: serving")
    client = vm.Vm(*vm.linux(folder, CLIENT % 2), *vm.cmdline(), *common, "--net", "link:connect:%s%s" % (path, extra))
    done = client.expect("hull: fetched")
    queues = "hull: queues %d" % (2 if "queues=2" in options else 1)
    tap.check(queues in server.out and queues in client.out, name + ": both have the queues asked for", client.story())
    tap.check("hull: fragments" in client.out, name + ": a datagram in fragments", client.story())
    sums = [sorted(re.findall(r"^hull: sum (.*)", m.out, re.M)) for m in (server, client)]
    tap.check(done and len(sums[0]) == STREAMS and sums[0] == sums[1],
              name + ": %d streams at once arrive whole" % STREAMS, client.story() + server.story())
    server.send("\n")
    tap.check(client.end() == 0 and server.end() == 0, name + ": both end well", server.story())


def main():
    vm.need()
    tap = vm.Tap()
    with tempfile.TemporaryDirectory() as folder:
        pair(tap, folder, "queues", "queues=2")
        pair(tap, folder, "plain", "offload=false")
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
