#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""--code-cache: a second boot takes the first one's code, whatever becomes of the file in between."""
# timeout: 900
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

SCRIPT = "facts\nsha256sum /bin/busybox\n"


class Boot:
    def __init__(self, args, kept, *more, engine="jit"):
        self.vm = vm.Vm(*args, *vm.cmdline(), "--engine", engine, "--code-cache", kept, "--engine-stats", "--json",
                        "--memory", "256M", "--exit-on", "panic", *more, stdin=subprocess.DEVNULL)

    def end(self):
        code = self.vm.end()
        lines = [t for t in self.vm.err.splitlines() if "hull.engine-stats/1" in t]
        self.good = code == 0 and "hull: done" in self.vm.out and len(lines) == 1
        self.count = json.loads(lines[0]) if lines else {}
        return self

    def of(self, name):
        return self.count.get(name, -1)


def the_file(kept):
    return os.path.join(kept, sorted(n for n in os.listdir(kept) if n.endswith(".hulljit"))[0])


def damage(path):
    with open(path, "r+b") as f:
        size = f.seek(0, os.SEEK_END)
        for at in range(size // 80, size, size // 40):  # all over the file
            f.seek(at)
            byte = f.read(1)
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte[0] ^ 0x10]))


def translated(boot):
    return sum(boot.of(name) for name in ("blocks_translated", "regions_compiled", "blocks_promoted"))


def tier_2(tap, args, kept):
    """Loops and what is hot are kept, too, and used by an engine that has that tier only."""
    first = Boot(args, kept, engine="opt").end()
    many = translated(first)
    tap.check(first.good and many > 1000 and first.of("regions_compiled") > 20 and first.of("regions_loaded") == 0,
              "a first boot with loops", first.vm.story())
    second = Boot(args, kept, engine="opt").end()
    loops = first.of("regions_compiled") + first.of("blocks_promoted")
    tap.check(second.good and 0 <= translated(second) < many // 5 and second.of("regions_loaded") > loops // 2 and
              second.of("cache_rejected") == 0, "a second one translates less than a fifth", second.vm.story())
    jit = Boot(args, kept).end()
    tap.check(jit.good and jit.of("regions_loaded") == 0 and jit.of("cache_loaded") > 1000,
              "without that tier, the blocks only", jit.vm.story())
    judged = Boot(args, kept, "--lockstep", "interp", "--lockstep-slice", "30011", engine="opt")
    judged.vm.end(600)
    judged.end()
    tap.check(judged.good and '"equal":true' in judged.vm.out and judged.of("regions_loaded") > loops // 4,
              "kept code and the interpreter agree", judged.vm.story())


def one_cpu(tap, args, kept):
    first = Boot(args, kept).end()
    many = first.of("blocks_translated")
    tap.check(first.good and many > 1000, "a first boot", first.vm.story())
    second = Boot(args, kept).end()
    tap.check(second.good and second.of("cache_loaded") > many // 2 and
              0 <= second.of("blocks_translated") < many // 5,
              "a second one translates less than a fifth", second.vm.story())
    damage(the_file(kept))
    third = Boot(args, kept).end()
    tap.check(third.good and "kept code is not used" in third.vm.err, "a damaged file is not used",
              third.vm.story())
    pair = [Boot(args, kept), Boot(args, kept)]
    pair = [b.end() for b in pair]
    tap.check(all(b.good and b.of("blocks_translated") < many // 5 for b in pair), "and replaced; two runs at once",
              pair[0].vm.story() + pair[1].vm.story())


def several_cpus(tap, args, kept):
    more = ["--cpus", "3"]
    first, second = (Boot(args, kept, *more, engine="opt").end() for _ in range(2))
    tap.check(first.good and second.good and second.of("cache_loaded") > 0 and
              second.of("blocks_translated") < first.of("blocks_translated") // 2,
              "three CPUs share their code", first.vm.story() + second.vm.story())


def deterministic(tap, args, kept):
    runs = [Boot(args, kept, "--deterministic", engine="opt").end() for _ in range(2)]
    tap.check(all(r.good for r in runs) and runs[0].vm.bytes["out"] == runs[1].vm.bytes["out"] and
              runs[0].of("instructions") == runs[1].of("instructions") and
              runs[1].of("blocks_translated") < runs[0].of("blocks_translated") // 5,
              "a deterministic run is the same with code that was kept", runs[0].vm.story() + runs[1].vm.story())


def ended(tap, args, kept):
    boot = Boot(args, kept)
    boot.vm.expect("hull: ")
    boot.vm.signal(15)
    boot.end()
    tap.check(len(os.listdir(kept)) == 1, "code is kept when the run is ended by a signal", boot.vm.story())


def main():
    vm.need()
    tap = vm.Tap()
    with tempfile.TemporaryDirectory() as folder:
        args = vm.linux(folder, SCRIPT)
        one_cpu(tap, args, os.path.join(folder, "one"))
        tier_2(tap, args, os.path.join(folder, "two"))
        several_cpus(tap, args, os.path.join(folder, "three"))
        deterministic(tap, args, os.path.join(folder, "same"))
        ended(tap, args, os.path.join(folder, "ended"))
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
