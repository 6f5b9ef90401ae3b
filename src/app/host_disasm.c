/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Calls objdump; see host_disasm.h. */
#include "app/host_disasm.h"

#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/text.h"

/* The name of this machine in binutils; NULL: not known. */
static const char *machine(void)
{
	static const char *const names[][2] = { { "x86_64", "i386:x86-64" },
		                                { "aarch64", "aarch64" },
		                                { "riscv64", "riscv:rv64" } };
	struct utsname u;

	for (size_t i = 0; !uname(&u) && i < ARRAY_LEN(names); i++)
		if (!strcmp(u.machine, names[i][0]))
			return names[i][1];
	return NULL;
}

static FILE *temporary(const uint8_t *code, size_t size, char *path, size_t path_size)
{
	FILE *f;
	int fd;

	hull_format(path, path_size, "/tmp/hull-code.XXXXXX");
	fd = mkstemp(path);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (fd >= 0 && !f)
		close(fd);
	if (f && (fwrite(code, 1, size, f) != size || fflush(f))) {
		fclose(f);
		unlink(path);
		f = NULL;
	}
	return f;
}

/* objdump's text on a pipe; NULL if it cannot be started. */
static FILE *start(const char *path, pid_t *ret)
{
	static char name[] = "objdump", all[] = "-D", form[] = "-bbinary", raw[] = "-z";
	char arch[32], file[64];
	char *const args[] = { name, all, form, raw, arch, file, NULL };
	posix_spawn_file_actions_t actions;
	const char *m = machine();
	int ends[2], r;
	FILE *f;

	if (!m || pipe(ends))
		return NULL;
	hull_format(arch, sizeof(arch), "-m%s", m);
	hull_format(file, sizeof(file), "%s", path);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	posix_spawn_file_actions_addclose(&actions, ends[0]);
	r = posix_spawnp(ret, name, &actions, NULL, args, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	f = r ? NULL : fdopen(ends[0], "r");
	if (!f)
		close(ends[0]);
	if (!f && !r)
		waitpid(*ret, NULL, 0);
	return f;
}

/* Instructions are the lines that begin with an address: "   0:\t90\tnop". */
static bool disassembled(FILE *out, const char *path)
{
	char line[256];
	unsigned n = 0;
	pid_t pid;
	FILE *f = start(path, &pid);

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');

		if (line[0] != ' ' || !colon || colon[1] != '\t')
			continue;
		fprintf(out, "  %s", line);
		n++;
	}
	fclose(f);
	waitpid(pid, NULL, 0);
	return n > 0;
}

void hull_app_host_disasm(FILE *out, const uint8_t *code, size_t size)
{
	char path[64];
	FILE *f = temporary(code, size, path, sizeof(path));
	bool done = f && disassembled(out, path);

	if (f) {
		fclose(f);
		unlink(path);
	}
	for (size_t i = 0; !done && i < size; i++)
		fprintf(out, "%s%02x%s", i % 32 ? "" : "  ", code[i],
		        i % 32 == 31 || i + 1 == size ? "\n" : "");
}
