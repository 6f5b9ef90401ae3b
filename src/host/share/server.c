/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The 9P server: requests in, answers out, worker threads between; see share.h.
 *
 * A request that cannot wait is answered by the thread that submits it.  Everything else goes to
 * workers, so that a slow file system holds up no vCPU.  Tflush cancels what no worker has begun,
 * and otherwise is answered right after the request that it names.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "host/os/os.h"
#include "host/share/share_impl.h"

enum { OTHER_FDS = 512 /* of the process, not for guests */ };

static const struct op_row rows[P9_TYPES] = {
	[P9_TVERSION] = { op_version, false, true },
	[P9_TAUTH] = { op_auth, false, true },
	[P9_TATTACH] = { op_attach, false, false },
	[P9_TWALK] = { op_walk, false, true },
	[P9_TCLUNK] = { op_clunk, false, true },
	[P9_TREMOVE] = { op_remove, false, false }, /* clunks even where it may not remove */
	[P9_TSTATFS] = { op_statfs, false, false },
	[P9_TLOPEN] = { op_lopen, false, false },
	[P9_TLCREATE] = { op_lcreate, true, false },
	[P9_TREAD] = { op_read, false, true },
	[P9_TWRITE] = { op_write, true, false },
	[P9_TFSYNC] = { op_fsync, false, false },
	[P9_TLOCK] = { op_lock, false, false },
	[P9_TGETLOCK] = { op_getlock, false, false },
	[P9_TREADDIR] = { op_readdir, false, false },
	[P9_TSYMLINK] = { op_symlink, true, false },
	[P9_TMKNOD] = { op_mknod, true, false },
	[P9_TMKDIR] = { op_mkdir, true, false },
	[P9_TLINK] = { op_link, true, false },
	[P9_TRENAME] = { op_rename, true, false },
	[P9_TRENAMEAT] = { op_renameat, true, false },
	[P9_TUNLINKAT] = { op_unlinkat, true, false },
	[P9_TREADLINK] = { op_readlink, false, false },
	[P9_TGETATTR] = { op_getattr, false, true },
	[P9_TSETATTR] = { op_setattr, true, false },
	[P9_TXATTRWALK] = { op_xattrwalk, false, false },
	[P9_TXATTRCREATE] = { op_xattrcreate, true, false },
};

static struct share *of(struct hull_share *s)
{
	return (struct share *)s;
}

static void set_header(struct hull_share_req *req, uint32_t len, uint8_t type)
{
	store_le32(req->reply, len + req->data_moved);
	req->reply[4] = type;
	store_le16(req->reply + 5, req->tag);
	req->reply_len = len;
}

static void answer_error(struct hull_share_req *req, int error)
{
	req->data_moved = 0;
	store_le32(req->reply + P9_HEADER, (uint32_t)error);
	set_header(req, P9_ERROR, P9_RLERROR);
}

/* What can be checked of every message; *ret: what it asks for. */
static int check(struct op *o, const struct op_row **ret)
{
	const struct hull_share_req *req = o->req;
	uint32_t size = load_le32(req->msg);
	uint8_t type = req->msg[4];

	if (type >= P9_TYPES || !rows[type].fn)
		return EOPNOTSUPP;
	if (size < P9_HEADER || size > (uint64_t)req->msg_len + req->data_len)
		return EPROTO;
	*ret = &rows[type];
	if (!o->msize && type != P9_TVERSION)
		return EPROTO;
	if ((*ret)->writes && o->s->read_only)
		return EROFS;
	/* Old clients leave the data of Twrite out of the size. */
	o->in.left = MIN(size, req->msg_len) - P9_HEADER;
	return 0;
}

/* Perform: 0 and the answer is there, or LATER. */
static int perform(struct share *s, struct hull_share_req *req, bool now)
{
	struct op o = {
		.s = s,
		.req = req,
		.in = { .p = req->msg + P9_HEADER },
		.out = { .buf = req->reply, .len = P9_HEADER, .max = req->reply_max },
		.now = now,
	};
	const struct op_row *row;
	int r;

	pthread_mutex_lock(&s->lock);
	o.session = s->session;
	o.msize = s->msize;
	pthread_mutex_unlock(&s->lock);
	if (o.msize)
		o.out.max = MIN(o.out.max, o.msize);
	req->data_moved = 0;
	r = check(&o, &row);
	if (!r)
		r = now && !row->may_now ? LATER : row->fn(&o);
	if (r == LATER)
		return LATER;
	if (!r && o.out.full)
		r = EMSGSIZE;
	if (r)
		answer_error(req, r);
	else
		set_header(req, o.out.len, req->msg[4] + 1);
	return 0;
}

static void unlink_active(struct share *s, struct hull_share_req *req)
{
	if (req->prev)
		req->prev->next = req->next;
	else
		s->active = req->next;
	if (req->next)
		req->next->prev = req->prev;
}

static void link_active(struct share *s, struct hull_share_req *req)
{
	req->prev = NULL;
	req->next = s->active;
	if (req->next)
		req->next->prev = req;
	s->active = req;
	s->pending++;
}

