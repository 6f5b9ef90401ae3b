/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* ELF64 of fw/elf.h: gABI chapter 4 (header, sections, symbols) and 5 (segments). */
#include "fw/elf.h"

#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"

enum {
	EHDR = 64,
	PHDR = 56,
	SHDR = 64,
	SYM = 24,
	CLASS64 = 2,
	DATA_LE = 1,
	ET_REL = 1,
	ET_EXEC = 2,
	ET_DYN = 3,
	PT_LOAD = 1,
	PT_INTERP = 3,
	PT_NOTE = 4,
	SHT_SYMTAB = 2,
	STT_OBJECT = 1,
	STT_SECTION = 3,
	STT_FILE = 4,
	STT_TLS = 6,
	MAX_PHDRS = 128, /* Linux kernels have fewer than ten */
	MAX_NAME = 1024, /* twice KSYM_NAME_LEN of Linux */
};

static const struct {
	uint16_t machine;
	const char *name;
} foreign[] = {
	{ 2, "SPARC" },  { 3, "32-bit x86" },  { 8, "MIPS" },        { 20, "PowerPC" },
	{ 21, "ppc64" }, { 22, "s390x" },      { 40, "32-bit Arm" }, { 43, "SPARC V9" },
	{ 50, "IA-64" }, { 258, "LoongArch" },
};

struct segment {
	uint32_t type;
	uint64_t offset, vaddr, paddr, filesz, memsz;
};

static bool machine_isa(uint16_t machine, enum hull_isa *ret)
{
	switch (machine) {
	case 62: *ret = HULL_ISA_X86_64; return true;
	case 183: *ret = HULL_ISA_AARCH64; return true;
	case 243: *ret = HULL_ISA_RISCV64; return true;
	default: return false;
	}
}

static bool is_elf64(const uint8_t *b, size_t size)
{
	return size >= EHDR && !memcmp(b, "\x7f\x45LF", 4) && b[4] == CLASS64 && b[5] == DATA_LE;
}

bool hull_elf_isa(const void *data, size_t size, enum hull_isa *ret)
{
	const uint8_t *b = data;

	return is_elf64(b, size) && machine_isa(load_le16(b + 18), ret);
}

static int malformed(const struct image_job *job, const char *what)
{
	return hull_fail(job->err, HULL_EFORMAT, 714, "%s is a damaged ELF file: %s", job->name,
	                 what);
}

static int unsuitable(const struct image_job *job, const char *what)
{
	hull_fail(job->err, HULL_ENOTSUP, 712, "%s is %s, not a kernel", job->name, what);
	hull_err_fix(job->err, "kernels are ELF files, Linux Images or raw binaries");
	return HULL_ENOTSUP;
}

static int check_machine(const struct image_job *job)
{
	uint16_t machine = load_le16(job->data + 18);
	enum hull_isa isa;
	size_t i;

	if (machine_isa(machine, &isa))
		return 0; /* compared with the target by the caller */
	for (i = 0; i < ARRAY_LEN(foreign); i++)
		if (foreign[i].machine == machine)
			return hull_fail(job->err, HULL_ENOTSUP, 104,
			                 "%s is built for %s, but the machine is %s", job->name,
			                 foreign[i].name, hull_image_isa_name(job->t->isa));
	return hull_fail(job->err, HULL_ENOTSUP, 104,
	                 "%s is built for an unknown architecture (ELF machine %u), but the "
	                 "machine is %s",
	                 job->name, machine, hull_image_isa_name(job->t->isa));
}

static int check_header(const struct image_job *job)
{
	const uint8_t *b = job->data;
	int rc;

	if (job->size < EHDR)
		return hull_fail(job->err, HULL_EFORMAT, 713,
		                 "%s is truncated inside its ELF header", job->name);
	if (b[5] != DATA_LE)
		return unsuitable(job, "a big-endian ELF file");
	rc = check_machine(job);
	if (rc)
		return rc;
	if (b[4] != CLASS64)
		return unsuitable(job, "a 32-bit ELF file");
	if (b[6] != 1)
		return malformed(job, "its version is not 1");
	switch (load_le16(b + 16)) {
	case ET_EXEC:
	case ET_DYN: break;
	case ET_REL: return unsuitable(job, "an object file (link it first)");
	default: return unsuitable(job, "not executable (a core dump, perhaps)");
	}
	if (!load_le16(b + 56))
		return malformed(job, "it has nothing to load (no program headers)");
	if (load_le16(b + 54) != PHDR)
		return malformed(job, "its program headers have an unknown size");
	if (load_le16(b + 56) > MAX_PHDRS)
		return malformed(job, "it has too many program headers");
	if (!hull_range_within(load_le64(b + 32), (uint64_t)load_le16(b + 56) * PHDR, 0, job->size))
		return hull_fail(job->err, HULL_EFORMAT, 713,
		                 "%s is truncated: its program headers lie behind its end",
		                 job->name);
	return 0;
}

