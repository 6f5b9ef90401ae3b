/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The run loop of KVM vCPUs (api 4.10, 5).
 *
 * Kicks.  Whoever wants attention stores it, then sets kvm_run.immediate_exit, then signals the
 * thread if in_run says that it is in KVM_RUN or about to be.  The vCPU clears immediate_exit only
 * when it is set, and looks for attention after that; so either it sees the attention, or KVM_RUN
 * sees immediate_exit.
 */
#include "accel/kvm/kvm_impl.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/text.h"
#include "core/bus.h"

/* What headers of Linux 6.1 lack. */
#define EXIT_MEMORY_FAULT 39

/* Times that one instruction may go on: a string is left after 1024 elements. */
enum { SETTLE_MAX = 1200 };

void hull_kvm_fail(struct hull_kvm_vcpu *v, struct hull_exit *exit, int64_t code,
                   const char *format, ...)
{
	struct hull_kvm_vm *k = v->vm;
	uint32_t first = 0;
	va_list args;
	size_t n;

	*exit = (struct hull_exit){ .kind = HULL_EXIT_FAIL };
	exit->fail.code = code;
	exit->fail.why = "another vCPU failed first";
	if (!hull_cas_seqcst(&k->failed, &first, 1))
		return;
	va_start(args, format);
	n = hull_format(k->failure, sizeof(k->failure), "vCPU %u: ", v->vcpu->id);
	n += hull_vformat(k->failure + n, sizeof(k->failure) - n, format, args);
	va_end(args);
	n = MIN(n, sizeof(k->failure) - 2);
	n += hull_format(k->failure + n, sizeof(k->failure) - n, "\n");
	(void)hull_kvm_settle(v, true);
	hull_kvm_arch_dump(v, k->failure + n, sizeof(k->failure) - n);
	exit->fail.why = k->failure;
}

void hull_kvm_kick(struct hull_vcpu *vcpu)
{
	struct hull_kvm_vcpu *v = hull_vcpu_accel_state(vcpu);
	const struct hull_hal *hal = hull_vm_hal(vcpu->vm);

	hull_store_seqcst(&v->run->immediate_exit, (uint8_t)1);
	if (hull_load_seqcst(&v->in_run))
		hal->cpu_kick(hal, hull_load_relaxed(&vcpu->claimed));
}

static void wake_freezer(struct hull_kvm_vcpu *v)
{
	const struct hull_hal *hal = hull_vm_hal(v->vcpu->vm);

	hal->wake(hal, &v->in_run, 1);
}

/* Announce KVM_RUN, unless vCPUs are kept out of it. */
static void enter(struct hull_kvm_vcpu *v)
{
	const struct hull_hal *hal;

	for (;;) {
		hull_store_seqcst(&v->in_run, 1);
		if (LIKELY(!hull_load_seqcst(&v->vm->frozen)))
			return;
		hull_store_seqcst(&v->in_run, 0);
		wake_freezer(v);
		hal = hull_vm_hal(v->vcpu->vm);
		hal->wait(hal, &v->vm->frozen, 1, HULL_NEVER);
	}
}

static void leave(struct hull_kvm_vcpu *v)
{
	hull_store_release(&v->in_run, 0);
	if (UNLIKELY(hull_load_relaxed(&v->vm->frozen)))
		wake_freezer(v);
}

/* KVM_RUN: 0, or -errno. */
HOT static int run_once(struct hull_kvm_vcpu *v)
{
	int r;

	enter(v);
	v->unfinished = false;
	r = hull_kvm_sys.ioctl(v->fd - 1, KVM_RUN, NULL);
	r = r < 0 ? -errno : 0;
	leave(v);
	hull_kvm_arch_left(v);
	return r;
}

HOT static void give_piece(struct hull_kvm_vcpu *v, struct hull_exit *exit)
{
	const struct hull_kvm_io *io = &v->io;
	unsigned size = io->part ? 1 : io->unit;
	uint64_t addr = io->part ? io->addr + io->unit - io->part : io->addr, data = 0;

	if (!size) {
		/* Devices see naturally aligned powers of two, as on a bus. */
		size = 8;
		while (size > io->left || addr & (size - 1))
			size >>= 1;
	}
	if (io->write)
		memcpy(&data, io->at, size);
	exit->kind = io->kind;
	exit->io.addr = addr;
	exit->io.data = data;
	exit->io.size = (uint8_t)size;
	exit->io.write = io->write;
	exit->io.failed = false;
}

HOT void hull_kvm_start_io(struct hull_kvm_vcpu *v, struct hull_exit *exit)
{
	v->unfinished = true;
	give_piece(v, exit);
}

