/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Opening and making images: which protocol, which format, what below; see image.h.
 *
 * A header is written by whoever made the image, and a raw image may begin
 * with whatever its guest wrote.  So a format is never concluded from contents
 * unless the caller vouches for them, and what a header names is opened only
 * where the image could have been put by the same person: below its directory.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "host/block/image.h"
#include "host/os/os.h"

enum { SECTOR = 512 };

/* The files of a chain so far: none may come twice. */
struct chain {
	unsigned n;
	struct {
		dev_t dev;
		ino_t ino;
	} files[HULL_IMAGE_DEPTH_MAX];
};

const struct hull_image_format *hull_image_format_find(const char *name)
{
	for (const struct hull_image_format *const *f = hull_image_formats; name && *f; f++)
		if (!strcmp((*f)->name, name))
			return *f;
	return NULL;
}

static const struct hull_image_format *protocol_of(const char *path)
{
	for (const struct hull_image_format *const *f = hull_image_formats; *f; f++)
		if ((*f)->prefix && !strncmp(path, (*f)->prefix, strlen((*f)->prefix)))
			return *f;
	return hull_image_format_find("file");
}

static int unknown_format(const char *path, const char *name, struct hull_err *err)
{
	const char *names[32];
	const char *near;
	size_t n = 0;

	for (const struct hull_image_format *const *f = hull_image_formats; *f && n < 32; f++)
		if (!(*f)->protocol)
			names[n++] = (*f)->name;
	near = hull_nearest(name, names, n);
	hull_fail(err, HULL_ENOTSUP, 306, "this build has no image format \"%s\" (for \"%s\")",
	          name, path);
	if (near)
		hull_err_fix(err, "did you mean %s?", near);
	else
		hull_err_fix(err, "qemu-img convert -O raw %s disk.raw", path);
	return HULL_ENOTSUP;
}

static size_t read_head(struct hull_image *file, uint8_t head[SECTOR])
{
	size_t n = MIN(file->size, (uint64_t)SECTOR);

	memset(head, 0, SECTOR);
	return n && !hull_image_read(file, 0, head, n) ? n : 0;
}

/* The name of a format that is not raw and whose files begin like this; NULL: none known. */
static const char *looks_like(const uint8_t *head)
{
	static const struct {
		const char *name;
		unsigned offset;
		char magic[9];
	} others[] = {
		{ "qcow2", 0, "QFI\xfb" },
		{ "VMDK", 0, "KDMV" },
		{ "VMDK", 0, "COWD" },
		{ "VHDX", 0, "vhdxfile" },
		{ "VHD", 0, "conectix" },
		{ "QED", 0, "QED" },
		{ "VDI", 64, "\x7f\x10\xda\xbe" },
		{ "Parallels", 0, "WithoutF" },
	};

	for (const struct hull_image_format *const *f = hull_image_formats; *f; f++)
		if ((*f)->probe && (*f)->probe(head, SECTOR))
			return (*f)->name;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (!memcmp(head + others[i].offset, others[i].magic, strlen(others[i].magic)))
			return others[i].name;
	return NULL;
}

static int refuse_guess(const char *path, const char *name, struct hull_err *err)
{
	hull_fail(err, HULL_EFORMAT, 305,
	          "\"%s\" looks like %s but was given without a format; guests can fake this", path,
	          name);
	if (hull_image_format_find(name))
		hull_err_fix(err, "say which it is: --disk %s,format=%s (or format=raw)", path,
		             name);
	else
		hull_err_fix(err,
		             "qemu-img convert -O raw %s disk.raw; or, if it is raw: --disk "
		             "%s,format=raw",
		             path, path);
	return HULL_EFORMAT;
}

static int choose_format(const struct hull_image_options *o, struct hull_image *file,
                         const struct hull_image_format **ret, struct hull_err *err)
{
	uint8_t head[SECTOR];
	const char *name;

	if (o->format) {
		*ret = hull_image_format_find(o->format);
		return *ret ? 0 : unknown_format(o->path, o->format, err);
	}
	name = read_head(file, head) ? looks_like(head) : NULL;
	if (name && !o->guess)
		return refuse_guess(o->path, name, err);
	*ret = hull_image_format_find(name ? name : "raw");
	return *ret ? 0 : unknown_format(o->path, name ? name : "raw", err);
}

/* One image without its backing image. */
static int open_one(const struct hull_image_options *o, struct hull_image **ret,
                    struct hull_err *err)
{
	const struct hull_image_format *p = protocol_of(o->path), *f;
	struct hull_image *file, *img;
	int r = p->open(o, NULL, &file, err);

	if (r)
		return r;
	file->format = p;
	file->refs = 1;
	file->path = strdup(o->path);
	if (!file->path)
		r = hull_fail(err, HULL_ENOMEM, 120, "no memory for a disk");
	if (!r)
		r = choose_format(o, file, &f, err);
	if (!r && f->protocol) {
		*ret = file;
		return 0;
	}
	if (!r)
		r = f->open(o, file, &img, err);
	if (r) {
		hull_image_unref(file);
		return r;
	}
	img->format = f;
	img->file = file;
	img->refs = 1;
	img->path = strdup(o->path);
	if (!img->path) {
		hull_image_unref(img);
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a disk");
	}
	*ret = img;
	return 0;
}

static int too_deep(const char *path, bool loop, struct hull_err *err)
{
	return hull_fail(err, HULL_EFORMAT, 311,
	                 loop ? "the backing images of \"%s\" lead back to a file of the chain"
	                      : "\"%s\" stands on more than %d images",
	                 path, HULL_IMAGE_DEPTH_MAX - 1);
}

