/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * options: --virtio-transport pci --net none.  A function on PCI: its configuration space, BARs in
 * wrong places, interrupts by message, or by line where there are no messages.
 *
 * The function is the source of random bytes (VIRTIO 1.3, 4.1 and 5.4).
 */
#include "micro.h"

enum { COMMAND = 4, BAR0 = 0x10, BAR2 = 0x18, CAPS = 0x34 };
enum { MEMORY = 2, MASTER = 4, NO_INTX = 0x400 };
enum { CAP_VENDOR = 9, CAP_MSIX = 0x11, MSIX_ENABLE = 0x8000, MASKED = 1 };
enum { COMMON = 1, NOTIFY, ISR };                                  /* virtio_pci_cap.cfg_type */
enum { REGS_AT = 0, TABLE_AT = 0x10000, VECTORS = 2, BYTES = 32 }; /* our choice; of the device */
enum { RNG = 0x10441af4, SLOTS = 32, QUEUE_SIZE = 4, TURNS = 20 };

static uintptr_t config, regs, notify, isr;
static unsigned slot, msix;
static volatile unsigned seen;
static uint8_t random[BYTES];

static struct {
	struct {
		uint64_t address;
		uint32_t length;
		uint16_t flags, next;
	} desc[QUEUE_SIZE];
	uint16_t avail_flags, avail, ring[QUEUE_SIZE], unused;
	uint32_t padding[2];
	volatile uint16_t used_flags, used;
	struct {
		volatile uint32_t id, length;
	} done[QUEUE_SIZE];
} queue __attribute__((aligned(4096)));

#define GET(bits, at)      (*(volatile uint##bits##_t *)(at))
#define SET(bits, at, val) (*(volatile uint##bits##_t *)(at) = (val))

static bool find(void)
{
	for (slot = 0; slot < SLOTS; slot++) {
		config = arch_pci.ecam + (slot << 15);
		if (GET(32, config) == RNG)
			return true;
	}
	return false;
}

/* Structures are where their capabilities say, in BAR 0. */
static void look(void)
{
	uintptr_t base = arch_pci.window + REGS_AT;

	for (unsigned at = GET(8, config + CAPS); at; at = GET(8, config + at + 1)) {
		uintptr_t place = base + GET(32, config + at + 8);

		if (GET(8, config + at) == CAP_MSIX)
			msix = at;
		if (GET(8, config + at) != CAP_VENDOR)
			continue;
		switch (GET(8, config + at + 3)) {
		case COMMON: regs = place; break;
		case NOTIFY: notify = place; break;
		case ISR: isr = place; break;
		}
	}
}

static void put_bars(uint64_t first, uint32_t second)
{
	SET(16, config + COMMAND, 0);
	SET(32, config + BAR0, (uint32_t)first);
	SET(32, config + BAR0 + 4, (uint32_t)(first >> 32));
	SET(32, config + BAR2, second);
	SET(16, config + COMMAND, MEMORY | MASTER);
}

static void put_back(void)
{
	put_bars(arch_pci.window + REGS_AT, (uint32_t)arch_pci.window + TABLE_AT);
}

static void message(unsigned vector, uint64_t address, uint32_t data, uint32_t control)
{
	uintptr_t entry = arch_pci.window + TABLE_AT + 16 * vector;

	SET(32, entry, (uint32_t)address);
	SET(32, entry + 4, (uint32_t)(address >> 32));
	SET(32, entry + 8, data);
	SET(32, entry + 12, control);
}

/* Keep its interrupt back. */
static void hold(bool on)
{
	if (arch_pci.messages)
		message(1, arch_pci.address, arch_pci.data, on ? MASKED : 0);
	else
		SET(16, config + COMMAND, MEMORY | MASTER | (on ? NO_INTX : 0));
}

static void handle(void)
{
	seen++;
	(void)GET(8, isr); /* takes a line back */
}

static bool start(void)
{
	SET(8, regs + 0x14, 0); /* device status: reset, then driver */
	SET(8, regs + 0x14, 3);
	SET(32, regs + 8, 1); /* of the features those above 32: */
	SET(32, regs + 12, 1);
	SET(8, regs + 0x14, 11);
	if (!(GET(8, regs + 0x14) & 8))
		return false;
	SET(16, regs + 0x16, 0);
	SET(16, regs + 0x18, QUEUE_SIZE);
	SET(16, regs + 0x1a, arch_pci.messages ? 1 : 0xffff);
	SET(64, regs + 0x20, (uintptr_t)queue.desc);
	SET(64, regs + 0x28, (uintptr_t)&queue.avail_flags);
	SET(64, regs + 0x30, (uintptr_t)&queue.used_flags);
	SET(16, regs + 0x1c, 1);
	SET(8, regs + 0x14, 15);
	queue.desc[0].address = (uintptr_t)random;
	queue.desc[0].length = BYTES;
	queue.desc[0].flags = 2; /* the device writes */
	return true;
}

