/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* engine/jit/host.h on this host: floating point, results and flags against isa/fp.h. */
#if defined(__x86_64__) || defined(__aarch64__)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "isa/fp.h"
#include "support/fp_operands.h"
#include "support/jithost.h"

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

static void between_files(void)
{
	for (uint64_t n = fp_test_cases(3000); n; n--) {
		unsigned bits = n & 1 ? 64 : 32;
		host_reg f = any_fpr();
		struct host_operand a = operand();
		uint64_t want, got;

		begin();
		begin_f();
		switch (n / 2 % 4) {
		case 0:
			want = st->w[index_f(f)];
			host_f_to_gpr(&em, bits, changed = any_gpr(), f);
			assert_int_equal(run(true), DONE);
			assert_int_equal(*word_of(changed), bits == 64 ? want : (uint32_t)want);
			check_rest("f_to_gpr");
			continue;
		case 1:
			want = bits == 64 ? 0x7ff8000000000000 : 0x7fc00000;
			host_fnan(&em, bits, changed_f = f);
			break;
		case 2:
			st->w[WORDS - 1] |= n & 8 ? 0 : UINT64_MAX << 32;
			host_branch_unboxed(&em, 8 * (WORDS - 1), slow);
			assert_int_equal(run(true),
			                 st->w[WORDS - 1] >> 32 == UINT32_MAX ? DONE : SLOW);
			check_rest("branch_unboxed");
			continue;
		default: want = value(a); host_f_from_gpr(&em, bits, changed_f = f, a);
		}
		assert_int_equal(run(true), DONE);
		got = st->w[index_f(f)];
		assert_int_equal(bits == 64 ? got : (uint32_t)got,
		                 bits == 64 ? want : (uint32_t)want);
		check_rest("f_from_gpr");
	}
}

/* A case of floating-point operands in random registers. */
struct fcase {
	enum fp_op op;
	unsigned bits;
	host_reg r[3], d;
	uint64_t v[3]; /* what is in r */
	struct hull_fp soft;
};

static uint64_t cut(unsigned bits, uint64_t v)
{
	return bits == 32 ? (uint32_t)v : v;
}

static void begin_case(struct fcase *c, enum fp_op op, unsigned bits)
{
	*c = (struct fcase){ .op = op, .bits = bits, .d = any_fpr() };
	begin();
	fp_operands(op, bits, c->v);
	for (unsigned i = 0; i < 3; i++) {
		c->r[i] = any_fpr();
		st->w[index_f(c->r[i])] =
			bits == 64 ? c->v[i] : (uint32_t)c->v[i] | fp_random() << 32;
	}
	for (unsigned i = 0; i < 3; i++)
		c->v[i] = cut(bits, st->w[index_f(c->r[i])]);
	begin_f();
}

static bool is_nan(unsigned bits, uint64_t v)
{
	return bits == 32 ? (v & 0x7fffffff) > 0x7f800000 : (v & INT64_MAX) > 0x7ff0000000000000;
}

static void wrong(const struct fcase *c, uint64_t want, unsigned want_flags, uint64_t got,
                  unsigned got_flags, uint64_t why)
{
	fail_msg("%s.%u of %llx %llx %llx in f%u %u %u -> f%u, features %x: want %llx flags %x, "
	         "got %llx flags %x, left with %llu",
	         fp_op_names[c->op], c->bits, (unsigned long long)c->v[0],
	         (unsigned long long)c->v[1], (unsigned long long)c->v[2], c->r[0], c->r[1],
	         c->r[2], c->d, em.features, (unsigned long long)want, want_flags,
	         (unsigned long long)got, got_flags, (unsigned long long)why);
}

/*
 * Run; the result is `want` of `bits` bits in c->d with exactly the soft flags; if may_slow it
 * may also go to `slow`, with nothing changed and none but those flags.
 */
static void end_case(struct fcase *c, unsigned bits, uint64_t want, bool may_slow, bool fd_stays)
{
	uint64_t why, got;
	unsigned flags;

	host_fp_flags();
	changed_f = c->d;
	why = run(true);
	flags = host_fp_flags();
	got = cut(bits, st->w[index_f(c->d)]);
	if (why == DONE ? got != want || flags != c->soft.flags
	                : !may_slow || (fd_stays ? flags & ~c->soft.flags : flags != c->soft.flags))
		wrong(c, want, c->soft.flags, got, flags, why);
	if (why == SLOW && fd_stays)
		changed_f = HOST_NO_REG;
	check_rest(fp_op_names[c->op]);
	assert_int_equal(host_fp_flags(), 0);
}

