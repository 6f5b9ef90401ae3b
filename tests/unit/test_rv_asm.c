/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Directed programs: tests/isa/NAME.S assembled with the riscv64 GNU tools and
 * run in M-mode on the engine, interpreted and as evaluated IR; each says itself whether it passed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "engine/riscv64/lift.h"
#include "support/rvrig.h"

#define BASE UINT64_C(0x80000000)
enum { RAM_SIZE = 4 << 20, BUDGET = 2000000, OUTCOME = 8 };

static bool have_tools(void)
{
	return system("riscv64-linux-gnu-gcc --version >/dev/null 2>&1") == 0;
}

/* The program as it lies in memory; false if it does not assemble. */
static bool build(const char *name, uint8_t *image, size_t size)
{
	const char *root = getenv("HULL_SOURCE");
	char folder[] = "/tmp/hull-isa-XXXXXX", command[1000];
	FILE *f;
	bool ok = false;

	if (!mkdtemp(folder))
		return false;
	snprintf(command, sizeof(command),
	         "riscv64-linux-gnu-gcc -nostdlib -static -mcmodel=medany "
	         "-march=rv64imafdc_zifencei_zba_zbb_"
	         "zbs_zicbom_zicboz "
	         "-Wl,-Ttext=0x80000000,--build-id=none,-N,--no-warn-rwx-segments -o %s/elf "
	         "%s/tests/isa/%s.S && riscv64-linux-gnu-objcopy -O binary %s/elf %s/image",
	         folder, root ? root : ".", name, folder, folder);
	if (system(command) == 0) {
		snprintf(command, sizeof(command), "%s/image", folder);
		f = fopen(command, "rb");
		ok = f && fread(image, 1, size, f) > 0;
		if (f)
			fclose(f);
	}
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command) == 0 && ok;
}

/* Runs to the outcome, in slices so that a hang shows. */
static void run(struct rvrig *r, struct rv_eval *eval, const char *name)
{
	struct rv_hart *h = r->hart;
	struct hull_exit exit = { .kind = HULL_EXIT_NONE };
	uint64_t outcome = 0;

	rv_hart_reset(h);
	h->pc = BASE;
	for (unsigned slice = 0; slice < BUDGET / 1000 && !outcome; slice++) {
		h->retire_limit = h->retired + 1000;
		if (eval)
			rv_evaluate(h, eval, &exit);
		else
			rv_interpret(h, &exit);
		fake_hal_advance(&r->hal, 1000000);
		rv_update_mip(h); /* what the timer's request would lead to */
		outcome = load_le64(r->ram + OUTCOME);
	}
	if (outcome != 1)
		fail_msg("%s, %s: case %llu; pc %llx, mcause %llx, mepc %llx, mtval %llx, s8 %llx, "
		         "s9 %llx, s10 %llx",
		         name, eval ? "IR" : "interpreter",
		         (unsigned long long)(outcome ? outcome >> 1 : h->x[27]),
		         (unsigned long long)h->pc, (unsigned long long)h->csr.mcause,
		         (unsigned long long)h->csr.mepc, (unsigned long long)h->csr.mtval,
		         (unsigned long long)h->x[24], (unsigned long long)h->x[25],
		         (unsigned long long)h->x[26]);
}

static void check(const char *name)
{
	struct rv_eval *eval = malloc(sizeof(*eval));
	uint8_t *image = calloc(1, RAM_SIZE);
	struct rvrig r;

	if (!have_tools()) {
		print_message("riscv64-linux-gnu-gcc is missing\n");
		free(eval);
		free(image);
		skip();
	}
	assert_true(eval && image);
	assert_true(build(name, image, RAM_SIZE));
	assert_true(rvrig_init(&r, BASE, RAM_SIZE));
	memcpy(r.ram, image, RAM_SIZE);
	run(&r, NULL, name);
	memcpy(r.ram, image, RAM_SIZE);
	run(&r, eval, name);
	rvrig_fini(&r);
	free(image);
	free(eval);
}

/* The programs themselves on another emulator, as far as that goes. */
static void judge_passes_them(void **state)
{
	static const char *const names[] = { "memory", "paging", "pmp", "sfence", "trap" };
	const char *root = getenv("HULL_SOURCE");
	char folder[] = "/tmp/hull-isa-XXXXXX", command[1000];
	unsigned bad = 0;

	if (!have_tools() ||
	    system("qemu-system-riscv64 --version 2>&1 | grep -q 'version 7[.]2'")) {
		print_message("riscv64-linux-gnu-gcc or qemu-system-riscv64 7.2 is missing\n");
		skip();
	}
	assert_non_null(mkdtemp(folder));
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(command, sizeof(command),
		         "riscv64-linux-gnu-gcc -DOLD -nostdlib -static -mcmodel=medany "
		         "-march=rv64imafdc_zifencei_zba_zbb_zbs -Wl,-Ttext=0x80000000,"
		         "--build-id=none,-N,--no-warn-rwx-segments -o %s/elf %s/tests/isa/%s.S && "
		         "timeout 60 qemu-system-riscv64 -M virt,aia=aplic-imsic -m 64 -nographic "
		         "-cpu rv64,priv_spec=v1.12.0,svnapot=true,svpbmt=true,sstc=true "
		         "-bios %s/elf </dev/null",
		         folder, root ? root : ".", names[i], folder);
		if (system(command)) {
			print_message("%s fails on QEMU\n", names[i]);
			bad++;
		}
	}
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	assert_int_equal(system(command), 0);
	assert_int_equal(bad, 0);
}

#define PROGRAM(name)                            \
	static void program_##name(void **state) \
	{                                        \
		check(#name);                    \
	}
PROGRAM(cbo)
PROGRAM(memory)
PROGRAM(paging)
PROGRAM(pmp)
PROGRAM(sfence)
PROGRAM(trap)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(program_cbo),       cmocka_unit_test(program_memory),
		cmocka_unit_test(program_paging),    cmocka_unit_test(program_pmp),
		cmocka_unit_test(program_sfence),    cmocka_unit_test(program_trap),
		cmocka_unit_test(judge_passes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
