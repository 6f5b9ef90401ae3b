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


def resident_kib(pid, start, size):
    """What of a range of addresses is in memory and the process's own: so no pages of zeros."""
    page = os.sysconf("SC_PAGE_SIZE")
    with open("/proc/%d/pagemap" % pid, "rb", buffering=0) as f:
        f.seek(start // page * 8)
        entries = f.read(size // page * 8)
    # Bits 63 and 56: present, mapped by nobody else.
    return sum(top & 0x81 == 0x81 for top in entries[7::8]) * page >> 10


def ram_address(pid, first, end, size, kernel):
    """Where guest's RAM lies in a mapping, by the kernel at its begin or 2 MiB in; or None.

    The system joins the RAM with a neighbour, so that its mapping may be larger.
    """
    with open("/proc/%d/mem" % pid, "rb", buffering=0) as f:
        for start in (first, end - size):
            for offset in (0, 2 << 20):
                f.seek(start + offset)
                if f.read(len(kernel)) == kernel:
                    return start
    return None


def private_kib(pid, ram_mib, kernel):
    """(private, of it dirty, of guest's RAM) KiB; private without guest's RAM.  None: where is it?"""
    with open("/proc/%d/smaps" % pid, encoding="utf-8") as f:
        text = f.read()
    ram, private, dirty = None, 0, 0
    last = None
    for part in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", text)[1:]:
        first, end = (int(x, 16) for x in part.split()[0].split("-"))
        # RAM whose beginning has other advice is two mappings.
        joined = part.split()[1].startswith("rw") and last is not None and last[1] == first
        last = (last[0] if joined else first, end) if part.split()[1].startswith("rw") else None
        first = last[0] if last else first
        field = {key: int(value) for key, value in re.findall(r"^(\w+): +(\d+) kB", part, re.M)}
        if ram is None and end - first >= ram_mib << 20 and part.split()[1].startswith("rw"):
            at = ram_address(pid, first, end, ram_mib << 20, kernel)
            if at is not None:
                ram = resident_kib(pid, at, ram_mib << 20)
                dirty -= ram
                private -= ram
        private += field["Private_Clean"] + field["Private_Dirty"]
        dirty += field["Private_Dirty"]
    return None if ram is None else (private, dirty, ram)


def memory(machine, path):
    """private_kib() of a machine whose guest waits for ever; or a text that says why not."""
    with open(path, "rb") as f:
        kernel = f.read(72)
    process = subprocess.Popen(machine.tiny_command(path, MEMORY_MIB), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        time.sleep(SETTLE_S)
        if process.poll() is not None:
            return process.stderr.read().decode("utf-8", "replace").strip() or "it ended by itself"
        return private_kib(process.pid, MEMORY_MIB, kernel) or "the guest's RAM is not found"
    except OSError as e:
        return str(e)
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
        used = memory(machine, halt)
        if isinstance(used, str):
            result[machine.name]["memory_problem"] = used
        else:
            result[machine.name].update(zip(("private_kib", "dirty_kib", "ram_kib"), used))
    return result
