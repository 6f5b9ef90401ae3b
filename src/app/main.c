/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* `hull`: finds the command and calls it. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <hull/host.h>
#include "app/app.h"
#include "manage/cmd.h"
#include "manage/json.h"
#include "manage/report.h"

static int version(int argc, char *const argv[], FILE *out, FILE *err)
{
	struct hull_options o;
	struct hull_json j;
	struct hull_err e = { 0 };
	int r = hull_options_init(&o, &e);

	for (int i = 1; !r && i < argc; i++)
		if (!hull_cmd_is_global(&o, argc, argv, &i)) {
			hull_fail(&e, HULL_EINVAL, 7, "hull version takes no argument \"%.60s\"",
			          argv[i]);
			r = HULL_EINVAL;
		}
	if (r) {
		r = hull_cmd_fail(&o, argc, argv, err, &e);
	} else if (hull_options_style(&o, argc, argv, out) & HULL_REPORT_JSON) {
		hull_json_init(&j, out);
		hull_json_object(&j, NULL);
		hull_json_text(&j, "schema", "hull.version/1");
		hull_json_text(&j, "version", HULL_VERSION);
		hull_json_end(&j);
	} else {
		fputs("hull " HULL_VERSION "\n", out);
	}
	hull_options_free(&o);
	return r;
}

static const struct {
	const char *name;
	int (*run)(int argc, char *const argv[], FILE *out, FILE *err);
} commands[] = {
	{ "config", hull_cmd_config },   { "help", hull_cmd_help }, { "explain", hull_cmd_explain },
	{ "import", hull_cmd_import },   { "version", version },    { "disk", hull_cmd_disk },
	{ "install", hull_cmd_install },
};

/* The command first, then the options that stood before it: "--json run" means "run --json". */
static void command_first(int used, char *argv[])
{
	char *word = argv[used];

	memmove(argv + 2, argv + 1, (size_t)(used - 1) * sizeof(argv[0]));
	argv[1] = word;
}

static int dispatch(int argc, char *const argv[], uint64_t started_ns)
{
	const char *word = argv[0];

	if (!strcmp(word, "run"))
		return hull_app_run(argc, argv, environ, started_ns);
	if (!strcmp(word, "jit"))
		return hull_app_jit(argc, argv, environ, started_ns);
	if (!strcmp(word, "build"))
		return hull_app_build(argc, argv, environ);
	if (!strcmp(word, "doctor"))
		return hull_app_doctor(argc, argv);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(word, commands[i].name))
			return commands[i].run(argc, argv, stdout, stderr);
	return hull_cmd_unknown(word, 0, stderr);
}

int main(int argc, char *argv[])
{
	uint64_t started_ns = hull_host_hal()->now_ns(hull_host_hal());
	struct hull_options globals;
	struct hull_err err = { 0 };
	int used = argc, r;

	/* Each further arena of the allocator would cost memory for every thread. */
	mallopt(M_ARENA_MAX, 1);
	r = hull_options_init(&globals, &err);
	if (!r)
		r = hull_options_parse_globals(&globals, argc, argv, &used, &err);
	if (r) {
		r = hull_cmd_fail(&globals, argc, argv, stderr, &err);
	} else if (globals.version) {
		r = version(used, argv, stdout, stderr);
	} else if (globals.help || used >= argc) {
		r = hull_cmd_help(0, NULL, stdout, stderr);
	} else {
		command_first(used, argv);
		r = dispatch(argc - 1, argv + 1, started_ns);
	}
	hull_options_free(&globals);
	if (fflush(stdout) && !r)
		r = 1;
	return r;
}
