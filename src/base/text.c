/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Formatting, number parsing and nearest match without libc. */
#include "base/text.h"

#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"

#define WORD_MAX 64 /* longest word that hull_nearest() compares */

/* Where formatted text goes: `len` counts what did not fit, too. */
struct sink {
	char *dst;
	size_t size;
	size_t len;
};

struct spec {
	bool left;
	bool zero;
	bool has_precision;
	size_t width;
	size_t precision;
	unsigned length; /* bytes of an integer argument */
};

static void put(struct sink *s, char c)
{
	if (s->len + 1 < s->size)
		s->dst[s->len] = c;
	s->len++;
}

static void pad(struct sink *s, char c, size_t have, size_t want)
{
	for (; have < want; have++)
		put(s, c);
}

static void put_text(struct sink *s, const struct spec *spec, const char *text, size_t len)
{
	size_t i;

	if (!spec->left)
		pad(s, ' ', len, spec->width);
	for (i = 0; i < len; i++)
		put(s, text[i]);
	if (spec->left)
		pad(s, ' ', len, spec->width);
}

static void put_number(struct sink *s, const struct spec *spec, uint64_t v, unsigned base,
                       const char *prefix, bool upper)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char text[24];
	size_t n = sizeof(text);
	size_t len;

	do {
		text[--n] = digits[v % base];
		v /= base;
	} while (v);
	len = hull_text_len(prefix) + sizeof(text) - n;
	if (!spec->left && !spec->zero)
		pad(s, ' ', len, spec->width);
	while (*prefix)
		put(s, *prefix++);
	if (!spec->left && spec->zero)
		pad(s, '0', len, spec->width);
	for (; n < sizeof(text); n++)
		put(s, text[n]);
	if (spec->left)
		pad(s, ' ', len, spec->width);
}

static size_t small_number(const char **f)
{
	size_t v = 0;

	for (; **f >= '0' && **f <= '9'; (*f)++)
		if (v < 4096)
			v = v * 10 + (size_t)(**f - '0');
	return v;
}

/* A number, or * for the next argument, of which a negative one counts as 0. */
static size_t number_or_star(const char **f, va_list *args)
{
	int v;

	if (**f != '*')
		return small_number(f);
	(*f)++;
	v = va_arg(*args, int);
	return v > 0 ? (size_t)v : 0;
}

/* Flags, width, precision and length; *f is left at the conversion. */
static void parse_spec(const char **f, struct spec *spec, va_list *args)
{
	memset(spec, 0, sizeof(*spec));
	spec->length = sizeof(int);
	for (;; (*f)++) {
		if (**f == '-')
			spec->left = true;
		else if (**f == '0')
			spec->zero = true;
		else
			break;
	}
	spec->width = MIN(number_or_star(f, args), (size_t)4096);
	if (**f == '.') {
		(*f)++;
		spec->has_precision = true;
		spec->precision = number_or_star(f, args);
	}
	for (;; (*f)++) {
		switch (**f) {
		case 'h': spec->length = spec->length == 2 ? 1 : 2; break;
		case 'l': spec->length = spec->length == sizeof(long) ? 8 : sizeof(long); break;
		case 'z':
		case 't': spec->length = sizeof(size_t); break;
		case 'j': spec->length = sizeof(uint64_t); break;
		default: return;
		}
	}
}

static void format_text(struct sink *s, const struct spec *spec, const char *text)
{
	size_t len = 0;

	if (!text)
		text = "(null)";
	while ((!spec->has_precision || len < spec->precision) && text[len])
		len++;
	put_text(s, spec, text, len);
}

size_t hull_vformat(char *dst, size_t size, const char *format, va_list from)
{
	struct sink s = { .dst = dst, .size = size };
	struct spec spec;
	const char *f;
	int64_t i;
	uint64_t u;
	va_list args;
	char c;

	va_copy(args, from);
	for (f = format; *f; f++) {
		if (*f != '%') {
			put(&s, *f);
			continue;
		}
		f++;
		parse_spec(&f, &spec, &args);
		switch (*f) {
		case '%': put(&s, '%'); break;
		case 'c':
			c = (char)va_arg(args, int);
			put_text(&s, &spec, &c, 1);
			break;
		case 's': format_text(&s, &spec, va_arg(args, const char *)); break;
		case 'p':
			u = (uintptr_t)va_arg(args, void *);
			put_number(&s, &spec, u, 16, "0x", false);
			break;
		case 'd':
		case 'i':
			i = spec.length == 8 ? va_arg(args, int64_t) : va_arg(args, int);
			i = sign_extend((uint64_t)i, spec.length * 8);
			u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
			put_number(&s, &spec, u, 10, i < 0 ? "-" : "", false);
			break;
		case 'u':
		case 'x':
		case 'X':
			u = spec.length == 8 ? va_arg(args, uint64_t) : va_arg(args, unsigned);
			u &= low_mask(spec.length * 8);
			put_number(&s, &spec, u, *f == 'u' ? 10 : 16, "", *f == 'X');
			break;
		case 0: f--; break; /* a lone % at the end: nothing follows it */
		default: put(&s, '?'); break;
		}
	}
	va_end(args);
	dst[MIN(s.len, size - 1)] = 0;
	return s.len;
}

size_t hull_format(char *dst, size_t size, const char *format, ...)
{
	va_list args;
	size_t len;

	va_start(args, format);
	len = hull_vformat(dst, size, format, args);
	va_end(args);
	return len;
}

static unsigned digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (unsigned)(c - 'A' + 10);
	return 16;
}

