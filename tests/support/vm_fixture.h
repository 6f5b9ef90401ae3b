/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A VM on the fake HAL and the fake accelerator, and its threads, for the tests of the core. */
#ifndef VM_FIXTURE_H
#define VM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>

#include <hull/vm.h>
#include "accel/fake/fake.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "core/aspace.h"
#include "support/fake_hal.h"

enum { RAM_AT = 0x80000000, RAM_SIZE = 0x100000 };

/* 1 MiB of RAM at RAM_AT. */
struct hull_vm_config fixture_config(uint32_t ncpus);

/* Initializes `h` too. */
struct hull_vm *fixture_make(struct fake_hal *h, uint32_t ncpus);
struct hull_vm *fixture_make_config(struct fake_hal *h, const struct hull_vm_config *c);

/* Make, seal; the script is given to all vCPUs. */
struct hull_vm *fixture_sealed(struct fake_hal *h, uint32_t ncpus, const struct hull_fake_op *ops,
                               uint32_t nops);

/* Destroy and check that everything went back to the HAL. */
void fixture_unmake(struct fake_hal *h, struct hull_vm *vm);

struct hull_fake_vcpu *fixture_cpu(struct hull_vm *vm, uint32_t i);

/* A thread in each vCPU's loop and one in the timer loop. */
struct fixture_threads {
	struct hull_vm *vm;
	uint32_t n;
	pthread_t vcpu[HULL_MAX_VCPUS];
	pthread_t timer;
};
void fixture_start(struct fixture_threads *t, struct hull_vm *vm);
void fixture_join(struct fixture_threads *t);

/* Wait (real time, at most 20 s) until *word, atomic, has at least `value`. */
void fixture_await(const uint64_t *word, uint64_t value);

#endif
