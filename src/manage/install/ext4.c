/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/install/ext4.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/os/os.h"

enum {
	BLOCK = HULL_EXT4_BLOCK,
	GROUP_BLOCKS = 32768,
	INODE_SIZE = 256,
	EXTENT_BLOCKS = 32768, /* most blocks of one extent */
	INODE_BYTES = 32768,   /* bytes of disk for each inode */
	ROOT_INO = 2,
	JOURNAL_INO = 8,
	FIRST_INO = 11, /* lost+found */
	DESC_SIZE = 32,
	RESERVED_PERCENT = 5,
};

/* Features (kernel documentation, "Super Block"). */
enum {
	COMPAT = 0x4 | 0x8 | 0x20,                 /* has_journal ext_attr dir_index */
	INCOMPAT = 0x2 | 0x40 | 0x200,             /* filetype extent flex_bg */
	RO_COMPAT = 0x1 | 0x2 | 0x8 | 0x20 | 0x40, /* sparse_super large_file huge_file dir_nlink
	                                               extra_isize */
};

static int no_memory(struct hull_err *err)
{
	return hull_fail(err, HULL_ENOMEM, 120, "no memory for the map of the disk");
}

static int full(struct hull_err *err)
{
	hull_fail(err, HULL_EOVERFLOW, 609, "the disk is too small for what is to be installed");
	hull_err_fix(err, "ask for a larger one: --disk 20G");
	return HULL_EOVERFLOW;
}

static int write_at(const struct hull_ext4 *fs, uint64_t offset, const void *data, size_t len,
                    struct hull_err *err)
{
	const uint8_t *p = data;

	for (offset += fs->start; len;) {
		ssize_t n = pwrite(fs->fd, p, len, (off_t)offset);
		char reason[64];

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			hull_fail(err, HULL_EIO, 610, "the disk image cannot be written: %s",
			          hull_os_reason(n ? errno : ENOSPC, reason, sizeof(reason)));
			hull_err_fix(err, "make room on the host's file system, or use --into");
			return HULL_EIO;
		}
		p += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_block(const struct hull_ext4 *fs, uint32_t block, const void *data,
                       struct hull_err *err)
{
	return write_at(fs, (uint64_t)block * BLOCK, data, BLOCK, err);
}

static void take(struct hull_ext4 *fs, uint32_t block, uint32_t count)
{
	fs->used += count;
	for (; count; count--, block++)
		fs->map[block / 8] |= (uint8_t)(1U << block % 8);
}

static void give_back(void *arg, struct hull_tree_node *file)
{
	struct hull_ext4 *fs = arg;

	for (uint32_t i = 0; i < file->nextents; i++) {
		fs->used -= file->extents[i].len;
		for (uint32_t b = 0; b < file->extents[i].len; b++)
			fs->map[(file->extents[i].at + b) / 8] &=
				(uint8_t)~(1U << (file->extents[i].at + b) % 8);
	}
	file->nextents = 0;
}

static bool is_power_of(uint32_t n, uint32_t base)
{
	while (n > 1 && n % base == 0)
		n /= base;
	return n == 1;
}

/* sparse_super: groups 0, 1 and powers of 3, 5, 7. */
static bool has_super(uint32_t group)
{
	return group <= 1 || is_power_of(group, 3) || is_power_of(group, 5) ||
	       is_power_of(group, 7);
}

static uint32_t itable_blocks(const struct hull_ext4 *fs)
{
	return fs->inodes_per_group * INODE_SIZE / BLOCK;
}

static uint32_t block_bitmap(const struct hull_ext4 *fs, uint32_t group)
{
	return fs->bitmaps + group;
}

static uint32_t inode_bitmap(const struct hull_ext4 *fs, uint32_t group)
{
	return fs->bitmaps + fs->groups + group;
}

/* The next `want` free blocks in one run, or as many as there are before something else. */
static struct hull_tree_extent next_run(struct hull_ext4 *fs, uint32_t want)
{
	struct hull_tree_extent e = { 0 };

