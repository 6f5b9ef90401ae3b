/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "support/backends.h"

#include <stdlib.h>

#include "support/membackend.h"
#include "support/netbackend.h"
#include "support/sharebackend.h"
#include "support/vsockbackend.h"

enum { DISK = 1 << 20, PORTS = 3 };

/* Ports that never say anything and take everything. */
struct ports {
	struct hull_ports p; /* first */
	struct hull_char chr[PORTS];
};

static size_t take_all(struct hull_char *c, const void *buf, size_t len)
{
	(void)c;
	(void)buf;
	return len;
}

static size_t say_nothing(struct hull_char *c, void *buf, size_t len)
{
	(void)c;
	(void)buf;
	(void)len;
	return 0;
}

/* Both of a pair have the same address. */
static void *new_net(void)
{
	struct netbackend *b = netbackend_new();

	b->n.mac[0] = 2;
	return b;
}

static void *new_ports(void)
{
	struct ports *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->p.n = PORTS;
	for (unsigned i = 0; i < PORTS; i++) {
		s->chr[i].write = take_all;
		s->chr[i].read = say_nothing;
		s->p.port[i] = (struct hull_named_port){ "org.hull.test", &s->chr[i] };
	}
	return s;
}

void *backends_new(const struct hull_dev_type *type)
{
	switch (type->backend) {
	case HULL_BACKEND_BLOCK: return membackend_new(DISK, false);
	case HULL_BACKEND_NET: return new_net();
	case HULL_BACKEND_VSOCK: return vsockbackend_new();
	case HULL_BACKEND_PORTS: return new_ports();
	case HULL_BACKEND_SHARE: return sharebackend_new(false);
	default: return NULL;
	}
}

void backends_free(const struct hull_dev_type *type, void *backend)
{
	switch (type->backend) {
	case HULL_BACKEND_BLOCK: membackend_free(backend); break;
	case HULL_BACKEND_NET: netbackend_free(backend); break;
	case HULL_BACKEND_VSOCK: vsockbackend_free(backend); break;
	case HULL_BACKEND_SHARE: sharebackend_free(backend); break;
	default: free(backend);
	}
}
