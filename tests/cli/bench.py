#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The benchmark programs do the same work on every machine, and bench/run.py writes its results."""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.environ["HULL_SOURCE"]
sys.path.insert(0, os.path.join(ROOT, "bench"))
from benchlib import build, goals, machines, report, second  # noqa: E402

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


def reuses(folder):
    """Kept results are taken, but not of a program that was not measured, nor by another time."""
    store, out = os.path.join(folder, "peers.json"), os.path.join(folder, "reuse.json")

    def run(*more):
        done = subprocess.run([sys.executable, os.path.join(ROOT, "bench", "run.py"), "--vmm", "native",
                               "--rounds", "1", "--json", out, "--reuse-peers", store, "--group", "fp", *more],
                              capture_output=True, text=True, check=False)
        print("# " + done.stderr.strip().replace("\n", "\n# "))
        with open(out, encoding="utf-8") as f:
            found = json.load(f)["programs"]
        return done.returncode, sorted(found), "results of" in done.stderr
    return [run("--seconds", "0.002", "--bench", "poly,fft"), run("--seconds", "0.002", "--bench", "poly"),
            run("--seconds", "0.002", "--bench", "nbody"), run("--seconds", "0.003", "--bench", "poly")] == [
                (0, ["fp/fft", "fp/poly"], False), (0, ["fp/poly"], True),
                (0, ["fp/nbody"], False), (0, ["fp/poly"], False)]


def goes_on(folder):
    """A machine that dies in a program is started again for the others; a wrong answer has no time."""
    path = os.path.join(folder, "fake")
    with open(path, "w", encoding="utf-8") as f:
        f.write("""#!/bin/sh
shift 4
for name; do
	echo "# run $name"
	[ $name != g/dies ] || kill -SEGV $$
	[ $name != g/sleeps ] || exec sleep 100
	echo "$name 2e-3 1e-3 7 0000000000000001"
done
""")
    os.chmod(path, 0o755)
    work = machines.Work(["g/a", "g/dies", "g/b", "g/wrong", "g/sleeps"], 0.1, 2, 1)
    run = machines.Native(path).measure(work)
    run.check({"g/a": "0000000000000001", "g/wrong": "0000000000000002"})
    return (sorted(run.samples) == ["g/a", "g/b"] and sorted(run.broken) == ["g/dies", "g/sleeps", "g/wrong"]
            and run.problem is None)


FAKE_VMM = """#!/bin/sh
last=
for word; do
	case $word in *bench.run=*) programs=${word##*bench.run=} ;; esac
	case $last$word in
	--engineopt) engine=opt ;;
	--code-cache?*) [ "$engine" ] || exec echo "error E0001: unknown option --code-cache"; : >"$word/kept" ;;
	esac
	last=$word
done
echo hull-bench: init
echo "# begin"
for name in $(echo "$programs" | tr , ' '); do
	echo "# run $name"
	case $name in
	g/panics) while :; do echo "Kernel panic - not syncing: a test"; sleep 0.1; done ;;
	g/resets) echo hull-bench: init; exec sleep 100 ;;
	g/stalls) while :; do echo "stalled"; sleep 0.1; done ;;
	g/floods) exec yes ;;
	g/quits) exit 3 ;;
	esac
	echo "$name 2e-3 1e-3 7 0000000000000001"
done
echo "# end 0.1"
echo hull-bench: status 0
echo hull-bench: done
"""


def fake(folder, name):
    path = os.path.join(folder, "vmm")
    with open(path, "w", encoding="utf-8") as f:
        f.write(FAKE_VMM)
    os.chmod(path, 0o755)
    return machines.Hull(name, path, {"kernel": "k", "initrd": "i", "tiny": "t"})


def boots_twice(folder):
    """A second boot is measured if the program can keep code, and left out with a note if not."""
    chosen, said = [fake(folder, "hull-" + engine) for engine in ("jit", "opt", "interp")], []
    args = argparse.Namespace(seconds=0.1, limit=10, silence=10)
    results = argparse.Namespace(failed={}, boots={})
    with second.Later(chosen, folder, said.append) as later:
        for machine in chosen * 2:
            later.boot(machine, args, results)
    print("# %s %s" % (said, results.boots))
    return (not results.failed and list(results.boots) == ["hull-opt, second"] and len(said) == 1
            and len(results.boots["hull-opt, second"]) == 2 and "hull-jit, second: error E0001" in said[0])


