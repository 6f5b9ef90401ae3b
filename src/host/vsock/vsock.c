/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * One thread waits for all sockets (edge-triggered) and tells the device to look; what is there to
 * be read stays in the socket until the device asks.  What a program does not take at once waits in
 * a ring, which the device keeps from growing beyond HULL_VSOCK_BUFFER.
 *
 * `mutex` is taken below a device's lane; the thread calls the device without it.  A second thread
 * makes and closes sockets for the device.
 */
#include "host/vsock/vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/text.h"
#include "host/os/os.h"
#include "host/unix.h"

enum { CONNS = HULL_VSOCK_CONNS, GREETINGS = 64, LINE = 32, PATH_ROOM = 108, EVENTS = 32 };
enum { ANSWER_MS = 5000, LINGER_MS = 10000, TICK_MS = 500 };
enum { TAG_WAKE = CONNS, TAG_LISTENER };
enum { NOBODY, ASKED_FOR, ANSWERED };

enum state {
	FREE,
	GREETING, /* "CONNECT" has not come yet */
	ASKED,    /* the guest has not answered yet */
	OPEN,
	LINGERING, /* closed by the guest, with unsent bytes */
	DYING,     /* closed by the guest */
};

struct conn {
	enum state state;
	int fd;
	bool finish;         /* shut down for writing once all is sent */
	bool gone;           /* the program takes nothing any more */
	uint64_t deadline;   /* ms; of GREETING, ASKED, LINGERING */
	uint8_t *ring;       /* HULL_VSOCK_BUFFER, or NULL: was never needed */
	uint32_t head, tail; /* free running */
};

struct sockets {
	struct hull_vsock vsock;
	char path[PATH_ROOM];
	int listener, epoll, wake; /* -1: none */
	bool running;
	uint32_t quit; /* atomic */
	pthread_t thread;
	pthread_t dialer;
	pthread_mutex_t mutex; /* all below */
	pthread_cond_t asked, answer;
	unsigned call; /* a vCPU wants a connection to `port`; `result`: its number */
	bool untidy;   /* something is DYING, or finished */
	uint32_t port;
	int result;
	unsigned greeting, timed;
	struct conn conns[CONNS];
};

static struct sockets *of(struct hull_vsock *b)
{
	return (struct sockets *)b;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void poke(struct sockets *s)
{
	uint64_t one = 1;

	if (write(s->wake, &one, sizeof(one)) < 0) {
		/* Full: the thread is about to look anyway. */
	}
}

static bool watch(struct sockets *s, int fd, uint32_t tag, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.u32 = tag };

	return !epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e);
}

static void set_state(struct sockets *s, struct conn *c, enum state state, unsigned ms)
{
	s->greeting -= c->state == GREETING;
	s->greeting += state == GREETING;
	s->timed -= c->deadline != 0;
	s->timed += ms != 0;
	c->state = state;
	c->deadline = ms ? now_ms() + ms : 0;
}

static void release(struct sockets *s, struct conn *c)
{
	set_state(s, c, FREE, 0);
	if (c->fd >= 0)
		close(c->fd);
	free(c->ring);
	*c = (struct conn){ .fd = -1 };
}

/* The number for a new connection, or -1: there is none, and `fd` is closed. */
static int adopt(struct sockets *s, int fd, enum state state, unsigned ms)
{
	unsigned id = 0;

	while (id < CONNS && s->conns[id].state != FREE)
		id++;
	if (id == CONNS || (state == GREETING && s->greeting == GREETINGS) ||
	    !watch(s, fd, id, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)) {
		close(fd);
		return -1;
	}
	s->conns[id].fd = fd;
	set_state(s, &s->conns[id], state, ms);
	return (int)id;
}

static uint32_t pending(const struct conn *c)
{
	return c->head - c->tail;
}

