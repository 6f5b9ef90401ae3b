/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "support/transcript.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/aspace.h"
#include "support/backends.h"
#include "support/netbackend.h"
#include "support/rig.h"

enum { WORDS = 4, LINE = 1024, STATE = 1 << 20 };

struct run {
	const char *path;
	unsigned line;
	bool failed;
	const struct hull_dev_type *type;
	uint64_t args[HULL_DEV_PROPS];
	struct rig *rig;
	struct rig_dev *dev; /* NULL until the first command that needs it */
	void *backend;       /* of another kind */
	struct netbackend *net;
	char rest[LINE]; /* of the line after its first word */
	char *word[WORDS];
	unsigned nwords;
};

static void fail(struct run *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "%s:%u: ", t->path, t->line);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	t->failed = true;
}

static uint64_t number(struct run *t, unsigned i, int base)
{
	char *end;
	uint64_t v;

	if (i >= t->nwords) {
		fail(t, "\"%s\" needs more words", t->word[0]);
		return 0;
	}
	v = strtoull(t->word[i], &end, base);
	if (*end)
		fail(t, "\"%s\" is no number", t->word[i]);
	return v;
}

static bool word_is(const struct run *t, unsigned i, const char *text)
{
	return i < t->nwords && !strcmp(t->word[i], text);
}

static void expect(struct run *t, const char *what, uint64_t got, uint64_t want)
{
	if (got != want)
		fail(t, "%s is %" PRIx64 ", expected %" PRIx64, what, got, want);
}

static void do_prop(struct run *t)
{
	for (unsigned i = 0; i < t->type->nprops; i++) {
		if (word_is(t, 1, t->type->props[i].name)) {
			t->args[i] = number(t, 2, 10);
			return;
		}
	}
	fail(t, "no such property");
}

