/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* From [[net]] to network cards; see net.h. */
#include "app/net.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "app/machine.h"
#include "base/bits.h"
#include "base/text.h"
#include "core/dev_impl.h"
#include "host/net/capture.h"
#include "host/net/impair.h"
#include "host/net/switch.h"
#include "host/net/tap.h"
#include "host/net/user.h"
#include "host/sandbox/jail.h"

enum { DENIED = 32, SLOWEST = 1000 };

#define LONGEST_NS UINT64_C(10000000000) /* of delays */

/* One card while it is opened. */
struct card {
	const struct app_machine *m;
	uint32_t i;
	bool given; /* there is an item for it; otherwise it is user mode by --publish */
	const char *mode;
	uint8_t mac[6];
	uint16_t mtu;
	struct hull_net_publish publish[APP_PUBLISHED];
	unsigned npublish;
	struct hull_net_address deny[DENIED];
	struct hull_err *err;
};

static const struct hull_value *value(const struct card *c, enum hull_option id)
{
	static const struct hull_value none;

	return c->given ? hull_options_item(c->m->options, id, c->i) : &none;
}

static int senseless(struct card *c, const char *key, const char *text, const char *fix)
{
	hull_fail(c->err, HULL_EINVAL, 501, "net[%u].%s: \"%.80s\" makes no sense", c->i, key,
	          text);
	hull_err_fix(c->err, "%s", fix);
	return HULL_EINVAL;
}

static int add_published(struct card *c, const char *text)
{
	if (c->npublish == APP_PUBLISHED)
		return hull_fail(c->err, HULL_EOVERFLOW, 109, "too many published ports");
	if (!hull_net_publish_parse(text, &c->publish[c->npublish++]))
		return senseless(c, "publish", text,
		                 "write 2222:22, auto:22 or 127.0.0.1:5353:53/udp");
	return 0;
}

static int read_published(struct card *c)
{
	const struct hull_value *v = value(c, HULL_OPT_NET_PUBLISH);
	const struct hull_options *o = c->m->options;
	int r = 0;

	for (uint32_t k = 0; !r && k < v->count; k++)
		r = add_published(c, v->pairs[k].text);
	for (uint32_t k = 0; !r && !c->i && k < o->nitems[HULL_GROUP_PUBLISH]; k++)
		r = add_published(c, hull_options_item(o, HULL_OPT_PUBLISH_PORT, k)->text);
	return r;
}

static bool is_false(const struct hull_pair *p)
{
	return p->is_num ? !p->num : !strcmp(p->text, "false") || !strcmp(p->text, "no");
}

static int read_ip(struct card *c, struct hull_user_options *u)
{
	const struct hull_value *v = value(c, HULL_OPT_NET_IP);

	for (uint32_t k = 0; k < v->count; k++) {
		const struct hull_pair *p = &v->pairs[k];
		bool ok = true;

		if (!strcmp(p->key, "v4"))
			ok = is_false(p) ? (u->no_v4 = true)
			                 : hull_net_address_parse(p->text, &u->guest);
		else if (!strcmp(p->key, "gateway"))
			ok = hull_net_address_parse(p->text, &u->gateway);
		else if (!strcmp(p->key, "dns"))
			ok = hull_net_address_parse(p->text, &u->dns);
		else if (!strcmp(p->key, "v6") && is_false(p))
			u->no_v6 = true;
		else if (!strcmp(p->key, "v6"))
			ok = (p->is_num && p->num == 1) || !strcmp(p->text, "true") ||
			     hull_net_address_parse(p->text, &u->net6);
		else if (!strcmp(p->key, "host_name"))
			u->host_name = p->text;
		else
			return senseless(c, "ip", p->key, "v4, gateway, dns, v6, host_name");
		if (!ok)
			return senseless(c, "ip", p->text, "ip.v4=10.0.2.15/24");
	}
	return 0;
}

static int read_denied(struct card *c, struct hull_user_options *u, const char *list)
{
	char text[64];

	for (size_t n; *list; list += n + (list[n] == ' ')) {
		n = strcspn(list, " ");
		if (n >= sizeof(text) || u->ndeny == DENIED)
			return senseless(c, "restrict.deny", list, "at most 32 networks");
		memcpy(text, list, n);
		text[n] = '\0';
		if (!hull_net_address_parse(text, &c->deny[u->ndeny++]))
			return senseless(c, "restrict.deny", text, "write 192.168.0.0/16");
	}
	u->deny = c->deny;
	return 0;
}

