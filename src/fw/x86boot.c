/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Start of x86_64 kernels; see fw/x86boot.h. */
#include "fw/x86boot.h"

#include "base/bits.h"
#include "base/mem.h"
#include "fw/bzimage.h"

enum { /* the zero page */
       RSDP = 0x070,
       EXT_INITRD = 0x0c0,
       EXT_INITRD_SIZE = 0x0c4,
       EXT_CMDLINE = 0x0c8,
       E820_COUNT = 0x1e8,
       BOOT_FLAG = 0x1fe,
       MAGIC = 0x202,
       VERSION = 0x206,
       LOADER = 0x210,
       INITRD = 0x218,
       INITRD_SIZE = 0x21c,
       CMDLINE = 0x228,
       ALIGNMENT = 0x230,
       SETUP_DATA = 0x250,
       E820 = 0x2d0,
       E820_ENTRY = 20,
};
enum { LOADER_OTHER = 0xff, SETUP_RNG_SEED = 9 };
enum { PVH_VERSION = 1, PVH_INFO = 56, PVH_MODULE = 32, PVH_RANGE = 24 };
enum { PRESENT = 1, WRITABLE = 2, LARGE = 0x80 };

void hull_x86_boot_params(const struct hull_x86_boot *b, const void *kernel, uint8_t page[4096])
{
	const uint8_t *k = kernel;

	memset(page, 0, 4096);
	if (k) {
		memcpy(page + HULL_BZIMAGE_HEADER, k + HULL_BZIMAGE_HEADER,
		       0x202u + k[0x201] - HULL_BZIMAGE_HEADER);
	} else {
		store_le16(page + BOOT_FLAG, 0xaa55);
		memcpy(page + MAGIC, "HdrS", 4);
		store_le16(page + VERSION, 0x20f);
		store_le32(page + ALIGNMENT, 2 << 20);
	}
	page[LOADER] = LOADER_OTHER;
	store_le64(page + RSDP, b->rsdp);
	store_le32(page + INITRD, (uint32_t)b->initrd);
	store_le32(page + EXT_INITRD, (uint32_t)(b->initrd >> 32));
	store_le32(page + INITRD_SIZE, (uint32_t)b->initrd_bytes);
	store_le32(page + EXT_INITRD_SIZE, (uint32_t)(b->initrd_bytes >> 32));
	store_le32(page + CMDLINE, (uint32_t)b->cmdline);
	store_le32(page + EXT_CMDLINE, (uint32_t)(b->cmdline >> 32));
	store_le64(page + SETUP_DATA, b->setup_data);
	page[E820_COUNT] = (uint8_t)b->nmap;
	for (unsigned i = 0; i < b->nmap; i++) {
		uint8_t *e = page + E820 + (size_t)i * E820_ENTRY;

		store_le64(e, b->map[i].start);
		store_le64(e + 8, b->map[i].length);
		store_le32(e + 16, b->map[i].type);
	}
}

void hull_x86_seed(const uint8_t seed[32], uint8_t node[HULL_X86_SEED_BYTES])
{
	store_le64(node, 0); /* the last one */
	store_le32(node + 8, SETUP_RNG_SEED);
	store_le32(node + 12, 32);
	memcpy(node + 16, seed, 32);
}

void hull_x86_pvh_info(const struct hull_x86_boot *b, hull_gpa at, uint8_t page[4096])
{
	uint8_t *module = page + PVH_INFO + 8, *map = module + PVH_MODULE;

	memset(page, 0, 4096);
	store_le32(page, 0x336ec578);
	store_le32(page + 4, PVH_VERSION);
	store_le32(page + 12, b->initrd_bytes ? 1 : 0);
	store_le64(page + 16, b->initrd_bytes ? at + (hull_gpa)(module - page) : 0);
	store_le64(page + 24, b->cmdline);
	store_le64(page + 32, b->rsdp);
	store_le64(page + 40, at + (hull_gpa)(map - page));
	store_le32(page + 48, b->nmap);
	store_le64(module, b->initrd);
	store_le64(module + 8, b->initrd_bytes);
	for (unsigned i = 0; i < b->nmap; i++) {
		store_le64(map + (size_t)i * PVH_RANGE, b->map[i].start);
		store_le64(map + (size_t)i * PVH_RANGE + 8, b->map[i].length);
		store_le32(map + (size_t)i * PVH_RANGE + 16, b->map[i].type);
	}
}

void hull_x86_page_table(unsigned n, hull_gpa at, uint8_t page[4096])
{
	memset(page, 0, 4096);
	if (n == 0)
		store_le64(page, (at + 4096) | PRESENT | WRITABLE);
	for (unsigned i = 0; n == 1 && i < 4; i++)
		store_le64(page + (size_t)i * 8, (at + (2 + i) * 4096u) | PRESENT | WRITABLE);
	for (unsigned i = 0; n > 1 && i < 512; i++)
		store_le64(page + (size_t)i * 8, ((hull_gpa)(n - 2) << 30 | (hull_gpa)i << 21) |
		                                         PRESENT | WRITABLE | LARGE);
}

/* SDM vol. 3, 3.4.5: flat segments, accessed; a task that is busy at 0. */
void hull_x86_gdt(uint8_t gdt[HULL_X86_GDT_BYTES])
{
	memset(gdt, 0, HULL_X86_GDT_BYTES);
	store_le64(gdt + HULL_X86_CODE64, UINT64_C(0x00af9b000000ffff));
	store_le64(gdt + HULL_X86_DATA, UINT64_C(0x00cf93000000ffff));
	store_le64(gdt + HULL_X86_TSS, UINT64_C(0x00008b0000000067));
	store_le64(gdt + HULL_X86_CODE32, UINT64_C(0x00cf9b000000ffff));
}
