/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Watching a stream; see tap.h.  Texts are found with the Knuth-Morris-Pratt automaton. */
#include "host/char/tap.h"

#include <string.h>

#include <hull/host.h>
#include "base/atomic.h"
#include "base/bits.h"

static void feed(struct hull_tap *t, unsigned i, uint8_t byte, uint64_t now)
{
	struct hull_tap_pattern *p = &t->patterns[i];
	unsigned m = p->matched;

	while (m && (uint8_t)p->text[m] != byte)
		m = p->back[m - 1];
	if ((uint8_t)p->text[m] == byte)
		m++;
	p->matched = (uint8_t)m;
	if (m < p->len)
		return;
	p->matched = p->back[m - 1];
	hull_add_relaxed(&p->count, 1);
	if (hull_load_relaxed(&p->seen_ns))
		return;
	hull_store_release(&p->seen_ns, now);
	if (t->seen)
		t->seen(t->arg, i);
}

static void watch(struct hull_tap *t, const uint8_t *buf, size_t len)
{
	const struct hull_hal *hal = hull_host_hal();
	uint64_t now = hal->now_ns(hal);

	if (!hull_load_relaxed(&t->first_ns))
		hull_store_relaxed(&t->first_ns, now);
	hull_store_relaxed(&t->last_ns, now);
	hull_add_relaxed(&t->bytes, len);
	pthread_mutex_lock(&t->mutex);
	for (size_t i = 0; i < len; i++)
		t->tail[t->tail_at++ % HULL_TAP_TAIL] = (char)buf[i];
	pthread_mutex_unlock(&t->mutex);
	for (unsigned p = 0; p < t->npatterns; p++) {
		for (size_t i = 0; i < len; i++)
			feed(t, p, buf[i], now);
	}
}

static size_t tap_write(struct hull_char *c, const void *buf, size_t len)
{
	struct hull_tap *t = (struct hull_tap *)c;
	size_t n = t->inner ? t->inner->write(t->inner, buf, len) : len;

	if (n)
		watch(t, buf, n);
	return n;
}

static size_t tap_read(struct hull_char *c, void *buf, size_t len)
{
	struct hull_tap *t = (struct hull_tap *)c;
	size_t n = t->inner ? t->inner->read(t->inner, buf, len) : 0;

	if (n)
		hull_add_relaxed(&t->read, n);
	return n;
}

/* The device has set our `readable` long before input is started. */
static void tap_readable(void *arg)
{
	struct hull_tap *t = arg;

	if (t->chr.readable)
		t->chr.readable(t->chr.readable_arg);
}

static void tap_size(struct hull_char *c, uint16_t *ret_cols, uint16_t *ret_rows)
{
	struct hull_tap *t = (struct hull_tap *)c;

	t->inner->size(t->inner, ret_cols, ret_rows);
}

static void tap_resized(void *arg)
{
	struct hull_tap *t = arg;

	if (t->chr.resized)
		t->chr.resized(t->chr.readable_arg);
}

void hull_tap_init(struct hull_tap *t, struct hull_char *inner)
{
	memset(t, 0, sizeof(*t));
	t->chr.write = tap_write;
	t->chr.read = tap_read;
	t->inner = inner;
	pthread_mutex_init(&t->mutex, NULL);
	if (inner) {
		inner->readable = tap_readable;
		inner->readable_arg = t;
		inner->resized = tap_resized;
		if (inner->size)
			t->chr.size = tap_size;
	}
}

int hull_tap_watch(struct hull_tap *t, const char *text)
{
	struct hull_tap_pattern *p = &t->patterns[t->npatterns];
	size_t len = strlen(text);
	unsigned k = 0;

	if (t->npatterns == HULL_TAP_PATTERNS)
		return HULL_EOVERFLOW;
	if (!len || len > HULL_TAP_PATTERN_MAX)
		return HULL_EINVAL;
	p->text = text;
	p->len = (uint8_t)len;
	for (size_t i = 1; i < len; i++) {
		while (k && text[k] != text[i])
			k = p->back[k - 1];
		if (text[k] == text[i])
			k++;
		p->back[i] = (uint8_t)k;
	}
	return (int)t->npatterns++;
}

uint64_t hull_tap_seen(const struct hull_tap *t, unsigned i)
{
	return i < t->npatterns ? hull_load_acquire(&t->patterns[i].seen_ns) : 0;
}

size_t hull_tap_tail(struct hull_tap *t, char *buf, size_t size)
{
	size_t n, from;

	pthread_mutex_lock(&t->mutex);
	n = MIN(t->tail_at, (size_t)HULL_TAP_TAIL);
	n = MIN(n, size - 1);
	from = t->tail_at - n;
	for (size_t i = 0; i < n; i++)
		buf[i] = t->tail[(from + i) % HULL_TAP_TAIL];
	pthread_mutex_unlock(&t->mutex);
	buf[n] = '\0';
	for (size_t i = 0; i < n; i++) {
		if (buf[i] != '\n' && ((unsigned char)buf[i] < ' ' || buf[i] == 0x7f))
			buf[i] = ' ';
	}
	return n;
}
