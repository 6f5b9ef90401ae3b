/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* hull disk create, resize. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/text.h"
#include "manage/cmd_disk.h"
#include "manage/json.h"
#include "manage/report.h"

static int read_prealloc(const char *text, struct hull_image_create *c, struct hull_err *err)
{
	static const char *const words[] = { "none", "metadata", "falloc", "full" };

	for (size_t i = 0; text && i < ARRAY_LEN(words); i++)
		if (!strcmp(text, words[i])) {
			c->prealloc = i;
			return 0;
		}
	if (!text)
		return 0;
	return hull_fail(err, HULL_EINVAL, 6, "--prealloc is none, metadata, falloc or full");
}

/* Say what was made, and what it really takes. */
static int report_new(const struct hull_disk_call *c, const char *path, const char *format,
                      struct hull_err *err)
{
	struct hull_image_options o = {
		.path = path, .format = format, .read_only = true, .no_backing = true
	};
	struct hull_image_info info = { 0 };
	char size[24], used[24];
	struct hull_image *img;
	struct hull_json j;
	int r = hull_image_open(&o, &img, err);

	if (r)
		return r;
	r = hull_image_get_info(img, &info, err);
	hull_image_unref(img);
	if (r)
		return r;
	if (hull_disk_style(c) & HULL_REPORT_JSON) {
		hull_json_init(&j, c->out);
		hull_json_object(&j, NULL);
		hull_json_text(&j, "schema", "hull.disk.create/1");
		hull_json_text(&j, "path", path);
		hull_json_text(&j, "format", format);
		hull_json_u64(&j, "size", info.size);
		hull_json_u64(&j, "used_bytes", info.used_bytes);
		hull_json_end(&j);
	} else if (!(hull_disk_style(c) & HULL_REPORT_QUIET)) {
		fprintf(c->out, "%s: %s, %s; takes %s now\n", path, format,
		        hull_disk_amount(info.size, size, sizeof(size)),
		        hull_disk_amount(info.used_bytes, used, sizeof(used)));
	}
	return 0;
}

int hull_disk_create(const struct hull_disk_call *c, struct hull_err *err)
{
	const char *format = NULL, *prealloc = NULL, *cluster = NULL;
	struct hull_image_create n = { 0 };
	const struct hull_arg args[] = {
		{ .flag = "format",
		  .letter = 'f',
		  .text = &format,
		  .value = "FORMAT",
		  .help = "raw or qcow2; else what the name ends in." },
		{ .flag = "backing",
		  .letter = 'b',
		  .text = &n.backing,
		  .value = "FILE",
		  .help = "Make an overlay: what it lacks shows this image." },
		{ .flag = "backing-format",
		  .letter = 'F',
		  .text = &n.backing_format,
		  .value = "FORMAT",
		  .help = "Format of the backing image; required with one." },
		{ .flag = "prealloc",
		  .text = &prealloc,
		  .value = "none|metadata|falloc|full",
		  .help = "Set space aside now." },
		{ .flag = "cluster",
		  .text = &cluster,
		  .value = "SIZE",
		  .help = "Size of a cluster, 512 to 2M." },
		{ .flag = "compression",
		  .text = &n.compression,
		  .value = "zlib|zstd",
		  .help = "How compressed clusters will be stored." },
		{ .flag = "extended-l2",
		  .given = &n.extended_l2,
		  .help = "Clusters of 32 parts that are allocated one by one." },
		{ .flag = "lazy-refcounts",
		  .given = &n.lazy_refcounts,
		  .help = "Fewer writes; after a crash the image is repaired when opened." },
	};
	const struct hull_verb v = { "hull disk", "create", "PATH [SIZE]",  1,
		                     2,           args,     ARRAY_LEN(args) };
	const char *word[2];
	uint64_t bytes = 0;
	char *name = NULL;
	int r = hull_disk_args(c, &v, word, err);

	if (r)
		return r;
	n.path = word[0];
	if (word[1])
		r = hull_disk_size(word[1], &n.size, err);
	else if (!n.backing)
		r = hull_fail(err, HULL_EINVAL, 7,
		              "hull disk create needs a size: hull disk "
		              "create %.60s 20G",
		              n.path);
	if (!r && n.backing && !n.backing_format)
		r = hull_fail(err, HULL_EINVAL, 2,
		              "--backing needs --backing-format: a format is never guessed");
	if (!r && n.backing)
		r = hull_disk_header_name(n.path, n.backing, &name, err);
	if (!r)
		r = read_prealloc(prealloc, &n, err);
	if (!r && cluster)
		r = hull_disk_size(cluster, &bytes, err);
	n.backing = name;
	n.cluster_bytes = (uint32_t)MIN(bytes, UINT64_C(1) << 31);
	format = hull_disk_new_format(format, n.path);
	if (!r)
		r = hull_image_make(format, &n, err);
	free(name);
	return r ? r : report_new(c, n.path, format, err);
}

