/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * PL011: Arm PrimeCell UART, revision r1p5.
 *
 * Spec: Arm DDI 0183, "PrimeCell UART (PL011)", ch. 2 and 3.
 *
 * Characters go out at once: the transmitter is empty again by the time the
 * guest looks, unless the backend does not take them.  Then they wait in the
 * transmit FIFO and are offered again every millisecond; a backend that has
 * taken nothing for two seconds loses everything until it takes something
 * again, so that a guest that polls never hangs.  Characters come in while the
 * receiver is on and its FIFO has room, so there are no overruns outside loopback.
 * The transmitter is always on: early consoles expect that firmware did it.
 *
 * Not modelled: line speed (except for the receive time-out), parity, break, framing
 * errors, DMA, IrDA.
 */
#include "base/mem.h"
#include "core/dev_impl.h"

enum { /* register offsets, table 3-1 */
       DR = 0x00,
       RSR = 0x04,
       FR = 0x18,
       ILPR = 0x20,
       IBRD = 0x24,
       FBRD = 0x28,
       LCR_H = 0x2c,
       CR = 0x30,
       IFLS = 0x34,
       IMSC = 0x38,
       RIS = 0x3c,
       MIS = 0x40,
       ICR = 0x44,
       DMACR = 0x48,
       ID0 = 0xfe0,
};
enum { DR_OE = 0x800, RSR_OE = 8 };
enum {
	FR_CTS = 1,
	FR_DSR = 2,
	FR_DCD = 4,
	FR_RXFE = 16,
	FR_TXFF = 32,
	FR_RXFF = 64,
	FR_TXFE = 128,
	FR_RI = 256,
	FR_LINES = FR_CTS | FR_DSR | FR_DCD | FR_RI
};
enum { LCR_FEN = 16 };
enum {
	CR_EN = 1,
	CR_LOOP = 0x80,
	CR_RXE = 0x200,
	CR_DTR = 0x400,
	CR_RTS = 0x800,
	CR_OUT1 = 0x1000,
	CR_OUT2 = 0x2000,
	CR_RESET = 0x300
};
enum { IFLS_RESET = 0x12 };
enum {
	INT_RI = 1,
	INT_CTS = 2,
	INT_DCD = 4,
	INT_DSR = 8,
	INT_RX = 16,
	INT_TX = 32,
	INT_RT = 64,
	INT_OE = 0x400,
	INT_ALL = 0x7ff
};
enum { FIFO = 32, CLOCK_HZ = 24000000, TIMEOUT_BITS = 32 };

static const uint64_t retry_ns = 1000000, give_up_ns = 2000000000;

struct pl011 {
	struct hull_dev dev;
	uint8_t rx[FIFO], tx[FIFO];
	uint8_t rx_len, tx_len;
	uint8_t overrun; /* the next character read has DR.OE: one before it was lost */
	uint8_t errors;  /* RSR */
	uint8_t ilpr, lcr, ifls, dmacr, fbrd;
	uint8_t gave_up; /* the backend takes nothing */
	uint16_t ibrd, cr, ris, imsc;
	uint64_t rx_timeout; /* guest time, ns, or HULL_NEVER */
	uint64_t tx_retry;   /* likewise */
	uint64_t tx_since;   /* guest time when the backend last took something */
	uint64_t armed;      /* what the timer was last set to */
	uint64_t dropped;    /* characters that the backend never took */
};

static unsigned depth(const struct pl011 *s)
{
	return s->lcr & LCR_FEN ? FIFO : 1;
}

/* Characters at a level of IFLS (3.3.9); without FIFOs one is enough. */
static unsigned level(const struct pl011 *s, unsigned shift)
{
	static const uint8_t eighths[8] = { 1, 2, 4, 6, 7, 7, 7, 7 };

	return s->lcr & LCR_FEN ? eighths[s->ifls >> shift & 7] * (FIFO / 8u) : 1;
}

