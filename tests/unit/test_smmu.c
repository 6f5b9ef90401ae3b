/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The SMMU's tables and commands: what is written where, in which order, as the specification has
 * it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "isa/aarch64/smmu.h"

enum { TABLE = 0x100000, QUEUE = 0x200000, STREAMS = 2, COMMANDS = 7, LOG = 1 << 16 };

/* A machine that records, does what it is told at once, and can be made to misbehave. */
static struct {
	uint32_t idr0, idr1, idr5, cr0, prod, cons;
	bool deaf, refuses;
	char log[LOG];
	size_t n;
} smmu;

static struct hull_smmu s;

static void note(const char *what, uint64_t at, uint64_t value)
{
	smmu.n += (size_t)snprintf(smmu.log + smmu.n, LOG - smmu.n, "%s %llx %llx\n", what,
	                           (unsigned long long)at, (unsigned long long)value);
	assert_true(smmu.n < LOG);
}

static uint32_t read_reg(void *arg, uint32_t reg)
{
	switch (reg) {
	case 0x00: return smmu.idr0;
	case 0x04: return smmu.idr1;
	case 0x14: return smmu.idr5;
	case 0x24: return smmu.deaf ? ~smmu.cr0 : smmu.cr0;
	case 0x9c: return smmu.cons | (smmu.refuses ? 1u << 24 : 0);
	default: fail(); return 0;
	}
}

static void write_reg(void *arg, uint32_t reg, uint32_t value)
{
	note("reg", reg, value);
	if (reg == 0x20)
		smmu.cr0 = value;
	if (reg == 0x98)
		smmu.prod = value;
	if (!smmu.deaf && !smmu.refuses)
		smmu.cons = smmu.prod;
}

static void write_reg64(void *arg, uint32_t reg, uint64_t value)
{
	note("reg64", reg, value);
}

static void store(void *arg, hull_hpa at, uint64_t value)
{
	note("mem", at, value);
}

static void barrier(void *arg)
{
	note("barrier", 0, 0);
}

static const struct hull_smmu_ops ops = { read_reg, write_reg, write_reg64, store, barrier };

static int setup(void **state)
{
	memset(&smmu, 0, sizeof(smmu));
	smmu.idr0 = 3;
	smmu.idr1 = 16 | 10u << 21;
	smmu.idr5 = 1 << 4 | 5;
	s = (struct hull_smmu){ .ops = &ops,
		                .table = TABLE,
		                .queue = QUEUE,
		                .log2_streams = STREAMS,
		                .log2_commands = COMMANDS };
	return 0;
}

static void expect(const char *log)
{
	assert_string_equal(smmu.log, log);
	smmu.n = 0;
	smmu.log[0] = 0;
}

static void started(void)
{
	assert_int_equal(hull_smmu_start(&s, NULL), 0);
	smmu.n = 0;
	smmu.log[0] = 0;
}

static void test_start(void **state)
{
	char want[4096];
	size_t n = (size_t)snprintf(want, sizeof(want), "reg 20 0\n");

	for (unsigned i = 0; i < 4 * 8; i++)
		n += (size_t)snprintf(want + n, sizeof(want) - n, "mem %x %x\n", TABLE + 8 * i,
		                      i % 8 == 0);
	snprintf(want + n, sizeof(want) - n,
	         "reg 28 d75\nreg 2c 6\n"
	         "reg64 80 4000000000100000\nreg 88 2\nreg64 90 4000000000200007\n"
	         "reg 98 0\nreg 9c 0\nreg 20 8\n"
	         "mem 200000 4\nmem 200008 1f\n"
	         "mem 200010 30\nmem 200018 0\n"
	         "mem 200020 46\nmem 200028 0\n"
	         "barrier 0 0\nreg 98 3\nreg 20 9\n");
	assert_int_equal(hull_smmu_start(&s, NULL), 0);
	expect(want);
}

/* The root of a VM whose VTCR_EL2 says 40 bits from level 1, 4 KiB, inner shareable, 40 bits out.
 */
