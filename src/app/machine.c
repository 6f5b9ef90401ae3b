/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* From options to a machine; see machine.h. */
#include "app/machine.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hull/host.h>
#include "base/bits.h"
#include "base/text.h"
#include "app/shares.h"
#include "core/dev_impl.h"
#include "fw/image.h"
#include "host/sandbox/jail.h"

static const struct hull_value *item(const struct app_machine *m, enum hull_option id, uint32_t i)
{
	return hull_options_item(m->options, id, i);
}

static const char *text(const struct app_machine *m, enum hull_option id)
{
	return hull_options_text(m->options, id);
}

/* Firmware as a file: "none" is what Hull does itself.  A boot ROM is firmware, too. */
static const char *firmware_path(const struct app_machine *m)
{
	const char *kind = text(m, HULL_OPT_BOOT_FIRMWARE);

	return kind && strcmp(kind, "none") ? kind : text(m, HULL_OPT_BOOT_BIOS);
}

static int read_blob(const char *path, struct hull_open_file *o, bool kernel, struct hull_file *f,
                     struct hull_blob *blob, struct hull_err *err)
{
	int r = 0;

	if (path && !f->data) {
		if (!o->path)
			r = hull_file_open(path, HULL_FILE_MAX_IMAGE, o, err);
		if (!r)
			r = hull_file_read_open(o, f, err);
		if (!r && kernel)
			r = hull_file_unpack_kernel(path, HULL_FILE_MAX_IMAGE, f, err);
	}
	blob->data = f->data;
	blob->size = f->size;
	blob->name = path;
	return r;
}

static void close_files(struct hull_boot *b)
{
	struct app_machine *m = b->arg;

	b->kernel.data = b->initrd.data = b->dtb.data = b->firmware.data = NULL;
	hull_file_free(&m->kernel);
	hull_file_free(&m->initrd);
	hull_file_free(&m->dtb);
	hull_file_free(&m->firmware);
}

static int open_files(struct hull_boot *b, struct hull_err *err)
{
	struct app_machine *m = b->arg;
	const char *dtb = text(m, HULL_OPT_BOOT_DTB), *machine_dtb = text(m, HULL_OPT_MACHINE_DTB);
	const char *firmware = text(m, HULL_OPT_BOOT_FIRMWARE);
	int r;

	if (firmware && (!strcmp(firmware, "bios") || !strcmp(firmware, "uefi"))) {
		hull_fail(err, HULL_ENOTSUP, 1301, "firmware \"%s\" is not in this build",
		          firmware);
		hull_err_fix(err, "--firmware FILE, or leave it out");
		return HULL_ENOTSUP;
	}
	if (!dtb && machine_dtb && strcmp(machine_dtb, "generated") && strcmp(machine_dtb, "none"))
		dtb = machine_dtb;
	r = read_blob(text(m, HULL_OPT_BOOT_KERNEL), &m->files[0], true, &m->kernel, &b->kernel,
	              err);
	if (!r)
		r = read_blob(firmware_path(m), &m->files[1], true, &m->firmware, &b->firmware,
		              err);
	if (!r)
		r = read_blob(text(m, HULL_OPT_BOOT_INITRD), &m->files[2], false, &m->initrd,
		              &b->initrd, err);
	if (!r)
		r = read_blob(dtb, &m->files[3], false, &m->dtb, &b->dtb, err);
	if (r)
		close_files(b);
	return r;
}

static void place(const struct app_machine *m, enum hull_option id, struct hull_blob *b)
{
	b->has_at = hull_options_has(m->options, id);
	b->at = hull_options_num(m->options, id);
}

static void fill_boot(struct app_machine *m)
{
	struct hull_boot *b = &m->machine.boot;
	const char *dtb = text(m, HULL_OPT_MACHINE_DTB);

	b->arg = m;
	b->open = open_files;
	b->close = close_files;
	place(m, HULL_OPT_BOOT_KERNEL_ADDR, &b->kernel);
	place(m, HULL_OPT_BOOT_INITRD_ADDR, &b->initrd);
	place(m, HULL_OPT_BOOT_DTB_ADDR, &b->dtb);
	if (firmware_path(m) == text(m, HULL_OPT_BOOT_BIOS))
		place(m, HULL_OPT_BOOT_BIOS_ADDR, &b->firmware);
	b->cmdline = text(m, HULL_OPT_BOOT_CMDLINE);
	b->has_entry = hull_options_has(m->options, HULL_OPT_BOOT_ENTRY);
	b->entry = hull_options_num(m->options, HULL_OPT_BOOT_ENTRY);
	b->no_dtb = dtb && !strcmp(dtb, "none");
}

