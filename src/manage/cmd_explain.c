/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/cmd.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "manage/json.h"
#include "manage/options_table.h"
#include "manage/report.h"

unsigned hull_options_style(const struct hull_options *o, int argc, char *const argv[], FILE *f)
{
	const char *when = hull_options_text(o, HULL_OPT_OUTPUT_COLOR);
	unsigned style = 0;
	int i;

	if (hull_options_num(o, HULL_OPT_OUTPUT_FORMAT) == HULL_OUTPUT_JSON)
		style |= HULL_REPORT_JSON;
	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (!strcmp(argv[i], "--json"))
			style |= HULL_REPORT_JSON;
	if (hull_options_num(o, HULL_OPT_OUTPUT_QUIET))
		style |= HULL_REPORT_QUIET;
	if (hull_report_wants_color(f, when ? when : "auto"))
		style |= HULL_REPORT_COLOR;
	return style;
}

bool hull_cmd_is_global(struct hull_options *o, int argc, char *const argv[], int *i)
{
	struct hull_err err;
	int used;

	/* The option is argv[1] of the rest; it may take the word behind it. */
	if (argv[*i][0] != '-' || !argv[*i][1] || !strcmp(argv[*i], "--"))
		return false;
	for (int words = 2; words <= 3 && *i + words - 1 <= argc; words++) {
		if (hull_options_parse_globals(o, words, argv + *i - 1, &used, &err))
			continue;
		*i += used - 2;
		return true;
	}
	return false;
}

int hull_cmd_fail(const struct hull_options *o, int argc, char *const argv[], FILE *err,
                  const struct hull_err *e)
{
	hull_report_error(err, hull_options_style(o, argc, argv, err), e);
	return hull_report_exit_code(e);
}

void hull_cmd_placeholder(enum hull_option id, char *dst, size_t size)
{
	const struct hull_option_row *r = &hull_option_rows[id];
	const char *p = r->value ? r->value : "";
	size_t n = 0;
	size_t len;

	if (r->type != HULL_TYPE_CHOICE) {
		hull_format(dst, size, "%s", p);
		return;
	}
	for (dst[0] = 0; *p; p += strcspn(p, "|"), p += *p == '|') {
		len = strcspn(p, ",|");
		n += hull_format(dst + n, size - n, "%s%.*s", n ? "|" : "", (int)len, p);
		if (n >= size)
			return;
	}
}

static const char *source_of(enum hull_origin_rank rank)
{
	switch (rank) {
	case HULL_ORIGIN_SYSTEM: return "the system's file";
	case HULL_ORIGIN_USER: return "the user's file";
	case HULL_ORIGIN_FILE: return "the file";
	case HULL_ORIGIN_ENV: return "the environment";
	case HULL_ORIGIN_FLAG: return "the command line";
	default: return "the default";
	}
}

static void explain_value(enum hull_option id, const struct hull_options *o, FILE *out)
{
	const struct hull_value *v = &o->value[id];

	if (hull_group_rows[hull_option_rows[id].group].kind != HULL_GROUP_ONE)
		return;
	fputs("  now:      ", out);
	if (v->origin.rank == HULL_ORIGIN_NONE) {
		fputs("no value\n", out);
		return;
	}
	hull_value_write(out, id, v);
	fprintf(out, "  from %s", source_of(v->origin.rank));
	if (v->origin.line)
		fprintf(out, " %s line %u", v->origin.name, v->origin.line);
	else if (v->origin.rank > HULL_ORIGIN_DEFAULT)
		fprintf(out, " (%s)", v->origin.name);
	fputc('\n', out);
}

static void explain_key_text(enum hull_option id, const struct hull_options *o, FILE *out)
{
	const struct hull_option_row *r = &hull_option_rows[id];
	char name[HULL_OPTION_NAME_MAX], text[160];

	hull_option_name(id, name);
	fprintf(out, "%s\n  %s\n", name, r->help);
	hull_cmd_placeholder(id, text, sizeof(text));
	fprintf(out, "  takes:    %s\n", *text ? text : "true|false");
	if (r->type >= HULL_TYPE_COUNT && r->type <= HULL_TYPE_PAGES)
		fprintf(out, "  range:    %llu to %llu\n", (unsigned long long)r->least,
		        (unsigned long long)r->most);
	fprintf(out, "  default:  %s\n", r->preset ? r->preset : "none");
	if (o)
		explain_value(id, o, out);
	if (r->flag && r->letter)
		fprintf(out, "  flag:     -%c, --%s\n", r->letter, r->flag);
	else if (r->flag)
		fprintf(out, "  flag:     --%s\n", r->flag);
	hull_option_variable(id, text);
	if (*text)
		fprintf(out, "  variable: %s\n", text);
	fprintf(out, "  example:  %s\n", r->example);
}

