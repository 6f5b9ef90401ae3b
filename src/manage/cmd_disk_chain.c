/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* hull disk commit, rebase: images that stand on others. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "manage/cmd_disk_copy.h"
#include "manage/report.h"

/* The backing image of an overlay, as it was opened: its path and format.  `path` has room for all.
 */
static int find_backing(const char *path, const char *format, char *ret, const char **ret_format,
                        struct hull_err *err)
{
	struct hull_image_options o = { .path = path, .format = format, .read_only = true };
	struct hull_image *img;
	int r = hull_image_open(&o, &img, err);

	if (r)
		return r;
	if (!img->backing) {
		r = hull_fail(err, HULL_ESTATE, 351, "\"%s\" stands on no other image", path);
	} else {
		*ret_format = img->backing->format->name;
		if (!hull_text_copy(ret, HULL_IMAGE_PATH_MAX, img->backing->path))
			r = hull_fail(err, HULL_EINVAL, 302,
			              "the path of the backing image is too long");
	}
	hull_image_unref(img);
	return r;
}

static int flush(struct hull_image *img, struct hull_err *err)
{
	int r = hull_image_flush(img);

	return r ? hull_fail(err, r, 302, "\"%s\" cannot be written: %s", img->path,
	                     hull_error_text(r))
	         : 0;
}

/*
 * Data first, and stable, before the overlay gives them up: whenever this is
 * cut short, the overlay on its backing image still shows the same disk.
 */
static int commit(const struct hull_disk_call *c, struct hull_image *top, struct hull_image *base,
                  bool keep, struct hull_err *err)
{
	struct hull_disk_copy k = {
		.from = top, .to = base, .grain = hull_disk_grain(base), .depth = 0
	};
	struct hull_disk_walk w = { .label = "committing",
		                    .size = top->size,
		                    .threads = 4,
		                    .piece = hull_disk_copy_piece,
		                    .arg = &k };
	int r = 0;

	if (base->size < top->size)
		r = hull_image_resize(base, top->size, err);
	if (r)
		return r;
	r = hull_disk_walk(c, &w, err);
	if (r)
		return hull_disk_copy_failed(&k, r, err);
	r = flush(base, err);
	if (r || keep)
		return r;
	r = top->format->make_empty(top, err);
	return r ? r : flush(top, err);
}

int hull_disk_commit(const struct hull_disk_call *c, struct hull_err *err)
{
	struct hull_image_options o = { .no_backing = true };
	bool keep = false;
	const struct hull_arg args[] = {
		{ .flag = "format",
		  .letter = 'f',
		  .text = &o.format,
		  .value = "FORMAT",
		  .help = "Format of the overlay." },
		{ .flag = "keep", .given = &keep, .help = "The overlay keeps its data." },
	};
	const struct hull_verb v = {
		"hull disk", "commit", "OVERLAY", 1, 1, args, ARRAY_LEN(args)
	};
	char path[HULL_IMAGE_PATH_MAX];
	struct hull_image_options below = { .path = path };
	struct hull_image *top, *base;
	int r = hull_disk_args(c, &v, &o.path, err);

	if (r)
		return r;
	r = find_backing(o.path, o.format, path, &below.format, err);
	if (!r)
		r = hull_image_open(&o, &top, err);
	if (r)
		return r;
	r = hull_image_open(&below, &base, err);
	if (!r) {
		if (!keep && !top->format->make_empty)
			r = hull_fail(err, HULL_ENOTSUP, 351,
			              "an image of format %s cannot be emptied: say --keep",
			              top->format->name);
		else
			r = commit(c, top, base, keep, err);
		hull_image_unref(base);
	}
	hull_image_unref(top);
	if (!r && !(hull_disk_style(c) & (HULL_REPORT_QUIET | HULL_REPORT_JSON)))
		fprintf(c->out, "%s now holds what %s held\n", path, o.path);
	return r;
}

/* rebase: what the old chain shows and the new one does not is written into the overlay. */
struct rebase {
	struct hull_image *top, *below; /* `below` NULL: zeroes */
	bool failed_to_write;
};

