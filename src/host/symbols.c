/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Names for addresses, from a kernel's ELF symbol table or the System.map
 * beside it.  Both files are hostile: every offset is checked against the size.
 */
#include "host/symbols.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/text.h"
#include "host/file.h"

enum { NAME_MAX_LEN = 64 };
#define SYMBOLS_MAX (UINT64_C(1) << 30)
#define MAP_MAX     (UINT64_C(64) << 20)

struct best {
	uint64_t pc, address;
	char name[NAME_MAX_LEN];
	bool found;
};

static void offer(struct best *b, uint64_t address, const char *name, size_t len)
{
	if (address > b->pc || (b->found && address < b->address) || !len)
		return;
	b->found = true;
	b->address = address;
	hull_format(b->name, sizeof(b->name), "%.*s", (int)MIN(len, sizeof(b->name) - 1), name);
}

static void search_table(struct best *b, const struct hull_file *f, const Elf64_Shdr *syms,
                         const Elf64_Shdr *strs)
{
	uint64_t n = syms->sh_size / sizeof(Elf64_Sym);

	if (!hull_range_within(syms->sh_offset, syms->sh_size, 0, f->size) ||
	    !hull_range_within(strs->sh_offset, strs->sh_size, 0, f->size))
		return;
	for (uint64_t i = 0; i < n; i++) {
		Elf64_Sym s;
		const char *name;

		memcpy(&s, f->data + syms->sh_offset + i * sizeof(s), sizeof(s));
		if (s.st_name >= strs->sh_size || s.st_shndx == SHN_UNDEF)
			continue;
		name = (const char *)f->data + strs->sh_offset + s.st_name;
		offer(b, s.st_value, name, strnlen(name, strs->sh_size - s.st_name));
	}
}

static void search_elf(struct best *b, const struct hull_file *f)
{
	Elf64_Ehdr h;
	Elf64_Shdr syms, strs;

	if (f->size < sizeof(h) || memcmp(f->data, ELFMAG, SELFMAG) ||
	    f->data[EI_CLASS] != ELFCLASS64)
		return;
	memcpy(&h, f->data, sizeof(h));
	if (h.e_shentsize != sizeof(syms) ||
	    !hull_range_within(h.e_shoff, (uint64_t)h.e_shnum * sizeof(syms), 0, f->size))
		return;
	for (unsigned i = 0; i < h.e_shnum; i++) {
		memcpy(&syms, f->data + h.e_shoff + i * sizeof(syms), sizeof(syms));
		if (syms.sh_type != SHT_SYMTAB || syms.sh_link >= h.e_shnum)
			continue;
		memcpy(&strs, f->data + h.e_shoff + syms.sh_link * sizeof(strs), sizeof(strs));
		search_table(b, f, &syms, &strs);
	}
}

/* Lines of "ffffffff80000000 T _start". */
static void search_map(struct best *b, const struct hull_file *f)
{
	const char *at = (const char *)f->data, *end = at + f->size;

	while (at < end) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));
		char *after;
		uint64_t address;

		if (!line_end)
			line_end = end;
		/* The file is followed by a NUL, so this ends. */
		address = strtoull(at, &after, 16);
		if (after > at && after + 3 < line_end && after[0] == ' ' && after[2] == ' ')
			offer(b, address, after + 3, (size_t)(line_end - after - 3));
		at = line_end + 1;
	}
}

/* "DIR/vmlinuz-VERSION" has its map in "DIR/System.map-VERSION". */
static bool map_path(const char *kernel, char *buf, size_t size)
{
	const char *slash = strrchr(kernel, '/');
	const char *base = slash ? slash + 1 : kernel;
	const char *dash = strchr(base, '-');

	return hull_format(buf, size, "%.*sSystem.map%s", (int)(base - kernel), kernel,
	                   dash ? dash : "") < size;
}

bool hull_doctor_symbol(const char *kernel, uint64_t pc, char *buf, size_t size)
{
	struct best b = { .pc = pc };
	struct hull_file f = { 0 };
	char path[512];

	if (!kernel)
		return false;
	if (!hull_file_read(kernel, SYMBOLS_MAX, &f, NULL)) {
		search_elf(&b, &f);
		hull_file_free(&f);
	}
	if (!b.found && map_path(kernel, path, sizeof(path)) &&
	    !hull_file_read(path, MAP_MAX, &f, NULL)) {
		search_map(&b, &f);
		hull_file_free(&f);
	}
	/* Farther than any function is long: the address is somewhere else. */
	if (!b.found || pc - b.address > UINT64_C(1) << 20)
		return false;
	hull_format(buf, size, "%s+0x%llx", b.name, (unsigned long long)(pc - b.address));
	return true;
}
