/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Network block devices: what client and server share, and the server.
 *
 * Spec: the NBD project's proto.md ("NBD protocol"): fixed newstyle negotiation, simple
 * and structured replies, the metadata context base:allocation.  No TLS.
 *
 * The client is the image format "nbd" (nbd_client.c).  Its paths:
 *
 *	nbd://HOST[:PORT]/EXPORT                 nbd+unix:///EXPORT?socket=PATH
 *	nbd:HOST:PORT[:exportname=EXPORT]        nbd:unix:PATH[:exportname=EXPORT]
 *
 * Catalogue: E0340 not such a path, E0341 the server refuses or breaks the
 * protocol, E0342 the server wants what Hull cannot do.
 */
#ifndef HULL_HOST_BLOCK_NBD_H
#define HULL_HOST_BLOCK_NBD_H

#include <hull/error.h>
#include <hull/types.h>

struct hull_image;

enum { HULL_NBD_PORT = 10809, HULL_NBD_NAME_MAX = 255 };

/* Requests and replies carry at most this much data: the size that every server takes. */
#define NBD_DATA_MAX (UINT32_C(32) << 20)

#define NBD_MAGIC           UINT64_C(0x4e42444d41474943) /* "NBDMAGIC" */
#define NBD_OPTION_MAGIC    UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define NBD_OPT_REPLY_MAGIC UINT64_C(0x3e889045565a9)
#define NBD_REQUEST_MAGIC   0x25609513u
#define NBD_SIMPLE_MAGIC    0x67446698u
#define NBD_CHUNK_MAGIC     0x668e33efu

/* Handshake: both sides' flags. */
enum { NBD_FIXED_NEWSTYLE = 1, NBD_NO_ZEROES = 2 };

enum {
	NBD_OPT_EXPORT_NAME = 1,
	NBD_OPT_ABORT = 2,
	NBD_OPT_LIST = 3,
	NBD_OPT_STARTTLS = 5,
	NBD_OPT_INFO = 6,
	NBD_OPT_GO = 7,
	NBD_OPT_STRUCTURED_REPLY = 8,
	NBD_OPT_LIST_META_CONTEXT = 9,
	NBD_OPT_SET_META_CONTEXT = 10,
};

enum {
	NBD_REP_ACK = 1,
	NBD_REP_SERVER = 2,
	NBD_REP_INFO = 3,
	NBD_REP_META_CONTEXT = 4,
};
#define NBD_REP_ERROR       0x80000000u
#define NBD_REP_ERR_UNSUP   (NBD_REP_ERROR + 1)
#define NBD_REP_ERR_POLICY  (NBD_REP_ERROR + 2)
#define NBD_REP_ERR_INVALID (NBD_REP_ERROR + 3)
#define NBD_REP_ERR_TLS     (NBD_REP_ERROR + 5)
#define NBD_REP_ERR_UNKNOWN (NBD_REP_ERROR + 6)
#define NBD_REP_ERR_TOO_BIG (NBD_REP_ERROR + 9)

enum { NBD_INFO_EXPORT = 0, NBD_INFO_BLOCK_SIZE = 3 };

/* Transmission flags of an export. */
enum {
	NBD_HAS_FLAGS = 1,
	NBD_READ_ONLY = 2,
	NBD_SEND_FLUSH = 4,
	NBD_SEND_FUA = 8,
	NBD_SEND_TRIM = 32,
	NBD_SEND_WRITE_ZEROES = 64,
	NBD_SEND_DF = 128,
	NBD_CAN_MULTI_CONN = 256,
};

enum {
	NBD_CMD_READ = 0,
	NBD_CMD_WRITE = 1,
	NBD_CMD_DISC = 2,
	NBD_CMD_FLUSH = 3,
	NBD_CMD_TRIM = 4,
	NBD_CMD_WRITE_ZEROES = 6,
	NBD_CMD_BLOCK_STATUS = 7,
};
enum { NBD_CMD_FUA = 1, NBD_CMD_NO_HOLE = 2, NBD_CMD_REQ_ONE = 8 };
enum { NBD_REQUEST_BYTES = 28, NBD_SIMPLE_BYTES = 16, NBD_CHUNK_BYTES = 20 };

enum {
	NBD_CHUNK_NONE = 0,
	NBD_CHUNK_DATA = 1,
	NBD_CHUNK_HOLE = 2,
	NBD_CHUNK_STATUS = 5,
	NBD_CHUNK_ERROR = 0x8001,
	NBD_CHUNK_ERROR_AT = 0x8002,
};
enum { NBD_CHUNK_DONE = 1 };

/* base:allocation */
enum { NBD_STATE_HOLE = 1, NBD_STATE_ZERO = 2 };

/* Errors on the wire. */
enum {
	NBD_EPERM = 1,
	NBD_EIO = 5,
	NBD_ENOMEM = 12,
	NBD_EINVAL = 22,
	NBD_ENOSPC = 28,
	NBD_EOVERFLOW = 75,
	NBD_ENOTSUP = 95,
	NBD_ESHUTDOWN = 108,
};

struct hull_nbd_address {
	char socket[300];                 /* for hull_socket_connect() */
	char name[HULL_NBD_NAME_MAX + 1]; /* of the export; "" is the server's own choice */
};

/* Read one of the paths above.  HULL_EINVAL (E0340). */
int hull_nbd_parse(const char *path, struct hull_nbd_address *ret,
                   struct hull_err *err) HULL_CHECK_RESULT;

/* The path under which others reach an export: `address` as for hull_nbd_serve(), `port` its own.
 */
void hull_nbd_uri(char *dst, size_t size, const char *address, unsigned port, const char *name);

struct hull_nbd_server;

struct hull_nbd_serve {
	struct hull_image *image; /* referenced while the server runs */
	const char *address;      /* "unix:PATH" or "tcp:HOST:PORT" */
	const char *name;         /* of the export; NULL: "" */
	bool read_only;           /* also if the image is */
	/* Called from a thread of the server when the last client has gone; may be NULL. */
	void (*idle)(void *arg);
	void *arg;
};

/*
 * Serve an image to at most 16 clients at once, each with up to 4 requests in
 * work and 32 MiB of data for each of them.  The image must not be used
 * otherwise by anybody who assumes to be alone.  HULL_EINVAL, HULL_EBUSY, HULL_EPERM (E0512),
 * HULL_ENOMEM.
 */
int hull_nbd_serve(const struct hull_nbd_serve *o, struct hull_nbd_server **ret,
                   struct hull_err *err) HULL_CHECK_RESULT;

/* The TCP port that it listens on; 0 for a Unix socket. */
unsigned hull_nbd_server_port(const struct hull_nbd_server *s);

/* Disconnect everybody, remove a Unix socket's file, flush.  NULL is fine. */
void hull_nbd_server_stop(struct hull_nbd_server *s);

#endif