	while (fs->next < fs->blocks && fs->map[fs->next / 8] & 1U << fs->next % 8)
		fs->next++;
	e.at = fs->next;
	while (fs->next < fs->blocks && e.len < want &&
	       !(fs->map[fs->next / 8] & 1U << fs->next % 8)) {
		e.len++;
		fs->next++;
	}
	take(fs, e.at, e.len);
	return e;
}

static int allocate(struct hull_ext4 *fs, struct hull_tree_node *n, uint32_t want,
                    struct hull_err *err)
{
	n->nextents = 0;
	while (want) {
		struct hull_tree_extent e = next_run(fs, MIN(want, (uint32_t)EXTENT_BLOCKS));

		if (!e.len || n->nextents == HULL_TREE_EXTENTS) {
			if (!e.len)
				return full(err);
			return hull_fail(err, HULL_ENOTSUP, 608,
			                 "a package has a file of more than 384 MiB");
		}
		n->extents[n->nextents++] = e;
		want -= e.len;
	}
	return 0;
}

uint64_t hull_ext4_left(const struct hull_ext4 *fs)
{
	return (uint64_t)(fs->blocks - MAX(fs->used, fs->next)) * BLOCK;
}

int hull_ext4_reserve(struct hull_ext4 *fs, struct hull_tree_node *file, uint64_t size,
                      struct hull_err *err)
{
	give_back(fs, file);
	if (size > hull_ext4_left(fs))
		return full(err);
	file->size = size;
	return allocate(fs, file, (uint32_t)((size + BLOCK - 1) / BLOCK), err);
}

int hull_ext4_write(struct hull_ext4 *fs, const struct hull_tree_node *file, uint64_t offset,
                    const void *data, size_t len, struct hull_err *err)
{
	const uint8_t *p = data;
	int r = 0;

	for (uint32_t i = 0; !r && len && i < file->nextents; i++) {
		uint64_t bytes = (uint64_t)file->extents[i].len * BLOCK;
		size_t part;

		if (offset >= bytes) {
			offset -= bytes;
			continue;
		}
		part = (size_t)MIN(bytes - offset, (uint64_t)len);
		r = write_at(fs, (uint64_t)file->extents[i].at * BLOCK + offset, p, part, err);
		p += part;
		len -= part;
		offset = 0;
	}
	return r;
}

int hull_ext4_put(struct hull_ext4 *fs, const char *path, const struct hull_tree_attr *attr,
                  const void *data, size_t len, struct hull_err *err)
{
	struct hull_tree_attr file = *attr;
	struct hull_tree_node *n;
	int r;

	file.mode = S_IFREG | (attr->mode & 07777);
	r = hull_tree_add(&fs->tree, path, &file, &n, err);
	if (!r)
		r = hull_ext4_reserve(fs, n, len, err);
	return r ? r : hull_ext4_write(fs, n, 0, data, len, err);
}

static uint32_t journal_blocks(uint32_t blocks)
{
	return blocks < 32768 ? 1024 : blocks < 262144 ? 4096 : 16384; /* as mke2fs chooses */
}

static int set_sizes(struct hull_ext4 *fs, uint64_t size, struct hull_err *err)
{
	uint32_t last;

	if (size < HULL_EXT4_MIN || size > HULL_EXT4_MAX)
		return full(err);
	fs->blocks = (uint32_t)(size / BLOCK);
	/* A last group that is too small to hold its own superblock is left out. */
	last = fs->blocks % GROUP_BLOCKS;
	if (last && last < 2048)
		fs->blocks -= last;
	fs->groups = (fs->blocks + GROUP_BLOCKS - 1) / GROUP_BLOCKS;
	fs->desc_blocks = (fs->groups * DESC_SIZE + BLOCK - 1) / BLOCK;
	fs->inodes_per_group = GROUP_BLOCKS / (INODE_BYTES / BLOCK);
	if (fs->blocks < 4 * GROUP_BLOCKS)
		fs->inodes_per_group *= 4; /* small disks hold many small files */
	fs->bitmaps = 1 + fs->desc_blocks;
	return 0;
}

/* Superblocks, group tables, bitmaps and inode tables are not for files. */
static int take_metadata(struct hull_ext4 *fs, struct hull_err *err)
{
	uint64_t want = 2 * (uint64_t)fs->groups, tables = (uint64_t)fs->groups * itable_blocks(fs);
	uint32_t at;

	for (uint32_t g = 0; g < fs->groups; g++)
		if (has_super(g))
			take(fs, g * GROUP_BLOCKS, 1 + fs->desc_blocks);
	if (fs->bitmaps + want > GROUP_BLOCKS)
		return full(err);
	take(fs, fs->bitmaps, (uint32_t)want);
	/* The tables are found by the group's descriptor; each is in one piece. */
	fs->itables = fs->bitmaps + (uint32_t)want;
	if (fs->itables + tables > fs->blocks)
		return full(err);
	at = fs->itables;
	for (uint32_t g = 0; g < fs->groups; g++) {
		uint32_t n = itable_blocks(fs), b = at;

		for (; b < at + n; b++)
			if (b < fs->blocks && fs->map[b / 8] & 1U << b % 8) {
				/* A copy of the superblock is in the way: begin behind it. */
				at = b + 1;
			}
		if (at + n > fs->blocks)
			return full(err);
		take(fs, at, n);
		at += n;
	}
	fs->next = at;
	return 0;
}

static int add_lost_found(struct hull_ext4 *fs, struct hull_err *err)
{
	struct hull_tree_attr attr = { .mode = S_IFDIR | 0700, .mtime = fs->time };
	struct hull_tree_node *n;

	return hull_tree_add(&fs->tree, "lost+found", &attr, &n, err);
}

int hull_ext4_init(struct hull_ext4 *fs, const struct hull_ext4_params *p, struct hull_err *err)
{
	int r;

	memset(fs, 0, sizeof(*fs));
	fs->fd = p->fd;
	fs->start = p->start;
	fs->time = p->time;
	memcpy(fs->uuid, p->uuid, sizeof(fs->uuid));
	memcpy(fs->hash_seed, p->uuid, sizeof(fs->hash_seed));
	memcpy(fs->label, p->label, strnlen(p->label, sizeof(fs->label)));
	r = set_sizes(fs, p->size, err);
	if (r)
		return r;
	fs->map = calloc((size_t)fs->groups, GROUP_BLOCKS / 8);
	if (!fs->map)
		return no_memory(err);
	r = take_metadata(fs, err);
	if (!r)
		r = hull_tree_init(&fs->tree, p->time, err);
	fs->tree.dropped = give_back;
	fs->tree.arg = fs;
	if (r)
		return r;
	fs->journal = hull_pool_alloc(&fs->tree.pool, sizeof(*fs->journal));
	if (!fs->journal)
		return no_memory(err);
	fs->journal->mode = S_IFREG | 0600;
	fs->journal->links = 1;
	fs->journal->ino = JOURNAL_INO;
	fs->journal->mtime = fs->time;
	r = hull_ext4_reserve(fs, fs->journal, (uint64_t)journal_blocks(fs->blocks) * BLOCK, err);
	return r ? r : add_lost_found(fs, err);
}

void hull_ext4_free(struct hull_ext4 *fs)
{
	if (!fs)
		return;
	hull_tree_free(&fs->tree);
	free(fs->map);
	memset(fs, 0, sizeof(*fs));
	fs->fd = -1;
}

/* The first block of a group's inode table: the same walk as take_metadata(). */
static void itable_places(const struct hull_ext4 *fs, uint32_t *places)
{
	uint32_t at = fs->itables, n = itable_blocks(fs);

	for (uint32_t g = 0; g < fs->groups; g++) {
		for (uint32_t b = at; b < at + n; b++) {
			uint32_t in = b % GROUP_BLOCKS;

			if (has_super(b / GROUP_BLOCKS) && in < 1 + fs->desc_blocks)
				at = b + 1;
		}
		places[g] = at;
		at += n;
	}
}

static void store_block_map(const struct hull_tree_node *n, uint8_t *i_block)
{
	uint32_t first = 0;

	store_le16(i_block, 0xf30a);
	store_le16(i_block + 2, (uint16_t)n->nextents);
	store_le16(i_block + 4, HULL_TREE_EXTENTS);
	for (uint32_t i = 0; i < n->nextents; i++) {
		uint8_t *e = i_block + 12 + i * 12;

		store_le32(e, first);
		store_le16(e + 4, (uint16_t)n->extents[i].len);
		store_le32(e + 8, n->extents[i].at);
		first += n->extents[i].len;
	}
}

static uint64_t blocks_of(const struct hull_tree_node *n)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n->nextents; i++)
		sum += n->extents[i].len;
	return sum;
}

