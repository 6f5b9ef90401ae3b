#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What it takes to build and run Hull's tests for another architecture.

  cross.py ARCH    (aarch64, riscv64) print the path of a folder: cross.ini is a Meson cross file, and the
                      script `run` runs a program under QEMU

Debian's cross compiler and its libc are packages of this machine.  The libraries that the tests
need are not, and QEMU may be too old: before 8.1 it ignores IC IVAU, so that code
which was written through another mapping goes unnoticed.  They are fetched through a private apt
(those of riscv64 from a release that has it, with its libc) into ${XDG_CACHE_HOME:-~/.cache}/hull, once.
"""
import fcntl
import os
import subprocess
import sys
import tempfile

import guest

apt = guest.apt
LAYOUT = 3  # of the cache folder; a change fetches anew

EMULATOR = ("trixie", "qemu-user")  # its programs are static

LIBRARIES = ["libcmocka-dev", "libcmocka0", "libgmp-dev", "libgmp10", "libmpfr-dev", "libmpfr6"]
MACHINES = {
    "aarch64": {"debian": "arm64", "triplet": "aarch64-linux-gnu", "packages": LIBRARIES,
                "system": "/usr/aarch64-linux-gnu"},
    # Debian 12 has a compiler but no libraries; newer ones want symbols of a newer libc.
    "riscv64": {"debian": "riscv64", "triplet": "riscv64-linux-gnu", "suite": "trixie",
                "packages": LIBRARIES + ["libc6", "libgcc-s1"],
                "link": "'-Wl,--allow-shlib-undefined'"},
}

# Debian's cross libraries are not below a root, so the compiler's own paths come first.
CROSS_FILE = """\
[binaries]
c = '{triplet}-gcc'
ar = '{triplet}-ar'
strip = '{triplet}-strip'
pkgconfig = 'pkg-config'
exe_wrapper = '{root}/run'

[host_machine]
system = 'linux'
cpu_family = '{arch}'
cpu = '{arch}'
endian = 'little'

[properties]
sys_root = '{root}'
pkg_config_libdir = '{root}/usr/lib/{triplet}/pkgconfig'

[built-in options]
c_args = ['-isystem', '{root}/usr/include/{triplet}']
c_link_args = [{link}]
"""

RUN = """\
#!/bin/sh
exec {root}/qemu-{arch} -L {system} -E LD_LIBRARY_PATH={root}/usr/lib/{triplet} "$@"
"""


def codename():
    """The release of this machine, whose libc the libraries have to fit."""
    with open("/etc/os-release", encoding="utf-8") as f:
        for line in f:
            if line.startswith("VERSION_CODENAME="):
                return line.partition("=")[2].strip().strip('"')
    raise apt.AptError("/etc/os-release names no release of Debian")


def fetch(arch, out):
    machine = MACHINES[arch]
    with tempfile.TemporaryDirectory(prefix=".fetch-cross-", dir=os.path.dirname(out)) as work:
        new = os.path.join(work, "new")
        packages = apt.Apt(os.path.join(work, "apt"), machine.get("suite", codename()),
                           machine["debian"])
        packages.update()
        for name in machine["packages"]:
            subprocess.run(["dpkg-deb", "-x", packages.download(name), new], check=True)
        if "system" not in machine:
            os.symlink("usr/lib", os.path.join(new, "lib"))
        suite, package = EMULATOR
        here = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True,
                              text=True).stdout.strip()
        packages = apt.Apt(os.path.join(work, "apt-emulator"), suite, here)
        packages.update()
        program = "qemu-" + arch
        guest.unpack(packages.download(package), lambda n: os.path.join(new, program)
                     if n == "./usr/bin/" + program else None)
        for name, text in (("cross.ini", CROSS_FILE), ("run", RUN)):
            text = text.format(arch=arch, triplet=machine["triplet"], root=out,
                               link=machine.get("link", ""), system=machine.get("system", out))
            guest.write_whole(os.path.join(new, name), text.encode())
        os.chmod(os.path.join(new, "run"), 0o755)
        os.rename(new, out)


def ensure(arch):
    """The folder; its contents are fetched if they are not there."""
    out = os.path.join(guest.cache_folder(), "cross-%s-%s-%d" % (arch, codename(), LAYOUT))
    if not os.path.isdir(out):
        os.makedirs(os.path.dirname(out), exist_ok=True)
        with open(out + ".lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.isdir(out):
                fetch(arch, out)
    return out


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in MACHINES:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        print(ensure(sys.argv[1]))
    except (apt.AptError, subprocess.CalledProcessError, OSError) as e:
        print("cross.py: %s" % e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
