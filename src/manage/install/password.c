/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The new user's password: made here, read from a file, or asked for on the terminal. */
#include "manage/install/install.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <hull/host.h>
#include "base/bits.h"
#include "base/text.h"
#include "host/file.h"

/* 32 letters and digits that cannot be mistaken for each other: 5 bits for each. */
static void generate(char *dst, size_t len)
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
	uint8_t random[64];

	hull_host_hal()->random(hull_host_hal(), random, sizeof(random));
	for (size_t i = 0; i < len; i++)
		dst[i] = letters[random[i] & 31];
	dst[len] = '\0';
}

static int check(const char *text, struct hull_err *err)
{
	size_t len = strlen(text);
	bool good = len > 0 && len < 100;

	for (size_t i = 0; i < len; i++)
		good &= text[i] >= ' ' && text[i] <= '~' && text[i] != '\'' && text[i] != ':';
	if (good)
		return 0;
	hull_fail(err, HULL_EINVAL, 615,
	          "the password must have 1 to 99 printable ASCII characters, no ' and no :");
	hull_err_fix(err, "--password generate makes one");
	return HULL_EINVAL;
}

/* A line of the terminal; HULL_ESTATE: the user stops it; HULL_EIO: there is no more. */
static int line(const struct hull_install *in, int tty, char *dst, size_t size)
{
	struct pollfd f[2] = { { .fd = tty, .events = POLLIN },
		               { .fd = in->cancel, .events = POLLIN } };
	size_t n = 0;
	char c = 0;

	for (;;) {
		if (hull_install_cancelled(in))
			return HULL_ESTATE;
		if (poll(f, 2, -1) <= 0 || !f[0].revents)
			continue;
		if (read(tty, &c, 1) != 1)
			return HULL_EIO;
		if (c == '\n')
			break;
		if (n < size - 1)
			dst[n++] = c;
	}
	dst[n] = '\0';
	return 0;
}

static void say(int tty, const char *text)
{
	size_t len = strlen(text);

	if (write(tty, text, len) != (ssize_t)len) {
		/* A terminal that has gone: the read fails next. */
	}
}

/* Twice, because nobody sees what he types. */
static int ask(const struct hull_install *in, int tty, char *dst, size_t size, struct hull_err *err)
{
	char again[128];
	int r;

	say(tty, "Password of the new user: ");
	r = line(in, tty, dst, size);
	if (!r) {
		say(tty, "\nThe same again: ");
		r = line(in, tty, again, sizeof(again));
	}
	say(tty, "\n");
	if (r == HULL_ESTATE)
		return hull_install_stopped(err);
	if (r)
		return hull_fail(err, HULL_EINVAL, 615, "the terminal gave no password");
	r = strcmp(dst, again)
	            ? hull_fail(err, HULL_EINVAL, 615, "the two passwords are not the same")
	            : check(dst, err);
	explicit_bzero(again, sizeof(again));
	return r;
}

static int prompt(struct hull_install *in, struct hull_err *err)
{
	struct termios was, quiet;
	int tty = in->o.no_input ? -1 : open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY), r;

	if (tty < 0 || tcgetattr(tty, &was)) {
		if (tty >= 0)
			close(tty);
		hull_fail(err, HULL_EINVAL, 615, "there is no terminal to ask for a password");
		hull_err_fix(err, "--password file:F reads it from a file");
		return HULL_EINVAL;
	}
	quiet = was;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(tty, TCSAFLUSH, &quiet);
	r = ask(in, tty, in->password, sizeof(in->password), err);
	tcsetattr(tty, TCSAFLUSH, &was);
	close(tty);
	return r;
}

int hull_install_password(struct hull_install *in, struct hull_err *err)
{
	const char *how = in->o.password;
	struct hull_file f;
	size_t n;
	int r;

	if (!strcmp(how, "generate")) {
		generate(in->password, 16);
		return 0;
	}
	if (!strcmp(how, "prompt"))
		return prompt(in, err);
	r = hull_file_read(how + 5, 4096, &f, err);
	if (r)
		return r;
	n = strcspn((const char *)f.data, "\r\n");
	hull_format(in->password, sizeof(in->password), "%.*s", (int)MIN(n, (size_t)120),
	            (const char *)f.data);
	hull_file_free(&f);
	return check(in->password, err);
}