static void store_inode(const struct hull_tree_node *n, uint8_t inode[INODE_SIZE])
{
	uint64_t sectors = blocks_of(n) * (BLOCK / 512);
	bool fast = S_ISLNK(n->mode) && !n->nextents;
	uint32_t major = n->rdev_major, minor = n->rdev_minor;

	memset(inode, 0, INODE_SIZE);
	store_le16(inode, (uint16_t)n->mode);
	store_le16(inode + 0x02, (uint16_t)n->uid);
	store_le32(inode + 0x04, (uint32_t)n->size);
	store_le32(inode + 0x08, n->mtime);
	store_le32(inode + 0x0c, n->mtime);
	store_le32(inode + 0x10, n->mtime);
	store_le16(inode + 0x18, (uint16_t)n->gid);
	/* dir_nlink: a directory of more than 64998 others has a count of 1. */
	store_le16(inode + 0x1a, (uint16_t)(n->links > 64998 ? 1 : n->links));
	store_le32(inode + 0x1c, (uint32_t)sectors);
	if (fast) {
		memcpy(inode + 0x28, n->target, n->size);
	} else if (S_ISREG(n->mode) || S_ISDIR(n->mode) || S_ISLNK(n->mode)) {
		store_le32(inode + 0x20, 0x80000); /* EXT4_EXTENTS_FL */
		store_block_map(n, inode + 0x28);
	} else {
		store_le32(inode + 0x2c, (minor & 0xff) | major << 8 | (minor & ~0xffU) << 12);
	}
	store_le32(inode + 0x6c, (uint32_t)(n->size >> 32));
	store_le16(inode + 0x78, (uint16_t)(n->uid >> 16));
	store_le16(inode + 0x7a, (uint16_t)(n->gid >> 16));
	store_le16(inode + 0x80, 32); /* i_extra_isize */
	store_le32(inode + 0x90, n->mtime);
}

