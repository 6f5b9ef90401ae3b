/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Single values: text or TOML to struct hull_value and back.  Numbers from TOML
 * go through their text, so that there is one set of checks.
 */
#include "manage/options_table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/text.h"
#include "base/utf8.h"

#define LIST_MAX 64 /* elements of a list; all of ours are per CPU or shorter */

struct conversion {
	struct hull_pool *pool;
	const struct hull_option_row *row;
	const struct hull_place *at;
	struct hull_value *v;
	struct hull_err *err;
};

/* "TEXT is not a size": `value` is what the user wrote. */
static int complain(const struct conversion *c, uint16_t id, const char *value, const char *what,
                    const char *fix)
{
	char subject[160];

	hull_place_subject(c->at, value, subject, sizeof(subject));
	hull_fail(c->err, HULL_EINVAL, id, "%s %s", subject, what);
	if (c->at->origin.line)
		hull_place_where(c->err, c->at);
	hull_err_fix(c->err, "%s", fix);
	return HULL_EINVAL;
}

static int keep(const struct conversion *c, const char *text, size_t len)
{
	c->v->text = hull_pool_copy(c->pool, text, len);
	return c->v->text ? 0 : hull_options_no_memory(c->err);
}

/* "4G": the largest unit that divides it. */
static void format_size(char *dst, size_t size, uint64_t v)
{
	static const char units[][2] = { "", "K", "M", "G", "T" };
	unsigned n = 0;

	while (v && n < 4 && !(v & 1023)) {
		v >>= 10;
		n++;
	}
	hull_format(dst, size, "%llu%s", (unsigned long long)v, units[n]);
}

static int check_range(const struct conversion *c, const char *text, bool is_size)
{
	char least[32], most[32], fix[96];

	if (c->v->num >= c->row->least && c->v->num <= c->row->most)
		return 0;
	if (is_size) {
		format_size(least, sizeof(least), c->row->least);
		format_size(most, sizeof(most), c->row->most);
	} else {
		hull_format(least, sizeof(least), "%llu", (unsigned long long)c->row->least);
		hull_format(most, sizeof(most), "%llu", (unsigned long long)c->row->most);
	}
	hull_format(fix, sizeof(fix), "write a value from %s to %s", least, most);
	return complain(c, 5, text, c->v->num > c->row->most ? "is too large" : "is too small",
	                fix);
}

static int convert_number(const struct conversion *c, const char *text)
{
	if (!hull_parse_u64(text, &c->v->num))
		return complain(c, 4, text, "is not a number", "write 42 or 0x8000_0000");
	return check_range(c, text, false);
}

static int convert_size(const struct conversion *c, const char *text)
{
	int ret;

	if (!hull_parse_size(text, &c->v->num))
		return complain(c, 3, text, "is not a size", "write 512M, 4G, 1.5G");
	ret = check_range(c, text, true);
	if (ret)
		return ret;
	if (c->row->type == HULL_TYPE_PAGES && c->v->num % HULL_PAGE_SIZE)
		return complain(c, 5, text, "is not a multiple of 4096 bytes",
		                "write a size such as 512M");
	return 0;
}

static int convert_bool(const struct conversion *c, const char *text)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(words); i++) {
		if (!strcmp(text, words[i])) {
			c->v->num = i & 1;
			return 0;
		}
	}
	return complain(c, 6, text, "is neither true nor false", "write true or false");
}

/* "a,alpha|b": the index of the alternative in which `text` is a word. */
static int convert_choice(const struct conversion *c, const char *text)
{
	size_t len = strlen(text);
	const char *p = c->row->value;
	const char *main = p;
	size_t n;
	char fix[128];

	c->v->num = 0;
	for (;; p += n + 1) {
		n = strcspn(p, ",|");
		if (n == len && !memcmp(p, text, n))
			return keep(c, main, strcspn(main, ",|"));
		if (!p[n])
			break;
		if (p[n] == '|') {
			main = p + n + 1;
			c->v->num++;
		}
	}
	hull_format(fix, sizeof(fix), "write one of %s", c->row->value);
	return complain(c, 6, text, "is not one of the choices", fix);
}

