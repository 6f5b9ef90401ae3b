/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/options_table.h"

#include <ctype.h>
#include <string.h>

#include "base/bits.h"
#include "base/text.h"

const struct hull_option_row hull_option_rows[HULL_OPT_COUNT] = {
#define GROUP(...)
#define SWITCH(...)
#define ALIAS(...)
#define OPT(g, id, k, t, lo, hi, def, ch, fl, val, hlp, ex) \
	[HULL_OPT_##id] = { .key = k,                       \
		            .preset = def,                  \
		            .flag = fl,                     \
		            .value = val,                   \
		            .help = hlp,                    \
		            .example = ex,                  \
		            .least = lo,                    \
		            .most = hi,                     \
		            .group = HULL_GROUP_##g,        \
		            .type = HULL_TYPE_##t,          \
		            .letter = ch },
#include "manage/options.def"
#undef OPT
#undef GROUP
};

const struct hull_group_row hull_group_rows[HULL_GROUP_COUNT] = {
#define OPT(...)
#define GROUP(id, n, k, hi, hlp) \
	[HULL_GROUP_##id] = { .name = n, .help = hlp, .kind = HULL_GROUP_##k, .most = hi },
#include "manage/options.def"
#undef GROUP
#undef SWITCH
};

const struct hull_switch_row hull_switch_rows[HULL_SWITCH_COUNT] = {
#define GROUP(...)
#define SWITCH(id, ch, fl, val, hlp) \
	[HULL_SWITCH_##id] = { .flag = fl, .value = val, .help = hlp, .letter = ch },
#include "manage/options.def"
#undef SWITCH
#undef ALIAS
};

const struct hull_alias_row hull_alias_rows[] = {
#define SWITCH(...)
#define ALIAS(fl, opt, val) { .flag = fl, .value = val, .id = HULL_OPT_##opt },
#include "manage/options.def"
};

const size_t hull_alias_count = ARRAY_LEN(hull_alias_rows);

enum hull_option hull_option_first(unsigned group)
{
	unsigned id = 0;

	while (id < HULL_OPT_COUNT && hull_option_rows[id].group != group)
		id++;
	return id;
}

unsigned hull_option_keys(unsigned group)
{
	unsigned id = hull_option_first(group);
	unsigned n = 0;

	while (id + n < HULL_OPT_COUNT && hull_option_rows[id + n].group == group)
		n++;
	return n;
}

/* May the group's name stand for this key? */
static bool is_main(const struct hull_option_row *r)
{
	return (r->type == HULL_TYPE_MAIN_PATH || r->type == HULL_TYPE_MAIN_TEXT) &&
	       hull_group_rows[r->group].kind == HULL_GROUP_ONE;
}

void hull_option_name(enum hull_option id, char *dst)
{
	const struct hull_option_row *r = &hull_option_rows[id];
	const char *group = hull_group_rows[r->group].name;

	if (is_main(r))
		hull_format(dst, HULL_OPTION_NAME_MAX, "%s", group);
	else
		hull_format(dst, HULL_OPTION_NAME_MAX, "%s.%s", group, r->key);
}

void hull_option_variable(enum hull_option id, char *dst)
{
	char name[HULL_OPTION_NAME_MAX];
	char *c;

	dst[0] = 0;
	if (hull_group_rows[hull_option_rows[id].group].kind != HULL_GROUP_ONE)
		return;
	hull_option_name(id, name);
	for (c = name; *c; c++)
		*c = *c == '.' ? '_' : (char)toupper((unsigned char)*c);
	hull_format(dst, HULL_OPTION_NAME_MAX, "HULL_%s", name);
}

enum hull_option hull_option_find(const char *name)
{
	char full[HULL_OPTION_NAME_MAX];
	unsigned id;

	for (id = 0; id < HULL_OPT_COUNT; id++) {
		const struct hull_option_row *r = &hull_option_rows[id];

		hull_option_name(id, full);
		if (!strcmp(full, name))
			break;
		hull_format(full, sizeof(full), "%s.%s", hull_group_rows[r->group].name, r->key);
		if (!strcmp(full, name))
			break;
	}
	return id;
}

bool hull_option_near(const char *name, char *dst)
{
	char names[HULL_OPT_COUNT][HULL_OPTION_NAME_MAX];
	const char *list[HULL_OPT_COUNT];
	const char *best;
	unsigned id;

	for (id = 0; id < HULL_OPT_COUNT; id++) {
		hull_option_name(id, names[id]);
		list[id] = names[id];
	}
	best = hull_nearest(name, list, HULL_OPT_COUNT);
	if (!best)
		return false;
	hull_format(dst, HULL_OPTION_NAME_MAX, "%s", best);
	return true;
}

void hull_place_where(struct hull_err *err, const struct hull_place *at)
{
	const struct hull_origin *o = &at->origin;

	if (o->line)
		hull_err_where(err, "%.60s line %u%s%.50s", o->name, o->line, at->key ? ": " : "",
		               at->key ? at->key : "");
	else if (o->rank == HULL_ORIGIN_ENV)
		hull_err_where(err, "the environment: %.60s", o->name);
	else if (o->rank == HULL_ORIGIN_FLAG)
		hull_err_where(err, "the command line: %.60s", o->name);
}

void hull_place_subject(const struct hull_place *at, const char *value, char *dst, size_t size)
{
	const struct hull_origin *o = &at->origin;

	if (o->line)
		hull_format(dst, size, "%.60s = %.60s", at->key ? at->key : "", value);
	else if (o->rank == HULL_ORIGIN_ENV)
		hull_format(dst, size, "%.60s=%.60s", o->name, value);
	else if (at->key)
		hull_format(dst, size, "%.30s %.60s=%.60s", o->name, at->key, value);
	else
		hull_format(dst, size, "%.60s %.60s", o->name, value);
}

int hull_option_unknown(const char *name, const struct hull_place *at, struct hull_err *err)
{
	char near[HULL_OPTION_NAME_MAX];

	hull_fail(err, HULL_EINVAL, 101, "unknown key \"%.100s\"", name);
	hull_place_where(err, at);
	if (hull_option_near(name, near))
		hull_err_fix(err, "did you mean \"%s\"?", near);
	else
		hull_err_fix(err, "see all keys: hull config generate");
	return HULL_EINVAL;
}

int hull_options_no_memory(struct hull_err *err)
{
	return hull_fail(err, HULL_ENOMEM, 120, "out of memory while reading the configuration");
}
