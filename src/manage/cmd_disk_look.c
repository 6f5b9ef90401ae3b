/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* hull disk info, map, check, snapshot. */
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "manage/cmd_disk.h"
#include "manage/json.h"
#include "manage/report.h"

static void date(int64_t ns, char *buf, size_t size)
{
	time_t s = (time_t)(ns / 1000000000);
	struct tm tm;

	buf[0] = 0;
	if (gmtime_r(&s, &tm))
		strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* Names come from the image: what would command the terminal does not reach it. */
static const char *plain(char *text)
{
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return text;
}

static void json_snapshots(struct hull_json *j, struct hull_image *img, unsigned n)
{
	struct hull_image_snapshot s;
	char when[32];

	hull_json_array(j, "snapshots");
	for (unsigned i = 0; i < n && !img->format->snapshot_at(img, i, &s); i++) {
		date(s.date_ns, when, sizeof(when));
		hull_json_object(j, NULL);
		hull_json_text(j, "id", s.id);
		hull_json_text(j, "name", s.name);
		hull_json_u64(j, "size", s.size);
		hull_json_u64(j, "state_bytes", s.state_bytes);
		hull_json_text(j, "date", when);
		hull_json_end(j);
	}
	hull_json_end(j);
}

static void text_snapshots(FILE *out, struct hull_image *img, unsigned n)
{
	struct hull_image_snapshot s;
	char when[32], size[24];

	if (n)
		fprintf(out, "%-8s %-24s %12s  %s\n", "ID", "NAME", "SIZE", "DATE");
	for (unsigned i = 0; i < n && !img->format->snapshot_at(img, i, &s); i++) {
		date(s.date_ns, when, sizeof(when));
		fprintf(out, "%-8s %-24s %12s  %s\n", plain(s.id), plain(s.name),
		        hull_disk_amount(s.size, size, sizeof(size)), when);
	}
}

static void json_info(struct hull_json *j, struct hull_image *img, const struct hull_image_info *i)
{
	hull_json_object(j, NULL);
	hull_json_text(j, "path", img->path);
	hull_json_text(j, "format", i->format);
	hull_json_u64(j, "size", i->size);
	hull_json_u64(j, "file_bytes", i->file_bytes);
	hull_json_u64(j, "used_bytes", i->used_bytes);
	if (i->cluster_bytes) {
		hull_json_u64(j, "version", i->version);
		hull_json_u64(j, "cluster_bytes", i->cluster_bytes);
		hull_json_u64(j, "refcount_bits", i->refcount_bits);
		hull_json_text(j, "compression", i->compression);
		hull_json_bool(j, "lazy_refcounts", i->lazy_refcounts);
		hull_json_bool(j, "extended_l2", i->extended_l2);
		hull_json_bool(j, "dirty", i->dirty);
		hull_json_bool(j, "corrupt", i->corrupt);
		hull_json_text(j, "backing", i->backing[0] ? i->backing : NULL);
		hull_json_text(j, "backing_format",
		               i->backing_format[0] ? i->backing_format : NULL);
		hull_json_u64(j, "bitmaps", i->nbitmaps);
		json_snapshots(j, img, i->nsnapshots);
	}
	hull_json_end(j);
}

static void text_info(FILE *out, struct hull_image *img, struct hull_image_info *i)
{
	char a[24];

	fprintf(out, "image      %s\nformat     %s\n", img->path, i->format);
	fprintf(out, "size       %s (%llu bytes)\n", hull_disk_amount(i->size, a, sizeof(a)),
	        (unsigned long long)i->size);
	fprintf(out, "takes      %s\n", hull_disk_amount(i->used_bytes, a, sizeof(a)));
	if (!i->cluster_bytes)
		return;
	fprintf(out, "cluster    %s\n", hull_disk_amount(i->cluster_bytes, a, sizeof(a)));
	fprintf(out, "version    %u, refcounts of %u bits, compression %s%s%s\n", i->version,
	        i->refcount_bits, i->compression, i->extended_l2 ? ", extended L2" : "",
	        i->lazy_refcounts ? ", lazy refcounts" : "");
	if (i->backing[0])
		fprintf(out, "backing    %s (%s)\n", plain(i->backing),
		        i->backing_format[0] ? plain(i->backing_format) : "format not said");
	if (i->nbitmaps)
		fprintf(out, "bitmaps    %u\n", i->nbitmaps);
	if (i->dirty || i->corrupt)
		fprintf(out, "state      %s\n",
		        i->corrupt ? "damaged: hull disk check" : "was not closed, or is in use");
	text_snapshots(out, img, i->nsnapshots);
}

int hull_disk_info(const struct hull_disk_call *c, struct hull_err *err)
{
	struct hull_image_options o = { .read_only = true, .shared = true, .guess = true };
	bool chain = false;
	const struct hull_arg args[] = {
		{ .flag = "format",
		  .letter = 'f',
		  .text = &o.format,
		  .value = "FORMAT",
		  .help = "Format of the image; found out if not given." },
		{ .flag = "chain", .given = &chain, .help = "The images below it, too." },
	};
	const struct hull_verb v = { "hull disk", "info", "IMAGE", 1, 1, args, ARRAY_LEN(args) };
	bool json = hull_disk_style(c) & HULL_REPORT_JSON;
	struct hull_image_info info = { 0 };
	struct hull_image *top;
	struct hull_json j;
	int r = hull_disk_args(c, &v, &o.path, err);

	if (r)
		return r;
	o.no_backing = !chain;
	r = hull_image_open(&o, &top, err);
	if (r)
		return r;
	hull_json_init(&j, c->out);
	json = hull_disk_style(c) & HULL_REPORT_JSON;
	if (json) {
		hull_json_object(&j, NULL);
		hull_json_text(&j, "schema", "hull.disk.info/1");
		hull_json_array(&j, "images");
	}
	for (struct hull_image *img = top; img && !r; img = img->backing) {
		r = hull_image_get_info(img, &info, err);
		if (!r && json)
			json_info(&j, img, &info);
		else if (!r)
			text_info(c->out, img, &info);
		if (!r && !json && img->backing)
			fputc('\n', c->out);
	}
	if (json) {
		hull_json_end(&j);
		hull_json_end(&j);
	}
	hull_image_unref(top);
	return r;
}

static const char *kind(const struct hull_image_extent *e)
{
	return e->flags & HULL_IMAGE_COMPRESSED  ? "compressed"
	       : e->flags & HULL_IMAGE_DATA      ? "data"
	       : e->flags & HULL_IMAGE_ALLOCATED ? "zero"
	                                         : "hole";
}

static void json_extent(struct hull_json *j, const struct hull_image_extent *e)
{
	hull_json_object(j, NULL);
	hull_json_u64(j, "offset", e->offset);
	hull_json_u64(j, "length", e->len);
	hull_json_text(j, "kind", kind(e));
	hull_json_u64(j, "depth", e->depth);
	if (e->at != UINT64_MAX && e->flags & HULL_IMAGE_DATA)
		hull_json_u64(j, "at", e->at);
	hull_json_end(j);
}

static void text_extent(FILE *out, const struct hull_image_extent *e)
{
	fprintf(out, "%16llu %16llu  %-10s %5u", (unsigned long long)e->offset,
	        (unsigned long long)e->len, kind(e), e->depth);
	if (e->at != UINT64_MAX && e->flags & HULL_IMAGE_DATA)
		fprintf(out, " %16llu", (unsigned long long)e->at);
	fputc('\n', out);
}

/* The whole run from `off` on that is of one kind and lies in one piece. */
static int next_extent(struct hull_image *img, uint64_t off, struct hull_image_extent *ret)
{
	struct hull_image_extent more;
	int r = hull_image_map(img, off, img->size - off, ret);

	while (!r && ret->offset + ret->len < img->size) {
		uint64_t end = ret->offset + ret->len;
		bool placed = ret->at != UINT64_MAX;

		r = hull_image_map(img, end, img->size - end, &more);
		if (r || more.flags != ret->flags || more.depth != ret->depth ||
		    placed != (more.at != UINT64_MAX) || (placed && more.at != ret->at + ret->len))
			break;
		ret->len += more.len;
	}
	return r;
}

/* Read through the tables without a word: a document that is begun is to be whole. */
static int check_extents(struct hull_image *img, struct hull_err *err)
{
	struct hull_image_extent e = { 0 };
	int r = 0;

	for (uint64_t off = 0; !r && off < img->size; off += e.len)
		r = hull_image_map(img, off, img->size - off, &e);
	return r ? hull_fail(err, r, 302, "\"%s\" cannot be read", img->path) : 0;
}

int hull_disk_map(const struct hull_disk_call *c, struct hull_err *err)
{
	struct hull_image_options o = { .read_only = true, .shared = true };
	const struct hull_arg args[] = {
		{ .flag = "format",
		  .letter = 'f',
		  .text = &o.format,
		  .value = "FORMAT",
		  .help = "Format of the image; raw if not given." },
	};
	const struct hull_verb v = { "hull disk", "map", "IMAGE", 1, 1, args, ARRAY_LEN(args) };
	struct hull_image_extent e = { 0 };
	struct hull_image *img;
	struct hull_json j;
	bool json;
	int r = hull_disk_args(c, &v, &o.path, err);

	if (r)
		return r;
	r = hull_image_open(&o, &img, err);
	if (r)
		return r;
	json = hull_disk_style(c) & HULL_REPORT_JSON;
	r = json ? check_extents(img, err) : 0;
	if (r) {
		hull_image_unref(img);
		return r;
	}
	hull_json_init(&j, c->out);
	if (json) {
		hull_json_object(&j, NULL);
		hull_json_text(&j, "schema", "hull.disk.map/1");
		hull_json_array(&j, "extents");
	} else {
		fprintf(c->out, "%16s %16s  %-10s %5s %16s\n", "OFFSET", "LENGTH", "KIND", "DEPTH",
		        "AT");
	}
	for (uint64_t off = 0; !r && off < img->size; off += e.len) {
		r = next_extent(img, off, &e);
		if (r)
			hull_fail(err, r, 302, "\"%s\" cannot be read", img->path);
		else if (json)
			json_extent(&j, &e);
		else
			text_extent(c->out, &e);
	}
	if (json) {
		hull_json_end(&j);
		hull_json_end(&j);
	}
	hull_image_unref(img);
	return r;
}

static void print_problem(void *arg, const char *problem)
{
	const struct hull_disk_call *c = arg;

	hull_report_note(c->err, hull_disk_style(c), "%s", problem);
}

static void report_check(const struct hull_disk_call *c, const struct hull_image_check *k)
{
	struct hull_json j;

	if (hull_disk_style(c) & HULL_REPORT_JSON) {
		hull_json_init(&j, c->out);
		hull_json_object(&j, NULL);
		hull_json_text(&j, "schema", "hull.disk.check/1");
		hull_json_u64(&j, "corruptions", k->corruptions);
		hull_json_u64(&j, "leaks", k->leaks);
		hull_json_u64(&j, "corruptions_fixed", k->corruptions_fixed);
		hull_json_u64(&j, "leaks_fixed", k->leaks_fixed);
		hull_json_u64(&j, "allocated_clusters", k->allocated);
		hull_json_u64(&j, "compressed_clusters", k->compressed);
		hull_json_u64(&j, "fragmented_clusters", k->fragmented);
		hull_json_u64(&j, "total_clusters", k->total);
		hull_json_u64(&j, "end", k->end);
		hull_json_end(&j);
		return;
	}
	if (k->corruptions_fixed || k->leaks_fixed)
		fprintf(c->out, "repaired: %llu damaged places, %llu lost clusters\n",
		        (unsigned long long)k->corruptions_fixed,
		        (unsigned long long)k->leaks_fixed);
	if (!k->corruptions && !k->leaks)
		fputs("no damage found\n", c->out);
	else if (!k->corruptions)
		fprintf(c->out,
		        "%llu clusters are lost: room, no data; --repair leaks frees them\n",
		        (unsigned long long)k->leaks);
	fprintf(c->out, "%llu of %llu clusters are in use, %llu compressed\n",
	        (unsigned long long)k->allocated, (unsigned long long)k->total,
	        (unsigned long long)k->compressed);
}

int hull_disk_check(const struct hull_disk_call *c, struct hull_err *err)
{
	struct hull_image_options o = { .no_backing = true, .for_check = true };
	struct hull_image_check k = { .report = print_problem, .arg = (void *)(uintptr_t)c };
	const char *repair = NULL;
	const struct hull_arg args[] = {
		{ .flag = "format",
		  .letter = 'f',
		  .text = &o.format,
		  .value = "FORMAT",
		  .help = "Format of the image." },
		{ .flag = "repair",
		  .text = &repair,
		  .value = "leaks|all",
		  .help = "Put it right: leaks is always safe, all guesses what was meant." },
	};
	const struct hull_verb v = { "hull disk", "check", "IMAGE", 1, 1, args, ARRAY_LEN(args) };
	bool all;
	struct hull_image *img;
	int r = hull_disk_args(c, &v, &o.path, err);

	if (r)
		return r;
	all = repair && !strcmp(repair, "all");
	if (repair && !all && strcmp(repair, "leaks"))
		return hull_fail(err, HULL_EINVAL, 6, "--repair is leaks or all");
	o.read_only = !repair;
	r = hull_image_open(&o, &img, err);
	if (r)
		return r;
	if (!img->format->check)
		r = hull_fail(err, HULL_ENOTSUP, 351,
		              "there is nothing to check in an image of format %s",
		              img->format->name);
	else
		r = img->format->check(img, repair, all, &k, err);
	if (!r)
		report_check(c, &k);
	if (!r && k.corruptions) {
		r = hull_fail(err, HULL_EFORMAT, 352, "\"%s\" has %llu damaged places", o.path,
		              (unsigned long long)k.corruptions);
		hull_err_fix(err, "copy it first, then: hull disk check --repair all %s", o.path);
	}
	hull_image_unref(img);
	return r;
}

static int list_snapshots(const struct hull_disk_call *c, struct hull_image *img,
                          struct hull_err *err)
{
	struct hull_image_info info = { 0 };
	struct hull_json j;
	int r = hull_image_get_info(img, &info, err);

	if (r)
		return r;
	if (hull_disk_style(c) & HULL_REPORT_JSON) {
		hull_json_init(&j, c->out);
		hull_json_object(&j, NULL);
		hull_json_text(&j, "schema", "hull.disk.snapshots/1");
		json_snapshots(&j, img, info.nsnapshots);
		hull_json_end(&j);
	} else {
		text_snapshots(c->out, img, info.nsnapshots);
	}
	return 0;
}

static int make_snapshot(struct hull_image *img, const char *name, struct hull_err *err)
{
	struct hull_image_snapshot s = { .size = img->size };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	s.date_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	if (!name[0] || !hull_text_copy(s.name, sizeof(s.name), name))
		return hull_fail(err, HULL_EINVAL, 130, "a snapshot's name has 1 to 255 bytes");
	return img->format->snapshot_create(img, &s, err);
}

int hull_disk_snapshot(const struct hull_disk_call *c, struct hull_err *err)
{
	struct hull_image_options o = { .no_backing = true };
	const struct hull_arg args[] = {
		{ .flag = "format",
		  .letter = 'f',
		  .text = &o.format,
		  .value = "FORMAT",
		  .help = "Format of the image." },
	};
	const struct hull_verb v = {
		"hull disk", "snapshot",     "IMAGE create|ls|apply|rm [NAME]", 2, 3,
		args,        ARRAY_LEN(args)
	};
	const struct hull_image_format *f;
	struct hull_image *img;
	const char *word[3];
	int r = hull_disk_args(c, &v, word, err);
	bool ls = !r && word[1] && !strcmp(word[1], "ls");

	if (r)
		return r;
	if (!ls && !word[2])
		return hull_fail(err, HULL_EINVAL, 7, "hull disk snapshot %.40s %.20s needs a name",
		                 word[0], word[1]);
	o.path = word[0];
	o.read_only = o.shared = ls;
	r = hull_image_open(&o, &img, err);
	if (r)
		return r;
	f = img->format;
	if (!f->snapshot_at || !f->snapshot_create)
		r = hull_fail(err, HULL_ENOTSUP, 351, "an image of format %s cannot hold snapshots",
		              f->name);
	else if (ls)
		r = list_snapshots(c, img, err);
	else if (!strcmp(word[1], "create"))
		r = make_snapshot(img, word[2], err);
	else if (!strcmp(word[1], "apply"))
		r = f->snapshot_apply(img, word[2], err);
	else if (!strcmp(word[1], "rm"))
		r = f->snapshot_delete(img, word[2], err);
	else
		r = hull_fail(err, HULL_EINVAL, 6,
		              "snapshots can be made (create), listed (ls), "
		              "applied (apply) and removed (rm)");
	if (!r && !ls && hull_image_flush(img))
		r = hull_fail(err, HULL_EIO, 302, "\"%s\" cannot be written", img->path);
	hull_image_unref(img);
	return r;
}