static bool is_plain_text(const char *s)
{
	for (; *s; s++)
		if (hull_utf8_is_control(s))
			return false;
	return true;
}

static bool is_utf8(const char *text)
{
	const uint8_t *s = (const uint8_t *)text;
	size_t left = strlen(text);
	size_t n;

	for (; left; left -= n, s += n) {
		n = hull_utf8_length(s, left);
		if (!n)
			return false;
	}
	return true;
}

/* Is `text` one of the lower-case words of "generated|none|FILE"? */
static bool is_keyword(const char *words, const char *text)
{
	size_t len = strlen(text);
	size_t n;

	for (;; words += n + 1) {
		n = strcspn(words, "|");
		if (n == len && !memcmp(words, text, n) && *words >= 'a' && *words <= 'z')
			return true;
		if (!words[n])
			return false;
	}
}

/* A path inside a file is relative to that file.  `prefix` bytes of text are not of the path. */
/* Disks may also be servers. */
static bool is_server(const char *text)
{
	return !strncmp(text, "nbd:", 4) || !strncmp(text, "nbd+unix:", 9);
}

static int convert_path(const struct conversion *c, const char *text, size_t prefix)
{
	const char *file = c->at->origin.name;
	const char *slash = c->at->origin.line ? strrchr(file, '/') : NULL;
	size_t dir = slash ? (size_t)(slash - file) + 1 : 0;
	size_t len = strlen(text);
	char *copy;

	if (len == prefix)
		return complain(c, 6, text, "is empty", "write a path");
	if (text[prefix] == '/' || !dir || is_keyword(c->row->value, text) || is_server(text))
		return keep(c, text, len);
	copy = hull_pool_alloc(c->pool, len + dir + 1);
	if (!copy)
		return hull_options_no_memory(c->err);
	memcpy(copy, text, prefix);
	memcpy(copy + prefix, file, dir);
	memcpy(copy + prefix + dir, text + prefix, len - prefix);
	c->v->text = copy;
	return 0;
}

static int convert_sink(const struct conversion *c, const char *text)
{
	if (!strncmp(text, "file:", 5))
		return convert_path(c, text, 5);
	if (!strncmp(text, "socket:", 7))
		return convert_path(c, text, 7);
	if (!is_keyword(c->row->value, text))
		return complain(c, 6, text, "is not a place for a serial port",
		                "write stdio, pty, none, file:PATH or socket:PATH");
	return keep(c, text, strlen(text));
}

static int convert_seed(const struct conversion *c, const char *text)
{
	if (!strncmp(text, "seed:", 5) && hull_parse_u64(text + 5, &c->v->num))
		return keep(c, text, strlen(text));
	if (strcmp(text, "host") != 0)
		return complain(c, 6, text, "is not a source of random numbers",
		                "write host or seed:1");
	return keep(c, text, strlen(text));
}

static int convert_scalar(const struct conversion *c, const char *text)
{
	int ret;

	if (!is_plain_text(text))
		return complain(c, 6, text, "contains control characters", "remove them");
	switch (c->row->type) {
	case HULL_TYPE_CHOICE: return convert_choice(c, text);
	case HULL_TYPE_PATH:
	case HULL_TYPE_MAIN_PATH: return convert_path(c, text, 0);
	case HULL_TYPE_SINK: return convert_sink(c, text);
	case HULL_TYPE_SEED: return convert_seed(c, text);
	case HULL_TYPE_BOOL: ret = convert_bool(c, text); break;
	case HULL_TYPE_COUNT:
	case HULL_TYPE_ADDRESS: ret = convert_number(c, text); break;
	case HULL_TYPE_SIZE:
	case HULL_TYPE_PAGES: ret = convert_size(c, text); break;
	default:
		ret = 0;
		/* Paths are exempt: on most hosts they are bytes. */
		if (!is_utf8(text))
			return complain(c, 6, text, "is not UTF-8 text", "write it in UTF-8");
		if (strlen(text) > c->row->most)
			return complain(c, 5, text, "is too long", "write a shorter text");
	}
	return ret ? ret : keep(c, text, strlen(text));
}

