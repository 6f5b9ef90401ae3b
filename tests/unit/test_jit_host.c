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
static host_reg changed, changed_too, changed_f; /* what the case writes */
static uint8_t *other;                           /* a piece of code that leaves with OTHER */

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
	host_begin(&em, buffer, sizeof buffer);
	host_leave(&em, OTHER, DESC);
	assert_true(host_end(&em));
	other = place(2 * GLUE_BYTES);
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
	changed = changed_too = changed_f = HOST_NO_REG;
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
		if (changed_too != HOST_NO_REG && &st->w[i] == word_of(changed_too))
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
	assert_true(st->cpu.site == (why == OTHER && st->cpu.site == other ? other : site));
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

/* --- guest memory --- */

enum { PAGE = 4096, MEMORY = 4 * PAGE };

static uint8_t memory[MEMORY] __attribute__((aligned(4096))), wanted[MEMORY];

struct access {
	uint64_t va;              /* of the access; its page is at memory + PAGE */
	struct host_operand base; /* holds va - off */
	int32_t off, lo, hi;      /* lo, hi: of the lookup */
	host_reg addend;
	bool write, hit;
	unsigned size;
};

static uint64_t tag(bool hit, uint64_t page)
{
	static const uint64_t step[] = { (uint64_t)ENGINE_TLB_SIZE * PAGE, 1ull << 63 };
	uint64_t context = st->cpu.data_context;

	if (hit)
		return page | context;
	switch (fp_random() % 3) {
	case 0: return 0;
	case 1: return page | (context ^ (1 + fp_random() % (PAGE - 1)));
	default: return (page + step[fp_random() % 2]) | context;
	}
}

/* The base of an access, `off` below it. */
static void set_base(struct access *a, struct host_operand base)
{
	a->base = base;
	*(base.kind == HOST_REG ? word_of(base.reg) : &st->w[base.state / 8]) =
		a->va - (uint64_t)(int64_t)a->off;
}

static void begin_access(struct access *a, unsigned size, bool write, bool aligned)
{
	uint64_t r = fp_random(), page = (r & 1 ? fp_random() : interesting()) & -(uint64_t)PAGE;
	struct engine_tlb_entry *entry;

	begin();
	for (unsigned i = 0; i < MEMORY; i += 8)
		store_le64(wanted + i, interesting());
	memcpy(memory, wanted, MEMORY);
	a->size = size;
	a->write = write;
	a->va = page + (r >> 8) % PAGE;
	if (r & 2) /* near the end */
		a->va = page + PAGE - 1 - (r >> 8) % 12;
	if (aligned)
		a->va &= -(uint64_t)size;
	a->off = r & 4 ? 0 : r & 8 ? (int32_t)(r >> 32) >> (r >> 24) % 31 : (int8_t)(r >> 32);
	a->off = MAX(MIN(a->off, INT32_MAX - 64), INT32_MIN + 64);
	a->lo = a->off - (fp_random() & 1 ? 0 : (int32_t)(fp_random() % 40));
	a->hi = a->off + (int32_t)size - 1 + (fp_random() & 1 ? 0 : (int32_t)(fp_random() % 20));
	set_base(a, fp_random() & 3 ? host_r(some_gpr()) : any_word());
	do
		a->addend = fp_random() & 1 ? host_info.addend : any_gpr();
	while (a->base.kind == HOST_REG && a->base.reg == a->addend);
	if (a->addend != host_info.addend)
		changed_too = a->addend;
	a->hit = (r & 0x30) != 0;
	st->cpu.data_context = 1 + fp_random() % (PAGE - 1);
	for (int i = -1; i <= 1; i++) { /* neighbours are there, and elsewhere */
		uint64_t p = page + (uint64_t)(int64_t)(i * PAGE);

		entry = &st->cpu.tlb[engine_tlb_index(p)];
		entry->read = tag(i || (write ? r >> 6 & 1 : a->hit), p);
		entry->write = tag(i || (write ? a->hit : r >> 6 & 1), p);
		entry->addend = (uintptr_t)(memory + (i ? 3 : 1) * PAGE) - p;
	}
	if ((a->va + (uint64_t)(int64_t)(a->lo - a->off)) / PAGE !=
	    (a->va + (uint64_t)(int64_t)(a->hi - a->off)) / PAGE)
		a->hit = false;
}

static void lookup(const struct access *a)
{
	host_tlb(&em, a->write, a->base, a->lo, a->hi, a->addend, slow);
}

static uint8_t *target(const struct access *a)
{
	return memory + PAGE + a->va % PAGE;
}

static host_reg not_the_addend(const struct access *a)
{
	host_reg r;

	do
		r = some_gpr();
	while (r == a->addend);
	return r;
}

static struct host_operand stored(const struct access *a)
{
	struct host_operand v;

	do
		v = operand();
	while (v.kind == HOST_REG && v.reg == a->addend);
	return v;
}

