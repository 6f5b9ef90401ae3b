#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""hull run: exit codes, files and disks that are wrong, streams that end, the boot doctor."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import _tiny as tiny  # noqa: E402

HULL = os.environ["HULL"]
LIMIT_S = 60
results = []


def case(name, good, detail=""):
    results.append(good)
    print("%s %d - %s" % ("ok" if good else "not ok", len(results), name))
    if not good and detail:
        print("\n".join("# " + line for line in str(detail).splitlines()))


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)
    return path


def run(*arguments, stdin=subprocess.DEVNULL):
    p = subprocess.run([HULL, "run", *arguments], stdin=stdin, capture_output=True,
                       timeout=LIMIT_S, check=False)
    return p.returncode, p.stdout.decode("utf-8", "replace"), p.stderr.decode("utf-8", "replace")


def expect(name, status, arguments, out=None, err=None):
    code, stdout, stderr = run(*arguments)
    good = code == status and (out is None or out in stdout) and (err is None or err in stderr)
    case(name, good, "exit code %d, not %d\n%s\n%s" % (code, status, stdout, stderr))


def endings():
    hello = write("hello", tiny.say("hello\n") + tiny.off())
    expect("power-off is success", 0, [hello], out="hello")
    expect("a crash is the guest's failure", 11, [write("crash", tiny.off(1))], err="crashed")
    expect("a failure code is told", 11, [write("fail", tiny.fail(7))], err="failure 7")
    expect("text waited for", 0, ["--exit-on", "READY",
                                  write("ready", tiny.say("is REAREADY!\n") + tiny.spin())])
    expect("text never printed", 11, ["--exit-on", "READY", hello], err="without printing")
    expect("panic waited for", 11, ["--exit-on", "panic", write("panic", tiny.say(
        "Kernel panic - not syncing: oh\n") + tiny.spin())], err="panicked")
    expect("the words of a panic alone are none", 0, [write("quote", tiny.say(
        "Kernel panic - not syncing: a quotation\n") + tiny.off())])
    expect("two CPUs", 0, ["--cpus", "2", hello], out="hello")
    expect("deterministic", 0, ["--deterministic", hello], out="hello")
    expect("an engine that is not there", 13, ["--engine", "hw", hello], err="E1301")
    for engine in "jit", "opt":
        expect("the translator: " + engine, 0, ["--engine", engine, hello], out="hello")
    expect("the evaluator", 0, ["--engine", "eval", hello], out="hello")
    expect("a dump for perf that has no place", 1, ["--engine", "jit", "--perf", "jitdump", "--perf-dir", "/nowhere", hello],
           err="E1101")
    expect("a code cache that is no cache", 2, ["--code-cache-size", "5000", hello], err="E0005")
    expect("an unknown policy", 2, ["--code-cache-policy", "lru", hello], err="E0006")
    expect("no device tree", 0, ["--machine-dtb", "none", hello], out="hello")
    code, _, stderr = run("--timing", "--json", hello)
    line = [t for t in stderr.splitlines() if "hull.timing/1" in t]
    case("timing as JSON", code == 0 and len(line) == 1 and json.loads(line[0])["total_ns"] > 0,
         stderr)


def engine_stats():
    kernel = write("count", tiny.say("x\n") + tiny.off())
    code, _, stderr = run("--engine-stats", "--engine", "interp", "--cpus", "2", kernel)
    case("what the engine counted", code == 0 and "engine interp" in stderr and
         "instructions of the guest" in stderr and "vCPU 1" in stderr, stderr)
    code, _, stderr = run("--engine-stats", "--json", "--engine", "interp", kernel)
    line = [t for t in stderr.splitlines() if "hull.engine-stats/1" in t]
    r = json.loads(line[0]) if line else {}
    case("the same as JSON", code == 0 and r.get("blocks_decoded", 0) > 0 and
         r["instructions"] == r["vcpus"][0]["instructions"] > 10 and r["vcpu_hypercall"] == 2 and
         r["traps"] == 0, stderr)


