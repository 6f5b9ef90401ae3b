/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Arguments, environment, files and axvm files through the options.  The first byte chooses;
 * arguments are separated by newlines.  What was accepted and written must read back the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manage/axvm.h"
#include "manage/options.h"
#include "manage/toml_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *arg, const char *text)
{
	if (strchr(text, '\n') && arg)
		abort();
}

static int read_arguments(struct hull_options *o, char *text, bool env, struct hull_err *err)
{
	char *words[65] = { text };
	char *save = NULL;
	int n = env ? 0 : 1;
	char *w;

	for (w = strtok_r(text, "\n", &save); w && n < 64; w = strtok_r(NULL, "\n", &save))
		words[n++] = w;
	words[n] = NULL;
	return env ? hull_options_load_env(o, words, err)
	           : hull_options_parse_args(o, n, words, err);
}

static int read_input(struct hull_options *o, char kind, char *text, size_t size,
                      struct hull_err *err)
{
	struct hull_toml_input in = { .name = "d/f.toml", .text = text, .size = size };
	struct hull_toml_file file;
	int ret;

	if (kind == 'a' || kind == 'e')
		return read_arguments(o, text, kind == 'e', err);
	if (kind == 't')
		return hull_options_parse_toml(o, &in, HULL_ORIGIN_FILE, err);
	ret = hull_toml_file_parse(&in, &file, err);
	if (ret)
		return ret;
	ret = hull_axvm_import(o, "x.toml", file.root, ignore, NULL, err);
	hull_toml_file_free(&file);
	return ret;
}

static char *written(const struct hull_options *o, size_t *size)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, size);

	if (!f)
		abort();
	hull_options_write_toml(o, HULL_ORIGIN_DEFAULT, f);
	if (fclose(f) || !text)
		abort();
	return text;
}

static void read_back(const struct hull_options *o)
{
	struct hull_toml_input in = { .name = "f.toml" };
	struct hull_options again;
	struct hull_err err;
	size_t size;
	char *text = written(o, &in.size);
	char *second;

	in.text = text;
	if (hull_options_init(&again, &err) ||
	    hull_options_parse_toml(&again, &in, HULL_ORIGIN_FILE, &err)) {
		fprintf(stderr, "%s\n%s: %s\n", text, err.where, err.text);
		abort();
	}
	second = written(&again, &size);
	if (strcmp(text, second) != 0) {
		fprintf(stderr, "%s\n---\n%s\n", text, second);
		abort();
	}
	free(text);
	free(second);
	hull_options_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char kinds[] = "aetx";
	struct hull_options o;
	struct hull_vm_config config;
	struct hull_err err;
	char *text;
	int ret;

	if (!size || size > 4096)
		return 0;
	text = malloc(size);
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = 0;
	memset(&err, 0, sizeof(err));
	ret = hull_options_init(&o, &err);
	if (!ret)
		ret = read_input(&o, kinds[data[0] & 3], text, size - 1, &err);
	if (!ret)
		ret = hull_options_check(&o, &err);
	if (ret && (!err.id || err.code != ret || !err.text[0]))
		abort();
	if (!ret) {
		read_back(&o);
		ret = hull_options_to_config(&o, HULL_ISA_RISCV64, &config, &err);
	}
	hull_options_free(&o);
	free(text);
	return 0;
}
