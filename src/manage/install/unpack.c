/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/install/unpack.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/bits.h"
#include "base/text.h"
#include "host/proc.h"
#include "manage/install/tar.h"

enum { CONTROL_MAX = 4 << 20, CHUNK = 1 << 18, MEMBERS_MAX = 64 };

#define INFO "var/lib/dpkg/info/"

/* A file of the package's control archive. */
struct control {
	char name[64];
	char *data;
	size_t len;
	uint32_t mode;
};

struct unpack {
	struct hull_install *in;
	struct hull_unpack_db *db;
	const struct hull_install_package *package;
	struct control files[MEMBERS_MAX];
	size_t nfiles;
	char base[160]; /* its name in info/: "libc6:riscv64" */
	struct hull_unpack_text list;
	struct hull_proc proc;
};

int hull_unpack_append(struct hull_unpack_text *t, const char *data, size_t len,
                       struct hull_err *err)
{
	if (t->size - t->len <= len) {
		size_t size = MAX(t->size * 2, align_up(t->len + len + 1, 4096));
		char *grown = realloc(t->data, size);

		if (!grown)
			return hull_fail(err, HULL_ENOMEM, 120, "no memory to unpack");
		t->data = grown;
		t->size = size;
	}
	if (len)
		memcpy(t->data + t->len, data, len);
	t->len += len;
	t->data[t->len] = '\0';
	return 0;
}

static int append_text(struct hull_unpack_text *t, const char *text, struct hull_err *err)
{
	return hull_unpack_append(t, text, strlen(text), err);
}

static int damaged(const struct unpack *u, const char *why, struct hull_err *err)
{
	return hull_fail(err, HULL_EFORMAT, 608, "package %.80s cannot be unpacked: %s",
	                 u->package->name, why);
}

/* hull_tar's source: exactly `len` bytes from the program. */
static int read_exactly(void *arg, void *buf, size_t len, struct hull_err *err)
{
	struct unpack *u = arg;
	size_t at = 0;

	while (at < len) {
		ssize_t n = hull_proc_read(&u->proc, (char *)buf + at, len - at, u->in->cancel, -1);

		if (n == HULL_ESTATE)
			return hull_install_stopped(err);
		if (n <= 0)
			return at ? damaged(u, "it ends too early", err) : HULL_EAGAIN;
		at += (size_t)n;
	}
	return 0;
}

/* Walk through what `dpkg-deb ACTION` prints. */
static int walk(struct unpack *u, const char *action,
                int (*member)(struct unpack *u, struct hull_tar *t, struct hull_tar_member *m,
                              struct hull_err *err),
                struct hull_err *err)
{
	char path[HULL_INSTALL_PATH];
	const char *argv[] = { "dpkg-deb", action, path, NULL };
	struct hull_proc_spec spec = { .argv = argv, .log = u->in->log };
	struct hull_tar t = { .read = read_exactly, .arg = u };
	struct hull_tar_member *m = malloc(sizeof(*m));
	int r, status;

	hull_install_deb(u->in, u->package, path);
	r = m ? hull_proc_start(&u->proc, &spec, err)
	      : hull_fail(err, HULL_ENOMEM, 120, "no memory to unpack");
	if (r) {
		free(m);
		return r;
	}
	while ((r = hull_tar_next(&t, m, err)) > 0) {
		r = member(u, &t, m, err);
		if (r)
			break;
	}
	while (!r) { /* the padding behind the end */
		char drop[4096];
		ssize_t n = hull_proc_read(&u->proc, drop, sizeof(drop), u->in->cancel, -1);

		if (n == HULL_ESTATE)
			r = hull_install_stopped(err);
		if (n <= 0)
			break;
	}
	status = hull_proc_end(&u->proc, r != 0);
	free(m);
	if (!r && (!WIFEXITED(status) || WEXITSTATUS(status)))
		r = damaged(u, "dpkg-deb fails", err);
	return r;
}