static void update(struct pl011 *s)
{
	uint64_t next = MIN(s->rx_timeout, s->tx_retry);

	hull_irq_set(s->dev.irq[0], s->ris & s->imsc);
	if (next != HULL_NEVER || s->armed != HULL_NEVER)
		hull_timer_at_ns(&s->dev, next);
	s->armed = next;
}

/* 2.8.4: no character in the time of 32 bits while some are there. */
static void restart_timeout(struct pl011 *s)
{
	uint64_t divisor = MAX((uint64_t)s->ibrd * 64 + s->fbrd, UINT64_C(64)); /* 64ths */

	s->rx_timeout = HULL_NEVER;
	if (s->rx_len && s->lcr & LCR_FEN)
		s->rx_timeout = hull_dev_now(&s->dev) +
		                TIMEOUT_BITS * 16 * divisor * UINT64_C(1000000000) / 64 / CLOCK_HZ;
}

static void received(struct pl011 *s)
{
	restart_timeout(s);
	if (s->rx_len >= level(s, 3))
		s->ris |= INT_RX;
}

static void pull(struct pl011 *s)
{
	struct hull_char *c = s->dev.backend;
	const unsigned on = CR_EN | CR_RXE;
	size_t n;

	if (!c || (s->cr & on) != on || s->cr & CR_LOOP || s->rx_len >= depth(s))
		return;
	n = c->read(c, s->rx + s->rx_len, depth(s) - s->rx_len);
	if (!n)
		return;
	s->rx_len += (uint8_t)n;
	received(s);
}

/* 2.8.3: the interrupt comes when the level is passed on the way down. */
static void take_sent(struct pl011 *s, unsigned n)
{
	unsigned at = s->lcr & LCR_FEN ? level(s, 0) : 0;

	memmove(s->tx, s->tx + n, s->tx_len - n);
	if (s->tx_len - n <= at)
		s->ris |= INT_TX;
	s->tx_len -= (uint8_t)n;
	if (!s->tx_len)
		s->tx_retry = HULL_NEVER;
}

static void transmit(struct pl011 *s)
{
	struct hull_char *c = s->dev.backend;
	uint64_t now = hull_dev_now(&s->dev);
	size_t n = c ? c->write(c, s->tx, s->tx_len) : s->tx_len;

	n = MIN(n, (size_t)s->tx_len);
	if (n) {
		s->tx_since = now;
		s->gave_up = 0;
	}
	if (n < s->tx_len && (s->gave_up || now - s->tx_since >= give_up_ns)) {
		s->gave_up = 1;
		s->dropped += s->tx_len - n;
		n = s->tx_len;
	}
	if (n < s->tx_len)
		s->tx_retry = now + retry_ns;
	if (n)
		take_sent(s, (unsigned)n);
}

static void loop_back(struct pl011 *s, uint8_t c)
{
	if (s->rx_len < depth(s)) {
		s->rx[s->rx_len++] = c;
	} else {
		s->overrun = 1;
		s->ris |= INT_OE;
	}
	s->ris |= INT_TX;
	received(s);
}

static void write_dr(struct pl011 *s, uint8_t c)
{
	if (s->cr & CR_LOOP) {
		loop_back(s, c);
		return;
	}
	if (s->tx_len == depth(s)) {
		s->dropped++;
		hull_guest_error(&s->dev, "character written to a full transmitter", c);
		return;
	}
	if (!s->tx_len)
		s->tx_since = hull_dev_now(&s->dev);
	s->tx[s->tx_len++] = c;
	if (s->tx_len > level(s, 0) || !(s->lcr & LCR_FEN))
		s->ris &= ~INT_TX;
	transmit(s);
}

static uint32_t read_dr(struct pl011 *s)
{
	uint32_t c = s->rx[0];

	if (!s->rx_len)
		return 0;
	s->errors = s->overrun ? RSR_OE : 0;
	c |= s->overrun ? DR_OE : 0;
	s->overrun = 0;
	s->rx_len--;
	memmove(s->rx, s->rx + 1, s->rx_len);
	if (s->rx_len < level(s, 3))
		s->ris &= ~INT_RX;
	if (!s->rx_len)
		s->ris &= ~INT_RT;
	restart_timeout(s);
	pull(s);
	return c;
}

