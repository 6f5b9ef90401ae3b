/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* KVM on this host, with a few instructions of real mode as the guest; skipped where it is not. */
#include "support/kvmrig.h"

#include <stdio.h>
#include <string.h>

/* dx = KVMRIG_WIDE; each of out and in, 8, 16 and 32 bits; the same at KVMRIG_NARROW; port 0x80 */
static const uint8_t ports[] = {
	0xba, 0x00, 0x04, 0xb0, 0x41, 0xee,             /* mov dx; mov al, 0x41; out dx, al */
	0xb8, 0x34, 0x12, 0xef,                         /* mov ax, 0x1234; out dx, ax */
	0x66, 0xb8, 0x78, 0x56, 0x34, 0x12, 0x66, 0xef, /* mov eax, 0x12345678; out dx, eax */
	0xec, 0xa2, 0x00, 0x20,                         /* in al, dx; mov [0x2000], al */
	0xed, 0xa3, 0x02, 0x20,                         /* in ax, dx; mov [0x2002], ax */
	0x66, 0xed, 0x66, 0xa3, 0x04, 0x20,             /* in eax, dx; mov [0x2004], eax */
	0xba, 0x00, 0x05, 0xb8, 0x34, 0x12, 0xef,       /* mov dx; mov ax, 0x1234; out dx, ax */
	0xed, 0xa3, 0x08, 0x20,                         /* in ax, dx; mov [0x2008], ax */
	0xe4, 0x80, 0xa2, 0x0a, 0x20, 0xf4,             /* in al, 0x80; mov [0x200a], al; hlt */
};

static void expect(const struct kvmrig *r, unsigned i, bool write, uint64_t off, unsigned size,
                   uint64_t value)
{
	assert_true(i < r->n);
	assert_int_equal(r->log[i].write, write);
	assert_int_equal(r->log[i].off, off);
	assert_int_equal(r->log[i].size, size);
	assert_int_equal(r->log[i].value, value);
}

static struct kvmrig r; /* too large for a stack */

static void test_ports(void **state)
{
	uint8_t got[16];

	KVMRIG_START(&r, USER, ports);
	assert_int_equal(kvmrig_run(&r), HULL_EXIT_HALT);
	assert_int_equal(r.n, 10);
	expect(&r, 0, true, 0, 1, 0x41);
	expect(&r, 1, true, 0, 2, 0x1234);
	expect(&r, 2, true, 0, 4, 0x12345678);
	expect(&r, 3, false, 0, 1, r.answer);
	expect(&r, 4, false, 0, 2, r.answer);
	expect(&r, 5, false, 0, 4, r.answer);
	expect(&r, 6, true, 0, 1, 0x34); /* a narrow device sees bytes */
	expect(&r, 7, true, 1, 1, 0x12);
	expect(&r, 8, false, 0, 1, r.answer);
	expect(&r, 9, false, 1, 1, r.answer);
	assert_int_equal(hull_vm_read(r.vm, 0x2000, got, sizeof(got)), 0);
	assert_int_equal(got[0], 0x11);
	assert_memory_equal(got + 2, "\x11\x22\x11\x22\x33\x44\x11\x11", 8);
	assert_int_equal(got[10], 0xff); /* nobody is there */
	kvmrig_unmake(&r);
}

/* es = 0xd000; rep stosb/outsb/insb; memory accesses of every width, an unaligned one */
static const uint8_t strings[] = {
	0xba, 0x00, 0x04, 0xbe, 0x00, 0x10, 0xb9, 0x04, 0x00, /* dx; si = 0x1000; cx = 4 */
	0xf3, 0x6e,                                           /* rep outsb */
	0xbf, 0x00, 0x20, 0xb9, 0x03, 0x00, 0xf3, 0x6d,       /* di; cx = 3; rep insw */
	0xb9, 0xb8, 0x0b, 0xbe, 0x00, 0x10, 0xf3, 0x6e,       /* cx = 3000; rep outsb */
	0xf4,
};

