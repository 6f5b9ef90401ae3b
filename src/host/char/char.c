/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * All character backends are one stream: a descriptor to read, one to write,
 * and a thread that polls.  They differ in how the descriptors are opened.
 *
 * Descriptors for writing never block: a terminal or pipe that we were given
 * is opened again through /proc/self/fd, because O_NONBLOCK on the given one
 * would change it for the shell and every other process that shares it.
 */
#include "host/char/char.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/text.h"
#include "host/os/os.h"
#include "host/unix.h"

enum { RING = 4096, PATIENCE_MS = 1000, WAIT_MS = 100, SIZE_MS = 500, CHUNK = 512 };
enum kind { STDIO, FILE_OUT, PTY, SOCKET, NONE };

struct stream {
	struct hull_char chr;
	enum kind kind;
	int in, out, listener, slave, wake, lost; /* -1: none; lost: an output without a reader */
	bool socket_out;                          /* send() instead of write() */
	bool blocking_out;                        /* only poll() protects us */
	bool terminal;
	bool patient;
	bool running, prepared;
	uint8_t escape;
	void (*escaped)(void *arg);
	void *arg;
	pthread_t thread;
	pthread_mutex_t mutex;     /* ring */
	pthread_mutex_t out_mutex; /* out and refused_at */
	unsigned head, tail;       /* free-running */
	bool end_of_input;
	uint16_t cols, rows; /* of the terminal, as the device knows them */
	uint64_t refused_at; /* ms; 0: the reader takes what comes */
	uint32_t quit;       /* atomic */
	uint64_t dropped;    /* atomic */
	char place[128];
	uint8_t ring[RING];
};

static struct stream *of(const struct hull_char *c)
{
	return (struct stream *)(uintptr_t)c;
}

static void poke(struct stream *s)
{
	uint64_t one = 1;

	if (write(s->wake, &one, sizeof(one)) < 0) {
		/* Full: the thread is about to look anyway. */
	}
}

static ssize_t put(struct stream *s, const void *buf, size_t len)
{
	struct pollfd p = { .fd = s->out, .events = POLLOUT };

	if (s->socket_out)
		return send(s->out, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (s->blocking_out) {
		if (poll(&p, 1, 0) <= 0) {
			errno = EAGAIN;
			return -1;
		}
		len = MIN(len, (size_t)CHUNK);
	}
	return write(s->out, buf, len);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000 + 1;
}

/* The reader takes nothing more: is that so for so long that it is left behind? */
static bool left_behind(struct stream *s)
{
	uint64_t now = now_ms();

	if (!s->refused_at)
		s->refused_at = now;
	return now - s->refused_at >= PATIENCE_MS;
}

/* Returns how much is settled: taken by the reader, or dropped. */
static size_t put_all(struct stream *s, const uint8_t *buf, size_t len)
{
	struct pollfd p = { .fd = s->out, .events = POLLOUT };
	size_t done = 0;

	while (done < len) {
		ssize_t n = put(s, buf + done, len - done);

		if (n > 0) {
			done += (size_t)n;
			s->refused_at = 0;
		} else if (n < 0 && errno == EINTR) {
			continue;
		} else if (n < 0 && errno == EAGAIN && !left_behind(s)) {
			if (!s->patient)
				return done;
			poll(&p, 1, WAIT_MS);
		} else {
			/* Nobody to wait for: left behind, gone, or the disk is full. */
			if (n < 0 && errno == EPIPE && s->kind == STDIO) {
				s->lost = s->out; /* to be closed by who may */
				s->out = -1;
			}
			break;
		}
	}
	hull_add_relaxed(&s->dropped, len - done);
	return len;
}

static size_t stream_write(struct hull_char *c, const void *buf, size_t len)
{
	struct stream *s = of(c);
	size_t done = len;

	pthread_mutex_lock(&s->out_mutex);
	if (s->out >= 0)
		done = put_all(s, buf, len);
	else if (s->kind != NONE)
		hull_add_relaxed(&s->dropped, len);
	pthread_mutex_unlock(&s->out_mutex);
	return done;
}

static size_t stream_read(struct hull_char *c, void *buf, size_t len)
{
	struct stream *s = of(c);
	uint8_t *to = buf;
	size_t n = 0;
	bool was_full;

	pthread_mutex_lock(&s->mutex);
	was_full = s->head - s->tail == RING;
	while (n < len && s->tail != s->head)
		to[n++] = s->ring[s->tail++ % RING];
	pthread_mutex_unlock(&s->mutex);
	if (was_full && n)
		poke(s);
	return n;
}

/* Pass input on; takes the escape byte out.  Returns false if it was there. */
static bool deliver(struct stream *s, const uint8_t *buf, size_t len)
{
	bool escaped = false;
	size_t n = len;

	for (size_t i = 0; s->terminal && s->escape && i < len; i++) {
		if (buf[i] == s->escape) {
			escaped = true;
			n = i;
			break;
		}
	}
	pthread_mutex_lock(&s->mutex);
	for (size_t i = 0; i < n; i++)
		s->ring[s->head++ % RING] = buf[i];
	pthread_mutex_unlock(&s->mutex);
	if (n && s->chr.readable)
		s->chr.readable(s->chr.readable_arg);
	if (escaped && s->escaped)
		s->escaped(s->arg);
	return !escaped;
}

static void drop_client(struct stream *s)
{
	pthread_mutex_lock(&s->out_mutex);
	if (s->in >= 0)
		close(s->in);
	s->in = s->out = -1;
	s->refused_at = 0;
	pthread_mutex_unlock(&s->out_mutex);
}

static void accept_client(struct stream *s)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	pthread_mutex_lock(&s->out_mutex);
	s->in = s->out = fd;
	pthread_mutex_unlock(&s->out_mutex);
}

