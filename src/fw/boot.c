/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Placement of fw/boot.h. */
#include "fw/boot.h"

#include "base/bits.h"
#include "base/checked.h"
#include "base/text.h"
#include "fw/image_impl.h"

enum { MAX_TAKEN = 4 };

/* What is placed so far. */
struct map {
	const struct hull_boot_request *req;
	struct hull_fdt_range taken[MAX_TAKEN];
	unsigned count;
};

static bool is_free(const struct map *m, uint64_t start, uint64_t bytes)
{
	unsigned i;

	if (!hull_range_within(start, bytes, m->req->ram_base, m->req->ram_size))
		return false;
	for (i = 0; i < m->count; i++)
		if (hull_ranges_overlap(start, bytes, m->taken[i].start, m->taken[i].length))
			return false;
	return true;
}

/* The first place from `from` on at this alignment, if it is free. */
static bool try_at(const struct map *m, uint64_t from, uint64_t bytes, uint64_t align,
                   uint64_t *ret)
{
	uint64_t start;

	if (!hull_add(from, align - 1, &start))
		return false;
	start = align_down(start, align);
	if (!is_free(m, start, bytes))
		return false;
	*ret = start;
	return true;
}

/* Every gap begins at the end of something or at the start of RAM, so these are all the choices. */
static bool find(const struct map *m, uint64_t bytes, uint64_t *ret)
{
	static const uint64_t aligns[] = { HULL_IMAGE_ALIGN, HULL_PAGE_SIZE };
	unsigned a, i;
	uint64_t end;

	for (a = 0; a < ARRAY_LEN(aligns); a++) {
		for (i = 0; i < m->count; i++)
			if (hull_add(m->taken[i].start, m->taken[i].length, &end) &&
			    try_at(m, end, bytes, aligns[a], ret))
				return true;
		if (try_at(m, m->req->ram_base, bytes, aligns[a], ret))
			return true;
	}
	return false;
}

/* "90 MiB", rounded up, or KiB below one MiB. */
static const char *amount(char *buf, size_t size, uint64_t bytes)
{
	unsigned shift = bytes >> 20 ? 20 : 10;

	hull_format(buf, size, "%llu %s",
	            (unsigned long long)((bytes >> shift) + !!(bytes & low_mask(shift))),
	            shift == 20 ? "MiB" : "KiB");
	return buf;
}

/* Everything with a 2 MiB gap at most before each of the two things behind the kernel. */
static void suggest(const struct hull_boot_request *req, struct hull_err *err)
{
	uint64_t need = req->kernel->low - req->ram_base;

	if (!hull_add(need, req->kernel->span, &need) ||
	    !hull_add(need, req->initrd_bytes, &need) || !hull_add(need, req->dtb_bytes, &need) ||
	    !hull_add(need, 2 * HULL_IMAGE_ALIGN, &need))
		need = UINT64_MAX;
	hull_image_suggest_memory(need, req->ram_size, err);
}

/* One thing to place. */
struct item {
	const char *what; /* with its article */
	uint16_t id;      /* the error if there is no room */
	uint64_t bytes;
	bool fixed;
	hull_gpa at;
};

static int no_room(const struct hull_boot_request *req, const struct item *item,
                   struct hull_err *err)
{
	char size[32], ram[32], kernel[32];

	hull_fail(err, HULL_EINVAL, item->id,
	          "%s of %s does not fit in %s of memory beside the kernel (%s)", item->what,
	          amount(size, sizeof(size), item->bytes), amount(ram, sizeof(ram), req->ram_size),
	          amount(kernel, sizeof(kernel), req->kernel->span));
	suggest(req, err);
	return HULL_EINVAL;
}

static int place(struct map *m, const struct item *item, struct hull_fdt_range *ret,
                 struct hull_err *err)
{
	char size[32];

	if (!item->bytes)
		return 0;
	ret->length = item->bytes;
	ret->start = item->at;
	if (item->fixed && !is_free(m, item->at, item->bytes)) {
		hull_fail(err, HULL_EINVAL, 723,
		          "%s of %s cannot be at 0x%llx: that is not free guest memory", item->what,
		          amount(size, sizeof(size), item->bytes), (unsigned long long)item->at);
		hull_err_fix(err, "leave the address out, it is chosen");
		return HULL_EINVAL;
	}
	if (!item->fixed && !find(m, item->bytes, &ret->start))
		return no_room(m->req, item, err);
	m->taken[m->count++] = *ret;
	return 0;
}

int hull_boot_layout(const struct hull_boot_request *req, struct hull_boot_layout *ret,
                     struct hull_err *err)
{
	const struct item initrd = { "an initrd", 720, req->initrd_bytes, req->has_initrd_at,
		                     req->initrd_at };
	const struct item dtb = { "a device tree", 721, req->dtb_bytes, req->has_dtb_at,
		                  req->dtb_at };
	struct hull_boot_layout out = { .kernel = { req->kernel->low, req->kernel->span } };
	struct map map = { .req = req, .taken = { out.kernel, req->reserved }, .count = 2 };
	int rc;

	if (!hull_range_valid(req->ram_base, req->ram_size) || req->ram_size > BIT(56) ||
	    !hull_range_within(out.kernel.start, out.kernel.length, req->ram_base, req->ram_size))
		return hull_fail(err, HULL_EINVAL, 722,
		                 "the kernel at 0x%llx lies outside the guest's memory",
		                 (unsigned long long)out.kernel.start);
	/* What the user fixed comes first, so that what is chosen can avoid it. */
	if (dtb.fixed && !initrd.fixed) {
		rc = place(&map, &dtb, &out.dtb, err);
		rc = rc ? rc : place(&map, &initrd, &out.initrd, err);
	} else {
		rc = place(&map, &initrd, &out.initrd, err);
		rc = rc ? rc : place(&map, &dtb, &out.dtb, err);
	}
	if (!rc)
		*ret = out;
	return rc;
}
