/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * engine/jit/host.h on this host: emitted code runs and does what the header says, for random
 * operands of all kinds in all registers, with each optional feature taken away.  Integers and
 * control here; guest memory and floating point in test_jit_host_memory.c and _fp.c.
 */
#if defined(__x86_64__) || defined(__aarch64__)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "support/fp_operands.h"
#include "support/jithost.h"

enum { PAGE = 4096 };

/* --- integers --- */

static void moves(void)
{
	for (uint64_t n = fp_test_cases(2000); n; n--) {
		struct host_operand a;
		int32_t to = 8 * (int32_t)(FIRST_FREE + n % 8);
		uint64_t v;

		begin();
		a = operand();
		v = value(a);
		if (n & 1) {
			host_mov(&em, changed = some_gpr(), a);
			expect("mov", v, 0, v);
			continue;
		}
		host_set_state(&em, to, a);
		assert_int_equal(run(false), DONE);
		assert_int_equal(st->w[to / 8], v);
		st->w[to / 8] = before.w[to / 8];
		check_rest("set_state");
	}
	begin();
	host_set_state8(&em, 8 * FIRST_FREE + 3, 0xa5);
	assert_int_equal(run(false), DONE);
	assert_int_equal(st->w[FIRST_FREE], (before.w[FIRST_FREE] & ~0xff000000ull) | 0xa5000000);
}

static void arithmetic(void)
{
	static const enum hull_ir_op ops[] = { HULL_IR_ADD, HULL_IR_SUB, HULL_IR_AND,
		                               HULL_IR_OR,  HULL_IR_XOR, HULL_IR_MUL };

	for (uint64_t n = fp_test_cases(15000); n; n--) {
		struct host_operand a, b;
		enum host_alu op = n % 6;
		bool w = fp_random() & 1;
		uint64_t va, vb;

		begin();
		a = operand(), b = operand(), changed = some_gpr();
		va = value(a), vb = value(b);
		host_alu(&em, op, w, changed, a, b);
		expect(hull_ir_ops[ops[op]].name, va, vb,
		       low(w, hull_ir_compute(ops[op], va, vb, 0)));
	}
}

static void shifts(void)
{
	static const enum hull_ir_op ops[] = { HULL_IR_SHL, HULL_IR_SHR, HULL_IR_SAR, HULL_IR_ROR };

	for (uint64_t n = fp_test_cases(5000); n; n--) {
		struct host_operand a, b;
		enum host_shift op = n % 4;
		bool w = fp_random() & 1;
		uint64_t va, vb, x, want;

		begin();
		a = operand(), b = operand(), changed = some_gpr();
		if (b.kind == HOST_IMM)
			b.imm = fp_random() % 80;
		va = value(a), vb = value(b);
		x = !w ? va : op == HOST_SAR ? (uint64_t)(int32_t)va : (uint32_t)va;
		if (w && op == HOST_ROR)
			x |= x << 32;
		want = hull_ir_compute(ops[op], x, w ? vb & 31 : vb, 0);
		host_shift(&em, op, w, changed, a, b);
		expect(hull_ir_ops[ops[op]].name, va, vb, low(w, want));
	}
}

static void shifted_sums(void)
{
	for (uint64_t n = fp_test_cases(3000); n; n--) {
		struct host_operand a, b;
		unsigned shift = 1 + n % 3;
		uint64_t va, vb;

		begin();
		a = operand(), b = operand(), changed = some_gpr();
		va = value(a), vb = value(b);
		host_add_shifted(&em, changed, a, b, shift);
		expect("shifted sum", va, vb, va + (vb << shift));
	}
}

