/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* perf's two formats; see perf.h. */
#include "engine/jit/perf.h"

#if defined(__linux__)

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

enum { NAME_MAX_BYTES = 128, MAGIC = 0x4a695444, VERSION = 1, CODE_LOAD = 0, CODE_CLOSE = 3 };

/* ELF machine numbers of hosts. */
#if defined(__x86_64__)
enum { MACHINE = 62 };
#elif defined(__aarch64__)
enum { MACHINE = 183 };
#else
enum { MACHINE = 243 };
#endif

struct header {
	uint32_t magic, version, size, machine, pad, pid;
	uint64_t time, flags;
};

struct record {
	uint32_t id, size;
	uint64_t time;
};

struct code_load {
	struct record record;
	uint32_t pid, tid;
	uint64_t vma, address, size, index;
};

_Static_assert(sizeof(struct header) == 40 && sizeof(struct code_load) == 56, "perf's layout");

struct jit_perf {
	enum hull_engine_perf kind;
	pthread_mutex_t mutex; /* all below */
	FILE *file;            /* NULL after an error */
	uint64_t index;
	void *mark; /* a mapping by which perf notices the dump */
	size_t mark_size;
};

/* The clock of perf record -k mono. */
static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void give_up(struct jit_perf *p)
{
	if (p->file)
		fclose(p->file);
	p->file = NULL;
}

static void put(struct jit_perf *p, const void *data, size_t size)
{
	if (p->file && fwrite(data, 1, size, p->file) != size)
		give_up(p);
}

/* Whoever reads the file gets whole records, even if this process is killed. */
static void flush(struct jit_perf *p)
{
	if (p->file && fflush(p->file))
		give_up(p);
}

static void begin_dump(struct jit_perf *p)
{
	struct header h = { MAGIC, VERSION, sizeof(h), MACHINE, 0, (uint32_t)getpid(), now(), 0 };

	put(p, &h, sizeof(h));
	flush(p);
	p->mark_size = (size_t)sysconf(_SC_PAGESIZE);
	if (p->file)
		p->mark = mmap(NULL, p->mark_size, PROT_READ | PROT_EXEC, MAP_PRIVATE,
		               fileno(p->file), 0);
	if (p->mark == MAP_FAILED)
		p->mark = NULL;
}

/* In /tmp anybody may have put something where the file is to be: never follow it. */
static FILE *create(const char *path)
{
	FILE *f;
	int fd;

	if (unlink(path) && errno != ENOENT)
		return NULL;
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return NULL;
	f = fdopen(fd, "w");
	if (!f)
		close(fd);
	return f;
}

int jit_perf_open(enum hull_engine_perf kind, const char *dir, struct jit_perf **ret,
                  struct hull_err *err)
{
	char path[HULL_ENGINE_PATH_MAX + 32];
	struct jit_perf *p;

	*ret = NULL;
	if (kind == HULL_PERF_NONE)
		return 0;
	if (kind == HULL_PERF_MAP)
		hull_format(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	else
		hull_format(path, sizeof(path), "%s/jit-%d.dump", *dir ? dir : "/tmp",
		            (int)getpid());
	p = calloc(1, sizeof(*p));
	if (!p)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for %s", path);
	p->kind = kind;
	pthread_mutex_init(&p->mutex, NULL);
	p->file = create(path);
	if (!p->file) {
		hull_fail(err, HULL_EIO, 1101, "%s cannot be written: %s", path, strerror(errno));
		hull_err_fix(err, "name another directory: --perf-dir DIR");
		jit_perf_close(p);
		return HULL_EIO;
	}
	if (kind == HULL_PERF_JITDUMP)
		begin_dump(p);
	*ret = p;
	return 0;
}

static void add_to_dump(struct jit_perf *p, const void *rx, size_t size, const char *name)
{
	size_t length = strlen(name) + 1;
	struct code_load r = {
		.record = { CODE_LOAD, (uint32_t)(sizeof(r) + length + size), now() },
		.pid = (uint32_t)getpid(),
		.tid = (uint32_t)gettid(),
		.vma = (uintptr_t)rx,
		.address = (uintptr_t)rx,
		.size = size,
		.index = p->index++,
	};

	put(p, &r, sizeof(r));
	put(p, name, length);
	put(p, rx, size);
}

void jit_perf_add(struct jit_perf *p, const void *rx, size_t size, const char *name)
{
	char clean[NAME_MAX_BYTES];

	if (!p || !size || size > UINT32_MAX / 2)
		return;
	hull_format(clean, sizeof(clean), "%s", name);
	for (char *c = clean; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			*c = '?';
	pthread_mutex_lock(&p->mutex);
	if (p->kind == HULL_PERF_JITDUMP)
		add_to_dump(p, rx, size, clean);
	else if (p->file && fprintf(p->file, "%llx %zx %s\n", (unsigned long long)(uintptr_t)rx,
	                            size, clean) < 0)
		give_up(p);
	flush(p);
	pthread_mutex_unlock(&p->mutex);
}

void jit_perf_close(struct jit_perf *p)
{
	struct record end = { CODE_CLOSE, sizeof(end), 0 };

	if (!p)
		return;
	if (p->kind == HULL_PERF_JITDUMP) {
		end.time = now();
		put(p, &end, sizeof(end));
	}
	give_up(p);
	if (p->mark)
		munmap(p->mark, p->mark_size);
	pthread_mutex_destroy(&p->mutex);
	free(p);
}

#else

int jit_perf_open(enum hull_engine_perf kind, const char *dir, struct jit_perf **ret,
                  struct hull_err *err)
{
	*ret = NULL;
	return kind == HULL_PERF_NONE
	               ? 0
	               : hull_fail(err, HULL_ENOTSUP, 1301, "perf exists on Linux hosts only");
}

void jit_perf_add(struct jit_perf *p, const void *rx, size_t size, const char *name)
{
}

void jit_perf_close(struct jit_perf *p)
{
}

#endif
