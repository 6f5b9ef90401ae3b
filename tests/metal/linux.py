#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Debian's kernel as a guest of the hypervisor: with one CPU, with several, two VMs beside each
other, two VMs on one CPU."""
# timeout: 900
import os
import subprocess
import sys
import tempfile

import _machine

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tools"))
import guest  # noqa: E402

sys.stdout.reconfigure(line_buffering=True)
TOML = """[vm]
name = "{name}"
[machine]
arch = "aarch64"
[memory]
size = "192M"
[cpu]
count = {cpus}
[boot]
kernel = "{kernel}"
initrd = "{initrd}"
cmdline = "console=ttyAMA0 quiet hull.run={mode}"
"""


def image(folder, vms):
    paths = []
    for name, cpus, mode in vms:
        paths.append(os.path.join(folder, name + ".toml"))
        with open(paths[-1], "w", encoding="utf-8") as f:
            f.write(TOML.format(name=name, cpus=cpus, mode=mode, **FILES))
    out = os.path.join(folder, "hull.img")
    subprocess.run([os.environ["HULL_FAST"], "build", "--metal", *paths, "--hypervisor",
                    os.environ["HULL_METAL"], "-w", out], check=True)
    return out


# Machine's CPUs, its VMs, what must be printed.
CASES = [
    ("one CPU", 1, [("one", 1, "smp")], ["hull: cpus 1", "vm 'one' has switched itself off"]),
    ("two CPUs", 2, [("smp", 2, "smp")],
     ["hull: cpu 0 counted 20000", "hull: cpu 1 counted 20000", "vm 'smp' has switched itself off"]),
    ("two VMs", 2, [("a", 1, "smp"), ("b", 1, "smp")],
     ["[a] hull: cpus 1", "[b] hull: cpus 1", "vm 'a' has switched itself off",
      "vm 'b' has switched itself off"]),
    ("two VMs on one CPU", 1, [("a", 1, "smp"), ("b", 1, "smp")],
     ["[a] hull: cpus 1", "[b] hull: cpus 1", "vm 'a' has switched itself off",
      "vm 'b' has switched itself off"]),
]

got = guest.paths("aarch64", None)
FILES = {"kernel": got["KERNEL"], "initrd": got["INITRD"]}
print("1..%d" % len(CASES))
failed = 0
for n, (name, cpus, vms, wanted) in enumerate(CASES, 1):
    with tempfile.TemporaryDirectory() as folder:
        text = _machine.run(image(folder, vms), cpus=cpus, mib=1024, seconds=200)
    missing = [w for w in wanted + ["hull: done, 0 bytes are not back"] if w not in text]
    failed += bool(missing)
    print("%s %d - %s" % ("not ok" if missing else "ok", n, name))
    if missing:
        print("# missing: %s\n# %s" % (missing, text.replace("\n", "\n# ")))
sys.exit(failed > 0)
