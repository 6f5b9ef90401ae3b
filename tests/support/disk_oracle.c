/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "support/disk_oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

enum { SECTOR = 512, CHUNK = 1 << 20 };

static bool fail(struct oracle *o, const char *what, uint64_t off, uint64_t len, int rc)
{
	snprintf(o->problem, sizeof(o->problem), "%s at %llx+%llx: %s", what,
	         (unsigned long long)off, (unsigned long long)len, hull_error_text(rc));
	return false;
}

static bool failed(struct oracle *o, const char *what, const struct hull_err *err)
{
	snprintf(o->problem, sizeof(o->problem), "%s: %s", what, err->text);
	return false;
}

static bool compare(struct oracle *o, struct hull_image *img, uint64_t off, uint64_t len)
{
	uint8_t *buf = malloc(CHUNK);
	bool ok = true;

	while (ok && len) {
		uint64_t take = MIN(len, (uint64_t)CHUNK);
		int rc = hull_image_read(img, off, buf, take);

		if (rc)
			ok = fail(o, "read", off, take, rc);
		for (uint64_t i = 0; ok && i < take; i++)
			if (buf[i] != o->mem[off + i])
				ok = fail(o, "contents differ", off + i, buf[i], o->mem[off + i]);
		off += take;
		len -= take;
	}
	free(buf);
	return ok;
}

bool oracle_verify(struct oracle *o, struct hull_image *img)
{
	if (img->size != o->size)
		return fail(o, "size differs", img->size, o->size, 0);
	return compare(o, img, 0, o->size);
}

bool oracle_init(struct oracle *o, struct hull_image *img, uint64_t max, uint64_t seed)
{
	struct hull_image_info info = { 0 };

	memset(o, 0, sizeof(*o));
	hull_prng_seed(&o->rng, seed);
	o->max = max;
	o->size = img->size;
	o->mem = calloc(1, max);
	if (hull_image_get_info(img, &info, NULL))
		return false;
	o->can_snapshot = img->format->snapshot_create && info.refcount_bits >= 4;
	o->can_resize = img->format->resize && info.version != 2;
	return o->mem && !hull_image_read(img, 0, o->mem, o->size);
}

void oracle_fini(struct oracle *o)
{
	for (unsigned i = 0; i < ORACLE_SNAPSHOTS; i++)
		free(o->snapshots[i].mem);
	free(o->mem);
}

/* A range of sectors: mostly short, sometimes long, often aligned. */
static void choose(struct oracle *o, uint64_t *ret_off, uint64_t *ret_len)
{
	uint64_t sectors = o->size / SECTOR, len, off;

	switch (hull_prng_below(&o->rng, 8)) {
	case 0: len = 1 + hull_prng_below(&o->rng, sectors / 4 + 1); break;
	case 1: len = 128; break;
	case 2: len = 1; break;
	case 3: len = 8; break;
	default: len = 1 + hull_prng_below(&o->rng, 300); break;
	}
	len = MIN(len, sectors);
	off = hull_prng_below(&o->rng, sectors - len + 1);
	if (hull_prng_below(&o->rng, 2))
		off = align_down(off, 128);
	/* The end of the disk is a place of its own. */
	if (!hull_prng_below(&o->rng, 16))
		off = sectors - len;
	*ret_off = off * SECTOR;
	*ret_len = len * SECTOR;
}

static bool write_some(struct oracle *o, struct hull_image *img)
{
	struct iovec v[3];
	uint64_t off, len, a, b;
	int rc;

	choose(o, &off, &len);
	hull_prng_fill(&o->rng, o->mem + off, len);
	a = align_down(hull_prng_below(&o->rng, len), SECTOR);
	b = a + align_down(hull_prng_below(&o->rng, len - a), SECTOR);
	v[0] = (struct iovec){ o->mem + off, a };
	v[1] = (struct iovec){ o->mem + off + a, b - a };
	v[2] = (struct iovec){ o->mem + off + b, len - b };
	rc = hull_image_writev(img, off, v, 3, len, !hull_prng_below(&o->rng, 16));
	return rc ? fail(o, "write", off, len, rc) : true;
}

static bool zero_some(struct oracle *o, struct hull_image *img)
{
	uint64_t off, len;
	int rc;

	choose(o, &off, &len);
	memset(o->mem + off, 0, len);
	rc = hull_image_write_zeroes(img, off, len, hull_prng_below(&o->rng, 2), false);
	return rc ? fail(o, "write zeroes", off, len, rc) : true;
}

