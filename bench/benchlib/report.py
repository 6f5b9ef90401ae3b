# SPDX-License-Identifier: MIT OR Apache-2.0
"""Medians, ratios, tables; build/bench.json and docs/performance.md."""
import math
import os
import platform
import re
import statistics
import subprocess

from . import build, goals, machines

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


def summarize(rounds, broken):
    """{program: {machine: {median, min, max, samples, best}}} of lists of runs, without what broke."""
    programs = {}
    for name, runs in rounds.items():
        for run in runs:
            for program, (median, best, _, _) in run.samples.items():
                if name in broken.get(program, ()):
                    continue
                row = programs.setdefault(program, {}).setdefault(name, {"samples": [], "best": best})
                row["samples"].append(median)
                row["best"] = min(row["best"], best)
    for rows in programs.values():
        for row in rows.values():
            row.update(spread(row["samples"]))
    return programs


def ratios(programs, group):
    """{machine: {"to_native": geomean, "gain": geomean over QEMU}} of a group ("" for all)."""
    result = {}
    mine = [rows for program, rows in programs.items() if program.startswith(group)]
    for name in sorted({n for rows in mine for n in rows} - {"native"}):
        slow = [rows[name]["median"] / rows["native"]["median"] for rows in mine
                if name in rows and "native" in rows]
        gain = [rows["qemu"]["median"] / rows[name]["median"] for rows in mine
                if name in rows and "qemu" in rows]
        result[name] = {"to_native": geomean(slow), "gain": geomean(gain), "programs": max(len(slow), len(gain))}
    return result


def sum_up(name, row):
    """A machine's row of ratios() in words; nothing if there is nothing to compare it with."""
    facts = ["%s times slower than native" % number(row["to_native"])] if row["to_native"] else []
    facts += ["QEMU / %s %s" % (name, number(row["gain"]))] if row["gain"] and name != "qemu" else []
    return "All %d programs, %s: %s" % (row["programs"], name, ", ".join(facts)) if facts else ""


def number(x):
    if x is None:
        return "–"
    return "%.0f" % x if x >= 100 else "%.1f" % x if x >= 10 else "%.2f" % x


def seconds(x):
    for scale, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if x >= scale:
            return "%.3g %s" % (x / scale, unit)
    return "%.3g ns" % (x / 1e-9)


def cell(row, base, failed=False):
    if not row:
        return "FAILED" if failed else "–"
    if not base:
        return seconds(row["median"])
    text = number(row["median"] / base)
    if len(row["samples"]) > 1:
        text += " (%s–%s)" % (number(row["min"] / base), number(row["max"] / base))
    return text


def program_row(program, found, broken, others, gains, with_native):
    native = found.get("native")
    row = [program] + ([cell(native, None, "native" in broken)] if with_native else [])
    row += [cell(found.get(n), native and native["median"], n in broken) for n in others]
    for n in gains:
        gain = found["qemu"]["median"] / found[n]["median"] if {"qemu", n} <= set(found) else None
        row.append(number(gain) + (" low" if gain and goals.judged(n) and gain < goals.LEAST else ""))
    return row


def group_table(result, group):
    """Rows of a Markdown table: each machine's time relative to native, gains over QEMU, the goal."""
    programs, names = result["programs"], list(result["machines"])
    others = [n for n in names if n != "native"]
    gains = [n for n in others if n != "qemu"] if "qemu" in names else []
    aim = any(map(goals.judged, gains))
    rows = [["program"] + (["native, one unit"] if "native" in names else []) + others
            + ["QEMU / " + n for n in gains] + ["goal"] * aim]
    for program in of_group(result, group):
        row = program_row(program, programs.get(program, {}), result.get("broken", {}).get(program, {}),
                          others, gains, "native" in names)
        rows.append(row + ["%.2f" % goals.LEAST] * aim)
    means = ratios(programs, group + "/")
    verdicts = {r["machine"]: ", " + r["verdict"] for r in goals.judge(result) if r["group"] == group}
    if others and len(rows) > 2:
        rows.append(["**geometric mean**"] + [""] * ("native" in names)
                    + ["**%s**" % number(means.get(n, {}).get("to_native")) for n in others]
                    + ["**%s%s**" % (number(means.get(n, {}).get("gain")), verdicts.get(n, "")) for n in gains]
                    + ["**%.2f**" % goals.GROUPS[group]] * aim)
    return rows


