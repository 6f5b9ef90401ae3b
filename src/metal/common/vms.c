/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "metal/common/vms.h"

#include <hull/vm.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "board/board.h"
#include "core/backend.h"
#include "core/package.h"
#include "core/vcpu.h"
#include "dev/ivc/ivc.h"
#include "metal/common/console.h"
#include "metal/common/disk.h"
#include "metal/common/frames.h"
#include "metal/common/hal.h"
#include "metal/common/net.h"
#include "metal/common/pass.h"
#include "metal/common/shell.h"
#include "metal/common/thread.h"

/* What a vCPU's thread is told. */
struct seat {
	struct metal_vm *m;
	uint32_t vcpu;
};

/* A VM, in pages of its own. */
struct metal_vm {
	struct hull_package_vm package;
	struct hull_machine machine;
	struct metal_port port;
	uint32_t number; /* in the package */
	void *backends[HULL_MAX_DEVICES];
	struct metal_disk disks[HULL_PACKAGE_DISKS];
	struct hull_passed passed[METAL_PASSED];
	struct metal_card *cards[HULL_PACKAGE_NETS];
	uint32_t threads; /* atomic: that have not ended */
	struct seat seats[METAL_MAX_CPUS];
	uint32_t ids[METAL_MAX_CPUS + 1]; /* its threads */
	uint32_t nids;
	void *state;
};

/* A VM of the package. */
struct slot {
	struct hull_package at; /* where it is read from */
	char name[HULL_NAME_MAX];
	bool good;           /* it can be read */
	struct metal_vm *vm; /* NULL: off; changed by who has set `busy` */
	uint32_t busy;       /* atomic: somebody changes it */
};

static struct slot slots[HULL_PACKAGE_VMS];
static uint32_t packed_vms;
static struct hull_ivc_exchange exchange;
static const uint8_t *package;
static uint32_t kept;    /* atomic */
static uint32_t changes; /* atomic: counts what metal_vms_finish() waits for */

static uint64_t vm_pages(void)
{
	return align_up(sizeof(struct metal_vm), HULL_PAGE_SIZE);
}

static void blob(const struct metal_vm *m, enum hull_package_kind kind, const char *name,
                 struct hull_blob *ret)
{
	const struct hull_package_file *f = &m->package.file[kind];

	*ret = (struct hull_blob){ .data = f->bytes ? package + f->offset : NULL,
		                   .size = f->bytes,
		                   .name = name,
		                   .has_at = f->has_at,
		                   .at = f->at };
}

static void fill_boot(struct metal_vm *m)
{
	struct hull_boot *b = &m->machine.boot;

	blob(m, HULL_PACKAGE_KERNEL, "the kernel", &b->kernel);
	blob(m, HULL_PACKAGE_INITRD, "the initrd", &b->initrd);
	blob(m, HULL_PACKAGE_DTB, "the device tree", &b->dtb);
	b->cmdline = m->package.cmdline[0] ? m->package.cmdline : NULL;
	b->has_entry = m->package.has_entry;
	b->entry = m->package.entry;
	b->no_dtb = m->package.no_dtb;
}

/* One device leads to the console: the first serial port, or another that was chosen. */
static void add_console(struct metal_vm *m, const char *serial)
{
	const struct hull_vm_config *c = &m->package.config;
	uint32_t i = 0;

	metal_console_join(m->number + 1, &m->port, c->name);
	while (i < c->ndevices && !hull_text_eq(c->devices[i].type, serial))
		i++;
	if (m->package.console)
		i = m->package.console - 1;
	if (i < c->ndevices)
		m->backends[i] = &m->port.chr;
}

static int add_disks(struct metal_vm *m, struct hull_err *err)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < m->package.ndisks; i++) {
		const struct hull_package_disk *d = &m->package.disks[i];

		r = metal_disk_open(&m->disks[i], package + d->offset, d->bytes, d->read_only, err);
		m->backends[d->device] = &m->disks[i].block;
	}
	return r;
}

static int add_cards(struct metal_vm *m, struct hull_err *err)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < m->package.nnets; i++) {
		const struct hull_package_net *n = &m->package.nets[i];

		r = metal_net_join(n->network, n->mac, n->mtu, &m->cards[i], err);
		if (!r)
			m->backends[n->device] = metal_card_end(m->cards[i]);
	}
	return r;
}

