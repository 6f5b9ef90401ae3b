/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Recognising kernel images; planning Linux Images and raw binaries. */
#include "fw/image.h"

#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"
#include "fw/bzimage.h"
#include "fw/elf.h"
#include "fw/image_impl.h"

struct magic {
	uint32_t offset;
	uint8_t len;
	const char *bytes;
	enum hull_image_kind kind;
	const char *name;
};

/*
 * The first match wins, so the order matters: an EFI self-extracting kernel
 * carries the Linux magic of its payload at 0x38, and so do EFI programs.
 */
static const struct magic magics[] = {
	{ 0x00, 4, "\x7f\x45LF", HULL_IMAGE_ELF, "ELF file" },
	{ 0x04, 4, "zimg", HULL_IMAGE_COMPRESSED, "EFI self-extracting kernel" },
	{ 0x38, 4, "ARM\x64", HULL_IMAGE_ARM64, "arm64 Linux Image" },
	{ 0x38, 4, "RSC\x05", HULL_IMAGE_RISCV, "RISC-V Linux Image" },
	{ 0x30, 8, "RISCV\0\0\0", HULL_IMAGE_RISCV, "RISC-V Linux Image" },
	{ 0x202, 4, "HdrS", HULL_IMAGE_BZIMAGE, "x86 Linux kernel (bzImage)" },
	{ 0x00, 2, "\x1f\x8b", HULL_IMAGE_GZIP, "gzip-compressed file" },
	{ 0x00, 6, "\xfd\x37zXZ\0", HULL_IMAGE_COMPRESSED, "xz-compressed file" },
	{ 0x00, 4, "\x28\xb5\x2f\xfd", HULL_IMAGE_COMPRESSED, "zstd-compressed file" },
	{ 0x00, 3, "BZh", HULL_IMAGE_COMPRESSED, "bzip2-compressed file" },
	{ 0x00, 4, "\x04\x22\x4d\x18", HULL_IMAGE_COMPRESSED, "lz4-compressed file" },
	{ 0x00, 4, "\x02\x21\x4c\x18", HULL_IMAGE_COMPRESSED, "lz4-compressed file" },
	{ 0x00, 3, "\x5d\0\0", HULL_IMAGE_COMPRESSED, "lzma-compressed file" },
	{ 0x00, 4, "\x89LZO", HULL_IMAGE_COMPRESSED, "lzop-compressed file" },
	{ 0x00, 2, "#!", HULL_IMAGE_FOREIGN, "script" },
	{ 0x00, 2, "MZ", HULL_IMAGE_FOREIGN, "EFI program" },
	{ 0x00, 4, "\xd0\x0d\xfe\xed", HULL_IMAGE_FOREIGN, "device tree blob" },
	{ 0x00, 4, "\x27\x05\x19\x56", HULL_IMAGE_FOREIGN, "U-Boot legacy image" },
	{ 0x00, 4, "QFI\xfb", HULL_IMAGE_FOREIGN, "qcow2 disk image" },
	{ 0x00, 6, "070701", HULL_IMAGE_FOREIGN, "cpio archive (an initrd)" },
	{ 0x8001, 5, "CD001", HULL_IMAGE_FOREIGN, "CD-ROM image (ISO 9660)" },
};

enum { LINUX_MAGIC = 0x38, LINUX_HEADER = 64 };

const char *hull_image_isa_name(enum hull_isa isa)
{
	switch (isa) {
	case HULL_ISA_RISCV64: return "riscv64";
	case HULL_ISA_AARCH64: return "aarch64";
	case HULL_ISA_X86_64: return "x86_64";
	default: return "?";
	}
}

static bool has_magic(const uint8_t *data, size_t size, const struct magic *m)
{
	return size >= m->offset + m->len && !memcmp(data + m->offset, m->bytes, m->len);
}

struct hull_image_info hull_image_probe(const void *data, size_t size)
{
	struct hull_image_info info = { .kind = HULL_IMAGE_RAW, .name = "raw binary" };
	const uint8_t *b = data;
	size_t i;

