/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Kernel images: what a file is, and where its bytes go in guest memory.
 *
 * Planners only: they read a file's headers and produce a short list of
 * copies that the caller performs.  The file is hostile; a plan that is
 * returned has every range checked against the file and against guest memory.
 *
 * Specs: Linux Documentation/arch/riscv/boot-image-header.rst,
 * Documentation/arch/arm64/booting.rst, Documentation/arch/x86/boot.rst;
 * System V ABI, "Object Files" and "Program Loading" (ELF).
 *
 * Threading: pure functions.  Lifetime: nothing is kept but what is returned.
 *
 * Catalogue: E0104 wrong architecture, E0710 empty, E0711 compressed,
 * E0712 not a kernel that can be started directly, E0713 truncated,
 * E0714 malformed header, E0715 outside the guest's memory or misplaced,
 * E0716 segments overlap, E0717 entry point outside what is loaded,
 * E0718 a kernel whose boot protocol this machine does not offer.
 */
#ifndef HULL_FW_IMAGE_H
#define HULL_FW_IMAGE_H

#include <hull/error.h>
#include <hull/types.h>

#define HULL_IMAGE_MAX_SEGMENTS 32
#define HULL_IMAGE_ALIGN        (UINT64_C(2) << 20) /* where Linux wants its base */

enum hull_image_kind {
	HULL_IMAGE_RAW, /* nothing known: a flat binary */
	HULL_IMAGE_RISCV,
	HULL_IMAGE_ARM64,
	HULL_IMAGE_BZIMAGE,
	HULL_IMAGE_ELF,
	HULL_IMAGE_GZIP,       /* unpack it first: host/file.h */
	HULL_IMAGE_COMPRESSED, /* by something else, or an EFI self-extracting kernel */
	HULL_IMAGE_FOREIGN,    /* a disk, a device tree, an EFI program ... */
};

/* What a file is.  `name` is English, without an article ("RISC-V Linux Image"). */
struct hull_image_info {
	enum hull_image_kind kind;
	const char *name;
	bool has_isa; /* does the file say for which architecture it is? */
	enum hull_isa isa;
};

/* Recognise a file by its first bytes; never fails, `size` may be 0. */
struct hull_image_info hull_image_probe(const void *data, size_t size);

/* "riscv64", "aarch64" or "x86_64"; "?" for a value that is none. */
const char *hull_image_isa_name(enum hull_isa isa);

/* The machine that an image is meant for. */
struct hull_image_target {
	const char *name; /* the file's name for messages; NULL: "the image" */
	enum hull_isa isa;
	hull_gpa ram_base;
	uint64_t ram_size;
	bool has_load, has_entry; /* the user chose: */
	hull_gpa load;            /* where the lowest byte goes */
	hull_gpa entry;           /* where the first vCPU starts */
};

/* Copy file_bytes from offset to gpa, then zeros up to mem_bytes. */
struct hull_image_segment {
	hull_gpa gpa;
	uint64_t offset;
	uint64_t file_bytes;
	uint64_t mem_bytes; /* >= file_bytes, > 0 */
};

struct hull_image_plan {
	enum hull_image_kind kind;
	enum hull_isa isa; /* of the file, or of the target if the file does not say */
	hull_gpa entry;
	bool pvh;      /* x86_64: the entry is that of PVH, in 32-bit protected mode */
	hull_gpa low;  /* lowest address used */
	uint64_t span; /* from there to the end of the highest segment */
	unsigned count;
	struct hull_image_segment segments[HULL_IMAGE_MAX_SEGMENTS];
};

/*
 * Plan the loading of a whole file that is in memory.
 *
 * Linux Images go to the first 2 MiB boundary of RAM plus their text_offset.
 * A file longer than the image_size in its header (appended data) occupies
 * its own length.  A bzImage goes where it prefers to be.  ELF segments go to their physical
 * addresses; position independent ones that lie outside RAM move to the first 2 MiB boundary.  A
 * raw binary goes to the start of RAM.  Segments in the plan do not overlap.
 *
 * HULL_EINVAL for a bad target or placement, HULL_EFORMAT for a bad file,
 * HULL_ENOTSUP for a good file of the wrong kind; catalogue numbers above.
 */
int hull_image_plan(const void *data, size_t size, const struct hull_image_target *t,
                    struct hull_image_plan *plan, struct hull_err *err) HULL_CHECK_RESULT;

#endif
