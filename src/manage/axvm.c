/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The reference hypervisor's keys, one table of plain ones and a function for
 * each positional array.  Values go through the checks of our own keys.
 */
#include "manage/axvm.h"

#include <string.h>

#include "base/bits.h"
#include "base/text.h"
#include "manage/options_table.h"

struct import {
	struct hull_options *o;
	const char *file;
	hull_axvm_note note;
	void *arg;
	struct hull_err *err;
	struct hull_value exclude; /* excluded_devices, for passthrough by device-tree node */
};

typedef int (*handler)(struct import *im, const struct hull_toml *node);

static void HULL_PRINTF(2, 3) note(struct import *im, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	hull_vformat(text, sizeof(text), format, args);
	va_end(args);
	im->note(im->arg, text);
}

static int malformed(struct import *im, const struct hull_toml *node, const char *what)
{
	hull_fail(im->err, HULL_EINVAL, 112, "%s", what);
	hull_err_where(im->err, "%.80s line %u", im->file, node->line);
	return HULL_EINVAL;
}

static struct hull_place place(const struct import *im, const struct hull_toml *node)
{
	struct hull_place at = { .origin = { HULL_ORIGIN_FILE, node->line, im->file },
		                 .key = node->key[0] ? node->key : "element" };

	return at;
}

static int set(struct import *im, enum hull_option id, const struct hull_toml *node)
{
	struct hull_place at = place(im, node);

	return hull_value_from_toml(&im->o->pool, id, node, &at, &im->o->value[id], im->err);
}

static int set_text(struct import *im, enum hull_option id, const char *text,
                    const struct hull_toml *node)
{
	struct hull_place at = place(im, node);

	return hull_value_from_text(&im->o->pool, id, text, &at, &im->o->value[id], im->err);
}

static int add(struct import *im, unsigned group, const struct hull_toml *node,
               struct hull_item **ret)
{
	struct hull_place at = place(im, node);

	return hull_options_add_item(im->o, group, &at, ret, im->err);
}

static struct hull_value *slot(struct hull_item *item, enum hull_option id)
{
	return &item->value[id - hull_option_first(hull_option_rows[id].group)];
}

static int item_set(struct import *im, struct hull_item *item, enum hull_option id,
                    const struct hull_toml *node)
{
	struct hull_place at = place(im, node);

	return hull_value_from_toml(&im->o->pool, id, node, &at, slot(item, id), im->err);
}

static int item_text(struct import *im, struct hull_item *item, enum hull_option id,
                     const char *text, const struct hull_toml *node)
{
	struct hull_place at = place(im, node);

	return hull_value_from_text(&im->o->pool, id, text, &at, slot(item, id), im->err);
}

/* The n-th element of an array; NULL if it is shorter. */
static const struct hull_toml *nth(const struct hull_toml *array, unsigned n)
{
	const struct hull_toml *e = array->first;

	while (e && n--)
		e = e->next;
	return e;
}

/* Is it an array of `least` to `most` elements? */
static bool is_row(const struct hull_toml *node, unsigned least, unsigned most)
{
	return node->kind == HULL_TOML_ARRAY && node->count >= least && node->count <= most;
}

static int entry_point(struct import *im, const struct hull_toml *node)
{
	int ret = set(im, HULL_OPT_BOOT_ENTRY, node);

	return ret ? ret : set(im, HULL_OPT_BOOT_AP_ENTRY, node);
}

static int vm_type(struct import *im, const struct hull_toml *node)
{
	static const char *const kinds[] = { "host", "rtos", "linux" };
	uint64_t v;

	if (!hull_toml_u64(node, &v) || v >= ARRAY_LEN(kinds)) {
		note(im, "vm_type in line %u is none of 0, 1, 2: vm.kind stays general",
		     node->line);
		return 0;
	}
	return set_text(im, HULL_OPT_VM_KIND, kinds[v], node);
}