	for (i = 0; i < ARRAY_LEN(magics) && info.kind == HULL_IMAGE_RAW; i++) {
		if (has_magic(b, size, &magics[i])) {
			info.kind = magics[i].kind;
			info.name = magics[i].name;
		}
	}
	if (info.kind == HULL_IMAGE_ELF) {
		info.has_isa = hull_elf_isa(data, size, &info.isa);
	} else if (info.kind == HULL_IMAGE_BZIMAGE) {
		info.has_isa = true;
		info.isa = HULL_ISA_X86_64;
	} else if (size >= LINUX_HEADER && !memcmp(b + LINUX_MAGIC, "ARM\x64", 4)) {
		info.has_isa = true;
		info.isa = HULL_ISA_AARCH64;
	} else if (info.kind == HULL_IMAGE_RISCV ||
	           (size >= LINUX_HEADER && !memcmp(b + LINUX_MAGIC, "RSC\x05", 4))) {
		info.has_isa = true;
		info.isa = HULL_ISA_RISCV64;
	}
	return info;
}

bool hull_image_base(const struct hull_image_target *t, hull_gpa *ret)
{
	uint64_t up;

	if (!hull_add(t->ram_base, HULL_IMAGE_ALIGN - 1, &up))
		return false;
	*ret = align_down(up, HULL_IMAGE_ALIGN);
	return true;
}

void hull_image_suggest_memory(uint64_t need, uint64_t have, struct hull_err *err)
{
	uint64_t mib = 1;

	/* More than 64 TiB is nothing that a file in good health asks for. */
	if (need > BIT(46) || have > BIT(46)) {
		hull_err_fix(err, "no memory size is enough; check the file");
		return;
	}
	while (mib << 20 < need || mib << 20 <= have)
		mib *= 2;
	hull_err_fix(err, "--memory %lluM", (unsigned long long)mib);
}

static int outside(const struct image_job *job, const struct hull_image_segment *s)
{
	const struct hull_image_target *t = job->t;
	uint64_t need;

	hull_fail(job->err, HULL_EINVAL, 715,
	          "%s needs %llu KiB at 0x%llx, but the guest's memory is %llu MiB at 0x%llx",
	          job->name, (unsigned long long)(s->mem_bytes / 1024 + !!(s->mem_bytes % 1024)),
	          (unsigned long long)s->gpa, (unsigned long long)(t->ram_size >> 20),
	          (unsigned long long)t->ram_base);
	/* Somewhat above RAM is a machine with too little of it rather than a wrong address. */
	if (s->gpa >= t->ram_base && s->gpa - t->ram_base < MAX(t->ram_size, BIT(30)))
		hull_image_suggest_memory(
			hull_add(s->gpa - t->ram_base, s->mem_bytes, &need) ? need : UINT64_MAX,
			t->ram_size, job->err);
	else
		hull_err_fix(job->err,
		             "load it elsewhere: set boot.kernel.addr, or link it for 0x%llx",
		             (unsigned long long)t->ram_base);
	return HULL_EINVAL;
}

int hull_image_add(struct image_job *job, const struct hull_image_segment *s)
{
	struct hull_image_plan *p = job->plan;
	unsigned i;

	if (s->file_bytes > s->mem_bytes || !s->mem_bytes)
		return hull_fail(job->err, HULL_EFORMAT, 714,
		                 "%s: a segment has more bytes in the file than in memory",
		                 job->name);
	if (!hull_range_within(s->offset, s->file_bytes, 0, job->size)) {
		hull_fail(
			job->err, HULL_EFORMAT, 713,
			"%s is truncated: a segment lies at offset %llu, %llu bytes long, but the "
			"file has %zu bytes",
			job->name, (unsigned long long)s->offset, (unsigned long long)s->file_bytes,
			job->size);
		hull_err_fix(job->err, "copy or download the file again");
		return HULL_EFORMAT;
	}
	if (!hull_range_within(s->gpa, s->mem_bytes, job->t->ram_base, job->t->ram_size))
		return outside(job, s);
	for (i = 0; i < p->count; i++) {
		const struct hull_image_segment *o = &p->segments[i];

		if (hull_ranges_overlap(s->gpa, s->mem_bytes, o->gpa, o->mem_bytes))
			return hull_fail(job->err, HULL_EFORMAT, 716,
			                 "%s: the segments at 0x%llx and 0x%llx overlap", job->name,
			                 (unsigned long long)o->gpa, (unsigned long long)s->gpa);
	}
	if (p->count == HULL_IMAGE_MAX_SEGMENTS)
		return hull_fail(job->err, HULL_ENOTSUP, 714, "%s has more than %d segments",
		                 job->name, HULL_IMAGE_MAX_SEGMENTS);
	p->segments[p->count++] = *s;
	return 0;
}

