/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "support/vdriver.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/aspace.h"
#include "core/bus.h"

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "vdriver: %s\n", what);
	abort();
}

/* VIRTIO 1.3, 4.1.4.3, and the layout of dev/virtio/pci.c. */
static const struct {
	uint16_t mmio, pci;
	uint8_t size;
} pci_regs[] = {
	{ V_DEVICE_FEATURES, 0x04, 4 }, { V_DEVICE_SEL, 0x00, 4 },  { V_DRIVER_FEATURES, 0x0c, 4 },
	{ V_DRIVER_SEL, 0x08, 4 },      { V_QUEUE_SEL, 0x16, 2 },   { V_QUEUE_MAX, 0x18, 2 },
	{ V_QUEUE_NUM, 0x18, 2 },       { V_QUEUE_READY, 0x1c, 2 }, { V_INT_STATUS, 0x1000, 1 },
	{ V_STATUS, 0x14, 1 },          { V_DESC, 0x20, 4 },        { V_DESC + 4, 0x24, 4 },
	{ V_DRIVER, 0x28, 4 },          { V_DRIVER + 4, 0x2c, 4 },  { V_DEVICE, 0x30, 4 },
	{ V_DEVICE + 4, 0x34, 4 },      { V_QUEUE_RESET, 0x3a, 2 }, { V_GENERATION, 0x15, 1 },
};

static bool pci_access(struct rig_dev *d, uint64_t reg, bool write, uint32_t val, uint64_t *ret)
{
	struct hull_vm *vm = d->rig->vm;
	uint64_t at = 0x2000 + reg - V_CONFIG;
	unsigned size = 4;

	if (reg == V_INT_ACK)
		return true;
	if (reg == V_NOTIFY) {
		at = 0x3000 + 4 * (uint64_t)val;
		size = 2;
	}
	for (unsigned i = 0; i < ARRAY_LEN(pci_regs); i++) {
		if (pci_regs[i].mmio == reg) {
			at = pci_regs[i].pci;
			size = pci_regs[i].size;
		}
	}
	at += d->pci_regs;
	return write ? hull_bus_write(vm, HULL_SPACE_MMIO, at, size, val)
	             : hull_bus_read(vm, HULL_SPACE_MMIO, at, size, ret);
}

uint32_t v_get(struct rig_dev *d, uint64_t reg)
{
	uint64_t v = 0;

	if (d->pci_regs) {
		must(pci_access(d, reg, false, 0, &v), "bus error");
		return (uint32_t)v;
	}
	must(rig_read(d, reg, 4, &v), "bus error");
	return (uint32_t)v;
}

void v_set(struct rig_dev *d, uint64_t reg, uint32_t val)
{
	if (d->pci_regs)
		must(pci_access(d, reg, true, val, NULL), "bus error");
	else
		must(rig_write(d, reg, 4, val), "bus error");
}

bool v_negotiate(struct rig_dev *d, uint64_t features)
{
	features |= VF_VERSION_1;
	v_set(d, V_STATUS, 0);
	v_set(d, V_STATUS, 1);
	v_set(d, V_STATUS, 3);
	for (uint32_t half = 0; half < 2; half++) {
		v_set(d, V_DRIVER_SEL, half);
		v_set(d, V_DRIVER_FEATURES, (uint32_t)(features >> 32 * half));
	}
	v_set(d, V_STATUS, 11);
	d->features = features;
	return v_get(d, V_STATUS) & 8;
}

bool v_queue(struct rig_dev *d, unsigned index, hull_gpa base, uint16_t num, struct vqueue *ret)
{
	*ret = (struct vqueue){
		.d = d,
		.index = index,
		.num = num,
		.desc = base,
		.avail = base + 0x1000,
		.used = base + 0x2000,
		.packed = d->features & VF_PACKED,
		.avail_wrap = true,
		.used_wrap = true,
	};
	v_set(d, V_QUEUE_SEL, index);
	v_set(d, V_QUEUE_NUM, num);
	v_set(d, V_DESC, (uint32_t)ret->desc);
	v_set(d, V_DESC + 4, (uint32_t)(ret->desc >> 32));
	v_set(d, V_DRIVER, (uint32_t)ret->avail);
	v_set(d, V_DRIVER + 4, (uint32_t)(ret->avail >> 32));
	v_set(d, V_DEVICE, (uint32_t)ret->used);
	v_set(d, V_DEVICE + 4, (uint32_t)(ret->used >> 32));
	v_set(d, V_QUEUE_READY, 1);
	return v_get(d, V_QUEUE_READY);
}

void v_start(struct rig_dev *d, uint64_t features, uint16_t num, struct vqueue *ret)
{
	static const uint8_t zero[0x3000];

	must(hull_mem_write(d->rig->vm, RIG_RAM, zero, sizeof(zero)), "no memory");
	must(v_negotiate(d, features), "features refused");
	must(v_queue(d, 0, RIG_RAM, num, ret), "queue refused");
	v_set(d, V_STATUS, 15);
}

void v_write16(struct rig *r, hull_gpa gpa, uint16_t v)
{
	must(hull_mem_store16(r->vm, gpa, v), "store");
}

void v_write32(struct rig *r, hull_gpa gpa, uint32_t v)
{
	must(hull_mem_store32(r->vm, gpa, v), "store");
}

uint16_t v_read16(struct rig *r, hull_gpa gpa)
{
	uint16_t v = 0;

	must(hull_mem_load16(r->vm, gpa, &v), "load");
	return v;
}

uint32_t v_read32(struct rig *r, hull_gpa gpa)
{
	uint32_t v = 0;

	must(hull_mem_load32(r->vm, gpa, &v), "load");
	return v;
}

