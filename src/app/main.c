/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* `hull`: finds the command and calls it. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <hull/host.h>
#include "app/app.h"
#include "manage/cmd.h"
#include "manage/report.h"

#define HULL_VERSION "0.1.0"

static int version(int argc, char *const argv[], FILE *out, FILE *err)
{
	fputs("hull " HULL_VERSION "\n", out);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(int argc, char *const argv[], FILE *out, FILE *err);
} commands[] = {
	{ "config", hull_cmd_config }, { "help", hull_cmd_help }, { "explain", hull_cmd_explain },
	{ "import", hull_cmd_import }, { "version", version },
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
		r = version(argc, argv, stdout, stderr);
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
