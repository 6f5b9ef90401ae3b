/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Reading files of host/file.h (POSIX.1-2008). */
#include "host/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/text.h"

static const char *kind_of(mode_t mode)
{
	if (S_ISDIR(mode))
		return "a directory";
	if (S_ISFIFO(mode))
		return "a FIFO";
	if (S_ISSOCK(mode))
		return "a socket";
	return "a device";
}

enum { MAX_NEIGHBOURS = 256, MAX_NEIGHBOUR = 64 };

/* A file beside `path` whose name is nearly the same, copied to `ret`; false if there is none. */
static bool find_neighbour(const char *path, char ret[MAX_NEIGHBOUR])
{
	char names[MAX_NEIGHBOURS][MAX_NEIGHBOUR];
	const char *list[MAX_NEIGHBOURS], *near = NULL;
	const char *slash = strrchr(path, '/');
	char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	DIR *dir = folder ? opendir(folder) : NULL;
	struct dirent *entry;
	size_t count = 0;

	while (dir && count < MAX_NEIGHBOURS && (entry = readdir(dir))) {
		if (strlen(entry->d_name) >= MAX_NEIGHBOUR)
			continue;
		memcpy(names[count], entry->d_name, strlen(entry->d_name) + 1);
		list[count] = names[count];
		count++;
	}
	if (dir)
		closedir(dir);
	free(folder);
	near = hull_nearest(slash ? slash + 1 : path, list, count);
	if (near)
		memcpy(ret, near, strlen(near) + 1);
	return near;
}

static int not_found(const char *path, struct hull_err *err)
{
	char near[MAX_NEIGHBOUR];

	hull_fail(err, HULL_ENOENT, 220, "there is no file %s", path);
	if (err && find_neighbour(path, near))
		hull_err_fix(err, "did you mean %s?", near);
	else
		hull_err_fix(err, path[0] == '/'
		                          ? "check the path"
		                          : "check the path; it starts where hull was started");
	return HULL_ENOENT;
}

static int cannot_open(const char *path, int error, struct hull_err *err)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR: return not_found(path, err);
	case EACCES:
	case EPERM:
		hull_fail(err, HULL_EPERM, 222, "permission denied (EACCES) opening %s", path);
		hull_err_fix(err, "make the file readable and its directories searchable for you");
		return HULL_EPERM;
	case ENXIO: /* a socket */
		return hull_fail(err, HULL_EINVAL, 221, "%s is not a regular file", path);
	default: return hull_fail(err, HULL_EIO, 225, "cannot open %s: %s", path, strerror(error));
	}
}

