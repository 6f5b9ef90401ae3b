/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The allow lists; each line says what the call is for unless its name does. */
#include "host/sandbox/roles.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/prctl.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>

#include "base/bits.h"

#define CALL(name, ...)     { .call = __NR_##name, __VA_ARGS__ }
#define FAILS(name, e, ...) { .call = __NR_##name, .error = e, __VA_ARGS__ }
#define IF(...)             .conditions = { __VA_ARGS__ }
#define FOR(what)           .needs = HULL_JAIL_##what
#define IS(arg, value)      { arg, UINT32_MAX, value, false }
#define NOT(arg, bits)      { arg, bits, 0, false }
#define HAS(arg, bits)      { arg, bits, bits, false }
#define OWN(arg)            { arg, UINT32_MAX, 0, true }
#define STREAM              NOT(1, ~(SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK))
#define DATAGRAM            NOT(1, ~(SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK))
#define IOCTL(number, ...)  CALL(ioctl, IF(IS(1, number)), __VA_ARGS__)

/* Memory, as the C library gets it; never to be executed. */
#define MALLOC                                                      \
	CALL(munmap), FAILS(mremap, ENOMEM), /* realloc() copies */ \
		CALL(mmap, IF(NOT(2, PROT_EXEC), HAS(3, MAP_ANONYMOUS)))

/* What pthread_create() asks for, so that nobody makes a process. */
#define THREAD                                                                              \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | \
	 CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)
#define THREADS                                                                              \
	CALL(gettid), CALL(mprotect, IF(NOT(2, PROT_EXEC))), CALL(clone, IF(IS(0, THREAD))), \
		FAILS(clone3, ENOSYS), CALL(set_robust_list), CALL(rseq),                    \
		CALL(prctl, IF(IS(0, PR_SET_NAME))), CALL(prctl, IF(IS(0, PR_GET_SECCOMP)))

/* By stdio and for names; newer C libraries have the first for descriptors. */
#ifdef __NR_fstat
#define FSTAT CALL(fstat), CALL(newfstatat)
#else
#define FSTAT CALL(newfstatat)
#endif

/* Bytes of files that are open. */
#define IMAGES                                                                           \
	CALL(preadv2), CALL(pwritev), CALL(fdatasync), CALL(fallocate), CALL(ftruncate), \
		CALL(statx, IF(HAS(2, AT_EMPTY_PATH)))

/* Newer architectures have the general forms only. */
#ifdef __NR_poll
#define POLL_FOR(what) CALL(poll, FOR(what))
#define POLL           CALL(poll)
#define EPOLL          CALL(epoll_wait)
#else
#define POLL_FOR(what) CALL(ppoll, FOR(what))
#define POLL           CALL(ppoll)
#define EPOLL          CALL(epoll_pwait)
#endif

/* Memory, locks, signals, interrupts of the guest. */
static const struct hull_jail_rule every[] = {
	MALLOC,
	CALL(futex),
	CALL(rt_sigreturn),
	CALL(clock_gettime), /* where the kernel's page for it (vDSO) has no clock */
	CALL(write),         /* to wake another thread; the main thread, if a call is refused */
	FAILS(restart_syscall, EINTR), /* after the process was stopped: all callers repeat */
	IOCTL(TCSETS, FOR(TERMINAL)),  /* a crash gives the terminal back */
	IOCTL(TIOCGPGRP, FOR(TERMINAL)),
	IOCTL(KVM_IRQ_LINE, FOR(KVM)),
	IOCTL(KVM_SIGNAL_MSI, FOR(KVM)),
	CALL(tgkill, IF(OWN(0)), FOR(KVM)), /* out of KVM_RUN */
};

/* The end of a thread. */
static const struct hull_jail_rule ending[] = {
	CALL(rt_sigprocmask), CALL(madvise),    /* its stack */
	CALL(exit), FAILS(brk, HULL_JAIL_ZERO), /* malloc() takes mmap() then */
};

static const struct hull_jail_rule vcpu[] = {
	CALL(sendto, IF(IS(5, 0))), /* sockets that are connected */
	POLL,
	CALL(preadv2), /* the kernel again, after a reset; and vsock */
	CALL(getrandom),
	IOCTL(TIOCGWINSZ),
	/* Requests that need not wait are done by the vCPU that makes them (host/block/disk.c). */
	CALL(io_uring_enter, FOR(DISK)),
	CALL(pwritev, FOR(DISK)),
	CALL(statx, IF(HAS(2, AT_EMPTY_PATH)), FOR(DISK)),
	CALL(io_submit, FOR(DISK)),
	CALL(getrusage, FOR(DISK)),
};