static void operators(void)
{
	static const enum hull_ir_op ops[] = {
		HULL_IR_NOT,     HULL_IR_MULH,   HULL_IR_MULHU, HULL_IR_MULHSU, HULL_IR_DIV,
		HULL_IR_DIVU,    HULL_IR_REM,    HULL_IR_REMU,  HULL_IR_SX8,    HULL_IR_SX16,
		HULL_IR_SX32,    HULL_IR_ZX8,    HULL_IR_ZX16,  HULL_IR_ZX32,   HULL_IR_CLZ,
		HULL_IR_CTZ,     HULL_IR_POP,    HULL_IR_REV8,  HULL_IR_ORCB,   HULL_IR_CLMUL,
		HULL_IR_CLMULH,  HULL_IR_CLMULR, HULL_IR_BOX16, HULL_IR_BOX32,  HULL_IR_UNBOX16,
		HULL_IR_UNBOX32,
	};

	for (uint64_t n = fp_test_cases(13000); n; n--) {
		struct host_operand a, b;
		enum hull_ir_op op = ops[n % ARRAY_LEN(ops)];
		uint64_t va, vb;

		begin();
		a = operand(), b = operand(), changed = some_gpr();
		va = value(a), vb = value(b);
		if (host_compute(&em, op, changed, a, b))
			expect(hull_ir_ops[op].name, va, vb, hull_ir_compute(op, va, vb, 0));
		else
			assert_int_equal(host_here(&em), 0);
	}
}

static void short_division(void)
{
	static const enum hull_ir_op ops[] = { HULL_IR_DIV, HULL_IR_DIVU, HULL_IR_REM,
		                               HULL_IR_REMU };

	for (uint64_t n = fp_test_cases(4000); n; n--) {
		struct host_operand a, b;
		enum hull_ir_op op = ops[n % 4];
		uint64_t va, vb;

		begin();
		a = operand(), b = operand(), changed = some_gpr();
		va = value(a), vb = value(b);
		host_divw(&em, op, changed, a, b);
		expect(hull_ir_ops[op].name, va, vb,
		       low(true, n & 1 ? hull_ir_compute(op, (uint32_t)va, (uint32_t)vb, 0)
		                       : hull_ir_compute(op, low(true, va), low(true, vb), 0)));
	}
}

static bool holds(enum host_cond cond, uint64_t a, uint64_t b)
{
	bool v = cond / 2 == 0 ? a == b : cond / 2 == 1 ? (int64_t)a < (int64_t)b : a < b;

	return v ^ (cond & 1);
}

static void conditions(void)
{
	for (uint64_t n = fp_test_cases(10000); n; n--) {
		struct host_operand a, b, yes, no;
		enum host_cond cond = n % 6;
		uint64_t va, vb, vy, vn;
		bool v;

		begin();
		a = operand(), b = fp_random() % 4 ? operand() : host_i(0);
		yes = operand(), no = operand();
		va = value(a), vb = value(b), vy = value(yes), vn = value(no);
		v = holds(cond, va, vb);
		switch (fp_random() % 3) {
		case 0:
			host_set(&em, cond, changed = some_gpr(), a, b);
			expect("set", va, vb, v);
			break;
		case 1:
			host_select(&em, cond, a, b, changed = some_gpr(), yes, no);
			expect("select", va, vb, v ? vy : vn);
			break;
		default:
			host_branch(&em, cond, a, b, slow);
			assert_int_equal(run(false), v ? SLOW : DONE);
			check_rest("branch");
		}
	}
}

