/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Files of generated code: whose they are, reading them, replacing them. */
#include "engine/jit/store_impl.h"

#if defined(__linux__)

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/text.h"
#include "engine/jit/gen.h"

#define SUFFIX     ".hulljit"
#define NEW_SUFFIX ".new"

enum { LOCK_TRIES = 200, LOCK_PAUSE_MS = 10, SAVE_FRACTION = 64, UNUSED_S = 30 * 86400 };

/* --- the build id of the object that the code generator is in --- */

struct note_search {
	uintptr_t address;
	uint8_t *ret;
	bool found;
};

/* ELF notes are aligned to 4 bytes, those of a segment that is aligned to 8 to 8. */
static bool find_note(const uint8_t *p, size_t size, size_t align, uint8_t *ret)
{
	while (size >= sizeof(ElfW(Nhdr))) {
		ElfW(Nhdr) n;
		size_t name, desc;

		memcpy(&n, p, sizeof(n));
		name = align_up(sizeof(n) + n.n_namesz, align);
		desc = align_up(n.n_descsz, align);
		if (name > size || desc > size - name)
			return false;
		if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 &&
		    !memcmp(p + sizeof(n), "GNU", 4) && n.n_descsz >= 8) {
			memcpy(ret, p + name, MIN(n.n_descsz, (size_t)STORE_BUILD));
			return true;
		}
		p += name + desc;
		size -= name + desc;
	}
	return false;
}

static int look_at_object(struct dl_phdr_info *o, size_t size, void *arg)
{
	struct note_search *s = arg;
	bool here = false;

	for (unsigned i = 0; i < o->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &o->dlpi_phdr[i];

		here |= h->p_type == PT_LOAD && s->address - o->dlpi_addr - h->p_vaddr < h->p_memsz;
	}
	for (unsigned i = 0; here && !s->found && i < o->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &o->dlpi_phdr[i];

		if (h->p_type == PT_NOTE)
			s->found = find_note((const uint8_t *)(o->dlpi_addr + h->p_vaddr),
			                     h->p_memsz, h->p_align == 8 ? 8 : 4, s->ret);
	}
	return here;
}

/* The linker's hash over everything that it put into this program; false: it was not asked to. */
static bool build_id(uint8_t ret[STORE_BUILD])
{
	struct note_search s = { (uintptr_t)&jit_generate, ret, false };

	memset(ret, 0, STORE_BUILD);
	dl_iterate_phdr(look_at_object, &s);
	return s.found;
}

/* --- whose is it? --- */

/* Nobody but the user may be able to change what will be executed. */
static const char *distrust(const struct stat *st)
{
	if (st->st_uid != geteuid())
		return "it belongs to somebody else";
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return "others may write it";
	return NULL;
}

static void note(struct jit_store *s, const char *what, const char *why)
{
	hull_format(s->note, sizeof(s->note), "kept code is not used: %s: %s", what, why);
}

static int refuse(struct hull_err *err, const char *what, const char *dir)
{
	hull_fail(err, HULL_EIO, 1104, "%s %s: %s", dir, what, strerror(errno));
	hull_err_fix(err, "name another directory: --code-cache DIR, or leave it out");
	return HULL_EIO;
}

static int open_dir(struct jit_store *s, const char *dir, struct hull_err *err)
{
	struct stat st;
	const char *why;

	if (mkdir(dir, 0700) && errno != EEXIST)
		return refuse(err, "cannot be made", dir);
	s->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0 || fstat(s->dir, &st))
		return refuse(err, "cannot be opened", dir);
	why = distrust(&st);
	if (!why)
		return 0;
	note(s, dir, why);
	close(s->dir);
	s->dir = -1;
	return 0;
}

/* --- reading --- */

static struct store_stamp stamp_of(const struct stat *st)
{
	return (struct store_stamp){ st->st_dev, st->st_ino, (uint64_t)st->st_size,
		                     st->st_mtim.tv_sec, st->st_mtim.tv_nsec };
}