/* Lists come as TOML nodes; text that is not TOML is split at commas. */

static int list_error(const struct conversion *c, uint16_t id, const char *what)
{
	char fix[128];

	hull_format(fix, sizeof(fix), "write it like %.100s", c->row->example);
	return complain(c, id, "...", what, fix);
}

static int number_of(const struct conversion *c, const struct hull_toml *n, uint64_t *ret)
{
	const char *text = hull_toml_text(n);

	if (!(text ? hull_parse_u64(text, ret) : hull_toml_u64(n, ret)))
		return list_error(c, 4, "has an element that is not a number");
	if (*ret < c->row->least || *ret > c->row->most)
		return list_error(c, 5, "has a number that is out of range");
	return 0;
}

static int set_of(const struct conversion *c, const struct hull_toml *n, uint64_t *ret)
{
	const struct hull_toml *e;
	uint64_t mask = 0;
	uint64_t cpu;
	int r;

	if (n->kind != HULL_TOML_ARRAY || !n->count)
		return list_error(c, 6, "is not a list of lists of CPU numbers");
	for (e = n->first; e; e = e->next) {
		r = number_of(c, e, &cpu);
		if (r)
			return r;
		mask |= BIT(cpu & 63);
	}
	*ret = mask;
	return 0;
}

static int convert_numbers(const struct conversion *c, const struct hull_toml *list)
{
	uint64_t *nums = hull_pool_alloc(c->pool, (list->count + 1) * sizeof(*nums));
	const struct hull_toml *e;
	uint32_t i = 0;
	int ret;

	if (!nums)
		return hull_options_no_memory(c->err);
	for (e = list->first; e; e = e->next, i++) {
		ret = (c->row->type == HULL_TYPE_SETS ? set_of : number_of)(c, e, &nums[i]);
		if (ret)
			return ret;
	}
	c->v->nums = nums;
	c->v->count = i;
	return 0;
}

/* A list of texts within a table: joined by spaces. */
static const char *joined(const struct hull_toml *list, char *dst, size_t size)
{
	const struct hull_toml *e;
	const char *text;
	size_t n = 0;

	if (list->kind != HULL_TOML_ARRAY || !list->count)
		return NULL;
	for (e = list->first; e; e = e->next) {
		text = e->kind == HULL_TOML_STRING ? hull_toml_text(e) : NULL;
		if (!text)
			return NULL;
		n += hull_format(dst + n, size - n, "%s%s", n ? " " : "", text);
		if (n >= size)
			return NULL;
	}
	return dst;
}

static int pair_of(const struct conversion *c, const struct hull_toml *n, struct hull_pair *ret)
{
	char text[1024];
	const char *from = text;

	ret->is_num = hull_toml_u64(n, &ret->num);
	if (n->kind == HULL_TOML_BOOL) {
		ret->num = n->integer;
		ret->is_num = true;
	}
	if (ret->is_num)
		hull_format(text, sizeof(text), "%llu", (unsigned long long)ret->num);
	else if (c->row->type == HULL_TYPE_STRINGS || n->kind == HULL_TOML_STRING)
		from = hull_toml_text(n);
	else if (n->kind == HULL_TOML_FLOAT)
		from = n->text;
	else
		from = joined(n, text, sizeof(text));
	if (!from || (ret->is_num && c->row->type == HULL_TYPE_STRINGS) || !is_plain_text(from) ||
	    !is_plain_text(n->key) || strlen(n->key) != n->key_len)
		return list_error(c, 106, "has an element of the wrong kind");
	ret->key = hull_pool_copy(c->pool, n->key, n->key_len);
	ret->text = hull_pool_copy(c->pool, from, strlen(from));
	return ret->key && ret->text ? 0 : hull_options_no_memory(c->err);
}

