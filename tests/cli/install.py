#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What `meson install` puts into an empty folder is enough to build and run examples/embed.c."""
import os
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.environ["HULL_SOURCE"]
# Without sanitizers: a program of somebody else's does not link their run-time libraries.
BUILD = os.path.dirname(os.environ.get("HULL_FAST") or "")
failed = cases = 0


def case(name, good, why=""):
    global failed, cases
    cases += 1
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", cases, name))
    if not good:
        print("# " + str(why).replace("\n", "\n# "))


def call(*command, env=None):
    p = subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
                       env=dict(os.environ, **(env or {})))
    return p.returncode, p.stdout + p.stderr


def embed(folder, libdir, flags, static):
    """examples/embed.c against the installed files; pkg-config says how."""
    env = {"PKG_CONFIG_PATH": os.path.join(libdir, "pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": folder,
           "LD_LIBRARY_PATH": libdir}
    code, words = call("pkg-config", *flags, "--cflags", "--libs", "hull", env=env)
    if code:
        return code, words
    program = os.path.join(folder, "embed" + ("-static" if static else ""))
    code, text = call("cc", "-Wall", "-Wextra", "-Werror", "-std=c17", *(["-static"] if static else []), "-o", program,
                      os.path.join(SOURCE, "examples", "embed.c"), *words.split())
    return (code, text) if code else call(program, env=env)


def main():
    if not BUILD or not all(map(shutil.which, ("meson", "pkg-config", "cc"))):
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        code, text = call("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", folder)
        case("meson install", code == 0, text)
        found = {f: os.path.join(d, f) for d, _, files in os.walk(folder) for f in files}
        missing = {"hull", "libhull.so", "libhull.a", "hull.pc", "hull-run.1", "vm.h"} - set(found)
        case("everything is there", not missing, missing)
        if missing:
            return
        with open(found["hull.pc"], encoding="utf-8") as f:
            version = [t.split()[1] for t in f if t.startswith("Version:")]
        code, text = call(found["hull"], "version")
        case("hull says its version", text.split() == ["hull"] + version, text)
        code, text = call("man", "-l", found["hull-run.1"]) if shutil.which("man") else (0, "run a virtual machine")
        case("the manual page can be read", code == 0 and "run a virtual machine" in text, text)
        libdir = os.path.dirname(found["libhull.so"])
        for static, flags in ((False, []), (True, ["--static"])):
            code, text = embed(folder, libdir, flags, static)
            case("embed.c, " + ("static" if static else "shared"), code == 0 and "hello from the guest" in text, text)


main()
print("1..%d" % cases)
sys.exit(failed > 0)
