#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""hull run --lockstep: engines that agree, and mistakes that are found where they were made."""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import _tiny as tiny  # noqa: E402

HULL = os.environ["HULL"]
LIMIT_S = 120
results = []


def case(name, good, detail=""):
    results.append(good)
    print("%s %d - %s" % ("ok" if good else "not ok", len(results), name))
    if not good and detail:
        print("\n".join("# " + line for line in str(detail).splitlines()))


def lockstep(engine, *arguments):
    p = subprocess.run([HULL, "run", "--memory", "16M", "--lockstep", engine, *arguments],
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=False)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def result(out):
    return json.loads([line for line in out.splitlines() if "hull.lockstep/1" in line][0])


def equal(kernel, spin):
    code, _, _ = lockstep("jit", kernel)
    for engine in ["interp", "eval"] + ["jit"] * (code != 13):
        code, out, err = lockstep(engine, kernel)
        case("%s agrees, and prints once" % engine,
             code == 0 and out == "hello\n" and "agree" in err, out + err)
    code, out, err = lockstep("eval", "--json", "--lockstep-insns", "12345", spin)
    case("the limit is exact", code == 0 and result(out)["equal"] and
         result(out)["instructions"] == 12345, out + err)
    code, out, err = lockstep("eval", "--cpus", "2", "--lockstep-insns", "50000", spin)
    case("two CPUs", code == 0, out + err)
    code, out, err = lockstep("eval", "--exit-on", "hi", spin)
    case("until a text", code == 0 and "agree" in err, out + err)


def different(spin):
    code, out, err = lockstep("interp", "--json", "--lockstep-inject", "5000", spin)
    r = result(out)
    case("a mistake is found at its instruction", code == 1 and "E0804" in err and r["exact"] and
         r["repeats"] and r["instructions"] == 5000, out + err)
    case("one register differs", [x["name"] for x in r["registers"]] == ["gp"], out)
    case("the last instruction is shown", r["trace"][-1]["text"].startswith("jal zero"), out)
    code, out, err = lockstep("eval", "--json", "--lockstep-inject", "5000,block", spin)
    r = result(out)
    case("a mistake of whole blocks is found by its block", code == 1 and not r["exact"] and
         r["repeats"] and 5000 <= r["instructions"] <= 5064, out + err)
    code, out, err = lockstep("interp", "--lockstep-inject", "100", spin)
    gp = 3
    with open("count", "wb") as f:
        f.write(tiny.addi(gp, gp, 2) + tiny.jal(tiny.ZERO, -4))
    _, _, other = lockstep("interp", "--lockstep-inject", "100", "count")
    case("who wrote that register", any(t.startswith("* vCPU 0") and t.endswith("addi gp,gp,2")
                                        for t in other.splitlines()) and "* vCPU 0" not in err, other)
    case("the report for people", code == 1 and "0x0000000000000001 0x0000000000000000" in err, err)


def refused(kernel):
    code, _, err = lockstep("interp", "--disk", kernel, kernel)
    case("a disk that both would write", code == 7 and "E0108" in err and ",ro" in err, err)
    code, _, err = lockstep("interp", "--lockstep-inject", "x", kernel)
    case("an injection that is no number", code == 2 and "E0006" in err, err)


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with open("hello", "wb") as f:
            f.write(tiny.say("hello\n") + tiny.off())
        with open("spin", "wb") as f:
            f.write(tiny.say("hi\n") + tiny.spin())
        equal("hello", "spin")
        different("spin")
        refused("hello")
        os.chdir("/")
    print("1..%d" % len(results))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