static uint64_t soft_op(struct fcase *c, enum host_fop op)
{
	uint32_t a = (uint32_t)c->v[0], b = (uint32_t)c->v[1];

	if (c->bits == 32)
		return op == HOST_FADD   ? hull_f32_add(&c->soft, a, b)
		       : op == HOST_FSUB ? hull_f32_sub(&c->soft, a, b)
		       : op == HOST_FMUL ? hull_f32_mul(&c->soft, a, b)
		                         : hull_f32_div(&c->soft, a, b);
	return op == HOST_FADD   ? hull_f64_add(&c->soft, c->v[0], c->v[1])
	       : op == HOST_FSUB ? hull_f64_sub(&c->soft, c->v[0], c->v[1])
	       : op == HOST_FMUL ? hull_f64_mul(&c->soft, c->v[0], c->v[1])
	                         : hull_f64_div(&c->soft, c->v[0], c->v[1]);
}

static void float_arithmetic(void)
{
	for (uint64_t n = fp_test_cases(6000); n; n--) {
		unsigned bits = n & 1 ? 64 : 32, which = n / 2 % 5;
		struct fcase c;
		uint64_t want;

		begin_case(&c, FP_ADD + which, bits);
		if (which == 4) {
			want = bits == 32 ? hull_f32_sqrt(&c.soft, (uint32_t)c.v[0])
			                  : hull_f64_sqrt(&c.soft, c.v[0]);
			host_fsqrt(&em, bits, c.d, c.r[0], slow);
		} else {
			want = soft_op(&c, which);
			host_fop(&em, which, bits, c.d, c.r[0], c.r[1], slow);
		}
		end_case(&c, bits, want, is_nan(bits, want), false);
	}
}

static void fused(void)
{
	for (uint64_t n = fp_test_cases(4000); n; n--) {
		unsigned bits = n & 1 ? 64 : 32;
		uint64_t np = fp_random() & 1, nc = fp_random() & 1, want;
		uint32_t at;
		struct fcase c;

		begin_case(&c, FP_FMA, bits);
		at = host_here(&em);
		if (!host_fma(&em, bits, c.d, c.r[0], c.r[1], c.r[2], np, nc, slow)) {
			assert_int_equal(host_here(&em), at);
			return;
		}
		want = bits == 32 ? hull_f32_fma(&c.soft, (uint32_t)(c.v[0] ^ np << 31),
		                                 (uint32_t)c.v[1], (uint32_t)(c.v[2] ^ nc << 31))
		                  : hull_f64_fma(&c.soft, c.v[0] ^ np << 63, c.v[1],
		                                 c.v[2] ^ nc << 63);
		end_case(&c, bits, want, is_nan(bits, want), false);
	}
}

/* The result is in a general register. */
static void end_integer(struct fcase *c, uint64_t want, bool may_slow)
{
	uint64_t why, got;
	unsigned flags;

	host_fp_flags();
	why = run(true);
	flags = host_fp_flags();
	got = *word_of(changed);
	if (why == DONE ? got != want || flags != c->soft.flags
	                : !may_slow || (flags & ~c->soft.flags))
		wrong(c, want, c->soft.flags, got, flags, why);
	if (why != DONE)
		changed = HOST_NO_REG;
	check_rest(fp_op_names[c->op]);
}

static void comparisons(void)
{
	for (uint64_t n = fp_test_cases(3000); n; n--) {
		unsigned bits = n & 1 ? 64 : 32;
		enum host_fcmp op = n / 2 % 3;
		struct fcase c;
		uint32_t a, b;
		bool want;

		begin_case(&c, FP_EQ + op, bits);
		a = (uint32_t)c.v[0], b = (uint32_t)c.v[1];
		if (bits == 32)
			want = op == HOST_FEQ   ? hull_f32_eq(&c.soft, a, b)
			       : op == HOST_FLT ? hull_f32_lt(&c.soft, a, b)
			                        : hull_f32_le(&c.soft, a, b);
		else
			want = op == HOST_FEQ   ? hull_f64_eq(&c.soft, c.v[0], c.v[1])
			       : op == HOST_FLT ? hull_f64_lt(&c.soft, c.v[0], c.v[1])
			                        : hull_f64_le(&c.soft, c.v[0], c.v[1]);
		host_fcompare(&em, op, bits, changed = any_gpr(), c.r[0], c.r[1]);
		end_integer(&c, want, false);
	}
}

static void extremes(void)
{
	for (uint64_t n = fp_test_cases(2000); n; n--) {
		unsigned bits = n & 1 ? 64 : 32;
		bool max = fp_random() & 1;
		struct hull_fp quiet = { 0, 0 };
		uint64_t want;
		struct fcase c;
		int order;

		begin_case(&c, max ? FP_MAX : FP_MIN, bits);
		if (bits == 32) {
			uint32_t a = (uint32_t)c.v[0], b = (uint32_t)c.v[1];

			order = hull_f32_compare(&quiet, a, b, false);
			want = max ? hull_f32_max(&c.soft, a, b) : hull_f32_min(&c.soft, a, b);
		} else {
			order = hull_f64_compare(&quiet, c.v[0], c.v[1], false);
			want = max ? hull_f64_max(&c.soft, c.v[0], c.v[1])
			           : hull_f64_min(&c.soft, c.v[0], c.v[1]);
		}
		host_fminmax(&em, max, bits, c.d, c.r[0], c.r[1], slow);
		end_case(&c, bits, want, order == HULL_FP_EQUAL || order == HULL_FP_UNORDERED,
		         true);
	}
}

