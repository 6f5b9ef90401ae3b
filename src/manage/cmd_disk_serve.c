/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* hull disk serve: an NBD server until a signal, or until the last client has gone. */
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/text.h"
#include "host/block/nbd.h"
#include "host/os/os.h"
#include "manage/cmd_disk.h"
#include "manage/json.h"
#include "manage/report.h"

struct serve_args {
	const char *nbd, *format, *name;
	bool read_only, once;
};

static void idle(void *arg)
{
	uint64_t one = 1;

	(void)!write(*(const int *)arg, &one, sizeof(one));
}

/* Say where it can be reached: the last line before silence, so that scripts can wait for it. */
static void announce(const struct hull_disk_call *c, const struct serve_args *a,
                     const struct hull_nbd_server *s)
{
	struct hull_json j;
	char uri[2048];

	hull_nbd_uri(uri, sizeof(uri), a->nbd, hull_nbd_server_port(s), a->name ? a->name : "");
	if (hull_disk_style(c) & HULL_REPORT_JSON) {
		hull_json_init(&j, c->out);
		hull_json_object(&j, NULL);
		hull_json_text(&j, "schema", "hull.disk.serve/1");
		hull_json_text(&j, "uri", uri);
		hull_json_end(&j);
	} else {
		fprintf(c->out, "%s\n", uri);
	}
	fflush(c->out);
}

static int serve(const struct hull_disk_call *c, const struct serve_args *a, struct hull_image *img,
                 struct hull_err *err)
{
	int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct hull_nbd_serve o = { .image = img,
		                    .address = a->nbd,
		                    .name = a->name,
		                    .read_only = a->read_only,
		                    .idle = a->once ? idle : NULL,
		                    .arg = &wake };
	struct pollfd p = { .fd = wake, .events = POLLIN };
	struct hull_nbd_server *s;
	int r;

	if (wake < 0)
		return hull_fail(err, HULL_ENOMEM, 120, "no descriptor for the server");
	hull_signals_watch(wake);
	r = hull_nbd_serve(&o, &s, err);
	if (!r) {
		announce(c, a, s);
		while (poll(&p, 1, -1) <= 0)
			;
		hull_nbd_server_stop(s);
		if (!a->read_only && hull_image_flush(img))
			r = hull_fail(err, HULL_EIO, 302, "\"%s\" cannot be written", img->path);
	}
	close(wake);
	return r;
}

int hull_disk_serve(const struct hull_disk_call *c, struct hull_err *err)
{
	struct serve_args a = { 0 };
	const struct hull_arg args[] = {
		{ .flag = "nbd",
		  .text = &a.nbd,
		  .value = "ADDRESS",
		  .help = "Where to listen: unix:PATH or tcp:HOST:PORT (port 0: any)." },
		{ .flag = "format",
		  .letter = 'f',
		  .text = &a.format,
		  .value = "FORMAT",
		  .help = "Format of the image; raw if not given." },
		{ .flag = "name", .text = &a.name, .value = "TEXT", .help = "Name of the export." },
		{ .flag = "read-only", .given = &a.read_only, .help = "Nobody can write." },
		{ .flag = "once", .given = &a.once, .help = "End when the last client has gone." },
	};
	const struct hull_verb v = { "hull disk", "serve", "IMAGE --nbd ADDRESS", 1,
		                     1,           args,    ARRAY_LEN(args) };
	struct hull_image_options o = { 0 };
	struct hull_image *img;
	const char *path;
	int r = hull_disk_args(c, &v, &path, err);

	if (r)
		return r;
	if (!a.nbd) {
		hull_fail(err, HULL_EINVAL, 2, "hull disk serve needs an address to listen on");
		hull_err_fix(err, "hull disk serve %s --nbd unix:disk.sock", path);
		return HULL_EINVAL;
	}
	o.path = path;
	o.format = a.format;
	o.read_only = a.read_only;
	r = hull_image_open(&o, &img, err);
	if (r)
		return r;
	r = serve(c, &a, img, err);
	hull_image_unref(img);
	return r;
}
