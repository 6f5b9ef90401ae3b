/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Every CSR number at every privilege: who may read and write it, and what sticks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "support/rvrig.h"

enum kind { NONE, FIELD, HOOK, CONST };

static struct {
	uint8_t kind;
	const char *name;
	uint64_t value; /* FIELD: writable bits; CONST: the constant */
} table[4096];

static struct rvrig rig;

static int setup(void **state)
{
#define CSR_FIELD(nr, csr, mask, spec) \
	table[nr].kind = FIELD;        \
	table[nr].name = #csr;         \
	table[nr].value = mask;
#define CSR_HOOK(nr, csr, spec) \
	table[nr].kind = HOOK;  \
	table[nr].name = #csr;
#define CSR_RANGE(nr, count, csr, constant, spec)        \
	for (unsigned i = nr; i < (nr) + (count); i++) { \
		table[i].kind = CONST;                   \
		table[i].name = #csr;                    \
		table[i].value = constant;               \
	}
#define CSR_CONST(nr, csr, constant, spec) CSR_RANGE(nr, 1, csr, constant, spec)
#include "isa/riscv64/csr.def"
	return rvrig_init(&rig, 0x80000000, HULL_PAGE_SIZE) ? 0 : -1;
}

static int teardown(void **state)
{
	rvrig_fini(&rig);
	return 0;
}

/* Everything that a switch could forbid is allowed. */
static struct rv_hart *open_hart(void)
{
	struct rv_hart *h = rig.hart;

	rv_hart_reset(h);
	rv_set_mstatus(h, MSTATUS_FS);
	h->csr.mcounteren = h->csr.scounteren = UINT32_MAX;
	h->csr.menvcfg = ENVCFG_STCE;
	return h;
}

static unsigned raised; /* what stands in the host's status register */

static unsigned take_raised(void)
{
	unsigned flags = raised;

	raised = 0;
	return flags;
}

/* Exceptions of generated code are seen where fflags is read, and not after it was written. */
static void flags_of_generated_code(void **state)
{
	struct rv_hart *h = open_hart();
	uint64_t v;

	h->host_flags = take_raised;
	raised = HULL_FP_NX;
	assert_true(rv_csr_access(h, rv_csr_request(1, RV_CSR_set, true, false), 0, &v));
	assert_int_equal(v, HULL_FP_NX);
	raised = HULL_FP_DZ;
	assert_true(rv_csr_access(h, rv_csr_request(3, RV_CSR_clear, true, true), HULL_FP_NX, &v));
	assert_int_equal(v, HULL_FP_NX | HULL_FP_DZ);
	assert_int_equal(h->fp.flags, HULL_FP_DZ);
	raised = HULL_FP_OF;
	assert_true(rv_csr_access(h, rv_csr_request(1, RV_CSR_write, false, true), 0, &v));
	assert_true(rv_csr_peek(h, 1, &v));
	assert_int_equal(v, 0);
	/* A device access: there is no device, but that is found out by asking for it. */
	raised = HULL_FP_UF;
	assert_false(rv_load_slow(h, 0, 32, &v));
	assert_int_equal(h->fp.flags, HULL_FP_UF);
}

static void fast_floating_point_mode(void **state)
{
	struct rv_hart *h = open_hart();

	assert_true(h->cpu.fp_fast); /* FS is Dirty, frm 0 */
	assert_true(rv_csr_poke(h, 2, HULL_FP_RUP));
	assert_false(h->cpu.fp_fast);
	assert_true(rv_csr_poke(h, 3, 0));
	assert_true(h->cpu.fp_fast);
	rv_set_mstatus(h, UINT64_C(2) << 13); /* Clean */
	assert_false(h->cpu.fp_fast);
	assert_true(rv_csr_poke(h, 1, 0)); /* makes it Dirty, without a change of csr.mstatus */
	assert_true(h->cpu.fp_fast);
	rv_set_mstatus(h, UINT64_C(2) << 13);
	assert_false(h->cpu.fp_fast);
	rv_set_mstatus(h, MSTATUS_FS);
	assert_true(h->cpu.fp_fast);
	rv_set_mstatus(h, 0);
	assert_false(h->cpu.fp_fast);
	rv_set_mstatus(h, MSTATUS_FS);
	rv_hart_reset(h);
	assert_false(h->cpu.fp_fast);
}

static bool may(unsigned csr, unsigned priv, bool write)
{
	return table[csr].kind != NONE && priv >= (csr >> 8 & 3) && !(write && csr >> 10 == 3);
}

