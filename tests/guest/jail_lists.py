#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Each kind of thread makes a call that is not on its list (tests/support/jailrec.c): the report names
both, and the VM ends."""
# timeout: 300
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "cli"))
import _tiny  # noqa: E402
import vm  # noqa: E402

WAYS = {"control": "plain", "vcpu": "plain", "timer": "plain", "compile": "plain", "disk": "disk", "limit": "disk",
        "ring": "ring", "share": "share", "vsock": "vsock", "dial": "vsock", "net": "user", "impair": "user",
        "capture": "user", "switch": "switch", "serial": "serial", "whole": "whole"}


def role_names():
    """name in reports -> thread, of the table in roles.c"""
    with open(os.path.join(vm.ROOT, "src", "host", "sandbox", "roles.c"), encoding="utf-8") as f:
        table = f.read().split("hull_jail_roles[] = {")[1]
    pairs = re.findall(r'\.name = "(\w+)"(?:,\s*\.thread = "([\w-]+)")?', table.split("};\n")[0])
    return {name: thread or "hull" for name, thread in pairs}


def build(folder):
    library = os.path.join(folder, "jailrec.so")
    subprocess.run(["cc", "-O1", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library,
                    os.path.join(vm.ROOT, "tests", "support", "jailrec.c")], check=True)
    return library


def options(folder):
    """Ways to run hull that make certain threads appear."""
    disk, share, sock = (os.path.join(folder, name) for name in ("disk", "share", "sock"))
    os.mkdir(share)
    with open(disk, "wb") as f:
        f.truncate(8 << 20)
    return {"plain": [], "disk": ["--disk", disk + ",limit.iops=100000"],
            "ring": ["--disk", disk + ",aio=io_uring,cache=none"], "share": ["--share", share + ":s"],
            "vsock": ["--vsock", sock + "v"], "user": ["--net", "user,impair.delay=1ms,capture=" + sock + ".pcap"],
            "switch": ["--net", "switch:jailtest"], "serial": ["--serial", "socket:" + sock],
            "whole": ["--deterministic"]}


def main():
    vm.need("cc")
    tap = vm.Tap()
    with tempfile.TemporaryDirectory() as folder:
        library, ways = build(folder), options(folder)
        kernel = os.path.join(folder, "kernel")
        with open(kernel, "wb") as f:
            f.write(_tiny.say("hello\n") + _tiny.off())
        for role, thread in role_names().items():
            if role not in WAYS:
                tap.skip("%s: a call that is not listed" % role, "needs a peer or a device of the host's")
                continue
            env = dict(os.environ, LD_PRELOAD=library, JAIL_INJECT=thread)
            done = subprocess.run([vm.HULL, "run", "--arch", "riscv64", "--jail", "strict", *ways[WAYS[role]], kernel],
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=vm.PATIENCE_S, env=env,
                                  check=False)
            said = done.stderr.decode("utf-8", "replace")
            tap.check(done.returncode == 5 and "E1401" in said
                      and "a %s thread made the system call chdir" % role in said,
                      "%s: a call that is not listed is reported, and the VM ends" % role,
                      "%s\n%s" % (done.returncode, said))
    return tap.end()


sys.exit(main())