static void test_strings(void **state)
{
	uint8_t got[6];

	KVMRIG_START(&r, USER, strings);
	assert_int_equal(kvmrig_run(&r), HULL_EXIT_HALT);
	assert_int_equal(r.n, 4 + 3 + 3000);
	for (unsigned i = 0; i < 4; i++)
		expect(&r, i, true, 0, 1, strings[i]);
	for (unsigned i = 4; i < 7; i++)
		expect(&r, i, false, 0, 2, r.answer);
	for (unsigned i = 7; i < 7 + sizeof(strings); i++)
		expect(&r, i, true, 0, 1, strings[i - 7]);
	assert_int_equal(hull_vm_read(r.vm, 0x2000, got, sizeof(got)), 0);
	assert_memory_equal(got, "\x11\x22\x11\x22\x11\x22", 6);
	assert_int_equal(kvmrig_reg(&r, HULL_X86_REG_RCX), 0);
	kvmrig_unmake(&r);
}

static const uint8_t memory[] = {
	0xb8, 0x00, 0xd0, 0x8e, 0xd8,                               /* ds = 0xd000 */
	0xb0, 0x5a, 0xa2, 0x10, 0x00,                               /* mov [0x10], al */
	0xb8, 0x34, 0x12, 0xa3, 0x12, 0x00,                         /* mov [0x12], ax */
	0x66, 0xb8, 0x78, 0x56, 0x34, 0x12, 0x66, 0xa3, 0x14, 0x00, /* mov [0x14], eax */
	0x66, 0xa3, 0x21, 0x00,                                     /* mov [0x21], eax */
	0xa0, 0x18, 0x00, 0x66, 0xa1, 0x1c, 0x00,             /* mov al, [0x18]; mov eax, [0x1c] */
	0x66, 0x8b, 0x1e, 0x31, 0x00,                         /* mov ebx, [0x31] */
	0xb9, 0x00, 0xa0, 0x8e, 0xd9, 0x8a, 0x0e, 0x00, 0x00, /* ds = 0xa000; mov cl, [0] */
	0xf4,
};

static void test_memory(void **state)
{
	KVMRIG_START(&r, USER, memory);
	assert_int_equal(kvmrig_run(&r), HULL_EXIT_HALT);
	expect(&r, 0, true, 0x10, 1, 0x5a);
	expect(&r, 1, true, 0x12, 2, 0x1234);
	expect(&r, 2, true, 0x14, 4, 0x12345678);
	/* An unaligned one is cut into aligned pieces. */
	expect(&r, 3, true, 0x21, 1, 0x78);
	expect(&r, 4, true, 0x22, 2, 0x3456);
	expect(&r, 5, true, 0x24, 1, 0x12);
	expect(&r, 6, false, 0x18, 1, r.answer);
	expect(&r, 7, false, 0x1c, 4, r.answer);
	expect(&r, 8, false, 0x31, 1, r.answer);
	expect(&r, 9, false, 0x32, 2, r.answer);
	expect(&r, 10, false, 0x34, 1, r.answer);
	assert_int_equal(r.n, 11);
	assert_int_equal(kvmrig_reg(&r, HULL_X86_REG_RAX), 0x44332211);
	assert_int_equal(kvmrig_reg(&r, HULL_X86_REG_RBX), 0x11221111);
	assert_int_equal(kvmrig_reg(&r, HULL_X86_REG_RCX) & 0xff, 0xff); /* nobody is there */
	kvmrig_unmake(&r);
}

/* mov word [0x6000], 0x55aa; inc byte [0x6000]; mov bx, [0x6000]; out 0x80, al; hlt */
static const uint8_t rom[] = { 0xc7, 0x06, 0x00, 0x60, 0xaa, 0x55, 0x8b,
	                       0x1e, 0x00, 0x60, 0xe6, 0x80, 0xf4 };

