#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The benchmark programs give under each engine the values that they give natively; time runs as fast."""
import json
import os
import subprocess
import sys
import tempfile

ROOT, HULL = os.environ["HULL_SOURCE"], os.environ["HULL"]
sys.path.insert(0, os.path.join(ROOT, "bench"))
from benchlib import build, report  # noqa: E402

MACHINES = ("native", "hull-interp", "hull-jit", "hull-opt")


def main():
    if not os.access(HULL, os.X_OK):
        print("hull is not built")
        return 77
    try:
        known = subprocess.run([build.programs()["native"], "-l"],
                               capture_output=True, text=True, check=True).stdout.split()
    except build.BuildError as e:
        print("the programs do not compile here: %s" % str(e).split("\n", 1)[0])
        return 77
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "bench.json")
        done = subprocess.run([sys.executable, os.path.join(ROOT, "bench", "run.py"), "--hull", HULL,
                               "--vmm", ",".join(MACHINES), "--rounds", "1", "--seconds", "0.01",
                               "--limit", "200", "--out", out, *report.GROUPS],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        print(done.stdout)
        with open(out, encoding="utf-8") as f:
            result = json.load(f)
    lacking = [(name, machine) for name in known for machine in MACHINES
               if machine not in result["programs"].get(name, {})]
    for name, machine in lacking:
        print("%s did not end under %s" % (name, machine))
    return 1 if lacking or done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
