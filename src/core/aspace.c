/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The guest-physical address space: a sorted table of mappings.
 *
 * Readers hold `rw` shared for as long as they use a pointer into guest
 * memory; a change holds map_lock for all of it and `rw` only while it edits
 * the table.  An unmapping edits the table first and then has the accelerator
 * drop what it cached, so that nobody can find the memory again.
 */
#include "core/vm_impl.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"

#define RW_WRITER BIT(31)
#define ATTR_ALL  (HULL_MEM_R | HULL_MEM_W | HULL_MEM_X | HULL_MEM_DEVICE | HULL_MEM_UNCACHED)
#define LL(x)     ((unsigned long long)(x))

static void rw_sleep(struct hull_vm *vm, uint32_t seen)
{
	/* Pairs with the load of `waiters` after each change of `word` that frees somebody. */
	hull_add_seqcst(&vm->rw.waiters, 1);
	vm->hal->wait(vm->hal, &vm->rw.word, seen, HULL_NEVER);
	hull_add_seqcst(&vm->rw.waiters, UINT32_MAX);
}

void hull_rw_read(struct hull_vm *vm)
{
	uint32_t seen = hull_load_relaxed(&vm->rw.word);

	for (;;) {
		if (seen & RW_WRITER) {
			rw_sleep(vm, seen);
			seen = hull_load_relaxed(&vm->rw.word);
		} else if (hull_cas_seqcst(&vm->rw.word, &seen, seen + 1)) {
			return;
		}
	}
}

void hull_rw_done(struct hull_vm *vm)
{
	if (hull_add_seqcst(&vm->rw.word, UINT32_MAX) == 1 && hull_load_seqcst(&vm->rw.waiters))
		vm->hal->wake(vm->hal, &vm->rw.word, UINT32_MAX);
}

/* map_lock is held, so there is one writer at most. */
static void rw_write(struct hull_vm *vm)
{
	uint32_t seen = 0;

	hull_store_relaxed(&vm->rw.wanted, 1);
	while (!hull_cas_seqcst(&vm->rw.word, &seen, (uint32_t)RW_WRITER)) {
		if (seen)
			rw_sleep(vm, seen);
		seen = 0;
	}
	hull_store_relaxed(&vm->rw.wanted, 0);
}

static void rw_written(struct hull_vm *vm)
{
	if (!++vm->map_changes)
		vm->map_changes = 1;
	hull_store_seqcst(&vm->rw.word, 0);
	if (hull_load_seqcst(&vm->rw.waiters))
		vm->hal->wake(vm->hal, &vm->rw.word, UINT32_MAX);
}

