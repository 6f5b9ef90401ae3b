/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Help and the manual page, from options.def and commands.def. */
#include "manage/cmd.h"

#include <string.h>

#include "base/bits.h"
#include "base/text.h"
#include "core/dev.h"
#include "core/dev_impl.h"
#include "manage/install/options.h"
#include "manage/options_table.h"
#include "manage/report.h"

#define WIDTH  80
#define INDENT 30

struct command {
	const char *name;
	const char *usage;
	const char *help;
};

static const struct command commands[] = {
#define C(name, usage, help) { name, usage, help },
#include "manage/commands.def"
#undef C
};

const char *hull_cmd_name(size_t i)
{
	return i < ARRAY_LEN(commands) ? commands[i].name : NULL;
}

static const char *nearest_command(const char *word)
{
	const char *names[ARRAY_LEN(commands)];
	size_t i;

	for (i = 0; i < ARRAY_LEN(commands); i++)
		names[i] = commands[i].name;
	return hull_nearest(word, names, ARRAY_LEN(names));
}

int hull_cmd_unknown(const char *word, unsigned style, FILE *err)
{
	const char *near = nearest_command(word);
	struct hull_err e;

	hull_fail(&e, HULL_EINVAL, 8, "hull has no command \"%.60s\"", word);
	if (near)
		hull_err_fix(&e, "did you mean hull %s?", near);
	else
		hull_err_fix(&e, "see all commands: hull help");
	hull_report_error(err, style, &e);
	return hull_report_exit_code(&e);
}

/* Text from column INDENT on, broken at spaces. */
static void wrapped(FILE *out, const char *text)
{
	size_t at = INDENT;
	size_t n;

	while (*text) {
		n = strcspn(text, " ");
		if (at > INDENT && at + 1 + n > WIDTH) {
			fprintf(out, "\n%*s", INDENT, "");
			at = INDENT;
		}
		if (at > INDENT) {
			fputc(' ', out);
			at++;
		}
		fwrite(text, 1, n, out);
		at += n;
		text += n + (text[n] == ' ');
	}
	fputc('\n', out);
}

static void help_line(FILE *out, const char *left, const char *help)
{
	fprintf(out, "%s", left);
	if (strlen(left) > INDENT - 2)
		fprintf(out, "\n%*s", INDENT, "");
	else
		fprintf(out, "%*s", (int)(INDENT - strlen(left)), "");
	wrapped(out, help);
}

/* "  -m, --memory SIZE" */
static void flag_text(char letter, const char *flag, const char *value, char *dst, size_t size)
{
	char dash[8] = "    ";

	if (letter)
		hull_format(dash, sizeof(dash), "-%c, ", letter);
	hull_format(dst, size, "  %s--%s%s%s", dash, flag, value && *value ? " " : "",
	            value ? value : "");
}

static void help_options(FILE *out)
{
	char left[200], value[160];
	unsigned id, i;
	unsigned group = HULL_GROUP_COUNT;

	for (id = 0; id < HULL_OPT_COUNT; id++) {
		const struct hull_option_row *r = &hull_option_rows[id];

		if (!r->flag)
			continue;
		if (r->group != group)
			fprintf(out, "\n%c%s:\n", hull_group_rows[r->group].help[0] - 'a' + 'A',
			        hull_group_rows[r->group].help + 1);
		group = r->group;
		hull_cmd_placeholder(id, value, sizeof(value));
		flag_text(r->letter, r->flag, value, left, sizeof(left));
		help_line(out, left, r->help);
	}
	fputs("\nThis invocation:\n", out);
	for (i = 0; i < HULL_SWITCH_COUNT; i++) {
		const struct hull_switch_row *s = &hull_switch_rows[i];

		flag_text(s->letter, s->flag, s->value, left, sizeof(left));
		help_line(out, left, s->help);
	}
}

static void help_run(FILE *out)
{
	fputs("hull run [KERNEL|vm.toml] [OPTIONS] [-- KERNEL]\n\n"
	      "Run a VM in the foreground.  A kernel image is enough; a .toml file describes a\n"
	      "whole VM.  What the command line says wins over the environment, that over the\n"
	      "file, that over your and the system's configuration (hull config path).\n",
	      out);
	help_options(out);
	fputs("\nSizes: 512M 4G 1.5G 2GiB 0x1000.  Examples:\n"
	      "  hull run vmlinuz -i initrd.img -A console=ttyS0\n"
	      "  hull run vm.toml --memory 4G --disk data.img,ro\n",
	      out);
}

static void overview(FILE *out)
{
	char left[160];
	size_t i;

	fputs("hull runs virtual machines on any host, with or without hardware for it.\n\n"
	      "hull [OPTIONS] COMMAND ...\n\n",
	      out);
	for (i = 0; i < ARRAY_LEN(commands); i++) {
		hull_format(left, sizeof(left), "  %s %s", commands[i].name, commands[i].usage);
		help_line(out, left, commands[i].help);
	}
	fputs("\nMore: hull help run, hull help devices, hull help memory.size, hull explain "
	      "E0101.\n",
	      out);
}

static int help_command(const char *name, FILE *out)
{
	size_t i;

	if (!strcmp(name, "run")) {
		help_run(out);
		return 0;
	}
	if (!strcmp(name, "install")) {
		hull_install_help(out);
		return 0;
	}
	for (i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		fprintf(out, "hull %s %s\n\n%s\n", name, commands[i].usage, commands[i].help);
		return 0;
	}
	return HULL_ENOENT;
}