/* The architecture that the user names, or else the one of the kernel or firmware. */
static int find_isa(const struct app_machine *m, enum hull_isa *ret, struct hull_err *err)
{
	static const enum hull_isa isas[] = { HULL_ISA_RISCV64, HULL_ISA_AARCH64, HULL_ISA_X86_64 };
	const struct hull_boot *boot = &m->machine.boot;
	const struct hull_blob *b = boot->kernel.data ? &boot->kernel : &boot->firmware;
	struct hull_image_info info = hull_image_probe(b->data, b->size);
	enum hull_isa want = HULL_ISA_RISCV64;

	if (info.has_isa)
		want = info.isa;
	if (hull_options_has(m->options, HULL_OPT_MACHINE_ARCH)) {
		uint64_t choice = hull_options_num(m->options, HULL_OPT_MACHINE_ARCH);

		want = isas[MIN(choice, (uint64_t)ARRAY_LEN(isas) - 1)];
	}
	if (info.has_isa && info.isa != want) {
		hull_fail(err, HULL_EINVAL, 104, "%s is %s for %s, but arch = \"%s\"", b->name,
		          info.name, hull_image_isa_name(info.isa), hull_image_isa_name(want));
		hull_err_fix(err, "drop --arch, it is detected");
		return HULL_EINVAL;
	}
	*ret = want;
	return 0;
}

/* What the user says about all virtio devices (HULL_VIRTIO_PROPS). */
static void set_properties(const struct app_machine *m, const struct hull_dev_type *t,
                           struct hull_device_config *d)
{
	static const struct {
		const char *name;
		enum hull_option option;
	} known[] = { { "packed", HULL_OPT_VIRTIO_PACKED },
		      { "in_order", HULL_OPT_VIRTIO_IN_ORDER },
		      { "event_idx", HULL_OPT_VIRTIO_EVENT_IDX } };

	d->nargs = (uint8_t)MIN(t->nprops, (unsigned)HULL_MAX_DEV_ARGS);
	for (unsigned i = 0; i < d->nargs; i++) {
		d->args[i] = t->props[i].dflt;
		for (unsigned k = 0; k < ARRAY_LEN(known); k++)
			if (!strcmp(t->props[i].name, known[k].name))
				d->args[i] = hull_options_num(m->options, known[k].option);
	}
}

/* How the guest reaches a virtio device; serial ports have only one way. */
static enum hull_device_bus bus_of(const struct app_machine *m, const char *type)
{
	return strncmp(type, "virtio-", 7) ? HULL_BUS_AUTO
	                                   : (enum hull_device_bus)hull_options_num(
						     m->options, HULL_OPT_VIRTIO_TRANSPORT);
}

void hull_app_set_bus(const struct app_machine *m, struct hull_vm_config *c, enum hull_option id,
                      uint32_t i)
{
	uint64_t bus = item(m, id, i)->num;

	if (bus != HULL_BUS_AUTO)
		c->devices[c->ndevices - 1].bus = (enum hull_device_bus)bus;
}

static int add_device(struct app_machine *m, struct hull_vm_config *c, const char *type,
                      const char *name, void *backend, struct hull_err *err)
{
	const struct hull_dev_type *t = hull_dev_type_find(type);
	struct hull_device_config d = { 0 };

	if (t)
		set_properties(m, t, &d);
	hull_format(d.type, sizeof(d.type), "%s", type);
	hull_format(d.name, sizeof(d.name), "%s", name);
	d.bus = bus_of(m, type);
	if (c->ndevices < HULL_MAX_DEVICES)
		m->backends[c->ndevices] = backend;
	return hull_config_add_device(c, &d, err);
}

