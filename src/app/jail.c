/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "app/jail.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"
#include "host/sandbox/jail.h"

static bool has_remote_disk(const struct hull_options *o)
{
	for (uint32_t i = 0; i < o->nitems[HULL_GROUP_DISK]; i++) {
		const char *path = hull_options_item(o, HULL_OPT_DISK_PATH, i)->text;

		if (path && !strncmp(path, "nbd", 3))
			return true;
	}
	return false;
}

int hull_app_jail_begin(const struct hull_options *o, int wake, const char **note,
                        struct hull_err *err)
{
	enum hull_jail_level want =
		(enum hull_jail_level)hull_options_num(o, HULL_OPT_SECURITY_JAIL);
	enum hull_jail_level possible = hull_jail_possible(note);
	bool remote = has_remote_disk(o);
	unsigned needs = remote ? HULL_JAIL_REMOTE : 0;

	if (hull_options_num(o, HULL_OPT_ENGINE_ACCEL) != HULL_ACCEL_NONE)
		needs |= HULL_JAIL_KVM;
	if (want == HULL_JAIL_STRICT && remote) {
		hull_fail(err, HULL_ENOTSUP, 1402,
		          "disks behind nbd: cannot be had with --jail strict yet");
		hull_err_fix(err, "--jail basic");
		return HULL_ENOTSUP;
	}
	if (want > possible && !hull_options_has(o, HULL_OPT_SECURITY_JAIL))
		want = possible;
	else
		*note = NULL;
	hull_engine_thread_hook(hull_jail_thread);
	return hull_jail_begin(want, wake, needs, err);
}

/* Sockets are removed when the run ends. */
static int allow_sockets(const struct app_machine *m, struct hull_err *err)
{
	const char *vsock = hull_options_text(m->options, HULL_OPT_VSOCK_PATH);
	int r = vsock ? hull_jail_allow_folder(vsock, HULL_LANDLOCK_SOCKET, err) : 0;

	for (uint32_t i = 0; !r && i < m->nports; i++) {
		const char *path = hull_char_socket(m->ports[i]);

		if (path)
			r = hull_jail_allow_folder(path, HULL_LANDLOCK_SOCKET, err);
	}
	return r;
}

static int allow_store(const struct app_machine *m, struct hull_err *err)
{
	const char *dir = hull_options_text(m->options, HULL_OPT_JIT_STORE);

	return dir && strcmp(dir, "off") ? hull_jail_allow(dir, HULL_LANDLOCK_CHANGE, err) : 0;
}

int hull_app_jail_enter(const struct app_machine *m, struct hull_err *err)
{
	int r = allow_sockets(m, err);

	if (!r)
		r = allow_store(m, err);
	return r ? r
	         : hull_jail_enter(m->nets.n || has_remote_disk(m->options),
	                           (m->disks.n ? HULL_JAIL_DISK : 0) |
	                                   (m->vsock ? HULL_JAIL_VSOCK : 0) |
	                                   (strcmp(m->accel->name, "engine") ? HULL_JAIL_KVM : 0),
	                           err);
}
