/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/text.h"
#include "manage/cmd.h"
#include "manage/options_table.h"
#include "manage/report.h"

typedef int (*command)(int argc, char *const argv[], FILE *out, FILE *err);

static char *out, *err;

static int run(command f, const char *line)
{
	size_t out_size, err_size;
	char copy[256];
	char *argv[16] = { NULL };
	char *save = NULL;
	char *word;
	int argc = 0;
	FILE *o, *e;
	int ret;

	free(out);
	free(err);
	o = open_memstream(&out, &out_size);
	e = open_memstream(&err, &err_size);
	assert_true(o && e);
	hull_format(copy, sizeof(copy), "%s", line);
	for (word = strtok_r(copy, " ", &save); word && argc < 15;
	     word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	ret = f(argc, argv, o, e);
	assert_true(!fclose(o) && !fclose(e));
	return ret;
}

static void expect(command f, const char *line, int code, const char *in_out, const char *in_err)
{
	int ret = run(f, line);

	if (ret != code || !strstr(out, in_out) || !strstr(err, in_err) || (!*in_err && *err) ||
	    (!*in_out && *out))
		fail_msg("%s: %d\n%s---\n%s", line, ret, out, err);
}

static void explain(void **state)
{
	expect(hull_cmd_explain, "explain E0101", 0, "E0101: unknown key\n", "");
	expect(hull_cmd_explain, "explain 3", 0, "E0003: not a size\n", "");
	expect(hull_cmd_explain, "explain memory.size", 0, "--memory", "");
	expect(hull_cmd_explain, "explain", 0, "E0003  not a size\n", "");
	expect(hull_cmd_explain, "explain E7777", 3, "", "error E0011: there is no key or error");
	expect(hull_cmd_explain, "explain memory.siez", 3, "", "did you mean \"memory.size\"?");
	expect(hull_cmd_explain, "explain --json E0101", 0,
	       "{\"schema\":\"hull.explain.error/1\",\"code\":\"E0101\",\"title\":\"unknown key\"",
	       "");
	expect(hull_cmd_explain, "explain cpu.count --json", 0, "\"variable\":\"HULL_CPU_COUNT\"",
	       "");
	expect(hull_cmd_explain, "explain -o json E0003", 0, "\"code\":\"E0003\"", "");
	expect(hull_cmd_explain, "explain --color never E0003", 0, "E0003: not", "");
	expect(hull_cmd_explain, "explain nothing --json", 3, "", "{\"schema\":\"hull.error/1\"");
	expect(hull_cmd_explain, "explain a b", 2, "", "error E0007");
}

static void help(void **state)
{
	char name[HULL_OPTION_NAME_MAX];
	unsigned id;
	size_t i;

	expect(hull_cmd_help, "help", 0, "hull runs virtual machines", "");
	for (i = 0; hull_cmd_name(i); i++)
		assert_non_null(strstr(out, hull_cmd_name(i)));
	expect(hull_cmd_help, "help run", 0, "-m, --memory SIZE", "");
	for (id = 0; id < HULL_OPT_COUNT; id++) {
		hull_format(name, sizeof(name), "--%s", hull_option_rows[id].flag);
		if (hull_option_rows[id].flag)
			assert_non_null(strstr(out, name));
	}
	expect(hull_cmd_help, "help import", 0, "--axvm FILE", "");
	expect(hull_cmd_help, "help cpu.count", 0, "default:  1", "");
	expect(hull_cmd_help, "help E0003", 0, "not a size", "");
	expect(hull_cmd_help, "help -o json run", 0, "--memory", "");
	expect(hull_cmd_help, "help -v -q", 0, "hull runs virtual machines", "");
	expect(hull_cmd_help, "help devices", 0, "plic", "");
	expect(hull_cmd_help, "help confg", 2, "", "did you mean hull config?");
	expect(hull_cmd_help, "help nothing", 3, "", "E0011");
	expect(hull_cmd_help, "help --map", 0, "HULL_MEMORY_SIZE", "");
	for (id = 0; id < HULL_OPT_COUNT; id++) {
		hull_option_name(id, name);
		assert_non_null(strstr(out, name));
	}
}

/* No line of the manual page begins with a control character unless it is a request we know. */
static void manual(void **state)
{
	char *save = NULL;
	char *line;

	expect(hull_cmd_help, "help --man", 0, ".TH HULL", "");
	for (line = strtok_r(out, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (*line == '\'')
			fail_msg("%s", line);
		if (*line == '.')
			assert_true(!strncmp(line, ".TH ", 4) || !strncmp(line, ".SH ", 4) ||
			            !strcmp(line, ".TP"));
	}
}

static void config(void **state)
{
	expect(hull_cmd_config, "config explain memory.size", 0,
	       "now:      \"1G\"  from the default", "");
	expect(hull_cmd_config, "config explain memory.size -m 2G", 0,
	       "now:      \"2G\"  from the command line (-m)", "");
	assert_int_equal(setenv("HULL_MEMORY_SIZE", "3G", 1), 0);
	expect(hull_cmd_config, "config explain memory.size", 0,
	       "now:      \"3G\"  from the environment (HULL_MEMORY_SIZE)", "");
	expect(hull_cmd_config, "config show", 0, "HULL_MEMORY_SIZE          \"3G\"", "");
	assert_int_equal(setenv("HULL_MEMORY_SIZE", "x", 1), 0);
	expect(hull_cmd_config, "config show", 2, "", "HULL_MEMORY_SIZE=x is not a size");
	assert_int_equal(unsetenv("HULL_MEMORY_SIZE"), 0);
	expect(hull_cmd_config, "config show -d a,ro", 0, "disk[0].readonly", "");
	expect(hull_cmd_config, "config show --json -c 2", 0,
	       "{\"key\":\"cpu.count\",\"toml\":\"2\",\"origin\":\"flag\",\"source\":\"-c\"}", "");
	expect(hull_cmd_config, "config show -o toml -c 2", 0, "[cpu]\ncount = 2\n", "");
	expect(hull_cmd_config, "config generate", 0, "schema = 1\n", "");
	expect(hull_cmd_config, "config path", 0, "/etc/hull/config.toml", "");
	expect(hull_cmd_config, "config -o json show -c 2", 0,
	       "{\"key\":\"cpu.count\",\"toml\":\"2\"", "");
	expect(hull_cmd_config, "config --json", 0, "\"schema\":\"hull.config/1\"", "");
	expect(hull_cmd_config, "config", 0, "cpu.count", "");
	expect(hull_cmd_config, "config -q explain cpu.count", 0, "now:      1", "");
	expect(hull_cmd_config, "config --color never frob", 2, "", "hull config has no \"frob\"");
	expect(hull_cmd_config, "config --colour never", 2, "", "did you mean --color?");
	expect(hull_cmd_config, "config path --json", 0,
	       "{\"kind\":\"system\",\"path\":\"/etc/hull/config.toml\",\"there\":false}", "");
	expect(hull_cmd_config, "config explain cpu.count -c 3 --json", 0, "\"value\":\"3\"", "");
	expect(hull_cmd_config, "config path x.toml", 3, "", "E0220");
	expect(hull_cmd_config, "config shwo", 2, "", "did you mean hull config show?");
	expect(hull_cmd_config, "config explain", 2, "", "E0002");
	expect(hull_cmd_config, "config explain cpu.cuont", 7, "", "E0101");
	expect(hull_cmd_config, "config show --json --memory 12Q", 2, "", "\"code\":\"E0003\"");
	expect(hull_cmd_config, "config show -h", 0, "hull runs", "");
}

static const char vm_file[] = "[vm]\nname = 'web1'\n[boot]\nkernel = 'Image'\n";
static const char axvm_file[] = "[base]\nname = 'g'\nodd = 1\n[kernel]\nkernel_path = 'k'\n";

static void write_file(char *path, const char *text)
{
	int fd = mkstemps(path, 5);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void with_files(void **state)
{
	char path[] = "/tmp/hull-test-XXXXXX.toml";
	char line[128];

	write_file(path, vm_file);
	hull_format(line, sizeof(line), "config explain boot.kernel %s", path);
	expect(hull_cmd_config, line, 0, "now:      \"/tmp/Image\"  from the file /tmp/hull-test-",
	       "");
	hull_format(line, sizeof(line), "import --axvm %s", path);
	expect(hull_cmd_import, line, 7, "", "error E0112");
	unlink(path);
}

static void import(void **state)
{
	char path[] = "/tmp/hull-test-XXXXXX.toml";
	char line[128];

	write_file(path, axvm_file);
	hull_format(line, sizeof(line), "import --axvm %s", path);
	expect(hull_cmd_import, line, 0, "[boot.kernel]\npath = \"/tmp/k\"\n",
	       "note: base.odd in line 3 has no counterpart\n");
	hull_format(line, sizeof(line), "config import --axvm=%s", path);
	expect(hull_cmd_config, line, 0, "name = \"g\"\n", "note:");
	hull_format(line, sizeof(line), "import -o json --axvm %s", path);
	expect(hull_cmd_import, line, 0, "name = \"g\"\n", "\"schema\":\"hull.note/1\"");
	expect(hull_cmd_import, "import", 2, "", "E0002");
	expect(hull_cmd_import, "import --axvm /nonexistent", 3, "", "E0220");
	unlink(path);
}

static void unknown_command(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_int_equal(hull_cmd_unknown("rnu", 0, f), 2);
	assert_int_equal(hull_cmd_unknown("frobnicate", 0, f), 2);
	fclose(f);
	assert_non_null(strstr(text, "did you mean hull run?"));
	assert_non_null(strstr(text, "hull help"));
	free(text);
}

static int setup(void **state)
{
	/* No file of the user who runs the tests. */
	return setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
}

static int teardown(void **state)
{
	free(out);
	free(err);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(explain),         cmocka_unit_test(help),
		cmocka_unit_test(manual),          cmocka_unit_test(config),
		cmocka_unit_test(with_files),      cmocka_unit_test(import),
		cmocka_unit_test(unknown_command),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
