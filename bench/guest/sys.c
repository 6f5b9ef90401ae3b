/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Work of the kernel: system calls, switches of processes, page faults, signals, the clock. */
#include "bench.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t run_syscall(uint64_t n)
{
	long parent = syscall(SYS_getppid);
	uint64_t same = 0;

	for (uint64_t i = 0; i < n; i++)
		for (int j = 0; j < 16; j++)
			same += syscall(SYS_getppid) == parent;
	if (same != 16 * n)
		bench_die("sys/syscall");
	return 16;
}

/* --- ctxsw: a byte goes to another process and back --- */

static int there[2], back[2];
static pid_t partner;

static void setup_ctxsw(void)
{
	if (pipe(there) || pipe(back))
		bench_die("pipe");
	partner = fork();
	if (partner < 0)
		bench_die("fork");
	if (partner > 0) {
		close(there[0]);
		close(back[1]);
		return;
	}
	close(there[1]);
	close(back[0]);
	uint8_t byte;
	while (read(there[0], &byte, 1) == 1) {
		byte++;
		if (write(back[1], &byte, 1) != 1)
			break;
	}
	_exit(0);
}

static uint64_t run_ctxsw(uint64_t n)
{
	uint8_t byte = 0;

	for (uint64_t i = 0; i < n; i++) {
		uint8_t sent = byte;

		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1 ||
		    byte != (uint8_t)(sent + 1))
			bench_die("sys/ctxsw");
	}
	return 1;
}

static void finish_ctxsw(void)
{
	close(there[1]);
	close(back[0]);
	waitpid(partner, NULL, 0);
}

/* --- forkexec: this program again, which leaves at once --- */

static uint64_t run_forkexec(uint64_t n)
{
	int status = 0;

	while (n--) {
		pid_t child = fork();

		if (child < 0)
			bench_die("fork");
		if (child == 0) {
			execv(bench_exec[0], bench_exec);
			_exit(127);
		}
		if (waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
		    WEXITSTATUS(status) != 7)
			bench_die("sys/forkexec");
	}
	return (uint64_t)WEXITSTATUS(status);
}

/* --- pgfault: 256 pages that are touched for the first time --- */

static uint64_t run_pgfault(uint64_t n)
{
	const size_t pages = 256, size = 4096;
	uint64_t sum = 0;

	while (n--) {
		uint8_t *at = bench_pages(pages * size);

		/* Large pages would make one fault of them all. */
		madvise(at, pages * size, MADV_NOHUGEPAGE);
		sum = 0;
		for (size_t i = 0; i < pages; i++)
			at[i * size] = (uint8_t)i;
		for (size_t i = 0; i < pages; i++)
			sum += at[i * size];
		munmap(at, pages * size);
	}
	return sum;
}

/* --- signal: to itself, with a handler --- */

static volatile sig_atomic_t handled;

static void handle(int number)
{
	handled = handled + (number == SIGUSR1);
}

static uint64_t run_signal(uint64_t n)
{
	struct sigaction action = { .sa_handler = handle };
	pid_t self = getpid();

	if (sigaction(SIGUSR1, &action, NULL))
		bench_die("sigaction");
	for (uint64_t i = 0; i < n; i++) {
		handled = 0;
		kill(self, SIGUSR1);
		if (handled != 1)
			bench_die("sys/signal");
	}
	return 1;
}

/* --- clock: never goes back --- */

static uint64_t run_clock(uint64_t n)
{
	struct timespec t, last = { 0 };

	for (uint64_t i = 0; i < n; i++) {
		for (int j = 0; j < 16; j++) {
			clock_gettime(CLOCK_MONOTONIC, &t);
			if (t.tv_sec < last.tv_sec ||
			    (t.tv_sec == last.tv_sec && t.tv_nsec < last.tv_nsec))
				bench_die("sys/clock");
			last = t;
		}
	}
	return 16;
}

const struct bench bench_sys[] = {
	{ "sys/syscall", run_syscall, NULL, NULL },
	{ "sys/ctxsw", run_ctxsw, setup_ctxsw, finish_ctxsw },
	{ "sys/forkexec", run_forkexec, NULL, NULL },
	{ "sys/pgfault", run_pgfault, NULL, NULL },
	{ "sys/signal", run_signal, NULL, NULL },
	{ "sys/clock", run_clock, NULL, NULL },
	{ NULL, NULL, NULL, NULL },
};
