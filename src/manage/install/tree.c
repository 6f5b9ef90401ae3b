/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/install/tree.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LINKS_MAX 40 /* symbolic links in one path, as Linux has it */

static int no_memory(struct hull_err *err)
{
	return hull_fail(err, HULL_ENOMEM, 120, "no memory for the list of files");
}

static int bad_path(struct hull_err *err, const char *path, const char *why)
{
	return hull_fail(err, HULL_EFORMAT, 608, "a package has the path %.120s: %s", path, why);
}

static struct hull_tree_node *new_node(struct hull_tree *t, const struct hull_tree_attr *attr)
{
	struct hull_tree_node *n = hull_pool_alloc(&t->pool, sizeof(*n));

	if (!n)
		return NULL;
	n->mode = attr->mode;
	n->uid = attr->uid;
	n->gid = attr->gid;
	n->mtime = attr->mtime;
	if (t->last)
		t->last->next = n;
	t->last = n;
	t->nodes++;
	return n;
}

int hull_tree_init(struct hull_tree *t, uint32_t mtime, struct hull_err *err)
{
	struct hull_tree_attr attr = { .mode = S_IFDIR | 0755, .mtime = mtime };

	memset(t, 0, sizeof(*t));
	t->root = new_node(t, &attr);
	if (!t->root)
		return no_memory(err);
	t->root->parent = t->root;
	t->root->links = 2;
	return 0;
}

void hull_tree_free(struct hull_tree *t)
{
	if (!t)
		return;
	for (struct hull_tree_node *n = t->root; n; n = n->next)
		free(n->entries);
	hull_pool_free(&t->pool);
	memset(t, 0, sizeof(*t));
}

static struct hull_tree_entry *entry_of(const struct hull_tree_node *dir, const char *name,
                                        size_t len)
{
	for (uint32_t i = 0; i < dir->nentries; i++)
		if (!strncmp(dir->entries[i].name, name, len) && !dir->entries[i].name[len])
			return &dir->entries[i];
	return NULL;
}

static struct hull_tree_node *walk(const struct hull_tree *t, struct hull_tree_node *dir,
                                   const char *path, bool follow, unsigned *links)
{
	struct hull_tree_node *n = dir;

	while (n && *path) {
		size_t len = strcspn(path, "/");
		const char *name = path;
		struct hull_tree_entry *e;

		path += len + strspn(path + len, "/");
		if (!len || (len == 1 && *name == '.'))
			continue;
		if (!S_ISDIR(n->mode))
			return NULL;
		dir = n;
		if (len == 2 && name[0] == '.' && name[1] == '.') {
			n = dir->parent;
			continue;
		}
		e = entry_of(dir, name, len);
		n = e ? e->node : NULL;
		if (!n || !S_ISLNK(n->mode) || (!*path && !follow))
			continue;
		if (++*links > LINKS_MAX)
			return NULL;
		n = walk(t, *n->target == '/' ? t->root : dir, n->target, true, links);
	}
	return n;
}

struct hull_tree_node *hull_tree_find(const struct hull_tree *t, const char *path, bool follow)
{
	unsigned links = 0;

	return walk(t, t->root, path, follow, &links);
}

static int add_entry(struct hull_tree *t, struct hull_tree_node *dir, const char *name,
                     struct hull_tree_node *node, struct hull_err *err)
{
	if (dir->nentries == dir->capacity) {
		uint32_t capacity = dir->capacity ? dir->capacity * 2 : 8;
		struct hull_tree_entry *grown =
			realloc(dir->entries, capacity * sizeof(dir->entries[0]));

		if (!grown)
			return no_memory(err);
		dir->entries = grown;
		dir->capacity = capacity;
	}
	dir->entries[dir->nentries].name = hull_pool_copy(&t->pool, name, strlen(name));
	if (!dir->entries[dir->nentries].name)
		return no_memory(err);
	dir->entries[dir->nentries++].node = node;
	if (S_ISDIR(node->mode)) {
		node->parent = dir;
		node->links = 2;
		dir->links++;
	} else {
		node->links++;
	}
	return 0;
}

/* Split a path into its directory, made if missing, and its last name, copied. */
static int parent_of(struct hull_tree *t, const char *path, char name[HULL_TREE_NAME_MAX + 1],
                     struct hull_tree_node **ret, struct hull_err *err)
{
	struct hull_tree_attr attr = { .mode = S_IFDIR | 0755, .mtime = t->root->mtime };
	struct hull_tree_node *dir = t->root;
	char part[HULL_TREE_PATH_MAX];
	const char *at = path;

