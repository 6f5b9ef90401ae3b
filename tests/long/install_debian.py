#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Two whole `hull install debian`, judged by others' tools, logged into, one booted by QEMU.

The second is a plain user's (root becomes one), on qcow2, with a seed for cloud-init.
HULL_VM=FOLDER: do not install, judge what is there (a copy of its disk is used).
"""
# timeout: 14400
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

HULL = os.environ.get("HULL_FAST") or vm.HULL
PATIENCE_S = 900
NOBODY = 65534
tap = vm.Tap()


def install(folder, *more, before=(), env=None):
    p = subprocess.run([*before, HULL, "install", "debian", "box", "--into", folder, *more, "--json"],
                       env=dict(os.environ, **(env or {})), capture_output=True, text=True, timeout=5400, stdin=subprocess.DEVNULL, check=False)
    try:
        doc = json.loads(p.stdout)
    except ValueError:
        doc = {}
    phases = re.findall(r'"phase":"([^"]+)","elapsed_ns":(\d+),"ended":true', p.stderr)
    for name, ns in phases:
        print("# %-12s %6.1f s" % (name, int(ns) / 1e9))
    return tap.check(p.returncode == 0 and doc.get("proved") is True and os.path.exists(folder + "/hull.toml"),
                     "hull install debian " + " ".join(more), p.stdout + p.stderr[-3000:])


def credentials(folder):
    path = folder + "/credentials"
    tap.check(os.stat(path).st_mode & 0o777 == 0o600, "credentials are for their owner only")
    with open(path, encoding="utf-8") as f:
        return dict(line.rstrip("\n").split(" ", 1) for line in f)


def debugfs(image, command):
    return subprocess.run(["debugfs", "-R", command, image], capture_output=True, text=True, check=False).stdout


def judge_disk(disk, work):
    image = work + "/root.img"
    check = subprocess.run(["sfdisk", "--verify", disk], capture_output=True, text=True, check=False)
    tap.check(check.returncode == 0 and "No errors" in check.stdout + check.stderr, "sfdisk finds no error in the table",
              check.stdout + check.stderr)
    part = json.loads(subprocess.run(["sfdisk", "-J", disk], capture_output=True, check=True).stdout)["partitiontable"]["partitions"][0]
    subprocess.run(["dd", "if=" + disk, "of=" + image, "bs=1M", "skip=%d" % (part["start"] // 2048),
                    "count=%d" % (part["size"] // 2048), "conv=sparse", "status=none"], check=True)
    fsck = subprocess.run(["e2fsck", "-fn", image], capture_output=True, text=True, check=False)
    tap.check(fsck.returncode == 0, "e2fsck finds nothing to do", fsck.stdout + fsck.stderr)
    status = debugfs(image, "cat /var/lib/dpkg/status")
    states = set(re.findall(r"^Status: (.*)$", status, re.M))
    tap.check(states == {"install ok installed"}, "every package is installed", states)
    for name in ("openssh-server", "sudo", "linux-image-riscv64"):
        tap.check(re.search("^Package: %s$" % name, status, re.M), "package " + name)
    listing = debugfs(image, "ls -p /usr/sbin")
    tap.check("policy-rc.d" not in listing, "nothing keeps services from starting")
    tap.check("hull" not in debugfs(image, "ls -p /") + debugfs(image, "ls -p /etc/systemd/system"), "nothing of the installation is left")
    os.unlink(image)


def log_in(guest, who, commands):
    """On the console; returns what each command printed, or None."""
    if not guest.expect(r"login: $", PATIENCE_S):
        return None
    guest.send(who["user"] + "\n")
    guest.expect(r"Password: $", 60)
    guest.send(who["password"] + "\n")
    if not guest.expect(r"\$ $", 120):
        return None
    guest.send("stty -echo; export PS1= LC_ALL=C; systemctl is-system-running --wait; echo re''ady\n")
    guest.expect(r"^ready$", 300)
    said = []
    for i, command in enumerate(commands):
        guest.send("echo be''gin%d; %s; echo en''d%d\n" % (i, command, i))
        m = guest.expect(r"^begin%d\n([\s\S]*?)^end%d$" % (i, i), 120)
        said.append(m[1].strip() if m else None)
    return said


def cold_boot(folder, who):
    """IN-2: a fresh process, login on the console and by ssh."""
    guest = vm.Vm(folder + "/hull.toml", "--exit-on", "panic", hull=HULL)
    said = log_in(guest, who, ["uname -m", "dpkg --audit", "systemctl is-system-running", "hostname", "date +%Z", "less --version | head -1"])
    tap.check(said and said[:4] == ["riscv64", "", "running", "box"] and said[4] in ("CET", "CEST") and (said[5] or "").startswith("less "),
              "login on the console: riscv64, nothing to audit, running", "%s\n%s" % (said, guest.story()))
    return guest


def ssh(folder, who, *command):
    port = re.search(r'publish = \["[^"]*?(\d+):22"', open(folder + "/hull.toml", encoding="utf-8").read())
    if not port or "key" not in who:
        return None
    args = ["ssh", "-F", "/dev/null", "-p", port[1], "-i", who["key"], "-o", "BatchMode=yes", "-o", "ConnectTimeout=30",
            "-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + folder + "/known_hosts", who["user"] + "@127.0.0.1", *command]
    return subprocess.run(args, capture_output=True, text=True, timeout=180, stdin=subprocess.DEVNULL, check=False)


def by_ssh(folder, who, host="box"):
    if not shutil.which("ssh"):
        tap.skip("login by ssh", "no ssh here")
        return
    done = ssh(folder, who, "uname -m; id -un; hostname")
    tap.check(done is not None and done.returncode == 0 and done.stdout.split() == ["riscv64", who["user"], host],
              "login by ssh with the key, host key known: a command runs", done and done.stdout + done.stderr)


def switch_off(guest, who):
    guest.send("sudo -p sudo-pass''word: poweroff\n")
    guest.expect("sudo-password:", 60)
    guest.send(who["password"] + "\n")
    tap.check(guest.end(300) == 0, "it switches off in good order", guest.story())


def by_qemu(folder, work, who):
    """IN-3: the same disk boots under QEMU."""
    if not shutil.which("qemu-system-riscv64"):
        tap.skip("the same disk under QEMU", "no qemu-system-riscv64 here")
        return
    with open(folder + "/hull.toml", encoding="utf-8") as f:
        append = re.search(r'^cmdline = "(.*)"$', f.read(), re.M)[1]
    disk = work + "/disk.raw"
    subprocess.run(["cp", "--sparse=always", folder + "/disk.raw", disk], check=True)
    guest = vm.Vm("-machine", "virt", "-nographic", "-m", "1G", "-smp", "2", "-kernel", folder + "/vmlinuz", "-initrd", folder + "/initrd.img",
                  # A busy machine must not make systemd give up waiting for the console.
                  "-append", append + " systemd.default_device_timeout_sec=900", "-drive", "file=%s,format=raw,if=virtio" % disk, hull="qemu-system-riscv64", run=False)
    said = log_in(guest, who, ["uname -m", "systemctl is-system-running"])
    tap.check(said == ["riscv64", "running"], "the same disk boots and runs under QEMU", "%s\n%s" % (said, guest.story()))
    guest.stop()
    os.unlink(disk)


def plain_user(work):
    """Without root, on qcow2, and the guest follows the seed."""
    home = work + "/home"
    os.mkdir(home)
    with open(home + "/user-data", "w", encoding="utf-8") as f:
        f.write("#cloud-config\nhostname: seeded\nwrite_files:\n  - path: /etc/seen\n    content: by cloud-init\n")
    before, env = (), {"HOME": home, "XDG_CACHE_HOME": home + "/cache", "XDG_DATA_HOME": home + "/data"}
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            tap.skip("an installation by a plain user", "no setpriv here")
            return
        global HULL
        os.chmod(work, 0o711)
        HULL = shutil.copy(HULL, home + "/hull")
        os.chown(home, NOBODY, NOBODY)
        before = ("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups")
    folder = home + "/box"
    if not install(folder, "--format", "qcow2", "--user-data", home + "/user-data", before=before, env=env):
        return
    who = credentials(folder)
    check = subprocess.run(["qemu-img", "check", "-f", "qcow2", folder + "/disk.qcow2"], capture_output=True, text=True, check=False)
    tap.check(check.returncode == 0 and not os.path.exists(folder + "/disk.raw"), "qemu-img finds the disk sound", check.stdout + check.stderr)
    tap.check(os.stat(folder + "/disk.qcow2").st_mode & 0o777 == 0o600, "the disk is for its owner only")
    guest = vm.Vm(folder + "/hull.toml", "--exit-on", "panic", hull=HULL)
    said = log_in(guest, who, ["cloud-init status --wait | tail -1", "cat /etc/seen", "hostname"])
    tap.check(said == ["status: done", "by cloud-init", "seeded"], "cloud-init has done what the seed says", "%s\n%s" % (said, guest.story()))
    by_ssh(folder, who, "seeded")
    switch_off(guest, who)
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", folder + "/disk.qcow2", work + "/disk.raw"], check=True)
    judge_disk(work + "/disk.raw", work)


def main():
    vm.need("apt-get", "dpkg-deb", "e2fsck", "debugfs", "sfdisk")
    with tempfile.TemporaryDirectory(dir=os.environ.get("HULL_WORK")) as work:
        folder = os.environ.get("HULL_VM") or work + "/box"
        begun = time.monotonic()
        if not os.environ.get("HULL_VM") and not install(folder, "--packages", "less", "--hostname", "box", "--timezone", "Europe/Berlin"):
            return tap.end()
        print("# installed and proved in %.0f s" % (time.monotonic() - begun), flush=True)
        who = credentials(folder)
        judge_disk(folder + "/disk.raw", work)
        guest = cold_boot(folder, who)
        by_ssh(folder, who)
        switch_off(guest, who)
        judge_disk(folder + "/disk.raw", work)
        by_qemu(folder, work, who)
        if not os.environ.get("HULL_VM"):
            shutil.rmtree(folder)
            plain_user(work)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