/* "+5G", "-1G" or "20G". */
static int new_size(const char *text, uint64_t now, uint64_t *ret, struct hull_err *err)
{
	bool plus = text[0] == '+', minus = text[0] == '-';
	uint64_t n;
	int r = hull_disk_size(text + (plus || minus), &n, err);

	if (r)
		return r;
	if (plus ? !hull_add(now, n, ret) || *ret > INT64_MAX : minus && n >= now)
		return hull_fail(err, HULL_EINVAL, 5, "the disk has %llu bytes: %s is too much",
		                 (unsigned long long)now, text);
	if (!plus)
		*ret = minus ? now - n : n;
	return 0;
}

/* Where the last data behind `from` begin: UINT64_MAX if all reads as zero. */
static int find_data(struct hull_image *img, uint64_t from, uint64_t *ret)
{
	static const char zeroes[65536];
	static char buf[65536];

	*ret = UINT64_MAX;
	while (from < img->size) {
		struct hull_image_extent e;
		int r = hull_image_map(img, from, img->size - from, &e);
		uint64_t n = MIN(e.len, (uint64_t)sizeof(buf));

		if (r)
			return r;
		if (!(e.flags & HULL_IMAGE_DATA)) {
			from += e.len;
			continue;
		}
		r = hull_image_read(img, from, buf, n);
		if (r)
			return r;
		if (memcmp(buf, zeroes, n)) {
			*ret = from;
			return 0;
		}
		from += n;
	}
	return 0;
}

static int may_shrink(struct hull_image *img, uint64_t size, bool allowed, struct hull_err *err)
{
	uint64_t used;
	int r;

	if (!allowed) {
		hull_fail(err, HULL_EINVAL, 350, "\"%s\" would become smaller", img->path);
		hull_err_fix(err, "shrink the file system inside first, then say --shrink");
		return HULL_EINVAL;
	}
	r = find_data(img, size, &used);
	if (r)
		return hull_fail(err, r, 302, "\"%s\" cannot be read", img->path);
	if (used == UINT64_MAX)
		return 0;
	hull_fail(err, HULL_ESTATE, 350, "\"%s\" holds data at byte %llu, behind the new end",
	          img->path, (unsigned long long)used);
	hull_err_fix(err, "shrink partitions and file systems first; to lose the data: --force");
	return HULL_ESTATE;
}

int hull_disk_resize(const struct hull_disk_call *c, struct hull_err *err)
{
	struct hull_image_options o = { 0 };
	bool shrink = false, force = false;
	const struct hull_arg args[] = {
		{ .flag = "format",
		  .letter = 'f',
		  .text = &o.format,
		  .value = "FORMAT",
		  .help = "Format of the image; raw if not given." },
		{ .flag = "shrink",
		  .given = &shrink,
		  .help = "It may become smaller, if its tail is empty." },
		{ .flag = "force",
		  .given = &force,
		  .help = "Data behind the new end may be lost." },
	};
	const struct hull_verb v = { "hull disk", "resize", "IMAGE [+|-]SIZE", 2,
		                     2,           args,     ARRAY_LEN(args) };
	const char *word[2];
	struct hull_image *img;
	uint64_t size = 0;
	char amount[24];
	int r = hull_disk_args(c, &v, word, err);

	if (r)
		return r;
	o.path = word[0];
	r = hull_image_open(&o, &img, err);
	if (r)
		return r;
	r = new_size(word[1], img->size, &size, err);
	if (!r && size < img->size && !force)
		r = may_shrink(img, size, shrink, err);
	if (!r)
		r = hull_image_resize(img, size, err);
	if (!r && hull_image_flush(img))
		r = hull_fail(err, HULL_EIO, 302, "\"%s\" cannot be written", img->path);
	hull_image_unref(img);
	if (!r && !(hull_disk_style(c) & (HULL_REPORT_QUIET | HULL_REPORT_JSON)))
		fprintf(c->out, "%s: %s now; partitions and file systems inside keep their size\n",
		        o.path, hull_disk_amount(size, amount, sizeof(amount)));
	return r;
}

