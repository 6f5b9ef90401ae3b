/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Error values: texts, names, and filling a struct hull_err. */
#include <hull/error.h>

#include "base/mem.h"
#include "base/text.h"

const char *hull_error_text(int code)
{
	switch (code) {
	case 0: return "success";
#define X(name, value, text) \
	case -(value): return text;
		HULL_ERRORS(X)
#undef X
	default: return "unknown error code";
	}
}

const char *hull_error_name(int code)
{
	switch (code) {
#define X(name, value, text) \
	case -(value): return #name;
		HULL_ERRORS(X)
#undef X
	default: return "?";
	}
}

/* A newline in user data must not be able to forge a second line of output. */
static void one_line(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
}

int hull_fail(struct hull_err *err, int code, uint16_t id, const char *format, ...)
{
	va_list args;

	if (!err)
		return code;
	memset(err, 0, sizeof(*err));
	err->code = code;
	err->id = id;
	va_start(args, format);
	hull_vformat(err->text, sizeof(err->text), format, args);
	va_end(args);
	one_line(err->text);
	return code;
}

void hull_err_where(struct hull_err *err, const char *format, ...)
{
	va_list args;

	if (!err)
		return;
	va_start(args, format);
	hull_vformat(err->where, sizeof(err->where), format, args);
	va_end(args);
	one_line(err->where);
}

void hull_err_fix(struct hull_err *err, const char *format, ...)
{
	va_list args;

	if (!err)
		return;
	va_start(args, format);
	hull_vformat(err->fix, sizeof(err->fix), format, args);
	va_end(args);
	one_line(err->fix);
}