HOT void hull_kvm_complete(struct hull_vcpu *vcpu, const struct hull_exit *exit)
{
	struct hull_kvm_vcpu *v = hull_vcpu_accel_state(vcpu);
	struct hull_kvm_io *io = &v->io;
	struct hull_exit e = *exit;

	if (e.io.failed && io->kind == HULL_EXIT_PIO && !io->part && io->unit > 1) {
		/* As the bridge to a narrower bus does: byte by byte. */
		io->part = io->unit;
		return;
	}
	if (e.io.failed)
		hull_kvm_arch_unanswered(v, &e);
	if (!io->write)
		memcpy(io->at, &e.io.data, e.io.size);
	io->at += e.io.size;
	io->left -= e.io.size;
	if (io->part)
		io->part--;
	if (!io->unit)
		io->addr += e.io.size;
}

HOT static bool start_pio(struct hull_kvm_vcpu *v, struct hull_exit *exit)
{
	struct kvm_run *run = v->run;
	uint64_t bytes = (uint64_t)run->io.size * run->io.count;

	if (!bytes || run->io.size > 4 || run->io.data_offset > v->vm->run_bytes ||
	    bytes > v->vm->run_bytes - run->io.data_offset) {
		hull_kvm_fail(v, exit, run->exit_reason,
		              "KVM reports a port access of %u * %u bytes", run->io.size,
		              run->io.count);
		return true;
	}
	v->io = (struct hull_kvm_io){
		.kind = HULL_EXIT_PIO,
		.write = run->io.direction == KVM_EXIT_IO_OUT,
		.unit = run->io.size,
		.left = (uint32_t)bytes,
		.addr = run->io.port,
		.at = (uint8_t *)run + run->io.data_offset,
	};
	hull_kvm_start_io(v, exit);
	return true;
}

HOT static bool start_mmio(struct hull_kvm_vcpu *v, struct hull_exit *exit)
{
	struct kvm_run *run = v->run;

	if (!run->mmio.len || run->mmio.len > sizeof(run->mmio.data)) {
		hull_kvm_fail(v, exit, run->exit_reason, "KVM reports a memory access of %u bytes",
		              run->mmio.len);
		return true;
	}
	v->io = (struct hull_kvm_io){
		.kind = HULL_EXIT_MMIO,
		.write = run->mmio.is_write,
		.left = run->mmio.len,
		.addr = run->mmio.phys_addr,
		.at = run->mmio.data,
	};
	hull_kvm_start_io(v, exit);
	return true;
}

static bool system_event(struct hull_kvm_vcpu *v, struct hull_exit *exit)
{
	*exit = (struct hull_exit){ .kind = HULL_EXIT_SYSTEM };
	switch (v->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN: exit->system.event = HULL_SYSTEM_OFF; return true;
	case KVM_SYSTEM_EVENT_RESET: exit->system.event = HULL_SYSTEM_RESET; return true;
	case KVM_SYSTEM_EVENT_CRASH: exit->system.event = HULL_SYSTEM_CRASH; return true;
	default: return false;
	}
}

static const char *internal_error(uint32_t suberror)
{
	switch (suberror) {
	case KVM_INTERNAL_ERROR_EMULATION: return "it cannot emulate an instruction";
	case KVM_INTERNAL_ERROR_SIMUL_EX: return "exceptions at the same time";
	case KVM_INTERNAL_ERROR_DELIVERY_EV: return "an exit while it delivered an event";
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON: return "an exit that it does not know";
	default: return "no reason given";
	}
}

/* An exit after which nothing goes on, or one that only the architecture knows. */
static bool rare_exit(struct hull_kvm_vcpu *v, struct hull_exit *exit)
{
	const struct kvm_run *run = v->run;

	switch (run->exit_reason) {
	case KVM_EXIT_SYSTEM_EVENT: return system_event(v, exit);
	case KVM_EXIT_DIRTY_RING_FULL: hull_kvm_collect_rings(v->vm); return false;
	case KVM_EXIT_INTERNAL_ERROR:
		hull_kvm_fail(v, exit, run->exit_reason, "KVM gave up: %s (%u)",
		              internal_error(run->internal.suberror), run->internal.suberror);
		return true;
	case KVM_EXIT_FAIL_ENTRY:
		hull_kvm_fail(v, exit, run->exit_reason,
		              "the processor refuses to run the guest (reason 0x%llx)",
		              (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		return true;
	case KVM_EXIT_SHUTDOWN:
		hull_kvm_fail(v, exit, run->exit_reason,
		              "the guest failed three times in a row (triple fault)");
		return true;
	case EXIT_MEMORY_FAULT:
		hull_kvm_fail(v, exit, run->exit_reason, "the host has no memory for the guest");
		return true;
	default: return hull_kvm_arch_exit(v, exit);
	}
}

/* True: *exit is filled in. */
HOT static bool decode(struct hull_kvm_vcpu *v, struct hull_exit *exit)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_IO: return start_pio(v, exit);
	case KVM_EXIT_MMIO: return start_mmio(v, exit);
	case KVM_EXIT_INTR: return false;
	case KVM_EXIT_DEBUG:
		exit->kind = HULL_EXIT_DEBUG;
		exit->debug.pc = hull_kvm_arch_debug_pc(v);
		return true;
	default: return rare_exit(v, exit);
	}
}

