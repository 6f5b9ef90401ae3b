/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What may be wrong with a guest: a table of causes, tried from the most to the
 * least certain.  A row has a test of the evidence, which also writes what is
 * particular to the case.
 */
#include "debug/diagnosis.h"

#include <string.h>

#include "base/bits.h"
#include "base/text.h"
#include "core/vcpu.h"
#include "isa/riscv64/regs.h"

enum { E_SILENT = 760, E_PANIC = 761, E_DEAD = 762 };

static bool printed(const struct hull_doctor_facts *f, const char *text)
{
	return strstr(f->tail, text) != NULL;
}

/* The value of NAME= in the command line, the last one wins; "" if there is none. */
static void argument(const struct hull_doctor_facts *f, const char *name, char *buf, size_t size)
{
	size_t len = strlen(name);
	const char *at = f->cmdline;

	buf[0] = '\0';
	while (at && (at = strstr(at, name))) {
		if ((at == f->cmdline || at[-1] == ' ') && at[len] == '=') {
			const char *value = at + len + 1;

			hull_format(buf, size, "%.*s", (int)MIN(strcspn(value, " "), (size_t)120),
			            value);
		}
		at += len;
	}
}

static void likely(struct hull_diagnosis *g, const char *text)
{
	hull_format(g->likely, sizeof(g->likely), "%s", text);
}

static bool no_root(const struct hull_doctor_facts *f, struct hull_diagnosis *g)
{
	char root[128];

	if (!printed(f, "Unable to mount root fs"))
		return false;
	argument(f, "root", root, sizeof(root));
	if (!root[0] && !f->initrd)
		likely(g, "there is no root= on the command line and no initrd");
	else if (!root[0])
		likely(g, "the initrd has no /init that the kernel can run, and there is no root=");
	else if (!f->disks)
		hull_format(g->likely, sizeof(g->likely), "root=%s, but the VM has no disk", root);
	else
		hull_format(g->likely, sizeof(g->likely),
		            "root=%s does not exist, or its driver or file system is not in this "
		            "kernel",
		            root);
	hull_format(g->try_this, sizeof(g->try_this), "hull run ... %s",
	            f->disks ? "--append 'root=/dev/vda'  or  --initrd FILE"
	                     : "--initrd FILE  or  --disk FILE --append 'root=/dev/vda'");
	return true;
}

static bool no_init(const struct hull_doctor_facts *f, struct hull_diagnosis *g)
{
	if (!printed(f, "No working init found") && !printed(f, "No init found"))
		return false;
	likely(g, "the root file system has no program to start: no /sbin/init, /init or /bin/sh");
	hull_format(g->try_this, sizeof(g->try_this), "--append 'init=/path/to/program'");
	return true;
}

static bool init_died(const struct hull_doctor_facts *f, struct hull_diagnosis *g)
{
	if (!printed(f, "Attempted to kill init"))
		return false;
	likely(g, "the first process of the guest ended or was killed");
	return true;
}

static bool out_of_memory(const struct hull_doctor_facts *f, struct hull_diagnosis *g)
{
	if (!printed(f, "Out of memory") && !printed(f, "System is deadlocked on memory") &&
	    !printed(f, "out of memory"))
		return false;
	likely(g, "the guest ran out of memory");
	hull_format(g->try_this, sizeof(g->try_this), "hull run ... --memory 2G");
	return true;
}

static bool other_panic(const struct hull_doctor_facts *f, struct hull_diagnosis *g)
{
	const char *at = strstr(f->tail, "Kernel panic - not syncing: ");

	if (!f->panicked)
		return false;
	if (at)
		hull_format(g->likely, sizeof(g->likely), "what the kernel says: %.*s",
		            (int)MIN(strcspn(at + 28, "\n"), (size_t)160), at + 28);
	else
		likely(g, "the kernel's own message above says why");
	return true;
}

static const struct hull_doctor_cpu *looping(const struct hull_doctor_facts *f)
{
	for (uint32_t i = 0; i < f->ncpus; i++)
		if (f->cpus[i].looping)
			return &f->cpus[i];
	return NULL;
}

static const char *cause_name(uint64_t cause)
{
	static const char *const names[] = {
		[RV_INSN_MISALIGNED] = "a jump to an odd address",
		[RV_INSN_ACCESS] = "a jump to where there is no memory",
		[RV_ILLEGAL] = "an instruction that this CPU does not have",
		[RV_BREAKPOINT] = "a breakpoint",
		[RV_LOAD_MISALIGNED] = "a misaligned load",
		[RV_LOAD_ACCESS] = "a load from where there is nothing",
		[RV_STORE_MISALIGNED] = "a misaligned store",
		[RV_STORE_ACCESS] = "a store to where there is nothing",
		[RV_ECALL_U] = "a system call",
		[RV_ECALL_S] = "a firmware call",
		[RV_ECALL_M] = "a call of machine mode to itself",
		[RV_INSN_PAGE] = "a jump to a page that is not mapped",
		[RV_LOAD_PAGE] = "a load from a page that is not mapped",
		[RV_STORE_PAGE] = "a store to a page that is not mapped",
	};

	return cause < ARRAY_LEN(names) && names[cause] ? names[cause] : "a trap";
}

