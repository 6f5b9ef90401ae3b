/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/json.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"

void hull_json_init(struct hull_json *j, FILE *out)
{
	memset(j, 0, sizeof(*j));
	j->out = out;
}

static void quoted(FILE *out, const char *text)
{
	const uint8_t *s = (const uint8_t *)text;
	size_t left = strlen(text);
	size_t n;

	fputc('"', out);
	for (; left; left -= n, s += n) {
		n = hull_utf8_length(s, left);
		if (!n) {
			n = 1;
			fputs("\\ufffd", out);
		} else if (*s == '"' || *s == '\\') {
			fprintf(out, "\\%c", *s);
		} else if (*s < ' ' || *s == 0x7f) {
			fprintf(out, "\\u%04x", *s);
		} else {
			fwrite(s, 1, n, out);
		}
	}
	fputc('"', out);
}

static void member(struct hull_json *j, const char *key)
{
	if (j->comma[j->depth])
		fputc(',', j->out);
	j->comma[j->depth] = true;
	if (key) {
		quoted(j->out, key);
		fputc(':', j->out);
	}
}

static void open_with(struct hull_json *j, const char *key, char open, char close)
{
	member(j, key);
	HULL_ASSERT(j->depth < HULL_JSON_MAX_DEPTH);
	fputc(open, j->out);
	j->close[j->depth++] = close;
	j->comma[j->depth] = false;
}

void hull_json_object(struct hull_json *j, const char *key)
{
	open_with(j, key, '{', '}');
}

void hull_json_array(struct hull_json *j, const char *key)
{
	open_with(j, key, '[', ']');
}

void hull_json_end(struct hull_json *j)
{
	HULL_ASSERT(j->depth);
	fputc(j->close[--j->depth], j->out);
	if (!j->depth)
		fputc('\n', j->out);
}

void hull_json_text(struct hull_json *j, const char *key, const char *text)
{
	member(j, key);
	if (text)
		quoted(j->out, text);
	else
		fputs("null", j->out);
}

void hull_json_u64(struct hull_json *j, const char *key, uint64_t value)
{
	member(j, key);
	fprintf(j->out, "%" PRIu64, value);
}

void hull_json_bool(struct hull_json *j, const char *key, bool value)
{
	member(j, key);
	fputs(value ? "true" : "false", j->out);
}
