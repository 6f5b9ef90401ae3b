/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * 9P messages of any contents to a server of a directory with a few files.
 *
 * Input: messages one after the other, each of 2 bytes {length, bytes of data to follow / 4} and
 * its contents from the type on; tag and size are filled in, so that most pass the first check.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/shared_dir.h"

static struct shared_dir *dir;

static void remove_dir(void)
{
	dir->fds = 0; /* libFuzzer has some of its own */
	shared_dir_free(dir);
}

/* The files that the messages can name; those of an earlier input may have gone. */
static void set_up(void)
{
	if (!dir) {
		dir = shared_dir_new(&(struct hull_share_options){ .max_fds = 64 });
		atexit(remove_dir);
	}
	mkdir(in_top(dir, "in/d"), 0755);
	put_file(dir, "in/d/f", "text");
	(void)!symlink("../out", in_top(dir, "in/l"));
	p9_version(dir->c, 8192);
	p9_attach(dir->c, 0);
	p9_walk(dir->c, 0, 1, "d/f");
	p9_walk(dir->c, 0, 2, "d");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct p9 *c;

	set_up();
	c = dir->c;
	while (size > 3) {
		uint32_t len = MIN((uint32_t)data[0], (uint32_t)size - 3), extra = data[1] * 4u;

		p9_begin(c, data[2]);
		memcpy(wire_room(&c->t, len), data + 3, len);
		memset(c->data, 0x5a, extra);
		(void)p9_call(c, data[2] == P9_TREAD || data[2] == P9_TWRITE ? extra : 0);
		data += 3 + len;
		size -= 3 + len;
	}
	if (strcmp(get_file(dir, "out/secret"), SECRET) || access(in_top(dir, "out/f"), F_OK) == 0)
		abort();
	return 0;
}