/* Program header number i; the table was checked by check_header(). */
static struct segment phdr(const struct image_job *job, unsigned i)
{
	const uint8_t *p = job->data + load_le64(job->data + 32) + (size_t)i * PHDR;

	return (struct segment){ .type = load_le32(p),
		                 .offset = load_le64(p + 8),
		                 .vaddr = load_le64(p + 16),
		                 .paddr = load_le64(p + 24),
		                 .filesz = load_le64(p + 32),
		                 .memsz = load_le64(p + 40) };
}

/*
 * How far the file moves.  An address that the user gives is where the lowest
 * byte goes.  Position-independent files stay where they are linked if that
 * is RAM; otherwise they move by a multiple of 2 MiB, which keeps their alignment.
 */
static int choose_shift(const struct image_job *job, uint64_t *ret)
{
	unsigned i, count = load_le16(job->data + 56);
	bool any = false, in_ram = true;
	uint64_t low = UINT64_MAX, base;

	for (i = 0; i < count; i++) {
		struct segment s = phdr(job, i);

		if (s.type == PT_INTERP)
			return unsuitable(job, "a program for an operating system");
		if (s.type != PT_LOAD || !s.memsz)
			continue;
		any = true;
		low = MIN(low, s.paddr);
		in_ram &= hull_range_within(s.paddr, s.memsz, job->t->ram_base, job->t->ram_size);
	}
	if (!any)
		return malformed(job, "it has nothing to load (no PT_LOAD segment)");
	*ret = 0;
	if (job->t->has_load) {
		*ret = job->t->load - low;
	} else if (load_le16(job->data + 16) == ET_DYN && !in_ram) {
		if (!hull_image_base(job->t, &base))
			return hull_fail(job->err, HULL_EINVAL, 715,
			                 "the guest's memory has no 2 MiB boundary for %s",
			                 job->name);
		*ret = base - align_down(low, HULL_IMAGE_ALIGN);
	}
	return 0;
}

/*
 * The entry point of PVH, in a note of the owner "Xen" (public/elfnote.h: PHYS32_ENTRY).  Owner and
 * contents are padded to 4 bytes.
 */
static bool pvh_in(const uint8_t *p, uint64_t left, hull_gpa *ret)
{
	enum { HEAD = 12, PHYS32_ENTRY = 18 };

	while (left >= HEAD) {
		uint64_t name = align_up(load_le32(p), 4), desc = load_le32(p + 4);
		uint64_t bytes = HEAD + name + align_up(desc, 4);
		const uint8_t *value = p + HEAD + name;

		if (bytes > left)
			return false;
		if (load_le32(p + 8) == PHYS32_ENTRY && load_le32(p) == 4 &&
		    !memcmp(p + HEAD, "Xen", 4) && (desc == 4 || desc == 8)) {
			*ret = desc == 4 ? load_le32(value) : load_le64(value);
			return true;
		}
		p += bytes;
		left -= bytes;
	}
	return false;
}

static bool pvh_entry(const struct image_job *job, hull_gpa *ret)
{
	for (unsigned i = 0; i < load_le16(job->data + 56); i++) {
		struct segment s = phdr(job, i);

		if (s.type == PT_NOTE && hull_range_within(s.offset, s.filesz, 0, job->size) &&
		    pvh_in(job->data + s.offset, s.filesz, ret))
			return true;
	}
	return false;
}

