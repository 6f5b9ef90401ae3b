#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""`hull install debian`, all but the long part: plans, refusals, an image nobody can run yet, and
being stopped at any moment.  tests/long/install_debian.py does a whole installation."""
# timeout: 900
import fcntl
import glob
import json
import os
import pty
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

HULL = os.environ.get("HULL_FAST") or vm.HULL
tap = vm.Tap()


def hull(*args, env=None, within=300, cwd=None):
    p = subprocess.run([HULL, *args], capture_output=True, text=True, timeout=within, cwd=cwd,
                       stdin=subprocess.DEVNULL, env=dict(os.environ, **(env or {})), check=False)
    return p.returncode, p.stdout, p.stderr


def remains(folder):
    """What is in a folder that should be empty."""
    return [os.path.join(d, f) for d, _, files in os.walk(folder) for f in files]


def refusals(folder):
    """Every error of this command that needs no network, with its number and exit code."""
    os.mkdir(folder + "/there")
    with open(folder + "/no-key", "w", encoding="utf-8") as f:
        f.write("this is no key\n")
    bin_only = folder + "/bin"
    os.mkdir(bin_only)
    rows = [
        ("no system", [], 2, "E0002"),
        ("another system", ["windows"], 13, "E0601"),
        ("another method", ["debian", "--method", "unattended"], 13, "E0601"),
        ("an option of a later version", ["debian", "--layout", "lvm"], 13, "E0601"),
        ("unknown option, with a guess", ["debian", "--hostnam", "x"], 2, "E0001"),
        ("a value is missing", ["debian", "--user"], 2, "E0002"),
        ("unknown architecture", ["debian", "--arch", "mips"], 2, "E0006"),
        ("no riscv64 in bookworm", ["debian-12"], 3, "E0605"),
        ("unknown format", ["debian", "--format", "vmdk"], 2, "E0006"),
        ("disk too small", ["debian", "--disk", "100M"], 8, "E0609"),
        ("no size", ["debian", "--disk", "big"], 2, "E0003"),
        ("memory too small", ["debian", "--memory", "64M"], 2, "E0618"),
        ("impossible user", ["debian", "--user", "a'b"], 2, "E0615"),
        ("root is no user", ["debian", "--user", "root"], 2, "E0615"),
        ("impossible host name", ["debian", "--hostname", "-x"], 2, "E0615"),
        ("impossible time zone", ["debian", "--timezone", "../../etc/passwd"], 2, "E0615"),
        ("impossible mirror", ["debian", "--mirror", "file:///etc"], 2, "E0615"),
        ("the folder is there", ["debian", "--into", folder + "/there"], 4, "E0603"),
        ("not a key", ["debian", "--into", folder + "/x", "--ssh-key", folder + "/no-key"], 2, "E0615"),
        ("no such key", ["debian", "--into", folder + "/x", "--ssh-key", folder + "/none"], 3, "E0220"),
    ]
    for name, args, code, number in rows:
        got, _, err = hull("install", *args)
        tap.check(got == code and number in err ,
                  "refused: " + name, "%s\n%s" % (got, err))
    got, _, err = hull("install", "debian", "--into", folder + "/x", env={"PATH": bin_only})
    tap.check(got == 6 and "E0602" in err and "apt-get install apt" in err, "a missing tool is named with its package", err)
    got, _, err = hull("install", "debian", "--into", folder + "/x", "--packages", "--download", env={})
    tap.check(got == 3 and "E0605" in err, "no option can be passed off as a package", err)
    tap.check(not os.path.exists(folder + "/x") and not glob.glob(folder + "/.*"), "refusals leave nothing", os.listdir(folder))
    squatters(folder)


def squatters(folder):
    """Folders that somebody else has made under a name that can be foreseen, and homes that anybody could make."""
    os.mkdir(folder + "/precious")
    os.symlink(folder + "/precious", folder + "/.mine.installing")
    got, _, err = hull("install", "debian", "--into", folder + "/mine")
    tap.check(got and "E0610" in err and os.path.islink(folder + "/.mine.installing") and not remains(folder + "/precious"),
              "a link in the place of the work folder is left alone", err)
    if os.geteuid() == 0:
        os.mkdir(folder + "/.theirs.installing")
        os.chown(folder + "/.theirs.installing", 65534, 65534)
        got, _, err = hull("install", "debian", "--into", folder + "/theirs")
        tap.check(got and "E0610" in err and not os.listdir(folder + "/.theirs.installing"),
                  "another user's folder is not used for work", err)
    got, _, err = hull("install", "debian", env={"HOME": "", "XDG_DATA_HOME": "", "XDG_CACHE_HOME": ""})
    tap.check(got and "E0610" in err and "fix:" in err, "without a home nothing is put into /tmp", err)


def terminal(folder, *lines, stop=False):
    """A password is asked for; returns the exit code, what the terminal showed, and whether it echoes again."""
    parent, child = pty.openpty()
    p = subprocess.Popen([HULL, "install", "debian", "x", "--into", folder + "/x", "--password", "prompt", "--mirror", "http://127.0.0.1:9/x"],
                         stdin=child, stdout=child, stderr=child, start_new_session=True,
                         preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    shown = b""

    def wait(word):
        nonlocal shown
        while word not in shown and select.select([parent], [], [], 30)[0]:
            shown += os.read(parent, 4096)

    for text, word in zip(lines, (b"user: ", b"again: ")):
        wait(word)
        os.write(parent, text)
    if stop:
        wait(b"user: ")
        os.write(parent, b"\x03")
    deadline = time.monotonic() + 60
    while p.poll() is None and time.monotonic() < deadline:
        if select.select([parent], [], [], 0.1)[0]:
            shown += os.read(parent, 4096)
    p.kill()
    code = p.wait()
    while select.select([parent], [], [], 0)[0]:
        shown += os.read(parent, 4096)
    echo = bool(termios.tcgetattr(child)[3] & termios.ECHO)
    os.close(parent)
    os.close(child)
    return code, shown.decode("utf-8", "replace"), echo


def prompts(folder):
    code, shown, echo = terminal(folder, b"secret word\n", b"secret word\n")
    tap.check(code == 10 and "E0604" in shown and "secret" not in shown and echo, "a password is asked for twice, and not shown", "%s %s" % (code, shown))
    code, shown, echo = terminal(folder, b"secret word\n", b"secret ward\n")
    tap.check(code == 2 and "E0615" in shown and echo, "two that differ are refused", "%s %s" % (code, shown))
    code, shown, echo = terminal(folder, stop=True)
    tap.check(code == 130 and echo and not os.listdir(folder), "Ctrl-C ends the question, and the terminal is as before", "%s %s" % (code, shown))
    got, _, err = hull("install", "debian", "--into", folder + "/x", "--password", "prompt", "--no-input")
    tap.check(got == 2 and "E0615" in err, "--no-input: nothing is asked", err)


def full(folder):
    """The host's file system has no room for the disk."""
    small = folder + "/small"
    os.mkdir(small)
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64M", "none", small], capture_output=True, check=False).returncode:
        tap.skip("a full host", "only root can make a small file system")
        return
    try:
        got, _, err = hull("install", "debian", "--into", small + "/deep/x")
        tap.check(got and "E0610" in err and "fix: " in err and not os.listdir(small), "a full host: said so, nothing is left", "%s\n%s" % (os.listdir(small), err))
    finally:
        subprocess.run(["umount", small], check=True)


