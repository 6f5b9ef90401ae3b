# SPDX-License-Identifier: MIT OR Apache-2.0
"""How soon the first guest instruction runs, and what memory a machine takes beside its guest's."""
import os
import re
import signal
import subprocess
import threading
import time

from . import build

MEMORY_MIB = 128
LIMIT_S = 20
SETTLE_S = 0.5
TIMES = 20


def once(command):
    """(wall s, CPU s, exit code) of a process; the guest's first instructions switch it off."""
    quiet = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
             (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
             (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    start = time.monotonic()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=quiet)
    timer = threading.Timer(LIMIT_S, os.kill, (pid, signal.SIGKILL))
    timer.start()
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - start
    timer.cancel()
    return wall, usage.ru_utime + usage.ru_stime, status


def private_kib(pid, ram_mib):
    """Private memory of a process without the mapping of the guest's RAM; and what that holds."""
    with open("/proc/%d/smaps" % pid, encoding="utf-8") as f:
        text = f.read()
    rows = []
    for part in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", text)[1:]:
        size = int(re.search(r"^Size: +(\d+)", part, re.M)[1])
        rows.append((size, sum(map(int, re.findall(r"^Private_\w+: +(\d+) kB", part, re.M)))))
    ram = min((row for row in rows if row[0] >= ram_mib << 10), default=(0, 0))
    return sum(private for _, private in rows) - ram[1], ram[1]


def memory(command, ram_mib):
    """private_kib() of a machine whose guest waits for ever; a text if it ended."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    try:
        time.sleep(SETTLE_S)
        if process.poll() is not None:
            return process.stderr.read().decode("utf-8", "replace").strip() or "it ended by itself"
        return private_kib(process.pid, ram_mib)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def measure(machines, folder, times=TIMES):
    """{name: {wall: [...], cpu: [...], private_kib, ram_kib} or {problem}}; they alternate."""
    off, halt = build.tiny_off(folder), build.tiny_halt(folder)
    commands = {"process": ["/bin/true"]}  # the floor: a program that does nothing
    commands.update({m.name: m.tiny_command(off, MEMORY_MIB) for m in machines})
    result = {name: {"wall": [], "cpu": []} for name in commands}
    for number in range(times + 1):
        for name, command in commands.items():
            if "problem" in result[name]:
                continue
            wall, cpu, status = once(command)
            if status:
                result[name] = {"problem": "the guest of six instructions ended with wait status %d"
                                % status}
            elif number:  # the first fills the caches
                result[name]["wall"].append(wall)
                result[name]["cpu"].append(cpu)
    for machine in machines:
        if "problem" in result[machine.name]:
            continue
        used = memory(machine.tiny_command(halt, MEMORY_MIB), MEMORY_MIB)
        if isinstance(used, str):
            result[machine.name]["memory_problem"] = used
        else:
            result[machine.name]["private_kib"], result[machine.name]["ram_kib"] = used
    return result
