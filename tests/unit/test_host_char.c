/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Character backends, with real terminals, pipes, sockets and threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "host/char/char.h"

static struct hull_char *open_char(const char *target)
{
	struct hull_char_options o = { .target = target };
	struct hull_char *c = NULL;
	struct hull_err err = { 0 };

	if (hull_char_open(&o, &c, &err))
		fail_msg("%s", err.text);
	return c;
}

/* Read until `n` bytes came or two seconds passed. */
static size_t read_some(struct hull_char *c, char *buf, size_t n)
{
	size_t got = 0;

	for (int i = 0; i < 2000 && got < n; i++) {
		got += c->read(c, buf + got, n - got);
		if (got < n)
			usleep(1000);
	}
	return got;
}

static void unknown_targets_are_refused(void **state)
{
	static const char *const bad[] = { "",        "stdin", "file", "file:/nowhere/at/all",
		                           "socket:", "ptyx" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct hull_char_options o = { .target = bad[i] };
		struct hull_char *c = NULL;
		struct hull_err err = { 0 };

		assert_true(hull_char_open(&o, &c, &err) < 0);
		assert_null(c);
		assert_true(err.text[0]);
	}
}

static void none_takes_everything(void **state)
{
	struct hull_char *c = open_char("none");
	char byte;

	assert_int_equal(hull_char_start(c, NULL), 0);
	assert_int_equal(c->write(c, "hello", 5), 5);
	assert_int_equal(c->read(c, &byte, 1), 0);
	assert_int_equal(hull_char_dropped(c), 0);
	hull_char_close(c);
	hull_char_close(NULL);
}

static void file_gets_the_output(void **state)
{
	char path[] = "/tmp/hull-test-XXXXXX", target[64], buf[16] = { 0 };
	int fd = mkstemp(path);
	struct hull_char *c;

	snprintf(target, sizeof(target), "file:%s", path);
	c = open_char(target);
	assert_int_equal(c->write(c, "hello", 5), 5);
	hull_char_close(c);
	assert_int_equal(pread(fd, buf, sizeof(buf), 0), 5);
	assert_string_equal(buf, "hello");
	close(fd);
	unlink(path);
}

static uint32_t calls;

static void on_readable(void *arg)
{
	hull_add_relaxed((uint32_t *)arg, 1);
}

static void pty_carries_both_directions(void **state)
{
	struct hull_char *c = open_char("pty");
	char buf[8192], big[8192];
	int fd;

	c->readable = on_readable;
	c->readable_arg = &calls;
	assert_int_equal(hull_char_start(c, NULL), 0);
	fd = open(hull_char_place(c), O_RDWR | O_NOCTTY);
	assert_true(fd >= 0);
	assert_int_equal(c->write(c, "to you\n", 7), 7);
	assert_int_equal(read(fd, buf, sizeof(buf)), 7);
	assert_memory_equal(buf, "to you\n", 7);
	assert_int_equal(write(fd, "to me\r", 6), 6);
	assert_int_equal(read_some(c, buf, 6), 6);
	assert_memory_equal(buf, "to me\r", 6);
	assert_true(hull_load_relaxed(&calls) > 0);
	/* More than the ring holds waits in the host until it is read. */
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)i;
	for (size_t sent = 0; sent < sizeof(big); sent += 1024) {
		assert_int_equal(write(fd, big + sent, 1024), 1024);
		if (sent >= 4096)
			assert_int_equal(read_some(c, buf + sent - 4096, 1024), 1024);
	}
	assert_int_equal(read_some(c, buf + 4096, 4096), 4096);
	assert_memory_equal(buf, big, sizeof(big));
	close(fd);
	hull_char_close(c);
}

static void reader_that_does_not_read_is_left_behind(void **state)
{
	struct hull_char *c = open_char("pty");
	static char block[1 << 16];
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_true(c->write(c, block, sizeof(block)) < sizeof(block));
	assert_int_equal(hull_char_dropped(c), 0);
	/* The kernel may find a little room later: that counts as reading. */
	while (c->write(c, block, sizeof(block)) < sizeof(block))
		usleep(10000);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true(b.tv_sec - a.tv_sec < 5);
	assert_true(hull_char_dropped(c) > 0);
	hull_char_close(c);
}