/* How much the program took: 0 to len. */
static uint32_t send_now(struct conn *c, const uint8_t *p, uint32_t len)
{
	uint32_t done = 0;

	while (!c->gone && done < len) {
		ssize_t n = send(c->fd, p + done, len - done, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			done += (uint32_t)n;
		else if (n < 0 && errno == EAGAIN)
			break;
		else if (n == 0 || errno != EINTR)
			c->gone = true;
	}
	return c->gone ? len : done;
}

static void flush(struct conn *c)
{
	while (pending(c)) {
		uint32_t at = c->tail % HULL_VSOCK_BUFFER;
		uint32_t part = MIN(pending(c), HULL_VSOCK_BUFFER - at);
		uint32_t n = send_now(c, c->ring + at, part);

		c->tail += n;
		if (n < part)
			return;
	}
	if (c->finish)
		shutdown(c->fd, SHUT_WR);
	c->finish = false;
}

static void put(struct conn *c, const uint8_t *p, uint32_t len)
{
	uint32_t done = pending(c) ? 0 : send_now(c, p, len);

	if (done < len && !c->ring)
		c->ring = malloc(HULL_VSOCK_BUFFER);
	/* Without memory the stream has a hole: it ends here. */
	if (done < len && (!c->ring || len - done > HULL_VSOCK_BUFFER - pending(c)))
		c->gone = true;
	for (; !c->gone && done < len; done++)
		c->ring[c->head++ % HULL_VSOCK_BUFFER] = p[done];
}

static int dial(struct sockets *s, uint32_t port)
{
	char path[PATH_ROOM + 16];
	int fd, id, r;

	hull_format(path, sizeof(path), "%s_%u", s->path, port);
	r = hull_unix_connect(path, &fd);
	if (r)
		return r;
	pthread_mutex_lock(&s->mutex);
	id = adopt(s, fd, OPEN, 0);
	pthread_mutex_unlock(&s->mutex);
	return id < 0 ? HULL_ENOMEM : id;
}

/* With the mutex: what vCPUs asked for and may not do themselves. */
static void tidy(struct sockets *s)
{
	for (unsigned id = 0; id < CONNS; id++) {
		struct conn *c = &s->conns[id];

		if (c->state == DYING)
			release(s, c);
		else if (c->finish && !pending(c))
			flush(c);
	}
}

/*
 * A thread for what needs sockets to be made and closed, so that a sandbox can keep vCPUs from it.
 * It never waits for the device, which waits for it.
 */
static void *serve_vcpus(void *arg)
{
	struct sockets *s = arg;

	pthread_mutex_lock(&s->mutex);
	while (!hull_load_acquire(&s->quit)) {
		if (s->untidy) {
			s->untidy = false;
			tidy(s);
		}
		if (s->call == ASKED_FOR) {
			uint32_t port = s->port;
			int r;

			pthread_mutex_unlock(&s->mutex);
			r = dial(s, port);
			pthread_mutex_lock(&s->mutex);
			s->result = r;
			s->call = ANSWERED;
			pthread_cond_broadcast(&s->answer);
		} else {
			pthread_cond_wait(&s->asked, &s->mutex);
		}
	}
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

/* With the mutex. */
static void leave_to_dialer(struct sockets *s)
{
	if (!s->running) {
		tidy(s);
		return;
	}
	s->untidy = true;
	pthread_cond_signal(&s->asked);
}

static int vsock_connect(struct hull_vsock *b, uint32_t port)
{
	struct sockets *s = of(b);
	int r;

	if (!s->running)
		return dial(s, port);
	pthread_mutex_lock(&s->mutex);
	while (s->call != NOBODY)
		pthread_cond_wait(&s->answer, &s->mutex);
	s->port = port;
	s->call = ASKED_FOR;
	pthread_cond_signal(&s->asked);
	while (s->call != ANSWERED)
		pthread_cond_wait(&s->answer, &s->mutex);
	r = s->result;
	s->call = NOBODY;
	pthread_cond_broadcast(&s->answer);
	pthread_mutex_unlock(&s->mutex);
	return r;
}

static void vsock_accepted(struct hull_vsock *b, unsigned id, uint32_t port)
{
	struct sockets *s = of(b);
	struct conn *c = &s->conns[id];
	char text[LINE];

	pthread_mutex_lock(&s->mutex);
	set_state(s, c, OPEN, 0);
	hull_format(text, sizeof(text), "OK %u\n", port);
	put(c, (const uint8_t *)text, (uint32_t)strlen(text));
	pthread_mutex_unlock(&s->mutex);
}

/* Neither direction is open any more. */
static bool hung_up(const struct conn *c)
{
	struct pollfd p = { .fd = c->fd };

	return c->gone || (poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR));
}

static int receive(struct conn *c, void *buf, uint32_t len)
{
	struct iovec v = { buf, MIN(len, 1u << 30) };
	ssize_t n;

	if (c->state == ASKED)
		return hung_up(c) || now_ms() >= c->deadline ? HULL_VSOCK_GONE : 0;
	if (!len)
		return hung_up(c) ? HULL_VSOCK_GONE : 0;
	do
		n = preadv2(c->fd, &v, 1, -1, 0); /* as readv(); vCPUs have this call anyway */
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return (int)n;
	if (n < 0 && errno == EAGAIN)
		return c->gone ? HULL_VSOCK_GONE : 0;
	return n < 0 || hung_up(c) ? HULL_VSOCK_GONE : HULL_VSOCK_END;
}

static int vsock_read(struct hull_vsock *b, unsigned id, void *buf, uint32_t len)
{
	struct sockets *s = of(b);
	int n;

	pthread_mutex_lock(&s->mutex);
	n = receive(&s->conns[id], buf, len);
	pthread_mutex_unlock(&s->mutex);
	return n;
}

static void vsock_write(struct hull_vsock *b, unsigned id, const void *buf, uint32_t len)
{
	struct sockets *s = of(b);

	pthread_mutex_lock(&s->mutex);
	put(&s->conns[id], buf, len);
	pthread_mutex_unlock(&s->mutex);
}

static uint32_t vsock_unsent(struct hull_vsock *b, unsigned id)
{
	struct sockets *s = of(b);
	uint32_t n;

	pthread_mutex_lock(&s->mutex);
	n = pending(&s->conns[id]);
	pthread_mutex_unlock(&s->mutex);
	return n;
}

static void vsock_finish(struct hull_vsock *b, unsigned id)
{
	struct sockets *s = of(b);

	pthread_mutex_lock(&s->mutex);
	s->conns[id].finish = true;
	leave_to_dialer(s);
	pthread_mutex_unlock(&s->mutex);
}

static void vsock_close(struct hull_vsock *b, unsigned id, bool now)
{
	struct sockets *s = of(b);
	struct conn *c = &s->conns[id];

	pthread_mutex_lock(&s->mutex);
	if (now || c->gone || !pending(c)) {
		set_state(s, c, DYING, 0);
		leave_to_dialer(s);
	} else {
		set_state(s, c, LINGERING, LINGER_MS);
		poke(s);
	}
	pthread_mutex_unlock(&s->mutex);
}

/* "CONNECT P\n" at the beginning of what has come.  1: *ret_port is set; 0: not yet; -1: never. */
static int greeting(int fd, uint32_t *ret_port)
{
	static const char word[] = "CONNECT ";
	char line[LINE];
	ssize_t n = recv(fd, line, sizeof(line), MSG_PEEK | MSG_DONTWAIT);
	const char *end = n > 0 ? memchr(line, '\n', (size_t)n) : NULL,
		   *p = line + sizeof(word) - 1;
	uint64_t port = 0;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (!end)
		return n == 0 || n == sizeof(line) ? -1 : 0;
	if (end <= p || memcmp(line, word, sizeof(word) - 1))
		return -1;
	for (; p < end; p++) {
		if (*p < '0' || *p > '9')
			return -1;
		port = port * 10 + (uint64_t)(*p - '0');
		if (port > UINT32_MAX)
			return -1;
	}
	*ret_port = (uint32_t)port;
	n = end + 1 - line;
	return recv(fd, line, (size_t)n, MSG_DONTWAIT) == n ? 1 : -1;
}

static void greet(struct sockets *s, unsigned id)
{
	struct conn *c = &s->conns[id];
	uint32_t port;
	int r;

	pthread_mutex_lock(&s->mutex);
	r = c->state == GREETING ? greeting(c->fd, &port) : 0;
	if (r < 0)
		release(s, c);
	if (r > 0)
		set_state(s, c, ASKED, ANSWER_MS);
	pthread_mutex_unlock(&s->mutex);
	if (r <= 0 || s->vsock.opened(s->vsock.arg, id, port))
		return;
	pthread_mutex_lock(&s->mutex);
	release(s, c);
	pthread_mutex_unlock(&s->mutex);
}

static void accept_all(struct sockets *s)
{
	for (unsigned i = 0; i < EVENTS; i++) {
		int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		pthread_mutex_lock(&s->mutex);
		(void)adopt(s, fd, GREETING, ANSWER_MS);
		pthread_mutex_unlock(&s->mutex);
	}
}

/* Something happened to a connection; the device looks for itself. */
static void look(struct sockets *s, unsigned id)
{
	struct conn *c = &s->conns[id];
	enum state state;

	pthread_mutex_lock(&s->mutex);
	state = c->state;
	if (state == OPEN || state == LINGERING)
		flush(c);
	if (state == LINGERING && (c->gone || !pending(c) || now_ms() >= c->deadline))
		release(s, c);
	if (state == GREETING && now_ms() >= c->deadline)
		release(s, c);
	pthread_mutex_unlock(&s->mutex);
	if (state == GREETING)
		greet(s, id);
	else if (state == ASKED || state == OPEN)
		s->vsock.ready(s->vsock.arg, id);
}

/* Those whose time is up. */
static int look_at_timed(struct sockets *s)
{
	unsigned timed;

	for (unsigned id = 0; id < CONNS; id++) {
		bool due;

		pthread_mutex_lock(&s->mutex);
		due = s->conns[id].deadline && now_ms() >= s->conns[id].deadline;
		pthread_mutex_unlock(&s->mutex);
		if (due)
			look(s, id);
	}
	pthread_mutex_lock(&s->mutex);
	timed = s->timed;
	pthread_mutex_unlock(&s->mutex);
	return timed ? TICK_MS : -1;
}

static void *serve(void *arg)
{
	struct sockets *s = arg;
	struct epoll_event events[EVENTS];

	while (!hull_load_acquire(&s->quit)) {
		int n = epoll_wait(s->epoll, events, EVENTS, look_at_timed(s));
		uint64_t count;

		if (n < 0 && errno != EINTR)
			break;
		for (int i = 0; i < n; i++) {
			uint32_t tag = events[i].data.u32;

			if (tag < CONNS)
				look(s, tag);
			else if (tag == TAG_LISTENER)
				accept_all(s);
			else if (read(s->wake, &count, sizeof(count)) < 0) {
				/* Only the wake-up matters. */
			}
		}
	}
	return NULL;
}

static int prepare(struct sockets *s, const char *path, struct hull_err *err)
{
	char reason[64];
	int r;

	/* Room for "_4294967295". */
	if (strlen(path) + 11 >= PATH_ROOM) {
		hull_fail(err, HULL_EINVAL, 540, "the path \"%s\" of the vsock is too long", path);
		hull_err_fix(err, "use a path of at most %u bytes", PATH_ROOM - 12);
		return HULL_EINVAL;
	}
	hull_format(s->path, sizeof(s->path), "%s", path);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->epoll < 0 || s->wake < 0 || !watch(s, s->wake, TAG_WAKE, EPOLLIN))
		return hull_fail(err, hull_os_error(errno), 540, "no descriptors for the vsock: %s",
		                 hull_os_reason(errno, reason, sizeof(reason)));
	r = hull_unix_listen(path, &s->listener, err);
	if (r && err)
		err->id = 540;
	if (!r && !watch(s, s->listener, TAG_LISTENER, EPOLLIN))
		r = hull_fail(err, HULL_ENOMEM, 540, "no memory for the vsock");
	return r;
}

