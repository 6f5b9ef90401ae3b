/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Configuration files: TOML to option values. */
#include "manage/options.h"

#include <string.h>

#include "base/text.h"
#include "manage/options_table.h"
#include "manage/toml_file.h"

struct load {
	struct hull_options *o;
	const char *file;
	enum hull_origin_rank rank;
	struct hull_err *err;
};

static struct hull_place place(const struct load *l, const struct hull_toml *node, const char *key)
{
	struct hull_place at = { .origin = { l->rank, node->line, l->file }, .key = key };

	return at;
}

/* The group that is a table of this name; HULL_GROUP_COUNT: none. */
static unsigned find_group(const char *name)
{
	unsigned g;

	for (g = 0; g < HULL_GROUP_COUNT; g++)
		if (!strcmp(hull_group_rows[g].name, name))
			break;
	return g;
}

static int wrong_shape(const struct load *l, const struct hull_toml *node, const char *name,
                       const char *what)
{
	struct hull_place at = place(l, node, NULL);

	hull_fail(l->err, HULL_EINVAL, 106, "%.60s must be %s, not %s", name, what,
	          hull_toml_kind_name(node->kind));
	hull_place_where(l->err, &at);
	return HULL_EINVAL;
}

/* An element of an array of tables that is being read. */
struct element {
	unsigned group, index;
	struct hull_item *item;
};

/* Does the group have keys "PREFIX.something"? */
static bool has_table(unsigned group, const char *prefix)
{
	size_t len = strlen(prefix);

	for (unsigned i = 0; i < hull_option_keys(group); i++) {
		const char *key = hull_option_rows[hull_option_first(group) + i].key;

		if (!strncmp(key, prefix, len) && key[len] == '.')
			return true;
	}
	return false;
}

/* The keys of an element; limit = { iops = 1 } is the key limit.iops: one level of recursion. */
static int load_keys(const struct load *l, struct element *e, const struct hull_toml *table,
                     const char *prefix)
{
	const char *name = hull_group_rows[e->group].name, *dot = *prefix ? "." : "";
	char full[2 * HULL_OPTION_NAME_MAX], shown[2 * HULL_OPTION_NAME_MAX];
	struct hull_place at;
	struct hull_value v;
	enum hull_option id;
	int ret = 0;

	for (const struct hull_toml *n = table->first; n && !ret; n = n->next) {
		bool odd = strchr(n->key, '.') != NULL;

		if (n->kind == HULL_TOML_TABLE && !*prefix && !odd && has_table(e->group, n->key)) {
			ret = load_keys(l, e, n, n->key);
			continue;
		}
		hull_format(full, sizeof(full), "%s.%s%s%.40s", name, prefix, dot, n->key);
		hull_format(shown, sizeof(shown), "%s[%u].%s%s%.40s", name, e->index, prefix, dot,
		            n->key);
		at = place(l, n, shown);
		id = odd ? HULL_OPT_COUNT : hull_option_find(full);
		if (id == HULL_OPT_COUNT || hull_option_rows[id].group != e->group) {
			at.key = NULL;
			return hull_option_unknown(full, &at, l->err);
		}
		ret = hull_value_from_toml(&l->o->pool, id, n, &at, &v, l->err);
		if (!ret)
			hull_value_store(&e->item->value[id - hull_option_first(e->group)], &v);
	}
	return ret;
}

static int load_item(const struct load *l, unsigned group, const struct hull_toml *table,
                     unsigned index)
{
	const char *name = hull_group_rows[group].name;
	enum hull_option first = hull_option_first(group);
	struct hull_place at = place(l, table, NULL);
	struct element e = { .group = group, .index = index };
	struct hull_item *item;
	int ret;

	ret = hull_options_add_item(l->o, group, &at, &e.item, l->err);
	if (!ret)
		ret = load_keys(l, &e, table, "");
	item = e.item;
	if (ret || item->value[0].origin.rank != HULL_ORIGIN_NONE)
		return ret;
	at = place(l, table, NULL);
	hull_fail(l->err, HULL_EINVAL, 107, "%s[%u] has no %s", name, index,
	          hull_option_rows[first].key);
	hull_place_where(l->err, &at);
	hull_err_fix(l->err, "add %s = ...", hull_option_rows[first].key);
	return HULL_EINVAL;
}

