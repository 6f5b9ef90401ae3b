/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * KVM on x86_64 hosts: interrupts by line, message and event descriptor, doorbells, lazy writes,
 * dirty logs, debug stops, pauses of a guest that never exits, changes of memory beneath it.
 */
#include "support/kvmrig.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"

#if defined(__x86_64__)

/* Guests: 32 bits, flat, at KVMRIG_CODE; they count at 0x5000 and end by a write to 0x40f. */
__asm__(".section .rodata\n"
        ".code32\n"
        ".macro guest name\n.globl guest_\\name\nguest_\\name:\n.endm\n"
        ".macro end name\n.globl end_\\name\nend_\\name:\n.endm\n"

        /* Vector 0x40 counts and answers the local APIC; three times are enough. */
        "guest interrupts\n"
        "	mov $0x8000, %esp\n"
        "	mov $0x6000 + 0x40 * 8, %edi\n"
        "	mov $0x80000 + (2f - guest_interrupts + 0x1000), %eax\n"
        "	mov %eax, (%edi)\n"
        "	movl $0x8e00, 4(%edi)\n"
        "	mov $0x6000 + 2 * 8, %edi\n"
        "	mov $0x80000 + (3f - guest_interrupts + 0x1000), %eax\n"
        "	mov %eax, (%edi)\n"
        "	movl $0x8e00, 4(%edi)\n"
        "	lgdt 5f - guest_interrupts + 0x1000\n"
        "	lidt 6f - guest_interrupts + 0x1000\n"
        "	cmpb $0, 0x5100\n" /* set by the test: no local APIC */
        "	jne 1f\n"
        "	movl $0x1ff, 0xfee000f0\n"
        "	cmpb $0, 0x5101\n" /* no I/O APIC */
        "	jne 1f\n"
        "	movl $0x18, 0xfec00000\n" /* pin 4: vector 0x40 */
        "	movl $0x40, 0xfec00010\n"
        "1:	sti\n"
        "	incl 0x5004\n" /* ready */
        "4:	hlt\n"
        "	cmpl $3, 0x5000\n"
        "	jb 4b\n"
        "	mov $0x40f, %edx\n"
        "	out %al, %dx\n"
        "	jmp 4b\n"
        "2:	incl 0x5000\n"
        "	cmpb $0, 0x5100\n"
        "	jne 7f\n"
        "	movl $0, 0xfee000b0\n"
        "7:	push %eax\n" /* iret, which KVM that emulates does not know here */
        "	mov 4(%esp), %eax\n"
        "	xchg %eax, 12(%esp)\n"
        "	mov %eax, 8(%esp)\n"
        "	pop %eax\n"
        "	add $4, %esp\n"
        "	popf\n"
        "	ret\n"
        "3:	incl 0x5008\n" /* NMI */
        "	jmp 7b\n"
        "	.balign 8\n"
        "8:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff\n"
        "5:	.word 23\n	.long 8b - guest_interrupts + 0x1000\n"
        "6:	.word 0x7ff\n	.long 0x6000\n"
        "end interrupts\n"

        /* Writes to 0xd0000 with values 1 to 5, then the end. */
        "guest doorbells\n"
        "	mov $1, %eax\n"
        "1:	mov %eax, 0xd0000\n"
        "	inc %eax\n"
        "	cmp $5, %eax\n"
        "	jbe 1b\n"
        "	mov $0x40f, %edx\n"
        "	out %al, %dx\n"
        "	hlt\n"
        "end doorbells\n"

        /* One byte in each of pages 0x20 to 0x27, then an end; the same again in 0x30. */
        "guest dirty\n"
        "	mov $0x40f, %edx\n"
        "	mov $0x20000, %edi\n"
        "1:	movb $1, (%edi)\n"
        "	add $0x1000, %edi\n"
        "	cmp $0x28000, %edi\n"
        "	jb 1b\n"
        "	out %al, %dx\n"
        "	movb $1, 0x30000\n"
        "	movb $1, 0x20000\n"
        "	out %al, %dx\n"
        "	hlt\n"
        "end dirty\n"

        "guest steps\n"
        "	nop\n"
        "	nop\n"
        "	mov $7, %eax\n"
        "	movl $1, 0x5000\n"
        "	mov 0x5000, %ebx\n"
        "	nop\n"
        "	mov $0x40f, %edx\n"
        "	out %al, %dx\n"
        "	hlt\n"
        "end steps\n"

        /* An MSR of the list, then one that is not in it: vector 13 ends, with what it was. */
        "guest msrs\n"
        "	mov $0x8000, %esp\n"
        "	mov $0x80000 + (2f - guest_msrs + 0x1000), %eax\n"
        "	mov %eax, 0x6000 + 13 * 8\n"
        "	movl $0x8e00, 0x6004 + 13 * 8\n"
        "	lgdt 5f - guest_msrs + 0x1000\n"
        "	lidt 6f - guest_msrs + 0x1000\n"
        "	mov $0x277, %ecx\n"
        "	rdmsr\n"
        "	mov %eax, 0x5000\n"
        "	mov $0x1ad, %ecx\n"
        "	rdmsr\n"
        "	jmp 3f\n"
        "2:	mov %ecx, 0x5004\n"
        "3:	mov $0x40f, %edx\n"
        "	out %al, %dx\n"
        "	hlt\n"
        "	.balign 8\n"
        "8:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff\n"
        "5:	.word 23\n	.long 8b - guest_msrs + 0x1000\n"
        "6:	.word 0x7ff\n	.long 0x6000\n"
        "end msrs\n"

        /* Counts for ever, reading from 0x9f000 */
        "guest spin\n"
        "1:	incl 0x5000\n"
        "	mov 0x50000, %eax\n"
        "	jmp 1b\n"
        "end spin\n"
        ".code64\n"
        ".text\n");

