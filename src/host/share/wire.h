/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * 9P messages as bytes: a reader that cannot be made to read behind the end, and a writer that
 * cannot write there.  Both remember that it was tried.
 *
 * Spec: intro(5) of Plan 9's manual; 9P2000.L as Linux's include/net/9p/9p.h numbers it.
 */
#ifndef HULL_HOST_SHARE_WIRE_H
#define HULL_HOST_SHARE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bits.h"
#include "base/mem.h"

/* Types of messages; the answer is the next number. */
enum {
	P9_RLERROR = 7,
	P9_TSTATFS = 8,
	P9_TLOPEN = 12,
	P9_TLCREATE = 14,
	P9_TSYMLINK = 16,
	P9_TMKNOD = 18,
	P9_TRENAME = 20,
	P9_TREADLINK = 22,
	P9_TGETATTR = 24,
	P9_TSETATTR = 26,
	P9_TXATTRWALK = 30,
	P9_TXATTRCREATE = 32,
	P9_TREADDIR = 40,
	P9_TFSYNC = 50,
	P9_TLOCK = 52,
	P9_TGETLOCK = 54,
	P9_TLINK = 70,
	P9_TMKDIR = 72,
	P9_TRENAMEAT = 74,
	P9_TUNLINKAT = 76,
	P9_TVERSION = 100,
	P9_TAUTH = 102,
	P9_TATTACH = 104,
	P9_TFLUSH = 108,
	P9_TWALK = 110,
	P9_TREAD = 116,
	P9_TWRITE = 118,
	P9_TCLUNK = 120,
	P9_TREMOVE = 122,
	P9_TYPES = 128,
};

/* size[4] type[1] tag[2] */
enum { P9_HEADER = 7, P9_IO_HEADER = 11, P9_ERROR = 11, P9_WALK_MAX = 16 };

enum { QID_DIR = 0x80, QID_SYMLINK = 0x02, QID_FILE = 0 };

struct qid {
	uint8_t type;
	uint32_t version;
	uint64_t path;
};

struct wire_in {
	const uint8_t *p;
	uint32_t left;
	bool bad;
};

static inline const uint8_t *wire_take(struct wire_in *in, uint32_t n)
{
	const uint8_t *p = in->p;

	if (in->bad || n > in->left) {
		in->bad = true;
		return NULL;
	}
	in->p += n;
	in->left -= n;
	return p;
}

static inline uint8_t get8(struct wire_in *in)
{
	const uint8_t *p = wire_take(in, 1);

	return p ? *p : 0;
}

static inline uint16_t get16(struct wire_in *in)
{
	const uint8_t *p = wire_take(in, 2);

	return p ? load_le16(p) : 0;
}

static inline uint32_t get32(struct wire_in *in)
{
	const uint8_t *p = wire_take(in, 4);

	return p ? load_le32(p) : 0;
}

static inline uint64_t get64(struct wire_in *in)
{
	const uint8_t *p = wire_take(in, 8);

	return p ? load_le64(p) : 0;
}

/* A text: its bytes, which no NUL follows, and their number; NULL if it is cut. */
static inline const char *get_text(struct wire_in *in, uint32_t *ret_len)
{
	*ret_len = get16(in);
	return (const char *)wire_take(in, *ret_len);
}

struct wire_out {
	uint8_t *buf;
	uint32_t len, max;
	bool full;
};

static inline uint8_t *wire_room(struct wire_out *out, uint32_t n)
{
	uint8_t *p = out->buf + out->len;

	if (out->full || n > out->max - out->len) {
		out->full = true;
		return NULL;
	}
	out->len += n;
	return p;
}

static inline void put8(struct wire_out *out, uint8_t v)
{
	uint8_t *p = wire_room(out, 1);

	if (p)
		*p = v;
}

static inline void put16(struct wire_out *out, uint16_t v)
{
	uint8_t *p = wire_room(out, 2);

	if (p)
		store_le16(p, v);
}

static inline void put32(struct wire_out *out, uint32_t v)
{
	uint8_t *p = wire_room(out, 4);

	if (p)
		store_le32(p, v);
}

static inline void put64(struct wire_out *out, uint64_t v)
{
	uint8_t *p = wire_room(out, 8);

	if (p)
		store_le64(p, v);
}

static inline void put_text(struct wire_out *out, const char *s, uint32_t len)
{
	uint8_t *p;

	put16(out, (uint16_t)len);
	p = wire_room(out, len);
	if (p)
		memcpy(p, s, len);
}

static inline void put_qid(struct wire_out *out, const struct qid *q)
{
	put8(out, q->type);
	put32(out, q->version);
	put64(out, q->path);
}

#endif