/* A member's data in memory, with a NUL behind it. */
static int slurp(struct unpack *u, struct hull_tar *t, uint64_t size, char **ret,
                 struct hull_err *err)
{
	char *data;
	size_t at = 0, n = 1;
	int r = 0;

	if (size > CONTROL_MAX && size > (uint64_t)CONTROL_MAX * 16)
		return damaged(u, "one of its files is too large", err);
	data = malloc((size_t)size + 1);
	if (!data)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory to unpack");
	while (!r && n) {
		r = hull_tar_data(t, data + at, (size_t)size - at, &n, err);
		at += r ? 0 : n;
	}
	data[at] = '\0';
	if (r)
		free(data);
	else
		*ret = data;
	return r;
}

static int control_member(struct unpack *u, struct hull_tar *t, struct hull_tar_member *m,
                          struct hull_err *err)
{
	const char *name = m->name + (!strncmp(m->name, "./", 2) ? 2 : 0);
	struct control *c = &u->files[u->nfiles];
	int r;

	if (m->type != '0')
		return 0;
	if (u->nfiles == MEMBERS_MAX || strlen(name) >= sizeof(c->name) || strchr(name, '/') ||
	    !*name || m->size > CONTROL_MAX)
		return damaged(u, "its control archive is malformed", err);
	r = slurp(u, t, m->size, &c->data, err);
	if (r)
		return r;
	hull_format(c->name, sizeof(c->name), "%s", name);
	c->len = (size_t)m->size;
	c->mode = m->mode;
	u->nfiles++;
	return 0;
}

static const struct control *control_file(const struct unpack *u, const char *name)
{
	for (size_t i = 0; i < u->nfiles; i++)
		if (!strcmp(u->files[i].name, name))
			return &u->files[i];
	return NULL;
}

/* A field of the control file, copied without its spaces; "" if it has none. */
static void field(const struct unpack *u, const char *name, char *dst, size_t size)
{
	const struct control *c = control_file(u, "control");
	const char *at = c ? c->data : "";
	size_t len = strlen(name), n;

	for (dst[0] = '\0'; *at; at += *at == '\n') {
		n = strcspn(at, "\n");
		if (n > len && !strncasecmp(at, name, len) && at[len] == ':') {
			const char *value = at + len + 1 + strspn(at + len + 1, " \t");

			hull_format(dst, size, "%.*s", (int)(at + n - value), value);
			for (n = strlen(dst); n && isspace((unsigned char)dst[n - 1]); n--)
				dst[n - 1] = '\0';
			return;
		}
		at += n;
	}
}

static bool is_conffile(const struct unpack *u, const char *path)
{
	const struct control *c = control_file(u, "conffiles");
	const char *at = c ? c->data : "";
	size_t len = strlen(path), n;

	for (; *at; at += *at == '\n') {
		n = strcspn(at, "\n");
		if (n == len + 1 && *at == '/' && !strncmp(at + 1, path, len))
			return true;
		at += n;
	}
	return false;
}

/* Pieces of packages that we need on the host: the kernel, and what the first boot runs. */
static int keep_copy(struct unpack *u, const char *path, const char *data, size_t len,
                     struct hull_err *err)
{
	const char *file = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	struct hull_install *in = u->in;

	if (!strncmp(path, "boot/vmlinu", 11)) {
		hull_format(in->kernel, sizeof(in->kernel), "%s", file);
		return hull_install_write(in, "vmlinuz", 0644, data, len, err);
	}
	if (!strcmp(file, "busybox") && !in->busybox) {
		in->busybox = malloc(len);
		if (!in->busybox)
			return hull_fail(err, HULL_ENOMEM, 120, "no memory to unpack");
		memcpy(in->busybox, data, len);
		in->busybox_len = len;
	}
	for (size_t i = 0; i < in->nmodules; i++) {
		struct hull_install_module *m = &in->modules[i];
		size_t n = strlen(m->name);

		if (m->data || strncmp(file, m->name, n) != 0 || strncmp(file + n, ".ko", 3) != 0 ||
		    !strstr(path, "lib/modules/"))
			continue;
		m->data = malloc(len);
		if (!m->data)
			return hull_fail(err, HULL_ENOMEM, 120, "no memory to unpack");
		memcpy(m->data, data, len);
		m->len = len;
	}
	return 0;
}