int hull_elf_plan(struct image_job *job)
{
	unsigned i, count;
	uint64_t shift, entry, physical;
	int rc = check_header(job);

	if (!rc)
		rc = choose_shift(job, &shift);
	if (rc)
		return rc;
	count = load_le16(job->data + 56);
	entry = load_le64(job->data + 24);
	/* Bare programs may have only physical addresses; a virtual match is better. */
	physical = entry + shift;
	for (i = 0; i < count; i++) {
		struct segment s = phdr(job, i);
		struct hull_image_segment out = { .gpa = s.paddr + shift,
			                          .offset = s.offset,
			                          .file_bytes = s.filesz,
			                          .mem_bytes = s.memsz };

		if (s.type != PT_LOAD || (!s.memsz && !s.filesz))
			continue;
		rc = hull_image_add(job, &out);
		if (rc)
			return rc;
		if (hull_range_within(entry, 1, s.vaddr, s.memsz))
			physical = out.gpa + (entry - s.vaddr);
	}
	if (job->t->isa == HULL_ISA_X86_64 && !job->t->has_entry && pvh_entry(job, &entry)) {
		job->plan->pvh = true;
		physical = entry + shift;
	}
	return hull_image_seal(job, physical);
}

/* A table of fixed-size records inside the file. */
struct table {
	const uint8_t *at;
	uint64_t bytes;
};

/* The bytes of section `index`; false if it is not inside the file. */
static bool section(const uint8_t *b, size_t size, uint32_t index, struct table *ret)
{
	const uint8_t *s;
	uint64_t at;

	if (index >= load_le16(b + 60) || load_le16(b + 58) != SHDR ||
	    !hull_add(load_le64(b + 40), (uint64_t)index * SHDR, &at) ||
	    !hull_range_within(at, SHDR, 0, size))
		return false;
	s = b + at;
	if (!hull_range_within(load_le64(s + 24), load_le64(s + 32), 0, size))
		return false;
	ret->at = b + load_le64(s + 24);
	ret->bytes = load_le64(s + 32);
	return true;
}

static bool find_symtab(const uint8_t *b, size_t size, struct table *symbols, struct table *names)
{
	uint32_t i, count = load_le16(b + 60);
	const uint8_t *s;

	for (i = 0; i < count; i++) {
		if (!section(b, size, i, symbols))
			continue;
		s = b + load_le64(b + 40) + (size_t)i * SHDR;
		if (load_le32(s + 4) == SHT_SYMTAB && load_le64(s + 56) == SYM)
			return section(b, size, load_le32(s + 40), names);
	}
	return false;
}

/* A name that ends inside the string table and is not a mapping symbol ($x, $d, .L...). */
static const char *symbol_name(const struct table *names, uint32_t at)
{
	uint64_t i;

	if (at >= names->bytes || names->at[at] == '$' || names->at[at] == '.' || !names->at[at])
		return NULL;
	for (i = at; i < names->bytes && i - at < MAX_NAME; i++)
		if (!names->at[i])
			return (const char *)names->at + at;
	return NULL;
}

/* Symbols at one address: one that says how long it is beats a bare label. */
static bool better(uint64_t value, uint64_t size, const struct hull_elf_symbol *best)
{
	return value > best->value || (value == best->value && size && !best->size);
}

bool hull_elf_symbol_at(const void *data, size_t size, hull_va addr, struct hull_elf_symbol *ret)
{
	struct hull_elf_symbol best = { 0 };
	struct table symbols, names;
	uint64_t at;

	if (!is_elf64(data, size) || !find_symtab(data, size, &symbols, &names))
		return false;
	for (at = 0; at + SYM <= symbols.bytes; at += SYM) {
		const uint8_t *s = symbols.at + at;
		uint64_t value = load_le64(s + 8), bytes = load_le64(s + 16);
		unsigned type = s[4] & 15;
		const char *name;

		if (type == STT_OBJECT || type == STT_SECTION || type == STT_FILE ||
		    type == STT_TLS || !load_le16(s + 6) /* SHN_UNDEF */)
			continue;
		if (addr < value || (bytes && addr - value >= bytes))
			continue;
		if (best.name && !better(value, bytes, &best))
			continue;
		name = symbol_name(&names, load_le32(s));
		if (name)
			best = (struct hull_elf_symbol){ name, value, bytes };
	}
	if (best.name)
		*ret = best;
	return best.name;
}
