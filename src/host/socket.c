/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Stream sockets; see socket.h. */
#include "host/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "host/os/os.h"

enum { BACKLOG = 16, VECTORS = 64, SKIP = 16384 };

/* A parsed address: of one of the two families. */
struct place {
	struct sockaddr_un un; /* sun_family set: this one */
	char host[256], port[8];
};

static int bad_address(const char *text, const char *why, struct hull_err *err)
{
	hull_fail(err, HULL_EINVAL, 510, "\"%.100s\" is no socket address: %s", text, why);
	hull_err_fix(err, "write unix:PATH or tcp:HOST:PORT, such as tcp:127.0.0.1:10809");
	return HULL_EINVAL;
}

static int parse_tcp(const char *text, const char *rest, struct place *p, struct hull_err *err)
{
	const char *colon = strrchr(rest, ':');
	size_t len = colon ? (size_t)(colon - rest) : 0;
	uint64_t port;

	if (!colon)
		return bad_address(text, "it has no port", err);
	if (!hull_parse_u64(colon + 1, &port) || port > 65535)
		return bad_address(text, "the port is not a number up to 65535", err);
	if (len >= 2 && rest[0] == '[' && rest[len - 1] == ']') {
		rest++;
		len -= 2;
	}
	if (!len || len >= sizeof(p->host))
		return bad_address(text, "it has no host, or too long a name", err);
	memcpy(p->host, rest, len);
	hull_format(p->port, sizeof(p->port), "%u", (unsigned)port);
	return 0;
}

static int parse(const char *text, struct place *p, struct hull_err *err)
{
	*p = (struct place){ 0 };
	if (!strncmp(text, "tcp:", 4))
		return parse_tcp(text, text + 4, p, err);
	if (strncmp(text, "unix:", 5) || !text[5])
		return bad_address(text, "it is neither unix:PATH nor tcp:HOST:PORT", err);
	p->un.sun_family = AF_UNIX;
	if (!hull_text_copy(p->un.sun_path, sizeof(p->un.sun_path), text + 5))
		return bad_address(text, "the path has more than 107 bytes", err);
	return 0;
}

static int resolve(const char *text, const struct place *p, bool passive, struct addrinfo **ret,
                   struct hull_err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		                  .ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0) };
	int r = getaddrinfo(p->host, p->port, &hints, ret);

	if (r)
		return hull_fail(err, HULL_ENOENT, 511, "cannot find the host of \"%.100s\": %s",
		                 text, gai_strerror(r));
	return 0;
}

/* Did the connection that was begun come about in time?  0 or an errno. */
static int wait_connected(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int error = 0, r;
	socklen_t len = sizeof(error);

	do {
		r = poll(&p, 1, timeout_ms);
	} while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r ? errno : ETIMEDOUT;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) ? errno : error;
}