static int convert_pairs(const struct conversion *c, const struct hull_toml *list)
{
	struct hull_pair *pairs = hull_pool_alloc(c->pool, (list->count + 1) * sizeof(*pairs));
	const struct hull_toml *e;
	uint32_t i = 0;
	int ret;

	if (!pairs)
		return hull_options_no_memory(c->err);
	for (e = list->first; e; e = e->next, i++) {
		ret = pair_of(c, e, &pairs[i]);
		if (ret)
			return ret;
	}
	c->v->pairs = pairs;
	c->v->count = i;
	return 0;
}

static bool is_list(unsigned type)
{
	return type >= HULL_TYPE_NUMBERS;
}

static int convert_list(const struct conversion *c, const struct hull_toml *n)
{
	bool table = c->row->type == HULL_TYPE_PAIRS;

	if (n->kind != (table ? HULL_TOML_TABLE : HULL_TOML_ARRAY))
		return list_error(c, 106, table ? "must be a table" : "must be a list");
	if (n->count > LIST_MAX)
		return list_error(c, 109, "has more than 64 elements");
	if (c->row->type == HULL_TYPE_NUMBERS || c->row->type == HULL_TYPE_SETS)
		return convert_numbers(c, n);
	return convert_pairs(c, n);
}

/* Parse `text` as the value of a TOML key; memory in *ret_memory is the caller's. */
static int parse_list(const struct conversion *c, const char *text, void **ret_memory,
                      const struct hull_toml **ret)
{
	size_t size = strlen(text) + 8;
	size_t room = 4096 + 160 * size;
	struct hull_toml_input in = { .size = size };
	const struct hull_toml *root;
	struct hull_err err;
	char *copy;
	int r;

	*ret_memory = size < (64 << 10) ? malloc(size + room) : NULL;
	if (!*ret_memory)
		return hull_options_no_memory(c->err);
	copy = (char *)*ret_memory + room;
	in.size = hull_format(copy, size, "x = %s", text);
	in.text = copy;
	r = hull_toml_parse(&in, *ret_memory, room, &root, &err);
	if (r || root->count != 1)
		return list_error(c, 10, "is not a list");
	*ret = root->first;
	return 0;
}

/* "a,b" as ["a","b"]: elements of our lists need no quotes on the command line. */
static int split_list(const struct conversion *c, const char *text, char **ret)
{
	size_t size = 4 * strlen(text) + 8;
	char *quoted = size < (64 << 10) ? malloc(size) : NULL;
	size_t n = 0;

	if (!quoted)
		return hull_options_no_memory(c->err);
	quoted[n++] = '[';
	quoted[n++] = '\'';
	for (; *text; text++) {
		if (*text == ',') {
			memcpy(quoted + n, "','", 3);
			n += 3;
		} else {
			quoted[n++] = *text;
		}
	}
	memcpy(quoted + n, "']", 3);
	*ret = quoted;
	return 0;
}

static int list_from_text(const struct conversion *c, const char *text)
{
	const struct hull_toml *node = NULL;
	void *memory = NULL;
	char *quoted = NULL;
	int ret = 0;

	if (*text != '[' && *text != '{')
		ret = split_list(c, text, &quoted);
	if (!ret)
		ret = parse_list(c, quoted ? quoted : text, &memory, &node);
	if (!ret)
		ret = convert_list(c, node);
	free(quoted);
	free(memory);
	return ret;
}

int hull_value_from_text(struct hull_pool *a, enum hull_option id, const char *text,
                         const struct hull_place *at, struct hull_value *ret, struct hull_err *err)
{
	struct hull_value v = { .origin = at->origin };
	struct conversion c = { a, &hull_option_rows[id], at, &v, err };
	int r = is_list(c.row->type) ? list_from_text(&c, text) : convert_scalar(&c, text);

	if (!r)
		*ret = v;
	return r;
}

static int wrong_kind(const struct conversion *c, const struct hull_toml *node)
{
	char example[96];

	hull_format(example, sizeof(example), "write it like %.70s", c->row->example);
	hull_fail(c->err, HULL_EINVAL, 106, "%.80s cannot be %s", c->at->key,
	          hull_toml_kind_name(node->kind));
	hull_place_where(c->err, c->at);
	hull_err_fix(c->err, "%s", example);
	return HULL_EINVAL;
}