static uint8_t entry_type(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return 1;
	case S_IFDIR: return 2;
	case S_IFCHR: return 3;
	case S_IFBLK: return 4;
	case S_IFIFO: return 5;
	case S_IFSOCK: return 6;
	default: return 7;
	}
}

/* A directory's block while it is filled. */
struct dir_block {
	uint8_t data[BLOCK];
	size_t at, last; /* end of the entries; where the last one begins */
};

static void dir_put(struct dir_block *b, const char *name, const struct hull_tree_node *n)
{
	size_t len = strlen(name), size = align_up(8 + len, 4);
	uint8_t *e = b->data + b->at;

	store_le32(e, n->ino);
	store_le16(e + 4, (uint16_t)size);
	e[6] = (uint8_t)len;
	e[7] = entry_type(n->mode);
	memcpy(e + 8, name, len);
	b->last = b->at;
	b->at += size;
}

static bool dir_fits(const struct dir_block *b, const char *name)
{
	return b->at + align_up(8 + strlen(name), 4) <= BLOCK;
}

/* The last entry reaches to the end of the block. */
static void dir_close(struct dir_block *b)
{
	store_le16(b->data + b->last + 4, (uint16_t)(BLOCK - b->last));
}

static uint32_t dir_count(const struct hull_tree_node *dir)
{
	struct dir_block b = { .at = 24 };
	uint32_t blocks = 1;

	for (uint32_t i = 0; i < dir->nentries; i++) {
		if (!dir_fits(&b, dir->entries[i].name)) {
			blocks++;
			b.at = 0;
		}
		b.at += align_up(8 + strlen(dir->entries[i].name), 4);
	}
	return blocks;
}