static void test_assign_and_release(void **state)
{
	started();
	assert_int_equal(hull_smmu_assign(&s, 2, 5, 0xabc000, 0x80023558, NULL), 0);
	expect("mem 100088 100000000000\n"
	       "mem 100090 44a355800000005\n"
	       "mem 100098 abc000\n"
	       "mem 200030 200000003\nmem 200038 1\nmem 200040 46\nmem 200048 0\n"
	       "barrier 0 0\nreg 98 5\n"
	       "mem 100080 d\n"
	       "mem 200050 200000003\nmem 200058 1\nmem 200060 46\nmem 200068 0\n"
	       "barrier 0 0\nreg 98 7\n");
	assert_int_equal(hull_smmu_release(&s, 2, 5, NULL), 0);
	expect("mem 100080 1\n"
	       "mem 200070 200000003\nmem 200078 1\nmem 200080 46\nmem 200088 0\n"
	       "barrier 0 0\nreg 98 9\n"
	       "mem 200090 500000028\nmem 200098 0\nmem 2000a0 46\nmem 2000a8 0\n"
	       "barrier 0 0\nreg 98 b\n");
	assert_int_equal(hull_smmu_assign(&s, 4, 5, 0, 0, NULL), HULL_EINVAL);
	assert_int_equal(hull_smmu_release(&s, UINT32_MAX, 5, NULL), HULL_EINVAL);
	expect("");
}

static void test_forget(void **state)
{
	started();
	assert_int_equal(hull_smmu_forget(&s, 7, 0x1800, 0x1000, NULL), 0);
	expect("mem 200030 70000002a\nmem 200038 1001\n"
	       "mem 200040 70000002a\nmem 200048 2001\n"
	       "mem 200050 46\nmem 200058 0\nbarrier 0 0\nreg 98 6\n");
	assert_int_equal(hull_smmu_forget(&s, 7, 0, UINT64_C(1) << 30, NULL), 0);
	expect("mem 200060 700000028\nmem 200068 0\nmem 200070 46\nmem 200078 0\n"
	       "barrier 0 0\nreg 98 8\n");
}

/* The queue's index wraps together with the bit above it. */
static void test_the_queue_wraps(void **state)
{
	started();
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(hull_smmu_forget(&s, 1, 0, 0, NULL), 0);
		assert_int_equal(s.prod, (3 + 2 * (i + 1)) % 256);
		smmu.n = 0;
	}
}

static void test_what_cannot_be(void **state)
{
	struct hull_err err;

	smmu.idr0 = 2;
	assert_int_equal(hull_smmu_start(&s, &err), HULL_ENOTSUP);
	expect("");
	setup(state);
	smmu.idr5 = 5;
	assert_int_equal(hull_smmu_start(&s, &err), HULL_ENOTSUP);
	setup(state);
	smmu.idr1 = 1 | 10u << 21;
	assert_int_equal(hull_smmu_start(&s, &err), HULL_ENOTSUP);
	setup(state);
	s.log2_commands = 3;
	assert_int_equal(hull_smmu_start(&s, &err), HULL_ENOTSUP);
	setup(state);
	smmu.deaf = true;
	assert_int_equal(hull_smmu_start(&s, &err), HULL_EIO);
	setup(state);
	started();
	smmu.refuses = true;
	assert_int_equal(hull_smmu_assign(&s, 1, 1, 0, 0, &err), HULL_EIO);
	/* A stream whose entry the SMMU may not have seen is not made valid. */
	assert_null(strstr(smmu.log, "mem 100040 d"));
	setup(state);
	started();
	smmu.deaf = true;
	assert_int_equal(hull_smmu_release(&s, 1, 1, &err), HULL_EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_start, setup),
		cmocka_unit_test_setup(test_assign_and_release, setup),
		cmocka_unit_test_setup(test_forget, setup),
		cmocka_unit_test_setup(test_the_queue_wraps, setup),
		cmocka_unit_test_setup(test_what_cannot_be, setup),
	};

	return cmocka_run_group_tests_name("smmu", tests, NULL, NULL);
}
