/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * `hull build --metal`: VMs, their files and the hypervisor as one image that a machine boots.
 *
 * The hypervisor's own image comes first; its header (Linux Documentation/arch/arm64/booting.rst)
 * is told how long the whole is.  The package (core/package.h) follows at the next page.
 */
#include "app/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "board/board.h"
#include "core/package.h"
#include "fw/image.h"
#include "host/file.h"
#include "host/net/address.h"
#include "manage/args.h"
#include "manage/cmd.h"

enum { AT_IMAGE_SIZE = 16, SECTIONS_MAX = 1 << 20, SECTOR = 512 };

struct build {
	struct hull_options globals;
	const char *word[1 + HULL_PACKAGE_VMS];
	const char *board, *output, *hypervisor;
	enum hull_isa isa; /* of the hypervisor, and so of the VMs */
	bool metal;
	uint32_t nvms;
	struct hull_package_vm vms[HULL_PACKAGE_VMS];
	struct hull_file files[HULL_PACKAGE_VMS][HULL_PACKAGE_FILES];
	struct hull_file disks[HULL_PACKAGE_VMS][HULL_PACKAGE_DISKS];
	struct hull_file image;
	uint8_t sections[SECTIONS_MAX];
	size_t nsections;
};

static int read_files(struct build *b, const struct hull_options *o, struct hull_err *err)
{
	static const struct {
		enum hull_option path, at;
	} kinds[HULL_PACKAGE_FILES] = {
		[HULL_PACKAGE_KERNEL] = { HULL_OPT_BOOT_KERNEL, HULL_OPT_BOOT_KERNEL_ADDR },
		[HULL_PACKAGE_INITRD] = { HULL_OPT_BOOT_INITRD, HULL_OPT_BOOT_INITRD_ADDR },
		[HULL_PACKAGE_DTB] = { HULL_OPT_BOOT_DTB, HULL_OPT_BOOT_DTB_ADDR },
	};
	struct hull_package_vm *vm = &b->vms[b->nvms];
	int r = 0;

	for (unsigned k = 0; !r && k < HULL_PACKAGE_FILES; k++) {
		const char *path = hull_options_text(o, kinds[k].path);
		struct hull_file *f = &b->files[b->nvms][k];

		vm->file[k].has_at = hull_options_has(o, kinds[k].at);
		vm->file[k].at = hull_options_num(o, kinds[k].at);
		if (path)
			r = k == HULL_PACKAGE_KERNEL
			            ? hull_file_read_kernel(path, HULL_FILE_MAX_IMAGE, f, err)
			            : hull_file_read(path, HULL_FILE_MAX_IMAGE, f, err);
		vm->file[k].bytes = f->size;
	}
	return r;
}

static int text_into(char *dst, size_t size, const char *src, const char *what,
                     struct hull_err *err)
{
	if (src && !hull_text_copy(dst, size, src))
		return hull_fail(err, HULL_EOVERFLOW, 130, "%s is longer than %zu characters", what,
		                 size - 1);
	return 0;
}

/* How the guest reaches an item's device. */
static enum hull_device_bus bus_of(const struct hull_options *o, enum hull_option transport,
                                   uint32_t i)
{
	uint64_t bus = hull_options_item(o, transport, i)->num;

	if (bus == HULL_BUS_AUTO)
		bus = hull_options_num(o, HULL_OPT_VIRTIO_TRANSPORT);
	return (enum hull_device_bus)bus;
}

static int add_device(struct build *b, enum hull_device_bus bus, const char *type, const char *name,
                      struct hull_err *err)
{
	struct hull_device_config d = { .bus = bus };

	if (bus == HULL_BUS_PCI)
		return hull_fail(err, HULL_ENOTSUP, 1112,
		                 "%s: a VM on bare metal has no PCI in this build", name);
	hull_format(d.type, sizeof(d.type), "%s", type);
	hull_format(d.name, sizeof(d.name), "%s", name);
	return hull_config_add_device(&b->vms[b->nvms].config, &d, err);
}

