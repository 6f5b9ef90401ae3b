/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * TOML 1.0 by recursive descent, one pass.  A value's place in the tree is
 * made before it is parsed, so the depth check in add() bounds the recursion.
 */
#include "base/toml.h"

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"

/* What may still be added to a table or array; section numbers of the standard are names there. */
enum {
	DEFINED = 1, /* had its own [header] */
	DOTTED = 2,  /* made by a dotted key: no header may name it */
	CLOSED = 4,  /* inline: complete */
	TABLES = 8,  /* array made by [[header]] */
};

struct parser {
	const struct hull_toml_input *in;
	size_t pos;
	uint32_t line;
	size_t mark; /* column of `mark` is `mark_column` */
	uint32_t mark_column;
	char *mem;
	size_t size;
	size_t used;
	struct hull_err *err;
};

struct key {
	const char *text;
	uint32_t len;
	uint32_t line;
	uint32_t column;
};

struct path {
	unsigned count;
	struct key part[HULL_TOML_MAX_DEPTH];
};

/* Report at p->pos, which is counted from the start: this happens once. */
static int report(struct parser *p, int code, uint16_t id, const char *text)
{
	unsigned line = 1;
	unsigned column = 1;
	size_t i;

	for (i = 0; i < p->pos; i++) {
		unsigned char c = (unsigned char)p->in->text[i];

		if (c == '\n') {
			line++;
			column = 1;
		} else if ((c & 0xc0) != 0x80) {
			column++;
		}
	}
	hull_fail(p->err, code, id, "%s", text);
	hull_err_where(p->err, "%s%sline %u column %u", p->in->name ? p->in->name : "",
	               p->in->name ? " " : "", line, column);
	return code;
}

static int HULL_PRINTF(2, 3) syntax(struct parser *p, const char *format, ...)
{
	char text[160];
	va_list args;

	va_start(args, format);
	hull_vformat(text, sizeof(text), format, args);
	va_end(args);
	return report(p, HULL_EFORMAT, HULL_TOML_E_SYNTAX, text);
}

static int twice(struct parser *p, const struct hull_toml *old)
{
	char text[160];

	hull_format(text, sizeof(text), "\"%.60s\" is already defined in line %u", old->key,
	            old->line);
	return report(p, HULL_EFORMAT, HULL_TOML_E_TWICE, text);
}

static int no_memory(struct parser *p)
{
	return report(p, HULL_ENOMEM, HULL_TOML_E_LIMIT, "the file is too large to be read");
}

/* The character at `pos` + n; 0 behind the end (a NUL in the text is an error anywhere). */
static char peek(const struct parser *p, size_t n)
{
	return p->in->size - p->pos > n ? p->in->text[p->pos + n] : 0;
}

static bool at_end(const struct parser *p)
{
	return p->pos >= p->in->size;
}

/* Amortized: each character is counted once, since positions only grow. */
static uint32_t column(struct parser *p)
{
	for (; p->mark < p->pos; p->mark++)
		if ((p->in->text[p->mark] & 0xc0) != 0x80)
			p->mark_column++;
	return p->mark_column;
}

/* Skip one line end if there is one. */
static bool newline(struct parser *p)
{
	size_t n = peek(p, 0) == '\n' ? 1 : peek(p, 0) == '\r' && peek(p, 1) == '\n' ? 2 : 0;

	if (!n)
		return false;
	p->pos += n;
	p->line++;
	p->mark = p->pos;
	p->mark_column = 1;
	return true;
}

static void skip_space(struct parser *p)
{
	while (peek(p, 0) == ' ' || peek(p, 0) == '\t')
		p->pos++;
}

static bool is_control(char c)
{
	return ((unsigned char)c < ' ' && c != '\t') || c == 0x7f;
}

/* Is c a character of a bare key? */
static bool is_bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int skip_comment(struct parser *p)
{
	if (peek(p, 0) != '#')
		return 0;
	for (; !at_end(p) && peek(p, 0) != '\n'; p->pos++) {
		if (peek(p, 0) == '\r' && peek(p, 1) == '\n')
			break;
		if (is_control(peek(p, 0)))
			return syntax(p, "control character 0x%02x in a comment",
			              (unsigned char)peek(p, 0));
	}
	return 0;
}

/* Space, comments and line ends, as they may stand between the elements of an array. */
static int skip_blank(struct parser *p)
{
	int ret;

	do {
		skip_space(p);
		ret = skip_comment(p);
		if (ret)
			return ret;
	} while (newline(p));
	return 0;
}