#define GUEST(name) extern const uint8_t guest_##name[], end_##name[]
GUEST(interrupts);
GUEST(doorbells);
GUEST(dirty);
GUEST(steps);
GUEST(msrs);
GUEST(spin);
#define BYTES(name) guest_##name, (size_t)(end_##name - guest_##name)

static struct kvmrig r;

static void start(const struct hull_vm_config *c, const uint8_t *code, size_t bytes)
{
	kvmrig_make_flat(&r, c, code, bytes);
	kvmrig_boot(&r);
}

static uint32_t word_at(hull_gpa gpa)
{
	uint8_t raw[4];

	assert_int_equal(hull_vm_read(r.vm, gpa, raw, sizeof(raw)), 0);
	return load_le32(raw);
}

static void nap(void)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	nanosleep(&ms, NULL);
}

static void await(hull_gpa gpa, uint32_t value)
{
	for (int i = 0; word_at(gpa) < value; i++) {
		if (i > 20000)
			fail_msg("the guest has counted %u of %u; %s", word_at(gpa), value,
			         hull_vm_failure(r.vm));
		nap();
	}
}

static void *run_thread(void *arg)
{
	enum hull_exit_kind *ret = arg;

	*ret = kvmrig_run(&r);
	return NULL;
}

/* How the test makes the guest's vector 0x40 happen. */
static void by_line(void)
{
	hull_irq_set(hull_vm_line(r.vm, 4), true);
	hull_irq_set(hull_vm_line(r.vm, 4), false);
}

static void by_message(void)
{
	assert_int_equal(hull_vm_msi(r.vm, 0xfee00000, 0x40), 0);
}

static int event_fd;

static void by_event(void)
{
	const uint64_t one = 1;

	assert_int_equal(write(event_fd, &one, sizeof(one)), sizeof(one));
}

static void by_user(void)
{
	hull_vcpu_line_set(r.vcpu, HULL_X86_INPUT_INTR, true);
}

static int acknowledge(struct hull_vcpu *vcpu, void *arg)
{
	hull_vcpu_line_set(vcpu, HULL_X86_INPUT_INTR, false);
	return 0x40;
}

static void interrupts(enum hull_irqchip where, void (*pulse)(void), const char flags[2])
{
	struct hull_vm_config c = kvmrig_config(1);
	enum hull_exit_kind kind = HULL_EXIT_NONE;
	pthread_t thread;

	c.hw.irqchip = where;
	start(&c, BYTES(interrupts));
	assert_int_equal(hull_vm_irqchip(r.vm), where);
	assert_int_equal(hull_vm_write(r.vm, 0x5100, flags, 2), 0);
	if (pulse == by_event)
		assert_int_equal(hull_vm_irq_event(r.vm, 4, event_fd, true), 0);
	if (where == HULL_IRQCHIP_USER)
		hull_vm_set_intack(r.vm, acknowledge, NULL);
	assert_int_equal(pthread_create(&thread, NULL, run_thread, &kind), 0);
	await(0x5004, 1);
	for (uint32_t i = 1; i <= 3; i++) {
		pulse();
		if (i == 1 && where == HULL_IRQCHIP_USER) {
			/* run_vcpu returns from HLT there: run it again. */
			pthread_join(thread, NULL);
			assert_int_equal(kind, HULL_EXIT_HALT);
			break;
		}
		await(0x5000, i);
		if (i == 1) {
			assert_int_equal(hull_vm_inject_irq(r.vm, 1, HULL_X86_INPUT_NMI), 0);
			await(0x5008, 1);
		}
	}
	if (where == HULL_IRQCHIP_USER) {
		for (uint32_t i = 1; i <= 3; i++) {
			pulse();
			kind = kvmrig_run(&r);
			assert_int_equal(word_at(0x5000), i);
		}
	} else {
		pthread_join(thread, NULL);
	}
	assert_int_equal(kind, HULL_EXIT_SYSTEM);
	if (pulse == by_event)
		assert_int_equal(hull_vm_irq_event(r.vm, 4, event_fd, false), 0);
	kvmrig_unmake(&r);
}

