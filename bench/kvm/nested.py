#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Debian's kernel to its first program with KVM on an emulated host: hull beside QEMU's microvm.

  nested.py [--hull PROGRAM] [--rounds N]

Both get one vCPU, 256 MiB, the same kernel, initramfs and command line. Times are the emulated host's,
which counts its own instructions slowly: only their ratio says something.
"""
import argparse
import os
import re
import statistics
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tools")]
import guest  # noqa: E402
import nested  # noqa: E402

QEMU = "/usr/bin/qemu-system-x86_64"
FIRMWARE = ("bios-microvm.bin", "pvh.bin", "linuxboot_dma.bin")
WORDS = "console=ttyS0 quiet panic=-1 mitigations=off hull.run=nothing"
SCRIPT = r"""
now() { read -r up _ </proc/uptime; echo $up; }
measure() {
	name=$1
	shift
	began=$(now)
	"$@" </dev/null 2>&1 | while read -r line; do
		case $line in
		*"unknown hull.run"*) echo "== $name $began $(now)" ;;
		esac
	done
}
hull_() { hull run --accel kvm --kernel /guest/Image --initrd /guest/initramfs.gz --memory 256M --cpus 1 --net none --append "WORDS"; }
qemu_() {
	qemu-system-x86_64 -M microvm,acpi=on,rtc=on -accel kvm -cpu host -m 256 -smp 1 -nodefaults -no-user-config -no-reboot \
		-display none -serial stdio -L /usr/share/qemu -kernel /guest/Image -initrd /guest/initramfs.gz -append "WORDS"
}
for round in ROUNDS; do
	measure hull hull_
	measure qemu qemu_
done
"""


def peer():
    """QEMU with all that it needs, as files for the host."""
    folders = nested.LIBRARIES["x86_64"] + ["/usr/lib/x86_64-linux-gnu/pulseaudio"]
    files = [(where, data, 0o755) for where, data in nested.shared(QEMU, folders).items()]
    files.append((QEMU, guest.read(QEMU), 0o755))
    for name in FIRMWARE:
        for folder in ("/usr/share/qemu", "/usr/share/seabios"):
            if os.path.exists(os.path.join(folder, name)):
                files.append(("/usr/share/qemu/" + name, guest.read(os.path.join(folder, name)), 0o644))
                break
    return files


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--hull")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    script = SCRIPT.replace("WORDS", WORDS).replace("ROUNDS", " ".join(map(str, range(args.rounds))))
    host = nested.Host("x86_64", hull=args.hull, cpu="max", memory=2560, files=peer())
    result = host.run(script, timeout=1500)
    told = nested.text_of(result)
    times = {name: [float(b) - float(a) for a, b in re.findall(r"^== %s ([\d.]+) ([\d.]+)$" % name, told, re.M)]
             for name in ("hull", "qemu")}
    if not all(times.values()):
        print(told)
        return 1
    for name, seconds in times.items():
        print("%-6s %6.2f s to the first program, least %.2f (%d rounds)"
              % (name, statistics.median(seconds), min(seconds), len(seconds)))
    print("hull takes %.2f of QEMU's time" % (statistics.median(times["hull"]) / statistics.median(times["qemu"])))
    return 0


sys.exit(main())