int hull_vsock_open(const char *path, uint64_t cid, struct hull_vsock **ret, struct hull_err *err)
{
	struct sockets *s;
	int r;

	if (cid < 3 || cid >= UINT32_MAX) {
		hull_fail(err, HULL_EINVAL, 541, "%llu is not a context number for a guest",
		          (unsigned long long)cid);
		hull_err_fix(err, "use a number from 3 to 4294967294");
		return HULL_EINVAL;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for the vsock");
	s->vsock = (struct hull_vsock){ .cid = cid,
		                        .connect = vsock_connect,
		                        .accepted = vsock_accepted,
		                        .read = vsock_read,
		                        .write = vsock_write,
		                        .unsent = vsock_unsent,
		                        .finish = vsock_finish,
		                        .close = vsock_close };
	s->listener = s->epoll = s->wake = -1;
	for (unsigned i = 0; i < CONNS; i++)
		s->conns[i].fd = -1;
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->asked, NULL);
	pthread_cond_init(&s->answer, NULL);
	r = prepare(s, path, err);
	if (r)
		hull_vsock_close(&s->vsock);
	else
		*ret = &s->vsock;
	return r;
}

static void end_thread(struct sockets *s)
{
	hull_store_release(&s->quit, 1);
	poke(s);
	pthread_join(s->thread, NULL);
}

