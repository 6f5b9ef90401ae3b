/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "manage/options_table.h"

static int set_defaults(struct hull_options *o, unsigned first, unsigned count,
                        struct hull_value *slots, struct hull_err *err)
{
	static const struct hull_place at = { .origin = { HULL_ORIGIN_DEFAULT, 0, "" } };
	unsigned i;
	int ret;

	for (i = 0; i < count; i++) {
		if (!hull_option_rows[first + i].preset)
			continue;
		ret = hull_value_from_text(&o->pool, first + i, hull_option_rows[first + i].preset,
		                           &at, &slots[i], err);
		if (ret)
			return ret;
	}
	return 0;
}

int hull_options_init(struct hull_options *o, struct hull_err *err)
{
	unsigned g, first, keys;
	int ret;

	memset(o, 0, sizeof(*o));
	for (g = 0; g < HULL_GROUP_COUNT; g++) {
		if (hull_group_rows[g].kind != HULL_GROUP_ONE)
			continue;
		first = hull_option_first(g);
		keys = hull_option_keys(g);
		ret = set_defaults(o, first, keys, &o->value[first], err);
		if (ret)
			return ret;
	}
	return 0;
}

void hull_options_free(struct hull_options *o)
{
	if (!o)
		return;
	hull_pool_free(&o->pool);
	memset(o, 0, sizeof(*o));
}

const struct hull_value *hull_options_item(const struct hull_options *o, enum hull_option id,
                                           uint32_t i)
{
	unsigned group = hull_option_rows[id].group;

	return &o->items[group][i].value[id - hull_option_first(group)];
}

/* Room for one more item; NULL in *ret if one of a higher rank replaces it. */
static int item_slot(struct hull_options *o, unsigned group, const struct hull_place *at,
                     struct hull_item **ret, struct hull_err *err)
{
	const struct hull_group_row *row = &hull_group_rows[group];
	enum hull_origin_rank rank = at->origin.rank;
	struct hull_item *items = o->items[group];
	uint32_t n = o->nitems[group];
	uint32_t i;

	*ret = NULL;
	if (!items) {
		items = hull_pool_alloc(&o->pool, row->most * sizeof(*items));
		if (!items)
			return hull_options_no_memory(err);
		o->items[group] = items;
	}
	if (row->kind == HULL_GROUP_REPLACE && n) {
		if (items[n - 1].origin.rank > rank)
			return 0;
		if (items[n - 1].origin.rank < rank)
			o->nitems[group] = n = 0;
	}
	if (n == row->most) {
		hull_fail(err, HULL_EOVERFLOW, 109, "more than %u elements of [[%s]]", row->most,
		          row->name);
		hull_place_where(err, at);
		return HULL_EOVERFLOW;
	}
	for (i = n; i && items[i - 1].origin.rank > rank; i--)
		items[i] = items[i - 1];
	memset(&items[i], 0, sizeof(items[i]));
	o->nitems[group]++;
	*ret = &items[i];
	return 0;
}

int hull_options_add_item(struct hull_options *o, unsigned group, const struct hull_place *at,
                          struct hull_item **ret, struct hull_err *err)
{
	struct hull_item *item;
	int r = item_slot(o, group, at, &item, err);

	if (!r && !item) {
		item = hull_pool_alloc(&o->pool, sizeof(*item));
		if (!item)
			r = hull_options_no_memory(err);
	}
	if (r)
		return r;
	item->origin = at->origin;
	*ret = item;
	return set_defaults(o, hull_option_first(group), hull_option_keys(group), item->value, err);
}

/*
 * Split "disk[0].path" or "disk.0.path" into the name without the index, and the index
 * (-1: none).  False if it is not a key at all.
 */
static bool split_key(const char *key, char *name, size_t size, long *ret_index)
{
	const char *open = strpbrk(key, "[");
	char close = ']';
	size_t head, digits;

	*ret_index = -1;
	if (!open) {
		for (open = strchr(key, '.'); open; open = strchr(open + 1, '.'))
			if (strspn(open + 1, "0123456789"))
				break;
		close = '.';
	}
	if (!open)
		return hull_text_copy(name, size, key);
	head = (size_t)(open - key);
	digits = strspn(open + 1, "0123456789");
	if (!digits || digits > 4 || open[1 + digits] != close)
		return false;
	*ret_index = strtol(open + 1, NULL, 10);
	return hull_format(name, size, "%.*s%s", (int)head, key,
	                   open + 1 + digits + (close == ']')) < size;
}