static int too_many(const char *what, unsigned most, struct hull_err *err)
{
	return hull_fail(err, HULL_EOVERFLOW, 109, "a VM on bare metal has at most %u %s", most,
	                 what);
}

/* An image becomes part of the hypervisor's: as it is, or as its file says, padded to sectors. */
static int add_disk(struct build *b, const struct hull_options *o, uint32_t i, struct hull_err *err)
{
	struct hull_package_vm *vm = &b->vms[b->nvms];
	struct hull_package_disk *d = &vm->disks[i];
	struct hull_file *f = &b->disks[b->nvms][i];
	const char *path = hull_options_item(o, HULL_OPT_DISK_PATH, i)->text;
	const char *id = hull_options_item(o, HULL_OPT_DISK_ID, i)->text;
	char name[16];
	int r;

	if (hull_options_item(o, HULL_OPT_DISK_FORMAT, i)->num) {
		hull_fail(err, HULL_ENOTSUP, 1112, "disk %s: on bare metal images are raw", path);
		hull_err_fix(err, "hull disk convert %s -O raw FILE", path);
		return HULL_ENOTSUP;
	}
	r = hull_file_read(path, HULL_FILE_MAX_IMAGE, f, err);
	if (r)
		return r;
	if (!f->size)
		return hull_fail(err, HULL_EINVAL, 1112, "disk %s is empty", path);
	d->bytes = align_up(f->size, SECTOR);
	d->read_only = hull_options_item(o, HULL_OPT_DISK_READONLY, i)->num != 0;
	d->device = vm->config.ndevices;
	vm->ndisks++;
	hull_format(name, sizeof(name), "disk%u", i);
	return add_device(b, bus_of(o, HULL_OPT_DISK_TRANSPORT, i), "virtio-blk", id ? id : name,
	                  err);
}

/* Networks are between VMs of the image: switch:NAME. */
static int add_net(struct build *b, const struct hull_options *o, uint32_t i, struct hull_err *err)
{
	static const char prefix[] = "switch:";
	struct hull_package_vm *vm = &b->vms[b->nvms];
	struct hull_package_net *n = &vm->nets[i];
	const char *mode = hull_options_item(o, HULL_OPT_NET_MODE, i)->text;
	const char *mac = hull_options_item(o, HULL_OPT_NET_MAC, i)->text;
	const char *id = hull_options_item(o, HULL_OPT_NET_ID, i)->text;
	char name[16];

	if (strncmp(mode, prefix, sizeof(prefix) - 1) || !mode[sizeof(prefix) - 1] ||
	    !hull_text_copy(n->network, sizeof(n->network), mode + sizeof(prefix) - 1)) {
		hull_fail(err, HULL_ENOTSUP, 1112, "a network on bare metal cannot be \"%s\"",
		          mode);
		hull_err_fix(err, "[[net]] mode = \"switch:NAME\" leads to the other VMs");
		return HULL_ENOTSUP;
	}
	if (mac && !hull_net_mac_parse(mac, n->mac))
		return hull_fail(err, HULL_EINVAL, 501, "\"%s\" is no Ethernet address", mac);
	n->mtu = (uint16_t)hull_options_item(o, HULL_OPT_NET_MTU, i)->num;
	n->device = vm->config.ndevices;
	vm->nnets++;
	hull_format(name, sizeof(name), "net%u", i);
	return add_device(b, bus_of(o, HULL_OPT_NET_TRANSPORT, i), "virtio-net", id ? id : name,
	                  err);
}

/* A VM has one way to the console: its first serial port, or a virtio console on "stdio". */
static int add_console(struct build *b, const struct hull_options *o, uint32_t i,
                       struct hull_err *err)
{
	struct hull_package_vm *vm = &b->vms[b->nvms];
	const char *to = hull_options_item(o, HULL_OPT_CONSOLE_TO, i)->text;
	char name[16];

