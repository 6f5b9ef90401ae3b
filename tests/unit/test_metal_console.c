/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The console that VMs share on bare metal, and its shell, with VMs that have only a state. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

/* The hypervisor is no part of the library: its pure files are compiled here. */
#include "metal/common/console.c"
#include "metal/common/shell.c"

static char out[8192];
static size_t nout;
static enum hull_vm_state states[2];
static bool kept;
static struct metal_port ports_of_vms[2];

uint32_t metal_ncpus = 2;

void metal_relax(void)
{
}

uint64_t metal_now(void)
{
	return 5000000;
}

uint64_t metal_frames_left(void)
{
	return UINT64_C(64) << 20;
}

uint32_t hull_metal_vm_count(void)
{
	return 2;
}

const char *hull_metal_vm_name(uint32_t i)
{
	return i ? "b" : "a";
}

enum hull_vm_state hull_metal_vm_state(uint32_t i)
{
	return states[i];
}

void hull_metal_vms_keep(bool on)
{
	kept = on;
}

static int become(uint32_t i, enum hull_vm_state state, struct hull_err *err)
{
	if (states[i] == state)
		return hull_fail(err, HULL_ESTATE, 0, "no change");
	states[i] = state;
	metal_console_join(i + 1, state == HULL_VM_STOPPED ? NULL : &ports_of_vms[i],
	                   hull_metal_vm_name(i));
	return 0;
}

int hull_metal_vm_start(uint32_t i, struct hull_err *err)
{
	return become(i, HULL_VM_RUNNING, err);
}

int hull_metal_vm_pause(uint32_t i, struct hull_err *err)
{
	states[i] = HULL_VM_PAUSED;
	return 0;
}

int hull_metal_vm_stop(uint32_t i, struct hull_err *err)
{
	return become(i, HULL_VM_STOPPED, err);
}

int hull_metal_vm_restart(uint32_t i, struct hull_err *err)
{
	return become(i, HULL_VM_STOPPED, err) || become(i, HULL_VM_RUNNING, err);
}

int hull_metal_vm_visit(uint32_t i, void (*fn)(struct hull_vm *vm, void *arg), void *arg,
                        struct hull_err *err)
{
	return hull_fail(err, HULL_ESTATE, 0, "vm is off");
}

static void collect(const char *text, size_t len)
{
	assert_true(nout + len < sizeof(out));
	memcpy(out + nout, text, len);
	nout += len;
	out[nout] = 0;
}

static void expect(const char *text)
{
	assert_string_equal(out, text);
	nout = 0;
	out[0] = 0;
}

static void write_port(unsigned i, const char *text)
{
	struct hull_char *c = &ports_of_vms[i].chr;

	assert_int_equal(c->write(c, text, strlen(text)), strlen(text));
}

/* More at a time than an interrupt leaves behind is lost: in pieces. */
static void type_text(const char *text)
{
	for (; *text; text++) {
		metal_console_arrived((uint8_t)*text);
		metal_shell_serve();
	}
}

static size_t typed_for(unsigned i, char *buf, size_t size)
{
	struct hull_char *c = &ports_of_vms[i].chr;
	size_t n = c->read(c, buf, size - 1);

	buf[n] = 0;
	return n;
}

static int setup(void **state)
{
	memset(ports, 0, sizeof(ports));
	front = behind = NOBODY;
	several = live = kept = false;
	first = last = 0;
	metal_console_set(collect);
	metal_shell_init();
	states[0] = states[1] = HULL_VM_STOPPED;
	nout = 0;
	out[0] = 0;
	return 0;
}

static void start_both(void)
{
	metal_console_name_lines();
	assert_int_equal(hull_metal_vm_start(0, NULL), 0);
	assert_int_equal(hull_metal_vm_start(1, NULL), 0);
}

static void test_one_alone_prints_as_it_likes(void **state)
{
	char buf[16];

	assert_int_equal(hull_metal_vm_start(0, NULL), 0);
	write_port(0, "login: ");
	expect("login: ");
	metal_say("note");
	expect("\r\nnote\r\nlogin: ");
	type_text("me\r");
	assert_int_equal(typed_for(0, buf, sizeof(buf)), 3);
	assert_string_equal(buf, "me\r");
}

static void test_lines_of_several_have_names(void **state)
{
	start_both();
	write_port(0, "hel");
	write_port(1, "x\r\ny");
	write_port(0, "lo\r\n");
	expect("[b] x\r\n[a] hello\r\n");
	write_port(1, "\n");
	expect("[b] y\r\n");
}

