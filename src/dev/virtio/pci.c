/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "dev/virtio/pci.h"

#include <hull/config.h>

#include "base/atomic.h"
#include "base/text.h"

enum { /* VIRTIO 1.3, 4.1.4.3: struct virtio_pci_common_cfg */
       DEVICE_FEATURE_SELECT = 0x00,
       DEVICE_FEATURE = 0x04,
       DRIVER_FEATURE_SELECT = 0x08,
       DRIVER_FEATURE = 0x0c,
       CONFIG_MSIX_VECTOR = 0x10,
       NUM_QUEUES = 0x12,
       DEVICE_STATUS = 0x14,
       CONFIG_GENERATION = 0x15,
       QUEUE_SELECT = 0x16,
       QUEUE_SIZE = 0x18,
       QUEUE_MSIX_VECTOR = 0x1a,
       QUEUE_ENABLE = 0x1c,
       QUEUE_NOTIFY_OFF = 0x1e,
       QUEUE_DESC = 0x20,
       QUEUE_DRIVER = 0x28,
       QUEUE_DEVICE = 0x30,
       QUEUE_NOTIF_CONFIG_DATA = 0x38,
       QUEUE_RESET = 0x3a,
       COMMON_SIZE = 0x3c,
};

/* 4.1.4: virtio_pci_cap.cfg_type */
enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_PCI };

/* Our layout. */
enum {
	BAR_REGS = 0,
	REGS_SIZE = 0x4000,
	ISR_AT = 0x1000,
	DEVICE_AT = 0x2000,
	NOTIFY_AT = 0x3000,
	NOTIFY_STEP = 4,
	BAR_MSIX = 2,
	MSIX_SIZE = 0x1000,
	PBA_AT = 0x800,
	VECTORS = HULL_VIRTIO_QUEUES + 1,
};

enum { NO_VECTOR = 0xffff, VENDOR = 0x1af4, FIRST_DEVICE = 0x1040 };

struct virtio_pci {
	struct hull_dev dev;
	struct hull_pci_fn fn;
	struct hull_virtio *v;
	struct hull_irq_sink line;
	uint8_t window;           /* the offset of the CAP_PCI capability */
	uint16_t vector[VECTORS]; /* of each queue and, last, the configuration; v->shared */
	struct hull_pci_vector table[VECTORS];
	uint64_t pending[(VECTORS + 63) / 64];
};

static struct virtio_pci *of(struct hull_pci_fn *fn)
{
	return CONTAINER_OF(fn, struct virtio_pci, fn);
}

/* 5: what a driver is told before it knows virtio. */
static uint32_t class_of(uint32_t id)
{
	switch (id) {
	case 1: return 0x020000; /* network: Ethernet */
	case 2: return 0x018000; /* storage: other */
	case 3: return 0x078000; /* communication: other */
	case 9: return 0x018000;
	case 19: return 0x078000;
	default: return 0xff0000;
	}
}

static void set_vector(struct virtio_pci *p, unsigned q, uint32_t vector)
{
	hull_lock_acquire(&p->v->shared);
	p->vector[q] = vector < p->fn.msix.n ? (uint16_t)vector : NO_VECTOR;
	hull_lock_release(&p->v->shared);
}

static void forget_vectors(struct virtio_pci *p)
{
	for (unsigned i = 0; i < VECTORS; i++)
		set_vector(p, i, NO_VECTOR);
}

static bool message(struct hull_virtio *v, unsigned q)
{
	struct virtio_pci *p = v->transport;

	return hull_pci_message(&p->fn, p->vector[q]);
}

static void line_set(struct hull_irq_sink *sink, uint32_t input, bool level)
{
	struct virtio_pci *p = CONTAINER_OF(sink, struct virtio_pci, line);

	(void)input;
	hull_pci_intx(&p->fn, level);
}

/* Registers are accessed by their own width (4.1.3.1); 64-bit ones by halves. */
static unsigned width_of(uint64_t off)
{
	if (off >= QUEUE_NOTIF_CONFIG_DATA)
		return 2;
	if (off < CONFIG_MSIX_VECTOR || off >= QUEUE_DESC)
		return 4;
	return off == DEVICE_STATUS || off == CONFIG_GENERATION ? 1 : 2;
}

static uint64_t queue_read(struct virtio_pci *p, uint64_t off)
{
	const struct hull_virtq *q = hull_virtio_selected(p->v);

	if (!q)
		return 0; /* 4.1.4.3.1: size 0 says that the queue is not there */
	switch (off) {
	case QUEUE_SIZE: return q->num ? q->num : q->max;
	case QUEUE_MSIX_VECTOR: return p->vector[p->v->queue_sel];
	case QUEUE_ENABLE: return q->ready;
	case QUEUE_NOTIFY_OFF: return p->v->queue_sel;
	case QUEUE_DESC: return (uint32_t)q->desc;
	case QUEUE_DESC + 4: return q->desc >> 32;
	case QUEUE_DRIVER: return (uint32_t)q->driver;
	case QUEUE_DRIVER + 4: return q->driver >> 32;
	case QUEUE_DEVICE: return (uint32_t)q->device;
	case QUEUE_DEVICE + 4: return q->device >> 32;
	}
	return 0; /* QUEUE_RESET: done as soon as it was asked for */
}

