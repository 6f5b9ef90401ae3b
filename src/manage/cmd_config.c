/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/cmd.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/text.h"
#include "manage/json.h"
#include "manage/options_table.h"

static int show_json_value(struct hull_json *j, const char *name, enum hull_option id,
                           const struct hull_value *v)
{
	static const char *const origins[] = { "none", "default",     "system", "user",
		                               "file", "environment", "flag" };
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return HULL_ENOMEM;
	hull_value_write(f, id, v);
	if (fclose(f) || !text)
		return HULL_ENOMEM;
	hull_json_object(j, NULL);
	hull_json_text(j, "key", name);
	hull_json_text(j, "toml", text);
	hull_json_text(j, "origin", origins[v->origin.rank]);
	hull_json_text(j, "source", v->origin.name && *v->origin.name ? v->origin.name : NULL);
	if (v->origin.line)
		hull_json_u64(j, "line", v->origin.line);
	hull_json_end(j);
	free(text);
	return 0;
}

static void origin_text(const struct hull_origin *o, char *dst, size_t size)
{
	if (o->line)
		hull_format(dst, size, "%.100s line %u", o->name, o->line);
	else
		hull_format(dst, size, "%.120s",
		            o->rank > HULL_ORIGIN_DEFAULT ? o->name : "default");
}

static int show_value(struct hull_json *j, const char *name, enum hull_option id,
                      const struct hull_value *v, FILE *out)
{
	char origin[160];

	if (v->origin.rank == HULL_ORIGIN_NONE)
		return 0;
	if (j)
		return show_json_value(j, name, id, v);
	origin_text(&v->origin, origin, sizeof(origin));
	fprintf(out, "%-24s  %-24s  ", name, origin);
	hull_value_write(out, id, v);
	fputc('\n', out);
	return 0;
}

static int show_all(const struct hull_options *o, struct hull_json *j, FILE *out)
{
	char name[2 * HULL_OPTION_NAME_MAX];
	unsigned id;
	uint32_t i;
	int ret = 0;

	for (id = 0; id < HULL_OPT_COUNT && !ret; id++) {
		unsigned g = hull_option_rows[id].group;

		if (hull_group_rows[g].kind == HULL_GROUP_ONE) {
			hull_option_name(id, name);
			ret = show_value(j, name, id, &o->value[id], out);
		}
		for (i = 0; i < o->nitems[g] && !ret; i++) {
			hull_format(name, sizeof(name), "%s[%u].%s", hull_group_rows[g].name, i,
			            hull_option_rows[id].key);
			ret = show_value(j, name, id, hull_options_item(o, id, i), out);
		}
	}
	return ret;
}

static int show(const struct hull_options *o, int argc, char *const argv[], FILE *out,
                struct hull_err *e)
{
	struct hull_json j;
	int ret;

	switch (hull_options_num(o, HULL_OPT_OUTPUT_FORMAT)) {
	case HULL_OUTPUT_TOML: hull_options_write_toml(o, HULL_ORIGIN_DEFAULT, out); return 0;
	case HULL_OUTPUT_JSON:
		hull_json_init(&j, out);
		hull_json_object(&j, NULL);
		hull_json_text(&j, "schema", "hull.config/1");
		hull_json_array(&j, "values");
		ret = show_all(o, &j, out);
		hull_json_end(&j);
		hull_json_end(&j);
		break;
	default:
		fprintf(out, "%-24s  %-24s  %s\n", "KEY", "FROM", "VALUE");
		ret = show_all(o, NULL, out);
	}
	return ret ? hull_options_no_memory(e) : 0;
}

static void show_path(struct hull_json *j, const char *kind, const char *name, FILE *out)
{
	bool there = !access(name, R_OK);

	if (!j) {
		fprintf(out, "%-8s %s%s\n", kind, name, there ? "" : "  (not there)");
		return;
	}
	hull_json_object(j, NULL);
	hull_json_text(j, "kind", kind);
	hull_json_text(j, "path", name);
	hull_json_bool(j, "there", there);
	hull_json_end(j);
}