static void help_devices(FILE *out)
{
	const struct hull_dev_type *const *t;
	char left[80];
	unsigned i;

	fputs("Types of devices for [[device]] and --device, with their opts:\n\n", out);
	for (t = hull_dev_types; *t; t++) {
		hull_format(left, sizeof(left), "  %s", (*t)->name);
		help_line(out, left, (*t)->summary ? (*t)->summary : "");
		for (i = 0; i < (*t)->nprops; i++) {
			const struct hull_prop *p = &(*t)->props[i];

			hull_format(left, sizeof(left), "    %s = %llu", p->name,
			            (unsigned long long)p->dflt);
			help_line(out, left, p->help ? p->help : "");
		}
	}
}

/* Which flag, key and variable are the same thing. */
static void map(FILE *out)
{
	char name[HULL_OPTION_NAME_MAX], variable[HULL_OPTION_NAME_MAX];
	char flag[64];
	unsigned id;

	fprintf(out, "%-24s %-24s %s\n", "KEY", "FLAG", "VARIABLE");
	for (id = 0; id < HULL_OPT_COUNT; id++) {
		const struct hull_option_row *r = &hull_option_rows[id];

		hull_option_name(id, name);
		hull_option_variable(id, variable);
		if (r->flag && r->letter)
			hull_format(flag, sizeof(flag), "-%c --%s", r->letter, r->flag);
		else
			hull_format(flag, sizeof(flag), "%s%s", r->flag ? "--" : "-",
			            r->flag ? r->flag : "");
		fprintf(out, "%-24s %-24s %s\n", name, flag, *variable ? variable : "-");
	}
}

/* Text for man(7): no line may begin with a control character, dashes are literal. */
static void roff(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '-' || *text == '\\')
			fputs(*text == '-' ? "\\-" : "\\e", out);
		else
			fputc(*text, out);
	}
}

static void roff_option(FILE *out, char letter, const char *flag, const char *value,
                        const char *help)
{
	char left[200];

	flag_text(letter, flag, value, left, sizeof(left));
	fputs(".TP\n\\fB", out);
	roff(out, left + strspn(left, " "));
	fputs("\\fR\n", out);
	roff(out, help);
	fputc('\n', out);
}

static void manual(FILE *out)
{
	char value[160], name[HULL_OPTION_NAME_MAX], variable[HULL_OPTION_NAME_MAX];
	unsigned id;
	size_t i;

	fputs(".TH HULL\\-RUN 1 \"\" \"Hull\" \"Hull manual\"\n.SH NAME\nhull\\-run \\- run a "
	      "virtual "
	      "machine\n.SH SYNOPSIS\n\\fBhull run\\fR [\\fIKERNEL\\fR|\\fIvm.toml\\fR] "
	      "[\\fIOPTIONS\\fR]\n.SH DESCRIPTION\nRuns a VM in the foreground, its console on the "
	      "terminal.\nA kernel image is enough; a .toml file describes a whole VM.\n"
	      "The command line wins over the environment, that over the file,\n"
	      "that over the configuration of the user and of the system.\n.SH OPTIONS\n",
	      out);
	for (id = 0; id < HULL_OPT_COUNT; id++) {
		if (!hull_option_rows[id].flag)
			continue;
		hull_cmd_placeholder(id, value, sizeof(value));
		roff_option(out, hull_option_rows[id].letter, hull_option_rows[id].flag, value,
		            hull_option_rows[id].help);
	}
	for (i = 0; i < HULL_SWITCH_COUNT; i++)
		roff_option(out, hull_switch_rows[i].letter, hull_switch_rows[i].flag,
		            hull_switch_rows[i].value, hull_switch_rows[i].help);
	fputs(".SH KEYS AND ENVIRONMENT\nEach key of the configuration file and its variable:\n",
	      out);
	for (id = 0; id < HULL_OPT_COUNT; id++) {
		hull_option_name(id, name);
		hull_option_variable(id, variable);
		fputs(".TP\n\\fB", out);
		roff(out, name);
		fprintf(out, "\\fR%s%s\n", *variable ? ", " : "", variable);
		roff(out, hull_option_rows[id].help);
		fputc('\n', out);
	}
	fputs(".SH EXIT STATUS\n0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 5 not "
	      "permitted,\n"
	      "6 the host cannot, 7 bad configuration, 8 out of a resource, 9 timed out,\n"
	      "10 unreachable, 11 the guest failed, 12 damaged data, 13 not supported.\n",
	      out);
}

static int help_topic(char *topic, char *self, FILE *out, FILE *err)
{
	char *const words[] = { self, topic, NULL };
	const char *near;

	if (!help_command(topic, out))
		return 0;
	if (!strcmp(topic, "devices")) {
		help_devices(out);
		return 0;
	}
	near = nearest_command(topic);
	if (near && hull_option_find(topic) == HULL_OPT_COUNT)
		return hull_cmd_unknown(topic, 0, err);
	return hull_cmd_explain(2, words, out, err);
}

int hull_cmd_help(int argc, char *const argv[], FILE *out, FILE *err)
{
	char *topic = NULL;
	struct hull_options o;
	struct hull_err e;
	int i;

	if (hull_options_init(&o, &e)) {
		hull_options_free(&o);
		hull_report_error(err, 0, &e);
		return hull_report_exit_code(&e);
	}
	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--map") || !strcmp(argv[i], "--man"))
			break;
		if (!hull_cmd_is_global(&o, argc, argv, &i) && !topic)
			topic = argv[i];
	}
	hull_options_free(&o);
	if (i < argc)
		(strcmp(argv[i], "--map") ? manual : map)(out);
	else if (topic)
		return help_topic(topic, argv[0], out, err);
	else
		overview(out);
	return 0;
}
