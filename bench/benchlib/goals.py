# SPDX-License-Identifier: MIT OR Apache-2.0
"""What Hull's translators must reach beside QEMU, and whether they do."""
import math
import statistics

GROUPS = {"int": 1.6, "ctl": 4, "fp": 5, "mem": 1.7, "sys": 2.5}  # geometric means of QEMU / Hull
BOOT, SECOND = 1.6, 2.2  # with nothing kept from an earlier start, and with translated code kept
LEAST = 0.9  # of each program
SECOND_MARK = ", second"  # behind a machine's name, of boots with kept code


def judged(name):
    return name.startswith("hull") and not name.startswith("hull-interp")


def of_group(result, group, name):
    """A row about a machine's programs of a group, or None if it ran none of them."""
    mine = [p for p in result["programs"] if p.startswith(group + "/")]
    gains = {p: result["programs"][p]["qemu"]["median"] / result["programs"][p][name]["median"] for p in mine
             if {"qemu", name} <= set(result["programs"][p])}
    failed = [p for p, rows in result.get("broken", {}).items() if p.startswith(group + "/") and name in rows]
    if not gains and not failed:
        return None
    gain = math.exp(statistics.fmean(map(math.log, gains.values()))) if gains else None
    low = {p: g for p, g in gains.items() if g < LEAST}
    total = sum(k.startswith(group + "/") for k in result.get("known", []))
    good = gain is not None and gain >= GROUPS[group] and not low and not failed
    verdict = "PASS" if good else "below"
    if not low and not failed and len(gains) < total:
        verdict = "%d of %d programs" % (len(gains), total)
    return {"group": group, "machine": name, "goal": GROUPS[group], "gain": gain, "low": low, "failed": failed,
            "verdict": verdict}


def of_boot(result, name):
    boots = result["boot"]
    if not {"qemu", name} <= set(boots):
        return None
    goal = SECOND if name.endswith(SECOND_MARK) else BOOT
    gain = boots["qemu"]["median"] / boots[name]["median"]
    return {"group": "boot", "machine": name, "goal": goal, "gain": gain, "low": {}, "failed": [],
            "verdict": "PASS" if gain >= goal else "below"}


def judge(result):
    """Rows {group, machine, goal, gain, low, failed, verdict}, only where QEMU ran too."""
    if "qemu" not in result["machines"]:
        return []
    rows = [of_group(result, g, n) for g in GROUPS for n in result["machines"] if judged(n)]
    rows += [of_boot(result, n) for n in result.get("boot", {}) if judged(n)]
    return [r for r in rows if r]


def table(rows):
    lines = [["group", "machine", "goal", "gain", "verdict", "below %g" % LEAST]]
    for row in rows:
        bad = ["%s FAILED" % p for p in row["failed"]] + ["%s %.2f" % item for item in row["low"].items()]
        lines.append([row["group"], row["machine"], "%g" % row["goal"],
                      "%.2f" % row["gain"] if row["gain"] else "–", row["verdict"], ", ".join(bad) or "–"])
    return lines