/* Channels are between all VMs. */
static void add_exchange(struct metal_vm *m)
{
	const struct hull_vm_config *c = &m->package.config;

	for (uint32_t i = 0; i < c->ndevices; i++)
		if (hull_text_eq(c->devices[i].type, "ivc"))
			m->backends[i] = &exchange;
}

static int add_backends(struct metal_vm *m, const char *serial, struct hull_err *err)
{
	int r = add_disks(m, err);

	add_console(m, serial);
	add_exchange(m);
	if (!r)
		r = metal_pass_take(&m->package.config, m->number, m->passed, &m->machine.npassed,
		                    err);
	m->machine.passed = m->passed;
	return r ? r : add_cards(m, err);
}

/* Where a vCPU runs for good: one after the other of the CPUs where it may. */
static uint32_t choose_cpu(const struct hull_vm_config *c, uint32_t vcpu)
{
	static uint32_t last; /* atomic */
	struct hull_vcpu_place place;
	uint32_t next = hull_add_seqcst(&last, 1), i = 0;

	(void)hull_config_place(c, vcpu, &place);
	while (i < metal_ncpus && !(place.allow_mask >> (next + i) % metal_ncpus & 1))
		i++;
	hull_add_seqcst(&last, i);
	return (next + i) % metal_ncpus;
}

/* Each vCPU may run somewhere on this machine. */
static int check_cpus(const struct hull_vm_config *c, struct hull_err *err)
{
	struct hull_vcpu_place place;

	if (c->cpu_num > METAL_MAX_CPUS)
		return hull_fail(err, HULL_ENOTSUP, 1301, "a VM has at most %u vCPUs here, not %u",
		                 METAL_MAX_CPUS, c->cpu_num);
	for (uint32_t i = 0; i < c->cpu_num; i++)
		if (hull_config_place(c, i, &place) || !(place.allow_mask & low_mask(metal_ncpus)))
			return hull_fail(err, HULL_EINVAL, 1501,
			                 "cpu.affinity: vCPU %u may run on none of the machine's "
			                 "%u CPUs",
			                 i, metal_ncpus);
	return 0;
}

static int make(struct metal_vm *m, struct hull_err *err)
{
	struct hull_vm_config *c = &m->package.config;
	const struct hull_board *board =
		hull_board_find(c->isa, m->package.board[0] ? m->package.board : NULL);
	int r;

	if (!board)
		return hull_fail(err, HULL_ENOTSUP, 1301, "this hypervisor has no board \"%s\"",
		                 m->package.board);
	r = check_cpus(c, err);
	if (!r)
		r = board->configure(c, m->package.ram_bytes, err);
	if (r)
		return r;
	m->state = metal_frames_alloc(board->state_size, HULL_PAGE_SIZE);
	if (!m->state)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for the board");
	m->machine.board = board;
	m->machine.state = m->state;
	fill_boot(m);
	r = add_backends(m, board->serial, err);
	if (!r)
		r = hull_vm_create(c, &metal_hal, hull_accels[0], &m->machine.vm, err);
	if (!r)
		r = board->build(&m->machine, m->backends, err);
	if (!r)
		r = metal_pass_connect(m->machine.vm, m->number, err);
	if (!r)
		r = hull_vm_seal(m->machine.vm, err);
	return r ? r : hull_vm_boot(m->machine.vm, err);
}

/* Nobody but the caller knows `m` any more. */
static void unmake(struct metal_vm *m)
{
	if (m->machine.vm) {
		(void)hull_vm_shutdown(m->machine.vm, HULL_STOP_FORCED, NULL);
		for (uint32_t i = 0; i < m->nids; i++)
			metal_thread_join(m->ids[i]);
	}
	/* The network calls the VM's devices, and these their disks. */
	for (uint32_t i = 0; i < HULL_PACKAGE_NETS; i++)
		metal_net_leave(m->cards[i]);
	if (m->machine.vm) {
		metal_pass_disconnect(m->machine.vm);
		(void)hull_vm_destroy(m->machine.vm, NULL);
	}
	metal_pass_give_back(m->number);
	for (uint32_t i = 0; i < HULL_PACKAGE_DISKS; i++)
		metal_disk_close(&m->disks[i]);
	metal_console_join(m->number + 1, NULL, NULL);
	if (m->state)
		metal_frames_free(m->state, m->machine.board->state_size);
	metal_frames_free(m, vm_pages());
}

void metal_vms_poke(void)
{
	hull_add_seqcst(&changes, 1);
	metal_wake(&changes, UINT32_MAX);
}

