/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a client holds: fids, the files behind them, and how much of everything that is. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/share/share_impl.h"

int fd_claim(struct share *s)
{
	int r = 0;

	pthread_mutex_lock(&s->lock);
	if (s->nfds >= s->max_fds)
		r = EMFILE;
	else
		s->nfds++;
	pthread_mutex_unlock(&s->lock);
	return r;
}

void fd_release(struct share *s, int fd)
{
	if (fd >= 0)
		close(fd);
	pthread_mutex_lock(&s->lock);
	s->nfds--;
	pthread_mutex_unlock(&s->lock);
}

int xattr_claim(struct share *s, uint32_t bytes)
{
	int r = 0;

	pthread_mutex_lock(&s->lock);
	if (bytes > XATTR_TOTAL - s->xattr_bytes)
		r = ENOMEM;
	else
		s->xattr_bytes += bytes;
	pthread_mutex_unlock(&s->lock);
	return r;
}

int node_new(struct share *s, int fd, const struct statx *st, struct node **ret)
{
	struct node *n;
	int r = fd_claim(s);

	if (r) {
		close(fd);
		return r;
	}
	n = calloc(1, sizeof(*n));
	r = n ? qid_of(s, st, &n->qid) : ENOMEM;
	if (r) {
		fd_release(s, fd);
		free(n);
		return r;
	}
	n->refs = 1;
	n->fd = fd;
	n->type = st->stx_mode & S_IFMT;
	n->dev = dev_of(st);
	*ret = n;
	return 0;
}

struct node *node_ref(struct share *s, struct node *n)
{
	pthread_mutex_lock(&s->lock);
	n->refs++;
	pthread_mutex_unlock(&s->lock);
	return n;
}

void node_put(struct share *s, struct node *n)
{
	bool last;

	if (!n)
		return;
	pthread_mutex_lock(&s->lock);
	last = !--n->refs;
	pthread_mutex_unlock(&s->lock);
	if (!last)
		return;
	fd_release(s, n->fd);
	free(n);
}

static struct fid **slot_of(struct share *s, uint32_t id)
{
	struct fid **at = &s->bucket[(id ^ id >> 13) % BUCKETS];

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

struct fid *fid_get(struct op *o, uint32_t id)
{
	struct share *s = o->s;
	struct fid *f;

	pthread_mutex_lock(&s->lock);
	f = o->session == s->session ? *slot_of(s, id) : NULL;
	if (f)
		f->refs++;
	pthread_mutex_unlock(&s->lock);
	return f;
}

static void fid_free(struct share *s, struct fid *f)
{
	if (f->io >= 0)
		fd_release(s, f->io);
	if (f->xattr) {
		pthread_mutex_lock(&s->lock);
		s->xattr_bytes -= f->xattr_size;
		pthread_mutex_unlock(&s->lock);
	}
	free(f->xattr);
	free(f->xattr_name);
	node_put(s, f->node);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void fid_put(struct share *s, struct fid *f)
{
	bool last;

	if (!f)
		return;
	pthread_mutex_lock(&s->lock);
	last = !--f->refs;
	pthread_mutex_unlock(&s->lock);
	if (last)
		fid_free(s, f);
}

/* Under the lock: 0 if the client may have this fid. */
static int admit(struct op *o, uint32_t id)
{
	struct share *s = o->s;

	if (o->session != s->session)
		return EIO;
	if (id == (uint32_t)NOFID || *slot_of(s, id))
		return EBADF;
	return s->nfids < FIDS_MAX ? 0 : ENFILE;
}

int fid_add(struct op *o, uint32_t id, struct node *node, uint32_t uid)
{
	struct share *s = o->s;
	struct fid *f = calloc(1, sizeof(*f));
	int r;

	if (!f) {
		node_put(s, node);
		return ENOMEM;
	}
	f->id = id;
	f->refs = 1;
	f->node = node;
	f->uid = uid;
	f->io = -1;
	pthread_mutex_init(&f->lock, NULL);
	pthread_mutex_lock(&s->lock);
	r = admit(o, id);
	if (!r) {
		*slot_of(s, id) = f;
		s->nfids++;
	}
	pthread_mutex_unlock(&s->lock);
	if (r)
		fid_free(s, f);
	return r;
}

void fid_remove(struct share *s, struct fid *f)
{
	struct fid **at;
	bool there;

	pthread_mutex_lock(&s->lock);
	at = slot_of(s, f->id);
	there = *at == f; /* else somebody else was quicker */
	if (there) {
		*at = f->next;
		s->nfids--;
	}
	pthread_mutex_unlock(&s->lock);
	if (there)
		fid_put(s, f);
}

void fid_remove_all(struct share *s)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct fid *f;

		pthread_mutex_lock(&s->lock);
		f = s->bucket[i];
		s->bucket[i] = NULL;
		for (struct fid *each = f; each; each = each->next)
			s->nfids--;
		pthread_mutex_unlock(&s->lock);
		while (f) {
			struct fid *next = f->next;

			fid_put(s, f);
			f = next;
		}
	}
}

bool fid_is_light(struct share *s, struct fid *f)
{
	bool r;

	pthread_mutex_lock(&f->lock);
	r = s->local && f->mode != FID_XATTR_WRITE && !f->writable;
	pthread_mutex_unlock(&f->lock);
	return r;
}

struct node *fid_node(struct share *s, struct fid *f)
{
	struct node *n;

	pthread_mutex_lock(&s->lock);
	n = f->node;
	n->refs++;
	pthread_mutex_unlock(&s->lock);
	return n;
}

void fid_set_node(struct share *s, struct fid *f, struct node *node)
{
	struct node *old;

	pthread_mutex_lock(&s->lock);
	old = f->node;
	f->node = node;
	pthread_mutex_unlock(&s->lock);
	node_put(s, old);
}
