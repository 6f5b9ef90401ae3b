#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The checks find what they are for: each violation is planted in a small tree of its own."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
L = "/* SPDX-License-Identifier: MIT OR Apache-2.0 */\n"


def header(guard, body=""):
    return L + "#ifndef %s\n#define %s\n%s\n#endif\n" % (guard, guard, body)


def row(name, pattern, syntax='"d,s,t"', meaning="SET_RD(RS1)"):
    return 'INSN(%s, "%s", %s, %s)\n' % (name, pattern, syntax, meaning)


ADD = "0000000 ttttt sssss 000 ddddd 0110011"
CLEAN = {
    "include/hull/types.h": header("HULL_TYPES_H", "#include <stdint.h>"),
    "src/base/a.h": header("HULL_BASE_A_H", "int hull_a(int x);"),
    "src/base/a.c": L + '#include "base/a.h"\n\nint hull_a(int x)\n{\n\treturn x + 1; /* strcpy(a) */\n}\n',
    "src/isa/riscv64/i.def": L + row("add", ADD) + row("nop", ADD.replace("ddddd", "00000")),
    "src/manage/m.c": L + '#include <stdlib.h>\n\n#include "base/a.h"\n#include <hull/types.h>\n',
    "tools/freestanding-symbols.txt": "memcpy\n",
    ".clang-format": open(os.path.join(HERE, "..", ".clang-format"), encoding="utf-8").read(),
    ".gitignore": "/build*/\n",
}


def function(lines=1, parameters="int a", text="\ta++;\n"):
    return L + "void f(%s)\n{\n%s}\n" % (parameters, text * lines)


# check, what is planted (or the commit subject), what its report must contain
PLANTED = [
    ("layers", {"src/base/b.c": L + '#include "core/c.h"\n', "src/core/c.h": header("HULL_CORE_C_H")},
     "src/base/b.c:2: 1.1: layer base may not include layer core"),
    ("layers", {"src/base/b.c": L + '#include "../base/a.h"\n'}, "never ../"),
    ("layers", {"src/base/b.c": L + '#include "a.h"\n'}, "written from src/"),
    ("layers", {"src/core/b.c": L + "#include <stdio.h>\n"}, "<stdio.h>: freestanding"),
    ("layers", {"include/hull/b.h": header("HULL_B_H", '#include "base/a.h"')}, "public API"),
    ("layers", {"src/nowhere/b.c": L}, "not in a layer"),
    ("layers", {"src/base/b.h": header("HULL_BASE_B_H", '#include "base/c.h"'),
                "src/base/c.h": header("HULL_BASE_C_H", '#include "base/b.h"')}, "include cycle"),
    ("layers", {"src/dev/x/one.c": L + '#include "dev/x/two.h"\n', "src/dev/x/two.h": header("HULL_DEV_X_TWO_H"),
                "src/dev/x/two.c": L + "HULL_DEVICE(two) = { 0 };\n"}, "includes device"),
    ("freestanding", {"src/core/b.c": L + "void other(void);\nvoid f(void);\nvoid f(void)\n{\n\tother();\n}\n"},
     "src/core/b.c:1: 1.1: needs other"),
    ("freestanding", {"src/core/b.c": L + "int counter;\n"}, "mutable globals (.bss"),
    ("freestanding", {"src/core/b.c": L + "int counter = 3;\n"}, "mutable globals (.data"),
    ("freestanding", {"src/core/b.c": L + "int f(void);\nint f(void)\n{\n\tint x;\n\treturn 0;\n}\n"},
     "src/core/b.c:5: 1.1: unused variable"),
    ("freestanding", {"src/core/b.c": L + "double f(double x);\ndouble f(double x)\n{\n\treturn x * 2;\n}\n"},
     "src/core/b.c:"),
    ("headers", {"src/base/b.h": header("HULL_BASE_B_H", "uint32_t hull_b(void);")}, "src/base/b.h:4: 1.3: unknown type"),
    ("headers", {"src/base/b.h": header("HULL_B_H")}, "the guard must be HULL_BASE_B_H"),
    ("banned", {"src/manage/b.c": L + "void f(char *s)\n{\n\tstrcpy(s, s);\n}\n"}, "src/manage/b.c:4: 7: strcpy() is banned"),
    ("banned", {"tests/unit/b.c": L + "int x = rand();\n"}, "rand() is banned"),
    ("banned", {"src/dev/b.c": L + "void *x = malloc(3);\n"}, "malloc() is banned in freestanding"),
    ("platform", {"src/manage/b.c": L + "#ifdef __linux__\n#endif\n"}, "src/manage/b.c:2: 1.1: #if on __linux__"),
    ("platform", {"src/host/b.c": L + "#if 1 && \\\n\tdefined(__x86_64__)\n#endif\n"}, "#if on __x86_64__"),
    ("platform", {"src/engine/b.c": L + 'void f(void)\n{\n\t__asm__("nop");\n}\n'}, "assembly belongs"),
    ("tables", {"src/isa/riscv64/b.def": L + row("sub", ADD)}, "src/isa/riscv64/i.def:2"),
    ("tables", {"src/isa/riscv64/b.def": L + row("b", "1.0" + "1" * 29, '""') + row("c", "11." + "1" * 29, '""')},
     "c overlaps b (src/isa/riscv64/b.def:2)"),
    ("tables", {"src/isa/riscv64/b.def": L + row("b", "0" * 31)}, "31 bits"),
    ("tables", {"src/isa/riscv64/b.def": L + row("b", "1" * 31 + "s", '"d"')}, "does not show s"),
    ("tables", {"src/isa/riscv64/b.def": L + row("b", "1" * 32, meaning="")}, "no meaning"),
    ("tables", {"src/isa/riscv64/b.def": L + 'INSN(b, "%s")\n' % ("1" * 32)}, "a row is"),
    ("budgets", {"src/base/b.c": function(80)}, "src/base/b.c:2: 1.9: f has 83 lines"),
    ("budgets", {"src/base/b.c": function(1, ", ".join("int a%d" % i for i in range(7)))}, "7 parameters"),
    ("budgets", {"src/base/b.c": function(1, text="\tif (a) {\n" * 5 + "\t}\n" * 5)}, "5 levels"),
    ("budgets", {"src/base/b.c": L + "int x;\n" * 1201}, "the file has 1202 lines"),
    ("text", {"src/base/b.c": "int x;\n"}, "src/base/b.c:1: 5: no licence"),
    ("text", {"tools/b.py": "#!/usr/bin/env python3\nx = 1\n"}, "no licence"),
    ("text", {"docs/b.md": "one \n"}, "docs/b.md:1: 1.9: space at the end"),
    ("text", {"docs/b.md": "one"}, "no newline"),
    ("format", {"src/base/b.c": L + "int  x ;\n"}, "src/base/b.c:2: 1.9: not formatted"),
    ("commits", "base: " + "x" * 80, "86 columns"),
    ("commits", "no area here", 'not "area: imperative"'),
]