void v_desc(struct rig *r, hull_gpa at, hull_gpa addr, uint32_t len, uint16_t flags, uint16_t next)
{
	uint8_t raw[16];

	store_le64(raw, addr);
	store_le32(raw + 8, len);
	store_le16(raw + 12, flags);
	store_le16(raw + 14, next);
	must(hull_mem_write(r->vm, at, raw, sizeof(raw)), "descriptor");
}

void v_avail(struct vqueue *q, uint16_t head)
{
	v_write16(q->d->rig, q->avail + 4 + 2 * (hull_gpa)(q->avail_idx % q->num), head);
	v_write16(q->d->rig, q->avail + 2, ++q->avail_idx);
}

void v_kick(struct vqueue *q)
{
	v_set(q->d, V_NOTIFY, q->index);
}

void v_pdesc(struct rig *r, hull_gpa at, const struct vbuf *b, uint16_t id, uint16_t flags)
{
	uint8_t raw[16];

	store_le64(raw, b->gpa);
	store_le32(raw + 8, b->len);
	store_le16(raw + 12, id);
	must(hull_mem_write(r->vm, at, raw, 14), "descriptor");
	v_write16(r, at + 14, flags | (b->write ? VD_WRITE : 0));
}

uint16_t v_available(const struct vqueue *q)
{
	return q->avail_wrap ? VD_AVAIL : VD_USED;
}

static void advance(const struct vqueue *q, uint16_t *pos, bool *wrap, unsigned n)
{
	*pos = (uint16_t)(*pos + n);
	if (*pos < q->num)
		return;
	*pos = (uint16_t)(*pos - q->num);
	*wrap = !*wrap;
}

/* The first descriptor's flags come last. */
static void post_packed(struct vqueue *q, const struct vbuf *b, unsigned n, uint16_t extra)
{
	struct rig *r = q->d->rig;
	hull_gpa first = V_AT(q->desc, q->avail_pos);
	uint16_t flags = 0;

	for (unsigned i = 0; i < n; i++) {
		uint16_t f = (uint16_t)(v_available(q) | extra | (i + 1 < n ? VD_NEXT : 0));

		if (!i)
			flags = (uint16_t)(f | (b->write ? VD_WRITE : 0));
		v_pdesc(r, V_AT(q->desc, q->avail_pos), &b[i], q->next_id,
		        i ? f : (uint16_t)(f ^ VD_AVAIL ^ VD_USED));
		advance(q, &q->avail_pos, &q->avail_wrap, 1);
	}
	v_write16(r, first + 14, flags);
}

static void post_split(struct vqueue *q, const struct vbuf *b, unsigned n, uint16_t extra)
{
	uint16_t at = q->next_id;

	for (unsigned i = 0; i < n; i++, at = (uint16_t)((at + 1) % q->num))
		v_desc(q->d->rig, V_AT(q->desc, at), b[i].gpa, b[i].len,
		       (uint16_t)(extra | (b[i].write ? VD_WRITE : 0) | (i + 1 < n ? VD_NEXT : 0)),
		       (uint16_t)((at + 1) % q->num));
	v_avail(q, q->next_id);
}

uint16_t v_post(struct vqueue *q, const struct vbuf *b, unsigned n, hull_gpa table)
{
	struct vbuf indirect = { table, 16 * n, false };
	uint16_t id = q->next_id, extra = 0;

	for (unsigned i = 0; table && i < n; i++) {
		if (q->packed)
			v_pdesc(q->d->rig, V_AT(table, i), &b[i], 0, 0);
		else
			v_desc(q->d->rig, V_AT(table, i), b[i].gpa, b[i].len,
			       (uint16_t)((b[i].write ? VD_WRITE : 0) | (i + 1 < n ? VD_NEXT : 0)),
			       (uint16_t)(i + 1));
	}
	if (table) {
		b = &indirect;
		n = 1;
		extra = VD_INDIRECT;
	}
	q->count[id] = (uint16_t)n;
	if (q->packed)
		post_packed(q, b, n, extra);
	else
		post_split(q, b, n, extra);
	q->next_id = (uint16_t)((q->next_id + n) % q->num);
	return id;
}

static bool used_packed(struct vqueue *q, uint32_t *ret_id, uint32_t *ret_len)
{
	hull_gpa at = V_AT(q->desc, q->used_pos);
	uint16_t flags = v_read16(q->d->rig, at + 14);

	if (!(flags & VD_AVAIL) == q->used_wrap || !(flags & VD_USED) == q->used_wrap)
		return false;
	*ret_id = v_read16(q->d->rig, at + 12);
	*ret_len = v_read32(q->d->rig, at + 8);
	must(*ret_id < q->num && q->count[*ret_id], "a number that is not in flight");
	must(!(flags & VD_WRITE) == !*ret_len, "WRITE without length or the other way round");
	advance(q, &q->used_pos, &q->used_wrap, q->count[*ret_id]);
	q->count[*ret_id] = 0;
	q->used_seen++;
	return true;
}

bool v_used(struct vqueue *q, uint32_t *ret_id, uint32_t *ret_len)
{
	hull_gpa elem = q->used + 4 + 8 * (hull_gpa)(q->used_seen % q->num);

	if (q->packed)
		return used_packed(q, ret_id, ret_len);
	if (v_read16(q->d->rig, q->used + 2) == q->used_seen)
		return false;
	q->used_seen++;
	*ret_id = v_read32(q->d->rig, elem);
	*ret_len = v_read32(q->d->rig, elem + 4);
	return true;
}
