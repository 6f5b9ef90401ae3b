# SPDX-License-Identifier: MIT OR Apache-2.0
"""What tests on emulated KVM hosts share.  A test is a few lines:

    import _host
    tap = _host.Tap()
    result = _host.run("x86_64", "hull run ... && echo good")
    tap.check(result.status == 0, "x86_64: it is good", _host.story(result))
    sys.exit(tap.end())
"""
import os
import shutil
import sys

ROOT = os.environ["HULL_SOURCE"]
sys.path[:0] = [os.path.join(ROOT, "tools"), os.path.join(ROOT, "tests", "support")]
import nested  # noqa: E402
from vm import Tap  # noqa: E402,F401

PATIENCE_S = 900  # two guests, one inside the other, on a machine that has other work


def hull(arch):
    """The program for an architecture, or None."""
    path = os.environ.get("HULL_" + arch.upper(), "")
    return path if os.access(path, os.X_OK) else None


def missing(arch):
    """Why no host of this architecture can be made, or None."""
    if not hull(arch):
        return "hull is not built for " + arch
    if not shutil.which(nested.MODELS[arch].emulator):
        return nested.MODELS[arch].emulator + " is not installed"
    return None


def run(arch, script, until=None, timeout=PATIENCE_S, **host):
    return nested.Host(arch, hull=hull(arch), **host).run(script, until, timeout)


def story(result):
    return "exit code %s after %.1f s\n%s" % (result.status, result.seconds, nested.text_of(result))