	if (to && !strcmp(to, "stdio") && !vm->console)
		vm->console = vm->config.ndevices + 1;
	else if (!to || strcmp(to, "none"))
		return hull_fail(
			err, HULL_ENOTSUP, 1112,
			"a console on bare metal leads to \"stdio\", one of them, or \"none\"");
	hull_format(name, sizeof(name), "hvc%u", i);
	return add_device(b, bus_of(o, HULL_OPT_CONSOLE_TRANSPORT, i), "virtio-console", name, err);
}

static int add_devices(struct build *b, const struct hull_options *o, const char *serial,
                       struct hull_err *err)
{
	uint32_t disks = o->nitems[HULL_GROUP_DISK], nets = o->nitems[HULL_GROUP_NET];
	int r = add_device(b, HULL_BUS_AUTO, serial, "serial0", err);

	if (disks > HULL_PACKAGE_DISKS)
		return too_many("disks", HULL_PACKAGE_DISKS, err);
	if (nets > HULL_PACKAGE_NETS)
		return too_many("network cards", HULL_PACKAGE_NETS, err);
	for (uint32_t i = 0; !r && i < o->nitems[HULL_GROUP_CONSOLE]; i++)
		r = add_console(b, o, i, err);
	for (uint32_t i = 0; !r && i < disks; i++)
		r = add_disk(b, o, i, err);
	for (uint32_t i = 0; !r && i < nets; i++)
		r = add_net(b, o, i, err);
	return r ? r
	         : add_device(b,
	                      (enum hull_device_bus)hull_options_num(o, HULL_OPT_VIRTIO_TRANSPORT),
	                      "virtio-rng", "rng", err);
}

/* What these options ask for that only a process can give. */
static int refuse_hosted(const struct hull_options *o, struct hull_err *err)
{
	static const struct {
		unsigned group;
		const char *what;
	} hosted[] = { { HULL_GROUP_SHARE, "shared directories" },
		       { HULL_GROUP_PUBLISH, "published ports" },
		       { HULL_GROUP_CHANNEL, "channels" } };

	for (unsigned i = 0; i < ARRAY_LEN(hosted); i++)
		if (o->nitems[hosted[i].group])
			return hull_fail(err, HULL_ENOTSUP, 1112,
			                 "a VM on bare metal has no %s in this build",
			                 hosted[i].what);
	return 0;
}

static int describe(struct build *b, const struct hull_options *o, const char *path,
                    struct hull_err *err)
{
	struct hull_package_vm *vm = &b->vms[b->nvms];
	const struct hull_file *kernel = &b->files[b->nvms][HULL_PACKAGE_KERNEL];
	const char *type = hull_options_text(o, HULL_OPT_MACHINE_TYPE);
	const struct hull_board *board;
	struct hull_image_info info;
	int r = refuse_hosted(o, err);

	if (!r)
		r = read_files(b, o, err);
	if (r)
		return r;
	info = hull_image_probe(kernel->data, kernel->size);
	if (!kernel->data || (info.has_isa && info.isa != b->isa)) {
		hull_fail(err, HULL_EINVAL, 1112, "%s names no kernel for %s", path,
		          hull_image_isa_name(b->isa));
		hull_err_fix(err, "[boot] kernel = \"FILE\"");
		return HULL_EINVAL;
	}
	board = hull_board_find(b->isa, type);
	if (!board)
		return hull_fail(err, HULL_ENOENT, 104, "there is no board \"%s\" for %s", type,
		                 hull_image_isa_name(b->isa));
	r = hull_options_to_config(o, b->isa, &vm->config, err);
	if (!r)
		r = add_devices(b, o, board->serial, err);
	if (!r)
		r = text_into(vm->board, sizeof(vm->board), board->name, "the board", err);
	if (!r)
		r = text_into(vm->cmdline, sizeof(vm->cmdline),
		              hull_options_text(o, HULL_OPT_BOOT_CMDLINE), "boot.cmdline", err);
	vm->ram_bytes = hull_options_num(o, HULL_OPT_MEMORY_SIZE);
	vm->has_entry = hull_options_has(o, HULL_OPT_BOOT_ENTRY);
	vm->entry = hull_options_num(o, HULL_OPT_BOOT_ENTRY);
	return r ? r : hull_config_check(&vm->config, err);
}

