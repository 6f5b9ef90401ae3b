/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Configuration of one VM, resolved: numbers instead of text, checked as a
 * whole by hull_config_check().  Filled in by a program or by the TOML and
 * command-line front end; bare metal unpacks it from the boot image.
 *
 * A plain value: copy it, keep it on the stack.  hull_vm_create() keeps a copy.
 */
#ifndef HULL_CONFIG_H
#define HULL_CONFIG_H

#include <hull/accel.h>
#include <hull/error.h>
#include <hull/types.h>

enum {
	HULL_NAME_MAX = 64,
	HULL_MAX_REGIONS = 16,
	HULL_MAX_DEVICES = 48,
	HULL_MAX_PASSTHROUGH = 16,
	HULL_MAX_SPIS = 64,
	HULL_MAX_DEV_ARGS = 8,
	HULL_MAX_HOST_CPUS = 64,
	HULL_ENGINE_PATH_MAX = 512,
	HULL_CPU_MODEL_MAX = 64,
};

enum hull_vm_kind { HULL_KIND_GENERAL, HULL_KIND_LINUX, HULL_KIND_RTOS, HULL_KIND_HOST };
enum hull_irq_mode { HULL_IRQ_EMULATED, HULL_IRQ_PASSTHROUGH, HULL_IRQ_NONE };

/* Where the host memory of a region comes from. */
enum hull_map_kind {
	HULL_MAP_ALLOC,    /* pages from the HAL, anywhere */
	HULL_MAP_IDENTITY, /* host-physical = guest-physical, claimed from the HAL */
	HULL_MAP_RESERVED, /* host range `hpa` that was set aside before; claimed at hpa */
};

struct hull_region_config {
	hull_gpa gpa;
	uint64_t size; /* bytes, page aligned, not 0 */
	unsigned attr; /* HULL_MEM_* */
	enum hull_map_kind map;
	hull_hpa hpa; /* RESERVED only */
};

/* How the guest reaches a device. */
enum hull_device_bus {
	HULL_BUS_AUTO, /* as the board prefers */
	HULL_BUS_MMIO,
	HULL_BUS_PCI, /* virtio devices only; the board chooses address and interrupt */
};

struct hull_device_config {
	char type[HULL_NAME_MAX]; /* a registered device type */
	char name[HULL_NAME_MAX]; /* unique in the VM; empty: made from the type */
	hull_gpa gpa;             /* 0: the board chooses */
	uint64_t size;            /* 0: what the type needs */
	uint32_t irq;             /* 0: the board chooses */
	enum hull_device_bus bus;
	uint64_t args[HULL_MAX_DEV_ARGS]; /* values of the type's property table, in its order */
	uint8_t nargs;
};

struct hull_passthrough_config {
	char name[HULL_NAME_MAX];
	hull_gpa gpa;
	hull_hpa hpa;
	uint64_t size;
	uint32_t irq;
};

/* How Hull's own engine runs instructions. */
enum hull_engine_mode {
	HULL_ENGINE_AUTO,   /* the best of this build and host */
	HULL_ENGINE_INTERP, /* decoded blocks */
	HULL_ENGINE_JIT,    /* tier 1: translated blocks */
	HULL_ENGINE_HYBRID, /* interpreter and translator at the same time */
	HULL_ENGINE_HW,     /* not this engine: an accelerator of the host */
	HULL_ENGINE_OPT,    /* tier 2 as well: translated regions, optimised */
	HULL_ENGINE_EVAL,   /* the IR, node by node: slow, a judge for the others */
};
enum hull_code_cache_policy {
	HULL_CODE_CACHE_ADAPTIVE,
	HULL_CODE_CACHE_GENERATIONAL,
	HULL_CODE_CACHE_INCREMENTAL,
	HULL_CODE_CACHE_CONCURRENT,
};
enum hull_promotion {
	HULL_PROMOTION_FIXED, /* by thresholds, decaying */
	HULL_PROMOTION_EAGER, /* whatever is seen once: for tests */
};
enum hull_engine_perf { HULL_PERF_NONE, HULL_PERF_MAP, HULL_PERF_JITDUMP };