static uint64_t half_of(uint64_t val, uint32_t sel)
{
	return sel > 1 ? 0 : (uint32_t)(val >> 32 * sel);
}

static uint64_t common_read(struct virtio_pci *p, uint64_t off)
{
	struct hull_virtio *v = p->v;

	switch (off) {
	case DEVICE_FEATURE_SELECT: return v->device_sel;
	case DEVICE_FEATURE: return half_of(hull_virtio_features(v), v->device_sel);
	case DRIVER_FEATURE_SELECT: return v->driver_sel;
	case DRIVER_FEATURE: return half_of(v->driver_features, v->driver_sel);
	case CONFIG_MSIX_VECTOR: return p->vector[HULL_VIRTIO_CONFIG];
	case NUM_QUEUES: return v->nqueues;
	case DEVICE_STATUS: return hull_virtio_status(v);
	case CONFIG_GENERATION: return (uint8_t)hull_load_relaxed(&v->generation);
	case QUEUE_SELECT: return v->queue_sel;
	}
	return queue_read(p, off);
}

static void queue_write(struct virtio_pci *p, uint64_t off, uint32_t val)
{
	struct hull_virtq *q = hull_virtio_setup(p->v);

	if (!q)
		return;
	switch (off) {
	case QUEUE_SIZE: q->num = (uint16_t)val; break;
	case QUEUE_DESC:
	case QUEUE_DESC + 4: hull_virtio_set_half(&q->desc, off & 4, val); break;
	case QUEUE_DRIVER:
	case QUEUE_DRIVER + 4: hull_virtio_set_half(&q->driver, off & 4, val); break;
	case QUEUE_DEVICE:
	case QUEUE_DEVICE + 4: hull_virtio_set_half(&q->device, off & 4, val); break;
	}
}

static void enable(struct virtio_pci *p, uint32_t val)
{
	struct hull_virtq *q = hull_virtio_selected(p->v);

	if (!q || val != 1) { /* 4.1.4.3.2: a driver does not write 0 */
		hull_guest_error(&p->v->dev,
		                 "enabling of a queue that does not exist, or disabling",
		                 p->v->queue_sel);
		return;
	}
	if (!q->num && !q->ready)
		q->num = q->max;
	hull_virtio_enable_queue(p->v, q, true);
}

static void common_write(struct virtio_pci *p, uint64_t off, uint32_t val)
{
	struct hull_virtio *v = p->v;

	switch (off) {
	case DEVICE_FEATURE_SELECT: v->device_sel = val; return;
	case DRIVER_FEATURE_SELECT: v->driver_sel = val; return;
	case DRIVER_FEATURE: hull_virtio_set_features(v, v->driver_sel, val); return;
	case CONFIG_MSIX_VECTOR: set_vector(p, HULL_VIRTIO_CONFIG, val); return;
	case DEVICE_STATUS:
		hull_virtio_set_status(v, (uint8_t)val);
		if (!(uint8_t)val)
			forget_vectors(p);
		return;
	case QUEUE_SELECT: v->queue_sel = val; return;
	case QUEUE_MSIX_VECTOR:
		if (hull_virtio_selected(v))
			set_vector(p, v->queue_sel, val);
		return;
	case QUEUE_ENABLE: enable(p, val); return;
	case QUEUE_RESET:
		if (val != 1 || !hull_virtio_selected(v))
			return;
		hull_virtio_reset_queue(v);
		set_vector(p, v->queue_sel, NO_VECTOR);
		return;
	case QUEUE_SIZE:
	case QUEUE_DESC:
	case QUEUE_DESC + 4:
	case QUEUE_DRIVER:
	case QUEUE_DRIVER + 4:
	case QUEUE_DEVICE:
	case QUEUE_DEVICE + 4: queue_write(p, off, val); return;
	}
	hull_guest_error(&v->dev, "write to a read-only or reserved register", off);
}

static uint64_t common_access(struct virtio_pci *p, uint64_t off, unsigned size, bool write,
                              uint64_t val)
{
	if (size == 8 && off >= QUEUE_DESC && off < QUEUE_NOTIF_CONFIG_DATA) {
		uint64_t low = common_access(p, off, 4, write, (uint32_t)val);

		return low | common_access(p, off + 4, 4, write, val >> 32) << 32;
	}
	if (off >= COMMON_SIZE || size != width_of(off)) {
		hull_guest_error(&p->v->dev, "access to a register by another width than its own",
		                 off);
		return 0;
	}
	if (!write)
		return common_read(p, off);
	common_write(p, off, (uint32_t)val);
	return 0;
}