/* Bit masks of physical CPUs, one per vCPU. */
static int phys_cpu_sets(struct import *im, const struct hull_toml *node)
{
	const struct hull_toml *e;
	uint64_t *masks;
	uint32_t n = 0;

	if (!is_row(node, 0, HULL_MAX_VCPUS))
		return malformed(im, node, "phys_cpu_sets is not a list of bit masks");
	masks = hull_pool_alloc(&im->o->pool, (node->count + 1) * sizeof(*masks));
	if (!masks)
		return hull_options_no_memory(im->err);
	for (e = node->first; e; e = e->next)
		if (!hull_toml_u64(e, &masks[n++]) || !masks[n - 1])
			return malformed(im, e, "a mask of phys_cpu_sets must be a number above 0");
	im->o->value[HULL_OPT_CPU_AFFINITY] =
		(struct hull_value){ .origin = place(im, node).origin, .nums = masks, .count = n };
	return 0;
}

static int image_location(struct import *im, const struct hull_toml *node)
{
	const char *text = hull_toml_text(node);

	if (!text || (strcmp(text, "memory") != 0 && strcmp(text, "fs") != 0))
		return malformed(im, node, "image_location is neither \"memory\" nor \"fs\"");
	return set_text(im, HULL_OPT_BOOT_KERNEL_SOURCE, strcmp(text, "fs") ? "embedded" : "fs",
	                node);
}

static int disk_path(struct import *im, const struct hull_toml *node)
{
	struct hull_item *item;
	int ret = add(im, HULL_GROUP_DISK, node, &item);

	return ret ? ret : item_set(im, item, HULL_OPT_DISK_PATH, node);
}

/* flags: bit 0 read, 1 write, 2 execute, 3 user, 4 device, 5 uncached. */
static int region_flags(struct import *im, struct hull_item *item, const struct hull_toml *node)
{
	static const char *const perms[] = { NULL, "r", NULL, "rw", NULL, "rx", NULL, "rwx" };
	uint64_t flags;
	const char *cache;
	int ret;

	if (!hull_toml_u64(node, &flags) || !perms[flags & 7])
		return malformed(im, node, "the flags of this memory region cannot be mapped");
	if (flags >> 6)
		note(im, "flags above bit 5 in line %u have no counterpart", node->line);
	cache = flags & BIT(4) ? "device" : flags & BIT(5) ? "uncached" : "normal";
	ret = item_text(im, item, HULL_OPT_REGION_PERM, perms[flags & 7], node);
	return ret ? ret : item_text(im, item, HULL_OPT_REGION_CACHE, cache, node);
}

/* [gpa, size, flags, map_type] */
static int memory_region(struct import *im, const struct hull_toml *row)
{
	static const char *const maps[] = { "alloc", "identical", "reserved" };
	struct hull_item *item;
	uint64_t map;
	int ret;

	if (!is_row(row, 3, 4))
		return malformed(im, row, "a memory region is [gpa, size, flags, map_type]");
	if (row->count == 4 && (!hull_toml_u64(row->last, &map) || map >= ARRAY_LEN(maps)))
		return malformed(im, row, "map_type must be 0, 1 or 2");
	ret = add(im, HULL_GROUP_REGION, row, &item);
	if (!ret)
		ret = item_set(im, item, HULL_OPT_REGION_GPA, nth(row, 0));
	if (!ret)
		ret = item_set(im, item, HULL_OPT_REGION_SIZE, nth(row, 1));
	if (!ret)
		ret = region_flags(im, item, nth(row, 2));
	if (ret || row->count < 4)
		return ret;
	ret = item_text(im, item, HULL_OPT_REGION_MAP, maps[map], row);
	/* "Reserved" maps one to one there. */
	return ret || map != 2 ? ret : item_set(im, item, HULL_OPT_REGION_HPA, nth(row, 0));
}

struct emulated {
	uint64_t type;
	const char *name; /* of our device; NULL: the board has one */
};

static const struct emulated emulated[] = {
	{ 0x1, NULL },           { 0xa, "ivc" },
	{ 0x20, "gppt-redist" }, { 0x21, "gppt-dist" },
	{ 0x22, "gppt-its" },    { 0xe1, "virtio-blk" },
	{ 0xe2, "virtio-net" },  { 0xe3, "virtio-console" },
};