static int write_dir(struct hull_ext4 *fs, const struct hull_tree_node *dir, struct hull_err *err)
{
	struct dir_block b = { 0 };
	uint64_t offset = 0;
	int r = 0;

	dir_put(&b, ".", dir);
	dir_put(&b, "..", dir->parent);
	for (uint32_t i = 0; !r && i < dir->nentries; i++) {
		if (!dir_fits(&b, dir->entries[i].name)) {
			dir_close(&b);
			r = hull_ext4_write(fs, dir, offset, b.data, BLOCK, err);
			memset(&b, 0, sizeof(b));
			offset += BLOCK;
		}
		dir_put(&b, dir->entries[i].name, dir->entries[i].node);
	}
	dir_close(&b);
	if (!r)
		r = hull_ext4_write(fs, dir, offset, b.data, BLOCK, err);
	/* What lost+found has beyond its entries is there so that fsck need not allocate. */
	memset(&b, 0, sizeof(b));
	dir_close(&b);
	for (offset += BLOCK; !r && offset < dir->size; offset += BLOCK)
		r = hull_ext4_write(fs, dir, offset, b.data, BLOCK, err);
	return r;
}

/* Places for what has no data yet: directories and long symbolic links. */
static int place(struct hull_ext4 *fs, struct hull_tree_node *n, struct hull_err *err)
{
	uint32_t blocks = n->ino == FIRST_INO ? 4 : 1;
	int r;

	if (S_ISDIR(n->mode))
		return hull_ext4_reserve(fs, n, (uint64_t)MAX(dir_count(n), blocks) * BLOCK, err);
	if (!S_ISLNK(n->mode) || n->size < 60)
		return 0;
	r = hull_ext4_reserve(fs, n, n->size, err);
	return r ? r : hull_ext4_write(fs, n, 0, n->target, n->size, err);
}

static int number_nodes(struct hull_ext4 *fs, uint32_t *ret_used, struct hull_err *err)
{
	uint32_t ino = FIRST_INO;
	int r = 0;

	for (struct hull_tree_node *n = fs->tree.root; n && !r; n = n->next) {
		if (!n->links)
			continue;
		n->ino = n == fs->tree.root ? ROOT_INO : ino++;
		if (n->ino > fs->inodes_per_group * (uint64_t)fs->groups)
			return full(err);
		r = place(fs, n, err);
	}
	*ret_used = ino - 1;
	return r;
}

static int write_inode(struct hull_ext4 *fs, const uint32_t *places, const struct hull_tree_node *n,
                       struct hull_err *err)
{
	uint32_t group = (n->ino - 1) / fs->inodes_per_group;
	uint32_t index = (n->ino - 1) % fs->inodes_per_group;
	uint8_t inode[INODE_SIZE];

	store_inode(n, inode);
	return write_at(fs, (uint64_t)places[group] * BLOCK + (uint64_t)index * INODE_SIZE, inode,
	                sizeof(inode), err);
}

