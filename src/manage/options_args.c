/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The command line: flags to option values.  Reads no files. */
#include "manage/options.h"

#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "manage/options_table.h"

/* What a flag means: an option or a switch. */
struct flag {
	enum hull_option id; /* HULL_OPT_COUNT: a switch */
	enum hull_switch sw;
	const char *fixed; /* value of an alias; NULL: none */
	bool takes_value;
};

struct walk {
	struct hull_options *o;
	int argc;
	char *const *argv;
	int next;
	const char *shown; /* the flag as typed, without its value */
	struct hull_err *err;
};

static void flag_of_option(struct flag *f, unsigned id)
{
	f->id = id;
	f->takes_value = hull_option_rows[id].type != HULL_TYPE_BOOL;
}

static void flag_of_switch(struct flag *f, unsigned sw)
{
	f->id = HULL_OPT_COUNT;
	f->sw = sw;
	f->takes_value = hull_switch_rows[sw].value;
}

static bool same(const char *flag, const char *name, size_t len)
{
	return flag && strlen(flag) == len && !memcmp(flag, name, len);
}

static bool find_long(const char *name, size_t len, struct flag *f)
{
	size_t i;

	memset(f, 0, sizeof(*f));
	for (i = 0; i < HULL_OPT_COUNT; i++) {
		if (same(hull_option_rows[i].flag, name, len)) {
			flag_of_option(f, (unsigned)i);
			return true;
		}
	}
	for (i = 0; i < HULL_SWITCH_COUNT; i++) {
		if (same(hull_switch_rows[i].flag, name, len)) {
			flag_of_switch(f, (unsigned)i);
			return true;
		}
	}
	for (i = 0; i < hull_alias_count; i++) {
		if (same(hull_alias_rows[i].flag, name, len)) {
			flag_of_option(f, hull_alias_rows[i].id);
			f->fixed = hull_alias_rows[i].value;
			f->takes_value &= !f->fixed;
			return true;
		}
	}
	return false;
}

static bool find_short(char letter, struct flag *f)
{
	unsigned i;

	memset(f, 0, sizeof(*f));
	for (i = 0; i < HULL_OPT_COUNT; i++) {
		if (letter && hull_option_rows[i].letter == letter) {
			flag_of_option(f, i);
			return true;
		}
	}
	for (i = 0; i < HULL_SWITCH_COUNT; i++) {
		if (letter && hull_switch_rows[i].letter == letter) {
			flag_of_switch(f, i);
			return true;
		}
	}
	return false;
}

static int unknown_flag(struct walk *w, const char *arg, size_t len)
{
	const char *list[HULL_OPT_COUNT + HULL_SWITCH_COUNT + 16];
	const char *near = NULL;
	char word[72];
	size_t i, n = 0;

	for (i = 0; i < HULL_OPT_COUNT; i++)
		if (hull_option_rows[i].flag)
			list[n++] = hull_option_rows[i].flag;
	for (i = 0; i < HULL_SWITCH_COUNT; i++)
		list[n++] = hull_switch_rows[i].flag;
	for (i = 0; i < hull_alias_count && n < ARRAY_LEN(list); i++)
		list[n++] = hull_alias_rows[i].flag;
	hull_format(word, sizeof(word), "%.*s", (int)MIN(len, (size_t)66), arg);
	if (!strncmp(word, "--", 2))
		near = hull_nearest(word + 2, list, n);
	hull_fail(w->err, HULL_EINVAL, 1, "unknown option %s", word);
	if (near)
		hull_err_fix(w->err, "did you mean --%s?", near);
	else
		hull_err_fix(w->err, "see all options: hull help run");
	return HULL_EINVAL;
}

static int usage(struct walk *w, uint16_t id, const char *text, const char *fix)
{
	hull_fail(w->err, HULL_EINVAL, id, "%.60s %s", w->shown, text);
	hull_err_fix(w->err, "%s", fix);
	return HULL_EINVAL;
}

/* "ip.v4=10.0.5.15/24": one more pair of a table within the item, checked as in a file. */
static int add_pair(struct walk *w, enum hull_option id, struct hull_value *slot, const char *key,
                    const char *value)
{
	struct hull_place at = { .origin = { HULL_ORIGIN_FLAG, 0, w->shown }, .key = key };
	size_t room = strlen(key) + strlen(value) + 16;
	char *text = hull_pool_alloc(&w->o->pool, room);
	struct hull_pair *pairs = hull_pool_alloc(&w->o->pool, (slot->count + 1) * sizeof(*pairs));
	struct hull_value v;
	int ret;

	if (!text || !pairs)
		return hull_options_no_memory(w->err);
	hull_format(text, room, "{ %s = '%s' }", key, value);
	ret = hull_value_from_text(&w->o->pool, id, text, &at, &v, w->err);
	if (ret)
		return ret;
	if (v.count != 1)
		return usage(w, 10, "has a value with quotes", "write them in a file");
	if (slot->count)
		memcpy(pairs, slot->pairs, slot->count * sizeof(*pairs));
	pairs[slot->count] = v.pairs[0];
	pairs[slot->count].is_num = hull_parse_u64(value, &pairs[slot->count].num);
	v.pairs = pairs;
	v.count = slot->count + 1;
	hull_value_store(slot, &v);
	return 0;
}

