/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What `./do bench kvm` measures inside one process:
 *
 *	exits	ns per port and per memory access, hull beside the smallest possible KVM loop
 *	lives N	create, boot, run and destroy a machine N times: descriptors, threads, memory
 *
 * Each result is a line "name value unit".
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <hull/host.h>
#include <hull/regs.h>
#include <hull/vm.h>
#include "base/bits.h"
#include "core/bus.h"
#include "core/dev_impl.h"
#include "core/vcpu.h"

enum { RAM = 0x10000, CODE = 0x1000, MMIO = 0xd0000, PORT = 0x400, EXITS = 500, ROUNDS = 201 };

/* Real mode: 1: out dx, al; jmp 1b */
static const uint8_t port_loop[] = { 0xba, 0x00, 0x04, 0xee, 0xeb, 0xfd };
/* ds = 0xd000; 1: mov [0x10], al; jmp 1b */
static const uint8_t memory_loop[] = { 0xb8, 0x00, 0xd0, 0x8e, 0xd8, 0xa2, 0x10, 0x00, 0xeb, 0xfb };

static unsigned left;
static struct hull_vm *current;

static uint64_t now(void)
{
	return hull_host_hal()->now_ns(hull_host_hal());
}

static void die(const char *what)
{
	fprintf(stderr, "bench-kvm: %s\n", what);
	exit(1);
}

/* The peer: nothing but the loop that KVM's documentation shows. */
struct peer {
	int vm, vcpu;
	struct kvm_run *run;
	uint8_t *ram;
};

static void peer_open(struct peer *p, const uint8_t *code, size_t bytes)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct kvm_userspace_memory_region m = { .memory_size = RAM };
	struct kvm_sregs s;
	struct kvm_regs r = { .rip = CODE, .rflags = 2 };

	if (kvm < 0)
		die("no /dev/kvm");
	p->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	p->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(p->ram + CODE, code, bytes);
	m.userspace_addr = (uintptr_t)p->ram;
	ioctl(p->vm, KVM_SET_USER_MEMORY_REGION, &m);
	p->vcpu = ioctl(p->vm, KVM_CREATE_VCPU, 0);
	p->run = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
	              MAP_SHARED, p->vcpu, 0);
	if (p->vcpu < 0 || p->run == MAP_FAILED || ioctl(p->vcpu, KVM_GET_SREGS, &s))
		die("the peer's machine");
	s.cs.base = s.cs.selector = 0;
	if (ioctl(p->vcpu, KVM_SET_SREGS, &s) || ioctl(p->vcpu, KVM_SET_REGS, &r))
		die("the peer's registers");
	close(kvm);
}

static uint64_t peer_run(struct peer *p)
{
	uint64_t start = now(), sum = 0;

	for (unsigned n = EXITS; n;) {
		if (ioctl(p->vcpu, KVM_RUN, 0))
			die("the peer's KVM_RUN");
		switch (p->run->exit_reason) {
		case KVM_EXIT_IO:
			sum += *((uint8_t *)p->run + p->run->io.data_offset);
			n--;
			break;
		case KVM_EXIT_MMIO:
			sum += p->run->mmio.data[0];
			n--;
			break;
		default: die("the peer's exit");
		}
	}
	if (sum == 1)
		puts("");
	return now() - start;
}

static void count(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	if (!--left)
		hull_vm_system_event(current, HULL_SYSTEM_OFF, 0);
}

static const struct hull_dev_type counter = { .name = "counter",
	                                      .summary = "counts writes",
	                                      .state_size = sizeof(struct hull_dev),
	                                      .region_size = 0x1000,
	                                      .access_sizes = 15,
	                                      .write = count };

struct guest {
	const uint8_t *code;
	size_t bytes;
};

static int load(struct hull_vm *vm, void *arg, struct hull_err *err)
{
	const struct guest *g = arg;
	struct hull_vcpu *vcpu = hull_vm_vcpu(vm, 0);
	const uint32_t cs = HULL_X86_REG_SEG + 4 * HULL_X86_CS;
	int r = hull_vm_write(vm, CODE, g->code, g->bytes);

	if (!r)
		r = hull_vcpu_reg_set(vcpu, cs + HULL_X86_SELECTOR, 0);
	if (!r)
		r = hull_vcpu_reg_set(vcpu, cs + HULL_X86_BASE, 0);
	return r ? r : hull_vcpu_reg_set(vcpu, HULL_X86_REG_RIP, CODE);
}

