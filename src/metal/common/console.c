/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "metal/common/console.h"

#include <hull/config.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/text.h"
#include "metal/common/spin.h"

enum { SHELL = 0, NOBODY = METAL_PORTS, ARRIVED = 64 };

static void (*sink)(const char *text, size_t len);
static struct metal_spin spin;
static bool broken;

/* All under `spin`. */
static struct metal_port *ports[METAL_PORTS];
static uint32_t front = NOBODY, behind = NOBODY; /* the latter: the VM that the escape leads to */
static bool several, live;                       /* live: the one in front prints at once */

/* From the interrupt to the thread: each moves one end. */
static uint8_t arrived[ARRIVED];
static uint32_t first, last;

static void lock(void)
{
	if (!broken)
		metal_spin_lock(&spin);
}

static void unlock(void)
{
	if (!broken)
		metal_spin_unlock(&spin);
}

void metal_console_set(void (*write)(const char *text, size_t len))
{
	sink = write;
}

void metal_console_break(void)
{
	broken = true;
}

static void put(const char *text, size_t len)
{
	if (sink)
		sink(text, len);
}

/* Only one that is alone and in front needs no name. */
static bool named(void)
{
	return several || front == SHELL;
}

static void put_name(const struct metal_port *p)
{
	char text[HULL_NAME_MAX + 4];

	if (named() && p->name)
		put(text, hull_format(text, sizeof(text), "[%s] ", p->name));
}

static struct metal_port *live_port(void)
{
	return live && front < METAL_PORTS ? ports[front] : NULL;
}

/* A whole line of somebody else's: what the one in front has begun is printed again after it. */
static void begin_line(void)
{
	if (live_port() && live_port()->nline)
		put("\r\n", 2);
}

static void end_line(void)
{
	struct metal_port *p = live_port();

	if (!p || !p->nline)
		return;
	put_name(p);
	put(p->line, p->nline);
}

void metal_console_write(const char *text, size_t len)
{
	lock();
	begin_line();
	put(text, len);
	end_line();
	unlock();
}

void metal_say(const char *format, ...)
{
	char line[256];
	va_list args;
	size_t n;

	va_start(args, format);
	n = hull_vformat(line, sizeof(line) - 2, format, args);
	va_end(args);
	n = MIN(n, sizeof(line) - 3);
	line[n] = '\r';
	line[n + 1] = '\n';
	metal_console_write(line, n + 2);
}

static void print_lines(struct metal_port *p, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] != '\r' && text[i] != '\n' && p->nline < METAL_LINE)
			p->line[p->nline++] = text[i];
		if (text[i] != '\n' && p->nline < METAL_LINE)
			continue;
		begin_line();
		put_name(p);
		put(p->line, p->nline);
		put("\r\n", 2);
		p->nline = 0;
		end_line();
	}
}

/* At once; the line is kept, as far as there is room, to be printed again. */
static void print_live(struct metal_port *p, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!p->nline && text[i] != '\r' && text[i] != '\n')
			put_name(p);
		put(text + i, 1);
		if (text[i] == '\n')
			p->nline = 0;
		else if (p->nline < METAL_LINE && (p->nline || text[i] != '\r'))
			p->line[p->nline++] = text[i];
	}
}

static size_t port_write(struct hull_char *c, const void *buf, size_t len)
{
	struct metal_port *p = CONTAINER_OF(c, struct metal_port, chr);

	lock();
	/* The shell waits to be called. */
	if (p == live_port() || (p->name && !named()))
		print_live(p, buf, len);
	else
		print_lines(p, buf, len);
	unlock();
	return len;
}

static size_t port_read(struct hull_char *c, void *buf, size_t len)
{
	struct metal_port *p = CONTAINER_OF(c, struct metal_port, chr);
	uint8_t *to = buf;
	size_t n = 0;

	lock();
	while (n < len && p->tail != p->head)
		to[n++] = p->typed[p->tail++ % METAL_TYPED];
	unlock();
	return n;
}

void metal_console_join(uint32_t n, struct metal_port *p, const char *name)
{
	if (p)
		*p = (struct metal_port){ .chr = { .write = port_write, .read = port_read },
			                  .name = name };
	lock();
	ports[n] = p;
	if (p && n != SHELL && front == NOBODY) {
		front = behind = n;
		live = !several;
	}
	unlock();
}

void metal_console_name_lines(void)
{
	several = true;
}

/* What was printed of a line stays; what was kept of one is printed when its port comes. */
bool metal_console_show(uint32_t n)
{
	bool there;

	lock();
	there = n < METAL_PORTS && ports[n];
	if (there) {
		begin_line();
		if (live_port())
			live_port()->nline = 0;
		front = n;
		behind = n == SHELL ? behind : n;
		live = true;
		end_line();
	}
	unlock();
	return there;
}

void metal_console_type(uint8_t c)
{
	struct metal_port *p;

	if (c == METAL_ESCAPE) {
		metal_console_show(front == SHELL ? behind : SHELL);
		return;
	}
	if (!live)
		metal_console_show(front);
	lock();
	p = front < METAL_PORTS ? ports[front] : NULL;
	/* A guest that does not read loses what comes last. */
	if (p && p->head - p->tail < METAL_TYPED)
		p->typed[p->head++ % METAL_TYPED] = c;
	unlock();
	if (p && p->chr.readable)
		p->chr.readable(p->chr.readable_arg);
}

void metal_console_arrived(uint8_t c)
{
	uint32_t n = hull_load_relaxed(&last);

	/* Pairs with metal_console_next(). */
	if (n - hull_load_acquire(&first) == ARRIVED)
		return;
	arrived[n % ARRIVED] = c;
	hull_store_release(&last, n + 1);
}

int metal_console_next(void)
{
	uint32_t n = hull_load_relaxed(&first);
	int c;

	if (n == hull_load_acquire(&last))
		return -1;
	c = arrived[n % ARRIVED];
	hull_store_release(&first, n + 1);
	return c;
}
