# SPDX-License-Identifier: MIT OR Apache-2.0
"""Boots of a machine that kept translated code from an earlier boot."""
import os
import tempfile

from . import goals, machines


class Later:
    """Boots again, with a folder of translated code that a first boot fills; a context."""

    def __init__(self, chosen, folder, say):
        self.say, self.folders = say, {}
        os.makedirs(folder, exist_ok=True)
        self.top = tempfile.TemporaryDirectory(prefix="code-", dir=folder)
        for machine in chosen:
            if not goals.judged(machine.name):
                continue
            if machine.keeps_code():
                self.folders[machine.name] = None
            else:
                say("left out: %s%s: hull run has no --code-cache" % (machine.name, goals.SECOND_MARK))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.top.cleanup()

    def boot(self, machine, args, results):
        """One more boot of a machine that ran; before its first, one that fills the folder."""
        if machine.name not in self.folders or machine.name in results.failed:
            return
        name = machine.name + goals.SECOND_MARK
        first = not self.folders[machine.name]
        if first:
            self.folders[machine.name] = tempfile.mkdtemp(dir=self.top.name)
        for timed in ([False, True] if first else [True]):
            work = machines.Work([], args.seconds, args.limit, args.silence)
            run = machine.once(work, ["--code-cache", self.folders[machine.name]])
            if run.problem:
                del self.folders[machine.name]
                results.fail(name, run.problem)
                return
            if timed:
                results.boots.setdefault(name, []).append(run.boot)
