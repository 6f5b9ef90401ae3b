/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Programs that are hard on the code generator, interpreted and as generated code, both harts and
 * memories are the same afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "engine/riscv64/block.h"
#include "engine/riscv64/jit.h"
#include "support/rvasm.h"
#include "support/rvgen.h"
#include "support/rvrig.h"

#define BASE UINT64_C(0x80000000)
enum { HANDLER = 2 * 4096, DATA = 4 * 4096, PAGES = 8 };

static struct rvrig left, right; /* interpreted, translated */
static struct hull_rv_decoder decoder;
static struct hull_prng prng;
static unsigned at; /* where the next instruction goes */

static int setup(void **state)
{
	return hull_rv_decoder_init(&decoder) && rvrig_init(&left, BASE, PAGES * 4096) &&
	                       (rvrig_init_jit(&right, BASE, PAGES * 4096, 0, 0) || !right.vm)
	               ? 0
	               : -1;
}

static int teardown(void **state)
{
	rvrig_fini(&left);
	rvrig_fini(&right);
	return 0;
}

static void put(const char *text)
{
	uint32_t bits;

	if (!rvasm(&decoder, text, BASE + at, &bits))
		fail_msg("%s", text);
	store_le32(left.ram + at, bits);
	at += 4;
}

/* Registers of random numbers; a0 and t6 point at data, which is numbers. */
static void begin(void)
{
	struct rv_hart *h = left.hart;

	hull_prng_seed(&prng, 1);
	memset(left.ram, 0, left.size);
	for (unsigned i = 0; i < 4096; i += 8)
		store_le64(left.ram + DATA + i, (uint64_t)(1023 + i / 8) << 52 | i);
	for (unsigned i = 0; i < 4096; i += 4) /* a trap shows */
		store_le32(left.ram + HANDLER + i, 0x0000006f);
	rv_hart_reset(h);
	for (unsigned i = 1; i < 32; i++)
		h->x[i] = hull_prng_next(&prng);
	for (unsigned i = 0; i < 32; i++)
		h->f[i] = (uint64_t)(1023 + i) << 52;
	h->x[10] = h->x[31] = BASE + DATA;
	h->pc = BASE;
	h->csr.mtvec = BASE + HANDLER;
	rv_set_mstatus(h, MSTATUS_FS);
	at = 0;
}

/* The program ends in a loop of one instruction. */
static void compare(unsigned slices, unsigned insns)
{
	if (!right.vm)
		skip();
	store_le32(left.ram + at, 0x0000006f);
	rv_flush_tlb(left.hart);
	rv_sys_fence_i(left.hart);
	rvrig_copy(&left, &right);
	for (unsigned i = 0; i < slices; i++) {
		rvrig_run(&left, insns);
		rvrig_run(&right, insns);
		assert_false(rvrig_differ(&left, &right));
	}
}

static const char *f(unsigned n)
{
	static const char *const names[] = {
		"ft0", "ft1", "ft2", "ft3", "ft4",  "ft5",  "ft6", "ft7", "fs0",  "fs1",  "fa0",
		"fa1", "fa2", "fa3", "fa4", "fa5",  "fa6",  "fa7", "fs2", "fs3",  "fs4",  "fs5",
		"fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
	};

	return names[n & 31];
}

static void arithmetic(unsigned op, unsigned d, unsigned a, unsigned b)
{
	static const char *const ops[] = { "fsub.d %s,%s,%s",     "fmin.d %s,%s,%s",
		                           "fle.d t0,%s,%s",      "fmadd.d %s,%s,%s,%s",
		                           "fsgnj.d %s,%s,%s",    "fsgnjx.d %s,%s,%s",
		                           "fnmsub.d %s,%s,%s,%s" };
	char text[64];

	if (op == 2)
		snprintf(text, sizeof(text), ops[op], f(a), f(b));
	else
		snprintf(text, sizeof(text), ops[op], f(d), f(a), f(b), f(a + 1));
	put(text);
}

static void store_f(unsigned reg, unsigned offset)
{
	char text[64];

	snprintf(text, sizeof(text), "fsd %s,%u(a0)", f(reg), offset);
	put(text);
}