/* The positional arguments of a device become arg0, arg1, ... */
static int device_opts(struct import *im, struct hull_item *item, const struct hull_toml *list)
{
	struct hull_value *v = slot(item, HULL_OPT_DEVICE_OPTS);
	struct hull_pair *pairs;
	const struct hull_toml *e;
	char key[16], text[24];
	uint32_t n = 0;

	if (!is_row(list, 0, HULL_MAX_DEV_ARGS))
		return malformed(im, list,
		                 "the arguments of a device are a list of at most 8 numbers");
	if (!list->count)
		return 0;
	pairs = hull_pool_alloc(&im->o->pool, list->count * sizeof(*pairs));
	if (!pairs)
		return hull_options_no_memory(im->err);
	for (e = list->first; e; e = e->next, n++) {
		if (!hull_toml_u64(e, &pairs[n].num))
			return malformed(im, e, "an argument of a device is not a number");
		pairs[n].is_num = true;
		hull_format(key, sizeof(key), "arg%u", n);
		hull_format(text, sizeof(text), "%llu", (unsigned long long)pairs[n].num);
		pairs[n].key = hull_pool_copy(&im->o->pool, key, strlen(key));
		pairs[n].text = hull_pool_copy(&im->o->pool, text, strlen(text));
		if (!pairs[n].key || !pairs[n].text)
			return hull_options_no_memory(im->err);
	}
	*v = (struct hull_value){ .origin = place(im, list).origin, .pairs = pairs, .count = n };
	return 0;
}

static int console(struct import *im, const struct hull_toml *row)
{
	bool first = !im->o->nitems[HULL_GROUP_SERIAL];
	struct hull_item *item;
	int ret = add(im, HULL_GROUP_SERIAL, row, &item);

	if (!ret)
		ret = item_text(im, item, HULL_OPT_SERIAL_TO, first ? "stdio" : "pty", row);
	return ret ? ret : item_set(im, item, HULL_OPT_SERIAL_ID, nth(row, 0));
}

static int device(struct import *im, const struct hull_toml *row, const char *type)
{
	struct hull_item *item;
	int ret = add(im, HULL_GROUP_DEVICE, row, &item);

	if (!ret)
		ret = item_text(im, item, HULL_OPT_DEVICE_TYPE, type, row);
	if (!ret)
		ret = item_set(im, item, HULL_OPT_DEVICE_NAME, nth(row, 0));
	if (!ret)
		ret = item_set(im, item, HULL_OPT_DEVICE_GPA, nth(row, 1));
	if (!ret)
		ret = item_set(im, item, HULL_OPT_DEVICE_SIZE, nth(row, 2));
	if (!ret)
		ret = item_set(im, item, HULL_OPT_DEVICE_IRQ, nth(row, 3));
	return ret || row->count < 6 ? ret : device_opts(im, item, nth(row, 5));
}

/* [name, gpa, length, irq, type, [arguments]] */
static int emu_device(struct import *im, const struct hull_toml *row)
{
	const char *name;
	uint64_t type;
	size_t i;

	if (!is_row(row, 5, 6) || !hull_toml_u64(nth(row, 4), &type) || !hull_toml_text(row->first))
		return malformed(im, row,
		                 "a device is [name, gpa, length, irq, type, [arguments]]");
	name = hull_toml_text(row->first);
	if (type == 0x2)
		return console(im, row);
	for (i = 0; i < ARRAY_LEN(emulated) && emulated[i].type != type; i++)
		;
	if (i == ARRAY_LEN(emulated)) {
		note(im, "device \"%.60s\" in line %u has the unknown type 0x%llx", name, row->line,
		     (unsigned long long)type);
		return 0;
	}
	if (!emulated[i].name) {
		note(im, "device \"%.60s\" in line %u is left out: the board has one", name,
		     row->line);
		return 0;
	}
	return device(im, row, emulated[i].name);
}

static int passthrough_node(struct import *im, const struct hull_toml *row)
{
	struct hull_item *item;
	int ret = add(im, HULL_GROUP_PASSTHROUGH, row, &item);

	if (!ret)
		ret = item_text(im, item, HULL_OPT_PASSTHROUGH_KIND, "dt", row);
	return ret ? ret : item_set(im, item, HULL_OPT_PASSTHROUGH_MATCH, row->first);
}

