/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "metal/common/disk.h"

#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"
#include "metal/common/frames.h"

static void move(struct metal_disk *d, const struct hull_block_req *req)
{
	uint64_t at = req->offset;

	for (unsigned i = 0; i < req->nsegs; i++) {
		const struct hull_block_seg *s = &req->segs[i];

		if (req->op == HULL_BLOCK_WRITE)
			memcpy(d->data + at, s->hva, s->len);
		else
			memcpy(s->hva, d->data + at, s->len);
		at += s->len;
	}
}

/* What segments say together is what the device has checked: not more than `len`. */
static int submit(struct hull_block *b, struct hull_block_req *req)
{
	struct metal_disk *d = CONTAINER_OF(b, struct metal_disk, block);
	bool change = req->op != HULL_BLOCK_READ && req->op != HULL_BLOCK_FLUSH;

	req->status = 0;
	if (req->op == HULL_BLOCK_FLUSH)
		return 1;
	if (!hull_range_within(req->offset, req->len, 0, b->size) || (change && b->read_only))
		req->status = HULL_EIO;
	else if (req->op == HULL_BLOCK_READ || req->op == HULL_BLOCK_WRITE)
		move(d, req);
	else if (req->op == HULL_BLOCK_WRITE_ZEROES)
		memset(d->data + req->offset, 0, req->len);
	return 1;
}

static void drain(struct hull_block *b)
{
}

int metal_disk_open(struct metal_disk *d, const void *image, uint64_t bytes, bool read_only,
                    struct hull_err *err)
{
	*d = (struct metal_disk){ .block = { .size = bytes,
		                             .read_only = read_only,
		                             .queues = 1,
		                             .submit = submit,
		                             .drain = drain } };
	if (read_only) {
		/* Nothing writes to it: submit() does not let it. */
		d->data = (uint8_t *)(uintptr_t)image;
		return 0;
	}
	d->data = metal_frames_alloc(align_up(bytes, HULL_PAGE_SIZE), HULL_PAGE_SIZE);
	if (!d->data)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a disk of %llu bytes",
		                 (unsigned long long)bytes);
	d->copied = align_up(bytes, HULL_PAGE_SIZE);
	memcpy(d->data, image, bytes);
	return 0;
}

void metal_disk_close(struct metal_disk *d)
{
	if (d->copied)
		metal_frames_free(d->data, d->copied);
	d->copied = 0;
}