/* A request of which the device hears now: what it is flushed by has to wait for that, too. */
struct telling {
	struct telling *next;
	struct hull_share_req *flushes;
	uint16_t tag;
};

static void forget(struct share *s, const struct telling *t)
{
	struct telling **at = &s->telling;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
}

/* A request has its answer: the device hears of it, then of the flushes that waited for it. */
static void finish(struct share *s, struct hull_share_req *req)
{
	struct telling t = { .tag = req->tag };

	pthread_mutex_lock(&s->lock);
	unlink_active(s, req);
	t.flushes = req->flushes;
	t.next = s->telling;
	s->telling = &t;
	pthread_mutex_unlock(&s->lock);
	if (!s->at_once)
		req->done(req);
	pthread_mutex_lock(&s->lock);
	forget(s, &t);
	if (!--s->pending)
		pthread_cond_broadcast(&s->idle);
	if (s->at_once)
		pthread_cond_broadcast(&s->answered);
	pthread_mutex_unlock(&s->lock);
	while (t.flushes) {
		struct hull_share_req *f = t.flushes;

		t.flushes = f->waiting;
		set_header(f, P9_HEADER, P9_TFLUSH + 1);
		finish(s, f);
	}
}

static void *worker(void *arg)
{
	struct share *s = arg;

	/* The mode that a client asks for is the mode that it gets. */
	if (!unshare(CLONE_FS))
		umask(0);
	pthread_mutex_lock(&s->lock);
	for (;;) {
		struct hull_share_req *req = s->first;
		bool cancelled;

		if (!req) {
			if (s->quit)
				break;
			pthread_cond_wait(&s->work, &s->lock);
			continue;
		}
		s->first = req->waiting;
		cancelled = req->flushes;
		pthread_mutex_unlock(&s->lock);
		if (cancelled)
			req->reply_len = req->data_moved = 0;
		else
			perform(s, req, false);
		finish(s, req);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void enqueue(struct share *s, struct hull_share_req *req)
{
	req->waiting = NULL;
	if (s->first)
		s->last->waiting = req;
	else
		s->first = req;
	s->last = req;
	pthread_cond_signal(&s->work);
}

/* Tflush: 1: answered; 0: it waits for the request that it names. */
static int flush(struct share *s, struct hull_share_req *req)
{
	struct hull_share_req *t, **list = NULL;
	struct telling *told;
	uint16_t tag;

	if (req->msg_len < P9_HEADER + 2) {
		answer_error(req, EPROTO);
		return 1;
	}
	tag = load_le16(req->msg + P9_HEADER);
	pthread_mutex_lock(&s->lock);
	for (told = s->telling; told; told = told->next)
		if (told->tag == tag)
			list = &told->flushes;
	for (t = s->active; t; t = t->next)
		if (t->tag == tag)
			list = &t->flushes;
	if (list) {
		req->waiting = *list;
		*list = req;
		link_active(s, req);
	}
	pthread_mutex_unlock(&s->lock);
	if (list)
		return 0;
	set_header(req, P9_HEADER, P9_TFLUSH + 1);
	return 1;
}

static int submit(struct hull_share *base, struct hull_share_req *req)
{
	struct share *s = of(base);

	req->flushes = req->waiting = NULL;
	req->reply_len = req->data_moved = 0;
	req->tag = load_le16(req->msg + 5);
	if (req->msg[4] == P9_TFLUSH)
		return flush(s, req);
	if (!s->at_once && !s->never_now && perform(s, req, true) != LATER)
		return 1;
	pthread_mutex_lock(&s->lock);
	link_active(s, req);
	enqueue(s, req);
	if (s->at_once) {
		while (s->pending)
			pthread_cond_wait(&s->answered, &s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return s->at_once;
}

static void drain(struct hull_share *base)
{
	struct share *s = of(base);

	pthread_mutex_lock(&s->lock);
	while (s->pending)
		pthread_cond_wait(&s->idle, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static void reset(struct hull_share *base)
{
	struct share *s = of(base);

	pthread_mutex_lock(&s->lock);
	s->session++;
	s->msize = 0;
	pthread_mutex_unlock(&s->lock);
	fid_remove_all(s);
}

void hull_share_usage(struct hull_share *base, struct hull_share_use *ret)
{
	struct share *s = of(base);

	pthread_mutex_lock(&s->lock);
	*ret = (struct hull_share_use){ s->nfids, s->nfds, s->xattr_bytes };
	pthread_mutex_unlock(&s->lock);
}

uint32_t hull_share_raise_limit(unsigned shares)
{
	struct rlimit l;
	rlim_t each;

	if (getrlimit(RLIMIT_NOFILE, &l))
		return FDS_DEFAULT;
	if (l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		/* If it fails, the guest sees EMFILE earlier. */
		(void)setrlimit(RLIMIT_NOFILE, &l);
		(void)getrlimit(RLIMIT_NOFILE, &l);
	}
	each = l.rlim_cur > 2 * OTHER_FDS ? l.rlim_cur - OTHER_FDS : l.rlim_cur / 2;
	each /= MAX(shares, 1u);
	return (uint32_t)MIN(each, (rlim_t)FIDS_MAX);
}

static int cannot(const struct hull_share_options *o, int error, struct hull_err *err)
{
	char reason[64];

	hull_fail(err, hull_os_error(error), error == ENOTDIR ? 941 : 940,
	          "cannot share \"%s\": %s", o->path,
	          hull_os_reason(error, reason, sizeof(reason)));
	hull_err_fix(err,
	             error == ENOENT ? "check the path, or make it: mkdir -p %s"
	                             : "share a directory that you may read: --share DIR",
	             o->path);
	return hull_os_error(error);
}

/* What the confinement stands on must be there; better no share than one without. */
static int probe_kernel(struct share *s, int root, struct hull_err *err)
{
	int fd, r;

	if (step(s, root, ".", false, &fd)) {
		hull_fail(err, HULL_ENOTSUP, 943,
		          "directories cannot be shared here: the kernel has no openat2()");
		hull_err_fix(err,
		             "Linux 5.6 or newer is needed, and a sandbox that allows openat2");
		return HULL_ENOTSUP;
	}
	close(fd);
	s->cached = true;
	r = step(s, root, ".", true, &fd);
	if (!r)
		close(fd);
	s->cached = !r || r == LATER;
	s->proc = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->proc < 0)
		return hull_fail(err, HULL_ENOTSUP, 943,
		                 "directories cannot be shared here: /proc is not mounted");
	return 0;
}

/* File systems that answer from memory what they have there. */
static bool is_local(int fd)
{
	static const uint32_t
		types[] = { EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC,  BTRFS_SUPER_MAGIC,
		            TMPFS_MAGIC,      F2FS_SUPER_MAGIC, 0x2fc12fc1 /* ZFS */ };
	struct statfs st;

	if (fstatfs(fd, &st))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if ((uint32_t)st.f_type == types[i])
			return true;
	return false;
}

static int open_root(struct share *s, const struct hull_share_options *o, struct hull_err *err)
{
	struct statx st;
	int fd = open(o->path, O_PATH | O_DIRECTORY | O_CLOEXEC), probe, r;

	if (fd < 0)
		return cannot(o, errno, err);
	r = probe_kernel(s, fd, err);
	if (r) {
		close(fd);
		return r;
	}
	/* May it be read at all?  Now is the time to say so. */
	probe = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = probe < 0 ? errno : stat_fd(fd, &st);
	if (probe >= 0)
		close(probe);
	if (r) {
		close(fd);
		return cannot(o, r, err);
	}
	s->local = is_local(fd);
	r = node_new(s, fd, &st, &s->root);
	if (!r)
		r = learn_root(s);
	return r ? cannot(o, r, err) : 0;
}

static int start(struct share *s, const struct hull_share_options *o, struct hull_err *err)
{
	int r;

	if ((o->uid == HULL_SHARE_KEEP_IDS) != (o->gid == HULL_SHARE_KEEP_IDS))
		return hull_fail(err, HULL_EINVAL, 942, "keep both uid and gid, or neither");
	if (o->uid == HULL_SHARE_KEEP_IDS && geteuid()) {
		hull_fail(err, HULL_EPERM, 942,
		          "only root can give files to the guest's users: \"%s\"", o->path);
		hull_err_fix(err, "leave map away: the guest's files then are yours");
		return HULL_EPERM;
	}
	r = open_root(s, o, err);
	if (r)
		return r;
	for (s->nworkers = 0; !r && s->nworkers < WORKERS; s->nworkers += !r)
		r = hull_os_thread(&s->worker[s->nworkers], "hull-share", worker, s, err);
	return r;
}

int hull_share_open(const struct hull_share_options *o, struct hull_share **ret,
                    struct hull_err *err)
{
	struct share *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a shared directory");
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->path_lock, NULL);
	pthread_mutex_init(&s->id_lock, NULL);
	pthread_cond_init(&s->work, NULL);
	pthread_cond_init(&s->idle, NULL);
	pthread_cond_init(&s->answered, NULL);
	hull_text_copy(s->base.tag, sizeof(s->base.tag), o->tag);
	s->base.submit = submit;
	s->base.drain = drain;
	s->base.reset = reset;
	s->read_only = o->read_only;
	s->at_once = o->at_once;
	s->never_now = o->never_now;
	s->uid = o->uid;
	s->gid = o->gid;
	s->max_fds = o->max_fds ? o->max_fds : FDS_DEFAULT;
	s->proc = -1;
	r = start(s, o, err);
	if (r) {
		hull_share_close(&s->base);
		return r;
	}
	*ret = &s->base;
	return 0;
}

void hull_share_close(struct hull_share *base)
{
	struct share *s = of(base);

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->quit = true;
	pthread_cond_broadcast(&s->work);
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < s->nworkers; i++)
		pthread_join(s->worker[i], NULL);
	reset(base);
	node_put(s, s->root);
	if (s->proc >= 0)
		close(s->proc);
	free(s->root_path);
	pthread_cond_destroy(&s->answered);
	pthread_cond_destroy(&s->idle);
	pthread_cond_destroy(&s->work);
	pthread_mutex_destroy(&s->id_lock);
	pthread_mutex_destroy(&s->path_lock);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