static const struct hull_jail_rule kvm[] = {
	CALL(ioctl, IF(IS(1, KVM_RUN)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_GET_REGS)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_SET_REGS)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_GET_MP_STATE)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_SET_MP_STATE)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_SET_GUEST_DEBUG)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_SET_USER_MEMORY_REGION)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_GET_DIRTY_LOG)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_RESET_DIRTY_RINGS)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_IRQFD)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_IOEVENTFD)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_SET_GSI_ROUTING)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_GET_CLOCK)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_SET_CLOCK)), FOR(KVM)),
#ifdef __KVM_HAVE_VCPU_EVENTS
	CALL(ioctl, IF(IS(1, KVM_GET_VCPU_EVENTS)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_SET_VCPU_EVENTS)), FOR(KVM)),
#endif
	CALL(ioctl, IF(IS(1, KVM_GET_ONE_REG)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_SET_ONE_REG)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_INTERRUPT)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_SET_DEVICE_ATTR)), FOR(KVM)),
#ifdef __KVM_HAVE_XSAVE /* x86 */
	CALL(ioctl, IF(IS(1, KVM_NMI)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_GET_SREGS)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_SET_SREGS)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_GET_FPU)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_SET_FPU)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_GET_MSRS)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_SET_MSRS)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_GET_LAPIC)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_SET_LAPIC)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_GET_XSAVE)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_SET_XSAVE)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_GET_XCRS)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_SET_XCRS)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_GET_DEBUGREGS)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_SET_DEBUGREGS)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_SET_IRQCHIP)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_GET_IRQCHIP)), FOR(KVM)),
	CALL(ioctl, IF(IS(1, KVM_SET_PIT2)), FOR(KVM)),
#endif
};

static const struct hull_jail_rule ring[] = {
	CALL(io_uring_enter),
	CALL(io_submit),
	CALL(io_getevents),
};
static const struct hull_jail_rule limit[] = { CALL(io_uring_enter), CALL(io_submit) };

static const struct hull_jail_rule disk[] = {
	CALL(io_uring_enter), /* what waited in the queue */
	CALL(io_submit),
	IMAGES,
	THREADS,
	/* The connection to a server, made again when it broke, and its thread. */
	CALL(socket, IF(IS(0, AF_UNIX)), FOR(REMOTE)),
	CALL(socket, IF(IS(0, AF_INET), STREAM), FOR(REMOTE)),
	CALL(socket, IF(IS(0, AF_INET6), STREAM), FOR(REMOTE)),
	CALL(connect, FOR(REMOTE)),
	CALL(fcntl, IF(IS(1, F_SETFL)), FOR(REMOTE)),
	CALL(setsockopt, IF(IS(1, IPPROTO_TCP)), FOR(REMOTE)),
	CALL(getsockopt, IF(IS(1, SOL_SOCKET)), FOR(REMOTE)),
	CALL(sendmsg, FOR(REMOTE)),
	CALL(recvmsg, FOR(REMOTE)),
	CALL(shutdown, FOR(REMOTE)),
	CALL(close, FOR(REMOTE)),
	POLL_FOR(REMOTE),
};

static const struct hull_jail_rule nbd[] = { CALL(recvmsg), CALL(shutdown), POLL };

/* A file server, one call for each thing that a guest can ask for (docs/security.md). */
static const struct hull_jail_rule share[] = {
	CALL(openat2),
	CALL(close),
	CALL(statx),
	CALL(readlinkat),
	CALL(preadv2),
	CALL(getdents64),
	CALL(lseek),
	CALL(fstatfs),
	CALL(getxattr),
	CALL(listxattr),
	CALL(fcntl, IF(IS(1, F_OFD_SETLK))),
	CALL(fcntl, IF(IS(1, F_OFD_GETLK))),
	FAILS(unshare, EPERM), /* it was done when the list was not there yet: `modes` */
	CALL(pwritev, FOR(CHANGE)),
	CALL(ftruncate, FOR(CHANGE)),
	CALL(fsync, FOR(CHANGE)),
	CALL(fdatasync, FOR(CHANGE)),
	CALL(fchmodat, FOR(CHANGE)),
	CALL(fchownat, FOR(CHANGE)),
	CALL(utimensat, FOR(CHANGE)),
	CALL(mkdirat, FOR(CHANGE)),
	CALL(mknodat, FOR(CHANGE)),
	CALL(symlinkat, FOR(CHANGE)),
	CALL(linkat, FOR(CHANGE)),
	CALL(unlinkat, FOR(CHANGE)),
	CALL(renameat2, FOR(CHANGE)),
	CALL(setxattr, FOR(CHANGE)),
	CALL(removexattr, FOR(CHANGE)),
};