/* Where port `i` of a group leads: the first serial port to the terminal unless told otherwise. */
static const char *port_target(const struct app_machine *m, enum hull_option to, uint32_t i)
{
	unsigned group = to == HULL_OPT_SERIAL_TO ? HULL_GROUP_SERIAL : HULL_GROUP_CONSOLE;

	if (i < m->options->nitems[group])
		return item(m, to, i)->text;
	return m->terminal_taken ? "none" : "stdio";
}

static bool console_on_terminal(const struct app_machine *m)
{
	for (uint32_t i = 0; i < m->options->nitems[HULL_GROUP_CONSOLE]; i++)
		if (!strcmp(port_target(m, HULL_OPT_CONSOLE_TO, i), "stdio"))
			return true;
	return false;
}

static int add_port(struct app_machine *m, struct hull_vm_config *c, enum hull_option to,
                    uint32_t i, const struct app_escape *escape, struct hull_err *err)
{
	bool serial = to == HULL_OPT_SERIAL_TO;
	bool silent = m->role && m->role->silent;
	struct hull_char_options o = { .target = silent ? "none" : port_target(m, to, i),
		                       .patient = c->deterministic,
		                       .escape = escape->key,
		                       .escaped = escape->pressed,
		                       .arg = escape->arg };
	struct hull_char *port;
	char name[16];
	int r;

	r = hull_char_open(&o, &port, err);
	if (r)
		return r;
	m->ports[m->nports++] = port;
	if (m->terminal_taken ? !serial && !strcmp(port_target(m, to, i), "stdio")
	                      : serial && i == 0) {
		hull_tap_init(&m->tap, port);
		port = &m->tap.chr;
	}
	hull_format(name, sizeof(name), "%s%u", serial ? "serial" : "hvc", i);
	r = add_device(m, c, serial ? m->machine.board->serial : "virtio-console", name, port, err);
	if (!r && !serial)
		hull_app_set_bus(m, c, HULL_OPT_CONSOLE_TRANSPORT, i);
	return r;
}

static int add_disk(struct app_machine *m, struct hull_vm_config *c, uint32_t i,
                    struct hull_err *err)
{
	const char *id = item(m, HULL_OPT_DISK_ID, i)->text;
	struct hull_block *block;
	char name[16];
	int r;

	r = hull_app_disk_open(&m->disks, m->options, i, c->deterministic, &block, err);
	if (r)
		return r;
	hull_format(name, sizeof(name), "disk%u", i);
	r = add_device(m, c, "virtio-blk", id ? id : name, block, err);
	if (!r)
		hull_app_set_bus(m, c, HULL_OPT_DISK_TRANSPORT, i);
	return r;
}

static int add_channel(struct app_machine *m, const struct hull_vm_config *c, uint32_t i,
                       struct hull_err *err)
{
	const char *name = item(m, HULL_OPT_CHANNEL_NAME, i)->text;
	const char *to = item(m, HULL_OPT_CHANNEL_TO, i)->text;
	struct hull_char_options o = { .target = to, .patient = c->deterministic };
	struct hull_named_port *p = &m->channels.port[i];
	int r;

	if (!to || !strcmp(to, "stdio")) {
		hull_fail(err, HULL_EINVAL, 901, "channel \"%s\" leads %s", name,
		          to ? "to the terminal" : "nowhere");
		hull_err_fix(err, "--channel %s,to=socket:PATH", name);
		return HULL_EINVAL;
	}
	if (m->role && m->role->silent)
		o.target = "none";
	r = hull_char_open(&o, &p->chr, err);
	if (r)
		return r;
	p->name = name;
	m->channels.n++;
	m->ports[m->nports++] = p->chr;
	return 0;
}

static int add_channels(struct app_machine *m, struct hull_vm_config *c, struct hull_err *err)
{
	uint32_t n = m->options->nitems[HULL_GROUP_CHANNEL];
	int r = 0;

	for (uint32_t i = 0; !r && i < MIN(n, (uint32_t)HULL_PORTS); i++)
		r = add_channel(m, c, i, err);
	return r || !n ? r : add_device(m, c, "virtio-serial", "channels", &m->channels, err);
}