/* Modem inputs: a peer that is always ready, or the outputs in loopback (3.3.8). */
static unsigned lines(const struct pl011 *s)
{
	if (!(s->cr & CR_LOOP))
		return FR_CTS | FR_DSR | FR_DCD;
	return (s->cr & CR_RTS ? FR_CTS : 0) | (s->cr & CR_DTR ? FR_DSR : 0) |
	       (s->cr & CR_OUT1 ? FR_DCD : 0) | (s->cr & CR_OUT2 ? FR_RI : 0);
}

static void write_cr(struct pl011 *s, uint16_t val)
{
	unsigned before = lines(s), change;

	s->cr = val;
	change = before ^ lines(s);
	s->ris |= (change & FR_CTS ? INT_CTS : 0) | (change & FR_DSR ? INT_DSR : 0) |
	          (change & FR_DCD ? INT_DCD : 0) | (change & FR_RI ? INT_RI : 0);
	pull(s);
}

/* Turning FIFOs off leaves holding registers, which keep one character. */
static void write_lcr(struct pl011 *s, uint8_t val)
{
	bool off = s->lcr & ~val & LCR_FEN;

	s->lcr = val;
	if (off && s->rx_len > 1)
		s->rx_len = 1;
	if (off && s->tx_len > 1)
		take_sent(s, s->tx_len - 1u);
	restart_timeout(s);
	pull(s);
}

static uint32_t flags(const struct pl011 *s)
{
	return lines(s) | (s->rx_len ? 0 : FR_RXFE) | (s->rx_len == depth(s) ? FR_RXFF : 0) |
	       (s->tx_len ? 0 : FR_TXFE) | (s->tx_len == depth(s) ? FR_TXFF : 0);
}

static uint32_t read_reg(struct pl011 *s, uint64_t off)
{
	static const uint8_t id[8] = { 0x11, 0x10, 0x34, 0, 0x0d, 0xf0, 0x05, 0xb1 };

	switch (off) {
	case DR: return read_dr(s);
	case RSR: return s->errors;
	case FR: return flags(s);
	case ILPR: return s->ilpr;
	case IBRD: return s->ibrd;
	case FBRD: return s->fbrd;
	case LCR_H: return s->lcr;
	case CR: return s->cr;
	case IFLS: return s->ifls;
	case IMSC: return s->imsc;
	case RIS: return s->ris;
	case MIS: return s->ris & s->imsc;
	case DMACR: return s->dmacr;
	}
	if (off >= ID0 && !(off & 3))
		return id[(off - ID0) / 4];
	hull_guest_error(&s->dev, "read of a write-only or reserved register", off);
	return 0;
}

static uint64_t pl011_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	struct pl011 *s = (struct pl011 *)d;
	uint32_t val = read_reg(s, off);

	if (off == DR) /* no other has an effect */
		update(s);
	return size == 1 ? val & 0xff : val;
}

static void pl011_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	struct pl011 *s = (struct pl011 *)d;

	(void)size;
	switch (off) {
	case DR: write_dr(s, (uint8_t)val); break;
	case RSR: s->errors = 0; break;
	case ILPR: s->ilpr = (uint8_t)val; break;
	case IBRD: s->ibrd = (uint16_t)val; break;
	case FBRD: s->fbrd = val & 0x3f; break;
	case LCR_H: write_lcr(s, (uint8_t)val); break;
	case CR: write_cr(s, (uint16_t)val); break;
	case IFLS: s->ifls = val & 0x3f; break;
	case IMSC: s->imsc = val & INT_ALL; break;
	case ICR: s->ris &= (uint16_t)~val; break;
	case DMACR: s->dmacr = val & 7; break;
	default: hull_guest_error(d, "write to a read-only or reserved register", off);
	}
	update(s);
}

static void pl011_timer(struct hull_dev *d)
{
	struct pl011 *s = (struct pl011 *)d;
	uint64_t now = hull_dev_now(d);

	if (now >= s->rx_timeout) {
		s->rx_timeout = HULL_NEVER;
		s->ris |= INT_RT;
	}
	if (now >= s->tx_retry)
		transmit(s);
	update(s);
}