static int write_nodes(struct hull_ext4 *fs, const uint32_t *places, struct hull_err *err)
{
	int r = write_inode(fs, places, fs->journal, err);

	for (struct hull_tree_node *n = fs->tree.root; n && !r; n = n->next) {
		if (!n->links)
			continue;
		r = write_inode(fs, places, n, err);
		if (!r && S_ISDIR(n->mode))
			r = write_dir(fs, n, err);
	}
	return r;
}

/* Format of the journal: kernel documentation, "Journal (jbd2)"; big-endian. */
static int write_journal(struct hull_ext4 *fs, struct hull_err *err)
{
	uint8_t b[BLOCK] = { 0 };

	store_be32(b, 0xc03b3998);
	store_be32(b + 4, 4);
	store_be32(b + 0x0c, BLOCK);
	store_be32(b + 0x10, (uint32_t)(fs->journal->size / BLOCK));
	store_be32(b + 0x14, 1); /* first block of the log */
	store_be32(b + 0x18, 1); /* first sequence number */
	memcpy(b + 0x30, fs->uuid, 16);
	store_be32(b + 0x40, 1); /* users */
	return hull_ext4_write(fs, fs->journal, 0, b, sizeof(b), err);
}

static uint32_t group_blocks(const struct hull_ext4 *fs, uint32_t group)
{
	return MIN(fs->blocks - group * GROUP_BLOCKS, (uint32_t)GROUP_BLOCKS);
}

/* Bits from `used` on are set up to the end of the block: they stand for nothing. */
static void pad_bitmap(uint8_t *map, uint32_t valid)
{
	for (uint32_t i = valid; i < BLOCK * 8; i++)
		map[i / 8] |= (uint8_t)(1U << i % 8);
}

static uint32_t count_bits(const uint8_t *map, uint32_t bits)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < bits; i++)
		n += map[i / 8] >> i % 8 & 1;
	return n;
}

static void count_dirs(const struct hull_ext4 *fs, uint16_t *dirs)
{
	for (const struct hull_tree_node *n = fs->tree.root; n; n = n->next)
		if (n->links && S_ISDIR(n->mode))
			dirs[(n->ino - 1) / fs->inodes_per_group]++;
}

static int write_group(struct hull_ext4 *fs, uint32_t g, uint32_t inodes, uint8_t *desc,
                       struct hull_err *err)
{
	uint8_t map[BLOCK];
	uint32_t first = g * fs->inodes_per_group, mine = 0, valid = group_blocks(fs, g);
	int r;

	memcpy(map, fs->map + (size_t)g * (GROUP_BLOCKS / 8), BLOCK);
	store_le16(desc + 0x0c, (uint16_t)(valid - count_bits(map, valid)));
	pad_bitmap(map, valid);
	r = write_block(fs, block_bitmap(fs, g), map, err);
	if (r)
		return r;
	memset(map, 0, sizeof(map));
	if (inodes > first)
		mine = MIN(inodes - first, fs->inodes_per_group);
	for (uint32_t i = 0; i < mine; i++)
		map[i / 8] |= (uint8_t)(1U << i % 8);
	pad_bitmap(map, fs->inodes_per_group);
	store_le32(desc, block_bitmap(fs, g));
	store_le32(desc + 4, inode_bitmap(fs, g));
	store_le16(desc + 0x0e, (uint16_t)(fs->inodes_per_group - mine));
	return write_block(fs, inode_bitmap(fs, g), map, err);
}