static bool wanted(const struct unpack *u, const char *path)
{
	const char *file = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;

	if (!strncmp(path, "boot/vmlinu", 11) || !strcmp(file, "busybox"))
		return true;
	for (size_t i = 0; strstr(path, "lib/modules/") && i < u->in->nmodules; i++) {
		size_t n = strlen(u->in->modules[i].name);

		if (!strncmp(file, u->in->modules[i].name, n) && !strncmp(file + n, ".ko", 3))
			return true;
	}
	return false;
}

static int stream_file(struct unpack *u, struct hull_tar *t, struct hull_tree_node *node,
                       struct hull_err *err)
{
	char *buf = malloc(CHUNK);
	uint64_t at = 0;
	size_t n = 1;
	int r = buf ? 0 : hull_fail(err, HULL_ENOMEM, 120, "no memory to unpack");

	while (!r && n) {
		r = hull_tar_data(t, buf, CHUNK, &n, err);
		if (!r && n)
			r = hull_ext4_write(&u->in->fs, node, at, buf, n, err);
		at += r ? 0 : n;
	}
	free(buf);
	return r;
}

static int regular(struct unpack *u, struct hull_tar *t, const struct hull_tar_member *m,
                   const char *path, struct hull_err *err)
{
	struct hull_tree_attr attr = { S_IFREG | m->mode, m->uid, m->gid, m->mtime };
	char new_path[HULL_TAR_NAME_MAX + 16], *data;
	struct hull_tree_node *node;
	uint64_t size = m->size;
	int r;

	hull_format(new_path, sizeof(new_path), "%s%s", path,
	            is_conffile(u, path) ? ".dpkg-new" : "");
	r = hull_tree_add(&u->in->fs.tree, new_path, &attr, &node, err);
	if (!r)
		r = hull_ext4_reserve(&u->in->fs, node, size, err);
	if (r || !wanted(u, path))
		return r ? r : stream_file(u, t, node, err);
	r = slurp(u, t, size, &data, err);
	if (r)
		return r;
	r = hull_ext4_write(&u->in->fs, node, 0, data, (size_t)size, err);
	if (!r)
		r = keep_copy(u, path, data, (size_t)size, err);
	free(data);
	return r;
}

static int list_path(struct unpack *u, const char *path, struct hull_err *err)
{
	int r = append_text(&u->list, "/", err);

	if (!r)
		r = append_text(&u->list, *path ? path : ".", err);
	return r ? r : append_text(&u->list, "\n", err);
}

/* "./usr/bin/" to "usr/bin" */
static void clean(char *path)
{
	size_t skip = 0, len;

	while (path[skip] == '/' ||
	       (path[skip] == '.' && (path[skip + 1] == '/' || !path[skip + 1])))
		skip++;
	memmove(path, path + skip, strlen(path + skip) + 1);
	for (len = strlen(path); len && path[len - 1] == '/'; len--)
		path[len - 1] = '\0';
}

static int data_member(struct unpack *u, struct hull_tar *t, struct hull_tar_member *m,
                       struct hull_err *err)
{
	struct hull_tree *tree = &u->in->fs.tree;
	struct hull_tree_attr attr = { m->mode, m->uid, m->gid, m->mtime };
	struct hull_tree_node *node;
	int r;