static void patient_writer_takes_all_at_once(void **state)
{
	struct hull_char_options o = { .target = "pty", .patient = true };
	static char block[1 << 16];
	struct hull_char *c = NULL;

	assert_int_equal(hull_char_open(&o, &c, NULL), 0);
	assert_int_equal(c->write(c, block, sizeof(block)), sizeof(block));
	assert_true(hull_char_dropped(c) > 0);
	hull_char_close(c);
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void socket_serves_one_client_after_another(void **state)
{
	char path[64], target[80], buf[16];
	struct hull_char_options o = { .target = target };
	struct hull_char *c, *other;
	struct hull_err err;

	snprintf(path, sizeof(path), "/tmp/hull-test-%d.sock", getpid());
	snprintf(target, sizeof(target), "socket:%s", path);
	c = open_char(target);
	assert_int_equal(hull_char_start(c, NULL), 0);
	assert_int_equal(hull_char_open(&o, &other, &err), HULL_EBUSY);
	for (int i = 0; i < 3; i++) {
		int fd = connect_to(path);

		assert_int_equal(write(fd, "hi", 2), 2);
		assert_int_equal(read_some(c, buf, 2), 2);
		assert_int_equal(c->write(c, "ho", 2), 2);
		assert_int_equal(read(fd, buf, 2), 2);
		assert_memory_equal(buf, "ho", 2);
		close(fd);
	}
	hull_char_close(c);
	assert_int_equal(access(path, F_OK), -1);
}

/* Only a socket that nobody listens to is taken over. */
static void live_sockets_are_not_stolen(void **state)
{
	static const int types[] = { SOCK_DGRAM, SOCK_STREAM };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char path[64], target[80];
	struct hull_char_options o = { .target = target };
	struct hull_char *c;
	struct hull_err err;

	snprintf(path, sizeof(path), "/tmp/hull-live-%d.sock", getpid());
	snprintf(target, sizeof(target), "socket:%s", path);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	for (size_t i = 0; i < 2; i++) {
		int fd = socket(AF_UNIX, types[i], 0), fill[3];

		assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
		/* A listener with a full backlog: a connection attempt would wait for ever. */
		if (types[i] == SOCK_STREAM)
			assert_int_equal(listen(fd, 0), 0);
		for (size_t k = 0; k < 3; k++) {
			fill[k] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
			(void)connect(fill[k], (struct sockaddr *)&addr, sizeof(addr));
		}
		alarm(10);
		assert_int_equal(hull_char_open(&o, &c, &err), HULL_EBUSY);
		alarm(0);
		assert_int_equal(access(path, F_OK), 0);
		for (size_t k = 0; k < 3; k++)
			close(fill[k]);
		close(fd);
		if (types[i] == SOCK_STREAM)
			break;
		unlink(path);
	}
	/* Now nobody answers. */
	assert_int_equal(hull_char_open(&o, &c, &err), 0);
	hull_char_close(c);
}

/* Standard input and output of a child are the ends that `fd` names. */
static pid_t child(int in, int out, void (*fn)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		/* Not the test framework's handlers. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		setsid();
		dup2(in, 0);
		dup2(out, 1);
		fn();
		_exit(99);
	}
	return pid;
}

static int status_of(pid_t pid)
{
	int status = 0;

	for (int i = 0; i < 5000; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		usleep(1000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

static void write_into_closed_pipe(void)
{
	struct hull_char_options o = { .target = "stdio" };
	struct hull_char *c;

	signal(SIGPIPE, SIG_IGN);
	if (hull_char_open(&o, &c, NULL) || hull_char_start(c, NULL))
		_exit(1);
	for (int i = 0; i < 100; i++)
		c->write(c, "x", 1);
	hull_char_close(c);
	_exit(0);
}

static void pipe_reader_may_go_away(void **state)
{
	int in[2], out[2];
	pid_t pid;

	assert_int_equal(pipe(in) | pipe(out), 0);
	close(out[0]);
	pid = child(in[0], out[1], write_into_closed_pipe);
	close(in[1]);
	assert_int_equal(status_of(pid), 0);
	close(in[0]);
	close(out[1]);
}

static int escaped_fd[2];

static void on_escape(void *arg)
{
	if (write(escaped_fd[1], "e", 1) != 1)
		_exit(3);
}

static void raw_terminal_until_escape(void)
{
	struct hull_char_options o = { .target = "stdio", .escape = 0x1d, .escaped = on_escape };
	struct hull_char *c;
	char got[8] = { 0 }, byte;

	if (hull_char_open(&o, &c, NULL) || hull_char_start(c, NULL) || !hull_char_is_terminal(c))
		_exit(1);
	c->write(c, "ready\n", 6);
	if (read(escaped_fd[0], &byte, 1) != 1)
		_exit(2);
	c->read(c, got, sizeof(got));
	hull_char_stop(c);
	hull_char_close(c);
	/* Ctrl-C was a byte; nothing after the escape was passed on. */
	_exit(strcmp(got, "a\003") ? 4 : 0);
}

static void wait_for_ready(int master)
{
	char buf[64] = { 0 };
	size_t n = 0;

	while (n < sizeof(buf) - 1 && !strstr(buf, "ready")) {
		ssize_t r = read(master, buf + n, sizeof(buf) - 1 - n);

		assert_true(r > 0);
		n += (size_t)r;
	}
}

static int new_terminal(int *ret_slave)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	assert_true(master >= 0);
	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	*ret_slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_true(*ret_slave >= 0);
	return master;
}

