/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "core/package.h"

#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"
#include "core/field.h"

enum { AT_MAGIC = 0, AT_VERSION = 8, AT_VMS = 12, AT_TOTAL = 16 };
enum { E_FORMAT = 1110, E_VERSION = 1111 };

#define VM(member)    HULL_FIELD(struct hull_package_vm, member)
#define TEXT(member)  HULL_FIELD_ARRAY(struct hull_package_vm, member)
#define FILES(member) HULL_FIELD_EACH(struct hull_package_vm, file, member)

static const struct hull_field vm_fields[] = {
	VM(config.id),
	TEXT(config.name),
	VM(config.kind),
	VM(config.isa),
	VM(config.irq_mode),
	VM(config.cpu_num),
	VM(config.nphys_ids),
	TEXT(config.phys_ids),
	VM(config.naffinity),
	TEXT(config.affinity),
	VM(config.nregions),
	VM(config.ndevices),
	VM(config.npassthrough),
	VM(config.nspis),
	TEXT(config.spis),
	VM(config.ivc_gpa),
	VM(config.ivc_size),
	VM(config.random_seed),
	VM(ram_bytes),
	TEXT(board),
	TEXT(cmdline),
	VM(entry),
	VM(has_entry),
	VM(no_dtb),
	FILES(offset),
	FILES(bytes),
	FILES(at),
	FILES(has_at),
	VM(console),
	VM(ndisks),
	VM(nnets),
};

static const struct hull_field region_fields[] = {
	HULL_FIELD(struct hull_region_config, gpa),  HULL_FIELD(struct hull_region_config, size),
	HULL_FIELD(struct hull_region_config, attr), HULL_FIELD(struct hull_region_config, map),
	HULL_FIELD(struct hull_region_config, hpa),
};

static const struct hull_field device_fields[] = {
	HULL_FIELD_ARRAY(struct hull_device_config, type),
	HULL_FIELD_ARRAY(struct hull_device_config, name),
	HULL_FIELD(struct hull_device_config, gpa),
	HULL_FIELD(struct hull_device_config, size),
	HULL_FIELD(struct hull_device_config, irq),
	HULL_FIELD(struct hull_device_config, bus),
	HULL_FIELD_ARRAY(struct hull_device_config, args),
	HULL_FIELD(struct hull_device_config, nargs),
};

static const struct hull_field passthrough_fields[] = {
	HULL_FIELD_ARRAY(struct hull_passthrough_config, name),
	HULL_FIELD(struct hull_passthrough_config, gpa),
	HULL_FIELD(struct hull_passthrough_config, hpa),
	HULL_FIELD(struct hull_passthrough_config, size),
	HULL_FIELD(struct hull_passthrough_config, irq),
};

static const struct hull_field disk_fields[] = {
	HULL_FIELD(struct hull_package_disk, device),
	HULL_FIELD(struct hull_package_disk, read_only),
	HULL_FIELD(struct hull_package_disk, offset),
	HULL_FIELD(struct hull_package_disk, bytes),
};

static const struct hull_field net_fields[] = {
	HULL_FIELD(struct hull_package_net, device),
	HULL_FIELD_ARRAY(struct hull_package_net, network),
	HULL_FIELD_ARRAY(struct hull_package_net, mac),
	HULL_FIELD(struct hull_package_net, mtu),
};

#define PART(name, fields, number, array, type, max) \
	{ name,                                      \
	  fields,                                    \
	  ARRAY_LEN(fields),                         \
	  offsetof(struct hull_package_vm, number),  \
	  offsetof(struct hull_package_vm, array),   \
	  sizeof(struct type),                       \
	  max }

/* The tables of a VM: what is in each, where it is, how many there may be. */
static const struct part {
	const char *name;
	const struct hull_field *fields;
	unsigned nfields;
	size_t count, at, size; /* in struct hull_package_vm */
	uint32_t max;
} parts[] = {
	PART("region", region_fields, config.nregions, config.regions, hull_region_config,
	     HULL_MAX_REGIONS),
	PART("device", device_fields, config.ndevices, config.devices, hull_device_config,
	     HULL_MAX_DEVICES),
	PART("passthrough", passthrough_fields, config.npassthrough, config.passthrough,
	     hull_passthrough_config, HULL_MAX_PASSTHROUGH),
	PART("disk", disk_fields, ndisks, disks, hull_package_disk, HULL_PACKAGE_DISKS),
	PART("net", net_fields, nnets, nets, hull_package_net, HULL_PACKAGE_NETS),
};

static uint32_t count_of(const struct hull_package_vm *vm, const struct part *p)
{
	uint32_t n;

	memcpy(&n, (const char *)vm + p->count, sizeof(n));
	return n;
}

static int save_vm(const struct hull_package_vm *vm, uint8_t *buf, size_t size, size_t *pos)
{
	int r = hull_fields_save("vm", vm_fields, ARRAY_LEN(vm_fields), vm, buf, size, pos);

	for (unsigned k = 0; k < ARRAY_LEN(parts); k++) {
		const struct part *p = &parts[k];
		const char *at = (const char *)vm + p->at;

		for (uint32_t i = 0; !r && i < count_of(vm, p); i++)
			r = hull_fields_save(p->name, p->fields, p->nfields, at + i * p->size, buf,
			                     size, pos);
	}
	return r;
}

