/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The host's half of virtio-vsock: Unix sockets, as Firecracker and Cloud Hypervisor have them.
 *
 *   the guest connects to port P of the host (CID 2)    Hull connects to the socket PATH_P
 *   a program connects to PATH and sends "CONNECT P\n"  Hull connects to port P of the guest and
 *                                                       answers "OK N\n", N being the port that
 *                                                       the guest sees; or hangs up
 *
 * Bounds: HULL_VSOCK_CONNS connections, among them those that have not said "CONNECT" yet, to
 * which the guest has not answered (five seconds each), or whose last bytes a program has not
 * taken (ten seconds); 64 KiB of memory for each with unsent bytes.
 *
 * Life: open -> (the VM's device is made with it) -> start -> (the VM runs) -> stop -> (the VM is
 * destroyed) -> close.  Threading: these functions from one thread; the methods as backend.h says.
 *
 * Catalogue: E0540 the socket cannot be made, E0541 the number is not for a guest, E0801 no thread.
 */
#ifndef HULL_HOST_VSOCK_VSOCK_H
#define HULL_HOST_VSOCK_VSOCK_H

#include "core/backend.h"

int hull_vsock_open(const char *path, uint64_t cid, struct hull_vsock **ret,
                    struct hull_err *err) HULL_CHECK_RESULT;

/* Begin to serve programs and to tell the device of changes. */
int hull_vsock_start(struct hull_vsock *b, struct hull_err *err) HULL_CHECK_RESULT;

/* No more callbacks when this returns.  Idempotent. */
void hull_vsock_stop(struct hull_vsock *b);

/* Give everything back, the socket's name too; NULL is fine. */
void hull_vsock_close(struct hull_vsock *b);

#endif