/* Memory and registers are as they should; a miss has changed nothing. */
static void end_access(const char *what, const struct access *a)
{
	uint64_t why = run(changed_f != HOST_NO_REG);

	if (why != (a->hit ? DONE : SLOW))
		fail_msg("%s of %llx, lookup %d to %d: hit %u, left with %llu", what,
		         (unsigned long long)a->va, a->lo - a->off, a->hi - a->off, a->hit,
		         (unsigned long long)why);
	if (!a->hit && changed != HOST_NO_REG) {
		assert_int_equal(*word_of(changed), before.w[word_of(changed) - st->w]);
		changed = HOST_NO_REG;
	}
	if (memcmp(memory, wanted, MEMORY))
		fail_msg("%s of %llx, %u bytes: memory is wrong", what, (unsigned long long)a->va,
		         a->size);
	check_rest(what);
}

static uint64_t loaded(unsigned kind, const uint8_t *p)
{
	unsigned bits = hull_ir_load_bits(kind);
	uint64_t v = 0;

	memcpy(&v, p, bits / 8);
	return kind >= HULL_IR_s8 ? (uint64_t)sign_extend(v, bits) : v;
}

static void loads_stores(void)
{
	for (uint64_t n = fp_test_cases(10000); n; n--) {
		unsigned kind = n % HULL_IR_LOADS, bits = hull_ir_load_bits(kind);
		bool write = fp_random() & 1;
		struct access a;

		begin_access(&a, bits / 8, write, false);
		lookup(&a);
		if (write) {
			struct host_operand v = stored(&a);
			uint64_t x = value(v);

			host_store(&em, bits, v, a.addend, a.base, a.off);
			if (a.hit)
				memcpy(wanted + PAGE + a.va % PAGE, &x, bits / 8);
			end_access("store", &a);
			continue;
		}
		host_load(&em, kind, changed = some_gpr(), a.addend, a.base, a.off);
		end_access("load", &a);
		if (a.hit)
			assert_int_equal(*word_of(changed), loaded(kind, target(&a)));
	}
}

static host_reg any_fpr(void)
{
	return host_info.fpr[fp_random() % (fp_random() & 1 ? 3 : host_info.fpr_count)];
}

static void loads_stores_f(void)
{
	for (uint64_t n = fp_test_cases(2000); n; n--) {
		unsigned bits = n & 1 ? 64 : 32;
		bool write = fp_random() & 1;
		host_reg f = any_fpr();
		struct access a;
		uint64_t got;

		begin_access(&a, bits / 8, write, false);
		begin_f();
		lookup(&a);
		changed_f = f;
		if (write) {
			uint64_t x = st->w[index_f(f)];

			host_store_f(&em, bits, f, a.addend, a.base, a.off);
			if (a.hit)
				memcpy(wanted + PAGE + a.va % PAGE, &x, bits / 8);
			end_access("store_f", &a);
			assert_int_equal(st->w[index_f(f)], x);
			continue;
		}
		host_load_f(&em, bits, f, a.addend, a.base, a.off);
		end_access("load_f", &a);
		got = st->w[index_f(f)];
		if (a.hit && bits == 32)
			assert_int_equal((uint32_t)got, loaded(HULL_IR_u32, target(&a)));
		else if (a.hit)
			assert_int_equal(got, loaded(HULL_IR_u64, target(&a)));
	}
}

static uint64_t combined(enum host_atomic op, uint64_t old, uint64_t v, bool w)
{
	uint64_t a = low(w, old), b = low(w, v);

	switch (op) {
	case HOST_A_SWAP: return b;
	case HOST_A_ADD: return a + b;
	case HOST_A_XOR: return a ^ b;
	case HOST_A_AND: return a & b;
	case HOST_A_OR: return a | b;
	case HOST_A_MIN: return (int64_t)a < (int64_t)b ? a : b;
	case HOST_A_MAX: return (int64_t)a > (int64_t)b ? a : b;
	case HOST_A_MINU: return a < b ? a : b;
	default: return a > b ? a : b;
	}
}

static void atomics(void)
{
	for (uint64_t n = fp_test_cases(9000); n; n--) {
		enum host_atomic op = n % 9;
		bool w = fp_random() & 1;
		unsigned bits = w ? 32 : 64;
		struct access a;
		struct host_operand v;
		uint64_t old, new;

		begin_access(&a, bits / 8, true, true);
		em.smp = n / 9 & 1;
		a.off = a.lo = 0;
		a.hi = (int32_t)a.size - 1;
		set_base(&a, a.base);
		a.hit = st->cpu.tlb[engine_tlb_index(a.va)].write ==
		        ((a.va & -(uint64_t)PAGE) | st->cpu.data_context);
		lookup(&a);
		v = stored(&a);
		changed = fp_random() % 8 ? not_the_addend(&a) : HOST_NO_REG;
		old = loaded(w ? HULL_IR_s32 : HULL_IR_u64, target(&a));
		new = combined(op, old, value(v), w);
		host_atomic(&em, op, bits, changed, v, a.addend, a.base);
		if (a.hit)
			memcpy(wanted + PAGE + a.va % PAGE, &new, bits / 8);
		end_access("atomic", &a);
		if (changed != HOST_NO_REG)
			assert_int_equal(*word_of(changed), old);
	}
}

