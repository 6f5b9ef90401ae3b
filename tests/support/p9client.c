/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "support/p9client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void wrong(const char *what)
{
	fprintf(stderr, "9p answer: %s\n", what);
	abort();
}

struct p9 *p9_new(struct hull_share *s)
{
	struct p9 *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	c->share = s;
	c->data = malloc(P9_DATA);
	if (!c->data)
		abort();
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	return c;
}

void p9_free(struct p9 *c)
{
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c->data);
	free(c);
}

struct wire_out *p9_begin(struct p9 *c, uint8_t type)
{
	c->t = (struct wire_out){ .buf = c->msg, .max = sizeof(c->msg) };
	put32(&c->t, 0);
	put8(&c->t, type);
	put16(&c->t, ++c->tag);
	return &c->t;
}

void p9_text(struct p9 *c, const char *s)
{
	put_text(&c->t, s, (uint32_t)strlen(s));
}

static void done(struct hull_share_req *req)
{
	struct p9 *c = CONTAINER_OF(req, struct p9, req);

	pthread_mutex_lock(&c->lock);
	c->answered = true;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

void p9_send(struct p9 *c, uint32_t len)
{
	/* In pieces, as a guest's pages are. */
	uint32_t first = len / 3, second = len / 2;

	c->seg[0] = (struct hull_block_seg){ c->data, first };
	c->seg[1] = (struct hull_block_seg){ c->data + first, second };
	c->seg[2] = (struct hull_block_seg){ c->data + first + second, len - first - second };
	if (!load_le32(c->msg))
		store_le32(c->msg, c->t.len + (c->msg[4] == P9_TWRITE ? len : 0));
	c->req = (struct hull_share_req){
		.msg = c->msg,
		.msg_len = c->t.len,
		.segs = c->seg,
		.nsegs = len ? 3 : 0,
		.data_len = len,
		.reply = c->reply,
		.reply_max = sizeof(c->reply),
		.done = done,
	};
	c->answered = false;
	if (c->share->submit(c->share, &c->req))
		done(&c->req);
}

int p9_wait(struct p9 *c)
{
	const struct hull_share_req *q = &c->req;

	pthread_mutex_lock(&c->lock);
	while (!c->answered)
		pthread_cond_wait(&c->changed, &c->lock);
	pthread_mutex_unlock(&c->lock);
	if (!q->reply_len)
		return -1;
	c->r = (struct wire_in){ .p = c->reply, .left = q->reply_len };
	if (q->reply_len < P9_HEADER || q->reply_len > q->reply_max ||
	    q->data_moved > q->data_len || get32(&c->r) != q->reply_len + q->data_moved)
		wrong("size");
	if (get8(&c->r) == P9_RLERROR) {
		if (get16(&c->r) != load_le16(c->msg + 5) || q->reply_len != P9_ERROR)
			wrong("error");
		return (int)get32(&c->r);
	}
	if (c->reply[4] != c->msg[4] + 1 || get16(&c->r) != load_le16(c->msg + 5))
		wrong("type or tag");
	return 0;
}

int p9_call(struct p9 *c, uint32_t len)
{
	p9_send(c, len);
	return p9_wait(c);
}

static void get_qid(struct p9 *c, struct qid *q)
{
	q->type = get8(&c->r);
	q->version = get32(&c->r);
	q->path = get64(&c->r);
}

int p9_version(struct p9 *c, uint32_t msize)
{
	put32(p9_begin(c, P9_TVERSION), msize);
	p9_text(c, "9P2000.L");
	return p9_call(c, 0);
}

int p9_attach(struct p9 *c, uint32_t fid)
{
	put32(p9_begin(c, P9_TATTACH), fid);
	put32(&c->t, UINT32_MAX);
	p9_text(c, "root");
	p9_text(c, "");
	put32(&c->t, 0);
	return p9_call(c, 0);
}

int p9_walk(struct p9 *c, uint32_t fid, uint32_t to, const char *path)
{
	uint16_t names = 0;
	uint8_t *count;
	int r;

	put32(p9_begin(c, P9_TWALK), fid);
	put32(&c->t, to);
	count = c->t.buf + c->t.len;
	put16(&c->t, 0);
	while (*path) {
		size_t len = strcspn(path, "/");

		put_text(&c->t, path, (uint32_t)len);
		names++;
		path += len + (path[len] == '/');
	}
	store_le16(count, names);
	r = p9_call(c, 0);
	return r ? r : get16(&c->r) == names ? 0 : ENOENT;
}

int p9_open(struct p9 *c, uint32_t fid, uint32_t flags)
{
	put32(p9_begin(c, P9_TLOPEN), fid);
	put32(&c->t, flags);
	return p9_call(c, 0);
}

int p9_create(struct p9 *c, uint32_t fid, const char *name, uint32_t flags, uint32_t mode)
{
	put32(p9_begin(c, P9_TLCREATE), fid);
	p9_text(c, name);
	put32(&c->t, flags);
	put32(&c->t, mode);
	put32(&c->t, 0);
	return p9_call(c, 0);
}

int p9_read(struct p9 *c, uint32_t fid, uint64_t at, void *buf, uint32_t len)
{
	int r;

	put32(p9_begin(c, P9_TREAD), fid);
	put64(&c->t, at);
	put32(&c->t, len);
	r = p9_call(c, len);
	if (r)
		return -r;
	if (get32(&c->r) != c->req.data_moved || c->req.data_moved > len)
		wrong("count of read");
	memcpy(buf, c->data, c->req.data_moved);
	return (int)c->req.data_moved;
}

int p9_write(struct p9 *c, uint32_t fid, uint64_t at, const void *buf, uint32_t len)
{
	int r;

	put32(p9_begin(c, P9_TWRITE), fid);
	put64(&c->t, at);
	put32(&c->t, len);
	memcpy(c->data, buf, len);
	r = p9_call(c, len);
	return r ? -r : (int)get32(&c->r);
}

int p9_clunk(struct p9 *c, uint32_t fid)
{
	put32(p9_begin(c, P9_TCLUNK), fid);
	return p9_call(c, 0);
}

int p9_remove(struct p9 *c, uint32_t fid)
{
	put32(p9_begin(c, P9_TREMOVE), fid);
	return p9_call(c, 0);
}

int p9_getattr(struct p9 *c, uint32_t fid, struct p9_attr *ret)
{
	int r;

	put32(p9_begin(c, P9_TGETATTR), fid);
	put64(&c->t, 0x7ff);
	r = p9_call(c, 0);
	if (r)
		return r;
	get64(&c->r);
	get_qid(c, &ret->qid);
	ret->mode = get32(&c->r);
	ret->uid = get32(&c->r);
	ret->gid = get32(&c->r);
	ret->nlink = get64(&c->r);
	ret->rdev = get64(&c->r);
	ret->size = get64(&c->r);
	get64(&c->r);
	get64(&c->r);
	get64(&c->r);
	get64(&c->r);
	ret->mtime = get64(&c->r);
	ret->mtime_ns = get64(&c->r);
	for (int i = 0; i < 6; i++)
		get64(&c->r);
	if (c->r.bad || c->r.left)
		wrong("length of getattr");
	return 0;
}

int p9_mkdir(struct p9 *c, uint32_t dir, const char *name, uint32_t mode)
{
	put32(p9_begin(c, P9_TMKDIR), dir);
	p9_text(c, name);
	put32(&c->t, mode);
	put32(&c->t, 0);
	return p9_call(c, 0);
}

int p9_symlink(struct p9 *c, uint32_t dir, const char *name, const char *target)
{
	put32(p9_begin(c, P9_TSYMLINK), dir);
	p9_text(c, name);
	p9_text(c, target);
	put32(&c->t, 0);
	return p9_call(c, 0);
}

int p9_mknod(struct p9 *c, uint32_t dir, const char *name, uint32_t mode)
{
	put32(p9_begin(c, P9_TMKNOD), dir);
	p9_text(c, name);
	put32(&c->t, mode);
	put32(&c->t, 1);
	put32(&c->t, 3);
	put32(&c->t, 0);
	return p9_call(c, 0);
}

int p9_link(struct p9 *c, uint32_t dir, uint32_t fid, const char *name)
{
	put32(p9_begin(c, P9_TLINK), dir);
	put32(&c->t, fid);
	p9_text(c, name);
	return p9_call(c, 0);
}

int p9_rename(struct p9 *c, uint32_t fid, uint32_t dir, const char *name)
{
	put32(p9_begin(c, P9_TRENAME), fid);
	put32(&c->t, dir);
	p9_text(c, name);
	return p9_call(c, 0);
}

int p9_renameat(struct p9 *c, uint32_t a, const char *from, uint32_t b, const char *to)
{
	put32(p9_begin(c, P9_TRENAMEAT), a);
	p9_text(c, from);
	put32(&c->t, b);
	p9_text(c, to);
	return p9_call(c, 0);
}

int p9_unlinkat(struct p9 *c, uint32_t dir, const char *name, uint32_t flags)
{
	put32(p9_begin(c, P9_TUNLINKAT), dir);
	p9_text(c, name);
	put32(&c->t, flags);
	return p9_call(c, 0);
}

int p9_readlink(struct p9 *c, uint32_t fid, char *buf, uint32_t size)
{
	const char *text;
	uint32_t len;
	int r;

	put32(p9_begin(c, P9_TREADLINK), fid);
	r = p9_call(c, 0);
	if (r)
		return r;
	text = get_text(&c->r, &len);
	if (!text || len >= size)
		wrong("length of readlink");
	memcpy(buf, text, len);
	buf[len] = 0;
	return 0;
}

int p9_readdir(struct p9 *c, uint32_t fid, uint64_t *at, uint32_t count,
               void (*entry)(void *arg, const char *name, const struct qid *qid, uint8_t type),
               void *arg)
{
	int r, n = 0;

	put32(p9_begin(c, P9_TREADDIR), fid);
	put64(&c->t, *at);
	put32(&c->t, count);
	r = p9_call(c, 0);
	if (r)
		return -r;
	if (get32(&c->r) != c->r.left || c->r.left > count)
		wrong("count of readdir");
	for (; c->r.left; n++) {
		char name[256];
		const char *text;
		struct qid qid;
		uint32_t len;
		uint8_t type;

		get_qid(c, &qid);
		*at = get64(&c->r);
		type = get8(&c->r);
		text = get_text(&c->r, &len);
		if (!text || !len || len >= sizeof(name) || memchr(text, '/', len))
			wrong("entry of readdir");
		memcpy(name, text, len);
		name[len] = 0;
		if (entry)
			entry(arg, name, &qid, type);
	}
	return n;
}

int p9_lock(struct p9 *c, uint32_t fid, uint8_t type, uint64_t start, uint64_t len)
{
	int r;

	put32(p9_begin(c, P9_TLOCK), fid);
	put8(&c->t, type);
	put32(&c->t, 0);
	put64(&c->t, start);
	put64(&c->t, len);
	put32(&c->t, 42);
	p9_text(c, "guest");
	r = p9_call(c, 0);
	return r ? r : get8(&c->r) ? EAGAIN : 0;
}
