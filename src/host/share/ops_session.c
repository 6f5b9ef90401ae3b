/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Messages about the session and its fids: version, attach, walk, clunk; and statfs. */
#include <fcntl.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "host/share/share_impl.h"

/* Linux's V9FS_MAGIC: what statfs() says of any 9P file system. */
enum { FS_TYPE = 0x01021997 };

int op_version(struct op *o)
{
	static const char version[] = "9P2000.L", unknown[] = "unknown";
	struct share *s = o->s;
	uint32_t msize = get32(&o->in), len;
	const char *text = get_text(&o->in, &len);
	bool known;

	if (!text)
		return EPROTO;
	if (msize < MSIZE_MIN)
		return EMSGSIZE;
	known = len == strlen(version) && !memcmp(text, version, len);
	msize = MIN(msize, (uint32_t)MSIZE_MAX);
	pthread_mutex_lock(&s->lock);
	s->session++;
	s->msize = known ? msize : 0;
	pthread_mutex_unlock(&s->lock);
	fid_remove_all(s);
	put32(&o->out, msize);
	put_text(&o->out, known ? version : unknown, (uint32_t)strlen(known ? version : unknown));
	return 0;
}

int op_auth(struct op *o)
{
	(void)o;
	return EOPNOTSUPP;
}

int op_attach(struct op *o)
{
	struct share *s = o->s;
	uint32_t id = get32(&o->in), afid = get32(&o->in), len, uid;
	const char *user = get_text(&o->in, &len), *aname = get_text(&o->in, &len);
	struct statx st;
	struct qid qid;
	int r;

	uid = get32(&o->in);
	if (!user || !aname || o->in.bad)
		return EPROTO;
	if (afid != (uint32_t)NOFID)
		return EBADF;
	/* There is one tree; some clients call it "/". */
	if (len > 1 || (len == 1 && aname[0] != '/'))
		return ENOENT;
	r = stat_fd(s->root->fd, &st);
	if (!r)
		r = qid_of(s, &st, &qid);
	if (!r)
		r = fid_add(o, id, node_ref(s, s->root), uid);
	if (!r)
		put_qid(&o->out, &qid);
	return r;
}

struct walk {
	struct node *from;
	int fd; /* where it has come to: from->fd or a descriptor of its own */
	struct statx st;
	uint16_t names, done;
	struct qid qid[P9_WALK_MAX];
};

static void leave(struct walk *w)
{
	if (w->fd != w->from->fd)
		close(w->fd);
	w->fd = w->from->fd;
}

static int walk_one(struct op *o, struct walk *w)
{
	char name[NAME_BYTES];
	struct statx st;
	struct qid qid;
	int fd, r = get_name(o, name);

	if (!r)
		r = step(o->s, w->fd, name, o->now, &fd);
	if (r)
		return r;
	r = stat_fd(fd, &st);
	if (!r)
		r = qid_of(o->s, &st, &qid);
	if (r) {
		close(fd);
		return r;
	}
	leave(w);
	w->fd = fd;
	w->st = st;
	w->qid[w->done++] = qid;
	return 0;
}

/* All names have been walked: the file becomes a fid. */
static int arrive(struct op *o, struct walk *w, struct fid *f, uint32_t id)
{
	struct share *s = o->s;
	struct node *node;
	int r = 0;

	if (!w->names) {
		node = node_ref(s, w->from);
	} else {
		int fd = w->fd;

		r = inside(s, fd);
		if (r)
			return r;
		w->fd = w->from->fd; /* the node takes the other */
		r = node_new(s, fd, &w->st, &node);
	}
	if (r)
		return r;
	if (id != f->id)
		return fid_add(o, id, node, f->uid);
	pthread_mutex_lock(&f->lock);
	r = f->mode == FID_PLAIN ? 0 : EBUSY;
	if (!r)
		fid_set_node(s, f, node);
	pthread_mutex_unlock(&f->lock);
	if (r)
		node_put(s, node);
	return r;
}

static int walk(struct op *o, struct walk *w, struct fid *f, uint32_t id)
{
	int r = 0;

	while (!r && w->done < w->names)
		r = walk_one(o, w);
	if (!r)
		r = arrive(o, w, f, id);
	else if (r > 0 && r != EPROTO && w->done)
		r = 0; /* how far it went is the answer; there is no new fid */
	leave(w);
	if (r)
		return r;
	put16(&o->out, w->done);
	for (unsigned i = 0; i < w->done; i++)
		put_qid(&o->out, &w->qid[i]);
	return 0;
}

int op_walk(struct op *o)
{
	struct walk w = { .done = 0 };
	uint32_t from = get32(&o->in), to = get32(&o->in);
	struct fid *f;
	int r;

	w.names = get16(&o->in);
	if (o->in.bad)
		return EPROTO;
	if (w.names > P9_WALK_MAX)
		return EINVAL;
	f = fid_get(o, from);
	if (!f)
		return EBADF;
	w.from = fid_node(o->s, f);
	w.fd = w.from->fd;
	r = walk(o, &w, f, to);
	node_put(o->s, w.from);
	fid_put(o->s, f);
	return r;
}

int op_clunk(struct op *o)
{
	struct fid *f = fid_get(o, get32(&o->in));
	int r = 0;

	if (o->in.bad || !f) {
		fid_put(o->s, f);
		return o->in.bad ? EPROTO : EBADF;
	}
	if (o->now && !fid_is_light(o->s, f)) {
		r = LATER;
	} else {
		/* First out of the table: an attribute is stored once. */
		fid_remove(o->s, f);
		r = xattr_commit(o->s, f);
	}
	fid_put(o->s, f);
	return r;
}

/* The fid goes in any case, as remove(5) says. */
int op_remove(struct op *o)
{
	struct share *s = o->s;
	struct fid *f = fid_get(o, get32(&o->in));
	char name[NAME_BYTES];
	struct node *n;
	int dir, r;

	if (o->in.bad || !f) {
		fid_put(s, f);
		return o->in.bad ? EPROTO : EBADF;
	}
	n = fid_node(s, f);
	r = s->read_only ? EROFS : locate(s, n, &dir, name);
	if (!r) {
		if (unlinkat(dir, name, n->type == S_IFDIR ? AT_REMOVEDIR : 0))
			r = errno;
		close(dir);
	}
	fid_remove(s, f);
	node_put(s, n);
	fid_put(s, f);
	return r;
}

int op_statfs(struct op *o)
{
	struct share *s = o->s;
	struct fid *f = fid_get(o, get32(&o->in));
	struct statfs st;
	struct node *n;
	int r = 0;

	if (o->in.bad || !f) {
		fid_put(s, f);
		return o->in.bad ? EPROTO : EBADF;
	}
	n = fid_node(s, f);
	if (fstatfs(n->fd, &st))
		r = errno;
	node_put(s, n);
	fid_put(s, f);
	if (r)
		return r;
	put32(&o->out, FS_TYPE);
	put32(&o->out, (uint32_t)st.f_bsize);
	put64(&o->out, st.f_blocks);
	put64(&o->out, st.f_bfree);
	put64(&o->out, st.f_bavail);
	put64(&o->out, st.f_files);
	put64(&o->out, st.f_ffree);
	put64(&o->out, (uint64_t)(uint32_t)st.f_fsid.__val[0] |
	                       (uint64_t)(uint32_t)st.f_fsid.__val[1] << 32);
	put32(&o->out, (uint32_t)st.f_namelen);
	return 0;
}
