/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * SMMUv3 as the second stage of devices: which stream uses whose stage-2 tables.
 *
 * Spec: Arm IHI 0070 (SMMUv3): 5.2 (stream table entries), 4.1 to 4.4 (commands), 6.3 (registers).
 *
 * Pure: registers and memory are reached through what the caller gives, so that every operation can
 * be recorded.  One linear stream table; a stream that nobody has is aborted.  Commands are polled
 * to their end.
 *
 * Threading: the caller's lock.
 */
#ifndef HULL_ISA_AARCH64_SMMU_H
#define HULL_ISA_AARCH64_SMMU_H

#include <hull/error.h>
#include <hull/types.h>

enum { HULL_SMMU_STE_BYTES = 64, HULL_SMMU_CMD_BYTES = 16 };

struct hull_smmu_ops {
	uint32_t (*read)(void *arg, uint32_t reg);
	void (*write)(void *arg, uint32_t reg, uint32_t value);
	void (*write64)(void *arg, uint32_t reg, uint64_t value);
	/* A word of the stream table or of the queue, `at` its host-physical address. */
	void (*store)(void *arg, hull_hpa at, uint64_t value);
	/* What was stored is seen by the SMMU before what is written next. */
	void (*barrier)(void *arg);
};

struct hull_smmu {
	const struct hull_smmu_ops *ops;
	void *arg;
	hull_hpa table; /* aligned to its size: (64 << log2_streams) bytes */
	hull_hpa queue; /* (16 << log2_commands) bytes, aligned likewise */
	uint8_t log2_streams, log2_commands;
	uint32_t prod; /* as the register has it */
};

/*
 * Fill the table with aborts, start the queue, forget what is cached, switch it on.  The fields
 * above but `prod` are set.  HULL_ENOTSUP: no stage 2 or 4 KiB granules, or smaller than that;
 * HULL_EIO: it does not answer.
 */
int hull_smmu_start(struct hull_smmu *s, struct hull_err *err);

/*
 * Stream `sid` goes through the tables at `root`, which VTCR_EL2 `vtcr` describes, as `vmid`.  It
 * was nobody's.  HULL_EINVAL: no such stream.  HULL_EIO.
 */
int hull_smmu_assign(struct hull_smmu *s, uint32_t sid, uint16_t vmid, hull_hpa root, uint64_t vtcr,
                     struct hull_err *err);

/* It is nobody's again; nothing of `vmid` is cached when this returns.  As above. */
int hull_smmu_release(struct hull_smmu *s, uint32_t sid, uint16_t vmid, struct hull_err *err);

/* After a change of the tables: forget the translation of a page, or (`bytes` 0) all of `vmid`. */
int hull_smmu_forget(struct hull_smmu *s, uint16_t vmid, hull_gpa gpa, uint64_t bytes,
                     struct hull_err *err);

#endif