def jit(*arguments):
    p = subprocess.run([HULL, "jit", *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                       timeout=LIMIT_S, check=False)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def counters(*arguments):
    code, _, err = run("--engine", "jit", "--engine-stats", "--json", "--deterministic", *arguments)
    line = [t for t in err.splitlines() if "hull.engine-stats/1" in t]
    return (json.loads(line[0]) if code == 0 and line else {}), err


def kept():
    loop = write("keep", tiny.li(tiny.A0, 0) + tiny.li(tiny.A1, 100000) + tiny.addi(tiny.A0, tiny.A0, 1) +
                 tiny.blt(tiny.A0, tiny.A1, -4) + tiny.off())
    folder = os.path.abspath("kept")
    first, err = counters("--code-cache", folder, loop)
    case("code to keep", first.get("blocks_translated", 0) > 0 and first["cache_loaded"] == 0 and "kept code" not in err, err)
    case("nobody else can write it", os.stat(folder).st_mode & 0o777 == 0o700)
    second, err = counters("--code-cache", folder, loop)
    case("code that was kept", second.get("cache_loaded", 0) > 0 and second["blocks_translated"] == 0 and
         second["instructions"] == first["instructions"], err)
    path = os.path.join(folder, os.listdir(folder)[0])
    with open(path, "r+b") as f:
        f.truncate(os.path.getsize(path) - 8)
    third, err = counters("--code-cache", folder, loop)
    case("a damaged file", third.get("blocks_translated", 0) > 0 and third["cache_loaded"] == 0 and
         "cut short" in err, err)
    fourth, err = counters("--code-cache", folder, loop)
    case("is replaced", fourth.get("cache_loaded", 0) > 0 and "kept code" not in err, err)
    os.chmod(folder, 0o777)
    open_to_all, err = counters("--code-cache", folder, loop)
    case("a directory for everybody", open_to_all.get("cache_loaded", 1) == 0 and "others may write" in err, err)
    expect("no place for a directory", 1, ["--engine", "jit", "--code-cache", "/nowhere/kept", loop], err="E1104")


def translated():
    spin = write("loop", tiny.say("x\n") + tiny.spin())
    arguments = ["--engine", "jit", "--jit-min-threshold", "5", spin]
    code, out, err = jit("dump", "--json", "--at=0x8000002c", *arguments)
    code = [c for c in json.loads(out)["code"] if c["what"] == "translated block"] if code == 0 else []
    case("a translated block", len(code) == 1 and len(code[0]["host"]) == 2 * code[0]["host_bytes"] > 10 and
         "goto" in code[0]["ir"], out + err)
    code, out, err = jit("dump", "--at=0x8000002c", *arguments)
    case("host code", code == 0 and "host:\n" in out, out + err)
    code, _, err = run("--engine-stats", "--deterministic", "--json", "--exit-on", "y", "--engine", "jit", write(
        "both", tiny.li(tiny.A0, 0) + tiny.li(tiny.A1, 100000) + tiny.addi(tiny.A0, tiny.A0, 1) +
        tiny.blt(tiny.A0, tiny.A1, -4) + tiny.say("y\n") + tiny.off()))
    line = [t for t in err.splitlines() if "hull.engine-stats/1" in t]
    r = json.loads(line[0]) if line else {}
    case("what the translator counted", code == 0 and r.get("blocks_translated", 0) > 0 and r["entries"] > 0 and
         r["exit_poll"] > 0 and r["host_bytes"] > r["guest_insns_translated"], err)
    folder = os.path.abspath("perf")
    os.mkdir(folder)
    run("--engine", "jit", "--jit-min-threshold", "5", "--perf", "jitdump", "--perf-dir", folder,
        "--exit-on", "y", "both")
    dumps = os.listdir(folder)
    data = open(os.path.join(folder, dumps[0]), "rb").read() if dumps else b""
    case("a dump for perf", data[:4] == b"DTiJ" and b"guest:0x800000" in data, dumps)


def jit_code():
    kernel = write("code", tiny.say("x\n") + tiny.off())
    code, out, err = jit("dump", "--at", "0x80000000", kernel)
    case("guest code and IR", code == 0 and "jal a1," in out and "IR:\n" in out and
         "goto" in out and "x\n" not in out.splitlines(), out + err)
    code, out, err = jit("dump", "--json", "--at=0x8000_0000", kernel)
    r = json.loads(out) if code == 0 else {"code": [{}]}
    case("the same as JSON", r["code"][0].get("guest", [""])[0].startswith("jal a1,") and
         r["code"][0]["physical"] == 0x80000000, out + err)
    code, out, err = jit("explain", "--at", "0x80000000", kernel)
    case("in a line", code == 0 and out.count("\n") == 1 and "instructions" in out, out + err)
    code, out, err = jit("stats", kernel)
    case("numbers", code == 0 and "blocks_decoded" in err, out + err)
    for name, status, number, arguments in [
            ("code that never ran", 3, "E1102", ["dump", "--at", "0x80000800", "--insns", "1000", kernel]),
            ("no address", 2, "E0002", ["dump", kernel]),
            ("an address that is none", 2, "E0004", ["dump", "--at", "here", kernel]),
            ("too many addresses", 2, "E0005", ["dump", *["--at=2"] * 17, kernel]),
            ("an option that is none", 2, "E0001", ["explain", "--at=2", "--nothing", kernel]),
            ("neither stats nor dump", 2, "E0007", ["smp"]), ("nothing", 2, "E0007", [])]:
        code, _, err = jit(*arguments)
        case("hull jit: " + name, code == status and number in err, "%d %s" % (code, err))


def reboots():
    """A guest that reboots for ever; the second start must print, too."""
    kernel = write("reboot", tiny.say("start\n") + tiny.reboot())
    p = subprocess.Popen([HULL, "run", kernel], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    lines = [p.stdout.readline() for _ in range(3)]
    p.send_signal(signal.SIGTERM)
    p.stdout.close()
    case("reboot starts again", lines == [b"start\n"] * 3 and p.wait(LIMIT_S) == 143, lines)


def wrong_files():
    hello = "hello"
    expect("nothing to start", 7, [], err="E0750")
    code, _, stderr = run("--json", write("text", b"hello"))
    report = [json.loads(t) for t in stderr.splitlines()]
    case("the boot doctor speaks JSON", code == 11 and report[0]["schema"] == "hull.diagnosis/1"
         and report[0]["stopped_for_good"] and "raw machine code" in report[0]["try"], stderr)
    expect("no such kernel", 3, ["nowhere"], err="nowhere")
    expect("a directory", 7, ["."], err="E0221")
    expect("an empty file", 7, [write("empty", b"")], err="E0224")
    expect("larger than memory", 7, ["--memory", "4K", write("big", bytes(8192))], err="E07")
    image = bytearray(4096)
    image[0x30:0x38] = b"RISCV\0\0\0"
    image[0x38:0x3C] = b"RSC\x05"
    image[0x10:0x18] = (1 << 40).to_bytes(8, "little")
    expect("an Image of absurd size", 7, [write("image", bytes(image))], err="E07")
    expect("a cut ELF", 12, [write("elf", b"\x7fELF\2\1\1" + bytes(20))], err="E07")
    expect("a machine that nothing here runs", 6, ["--arch", "aarch64", hello], err="aarch64")
    expect("no such initrd", 3, ["--initrd", "nowhere", hello], err="nowhere")
    expect("an initrd larger than memory", 7,
           ["--memory", "4M", "--initrd", write("initrd", bytes(8 << 20)), hello], err="E07")
    expect("a bad device tree", 7, ["--dtb", hello, hello], err="E073")
    expect("unknown option", 2, ["--memroy", "1G", hello], err="--memory")
    expect("not a size", 2, ["--memory", "12Q", hello], err="E0003")
    expect("unknown serial target", 2, ["--serial", "moon", hello], err="E0")


def disks():
    hello = "hello"
    disk = write("disk", bytes(1 << 20))
    expect("a disk", 0, ["--disk", disk, hello], out="hello")
    expect("no such disk", 3, ["--disk", "nowhere", hello], err="truncate")
    expect("a directory as disk", 7, ["--disk", ".", hello], err="E0303")
    expect("an odd size", 7, ["--disk", write("odd", bytes(700)), hello], err="512")
    expect("an odd size, read-only", 0, ["--disk", "odd,ro", hello], out="hello")
    fake = write("fake", b"QFI\xfb" + bytes(1020))
    expect("a header of another format", 12, ["--disk", fake, hello], err="format=raw")
    expect("the format said", 0, ["--disk", fake + ",format=raw", hello], out="hello")
    os.mkfifo("fifo")
    expect("a FIFO as disk", 7, ["--disk", "fifo", hello], err="named pipe")
    p = subprocess.Popen([HULL, "run", "--disk", disk, write("wait", tiny.say("up\n") +
                                                             tiny.spin())],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    p.stdout.readline()
    expect("a disk in use", 4, ["--disk", disk, hello], err="process %d" % p.pid)
    p.kill()
    p.stdout.close()
    p.wait()
    expect("free again after kill -9", 0, ["--disk", disk, hello], out="hello")


def streams():
    echo = write("echo", tiny.say("up\n") + tiny.echo())
    p = subprocess.Popen([HULL, "run", "--exit-on", "bye", echo], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
    out, _ = p.communicate(b"x" * 9000 + b"bye", timeout=LIMIT_S)
    case("input is complete and in order", out == b"up\n" + b"x" * 9000 + b"bye" and
         p.returncode == 0, len(out))
    chatter = write("chatter", tiny.again(tiny.say("chatter " * 16 + "\n")))
    p = subprocess.Popen([HULL, "run", chatter], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    p.stdout.read(1000)
    p.stdout.close()
    time.sleep(0.5)
    case("a reader that goes away", p.poll() is None)
    p.send_signal(signal.SIGTERM)
    case("is no reason to hang", p.wait(LIMIT_S) == 143)
    p = subprocess.Popen([HULL, "run", chatter], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    time.sleep(2)
    p.send_signal(signal.SIGTERM)
    case("nor is one that never reads", p.wait(LIMIT_S) == 143)
    p.stdout.close()
    expect("output into a file", 0, ["--serial", "file:log", "hello"])
    with open("log", "rb") as f:
        case("is all there", f.read() == b"hello\n")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        p = subprocess.Popen([HULL, "run", echo], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        p.stdout.readline()
        p.send_signal(number)
        case("%s ends it" % number.name, p.wait(LIMIT_S) == 128 + number)
        p.stdin.close()
        p.stdout.close()


def doctor():
    expect("silent for good", 11, [write("halt", tiny.halt())], err="all interrupts switched off")
    expect("no trap handler", 11, [write("trap", tiny.trap())], err="trapping in a loop")
    text = ("Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n")
    kernel = write("noroot", tiny.say(text) + tiny.spin())
    expect("no root", 11, [kernel], err="no root= on the command line and no initrd")
    expect("root without disk", 11, ["--append", "root=/dev/vda", kernel], err="has no disk")
    code, stdout, _ = 0, subprocess.run([HULL, "doctor", "--json"], capture_output=True,
                                        check=False).stdout, ""
    checks = json.loads(stdout)["checks"]
    case("hull doctor", code == 0 and any(c["check"] == "engine" for c in checks), stdout)


def main():
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        endings()
        engine_stats()
        jit_code()
        if jit("dump", "--engine", "jit", "--at=0x80000000", "code")[0] != 13:
            translated()
            kept()
        reboots()
        wrong_files()
        disks()
        streams()
        doctor()
        os.chdir("/")
    print("1..%d" % len(results))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