static int path(const struct hull_options *o, FILE *out)
{
	bool json = hull_options_num(o, HULL_OPT_OUTPUT_FORMAT) == HULL_OUTPUT_JSON;
	enum hull_origin_rank rank;
	struct hull_json j;
	char name[1024];
	unsigned i;

	hull_json_init(&j, out);
	if (json) {
		hull_json_object(&j, NULL);
		hull_json_text(&j, "schema", "hull.config.path/1");
		hull_json_array(&j, "files");
	}
	if (o->config)
		show_path(json ? &j : NULL, "file", o->config, out);
	for (i = 0; hull_options_file(environ, i, name, sizeof(name), &rank); i++)
		show_path(json ? &j : NULL, rank == HULL_ORIGIN_USER ? "user" : "system", name,
		          out);
	if (json) {
		hull_json_end(&j);
		hull_json_end(&j);
	}
	return 0;
}

static int explain(const char *key, const struct hull_options *o, FILE *out, struct hull_err *e)
{
	enum hull_option id = hull_option_find(key);
	struct hull_place at = { .origin = { HULL_ORIGIN_NONE, 0, "" } };

	if (id == HULL_OPT_COUNT)
		return hull_option_unknown(key, &at, e);
	hull_cmd_explain_key(id, o, hull_options_num(o, HULL_OPT_OUTPUT_FORMAT) == HULL_OUTPUT_JSON,
	                     out);
	return 0;
}

static int unknown_verb(const char *verb, struct hull_err *e)
{
	static const char *const verbs[] = { "explain", "show", "generate", "path", "import" };
	const char *near = hull_nearest(verb, verbs, ARRAY_LEN(verbs));

	hull_fail(e, HULL_EINVAL, 8, "hull config has no \"%.60s\"", verb);
	if (near)
		hull_err_fix(e, "did you mean hull config %s?", near);
	else
		hull_err_fix(e, "write explain KEY, show, generate, path or import");
	return HULL_EINVAL;
}

/* argv[0] is the verb; what follows it are options like those of `hull run`. */
static int run_verb(const char *verb, int argc, char *const argv[], struct hull_options *o,
                    FILE *out, struct hull_err *e)
{
	bool key = !strcmp(verb, "explain");
	int skip = key ? 1 : 0;
	int ret;

	if (key && argc < 2) {
		hull_fail(e, HULL_EINVAL, 2, "hull config explain needs a key");
		hull_err_fix(e, "write it like hull config explain memory.size");
		return HULL_EINVAL;
	}
	if (!key && strcmp(verb, "show") != 0 && strcmp(verb, "path") != 0 &&
	    strcmp(verb, "generate") != 0)
		return unknown_verb(verb, e);
	ret = hull_options_collect(o, argc - skip, argv + skip, environ, e);
	if (ret)
		return ret;
	if (o->help)
		return hull_cmd_help(1, argv, out, out);
	if (key)
		return explain(argv[1], o, out, e);
	if (!strcmp(verb, "generate"))
		return hull_options_write_template(out, e);
	return strcmp(verb, "path") ? show(o, argc, argv, out, e) : path(o, out);
}

int hull_cmd_config(int argc, char *const argv[], FILE *out, FILE *err)
{
	const char *verb = "show";
	struct hull_options o;
	struct hull_err e;
	int used = argc;
	int ret;

	ret = hull_options_init(&o, &e);
	if (!ret)
		ret = hull_options_parse_globals(&o, argc, argv, &used, &e);
	if (!ret && used < argc)
		verb = argv[used];
	if (!ret && !strcmp(verb, "import")) {
		hull_options_free(&o);
		return hull_cmd_import(argc - used, argv + used, out, err);
	}
	if (!ret && used == argc)
		used--;
	if (!ret)
		ret = run_verb(verb, argc - used, argv + used, &o, out, &e);
	if (ret)
		ret = hull_cmd_fail(&o, argc, argv, err, &e);
	hull_options_free(&o);
	return ret;
}