/* Whose doorbell is at `off`; false: none is. */
static bool doorbell(const struct virtio_pci *p, uint64_t off, unsigned *ret_queue)
{
	uint64_t q = (off - NOTIFY_AT) / NOTIFY_STEP;

	if (off < NOTIFY_AT || q >= p->v->nqueues || off % NOTIFY_STEP)
		return false;
	*ret_queue = (unsigned)q;
	return true;
}

static uint64_t regs_read(struct hull_pci_fn *fn, unsigned bar, uint64_t off, unsigned size)
{
	struct virtio_pci *p = of(fn);

	if (bar != BAR_REGS)
		return 0;
	if (off < ISR_AT)
		return common_access(p, off, size, false, 0);
	if (off == ISR_AT) /* 4.1.4.5: reading acknowledges */
		return hull_virtio_ack(p->v, UINT32_MAX);
	if (off >= DEVICE_AT && off < NOTIFY_AT)
		return hull_virtio_config_read(p->v, off - DEVICE_AT, size);
	hull_guest_error(&p->v->dev, "read of a write-only or reserved register", off);
	return 0;
}

static void regs_write(struct hull_pci_fn *fn, unsigned bar, uint64_t off, uint64_t val,
                       unsigned size)
{
	struct virtio_pci *p = of(fn);
	unsigned q;

	if (bar != BAR_REGS)
		return;
	if (off < ISR_AT)
		common_access(p, off, size, true, val);
	else if (off >= DEVICE_AT && off < NOTIFY_AT)
		hull_virtio_config_write(p->v, off - DEVICE_AT, val, size);
	else if (doorbell(p, off, &q))
		hull_virtio_notify(p->v, q);
	else
		hull_guest_error(&p->v->dev, "write to a read-only or reserved register", off);
}

static bool regs_post(struct hull_pci_fn *fn, unsigned bar, uint64_t off, uint64_t val,
                      unsigned size)
{
	struct virtio_pci *p = of(fn);
	unsigned q;

	(void)val;
	(void)size;
	if (bar != BAR_REGS || !p->v->lanes || !doorbell(p, off, &q))
		return false;
	hull_virtio_notify(p->v, q);
	return true;
}

/*
 * 4.1.4.9: a window onto the BARs for drivers that cannot map them: bar, offset and length are in
 * the capability, and its data field is the access.  False: `off` is not the data field, or the
 * window leads nowhere.
 */
static bool pci_window(struct virtio_pci *p, unsigned off, unsigned *bar, uint64_t *at,
                       unsigned *len)
{
	const uint8_t *cap = p->fn.config + p->window;

	*bar = cap[4];
	*at = load_le32(cap + 8);
	*len = load_le32(cap + 12);
	return off == p->window + 16U && (*len == 1 || *len == 2 || *len == 4) &&
	       is_aligned(*at, *len);
}

static bool config_read(struct hull_pci_fn *fn, unsigned off, unsigned size, uint32_t *ret)
{
	struct virtio_pci *p = of(fn);
	unsigned bar, len;
	uint64_t at;

	(void)size;
	if (!pci_window(p, off, &bar, &at, &len))
		return false;
	*ret = (uint32_t)(hull_pci_bar_read(fn, bar, at, len) & low_mask(8 * len));
	return true;
}

static bool config_write(struct hull_pci_fn *fn, unsigned off, unsigned size, uint32_t val)
{
	struct virtio_pci *p = of(fn);
	unsigned bar, len;
	uint64_t at;

	(void)size;
	if (!pci_window(p, off, &bar, &at, &len))
		return false;
	hull_pci_bar_write(fn, bar, at, val & low_mask(8 * len), len);
	return true;
}

static void command(struct hull_pci_fn *fn, uint16_t bits)
{
	hull_virtio_attach(of(fn)->v, bits & HULL_PCI_COMMAND_MASTER);
}

static void reset(struct hull_pci_fn *fn)
{
	hull_virtio_reset(&of(fn)->v->dev);
	forget_vectors(of(fn));
}

static const struct hull_pci_fn_ops ops = {
	.config_read = config_read,
	.config_write = config_write,
	.read = regs_read,
	.write = regs_write,
	.post = regs_post,
	.command = command,
	.reset = reset,
};