static void take_input(struct stream *s, size_t room)
{
	uint8_t buf[RING];
	ssize_t n = read(s->in, buf, room);

	if (n > 0) {
		/* After the escape byte nothing more is for the guest. */
		if (!deliver(s, buf, (size_t)n))
			s->end_of_input = true;
	} else if (n < 0 && errno == EIO && s->terminal && hull_terminal_away(s->in)) {
		/* It went away after we looked. */
	} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
		if (s->kind == SOCKET)
			drop_client(s);
		else
			s->end_of_input = true;
	}
}

static void stream_size(struct hull_char *c, uint16_t *ret_cols, uint16_t *ret_rows)
{
	struct winsize w;
	bool known = !ioctl(of(c)->in, TIOCGWINSZ, &w);

	*ret_cols = known ? w.ws_col : 0;
	*ret_rows = known ? w.ws_row : 0;
}

/* Resizing sends its signal to the foreground job; a look now and then does without it. */
static void look_at_size(struct stream *s)
{
	uint16_t cols, rows;

	if (!s->chr.size)
		return;
	stream_size(&s->chr, &cols, &rows);
	if (cols == s->cols && rows == s->rows)
		return;
	s->cols = cols;
	s->rows = rows;
	if (s->chr.resized)
		s->chr.resized(s->chr.readable_arg);
}

static void *pump(void *arg)
{
	struct stream *s = arg;
	bool away = false, was_away;

	while (!hull_load_acquire(&s->quit)) {
		struct pollfd p[3] = {
			{ .fd = s->wake, .events = POLLIN },
			{ .fd = -1, .events = POLLIN },
			{ .fd = -1, .events = POLLIN },
		};
		size_t room;
		uint64_t count;

		pthread_mutex_lock(&s->mutex);
		room = RING - (s->head - s->tail);
		pthread_mutex_unlock(&s->mutex);
		/* What is typed while another job has the terminal is not for us. */
		was_away = away;
		away = s->terminal && hull_terminal_away(s->in);
		if (was_away && !away)
			hull_terminal_again();
		if (room && !s->end_of_input && !away)
			p[1].fd = s->in;
		if (s->in < 0)
			p[2].fd = s->listener;
		if (poll(p, 3, away ? WAIT_MS : s->chr.size ? SIZE_MS : -1) < 0 && errno != EINTR)
			break;
		look_at_size(s);
		if (p[0].revents && read(s->wake, &count, sizeof(count)) < 0) {
			/* Somebody else took the count: only the wake-up matters. */
		}
		if (p[1].revents)
			take_input(s, room);
		if (p[2].revents)
			accept_client(s);
	}
	return NULL;
}

