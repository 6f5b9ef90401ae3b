#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measure Hull's disks, networks and shares beside their peers, in one run.

  run.py [--build DIR] [--rounds N] [--seconds S] [--json FILE] [SECTION]...

Each other file of this folder is a section: NAME, run(bench) -> list of rows.  A row is a dict with
"name", "hull", "peer" (both in "unit", either may be None), perhaps "goal" for the ratio hull/peer and
"least" for hull alone, and whatever else is worth keeping.  Without SECTION all are run.
Exit code 1: something failed; goals that are missed are only marked.
"""
import argparse
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


class Bench:
    """What a section needs: options, a folder for its files, the median of alternating rounds."""

    def __init__(self, args, work):
        self.build, self.rounds, self.seconds, self.work = args.build, args.rounds, args.seconds, work

    def program(self, name):
        return os.path.join(self.build, name)

    def alternate(self, *measures):
        """Call each function once per round, in turn; the medians of what they return."""
        results = [[measure() for measure in measures] for _ in range(self.rounds)]
        return [statistics.median(values) for values in zip(*results)]

    def say(self, text):
        print(text, file=sys.stderr, flush=True)


def sections():
    names = sorted(f[:-3] for f in os.listdir(HERE) if f.endswith(".py") and f != "run.py")
    return {module.NAME: module for module in map(importlib.import_module, names)}


def human(value, unit):
    if value is None:
        return "-"
    for step, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= step:
            return "%.2f %s%s" % (value / step, letter, unit)
    return "%.2f %s" % (value, unit)


def print_row(row):
    hull, peer = row.get("hull"), row.get("peer")
    ratio = hull / peer if hull and peer else None
    missed = ratio is not None and ratio < row.get("goal", 0) or hull is not None and hull < row.get("least", 0)
    print("%-34s %14s %14s %8s%s" % (row["name"], human(hull, row["unit"]), human(peer, row["unit"]),
                                     "%.2fx" % ratio if ratio else "", "  MISSED" if missed else ""), flush=True)
    row["ratio"], row["missed"] = ratio, missed


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--json", default=os.path.join(ROOT, "build", "bench-io.json"))
    parser.add_argument("section", nargs="*")
    args = parser.parse_args()
    sys.path.insert(0, HERE)
    known = sections()
    wrong = [name for name in args.section if name not in known]
    if wrong:
        sys.exit("run.py: no section %s; there are: %s" % (", ".join(wrong), " ".join(known)))
    result, failed = {"machine": platform.node(), "kernel": platform.release(), "rounds": args.rounds,
                      "seconds": args.seconds, "sections": {}}, False
    print("%-34s %14s %14s %8s" % ("", "hull", "peer", "ratio"))
    for name in args.section or known:
        with tempfile.TemporaryDirectory(prefix="hull-bench-") as work:
            try:
                rows = []
                for row in known[name].run(Bench(args, work)):
                    print_row(row)
                    rows.append(row)
            except (OSError, subprocess.SubprocessError, RuntimeError) as error:
                print("%s: FAILED: %s" % (name, error), flush=True)
                failed = True
            result["sections"][name] = rows
    with open(args.json, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