static int end_of_line(struct parser *p)
{
	int ret;

	skip_space(p);
	ret = skip_comment(p);
	if (ret || at_end(p) || newline(p))
		return ret;
	return syntax(p, "expected the end of the line");
}

/* Memory: strings grow at the end of the used part and are then kept. */

static void *allocate(struct parser *p, size_t size)
{
	size_t skip = -(uintptr_t)(p->mem + p->used) & 7;
	void *at;

	if (p->size - p->used < skip || p->size - p->used - skip < size)
		return NULL;
	at = p->mem + p->used + skip;
	p->used += skip + size;
	return at;
}

static int emit(struct parser *p, char c)
{
	if (p->used == p->size)
		return no_memory(p);
	p->mem[p->used++] = c;
	return 0;
}

static int emit_range(struct parser *p, const char *from, size_t len)
{
	if (p->size - p->used < len)
		return no_memory(p);
	memcpy(p->mem + p->used, from, len);
	p->used += len;
	return 0;
}

static int emit_utf8(struct parser *p, uint32_t c)
{
	char s[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	size_t i;

	for (i = n; i-- > 1; c >>= 6)
		s[i] = (char)(0x80 | (c & 0x3f));
	s[0] = (char)(n == 1 ? c : (0xf00 >> n & 0xff) | c);
	return emit_range(p, s, n);
}

/* Finish the string that began at mem[start]. */
static int finish(struct parser *p, size_t start, const char **ret, uint32_t *ret_len)
{
	int r = emit(p, 0);

	if (r)
		return r;
	*ret = p->mem + start;
	*ret_len = (uint32_t)(p->used - start - 1);
	return 0;
}

/* Strings. */

static int unicode_escape(struct parser *p, unsigned digits)
{
	uint32_t c = 0;
	unsigned i;

	for (i = 0; i < digits; i++) {
		char d = peek(p, i);

		if (is_digit(d))
			c = c << 4 | (uint32_t)(d - '0');
		else if ((d >= 'a' && d <= 'f') || (d >= 'A' && d <= 'F'))
			c = c << 4 | (uint32_t)((d & 7) + 9);
		else
			return syntax(p, "\\%c needs %u hexadecimal digits",
			              digits == 4 ? 'u' : 'U', digits);
	}
	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return syntax(p, "U+%04X is not a Unicode character", c);
	p->pos += digits;
	return emit_utf8(p, c);
}

/* A backslash at the end of a line: nothing up to the next visible character counts. */
static bool line_continues(struct parser *p)
{
	size_t n = 0;

	while (peek(p, n) == ' ' || peek(p, n) == '\t')
		n++;
	if (peek(p, n) != '\n' && !(peek(p, n) == '\r' && peek(p, n + 1) == '\n'))
		return false;
	do
		skip_space(p);
	while (newline(p));
	return true;
}

/* p->pos is behind the backslash. */
static int escape(struct parser *p, bool multi)
{
	static const char from[] = "btnfr\"\\";
	static const char to[] = "\b\t\n\f\r\"\\";
	char c = peek(p, 0);
	size_t i;

	if (c == 'u' || c == 'U') {
		p->pos++;
		return unicode_escape(p, c == 'u' ? 4 : 8);
	}
	for (i = 0; from[i]; i++) {
		if (from[i] == c) {
			p->pos++;
			return emit(p, to[i]);
		}
	}
	if (multi && line_continues(p))
		return 0;
	p->pos--;
	return syntax(p, "unknown escape; use \\\\ for a backslash, or 'single quotes'");
}

/* The quotes at `pos` inside a multi-line string: does the string end here?  Up to two may precede.
 */
static int closing_quotes(struct parser *p, char quote, bool *ret_end)
{
	size_t n = 0;
	int ret;

	while (n < 5 && peek(p, n) == quote)
		n++;
	*ret_end = n >= 3;
	p->pos += n;
	for (n -= n >= 3 ? 3 : 0; n; n--) {
		ret = emit(p, quote);
		if (ret)
			return ret;
	}
	return 0;
}

static int string_char(struct parser *p, char quote, bool multi)
{
	char c = peek(p, 0);

	if (c == '\\' && quote == '"') {
		p->pos++;
		return escape(p, multi);
	}
	if (multi && newline(p))
		return emit(p, '\n');
	if (c == '\n' || c == '\r')
		return syntax(p, "the string does not end before the line does");
	if (is_control(c))
		return syntax(p, "control character 0x%02x in a string", (unsigned char)c);
	p->pos++;
	return emit(p, c);
}

/* All four kinds.  A key may not be `multi`-line. */
static int string(struct parser *p, bool allow_multi, const char **ret, uint32_t *ret_len)
{
	char quote = peek(p, 0);
	bool multi = peek(p, 1) == quote && peek(p, 2) == quote;
	size_t open = p->pos;
	size_t start = p->used;
	bool end = false;
	int r;

	if (multi && !allow_multi)
		return syntax(p, "a key cannot have several lines");
	p->pos += multi ? 3 : 1;
	if (multi)
		newline(p);
	while (!end) {
		if (at_end(p)) {
			p->pos = open;
			return syntax(p, "the string that begins here does not end");
		}
		if (peek(p, 0) != quote) {
			r = string_char(p, quote, multi);
		} else if (multi) {
			r = closing_quotes(p, quote, &end);
		} else {
			p->pos++;
			end = true;
			r = 0;
		}
		if (r)
			return r;
	}
	return finish(p, start, ret, ret_len);
}

/* Keys and the tree. */

static int key_part(struct parser *p, struct key *key)
{
	size_t start = p->used;
	size_t from = p->pos;
	int ret;

	key->line = p->line;
	key->column = column(p);
	if (peek(p, 0) == '"' || peek(p, 0) == '\'')
		return string(p, false, &key->text, &key->len);
	while (is_bare(peek(p, 0)))
		p->pos++;
	if (p->pos == from)
		return syntax(p, "expected a key");
	ret = emit_range(p, p->in->text + from, p->pos - from);
	return ret ? ret : finish(p, start, &key->text, &key->len);
}

static int key_path(struct parser *p, struct path *path)
{
	int ret;

	path->count = 0;
	do {
		if (path->count == HULL_TOML_MAX_DEPTH)
			return report(p, HULL_EOVERFLOW, HULL_TOML_E_LIMIT,
			              "the key has more than 32 parts");
		if (path->count)
			p->pos++;
		skip_space(p);
		ret = key_part(p, &path->part[path->count++]);
		if (ret)
			return ret;
		skip_space(p);
	} while (peek(p, 0) == '.');
	return 0;
}

static struct hull_toml *find(const struct hull_toml *table, const char *key, size_t len)
{
	struct hull_toml *n;

	for (n = table->first; n; n = n->next)
		if (n->key_len == len && !memcmp(n->key, key, len))
			return n;
	return NULL;
}

/* Append an empty value to a table (under `key`) or an array (key = NULL). */
static int add(struct parser *p, struct hull_toml *parent, const struct key *key,
               struct hull_toml **ret)
{
	struct hull_toml *n;

	if (parent->depth == HULL_TOML_MAX_DEPTH)
		return report(p, HULL_EOVERFLOW, HULL_TOML_E_LIMIT,
		              "more than 32 tables and arrays inside each other");
	if (key && parent->count == HULL_TOML_MAX_KEYS)
		return report(p, HULL_EOVERFLOW, HULL_TOML_E_LIMIT,
		              "the table has more than 1024 keys");
	n = allocate(p, sizeof(*n));
	if (!n)
		return no_memory(p);
	memset(n, 0, sizeof(*n));
	n->key = key ? key->text : "";
	n->key_len = key ? key->len : 0;
	n->line = key ? key->line : p->line;
	n->column = key ? key->column : column(p);
	n->depth = (uint8_t)(parent->depth + 1);
	n->text = "";
	n->kind = HULL_TOML_TABLE;
	if (parent->last)
		parent->last->next = n;
	else
		parent->first = n;
	parent->last = n;
	parent->count++;
	*ret = n;
	return 0;
}

/* Find or make the table that a dotted key's last part belongs to. */
static int dotted_parent(struct parser *p, struct hull_toml **table, const struct path *path)
{
	unsigned i;
	int ret;

	for (i = 0; i + 1 < path->count; i++) {
		const struct key *key = &path->part[i];
		struct hull_toml *n = find(*table, key->text, key->len);

		if (!n) {
			ret = add(p, *table, key, &n);
			if (ret)
				return ret;
		} else if (n->kind != HULL_TOML_TABLE || (n->flags & (DEFINED | CLOSED))) {
			return twice(p, n);
		}
		n->flags |= DOTTED;
		*table = n;
	}
	return 0;
}

/* Find or make the table that a header's last part belongs to. */
static int header_parent(struct parser *p, struct hull_toml **table, const struct path *path)
{
	unsigned i;
	int ret;

	for (i = 0; i + 1 < path->count; i++) {
		const struct key *key = &path->part[i];
		struct hull_toml *n = find(*table, key->text, key->len);

		if (!n) {
			ret = add(p, *table, key, &n);
			if (ret)
				return ret;
		} else if (n->kind == HULL_TOML_ARRAY && (n->flags & TABLES)) {
			n = n->last;
		} else if (n->kind != HULL_TOML_TABLE || (n->flags & CLOSED)) {
			return twice(p, n);
		}
		*table = n;
	}
	return 0;
}

static int table_header(struct parser *p, struct hull_toml *parent, const struct key *key,
                        struct hull_toml **ret)
{
	struct hull_toml *n = find(parent, key->text, key->len);
	int r;

	if (n && (n->kind != HULL_TOML_TABLE || n->flags))
		return twice(p, n);
	if (!n) {
		r = add(p, parent, key, &n);
		if (r)
			return r;
	}
	n->flags |= DEFINED;
	n->line = key->line;
	n->column = key->column;
	*ret = n;
	return 0;
}

static int array_header(struct parser *p, struct hull_toml *parent, const struct key *key,
                        struct hull_toml **ret)
{
	struct hull_toml *n = find(parent, key->text, key->len);
	int r;

	if (n && !(n->flags & TABLES))
		return twice(p, n);
	if (!n) {
		r = add(p, parent, key, &n);
		if (r)
			return r;
		n->kind = HULL_TOML_ARRAY;
		n->flags = TABLES;
	}
	r = add(p, n, NULL, ret);
	if (r)
		return r;
	(*ret)->flags = DEFINED;
	(*ret)->line = key->line;
	(*ret)->column = key->column;
	return 0;
}

static int header(struct parser *p, struct hull_toml *root, struct hull_toml **ret)
{
	bool array = peek(p, 1) == '[';
	struct hull_toml *parent = root;
	struct path path;
	int r;

	p->pos += array ? 2 : 1;
	r = key_path(p, &path);
	if (r)
		return r;
	if (peek(p, 0) != ']' || (array && peek(p, 1) != ']'))
		return syntax(p, "expected %s", array ? "]]" : "]");
	r = header_parent(p, &parent, &path);
	if (r)
		return r;
	r = (array ? array_header : table_header)(p, parent, &path.part[path.count - 1], ret);
	if (r)
		return r;
	p->pos += array ? 2 : 1;
	return end_of_line(p);
}

/* Numbers, dates, true and false: all read as one word first. */

/* Digits with single underscores between them; moves *s behind them. */
static bool digits(const char **s)
{
	if (!is_digit(**s))
		return false;
	for (; is_digit(**s) || (**s == '_' && is_digit((*s)[1])); (*s)++)
		;
	return true;
}

static bool is_float(const char *s)
{
	const char *whole;
	bool fraction = false;

	if (*s == '+' || *s == '-')
		s++;
	whole = s;
	if (hull_text_eq(s, "inf") || hull_text_eq(s, "nan"))
		return true;
	if (!digits(&s) || (*whole == '0' && s - whole > 1))
		return false;
	if (*s == '.') {
		s++;
		fraction = true;
		if (!digits(&s))
			return false;
	}
	if (*s == 'e' || *s == 'E') {
		s++;
		fraction = true;
		if (*s == '+' || *s == '-')
			s++;
		if (!digits(&s))
			return false;
	}
	return fraction && !*s;
}

static bool two_digits(const char **s, unsigned max, unsigned *ret)
{
	if (!is_digit((*s)[0]) || !is_digit((*s)[1]))
		return false;
	*ret = (unsigned)(((*s)[0] - '0') * 10 + ((*s)[1] - '0'));
	*s += 2;
	return *ret <= max;
}

static bool skip(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

static bool date(const char **s)
{
	static const uint8_t days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	unsigned century, year, month, day;
	bool leap;

	if (!two_digits(s, 99, &century) || !two_digits(s, 99, &year) || !skip(s, '-') ||
	    !two_digits(s, 12, &month) || !month || !skip(s, '-') || !two_digits(s, 31, &day))
		return false;
	leap = year ? year % 4 == 0 : century % 4 == 0;
	return day && day <= days[month - 1] && (leap || month != 2 || day <= 28);
}

/* Second 60 is a leap second (RFC 3339, 5.6). */
static bool time_of_day(const char **s)
{
	unsigned v;

	if (!two_digits(s, 23, &v) || !skip(s, ':') || !two_digits(s, 59, &v) || !skip(s, ':') ||
	    !two_digits(s, 60, &v))
		return false;
	if (skip(s, '.')) {
		if (!is_digit(**s))
			return false;
		while (is_digit(**s))
			(*s)++;
	}
	return true;
}

static bool is_datetime(const char *s)
{
	unsigned v;

	if (is_digit(s[0]) && is_digit(s[1]) && s[2] == ':')
		return time_of_day(&s) && !*s;
	if (!date(&s))
		return false;
	if (!*s)
		return true;
	if (!(skip(&s, 'T') || skip(&s, 't') || skip(&s, ' ')) || !time_of_day(&s))
		return false;
	if (skip(&s, 'Z') || skip(&s, 'z') || !*s)
		return !*s;
	return (skip(&s, '+') || skip(&s, '-')) && two_digits(&s, 23, &v) && skip(&s, ':') &&
	       two_digits(&s, 59, &v) && !*s;
}

static bool is_integer(const char *s, struct hull_toml *node)
{
	bool sign = *s == '+' || *s == '-';
	bool negative = *s == '-';
	uint64_t v;

	if (sign)
		s++;
	if (s[0] == '0' && s[1] && (sign || is_digit(s[1]) || s[1] == '_'))
		return false;
	if (!hull_parse_u64(s, &v) || (negative && v > BIT(63)))
		return false;
	node->integer = negative ? 0 - v : v;
	node->negative = negative && v;
	return true;
}

static bool classify(struct hull_toml *node)
{
	if (hull_text_eq(node->text, "true") || hull_text_eq(node->text, "false")) {
		node->kind = HULL_TOML_BOOL;
		node->integer = node->text[0] == 't';
	} else if (is_integer(node->text, node)) {
		node->kind = HULL_TOML_INTEGER;
	} else if (is_float(node->text)) {
		node->kind = HULL_TOML_FLOAT;
	} else if (is_datetime(node->text)) {
		node->kind = HULL_TOML_DATETIME;
	} else {
		return false;
	}
	return true;
}

static bool is_word(char c)
{
	return is_bare(c) || c == '+' || c == '.' || c == ':';
}

static int word(struct parser *p, struct hull_toml *node)
{
	size_t start = p->used;
	size_t from = p->pos;
	int ret;

	while (is_word(peek(p, 0)))
		p->pos++;
	/* A date and a time may be separated by one space. */
	if (p->pos - from == 10 && p->in->text[from + 4] == '-' && peek(p, 0) == ' ' &&
	    is_digit(peek(p, 1)))
		for (p->pos++; is_word(peek(p, 0));)
			p->pos++;
	if (p->pos == from)
		return syntax(p, "expected a value");
	ret = emit_range(p, p->in->text + from, p->pos - from);
	if (!ret)
		ret = finish(p, start, &node->text, &node->len);
	if (ret)
		return ret;
	if (classify(node))
		return 0;
	p->pos = from;
	if (is_digit(node->text[0]) || node->text[0] == '+' || node->text[0] == '-')
		return syntax(p, "\"%.40s\" is not a number of 64 bits and not a date or time",
		              node->text);
	return syntax(p, "\"%.40s\" is not a value; text needs \"quotes\"", node->text);
}

/* Values. */

static int value(struct parser *p, struct hull_toml *node);

static int array(struct parser *p, struct hull_toml *node)
{
	struct hull_toml *element;
	int ret;

	node->kind = HULL_TOML_ARRAY;
	p->pos++;
	for (;;) {
		ret = skip_blank(p);
		if (ret)
			return ret;
		if (peek(p, 0) == ']')
			break;
		ret = add(p, node, NULL, &element);
		if (!ret)
			ret = value(p, element);
		if (!ret)
			ret = skip_blank(p);
		if (ret)
			return ret;
		if (peek(p, 0) == ',')
			p->pos++;
		else if (peek(p, 0) != ']')
			return syntax(p, "expected , or ] in the array of line %u", node->line);
	}
	p->pos++;
	return 0;
}

static int key_value(struct parser *p, struct hull_toml *table)
{
	struct hull_toml *node;
	const struct key *key;
	struct path path;
	int ret;

	ret = key_path(p, &path);
	if (ret)
		return ret;
	if (peek(p, 0) != '=')
		return syntax(p, "expected = after the key");
	ret = dotted_parent(p, &table, &path);
	if (ret)
		return ret;
	key = &path.part[path.count - 1];
	node = find(table, key->text, key->len);
	if (node)
		return twice(p, node);
	ret = add(p, table, key, &node);
	if (ret)
		return ret;
	p->pos++;
	skip_space(p);
	return value(p, node);
}

static int inline_table(struct parser *p, struct hull_toml *node)
{
	int ret;

	p->pos++;
	skip_space(p);
	while (peek(p, 0) != '}' || node->count) {
		ret = key_value(p, node);
		if (ret)
			return ret;
		skip_space(p);
		if (peek(p, 0) == '}')
			break;
		if (peek(p, 0) != ',')
			return syntax(p, "expected , or } in the inline table of line %u",
			              node->line);
		p->pos++;
		skip_space(p);
	}
	p->pos++;
	node->flags = CLOSED;
	return 0;
}

static int value(struct parser *p, struct hull_toml *node)
{
	switch (peek(p, 0)) {
	case '"':
	case '\'': node->kind = HULL_TOML_STRING; return string(p, true, &node->text, &node->len);
	case '[': return array(p, node);
	case '{': return inline_table(p, node);
	default: return word(p, node);
	}
}

static int check_encoding(struct parser *p)
{
	const uint8_t *s = (const uint8_t *)p->in->text;
	size_t n;

	for (p->pos = 0; p->pos < p->in->size; p->pos += n) {
		n = hull_utf8_length(s + p->pos, p->in->size - p->pos);
		if (!n)
			return syntax(p, "not UTF-8 text (byte 0x%02x)", s[p->pos]);
	}
	p->pos = 0;
	if (p->in->size >= 3 && !memcmp(s, "\xef\xbb\xbf", 3))
		p->pos = p->mark = 3;
	return 0;
}

static int document(struct parser *p, struct hull_toml *root)
{
	struct hull_toml *table = root;
	int ret = 0;

	while (!ret) {
		skip_space(p);
		if (at_end(p))
			break;
		if (peek(p, 0) == '[') {
			ret = header(p, root, &table);
		} else if (peek(p, 0) == '#' || peek(p, 0) == '\n' || peek(p, 0) == '\r') {
			ret = end_of_line(p);
		} else {
			ret = key_value(p, table);
			if (!ret)
				ret = end_of_line(p);
		}
	}
	return ret;
}

int hull_toml_parse(const struct hull_toml_input *in, void *mem, size_t mem_size,
                    const struct hull_toml **ret_root, struct hull_err *err)
{
	struct parser p = {
		.in = in, .line = 1, .mark_column = 1, .mem = mem, .size = mem_size, .err = err
	};
	struct hull_toml *root;
	int ret;

	if (in->size > INT32_MAX)
		return no_memory(&p);
	ret = check_encoding(&p);
	if (ret)
		return ret;
	root = allocate(&p, sizeof(*root));
	if (!root)
		return no_memory(&p);
	memset(root, 0, sizeof(*root));
	root->key = root->text = "";
	root->kind = HULL_TOML_TABLE;
	root->flags = DEFINED;
	root->line = root->column = 1;
	ret = document(&p, root);
	if (ret)
		return ret;
	*ret_root = root;
	return 0;
}

const struct hull_toml *hull_toml_get(const struct hull_toml *table, const char *key)
{
	if (!table || table->kind != HULL_TOML_TABLE)
		return NULL;
	return find(table, key, hull_text_len(key));
}

const char *hull_toml_text(const struct hull_toml *node)
{
	if (!node || node->kind != HULL_TOML_STRING || hull_text_len(node->text) != node->len)
		return NULL;
	return node->text;
}

bool hull_toml_u64(const struct hull_toml *node, uint64_t *ret)
{
	if (!node || node->kind != HULL_TOML_INTEGER || node->negative)
		return false;
	*ret = node->integer;
	return true;
}

const char *hull_toml_kind_name(unsigned kind)
{
	static const char *const names[] = { "a string",      "an integer",     "a float",
		                             "true or false", "a date or time", "an array",
		                             "a table" };

	return kind < ARRAY_LEN(names) ? names[kind] : "?";
}
