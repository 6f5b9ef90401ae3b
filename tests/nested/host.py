#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The emulated KVM hosts themselves: each has KVM, starts hull, and says how a command ended."""
# timeout: 3000
import re
import sys

import _host

SCRIPT = """
[ -c /dev/kvm ] && echo "has kvm on $(uname -m)"
hull version || exit 2
echo "guest $(ls /guest | tr '\\n' ' ')"
echo "$WORD" | tr a-z A-Z
exit 7
"""


def check(tap, arch):
    why = _host.missing(arch)
    if why:
        tap.skip(arch, why)
        return
    result = _host.run(arch, "WORD=$(cat /etc/word)\n" + SCRIPT,
                       files=[("/etc/word", b"quiet", 0o644)])
    told, story = _host.nested.text_of(result), _host.story(result)
    tap.check("has kvm on " + arch in told, arch + ": KVM", story)
    tap.check(re.search(r"^hull \d", told, re.M), arch + ": hull starts", story)
    tap.check("guest Image initramfs.gz" in told, arch + ": a guest", story)
    tap.check("QUIET" in told and result.status == 7, arch + ": files and exit code", story)


def check_ends(tap):
    """The runner stops on a line, and in time."""
    stopped = _host.run("x86_64", "echo counting; seq 5; sleep 1000", until="^4$")
    tap.check(stopped.stopped and stopped.status == 0, "ends on a line", _host.story(stopped))
    late = _host.run("x86_64", "echo never seen in time", timeout=0.5)
    tap.check(late.status == _host.nested.TIMED_OUT, "ends in time", _host.story(late))


if __name__ == "__main__":
    results = _host.Tap()
    for name in sorted(_host.nested.MODELS):
        check(results, name)
    if not _host.missing("x86_64"):
        check_ends(results)
    sys.exit(results.end())