static int read_restrict(struct card *c, struct hull_user_options *u)
{
	const struct hull_value *v = value(c, HULL_OPT_NET_RESTRICT);
	int r = 0;

	for (uint32_t k = 0; !r && k < v->count; k++) {
		const struct hull_pair *p = &v->pairs[k];
		bool deny = !strcmp(p->text, "deny");

		if (!strcmp(p->key, "deny"))
			r = read_denied(c, u, p->text);
		else if (strcmp(p->key, "outbound") && strcmp(p->key, "host"))
			r = senseless(c, "restrict", p->key, "outbound, host, deny");
		else if (!deny && strcmp(p->text, "allow"))
			r = senseless(c, "restrict", p->text, "allow or deny");
		else if (!strcmp(p->key, "outbound"))
			u->restrict_outbound = deny;
		else
			u->no_host = deny;
	}
	return r;
}

static int open_user(struct card *c, struct hull_net_end **ret)
{
	struct hull_user_options u = { .mtu = c->mtu,
		                       .publish = c->publish,
		                       .npublish = c->npublish };
	int r;

	memcpy(u.mac, c->mac, 6);
	r = read_ip(c, &u);
	if (!r)
		r = read_restrict(c, &u);
	if (!r)
		r = hull_user_open(&u, ret, c->err);
	/* Where the host's name server is; a host need not have one. */
	if (!r && hull_jail_allow("/etc/resolv.conf", HULL_LANDLOCK_READ, NULL))
		return 0;
	return r;
}

/* Whoever stays on a switch takes over from the one that leaves: socket and lock are made anew. */
static int allow_path(const struct hull_net_end *e, enum hull_landlock_use use,
                      struct hull_err *err)
{
	const char *path = hull_switch_path(e);

	return path ? hull_jail_allow_folder(path, use, err) : 0;
}

static int open_link(struct card *c, struct hull_net_end **ret)
{
	struct hull_link_options o = { .mtu = c->mtu, .fd = -1 };
	int r;

	memcpy(o.mac, c->mac, 6);
	if (!strcmp(c->mode, "passt"))
		return hull_passt_open(&o, c->publish, c->npublish, ret, c->err);
	if (!strncmp(c->mode, "passt:", 6))
		o.connect = c->mode + 6;
	else if (!strncmp(c->mode, "link:connect:", 13))
		o.connect = c->mode + 13;
	else
		o.listen = c->mode + 12;
	r = hull_link_open(&o, ret, c->err);
	return r ? r : allow_path(*ret, HULL_LANDLOCK_SOCKET, c->err);
}

static bool is_link(const char *mode)
{
	return !strcmp(mode, "passt") || !strncmp(mode, "passt:", 6) ||
	       !strncmp(mode, "link:connect:", 13) || !strncmp(mode, "link:listen:", 12);
}

static int open_end(struct card *c, struct hull_net_end **ret)
{
	struct hull_switch_options s = { .mtu = c->mtu };
	int r;

	if (c->npublish && strcmp(c->mode, "user") && strcmp(c->mode, "passt"))
		return senseless(c, "publish", c->mode, "publish ports with user or passt only");
	if (!strcmp(c->mode, "user"))
		return open_user(c, ret);
	/* A wall that is not there is worse than none. */
	if (value(c, HULL_OPT_NET_RESTRICT)->count)
		return senseless(c, "restrict", c->mode, "restrict works with mode user only");
	if (!strcmp(c->mode, "none"))
		return hull_net_none_open(ret, c->err);
	if (is_link(c->mode))
		return open_link(c, ret);
	if (!strncmp(c->mode, "tap:", 4))
		return hull_net_tap_open(c->mode + 4, c->mac, c->mtu, ret, c->err);
	if (strncmp(c->mode, "switch:", 7))
		return senseless(c, "mode", c->mode,
		                 "user, switch:NAME, tap:NAME, passt[:PATH], link:connect:PATH, "
		                 "link:listen:PATH, none");
	s.name = c->mode + 7;
	memcpy(s.mac, c->mac, 6);
	r = hull_switch_join(&s, ret, c->err);
	return r ? r : allow_path(*ret, HULL_LANDLOCK_CHANGE, c->err);
}

