/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "host/net/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"

enum { SIZE = HULL_NET_STREAM_BYTES, HEAD = 4, LEAST = 14 };

int hull_net_stream_init(struct hull_net_stream *s, int fd)
{
	memset(s, 0, sizeof(*s));
	s->in = malloc(SIZE);
	s->out = malloc(SIZE);
	if (!s->in || !s->out) {
		s->fd = -1;
		hull_net_stream_fini(s);
		return HULL_ENOMEM;
	}
	s->fd = fd;
	return 0;
}

void hull_net_stream_fini(struct hull_net_stream *s)
{
	if (s->in && s->fd >= 0)
		close(s->fd);
	free(s->in);
	free(s->out);
	memset(s, 0, sizeof(*s));
	s->fd = -1;
}

bool hull_net_stream_read(struct hull_net_stream *s,
                          void (*frame)(void *arg, uint8_t *data, uint32_t len), void *arg)
{
	ssize_t n = recv(s->fd, s->in + s->in_len, SIZE - s->in_len, MSG_DONTWAIT);
	uint32_t at = 0, len;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	s->in_len += (uint32_t)n;
	while (s->in_len - at >= HEAD) {
		len = load_be32(s->in + at);
		if (len > HULL_NET_FRAME_MAX)
			return false;
		if (s->in_len - at - HEAD < len)
			break;
		if (len >= LEAST)
			frame(arg, s->in + at + HEAD, len);
		at += HEAD + len;
	}
	s->in_len -= at;
	memmove(s->in, s->in + at, s->in_len);
	return true;
}

bool hull_net_stream_put(struct hull_net_stream *s, const struct hull_net_frame *f)
{
	uint32_t at;

	if (SIZE - hull_net_stream_waiting(s) < HEAD + f->len)
		return false;
	if (SIZE - s->out_len < HEAD + f->len) {
		s->out_len -= s->out_at;
		memmove(s->out, s->out + s->out_at, s->out_len);
		s->out_at = 0;
	}
	store_be32(s->out + s->out_len, f->len);
	at = s->out_len + HEAD;
	s->out_len = at + f->len;
	for (unsigned i = 0; i < f->nsegs && at < s->out_len; i++) {
		uint32_t n = (uint32_t)MIN(f->segs[i].len, (uint64_t)(s->out_len - at));

		memcpy(s->out + at, f->segs[i].hva, n);
		at += n;
	}
	memset(s->out + at, 0, s->out_len - at);
	return true;
}

bool hull_net_stream_flush(struct hull_net_stream *s)
{
	while (s->out_at < s->out_len) {
		ssize_t n = send(s->fd, s->out + s->out_at, s->out_len - s->out_at,
		                 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		s->out_at += (uint32_t)n;
	}
	s->out_at = s->out_len = 0;
	return true;
}
