/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Hull's virtio-blk in this process: a VM without a CPU, the mmio transport, a disk behind it. */
#include "bench.h"

#include <hull/host.h>
#include <hull/vm.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "core/bus.h"
#include "core/dev_impl.h"
#include "host/block/disk.h"

#define MMIO UINT64_C(0x10000000)

enum {
	SEL = 0x24,
	FEATURES = 0x20,
	NUM = 0x38,
	READY = 0x44,
	NOTIFY = 0x50,
	ACK = 0x64,
	STATUS = 0x70,
	DESC = 0x80,
	DRIVER = 0x90,
	DEVICE = 0xa0
};

struct inside {
	struct hull_block null; /* first */
	struct hull_block *disk;
	struct hull_vm *vm;
	struct hull_irq_sink sink;
	int call;
};

static void set(struct bench_device *d, uint64_t reg, uint32_t val)
{
	struct inside *in = d->inside;

	if (!hull_bus_write(in->vm, HULL_SPACE_MMIO, MMIO + reg, 4, val))
		bench_die("device", "bus error");
}

static int null_submit(struct hull_block *b, struct hull_block_req *req)
{
	req->status = 0;
	return 1;
}

static void null_drain(struct hull_block *b)
{
	(void)b;
}

static void interrupt(struct hull_irq_sink *sink, uint32_t input, bool level)
{
	struct inside *in = CONTAINER_OF(sink, struct inside, sink);
	uint64_t one = 1;

	if (level && write(in->call, &one, sizeof(one)) != sizeof(one))
		bench_die("eventfd", "cannot be written");
}

static void kick(struct bench_device *d)
{
	set(d, NOTIFY, 0);
}

static void ack(struct bench_device *d)
{
	set(d, ACK, 1);
}

struct hull_block *bench_open_disk(const struct bench_disk *what)
{
	struct hull_image_options o = { .path = what->path,
		                        .format = what->format,
		                        .direct = what->direct };
	struct hull_disk_options disk = { .serial = "bench", .aio = (enum hull_disk_aio)what->aio };
	struct hull_image *img;
	struct hull_block *b;
	struct hull_err err = { 0 };

	if (hull_image_open(&o, &img, &err) || hull_disk_open(&disk, img, &b, &err))
		bench_die(what->path, err.text);
	return b;
}

static struct hull_block *open_disk(struct inside *in, const struct bench_disk *what)
{
	in->null = (struct hull_block){ .size = what->size,
		                        .submit = null_submit,
		                        .drain = null_drain };
	if (hull_text_eq(what->path, "null"))
		return &in->null;
	in->disk = bench_open_disk(what);
	return in->disk;
}

static void make_vm(struct inside *in, uint8_t *memory, struct hull_block *disk)
{
	static struct hull_vm_config config;
	struct hull_dev_setup setup = { .type = hull_dev_type_find("virtio-blk"),
		                        .name = "disk",
		                        .gpa = MMIO,
		                        .backend = disk };
	struct hull_err err = { 0 };
	struct hull_dev *dev;

	hull_config_init(&config, HULL_ISA_RISCV64, "bench");
	if (hull_vm_create(&config, hull_host_hal(), hull_accel_find("fake"), &in->vm, &err) ||
	    hull_vm_map(in->vm, BENCH_BASE, memory, BENCH_MEMORY, HULL_MEM_R | HULL_MEM_W, &err) ||
	    hull_dev_create(in->vm, &setup, &dev, &err))
		bench_die("vm", err.text);
	in->sink.set = interrupt;
	hull_dev_wire(dev, 0, (struct hull_irq){ &in->sink, 0 });
	hull_dev_enter(dev);
	dev->type->reset(dev);
	hull_dev_leave(dev);
}

void bench_open_hull(struct bench_device *d, const struct bench_disk *disk)
{
	static const uint32_t where[] = { BENCH_DESC, BENCH_AVAIL, BENCH_USED };
	struct inside *in = calloc(1, sizeof(*in));

	if (!in)
		bench_die("memory", "cannot be had");
	in->call = d->call;
	d->inside = in;
	d->kick = kick;
	d->ack = ack;
	make_vm(in, d->memory, open_disk(in, disk));
	set(d, STATUS, 3);
	for (uint32_t half = 0; half < 2; half++) {
		set(d, SEL, half);
		set(d, FEATURES, (uint32_t)(BENCH_FEATURES >> 32 * half));
	}
	set(d, STATUS, 11);
	set(d, NUM, BENCH_NUM);
	for (unsigned i = 0; i < 3; i++)
		set(d, DESC + 16 * i, (uint32_t)BENCH_BASE + where[i]);
	set(d, READY, 1);
	set(d, STATUS, 15);
}

void bench_close_hull(struct bench_device *d)
{
	struct inside *in = d->inside;
	struct hull_err err;

	set(d, STATUS, 0);
	if (hull_vm_destroy(in->vm, &err))
		bench_die("vm", err.text);
	hull_disk_close(in->disk);
	free(in);
}
