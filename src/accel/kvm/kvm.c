/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Linux KVM as an accelerator: VMs, vCPUs, interrupts; see kvm_impl.h. */
#include "accel/kvm/kvm_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/text.h"
#include "core/irqchip.h"

/* What headers of Linux 6.1 lack, those of some architectures for ever. */
#define CAP_DIRTY_LOG_RING_ACQ_REL 223
#define CAP_SET_GUEST_DEBUG        23
#define GUESTDBG_USE_SW_BP         0x10000

/* Each architecture needs these. */
static const int needs[] = { KVM_CAP_USER_MEMORY, KVM_CAP_IMMEDIATE_EXIT,
	                     KVM_CAP_DESTROY_MEMORY_REGION_WORKS, KVM_CAP_MP_STATE, 0 };

static int sys_open(const char *path, int flags)
{
	return open(path, flags);
}

static int sys_ioctl(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg);
}

static void *sys_map(int fd, size_t bytes, long offset)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	return p == MAP_FAILED ? NULL : p;
}

struct hull_kvm_sys hull_kvm_sys = { "/dev/kvm", sys_open, sys_ioctl, sys_map };

int hull_kvm_ioctl(int fd, unsigned long request, void *arg)
{
	int r;

	do
		r = hull_kvm_sys.ioctl(fd, request, arg);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

int hull_kvm_vm_ioctl(struct hull_kvm_vm *k, unsigned long request, void *arg)
{
	return hull_kvm_ioctl(k->fd - 1, request, arg);
}

int hull_kvm_vcpu_ioctl(struct hull_kvm_vcpu *v, unsigned long request, void *arg)
{
	return hull_kvm_ioctl(v->fd - 1, request, arg);
}

static int check(int fd, int cap)
{
	return MAX(hull_kvm_ioctl(fd, KVM_CHECK_EXTENSION, (void *)(uintptr_t)cap), 0);
}

int hull_kvm_cap(struct hull_kvm_vm *k, int cap)
{
	return check(k->fd ? k->fd - 1 : k->kvm_fd - 1, cap);
}

int hull_kvm_enable(struct hull_kvm_vm *k, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap c = { .cap = cap, .args = { arg } };

	return hull_kvm_vm_ioctl(k, KVM_ENABLE_CAP, &c);
}

int hull_kvm_refused(struct hull_err *err, const char *what, int error)
{
	int code = error == ENOMEM ? HULL_ENOMEM : error == EBUSY ? HULL_EBUSY : HULL_ENOTSUP;

	hull_fail(err, code, 207, "KVM refuses %s: %s", what, strerror(error));
	hull_err_fix(err, "--accel none runs the guest without KVM if Hull's engine knows it");
	return code;
}

static int cannot_open(struct hull_err *err, int error)
{
	const char *path = hull_kvm_sys.path;

	if (error == ENOENT || error == ENXIO || error == ENODEV) {
		hull_fail(err, HULL_ENOENT, 205, "there is no KVM on this host: %s is %s", path,
		          error == ENOENT ? "absent" : "without a driver");
		hull_err_fix(err, "switch virtualization on in the host's firmware, or do without");
		return HULL_ENOENT;
	}
	if (error == EACCES || error == EPERM) {
		hull_fail(err, HULL_EPERM, 204, "cannot open %s: you are not in group kvm", path);
		hull_err_fix(err, "sudo usermod -aG kvm $USER, then log in again");
		return HULL_EPERM;
	}
	return hull_kvm_refused(err, "to be opened", error);
}

static int too_old(int fd, const int *caps, struct hull_err *err)
{
	for (; *caps; caps++)
		if (!check(fd, *caps)) {
			hull_fail(err, HULL_ENOTSUP, 206,
			          "KVM of this host lacks something that Hull needs (capability "
			          "%d)",
			          *caps);
			hull_err_fix(err, "Linux 5.10 or newer has it");
			return HULL_ENOTSUP;
		}
	return 0;
}

int hull_kvm_open(struct hull_err *err)
{
	int fd, api, r;

	fd = hull_kvm_sys.open(hull_kvm_sys.path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return cannot_open(err, errno);
	api = hull_kvm_ioctl(fd, KVM_GET_API_VERSION, NULL);
	if (api != KVM_API_VERSION) {
		close(fd);
		hull_fail(err, HULL_ENOTSUP, 206,
		          api < 0 ? "%s is no KVM device" : "%s has API version %d, not %d",
		          hull_kvm_sys.path, api, KVM_API_VERSION);
		hull_err_fix(err, "Linux 2.6.22 or newer has version 12");
		return HULL_ENOTSUP;
	}
	r = too_old(fd, needs, err);
	if (!r)
		r = too_old(fd, hull_kvm_arch_needs, err);
	if (r) {
		close(fd);
		return r;
	}
	return fd;
}

static struct hull_kvm_vm *state_of(struct hull_vm *vm)
{
	return hull_vm_accel_state(vm);
}

static void close_fd(int *fd)
{
	if (*fd)
		close(*fd - 1);
	*fd = 0;
}

static void vm_fini(struct hull_vm *vm)
{
	struct hull_kvm_vm *k = state_of(vm);

	if (k->fd)
		hull_kvm_arch_vm_fini(k);
	close_fd(&k->fd);
	close_fd(&k->kvm_fd);
	pthread_mutex_destroy(&k->ring_lock);
}

static int enable_ring(struct hull_kvm_vm *k, struct hull_err *err)
{
	uint32_t entries = hull_vm_config(k->vm)->hw.dirty_ring;
	uint64_t bytes = entries * sizeof(struct kvm_dirty_gfn);
	uint32_t cap = CAP_DIRTY_LOG_RING_ACQ_REL;
	int r;

	if (!entries)
		return 0;
	if (!is_pow2(entries))
		return hull_fail(err, HULL_EINVAL, 5,
		                 "a dirty ring of %u entries: that is no "
		                 "power of two",
		                 entries);
	/* api 8.29: where memory is strongly ordered the older one serves as well */
	if (!hull_kvm_cap(k, (int)cap))
		cap = KVM_CAP_DIRTY_LOG_RING;
	r = hull_kvm_enable(k, cap, bytes);
	if (r < 0)
		return hull_kvm_refused(err, "a dirty ring of this size", -r);
	k->dirty_ring = entries;
	return 0;
}

static int set_up(struct hull_kvm_vm *k, struct hull_err *err)
{
	int r = hull_kvm_ioctl(k->kvm_fd - 1, KVM_CREATE_VM,
	                       (void *)(uintptr_t)hull_kvm_arch_vm_type(k));

	if (r < 0)
		return hull_kvm_refused(err, "a virtual machine", -r);
	k->fd = r + 1;
	r = hull_kvm_ioctl(k->kvm_fd - 1, KVM_GET_VCPU_MMAP_SIZE, NULL);
	if (r < (int)sizeof(struct kvm_run))
		return hull_kvm_refused(err, "to say how large a vCPU is", r < 0 ? -r : EINVAL);
	k->run_bytes = (size_t)r;
	k->coalesced_page = (unsigned)hull_kvm_cap(k, KVM_CAP_COALESCED_MMIO);
	k->host_page = (size_t)sysconf(_SC_PAGESIZE);
	if ((k->coalesced_page + 1) * k->host_page > k->run_bytes)
		k->coalesced_page = 0;
	k->read_only_slots = hull_kvm_cap(k, KVM_CAP_READONLY_MEM);
	r = hull_kvm_arch_vm_init(k, err);
	return r ? r : enable_ring(k, err);
}

static int vm_init(struct hull_vm *vm, struct hull_err *err)
{
	struct hull_kvm_vm *k = state_of(vm);
	const struct hull_vm_config *c = hull_vm_config(vm);
	int r;

	if (!(hull_kvm_arch_isas >> c->isa & 1))
		return hull_fail(err, HULL_ENOTSUP, 201,
		                 "KVM runs guests of the host's own architecture only");
	if (c->deterministic)
		return hull_fail(err, HULL_ENOTSUP, 201,
		                 "KVM cannot count instructions: no repeatable runs");
	r = hull_kvm_open(err);
	if (r < 0)
		return r;
	k->vm = vm;
	k->kvm_fd = r + 1;
	pthread_mutex_init(&k->ring_lock, NULL);
	r = set_up(k, err);
	if (r)
		vm_fini(vm);
	return r;
}

static struct hull_kvm_vcpu *vcpu_of(struct hull_vcpu *vcpu)
{
	return hull_vcpu_accel_state(vcpu);
}

static void vcpu_fini(struct hull_vcpu *vcpu)
{
	struct hull_kvm_vcpu *v = vcpu_of(vcpu);

	hull_kvm_arch_vcpu_fini(v);
	if (v->ring)
		munmap(v->ring, v->vm->dirty_ring * sizeof(*v->ring));
	if (v->run)
		munmap(v->run, v->vm->run_bytes);
	v->ring = NULL;
	v->run = NULL;
	close_fd(&v->fd);
}

static int map_vcpu(struct hull_kvm_vcpu *v, struct hull_err *err)
{
	struct hull_kvm_vm *k = v->vm;

	v->run = hull_kvm_sys.map(v->fd - 1, k->run_bytes, 0);
	if (!v->run)
		return hull_kvm_refused(err, "to map a vCPU", errno);
	if (!k->dirty_ring)
		return 0;
	v->ring = hull_kvm_sys.map(v->fd - 1, k->dirty_ring * sizeof(*v->ring),
	                           KVM_DIRTY_LOG_PAGE_OFFSET * (long)k->host_page);
	return v->ring ? 0 : hull_kvm_refused(err, "to map a dirty ring", errno);
}

static int vcpu_init(struct hull_vcpu *vcpu, struct hull_err *err)
{
	struct hull_kvm_vcpu *v = vcpu_of(vcpu);
	struct hull_kvm_vm *k = state_of(vcpu->vm);
	int r = vcpu->id ? 0 : hull_kvm_arch_before_vcpus(k, err);

	if (r)
		return r;
	v->vcpu = vcpu;
	v->vm = k;
	r = hull_kvm_vm_ioctl(k, KVM_CREATE_VCPU, (void *)(uintptr_t)hull_kvm_arch_vcpu_id(vcpu));
	if (r < 0) {
		hull_kvm_refused(err, "a vCPU", -r);
		return r == -EEXIST || r == -EINVAL ? HULL_EINVAL : HULL_ENOTSUP;
	}
	v->fd = r + 1;
	r = map_vcpu(v, err);
	if (!r)
		r = hull_kvm_arch_vcpu_init(v, err);
	if (r)
		vcpu_fini(vcpu);
	return r;
}

static void vcpu_reset(struct hull_vcpu *vcpu)
{
	struct hull_kvm_vcpu *v = vcpu_of(vcpu);

	(void)hull_kvm_settle(v, true);
	v->halted = false;
	v->refused = 0;
	hull_kvm_arch_vcpu_reset(v);
}

static int reg_get(struct hull_vcpu *vcpu, uint32_t reg, uint64_t *ret)
{
	struct hull_kvm_vcpu *v = vcpu_of(vcpu);
	int r = hull_kvm_settle(v, false);

	return r ? r : hull_kvm_arch_reg_get(v, reg, ret);
}

static int reg_set(struct hull_vcpu *vcpu, uint32_t reg, uint64_t value)
{
	struct hull_kvm_vcpu *v = vcpu_of(vcpu);
	int r = hull_kvm_settle(v, false);

	return r ? r : hull_kvm_arch_reg_set(v, reg, value);
}

static int state_save(struct hull_vcpu *vcpu, void *buf, size_t *len)
{
	struct hull_kvm_vcpu *v = vcpu_of(vcpu);
	int r = hull_kvm_settle(v, false);

	return r ? r : hull_kvm_arch_save(v, buf, len);
}

static int state_load(struct hull_vcpu *vcpu, const void *buf, size_t len)
{
	struct hull_kvm_vcpu *v = vcpu_of(vcpu);
	int r = hull_kvm_settle(v, true);

	return r ? r : hull_kvm_arch_load(v, buf, len);
}

static void irq_update(struct hull_vcpu *vcpu)
{
	hull_kvm_arch_irq_update(vcpu_of(vcpu));
}

static enum hull_irqchip irqchip(struct hull_vm *vm)
{
	return state_of(vm)->irqchip;
}

static uint32_t below(struct hull_vm *vm)
{
	return hull_kvm_arch_below(state_of(vm));
}

static int irq_line(struct hull_vm *vm, uint32_t line, bool level)
{
	return hull_kvm_arch_irq_line(state_of(vm), line, level);
}

static int msi(struct hull_vm *vm, uint32_t requester, uint64_t addr, uint32_t data)
{
	struct hull_kvm_vm *k = state_of(vm);
	struct kvm_msi m = { .address_lo = (uint32_t)addr,
		             .address_hi = (uint32_t)(addr >> 32),
		             .data = data };

	/* An ITS wants to know the sender; others refuse to be told. */
	if (hull_vm_below(vm) & HULL_BELOW_ITS) {
		m.flags = KVM_MSI_VALID_DEVID;
		m.devid = requester;
	}
	if (k->irqchip == HULL_IRQCHIP_USER)
		return HULL_ENOTSUP;
	return hull_kvm_vm_ioctl(k, KVM_SIGNAL_MSI, &m) < 0 ? HULL_EINVAL : 0;
}

static int route(struct hull_vm *vm, uint32_t line, uint64_t addr, uint32_t data)
{
	return hull_kvm_arch_route(state_of(vm), line, addr, data);
}

static int host_error(int r)
{
	switch (r) {
	case -ENOENT: return HULL_ENOENT;
	case -EEXIST:
	case -EBUSY: return HULL_EEXIST;
	case -ENOSPC:
	case -ENOMEM: return HULL_ENOMEM;
	case -ENOTTY:
	case -ENOSYS: return HULL_ENOTSUP;
	default: return r < 0 ? HULL_EINVAL : 0;
	}
}

static int irq_event(struct hull_vm *vm, uint32_t line, int fd, bool on)
{
	struct hull_kvm_vm *k = state_of(vm);
	int gsi = hull_kvm_arch_gsi(k, line);
	struct kvm_irqfd f = { .fd = (uint32_t)fd,
		               .gsi = (uint32_t)gsi,
		               .flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN };

	return gsi < 0 ? gsi : host_error(hull_kvm_vm_ioctl(k, KVM_IRQFD, &f));
}

static int doorbell(struct hull_vm *vm, const struct hull_doorbell *d, bool on)
{
	struct kvm_ioeventfd e = {
		.addr = d->addr, .len = d->size, .fd = d->fd, .datamatch = d->value
	};

	if (d->space > HULL_SPACE_PIO || d->size > 8 || (d->size && !is_pow2(d->size)) ||
	    (d->has_value && !d->size))
		return HULL_EINVAL;
	if (d->space == HULL_SPACE_PIO)
		e.flags |= KVM_IOEVENTFD_FLAG_PIO;
	if (d->has_value)
		e.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
	if (!on)
		e.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
	return host_error(hull_kvm_vm_ioctl(state_of(vm), KVM_IOEVENTFD, &e));
}

static int lazy_writes(struct hull_vm *vm, enum hull_space space, uint64_t addr, uint64_t size,
                       bool on)
{
	struct hull_kvm_vm *k = state_of(vm);
	struct kvm_coalesced_mmio_zone z = { .addr = addr,
		                             .size = (uint32_t)size,
		                             .pio = space == HULL_SPACE_PIO };

	if (space > HULL_SPACE_PIO || size > UINT32_MAX)
		return HULL_EINVAL;
	if (!k->coalesced_page || (z.pio && !hull_kvm_cap(k, KVM_CAP_COALESCED_PIO)))
		return HULL_ENOTSUP;
	return host_error(hull_kvm_vm_ioctl(
		k, on ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO, &z));
}

static void set_clock(struct hull_vm *vm, bool running)
{
	hull_kvm_arch_clock(state_of(vm), running);
}

static int debug(struct hull_vcpu *vcpu, const struct hull_debug *d)
{
	struct hull_kvm_vcpu *v = vcpu_of(vcpu);
	struct kvm_guest_debug g = { 0 };
	int r = hull_kvm_cap(v->vm, CAP_SET_GUEST_DEBUG) ? 0 : HULL_ENOTSUP;

	if (d->step || d->soft || d->n)
		g.control = KVM_GUESTDBG_ENABLE;
	if (d->step)
		g.control |= KVM_GUESTDBG_SINGLESTEP;
	if (d->soft)
		g.control |= GUESTDBG_USE_SW_BP;
	if (!r)
		r = hull_kvm_settle(v, false);
	if (!r)
		r = hull_kvm_arch_debug(v, d, &g);
	return r ? r : host_error(hull_kvm_vcpu_ioctl(v, KVM_SET_GUEST_DEBUG, &g));
}

static const char *failure(struct hull_vm *vm)
{
	return state_of(vm)->failure;
}

HULL_ACCEL(kvm) = {
	.name = "kvm",
	.summary = "Linux KVM: the host's own processor",
	.isas = HULL_KVM_ISAS,
	.vm_size = sizeof(struct hull_kvm_vm),
	.vcpu_size = sizeof(struct hull_kvm_vcpu),
	.probe = hull_kvm_probe,
	.vm_init = vm_init,
	.vm_fini = vm_fini,
	.map = hull_kvm_map,
	.unmap = hull_kvm_unmap,
	.protect = hull_kvm_protect,
	.vcpu_init = vcpu_init,
	.vcpu_fini = vcpu_fini,
	.vcpu_reset = vcpu_reset,
	.vcpu_run = hull_kvm_run,
	.vcpu_complete = hull_kvm_complete,
	.vcpu_kick = hull_kvm_kick,
	.reg_get = reg_get,
	.reg_set = reg_set,
	.irq_update = irq_update,
	.irqchip = irqchip,
	.below = below,
	.irq_line = irq_line,
	.msi = msi,
	.route = route,
	.irq_event = irq_event,
	.doorbell = doorbell,
	.lazy_writes = lazy_writes,
	.dirty_log = hull_kvm_dirty_log,
	.dirty_sync = hull_kvm_dirty_sync,
	.clock = set_clock,
	.debug = debug,
	.failure = failure,
	.state_save = state_save,
	.state_load = state_load,
};
