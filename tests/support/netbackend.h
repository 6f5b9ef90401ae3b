/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A network in memory, for tests: keeps what the guest sends, has room for as many frames as it is
 * told, and hands over what the test gives it.  One thread.
 */
#ifndef TESTS_SUPPORT_NETBACKEND_H
#define TESTS_SUPPORT_NETBACKEND_H

#include "core/backend.h"

enum { NETBACKEND_FRAMES = 2048 };

struct netbackend {
	struct hull_net n; /* first */
	unsigned room;     /* frames that send() still takes */
	unsigned refused, ready;
	unsigned nout, seen; /* frames kept; those that netbackend_next() returned */
	struct netbackend_frame {
		struct hull_net_frame f; /* segs is NULL */
		uint8_t *data;
	} out[NETBACKEND_FRAMES];
};

struct netbackend *netbackend_new(void);
void netbackend_free(struct netbackend *b);

/* The next frame that the guest sent, or NULL. */
const struct netbackend_frame *netbackend_next(struct netbackend *b);
void netbackend_forget(struct netbackend *b);

/* A frame arrives, `f` with its segs set to `data`; or a plain one.  False: refused. */
bool netbackend_in(struct netbackend *b, struct hull_net_frame f, const void *data, uint32_t len);
bool netbackend_plain(struct netbackend *b, const void *data, uint32_t len);

#endif
