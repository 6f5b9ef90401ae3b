/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Linux kernels for x86 (bzImage), started by their 64-bit entry point.
 *
 * Spec: Linux Documentation/arch/x86/boot.rst, protocol 2.12 to 2.15.  Offsets are those of the
 * file, which are also those of the parameters that the kernel gets.
 *
 * Files are hostile: what is taken over is checked field by field.  Threading: pure.
 */
#ifndef HULL_FW_BZIMAGE_H
#define HULL_FW_BZIMAGE_H

#include "fw/image_impl.h"

/* The set-up header: where it lies, and at most how long it is. */
enum { HULL_BZIMAGE_HEADER = 0x1f1, HULL_BZIMAGE_HEADER_END = 0x290 };

struct hull_bzimage {
	uint16_t version;     /* 0x20f: 2.15 */
	hull_gpa initrd_last; /* the highest address that the initrd may use */
	uint32_t cmdline_max; /* bytes of the command line without its end */
	uint16_t header_end;  /* offset of the first byte behind the header */
};

/*
 * Look at the header.  HULL_EFORMAT (E0713, E0714), HULL_ENOTSUP (E0718: too old, or for 32 bits
 * only) with the reason.
 */
int hull_bzimage_check(const void *data, size_t size, const char *name, struct hull_bzimage *ret,
                       struct hull_err *err) HULL_CHECK_RESULT;

/* Plan such a file; called by hull_image_plan(). */
int hull_bzimage_plan(struct image_job *job) HULL_CHECK_RESULT;

#endif