/* The longest number at *text, which is moved behind it; *ret_base is its base. */
static bool leading_number(const char **text, uint64_t *ret, unsigned *ret_base)
{
	const char *p = *text;
	unsigned base = 10;
	uint64_t v = 0;
	bool digit = false;

	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'o' || p[1] == 'b')) {
		base = p[1] == 'x' ? 16 : p[1] == 'o' ? 8 : 2;
		p += 2;
	}
	for (;; p++) {
		if (digit && *p == '_' && digit_value(p[1]) < base)
			p++;
		if (digit_value(*p) >= base)
			break;
		if (!hull_mul(v, base, &v) || !hull_add(v, digit_value(*p), &v))
			return false;
		digit = true;
	}
	if (!digit)
		return false;
	*text = p;
	*ret = v;
	*ret_base = base;
	return true;
}

bool hull_parse_u64(const char *text, uint64_t *ret)
{
	unsigned base;
	uint64_t v;

	if (!leading_number(&text, &v, &base) || *text)
		return false;
	*ret = v;
	return true;
}

struct unit {
	const char *name;
	uint64_t factor;
};

/*
 * The digits behind a decimal point as the reduced fraction num/den; at most
 * eighteen of them, not counting zeros at the end.
 */
static bool fraction(const char **text, uint64_t *ret_num, uint64_t *ret_den)
{
	uint64_t num = 0;
	uint64_t den = 1;
	unsigned zeros = 0;
	const char *p;
	uint64_t a, b, t;

	for (p = *text; *p >= '0' && *p <= '9'; p++) {
		if (*p == '0') {
			zeros++;
			continue;
		}
		for (zeros++; zeros; zeros--) {
			if (den >= UINT64_C(1000000000000000000))
				return false;
			num *= 10;
			den *= 10;
		}
		num += (uint64_t)(*p - '0');
	}
	if (p == *text)
		return false;
	for (a = den, b = num; b; a = t) {
		t = b;
		b = a % b;
	}
	*text = p;
	*ret_num = num / a;
	*ret_den = den / a;
	return true;
}

static bool parse_scaled(const char *text, const struct unit *units, size_t count, uint64_t *ret)
{
	uint64_t num = 0;
	uint64_t den = 1;
	uint64_t v;
	unsigned base;
	size_t i;

	if (!leading_number(&text, &v, &base))
		return false;
	if (*text == '.') {
		text++;
		if (base != 10 || !fraction(&text, &num, &den))
			return false;
	}
	for (i = 0; i < count && !hull_text_eq(text, units[i].name); i++)
		;
	if (i == count || units[i].factor % den)
		return false;
	if (!hull_mul(v, units[i].factor, &v) || !hull_add(v, num * (units[i].factor / den), &v))
		return false;
	*ret = v;
	return true;
}

bool hull_parse_size(const char *text, uint64_t *ret)
{
	static const struct unit units[] = {
		{ "", 1 },
		{ "K", BIT(10) },
		{ "M", BIT(20) },
		{ "G", BIT(30) },
		{ "T", BIT(40) },
		{ "KiB", BIT(10) },
		{ "MiB", BIT(20) },
		{ "GiB", BIT(30) },
		{ "TiB", BIT(40) },
		{ "kB", 1000 },
		{ "MB", 1000000 },
		{ "GB", 1000000000 },
		{ "TB", UINT64_C(1000000000000) },
	};

	return parse_scaled(text, units, ARRAY_LEN(units), ret);
}

bool hull_parse_duration(const char *text, uint64_t *ret_ns)
{
	static const struct unit units[] = {
		{ "ns", 1 },
		{ "us", 1000 },
		{ "ms", 1000000 },
		{ "s", 1000000000 },
		{ "m", UINT64_C(60000000000) },
		{ "h", UINT64_C(3600000000000) },
	};

	return parse_scaled(text, units, ARRAY_LEN(units), ret_ns);
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned d = MIN(a, b);

	return MIN(d, c);
}

/* Edits (insert, delete, replace, swap neighbours) between two words of at most WORD_MAX. */
static unsigned edit_distance(const char *a, size_t alen, const char *b, size_t blen)
{
	uint8_t row[3][WORD_MAX + 1];
	uint8_t *before = row[0];
	uint8_t *last = row[1];
	uint8_t *now = row[2];
	uint8_t *t;
	size_t i, j;

	for (j = 0; j <= blen; j++)
		last[j] = (uint8_t)j;
	for (i = 1; i <= alen; i++) {
		now[0] = (uint8_t)i;
		for (j = 1; j <= blen; j++) {
			unsigned d = min3(last[j] + 1u, now[j - 1] + 1u,
			                  last[j - 1] + (unsigned)(a[i - 1] != b[j - 1]));

			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = MIN(d, before[j - 2] + 1u);
			now[j] = (uint8_t)d;
		}
		t = before;
		before = last;
		last = now;
		now = t;
	}
	return last[blen];
}

const char *hull_nearest(const char *word, const char *const *candidates, size_t count)
{
	size_t len = hull_text_len(word);
	unsigned limit = len < 6 ? 1 : (unsigned)len / 3;
	const char *best = NULL;
	size_t i, n;

	if (len < 2 || len > WORD_MAX)
		return NULL;
	for (i = 0; i < count; i++) {
		unsigned d;

		n = hull_text_len(candidates[i]);
		if (n > WORD_MAX)
			continue;
		d = edit_distance(word, len, candidates[i], n);
		if (d > limit || d >= n)
			continue;
		best = candidates[i];
		if (!d)
			break;
		limit = d - 1; /* only a nearer one may replace it */
	}
	return best;
}
