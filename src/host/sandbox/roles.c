/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The allow lists; each line says what the call is for unless its name does. */
#include "host/sandbox/roles.h"

#include <sys/syscall.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/prctl.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>

#include "base/bits.h"

#define CALL(name)     { .call = __NR_##name }
#define FAILS(name, e) { .call = __NR_##name, .error = e }
#define IF(name, a)                                                        \
	{                                                                  \
		.call = __NR_##name, .nconditions = 1, .conditions = { a } \
	}
#define IF2(name, a, b)                                                       \
	{                                                                     \
		.call = __NR_##name, .nconditions = 2, .conditions = { a, b } \
	}
#define IS(arg, value) { arg, UINT32_MAX, value }
#define NOT(arg, bits) { arg, bits, 0 }
#define HAS(arg, bits) { arg, bits, bits }
#define OWN(arg)       { arg, UINT32_MAX, 0, true }
#define KICK           IF(tgkill, OWN(0)) /* a thread of this process */
#define MALLOC         CALL(brk), CALL(munmap), IF2(mmap, NOT(2, PROT_EXEC), HAS(3, MAP_ANONYMOUS))

/* What pthread_create() asks for, so that nobody makes a process. */
#define THREAD                                                                              \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | \
	 CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

/* Newer architectures have the general forms only. */
#ifdef __NR_poll
#define POLL    CALL(poll)
#define EPOLL   CALL(epoll_wait)
#define UNLINK  CALL(unlink)
#define GETPGRP CALL(getpgrp)
#else
#define POLL    CALL(ppoll)
#define EPOLL   CALL(epoll_pwait)
#define UNLINK  CALL(unlinkat)
#define GETPGRP CALL(getpgid)
#endif

/* Locks, the end of the thread, and the handlers of signals, which give back the terminal. */
static const struct hull_jail_rule every[] = {
	CALL(futex),
	CALL(madvise),
	CALL(exit),
	CALL(rt_sigreturn),
	FAILS(restart_syscall, EINTR), /* after the process was stopped: all callers repeat */
	CALL(rt_sigprocmask),
	IF(ioctl, IS(1, TCSETS)),
	IF(ioctl, IS(1, TIOCGPGRP)),
	CALL(write), /* and to tell the main thread of it */
};

static const struct hull_jail_rule vcpu[] = {
	MALLOC,
	KICK,
	CALL(sendto), /* a serial port on a socket */
	POLL,
	IF(ioctl, IS(1, TIOCGWINSZ)),
	CALL(preadv), /* the kernel again, after a reset */
	CALL(getrandom),
};

/* Requests that need not wait are done by the vCPU that makes them (host/block/disk.c). */
static const struct hull_jail_rule vcpu_disk[] = {
	CALL(io_uring_enter), CALL(io_submit),  CALL(preadv2),
	CALL(pwritev),        CALL(newfstatat), CALL(getrusage),
};

static const struct hull_jail_rule vcpu_vsock[] = {
	IF(socket, IS(0, AF_UNIX)),
	CALL(connect),
	CALL(recvfrom),
	CALL(shutdown),
	CALL(close),
	CALL(epoll_ctl),
};

/* Whoever completes a request of the guest raises an interrupt. */
static const struct hull_jail_rule every_kvm[] = {
	IF(ioctl, IS(1, KVM_IRQ_LINE)),
	IF(ioctl, IS(1, KVM_SIGNAL_MSI)),
};

