/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What wrappers share: an end between a device and another end, which it owns.
 * A wrapper replaces send, ready, receive and writable where it wants to look.
 */
#ifndef HULL_HOST_NET_WRAP_H
#define HULL_HOST_NET_WRAP_H

#include "base/atomic.h"
#include "host/net/net.h"

struct hull_net_wrap {
	struct hull_net_end end; /* for the device */
	struct hull_net_end *inner;
};

static inline struct hull_net_wrap *hull_net_wrap_of(struct hull_net *n)
{
	return (struct hull_net_wrap *)n;
}

/* What the device can deal with may change with each reset. */
static inline void hull_net_wrap_gives(struct hull_net_wrap *w)
{
	hull_store_relaxed(&w->inner->net.gives, hull_load_relaxed(&w->end.net.gives));
}

static inline void hull_net_wrap_writable(void *arg)
{
	struct hull_net_wrap *w = arg;

	if (w->end.net.writable)
		w->end.net.writable(w->end.net.arg);
}

static inline void hull_net_wrap_link(void *arg, bool up)
{
	struct hull_net_wrap *w = arg;

	if (w->end.net.link_changed)
		w->end.net.link_changed(w->end.net.arg, up);
}

static inline void hull_net_wrap_ready(struct hull_net *n)
{
	struct hull_net_wrap *w = hull_net_wrap_of(n);

	hull_net_wrap_gives(w);
	if (w->inner->net.ready)
		w->inner->net.ready(&w->inner->net);
}

/* Put `w` (zeroed) around `inner`; send and receive are the wrapper's. */
static inline void hull_net_wrap_init(struct hull_net_wrap *w, struct hull_net_end *inner,
                                      const struct hull_net_kind *kind)
{
	w->end.kind = kind;
	w->end.net = inner->net;
	w->end.net.ready = hull_net_wrap_ready;
	/* Each frame for itself. */
	w->end.net.kick = NULL;
	w->end.net.receiving = false;
	w->inner = inner;
	inner->net.arg = w;
	inner->net.writable = hull_net_wrap_writable;
	inner->net.link_changed = hull_net_wrap_link;
}

#endif
