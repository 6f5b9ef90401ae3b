#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Debian's kernels under hull with KVM: to userspace, with several vCPUs, a disk, a reset.

  linux.py [HOST...]    all hosts, or those whose names begin so
"""
# timeout: 3000
import hashlib
import os
import re
import sys
import tempfile

import _host
import guest as debian

# What the host is; how many vCPUs besides one; what the console is called.
GUESTS = {
    "aarch64": ("aarch64", {}, 4, "ttyAMA0"),
    "aarch64, VHE, SVE": ("aarch64", {"cpu": "max,pauth-impdef=on"}, 2, "ttyAMA0"),
    "aarch64, GICv2": ("aarch64", {"machine": "virt,virtualization=on,gic-version=2"}, 2, "ttyAMA0"),
    "riscv64": ("riscv64", {}, 4, "ttyS0"),
    "x86_64": ("x86_64", {"cpu": "max"}, 4, "ttyS0"),
}

# Messages through the ITS, and to local APICs.
PCI = {"aarch64", "x86_64"}
NETWORK = {"x86_64"}  # where libslirp is that of this machine
IN_PCI = """
wait_disk && echo "hull: sha256 $(sha256sum <$disk | cut -d' ' -f1)"
for f in $(ls /sys/bus/pci/devices); do
	grep -q 0x1af4 /sys/bus/pci/devices/$f/vendor || continue
	echo "hull: $f $(ls /sys/bus/pci/devices/$f/msi_irqs 2>/dev/null | wc -l) messages"
done
grep -E 'MSI.*virtio' /proc/interrupts | sed 's/^/hull: irq /'
if [ -d /sys/class/net/eth0 ]; then
printf '#!/bin/sh\\n[ "$1" = bound ] && ip addr add $ip/$mask dev $interface && echo "hull: address $ip"\\n' >/tmp/bound
chmod +x /tmp/bound
ip link set eth0 up
udhcpc -i eth0 -s /tmp/bound -q -n -t 10
ping -c 2 -W 5 10.0.2.2 >/dev/null && echo "hull: ping"
fi
"""

SCRIPT = """
run() {
	mode=$1
	shift
	hull run --accel kvm --kernel /guest/Image --initrd ${initrd:-/guest/initramfs.gz} --memory 256M \
		--append "console=%s quiet panic=-1 mitigations=off hull.run=$mode" "$@"
}
guest() {
	name=$1
	shift
	echo "== $name"
	run "$@"
	echo "== $name ended with $?"
}
cp /disk /tmp/disk
guest one demo --cpus 1 --disk /tmp/disk
guest many smp --cpus %d
[ ! -f /pci.gz ] || initrd=/pci.gz guest pci script --cpus 1 --disk /tmp/disk --virtio-transport pci %s
# It resets for ever: three times are enough.
run reboot --cpus 2 >/tmp/resets 2>&1 &
until [ "$(grep -c 'hull: rebooting' /tmp/resets)" -ge 3 ] || ! kill -0 $! 2>/dev/null; do
	usleep 200000
done
kill $!
echo "== resets $(grep -c 'hull: rebooting' /tmp/resets)"
"""


def part(told, name):
    """What one guest printed, and hull's exit code."""
    found = re.search(r"^== %s\n(.*)^== %s ended with (\d+)$" % (name, name), told, re.M | re.S)
    return (found[1], int(found[2])) if found else ("", None)


def slirp():
    """The library of user networks with all that it needs, as files for the host; None: not here."""
    for folder in _host.nested.LIBRARIES["x86_64"]:
        path = os.path.join(folder, "libslirp.so.0")
        if os.path.exists(path):
            more = _host.nested.shared(path, _host.nested.LIBRARIES["x86_64"])
            return [(where, data, 0o755) for where, data in {**more, "/usr/lib/libslirp.so.0": debian.read(path)}.items()]
    return None


def check(tap, name):
    arch, options, cpus, console = GUESTS[name]
    why = _host.missing(arch)
    if why:
        tap.skip(name, why)
        return
    disk = bytes(range(256)) * 4096
    files = [("/disk", disk, 0o644)]
    pci = name in PCI
    if pci:
        with tempfile.NamedTemporaryFile("w", suffix=".sh") as script:
            script.write(IN_PCI)
            script.flush()
            files.append(("/pci.gz", debian.make_initramfs(arch, modules=["virtio_pci"],
                                                           files=[script.name + ":/script"]), 0o644))
    network = name in NETWORK and slirp()
    result = _host.run(arch, SCRIPT % (console, cpus, "--net user" if network else "--net none"),
                       files=files + (network or []), **options)
    told, story = _host.nested.text_of(result), _host.story(result)
    one, code = part(told, "one")
    tap.check(code == 0 and "hull: cpus 1" in one and "hull: done" in one, name + ": one vCPU", story)
    tap.check("hull: sha256 " + hashlib.sha256(disk).hexdigest() in one, name + ": its disk", story)
    if pci:
        other, code = part(told, "pci")
        tap.check(code == 0 and "hull: sha256 " + hashlib.sha256(disk).hexdigest() in other,
                  name + ": its disk on PCI", story)
        tap.check(re.search(r"^hull: irq .* [1-9]\d* .*virtio\d+-req", other, re.M), name + ": by messages", story)
    if network:
        tap.check("hull: address 10.0.2.15" in other and "hull: ping" in other, name + ": its network on PCI", story)
    many, code = part(told, "many")
    counted = re.findall(r"^hull: cpu (\d+) counted 20000$", many, re.M)
    tap.check(code == 0 and sorted(counted) == sorted(map(str, range(cpus))),
              "%s: %d vCPUs" % (name, cpus), story)
    resets = re.search(r"^== resets (\d+)$", told, re.M)
    tap.check(resets and int(resets[1]) >= 3, name + ": resets", story)


def check_controllers(tap):
    """x86_64: with the interrupt controllers in Hull, or only those of the CPUs below."""
    if _host.missing("x86_64"):
        return
    words = "console=ttyS0 quiet panic=-1 mitigations=off hull.run=smp"
    for place in ("split", "user"):
        result = _host.run("x86_64", "hull run --accel kvm --kernel /guest/Image --memory 256M"
                           " --initrd /guest/initramfs.gz --cpus 2 --irqchip %s --append '%s'"
                           % (place, words), cpu="max")
        told = _host.nested.text_of(result)
        counted = re.findall(r"^hull: cpu (\d+) counted 20000$", told, re.M)
        tap.check(result.status == 0 and sorted(counted) == ["0", "1"], "x86_64: --irqchip " + place,
                  _host.story(result))


if __name__ == "__main__":
    results = _host.Tap()
    chosen = tuple(sys.argv[1:]) or ("",)
    for guest in GUESTS:
        if guest.startswith(chosen):
            check(results, guest)
    if "x86_64".startswith(chosen):
        check_controllers(results)
    sys.exit(results.end())