static const struct hull_jail_rule vcpu_kvm[] = {
	IF(ioctl, IS(1, KVM_RUN)),
	IF(ioctl, IS(1, KVM_GET_REGS)),
	IF(ioctl, IS(1, KVM_SET_REGS)),
	IF(ioctl, IS(1, KVM_GET_MP_STATE)),
	IF(ioctl, IS(1, KVM_SET_MP_STATE)),
	IF(ioctl, IS(1, KVM_SET_GUEST_DEBUG)),
	IF(ioctl, IS(1, KVM_SET_USER_MEMORY_REGION)),
	IF(ioctl, IS(1, KVM_GET_DIRTY_LOG)),
	IF(ioctl, IS(1, KVM_RESET_DIRTY_RINGS)),
	IF(ioctl, IS(1, KVM_IRQFD)),
	IF(ioctl, IS(1, KVM_IOEVENTFD)),
	IF(ioctl, IS(1, KVM_SET_GSI_ROUTING)),
	IF(ioctl, IS(1, KVM_GET_CLOCK)),
	IF(ioctl, IS(1, KVM_SET_CLOCK)),
#ifdef __KVM_HAVE_VCPU_EVENTS
	IF(ioctl, IS(1, KVM_GET_VCPU_EVENTS)),
	IF(ioctl, IS(1, KVM_SET_VCPU_EVENTS)),
#endif
	IF(ioctl, IS(1, KVM_GET_ONE_REG)),
	IF(ioctl, IS(1, KVM_SET_ONE_REG)),
	IF(ioctl, IS(1, KVM_INTERRUPT)),
	IF(ioctl, IS(1, KVM_SET_DEVICE_ATTR)),
#ifdef __KVM_HAVE_XSAVE /* x86 */
	IF(ioctl, IS(1, KVM_NMI)),
	IF(ioctl, IS(1, KVM_GET_SREGS)),
	IF(ioctl, IS(1, KVM_SET_SREGS)),
	IF(ioctl, IS(1, KVM_GET_FPU)),
	IF(ioctl, IS(1, KVM_SET_FPU)),
	IF(ioctl, IS(1, KVM_GET_MSRS)),
	IF(ioctl, IS(1, KVM_SET_MSRS)),
	IF(ioctl, IS(1, KVM_GET_LAPIC)),
	IF(ioctl, IS(1, KVM_SET_LAPIC)),
	IF(ioctl, IS(1, KVM_GET_XSAVE)),
	IF(ioctl, IS(1, KVM_SET_XSAVE)),
	IF(ioctl, IS(1, KVM_GET_XCRS)),
	IF(ioctl, IS(1, KVM_SET_XCRS)),
	IF(ioctl, IS(1, KVM_GET_DEBUGREGS)),
	IF(ioctl, IS(1, KVM_SET_DEBUGREGS)),
	IF(ioctl, IS(1, KVM_SET_IRQCHIP)),
	IF(ioctl, IS(1, KVM_GET_IRQCHIP)),
	IF(ioctl, IS(1, KVM_SET_PIT2)),
#endif
};

static const struct hull_jail_rule timers[] = {
	KICK,
	MALLOC,
};

static const struct hull_jail_rule compile[] = {
	MALLOC,
};

static const struct hull_jail_rule disk[] = {
	MALLOC,
	CALL(io_uring_enter), /* what waited in the queue */
	CALL(io_submit),
	CALL(preadv2),
	CALL(preadv),
	CALL(pwritev),
	CALL(pread64),
	CALL(pwrite64),
	CALL(fdatasync),
	CALL(fallocate),
	CALL(ftruncate),
	CALL(newfstatat),
	/* Another thread of the same kind. */
	CALL(gettid),
	IF(mprotect, NOT(2, PROT_EXEC)),
	IF(clone, IS(0, THREAD)),
	FAILS(clone3, ENOSYS),
	CALL(set_robust_list),
	CALL(rseq),
	IF(prctl, IS(0, PR_SET_NAME)),
	IF(prctl, IS(0, PR_GET_SECCOMP)),
	KICK,
};

static const struct hull_jail_rule ring[] = {
	KICK, CALL(io_uring_enter), CALL(io_getevents), CALL(io_submit), MALLOC,
};

static const struct hull_jail_rule limit[] = {
	KICK,
	CALL(io_uring_enter),
	CALL(io_submit),
	MALLOC,
};

static const struct hull_jail_rule nbd[] = {
	MALLOC,
	CALL(recvfrom),
	CALL(shutdown),
	POLL,
};

static const struct hull_jail_rule share[] = {
	KICK,
	MALLOC,
	CALL(openat2),
	CALL(openat),
	CALL(close),
	CALL(statx),
	CALL(newfstatat),
	CALL(readlinkat),
	CALL(preadv2),
	CALL(preadv),
	CALL(pwritev),
	CALL(getdents64),
	CALL(lseek),
	CALL(fchmodat),
	CALL(fchownat),
	CALL(utimensat),
	CALL(ftruncate),
	CALL(mkdirat),
	CALL(mknodat),
	CALL(symlinkat),
	CALL(linkat),
	CALL(unlinkat),
#ifdef __NR_renameat
	CALL(renameat),
#endif
	CALL(renameat2),
	CALL(fstatfs),
	CALL(fsync),
	CALL(fdatasync),
	CALL(fcntl),
	CALL(getxattr),
	CALL(listxattr),
	CALL(setxattr),
	CALL(removexattr),
	CALL(unshare),
	CALL(umask),
};

