/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Channels between VMs: pages that several VMs map.
 *
 * The pages carry their own reference count, in a page before them that no
 * guest sees, so they outlive the VM that allocated them; they are freed only
 * when the last mapping is gone.  A slot of the table is reserved first (BUSY)
 * and filled in without the lock, because mapping takes a lock of lower rank.
 */
#include "core/ivc.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/checked.h"
#include "core/vm_impl.h"

#define LL(x) ((unsigned long long)(x))

struct hull_ivc_pages {
	const struct hull_hal *hal;
	uint64_t len;  /* of the shared part */
	uint32_t refs; /* atomic */
};

static uint8_t *shared_part(struct hull_ivc_pages *p)
{
	return (uint8_t *)p + HULL_PAGE_SIZE;
}

struct hull_ivc_pages *hull_ivc_pages_new(const struct hull_hal *hal, uint64_t bytes)
{
	uint64_t len = align_up(bytes, HULL_PAGE_SIZE);
	struct hull_ivc_pages *p;

	if (!bytes || len < bytes || len > len + HULL_PAGE_SIZE)
		return NULL;
	p = hal->pages_alloc(hal, len + HULL_PAGE_SIZE, HULL_PAGE_SIZE, true);
	if (p)
		*p = (struct hull_ivc_pages){ .hal = hal, .len = len, .refs = 1 };
	return p;
}

uint64_t hull_ivc_pages_bytes(const struct hull_ivc_pages *p)
{
	return p->len;
}

void hull_ivc_pages_get(struct hull_ivc_pages *p)
{
	hull_add_seqcst(&p->refs, 1);
}

void hull_ivc_pages_put(struct hull_ivc_pages *p)
{
	if (hull_add_seqcst(&p->refs, UINT32_MAX) == 1)
		p->hal->pages_free(p->hal, p, p->len + HULL_PAGE_SIZE);
}

void hull_ivc_init(struct hull_vm *vm)
{
	hull_lock_init(&vm->ivc_lock, vm->hal, HULL_RANK_LEAF);
}

/* Lowest free part of the window.  The lock is held. */
static bool find_room(const struct hull_vm *vm, uint64_t len, hull_gpa *ret)
{
	hull_gpa at = vm->config.ivc_gpa;
	bool moved = true;

	while (moved) {
		moved = false;
		for (int i = 0; i < HULL_MAX_CHANNELS; i++) {
			const struct hull_channel *c = &vm->channels[i];

			if (c->state == HULL_CHANNEL_FREE ||
			    !hull_ranges_overlap(at, len, c->gpa, c->len))
				continue;
			at = c->gpa + c->len;
			moved = true;
		}
	}
	*ret = at;
	return hull_range_within(at, len, vm->config.ivc_gpa, vm->config.ivc_size);
}

static struct hull_channel *reserve(struct hull_vm *vm, uint64_t len)
{
	struct hull_channel *found = NULL;
	hull_gpa gpa;

	hull_lock_acquire(&vm->ivc_lock);
	for (int i = 0; i < HULL_MAX_CHANNELS && !found; i++)
		if (vm->channels[i].state == HULL_CHANNEL_FREE)
			found = &vm->channels[i];
	if (found && find_room(vm, len, &gpa))
		*found =
			(struct hull_channel){ .gpa = gpa, .len = len, .state = HULL_CHANNEL_BUSY };
	else
		found = NULL;
	hull_lock_release(&vm->ivc_lock);
	return found;
}

static void set_channel(struct hull_vm *vm, struct hull_channel *c, bool live)
{
	hull_lock_acquire(&vm->ivc_lock);
	if (live)
		c->state = HULL_CHANNEL_LIVE;
	else
		*c = (struct hull_channel){ .state = HULL_CHANNEL_FREE };
	hull_lock_release(&vm->ivc_lock);
}

int hull_vm_ivc_show(struct hull_vm *vm, struct hull_ivc_pages *pages, hull_gpa *ret_gpa,
                     struct hull_err *err)
{
	struct hull_channel *c = reserve(vm, pages->len);
	struct hull_map m = { .len = pages->len,
		              .hva = shared_part(pages),
		              .attr = HULL_MEM_R | HULL_MEM_W,
		              .owner = HULL_OWN_IVC };
	int ret;

	if (!c) {
		ret = hull_fail(err, HULL_ENOMEM, 0,
		                "vm '%s': its window for channels has no room for 0x%llx bytes",
		                vm->config.name, LL(pages->len));
		hull_ivc_pages_put(pages);
		return ret;
	}
	m.gpa = c->gpa;
	c->pages = pages;
	ret = hull_aspace_add(vm, &m, err);
	if (!ret)
		*ret_gpa = m.gpa;
	set_channel(vm, c, !ret);
	if (ret)
		hull_ivc_pages_put(pages);
	return ret;
}