static int load_items(const struct load *l, unsigned group, const struct hull_toml *array)
{
	const struct hull_toml *n;
	unsigned i = 0;
	int ret = 0;

	if (array->kind != HULL_TOML_ARRAY)
		return wrong_shape(l, array, hull_group_rows[group].name,
		                   "an array of tables ([[...]])");
	for (n = array->first; n && !ret; n = n->next) {
		if (n->kind != HULL_TOML_TABLE)
			return wrong_shape(l, n, hull_group_rows[group].name, "a table");
		ret = load_item(l, group, n, i++);
	}
	return ret;
}

static int load_value(const struct load *l, enum hull_option id, const struct hull_toml *n,
                      const char *name)
{
	struct hull_place at = place(l, n, name);
	struct hull_value v;
	int ret = hull_value_from_toml(&l->o->pool, id, n, &at, &v, l->err);

	if (!ret)
		hull_value_store(&l->o->value[id], &v);
	return ret;
}

/* Recursion is bounded by the two levels that the names of groups have. */
static int load_table(const struct load *l, const struct hull_toml *table, const char *prefix)
{
	char name[2 * HULL_OPTION_NAME_MAX];
	const struct hull_toml *n;
	struct hull_place at;
	enum hull_option id;
	unsigned group;
	int ret = 0;

	for (n = table->first; n && !ret; n = n->next) {
		hull_format(name, sizeof(name), "%s%s%.60s", prefix, *prefix ? "." : "", n->key);
		at = place(l, n, NULL);
		if (strchr(n->key, '.') || strlen(n->key) != n->key_len)
			return hull_option_unknown(name, &at, l->err);
		if (!*prefix && !strcmp(name, "schema"))
			continue;
		group = find_group(name);
		id = hull_option_find(name);
		if (group < HULL_GROUP_COUNT && hull_group_rows[group].kind != HULL_GROUP_ONE)
			ret = load_items(l, group, n);
		else if (group < HULL_GROUP_COUNT && n->kind == HULL_TOML_TABLE)
			ret = load_table(l, n, name);
		else if (id < HULL_OPT_COUNT)
			ret = load_value(l, id, n, name);
		else if (group < HULL_GROUP_COUNT)
			ret = wrong_shape(l, n, name, "a table");
		else
			ret = hull_option_unknown(name, &at, l->err);
	}
	return ret;
}

static int check_schema(const struct load *l, const struct hull_toml *root)
{
	const struct hull_toml *schema = hull_toml_get(root, "schema");
	struct hull_place at;
	uint64_t version;

	if (!schema)
		return 0;
	at = place(l, schema, NULL);
	if (hull_toml_u64(schema, &version) && version == 1)
		return 0;
	hull_fail(l->err, HULL_EINVAL, 110, "this version of hull reads schema = 1 only");
	hull_place_where(l->err, &at);
	hull_err_fix(l->err, "write schema = 1, or use a newer hull");
	return HULL_EINVAL;
}

/* The one key that the file of a VM must have. */
static int check_name(const struct load *l, const struct hull_toml *root)
{
	if (l->rank != HULL_ORIGIN_FILE || hull_toml_get(hull_toml_get(root, "vm"), "name"))
		return 0;
	hull_fail(l->err, HULL_EINVAL, 107, "the VM has no name");
	hull_err_where(l->err, "%.100s", l->file);
	hull_err_fix(l->err, "add these lines: [vm] and name = \"vm\"");
	return HULL_EINVAL;
}

static int load_tree(struct hull_options *o, const char *name, enum hull_origin_rank rank,
                     const struct hull_toml *root, struct hull_err *err)
{
	struct load l = { .o = o, .rank = rank, .err = err };
	int ret;

	l.file = hull_pool_copy(&o->pool, name, strlen(name));
	if (!l.file)
		return hull_options_no_memory(err);
	ret = check_schema(&l, root);
	if (!ret)
		ret = check_name(&l, root);
	return ret ? ret : load_table(&l, root, "");
}

int hull_options_parse_toml(struct hull_options *o, const struct hull_toml_input *in,
                            enum hull_origin_rank rank, struct hull_err *err)
{
	struct hull_toml_file file;
	int ret = hull_toml_file_parse(in, &file, err);

	if (ret)
		return ret;
	ret = load_tree(o, in->name ? in->name : "the configuration", rank, file.root, err);
	hull_toml_file_free(&file);
	return ret;
}

int hull_options_load_toml(struct hull_options *o, const char *path, enum hull_origin_rank rank,
                           struct hull_err *err)
{
	struct hull_toml_file file;
	int ret = hull_toml_file_load(path, &file, err);

	if (ret)
		return ret;
	ret = load_tree(o, path, rank, file.root, err);
	hull_toml_file_free(&file);
	return ret;
}