/* struct virtio_pci_cap (4.1.4), `more` bytes of zeroes or `multiplier` behind it. */
static unsigned add_structure(struct virtio_pci *p, uint8_t type, uint32_t at, uint32_t len)
{
	const uint8_t vendor_specific = 0x09;
	unsigned more = type == CAP_NOTIFY || type == CAP_PCI ? 4 : 0;
	uint8_t body[18] = { 0 }, writable[18] = { 0 };

	body[0] = (uint8_t)(16 + more);
	body[1] = type;
	body[2] = BAR_REGS;
	store_le32(body + 6, at);
	store_le32(body + 10, len);
	if (type == CAP_NOTIFY)
		store_le32(body + 14, NOTIFY_STEP);
	if (type == CAP_PCI) {
		writable[2] = 0xff;
		store_le32(writable + 6, UINT32_MAX);
		store_le32(writable + 10, UINT32_MAX);
	}
	return hull_pci_add_cap(&p->fn, vendor_specific, body, writable, 14 + more);
}

static void describe(struct virtio_pci *p)
{
	const struct hull_virtio_ops *v = p->v->ops;
	const struct hull_pci_id id = { .vendor = VENDOR,
		                        .device = (uint16_t)(FIRST_DEVICE + v->device_id),
		                        .sub_vendor = VENDOR,
		                        .sub_device = (uint16_t)(FIRST_DEVICE + v->device_id),
		                        .class_code = class_of(v->device_id),
		                        .revision = 1,
		                        .intx = true };
	const struct hull_pci_msix msix = { .table = p->table,
		                            .pending = p->pending,
		                            .pba_at = PBA_AT,
		                            .n = (uint16_t)(p->v->nqueues + 1),
		                            .bar = BAR_MSIX };

	hull_pci_fn_init(&p->fn, &id);
	hull_pci_add_bar(&p->fn, BAR_REGS, HULL_PCI_MEM64, REGS_SIZE);
	hull_pci_add_bar(&p->fn, BAR_MSIX, HULL_PCI_MEM32, MSIX_SIZE);
	add_structure(p, CAP_COMMON, 0, COMMON_SIZE);
	add_structure(p, CAP_NOTIFY, NOTIFY_AT, p->v->nqueues * NOTIFY_STEP);
	add_structure(p, CAP_ISR, ISR_AT, 1);
	if (v->config_size)
		add_structure(p, CAP_DEVICE, DEVICE_AT, v->config_size);
	p->window = (uint8_t)add_structure(p, CAP_PCI, 0, 0);
	hull_pci_add_msix(&p->fn, &msix);
	hull_pci_add_express(&p->fn);
}

static int pci_init(struct hull_dev *d, struct hull_err *err)
{
	struct virtio_pci *p = (struct virtio_pci *)d;

	(void)err;
	p->v = d->backend;
	p->fn.dev = &p->v->dev;
	p->fn.ops = &ops;
	p->line.set = line_set;
	describe(p);
	for (unsigned i = 0; i < VECTORS; i++)
		p->vector[i] = NO_VECTOR;
	p->v->transport = p;
	p->v->message = message;
	p->v->detached = true;
	hull_dev_wire(&p->v->dev, 0, (struct hull_irq){ &p->line, 0 });
	return 0;
}

/* The virtio device has been reset, or will be, as a device of its own. */
static void pci_reset(struct hull_dev *d)
{
	struct virtio_pci *p = (struct virtio_pci *)d;

	forget_vectors(p);
	hull_pci_reset(&p->fn);
}

static void pci_restored(struct hull_dev *d)
{
	struct virtio_pci *p = (struct virtio_pci *)d;

	for (unsigned i = 0; i < VECTORS; i++)
		set_vector(p, i, p->vector[i]);
	hull_pci_restored(&p->fn);
}

static const struct hull_field fields[] = {
	HULL_PCI_FN_FIELDS(struct virtio_pci, fn),
	HULL_PCI_MSIX_FIELDS(struct virtio_pci, table, pending),
	HULL_FIELD_ARRAY(struct virtio_pci, vector),
};

/* Not in the registry: it makes no sense without the device behind it. */
static const struct hull_dev_type type = {
	.name = "virtio-pci",
	.summary = "PCI function of a virtio device",
	.state_size = sizeof(struct virtio_pci),
	.init = pci_init,
	.reset = pci_reset,
	.restored = pci_restored,
	.fields = fields,
	.nfields = ARRAY_LEN(fields),
};

int hull_virtio_pci_create(struct hull_dev *host, struct hull_dev *virtio, unsigned devfn,
                           struct hull_err *err)
{
	char name[2 * HULL_NAME_MAX];
	const struct hull_dev_setup setup = { .type = &type, .name = name, .backend = virtio };
	struct hull_dev *d;
	int r;

	hull_format(name, sizeof(name), "%s.pci", virtio->name);
	r = hull_dev_create(host->vm, &setup, &d, err);
	return r ? r : hull_pci_host_add(host, &((struct virtio_pci *)d)->fn, devfn, err);
}
