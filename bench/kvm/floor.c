/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What this host's KVM itself costs: the fewest calls with which a machine with interrupt
 * controllers and a described processor runs one instruction.
 *
 *	floor		prints what the guest sends to port 0x3f8 and waits, as a machine would
 *	floor lives N	microseconds per machine, created, run and destroyed
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { RAM = 48 << 20, CODE = 0x1000, RUN_BYTES = 3 << 12 };

/* Real mode: mov dx, 0x3f8; mov al, 'x'; out dx, al */
static const unsigned char code[] = { 0xba, 0xf8, 0x03, 0xb0, 0x78, 0xee };

struct machine {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	char *ram;
};

static void check(int r, const char *what)
{
	if (r < 0) {
		perror(what);
		exit(1);
	}
}

static void start(struct machine *m)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} cpu;
	struct kvm_userspace_memory_region slot = { .memory_size = RAM };
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	struct kvm_sregs sregs;

	check(m->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	check(m->vm = ioctl(m->kvm, KVM_CREATE_VM, 0), "VM");
	m->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE,
	              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	memcpy(m->ram + CODE, code, sizeof(code));
	slot.userspace_addr = (unsigned long)m->ram;
	check(ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &slot), "memory");
	check(ioctl(m->vm, KVM_SET_TSS_ADDR, 0xfeffd000), "TSS");
	check(ioctl(m->vm, KVM_CREATE_IRQCHIP, 0), "interrupt controllers");
	check(m->vcpu = ioctl(m->vm, KVM_CREATE_VCPU, 0), "vCPU");
	m->run = mmap(NULL, RUN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
	cpu.head.nent = 256;
	check(ioctl(m->kvm, KVM_GET_SUPPORTED_CPUID, &cpu), "processor");
	check(ioctl(m->vcpu, KVM_SET_CPUID2, &cpu), "processor");
	check(ioctl(m->vcpu, KVM_GET_SREGS, &sregs), "registers");
	sregs.cs.base = sregs.cs.selector = 0;
	check(ioctl(m->vcpu, KVM_SET_SREGS, &sregs), "registers");
	check(ioctl(m->vcpu, KVM_SET_REGS, &regs), "registers");
	check(ioctl(m->vcpu, KVM_RUN, 0), "run");
	check(m->run->exit_reason == KVM_EXIT_IO ? 0 : -1, "exit");
}

static void end(struct machine *m)
{
	munmap(m->run, RUN_BYTES);
	close(m->vcpu);
	munmap(m->ram, RAM);
	close(m->vm);
	close(m->kvm);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char *argv[])
{
	struct machine m;
	double began = now_us();
	int n;

	if (argc < 3) {
		start(&m);
		check((int)write(1, (char *)m.run + m.run->io.data_offset, 1), "output");
		pause();
		return 0;
	}
	n = (int)strtol(argv[2], NULL, 10);
	for (int i = 0; i < n; i++) {
		start(&m);
		end(&m);
	}
	printf("life %.1f us\n", (now_us() - began) / n);
	return 0;
}