/* Labels before and behind, near and far. */
static void jumps(void)
{
	for (unsigned far = 0; far < 2; far++) {
		host_reg r = host_info.gpr[0];
		host_label again, out, join;

		begin();
		again = host_new_label(&em), out = host_new_label(&em), join = host_new_label(&em);
		st->w[0] = 0;
		host_bind(&em, again);
		host_alu(&em, HOST_ADD, false, r, host_r(r), host_i(1));
		host_branch(&em, HOST_EQ, host_r(r), host_i(1000), out);
		for (unsigned i = 0; i < (far ? 300 : 1); i++)
			host_mov(&em, host_info.gpr[1], host_i(i));
		host_jump(&em, again);
		host_bind(&em, join);
		host_leave(&em, OTHER, DESC);
		host_bind(&em, out);
		host_jump(&em, join);
		assert_int_equal(run(false), OTHER);
		assert_int_equal(st->w[0], 1000);
		assert_int_equal(st->w[1], far ? 299 : 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		begin();
		st->w[WORDS - 1] = i ? 0x0100 : ~0xff00ull;
		host_branch_byte(&em, 8 * WORDS - 7, slow);
		assert_int_equal(run(false), i ? DONE : SLOW);
	}
}

/* Nothing is written over the end, and whoever asks is told. */
static void too_small(void)
{
	for (unsigned i = 0; i <= 600; i++) {
		unsigned size = i < 600 ? i : 10000; /* at last there is room */

		host_begin(&em, buffer, size);
		memset(buffer, 0xa5, size + 16);
		slow = host_new_label(&em);
		for (unsigned k = 0; k < 10; k++) {
			host_shift(&em, HOST_SHL, true, host_info.gpr[0], host_s(0), host_s(8));
			host_compute(&em, HULL_IR_DIV, host_info.gpr[0], host_s(0), host_s(8));
			host_link(&em, slow);
			host_jump_guest(&em, host_s(8), 4, slow);
			host_leave(&em, 0, 1);
		}
		assert_false(host_end(&em)); /* the label, at least */
		assert_int_equal(buffer[size], 0xa5);
	}
	host_begin(&em, buffer, sizeof buffer);
	for (unsigned i = 0; i < HOST_LABELS + 1; i++)
		host_new_label(&em);
	assert_true(em.full);
	host_begin(&em, buffer, sizeof buffer);
	slow = host_new_label(&em);
	host_bind(&em, slow);
	for (unsigned i = 0; i < HOST_FIXUPS + 1; i++)
		host_link(&em, slow);
	assert_false(host_end(&em));
}

static void integers(void **unused)
{
	with_features(moves);
	with_features(arithmetic);
	with_features(shifts);
	with_features(shifted_sums);
	with_features(operators);
	with_features(short_division);
	with_features(conditions);
	jumps();
	too_small();
}

/* --- control --- */

static void fuel(void)
{
	for (uint64_t n = fp_test_cases(1000); n; n--) {
		int64_t have = n & 1 ? (int64_t)(fp_random() % 300) : (int64_t)interesting() >> 1;
		unsigned cost = fp_random() % 2048;
		int32_t back = n & 2 ? (int32_t)(fp_random() % 1000) : -(int32_t)(n % 200);

		begin();
		st->cpu.fuel = have;
		if (n & 4) {
			host_label on = host_new_label(&em);

			host_fuel_jump(&em, cost, on);
			host_jump(&em, slow);
			host_bind(&em, on);
		} else {
			host_fuel(&em, cost, slow);
		}
		host_fuel_add(&em, back);
		assert_int_equal(run(false), have < (int64_t)cost ? SLOW : DONE);
		assert_int_equal(st->cpu.fuel,
		                 have - (int64_t)cost + (have < (int64_t)cost ? 0 : back));
		check_rest("fuel");
	}
}

static void page_addresses(void)
{
	for (uint64_t n = fp_test_cases(500); n; n--) {
		int32_t offset =
			n & 1 ? (int32_t)(fp_random() % 8192) - 4096 : (int32_t)interesting();

		begin();
		st->cpu.page = interesting() & -(uint64_t)PAGE;
		host_page_address(&em, changed = any_gpr(), offset);
		expect("page_address", 0, 0, st->cpu.page + (uint64_t)(int64_t)offset);
	}
}

/* An indirect jump: found, or what is wrong with the entry. */
static void indirect(void)
{
	for (uint64_t n = fp_test_cases(2500); n; n--) {
		struct host_operand a = operand();
		int32_t add = fp_random() & 1 ? 0 : (int32_t)interesting();
		unsigned wrong = fp_random() % 6;
		uint64_t page = interesting() & -(uint64_t)PAGE, pc;
		struct engine_jump_entry *entry;
		bool found;

		begin();
		if (n & 1)
			add = (int32_t)(fp_random() % 8192) - 4096;
		pc = ((n & 1 ? page : value(a)) + (uint64_t)(int64_t)add) & -2ull;
		entry = &st->cpu.jumps[engine_jump_index(pc)];
		st->cpu.jump_key = 1 + fp_random() % 3;
		st->cpu.page = page;
		st->cpu.target = 0x1234;
		*entry = (struct engine_jump_entry){ pc, st->cpu.jump_key, other, NULL };
		found = wrong > 4;
		if (wrong == 0)
			entry->key++;
		else if (wrong == 1)
			entry->pc ^= 2ull << fp_random() % 63;
		else if (wrong == 2)
			entry->pc |= 1;
		else if (wrong == 3)
			*entry = (struct engine_jump_entry){ 0, 0, NULL, NULL };
		else
			found = true;
		if (n & 1)
			host_jump_page(&em, add, slow);
		else
			host_jump_guest(&em, a, add, slow);
		assert_int_equal(run(false), found ? OTHER : SLOW);
		assert_int_equal(st->cpu.page, found ? pc & -(uint64_t)PAGE : page);
		assert_int_equal(st->cpu.target, found ? 0x1234 : pc);
		check_rest("indirect jump");
	}
}

static void links(void)
{
	for (unsigned pad = 0; pad < 9; pad++) {
		uint32_t at, second;

		begin();
		for (unsigned i = 0; i < pad; i++)
			host_mov(&em, changed = host_info.gpr[i % 2 ? 0 : 4], host_i(i));
		changed = host_info.gpr[0], changed_too = host_info.gpr[4];
		at = host_link(&em, slow);
		second = host_link(&em, slow);
		assert_int_equal(run(false), SLOW);
		host_patch(site + at, site + at, other);
		host_sync_code(site + at, site + at, 4);
		assert_int_equal(enter(st, site), OTHER);
		check_rest("link");
		host_patch(site + at, site + at, site);
		host_patch(site + at, site + at, other);
		host_sync_code(site + at, site + at, 4);
		assert_int_equal(enter(st, site), OTHER);
		assert_true(second > at);
		assert_int_equal((uintptr_t)(site + at) % 4, 0);
	}
}

static void calls(void)
{
	for (uint64_t n = fp_test_cases(1000); n; n--) {
		unsigned thunk = 4 + n % 3;
		bool keep_f = thunk != 4;
		uint32_t desc = (uint32_t)interesting();

		begin();
		if (keep_f)
			begin_f();
		st->cpu.fuel = (int64_t)interesting() >> 1;
		st->cpu.arg[0] = interesting();
		before.cpu.fuel = st->cpu.fuel;
		thunk_calls = 0;
		host_fuel_add(&em, -7);
		host_call(&em, thunk, desc, keep_f);
		changed = fp_random() % 4 ? some_gpr() : HOST_NO_REG;
		host_call_done(&em, changed, slow);
		assert_int_equal(run(keep_f), thunk == 6 ? SLOW : DONE);
		assert_int_equal(st->cpu.fuel, before.cpu.fuel - 7 - (thunk == 6 ? 0 : 5));
		assert_int_equal(thunk_calls, thunk != 6);
		if (thunk == 6)
			changed = HOST_NO_REG;
		if (changed != HOST_NO_REG)
			assert_int_equal(*word_of(changed), st->cpu.arg[0] + desc);
		check_rest("call");
	}
}

static void control(void **unused)
{
	fuel();
	page_addresses();
	with_features(indirect);
	links();
	with_features(calls);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers),
		cmocka_unit_test(control),
	};

	return cmocka_run_group_tests(tests, jithost_setup, NULL);
}
#else
int main(void)
{
	return 0;
}
#endif