int hull_image_seal(struct image_job *job, hull_gpa entry)
{
	struct hull_image_plan *p = job->plan;
	uint64_t last = 0;
	bool inside = false;
	unsigned i;

	if (job->t->has_entry)
		entry = job->t->entry;
	p->low = UINT64_MAX;
	for (i = 0; i < p->count; i++) {
		const struct hull_image_segment *s = &p->segments[i];

		inside |= hull_range_within(entry, 1, s->gpa, s->file_bytes);
		p->low = MIN(p->low, s->gpa);
		/* The last byte, because the end may be 2^64. */
		last = MAX(last, s->gpa + (s->mem_bytes - 1));
	}
	if (!inside) {
		hull_fail(job->err, HULL_EFORMAT, 717,
		          "%s: the entry point 0x%llx is outside everything that is loaded",
		          job->name, (unsigned long long)entry);
		hull_err_fix(job->err, job->t->has_entry ? "correct or remove boot.entry"
		                                         : "set boot.entry to the kernel's start");
		return HULL_EFORMAT;
	}
	p->entry = entry;
	p->span = last - p->low + 1;
	return 0;
}

/*
 * Linux kernels with an EFI stub are PE files too, and the PE section table
 * tells how long the file must be: the only way to see that an Image was cut.
 * Microsoft PE/COFF specification, sections 2 to 4.
 */
static uint64_t pe_extent(const uint8_t *b, size_t size)
{
	enum { PE_POINTER = 0x3c, COFF = 24, SECTION = 40, MAX_SECTIONS = 96 };
	uint64_t pe, table, end = 0;
	unsigned count, i;

	if (size < LINUX_HEADER || memcmp(b, "MZ", 2))
		return 0;
	pe = load_le32(b + PE_POINTER);
	if (!hull_range_within(pe, COFF, 0, size) || memcmp(b + pe, "PE\0\0", 4))
		return 0;
	count = load_le16(b + pe + 6);
	table = pe + COFF + load_le16(b + pe + 20);
	if (count > MAX_SECTIONS || !hull_range_within(table, count * SECTION, 0, size))
		return 0;
	for (i = 0; i < count; i++) {
		const uint8_t *s = b + table + (size_t)i * SECTION;

		end = MAX(end, (uint64_t)load_le32(s + 16) + load_le32(s + 20));
	}
	return end;
}

/* The riscv and arm64 headers have the same shape: u64s at 8, 16 and 24. */
static int plan_linux(struct image_job *job)
{
	const uint64_t text_offset = load_le64(job->data + 8);
	const uint64_t image_size = load_le64(job->data + 16);
	const uint64_t flags = load_le64(job->data + 24);
	const struct hull_image_target *t = job->t;
	struct hull_image_segment s = { .file_bytes = job->size };
	uint64_t align, base, need = pe_extent(job->data, job->size);
	int rc;

	if (need > job->size) {
		hull_fail(job->err, HULL_EFORMAT, 713,
		          "%s is truncated: it needs %llu bytes, but the file has %zu", job->name,
		          (unsigned long long)need, job->size);
		hull_err_fix(job->err, "copy or download the file again");
		return HULL_EFORMAT;
	}
	if (flags & 1)
		return hull_fail(job->err, HULL_ENOTSUP, 712, "%s is a big-endian kernel",
		                 job->name);
	if (!image_size)
		return hull_fail(job->err, HULL_EFORMAT, 714,
		                 "%s: image_size in the kernel's header is 0", job->name);
	if (!hull_image_base(t, &base) || !hull_add(base, text_offset, &s.gpa))
		return hull_fail(job->err, HULL_EFORMAT, 714,
		                 "%s: text_offset 0x%llx in the kernel's header is out of range",
		                 job->name, (unsigned long long)text_offset);
	/* arm64 kernels get along with 64 KiB, but they complain. */
	align = job->plan->kind == HULL_IMAGE_ARM64 ? UINT64_C(64) << 10 : HULL_IMAGE_ALIGN;
	if (t->has_load && !is_aligned(t->load - text_offset, align)) {
		hull_fail(job->err, HULL_EINVAL, 715,
		          "%s cannot be loaded at 0x%llx: it wants a multiple of %llu KiB plus "
		          "0x%llx",
		          job->name, (unsigned long long)t->load,
		          (unsigned long long)(align / 1024), (unsigned long long)text_offset);
		hull_err_fix(job->err, "leave the address out, it is chosen");
		return HULL_EINVAL;
	}
	if (t->has_load)
		s.gpa = t->load;
	s.mem_bytes = MAX(image_size, s.file_bytes);
	rc = hull_image_add(job, &s);
	return rc ? rc : hull_image_seal(job, s.gpa);
}