static bool no_trap_handler(const struct hull_doctor_facts *f, struct hull_diagnosis *g)
{
	const struct hull_doctor_cpu *c = looping(f);

	if (!c)
		return false;
	g->dead = true;
	hull_format(
		g->likely, sizeof(g->likely),
		"a trap before the guest had a handler for it (vector 0x%llx); the handler's own "
		"fault is %s",
		(unsigned long long)c->tvec, cause_name(c->cause));
	hull_format(g->try_this, sizeof(g->try_this),
	            "%scheck that the image is made for this machine and loaded where it was "
	            "linked for "
	            "(--kernel-addr)",
	            f->raw ? "the file is neither an ELF nor a Linux Image, so it ran as raw "
	                     "machine code; "
	                   : "");
	return true;
}

/* Started CPUs that wait, with every source of interrupts switched off. */
static bool nothing_wakes(const struct hull_doctor_facts *f, struct hull_diagnosis *g)
{
	uint32_t waiting = 0;

	for (uint32_t i = 0; i < f->ncpus; i++) {
		const struct hull_doctor_cpu *c = &f->cpus[i];

		if (c->state == HULL_VCPU_OFF)
			continue;
		if (c->state != HULL_VCPU_HALTED || !c->known || c->ie)
			return false;
		waiting++;
	}
	g->dead = true;
	likely(g, waiting ? "every CPU waits for an interrupt with all interrupts switched off"
	                  : "every CPU has switched itself off without switching the machine off");
	hull_format(g->try_this, sizeof(g->try_this),
	            "end the guest's program with a firmware call (SBI system reset) or a write of "
	            "0x5555 to 0x100000");
	return true;
}

static bool root_wait(const struct hull_doctor_facts *f, struct hull_diagnosis *g)
{
	if (f->userspace || !printed(f, "Waiting for root device"))
		return false;
	likely(g, "the kernel waits for a root device that does not appear");
	hull_format(g->try_this, sizeof(g->try_this),
	            "--append 'root=/dev/vda', or attach the disk");
	return true;
}

static bool wrong_console(const struct hull_doctor_facts *f, struct hull_diagnosis *g)
{
	char console[128];

	argument(f, "console", console, sizeof(console));
	if (f->printed || !console[0] || !strncmp(console, "ttyS0", 5) ||
	    !strncmp(console, "hvc0", 4))
		return false;
	hull_format(g->likely, sizeof(g->likely),
	            "console=%s is not a port of this machine; its serial port is ttyS0", console);
	hull_format(g->try_this, sizeof(g->try_this), "hull run ... --append 'console=ttyS0'");
	return true;
}

static bool firmware_alone(const struct hull_doctor_facts *f, struct hull_diagnosis *g)
{
	if (!f->firmware || f->kernel || f->printed)
		return false;
	likely(g, "the firmware has nothing to start: no --kernel was given");
	hull_format(g->try_this, sizeof(g->try_this), "hull run --firmware FILE --kernel FILE");
	return true;
}

static bool silent(const struct hull_doctor_facts *f, struct hull_diagnosis *g)
{
	char console[128];
	bool paging = f->ncpus && f->cpus[0].translation;

	if (f->printed)
		return false;
	argument(f, "console", console, sizeof(console));
	if (paging && console[0]) {
		likely(g, "the kernel runs and knows its console: it works quietly, or hangs");
		hull_format(g->try_this, sizeof(g->try_this),
		            "hull run ... --append without \"quiet\", with 'earlycon=sbi'");
		return true;
	}
	likely(g, paging ? "the kernel runs, but prints nowhere: no console on its command line?"
	                 : "the guest computes without printing, or hangs before its first line");
	hull_format(g->try_this, sizeof(g->try_this),
	            "hull run ... --append 'console=ttyS0 earlycon=sbi'");
	return true;
}

static const struct cause {
	uint16_t id;
	bool panics; /* only after the kernel has said that it panicked */
	bool (*fits)(const struct hull_doctor_facts *f, struct hull_diagnosis *g);
} causes[] = {
	{ E_PANIC, true, no_root },         { E_PANIC, true, no_init },
	{ E_PANIC, true, init_died },       { E_PANIC, true, out_of_memory },
	{ E_PANIC, true, other_panic },     { E_DEAD, false, no_trap_handler },
	{ E_DEAD, false, nothing_wakes },   { E_SILENT, false, root_wait },
	{ E_SILENT, false, wrong_console }, { E_SILENT, false, firmware_alone },
	{ E_SILENT, false, silent },
};

bool hull_doctor_diagnose(const struct hull_doctor_facts *f, struct hull_diagnosis *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
		*ret = (struct hull_diagnosis){ .id = causes[i].id, .dead = causes[i].panics };
		if ((!causes[i].panics || f->panicked) && causes[i].fits(f, ret))
			return true;
	}
	return false;
}
