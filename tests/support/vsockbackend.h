/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Programs behind virtio-vsock, for tests: what they have to say is a number, and what they are
 * told is counted.  Aborts if the device uses a connection that is not open, or lets the guest send
 * more than was agreed.  One thread.
 */
#ifndef TESTS_SUPPORT_VSOCKBACKEND_H
#define TESTS_SUPPORT_VSOCKBACKEND_H

#include "core/backend.h"

enum { VSOCKBACKEND_CID = 3 };

struct vsock_program {
	bool used, ended, gone;
	uint32_t available, unsent;
};

struct vsockbackend {
	struct hull_vsock b; /* first */
	struct vsock_program programs[HULL_VSOCK_CONNS];
	unsigned next;
};

struct vsockbackend *vsockbackend_new(void);
/* Aborts if a connection was never closed. */
void vsockbackend_free(struct vsockbackend *f);

/* A connection for a program that calls the guest; HULL_ENOMEM: none is free. */
int vsockbackend_program(struct vsockbackend *f);

#endif
