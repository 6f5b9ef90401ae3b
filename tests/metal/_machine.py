# SPDX-License-Identifier: MIT OR Apache-2.0
"""The hypervisor's image on an emulated machine."""
import os
import subprocess

QEMU = "qemu-system-aarch64"


def run(image=None, cpu="cortex-a72", cpus=1, mib=512, seconds=60, more=()):
    """What the machine prints until it switches itself off; it has `seconds` for that."""
    command = [QEMU, "-M", "virt,virtualization=on,gic-version=3", "-cpu", cpu, "-smp", str(cpus),
               "-m", str(mib), "-display", "none", "-serial", "stdio", "-monitor", "none",
               "-no-reboot", "-kernel", image or os.environ["HULL_METAL"], *more]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=seconds)
    except subprocess.TimeoutExpired as e:
        raise SystemExit("the machine does not stop:\n" + (e.stdout or b"").decode(errors="replace"))
    return done.stdout.decode(errors="replace").replace("\r", "")