def network(folder):
    """Mirrors that do not deliver."""
    for name, url in (("nobody there", "http://127.0.0.1:9/debian"), ("no such host", "http://mirror.invalid/debian")):
        got, _, err = hull("install", "debian", "--into", folder + "/deep/er/x", "--mirror", url)
        tap.check(got == 10 and "E0604" in err and "fix:" in err, "mirror: " + name, "%s\n%s" % (got, err))
    tap.check(not os.path.exists(folder + "/deep"), "folders that were made are removed again", remains(folder))


def plan(folder):
    """--dry-run; says whether there is a mirror to test with."""
    got, out, err = hull("install", "debian", "web", "--into", folder + "/web", "--dry-run", "--packages", "less")
    if got == 10:
        tap.skip("dry run", "no mirror here")
        return False
    tap.check(got == 0 and re.search(r"^ *\d+  less_\S+_riscv64\.deb", out, re.M) and "openssh-server_" in out and 'name = "web"' in out,
              "a plan names packages, bytes and hull.toml", out + err)
    got, out, err = hull("install", "debian", "web", "--into", folder + "/web", "--dry-run", "--json")
    try:
        doc = json.loads(out)
    except ValueError:
        doc = {}
    tap.check(got == 0 and doc.get("schema") == "hull.install-plan/1" and doc.get("bytes", 0) > 50 << 20 and len(doc.get("packages", [])) > 100,
              "the plan as JSON", out[:300] + err)
    got, _, err = hull("install", "debian", "--into", folder + "/web", "--dry-run", "--packages", "no-such-package-here")
    tap.check(got == 3 and "E0605" in err and "no-such-package-here" in err, "a package that does not exist is named", err)
    tap.check(os.listdir(folder) == [], "a plan leaves nothing", os.listdir(folder))
    return True