static uint8_t *read_all(int fd, size_t size)
{
	uint8_t *data = malloc(size);
	size_t at = 0;

	while (data && at < size) {
		ssize_t n = read(fd, data + at, size - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			free(data);
			return NULL;
		}
		at += (size_t)n;
	}
	return data;
}

static const char *read_file(int fd, const struct store_id *id, struct store_image *ret,
                             struct store_stamp *ret_stamp)
{
	const char *why;
	struct stat st;
	uint8_t *data;

	if (fstat(fd, &st))
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "it is not a file";
	why = distrust(&st);
	if (why)
		return why;
	if (st.st_size < (off_t)sizeof(struct store_header) || st.st_size > STORE_FILE_MAX)
		return "its size makes no sense";
	data = read_all(fd, (size_t)st.st_size);
	if (!data)
		return "it cannot be read";
	*ret_stamp = stamp_of(&st);
	return store_load(ret, id, data, (size_t)st.st_size);
}

/* NULL: read, or there is no such file. */
static const char *read_image(const struct jit_store *s, struct store_image *ret,
                              struct store_stamp *ret_stamp)
{
	int fd = openat(s->dir, s->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	const char *why;

	if (fd < 0)
		return errno == ENOENT  ? NULL
		       : errno == ELOOP ? "it is a symbolic link"
		                        : strerror(errno);
	why = read_file(fd, &s->id, ret, ret_stamp);
	close(fd);
	return why;
}

int jit_store_open(const char *dir, const struct jit_store_key *key, struct jit_store **ret,
                   struct hull_err *err)
{
	struct store_id id = { .features = key->features, .smp = key->smp };
	struct jit_store *s;
	const char *why;
	int rc;

	hull_format(id.guest, sizeof(id.guest), "%s", key->guest);
	if (!build_id(id.build))
		return hull_fail(err, HULL_ENOTSUP, 1301,
		                 "code cannot be kept: this program has no build id");
	s = store_new(&id);
	if (!s)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for kept code");
	hull_format(s->name, sizeof(s->name), "%016llx" SUFFIX,
	            (unsigned long long)store_sum(&id, sizeof(id), STORE_VERSION));
	rc = open_dir(s, dir, err);
	if (rc) {
		jit_store_close(s);
		return rc;
	}
	why = s->dir >= 0 ? read_image(s, &s->image, &s->stamp) : NULL;
	if (why) {
		char path[160];

		hull_format(path, sizeof(path), "%s/%s", dir, s->name);
		note(s, path, why);
	}
	*ret = s;
	return 0;
}

void jit_store_close(struct jit_store *s)
{
	if (!s)
		return;
	store_unload(&s->image);
	while (s->added) {
		struct store_new *n = s->added;

		s->added = n->next;
		free(n);
	}
	free(s->known.slots);
	if (s->dir >= 0)
		close(s->dir);
	free(s);
}

/* --- replacing --- */

static bool write_all(int fd, const uint8_t *data, size_t size)
{
	while (size) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data += n;
		size -= (size_t)n;
	}
	return true;
}

/*
 * The file that becomes the new one, locked: only one process at a time merges and replaces.  What
 * a process that was killed left of it is overwritten.  -1: errno; -2: try again.
 */
static int try_lock(const struct jit_store *s, const char *name)
{
	int fd = openat(s->dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat mine, there;

	if (fd < 0)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		close(fd);
		return errno == EWOULDBLOCK ? -2 : -1;
	}
	/* Whoever had the lock may have made it the file that counts. */
	if (fstat(fd, &mine) || fstatat(s->dir, name, &there, AT_SYMLINK_NOFOLLOW) ||
	    mine.st_ino != there.st_ino || mine.st_dev != there.st_dev) {
		close(fd);
		return -2;
	}
	if (distrust(&mine)) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	return fd;
}

static int lock_new(const struct jit_store *s, const char *name)
{
	struct timespec pause = { .tv_nsec = LOCK_PAUSE_MS * 1000000 };
	int fd = -2;

	for (unsigned i = 0; fd == -2 && i < LOCK_TRIES; i++) {
		if (i)
			nanosleep(&pause, NULL);
		fd = try_lock(s, name);
	}
	return fd;
}