static void ended(struct metal_vm *m)
{
	if (hull_add_seqcst(&m->threads, UINT32_MAX) == 1)
		metal_vms_poke();
}

static void run_vcpu(void *arg)
{
	struct seat *seat = arg;

	hull_vm_vcpu_loop(seat->m->machine.vm, seat->vcpu);
	/* Its VM may be gone before the CPU's next interrupt. */
	metal_evict();
	ended(seat->m);
}

static void run_timers(void *arg)
{
	struct metal_vm *m = arg;

	hull_vm_timer_loop(m->machine.vm);
	ended(m);
}

static bool start_thread(struct metal_vm *m, uint32_t cpu, void (*fn)(void *arg), void *arg)
{
	uint32_t id;

	hull_add_seqcst(&m->threads, 1);
	id = metal_thread_new(cpu, fn, arg);
	if (!id) {
		hull_add_seqcst(&m->threads, UINT32_MAX);
		return false;
	}
	m->ids[m->nids++] = id;
	return true;
}

static bool start_threads(struct metal_vm *m)
{
	uint32_t n = hull_vm_vcpu_count(m->machine.vm);

	for (uint32_t i = 0; i < n; i++) {
		m->seats[i] = (struct seat){ m, i };
		if (!start_thread(m, choose_cpu(&m->package.config, i), run_vcpu, &m->seats[i]))
			return false;
	}
	return start_thread(m, 0, run_timers, m);
}

static void take(struct slot *s)
{
	uint32_t idle = 0;

	for (; !hull_cas_seqcst(&s->busy, &idle, 1); idle = 0)
		metal_wait(&s->busy, 1, HULL_NEVER);
}

static void leave(struct slot *s)
{
	hull_store_seqcst(&s->busy, 0);
	metal_wake(&s->busy, 1);
	metal_vms_poke();
}

/* The slot is ours and its VM off. */
static int start_slot(struct slot *s, struct hull_err *err)
{
	struct metal_vm *m = metal_frames_alloc(vm_pages(), HULL_PAGE_SIZE);
	struct hull_package at = s->at;
	int r;

	if (!m)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a VM");
	m->number = (uint32_t)(s - slots);
	r = hull_package_next(&at, &m->package, err);
	if (!r)
		r = make(m, err);
	if (!r && !start_threads(m))
		r = hull_fail(err, HULL_ENOMEM, 120, "no memory for its threads");
	if (r) {
		unmake(m);
		return r;
	}
	s->vm = m;
	return 0;
}

static void stop_slot(struct slot *s)
{
	struct metal_vm *m = s->vm;

	s->vm = NULL;
	unmake(m);
}

static int find(uint32_t i, struct slot **ret, struct hull_err *err)
{
	if (i >= packed_vms || !slots[i].good)
		return hull_fail(err, HULL_ENOENT, 0, "there is no VM %u", i);
	*ret = &slots[i];
	take(*ret);
	return 0;
}

static int is_off(const struct slot *s, struct hull_err *err)
{
	return hull_fail(err, HULL_ESTATE, 401, "vm '%s' is off", s->name);
}

uint32_t hull_metal_vm_count(void)
{
	return packed_vms;
}

const char *hull_metal_vm_name(uint32_t i)
{
	return i < packed_vms ? slots[i].name : "";
}

struct hull_vm *metal_vm(uint32_t i)
{
	return i < packed_vms && slots[i].vm ? slots[i].vm->machine.vm : NULL;
}

enum hull_vm_state hull_metal_vm_state(uint32_t i)
{
	enum hull_vm_state state = HULL_VM_STOPPED;
	struct slot *s;

	if (find(i, &s, NULL))
		return state;
	if (s->vm)
		state = hull_vm_state(s->vm->machine.vm);
	leave(s);
	return state;
}

int hull_metal_vm_visit(uint32_t i, void (*fn)(struct hull_vm *vm, void *arg), void *arg,
                        struct hull_err *err)
{
	struct slot *s;
	int r = find(i, &s, err);

	if (r)
		return r;
	if (s->vm)
		fn(s->vm->machine.vm, arg);
	else
		r = is_off(s, err);
	leave(s);
	return r;
}

int hull_metal_vm_start(uint32_t i, struct hull_err *err)
{
	struct slot *s;
	int r = find(i, &s, err);

	if (r)
		return r;
	/* One that has stopped is not given back yet: it is as good as off. */
	if (s->vm && !hull_load_seqcst(&s->vm->threads))
		stop_slot(s);
	r = s->vm ? hull_vm_resume(s->vm->machine.vm, err) : start_slot(s, err);
	leave(s);
	return r;
}

