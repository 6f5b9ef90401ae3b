/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Which entries of the sandbox's lists does a run need?  A library for LD_PRELOAD: it stands before
 * prctl(), by which each thread of hull installs its list.
 *
 * JAIL_RECORD=FILE: entries that allow a call tell a tracer, a grandchild of hull, that they were
 * needed.  FILE gets a line "has ROLE INDEX ENTRY" for each, at the end "used ROLE INDEX".
 * JAIL_CUT="ROLE ENTRY": this entry traps, as if it were not in the list.
 * JAIL_INJECT=ROLE: these threads make a call that is on no list (chdir) once they have theirs.
 *
 * ROLE is the thread's name without digits, ENTRY the call's number and the conditions on its
 * arguments: "16:1&ffffffff=5413".
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAME = 16, ENTRY = 128, ENTRIES = 512, ROLES = 32, THREADS = 512, HEAD = 4 };

static int record = -1;
static const char *cut, *inject;

static void role_of(const char *thread, char role[NAME])
{
	snprintf(role, NAME, "%s", thread);
	role[strcspn(role, "0123456789\n")] = 0;
}

/* An entry of the list ends at instruction i. */
static void change(struct sock_filter *f, unsigned i, const char *role, const char *entry)
{
	char line[NAME + ENTRY + 32];

	if (f->k != SECCOMP_RET_ALLOW)
		return;
	snprintf(line, sizeof(line), "%s %s", role, entry);
	if (cut && !strcmp(line, cut))
		f->k = SECCOMP_RET_TRAP;
	if (record < 0)
		return;
	f->k = SECCOMP_RET_TRACE | i;
	snprintf(line, sizeof(line), "has %s %u %s\n", role, i, entry);
	if (write(record, line, strlen(line)) < 0)
		_exit(99);
}

/* The instructions for one call, as filter.c writes them: from i, which compares it, to `end`. */
static void walk(struct sock_filter *f, unsigned i, unsigned end, const char *role)
{
	char entry[ENTRY];
	unsigned arg = 0, mask = 0;
	int call = snprintf(entry, ENTRY, "%u", f[i].k), used = call;

	while (++i < end)
		switch (f[i].code) {
		case BPF_LD | BPF_W | BPF_ABS:
			arg = (unsigned)((f[i].k - offsetof(struct seccomp_data, args)) / 8);
			break;
		case BPF_ALU | BPF_AND | BPF_K: mask = f[i].k; break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			used += f[i].k == (unsigned)getpid()
			                ? snprintf(entry + used, (size_t)(ENTRY - used), ":%u=own",
			                           arg)
			                : snprintf(entry + used, (size_t)(ENTRY - used),
			                           ":%u&%x=%x", arg, mask, f[i].k);
			break;
		case BPF_RET | BPF_K:
			change(&f[i], i, role, entry);
			used = call;
			entry[used] = 0;
			break;
		default: _exit(98);
		}
}

int prctl(int option, ...)
{
	unsigned long a[4];
	char thread[NAME], role[NAME] = "";
	va_list args;
	int r;

	va_start(args, option);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(args, unsigned long);
	va_end(args);
	if (option == PR_SET_SECCOMP && (record >= 0 || cut || inject)) {
		struct sock_fprog *p = (struct sock_fprog *)a[1]; /* as the kernel takes it */

		syscall(SYS_prctl, PR_GET_NAME, thread, 0, 0, 0);
		role_of(thread, role);
		for (unsigned i = HEAD; i + 1 < p->len; i += 1u + p->filter[i].jf)
			walk(p->filter, i, i + 1u + p->filter[i].jf, role);
	}
	r = (int)syscall(SYS_prctl, option, a[0], a[1], a[2], a[3]);
	if (role[0] && inject && !strcmp(role, inject) && chdir("/") && errno != EPERM)
		_exit(94);
	return r;
}

/* The tracer's; roles by the threads that have them. */
static struct {
	char role[ROLES][NAME];
	bool used[ROLES][ENTRIES];
	pid_t tid[THREADS];
	unsigned of[THREADS];
} seen;

static unsigned find_role(pid_t tid)
{
	unsigned slot = (unsigned)tid % THREADS, i = 0;
	char path[64], thread[NAME] = "", role[NAME];
	FILE *f;

	if (seen.tid[slot] == tid)
		return seen.of[slot];
	snprintf(path, sizeof(path), "/proc/%d/comm", tid);
	f = fopen(path, "r");
	if (f && !fgets(thread, sizeof(thread), f))
		thread[0] = 0;
	if (f)
		fclose(f);
	role_of(thread, role);
	while (i < ROLES - 1 && seen.role[i][0] && strcmp(seen.role[i], role) != 0)
		i++;
	snprintf(seen.role[i], NAME, "%s", role);
	seen.tid[slot] = tid;
	seen.of[slot] = i;
	return i;
}

static void stopped(pid_t tid, int status)
{
	int event = status >> 16, sig = WSTOPSIG(status);
	unsigned long index = 0;

	if (event == PTRACE_EVENT_SECCOMP) {
		ptrace(PTRACE_GETEVENTMSG, tid, NULL, &index);
		seen.used[find_role(tid)][index % ENTRIES] = true;
	} else if (event == PTRACE_EVENT_STOP && sig != SIGTRAP) {
		ptrace(PTRACE_LISTEN, tid, NULL, NULL);
		return;
	}
	ptrace(PTRACE_CONT, tid, NULL, event ? 0L : (long)sig);
}

static void trace(void)
{
	pid_t tid;
	int status;

	while ((tid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR)
		if (tid > 0 && WIFSTOPPED(status))
			stopped(tid, status);
	for (unsigned r = 0; r < ROLES; r++)
		for (unsigned i = 0; i < ENTRIES; i++)
			if (seen.used[r][i])
				dprintf(record, "used %s %u\n", seen.role[r], i);
	dprintf(record, "end\n");
}

/* Not a child: hull would wait for it. */
static void attach(void)
{
	const long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE;
	pid_t hull = getpid(), child;
	int ready[2], null;
	char c;

	if (pipe2(ready, O_CLOEXEC))
		_exit(97);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	child = fork();
	if (child) {
		close(ready[1]);
		waitpid(child, NULL, 0);
		if (read(ready[0], &c, 1) != 1)
			_exit(96);
		close(ready[0]);
		return;
	}
	if (fork())
		_exit(0);
	setsid();
	null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 1024; fd++)
		if (fd != record && fd != ready[1] && fd != null)
			dup2(null, fd);
	if (!ptrace(PTRACE_SEIZE, hull, NULL, options) && write(ready[1], "", 1) == 1) {
		close(ready[1]);
		trace();
	}
	_exit(0);
}

__attribute__((constructor)) static void begin(void)
{
	const char *file = getenv("JAIL_RECORD");

	cut = getenv("JAIL_CUT");
	inject = getenv("JAIL_INJECT");
	unsetenv("LD_PRELOAD"); /* programs that hull starts have no lists */
	if (!file)
		return;
	record = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (record < 0)
		_exit(95);
	attach();
}
