/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* bzImage of fw/bzimage.h. */
#include "fw/bzimage.h"

#include "base/bits.h"
#include "base/checked.h"

enum {
	SETUP_SECTS = 0x1f1,
	SYSSIZE = 0x1f4,
	BOOT_FLAG = 0x1fe,
	JUMP = 0x200,
	VERSION = 0x206,
	LOADFLAGS = 0x211,
	INITRD_MAX = 0x22c,
	ALIGNMENT = 0x230,
	RELOCATABLE = 0x234,
	XLOADFLAGS = 0x236,
	CMDLINE_SIZE = 0x238,
	PREF_ADDRESS = 0x258,
	INIT_SIZE = 0x260,
	HEADER_MIN = 0x264, /* protocol 2.12: up to and with init_size */
};
enum { LOADED_HIGH = 1, KERNEL_64 = 1, ENTRY_64 = 0x200, SECTOR = 512 };
enum { OLDEST = 0x20c, MAX_CMDLINE = 1 << 16, MAX_ALIGNMENT = 1 << 30 };

static int malformed(const char *name, const char *what, struct hull_err *err)
{
	return hull_fail(err, HULL_EFORMAT, 714, "%s is a damaged kernel: %s", name, what);
}

static int not_offered(const char *name, unsigned version, const char *why, struct hull_err *err)
{
	hull_fail(err, HULL_ENOTSUP, 718, "%s %s (boot protocol %u.%02u)", name, why, version >> 8,
	          version & 0xff);
	hull_err_fix(err, "take a 64-bit kernel of version 3.8 or newer");
	return HULL_ENOTSUP;
}

static int check_places(const uint8_t *b, const char *name, struct hull_err *err)
{
	uint32_t align = load_le32(b + ALIGNMENT);

	if (!is_pow2(align) || align < HULL_PAGE_SIZE || align > MAX_ALIGNMENT)
		return malformed(name, "kernel_alignment makes no sense", err);
	if (!is_aligned(load_le64(b + PREF_ADDRESS), HULL_PAGE_SIZE))
		return malformed(name, "pref_address is not aligned", err);
	if (!load_le32(b + INIT_SIZE))
		return malformed(name, "init_size is 0", err);
	return 0;
}

int hull_bzimage_check(const void *data, size_t size, const char *name, struct hull_bzimage *ret,
                       struct hull_err *err)
{
	const uint8_t *b = data;
	struct hull_bzimage h;
	int rc;

	if (size < HEADER_MIN)
		return hull_fail(err, HULL_EFORMAT, 713,
		                 "%s is truncated inside the kernel's header", name);
	h.version = load_le16(b + VERSION);
	h.header_end = (uint16_t)(0x202 + b[JUMP + 1]);
	if (load_le16(b + BOOT_FLAG) != 0xaa55)
		return malformed(name, "boot_flag is missing", err);
	if (h.version < OLDEST)
		return not_offered(name, h.version, "is a kernel that is too old", err);
	if (!(load_le16(b + XLOADFLAGS) & KERNEL_64))
		return not_offered(name, h.version, "is a kernel for 32-bit processors", err);
	if (!(b[LOADFLAGS] & LOADED_HIGH))
		return malformed(name, "it wants to be loaded below 1 MiB", err);
	if (h.header_end < HEADER_MIN || h.header_end > HULL_BZIMAGE_HEADER_END)
		return malformed(name, "its header has a wrong length", err);
	rc = check_places(b, name, err);
	if (rc)
		return rc;
	h.initrd_last = load_le32(b + INITRD_MAX);
	h.cmdline_max = MIN(load_le32(b + CMDLINE_SIZE), (uint32_t)MAX_CMDLINE);
	*ret = h;
	return 0;
}

static int truncated(const struct image_job *job, uint64_t need)
{
	hull_fail(job->err, HULL_EFORMAT, 713,
	          "%s is truncated: it needs %llu bytes, but the file has %zu", job->name,
	          (unsigned long long)need, job->size);
	hull_err_fix(job->err, "copy or download the file again");
	return HULL_EFORMAT;
}

static int misplaced(const struct image_job *job)
{
	uint32_t align = load_le32(job->data + ALIGNMENT);
	hull_gpa pref = load_le64(job->data + PREF_ADDRESS);

	hull_fail(job->err, HULL_EINVAL, 715, "%s cannot be loaded at 0x%llx: it wants 0x%llx%s",
	          job->name, (unsigned long long)job->t->load, (unsigned long long)pref,
	          job->data[RELOCATABLE] ? " or a higher place that is aligned like it" : "");
	hull_err_fix(job->err, "leave the address out, it is chosen (alignment: 0x%x)", align);
	return HULL_EINVAL;
}

/*
 * The preferred place: a kernel that is loaded below moves itself there, so there must be memory
 * in any case.
 */
int hull_bzimage_plan(struct image_job *job)
{
	struct hull_image_segment s = { 0 };
	struct hull_bzimage h;
	const uint8_t *b = job->data;
	uint64_t need;
	int rc;

	rc = hull_bzimage_check(b, job->size, job->name, &h, job->err);
	if (rc)
		return rc;
	s.offset = ((b[SETUP_SECTS] ? b[SETUP_SECTS] : 4) + 1u) * (uint64_t)SECTOR;
	need = s.offset + (uint64_t)load_le32(b + SYSSIZE) * 16;
	/* The last paragraph may be cut short. */
	if (job->size <= s.offset || need > (uint64_t)job->size + 15)
		return truncated(job, MAX(need, s.offset + 1));
	s.gpa = load_le64(b + PREF_ADDRESS);
	if (job->t->has_load) {
		if (job->t->load != s.gpa && (!b[RELOCATABLE] || job->t->load < s.gpa ||
		                              !is_aligned(job->t->load, load_le32(b + ALIGNMENT))))
			return misplaced(job);
		s.gpa = job->t->load;
	}
	s.file_bytes = job->size - s.offset;
	s.mem_bytes = MAX(s.file_bytes, (uint64_t)load_le32(b + INIT_SIZE));
	rc = hull_image_add(job, &s);
	return rc ? rc : hull_image_seal(job, s.gpa + ENTRY_64);
}