def run(check, extra, subject):
    with tempfile.TemporaryDirectory() as root:
        for path, text in {**CLEAN, **extra}.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as f:
                f.write(text)
        git = ["git", "-C", root, "-c", "user.name=n", "-c", "user.email=e@example.org"]
        for args in (["init", "-q"], ["add", "-A"], ["commit", "-qm", subject]):
            subprocess.run(git + args, check=True)
        done = subprocess.run([sys.executable, os.path.join(HERE, "check_%s.py" % check)],
                              env=dict(os.environ, HULL_CHECK_ROOT=root), text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        shutil.rmtree(os.path.join(root, "build-check"), ignore_errors=True)
        return done.returncode, done.stdout


def main():
    names = sorted(f[6:-3] for f in os.listdir(HERE) if f.startswith("check_") and f != "check_selftest.py")
    cases = [(n, {}, "base: begin", None) for n in names]
    for check, planted, expect in PLANTED:
        text = isinstance(planted, str)
        cases.append((check, {} if text else planted, planted if text else "base: begin", expect))
    failed = 0
    print("1..%d" % (len(cases) + 1))
    for number, (check, extra, subject, expect) in enumerate(cases, 1):
        status, output = run(check, extra, subject)
        good = (status == 1 and expect in output) if expect else status == 0
        failed += not good
        print("%s %d - %s: %s" % ("ok" if good else "not ok", number, check, expect or "a clean tree passes"))
        if not good:
            print("\n".join("# " + line for line in output.splitlines()), flush=True)
    missing = set(names) - {p[0] for p in PLANTED}
    print("%s %d - each check has a planted violation" % ("not ok" if missing else "ok", len(cases) + 1))
    return 1 if failed or missing else 0


if __name__ == "__main__":
    sys.exit(main())