/* The same facts as JSON; members without a value are null. */
static void explain_key_json(enum hull_option id, const struct hull_options *o, FILE *out)
{
	const struct hull_option_row *r = &hull_option_rows[id];
	const struct hull_value *v = o ? &o->value[id] : NULL;
	char text[160];
	struct hull_json j;

	hull_json_init(&j, out);
	hull_json_object(&j, NULL);
	hull_json_text(&j, "schema", "hull.explain.key/1");
	hull_option_name(id, text);
	hull_json_text(&j, "key", text);
	hull_json_text(&j, "help", r->help);
	hull_cmd_placeholder(id, text, sizeof(text));
	hull_json_text(&j, "takes", *text ? text : "true|false");
	hull_json_text(&j, "default", r->preset);
	hull_json_text(&j, "flag", r->flag);
	hull_option_variable(id, text);
	hull_json_text(&j, "variable", *text ? text : NULL);
	hull_json_text(&j, "example", r->example);
	if (v && v->origin.rank != HULL_ORIGIN_NONE) {
		hull_json_text(&j, "from", source_of(v->origin.rank));
		hull_json_text(&j, "source", v->origin.name);
		hull_json_u64(&j, "line", v->origin.line);
		hull_json_text(&j, "value", v->text);
	}
	hull_json_end(&j);
}

static void explain_error(const struct hull_error_entry *e, bool json, FILE *out)
{
	struct hull_json j;
	char code[16];

	hull_format(code, sizeof(code), "E%04u", e->id);
	if (!json) {
		fprintf(out, "%s: %s\n%s\n", code, e->title, e->explanation);
		return;
	}
	hull_json_init(&j, out);
	hull_json_object(&j, NULL);
	hull_json_text(&j, "schema", "hull.explain.error/1");
	hull_json_text(&j, "code", code);
	hull_json_text(&j, "title", e->title);
	hull_json_text(&j, "explanation", e->explanation);
	hull_json_end(&j);
}

void hull_cmd_explain_key(enum hull_option id, const struct hull_options *o, bool json, FILE *out)
{
	(json ? explain_key_json : explain_key_text)(id, o, out);
}

static int unknown_topic(const char *word, const struct hull_options *o, int argc,
                         char *const argv[], FILE *err)
{
	char near[HULL_OPTION_NAME_MAX];
	struct hull_err e;

	hull_fail(&e, HULL_ENOENT, 11, "there is no key or error \"%.80s\"", word);
	if (hull_option_near(word, near))
		hull_err_fix(&e, "did you mean \"%s\"?", near);
	else
		hull_err_fix(&e, "see hull help");
	return hull_cmd_fail(o, argc, argv, err, &e);
}

static const struct hull_error_entry *find_error(const char *word)
{
	unsigned long id;
	char *end;

	if (*word == 'E' || *word == 'e')
		word++;
	if (*word < '0' || *word > '9')
		return NULL;
	id = strtoul(word, &end, 10);
	return *end || id > UINT16_MAX ? NULL : hull_report_find((unsigned)id);
}

static int explain_word(const char *word, const struct hull_options *o, int argc,
                        char *const argv[], FILE *out, FILE *err)
{
	const struct hull_error_entry *e = find_error(word);
	enum hull_option id = hull_option_find(word);
	bool json = hull_options_style(o, argc, argv, err) & HULL_REPORT_JSON;

	if (e)
		explain_error(e, json, out);
	else if (id < HULL_OPT_COUNT)
		hull_cmd_explain_key(id, NULL, json, out);
	else
		return unknown_topic(word, o, argc, argv, err);
	return 0;
}

static void list_errors(bool json, FILE *out)
{
	const struct hull_error_entry *e;
	size_t i;

	for (i = 0; (e = hull_report_entry(i)); i++) {
		if (json)
			explain_error(e, true, out);
		else
			fprintf(out, "E%04u  %s\n", e->id, e->title);
	}
}

int hull_cmd_explain(int argc, char *const argv[], FILE *out, FILE *err)
{
	const char *word = NULL;
	struct hull_options o;
	struct hull_err e;
	int ret, i;

	ret = hull_options_init(&o, &e);
	for (i = 1; i < argc && !ret; i++) {
		if (hull_cmd_is_global(&o, argc, argv, &i))
			continue;
		if (word) {
			ret = hull_fail(&e, HULL_EINVAL, 7, "hull explain takes one error or key");
			hull_err_fix(&e, "write it like hull explain E0101");
		}
		word = argv[i];
	}
	if (ret)
		ret = hull_cmd_fail(&o, argc, argv, err, &e);
	else if (word)
		ret = explain_word(word, &o, argc, argv, out, err);
	else
		list_errors(hull_options_style(&o, argc, argv, err) & HULL_REPORT_JSON, out);
	hull_options_free(&o);
	return ret;
}
