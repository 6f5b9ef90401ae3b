/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * 16550A UART.
 *
 * Spec: TI, "PC16550D Universal Asynchronous Receiver/Transmitter With
 * FIFOs" (SNLS378), ch. 8; register names are those of table 8-1.
 *
 * Characters go out at once: the transmitter is empty again by the time the
 * guest looks, unless the backend does not take them.  Then they wait in the
 * transmit FIFO and are offered again every millisecond.  A backend that has
 * taken nothing for two seconds loses everything until it takes something
 * again, so that a guest that polls never hangs.  Characters come in only while
 * the receive FIFO has room, so there are no overruns outside loopback.
 *
 * Not modelled: line speed (except for the receive time-out), parity, break,
 * framing errors, DMA modes.
 */
#include "base/mem.h"
#include "core/dev_impl.h"

enum { RBR = 0, THR = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };
enum { IER_RX = 1, IER_THRE = 2, IER_LINE = 4, IER_MODEM = 8 };
enum {
	IIR_MODEM = 0,
	IIR_NONE = 1,
	IIR_THRE = 2,
	IIR_RX = 4,
	IIR_LINE = 6,
	IIR_TIMEOUT = 12,
	IIR_FIFOS = 0xc0
};
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_CLEAR_TX = 4, FCR_KEPT = 0xc9 };
enum { LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 16, MCR_ALL = 31 };
enum { LSR_DR = 1, LSR_OE = 2, LSR_THRE = 0x20, LSR_TEMT = 0x40 };
enum { MSR_TERI = 4, MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80 };
enum { FIFO = 16, CLOCK_HZ = 3686400, CHAR_BITS = 10 };

static const uint64_t retry_ns = 1000000, give_up_ns = 2000000000;

struct uart {
	struct hull_dev dev;
	uint8_t rx[FIFO], tx[FIFO];
	uint8_t rx_len, tx_len;
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t overrun;     /* LSR.OE */
	uint8_t msr_delta;   /* MSR bits 3..0 */
	uint8_t thre_irq;    /* the transmitter became empty and nobody was told */
	uint8_t timed_out;   /* characters lie below the trigger level */
	uint64_t rx_timeout; /* guest time, ns, or HULL_NEVER */
	uint64_t tx_retry;   /* likewise */
	uint64_t tx_since;   /* guest time when the backend last took something */
	uint8_t gave_up;     /* the backend takes nothing */
	uint64_t armed;      /* what the timer was last set to */
	uint64_t dropped;    /* characters that the backend never took */
};

static unsigned depth(const struct uart *s)
{
	return s->fcr & FCR_ENABLE ? FIFO : 1;
}

static unsigned trigger(const struct uart *s)
{
	static const uint8_t level[4] = { 1, 4, 8, 14 };

	return s->fcr & FCR_ENABLE ? level[s->fcr >> 6] : 1;
}

static uint8_t iir(const struct uart *s)
{
	if (s->ier & IER_LINE && s->overrun)
		return IIR_LINE;
	if (s->ier & IER_RX && s->rx_len >= trigger(s))
		return IIR_RX;
	if (s->ier & IER_RX && s->timed_out)
		return IIR_TIMEOUT;
	if (s->ier & IER_THRE && s->thre_irq)
		return IIR_THRE;
	if (s->ier & IER_MODEM && s->msr_delta)
		return IIR_MODEM;
	return IIR_NONE;
}

static void update(struct uart *s)
{
	uint64_t next = MIN(s->rx_timeout, s->tx_retry);

	hull_irq_set(s->dev.irq[0], iir(s) != IIR_NONE);
	/* Most accesses leave the timer disarmed. */
	if (next != HULL_NEVER || s->armed != HULL_NEVER)
		hull_timer_at_ns(&s->dev, next);
	s->armed = next;
}

/* Four character times without traffic make a time-out (8.4.4). */
static void restart_timeout(struct uart *s)
{
	uint64_t divisor = s->dll | s->dlm << 8;
	uint64_t bit_ns = MAX(divisor, UINT64_C(1)) * 16 * UINT64_C(1000000000) / CLOCK_HZ;

	s->timed_out = 0;
	s->rx_timeout = HULL_NEVER;
	if (s->rx_len && s->fcr & FCR_ENABLE)
		s->rx_timeout = hull_dev_now(&s->dev) + 4 * CHAR_BITS * bit_ns;
}