static int add_balloon(struct app_machine *m, struct hull_vm_config *c, struct hull_err *err)
{
	uint64_t ram = 0, size = hull_options_num(m->options, HULL_OPT_BALLOON_SIZE);
	int r;

	if (!hull_options_num(m->options, HULL_OPT_BALLOON_ENABLED))
		return 0;
	for (uint32_t i = 0; i < c->nregions; i++)
		ram += c->regions[i].attr & HULL_MEM_W ? c->regions[i].size : 0;
	if (!hull_options_has(m->options, HULL_OPT_BALLOON_SIZE) || size > ram)
		size = ram;
	r = add_device(m, c, "virtio-balloon", "balloon", NULL, err);
	if (r)
		return r;
	c->devices[c->ndevices - 1].args[0] = (ram - size) / HULL_PAGE_SIZE;
	c->devices[c->ndevices - 1].args[1] =
		hull_options_num(m->options, HULL_OPT_BALLOON_REPORTING);
	return 0;
}

static int add_vsock(struct app_machine *m, struct hull_vm_config *c, struct hull_err *err)
{
	const char *path = text(m, HULL_OPT_VSOCK_PATH);
	int r;

	if (!path)
		return 0;
	if (c->deterministic) {
		hull_fail(err, HULL_ENOTSUP, 542, "a repeatable run cannot have a vsock");
		hull_err_fix(err, "leave --vsock away, or --deterministic and --lockstep");
		return HULL_ENOTSUP;
	}
	r = hull_vsock_open(path, hull_options_num(m->options, HULL_OPT_VSOCK_CID), &m->vsock, err);
	return r ? r : add_device(m, c, "virtio-vsock", "vsock", m->vsock, err);
}

static int add_share(struct app_machine *m, struct hull_vm_config *c, uint32_t i,
                     struct hull_err *err)
{
	const char *id = item(m, HULL_OPT_SHARE_ID, i)->text;
	char name[16];
	int r = hull_app_share_open(m->options, i, c->deterministic, &m->shares[i], err);

	if (r)
		return r;
	m->nshares = i + 1;
	hull_format(name, sizeof(name), "share%u", i);
	r = add_device(m, c, "virtio-9p", id ? id : name, m->shares[i], err);
	if (!r)
		hull_app_set_bus(m, c, HULL_OPT_SHARE_TRANSPORT, i);
	return r;
}

int hull_app_add_device(struct app_machine *m, struct hull_vm_config *c, const char *type,
                        const char *name, void *backend, struct hull_err *err)
{
	return add_device(m, c, type, name, backend, err);
}

/* After the devices that the options name one by one. */
static int add_devices(struct app_machine *m, struct hull_vm_config *c,
                       const struct app_escape *escape, struct hull_err *err)
{
	uint32_t serials = MAX(m->options->nitems[HULL_GROUP_SERIAL], UINT32_C(1));
	uint32_t consoles = m->options->nitems[HULL_GROUP_CONSOLE];
	uint32_t disks = m->options->nitems[HULL_GROUP_DISK];
	int r = 0;

	if (serials + consoles > APP_CONSOLES || disks > APP_DISKS)
		return hull_fail(err, HULL_EOVERFLOW, 109,
		                 "too many disks, consoles or serial ports");
	m->terminal_taken = console_on_terminal(m);
	for (uint32_t i = 0; !r && i < serials; i++)
		r = add_port(m, c, HULL_OPT_SERIAL_TO, i, escape, err);
	m->nserials = m->nports;
	for (uint32_t i = 0; !r && i < consoles; i++)
		r = add_port(m, c, HULL_OPT_CONSOLE_TO, i, escape, err);
	m->nconsoles = m->nports - m->nserials;
	if (!r)
		r = add_channels(m, c, err);
	if (!r)
		r = add_balloon(m, c, err);
	for (uint32_t i = 0; !r && i < disks; i++)
		r = add_disk(m, c, i, err);
	if (!r)
		r = add_vsock(m, c, err);
	for (uint32_t i = 0; !r && i < m->options->nitems[HULL_GROUP_SHARE]; i++)
		r = add_share(m, c, i, err);
	if (!r)
		r = hull_app_net_add(m, c, err);
	if (!r && hull_dev_type_find("virtio-rng"))
		r = add_device(m, c, "virtio-rng", "rng", NULL, err);
	return r;
}