static void compare_swaps(void)
{
	for (uint64_t n = fp_test_cases(3000); n; n--) {
		unsigned bits = n & 1 ? 64 : 32;
		struct host_operand v = operand(), base = host_r(some_gpr());
		uint64_t x, old;
		bool equal;

		begin();
		memcpy(memory, &st->w[WORDS - 1], 8);
		*word_of(base.reg) = (uintptr_t)memory + 16;
		if (fp_random() & 1)
			store_le64(memory, interesting());
		store_le64(&st->w[0] + WORDS - 2, (uint64_t)-16);
		old = load_le64(memory);
		equal = bits == 64 ? old == st->w[WORDS - 1]
		                   : (uint32_t)old == (uint32_t)st->w[WORDS - 1];
		x = value(v);
		host_mov(&em, host_info.addend, host_s(8 * (WORDS - 2)));
		host_compare_swap(&em, bits, changed = some_gpr(), 8 * (WORDS - 1), v,
		                  host_info.addend, base);
		assert_int_equal(run(false), DONE);
		assert_int_equal(*word_of(changed), !equal);
		if (equal)
			memcpy(&old, &x, bits / 8);
		assert_int_equal(load_le64(memory), old);
		check_rest("compare_swap");
	}
}

static void addresses(void)
{
	for (uint64_t n = fp_test_cases(3000); n; n--) {
		struct host_operand base = n & 1 ? host_r(some_gpr()) : any_word();
		host_reg addend = some_gpr();
		unsigned size = 1u << fp_random() % 4;
		int32_t off = (int32_t)interesting();
		uint64_t want;

		begin();
		if (n & 2) {
			want = (value(base) + (uint64_t)off) % size;
			host_check_aligned(&em, base, off, size, slow);
			host_fence(&em);
			assert_int_equal(run(false), want ? SLOW : DONE);
			check_rest("check_aligned");
			continue;
		}
		want = value(base) + *word_of(addend);
		host_address(&em, changed = some_gpr(), addend, base);
		expect("address", 0, 0, want);
	}
}

static void guest_memory(void **unused)
{
	with_features(loads_stores);
	with_features(loads_stores_f);
	atomics();
	compare_swaps();
	addresses();
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
		host_fuel(&em, cost, slow);
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
	for (uint64_t n = fp_test_cases(5000); n; n--) {
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

/* --- floating point --- */

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
static void end_case(struct fcase *c, unsigned bits, uint64_t want, bool must_slow, bool fd_stays)
{
	uint64_t why, got;
	unsigned flags;

	host_fp_flags();
	changed_f = c->d;
	why = run(true);
	flags = host_fp_flags();
	got = cut(bits, st->w[index_f(c->d)]);
	if (why != (must_slow ? SLOW : DONE) || (!must_slow && got != want) ||
	    (fd_stays && must_slow ? flags & ~c->soft.flags : flags != c->soft.flags))
		wrong(c, want, c->soft.flags, got, flags, why);
	if (must_slow && fd_stays)
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
	for (uint64_t n = fp_test_cases(12000); n; n--) {
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
	for (uint64_t n = fp_test_cases(8000); n; n--) {
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
		end_case(&c, bits, want, is_nan(bits, want), true);
	}
}

static void signs(void)
{
	for (uint64_t n = fp_test_cases(1000); n; n--) {
		unsigned bits = n & 1 ? 64 : 32;
		enum host_fsign op = n / 2 % 2;
		uint64_t sign = 1ull << (bits - 1);
		struct fcase c;

		begin_case(&c, FP_ADD, bits);
		host_fsign(&em, op, bits, c.d, c.r[0]);
		end_case(&c, bits, op == HOST_FABS ? c.v[0] & ~sign : c.v[0] ^ sign, false, true);
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
	for (uint64_t n = fp_test_cases(6000); n; n--) {
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
	for (uint64_t n = fp_test_cases(4000); n; n--) {
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
	for (uint64_t n = fp_test_cases(16000); n; n--) {
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
	for (uint64_t n = fp_test_cases(10000); n; n--) {
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
	for (uint64_t n = fp_test_cases(4000); n; n--) {
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
	with_features(signs);
	with_features(comparisons);
	with_features(extremes);
	with_features(to_integers);
	with_features(from_integers);
	with_features(conversions);
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
		cmocka_unit_test(guest_memory),
		cmocka_unit_test(control),
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
