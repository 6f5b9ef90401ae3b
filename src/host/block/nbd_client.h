/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The first half of the NBD client: the negotiation.  See nbd.h.
 *
 * Threading: one thread per connection.
 */
#ifndef HULL_HOST_BLOCK_NBD_CLIENT_H
#define HULL_HOST_BLOCK_NBD_CLIENT_H

#include "host/block/nbd.h"

/* How long the client waits for a server that says nothing. */
enum { NBD_SHAKE_MS = 10000, NBD_REPLY_MS = 30000 };

/* What was agreed. */
struct nbd_export {
	uint64_t size;       /* bytes */
	uint16_t flags;      /* NBD_HAS_FLAGS... */
	uint32_t data_max;   /* bytes of one request */
	bool structured;     /* replies come in chunks */
	bool has_map;        /* base:allocation may be asked for */
	uint32_t context_id; /* of base:allocation */
};

/*
 * Connect and negotiate.  A descriptor >= 0, or HULL_E....  The server's words in
 * an error are cut and cleaned.
 */
int nbd_connect(const struct hull_nbd_address *a, struct nbd_export *ret,
                struct hull_err *err) HULL_CHECK_RESULT;

#endif