static void test_rom_and_protect(void **state)
{
	static uint8_t page[4096] __attribute__((aligned(4096)));
	struct hull_vm_config c = kvmrig_config(1);

	c.hw.irqchip = HULL_IRQCHIP_USER;
	c.regions[0].size = 0x6000;
	kvmrig_make(&r, &c, rom, sizeof(rom));
	memset(page, 0x77, sizeof(page));
	assert_int_equal(hull_vm_map(r.vm, 0x6000, page, 4096, HULL_MEM_R | HULL_MEM_X, NULL), 0);
	kvmrig_boot(&r);
	assert_int_equal(kvmrig_run(&r), HULL_EXIT_HALT);
	assert_int_equal(kvmrig_reg(&r, HULL_X86_REG_RBX), 0x7777); /* the write went nowhere */
	assert_int_equal(page[0], 0x77);
	assert_int_equal(hull_vm_protect(r.vm, 0x6000, 4096, HULL_MEM_R | HULL_MEM_W, NULL), 0);
	assert_int_equal(hull_vm_reset(r.vm, NULL), 0);
	assert_int_equal(kvmrig_run(&r), HULL_EXIT_HALT);
	assert_int_equal(kvmrig_reg(&r, HULL_X86_REG_RBX), 0x55aa);
	assert_int_equal(page[1], 0x55);
	assert_int_equal(hull_vm_unmap(r.vm, 0x6000, 4096, NULL), 0);
	assert_int_equal(hull_vm_reset(r.vm, NULL), 0);
	assert_int_equal(kvmrig_run(&r), HULL_EXIT_HALT);
	assert_int_equal(kvmrig_reg(&r, HULL_X86_REG_RBX), 0xffff);
	kvmrig_unmake(&r);
}

static const uint8_t halt[] = { 0xf4 };

/* Every register with a name can be read; a value that is set is read back. */
static void test_registers(void **state)
{
	uint32_t reg;

	KVMRIG_START(&r, KERNEL, halt);
	for (unsigned i = 0; (reg = hull_x86_reg_at(i)) != UINT32_MAX; i++)
		(void)kvmrig_reg(&r, reg);
	assert_int_equal(kvmrig_reg(&r, HULL_X86_REG_CR0), 0x60000010);
	assert_int_equal(kvmrig_reg(&r, HULL_X86_REG_RFLAGS), 2);
	assert_int_equal(kvmrig_reg(&r, HULL_X86_REG_FCW), 0x37f);
	assert_int_equal(kvmrig_reg(&r, HULL_X86_REG_MXCSR), 0x1f80);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(hull_vcpu_reg_set(r.vcpu, HULL_X86_REG_RAX + i, i * 0x1111), 0);
		assert_int_equal(hull_vcpu_reg_set(r.vcpu, HULL_X86_REG_XMM + 2 * i + 1, ~i), 0);
	}
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(kvmrig_reg(&r, HULL_X86_REG_RAX + i), i * 0x1111);
		assert_int_equal(kvmrig_reg(&r, HULL_X86_REG_XMM + 2 * i + 1), ~i);
	}
	assert_int_equal(hull_vcpu_reg_set(r.vcpu, HULL_X86_REG_FCW, 0x10000), HULL_EINVAL);
	assert_int_equal(hull_vcpu_reg_set(r.vcpu, 0x3fff, 0), HULL_ENOENT);
	assert_int_equal(hull_vcpu_reg_set(r.vcpu, hull_x86_msr_reg(0x277), 0x0007040600070406), 0);
	assert_int_equal(kvmrig_reg(&r, hull_x86_msr_reg(0x277)), 0x0007040600070406);
	assert_int_equal(kvmrig_reg(&r, hull_x86_msr_reg(0xc0000080)), 0);
	kvmrig_unmake(&r);
}

static int set_up(void **state)
{
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),     cmocka_unit_test(test_strings),
		cmocka_unit_test(test_memory),    cmocka_unit_test(test_rom_and_protect),
		cmocka_unit_test(test_registers),
	};

	if (!kvmrig_usable()) {
		printf("no /dev/kvm here that can be opened\n");
		return 77;
	}
	return cmocka_run_group_tests_name("kvm", tests, set_up, NULL);
}
