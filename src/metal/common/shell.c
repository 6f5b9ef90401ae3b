/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "metal/common/shell.h"

#include <hull/vm.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/vcpu.h"
#include "metal/common/console.h"
#include "metal/common/frames.h"
#include "metal/common/thread.h"
#include "metal/common/vms.h"

enum { LINE = 80, BACKSPACE = 0x08, DELETE = 0x7f, CTRL_C = 0x03, CTRL_U = 0x15 };
enum { NS_PER_MS = 1000000 };

#define LL(x) ((unsigned long long)(x))

static struct metal_port port;
static char line[LINE];
static uint32_t length;

static void print(const char *text, size_t len)
{
	(void)port.chr.write(&port.chr, text, len);
}

static void say(const char *format, ...) HULL_PRINTF(1, 2);
static void say(const char *format, ...)
{
	char text[LINE * 2];
	va_list args;
	size_t n;

	va_start(args, format);
	n = hull_vformat(text, sizeof(text), format, args);
	va_end(args);
	print(text, MIN(n, sizeof(text) - 1));
	print("\r\n", 2);
}

static void prompt(void)
{
	print("hull> ", 6);
}

/* A VM by number or name; UINT32_MAX: there is none, which was said. */
static uint32_t find(const char *word)
{
	uint32_t n = hull_metal_vm_count();
	uint64_t number;

	for (uint32_t i = 0; i < n; i++)
		if (*word && hull_text_eq(word, hull_metal_vm_name(i)))
			return i;
	if (hull_parse_u64(word, &number) && number < n)
		return (uint32_t)number;
	say(*word ? "there is no VM \"%s\"; see vms" : "which VM%s? see vms", word);
	return UINT32_MAX;
}

static void list(const char *word)
{
	for (uint32_t i = 0; i < hull_metal_vm_count(); i++)
		say("%3u  %-8s %s", i, hull_vm_state_name(hull_metal_vm_state(i)),
		    hull_metal_vm_name(i));
}

static void change(const char *word, int (*fn)(uint32_t i, struct hull_err *err), const char *done)
{
	uint32_t i = find(word);
	struct hull_err err = { 0 };

	if (i == UINT32_MAX)
		return;
	if (fn(i, &err))
		say("%s", err.text);
	else
		say("vm '%s' %s", hull_metal_vm_name(i), done);
}

static void start(const char *word)
{
	change(word, hull_metal_vm_start, "runs");
}

static void stop(const char *word)
{
	change(word, hull_metal_vm_stop, "is off");
}

static void restart(const char *word)
{
	change(word, hull_metal_vm_restart, "has started anew");
}

static void pause(const char *word)
{
	change(word, hull_metal_vm_pause, "stands still");
}

static void show_vcpu(struct hull_vcpu *v)
{
	static const struct {
		const char *name;
		enum hull_exit_kind kind;
	} shown[] = { { "mmio", HULL_EXIT_MMIO },
		      { "sysreg", HULL_EXIT_SYSREG },
		      { "call", HULL_EXIT_HYPERCALL },
		      { "wait", HULL_EXIT_HALT },
		      { "kicked", HULL_EXIT_KICKED } };
	char text[LINE];
	size_t n = 0;

	for (unsigned i = 0; i < ARRAY_LEN(shown) && n < sizeof(text); i++)
		n += hull_format(text + n, sizeof(text) - n, "  %s %llu", shown[i].name,
		                 LL(hull_load_relaxed(&v->exits[shown[i].kind])));
	say("  vcpu %u%s  idle %llu ms", v->id, text,
	    LL(hull_load_relaxed(&v->idle_ns) / NS_PER_MS));
}

static void show_vm(struct hull_vm *vm, void *arg)
{
	struct hull_device_info d;

	for (uint32_t i = 0; i < hull_vm_vcpu_count(vm); i++)
		show_vcpu(hull_vm_vcpu(vm, i));
	for (uint32_t i = 0; !hull_vm_devices(vm, i, &d); i++)
		if (d.accesses)
			say("  %-12s %llu accesses, %llu bad", d.name, LL(d.accesses),
			    LL(d.guest_errors));
}

static void stats(const char *word)
{
	struct hull_err err = { 0 };
	uint32_t i;

	say("%u CPUs, %llu MiB free, up %llu ms", metal_ncpus, LL(metal_frames_left() >> 20),
	    LL(metal_now() / NS_PER_MS));
	if (!*word)
		return;
	i = find(word);
	if (i != UINT32_MAX && hull_metal_vm_visit(i, show_vm, NULL, &err))
		say("%s", err.text);
}

static void console(const char *word)
{
	uint32_t i = find(word);

	if (i != UINT32_MAX && !metal_console_show(i + 1))
		say("vm '%s' is off", hull_metal_vm_name(i));
}

/* VMs end with the machine. */
static void off(const char *word)
{
	for (uint32_t i = 0; i < hull_metal_vm_count(); i++)
		(void)hull_metal_vm_stop(i, NULL);
	hull_metal_vms_keep(false);
}

static void help(const char *word);

static const struct {
	const char *name, *text;
	void (*fn)(const char *word);
} commands[] = {
	{ "vms", "list the VMs", list },
	{ "start", "VM  start a VM, or let it go on", start },
	{ "stop", "VM  stop a VM and free what it has", stop },
	{ "restart", "VM  stop and start", restart },
	{ "pause", "VM  let it stand still", pause },
	{ "stats", "[VM]  what it did", stats },
	{ "console", "VM  its serial port; Ctrl-] leads back", console },
	{ "off", "stop all and switch the machine off", off },
	{ "help", "this list", help },
};

static void help(const char *word)
{
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
		say("%-8s %s", commands[i].name, commands[i].text);
}

static void run(char *text)
{
	char *word = text;

	while (*word && *word != ' ')
		word++;
	while (*word == ' ')
		*word++ = 0;
	for (char *end = word + hull_text_len(word); end > word && end[-1] == ' ';)
		*--end = 0;
	if (!*text)
		return;
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
		if (hull_text_eq(text, commands[i].name)) {
			commands[i].fn(word);
			return;
		}
	say("there is no command \"%s\"; see help", text);
}

static void forget(uint32_t n)
{
	for (; n; n--, length--)
		print("\b \b", 3);
}

static void key(uint8_t c)
{
	if (c == '\r' || c == '\n') {
		print("\r\n", 2);
		line[length] = 0;
		length = 0;
		run(line);
		prompt();
	} else if (c == BACKSPACE || c == DELETE) {
		forget(length != 0);
	} else if (c == CTRL_U || c == CTRL_C) {
		forget(length);
	} else if (c >= ' ' && c < DELETE && length < LINE - 1) {
		line[length++] = (char)c;
		print(&line[length - 1], 1);
	}
}

void metal_shell_init(void)
{
	metal_console_join(0, &port, NULL);
	length = 0;
	prompt();
}

void metal_shell_serve(void)
{
	uint8_t text[16];
	size_t n;
	int c;

	while ((c = metal_console_next()) >= 0) {
		/* Whoever looks for the shell may want to start again what ends. */
		if (c == METAL_ESCAPE)
			hull_metal_vms_keep(true);
		metal_console_type((uint8_t)c);
		while ((n = port.chr.read(&port.chr, text, sizeof(text))))
			for (size_t i = 0; i < n; i++)
				key(text[i]);
	}
}