static int passthrough_range(struct import *im, const struct hull_toml *gpa,
                             const struct hull_toml *size, struct hull_item **ret)
{
	int r = add(im, HULL_GROUP_PASSTHROUGH, gpa, ret);

	if (!r)
		r = item_text(im, *ret, HULL_OPT_PASSTHROUGH_KIND, "mmio", gpa);
	if (!r)
		r = item_set(im, *ret, HULL_OPT_PASSTHROUGH_GPA, gpa);
	return r ? r : item_set(im, *ret, HULL_OPT_PASSTHROUGH_SIZE, size);
}

/* [name, gpa, hpa, length, irq] or [device-tree path] */
static int passthrough_device(struct import *im, const struct hull_toml *row)
{
	struct hull_item *item;
	int ret;

	if (is_row(row, 1, 1) && hull_toml_text(row->first))
		return passthrough_node(im, row);
	if (!is_row(row, 4, 5))
		return malformed(im, row,
		                 "a passthrough device is [name, gpa, hpa, length, irq] or [path]");
	ret = passthrough_range(im, nth(row, 1), nth(row, 3), &item);
	if (!ret)
		ret = item_set(im, item, HULL_OPT_PASSTHROUGH_NAME, nth(row, 0));
	if (!ret)
		ret = item_set(im, item, HULL_OPT_PASSTHROUGH_HPA, nth(row, 2));
	return ret || row->count < 5 ? ret
	                             : item_set(im, item, HULL_OPT_PASSTHROUGH_IRQ, nth(row, 4));
}

/* [gpa, length] */
static int passthrough_address(struct import *im, const struct hull_toml *row)
{
	struct hull_item *item;

	if (!is_row(row, 2, 2))
		return malformed(im, row, "a passthrough address is [gpa, length]");
	return passthrough_range(im, nth(row, 0), nth(row, 1), &item);
}

static int each(struct import *im, const struct hull_toml *list, handler row)
{
	const struct hull_toml *e;
	int ret = 0;

	if (list->kind != HULL_TOML_ARRAY)
		return malformed(im, list, "this key holds a list of lists");
	for (e = list->first; e && !ret; e = e->next)
		ret = row(im, e);
	return ret;
}

static int memory_regions(struct import *im, const struct hull_toml *node)
{
	return each(im, node, memory_region);
}

static int emu_devices(struct import *im, const struct hull_toml *node)
{
	return each(im, node, emu_device);
}

static int passthrough_devices(struct import *im, const struct hull_toml *node)
{
	return each(im, node, passthrough_device);
}

static int passthrough_addresses(struct import *im, const struct hull_toml *node)
{
	return each(im, node, passthrough_address);
}

/* [["/path"], ...]: each row may name several nodes. */
static int excluded_devices(struct import *im, const struct hull_toml *node)
{
	const struct hull_toml *row, *e;
	struct hull_pair *pairs;
	uint32_t n = 0;

	if (!is_row(node, 0, 64))
		return malformed(im, node, "excluded_devices is a list of lists of paths");
	pairs = hull_pool_alloc(&im->o->pool, 64 * sizeof(*pairs));
	if (!pairs)
		return hull_options_no_memory(im->err);
	for (row = node->first; row; row = row->next) {
		for (e = row->first; e; e = e->next) {
			const char *text = hull_toml_text(e);

			if (!text || n == 64)
				return malformed(im, e, "excluded_devices has at most 64 paths");
			pairs[n].key = "";
			pairs[n].text = hull_pool_copy(&im->o->pool, text, strlen(text));
			if (!pairs[n++].text)
				return hull_options_no_memory(im->err);
		}
	}
	im->exclude =
		(struct hull_value){ .origin = place(im, node).origin, .pairs = pairs, .count = n };
	return 0;
}

struct mapping {
	const char *table;
	const char *key;
	enum hull_option id; /* if there is no function */
	handler map;
};