static void access_rights(void **state)
{
	static const uint8_t privs[] = { RV_PRIV_U, RV_PRIV_S, RV_PRIV_M };

	for (unsigned csr = 0; csr < 4096; csr++) {
		for (unsigned i = 0; i < 2 * ARRAY_LEN(privs); i++) {
			struct rv_hart *h = open_hart();
			bool write = i & 1, ok;
			uint64_t old = 0;

			h->priv = privs[i / 2];
			h->cause = UINT64_MAX;
			ok = rv_csr_access(
				h,
				rv_csr_request(csr, write ? RV_CSR_write : RV_CSR_set, true, write),
				0, &old);
			if (ok != may(csr, h->priv, write) || (!ok && h->cause != RV_ILLEGAL))
				fail_msg("CSR %03x %s: privilege %u, %s", csr,
				         table[csr].name ? table[csr].name : "", h->priv,
				         write ? "write" : "read");
		}
	}
}

static void writable_bits(void **state)
{
	for (unsigned csr = 0; csr < 4096; csr++) {
		struct rv_hart *h = open_hart();
		uint64_t before = 0, ones = 0, zeros = 0, v;

		if (!may(csr, RV_PRIV_M, true) || table[csr].kind == HOOK)
			continue;
		assert_true(
			rv_csr_access(h, rv_csr_request(csr, RV_CSR_set, true, false), 0, &before));
		assert_true(rv_csr_access(h, rv_csr_request(csr, RV_CSR_write, false, true),
		                          UINT64_MAX, &v));
		assert_true(rv_csr_access(h, rv_csr_request(csr, RV_CSR_clear, true, true),
		                          UINT64_MAX, &ones));
		assert_true(
			rv_csr_access(h, rv_csr_request(csr, RV_CSR_set, true, false), 0, &zeros));
		if (table[csr].kind == CONST ? ones != table[csr].value || zeros != before
		                             : (ones ^ before) != (table[csr].value & ~before) ||
		                                       (zeros & table[csr].value))
			fail_msg("CSR %03x %s: ones %llx, zeros %llx", csr, table[csr].name,
			         (unsigned long long)ones, (unsigned long long)zeros);
	}
}

/* What a write makes of a register may not depend on what was written before. */
static void hooks_settle(void **state)
{
	static const uint64_t values[] = { 0, UINT64_MAX, UINT64_C(0x5555555555555555),
		                           UINT64_C(0xaaaaaaaaaaaaaaaa) };

	for (unsigned csr = 0; csr < 4096; csr++) {
		if (!may(csr, RV_PRIV_M, true) || table[csr].kind != HOOK)
			continue;
		for (unsigned i = 0; i < ARRAY_LEN(values); i++) {
			struct rv_hart *h = open_hart();
			uint64_t a = 0, b = 1, v;

			assert_true(rv_csr_access(h, rv_csr_request(csr, RV_CSR_write, false, true),
			                          values[i], &v));
			assert_true(rv_csr_access(h, rv_csr_request(csr, RV_CSR_set, true, false),
			                          0, &a));
			if (csr == 0xb00 || csr == 0xb02)
				continue; /* these count */
			assert_true(rv_csr_access(h, rv_csr_request(csr, RV_CSR_write, false, true),
			                          a, &v));
			assert_true(rv_csr_access(h, rv_csr_request(csr, RV_CSR_set, true, false),
			                          0, &b));
			if (a != b)
				fail_msg("CSR %03x %s: %llx becomes %llx", csr, table[csr].name,
				         (unsigned long long)a, (unsigned long long)b);
		}
	}
}

static void reserved_values(void **state)
{
	struct rv_hart *h = open_hart();
	uint64_t v;

	assert_true(rv_csr_poke(h, 0x10a, 0x30) && rv_csr_poke(h, 0x10a, 0x20));
	assert_true(rv_csr_peek(h, 0x10a, &v));
	assert_int_equal(v, 0x30);
	assert_true(rv_csr_poke(h, 0x003, 0xfff) && rv_csr_peek(h, 0x003, &v));
	assert_int_equal(v, 0xff);
	assert_true(rv_csr_poke(h, 0x180, UINT64_C(5) << 60 | 7) && rv_csr_peek(h, 0x180, &v));
	assert_int_equal(v, 0);
	assert_true(rv_csr_poke(h, 0x300, MSTATUS_FS) && rv_csr_peek(h, 0x300, &v));
	assert_int_equal(v & MSTATUS_SD, MSTATUS_SD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_of_generated_code),
		cmocka_unit_test(fast_floating_point_mode),
		cmocka_unit_test(access_rights),
		cmocka_unit_test(writable_bits),
		cmocka_unit_test(hooks_settle),
		cmocka_unit_test(reserved_values),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