/* The item that "disk[index]" means: an existing one, or a new one at the end. */
static int item_at(struct hull_options *o, unsigned group, long index, const struct hull_place *at,
                   struct hull_item **ret, struct hull_err *err)
{
	const struct hull_group_row *row = &hull_group_rows[group];

	if (index >= 0 && (uint32_t)index < o->nitems[group]) {
		*ret = &o->items[group][index];
		return 0;
	}
	if (index >= 0 && (uint32_t)index == o->nitems[group])
		return hull_options_add_item(o, group, at, ret, err);
	hull_fail(err, HULL_EINVAL, 10, "\"%.80s\" does not say which %s", at->key, row->name);
	hull_err_fix(err, "there are %u: write %s[0] up to %s[%u]", o->nitems[group], row->name,
	             row->name, o->nitems[group]);
	return HULL_EINVAL;
}

int hull_options_set(struct hull_options *o, const char *key, const char *value,
                     const struct hull_origin *origin, struct hull_err *err)
{
	struct hull_place at = { .origin = *origin, .key = key };
	char name[HULL_OPTION_NAME_MAX];
	struct hull_item *item;
	struct hull_value v;
	enum hull_option id = HULL_OPT_COUNT;
	unsigned group;
	long index;
	int ret;

	if (split_key(key, name, sizeof(name), &index))
		id = hull_option_find(name);
	if (id == HULL_OPT_COUNT)
		return hull_option_unknown(key, &at, err);
	group = hull_option_rows[id].group;
	if (hull_group_rows[group].kind == HULL_GROUP_ONE && index >= 0)
		return hull_option_unknown(key, &at, err);
	ret = hull_value_from_text(&o->pool, id, value, &at, &v, err);
	if (ret)
		return ret;
	if (hull_group_rows[group].kind == HULL_GROUP_ONE) {
		hull_value_store(&o->value[id], &v);
		return 0;
	}
	ret = item_at(o, group, index, &at, &item, err);
	if (!ret)
		hull_value_store(&item->value[id - hull_option_first(group)], &v);
	return ret;
}

int hull_options_load_env(struct hull_options *o, char *const envp[], struct hull_err *err)
{
	/* Names of the first versions, which their guides still use. */
	static const struct {
		const char *name;
		enum hull_option id;
	} old[] = { { "VM_MEMORY", HULL_OPT_MEMORY_SIZE },
		    { "VM_VCPUS", HULL_OPT_CPU_COUNT },
		    { "VM_MODE", HULL_OPT_ENGINE_MODE },
		    { "VM_LOG_LEVEL", HULL_OPT_OUTPUT_LOG_LEVEL } };
	char name[HULL_OPTION_NAME_MAX];
	struct hull_value v;
	unsigned pass, id;
	size_t i, len;
	int ret;

	/* The old names first, so that the new ones win. */
	for (pass = 0; pass < ARRAY_LEN(old) + HULL_OPT_COUNT; pass++) {
		id = pass < ARRAY_LEN(old) ? old[pass].id : pass - ARRAY_LEN(old);
		hull_option_variable(id, name);
		if (pass < ARRAY_LEN(old))
			hull_text_copy(name, sizeof(name), old[pass].name);
		len = strlen(name);
		for (i = 0; len && envp[i]; i++) {
			struct hull_place at = { .origin = { HULL_ORIGIN_ENV, 0, name } };

			if (strncmp(envp[i], name, len) != 0 || envp[i][len] != '=')
				continue;
			at.origin.name = hull_pool_copy(&o->pool, name, len);
			if (!at.origin.name)
				return hull_options_no_memory(err);
			ret = hull_value_from_text(&o->pool, id, envp[i] + len + 1, &at, &v, err);
			if (ret)
				return ret;
			hull_value_store(&o->value[id], &v);
		}
	}
	return 0;
}

static const char *variable(char *const envp[], const char *name)
{
	size_t len = strlen(name);

	for (; *envp; envp++)
		if (!strncmp(*envp, name, len) && (*envp)[len] == '=' && (*envp)[len + 1])
			return *envp + len + 1;
	return NULL;
}

