# SPDX-License-Identifier: MIT OR Apache-2.0
"""The hypervisor's image on an emulated machine."""
import os
import select
import subprocess
import time

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


def image(folder, vms, toml, out="hull.img"):
    """An image of VMs: [(name, {key: value for `toml`})]; returns its path."""
    paths = []
    for name, values in vms:
        paths.append(os.path.join(folder, name + ".toml"))
        with open(paths[-1], "w", encoding="utf-8") as f:
            f.write(toml.format(name=name, **values))
    out = os.path.join(folder, out)
    subprocess.run([os.environ["HULL_FAST"], "build", "--metal", *paths, "--hypervisor",
                    os.environ["HULL_METAL"], "-w", out], check=True)
    return out


class Session:
    """A machine whose console is talked to."""

    def __init__(self, image, cpus=1, mib=1024, more=()):
        command = [QEMU, "-M", "virt,virtualization=on,gic-version=3", "-cpu", "cortex-a72", "-smp",
                   str(cpus), "-m", str(mib), "-display", "none", "-serial", "stdio", "-monitor",
                   "none", "-no-reboot", "-kernel", image, *more]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.text, self.seen = "", 0

    def send(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def expect(self, text, seconds=120):
        """Wait for text behind what was found last; returns what came before it."""
        end = time.monotonic() + seconds
        while True:
            at = self.text.find(text, self.seen)
            if at >= 0:
                before = self.text[self.seen:at]
                self.seen = at + len(text)
                return before
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise SystemExit("no %r in:\n%s" % (text, self.text[self.seen:]))
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise SystemExit("the machine ended before %r:\n%s" % (text, self.text[self.seen:]))
            self.text += data.decode(errors="replace").replace("\r", "")

    def end(self, seconds=60):
        """The rest of what it prints until it switches itself off."""
        try:
            rest = self.process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            self.kill()
            raise SystemExit("the machine does not stop:\n" + self.text[self.seen:]) from None
        self.text += rest.decode(errors="replace").replace("\r", "")
        return self.text[self.seen:]

    def kill(self):
        self.process.kill()
        self.process.wait()