static bool runs(const struct hull_accel *a, enum hull_isa isa)
{
	return a && a->isas >> isa & 1;
}

/* --accel auto: the host's, if it works; the reason if it does not. */
static const struct hull_accel *try_host(struct app_machine *m, const struct hull_vm_config *c,
                                         enum hull_isa isa)
{
	const struct hull_accel *kvm = hull_accel_find("kvm");
	struct hull_accel_caps caps;

	if (!runs(kvm, isa) || c->deterministic ||
	    (c->engine.mode != HULL_ENGINE_AUTO && c->engine.mode != HULL_ENGINE_HW))
		return NULL;
	return kvm->probe(hull_host_hal(), &caps, &m->passed_over) ? NULL : kvm;
}

static int no_accel(const struct app_machine *m, enum hull_isa isa, struct hull_err *err)
{
	const char *want = text(m, HULL_OPT_ENGINE_ACCEL);

	if (m->passed_over.code) {
		hull_fail(err, HULL_ENOTSUP, m->passed_over.id,
		          "Hull's engine runs no %s guests, and %s", hull_image_isa_name(isa),
		          m->passed_over.text);
		hull_err_fix(err, "%s",
		             m->passed_over.id == 203 ? "--accel kvm tries it nevertheless"
		                                      : m->passed_over.fix);
		return HULL_ENOTSUP;
	}
	hull_fail(err, HULL_ENOTSUP, 201, "this build cannot run %s guests with --accel %s",
	          hull_image_isa_name(isa), want);
	if (runs(hull_accel_find("engine"), isa))
		hull_err_fix(err, "leave --accel away: Hull's own engine needs no hardware");
	else
		hull_err_fix(err, "run it on a host that is %s itself, with KVM",
		             hull_image_isa_name(isa));
	return HULL_ENOTSUP;
}

static int find_accel(struct app_machine *m, const struct hull_vm_config *c, enum hull_isa isa,
                      struct hull_err *err)
{
	const struct hull_accel *kvm = hull_accel_find("kvm"), *engine = hull_accel_find("engine");
	uint64_t want = hull_options_num(m->options, HULL_OPT_ENGINE_ACCEL);

	if (want == HULL_ACCEL_KVM && runs(kvm, isa))
		m->accel = kvm;
	else if (want == HULL_ACCEL_AUTO)
		m->accel = try_host(m, c, isa);
	if (!m->accel && (want == HULL_ACCEL_AUTO || want == HULL_ACCEL_NONE) &&
	    c->engine.mode != HULL_ENGINE_HW && runs(engine, isa))
		m->accel = engine;
	return m->accel ? 0 : no_accel(m, isa, err);
}

static int no_board(enum hull_isa isa, const char *type, struct hull_err *err)
{
	const struct hull_board *other = hull_board_find(isa, NULL);

	if (other) {
		hull_fail(err, HULL_ENOTSUP, 202, "this build has no %s machine \"%s\"",
		          hull_image_isa_name(isa), type);
		hull_err_fix(err, "leave --machine away, or --machine %s", other->name);
	} else {
		hull_fail(err, HULL_ENOTSUP, 1301, "this build cannot run %s guests",
		          hull_image_isa_name(isa));
		if (hull_board_find(HULL_ISA_RISCV64, NULL))
			hull_err_fix(err, "take an image for riscv64");
	}
	return HULL_ENOTSUP;
}

static int make_vm(struct app_machine *m, struct hull_vm_config *c, const struct app_escape *escape,
                   struct hull_err *err)
{
	const char *type = text(m, HULL_OPT_MACHINE_TYPE);
	enum hull_isa isa;
	int r;