/* Index of the first mapping that ends above `gpa`. */
static uint32_t search(const struct hull_vm *vm, hull_gpa gpa)
{
	uint32_t lo = 0, hi = vm->nmaps;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (vm->maps[mid].gpa + (vm->maps[mid].len - 1) < gpa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static const struct hull_map *find(const struct hull_vm *vm, hull_gpa gpa)
{
	uint32_t i = search(vm, gpa);

	return i < vm->nmaps && vm->maps[i].gpa <= gpa ? &vm->maps[i] : NULL;
}

const struct hull_map *hull_aspace_overlap_locked(struct hull_vm *vm, hull_gpa gpa, uint64_t len)
{
	uint32_t i = search(vm, gpa);

	if (i < vm->nmaps && hull_ranges_overlap(gpa, len, vm->maps[i].gpa, vm->maps[i].len))
		return &vm->maps[i];
	return NULL;
}

int hull_aspace_init(struct hull_vm *vm, struct hull_err *err)
{
	hull_lock_init(&vm->map_lock, vm->hal, HULL_RANK_ASPACE);
	vm->map_changes = 1;
	(void)err;
	return 0;
}

static uint64_t bitmap_bytes(uint64_t len)
{
	return align_up(len / HULL_PAGE_SIZE / 8 + 8, HULL_PAGE_SIZE);
}

static bool logged(const struct hull_map *m)
{
	return m->attr & HULL_MEM_W && !(m->attr & HULL_MEM_DEVICE);
}

static void log_free(struct hull_vm *vm, struct hull_map *m)
{
	if (m->dirty)
		vm->hal->pages_free(vm->hal, m->dirty, bitmap_bytes(m->len));
	m->dirty = NULL;
}

static bool log_alloc(struct hull_vm *vm, struct hull_map *m)
{
	if (!logged(m) || m->dirty)
		return true;
	m->dirty = vm->hal->pages_alloc(vm->hal, bitmap_bytes(m->len), HULL_PAGE_SIZE, false);
	return m->dirty;
}

static void give_back(struct hull_vm *vm, struct hull_map *m)
{
	log_free(vm, m);
	if (m->owner == HULL_OWN_PAGES)
		vm->hal->pages_free(vm->hal, m->hva, m->len);
	else if (m->owner == HULL_OWN_CLAIM)
		vm->hal->range_release(vm->hal, m->hpa, m->len);
}

void hull_aspace_fini(struct hull_vm *vm)
{
	while (vm->nmaps) {
		struct hull_map m = vm->maps[--vm->nmaps];

		/* The accelerator lets go before the memory goes. */
		(void)vm->accel->unmap(vm, m.gpa, m.len);
		give_back(vm, &m);
	}
}

static int refuse_overlap(struct hull_vm *vm, const struct hull_map *m, struct hull_err *err)
{
	const struct hull_map *other = hull_aspace_overlap_locked(vm, m->gpa, m->len);
	const struct hull_bus_range *r =
		hull_bus_overlap_locked(vm, HULL_SPACE_MMIO, m->gpa, m->len);

	if (other)
		return hull_fail(
			err, HULL_EEXIST, 131,
			"vm '%s': memory at 0x%llx, size 0x%llx, overlaps memory at 0x%llx, "
			"size 0x%llx",
			vm->config.name, LL(m->gpa), LL(m->len), LL(other->gpa), LL(other->len));
	if (r)
		return hull_fail(err, HULL_EEXIST, 131,
		                 "vm '%s': memory at 0x%llx, size 0x%llx, overlaps device '%s' at "
		                 "0x%llx, size 0x%llx",
		                 vm->config.name, LL(m->gpa), LL(m->len), r->dev->name, LL(r->base),
		                 LL(r->size));
	return 0;
}

static void insert(struct hull_vm *vm, const struct hull_map *m)
{
	uint32_t i = search(vm, m->gpa);

	rw_write(vm);
	memmove(&vm->maps[i + 1], &vm->maps[i], (vm->nmaps - i) * sizeof(*m));
	vm->maps[i] = *m;
	vm->nmaps++;
	rw_written(vm);
}

static void take_out(struct hull_vm *vm, uint32_t i)
{
	rw_write(vm);
	vm->nmaps--;
	memmove(&vm->maps[i], &vm->maps[i + 1], (vm->nmaps - i) * sizeof(vm->maps[0]));
	rw_written(vm);
}

static int add_locked(struct hull_vm *vm, struct hull_map *m, struct hull_err *err)
{
	int ret = refuse_overlap(vm, m, err);

	if (ret)
		return ret;
	if (vm->nmaps == HULL_MAX_MAPS)
		return hull_fail(err, HULL_EOVERFLOW, 109, "vm '%s': more than %d memory mappings",
		                 vm->config.name, HULL_MAX_MAPS);
	if (hull_load_relaxed(&vm->logging) && !log_alloc(vm, m))
		return hull_fail(err, HULL_ENOMEM, 0, "vm '%s': no memory for the dirty log",
		                 vm->config.name);
	ret = vm->accel->map(vm, m->gpa, m->hva, m->len, m->attr);
	if (ret) {
		log_free(vm, m);
		return hull_fail(err, ret, 0, "vm '%s': %s cannot map memory at 0x%llx: %s",
		                 vm->config.name, vm->accel->name, LL(m->gpa),
		                 hull_error_text(ret));
	}
	insert(vm, m);
	return 0;
}

int hull_aspace_add(struct hull_vm *vm, const struct hull_map *m, struct hull_err *err)
{
	struct hull_vcpu *self = hull_vcpu_step_out(vm);
	struct hull_map copy = *m;
	int ret;

	hull_lock_acquire(&vm->map_lock);
	ret = add_locked(vm, &copy, err);
	hull_lock_release(&vm->map_lock);
	hull_vcpu_come_back(self);
	if (!ret)
		hull_event_add(vm, HULL_EVENT_MAP, UINT32_MAX, m->gpa, m->len);
	return ret;
}

/* Index of the mapping that is exactly [gpa, gpa + len); nmaps if there is none. */
static uint32_t find_exact(const struct hull_vm *vm, hull_gpa gpa, uint64_t len)
{
	uint32_t i = search(vm, gpa);

	if (i < vm->nmaps && vm->maps[i].gpa == gpa && vm->maps[i].len == len)
		return i;
	return vm->nmaps;
}

static int no_mapping(struct hull_vm *vm, hull_gpa gpa, uint64_t len, struct hull_err *err)
{
	return hull_fail(err, HULL_ENOENT, 0,
	                 "vm '%s': no mapping of the caller's is at 0x%llx with size 0x%llx",
	                 vm->config.name, LL(gpa), LL(len));
}

int hull_aspace_remove(struct hull_vm *vm, hull_gpa gpa, uint64_t len, enum hull_map_owner owner,
                       struct hull_err *err)
{
	struct hull_vcpu *self = hull_vcpu_step_out(vm);
	bool found;
	uint32_t i;

	hull_lock_acquire(&vm->map_lock);
	i = find_exact(vm, gpa, len);
	found = i < vm->nmaps && vm->maps[i].owner == owner;
	if (found) {
		struct hull_map m = vm->maps[i];

		take_out(vm, i);
		(void)vm->accel->unmap(vm, gpa, len);
		log_free(vm, &m);
	}
	hull_lock_release(&vm->map_lock);
	hull_vcpu_come_back(self);
	if (!found)
		return no_mapping(vm, gpa, len, err);
	hull_event_add(vm, HULL_EVENT_UNMAP, UINT32_MAX, gpa, len);
	return 0;
}

static int check_attr(struct hull_vm *vm, unsigned attr, struct hull_err *err)
{
	if (attr & ~(unsigned)ATTR_ALL || !(attr & HULL_MEM_R))
		return hull_fail(err, HULL_EINVAL, 130,
		                 "vm '%s': 0x%x are no memory attributes (reading is required)",
		                 vm->config.name, attr);
	return 0;
}

int hull_vm_map(struct hull_vm *vm, hull_gpa gpa, void *hva, uint64_t len, unsigned attr,
                struct hull_err *err)
{
	struct hull_map m = {
		.gpa = gpa, .len = len, .hva = hva, .attr = attr, .owner = HULL_OWN_CALLER
	};
	int ret = check_attr(vm, attr, err);

	if (ret)
		return ret;
	if (!hva || !len || !is_aligned(gpa | len | (uintptr_t)hva, HULL_PAGE_SIZE))
		return hull_fail(err, HULL_EINVAL, 130,
		                 "vm '%s': a mapping needs page-aligned addresses and size, not "
		                 "0x%llx, size 0x%llx",
		                 vm->config.name, LL(gpa), LL(len));
	if (!hull_range_valid(gpa, len))
		return hull_fail(err, HULL_EOVERFLOW, 130,
		                 "vm '%s': memory at 0x%llx, size 0x%llx, passes the end of the "
		                 "address space",
		                 vm->config.name, LL(gpa), LL(len));
	return hull_aspace_add(vm, &m, err);
}

int hull_vm_unmap(struct hull_vm *vm, hull_gpa gpa, uint64_t len, struct hull_err *err)
{
	return hull_aspace_remove(vm, gpa, len, HULL_OWN_CALLER, err);
}

static void set_attr(struct hull_vm *vm, uint32_t i, unsigned attr)
{
	rw_write(vm);
	vm->maps[i].attr = attr;
	rw_written(vm);
}

static int protect_locked(struct hull_vm *vm, hull_gpa gpa, uint64_t len, unsigned attr,
                          struct hull_err *err)
{
	uint32_t i = find_exact(vm, gpa, len);
	unsigned old;
	int ret;

	if (i == vm->nmaps)
		return no_mapping(vm, gpa, len, err);
	old = vm->maps[i].attr;
	set_attr(vm, i, attr);
	ret = vm->accel->protect(vm, gpa, len, attr);
	if (!ret)
		return 0;
	set_attr(vm, i, old);
	return hull_fail(err, ret, 0, "vm '%s': %s cannot change memory at 0x%llx", vm->config.name,
	                 vm->accel->name, LL(gpa));
}

int hull_vm_protect(struct hull_vm *vm, hull_gpa gpa, uint64_t len, unsigned attr,
                    struct hull_err *err)
{
	struct hull_vcpu *self;
	int ret = check_attr(vm, attr, err);

	if (ret)
		return ret;
	self = hull_vcpu_step_out(vm);
	hull_lock_acquire(&vm->map_lock);
	ret = protect_locked(vm, gpa, len, attr, err);
	hull_lock_release(&vm->map_lock);
	hull_vcpu_come_back(self);
	return ret;
}

static void mark(const struct hull_map *m, hull_gpa gpa, uint64_t len)
{
	uint64_t page, last;

	if (!m->dirty || !len)
		return;
	last = (gpa + (len - 1) - m->gpa) / HULL_PAGE_SIZE;
	for (page = (gpa - m->gpa) / HULL_PAGE_SIZE; page <= last; page++)
		hull_or_seqcst(&m->dirty[page / 64], BIT(page % 64));
}

static uint64_t *watched_word(struct hull_vm *vm, uint64_t page)
{
	return &vm->watched[page / 64 % ARRAY_LEN(vm->watched)];
}

void hull_aspace_watch(struct hull_vm *vm, hull_gpa gpa)
{
	uint64_t page = gpa / HULL_PAGE_SIZE;

	hull_or_seqcst(watched_word(vm, page), BIT(page % 64));
	hull_fence_seqcst(); /* pairs with wrote(): it sees the bit, or we see its bytes */
}

uint64_t hull_aspace_watched_writes(struct hull_vm *vm)
{
	return hull_load_seqcst(&vm->watched_writes);
}

/* The core has written [gpa, gpa + len). */
static void wrote(struct hull_vm *vm, hull_gpa gpa, uint64_t len)
{
	uint64_t page = gpa / HULL_PAGE_SIZE;

	if (!len)
		return;
	hull_fence_seqcst(); /* pairs with hull_aspace_watch() */
	for (; page <= (gpa + (len - 1)) / HULL_PAGE_SIZE; page++)
		if (hull_load_relaxed(watched_word(vm, page)) & BIT(page % 64)) {
			hull_add_seqcst(&vm->watched_writes, 1);
			return;
		}
}

/* Whole pages of one mapping; `rw` is held. */
static uint64_t discard_piece(struct hull_vm *vm, const struct hull_map *m, hull_gpa gpa,
                              uint64_t len)
{
	if (m->owner != HULL_OWN_PAGES || !logged(m) ||
	    !vm->hal->pages_discard(vm->hal, m->hva + (gpa - m->gpa), len))
		return 0;
	mark(m, gpa, len);
	wrote(vm, gpa, len);
	return len;
}

uint64_t hull_aspace_discard(struct hull_vm *vm, hull_gpa gpa, uint64_t len)
{
	uint64_t skip = -gpa & (HULL_PAGE_SIZE - 1), done = 0;
	hull_gpa end;

	if (!vm->hal->pages_discard || len < skip || !hull_add(gpa, len, &end))
		return 0;
	gpa += skip;
	end = align_down(end, HULL_PAGE_SIZE);
	hull_rw_read(vm);
	for (uint32_t i = search(vm, gpa); gpa < end && i < vm->nmaps; i++) {
		const struct hull_map *m = &vm->maps[i];

		gpa = MAX(gpa, m->gpa);
		if (gpa >= end)
			break;
		done += discard_piece(vm, m, gpa, MIN(end - gpa, m->len - (gpa - m->gpa)));
		gpa = m->gpa + m->len;
	}
	hull_rw_done(vm);
	return done;
}

/* May a device read (or write) it? */
static bool usable(const struct hull_map *m, bool write)
{
	return !(m->attr & HULL_MEM_DEVICE) && (!write || m->attr & HULL_MEM_W);
}

enum use { USE_READ, USE_HOST_WRITE, USE_DEVICE_WRITE };

/* Does memory that `use` allows cover all of [gpa, gpa + len)?  `rw` is held. */
static bool covered(const struct hull_vm *vm, hull_gpa gpa, uint64_t len, enum use use)
{
	if (!hull_range_valid(gpa, len))
		return false;
	while (len) {
		const struct hull_map *m = find(vm, gpa);
		uint64_t piece;

		if (!m || !usable(m, use == USE_DEVICE_WRITE))
			return false;
		piece = MIN(len, m->len - (gpa - m->gpa));
		gpa += piece;
		len -= piece;
	}
	return true;
}

/* Call fn for each piece of a covered range; `rw` is held. */
static int walk(const struct hull_vm *vm, hull_gpa gpa, uint64_t len, hull_span_fn fn, void *arg,
                bool writes)
{
	while (len) {
		const struct hull_map *m = find(vm, gpa);
		uint64_t piece = MIN(len, m->len - (gpa - m->gpa));
		int ret = fn(arg, m->hva + (gpa - m->gpa), piece);

		if (writes)
			mark(m, gpa, piece);
		if (ret < 0)
			return ret;
		gpa += piece;
		len -= piece;
	}
	return 0;
}

static int copy_out(void *arg, void *hva, uint64_t len)
{
	uint8_t **at = arg;

	memcpy(*at, hva, len);
	*at += len;
	return 0;
}

static int copy_in(void *arg, void *hva, uint64_t len)
{
	const uint8_t **at = arg;

	memcpy(hva, *at, len);
	*at += len;
	return 0;
}

static int copy(struct hull_vm *vm, hull_gpa gpa, void *buf, uint64_t len, enum use use)
{
	int ret = HULL_EFAULT;

	hull_rw_read(vm);
	if (covered(vm, gpa, len, use)) {
		ret = walk(vm, gpa, len, use == USE_READ ? copy_out : copy_in, &buf,
		           use != USE_READ);
		if (use != USE_READ)
			wrote(vm, gpa, len);
	}
	hull_rw_done(vm);
	return ret;
}

int hull_vm_read(struct hull_vm *vm, hull_gpa gpa, void *buf, uint64_t len)
{
	return copy(vm, gpa, buf, len, USE_READ);
}

int hull_vm_write(struct hull_vm *vm, hull_gpa gpa, const void *buf, uint64_t len)
{
	return copy(vm, gpa, (void *)(uintptr_t)buf, len, USE_HOST_WRITE);
}

bool hull_mem_read(struct hull_vm *vm, hull_gpa gpa, void *buf, uint64_t len)
{
	return !copy(vm, gpa, buf, len, USE_READ);
}

bool hull_mem_write(struct hull_vm *vm, hull_gpa gpa, const void *buf, uint64_t len)
{
	return !copy(vm, gpa, (void *)(uintptr_t)buf, len, USE_DEVICE_WRITE);
}

int hull_vm_image_regions(struct hull_vm *vm, hull_gpa gpa, uint64_t len, hull_span_fn fn,
                          void *arg)
{
	int ret = HULL_EFAULT;

	hull_rw_read(vm);
	if (covered(vm, gpa, len, USE_HOST_WRITE)) {
		ret = walk(vm, gpa, len, fn, arg, true);
		wrote(vm, gpa, len);
	}
	hull_rw_done(vm);
	return ret;
}

bool hull_aspace_range(struct hull_vm *vm, hull_gpa gpa, struct hull_ram_range *ret)
{
	const struct hull_map *m;
	bool found = false;

	hull_rw_read(vm);
	m = find(vm, gpa);
	if (m && !(m->attr & HULL_MEM_DEVICE)) {
		*ret = (struct hull_ram_range){
			.gpa = m->gpa,
			.len = m->len,
			.hva = m->hva,
			.attr = m->attr,
			.log_write = m->dirty != NULL,
			.shared = m->owner != HULL_OWN_PAGES,
		};
		found = true;
	}
	hull_rw_done(vm);
	return found;
}

bool hull_aspace_page(struct hull_vm *vm, hull_gpa gpa, struct hull_ram_page *ret)
{
	struct hull_ram_range r;

	if (!hull_aspace_range(vm, gpa, &r))
		return false;
	*ret = (struct hull_ram_page){
		.hva = r.hva + align_down(gpa - r.gpa, HULL_PAGE_SIZE),
		.attr = r.attr,
		.log_write = r.log_write,
		.shared = r.shared,
	};
	return true;
}

void hull_aspace_dirty(struct hull_vm *vm, hull_gpa gpa)
{
	const struct hull_map *m;

	if (!hull_load_acquire(&vm->logging))
		return;
	hull_rw_read(vm);
	m = find(vm, gpa);
	if (m)
		mark(m, gpa, 1);
	hull_rw_done(vm);
}

/* `rw` is held. */
static void mark_word(const struct hull_vm *vm, hull_gpa gpa, uint64_t set)
{
	for (hull_gpa page = gpa; set; set >>= 1, page += HULL_PAGE_SIZE) {
		const struct hull_map *m = set & 1 ? find(vm, page) : NULL;

		if (m)
			mark(m, page, 1);
	}
}

void hull_aspace_dirty_many(struct hull_vm *vm, hull_gpa gpa, const uint64_t *bitmap,
                            uint64_t npages)
{
	if (!hull_load_acquire(&vm->logging))
		return;
	hull_rw_read(vm);
	for (uint64_t i = 0; i * 64 < npages; i++)
		mark_word(vm, gpa + i * 64 * HULL_PAGE_SIZE,
		          bitmap[i] & low_mask((unsigned)MIN(npages - i * 64, UINT64_C(64))));
	hull_rw_done(vm);
}

int hull_dma_begin(struct hull_vm *vm, hull_gpa gpa, uint64_t len, bool write, struct hull_dma *ret)
{
	const struct hull_map *m;

	hull_rw_read(vm);
	m = find(vm, gpa);
	if (!len || !m || !usable(m, write)) {
		hull_rw_done(vm);
		return HULL_EFAULT;
	}
	*ret = (struct hull_dma){
		.hva = m->hva + (gpa - m->gpa),
		.len = MIN(len, m->len - (gpa - m->gpa)),
		.gpa = gpa,
		.write = write,
	};
	return 0;
}

void hull_dma_end(struct hull_vm *vm, struct hull_dma *dma)
{
	if (dma->write) {
		mark(find(vm, dma->gpa), dma->gpa, dma->len);
		wrote(vm, dma->gpa, dma->len);
	}
	*dma = (struct hull_dma){ 0 };
	hull_rw_done(vm);
}

/* The naturally aligned value at `gpa`, with `rw` left held; NULL (and released) otherwise. */
static void *value_at(struct hull_vm *vm, hull_gpa gpa, unsigned size, enum use use)
{
	hull_rw_read(vm);
	if (is_aligned(gpa, size) && covered(vm, gpa, size, use)) {
		const struct hull_map *m = find(vm, gpa);

		return m->hva + (gpa - m->gpa);
	}
	hull_rw_done(vm);
	return NULL;
}

/* Marked after the store: whoever fetches the mark copies the page next. */
static void stored(struct hull_vm *vm, hull_gpa gpa, unsigned size)
{
	mark(find(vm, gpa), gpa, size);
	wrote(vm, gpa, size);
	hull_rw_done(vm);
}

/* Guest byte order to the host's and back: load_le*() on the value's own bytes. */
bool hull_mem_load16(struct hull_vm *vm, hull_gpa gpa, uint16_t *ret)
{
	uint16_t *at = value_at(vm, gpa, 2, USE_READ);
	uint16_t v;

	if (!at) {
		if (!hull_mem_read(vm, gpa, &v, 2))
			return false;
	} else {
		v = hull_load_acquire(at);
		hull_rw_done(vm);
	}
	*ret = load_le16(&v);
	return true;
}

bool hull_mem_load32(struct hull_vm *vm, hull_gpa gpa, uint32_t *ret)
{
	uint32_t *at = value_at(vm, gpa, 4, USE_READ);
	uint32_t v;

	if (!at) {
		if (!hull_mem_read(vm, gpa, &v, 4))
			return false;
	} else {
		v = hull_load_acquire(at);
		hull_rw_done(vm);
	}
	*ret = load_le32(&v);
	return true;
}

bool hull_mem_load64(struct hull_vm *vm, hull_gpa gpa, uint64_t *ret)
{
	uint64_t *at = value_at(vm, gpa, 8, USE_READ);
	uint64_t v;

	if (!at) {
		if (!hull_mem_read(vm, gpa, &v, 8))
			return false;
	} else {
		v = hull_load_acquire(at);
		hull_rw_done(vm);
	}
	*ret = load_le64(&v);
	return true;
}

bool hull_mem_store16(struct hull_vm *vm, hull_gpa gpa, uint16_t v)
{
	uint16_t *at = value_at(vm, gpa, 2, USE_DEVICE_WRITE);
	uint16_t le;

	store_le16(&le, v);
	if (!at)
		return hull_mem_write(vm, gpa, &le, 2);
	hull_store_release(at, le);
	stored(vm, gpa, 2);
	return true;
}

bool hull_mem_store32(struct hull_vm *vm, hull_gpa gpa, uint32_t v)
{
	uint32_t *at = value_at(vm, gpa, 4, USE_DEVICE_WRITE);
	uint32_t le;

	store_le32(&le, v);
	if (!at)
		return hull_mem_write(vm, gpa, &le, 4);
	hull_store_release(at, le);
	stored(vm, gpa, 4);
	return true;
}

bool hull_mem_store64(struct hull_vm *vm, hull_gpa gpa, uint64_t v)
{
	uint64_t *at = value_at(vm, gpa, 8, USE_DEVICE_WRITE);
	uint64_t le;

	store_le64(&le, v);
	if (!at)
		return hull_mem_write(vm, gpa, &le, 8);
	hull_store_release(at, le);
	stored(vm, gpa, 8);
	return true;
}

bool hull_mem_wanted(struct hull_vm *vm)
{
	return hull_load_relaxed(&vm->rw.wanted);
}

void hull_mem_enter(struct hull_vm *vm)
{
	hull_rw_read(vm);
}

void hull_mem_leave(struct hull_vm *vm)
{
	hull_rw_done(vm);
}

bool hull_view_open(struct hull_vm *vm, struct hull_view *v)
{
	uint32_t i;

	if (v->seen == vm->map_changes)
		return v->hva;
	v->seen = vm->map_changes;
	v->hva = NULL;
	i = search(vm, v->gpa);
	if (i == vm->nmaps || !v->len || !usable(&vm->maps[i], v->write) ||
	    !hull_range_within(v->gpa, v->len, vm->maps[i].gpa, vm->maps[i].len))
		return false;
	v->map = &vm->maps[i];
	v->hva = v->map->hva + (v->gpa - v->map->gpa);
	return true;
}

void hull_view_wrote(struct hull_vm *vm, const struct hull_view *v)
{
	mark(v->map, v->gpa, v->len);
	wrote(vm, v->gpa, v->len);
}

hull_hpa hull_vm_stage2_root(const struct hull_vm *vm)
{
	return vm->stage2_root;
}

void hull_aspace_set_root(struct hull_vm *vm, hull_hpa root)
{
	vm->stage2_root = root;
}

static void accel_log(struct hull_vm *vm, const struct hull_map *m, bool on)
{
	if (logged(m) && vm->accel->dirty_log)
		(void)vm->accel->dirty_log(vm, m->gpa, m->len, on);
}

int hull_vm_dirty_start(struct hull_vm *vm, struct hull_err *err)
{
	struct hull_vcpu *self = hull_vcpu_step_out(vm);
	bool enough = true;
	uint32_t i;

	hull_lock_acquire(&vm->map_lock);
	rw_write(vm);
	for (i = 0; i < vm->nmaps && enough; i++)
		enough = log_alloc(vm, &vm->maps[i]);
	if (!enough && !vm->logging)
		while (i--)
			log_free(vm, &vm->maps[i]);
	rw_written(vm);
	if (enough) {
		hull_store_release(&vm->logging, 1);
		for (i = 0; i < vm->nmaps; i++)
			accel_log(vm, &vm->maps[i], true);
	}
	hull_lock_release(&vm->map_lock);
	hull_vcpu_come_back(self);
	if (!enough)
		return hull_fail(err, HULL_ENOMEM, 0, "vm '%s': no memory for the dirty log",
		                 vm->config.name);
	return 0;
}

int hull_vm_dirty_stop(struct hull_vm *vm)
{
	struct hull_vcpu *self = hull_vcpu_step_out(vm);

	hull_lock_acquire(&vm->map_lock);
	hull_store_release(&vm->logging, 0);
	rw_write(vm);
	for (uint32_t i = 0; i < vm->nmaps; i++)
		log_free(vm, &vm->maps[i]);
	rw_written(vm);
	for (uint32_t i = 0; i < vm->nmaps; i++)
		accel_log(vm, &vm->maps[i], false);
	hull_lock_release(&vm->map_lock);
	hull_vcpu_come_back(self);
	return 0;
}

/* Move the bits of one mapping within the window of `nbits` pages at gpa. */
static void fetch(struct hull_map *m, hull_gpa gpa, uint64_t *bitmap, uint64_t nbits)
{
	uint64_t base = m->gpa / HULL_PAGE_SIZE, first = gpa / HULL_PAGE_SIZE;

	for (uint64_t word = 0; word * 64 < m->len / HULL_PAGE_SIZE; word++) {
		uint64_t keep = 0, set;

		if (!hull_load_relaxed(&m->dirty[word]))
			continue;
		set = hull_swap_acqrel(&m->dirty[word], 0);
		for (unsigned bit = 0; bit < 64; bit++) {
			uint64_t page = base + word * 64 + bit - first;

			if (!(set & BIT(bit)))
				continue;
			if (page < nbits)
				bitmap[page / 64] |= BIT(page % 64);
			else
				keep |= BIT(bit);
		}
		if (keep)
			hull_or_seqcst(&m->dirty[word], keep);
	}
}

int hull_vm_dirty_fetch(struct hull_vm *vm, hull_gpa gpa, uint64_t *bitmap, uint64_t nbits)
{
	struct hull_vcpu *self;
	int ret = HULL_ESTATE;

	if (!is_aligned(gpa, HULL_PAGE_SIZE) || nbits > UINT64_MAX / HULL_PAGE_SIZE)
		return HULL_EINVAL;
	self = hull_vcpu_step_out(vm);
	hull_lock_acquire(&vm->map_lock);
	if (vm->logging) {
		memset(bitmap, 0, (nbits + 63) / 64 * 8);
		for (uint32_t i = 0; i < vm->nmaps; i++) {
			struct hull_map *m = &vm->maps[i];

			if (!m->dirty)
				continue;
			if (vm->accel->dirty_sync)
				(void)vm->accel->dirty_sync(vm, m->gpa, m->len);
			fetch(m, gpa, bitmap, nbits);
			/* A write until here is in the memory that the caller copies next. */
			accel_log(vm, m, true);
		}
		ret = 0;
	}
	hull_lock_release(&vm->map_lock);
	hull_vcpu_come_back(self);
	return ret;
}
