/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "isa/aarch64/smmu.h"

#include "base/bits.h"

enum { /* registers (6.3) */
       IDR0 = 0x00,
       IDR1 = 0x04,
       IDR5 = 0x14,
       CR0 = 0x20,
       CR0ACK = 0x24,
       CR1 = 0x28,
       CR2 = 0x2c,
       STRTAB_BASE = 0x80,
       STRTAB_BASE_CFG = 0x88,
       CMDQ_BASE = 0x90,
       CMDQ_PROD = 0x98,
       CMDQ_CONS = 0x9c
};
enum { IDR0_S2P = 1, IDR5_GRAN4K = 1 << 4 };
enum { CR0_SMMUEN = 1, CR0_CMDQEN = 1 << 3 };
enum { CR1_WRITE_BACK_INNER_SHAREABLE = 0xd75, CR2_PTM = 4, CR2_RECINVSID = 2 };
enum { /* commands (4.1.3) */
       CFGI_STE = 0x03,
       CFGI_STE_RANGE = 0x04,
       TLBI_S12_VMALL = 0x28,
       TLBI_S2_IPA = 0x2a,
       TLBI_NSNH_ALL = 0x30,
       SYNC = 0x46
};
enum { LEAF = 1, ALL_STREAMS = 31 };
enum { PATIENCE = 1000000, PAGES_MOST = 64 };

/* Stream table entries (5.2): word 0, 1 and 2. */
#define STE_VALID  BIT(0)
#define STE_STAGE2 (UINT64_C(6) << 1)
#define STE_SHCFG  (UINT64_C(1) << 44) /* the device's own shareability */
#define STE_AA64   BIT(51)
#define STE_PTW    BIT(54)           /* tables of stage 1 in device memory: a fault */
#define STE_RECORD BIT(58)           /* S2R: faults are told */
#define VTCR_MASK  UINT64_C(0x7ffff) /* T0SZ to PS lie as in VTCR_EL2 */
#define ADDRESS    UINT64_C(0x000ffffffffff000)
#define READ_ALLOC BIT(62)
#define CONS_ERROR UINT32_C(0x7f000000)

static uint32_t read(const struct hull_smmu *s, uint32_t reg)
{
	return s->ops->read(s->arg, reg);
}

static void write(const struct hull_smmu *s, uint32_t reg, uint32_t value)
{
	s->ops->write(s->arg, reg, value);
}

static int silent(struct hull_err *err)
{
	return hull_fail(err, HULL_EIO, 0, "the SMMU does not answer");
}

static bool await(const struct hull_smmu *s, uint32_t reg, uint32_t mask, uint32_t value)
{
	for (unsigned i = 0; i < PATIENCE; i++)
		if ((read(s, reg) & mask) == value)
			return true;
	return false;
}

/* Index and wrap bit. */
static uint32_t position(const struct hull_smmu *s, uint32_t v)
{
	return v & (uint32_t)low_mask(s->log2_commands + 1U);
}

/* There is always room: each operation waits for its own end. */
static void command(struct hull_smmu *s, uint64_t low, uint64_t high)
{
	uint64_t index = s->prod & low_mask(s->log2_commands);
	hull_hpa at = s->queue + index * HULL_SMMU_CMD_BYTES;

	s->ops->store(s->arg, at, low);
	s->ops->store(s->arg, at + 8, high);
	s->prod = position(s, s->prod + 1);
}

static int finish(struct hull_smmu *s, struct hull_err *err)
{
	command(s, SYNC, 0);
	s->ops->barrier(s->arg);
	write(s, CMDQ_PROD, s->prod);
	for (unsigned i = 0; i < PATIENCE; i++) {
		uint32_t cons = read(s, CMDQ_CONS);

		if (cons & CONS_ERROR && position(s, cons) != s->prod)
			return hull_fail(err, HULL_EIO, 0, "the SMMU refuses a command: 0x%x",
			                 cons);
		if (position(s, cons) == s->prod)
			return 0;
	}
	return silent(err);
}

static int check(const struct hull_smmu *s, struct hull_err *err)
{
	uint32_t idr1 = read(s, IDR1);

	if (!(read(s, IDR0) & IDR0_S2P))
		return hull_fail(err, HULL_ENOTSUP, 0, "the SMMU has no stage 2");
	if (!(read(s, IDR5) & IDR5_GRAN4K))
		return hull_fail(err, HULL_ENOTSUP, 0, "the SMMU has no 4 KiB pages");
	/* The longest operation must fit into the queue. */
	if (s->log2_streams > bits(idr1, 5, 0) || s->log2_commands > bits(idr1, 25, 21) ||
	    BIT(s->log2_commands) < PAGES_MOST + 2)
		return hull_fail(err, HULL_ENOTSUP, 0,
		                 "the SMMU has %u bits of streams and %u of commands",
		                 (unsigned)bits(idr1, 5, 0), (unsigned)bits(idr1, 25, 21));
	return 0;
}