static void test_interrupts_by_line(void **state)
{
	interrupts(HULL_IRQCHIP_KERNEL, by_line, "\0");
}

static void test_interrupts_by_message(void **state)
{
	interrupts(HULL_IRQCHIP_KERNEL, by_message, "\0");
	interrupts(HULL_IRQCHIP_SPLIT, by_message, "\0\1");
}

static void test_interrupts_by_event(void **state)
{
	event_fd = eventfd(0, EFD_CLOEXEC);
	interrupts(HULL_IRQCHIP_KERNEL, by_event, "\0");
	close(event_fd);
}

static void test_interrupts_of_the_board(void **state)
{
	interrupts(HULL_IRQCHIP_USER, by_user, "\1\1");
}

static void test_what_is_not_there(void **state)
{
	struct hull_vm_config c = kvmrig_config(1);

	c.hw.irqchip = HULL_IRQCHIP_SPLIT;
	start(&c, BYTES(spin));
	assert_int_equal(hull_vm_route(r.vm, 24, 0xfee00000, 0x40), HULL_EINVAL);
	assert_int_equal(hull_vm_route(r.vm, 3, 0xfee00000, 0x8040), 0);
	assert_int_equal(hull_vm_route(r.vm, 3, 0, 0), 0);
	assert_int_equal(hull_vm_irq_event(r.vm, 99, 0, true), HULL_EINVAL);
	kvmrig_unmake(&r);
	c.hw.irqchip = HULL_IRQCHIP_USER;
	start(&c, BYTES(spin));
	assert_int_equal(hull_vm_msi(r.vm, 0xfee00000, 0x40), HULL_ENOTSUP);
	assert_int_equal(hull_vm_irq_event(r.vm, 4, 0, true), HULL_ENOTSUP);
	kvmrig_unmake(&r);
	c.hw.irqchip = HULL_IRQCHIP_AUTO;
	start(&c, BYTES(spin));
	assert_int_equal(hull_vm_irqchip(r.vm), HULL_IRQCHIP_KERNEL);
	assert_int_equal(hull_vm_route(r.vm, 3, 0xfee00000, 0x40), HULL_ENOTSUP);
	assert_int_equal(hull_vm_irq_event(r.vm, 4, -1, true), HULL_EINVAL);
	kvmrig_unmake(&r);
}

