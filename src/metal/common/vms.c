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
#include "metal/common/console.h"
#include "metal/common/frames.h"
#include "metal/common/hal.h"
#include "metal/common/thread.h"

enum { LINE = 240 };

/* A VM, in pages of its own. */
struct metal_vm {
	struct hull_package_vm package;
	struct hull_machine machine;
	struct hull_char console;
	char line[LINE]; /* what it has printed since the last line break */
	size_t nline;
	void *backends[HULL_MAX_DEVICES];
	uint32_t threads; /* atomic: that have not ended */
	void *state;
};

static struct metal_vm *vms[HULL_PACKAGE_VMS];
static uint32_t nvms, packed_vms;
static const uint8_t *package;

static uint64_t vm_pages(void)
{
	return align_up(sizeof(struct metal_vm), HULL_PAGE_SIZE);
}

/* One VM has the console for itself; of several, each line says whose it is. */
static void show_line(struct metal_vm *m)
{
	char text[LINE + HULL_NAME_MAX + 8];

	(void)hull_format(text, sizeof(text), "[%s] %.*s\r\n", m->package.config.name,
	                  (int)m->nline, m->line);
	metal_console_write(text, hull_text_len(text));
	m->nline = 0;
}

static size_t console_write(struct hull_char *c, const void *buf, size_t len)
{
	struct metal_vm *m = CONTAINER_OF(c, struct metal_vm, console);
	const char *p = buf;

	if (packed_vms < 2) {
		metal_console_write(buf, len);
		return len;
	}
	for (size_t i = 0; i < len; i++) {
		if (p[i] != '\r' && p[i] != '\n')
			m->line[m->nline++] = p[i];
		if (p[i] == '\n' || m->nline == LINE)
			show_line(m);
	}
	return len;
}

static size_t console_read(struct hull_char *c, void *buf, size_t len)
{
	return 0;
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

/* The first serial port leads to the console, others nowhere. */
static void fill_backends(struct metal_vm *m, const char *serial)
{
	const struct hull_vm_config *c = &m->package.config;

	m->console = (struct hull_char){ .write = console_write, .read = console_read };
	for (uint32_t i = 0; i < c->ndevices; i++)
		if (hull_text_eq(c->devices[i].type, serial)) {
			m->backends[i] = &m->console;
			return;
		}
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
	r = board->configure(c, m->package.ram_bytes, err);
	if (r)
		return r;
	m->state = metal_frames_alloc(board->state_size, HULL_PAGE_SIZE);
	if (!m->state)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for the board");
	m->machine.board = board;
	m->machine.state = m->state;
	fill_boot(m);
	fill_backends(m, board->serial);
	r = hull_vm_create(c, &metal_hal, hull_accels[0], &m->machine.vm, err);
	if (!r)
		r = board->build(&m->machine, m->backends, err);
	if (!r)
		r = hull_vm_seal(m->machine.vm, err);
	return r ? r : hull_vm_boot(m->machine.vm, err);
}

static void unmake(struct metal_vm *m)
{
	if (m->machine.vm) {
		(void)hull_vm_shutdown(m->machine.vm, HULL_STOP_FORCED, NULL);
		(void)hull_vm_destroy(m->machine.vm, NULL);
	}
	if (m->state)
		metal_frames_free(m->state, m->machine.board->state_size);
	metal_frames_free(m, vm_pages());
}

static void ended(struct metal_vm *m)
{
	hull_add_seqcst(&m->threads, UINT32_MAX);
	metal_wake(&m->threads, UINT32_MAX);
}

static void run_vcpu(void *arg)
{
	struct hull_vcpu *vcpu = arg;

	hull_vm_vcpu_loop(vcpu->vm, vcpu->id);
	/* Its VM may be gone before the CPU's next interrupt. */
	metal_evict();
	for (uint32_t i = 0; i < nvms; i++)
		if (vms[i]->machine.vm == vcpu->vm)
			ended(vms[i]);
}

static void run_timers(void *arg)
{
	struct metal_vm *m = arg;

	hull_vm_timer_loop(m->machine.vm);
	ended(m);
}

/* Where a vCPU runs for good: where it may, else one CPU after the other. */
static uint32_t choose_cpu(const struct hull_vm_config *c, uint32_t vcpu)
{
	static uint32_t next;
	struct hull_vcpu_place place;

	if (!hull_config_place(c, vcpu, &place) && place.allow_mask & low_mask(metal_ncpus))
		for (uint32_t i = 0; i < metal_ncpus; i++, next++)
			if (place.allow_mask >> next % metal_ncpus & 1)
				break;
	return next++ % metal_ncpus;
}

static bool start_threads(struct metal_vm *m)
{
	struct hull_vm *vm = m->machine.vm;

	for (uint32_t i = 0; i < hull_vm_vcpu_count(vm); i++) {
		hull_add_seqcst(&m->threads, 1);
		if (!metal_thread_new(choose_cpu(&m->package.config, i), run_vcpu,
		                      hull_vm_vcpu(vm, i)))
			return false;
	}
	hull_add_seqcst(&m->threads, 1);
	return metal_thread_new(0, run_timers, m) != NULL;
}

static void start_one(struct hull_package *p)
{
	struct metal_vm *m = metal_frames_alloc(vm_pages(), HULL_PAGE_SIZE);
	struct hull_err err = { 0 };
	int r;

	if (!m) {
		metal_say("hull: no memory for a VM");
		return;
	}
	r = hull_package_next(p, &m->package, &err);
	if (!r)
		r = make(m, &err);
	if (r) {
		metal_say("hull: vm '%s': %s", m->package.config.name, err.text);
		unmake(m);
		return;
	}
	vms[nvms++] = m;
	if (!start_threads(m)) {
		hull_add_seqcst(&m->threads, UINT32_MAX);
		metal_say("hull: vm '%s': no memory for its threads", m->package.config.name);
		(void)hull_vm_shutdown(m->machine.vm, HULL_STOP_FORCED, NULL);
	}
}

unsigned metal_vms_start(const void *data, uint64_t size)
{
	struct hull_package p;
	struct hull_err err = { 0 };

	if (hull_package_open(data, size, &p, &err)) {
		metal_say("hull: %s", err.text);
		return 0;
	}
	package = p.data;
	packed_vms = p.nvms;
	for (uint32_t i = 0; i < p.nvms; i++)
		start_one(&p);
	return nvms;
}

bool metal_vms_finish(void)
{
	bool good = true;

	for (uint32_t i = 0; i < nvms; i++) {
		struct metal_vm *m = vms[i];
		enum hull_stop_reason why;
		uint32_t n;

		while ((n = hull_load_seqcst(&m->threads)))
			metal_wait(&m->threads, n, HULL_NEVER);
		why = hull_vm_stop_reason(m->machine.vm);
		metal_say("hull: vm '%s' has %s", m->package.config.name,
		          why == HULL_STOP_GUEST ? "switched itself off" : "stopped");
		good = good && why == HULL_STOP_GUEST;
		unmake(m);
	}
	nvms = 0;
	metal_threads_settle();
	return good;
}