static int plan_raw(struct image_job *job)
{
	struct hull_image_segment s = { .gpa = job->t->has_load ? job->t->load : job->t->ram_base,
		                        .file_bytes = job->size,
		                        .mem_bytes = job->size };
	int rc;

	rc = hull_image_add(job, &s);
	return rc ? rc : hull_image_seal(job, s.gpa);
}

static int refuse(const struct image_job *job, const struct hull_image_info *info)
{
	switch (info->kind) {
	case HULL_IMAGE_GZIP:
	case HULL_IMAGE_COMPRESSED:
		hull_fail(job->err, HULL_ENOTSUP, 711,
		          "%s is not a plain kernel: it is of the kind \"%s\"", job->name,
		          info->name);
		hull_err_fix(job->err, "unpack it first, or use the distribution's plain Image");
		return HULL_ENOTSUP;
	default:
		hull_fail(job->err, HULL_ENOTSUP, 712,
		          "%s is not a kernel: it is of the kind \"%s\"", job->name, info->name);
		hull_err_fix(job->err, "kernels are ELF files, Linux Images or raw binaries");
		return HULL_ENOTSUP;
	}
}

static int wrong_isa(const struct image_job *job, enum hull_isa isa)
{
	hull_fail(job->err, HULL_ENOTSUP, 104, "%s is %s %s kernel, but the machine is %s",
	          job->name, isa == HULL_ISA_AARCH64 || isa == HULL_ISA_X86_64 ? "an" : "a",
	          hull_image_isa_name(isa), hull_image_isa_name(job->t->isa));
	hull_err_fix(job->err, "drop --arch, it is detected");
	return HULL_ENOTSUP;
}

int hull_image_plan(const void *data, size_t size, const struct hull_image_target *t,
                    struct hull_image_plan *plan, struct hull_err *err)
{
	struct hull_image_plan p = { .isa = t->isa };
	struct image_job job = { data, size, t, t->name ? t->name : "the image", &p, err };
	struct hull_image_info info;
	int rc;

	if (!t->ram_size || !hull_range_valid(t->ram_base, t->ram_size))
		return hull_fail(err, HULL_EINVAL, 715, "the guest has no memory to load %s into",
		                 job.name);
	if (!size)
		return hull_fail(err, HULL_EFORMAT, 710, "%s is empty", job.name);
	info = hull_image_probe(data, size);
	if (info.has_isa && info.isa != t->isa)
		return wrong_isa(&job, info.isa);
	p.kind = info.kind;
	switch (info.kind) {
	case HULL_IMAGE_RAW: rc = plan_raw(&job); break;
	case HULL_IMAGE_ELF: rc = hull_elf_plan(&job); break;
	case HULL_IMAGE_RISCV:
	case HULL_IMAGE_ARM64:
		if (size < LINUX_HEADER)
			return hull_fail(err, HULL_EFORMAT, 713,
			                 "%s is truncated inside the kernel's header", job.name);
		rc = plan_linux(&job);
		break;
	case HULL_IMAGE_BZIMAGE: rc = hull_bzimage_plan(&job); break;
	case HULL_IMAGE_GZIP:
	case HULL_IMAGE_COMPRESSED:
	case HULL_IMAGE_FOREIGN:
	default: return refuse(&job, &info);
	}
	if (!rc)
		*plan = p;
	return rc;
}
