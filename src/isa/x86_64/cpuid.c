/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Models of x86_64 processors; see cpuid.h.  Leaves: Intel SDM vol. 2, CPUID; AMD APM vol. 3, E. */
#include "isa/x86_64/cpuid.h"

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"

enum class { V1 = 1, V2, V3, V4, COMMON, HOST };

struct feature {
	const char *name;
	uint32_t leaf;
	uint8_t subleaf, reg, bit, class;
};

static const struct feature features[] = {
#define X86_FEATURE(name, leaf, subleaf, reg, bit, class) \
	{ #name, leaf, subleaf, X86_##reg, bit, class },
#include "isa/x86_64/cpuid.def"
#undef X86_FEATURE
};

enum { FEATURES = ARRAY_LEN(features) };

/* Leaves whose registers are all features; and those that are kept as the host has them. */
static const uint32_t masked[] = { 6, 7, 0x40000001, 0x80000001, 0x80000007, 0x80000021 };
static const uint32_t kept[] = { 0,          1,          2,          4,          0xb,
	                         0xd,        0x15,       0x16,       0x1f,       0x40000000,
	                         0x80000000, 0x80000002, 0x80000003, 0x80000004, 0x80000005,
	                         0x80000006, 0x80000008, 0x8000001d, 0x8000001e };

/* State components of XCR0 and the feature that each of them belongs to (SDM vol. 1, 13.1). */
static const struct {
	uint8_t bit;
	const char *name;
} components[] = {
	{ 2, "avx" }, { 5, "avx512f" }, { 6, "avx512f" }, { 7, "avx512f" }, { 9, "pku" }
};

static bool is_in(const uint32_t *list, size_t n, uint32_t leaf)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == leaf)
			return true;
	return false;
}

static bool same(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (a[i] != b[i] || !a[i])
			return false;
	return !a[len];
}

static unsigned find_feature(const char *name, size_t len)
{
	unsigned i = 0;

	while (i < FEATURES && !same(features[i].name, name, len))
		i++;
	return i;
}

struct x86_cpuid *hull_x86_cpuid_find(struct x86_cpuid *rows, uint32_t n, uint32_t leaf,
                                      uint32_t subleaf)
{
	for (uint32_t i = 0; i < n; i++)
		if (rows[i].leaf == leaf && (!rows[i].indexed || rows[i].subleaf == subleaf))
			return &rows[i];
	return NULL;
}

/* The wanted features of a model: bits by index in features[]. */
struct choice {
	uint8_t want[FEATURES], must[FEATURES];
	bool host;
};

static size_t word_length(const char *s)
{
	size_t n = 0;

	while (s[n] && s[n] != ',')
		n++;
	return n;
}

static int no_model(struct hull_err *err, const char *word, size_t len)
{
	hull_fail(err, HULL_EINVAL, 208, "there is no processor model or feature \"%.*s\"",
	          (int)MIN(len, (size_t)40), word);
	hull_err_fix(err, "--cpu host, x86-64-v2, x86-64-v3,+aes ...");
	return HULL_EINVAL;
}

/* "host", "x86-64-v3"; the length of the word, 0: unknown. */
static size_t base_model(struct choice *c, const char *model)
{
	size_t len = word_length(model);
	unsigned level = HOST;

	if (len == 9 && same("x86-64-v", model, 8) && model[8] >= '1' && model[8] <= '4')
		level = (unsigned)(model[8] - '0');
	else if (!same("host", model, len) && !same("max", model, len))
		return 0;
	c->host = level == HOST;
	for (unsigned i = 0; i < FEATURES; i++) {
		c->want[i] = features[i].class <= level || features[i].class == COMMON;
		c->must[i] = !c->host && features[i].class <= level;
	}
	return len;
}

static int choose(struct choice *c, const char *model, struct hull_err *err)
{
	size_t len;

	if (!model || !*model)
		model = "host";
	len = base_model(c, model);
	if (!len)
		return no_model(err, model, word_length(model));
	for (model += len; *model == ','; model += len) {
		char sign = *++model;
		unsigned i;

		len = word_length(model);
		if (len < 2 || (sign != '+' && sign != '-'))
			return no_model(err, model, len);
		i = find_feature(model + 1, len - 1);
		if (i == FEATURES)
			return no_model(err, model, len);
		c->want[i] = c->must[i] = sign == '+';
	}
	return 0;
}

