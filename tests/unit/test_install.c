/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The parts of `hull install` that read and write formats: hashes, archives, file systems. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/sha256.h"
#include "manage/install/ext4.h"
#include "manage/install/tar.h"
#include "manage/install/volumes.h"

static struct hull_err err;

static void hash_is(const char *data, size_t len, const char *want)
{
	uint8_t digest[HULL_SHA256_BYTES];
	char text[HULL_SHA256_TEXT];
	struct hull_sha256 s;

	hull_sha256_init(&s);
	for (size_t at = 0; at < len; at += 7)
		hull_sha256_add(&s, data + at, MIN(len - at, (size_t)7));
	hull_sha256_end(&s, digest);
	hull_sha256_text(digest, text);
	assert_string_equal(text, want);
}

/* The examples of FIPS 180-2 and lengths around the end of a block (from sha256sum). */
static void hashes(void **state)
{
	char a[129];

	memset(a, 'a', sizeof(a));
	hash_is("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	hash_is("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	hash_is("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
	        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	hash_is(a, 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
	hash_is(a, 63, "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34");
	hash_is(a, 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
	hash_is(a, 129, "c12cb024a2e5551cca0e08fce8f1c5e314555cc3fef6329ee994a3db752166ae");
}

/* An archive in memory. */
struct archive {
	uint8_t data[64 * 512];
	size_t len, at;
};

static int read_archive(void *arg, void *buf, size_t len, struct hull_err *e)
{
	struct archive *a = arg;

	if (len > a->len - a->at)
		return a->at == a->len ? HULL_EAGAIN : hull_fail(e, HULL_EIO, 608, "cut");
	memcpy(buf, a->data + a->at, len);
	a->at += len;
	return 0;
}

static uint8_t *header(struct archive *a, const char *name, char type, size_t size)
{
	uint8_t *h = a->data + a->len;
	unsigned sum = 0;

	memset(h, 0, 512);
	strncpy((char *)h, name, 100);
	memcpy(h + 100, "0004755", 8);
	memcpy(h + 108, "0000012", 8);
	memcpy(h + 116, "0000052", 8);
	snprintf((char *)h + 124, 12, "%011zo", size);
	memcpy(h + 136, "00000000007", 12);
	h[156] = (uint8_t)type;
	memcpy(h + 157, "target", 6);
	memcpy(h + 257, "ustar", 6);
	memset(h + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += h[i];
	snprintf((char *)h + 148, 8, "%06o", sum);
	a->len += 512;
	return h;
}

static void body(struct archive *a, const char *text, size_t len)
{
	memset(a->data + a->len, 0, align_up(len, 512));
	memcpy(a->data + a->len, text, len);
	a->len += align_up(len, 512);
}

static void archives(void **state)
{
	struct archive *a = calloc(1, sizeof(*a));
	struct hull_tar t = { .read = read_archive, .arg = a };
	struct hull_tar_member *m = malloc(sizeof(*m));
	char name[300], buf[64], record[] = "19 path=./pax/name\n";
	size_t n;

	memset(name, 'x', sizeof(name));
	name[299] = '\0';
	header(a, "./usr/bin/su", '0', 5);
	body(a, "hello", 5);
	header(a, "././@LongLink", 'L', 300);
	body(a, name, 300);
	header(a, "short", '2', 0);
	header(a, "ignored", 'x', sizeof(record) - 1);
	body(a, record, sizeof(record) - 1);
	header(a, "old", '5', 0);
	body(a, "", 0);
	memset(a->data + a->len, 0, 1024);
	a->len += 1024;
	assert_int_equal(hull_tar_next(&t, m, &err), 1);
	assert_string_equal(m->name, "./usr/bin/su");
	assert_int_equal(m->mode, 04755);
	assert_int_equal(m->uid, 10);
	assert_int_equal(m->gid, 42);
	assert_int_equal(m->size, 5);
	assert_int_equal(hull_tar_data(&t, buf, 2, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_memory_equal(buf, "he", 2);
	assert_int_equal(hull_tar_next(&t, m, &err), 1); /* what was not read is skipped */
	assert_string_equal(m->name, name);
	assert_string_equal(m->target, "target");
	assert_int_equal(hull_tar_next(&t, m, &err), 1);
	assert_string_equal(m->name, "./pax/name");
	assert_int_equal(m->type, '5');
	assert_int_equal(hull_tar_next(&t, m, &err), 0);
	free(m);
	free(a);
}

static int first_member(struct archive *a)
{
	struct hull_tar t = { .read = read_archive, .arg = a };
	struct hull_tar_member *m = malloc(sizeof(*m));
	char buf[512];
	size_t n = 1;
	int r = hull_tar_next(&t, m, &err);

	while (r > 0 && n) {
		int d = hull_tar_data(&t, buf, sizeof(buf), &n, &err);

		if (d)
			r = d;
	}
	free(m);
	return r;
}

static void bad_archives(void **state)
{
	struct archive *a = calloc(1, sizeof(*a));

	header(a, "f", '0', 4096);
	assert_int_equal(first_member(a), HULL_EFORMAT); /* no data */
	a->at = 0;
	a->data[0] ^= 1;
	assert_int_equal(first_member(a), HULL_EFORMAT); /* checksum */
	memset(a, 0, sizeof(*a));
	header(a, "L", 'L', 1 << 20);
	assert_int_equal(first_member(a), HULL_EFORMAT); /* name too long */
	memset(a, 0, sizeof(*a));
	header(a, "x", 'x', 20);
	body(a, "99999 path=x\n", 13);
	assert_int_equal(first_member(a), HULL_EFORMAT); /* record longer than the header */
	memset(a, 0, sizeof(*a));
	header(a, "x", 'x', (size_t)1 << 30);
	assert_int_equal(first_member(a), HULL_EFORMAT);
	free(a);
}

static const struct hull_tree_attr file = { S_IFREG | 0644, 0, 0, 1 };
static const struct hull_tree_attr dir = { S_IFDIR | 0755, 0, 0, 1 };

static void paths_stay_inside(void **state)
{
	struct hull_tree t;
	struct hull_tree_node *n, *m;
	char name[300];

	assert_int_equal(hull_tree_init(&t, 1, &err), 0);
	assert_int_equal(hull_tree_symlink(&t, "lib", "usr/lib", &file, &err), 0);
	assert_int_equal(hull_tree_add(&t, "usr/lib", &dir, &n, &err), 0);
	assert_int_equal(hull_tree_add(&t, "./lib/x/y", &file, &n, &err), 0);
	assert_ptr_equal(hull_tree_find(&t, "usr/lib/x/y", false), n);
	assert_int_equal(hull_tree_add(&t, "lib", &dir, &m, &err), 0); /* the link stays */
	assert_true(S_ISLNK(hull_tree_find(&t, "lib", false)->mode));
	assert_int_equal(hull_tree_add(&t, "../etc/passwd", &file, &m, &err), HULL_EFORMAT);
	assert_int_equal(hull_tree_add(&t, "usr/../../x", &file, &m, &err), HULL_EFORMAT);
	assert_int_equal(hull_tree_add(&t, "usr/lib/x/y/z", &file, &m, &err), HULL_EFORMAT);
	assert_int_equal(hull_tree_add(&t, "usr", &file, &m, &err), HULL_EFORMAT);
	assert_int_equal(hull_tree_symlink(&t, "up", "../../..", &file, &err), 0);
	assert_ptr_equal(hull_tree_find(&t, "up", true), t.root);
	assert_int_equal(hull_tree_symlink(&t, "loop", "loop", &file, &err), 0);
	assert_null(hull_tree_find(&t, "loop", true));
	assert_int_equal(hull_tree_add(&t, "loop/x", &file, &m, &err), HULL_EFORMAT);
	assert_int_equal(hull_tree_link(&t, "second", "usr/lib/x/y", &err), 0);
	assert_int_equal(n->links, 2);
	assert_int_equal(hull_tree_link(&t, "third", "nothing", &err), HULL_EFORMAT);
	assert_int_equal(hull_tree_link(&t, "third", "usr", &err), HULL_EFORMAT);
	memset(name, 'n', sizeof(name));
	name[299] = '\0';
	assert_int_equal(hull_tree_add(&t, name, &file, &m, &err), HULL_EFORMAT);
	assert_int_equal(hull_tree_add(&t, "second", &file, &m, &err), 0);
	assert_int_equal(n->links, 1);
	hull_tree_free(&t);
}

/* A file system with many files, a large directory, holes left by replaced files, links. */
static void fill(struct hull_ext4 *fs)
{
	struct hull_tree_node *n;
	char path[64], *big = calloc(1, 5 << 20);

	memset(big, 'b', 5 << 20);
	for (int i = 0; i < 700; i++) {
		snprintf(path, sizeof(path), "usr/share/many/a-rather-long-name-%d", i);
		assert_int_equal(hull_ext4_put(fs, path, &file, path, strlen(path), &err), 0);
	}
	assert_int_equal(hull_ext4_put(fs, "replaced", &file, big, 5 << 20, &err), 0);
	assert_int_equal(hull_ext4_put(fs, "replaced", &file, "small", 5, &err), 0);
	assert_int_equal(hull_ext4_put(fs, "big", &file, big, 5 << 20, &err), 0);
	assert_int_equal(hull_ext4_put(fs, "empty", &file, "", 0, &err), 0);
	assert_int_equal(hull_tree_link(&fs->tree, "usr/second", "big", &err), 0);
	assert_int_equal(hull_tree_symlink(&fs->tree, "fast", "usr/share/many", &file, &err), 0);
	memset(big, 'x', 200);
	big[200] = '\0';
	assert_int_equal(hull_tree_symlink(&fs->tree, "slow", big, &file, &err), 0);
	assert_int_equal(hull_tree_add(&fs->tree, "dev/console",
	                               &(struct hull_tree_attr){ S_IFCHR | 0600, 0, 5, 1 }, &n,
	                               &err),
	                 0);
	n->rdev_major = 5;
	n->rdev_minor = 1;
	free(big);
}

static int judge(const char *command, const char *path)
{
	char line[256];

	snprintf(line, sizeof(line), command, path);
	return system(line);
}

static void file_systems(void **state)
{
	static const uint64_t sizes[] = { HULL_EXT4_MIN, (UINT64_C(300) << 20) + 4096,
		                          UINT64_C(20) << 30 };
	char path[] = "/tmp/hull-ext4-XXXXXX";
	int fd = mkstemp(path);
	struct hull_ext4 fs;

	assert_true(fd >= 0);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct hull_ext4_params p = {
			.fd = fd, .size = sizes[i], .time = 1700000000, .label = "test"
		};

		memset(p.uuid, 0x11, 16);
		assert_int_equal(ftruncate(fd, 0) | ftruncate(fd, (off_t)p.size), 0);
		assert_int_equal(hull_ext4_init(&fs, &p, &err), 0);
		fill(&fs);
		assert_int_equal(hull_ext4_finish(&fs, &err), 0);
		hull_ext4_free(&fs);
		if (judge("command -v e2fsck >/dev/null # %s", ""))
			break;
		assert_int_equal(judge("e2fsck -fn %s >/tmp/hull-e2fsck.$PPID 2>&1 ||"
		                       " { cat /tmp/hull-e2fsck.$PPID; false; }",
		                       path),
		                 0);
		assert_int_equal(
			judge("debugfs -R 'stat /usr/second' %s 2>/dev/null | grep -q 'Links: 2'",
		              path),
			0);
		assert_int_equal(
			judge("test \"$(debugfs -R 'cat /replaced' %s 2>/dev/null)\" = small",
		              path),
			0);
		assert_int_equal(judge("debugfs -R 'stat /dev/console' %s 2>/dev/null | grep -q "
		                       "'major/minor number: 05:01'",
		                       path),
		                 0);
		judge("rm -f /tmp/hull-e2fsck.$PPID # %s", "");
	}
	close(fd);
	unlink(path);
}

static void full_file_systems(void **state)
{
	char path[] = "/tmp/hull-ext4-XXXXXX";
	int fd = mkstemp(path);
	struct hull_ext4_params p = { .fd = fd, .size = HULL_EXT4_MIN, .label = "" };
	struct hull_tree_node *n;
	struct hull_ext4 fs;

	unlink(path);
	assert_int_equal(hull_ext4_init(&fs, &p, &err), 0);
	assert_int_equal(hull_tree_add(&fs.tree, "big", &file, &n, &err), 0);
	assert_int_equal(hull_ext4_reserve(&fs, n, HULL_EXT4_MIN, &err), HULL_EOVERFLOW);
	assert_int_equal(err.id, 609);
	assert_int_equal(hull_ext4_reserve(&fs, n, hull_ext4_left(&fs), &err), 0);
	assert_int_equal(hull_ext4_finish(&fs, &err), HULL_EOVERFLOW); /* no room for directories */
	hull_ext4_free(&fs);
	p.size = 4096;
	assert_int_equal(hull_ext4_init(&fs, &p, &err), HULL_EOVERFLOW);
	hull_ext4_free(&fs);
	close(fd);
}

static void partition_tables(void **state)
{
	char path[] = "/tmp/hull-gpt-XXXXXX", text[37];
	struct hull_gpt g = { .size = (UINT64_C(1) << 30) + 512, .name = "root" };
	int fd = mkstemp(path);

	assert_true(hull_guid_parse("72ec70a6-cf74-40e6-bd49-4bda08e8f224", g.type));
	hull_guid_text(g.type, text);
	assert_string_equal(text, "72ec70a6-cf74-40e6-bd49-4bda08e8f224");
	assert_int_equal(g.type[0], 0xa6);
	assert_false(hull_guid_parse("72ec70a6-cf74-40e6-bd49-4bda08e8f22", g.disk_uuid));
	memset(g.disk_uuid, 1, 16);
	memset(g.part_uuid, 2, 16);
	assert_int_equal(ftruncate(fd, (off_t)g.size), 0);
	assert_int_equal(hull_gpt_write(fd, &g, &err), 0);
	if (!judge("command -v sfdisk >/dev/null # %s", "")) {
		assert_int_equal(
			judge("sfdisk --verify %s 2>&1 | grep -q 'No errors detected'", path), 0);
		assert_int_equal(judge("sfdisk -d %s 2>/dev/null | grep -qi"
		                       " 'start=2048,\\|start= *2048,.*72ec70a6'",
		                       path),
		                 0);
	}
	close(fd);
	unlink(path);
	assert_int_equal(hull_gpt_end(1 << 20), 0);
}

static void seeds(void **state)
{
	struct hull_blob files[] = { { .name = "user-data", .data = "#cloud-config\n", .len = 14 },
		                     { .name = "meta-data", .data = "", .len = 0 } };
	char path[] = "/tmp/hull-iso-XXXXXX";
	FILE *f = fdopen(mkstemp(path), "w+");
	uint8_t sector[2048];

	assert_int_equal(hull_iso_write(f, "CIDATA", 1700000000, files, 2, &err), 0);
	assert_int_equal(fseek(f, 16 * 2048, SEEK_SET), 0);
	assert_int_equal(fread(sector, 2048, 1, f), 1);
	assert_memory_equal(sector, "\1CD001\1", 7);
	assert_memory_equal(sector + 40, "CIDATA   ", 9);
	assert_int_equal(load_le32(sector + 80), 22);
	assert_int_equal(fseek(f, 21 * 2048, SEEK_SET), 0);
	assert_int_equal(fread(sector, 2048, 1, f), 1);
	assert_memory_equal(sector, "#cloud-config\n\0", 15);
	assert_int_equal(hull_iso_write(f, "CIDATA", 1, files, 9, &err), HULL_EINVAL);
	fclose(f);
	if (!judge("command -v isoinfo >/dev/null # %s", ""))
		assert_int_equal(
			judge("isoinfo -R -i %s -x /user-data | grep -qx '#cloud-config'", path),
			0);
	if (!judge("command -v blkid >/dev/null # %s", ""))
		assert_int_equal(judge("blkid -p -o value -s LABEL %s | grep -qx CIDATA", path), 0);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes),           cmocka_unit_test(archives),
		cmocka_unit_test(bad_archives),     cmocka_unit_test(paths_stay_inside),
		cmocka_unit_test(file_systems),     cmocka_unit_test(full_file_systems),
		cmocka_unit_test(partition_tables), cmocka_unit_test(seeds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
