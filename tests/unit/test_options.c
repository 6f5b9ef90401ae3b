/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "base/text.h"
#include "manage/options.h"
#include "manage/options_table.h"

static struct hull_options o;
static struct hull_err err;

static int setup(void **state)
{
	return hull_options_init(&o, &err);
}

static int teardown(void **state)
{
	hull_options_free(&o);
	return 0;
}

/* Split a line at spaces and parse it as the arguments of `hull run`. */
static int parse_into(struct hull_options *to, const char *line)
{
	char copy[1024];
	char *argv[64] = { NULL };
	char *save = NULL;
	int argc = 0;
	char *word;

	hull_format(copy, sizeof(copy), "run %s", line);
	for (word = strtok_r(copy, " ", &save); word && argc < 63;
	     word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	return hull_options_parse_args(to, argc, argv, &err);
}

static int toml_into(struct hull_options *to, const char *text, enum hull_origin_rank rank)
{
	struct hull_toml_input in = { .name = "dir/vm.toml", .text = text, .size = strlen(text) };

	return hull_options_parse_toml(to, &in, rank, &err);
}

static void must(int ret)
{
	if (ret)
		fail_msg("E%04u %s: %s", err.id, err.where, err.text);
}

static char *dump(const struct hull_options *from, enum hull_origin_rank least)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	hull_options_write_toml(from, least, f);
	assert_int_equal(fclose(f), 0);
	return text;
}

static void every_option_is_described(void **state)
{
	struct hull_place at = { .origin = { HULL_ORIGIN_FLAG, 0, "--x" } };
	char name[HULL_OPTION_NAME_MAX], other[HULL_OPTION_NAME_MAX];
	unsigned id, k;

	for (id = 0; id < HULL_OPT_COUNT; id++) {
		const struct hull_option_row *r = &hull_option_rows[id];
		struct hull_value v;

		hull_option_name(id, name);
		assert_int_equal(hull_option_find(name), id);
		assert_true(r->key && *r->key && r->help && r->example);
		if (r->help[strlen(r->help) - 1] != '.' || !isupper((unsigned char)r->help[0]))
			fail_msg("help of %s is no sentence", name);
		assert_true(r->value || r->type == HULL_TYPE_BOOL);
		if (hull_value_from_text(&o.pool, id, r->example, &at, &v, &err))
			fail_msg("example of %s: %s", name, err.text);
		assert_true(hull_option_keys(r->group) <= HULL_ITEM_KEYS ||
		            hull_group_rows[r->group].kind == HULL_GROUP_ONE);
		for (k = 0; k < id; k++) {
			hull_option_name(k, other);
			assert_string_not_equal(name, other);
			if (r->letter)
				assert_int_not_equal(r->letter, hull_option_rows[k].letter);
			if (r->flag && hull_option_rows[k].flag)
				assert_string_not_equal(r->flag, hull_option_rows[k].flag);
		}
		/* Every plain option has a flag; the first key of each list, too. */
		if (!r->flag)
			assert_true(hull_group_rows[r->group].kind != HULL_GROUP_ONE &&
			            id != (unsigned)hull_option_first(r->group));
	}
}

static void defaults(void **state)
{
	assert_string_equal(hull_options_text(&o, HULL_OPT_VM_NAME), "vm");
	assert_int_equal(hull_options_num(&o, HULL_OPT_MEMORY_SIZE), 1 << 30);
	assert_int_equal(hull_options_num(&o, HULL_OPT_CPU_COUNT), 1);
	assert_int_equal(o.value[HULL_OPT_CPU_COUNT].origin.rank, HULL_ORIGIN_DEFAULT);
	assert_false(hull_options_has(&o, HULL_OPT_MACHINE_ARCH));
	assert_null(hull_options_text(&o, HULL_OPT_BOOT_KERNEL));
	must(hull_options_check(&o, &err));
}

