#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Run tests and sum them up.

  run_tests.py [--build DIR] [--fast DIR] [--cross ARCH:DIR:EMULATOR]... --suite NAME [--suite NAME]... [-- PATTERN...]

Suites: unit (the programs that Meson knows in --build), check (tools/check_*.py), selftest
(tools/*_selftest.py), cli, guest, nested, metal, smp and long (tests/cli/*.py and so on), aarch64 and
riscv64 (unit tests of the engine in the build folder DIR, run by EMULATOR).  A test speaks TAP
or answers by its exit code: 0 passed, 77 skipped, anything else failed.  docs/testing.md has
the conventions.  The last line is "N passed, N failed[, N skipped]".
"""
import argparse
import collections
import concurrent.futures
import glob
import json
import os
import re
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SKIPPED = 77
PATTERNS = {"check": "check_*.py", "selftest": "*_selftest.py"}

# Unit tests whose subject depends on the processor that they run on; no code is generated for riscv64.
CROSS = {"aarch64": r"test_(rv_|ir$|fp$|hardfloat$|jit_)",
         "riscv64": r"test_(rv_(asm|csr|engine|insn|judge|mmu|rows)$|ir$|fp$|hardfloat$)"}
EMULATION_TAKES = 4  # times as long

Test = collections.namedtuple("Test", "name command env timeout")
Result = collections.namedtuple("Result", "test passed failed skipped seconds why output")


def unit_tests(build):
    rows = json.loads(subprocess.run(["meson", "introspect", "--tests", build], check=True,
                                     capture_output=True).stdout)
    for row in rows:
        env = dict(row["env"], CMOCKA_MESSAGE_OUTPUT="TAP")
        yield Test("unit/" + row["name"], row["cmd"], env, row["timeout"])


def cross_tests(arch, build, emulator):
    for test in unit_tests(build):
        name = test.name.replace("unit/", "")
        if re.match(CROSS[arch], name):
            yield Test("%s/%s" % (arch, name), [emulator, *test.command], test.env,
                       test.timeout * EMULATION_TAKES)


def script_tests(suite, folder, pattern, env):
    for path in sorted(glob.glob(os.path.join(ROOT, folder, pattern))):
        name = os.path.basename(path)[:-3]
        if name.startswith("_") or suite == "check" and name.endswith("_selftest"):
            continue
        name = name.replace("check_", "") if suite == "check" else name.replace("_selftest", "")
        with open(path, encoding="utf-8") as f:
            limit = re.search(r"^# timeout: (\d+)", f.read(), re.M)
        timeout = int(limit[1]) if limit else 300
        yield Test("%s/%s" % (suite, name), [sys.executable, path], env, timeout)


def collect(args):
    def hull(folder):
        return os.path.abspath(os.path.join(folder, "hull")) if folder else ""

    env = {"HULL": hull(args.build), "HULL_FAST": hull(args.fast), "HULL_SOURCE": ROOT}
    for arch in ("aarch64", "riscv64", "x86_64"):  # what emulated hosts run
        native = arch == os.uname().machine
        env["HULL_" + arch.upper()] = hull(args.fast if native else os.path.join(ROOT, "build-" + arch))
    env["HULL_METAL"] = os.path.join(ROOT, "build-metal", "src", "metal", "hull-metal.img")
    crosses = {arch: where for arch, *where in (item.split(":", 2) for item in args.cross)}
    tests = []
    for suite in args.suite:
        if suite == "unit":
            tests += unit_tests(args.build)
        elif suite in CROSS:
            tests += cross_tests(suite, *crosses[suite])
        elif suite in ("check", "selftest"):
            tests += script_tests(suite, "tools", PATTERNS[suite], {})
        else:
            mine = dict(env, HULL=env["HULL_FAST"]) if suite == "guest" else env
            tests += script_tests(suite, "tests/" + suite, "*.py", mine)
    if args.pattern:
        tests = [t for t in tests if any(p in t.name for p in args.pattern)]
    return tests


def judge(output, status):
    """(passed, failed, skipped, why) from TAP in the output, or else from the exit code."""
    cases = re.findall(r"^(not ok|ok)\b([^\n]*)", output, re.M)
    plan = re.search(r"^1\.\.(\d+)([^\n]*)", output, re.M)
    if not plan:
        if status == SKIPPED:
            return 0, 0, 1, (output.strip().splitlines() or [""])[-1]
        return (0, 1, 0, "exit code %d" % status) if status else (1, 0, 0, "")
    # cmocka says "not ok N # SKIP name".
    skipped = sum(1 for _, text in cases if re.search(r"#\s*skip", text, re.I))
    failed = sum(1 for result, text in cases if result == "not ok" and not re.search(r"#\s*skip", text, re.I))
    passed = len(cases) - failed - skipped
    why = "%d of %d cases" % (failed, len(cases)) if failed else ""
    if len(cases) != int(plan[1]):
        failed += 1
        why = "planned %s cases, ran %d" % (plan[1], len(cases))
    if status and not failed:
        failed, why = 1, "exit code %d" % status
    if int(plan[1]) == 0 and not failed:
        return 0, 0, 1, plan[2].strip(" #") or "nothing to run"
    return passed, failed, skipped, why


def run(test):
    start = time.monotonic()
    env = dict(os.environ, **test.env)
    env.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")
    process = subprocess.Popen(test.command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True)
    late = False
    try:
        output = process.communicate(timeout=test.timeout)[0]
    except subprocess.TimeoutExpired:
        late = True
        os.killpg(process.pid, signal.SIGKILL)
        output = process.communicate()[0]
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    output = output.decode("utf-8", "replace")
    passed, failed, skipped, why = judge(output, process.returncode)
    if late:
        failed, why = max(failed, 1), "stopped after %d s" % test.timeout
    elif process.returncode < 0:
        why = "ended by %s" % signal.Signals(-process.returncode).name
    return Result(test, passed, failed, skipped, time.monotonic() - start, why, output)


def report(result):
    word = "FAIL" if result.failed else "ok" if result.passed else "skip"
    count = "%4d" % result.passed if result.passed + result.failed > 1 else "    "
    note = "   " + result.why if result.why else ""
    print("%-4s %-34s %s %7.2f s%s" % (word, result.test.name, count, result.seconds, note), flush=True)
    if result.failed:
        lines = result.output.rstrip().splitlines()
        if len(lines) > 60:
            print("     | ... %d lines before" % (len(lines) - 60))
            print("".join("     | %s\n" % line for line in lines[:-60] if line.startswith("not ok")), end="")
        print("\n".join("     | " + line for line in lines[-60:]), flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--build", default="")
    parser.add_argument("--fast", default="")
    parser.add_argument("--cross", action="append", default=[])
    parser.add_argument("--list", action="store_true", help="only the programs of the tests")
    parser.add_argument("--suite", action="append", required=True,
                        choices=["unit", "check", "selftest", "cli", "guest", "nested", "metal", "smp", "long",
                                 *CROSS])
    parser.add_argument("pattern", nargs="*")
    args = parser.parse_args()
    # A runner that was started in the background or by nohup ignores signals that tests send to
    # programs.  With a handler instead they still do nothing here, and programs get the default.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    tests = collect(args)
    if args.list:
        print("\n".join(os.path.relpath(t.command[-1], args.cross[0].split(":")[1]) for t in tests))
        return
    if not tests:
        print("no test matches")
    results = []
    with concurrent.futures.ThreadPoolExecutor(max(os.cpu_count() or 1, 1)) as pool:
        for future in concurrent.futures.as_completed([pool.submit(run, t) for t in tests]):
            results.append(future.result())
            report(results[-1])
    passed, failed, skipped = (sum(getattr(r, k) for r in results)
                               for k in ("passed", "failed", "skipped"))
    bad = sorted(r.test.name for r in results if r.failed)
    print("\n" + ("failed: " + " ".join(bad) + "\n" if bad else "") + "%d passed, %d failed%s"
          % (passed, failed, ", %d skipped" % skipped if skipped else ""), flush=True)
    sys.exit(1 if failed or not tests else 0)


if __name__ == "__main__":
    main()
