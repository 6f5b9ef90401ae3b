/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/text.h"
#include "base/utf8.h"
#include "manage/json.h"

#define RED     "\033[1;31m"
#define BOLD    "\033[1m"
#define NO_TINT "\033[0m"

static const struct hull_error_entry catalogue[] = {
#define E(id, exit, title, explanation) { id, exit, title, explanation },
#include "manage/errors.def"
#undef E
};

const struct hull_error_entry *hull_report_entry(size_t i)
{
	return i < ARRAY_LEN(catalogue) ? &catalogue[i] : NULL;
}

const struct hull_error_entry *hull_report_find(unsigned id)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(catalogue); i++)
		if (catalogue[i].id == id)
			return &catalogue[i];
	return NULL;
}

int hull_report_exit_code(const struct hull_err *err)
{
	const struct hull_error_entry *e = err->id ? hull_report_find(err->id) : NULL;

	if (e && e->exit)
		return e->exit;
	switch (err->code) {
	case 0: return 0;
	case HULL_ENOENT: return 3;
	case HULL_ESTATE:
	case HULL_EEXIST:
	case HULL_EBUSY: return 4;
	case HULL_EPERM: return 5;
	case HULL_ENOSPC:
	case HULL_ENOMEM: return 8;
	case HULL_ETIMEDOUT: return 9;
	case HULL_ENOTSUP: return 13;
	default: return 1;
	}
}

static void error_json(FILE *f, const struct hull_err *err, const char *code, const char *title)
{
	struct hull_json j;

	hull_json_init(&j, f);
	hull_json_object(&j, NULL);
	hull_json_text(&j, "schema", "hull.error/1");
	hull_json_text(&j, "code", err->id ? code : NULL);
	hull_json_text(&j, "title", title);
	hull_json_text(&j, "detail", err->text);
	hull_json_u64(&j, "exit", (unsigned)hull_report_exit_code(err));
	hull_json_array(&j, "fix");
	if (err->fix[0])
		hull_json_text(&j, NULL, err->fix);
	hull_json_end(&j);
	hull_json_object(&j, "where");
	if (err->where[0])
		hull_json_text(&j, "text", err->where);
	hull_json_end(&j);
	hull_json_end(&j);
}

void hull_report_error(FILE *f, unsigned style, const struct hull_err *err)
{
	const struct hull_error_entry *e = hull_report_find(err->id);
	bool color = style & HULL_REPORT_COLOR;
	char code[16];

	hull_format(code, sizeof(code), "E%04u", err->id);
	if (style & HULL_REPORT_JSON) {
		error_json(f, err, code, e ? e->title : hull_error_text(err->code));
		return;
	}
	fprintf(f, "%serror%s%s%s: %s\n", color ? RED : "", err->id ? " " : "", err->id ? code : "",
	        color ? NO_TINT : "", err->text[0] ? err->text : hull_error_text(err->code));
	if (err->where[0])
		fprintf(f, "  in %s\n", err->where);
	if (err->fix[0])
		fprintf(f, "  %sfix:%s %s\n", color ? BOLD : "", color ? NO_TINT : "", err->fix);
	if (e)
		fprintf(f, "  more: hull explain %s\n", code);
}

void hull_report_note(FILE *f, unsigned style, const char *format, ...)
{
	struct hull_json j;
	char text[512];
	va_list args;

	if (style & HULL_REPORT_QUIET)
		return;
	va_start(args, format);
	hull_vformat(text, sizeof(text), format, args);
	va_end(args);
	hull_utf8_one_line(text);
	if (!(style & HULL_REPORT_JSON)) {
		fprintf(f, "note: %s\n", text);
		return;
	}
	hull_json_init(&j, f);
	hull_json_object(&j, NULL);
	hull_json_text(&j, "schema", "hull.note/1");
	hull_json_text(&j, "note", text);
	hull_json_end(&j);
}

bool hull_report_wants_color(FILE *f, const char *when)
{
	const char *v;

	if (!strcmp(when, "always"))
		return true;
	if (strcmp(when, "auto") != 0)
		return false;
	v = getenv("NO_COLOR"); /* https://no-color.org: present and not empty */
	if (v && *v)
		return false;
	v = getenv("CLICOLOR");
	if (v && !strcmp(v, "0"))
		return false;
	v = getenv("TERM");
	return isatty(fileno(f)) && !(v && !strcmp(v, "dumb"));
}