/* More numbers than there are registers: one operand must not take the other one's. */
static void test_operands_in_f_registers(void **state)
{
	char text[64];

	for (unsigned op = 0; op < 7; op++)
		for (unsigned count = 12; count < 24; count++)
			for (unsigned first = 0; first < count; first++) {
				unsigned second = (first + count - 1) % count;

				begin();
				for (unsigned i = 0; i < count; i++) {
					snprintf(text, sizeof(text), "fld %s,%u(a0)", f(i), 8 * i);
					put(text);
				}
				arithmetic(op, 31, first, second);
				for (unsigned i = 0; i < count; i++)
					store_f(i, 512 + 8 * i);
				store_f(31, 1024);
				compare(1, 200);
			}
}

/* A group of loads that spans pages, or misses both, leaves what one of them each would. */
static void test_groups_of_numbers(void **state)
{
	char text[64];

	for (unsigned wide = 0; wide < 2; wide++)
		for (unsigned count = 2; count <= 20; count++) {
			begin();
			left.hart->x[10] = BASE + DATA + 4096 - 16;
			for (unsigned i = 0; i < 4096; i += 4)
				store_le32(left.ram + DATA + 3072 + i,
				           0x3f800000 + (i << 12) + (count << 18));
			put(wide ? "fld ft11,-64(a0)" : "flw ft11,-64(a0)");
			for (unsigned i = 0; i < count; i++) {
				snprintf(text, sizeof(text), "fl%c %s,%u(a0)", wide ? 'd' : 'w',
				         f(i), (wide ? 8 : 4) * i);
				put(text);
			}
			for (unsigned i = 0; i < count; i++) {
				snprintf(text, sizeof(text), "fadd.%c %s,%s,%s", wide ? 'd' : 's',
				         f(31), f(31), f(i));
				put(text);
			}
			compare(1, 200);
		}
}

/*
 * A value whose slot is in memory and overwritten by what takes its register, while a copy that
 * nobody sees is all that has it.
 */
static void test_copies_nobody_sees(void **state)
{
	static const char *const fillers[] = { "add t1,t2,t3", "xor a6,a7,t2", "sub t4,t5,t2",
		                               "and t6,t2,t3", "or s2,t3,t5" };

	for (unsigned count = 0; count <= ARRAY_LEN(fillers); count++)
		for (unsigned op = 0; op < 3; op++) {
			begin();
			put("add s11,s10,s9");
			put("addi s8,s11,0"); /* the copy */
			for (unsigned i = 0; i < count; i++)
				put(fillers[i]);
			put(op == 0   ? "mulh s11,s11,s7"
			    : op == 1 ? "div s11,s7,s11"
			              : "add s11,s7,s6");
			put("sltu s6,s8,s11");
			put("xor s8,s8,s6");
			put("add s5,s8,s11");
			compare(1, 100);
			if (right.vm)
				assert_int_equal(right.hart->stats.bail_no_host_op, 0);
		}
}

/* An address of code and a constant may be far from the code. */
static void test_far_from_the_code(void **state)
{
	begin();
	put("auipc t0,0x7ffff");
	put("lui t1,0x7ffff");
	put("add t2,t0,t1");
	put("auipc t3,0x80000");
	put("lui t4,0x80000");
	put("add t5,t3,t4");
	put("addi s2,t5,-2048");
	compare(1, 100);
}

static void test_misaligned_sc(void **state)
{
	begin();
	put("addi a0,a0,4");
	put("lr.w t0,(a0)");
	put("sc.d t1,t2,(a0)");
	compare(1, 100);
}

/* What another hart writes is not watched: the first hart must not believe that it is alone. */
static void test_several_harts(void **state)
{
	struct hull_region_config ram = { .gpa = BASE,
		                          .size = PAGES * 4096,
		                          .attr = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };
	struct hull_vm_config config;
	struct fake_hal hal;
	struct hull_vm *vm;

	fake_hal_init(&hal);
	hull_config_init(&config, HULL_ISA_RISCV64, "two");
	config.cpu_num = 2;
	assert_int_equal(hull_config_add_region(&config, &ram, NULL), 0);
	assert_int_equal(hull_vm_create(&config, &hal.hal, hull_accel_find("engine"), &vm, NULL),
	                 0);
	assert_int_equal(hull_vm_seal(vm, NULL), 0);
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct rv_hart *h = hull_vcpu_accel_state(hull_vm_vcpu(vm, i));

		assert_false(h->watch.on);
	}
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
	hull_vm_unref(vm);
	fake_hal_fini(&hal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operands_in_f_registers),
		cmocka_unit_test(test_groups_of_numbers),
		cmocka_unit_test(test_copies_nobody_sees),
		cmocka_unit_test(test_far_from_the_code),
		cmocka_unit_test(test_misaligned_sc),
		cmocka_unit_test(test_several_harts),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