static void mask_row(struct x86_cpuid *r, const uint32_t *masks)
{
	uint32_t keep[4] = { 0 };

	for (unsigned i = 0; i < FEATURES; i++)
		if (features[i].leaf == r->leaf &&
		    (!r->indexed || features[i].subleaf == r->subleaf))
			keep[features[i].reg] |= masks[i];
	if (r->leaf == 1) {
		r->reg[X86_ECX] &= keep[X86_ECX];
		r->reg[X86_EDX] &= keep[X86_EDX];
	} else if (r->leaf == 0x80000008) {
		r->reg[X86_EBX] &= keep[X86_EBX];
		r->reg[X86_EDX] = 0;
	} else if (r->leaf == 0xd && r->subleaf == 1) {
		r->reg[X86_EAX] &= keep[X86_EAX];
	} else if (is_in(masked, ARRAY_LEN(masked), r->leaf)) {
		uint32_t subleaves = MIN(r->reg[X86_EAX], 2u);

		for (unsigned i = 0; i < 4; i++)
			r->reg[i] &= keep[i];
		if (r->leaf == 7 && r->subleaf == 0)
			r->reg[X86_EAX] = subleaves;
	}
}

/* Drop what the model does not have; HULL_ENOTSUP if the host lacks what it must have. */
static int mask_features(const struct choice *c, struct x86_cpuid *rows, uint32_t n,
                         struct hull_err *err)
{
	uint32_t masks[FEATURES] = { 0 };

	for (unsigned i = 0; i < FEATURES; i++) {
		const struct feature *f = &features[i];
		const struct x86_cpuid *r = hull_x86_cpuid_find(rows, n, f->leaf, f->subleaf);

		if (c->must[i] && !(r && r->reg[f->reg] >> f->bit & 1)) {
			hull_fail(err, HULL_ENOTSUP, 208, "the host's processor lacks \"%s\"",
			          f->name);
			hull_err_fix(err, "choose a lesser model: --cpu host fits always");
			return HULL_ENOTSUP;
		}
		masks[i] = c->want[i] ? 1u << f->bit : 0;
	}
	for (uint32_t k = 0; k < n; k++)
		mask_row(&rows[k], masks);
	return 0;
}

static bool has(struct x86_cpuid *rows, uint32_t n, const char *name)
{
	for (unsigned i = 0; i < FEATURES; i++) {
		const struct feature *f = &features[i];
		const struct x86_cpuid *r;

		if (!hull_text_eq(f->name, name))
			continue;
		r = hull_x86_cpuid_find(rows, n, f->leaf, f->subleaf);
		return r && r->reg[f->reg] >> f->bit & 1;
	}
	return false;
}

/* Leaf 0xd after the features: components that nothing uses go, and sizes with them. */
static void mask_xsave(struct x86_cpuid *rows, uint32_t n)
{
	struct x86_cpuid *main = hull_x86_cpuid_find(rows, n, 0xd, 0);
	struct x86_cpuid *more = hull_x86_cpuid_find(rows, n, 0xd, 1);
	uint32_t allowed = has(rows, n, "xsave") ? 3 : 0, size = 576;

	for (size_t i = 0; allowed && i < ARRAY_LEN(components); i++)
		if (has(rows, n, components[i].name))
			allowed |= 1u << components[i].bit;
	if (!main)
		return;
	allowed &= main->reg[X86_EAX];
	for (uint32_t i = 0; i < n; i++) {
		struct x86_cpuid *r = &rows[i];

		if (r->leaf != 0xd || r->subleaf < 2)
			continue;
		if (r->subleaf < 32 && allowed >> r->subleaf & 1)
			size = MAX(size, r->reg[X86_EAX] + r->reg[X86_EBX]);
		else
			memset(r->reg, 0, sizeof(r->reg));
	}
	main->reg[X86_EAX] = allowed;
	main->reg[X86_EDX] = 0;
	main->reg[X86_ECX] = allowed ? size : 0;
	main->reg[X86_EBX] = allowed ? 576 : 0;
	if (!more)
		return;
	if (!allowed)
		more->reg[X86_EAX] = 0;
	/* No supervisor components. */
	more->reg[X86_EBX] = more->reg[X86_ECX] = more->reg[X86_EDX] = 0;
}

/* Bits of an APIC id below those of the package. */
static unsigned id_bits(const struct x86_cpu *cpu)
{
	uint64_t top = MAX((uint64_t)cpu->cpus - 1, cpu->max_apic_id);
	unsigned n = 0;

	while (n < 31 && top >> n)
		n++;
	return n;
}

static void set_caches(const struct x86_cpu *cpu, struct x86_cpuid *r)
{
	bool shared = bits(r->reg[X86_EAX], 7, 5) >= 3; /* level 3 and above */
	uint32_t sharing = shared ? (1u << MIN(id_bits(cpu), 12u)) - 1 : 0;

	if (!(r->reg[X86_EAX] & 31))
		return;
	r->reg[X86_EAX] &= 0x3ff;
	r->reg[X86_EAX] |= sharing << 14;
	if (r->leaf == 4)
		r->reg[X86_EAX] |= ((1u << MIN(id_bits(cpu), 6u)) - 1) << 26;
}