	clean(m->name);
	if (strchr(m->name, '\n'))
		return damaged(u, "a name in it holds a line break", err);
	r = list_path(u, m->name, err);
	if (r)
		return r;
	switch (m->type) {
	case '0': return regular(u, t, m, m->name, err);
	case '1': clean(m->target); return hull_tree_link(tree, m->name, m->target, err);
	case '2': return hull_tree_symlink(tree, m->name, m->target, &attr, err);
	case '5': attr.mode |= S_IFDIR; return hull_tree_add(tree, m->name, &attr, &node, err);
	case '3':
	case '4':
	case '6':
		attr.mode |= m->type == '3' ? S_IFCHR : m->type == '4' ? S_IFBLK : S_IFIFO;
		r = hull_tree_add(tree, m->name, &attr, &node, err);
		if (!r) {
			node->rdev_major = m->major;
			node->rdev_minor = m->minor;
		}
		return r;
	default: return damaged(u, "it holds a file of an unknown kind", err);
	}
}

static int put_info(struct unpack *u, const char *name, const char *data, size_t len, uint32_t mode,
                    struct hull_err *err)
{
	struct hull_tree_attr attr = { .mode = mode, .mtime = u->in->time };
	char path[512];

	hull_format(path, sizeof(path), INFO "%s.%s", u->base, name);
	return hull_ext4_put(&u->in->fs, path, &attr, data, len, err);
}

static int write_info(struct unpack *u, struct hull_err *err)
{
	int r = put_info(u, "list", u->list.data ? u->list.data : "", u->list.len, 0644, err);

	for (size_t i = 0; i < u->nfiles && !r; i++)
		if (strcmp(u->files[i].name, "control") != 0)
			r = put_info(u, u->files[i].name, u->files[i].data, u->files[i].len,
			             u->files[i].mode & 0755, err);
	return r;
}

/* Each "/etc/x" of conffiles as " /etc/x newconffile". */
static int status_conffiles(struct unpack *u, struct hull_err *err)
{
	const struct control *c = control_file(u, "conffiles");
	struct hull_unpack_text *s = &u->db->status;
	const char *at = c ? c->data : "";
	bool any = false;
	int r = 0;

	for (; !r && *at; at += *at == '\n') {
		size_t n = strcspn(at, "\n");

		if (*at == '/') {
			r = append_text(s, any ? " " : "Conffiles:\n ", err);
			if (!r)
				r = hull_unpack_append(s, at, n, err);
			if (!r)
				r = append_text(s, " newconffile\n", err);
			any = true;
		}
		at += n;
	}
	return r;
}

static int write_status(struct unpack *u, struct hull_err *err)
{
	const struct control *c = control_file(u, "control");
	struct hull_unpack_text *s = &u->db->status;
	size_t len = c->len;
	int r;

	while (len && c->data[len - 1] == '\n')
		len--;
	r = hull_unpack_append(s, c->data, len, err);
	if (!r)
		r = append_text(s, "\nStatus: install ok unpacked\n", err);
	if (!r)
		r = status_conffiles(u, err);
	return r ? r : append_text(s, "\n", err);
}

/* "interest-noawait /usr/lib/x" and the like (deb-triggers(5)). */
static int trigger(struct unpack *u, char *line, struct hull_err *err)
{
	struct hull_unpack_db *db = u->db;
	struct hull_unpack_text *t = &db->triggers;
	char *name = line + strcspn(line, " \t");
	char text[512];
	bool noawait;
	size_t i;

	if (!*name || strncmp(line, "interest", 8) != 0)
		return 0;
	*name++ = '\0';
	name += strspn(name, " \t");
	noawait = !strcmp(line, "interest-noawait");
	if (*name == '/') {
		hull_format(text, sizeof(text), "%s %s%s\n", name, u->package->name,
		            noawait ? "/noawait" : "");
		return append_text(t, text, err);
	}
	if (!*name || strlen(name) >= sizeof(db->named[0].name) || strchr(name, '/'))
		return damaged(u, "one of its triggers is malformed", err);
	for (i = 0; i < db->nnamed && strcmp(db->named[i].name, name) != 0; i++)
		;
	if (i == ARRAY_LEN(db->named))
		return damaged(u, "there are too many triggers", err);
	if (i == db->nnamed)
		hull_format(db->named[db->nnamed++].name, sizeof(db->named[0].name), "%s", name);
	hull_format(text, sizeof(text), "%s%s\n", u->package->name, noawait ? "/noawait" : "");
	return append_text(&db->named[i].interested, text, err);
}

