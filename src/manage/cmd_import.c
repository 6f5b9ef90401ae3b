/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/cmd.h"

#include <string.h>

#include "manage/axvm.h"
#include "manage/report.h"
#include "manage/toml_file.h"

struct notes {
	FILE *err;
	unsigned style;
};

static void print_note(void *arg, const char *text)
{
	const struct notes *n = arg;

	hull_report_note(n->err, n->style, "%s", text);
}

/* The file behind --axvm; NULL if the arguments are anything else. */
static const char *axvm_file(struct hull_options *o, int argc, char *const argv[])
{
	const char *file = NULL;
	int i;

	for (i = 1; i < argc; i++) {
		if (hull_cmd_is_global(o, argc, argv, &i))
			continue;
		if (file)
			return NULL;
		if (!strcmp(argv[i], "--axvm") && i + 1 < argc)
			file = argv[++i];
		else if (!strncmp(argv[i], "--axvm=", 7))
			file = argv[i] + 7;
		else
			return NULL;
	}
	return file;
}

static int import(struct hull_options *o, const char *path, struct notes *n, FILE *out,
                  struct hull_err *err)
{
	struct hull_toml_file file;
	int ret = hull_toml_file_load(path, &file, err);

	if (ret)
		return ret;
	ret = hull_axvm_import(o, path, file.root, print_note, n, err);
	hull_toml_file_free(&file);
	if (!ret)
		ret = hull_options_check(o, err);
	if (!ret)
		hull_options_write_toml(o, HULL_ORIGIN_FILE, out);
	return ret;
}

int hull_cmd_import(int argc, char *const argv[], FILE *out, FILE *err)
{
	const char *path;
	struct notes n = { .err = err };
	struct hull_options o;
	struct hull_err e;
	int ret;

	ret = hull_options_init(&o, &e);
	path = ret ? NULL : axvm_file(&o, argc, argv);
	n.style = hull_options_style(&o, argc, argv, err);
	if (!ret && !path) {
		ret = hull_fail(&e, HULL_EINVAL, 2, "hull import needs to know what to import");
		hull_err_fix(&e, "write it like hull import --axvm FILE > vm.toml");
	}
	if (!ret)
		ret = import(&o, path, &n, out, &e);
	if (ret)
		ret = hull_cmd_fail(&o, argc, argv, err, &e);
	hull_options_free(&o);
	return ret;
}