static const struct hull_jail_rule serial[] = {
	POLL, CALL(read), CALL(close), CALL(accept4), IOCTL(TIOCGWINSZ),
};

static const struct hull_jail_rule vsock[] = {
	EPOLL,          CALL(epoll_ctl), CALL(read),     CALL(close), CALL(accept4),
	CALL(recvfrom), CALL(preadv2),   CALL(shutdown), POLL,        CALL(sendto, IF(IS(5, 0))),
};

/* Connects for vCPUs, and closes: a thread of its own, so that they cannot. */
static const struct hull_jail_rule dial[] = {
	CALL(socket, IF(IS(0, AF_UNIX))), CALL(connect),  CALL(epoll_ctl), CALL(close),
	CALL(sendto, IF(IS(5, 0))),       CALL(shutdown),
};

/* What libslirp does (docs/security.md). */
static const struct hull_jail_rule net[] = {
	POLL,
	CALL(read),
	CALL(close),
	CALL(socket, IF(IS(0, AF_INET), STREAM)),
	CALL(socket, IF(IS(0, AF_INET), DATAGRAM)),
	CALL(socket, IF(IS(0, AF_INET6), STREAM)),
	CALL(socket, IF(IS(0, AF_INET6), DATAGRAM)),
	CALL(connect),
	CALL(accept),
	CALL(recvfrom),
	CALL(recvmsg),
	CALL(sendto),
	CALL(shutdown),
	CALL(setsockopt),
	CALL(getsockopt),
	CALL(getpeername),
	CALL(fcntl, IF(IS(1, F_GETFL))),
	CALL(fcntl, IF(IS(1, F_SETFL))),
	CALL(fcntl, IF(IS(1, F_GETFD))),
	CALL(fcntl, IF(IS(1, F_SETFD))),
	IOCTL(FIONREAD),
	CALL(openat, IF(NOT(2, O_ACCMODE | O_CREAT | O_TRUNC))), /* /etc/resolv.conf */
	FSTAT,
};

static const struct hull_jail_rule tap[] = {
	POLL,
	CALL(read),
	CALL(writev),
	IOCTL(TUNSETOFFLOAD),
};

/* It takes the place of the process that connected the others, when that one ends. */
static const struct hull_jail_rule lan[] = {
	POLL,           CALL(read),
	CALL(close),    CALL(socket, IF(IS(0, AF_UNIX))),
	CALL(connect),  CALL(bind),
	CALL(listen),   CALL(accept4),
	CALL(recvfrom), CALL(sendto, IF(IS(5, 0))),
	CALL(openat),   CALL(flock),
	CALL(unlinkat),
};

static const struct hull_jail_rule impair[] = { CALL(ppoll), CALL(read) };
static const struct hull_jail_rule capture[] = { CALL(ftruncate) };

/* Supervises, then ends everything in good order. */
static const struct hull_jail_rule control[] = {
	CALL(brk),
	POLL,
	CALL(read),
	CALL(close),
	CALL(exit_group),
	CALL(rt_sigaction),
	CALL(kill, IF(OWN(0))), /* the end by a second signal; to be stopped */
	CALL(kill, FOR(PASST)),
	CALL(wait4, FOR(PASST)),
	IOCTL(TCGETS), /* isatty() */
	FSTAT,
	CALL(openat, IF(NOT(2, O_ACCMODE | O_CREAT | O_TRUNC))), /* the boot doctor; /proc */
	CALL(unlinkat),
	CALL(shutdown, FOR(REMOTE)),
	CALL(sendmsg, FOR(REMOTE)),
	CALL(statfs, FOR(DISK)), /* how full it is */
	CALL(getpid, FOR(DISK)), /* to say where a removed file can be had */
	CALL(statx, IF(HAS(2, AT_EMPTY_PATH)), FOR(DISK)),
	CALL(preadv2, FOR(DISK)),
	CALL(pwritev, FOR(DISK)),
	CALL(fdatasync, FOR(DISK)),
	CALL(ftruncate, FOR(DISK)),
	CALL(fallocate, FOR(DISK)),
	CALL(io_uring_enter, FOR(DISK)),
	CALL(io_submit, FOR(DISK)),
	CALL(io_destroy, FOR(DISK)),
	CALL(clock_nanosleep),
	CALL(openat, FOR(STORE)),
	CALL(fcntl, FOR(STORE)),
	CALL(flock, FOR(STORE)),
	CALL(fdatasync, FOR(STORE)),
	CALL(getdents64, FOR(STORE)),
	CALL(geteuid, FOR(STORE)),
	FAILS(sysinfo, ENOSYS, FOR(STORE)), /* qsort() */
#ifdef __NR_renameat
	CALL(renameat, FOR(STORE)),
#endif
};

