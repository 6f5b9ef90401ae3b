#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""KVM as people see it: what doctor says, hosts without it, users without it, --accel."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

HULL = os.environ["HULL"]
cases = []


def case(name, passed, detail="", skip=None):
    cases.append(passed)
    print("%s %d - %s%s" % ("ok" if passed else "not ok", len(cases), name, " # SKIP " + skip if skip else ""))
    if not passed:
        print("".join("# %s\n" % line for line in str(detail).splitlines()[-20:]), end="")


def run(*command):
    p = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    return p.returncode, p.stdout, p.stderr


def kvm_check(*prefix):
    """doctor's row about KVM, and its row about the choice."""
    code, out, err = run(*prefix, HULL, "doctor", "--json")
    if not out:
        return None, code, err
    rows = {c["check"]: c for c in json.loads(out)["checks"]}
    return rows, code, err


def elf(path, machine, code):
    """An ELF file of one segment that is loaded and started at the usual place of its architecture."""
    at = 0x80200000 if machine == 243 else 0x200000
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, machine, 1, at + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 7, 0, at, at, 120 + len(code), 120 + len(code), 4096)
    with open(path, "wb") as f:
        f.write(head + segment + code)


def test_here(rows):
    kvm = rows.get("kvm")
    if not kvm:
        case("doctor says what KVM is worth", os.uname().machine not in ("x86_64", "aarch64", "riscv64"), rows)
        return
    found = kvm["found"]
    if not os.path.exists("/dev/kvm"):
        case("doctor: there is none", kvm["verdict"] == "ok" and "no KVM on this host" in found, kvm)
    elif kvm["verdict"] == "ok":
        case("doctor: KVM, measured", "million instructions a second" in found and "kvm" in rows["choice"]["found"], kvm)
    else:
        case("doctor: KVM, and why it is not taken", "not usable: " in found and "run on: kvm" not in
             rows["choice"]["found"] and (" MIPS here" in found or "fails at" in found or "group kvm" in found), kvm)


def test_other_user():
    name = "doctor for a user outside of group kvm"
    if os.geteuid() != 0 or not shutil.which("setpriv") or not os.path.exists("/dev/kvm"):
        case(name, True, skip="needs root, setpriv and a /dev/kvm")
        return
    if os.stat("/dev/kvm").st_mode & 6:
        case(name, True, skip="/dev/kvm is open to everybody here")
        return
    rows, code, err = kvm_check("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    if not rows:
        case(name, True, skip="another user cannot run %s" % HULL)
        return
    case(name, "not in group kvm" in rows["kvm"]["found"] and "usermod" in rows["kvm"]["fix"], (rows, code, err))


def test_no_device():
    name = "doctor where /dev/kvm is something else"
    inside = ["unshare", "-m", "sh", "-c", 'mount --bind /dev/null /dev/kvm && exec "$@"', "sh"]
    if not os.path.exists("/dev/kvm") or run(*inside, "true")[0] != 0:
        case(name, True, skip="needs a mount namespace and a /dev/kvm")
        return
    rows, code, err = kvm_check(*inside)
    case(name, rows and "/dev/kvm is no KVM device" in rows["kvm"]["found"], (rows, code, err))


def test_choice(work, rows):
    riscv, x86 = os.path.join(work, "riscv"), os.path.join(work, "x86")
    elf(riscv, 243, b"\x73\x00\x50\x10" * 4)
    elf(x86, 62, b"\xf4\xeb\xfd")
    if os.uname().machine != "riscv64":
        code, _, err = run(HULL, "run", riscv, "--accel", "kvm", "--no-input")
        case("KVM does not run other architectures", code == 6 and "E0201" in err, err)
    code, _, err = run(HULL, "run", x86, "--accel", "none", "--no-input")
    case("the engine does not run x86_64", code != 0 and ("E0201" in err or "E1301" in err), err)
    kvm = rows.get("kvm", {})
    if kvm.get("verdict") != "warn" or " MIPS here" not in kvm.get("found", "") or os.uname().machine != "x86_64":
        case("a slow KVM is not taken", True, skip="KVM is not slow here")
        return
    code, _, err = run(HULL, "run", x86, "--no-input")
    case("a slow KVM is not taken", code != 0 and ("E1301" in err or "E0203" in err and "MIPS" in err and "--accel kvm"
                                                   in err), (code, err))


def main():
    rows, code, err = kvm_check()
    case("doctor speaks JSON", rows is not None and code in (0, 6), err)
    test_here(rows)
    test_other_user()
    test_no_device()
    with tempfile.TemporaryDirectory() as work:
        test_choice(work, rows)
    print("1..%d" % len(cases))
    return 0 if all(cases) else 1


sys.exit(main())