static int keep_what_differs(struct rebase *k, uint64_t off, uint64_t len, uint8_t *buf)
{
	uint8_t *other = buf + HULL_DISK_PIECE;
	uint64_t have = !k->below || off >= k->below->size ? 0 : MIN(len, k->below->size - off);
	int r = hull_image_read(k->top, off, buf, len);

	if (r)
		return r;
	memset(other, 0, len);
	r = have ? hull_image_read(k->below, off, other, have) : 0;
	if (r || !memcmp(buf, other, len))
		return r;
	r = hull_image_write(k->top, off, buf, len);
	k->failed_to_write |= r != 0;
	return r;
}

static int rebase_piece(void *arg, uint64_t off, uint64_t len, uint8_t *buf)
{
	struct rebase *k = arg;
	uint64_t end = off + len;
	struct hull_image_extent e;
	int r = 0;

	for (; !r && off < end; off += e.len) {
		r = hull_image_map(k->top, off, end - off, &e);
		if (!r && (e.depth || !(e.flags & HULL_IMAGE_ALLOCATED)))
			r = keep_what_differs(k, off, e.len, buf);
	}
	return r;
}

static int rebase(const struct hull_disk_call *c, struct rebase *k, struct hull_err *err)
{
	/* One thread: writing may allocate what another piece is about to ask for. */
	struct hull_disk_walk w = { .label = "rebasing",
		                    .size = k->top->size,
		                    .threads = 1,
		                    .piece = rebase_piece,
		                    .arg = k };
	int r = hull_disk_walk(c, &w, err);

	if (r && r != HULL_EAGAIN)
		return hull_fail(err, r, 302, "\"%s\" cannot be %s: %s", k->top->path,
		                 k->failed_to_write ? "written" : "read", hull_error_text(r));
	return r ? r : flush(k->top, err);
}

static int open_below(const char *path, const char *format, struct hull_image **ret,
                      struct hull_err *err)
{
	struct hull_image_options o = { .path = path, .format = format, .read_only = true };

	*ret = NULL;
	return path[0] ? hull_image_open(&o, ret, err) : 0;
}

static int put_onto(const struct hull_disk_call *c, struct rebase *k, const char *base,
                    const char *format, bool blindly, struct hull_err *err)
{
	char *name = NULL;
	int r;

	if (!k->top->format->set_backing)
		return hull_fail(err, HULL_ENOTSUP, 351,
		                 "an image of format %s cannot stand on another",
		                 k->top->format->name);
	r = base[0] ? hull_disk_header_name(k->top->path, base, &name, err) : 0;
	if (!r && !blindly)
		r = open_below(base, format, &k->below, err);
	if (!r && !blindly)
		r = rebase(c, k, err);
	if (!r)
		r = k->top->format->set_backing(k->top, name, name ? format : NULL, err);
	if (!r)
		r = flush(k->top, err);
	hull_image_unref(k->below);
	free(name);
	return r;
}

int hull_disk_rebase(const struct hull_disk_call *c, struct hull_err *err)
{
	struct hull_image_options o = { 0 };
	const char *base = NULL, *format = NULL;
	bool blindly = false;
	const struct hull_arg args[] = {
		{ .flag = "format",
		  .letter = 'f',
		  .text = &o.format,
		  .value = "FORMAT",
		  .help = "Format of the overlay." },
		{ .flag = "backing",
		  .letter = 'b',
		  .text = &base,
		  .value = "FILE",
		  .help = "What it stands on from now on; \"\": nothing." },
		{ .flag = "backing-format",
		  .letter = 'F',
		  .text = &format,
		  .value = "FORMAT",
		  .help = "Its format; required." },
		{ .flag = "unsafe",
		  .letter = 'u',
		  .given = &blindly,
		  .help = "Only change the name: the new one is known to hold the same." },
	};
	const struct hull_verb v = { "hull disk", "rebase", "OVERLAY --backing FILE", 1,
		                     1,           args,     ARRAY_LEN(args) };
	struct rebase k = { 0 };
	int r = hull_disk_args(c, &v, &o.path, err);

	if (r)
		return r;
	if (!base || (base[0] && !format)) {
		hull_fail(err, HULL_EINVAL, 2,
		          "hull disk rebase needs --backing and --backing-format");
		hull_err_fix(err,
		             "hull disk rebase %.40s --backing base.qcow2 --backing-format qcow2",
		             o.path);
		return HULL_EINVAL;
	}
	o.no_backing = blindly;
	r = hull_image_open(&o, &k.top, err);
	if (r)
		return r;
	r = put_onto(c, &k, base, format, blindly, err);
	hull_image_unref(k.top);
	return r;
}