/* Is it a key of a table within the item?  Then *ret_id is the table. */
static bool find_pair(unsigned group, const char *text, enum hull_option *ret_id,
                      const char **ret_key)
{
	const char *dot = strchr(text, '.');
	char name[HULL_OPTION_NAME_MAX];

	if (!dot || !dot[1])
		return false;
	hull_format(name, sizeof(name), "%s.%.*s", hull_group_rows[group].name,
	            (int)MIN(dot - text, (ptrdiff_t)40), text);
	*ret_id = hull_option_find(name);
	*ret_key = dot + 1;
	return *ret_id != HULL_OPT_COUNT && hull_option_rows[*ret_id].group == group &&
	       hull_option_rows[*ret_id].type == HULL_TYPE_PAIRS;
}

/* One ",key=value" behind the main value of a list option; `ro` is readonly=true. */
static int item_setting(struct walk *w, unsigned group, struct hull_item *item, char *text)
{
	struct hull_place at = { .origin = { HULL_ORIGIN_FLAG, 0, w->shown }, .key = text };
	char name[HULL_OPTION_NAME_MAX];
	const char *value = "true";
	char *equal = strchr(text, '=');
	const char *key;
	struct hull_value v;
	enum hull_option id;
	int ret;

	if (equal) {
		*equal = 0;
		value = equal + 1;
	}
	if (find_pair(group, text, &id, &key))
		return add_pair(w, id, &item->value[id - hull_option_first(group)], key, value);
	hull_format(name, sizeof(name), "%s.%.40s", hull_group_rows[group].name,
	            strcmp(text, "ro") ? text : "readonly");
	id = hull_option_find(name);
	if (id == HULL_OPT_COUNT || hull_option_rows[id].group != group)
		return hull_option_unknown(name, &at, w->err);
	if (!equal && hull_option_rows[id].type != HULL_TYPE_BOOL)
		return usage(w, 10, "has a key without a value", "write KEY=VALUE");
	ret = hull_value_from_text(&w->o->pool, id, value, &at, &v, w->err);
	if (!ret)
		hull_value_store(&item->value[id - hull_option_first(group)], &v);
	return ret;
}

/* Cut the text at its first single comma, turn double commas before it into one; NULL: no rest. */
static char *cut_at_comma(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (text[0] == ',' && text[1] != ',') {
			*to = 0;
			return text + 1;
		}
		if (text[0] == ',')
			text++;
		*to++ = *text;
	}
	*to = 0;
	return NULL;
}

/* --disk PATH,ro,id=root: the first part is the group's main key. */
static int add_item(struct walk *w, enum hull_option id, const char *value)
{
	struct hull_place at = { .origin = { HULL_ORIGIN_FLAG, 0, w->shown } };
	unsigned group = hull_option_rows[id].group;
	struct hull_item *item;
	struct hull_value v;
	char *text = hull_pool_copy(&w->o->pool, value, strlen(value));
	char *rest;
	int ret;

	if (!text)
		return hull_options_no_memory(w->err);
	rest = cut_at_comma(text);
	ret = hull_value_from_text(&w->o->pool, id, text, &at, &v, w->err);
	if (ret)
		return ret;
	ret = hull_options_add_item(w->o, group, &at, &item, w->err);
	if (ret)
		return ret;
	hull_value_store(&item->value[id - hull_option_first(group)], &v);
	while (rest && !ret) {
		text = rest;
		rest = cut_at_comma(text);
		ret = item_setting(w, group, item, text);
	}
	return ret;
}

static int set_config(struct walk *w, const char *path)
{
	if (w->o->config && strcmp(w->o->config, path) != 0)
		return usage(w, 9, "names a second configuration file", "give one .toml file");
	w->o->config = hull_pool_copy(&w->o->pool, path, strlen(path));
	return w->o->config ? 0 : hull_options_no_memory(w->err);
}

static int set_key(struct walk *w, const char *setting)
{
	struct hull_origin origin = { HULL_ORIGIN_FLAG, 0, "--set" };
	const char *equal = strchr(setting, '=');
	char *key;

	if (!equal || equal == setting)
		return usage(w, 10, "needs KEY=VALUE", "write it like --set memory.size=2G");
	key = hull_pool_copy(&w->o->pool, setting, (size_t)(equal - setting));
	if (!key)
		return hull_options_no_memory(w->err);
	return hull_options_set(w->o, key, equal + 1, &origin, w->err);
}

