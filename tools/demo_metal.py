#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Two Linux VMs on bare metal, on an emulated machine; one pings the other over the switch.

  demo_metal.py HULL HYPERVISOR     Exit code 0: all pings were answered, and both VMs and the
                                    hypervisor ended as they should.
"""
import os
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import guest  # noqa: E402

LIMIT_S = 300
TOML = """[vm]
name = "{name}"
[machine]
arch = "aarch64"
[memory]
size = "192M"
[boot]
kernel = "{kernel}"
initrd = "{initrd}"
cmdline = "console=ttyAMA0 quiet hull.run=script hull.address={address}"
[[net]]
mode = "switch:lan"
"""
SCRIPT = """
address=$(sed 's/.*hull.address=//' /proc/cmdline)
ip link set eth0 up
ip addr add "$address/24" dev eth0
if [ "$address" = 10.9.0.1 ]; then
	nc -l -p 7 >/dev/null
else
	until ping -c 1 -W 1 10.9.0.1 >/dev/null; do sleep 1; done
	ping -c 5 -i 0.3 10.9.0.1
	until echo done | nc 10.9.0.1 7; do sleep 1; done
fi
"""
WANTED = ("5 packets transmitted, 5 packets received", "hull: done, 0 bytes are not back")


def make_image(hull, hypervisor, folder):
    pieces = guest.paths("aarch64", None)
    script, initrd = os.path.join(folder, "script"), os.path.join(folder, "initrd")
    guest.write_whole(script, SCRIPT.encode())
    guest.write_whole(initrd, guest.make_initramfs("aarch64", files=[script + ":/script"]))
    files = []
    for name, address in (("web", "10.9.0.1"), ("client", "10.9.0.2")):
        files.append(os.path.join(folder, name + ".toml"))
        guest.write_whole(files[-1], TOML.format(name=name, kernel=pieces["KERNEL"], initrd=initrd,
                                                 address=address).encode())
    image = os.path.join(folder, "hull.img")
    subprocess.run([hull, "build", "--metal", *files, "--hypervisor", hypervisor, "-w", image],
                   check=True)
    return image


def main():
    hull, hypervisor = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            ["qemu-system-aarch64", "-M", "virt,virtualization=on,gic-version=3", "-cpu",
             "cortex-a72", "-smp", "2", "-m", "1024", "-nographic", "-no-reboot", "-kernel",
             make_image(hull, hypervisor, folder)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        timer = threading.Timer(LIMIT_S, process.kill)
        timer.start()
        console = ""
        for line in iter(process.stdout.readline, b""):
            text = line.decode("utf-8", "replace").replace("\r", "")
            console += text
            sys.stdout.write(text)
            sys.stdout.flush()
        status = process.wait()
        timer.cancel()
    missing = [text for text in WANTED if text not in console]
    for text in missing:
        print("FAIL  nothing said: " + text)
    if not missing and not status:
        print("OK    two VMs on bare metal reach each other, and gave everything back")
    return 1 if missing or status else 0


sys.exit(main())