/* A connected, blocking descriptor, or -errno. */
static int connect_to(const struct sockaddr *a, socklen_t len, int timeout_ms)
{
	int fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, error = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, a, len))
		error = errno == EINPROGRESS ? wait_connected(fd, timeout_ms) : errno;
	if (error || fcntl(fd, F_SETFL, 0)) {
		error = error ? error : errno;
		close(fd);
		return -error;
	}
	if (a->sa_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static int no_connection(const char *address, int error, struct hull_err *err)
{
	char reason[64];

	hull_fail(err, hull_os_error(error), 511, "cannot connect to \"%.100s\": %s", address,
	          hull_os_reason(error, reason, sizeof(reason)));
	hull_err_fix(err, "check that the server runs and listens there");
	return hull_os_error(error);
}

int hull_socket_connect(const char *address, int timeout_ms, struct hull_err *err)
{
	struct addrinfo *list;
	struct place p;
	int fd = -EADDRNOTAVAIL, r;

	r = parse(address, &p, err);
	if (r)
		return r;
	if (p.un.sun_family) {
		fd = connect_to((const struct sockaddr *)&p.un, sizeof(p.un), timeout_ms);
		return fd < 0 ? no_connection(address, -fd, err) : fd;
	}
	r = resolve(address, &p, false, &list, err);
	if (r)
		return r;
	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
		fd = connect_to(a->ai_addr, a->ai_addrlen, timeout_ms);
	freeaddrinfo(list);
	return fd < 0 ? no_connection(address, -fd, err) : fd;
}

/* A listening descriptor, or -errno. */
static int listen_at(const struct sockaddr *a, socklen_t len)
{
	int fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1, error;

	if (fd < 0)
		return -errno;
	if (a->sa_family == AF_UNIX)
		fchmod(fd,
		       0600); /* before bind() makes the file, so that nobody else ever gets in */
	else
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, a, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	error = errno;
	close(fd);
	return -error;
}

/* Remove a socket that its owner has left behind: nobody answers there. */
static bool remove_stale(const struct sockaddr_un *un)
{
	struct stat st;
	int fd;

	if (lstat(un->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return false;
	fd = connect_to((const struct sockaddr *)un, sizeof(*un), 1000);
	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED && !unlink(un->sun_path);
}

static int listen_unix(const struct sockaddr_un *un)
{
	const struct sockaddr *a = (const struct sockaddr *)un;
	int fd = listen_at(a, sizeof(*un));

	if (fd == -EADDRINUSE && remove_stale(un))
		fd = listen_at(a, sizeof(*un));
	return fd;
}

int hull_socket_listen(const char *address, struct hull_err *err)
{
	int fd = -EADDRNOTAVAIL, r;
	struct addrinfo *list;
	struct place p;
	char reason[64];

	r = parse(address, &p, err);
	if (r)
		return r;
	if (p.un.sun_family) {
		fd = listen_unix(&p.un);
	} else {
		r = resolve(address, &p, true, &list, err);
		if (r)
			return r;
		for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
			fd = listen_at(a->ai_addr, a->ai_addrlen);
		freeaddrinfo(list);
	}
	if (fd >= 0)
		return fd;
	hull_fail(err, hull_os_error(-fd), 512, "cannot listen on \"%.100s\": %s", address,
	          hull_os_reason(-fd, reason, sizeof(reason)));
	hull_err_fix(err, "choose another %s", p.un.sun_family ? "path" : "port");
	return hull_os_error(-fd);
}

unsigned hull_socket_port(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_storage room;
	} a = { 0 };
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.any, &len))
		return 0;
	return a.any.sa_family == AF_INET    ? ntohs(a.v4.sin_port)
	       : a.any.sa_family == AF_INET6 ? ntohs(a.v6.sin6_port)
	                                     : 0;
}

static bool wait_for(int fd, short events, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	int r;

	do {
		r = poll(&p, 1, timeout_ms);
	} while (r < 0 && errno == EINTR);
	return r > 0;
}

static bool movev(int fd, bool in, struct iovec *iov, int n, int timeout_ms)
{
	while (n) {
		struct msghdr m = { .msg_iov = iov, .msg_iovlen = (size_t)MIN(n, VECTORS) };
		ssize_t moved;

		if (!iov->iov_len) {
			iov++;
			n--;
			continue;
		}
		moved = in ? recvmsg(fd, &m, MSG_DONTWAIT)
		           : sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (!moved || (moved < 0 && errno != EINTR && errno != EAGAIN))
			return false;
		if (moved < 0) {
			if (errno == EAGAIN && !wait_for(fd, in ? POLLIN : POLLOUT, timeout_ms))
				return false;
			continue;
		}
		while (n && (size_t)moved >= iov->iov_len) {
			moved -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n) {
			iov->iov_base = (char *)iov->iov_base + moved;
			iov->iov_len -= (size_t)moved;
		}
	}
	return true;
}

bool hull_socket_readv(int fd, struct iovec *iov, int n, int timeout_ms)
{
	return movev(fd, true, iov, n, timeout_ms);
}

bool hull_socket_writev(int fd, struct iovec *iov, int n, int timeout_ms)
{
	return movev(fd, false, iov, n, timeout_ms);
}

bool hull_socket_read(int fd, void *buf, size_t len, int timeout_ms)
{
	struct iovec iov = { buf, len };

	return movev(fd, true, &iov, 1, timeout_ms);
}

bool hull_socket_write(int fd, const void *buf, size_t len, int timeout_ms)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };

	return movev(fd, false, &iov, 1, timeout_ms);
}

bool hull_socket_skip(int fd, uint64_t len, int timeout_ms)
{
	char waste[SKIP];

	while (len) {
		size_t n = (size_t)MIN(len, (uint64_t)sizeof(waste));

		if (!hull_socket_read(fd, waste, n, timeout_ms))
			return false;
		len -= n;
	}
	return true;
}
