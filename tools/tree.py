# SPDX-License-Identifier: MIT OR Apache-2.0
"""The tree that the checks read.  HULL_CHECK_ROOT points them at another one (their self-test)."""
import os
import re
import subprocess

ROOT = os.path.abspath(os.environ.get("HULL_CHECK_ROOT")
                       or os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

FREESTANDING = ("base", "core", "isa", "fw", "dev", "board")
SKIP = re.compile(r"^(build[^/]*|\.git|__pycache__|node_modules)$")


def files(suffixes, *below):
    """Paths relative to the root of the files below the folders (all if none), sorted."""
    found = []
    for start in below or ("",):
        for folder, folders, names in os.walk(os.path.join(ROOT, start)):
            folders[:] = sorted(d for d in folders if not SKIP.match(d))
            found += [os.path.relpath(os.path.join(folder, n), ROOT) for n in sorted(names)
                      if n.endswith(suffixes)]
    return found


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def git(*args):
    """What git prints; empty if it fails."""
    return subprocess.run(["git", "-C", ROOT, *args], capture_output=True, text=True,
                          check=False).stdout


def bare(text):
    """C text with comments and the contents of strings blanked out, lines kept."""
    def blank(m):
        part = m[0]
        if part[0] in "\"'":
            return part[0] + " " * (len(part) - 2) + part[-1]
        return re.sub(r"[^\n]", " ", part)
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text,
                  flags=re.S)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


class Report:
    """Collects violations; prints them as file:line: section: text."""

    def __init__(self):
        self.count = 0

    def add(self, path, line, section, text):
        self.count += 1
        print("%s:%d: %s: %s" % (path, line, section, text))

    def status(self):
        return 1 if self.count else 0


def compile_all(name, rules, steps, report, section):
    """Compile with ninja, only what changed since the last time, below build-check/NAME.

    `rules` maps a rule's name to its command; `steps` are (object, rule, source).  Compiler errors
    become violations.  Returns the folder of the objects.
    """
    folder = os.path.join(ROOT, "build-check", name)
    os.makedirs(folder, exist_ok=True)
    text = ["rule %s\n  command = %s -MMD -MF $out.d -c $in -o $out\n  depfile = $out.d\n  deps = gcc"
            % rule for rule in sorted(rules.items())]
    text += ["build %s: %s %s" % (out, rule, os.path.join(ROOT, source)) for out, rule, source in steps]
    text = "\n".join(text) + "\n"
    path = os.path.join(folder, "build.ninja")
    if not os.path.exists(path) or read(path) != text:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    done = subprocess.run(["ninja", "--quiet", "-k", "0", "-C", folder], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    seen = set()
    for place, line, what in re.findall(r"^(\S+?):(\d+):(?:\d+:)? (?:fatal )?error: (.*)",
                                        done.stdout, re.M):
        place = os.path.relpath(os.path.join(folder, place), ROOT)
        if (place, line) not in seen:
            seen.add((place, line))
            report.add(place, int(line), section, what)
    if done.returncode and not seen:
        report.add("build-check/" + name, 1, section, done.stdout.strip())
    return folder