def survives(folder):
    """Whatever a guest does, the next program has its turn, and the reason is told."""
    machine = fake(folder, "hull-jit")
    reasons = {"g/panics": "the guest's kernel panicked", "g/resets": "the guest started again",
               "g/stalls": "nothing new for 1 s", "g/floods": "it prints without end",
               "g/quits": "ended with exit code 3 before the guest was done"}
    names = ["g/a", *reasons, "g/b"]
    run = machine.measure(machines.Work(names, 0.1, 30, 1))
    told = {name: text.split("\n")[0] for name, text in run.broken.items()}
    print("# %s" % told)
    return told == reasons and sorted(run.samples) == ["g/a", "g/b"] and not run.problem and run.boot


def judges():
    """A goal is reached only by all programs of a group, none of them far behind."""
    def verdicts(*gains, broken=None):
        one = report.spread([1.0])
        programs = {"int/%d" % i: {"qemu": report.spread([gain]), "hull-jit": one, "hull-interp": one}
                    for i, gain in enumerate(gains)}
        result = {"programs": programs, "known": ["int/0", "int/1", "fp/0"], "broken": broken or {},
                  "machines": {"qemu": "", "hull-jit": "", "hull-interp": ""},
                  "boot": {"qemu": report.spread([2.0]), "hull-jit": one, "hull-jit, second": one}}
        goals.table(goals.judge(result))
        report.tables(result)
        return [r["verdict"] for r in goals.judge(result)]
    rows = [verdicts(1.6, 1.7), verdicts(1.5, 1.6), verdicts(0.89, 9), verdicts(3),
            verdicts(3, broken={"int/1": {"hull-jit": "died"}})]
    return [r[0] for r in rows] == ["PASS", "below", "below", "1 of 2 programs", "below"] and rows[0][1:] == [
        "PASS", "below"]


def workers(program):
    """Two processes at once give the same check values, if there are two CPUs."""
    if len(os.sched_getaffinity(0)) < 2:
        return True
    names = ["int/core", "ctl/smc", "sys/ctxsw", "mem/atomic"]
    run = machines.Native(program).measure(machines.Work(names, 0.01, 60, 60, 2))
    run.check(machines.expected(machines.Native(program), names, 60))
    return sorted(run.samples) == sorted(names) and not run.problem


def doc_keeps(folder):
    """Writing one group's table keeps the tables of the others, and what people wrote."""
    path = os.path.join(folder, "performance.md")
    row = {"samples": [2.0], "median": 2.0, "min": 2.0, "max": 2.0, "best": 2.0}
    fixed = {"command": "c", "commit": "x", "load": 0.0, "machine": "m",
             "kernel": "k", "compilers": {"native": "n", build.ARCH: "g"}, "flags": "f", "rounds": 1, "seconds": 1,
             "machines": {"native": "", "qemu": "v"}}
    for number, program in enumerate(("int/core", "fp/poly", "int/lz")):
        if number == 1:
            with open(path, encoding="utf-8") as f:
                text = f.read().replace("\n## ", "\n## Goals\n\nhigh\n\n## ", 1) + "\n## Disks\n\nslow\n"
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        date = "2000-01-0%dT00:00:00" % (number + 1)
        report.write_doc(path, dict(fixed, date=date, programs={program: {"native": row, "qemu": row}}))
    with open(path, encoding="utf-8") as f:
        text = f.read()
    return (re.findall(r"^## (\S+)", text, re.M) == ["Goals", "Integer", "Floating", "Runs", "Disks"]
            and "high" in text and "slow" in text and "fp/poly" in text and "int/lz" in text and "int/core" not in text
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
    print("1..12")
    with tempfile.TemporaryDirectory() as folder:
        try:
            programs = build.programs()
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
        test(7, goes_on(folder), "what follows a program that fails still runs")
        test(8, judges(), "goals are judged")
        test(9, workers(programs["native"]), "two workers agree")
        test(10, reuses(folder), "results of peers are kept and taken")
        test(11, survives(folder), "a guest that goes wrong does not stop the others")
        test(12, boots_twice(folder), "boots with kept code are measured where there are any")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