/* What the sanitizers' run times do in any thread: builds for tests only. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

#ifdef SANITIZED
static const struct hull_jail_rule sanitizer[] = {
	CALL(mmap, IF(NOT(2, PROT_EXEC))),
	CALL(mprotect, IF(NOT(2, PROT_EXEC))),
	CALL(clone, IF(HAS(0, CLONE_VM))),
	FAILS(clone3, ENOSYS),
	CALL(sched_yield),
	CALL(sigaltstack),
	CALL(mremap),
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
};
const bool hull_jail_sanitized = true;
#else
const bool hull_jail_sanitized = false;
#endif

#define LIST(list) { list, ARRAY_LEN(list) }
#define CAP(n)     (UINT64_C(1) << (n))
#define FILE_CAPS                                                                              \
	(CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_FOWNER) | \
	 CAP(CAP_FSETID))

const struct hull_jail_role hull_jail_roles[] = {
	{ .name = "control", .lists = { LIST(control), LIST(kvm) }, .paths = true },
	{ .name = "vcpu", .thread = "hull-vcpu", .lists = { LIST(vcpu), LIST(kvm) } },
	/* With --deterministic its one thread does what others do else. */
	{ .name = "whole",
	  .thread = "hull-whole",
	  .lists = { LIST(vcpu), LIST(disk), LIST(share) },
	  .paths = true,
	  .modes = true },
	{ .name = "timer", .thread = "hull-timers" },
	{ .name = "compile", .thread = "hull-compile" },
	{ .name = "disk", .thread = "hull-disk", .lists = { LIST(disk) } },
	{ .name = "ring", .thread = "hull-ring", .lists = { LIST(ring) } },
	{ .name = "limit", .thread = "hull-limit", .lists = { LIST(limit) } },
	{ .name = "nbd", .thread = "hull-nbd", .lists = { LIST(nbd) } },
	{ .name = "share",
	  .thread = "hull-share",
	  .lists = { LIST(share) },
	  .paths = true,
	  .modes = true,
	  .keep = FILE_CAPS },
	{ .name = "serial", .thread = "hull-serial", .lists = { LIST(serial) } },
	{ .name = "vsock", .thread = "hull-vsock", .lists = { LIST(vsock) } },
	{ .name = "dial", .thread = "hull-dial", .lists = { LIST(dial) }, .paths = true },
	{ .name = "net", .thread = "hull-net", .lists = { LIST(net) }, .paths = true },
	{ .name = "tap", .thread = "hull-tap", .lists = { LIST(tap) } },
	{ .name = "switch", .thread = "hull-switch", .lists = { LIST(lan) }, .paths = true },
	{ .name = "impair", .thread = "hull-impair", .lists = { LIST(impair) } },
	{ .name = "capture", .thread = "hull-capture", .lists = { LIST(capture) } },
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

unsigned hull_jail_role_parts(const struct hull_jail_role *r,
                              struct hull_jail_rules parts[HULL_JAIL_PARTS])
{
	unsigned n = 0;

	parts[n++] = (struct hull_jail_rules)LIST(every);
	if (r != hull_jail_control)
		parts[n++] = (struct hull_jail_rules)LIST(ending);
	for (unsigned i = 0; i < HULL_JAIL_LISTS; i++)
		if (r->lists[i].n)
			parts[n++] = r->lists[i];
#ifdef SANITIZED
	parts[n++] = (struct hull_jail_rules)LIST(sanitizer);
#endif
	return n;
}

unsigned hull_jail_role_calls(const struct hull_jail_role *r, unsigned needs)
{
	struct hull_jail_rules parts[HULL_JAIL_PARTS];
	unsigned n = hull_jail_role_parts(r, parts);

	return hull_jail_count(parts, n - hull_jail_sanitized, needs);
}
