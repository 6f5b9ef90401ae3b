/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A 9P2000.L client for tests, right at the server's front door: messages of any contents, and
 * calls for the usual ones.  Answers are checked for form; a malformed one ends the process.
 *
 * Threading: one thread for each client; several clients may share a server and its session.
 */
#ifndef TESTS_SUPPORT_P9CLIENT_H
#define TESTS_SUPPORT_P9CLIENT_H

#include <pthread.h>

#include "host/share/share.h"
#include "host/share/wire.h"

enum { P9_DATA = 1 << 20 };

struct p9 {
	struct hull_share *share;
	struct hull_share_req req;
	struct hull_block_seg seg[3];
	uint8_t msg[20000], reply[16384];
	struct wire_out t; /* the T-message being written */
	struct wire_in r;  /* the rest of the answer */
	uint8_t *data;     /* P9_DATA bytes */
	uint16_t tag;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool answered;
};

struct p9_attr {
	struct qid qid;
	uint32_t mode, uid, gid;
	uint64_t nlink, rdev, size;
	uint64_t mtime, mtime_ns;
};

struct p9 *p9_new(struct hull_share *s);
void p9_free(struct p9 *c);

/* Start a message; its fields follow by put8() and so on into &c->t. */
struct wire_out *p9_begin(struct p9 *c, uint8_t type);
void p9_text(struct p9 *c, const char *s);
/*
 * Send it: 0 or the errno of Rlerror.  `len` bytes of data are Twrite's or the room for Rread.
 * p9_send and p9_wait are the halves; p9_wait says -1 if there was no answer (flushed).
 */
int p9_call(struct p9 *c, uint32_t len);
void p9_send(struct p9 *c, uint32_t len);
int p9_wait(struct p9 *c);

int p9_version(struct p9 *c, uint32_t msize);
int p9_attach(struct p9 *c, uint32_t fid);
/* `path`: components with slashes between, none for a clone; ENOENT if it went only part of it. */
int p9_walk(struct p9 *c, uint32_t fid, uint32_t to, const char *path);
int p9_open(struct p9 *c, uint32_t fid, uint32_t flags);
int p9_create(struct p9 *c, uint32_t fid, const char *name, uint32_t flags, uint32_t mode);
/* Bytes, or the negative errno. */
int p9_read(struct p9 *c, uint32_t fid, uint64_t at, void *buf, uint32_t len);
int p9_write(struct p9 *c, uint32_t fid, uint64_t at, const void *buf, uint32_t len);
int p9_clunk(struct p9 *c, uint32_t fid);
int p9_remove(struct p9 *c, uint32_t fid);
int p9_getattr(struct p9 *c, uint32_t fid, struct p9_attr *ret);
int p9_mkdir(struct p9 *c, uint32_t dir, const char *name, uint32_t mode);
int p9_symlink(struct p9 *c, uint32_t dir, const char *name, const char *target);
int p9_mknod(struct p9 *c, uint32_t dir, const char *name, uint32_t mode);
int p9_link(struct p9 *c, uint32_t dir, uint32_t fid, const char *name);
int p9_rename(struct p9 *c, uint32_t fid, uint32_t dir, const char *name);
int p9_renameat(struct p9 *c, uint32_t a, const char *from, uint32_t b, const char *to);
int p9_unlinkat(struct p9 *c, uint32_t dir, const char *name, uint32_t flags);
/* The target, NUL-terminated. */
int p9_readlink(struct p9 *c, uint32_t fid, char *buf, uint32_t size);
/* How many entries, or the negative errno; each is given to `entry`, if that is not NULL. */
int p9_readdir(struct p9 *c, uint32_t fid, uint64_t *at, uint32_t count,
               void (*entry)(void *arg, const char *name, const struct qid *qid, uint8_t type),
               void *arg);
int p9_lock(struct p9 *c, uint32_t fid, uint8_t type, uint64_t start, uint64_t len);

#endif
