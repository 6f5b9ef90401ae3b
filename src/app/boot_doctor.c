/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Collecting evidence and reporting; the causes are in debug/diagnosis.c.  See boot_doctor.h. */
#include "app/boot_doctor.h"

#include <string.h>
#include <time.h>

#include <hull/host.h>
#include "base/atomic.h"
#include "base/bits.h"
#include "base/text.h"
#include "core/dev_impl.h"
#include "core/vcpu.h"
#include "debug/diagnosis.h"
#include "host/symbols.h"
#include "isa/riscv64/regs.h"
#include "manage/json.h"

#define SECOND UINT64_C(1000000000)

enum { SILENT_S = 5, QUIET_S = 30, PANIC_S = 2, MAX_WAIT_S = 60, SAMPLES = 4, SAMPLE_MS = 20 };

/* Anything that the guest does to the outside. */
static uint64_t progress_of(const struct hull_boot_doctor *d)
{
	uint64_t sum = hull_load_relaxed(&d->tap->bytes) + hull_load_relaxed(&d->tap->read);
	struct hull_device_info info;

	for (uint32_t i = 0; !hull_vm_devices(d->vm, i, &info); i++)
		sum += info.accesses;
	return sum;
}

static uint64_t csr(struct hull_vcpu *v, uint32_t number)
{
	uint64_t value = 0;

	(void)hull_vcpu_reg_get(v, HULL_RV_REG_CSR + number, &value);
	return value;
}

/* The same registers exist for machine mode at +0x200. */
static void read_riscv64(struct hull_vcpu *v, struct hull_doctor_cpu *c)
{
	enum { STATUS = 0x100, IE = 0x104, TVEC = 0x105, EPC = 0x141, CAUSE = 0x142, TVAL = 0x143 };
	enum { STIMECMP = 0x14d, SATP = 0x180, MIE = 0x304, MACHINE = 0x200 };
	uint32_t mode;

	c->known = !hull_vcpu_reg_get(v, HULL_RV_REG_PC, &c->pc) &&
	           !hull_vcpu_reg_get(v, HULL_RV_REG_PRIV, &c->priv);
	mode = c->priv == RV_PRIV_M ? MACHINE : 0;
	c->status = csr(v, STATUS + mode);
	c->tvec = csr(v, TVEC + mode);
	c->epc = csr(v, EPC + mode);
	c->cause = csr(v, CAUSE + mode);
	c->tval = csr(v, TVAL + mode);
	c->ie = csr(v, IE) | csr(v, MIE);
	c->timer = csr(v, STIMECMP);
	c->translation = csr(v, SATP);
}

static bool at_vector(const struct hull_doctor_cpu *c)
{
	uint64_t vector = c->tvec & ~UINT64_C(3);

	return c->known && c->pc == vector && c->epc == vector;
}

/* One look at all vCPUs; the guest stands still meanwhile.  False: it does not run. */
static bool sample(struct hull_vm *vm, struct hull_doctor_cpu *cpus, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		cpus[i] = (struct hull_doctor_cpu){ .state = hull_vcpu_state(hull_vm_vcpu(vm, i)) };
	if (hull_vm_pause(vm, NULL))
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (cpus[i].state != HULL_VCPU_OFF)
			read_riscv64(hull_vm_vcpu(vm, i), &cpus[i]);
	(void)hull_vm_resume(vm, NULL);
	return true;
}

static bool collect(const struct hull_boot_doctor *d, struct hull_doctor_facts *f)
{
	struct timespec wait = { .tv_nsec = SAMPLE_MS * 1000000L };
	unsigned at[HULL_DOCTOR_CPUS] = { 0 };

	*f = (struct hull_doctor_facts){ .cmdline = d->cmdline,
		                         .kernel = d->kernel,
		                         .initrd = d->initrd,
		                         .firmware = d->firmware,
		                         .raw = d->raw,
		                         .disks = d->disks,
		                         .panicked = d->panicked_ns != 0,
		                         .userspace = d->userspace,
		                         .printed = hull_load_relaxed(&d->tap->bytes) };
	f->ncpus = MIN(hull_vm_vcpu_count(d->vm), (uint32_t)HULL_DOCTOR_CPUS);
	if (hull_vm_config(d->vm)->isa != HULL_ISA_RISCV64)
		return false;
	for (int i = 0; i < SAMPLES; i++) {
		if (i)
			nanosleep(&wait, NULL);
		if (!sample(d->vm, f->cpus, f->ncpus))
			return false;
		for (uint32_t k = 0; k < f->ncpus; k++)
			at[k] += at_vector(&f->cpus[k]);
	}
	for (uint32_t k = 0; k < f->ncpus; k++)
		f->cpus[k].looping = at[k] == SAMPLES;
	hull_tap_tail(d->tap, f->tail, sizeof(f->tail));
	return true;
}

