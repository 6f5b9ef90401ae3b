/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Why a guest may have come to nothing: from evidence to a likely cause.
 *
 * Causes are rows of a table; each has a test of the evidence.  Pure functions.
 * Catalogue: E0760 silent, E0761 panicked, E0762 stopped for good.
 */
#ifndef HULL_DEBUG_DIAGNOSIS_H
#define HULL_DEBUG_DIAGNOSIS_H

#include <hull/vm.h>

enum {
	HULL_DOCTOR_CPUS = 8,
	HULL_DOCTOR_LIKELY = 256,
	HULL_DOCTOR_TRY = 192,
	HULL_DOCTOR_TAIL = 1024
};

/* What one vCPU does. */
struct hull_doctor_cpu {
	uint32_t state; /* enum hull_vcpu_state */
	uint64_t pc, priv, cause, tval, epc, tvec, status, ie, translation, timer;
	bool known;   /* the registers could be read */
	bool looping; /* seen several times at its trap vector, having come from there */
};

/* The evidence. */
struct hull_doctor_facts {
	const char *cmdline, *kernel; /* NULL: none */
	bool initrd, firmware;
	bool raw; /* the kernel has no header that Hull knows */
	uint32_t disks;
	bool panicked, userspace;
	uint64_t printed; /* bytes */
	uint32_t ncpus;   /* of `cpus` */
	struct hull_doctor_cpu cpus[HULL_DOCTOR_CPUS];
	char tail[HULL_DOCTOR_TAIL]; /* of what it printed */
};

struct hull_diagnosis {
	uint16_t id; /* catalogue number */
	bool dead;   /* nothing will ever happen again */
	char likely[HULL_DOCTOR_LIKELY];
	char try_this[HULL_DOCTOR_TRY]; /* may be empty */
};

/* The first row of the table whose evidence fits; false: nothing is known to be wrong. */
bool hull_doctor_diagnose(const struct hull_doctor_facts *f, struct hull_diagnosis *ret);

#endif
