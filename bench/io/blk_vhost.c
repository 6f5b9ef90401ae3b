/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A client of vhost-user: hands memory and one queue to the device in another process. */
#include "bench.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The protocol's messages, as the vhost-user specification numbers them. */
enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	SET_VRING_ENABLE = 18,
};
enum { VERSION = 1, HAS_PROTOCOL_FEATURES = 30 };

struct message {
	uint32_t request, flags, size;
	union {
		uint64_t u64;
		struct {
			uint32_t index, num;
		} state;
		struct {
			uint32_t index, flags;
			uint64_t desc, used, avail, log;
		} addr;
		struct {
			uint32_t n, padding;
			uint64_t gpa, size, uva, offset;
		} memory;
	};
} __attribute__((packed));

enum { HEAD = 12 };

struct client {
	int socket, kick;
};

static void send_message(struct client *c, struct message *m, uint32_t request, uint32_t size,
                         int fd)
{
	struct iovec iov = { m, HEAD + size };
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	m->request = request;
	m->flags = VERSION;
	m->size = size;
	if (fd >= 0) {
		struct cmsghdr *cm;

		h.msg_control = control;
		h.msg_controllen = sizeof(control);
		cm = CMSG_FIRSTHDR(&h);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	}
	if (sendmsg(c->socket, &h, MSG_NOSIGNAL) != (ssize_t)(HEAD + size))
		bench_die("vhost-user", strerror(errno));
}

static uint64_t ask(struct client *c, uint32_t request)
{
	struct message m = { 0 };

	send_message(c, &m, request, 0, -1);
	if (recv(c->socket, &m, HEAD + 8, MSG_WAITALL) != HEAD + 8 || m.request != request)
		bench_die("vhost-user", "wrong answer");
	return m.u64;
}

static void tell(struct client *c, uint32_t request, uint64_t val, int fd)
{
	struct message m = { .u64 = val };

	send_message(c, &m, request, 8, fd);
}

static void tell_state(struct client *c, uint32_t request, uint32_t num)
{
	struct message m = { .state = { 0, num } };

	send_message(c, &m, request, 8, -1);
}

static void kick(struct bench_device *d)
{
	struct client *c = d->inside;
	uint64_t one = 1;

	if (write(c->kick, &one, sizeof(one)) != sizeof(one))
		bench_die("eventfd", "cannot be written");
}

static void share_memory(struct client *c, const struct bench_device *d)
{
	struct message m = { .memory = { 1, 0, BENCH_BASE, BENCH_MEMORY,
		                         (uint64_t)(uintptr_t)d->memory, 0 } };

	send_message(c, &m, SET_MEM_TABLE, sizeof(m.memory), d->fd);
}

static void start_queue(struct client *c, const struct bench_device *d)
{
	uint64_t base = (uint64_t)(uintptr_t)d->memory;
	struct message m = { .addr = { 0, 0, base + BENCH_DESC, base + BENCH_USED,
		                       base + BENCH_AVAIL, 0 } };

	tell_state(c, SET_VRING_NUM, BENCH_NUM);
	tell_state(c, SET_VRING_BASE, 0);
	send_message(c, &m, SET_VRING_ADDR, sizeof(m.addr), -1);
	tell(c, SET_VRING_CALL, 0, d->call);
	tell(c, SET_VRING_KICK, 0, c->kick);
	tell_state(c, SET_VRING_ENABLE, 1);
}

void bench_open_vhost(struct bench_device *d, const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	static struct client client;
	struct client *c = &client;
	const uint64_t want = BENCH_FEATURES | UINT64_C(1) << HAS_PROTOCOL_FEATURES;

	if (strlen(path) >= sizeof(a.sun_path))
		bench_die(path, "too long for a socket");
	memcpy(a.sun_path, path, strlen(path) + 1);
	c->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	c->kick = eventfd(0, EFD_CLOEXEC);
	if (c->socket < 0 || c->kick < 0 || connect(c->socket, (void *)&a, sizeof(a)))
		bench_die(path, strerror(errno));
	d->inside = c;
	d->kick = kick;
	send_message(c, &(struct message){ 0 }, SET_OWNER, 0, -1);
	if ((ask(c, GET_FEATURES) & want) != want)
		bench_die("vhost-user", "the server lacks a feature");
	ask(c, GET_PROTOCOL_FEATURES);
	tell(c, SET_PROTOCOL_FEATURES, 0, -1);
	tell(c, SET_FEATURES, want, -1);
	share_memory(c, d);
	start_queue(c, d);
}
