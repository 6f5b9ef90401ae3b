#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Each operand of generated code is one that it may have, and each jump goes where it may.

tests/unit/test_jit_operands.c makes units for random guest code; _x86_units.py says what is
allowed and follows what each register holds.  Before, the same is done with code that
breaks a rule: each must be found.  HULL_TEST_CASES, HULL_TEST_SEED: more or other units.
"""
# timeout: 600
import json
import os
import shutil
import subprocess
import sys
import tempfile

import _x86_units as x86

PROGRAM = os.path.join(os.path.dirname(os.environ["HULL"]), "tests/test_jit_operands")

# A load through the TLB, a store through a site, loads of a page that is held, a jump to another page.
GOOD = """start:
	mov qword ptr [rbp + {held} + 16], 0
again:	sub r15, 3
	js out
	lea eax, [rbx + 8]
	shr eax, 7
	and eax, 0x1ffe0
	lea rdx, [rbx + 15]
	and rdx, -4096
	or rdx, [rbp + {data_context}]
	cmp rdx, [rbp + rax + {tlb.read}]
	jne slow
	mov rax, [rbp + rax + {tlb.addend}]
	mov r12, [rax + rbx + 8]
back:	lea rdx, [r13 - 4]
	and rdx, -4093
	or rdx, [rbp + {site_context}]
	cmp rdx, [rbp + {sites} + 16]
	jne fill
	mov rax, [rbp + {sites} + 24]
store:	mov [rax + r13 - 4], r12d
	cmp r14, [rbp + {held} + 16]
	jae hold
	mov rax, [rbp + {held} + 24]
held:	mov r12, [rax + r14 + 8]
	add r14, 16
	test bl, 4
	jne again
	mov r14, r12
	mov qword ptr [rbp + {held} + 16], 0
	test bl, 1
	jne again
	test bl, 2
	je away
	sub r15, 4
	jns back
	jmp out
away:	lea rax, [r12 + 4]
	and rax, -2
	mov ecx, eax
	and ecx, 0xfffe
	shl ecx, 4
	mov rdx, [rbp + {jump_key}]
	cmp rax, [rbp + rcx + {jumps.pc}]
	jne miss
	cmp rdx, [rbp + rcx + {jumps.key}]
	jne miss
	and rax, -4096
	mov [rbp + {page}], rax
	jmp [rbp + rcx + {jumps.code}]
miss:	mov [rbp + {target}], rax
out:	lea rdx, [rip + start]
	mov ecx, 5
	jmp [rbp + {stub}]
slow:	mov [rbp + {arg}], rbx
	mov ecx, 9
	call [rbp + {stub} + 40]
	test al, al
	je out
	mov r12, [rbp + {arg} + 24]
	jmp back
hold:	lea eax, [r14 - 8]
	shr eax, 7
	and eax, 0x1ffe0
	lea rdx, [r14 + 23]
	and rdx, -4096
	or rdx, [rbp + {data_context}]
	cmp rdx, [rbp + rax + {tlb.read}]
	jne out
	mov rax, [rbp + rax + {tlb.addend}]
	cmp r14, -{held_last}
	jae last
	lea rdx, [r14 + 23]
	and rdx, -4096
	add rdx, 4073
	mov [rbp + {held} + 24], rax
	mov [rbp + {held} + 16], rdx
last:	jmp held
fill:	lea eax, [r13 - 4]
	shr eax, 7
	and eax, 0x1ffe0
	lea rdx, [r13 - 1]
	and rdx, -4096
	or rdx, [rbp + {data_context}]
	cmp rdx, [rbp + rax + {tlb.write}]
	jne out
	mov rax, [rbp + rax + {tlb.addend}]
	lea rdx, [r13 - 4]
	and rdx, -4096
	or rdx, [rbp + {site_context}]
	mov [rbp + {sites} + 24], rax
	mov [rbp + {sites} + 16], rdx
	jmp store