static uint64_t soft_to_int(struct fcase *c, enum host_int to)
{
	uint32_t a = (uint32_t)c->v[0];

	if (c->bits == 32)
		return to == HOST_I32   ? (uint64_t)hull_f32_to_i32(&c->soft, a)
		       : to == HOST_U32 ? (uint64_t)(int32_t)hull_f32_to_u32(&c->soft, a)
		       : to == HOST_I64 ? (uint64_t)hull_f32_to_i64(&c->soft, a)
		                        : hull_f32_to_u64(&c->soft, a);
	return to == HOST_I32   ? (uint64_t)hull_f64_to_i32(&c->soft, c->v[0])
	       : to == HOST_U32 ? (uint64_t)(int32_t)hull_f64_to_u32(&c->soft, c->v[0])
	       : to == HOST_I64 ? (uint64_t)hull_f64_to_i64(&c->soft, c->v[0])
	                        : hull_f64_to_u64(&c->soft, c->v[0]);
}

static void to_integers(void)
{
	for (uint64_t n = fp_test_cases(8000); n; n--) {
		unsigned bits = n & 1 ? 64 : 32;
		enum host_int to = n / 2 % 4;
		struct fcase c;
		uint64_t want;
		bool usual;

		begin_case(&c, FP_TO_I32 + to, bits);
		c.soft.rm = HULL_FP_RTZ;
		want = soft_to_int(&c, to);
		usual = !(c.soft.flags & HULL_FP_NV) && want && want < INT32_MAX;
		host_f_to_int(&em, bits, to, changed = any_gpr(), c.r[0], slow);
		end_integer(&c, want, !usual);
	}
}

static uint64_t soft_from_int(struct fcase *c, enum host_int from, uint64_t v)
{
	if (c->bits == 32)
		return from == HOST_I32   ? hull_f32_from_i32(&c->soft, (int32_t)v)
		       : from == HOST_U32 ? hull_f32_from_u32(&c->soft, (uint32_t)v)
		       : from == HOST_I64 ? hull_f32_from_i64(&c->soft, (int64_t)v)
		                          : hull_f32_from_u64(&c->soft, v);
	return from == HOST_I32   ? hull_f64_from_i32(&c->soft, (int32_t)v)
	       : from == HOST_U32 ? hull_f64_from_u32(&c->soft, (uint32_t)v)
	       : from == HOST_I64 ? hull_f64_from_i64(&c->soft, (int64_t)v)
	                          : hull_f64_from_u64(&c->soft, v);
}

static void from_integers(void)
{
	for (uint64_t n = fp_test_cases(5000); n; n--) {
		unsigned bits = n & 1 ? 64 : 32;
		enum host_int from = n / 2 % 4;
		struct host_operand a;
		uint64_t v[3], want;
		struct fcase c;
		uint32_t at;

		begin_case(&c, FP_FROM_I32 + from, bits);
		a = operand();
		fp_operands(c.op, bits, v);
		if (a.kind == HOST_REG)
			*word_of(a.reg) = v[0];
		else if (a.kind == HOST_IMM)
			a.imm = v[0];
		else
			st->w[a.state / 8] = v[0];
		c.v[0] = v[0];
		at = host_here(&em);
		if (!host_f_from_int(&em, bits, from, c.d, a)) {
			assert_int_equal(host_here(&em), at);
			continue;
		}
		want = soft_from_int(&c, from, v[0]);
		end_case(&c, bits, want, false, false);
	}
}

static void conversions(void)
{
	for (uint64_t n = fp_test_cases(2000); n; n--) {
		unsigned bits = n & 1 ? 64 : 32;
		struct fcase c;
		uint64_t want;

		begin_case(&c, bits == 32 ? FP_TO_F64 : FP_TO_F32, bits);
		want = bits == 32 ? hull_f32_to_f64(&c.soft, (uint32_t)c.v[0])
		                  : hull_f64_to_f32(&c.soft, c.v[0]);
		host_fconvert(&em, bits, c.d, c.r[0], slow);
		end_case(&c, 96 - bits, want, is_nan(96 - bits, want), false);
	}
}

static void floats(void **unused)
{
	with_features(float_moves);
	with_features(between_files);
	with_features(float_arithmetic);
	with_features(fused);
	with_features(comparisons);
	with_features(extremes);
	with_features(to_integers);
	with_features(from_integers);
	with_features(conversions);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(floats),
	};

	return cmocka_run_group_tests(tests, jithost_setup, NULL);
}
#else
int main(void)
{
	return 0;
}
#endif
