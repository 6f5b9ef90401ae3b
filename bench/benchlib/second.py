# SPDX-License-Identifier: MIT OR Apache-2.0
"""Boots of a machine that kept translated code from an earlier boot."""
import os
import tempfile

from . import goals, machines

OPTION = "--code-cache"


class Later:
    """Boots again, with a folder of translated code that a first boot fills; a context."""

    def __init__(self, chosen, folder, say):
        self.say, self.folders = say, {}
        os.makedirs(folder, exist_ok=True)
        self.top = tempfile.TemporaryDirectory(prefix="code-", dir=folder)
        for machine in chosen:
            if not goals.judged(machine.name):
                continue
            refusal = machine.refusal([OPTION, self.top.name])
            if refusal:
                self.leave_out(machine, refusal)
            else:
                self.folders[machine.name] = None

    def leave_out(self, machine, why):
        self.say("left out: %s%s: %s" % (machine.name, goals.SECOND_MARK, why))
        self.folders.pop(machine.name, None)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.top.cleanup()

    def boot(self, machine, args, results):
        """One more boot of a machine that ran; before its first, one that fills the folder."""
        if machine.name not in self.folders or machine.name in results.failed:
            return
        name = machine.name + goals.SECOND_MARK
        work = machines.Work([], args.seconds, args.limit, args.silence)
        first = not self.folders[machine.name]
        if first:
            self.folders[machine.name] = tempfile.mkdtemp(dir=self.top.name)
        extra = [OPTION, self.folders[machine.name]]
        run = machine.once(work, extra)
        if first and not run.problem:
            if not os.listdir(extra[1]):
                self.leave_out(machine, "%s kept nothing" % OPTION)
                return
            run = machine.once(work, extra)
        if run.problem:
            del self.folders[machine.name]
            results.fail(name, run.problem)
        else:
            results.boots.setdefault(name, []).append(run.boot)