"""

# What is replaced by what: the first time, or all with "*".
PLANTED = [
    ("\tjne slow", "\tje slow"),
    ("\tjne slow", ""),
    ("\tjne slow", "\tjb slow"),
    ("and eax, 0x1ffe0", "and eax, 0x3ffe0"),
    ("and eax, 0x1ffe0", ""),
    ("shr eax, 7", "shr eax, 6"),
    ("lea eax, [rbx + 8]", "lea eax, [r12 + 8]"),
    ("lea rdx, [rbx + 15]", "lea rdx, [r12 + 15]"),
    ("lea rdx, [rbx + 15]", "lea rdx, [rbx + 14]"),
    ("lea rdx, [rbx + 15]", "lea rdx, [rbx + 4104]"),
    ("lea eax, [rbx + 8]", "lea eax, [rbx + 9]"),
    ("and rdx, -4096", "and rdx, -8192"),
    ("or rdx, [rbp + {data_context}]", "or rdx, [rbp + {site_context}]"),
    ("or rdx, [rbp + {data_context}]", ""),
    ("mov r12, [rax + rbx + 8]", "mov r12, [rax + rbx + 16]"),
    ("mov r12, [rax + rbx + 8]", "mov r12, [rax + rbx + 7]"),
    ("mov r12, [rax + rbx + 8]", "mov r12, [rax + r13 + 8]"),
    ("mov r12, [rax + rbx + 8]", "mov r12, [rax + 2*rbx + 8]"),
    ("mov r12, [rax + rbx + 8]", "mov r12, [rbx + 8]"),
    ("mov r12, [rax + rbx + 8]", "mov [rax + rbx + 8], r12"),
    ("mov r12, [rax + rbx + 8]", "movups xmm2, [rax + rbx + 8]"),
    ("mov r12, [rax + rbx + 8]", "inc rbx\nmov r12, [rax + rbx + 8]"),
    ("mov r12, [rax + rbx + 8]", "add rbx, 8\nmov r12, [rax + rbx + 8]"),
    ("mov r12, [rax + rbx + 8]", "add rax, 8\nmov r12, [rax + rbx + 8]"),
    ("mov r12, [rax + rbx + 8]", "mov r12, rax"),
    ("mov r12, [rax + rbx + 8]", "lea r12, [rax + rbx]\nmov r12, [r12 + 16]"),
    ("mov r12, [rax + rbx + 8]", "lea r12, [rax + rbx]\nmov [rbp + {x} + 8], r12"),
    ("mov r12, [rax + rbx + 8]", "lea rcx, [rax + rbx]\nmov [rcx + 8], r12"),
    ("mov r12, [rax + rbx + 8]", "mov [rbp + {x} + 8], rax"),
    ("mov r12, [rax + rbx + 8]", "call [rbp + {stub} + 40]\nmov r12, [rax + rbx + 8]"),
    ("mov r12, [rax + rbx + 8]", "test bl, bl\nje back2\nmov rax, r12\nback2: mov r12, [rax + rbx + 8]"),
    ("mov rax, [rbp + rax + {tlb.addend}]", "mov rax, [rbp + rcx + {tlb.addend}]"),
    ("mov rax, [rbp + rax + {tlb.addend}]", "mov rax, [rbp + rax + {tlb.addend} + 8]"),
    ("cmp rdx, [rbp + rax + {tlb.read}]", "cmp edx, [rbp + rax + {tlb.read}]"),
    ("and rdx, -4093", "and rdx, -4096"),
    ("and rdx, -4093", "and rdx, -4094"),
    ("and rdx, -4093", "and rdx, -4081"),
    ("\tjne fill", ""),
    ("\tjne fill", "\tjmp store"),
    ("cmp rdx, [rbp + {sites} + 16]", "cmp rdx, [rbp + {sites} + 32]"),
    ("mov rax, [rbp + {sites} + 24]", "mov rax, [rbp + {sites} + 8]"),
    ("store:	mov [rax + r13 - 4], r12d", "store:	mov [rax + r13 - 4], r12"),
    ("{sites} + 16", "{sites} + 0*"),
    ("{tlb.write}", "{tlb.read}"),
    ("mov [rbp + {sites} + 16], rdx", "mov [rbp + {sites} + 48], rdx"),
    ("mov [rbp + {sites} + 16], rdx", "mov [rbp + {sites} + 16], r12"),
    ("mov [rbp + {sites} + 24], rax\n", "mov [rbp + {sites} + 24], r12\n"),
    ("mov [rbp + {sites} + 24], rax\n", ""),
    ("start:\n\tmov qword ptr [rbp + {held} + 16], 0", "start:"),
    ("start:\n\tmov qword ptr [rbp + {held} + 16], 0", "start: mov qword ptr [rbp + {held} + 16], 1"),
    ("start:\n\tmov qword ptr [rbp + {held} + 16], 0", "start: mov qword ptr [rbp + {held}], 0"),
    ("start:\n\tmov qword ptr [rbp + {held} + 16], 0", "start: mov dword ptr [rbp + {held} + 16], 0"),
    ("mov r14, r12\n\tmov qword ptr [rbp + {held} + 16], 0", "mov r14, r12"),
    ("mov r14, r12\n\tmov qword ptr [rbp + {held} + 16], 0", "mov qword ptr [rbp + {held} + 16], 0\nmov r14, r12"),
    ("add r14, 16", "add r14, {held_step}"),
    ("add r14, 16", "add r14, -16"),
    ("add r14, 16", "add r14d, 16"),
    ("add r14, 16", "add r14, r12"),
    ("add r14, 16", "sub r14, 16"),
    ("add r14, 16", "lea r14, [r14 + r12 + 16]"),
    ("add r14, 16", "lea r14, [r13 + 16]"),
    ("\tjae hold", ""),
    ("\tjae hold", "\tja hold"),
    ("\tjae hold", "\tjb hold"),
    ("cmp r14, [rbp + {held} + 16]", "cmp r13, [rbp + {held} + 16]"),
    ("cmp r14, [rbp + {held} + 16]", "cmp r14d, [rbp + {held} + 16]"),
    ("cmp r14, [rbp + {held} + 16]", "cmp r14, [rbp + {held}]"),
    ("cmp r14, [rbp + {held} + 16]", "cmp r14, [rbp + {held} + 24]"),
    ("mov rax, [rbp + {held} + 24]", "mov rax, [rbp + {held} + 8]"),
    ("mov rax, [rbp + {held} + 24]", "mov rax, [rbp + {held} + 16]"),
    ("mov rax, [rbp + {held} + 24]", "mov r12, [rbp + {held} + 24]\nmov [rbp + {x} + 8], r12"),
    ("held:	mov r12, [rax + r14 + 8]", "held:	mov r12, [rax + r14 + 17]"),
    ("held:	mov r12, [rax + r14 + 8]", "held:	mov r12, [rax + r14 - 9]"),
    ("held:	mov r12, [rax + r14 + 8]", "held:	mov [rax + r14 + 8], r12"),
    ("cmp r14, -{held_last}\n\tjae last", ""),
    ("\tjae last", "\tjb last"),
    ("cmp r14, -{held_last}", "cmp r13, -{held_last}"),
    ("cmp r14, -{held_last}", "cmp r14, -4096"),
    ("\tadd rdx, 4073", "\tadd rdx, 4074"),
    ("\tadd rdx, 4073", ""),
    ("mov [rbp + {held} + 24], rax\n", ""),
    ("mov [rbp + {held} + 24], rax\n", "mov [rbp + {held} + 24], r12\n"),
    ("mov [rbp + {held} + 16], rdx", "mov [rbp + {held} + 16], r12"),
    ("mov [rbp + {held} + 16], rdx", "mov [rbp + {held} + 32], rdx"),
    ("and ecx, 0xfffe", "and ecx, 0x1fffe"),
    ("shl ecx, 4", "shl ecx, 5"),
    ("mov ecx, eax", "mov ecx, r12d"),
    ("cmp rax, [rbp + rcx + {jumps.pc}]\n\tjne miss", ""),
    ("cmp rdx, [rbp + rcx + {jumps.key}]\n\tjne miss", ""),
    ("mov rdx, [rbp + {jump_key}]", "mov rdx, [rbp + {page}]"),
    ("jmp [rbp + rcx + {jumps.code}]", "jmp [rbp + rcx + {jumps.code} + 8]"),
    ("jmp [rbp + rcx + {jumps.code}]", "jmp [rbp + rcx + {jumps.pc}]"),
    ("jmp [rbp + rcx + {jumps.code}]", "jmp rax"),
    ("jmp [rbp + rcx + {jumps.code}]", "jmp [rax]"),
    ("mov [rbp + {page}], rax", "mov [rbp + {page}], r12"),
    ("mov [rbp + {target}], rax", "mov [rbp + {data_context}], rax"),
    ("mov [rbp + {target}], rax", "mov [rbp + {stub}], rax"),
    ("mov [rbp + {target}], rax", "mov [rbp + {tlb.addend}], rax"),
    ("mov [rbp + {target}], rax", "mov [rbp + {jumps.code}], rax"),
    ("mov [rbp + {target}], rax", "mov [rbp + {hart}], rax"),
    ("mov [rbp + {target}], rax", "mov [rbp - 136], rax"),
    ("mov [rbp + {target}], rax", "mov [rbp + {cause} + 4], rax"),
    ("mov [rbp + {target}], rax", "mov [rbp + rax + {target}], rax"),
    ("mov [rbp + {target}], rax", "mov r12, [rbp + {stub}]"),
    ("mov [rbp + {target}], rax", "mov rbp, rax"),
    ("mov [rbp + {target}], rax", "mov r12, rbp"),
    ("mov [rbp + {target}], rax", "lea r12, [rbp + 8]"),
    ("mov [rbp + {target}], rax", "push rax"),
    ("mov [rbp + {target}], rax", "add rsp, 8"),
    ("mov [rbp + {target}], rax", "mov r12, [rsp]"),
    ("mov [rbp + {target}], rax", "mov [rsp + 8], rax"),
    ("mov [rbp + {target}], rax", "mov r12, fs:[0]"),
    ("mov [rbp + {target}], rax", "mov r12, [0x1000]"),
    ("mov [rbp + {target}], rax", "mov r12, [rip + start]"),
    ("mov [rbp + {target}], rax", "mov r15, rax"),
    ("mov [rbp + {target}], rax", "add r15, rax"),
    ("mov [rbp + {target}], rax", "rep movsb"),
    ("mov [rbp + {target}], rax", "syscall"),
    ("mov [rbp + {target}], rax", "int3"),
    ("mov [rbp + {target}], rax", "ret"),
    ("mov [rbp + {target}], rax", "wrfsbase rax"),
    ("mov [rbp + {target}], rax", "ldmxcsr [rbp + {arg}]"),
    ("lea rdx, [rip + start]", "lea rdx, [rip + again + 1]"),
    ("lea rdx, [rip + start]", ""),
    ("jmp [rbp + {stub}]", "jmp [rbp + {stub} + 4]"),
    ("jmp [rbp + {stub}]", "jmp [rbp + {stub} - 8]"),
    ("jmp [rbp + {stub}]", "jmp [rbp + {stub} + 8*{stubs}]"),
    ("jmp [rbp + {stub}]", "jmp [rbp + {stub} + 40]"),
    ("jmp [rbp + {stub}]", "call [rbp + {stub}]"),
    ("jmp [rbp + {stub}]", ""),
    ("call [rbp + {stub} + 40]", "call rax"),
    ("call [rbp + {stub} + 40]", "call back"),
    ("jmp back", "jmp back + 1"),
    ("jmp back", "jmp start - 16"),
    ("jmp store", ""),
    ("\tjs out", ""),
    ("jns back", "js back"),
    ("jns back", "jne back"),
    ("sub r15, 4", "sub r14, 4"),
    ("sub r15, 3", "sub r15, -3"),
]


def numbers(layout):
    """For the texts: displacements from rbp."""
    numbers = {name: at[0] - x86.BIAS for name, at in layout.items() if isinstance(at, list)}
    return dict(numbers, hart=layout["hart"] - x86.BIAS, stubs=layout["stubs"],
                held_step=layout["held_step"], held_last=layout["held_last"])


def fill(text, values):
    for name, value in values.items():
        text = text.replace("{%s}" % name, str(value))
    return text


def code_of(text):
    with tempfile.TemporaryDirectory() as work:
        built, plain = os.path.join(work, "a.o"), os.path.join(work, "a.bin")
        x86.assemble(".intel_syntax noprefix\n" + text + "\n", built)
        subprocess.run(["llvm-objcopy-19", "-O", "binary", "--only-section=.text", built, plain], check=True)
        with open(plain, "rb") as f:
            return f.read()


def complaints(checker, code, exits):
    try:
        return checker.unit(x86.disassemble([code])[0], len(code), exits)
    except x86.Bad as bad:
        return [str(bad)]


def check_planted(checker):
    """Rules that are broken on purpose and not found."""
    values = numbers(checker.layout)
    found = complaints(checker, code_of(fill(GOOD, values)), [])
    missed = ["the code without a mistake: " + text for text in found]
    for old, new in PLANTED:
        times = -1 if new.endswith("*") else 1
        if old not in GOOD:
            missed.append("not in the code: " + old)
        text = fill(GOOD.replace(old, new.rstrip("*"), times), values)
        if not complaints(checker, code_of(text), []):
            missed.append("not found: %s instead of %s" % (new, old))
    if not complaints(checker, code_of(fill(GOOD, values)), [12]):
        missed.append("not found: an exit that is no jump")
    return missed, len(PLANTED) + 1


def check_without(checker, units, most):
    """Units without one of their jumps behind a lookup: each must be found."""
    cut, names = [], []
    for unit, insns in units:
        checker.unit(insns, len(unit["bytes"]), [])
        reached = set(checker.edges)
        for n, (one, two) in enumerate(zip(insns, insns[1:])):
            if n not in reached or two.op not in ("jne", "jae") or one.op != "cmp" or \
                    not isinstance(one.args[1], x86.Mem) or \
                    one.args[1].size != 8 or len(unit["bytes"]) > 3000 or len(cut) == most:
                continue
            at = one.args[1].disp + x86.BIAS
            if one.args[1].index or checker.site_of(one.args[1]) or checker.held_of(one.args[1]):
                code = bytearray(unit["bytes"])
                code[two.at:two.end] = b"\x90" * (two.end - two.at)
                cut.append(bytes(code))
                names.append("%s without its jump at %d (compares with %d)" % (unit["name"], two.at, at))
    return [name for name, insns, code in zip(names, x86.disassemble(cut), cut)
            if not checker.unit(insns, len(code), [])], len(cut)


def make_units(work):
    path = os.path.join(work, "units")
    env = dict(os.environ, HULL_JIT_UNITS=path)
    env.setdefault("HULL_TEST_CASES", "120")
    subprocess.run([PROGRAM], env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(path, encoding="utf-8") as f:
        layout, *units = [json.loads(line) for line in f]
    for unit in units:
        unit["bytes"] = bytes.fromhex(unit["code"])
    return layout, units


def main():
    missing = [p for p in ("llvm-mc-19", "llvm-objdump-19", "llvm-objcopy-19", PROGRAM) if not shutil.which(p)]
    if missing:
        print("%s is missing" % missing[0])
        return 77
    with tempfile.TemporaryDirectory() as work:
        layout, units = make_units(work)
    if layout["host"] != "x86_64":
        print("not for units of " + layout["host"])
        return 77
    checker = x86.Checker(layout)
    missed, planted = check_planted(checker)
    read = list(zip(units, x86.disassemble([u["bytes"] for u in units])))
    more, cut = check_without(checker, read, 100)
    missed += more
    wrong = ["unit %s: %s" % (unit["name"], text) for unit, insns in read
             for text in checker.unit(insns, len(unit["bytes"]), unit["exits"])]
    print("\n".join(missed[:20] + wrong[:40]))
    print("%d units, %d instructions: %d wrong; %d mistakes on purpose: %d not found"
          % (len(units), sum(len(i) for _, i in read), len(wrong), planted + cut, len(missed)))
    return int(bool(missed or wrong) or len(units) < 100 or cut < 50)


if __name__ == "__main__":
    sys.exit(main())
