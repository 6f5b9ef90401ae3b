/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Shared directories; see shares.h. */
#include "app/shares.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "host/sandbox/jail.h"

static const char *text(const struct hull_options *o, enum hull_option id, uint32_t i)
{
	return hull_options_item(o, id, i)->text;
}

/* DIR:TAG, unless the tag is given by itself; the length of DIR. */
static size_t split(const struct hull_options *o, uint32_t i)
{
	const char *host = text(o, HULL_OPT_SHARE_HOST, i), *colon = strrchr(host, ':');

	if (!colon || colon == host || text(o, HULL_OPT_SHARE_GUEST, i))
		return strlen(host);
	return (size_t)(colon - host);
}

static int tag_of(const struct hull_options *o, uint32_t i, char tag[HULL_SHARE_TAG_MAX + 1],
                  struct hull_err *err)
{
	const char *host = text(o, HULL_OPT_SHARE_HOST, i);
	const char *given = text(o, HULL_OPT_SHARE_GUEST, i);
	size_t dir = split(o, i);

	if (!given && host[dir])
		given = host + dir + 1;
	if (!given) {
		hull_format(tag, HULL_SHARE_TAG_MAX + 1, "share%u", i);
		return 0;
	}
	if (!*given || strlen(given) > HULL_SHARE_TAG_MAX) {
		hull_fail(err, HULL_EINVAL, 5, "the mount tag \"%.60s\" has not 1 to %d characters",
		          given, HULL_SHARE_TAG_MAX);
		hull_err_fix(err, "--share DIR:TAG, or leave :TAG away");
		return HULL_EINVAL;
	}
	hull_format(tag, HULL_SHARE_TAG_MAX + 1, "%s", given);
	return 0;
}

/* uid and gid of a map: "me", "keep" or a number. */
static int map_of(const struct hull_value *map, struct hull_share_options *so, struct hull_err *err)
{
	for (uint32_t k = 0; k < map->count; k++) {
		const struct hull_pair *p = &map->pairs[k];
		uint32_t *to = !strcmp(p->key, "uid")   ? &so->uid
		               : !strcmp(p->key, "gid") ? &so->gid
		                                        : NULL;
		uint64_t n = p->num;

		if (to && !p->is_num && !strcmp(p->text, "keep"))
			*to = HULL_SHARE_KEEP_IDS;
		else if (to && !p->is_num && !strcmp(p->text, "me"))
			*to = 0;
		else if (to && (p->is_num || hull_parse_u64(p->text, &n)) &&
		         n < HULL_SHARE_KEEP_IDS)
			*to = (uint32_t)n;
		else {
			hull_fail(err, HULL_EINVAL, 942, "share.map cannot be %.30s = %.40s",
			          p->key, p->text ? p->text : "");
			hull_err_fix(err, "write { uid = 1000, gid = 1000 }");
			return HULL_EINVAL;
		}
	}
	return 0;
}

static int check_tag(const struct hull_options *o, uint32_t i, const char *tag,
                     struct hull_err *err)
{
	for (uint32_t k = 0; k < i; k++) {
		char other[HULL_SHARE_TAG_MAX + 1];
		int r = tag_of(o, k, other, err);

		if (r)
			return r;
		if (strcmp(tag, other))
			continue;
		hull_fail(err, HULL_EINVAL, 944, "two shares have the tag \"%s\"", tag);
		hull_err_fix(err, "give one of them another: --share DIR:TAG");
		return HULL_EINVAL;
	}
	return 0;
}

int hull_app_share_open(const struct hull_options *o, uint32_t i, bool at_once,
                        struct hull_share **ret, struct hull_err *err)
{
	char tag[HULL_SHARE_TAG_MAX + 1];
	struct hull_share_options so = {
		.tag = tag,
		.read_only = hull_options_item(o, HULL_OPT_SHARE_READONLY, i)->num,
		.at_once = at_once,
		.never_now = hull_jail_is_on(),
		.max_fds = hull_share_raise_limit(o->nitems[HULL_GROUP_SHARE]),
	};
	struct hull_err refused = { 0 };
	char *path;
	int r = tag_of(o, i, tag, err), allowed;

	if (!r)
		r = check_tag(o, i, tag, err);
	if (!r)
		r = map_of(hull_options_item(o, HULL_OPT_SHARE_MAP, i), &so, err);
	if (r)
		return r;
	path = strndup(text(o, HULL_OPT_SHARE_HOST, i), split(o, i));
	if (!path)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a path");
	so.path = path;
	/* Its threads are confined from their start; what is wrong with the path is said below. */
	allowed = hull_jail_allow(path, so.read_only ? HULL_LANDLOCK_READ : HULL_LANDLOCK_CHANGE,
	                          &refused);
	r = hull_share_open(&so, ret, err);
	if (!r && allowed) {
		*err = refused;
		r = allowed;
	}
	free(path);
	return r;
}