static void arguments(void **state)
{
	must(parse_into(&o, "Image -m 512M -c4 --append=console=ttyS0 -i rd.img --accel none -qv "
	                    "--engine interpreter -a arm64 --timing --exit-on login: -d a.img,ro "
	                    "--disk b,,c.img,serial=S1,id=x,format=raw --serial file:log "
	                    "--set cpu.affinity=[[0,2],[1],[3],[3]] --set disk[2].path=z --json "
	                    "--deterministic --phys-ids 1,0x2,3,4"));
	assert_string_equal(hull_options_text(&o, HULL_OPT_BOOT_KERNEL), "Image");
	assert_int_equal(hull_options_num(&o, HULL_OPT_MEMORY_SIZE), 512 << 20);
	assert_int_equal(hull_options_num(&o, HULL_OPT_CPU_COUNT), 4);
	assert_string_equal(o.value[HULL_OPT_CPU_COUNT].origin.name, "-c");
	assert_string_equal(hull_options_text(&o, HULL_OPT_BOOT_CMDLINE), "console=ttyS0");
	assert_int_equal(hull_options_num(&o, HULL_OPT_ENGINE_MODE), HULL_ENGINE_INTERP);
	assert_string_equal(hull_options_text(&o, HULL_OPT_ENGINE_MODE), "interp");
	assert_int_equal(hull_options_num(&o, HULL_OPT_MACHINE_ARCH), HULL_ISA_AARCH64);
	assert_int_equal(hull_options_num(&o, HULL_OPT_ENGINE_ACCEL), HULL_ACCEL_NONE);
	assert_true(hull_options_num(&o, HULL_OPT_OUTPUT_QUIET) &&
	            hull_options_num(&o, HULL_OPT_OUTPUT_VERBOSE) &&
	            hull_options_num(&o, HULL_OPT_RUN_TIMING) &&
	            hull_options_num(&o, HULL_OPT_ENGINE_DETERMINISTIC));
	assert_int_equal(hull_options_num(&o, HULL_OPT_OUTPUT_FORMAT), HULL_OUTPUT_JSON);
	assert_int_equal(o.nitems[HULL_GROUP_DISK], 3);
	assert_string_equal(hull_options_item(&o, HULL_OPT_DISK_PATH, 0)->text, "a.img");
	assert_int_equal(hull_options_item(&o, HULL_OPT_DISK_READONLY, 0)->num, 1);
	assert_int_equal(hull_options_item(&o, HULL_OPT_DISK_FORMAT, 0)->origin.rank,
	                 HULL_ORIGIN_DEFAULT);
	assert_string_equal(hull_options_item(&o, HULL_OPT_DISK_PATH, 1)->text, "b,c.img");
	assert_string_equal(hull_options_item(&o, HULL_OPT_DISK_SERIAL, 1)->text, "S1");
	assert_int_equal(hull_options_item(&o, HULL_OPT_DISK_FORMAT, 1)->origin.rank,
	                 HULL_ORIGIN_FLAG);
	assert_string_equal(hull_options_item(&o, HULL_OPT_DISK_PATH, 2)->text, "z");
	assert_string_equal(hull_options_item(&o, HULL_OPT_SERIAL_TO, 0)->text, "file:log");
	assert_int_equal(o.value[HULL_OPT_CPU_AFFINITY].nums[0], 5);
	assert_int_equal(o.value[HULL_OPT_CPU_PHYS_IDS].nums[1], 2);
	must(hull_options_check(&o, &err));
}

static void arguments_that_end(void **state)
{
	must(parse_into(&o, "vm.toml -h -V -- -kernel"));
	assert_string_equal(o.config, "vm.toml");
	assert_true(o.help && o.version);
	assert_string_equal(hull_options_text(&o, HULL_OPT_BOOT_KERNEL), "-kernel");
}

static void globals(void **state)
{
	char words[][8] = { "hull", "--json", "-o", "table", "-v", "run", "-x" };
	char *argv[8] = { NULL };
	int used = 0;
	size_t i;

	for (i = 0; i < ARRAY_LEN(words); i++)
		argv[i] = words[i];
	must(hull_options_parse_globals(&o, (int)ARRAY_LEN(words), argv, &used, &err));
	assert_int_equal(used, 5);
	assert_int_equal(hull_options_num(&o, HULL_OPT_OUTPUT_FORMAT), HULL_OUTPUT_TABLE);
}

struct bad {
	const char *input;
	uint16_t id;
	const char *text;
	const char *fix;
};