static void test_the_one_in_front_prints_at_once(void **state)
{
	char buf[16];

	start_both();
	write_port(0, "$ ");
	expect("");
	type_text("l");
	expect("[a] $ ");
	write_port(0, "l");
	expect("l");
	write_port(1, "other\n");
	expect("\r\n[b] other\r\n[a] $ l");
	assert_int_equal(typed_for(0, buf, sizeof(buf)), 1);
	assert_int_equal(typed_for(1, buf, sizeof(buf)), 0);
}

static void test_the_escape_changes_to_the_shell_and_back(void **state)
{
	start_both();
	type_text("\x1d");
	assert_true(kept);
	expect("hull> ");
	type_text("vms\r");
	expect("vms\r\n  0  running  a\r\n  1  running  b\r\nhull> ");
	write_port(1, "late\n");
	expect("\r\n[b] late\r\nhull> ");
	type_text("console b\r");
	nout = 0;
	type_text("\x1d\x1d");
	write_port(1, "now");
	assert_non_null(strstr(out, "[b] now"));
}

static void test_the_shell_changes_vms(void **state)
{
	start_both();
	type_text("\x1dstop a\r");
	assert_int_equal(states[0], HULL_VM_STOPPED);
	type_text("start 0\r");
	assert_int_equal(states[0], HULL_VM_RUNNING);
	type_text("  pause  b \r");
	assert_int_equal(states[1], HULL_VM_RUNNING);
	type_text("pause  b \r");
	assert_int_equal(states[1], HULL_VM_PAUSED);
	nout = 0;
	type_text("stats\r");
	expect("stats\r\n2 CPUs, 64 MiB free, up 5 ms\r\nhull> ");
	type_text("off\r");
	assert_false(kept);
	assert_int_equal(states[0], HULL_VM_STOPPED);
	nout = 0;
	type_text("console a\r");
	expect("console a\r\nvm 'a' is off\r\nhull> ");
}

static void test_lines_are_edited(void **state)
{
	start_both();
	type_text("\x1d");
	nout = 0;
	type_text("x\x7f\x7fy\x15\x01zz\r");
	expect("x\b \by\b \bzz\r\nthere is no command \"zz\"; see help\r\nhull> ");
	for (unsigned i = 0; i < 300; i++)
		type_text("w");
	type_text("\r");
	assert_non_null(strstr(out, "there is no command"));
	nout = 0;
	type_text("stop\r");
	assert_non_null(strstr(out, "which VM"));
}

static void test_too_much_is_cut(void **state)
{
	char buf[600];

	start_both();
	for (unsigned i = 0; i < 1000; i++)
		metal_console_arrived('x');
	metal_shell_serve();
	assert_int_equal(typed_for(0, buf, sizeof(buf)), ARRIVED);
	for (unsigned i = 0; i < 1000; i++)
		type_text("x");
	assert_int_equal(typed_for(0, buf, sizeof(buf)), METAL_TYPED);
	/* Lines longer than what is kept come in pieces, or are not printed again. */
	for (unsigned i = 0; i < 300; i++)
		write_port(1, "y");
	for (unsigned i = 0; i < 300; i++)
		write_port(0, "z");
	nout = 0;
	type_text("\x1d");
	write_port(0, "\n");
	write_port(1, "\n");
	assert_true(nout > 0);
}

static void test_who_has_gone_reads_nothing(void **state)
{
	start_both();
	type_text("a");
	assert_int_equal(hull_metal_vm_stop(0, NULL), 0);
	type_text("b");
	metal_say("note");
	assert_int_equal(hull_metal_vm_start(0, NULL), 0);
	nout = 0;
	write_port(0, "again");
	expect("[a] again");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_one_alone_prints_as_it_likes, setup),
		cmocka_unit_test_setup(test_lines_of_several_have_names, setup),
		cmocka_unit_test_setup(test_the_one_in_front_prints_at_once, setup),
		cmocka_unit_test_setup(test_the_escape_changes_to_the_shell_and_back, setup),
		cmocka_unit_test_setup(test_the_shell_changes_vms, setup),
		cmocka_unit_test_setup(test_lines_are_edited, setup),
		cmocka_unit_test_setup(test_too_much_is_cut, setup),
		cmocka_unit_test_setup(test_who_has_gone_reads_nothing, setup),
	};

	return cmocka_run_group_tests_name("metal console", tests, NULL, NULL);
}
