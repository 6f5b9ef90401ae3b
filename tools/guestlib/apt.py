# SPDX-License-Identifier: MIT OR Apache-2.0
"""Debian packages of another architecture, without touching the machine's own apt.

A private apt root (its own lists, cache and empty dpkg status) is made for one
use and thrown away.  Where packages come from is what the machine's own sources
say; their signatures are checked with Debian's archive keyring as usual.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import time

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class AptError(Exception):
    """A failure with a text for the user."""


def source_entries(folder="/etc/apt"):
    """(uri, suite, components) of each enabled binary source of this machine."""
    paths = [folder + "/sources.list"] + sorted(glob.glob(folder + "/sources.list.d/*.list"))
    for path in filter(os.path.exists, paths):
        with open(path, encoding="utf-8") as f:
            for line in f:
                m = re.match(r"\s*deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+([^#]*)", line)
                if m:
                    yield m[1], m[2], m[3].split()
    for path in sorted(glob.glob(folder + "/sources.list.d/*.sources")):
        with open(path, encoding="utf-8") as f:
            text = "".join(line for line in f if not line.startswith("#"))
        for stanza in re.split(r"\n\s*\n", text):
            fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*(?:\n[ \t]+.*)*)", stanza, re.M))
            fields = {k.lower(): v.split() for k, v in fields.items()}
            if "deb" not in fields.get("types", []) or fields.get("enabled") == ["no"]:
                continue
            for uri in fields.get("uris", []):
                for suite in fields.get("suites", []):
                    yield uri, suite, fields.get("components", [])


def mirror():
    """The address of the Debian archive that this machine uses."""
    codename = ""
    with open("/etc/os-release", encoding="utf-8") as f:
        m = re.search(r"^VERSION_CODENAME=(\w+)", f.read(), re.M)
        codename = m[1] if m else ""
    names = (codename, "stable", "testing", "sid", "unstable")
    for uri, suite, components in source_entries():
        if suite in names and "main" in components and not uri.startswith("cdrom:"):
            return uri
    raise AptError(
        "this machine's apt sources name no Debian archive; "
        "add one to /etc/apt/sources.list.d/debian.sources"
    )


def machine_settings():
    """Proxy and similar transport settings of this machine, as apt.conf lines."""
    out = subprocess.run(
        ["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True
    ).stdout
    keep = r"^Acquire::(https?|Retries|Check-Date|Check-Valid-Until|ForceIPv\d)\b.*[^\"]\";$"
    return "\n".join(line for line in out.splitlines() if re.match(keep, line))


class Line:
    """One line of progress, rewritten on a terminal; whole lines now and then elsewhere."""

    def __init__(self, label):
        self.label, self.shown = label, ""
        self.tty = sys.stderr.isatty()
        self.start = self.last = time.monotonic()
        self.put("")

    def put(self, note, end=""):
        text = "%s %s" % (self.label, note) if note else self.label
        if text == self.shown:
            return
        sys.stderr.write("\r\033[K%s%s" % (text[:78], end) if self.tty else text + "\n")
        sys.stderr.flush()
        self.shown = text

    def percent(self, value):
        if self.tty or time.monotonic() - self.last > 15:
            self.last = time.monotonic()
            self.put("%3d%%" % value)

    def done(self):
        self.put("done, %.1f s" % (time.monotonic() - self.start), "\n" if self.tty else "")

    def broken(self):
        if self.tty:
            sys.stderr.write("\n")


class Apt:
    """A private apt for one suite and architecture, below `root` (the caller removes it)."""

    def __init__(self, root, suite, arch):
        self.root = os.path.abspath(root)
        for tool, package in (("apt-get", "apt"), ("dpkg-deb", "dpkg")):
            if not shutil.which(tool):
                raise AptError("%s is missing: guests are fetched as Debian packages "
                               "(package %s)" % (tool, package))
        if not os.path.exists(KEYRING):
            raise AptError("Debian's archive keys are missing: install debian-archive-keyring")
        for d in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d",
                  "etc/apt.conf.d", "etc/sources.list.d", "deb"):
            os.makedirs(os.path.join(self.root, d))
        self.write("status", "")
        self.write("etc/sources.list", "deb [signed-by=%s] %s %s main\n" % (KEYRING, mirror(), suite))
        self.write("apt.conf", """%s
APT::Architecture "%s";
APT::Architectures { "%s"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir "%s";
Dir::State "%s/state";
Dir::State::status "%s/status";
Dir::Cache "%s/cache";
Dir::Etc "%s/etc";
Dir::Etc::netrc "/etc/apt/auth.conf";
Dir::Etc::netrcparts "/etc/apt/auth.conf.d";
""" % ((machine_settings(), arch, arch) + (self.root,) * 5))
        self.env = dict(os.environ, APT_CONFIG=os.path.join(self.root, "apt.conf"), LC_ALL="C")

    def write(self, name, text):
        with open(os.path.join(self.root, name), "w", encoding="utf-8") as f:
            f.write(text)

    def run(self, label, *args):
        """apt-get ARGS, with its progress reduced to one line."""
        line = Line(label)
        read, write = os.pipe()
        with open(os.path.join(self.root, "log"), "w+", encoding="utf-8") as log:
            process = subprocess.Popen(
                ["apt-get", "-q", "-o", "APT::Status-Fd=%d" % write, *args], env=self.env,
                cwd=os.path.join(self.root, "deb"), pass_fds=[write], stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT)
            os.close(write)
            with os.fdopen(read, encoding="utf-8", errors="replace") as status:
                for report in status:
                    m = re.match(r"dlstatus:[^:]*:(\d+)", report)
                    if m:
                        line.percent(int(m[1]))
            if process.wait():
                line.broken()
                log.seek(0)
                raise AptError("apt-get %s failed:\n%s" % (args[0], log.read().strip()))
        line.done()

    def update(self):
        self.run("reading the package lists", "update", "--error-on=any")

    def resolve(self, meta, pattern):
        """The package that `meta` depends on and whose name matches `pattern`."""
        out = subprocess.run(["apt-cache", "depends", meta], env=self.env, capture_output=True,
                             text=True, check=False).stdout
        names = re.findall(r"Depends: (%s)$" % pattern, out, re.M)
        if not names:
            raise AptError("package %s depends on no %s" % (meta, pattern))
        return names[-1]

    def download(self, name):
        """Fetch one package; returns the path of its file."""
        self.run("fetching " + name, "download", name)
        files = glob.glob(os.path.join(self.root, "deb", name + "_*.deb"))
        if len(files) != 1:
            raise AptError("apt-get download %s left no package" % name)
        return files[0]

    def download_all(self, names):
        """Fetch packages and all that they depend on; returns the paths of their files."""
        self.run("fetching " + " ".join(names), "install", "--download-only", "--no-install-recommends",
                 "--yes", *names)
        return sorted(glob.glob(os.path.join(self.root, "cache/archives/*.deb")))
