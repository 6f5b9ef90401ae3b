#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measure Hull beside QEMU and the machine itself.

  run.py [--hull PATH] [--vmm NAME[=PATH],...] [--group NAME,...] [--bench NAME,...]
         [--rounds N] [--seconds S] [--quick] [--list] [--smp] [--json FILE] [--compare FILE]
         [--reuse-peers FILE] [--write-doc] [GROUP | GROUP/PROGRAM]...

Groups: int ctl fp mem sys (programs in a guest), boot, start; none means all.  The group
count is not among them: it takes minutes under valgrind.  --bench chooses programs by name.

Machines (--vmm, else native,qemu,hull-jit,hull-opt): native, hull (its default engine),
hull-ENGINE, qemu; with =PATH another program, and a -WORD more to tell it apart:
hull-jit-old=PATH, qemu-10=PATH.  An engine that the build does not have is left out.

They alternate; a table is printed and FILE (build/bench.json) written.  A program that fails,
takes longer than --silence seconds (120) or gives another check value than natively is FAILED
and has no time; the machine starts again for the others, for --limit seconds (900) a round.
--quick: three short rounds, of int/core and boot if nothing is named.  --smp: what two CPUs
do, with a process bound to each, against one.  --reuse-peers: native and QEMU are measured
only if FILE has no results of the same programs, kernel and machine, and then kept there.
--compare shows what differs from an earlier --json FILE.  --write-doc: tables into
docs/performance.md.
Exit code 1: a machine failed, or gave a wrong result.
"""
import argparse
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from benchlib import build, count, goals, machines, peers, report, second, start  # noqa: E402

ALL = list(report.GROUPS) + ["boot", "start"]
OTHERS = ("boot", "start", "count")  # which are no programs in a guest
SMP = ("int/core", "ctl/vm", "fp/linpack", "mem/stream", "mem/atomic", "sys/syscall", "sys/pgfault", "sys/forkexec")


def say(text):
    print(text, file=sys.stderr, flush=True)


def words(text):
    return list(dict.fromkeys(w for w in text.split(",") if w))


def parse():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--hull", default=os.path.join(build.ROOT, "build", "hull"))
    parser.add_argument("--vmm", type=words, default=words("native,qemu,hull-jit,hull-opt"))
    parser.add_argument("--group", type=words, action="extend", default=[], dest="groups")
    parser.add_argument("--bench", type=words, action="extend", default=[])
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--limit", type=float, default=900)
    parser.add_argument("--silence", type=float, default=120)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--smp", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--json", "--out", dest="out", default=os.path.join(build.ROOT, "build", "bench.json"))
    parser.add_argument("--compare")
    parser.add_argument("--reuse-peers")
    parser.add_argument("--write-doc", action="store_true")
    parser.add_argument("group", nargs="*")
    args = parser.parse_args()
    args.group += args.groups
    args.old = peers.read(args.compare) if args.compare else None
    if args.compare and not args.old:
        sys.exit("run.py: %s is no file of results" % args.compare)
    if args.reuse_peers and (args.write_doc or args.smp):
        sys.exit("run.py: --reuse-peers goes neither with --write-doc nor with --smp: there, they alternate")
    args.rounds = args.rounds or (3 if args.quick else 5)
    args.seconds = args.seconds or (0.1 if args.quick else 0.3)
    return args


def choose_work(args, known):
    """(programs, others) that the command line names, in the order of the lists."""
    for name in args.group:
        if name not in ALL + ["count"] and name not in known:
            sys.exit("run.py: no group or program %s; the groups are %s; --list shows programs"
                     % (name, " ".join(ALL + ["count"])))
    for name in args.bench:
        if name not in known and name not in [k.split("/")[1] for k in known]:
            sys.exit("run.py: no program %s; --list shows them" % name)
    default = SMP if args.smp else ["int/core", "boot"] if args.quick else ALL
    groups = args.group or (list(report.GROUPS) if args.bench else default)
    programs = [k for k in known if k in groups or k.split("/")[0] in groups]
    if args.bench:
        programs = [k for k in programs if k in args.bench or k.split("/")[1] in args.bench]
    others = [name for name in OTHERS if name in groups and not args.smp]
    if not programs and not others:
        sys.exit("run.py: there is nothing to measure: no program is in both --group and --bench")
    return programs, others


def choose(args, native, pieces):
    chosen = []
    for word in args.vmm:
        try:
            chosen.append(machines.make(word, args.hull, native, pieces))
        except machines.Missing as e:
            say("left out: %s" % e)
    if not chosen:
        sys.exit("run.py: there is nothing to measure")
    return chosen


class Results:
    """The Runs of each machine, and what failed."""

    def __init__(self, chosen):
        self.runs = {m.name: [] for m in chosen}
        self.boots = {}
        self.failed, self.broken = {}, {}

    def add(self, name, run):
        self.runs[name].append(run)
        if run.boot:
            self.boots.setdefault(name, []).append(run.boot)
        if run.problem:
            self.fail(name, run.problem)
        for program, text in run.broken.items():
            self.broken.setdefault(program, {})[name] = text
            say("%s: %s FAILED: %s" % (name, program, text))

    def fail(self, name, text):
        self.failed[name] = text
        say("%s: %s" % (name, text))

    def left(self, name, programs):
        return [p for p in programs if name not in self.broken.get(p, ())]


def alternate(args, chosen, programs, expected, later):
    """Results of all rounds.  What failed in a round does not run again."""
    results = Results(chosen)
    for number in range(args.rounds):
        for machine in chosen:
            mine = results.left(machine.name, programs)
            if machine.name in results.failed or not (mine or machine.boots and not programs):
                continue
            say("round %d of %d: %s" % (number + 1, args.rounds, machine.name))
            run = machine.measure(machines.Work(mine, args.seconds, args.limit, args.silence))
            run.check(expected)
            results.add(machine.name, run)
            later.boot(machine, args, results)
    return results


def smp(args, chosen, programs, expected):
    """({program: {machine: {"1": spread, "2": spread}}}, Results): by one worker, by two."""
    results, samples = Results(chosen), {p: {} for p in programs}
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("run.py: --smp needs two CPUs")
    for number in range(args.rounds):
        for machine in chosen:
            for workers in (1, 2):
                mine = results.left(machine.name, programs)
                if machine.name in results.failed or not mine:
                    continue
                say("round %d of %d: %s, %d CPUs" % (number + 1, args.rounds, machine.name, workers))
                run = machine.measure(machines.Work(mine, args.seconds, args.limit, args.silence, workers))
                run.check(expected)
                results.add(machine.name, run)
                for program, sample in run.samples.items():
                    row = samples[program].setdefault(machine.name, {"1": [], "2": []})
                    row[str(workers)].append(sample[0])
    found = {p: {n: {k: report.spread(v) for k, v in row.items()} for n, row in rows.items()
                 if all(row.values()) and n not in results.broken.get(p, ())} for p, rows in samples.items()}
    return found, results


def command_text(words):
    """The command line without paths, which mean nothing elsewhere, and what does not change results."""
    told, skip = [], False
    for word in words:
        option = word.partition("=")[0]
        if not skip and option not in ("--write-doc", "--hull", "--json", "--out", "--compare"):
            told.append(re.sub(r"=[^,]*/[^,]*", "=…", word))
        skip = not skip and word in ("--hull", "--json", "--out", "--compare")
    return " ".join(["./do bench", *told])


def describe(args, chosen, kernel):
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "date": now.isoformat(timespec="seconds"), "machine": report.machine_text(),
        "commit": report.commit(), "command": command_text(sys.argv[1:]), "kernel": kernel,
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


def prepare(args, folder):
    """(known programs, native program, pieces of a guest): all that must be built or fetched."""
    try:
        programs = build.programs()
        known = subprocess.run([programs["native"], "-l"], capture_output=True, text=True,
                               check=True).stdout.split()
        pieces = {"KERNEL": "", "VERSION": "none"}
        if not args.list and args.vmm != ["native"]:
            pieces = build.guest.paths(build.ARCH, None)
            pieces["initrd"] = build.initramfs(programs[build.ARCH], pieces)
        pieces.update(kernel=pieces["KERNEL"], tiny=build.tiny_off(folder))
    except (build.BuildError, build.guest.apt.AptError, build.guest.initramfs.ModuleError, OSError) as e:
        sys.exit("run.py: %s" % e)
    return known, programs["native"], pieces


def measure_programs(args, result, chosen, native, names, others, folder):
    """Programs and boots, of peers perhaps those of an earlier run."""
    store = peers.Store(args.reuse_peers, result, build.key())
    fresh = [m for m in chosen if not store.has(m, names, "boot" in others)]
    for name in (m.name for m in chosen if m not in fresh):
        say("%s: results of %s" % (name, store.date(name)))
    with second.Later([m for m in fresh if "boot" in others], folder, say) as later:
        done = alternate(args, fresh, names, machines.expected(native, names, args.limit), later)
    result["programs"] = report.summarize(done.runs, done.broken)
    result["boot"] = {n: report.spread(rows) for n, rows in done.boots.items()} if "boot" in others else {}
    result["clock"] = {name: [r.clock for r in rows if r.clock] for name, rows in done.runs.items()}
    store.exchange(result, chosen, fresh, done)
    result["failed"].update(done.failed)
    result["broken"] = done.broken


def measure_smp(args, result, chosen, native, names):
    expected = machines.expected(native, names, args.limit)
    result["smp"], done = smp(args, chosen, names, expected)
    result["failed"].update(done.failed)
    result["broken"] = done.broken


def main():
    args = parse()
    folder = os.path.join(build.ROOT, "build", "bench")
    known, native, pieces = prepare(args, folder)
    if args.list:
        print("\n".join(known + list(OTHERS)))
        return 0
    names, others = choose_work(args, known)
    prefer()
    chosen = choose(args, native, pieces)
    booting = [m for m in chosen if m.boots]
    result = describe(args, chosen, pieces["VERSION"])
    result.update(known=known, wanted=names, want_boot="boot" in others,
                  programs={}, boot={}, failed={}, broken={})
    if args.smp:
        measure_smp(args, result, chosen, machines.Native(native), names)
    elif names or "boot" in others:
        measure_programs(args, result, chosen, machines.Native(native), names, others, folder)
    if "start" in others:
        say("start")
        result["start"] = start.measure(booting, folder)
        result["failed"].update({n: r["problem"] for n, r in result["start"].items() if "problem" in r})
    if "count" in others:
        result["count"], wrong = count.measure(booting, folder, say)
        result["failed"].update(wrong)
    result["ratios"] = {g or "all": report.ratios(result["programs"], g and g + "/")
                        for g in ("", *report.GROUPS)}
    result["goals"] = goals.judge(result)
    return finish(args, result)


def finish(args, result):
    for group, rows in report.tables(result).items():
        print("\n%s\n%s" % (report.TITLES[group], report.plain(rows)))
    if result["ratios"]["all"]:
        print()
    for name, row in result["ratios"]["all"].items():
        if report.sum_up(name, row):
            print(report.sum_up(name, row))
    if result["goals"]:
        print("\nGoals, as QEMU / machine\n" + report.plain(goals.table(result["goals"])))
    if args.old:
        print("\n" + report.plain(report.change_table(args.old, result)))
    for program, rows in result["broken"].items():
        for name, text in rows.items():
            print("FAILED: %s under %s: %s" % (program, name, text))
    for name, problem in result["failed"].items():
        print("FAILED: %s: %s" % (name, problem))
    os.makedirs(os.path.dirname(os.path.abspath(args.out)), exist_ok=True)
    with open(args.out, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    print("\n" + os.path.relpath(args.out))
    if args.write_doc:
        report.write_doc(os.path.join(build.ROOT, "docs", "performance.md"), result)
        print("docs/performance.md")
    return 1 if result["broken"] or result["failed"] else 0


if __name__ == "__main__":
    sys.exit(in_session(main))
