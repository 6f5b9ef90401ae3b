/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/cmd_disk.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/text.h"
#include "manage/cmd.h"
#include "manage/report.h"

static const struct {
	const char *name, *help;
	int (*run)(const struct hull_disk_call *c, struct hull_err *err);
} verbs[] = {
	{ "create", "Make an empty disk image, or one that stands on another.", hull_disk_create },
	{ "info", "Show what an image is.", hull_disk_info },
	{ "convert", "Copy a disk into a new image, of any format.", hull_disk_convert },
	{ "resize", "Make a disk larger or smaller.", hull_disk_resize },
	{ "check", "Look for damage in an image, and repair it.", hull_disk_check },
	{ "map", "Show which parts of a disk hold data.", hull_disk_map },
	{ "compare", "Compare the contents of two disks.", hull_disk_compare },
	{ "commit", "Write what an overlay holds into its backing image.", hull_disk_commit },
	{ "rebase", "Put an overlay onto another backing image, or none.", hull_disk_rebase },
	{ "snapshot", "Make, list, apply and remove snapshots in an image.", hull_disk_snapshot },
	{ "measure", "Tell how large an image would become.", hull_disk_measure },
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

int hull_disk_size(const char *text, uint64_t *ret, struct hull_err *err)
{
	uint64_t bytes;

	if (!hull_parse_size(text, &bytes) || bytes > INT64_MAX - 511) {
		hull_fail(err, HULL_EINVAL, 3, "\"%.60s\" is not a size", text);
		hull_err_fix(err, "write 512M, 4G, 1.5G");
		return HULL_EINVAL;
	}
	*ret = align_up(bytes, 512);
	return 0;
}

const char *hull_disk_new_format(const char *said, const char *path)
{
	size_t n = strlen(path);

	return said ? said : n > 6 && !strcmp(path + n - 6, ".qcow2") ? "qcow2" : "raw";
}

const char *hull_disk_amount(uint64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	uint64_t tenths;
	unsigned u;

	if (bytes < 1024) {
		hull_format(buf, size, "%u bytes", (unsigned)bytes);
		return buf;
	}
	for (u = 1; u + 1 < ARRAY_LEN(units) && bytes >> (10 * u) >= 1024; u++)
		;
	tenths = (bytes >> (10 * (u - 1))) * 10 / 1024;
	hull_format(buf, size, "%llu.%llu %s", (unsigned long long)tenths / 10,
	            (unsigned long long)tenths % 10, units[u]);
	return buf;
}

int hull_disk_header_name(const char *top, const char *base, char **ret, struct hull_err *err)
{
	const char *slash = strrchr(top, '/');
	size_t n = slash ? (size_t)(slash - top) + 1 : 0;

	*ret = NULL;
	if (base[0] == '/' || !n)
		*ret = strdup(base);
	else if (!strncmp(base, top, n))
		*ret = strdup(base + n);
	else
		*ret = realpath(base, NULL);
	return *ret ? 0 : hull_fail(err, HULL_ENOENT, 302, "cannot find \"%s\"", base);
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