static const char *const states[] = { "switched off", "ready", "running", "waiting" };

static const char *mode_name(uint64_t priv)
{
	return priv == RV_PRIV_M   ? "machine mode"
	       : priv == RV_PRIV_S ? "supervisor mode"
	                           : "user mode";
}

static void print_cpu(const struct hull_boot_doctor *d, uint32_t i, const struct hull_doctor_cpu *c)
{
	char symbol[96];

	if (c->state == HULL_VCPU_OFF || !c->known) {
		fprintf(d->out, "  vCPU%u  %s\n", i, states[c->state & 3]);
		return;
	}
	fprintf(d->out, "  vCPU%u  %s, %s, paging %s, pc 0x%llx", i, states[c->state & 3],
	        mode_name(c->priv), c->translation ? "on" : "off", (unsigned long long)c->pc);
	if (hull_doctor_symbol(d->kernel, c->pc, symbol, sizeof(symbol)))
		fprintf(d->out, " = %s", symbol);
	fprintf(d->out, ", interrupts %s%s\n", c->status & MSTATUS_SIE ? "on" : "off",
	        c->looping ? ", trapping in a loop" : "");
}

/* The last line that says something, for a quote; false: there is none. */
static bool last_line(const char *tail, char *ret, size_t size)
{
	const char *end = tail + strlen(tail), *line;

	while (end > tail && (end[-1] == '\n' || end[-1] == ' '))
		end--;
	for (line = end; line > tail && line[-1] != '\n'; line--)
		;
	hull_format(ret, size, "%.*s", (int)MIN(end - line, 160), line);
	return end > line;
}

static struct hull_device_info busiest_device(const struct hull_boot_doctor *d)
{
	struct hull_device_info info, most = { 0 };

	for (uint32_t i = 0; !hull_vm_devices(d->vm, i, &info); i++)
		if (info.accesses >= most.accesses)
			most = info;
	return most;
}

/* The one that the guest accessed last, if any. */
static struct hull_device_info last_device(const struct hull_boot_doctor *d)
{
	struct hull_device_info info;

	for (uint32_t i = 0; !hull_vm_devices(d->vm, i, &info); i++)
		if (info.last)
			return info;
	return (struct hull_device_info){ 0 };
}

static void print_device(const struct hull_boot_doctor *d)
{
	struct hull_device_info most = busiest_device(d), last = last_device(d);

	if (!most.name || !most.accesses)
		fprintf(d->out, "  it has not touched any device\n");
	else
		fprintf(d->out, "  device used most: %s (%s), %llu accesses\n", most.name,
		        most.summary, (unsigned long long)most.accesses);
	if (last.name)
		fprintf(d->out, "  device used last: %s (%s), register 0x%llx\n", last.name,
		        last.summary, (unsigned long long)last.last_offset);
}

static void report(const struct hull_boot_doctor *d, const struct hull_doctor_facts *f,
                   const struct hull_diagnosis *g, uint64_t silent_ns)
{
	const char *nl = d->terminal ? "\n" : "";
	char line[164];

	fprintf(d->out, "%s%s: ", nl, d->name ? d->name : "vm");
	if (f->panicked)
		fprintf(d->out, "the guest's kernel panicked\n");
	else if (g->dead)
		fprintf(d->out, "the guest has stopped for good\n");
	else
		fprintf(d->out, "no console output for %llu s\n",
		        (unsigned long long)(silent_ns / SECOND));
	for (uint32_t i = 0; i < f->ncpus; i++)
		print_cpu(d, i, &f->cpus[i]);
	if (f->printed && last_line(f->tail, line, sizeof(line)))
		fprintf(d->out, "  the last line it printed: \"%s\"\n", line);
	print_device(d);
	fprintf(d->out, "  Likely: %s\n", g->likely);
	if (g->try_this[0])
		fprintf(d->out, "  Try:    %s\n", g->try_this);
	fprintf(d->out, "  More:   hull explain E%04u\n", g->id);
	fflush(d->out);
}

