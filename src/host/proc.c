/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "host/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/os/os.h"

bool hull_proc_found(const char *program)
{
	const char *path = getenv("PATH");
	char full[4096];

	for (path = path ? path : "/usr/bin:/bin"; *path;) {
		size_t len = strcspn(path, ":");
		int n = snprintf(full, sizeof(full), "%.*s/%s", (int)len, path, program);

		if (len && n > 0 && (size_t)n < sizeof(full) && !access(full, X_OK))
			return true;
		path += len + (path[len] == ':');
	}
	return false;
}

static void child(const struct hull_proc_spec *spec, int in, int out, pid_t parent)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* Its own group: the terminal's keys are for us, and the group is ended as a whole. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(126);
	if (dup2(in < 0 ? null : in, STDIN_FILENO) < 0 ||
	    dup2(spec->log_out ? spec->log : out, STDOUT_FILENO) < 0 ||
	    dup2(spec->log < 0 ? null : spec->log, STDERR_FILENO) < 0)
		_exit(126);
	if (spec->folder && chdir(spec->folder))
		_exit(126);
	for (const char *const *e = spec->env; e && *e; e++)
		putenv((char *)*e);
	execvp(spec->argv[0], (char *const *)spec->argv);
	_exit(127);
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int hull_proc_start(struct hull_proc *p, const struct hull_proc_spec *spec, struct hull_err *err)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 };
	pid_t self = getpid();
	char reason[64];

	*p = (struct hull_proc){ .in = -1, .out = -1 };
	if ((spec->feed && pipe2(in, O_CLOEXEC)) || (!spec->log_out && pipe2(out, O_CLOEXEC)))
		goto failed;
	p->pid = fork();
	if (p->pid < 0)
		goto failed;
	if (!p->pid)
		child(spec, in[0], out[1], self);
	setpgid(p->pid, p->pid); /* whoever comes first */
	shut(&in[0]);
	shut(&out[1]);
	p->in = in[1];
	p->out = out[0];
	return 0;
failed:
	p->pid = 0;
	hull_fail(err, HULL_ENOMEM, 120, "%s cannot be started: %s", spec->argv[0],
	          hull_os_reason(errno, reason, sizeof(reason)));
	for (int i = 0; i < 2; i++) {
		shut(&in[i]);
		shut(&out[i]);
	}
	return HULL_ENOMEM;
}

ssize_t hull_proc_read(struct hull_proc *p, void *buf, size_t len, int cancel_fd, int wait_ms)
{
	struct pollfd f[2] = { { .fd = p->out, .events = POLLIN },
		               { .fd = cancel_fd, .events = POLLIN } };
	ssize_t n;
	int r;

	for (;;) {
		r = poll(f, 2, wait_ms);
		if (r < 0 && errno != EINTR)
			return 0;
		if (r > 0 && f[1].revents)
			return HULL_ESTATE;
		if (!r)
			return HULL_EAGAIN;
		if (r < 0 || !f[0].revents)
			continue;
		n = read(p->out, buf, len);
		if (n >= 0 || errno != EINTR)
			return n < 0 ? 0 : n;
	}
}

int hull_proc_end(struct hull_proc *p, bool kill_it)
{
	int status = 0;

	if (!p->pid)
		return 0;
	shut(&p->in);
	if (kill_it)
		kill(-p->pid, SIGKILL);
	shut(&p->out);
	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	/* What it has left behind in its group. */
	kill(-p->pid, SIGKILL);
	p->pid = 0;
	return status;
}