static void same_modes(int fd, const struct termios *was)
{
	struct termios now;

	assert_int_equal(tcgetattr(fd, &now), 0);
	assert_int_equal(now.c_iflag, was->c_iflag);
	assert_int_equal(now.c_oflag, was->c_oflag);
	assert_int_equal(now.c_lflag, was->c_lflag);
}

static void become_foreground(void)
{
	int fd = open(ttyname(0), O_RDWR);

	/* The session has no terminal yet: this one becomes it. */
	if (fd < 0 || tcgetpgrp(fd) != getpgrp())
		_exit(5);
	close(fd);
}

static void escape_child(void)
{
	become_foreground();
	raw_terminal_until_escape();
}

static void escape_is_taken_out_and_modes_come_back(void **state)
{
	struct termios was, now;
	int slave, master = new_terminal(&slave);
	pid_t pid;

	assert_int_equal(pipe(escaped_fd), 0);
	tcgetattr(slave, &was);
	pid = child(slave, slave, escape_child);
	wait_for_ready(master);
	tcgetattr(slave, &now);
	assert_int_equal(now.c_lflag & (ICANON | ECHO | ISIG), 0);
	assert_int_equal(write(master, "a\003\035b", 4), 4);
	assert_int_equal(status_of(pid), 0);
	same_modes(slave, &was);
	close(master);
	close(slave);
	close(escaped_fd[0]);
	close(escaped_fd[1]);
}

static void raw_terminal_then_wait(void)
{
	struct hull_char_options o = { .target = "stdio" };
	struct hull_char *c;

	become_foreground();
	if (hull_char_open(&o, &c, NULL) || hull_char_start(c, NULL))
		_exit(1);
	c->write(c, "ready\n", 6);
	for (;;)
		pause();
}

static void deadly_signals_give_the_terminal_back(void **state)
{
	static const int sigs[] = { SIGSEGV, SIGABRT, SIGBUS };

	for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		struct termios was;
		int slave, master = new_terminal(&slave);
		pid_t pid;

		tcgetattr(slave, &was);
		pid = child(slave, slave, raw_terminal_then_wait);
		wait_for_ready(master);
		kill(pid, sigs[i]);
		assert_int_equal(status_of(pid), 128 + sigs[i]);
		same_modes(slave, &was);
		close(master);
		close(slave);
	}
}

/* A job in the background: its terminal's input belongs to the shell until it comes back. */
static void background_job(const char *tty, int ready)
{
	struct hull_char_options o = { .target = "stdio" };
	struct hull_char *c;
	struct hull_err err;
	struct termios modes;
	char byte = 0;
	int fd;

	setpgid(0, 0);
	fd = open(tty, O_RDWR | O_NOCTTY);
	dup2(fd, 0);
	fd = open("/dev/null", O_WRONLY);
	dup2(fd, 1);
	if (hull_char_open(&o, &c, &err) || hull_char_start(c, &err))
		_exit(1);
	if (write(ready, "r", 1) != 1)
		_exit(2);
	for (int i = 0; i < 2000 && byte != 'x'; i++) {
		usleep(1000);
		(void)c->read(c, &byte, 1);
	}
	if (byte != 'x')
		_exit(3);
	_exit(tcgetattr(0, &modes) || modes.c_lflag & ICANON ? 4 : 0);
}

static void session_leader(const char *tty, int master)
{
	int ready[2], fd, status = 0;
	pid_t job;
	char r;

	setsid();
	signal(SIGTTOU, SIG_IGN);
	fd = open(tty, O_RDWR); /* now the controlling terminal */
	if (pipe(ready))
		_exit(5);
	job = fork();
	if (!job)
		background_job(tty, ready[1]);
	if (read(ready[0], &r, 1) != 1 || write(master, "x\n", 2) != 2)
		_exit(6);
	usleep(200000);
	if (tcsetpgrp(fd, job))
		_exit(7);
	waitpid(job, &status, 0);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 8);
}

static void background_keeps_its_input(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	char tty[64];
	pid_t pid;

	assert_true(master >= 0);
	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, tty, sizeof(tty)), 0);
	pid = fork();
	if (!pid)
		session_leader(tty, master);
	assert_int_equal(status_of(pid), 0);
	close(master);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_targets_are_refused),
		cmocka_unit_test(none_takes_everything),
		cmocka_unit_test(file_gets_the_output),
		cmocka_unit_test(pty_carries_both_directions),
		cmocka_unit_test(reader_that_does_not_read_is_left_behind),
		cmocka_unit_test(patient_writer_takes_all_at_once),
		cmocka_unit_test(socket_serves_one_client_after_another),
		cmocka_unit_test(live_sockets_are_not_stolen),
		cmocka_unit_test(background_keeps_its_input),
		cmocka_unit_test(pipe_reader_may_go_away),
		cmocka_unit_test(escape_is_taken_out_and_modes_come_back),
		cmocka_unit_test(deadly_signals_give_the_terminal_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