/* Before it is opened: a lock on a file that the chain has already would be a poor message. */
static int note_file(struct chain *c, const char *path, struct hull_err *err)
{
	struct stat st;

	if (c->n == HULL_IMAGE_DEPTH_MAX)
		return too_deep(path, false, err);
	if (protocol_of(path)->prefix || stat(path, &st)) {
		memset(&c->files[c->n++], 0, sizeof(c->files[0]));
		return 0;
	}
	for (unsigned i = 0; i < c->n; i++)
		if (st.st_ino && c->files[i].dev == st.st_dev && c->files[i].ino == st.st_ino)
			return too_deep(path, true, err);
	c->files[c->n].dev = st.st_dev;
	c->files[c->n++].ino = st.st_ino;
	return 0;
}

static int refuse_backing(const char *image, const char *name, const char *why,
                          struct hull_err *err)
{
	hull_fail(err, HULL_EPERM, 312, "the header of \"%s\" names the backing image \"%s\": %s",
	          image, name, why);
	hull_err_fix(err, "if that is right, name it yourself: --disk %s,backing.path=%s", image,
	             name);
	return HULL_EPERM;
}

/* `name` as seen from the image at `image`.  False: too long. */
static bool relative_to(const char *image, const char *name, char ret[HULL_IMAGE_PATH_MAX])
{
	const char *slash = strrchr(image, '/');
	int dir = slash && name[0] != '/' ? (int)(slash + 1 - image) : 0;

	return hull_format(ret, HULL_IMAGE_PATH_MAX, "%.*s%s", dir, image, name) <
	       HULL_IMAGE_PATH_MAX;
}

/* Does the file at `path` lie in or below the directory of the image?  Links are followed. */
static bool below(const char *image, const char *path, char real[PATH_MAX])
{
	char dir[PATH_MAX], *slash;

	if (!realpath(image, dir) || !realpath(path, real))
		return false;
	slash = strrchr(dir, '/');
	slash[1] = 0;
	return !strncmp(real, dir, strlen(dir));
}

/* What the header of `img` names, as a path to open. */
static int confine(struct hull_image *img, const struct hull_image_info *info, bool trusted,
                   char ret[PATH_MAX], struct hull_err *err)
{
	char path[HULL_IMAGE_PATH_MAX];
	const char *name = info->backing;
	struct stat st;

	if (protocol_of(name)->prefix) {
		if (!trusted)
			return refuse_backing(img->path, name, "a server", err);
		hull_text_copy(ret, PATH_MAX, name);
		return 0;
	}
	if (!relative_to(img->path, name, path))
		return refuse_backing(img->path, name, "too long", err);
	hull_text_copy(ret, PATH_MAX, path);
	if (trusted)
		return 0;
	if (stat(path, &st)) {
		char reason[64];

		return hull_fail(err, hull_os_error(errno), 302,
		                 "cannot open \"%s\", the backing image of \"%s\": %s", path,
		                 img->path, hull_os_reason(errno, reason, sizeof(reason)));
	}
	if (!S_ISREG(st.st_mode))
		return refuse_backing(img->path, name, "no regular file", err);
	if (!below(img->path, path, ret))
		return refuse_backing(img->path, name, "outside the image's directory", err);
	return 0;
}

/* The next image of the chain below `img`; *ret NULL: there is none. */
static int open_next(const struct hull_image_options *o, struct chain *c, struct hull_image *img,
                     struct hull_image **ret, struct hull_err *err)
{
	struct hull_image_options next = { .format = o->backing_format,
		                           .direct = o->direct,
		                           .shared = o->shared };
	struct hull_image_info info;
	char path[PATH_MAX];
	int r;

	*ret = NULL;
	next.read_only = true;
	next.path = o->backing;
	if (!o->backing) {
		r = hull_image_get_info(img, &info, err);
		if (r || !info.backing[0])
			return r;
		r = confine(img, &info, o->trusted, path, err);
		if (r)
			return r;
		next.path = path;
		if (!next.format && info.backing_format[0])
			next.format = info.backing_format;
	}
	r = note_file(c, next.path, err);
	if (!r)
		r = open_one(&next, ret, err);
	if (r && err)
		hull_err_where(err, "the backing image of %s", img->path);
	return r;
}

int hull_image_open(const struct hull_image_options *o, struct hull_image **ret,
                    struct hull_err *err)
{
	struct hull_image_options level = *o;
	struct hull_image *top, *img;
	struct chain c = { 0 };
	int r = note_file(&c, o->path, err);

	if (!r)
		r = open_one(o, &top, err);
	if (r)
		return r;
	for (img = top; !r && img && !o->no_backing && !img->format->protocol; img = img->backing) {
		r = open_next(&level, &c, img, &img->backing, err);
		/* What the user said is about the first. */
		level.backing = level.backing_format = NULL;
	}
	if (r) {
		hull_image_unref(top);
		return r;
	}
	*ret = top;
	return 0;
}

int hull_image_make(const char *format, const struct hull_image_create *c, struct hull_err *err)
{
	const struct hull_image_format *f = hull_image_format_find(format);

	if (!f)
		return unknown_format(c->path, format, err);
	if (!f->create)
		return hull_fail(err, HULL_ENOTSUP, 306, "this build cannot make %s images",
		                 format);
	return f->create(c, err);
}