	r = find_isa(m, &isa, err);
	if (r)
		return r;
	m->machine.board = hull_board_find(isa, type);
	if (!m->machine.board)
		return no_board(isa, type, err);
	r = hull_options_to_config(m->options, isa, c, err);
	if (!r && m->role) {
		c->engine.mode = m->role->engine;
		c->deterministic = true;
	}
	if (!r)
		r = m->machine.board->configure(
			c, hull_options_num(m->options, HULL_OPT_MEMORY_SIZE), err);
	if (!r)
		r = find_accel(m, c, isa, err);
	if (!r && !strcmp(m->accel->name, "engine"))
		hull_jail_forgo(HULL_JAIL_KVM);
	if (!r)
		r = add_devices(m, c, escape, err);
	if (!r)
		r = hull_vm_create(c, hull_host_hal(), m->accel, &m->machine.vm, err);
	return r;
}

static int open_machine(struct app_machine *m, const struct app_escape *escape,
                        struct hull_err *err)
{
	struct hull_vm_config *c;
	int r;

	fill_boot(m);
	r = open_files(&m->machine.boot, err);
	if (r)
		return r;
	if (!m->kernel.data && !m->firmware.data) {
		hull_fail(err, HULL_EINVAL, 750,
		          "there is nothing to start: no kernel, no firmware");
		hull_err_fix(
			err,
			"name a kernel: hull run KERNEL, or a firmware: hull run --firmware FILE");
		return HULL_EINVAL;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for the configuration");
	r = make_vm(m, c, escape, err);
	free(c);
	if (r)
		return r;
	m->machine.state = calloc(1, m->machine.board->state_size);
	if (!m->machine.state)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for the board");
	r = m->machine.board->build(&m->machine, m->backends, err);
	return r ? r : hull_vm_seal(m->machine.vm, err);
}

int hull_app_machine_open(struct app_machine *m, const struct hull_options *o,
                          const struct app_escape *escape, struct hull_err *err)
{
	memset(m, 0, sizeof(*m));
	m->options = o;
	return open_machine(m, escape, err);
}

int hull_app_machine_open_as(struct app_machine *m, const struct hull_options *o,
                             const struct app_role *role, struct hull_err *err)
{
	static const struct app_escape none;

	memset(m, 0, sizeof(*m));
	m->options = o;
	m->role = role;
	return open_machine(m, &none, err);
}

/* --no-input leaves the terminal to the host: it is not read and does not become raw. */
static bool listens(const struct app_machine *m, uint32_t i)
{
	return !hull_options_num(m->options, HULL_OPT_OUTPUT_NO_INPUT) ||
	       !hull_char_is_terminal(m->ports[i]);
}

int hull_app_machine_prepare(struct app_machine *m, struct hull_err *err)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < m->nports; i++)
		if (listens(m, i))
			r = hull_char_prepare(m->ports[i], err);
	return r;
}

int hull_app_machine_start(struct app_machine *m, struct hull_err *err)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < m->nports; i++)
		if (listens(m, i))
			r = hull_char_start(m->ports[i], err);
	if (!r && m->vsock)
		r = hull_vsock_start(m->vsock, err);
	return r ? r : hull_app_net_start(&m->nets, err);
}

void hull_app_machine_quiet(struct app_machine *m)
{
	hull_app_net_stop(&m->nets);
	for (uint32_t i = 0; i < m->nports; i++)
		hull_char_stop(m->ports[i]);
	if (m->vsock)
		hull_vsock_stop(m->vsock);
	hull_app_disks_quiet(&m->disks);
	for (uint32_t i = 0; i < m->nshares; i++)
		m->shares[i]->drain(m->shares[i]);
}

void hull_app_machine_close(struct app_machine *m)
{
	hull_app_machine_quiet(m);
	if (m->machine.vm)
		(void)hull_vm_destroy(m->machine.vm, NULL);
	hull_app_disks_close(&m->disks);
	hull_vsock_close(m->vsock);
	hull_app_net_close(&m->nets);
	for (uint32_t i = 0; i < m->nshares; i++)
		hull_share_close(m->shares[i]);
	for (uint32_t i = 0; i < m->nports; i++)
		hull_char_close(m->ports[i]);
	if (m->options)
		close_files(&m->machine.boot);
	for (unsigned i = 0; i < ARRAY_LEN(m->files); i++)
		if (m->files[i].path)
			close(m->files[i].fd);
	free(m->machine.state);
	memset(m, 0, sizeof(*m));
}