static void bad_arguments(void **state)
{
	static const struct bad rows[] = {
		{ "--memroy 1G", 1, "unknown option --memroy", "did you mean --memory?" },
		{ "-Z", 1, "unknown option -Z", "hull help run" },
		{ "--banana=3", 1, "unknown option --banana", "hull help run" },
		{ "--memory", 2, "--memory needs a value", "help" },
		{ "-m", 2, "-m needs a value", "help" },
		{ "--json=1", 2, "--json takes no value", "leave out" },
		{ "--help=1", 2, "--help takes no value", "leave out" },
		{ "--memory 12Q", 3, "--memory 12Q is not a size", "write 512M, 4G, 1.5G" },
		{ "-m 0", 5, "-m 0 is too small", "from 4K to 4T" },
		{ "-m 5T", 5, "-m 5T is too large", "from 4K to 4T" },
		{ "-m 5000", 5, "-m 5000 is not a multiple of 4096 bytes", "512M" },
		{ "--cpus four", 4, "--cpus four is not a number", "write 42" },
		{ "--cpus 0", 5, "--cpus 0 is too small", "from 1 to 64" },
		{ "--cpus 65", 5, "--cpus 65 is too large", "from 1 to 64" },
		{ "--arch mips", 6, "--arch mips is not one of the choices", "riscv64" },
		{ "--arch=", 6, "is not one of the choices", "riscv64" },
		{ "--timing=maybe", 6, "--timing maybe is neither true nor false", "true" },
		{ "--serial tty", 6, "--serial tty is not a place", "stdio" },
		{ "--rng dice", 6, "--rng dice is not a source", "seed:1" },
		{ "--kernel=", 6, "is empty", "path" },
		{ "a b", 7, "b is one argument too many", "--disk" },
		{ "-k a b", 7, "b is one argument too many", "--append" },
		{ "a.toml b.toml", 9, "b.toml names a second", "one .toml" },
		{ "--set x", 10, "--set needs KEY=VALUE", "memory.size=2G" },
		{ "--set =x", 10, "--set needs KEY=VALUE", "memory.size=2G" },
		{ "--set memory.siez=1G", 101, "unknown key \"memory.siez\"", "\"memory.size\"" },
		{ "--set memory[0].size=1G", 101, "unknown key", "" },
		{ "--set disk[x].path=1", 101, "unknown key", "" },
		{ "--set disk.path=x", 10, "does not say which disk", "disk[0]" },
		{ "--set disk[1].path=x", 10, "does not say which disk", "disk[0]" },
		{ "--set memory.size=12Q", 3, "--set memory.size=12Q is not a size", "512M" },
		{ "--disk a,sise=3", 101, "unknown key \"disk.sise\"", "" },
		{ "--disk a,serial", 10, "has a key without a value", "KEY=VALUE" },
		{ "--disk a,format=vhd", 6, "--disk format=vhd is not one of", "raw|qcow2" },
		{ "--disk a,serial=123456789012345678901", 5, "is too long", "shorter" },
		{ "--name a\xc2\x9b", 6, "--name a?? contains control characters", "" },
		{ "--name \xff", 6, "is not UTF-8 text", "UTF-8" },
		{ "--phys-ids 1,x", 4, "element that is not a number", "0x200" },
		{ "--affinity [[0],[64]]", 5, "number that is out of range", "[[0,2],[1]]" },
		{ "--affinity [[0],", 10, "is not a list", "[[0,2],[1]]" },
		{ "--affinity 1,2", 6, "is not a list of lists", "[[0,2],[1]]" },
		{ "--serial pty --serial pty --serial pty --serial pty --serial pty", 109,
		  "more than 4 elements of [[serial]]", "" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct hull_options fresh;

		must(hull_options_init(&fresh, &err));
		memset(&err, 0, sizeof(err));
		if (!parse_into(&fresh, rows[i].input) || err.id != rows[i].id ||
		    !strstr(err.text, rows[i].text) || !strstr(err.fix, rows[i].fix))
			fail_msg("%s: E%04u %s (%s) fix: %s", rows[i].input, err.id, err.text,
			         err.where, err.fix);
		hull_options_free(&fresh);
	}
}

#define VM "[vm]\nname='a'\n"

static void files(void **state)
{
	must(toml_into(&o,
	               "schema = 1\n" VM "id = 7\n[cpu]\ncount = 2\n[memory]\nsize = '2G'\n"
	               "[[memory.region]]\ngpa = 0\nsize = '256M'\nmap='identical'\n"
	               "[boot]\nkernel = 'Image'\ncmdline='a \"b\"'\n"
	               "initrd = { path = '/abs/rd', addr = 0x8a00_0000 }\n"
	               "firmware = 'none'\nentry = 0x8008_0000\n"
	               "[engine]\ndeterministic = true\n"
	               "[[disk]]\npath='r.img'\nreadonly=true\n[[disk]]\npath='s.img'\n"
	               "limit = { iops = 2000, burst = '2s' }\nbacking.path = 'base.img'\n"
	               "[[serial]]\nto='file:log'\n[[device]]\ntype='ivc'\nsize=65536\n"
	               "opts = { peer = 'rt1', vectors = 4, on = true }\n"
	               "[[passthrough]]\nkind='dt'\nmatch='/soc/'\nexclude=['/gic','/timer']\n"
	               "[rng]\nsource='seed:9'\n",
	               HULL_ORIGIN_FILE));
	must(hull_options_check(&o, &err));
	assert_string_equal(hull_options_text(&o, HULL_OPT_BOOT_KERNEL), "dir/Image");
	assert_string_equal(hull_options_text(&o, HULL_OPT_BOOT_INITRD), "/abs/rd");
	assert_int_equal(hull_options_num(&o, HULL_OPT_BOOT_INITRD_ADDR), 0x8a000000);
	assert_string_equal(hull_options_text(&o, HULL_OPT_BOOT_FIRMWARE), "none");
	assert_int_equal(hull_options_num(&o, HULL_OPT_RNG_SOURCE), 9);
	assert_int_equal(o.nitems[HULL_GROUP_DISK], 2);
	assert_string_equal(hull_options_item(&o, HULL_OPT_DISK_PATH, 1)->text, "dir/s.img");
	assert_int_equal(hull_options_item(&o, HULL_OPT_DISK_IOPS, 0)->num, 0);
	assert_int_equal(hull_options_item(&o, HULL_OPT_DISK_IOPS, 1)->num, 2000);
	assert_string_equal(hull_options_item(&o, HULL_OPT_DISK_BURST, 1)->text, "2s");
	assert_string_equal(hull_options_item(&o, HULL_OPT_DISK_BACKING, 1)->text, "dir/base.img");
	assert_string_equal(hull_options_item(&o, HULL_OPT_SERIAL_TO, 0)->text, "file:dir/log");
	assert_int_equal(hull_options_item(&o, HULL_OPT_DEVICE_OPTS, 0)->count, 3);
	assert_string_equal(hull_options_item(&o, HULL_OPT_DEVICE_OPTS, 0)->pairs[0].text, "rt1");
	assert_int_equal(hull_options_item(&o, HULL_OPT_DEVICE_OPTS, 0)->pairs[1].num, 4);
	assert_int_equal(o.value[HULL_OPT_CPU_COUNT].origin.line, 6);
	assert_string_equal(o.value[HULL_OPT_CPU_COUNT].origin.name, "dir/vm.toml");
}

static void bad_files(void **state)
{
	static const struct {
		struct bad b;
		const char *where;
	} rows[] = {
		{ { VM "[memory]\nsiez = 1", 101, "unknown key \"memory.siez\"",
		    "\"memory.size\"" },
		  "dir/vm.toml line 4" },
		{ { VM "[memroy]\nsize = 1", 101, "unknown key \"memroy\"", "" },
		  "dir/vm.toml line 3" },
		{ { VM "[[disk]]\npath='x'\nbus='virtio'", 101, "unknown key \"disk.bus\"", "" },
		  "dir/vm.toml line 5" },
		{ { VM "[[disk]]\npath='x'\nlimit = { iosp = 1 }", 101,
		    "unknown key \"disk.limit.iosp\"", "disk.limit.iops" },
		  "dir/vm.toml line 5" },
		{ { VM "[[disk]]\npath='x'\nlimit = 1", 101, "unknown key \"disk.limit\"", "" },
		  "dir/vm.toml line 5" },
		{ { VM "'memory.size' = 1", 101, "unknown key", "" }, "dir/vm.toml line 3" },
		{ { VM "[memory\n", 102, "expected ]", "" }, "dir/vm.toml line 3 column 8" },
		{ { VM "[vm]\n", 103, "already defined", "" }, "line 3" },
		{ { VM "[memory]\nsize = '12Q'", 3, "memory.size = 12Q is not a size", "512M" },
		  "dir/vm.toml line 4: memory.size" },
		{ { VM "[cpu]\ncount = -1", 4, "cpu.count = -1 is not a number", "" }, "line 4" },
		{ { VM "[cpu]\ncount = 65", 5, "too large", "" }, "line 4" },
		{ { VM "[cpu]\ncount = true", 106, "cpu.count cannot be true or false", "4" },
		  "line 4" },
		{ { VM "[boot]\ncmdline = 5", 106, "boot.cmdline cannot be an integer", "console" },
		  "line 4" },
		{ { VM "[boot]\ncmdline = 'a\\u0000'\nkernel=\"\\u0000\"", 106,
		    "cannot be a string", "" },
		  "line 5" },
		{ { VM "[boot]\ncmdline = \"\\n\"", 6, "control characters", "" }, "line 4" },
		{ { VM "[engine]\ndeterministic='yes'", 106, "cannot be a string", "" }, "line 4" },
		{ { "[vm]\nname=['a']", 106, "vm.name cannot be an array", "" }, "line 2" },
		{ { "vm = 'x'", 107, "the VM has no name", "name" }, "dir/vm.toml" },
		{ { "", 107, "the VM has no name", "name" }, "dir/vm.toml" },
		{ { VM "memory = 5", 101, "unknown key \"vm.memory\"", "" }, "line 3" },
		{ { "memory = 5\n" VM, 106, "memory must be a table, not an integer", "" },
		  "line 1" },
		{ { VM "[disk]\npath='x'", 106, "disk must be an array of tables", "" }, "line 3" },
		{ { "disk=['x']\n" VM, 106, "disk must be a table, not a string", "" }, "line 1" },
		{ { VM "[[disk]]\nid='x'", 107, "disk[0] has no path", "path" }, "line 3" },
		{ { VM "[[disk]]\npath='x'\n[[disk]]\npath=1", 106, "disk[1].path cannot be", "" },
		  "line 6: disk[1].path" },
		{ { "schema=2\n" VM, 110, "schema = 1", "newer" }, "line 1" },
		{ { VM "[machine]\nspi=5", 106, "must be a list", "33,34" }, "line 4" },
		{ { VM "[[device]]\ntype='x'\nopts=[]", 106, "must be a table", "" }, "line 5" },
		{ { VM "[[device]]\ntype='x'\nopts={a=[]}", 106, "wrong kind", "" }, "line 5" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		const struct bad *b = &rows[i].b;
		struct hull_options fresh;

		must(hull_options_init(&fresh, &err));
		memset(&err, 0, sizeof(err));
		if (!toml_into(&fresh, b->input, HULL_ORIGIN_FILE) || err.id != b->id ||
		    !strstr(err.text, b->text) || !strstr(err.fix, b->fix) ||
		    !strstr(err.where, rows[i].where))
			fail_msg("%s\nE%04u %s (%s) fix: %s", b->input, err.id, err.text, err.where,
			         err.fix);
		hull_options_free(&fresh);
	}
}

static void engine_settings(void **state)
{
	static struct hull_vm_config c;
	char line[800] = "--code-cache ";

	must(hull_options_to_config(&o, HULL_ISA_RISCV64, &c, &err));
	assert_int_equal(c.engine.mode, HULL_ENGINE_AUTO);
	assert_int_equal(c.engine.cache_bytes, 128 << 20);
	assert_int_equal(c.engine.cache_policy, HULL_CODE_CACHE_ADAPTIVE);
	assert_string_equal(c.engine.cache_dir, "");
	must(parse_into(&o, "--engine eval --code-cache-size 64M --code-cache-policy concurrent "
	                    "--code-cache dir --promotion fixed --jit-min-threshold 7 "
	                    "--jit-max-threshold 70 --engine-chaos 3 --perf jitdump"));
	must(toml_into(&o, "[vm]\nname='a'\n[engine.jit]\nperf_dir='sub'\nmin_threshold=9\n",
	               HULL_ORIGIN_FILE));
	must(hull_options_to_config(&o, HULL_ISA_RISCV64, &c, &err));
	assert_int_equal(c.engine.mode, HULL_ENGINE_EVAL);
	assert_int_equal(c.engine.cache_bytes, 64 << 20);
	assert_int_equal(c.engine.cache_policy, HULL_CODE_CACHE_CONCURRENT);
	assert_string_equal(c.engine.cache_dir, "dir");
	assert_int_equal(c.engine.tier1_threshold, 7);
	assert_int_equal(c.engine.tier2_threshold, 70);
	assert_int_equal(c.engine.chaos, 3);
	assert_int_equal(c.engine.perf, HULL_PERF_JITDUMP);
	assert_string_equal(c.engine.perf_dir, "dir/sub");
	memset(line + strlen(line), 'x', HULL_ENGINE_PATH_MAX);
	must(parse_into(&o, line));
	assert_int_equal(hull_options_to_config(&o, HULL_ISA_RISCV64, &c, &err), HULL_EINVAL);
	assert_int_equal(err.id, 5);
}

static void contradictions(void **state)
{
	static const struct bad rows[] = {
		{ "--phys-ids 1,2 --cpus 3", 108, "cpu.phys_ids has 2 elements, but cpu.count is 3",
		  "" },
		{ "--phys-ids 1,1 -c2", 108, "same hardware id", "" },
		{ "--affinity [[1]] -c2", 108, "cpu.affinity has 1 elements", "" },
		{ "--engine hw --accel none", 108, "needs an accelerator", "" },
		{ "--deterministic --accel kvm", 108, "deterministic", "" },
		{ "--deterministic --engine hw", 108, "deterministic", "" },
		{ "--jit-min-threshold 5 --jit-max-threshold 4", 108, "min_threshold is larger",
		  "" },
		{ "-d a,id=x -d b,id=x", 108, "two disks have the same id", "" },
		{ "--set disk[0].id=x", 107, "disk.path is missing", "explain" },
		{ "--region 4096", 108, "needs a size", "" },
		{ "--region 5,size=4K", 108, "not a multiple of 4096", "" },
		{ "--region 4096,size=4K,map=reserved", 108, "needs hpa", "" },
		{ "--passthrough mmio", 108, "needs gpa and size", "" },
		{ "--passthrough dt", 108, "needs match", "" },
		{ "--name=", 108, "vm.name is empty", "" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct hull_options fresh;

		must(hull_options_init(&fresh, &err));
		must(parse_into(&fresh, rows[i].input));
		memset(&err, 0, sizeof(err));
		if (!hull_options_check(&fresh, &err) || err.id != rows[i].id ||
		    !strstr(err.text, rows[i].text) || !strstr(err.fix, rows[i].fix) ||
		    !err.where[0])
			fail_msg("%s: E%04u %s (%s) fix: %s", rows[i].input, err.id, err.text,
			         err.where, err.fix);
		hull_options_free(&fresh);
	}
}

static const char *const memory_file[] = { "[memory]\nsize='16M'", "[memory]\nsize='32M'",
	                                   VM "[memory]\nsize='64M'" };

/* Apply the sources whose bits are set, in the given order or its reverse. */
static uint64_t memory_with(unsigned sources, bool reverse)
{
	char variable[] = "HULL_MEMORY_SIZE=128M";
	char *envp[] = { variable, NULL };
	struct hull_options fresh;
	unsigned i, k;
	uint64_t size;

	must(hull_options_init(&fresh, &err));
	for (k = 0; k < 5; k++) {
		i = reverse ? 4 - k : k;
		if (!(sources & BIT(i)))
			continue;
		if (i < 3)
			must(toml_into(&fresh, memory_file[i], HULL_ORIGIN_SYSTEM + i));
		else if (i == 3)
			must(hull_options_load_env(&fresh, envp, &err));
		else
			must(parse_into(&fresh, "-m 256M"));
	}
	size = hull_options_num(&fresh, HULL_OPT_MEMORY_SIZE) >> 20;
	hull_options_free(&fresh);
	return size;
}

static void precedence(void **state)
{
	static const uint64_t sizes[] = { 16, 32, 64, 128, 256 };
	unsigned sources, top;

	for (sources = 0; sources < 32; sources++) {
		uint64_t expect = 1024;

		for (top = 0; top < 5; top++)
			if (sources & BIT(top))
				expect = sizes[top];
		assert_int_equal(memory_with(sources, false), expect);
		assert_int_equal(memory_with(sources, true), expect);
	}
}

static void lists_of_several_sources(void **state)
{
	must(parse_into(&o, "-d flag.img --serial none"));
	must(toml_into(&o, VM "[[disk]]\npath='/file.img'\n[[serial]]\nto='pty'",
	               HULL_ORIGIN_FILE));
	assert_int_equal(o.nitems[HULL_GROUP_DISK], 2);
	assert_string_equal(hull_options_item(&o, HULL_OPT_DISK_PATH, 0)->text, "/file.img");
	assert_string_equal(hull_options_item(&o, HULL_OPT_DISK_PATH, 1)->text, "flag.img");
	assert_int_equal(o.nitems[HULL_GROUP_SERIAL], 1);
	assert_string_equal(hull_options_item(&o, HULL_OPT_SERIAL_TO, 0)->text, "none");
	hull_options_free(&o);
	must(hull_options_init(&o, &err));
	must(toml_into(&o, VM "[[serial]]\nto='pty'\n[[serial]]\nto='pty'", HULL_ORIGIN_FILE));
	must(parse_into(&o, "--serial stdio --serial none"));
	assert_int_equal(o.nitems[HULL_GROUP_SERIAL], 2);
	assert_string_equal(hull_options_item(&o, HULL_OPT_SERIAL_TO, 0)->text, "stdio");
}

static void environment(void **state)
{
	char a[] = "HULL_BOOT_KERNEL=k", b[] = "VM_VCPUS=3", c[] = "VM_MEMORY=8M";
	char d[] = "HULL_MEMORY_SIZE=16M", e[] = "HULL_CPU_AFFINITY=[[0],[1],[2]]",
	     f[] = "HULL_X=1";
	char bad[] = "HULL_CPU_COUNT=x";
	char *envp[] = { d, a, b, c, e, f, NULL };
	char *worse[] = { bad, NULL };

	must(hull_options_load_env(&o, envp, &err));
	must(hull_options_check(&o, &err));
	assert_string_equal(hull_options_text(&o, HULL_OPT_BOOT_KERNEL), "k");
	assert_int_equal(hull_options_num(&o, HULL_OPT_CPU_COUNT), 3);
	assert_string_equal(o.value[HULL_OPT_CPU_COUNT].origin.name, "VM_VCPUS");
	assert_int_equal(hull_options_num(&o, HULL_OPT_MEMORY_SIZE), 16 << 20);
	assert_int_equal(hull_options_load_env(&o, worse, &err), HULL_EINVAL);
	assert_int_equal(err.id, 4);
	assert_string_equal(err.text, "HULL_CPU_COUNT=x is not a number");
}

/* What is written reads back as the same. */
static void round_trip(void **state)
{
	struct hull_options again;
	char *first, *second;

	must(parse_into(
		&o, "k --name x\"y -m 1.5G -c 2 --phys-ids 1,0x80 --affinity [[0,3],[5]] "
		    "--spi 33 -d a,ro -d b,serial=q --serial pty --device ivc,size=64K,irq=7 "
		    "--set device[0].opts={a=1,b=\"x\"} --region 0x80000000,size=16M,perm=rw "
		    "--passthrough dt,match=/soc --set passthrough[0].exclude=/a,/b --rng seed:3 "
		    "--exit-on panic --kernel-addr 0x1000 -a rv64"));
	must(hull_options_check(&o, &err));
	first = dump(&o, HULL_ORIGIN_DEFAULT);
	must(hull_options_init(&again, &err));
	{
		struct hull_toml_input in = { .name = "x.toml",
			                      .text = first,
			                      .size = strlen(first) };

		must(hull_options_parse_toml(&again, &in, HULL_ORIGIN_FILE, &err));
	}
	must(hull_options_check(&again, &err));
	second = dump(&again, HULL_ORIGIN_DEFAULT);
	assert_string_equal(first, second);
	assert_non_null(strstr(first, "size = \"1536M\""));
	assert_non_null(strstr(first, "affinity = [[0, 3], [5]]"));
	free(first);
	free(second);
	hull_options_free(&again);
}

static char *template(void)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	must(hull_options_write_template(f, &err));
	assert_int_equal(fclose(f), 0);
	return text;
}

static void generated_file_is_the_defaults(void **state)
{
	struct hull_options loaded;
	char *text = template();
	char *a, *b;
	char *p;

	must(hull_options_init(&loaded, &err));
	must(toml_into(&loaded, text, HULL_ORIGIN_FILE));
	must(hull_options_check(&loaded, &err));
	a = dump(&o, HULL_ORIGIN_DEFAULT);
	b = dump(&loaded, HULL_ORIGIN_DEFAULT);
	assert_string_equal(a, b);
	hull_options_free(&loaded);
	free(a);
	free(b);
	/* With every example switched on it loads, too. */
	for (p = text; (p = strstr(p, "\n#")); p++)
		if (p[2] != ' ')
			p[1] = ' ';
	must(hull_options_init(&loaded, &err));
	must(toml_into(&loaded, text, HULL_ORIGIN_FILE));
	assert_int_equal(loaded.nitems[HULL_GROUP_PASSTHROUGH], 1);
	hull_options_free(&loaded);
	free(text);
}

static void to_config(void **state)
{
	struct hull_vm_config c;

	must(parse_into(&o,
	                "--name n --id 3 -c 2 --affinity [[0,2],[1]] --phys-ids 7,9 --spi 40,41 "
	                "--region 0x80000000,size=16M,perm=rx,map=reserved,hpa=0x1000,cache=device "
	                "--passthrough mmio,gpa=0x9000000,size=4K,irq=33,name=u --kind rtos "
	                "--deterministic --rng seed:5 --entry 0x80000000 --irq-mode passthrough"));
	must(hull_options_check(&o, &err));
	must(hull_options_to_config(&o, HULL_ISA_AARCH64, &c, &err));
	assert_string_equal(c.name, "n");
	assert_int_equal(c.id, 3);
	assert_int_equal(c.kind, HULL_KIND_RTOS);
	assert_int_equal(c.irq_mode, HULL_IRQ_PASSTHROUGH);
	assert_int_equal(c.cpu_num, 2);
	assert_int_equal(c.affinity[0], 5);
	assert_int_equal(c.phys_ids[1], 9);
	assert_int_equal(c.nspis, 2);
	assert_int_equal(c.nregions, 1);
	assert_int_equal(c.regions[0].attr, HULL_MEM_R | HULL_MEM_X | HULL_MEM_DEVICE);
	assert_int_equal(c.regions[0].map, HULL_MAP_RESERVED);
	assert_int_equal(c.regions[0].hpa, 0x1000);
	assert_int_equal(c.passthrough[0].hpa, 0x9000000);
	assert_int_equal(c.random_seed, 5);
	assert_true(c.deterministic);
	must(parse_into(&o, "--device no-such-device"));
	assert_int_equal(hull_options_to_config(&o, HULL_ISA_AARCH64, &c, &err), HULL_ENOENT);
	assert_int_equal(err.id, 903);
}

static void device_options(void **state)
{
	static const struct bad rows[] = {
		{ "--device plci", 903, "no device of type \"plci\"", "did you mean \"plic\"?" },
		{ "--device plic --set device[0].opts={size=1}", 101, "has no \"size\"", "" },
		{ "--device plic --set device[0].opts={arg9=1}", 101, "has no \"arg9\"", "" },
		{ "--device plic --set device[0].opts={sources=0}", 106, "plic.sources = 0 is not",
		  "" },
		{ "--device plic --set device[0].opts={sources='x'}", 106, "plic.sources = x", "" },
		{ "--passthrough pci,match=0", 904, "only passthrough of kind mmio", "" },
	};
	struct hull_vm_config c;
	size_t i;

	must(parse_into(&o, "--device plic,gpa=0xc000000,irq=3,name=a "
	                    "--set device[0].opts={sources=31,arg1=4} --device plic"));
	must(hull_options_to_config(&o, HULL_ISA_RISCV64, &c, &err));
	assert_int_equal(c.ndevices, 2);
	assert_string_equal(c.devices[0].name, "a");
	assert_int_equal(c.devices[0].gpa, 0xc000000);
	assert_int_equal(c.devices[0].args[0], 31);
	assert_int_equal(c.devices[0].args[1], 4);
	assert_int_equal(c.devices[1].args[0], 95);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct hull_options fresh;

		must(hull_options_init(&fresh, &err));
		must(parse_into(&fresh, rows[i].input));
		memset(&err, 0, sizeof(err));
		if (!hull_options_to_config(&fresh, HULL_ISA_RISCV64, &c, &err) ||
		    err.id != rows[i].id || !strstr(err.text, rows[i].text) ||
		    !strstr(err.fix, rows[i].fix) || !err.where[0])
			fail_msg("%s: E%04u %s (%s) fix: %s", rows[i].input, err.id, err.text,
			         err.where, err.fix);
		hull_options_free(&fresh);
	}
}

static void configuration_files(void **state)
{
	char xdg[] = "XDG_CONFIG_HOME=/x", home[] = "HOME=/h";
	char *with[] = { home, xdg, NULL }, *without[] = { home, NULL };
	enum hull_origin_rank rank;
	char path[64];

	assert_true(hull_options_file(with, 0, path, sizeof(path), &rank));
	assert_string_equal(path, "/x/hull/config.toml");
	assert_int_equal(rank, HULL_ORIGIN_USER);
	assert_true(hull_options_file(without, 0, path, sizeof(path), &rank));
	assert_string_equal(path, "/h/.config/hull/config.toml");
	assert_true(hull_options_file(without, 1, path, sizeof(path), &rank));
	assert_int_equal(rank, HULL_ORIGIN_SYSTEM);
	assert_false(hull_options_file(without, 2, path, sizeof(path), &rank));
}

static void missing_file(void **state)
{
	char a[] = "run", b[] = "/nonexistent/x.toml", env[] = "HOME=/nonexistent";
	char *argv[] = { a, b, NULL }, *envp[] = { env, NULL };

	assert_int_equal(hull_options_collect(&o, 2, argv, envp, &err), HULL_ENOENT);
	assert_int_equal(err.id, 220);
	hull_options_free(&o);
	must(hull_options_init(&o, &err));
	must(hull_options_collect(&o, 1, argv, envp, &err));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_option_is_described),
		TEST(defaults),
		TEST(arguments),
		TEST(arguments_that_end),
		TEST(globals),
		TEST(bad_arguments),
		TEST(files),
		TEST(bad_files),
		TEST(engine_settings),
		TEST(contradictions),
		TEST(precedence),
		TEST(lists_of_several_sources),
		TEST(environment),
		TEST(round_trip),
		TEST(generated_file_is_the_defaults),
		TEST(to_config),
		TEST(device_options),
		TEST(configuration_files),
		TEST(missing_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