int hull_vsock_start(struct hull_vsock *b, struct hull_err *err)
{
	struct sockets *s = of(b);
	int r;

	if (s->running)
		return 0;
	hull_store_release(&s->quit, 0);
	s->call = NOBODY;
	r = hull_os_thread(&s->thread, "hull-vsock", serve, s, err);
	if (r)
		return r;
	r = hull_os_thread(&s->dialer, "hull-dial", serve_vcpus, s, err);
	if (r)
		end_thread(s);
	s->running = !r;
	return r;
}

void hull_vsock_stop(struct hull_vsock *b)
{
	struct sockets *s = of(b);

	if (!s->running)
		return;
	end_thread(s);
	pthread_mutex_lock(&s->mutex);
	pthread_cond_signal(&s->asked);
	pthread_mutex_unlock(&s->mutex);
	pthread_join(s->dialer, NULL);
	s->running = false;
}

void hull_vsock_close(struct hull_vsock *b)
{
	struct sockets *s = of(b);

	if (!b)
		return;
	hull_vsock_stop(b);
	for (unsigned i = 0; i < CONNS; i++)
		if (s->conns[i].state != FREE)
			release(s, &s->conns[i]);
	if (s->listener >= 0) {
		unlinkat(AT_FDCWD, s->path, 0);
		close(s->listener);
	}
	if (s->epoll >= 0)
		close(s->epoll);
	if (s->wake >= 0)
		close(s->wake);
	pthread_cond_destroy(&s->asked);
	pthread_cond_destroy(&s->answer);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}
