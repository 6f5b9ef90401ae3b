/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What busybox lacks, for guests with a network; static, no options.
 *
 *   netpeer udp PORT               echo datagrams for ever
 *   netpeer send HOST PORT BYTES   send zeroes over TCP, wait for the peer to close
 *   netpeer receive HOST PORT      read until the peer closes
 *
 * The last two print "netpeer: BYTES bytes NANOSECONDS ns".
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buf[1 << 16];

static long long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int echo(int port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);
	ssize_t n;

	if (bind(fd, (struct sockaddr *)&a, len))
		return 1;
	for (;;) {
		len = sizeof(a);
		n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&a, &len);
		if (n >= 0 && sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&a, len) != n)
			perror("netpeer");
	}
}

static int stream(const char *host, int port, long long bytes)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	long long start, done = 0;
	ssize_t n = 1;

	if (inet_pton(AF_INET, host, &a.sin_addr) != 1 ||
	    connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return 1;
	start = now();
	while (done < bytes && n > 0) {
		n = write(fd, buf,
		          bytes - done < (long long)sizeof(buf) ? (size_t)(bytes - done)
		                                                : sizeof(buf));
		done += n > 0 ? n : 0;
	}
	shutdown(fd, SHUT_WR);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		done += n;
	printf("netpeer: %lld bytes %lld ns\n", done, now() - start);
	return n < 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "udp"))
		return echo((int)strtol(argv[2], NULL, 10));
	if (argc == 5 && !strcmp(argv[1], "send"))
		return stream(argv[2], (int)strtol(argv[3], NULL, 10), strtoll(argv[4], NULL, 10));
	if (argc == 4 && !strcmp(argv[1], "receive"))
		return stream(argv[2], (int)strtol(argv[3], NULL, 10), 0);
	return 2;
}