static void do_clock(struct run *t)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = { { "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "", 1000000000 } };
	char *end = NULL;
	uint64_t v = t->nwords > 1 ? strtoull(t->word[1], &end, 10) : 0;

	for (unsigned i = 0; end && i < ARRAY_LEN(units); i++) {
		if (!strcmp(end, units[i].unit)) {
			rig_clock(t->rig, v * units[i].ns);
			return;
		}
	}
	fail(t, "not a time");
}

static void do_read(struct run *t, unsigned size)
{
	uint64_t v = 0;
	bool ok = rig_read(t->dev, number(t, 1, 16), size, &v);

	if (word_is(t, 2, "-")) {
		if (ok)
			fail(t, "no bus error");
	} else if (!ok) {
		fail(t, "bus error");
	} else {
		expect(t, "register", v, number(t, 2, 16));
	}
}

static void do_write(struct run *t, unsigned size)
{
	if (!rig_write(t->dev, number(t, 1, 16), size, number(t, 2, 16)))
		fail(t, "bus error");
}

static void do_irq(struct run *t)
{
	uint64_t n = t->nwords > 2 ? number(t, 1, 10) : 0;

	if (n >= t->type->irqs)
		fail(t, "no such output");
	else
		expect(t, "line", t->dev->irq.level[n], number(t, t->nwords - 1, 10));
}

static void do_rises(struct run *t)
{
	uint64_t n = number(t, 1, 10);

	if (n >= t->type->irqs) {
		fail(t, "no such output");
		return;
	}
	expect(t, "count", t->dev->irq.rises[n], number(t, 2, 10));
	t->dev->irq.rises[n] = 0;
}

/* The next message that was sent, or "-" for none. */
static void do_msi(struct run *t)
{
	struct rig_msi *m = &t->dev->msi;
	unsigned n = word_is(t, 1, "-") ? 0 : 1;

	if (n && !m->n) {
		fail(t, "no message");
		return;
	}
	if (!n) {
		expect(t, "count", m->n, 0);
		return;
	}
	expect(t, "address", m->addr[0], number(t, 1, 16));
	expect(t, "data", m->data[0], number(t, 2, 16));
	m->n--;
	memmove(m->addr, m->addr + 1, m->n * sizeof(m->addr[0]));
	memmove(m->data, m->data + 1, m->n * sizeof(m->data[0]));
}

static size_t unescape(const char *s, uint8_t *out)
{
	size_t n = 0;

	for (; *s; s++) {
		if (*s != '\\') {
			out[n++] = (uint8_t)*s;
			continue;
		}
		switch (*++s) {
		case 'n': out[n++] = '\n'; break;
		case 'r': out[n++] = '\r'; break;
		case 'x':
			out[n++] = (uint8_t)strtoul((char[]){ s[1], s[2], 0 }, NULL, 16);
			s += 2;
			break;
		default: out[n++] = (uint8_t)*s;
		}
	}
	return n;
}

static void do_char_out(struct run *t)
{
	struct rig_char *ch = &t->dev->ch;
	uint8_t want[LINE];
	size_t n = unescape(t->rest, want);

	if (n != ch->out_len || memcmp(want, ch->out, n))
		fail(t, "sent \"%.*s\" (%zu bytes)", (int)ch->out_len, (char *)ch->out,
		     ch->out_len);
	ch->out_len = 0;
}

static size_t bytes_of(struct run *t, uint8_t *out)
{
	size_t n = 0;

	for (const char *s = t->nwords > 2 ? t->word[2] : ""; *s; s++) {
		if (*s == '_')
			continue;
		out[n++] = (uint8_t)strtoul((char[]){ s[0], s[1], 0 }, NULL, 16);
		if (!*++s)
			break;
	}
	return n;
}

static void do_memory(struct run *t, bool write)
{
	uint8_t want[LINE], got[LINE];
	uint64_t gpa = number(t, 1, 16);
	size_t n = bytes_of(t, want);

	if (write ? !hull_mem_write(t->rig->vm, gpa, want, n)
	          : !hull_mem_read(t->rig->vm, gpa, got, n)) {
		fail(t, "not memory");
		return;
	}
	for (size_t i = 0; !write && i < n; i++)
		if (got[i] != want[i])
			fail(t, "byte %zu is %02x, expected %02x", i, got[i], want[i]);
}

static void do_snapshot(struct run *t)
{
	uint8_t *a = malloc(STATE), *b = malloc(STATE);
	size_t n = rig_save(t->dev, a, STATE);

	if (rig_load(t->dev, a, n))
		fail(t, "the device's own snapshot does not load");
	if (rig_save(t->dev, b, STATE) != n || memcmp(a, b, n))
		fail(t, "save, load, save differ");
	free(a);
	free(b);
}

/* Bytes of a frame: those of `text` up to its end. */
static size_t frame_bytes(struct run *t, const char *text, uint8_t *buf)
{
	size_t n = 0;

	for (; *text; text++) {
		unsigned byte;

		if (*text == '_')
			continue;
		if (n == LINE || sscanf(text, "%2x", &byte) != 1 || !text[1])
			break;
		buf[n++] = (uint8_t)byte;
		text++;
	}
	if (*text)
		fail(t, "not pairs of hexadecimal digits");
	return n;
}

static void do_net_out(struct run *t)
{
	const struct netbackend_frame *got = netbackend_next(t->net);
	uint8_t want[LINE];
	size_t n = t->nwords > 1 ? frame_bytes(t, t->word[1], want) : 0;

	if (!got && n)
		fail(t, "nothing was sent");
	else if (got && (got->f.len != n || memcmp(got->data, want, n)))
		fail(t, "another frame was sent, of %u bytes", got->f.len);
}

static void net_command(struct run *t)
{
	uint8_t buf[LINE];
	size_t n;

	if (word_is(t, 0, "net-in")) {
		n = frame_bytes(t, t->word[1], buf);
		expect(t, "taken", netbackend_plain(t->net, buf, (uint32_t)n),
		       t->nwords > 2 ? number(t, 2, 10) : 1);
	} else if (word_is(t, 0, "net-out")) {
		do_net_out(t);
	} else if (word_is(t, 0, "net-room")) {
		t->net->room = word_is(t, 1, "-") ? UINT32_MAX : (uint32_t)number(t, 1, 10);
		t->net->n.writable(t->net->n.arg);
	} else if (word_is(t, 0, "net-link")) {
		t->net->n.link_changed(t->net->n.arg, number(t, 1, 10));
	} else {
		fail(t, "unknown command \"%s\"", t->word[0]);
	}
}

static void char_command(struct run *t)
{
	uint8_t text[LINE];

	if (word_is(t, 0, "char-in"))
		rig_char_in(t->dev, text, unescape(t->rest, text));
	else if (word_is(t, 0, "char-out"))
		do_char_out(t);
	else if (word_is(t, 0, "char-room"))
		t->dev->ch.room = word_is(t, 1, "-") ? SIZE_MAX : number(t, 1, 10);
	else
		net_command(t);
}

static void other_command(struct run *t)
{
	if (word_is(t, 0, "clock"))
		do_clock(t);
	else if (word_is(t, 0, "irq"))
		do_irq(t);
	else if (word_is(t, 0, "rises"))
		do_rises(t);
	else if (word_is(t, 0, "msi"))
		do_msi(t);
	else if (word_is(t, 0, "input"))
		rig_input(t->dev, (uint32_t)number(t, 1, 10), number(t, 2, 10));
	else if (word_is(t, 0, "guest-errors"))
		expect(t, "count", t->dev->dev->guest_errors, number(t, 1, 10));
	else if (word_is(t, 0, "poke") || word_is(t, 0, "peek"))
		do_memory(t, word_is(t, 0, "poke"));
	else if (word_is(t, 0, "reset"))
		rig_reset(t->dev);
	else if (word_is(t, 0, "snapshot"))
		do_snapshot(t);
	else
		char_command(t);
}

static void *backend(struct run *t)
{
	return t->type->backend == HULL_BACKEND_NET ? &t->net->n : t->backend;
}

static void command(struct run *t)
{
	static const char *const sizes[] = { "8", "16", "32", "64" };

	if (word_is(t, 0, "prop")) {
		do_prop(t);
		return;
	}
	if (!t->dev)
		t->dev = rig_add(t->rig, t->type, t->args, t->type->nprops, backend(t));
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		if (strcmp(t->word[0] + 1, sizes[i]))
			continue;
		if (t->word[0][0] == 'r')
			do_read(t, 1u << i);
		else
			do_write(t, 1u << i);
		return;
	}
	other_command(t);
}