/* Ask once more for random bytes. */
static void ask(void)
{
	queue.ring[queue.avail % QUEUE_SIZE] = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*(volatile uint16_t *)&queue.avail = (uint16_t)(queue.avail + 1);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	SET(32, notify, 0);
}

static void pause_with_interrupts(void)
{
	arch_irq_on();
	for (volatile unsigned i = 0; i < 20000; i++)
		;
	arch_irq_off();
}

static void check_config(void)
{
	uintptr_t nobody = arch_pci.ecam + (SLOTS - 1) * 0x8000;
	bool same = GET(16, config) == 0x1af4 && GET(16, config + 2) == 0x1044 &&
	            GET(8, config) == 0xf4 && GET(8, config + 3) == 0x10;

	ok(same, "configuration space by every width");
	ok(GET(32, nobody) == UINT32_MAX && GET(16, nobody) == UINT16_MAX &&
	           GET(8, nobody + 14) == UINT8_MAX,
	   "no function, all ones");
	SET(32, config, 0);
	SET(32, config + 8, UINT32_MAX);
	ok(GET(32, config) == RNG, "what it is cannot be changed");
}

static void check_places(void)
{
	volatile uint32_t *ram = (uint32_t *)arch_spare();
	bool kept = true;

	ram[0] = 0x600d600d;
	put_bars((uintptr_t)ram & ~UINT64_C(0x3fff), (uint32_t)(uintptr_t)ram);
	kept = ram[0] == 0x600d600d;
	ram[0] = 0x5a5a5a5a;
	kept = kept && ram[0] == 0x5a5a5a5a;
	put_bars(UINT64_MAX, UINT32_MAX);
	put_bars(0, 0);
	put_bars(arch_pci.ecam, (uint32_t)arch_pci.ecam);
	kept = kept && GET(32, config) == RNG;
	ok(kept, "BARs over memory and over configuration space change nothing");
	put_bars(arch_pci.window, (uint32_t)arch_pci.window); /* one over the other */
	(void)GET(32, arch_pci.window);
	SET(32, arch_pci.window, 1);
	put_back();
	look();
	SET(16, regs + 0x16, 0);
	ok(GET(16, regs + 0x12) == 1 && GET(16, regs + 0x18) >= QUEUE_SIZE,
	   "back in its place it answers");
}

static void check_vectors(void)
{
	SET(16, regs + 0x1a, VECTORS);
	ok(GET(16, regs + 0x1a) == UINT16_MAX, "no vector beyond the table");
	for (unsigned i = VECTORS; i < 0x800 / 16; i++) /* behind it */
		message(i, UINT64_MAX, UINT32_MAX, 0);
	SET(32, arch_pci.window + TABLE_AT + 0x800, UINT32_MAX); /* pending bits are read only */
	if (arch_pci.messages)
		SET(16, config + msix + 2, MSIX_ENABLE);
	/* Addresses that are nobody's, CPUs that are not there, reserved modes. */
	for (unsigned bit = 0; bit < 64; bit++) {
		message(1, UINT64_C(1) << bit, UINT32_MAX, 0);
		if (start())
			ask();
		message(1, arch_pci.address | 0xff000, UINT32_C(1) << (bit & 31), 0);
		ask();
	}
	SET(8, regs + 0x14, 0);
	pause_with_interrupts();
	ok(true, "messages to where nobody is");
}

static void check_interrupts(void)
{
	unsigned before;
	bool right;

	queue.avail = queue.used = 0;
	message(1, arch_pci.address, arch_pci.data, 0);
	if (!arch_pci.messages)
		arch_pci_line(slot);
	handlers[LINE] = handle;
	seen = 0;
	ok(start(), "its driver starts");
	for (unsigned i = 1; i <= TURNS; i++) {
		ask();
		while (seen < i)
			arch_wait();
	}
	pause_with_interrupts();
	ok(seen == TURNS && queue.used == TURNS && queue.done[0].length == BYTES,
	   "twenty requests, twenty interrupts");
	hold(true);
	before = seen;
	ask();
	while (queue.used != TURNS + 1)
		;
	pause_with_interrupts();
	right = seen == before;
	hold(false);
	pause_with_interrupts();
	ok(right && seen == before + 1, "one that is held back comes later");
	SET(16, config + COMMAND, MEMORY); /* no bus master: it may not touch memory */
	ask();
	pause_with_interrupts();
	ok(queue.used == TURNS + 1 && seen == before + 1, "no bus master, no interrupt");
}

void test(void)
{
	plan(11);
	if (!find()) {
		print("# no such function\n");
		return;
	}
	check_config();
	check_places();
	check_vectors();
	check_interrupts();
}
