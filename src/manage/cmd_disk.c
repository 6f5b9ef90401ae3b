/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/cmd_disk.h"

#include <string.h>

#include "base/bits.h"
#include "base/text.h"
#include "manage/cmd.h"
#include "manage/report.h"

static const struct {
	const char *name, *help;
	int (*run)(const struct hull_disk_call *c, struct hull_err *err);
} verbs[] = {
	{ "serve", "Let others use a disk image over NBD.", hull_disk_serve },
};

unsigned hull_disk_style(const struct hull_disk_call *c)
{
	return hull_options_style(c->o, c->argc, c->argv, c->err);
}

int hull_disk_args(const struct hull_disk_call *c, const struct hull_verb *v, const char **word,
                   struct hull_err *err)
{
	int r = hull_args_parse(c->o, v, c->argc, c->argv, word, err);

	if (r || !c->o->help)
		return r;
	hull_args_help(v, c->out);
	return 1;
}

static void list_verbs(FILE *out)
{
	fputs("usage: hull disk VERB ...\n", out);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		fprintf(out, "  %-12s %s\n", verbs[i].name, verbs[i].help);
}

static int no_verb(const char *word, struct hull_err *err)
{
	const char *names[ARRAY_LEN(verbs)], *near;

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		names[i] = verbs[i].name;
	near = word ? hull_nearest(word, names, ARRAY_LEN(names)) : NULL;
	if (word)
		hull_fail(err, HULL_EINVAL, 8, "hull disk has no verb \"%.60s\"", word);
	else
		hull_fail(err, HULL_EINVAL, 7, "hull disk needs a verb");
	if (near)
		hull_err_fix(err, "did you mean hull disk %s?", near);
	else
		hull_err_fix(err, "see all verbs: hull disk --help");
	return HULL_EINVAL;
}

static int run(const struct hull_disk_call *c, struct hull_err *err)
{
	const char *word = c->argc > 0 ? c->argv[0] : NULL;

	for (size_t i = 0; word && i < ARRAY_LEN(verbs); i++)
		if (!strcmp(word, verbs[i].name))
			return verbs[i].run(c, err);
	if (word && (!strcmp(word, "--help") || !strcmp(word, "-h"))) {
		list_verbs(c->out);
		return 0;
	}
	return no_verb(word, err);
}

/* Global options may stand before the verb. */
static int skip_globals(struct hull_options *o, int argc, char *const argv[], int i)
{
	while (i < argc && hull_cmd_is_global(o, argc, argv, &i) && !o->help)
		i++;
	return i;
}

int hull_cmd_disk(int argc, char *const argv[], FILE *out, FILE *err)
{
	struct hull_options o;
	struct hull_err e = { 0 };
	int first = argc, r = hull_options_init(&o, &e);
	struct hull_disk_call c = { .o = &o, .out = out, .err = err };

	if (!r) {
		first = skip_globals(&o, argc, argv, 1);
		c.argc = argc - first;
		c.argv = argv + first;
		r = run(&c, &e);
	}
	if (r < 0)
		r = hull_cmd_fail(&o, argc, argv, err, &e);
	else
		r = 0;
	hull_options_free(&o);
	return r;
}