static int note_triggers(struct unpack *u, struct hull_err *err)
{
	const struct control *c = control_file(u, "triggers");
	char *at = c ? c->data : NULL, *line;
	int r = 0;

	while (!r && at && *at) {
		line = at;
		at = strchr(line, '\n');
		if (at)
			*at++ = '\0';
		line[strcspn(line, "#\r")] = '\0';
		r = trigger(u, line, err);
	}
	return r;
}

static int unpack(struct unpack *u, struct hull_err *err)
{
	char name[160], arch[32], multi[32];
	int r = walk(u, "--ctrl-tarfile", control_member, err);

	if (r)
		return r;
	field(u, "Package", name, sizeof(name));
	field(u, "Architecture", arch, sizeof(arch));
	field(u, "Multi-Arch", multi, sizeof(multi));
	if (strcmp(name, u->package->name) != 0)
		return damaged(u, "it is another package", err);
	hull_format(u->base, sizeof(u->base), strcmp(multi, "same") ? "%s" : "%s:%s", name, arch);
	r = walk(u, "--fsys-tarfile", data_member, err);
	if (!r)
		r = write_info(u, err);
	if (!r)
		r = write_status(u, err);
	if (!r && control_file(u, "preinst")) {
		r = append_text(&u->db->preinst, u->base, err);
		if (!r)
			r = append_text(&u->db->preinst, "\n", err);
	}
	return r ? r : note_triggers(u, err);
}

int hull_unpack_package(struct hull_install *in, struct hull_unpack_db *db,
                        const struct hull_install_package *p, struct hull_err *err)
{
	struct unpack *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory to unpack");
	u->in = in;
	u->db = db;
	u->package = p;
	r = unpack(u, err);
	for (size_t i = 0; i < u->nfiles; i++)
		free(u->files[i].data);
	free(u->list.data);
	free(u);
	return r;
}

static int put_text(struct hull_install *in, const char *path, const struct hull_unpack_text *t,
                    struct hull_err *err)
{
	struct hull_tree_attr attr = { .mode = 0644, .mtime = in->time };

	return hull_ext4_put(&in->fs, path, &attr, t->data ? t->data : "", t->len, err);
}

int hull_unpack_finish(struct hull_install *in, struct hull_unpack_db *db, struct hull_err *err)
{
	static const char *const empty[] = {
		"var/lib/dpkg/available",         "var/lib/dpkg/diversions",
		"var/lib/dpkg/statoverride",      "var/lib/dpkg/lock",
		"var/lib/dpkg/lock-frontend",     "var/lib/dpkg/triggers/Lock",
		"var/lib/dpkg/triggers/Unincorp",
	};
	char one[] = "1\n";
	struct hull_unpack_text none = { 0 }, format = { .data = one, .len = 2 };
	char path[256];
	int r = put_text(in, "var/lib/dpkg/status", &db->status, err);

	if (!r)
		r = put_text(in, "var/lib/dpkg/triggers/File", &db->triggers, err);
	for (size_t i = 0; i < ARRAY_LEN(empty) && !r; i++)
		r = put_text(in, empty[i], &none, err);
	if (!r)
		r = put_text(in, INFO "format", &format, err);
	for (size_t i = 0; i < db->nnamed && !r; i++) {
		hull_format(path, sizeof(path), "var/lib/dpkg/triggers/%s", db->named[i].name);
		r = put_text(in, path, &db->named[i].interested, err);
	}
	return r;
}

void hull_unpack_free(struct hull_unpack_db *db)
{
	free(db->status.data);
	free(db->triggers.data);
	free(db->preinst.data);
	for (size_t i = 0; i < db->nnamed; i++)
		free(db->named[i].interested.data);
	memset(db, 0, sizeof(*db));
}