static int check_window(struct hull_vm *vm, uint64_t bytes, struct hull_err *err)
{
	if (!vm->config.ivc_size)
		return hull_fail(err, HULL_EINVAL, 0, "vm '%s' has no window for channels",
		                 vm->config.name);
	if (!bytes)
		return hull_fail(err, HULL_EINVAL, 0, "vm '%s': a channel of 0 bytes",
		                 vm->config.name);
	if (bytes > vm->config.ivc_size)
		return hull_fail(err, HULL_ENOMEM, 0,
		                 "vm '%s': its window for channels has no room for 0x%llx bytes",
		                 vm->config.name, LL(bytes));
	return 0;
}

int hull_vm_ivc_alloc(struct hull_vm *vm, uint64_t bytes, hull_gpa *ret_gpa, uint64_t *ret_bytes,
                      struct hull_err *err)
{
	struct hull_ivc_pages *pages;
	uint64_t len;
	int ret = check_window(vm, bytes, err);

	if (ret)
		return ret;
	len = align_up(bytes, HULL_PAGE_SIZE);
	pages = hull_ivc_pages_new(vm->hal, bytes);
	if (!pages)
		return hull_fail(err, HULL_ENOMEM, 120,
		                 "vm '%s': the host has no memory for a channel", vm->config.name);
	ret = hull_vm_ivc_show(vm, pages, ret_gpa, err);
	if (!ret)
		*ret_bytes = len;
	return ret;
}

/* The live channel that is exactly [gpa, gpa + bytes); taken out of use if `busy`. */
static struct hull_channel *find_channel(struct hull_vm *vm, hull_gpa gpa, uint64_t bytes)
{
	for (int i = 0; i < HULL_MAX_CHANNELS; i++) {
		struct hull_channel *c = &vm->channels[i];

		if (c->state == HULL_CHANNEL_LIVE && c->gpa == gpa && (!bytes || c->len == bytes))
			return c;
	}
	return NULL;
}

int hull_vm_ivc_free(struct hull_vm *vm, hull_gpa gpa, uint64_t bytes, struct hull_err *err)
{
	struct hull_ivc_pages *pages;
	struct hull_channel *c = NULL;
	int ret;

	hull_lock_acquire(&vm->ivc_lock);
	if (bytes)
		c = find_channel(vm, gpa, bytes);
	if (c)
		c->state = HULL_CHANNEL_BUSY;
	hull_lock_release(&vm->ivc_lock);
	if (!c)
		return hull_fail(err, HULL_ENOENT, 0,
		                 "vm '%s': no channel is at 0x%llx with size 0x%llx",
		                 vm->config.name, LL(gpa), LL(bytes));
	pages = c->pages;
	ret = hull_aspace_remove(vm, gpa, bytes, HULL_OWN_IVC, err);
	HULL_ASSERT(!ret);
	set_channel(vm, c, false);
	hull_ivc_pages_put(pages);
	return 0;
}

int hull_vm_ivc_share(struct hull_vm *from, hull_gpa gpa, struct hull_vm *to, hull_gpa *ret_gpa,
                      struct hull_err *err)
{
	struct hull_ivc_pages *pages = NULL;
	struct hull_channel *c;
	int ret;

	if (from->hal != to->hal)
		return hull_fail(err, HULL_EINVAL, 0,
		                 "vm '%s' and vm '%s' do not have the same host", from->config.name,
		                 to->config.name);
	hull_lock_acquire(&from->ivc_lock);
	c = find_channel(from, gpa, 0);
	if (c) {
		pages = c->pages;
		hull_add_seqcst(&pages->refs, 1);
	}
	hull_lock_release(&from->ivc_lock);
	if (!pages)
		return hull_fail(err, HULL_ENOENT, 0, "vm '%s': no channel is at 0x%llx",
		                 from->config.name, LL(gpa));
	ret = check_window(to, pages->len, err);
	if (!ret)
		return hull_vm_ivc_show(to, pages, ret_gpa, err);
	hull_ivc_pages_put(pages);
	return ret;
}

void hull_ivc_fini(struct hull_vm *vm)
{
	for (int i = 0; i < HULL_MAX_CHANNELS; i++) {
		struct hull_channel *c = &vm->channels[i];

		if (c->state == HULL_CHANNEL_LIVE)
			(void)hull_vm_ivc_free(vm, c->gpa, c->len, NULL);
	}
}
