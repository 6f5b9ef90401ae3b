/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "support/vsockbackend.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

static struct vsock_program *of(struct hull_vsock *b, unsigned id)
{
	struct vsock_program *p = &((struct vsockbackend *)b)->programs[id];

	if (!p->used)
		abort(); /* a number that is not open */
	return p;
}

int vsockbackend_program(struct vsockbackend *f)
{
	unsigned id = f->next++ % HULL_VSOCK_CONNS;

	if (f->programs[id].used)
		return HULL_ENOMEM;
	f->programs[id] = (struct vsock_program){ .used = true };
	return (int)id;
}

static int do_connect(struct hull_vsock *b, uint32_t port)
{
	return port & 1 ? vsockbackend_program((struct vsockbackend *)b) : HULL_ENOENT;
}

static void do_accepted(struct hull_vsock *b, unsigned id, uint32_t port)
{
	(void)port;
	of(b, id);
}

static int do_read(struct hull_vsock *b, unsigned id, void *buf, uint32_t len)
{
	struct vsock_program *p = of(b, id);
	uint32_t n = MIN(len, p->available);

	memset(buf, 0x5a, n);
	p->available -= n;
	if (n)
		return (int)n;
	return p->gone ? HULL_VSOCK_GONE : p->ended && len ? HULL_VSOCK_END : 0;
}

static void do_write(struct hull_vsock *b, unsigned id, const void *buf, uint32_t len)
{
	struct vsock_program *p = of(b, id);

	(void)buf;
	p->unsent += len;
	if (p->unsent > HULL_VSOCK_BUFFER)
		abort(); /* the device let the guest send too much */
}

static uint32_t do_unsent(struct hull_vsock *b, unsigned id)
{
	return of(b, id)->unsent;
}

static void do_finish(struct hull_vsock *b, unsigned id)
{
	of(b, id);
}

static void do_close(struct hull_vsock *b, unsigned id, bool now)
{
	(void)now;
	of(b, id)->used = false;
}

struct vsockbackend *vsockbackend_new(void)
{
	struct vsockbackend *f = calloc(1, sizeof(*f));

	if (!f)
		abort();
	f->b = (struct hull_vsock){ .cid = VSOCKBACKEND_CID,
		                    .connect = do_connect,
		                    .accepted = do_accepted,
		                    .read = do_read,
		                    .write = do_write,
		                    .unsent = do_unsent,
		                    .finish = do_finish,
		                    .close = do_close };
	return f;
}

void vsockbackend_free(struct vsockbackend *f)
{
	for (unsigned i = 0; i < HULL_VSOCK_CONNS; i++)
		if (f->programs[i].used)
			abort();
	free(f);
}
