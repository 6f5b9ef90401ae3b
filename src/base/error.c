/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Error values: texts, names, and filling a struct hull_err. */
#include <hull/error.h>

#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"

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
	/* User data must not be able to forge a second line of output. */
	hull_utf8_one_line(err->text);
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
	hull_utf8_one_line(err->where);
}

void hull_err_fix(struct hull_err *err, const char *format, ...)
{
	va_list args;

	if (!err)
		return;
	va_start(args, format);
	hull_vformat(err->fix, sizeof(err->fix), format, args);
	va_end(args);
	hull_utf8_one_line(err->fix);
}
