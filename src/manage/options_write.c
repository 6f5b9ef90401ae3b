/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Options as TOML: what is set, or a commented file with everything. */
#include <string.h>

#include "manage/options_table.h"

static bool any(const struct hull_value *v, unsigned count, enum hull_origin_rank least)
{
	unsigned i;

	for (i = 0; i < count; i++)
		if (v[i].origin.rank != HULL_ORIGIN_NONE && v[i].origin.rank >= least)
			return true;
	return false;
}

static void write_keys(const struct hull_value *v, unsigned group, enum hull_origin_rank least,
                       FILE *out)
{
	enum hull_option first = hull_option_first(group);
	unsigned i;

	for (i = 0; i < hull_option_keys(group); i++) {
		if (v[i].origin.rank == HULL_ORIGIN_NONE || v[i].origin.rank < least)
			continue;
		fprintf(out, "%s = ", hull_option_rows[first + i].key);
		hull_value_write(out, first + i, &v[i]);
		fputc('\n', out);
	}
}

void hull_options_write_toml(const struct hull_options *o, enum hull_origin_rank least, FILE *out)
{
	unsigned g;
	uint32_t i;

	fputs("schema = 1\n", out);
	for (g = 0; g < HULL_GROUP_COUNT; g++) {
		const struct hull_value *v = &o->value[hull_option_first(g)];

		for (i = 0; i < o->nitems[g]; i++) {
			fprintf(out, "\n[[%s]]\n", hull_group_rows[g].name);
			write_keys(o->items[g][i].value, g, least, out);
		}
		if (hull_group_rows[g].kind != HULL_GROUP_ONE ||
		    !any(v, hull_option_keys(g), least))
			continue;
		fprintf(out, "\n[%s]\n", hull_group_rows[g].name);
		write_keys(v, g, least, out);
	}
}

/* A key with its help; one without a default shows its example, commented out. */
static int write_template_key(struct hull_pool *a, enum hull_option id, bool comment, FILE *out,
                              struct hull_err *err)
{
	static const struct hull_place at = { .origin = { HULL_ORIGIN_DEFAULT, 0, "" } };
	const struct hull_option_row *r = &hull_option_rows[id];
	struct hull_value v;
	int ret = hull_value_from_text(a, id, r->preset ? r->preset : r->example, &at, &v, err);

	if (ret)
		return ret;
	fprintf(out, "# %s\n", r->help);
	fprintf(out, "%s%s = ", comment || !r->preset ? "#" : "", r->key);
	hull_value_write(out, id, &v);
	if (r->type == HULL_TYPE_CHOICE)
		fprintf(out, "  # %s", r->value);
	fputc('\n', out);
	return 0;
}

int hull_options_write_template(FILE *out, struct hull_err *err)
{
	struct hull_pool pool = { 0 };
	unsigned g, i;
	int ret = 0;

	fputs("# Every key of Hull with its default.  Lines that begin with #key are examples\n"
	      "# of keys without a default.  Only vm.name is required; delete what you do not "
	      "need.\n"
	      "schema = 1\n",
	      out);
	for (g = 0; g < HULL_GROUP_COUNT && !ret; g++) {
		const struct hull_group_row *r = &hull_group_rows[g];
		bool one = r->kind == HULL_GROUP_ONE;

		fprintf(out, one ? "\n# %s\n[%s]\n" : "\n# %s\n#[[%s]]\n", r->help, r->name);
		for (i = 0; i < hull_option_keys(g) && !ret; i++)
			ret = write_template_key(&pool, hull_option_first(g) + i, !one, out, err);
	}
	hull_pool_free(&pool);
	return ret;
}
