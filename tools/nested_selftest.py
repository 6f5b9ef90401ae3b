#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The runner of emulated hosts without an emulator: libraries of a program, output, endings."""
import os
import subprocess
import sys
import tempfile
import time
import unittest

import elf
import guest
import nested

Host = nested.Host


def follow(script, until=None, timeout=30):
    process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
    try:
        return Host.follow(process, until, time.monotonic(), timeout, None)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Endings(unittest.TestCase):
    def test_the_commands_own(self):
        result = follow("printf 'one\\r\\ntwo\\nnested: exit 3\\nlater\\n'; sleep 60")
        self.assertEqual((result.status, nested.text_of(result)), (3, "one\ntwo"))

    def test_a_line(self):
        result = follow("echo one; echo two; sleep 60", until="^tw")
        self.assertEqual((result.status, result.stopped), (0, True))

    def test_the_hosts(self):
        result = follow("echo one; printf two")
        self.assertEqual((result.status, nested.text_of(result)), (nested.BROKEN, "one\ntwo"))

    def test_time(self):
        result = follow("printf 'one\\ntw'; sleep 60", timeout=0.5)
        self.assertEqual((result.status, nested.text_of(result)), (nested.TIMED_OUT, "one\ntw"))
        self.assertLess(result.seconds, 20)


class Programs(unittest.TestCase):
    def build(self, top, *options):
        guest.write_whole(top + "/m.c", b"#include <math.h>\nint main(int n, char **v) { return (int)cos(n); }\n")
        subprocess.run(["gcc", "-o", top + "/m", top + "/m.c", "-fno-builtin", *options, "-lm"], check=True)
        return top + "/m"

    def test_needed(self):
        with tempfile.TemporaryDirectory() as top:
            program = self.build(top)
            interpreter, names = elf.dynamic(guest.read(program))
            self.assertTrue(os.path.exists(interpreter))
            self.assertEqual(sorted(names), ["libc.so.6", "libm.so.6"])
            machine = os.uname().machine
            found = nested.shared(program, nested.LIBRARIES[machine])
            self.assertIn(interpreter, found)
            self.assertIn("/usr/lib/libm.so.6", found)
            with self.assertRaises(nested.NestedError):
                nested.shared(program, [top])
            self.assertEqual(elf.dynamic(guest.read(self.build(top, "-static"))), (None, []))


if __name__ == "__main__":
    sys.exit(not unittest.main(exit=False).result.wasSuccessful())