/* For the engine; other accelerators ignore it.  All zero: its defaults. */
struct hull_engine_config {
	enum hull_engine_mode mode;
	enum hull_code_cache_policy cache_policy;
	enum hull_promotion promotion;
	enum hull_engine_perf perf; /* tell the host's profiler about translated code */
	uint64_t cache_bytes;       /* for code of all vCPUs together, page aligned; 0: 128 MiB */
	/*
	 * Executions of a block before tier 1 and tier 2 translate it, if promotion is FIXED; 0: as
	 * the engine likes, else tier1 <= tier2.
	 */
	uint32_t tier1_threshold, tier2_threshold;
	uint64_t chaos;                       /* seed for random switches of the tier; 0: none */
	char cache_dir[HULL_ENGINE_PATH_MAX]; /* where code is kept between runs; empty: nowhere */
	char perf_dir[HULL_ENGINE_PATH_MAX];  /* for the dump of HULL_PERF_JITDUMP; empty: /tmp */
};

/* For accelerators of the host; the engine ignores it.  All zero: their defaults. */
struct hull_hw_config {
	enum hull_irqchip irqchip;          /* a wish: hull_vm_irqchip() says what it became */
	char cpu_model[HULL_CPU_MODEL_MAX]; /* "host", "x86-64-v3", ...; empty: the default */
	uint32_t dirty_ring; /* entries per vCPU of a ring for dirty pages; 0: bitmaps */
};

struct hull_vm_config {
	uint32_t id;
	char name[HULL_NAME_MAX];
	enum hull_vm_kind kind;
	enum hull_isa isa;
	enum hull_irq_mode irq_mode;

	uint32_t cpu_num;   /* 1..HULL_MAX_VCPUS */
	uint32_t nphys_ids; /* 0: vCPU i has the hardware id i */
	uint64_t phys_ids[HULL_MAX_VCPUS];
	uint32_t naffinity;                /* 0: any host CPU; else one mask per vCPU */
	uint64_t affinity[HULL_MAX_VCPUS]; /* bit n: host CPU n is allowed */

	hull_gpa bsp_entry, ap_entry; /* 0: the loader decides */

	uint32_t nregions;
	struct hull_region_config regions[HULL_MAX_REGIONS];
	uint32_t ndevices;
	struct hull_device_config devices[HULL_MAX_DEVICES];
	uint32_t npassthrough;
	struct hull_passthrough_config passthrough[HULL_MAX_PASSTHROUGH];
	uint32_t nspis;
	uint32_t spis[HULL_MAX_SPIS]; /* interrupt ids, not SPI numbers */

	hull_gpa ivc_gpa; /* window for IVC channels; size 0: none */
	uint64_t ivc_size;

	bool deterministic;   /* instruction-counted time, one thread */
	uint64_t ns_per_insn; /* deterministic only; 0: 10 */
	uint64_t random_seed; /* 0: from the HAL, or 1 if deterministic */

	struct hull_engine_config engine;
	struct hull_hw_config hw;
};

/* A placement of one vCPU (hull_config_place). */
struct hull_vcpu_place {
	uint32_t vcpu;
	uint64_t allow_mask; /* all ones: anywhere */
	uint64_t phys_id;
};

/* A configuration with one vCPU, no memory and no devices. */
HULL_EXPORT void hull_config_init(struct hull_vm_config *c, enum hull_isa isa, const char *name);

/*
 * Check everything that can be checked without a host: counts, names,
 * alignment, wrap, overlap, duplicates, masks.  HULL_EINVAL with the key and
 * the reason (E01xx); `c` is not changed.
 */
HULL_EXPORT int hull_config_check(const struct hull_vm_config *c, struct hull_err *err);

/* Append; HULL_EOVERFLOW if the table is full, HULL_EINVAL for bad values or an overlap. */
HULL_EXPORT int hull_config_add_region(struct hull_vm_config *c, const struct hull_region_config *r,
                                       struct hull_err *err);
HULL_EXPORT int hull_config_add_device(struct hull_vm_config *c, const struct hull_device_config *d,
                                       struct hull_err *err);
HULL_EXPORT int hull_config_add_passthrough(struct hull_vm_config *c,
                                            const struct hull_passthrough_config *p,
                                            struct hull_err *err);
HULL_EXPORT int hull_config_add_spi(struct hull_vm_config *c, uint32_t intid, struct hull_err *err);

/* Does one memory region contain all of [gpa, gpa + len)? */
HULL_EXPORT bool hull_config_contains(const struct hull_vm_config *c, hull_gpa gpa, uint64_t len);

/* Placement of vCPU `i`; HULL_EINVAL if i >= cpu_num.  Defaults: anywhere, hardware id i. */
HULL_EXPORT int hull_config_place(const struct hull_vm_config *c, uint32_t i,
                                  struct hull_vcpu_place *ret);

#endif