static struct hull_vm *hull_open(struct guest *g, enum hull_irqchip irqchip)
{
	struct hull_region_config ram = { .size = RAM,
		                          .attr = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };
	struct hull_dev_setup s = { .type = &counter, .name = "counter", .gpa = MMIO };
	struct hull_vm_config c;
	struct hull_err err = { 0 };
	struct hull_dev *d;
	struct hull_vm *vm;

	hull_config_init(&c, HULL_ISA_X86_64, "bench");
	c.hw.irqchip = irqchip;
	if (hull_config_add_region(&c, &ram, &err) ||
	    hull_vm_create(&c, hull_host_hal(), hull_accel_find("kvm"), &vm, &err) ||
	    hull_dev_create(vm, &s, &d, &err) ||
	    hull_bus_attach(vm, HULL_SPACE_PIO, PORT, 16, d, &err))
		die(err.text);
	hull_vm_set_loader(vm, load, g);
	if (hull_vm_seal(vm, &err) || hull_vm_boot(vm, &err))
		die(err.text);
	current = vm;
	return vm;
}

static uint64_t hull_run(struct hull_vm *vm, unsigned exits)
{
	struct hull_exit e = { 0 };
	uint64_t start = now();

	left = exits;
	current = vm;
	if (hull_vm_run_vcpu(vm, 0, &e) || e.kind != HULL_EXIT_SYSTEM)
		die("the guest stopped");
	return now() - start;
}

static void hull_close(struct hull_vm *vm)
{
	(void)hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL);
	if (hull_vm_destroy(vm, NULL))
		die("the machine stays");
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double median(uint64_t *v, unsigned n)
{
	qsort(v, n, sizeof(*v), compare);
	return (double)v[n / 2];
}

/* In turn, so that both see the same host. */
static void exits(const char *name, const uint8_t *code, size_t bytes)
{
	uint64_t ours[ROUNDS], theirs[ROUNDS];
	struct guest g = { code, bytes };
	struct peer p;
	struct hull_vm *vm = hull_open(&g, HULL_IRQCHIP_USER);
	double a, b;

	peer_open(&p, code, bytes);
	for (unsigned i = 0; i < ROUNDS; i++) {
		theirs[i] = peer_run(&p);
		ours[i] = hull_run(vm, EXITS);
	}
	a = median(ours, ROUNDS) / EXITS;
	b = median(theirs, ROUNDS) / EXITS;
	printf("%s_hull %.1f ns\n%s_loop %.1f ns\n%s_more %.2f %%\n", name, a, name, b, name,
	       (a / b - 1) * 100);
	hull_close(vm);
}

static unsigned entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static long resident_kib(void)
{
	long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%ld %ld", &size, &resident) != 2)
		die("statm");
	fclose(f);
	return resident * 4;
}

static void lives(unsigned n)
{
	struct guest g = { port_loop, sizeof(port_loop) };
	unsigned fds = 0, threads = 0;
	uint64_t start = 0;
	long kib = 0;

	for (unsigned i = 0; i < n + 50; i++) {
		struct hull_vm *vm;

		if (i == 50) {
			fds = entries("/proc/self/fd");
			threads = entries("/proc/self/task");
			kib = resident_kib();
			start = now();
		}
		vm = hull_open(&g, HULL_IRQCHIP_KERNEL);
		(void)hull_run(vm, 3);
		hull_close(vm);
	}
	printf("life %.1f us\n", (double)(now() - start) / n / 1000);
	printf("descriptors_more %d\n", (int)entries("/proc/self/fd") - (int)fds);
	printf("threads_more %d\n", (int)entries("/proc/self/task") - (int)threads);
	printf("memory_more %ld KiB\n", resident_kib() - kib);
}

int main(int argc, char *argv[])
{
	if (argc > 2 && !strcmp(argv[1], "lives")) {
		lives((unsigned)strtoul(argv[2], NULL, 10));
		return 0;
	}
	exits("port", port_loop, sizeof(port_loop));
	exits("memory", memory_loop, sizeof(memory_loop));
	return 0;
}
