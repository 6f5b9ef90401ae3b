#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Run libFuzzer targets: run_fuzz.py BUILD TARGET|all SECONDS

Each target starts from tests/fuzz/corpus/NAME (committed seeds) and keeps what it finds in
BUILD/corpus/NAME.  A failing input is left there as crash-*; the command to repeat it is shown.
"""
import glob
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run(build, program, seconds):
    name = os.path.basename(program)[len("fuzz_"):]
    work = os.path.join(build, "corpus", name)
    os.makedirs(work, exist_ok=True)
    seeds = [d for d in [os.path.join(ROOT, "tests", "fuzz", "corpus", name)] if os.path.isdir(d)]
    done = subprocess.run(
        [program, "-max_total_time=%d" % seconds, "-timeout=10", "-rss_limit_mb=2048",
         "-print_final_stats=1", "-artifact_prefix=%s/" % work, work, *seeds],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    text = done.stdout.decode("utf-8", "replace")
    runs = [line.split()[-1] for line in text.splitlines() if "number_of_executed_units" in line]
    print("%-4s %-24s %s runs" % ("FAIL" if done.returncode else "ok", name, runs[-1] if runs else "?"),
          flush=True)
    if done.returncode:
        print("\n".join("     | " + line for line in text.splitlines()[-60:]))
        print("     repeat: %s %s/crash-..." % (program, work))
    return done.returncode == 0


def main():
    build, which, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    programs = sorted(p for p in glob.glob(os.path.join(build, "tests", "fuzz_*"))
                      if os.path.isfile(p) and os.access(p, os.X_OK))
    if which != "all":
        programs = [p for p in programs if os.path.basename(p) == "fuzz_" + which]
        if not programs:
            sys.exit("run_fuzz.py: no target tests/fuzz/fuzz_%s.c" % which)
    good = sum([run(build, p, seconds) for p in programs])
    print("%d passed, %d failed" % (good, len(programs) - good))
    sys.exit(0 if good == len(programs) else 1)


main()