static hull_hpa entry(const struct hull_smmu *s, uint32_t sid)
{
	return s->table + (uint64_t)sid * HULL_SMMU_STE_BYTES;
}

int hull_smmu_start(struct hull_smmu *s, struct hull_err *err)
{
	int r = check(s, err);

	if (r)
		return r;
	write(s, CR0, 0);
	if (!await(s, CR0ACK, UINT32_MAX, 0))
		return silent(err);
	/* Valid, and Config 0: aborted, and not told. */
	for (uint32_t sid = 0; sid < BIT(s->log2_streams); sid++)
		for (unsigned i = 0; i < HULL_SMMU_STE_BYTES; i += 8)
			s->ops->store(s->arg, entry(s, sid) + i, i ? 0 : STE_VALID);
	s->prod = 0;
	write(s, CR1, CR1_WRITE_BACK_INNER_SHAREABLE);
	write(s, CR2, CR2_PTM | CR2_RECINVSID);
	s->ops->write64(s->arg, STRTAB_BASE, (s->table & ADDRESS) | READ_ALLOC);
	write(s, STRTAB_BASE_CFG, s->log2_streams);
	s->ops->write64(s->arg, CMDQ_BASE, (s->queue & ADDRESS) | READ_ALLOC | s->log2_commands);
	write(s, CMDQ_PROD, 0);
	write(s, CMDQ_CONS, 0);
	write(s, CR0, CR0_CMDQEN);
	if (!await(s, CR0ACK, CR0_CMDQEN, CR0_CMDQEN))
		return silent(err);
	command(s, CFGI_STE_RANGE, ALL_STREAMS);
	command(s, TLBI_NSNH_ALL, 0);
	r = finish(s, err);
	if (r)
		return r;
	write(s, CR0, CR0_CMDQEN | CR0_SMMUEN);
	return await(s, CR0ACK, CR0_SMMUEN, CR0_SMMUEN) ? 0 : silent(err);
}

static int check_stream(const struct hull_smmu *s, uint32_t sid, struct hull_err *err)
{
	return sid >> s->log2_streams ? hull_fail(err, HULL_EINVAL, 0, "there is no stream %u", sid)
	                              : 0;
}

/* 3.21.3.1: the word that makes it valid is stored when the SMMU sees the others. */
int hull_smmu_assign(struct hull_smmu *s, uint32_t sid, uint16_t vmid, hull_hpa root, uint64_t vtcr,
                     struct hull_err *err)
{
	uint64_t stage2 = vmid | (vtcr & VTCR_MASK) << 32 | STE_AA64 | STE_PTW | STE_RECORD;
	hull_hpa at = entry(s, sid);
	int r = check_stream(s, sid, err);

	if (r)
		return r;
	s->ops->store(s->arg, at + 8, STE_SHCFG);
	s->ops->store(s->arg, at + 16, stage2);
	s->ops->store(s->arg, at + 24, root & ADDRESS);
	command(s, CFGI_STE | (uint64_t)sid << 32, LEAF);
	r = finish(s, err);
	if (r)
		return r;
	s->ops->store(s->arg, at, STE_VALID | STE_STAGE2);
	command(s, CFGI_STE | (uint64_t)sid << 32, LEAF);
	return finish(s, err);
}

int hull_smmu_release(struct hull_smmu *s, uint32_t sid, uint16_t vmid, struct hull_err *err)
{
	int r = check_stream(s, sid, err);

	if (r)
		return r;
	s->ops->store(s->arg, entry(s, sid), STE_VALID);
	command(s, CFGI_STE | (uint64_t)sid << 32, LEAF);
	r = finish(s, err);
	return r ? r : hull_smmu_forget(s, vmid, 0, 0, err);
}

int hull_smmu_forget(struct hull_smmu *s, uint16_t vmid, hull_gpa gpa, uint64_t bytes,
                     struct hull_err *err)
{
	uint64_t pages = (bytes + (gpa & HULL_PAGE_MASK) + HULL_PAGE_MASK) / HULL_PAGE_SIZE;

	if (!bytes || pages > PAGES_MOST)
		command(s, TLBI_S12_VMALL | (uint64_t)vmid << 32, 0);
	else
		for (uint64_t i = 0; i < pages; i++)
			command(s, TLBI_S2_IPA | (uint64_t)vmid << 32,
			        LEAF | ((gpa + i * HULL_PAGE_SIZE) & ADDRESS));
	return finish(s, err);
}
