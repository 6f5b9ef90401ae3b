/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/args.h"

#include <string.h>

#include "base/bits.h"
#include "base/text.h"
#include "manage/cmd.h"

enum { ARGS_MAX = 32 };

/* The option that a word names, its value behind '=' in *ret_value (else NULL); NULL: none. */
static const struct hull_arg *find(const struct hull_verb *v, const char *word,
                                   const char **ret_value)
{
	size_t len = strcspn(word, "=");

	*ret_value = NULL;
	for (size_t i = 0; i < v->nargs; i++) {
		const struct hull_arg *a = &v->args[i];

		if (word[1] != '-') {
			if (a->letter && word[1] == a->letter && !word[2])
				return a;
		} else if (strlen(a->flag) == len - 2 && !strncmp(word + 2, a->flag, len - 2)) {
			*ret_value = word[len] ? word + len + 1 : NULL;
			return a;
		}
	}
	return NULL;
}

static int unknown(const struct hull_verb *v, const char *word, struct hull_err *err)
{
	const char *names[ARGS_MAX], *near;
	size_t n = MIN(v->nargs, (size_t)ARGS_MAX);

	for (size_t i = 0; i < n; i++)
		names[i] = v->args[i].flag;
	hull_fail(err, HULL_EINVAL, 1, "%s %s has no option \"%.60s\"", v->command, v->name, word);
	near = strncmp(word, "--", 2) ? NULL : hull_nearest(word + 2, names, n);
	if (near)
		hull_err_fix(err, "did you mean --%s?", near);
	else
		hull_err_fix(err, "see its options: %s %s --help", v->command, v->name);
	return HULL_EINVAL;
}

/* "-" alone and "-5G" are words. */
static bool is_word(const char *text)
{
	return text[0] != '-' || !text[1] || (text[1] >= '0' && text[1] <= '9');
}

static int take(const struct hull_verb *v, int argc, char *const argv[], int *i,
                struct hull_err *err)
{
	const char *value;
	const struct hull_arg *a = find(v, argv[*i], &value);

	if (!a)
		return unknown(v, argv[*i], err);
	if (a->given && value)
		return hull_fail(err, HULL_EINVAL, 2, "--%s takes no value", a->flag);
	if (a->given) {
		*a->given = true;
		return 0;
	}
	if (!value && *i + 1 < argc)
		value = argv[++*i];
	if (!value)
		return hull_fail(err, HULL_EINVAL, 2, "--%s needs a value: --%s %s", a->flag,
		                 a->flag, a->value);
	*a->text = value;
	return 0;
}

int hull_args_parse(struct hull_options *o, const struct hull_verb *v, int argc, char *const argv[],
                    const char **word, struct hull_err *err)
{
	bool only_words = false;
	unsigned n = 0;
	int r;

	for (unsigned i = 0; i < v->most; i++)
		word[i] = NULL;
	for (int i = 1; i < argc; i++) {
		const char *value;

		if (!only_words && !strcmp(argv[i], "--")) {
			only_words = true;
		} else if (only_words || is_word(argv[i])) {
			if (n == v->most)
				return hull_fail(err, HULL_EINVAL, 7,
				                 "%s %s takes no argument \"%.60s\"", v->command,
				                 v->name, argv[i]);
			word[n++] = argv[i];
		} else if (find(v, argv[i], &value) || !hull_cmd_is_global(o, argc, argv, &i)) {
			r = take(v, argc, argv, &i, err);
			if (r)
				return r;
		}
	}
	if (n >= v->least || o->help)
		return 0;
	hull_fail(err, HULL_EINVAL, 7, "%s %s needs %s", v->command, v->name, v->words);
	hull_err_fix(err, "see how it is used: %s %s --help", v->command, v->name);
	return HULL_EINVAL;
}

void hull_args_help(const struct hull_verb *v, FILE *out)
{
	fprintf(out, "usage: %s %s %s%s\n", v->command, v->name, v->words,
	        v->nargs ? " [OPTIONS]" : "");
	for (size_t i = 0; i < v->nargs; i++) {
		const struct hull_arg *a = &v->args[i];
		char flag[64], letter[8] = "   ";

		if (a->letter)
			hull_format(letter, sizeof(letter), "-%c,", a->letter);
		hull_format(flag, sizeof(flag), "%s --%s %s", letter, a->flag,
		            a->value ? a->value : "");
		fprintf(out, "  %-28s %s\n", flag, a->help);
	}
}
