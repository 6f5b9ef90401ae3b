/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The host's GICv3, as far as the hypervisor needs it: its own timers, kicks between CPUs, and what
 * belongs to guests.
 *
 * Spec: Arm IHI 0069 (GICv3): 12.9 (distributor), 12.11 (redistributor), 12.2 (CPU interface).
 *
 * EOImode 1: an acknowledged interrupt is dropped at once, and deactivated by whoever has served
 * it. Threading: init on one CPU first, then metal_gic_init_cpu() on each.
 */
#ifndef HULL_METAL_AARCH64_GIC_H
#define HULL_METAL_AARCH64_GIC_H

#include "metal/aarch64/board.h"

enum { METAL_SGI_KICK = 0, METAL_INTID_NONE = 1023 };

/* HULL_ENOTSUP: no redistributor of this CPU. */
int metal_gic_init(const struct metal_board *b, struct hull_err *err);
int metal_gic_init_cpu(const struct metal_board *b, struct hull_err *err);

/* PPIs of this CPU (16..31). */
void metal_gic_enable_ppi(uint32_t intid);

/* Let an SPI (32..1019) come to the CPU that runs, as it is triggered by `edge`s or a level. */
void metal_gic_enable_spi(uint32_t intid, bool edge);
void metal_gic_disable_spi(uint32_t intid);
/* It is neither active nor pending any more, unless it comes again. */
void metal_gic_end_spi(uint32_t intid);

/* Acknowledge and drop; METAL_INTID_NONE: nothing is pending. */
uint32_t metal_gic_take(void);
void metal_gic_deactivate(uint32_t intid);
/* Make a PPI active, as if it had been taken, or not. */
void metal_gic_set_active(uint32_t intid, bool on);

/* Make another CPU take METAL_SGI_KICK. */
void metal_gic_kick(uint64_t mpidr);

#endif
