/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The terminal and the signals that concern it.
 *
 * Whatever ends or stops the process, the user's terminal comes back as it
 * was: restore() is called from exit(), from the handlers of deadly signals
 * and before stopping.  tcsetattr() is async-signal-safe (POSIX.1-2017, 2.4.3).
 * A background process must not touch the terminal's modes: they belong to
 * the shell then.
 */
#include "host/os/os.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"

/* Process-wide, as the terminal is; `raw` and `taken` are also used in handlers. */
static struct termios cooked, uncooked;
static int tty = -1;
/* The process's own: a thread in a handler may not be allowed to ask. */
static pid_t process, group;
static uint32_t raw; /* atomic: the modes of `uncooked` are wanted */
static int notify = -1;
static int taken;         /* atomic: the stop signal that came */
static uint64_t taken_ms; /* atomic: when */

enum { TOGETHER_MS = 300 };

static const int deadly[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
static struct sigaction before_deadly[ARRAY_LEN(deadly)];
static const int stops[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

static pid_t own_group(void)
{
	if (!group)
		group = getpgrp();
	return group;
}

static bool foreground(void)
{
	return tcgetpgrp(tty) == own_group();
}

void hull_terminal_restore(void)
{
	int saved = errno;

	/* Both orders with a handler are fine: setting the same modes twice is harmless. */
	if (hull_swap_acqrel(&raw, 0) && foreground())
		tcsetattr(tty, TCSANOW, &cooked);
	errno = saved;
}

/* For the process, not this thread: one call, which a sandbox allows with this number only. */
static void again(int sig)
{
	kill(process, sig);
}

static void on_deadly(int sig, siginfo_t *info, void *context)
{
	hull_terminal_restore();
	for (size_t i = 0; i < ARRAY_LEN(deadly); i++) {
		/* SA_RESETHAND has brought back the default. */
		if (deadly[i] == sig && before_deadly[i].sa_handler != SIG_DFL)
			sigaction(sig, &before_deadly[i], NULL);
	}
	/* A fault comes again when the instruction is repeated; a sent signal must be. */
	if (info->si_code <= 0)
		again(sig);
}

static uint64_t now_ms(void)
{
	struct timespec t = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/*
 * The second wish to end is obeyed at once.  Signals that come together are one wish:
 * timeout(1), for one, signals the process and then its group.
 */
static void on_stop(int sig)
{
	uint64_t one = 1;
	int none = 0, saved = errno;

	if (!hull_load_acquire(&taken))
		hull_store_release(&taken_ms, now_ms());
	if (hull_cas_seqcst(&taken, &none, sig)) {
		if (write(notify, &one, sizeof(one)) < 0) {
			/* The descriptor is full: the reader is awake already. */
		}
	} else if (now_ms() - hull_load_acquire(&taken_ms) >= TOGETHER_MS) {
		hull_terminal_restore();
		signal(sig, SIG_DFL);
		again(sig);
	}
	errno = saved;
}

static void on_suspend(int sig)
{
	int saved = errno;

	if (hull_load_acquire(&raw) && foreground())
		tcsetattr(tty, TCSANOW, &cooked);
	again(SIGSTOP);
	errno = saved;
}

bool hull_terminal_away(int fd)
{
	pid_t owner = tcgetpgrp(fd);

	/* One that is not our session's has no foreground job for us. */
	return owner > 0 && owner != own_group();
}

void hull_terminal_again(void)
{
	if (hull_load_acquire(&raw) && foreground())
		tcsetattr(tty, TCSANOW, &uncooked);
}

static void on_continue(int sig)
{
	int saved = errno;

	/* The shell may have changed the modes of a stopped process's terminal. */
	hull_terminal_again();
	errno = saved;
}

static void handle(int sig, void (*fn)(int))
{
	struct sigaction sa = { .sa_handler = fn, .sa_flags = SA_RESTART };

	sigfillset(&sa.sa_mask);
	sigdelset(&sa.sa_mask, SIGSYS); /* what a sandbox refuses is reported */
	sigaction(sig, &sa, NULL);
}

static void install(void)
{
	static bool installed;
	struct sigaction sa = { .sa_sigaction = on_deadly,
		                .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND };

	if (installed)
		return;
	installed = true;
	atexit(hull_terminal_restore);
	sigfillset(&sa.sa_mask);
	sigdelset(&sa.sa_mask, SIGSYS); /* what a sandbox refuses is reported */
	for (size_t i = 0; i < ARRAY_LEN(deadly); i++)
		sigaction(deadly[i], &sa, &before_deadly[i]);
	handle(SIGTSTP, on_suspend);
	handle(SIGCONT, on_continue);
}

int hull_terminal_raw(int fd, struct hull_err *err)
{
	struct termios modes;

	if (hull_load_acquire(&raw))
		return hull_fail(err, HULL_EBUSY, 411, "the terminal is in use by another guest");
	if (tcgetattr(fd, &modes))
		return hull_fail(err, HULL_EINVAL, 0, "descriptor %d is not a terminal", fd);
	cooked = modes;
	uncooked = modes;
	uncooked.c_iflag &=
		~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	uncooked.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	uncooked.c_cflag = (uncooked.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
	uncooked.c_cc[VMIN] = 1;
	uncooked.c_cc[VTIME] = 0;
	tty = fd;
	group = 0;
	process = getpid();
	(void)own_group();
	install();
	/* From here on a signal may restore; `raw` first, so that none is missed. */
	hull_store_release(&raw, 1);
	if (foreground())
		tcsetattr(fd, TCSANOW, &uncooked);
	return 0;
}

void hull_signals_watch(int fd)
{
	struct sigaction old;

	notify = fd;
	process = getpid();
	hull_store_release(&taken, 0);
	for (size_t i = 0; i < ARRAY_LEN(stops); i++) {
		if (sigaction(stops[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN)
			continue;
		handle(stops[i], on_stop);
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a disk that may not grow is an error of its own (E0301) */
}

int hull_signals_taken(void)
{
	return hull_load_acquire(&taken);
}
