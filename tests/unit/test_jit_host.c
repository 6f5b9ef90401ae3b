/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * engine/jit/host.h on this host: emitted code runs and does what the header says, for random
 * operands of all kinds in all registers, with each optional feature taken away.
 *
 * Every allocatable register has a word of the state, from which the way in (or the beginning of
 * the code) loads it and to which the way out stores it: so each case also shows that nothing
 * else has changed.  HULL_TEST_SEED and HULL_TEST_CASES as in support/fp_operands.h.
 */
#if defined(__x86_64__) || defined(__aarch64__)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "base/bits.h"
#include "engine/jit/host.h"
#include "isa/fp.h"
#include "support/fp_operands.h"

enum { WORDS = ENGINE_CPU_AT / 8, FIRST_F = 24, FIRST_FREE = 56 };
enum { CODE_BYTES = 1 << 16, GLUE_BYTES = 1 << 14, BUFFER_BYTES = 1 << 14 };
enum { DONE = 1, SLOW = 2, OTHER = 3, DESC = 0x12345678 };

static struct state {
	uint64_t w[WORDS];
	struct engine_cpu cpu;
} *st, before;

static struct host_emit em;
static uint8_t buffer[BUFFER_BYTES];
static uint8_t *code, *site;
static uint64_t (*enter)(void *state, const void *code);
static unsigned features, thunk_calls;
static host_label slow;
static host_reg changed, changed_f; /* what the case writes */
static unsigned changed_bits;       /* of changed_f */

/* --- running --- */

static void *place(uint32_t at)
{
	memcpy(code + at, em.start, host_here(&em));
	host_sync_code(code + at, code + at, host_here(&em));
	return code + at;
}

static uint32_t pins(struct host_pin *pin)
{
	for (unsigned i = 0; i < host_info.gpr_count; i++)
		pin[i] = (struct host_pin){ host_info.gpr[i], (int32_t)(8 * i) };
	return host_info.gpr_count;
}

static void trash_registers(void)
{
	volatile double a[40];

	for (int i = 0; i < 40; i++)
		a[i] = i;
	for (int i = 1; i < 40; i++)
		a[i] = a[i] * a[i - 1] + a[(i + 7) % 40];
}

static bool thunk_done(void *state)
{
	struct state *s = state;

	assert_true(s == st);
	assert_int_equal((uintptr_t)__builtin_frame_address(0) % 16, 0);
	thunk_calls++;
	trash_registers();
	s->cpu.arg[3] = s->cpu.arg[0] + s->cpu.desc;
	s->cpu.fuel -= 5;
	return true;
}

static bool thunk_fails(void *state)
{
	(void)state;
	trash_registers();
	return false;
}

static void glue(void)
{
	struct host_pin pin[24];
	uint32_t count = pins(pin), at[8];
	unsigned n = 0;

	host_begin(&em, buffer, sizeof buffer);
	host_entry(&em, pin, count);
	for (unsigned reason = DONE; reason <= OTHER; reason++) {
		at[n++] = host_here(&em);
		host_exit(&em, pin, count, reason);
	}
	at[n++] = host_here(&em);
	host_thunk(&em, thunk_done, false);
	at[n++] = host_here(&em);
	host_thunk(&em, thunk_done, true);
	at[n++] = host_here(&em);
	host_thunk(&em, thunk_fails, true);
	assert_true(host_end(&em));
	enter = (uint64_t (*)(void *, const void *))(uintptr_t)place(0);
	for (unsigned i = 0; i < n; i++)
		st->cpu.stub[i + 1] = code + at[i];
}

