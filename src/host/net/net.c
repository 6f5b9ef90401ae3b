/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What all ends have in common, and the one that leads nowhere. */
#include "host/net/net.h"

#include <stdlib.h>

int hull_net_start(struct hull_net_end *e, struct hull_err *err)
{
	return e->kind->start(e, err);
}

void hull_net_stop(struct hull_net_end *e)
{
	if (e)
		e->kind->stop(e);
}

void hull_net_close(struct hull_net_end *e)
{
	if (!e)
		return;
	e->kind->stop(e);
	e->kind->close(e);
}

static bool none_send(struct hull_net *n, const struct hull_net_frame *f)
{
	return true;
}

static int none_start(struct hull_net_end *e, struct hull_err *err)
{
	if (e->net.link_changed)
		e->net.link_changed(e->net.arg, false);
	return 0;
}

static void none_stop(struct hull_net_end *e)
{
}

static void none_close(struct hull_net_end *e)
{
	free(e);
}

int hull_net_none_open(struct hull_net_end **ret, struct hull_err *err)
{
	static const struct hull_net_kind kind = { "none", none_start, none_stop, none_close };
	struct hull_net_end *e = calloc(1, sizeof(*e));

	if (!e)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a network");
	e->kind = &kind;
	e->net.send = none_send;
	*ret = e;
	return 0;
}
