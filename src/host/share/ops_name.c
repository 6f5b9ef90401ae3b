/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Messages about names: symlink, mknod, mkdir, link, rename, unlink, readlink.
 *
 * All of them act on one component in a directory that was found inside.  Targets of symbolic links
 * are text to this server; it never follows one.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/share/share_impl.h"

enum { AT_REMOVE_DIR = 0x200, TARGET_BYTES = 4096 };

/* A name in a directory: both checked. */
struct place {
	struct fid *fid;
	struct node *dir;
	char name[NAME_BYTES];
};

/* Take a place up to place_end(), which is due even after a failure. */
static int place_begin(struct op *o, uint32_t id, struct place *p)
{
	p->dir = NULL;
	p->fid = fid_get(o, id);
	if (!p->fid)
		return EBADF;
	p->dir = fid_node(o->s, p->fid);
	return p->dir->type == S_IFDIR ? inside(o->s, p->dir->fd) : ENOTDIR;
}

static void place_end(struct op *o, struct place *p)
{
	node_put(o->s, p->dir);
	fid_put(o->s, p->fid);
}

/* Something was made: its owner, if the client's ids are kept, and its qid. */
static int made(struct op *o, const struct place *p, uint32_t gid)
{
	struct share *s = o->s;
	struct statx st;
	struct qid qid;
	int r;

	if (s->uid == HULL_SHARE_KEEP_IDS &&
	    fchownat(p->dir->fd, p->name, p->fid->uid, gid, AT_SYMLINK_NOFOLLOW))
		return errno;
	r = stat_name(p->dir->fd, p->name, &st);
	if (!r)
		r = qid_of(s, &st, &qid);
	if (!r)
		put_qid(&o->out, &qid);
	return r;
}

static mode_t allowed_mode(const struct share *s, uint32_t mode)
{
	return mode & (s->uid == HULL_SHARE_KEEP_IDS ? 07777 : 01777);
}

int op_symlink(struct op *o)
{
	uint32_t id = get32(&o->in), len, gid;
	char target[TARGET_BYTES];
	const char *text;
	struct place p;
	int r = get_name(o, p.name);

	text = get_text(&o->in, &len);
	gid = get32(&o->in);
	if (o->in.bad)
		return EPROTO;
	if (r)
		return r;
	if (!len || len >= TARGET_BYTES || memchr(text, 0, len))
		return len >= TARGET_BYTES ? ENAMETOOLONG : EINVAL;
	memcpy(target, text, len);
	target[len] = 0;
	r = place_begin(o, id, &p);
	if (!r && symlinkat(target, p.dir->fd, p.name))
		r = errno;
	if (!r)
		r = made(o, &p, gid);
	place_end(o, &p);
	return r;
}

/* Named pipes, sockets and plain files; a device node would open the host's device. */
int op_mknod(struct op *o)
{
	uint32_t id = get32(&o->in), mode, gid;
	struct place p;
	int r = get_name(o, p.name);

	mode = get32(&o->in);
	get32(&o->in); /* major */
	get32(&o->in); /* minor */
	gid = get32(&o->in);
	if (o->in.bad)
		return EPROTO;
	if (r)
		return r;
	switch (mode & S_IFMT) {
	case 0:
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK: break;
	default: return EPERM;
	}
	r = place_begin(o, id, &p);
	if (!r && mknodat(p.dir->fd, p.name, (mode & S_IFMT) | allowed_mode(o->s, mode), 0))
		r = errno;
	if (!r)
		r = made(o, &p, gid);
	place_end(o, &p);
	return r;
}

int op_mkdir(struct op *o)
{
	uint32_t id = get32(&o->in), mode, gid;
	struct place p;
	int r = get_name(o, p.name);

	mode = get32(&o->in);
	gid = get32(&o->in);
	if (o->in.bad)
		return EPROTO;
	if (r)
		return r;
	r = place_begin(o, id, &p);
	if (!r && mkdirat(p.dir->fd, p.name, allowed_mode(o->s, mode)))
		r = errno;
	if (!r)
		r = made(o, &p, gid);
	place_end(o, &p);
	return r;
}

int op_link(struct op *o)
{
	uint32_t id = get32(&o->in), old = get32(&o->in);
	struct share *s = o->s;
	struct place p;
	struct fid *f;
	struct node *n;
	char link[16];
	int r = get_name(o, p.name);

	if (r)
		return r;
	f = fid_get(o, old);
	if (!f)
		return EBADF;
	n = fid_node(s, f);
	r = place_begin(o, id, &p);
	if (!r)
		r = n->type == S_IFDIR ? EPERM : inside(s, n->fd);
	if (!r && linkat(s->proc, link_name(link, n->fd), p.dir->fd, p.name, AT_SYMLINK_FOLLOW))
		r = errno;
	place_end(o, &p);
	node_put(s, n);
	fid_put(s, f);
	return r;
}

int op_rename(struct op *o)
{
	uint32_t id = get32(&o->in), to = get32(&o->in);
	struct share *s = o->s;
	char old[NAME_BYTES];
	struct place p;
	struct fid *f;
	struct node *n;
	int dir, r = get_name(o, p.name);

	if (r)
		return r;
	f = fid_get(o, id);
	if (!f)
		return EBADF;
	n = fid_node(s, f);
	r = place_begin(o, to, &p);
	if (!r)
		r = locate(s, n, &dir, old);
	if (!r) {
		r = renameat2(dir, old, p.dir->fd, p.name, 0) ? errno : 0;
		close(dir);
	}
	place_end(o, &p);
	node_put(s, n);
	fid_put(s, f);
	return r;
}

int op_renameat(struct op *o)
{
	uint32_t from = get32(&o->in), to;
	struct place a, b;
	int r = get_name(o, a.name), r2;

	to = get32(&o->in);
	r2 = get_name(o, b.name);
	if (o->in.bad)
		return EPROTO;
	if (r || r2)
		return r ? r : r2;
	r = place_begin(o, from, &a);
	r2 = place_begin(o, to, &b);
	if (!r)
		r = r2;
	if (!r && renameat2(a.dir->fd, a.name, b.dir->fd, b.name, 0))
		r = errno;
	place_end(o, &b);
	place_end(o, &a);
	return r;
}

int op_unlinkat(struct op *o)
{
	uint32_t id = get32(&o->in), flags;
	struct place p;
	int r = get_name(o, p.name);

	flags = get32(&o->in);
	if (o->in.bad)
		return EPROTO;
	if (r)
		return r;
	r = place_begin(o, id, &p);
	if (!r && unlinkat(p.dir->fd, p.name, flags & AT_REMOVE_DIR ? AT_REMOVEDIR : 0))
		r = errno;
	place_end(o, &p);
	return r;
}

int op_readlink(struct op *o)
{
	uint32_t id = get32(&o->in);
	char target[TARGET_BYTES];
	struct fid *f;
	struct node *n;
	ssize_t len = -1;
	int r = 0;

	if (o->in.bad)
		return EPROTO;
	f = fid_get(o, id);
	if (!f)
		return EBADF;
	n = fid_node(o->s, f);
	if (n->type != S_IFLNK)
		r = EINVAL;
	else if ((len = readlinkat(n->fd, "", target, sizeof(target))) < 0)
		r = errno;
	node_put(o->s, n);
	fid_put(o->s, f);
	if (!r)
		put_text(&o->out, target, (uint32_t)len);
	return r;
}