static void cpu_json(struct hull_json *j, const struct hull_boot_doctor *d,
                     const struct hull_doctor_cpu *c)
{
	char symbol[96];

	hull_json_object(j, NULL);
	hull_json_text(j, "state", states[c->state & 3]);
	if (c->state != HULL_VCPU_OFF && c->known) {
		bool named = hull_doctor_symbol(d->kernel, c->pc, symbol, sizeof(symbol));

		hull_json_text(j, "mode", mode_name(c->priv));
		hull_json_bool(j, "paging", c->translation != 0);
		hull_json_u64(j, "pc", c->pc);
		hull_json_text(j, "symbol", named ? symbol : NULL);
		hull_json_bool(j, "interrupts", (c->status & MSTATUS_SIE) != 0);
		hull_json_bool(j, "looping", c->looping);
	}
	hull_json_end(j);
}

static void report_json(const struct hull_boot_doctor *d, const struct hull_doctor_facts *f,
                        const struct hull_diagnosis *g, uint64_t silent_ns)
{
	struct hull_device_info most = busiest_device(d), last = last_device(d);
	char code[16], line[164];
	struct hull_json j;

	hull_format(code, sizeof(code), "E%04u", g->id);
	hull_json_init(&j, d->out);
	hull_json_object(&j, NULL);
	hull_json_text(&j, "schema", "hull.diagnosis/1");
	hull_json_text(&j, "vm", d->name);
	hull_json_text(&j, "code", code);
	hull_json_bool(&j, "panicked", f->panicked);
	hull_json_bool(&j, "stopped_for_good", g->dead);
	hull_json_u64(&j, "silent_ns", silent_ns);
	hull_json_array(&j, "vcpus");
	for (uint32_t i = 0; i < f->ncpus; i++)
		cpu_json(&j, d, &f->cpus[i]);
	hull_json_end(&j);
	hull_json_text(&j, "last_line", last_line(f->tail, line, sizeof(line)) ? line : NULL);
	hull_json_text(&j, "busiest_device", most.accesses ? most.name : NULL);
	hull_json_text(&j, "last_device", last.name);
	hull_json_text(&j, "likely", g->likely);
	hull_json_text(&j, "try", g->try_this[0] ? g->try_this : NULL);
	hull_json_end(&j);
	fflush(d->out);
}

static bool quiet_boot(const struct hull_boot_doctor *d)
{
	return d->cmdline && strstr(d->cmdline, "quiet");
}

/* How long this guest may be silent. */
static uint64_t patience(const struct hull_boot_doctor *d)
{
	if (d->panicked_ns)
		return PANIC_S * SECOND;
	return (quiet_boot(d) ? QUIET_S : SILENT_S) * SECOND;
}

bool hull_boot_doctor_look(struct hull_boot_doctor *d)
{
	const struct hull_hal *hal = hull_host_hal();
	uint64_t now = hal->now_ns(hal), progress = progress_of(d);
	struct hull_doctor_facts f;
	struct hull_diagnosis g;

	if (progress != d->progress || !d->progress_ns) {
		d->progress = progress;
		d->progress_ns = now;
		d->next_ns = d->pause_ns = 0;
		return false;
	}
	if (d->dead || now - d->progress_ns < patience(d) || now < d->next_ns)
		return false;
	/* Each fruitless look makes the next one wait longer: a guest may be idle for days. */
	d->pause_ns = MIN(MAX(2 * d->pause_ns, SECOND), MAX_WAIT_S * SECOND);
	d->next_ns = now + d->pause_ns;
	if (!collect(d, &f) || !hull_doctor_diagnose(&f, &g) || (d->reported && !g.dead))
		return false;
	(d->json ? report_json : report)(d, &f, &g, now - d->progress_ns);
	d->reported = true;
	d->dead = g.dead;
	return true;
}
