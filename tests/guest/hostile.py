#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Guests that mean harm (tests/guest/hostile): hull ends when it is told to, or with the reason; it never dies by a guest's hand."""
# timeout: 300
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time

import _micro
import micro

FOLDER = os.path.join(os.environ["HULL_SOURCE"], "tests/guest/hostile")
READY_S, END_S, FOR_S = 60, 20, 1
ENDLESS = ("spin", "flood")


def start(runner, test, image):
    return subprocess.Popen([micro.HULL, "run", image, "--memory", "64M", "--cpus", _micro.cpus(test, FOLDER), "--no-input",
                             "--net", "none", *micro.RUNNERS[runner][1]],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(process, word):
    seen, end = b"", time.monotonic() + READY_S
    while word not in seen and time.monotonic() < end:
        if select.select([process.stdout], [], [], 0.2)[0]:
            data = os.read(process.stdout.fileno(), 4096)
            seen += data
            if not data:
                break
    return seen


def finish(process, limit):
    """Exit code, what is left of the output, standard error; None as code: it did not end."""
    try:
        out, err = process.communicate(timeout=limit)
        return process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return None, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")


def endless(runner, test, image):
    process = start(runner, test, image)
    seen = wait_for(process, b"# ready")
    time.sleep(FOR_S)
    alive = process.poll() is None
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process, END_S)
    micro.case("%s: %s, ended by a signal" % (runner, test), b"# ready" in seen and alive and code == 130,
               "exit code %s\n%s" % (code, err))


def ipis(runner, image):
    code, out, err = finish(start(runner, "ipis", image), READY_S)
    micro.case("%s: ipis" % runner, code == 0 and _micro.complete(out), "exit code %s\n%s%s" % (code, out, err))


def fault(runner, image):
    """x86_64 processors give up at the third fault; others go on for ever."""
    process = start(runner, "fault", image)
    if micro.RUNNERS[runner][0] == "x86_64":
        code, _, err = finish(process, READY_S)
        micro.case("%s: fault, with its reason" % runner, code not in (None, 0) and code > 0 and
                   re.search(r"E0810.*triple fault", err) and "rip" in err, "exit code %s\n%s" % (code, err))
        return
    wait_for(process, b"# ready")
    time.sleep(FOR_S)
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process, END_S)
    micro.case("%s: fault, ended by a signal" % runner, code == 143, "exit code %s\n%s" % (code, err))


def main():
    with tempfile.TemporaryDirectory() as work:
        for runner, (arch, _) in micro.RUNNERS.items():
            reason = micro.why_not(arch)
            if reason:
                micro.case("%s: all" % runner, True, skip=reason)
                continue
            image = {t: _micro.build(arch, t, work, FOLDER) for t in ENDLESS + ("ipis", "fault")}
            for test in ENDLESS:
                endless(runner, test, image[test])
            ipis(runner, image["ipis"])
            fault(runner, image["fault"])
    print("1..%d" % len(micro.cases))
    return 0 if all(micro.cases) else 1


sys.exit(main())
