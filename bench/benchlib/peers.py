# SPDX-License-Identifier: MIT OR Apache-2.0
"""Results of native and QEMU that are kept for the next run; Hull's are always new.

They lose what alternating gives: a change of the machine's load between the runs is in the ratios.
"""
import json
import os

from . import build


def read(path):
    """The object in a JSON file; nothing if there is no such file or no object in it."""
    try:
        value = json.loads(build.guest.read(path))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


class Store:
    """The file, or without a path one that has nothing and keeps nothing."""

    def __init__(self, path, result, programs_key):
        self.path = path
        self.rows = read(path) if path else {}
        self.date_now = result["date"]
        self.same = {"machine": result["machine"], "kernel": result["kernel"], "seconds": result["seconds"],
                     "programs": programs_key}

    def key(self, machine):
        return dict(self.same, version=machine.version())

    def kept(self, machine):
        row = self.rows.get(machine.name)
        if machine.name.startswith("hull") or not isinstance(row, dict) or row.get("key") != self.key(machine):
            return {}
        return row

    def has(self, machine, names, boot):
        """Are all results there that are wanted?"""
        row = self.kept(machine)
        return bool(row and set(names) <= set(row.get("samples", {}))
                    and (row.get("boot") or not boot or not machine.boots))

    def date(self, name):
        return self.rows[name]["date"]

    def exchange(self, result, chosen, fresh, done):
        """Adds what is kept to a result, and keeps what is new."""
        for machine in chosen:
            if machine not in fresh:
                self.give(machine.name, result)
            elif self.path and not machine.name.startswith("hull") and machine.name not in done.failed:
                self.take(machine, result)
        if self.path:
            text = json.dumps(self.rows, indent=1) + "\n"
            build.guest.write_whole(os.path.abspath(self.path), text.encode())

    def give(self, name, result):
        row = self.rows[name]
        result.setdefault("reused", {})[name] = row["date"]
        for program, kept in row["samples"].items():
            if program in result["wanted"]:
                result["programs"].setdefault(program, {})[name] = kept
        if row.get("boot") and result["want_boot"]:
            result["boot"][name] = row["boot"]

    def take(self, machine, result):
        row = dict(self.kept(machine)) or {"samples": {}}
        row.update(key=self.key(machine), date=self.date_now)
        row["samples"].update({p: found[machine.name] for p, found in result["programs"].items()
                               if machine.name in found})
        row["boot"] = result["boot"].get(machine.name) or row.get("boot")
        self.rows[machine.name] = row