static void store_super(const struct hull_ext4 *fs, uint32_t inodes, uint8_t *s)
{
	uint8_t map[60];

	store_le32(s, fs->inodes_per_group * fs->groups);
	store_le32(s + 0x04, fs->blocks);
	store_le32(s + 0x08, (uint32_t)((uint64_t)fs->blocks * RESERVED_PERCENT / 100));
	store_le32(s + 0x0c, fs->blocks - fs->used);
	store_le32(s + 0x10, fs->inodes_per_group * fs->groups - inodes);
	store_le32(s + 0x18, 2); /* 4096-byte blocks */
	store_le32(s + 0x1c, 2);
	store_le32(s + 0x20, GROUP_BLOCKS);
	store_le32(s + 0x24, GROUP_BLOCKS);
	store_le32(s + 0x28, fs->inodes_per_group);
	store_le32(s + 0x30, fs->time);
	store_le16(s + 0x36, 0xffff);
	store_le16(s + 0x38, 0xef53);
	store_le16(s + 0x3a, 1); /* clean */
	store_le16(s + 0x3c, 1); /* go on after errors */
	store_le32(s + 0x40, fs->time);
	store_le32(s + 0x4c, 1); /* dynamic inode sizes */
	store_le32(s + 0x54, FIRST_INO);
	store_le16(s + 0x58, INODE_SIZE);
	store_le32(s + 0x5c, COMPAT);
	store_le32(s + 0x60, INCOMPAT);
	store_le32(s + 0x64, RO_COMPAT);
	memcpy(s + 0x68, fs->uuid, 16);
	memcpy(s + 0x78, fs->label, 16);
	store_le32(s + 0xe0, JOURNAL_INO);
	memcpy(s + 0xec, fs->hash_seed, 16);
	s[0xfc] = 1;                /* half MD4 */
	s[0xfd] = 1;                /* a copy of the journal's inode follows */
	store_le32(s + 0x100, 0xc); /* user_xattr acl */
	store_le32(s + 0x108, fs->time);
	memset(map, 0, sizeof(map));
	store_block_map(fs->journal, map);
	memcpy(s + 0x10c, map, sizeof(map));
	store_le32(s + 0x14c, (uint32_t)fs->journal->size);
	store_le16(s + 0x15c, 32);
	store_le16(s + 0x15e, 32);
	store_le32(s + 0x160, 1); /* signed hashes of directories */
	s[0x174] = 31;            /* one flexible group */
}

static int write_supers(struct hull_ext4 *fs, uint32_t inodes, const uint8_t *descs,
                        struct hull_err *err)
{
	uint8_t s[1024] = { 0 };
	int r = 0;

	store_super(fs, inodes, s);
	for (uint32_t g = 0; g < fs->groups && !r; g++) {
		uint64_t at = (uint64_t)g * GROUP_BLOCKS * BLOCK;

		if (!has_super(g))
			continue;
		store_le16(s + 0x5a, (uint16_t)g);
		r = write_at(fs, g ? at : 1024, s, sizeof(s), err);
		if (!r)
			r = write_at(fs, at + BLOCK, descs, (size_t)fs->desc_blocks * BLOCK, err);
	}
	return r;
}

int hull_ext4_finish(struct hull_ext4 *fs, struct hull_err *err)
{
	uint8_t *descs = calloc(fs->desc_blocks, BLOCK);
	uint32_t *places = calloc(fs->groups, sizeof(*places)), inodes = 0;
	uint16_t *dirs = calloc(fs->groups, sizeof(*dirs));
	int r = descs && places && dirs ? 0 : no_memory(err);

	if (!r)
		r = number_nodes(fs, &inodes, err);
	if (!r) {
		itable_places(fs, places);
		count_dirs(fs, dirs);
		r = write_nodes(fs, places, err);
	}
	for (uint32_t g = 0; !r && g < fs->groups; g++) {
		uint8_t *d = descs + (size_t)g * DESC_SIZE;

		store_le32(d + 8, places[g]);
		store_le16(d + 0x10, dirs[g]);
		r = write_group(fs, g, inodes, d, err);
	}
	if (!r)
		r = write_journal(fs, err);
	if (!r)
		r = write_supers(fs, inodes, descs, err);
	free(descs);
	free(places);
	free(dirs);
	return r;
}
