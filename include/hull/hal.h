/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * HAL: the services that the core asks of whatever is below it.
 *
 * One const vtable, given to hull_vm_create().  The hosted HAL is POSIX, bare
 * metal brings its own, tests bring one with a stepped clock and failing
 * allocations.  An implementation embeds struct hull_hal as the first member
 * of its own state and gets it back as `hal`.
 *
 * Threading: every function may be called from any thread or CPU unless it
 * says otherwise.  None may call back into the core.
 */
#ifndef HULL_HAL_H
#define HULL_HAL_H

#include <hull/types.h>

struct hull_hal {
	/*
	 * Allocate zeroed pages: `bytes` is a multiple of 4 KiB, `align` a power
	 * of two of at least that.  NULL if there is no memory.  Pages of guest
	 * RAM (guest_ram) should cost nothing until touched where that is possible.
	 */
	void *(*pages_alloc)(const struct hull_hal *hal, uint64_t bytes, uint64_t align,
	                     bool guest_ram);
	void (*pages_free)(const struct hull_hal *hal, void *pages, uint64_t bytes);

	/*
	 * Part of an allocation with guest_ram, whole pages, is not needed: afterwards it reads as
	 * zeroes, and should cost nothing until touched.  Others may access it meanwhile.  False:
	 * it cannot, nothing changed.  May be NULL.
	 */
	bool (*pages_discard)(const struct hull_hal *hal, void *pages, uint64_t bytes);

	/*
	 * Memory for generated code: `bytes` (a multiple of 4 KiB) of zeroed pages at two places,
	 * *ret_rw to write them and *ret_rx to execute them; neither is both.  Costs nothing until
	 * touched where that is possible.  HULL_ENOMEM, HULL_ENOTSUP: code may not be generated
	 * here; so says NULL, too.
	 */
	int (*code_alloc)(const struct hull_hal *hal, uint64_t bytes, void **ret_rw, void **ret_rx);
	void (*code_free)(const struct hull_hal *hal, uint64_t bytes, void *rw, void *rx);

	/* Claim an exact host-physical range for a guest; HULL_EBUSY or HULL_ENOTSUP if it cannot.
	 */
	int (*range_claim)(const struct hull_hal *hal, hull_hpa hpa, uint64_t bytes, void **ret);
	void (*range_release)(const struct hull_hal *hal, hull_hpa hpa, uint64_t bytes);

	/* Convert within memory from pages_alloc or range_claim.  Hosted: the identity. */
	hull_hpa (*virt_to_phys)(const struct hull_hal *hal, const void *hva);
	void *(*phys_to_virt)(const struct hull_hal *hal, hull_hpa hpa);

	uint64_t (*now_ns)(const struct hull_hal *hal);      /* monotonic, never 0 */
	int64_t (*wallclock_ns)(const struct hull_hal *hal); /* since 1970-01-01 UTC */

	/* The earliest deadline of the VM behind `word` moved; may be NULL if wait() honours it. */
	void (*deadline)(const struct hull_hal *hal, const uint32_t *word, uint64_t at_ns);

	unsigned (*cpu_id)(const struct hull_hal *hal);    /* which host CPU or thread: not 0 */
	unsigned (*cpu_count)(const struct hull_hal *hal); /* at least 1 */

	/* Make CPU or thread `id` (from cpu_id) leave guest mode soon. */
	void (*cpu_kick)(const struct hull_hal *hal, unsigned id);

	/*
	 * Sleep while *word == expected, at most until now_ns() >= deadline_ns
	 * (HULL_NEVER: no limit).  May return early.  wake() lets up to `count`
	 * sleepers on that word go; the change of *word comes before it.
	 */
	void (*wait)(const struct hull_hal *hal, const uint32_t *word, uint32_t expected,
	             uint64_t deadline_ns);
	void (*wake)(const struct hull_hal *hal, const uint32_t *word, uint32_t count);

	/*
	 * A word of this CPU or thread, zero at first, in which the lock checks note
	 * what it holds.  May be NULL: then the order of locks is not checked.
	 */
	uint32_t *(*held_ranks)(const struct hull_hal *hal);

	/* Diagnostic text, for messages that have nowhere else to go. */
	void (*console_write)(const struct hull_hal *hal, const char *text, size_t len);

	/* Fill with unpredictable bytes; false if the source failed. */
	bool (*random)(const struct hull_hal *hal, void *buf, size_t len);

	/* A state of Hull's own that must not be: say so and stop for good. */
	void (*fatal)(const struct hull_hal *hal, const char *text);
};

#endif
