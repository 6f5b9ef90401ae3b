/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A whole qcow2 image: looked at, read, checked, written, with snapshots, and
 * repaired.  The last byte of the input pads the file with zeroes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "support/memfile.h"

enum { BYTES = 70000, PLACES = 24, MAP_MAX = 200 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const struct hull_image_format hull_image_format_qcow2;

static struct hull_image *image(const uint8_t *data, size_t size, bool read_only, bool check)
{
	struct hull_image_options o = { .path = "input",
		                        .read_only = read_only,
		                        .for_check = check };
	struct memfile *f = memfile_new(data, size - 1);
	struct hull_err err = { 0 };
	struct hull_image *img;

	if (!f)
		abort();
	f->max = 64 << 20;
	if (f->img.size < (uint64_t)data[size - 1] << 12) {
		uint8_t zero = 0;

		if (hull_image_write(&f->img, ((uint64_t)data[size - 1] << 12) - 1, &zero, 1))
			abort();
	}
	if (hull_image_format_qcow2.open(&o, &f->img, &img, &err)) {
		if (!err.code || !err.id || !err.text[0])
			abort();
		hull_image_unref(&f->img);
		return NULL;
	}
	img->format = &hull_image_format_qcow2;
	img->file = &f->img;
	img->refs = 1;
	return img;
}

/* Places spread over the disk, the ends among them. */
static uint64_t place(const struct hull_image *img, unsigned i)
{
	uint64_t at = img->size / PLACES * i;

	return i + 1 == PLACES || at + BYTES > img->size
	               ? img->size - MIN(img->size, (uint64_t)BYTES)
	               : align_down(at, 512);
}

static void look(struct hull_image *img, uint8_t *buf)
{
	struct hull_image_snapshot s;
	struct hull_image_extent e;
	struct hull_image_info info;
	uint64_t off = 0;

	for (unsigned i = 0; i < PLACES; i++)
		(void)!hull_image_read(img, place(img, i), buf, MIN(img->size, (uint64_t)BYTES));
	for (unsigned i = 0; i < MAP_MAX && off < img->size; i++, off += e.len)
		if (hull_image_map(img, off, img->size - off, &e))
			break;
	(void)!hull_image_get_info(img, &info, NULL);
	for (unsigned i = 0; i < 4 && !img->format->snapshot_at(img, i, &s); i++)
		;
}

static void change(struct hull_image *img, uint8_t *buf)
{
	struct hull_image_snapshot s = { .name = "fuzz" };
	uint64_t len = MIN(img->size, (uint64_t)BYTES);
	struct hull_err err;

	memset(buf, 0x5a, BYTES);
	for (unsigned i = 0; i < PLACES; i++) {
		uint64_t at = place(img, i);

		if (i % 4 == 0)
			(void)!hull_image_write_zeroes(img, at, len, i % 8, false);
		else if (i % 4 == 1)
			(void)!hull_image_discard(img, at, len);
		else
			(void)!hull_image_write(img, at, buf, len);
		if (i == 9)
			(void)img->format->snapshot_create(img, &s, &err);
		if (i == 13)
			(void)!hull_image_flush(img);
	}
	(void)img->format->snapshot_apply(img, "1", &err);
	(void)img->format->snapshot_delete(img, "fuzz", &err);
	if (img->size < 1 << 24)
		(void)!hull_image_resize(img, img->size + 65536, &err);
	(void)img->format->set_backing(img, "b", "raw", &err);
	(void)!hull_image_flush(img);
	(void)img->format->make_empty(img, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hull_image_check r = { 0 };
	struct hull_image *img;
	struct hull_err err;
	uint8_t *buf;

	if (size < 2)
		return 0;
	buf = malloc(BYTES);
	img = image(data, size, true, true);
	if (img) {
		look(img, buf);
		(void)img->format->check(img, false, false, &r, &err);
		hull_image_unref(img);
	}
	img = image(data, size, false, false);
	if (img) {
		change(img, buf);
		look(img, buf);
		hull_image_unref(img);
	}
	img = image(data, size, false, true);
	if (img) {
		(void)img->format->check(img, true, true, &r, &err);
		look(img, buf);
		hull_image_unref(img);
	}
	free(buf);
	return 0;
}