/* XDG Base Directory Specification 0.8 names the user's directory. */
bool hull_options_file(char *const envp[], unsigned i, char *path, size_t size,
                       enum hull_origin_rank *ret_rank)
{
	const char *config = variable(envp, "XDG_CONFIG_HOME");
	const char *home = variable(envp, "HOME");
	size_t len;

	if (i == 1) {
		*ret_rank = HULL_ORIGIN_SYSTEM;
		return hull_text_copy(path, size, "/etc/hull/config.toml");
	}
	if (i)
		return false;
	*ret_rank = HULL_ORIGIN_USER;
	if (config && *config == '/')
		len = hull_format(path, size, "%s/hull/config.toml", config);
	else
		len = hull_format(path, size, "%s/.config/hull/config.toml", home ? home : "");
	return len < size;
}

int hull_options_collect(struct hull_options *o, int argc, char *const argv[], char *const envp[],
                         struct hull_err *err)
{
	enum hull_origin_rank rank;
	char path[1024];
	unsigned i;
	int ret;

	ret = hull_options_parse_args(o, argc, argv, err);
	if (ret || o->help || o->version)
		return ret;
	ret = hull_options_load_env(o, envp, err);
	if (!ret && o->config)
		ret = hull_options_load_toml(o, o->config, HULL_ORIGIN_FILE, err);
	for (i = 0; !ret && hull_options_file(envp, i, path, sizeof(path), &rank); i++) {
		struct hull_err missing;

		ret = hull_options_load_toml(o, path, rank, &missing);
		if (ret == HULL_ENOENT)
			ret = 0;
		else if (ret && err)
			*err = missing;
	}
	return ret ? ret : hull_options_check(o, err);
}

/* Checks that concern several values. */

static int clash(const struct hull_value *v, const char *key, struct hull_err *err,
                 const char *text)
{
	struct hull_place at = { .origin = v->origin, .key = key };

	hull_fail(err, HULL_EINVAL, 108, "%s", text);
	hull_place_where(err, &at);
	return HULL_EINVAL;
}

static int check_cpus(const struct hull_options *o, struct hull_err *err)
{
	static const enum hull_option lists[] = { HULL_OPT_CPU_PHYS_IDS, HULL_OPT_CPU_AFFINITY };
	uint64_t cpus = hull_options_num(o, HULL_OPT_CPU_COUNT);
	char name[HULL_OPTION_NAME_MAX];
	char text[128];
	size_t i, a, b;

	for (i = 0; i < ARRAY_LEN(lists); i++) {
		const struct hull_value *v = &o->value[lists[i]];

		hull_option_name(lists[i], name);
		if (v->origin.rank != HULL_ORIGIN_NONE && v->count != cpus) {
			hull_format(text, sizeof(text), "%s has %u elements, but cpu.count is %llu",
			            name, v->count, (unsigned long long)cpus);
			return clash(v, name, err, text);
		}
	}
	for (a = 0; a < o->value[HULL_OPT_CPU_PHYS_IDS].count; a++) {
		const struct hull_value *v = &o->value[HULL_OPT_CPU_PHYS_IDS];

		for (b = 0; b < a; b++)
			if (v->nums[a] == v->nums[b])
				return clash(v, "cpu.phys_ids", err,
				             "two CPUs have the same hardware id in cpu.phys_ids");
	}
	return 0;
}

static int check_engine(const struct hull_options *o, struct hull_err *err)
{
	const struct hull_value *mode = &o->value[HULL_OPT_ENGINE_MODE];
	uint64_t accel = hull_options_num(o, HULL_OPT_ENGINE_ACCEL);

	if (mode->num == HULL_ENGINE_HW && accel == HULL_ACCEL_NONE)
		return clash(mode, "engine.mode", err,
		             "engine.mode = hw needs an accelerator, but engine.accel is none");
	if (hull_options_num(o, HULL_OPT_ENGINE_DETERMINISTIC) &&
	    (mode->num == HULL_ENGINE_HW || (accel != HULL_ACCEL_AUTO && accel != HULL_ACCEL_NONE)))
		return clash(&o->value[HULL_OPT_ENGINE_DETERMINISTIC], "engine.deterministic", err,
		             "a deterministic run counts instructions, which no accelerator does");
	if (hull_options_num(o, HULL_OPT_JIT_MIN_THRESHOLD) >
	    hull_options_num(o, HULL_OPT_JIT_MAX_THRESHOLD))
		return clash(&o->value[HULL_OPT_JIT_MIN_THRESHOLD], "engine.jit.min_threshold", err,
		             "engine.jit.min_threshold is larger than engine.jit.max_threshold");
	return 0;
}