/* 0 if the open file may be read, and its size. */
static int check(int fd, const char *path, uint64_t max_bytes, uint64_t *ret_size,
                 struct hull_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return hull_fail(err, HULL_EIO, 225, "cannot inspect %s: %s", path,
		                 strerror(errno));
	if (!S_ISREG(st.st_mode)) {
		hull_fail(err, HULL_EINVAL, 221, "%s is %s, not a file", path, kind_of(st.st_mode));
		hull_err_fix(err, S_ISDIR(st.st_mode) ? "name a file inside it"
		                                      : "copy its contents to a file first");
		return HULL_EINVAL;
	}
	if (st.st_size <= 0) {
		hull_fail(err, HULL_EFORMAT, 224, "%s is empty", path);
		hull_err_fix(err, "fetch or copy it again");
		return HULL_EFORMAT;
	}
	if ((uint64_t)st.st_size > max_bytes || (uint64_t)st.st_size >= SIZE_MAX)
		return hull_fail(err, HULL_EOVERFLOW, 223,
		                 "%s has %llu bytes, more than the limit of %llu", path,
		                 (unsigned long long)st.st_size, (unsigned long long)max_bytes);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

/* Read up to `room` bytes from the start; the number read, or -1 with errno. */
static ssize_t read_all(int fd, uint8_t *data, size_t room)
{
	size_t done = 0;
	ssize_t n;

	while (done < room) {
		/* Linux transfers at most 2 GiB - 4 KiB at a time; macOS refuses more. */
		n = preadv2(fd, &(struct iovec){ data + done, MIN(room - done, (size_t)1 << 30) },
		            1, (off_t)done, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (!n)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int hull_file_open(const char *path, uint64_t max_bytes, struct hull_open_file *ret,
                   struct hull_err *err)
{
	/* O_NONBLOCK: a FIFO without a writer must be refused, not waited for. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc;
	uint64_t size = 0;

	if (fd < 0)
		return cannot_open(path, errno, err);
	rc = check(fd, path, max_bytes, &size, err);
	if (rc)
		close(fd);
	else
		*ret = (struct hull_open_file){ .path = path, .fd = fd, .size = size };
	return rc;
}

int hull_file_read_open(const struct hull_open_file *o, struct hull_file *ret, struct hull_err *err)
{
	uint8_t *data = malloc((size_t)o->size + 1);
	ssize_t n;
	int rc = 0;

	if (!data)
		return hull_fail(err, HULL_ENOMEM, 226, "not enough memory to read %s (%llu bytes)",
		                 o->path, (unsigned long long)o->size);
	/* One byte more than there should be, to notice that the file is growing. */
	n = read_all(o->fd, data, (size_t)o->size + 1);
	if (n < 0) {
		rc = hull_fail(err, HULL_EIO, 225, "cannot read %s: %s", o->path, strerror(errno));
	} else if ((uint64_t)n != o->size) {
		rc = hull_fail(err, HULL_EIO, 225, "%s changed while it was read", o->path);
		hull_err_fix(err, "wait until whatever writes it is done");
	} else {
		data[n] = 0;
		*ret = (struct hull_file){ data, (size_t)n };
		data = NULL;
	}
	free(data);
	return rc;
}

int hull_file_read(const char *path, uint64_t max_bytes, struct hull_file *ret,
                   struct hull_err *err)
{
	struct hull_open_file o = { .fd = -1 };
	int rc = hull_file_open(path, max_bytes, &o, err);

	if (rc)
		return rc;
	rc = hull_file_read_open(&o, ret, err);
	close(o.fd);
	return rc;
}

bool hull_file_is_gzip(const struct hull_file *f)
{
	return f->size >= 2 && f->data[0] == 0x1f && f->data[1] == 0x8b;
}

/* Header of an EFI self-extracting kernel: Linux drivers/firmware/efi/libstub/zboot-header.S. */
enum { ZBOOT_OFFSET = 8, ZBOOT_SIZE = 12, ZBOOT_COMPRESSION = 24, ZBOOT_HEADER = 0x3c };

static bool is_zboot(const struct hull_file *f)
{
	return f->size >= ZBOOT_HEADER && !memcmp(f->data, "MZ", 2) &&
	       !memcmp(f->data + 4, "zimg", 4);
}

/* The compressed kernel inside a self-extracting one; *ret points into `f`. */
static int find_payload(const char *path, const struct hull_file *f, struct hull_file *ret,
                        struct hull_err *err)
{
	uint32_t offset = load_le32(f->data + ZBOOT_OFFSET);
	uint32_t size = load_le32(f->data + ZBOOT_SIZE);
	char method[9] = { 0 };

	memcpy(method, f->data + ZBOOT_COMPRESSION, sizeof(method) - 1);
	if (strcmp(method, "gzip")) {
		hull_fail(err, HULL_ENOTSUP, 743,
		          "%s is an EFI self-extracting kernel compressed with %s, which hull "
		          "cannot unpack",
		          path, method);
		hull_err_fix(err, "use the distribution's plain Image or a gzip-compressed one");
		return HULL_ENOTSUP;
	}
	if (!hull_range_within(offset, size, ZBOOT_HEADER, f->size - ZBOOT_HEADER)) {
		hull_fail(err, HULL_EFORMAT, 743,
		          "%s is truncated: its compressed kernel ends at byte %llu, but the file "
		          "has %zu bytes",
		          path, (unsigned long long)offset + size, f->size);
		hull_err_fix(err, "copy or download the file again");
		return HULL_EFORMAT;
	}
	*ret = (struct hull_file){ f->data + offset, size };
	return 0;
}

int hull_file_unpack_kernel(const char *path, uint64_t max_bytes, struct hull_file *f,
                            struct hull_err *err)
{
	struct hull_file packed = *f, unpacked;
	int rc = 0;

	if (is_zboot(f))
		rc = find_payload(path, f, &packed, err);
	else if (!hull_file_is_gzip(f))
		return 0;
	if (!rc)
		rc = hull_gunzip(path, &packed, max_bytes, &unpacked, err);
	hull_file_free(f);
	if (!rc)
		*f = unpacked;
	return rc;
}

int hull_file_read_kernel(const char *path, uint64_t max_bytes, struct hull_file *ret,
                          struct hull_err *err)
{
	struct hull_file whole;
	int rc = hull_file_read(path, max_bytes, &whole, err);

	if (!rc)
		rc = hull_file_unpack_kernel(path, max_bytes, &whole, err);
	if (!rc)
		*ret = whole;
	return rc;
}

void hull_file_free(struct hull_file *f)
{
	if (!f)
		return;
	free(f->data);
	*f = (struct hull_file){ 0 };
}