static void split(struct run *t, char *line)
{
	static char none[] = "";
	char *save, *space;

	line[strcspn(line, "\n")] = 0;
	space = strchr(line, ' ');
	snprintf(t->rest, sizeof(t->rest), "%s", space ? space + 1 : none);
	t->nwords = 0;
	for (char *w = strtok_r(line, " \t", &save); w && t->nwords < WORDS;
	     w = strtok_r(NULL, " \t", &save))
		t->word[t->nwords++] = w;
}

static const struct hull_dev_type *type_of(const char *path)
{
	const char *base = strrchr(path, '/');
	char name[64];

	snprintf(name, sizeof(name), "%s", base ? base + 1 : path);
	*strchrnul(name, '.') = 0;
	return hull_dev_type_find(name);
}

bool transcript_run(const char *path)
{
	struct run t = { .path = path, .type = type_of(path) };
	FILE *f = fopen(path, "r");
	char line[LINE];

	if (!f || !t.type) {
		fprintf(stderr, "%s: cannot be read, or not named after a device type\n", path);
		if (f)
			fclose(f);
		return false;
	}
	for (unsigned i = 0; i < t.type->nprops; i++)
		t.args[i] = t.type->props[i].dflt;
	t.rig = rig_new();
	t.backend = t.type->backend == HULL_BACKEND_NET ? NULL : backends_new(t.type);
	t.net = netbackend_new();
	while (fgets(line, sizeof(line), f)) {
		t.line++;
		if (line[0] == '#' || line[strspn(line, " \t\n")] == 0)
			continue;
		split(&t, line);
		command(&t);
	}
	fclose(f);
	rig_free(t.rig);
	if (t.backend)
		backends_free(t.type, t.backend);
	netbackend_free(t.net);
	return !t.failed;
}