static const struct hull_jail_rule serial[] = {
	POLL, CALL(read), CALL(close), CALL(accept4), KICK, IF(ioctl, IS(1, TIOCGWINSZ)), MALLOC,
};

static const struct hull_jail_rule vsock[] = {
	EPOLL,        CALL(epoll_ctl), CALL(read), CALL(close), CALL(accept4), CALL(recvfrom),
	CALL(sendto), CALL(shutdown),  POLL,       KICK,        MALLOC,
};

static const struct hull_jail_rule net[] = {
	MALLOC,
	POLL,
	CALL(read),
	CALL(close),
	IF2(socket, IS(0, AF_INET), NOT(1, 0)),
	IF2(socket, IS(0, AF_INET6), NOT(1, 0)),
	IF(socket, IS(0, AF_UNIX)),
	CALL(connect),
	CALL(bind),
	CALL(listen),
	CALL(accept),
	CALL(recvfrom),
	CALL(recvmsg),
	CALL(sendto),
	CALL(shutdown),
	CALL(setsockopt),
	CALL(getsockopt),
	CALL(getsockname),
	CALL(getpeername),
	CALL(fcntl),
	IF(ioctl, IS(1, FIONREAD)),
	CALL(openat), /* /etc/resolv.conf */
	CALL(newfstatat),
	KICK,
};

static const struct hull_jail_rule tap[] = {
	POLL, CALL(read), CALL(readv), CALL(writev), KICK, IF(ioctl, IS(1, TUNSETOFFLOAD)), MALLOC,
};

static const struct hull_jail_rule lan[] = {
	MALLOC,
	POLL,
	CALL(read),
	CALL(close),
	IF(socket, IS(0, AF_UNIX)),
	CALL(connect),
	CALL(bind),
	CALL(listen),
	CALL(accept4),
	CALL(recvfrom),
	CALL(sendto),
	CALL(sendmsg),
	CALL(shutdown),
	CALL(openat),
	CALL(flock),
	CALL(fcntl),
	CALL(newfstatat),
	UNLINK,
	KICK,
	CALL(wait4),
};

static const struct hull_jail_rule impair[] = {
	MALLOC,
	KICK,
	CALL(writev),
};

static const struct hull_jail_rule capture[] = {
	MALLOC,
	CALL(writev),
	CALL(ftruncate),
};

static const struct hull_jail_rule control[] = {
	MALLOC,
	IF(ioctl, IS(1, TCGETS)), /* isatty() */
	GETPGRP,
	CALL(rt_sigaction),
	POLL,
	CALL(read),
	CALL(close),
	KICK,
	CALL(exit_group),
	CALL(openat),
	CALL(lseek),
	CALL(newfstatat),
	UNLINK,
#ifdef __NR_renameat
	CALL(renameat),
#endif
	CALL(flock),
	CALL(fsync),
	CALL(fdatasync),
	CALL(ftruncate),
	CALL(pread64),
	CALL(pwrite64),
	CALL(preadv2),
	CALL(pwritev),
	CALL(fallocate),
	CALL(io_uring_enter),
	CALL(io_submit),
	CALL(io_destroy),
	CALL(shutdown),
	CALL(kill),
	CALL(wait4),
	CALL(clock_nanosleep),
	CALL(fcntl),
	CALL(getrusage),
	CALL(sendto),
	CALL(fstatfs),
	CALL(statfs),
	CALL(geteuid),
	CALL(sysinfo),    /* qsort() */
	CALL(getdents64), /* kept code of other guests */
};