static bool same_stamp(const struct store_stamp *a, const struct store_stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->time_s == b->time_s && a->time_ns == b->time_ns;
}

/* What others have saved since our image was read; empty if they have not. */
static void read_others(const struct jit_store *s, struct store_image *ret)
{
	struct store_stamp stamp = { 0 };
	struct stat st;

	if (fstatat(s->dir, s->name, &st, AT_SYMLINK_NOFOLLOW))
		return;
	stamp = stamp_of(&st);
	if (!same_stamp(&stamp, &s->stamp) && read_image(s, ret, &stamp))
		*ret = (struct store_image){ 0 }; /* as good as none: it is going to be replaced */
}

static int replace(struct jit_store *s, int fd, const char *name, uint64_t limit)
{
	struct store_image other = { 0 };
	size_t size = 0;
	uint8_t *data;
	int rc = 0;

	read_others(s, &other);
	data = store_build(s, &other, limit, &size);
	store_unload(&other);
	if (!data) {
		errno = ENOMEM;
		return HULL_ENOMEM;
	}
	if (ftruncate(fd, 0) || !write_all(fd, data, size) ||
	    renameat(s->dir, name, s->dir, s->name))
		rc = HULL_EIO;
	free(data);
	return rc;
}

/* Sixteen digits and the suffix, as jit_store_open() makes them. */
static bool is_store(const char *name)
{
	size_t digits = strspn(name, "0123456789abcdef");

	return digits == 16 &&
	       (!strcmp(name + digits, SUFFIX) || !strcmp(name + digits, SUFFIX NEW_SUFFIX));
}

/* Files of other builds and machines that nobody has read or written for a long time before ours
 * was, just now, go. */
static void prune(const struct jit_store *s)
{
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	struct stat st, ours;

	if (!dir && fd >= 0)
		close(fd);
	if (!dir)
		return;
	if (fstatat(s->dir, s->name, &ours, AT_SYMLINK_NOFOLLOW))
		ours.st_mtime = 0;
	while ((e = readdir(dir)))
		if (is_store(e->d_name) && strcmp(e->d_name, s->name) &&
		    !fstatat(s->dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode) &&
		    ours.st_mtime - MAX(st.st_mtime, st.st_atime) > UNUSED_S)
			unlinkat(s->dir, e->d_name, 0);
	closedir(dir);
}

int jit_store_save(struct jit_store *s, uint64_t limit, struct hull_err *err)
{
	uint64_t had = s->image.data ? s->image.header->units : 0;
	char name[sizeof(s->name) + sizeof(NEW_SUFFIX)];
	int fd, rc;

	if (s->dir < 0 || !s->added_count || s->added_count < had / SAVE_FRACTION)
		return 0;
	hull_format(name, sizeof(name), "%s" NEW_SUFFIX, s->name);
	fd = lock_new(s, name);
	if (fd == -2)
		return hull_fail(err, HULL_EBUSY, 1104,
		                 "translated code is not kept: others are writing it");
	if (fd < 0)
		return hull_fail(err, HULL_EIO, 1104, "translated code is not kept: %s",
		                 strerror(errno));
	rc = replace(s, fd, name, limit);
	if (rc) {
		hull_fail(err, rc, 1104, "translated code is not kept: %s", strerror(errno));
		unlinkat(s->dir, name, 0);
	} else {
		prune(s);
	}
	close(fd);
	return rc;
}

#else

int jit_store_open(const char *dir, const struct jit_store_key *key, struct jit_store **ret,
                   struct hull_err *err)
{
	return hull_fail(err, HULL_ENOTSUP, 1301, "code can be kept on Linux hosts only");
}

void jit_store_close(struct jit_store *s)
{
}

int jit_store_save(struct jit_store *s, uint64_t limit, struct hull_err *err)
{
	return 0;
}

#endif