/* Bytes of the clusters that hold data, through the whole chain. */
static int sum_data(struct hull_image *img, uint64_t cluster, uint64_t *ret)
{
	uint64_t counted = 0; /* clusters below this byte are */
	struct hull_image_extent e;

	*ret = 0;
	for (uint64_t off = 0; off < img->size; off += e.len) {
		int r = hull_image_map(img, off, img->size - off, &e);
		uint64_t from = MAX(off / cluster * cluster, counted);
		uint64_t to = r ? 0 : align_up(off + e.len, cluster);

		if (r)
			return r;
		if (!(e.flags & HULL_IMAGE_DATA) || to <= from)
			continue;
		*ret += to - from;
		counted = to;
	}
	return 0;
}

static void report_measure(const struct hull_disk_call *c, uint64_t needed, uint64_t full)
{
	struct hull_json j;
	char a[24], b[24];

	if (hull_disk_style(c) & HULL_REPORT_JSON) {
		hull_json_init(&j, c->out);
		hull_json_object(&j, NULL);
		hull_json_text(&j, "schema", "hull.disk.measure/1");
		hull_json_u64(&j, "required", needed);
		hull_json_u64(&j, "fully_allocated", full);
		hull_json_end(&j);
		return;
	}
	fprintf(c->out, "needs      %s (%llu bytes)\nat most    %s (%llu bytes)\n",
	        hull_disk_amount(needed, a, sizeof(a)), (unsigned long long)needed,
	        hull_disk_amount(full, b, sizeof(b)), (unsigned long long)full);
}

static int measure(const struct hull_disk_call *c, const struct hull_image_options *o,
                   const char *to, struct hull_image_create *n, struct hull_err *err)
{
	const struct hull_image_format *f = hull_image_format_find(to);
	uint64_t cluster = n->cluster_bytes ? n->cluster_bytes : 65536, data = 0;
	struct hull_image *img;
	int r = 0;

	if (!f || f->protocol)
		return hull_fail(err, HULL_ENOTSUP, 306, "this build has no image format \"%.40s\"",
		                 to);
	if (!is_pow2(cluster) || cluster < 512 || cluster > 2 << 20)
		return hull_fail(err, HULL_EINVAL, 5,
		                 "a cluster has 512 bytes to 2M, a power of two");
	if (o->path) {
		r = hull_image_open(o, &img, err);
		if (r)
			return r;
		n->size = img->size;
		r = sum_data(img, cluster, &data);
		if (r)
			hull_fail(err, r, 302, "\"%s\" cannot be read", o->path);
		hull_image_unref(img);
	}
	if (!r)
		report_measure(c, f->measure ? f->measure(n, data) : data,
		               f->measure ? f->measure(n, n->size) : n->size);
	return r;
}

int hull_disk_measure(const struct hull_disk_call *c, struct hull_err *err)
{
	struct hull_image_options o = { .read_only = true, .shared = true };
	struct hull_image_create n = { 0 };
	const char *to = "qcow2", *size = NULL, *cluster = NULL;
	const struct hull_arg args[] = {
		{ .flag = "format",
		  .letter = 'f',
		  .text = &o.format,
		  .value = "FORMAT",
		  .help = "Format of the image; raw if not given." },
		{ .flag = "to",
		  .letter = 't',
		  .text = &to,
		  .value = "FORMAT",
		  .help = "Format of the new image; qcow2 if not given." },
		{ .flag = "size",
		  .text = &size,
		  .value = "SIZE",
		  .help = "Of an empty disk, instead of an image's." },
		{ .flag = "cluster",
		  .text = &cluster,
		  .value = "SIZE",
		  .help = "Size of a cluster, 512 to 2M." },
		{ .flag = "extended-l2",
		  .given = &n.extended_l2,
		  .help = "With clusters of 32 parts." },
	};
	const struct hull_verb v = { "hull disk", "measure", "IMAGE | --size SIZE", 0,
		                     1,           args,      ARRAY_LEN(args) };
	uint64_t bytes = 0;
	int r = hull_disk_args(c, &v, &o.path, err);

	if (!r && !o.path == !size)
		r = hull_fail(err, HULL_EINVAL, 7, "hull disk measure needs an image, or --size");
	if (!r && size)
		r = hull_disk_size(size, &n.size, err);
	if (!r && cluster)
		r = hull_disk_size(cluster, &bytes, err);
	n.cluster_bytes = (uint32_t)MIN(bytes, UINT64_C(1) << 31);
	return r ? r : measure(c, &o, to, &n, err);
}