int hull_package_write(const struct hull_package_vm *vms, uint32_t n, uint64_t total, uint8_t *buf,
                       size_t size, size_t *ret)
{
	size_t pos = HULL_PACKAGE_HEADER;
	int r = size < pos ? HULL_EOVERFLOW : 0;

	for (uint32_t i = 0; !r && i < n; i++)
		r = save_vm(&vms[i], buf, size, &pos);
	if (r)
		return r;
	memset(buf, 0, HULL_PACKAGE_HEADER);
	store_le64(buf + AT_MAGIC, HULL_PACKAGE_MAGIC);
	store_le32(buf + AT_VERSION, HULL_PACKAGE_VERSION);
	store_le32(buf + AT_VMS, n);
	store_le64(buf + AT_TOTAL, total);
	*ret = pos;
	return 0;
}

static int bad(struct hull_err *err, const char *why)
{
	return hull_fail(err, HULL_EFORMAT, E_FORMAT, "the package of VMs is damaged: %s", why);
}

int hull_package_open(const void *data, uint64_t size, struct hull_package *ret,
                      struct hull_err *err)
{
	const uint8_t *p = data;
	uint32_t version, n;
	uint64_t total;

	if (size < HULL_PACKAGE_HEADER || load_le64(p + AT_MAGIC) != HULL_PACKAGE_MAGIC)
		return hull_fail(err, HULL_ENOENT, E_FORMAT, "there is no package of VMs");
	version = load_le32(p + AT_VERSION);
	n = load_le32(p + AT_VMS);
	total = load_le64(p + AT_TOTAL);
	if (version != HULL_PACKAGE_VERSION) {
		hull_fail(err, HULL_ENOTSUP, E_VERSION,
		          "the package of VMs has version %u, this Hull reads %u", version,
		          HULL_PACKAGE_VERSION);
		hull_err_fix(err, "build it again with this Hull");
		return HULL_ENOTSUP;
	}
	if (total < HULL_PACKAGE_HEADER || total > size)
		return bad(err, "it is cut off");
	if (n > HULL_PACKAGE_VMS)
		return bad(err, "it holds too many VMs");
	*ret = (struct hull_package){
		.data = p, .bytes = total, .nvms = n, .pos = HULL_PACKAGE_HEADER
	};
	return 0;
}

static bool terminated(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!text[i])
			return true;
	return false;
}

/* Behind a device there is one thing. */
static int check_backends(const struct hull_package *p, const struct hull_package_vm *vm,
                          struct hull_err *err)
{
	uint64_t taken = 0;

	for (uint32_t i = 0; i < vm->ndisks + vm->nnets; i++) {
		const struct hull_package_disk *d = i < vm->ndisks ? &vm->disks[i] : NULL;
		const struct hull_package_net *n = d ? NULL : &vm->nets[i - vm->ndisks];
		uint32_t device = d ? d->device : n->device;

		if (device >= vm->config.ndevices || taken & BIT(device))
			return bad(err, "a disk or network card has no device of its own");
		taken |= BIT(device);
		if (!hull_text_eq(vm->config.devices[device].type, d ? "virtio-blk" : "virtio-net"))
			return bad(err, "a disk or network card has a device of another type");
		if (d && (!hull_range_within(d->offset, d->bytes, 0, p->bytes) ||
		          !is_aligned(d->bytes, 512) || !d->bytes))
			return bad(err, "a disk lies outside");
		if (n && !terminated(n->network, sizeof(n->network)))
			return bad(err, "a text has no end");
	}
	if (vm->console > vm->config.ndevices || (vm->console && taken & BIT(vm->console - 1)))
		return bad(err, "its console has no device of its own");
	return 0;
}

static int check_vm(const struct hull_package *p, const struct hull_package_vm *vm,
                    struct hull_err *err)
{
	int r;

	if (!terminated(vm->board, sizeof(vm->board)) ||
	    !terminated(vm->cmdline, sizeof(vm->cmdline)))
		return bad(err, "a text has no end");
	if (vm->config.isa > HULL_ISA_X86_64 || vm->config.kind > HULL_KIND_HOST ||
	    vm->config.irq_mode > HULL_IRQ_NONE)
		return bad(err, "a choice is none of those that there are");
	for (uint32_t i = 0; i < vm->config.ndevices; i++)
		if (vm->config.devices[i].bus > HULL_BUS_PCI)
			return bad(err, "a choice is none of those that there are");
	for (unsigned i = 0; i < HULL_PACKAGE_FILES; i++)
		if (!hull_range_within(vm->file[i].offset, vm->file[i].bytes, 0, p->bytes))
			return bad(err, "a file lies outside");
	r = hull_config_check(&vm->config, err);
	return r ? r : check_backends(p, vm, err);
}

int hull_package_next(struct hull_package *p, struct hull_package_vm *ret, struct hull_err *err)
{
	int r;

	if (p->next == p->nvms)
		return hull_fail(err, HULL_ENOENT, E_FORMAT, "there is no further VM");
	memset(ret, 0, sizeof(*ret));
	r = hull_fields_load("vm", vm_fields, ARRAY_LEN(vm_fields), ret, p->data, p->bytes, &p->pos,
	                     err);
	for (unsigned k = 0; !r && k < ARRAY_LEN(parts); k++) {
		const struct part *part = &parts[k];
		uint32_t n = count_of(ret, part);
		char *at = (char *)ret + part->at;

		if (n > part->max)
			return bad(err, "a table is too long");
		for (uint32_t i = 0; !r && i < n; i++)
			r = hull_fields_load(part->name, part->fields, part->nfields,
			                     at + i * part->size, p->data, p->bytes, &p->pos, err);
	}
	if (r)
		return r;
	p->next++;
	return check_vm(p, ret, err);
}