static const struct mapping mappings[] = {
	{ "base", "id", HULL_OPT_VM_ID, NULL },
	{ "base", "name", HULL_OPT_VM_NAME, NULL },
	{ "base", "vm_type", 0, vm_type },
	{ "base", "cpu_num", HULL_OPT_CPU_COUNT, NULL },
	{ "base", "phys_cpu_ids", HULL_OPT_CPU_PHYS_IDS, NULL },
	{ "base", "phys_cpu_sets", 0, phys_cpu_sets },
	{ "kernel", "entry_point", 0, entry_point },
	{ "kernel", "kernel_path", HULL_OPT_BOOT_KERNEL, NULL },
	{ "kernel", "kernel_load_addr", HULL_OPT_BOOT_KERNEL_ADDR, NULL },
	{ "kernel", "bios_path", HULL_OPT_BOOT_BIOS, NULL },
	{ "kernel", "bios_load_addr", HULL_OPT_BOOT_BIOS_ADDR, NULL },
	{ "kernel", "dtb_path", HULL_OPT_BOOT_DTB, NULL },
	{ "kernel", "dtb_load_addr", HULL_OPT_BOOT_DTB_ADDR, NULL },
	{ "kernel", "ramdisk_path", HULL_OPT_BOOT_INITRD, NULL },
	{ "kernel", "ramdisk_load_addr", HULL_OPT_BOOT_INITRD_ADDR, NULL },
	{ "kernel", "cmdline", HULL_OPT_BOOT_CMDLINE, NULL },
	{ "kernel", "image_location", 0, image_location },
	{ "kernel", "disk_path", 0, disk_path },
	{ "kernel", "memory_regions", 0, memory_regions },
	{ "devices", "emu_devices", 0, emu_devices },
	{ "devices", "passthrough_devices", 0, passthrough_devices },
	{ "devices", "passthrough_addresses", 0, passthrough_addresses },
	{ "devices", "excluded_devices", 0, excluded_devices },
	{ "devices", "interrupt_mode", HULL_OPT_MACHINE_IRQ_MODE, NULL },
};

static int import_key(struct import *im, const char *table, const struct hull_toml *node)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(mappings); i++) {
		const struct mapping *m = &mappings[i];

		if (strcmp(m->table, table) != 0 || strcmp(m->key, node->key) != 0)
			continue;
		return m->map ? m->map(im, node) : set(im, m->id, node);
	}
	note(im, "%.20s.%.60s in line %u has no counterpart", table, node->key, node->line);
	return 0;
}

static void apply_exclude(struct import *im)
{
	uint32_t i, used = 0;

	for (i = 0; i < im->o->nitems[HULL_GROUP_PASSTHROUGH]; i++) {
		struct hull_item *item = &im->o->items[HULL_GROUP_PASSTHROUGH][i];

		if (slot(item, HULL_OPT_PASSTHROUGH_MATCH)->origin.rank == HULL_ORIGIN_NONE)
			continue;
		*slot(item, HULL_OPT_PASSTHROUGH_EXCLUDE) = im->exclude;
		used++;
	}
	if (!used)
		note(im,
		     "excluded_devices in line %u is left out: no device-tree node is passed on",
		     im->exclude.origin.line);
}

int hull_axvm_import(struct hull_options *o, const char *name, const struct hull_toml *root,
                     hull_axvm_note notice, void *arg, struct hull_err *err)
{
	struct import im = { .o = o, .note = notice, .arg = arg, .err = err };
	const struct hull_toml *table, *n;
	int ret = 0;

	im.file = hull_pool_copy(&o->pool, name, strlen(name));
	if (!im.file)
		return hull_options_no_memory(err);
	if (!hull_toml_get(root, "base") || !hull_toml_get(root, "kernel")) {
		hull_fail(err, HULL_EINVAL, 112, "%.100s has no [base] and [kernel] tables", name);
		return HULL_EINVAL;
	}
	for (table = root->first; table; table = table->next) {
		bool known = !strcmp(table->key, "base") || !strcmp(table->key, "kernel") ||
		             !strcmp(table->key, "devices");

		if (!known || table->kind != HULL_TOML_TABLE)
			note(&im, "[%.60s] in line %u has no counterpart", table->key, table->line);
		for (n = known ? table->first : NULL; n && !ret; n = n->next)
			ret = import_key(&im, table->key, n);
	}
	if (!ret && im.exclude.count)
		apply_exclude(&im);
	return ret;
}