int hull_value_from_toml(struct hull_pool *a, enum hull_option id, const struct hull_toml *node,
                         const struct hull_place *at, struct hull_value *ret, struct hull_err *err)
{
	struct hull_value v = { .origin = at->origin };
	struct conversion c = { a, &hull_option_rows[id], at, &v, err };
	const char *text = hull_toml_text(node);
	bool number = c.row->type >= HULL_TYPE_COUNT && c.row->type <= HULL_TYPE_PAGES;
	char digits[24];
	int r;

	if (is_list(c.row->type)) {
		r = convert_list(&c, node);
	} else if (c.row->type == HULL_TYPE_BOOL && node->kind == HULL_TOML_BOOL) {
		r = convert_scalar(&c, node->integer ? "true" : "false");
	} else if (number && node->kind == HULL_TOML_INTEGER) {
		hull_format(digits, sizeof(digits), node->negative ? "%lld" : "%llu",
		            (unsigned long long)node->integer);
		r = convert_scalar(&c, digits);
	} else if (c.row->type != HULL_TYPE_BOOL && text) {
		r = convert_scalar(&c, text);
	} else {
		r = wrong_kind(&c, node);
	}
	if (!r)
		*ret = v;
	return r;
}

void hull_value_store(struct hull_value *slot, const struct hull_value *v)
{
	if (slot->origin.rank <= v->origin.rank)
		*slot = *v;
}

/* Writing. */

void hull_text_write(FILE *out, const char *text)
{
	const uint8_t *s = (const uint8_t *)text;
	size_t left = strlen(text);
	size_t n;

	fputc('"', out);
	for (; left; left -= n, s += n) {
		n = hull_utf8_length(s, left);
		if (!n) {
			n = 1;
			fputs("\xef\xbf\xbd", out); /* U+FFFD: TOML cannot hold such bytes */
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

static void write_set(FILE *out, uint64_t mask)
{
	const char *comma = "";
	unsigned i;

	fputc('[', out);
	for (i = 0; i < 64; i++) {
		if (mask & BIT(i)) {
			fprintf(out, "%s%u", comma, i);
			comma = ", ";
		}
	}
	fputc(']', out);
}

static void write_pair(FILE *out, unsigned type, const struct hull_pair *p)
{
	if (type == HULL_TYPE_PAIRS) {
		hull_text_write(out, p->key);
		fputs(" = ", out);
	}
	if (p->is_num)
		fprintf(out, "%" PRIu64, p->num);
	else
		hull_text_write(out, p->text);
}

static void write_list(FILE *out, unsigned type, const struct hull_value *v)
{
	uint32_t i;

	fputs(type == HULL_TYPE_PAIRS ? "{ " : "[", out);
	for (i = 0; i < v->count; i++) {
		if (i)
			fputs(", ", out);
		if (type == HULL_TYPE_SETS)
			write_set(out, v->nums[i]);
		else if (type == HULL_TYPE_NUMBERS)
			fprintf(out, "0x%" PRIx64, v->nums[i]);
		else
			write_pair(out, type, &v->pairs[i]);
	}
	fputs(type == HULL_TYPE_PAIRS ? " }" : "]", out);
}

void hull_value_write(FILE *out, enum hull_option id, const struct hull_value *v)
{
	unsigned type = hull_option_rows[id].type;
	char size[32];

	switch (type) {
	case HULL_TYPE_BOOL: fputs(v->num ? "true" : "false", out); break;
	case HULL_TYPE_COUNT: fprintf(out, "%" PRIu64, v->num); break;
	case HULL_TYPE_ADDRESS: fprintf(out, "0x%" PRIx64, v->num); break;
	case HULL_TYPE_SIZE:
	case HULL_TYPE_PAGES:
		format_size(size, sizeof(size), v->num);
		fprintf(out, "\"%s\"", size);
		break;
	default:
		if (is_list(type))
			write_list(out, type, v);
		else
			hull_text_write(out, v->text);
	}
}