static int add_vm(struct build *b, const char *path, char *const envp[], struct hull_err *err)
{
	char run[] = "run", *copy = strdup(path);
	char *argv[] = { run, copy, NULL };
	struct hull_options o = { 0 };
	int r = copy ? hull_options_init(&o, err)
	             : hull_fail(err, HULL_ENOMEM, 120, "out of memory");

	if (!r)
		r = hull_options_collect(&o, 2, argv, envp, err);
	if (!r)
		r = describe(b, &o, path, err);
	if (!r)
		b->vms[b->nvms].config.id = b->nvms;
	hull_options_free(&o);
	free(copy);
	b->nvms += !r;
	return r;
}

/* Offsets depend on the length of the sections, which does not depend on them. */
static int lay_out(struct build *b, uint64_t *ret_total, struct hull_err *err)
{
	uint64_t at;
	int r = hull_package_write(b->vms, b->nvms, 0, b->sections, sizeof(b->sections),
	                           &b->nsections);

	at = align_up(b->nsections, HULL_PAGE_SIZE);
	for (uint32_t i = 0; i < b->nvms; i++) {
		for (unsigned k = 0; k < HULL_PACKAGE_FILES; k++) {
			b->vms[i].file[k].offset = at;
			at = align_up(at + b->vms[i].file[k].bytes, HULL_PAGE_SIZE);
		}
		for (unsigned k = 0; k < b->vms[i].ndisks; k++) {
			b->vms[i].disks[k].offset = at;
			at = align_up(at + b->vms[i].disks[k].bytes, HULL_PAGE_SIZE);
		}
	}
	*ret_total = at;
	if (!r)
		r = hull_package_write(b->vms, b->nvms, at, b->sections, sizeof(b->sections),
		                       &b->nsections);
	return r ? hull_fail(err, r, 1112, "the VMs have too many devices for one image") : 0;
}

static void pad(FILE *f)
{
	while (ftello(f) > 0 && ftello(f) % (off_t)HULL_PAGE_SIZE)
		fputc(0, f);
}

static void write_file(const struct hull_file *file, FILE *f)
{
	if (file->size)
		fwrite(file->data, 1, file->size, f);
	pad(f);
}

static void write_all(struct build *b, FILE *f, uint64_t total)
{
	store_le64(b->image.data + AT_IMAGE_SIZE, b->image.size + total);
	fwrite(b->image.data, 1, b->image.size, f);
	fwrite(b->sections, 1, b->nsections, f);
	pad(f);
	for (uint32_t i = 0; i < b->nvms; i++) {
		for (unsigned k = 0; k < HULL_PACKAGE_FILES; k++)
			write_file(&b->files[i][k], f);
		for (unsigned k = 0; k < b->vms[i].ndisks; k++)
			write_file(&b->disks[i][k], f);
	}
}

/* Beside its name first: nobody finds half an image. */
static int write_image(struct build *b, uint64_t total, struct hull_err *err)
{
	char part[4096];
	FILE *f;
	bool good;

	if (hull_format(part, sizeof(part), "%s.part", b->output) >= sizeof(part))
		return hull_fail(err, HULL_EINVAL, 130, "the name of the image is too long");
	f = fopen(part, "wb");
	if (!f)
		return hull_fail(err, HULL_EIO, 1113, "%s cannot be written: %m", part);
	write_all(b, f, total);
	good = !ferror(f);
	good = !fclose(f) && good;
	if (good && !rename(part, b->output))
		return 0;
	hull_fail(err, HULL_EIO, 1113, "%s cannot be written: %m", b->output);
	unlink(part);
	return HULL_EIO;
}

