/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A tree of files in memory: names, owners, modes and links of a file system
 * that is going to be written.  Nothing of it touches the host's files, so paths
 * from packages can do no harm: ".." is refused and symbolic links lead nowhere but
 * into the tree itself.
 *
 * Memory: everything lives until hull_tree_free().  One thread.
 */
#ifndef HULL_MANAGE_INSTALL_TREE_H
#define HULL_MANAGE_INSTALL_TREE_H

#include <hull/error.h>
#include <hull/types.h>
#include "manage/pool.h"

enum {
	HULL_TREE_EXTENTS = 4,     /* what an ext4 inode holds itself */
	HULL_TREE_PATH_MAX = 4096, /* bytes with the end */
	HULL_TREE_NAME_MAX = 255,
};

/* A run of blocks of a file. */
struct hull_tree_extent {
	uint32_t at; /* block of the disk */
	uint32_t len;
};

struct hull_tree_node;

struct hull_tree_entry {
	const char *name;
	struct hull_tree_node *node;
};

/* A file of any kind; `mode` has the kind as in stat(2). */
struct hull_tree_node {
	struct hull_tree_node *parent; /* of a directory */
	struct hull_tree_node *next;   /* in the order in which nodes were made */
	uint32_t mode, uid, gid;
	uint32_t mtime;      /* seconds since 1970 */
	uint32_t links, ino; /* `ino` is the writer's */
	uint32_t rdev_major, rdev_minor;
	uint64_t size;               /* bytes of a regular file, length of a symbolic link */
	const char *target;          /* of a symbolic link */
	uint32_t nentries, capacity; /* of a directory */
	struct hull_tree_entry *entries;
	uint32_t nextents;
	struct hull_tree_extent extents[HULL_TREE_EXTENTS];
};

struct hull_tree {
	struct hull_pool pool;
	struct hull_tree_node *root, *last;
	uint32_t nodes;
	void (*dropped)(void *arg, struct hull_tree_node *node); /* its last name is gone */
	void *arg;
};

/* What a new file is like. */
struct hull_tree_attr {
	uint32_t mode, uid, gid, mtime;
};

/* A tree with an empty root directory.  HULL_ENOMEM (E0120). */
int hull_tree_init(struct hull_tree *t, uint32_t mtime, struct hull_err *err) HULL_CHECK_RESULT;
void hull_tree_free(struct hull_tree *t);

/* The file that a path names; `follow`: through a symbolic link at its end.  NULL: there is none.
 */
struct hull_tree_node *hull_tree_find(const struct hull_tree *t, const char *path, bool follow);

/*
 * Make a file.  Its directories are made if missing.  A directory that exists gets the new
 * attributes; of a directory over a link to a directory nothing changes; anything else that has the
 * name is replaced.  *ret is the file, owned by the tree.  HULL_EFORMAT (E0608): impossible path;
 * HULL_ENOMEM.
 */
int hull_tree_add(struct hull_tree *t, const char *path, const struct hull_tree_attr *attr,
                  struct hull_tree_node **ret, struct hull_err *err) HULL_CHECK_RESULT;

/* A symbolic link.  As hull_tree_add(). */
int hull_tree_symlink(struct hull_tree *t, const char *path, const char *target,
                      const struct hull_tree_attr *attr, struct hull_err *err) HULL_CHECK_RESULT;

/* A second name for the file that `target` names.  As hull_tree_add(). */
int hull_tree_link(struct hull_tree *t, const char *path, const char *target,
                   struct hull_err *err) HULL_CHECK_RESULT;

#endif
