#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Run Linux for long in a small code cache, and say what that took.

  stress.py [--hull PATH] [--seconds S] [--engine NAME] [--cpus N] [--cache SIZE] [OPTION]...

For S seconds of the guest's clock (3600): processes that start and end, code that changes itself,
more code than the cache holds, pipes.  Further OPTIONs go to hull run.
Prints the guest's rounds, the largest resident size of the process, and what the engine counted.
Exit code 1: it failed, or did not end in four times that time.
"""
import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from benchlib import build  # noqa: E402

SHOWN = ("blocks_translated", "regions_compiled", "cache_evictions", "cache_evictions_forced", "cache_moves",
         "cache_bytes_peak", "pauses", "pause_ns", "pause_max_ns", "pause_cpu_max_ns",
         "compile_max_ns")
SCRIPT = """
until_end() {
	n=0
	while read up rest </proc/uptime && [ ${up%%.*} -lt SECONDS ]; do "$@" || echo "FAILED: $*"; n=$((n + 1)); done
	echo "rounds of $1: $n"
}
processes() { sh -c 'echo $$ | md5sum; for i in 1 2 3; do true | cat; done' >/dev/null; }
programs() { /bench -t 0.2 ctl/smc ctl/bigcode >/dev/null; }
pipes() { dd if=/dev/zero bs=64k count=8 2>/dev/null | gzip | gunzip | sha256sum | grep -q 0; }
until_end processes &
until_end programs &
until_end pipes &
wait
"""


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--hull", default=os.path.join(build.ROOT, "build", "hull"))
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--engine", default="opt")
    parser.add_argument("--cpus", default="1")
    parser.add_argument("--cache", default="16M")
    args, more = parser.parse_known_args()
    pieces = build.guest.paths(build.ARCH, None)
    program = build.programs()[build.ARCH]
    with tempfile.TemporaryDirectory() as folder:
        script, initrd = os.path.join(folder, "script"), os.path.join(folder, "initrd")
        build.guest.write_whole(script, SCRIPT.replace("SECONDS", str(args.seconds)).encode())
        build.guest.write_whole(initrd, build.guest.make_initramfs(
            build.ARCH, files=[script + ":/script", program + ":/bench"]))
        try:
            done = subprocess.run(
                [args.hull, "run", "--kernel", pieces["KERNEL"], "--initrd", initrd, "--memory", "256M",
                 "--append", "console=ttyS0 quiet panic=-1 hull.run=script", "--engine", args.engine,
                 "--cpus", args.cpus, "--code-cache-size", args.cache, "--engine-stats", *more],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                timeout=4 * args.seconds + 60, check=False)
        except subprocess.TimeoutExpired:
            sys.exit("stress.py: the guest did not end in time")
    rounds = re.findall(r"rounds of (\w+): (\d+)", done.stdout)
    for name, count in rounds:
        print("%-24s %s rounds" % (name, count))
    print("%-24s %d KiB" % ("largest resident size", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
    for name, value in re.findall(r"^\s*(\w+)\s+(\d+)\s", done.stderr, re.M):
        if name in SHOWN:
            print("%-24s %s" % (name, value))
    good = done.returncode == 0 and len(rounds) == 3 and all(int(n) for _, n in rounds) and \
        "FAILED" not in done.stdout
    if not good:
        print(done.stdout[-2000:] + done.stderr[-2000:] + "FAILED: exit code %d" % done.returncode)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