static void test_doorbells(void **state)
{
	struct hull_vm_config c = kvmrig_config(1);
	struct hull_doorbell d = { .space = HULL_SPACE_MMIO,
		                   .addr = KVMRIG_MMIO,
		                   .size = 4,
		                   .has_value = true,
		                   .value = 3 };
	uint64_t count = 0;

	start(&c, BYTES(doorbells));
	d.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(hull_vm_doorbell(r.vm, &d, true), 0);
	assert_int_equal(hull_vm_doorbell(r.vm, &d, true), HULL_EEXIST);
	assert_int_equal(kvmrig_run(&r), HULL_EXIT_SYSTEM);
	assert_int_equal(r.n, 5); /* 1 2 4 5 and the end */
	assert_int_equal(r.log[2].value, 4);
	assert_int_equal(read(d.fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	assert_int_equal(hull_vm_doorbell(r.vm, &d, false), 0);
	assert_int_equal(hull_vm_doorbell(r.vm, &d, false), HULL_ENOENT);
	d.size = 3;
	assert_int_equal(hull_vm_doorbell(r.vm, &d, true), HULL_EINVAL);
	assert_int_equal(hull_vm_reset(r.vm, NULL), 0);
	assert_int_equal(kvmrig_run(&r), HULL_EXIT_SYSTEM);
	assert_int_equal(r.n, 5 + 6);
	close(d.fd);
	kvmrig_unmake(&r);
}

static void test_lazy_writes(void **state)
{
	struct hull_vm_config c = kvmrig_config(1);
	uint64_t before;

	start(&c, BYTES(doorbells));
	assert_int_equal(hull_vm_lazy_writes(r.vm, HULL_SPACE_MMIO, KVMRIG_MMIO, 16, true), 0);
	before = r.vcpu->exits[HULL_EXIT_MMIO];
	assert_int_equal(kvmrig_run(&r), HULL_EXIT_SYSTEM);
	assert_int_equal(r.vcpu->exits[HULL_EXIT_MMIO], before);
	assert_int_equal(r.n, 6);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(r.log[i].value, i + 1);
		assert_int_equal(r.log[i].size, 4);
	}
	assert_int_equal(r.log[5].off, 15); /* last */
	assert_int_equal(hull_vm_lazy_writes(r.vm, HULL_SPACE_MMIO, KVMRIG_MMIO, 16, false), 0);
	assert_int_equal(hull_vm_lazy_writes(r.vm, HULL_SPACE_SYSREG, 0, 16, true), HULL_EINVAL);
	kvmrig_unmake(&r);
}

static void log_writes(uint32_t ring)
{
	struct hull_vm_config c = kvmrig_config(1);
	uint64_t bits[KVMRIG_RAM / 4096 / 64 + 1];

	c.hw.dirty_ring = ring;
	start(&c, BYTES(dirty));
	assert_int_equal(hull_vm_dirty_start(r.vm, NULL), 0);
	assert_int_equal(kvmrig_run(&r), HULL_EXIT_SYSTEM);
	assert_int_equal(hull_vm_dirty_fetch(r.vm, 0, bits, KVMRIG_RAM / 4096), 0);
	assert_int_equal(bits[0] >> 32, 0xff);
	assert_int_equal(kvmrig_run(&r), HULL_EXIT_SYSTEM);
	assert_int_equal(hull_vm_dirty_fetch(r.vm, 0, bits, KVMRIG_RAM / 4096), 0);
	assert_int_equal(bits[0] >> 32, BIT(16) | 1);
	assert_int_equal(hull_vm_dirty_fetch(r.vm, 0, bits, KVMRIG_RAM / 4096), 0);
	assert_int_equal(bits[0] >> 32, 0);
	assert_int_equal(hull_vm_dirty_stop(r.vm), 0);
	kvmrig_unmake(&r);
}

static void test_dirty_bitmap(void **state)
{
	log_writes(0);
}

static void test_dirty_ring(void **state)
{
	log_writes(1024);
}

static void test_single_steps(void **state)
{
	struct hull_vm_config c = kvmrig_config(1);
	const struct hull_debug step = { .step = true }, none = { 0 };
	const uint64_t at[] = { 0x1001, 0x1002, 0x1007, 0x1011, 0x1017, 0x1018, 0x101d };
	struct hull_exit e;

	c.hw.irqchip = HULL_IRQCHIP_USER;
	start(&c, BYTES(steps));
	assert_int_equal(hull_vcpu_debug(r.vcpu, &step), 0);
	for (unsigned i = 0; i < ARRAY_LEN(at); i++) {
		assert_int_equal(hull_vm_run_vcpu(r.vm, 0, &e), 0);
		assert_int_equal(e.kind, HULL_EXIT_DEBUG);
		assert_int_equal(e.debug.pc, at[i]);
		assert_int_equal(kvmrig_reg(&r, HULL_X86_REG_RIP), at[i]);
	}
	assert_int_equal(hull_vcpu_debug(r.vcpu, &none), 0);
	assert_int_equal(kvmrig_run(&r), HULL_EXIT_SYSTEM);
	assert_int_equal(kvmrig_reg(&r, HULL_X86_REG_RBX), 1);
	kvmrig_unmake(&r);
}

static void test_breakpoints(void **state)
{
	struct hull_vm_config c = kvmrig_config(1);
	struct hull_debug d = { .n = 2,
		                .at = { { .addr = 0x1002, .kind = HULL_BREAK_EXEC },
		                        { .addr = 0x5000, .kind = HULL_BREAK_WRITE, .len = 4 } } };
	struct hull_exit e;

	c.hw.irqchip = HULL_IRQCHIP_USER;
	start(&c, BYTES(steps));
	assert_int_equal(hull_vcpu_debug(r.vcpu, &d), 0);
	assert_int_equal(hull_vm_run_vcpu(r.vm, 0, &e), 0);
	assert_int_equal(e.kind, HULL_EXIT_DEBUG);
	assert_int_equal(e.debug.pc, 0x1002);
	d.at[1].len = 3;
	assert_int_equal(hull_vcpu_debug(r.vcpu, &d), HULL_EINVAL);
	d.n = 5;
	assert_int_equal(hull_vcpu_debug(r.vcpu, &d), HULL_EINVAL);
	kvmrig_unmake(&r);
}

static void test_msrs_are_listed(void **state)
{
	struct hull_vm_config c = kvmrig_config(1);

	c.hw.irqchip = HULL_IRQCHIP_USER;
	start(&c, BYTES(msrs));
	assert_int_equal(kvmrig_run(&r), HULL_EXIT_SYSTEM);
	assert_int_equal(word_at(0x5000), 0x00070406); /* the PAT as it is after a reset */
	assert_int_equal(word_at(0x5004), 0x1ad);
	kvmrig_unmake(&r);
}

static void *loop_thread(void *arg)
{
	hull_vm_vcpu_loop(r.vm, 0);
	return NULL;
}

/* A guest that never exits is paused, goes on where it was, and loses memory without noticing. */
static void test_spinning_guest(void **state)
{
	static uint8_t page[4096] __attribute__((aligned(4096)));
	struct hull_vm_config c = kvmrig_config(1);
	pthread_t thread;

	c.regions[0].size = 0x50000;
	kvmrig_make_flat(&r, &c, BYTES(spin));
	assert_int_equal(hull_vm_map(r.vm, 0x50000, page, 4096, HULL_MEM_R | HULL_MEM_W, NULL), 0);
	kvmrig_boot(&r);
	assert_int_equal(pthread_create(&thread, NULL, loop_thread, NULL), 0);
	for (unsigned i = 0; i < 20; i++) {
		uint32_t seen;

		await(0x5000, 10 * i + 1);
		assert_int_equal(hull_vm_protect(r.vm, 0x50000, 4096,
		                                 HULL_MEM_R | (i & 1 ? HULL_MEM_W : 0), NULL),
		                 0);
		assert_int_equal(hull_vm_pause(r.vm, NULL), 0);
		seen = word_at(0x5000);
		nap();
		assert_int_equal(word_at(0x5000), seen);
		(void)kvmrig_reg(&r, HULL_X86_REG_RIP);
		assert_int_equal(hull_vm_resume(r.vm, NULL), 0);
		await(0x5000, seen + 1);
	}
	assert_int_equal(hull_vm_unmap(r.vm, 0x50000, 4096, NULL), 0);
	await(0x5000, word_at(0x5000) + 1);
	assert_int_equal(hull_vm_state(r.vm), HULL_VM_RUNNING);
	assert_int_equal(hull_vm_shutdown(r.vm, HULL_STOP_FORCED, NULL), 0);
	pthread_join(thread, NULL);
	kvmrig_unmake(&r);
}

static unsigned entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void test_many_lives(void **state)
{
	unsigned fds = entries("/proc/self/fd"), threads = entries("/proc/self/task");

	for (unsigned i = 0; i < 40; i++) {
		struct hull_vm_config c = kvmrig_config(1 + i % 4);

		c.hw.irqchip = (enum hull_irqchip)(i % 4);
		start(&c, BYTES(doorbells));
		assert_int_equal(kvmrig_run(&r), HULL_EXIT_SYSTEM);
		kvmrig_unmake(&r);
	}
	assert_int_equal(entries("/proc/self/fd"), fds);
	assert_int_equal(entries("/proc/self/task"), threads);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interrupts_by_line),
		cmocka_unit_test(test_interrupts_by_message),
		cmocka_unit_test(test_interrupts_by_event),
		cmocka_unit_test(test_interrupts_of_the_board),
		cmocka_unit_test(test_what_is_not_there),
		cmocka_unit_test(test_doorbells),
		cmocka_unit_test(test_lazy_writes),
		cmocka_unit_test(test_dirty_bitmap),
		cmocka_unit_test(test_dirty_ring),
		cmocka_unit_test(test_single_steps),
		cmocka_unit_test(test_breakpoints),
		cmocka_unit_test(test_msrs_are_listed),
		cmocka_unit_test(test_spinning_guest),
		cmocka_unit_test(test_many_lives),
	};

	if (!kvmrig_usable()) {
		printf("no /dev/kvm here that can be opened\n");
		return 77;
	}
	return cmocka_run_group_tests_name("kvm_events", tests, NULL, NULL);
}

#else

int main(void)
{
	printf("the guests of this test are for x86_64\n");
	return 77;
}

#endif
