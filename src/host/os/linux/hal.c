/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The hosted HAL on Linux: anonymous mappings, futexes, clock_gettime.
 *
 * wait() takes absolute deadlines on CLOCK_MONOTONIC, the same clock that
 * now_ns() reads, so no deadline drifts and `deadline` is not needed.
 */
#include <hull/host.h>

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/checked.h"
#include "host/os/os.h"

#define HUGE_BYTES (UINT64_C(2) << 20)
#define NS_PER_S   UINT64_C(1000000000)

static _Thread_local unsigned thread_id;
static _Thread_local uint32_t ranks;
static pid_t process_id;

static void *pages_alloc(const struct hull_hal *hal, uint64_t bytes, uint64_t align, bool guest_ram)
{
	uint64_t total;
	bool huge = guest_ram && bytes >= HUGE_BYTES;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (guest_ram ? MAP_NORESERVE : 0);
	char *raw, *p;

	if (huge)
		align = MAX(align, HUGE_BYTES);
	if (!bytes || !is_pow2(align) || !hull_add(bytes, align - HULL_PAGE_SIZE, &total) ||
	    total > SIZE_MAX)
		return NULL;
	raw = mmap(NULL, total, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (raw == MAP_FAILED)
		return NULL;
	p = (char *)(uintptr_t)align_up((uintptr_t)raw, align);
	if (p > raw)
		munmap(raw, (size_t)(p - raw));
	if (p + bytes < raw + total)
		munmap(p + bytes, (size_t)(raw + total - (p + bytes)));
	/*
	 * Advice only: without it everything works, slower.  Where RAM begins a few pages hold
	 * tables; to clear a huge one for them takes a tenth of a start.
	 */
	if (huge)
		madvise(p + HUGE_BYTES, bytes - HUGE_BYTES, MADV_HUGEPAGE);
	if (guest_ram)
		madvise(p, bytes, MADV_DONTDUMP);
	return p;
}

static void pages_free(const struct hull_hal *hal, void *pages, uint64_t bytes)
{
	if (pages)
		munmap(pages, bytes);
}

static bool pages_discard(const struct hull_hal *hal, void *pages, uint64_t bytes)
{
	(void)hal;
	return !madvise(pages, bytes, MADV_DONTNEED);
}

/* What <linux/memfd.h> has since 6.3; older kernels do not know it and need it not. */
#ifndef MFD_EXEC
#define MFD_EXEC 0x10U
#endif

static int code_alloc(const struct hull_hal *hal, uint64_t bytes, void **ret_rw, void **ret_rx)
{
	void *rw, *rx = MAP_FAILED;
	int fd;

	if (!bytes || (bytes & HULL_PAGE_MASK) || bytes > SSIZE_MAX)
		return HULL_EINVAL;
	fd = memfd_create("hull-code", MFD_CLOEXEC | MFD_EXEC);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("hull-code", MFD_CLOEXEC);
	if (fd < 0)
		return HULL_ENOTSUP;
	if (ftruncate(fd, (off_t)bytes) != 0) {
		close(fd);
		return HULL_ENOMEM;
	}
	rw = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (rw != MAP_FAILED)
		rx = mmap(NULL, bytes, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (rx == MAP_FAILED) {
		bool refused = errno == EACCES || errno == EPERM;

		if (rw != MAP_FAILED)
			munmap(rw, bytes);
		close(fd);
		return refused ? HULL_ENOTSUP : HULL_ENOMEM;
	}
	close(fd);
	*ret_rw = rw;
	*ret_rx = rx;
	return 0;
}

static void code_free(const struct hull_hal *hal, uint64_t bytes, void *rw, void *rx)
{
	if (rw)
		munmap(rw, bytes);
	if (rx)
		munmap(rx, bytes);
}

static int range_claim(const struct hull_hal *hal, hull_hpa hpa, uint64_t bytes, void **ret)
{
	return HULL_ENOTSUP;
}

static void range_release(const struct hull_hal *hal, hull_hpa hpa, uint64_t bytes)
{
}

static hull_hpa virt_to_phys(const struct hull_hal *hal, const void *hva)
{
	return (hull_hpa)(uintptr_t)hva;
}

static void *phys_to_virt(const struct hull_hal *hal, hull_hpa hpa)
{
	return (void *)(uintptr_t)hpa;
}

static uint64_t now_ns(const struct hull_hal *hal)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec + 1;
}

static int64_t wallclock_ns(const struct hull_hal *hal)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * (int64_t)NS_PER_S + ts.tv_nsec;
}

