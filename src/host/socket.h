/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Stream sockets, Unix and TCP, with bounded waiting.
 *
 * Addresses are written "unix:PATH" or "tcp:HOST:PORT"; an IPv6 host stands
 * in brackets.  Descriptors close on exec and raise no SIGPIPE here.
 *
 * Threading: independent calls from any thread; one reader and one writer per
 * descriptor at a time.
 *
 * Catalogue: E0510 not an address, E0511 no connection, E0512 cannot listen.
 */
#ifndef HULL_HOST_SOCKET_H
#define HULL_HOST_SOCKET_H

#include <sys/uio.h>

#include <hull/error.h>
#include <hull/types.h>

/* Connect within `timeout_ms`.  A descriptor >= 0, or HULL_E.... */
int hull_socket_connect(const char *address, int timeout_ms,
                        struct hull_err *err) HULL_CHECK_RESULT;

/*
 * Listen.  A Unix socket gets mode 0600, and takes the place of one that
 * nobody listens on any more; TCP port 0 lets the host choose.
 */
int hull_socket_listen(const char *address, struct hull_err *err) HULL_CHECK_RESULT;

/* The TCP port that a listening descriptor has, 0 for others. */
unsigned hull_socket_port(int fd);

/*
 * Move exactly `len` bytes; `timeout_ms` (-1: none) is for each wait, not for
 * all.  False: the peer has gone, is silent, or shutdown() was called.
 */
bool hull_socket_read(int fd, void *buf, size_t len, int timeout_ms);
bool hull_socket_write(int fd, const void *buf, size_t len, int timeout_ms);

/* The same for all bytes of an iovec, which is used up. */
bool hull_socket_readv(int fd, struct iovec *iov, int n, int timeout_ms);
bool hull_socket_writev(int fd, struct iovec *iov, int n, int timeout_ms);

/* Read and forget `len` bytes. */
bool hull_socket_skip(int fd, uint64_t len, int timeout_ms);

#endif
