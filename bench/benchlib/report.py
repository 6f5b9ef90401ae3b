# SPDX-License-Identifier: MIT OR Apache-2.0
"""Medians, ratios, tables; build/bench.json and docs/performance.md."""
import math
import os
import platform
import re
import statistics
import subprocess

from . import build, machines

GROUPS = ("int", "ctl", "fp", "mem", "sys")


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values),
            "samples": values}


def geomean(values):
    return math.exp(statistics.fmean(map(math.log, values))) if values else None


def machine_text():
    model = "unknown CPU"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        text = f.read()
    found = re.search(r"^model name\s*: (.*)", text, re.M)
    if found:
        model = found[1]
    virtual = ", itself a virtual machine" if re.search(r"^flags.*\bhypervisor\b", text, re.M) else ""
    return "%s, %d CPUs%s, Linux %s" % (model, os.cpu_count(), virtual, platform.release())


def commit():
    def git(*args):
        return subprocess.run(["git", "-C", build.ROOT, *args], capture_output=True, text=True,
                              check=False).stdout.strip()
    name = git("rev-parse", "--short=12", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no")
    return name + " with changes" if changed else name


def summarize(rounds):
    """{program: {machine: {median, min, max, samples, best, check}}} of lists of runs."""
    programs = {}
    for name, runs in rounds.items():
        for run in runs:
            for program, (median, best, _, check) in run.samples.items():
                row = programs.setdefault(program, {}).setdefault(
                    name, {"samples": [], "best": best, "check": check})
                row["samples"].append(median)
                row["best"] = min(row["best"], best)
                if row["check"] != check:
                    row["check"] = "changes"
    for rows in programs.values():
        for row in rows.values():
            row.update(spread(row["samples"]))
    return programs


def wrong(programs):
    """(program, machine) pairs whose check value is not the native one."""
    return [(program, name) for program, rows in programs.items() for name, row in rows.items()
            if row["check"] != next(iter(rows.values()))["check"]]


def ratios(programs, group):
    """{machine: {"to_native": geomean, "gain": geomean over QEMU}} of a group ("" for all)."""
    result = {}
    mine = [rows for program, rows in programs.items() if program.startswith(group)]
    for name in sorted({n for rows in mine for n in rows} - {"native"}):
        slow = [rows[name]["median"] / rows["native"]["median"] for rows in mine
                if name in rows and "native" in rows]
        gain = [rows["qemu"]["median"] / rows[name]["median"] for rows in mine
                if name in rows and "qemu" in rows]
        result[name] = {"to_native": geomean(slow), "gain": geomean(gain), "programs": len(slow)}
    return result


def number(x):
    if x is None:
        return "–"
    return "%.0f" % x if x >= 100 else "%.1f" % x if x >= 10 else "%.2f" % x


def seconds(x):
    for scale, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if x >= scale:
            return "%.3g %s" % (x / scale, unit)
    return "%.3g ns" % (x / 1e-9)


def cell(row, base):
    if not row:
        return "–"
    if not base:
        return seconds(row["median"])
    text = number(row["median"] / base)
    if len(row["samples"]) > 1:
        text += " (%s–%s)" % (number(row["min"] / base), number(row["max"] / base))
    return text


def group_table(programs, group, names):
    """Rows of a Markdown table: each machine's time relative to native, gains over QEMU."""
    others = [n for n in names if n != "native"]
    gains = [n for n in others if n != "qemu"] if "qemu" in names else []
    rows = [["program"] + (["native, one unit"] if "native" in names else []) + others
            + ["QEMU / " + n for n in gains]]
    for program, found in programs.items():
        if not program.startswith(group + "/"):
            continue
        native = found.get("native")
        row = [program] + ([seconds(native["median"])] if native else ["–"] * ("native" in names))
        row += [cell(found.get(n), native and native["median"]) for n in others]
        row += [number(found["qemu"]["median"] / found[n]["median"])
                if n in found and "qemu" in found else "–" for n in gains]
        rows.append(row)
    means = ratios(programs, group + "/")
    if others and len(rows) > 2:
        rows.append(["**geometric mean**"] + [""] * ("native" in names)
                    + ["**%s**" % number(means.get(n, {}).get("to_native")) for n in others]
                    + ["**%s**" % number(means.get(n, {}).get("gain")) for n in gains])
    return rows


def boot_table(boots):
    rows = [["machine", "process start to init, s", "QEMU / it"]]
    qemu = boots.get("qemu")
    for name, row in boots.items():
        text = "%.3f (%.3f–%.3f)" % (row["median"], row["min"], row["max"])
        rows.append([name, text, number(qemu["median"] / row["median"]) if qemu else "–"])
    return rows


def start_table(start):
    rows = [["machine", "wall, ms: median (least)", "CPU, ms: median", "private memory beyond guest RAM, MiB (dirty)"]]
    for name, row in start.items():
        if "problem" in row:
            rows.append([name, row["problem"], "–", "–"])
            continue
        wall, cpu = [x * 1e3 for x in row["wall"]], [x * 1e3 for x in row["cpu"]]
        private = row.get("memory_problem", "–")
        if "private_kib" in row:
            private = "%.1f (%.1f)" % (row["private_kib"] / 1024, row["dirty_kib"] / 1024)
        rows.append(["(a process that does nothing)" if name == "process" else name,
                     "%.1f (%.1f)" % (statistics.median(wall), min(wall)),
                     "%.1f" % statistics.median(cpu), private])
    return rows


def count_table(counts, names):
    names = [n for n in names if any(n in row for row in counts.values())]
    rows = [["loop of"] + ["%s, %s" % (n, what) for n in names for what in ("a round", "an instruction")]]
    for kind, row in counts.items():
        cells = [kind]
        for n in names:
            cells += ["%.1f" % row[n][key] if n in row else "–" for key in ("round", "each")]
        rows.append(cells)
    return rows


def plain(rows):
    """A table for a terminal."""
    rows = [[text.replace("**", "") for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(text.rjust(w) if i else text.ljust(w)
                               for i, (text, w) in enumerate(zip(row, widths))).rstrip() for row in rows)


def markdown(rows):
    head = "| " + " | ".join(rows[0]) + " |\n|---|" + "---:|" * (len(rows[0]) - 1)
    return "\n".join([head] + ["| " + " | ".join(row) + " |" for row in rows[1:]])


def tables(result):
    """{group: rows} of everything that was measured."""
    found = {g: group_table(result["programs"], g, list(result["machines"])) for g in GROUPS
             if any(p.startswith(g + "/") for p in result["programs"])}
    if result.get("boot"):
        found["boot"] = boot_table(result["boot"])
    if result.get("start"):
        found["start"] = start_table(result["start"])
    if result.get("count"):
        found["count"] = count_table(result["count"], list(result["machines"]))
    return found


def change_table(old, new):
    """What differs from an earlier result: times relative to native by 10 %, counts by 1 %."""
    rows = [["changed", "machine", "before", "now", "before / now"]]

    def add(what, name, before, now, least):
        if before and now and not 1 / least <= before / now <= least:
            rows.append([what, name, number(before), number(now), number(before / now)])

    for program, found in new["programs"].items():
        past = old.get("programs", {}).get(program, {})
        for name in found:
            if name != "native" and "native" in found and {name, "native"} <= set(past):
                add(program, name, past[name]["median"] / past["native"]["median"],
                    found[name]["median"] / found["native"]["median"], 1.1)
    for name, row in new.get("boot", {}).items():
        add("boot", name, old.get("boot", {}).get(name, {}).get("median"), row["median"], 1.1)
    for kind, found in new.get("count", {}).items():
        for name, row in found.items():
            add("count of " + kind, name, old.get("count", {}).get(kind, {}).get(name, {}).get("round"),
                row["round"], 1.01)
    return rows


TITLES = {
    "int": "Integer", "ctl": "Control flow", "fp": "Floating point", "mem": "Memory",
    "sys": "System", "boot": "Boot", "start": "Start", "count": "Host instructions",
}
NOTES = {
    "mem": "`memcpy` and `stream` use areas exactly 1 MiB apart, `_off` 37 pages more; 64m, 512k, 16k: "
           "the size that is chased through.",
    "boot": "The same kernel and initramfs; until the first line that init prints. QEMU also runs OpenSBI.",
    "start": "A guest of six instructions that switches its machine off; 128 MiB, 20 times. Private memory: "
             "of all mappings but the guest's RAM, with a guest that waits for ever; clean pages of files "
             "count if nobody else has mapped them.",
    "count": "Counted by valgrind, so floating point is not among them. `bench/guest/count.S` has the loops; "
             "a round has two instructions more for the loop itself, and `time`, `mmio` (a store to a "
             "register of the 16550) and `hypercall` (an SBI call that does nothing) happen once in it. "
             "Hull's figures repeat within 0.1; QEMU's start has been seen to differ by a million instructions, "
             "which is 2.5 a round, 25 where a tenth of the rounds is run (call, csr, time, mmio).",
}
HEAD = """# Performance

`./do bench [GROUP]...` measures; `--write-doc` writes the groups that it measured into this file, so each
table names its own run. Engines run alternately on one machine, a guest has one vCPU and %d MiB, and
each figure is the median over rounds (least–greatest). Figures of machines are **times slower than
native**: lower is better; `QEMU / x` is how many times faster than QEMU x is: higher is better.
Machines are shared and noisy: compare within a table, not between tables.
""" % machines.MEMORY_MIB


def provenance(result):
    lines = ["`%s`, commit %s, load %.1f when it began, %d rounds of %g s a program."
             % (result["command"], result["commit"], result["load"], result["rounds"], result["seconds"]),
             result["machine"] + ".", "Guest kernel: %s." % result["kernel"],
             "Programs: %s, %s; %s." % (result["compilers"]["native"], result["compilers"][build.ARCH],
                                        result["flags"])]
    lines += ["%s: %s." % item for item in result["machines"].items() if item[0] != "native"]
    for name, row in ratios(result["programs"], "").items():
        if row["programs"] > 1:
            lines.append("All %d programs, %s: %s times slower than native%s."
                         % (row["programs"], name, number(row["to_native"]), "" if name == "qemu" or
                            not row["gain"] else ", QEMU / %s %s" % (name, number(row["gain"]))))
    return "\n".join("- " + line for line in lines)


def write_doc(path, result):
    """Replaces the sections of the measured groups; the others, and their runs, stay."""
    sections, runs = {}, {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            old, _, ran = f.read().partition("\n## Runs\n")
        sections = dict(re.findall(r"^## [^\n]*\n<!-- (\w+) -->\n(.*?)(?=^## |\Z)", old, re.M | re.S))
        runs = dict(re.findall(r"^### (\S+)\n\n(.*?)\s*(?=^### |\Z)", ran, re.M | re.S))
    name = result["date"][:16]
    runs[name] = provenance(result)
    for group, rows in tables(result).items():
        note = NOTES.get(group)
        sections[group] = "\n%s\n\n%sRun %s.\n" % (markdown(rows), note + "\n\n" if note else "", name)
    sections = {g: sections[g].rstrip() for g in TITLES if g in sections}
    text = HEAD + "".join("\n## %s\n<!-- %s -->\n\n%s\n" % (TITLES[g], g, body.lstrip())
                          for g, body in sections.items())
    used = [r for r in sorted(runs) if any(body.endswith("Run %s." % r) for body in sections.values())]
    text += "\n## Runs\n" + "".join("\n### %s\n\n%s\n" % (r, runs[r]) for r in used)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