/* What the sanitizers' run times do in any thread: builds for tests only. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

static const struct hull_jail_rule sanitizer[] = {
#ifdef SANITIZED
	IF(mmap, NOT(2, PROT_EXEC)),
	IF(mprotect, NOT(2, PROT_EXEC)),
	IF(clone, HAS(0, CLONE_VM)),
	CALL(sched_yield),
	CALL(sigaltstack),
	CALL(mremap),
	CALL(clock_gettime),
	CALL(gettid),
	CALL(getpid),
	CALL(rt_sigaction),
	CALL(set_robust_list),
	CALL(rseq),
	CALL(openat),
	CALL(close),
	CALL(read),
	CALL(newfstatat),
	CALL(getdents64),
	CALL(tgkill),
#endif
	FAILS(clone3, ENOSYS),
};

#ifdef SANITIZED
const bool hull_jail_sanitized = true;
#else
const bool hull_jail_sanitized = false;
#endif

#define RULES(list) { list, ARRAY_LEN(list) }
#define CAP(n)      (UINT64_C(1) << (n))

const struct hull_jail_role hull_jail_roles[] = {
	{ .name = "control", .rules = RULES(control), .kvm = RULES(vcpu_kvm), .paths = true },
	{ .name = "vcpu",
	  .thread = "hull-vcpu",
	  .rules = RULES(vcpu),
	  .disk = RULES(vcpu_disk),
	  .vsock = RULES(vcpu_vsock),
	  .kvm = RULES(vcpu_kvm) },
	{ .name = "timer", .thread = "hull-timers", .rules = RULES(timers) },
	{ .name = "compile", .thread = "hull-compile", .rules = RULES(compile) },
	{ .name = "disk", .thread = "hull-disk", .rules = RULES(disk) },
	{ .name = "ring", .thread = "hull-ring", .rules = RULES(ring) },
	{ .name = "limit", .thread = "hull-limit", .rules = RULES(limit) },
	{ .name = "nbd", .thread = "hull-nbd", .rules = RULES(nbd) },
	{ .name = "share",
	  .thread = "hull-share",
	  .rules = RULES(share),
	  .paths = true,
	  .keep = CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_DAC_READ_SEARCH) |
	          CAP(CAP_FOWNER) | CAP(CAP_FSETID) },
	{ .name = "serial", .thread = "hull-serial", .rules = RULES(serial) },
	{ .name = "vsock", .thread = "hull-vsock", .rules = RULES(vsock) },
	{ .name = "net", .thread = "hull-net", .rules = RULES(net), .paths = true },
	{ .name = "tap", .thread = "hull-tap", .rules = RULES(tap) },
	{ .name = "switch", .thread = "hull-switch", .rules = RULES(lan), .paths = true },
	{ .name = "impair", .thread = "hull-impair", .rules = RULES(impair) },
	{ .name = "capture", .thread = "hull-capture", .rules = RULES(capture) },
};

const unsigned hull_jail_role_count = ARRAY_LEN(hull_jail_roles);
const struct hull_jail_role *const hull_jail_control = &hull_jail_roles[0];

static bool is_called(const char *name, const char *thread)
{
	size_t length = strlen(thread);

	return !strncmp(name, thread, length) &&
	       strspn(name + length, "0123456789") == strlen(name + length);
}

const struct hull_jail_role *hull_jail_role_of(const char *name)
{
	static const struct hull_jail_role nobody = { .name = "unknown" };

	for (unsigned i = 0; i < hull_jail_role_count; i++)
		if (hull_jail_roles[i].thread && is_called(name, hull_jail_roles[i].thread))
			return &hull_jail_roles[i];
	return &nobody;
}

unsigned hull_jail_role_parts(const struct hull_jail_role *r, unsigned needs,
                              struct hull_jail_rules parts[HULL_JAIL_PARTS])
{
	unsigned n = 0;

	parts[n++] = (struct hull_jail_rules)RULES(every);
	parts[n++] = r->rules;
	if (needs & HULL_JAIL_DISK)
		parts[n++] = r->disk;
	if (needs & HULL_JAIL_VSOCK)
		parts[n++] = r->vsock;
	if (needs & HULL_JAIL_KVM) {
		parts[n++] = (struct hull_jail_rules)RULES(every_kvm);
		parts[n++] = r->kvm;
	}
	parts[n++] = (struct hull_jail_rules)RULES(sanitizer);
	return n;
}

unsigned hull_jail_role_calls(const struct hull_jail_role *r, unsigned needs)
{
	struct hull_jail_rules parts[HULL_JAIL_PARTS];
	unsigned n = hull_jail_role_parts(r, needs, parts);

	return hull_jail_count(parts, n);
}
