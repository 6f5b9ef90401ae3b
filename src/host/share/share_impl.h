/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Inside the 9P server.  server.c takes requests in and hands them to threads; fid.c knows what
 * the client holds; confine.c turns names into descriptors; ops_*.c are the messages.
 *
 * Functions return 0 or a positive errno value, which is what the client gets: both sides of
 * 9P2000.L use Linux's numbers.
 */
#ifndef HULL_HOST_SHARE_SHARE_IMPL_H
#define HULL_HOST_SHARE_SHARE_IMPL_H

#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "host/share/share.h"
#include "host/share/wire.h"

enum {
	NAME_BYTES = 256,      /* a file name and its NUL */
	FIDS_MAX = 1 << 17,    /* of a client */
	FDS_DEFAULT = 1 << 16, /* descriptors, unless the options say otherwise */
	BUCKETS = 1 << 13,     /* of the table of fids */
	WORKERS = 4,           /* threads */
	XATTR_MAX = 65536,     /* bytes of one extended attribute, as Linux has it */
	XATTR_TOTAL = 1 << 20, /* bytes of all that are being read or written */
	MSIZE_MIN = 4096,      /* of a message: Linux insists on it, too */
	MSIZE_MAX = 512 << 10, /* of a message */
	PREFIXES = 256,        /* (device, high bits of inode number) that occur */
	NOFID = -1,
};

/* Not an errno: the request would wait; give it to a worker. */
enum { LATER = -1 };

/* A file of the host: an O_PATH descriptor, shared by the fids that were cloned from one another.
 */
struct node {
	unsigned refs; /* under share->lock */
	int fd;
	mode_t type; /* S_IFMT bits */
	uint64_t dev;
	struct qid qid;
};

enum fid_mode { FID_PLAIN, FID_OPEN, FID_XATTR_READ, FID_XATTR_WRITE };

struct fid {
	uint32_t id;
	unsigned refs; /* under share->lock */
	struct fid *next;
	struct node *node; /* under share->lock */
	uint32_t uid;      /* for whom the client attached */
	/* Held while the following change; what is open stays so until the fid is freed. */
	pthread_mutex_t lock;
	enum fid_mode mode;
	bool writable;
	int io;      /* the opened file or directory, or -1 */
	int64_t pos; /* of a directory: where the next getdents64() continues */
	uint8_t *xattr;
	uint32_t xattr_size, xattr_filled;
	uint32_t xattr_flags;
	char *xattr_name;
};

struct share {
	struct hull_share base;
	bool read_only, at_once, never_now;
	bool local;  /* a file system whose cached inodes never wait for anything */
	bool cached; /* the kernel knows RESOLVE_CACHED */
	uint32_t uid, gid;
	uint32_t max_fds;
	int proc; /* /proc/self/fd */
	struct node *root;

	pthread_mutex_t path_lock;
	char *root_path; /* where the root was when last looked at */

	pthread_mutex_t id_lock;
	struct {
		uint64_t dev, high;
	} prefix[PREFIXES];
	unsigned nprefixes;

	pthread_mutex_t lock; /* everything below */
	pthread_cond_t work, idle, answered;
	struct fid *bucket[BUCKETS];
	uint32_t nfids, nfds;
	uint64_t xattr_bytes;
	uint32_t session, msize;             /* msize 0: no version has been agreed on */
	struct hull_share_req *first, *last; /* waiting for a worker */
	struct hull_share_req *active;       /* all that are not answered yet */
	struct telling *telling;             /* those whose done() runs */
	unsigned pending;                    /* those, and those whose done() runs */
	unsigned nworkers;
	pthread_t worker[WORKERS];
	bool quit;
};

/* A request while it is performed. */
struct op {
	struct share *s;
	struct hull_share_req *req;
	struct wire_in in;
	struct wire_out out;
	uint32_t session, msize;
	bool now; /* must not wait: LATER, with nothing changed, if it would */
};

/*
 * fid.c.  fid_get: the fid, to be given back with fid_put, or NULL (EBADF).  fid_add: a new fid
 * that takes over the reference to `node` even if it fails.  fid_remove: takes it out of the table;
 * its resources go with its last reference.
 */
struct fid *fid_get(struct op *o, uint32_t id);
void fid_put(struct share *s, struct fid *f);
int fid_add(struct op *o, uint32_t id, struct node *node, uint32_t uid);
void fid_remove(struct share *s, struct fid *f);
void fid_remove_all(struct share *s);
/* Would removing it be all that happens: nobody else uses it and nothing was written? */
bool fid_is_light(struct share *s, struct fid *f);
/* The fid's node with a reference of its own; set: takes over a reference. */
struct node *fid_node(struct share *s, struct fid *f);
void fid_set_node(struct share *s, struct fid *f, struct node *node);
struct node *node_ref(struct share *s, struct node *n);
void node_put(struct share *s, struct node *n);
/* A node of an O_PATH descriptor, which it takes over even on failure. */
int node_new(struct share *s, int fd, const struct statx *st, struct node **ret);
/* Count descriptors that the client holds: EMFILE if it may not hold one more. */
int fd_claim(struct share *s);
void fd_release(struct share *s, int fd);
int xattr_claim(struct share *s, uint32_t bytes);

/*
 * confine.c.  step: the file `name` of the directory, as an O_PATH descriptor.  stat_fd: what the
 * server knows about a file.  inside: 0 if the file is in the shared directory now, else ESTALE.
 * reopen: the file of an O_PATH descriptor with other flags; only for regular files and
 * directories.  link_name: the text by which s->proc knows the descriptor.
 */
int step(struct share *s, int dir, const char *name, bool now, int *ret_fd);
/* As openat(), by the call that step() makes, so that a sandbox need allow one only. */
int open_plain(int dir, const char *path, int flags, uint32_t mode);
int stat_fd(int fd, struct statx *ret);
int stat_name(int dir, const char *name, struct statx *ret);
int inside(struct share *s, int fd);
int reopen(struct share *s, const struct node *n, int flags, int *ret_fd);
const char *link_name(char buf[16], int fd);
/* Where the file is: its directory as an O_PATH descriptor, and its name there, verified. */
int locate(struct share *s, const struct node *n, int *ret_dir, char name[NAME_BYTES]);
int qid_path(struct share *s, uint64_t dev, uint64_t ino, uint64_t *ret);
int qid_of(struct share *s, const struct statx *st, struct qid *ret);
static inline uint64_t dev_of(const struct statx *st)
{
	return (uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor;
}

int learn_root(struct share *s);

/* A name that a client may use: one component, not "." or "..".  EINVAL, EACCES, ENAMETOOLONG. */
int check_name(const char *name, uint32_t len);
int get_name(struct op *o, char name[NAME_BYTES]);

/* server.c: what a message is, and who does it. */
typedef int op_fn(struct op *o);
struct op_row {
	op_fn *fn;
	bool writes;  /* refused with EROFS if the share is read-only */
	bool may_now; /* knows o->now */
};

op_fn op_version, op_auth, op_attach, op_walk, op_clunk, op_remove, op_statfs;
op_fn op_lopen, op_lcreate, op_read, op_write, op_fsync, op_lock, op_getlock, op_readdir;
op_fn op_symlink, op_mknod, op_mkdir, op_link, op_rename, op_renameat, op_unlinkat, op_readlink;
op_fn op_getattr, op_setattr, op_xattrwalk, op_xattrcreate;

/* ops_attr.c, for ops_session.c: store an attribute that was written to the fid. */
int xattr_commit(struct share *s, struct fid *f);

#endif
