/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Each cause that the boot doctor knows, from evidence that points to it; and symbols. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/vcpu.h"
#include "debug/diagnosis.h"
#include "host/symbols.h"

static const struct hull_doctor_cpu busy = { .state = HULL_VCPU_RUNNING, .known = true, .ie = 2 };

static struct hull_diagnosis of(struct hull_doctor_facts f)
{
	struct hull_diagnosis g = { 0 };

	f.ncpus = f.ncpus ? f.ncpus : 1;
	if (!f.cpus[0].known && !f.cpus[0].state)
		f.cpus[0] = busy;
	f.printed = strlen(f.tail);
	assert_true(hull_doctor_diagnose(&f, &g));
	assert_true(g.likely[0]);
	return g;
}

static void panics_are_told_apart(void **state)
{
	static const struct {
		struct hull_doctor_facts facts;
		const char *likely;
	} rows[] = {
		{ { .tail = "VFS: Unable to mount root fs on unknown-block(0,0)" }, "no root=" },
		{ { .tail = "Unable to mount root fs", .initrd = true }, "no /init" },
		{ { .tail = "Unable to mount root fs", .cmdline = "root=/dev/vda" }, "no disk" },
		{ { .tail = "Unable to mount root fs", .cmdline = "a root=/dev/sda b", .disks = 1 },
		  "root=/dev/sda does not exist" },
		{ { .tail = "No working init found." }, "no program to start" },
		{ { .tail = "Attempted to kill init! exitcode=0x00000100" }, "first process" },
		{ { .tail = "Out of memory: Killed" }, "out of memory" },
		{ { .tail = "Kernel panic - not syncing: sysrq\nmore" }, "says: sysrq" },
		{ { .tail = "anything" }, "message above" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hull_doctor_facts f = rows[i].facts;
		struct hull_diagnosis g;

		f.panicked = true;
		g = of(f);
		if (g.id != 761 || !g.dead || !strstr(g.likely, rows[i].likely))
			fail_msg("row %zu: %s", i, g.likely);
	}
}

static void the_dead_are_known(void **state)
{
	struct hull_doctor_facts f = { .tail = "hello" };
	struct hull_diagnosis g;

	(void)state;
	f.cpus[0] = (struct hull_doctor_cpu){ .state = HULL_VCPU_HALTED, .known = true };
	g = of(f);
	assert_int_equal(g.id, 762);
	assert_true(g.dead);
	assert_non_null(strstr(g.likely, "interrupts switched off"));
	f.cpus[0] = (struct hull_doctor_cpu){
		.state = HULL_VCPU_RUNNING, .known = true, .cause = 2, .looping = true
	};
	g = of(f);
	assert_true(g.dead);
	assert_non_null(strstr(g.likely, "instruction that this CPU does not have"));
	f.cpus[0].cause = UINT64_MAX;
	(void)of(f);
}

static void the_living_are_left_alone(void **state)
{
	struct hull_doctor_facts f = { .ncpus = 2, .printed = 5, .tail = "$ " };
	struct hull_diagnosis g;

	(void)state;
	/* One CPU waits for input with interrupts on, the other has never been started. */
	f.cpus[0] =
		(struct hull_doctor_cpu){ .state = HULL_VCPU_HALTED, .known = true, .ie = 0x222 };
	assert_false(hull_doctor_diagnose(&f, &g));
	f.cpus[0] = busy;
	assert_false(hull_doctor_diagnose(&f, &g));
}

static void the_silent_get_advice(void **state)
{
	struct hull_diagnosis g;

	(void)state;
	g = of((struct hull_doctor_facts){ .cmdline = "console=ttyAMA0 quiet" });
	assert_non_null(strstr(g.likely, "console=ttyAMA0 is not a port"));
	assert_false(g.dead);
	g = of((struct hull_doctor_facts){ .cmdline = "console=ttyAMA0 console=ttyS0" });
	assert_null(strstr(g.likely, "is not a port"));
	g = of((struct hull_doctor_facts){
		.cmdline = "console=ttyS0 quiet",
		.cpus = { { .state = HULL_VCPU_RUNNING, .known = true, .translation = true } } });
	assert_null(strstr(g.likely, "no console"));
	assert_non_null(strstr(g.try_this, "quiet"));
	g = of((struct hull_doctor_facts){ .firmware = true });
	assert_non_null(strstr(g.likely, "no --kernel"));
	g = of((struct hull_doctor_facts){ .kernel = "Image" });
	assert_int_equal(g.id, 760);
	g = of((struct hull_doctor_facts){ .tail = "Waiting for root device /dev/vda..." });
	assert_non_null(strstr(g.likely, "root device"));
}

static void maps_name_addresses(void **state)
{
	char folder[] = "/tmp/hull-sym-XXXXXX", kernel[64], map[64], name[96];
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(kernel, sizeof(kernel), "%s/vmlinuz-6.1", folder);
	snprintf(map, sizeof(map), "%s/System.map-6.1", folder);
	assert_false(hull_doctor_symbol(NULL, 0x1000, name, sizeof(name)));
	assert_false(hull_doctor_symbol(kernel, 0x1000, name, sizeof(name)));
	f = fopen(map, "w");
	fputs("ffffffff80000000 T _start\nrubbish\nffffffff80000100 T panic\n\n"
	      "ffffffff80000200 t last",
	      f);
	fclose(f);
	assert_true(hull_doctor_symbol(kernel, UINT64_C(0xffffffff800001d0), name, sizeof(name)));
	assert_string_equal(name, "panic+0xd0");
	assert_true(hull_doctor_symbol(kernel, UINT64_C(0xffffffff80000204), name, sizeof(name)));
	assert_string_equal(name, "last+0x4");
	assert_false(hull_doctor_symbol(kernel, 0x80000000, name, sizeof(name)));
	assert_false(hull_doctor_symbol(kernel, UINT64_C(0xffffffffff000000), name, sizeof(name)));
	/* An ELF file whose tables lie outside it. */
	f = fopen(kernel, "w");
	fwrite("\x7f"
	       "ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\xf3\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
	       "\xff\xff\xff\xff\xff\xff\xff\x7f\0\0\0\0\x40\0\x38\0\0\0\x40\0\xff\xff\0\0",
	       1, 64, f);
	fclose(f);
	assert_true(hull_doctor_symbol(kernel, UINT64_C(0xffffffff80000204), name, sizeof(name)));
	unlink(kernel);
	unlink(map);
	rmdir(folder);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(panics_are_told_apart),
		cmocka_unit_test(the_dead_are_known),
		cmocka_unit_test(the_living_are_left_alone),
		cmocka_unit_test(the_silent_get_advice),
		cmocka_unit_test(maps_name_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