	if (strlen(path) >= sizeof(part))
		return bad_path(err, path, "it is too long");
	for (;;) {
		size_t len;

		at += strspn(at, "/");
		len = strcspn(at, "/");
		if (len > HULL_TREE_NAME_MAX)
			return bad_path(err, path, "a name is too long");
		if (len == 2 && at[0] == '.' && at[1] == '.')
			return bad_path(err, path, "it leads upwards");
		memcpy(name, at, len);
		name[len] = '\0';
		if (!at[len + strspn(at + len, "/")])
			break;
		at += len;
		if (!len || (len == 1 && *name == '.'))
			continue;
		memcpy(part, path, (size_t)(at - path));
		part[at - path] = '\0';
		dir = hull_tree_find(t, part, true);
		if (!dir) {
			int r = hull_tree_add(t, part, &attr, &dir, err);

			if (r)
				return r;
		}
		if (!S_ISDIR(dir->mode))
			return bad_path(err, path, "a file stands where a directory should");
	}
	*ret = dir;
	return *name && strcmp(name, ".") != 0 ? 0 : HULL_EEXIST;
}

static void drop(struct hull_tree *t, struct hull_tree_node *n)
{
	if (!--n->links && t->dropped)
		t->dropped(t->arg, n);
}

int hull_tree_add(struct hull_tree *t, const char *path, const struct hull_tree_attr *attr,
                  struct hull_tree_node **ret, struct hull_err *err)
{
	char name[HULL_TREE_NAME_MAX + 1];
	struct hull_tree_node *dir, *n;
	struct hull_tree_entry *e;
	int r = parent_of(t, path, name, &dir, err);

	if (r && r != HULL_EEXIST)
		return r;
	e = r ? NULL : entry_of(dir, name, strlen(name));
	n = r ? t->root : e ? e->node : NULL;
	if (n && S_ISDIR(attr->mode)) {
		struct hull_tree_node *real = hull_tree_find(t, path, true);

		if (!real || !S_ISDIR(real->mode))
			return bad_path(err, path, "a file stands where a directory should");
		if (real == n) {
			n->mode = attr->mode;
			n->uid = attr->uid;
			n->gid = attr->gid;
			n->mtime = attr->mtime;
		}
		*ret = real;
		return 0;
	}
	if (n && S_ISDIR(n->mode))
		return bad_path(err, path, "a directory stands where a file should");
	n = new_node(t, attr);
	if (!n)
		return no_memory(err);
	*ret = n;
	if (!e)
		return add_entry(t, dir, name, n, err);
	drop(t, e->node);
	e->node = n;
	n->links = 1;
	return 0;
}

int hull_tree_symlink(struct hull_tree *t, const char *path, const char *target,
                      const struct hull_tree_attr *attr, struct hull_err *err)
{
	struct hull_tree_attr link = *attr;
	struct hull_tree_node *old, *n;
	size_t len = strlen(target);
	int r;

	link.mode = S_IFLNK | 0777;
	if (!len || len >= HULL_TREE_PATH_MAX)
		return bad_path(err, path, "its target is empty or too long");
	/* As dpkg: a directory that is there stays. */
	old = hull_tree_find(t, path, false);
	if (old && S_ISDIR(old->mode))
		return 0;
	r = hull_tree_add(t, path, &link, &n, err);
	if (r)
		return r;
	n->target = hull_pool_copy(&t->pool, target, len);
	n->size = len;
	return n->target ? 0 : no_memory(err);
}

int hull_tree_link(struct hull_tree *t, const char *path, const char *target, struct hull_err *err)
{
	struct hull_tree_node *n = hull_tree_find(t, target, false), *dir;
	char name[HULL_TREE_NAME_MAX + 1];
	struct hull_tree_entry *e;
	int r;

	if (!n || S_ISDIR(n->mode))
		return bad_path(err, path, "it is a link to a file that is not there");
	r = parent_of(t, path, name, &dir, err);
	if (r)
		return r == HULL_EEXIST ? bad_path(err, path, "it has no name") : r;
	e = entry_of(dir, name, strlen(name));
	if (!e)
		return add_entry(t, dir, name, n, err);
	if (S_ISDIR(e->node->mode))
		return bad_path(err, path, "a directory stands where a file should");
	n->links++;
	drop(t, e->node);
	e->node = n;
	return 0;
}
