/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The guest's end of tests/guest/vsock.py.
 *
 *   vsock_peer call PORT BYTES   send a pattern to the host; the same must come back
 *   vsock_peer serve PORT        return what the first who connects sends
 *   vsock_peer cid               print our own number
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Needs <sys/socket.h> first. */
#include <linux/vm_sockets.h>

static int fail(const char *what)
{
	printf("hull: %s: %s\n", what, strerror(errno));
	return 1;
}

static unsigned char pattern(size_t at)
{
	return (unsigned char)(at * 131 >> 4);
}

static int call(int fd, const struct sockaddr_vm *to, size_t total)
{
	static unsigned char buf[32768];
	size_t sent = 0, got = 0;

	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)))
		return fail("connect");
	while (got < total) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (sent < total)
			p.events |= POLLOUT;
		if (poll(&p, 1, 20000) <= 0)
			return fail("poll");
		if (p.revents & POLLOUT) {
			size_t part = total - sent < sizeof(buf) ? total - sent : sizeof(buf);

			for (size_t i = 0; i < part; i++)
				buf[i] = pattern(sent + i);
			n = send(fd, buf, part, MSG_DONTWAIT);
			if (n < 0 && errno != EAGAIN)
				return fail("send");
			sent += n > 0 ? (size_t)n : 0;
			if (sent == total)
				shutdown(fd, SHUT_WR);
		}
		if (!(p.revents & ~POLLOUT))
			continue;
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return fail("receive");
		for (ssize_t i = 0; i < n; i++, got++)
			if (buf[i] != pattern(got))
				return fail("wrong byte");
	}
	printf("hull: called %zu\n", got);
	return 0;
}

static int serve(int fd, const struct sockaddr_vm *at)
{
	static char buf[32768];
	size_t total = 0;
	ssize_t n;
	int peer;

	if (bind(fd, (const struct sockaddr *)at, sizeof(*at)) || listen(fd, 4))
		return fail("listen");
	printf("hull: serving\n");
	fflush(stdout);
	peer = accept(fd, NULL, NULL);
	while (peer >= 0 && (n = read(peer, buf, sizeof(buf))) > 0) {
		for (ssize_t done = 0, m; done < n; done += m) {
			m = write(peer, buf + done, (size_t)(n - done));
			if (m < 0)
				return fail("write");
		}
		total += (size_t)n;
	}
	close(peer);
	printf("hull: served %zu\n", total);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_vm a = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST };
	unsigned cid;
	int fd;

	if (argc < 3) {
		fd = open("/dev/vsock", O_RDONLY);
		if (fd < 0 || ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid))
			return fail("cid");
		printf("hull: cid %u\n", cid);
		return 0;
	}
	fd = socket(AF_VSOCK, SOCK_STREAM, 0);
	if (fd < 0)
		return fail("socket");
	a.svm_port = (unsigned)strtoul(argv[2], NULL, 10);
	if (argc > 3)
		return call(fd, &a, strtoul(argv[3], NULL, 10));
	a.svm_cid = VMADDR_CID_ANY;
	return serve(fd, &a);
}