static int read_hypervisor(struct build *b, struct hull_err *err)
{
	static const char *const boards[] = {
		[HULL_ISA_RISCV64] = "virt-riscv64", [HULL_ISA_AARCH64] = "virt-aarch64"
	};
	struct hull_image_info info;
	int r = hull_file_read(b->hypervisor, HULL_FILE_MAX_IMAGE, &b->image, err);

	if (r)
		return r;
	info = hull_image_probe(b->image.data, b->image.size);
	if ((info.kind != HULL_IMAGE_ARM64 && info.kind != HULL_IMAGE_RISCV) ||
	    !is_aligned(b->image.size, HULL_PAGE_SIZE) ||
	    load_le64(b->image.data + AT_IMAGE_SIZE) != b->image.size) {
		hull_fail(err, HULL_EFORMAT, 1112, "%s is no image of the hypervisor",
		          b->hypervisor);
		hull_err_fix(err, "it is hull-metal.img of Hull's own build");
		return HULL_EFORMAT;
	}
	b->isa = info.isa;
	if (b->board && strcmp(b->board, boards[b->isa]) != 0)
		return hull_fail(err, HULL_ENOENT, 1112, "%s is for %s, not for board \"%s\"",
		                 b->hypervisor, boards[b->isa], b->board);
	return 0;
}

static int build(struct build *b, char *const envp[], struct hull_err *err)
{
	uint64_t total;
	int r = 0;

	if (!b->metal || !b->output || !b->hypervisor) {
		hull_fail(err, HULL_EINVAL, 2, "hull build needs %s",
		          !b->metal    ? "--metal"
		          : !b->output ? "-w IMAGE"
		                       : "--hypervisor FILE");
		hull_err_fix(err,
		             "hull build --metal vm.toml --hypervisor hull-metal.img -w hull.img");
		return HULL_EINVAL;
	}
	r = read_hypervisor(b, err);
	for (unsigned i = 0; !r && i < HULL_PACKAGE_VMS && b->word[i]; i++)
		r = add_vm(b, b->word[i], envp, err);
	if (!r)
		r = lay_out(b, &total, err);
	return r ? r : write_image(b, total, err);
}

int hull_app_build(int argc, char *const argv[], char *const envp[])
{
	struct build *b = calloc(1, sizeof(*b));
	struct hull_err err = { 0 };
	int r = b ? hull_options_init(&b->globals, &err) : HULL_ENOMEM;

	if (!b)
		return 1;
	const struct hull_arg args[] = {
		{ "metal", 0, NULL, &b->metal, NULL,
		  "an image that boots without an operating system" },
		{ "board", 0, &b->board, NULL, "NAME", "the machine that it is for" },
		{ "hypervisor", 0, &b->hypervisor, NULL, "FILE", "hull-metal.img" },
		{ "write", 'w', &b->output, NULL, "IMAGE", "the image to write" },
	};
	const struct hull_verb verb = { "hull",           "build", "VM.toml...",   1,
		                        HULL_PACKAGE_VMS, args,    ARRAY_LEN(args) };

	if (!r)
		r = hull_args_parse(&b->globals, &verb, argc, argv, b->word, &err);
	if (!r && b->globals.help)
		hull_args_help(&verb, stdout);
	else if (!r)
		r = build(b, envp, &err);
	if (r)
		r = hull_cmd_fail(&b->globals, argc, argv, stderr, &err);
	for (uint32_t i = 0; i < HULL_PACKAGE_VMS; i++) {
		for (unsigned k = 0; k < HULL_PACKAGE_FILES; k++)
			hull_file_free(&b->files[i][k]);
		for (unsigned k = 0; k < HULL_PACKAGE_DISKS; k++)
			hull_file_free(&b->disks[i][k]);
	}
	hull_file_free(&b->image);
	hull_options_free(&b->globals);
	free(b);
	return r;
}
