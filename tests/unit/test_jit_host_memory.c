/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* engine/jit/host.h on this host: guest memory through the TLB, and atomics. */
#if defined(__x86_64__) || defined(__aarch64__)
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "support/fp_operands.h"
#include "support/jithost.h"

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
	for (uint64_t n = fp_test_cases(5000); n; n--) {
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

/* A held page answers for what is below its end; that is where the last byte leaves the page. */
static void held_pages(void)
{
	for (uint64_t n = fp_test_cases(2000); n; n--) {
		host_reg base = some_gpr(), addend = any_gpr();
		unsigned nr = fp_random() % ENGINE_HELD, way = fp_random() % 3;
		int32_t hi = (int32_t)(fp_random() % 2048) - 1024;
		struct engine_held was = { fp_random(), fp_random() }, want = was, *h;
		uint64_t b, why;

		if (!host_info.holds || addend == base)
			continue;
		begin();
		h = &st->cpu.held[nr];
		b = *word_of(base) = fp_random() & 1 ? interesting() : fp_random();
		was.end = fp_random() & 1 ? b + fp_random() % 3 - 1 : was.end;
		*h = want = was;
		if (way == 0) {
			host_held(&em, nr, base, changed = addend, slow);
		} else if (way == 1) {
			host_hold(&em, nr, base, hi, addend);
			if (b < -(uint64_t)ENGINE_HELD_LAST) {
				want.end = ((b + (uint64_t)hi) & -(uint64_t)PAGE) + PAGE -
				           (uint64_t)hi;
				want.addend = *word_of(addend);
			}
		} else {
			host_let_go(&em, nr);
			want.end = 0;
		}
		why = run(false);
		assert_int_equal(why, way || b < was.end ? DONE : SLOW);
		assert_int_equal(h->end, want.end);
		assert_int_equal(h->addend, want.addend);
		if (!way)
			assert_int_equal(*word_of(addend),
			                 why == DONE ? was.addend
			                             : before.w[word_of(addend) - st->w]);
		check_rest("held page");
	}
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
	for (uint64_t n = fp_test_cases(4500); n; n--) {
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
		changed = fp_random() % 4 ? not_the_addend(&a) : HOST_NO_REG;
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
		unsigned size = 1u << fp_random() % 4;
		int32_t off = (int32_t)interesting();
		uint32_t from;
		uint64_t want;

		begin();
		if (n & 2) {
			from = host_here(&em);
			em.smp = n & 4;
			host_fence(&em, n & 8);
			if (n & 8) /* devices have threads, even if there is one CPU */
				assert_true(host_here(&em) > from);
		}
		want = (value(base) + (uint64_t)off) % size;
		host_check_aligned(&em, base, off, size, slow);
		assert_int_equal(run(false), want ? SLOW : DONE);
		check_rest("check_aligned");
	}
}

/*
 * Two threads at once: sums, bits that are toggled, a counter by compare and swap.
 */
enum { ROUNDS = 20001 };
static struct {
	uint64_t sum, bits, counter, loose;
} shared __attribute__((aligned(64)));

static void *contend(void *start)
{
	struct state *s = start;

	enter(s, site);
	return NULL;
}

static void emit_contention(void)
{
	host_reg n = host_info.gpr[0], base = host_info.gpr[1], bit = host_info.gpr[2];
	host_reg old = host_info.gpr[3], failed = host_info.gpr[4], t = host_info.gpr[5];
	host_label again, retry;

	begin();
	em.smp = true;
	again = host_new_label(&em), retry = host_new_label(&em);
	host_bind(&em, again);
	host_mov(&em, host_info.addend, host_i(0));
	host_atomic(&em, HOST_A_ADD, 64, old, host_i(3), host_info.addend, host_r(base));
	host_alu(&em, HOST_ADD, false, t, host_r(base), host_i(8));
	host_mov(&em, host_info.addend, host_i(0));
	host_atomic(&em, HOST_A_XOR, 64, old, host_r(bit), host_info.addend, host_r(t));
	host_alu(&em, HOST_ADD, false, t, host_r(base), host_i(24));
	host_mov(&em, host_info.addend, host_i(0));
	host_atomic(&em, HOST_A_ADD, 32, HOST_NO_REG, host_i(1), host_info.addend, host_r(t));
	host_alu(&em, HOST_ADD, false, t, host_r(base), host_i(16));
	host_bind(&em, retry);
	host_mov(&em, host_info.addend, host_i(0));
	host_load(&em, HULL_IR_u64, old, host_info.addend, host_r(t), 0);
	host_set_state(&em, 8 * (WORDS - 1), host_r(old));
	host_alu(&em, HOST_ADD, false, old, host_r(old), host_i(1));
	host_mov(&em, host_info.addend, host_i(0));
	host_compare_swap(&em, 64, failed, 8 * (WORDS - 1), host_r(old), host_info.addend,
	                  host_r(t));
	host_branch(&em, HOST_NE, host_r(failed), host_i(0), retry);
	host_alu(&em, HOST_SUB, false, n, host_r(n), host_i(1));
	host_branch(&em, HOST_NE, host_r(n), host_i(0), again);
	host_leave(&em, DONE, DESC);
	host_bind(&em, slow);
	assert_true(host_end(&em));
	site = place(GLUE_BYTES);
}

static void contention(void)
{
	struct state *s[2];
	pthread_t thread[2];

	emit_contention();
	for (unsigned i = 0; i < 2; i++) {
		s[i] = calloc(1, sizeof *s[i]);
		assert_non_null(s[i]);
		memcpy(s[i]->cpu.stub, st->cpu.stub, sizeof st->cpu.stub);
		s[i]->w[0] = ROUNDS;
		s[i]->w[1] = (uintptr_t)&shared;
		s[i]->w[2] = 1ull << i;
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, contend, s[i]), 0);
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		free(s[i]);
	}
	assert_int_equal(shared.sum, 2 * 3 * ROUNDS);
	assert_int_equal(shared.bits, 3); /* each an odd number of times */
	assert_int_equal(shared.counter, 2 * ROUNDS);
	assert_int_equal(shared.loose, 2 * ROUNDS);
}

static void guest_memory(void **unused)
{
	with_features(loads_stores);
	held_pages();
	with_features(loads_stores_f);
	atomics();
	compare_swaps();
	addresses();
	contention();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(guest_memory),
	};

	return cmocka_run_group_tests(tests, jithost_setup, NULL);
}
#else
int main(void)
{
	return 0;
}
#endif
