/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "app/jail.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "engine/engine.h"
#include "host/sandbox/jail.h"

/* Does the value of this option begin so, in any item of its group? */
static bool any(const struct hull_options *o, unsigned group, enum hull_option id,
                const char *start)
{
	for (uint32_t i = 0; i < o->nitems[group]; i++) {
		const char *text = hull_options_item(o, id, i)->text;

		if (text && !strncmp(text, start, strlen(start)))
			return true;
	}
	return false;
}

static bool may_change_shares(const struct hull_options *o)
{
	bool may = false;

	for (uint32_t i = 0; i < o->nitems[HULL_GROUP_SHARE]; i++)
		may |= !hull_options_item(o, HULL_OPT_SHARE_READONLY, i)->num;
	return may;
}

static const char *store_of(const struct hull_options *o)
{
	const char *dir = hull_options_text(o, HULL_OPT_JIT_STORE);

	return dir && strcmp(dir, "off") ? dir : NULL;
}

static unsigned needs_of(const struct hull_options *o)
{
	const struct {
		bool is;
		enum hull_jail_need need;
	} all[] = {
		{ o->nitems[HULL_GROUP_DISK], HULL_JAIL_DISK },
		{ hull_options_text(o, HULL_OPT_VSOCK_PATH), HULL_JAIL_VSOCK },
		{ hull_options_num(o, HULL_OPT_ENGINE_ACCEL) != HULL_ACCEL_NONE, HULL_JAIL_KVM },
		{ may_change_shares(o), HULL_JAIL_CHANGE },
		{ any(o, HULL_GROUP_NET, HULL_OPT_NET_MODE, "passt"), HULL_JAIL_PASST },
		{ store_of(o), HULL_JAIL_STORE },
		{ isatty(STDIN_FILENO), HULL_JAIL_TERMINAL },
	};
	unsigned needs = 0;

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		needs |= all[i].is ? all[i].need : 0;
	return needs;
}

/* A card may lead anywhere.  Disks behind a network are open by then, and so are their threads. */
static bool is_local(const struct hull_options *o)
{
	return !o->nitems[HULL_GROUP_NET] && !o->nitems[HULL_GROUP_PUBLISH] &&
	       !hull_options_has(o, HULL_OPT_RUN_CAPTURE);
}

int hull_app_jail_begin(const struct hull_options *o, int wake, const char **note,
                        struct hull_err *err)
{
	struct hull_jail_options jail = {
		.level = (enum hull_jail_level)hull_options_num(o, HULL_OPT_SECURITY_JAIL),
		.wake = wake,
		.needs = needs_of(o),
		.local = is_local(o),
	};
	enum hull_jail_level possible = hull_jail_possible(note);

	if (jail.level > possible && !hull_options_has(o, HULL_OPT_SECURITY_JAIL))
		jail.level = possible;
	else
		*note = NULL;
	hull_engine_thread_hook(hull_jail_thread);
	return hull_jail_begin(&jail, err);
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

int hull_app_jail_enter(const struct app_machine *m, struct hull_err *err)
{
	const char *store = store_of(m->options);
	int r = allow_sockets(m, err);

	if (!r && store)
		r = hull_jail_allow(store, HULL_LANDLOCK_CHANGE, err);
	return r ? r : hull_jail_enter(err);
}