def of_group(result, group):
    """Programs that ran or failed, in the order of the list of all."""
    found = set(result["programs"]) | set(result.get("broken", {}))
    order = list(result.get("known", [])) + sorted(found)
    return [p for p in dict.fromkeys(order) if p in found and p.startswith(group + "/")]


def smp_table(result):
    names = list(result["machines"])
    rows = [["program"] + names]
    for program, found in result["smp"].items():
        failed = result.get("broken", {}).get(program, {})
        rows.append([program] + [number(found[n]["1"]["median"] / found[n]["2"]["median"]) if n in found
                                 else "FAILED" if n in failed else "–" for n in names])
    return rows


def boot_table(result):
    boots = result["boot"]
    rows = [["machine", "process start to init, s", "QEMU / it", "goal"]]
    qemu = boots.get("qemu")
    verdicts = {r["machine"]: r for r in goals.judge(result) if r["group"] == "boot"}
    for name, row in boots.items():
        text = "%.3f (%.3f–%.3f)" % (row["median"], row["min"], row["max"])
        verdict = verdicts.get(name)
        rows.append([name, text, number(qemu["median"] / row["median"]) if qemu else "–",
                     "%.2f, %s" % (verdict["goal"], verdict["verdict"]) if verdict else "–"])
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
    if result.get("smp"):
        return {"smp": smp_table(result)}
    found = {g: group_table(result, g) for g in GROUPS if of_group(result, g)}
    if result.get("boot"):
        found["boot"] = boot_table(result)
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
    "sys": "System", "boot": "Boot", "start": "Start", "smp": "Two CPUs", "count": "Host instructions",
}
NOTES = {
    "mem": "`memcpy` and `stream` use areas exactly 1 MiB apart, `_off` 37 pages more; 64m, 512k, 16k: "
           "the size that is chased through.",
    "boot": "The same kernel and initramfs; until the first line that init prints. QEMU also runs OpenSBI. "
            "`second`: with translated code that an earlier boot kept.",
    "smp": "What two CPUs do in the same time as one, with a process bound to each; natively likewise on two CPUs "
           "of this machine, which bounds the others. 2 is the most.",
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
native**: lower is better; `QEMU / x` is how many times faster than QEMU x is: higher is better. `goal`
is what that must be for a translating engine, of each program and of a group; `low` falls short of it.
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
        if row["programs"] > 1 and sum_up(name, row):
            lines.append(sum_up(name, row) + ".")
    return "\n".join("- " + line for line in lines)


def read_doc(path):
    """Groups' sections, runs, and what people wrote before and behind them."""
    sections, runs, own = {}, {}, ([], [])
    if not os.path.exists(path):
        return sections, runs, own
    with open(path, encoding="utf-8") as f:
        parts = re.split(r"^(?=## )", f.read(), flags=re.M)[1:]
    for part in parts:
        title, _, body = part.partition("\n")
        marked = re.match(r"<!-- (\w+) -->\n", body)
        if marked:
            sections[marked[1]] = body[marked.end():]
        elif title == "## Runs":
            runs = dict(re.findall(r"^### (\S+)\n\n(.*?)\s*(?=^### |\Z)", body, re.M | re.S))
        else:
            own[bool(sections)].append(part.rstrip())
    return sections, runs, own


def write_doc(path, result):
    """Replaces the sections of the measured groups; all others, and their runs, stay."""
    sections, runs, (before, behind) = read_doc(path)
    name = result["date"][:16]
    runs[name] = provenance(result)
    for group, rows in tables(result).items():
        note = NOTES.get(group)
        sections[group] = "\n%s\n\n%sRun %s.\n" % (markdown(rows), note + "\n\n" if note else "", name)
    sections = {g: sections[g].rstrip() for g in TITLES if g in sections}
    text = HEAD + "".join("\n%s\n" % part for part in before)
    text += "".join("\n## %s\n<!-- %s -->\n\n%s\n" % (TITLES[g], g, body.lstrip())
                    for g, body in sections.items())
    used = [r for r in sorted(runs) if any(body.endswith("Run %s." % r) for body in sections.values())]
    text += "\n## Runs\n" + "".join("\n### %s\n\n%s\n" % (r, runs[r]) for r in used)
    text += "".join("\n%s\n" % part for part in behind)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