def sectors(disk):
    """(first, count) of the one partition."""
    out = subprocess.run(["sfdisk", "-J", disk], capture_output=True, text=True, check=True).stdout
    part = json.loads(out)["partitiontable"]["partitions"]
    return part[0]["start"], part[0]["size"], len(part)


def carve(disk, to):
    """The partition as a file of its own."""
    start, size, count = sectors(disk)
    subprocess.run(["dd", "if=" + disk, "of=" + to, "bs=1M", "skip=%d" % (start // 2048), "count=%d" % (size // 2048),
                    "conv=sparse", "status=none"], check=True)
    return start, count


def debugfs(image, command):
    return subprocess.run(["debugfs", "-R", command, image], capture_output=True, text=True, check=False).stdout


def unpacked(folder):
    """A disk for x86_64: built, judged by others' tools, and kept although it cannot boot here yet."""
    with open(folder + "/user-data", "w", encoding="utf-8") as f:
        f.write("#cloud-config\nhostname: seed\n")
    got, _, err = hull("install", "debian", "pc", "--arch", "x86_64", "--disk", "2G", "--into", folder + "/pc",
                       "--keep-on-failure", "--user-data", folder + "/user-data")
    kept = folder + "/pc.failed"
    if got == 0:
        tap.skip("an unpacked disk", "this build runs x86_64")
        return
    if not tap.check(got == 13 and "E0613" in err and os.path.isdir(kept), "a guest that cannot run here: said so, disk kept",
                     "%s\n%s" % (got, err)):
        return
    mode = os.stat(kept + "/credentials").st_mode & 0o777
    tap.check(mode == 0o600, "credentials are for their owner only", oct(mode))
    modes = [os.stat(kept + f).st_mode & 0o777 for f in ("", "/disk.raw", "/seed.iso")]
    tap.check(modes == [0o700, 0o600, 0o600], "so is the disk, with its password hashes and host keys", modes)
    tap.check(json.loads(subprocess.run(["sfdisk", "-J", kept + "/disk.raw"], capture_output=True, check=True).stdout)
              ["partitiontable"]["partitions"][0]["type"].upper() == "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
              "sfdisk finds a root partition for x86_64")
    image = folder + "/root.img"
    carve(kept + "/disk.raw", image)
    fsck = subprocess.run(["e2fsck", "-fn", image], capture_output=True, text=True, check=False)
    tap.check(fsck.returncode == 0, "e2fsck finds nothing to do", fsck.stdout + fsck.stderr)
    tap.check("Fast link dest: \"usr/bin\"" in debugfs(image, "stat /bin"), "/bin leads to /usr/bin")
    tap.check(re.search(r"Mode:\s+04755\s[\s\S]*User:\s+0\s+Group:\s+0\s", debugfs(image, "stat /usr/bin/passwd")), "set-user-id programs belong to root",
              debugfs(image, "stat /usr/bin/passwd"))
    status = debugfs(image, "cat /var/lib/dpkg/status")
    states = set(re.findall(r"^Status: (.*)$", status, re.M))
    tap.check(states == {"install ok unpacked"} and "Package: cloud-init" in status, "all packages are unpacked, none configured", states)
    listing = debugfs(image, "ls -p /etc/ssh")
    tap.check("sshd_config.d" in listing, "files of ours are there", listing)
    for name, tool in (("isoinfo", ["isoinfo", "-R", "-x", "/user-data", "-i"]), ("xorriso", None)):
        if not shutil.which(name):
            tap.skip("the seed by " + name, name + " is not installed")
            continue
        if tool:
            seen = subprocess.run([*tool, kept + "/seed.iso"], capture_output=True, text=True, check=False).stdout
        else:
            subprocess.run(["xorriso", "-osirrox", "on", "-indev", kept + "/seed.iso", "-extract", "/", folder + "/seed"],
                           capture_output=True, check=False)
            with open(folder + "/seed/user-data", encoding="utf-8") as f:
                seen = f.read()
        tap.check(seen == "#cloud-config\nhostname: seed\n", "the seed as %s reads it" % name, seen)
    label = subprocess.run(["blkid", "-p", "-o", "value", "-s", "LABEL", kept + "/seed.iso"], capture_output=True, text=True, check=False)
    tap.check(label.stdout.strip() == "CIDATA", "blkid finds the seed's label", label.stdout)
    shutil.rmtree(kept)
    os.unlink(image)


def children(pid):
    out = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return [int(row.split()[0]) for row in out.splitlines() if int(row.split()[1]) == pid]


def stopped(folder, after, number, twice=False):
    """Stop it after some seconds; returns what is wrong."""
    p = subprocess.Popen([HULL, "install", "debian", "x", "--into", folder + "/x"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(after)
    below = children(p.pid)
    p.send_signal(number)
    if twice:
        time.sleep(random.choice((0, 0.001, 0.05)))
        p.send_signal(number)
    err = p.communicate(timeout=60)[1]
    end = time.monotonic() + 10
    while time.monotonic() < end and any(os.path.exists("/proc/%d" % c) for c in below):
        time.sleep(0.1)
    alive = [c for c in below if os.path.exists("/proc/%d" % c)]
    wrong = []
    if number == signal.SIGKILL:
        wrong += [] if p.returncode == -number else ["ended by itself"]
    elif p.returncode not in (128 + number, -number):
        wrong.append("exit code %s" % p.returncode)
    if number != signal.SIGKILL and (p.returncode > 0 or twice) and os.listdir(folder):
        wrong.append("left %s" % os.listdir(folder))
    if alive:
        wrong.append("processes %s are alive" % alive)
    return ", ".join(wrong) + ("\n" + err if wrong else "")


def interruptions(folder):
    """At random moments; the last is no signal that can be caught, and a rerun clears up after it."""
    dice = random.Random(os.environ.get("HULL_SEED") or 1)
    for i in range(6):
        after = dice.uniform(0.05, 25)
        number = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[i % 3]
        wrong = stopped(folder, after, number)
        tap.check(not wrong, "stopped by %s after %.1f s" % (number.name, after), wrong)
    for after in (1, 5, 9, 16):
        wrong = stopped(folder, after, signal.SIGTERM, twice=True)
        tap.check(not wrong, "two signals at once after %d s" % after, wrong)
    wrong = stopped(folder, 12, signal.SIGKILL)
    tap.check(not wrong, "killed: nothing goes on running", wrong)
    got, _, err = hull("install", "debian", "y", "--into", folder + "/y", "--packages", "no-such-package-here")
    tap.check(got == 3 and os.listdir(folder) == [], "the next run clears up after a killed one", "%s %s\n%s" % (got, os.listdir(folder), err))


def main():
    vm.need("apt-get", "dpkg-deb", "e2fsck", "debugfs", "sfdisk")
    with tempfile.TemporaryDirectory() as top:
        os.environ["XDG_DATA_HOME"] = os.path.join(top, "data")  # where the default is

        def folder(name):
            os.mkdir(os.path.join(top, name))
            return os.path.join(top, name)

        refusals(folder("refusals"))
        prompts(folder("prompts"))
        network(folder("network"))
        if plan(folder("plan")):
            unpacked(folder("unpacked"))
            full(folder("full"))
            interruptions(folder("interruptions"))
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