/* A descriptor for `fd` that does not block and that nobody else shares. */
static int private_output(struct stream *s, int fd)
{
	char path[32];
	struct stat st;
	int own;

	if (fstat(fd, &st))
		return -1;
	if (S_ISSOCK(st.st_mode)) {
		s->socket_out = true;
		return fcntl(fd, F_DUPFD_CLOEXEC, 3);
	}
	if (S_ISFIFO(st.st_mode) || isatty(fd)) {
		hull_format(path, sizeof(path), "/proc/self/fd/%d", fd);
		own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (own >= 0)
			return own;
		s->blocking_out = true;
	}
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int open_stdio(struct stream *s, struct hull_err *err)
{
	s->in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	s->out = private_output(s, STDOUT_FILENO);
	s->terminal = s->in >= 0 && isatty(s->in);
	hull_format(s->place, sizeof(s->place), "stdio");
	return 0;
}

static int cannot(struct hull_err *err, const char *what, const char *path, int error)
{
	char reason[64];

	return hull_fail(err, hull_os_error(error), 902, "cannot open the %s \"%s\": %s", what,
	                 path, hull_os_reason(error, reason, sizeof(reason)));
}

static int open_file(struct stream *s, const char *path, struct hull_err *err)
{
	s->out = open(path,
	              O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
	              0644);
	if (s->out < 0)
		return cannot(err, "serial output file", path, errno);
	return 0;
}

static int open_pty(struct stream *s, struct hull_err *err)
{
	struct termios modes;

	s->in = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (s->in < 0 || grantpt(s->in) || unlockpt(s->in) ||
	    ptsname_r(s->in, s->place, sizeof(s->place)))
		return cannot(err, "pseudo-terminal", "/dev/ptmx", errno);
	s->out = s->in;
	/* Held open: without any user of the other side, poll() would report a hang-up for ever. */
	s->slave = open(s->place, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->slave < 0 || tcgetattr(s->slave, &modes))
		return cannot(err, "pseudo-terminal", s->place, errno);
	cfmakeraw(&modes);
	tcsetattr(s->slave, TCSANOW, &modes);
	return 0;
}

static int open_socket(struct stream *s, const char *path, struct hull_err *err)
{
	int r = hull_unix_listen(path, &s->listener, err);

	if (r && err)
		err->id = 902;
	if (r)
		return r;
	hull_format(s->place, sizeof(s->place), "%s", path);
	s->socket_out = true;
	return 0;
}

static int open_target(struct stream *s, const char *target, struct hull_err *err)
{
	hull_format(s->place, sizeof(s->place), "%s", target);
	if (!strcmp(target, "stdio")) {
		s->kind = STDIO;
		return open_stdio(s, err);
	}
	if (!strcmp(target, "pty")) {
		s->kind = PTY;
		return open_pty(s, err);
	}
	if (!strncmp(target, "file:", 5)) {
		s->kind = FILE_OUT;
		return open_file(s, target + 5, err);
	}
	if (!strncmp(target, "socket:", 7)) {
		s->kind = SOCKET;
		return open_socket(s, target + 7, err);
	}
	if (!strcmp(target, "none")) {
		s->kind = NONE;
		return 0;
	}
	hull_fail(err, HULL_EINVAL, 901, "\"%s\" is not a place for a serial port", target);
	hull_err_fix(err, "use stdio, pty, file:PATH, socket:PATH or none");
	return HULL_EINVAL;
}

int hull_char_open(const struct hull_char_options *o, struct hull_char **ret, struct hull_err *err)
{
	struct stream *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return hull_fail(err, HULL_ENOMEM, 0, "no memory for a serial port");
	s->chr.write = stream_write;
	s->chr.read = stream_read;
	s->in = s->out = s->lost = s->listener = s->slave = -1;
	s->patient = o->patient;
	s->escape = o->escape;
	s->escaped = o->escaped;
	s->arg = o->arg;
	pthread_mutex_init(&s->mutex, NULL);
	pthread_mutex_init(&s->out_mutex, NULL);
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = s->wake < 0 ? cannot(err, "event descriptor", "eventfd", errno)
	                : open_target(s, o->target, err);
	if (r) {
		hull_char_close(&s->chr);
		return r;
	}
	if (s->terminal || s->kind == PTY) {
		s->chr.size = stream_size;
		stream_size(&s->chr, &s->cols, &s->rows);
	}
	*ret = &s->chr;
	return 0;
}

int hull_char_prepare(struct hull_char *c, struct hull_err *err)
{
	struct stream *s = of(c);
	int r = s->terminal && !s->prepared ? hull_terminal_raw(s->in, err) : 0;

	s->prepared = !r;
	return r;
}

int hull_char_start(struct hull_char *c, struct hull_err *err)
{
	struct stream *s = of(c);
	int r;

	if (s->running || (s->in < 0 && s->listener < 0))
		return 0;
	r = hull_char_prepare(c, err);
	if (r)
		return r;
	hull_store_release(&s->quit, 0);
	s->end_of_input = false;
	r = hull_os_thread(&s->thread, "hull-serial", pump, s, err);
	s->running = !r;
	if (r)
		hull_char_stop(c);
	return r;
}

void hull_char_stop(struct hull_char *c)
{
	struct stream *s = of(c);

	if (s->running) {
		hull_store_release(&s->quit, 1);
		poke(s);
		pthread_join(s->thread, NULL);
		s->running = false;
	}
	if (s->prepared && s->terminal)
		hull_terminal_restore();
	s->prepared = false;
}

void hull_char_close(struct hull_char *c)
{
	struct stream *s = of(c);

	if (!c)
		return;
	hull_char_stop(c);
	if (s->kind == SOCKET && s->listener >= 0)
		unlinkat(AT_FDCWD, s->place, 0);
	if (s->lost >= 0)
		close(s->lost);
	if (s->out >= 0 && s->out != s->in)
		close(s->out);
	if (s->in >= 0)
		close(s->in);
	if (s->listener >= 0)
		close(s->listener);
	if (s->slave >= 0)
		close(s->slave);
	if (s->wake >= 0)
		close(s->wake);
	pthread_mutex_destroy(&s->mutex);
	pthread_mutex_destroy(&s->out_mutex);
	free(s);
}

const char *hull_char_socket(const struct hull_char *c)
{
	return of(c)->kind == SOCKET ? of(c)->place : NULL;
}

const char *hull_char_place(const struct hull_char *c)
{
	return of(c)->place;
}

bool hull_char_is_terminal(const struct hull_char *c)
{
	return of(c)->terminal;
}

uint64_t hull_char_dropped(const struct hull_char *c)
{
	return hull_load_relaxed(&of(c)->dropped);
}
