# SPDX-License-Identifier: MIT OR Apache-2.0
"""User networking beside QEMU's: the same libslirp, the same guest.

frames: a guest that bench-net plays moves data over TCP, up and down, through the network of
another process: Hull's, or that of a QEMU without a machine, both behind the same socket, with
frames of 1514 bytes.  What counts is bytes per CPU-second of that process.
offload: the same guest in the process of the network, with offloads as Linux's driver has them:
bytes per CPU-second of guest, network and server together, beside those of QEMU alone; bit/s.
Linux: netpeer under Hull and under qemu-system-riscv64.
"""
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERTZ = os.sysconf("SC_CLK_TCK")
NAME = "net"


def compile_driver(build, folder):
    """bench-net, from this tree and the library of the build."""
    path = os.path.join(folder, "bench-net")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-g", "-std=gnu17", "-D_GNU_SOURCE", "-o", path,
                    "-I", ROOT, "-I", os.path.join(ROOT, "src"), "-I", os.path.join(ROOT, "include"),
                    "-I", os.path.join(ROOT, "tests"), os.path.join(ROOT, "bench/io/net.c"),
                    os.path.join(ROOT, "tests/support/netguest.c"), os.path.join(build, "libhull.a"),
                    "-lm", "-lpthread", "-lz"], check=True)
    return path


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / HERTZ


def start_hull(driver, path):
    p = subprocess.Popen([driver, "serve", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    p.stdout.readline()
    return p


def start_qemu(path):
    p = subprocess.Popen(["qemu-system-riscv64", "-M", "none", "-nodefaults", "-display", "none",
                          "-monitor", "none", "-netdev", "user,id=u", "-netdev",
                          "hubport,id=h1,hubid=0,netdev=u", "-netdev",
                          "stream,id=s,server=on,addr.type=unix,addr.path=" + path, "-netdev",
                          "hubport,id=h2,hubid=0,netdev=s"], stdin=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    for _ in range(500):
        if os.path.exists(path):
            return p
        time.sleep(0.01)
    raise RuntimeError("QEMU does not listen")


def frames(driver, folder, who, direction, count):
    """Bytes per CPU-second of the process that has the network."""
    path = os.path.join(folder, "socket")
    if os.path.exists(path):
        os.unlink(path)
    server = start_qemu(path) if who == "qemu" else start_hull(driver, path)
    try:
        time.sleep(0.1)
        before = cpu_seconds(server.pid)
        told = subprocess.run([driver, "drive", path, direction, str(count)], check=True,
                              capture_output=True, text=True, timeout=120)
        used = max(cpu_seconds(server.pid) - before, 1 / HERTZ)
        seconds = json.loads(told.stdout)["seconds"]
    finally:
        server.kill()
        server.wait()
    return {"bytes_per_cpu_second": count / used, "gbit_per_second": count * 8e-9 / seconds}


def inside(driver, direction, count):
    told = subprocess.run([driver, "inside", direction, str(count)], check=True, capture_output=True,
                          text=True, timeout=120)
    result = json.loads(told.stdout)
    return {"gbit_per_second": result["bytes"] * 8e-9 / result["seconds"],
            "bytes_per_cpu_second": result["bytes"] / result["cpu_seconds"]}


# Linux.

UP = """
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
/netpeer send 10.0.2.2 %(up)d %(bytes)d
/netpeer receive 10.0.2.2 %(down)d
"""


def sink(count):
    """Ports of a server that takes everything, and of one that sends `count` bytes."""
    ports = []
    for send in (False, True):
        listener = socket.create_server(("127.0.0.1", 0))
        ports.append(listener.getsockname()[1])

        def serve(listener=listener, send=send):
            block = bytes(1 << 20)
            while True:
                s, _ = listener.accept()
                with s:
                    for _ in range(count >> 20 if send else 0):
                        s.sendall(block)
                    s.shutdown(socket.SHUT_WR)
                    while s.recv(1 << 20):
                        pass
        threading.Thread(target=serve, daemon=True).start()
    return ports


def linux(hull, folder, who, count):
    """Gbit/s, up and down, by the guest's clock."""
    os.environ.setdefault("HULL_SOURCE", ROOT)
    os.environ.setdefault("HULL", hull)
    sys.path.insert(0, os.path.join(ROOT, "tests", "guest"))
    import network
    up, down = sink(count)
    script = UP % {"up": up, "down": down, "bytes": count}
    args = network.linux(folder, "bench", script, [network.peer(folder) + ":/netpeer"])
    kernel, initrd, append = args[1], args[3], args[args.index("--append") + 1]
    if who == "hull":
        command = [hull, "run", *args, "--net", "user"]
    else:
        command = ["qemu-system-riscv64", "-M", "virt", "-m", "256", "-nographic", "-no-reboot", "-kernel",
                   kernel, "-initrd", initrd, "-append", append, "-netdev", "user,id=u", "-device",
                   "virtio-net-device,netdev=u"]
    told = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
                          check=False)
    rates = [int(b) * 8 / int(ns) for b, ns in re.findall(r"netpeer: (\d+) bytes (\d+) ns", told.stdout)]
    if len(rates) != 2:
        raise RuntimeError(told.stdout[-2000:] + told.stderr[-2000:])
    return rates


def rates(rows):
    return statistics.median(row["bytes_per_cpu_second"] for row in rows)


def run(bench):
    """Rows for the front (run.py); see above."""
    driver, count = compile_driver(bench.build, bench.work), int(200e6 * bench.seconds)
    for direction in ("up", "down"):
        hull, qemu, alone = [], [], []
        for _ in range(bench.rounds):
            hull.append(frames(driver, bench.work, "hull", direction, count))
            qemu.append(frames(driver, bench.work, "qemu", direction, count))
            alone.append(inside(driver, direction, count))
        yield {"name": "net frames %s" % direction, "hull": rates(hull), "peer": rates(qemu),
               "unit": "B/CPU-s", "goal": 1.0}
        yield {"name": "net offload %s" % direction, "hull": rates(alone), "peer": rates(qemu),
               "unit": "B/CPU-s", "goal": 1.0}
        yield {"name": "net offload %s" % direction, "peer": None, "unit": "bit/s", "least": 2e9,
               "hull": 1e9 * statistics.median(row["gbit_per_second"] for row in alone)}
    hull = bench.program("hull")
    rounds = [[linux(hull, bench.work, who, 64 << 20) for who in ("hull", "qemu")] for _ in range(min(bench.rounds, 3))]
    for i, direction in enumerate(("up", "down")):
        ours, theirs = (1e9 * statistics.median(r[who][i] for r in rounds) for who in range(2))
        yield {"name": "net Linux %s" % direction, "hull": ours, "peer": theirs, "unit": "bit/s", "goal": 1.5}
