/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Small things that are written as a whole: a partition table (GPT), an archive for
 * the kernel's initial RAM disk (cpio, newc), and an ISO 9660 volume with a few files
 * (cloud-init's NoCloud seed).  Pure functions of their input: the same bytes every time.
 */
#ifndef HULL_MANAGE_INSTALL_VOLUMES_H
#define HULL_MANAGE_INSTALL_VOLUMES_H

#include <stdio.h>

#include <hull/error.h>
#include <hull/types.h>

/* One file of an archive or volume. */
struct hull_blob {
	const char *name; /* path without a leading '/' */
	uint32_t mode;    /* as in stat(2); an ISO volume has plain files only */
	const void *data; /* of a symbolic link: its target */
	size_t len;
	uint32_t rdev_major, rdev_minor;
};

enum { HULL_GPT_START = 1 << 20 /* bytes before the partition */ };

struct hull_gpt {
	uint64_t size; /* of the disk in bytes */
	uint8_t disk_uuid[16], part_uuid[16];
	uint8_t type[16]; /* as on disk: mixed-endian */
	const char *name; /* ASCII, at most 36 characters */
};

/* Where the one partition ends, so that its size is a multiple of 4096; 0: the disk is too small.
 */
uint64_t hull_gpt_end(uint64_t disk_size);

/* Write protective MBR, table and its copy (UEFI 2.10, chapter 5).  HULL_EIO (E0610). */
int hull_gpt_write(int fd, const struct hull_gpt *g, struct hull_err *err) HULL_CHECK_RESULT;

/* "0fc63daf-8483-4772-8e79-3d69d8477de4" to the bytes on disk (first three fields little-endian).
 */
bool hull_guid_parse(const char *text, uint8_t ret[16]);
/* And back; `ret` holds 37 bytes. */
void hull_guid_text(const uint8_t guid[16], char ret[37]);

/* Write a newc archive.  HULL_EIO (E0610). */
int hull_cpio_write(FILE *out, const struct hull_blob *files, size_t count,
                    struct hull_err *err) HULL_CHECK_RESULT;

/*
 * Write an ISO 9660 volume (ECMA-119) of at most 8 files in its root, with Rock Ridge names
 * (IEEE P1282), so that "user-data" is called so.  `label`: at most 32 capitals, digits and '_'.
 * `time`: seconds since 1970.  HULL_EINVAL, HULL_EIO (E0610).
 */
int hull_iso_write(FILE *out, const char *label, uint32_t time, const struct hull_blob *files,
                   size_t count, struct hull_err *err) HULL_CHECK_RESULT;

#endif
