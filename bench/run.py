#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measure Hull beside QEMU and the machine itself.

  run.py [--hull PATH] [--vmm NAME[=PATH],...] [--rounds N] [--seconds S] [--quick] [--list]
         [--out FILE] [--compare FILE] [--write-doc] [GROUP | GROUP/PROGRAM]...

Groups: int ctl fp mem sys (programs in a guest), boot, start; none means all.  The group
count is not among them: it takes minutes under valgrind.  Machines
(--vmm): native, hull (its default engine), hull-ENGINE, qemu or qemu-WORD=PATH.  They
alternate; a table is printed and FILE (build/bench.json) written.  --quick is one round of
int/core and boot; --compare shows what differs from an earlier FILE.  Exit code 1: a machine
failed, or gave a wrong result.
"""
import argparse
import datetime
import json
import os
import signal
import subprocess
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from benchlib import build, count, machines, report, start  # noqa: E402

ALL = list(report.GROUPS) + ["boot", "start"]
OTHERS = ("boot", "start", "count")  # which are no programs in a guest


def say(text):
    print(text, file=sys.stderr, flush=True)


def parse():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--hull", default=os.path.join(build.ROOT, "build", "hull"))
    parser.add_argument("--vmm", default="native,qemu,hull-interp")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--limit", type=int, default=900)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--out", default=os.path.join(build.ROOT, "build", "bench.json"))
    parser.add_argument("--compare")
    parser.add_argument("--write-doc", action="store_true")
    parser.add_argument("group", nargs="*")
    args = parser.parse_args()
    try:
        args.old = json.loads(build.guest.read(args.compare)) if args.compare else None
    except (OSError, ValueError) as e:
        sys.exit("run.py: %s: %s" % (args.compare, e))
    args.group = args.group or (["int/core", "boot"] if args.quick else ALL)
    args.rounds = args.rounds or (1 if args.quick else 5)
    args.seconds = args.seconds or (0.05 if args.quick else 0.3)
    return args


def check_words(words, known):
    for word in words:
        if word not in ALL + ["count"] and word not in known:
            sys.exit("run.py: no group or program %s; the groups are %s; --list shows programs"
                     % (word, " ".join(ALL + ["count"])))


def choose(args, programs, pieces):
    """The machines that are there; one that was asked for by name must be."""
    chosen = []
    for word in filter(None, args.vmm.split(",")):
        try:
            chosen.append(machines.make(word, args.hull, programs["native"], pieces))
        except machines.Missing as e:
            say("left out: %s" % e)
    if not chosen:
        sys.exit("run.py: there is nothing to measure")
    return chosen


def alternate(args, chosen, words):
    """{machine: [Run]} of all rounds.  Who failed in a round does not run again."""
    runs = {m.name: [] for m in chosen if words or m.boots}
    failed = {}
    for number in range(args.rounds):
        for machine in chosen:
            if machine.name not in runs or machine.name in failed:
                continue
            say("round %d of %d: %s" % (number + 1, args.rounds, machine.name))
            run = machine.measure(words, args.seconds, args.limit)
            runs[machine.name].append(run)
            if run.problem:
                failed[machine.name] = "round %d: %s" % (number + 1, run.problem)
                say("%s: %s" % (machine.name, failed[machine.name]))
    return runs, failed


def describe(args, chosen, kernel):
    now = datetime.datetime.now(datetime.timezone.utc)
    words = [a for a in sys.argv[1:] if a != "--write-doc"]
    if words[:1] == ["--hull"]:
        words = words[2:]
    return {
        "date": now.isoformat(timespec="seconds"), "machine": report.machine_text(),
        "commit": report.commit(), "command": " ".join(["./do bench", *words]), "kernel": kernel,
        "flags": " ".join(f for f in build.FLAGS if not f.startswith("-W")) + " -static",
        "compilers": {kind: build.compiler_version(kind) for kind in build.COMPILERS},
        "load": os.getloadavg()[0], "rounds": args.rounds, "seconds": args.seconds,
        "machines": {m.name: m.version() for m in chosen},
    }


def prefer():
    """Before other work on this machine; inherited by all that is measured."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
        # With autogroups a priority only counts within a session: the session needs one too.
        with open("/proc/self/autogroup", "w", encoding="ascii") as f:
            f.write("-10")
    except PermissionError:
        say("no permission for a higher priority: other work on this machine will disturb more")
    except OSError:
        pass  # no autogroups