static void pull(struct uart *s)
{
	struct hull_char *c = s->dev.backend;
	size_t n;

	if (!c || s->mcr & MCR_LOOP || s->rx_len >= depth(s))
		return;
	n = c->read(c, s->rx + s->rx_len, depth(s) - s->rx_len);
	if (!n)
		return;
	s->rx_len += (uint8_t)n;
	restart_timeout(s);
}

static void tx_emptied(struct uart *s)
{
	s->tx_len = 0;
	s->tx_retry = HULL_NEVER;
	s->thre_irq = 1;
}

static void transmit(struct uart *s)
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
	if (n == s->tx_len) {
		tx_emptied(s);
		return;
	}
	memmove(s->tx, s->tx + n, s->tx_len - n);
	s->tx_len -= (uint8_t)n;
	s->tx_retry = now + retry_ns;
}

static void write_thr(struct uart *s, uint8_t c)
{
	s->thre_irq = 0;
	if (s->mcr & MCR_LOOP) {
		if (s->rx_len < depth(s))
			s->rx[s->rx_len++] = c;
		else
			s->overrun = 1;
		restart_timeout(s);
		s->thre_irq = s->tx_len == 0;
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
	transmit(s);
}

static uint8_t read_rbr(struct uart *s)
{
	uint8_t c = s->rx[0];

	if (!s->rx_len)
		return 0;
	s->rx_len--;
	memmove(s->rx, s->rx + 1, s->rx_len);
	restart_timeout(s);
	pull(s);
	return c;
}

/* Modem inputs: a peer that is always ready, or the outputs in loopback (8.6.7). */
static uint8_t modem_lines(const struct uart *s)
{
	if (!(s->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
	       (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void write_mcr(struct uart *s, uint8_t val)
{
	uint8_t before = modem_lines(s), change;

	s->mcr = val & MCR_ALL;
	change = before ^ modem_lines(s);
	/* The trailing edge of RI counts, the leading one does not (table 8-1). */
	s->msr_delta |= (change >> 4) & ~MSR_TERI;
	if (change & before & MSR_RI)
		s->msr_delta |= MSR_TERI;
	pull(s);
}

static void write_fcr(struct uart *s, uint8_t val)
{
	if ((val ^ s->fcr) & FCR_ENABLE)
		val |= FCR_CLEAR_RX | FCR_CLEAR_TX;
	if (!(val & FCR_ENABLE))
		val &= FCR_CLEAR_RX | FCR_CLEAR_TX;
	s->fcr = val & FCR_KEPT;
	if (val & FCR_CLEAR_RX)
		s->rx_len = 0;
	if (val & FCR_CLEAR_TX && s->tx_len)
		tx_emptied(s);
	restart_timeout(s);
	pull(s);
}

static void write_ier(struct uart *s, uint8_t val)
{
	/* Enabling the interrupt while the transmitter is empty raises it (8.6.6). */
	if (~s->ier & val & IER_THRE && !s->tx_len)
		s->thre_irq = 1;
	s->ier = val & 15;
}

static uint64_t read_reg(struct uart *s, uint64_t off)
{
	uint8_t val;

	switch (off) {
	case RBR: return s->lcr & LCR_DLAB ? s->dll : read_rbr(s);
	case IER: return s->lcr & LCR_DLAB ? s->dlm : s->ier;
	case IIR:
		val = iir(s);
		if (val == IIR_THRE)
			s->thre_irq = 0;
		return val | (s->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
	case LCR: return s->lcr;
	case MCR: return s->mcr;
	case LSR:
		val = (s->rx_len ? LSR_DR : 0) | (s->overrun ? LSR_OE : 0) |
		      (s->tx_len ? 0 : LSR_THRE | LSR_TEMT);
		s->overrun = 0;
		return val;
	case MSR:
		val = modem_lines(s) | s->msr_delta;
		s->msr_delta = 0;
		return val;
	case SCR: return s->scr;
	}
	hull_guest_error(&s->dev, "read of a reserved register", off);
	return 0;
}

static uint64_t uart_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	struct uart *s = (struct uart *)d;
	uint64_t val = read_reg(s, off);

	(void)size;
	update(s);
	return val;
}

static void uart_write(struct hull_dev *d, uint64_t off, uint64_t val64, unsigned size)
{
	struct uart *s = (struct uart *)d;
	uint8_t val = (uint8_t)val64;

	(void)size;
	switch (off) {
	case THR:
		if (s->lcr & LCR_DLAB)
			s->dll = val;
		else
			write_thr(s, val);
		break;
	case IER:
		if (s->lcr & LCR_DLAB)
			s->dlm = val;
		else
			write_ier(s, val);
		break;
	case FCR: write_fcr(s, val); break;
	case LCR: s->lcr = val; break;
	case MCR: write_mcr(s, val); break;
	case SCR: s->scr = val; break;
	default: hull_guest_error(d, "write to a read-only or reserved register", off);
	}
	update(s);
}

static void uart_timer(struct hull_dev *d)
{
	struct uart *s = (struct uart *)d;
	uint64_t now = hull_dev_now(d);

	if (now >= s->rx_timeout) {
		s->rx_timeout = HULL_NEVER;
		s->timed_out = s->rx_len != 0;
	}
	if (now >= s->tx_retry)
		transmit(s);
	update(s);
}

static void uart_readable(void *arg)
{
	struct uart *s = arg;

	hull_dev_enter(&s->dev);
	pull(s);
	update(s);
	hull_dev_leave(&s->dev);
}

static int uart_init(struct hull_dev *d, struct hull_err *err)
{
	struct hull_char *c = d->backend;

	(void)err;
	if (c) {
		c->readable_arg = d;
		c->readable = uart_readable;
	}
	return 0;
}

/* Table 8-2.  The divisor and SCR have no defined value; zero is as good as any. */
static void uart_reset(struct hull_dev *d)
{
	struct uart *s = (struct uart *)d;

	memset(s->rx, 0, sizeof(s->rx));
	memset(s->tx, 0, sizeof(s->tx));
	s->rx_len = s->tx_len = 0;
	s->ier = s->fcr = s->lcr = s->mcr = s->scr = s->dll = s->dlm = 0;
	s->overrun = s->msr_delta = s->thre_irq = s->timed_out = 0;
	s->rx_timeout = s->tx_retry = HULL_NEVER;
	s->tx_since = s->dropped = s->gave_up = 0;
	update(s);
}

static const struct hull_field uart_fields[] = {
	HULL_FIELD_ARRAY(struct uart, rx),  HULL_FIELD_ARRAY(struct uart, tx),
	HULL_FIELD(struct uart, rx_len),    HULL_FIELD(struct uart, tx_len),
	HULL_FIELD(struct uart, ier),       HULL_FIELD(struct uart, fcr),
	HULL_FIELD(struct uart, lcr),       HULL_FIELD(struct uart, mcr),
	HULL_FIELD(struct uart, scr),       HULL_FIELD(struct uart, dll),
	HULL_FIELD(struct uart, dlm),       HULL_FIELD(struct uart, overrun),
	HULL_FIELD(struct uart, msr_delta), HULL_FIELD(struct uart, thre_irq),
	HULL_FIELD(struct uart, timed_out), HULL_FIELD(struct uart, rx_timeout),
	HULL_FIELD(struct uart, tx_retry),  HULL_FIELD(struct uart, tx_since),
	HULL_FIELD(struct uart, dropped),   HULL_FIELD(struct uart, gave_up),
};

/* A snapshot may hold anything: drop what the registers could not. */
static void uart_restored(struct hull_dev *d)
{
	struct uart *s = (struct uart *)d;

	s->fcr &= s->fcr & FCR_ENABLE ? FCR_KEPT : 0;
	s->ier &= 15;
	s->mcr &= MCR_ALL;
	s->msr_delta &= 15;
	s->gave_up = s->gave_up != 0;
	s->rx_len = (uint8_t)MIN((unsigned)s->rx_len, depth(s));
	s->tx_len = (uint8_t)MIN((unsigned)s->tx_len, depth(s));
	if (!s->rx_len)
		s->rx_timeout = HULL_NEVER;
	if (!s->tx_len)
		s->tx_retry = HULL_NEVER;
	else if (s->tx_retry == HULL_NEVER)
		s->tx_retry = hull_dev_now(d);
	update(s);
}

static const struct hull_dt_prop uart_dt[] = {
	{ "clock-frequency", HULL_DT_U32, CLOCK_HZ, NULL },
};

HULL_DEVICE(uart16550) = {
	.name = "uart16550",
	.summary = "16550A serial port",
	.compatible = "ns16550a",
	.node = "serial",
	.acpi_id = "PNP0501",
	.dt = uart_dt,
	.ndt = ARRAY_LEN(uart_dt),
	.state_size = sizeof(struct uart),
	.region_size = 0x100,
	.access_sizes = 1,
	.irqs = 1,
	.backend = HULL_BACKEND_CHAR,
	.init = uart_init,
	.reset = uart_reset,
	.read = uart_read,
	.write = uart_write,
	.timer = uart_timer,
	.restored = uart_restored,
	.fields = uart_fields,
	.nfields = ARRAY_LEN(uart_fields),
};
