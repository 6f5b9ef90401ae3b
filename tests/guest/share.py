#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""A shared directory in a Linux guest: a tree both ways, names, locks, attributes, read-only, and
nothing left behind, neither after umount nor after a sudden end."""
# timeout: 900
import fcntl
import hashlib
import os
import random
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

FILES = 2000
COMPILER = "riscv64-linux-gnu-gcc"
MOUNT = "mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144%s %s %s || echo 'hull: cannot mount'\n"

TREE = "mkdir /a /b\n" + MOUNT % ("", "tree", "/a") + MOUNT % ("", "ro", "/b") + """
echo "hull: mounted"
cd /a/src && find . -type f | sort | xargs sha256sum | sha256sum | sed 's/^/hull: sum /'
cp -r /a/src /a/copy && (cd /a/copy && find . -type f | sort | xargs sha256sum | sha256sum | sed 's/^/hull: copy /')
cp -r /a/src /tmp/src && cp -r /tmp/src /a/back
find /a/src | wc -l | sed 's/^/hull: found /'
cd /a
echo one >names && echo two >>names && mv names renamed && ln -s renamed link && ln renamed hard
cat link hard | tr '\\n' ' ' | sed 's/^/hull: text /'; echo
: >renamed; [ -s hard ] || echo "hull: truncated"
mkdir -p dir/sub && mv dir moved && rmdir moved/sub && rm -r moved link hard renamed
ls -a /a | tr '\\n' ' ' | sed 's/^/hull: left /'; echo
ln -s /etc/passwd absolute && readlink absolute | sed 's/^/hull: target /'; rm absolute
mknod null c 1 3 2>/dev/null || echo "hull: no device"
mkfifo pipe && rm pipe && echo "hull: pipe"
chown 5 back 2>/dev/null || echo "hull: no chown"
cat /a/out-link/secret 2>/dev/null || echo "hull: no way out"
touch /b/new 2>/dev/null || echo "hull: read-only"
rm /b/file 2>/dev/null || echo "hull: not removed"
echo x 2>/dev/null >/b/file || echo "hull: not written"
cat /b/file
cd /; umount /a && umount /b && echo "hull: unmounted"
read -r line
"""

HOLD = "mkdir /a\n" + MOUNT % ("", "tree", "/a") + "/hold /a/locked\n"

HOLDER = r"""
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(argv[1], O_RDWR | O_CREAT, 0600);
	char buf[16];

	if (fsetxattr(fd, "user.hull", "kept", 4, 0) == 0 && fgetxattr(fd, "user.hull", buf, 16) == 4 && !memcmp(buf, "kept", 4))
		printf("hull: attribute\n");
	printf(fcntl(fd, F_SETLK, &l) ? "hull: not locked\n" : "hull: locked\n");
	fflush(stdout);
	return pause();
}
"""


def make_tree(top, chance):
    for number in range(FILES):
        folder = os.path.join(top, "d%d" % (number % 20), "e%d" % (number % 7))
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "file%d" % number), "wb") as f:
            f.write(chance.randbytes(chance.choice((0, 10, 1000, 5000))))
    with open(os.path.join(top, "large"), "wb") as f:
        f.write(chance.randbytes(3 << 20))


def tree_sum(top):
    """As find -type f | sort | xargs sha256sum | sha256sum does it."""
    paths = sorted(os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names)
    total = hashlib.sha256()
    for path in sorted("./" + os.path.relpath(p, top) for p in paths):
        with open(os.path.join(top, path), "rb") as f:
            total.update(("%s  %s\n" % (hashlib.sha256(f.read()).hexdigest(), path)).encode())
    return total.hexdigest()


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def tree(tap, folder, chance):
    share, ro = os.path.join(folder, "share"), os.path.join(folder, "ro")
    os.makedirs(os.path.join(share, "src"))
    os.makedirs(ro)
    make_tree(os.path.join(share, "src"), chance)
    with open(os.path.join(ro, "file"), "w", encoding="utf-8") as f:
        f.write("hull: kept\n")
    os.mkdir(os.path.join(folder, "out"))
    with open(os.path.join(folder, "out", "secret"), "w", encoding="utf-8") as f:
        f.write("hull: way out\n")
    os.symlink("../out", os.path.join(share, "out-link"))
    wanted = tree_sum(os.path.join(share, "src"))
    m = vm.Vm(*vm.linux(folder, TREE, modules=["9p", "9pnet_virtio"]), *vm.cmdline(), "--memory", "256M",
              "--share", share + ":tree", "--share", ro + ":ro,ro", "--exit-on", "panic")
    mounted = m.expect("hull: mounted")
    before = descriptors(m.process.pid)
    done = m.expect("hull: unmounted")
    after = descriptors(m.process.pid)
    m.send("\n")
    code = m.end()
    tap.check(mounted and done and code == 0, "a guest mounts two shares", m.story())
    tap.check("hull: sum " + wanted in m.out, "reads %d files as they are" % FILES, m.story())
    tap.check("hull: copy " + wanted in m.out, "and reads back what it copied", m.story())
    for name in ("copy", "back"):
        there = tree_sum(os.path.join(share, name)) if os.path.isdir(os.path.join(share, name)) else ""
        tap.check(there == wanted, "the host finds the same in " + name, m.story())
    tap.check("hull: text one two one two" in m.out and "hull: truncated" in m.out
              and re.search(r"hull: left \.( \.\.)? back copy out-link src ?$", m.out, re.M),
              "names are made, changed and removed", m.story())
    for what in ("no device", "pipe", "no chown", "no way out", "target /etc/passwd"):
        tap.check("hull: " + what in m.out, what, m.story())
    tap.check(all("hull: " + t in m.out for t in ("read-only", "not removed", "not written", "kept")),
              "a read-only share refuses writes", m.story())
    # The two roots are held from mount to umount.
    tap.check(after <= before, "umount gives descriptors back", "%d, then %d" % (before, after))


def build_holder(folder):
    source, program = os.path.join(folder, "hold.c"), os.path.join(folder, "hold")
    with open(source, "w", encoding="utf-8") as f:
        f.write(HOLDER)
    subprocess.run([COMPILER, "-O1", "-static", "-o", program, source], check=True)
    return program


def can_lock(path):
    with open(path, "a", encoding="utf-8") as f:
        try:
            fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            return False


def sudden_end(tap, folder):
    share = os.path.join(folder, "share2")
    os.mkdir(share)
    pieces, initrd = vm.guest.paths(vm.ARCH, None), os.path.join(folder, "hold.gz")
    script = os.path.join(folder, "hold.sh")
    vm.guest.write_whole(script, HOLD.encode())
    vm.guest.write_whole(initrd, vm.guest.make_initramfs(
        vm.ARCH, modules=["9p", "9pnet_virtio"], files=[script + ":/script", build_holder(folder) + ":/hold"]))
    m = vm.Vm("--kernel", pieces["KERNEL"], "--initrd", initrd, *vm.cmdline(), "--memory", "256M",
              "--share", share + ":tree", "--exit-on", "panic")
    locked = m.expect("hull: locked")
    path = os.path.join(share, "locked")
    tap.check(locked and not can_lock(path), "a guest's lock holds on the host", m.story())
    tap.check("hull: attribute" in m.out and os.getxattr(path, "user.hull") == b"kept",
              "extended attributes go both ways", m.story())
    m.stop()
    tap.check(can_lock(path), "a lock goes with hull")


def main():
    vm.need(COMPILER)
    tap = vm.Tap()
    seed = random.randrange(1 << 32)
    print("# seed %d" % seed)
    with tempfile.TemporaryDirectory() as folder:
        tree(tap, folder, random.Random(seed))
        sudden_end(tap, folder)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