static uint32_t *held_ranks(const struct hull_hal *hal)
{
	return &ranks;
}

static unsigned cpu_id(const struct hull_hal *hal)
{
	if (!thread_id)
		thread_id = (unsigned)syscall(SYS_gettid);
	return thread_id;
}

static unsigned cpu_count(const struct hull_hal *hal)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
		return (unsigned)CPU_COUNT(&set);
	/* More CPUs than the set has bits. */
	return (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
}

static void cpu_kick(const struct hull_hal *hal, unsigned id)
{
	/* The thread may be gone: ESRCH is fine. */
	if (id)
		syscall(SYS_tgkill, process_id, (int)id, SIGRTMIN + HULL_KICK_SIGNAL);
}

static void wait_word(const struct hull_hal *hal, const uint32_t *word, uint32_t expected,
                      uint64_t deadline_ns)
{
	struct timespec ts, *limit = NULL;

	if (deadline_ns != HULL_NEVER) {
		ts.tv_sec = (time_t)((deadline_ns - !!deadline_ns) / NS_PER_S);
		ts.tv_nsec = (long)((deadline_ns - !!deadline_ns) % NS_PER_S);
		limit = &ts;
	}
	syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, limit, NULL,
	        FUTEX_BITSET_MATCH_ANY);
}

static void wake_word(const struct hull_hal *hal, const uint32_t *word, uint32_t count)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, MIN(count, (uint32_t)INT_MAX), NULL, NULL, 0);
}

static void console_write(const struct hull_hal *hal, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(STDERR_FILENO, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

static bool fill_random(const struct hull_hal *hal, void *buf, size_t len)
{
	unsigned char *p = buf;

	while (len) {
		ssize_t n = getrandom(p, MIN(len, (size_t)256), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static void fatal(const struct hull_hal *hal, const char *text)
{
	console_write(hal, "hull: ", 6);
	console_write(hal, text, strlen(text));
	console_write(hal, "\n", 1);
	abort();
}

static const struct hull_hal host_hal = {
	.pages_alloc = pages_alloc,
	.pages_free = pages_free,
	.pages_discard = pages_discard,
	.code_alloc = code_alloc,
	.code_free = code_free,
	.range_claim = range_claim,
	.range_release = range_release,
	.virt_to_phys = virt_to_phys,
	.phys_to_virt = phys_to_virt,
	.now_ns = now_ns,
	.wallclock_ns = wallclock_ns,
	.cpu_id = cpu_id,
	.cpu_count = cpu_count,
	.cpu_kick = cpu_kick,
	.held_ranks = held_ranks,
	.wait = wait_word,
	.wake = wake_word,
	.console_write = console_write,
	.random = fill_random,
	.fatal = fatal,
};

static void kicked(int sig)
{
}

static void forget_thread(void)
{
	thread_id = 0;
	process_id = getpid();
}

static void set_up(void)
{
	/* No SA_RESTART: to interrupt is the only purpose. */
	struct sigaction sa = { .sa_handler = kicked };

	process_id = getpid();
	sigemptyset(&sa.sa_mask);
	sigaction(SIGRTMIN + HULL_KICK_SIGNAL, &sa, NULL);
	pthread_atfork(NULL, NULL, forget_thread);
}

const struct hull_hal *hull_host_hal(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, set_up);
	return &host_hal;
}
