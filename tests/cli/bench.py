#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The benchmark programs do the same work on every machine, and bench/run.py writes its results."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.environ["HULL_SOURCE"]
sys.path.insert(0, os.path.join(ROOT, "bench"))
from benchlib import build, machines, report  # noqa: E402

EMULATOR = "qemu-riscv64"
failed = []


def test(number, good, text):
    print("%s %d - %s" % ("ok" if good else "not ok", number, text), flush=True)
    failed.extend([] if good else [text])


def checks(command, env):
    """{program: check value} of all programs, each run for as short as it can."""
    done = subprocess.run([*command, "-t", "0"], capture_output=True, text=True, check=False,
                          env=dict(os.environ, **env))
    print("# " + done.stderr.strip().replace("\n", "\n# "))
    return {row[0]: row[4] for row in machines.LINE.findall(done.stdout)}


def run_script(folder):
    out = os.path.join(folder, "bench.json")
    done = subprocess.run([sys.executable, os.path.join(ROOT, "bench", "run.py"), "--vmm", "native",
                           "--rounds", "2", "--seconds", "0.002", "--out", out, "int/core", "fp/poly"],
                          capture_output=True, text=True, check=False)
    print("# " + (done.stdout + done.stderr).strip().replace("\n", "\n# "))
    with open(out, encoding="utf-8") as f:
        result = json.load(f)
    rows = [result["programs"][name]["native"] for name in ("int/core", "fp/poly")]
    return done.returncode == 0 and all(len(r["samples"]) == 2 and r["min"] > 0 for r in rows)


def doc_keeps(folder):
    """Writing one group's table keeps the tables of the others."""
    path = os.path.join(folder, "performance.md")
    row = {"samples": [2.0], "median": 2.0, "min": 2.0, "max": 2.0, "check": "0", "best": 2.0}
    fixed = {"command": "c", "commit": "x", "load": 0.0, "machine": "m",
             "kernel": "k", "compilers": {"native": "n", build.ARCH: "g"}, "flags": "f", "rounds": 1, "seconds": 1,
             "machines": {"native": "", "qemu": "v"}}
    for number, program in enumerate(("int/core", "fp/poly", "int/lz")):
        date = "2000-01-0%dT00:00:00" % (number + 1)
        report.write_doc(path, dict(fixed, date=date, programs={program: {"native": row, "qemu": row}}))
    with open(path, encoding="utf-8") as f:
        text = f.read()
    return (text.count("\n## ") == 3 and "fp/poly" in text and "int/lz" in text and "int/core" not in text
            and re.findall(r"^### (\S+)", text, re.M) == ["2000-01-02T00:00", "2000-01-03T00:00"])


def changes_show():
    def result(core, lz):
        programs = {"int/core": {"native": {"median": 1.0}, "hull": {"median": core}},
                    "int/lz": {"native": {"median": 2.0}, "hull": {"median": lz}}}
        return {"programs": programs, "count": {"alu": {"hull": {"round": core}}}}
    rows = report.change_table(result(4.0, 4.0), result(2.0, 4.1))
    nothing = report.change_table({}, result(2.0, 4.1))
    return [row[0] for row in rows[1:]] == ["int/core", "count of alu"] and len(nothing) == 1


def main():
    for tool in [EMULATOR, *build.COMPILERS.values()]:
        if not shutil.which(tool):
            print(tool + " is not installed")
            return 77
    for compiler in build.COMPILERS.values():
        path = subprocess.run([compiler, "-print-file-name=libc.a"], capture_output=True, text=True,
                              check=False).stdout.strip()
        if not os.path.isabs(path):
            print(compiler + " has no static C library")
            return 77
    print("1..6")
    with tempfile.TemporaryDirectory() as folder:
        try:
            # Beside the objects of ./do bench: what is compiled once stays.
            programs = build.programs(os.path.join(ROOT, "build", "bench"))
        except build.BuildError as e:
            print("Bail out! %s" % e)
            return 1
        known = subprocess.run([programs["native"], "-l"], capture_output=True, text=True,
                               check=True).stdout.split()
        native = checks([programs["native"]], {})
        guest = checks([EMULATOR, programs[build.ARCH]], {"BENCH_RUNNER": shutil.which(EMULATOR)})
        test(1, len(known) >= 35 and sorted(native) == sorted(known), "each program runs natively")
        test(2, sorted(guest) == sorted(known), "each program runs as a guest's")
        differ = [name for name in native if guest.get(name) != native[name]]
        test(3, not differ, "check values agree" + "".join(" " + name for name in differ))
        test(4, run_script(folder), "bench/run.py measures and writes its file")
        test(5, doc_keeps(folder), "a written table leaves the others")
        test(6, changes_show(), "a comparison shows what changed, and only that")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