static int apply(struct walk *w, const struct flag *f, const char *value)
{
	struct hull_place at = { .origin = { HULL_ORIGIN_FLAG, 0, w->shown } };
	struct hull_value v;
	int ret;

	if (f->id == HULL_OPT_COUNT) {
		switch (f->sw) {
		case HULL_SWITCH_CONFIG: return set_config(w, value);
		case HULL_SWITCH_SET: return set_key(w, value);
		case HULL_SWITCH_HELP: w->o->help = true; return 0;
		case HULL_SWITCH_VERSION: w->o->version = true; return 0;
		default: return 0;
		}
	}
	if (f->fixed)
		value = f->fixed;
	else if (!value)
		value = "true";
	if (hull_group_rows[hull_option_rows[f->id].group].kind != HULL_GROUP_ONE)
		return add_item(w, f->id, value);
	ret = hull_value_from_text(&w->o->pool, f->id, value, &at, &v, w->err);
	if (!ret)
		hull_value_store(&w->o->value[f->id], &v);
	return ret;
}

/* The value of a flag that needs one: the next argument. */
static int next_value(struct walk *w, const char **ret)
{
	if (w->next == w->argc)
		return usage(w, 2, "needs a value", "see hull help run");
	*ret = w->argv[w->next++];
	return 0;
}

static int long_flag(struct walk *w, const char *arg)
{
	const char *equal = strchr(arg, '=');
	size_t len = equal ? (size_t)(equal - arg) : strlen(arg);
	const char *value = equal ? equal + 1 : NULL;
	bool is_bool;
	struct flag f;
	int ret;

	if (!find_long(arg + 2, len - 2, &f))
		return unknown_flag(w, arg, len);
	w->shown = hull_pool_copy(&w->o->pool, arg, len);
	if (!w->shown)
		return hull_options_no_memory(w->err);
	is_bool = !f.takes_value && !f.fixed && f.id != HULL_OPT_COUNT;
	if (value && !f.takes_value && !is_bool)
		return usage(w, 2, "takes no value", "leave out the = and what follows");
	if (f.takes_value && !value) {
		ret = next_value(w, &value);
		if (ret)
			return ret;
	}
	return apply(w, &f, value);
}

/* -m 512M, -m512M, -qv */
static int short_flags(struct walk *w, const char *arg)
{
	const char *value;
	struct flag f;
	char shown[3] = "-?";
	int ret;

	for (arg++; *arg; arg++) {
		shown[1] = *arg;
		if (!find_short(*arg, &f))
			return unknown_flag(w, shown, 2);
		w->shown = hull_pool_copy(&w->o->pool, shown, 2);
		if (!w->shown)
			return hull_options_no_memory(w->err);
		value = NULL;
		if (f.takes_value && arg[1])
			value = arg + 1;
		ret = f.takes_value && !value ? next_value(w, &value) : 0;
		if (!ret)
			ret = apply(w, &f, value);
		if (ret || f.takes_value)
			return ret;
	}
	return 0;
}

/* A file name that ends in .toml is a configuration; any other is the kernel. */
static int positional(struct walk *w, const char *arg)
{
	struct flag kernel = { .id = HULL_OPT_BOOT_KERNEL, .takes_value = true };
	const struct hull_value *v = &w->o->value[HULL_OPT_BOOT_KERNEL];
	size_t len = strlen(arg);

	w->shown = hull_pool_copy(&w->o->pool, arg, len);
	if (!w->shown)
		return hull_options_no_memory(w->err);
	if (len > 5 && !strcmp(arg + len - 5, ".toml"))
		return set_config(w, arg);
	if (v->origin.rank == HULL_ORIGIN_FLAG)
		return usage(w, 7, "is one argument too many: there is a kernel already",
		             "attach disks with --disk, pass text to the kernel with --append");
	return apply(w, &kernel, arg);
}

static int one_argument(struct walk *w, const char *arg)
{
	if (arg[0] == '-' && arg[1] == '-')
		return long_flag(w, arg);
	if (arg[0] == '-' && arg[1])
		return short_flags(w, arg);
	return positional(w, arg);
}

int hull_options_parse_args(struct hull_options *o, int argc, char *const argv[],
                            struct hull_err *err)
{
	struct walk w = { .o = o, .argc = argc, .argv = argv, .next = 1, .err = err };
	bool flags = true;
	int ret = 0;

	while (!ret && w.next < argc) {
		const char *arg = argv[w.next++];

		if (flags && !strcmp(arg, "--"))
			flags = false;
		else
			ret = flags ? one_argument(&w, arg) : positional(&w, arg);
	}
	return ret;
}

int hull_options_parse_globals(struct hull_options *o, int argc, char *const argv[], int *ret_used,
                               struct hull_err *err)
{
	struct walk w = { .o = o, .argc = argc, .argv = argv, .next = 1, .err = err };
	int ret = 0;

	while (!ret && w.next < argc && argv[w.next][0] == '-' && argv[w.next][1]) {
		const char *arg = argv[w.next++];

		ret = one_argument(&w, arg);
	}
	if (!ret)
		*ret_used = w.next;
	return ret;
}