static void pl011_readable(void *arg)
{
	struct pl011 *s = arg;

	hull_dev_enter(&s->dev);
	pull(s);
	update(s);
	hull_dev_leave(&s->dev);
}

static int pl011_init(struct hull_dev *d, struct hull_err *err)
{
	struct hull_char *c = d->backend;

	(void)err;
	if (c) {
		c->readable_arg = d;
		c->readable = pl011_readable;
	}
	return 0;
}

/* Table 3-1. */
static void pl011_reset(struct hull_dev *d)
{
	struct pl011 *s = (struct pl011 *)d;

	memset(s->rx, 0, sizeof(s->rx));
	memset(s->tx, 0, sizeof(s->tx));
	s->rx_len = s->tx_len = s->overrun = s->errors = s->gave_up = 0;
	s->ilpr = s->lcr = s->dmacr = s->fbrd = 0;
	s->ifls = IFLS_RESET;
	s->cr = CR_RESET;
	s->ibrd = s->ris = s->imsc = 0;
	s->rx_timeout = s->tx_retry = HULL_NEVER;
	s->tx_since = s->dropped = 0;
	update(s);
}

static const struct hull_field pl011_fields[] = {
	HULL_FIELD_ARRAY(struct pl011, rx),   HULL_FIELD_ARRAY(struct pl011, tx),
	HULL_FIELD(struct pl011, rx_len),     HULL_FIELD(struct pl011, tx_len),
	HULL_FIELD(struct pl011, overrun),    HULL_FIELD(struct pl011, errors),
	HULL_FIELD(struct pl011, ilpr),       HULL_FIELD(struct pl011, lcr),
	HULL_FIELD(struct pl011, ifls),       HULL_FIELD(struct pl011, dmacr),
	HULL_FIELD(struct pl011, fbrd),       HULL_FIELD(struct pl011, gave_up),
	HULL_FIELD(struct pl011, ibrd),       HULL_FIELD(struct pl011, cr),
	HULL_FIELD(struct pl011, ris),        HULL_FIELD(struct pl011, imsc),
	HULL_FIELD(struct pl011, rx_timeout), HULL_FIELD(struct pl011, tx_retry),
	HULL_FIELD(struct pl011, tx_since),   HULL_FIELD(struct pl011, dropped),
};

/* A snapshot may hold anything: drop what the registers could not. */
static void pl011_restored(struct hull_dev *d)
{
	struct pl011 *s = (struct pl011 *)d;

	s->rx_len = (uint8_t)MIN((unsigned)s->rx_len, depth(s));
	s->tx_len = (uint8_t)MIN((unsigned)s->tx_len, depth(s));
	s->overrun = s->overrun != 0;
	s->errors &= RSR_OE;
	s->ifls &= 0x3f;
	s->fbrd &= 0x3f;
	s->dmacr &= 7;
	s->gave_up = s->gave_up != 0;
	s->ris &= INT_ALL;
	s->imsc &= INT_ALL;
	if (!s->rx_len)
		s->rx_timeout = HULL_NEVER;
	if (!s->tx_len)
		s->tx_retry = HULL_NEVER;
	else if (s->tx_retry == HULL_NEVER)
		s->tx_retry = hull_dev_now(d);
	update(s);
}

HULL_DEVICE(pl011) = {
	.name = "pl011",
	.summary = "Arm PrimeCell serial port",
	.compatible = "arm,pl011;arm,primecell",
	.node = "serial",
	.state_size = sizeof(struct pl011),
	.region_size = 0x1000,
	.access_sizes = 1 | 2 | 4,
	.irqs = 1,
	.backend = HULL_BACKEND_CHAR,
	.init = pl011_init,
	.reset = pl011_reset,
	.read = pl011_read,
	.write = pl011_write,
	.timer = pl011_timer,
	.restored = pl011_restored,
	.fields = pl011_fields,
	.nfields = ARRAY_LEN(pl011_fields),
};