/* Each sector must be as before or zero. */
static bool discard_some(struct oracle *o, struct hull_image *img)
{
	static const uint8_t zero[SECTOR];
	uint8_t sector[SECTOR];
	uint64_t off, len;
	int rc;

	choose(o, &off, &len);
	rc = hull_image_discard(img, off, len);
	for (uint64_t end = off + len; !rc && off < end; off += SECTOR) {
		rc = hull_image_read(img, off, sector, SECTOR);
		if (rc || !memcmp(sector, o->mem + off, SECTOR))
			continue;
		if (memcmp(sector, zero, SECTOR))
			return fail(o, "discard made other data", off, SECTOR, 0);
		memset(o->mem + off, 0, SECTOR);
	}
	return rc ? fail(o, "discard", off, len, rc) : true;
}

static bool read_some(struct oracle *o, struct hull_image *img)
{
	uint64_t off, len;

	choose(o, &off, &len);
	return compare(o, img, off, len);
}

static bool snapshot(struct oracle *o, struct hull_image *img)
{
	unsigned i = (unsigned)hull_prng_below(&o->rng, ORACLE_SNAPSHOTS);
	const struct hull_image_format *f = img->format;
	struct hull_image_snapshot s = { .date_ns = 1000000007 };
	struct hull_err err = { 0 };

	if (!o->snapshots[i].mem) {
		snprintf(s.name, sizeof(s.name), "s%u", o->made++);
		if (f->snapshot_create(img, &s, &err))
			return failed(o, "snapshot", &err);
		o->snapshots[i].mem = malloc(o->max);
		memcpy(o->snapshots[i].mem, o->mem, o->max);
		o->snapshots[i].size = o->size;
		memcpy(o->snapshots[i].name, s.name, sizeof(o->snapshots[i].name));
	} else if (hull_prng_below(&o->rng, 2)) {
		if (f->snapshot_apply(img, o->snapshots[i].name, &err))
			return failed(o, "apply", &err);
		memcpy(o->mem, o->snapshots[i].mem, o->max);
		o->size = o->snapshots[i].size;
	} else {
		if (f->snapshot_delete(img, o->snapshots[i].name, &err))
			return failed(o, "delete", &err);
		free(o->snapshots[i].mem);
		o->snapshots[i].mem = NULL;
	}
	return img->size == o->size ? true : fail(o, "size after snapshot", img->size, o->size, 0);
}

static bool resize(struct oracle *o, struct hull_image *img)
{
	uint64_t size = (1 + hull_prng_below(&o->rng, o->max / SECTOR)) * SECTOR;
	struct hull_err err = { 0 };

	if (hull_image_resize(img, size, &err))
		return failed(o, "resize", &err);
	if (size < o->size)
		memset(o->mem + size, 0, o->size - size);
	o->size = size;
	return img->size == size ? true : fail(o, "size after resize", img->size, size, 0);
}

static bool pack(struct oracle *o, struct hull_image *img)
{
	struct hull_image_info info;
	uint64_t off, len, n;
	int rc;

	if (!img->format->write_compressed || hull_image_get_info(img, &info, NULL))
		return true;
	n = info.cluster_bytes;
	off = hull_prng_below(&o->rng, o->size) / n * n;
	len = MIN(n, o->size - off);
	uint8_t *buf = malloc(len);

	for (uint64_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(i / 61 * (off / n));
	rc = img->format->write_compressed(img, off, buf, len);
	if (!rc)
		memcpy(o->mem + off, buf, len);
	free(buf);
	return rc && rc != HULL_EAGAIN && rc != HULL_ENOTSUP ? fail(o, "compress", off, len, rc)
	                                                     : true;
}

bool oracle_step(struct oracle *o, struct hull_image *img)
{
	int rc;

	switch (hull_prng_below(&o->rng, 40)) {
	case 0: return !o->can_snapshot || snapshot(o, img);
	case 1: return !o->can_resize || hull_prng_below(&o->rng, 3) || resize(o, img);
	case 2:
	case 3: rc = hull_image_flush(img); return rc ? fail(o, "flush", 0, 0, rc) : true;
	case 4:
	case 5:
	case 6: return zero_some(o, img);
	case 7:
	case 8: return discard_some(o, img);
	case 9:
	case 10: return pack(o, img);
	default: return hull_prng_below(&o->rng, 3) ? write_some(o, img) : read_some(o, img);
	}
}