static int setup(void **unused)
{
	fp_test_init();
	st = mmap(NULL, sizeof *st, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	code = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
	            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (st == MAP_FAILED || code == MAP_FAILED)
		return -1;
	glue();
	features = host_features();
	return 0;
}

/* The words that the code may change, among them all registers. */
static uint64_t interesting(void)
{
	static const uint64_t v[] = {
		0,         1,          2,          UINT64_MAX,  INT64_MAX,      INT64_MIN,
		INT32_MAX, UINT32_MAX, 0x80000000, 0x7f,        0x80,           0xff,
		0x7fff,    0x8000,     0xffff,     0x7fffffff,  -0x80ull,       -2ull,
		63,        64,         31,         0x100000000, -0x80000000ull, -0x80000001ull
	};
	uint64_t r = fp_random();

	switch (r & 7) {
	case 0:
	case 1:
	case 2: return v[(r >> 8) % ARRAY_LEN(v)];
	case 3: return (r >> 8) % 256 - 128;
	case 4: return 1ull << (r >> 8) % 64;
	case 5: return fp_random() >> (r >> 8) % 64;
	case 6: return -(fp_random() >> (r >> 8) % 64);
	default: return (uint32_t)(r >> 8) | UINT64_MAX << 32;
	}
}

static void begin(void)
{
	for (unsigned i = 0; i < WORDS; i++)
		st->w[i] = interesting();
	host_begin(&em, buffer, sizeof buffer);
	em.features = features;
	em.smp = fp_random() & 1;
	slow = host_new_label(&em);
	changed = changed_f = HOST_NO_REG;
	changed_bits = 64;
}

/* The floating-point registers from and to their words. */
static void begin_f(void)
{
	for (unsigned i = 0; i < host_info.fpr_count; i++)
		host_fget(&em, 64, host_info.fpr[i], 8 * (FIRST_F + (int32_t)i));
}

static void end_f(void)
{
	for (unsigned i = 0; i < host_info.fpr_count; i++)
		host_fput(&em, 64, 8 * (FIRST_F + (int32_t)i), host_info.fpr[i]);
}

static uint64_t *word_of(host_reg r)
{
	for (unsigned i = 0; i < host_info.gpr_count; i++)
		if (host_info.gpr[i] == r)
			return &st->w[i];
	fail_msg("register %u", r);
	return NULL;
}

static unsigned index_f(host_reg r)
{
	for (unsigned i = 0; i < host_info.fpr_count; i++)
		if (host_info.fpr[i] == r)
			return FIRST_F + i;
	fail_msg("register %u", r);
	return 0;
}

static void check_rest(const char *what)
{
	for (unsigned i = 0; i < WORDS; i++) {
		if (changed != HOST_NO_REG && &st->w[i] == word_of(changed))
			continue;
		if (changed_f != HOST_NO_REG && i == index_f(changed_f))
			continue;
		if (st->w[i] != before.w[i])
			fail_msg("%s, features %x: word %u was %llx, is %llx", what, em.features, i,
			         (unsigned long long)before.w[i], (unsigned long long)st->w[i]);
	}
}

/* End the code, run it; the reason why it left. */
static uint64_t run(bool floats)
{
	uint64_t why;

	if (floats)
		end_f();
	host_leave(&em, DONE, DESC);
	host_bind(&em, slow);
	if (floats)
		end_f();
	host_leave(&em, SLOW, DESC + 1);
	assert_true(host_end(&em));
	site = place(GLUE_BYTES);
	memcpy(before.w, st->w, sizeof before.w);
	why = enter(st, site);
	assert_true(st->cpu.site == site);
	assert_int_equal(st->cpu.desc, DESC + (why == SLOW));
	return why;
}

/* --- operands --- */

static host_reg any_gpr(void)
{
	return host_info.gpr[fp_random() % host_info.gpr_count];
}

/* Often the same few, so that operands coincide. */
static host_reg some_gpr(void)
{
	static host_reg few[2];

	if (fp_random() % 4 == 0)
		few[fp_random() & 1] = any_gpr();
	return fp_random() & 1 && few[0] && few[1] ? few[fp_random() & 1] : any_gpr();
}

static struct host_operand any_word(void)
{
	return host_s(8 * (int32_t)(FIRST_FREE + fp_random() % (WORDS - FIRST_FREE)));
}

static struct host_operand operand(void)
{
	uint64_t r = fp_random() % 4;

	return r < 2 ? host_r(some_gpr()) : r == 2 ? any_word() : host_i(interesting());
}

static uint64_t value(struct host_operand o)
{
	if (o.kind == HOST_REG)
		return *word_of(o.reg);
	return o.kind == HOST_IMM ? o.imm : st->w[o.state / 8];
}

static void expect(const char *what, uint64_t a, uint64_t b, uint64_t want)
{
	uint64_t got;

	assert_int_equal(run(false), DONE);
	got = *word_of(changed);
	if (got != want)
		fail_msg("%s %llx %llx, features %x: want %llx, got %llx", what,
		         (unsigned long long)a, (unsigned long long)b, em.features,
		         (unsigned long long)want, (unsigned long long)got);
	check_rest(what);
}

/* Run f, then again without each feature, and without any. */
static void with_features(void (*f)(void))
{
	unsigned all = host_features();

	features = all;
	f();
	for (unsigned bit = 1; bit; bit <<= 1)
		if (all & bit) {
			features = all & ~bit;
			f();
		}
	features = 0;
	f();
	features = all;
}

/* --- integers --- */

static uint64_t low(bool w, uint64_t v)
{
	return w ? (uint64_t)(int32_t)v : v;
}

static void moves(void)
{
	for (uint64_t n = fp_test_cases(4000); n; n--) {
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

	for (uint64_t n = fp_test_cases(30000); n; n--) {
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

	for (uint64_t n = fp_test_cases(10000); n; n--) {
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

	for (uint64_t n = fp_test_cases(26000); n; n--) {
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

	for (uint64_t n = fp_test_cases(8000); n; n--) {
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
	for (uint64_t n = fp_test_cases(20000); n; n--) {
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
	for (unsigned size = 0; size < 600; size++) {
		host_begin(&em, buffer, size);
		memset(buffer, 0xa5, sizeof buffer);
		slow = host_new_label(&em);
		for (unsigned i = 0; i < 10; i++) {
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

/* --- floating point --- */

static host_reg any_fpr(void)
{
	return host_info.fpr[fp_random() % (fp_random() & 1 ? 3 : host_info.fpr_count)];
}

static void float_moves(void)
{
	for (uint64_t n = fp_test_cases(1000); n; n--) {
		host_reg fs = any_fpr();
		unsigned bits = n & 1 ? 64 : 32;
		uint64_t want;

		begin();
		begin_f();
		want = st->w[index_f(fs)];
		changed_f = any_fpr();
		host_fmov(&em, changed_f, fs);
		host_fput(&em, bits, 8 * (WORDS - 1), changed_f);
		assert_int_equal(run(true), DONE);
		assert_int_equal(st->w[index_f(changed_f)], want);
		assert_int_equal(st->w[WORDS - 1], bits == 64 ? want : want | UINT64_MAX << 32);
		st->w[WORDS - 1] = before.w[WORDS - 1];
		check_rest("fmov");
	}
}

static void floats(void **unused)
{
	with_features(float_moves);
}

static void integers(void **unused)
{
	with_features(moves);
	with_features(arithmetic);
	with_features(shifts);
	with_features(operators);
	with_features(short_division);
	with_features(conditions);
	jumps();
	too_small();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers),
		cmocka_unit_test(floats),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
#else
int main(void)
{
	return 0;
}
#endif