/* Percent with up to four decimals, in parts per million. */
static bool percent(const char *text, uint32_t *ret)
{
	uint64_t whole = 0, part = 0, scale = 10000;
	const char *p = text;

	for (; *p >= '0' && *p <= '9' && whole <= 100; p++)
		whole = whole * 10 + (uint64_t)(*p - '0');
	if (p == text)
		return false;
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9' && scale > 1; p++)
			part += (uint64_t)(*p - '0') * (scale /= 10);
	if (*p || whole * 10000 + part > 1000000)
		return false;
	*ret = (uint32_t)(whole * 10000 + part);
	return true;
}

static int read_impair(struct card *c, struct hull_impair_options *o)
{
	const struct hull_value *v = value(c, HULL_OPT_NET_IMPAIR);

	for (uint32_t k = 0; k < v->count; k++) {
		const struct hull_pair *p = &v->pairs[k];
		bool ok;

		if (!strcmp(p->key, "delay"))
			ok = hull_parse_duration(p->text, &o->delay_ns);
		else if (!strcmp(p->key, "jitter"))
			ok = hull_parse_duration(p->text, &o->jitter_ns);
		else if (!strcmp(p->key, "loss"))
			ok = percent(p->text, &o->loss_ppm);
		else if (!strcmp(p->key, "duplicate"))
			ok = percent(p->text, &o->duplicate_ppm);
		else if (!strcmp(p->key, "seed"))
			ok = hull_parse_u64(p->text, &o->seed);
		else
			return senseless(c, "impair", p->key,
			                 "delay, jitter, loss, duplicate, seed");
		if (!ok || o->delay_ns > LONGEST_NS || o->jitter_ns > o->delay_ns)
			return senseless(c, "impair", p->text,
			                 "impair.delay=20ms,impair.jitter=2ms,impair.loss=0.1");
	}
	return 0;
}

static int read_limit(struct card *c, struct hull_impair_options *o)
{
	const struct hull_value *v = value(c, HULL_OPT_NET_LIMIT);

	for (uint32_t k = 0; k < v->count; k++) {
		const struct hull_pair *p = &v->pairs[k];
		bool rx = !strcmp(p->key, "rx");

		if (!rx && strcmp(p->key, "tx"))
			return senseless(c, "limit", p->key, "rx, tx");
		if (!hull_parse_size(p->text, rx ? &o->to_guest : &o->from_guest) ||
		    (rx ? o->to_guest : o->from_guest) < SLOWEST)
			return senseless(c, "limit", p->text, "limit.rx=50M,limit.tx=50M");
	}
	return 0;
}

/* A bad line around the network; nothing if none was asked for. */
static int impair(struct card *c, struct hull_net_end **end)
{
	struct hull_impair_options o = { .seed = 1 };
	int r = read_impair(c, &o);

	if (!r)
		r = read_limit(c, &o);
	if (r || !(value(c, HULL_OPT_NET_IMPAIR)->count + value(c, HULL_OPT_NET_LIMIT)->count))
		return r;
	return hull_impair_open(&o, *end, end, c->err);
}

static int capture(struct card *c, struct hull_net_end **end)
{
	const char *path = value(c, HULL_OPT_NET_CAPTURE)->text;
	struct hull_capture_options o = {
		.path = path ? path : hull_options_text(c->m->options, HULL_OPT_RUN_CAPTURE),
		.interface = value(c, HULL_OPT_NET_ID)->text,
		.max_bytes = c->given ? value(c, HULL_OPT_NET_CAPTURE_MAX)->num : UINT64_C(1) << 30,
		.snap = (uint32_t)value(c, HULL_OPT_NET_CAPTURE_SNAP)->num,
	};

	if (!path && c->i)
		return 0;
	return o.path ? hull_capture_open(&o, *end, end, c->err) : 0;
}