int hull_metal_vm_pause(uint32_t i, struct hull_err *err)
{
	struct slot *s;
	int r = find(i, &s, err);

	if (r)
		return r;
	r = s->vm ? hull_vm_pause(s->vm->machine.vm, err) : is_off(s, err);
	leave(s);
	return r;
}

int hull_metal_vm_stop(uint32_t i, struct hull_err *err)
{
	struct slot *s;
	int r = find(i, &s, err);

	if (r)
		return r;
	if (s->vm)
		stop_slot(s);
	else
		r = is_off(s, err);
	leave(s);
	return r;
}

int hull_metal_vm_restart(uint32_t i, struct hull_err *err)
{
	struct slot *s;
	int r = find(i, &s, err);

	if (r)
		return r;
	if (s->vm)
		stop_slot(s);
	r = start_slot(s, err);
	leave(s);
	return r;
}

void hull_metal_vms_keep(bool on)
{
	hull_store_seqcst(&kept, on);
	metal_vms_poke();
}

/* Note where each VM is read from, and its name. */
static void list(struct hull_package *p, struct hull_package_vm *vm)
{
	for (uint32_t i = 0; i < packed_vms; i++) {
		struct hull_err err = { 0 };
		struct slot *s = &slots[i];
		uint32_t next = p->next;

		s->at = *p;
		if (hull_package_next(p, vm, &err)) {
			metal_say("hull: vm %u: %s", i, err.text);
			/* Where the one behind it begins is not known. */
			if (p->next == next)
				return;
			continue;
		}
		memcpy(s->name, vm->config.name, sizeof(s->name));
		s->good = true;
	}
}

bool metal_vms_open(const void *data, uint64_t size)
{
	uint64_t bytes = align_up(sizeof(struct hull_package_vm), HULL_PAGE_SIZE);
	struct hull_package_vm *vm;
	struct hull_package p;
	struct hull_err err = { 0 };

	if (hull_package_open(data, size, &p, &err)) {
		metal_say("hull: %s", err.text);
		return false;
	}
	vm = metal_frames_alloc(bytes, HULL_PAGE_SIZE);
	if (!vm) {
		metal_say("hull: no memory for the package");
		return false;
	}
	package = p.data;
	packed_vms = p.nvms;
	hull_ivc_exchange_init(&exchange, &metal_hal);
	if (packed_vms > 1)
		metal_console_name_lines();
	list(&p, vm);
	metal_frames_free(vm, bytes);
	return true;
}

unsigned metal_vms_start(const void *data, uint64_t size)
{
	unsigned n = 0;

	if (!metal_vms_open(data, size))
		return 0;
	for (uint32_t i = 0; i < packed_vms; i++) {
		struct hull_err err = { 0 };

		if (!slots[i].good)
			continue;
		if (hull_metal_vm_start(i, &err))
			metal_say("hull: vm '%s': %s", slots[i].name, err.text);
		else
			n++;
	}
	return n;
}

/* Give back a VM that has stopped.  False: it ended in another way than it should. */
static bool collect(struct slot *s)
{
	bool good = true;

	take(s);
	if (s->vm && !hull_load_seqcst(&s->vm->threads)) {
		enum hull_stop_reason why = hull_vm_stop_reason(s->vm->machine.vm);

		good = why == HULL_STOP_GUEST;
		metal_say("hull: vm '%s' has %s", s->name,
		          good ? "switched itself off" : "stopped");
		stop_slot(s);
	}
	hull_store_seqcst(&s->busy, 0);
	metal_wake(&s->busy, 1);
	return good;
}

static bool any_left(void)
{
	for (uint32_t i = 0; i < packed_vms; i++)
		if (slots[i].vm || hull_load_seqcst(&slots[i].busy))
			return true;
	return hull_load_seqcst(&kept);
}

bool metal_vms_finish(void)
{
	bool good = true;

	for (;;) {
		uint32_t seen = hull_load_seqcst(&changes);

		for (uint32_t i = 0; i < packed_vms; i++)
			good = collect(&slots[i]) && good;
		metal_shell_serve();
		if (!any_left())
			break;
		metal_wait(&changes, seen, HULL_NEVER);
	}
	packed_vms = 0;
	metal_threads_settle();
	return good;
}