/* KVM_RUN itself failed.  True: *exit is filled in. */
static bool run_failed(struct hull_kvm_vcpu *v, int error, struct hull_exit *exit)
{
	/* EAGAIN: a vCPU that was woken by INIT or SIPI looks at its new state. */
	if (error == EINTR || error == EAGAIN)
		return false;
	if (error == EFAULT)
		hull_kvm_fail(v, exit, -error, "the host's memory behind the guest's is gone");
	else
		hull_kvm_fail(v, exit, -error, "KVM cannot run it: %s", strerror(error));
	return true;
}

/* Writes that KVM has collected, before anything that comes after them. */
static void flush_ring(struct hull_kvm_vcpu *v)
{
	struct hull_kvm_vm *k = v->vm;
	struct kvm_coalesced_mmio_ring *ring =
		(void *)((uint8_t *)v->run + k->coalesced_page * k->host_page);
	uint32_t size =
		(uint32_t)((k->host_page - sizeof(*ring)) / sizeof(ring->coalesced_mmio[0]));

	if (LIKELY(hull_load_relaxed(&ring->first) == hull_load_acquire(&ring->last)))
		return;
	pthread_mutex_lock(&k->ring_lock);
	for (uint32_t n = 0; n < size; n++) {
		uint32_t first = hull_load_relaxed(&ring->first);
		struct kvm_coalesced_mmio m;
		uint64_t data = 0;

		if (first == hull_load_acquire(&ring->last) || first >= size)
			break;
		m = ring->coalesced_mmio[first];
		hull_store_release(&ring->first, (first + 1) % size);
		memcpy(&data, m.data, sizeof(data));
		(void)hull_bus_write(k->vm, m.pio ? HULL_SPACE_PIO : HULL_SPACE_MMIO, m.phys_addr,
		                     m.len, data & low_mask(8 * MIN(m.len, 8u)));
	}
	pthread_mutex_unlock(&k->ring_lock);
}

/* What others want.  False: leave. */
static bool attend(struct hull_kvm_vcpu *v, uint64_t *ret_edges)
{
	struct hull_vcpu *vcpu = v->vcpu;
	uint32_t requests;

	if (hull_load_relaxed(&v->run->immediate_exit))
		hull_store_seqcst(&v->run->immediate_exit, (uint8_t)0);
	*ret_edges = 0;
	if (LIKELY(!hull_load_acquire(&vcpu->attention)))
		return true;
	requests = hull_vcpu_take(vcpu, UINT32_MAX);
	/* Translations are KVM's: it has dropped them when the map changed. */
	if (requests & (HULL_REQ_FLUSH_TLB | HULL_REQ_FLUSH_CODE))
		hull_vcpu_done(vcpu, HULL_REQ_FLUSH_TLB | HULL_REQ_FLUSH_CODE);
	if (requests & HULL_REQ_IRQ_EDGE) {
		hull_vcpu_done(vcpu, HULL_REQ_IRQ_EDGE);
		*ret_edges = hull_swap_acqrel(&vcpu->irq_edges, 0);
	}
	return !(requests & HULL_REQ_STOP);
}

HOT int hull_kvm_run(struct hull_vcpu *vcpu, struct hull_exit *exit)
{
	struct hull_kvm_vcpu *v = hull_vcpu_accel_state(vcpu);
	uint64_t edges;
	int r;

	if (v->io.left) {
		give_piece(v, exit);
		return 0;
	}
	for (;;) {
		bool stay = attend(v, &edges);

		if (!hull_kvm_arch_enter(v, edges, exit) && (stay || exit->kind != HULL_EXIT_HALT))
			return 0;
		if (UNLIKELY(v->refused)) {
			hull_kvm_fail(v, exit, -v->refused, "KVM refuses its registers: %s",
			              strerror(v->refused));
			return 0;
		}
		if (!stay) {
			exit->kind = HULL_EXIT_KICKED;
			return 0;
		}
		r = run_once(v);
		if (v->vm->coalesced_page)
			flush_ring(v);
		if (r ? run_failed(v, -r, exit) : decode(v, exit))
			return 0;
	}
}

int hull_kvm_settle(struct hull_kvm_vcpu *v, bool drop)
{
	struct hull_exit ignored;

	if (v->io.left && !drop)
		return HULL_EAGAIN;
	v->io.left = 0;
	for (unsigned i = 0; v->unfinished && i < SETTLE_MAX; i++) {
		int r;

		hull_store_seqcst(&v->run->immediate_exit, (uint8_t)1);
		v->unfinished = false;
		r = hull_kvm_sys.ioctl(v->fd - 1, KVM_RUN, NULL);
		hull_kvm_arch_left(v);
		if (r < 0)
			break; /* EINTR: that is what it was asked for */
		if (v->run->exit_reason == KVM_EXIT_IO)
			(void)start_pio(v, &ignored);
		else if (v->run->exit_reason == KVM_EXIT_MMIO)
			(void)start_mmio(v, &ignored);
		if (v->io.left && !drop)
			return HULL_EAGAIN;
		v->io.left = 0;
	}
	return 0;
}