static bool has(const struct hull_options *o, enum hull_option id, uint32_t i)
{
	return hull_options_item(o, id, i)->origin.rank != HULL_ORIGIN_NONE;
}

static int check_disks(const struct hull_options *o, struct hull_err *err)
{
	uint32_t i, k;

	for (i = 0; i < o->nitems[HULL_GROUP_DISK]; i++) {
		const struct hull_value *id = hull_options_item(o, HULL_OPT_DISK_ID, i);

		for (k = 0; id->text && k < i; k++)
			if (hull_text_eq(id->text, hull_options_item(o, HULL_OPT_DISK_ID, k)->text))
				return clash(id, "disk.id", err, "two disks have the same id");
	}
	return 0;
}

static int check_map(const struct hull_options *o, struct hull_err *err)
{
	uint32_t i;

	for (i = 0; i < o->nitems[HULL_GROUP_REGION]; i++) {
		const struct hull_value *map = hull_options_item(o, HULL_OPT_REGION_MAP, i);
		const struct hull_value *gpa = hull_options_item(o, HULL_OPT_REGION_GPA, i);

		if (!has(o, HULL_OPT_REGION_SIZE, i))
			return clash(gpa, "memory.region", err, "memory.region needs a size");
		if (gpa->num % HULL_PAGE_SIZE)
			return clash(gpa, "memory.region.gpa", err,
			             "memory.region.gpa is not a multiple of 4096");
		if (map->num == 2 && !has(o, HULL_OPT_REGION_HPA, i))
			return clash(map, "memory.region.map", err,
			             "memory.region with map = \"reserved\" needs hpa");
	}
	for (i = 0; i < o->nitems[HULL_GROUP_PASSTHROUGH]; i++) {
		const struct hull_value *kind = hull_options_item(o, HULL_OPT_PASSTHROUGH_KIND, i);

		if (kind->num == 0 &&
		    !(has(o, HULL_OPT_PASSTHROUGH_GPA, i) && has(o, HULL_OPT_PASSTHROUGH_SIZE, i)))
			return clash(kind, "passthrough", err,
			             "passthrough of kind mmio needs gpa and size");
		if (kind->num > 0 && !has(o, HULL_OPT_PASSTHROUGH_MATCH, i))
			return clash(kind, "passthrough", err,
			             "passthrough of this kind needs match");
	}
	return 0;
}

int hull_options_check(const struct hull_options *o, struct hull_err *err)
{
	static const unsigned groups[] = { HULL_GROUP_REGION,     HULL_GROUP_DISK,
		                           HULL_GROUP_SHARE,      HULL_GROUP_SERIAL,
		                           HULL_GROUP_CONSOLE,    HULL_GROUP_DEVICE,
		                           HULL_GROUP_PASSTHROUGH };
	char name[HULL_OPTION_NAME_MAX];
	size_t g;
	uint32_t i;
	int ret;

	for (g = 0; g < ARRAY_LEN(groups); g++) {
		enum hull_option id = hull_option_first(groups[g]);

		hull_option_name(id, name);
		for (i = 0; i < o->nitems[groups[g]]; i++) {
			struct hull_place at = { .origin = o->items[groups[g]][i].origin };

			if (has(o, id, i))
				continue;
			hull_fail(err, HULL_EINVAL, 107, "%s is missing", name);
			hull_place_where(err, &at);
			hull_err_fix(err, "see hull config explain %s", name);
			return HULL_EINVAL;
		}
	}
	if (!hull_options_text(o, HULL_OPT_VM_NAME)[0])
		return clash(&o->value[HULL_OPT_VM_NAME], "vm.name", err, "vm.name is empty");
	ret = check_cpus(o, err);
	if (!ret)
		ret = check_engine(o, err);
	if (!ret)
		ret = check_disks(o, err);
	return ret ? ret : check_map(o, err);
}