def in_session(work):
    """Do work() in a process and session of its own, so that its priority is its own."""
    child = os.fork()
    if child == 0:
        os.setsid()
        try:
            status = work()
            sys.stdout.flush()
            os._exit(status)
        except SystemExit as e:
            say(e.code)
        except KeyboardInterrupt:
            pass
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
        os._exit(1)
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except KeyboardInterrupt:
        os.killpg(child, signal.SIGINT)
        os.waitpid(child, 0)
        return "run.py: interrupted"


def main():
    args = parse()
    folder = os.path.join(build.ROOT, "build", "bench")
    try:
        programs = build.programs(folder)
        known = subprocess.run([programs["native"], "-l"], capture_output=True, text=True,
                               check=True).stdout.split()
        if args.list:
            print("\n".join(known + list(OTHERS)))
            return 0
        check_words(args.group, known)
        booted = any(w not in ("native", "") for w in args.vmm.split(","))
        pieces = build.guest.paths(build.ARCH, None) if booted else {"KERNEL": "", "VERSION": "none"}
        initrd = build.initramfs(folder, programs[build.ARCH]) if booted else ""
    except (build.BuildError, build.guest.apt.AptError, build.guest.initramfs.ModuleError, OSError) as e:
        sys.exit("run.py: %s" % e)
    prefer()
    chosen = choose(args, programs, {"kernel": pieces["KERNEL"], "initrd": initrd})
    result = describe(args, chosen, pieces["VERSION"])
    words = [g for g in args.group if g not in OTHERS]
    runs, failed = alternate(args, chosen, words) if words or "boot" in args.group else ({}, {})
    result["programs"] = report.summarize(runs)
    result["clock"] = {name: [r.clock for r in rows if r.clock] for name, rows in runs.items()}
    boots = {name: [r.boot for r in rows if r.boot] for name, rows in runs.items()}
    if "boot" in args.group:
        result["boot"] = {name: report.spread(rows) for name, rows in boots.items() if rows}
    if "start" in args.group:
        say("start")
        result["start"] = start.measure([m for m in chosen if m.boots], folder)
        failed.update({n: r["problem"] for n, r in result["start"].items() if "problem" in r})
    if "count" in args.group:
        result["count"], wrong = count.measure([m for m in chosen if m.boots], folder, say)
        failed.update(wrong)
    result["failed"] = failed
    result["ratios"] = {g or "all": report.ratios(result["programs"], g and g + "/")
                        for g in ("", *report.GROUPS)}
    return finish(args, result)


def finish(args, result):
    for group, rows in report.tables(result).items():
        print("\n%s\n%s" % (report.TITLES[group], report.plain(rows)))
    for name, row in result["ratios"]["all"].items():
        print("\nall %d programs, %s: %s times slower than native%s" % (
            row["programs"], name, report.number(row["to_native"]),
            "" if name == "qemu" or not row["gain"] else ", QEMU / %s %s" % (name, report.number(row["gain"]))))
    if args.old:
        print("\n" + report.plain(report.change_table(args.old, result)))
    wrong = report.wrong(result["programs"])
    for program, name in wrong:
        print("WRONG: %s gave another check value under %s" % (program, name))
    for name, problem in result["failed"].items():
        print("FAILED: %s: %s" % (name, problem))
    os.makedirs(os.path.dirname(os.path.abspath(args.out)), exist_ok=True)
    with open(args.out, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    print("\n" + os.path.relpath(args.out))
    if args.write_doc and not wrong:
        report.write_doc(os.path.join(build.ROOT, "docs", "performance.md"), result)
        print("docs/performance.md")
    return 1 if wrong or result["failed"] else 0


if __name__ == "__main__":
    sys.exit(in_session(main))
