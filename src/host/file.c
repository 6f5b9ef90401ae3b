/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Reading files of host/file.h (POSIX.1-2008). */
#include "host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"

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

static int cannot_open(const char *path, int error, struct hull_err *err)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		hull_fail(err, HULL_ENOENT, 220, "there is no file %s", path);
		hull_err_fix(err, path[0] == '/'
		                          ? "check the path"
		                          : "check the path; it starts where hull was started");
		return HULL_ENOENT;
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
	if (st.st_size <= 0)
		return hull_fail(err, HULL_EFORMAT, 224, "%s is empty", path);
	if ((uint64_t)st.st_size > max_bytes || (uint64_t)st.st_size >= SIZE_MAX)
		return hull_fail(err, HULL_EOVERFLOW, 223,
		                 "%s has %llu bytes, more than the limit of %llu", path,
		                 (unsigned long long)st.st_size, (unsigned long long)max_bytes);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

/* Read up to `room` bytes; the number read, or -1 with errno. */
static ssize_t read_all(int fd, uint8_t *data, size_t room)
{
	size_t done = 0;
	ssize_t n;

	while (done < room) {
		/* Linux transfers at most 2 GiB - 4 KiB at a time; macOS refuses more. */
		n = read(fd, data + done, MIN(room - done, (size_t)1 << 30));
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

int hull_file_read(const char *path, uint64_t max_bytes, struct hull_file *ret,
                   struct hull_err *err)
{
	uint64_t size = 0;
	uint8_t *data;
	ssize_t n;
	int rc, fd;

	/* O_NONBLOCK: a FIFO without a writer must be refused, not waited for. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return cannot_open(path, errno, err);
	rc = check(fd, path, max_bytes, &size, err);
	if (rc)
		goto close_file;
	data = malloc((size_t)size + 1);
	if (!data) {
		rc = hull_fail(err, HULL_ENOMEM, 226, "not enough memory to read %s (%llu bytes)",
		               path, (unsigned long long)size);
		goto close_file;
	}
	/* One byte more than there should be, to notice that the file is growing. */
	n = read_all(fd, data, (size_t)size + 1);
	if (n < 0) {
		rc = hull_fail(err, HULL_EIO, 225, "cannot read %s: %s", path, strerror(errno));
	} else if ((uint64_t)n != size) {
		rc = hull_fail(err, HULL_EIO, 225, "%s changed while it was read", path);
		hull_err_fix(err, "wait until whatever writes it is done");
	} else {
		data[size] = 0;
		*ret = (struct hull_file){ data, (size_t)size };
		data = NULL;
	}
	free(data);
close_file:
	close(fd);
	return rc;
}

bool hull_file_is_gzip(const struct hull_file *f)
{
	return f->size >= 2 && f->data[0] == 0x1f && f->data[1] == 0x8b;
}

int hull_file_read_kernel(const char *path, uint64_t max_bytes, struct hull_file *ret,
                          struct hull_err *err)
{
	struct hull_file packed;
	int rc = hull_file_read(path, max_bytes, &packed, err);

	if (rc)
		return rc;
	if (!hull_file_is_gzip(&packed)) {
		*ret = packed;
		return 0;
	}
	rc = hull_gunzip(path, &packed, max_bytes, ret, err);
	hull_file_free(&packed);
	return rc;
}

void hull_file_free(struct hull_file *f)
{
	if (!f)
		return;
	free(f->data);
	*f = (struct hull_file){ 0 };
}