/* In user mode nobody else sees it, and a guest's configuration may depend on it. */
static int choose_mac(struct card *c)
{
	static const uint8_t usual[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
	const char *text = value(c, HULL_OPT_NET_MAC)->text;

	memcpy(c->mac, usual, 6);
	c->mac[5] = (uint8_t)(c->mac[5] + c->i);
	if (text)
		return hull_net_mac_parse(text, c->mac)
		               ? 0
		               : senseless(c, "mac", text, "write 52:54:00:12:34:56");
	if (strcmp(c->mode, "user") && getrandom(c->mac + 3, 3, 0) != 3)
		c->mac[5] ^= 0x80;
	return 0;
}

static int open_card(struct card *c, struct hull_net_end **ret)
{
	int r;

	c->mode = c->given ? value(c, HULL_OPT_NET_MODE)->text : "user";
	c->mtu = (uint16_t)value(c, HULL_OPT_NET_MTU)->num;
	r = choose_mac(c);
	if (!r)
		r = read_published(c);
	if (!r)
		r = open_end(c, ret);
	if (r)
		return r;
	if (c->given && !value(c, HULL_OPT_NET_OFFLOAD)->num)
		(*ret)->net.takes = 0;
	r = impair(c, ret);
	if (!r)
		r = capture(c, ret);
	if (r)
		hull_net_close(*ret);
	return r;
}

static void note_published(struct app_nets *n, const struct card *c)
{
	char text[HULL_NET_PUBLISH_TEXT];

	for (unsigned i = 0; i < c->npublish && n->npublished < APP_PUBLISHED; i++) {
		hull_net_publish_text(&c->publish[i], text);
		hull_format(n->published[n->npublished++], sizeof(n->published[0]), "port %s",
		            text);
	}
}

static void set_queues(struct hull_device_config *d, uint64_t queues)
{
	const struct hull_dev_type *t = hull_dev_type_find(d->type);

	for (unsigned i = 0; t && i < t->nprops && i < HULL_MAX_DEV_ARGS; i++) {
		if (i >= d->nargs)
			d->args[i] = t->props[i].dflt;
		if (!strcmp(t->props[i].name, "queues"))
			d->args[i] = queues;
		d->nargs = (uint8_t)MAX(d->nargs, i + 1);
	}
}

static int add_card(struct app_machine *m, struct hull_vm_config *config, uint32_t i,
                    struct hull_err *err)
{
	struct card *c = calloc(1, sizeof(*c));
	struct app_nets *n = &m->nets;
	const char *id;
	char name[24];
	int r;

	if (!c)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a network card");
	c->m = m;
	c->i = i;
	c->err = err;
	c->given = i < m->options->nitems[HULL_GROUP_NET];
	r = open_card(c, &n->ends[n->n]);
	if (!r) {
		note_published(n, c);
		id = value(c, HULL_OPT_NET_ID)->text;
		hull_format(name, sizeof(name), "net%u", i);
		r = hull_app_add_device(m, config, "virtio-net", id ? id : name,
		                        &n->ends[n->n++]->net, err);
	}
	if (!r && c->given) {
		set_queues(&config->devices[config->ndevices - 1],
		           value(c, HULL_OPT_NET_QUEUES)->num);
		hull_app_set_bus(m, config, HULL_OPT_NET_TRANSPORT, i);
	}
	free(c);
	return r;
}

int hull_app_net_add(struct app_machine *m, struct hull_vm_config *c, struct hull_err *err)
{
	const struct hull_options *o = m->options;
	uint32_t n = o->nitems[HULL_GROUP_NET];
	int r = 0;

	if (!n && (o->nitems[HULL_GROUP_PUBLISH] || hull_options_has(o, HULL_OPT_RUN_CAPTURE)))
		n = 1;
	if (n > APP_NICS)
		return hull_fail(err, HULL_EOVERFLOW, 109, "too many network cards");
	if (n && c->deterministic) {
		hull_fail(err, HULL_EINVAL, 108,
		          "a deterministic run cannot have a network: what "
		          "comes from outside does not repeat");
		hull_err_fix(err, "leave --net, --publish and --capture out, or --deterministic");
		return HULL_EINVAL;
	}
	for (uint32_t i = 0; !r && i < n; i++)
		r = add_card(m, c, i, err);
	return r;
}

int hull_app_net_start(struct app_nets *n, struct hull_err *err)
{
	int r = 0;

	for (unsigned i = 0; !r && i < n->n; i++)
		r = hull_net_start(n->ends[i], err);
	return r;
}

void hull_app_net_stop(struct app_nets *n)
{
	for (unsigned i = 0; i < n->n; i++)
		hull_net_stop(n->ends[i]);
}

const char *hull_app_net_note(const struct app_nets *n, unsigned i)
{
	return i < n->n ? hull_capture_ended(n->ends[i]) : NULL;
}

void hull_app_net_close(struct app_nets *n)
{
	for (unsigned i = 0; i < n->n; i++)
		hull_net_close(n->ends[i]);
	memset(n, 0, sizeof(*n));
}
