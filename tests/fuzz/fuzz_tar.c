/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A package's archive into a tree of files, as `hull install` unpacks it. */
#include <string.h>
#include <sys/stat.h>

#include "base/bits.h"
#include "manage/install/tar.h"
#include "manage/install/tree.h"

struct source {
	const uint8_t *data;
	size_t len;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_source(void *arg, void *buf, size_t len, struct hull_err *err)
{
	struct source *s = arg;

	if (!s->len)
		return HULL_EAGAIN;
	if (s->len < len)
		return hull_fail(err, HULL_EFORMAT, 608, "cut");
	memcpy(buf, s->data, len);
	s->data += len;
	s->len -= len;
	/* Fuzzers cannot compute checksums: mend that of every block that may be a header. */
	if (len == 512) {
		uint8_t *h = buf;
		unsigned sum = 8 * ' ';

		for (unsigned i = 0; i < 512; i++)
			sum += i >= 148 && i < 156 ? 0 : h[i];
		for (unsigned i = 0; i < 6; i++)
			h[148 + i] = (uint8_t)('0' + (sum >> (15 - 3 * i) & 7));
		h[154] = '\0';
	}
	return 0;
}

static int member(struct hull_tree *t, struct hull_tar *tar, const struct hull_tar_member *m)
{
	struct hull_tree_attr attr = { .mode = m->mode | (m->type == '5' ? S_IFDIR : S_IFREG) };
	struct hull_tree_node *n;
	uint8_t buf[300];
	size_t got = 1;
	int r = 0;

	if (m->type == '1')
		return hull_tree_link(t, m->name, m->target, NULL);
	if (m->type == '2')
		return hull_tree_symlink(t, m->name, m->target, &attr, NULL);
	r = hull_tree_add(t, m->name, &attr, &n, NULL);
	while (!r && got)
		r = hull_tar_data(tar, buf, sizeof(buf), &got, NULL);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source s = { data, size };
	struct hull_tar tar = { .read = read_source, .arg = &s };
	static struct hull_tar_member m;
	struct hull_tree t;

	if (hull_tree_init(&t, 0, NULL))
		return 0;
	while (hull_tar_next(&tar, &m, NULL) > 0)
		if (member(&t, &tar, &m) == HULL_ENOMEM)
			break;
	for (struct hull_tree_node *n = t.root; n; n = n->next)
		if (S_ISLNK(n->mode) && n->target)
			(void)hull_tree_find(&t, n->target, true);
	hull_tree_free(&t);
	return 0;
}
