/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "support/shared_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	abort();
}

unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

const char *in_top(const struct shared_dir *d, const char *path)
{
	static __thread char buf[4][512];
	static __thread unsigned next;
	char *p = buf[next++ % 4];

	snprintf(p, sizeof(buf[0]), "%s/%s", d->top, path);
	return p;
}

void put_file(const struct shared_dir *d, const char *path, const char *text)
{
	FILE *f = fopen(in_top(d, path), "we");

	if (!f || fputs(text, f) < 0 || fclose(f))
		die(path);
}

const char *get_file(const struct shared_dir *d, const char *path)
{
	static __thread char text[4096];
	FILE *f = fopen(in_top(d, path), "re");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	text[n] = 0;
	if (f)
		fclose(f);
	return text;
}

struct shared_dir *shared_dir_new(const struct hull_share_options *o)
{
	struct hull_share_options copy = o ? *o : (struct hull_share_options){ 0 };
	struct shared_dir *d = calloc(1, sizeof(*d));
	struct hull_err err;
	char path[80];

	if (!d)
		die("memory");
	d->fds = count_fds();
	snprintf(d->top, sizeof(d->top), "/tmp/hull-share-XXXXXX");
	if (!mkdtemp(d->top) || mkdir(in_top(d, "in"), 0755) || mkdir(in_top(d, "out"), 0755))
		die(d->top);
	put_file(d, "out/secret", SECRET);
	snprintf(path, sizeof(path), "%s", in_top(d, "in"));
	copy.path = path;
	copy.tag = "test";
	if (hull_share_open(&copy, &d->share, &err)) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	d->c = p9_new(d->share);
	if (p9_version(d->c, 512 << 10) || p9_attach(d->c, 0))
		die("attach");
	return d;
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void shared_dir_free(struct shared_dir *d)
{
	struct hull_share_use use;

	d->share->drain(d->share);
	d->share->reset(d->share);
	hull_share_usage(d->share, &use);
	if (use.fids || use.fds != 1 || use.xattr_bytes) {
		fprintf(stderr, "left: %u fids, %u descriptors, %llu bytes\n", use.fids, use.fds,
		        (unsigned long long)use.xattr_bytes);
		abort();
	}
	p9_free(d->c);
	hull_share_close(d->share);
	if (d->fds && count_fds() != d->fds) {
		fprintf(stderr, "descriptors: %u, then %u\n", d->fds, count_fds());
		abort();
	}
	nftw(d->top, drop, 16, FTW_DEPTH | FTW_PHYS);
	free(d);
}
