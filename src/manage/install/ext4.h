/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A writer of ext4 file systems: first a size, then the data of files as they
 * come, then the names (tree.h) at once.  Sources: the ext4 layout documents of
 * the Linux kernel (Documentation/filesystems/ext4).
 *
 * The one idea: all bitmaps and inode tables stand together at the beginning
 * (flex_bg), so that the rest is one run of blocks, broken only by the
 * copies of the superblock.  Files are laid out one after the other.
 *
 * Not written: checksums of the metadata, hashed directories (Linux makes them when a
 * directory grows), room for the group table to grow.
 *
 * One thread.  The image file is the caller's; what is never written in it must read as zeroes.
 */
#ifndef HULL_MANAGE_INSTALL_EXT4_H
#define HULL_MANAGE_INSTALL_EXT4_H

#include "manage/install/tree.h"

enum { HULL_EXT4_BLOCK = 4096 };

/* Smallest and largest file system, in bytes. */
#define HULL_EXT4_MIN (UINT64_C(64) << 20)
#define HULL_EXT4_MAX (UINT64_C(8) << 40)

struct hull_ext4 {
	struct hull_tree tree;
	int fd;
	uint64_t start; /* byte of the file where the file system begins */
	uint32_t blocks, groups, inodes_per_group, desc_blocks;
	uint32_t bitmaps, itables; /* first block of the block bitmaps, of the inode tables */
	uint32_t next, used;       /* blocks */
	uint32_t time;
	uint8_t uuid[16], hash_seed[16];
	char label[16];
	uint8_t *map; /* a bit for each block that is in use */
	struct hull_tree_node *journal;
};

/* What the file system is to be. */
struct hull_ext4_params {
	int fd;
	uint64_t start, size; /* bytes; multiples of HULL_EXT4_BLOCK */
	uint32_t time;        /* of its making, seconds since 1970 */
	uint8_t uuid[16];
	const char *label; /* at most 16 bytes are kept */
};

/*
 * Lay out an empty file system.  hull_ext4_free() is due even on failure.
 * HULL_EOVERFLOW (E0609) if the size is not possible, HULL_ENOMEM (E0120).
 */
int hull_ext4_init(struct hull_ext4 *fs, const struct hull_ext4_params *p,
                   struct hull_err *err) HULL_CHECK_RESULT;
void hull_ext4_free(struct hull_ext4 *fs);

/*
 * Room for `size` bytes of a regular file of fs->tree; its contents are then written in any order
 * by hull_ext4_write(), at most up to that size.  HULL_EOVERFLOW (E0609): the disk is full.
 */
int hull_ext4_reserve(struct hull_ext4 *fs, struct hull_tree_node *file, uint64_t size,
                      struct hull_err *err) HULL_CHECK_RESULT;

/* Write a part of a file.  HULL_EIO (E0610): the host's file system is full, or fails. */
int hull_ext4_write(struct hull_ext4 *fs, const struct hull_tree_node *file, uint64_t offset,
                    const void *data, size_t len, struct hull_err *err) HULL_CHECK_RESULT;

/* Both for a file whose contents are in memory: make it, or replace it. */
int hull_ext4_put(struct hull_ext4 *fs, const char *path, const struct hull_tree_attr *attr,
                  const void *data, size_t len, struct hull_err *err) HULL_CHECK_RESULT;

/* Bytes that are still free for files. */
uint64_t hull_ext4_left(const struct hull_ext4 *fs);

/* Write everything but the contents of files.  Once, at the end. */
int hull_ext4_finish(struct hull_ext4 *fs, struct hull_err *err) HULL_CHECK_RESULT;

#endif