static void set_levels(const struct x86_cpu *cpu, struct x86_cpuid *r)
{
	enum { NONE, THREADS, CORES };
	uint32_t level = r->subleaf;

	memset(r->reg, 0, sizeof(r->reg));
	r->reg[X86_ECX] = level & 0xff;
	if (level > 1)
		return;
	r->reg[X86_EAX] = level ? id_bits(cpu) : 0;
	r->reg[X86_EBX] = level ? cpu->cpus : 1;
	r->reg[X86_ECX] |= (uint32_t)(level ? CORES : THREADS) << 8;
}

static void set_topology(const struct x86_cpu *cpu, struct x86_cpuid *rows, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct x86_cpuid *r = &rows[i];

		switch (r->leaf) {
		case 1:
			r->reg[X86_EBX] =
				(r->reg[X86_EBX] & 0xff00) | 1u << (16 + MIN(id_bits(cpu), 7u));
			if (cpu->cpus > 1)
				r->reg[X86_EDX] |= 1u << 28; /* HTT: several ids in the package */
			break;
		case 4:
		case 0x8000001d: set_caches(cpu, r); break;
		case 0xb:
		case 0x1f: set_levels(cpu, r); break;
		case 0x80000008: r->reg[X86_ECX] = (cpu->cpus - 1) | id_bits(cpu) << 12; break;
		case 0x8000001e: memset(r->reg, 0, sizeof(r->reg)); break;
		default: break;
		}
	}
}

static void name_model(const struct x86_cpu *cpu, struct x86_cpuid *rows, uint32_t n)
{
	char brand[48] = { 0 };

	hull_format(brand, sizeof(brand), "Hull virtual CPU %.*s",
	            (int)MIN(word_length(cpu->model), (size_t)16), cpu->model);
	for (unsigned i = 0; i < 3; i++) {
		struct x86_cpuid *r = hull_x86_cpuid_find(rows, n, 0x80000002 + i, 0);

		for (unsigned k = 0; r && k < 4; k++)
			r->reg[k] = load_le32(brand + 16 * i + 4 * k);
	}
}

static uint32_t drop_leaves(struct x86_cpuid *rows, uint32_t n)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < n; i++)
		if (is_in(masked, ARRAY_LEN(masked), rows[i].leaf) ||
		    is_in(kept, ARRAY_LEN(kept), rows[i].leaf))
			rows[left++] = rows[i];
	return left;
}

/* Features that are the accelerator's LAPICs, or need them. */
static void drop_lapic_features(struct choice *c)
{
	static const char *const names[] = { "x2apic",        "tsc_deadline_timer",
		                             "arat",          "kvm_pv_eoi",
		                             "kvm_pv_unhalt", "kvm_pv_send_ipi",
		                             "kvm_async_pf",  "kvm_async_pf_int" };

	for (size_t k = 0; k < ARRAY_LEN(names); k++)
		for (unsigned i = 0; i < FEATURES; i++)
			if (hull_text_eq(features[i].name, names[k]))
				c->want[i] = c->must[i] = false;
}

int hull_x86_cpuid_filter(const struct x86_cpu *cpu, struct x86_cpuid *rows, uint32_t *n,
                          struct hull_err *err)
{
	struct x86_cpuid *r;
	struct choice c = { 0 };
	int e = choose(&c, cpu->model, err);

	if (e)
		return e;
	if (!cpu->lapic_below)
		drop_lapic_features(&c);
	e = mask_features(&c, rows, *n, err);
	if (e)
		return e;
	*n = drop_leaves(rows, *n);
	mask_xsave(rows, *n);
	set_topology(cpu, rows, *n);
	if (!c.host)
		name_model(cpu, rows, *n);
	/* The highest leaves are those that are left. */
	r = hull_x86_cpuid_find(rows, *n, 0, 0);
	if (r)
		r->reg[X86_EAX] = MIN(r->reg[X86_EAX], 0x1fu);
	r = hull_x86_cpuid_find(rows, *n, 0x80000000, 0);
	if (r)
		r->reg[X86_EAX] = MIN(r->reg[X86_EAX], 0x80000021u);
	r = hull_x86_cpuid_find(rows, *n, 0x40000000, 0);
	if (r)
		r->reg[X86_EAX] = 0x40000001;
	return 0;
}

void hull_x86_cpuid_set_id(const struct x86_cpu *cpu, struct x86_cpuid *rows, uint32_t n,
                           uint32_t apic_id)
{
	(void)cpu;
	for (uint32_t i = 0; i < n; i++) {
		struct x86_cpuid *r = &rows[i];

		if (r->leaf == 1)
			r->reg[X86_EBX] = (r->reg[X86_EBX] & 0xffffff) | apic_id << 24;
		else if (r->leaf == 0xb || r->leaf == 0x1f)
			r->reg[X86_EDX] = apic_id;
		else if (r->leaf == 0x8000001e) {
			r->reg[X86_EAX] = apic_id;
			r->reg[X86_EBX] = apic_id & 0xff;
		}
	}
}
